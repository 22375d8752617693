/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * RFC 4787 (BCP 127), NAT behaviour for UDP: mapping and timers. Filtering,
 * ICMP and fragments of the same document have their own files.
 */
#include "bench.h"

#define U NAT_PROTO_UDP

static const struct flow first_flow = { INSIDE_1, 5000, PEER_1, 7000 };

static struct flow from(uint32_t peer, uint16_t peer_port, uint16_t port)
{
	return flow_of(peer, peer_port, UPLINK, port);
}

/* --- mapping -------------------------------------------------------------- */

static void test_req_1(void)
{
	struct engine e;
	struct flow flow = first_flow;
	uint16_t port;

	engine_make(&e);
	port = engine_open(&e, U, flow);
	CU_ASSERT_NOT_EQUAL(port, 0);
	for (uint32_t i = 0; i < 54; i++) {
		flow.dst = i % 2 ? PEER_1 + i : PEER_1;
		flow.dport = (uint16_t)(7000 + i);
		CU_ASSERT_EQUAL(engine_open(&e, U, flow), port);
	}
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 1);
	engine_free(&e);
}

static void test_req_2(void)
{
	static const uint8_t protos[] = { U, NAT_PROTO_TCP, NAT_PROTO_ICMP };
	struct engine e;
	struct flow flow = first_flow;

	bench_wide(&e);
	for (uint16_t i = 0; i < 300; i++) {
		flow.sport = (uint16_t)(5000 + i);
		flow.dst = PEER_1 + i % 7;
		CU_ASSERT_NOT_EQUAL(engine_open(&e, protos[i % 3], flow), 0);
		CU_ASSERT_EQUAL(packet_flow(&e.packet).src, UPLINK);
	}
	engine_free(&e);
}

static void test_req_3(void)
{
	struct flow other = first_flow;
	struct engine e;
	uint16_t a, b;

	engine_make(&e);
	other.src = INSIDE_2;
	a = engine_open(&e, U, first_flow);
	b = engine_open(&e, U, other);
	CU_ASSERT_TRUE(a && b && a != b);
	CU_ASSERT_TRUE(
		bench_reaches(&e, U, from(PEER_1, 7000, a), INSIDE_1, 5000));
	CU_ASSERT_TRUE(
		bench_reaches(&e, U, from(PEER_1, 7000, b), INSIDE_2, 5000));
	engine_free(&e);
}

/* With every port of the pool in use the next socket gets none of them. */
static void test_req_3_exhausted(void)
{
	struct engine e;
	struct flow flow = first_flow;
	bool seen[8] = { false };

	engine_make(&e);
	engine_pool(&e.config, 40000, 40007);
	engine_configure(&e);
	for (uint16_t i = 0; i < 8; i++) {
		uint16_t port;

		flow.sport = (uint16_t)(5000 + i);
		port = engine_open(&e, U, flow);
		CU_ASSERT_FATAL(port >= 40000 && port <= 40007);
		CU_ASSERT_FALSE(seen[port - 40000]);
		seen[port - 40000] = true;
	}
	flow.sport = 5008;
	ASSERT_DROPPED(engine_udp(&e, NAT_PATH_OUTBOUND, flow),
		       NAT_DROP_NO_PORT);
	engine_free(&e);
}

static void test_req_3a(void)
{
	static const uint16_t ports[] = { 512, 600, 1023, 1024, 5000, 65535 };
	struct engine e;

	engine_make(&e);
	for (size_t i = 0; i < COUNT(ports); i++)
		for (uint32_t host = 0; host < 4; host++) {
			uint16_t port = engine_open(
				&e, U,
				flow_of(INSIDE_1 + host, ports[i], PEER_1, 9));

			CU_ASSERT_NOT_EQUAL(port, 0);
			CU_ASSERT_EQUAL(port < 1024, ports[i] < 1024);
			CU_ASSERT_TRUE(host || port == ports[i]);
		}
	engine_free(&e);
}

/* The range is a preference: an allocation never fails because of it. */
static void test_req_3a_other_half(void)
{
	struct engine e;
	uint16_t port;

	engine_make(&e);
	engine_pool(&e.config, 2000, 2001);
	engine_configure(&e);
	port = engine_open(&e, U, flow_of(INSIDE_1, 600, PEER_1, 9));
	CU_ASSERT_TRUE(port == 2000 || port == 2001);
	engine_pool(&e.config, 700, 701);
	memset(&e.config.low_only, 0, sizeof(e.config.low_only));
	engine_configure(&e);
	port = engine_open(&e, U, flow_of(INSIDE_1, 5000, PEER_1, 9));
	CU_ASSERT_TRUE(port == 700 || port == 701);
	engine_free(&e);
}

