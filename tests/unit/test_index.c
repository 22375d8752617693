/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The hash index: every key is found, collisions included, and an emptied
 * index goes on working in its own memory.
 */
#include "nat/index.h"

#include <stdlib.h>
#include <string.h>

#include "suite.h"

#define CAPACITY 64U

struct lab {
	struct nat_index index;
	void *memory;
	uint64_t keys[CAPACITY + 1]; /* by slot */
};

static void lab_make(struct lab *lab, uint32_t capacity)
{
	size_t bytes = nat_index_size(capacity);

	memset(lab, 0, sizeof(*lab));
	/* Exactly as large as it asked for: overruns are seen. */
	if (posix_memalign(&lab->memory, 64, bytes))
		abort();
	memset(lab->memory, 0, bytes);
	nat_index_init(&lab->index, capacity, sizeof(lab->keys[0]),
		       lab->memory);
}

static void add(struct lab *lab, uint32_t slot, uint32_t hash, uint64_t key)
{
	lab->keys[slot] = key;
	nat_index_add(&lab->index, slot, hash, &lab->keys[slot]);
}

static uint32_t find(const struct lab *lab, uint32_t hash, uint64_t key)
{
	return nat_index_find(&lab->index, hash, &key);
}

static void test_find(void)
{
	struct lab lab;

	lab_make(&lab, CAPACITY);
	CU_ASSERT_EQUAL(find(&lab, 5, 50), 0);
	add(&lab, 3, 5, 50);
	CU_ASSERT_EQUAL(find(&lab, 5, 50), 3);
	CU_ASSERT_EQUAL(find(&lab, 5, 51), 0);
	CU_ASSERT_EQUAL(find(&lab, 6, 50), 0);
	CU_ASSERT_EQUAL(nat_index_count(&lab.index), 1);
	free(lab.memory);
}

static void test_zero(void)
{
	struct lab lab;

	/* The sentinel has hash 0 and no key: it is nobody's. */
	lab_make(&lab, CAPACITY);
	CU_ASSERT_EQUAL(find(&lab, 0, 0), 0);
	CU_ASSERT_EQUAL(nat_index_count(&lab.index), 0);
	add(&lab, 1, 0, 0);
	CU_ASSERT_EQUAL(find(&lab, 0, 0), 1);
	free(lab.memory);
}

/* One hash for all: a long chain in one bucket. */
static void test_collisions(void)
{
	struct lab lab;

	lab_make(&lab, CAPACITY);
	for (uint32_t slot = 1; slot <= CAPACITY; slot++)
		add(&lab, slot, 0xdeadbeef, slot * 1000);
	for (uint32_t slot = 1; slot <= CAPACITY; slot++)
		CU_ASSERT_EQUAL(find(&lab, 0xdeadbeef, slot * 1000), slot);
	for (uint32_t slot = 1; slot <= CAPACITY; slot += 2)
		nat_index_remove(&lab.index, slot);
	for (uint32_t slot = 1; slot <= CAPACITY; slot++)
		CU_ASSERT_EQUAL(find(&lab, 0xdeadbeef, slot * 1000),
				slot % 2 ? 0 : slot);
	CU_ASSERT_EQUAL(nat_index_count(&lab.index), CAPACITY / 2);
	free(lab.memory);
}

static void test_emptied(void)
{
	struct lab lab;

	lab_make(&lab, CAPACITY);
	for (uint64_t round = 0; round < 100; round++) {
		for (uint32_t slot = 1; slot <= CAPACITY; slot++)
			add(&lab, slot, slot * 0x9e3779b9U, round << 32 | slot);
		CU_ASSERT_EQUAL(nat_index_count(&lab.index), CAPACITY);
		for (uint32_t slot = 1; slot <= CAPACITY; slot++) {
			CU_ASSERT_EQUAL(find(&lab, slot * 0x9e3779b9U,
					     round << 32 | slot),
					slot);
			nat_index_remove(&lab.index, slot);
		}
		CU_ASSERT_EQUAL(nat_index_count(&lab.index), 0);
	}
	free(lab.memory);
}

static void test_smallest(void)
{
	struct lab lab;

	lab_make(&lab, 1);
	add(&lab, 1, 77, 7);
	CU_ASSERT_EQUAL(find(&lab, 77, 7), 1);
	nat_index_remove(&lab.index, 1);
	CU_ASSERT_EQUAL(find(&lab, 77, 7), 0);
	add(&lab, 1, 78, 8);
	CU_ASSERT_EQUAL(find(&lab, 78, 8), 1);
	free(lab.memory);
}

/* How often each slot comes up for this prefix; 9 slots at most. */
static void walk(const struct lab *lab, uint32_t hash, const void *prefix,
		 uint32_t bytes, uint32_t seen[10])
{
	uint32_t at = 0, steps = 0;

	memset(seen, 0, 10 * sizeof(*seen));
	while ((at = nat_index_next_prefix(&lab->index, hash, prefix, bytes,
					   at)) &&
	       ++steps < 100)
		seen[at]++;
}

static void test_prefix(void)
{
	static const uint8_t keys[][8] = {
		"", "aaaa1", "aaaa2", "bbbb1", "aaaa3",
	};
	struct lab lab;
	uint32_t seen[10];

	lab_make(&lab, CAPACITY);
	for (uint32_t slot = 1; slot < 5; slot++) {
		memcpy(&lab.keys[slot], keys[slot], 8);
		nat_index_add(&lab.index, slot, 12, &lab.keys[slot]);
	}
	walk(&lab, 12, "aaaa", 4, seen);
	CU_ASSERT_TRUE(seen[1] == 1 && seen[2] == 1 && seen[4] == 1);
	CU_ASSERT_EQUAL(seen[3], 0);
	walk(&lab, 12, "bbbb", 4, seen);
	CU_ASSERT_TRUE(seen[3] == 1 && !seen[1] && !seen[2] && !seen[4]);
	walk(&lab, 12, "cccc", 4, seen);
	CU_ASSERT_TRUE(!seen[1] && !seen[2] && !seen[3] && !seen[4]);
	/* Another hash of the same bucket. */
	walk(&lab, 12 + (1U << 31), "aaaa", 4, seen);
	CU_ASSERT_TRUE(!seen[1] && !seen[2] && !seen[4]);
	free(lab.memory);
}

static void test_prefix_zero(void)
{
	static const uint8_t zeros[8];
	struct lab lab;
	uint32_t seen[10];

	lab_make(&lab, CAPACITY);
	walk(&lab, 0, zeros, 8, seen);
	CU_ASSERT_EQUAL(seen[0], 0);
	add(&lab, 2, 0, 0);
	walk(&lab, 0, zeros, 8, seen);
	CU_ASSERT_EQUAL(seen[2], 1);
	free(lab.memory);
}

static void test_size(void)
{
	CU_ASSERT_TRUE(nat_index_size(1) > 0);
	CU_ASSERT_TRUE(nat_index_size(1000) < nat_index_size(2000));
	CU_ASSERT_EQUAL(nat_index_size(777) % 16, 0);
}

static const struct test tests[] = {
	{ "a key is found by hash and bytes", test_find },
	{ "hash and key of zero belong to nobody until added", test_zero },
	{ "equal hashes do not hide each other", test_collisions },
	{ "an emptied index can be filled again and again", test_emptied },
	{ "an index for one record works", test_smallest },
	{ "all keys of a prefix are walked once", test_prefix },
	{ "walking never meets the sentinel", test_prefix_zero },
	{ "sizes grow with the capacity and keep alignment", test_size },
};

int main(int argc, char **argv)
{
	return suite_run("index", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
