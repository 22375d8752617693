/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fine points usually got wrong (behave 19), as far as they concern
 * what state there is: collisions, changes of the outside address, full
 * tables, quotas, restarts, clocks. What strangers send is test_security.c.
 */
#include "bench.h"

#define T NAT_PROTO_TCP
#define U NAT_PROTO_UDP
#define UPLINK_2 0xcb007108U /* 203.0.113.8 */

static const struct flow first_flow = { INSIDE_1, 5000, PEER_1, 7000 };
static const struct flow first_back = { PEER_1, 7000, UPLINK, 5000 };

/* --- 22: collisions, resting ports ------------------------------------------- */

static void test_22(void)
{
	struct engine e;

	engine_make(&e);
	engine_open(&e, U, first_flow);
	for (uint32_t i = 1; i < 6; i++) {
		struct flow other = first_flow;
		uint16_t port;

		other.src = INSIDE_1 + i;
		port = engine_open(&e, U, other);
		CU_ASSERT_TRUE(port && port != 5000);
		CU_ASSERT_TRUE(bench_reaches(
			&e, U, flow_of(PEER_1, 7000, UPLINK, port), other.src,
			5000));
		CU_ASSERT_TRUE(
			bench_reaches(&e, U, first_back, INSIDE_1, 5000));
	}
	engine_free(&e);
}

/* Once its mapping is gone, is the port given to another host after ms? */
static bool handed_out(uint8_t proto, uint64_t life_ms, uint64_t ms)
{
	struct flow other = first_flow;
	struct engine e;
	uint16_t port;

	engine_make(&e);
	engine_open(&e, proto, first_flow);
	bench_later(&e, life_ms);
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 0);
	bench_later(&e, ms);
	other.src = INSIDE_2;
	port = engine_open(&e, proto, other);
	engine_free(&e);
	return port == 5000;
}

static void test_hold(void)
{
	CU_ASSERT_FALSE(handed_out(U, 300 * SECOND, 0));
	CU_ASSERT_FALSE(handed_out(U, 300 * SECOND, 119999));
	CU_ASSERT_TRUE(handed_out(U, 300 * SECOND, 120000));
	CU_ASSERT_TRUE(handed_out(T, 240 * SECOND, 0));
}

/* --- 23: another outside address ---------------------------------------------- */

static const struct nat_forward web = { .name = "web",
					.proto = NAT_PROTO_TCP,
					.outside_first = 8080,
					.outside_last = 8080,
					.inside_addr = INSIDE_1,
					.inside_first = 80 };

static void make_web(struct engine *e)
{
	engine_make(e);
	e->config.forwards = &web;
	e->config.forward_count = 1;
	e->config.icmp_after_6s = true;
	engine_configure(e);
	engine_open(e, U, first_flow);
	engine_open(e, T, first_flow);
	ASSERT_TRANSLATED(engine_tcp(e, NAT_PATH_INBOUND,
				     flow_of(PEER_1, 7000, UPLINK, 8080), SYN));
	engine_tcp(e, NAT_PATH_INBOUND, flow_of(PEER_2, 7000, UPLINK, 9999),
		   SYN);
}

static void test_23_other(void)
{
	struct engine e;

	make_web(&e);
	CU_ASSERT_EQUAL(nat_set_uplink(e.nat, UPLINK_2, e.now), 0);
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 3);
	CU_ASSERT_EQUAL(engine_stats(&e).move_cut, 1);
	bench_outputs(&e, NULL);
	e.now += SECOND;
	bench_outputs(&e, NULL);
	ASSERT_UNTOUCHED(engine_udp(&e, NAT_PATH_INBOUND, first_back));
	ASSERT_TRANSLATED(engine_udp(&e, NAT_PATH_OUTBOUND, first_flow));
	CU_ASSERT_EQUAL(packet_flow(&e.packet).src, UPLINK_2);
	ASSERT_TRANSLATED(engine_tcp(&e, NAT_PATH_INBOUND,
				     flow_of(PEER_1, 7001, UPLINK_2, 8080),
				     SYN));
	bench_later(&e, MINUTE);
	CU_ASSERT_EQUAL(bench_outputs(&e, NULL), 0); /* the stored SYN */
	engine_free(&e);
}

/* A later fragment that waits for its first one is forgotten, too. */
static void test_23_fragments(void)
{
	struct packet whole, first, second;
	struct engine e;

	make_web(&e);
	packet_udp(&whole, first_flow, NULL, 1200);
	bench_split(&whole, 600, &first, &second);
	engine_translate(&e, second.data, second.length, NAT_PATH_OUTBOUND);
	nat_set_uplink(e.nat, UPLINK_2, e.now);
	bench_outputs(&e, NULL);
	ASSERT_TRANSLATED(engine_translate(&e, first.data, first.length,
					   NAT_PATH_OUTBOUND));
	CU_ASSERT_EQUAL(bench_outputs(&e, NULL), 0);
	engine_free(&e);
}

