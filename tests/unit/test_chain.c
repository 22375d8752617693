/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The chains of record slots: against a plain array of what is in them.
 */
#include <stdlib.h>

#include "chain_lab.h"
#include "dice.h"
#include "suite.h"

#define SLOTS 100U

struct bench {
	struct nat_chain chain;
	uint32_t hash[SLOTS + 1]; /* by slot */
	uint8_t in[SLOTS + 1];
	void *memory;
};

static void make(struct bench *bench)
{
	*bench = (struct bench){ 0 };
	bench->memory = calloc(1, nat_chain_size(SLOTS));
	CU_ASSERT_PTR_NOT_NULL_FATAL(bench->memory);
	nat_chain_init(&bench->chain, SLOTS, bench->memory);
}

static void add(struct bench *bench, uint32_t slot, uint32_t hash)
{
	bench->hash[slot] = hash;
	bench->in[slot] = 1;
	nat_chain_add(&bench->chain, slot, hash);
}

static void take_out(struct bench *bench, uint32_t slot)
{
	bench->in[slot] = 0;
	nat_chain_remove(&bench->chain, slot, bench->hash[slot]);
}

/* How often the walk under this hash comes by the slot. */
static uint32_t met(const struct bench *bench, uint32_t hash, uint32_t slot)
{
	uint32_t at = nat_chain_first(&bench->chain, hash);
	uint32_t count = 0;

	for (; at; at = nat_chain_next(&bench->chain, at, hash))
		count += at == slot;
	return count;
}

static void test_empty(void)
{
	struct bench bench;

	make(&bench);
	for (uint32_t hash = 0; hash < 1000; hash++)
		CU_ASSERT_EQUAL(nat_chain_first(&bench.chain, hash), 0);
	CU_ASSERT_EQUAL(chain_longest(&bench.chain), 0);
	free(bench.memory);
}

static void test_order(void)
{
	struct bench bench;

	make(&bench);
	add(&bench, 3, 7);
	add(&bench, 1, 7);
	add(&bench, 2, 7);
	CU_ASSERT_EQUAL(nat_chain_first(&bench.chain, 7), 2);
	CU_ASSERT_EQUAL(nat_chain_next(&bench.chain, 2, 7), 1);
	CU_ASSERT_EQUAL(nat_chain_next(&bench.chain, 1, 7), 3);
	CU_ASSERT_EQUAL(nat_chain_next(&bench.chain, 3, 7), 0);
	free(bench.memory);
}

/* In one bucket, but of another hash: the walk does not stop at it. */
static void test_passes_by(void)
{
	const uint32_t other = 7 | 1U << 31;
	struct bench bench;

	make(&bench);
	add(&bench, 1, 7);
	add(&bench, 2, other);
	add(&bench, 3, 7);
	CU_ASSERT_EQUAL(chain_longest(&bench.chain), 3);
	CU_ASSERT_EQUAL(nat_chain_first(&bench.chain, 7), 3);
	CU_ASSERT_EQUAL(nat_chain_next(&bench.chain, 3, 7), 1);
	CU_ASSERT_EQUAL(nat_chain_first(&bench.chain, other), 2);
	CU_ASSERT_EQUAL(nat_chain_next(&bench.chain, 2, other), 0);
	free(bench.memory);
}

/* Hashes of few values, so that chains are long; every slot is met exactly as
 * often as it is in. */
static void test_drawn(void)
{
	struct dice dice = { 1 };
	struct bench bench;
	uint32_t count = 0;

	make(&bench);
	for (int i = 0; i < 20000; i++) {
		uint32_t slot = 1 + dice_roll(&dice, SLOTS);
		uint32_t hash = dice_roll(&dice, 20) | dice_roll(&dice, 3)
							       << 30;

		if (bench.in[slot]) {
			take_out(&bench, slot);
			count--;
		} else {
			add(&bench, slot, hash);
			count++;
		}
		slot = 1 + dice_roll(&dice, SLOTS);
		CU_ASSERT_EQUAL(met(&bench, bench.hash[slot], slot),
				bench.in[slot]);
		CU_ASSERT_EQUAL(bench.chain.count, count);
	}
	for (uint32_t slot = 1; slot <= SLOTS; slot++)
		if (bench.in[slot])
			take_out(&bench, slot);
	CU_ASSERT_EQUAL(chain_longest(&bench.chain), 0);
	free(bench.memory);
}

static const struct test tests[] = {
	{ "an empty index finds nothing", test_empty },
	{ "of one hash, the last one added comes first", test_order },
	{ "another hash in the same bucket is passed by", test_passes_by },
	{ "adding and removing at random", test_drawn },
};

int main(int argc, char **argv)
{
	return suite_run("chain", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
