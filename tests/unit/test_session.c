/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Policy: which mapping a packet gets, whom the filter lets in, quotas. The
 * forwards' part is in test_forwards.c.
 */
#include "engine.h"
#include "suite.h"

static const uint8_t protos[] = { NAT_PROTO_UDP, NAT_PROTO_TCP,
				  NAT_PROTO_ICMP };

static uint16_t udp(struct engine *engine, uint32_t inside, uint16_t port,
		    uint32_t peer, uint16_t peer_port)
{
	return engine_open(engine, NAT_PROTO_UDP,
			   flow_of(inside, port, peer, peer_port));
}

static uint16_t tcp(struct engine *engine, uint32_t inside, uint16_t port,
		    uint32_t peer, uint16_t peer_port)
{
	return engine_open(engine, NAT_PROTO_TCP,
			   flow_of(inside, port, peer, peer_port));
}

/* --- mapping ---------------------------------------------------------------- */

static void test_one_for_all_peers(void)
{
	for (size_t i = 0; i < sizeof(protos); i++) {
		struct engine engine;
		uint16_t taken;

		/* INSIDE_2 first: INSIDE_1 cannot keep its port. */
		engine_make(&engine);
		engine_open(&engine, protos[i],
			    flow_of(INSIDE_2, 5000, PEER_1, 7000));
		taken = engine_open(&engine, protos[i],
				    flow_of(INSIDE_1, 5000, PEER_1, 7000));
		CU_ASSERT_NOT_EQUAL(taken, 5000);
		for (uint16_t port = 7001; port < 7050; port++) {
			uint32_t peer = port % 2 ? PEER_1 : PEER_2;

			CU_ASSERT_EQUAL(engine_open(&engine, protos[i],
						    flow_of(INSIDE_1, 5000,
							    peer + port % 3,
							    port)),
					taken);
		}
		CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 2);
		engine_free(&engine);
	}
}

static void test_never_shared(void)
{
	for (size_t i = 0; i < sizeof(protos); i++) {
		struct engine engine;
		struct flow one = flow_of(INSIDE_1, 5000, PEER_1, 7000);
		struct flow two = flow_of(INSIDE_2, 5000, PEER_1, 7000);
		uint16_t port;

		engine_make(&engine);
		CU_ASSERT_EQUAL(engine_open(&engine, protos[i], one), 5000);
		port = engine_open(&engine, protos[i], two);
		CU_ASSERT_TRUE(port && port != 5000);
		/* Each answer reaches its owner. */
		engine_answer(&engine, protos[i], PEER_1, 7000, 5000);
		CU_ASSERT_EQUAL(packet_flow(&engine.packet).dst, INSIDE_1);
		CU_ASSERT_EQUAL(packet_flow(&engine.packet).dport, 5000);
		engine_answer(&engine, protos[i], PEER_1, 7000, port);
		CU_ASSERT_EQUAL(packet_flow(&engine.packet).dst, INSIDE_2);
		CU_ASSERT_EQUAL(packet_flow(&engine.packet).dport, 5000);
		engine_free(&engine);
	}
}

static void test_protocols_apart(void)
{
	struct engine engine;

	engine_make(&engine);
	for (size_t i = 0; i < sizeof(protos); i++)
		CU_ASSERT_EQUAL(engine_open(&engine, protos[i],
					    flow_of(INSIDE_1 + (uint32_t)i,
						    5000, PEER_1, 7000)),
				5000);
	/* A TCP mapping does not let UDP in. */
	engine_answer(&engine, NAT_PROTO_UDP, PEER_1, 7000, 5000);
	CU_ASSERT_EQUAL(packet_flow(&engine.packet).dst, INSIDE_1);
	engine_free(&engine);
}

static void test_preserved_parity_half(void)
{
	struct engine engine;

	engine_make(&engine);
	CU_ASSERT_EQUAL(udp(&engine, INSIDE_1, 5001, PEER_1, 1), 5001);
	CU_ASSERT_EQUAL(udp(&engine, INSIDE_1, 600, PEER_1, 1), 600);
	for (uint32_t i = 1; i < 5; i++) {
		uint16_t high = udp(&engine, INSIDE_1 + i, 5001, PEER_1, 1);
		uint16_t low = udp(&engine, INSIDE_1 + i, 600, PEER_1, 1);

		CU_ASSERT_TRUE(high >= 1024 && high % 2 == 1);
		CU_ASSERT_TRUE(low >= 512 && low < 1024 && low % 2 == 0);
	}
	/* Below the pool: the half is kept, the number cannot be. */
	CU_ASSERT_TRUE(udp(&engine, INSIDE_1, 80, PEER_1, 1) < 1024);
	engine_free(&engine);
}

