/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * RFC 4787 (BCP 127), NAT behaviour for UDP: filtering, hairpinning, payload,
 * and that all of it is the same for every host (REQ-8 to REQ-11).
 */
#include "bench.h"

#define U NAT_PROTO_UDP

static const struct flow first_flow = { INSIDE_1, 5000, PEER_1, 7000 };

static struct flow from(uint32_t peer, uint16_t peer_port, uint16_t port)
{
	return flow_of(peer, peer_port, UPLINK, port);
}

/* --- filtering ------------------------------------------------------------ */

/* Who gets in: the peer itself, its address by another port, a stranger. */
static void judge_filter(enum nat_filter filter, uint8_t pool, bool address,
			 bool stranger)
{
	struct engine e;
	uint16_t port;

	engine_make(&e);
	e.config.filtering[pool] = filter;
	engine_configure(&e);
	port = engine_open(&e, U, first_flow);
	CU_ASSERT_TRUE(
		bench_reaches(&e, U, from(PEER_1, 7000, port), INSIDE_1, 5000));
	CU_ASSERT_EQUAL(bench_reaches(&e, U, from(PEER_1, 7001, port), INSIDE_1,
				      5000),
			address);
	CU_ASSERT_EQUAL(bench_reaches(&e, U, from(PEER_2, 7000, port), INSIDE_1,
				      5000),
			stranger);
	engine_free(&e);
}

static void test_req_8(void)
{
	struct engine e;
	uint16_t port;

	engine_make(&e); /* the defaults */
	port = engine_open(&e, U, first_flow);
	CU_ASSERT_TRUE(
		bench_reaches(&e, U, from(PEER_3, 9, port), INSIDE_1, 5000));
	engine_free(&e);
	judge_filter(NAT_FILTER_ENDPOINT_INDEPENDENT, NAT_POOL_UDP, true, true);
}

static void test_req_8a_address(void)
{
	judge_filter(NAT_FILTER_ADDRESS_DEPENDENT, NAT_POOL_UDP, true, false);
}

static void test_req_8a_port(void)
{
	judge_filter(NAT_FILTER_ADDRESS_AND_PORT_DEPENDENT, NAT_POOL_UDP, false,
		     false);
}

/* --- hairpin -------------------------------------------------------------- */

/* INSIDE_2:6000 has a mapping; INSIDE_1:5000 speaks to it. */
static struct nat_result speak_to(struct engine *e, uint16_t *port)
{
	engine_make(e);
	*port = engine_open(e, U, flow_of(INSIDE_2, 6000, PEER_1, 7000));
	packet_udp(&e->packet, flow_of(INSIDE_1, 5000, UPLINK, *port), NULL, 9);
	return bench_hairpin(e);
}

static void test_req_9(void)
{
	struct engine e;
	uint16_t port;

	ASSERT_TRANSLATED(speak_to(&e, &port));
	CU_ASSERT_EQUAL(packet_flow(&e.packet).dst, INSIDE_2);
	CU_ASSERT_EQUAL(packet_flow(&e.packet).dport, 6000);
	CU_ASSERT_EQUAL(engine_stats(&e).hairpin_packets, 1);
	engine_free(&e);
}

static void test_req_9a(void)
{
	struct engine e;
	uint16_t port, source;

	ASSERT_TRANSLATED(speak_to(&e, &port));
	source = bench_port(&e, U, INSIDE_1, 5000);
	CU_ASSERT_NOT_EQUAL(source, 0);
	ASSERT_FLOW(&e, UPLINK, source, INSIDE_2, 6000);
	packet_udp(&e.packet, flow_of(INSIDE_2, 6000, UPLINK, source), NULL, 9);
	ASSERT_TRANSLATED(bench_hairpin(&e));
	ASSERT_FLOW(&e, UPLINK, port, INSIDE_1, 5000);
	engine_free(&e);
}

