/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sessions in the maps of the fast path: what the kernel's program finds there,
 * by a reader that does what it does.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dice.h"
#include "platform/fast_private.h"
#include "suite.h"

#define SESSIONS 200
#define SEED 0x12345678U
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct fast_memory memory;
static struct fast_table *table;
static uint64_t now_ms;

static void begin(uint32_t sessions, uint32_t buckets)
{
	memory = (struct fast_memory){
		.head = calloc(1, sizeof(*memory.head)),
		.buckets = calloc(buckets, sizeof(*memory.buckets)),
		.slots = calloc(sessions + 1, sizeof(*memory.slots)),
		.bucket_count = buckets,
		.slot_count = sessions + 1,
	};
	now_ms = 5;
	table = fast_table_new(&memory, 4, SEED, 7);
	CU_ASSERT_PTR_NOT_NULL_FATAL(table);
}

static void end(void)
{
	fast_table_free(table);
	CU_ASSERT_EQUAL(memory.head->until_ns, 0);
	CU_ASSERT_EQUAL(memory.head->uplink, 0);
	free(memory.head);
	free(memory.buckets);
	free(memory.slots);
}

static struct nat_carried session_of(uint32_t number)
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
static struct fast_key packet_of(uint32_t number, enum fast_way way)
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

/* What the program does: the slot of a packet, or NULL. */
static struct fast_slot *look_up(const struct fast_key *key)
{
	uint32_t hash = fast_hash(key, memory.head->seed);
	const struct fast_bucket *bucket =
		&memory.buckets[hash & memory.head->mask];

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

static struct fast_slot *slot_of(uint32_t number, enum fast_way way)
{
	struct fast_key key = packet_of(number, way);

	return look_up(&key);
}

static bool carry(uint32_t number)
{
	struct nat_carried session = session_of(number);

	return fast_table_carry(table, &session, now_ms);
}

static struct nat_counters give_back(uint32_t number)
{
	struct nat_counters use = { 0, 0, 0, 0 };

	fast_table_give_back(table, number, &use, now_ms);
	return use;
}

static struct fast_stats stats(void)
{
	struct fast_stats found = { .devices = 0 };

