/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The tables as an operator sees them.
 */
#include <string.h>

#include "engine.h"
#include "suite.h"

static const struct flow out = { INSIDE_1, 5000, PEER_1, 7000 };

static const struct nat_forward web = { .name = "web",
					.proto = NAT_PROTO_TCP,
					.outside_first = 80,
					.outside_last = 80,
					.inside_addr = INSIDE_2,
					.inside_first = 8080 };

static void test_mapping(void)
{
	struct engine engine;
	struct nat_mapping_view view;
	uint32_t cursor = 0;

	engine_make(&engine);
	engine_udp(&engine, NAT_PATH_OUTBOUND, out);
	engine.now += 5 * SECOND;
	engine_udp(&engine, NAT_PATH_OUTBOUND, out);
	engine.now += 2 * SECOND;
	engine_udp(&engine, NAT_PATH_INBOUND, flow_of(PEER_2, 1, UPLINK, 5000));
	engine.now += SECOND;
	CU_ASSERT_TRUE(
		nat_next_mapping(engine.nat, &cursor, engine.now, &view));
	CU_ASSERT_EQUAL(view.proto, NAT_PROTO_UDP);
	CU_ASSERT_EQUAL(view.kind, NAT_KIND_DYNAMIC);
	CU_ASSERT_EQUAL(view.inside_addr, INSIDE_1);
	CU_ASSERT_EQUAL(view.inside_port, 5000);
	CU_ASSERT_EQUAL(view.outside_addr, UPLINK);
	CU_ASSERT_EQUAL(view.outside_port, 5000);
	CU_ASSERT_EQUAL(view.sessions, 1);
	CU_ASSERT_EQUAL(view.age_ms, 8 * SECOND);
	CU_ASSERT_EQUAL(view.idle_ms, 3 * SECOND);
	CU_ASSERT_EQUAL(view.expires_ms, 297 * SECOND);
	CU_ASSERT_EQUAL(view.counters.out_packets, 2);
	CU_ASSERT_EQUAL(view.counters.out_bytes, 78);
	CU_ASSERT_EQUAL(view.counters.in_packets, 1);
	CU_ASSERT_EQUAL(view.counters.in_bytes, 39);
	CU_ASSERT_PTR_NULL(view.name);
	CU_ASSERT_FALSE(
		nat_next_mapping(engine.nat, &cursor, engine.now, &view));
	engine_free(&engine);
}

static void test_longest_session(void)
{
	struct engine engine;
	struct nat_mapping_view view;

	/* A mapping shows the end of its longest-lived session. */
	engine_make(&engine);
	engine_tcp(&engine, NAT_PATH_OUTBOUND, out, SYN);
	engine_answer(&engine, NAT_PROTO_TCP, PEER_1, 7000, 5000);
	engine.now += SECOND;
	engine_tcp(&engine, NAT_PATH_OUTBOUND,
		   flow_of(INSIDE_1, 5000, PEER_2, 80), SYN);
	CU_ASSERT_TRUE(engine_mapping(&engine, 5000, &view));
	CU_ASSERT_EQUAL(view.expires_ms, 7439 * SECOND);
	CU_ASSERT_EQUAL(view.sessions, 2);
	engine_free(&engine);
}

static void test_session(void)
{
	struct engine engine;
	struct nat_session_view view;
	uint32_t cursor = 0;

	engine_make(&engine);
	engine_udp(&engine, NAT_PATH_OUTBOUND, out);
	engine.now += 10 * SECOND;
	CU_ASSERT_TRUE(
		nat_next_session(engine.nat, &cursor, engine.now, &view));
	CU_ASSERT_EQUAL(view.proto, NAT_PROTO_UDP);
	CU_ASSERT_EQUAL(view.inside_addr, INSIDE_1);
	CU_ASSERT_EQUAL(view.inside_port, 5000);
	CU_ASSERT_EQUAL(view.outside_addr, UPLINK);
	CU_ASSERT_EQUAL(view.outside_port, 5000);
	CU_ASSERT_EQUAL(view.peer_addr, PEER_1);
	CU_ASSERT_EQUAL(view.peer_port, 7000);
	CU_ASSERT_EQUAL(view.state, NAT_STATE_INIT);
	CU_ASSERT_EQUAL(view.age_ms, 10 * SECOND);
	CU_ASSERT_EQUAL(view.idle_ms, 10 * SECOND);
	CU_ASSERT_EQUAL(view.expires_ms, 290 * SECOND);
	CU_ASSERT_EQUAL(view.counters.out_packets, 1);
	CU_ASSERT_EQUAL(view.counters.in_packets, 0);
	CU_ASSERT_FALSE(
		nat_next_session(engine.nat, &cursor, engine.now, &view));
	engine_free(&engine);
}

