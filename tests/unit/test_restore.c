/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A table goes on in another process: every index, list and count is as it was.
 * Tables that cannot go on are in test_restore_past.c, damage is in
 * test_restore_damage.c.
 */
#include "engine.h"
#include "nat/internal.h"
#include "restore_lab.h"
#include "snapshot.h"
#include "suite.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- going on ---------------------------------------------------------------- */

static void test_shows_the_same(void)
{
	struct snapshot before, after;
	struct nat_restored restored;
	struct engine engine;

	fill(&engine);
	snapshot_take(&before, &engine);
	CU_ASSERT_TRUE(before.mapping_count > 12);
	restored = restart(&engine);
	CU_ASSERT_EQUAL(restored.past, NAT_PAST_KEPT);
	CU_ASSERT_EQUAL(losses(&restored), 0);
	CU_ASSERT_EQUAL(restored.mappings, before.mapping_count);
	CU_ASSERT_EQUAL(restored.sessions, before.session_count);
	CU_ASSERT_EQUAL(restored.hosts, before.host_count);
	snapshot_take(&after, &engine);
	CU_ASSERT_PTR_NULL(snapshot_differs(&before, &after));
	/* And once more. */
	restored = restart(&engine);
	CU_ASSERT_EQUAL(losses(&restored), 0);
	snapshot_take(&after, &engine);
	CU_ASSERT_PTR_NULL(snapshot_differs(&before, &after));
	engine_free(&engine);
}

static void test_nothing_before_configuration(void)
{
	struct nat_mapping_view mapping;
	struct nat_session_view session;
	struct engine engine;
	uint32_t cursor = 0;

	fill(&engine);
	engine_restore(&engine);
	CU_ASSERT_FALSE(
		nat_next_mapping(engine.nat, &cursor, engine.now, &mapping));
	CU_ASSERT_FALSE(
		nat_next_session(engine.nat, &cursor, engine.now, &session));
	CU_ASSERT_EQUAL(nat_expire(engine.nat, engine.now, 100), 0);
	ASSERT_DROPPED(engine_udp(&engine, NAT_PATH_OUTBOUND,
				  flow_of(INSIDE_1, 5000, PEER_1, 7000)),
		       NAT_DROP_NO_UPLINK);
	engine_free(&engine);
}

static void test_traffic_goes_on(void)
{
	struct nat_session_view session;
	struct engine engine;
	uint16_t ports[3];

	engine_make(&engine);
	for (uint16_t i = 0; i < 3; i++)
		ports[i] =
			open_from(&engine, NAT_PROTO_UDP, INSIDE_1 + i, 5000);
	open_from(&engine, NAT_PROTO_TCP, INSIDE_1, 6000);
	engine_answer(&engine, NAT_PROTO_TCP, PEER_1, 7000, 6000);
	restart(&engine);
	for (uint16_t i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(open_from(&engine, NAT_PROTO_UDP, INSIDE_1 + i,
					  5000),
				ports[i]);
		CU_ASSERT_TRUE(reaches(&engine, NAT_PROTO_UDP, ports[i]));
		ASSERT_FLOW(&engine, PEER_1, 7000, INSIDE_1 + i, 5000);
	}
	CU_ASSERT_TRUE(engine_session(&engine, 6000, PEER_1, &session));
	CU_ASSERT_EQUAL(session.state, NAT_STATE_ESTABLISHED);
	ASSERT_TRANSLATED(engine_tcp(&engine, NAT_PATH_INBOUND,
				     flow_of(PEER_1, 7000, UPLINK, 6000),
				     ACK | PSH));
	/* The filter knows whom the hosts have spoken to. */
	ASSERT_DROPPED(engine_tcp(&engine, NAT_PATH_INBOUND,
				  flow_of(PEER_2, 7000, UPLINK, 6000), SYN),
		       NAT_DROP_FILTERED_ADDRESS);
	engine_free(&engine);
}

static void test_tcp_window_goes_on(void)
{
	struct nat_session_view session;
	struct engine engine;

	engine_make(&engine);
	open_from(&engine, NAT_PROTO_TCP, INSIDE_1, 6000);
	engine_answer(&engine, NAT_PROTO_TCP, PEER_1, 7000, 6000);
	engine_tcp(&engine, NAT_PATH_OUTBOUND,
		   flow_of(INSIDE_1, 6000, PEER_1, 7000), ACK);
	restart(&engine);
	packet_tcp(&engine.packet, flow_of(PEER_1, 7000, UPLINK, 6000),
		   (struct segment){ .flags = RST, .seq = 9000000 });
	engine_run(&engine, NAT_PATH_INBOUND);
	engine_session(&engine, 6000, PEER_1, &session);
	CU_ASSERT_EQUAL(session.state, NAT_STATE_ESTABLISHED);
	packet_tcp(&engine.packet, flow_of(PEER_1, 7000, UPLINK, 6000),
		   (struct segment){ .flags = RST, .seq = 1000 });
	engine_run(&engine, NAT_PATH_INBOUND);
	engine_session(&engine, 6000, PEER_1, &session);
	CU_ASSERT_EQUAL(session.state, NAT_STATE_TRANS);
	engine_free(&engine);
}

