/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A table that cannot go on leaves its ports resting, where it can be read.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "nat/internal.h"
#include "restore_lab.h"
#include "suite.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- a table that ends ---------------------------------------------------------- */

static struct nat_restored restore_as(struct engine *engine,
				      const struct nat_limits *limits,
				      uint8_t boot_id)
{
	const uint8_t boot[16] = { boot_id };
	const struct nat_secrets secrets = { .hash_key = "again" };
	struct nat_restored restored;

	engine->limits = *limits;
	memset(engine->indices, 0, nat_indices_size(&engine_limits));
	engine->nat = nat_restore(limits, &secrets, boot, engine->records,
				  nat_records_size(&engine_limits),
				  engine->indices,
				  nat_indices_size(&engine_limits), engine->now,
				  &restored);
	CU_ASSERT_PTR_NOT_NULL_FATAL(engine->nat);
	CU_ASSERT_PTR_NULL(nat_check(engine->nat));
	engine_configure(engine);
	nat_set_uplink(engine->nat, UPLINK, engine->now);
	return restored;
}

/* 5000 in use, 5001 resting, 6000 of TCP in use; 120 s from now all rest. */
static void assert_rests(struct engine *engine)
{
	CU_ASSERT_EQUAL(engine_stats(engine).mappings, 0);
	CU_ASSERT_TRUE(nat_held(engine->nat, NAT_POOL_UDP, 5000));
	CU_ASSERT_TRUE(nat_held(engine->nat, NAT_POOL_UDP, 5001));
	CU_ASSERT_TRUE(nat_held(engine->nat, NAT_POOL_TCP, 6000));
	engine->now += 120 * SECOND - 1;
	CU_ASSERT_NOT_EQUAL(open_from(engine, NAT_PROTO_UDP, INSIDE_3, 5000),
			    5000);
	CU_ASSERT_NOT_EQUAL(open_from(engine, NAT_PROTO_TCP, INSIDE_3, 6000),
			    6000);
	engine->now += 1;
	CU_ASSERT_EQUAL(open_from(engine, NAT_PROTO_UDP, INSIDE_2, 5000), 5000);
	CU_ASSERT_EQUAL(open_from(engine, NAT_PROTO_UDP, INSIDE_2, 5001), 5001);
	CU_ASSERT_EQUAL(open_from(engine, NAT_PROTO_TCP, INSIDE_2, 6000), 6000);
}

static void use_ports(struct engine *engine)
{
	engine_make(engine);
	open_from(engine, NAT_PROTO_UDP, INSIDE_1, 5001);
	engine->now += 299 * SECOND;
	open_from(engine, NAT_PROTO_UDP, INSIDE_1, 5000);
	open_from(engine, NAT_PROTO_TCP, INSIDE_1, 6000);
	engine->now += 2 * SECOND;
	nat_expire(engine->nat, engine->now, 100);
	CU_ASSERT_TRUE(nat_held(engine->nat, NAT_POOL_UDP, 5001));
}

static void test_after_a_reboot_ports_rest(void)
{
	struct nat_restored restored;
	struct engine engine;

	use_ports(&engine);
	engine.now = 20000; /* the clock began anew */
	restored = restore_as(&engine, &engine_limits, 7);
	CU_ASSERT_EQUAL(restored.past, NAT_PAST_REBOOT);
	CU_ASSERT_EQUAL(restored.held, 3);
	assert_rests(&engine);
	/* The new run of the clock is known now. */
	restored = restore_as(&engine, &engine_limits, 7);
	CU_ASSERT_EQUAL(restored.past, NAT_PAST_KEPT);
	CU_ASSERT_EQUAL(restored.mappings, 5);
	engine_free(&engine);
}

static void test_with_other_limits_ports_rest(void)
{
	struct nat_limits less = engine_limits;
	struct nat_restored restored;
	struct engine engine;

	less.sessions /= 2;
	use_ports(&engine);
	restored = restore_as(&engine, &less, 0);
	CU_ASSERT_EQUAL(restored.past, NAT_PAST_RESIZED);
	assert_rests(&engine);
	engine_free(&engine);
}

