/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A pool: the outside ports of one protocol, one bit each, so that the last
 * free port is found with certainty. A port is handed out when the operator
 * allows it, nothing on the router is bound to it, no mapping uses it and its
 * hold time is over.
 */
#ifndef PORTICO_NAT_PORTS_H
#define PORTICO_NAT_PORTS_H

#include <stdbool.h>
#include <stdint.h>

#include "portico/nat.h"
#include "siphash.h"

#define NAT_PORT_WORDS (NAT_PORTS / 32)

struct nat_ports {
	uint32_t allowed[NAT_PORT_WORDS]; /* by the operator */
	uint32_t bound[NAT_PORT_WORDS]; /* by the router itself */
	uint32_t taken[NAT_PORT_WORDS]; /* by a mapping, or held */
	uint32_t low_only[NAT_PORT_WORDS]; /* for inside ports below 1024 */
	uint32_t free; /* how many could be handed out now */
	uint32_t free_low; /* of them, those in low_only */
};

/* An unpredictable sequence (RFC 6056 3.3): SipHash of a counter. */
struct nat_random {
	struct nat_siphash_key key;
	uint64_t counter;
};

uint32_t nat_random_next(struct nat_random *random);

/* Replace one of the sets; taken ports stay taken. */
void nat_ports_allow(struct nat_ports *ports, const struct nat_portset *allowed,
		     const struct nat_portset *low_only);
void nat_ports_bind(struct nat_ports *ports, const struct nat_portset *bound);

bool nat_ports_allowed(const struct nat_ports *ports, uint16_t port);
/* Allowed, and the router itself does not listen on it. */
bool nat_ports_usable(const struct nat_ports *ports, uint16_t port);
bool nat_ports_taken(const struct nat_ports *ports, uint16_t port);

/* Marks a port as taken / as available again. */
void nat_ports_take(struct nat_ports *ports, uint16_t port);
void nat_ports_release(struct nat_ports *ports, uint16_t port);

/* Chooses a free port for an inside port: the same one if it is free (RFC 4787
 * 4.2.1), else an unpredictable one (RFC 6056 4) of the same half (REQ-3a) and,
 * if asked, parity (REQ-4); preferences never make it fail. Does not take it.
 * Returns 0..65535, or -1 when no port is free for this inside port. */
int32_t nat_ports_choose(const struct nat_ports *ports,
			 struct nat_random *random, uint16_t wanted,
			 bool parity);

/* How many ports every inside port may have are free / could be free. */
uint32_t nat_ports_free(const struct nat_ports *ports);
uint32_t nat_ports_size(const struct nat_ports *ports);

/* Counts the free ports (of low_only) afresh (for nat_check). */
uint32_t nat_ports_count_free(const struct nat_ports *ports);
uint32_t nat_ports_count_low(const struct nat_ports *ports);

#endif
