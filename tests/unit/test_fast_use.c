/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What sessions on the fast path were used for, and between which devices.
 */
#include <stdio.h>

#include "fast_lab.h"

/* --- use ------------------------------------------------------------------ */

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

static void test_ends_are_told_as_they_spoke_last(void)
{
	struct fast_slot *slot;

	begin(1, 64);
	carry(1);
	slot = slot_of(1, FAST_OUT);
	slot->end[FAST_IN] =
		(struct fast_end){ htonl(0x12345678), htons(0xabcd), 1 };
	give_back(1);
	CU_ASSERT_FALSE(ends[FAST_OUT].known);
	CU_ASSERT_TRUE(ends[FAST_IN].known);
	CU_ASSERT_EQUAL(ends[FAST_IN].ack, 0x12345678);
	CU_ASSERT_EQUAL(ends[FAST_IN].window, 0xabcd);
	now_ms += FAST_REST_MS + 1;
	CU_ASSERT_TRUE(carry(2));
	CU_ASSERT_PTR_EQUAL(slot_of(2, FAST_OUT), slot);
	give_back(2);
	CU_ASSERT_FALSE(ends[FAST_IN].known);
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

static const struct test tests[] = {
	{ "use is told once", test_use_is_told_once },
	{ "a counter that falls adds nothing", test_a_counter_that_falls },
	{ "used sessions are told", test_used_sessions_are_told },
	{ "a large table is told in parts",
	  test_a_large_table_is_told_in_parts },
	{ "the ends are told as they spoke last",
	  test_ends_are_told_as_they_spoke_last },
	{ "half a carry is not read", test_half_a_carry_is_not_read },
	{ "devices change, and hosts are found anew", test_devices },
};

int main(int argc, char **argv)
{
	return suite_run("fast_use", tests, COUNT(tests), argc, argv);
}
