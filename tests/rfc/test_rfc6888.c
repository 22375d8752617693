/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * RFC 6888 (BCP 127): what a NAT that several people share owes each of them.
 */
#include <string.h>

#include "room.h"

static const struct flow out = { INSIDE_1, 5000, PEER_1, 7000 };

static uint16_t open_udp(struct engine *engine, uint32_t host, uint16_t port)
{
	return engine_open(engine, NAT_PROTO_UDP,
			   flow_of(host, port, PEER_1, 7000));
}

static void one_port(struct engine *engine)
{
	engine_make(engine);
	engine_pool(&engine->config, 40000, 40000);
	engine_configure(engine);
}

/* --- the basics ------------------------------------------------------------- */

static void req_1(void)
{
	static const uint8_t protos[] = { NAT_PROTO_UDP, NAT_PROTO_TCP,
					  NAT_PROTO_ICMP };
	struct engine engine;

	engine_make(&engine);
	for (size_t i = 0; i < COUNT(protos); i++) {
		CU_ASSERT_EQUAL(engine_open(&engine, protos[i], out), 5000);
		ASSERT_TRANSLATED(
			engine_answer(&engine, protos[i], PEER_1, 7000, 5000));
		CU_ASSERT_EQUAL(packet_flow(&engine.packet).dst, INSIDE_1);
	}
	engine_free(&engine);
}

static void req_2(void)
{
	struct nat_mapping_view view;
	struct engine engine;
	uint32_t cursor = 0, mappings = 0;

	engine_make(&engine);
	for (uint16_t i = 0; i < 20; i++) {
		open_udp(&engine, INSIDE_1, (uint16_t)(5000 + i));
		engine_open(&engine, NAT_PROTO_TCP,
			    flow_of(INSIDE_1, (uint16_t)(5000 + i), PEER_1,
				    80));
		engine_open(&engine, NAT_PROTO_ICMP,
			    flow_of(INSIDE_1, (uint16_t)(5000 + i), PEER_1, 0));
	}
	while (nat_next_mapping(engine.nat, &cursor, engine.now, &view)) {
		CU_ASSERT_EQUAL(view.outside_addr, UPLINK);
		mappings++;
	}
	CU_ASSERT_EQUAL(mappings, 60);
	engine_free(&engine);
}

/* Ports here and there: each of them, and none else. */
static void req_3(void)
{
	static const uint16_t ports[] = { 2000, 40000, 40001, 51423, 65535 };
	struct nat_portset left = { { 0 } };
	struct engine engine;

	engine_make(&engine);
	for (size_t i = 0; i < COUNT(ports); i++)
		nat_portset_add(&left, ports[i]);
	engine.config.pool[NAT_POOL_UDP] = left;
	engine_configure(&engine);
	for (size_t i = 0; i < COUNT(ports); i++) {
		uint16_t port =
			open_udp(&engine, INSIDE_1, (uint16_t)(5000 + i));

		CU_ASSERT_TRUE(nat_portset_has(&left, port));
		nat_portset_remove(&left, port);
	}
	CU_ASSERT_EQUAL(open_udp(&engine, INSIDE_1, 6000), 0);
	engine_free(&engine);
}

/* --- quotas ------------------------------------------------------------------ */

/* The limit-th mapping of a host is made, the next is not; the other host has
 * its own. Protocols count together. */
static void mapping_limit(uint32_t limit)
{
	struct engine engine;
	uint32_t i;

	engine_make(&engine);
	engine.config.host_mappings = limit;
	for (i = 0; i < limit; i++)
		CU_ASSERT_NOT_EQUAL(
			engine_open(&engine,
				    i % 2 ? NAT_PROTO_UDP : NAT_PROTO_ICMP,
				    flow_of(INSIDE_1, (uint16_t)(5000 + i),
					    PEER_1, 7000)),
			0);
	CU_ASSERT_TRUE(
		room_told(engine_tcp(&engine, NAT_PATH_OUTBOUND,
				     flow_of(INSIDE_1, 6000, PEER_1, 80), SYN),
			  NAT_DROP_HOST_QUOTA, 13));
	/* What it has goes on; so do others. */
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_ICMP, out), 5000);
	CU_ASSERT_NOT_EQUAL(open_udp(&engine, INSIDE_2, 5000), 0);
	engine_free(&engine);
}

