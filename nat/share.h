/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The share that every inside host can have for certain, of each table and of
 * each pool. A host that has its share may have more only as long as what is
 * left serves the others, also those that have not appeared yet. See "Shares"
 * in nat.c.
 */
#ifndef PORTICO_NAT_SHARE_H
#define PORTICO_NAT_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "portico/nat.h"

struct nat;

/* What is shared. */
enum nat_share_of {
	NAT_SHARE_MAPPINGS,
	NAT_SHARE_SESSIONS,
	NAT_SHARE_TAGGED,
	NAT_SHARE_PORTS, /* and the pools behind it */
	NAT_SHARES = NAT_SHARE_PORTS + NAT_POOLS
};

struct nat_share {
	uint32_t each; /* of one host; 0: nothing is guaranteed */
	uint32_t size; /* what there is in all */
	/* Of all hosts, what they have of their shares: the sum of the lesser
	 * of `each` and what a host uses. */
	uint32_t taken;
};

/* A host that used so many gets one more / loses one. */
static inline void nat_share_gain(struct nat_share *share, uint32_t used)
{
	share->taken += used < share->each;
}

static inline void nat_share_lose(struct nat_share *share, uint32_t used)
{
	share->taken -= used <= share->each;
}

/* May this host have one more? True also when there is none at all: that has
 * a reason of its own. */
bool nat_share_allows(const struct nat *nat, enum nat_share_of of,
		      uint32_t host);

/* What a host has of it. */
uint32_t nat_share_used(const struct nat *nat, enum nat_share_of of,
			uint32_t host);

/* Sets all shares after a change of the configuration or of the pools. */
void nat_shares_set(struct nat *nat);

/* What `taken` has to be (for nat_check). */
uint32_t nat_share_count(const struct nat *nat, enum nat_share_of of);

#endif
