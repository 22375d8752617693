/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Check words: what makes a record that was half-written when its process died,
 * or was changed since, known as such. Each is a hash of what the record is,
 * of its kind and of its slot, under a key that the block's header holds.
 *
 * One process writes and the next one reads after its death, so all that has
 * to be kept is the order in which the program writes.
 */
#ifndef PORTICO_NAT_SEAL_H
#define PORTICO_NAT_SEAL_H

#include <stdatomic.h>
#include <stdint.h>

struct nat;

/* What is written before stays before what is written after it. Not one
 * instruction, but -Os of gcc would call it. */
__attribute__((always_inline)) static inline void nat_fence(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

/* The check word that the record in this slot has to have; never 0. */
uint32_t nat_seal_mapping(const struct nat *nat, uint32_t slot);
uint32_t nat_seal_session(const struct nat *nat, uint32_t slot);
uint32_t nat_seal_tagged(const struct nat *nat, uint32_t slot);
uint32_t nat_seal_host(const struct nat *nat, uint32_t slot);
uint32_t nat_seal_held(const struct nat *nat, uint32_t slot);
uint32_t nat_seal_header(const struct nat *nat);
uint32_t nat_seal_uplink(const struct nat *nat, uint32_t addr);
/* Writes the uplink's address and its check. */
void nat_store_uplink(struct nat *nat, uint32_t addr);

/* A record's birth (all else is written) and its end. */
static inline void nat_seal(uint8_t *live, uint32_t *check, uint32_t word)
{
	*check = word;
	nat_fence();
	*live = 1;
}

static inline void nat_unseal(uint8_t *live, uint32_t *check)
{
	*live = 0;
	nat_fence();
	*check = 0;
}

#endif