static void req_4(void)
{
	mapping_limit(5);
}

static void req_4a(void)
{
	mapping_limit(1);
	mapping_limit(20);
}

/* How many new mappings of one host pass at once? */
static uint32_t burst(struct engine *engine, uint32_t host, uint32_t tries)
{
	static uint16_t port;
	uint32_t passed = 0;

	while (tries--)
		passed += open_udp(engine, host,
				   (uint16_t)(2000 + port++ % 60000)) != 0;
	return passed;
}

static void req_4c(void)
{
	struct nat_result result;
	struct engine engine;

	room_make(&engine, room_limits(8192));
	CU_ASSERT_EQUAL(burst(&engine, INSIDE_1, 2100), 2000);
	result = engine_udp(&engine, NAT_PATH_OUTBOUND,
			    flow_of(INSIDE_1, 1999, PEER_1, 7000));
	CU_ASSERT_EQUAL(result.drop, NAT_DROP_HOST_RATE);
	/* 200 a second: one every 5 ms. */
	engine.now += 4;
	CU_ASSERT_EQUAL(burst(&engine, INSIDE_1, 5), 0);
	engine.now += 1;
	CU_ASSERT_EQUAL(burst(&engine, INSIDE_1, 5), 1);
	CU_ASSERT_EQUAL(burst(&engine, INSIDE_2, 10), 10);
	engine.now += SECOND;
	CU_ASSERT_EQUAL(burst(&engine, INSIDE_1, 300), 200);
	room_free(&engine);
}

/* One socket to so many peers. */
static uint32_t peers_of(struct engine *engine, uint32_t tries)
{
	uint32_t passed = 0;

	for (uint32_t i = 0; i < tries; i++)
		passed += engine_open(engine, NAT_PROTO_UDP,
				      flow_of(INSIDE_1, 5000, PEER_1 + i,
					      7000)) != 0;
	return passed;
}

static void req_5(void)
{
	struct engine engine;

	room_make(&engine, room_limits(16384));
	CU_ASSERT_EQUAL(peers_of(&engine, 10000), 10000);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 512);
	/* Another socket of the host has its own share. */
	CU_ASSERT_NOT_EQUAL(open_udp(&engine, INSIDE_1, 6000), 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 513);
	room_free(&engine);
}

static void req_5a(void)
{
	struct engine engine;

	engine_make(&engine);
	engine.config.mapping_sessions = 7;
	CU_ASSERT_EQUAL(peers_of(&engine, 20), 20);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 7);
	/* A filter that asks who was sent to needs the session. */
	engine.config.filtering[NAT_POOL_UDP] = NAT_FILTER_ADDRESS_DEPENDENT;
	CU_ASSERT_EQUAL(peers_of(&engine, 20), 7);
	engine_free(&engine);
	engine_make(&engine);
	engine.config.host_sessions = 9;
	CU_ASSERT_EQUAL(peers_of(&engine, 20), 9);
	/* All sockets of the host together. */
	CU_ASSERT_EQUAL(open_udp(&engine, INSIDE_1, 6000), 0);
	CU_ASSERT_NOT_EQUAL(open_udp(&engine, INSIDE_2, 6000), 0);
	engine_free(&engine);
}

/* --- policy ------------------------------------------------------------------- */

static void req_6(void)
{
	static const struct nat_prefix exempt = { PEER_2, 32 };
	struct engine engine;

	engine_make(&engine);
	engine.config.exempt = &exempt;
	engine.config.exempt_count = 1;
	ASSERT_UNTOUCHED(engine_udp(&engine, NAT_PATH_OUTBOUND,
				    flow_of(INSIDE_1, 5000, PEER_2, 7000)));
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 0);
	ASSERT_TRANSLATED(
		engine_udp(&engine, NAT_PATH_OUTBOUND,
			   flow_of(INSIDE_1, 5000, PEER_2 - 1, 7000)));
	ASSERT_TRANSLATED(
		engine_udp(&engine, NAT_PATH_OUTBOUND,
			   flow_of(INSIDE_1, 5000, PEER_2 + 1, 7000)));
	engine_free(&engine);
}