static void test_port_zero(void)
{
	struct engine e;
	uint16_t port;

	engine_make(&e);
	port = engine_open(&e, U, flow_of(INSIDE_1, 0, PEER_1, 7000));
	CU_ASSERT_NOT_EQUAL(port, 0);
	CU_ASSERT_TRUE(
		bench_reaches(&e, U, from(PEER_1, 7000, port), INSIDE_1, 0));
	ASSERT_DROPPED(engine_udp(&e, NAT_PATH_OUTBOUND,
				  flow_of(INSIDE_1, 5000, PEER_1, 0)),
		       NAT_DROP_MALFORMED);
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 1);
	bench_later(&e, 300 * SECOND);
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 0);
	engine_free(&e);
}

/* Mappings of `sockets` hosts by the same inside port, whose parity the
 * outside ports have or not. */
static unsigned same_parity(struct engine *e, uint16_t inside_port,
			    unsigned sockets)
{
	unsigned same = 0;

	for (uint32_t i = 0; i < sockets; i++) {
		uint16_t port = engine_open(
			e, U, flow_of(INSIDE_1 + i, inside_port, PEER_1, 9));

		CU_ASSERT_NOT_EQUAL(port, 0);
		same += port % 2 == inside_port % 2;
	}
	return same;
}

static void test_req_4(void)
{
	struct engine e;

	bench_wide(&e);
	CU_ASSERT_EQUAL(same_parity(&e, 5000, 100), 100);
	CU_ASSERT_EQUAL(same_parity(&e, 5001, 100), 100);
	engine_free(&e);
}

/* Only as long as there is a port of that parity. */
static void test_req_4_soft(void)
{
	struct engine e;

	engine_make(&e);
	engine_pool(&e.config, 40000, 40003);
	engine_configure(&e);
	CU_ASSERT_EQUAL(same_parity(&e, 5000, 2), 2);
	CU_ASSERT_EQUAL(same_parity(&e, 5002, 2), 0);
	engine_free(&e);
}

/* --- timers --------------------------------------------------------------- */

/* One packet, `ms` of silence: does the first answer still arrive? */
static bool alive_after(uint32_t timeout_s, uint16_t peer_port, uint64_t ms)
{
	struct engine e;
	uint16_t port;
	bool reached;

	engine_make(&e);
	e.config.timeout_s[NAT_TIMER_UDP] = timeout_s;
	engine_configure(&e);
	port = engine_open(&e, U, flow_of(INSIDE_1, 5000, PEER_1, peer_port));
	bench_later(&e, ms);
	reached = bench_reaches(&e, U, from(PEER_1, peer_port, port), INSIDE_1,
				5000);
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, reached);
	engine_free(&e);
	return reached;
}

static void test_req_5(void)
{
	CU_ASSERT_TRUE(alive_after(300, 7000, 119 * SECOND));
	CU_ASSERT_TRUE(alive_after(300, 7000, 120 * SECOND));
}

static void test_req_5a(void)
{
	static const uint16_t known[] = { 53, 123, 161, 514, 1023 };

	for (size_t i = 0; i < COUNT(known); i++) {
		CU_ASSERT_TRUE(alive_after(300, known[i], 299999));
		CU_ASSERT_FALSE(alive_after(300, known[i], 300000));
	}
}

static void test_req_5b(void)
{
	static const uint32_t knobs[] = { 120, 301, 86400 };

	for (size_t i = 0; i < COUNT(knobs); i++) {
		uint64_t life = knobs[i] * SECOND;

		CU_ASSERT_TRUE(alive_after(knobs[i], 7000, life - 1));
		CU_ASSERT_FALSE(alive_after(knobs[i], 7000, life));
	}
}

static void test_req_5c(void)
{
	CU_ASSERT_TRUE(alive_after(300, 7000, 299999));
	CU_ASSERT_FALSE(alive_after(300, 7000, 300000));
}

static void test_req_6(void)
{
	struct engine e;
	uint16_t port;

	engine_make(&e);
	port = engine_open(&e, U, first_flow);
	for (int i = 0; i < 6; i++) {
		bench_later(&e, 200 * SECOND);
		CU_ASSERT_EQUAL(engine_open(&e, U, first_flow), port);
	}
	bench_later(&e, 299999);
	CU_ASSERT_TRUE(
		bench_reaches(&e, U, from(PEER_1, 7000, port), INSIDE_1, 5000));
	engine_free(&e);
}

/* A socket with more peers than it may have sessions keeps its mapping, and by
 * it those without. */
