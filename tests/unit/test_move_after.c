/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * After the uplink's move: connections that were cut make room for new ones, and
 * sessions that become one live on.
 */
#include "move_lab.h"
#include "suite.h"

/* Twice; there is a third time, later. */
static void tell_all(struct engine *engine)
{
	move_outputs(engine);
	engine->now += 600;
	move_outputs(engine);
	CU_ASSERT_TRUE(nat_telling(engine->nat));
}

/* Most of the mappings that there can be are of connections that are cut. */
static void make_full(struct engine *engine)
{
	struct flow flow = flow_of(INSIDE_1, 5000, PEER_1, 7000);

	engine_make(engine);
	for (int i = 0; i < 60; i++, flow.sport++)
		move_connect(engine, flow);
	move_to(engine, UPLINK_2);
}

static void test_room(void)
{
	struct engine engine;
	struct flow flow = flow_of(INSIDE_1, 9000, PEER_1, 7000);

	make_full(&engine);
	tell_all(&engine);
	for (int i = 0; i < 60; i++, flow.sport++)
		ASSERT_TRANSLATED(
			engine_tcp(&engine, NAT_PATH_OUTBOUND, flow, SYN));
	engine_free(&engine);
}

/* Who was told but once may not have heard it. */
static void test_room_before(void)
{
	struct nat_result result = { 0 };
	struct engine engine;
	struct flow flow = flow_of(INSIDE_1, 9000, PEER_1, 7000);

	make_full(&engine);
	move_outputs(&engine);
	for (int i = 0; i < 60; i++, flow.sport++)
		result = engine_tcp(&engine, NAT_PATH_OUTBOUND, flow, SYN);
	ASSERT_DROPPED(result, NAT_DROP_TABLE_FULL);
	CU_ASSERT_TRUE(nat_telling(engine.nat));
	engine_free(&engine);
}

/* A forward's answers leave by the port that was asked. */
static void test_room_outsiders(void)
{
	static const struct nat_forward forwards[] = {
		{ .name = "a",
		  .proto = T,
		  .outside_first = 8080,
		  .outside_last = 8080,
		  .inside_addr = INSIDE_1,
		  .inside_first = 80 },
		{ .name = "b",
		  .proto = T,
		  .outside_first = 8081,
		  .outside_last = 8081,
		  .inside_addr = INSIDE_1,
		  .inside_first = 80 },
	};
	struct engine engine;

	engine_make(&engine);
	engine.config.forwards = forwards;
	engine.config.forward_count = COUNT(forwards);
	engine_configure(&engine);
	for (uint16_t port = 7000; port < 7064; port++) {
		move_tcp(&engine, NAT_PATH_INBOUND,
			 flow_of(PEER_1, port, UPLINK, 8080), SYN, 500, 0);
		move_tcp(&engine, NAT_PATH_OUTBOUND,
			 flow_of(INSIDE_1, 80, PEER_1, port), SYN | ACK, 500,
			 501);
	}
	move_to(&engine, UPLINK_2);
	tell_all(&engine);
	for (uint16_t port = 8080; port <= 8081; port++) {
		ASSERT_TRANSLATED(move_tcp(
			&engine, NAT_PATH_INBOUND,
			flow_of(PEER_2, port, UPLINK_2, port), SYN, 500, 0));
		move_tcp(&engine, NAT_PATH_OUTBOUND,
			 flow_of(INSIDE_1, 80, PEER_2, port), SYN | ACK, 1,
			 501);
		CU_ASSERT_EQUAL(packet_flow(&engine.packet).sport, port);
	}
	engine_free(&engine);
}

static void test_late(void)
{
	struct engine engine;

	engine_make(&engine);
	engine.config.icmp_after_6s = true;
	engine_configure(&engine);
	move_connect(&engine, move_out);
	move_to(&engine, UPLINK_2);
	engine.now += SECOND;
	move_outputs(&engine);
	move_tcp(&engine, NAT_PATH_INBOUND,
		 flow_of(PEER_1, 7000, UPLINK_2, 5000), SYN, 1, 0);
	engine.now += SECOND;
	ASSERT_TRANSLATED(
		move_tcp(&engine, NAT_PATH_OUTBOUND, move_out, SYN, 9000, 0));
	move_outputs(&engine);
	engine.now += 6 * SECOND;
	CU_ASSERT_EQUAL(move_outputs(&engine), 0);
	engine_free(&engine);
}

