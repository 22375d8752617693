/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Time: both sides of every edge, the sweep, and ports that rest.
 */
#include "engine.h"
#include "nat/internal.h"
#include "suite.h"

static uint16_t open_udp(struct engine *engine, uint32_t inside, uint16_t port)
{
	return engine_open(engine, NAT_PROTO_UDP,
			   flow_of(inside, port, PEER_1, 7000));
}

static bool answered(struct engine *engine, uint16_t port)
{
	return engine_answer(engine, NAT_PROTO_UDP, PEER_1, 7000, port)
		       .verdict == NAT_TRANSLATED;
}

/* --- timers --------------------------------------------------------------- */

static void test_udp_edge(void)
{
	struct engine engine;

	engine_make(&engine);
	engine.config.inbound_refresh = false;
	CU_ASSERT_EQUAL(open_udp(&engine, INSIDE_1, 5000), 5000);
	engine.now += 299999;
	CU_ASSERT_TRUE(answered(&engine, 5000));
	engine.now += 1;
	CU_ASSERT_FALSE(answered(&engine, 5000));
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 0);
	engine_free(&engine);
}

static void test_outbound_refresh(void)
{
	struct engine engine;

	engine_make(&engine);
	engine.config.inbound_refresh = false;
	for (int i = 0; i < 6; i++) {
		CU_ASSERT_EQUAL(open_udp(&engine, INSIDE_1, 5000), 5000);
		engine.now += 299999;
	}
	CU_ASSERT_TRUE(answered(&engine, 5000));
	engine_free(&engine);
}

static void test_inbound_refresh(void)
{
	struct engine engine;

	engine_make(&engine);
	open_udp(&engine, INSIDE_1, 5000);
	for (int i = 0; i < 6; i++) {
		engine.now += 299999;
		CU_ASSERT_TRUE(answered(&engine, 5000));
	}
	engine.config.inbound_refresh = false;
	engine.now += 299999;
	CU_ASSERT_TRUE(answered(&engine, 5000));
	engine.now += 1;
	CU_ASSERT_FALSE(answered(&engine, 5000));
	engine_free(&engine);
}

static void test_icmp_edge(void)
{
	struct engine engine;

	engine_make(&engine);
	engine.config.inbound_refresh = false;
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_ICMP,
				    flow_of(INSIDE_1, 2007, PEER_1, 0)),
			2007);
	engine.now += 59999;
	ASSERT_TRANSLATED(
		engine_answer(&engine, NAT_PROTO_ICMP, PEER_1, 0, 2007));
	engine.now += 1;
	ASSERT_UNTOUCHED(
		engine_answer(&engine, NAT_PROTO_ICMP, PEER_1, 0, 2007));
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 0);
	engine_free(&engine);
}

static void test_sessions_apart(void)
{
	struct engine engine;

	/* The mapping lives with the younger of its two sessions. */
	engine_make(&engine);
	open_udp(&engine, INSIDE_1, 5000);
	engine.now += 200 * SECOND;
	engine_open(&engine, NAT_PROTO_UDP,
		    flow_of(INSIDE_1, 5000, PEER_2, 7000));
	engine.now += 100 * SECOND;
	CU_ASSERT_EQUAL(nat_expire(engine.nat, engine.now, 100), 1);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 1);
	engine.now += 200 * SECOND;
	CU_ASSERT_EQUAL(nat_expire(engine.nat, engine.now, 100), 1);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 0);
	engine_free(&engine);
}

static void test_new_timeouts(void)
{
	struct engine engine;

	/* A session started under the old timeout ends by the new one. */
	engine_make(&engine);
	open_udp(&engine, INSIDE_1, 5000);
	engine.now += 150 * SECOND;
	engine.config.timeout_s[NAT_TIMER_UDP] = 120;
	engine_configure(&engine);
	CU_ASSERT_EQUAL(nat_expire(engine.nat, engine.now, 100), 1);
	engine_free(&engine);
}

