/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * From the kernel's tables to what the gateway wants to know of them.
 */
#include "uplink_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void find_device(const struct uplink_table *table,
			struct network_device *device)
{
	const struct network_device *link;

	link = uplink_table_link(table, device->name);
	device->index = link ? link->index : 0;
	device->up = link && link->up;
	device->mtu = link ? link->mtu : 0;
	device->addr = 0;
	for (size_t i = table->addr_count; link && i-- > 0;)
		if (table->addrs[i].index == link->index)
			device->addr = table->addrs[i].local;
}

static bool has_addr(const struct uplink_table *table, unsigned index,
		     uint32_t addr)
{
	for (size_t i = 0; i < table->addr_count; i++)
		if (table->addrs[i].index == index &&
		    table->addrs[i].local == addr)
			return true;
	return false;
}

/* The best default route by the device, NULL: none. */
static const struct uplink_route *find_way(const struct uplink_table *table,
					   unsigned index)
{
	for (size_t i = 0; index && i < table->route_count; i++)
		if (!table->routes[i].to.length &&
		    table->routes[i].index == index)
			return &table->routes[i];
	return NULL;
}

/* Of no use for the world: private, as for a modem's own pages, and the router
 * is not in its network. */
static bool is_aside(const struct uplink_addr *addr, uint32_t router)
{
	return router && uplink_is_private(addr->local) &&
	       !nat_prefix_has(&addr->net, router);
}

/* The one in use as long as it is there: a second one that comes or goes
 * changes nothing; else the first one that is global and primary. None that is
 * aside. */
static uint32_t pick_addr(const struct uplink_table *table, unsigned index,
			  uint32_t known_addr, uint32_t router)
{
	uint32_t first = 0;

	for (size_t i = 0; i < table->addr_count; i++) {
		const struct uplink_addr *addr = &table->addrs[i];

		if (addr->index != index || is_aside(addr, router))
			continue;
		if (addr->local == known_addr)
			return known_addr;
		if (!first && addr->global && !addr->secondary)
			first = addr->local;
	}
	return first;
}

#define NOWHERE 0xffffffffU /* in no network */

/* Whether the uplink may lead to the world without a default route that we see:
 * by the two halves of one, or by a rule, beside another device's. */
static bool leads_unseen(const struct network_state *state)
{
	return state->default_route == NETWORK_DEFAULT_UPLINK ||
	       (state->default_route == NETWORK_DEFAULT_ELSEWHERE &&
		state->policy_routing);
}

/* The configured one or none; else one that is not aside if there is one. While
 * there is no way to the world nothing private takes the place of a public one
 * that was in use: it may be back soon, and its connections with it. */
static uint32_t choose_addr(const struct uplink_table *table,
			    const struct network_state *state,
			    uint32_t fixed_addr, uint32_t known_addr)
{
	const unsigned index = state->uplink.index;
	const struct uplink_route *way = find_way(table, index);
	bool waits = !way && !leads_unseen(state) && known_addr &&
		     !uplink_is_private(known_addr);
	uint32_t router = way ? way->via : waits ? NOWHERE : 0;
	uint32_t addr;

	if (!index)
		return 0;
	if (fixed_addr)
		return has_addr(table, index, fixed_addr) ? fixed_addr : 0;
	addr = pick_addr(table, index, known_addr, router);
	return addr || waits ? addr : pick_addr(table, index, known_addr, 0);
}

static bool is_inside(const struct network_state *state, unsigned index)
{
	for (size_t i = 0; index && i < state->inside_count; i++)
		if (state->inside[i].index == index)
			return true;
	return false;
}

static int compare_prefixes(const void *left, const void *right)
{
	const struct nat_prefix *a = left, *b = right;

	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	return (int)a->length - (int)b->length;
}

/* Sorts and leaves out what is there twice, with `within` also what another
 * covers: a set of addresses, in the form that rules and comparisons want.
 * Returns the new count. */
