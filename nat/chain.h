/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The index of what there is one of for every connection: chains of record
 * slots by hash, four bytes a bucket and four a record. uthash (index.h) asks
 * for 56 and 16 there, two fifths of all that a connection takes; it serves
 * where records are few.
 *
 * The keys stay in the records: who looks something up walks the chain and
 * compares.
 *
 *	for (slot = nat_chain_first(c, hash); slot;
 *	     slot = nat_chain_next(c, slot, hash))
 *		if (the record in `slot` is it)
 *
 * An entry is a slot and, above it, the highest bits of its hash: a record of
 * another key is hardly ever touched. The lowest bits choose the bucket. Order:
 * the last one added comes first.
 */
#ifndef PORTICO_NAT_CHAIN_H
#define PORTICO_NAT_CHAIN_H

#include <stddef.h>
#include <stdint.h>

#define NAT_CHAIN_SLOT_BITS 23
#define NAT_CHAIN_SLOT ((1U << NAT_CHAIN_SLOT_BITS) - 1)

struct nat_chain {
	uint32_t *heads; /* by bucket; 0: an empty one */
	uint32_t *nexts; /* by slot */
	uint32_t mask; /* number of buckets - 1 */
	uint32_t count;
	uint32_t removals; /* how often one was taken out */
};

/* Bytes for slots 1..capacity, to be aligned to 4. */
size_t nat_chain_size(uint32_t capacity);
/* memory: zeroed, nat_chain_size(capacity) bytes. */
void nat_chain_init(struct nat_chain *chain, uint32_t capacity, void *memory);

/* The slot of an entry or of one behind it whose hash may be this one. */
static inline uint32_t nat_chain_skip(const struct nat_chain *chain,
				      uint32_t entry, uint32_t hash)
{
	while (entry && (entry ^ hash) >> NAT_CHAIN_SLOT_BITS)
		entry = chain->nexts[entry & NAT_CHAIN_SLOT];
	return entry & NAT_CHAIN_SLOT;
}

/* The slots that may have been added under this hash; 0: no more. */
static inline uint32_t nat_chain_first(const struct nat_chain *chain,
				       uint32_t hash)
{
	return nat_chain_skip(chain, chain->heads[hash & chain->mask], hash);
}

static inline uint32_t nat_chain_next(const struct nat_chain *chain,
				      uint32_t slot, uint32_t hash)
{
	return nat_chain_skip(chain, chain->nexts[slot], hash);
}

/* The slot must not be in the index; and must be, under this hash. */
void nat_chain_add(struct nat_chain *chain, uint32_t slot, uint32_t hash);
void nat_chain_remove(struct nat_chain *chain, uint32_t slot, uint32_t hash);

#endif
