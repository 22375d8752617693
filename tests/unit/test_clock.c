/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Clock jumps: what an engine does whose time goes back, stands still, or is
 * suddenly hours or ages later.
 */
#include "engine.h"
#include "suite.h"

#define HOUR (3600 * SECOND)
#define UDP_MS (300 * SECOND)

static const struct flow flow = { INSIDE_1, 5000, PEER_1, 53 };

static bool alive(const struct engine *engine)
{
	struct nat_session_view view;

	return engine_session(engine, flow.sport, flow.dst, &view);
}

/* Nothing ends early, nothing lives longer than the latest time heard of
 * allows. */
static void test_back(void)
{
	struct engine engine;
	uint64_t start;

	engine_make(&engine);
	engine.now += HOUR;
	start = engine.now;
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_UDP, flow), flow.sport);
	engine.now = start - HOUR;
	/* Used an hour ago by its own clock: as if now. */
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_UDP, flow), flow.sport);
	ASSERT_TRANSLATED(
		engine_answer(&engine, NAT_PROTO_UDP, PEER_1, 53, flow.sport));
	nat_expire(engine.nat, engine.now, 100);
	CU_ASSERT_TRUE(alive(&engine));
	CU_ASSERT_EQUAL(nat_expire(engine.nat, start + UDP_MS - 1, 100), 0);
	CU_ASSERT_EQUAL(nat_expire(engine.nat, start + UDP_MS, 100), 1);
	/* Once over, it is over also by an earlier clock. */
	engine.now = start;
	CU_ASSERT_FALSE(alive(&engine));
	engine_free(&engine);
}

/* Lists stay in order whatever times come (nat_check after each packet). */
static void test_to_and_fro(void)
{
	struct engine engine;
	uint64_t base;

	engine_make(&engine);
	base = engine.now;
	for (uint32_t i = 0; i < 60; i++) {
		engine.now = base + i * 7919 % 50 * SECOND;
		engine_open(&engine, i % 2 ? NAT_PROTO_UDP : NAT_PROTO_TCP,
			    (struct flow){ INSIDE_1 + i % 3,
					   (uint16_t)(5000 + i % 20), PEER_1,
					   53 });
		nat_flush_host(engine.nat, INSIDE_1 + (i / 10) % 3, engine.now);
	}
	CU_ASSERT_PTR_NULL(nat_check(engine.nat));
	engine_free(&engine);
}

/* The machine slept: what is over ends, a bounded number before each packet; a
 * dead session is not used though its turn has not come. */
static void test_forward(void)
{
	struct engine engine;
	struct nat_stats before, after;

	engine_make(&engine);
	for (uint16_t i = 0; i < 60; i++)
		engine_open(&engine, NAT_PROTO_UDP,
			    (struct flow){ INSIDE_1, (uint16_t)(5000 + i),
					   PEER_1, 53 });
	engine.now += 12 * HOUR;
	before = engine_stats(&engine);
	CU_ASSERT_EQUAL(before.sessions, 60);
	ASSERT_DROPPED(engine_answer(&engine, NAT_PROTO_UDP, PEER_1, 53, 5059),
		       NAT_DROP_NO_MAPPING);
	after = engine_stats(&engine);
	/* 32 by the sweep, and the one that was asked for. */
	CU_ASSERT_EQUAL(after.sessions, 60 - 33);
	nat_expire(engine.nat, engine.now, 1000);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 0);
	/* Their ports rest from now on. */
	CU_ASSERT_EQUAL(engine_stats(&engine).ports[NAT_POOL_UDP].held, 60);
	engine_free(&engine);
}

/* No overflow makes the dead live or a bucket larger than its burst. */
static void test_ages(void)
{
	struct engine engine;
	uint32_t opened = 0;

	engine_make(&engine);
	engine.config.host_new_per_second = 2;
	engine_configure(&engine);
	engine_open(&engine, NAT_PROTO_UDP, flow);
	engine.now = UINT64_MAX / 2;
	nat_expire(engine.nat, engine.now, 1000);
	CU_ASSERT_FALSE(alive(&engine));
	for (uint16_t i = 0; i < 50; i++)
		opened += engine_open(&engine, NAT_PROTO_UDP,
				      (struct flow){ INSIDE_1,
						     (uint16_t)(6000 + i),
						     PEER_1, 53 }) != 0;
	CU_ASSERT_EQUAL(opened, 20);
	/* A clock that goes back fills no bucket either. */
	engine.now -= HOUR;
	CU_ASSERT_EQUAL(
		engine_open(&engine, NAT_PROTO_UDP,
			    (struct flow){ INSIDE_1, 7000, PEER_1, 53 }),
		0);
	engine_free(&engine);
}

static const struct test tests[] = {
	{ "clock: one that goes back stands still", test_back },
	{ "clock: lists stay in order whatever it says", test_to_and_fro },
	{ "clock: a jump by hours ends what is over, in bounded steps",
	  test_forward },
	{ "clock: a jump by ages overflows nothing", test_ages },
};

int main(int argc, char **argv)
{
	return suite_run("clock", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