static void test_req_6_full(void)
{
	const struct flow other = { INSIDE_1, 5000, PEER_2, 7000 };
	struct nat_host_view host = { 0 };
	struct packet left;
	struct engine e;
	uint32_t cursor = 0;
	uint16_t port;

	engine_make(&e);
	e.config.mapping_sessions = 1;
	engine_configure(&e);
	port = engine_open(&e, U, first_flow);
	for (int i = 0; i < 6; i++) {
		bench_later(&e, 299999);
		CU_ASSERT_EQUAL(engine_open(&e, U, other), port);
		CU_ASSERT_EQUAL(engine_stats(&e).sessions, 1);
	}
	CU_ASSERT_TRUE(nat_next_host(e.nat, &cursor, &host));
	CU_ASSERT_EQUAL(host.refused, 0);
	/* The host learns of a narrow path to it, too (RFC 5508 REQ-4). */
	left = e.packet;
	ASSERT_TRANSLATED(bench_error(&e, PEER_1, 3, 4, 1300, &left));
	CU_ASSERT_EQUAL(packet_flow(&e.packet).dst, INSIDE_1);
	bench_later(&e, 299999);
	CU_ASSERT_TRUE(
		bench_reaches(&e, U, from(PEER_2, 7000, port), INSIDE_1, 5000));
	bench_later(&e, 1);
	CU_ASSERT_FALSE(
		bench_reaches(&e, U, from(PEER_2, 7000, port), INSIDE_1, 5000));
	engine_free(&e);
}

/* Inbound packets only, one a minute, for 15 minutes; minutes until the first
 * one is refused, 0: none was. */
static unsigned kept_alive_by(bool refresh, uint32_t peer)
{
	struct engine e;
	uint16_t port;
	unsigned refused = 0;

	engine_make(&e);
	e.config.inbound_refresh = refresh;
	engine_configure(&e);
	port = engine_open(&e, U, first_flow);
	for (unsigned i = 1; i <= 15; i++) {
		bench_later(&e, MINUTE);
		if (!bench_reaches(&e, U, from(peer, 7000, port), INSIDE_1,
				   5000) &&
		    !refused)
			refused = i;
	}
	engine_free(&e);
	return refused;
}

static void test_req_6a(void)
{
	CU_ASSERT_EQUAL(kept_alive_by(true, PEER_1), 0);
	CU_ASSERT_EQUAL(kept_alive_by(false, PEER_1), 5);
}

static void test_req_6a_stranger(void)
{
	CU_ASSERT_EQUAL(kept_alive_by(true, PEER_2), 5);
}

static const struct requirement table[] = {
	{ "RFC4787 REQ-1", "MUST", "all peers see one outside socket",
	  test_req_1, NULL },
	{ "RFC4787 REQ-2", "SHOULD",
	  "all sockets of a host, of every protocol, leave by one address",
	  test_req_2, NULL },
	{ "RFC4787 REQ-3", "MUST NOT",
	  "two inside sockets never share an outside socket", test_req_3,
	  NULL },
	{ "RFC4787 REQ-3 full", "MUST NOT",
	  "without a free port the new socket is refused, not overloaded",
	  test_req_3_exhausted, NULL },
	{ "RFC4787 REQ-3a", "SHOULD",
	  "ports 0-1023 and 1024-65535 stay in their range under collision",
	  test_req_3a, NULL },
	{ "RFC4787 REQ-3a soft", "SHOULD",
	  "a range without free ports falls back to the other one",
	  test_req_3a_other_half, NULL },
	{ "RFC4787 4.2.1", "ENG",
	  "source port 0 is translated as any other, destination port 0 dropped",
	  test_port_zero, NULL },
	{ "RFC4787 REQ-4", "SHOULD", "parity is kept under collision",
	  test_req_4, NULL },
	{ "RFC4787 REQ-4 soft", "SHOULD",
	  "an allocation never fails because of parity", test_req_4_soft,
	  NULL },
	{ "RFC4787 REQ-5", "MUST NOT",
	  "a mapping that no answer ever came to lives 2 minutes and more",
	  test_req_5, NULL },
	{ "RFC4787 REQ-5a", "MAY", "no well-known port has a shorter timer",
	  test_req_5a, NULL },
	{ "RFC4787 REQ-5b", "MAY", "the timer is what the operator says",
	  test_req_5b, NULL },
	{ "RFC4787 REQ-5c", "SHOULD", "the default timer is 300 s", test_req_5c,
	  NULL },
	{ "RFC4787 REQ-6", "MUST", "outbound packets refresh the mapping",
	  test_req_6, NULL },
	{ "RFC4787 REQ-6 full", "MUST",
	  "also those to peers that there is no room for a session with",
	  test_req_6_full, NULL },
	{ "RFC4787 REQ-6a", "MAY",
	  "inbound packets of a known peer refresh, if the operator wants it",
	  test_req_6a, NULL },
	{ "RFC4787 REQ-6a strangers", "ENG",
	  "inbound packets of a stranger refresh nothing", test_req_6a_stranger,
	  NULL },
	{ "RFC4787 REQ-7", "MUST", "overlapping subnets are survived", NULL,
	  "an uplink that gets an address of an inside subnet is not handled" },
};

int main(int argc, char **argv)
{
	return requirement_run("rfc4787", table, COUNT(table), argc, argv);
}