static void test_damaged(void)
{
	struct nat_session_view view;
	struct engine engine;

	engine_make(&engine);
	move_connect(&engine, move_out);
	move_to(&engine, UPLINK_2);
	packet_tcp(&engine.packet, move_out,
		   (struct segment){ .flags = SYN, .seq = 1 });
	packet_l4(&engine.packet)[16] ^= 1;
	ASSERT_DROPPED(engine_run(&engine, NAT_PATH_OUTBOUND),
		       NAT_DROP_BAD_CHECKSUM);
	CU_ASSERT_TRUE(engine_session(&engine, 5000, PEER_1, &view));
	CU_ASSERT_EQUAL(view.state, NAT_STATE_TRANS);
	engine_free(&engine);
}

/* Two sessions with the outside address become one: the later use counts. */
static void test_merge(void)
{
	struct nat_mapping_view view;
	struct engine engine;

	engine_make(&engine);
	engine_open(&engine, U, flow_of(INSIDE_2, 6000, PEER_1, 7000));
	engine_open(&engine, U, flow_of(INSIDE_1, 5000, UPLINK_2, 6000));
	engine.now += 290 * SECOND;
	engine_udp(&engine, NAT_PATH_HAIRPIN_IN,
		   flow_of(INSIDE_1, 5000, UPLINK, 6000));
	engine.now += SECOND;
	move_to(&engine, UPLINK_2);
	CU_ASSERT_TRUE(engine_mapping(&engine, 5000, &view));
	CU_ASSERT_EQUAL(view.expires_ms, 299 * SECOND);
	engine_free(&engine);
}

/* Packets that were read together with the news carry an earlier time. */
static void test_ping_of_the_same_time(void)
{
	struct engine engine;

	engine_make(&engine);
	engine.now += 5;
	move_to(&engine, UPLINK_2);
	engine.now -= 3;
	CU_ASSERT_EQUAL(engine_open(&engine, I,
				    flow_of(INSIDE_1, 2077, PEER_1, 2077)),
			2077);
	CU_ASSERT_EQUAL(move_outputs(&engine), 0);
	engine_free(&engine);
}

/* What is over makes room for a host that has its share, too. */
static void test_share_of_what_is_over(void)
{
	static const struct nat_limits limits = { .mappings = 1024,
						  .sessions = 1024,
						  .hosts = 64,
						  .held_ports = 1,
						  .fragments = 1,
						  .fragment_bytes = 1,
						  .tagged = 1 };
	struct engine engine;

	engine_bare(&engine, &limits);
	engine_defaults(&engine.config);
	engine.config.host_new_per_second = 100000;
	engine.config.host_guaranteed = 4;
	engine.config.port_hold_s = 0;
	engine_configure(&engine);
	nat_set_uplink(engine.nat, UPLINK, engine.now);
	engine.unproven = true;
	for (uint16_t port = 2000; port < 4000; port++)
		engine_open(&engine, U, flow_of(INSIDE_1, port, PEER_1, 7000));
	CU_ASSERT_TRUE(engine_stats(&engine).drops[NAT_DROP_HOST_SHARE] > 0);
	engine.now += 301 * SECOND;
	for (uint16_t port = 20000; port < 20064; port++)
		CU_ASSERT_NOT_EQUAL(
			engine_open(&engine, U,
				    flow_of(INSIDE_1, port, PEER_1, 7000)),
			0);
	engine_free(&engine);
}

static const struct test tests[] = {
	{ "connections that were cut and told give way to new ones",
	  test_room },
	{ "but not before they were told twice", test_room_before },
	{ "also to those that outsiders open", test_room_outsiders },
	{ "RFC5382 REQ-4: no late ICMP when a connection begins anew",
	  test_late },
	{ "a damaged SYN begins nothing anew", test_damaged },
	{ "sessions that become one: the later use counts", test_merge },
	{ "a ping beside the move is not told of", test_ping_of_the_same_time },
	{ "BEHAVE 19.24: shares: what is over makes room",
	  test_share_of_what_is_over },
};

int main(int argc, char **argv)
{
	return suite_run("move_after", tests, COUNT(tests), argc, argv);
}