static void test_source_port_0(void)
{
	struct engine engine;
	uint16_t port;

	engine_make(&engine);
	port = udp(&engine, INSIDE_1, 0, PEER_1, 7000);
	CU_ASSERT_TRUE(port >= 512);
	CU_ASSERT_EQUAL(udp(&engine, INSIDE_1, 0, PEER_2, 7000), port);
	engine_answer(&engine, NAT_PROTO_UDP, PEER_1, 7000, port);
	ASSERT_FLOW(&engine, PEER_1, 7000, INSIDE_1, 0);
	engine_free(&engine);
}

static void test_no_port(void)
{
	struct engine engine;

	engine_make(&engine);
	engine_pool(&engine.config, 5000, 5001);
	engine_configure(&engine);
	CU_ASSERT_EQUAL(udp(&engine, INSIDE_1, 5000, PEER_1, 1), 5000);
	CU_ASSERT_EQUAL(udp(&engine, INSIDE_1, 5002, PEER_1, 1), 5001);
	CU_ASSERT_EQUAL(udp(&engine, INSIDE_1, 5003, PEER_1, 1), 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).drops[NAT_DROP_NO_PORT], 1);
	/* What lives goes on; other pools are not touched by it. */
	CU_ASSERT_EQUAL(udp(&engine, INSIDE_1, 5002, PEER_2, 1), 5001);
	CU_ASSERT_EQUAL(tcp(&engine, INSIDE_1, 5003, PEER_1, 1) / 2, 2500);
	engine_free(&engine);
}

/* --- filtering (RFC 4787 REQ-8, RFC 5382 REQ-3) --------------------------------- */

static void filtering(struct engine *engine, enum nat_filter filter)
{
	engine_make(engine);
	for (int pool = 0; pool < NAT_POOLS; pool++)
		engine->config.filtering[pool] = filter;
	engine_configure(engine);
	udp(engine, INSIDE_1, 5000, PEER_1, 7000);
	tcp(engine, INSIDE_1, 5000, PEER_1, 7000);
}

static struct nat_result knock(struct engine *engine, uint8_t proto,
			       uint32_t peer, uint16_t port)
{
	struct flow flow = flow_of(peer, port, UPLINK, 5000);

	if (proto == NAT_PROTO_UDP)
		return engine_udp(engine, NAT_PATH_INBOUND, flow);
	return engine_tcp(engine, NAT_PATH_INBOUND, flow, SYN);
}

static void test_endpoint_independent(void)
{
	struct engine engine;

	filtering(&engine, NAT_FILTER_ENDPOINT_INDEPENDENT);
	for (size_t i = 0; i < 2; i++) {
		ASSERT_TRANSLATED(knock(&engine, protos[i], PEER_1, 7000));
		ASSERT_TRANSLATED(knock(&engine, protos[i], PEER_1, 7001));
		ASSERT_TRANSLATED(knock(&engine, protos[i], PEER_2, 1));
		ASSERT_FLOW(&engine, PEER_2, 1, INSIDE_1, 5000);
	}
	engine_free(&engine);
}

static void test_address_dependent(void)
{
	struct engine engine;

	filtering(&engine, NAT_FILTER_ADDRESS_DEPENDENT);
	for (size_t i = 0; i < 2; i++) {
		ASSERT_TRANSLATED(knock(&engine, protos[i], PEER_1, 7000));
		ASSERT_TRANSLATED(knock(&engine, protos[i], PEER_1, 7001));
		ASSERT_DROPPED(knock(&engine, protos[i], PEER_2, 7000),
			       NAT_DROP_FILTERED_ADDRESS);
	}
	udp(&engine, INSIDE_1, 5000, PEER_2, 9);
	ASSERT_TRANSLATED(knock(&engine, NAT_PROTO_UDP, PEER_2, 7000));
	ASSERT_DROPPED(knock(&engine, NAT_PROTO_TCP, PEER_2, 7000),
		       NAT_DROP_FILTERED_ADDRESS);
	engine_free(&engine);
}

