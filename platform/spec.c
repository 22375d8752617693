/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * From configuration and network to what the ruleset and the engine need.
 */
#include "spec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sysctl.h"

/* Where the kernel's local ports begin unless it was told otherwise: used when
 * its setting cannot be read. */
#define LOCAL_PORTS_FIRST 32768
#define ROUTER_PORTS 2048

/* --- ports --------------------------------------------------------------- */

static void add_ranges(struct nat_portset *set,
		       const struct config_range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (uint32_t port = ranges[i].first; port <= ranges[i].last;
		     port++)
			nat_portset_add(set, (uint16_t)port);
}

static void remove_range(struct nat_portset *set,
			 const struct config_range *range)
{
	for (uint32_t port = range->first; port <= range->last; port++)
		nat_portset_remove(set, (uint16_t)port);
}

static bool empty(const struct nat_portset *set)
{
	for (size_t i = 0; i < sizeof(set->bits); i++)
		if (set->bits[i])
			return false;
	return true;
}

static struct config_range router_ports(const struct config *config)
{
	struct config_range range = { LOCAL_PORTS_FIRST,
				      LOCAL_PORTS_FIRST + ROUTER_PORTS - 1 };

	if (!config->router_ports_auto)
		return config->router_ports;
	/* Without /proc the default stays. */
	(void)sysctl_router_ports(&range);
	return range;
}

static void fill_low_only(const struct config *config, struct nat_portset *set)
{
	add_ranges(set, config->low_ports, config->low_ports_count);
	for (size_t i = 0; i < config->ports_count; i++)
		remove_range(set, &config->ports[i]);
}

static int fill_pools(const struct config *config, struct spec_storage *storage)
{
	struct nat_portset *udp = &storage->pool[NAT_POOL_UDP];

	add_ranges(&storage->pool[NAT_POOL_ICMP], config->ports,
		   config->ports_count);
	add_ranges(udp, config->ports, config->ports_count);
	add_ranges(udp, config->low_ports, config->low_ports_count);
	remove_range(udp, &storage->rules.router_ports);
	nat_portset_remove(udp, 0);
	storage->pool[NAT_POOL_TCP] = *udp;
	fill_low_only(config, &storage->low_only);
	return empty(udp) ? -ERANGE : 0;
}

static void add_forward(struct spec_storage *storage,
			const struct nat_forward *forward)
{
	const struct config_range range = { forward->outside_first,
					    forward->outside_last };

	add_ranges(forward->proto == NAT_PROTO_TCP ? &storage->queue_tcp :
						     &storage->queue_udp,
		   &range, 1);
}

static void fill_queue_ports(const struct config *config,
			     struct spec_storage *storage)
{
	storage->queue_udp = storage->pool[NAT_POOL_UDP];
	storage->queue_tcp = storage->pool[NAT_POOL_TCP];
	for (size_t i = 0; i < config->nat.forward_count; i++)
		add_forward(storage, &config->nat.forwards[i]);
	storage->rules.udp = &storage->queue_udp;
	storage->rules.tcp = &storage->queue_tcp;
}

/* --- devices ------------------------------------------------------------- */

static void copy_name(char to[static IFNAMSIZ], const char *from)
{
	snprintf(to, IFNAMSIZ, "%.*s", IFNAMSIZ - 1, from);
}

static int fill_inside(const struct config *config,
		       const struct network_state *network,
		       struct spec_storage *storage)
{
	size_t count = network ? network->inside_count : config->inside_count;

	/* At least one: calloc(0) may be NULL. */
	storage->inside = calloc(count ? count : 1, sizeof(*storage->inside));
	if (!storage->inside)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		copy_name(storage->inside[i],
			  network ? network->inside[i].name :
				    config->inside_devices[i]);
	storage->rules.inside =
		(const char(*)[IFNAMSIZ])(const void *)storage->inside;
	storage->rules.inside_count = count;
	return 0;
}

/* The largest: as long as one device is wider than the uplink, segments that
 * come from it may be too large. */
static uint32_t inside_mtu(const struct network_state *network)
{
	uint32_t mtu = 0;

	for (size_t i = 0; i < network->inside_count; i++)
		if (network->inside[i].mtu > mtu)
			mtu = network->inside[i].mtu;
	return mtu;
}

static void fill_network(const struct config *config,
			 const struct network_state *network,
			 struct rules_spec *rules)
{
	rules->uplink_addr = config->uplink_address;
	if (!network)
		return;
	/* A configured address stands also while its device is away. */
	if (network->uplink_addr)
		rules->uplink_addr = network->uplink_addr;
	rules->uplink_mtu = network->uplink.mtu;
	rules->inside_mtu = inside_mtu(network);
	rules->mss_clamp = config->mss == CONFIG_MSS_AUTO &&
			   rules->uplink_mtu &&
			   rules->uplink_mtu < rules->inside_mtu;
}

/* A copy, since the network's own arrays live until its next change only.
 * NULL without memory. */
