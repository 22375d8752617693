/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Theory of operation
 * ===================
 *
 * Two tables. A *mapping* ties an inside socket to an outside socket and
 * decides translation: it is found by either, and it is the same for every
 * peer (endpoint-independent, RFC 4787 REQ-1, RFC 5382 REQ-1, RFC 5508
 * REQ-1a). A *session* is a mapping and a peer: it decides filtering, TCP
 * state and lifetime. A dynamic mapping is born with its first session and
 * dies with its last; a forward lives as long as the configuration names it.
 *
 * A packet's way. nat_translate() parses, sweeps what has expired, and calls
 * the path by which the platform says the packet came:
 *
 *   outbound     find or make mapping and session, rewrite the source
 *   inbound      find the mapping, ask the filter, rewrite the destination
 *   hairpin in   both of the above, rewrite the destination only: the kernel
 *                refuses our own address as a source before routing
 *   hairpin out  rewrite the source, after routing
 *   error out    an ICMP error the kernel raised about something we delivered
 *   loopback     one it raised about something we had already sent out
 *
 * ICMP errors are recognised by what they quote and change no state. A path
 * ends in exactly one verdict; every refusal is a counted drop reason, so
 * verdict and counter cannot diverge. What the engine does not know it leaves
 * untouched or refuses; it never lets an inside address out.
 *
 * States of a mapping slot: free -> live -> free. States of a session slot:
 * free -> live (INIT, ESTABLISHED, ... see tcp.c) -> free. Timers: a session is
 * in the list of exactly one timeout class, lists are in order of last use.
 * Only sessions have timers. An established TCP session that was idle for
 * tcp_established - tcp_closing spends the rest in TRANS, so tcp_established
 * is its whole idle life.
 *
 * Ports. One bitmap per pool. A port is free, used by one mapping, or held: it
 * rests after a UDP or ICMP mapping ended (RFC 6888 REQ-8); TCP ports, followed
 * to their end, do not (REQ-8a). Two mappings never share an outside socket.
 *
 * Invariants (nat_check() proves them):
 *   - every live mapping is found by its outside socket (or, of a tagged
 *     protocol, each of its sessions by its peer), and by its inside socket
 *     directly or along the alias chain;
 *   - every live dynamic mapping has at least one session; every session
 *     belongs to a live mapping; counts of mappings, hosts and lists agree;
 *   - free + used + held of a pool equals its total, no port twice;
 *   - each timer list is in order of last use.
 *
 * Tagged protocols (SCTP, GRE, ESP) have no port that could be rewritten. Their
 * mappings hold no outside socket of their own; what comes from outside is told
 * apart by its peer and its tag, session by session: see tagged.c.
 *
 * Survival. The records are all that is remembered; indices, lists, bitmaps and
 * counts follow from them. So a process may die at any instruction, and the
 * next one (nat_restore()) goes on with its records: each carries a check word
 * (seal.h), written before the record counts as live and cleared after it
 * ceased to, and is believed only if it fits. What is lost is counted, and its
 * outside port rests as if the mapping had ended now.
 *
 * Time is the caller's and never goes back: an earlier now_ms than the latest one
 * counts as that. A jump forward ends what is over, 32 sessions before each
 * packet and the rest in the caller's next sweeps; until then a session that is
 * over is found to be so when it is asked for.
 *
 * Shares. Every host can always have config->host_guaranteed mappings, with a
 * port and a session each, also one that appears only now. Let G be that
 * number, H limits.hosts, N the size of a table or pool, and U the sum of
 * min(used, G) over all hosts: G * H - U is what others may still ask for. A
 * host that has less than G takes what is free; one that has G or more takes
 * only while more is free than the lesser of G * H - U and N / 8, else it is
 * refused (host_share). So what is free never falls below what is guaranteed,
 * as long as G * H is at most N / 8; beyond that the first N / (8 G) hosts have
 * the guarantee. The sums are kept as hosts gain and lose: no packet counts.
 * Ports that rest are free for nobody: a pool that is worn out by its hosts'
 * own shares within the hold time can run short all the same.
 *
 * The uplink's address. Without one nothing passes and all is kept. Another one
 * moves the mappings, port numbers and all; TCP connections are cut and their
 * inside ends told: see move.c.
 *
 * Limits. Tables are sized once (nat_limits). Nothing unexpired is ever
 * reclaimed to make room: the newcomer is refused, told by ICMP, and counted.
 * A host record without mappings is not state that anyone relies on: it is
 * reused when the table of hosts is full.
 */
#include "internal.h"

#define SWEEP 32U /* sessions ended at most before a packet */
#define FORWARDS_AT_ONCE 1024U /* ports tried again */

/* --- configuration ------------------------------------------------------ */

static bool same_forward(const struct nat_mapping *mapping,
			 const struct nat_forward *forward)
{
	uint32_t shift = (uint32_t)mapping->port - forward->outside_first;

	return mapping->inside.proto == forward->proto &&
	       mapping->port >= forward->outside_first &&
	       mapping->port <= forward->outside_last &&
	       mapping->inside.addr == forward->inside_addr &&
	       mapping->inside.port == forward->inside_first + shift;
}