static void test_answered(void)
{
	static const uint8_t protos[] = { NAT_PROTO_UDP, NAT_PROTO_ICMP };

	/* Other protocols are established by their first answer. */
	for (size_t i = 0; i < 2; i++) {
		struct engine engine;
		struct nat_session_view view;

		engine_make(&engine);
		engine_open(&engine, protos[i], out);
		engine_open(&engine, protos[i], out);
		engine_session(&engine, 5000, PEER_1, &view);
		CU_ASSERT_EQUAL(view.state, NAT_STATE_INIT);
		engine_answer(&engine, protos[i], PEER_1, 7000, 5000);
		engine_session(&engine, 5000, PEER_1, &view);
		CU_ASSERT_EQUAL(view.state, NAT_STATE_ESTABLISHED);
		CU_ASSERT_EQUAL(view.peer_port,
				protos[i] == NAT_PROTO_UDP ? 7000 : 0);
		engine_free(&engine);
	}
}

static void test_idle_is_trans(void)
{
	struct engine engine;
	struct nat_session_view view;

	/* Shown so before any sweep came by. */
	engine_make(&engine);
	engine_tcp(&engine, NAT_PATH_OUTBOUND, out, SYN);
	engine_answer(&engine, NAT_PROTO_TCP, PEER_1, 7000, 5000);
	engine.now += 7200 * SECOND - 1;
	engine_session(&engine, 5000, PEER_1, &view);
	CU_ASSERT_EQUAL(view.state, NAT_STATE_ESTABLISHED);
	engine.now += 1;
	engine_session(&engine, 5000, PEER_1, &view);
	CU_ASSERT_EQUAL(view.state, NAT_STATE_TRANS);
	CU_ASSERT_EQUAL(view.expires_ms, 240 * SECOND);
	engine_free(&engine);
}

static void test_forward(void)
{
	struct engine engine;
	struct nat_mapping_view view;

	engine_make(&engine);
	engine.config.forwards = &web;
	engine.config.forward_count = 1;
	engine_configure(&engine);
	CU_ASSERT_TRUE(engine_mapping(&engine, 80, &view));
	CU_ASSERT_EQUAL(view.kind, NAT_KIND_FORWARD);
	CU_ASSERT_EQUAL(view.expires_ms, NAT_NEVER);
	CU_ASSERT_STRING_EQUAL(view.name, "web");
	CU_ASSERT_EQUAL(view.sessions, 0);
	engine_free(&engine);
}

static void test_no_uplink(void)
{
	struct engine engine;
	struct nat_mapping_view mapping;
	struct nat_session_view session;

	/* The address comes back, and everything with it. */
	engine_make(&engine);
	engine_udp(&engine, NAT_PATH_OUTBOUND, out);
	nat_set_uplink(engine.nat, 0, engine.now);
	CU_ASSERT_TRUE(engine_mapping(&engine, 5000, &mapping));
	CU_ASSERT_EQUAL(mapping.outside_addr, 0);
	CU_ASSERT_TRUE(engine_session(&engine, 5000, PEER_1, &session));
	CU_ASSERT_EQUAL(session.outside_addr, 0);
	nat_set_uplink(engine.nat, UPLINK, engine.now);
	CU_ASSERT_TRUE(engine_mapping(&engine, 5000, &mapping));
	CU_ASSERT_EQUAL(mapping.outside_addr, UPLINK);
	engine_free(&engine);
}