static void test_23_same(void)
{
	struct engine e;

	make_web(&e);
	nat_set_uplink(e.nat, 0, e.now);
	ASSERT_DROPPED(engine_udp(&e, NAT_PATH_OUTBOUND, first_flow),
		       NAT_DROP_NO_UPLINK);
	e.now += 5 * SECOND;
	CU_ASSERT_EQUAL(nat_set_uplink(e.nat, UPLINK, e.now), 0);
	CU_ASSERT_TRUE(bench_reaches(&e, U, first_back, INSIDE_1, 5000));
	CU_ASSERT_TRUE(bench_reaches(&e, T, first_back, INSIDE_1, 5000));
	engine_free(&e);
}

/* --- 24: full tables ---------------------------------------------------------- */

/* All 64 mappings in use, by two hosts. */
static void fill(struct engine *e)
{
	engine_make(e);
	e->unproven = true;
	for (uint16_t i = 0; i < 64; i++)
		CU_ASSERT_NOT_EQUAL(engine_open(e, U,
						flow_of(INSIDE_1 + i % 2,
							(uint16_t)(5000 + i),
							PEER_1, 7000)),
				    0);
}

static void refuse_with(uint8_t code)
{
	struct nat_result result;
	struct engine e;

	fill(&e);
	e.config.refuse_code = code;
	engine_configure(&e);
	e.now += 300 * SECOND - 1;
	result = engine_udp(&e, NAT_PATH_OUTBOUND,
			    flow_of(INSIDE_3, 9, PEER_1, 7000));
	ASSERT_DROPPED(result, NAT_DROP_TABLE_FULL);
	CU_ASSERT_FATAL(result.answer_length > PACKET_IP + 8);
	CU_ASSERT_EQUAL(packet_get32(result.answer + 16), INSIDE_3);
	CU_ASSERT_EQUAL(result.answer[PACKET_IP], 3);
	CU_ASSERT_EQUAL(result.answer[PACKET_IP + 1], code);
	CU_ASSERT_EQUAL(engine_stats(&e).drops[NAT_DROP_TABLE_FULL], 1);
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 64);
	for (uint16_t i = 0; i < 64; i++)
		CU_ASSERT_TRUE(bench_reaches(
			&e, U, flow_of(PEER_2, 9, UPLINK, (uint16_t)(5000 + i)),
			INSIDE_1 + i % 2, (uint16_t)(5000 + i)));
	engine_free(&e);
}

static void test_24(void)
{
	refuse_with(13);
	refuse_with(1);
}

/* Without a sweep in between: on demand. */
static void test_24_reclaimed(void)
{
	struct engine e;

	fill(&e);
	e.now += 300 * SECOND;
	CU_ASSERT_NOT_EQUAL(
		engine_open(&e, U, flow_of(INSIDE_3, 9, PEER_1, 7000)), 0);
	engine_free(&e);
}

/* Nor is a host of which nothing is left in the way of another one. */
static void test_24_hosts(void)
{
	struct engine e;

	engine_make(&e);
	for (uint32_t i = 0; i < 8 * 5; i++)
		CU_ASSERT_NOT_EQUAL(engine_open(&e, U,
						flow_of(INSIDE_1 + i % 8,
							(uint16_t)(5000 + i),
							PEER_1, 7000)),
				    0);
	e.now += 300 * SECOND;
	CU_ASSERT_NOT_EQUAL(
		engine_open(&e, U, flow_of(INSIDE_1 + 8, 9, PEER_1, 7000)), 0);
	engine_free(&e);
}

/* A host that never stops gets a hundred answers at once. */
static void test_24_rate(void)
{
	struct engine e;
	unsigned answers = 0;

	fill(&e);
	for (int i = 0; i < 1000; i++)
		answers += engine_udp(&e, NAT_PATH_OUTBOUND,
				      flow_of(INSIDE_3, 9, PEER_1, 7000))
				   .answer_length > 0;
	CU_ASSERT_TRUE(answers >= 1 && answers <= 100);
	engine_free(&e);
}

/* --- 25: quotas --------------------------------------------------------------- */

static struct nat_result open_by(struct engine *e, uint32_t host, uint16_t port)
{
	return engine_tcp(e, NAT_PATH_OUTBOUND, flow_of(host, port, PEER_1, 80),
			  SYN);
}

static void test_25_mappings(void)
{
	struct engine e;

	engine_make(&e);
	e.config.host_mappings = 10;
	engine_configure(&e);
	for (uint16_t i = 0; i < 10; i++)
		ASSERT_TRANSLATED(open_by(&e, INSIDE_1, (uint16_t)(5000 + i)));
	ASSERT_DROPPED(open_by(&e, INSIDE_1, 5010), NAT_DROP_HOST_QUOTA);
	ASSERT_TRANSLATED(open_by(&e, INSIDE_2, 5000));
	engine_free(&e);
}

