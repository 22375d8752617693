/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The uplink moves to another address: what goes on, and how. Telling those
 * whose connections are cut is in test_move_tell.c.
 */
#include "move_lab.h"
#include "nat/internal.h"
#include "packets_other.h"
#include "restore_lab.h"
#include "suite.h"

/* --- what goes on ------------------------------------------------------------- */

static void goes_on(uint8_t proto)
{
	struct nat_mapping_view before, after;
	struct engine engine;
	uint16_t port;

	engine_make(&engine);
	port = engine_open(&engine, proto, move_out);
	ASSERT_TRANSLATED(engine_answer(&engine, proto, PEER_1, 7000, port));
	engine_mapping(&engine, port, &before);
	engine.now += 10 * SECOND;
	CU_ASSERT_EQUAL(move_to(&engine, UPLINK_2), 0);
	CU_ASSERT_TRUE(engine_mapping(&engine, port, &after));
	CU_ASSERT_EQUAL(after.outside_addr, UPLINK_2);
	CU_ASSERT_EQUAL(after.expires_ms, before.expires_ms - 10 * SECOND);
	CU_ASSERT_EQUAL(after.sessions, 1);
	CU_ASSERT_EQUAL(engine_open(&engine, proto, move_out), port);
	CU_ASSERT_EQUAL(packet_flow(&engine.packet).src, UPLINK_2);
	CU_ASSERT_EQUAL(engine_stats(&engine).moves, 1);
	CU_ASSERT_EQUAL(engine_stats(&engine).move_mappings, 1);
	CU_ASSERT_EQUAL(engine_stats(&engine).move_ports, 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).move_cut, 0);
	engine_free(&engine);
}

static void test_goes_on(void)
{
	goes_on(U);
	goes_on(I);
}

static void test_udplite_goes_on(void)
{
	struct engine engine;

	engine_make(&engine);
	for (int i = 0; i < 2; i++) {
		packet_udplite(&engine.packet, move_out, 8, 20);
		ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
		ASSERT_FLOW(&engine, i ? UPLINK_2 : UPLINK, 5000, PEER_1, 7000);
		move_to(&engine, UPLINK_2);
		packet_udplite(&engine.packet,
			       flow_of(PEER_1, 7000, UPLINK_2, 5000), 8, 20);
		ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_INBOUND));
	}
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 1);
	engine_free(&engine);
}

/* A peer that has been told of the new address need not wait for the inside
 * end; the old address is not ours. */
static void test_peer_may_come_first(void)
{
	struct engine engine;

	engine_make(&engine);
	engine.config.filtering[NAT_POOL_UDP] =
		NAT_FILTER_ADDRESS_AND_PORT_DEPENDENT;
	engine_open(&engine, U, move_out);
	move_to(&engine, UPLINK_2);
	ASSERT_TRANSLATED(engine_udp(&engine, NAT_PATH_INBOUND,
				     flow_of(PEER_1, 7000, UPLINK_2, 5000)));
	ASSERT_FLOW(&engine, PEER_1, 7000, INSIDE_1, 5000);
	ASSERT_DROPPED(engine_udp(&engine, NAT_PATH_INBOUND,
				  flow_of(PEER_2, 7000, UPLINK_2, 5000)),
		       NAT_DROP_FILTERED_ADDRESS);
	ASSERT_UNTOUCHED(engine_udp(&engine, NAT_PATH_INBOUND,
				    flow_of(PEER_1, 7000, UPLINK, 5000)));
	engine_free(&engine);
}

static void test_there_and_back(void)
{
	struct nat_mapping_view view;
	struct engine engine;

	engine_make(&engine);
	engine_open(&engine, U, move_out);
	for (int i = 0; i < 10; i++) {
		move_to(&engine, i & 1 ? UPLINK : UPLINK_2);
		move_to(&engine, 0);
		ASSERT_DROPPED(engine_udp(&engine, NAT_PATH_OUTBOUND, move_out),
			       NAT_DROP_NO_UPLINK);
		CU_ASSERT_TRUE(engine_mapping(&engine, 5000, &view));
		CU_ASSERT_EQUAL(view.outside_addr, 0);
		move_to(&engine, i & 1 ? UPLINK : UPLINK_2);
	}
	CU_ASSERT_EQUAL(engine_stats(&engine).moves, 10);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 1);
	ASSERT_TRANSLATED(engine_answer(&engine, U, PEER_1, 7000, 5000));
	engine_free(&engine);
}