static void test_hosts(void)
{
	struct engine engine;
	struct nat_host_view view;
	uint32_t cursor = 0;

	engine_make(&engine);
	engine.config.host_mappings = 2;
	engine_udp(&engine, NAT_PATH_OUTBOUND, out);
	engine_tcp(&engine, NAT_PATH_OUTBOUND, out, SYN);
	engine_udp(&engine, NAT_PATH_OUTBOUND,
		   flow_of(INSIDE_1, 5000, PEER_2, 1));
	engine_udp(&engine, NAT_PATH_OUTBOUND,
		   flow_of(INSIDE_1, 5001, PEER_2, 1));
	engine_udp(&engine, NAT_PATH_INBOUND,
		   flow_of(PEER_1, 7000, UPLINK, 5000));
	engine_udp(&engine, NAT_PATH_OUTBOUND,
		   flow_of(INSIDE_2, 6000, PEER_2, 1));
	CU_ASSERT_TRUE(nat_next_host(engine.nat, &cursor, &view));
	CU_ASSERT_EQUAL(view.addr, INSIDE_1);
	CU_ASSERT_EQUAL(view.mappings, 2);
	CU_ASSERT_EQUAL(view.sessions, 3);
	CU_ASSERT_EQUAL(view.refused, 1);
	CU_ASSERT_EQUAL(view.counters.out_packets, 3);
	CU_ASSERT_EQUAL(view.counters.out_bytes, 39 + 40 + 39);
	CU_ASSERT_EQUAL(view.counters.in_packets, 1);
	CU_ASSERT_EQUAL(view.counters.in_bytes, 39);
	CU_ASSERT_TRUE(nat_next_host(engine.nat, &cursor, &view));
	CU_ASSERT_EQUAL(view.addr, INSIDE_2);
	CU_ASSERT_EQUAL(view.mappings, 1);
	CU_ASSERT_FALSE(nat_next_host(engine.nat, &cursor, &view));
	engine_free(&engine);
}

static void test_hairpin_counts(void)
{
	struct engine engine;
	struct nat_host_view view;
	uint32_t cursor = 0;

	engine_make(&engine);
	engine_udp(&engine, NAT_PATH_OUTBOUND, out);
	engine_udp(&engine, NAT_PATH_HAIRPIN_IN,
		   flow_of(INSIDE_2, 6000, UPLINK, 5000));
	engine_run(&engine, NAT_PATH_HAIRPIN_OUT);
	nat_next_host(engine.nat, &cursor, &view);
	CU_ASSERT_TRUE(view.counters.out_packets == 1 &&
		       view.counters.in_packets == 1);
	nat_next_host(engine.nat, &cursor, &view);
	CU_ASSERT_TRUE(view.counters.out_packets == 1 &&
		       view.counters.in_packets == 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).hairpin_packets, 1);
	CU_ASSERT_EQUAL(engine_stats(&engine).outbound_packets, 1);
	engine_free(&engine);
}

static void test_walk_under_change(void)
{
	struct engine engine;
	struct nat_mapping_view view;
	uint32_t cursor = 0, seen[8] = { 0 };

	/* Half of the mappings end in the middle of a walk, new ones come:
	 * those that live throughout are shown once. */
	engine_make(&engine);
	for (uint16_t i = 0; i < 8; i++)
		engine_udp(&engine, NAT_PATH_OUTBOUND,
			   flow_of(INSIDE_1, 5000 + i, PEER_1, 1));
	engine.now += 299 * SECOND;
	for (uint16_t i = 1; i < 8; i += 2)
		engine_udp(&engine, NAT_PATH_OUTBOUND,
			   flow_of(INSIDE_1, 5000 + i, PEER_1, 1));
	for (int step = 0;
	     nat_next_mapping(engine.nat, &cursor, engine.now, &view) &&
	     step < 100;
	     step++) {
		if (view.inside_port < 5008)
			seen[view.inside_port - 5000]++;
		if (step != 2)
			continue;
		engine.now += SECOND;
		for (uint16_t i = 0; i < 6; i++)
			engine_udp(&engine, NAT_PATH_OUTBOUND,
				   flow_of(INSIDE_1, 6000 + i, PEER_1, 1));
	}
	for (int i = 1; i < 8; i += 2)
		CU_ASSERT_EQUAL(seen[i], 1);
	engine_free(&engine);
}

