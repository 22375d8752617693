/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A table of the fast path in ordinary memory, and a reader that does what the
 * kernel's program does.
 */
#ifndef PORTICO_TESTS_FAST_LAB_H
#define PORTICO_TESTS_FAST_LAB_H

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "platform/fast_private.h"
#include "suite.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SESSIONS 200
#define SEED 0x12345678U

static struct fast_memory memory;
static struct fast_table *table;
static uint64_t now_ms;

static inline void begin(uint32_t sessions, uint32_t buckets)
{
	memory = (struct fast_memory){
		.head = calloc(1, sizeof(*memory.head)),
		.filled = calloc(fast_filled_count(buckets),
				 sizeof(*memory.filled)),
		.buckets = calloc(buckets, sizeof(*memory.buckets)),
		.slots = calloc(sessions + 1, sizeof(*memory.slots)),
		.bucket_count = buckets,
		.slot_count = sessions + 1,
	};
	now_ms = 5;
	table = fast_table_new(&memory, 4, SEED, 7);
	CU_ASSERT_PTR_NOT_NULL_FATAL(table);
}

static inline void end(void)
{
	fast_table_free(table);
	CU_ASSERT_EQUAL(memory.head->until_ns, 0);
	CU_ASSERT_EQUAL(memory.head->uplink, 0);
	free(memory.head);
	free(memory.filled);
	free(memory.buckets);
	free(memory.slots);
}

static inline struct nat_carried session_of(uint32_t number)
{
	return (struct nat_carried){
		.session = number,
		.proto = number & 1 ? NAT_PROTO_TCP : NAT_PROTO_UDP,
		.inside_addr = 0xc0a80000 + number,
		.outside_addr = 0xcb007101,
		.peer_addr = 0xc6336400 + (number >> 4),
		.inside_port = (uint16_t)(1000 + number),
		.outside_port = (uint16_t)(2000 + number),
		.peer_port = (uint16_t)(80 + (number & 15)),
	};
}

/* A packet as it comes. */
static inline struct fast_key packet_of(uint32_t number, enum fast_way way)
{
	struct nat_carried s = session_of(number);
	struct fast_key key;

	memset(&key, 0, sizeof(key));
	key.src = htonl(way == FAST_OUT ? s.inside_addr : s.peer_addr);
	key.dst = htonl(way == FAST_OUT ? s.peer_addr : s.outside_addr);
	key.sport = htons(way == FAST_OUT ? s.inside_port : s.peer_port);
	key.dport = htons(way == FAST_OUT ? s.peer_port : s.outside_port);
	key.proto = s.proto;
	key.way = way;
	return key;
}

/* Whether the program would look there. */
static inline bool is_marked(uint32_t place)
{
	return memory.filled[fast_filled_word(place)].bits &
	       fast_filled_bit(place);
}

/* What the program does: the slot of a packet, or NULL. */
static inline struct fast_slot *look_up(const struct fast_key *key)
{
	uint32_t hash = fast_hash(key, memory.head->seed);
	uint32_t place = hash & memory.head->mask;
	const struct fast_bucket *bucket = &memory.buckets[place];

	if (!memory.head->sessions || !is_marked(place))
		return NULL;
	for (int i = 0; i < FAST_BUCKET_ENTRIES; i++) {
		uint32_t entry = bucket->entry[i];
		struct fast_slot *slot;

		if (!entry || fast_entry(hash, entry & FAST_SLOT_MASK) != entry)
			continue;
		slot = &memory.slots[entry & FAST_SLOT_MASK];
		if (slot->live &&
		    !memcmp(&slot->key[key->way], key, sizeof(*key)))
			return slot;
	}
	return NULL;
}

static inline struct fast_slot *slot_of(uint32_t number, enum fast_way way)
{
	struct fast_key key = packet_of(number, way);

	return look_up(&key);
}

static inline bool carry(uint32_t number)
{
	struct nat_carried session = session_of(number);

	return fast_table_carry(table, &session, now_ms);
}

/* What the last one said of the ends. */
static struct nat_carried_end ends[FAST_WAYS];

static inline struct nat_counters give_back(uint32_t number)
{
	struct nat_counters use = { 0, 0, 0, 0 };

	memset(ends, 0, sizeof(ends));
	fast_table_give_back(table, number, &use, ends, now_ms);
	return use;
}

static inline struct fast_stats stats(void)
{
	struct fast_stats found = { .devices = 0 };

	fast_table_stats(table, &found);
	return found;
}

static inline size_t entries(void)
{
	size_t count = 0;

	for (uint32_t i = 0; i < memory.bucket_count; i++)
		for (int j = 0; j < FAST_BUCKET_ENTRIES; j++)
			count += memory.buckets[i].entry[j] != 0;
	return count;
}

/* Buckets that the program would look at, and nothing is there. */
static inline size_t marked_in_vain(void)
{
	size_t count = 0;

	for (uint32_t i = 0; i < memory.bucket_count; i++) {
		bool filled = false;

		for (int j = 0; j < FAST_BUCKET_ENTRIES; j++)
			filled |= memory.buckets[i].entry[j] != 0;
		count += is_marked(i) && !filled;
	}
	return count;
}

static inline void add_use(struct fast_slot *slot, enum fast_way way,
			   uint64_t bytes)
{
	slot->use[way].packets++;
	slot->use[way].bytes += bytes;
}

#endif