static void test_address_and_port_dependent(void)
{
	struct engine engine;

	filtering(&engine, NAT_FILTER_ADDRESS_AND_PORT_DEPENDENT);
	for (size_t i = 0; i < 2; i++) {
		ASSERT_TRANSLATED(knock(&engine, protos[i], PEER_1, 7000));
		ASSERT_DROPPED(knock(&engine, protos[i], PEER_1, 7001),
			       NAT_DROP_FILTERED_PORT);
		ASSERT_DROPPED(knock(&engine, protos[i], PEER_2, 7000),
			       NAT_DROP_FILTERED_ADDRESS);
	}
	engine_free(&engine);
}

static void test_uninvited_udp_leaves_nothing(void)
{
	struct engine engine;
	struct nat_session_view view;

	engine_make(&engine);
	udp(&engine, INSIDE_1, 5000, PEER_1, 7000);
	engine.now += 200 * SECOND;
	for (uint32_t i = 0; i < 200; i++)
		ASSERT_TRANSLATED(knock(&engine, NAT_PROTO_UDP, PEER_2 + i, 9));
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 1);
	CU_ASSERT_FALSE(engine_session(&engine, 5000, PEER_2, &view));
	CU_ASSERT_TRUE(engine_session(&engine, 5000, PEER_1, &view));
	CU_ASSERT_EQUAL(view.expires_ms, 100 * SECOND);
	/* Nor does a refused one refresh (RFC 7857 7). */
	engine.config.filtering[NAT_POOL_UDP] = NAT_FILTER_ADDRESS_DEPENDENT;
	engine.now += 50 * SECOND;
	CU_ASSERT_EQUAL(knock(&engine, NAT_PROTO_UDP, PEER_2, 9).verdict,
			NAT_DROPPED);
	engine.now += 50 * SECOND;
	ASSERT_DROPPED(knock(&engine, NAT_PROTO_UDP, PEER_1, 7000),
		       NAT_DROP_NO_MAPPING);
	engine_free(&engine);
}

static void test_admitted_syn(void)
{
	struct engine engine;
	struct nat_session_view view;

	filtering(&engine, NAT_FILTER_ENDPOINT_INDEPENDENT);
	ASSERT_TRANSLATED(knock(&engine, NAT_PROTO_TCP, PEER_2, 9));
	CU_ASSERT_TRUE(engine_session(&engine, 5000, PEER_2, &view));
	CU_ASSERT_EQUAL(view.state, NAT_STATE_INIT);
	/* Being called is not calling: the address is not invited by it. */
	engine.config.filtering[NAT_POOL_TCP] = NAT_FILTER_ADDRESS_DEPENDENT;
	ASSERT_DROPPED(knock(&engine, NAT_PROTO_TCP, PEER_2, 10),
		       NAT_DROP_FILTERED_ADDRESS);
	engine_free(&engine);
}

static void test_tcp_without_syn(void)
{
	struct engine engine;
	struct flow flow = flow_of(INSIDE_1, 5000, PEER_2, 80);

	/* No mapping: silence. A mapping: forwarded without state. */
	engine_make(&engine);
	ASSERT_DROPPED(engine_tcp(&engine, NAT_PATH_OUTBOUND, flow, ACK),
		       NAT_DROP_NO_SESSION);
	ASSERT_DROPPED(engine_tcp(&engine, NAT_PATH_OUTBOUND, flow, RST),
		       NAT_DROP_NO_SESSION);
	ASSERT_DROPPED(engine_tcp(&engine, NAT_PATH_OUTBOUND, flow, SYN | ACK),
		       NAT_DROP_NO_SESSION);
	ASSERT_DROPPED(engine_tcp(&engine, NAT_PATH_INBOUND,
				  flow_of(PEER_2, 80, UPLINK, 5000), ACK),
		       NAT_DROP_NO_MAPPING);
	tcp(&engine, INSIDE_1, 5000, PEER_1, 80);
	ASSERT_TRANSLATED(engine_tcp(&engine, NAT_PATH_OUTBOUND, flow, ACK));
	ASSERT_FLOW(&engine, UPLINK, 5000, PEER_2, 80);
	ASSERT_TRANSLATED(engine_tcp(&engine, NAT_PATH_INBOUND,
				     flow_of(PEER_1, 81, UPLINK, 5000), ACK));
	ASSERT_DROPPED(engine_tcp(&engine, NAT_PATH_INBOUND,
				  flow_of(PEER_2, 80, UPLINK, 5000), ACK),
		       NAT_DROP_FILTERED_ADDRESS);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 1);
	engine_free(&engine);
}