/* The first address is no move. */
static void test_first_address(void)
{
	struct engine engine;

	engine_make(&engine);
	CU_ASSERT_EQUAL(engine_stats(&engine).moves, 0);
	CU_ASSERT_FALSE(nat_telling(engine.nat));
	move_to(&engine, UPLINK);
	CU_ASSERT_EQUAL(engine_stats(&engine).moves, 0);
	engine_free(&engine);
}

/* Also its peer's Reset comes through, which ends it. */
static void test_dccp_goes_on(void)
{
	struct engine engine;

	engine_make(&engine);
	packet_dccp(&engine.packet, move_out,
		    (struct dccp){ .type = DCCP_T_REQUEST });
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	packet_dccp(&engine.packet, flow_of(PEER_1, 7000, UPLINK, 5000),
		    (struct dccp){ .type = DCCP_T_RESPONSE });
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_INBOUND));
	move_to(&engine, UPLINK_2);
	packet_dccp(&engine.packet, move_out,
		    (struct dccp){ .type = DCCP_T_DATAACK });
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	ASSERT_FLOW(&engine, UPLINK_2, 5000, PEER_1, 7000);
	packet_dccp(&engine.packet, flow_of(PEER_1, 7000, UPLINK_2, 5000),
		    (struct dccp){ .type = DCCP_T_RESET });
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_INBOUND));
	CU_ASSERT_EQUAL(engine_stats(&engine).move_cut, 0);
	CU_ASSERT_EQUAL(move_outputs(&engine), 0);
	engine_free(&engine);
}

/* --- ports -------------------------------------------------------------------- */

static void test_bound_port(void)
{
	struct nat_portset bound = { { 0 } };
	struct nat_mapping_view view;
	struct engine engine;

	engine_make(&engine);
	engine_pool(&engine.config, 5000, 5003);
	engine_configure(&engine);
	engine_open(&engine, U, move_out);
	engine_open(&engine, U, flow_of(INSIDE_1, 5001, PEER_1, 7000));
	nat_portset_add(&bound, 5000);
	nat_set_bound(engine.nat, NAT_POOL_UDP, &bound);
	/* A later bind alone moves nothing. */
	ASSERT_TRANSLATED(engine_answer(&engine, U, PEER_1, 7000, 5000));
	CU_ASSERT_EQUAL(move_to(&engine, UPLINK_2), 0);
	/* Of its parity. */
	CU_ASSERT_EQUAL(engine_open(&engine, U, move_out), 5002);
	CU_ASSERT_FALSE(engine_mapping(&engine, 5000, &view));
	CU_ASSERT_TRUE(engine_mapping(&engine, 5001, &view));
	CU_ASSERT_EQUAL(engine_stats(&engine).move_ports, 1);
	CU_ASSERT_EQUAL(engine_stats(&engine).move_mappings, 2);
	engine_free(&engine);
}

static void test_no_port_left(void)
{
	struct nat_portset bound = { { 0 } };
	struct nat_mapping_view view;
	struct engine engine;

	engine_make(&engine);
	engine_pool(&engine.config, 5000, 5001);
	engine_configure(&engine);
	engine_open(&engine, U, move_out);
	engine_open(&engine, U, flow_of(INSIDE_1, 5001, PEER_1, 7000));
	nat_portset_add(&bound, 5000);
	nat_set_bound(engine.nat, NAT_POOL_UDP, &bound);
	CU_ASSERT_EQUAL(move_to(&engine, UPLINK_2), 1);
	CU_ASSERT_FALSE(engine_mapping(&engine, 5000, &view));
	CU_ASSERT_TRUE(engine_mapping(&engine, 5001, &view));
	CU_ASSERT_EQUAL(engine_stats(&engine).move_ended, 1);
	CU_ASSERT_EQUAL(engine_stats(&engine).move_mappings, 1);
	engine_free(&engine);
}

