/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Configurations from the bytes of a record: tables and pools so small that
 * they fill, quotas that are met, every policy. A record of zeros is close to
 * the defaults.
 */
#include <string.h>

#include "world.h"

enum config_field {
	CONFIG_TABLES = 0, /* of the first record only */
	CONFIG_FRAGMENT_ROOM = 1, /* also */
	CONFIG_FILTERING = 2,
	CONFIG_POLICY = 3,
	CONFIG_POOL = 4,
	CONFIG_QUOTAS = 5,
	CONFIG_FORWARDS = 6,
	CONFIG_TIMES = 7,
	CONFIG_RATES = 8,
	CONFIG_UNTRANSLATED = 9,
	CONFIG_BOUND = 10,
};

enum policy {
	NO_HAIRPIN = 1,
	NO_REFRESH = 2,
	LATE_ICMP = 4,
	NO_PARITY = 8,
	NO_PROBE = 16,
	EXEMPT = 32,
	INSIDE_UNKNOWN = 64,
	MARTIANS = 128,
};

static const struct nat_prefix inside = { 0xc0a80100U, 24 };
static const struct nat_prefix exempt = { 0x0a080000U, 16 };
static const struct nat_prefix martians = { PEER_3, 32 };
static const struct nat_prefix friends[] = { { PEER_1, 32 } };

static const struct nat_forward forwards[] = {
	{ .name = "web",
	  .proto = NAT_PROTO_TCP,
	  .outside_first = 80,
	  .outside_last = 80,
	  .inside_addr = INSIDE_1,
	  .inside_first = 8080 },
	{ .name = "dns",
	  .proto = NAT_PROTO_UDP,
	  .outside_first = 53,
	  .outside_last = 53,
	  .inside_addr = INSIDE_2,
	  .inside_first = 53,
	  .from = friends,
	  .from_count = 1 },
	/* In the pool, and two ports of one inside socket's neighbourhood. */
	{ .name = "range",
	  .proto = NAT_PROTO_UDP,
	  .outside_first = 5001,
	  .outside_last = 5002,
	  .inside_addr = INSIDE_1,
	  .inside_first = 5000 },
	/* A second way to the same socket. */
	{ .name = "again",
	  .proto = NAT_PROTO_UDP,
	  .outside_first = 7000,
	  .outside_last = 7000,
	  .inside_addr = INSIDE_2,
	  .inside_first = 53 },
	{ .name = "game",
	  .proto = NAT_PROTO_TCP,
	  .outside_first = 5003,
	  .outside_last = 5003,
	  .inside_addr = INSIDE_3,
	  .inside_first = 5003 },
};

/* Runs of the list above. */
static const struct {
	uint8_t first, count;
} forward_sets[8] = { { 0, 0 }, { 0, 2 }, { 2, 1 }, { 0, 5 },
		      { 4, 1 }, { 1, 3 }, { 3, 2 }, { 2, 3 } };

void world_limits(struct world *world, const uint8_t *record)
{
	uint8_t tables = record[CONFIG_TABLES];
	uint8_t room = record[CONFIG_FRAGMENT_ROOM];

	world->limits = (struct nat_limits){
		.mappings = 16U >> (tables & 3),
		.sessions = 32U >> (tables >> 2 & 3),
		.hosts = 8U >> (tables >> 4 & 3),
		.held_ports = 64U >> 2 * (tables >> 6),
		.fragments = 8U >> (room & 3),
		.fragment_bytes = 8192U >> 2 * (room >> 2 & 3),
		.tagged = room >> 4 & 3 ? 16U >> (room >> 4 & 3) : 16,
	};
}

static void set_pool(struct nat_config *config, uint8_t byte)
{
	uint16_t last = (uint16_t)(5007 - (byte & 7));

	for (int pool = 0; pool < NAT_POOLS; pool++) {
		for (uint16_t port = 5000; port <= last; port++)
			nat_portset_add(&config->pool[pool], port);
		for (uint16_t port = 600; port < 604 && !(byte & 8); port++)
			nat_portset_add(&config->pool[pool], port);
		if (byte & 16 << pool)
			nat_portset_remove(&config->pool[pool], 5000);
	}
	for (uint16_t port = 600; port < 604; port++)
		nat_portset_add(&config->low_only, port);
}