static size_t sort_out(struct nat_prefix *prefixes, size_t count, bool within)
{
	size_t kept = 0;

	if (!count)
		return 0;
	qsort(prefixes, count, sizeof(*prefixes), compare_prefixes);
	for (size_t i = 1; i < count; i++)
		if (within ?
			    !nat_prefix_has(&prefixes[kept], prefixes[i].addr) :
			    compare_prefixes(&prefixes[kept], &prefixes[i]))
			prefixes[++kept] = prefixes[i];
	return kept + 1;
}

static size_t normalize(struct nat_prefix *prefixes, size_t count)
{
	return sort_out(prefixes, count, true);
}

/* A default route to the inside does not make the world inside; a route for
 * multicast or broadcasts says where these go, not who is there. */
static bool holds_hosts(const struct nat_prefix *net)
{
	return net->length && net->addr < 0xe0000000U;
}

/* The networks on a device now, in no order. Returns how many. */
static size_t add_nets(const struct uplink_table *table, unsigned index,
		       struct nat_prefix *nets)
{
	size_t count = 0;

	for (size_t i = 0; index && i < table->addr_count; i++)
		if (table->addrs[i].index == index &&
		    holds_hosts(&table->addrs[i].net))
			nets[count++] = table->addrs[i].net;
	for (size_t i = 0; index && i < table->route_count; i++)
		if (table->routes[i].index == index &&
		    holds_hosts(&table->routes[i].to))
			nets[count++] = table->routes[i].to;
	return count;
}

/* The device does not tell what is behind it. */
static bool is_away(const struct network_device *device)
{
	return !device->index || !device->up || !device->networks;
}

/* What is behind the device; what was, as long as it does not tell. */
static int build_behind(const struct uplink_table *table,
			struct network_device *device,
			struct network_nets *behind)
{
	size_t most = table->addr_count + table->route_count + behind->count;
	struct nat_prefix *nets = calloc(most + 1, sizeof(*nets));
	size_t count;

	if (!nets)
		return -ENOMEM;
	count = add_nets(table, device->index, nets);
	device->networks = count > 0;
	if (is_away(device)) {
		if (behind->count)
			memcpy(nets + count, behind->nets,
			       behind->count * sizeof(*nets));
		count += behind->count;
	}
	free(behind->nets);
	behind->nets = nets;
	/* One within another stays: only a part may be led out. */
	behind->count = sort_out(nets, count, false);
	return 0;
}

/* Whether the main table sends something of the network out by the uplink: an
 * inner router's network may be wide, or the uplink's own be the same behind
 * another NAT. */
static bool leads_out(const struct uplink_table *table,
		      const struct network_state *state,
		      const struct nat_prefix *net)
{
	for (size_t i = 0; i < table->route_count; i++) {
		const struct uplink_route *route = &table->routes[i];

		if (route->index && route->index == state->uplink_last &&
		    route->to.length >= net->length &&
		    nat_prefix_has(net, route->to.addr))
			return true;
	}
	return state->uplink_addr && nat_prefix_has(net, state->uplink_addr);
}

/* All of them, and those that are away. */
static void gather(const struct uplink_table *table,
		   struct network_state *state)
{
	for (size_t i = 0; i < state->inside_count; i++) {
		const struct network_nets *behind = &state->behind[i];

		for (size_t j = 0; j < behind->count; j++) {
			const struct nat_prefix *net = &behind->nets[j];

			state->inside_nets[state->inside_net_count++] = *net;
			if (is_away(&state->inside[i]) &&
			    !leads_out(table, state, net))
				state->away[state->away_count++] = *net;
		}
	}
	state->inside_net_count =
		normalize(state->inside_nets, state->inside_net_count);
	state->away_count = normalize(state->away, state->away_count);
}

static int build_inside_nets(const struct uplink_table *table,
			     struct network_state *state)
{
	size_t most = 0;
	int rc;