static void test_short_established(void)
{
	struct engine engine;
	struct nat_session_view view;

	/* Shorter than tcp_closing: the whole life is TRANS. */
	engine_make(&engine);
	engine.config.timeout_s[NAT_TIMER_TCP_ESTABLISHED] = 100;
	engine_configure(&engine);
	engine_open(&engine, NAT_PROTO_TCP,
		    flow_of(INSIDE_1, 5000, PEER_1, 80));
	engine_answer(&engine, NAT_PROTO_TCP, PEER_1, 80, 5000);
	for (int i = 0; i < 3; i++) {
		engine.now += 239 * SECOND;
		nat_expire(engine.nat, engine.now, 100);
		CU_ASSERT_TRUE(engine_session(&engine, 5000, PEER_1, &view));
		ASSERT_TRANSLATED(
			engine_tcp(&engine, NAT_PATH_OUTBOUND,
				   flow_of(INSIDE_1, 5000, PEER_1, 80), ACK));
	}
	engine.now += 240 * SECOND;
	CU_ASSERT_EQUAL(nat_expire(engine.nat, engine.now, 100), 1);
	engine_free(&engine);
}

/* --- the sweep -------------------------------------------------------------- */

static void test_sweep_in_parts(void)
{
	struct engine engine;

	engine_make(&engine);
	for (uint16_t port = 5000; port < 5050; port++)
		open_udp(&engine, INSIDE_1, port);
	engine.now += 300 * SECOND;
	CU_ASSERT_EQUAL(nat_expire(engine.nat, engine.now, 20), 20);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 30);
	CU_ASSERT_EQUAL(nat_expire(engine.nat, engine.now, 20), 20);
	CU_ASSERT_EQUAL(nat_expire(engine.nat, engine.now, 20), 10);
	CU_ASSERT_EQUAL(nat_expire(engine.nat, engine.now, 20), 0);
	CU_ASSERT_PTR_NULL(nat_check(engine.nat));
	engine_free(&engine);
}

static void test_sweep_by_packets(void)
{
	struct engine engine;

	/* Nobody calls nat_expire(): packets sweep as they come. */
	engine_make(&engine);
	for (uint16_t port = 5000; port < 5020; port++)
		open_udp(&engine, INSIDE_1, port);
	engine.now += 300 * SECOND;
	open_udp(&engine, INSIDE_2, 6000);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 1);
	engine_free(&engine);
}

static void test_nothing_unexpired(void)
{
	struct engine engine;

	engine_make(&engine);
	open_udp(&engine, INSIDE_1, 5000);
	CU_ASSERT_EQUAL(nat_expire(engine.nat, engine.now + 299999, 100), 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 1);
	engine_free(&engine);
}

static void test_full_table_sweeps(void)
{
	struct engine engine;

	/* More expired at once than one packet sweeps: a full table asks for
	 * more before it refuses. */
	engine_make(&engine);
	for (uint16_t port = 5000; port < 5064; port++)
		open_udp(&engine, port % 2 ? INSIDE_1 : INSIDE_2, port);
	CU_ASSERT_EQUAL(open_udp(&engine, INSIDE_1, 6000), 0);
	engine.now += 300 * SECOND;
	for (uint16_t port = 6000; port < 6064; port++)
		CU_ASSERT_EQUAL(open_udp(&engine, INSIDE_1, port), port);
	engine_free(&engine);
}

static void test_before_configuration(void)
{
	struct engine engine;

	engine_bare(&engine, &engine_limits);
	CU_ASSERT_EQUAL(nat_expire(engine.nat, engine.now + 1000000, 100), 0);
	engine_free(&engine);
}

/* --- ports that rest (RFC 6888 REQ-8) ------------------------------------------ */

static void one_port(struct engine *engine)
{
	engine_make(engine);
	engine_pool(&engine->config, 5000, 5000);
	engine_configure(engine);
}

