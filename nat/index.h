/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A hash index over an array of records: key -> slot (1.., 0: nobody). The
 * one place of the engine that speaks uthash. Sized once, in the caller's
 * memory: buckets never grow, an emptied index is never freed, nothing here
 * allocates or ends the process.
 */
#ifndef PORTICO_NAT_INDEX_H
#define PORTICO_NAT_INDEX_H

#include <stddef.h>
#include <stdint.h>

struct nat_index_node;

struct nat_index {
	struct nat_index_node *nodes; /* by slot; node 0 is the sentinel */
	struct nat_index_node *head; /* uthash's: always the sentinel */
	uint8_t *memory; /* what uthash may take from */
	size_t memory_left;
	uint32_t buckets_log2;
	uint32_t key_bytes;
};

/* Bytes for an index of slots 1..capacity, to be aligned to 16. */
size_t nat_index_size(uint32_t capacity);

/* memory: zeroed, nat_index_size(capacity) bytes. Keys are key_bytes long and
 * stay at the same place while they are in the index. */
void nat_index_init(struct nat_index *index, uint32_t capacity,
		    uint32_t key_bytes, void *memory);

/* The slot with this key, 0: none. */
uint32_t nat_index_find(const struct nat_index *index, uint32_t hash,
			const void *key);

/* The slots whose key starts with these bytes, one after another; they must
 * all have been added with this hash. after: 0 for the first, then the last
 * one returned. 0: no more. */
uint32_t nat_index_next_prefix(const struct nat_index *index, uint32_t hash,
			       const void *prefix, uint32_t prefix_bytes,
			       uint32_t after);

/* The key must not be in the index yet, nor the slot. */
void nat_index_add(struct nat_index *index, uint32_t slot, uint32_t hash,
		   const void *key);
void nat_index_remove(struct nat_index *index, uint32_t slot);

/* How many slots are in the index. */
uint32_t nat_index_count(const struct nat_index *index);

#endif
