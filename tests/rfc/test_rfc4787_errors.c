/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * RFC 4787 (BCP 127): ICMP errors about UDP (REQ-12), packets that are too big
 * (REQ-13) and fragments (REQ-14).
 */
#include "bench.h"

#define U NAT_PROTO_UDP
#define ROUTER 0xc0000201U /* 192.0.2.1, on the way to the peer */
#define CUT 600U

static const struct flow out_flow = { INSIDE_1, 5000, PEER_1, 7000 };

/* Opens the flow; *left is its packet as it left. Returns the outside port. */
static uint16_t make(struct engine *e, struct packet *left)
{
	uint16_t port;

	engine_make(e);
	port = engine_open(e, U, out_flow);
	*left = e->packet;
	return port;
}

/* --- ICMP ----------------------------------------------------------------- */

static void test_req_12(void)
{
	static const uint8_t types[] = { 3, 11, 12, 4, 5 };
	struct nat_session_view before, after;
	struct engine e;
	struct packet left;
	uint16_t port = make(&e, &left);

	engine_session(&e, 5000, PEER_1, &before);
	for (size_t i = 0; i < COUNT(types); i++)
		for (uint8_t code = 0; code < 16; code++)
			bench_error(&e, PEER_1, types[i], code, 0, &left);
	CU_ASSERT_TRUE(engine_session(&e, 5000, PEER_1, &after));
	CU_ASSERT_EQUAL(after.state, before.state);
	CU_ASSERT_EQUAL(after.expires_ms, before.expires_ms);
	CU_ASSERT_TRUE(bench_reaches(&e, U, flow_of(PEER_1, 7000, UPLINK, port),
				     INSIDE_1, 5000));
	engine_free(&e);
}

static void test_req_12a(void)
{
	struct engine e;
	struct packet left;

	make(&e, &left);
	ASSERT_TRANSLATED(bench_error(&e, ROUTER, 3, 1, 0, &left));
	CU_ASSERT_EQUAL(packet_flow(&e.packet).src, ROUTER);
	CU_ASSERT_EQUAL(packet_flow(&e.packet).dst, INSIDE_1);
	engine_free(&e);
}

/* The quote of the error in engine.packet: the packet as the host sent it. */
static bool quotes_inside(struct packet *error)
{
	const uint8_t *quote = packet_l4(error) + 8;

	return packet_get32(quote + 12) == INSIDE_1 &&
	       packet_get32(quote + 16) == PEER_1 &&
	       packet_get16(quote + 20) == 5000 &&
	       packet_get16(quote + 22) == 7000;
}

static void test_req_12b(void)
{
	struct engine e;
	struct packet left;

	make(&e, &left);
	for (uint8_t code = 0; code < 16; code++) {
		ASSERT_TRANSLATED(bench_error(&e, PEER_1, 3, code, 0, &left));
		CU_ASSERT_EQUAL(packet_l4(&e.packet)[1], code);
		CU_ASSERT_EQUAL(packet_flow(&e.packet).dst, INSIDE_1);
		CU_ASSERT_TRUE(quotes_inside(&e.packet));
	}
	engine_free(&e);
}

/* --- too big -------------------------------------------------------------- */

/* The kernel forwards, and raises its 3/4, only by what the header says. */
static void test_req_13_df(void)
{
	struct engine e;

	engine_make(&e);
	packet_udp(&e.packet, out_flow, NULL, 1472);
	ASSERT_TRANSLATED(engine_run(&e, NAT_PATH_OUTBOUND));
	CU_ASSERT_EQUAL(packet_get16(e.packet.data + 6), 0x4000);
	CU_ASSERT_EQUAL(packet_get16(e.packet.data + 2), 1500);
	packet_udp(&e.packet, out_flow, NULL, 1472);
	packet_set_fragment(&e.packet, 0);
	ASSERT_TRANSLATED(engine_run(&e, NAT_PATH_OUTBOUND));
	CU_ASSERT_EQUAL(packet_get16(e.packet.data + 6), 0);
	engine_free(&e);
}