static void test_replies_find_their_query(void)
{
	struct engine engine;
	struct flow one = flow_of(INSIDE_1, 2007, PEER_1, 0);

	engine_make(&engine);
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_ICMP, one), 2007);
	ASSERT_TRANSLATED(
		engine_answer(&engine, NAT_PROTO_ICMP, PEER_1, 0, 2007));
	CU_ASSERT_EQUAL(packet_flow(&engine.packet).dst, INSIDE_1);
	/* Another id, or another peer: perhaps the router's own. */
	ASSERT_UNTOUCHED(
		engine_answer(&engine, NAT_PROTO_ICMP, PEER_1, 0, 2008));
	ASSERT_UNTOUCHED(
		engine_answer(&engine, NAT_PROTO_ICMP, PEER_2, 0, 2007));
	/* Timestamps are queries as well. */
	ASSERT_TRANSLATED(engine_icmp(&engine, NAT_PATH_OUTBOUND, one, 13));
	ASSERT_TRANSLATED(engine_icmp(&engine, NAT_PATH_INBOUND,
				      flow_of(PEER_1, 2007, UPLINK, 0), 14));
	engine_free(&engine);
}

/* --- quotas and rate --------------------------------------------------------------- */

static void test_mapping_quota(void)
{
	struct engine engine;

	engine_make(&engine);
	engine.config.host_mappings = 3;
	for (uint16_t i = 0; i < 3; i++)
		CU_ASSERT_TRUE(udp(&engine, INSIDE_1, 5000 + i, PEER_1, 1));
	CU_ASSERT_FALSE(udp(&engine, INSIDE_1, 5003, PEER_1, 1));
	CU_ASSERT_FALSE(tcp(&engine, INSIDE_1, 5003, PEER_1, 1));
	CU_ASSERT_EQUAL(engine_stats(&engine).drops[NAT_DROP_HOST_QUOTA], 2);
	/* What it has works, and so does another host. */
	CU_ASSERT_TRUE(udp(&engine, INSIDE_1, 5000, PEER_2, 1));
	CU_ASSERT_TRUE(udp(&engine, INSIDE_2, 5003, PEER_1, 1));
	engine_free(&engine);
}

static void test_session_quota(void)
{
	struct engine engine;

	engine_make(&engine);
	engine.config.host_sessions = 3;
	for (uint16_t i = 1; i <= 3; i++)
		CU_ASSERT_TRUE(udp(&engine, INSIDE_1, 5000, PEER_1, i));
	CU_ASSERT_FALSE(udp(&engine, INSIDE_1, 5000, PEER_1, 4));
	CU_ASSERT_FALSE(udp(&engine, INSIDE_1, 5001, PEER_1, 1));
	CU_ASSERT_EQUAL(engine_stats(&engine).drops[NAT_DROP_HOST_QUOTA], 2);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 1);
	CU_ASSERT_TRUE(udp(&engine, INSIDE_1, 5000, PEER_1, 3));
	CU_ASSERT_TRUE(udp(&engine, INSIDE_2, 5001, PEER_1, 1));
	engine_free(&engine);
}

static void test_mapping_sessions(void)
{
	struct engine engine;

	filtering(&engine, NAT_FILTER_ENDPOINT_INDEPENDENT);
	engine.config.mapping_sessions = 4;
	ASSERT_TRANSLATED(knock(&engine, NAT_PROTO_TCP, PEER_2, 1));
	/* Outsiders cannot make a mapping's sessions grow without bound: half
	 * of them are the host's own. */
	ASSERT_DROPPED(knock(&engine, NAT_PROTO_TCP, PEER_2, 2),
		       NAT_DROP_HOST_QUOTA);
	CU_ASSERT_TRUE(tcp(&engine, INSIDE_1, 5000, PEER_2, 4));
	CU_ASSERT_TRUE(tcp(&engine, INSIDE_1, 5000, PEER_2, 5));
	CU_ASSERT_FALSE(tcp(&engine, INSIDE_1, 5000, PEER_2, 3));
	CU_ASSERT_TRUE(tcp(&engine, INSIDE_1, 5001, PEER_2, 3));
	engine_free(&engine);
}