static void req_7(void)
{
	struct engine engine;

	engine_make(&engine);
	open_udp(&engine, INSIDE_1, 5000);
	ASSERT_TRANSLATED(
		engine_answer(&engine, NAT_PROTO_UDP, PEER_3, 9, 5000));
	CU_ASSERT_EQUAL(packet_flow(&engine.packet).dst, INSIDE_1);
	engine_free(&engine);
}

/* --- ports that rest ---------------------------------------------------------------- */

static uint32_t life_s(uint8_t proto)
{
	return proto == NAT_PROTO_UDP ? 300 : 60;
}

/* Is the only port free so many ms after its mapping has ended? */
static bool rested(uint8_t proto, uint32_t hold_s, uint64_t ms)
{
	struct engine engine;
	bool free_again;

	one_port(&engine);
	engine.config.port_hold_s = hold_s;
	CU_ASSERT_EQUAL(engine_open(&engine, proto, out), 40000);
	bench_later(&engine, life_s(proto) * SECOND);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 0);
	bench_later(&engine, ms);
	free_again = engine_open(&engine, proto,
				 flow_of(INSIDE_2, 6000, PEER_1, 7000));
	engine_free(&engine);
	return free_again;
}

static void req_8(void)
{
	static const uint8_t protos[] = { NAT_PROTO_UDP, NAT_PROTO_ICMP };

	for (size_t i = 0; i < COUNT(protos); i++) {
		CU_ASSERT_FALSE(rested(protos[i], 120, 0));
		CU_ASSERT_FALSE(rested(protos[i], 120, 120 * SECOND - 1));
		CU_ASSERT_TRUE(rested(protos[i], 120, 120 * SECOND));
	}
}

/* No packet comes by any more that could wake the mapping up. */
static void req_8_still(void)
{
	struct engine engine;

	one_port(&engine);
	open_udp(&engine, INSIDE_1, 5000);
	bench_later(&engine, 300 * SECOND);
	ASSERT_DROPPED(engine_answer(&engine, NAT_PROTO_UDP, PEER_1, 7000,
				     40000),
		       NAT_DROP_NO_MAPPING);
	CU_ASSERT_EQUAL(open_udp(&engine, INSIDE_1, 5000), 0);
	engine_free(&engine);
}

static void req_8a(void)
{
	struct engine engine;

	one_port(&engine);
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_TCP, out), 40000);
	bench_later(&engine, 240 * SECOND);
	CU_ASSERT_EQUAL(engine_stats(&engine).ports[NAT_POOL_TCP].held, 0);
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_TCP,
				    flow_of(INSIDE_2, 6000, PEER_1, 7000)),
			40000);
	engine_free(&engine);
}

static void req_8_knob(void)
{
	CU_ASSERT_FALSE(rested(NAT_PROTO_UDP, 30, 30 * SECOND - 1));
	CU_ASSERT_TRUE(rested(NAT_PROTO_UDP, 30, 30 * SECOND));
	CU_ASSERT_TRUE(rested(NAT_PROTO_UDP, 0, 0));
}

/* At most two ports rest: the third lets the first one go, and is counted. */
static void req_8_cap(void)
{
	struct nat_limits limits = room_limits(16);
	struct engine engine;

	limits.held_ports = 2;
	room_make(&engine, limits);
	engine_pool(&engine.config, 40000, 40002);
	engine_configure(&engine);
	for (uint16_t port = 40000; port < 40003; port++) {
		CU_ASSERT_EQUAL(open_udp(&engine, INSIDE_1, port), port);
		engine.now += SECOND;
	}
	bench_later(&engine, 298 * SECOND);
	CU_ASSERT_EQUAL(engine_stats(&engine).ports[NAT_POOL_UDP].held, 2);
	CU_ASSERT_EQUAL(engine_stats(&engine).held_overflow, 0);
	bench_later(&engine, SECOND);
	CU_ASSERT_EQUAL(engine_stats(&engine).ports[NAT_POOL_UDP].held, 2);
	CU_ASSERT_EQUAL(engine_stats(&engine).held_overflow, 1);
	CU_ASSERT_EQUAL(open_udp(&engine, INSIDE_2, 5000), 40000);
	CU_ASSERT_EQUAL(open_udp(&engine, INSIDE_2, 5001), 0);
	room_free(&engine);
}