/* Raised after our rewriting (a tunnel's MTU), it is sent to ourselves. */
static void test_req_13_after(void)
{
	struct engine e;
	struct packet left;
	struct nat_result result;
	struct packet answer;

	make(&e, &left);
	packet_error(&e.packet,
		     (struct error){ .src = UPLINK,
				     .dst = UPLINK,
				     .type = 3,
				     .code = 4,
				     .rest = 1400 },
		     &left);
	result = engine_run(&e, NAT_PATH_LOOPBACK);
	CU_ASSERT_EQUAL(result.verdict, NAT_CONSUMED);
	CU_ASSERT_FATAL(result.answer_length > 0);
	memcpy(answer.data, result.answer, result.answer_length);
	answer.length = result.answer_length;
	CU_ASSERT_EQUAL(packet_flow(&answer).dst, INSIDE_1);
	CU_ASSERT_EQUAL(packet_get32(packet_l4(&answer)),
			0x03040000U | packet_checksum(&answer));
	CU_ASSERT_EQUAL(packet_get32(packet_l4(&answer) + 4), 1400);
	CU_ASSERT_TRUE(quotes_inside(&answer));
	engine_free(&e);
}

/* --- fragments ------------------------------------------------------------ */

struct pair {
	struct packet first;
	struct packet second;
};

/* A datagram of 1,200 bytes in two fragments. */
static struct pair cut(struct flow flow)
{
	struct packet whole;
	struct pair pair;

	packet_udp(&whole, flow, NULL, 1200);
	packet_set_fragment(&whole, 0);
	bench_split(&whole, CUT, &pair.first, &pair.second);
	return pair;
}

static struct nat_result pass(struct engine *e, struct packet *packet,
			      enum nat_path path)
{
	return engine_translate(e, packet->data, packet->length, path);
}

static void in_order(enum nat_path path, struct flow flow, struct flow expected)
{
	struct engine e;
	struct packet left;
	struct pair pair;

	CU_ASSERT_EQUAL(make(&e, &left), 5000);
	pair = cut(flow);
	ASSERT_TRANSLATED(pass(&e, &pair.first, path));
	ASSERT_TRANSLATED(pass(&e, &pair.second, path));
	CU_ASSERT_TRUE(flow_is(packet_flow(&pair.first), expected.src,
			       expected.sport, expected.dst, expected.dport));
	CU_ASSERT_PTR_NULL(bench_join(&pair.first, &pair.second));
	CU_ASSERT_EQUAL(bench_outputs(&e, NULL), 0);
	engine_free(&e);
}

static void out_of_order(enum nat_path path, struct flow flow,
			 struct flow expected)
{
	struct engine e;
	struct packet left, second;
	struct nat_result result;
	struct pair pair;

	make(&e, &left);
	pair = cut(flow);
	CU_ASSERT_EQUAL(pass(&e, &pair.second, path).verdict, NAT_CONSUMED);
	CU_ASSERT_EQUAL(bench_outputs(&e, NULL), 0);
	result = pass(&e, &pair.first, path);
	ASSERT_TRANSLATED(result);
	CU_ASSERT_TRUE(result.output);
	CU_ASSERT_TRUE(flow_is(packet_flow(&pair.first), expected.src,
			       expected.sport, expected.dst, expected.dport));
	CU_ASSERT_EQUAL_FATAL(bench_outputs(&e, &second), 1);
	CU_ASSERT_PTR_NULL(bench_join(&pair.first, &second));
	engine_free(&e);
}

static const struct flow as_sent = { UPLINK, 5000, PEER_1, 7000 };
static const struct flow in_flow = { PEER_1, 7000, UPLINK, 5000 };
static const struct flow as_delivered = { PEER_1, 7000, INSIDE_1, 5000 };

static void test_req_13a(void)
{
	in_order(NAT_PATH_OUTBOUND, out_flow, as_sent);
}

static void test_req_14_in_order(void)
{
	in_order(NAT_PATH_INBOUND, in_flow, as_delivered);
}

static void test_req_14_inbound(void)
{
	out_of_order(NAT_PATH_INBOUND, in_flow, as_delivered);
}

static void test_req_14_outbound(void)
{
	out_of_order(NAT_PATH_OUTBOUND, out_flow, as_sent);
}