static void test_25_sessions(void)
{
	struct flow flow = first_flow;
	struct engine e;

	engine_make(&e);
	e.config.host_sessions = 10;
	engine_configure(&e);
	for (uint16_t i = 0; i < 10; i++) {
		flow.dport = (uint16_t)(7000 + i);
		ASSERT_TRANSLATED(engine_udp(&e, NAT_PATH_OUTBOUND, flow));
	}
	flow.dport = 7010;
	ASSERT_DROPPED(engine_udp(&e, NAT_PATH_OUTBOUND, flow),
		       NAT_DROP_HOST_QUOTA);
	ASSERT_TRANSLATED(open_by(&e, INSIDE_2, 5000));
	engine_free(&e);
}

/* 10,000 SYNs at once: 10 s of 200 new mappings a second, no more; the next
 * one 5 ms later; and the neighbour notices nothing. */
static void test_25_scan(void)
{
	unsigned opened = 0;
	struct engine e;

	bench_wide(&e);
	e.config.host_new_per_second = 200;
	engine_configure(&e);
	for (uint16_t i = 0; i < 10000; i++)
		opened += open_by(&e, INSIDE_1, (uint16_t)(2000 + i)).verdict ==
			  NAT_TRANSLATED;
	CU_ASSERT_EQUAL(opened, 2000);
	ASSERT_TRANSLATED(open_by(&e, INSIDE_2, 5000));
	e.now += 4;
	ASSERT_DROPPED(open_by(&e, INSIDE_1, 50000), NAT_DROP_HOST_RATE);
	e.now += 1;
	ASSERT_TRANSLATED(open_by(&e, INSIDE_1, 50000));
	engine_free(&e);
}

/* --- 33, 36: restarts, clocks --------------------------------------------------- */

static void test_33(void)
{
	struct engine e;
	struct nat_result result;

	engine_make(&e); /* knows nothing of the flows that follow */
	result = engine_tcp(&e, NAT_PATH_OUTBOUND, first_flow, ACK | PSH);
	ASSERT_DROPPED(result, NAT_DROP_NO_SESSION);
	CU_ASSERT_EQUAL(result.answer_length, 0);
	CU_ASSERT_EQUAL(engine_open(&e, U, first_flow), 5000);
	engine_free(&e);
}

/* Milliseconds beyond 32 bits: 49.7 days of uptime. */
static void test_36(void)
{
	struct engine e;

	engine_make(&e);
	e.now = UINT32_MAX - 100 * SECOND;
	engine_open(&e, U, first_flow);
	bench_later(&e, 299999);
	CU_ASSERT_TRUE(bench_reaches(&e, U, first_back, INSIDE_1, 5000));
	bench_later(&e, 299999);
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 1);
	bench_later(&e, 1);
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 0);
	engine_free(&e);
}

static const struct requirement table[] = {
	{ "BEHAVE 19.22", "MUST",
	  "a collision never takes the older mapping's place", test_22, NULL },
	{ "BEHAVE 1 port hold", "MUST",
	  "a UDP port rests for 120 s, a TCP port not at all", test_hold,
	  NULL },
	{ "BEHAVE 19.23 other", "MUST",
	  "another outside address moves mappings and forwards, forgets SYNs",
	  test_23_other, NULL },
	{ "BEHAVE 19.23 fragments", "MUST",
	  "another outside address forgets fragments", test_23_fragments,
	  NULL },
	{ "BEHAVE 19.23 same", "MUST",
	  "the same address again keeps every mapping", test_23_same, NULL },
	{ "BEHAVE 19.24", "MUST",
	  "a full table refuses the new by ICMP 3/13 or 3/1, evicts nothing",
	  test_24, NULL },
	{ "BEHAVE 19.24 reclaim", "MUST",
	  "what has expired is reclaimed before refusing", test_24_reclaimed,
	  NULL },
	{ "BEHAVE 19.24 hosts", "MUST",
	  "a host of which nothing is left gives its place up", test_24_hosts,
	  NULL },
	{ "BEHAVE 19.24 rate", "MUST",
	  "refusals are answered at a limited rate", test_24_rate, NULL },
	{ "BEHAVE 19.25 mappings", "MUST", "a host's mappings have a quota",
	  test_25_mappings, NULL },
	{ "BEHAVE 19.25 sessions", "MUST", "a host's sessions have a quota",
	  test_25_sessions, NULL },
	{ "BEHAVE 19.25 scan", "MUST",
	  "a host that scans is slowed down, its neighbours are not",
	  test_25_scan, NULL },
	{ "BEHAVE 19.33", "MUST",
	  "unknown TCP is dropped silently after a restart, UDP goes on",
	  test_33, NULL },
	{ "BEHAVE 19.36", "MUST", "timers survive 49.7 days of uptime", test_36,
	  NULL },
};

int main(int argc, char **argv)
{
	return requirement_run("behave_state", table, COUNT(table), argc, argv);
}