/* --- management, refusals ------------------------------------------------------------ */

static void req_10(void)
{
	struct nat_mapping_view mapping;
	struct nat_session_view session;
	struct nat_host_view host;
	struct engine engine;
	uint32_t cursor = 0;

	engine_make(&engine);
	open_udp(&engine, INSIDE_1, 5000);
	engine.now += 7 * SECOND;
	CU_ASSERT_TRUE(engine_mapping(&engine, 5000, &mapping));
	CU_ASSERT_EQUAL(mapping.inside_addr, INSIDE_1);
	CU_ASSERT_EQUAL(mapping.idle_ms, 7 * SECOND);
	CU_ASSERT_EQUAL(mapping.expires_ms, 293 * SECOND);
	CU_ASSERT_TRUE(engine_session(&engine, 5000, PEER_1, &session));
	CU_ASSERT_EQUAL(session.counters.out_packets, 1);
	CU_ASSERT_TRUE(nat_next_host(engine.nat, &cursor, &host));
	CU_ASSERT_EQUAL(host.addr, INSIDE_1);
	CU_ASSERT_EQUAL(host.mappings, 1);
	CU_ASSERT_EQUAL(engine_stats(&engine).ports[NAT_POOL_UDP].used, 1);
	engine_free(&engine);
}

/* A table of two mappings, both in use. */
static struct nat_result table_full(struct engine *engine, uint8_t code)
{
	room_make(engine, room_limits(2));
	engine->config.refuse_code = code;
	CU_ASSERT_EQUAL(open_udp(engine, INSIDE_1, 5000), 5000);
	CU_ASSERT_EQUAL(open_udp(engine, INSIDE_2, 5001), 5001);
	return engine_udp(engine, NAT_PATH_OUTBOUND,
			  flow_of(INSIDE_1, 5002, PEER_1, 7000));
}

static void req_11a(void)
{
	struct engine engine;

	ASSERT_DROPPED(table_full(&engine, 13), NAT_DROP_TABLE_FULL);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 2);
	/* What is over makes room at once. */
	engine.now += 300 * SECOND;
	CU_ASSERT_EQUAL(open_udp(&engine, INSIDE_1, 5002), 5002);
	room_free(&engine);
}

static void req_11b(void)
{
	struct engine engine;

	CU_ASSERT_TRUE(
		room_told(table_full(&engine, 1), NAT_DROP_TABLE_FULL, 1));
	room_free(&engine);
	CU_ASSERT_TRUE(
		room_told(table_full(&engine, 13), NAT_DROP_TABLE_FULL, 13));
	room_free(&engine);
}

static void req_11c(void)
{
	struct nat_host_view host = { 0 };
	struct engine engine;
	uint32_t cursor = 0;

	table_full(&engine, 13);
	CU_ASSERT_EQUAL(engine_stats(&engine).drops[NAT_DROP_TABLE_FULL], 1);
	while (nat_next_host(engine.nat, &cursor, &host) &&
	       host.addr != INSIDE_1)
		;
	CU_ASSERT_EQUAL(host.addr, INSIDE_1);
	CU_ASSERT_EQUAL(host.refused, 1);
	room_free(&engine);
}

static bool alive(struct engine *engine, uint16_t port, uint32_t host)
{
	return engine_answer(engine, NAT_PROTO_UDP, PEER_1, 7000, port)
			       .verdict == NAT_TRANSLATED &&
	       packet_flow(&engine->packet).dst == host;
}

/* Full of mappings, of sessions, of hosts: who is there stays there, though its
 * last millisecond has come. */