static void test_stats(void)
{
	struct engine engine;
	struct nat_stats stats;
	struct nat_portset bound = { 0 };

	engine_make(&engine);
	engine_pool(&engine.config, 5000, 5009);
	memset(&engine.config.low_only, 0, sizeof(engine.config.low_only));
	engine.config.forwards = &web;
	engine.config.forward_count = 1;
	engine_configure(&engine);
	nat_portset_add(&bound, 5009);
	nat_portset_add(&bound, 53);
	nat_set_bound(engine.nat, NAT_POOL_UDP, &bound);
	engine_udp(&engine, NAT_PATH_OUTBOUND, out);
	engine_tcp(&engine, NAT_PATH_OUTBOUND, out, SYN);
	stats = engine_stats(&engine);
	CU_ASSERT_EQUAL(stats.mappings, 3);
	CU_ASSERT_EQUAL(stats.mappings_limit, 64);
	CU_ASSERT_EQUAL(stats.sessions, 2);
	CU_ASSERT_EQUAL(stats.sessions_limit, 128);
	CU_ASSERT_EQUAL(stats.hosts, 2);
	CU_ASSERT_EQUAL(stats.hosts_limit, 8);
	CU_ASSERT_EQUAL(stats.ports[NAT_POOL_UDP].used, 1);
	CU_ASSERT_EQUAL(stats.ports[NAT_POOL_UDP].total, 9);
	CU_ASSERT_EQUAL(stats.ports[NAT_POOL_TCP].used, 1);
	CU_ASSERT_EQUAL(stats.ports[NAT_POOL_TCP].total, 10);
	CU_ASSERT_EQUAL(stats.ports[NAT_POOL_ICMP].used, 0);
	engine.now += 300 * SECOND;
	nat_expire(engine.nat, engine.now, 100);
	stats = engine_stats(&engine);
	CU_ASSERT_EQUAL(stats.ports[NAT_POOL_UDP].used, 0);
	CU_ASSERT_EQUAL(stats.ports[NAT_POOL_UDP].held, 1);
	CU_ASSERT_EQUAL(stats.ports[NAT_POOL_UDP].total, 9);
	CU_ASSERT_EQUAL(stats.ports[NAT_POOL_TCP].held, 0);
	CU_ASSERT_EQUAL(stats.mappings, 1);
	engine_free(&engine);
}

static void test_empty(void)
{
	struct engine engine;
	struct nat_mapping_view mapping;
	struct nat_session_view session;
	struct nat_host_view host;
	uint32_t cursor = 0;

	engine_bare(&engine, &engine_limits);
	CU_ASSERT_FALSE(
		nat_next_mapping(engine.nat, &cursor, engine.now, &mapping));
	CU_ASSERT_FALSE(
		nat_next_session(engine.nat, &cursor, engine.now, &session));
	CU_ASSERT_FALSE(nat_next_host(engine.nat, &cursor, &host));
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).hosts, 0);
	engine_free(&engine);
}

static const struct test tests[] = {
	{ "a mapping shows sockets, age, use and counters", test_mapping },
	{ "a mapping ends with its longest-lived session",
	  test_longest_session },
	{ "a session shows its peer and times", test_session },
	{ "an answer establishes UDP and ping", test_answered },
	{ "an idle connection is shown in TRANS", test_idle_is_trans },
	{ "a forward has a name and no end", test_forward },
	{ "without an uplink there is no outside address", test_no_uplink },
	{ "hosts show what they have and what was refused", test_hosts },
	{ "a hairpinned datagram counts out for one and in for the other",
	  test_hairpin_counts },
	{ "a walk shows once what lives through it", test_walk_under_change },
	{ "used, held and total ports add up", test_stats },
	{ "empty tables are empty", test_empty },
};

int main(int argc, char **argv)
{
	return suite_run("view", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
