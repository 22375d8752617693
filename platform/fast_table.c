/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sessions in the maps of the fast path. bpf/fast_map.h says in which order they
 * are written; readers are other processors, so what they follow is stored by
 * __atomic builtins. What only we know of a slot lies in memory of our own, and
 * pages of it are there once they are needed.
 *
 * Packets that a program is at when its session is given back are carried, but
 * may no longer be counted.
 */
#include "fast_private.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Reads until two halves of a counter fit. A writer that is stopped half-way for
 * longer has us read a value that the next one shows to be wrong. */
#define READS 64

struct owner {
	uint32_t session; /* 0: nobody's */
	uint32_t next; /* resting: who began to rest after it; 0: nobody */
	uint64_t since_ms; /* resting */
	struct fast_use seen[FAST_WAYS]; /* of the use: taken already */
};

struct fast_table {
	struct fast_memory memory;
	struct owner *owners; /* by slot */
	uint32_t *slot_of; /* by session; 0: not carried */
	uint32_t used; /* slots up to this one were somebody's once */
	uint32_t rest_first, rest_last; /* 0: none rests */
	uint32_t look; /* the slot looked at last */
	uint32_t id;
	struct fast_stats stats;
};

static_assert(sizeof(struct fast_key) == 16, "a hash key without padding");
static_assert(sizeof(struct fast_slot) == 128, "two cache lines");
static_assert(sizeof(struct fast_bucket) == 32, "half a cache line");

/* --- life ----------------------------------------------------------------- */

uint32_t fast_bucket_count(uint32_t sessions)
{
	uint32_t wanted = (4 * FAST_WAYS * sessions + FAST_BUCKET_ENTRIES - 1) /
			  FAST_BUCKET_ENTRIES;
	uint32_t count = 1;

	while (count < wanted)
		count *= 2;
	return count;
}

static size_t owners_bytes(const struct fast_table *table)
{
	return table->memory.slot_count * sizeof(struct owner);
}

static size_t slot_of_bytes(void)
{
	return ((size_t)NAT_LIMIT_MAX + 1) * sizeof(uint32_t);
}