	fast_table_stats(table, &found);
	return found;
}

static size_t entries(void)
{
	size_t count = 0;

	for (uint32_t i = 0; i < memory.bucket_count; i++)
		for (int j = 0; j < FAST_BUCKET_ENTRIES; j++)
			count += memory.buckets[i].entry[j] != 0;
	return count;
}

/* --- single steps --------------------------------------------------------- */

static void test_sizes(void)
{
	static const uint32_t sessions[] = {
		1, 2, 3, 1000, 131072, 131073, FAST_SESSIONS_MAX
	};

	for (size_t i = 0; i < COUNT(sessions); i++) {
		uint64_t places = (uint64_t)fast_bucket_count(sessions[i]) *
				  FAST_BUCKET_ENTRIES;

		CU_ASSERT(!(places & (places - 1)));
		CU_ASSERT(places >= 4 * (uint64_t)sessions[i]);
		CU_ASSERT(places < 8 * (uint64_t)sessions[i] ||
			  places == FAST_BUCKET_ENTRIES);
		/* The upper bits of a hash say something of their own. */
		CU_ASSERT(places / FAST_BUCKET_ENTRIES <= FAST_SLOT_MASK);
	}
}

static void test_head(void)
{
	begin(SESSIONS, 64);
	CU_ASSERT_EQUAL(memory.head->seed, SEED);
	CU_ASSERT_EQUAL(memory.head->mask, 63);
	CU_ASSERT_EQUAL(memory.head->mark[FAST_IN], 0x10);
	CU_ASSERT_EQUAL(memory.head->mark[FAST_OUT], 0x20);
	CU_ASSERT_EQUAL(memory.head->until_ns, 0);
	fast_table_alive(table, 0x123456789abcdef0);
	CU_ASSERT_EQUAL(memory.head->until_ns, 0x123456789abcdef0);
	end();
}

static void test_both_ways_are_found(void)
{
	struct fast_slot *slot;
	struct fast_key other;

	begin(SESSIONS, 64);
	CU_ASSERT_TRUE(carry(3));
	slot = slot_of(3, FAST_OUT);
	CU_ASSERT_PTR_NOT_NULL_FATAL(slot);
	CU_ASSERT_PTR_EQUAL(slot_of(3, FAST_IN), slot);
	/* In the order of the wire: what leaves is the other key turned round. */
	CU_ASSERT_EQUAL(slot->key[FAST_IN].dst, htonl(0xcb007101));
	CU_ASSERT_EQUAL(slot->key[FAST_IN].dport, htons(2003));
	CU_ASSERT_EQUAL(slot->key[FAST_OUT].src, htonl(0xc0a80003));
	CU_ASSERT_EQUAL(slot->key[FAST_OUT].sport, htons(1003));
	other = packet_of(3, FAST_OUT);
	other.way = FAST_IN;
	CU_ASSERT_PTR_NULL(look_up(&other));
	other = packet_of(3, FAST_OUT);
	other.proto = NAT_PROTO_UDP;
	CU_ASSERT_PTR_NULL(look_up(&other));
	CU_ASSERT_EQUAL(stats().sessions, 1);
	CU_ASSERT_EQUAL(stats().handed_over, 1);
	give_back(3);
	CU_ASSERT_PTR_NULL(slot_of(3, FAST_OUT));
	CU_ASSERT_PTR_NULL(slot_of(3, FAST_IN));
	CU_ASSERT_EQUAL(slot->live, 0);
	CU_ASSERT_EQUAL(entries(), 0);
	CU_ASSERT_EQUAL(stats().sessions, 0);
	CU_ASSERT_EQUAL(stats().resting, 1);
	/* Once is enough, and of one that is not carried there is nothing. */
	give_back(3);
	CU_ASSERT_EQUAL(stats().resting, 1);
	end();
}

static void test_ids_differ(void)
{
	begin(SESSIONS, 64);
	carry(1);
	carry(2);
	CU_ASSERT_NOT_EQUAL(slot_of(1, FAST_OUT)->id, slot_of(2, FAST_OUT)->id);
	end();
}

static void test_the_largest_session_number(void)
{
	begin(SESSIONS, 64);
	CU_ASSERT_TRUE(carry(NAT_LIMIT_MAX));
	CU_ASSERT_PTR_NOT_NULL(slot_of(NAT_LIMIT_MAX, FAST_IN));
	give_back(NAT_LIMIT_MAX);
	CU_ASSERT_EQUAL(entries(), 0);
	end();
}

static void test_a_slot_rests(void)
{
	struct fast_slot *slot;
	uint64_t back;

	begin(2, 64);
	CU_ASSERT_TRUE(carry(1));
	CU_ASSERT_TRUE(carry(2));
	slot = slot_of(1, FAST_OUT);
	slot->use[FAST_IN].packets = 9;
	slot->inside = 12;
	CU_ASSERT_FALSE(carry(3));
	CU_ASSERT_EQUAL(stats().no_room, 1);
	give_back(1);
	back = now_ms;
	now_ms = back + FAST_REST_MS;
	CU_ASSERT_FALSE(carry(3));
	CU_ASSERT_EQUAL(entries(), 2);
	now_ms = back + FAST_REST_MS + 1;
	CU_ASSERT_TRUE(carry(3));
	CU_ASSERT_PTR_EQUAL(slot_of(3, FAST_IN), slot);
	CU_ASSERT_EQUAL(slot->use[FAST_IN].packets, 0);
	CU_ASSERT_EQUAL(slot->inside, 0);
	CU_ASSERT_EQUAL(stats().resting, 0);
	CU_ASSERT_EQUAL(stats().no_room, 2);
	end();
}

/* In the order in which they were given back. */
static void test_who_rested_longest_comes_first(void)
{
	struct fast_slot *slots[3];

	begin(3, 64);
	for (uint32_t i = 0; i < 3; i++) {
		carry(i + 1);
		slots[i] = slot_of(i + 1, FAST_OUT);
	}
	give_back(2);
	now_ms += 10;
	give_back(1);
	give_back(3);
	now_ms += FAST_REST_MS - 5;
	CU_ASSERT_TRUE(carry(4));
	CU_ASSERT_PTR_EQUAL(slot_of(4, FAST_OUT), slots[1]);
	CU_ASSERT_FALSE(carry(5));
	now_ms += 6;
	CU_ASSERT_TRUE(carry(5));
	CU_ASSERT_PTR_EQUAL(slot_of(5, FAST_OUT), slots[0]);
	CU_ASSERT_TRUE(carry(6));
	CU_ASSERT_PTR_EQUAL(slot_of(6, FAST_OUT), slots[2]);
	end();
}

/* With one bucket, four sessions fill it; the fifth leaves nothing behind. */
static void test_a_full_bucket(void)
{
	begin(SESSIONS, 1);
	for (uint32_t i = 1; i <= 4; i++)
		CU_ASSERT_TRUE(carry(i));
	CU_ASSERT_FALSE(carry(5));
	CU_ASSERT_EQUAL(stats().no_room, 1);
	CU_ASSERT_EQUAL(stats().sessions, 4);
	CU_ASSERT_EQUAL(stats().resting, 0);
	CU_ASSERT_EQUAL(memory.slots[5].live, 0);
	give_back(2);
	CU_ASSERT_TRUE(carry(5));
	for (uint32_t i = 1; i <= 5; i++)
		CU_ASSERT_EQUAL(slot_of(i, FAST_IN) != NULL, i != 2);
	end();
}

/* Room for one of the two keys only, in each place. */
static void test_half_a_room(void)
{
	begin(SESSIONS, 1);
	for (int i = 1; i < FAST_BUCKET_ENTRIES; i++)
		memory.buckets[0].entry[i] = 0xfff00000 | (uint32_t)(100 + i);
	CU_ASSERT_FALSE(carry(1));
	CU_ASSERT_EQUAL(memory.buckets[0].entry[0], 0);
	CU_ASSERT_EQUAL(stats().no_room, 1);
	memory.buckets[0].entry[5] = 0;
	CU_ASSERT_TRUE(carry(1));
	CU_ASSERT_EQUAL(entries(), FAST_BUCKET_ENTRIES);
	CU_ASSERT_PTR_NOT_NULL(slot_of(1, FAST_OUT));
	CU_ASSERT_PTR_NOT_NULL(slot_of(1, FAST_IN));
	end();
}

/* --- use ------------------------------------------------------------------ */

static void add_use(struct fast_slot *slot, enum fast_way way, uint64_t bytes)
{
	slot->use[way].packets++;
	slot->use[way].bytes += bytes;
}

static void test_use_is_told_once(void)
{
	struct nat_counters use = { 100, 100, 100, 100 };
	struct fast_slot *slot;

	begin(SESSIONS, 64);
	carry(1);
	slot = slot_of(1, FAST_OUT);
	add_use(slot, FAST_OUT, 1500);
	add_use(slot, FAST_OUT, 40);
	add_use(slot, FAST_IN, UINT64_C(1) << 40);
	fast_table_use(table, 1, &use);
	CU_ASSERT_EQUAL(use.out_packets, 102);
	CU_ASSERT_EQUAL(use.out_bytes, 1640);
	CU_ASSERT_EQUAL(use.in_packets, 101);
	CU_ASSERT_EQUAL(use.in_bytes, (UINT64_C(1) << 40) + 100);
	fast_table_use(table, 1, &use);
	CU_ASSERT_EQUAL(use.out_packets, 102);
	fast_table_use(table, 2, &use); /* not carried */
	CU_ASSERT_EQUAL(use.in_packets, 101);
	add_use(slot, FAST_IN, 60);
	use = give_back(1);
	CU_ASSERT_EQUAL(use.out_packets, 0);
	CU_ASSERT_EQUAL(use.in_packets, 1);
	CU_ASSERT_EQUAL(use.in_bytes, 60);
	CU_ASSERT_EQUAL(stats().packets, 4);
	CU_ASSERT_EQUAL(stats().bytes, (UINT64_C(1) << 40) + 1600);
	/* Nothing of that is the next one's. */
	now_ms += FAST_REST_MS + 1;
	carry(2);
	CU_ASSERT_PTR_EQUAL(slot_of(2, FAST_OUT), slot);
	add_use(slot, FAST_OUT, 20);
	use = give_back(2);
	CU_ASSERT_EQUAL(use.out_packets, 1);
	CU_ASSERT_EQUAL(use.out_bytes, 20);
	CU_ASSERT_EQUAL(use.in_packets, 0);
	end();
}

/* A reading that was wrong is no reason to count 2^64. */
static void test_a_counter_that_falls(void)
{
	struct nat_counters use = { 0, 0, 0, 0 };
	struct fast_slot *slot;

	begin(SESSIONS, 64);
	carry(1);
	slot = slot_of(1, FAST_OUT);
	slot->use[FAST_IN].bytes = 1000;
	fast_table_use(table, 1, &use);
	slot->use[FAST_IN].bytes = 900;
	fast_table_use(table, 1, &use);
	CU_ASSERT_EQUAL(use.in_bytes, 1000);
	slot->use[FAST_IN].bytes = 1100;
	fast_table_use(table, 1, &use);
	CU_ASSERT_EQUAL(use.in_bytes, 1100);
	end();
}

static unsigned told[3 * FAST_LOOKS];

static void on_used(void *context, uint32_t session)
{
	struct nat_counters use = { 0, 0, 0, 0 };

	CU_ASSERT_PTR_EQUAL(context, &memory);
	told[session]++;
	fast_table_use(table, session, &use);
}

static void look(void)
{
	memset(told, 0, sizeof(told));
	fast_table_look(table, on_used, &memory);
}

static void test_used_sessions_are_told(void)
{
	begin(SESSIONS, 64);
	look();
	carry(1);
	carry(2);
	carry(3);
	look();
	CU_ASSERT_EQUAL(told[1] + told[2] + told[3], 0);
	add_use(slot_of(2, FAST_IN), FAST_IN, 1);
	slot_of(3, FAST_IN)->use[FAST_OUT].bytes++;
	look();
	CU_ASSERT_EQUAL(told[1], 0);
	CU_ASSERT_EQUAL(told[2], 1);
	CU_ASSERT_EQUAL(told[3], 1);
	look();
	CU_ASSERT_EQUAL(told[2] + told[3], 0);
	end();
}

/* In one tick no more than FAST_LOOKS are looked at, in the next one those that
 * come after them. */
static void test_a_large_table_is_told_in_parts(void)
{
	const uint32_t sessions = 2 * FAST_LOOKS + 100;
	size_t count[3] = { 0, 0, 0 };
	uint32_t twice = 0;

	begin(sessions, fast_bucket_count(8 * sessions));
	for (uint32_t i = 1; i <= sessions; i++) {
		CU_ASSERT_TRUE_FATAL(carry(i));
		add_use(slot_of(i, FAST_OUT), FAST_OUT, 1);
	}
	for (int part = 0; part < 3; part++) {
		look();
		for (uint32_t i = 1; i <= sessions; i++) {
			count[part] += told[i];
			twice += told[i] > 1;
		}
	}
	CU_ASSERT_EQUAL(count[0], FAST_LOOKS);
	CU_ASSERT_EQUAL(count[1], FAST_LOOKS);
	CU_ASSERT_EQUAL(count[2], 100);
	CU_ASSERT_EQUAL(twice, 0);
	end();
}

/* A counter of two halves that a writer adds to while it is read: its two stores
 * come before the step-th reading and gap readings later. */
static struct torn {
	uint32_t high, low, new_high, new_low;
	bool low_first;
	unsigned reads, step, gap;
} torn;

static void store(bool high)
{
	if (high)
		torn.high = torn.new_high;
	else
		torn.low = torn.new_low;
}

static uint32_t read_torn(const void *counter, bool high)
{
	CU_ASSERT_PTR_EQUAL(counter, &torn);
	if (torn.reads == torn.step)
		store(!torn.low_first);
	if (torn.reads == torn.step + torn.gap)
		store(torn.low_first);
	torn.reads++;
	return high ? torn.high : torn.low;
}

static void test_half_a_carry_is_not_read(void)
{
	const uint64_t before = 0x7fffffff0, after = 0x800000010;

	for (unsigned i = 0; i < 2 * 12 * 4; i++) {
		uint64_t found;

		torn = (struct torn){
			.high = (uint32_t)(before >> 32),
			.low = (uint32_t)before,
			.new_high = (uint32_t)(after >> 32),
			.new_low = (uint32_t)after,
			.low_first = i & 1,
			.step = i / 2 % 12,
			.gap = i / 24,
		};
		found = fast_halves(read_torn, &torn);
		CU_ASSERT(found == before || found == after);
		if (found != before && found != after)
			printf("low_first %d, step %u, gap %u: %llx\n",
			       torn.low_first, torn.step, torn.gap,
			       (unsigned long long)found);
	}
}

/* --- devices -------------------------------------------------------------- */

static void test_devices(void)
{
	static const uint32_t inside[] = { 4, 5, 6 };

	begin(SESSIONS, 64);
	carry(1);
	fast_table_devices(table, 3, inside, 2);
	CU_ASSERT_EQUAL(memory.head->uplink, 3);
	CU_ASSERT_EQUAL(memory.head->inside_count, 2);
	CU_ASSERT_EQUAL(memory.head->inside[1], 5);
	/* What the program found of hosts holds while devices do. */
	slot_of(1, FAST_IN)->inside = 5;
	fast_table_devices(table, 3, inside, 2);
	CU_ASSERT_EQUAL(slot_of(1, FAST_IN)->inside, 5);
	fast_table_devices(table, 3, inside, 3);
	CU_ASSERT_EQUAL(memory.head->inside_count, 3);
	CU_ASSERT_EQUAL(memory.head->inside[2], 6);
	CU_ASSERT_EQUAL(slot_of(1, FAST_IN)->inside, 0);
	fast_table_devices(table, 0, inside, 0);
	CU_ASSERT_EQUAL(memory.head->uplink, 0);
	CU_ASSERT_EQUAL(memory.head->inside_count, 0);
	end();
}

/* --- many steps, against a model ------------------------------------------ */

#define STEPS 10000
#define NUMBERS 400

static struct {
	bool carried;
	uint64_t packets[FAST_WAYS]; /* not taken yet */
} model[NUMBERS + 1];

static void judge_use(uint32_t number, const struct nat_counters *use)
{
	CU_ASSERT_EQUAL(use->out_packets, model[number].packets[FAST_OUT]);
	CU_ASSERT_EQUAL(use->in_packets, model[number].packets[FAST_IN]);
	CU_ASSERT_EQUAL(use->out_bytes, 7 * use->out_packets);
	CU_ASSERT_EQUAL(use->in_bytes, 7 * use->in_packets);
	memset(model[number].packets, 0, sizeof(model[number].packets));
}

static void step(struct dice *dice)
{
	uint32_t number = 1 + dice_roll(dice, NUMBERS);
	uint32_t way = dice_roll(dice, FAST_WAYS);
	struct nat_counters use = { 0, 0, 0, 0 };
	bool carried = model[number].carried;

	now_ms += dice_roll(dice, 20);
	switch (dice_roll(dice, 4)) {
	case 0:
		if (!carried)
			model[number].carried = carry(number);
		return;
	case 1:
		use = give_back(number);
		break;
	case 2:
		if (carried) {
			add_use(slot_of(number, (enum fast_way)way),
				(enum fast_way)way, 7);
			model[number].packets[way]++;
		}
		return;
	default:
		fast_table_use(table, number, &use);
		judge_use(number, &use);
		return;
	}
	judge_use(number, &use);
	model[number].carried = false;
}

static void test_many_steps(void)
{
	struct dice dice = { 1 };
	uint32_t refused = 0, wrong = 0;

	begin(SESSIONS, fast_bucket_count(SESSIONS));
	memset(model, 0, sizeof(model));
	for (int i = 0; i < STEPS; i++) {
		uint32_t carried = 0;
		struct fast_stats found;

		step(&dice);
		for (uint32_t n = 1; n <= NUMBERS; n++) {
			const struct fast_slot *slot = slot_of(n, FAST_OUT);

			carried += model[n].carried;
			wrong += (slot != NULL) != model[n].carried ||
				 slot_of(n, FAST_IN) != slot;
		}
		found = stats();
		CU_ASSERT_EQUAL(found.sessions, carried);
		CU_ASSERT(found.sessions + found.resting <= SESSIONS);
		CU_ASSERT_EQUAL(entries(), 2 * (size_t)carried);
		refused = (uint32_t)found.no_room;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(refused > 0);
	CU_ASSERT(stats().handed_over > STEPS / 20);
	end();
}

static const struct test tests[] = {
	{ "buckets are at most half full", test_sizes },
	{ "the head says what is fixed", test_head },
	{ "a session is found both ways until it is given back",
	  test_both_ways_are_found },
	{ "IP ids of sessions differ", test_ids_differ },
	{ "the largest session number", test_the_largest_session_number },
	{ "a slot rests before it is another's", test_a_slot_rests },
	{ "who rested longest comes first",
	  test_who_rested_longest_comes_first },
	{ "a session whose bucket is full is not carried", test_a_full_bucket },
	{ "nor is one of which half has room", test_half_a_room },
	{ "use is told once", test_use_is_told_once },
	{ "a counter that falls adds nothing", test_a_counter_that_falls },
	{ "used sessions are told", test_used_sessions_are_told },
	{ "a large table is told in parts",
	  test_a_large_table_is_told_in_parts },
	{ "half a carry is not read", test_half_a_carry_is_not_read },
	{ "devices change, and hosts are found anew", test_devices },
	{ "10,000 steps are as in a model", test_many_steps },
};

int main(int argc, char **argv)
{
	return suite_run("fast", tests, COUNT(tests), argc, argv);
}
