/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * RFC 7857, updates to the NAT requirements: all but the TCP state machine
 * and refreshing, which have their own files.
 */
#include "bench.h"
#include "tests/unit/tcp_lab.h"

#define T NAT_PROTO_TCP
#define U NAT_PROTO_UDP

static const struct flow first_flow = { INSIDE_1, 5000, PEER_1, 7000 };

/* --- TCP ------------------------------------------------------------------ */

/* Each knob moves its own timer only. */
static void test_2_1(void)
{
	static const struct {
		uint32_t opening, closing;
	} knobs[] = { { 240, 240 }, { 30, 240 }, { 240, 30 }, { 600, 90 } };

	for (size_t i = 0; i < COUNT(knobs); i++) {
		uint64_t opening = knobs[i].opening * SECOND;
		uint64_t closing = knobs[i].closing * SECOND;
		struct lab lab;

		lab_make(&lab, true);
		lab.engine.config.timeout_s[NAT_TIMER_TCP_OPENING] =
			knobs[i].opening;
		lab.engine.config.timeout_s[NAT_TIMER_TCP_CLOSING] =
			knobs[i].closing;
		engine_configure(&lab.engine);
		reach(&lab, NAT_STATE_INIT);
		later(&lab, opening - 1);
		CU_ASSERT_TRUE(alive(&lab));
		later(&lab, 1);
		CU_ASSERT_FALSE(alive(&lab));
		reach(&lab, NAT_STATE_C_FIN_S_FIN);
		later(&lab, closing - 1);
		CU_ASSERT_TRUE(alive(&lab));
		later(&lab, 1);
		CU_ASSERT_FALSE(alive(&lab));
		engine_free(&lab.engine);
	}
}

static void packet_is(const struct lab *lab, enum end from)
{
	static const struct flow sent = { UPLINK, 5000, PEER_1, 7000 };
	static const struct flow delivered = { PEER_1, 7000, INSIDE_1, 5000 };
	struct flow flow = from == CLIENT ? sent : delivered;

	ASSERT_FLOW(&lab->engine, flow.src, flow.sport, flow.dst, flow.dport);
}

/* In every state, from both ends, exact or not. */
static void test_2_2_forwarded(void)
{
	for (int state = 0; state < NAT_STATES; state++)
		for (enum end end = CLIENT; end <= SERVER; end++) {
			struct lab lab;

			lab_make(&lab, true);
			reach(&lab, (enum nat_state)state);
			flags(&lab, end, RST); /* asserts that it passes */
			send(&lab, end,
			     (struct segment){ .flags = RST, .seq = 1u << 31 });
			packet_is(&lab, end);
			engine_free(&lab.engine);
		}
}

static void test_2_2_kept(void)
{
	struct lab lab;

	lab_make(&lab, true);
	reach(&lab, NAT_STATE_TRANS);
	later(&lab, 10 * SECOND);
	flags(&lab, SERVER, ACK | PSH);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	CU_ASSERT_EQUAL(session(&lab).expires_ms, ESTABLISHED);
	flags(&lab, CLIENT, RST);
	later(&lab, CLOSING - 1);
	CU_ASSERT_TRUE(alive(&lab));
	later(&lab, 1);
	CU_ASSERT_FALSE(alive(&lab));
	engine_free(&lab.engine);
}

/* --- pooling, protocols ---------------------------------------------------- */

static void test_3(void)
{
	struct engine e;
	struct flow flow = first_flow;

	engine_make(&e);
	engine_pool(&e.config, 40000, 40009);
	engine_configure(&e);
	for (uint16_t i = 0; i < 40; i++) {
		struct nat_result result;

		flow.sport = (uint16_t)(5000 + i);
		flow.dst = PEER_1 + i;
		result = engine_tcp(&e, NAT_PATH_OUTBOUND, flow, SYN);
		CU_ASSERT_EQUAL(result.verdict,
				i < 10 ? NAT_TRANSLATED : NAT_DROPPED);
	}
	CU_ASSERT_EQUAL(engine_stats(&e).drops[NAT_DROP_NO_PORT], 30);
	engine_free(&e);
}

/* One port: it is taken, refused, and free again. */
static void test_4(void)
{
	struct flow other = first_flow;
	struct engine e;

	engine_make(&e);
	engine_pool(&e.config, 40000, 40000);
	e.config.port_hold_s = 0;
	engine_configure(&e);
	other.src = INSIDE_2;
	CU_ASSERT_EQUAL(engine_open(&e, U, first_flow), 40000);
	ASSERT_DROPPED(engine_udp(&e, NAT_PATH_OUTBOUND, other),
		       NAT_DROP_NO_PORT);
	CU_ASSERT_EQUAL(engine_open(&e, U, first_flow), 40000);
	bench_later(&e, 300 * SECOND);
	CU_ASSERT_EQUAL(engine_open(&e, U, other), 40000);
	engine_free(&e);
}