static void test_tags_go_on(void)
{
	struct engine engine;

	fill(&engine);
	restart(&engine);
	ASSERT_TRANSLATED(gre(&engine, NAT_PATH_INBOUND, PEER_2, UPLINK, 11));
	CU_ASSERT_EQUAL(packet_flow(&engine.packet).dst, INSIDE_1);
	ASSERT_TRANSLATED(gre(&engine, NAT_PATH_INBOUND, PEER_2, UPLINK, 13));
	CU_ASSERT_EQUAL(packet_flow(&engine.packet).dst, INSIDE_2);
	ASSERT_DROPPED(gre(&engine, NAT_PATH_OUTBOUND, INSIDE_3, PEER_2, 12),
		       NAT_DROP_NO_PORT);
	engine_free(&engine);
}

/* The first of several forwards to one inside socket is the one it speaks by,
 * also when the first one in the table is another. */
static void test_aliases_keep_their_order(void)
{
	struct engine engine;
	uint32_t cursor = 0;
	struct nat_mapping_view view;

	engine_make(&engine);
	engine.config.forwards = restore_forwards;
	engine.config.forward_count = COUNT(restore_forwards);
	engine_configure(&engine);
	/* 8001 goes and comes back last, in the first slot. */
	engine.config.forwards = restore_forwards + 1;
	engine.config.forward_count = 2;
	engine_configure(&engine);
	engine.config.forwards = restore_forwards;
	engine.config.forward_count = COUNT(restore_forwards);
	engine_configure(&engine);
	CU_ASSERT_TRUE(
		nat_next_mapping(engine.nat, &cursor, engine.now, &view));
	CU_ASSERT_EQUAL(view.outside_port, 8001);
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(open_from(&engine, NAT_PROTO_UDP, INSIDE_1, 80),
				8004);
		restart(&engine);
	}
	/* And so is the one behind it. */
	engine.config.forward_count = 2;
	engine_configure(&engine);
	CU_ASSERT_EQUAL(open_from(&engine, NAT_PROTO_UDP, INSIDE_1, 80), 8001);
	engine_free(&engine);
}

static void test_broken_alias_chains(void)
{
	static const uint32_t wrong[][4] = {
		{ 2, 3, 4, 1 }, { 1, 2, 3, 4 }, { 3, 3, 3, 3 },
		{ 0, 0, 0, 0 }, { 2, 1, 4, 3 }, { 99, 1 << 30, 65, 2 },
	};

	for (size_t i = 0; i < COUNT(wrong); i++) {
		struct engine engine;
		struct nat_restored restored;

		engine_make(&engine);
		engine.config.forwards = restore_forwards;
		engine.config.forward_count = COUNT(restore_forwards);
		engine_configure(&engine);
		for (uint32_t slot = 1; slot <= 4; slot++)
			engine.nat->mappings[slot].alias = wrong[i][slot - 1];
		restored = restart(&engine);
		CU_ASSERT_EQUAL(restored.mappings, 4);
		CU_ASSERT_NOT_EQUAL(
			open_from(&engine, NAT_PROTO_UDP, INSIDE_1, 80), 0);
		engine.config.forward_count = 0;
		engine_configure(&engine);
		CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 0);
		engine_free(&engine);
	}
}

/* --- time -------------------------------------------------------------------- */

static void test_sessions_end_when_due(void)
{
	struct engine engine;

	engine_make(&engine);
	engine.config.inbound_refresh = false;
	/* Slots and order of last use differ. */
	for (uint16_t i = 0; i < 40; i++) {
		open_from(&engine, NAT_PROTO_UDP, INSIDE_1, 5000 + i);
		engine.now += 1000;
	}
	for (uint16_t i = 0; i < 40; i += 3) {
		open_from(&engine, NAT_PROTO_UDP, INSIDE_1, 5000 + i);
		engine.now += 1000;
	}
	restart(&engine);
	engine.now += 300 * SECOND - 54 * SECOND;
	for (uint16_t i = 0, ended = 0; i < 40; i++) {
		if (i % 3 == 0)
			continue;
		engine.now = 1010000 + i * SECOND + 300 * SECOND - 1;
		CU_ASSERT_EQUAL(nat_expire(engine.nat, engine.now, 100), 0);
		engine.now++;
		CU_ASSERT_EQUAL(nat_expire(engine.nat, engine.now, 100), 1);
		ended++;
		CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 40U - ended);
	}
	engine_free(&engine);
}

static void test_what_expired_meanwhile_ends(void)
{
	struct engine engine;

	engine_make(&engine);
	open_from(&engine, NAT_PROTO_UDP, INSIDE_1, 5000);
	engine.now += 300 * SECOND;
	restart(&engine);
	CU_ASSERT_FALSE(reaches(&engine, NAT_PROTO_UDP, 5000));
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 0);
	CU_ASSERT_TRUE(nat_held(engine.nat, NAT_POOL_UDP, 5000));
	engine_free(&engine);
}

