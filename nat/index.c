/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * uthash, tamed: its memory macros take from the index's own block, its bucket
 * number is fixed at init, and a sentinel keeps an emptied table alive.
 */
#include "index.h"

#include <string.h>

#include "invariant.h"

/* uthash's macros run in functions where a `struct nat_index *index` is in
 * scope; that is how they find their memory. Taking cannot fail: the block was
 * sized by nat_index_size(). */
#define uthash_malloc(bytes) take(index, bytes)
#define uthash_free(pointer, bytes) ((void)(pointer))
#define uthash_bzero(pointer, bytes) ((void)(pointer)) /* zeroed already */
#define uthash_fatal(message) nat_invariant(!message)
#include <uthash.h>
#undef HASH_INITIAL_NUM_BUCKETS
#define HASH_INITIAL_NUM_BUCKETS (1U << index->buckets_log2)
#undef HASH_INITIAL_NUM_BUCKETS_LOG2
#define HASH_INITIAL_NUM_BUCKETS_LOG2 index->buckets_log2
#undef HASH_EXPAND_BUCKETS
#define HASH_EXPAND_BUCKETS(...) ((void)0) /* never */

struct nat_index_node {
	UT_hash_handle hh;
};

/* Room for the sentinel's key, which no record can have: see init. */
#define ALIGN 16U

static size_t aligned(size_t bytes)
{
	return (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static void *take(struct nat_index *index, size_t bytes)
{
	uint8_t *at = index->memory;

	nat_invariant(aligned(bytes) <= index->memory_left);
	index->memory += aligned(bytes);
	index->memory_left -= aligned(bytes);
	return at;
}

/* At most two and on average less than one slot a bucket. */
static uint32_t buckets_log2(uint32_t capacity)
{
	uint32_t log2 = 4;

	while (log2 < 31 && 1U << log2 < capacity)
		log2++;
	return log2;
}

size_t nat_index_size(uint32_t capacity)
{
	return aligned(((size_t)capacity + 1) * sizeof(struct nat_index_node)) +
	       aligned(sizeof(UT_hash_table)) +
	       aligned(((size_t)1 << buckets_log2(capacity)) *
		       sizeof(UT_hash_bucket));
}

void nat_index_init(struct nat_index *index, uint32_t capacity,
		    uint32_t key_bytes, void *memory)
{
	index->memory = memory;
	index->memory_left = nat_index_size(capacity);
	index->buckets_log2 = buckets_log2(capacity);
	index->nodes =
		take(index, ((size_t)capacity + 1) * sizeof(*index->nodes));
	index->head = NULL;
	/* A key length of 0 equals no look-up's: the sentinel is never found. */
	index->key_bytes = 0;
	nat_index_add(index, 0, 0, index->nodes);
	index->key_bytes = key_bytes;
}

uint32_t nat_index_find(const struct nat_index *index, uint32_t hash,
			const void *key)
{
	struct nat_index_node *node;

	HASH_FIND_BYHASHVALUE(hh, index->head, key, index->key_bytes, hash,
			      node);
	return node ? (uint32_t)(node - index->nodes) : 0;
}

uint32_t nat_index_next_prefix(const struct nat_index *index, uint32_t hash,
			       const void *prefix, uint32_t prefix_bytes,
			       uint32_t after)
{
	const UT_hash_table *table = index->head->hh.tbl;
	const UT_hash_handle *hh;
	unsigned bucket;

	HASH_TO_BKT(hash, table->num_buckets, bucket);
	hh = after ? index->nodes[after].hh.hh_next :
		     table->buckets[bucket].hh_head;
	for (; hh; hh = hh->hh_next)
		if (hh->hashv == hash && hh->keylen &&
		    !memcmp(hh->key, prefix, prefix_bytes))
			return (uint32_t)((const struct nat_index_node
						   *)(const void *)hh -
					  index->nodes);
	return 0;
}

void nat_index_add(struct nat_index *index, uint32_t slot, uint32_t hash,
		   const void *key)
{
	struct nat_index_node *node = &index->nodes[slot];

	/* Where there is no table yet, uthash makes it. */
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, index->head, key, index->key_bytes,
				    hash, node);
}

void nat_index_remove(struct nat_index *index, uint32_t slot)
{
	struct nat_index_node *node = &index->nodes[slot];

	HASH_DELETE(hh, index->head, node);
}

uint32_t nat_index_count(const struct nat_index *index)
{
	return HASH_CNT(hh, index->head) - 1;
}