/* --- forwards, hairpin, tags ---------------------------------------------------- */

static void test_forwards_follow(void)
{
	struct engine engine;

	engine_make(&engine);
	engine.config.forwards = restore_forwards;
	engine.config.forward_count = 2;
	engine_configure(&engine);
	/* The second one to an inside socket answers by its session. */
	ASSERT_TRANSLATED(engine_udp(&engine, NAT_PATH_INBOUND,
				     flow_of(PEER_2, 900, UPLINK, 8002)));
	move_to(&engine, UPLINK_2);
	ASSERT_TRANSLATED(engine_udp(&engine, NAT_PATH_OUTBOUND,
				     flow_of(INSIDE_1, 80, PEER_2, 900)));
	ASSERT_FLOW(&engine, UPLINK_2, 8002, PEER_2, 900);
	ASSERT_TRANSLATED(engine_udp(&engine, NAT_PATH_INBOUND,
				     flow_of(PEER_2, 900, UPLINK_2, 8001)));
	CU_ASSERT_EQUAL(engine_stats(&engine).move_mappings, 0);
	engine_free(&engine);
}

/* One host to another by our address, both passes. */
static bool hairpins(struct engine *engine, struct flow flow)
{
	if (engine_udp(engine, NAT_PATH_HAIRPIN_IN, flow).verdict !=
	    NAT_TRANSLATED)
		return false;
	return engine_run(engine, NAT_PATH_HAIRPIN_OUT).verdict ==
		       NAT_TRANSLATED &&
	       packet_flow(&engine->packet).src == nat_uplink(engine->nat);
}

static void test_hairpin_follows(void)
{
	struct nat_session_view view;
	struct engine engine;

	engine_make(&engine);
	engine.config.filtering[NAT_POOL_UDP] = NAT_FILTER_ADDRESS_DEPENDENT;
	engine_open(&engine, U, flow_of(INSIDE_1, 5000, PEER_1, 7000));
	engine_open(&engine, U, flow_of(INSIDE_2, 6000, PEER_1, 7000));
	hairpins(&engine, flow_of(INSIDE_1, 5000, UPLINK, 6000));
	CU_ASSERT_TRUE(
		hairpins(&engine, flow_of(INSIDE_2, 6000, UPLINK, 5000)));
	move_to(&engine, UPLINK_2);
	CU_ASSERT_FALSE(engine_session(&engine, 5000, UPLINK, &view));
	CU_ASSERT_TRUE(engine_session(&engine, 5000, UPLINK_2, &view));
	/* Either may begin: the filter knows the other one. */
	CU_ASSERT_TRUE(
		hairpins(&engine, flow_of(INSIDE_1, 5000, UPLINK_2, 6000)));
	CU_ASSERT_TRUE(
		hairpins(&engine, flow_of(INSIDE_2, 6000, UPLINK_2, 5000)));
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 4);
	engine_free(&engine);
}

/* The host spoke to the address before it was ours. */
static void test_hairpin_meets_itself(void)
{
	struct engine engine;

	engine_make(&engine);
	engine_open(&engine, U, flow_of(INSIDE_2, 6000, PEER_1, 7000));
	engine_open(&engine, U, flow_of(INSIDE_1, 5000, UPLINK_2, 6000));
	CU_ASSERT_TRUE(
		hairpins(&engine, flow_of(INSIDE_1, 5000, UPLINK, 6000)));
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 3);
	move_to(&engine, UPLINK_2);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 2);
	CU_ASSERT_TRUE(
		hairpins(&engine, flow_of(INSIDE_1, 5000, UPLINK_2, 6000)));
	engine_free(&engine);
}