static void req_11d(void)
{
	struct nat_limits limits = room_limits(64);
	struct engine engine;

	table_full(&engine, 13);
	engine.now += 300 * SECOND - 1;
	CU_ASSERT_EQUAL(open_udp(&engine, INSIDE_1, 5002), 0);
	CU_ASSERT_TRUE(alive(&engine, 5000, INSIDE_1));
	CU_ASSERT_TRUE(alive(&engine, 5001, INSIDE_2));
	room_free(&engine);
	limits.sessions = 2;
	limits.hosts = 2;
	room_make(&engine, limits);
	CU_ASSERT_EQUAL(open_udp(&engine, INSIDE_1, 5000), 5000);
	CU_ASSERT_EQUAL(open_udp(&engine, INSIDE_2, 5001), 5001);
	ASSERT_DROPPED(engine_udp(&engine, NAT_PATH_OUTBOUND,
				  flow_of(INSIDE_1, 5000, PEER_2, 7000)),
		       NAT_DROP_TABLE_FULL);
	ASSERT_DROPPED(engine_udp(&engine, NAT_PATH_OUTBOUND,
				  flow_of(INSIDE_3, 5000, PEER_2, 7000)),
		       NAT_DROP_TABLE_FULL);
	CU_ASSERT_TRUE(alive(&engine, 5000, INSIDE_1));
	CU_ASSERT_TRUE(alive(&engine, 5001, INSIDE_2));
	room_free(&engine);
}

static const struct requirement table[] = {
	{ "RFC6888 REQ-1", "MUST", "UDP, TCP and ICMP are translated", req_1,
	  NULL },
	{ "RFC6888 REQ-2", "MUST", "a host has one outside address for all",
	  req_2, NULL },
	{ "RFC6888 REQ-3", "MUST", "a pool of scattered ports is used exactly",
	  req_3, NULL },
	{ "RFC6888 REQ-4", "MUST", "a host has a limit of its own", req_4,
	  NULL },
	{ "RFC6888 REQ-4a", "MUST", "the limit is configurable", req_4a, NULL },
	{ "RFC6888 REQ-4c", "SHOULD",
	  "new mappings are limited to 200 a second, 2,000 at once", req_4c,
	  NULL },
	{ "RFC6888 REQ-5", "SHOULD", "one socket has at most 512 sessions",
	  req_5, NULL },
	{ "RFC6888 REQ-5a", "SHOULD",
	  "session limits of socket and host are configurable", req_5a, NULL },
	{ "RFC6888 REQ-6", "MUST", "exempt destinations are not translated",
	  req_6, NULL },
	{ "RFC6888 REQ-7", "SHOULD", "UDP is filtered endpoint-independently",
	  req_7, NULL },
	{ "RFC6888 REQ-8", "SHOULD NOT",
	  "a released port is not used again within 120 s", req_8, NULL },
	{ "RFC6888 REQ-8 silent", "SHOULD NOT",
	  "a resting port serves nobody, its last owner neither", req_8_still,
	  NULL },
	{ "RFC6888 REQ-8a", "MAY",
	  "a port of a followed TCP session does not rest", req_8a, NULL },
	{ "RFC6888 REQ-8 time", "MUST", "the time is configurable", req_8_knob,
	  NULL },
	{ "RFC6888 REQ-8 cap", "MUST",
	  "the number of resting ports is limited, the oldest goes first",
	  req_8_cap, NULL },
	{ "RFC6888 REQ-9", "MUST", "mappings can be asked for", NULL,
	  "PCP is not built yet" },
	{ "RFC6888 REQ-10", "SHOULD", "mappings, sessions, hosts can be seen",
	  req_10, NULL },
	{ "RFC6888 REQ-11a", "MUST",
	  "without room the packet is dropped; what is over makes room",
	  req_11a, NULL },
	{ "RFC6888 REQ-11b", "SHOULD", "and its sender is told by ICMP 3/1",
	  req_11b, NULL },
	{ "RFC6888 REQ-11c", "SHOULD", "and it is counted", req_11c, NULL },
	{ "RFC6888 REQ-11d", "MUST NOT", "nothing live is ended to make room",
	  req_11d, NULL },
};

int main(int argc, char **argv)
{
	return requirement_run("rfc6888", table, COUNT(table), argc, argv);
}
