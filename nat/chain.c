/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "chain.h"

#include "invariant.h"

/* At least one bucket a slot. */
static uint32_t buckets(uint32_t capacity)
{
	uint32_t count = 16;

	while (count < capacity)
		count *= 2;
	return count;
}

size_t nat_chain_size(uint32_t capacity)
{
	return ((size_t)buckets(capacity) + capacity + 1) * sizeof(uint32_t);
}

void nat_chain_init(struct nat_chain *chain, uint32_t capacity, void *memory)
{
	chain->heads = memory;
	chain->nexts = chain->heads + buckets(capacity);
	chain->mask = buckets(capacity) - 1;
	chain->count = chain->removals = 0;
}

static uint32_t entry_of(uint32_t slot, uint32_t hash)
{
	return slot | (hash & ~NAT_CHAIN_SLOT);
}

void nat_chain_add(struct nat_chain *chain, uint32_t slot, uint32_t hash)
{
	uint32_t *head = &chain->heads[hash & chain->mask];

	chain->nexts[slot] = *head;
	*head = entry_of(slot, hash);
	chain->count++;
}

void nat_chain_remove(struct nat_chain *chain, uint32_t slot, uint32_t hash)
{
	uint32_t *at = &chain->heads[hash & chain->mask];

	while (*at != entry_of(slot, hash)) {
		nat_invariant(*at != 0);
		at = &chain->nexts[*at & NAT_CHAIN_SLOT];
	}
	*at = chain->nexts[slot];
	chain->count--;
	chain->removals++;
}