static void test_hold_edge(void)
{
	struct engine engine;
	struct nat_pool_stats stats;

	one_port(&engine);
	CU_ASSERT_EQUAL(open_udp(&engine, INSIDE_1, 5000), 5000);
	engine.now += 300 * SECOND;
	nat_expire(engine.nat, engine.now, 100);
	stats = engine_stats(&engine).ports[NAT_POOL_UDP];
	CU_ASSERT_TRUE(stats.held == 1 && !stats.used && stats.total == 1);
	CU_ASSERT_TRUE(nat_held(engine.nat, NAT_POOL_UDP, 5000));
	engine.now += 119999;
	CU_ASSERT_EQUAL(open_udp(&engine, INSIDE_2, 5000), 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).drops[NAT_DROP_NO_PORT], 1);
	engine.now += 1;
	CU_ASSERT_EQUAL(open_udp(&engine, INSIDE_2, 5000), 5000);
	CU_ASSERT_FALSE(nat_held(engine.nat, NAT_POOL_UDP, 5000));
	engine_free(&engine);
}

static void test_hold_even_owner(void)
{
	struct engine engine;

	engine_make(&engine);
	open_udp(&engine, INSIDE_1, 5000);
	engine.now += 300 * SECOND;
	CU_ASSERT_NOT_EQUAL(open_udp(&engine, INSIDE_1, 5000), 5000);
	engine_free(&engine);
}

static void test_hold_icmp_not_tcp(void)
{
	struct engine engine;
	struct flow flow = flow_of(INSIDE_1, 5000, PEER_1, 7000);

	one_port(&engine);
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_ICMP, flow), 5000);
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_TCP, flow), 5000);
	engine.now += 240 * SECOND;
	nat_expire(engine.nat, engine.now, 100);
	CU_ASSERT_EQUAL(engine_stats(&engine).ports[NAT_POOL_ICMP].held, 1);
	CU_ASSERT_EQUAL(engine_stats(&engine).ports[NAT_POOL_TCP].held, 0);
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_TCP, flow), 5000);
	engine_free(&engine);
}

static void test_hold_off(void)
{
	struct engine engine;

	one_port(&engine);
	engine.config.port_hold_s = 0;
	engine_configure(&engine);
	open_udp(&engine, INSIDE_1, 5000);
	engine.now += 300 * SECOND;
	CU_ASSERT_EQUAL(open_udp(&engine, INSIDE_2, 5000), 5000);
	engine_free(&engine);
}

static void test_hold_overflow(void)
{
	struct nat_limits limits = engine_limits;
	struct engine engine;

	limits.held_ports = 4;
	engine_bare(&engine, &limits);
	engine_defaults(&engine.config);
	engine_configure(&engine);
	nat_set_uplink(engine.nat, UPLINK, engine.now);
	for (uint16_t port = 5000; port < 5006; port++) {
		open_udp(&engine, INSIDE_1, port);
		engine.now += 1;
	}
	engine.now += 300 * SECOND;
	nat_expire(engine.nat, engine.now, 100);
	/* The two that rested longest went early, and that is counted. */
	CU_ASSERT_EQUAL(engine_stats(&engine).held_overflow, 2);
	CU_ASSERT_EQUAL(engine_stats(&engine).ports[NAT_POOL_UDP].held, 4);
	CU_ASSERT_FALSE(nat_held(engine.nat, NAT_POOL_UDP, 5000));
	CU_ASSERT_FALSE(nat_held(engine.nat, NAT_POOL_UDP, 5001));
	CU_ASSERT_TRUE(nat_held(engine.nat, NAT_POOL_UDP, 5002));
	CU_ASSERT_TRUE(nat_held(engine.nat, NAT_POOL_UDP, 5005));
	CU_ASSERT_EQUAL(open_udp(&engine, INSIDE_2, 5000), 5000);
	CU_ASSERT_NOT_EQUAL(open_udp(&engine, INSIDE_2, 5002), 5002);
	engine.now += 120 * SECOND;
	nat_expire(engine.nat, engine.now, 100);
	CU_ASSERT_EQUAL(engine_stats(&engine).ports[NAT_POOL_UDP].held, 0);
	CU_ASSERT_PTR_NULL(nat_check(engine.nat));
	engine_free(&engine);
}