/* The second fragment waits for its first 30 s, and no longer. */
static void wait_for_first(uint64_t ms, unsigned outputs)
{
	struct engine e;
	struct packet left;
	struct pair pair;

	make(&e, &left);
	pair = cut(in_flow);
	pass(&e, &pair.second, NAT_PATH_INBOUND);
	bench_later(&e, ms);
	ASSERT_TRANSLATED(pass(&e, &pair.first, NAT_PATH_INBOUND));
	CU_ASSERT_EQUAL(bench_outputs(&e, NULL), outputs);
	engine_free(&e);
}

static void test_req_14_life(void)
{
	wait_for_first(2 * SECOND, 1); /* RFC 6146 3.4 */
	wait_for_first(29999, 1);
	wait_for_first(30000, 0);
}

/* Orphans by the hundred thousand: the tables stay as they were, an
 * unfragmented flow loses nothing, nor does a datagram half way. */
static void test_req_14a(void)
{
	struct engine e;
	struct packet left;
	struct pair known, late, orphan;
	struct nat_stats before;
	unsigned lost = 0;

	make(&e, &left);
	before = engine_stats(&e);
	known = cut(in_flow);
	ASSERT_TRANSLATED(pass(&e, &known.first, NAT_PATH_INBOUND));
	e.unproven = true;
	for (uint32_t i = 0; i < 100000; i++) {
		orphan = cut(flow_of(PEER_3 + i % 251, 1, UPLINK, 5000));
		orphan.second.length = PACKET_IP + 16;
		packet_put16(orphan.second.data + 2, PACKET_IP + 16);
		packet_put16(orphan.second.data + 4, (uint16_t)i);
		packet_fix_ip(&orphan.second);
		pass(&e, &orphan.second, NAT_PATH_INBOUND);
		if (i % 100 == 0 &&
		    !bench_reaches(&e, U, in_flow, INSIDE_1, 5000))
			lost++;
	}
	CU_ASSERT_EQUAL(lost, 0);
	late = cut(flow_of(PEER_1, 7001, UPLINK, 5000));
	packet_put16(late.first.data + 4, 7);
	packet_fix_ip(&late.first);
	ASSERT_TRANSLATED(pass(&e, &late.first, NAT_PATH_INBOUND));
	ASSERT_TRANSLATED(pass(&e, &known.second, NAT_PATH_INBOUND));
	CU_ASSERT_PTR_NULL(bench_join(&known.first, &known.second));
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, before.mappings);
	CU_ASSERT_EQUAL(engine_stats(&e).sessions, before.sessions);
	CU_ASSERT_PTR_NULL(nat_check(e.nat));
	engine_free(&e);
}

static const struct requirement table[] = {
	{ "RFC4787 REQ-12", "MUST NOT", "no ICMP ends or shortens a mapping",
	  test_req_12, NULL },
	{ "RFC4787 REQ-12a", "SHOULD NOT",
	  "an ICMP error of a router on the way is translated", test_req_12a,
	  NULL },
	{ "RFC4787 REQ-12b", "SHOULD",
	  "every destination unreachable is translated", test_req_12b, NULL },
	{ "RFC4787 REQ-13", "MUST",
	  "DF and length stay as they are, so that the kernel answers 3/4",
	  test_req_13_df, NULL },
	{ "RFC4787 REQ-13 late", "MUST",
	  "a 3/4 raised after the rewriting reaches the host with its MTU",
	  test_req_13_after, NULL },
	{ "RFC4787 REQ-13a", "SHOULD", "fragments leave in the order they came",
	  test_req_13a, NULL },
	{ "RFC4787 REQ-14 in order", "MUST",
	  "fragments from outside reach the host", test_req_14_in_order, NULL },
	{ "RFC4787 REQ-14 inbound", "MUST",
	  "a later fragment from outside may come first", test_req_14_inbound,
	  NULL },
	{ "RFC4787 REQ-14 outbound", "MUST",
	  "a later fragment from inside may come first", test_req_14_outbound,
	  NULL },
	{ "RFC4787 REQ-14 life", "ENG",
	  "a fragment waits 30 s for the first of its datagram",
	  test_req_14_life, NULL },
	{ "RFC4787 REQ-14a", "MUST",
	  "100,000 orphan fragments disturb no flow and no datagram half way",
	  test_req_14a, NULL },
};

int main(int argc, char **argv)
{
	return requirement_run("rfc4787_errors", table, COUNT(table), argc,
			       argv);
}