	state->inside_unknown = false;
	for (size_t i = 0; i < state->inside_count; i++) {
		rc = build_behind(table, &state->inside[i], &state->behind[i]);
		if (rc)
			return rc;
		most += state->behind[i].count;
		state->inside_unknown |= !state->behind[i].count;
	}
	state->inside_nets = calloc(most + 1, sizeof(*state->inside_nets));
	state->away = calloc(most + 1, sizeof(*state->away));
	if (!state->inside_nets || !state->away)
		return -ENOMEM;
	gather(table, state);
	return 0;
}

static bool same_prefix(const struct uplink_route *a,
			const struct uplink_route *b)
{
	return a->to.addr == b->to.addr && a->to.length == b->to.length;
}

/* Looks at the routes of one prefix, beginning at *at, and moves *at behind
 * them. Only those of the best metric count; with one next hop at the uplink
 * or inside, the prefix is not elsewhere; nor with one at a renamed uplink. A
 * default route is, where it leads somewhere and no rule may lead the inside
 * past it to the uplink. */
static bool leads_elsewhere(const struct uplink_table *table,
			    const struct network_state *state, size_t *at)
{
	const struct uplink_route *best = &table->routes[*at];
	bool elsewhere = best->to.length ||
			 (best->index && !table->policy_routing);

	while (*at < table->route_count) {
		const struct uplink_route *route = &table->routes[*at];

		if (!same_prefix(best, route))
			break;
		if (route->metric == best->metric && route->index &&
		    (route->index == state->uplink_last ||
		     route->index == table->loopback ||
		     is_inside(state, route->index)))
			elsewhere = false;
		(*at)++;
	}
	return elsewhere;
}

bool uplink_state_inside(const struct network_state *state,
			 const struct nat_prefix *net)
{
	for (size_t i = 0; i < state->inside_net_count; i++)
		if (state->inside_nets[i].length <= net->length &&
		    nat_prefix_has(&state->inside_nets[i], net->addr))
			return true;
	return false;
}

/* The kernel takes nothing for 127.0.0.0/8 from a wire. */
static bool is_own(const struct network_state *state,
		   const struct nat_prefix *local)
{
	static const struct nat_prefix loopback = { 0x7f000000, 8 };

	return !nat_prefix_has(&loopback, local->addr) &&
	       !(local->length == 32 && local->addr == state->uplink_addr) &&
	       !uplink_state_inside(state, local);
}

/* Networks, and how often one may still be halved: each one is a rule that
 * packets meet. */
struct pieces {
	struct nat_prefix *nets;
	size_t count;
	size_t halvings;
};

#define HALVINGS 256

/* The first of the routes from `at` on by which something of the network leaves
 * by the uplink; that for all of it comes before those for parts. route_count:
 * there is none. */
static size_t find_part(const struct uplink_table *table,
			const struct network_state *state, size_t at,
			const struct nat_prefix *net)
{
	for (; at < table->route_count; at++) {
		const struct uplink_route *route = &table->routes[at];
		bool within = nat_prefix_has(net, route->to.addr);

		if (within && route->index &&
		    route->index == state->uplink_last)
			return at;
		if (!within && route->to.addr > net->addr)
			break;
	}
	return table->route_count;
}

/* The network without the parts of it that have more specific routes by the
 * uplink, which are among those from `at` on. */
static void add_elsewhere(const struct uplink_table *table,
			  const struct network_state *state, size_t at,
			  struct nat_prefix net, struct pieces *pieces)
{
	at = find_part(table, state, at, &net);
	if (at < table->route_count &&
	    table->routes[at].to.length == net.length)
		return;
	if (at == table->route_count || !pieces->halvings) {
		pieces->nets[pieces->count++] = net;
		return;
	}
	pieces->halvings--;
	net.length++;
	add_elsewhere(table, state, at, net, pieces);
	net.addr |= 1U << (32 - net.length);
	add_elsewhere(table, state, at, net, pieces);
}