/* Is the forward still configured? Its rule may have moved in the list. */
static bool forward_stays(const struct nat_config *config,
			  struct nat_mapping *mapping)
{
	for (size_t i = 0; i < config->forward_count; i++)
		if (same_forward(mapping, &config->forwards[i])) {
			mapping->forward = (uint32_t)i;
			return true;
		}
	return false;
}

static bool mapping_stays(const struct nat *nat,
			  const struct nat_config *config,
			  struct nat_mapping *mapping)
{
	int pool = nat_pool_of(mapping->inside.proto);

	if (config->untranslated[mapping->inside.proto])
		return false;
	if (mapping->kind == NAT_KIND_FORWARD)
		return forward_stays(config, mapping);
	if (pool < 0)
		return true;
	return nat_ports_allowed(&nat->ports[pool], mapping->port);
}

/* Who used a forward goes on for a while (RFC 6888 REQ-8; 8a: not in TCP). Most
 * ports of a range nobody uses: they must not push out those that rest. */
static bool rests(const struct nat *nat, const struct nat_mapping *mapping)
{
	const struct nat_counters *use = &mapping->counters;

	return nat_pool_of(mapping->inside.proto) == NAT_POOL_UDP &&
	       nat_ports_allowed(&nat->ports[NAT_POOL_UDP], mapping->port) &&
	       (use->in_packets || use->out_packets);
}

static void end_outdated(struct nat *nat, const struct nat_config *config,
			 uint64_t now_ms)
{
	uint32_t slot, next;

	for (slot = nat->mapping_live.head; slot; slot = next) {
		next = nat->mapping_links[slot].next;
		if (!mapping_stays(nat, config, &nat->mappings[slot]))
			nat_mapping_end(nat, slot, now_ms,
					rests(nat, &nat->mappings[slot]));
	}
}

/* Is there a place for one more mapping of this host when `old` has ended (0:
 * nobody)? A host table that is full has one if it was its host's only one. */
static bool has_room(const struct nat *nat, uint32_t addr, uint32_t old)
{
	const struct nat_slots *hosts = &nat->host_slots;
	const struct nat_host *loser = &nat->hosts[nat->mappings[old].host];

	if (!old && !nat_slots_left(&nat->mapping_slots))
		return false;
	return nat_find_host(nat, addr) || nat_slots_left(hosts) ||
	       nat->host_idle.head || (old && loser->mappings == 1);
}

/* Adds one port of a forward; it takes the port from a dynamic mapping, or out
 * of its hold time (design 6). False: no room. */
static bool add_forward_port(struct nat *nat, uint32_t rule, uint16_t port,
			     uint64_t now_ms)
{
	const struct nat_forward *f = &nat->config->forwards[rule];
	enum nat_pool pool = (enum nat_pool)nat_pool_of(f->proto);
	uint32_t old = nat_find_port(nat, pool, port);
	uint32_t slot;

	if (old && nat->mappings[old].kind == NAT_KIND_FORWARD)
		return true;
	if (!has_room(nat, f->inside_addr, old))
		return false;
	if (old)
		nat_mapping_end(nat, old, now_ms, false);
	if (nat_ports_taken(&nat->ports[pool], port))
		nat_hold_cancel(nat, pool, port);
	slot = nat_mapping_add(
		nat,
		nat_socket(f->proto, f->inside_addr,
			   (uint16_t)(f->inside_first +
				      (port - f->outside_first))),
		port, NAT_KIND_FORWARD,
		nat_host_get(nat, f->inside_addr, now_ms));
	nat->mappings[slot].forward = rule;
	return true;
}

static void add_forwards(struct nat *nat, uint64_t now_ms)
{
	nat->forwards_missing = 0;
	for (uint32_t i = 0; i < nat->config->forward_count; i++) {
		const struct nat_forward *f = &nat->config->forwards[i];

		for (uint32_t port = f->outside_first; port <= f->outside_last;
		     port++)
			if (!add_forward_port(nat, i, (uint16_t)port, now_ms))
				nat->forwards_missing++;
	}
	nat->forward_next = nat->forward_step = 0;
}

/* The next port in turn of all that are forwarded. */
static uint16_t next_forward(struct nat *nat, uint32_t *rule)
{
	const struct nat_forward *f = &nat->config->forwards[nat->forward_next];
	uint32_t port = f->outside_first + nat->forward_step++;

	*rule = nat->forward_next;
	if (port == f->outside_last) {
		nat->forward_step = 0;
		nat->forward_next =
			(*rule + 1) % (uint32_t)nat->config->forward_count;
	}
	return (uint16_t)port;
}

uint32_t nat_add_forwards(struct nat *nat, uint64_t now_ms)
{
	now_ms = nat_clock(nat, now_ms);
	for (uint32_t i = 0; i < FORWARDS_AT_ONCE && nat->forwards_missing;
	     i++) {
		uint32_t rule, port = next_forward(nat, &rule);
		uint8_t proto = nat->config->forwards[rule].proto;
		uint32_t old = nat_find_port(
			nat, (enum nat_pool)nat_pool_of(proto), (uint16_t)port);

		if ((!old || nat->mappings[old].kind != NAT_KIND_FORWARD) &&
		    add_forward_port(nat, rule, (uint16_t)port, now_ms))
			nat->forwards_missing--;
	}
	return nat->forwards_missing;
}