static void test_hold_cancel(void)
{
	struct engine engine;

	one_port(&engine);
	open_udp(&engine, INSIDE_1, 5000);
	engine.now += 300 * SECOND;
	nat_expire(engine.nat, engine.now, 100);
	nat_hold_cancel(engine.nat, NAT_POOL_TCP, 5000); /* another pool */
	nat_hold_cancel(engine.nat, NAT_POOL_UDP, 5001); /* not held */
	CU_ASSERT_TRUE(nat_held(engine.nat, NAT_POOL_UDP, 5000));
	nat_hold_cancel(engine.nat, NAT_POOL_UDP, 5000);
	CU_ASSERT_FALSE(nat_held(engine.nat, NAT_POOL_UDP, 5000));
	CU_ASSERT_EQUAL(engine_stats(&engine).ports[NAT_POOL_UDP].held, 0);
	/* It stays taken: that is the business of who cancelled it. */
	CU_ASSERT_TRUE(nat_ports_taken(&engine.nat->ports[NAT_POOL_UDP], 5000));
	engine.now += 120 * SECOND;
	nat_expire(engine.nat, engine.now, 100);
	CU_ASSERT_TRUE(nat_ports_taken(&engine.nat->ports[NAT_POOL_UDP], 5000));
	engine_free(&engine);
}

/* Idle connections retire, which makes no room; queries are over, which does. */
static void test_retiring_beside(void)
{
	struct engine engine;

	engine_make(&engine);
	for (uint16_t i = 0; i < 40; i++) {
		engine_open(&engine, NAT_PROTO_TCP,
			    flow_of(INSIDE_1, 5000 + i, PEER_1, 80));
		engine_answer(&engine, NAT_PROTO_TCP, PEER_1, 80, 5000 + i);
	}
	for (uint16_t i = 0; i < 20; i++)
		engine_open(&engine, NAT_PROTO_ICMP,
			    flow_of(INSIDE_2, 1000 + i, PEER_1, 0));
	engine.now += 7205 * SECOND;
	CU_ASSERT_EQUAL(nat_expire(engine.nat, engine.now, 32), 32);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 40);
	engine_free(&engine);
}

/* Not since it retired. */
static void test_mapping_idle(void)
{
	struct nat_mapping_view view;
	struct engine engine;

	engine_make(&engine);
	engine_open(&engine, NAT_PROTO_TCP,
		    flow_of(INSIDE_1, 5000, PEER_1, 80));
	engine_answer(&engine, NAT_PROTO_TCP, PEER_1, 80, 5000);
	engine.now += 7210 * SECOND;
	nat_expire(engine.nat, engine.now, 32);
	CU_ASSERT_TRUE(engine_mapping(&engine, 5000, &view));
	CU_ASSERT_EQUAL(view.idle_ms, 7210 * SECOND);
	engine_free(&engine);
}

static const struct test tests[] = {
	{ "a UDP mapping lives 299,999 ms and is gone at 300,000",
	  test_udp_edge },
	{ "a packet from inside refreshes", test_outbound_refresh },
	{ "an answer refreshes only if the operator wants it",
	  test_inbound_refresh },
	{ "a ping lives 59,999 ms and is gone at 60,000", test_icmp_edge },
	{ "a mapping lives as long as its youngest session",
	  test_sessions_apart },
	{ "a new timeout holds for sessions that are there",
	  test_new_timeouts },
	{ "an established timeout below the closing one is survived",
	  test_short_established },
	{ "a sweep ends as many as it was asked for", test_sweep_in_parts },
	{ "packets sweep as they come", test_sweep_by_packets },
	{ "what retires keeps nothing from ending", test_retiring_beside },
	{ "a mapping is idle as long as its sessions", test_mapping_idle },
	{ "a sweep ends nothing unexpired", test_nothing_unexpired },
	{ "a full table sweeps before it refuses", test_full_table_sweeps },
	{ "nothing expires before there is a configuration",
	  test_before_configuration },
	{ "a UDP port rests 119,999 ms and is free at 120,000",
	  test_hold_edge },
	{ "a resting port is not even given to its last owner",
	  test_hold_even_owner },
	{ "query ids rest, TCP ports do not", test_hold_icmp_not_tcp },
	{ "a hold time of 0 lets ports go at once", test_hold_off },
	{ "too many resting ports free the oldest, counted",
	  test_hold_overflow },
	{ "a cancelled hold is not released later", test_hold_cancel },
};

int main(int argc, char **argv)
{
	return suite_run("expire", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