static void test_held_ports_rest_on(void)
{
	struct engine engine;

	engine_make(&engine);
	engine_pool(&engine.config, 5000, 5009);
	engine_configure(&engine);
	for (uint16_t i = 0; i < 10; i++) {
		open_from(&engine, NAT_PROTO_UDP, INSIDE_1, 5000 + i);
		engine.now += SECOND;
	}
	engine.now += 290 * SECOND; /* 5000 is over */
	for (uint16_t i = 0; i < 10; i++) {
		nat_expire(engine.nat, engine.now, 100);
		CU_ASSERT_EQUAL(engine_stats(&engine).ports[0].held, i + 1);
		restart(&engine);
		CU_ASSERT_EQUAL(engine_stats(&engine).ports[0].held, i + 1);
		engine.now += SECOND;
	}
	engine.now += 120 * SECOND - 11 * SECOND;
	for (uint16_t i = 0; i < 10; i++) {
		engine.now += SECOND - 1;
		CU_ASSERT_EQUAL(open_from(&engine, NAT_PROTO_UDP, INSIDE_2,
					  5000 + i),
				0);
		engine.now += 1;
		CU_ASSERT_EQUAL(open_from(&engine, NAT_PROTO_UDP, INSIDE_2,
					  5000 + i),
				5000 + i);
		restart(&engine);
	}
	engine_free(&engine);
}

/* --- configuration ------------------------------------------------------------ */

static void test_differences_are_applied(void)
{
	struct nat_mapping_view view;
	struct engine engine;

	engine_make(&engine);
	engine.config.forwards = restore_forwards;
	engine.config.forward_count = 2;
	engine_configure(&engine);
	open_from(&engine, NAT_PROTO_UDP, INSIDE_2, 5000);
	open_from(&engine, NAT_PROTO_UDP, INSIDE_2, 5001);
	engine_restore(&engine);
	engine.config.forwards =
		restore_forwards + 1; /* without "one", with "three" */
	nat_portset_remove(&engine.config.pool[NAT_POOL_UDP], 5001);
	engine_configure(&engine);
	nat_set_uplink(engine.nat, UPLINK, engine.now);
	CU_ASSERT_FALSE(engine_mapping(&engine, 8001, &view));
	CU_ASSERT_TRUE(engine_mapping(&engine, 8002, &view));
	CU_ASSERT_STRING_EQUAL(view.name, "two");
	CU_ASSERT_TRUE(engine_mapping(&engine, 8004, &view));
	CU_ASSERT_STRING_EQUAL(view.name, "three");
	CU_ASSERT_TRUE(engine_mapping(&engine, 5000, &view));
	CU_ASSERT_FALSE(engine_mapping(&engine, 5001, &view));
	engine_free(&engine);
}

static void test_another_uplink(void)
{
	struct nat_mapping_view view;
	struct engine engine;

	fill(&engine);
	engine_restore(&engine);
	engine_configure(&engine);
	CU_ASSERT_EQUAL(nat_set_uplink(engine.nat, UPLINK + 1, engine.now), 0);
	CU_ASSERT_TRUE(engine_stats(&engine).mappings > 12);
	CU_ASSERT_TRUE(engine_mapping(&engine, 8001, &view));
	CU_ASSERT_EQUAL(view.outside_addr, UPLINK + 1);
	engine_free(&engine);
}

static void test_hosts_keep_their_quota(void)
{
	struct nat_host_view host;
	struct engine engine;
	uint32_t cursor = 0;

	engine_make(&engine);
	engine.config.host_mappings = 3;
	engine.config.host_new_per_second = 1;
	for (uint16_t i = 0; i < 4; i++)
		open_from(&engine, NAT_PROTO_UDP, INSIDE_1, 5000 + i);
	restart(&engine);
	CU_ASSERT_EQUAL(open_from(&engine, NAT_PROTO_UDP, INSIDE_1, 5004), 0);
	CU_ASSERT_TRUE(nat_next_host(engine.nat, &cursor, &host));
	CU_ASSERT_EQUAL(host.mappings, 3);
	CU_ASSERT_EQUAL(host.refused, 2);
	engine_free(&engine);
}

static const struct test tests[] = {
	{ "after a restart the engine shows the same", test_shows_the_same },
	{ "nothing is shown or translated before the configuration",
	  test_nothing_before_configuration },
	{ "traffic and filter go on", test_traffic_goes_on },
	{ "the TCP window goes on", test_tcp_window_goes_on },
	{ "tags go on", test_tags_go_on },
	{ "aliases keep their order", test_aliases_keep_their_order },
	{ "broken alias chains are mended", test_broken_alias_chains },
	{ "sessions end when they are due", test_sessions_end_when_due },
	{ "what expired meanwhile ends", test_what_expired_meanwhile_ends },
	{ "held ports rest on", test_held_ports_rest_on },
	{ "differences of the configuration are applied",
	  test_differences_are_applied },
	{ "another uplink is a move", test_another_uplink },
	{ "hosts keep their quota", test_hosts_keep_their_quota },
};

int main(int argc, char **argv)
{
	return suite_run("restore", tests, COUNT(tests), argc, argv);
}
