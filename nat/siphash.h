/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SipHash (Aumasson and Bernstein, 2012): a keyed hash, so that nobody who
 * does not know the key can choose colliding tuples. The tables use 1
 * compression and 3 finalisation rounds, as the kernel's tables do; the test
 * vectors of the paper are for 2 and 4.
 */
#ifndef PORTICO_NAT_SIPHASH_H
#define PORTICO_NAT_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct nat_siphash_key {
	uint64_t k0;
	uint64_t k1;
};

/* 16 bytes, little-endian halves as in the paper. */
struct nat_siphash_key nat_siphash_key(const uint8_t bytes[16]);

/* General form: any length, c compression and d finalisation rounds. */
uint64_t nat_siphash(const struct nat_siphash_key *key, const uint8_t *data,
		     size_t length, unsigned c, unsigned d);

/* SipHash-1-3 of 8 and of 16 bytes given as little-endian words: the same
 * value as nat_siphash(..., 1, 3) of those bytes. */
uint64_t nat_siphash_8(const struct nat_siphash_key *key, uint64_t word);
uint64_t nat_siphash_16(const struct nat_siphash_key *key, uint64_t first,
			uint64_t second);

#endif