static struct nat_prefix *copy_prefixes(const struct nat_prefix *from,
					size_t count)
{
	/* At least one: calloc(0) may be NULL. */
	struct nat_prefix *to = calloc(count ? count : 1, sizeof(*to));

	if (to && count)
		memcpy(to, from, count * sizeof(*to));
	return to;
}

static int fill_nets(const struct network_state *network,
		     struct spec_storage *storage)
{
	struct rules_spec *rules = &storage->rules;

	if (!network)
		return 0;
	storage->inside_nets =
		copy_prefixes(network->inside_nets, network->inside_net_count);
	storage->away = copy_prefixes(network->away, network->away_count);
	storage->elsewhere =
		copy_prefixes(network->elsewhere, network->elsewhere_count);
	if (!storage->inside_nets || !storage->away || !storage->elsewhere)
		return -ENOMEM;
	rules->inside_nets = storage->inside_nets;
	rules->inside_net_count = network->inside_net_count;
	rules->inside_unknown = network->inside_unknown;
	rules->away = storage->away;
	rules->away_count = network->away_count;
	rules->elsewhere = storage->elsewhere;
	rules->elsewhere_count = network->elsewhere_count;
	return 0;
}

static void fill_settings(const struct config *config, struct rules_spec *rules)
{
	rules->untranslated = config->nat.untranslated;
	rules->exempt = config->nat.exempt;
	rules->exempt_count = config->nat.exempt_count;
	rules->router_ports = router_ports(config);
	rules->queue_number = config->queue.number;
	rules->mark = config->queue.mark;
	rules->fallback_kernel = config->fallback == CONFIG_FALLBACK_KERNEL;
}

int spec_build(const struct config *config, const struct network_state *network,
	       struct spec_storage *storage)
{
	int err;

	memset(storage, 0, sizeof(*storage));
	copy_name(storage->uplink,
		  network ? network->uplink.name : config->uplink_device);
	if (!storage->uplink[0])
		return -ENODEV;
	storage->rules.uplink = storage->uplink;
	fill_settings(config, &storage->rules);
	fill_network(config, network, &storage->rules);
	err = fill_pools(config, storage);
	if (err)
		return err;
	fill_queue_ports(config, storage);
	err = fill_inside(config, network, storage);
	if (!err)
		err = fill_nets(network, storage);
	if (err)
		spec_free(storage);
	return err;
}

int spec_check(const struct config *config)
{
	struct spec_storage storage = { 0 };

	storage.rules.router_ports = router_ports(config);
	return fill_pools(config, &storage);
}

/* --- automatic mode ------------------------------------------------------ */

static void add_inside(struct spec_devices *devices, const char *name)
{
	if (strcmp(name, devices->uplink))
		copy_name(devices->inside[devices->inside_count++], name);
}

/* Fills in what the configuration leaves open. 0 or -errno. */
static int choose(const struct config *config, struct spec_devices *devices)
{
	char uplink[IFNAMSIZ] = "";
	char inside[SPEC_INSIDE_MAX][IFNAMSIZ];
	int count = network_choose(uplink, inside, SPEC_INSIDE_MAX);

	if (count < 0)
		return count;
	if (!devices->uplink[0])
		copy_name(devices->uplink, uplink);
	if (!devices->uplink[0])
		return -ENODEV;
	for (int i = 0; !config->inside_count && i < count; i++)
		add_inside(devices, inside[i]);
	return 0;
}

int spec_choose_devices(const struct config *config,
			struct spec_devices *devices)
{
	size_t room = config->inside_count > SPEC_INSIDE_MAX ?
			      config->inside_count :
			      SPEC_INSIDE_MAX;
	int err = 0;

	memset(devices, 0, sizeof(*devices));
	devices->inside = calloc(room, sizeof(*devices->inside));
	if (!devices->inside)
		return -ENOMEM;
	copy_name(devices->uplink, config->uplink_device);
	if (!devices->uplink[0] || !config->inside_count)
		err = choose(config, devices);
	for (size_t i = 0; !err && i < config->inside_count; i++)
		add_inside(devices, config->inside_devices[i]);
	if (err) {
		free(devices->inside);
		devices->inside = NULL;
	}
	return err;
}

void spec_free(struct spec_storage *storage)
{
	struct rules_spec *rules = &storage->rules;

	free(storage->inside);
	free(storage->inside_nets);
	free(storage->away);
	free(storage->elsewhere);
	storage->inside = NULL;
	storage->inside_nets = NULL;
	storage->away = NULL;
	storage->elsewhere = NULL;
	rules->inside = NULL;
	rules->inside_nets = NULL;
	rules->away = NULL;
	rules->elsewhere = NULL;
	rules->inside_count = 0;
	rules->inside_net_count = 0;
	rules->away_count = 0;
	rules->elsewhere_count = 0;
}

const char *spec_error(int err)
{
	switch (-err) {
	case ENODEV:
		return "no uplink: there is no default route, and "
		       "uplink.device is not set";
	case ERANGE:
		return "uplink.router_ports leave no port for the pool";
	default:
		return strerror(-err);
	}
}