/* One inside socket by three protocols: three mappings of their own life. */
static void test_5(void)
{
	struct flow other = first_flow;
	struct engine e;
	uint16_t tcp, udp;

	engine_make(&e);
	other.src = INSIDE_2;
	CU_ASSERT_EQUAL(engine_open(&e, U, other), 5000);
	tcp = engine_open(&e, T, first_flow);
	udp = engine_open(&e, U, first_flow);
	CU_ASSERT_EQUAL(tcp, 5000); /* not taken by the UDP mapping */
	CU_ASSERT_NOT_EQUAL(udp, 5000);
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 3);
	bench_later(&e, OPENING);
	CU_ASSERT_EQUAL(bench_port(&e, T, INSIDE_1, 5000), 0);
	CU_ASSERT_EQUAL(bench_port(&e, U, INSIDE_1, 5000), udp);
	engine_free(&e);
}

static void test_6(void)
{
	struct engine e;

	engine_make(&e);
	bench_filter(&e, NAT_FILTER_ENDPOINT_INDEPENDENT);
	CU_ASSERT_EQUAL(engine_open(&e, T, first_flow), 5000);
	ASSERT_DROPPED(engine_udp(&e, NAT_PATH_INBOUND,
				  flow_of(PEER_1, 7000, UPLINK, 5000)),
		       NAT_DROP_NO_MAPPING);
	engine_open(&e, U, flow_of(INSIDE_1, 6000, PEER_1, 7000));
	ASSERT_DROPPED(engine_tcp(&e, NAT_PATH_INBOUND,
				  flow_of(PEER_1, 7000, UPLINK, 6000), SYN),
		       NAT_DROP_NO_MAPPING);
	engine_free(&e);
}

/* --- ports ---------------------------------------------------------------- */

#define SOCKETS 1000U

/* Opens a thousand sockets whose wanted port is taken; fills the ports. */
static void collide(struct engine *e, uint16_t ports[SOCKETS])
{
	bench_wide(e);
	engine_open(e, U, flow_of(INSIDE_1, 5000, PEER_1, 7000));
	for (uint32_t i = 0; i < SOCKETS; i++) {
		/* Another address of the inside network each 200 ports. */
		uint16_t wanted = (uint16_t)(6000 + 2 * (i / 200));

		if (i % 200 == 0)
			engine_open(e, U,
				    flow_of(0xc0a80101U, wanted, PEER_1, 7000));
		ports[i] = engine_open(e, U,
				       flow_of(0xc0a80102U + i % 200, wanted,
					       PEER_1, 7));
		CU_ASSERT_FATAL(ports[i] >= 1024);
	}
}

static void test_9_preserved(void)
{
	struct engine e;

	engine_make(&e);
	for (uint32_t i = 0; i < 50; i++) {
		uint16_t port = (uint16_t)(1024 + i * 1287);

		CU_ASSERT_EQUAL(engine_open(&e, U,
					    flow_of(INSIDE_1 + i % 4, port,
						    PEER_1, 7000)),
				port);
	}
	engine_free(&e);
}

/* 16 cells of 4,032 ports: chi-square below 50.5 in all but 1 of 100,000
 * draws; the key is fixed, so the result is. */
static void test_9_random(void)
{
	uint16_t ports[SOCKETS];
	unsigned cells[16] = { 0 };
	double chi = 0, expected = SOCKETS / 16.0;
	unsigned neighbours = 0;
	struct engine e;

	collide(&e, ports);
	for (uint32_t i = 0; i < SOCKETS; i++) {
		cells[(ports[i] - 1024) / 4032]++;
		CU_ASSERT_EQUAL(ports[i] % 2, 0); /* parity: the low bit */
		if (i && (uint16_t)(ports[i] - ports[i - 1]) <= 2)
			neighbours++;
	}
	for (int i = 0; i < 16; i++)
		chi += (cells[i] - expected) * (cells[i] - expected) / expected;
	CU_ASSERT_TRUE(chi < 50.5);
	CU_ASSERT_TRUE(neighbours < 5);
	engine_free(&e);
}

/* --- headers -------------------------------------------------------------- */

/* The ids of 100 packets of two hosts that both count from 0. */
static void test_10(void)
{
	bool seen[65536] = { false };
	unsigned repeated = 0;
	struct engine e;

	engine_make(&e);
	for (uint32_t i = 0; i < 100; i++) {
		uint16_t id;

		packet_udp(&e.packet,
			   flow_of(INSIDE_1 + i % 2, 5000, PEER_1, 7000), NULL,
			   9);
		packet_put16(e.packet.data + 4, (uint16_t)(i / 2));
		packet_set_fragment(&e.packet, 0);
		ASSERT_TRANSLATED(engine_run(&e, NAT_PATH_OUTBOUND));
		id = packet_get16(e.packet.data + 4);
		repeated += seen[id];
		seen[id] = true;
	}
	CU_ASSERT_EQUAL(repeated, 0);
	engine_free(&e);
}

