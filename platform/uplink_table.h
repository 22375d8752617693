/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the kernel says about links, IPv4 addresses, routes (of the tables main
 * and local) and rules, read in one go. Private to the uplink*.c files.
 *
 * Every change is answered by reading all of it again: the kernel does not
 * tell which IPv4 routes a device or an address took with it when it went, so
 * a table kept up to date by notifications alone would become wrong.
 */
#ifndef PORTICO_PLATFORM_UPLINK_TABLE_H
#define PORTICO_PLATFORM_UPLINK_TABLE_H

#include "uplink.h"

struct uplink_addr {
	unsigned index; /* the device */
	uint32_t local;
	struct nat_prefix net;
	bool global; /* scope global */
	bool secondary;
};

/* One next hop of a route of the main table: a multipath route is several
 * neighbouring entries. */
struct uplink_route {
	struct nat_prefix to;
	uint32_t metric;
	unsigned index; /* 0: none (blackhole, unreachable, prohibit) */
	uint32_t via; /* the next router; 0: none, or one of several */
};

struct uplink_table {
	struct network_device *links; /* without loopback */
	size_t link_count;
	unsigned loopback; /* ifindex of lo */
	struct uplink_addr *addrs; /* in the kernel's order */
	size_t addr_count;
	struct uplink_route *routes; /* by prefix, then metric */
	size_t route_count;
	bool default_hidden; /* a default route's next hop is not shown */
	/* The router's own addresses (RTN_LOCAL of the local table). */
	struct nat_prefix *locals;
	size_t local_count;
	bool policy_routing;
};

/* Reads everything. 0, or -errno with an empty table. Free either way. */
int uplink_table_read(struct uplink_table *table);
void uplink_table_free(struct uplink_table *table);

/* Takes in one read of a dump: 0 links, 1 addresses, 2 routes, 3 rules. seq and
 * port: whose messages these must be, 0: anybody's. As mnl_cb_run(): below 0
 * with errno, 0 at the end of the dump, else there is more to come. */
#define UPLINK_DUMPS 4U
int uplink_table_take(struct uplink_table *table, unsigned which,
		      const void *bytes, size_t length, uint32_t seq,
		      unsigned port);

/* RFC 1918 */
bool uplink_is_private(uint32_t addr);

/* NULL when there is no such device. */
const struct network_device *uplink_table_link(const struct uplink_table *table,
					       const char *name);

/* Fills *state, whose device names (and inside_count) are set, and what was last
 * known behind each device, from the table. fixed_addr and known_addr as in
 * network_open(). 0 or -ENOMEM; the arrays behind[].nets, inside_nets,
 * away and elsewhere are allocated and belong to the caller. */
int uplink_state_build(const struct uplink_table *table, uint32_t fixed_addr,
		       uint32_t known_addr, struct network_state *state);
/* Whether all of a network is part of one inside. */
bool uplink_state_inside(const struct network_state *state,
			 const struct nat_prefix *net);
bool uplink_state_equal(const struct network_state *a,
			const struct network_state *b);

#endif