/* Zeroed pages; NULL: none. */
static void *pages(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

struct fast_table *fast_table_new(const struct fast_memory *memory,
				  uint32_t mark_shift, uint32_t seed,
				  uint32_t id)
{
	struct fast_table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->memory = *memory;
	table->id = id;
	table->owners = pages(owners_bytes(table));
	table->slot_of = pages(slot_of_bytes());
	if (!table->owners || !table->slot_of) {
		fast_table_free(table);
		errno = ENOMEM;
		return NULL;
	}
	memory->head->seed = seed;
	memory->head->mask = memory->bucket_count - 1;
	memory->head->mark[FAST_OUT] = (uint32_t)NAT_MARK_OUTBOUND
				       << mark_shift;
	memory->head->mark[FAST_IN] = (uint32_t)NAT_MARK_INBOUND << mark_shift;
	return table;
}

void fast_table_free(struct fast_table *table)
{
	if (!table)
		return;
	fast_table_alive(table, 0);
	__atomic_store_n(&table->memory.head->uplink, 0, __ATOMIC_RELEASE);
	if (table->owners)
		munmap(table->owners, owners_bytes(table));
	if (table->slot_of)
		munmap(table->slot_of, slot_of_bytes());
	free(table);
}

/* --- counters ------------------------------------------------------------- */

static uint64_t read_halves(uint32_t (*half)(const void *counter, bool high),
			    const void *counter)
{
	uint32_t high = half(counter, true), low = 0;

	for (int i = 0; i < READS; i++) {
		uint32_t before = high;

		low = half(counter, false);
		high = half(counter, true);
		if (high == before)
			break;
	}
	return (uint64_t)high << 32 | low;
}

/* A writer that stores the lower half first lets the counter fall by 2^32 for a
 * moment, one that stores the upper half first lets it rise by as much: the next
 * reading tells. */
uint64_t fast_halves(uint32_t (*half)(const void *counter, bool high),
		     const void *counter)
{
	uint64_t last = read_halves(half, counter);

	for (int i = 0; i < READS; i++) {
		uint64_t now = read_halves(half, counter);

		if (now - last < UINT64_C(1) << 31)
			return now;
		last = now;
	}
	return last;
}

static uint32_t half_of(const void *counter, bool high)
{
	const bool first_is_high = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
	const volatile uint32_t *halves = counter;

	return halves[high != first_is_high];
}

static uint64_t read_counter(const __u64 *counter)
{
	if (sizeof(long) >= sizeof(*counter))
		return *(const volatile __u64 *)counter;
	return fast_halves(half_of, counter);
}

/* What a counter has grown by. */
static uint64_t take(const __u64 *counter, __u64 *seen)
{
	uint64_t now = read_counter(counter), more;

	if (now <= *seen)
		return 0;
	more = now - *seen;
	*seen = now;
	return more;
}

static void take_use(struct fast_table *table, uint32_t number,
		     struct nat_counters *use)
{
	struct fast_use *from = table->memory.slots[number].use;
	struct fast_use *seen = table->owners[number].seen;
	struct fast_use more[FAST_WAYS];

	for (int way = 0; way < FAST_WAYS; way++) {
		more[way].packets =
			take(&from[way].packets, &seen[way].packets);
		more[way].bytes = take(&from[way].bytes, &seen[way].bytes);
		table->stats.packets += more[way].packets;
		table->stats.bytes += more[way].bytes;
	}
	use->out_packets += more[FAST_OUT].packets;
	use->out_bytes += more[FAST_OUT].bytes;
	use->in_packets += more[FAST_IN].packets;
	use->in_bytes += more[FAST_IN].bytes;
}

static bool is_used(const struct fast_table *table, uint32_t number)
{
	const struct fast_use *now = table->memory.slots[number].use;
	const struct fast_use *seen = table->owners[number].seen;

	for (int way = 0; way < FAST_WAYS; way++)
		if (read_counter(&now[way].packets) > seen[way].packets ||
		    read_counter(&now[way].bytes) > seen[way].bytes)
			return true;
	return false;
}

/* --- slots and buckets ---------------------------------------------------- */

/* One that has rested, else one that was never anybody's; 0: none. */
static uint32_t take_slot(struct fast_table *table, uint64_t now_ms)
{
	uint32_t number = table->rest_first;
	const struct owner *owner = &table->owners[number];

	if (number && now_ms - owner->since_ms > FAST_REST_MS) {
		table->rest_first = owner->next;
		if (!table->rest_first)
			table->rest_last = 0;
		table->stats.resting--;
		return number;
	}
	if (table->used + 1 < table->memory.slot_count)
		return ++table->used;
	return 0;
}

static void rest_slot(struct fast_table *table, uint32_t number,
		      uint64_t now_ms)
{
	struct owner *owner = &table->owners[number];

	memset(owner, 0, sizeof(*owner));
	owner->since_ms = now_ms;
	if (table->rest_last)
		table->owners[table->rest_last].next = number;
	else
		table->rest_first = number;
	table->rest_last = number;
	table->stats.resting++;
}

/* Where in its bucket this value is, not at except; NULL: nowhere. */
static __u32 *find_entry(const struct fast_table *table, uint32_t hash,
			 uint32_t value, const __u32 *except)
{
	const struct fast_memory *memory = &table->memory;
	__u32 *entry = memory->buckets[hash & (memory->bucket_count - 1)].entry;

	for (int i = 0; i < FAST_BUCKET_ENTRIES; i++)
		if (entry[i] == value && &entry[i] != except)
			return &entry[i];
	return NULL;
}

/* Whether the bucket that entries of this hash are in is filled. Its word is
 * written whole, or on a 32-bit machine in halves: bits of others stay as they
 * are. */
static void mark_filled(struct fast_table *table, uint32_t hash)
{
	uint32_t place = hash & (table->memory.bucket_count - 1);
	volatile __u64 *bits =
		&table->memory.filled[fast_filled_word(place)].bits;
	__u32 any = 0;

	for (int i = 0; i < FAST_BUCKET_ENTRIES; i++)
		any |= table->memory.buckets[place].entry[i];
	if (any)
		*bits |= fast_filled_bit(place);
	else
		*bits &= ~fast_filled_bit(place);
}

static void make_keys(const struct nat_carried *carried,
		      struct fast_key key[FAST_WAYS])
{
	key[FAST_OUT] = (struct fast_key){
		.src = htonl(carried->inside_addr),
		.dst = htonl(carried->peer_addr),
		.sport = htons(carried->inside_port),
		.dport = htons(carried->peer_port),
		.proto = carried->proto,
		.way = FAST_OUT,
	};
	key[FAST_IN] = (struct fast_key){
		.src = htonl(carried->peer_addr),
		.dst = htonl(carried->outside_addr),
		.sport = htons(carried->peer_port),
		.dport = htons(carried->outside_port),
		.proto = carried->proto,
		.way = FAST_IN,
	};
}

static void fill_slot(struct fast_table *table, uint32_t number,
		      const struct fast_key key[FAST_WAYS])
{
	struct fast_slot *slot = &table->memory.slots[number];

	memcpy(slot->key, key, sizeof(slot->key));
	memset(slot->use, 0, sizeof(slot->use));
	memset(slot->end, 0, sizeof(slot->end));
	slot->inside = 0;
	slot->id = fast_mix(table->id++);
	__atomic_store_n(&slot->live, 1, __ATOMIC_RELEASE);
}

static void count_sessions(struct fast_table *table, uint32_t sessions)
{
	table->stats.sessions = sessions;
	__atomic_store_n(&table->memory.head->sessions, sessions,
			 __ATOMIC_RELAXED);
}

bool fast_table_carry(struct fast_table *table,
		      const struct nat_carried *carried, uint64_t now_ms)
{
	__u32 hash[FAST_WAYS], *entry[FAST_WAYS], *before = NULL;
	uint32_t session = carried->session, number;
	struct fast_key key[FAST_WAYS];

	assert(session && session <= NAT_LIMIT_MAX && !table->slot_of[session]);
	make_keys(carried, key);
	/* Both may be in one bucket. */
	for (int way = 0; way < FAST_WAYS; way++) {
		hash[way] = fast_hash(&key[way], table->memory.head->seed);
		entry[way] = find_entry(table, hash[way], 0, before);
		before = entry[way];
		if (!before)
			break;
	}
	number = before ? take_slot(table, now_ms) : 0;
	if (!number) {
		table->stats.no_room++;
		return false;
	}
	fill_slot(table, number, key);
	for (int way = 0; way < FAST_WAYS; way++) {
		__atomic_store_n(entry[way], fast_entry(hash[way], number),
				 __ATOMIC_RELEASE);
		mark_filled(table, hash[way]);
	}
	table->owners[number].session = session;
	memset(table->owners[number].seen, 0,
	       sizeof(table->owners[number].seen));
	table->slot_of[session] = number;
	count_sessions(table, table->stats.sessions + 1);
	table->stats.handed_over++;
	return true;
}

/* The ways are the engine's ends: what goes out is what the inside one says. */
static void take_ends(const struct fast_slot *slot,
		      struct nat_carried_end ends[FAST_WAYS])
{
	for (int way = 0; way < FAST_WAYS; way++)
		ends[way] = (struct nat_carried_end){
			.known = slot->end[way].known,
			.ack = ntohl(slot->end[way].ack),
			.window = ntohs(slot->end[way].window),
		};
}

void fast_table_give_back(struct fast_table *table, uint32_t session,
			  struct nat_counters *use,
			  struct nat_carried_end ends[FAST_WAYS],
			  uint64_t now_ms)
{
	uint32_t number = table->slot_of[session];
	struct fast_slot *slot = &table->memory.slots[number];

	if (!number)
		return;
	for (int way = 0; way < FAST_WAYS; way++) {
		uint32_t hash =
			fast_hash(&slot->key[way], table->memory.head->seed);
		__u32 *entry =
			find_entry(table, hash, fast_entry(hash, number), NULL);

		if (entry)
			__atomic_store_n(entry, 0, __ATOMIC_RELEASE);
		mark_filled(table, hash);
	}
	__atomic_store_n(&slot->live, 0, __ATOMIC_SEQ_CST);
	take_use(table, number, use);
	take_ends(slot, ends);
	table->slot_of[session] = 0;
	count_sessions(table, table->stats.sessions - 1);
	rest_slot(table, number, now_ms);
}

void fast_table_use(struct fast_table *table, uint32_t session,
		    struct nat_counters *use)
{
	if (table->slot_of[session])
		take_use(table, table->slot_of[session], use);
}

/* --- all of it ------------------------------------------------------------ */

/* In two stores on a 32-bit machine: what is between them ends soon, or a little
 * later. */
void fast_table_alive(struct fast_table *table, uint64_t until_ns)
{
	*(volatile __u64 *)&table->memory.head->until_ns = until_ns;
}

void fast_table_look(struct fast_table *table,
		     void (*used)(void *context, uint32_t session),
		     void *context)
{
	uint32_t left = table->used < FAST_LOOKS ? table->used : FAST_LOOKS;

	for (; left; left--) {
		uint32_t number = table->look % table->used + 1;
		uint32_t session = table->owners[number].session;

		table->look = number;
		if (session && is_used(table, number))
			used(context, session);
	}
}

/* Behind which device a host is the program finds anew: its own may be gone. */
static void forget_inside(struct fast_table *table)
{
	for (uint32_t i = 1; i <= table->used; i++)
		__atomic_store_n(&table->memory.slots[i].inside, 0,
				 __ATOMIC_RELAXED);
}

void fast_table_devices(struct fast_table *table, uint32_t uplink,
			const uint32_t *inside, uint32_t inside_count)
{
	struct fast_head *head = table->memory.head;

	assert(inside_count <= FAST_INSIDE_MAX);
	if (head->uplink == uplink && head->inside_count == inside_count &&
	    !memcmp(head->inside, inside, inside_count * sizeof(*inside)))
		return;
	__atomic_store_n(&head->uplink, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&head->inside_count, 0, __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < inside_count; i++)
		__atomic_store_n(&head->inside[i], inside[i], __ATOMIC_RELAXED);
	forget_inside(table);
	__atomic_store_n(&head->inside_count, inside_count, __ATOMIC_RELEASE);
	__atomic_store_n(&head->uplink, uplink, __ATOMIC_RELEASE);
}

void fast_table_stats(const struct fast_table *table, struct fast_stats *stats)
{
	unsigned devices = stats->devices;

	*stats = table->stats;
	stats->devices = devices;
}