static int build_elsewhere(const struct uplink_table *table,
			   struct network_state *state)
{
	size_t most = table->route_count + table->local_count + HALVINGS;
	struct pieces pieces = { .halvings = HALVINGS };
	size_t at = 0;

	pieces.nets = calloc(most, sizeof(*pieces.nets));
	if (!pieces.nets)
		return -ENOMEM;
	while (at < table->route_count) {
		struct nat_prefix to = table->routes[at].to;

		if (leads_elsewhere(table, state, &at))
			add_elsewhere(table, state, at, to, &pieces);
	}
	for (size_t i = 0; i < table->local_count; i++)
		if (is_own(state, &table->locals[i]))
			pieces.nets[pieces.count++] = table->locals[i];
	state->elsewhere = pieces.nets;
	state->elsewhere_count = normalize(pieces.nets, pieces.count);
	return 0;
}

/* Of any metric: another device's may be better, and go. */
static enum network_default find_default(const struct uplink_table *table,
					 unsigned uplink)
{
	enum network_default found = table->default_hidden ?
					     NETWORK_DEFAULT_UPLINK :
					     NETWORK_DEFAULT_NONE;
	bool halves[2] = { false };

	for (size_t i = 0; i < table->route_count; i++) {
		const struct uplink_route *route = &table->routes[i];

		if (route->to.length > 1 || !route->index)
			continue;
		if (route->to.length && route->index == uplink)
			halves[route->to.addr >> 31] = true;
		else if (route->index == uplink)
			found = NETWORK_DEFAULT_UPLINK;
		else if (!route->to.length && found == NETWORK_DEFAULT_NONE)
			found = NETWORK_DEFAULT_ELSEWHERE;
	}
	return halves[0] && halves[1] ? NETWORK_DEFAULT_UPLINK : found;
}

int uplink_state_build(const struct uplink_table *table, uint32_t fixed_addr,
		       uint32_t known_addr, struct network_state *state)
{
	int rc;

	find_device(table, &state->uplink);
	if (state->uplink.index)
		state->uplink_last = state->uplink.index;
	for (size_t i = 0; i < state->inside_count; i++)
		find_device(table, &state->inside[i]);
	state->policy_routing = table->policy_routing;
	state->default_route = find_default(table, state->uplink.index);
	state->uplink_addr = choose_addr(table, state, fixed_addr, known_addr);
	rc = build_inside_nets(table, state);
	if (!rc)
		rc = build_elsewhere(table, state);
	return rc;
}

static bool same_device(const struct network_device *a,
			const struct network_device *b)
{
	return a->index == b->index && a->up == b->up && a->mtu == b->mtu &&
	       a->networks == b->networks && !strcmp(a->name, b->name);
}

static bool same_prefixes(const struct nat_prefix *a, size_t a_count,
			  const struct nat_prefix *b, size_t b_count)
{
	if (a_count != b_count)
		return false;
	for (size_t i = 0; i < a_count; i++)
		if (compare_prefixes(&a[i], &b[i]))
			return false;
	return true;
}

bool uplink_state_equal(const struct network_state *a,
			const struct network_state *b)
{
	if (a->uplink_addr != b->uplink_addr ||
	    a->policy_routing != b->policy_routing ||
	    a->inside_count != b->inside_count ||
	    a->inside_unknown != b->inside_unknown ||
	    !same_device(&a->uplink, &b->uplink))
		return false;
	for (size_t i = 0; i < a->inside_count; i++)
		if (!same_device(&a->inside[i], &b->inside[i]))
			return false;
	return same_prefixes(a->inside_nets, a->inside_net_count,
			     b->inside_nets, b->inside_net_count) &&
	       same_prefixes(a->away, a->away_count, b->away, b->away_count) &&
	       same_prefixes(a->elsewhere, a->elsewhere_count, b->elsewhere,
			     b->elsewhere_count);
}
