/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Forwards for which the tables have no room, and what becomes of them.
 */
#include "engine.h"
#include "suite.h"

static const struct nat_forward web = { .name = "web",
					.proto = NAT_PROTO_TCP,
					.outside_first = 80,
					.outside_last = 80,
					.inside_addr = INSIDE_1,
					.inside_first = 8080 };

static uint32_t put(struct engine *engine, const struct nat_forward *rules,
		    size_t count)
{
	engine->config.forwards = rules;
	engine->config.forward_count = count;
	return engine_configure(engine);
}

static void test_no_room(void)
{
	struct nat_forward range = web;
	struct nat_forward many[10];
	struct engine engine;

	engine_make(&engine);
	range.outside_first = 1000;
	range.outside_last = 1069;
	CU_ASSERT_EQUAL(put(&engine, &range, 1), 6);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 64);
	/* Eight hosts at most. */
	for (uint16_t i = 0; i < 10; i++) {
		many[i] = web;
		many[i].outside_first = many[i].outside_last = 1000 + i;
		many[i].inside_addr += i;
	}
	CU_ASSERT_EQUAL(put(&engine, many, 10), 2);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 8);
	engine_free(&engine);
}

/* One that came when the table was full has its port as soon as there is a
 * place, not only with the next configuration. */
static void test_room_again(void)
{
	struct engine engine;

	engine_make(&engine);
	for (uint16_t port = 0; port < 64; port++)
		CU_ASSERT_NOT_EQUAL(
			engine_open(&engine, NAT_PROTO_UDP,
				    flow_of(INSIDE_2, 5000 + port, PEER_1, 53)),
			0);
	CU_ASSERT_EQUAL(put(&engine, &web, 1), 1);
	CU_ASSERT_EQUAL(nat_add_forwards(engine.nat, engine.now), 1);
	CU_ASSERT_NOT_EQUAL(nat_flush_host(engine.nat, INSIDE_2, engine.now),
			    0);
	CU_ASSERT_EQUAL(nat_add_forwards(engine.nat, engine.now), 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 1);
	ASSERT_TRANSLATED(engine_tcp(&engine, NAT_PATH_INBOUND,
				     flow_of(PEER_1, 7000, UPLINK, 80), SYN));
	engine_free(&engine);
}

/* Trying again costs nobody a connection when there is no host's place. */
static void test_no_room_ends_nothing(void)
{
	struct nat_forward stranger = web;
	struct engine engine;

	engine_make(&engine);
	for (uint32_t host = 0; host < 8; host++)
		engine_open(&engine, NAT_PROTO_UDP,
			    flow_of(INSIDE_1 + host, 4000, PEER_1, 53));
	stranger.inside_addr = INSIDE_1 + 100;
	stranger.outside_first = stranger.outside_last = 6881;
	CU_ASSERT_EQUAL(put(&engine, &stranger, 1), 1);
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_TCP,
				    flow_of(INSIDE_1, 6881, PEER_1, 80)),
			6881);
	CU_ASSERT_EQUAL(nat_add_forwards(engine.nat, engine.now), 1);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 9);
	engine_free(&engine);
}

static const struct test tests[] = {
	{ "forwards without room are counted", test_no_room },
	{ "forwards without room come once there is some", test_room_again },
	{ "a forward without room ends no connection",
	  test_no_room_ends_nothing },
};

int main(int argc, char **argv)
{
	return suite_run("forward room", tests,
			 sizeof(tests) / sizeof(tests[0]), argc, argv);
}