uint32_t nat_configure(struct nat *nat, const struct nat_config *config,
		       uint64_t now_ms)
{
	now_ms = nat_clock(nat, now_ms);
	/* Some of it may not be translated any more. */
	nat_take_all_back(nat);
	for (int pool = 0; pool < NAT_POOLS; pool++)
		nat_ports_allow(&nat->ports[pool], &config->pool[pool],
				&config->low_only);
	end_outdated(nat, config, now_ms);
	nat->config = config;
	nat_martians_set(nat);
	nat_timers_set(nat);
	nat_shares_set(nat);
	add_forwards(nat, now_ms);
	return nat->forwards_missing;
}

uint32_t nat_flush_host(struct nat *nat, uint32_t addr, uint64_t now_ms)
{
	uint32_t slot, next, ended = 0;

	now_ms = nat_clock(nat, now_ms);
	nat_fragment_forget(nat, addr);
	for (slot = nat->mapping_live.head; slot; slot = next) {
		next = nat->mapping_links[slot].next;
		if (nat->mappings[slot].inside.addr != addr)
			continue;
		ended += nat->mappings[slot].sessions;
		if (nat->mappings[slot].kind == NAT_KIND_FORWARD)
			nat_sessions_end(nat, slot);
		else
			nat_mapping_end(nat, slot, now_ms, true);
	}
	return ended;
}

uint32_t nat_uplink(const struct nat *nat)
{
	return nat->uplink;
}

uint32_t nat_known_uplink(const struct nat *nat)
{
	return nat->header->uplink;
}

void nat_set_bound(struct nat *nat, enum nat_pool pool,
		   const struct nat_portset *bound)
{
	nat_ports_bind(&nat->ports[pool], bound);
	if (nat->config)
		nat_shares_set(nat);
}

/* --- packets ------------------------------------------------------------ */

/* What the kernel made itself: nothing but errors is looked at. */
static struct nat_result error_out(struct nat_work *work)
{
	if (work->p.class != NAT_CLASS_ERROR)
		return nat_untouched(work->nat);
	return nat_error_outbound(work);
}

static struct nat_result (*const paths[NAT_PATHS])(struct nat_work *) = {
	[NAT_PATH_INBOUND] = nat_inbound,
	[NAT_PATH_OUTBOUND] = nat_outbound,
	[NAT_PATH_HAIRPIN_IN] = nat_hairpin_in,
	[NAT_PATH_HAIRPIN_OUT] = nat_hairpin_out,
	[NAT_PATH_ERROR_OUT] = error_out,
	[NAT_PATH_LOOPBACK] = nat_error_loopback,
};

/* Its fate is that of the fragments that follow it. */
static struct nat_result first_fragment(struct nat_work *work)
{
	struct nat_fragment_key key = nat_fragment_key(work);
	struct nat_result result = paths[work->packet->path](work);

	nat_fragment_first(work, &key, &result);
	return result;
}

static struct nat_result translate(struct nat *nat, struct nat_packet *packet,
				   uint64_t now_ms)
{
	struct nat_work work; /* p is filled in by nat_parse() */
	enum nat_drop drop;

	work.nat = nat;
	work.packet = packet;
	work.now_ms = nat_clock(nat, now_ms);
	if (work.now_ms != nat->swept_ms) {
		nat->swept_ms = work.now_ms;
		nat_expire(nat, work.now_ms, SWEEP);
	}
	drop = nat_parse(packet, &work.p);
	if (drop)
		return nat_drop(nat, drop);
	if (nat->config->untranslated[work.p.proto])
		work.p.class = NAT_CLASS_OTHER;
	if (work.p.more_fragments)
		return first_fragment(&work);
	return paths[packet->path](&work);
}

struct nat_result nat_translate(struct nat *nat, struct nat_packet *packet,
				uint64_t now_ms)
{
	struct nat_result result;

	if (!nat->config)
		return nat_drop(nat, NAT_DROP_NO_UPLINK);
	nat->hint = packet->hint;
	result = translate(nat, packet, now_ms);
	nat->hint = (struct nat_hint){ 0 };
	return result;
}

bool nat_next_output(struct nat *nat, uint64_t now_ms, const uint8_t **packet,
		     uint32_t *length)
{
	if (!nat->config)
		return false;
	now_ms = nat_clock(nat, now_ms);
	*packet = nat_fragment_output(nat, length);
	if (!*packet)
		*packet = nat_late_output(nat, now_ms, length);
	if (!*packet)
		*packet = nat_probe_output(nat, length);
	if (!*packet)
		*packet = nat_tell_output(nat, now_ms, length);
	return *packet != NULL;
}

void nat_count_drop(struct nat *nat, enum nat_drop drop)
{
	nat->stats.drops[drop]++;
}

void nat_count_own(struct nat *nat, enum nat_drop drop)
{
	nat->stats.drops[drop]--;
	nat->stats.untouched_packets++;
}