static void test_ports_of_another_block_rest(void)
{
	struct nat_restored restored;
	struct engine old, new;

	use_ports(&old);
	engine_bare(&new, &engine_limits);
	new.now = old.now;
	CU_ASSERT_EQUAL(nat_rest_ports(new.nat, old.records,
				       nat_records_size(&engine_limits),
				       new.now, &restored),
			3);
	CU_ASSERT_PTR_NULL(nat_check(new.nat));
	engine_defaults(&new.config);
	engine_configure(&new);
	nat_set_uplink(new.nat, UPLINK, new.now);
	assert_rests(&new);
	/* Only an empty table takes them over. */
	CU_ASSERT_EQUAL(nat_rest_ports(new.nat, old.records,
				       nat_records_size(&engine_limits),
				       new.now, &restored),
			0);
	engine_free(&old);
	engine_free(&new);
}

static void test_a_cut_block_says_nothing(void)
{
	size_t bytes = nat_records_size(&engine_limits);
	struct nat_restored restored;
	struct engine old, new;

	use_ports(&old);
	for (size_t cut = 0; cut < bytes; cut += 64) {
		void *part = NULL;

		if (posix_memalign(&part, 64, cut ? cut : 64))
			abort();
		memcpy(part, old.records, cut);
		engine_bare(&new, &engine_limits);
		CU_ASSERT_EQUAL(nat_rest_ports(new.nat, part, cut, new.now,
					       &restored),
				0);
		engine_free(&new);
		free(part);
	}
	engine_free(&old);
}

static void test_an_empty_block_is_a_first_start(void)
{
	struct nat_restored restored;
	struct engine engine;

	engine_make(&engine);
	memset(engine.records, 0, nat_records_size(&engine_limits));
	restored = restart(&engine);
	CU_ASSERT_EQUAL(restored.past, NAT_PAST_NONE);
	CU_ASSERT_EQUAL(restored.held, 0);
	open_from(&engine, NAT_PROTO_UDP, INSIDE_1, 5000);
	restored = restart(&engine);
	CU_ASSERT_EQUAL(restored.past, NAT_PAST_KEPT);
	CU_ASSERT_EQUAL(restored.mappings, 1);
	CU_ASSERT_FALSE(restored.clean);
	nat_leave(engine.nat);
	CU_ASSERT_TRUE(restart(&engine).clean);
	CU_ASSERT_FALSE(restart(&engine).clean);
	engine_free(&engine);
}

static void test_other_versions_and_files(void)
{
	static const struct {
		size_t offset;
		enum nat_past past;
	} cases[] = {
		{ offsetof(struct nat_header, magic), NAT_PAST_DAMAGED },
		{ offsetof(struct nat_header, layout), NAT_PAST_LAYOUT },
		{ offsetof(struct nat_header, shape), NAT_PAST_LAYOUT },
		{ offsetof(struct nat_header, boot), NAT_PAST_DAMAGED },
		{ offsetof(struct nat_header, key), NAT_PAST_DAMAGED },
		{ offsetof(struct nat_header, limits), NAT_PAST_DAMAGED },
		{ offsetof(struct nat_header, check), NAT_PAST_DAMAGED },
		{ offsetof(struct nat_header, uplink), NAT_PAST_DAMAGED },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		for (int step = -1; step <= 1; step += 2) {
			struct nat_restored restored;
			struct engine engine;

			fill(&engine);
			((uint8_t *)engine.records)[cases[i].offset] +=
				(uint8_t)step;
			restored = restart(&engine);
			CU_ASSERT_EQUAL(restored.past, cases[i].past);
			CU_ASSERT_EQUAL(restored.mappings, 0);
			CU_ASSERT_EQUAL(open_from(&engine, NAT_PROTO_UDP,
						  INSIDE_3, 5000),
					5000);
			/* Nothing of it is left. */
			CU_ASSERT_EQUAL(restart(&engine).mappings, 4);
			engine_free(&engine);
		}
}

static const struct test tests[] = {
	{ "after a reboot ports rest", test_after_a_reboot_ports_rest },
	{ "with other limits ports rest", test_with_other_limits_ports_rest },
	{ "the ports of another block rest", test_ports_of_another_block_rest },
	{ "a block that is cut off says nothing",
	  test_a_cut_block_says_nothing },
	{ "an empty block is a first start",
	  test_an_empty_block_is_a_first_start },
	{ "other versions and foreign blocks begin anew",
	  test_other_versions_and_files },
};

int main(int argc, char **argv)
{
	return suite_run("restore_past", tests, COUNT(tests), argc, argv);
}