static void test_11(void)
{
	struct engine e;

	engine_make(&e);
	CU_ASSERT_NOT_EQUAL(engine_open(&e, NAT_PROTO_ICMP,
					flow_of(INSIDE_1, 77, PEER_1, 77)),
			    0);
	bench_later(&e, 59999);
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 1);
	bench_later(&e, 1);
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 0);
	CU_ASSERT_EQUAL(engine_stats(&e).sessions, 0);
	engine_free(&e);
}

/* INSIDE_2 complains to INSIDE_1 about a hairpinned packet: both see outside
 * addresses only. */
static void test_12(void)
{
	struct packet delivered;
	struct engine e;
	const uint8_t *quote;
	uint16_t port;

	engine_make(&e);
	port = engine_open(&e, U, flow_of(INSIDE_2, 6000, PEER_1, 7000));
	packet_udp(&e.packet, flow_of(INSIDE_1, 5000, UPLINK, port), NULL, 9);
	ASSERT_TRANSLATED(bench_hairpin(&e));
	delivered = e.packet;
	packet_error(
		&e.packet,
		(struct error){
			.src = INSIDE_2, .dst = UPLINK, .type = 3, .code = 3 },
		&delivered);
	ASSERT_TRANSLATED(bench_hairpin(&e));
	quote = packet_l4(&e.packet) + 8;
	CU_ASSERT_EQUAL(packet_flow(&e.packet).src, UPLINK);
	CU_ASSERT_EQUAL(packet_flow(&e.packet).dst, INSIDE_1);
	CU_ASSERT_EQUAL(packet_get32(quote + 12), INSIDE_1);
	CU_ASSERT_EQUAL(packet_get16(quote + 20), 5000);
	CU_ASSERT_EQUAL(packet_get32(quote + 16), UPLINK);
	CU_ASSERT_EQUAL(packet_get16(quote + 22), port);
	engine_free(&e);
}

/* DSCP and ECN, every value of the byte, both ways. */
static void test_tos(void)
{
	struct engine e;

	engine_make(&e);
	for (unsigned tos = 0; tos < 256; tos++) {
		packet_udp(&e.packet, first_flow, NULL, 9);
		e.packet.data[1] = (uint8_t)tos;
		packet_fix_ip(&e.packet);
		ASSERT_TRANSLATED(engine_run(&e, NAT_PATH_OUTBOUND));
		CU_ASSERT_EQUAL(e.packet.data[1], tos);
		packet_udp(&e.packet, flow_of(PEER_1, 7000, UPLINK, 5000), NULL,
			   9);
		e.packet.data[1] = (uint8_t)tos;
		packet_fix_ip(&e.packet);
		ASSERT_TRANSLATED(engine_run(&e, NAT_PATH_INBOUND));
		CU_ASSERT_EQUAL(e.packet.data[1], tos);
	}
	engine_free(&e);
}

static const struct requirement table[] = {
	{ "RFC7857 2.1", "SHOULD",
	  "opening and closing sessions have a timer each", test_2_1, NULL },
	{ "RFC7857 2.2", "MUST", "an RST is translated, in every state",
	  test_2_2_forwarded, NULL },
	{ "RFC7857 2.2 kept", "SHOULD",
	  "after an RST the session stays 4 minutes, data brings it back",
	  test_2_2_kept, NULL },
	{ "RFC7857 3", "MAY",
	  "ports do not overlap, though destinations differ", test_3, NULL },
	{ "RFC7857 4", "SHOULD",
	  "without a port new sessions are dropped, old ones go on", test_4,
	  NULL },
	{ "RFC7857 5", "SHOULD", "each protocol has its own mappings", test_5,
	  NULL },
	{ "RFC7857 6", "SHOULD",
	  "a mapping of one protocol admits no other protocol", test_6, NULL },
	{ "RFC7857 9 preserved", "SHOULD", "a free port is preserved",
	  test_9_preserved, NULL },
	{ "RFC7857 9 random", "SHOULD",
	  "a port that must change is drawn from its whole half, in parity",
	  test_9_random, NULL },
	{ "RFC7857 10", "SHOULD",
	  "datagrams of several hosts that may be fragmented share no id",
	  test_10, NULL },
	{ "RFC7857 11", "MAY",
	  "a ping's mapping ends with its last session, after 60 s", test_11,
	  NULL },
	{ "RFC7857 12", "MUST",
	  "an error about a hairpinned packet is translated for both ends",
	  test_12, NULL },
	{ "RFC7857 DSCP", "ENG", "DSCP and ECN are left as they are", test_tos,
	  NULL },
};

int main(int argc, char **argv)
{
	return requirement_run("rfc7857", table, COUNT(table), argc, argv);
}