static void test_tags_go_on(void)
{
	struct engine engine;

	engine_make(&engine);
	gre(&engine, NAT_PATH_OUTBOUND, INSIDE_1, PEER_2, 11);
	gre(&engine, NAT_PATH_OUTBOUND, INSIDE_2, PEER_2, 12);
	move_to(&engine, UPLINK_2);
	ASSERT_TRANSLATED(gre(&engine, NAT_PATH_INBOUND, PEER_2, UPLINK_2, 12));
	CU_ASSERT_EQUAL(packet_flow(&engine.packet).dst, INSIDE_2);
	ASSERT_TRANSLATED(
		gre(&engine, NAT_PATH_OUTBOUND, INSIDE_1, PEER_2, 11));
	CU_ASSERT_EQUAL(packet_flow(&engine.packet).src, UPLINK_2);
	CU_ASSERT_EQUAL(engine_stats(&engine).tagged, 2);
	engine_free(&engine);
}

/* --- restarts ------------------------------------------------------------------- */

static void test_moved_while_down(void)
{
	struct nat_mapping_view view;
	struct engine engine;
	uint32_t mappings;

	fill(&engine);
	mappings = engine_stats(&engine).mappings;
	engine_restore(&engine);
	engine_configure(&engine);
	CU_ASSERT_EQUAL(move_to(&engine, UPLINK_2), 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, mappings);
	CU_ASSERT_EQUAL(engine_stats(&engine).moves, 1);
	CU_ASSERT_EQUAL(engine_stats(&engine).move_cut, 1);
	CU_ASSERT_TRUE(engine_mapping(&engine, 5001, &view));
	CU_ASSERT_EQUAL(view.outside_addr, UPLINK_2);
	engine_free(&engine);
}

/* Killed when some connections were cut already: the address itself is written
 * last. */
static void test_killed_in_the_midst(void)
{
	struct nat_mapping_view view;
	struct nat_restored restored;
	struct engine engine;
	uint32_t mappings, cut = 0;

	fill(&engine);
	mappings = engine_stats(&engine).mappings;
	for (uint32_t slot = 1; slot <= engine.nat->session_slots.top; slot++) {
		struct nat_session *s = &engine.nat->sessions[slot];

		if (s->timer != NAT_TIMER_TCP_ESTABLISHED)
			continue;
		s->state = NAT_STATE_TRANS;
		s->timer = NAT_TIMER_CUT;
		cut++;
	}
	CU_ASSERT_NOT_EQUAL(cut, 0);
	restored = engine_restore(&engine);
	CU_ASSERT_EQUAL(losses(&restored), 0);
	engine_configure(&engine);
	CU_ASSERT_EQUAL(move_to(&engine, UPLINK_2), 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, mappings);
	CU_ASSERT_TRUE(engine_mapping(&engine, 5001, &view));
	CU_ASSERT_EQUAL(view.outside_addr, UPLINK_2);
	/* Or the address that it moved to came back. */
	restored = engine_restore(&engine);
	CU_ASSERT_EQUAL(losses(&restored), 0);
	engine_configure(&engine);
	move_to(&engine, UPLINK_2);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, mappings);
	engine_free(&engine);
}

static const struct test tests[] = {
	{ "UDP and ICMP queries keep port, sessions and lifetime",
	  test_goes_on },
	{ "UDP-Lite goes on", test_udplite_goes_on },
	{ "a peer at the new address is filtered as before",
	  test_peer_may_come_first },
	{ "there and back, with no address in between", test_there_and_back },
	{ "the first address is no move", test_first_address },
	{ "DCCP goes on", test_dccp_goes_on },
	{ "a port that the router uses gives way to another", test_bound_port },
	{ "a mapping without a port ends and is counted", test_no_port_left },
	{ "forwards follow, with their UDP sessions", test_forwards_follow },
	{ "hosts that speak by our address follow", test_hairpin_follows },
	{ "a hairpin that meets an older session is one with it",
	  test_hairpin_meets_itself },
	{ "tags go on", test_tags_go_on },
	{ "a restart with another address is a move", test_moved_while_down },
	{ "killed in the midst of a move", test_killed_in_the_midst },
};

int main(int argc, char **argv)
{
	return suite_run("move", tests, COUNT(tests), argc, argv);
}
