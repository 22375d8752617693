/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How well chains are spread.
 */
#ifndef PORTICO_TESTS_CHAIN_LAB_H
#define PORTICO_TESTS_CHAIN_LAB_H

#include "nat/chain.h"

/* How many slots the longest chain has. */
static inline uint32_t chain_longest(const struct nat_chain *chain)
{
	uint32_t longest = 0;

	for (uint32_t i = 0; i <= chain->mask; i++) {
		uint32_t length = 0, at = chain->heads[i];

		for (; at; at = chain->nexts[at & NAT_CHAIN_SLOT])
			length++;
		if (length > longest)
			longest = length;
	}
	return longest;
}

#endif