static void set_times(struct nat_config *config, uint8_t byte)
{
	static const uint32_t times[2][NAT_TIMERS] = {
		{ [NAT_TIMER_UDP] = 300,
		  [NAT_TIMER_TCP_OPENING] = 240,
		  [NAT_TIMER_TCP_ESTABLISHED] = 7440,
		  [NAT_TIMER_TCP_CLOSING] = 240,
		  [NAT_TIMER_ICMP] = 60,
		  [NAT_TIMER_OTHER] = 600 },
		{ [NAT_TIMER_UDP] = 2,
		  [NAT_TIMER_TCP_OPENING] = 2,
		  [NAT_TIMER_TCP_ESTABLISHED] = 6,
		  [NAT_TIMER_TCP_CLOSING] = 3,
		  [NAT_TIMER_ICMP] = 1,
		  [NAT_TIMER_OTHER] = 604800 },
	};
	static const uint32_t lives[4] = { 30, 2, 120, 30 };

	memcpy(config->timeout_s, times[byte & 1], sizeof(times[0]));
	config->port_hold_s = byte & 2 ? 0 : 120;
	config->fragment_s = lives[byte >> 2 & 3];
}

static void set_quotas(struct nat_config *config, uint8_t quotas, uint8_t rates)
{
	static const uint32_t mappings[4] = { 4096, 1, 2, 6 };
	static const uint32_t sessions[4] = { 16384, 1, 4, 9 };
	static const uint32_t of_mapping[4] = { 512, 1, 2, 5 };
	static const uint32_t per_second[4] = { 200, 0, 1, 2 };

	config->host_mappings = mappings[quotas & 3];
	config->host_sessions = sessions[quotas >> 2 & 3];
	config->mapping_sessions = of_mapping[quotas >> 4 & 3];
	config->host_new_per_second = quotas >> 6 ? quotas >> 6 : 200;
	config->icmp_per_second = per_second[rates & 3];
	config->host_icmp_per_second = per_second[rates >> 2 & 3];
	config->peer_tagged = rates & 16 ? 1 : 64;
}

static void set_policy(struct nat_config *config, uint8_t policy)
{
	config->hairpin = !(policy & NO_HAIRPIN);
	config->inbound_refresh = !(policy & NO_REFRESH);
	config->icmp_after_6s = policy & LATE_ICMP;
	config->parity = !(policy & NO_PARITY);
	config->idle_probe = !(policy & NO_PROBE);
	config->exempt = &exempt;
	config->exempt_count = policy & EXEMPT ? 1 : 0;
	config->inside = &inside;
	config->inside_count = policy & INSIDE_UNKNOWN ? 0 : 1;
	config->martians = &martians;
	config->martian_count = policy & MARTIANS ? 1 : 0;
}

void world_configure(struct world *world, const uint8_t *record)
{
	/* Those that a configuration file may name. */
	static const uint8_t protos[8] = { 33, 47, 50, 132, 136, 47, 50, 132 };
	struct nat_config *config = &world->config[world->config_at ^= 1];
	uint8_t filtering = record[CONFIG_FILTERING];
	uint8_t set = record[CONFIG_FORWARDS] & 7;

	memset(config, 0, sizeof(*config));
	config->filtering[NAT_POOL_UDP] = (enum nat_filter)(filtering % 3);
	config->filtering[NAT_POOL_TCP] =
		(enum nat_filter)((filtering / 3 + 1) % 3);
	config->filtering[NAT_POOL_ICMP] =
		(enum nat_filter)((filtering / 9 + 1) % 3);
	config->refuse_code = record[CONFIG_RATES] & 32 ? 1 : 13;
	set_policy(config, record[CONFIG_POLICY]);
	set_pool(config, record[CONFIG_POOL]);
	set_times(config, record[CONFIG_TIMES]);
	set_quotas(config, record[CONFIG_QUOTAS], record[CONFIG_RATES]);
	if (record[CONFIG_UNTRANSLATED] >= 240)
		config->untranslated[protos[record[CONFIG_UNTRANSLATED] & 7]] =
			true;
	config->forwards = forwards + forward_sets[set].first;
	config->forward_count = forward_sets[set].count;
	world->strangers |= !config->inside_count;
	nat_configure(world->nat, config, world->now);
}

/* The router's own ports, some of them the pool's. */
void world_bind(struct world *world, const uint8_t *record)
{
	uint8_t bound = record[CONFIG_BOUND];
	struct nat_portset *set = &world->bound;

	memset(set, 0, sizeof(*set));
	for (unsigned i = 0; i < 8; i++)
		if (bound >> i & 1)
			nat_portset_add(set,
					(uint16_t)(i < 4 ? 5000 + i : 600 + i));
	for (int pool = 0; pool < NAT_POOLS; pool++)
		nat_set_bound(world->nat, (enum nat_pool)pool, set);
}