/* --- payload, sameness ---------------------------------------------------- */

static void test_req_10(void)
{
	static const char sip[] =
		"REGISTER sip:a SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.10:5060"
		"\r\nContact: <sip:u@192.168.1.10:5060>\r\n\r\n";
	static const uint16_t ports[] = { 53, 69, 137, 500, 5060, 1701 };
	struct engine e;

	engine_make(&e);
	for (size_t i = 0; i < COUNT(ports); i++) {
		packet_udp(&e.packet, flow_of(INSIDE_1, 5060, PEER_1, ports[i]),
			   sip, sizeof(sip));
		ASSERT_TRANSLATED(engine_run(&e, NAT_PATH_OUTBOUND));
		CU_ASSERT_EQUAL(
			memcmp(packet_l4(&e.packet) + 8, sip, sizeof(sip)), 0);
	}
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 1);
	engine_free(&e);
}

/* RFC 5780 mapping I-III and filtering I-III for one host. */
static void judge_class(struct engine *e, uint32_t host)
{
	struct flow flow = flow_of(host, 5000, PEER_1, 3478);
	uint16_t port = engine_open(e, U, flow);

	CU_ASSERT_NOT_EQUAL(port, 0);
	CU_ASSERT_TRUE(
		bench_reaches(e, U, from(PEER_2, 3479, port), host, 5000));
	CU_ASSERT_TRUE(
		bench_reaches(e, U, from(PEER_1, 3479, port), host, 5000));
	flow.dst = PEER_2;
	CU_ASSERT_EQUAL(engine_open(e, U, flow), port);
	flow.dport = 3479;
	CU_ASSERT_EQUAL(engine_open(e, U, flow), port);
}

static void test_req_11(void)
{
	struct engine e;

	engine_make(&e);
	for (uint32_t host = 0; host < 3; host++)
		judge_class(&e, INSIDE_1 + host);
	engine_free(&e);
}

static void test_req_11_load(void)
{
	struct engine e;

	engine_make(&e);
	engine_pool(&e.config, 40000, 40063);
	engine_configure(&e);
	for (uint16_t i = 0; i < 58; i++) /* of 64 mappings and ports */
		CU_ASSERT_NOT_EQUAL(engine_open(&e, U,
						flow_of(INSIDE_1 + 5,
							(uint16_t)(1024 + i),
							PEER_1, 7000)),
				    0);
	for (uint32_t host = 0; host < 3; host++)
		judge_class(&e, INSIDE_1 + host);
	engine_free(&e);
}

static const struct requirement table[] = {
	{ "RFC4787 REQ-8", "SHOULD",
	  "by default everybody may send to a UDP mapping", test_req_8, NULL },
	{ "RFC4787 REQ-8a address", "MAY",
	  "address-dependent filtering admits any port of a peer",
	  test_req_8a_address, NULL },
	{ "RFC4787 REQ-8a port", "MAY",
	  "address-and-port-dependent filtering admits the peer only",
	  test_req_8a_port, NULL },
	{ "RFC4787 REQ-9", "MUST",
	  "a packet to a mapping's outside socket reaches its inside socket",
	  test_req_9, NULL },
	{ "RFC4787 REQ-9a", "MUST",
	  "a hairpinned packet shows the sender's outside socket", test_req_9a,
	  NULL },
	{ "RFC4787 REQ-10", "SHOULD",
	  "no payload is looked at or changed, whatever its port", test_req_10,
	  NULL },
	{ "RFC4787 REQ-11", "MUST",
	  "mapping and filtering are the same for colliding hosts", test_req_11,
	  NULL },
	{ "RFC4787 REQ-11 load", "MUST",
	  "mapping and filtering are the same with 9 of 10 ports taken",
	  test_req_11_load, NULL },
};

int main(int argc, char **argv)
{
	return requirement_run("rfc4787_filtering", table, COUNT(table), argc,
			       argv);
}