static void test_rate(void)
{
	struct engine engine;
	int opened = 0;

	/* 2 a second, 10 s of burst: 20 at once, then one each 500 ms. */
	engine_make(&engine);
	engine.config.host_new_per_second = 2;
	for (uint16_t i = 0; i < 25; i++)
		opened += udp(&engine, INSIDE_1, 5000 + i, PEER_1, 1) != 0;
	CU_ASSERT_EQUAL(opened, 20);
	CU_ASSERT_EQUAL(engine_stats(&engine).drops[NAT_DROP_HOST_RATE], 5);
	engine.now += 499;
	CU_ASSERT_FALSE(udp(&engine, INSIDE_1, 6000, PEER_1, 1));
	engine.now += 1;
	CU_ASSERT_TRUE(udp(&engine, INSIDE_1, 6000, PEER_1, 1));
	CU_ASSERT_FALSE(udp(&engine, INSIDE_1, 6001, PEER_1, 1));
	/* Known sockets and other hosts do not wait. */
	CU_ASSERT_TRUE(udp(&engine, INSIDE_1, 5000, PEER_2, 1));
	CU_ASSERT_TRUE(udp(&engine, INSIDE_2, 6001, PEER_1, 1));
	/* A long silence fills the bucket, no more. */
	engine.now += 3600 * SECOND;
	opened = 0;
	for (uint16_t i = 0; i < 25; i++)
		opened += udp(&engine, INSIDE_1, 7000 + i, PEER_1, 1) != 0;
	CU_ASSERT_EQUAL(opened, 20);
	engine_free(&engine);
}

static void test_full_tables(void)
{
	struct engine engine;
	struct nat_limits limits = engine_limits;
	struct nat_stats stats;

	limits.mappings = 2;
	limits.sessions = 3;
	limits.hosts = 2;
	engine_bare(&engine, &limits);
	engine_defaults(&engine.config);
	engine_configure(&engine);
	nat_set_uplink(engine.nat, UPLINK, engine.now);
	CU_ASSERT_TRUE(udp(&engine, INSIDE_1, 5000, PEER_1, 1));
	CU_ASSERT_TRUE(udp(&engine, INSIDE_2, 5001, PEER_1, 1));
	CU_ASSERT_FALSE(udp(&engine, INSIDE_3, 5002, PEER_1, 1));
	CU_ASSERT_FALSE(udp(&engine, INSIDE_1, 5002, PEER_1, 1));
	CU_ASSERT_TRUE(udp(&engine, INSIDE_1, 5000, PEER_2, 1));
	CU_ASSERT_FALSE(udp(&engine, INSIDE_1, 5000, PEER_3, 1));
	/* Nothing living made room. */
	CU_ASSERT_TRUE(udp(&engine, INSIDE_1, 5000, PEER_1, 1));
	stats = engine_stats(&engine);
	CU_ASSERT_EQUAL(stats.drops[NAT_DROP_TABLE_FULL], 3);
	CU_ASSERT_TRUE(stats.mappings == 2 && stats.sessions == 3);
	engine_free(&engine);
}

static const struct test tests[] = {
	{ "one mapping serves all peers, also under collision",
	  test_one_for_all_peers },
	{ "two hosts with one source port get two ports", test_never_shared },
	{ "protocols have ports of their own", test_protocols_apart },
	{ "ports are preserved, else half and parity are",
	  test_preserved_parity_half },
	{ "a datagram from port 0 gets a mapping like any other",
	  test_source_port_0 },
	{ "an exhausted pool refuses newcomers only", test_no_port },
	{ "endpoint-independent filtering admits everyone",
	  test_endpoint_independent },
	{ "address-dependent filtering admits contacted addresses",
	  test_address_dependent },
	{ "address-and-port-dependent filtering admits contacted sockets",
	  test_address_and_port_dependent },
	{ "uninvited datagrams leave no session and prolong nothing",
	  test_uninvited_udp_leaves_nothing },
	{ "an admitted SYN makes a session that invites nobody",
	  test_admitted_syn },
	{ "TCP without SYN passes a mapping without state",
	  test_tcp_without_syn },
	{ "replies reach the host that asked", test_replies_find_their_query },
	{ "a host's mappings are limited", test_mapping_quota },
	{ "a host's sessions are limited", test_session_quota },
	{ "a mapping's sessions are limited from both sides",
	  test_mapping_sessions },
	{ "a host opens as fast as its rate, and no faster", test_rate },
	{ "full tables refuse and evict nothing", test_full_tables },
};

int main(int argc, char **argv)
{
	return suite_run("session", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
