/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * RFC 5597 (BCP 150): DCCP, every requirement.
 */
#include "bench.h"
#include "tests/unit/packets_other.h"

static const struct flow out = { INSIDE_1, 5000, PEER_1, 7000 };

static struct nat_result run(struct engine *engine, enum nat_path path,
			     struct flow flow, uint8_t type)
{
	packet_dccp(&engine->packet, flow,
		    (struct dccp){ .type = type, .bytes = 11 });
	return engine_run(engine, path);
}

static struct nat_result outbound(struct engine *engine, struct flow flow,
				  uint8_t type)
{
	return run(engine, NAT_PATH_OUTBOUND, flow, type);
}

/* From the peer to the outside port. */
static struct nat_result inbound(struct engine *engine, uint32_t peer,
				 uint16_t peer_port, uint16_t port,
				 uint8_t type)
{
	return run(engine, NAT_PATH_INBOUND,
		   flow_of(peer, peer_port, UPLINK, port), type);
}

/* Opens a connection; returns the outside port, 0: refused. */
static uint16_t open(struct engine *engine, struct flow flow)
{
	if (outbound(engine, flow, DCCP_T_REQUEST).verdict != NAT_TRANSLATED)
		return 0;
	return packet_flow(&engine->packet).sport;
}

static uint64_t expires_ms(const struct engine *engine)
{
	struct nat_session_view view;

	engine_session(engine, 5000, PEER_1, &view);
	return view.expires_ms;
}

/* --- REQ-1, REQ-2 ------------------------------------------------------- */

static void test_req_1(void)
{
	struct engine engine;
	uint16_t port;

	engine_make(&engine);
	/* Another host has the port that would be preserved. */
	CU_ASSERT_EQUAL(open(&engine, flow_of(INSIDE_2, 5000, PEER_2, 7000)),
			5000);
	port = open(&engine, out);
	CU_ASSERT_NOT_EQUAL(port, 5000);
	CU_ASSERT_EQUAL(open(&engine, flow_of(INSIDE_1, 5000, PEER_1, 7001)),
			port);
	CU_ASSERT_EQUAL(open(&engine, flow_of(INSIDE_1, 5000, PEER_2, 7000)),
			port);
	CU_ASSERT_EQUAL(open(&engine, flow_of(INSIDE_1, 5000, PEER_3, 9)),
			port);
	engine_free(&engine);
}

/* One packet of a story: '>' from inside, '<' from outside. */
struct line {
	char way;
	uint8_t type;
};

/* RFC 4340 8 and RFC 5596 2: what two ends may say. */
static const struct line client[] = {
	{ '>', DCCP_T_REQUEST },  { '>', DCCP_T_REQUEST },
	{ '<', DCCP_T_RESPONSE }, { '>', DCCP_T_ACK },
	{ '<', DCCP_T_DATAACK },  { '>', DCCP_T_DATA },
	{ '<', DCCP_T_DATA },	  { '<', DCCP_T_SYNC },
	{ '>', DCCP_T_SYNCACK },  { '<', DCCP_T_CLOSEREQ },
	{ '>', DCCP_T_CLOSE },	  { '<', DCCP_T_RESET },
};
static const struct line server[] = {
	{ '>', DCCP_T_LISTEN },	 { '>', DCCP_T_LISTEN },
	{ '<', DCCP_T_REQUEST }, { '>', DCCP_T_RESPONSE },
	{ '<', DCCP_T_DATAACK }, { '>', DCCP_T_CLOSEREQ },
	{ '<', DCCP_T_CLOSE },	 { '>', DCCP_T_RESET },
	{ '<', DCCP_T_REQUEST }, { '>', DCCP_T_RESPONSE },
	{ '<', DCCP_T_ACK },	 { '<', DCCP_T_CLOSE },
	{ '>', DCCP_T_RESET },
};
static const struct line crossing[] = {
	{ '>', DCCP_T_REQUEST },  { '<', DCCP_T_LISTEN },
	{ '<', DCCP_T_RESPONSE }, { '>', DCCP_T_ACK },
	{ '>', DCCP_T_CLOSE },	  { '<', DCCP_T_RESET },
};
static const struct line refused[] = {
	{ '>', DCCP_T_REQUEST }, { '<', DCCP_T_RESET },
	{ '>', DCCP_T_REQUEST }, { '<', DCCP_T_RESPONSE },
	{ '>', DCCP_T_RESET },	 { '<', DCCP_T_RESET },
};

static void tell(const struct line *story, size_t lines)
{
	for (int filter = 0; filter < NAT_FILTERS; filter++) {
		struct engine engine;

		engine_make(&engine);
		bench_filter(&engine, (enum nat_filter)filter);
		for (size_t i = 0; i < lines; i++) {
			bool leaves = story[i].way == '>';

			bench_later(&engine, 3 * SECOND);
			ASSERT_TRANSLATED(
				leaves ? outbound(&engine, out, story[i].type) :
					 inbound(&engine, PEER_1, 7000, 5000,
						 story[i].type));
			CU_ASSERT_TRUE(
				leaves ? flow_is(packet_flow(&engine.packet),
						 UPLINK, 5000, PEER_1, 7000) :
					 flow_is(packet_flow(&engine.packet),
						 PEER_1, 7000, INSIDE_1, 5000));
		}
		CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 1);
		engine_free(&engine);
	}
}

static void test_req_2_client(void)
{
	tell(client, COUNT(client));
	tell(refused, COUNT(refused));
}

static void test_req_2_server(void)
{
	tell(server, COUNT(server));
}

static void test_req_2_simultaneous(void)
{
	tell(crossing, COUNT(crossing));
}

/* --- REQ-3, REQ-4 ------------------------------------------------------- */

static void test_req_3(void)
{
	struct engine engine;

	engine_make(&engine);
	open(&engine, out);
	for (uint8_t type = 0; type < DCCP_T_TYPES; type++) {
		ASSERT_TRANSLATED(inbound(&engine, PEER_1, 7001, 5000, type));
		ASSERT_DROPPED(inbound(&engine, PEER_2, 7000, 5000, type),
			       NAT_DROP_FILTERED_ADDRESS);
	}
	/* TCP and DCCP share the setting. */
	engine.config.filtering[NAT_POOL_TCP] = NAT_FILTER_ENDPOINT_INDEPENDENT;
	engine_configure(&engine);
	ASSERT_TRANSLATED(inbound(&engine, PEER_2, 7000, 5000, DCCP_T_REQUEST));
	engine_free(&engine);
}

static void test_req_4(void)
{
	static const uint8_t types[] = { DCCP_T_LISTEN, DCCP_T_SYNC };

	for (size_t i = 0; i < COUNT(types) * 2; i++) {
		struct nat_result result;
		struct engine engine;

		engine_make(&engine);
		engine.config.icmp_after_6s = i / COUNT(types);
		engine_configure(&engine);
		result = inbound(&engine, PEER_1, 7000, 5000,
				 types[i % COUNT(types)]);
		CU_ASSERT_EQUAL(result.verdict, NAT_DROPPED);
		CU_ASSERT_EQUAL(result.answer_length, 0);
		engine.now += 6 * SECOND - 1;
		CU_ASSERT_EQUAL(bench_outputs(&engine, NULL), 0);
		/* An outbound Request crosses: never an answer. */
		open(&engine, out);
		engine.now += 10 * SECOND;
		CU_ASSERT_EQUAL(bench_outputs(&engine, NULL), 0);
		engine_free(&engine);
	}
}

/* --- REQ-5 -------------------------------------------------------------- */

static void test_req_5_established(void)
{
	struct engine engine;

	engine_make(&engine);
	open(&engine, out);
	inbound(&engine, PEER_1, 7000, 5000, DCCP_T_RESPONSE);
	CU_ASSERT_TRUE(expires_ms(&engine) >= 124 * MINUTE);
	bench_later(&engine, 124 * MINUTE - 1);
	ASSERT_TRANSLATED(inbound(&engine, PEER_1, 7000, 5000, DCCP_T_DATA));
	bench_later(&engine, 124 * MINUTE - 1);
	ASSERT_TRANSLATED(outbound(&engine, out, DCCP_T_DATA));
	engine_free(&engine);
}

static void test_req_5_closing(void)
{
	for (uint8_t type = DCCP_T_CLOSE; type <= DCCP_T_RESET; type++) {
		struct engine engine;

		engine_make(&engine);
		open(&engine, out);
		CU_ASSERT_TRUE(expires_ms(&engine) >= 4 * MINUTE);
		inbound(&engine, PEER_1, 7000, 5000, DCCP_T_RESPONSE);
		outbound(&engine, out, type);
		CU_ASSERT_EQUAL(expires_ms(&engine), 4 * MINUTE);
		bench_later(&engine, 4 * MINUTE - 1);
		ASSERT_TRANSLATED(
			inbound(&engine, PEER_1, 7000, 5000, DCCP_T_RESET));
		bench_later(&engine, 1);
		CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 0);
		engine_free(&engine);
	}
}

/* --- REQ-6, REQ-7, REQ-8 ------------------------------------------------ */

/* Ports of protocols that have helpers elsewhere; the payload and all of the
 * header behind the checksum stay. */
static void test_req_6(void)
{
	static const uint16_t ports[] = { 21, 53, 69, 554, 1723, 5060, 6667 };
	struct engine engine;

	engine_make(&engine);
	for (size_t i = 0; i < COUNT(ports); i++) {
		struct packet before;

		packet_dccp(&engine.packet,
			    flow_of(INSIDE_1, 5000, PEER_1, ports[i]),
			    (struct dccp){ .bytes = 60 });
		memcpy(packet_l4(&engine.packet) + 20, "PORT 192,168,1,10,4,1",
		       21);
		before = engine.packet;
		/* Its checksum is wrong now, so it must not open anything. */
		ASSERT_DROPPED(engine_run(&engine, NAT_PATH_OUTBOUND),
			       NAT_DROP_BAD_CHECKSUM);
		open(&engine, flow_of(INSIDE_1, 5000, PEER_1, ports[i]));
		engine.packet = before;
		ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
		CU_ASSERT_EQUAL(memcmp(packet_l4(&engine.packet) + 8,
				       packet_l4(&before) + 8,
				       before.length - PACKET_IP - 8),
				0);
	}
	engine_free(&engine);
}

static void test_req_7(void)
{
	struct engine engine;
	uint16_t ports[20];

	engine_make(&engine);
	for (uint16_t i = 0; i < COUNT(ports); i++) {
		ports[i] = open(&engine, flow_of(INSIDE_1 + i % 2,
						 (uint16_t)(5000 + i / 2),
						 PEER_1, 7000));
		CU_ASSERT_NOT_EQUAL(ports[i], 0);
		for (uint16_t j = 0; j < i; j++)
			CU_ASSERT_NOT_EQUAL(ports[i], ports[j]);
	}
	engine_free(&engine);
	/* One port only: the second is refused, and the first unharmed. TCP
	 * shares the pool. */
	engine_make(&engine);
	engine_pool(&engine.config, 40000, 40000);
	engine_configure(&engine);
	CU_ASSERT_EQUAL(open(&engine, out), 40000);
	CU_ASSERT_EQUAL(open(&engine, flow_of(INSIDE_2, 1, PEER_2, 2)), 0);
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_TCP,
				    flow_of(INSIDE_2, 1, PEER_2, 2)),
			0);
	ASSERT_TRANSLATED(
		inbound(&engine, PEER_1, 7000, 40000, DCCP_T_RESPONSE));
	engine_free(&engine);
}

static void test_req_8(void)
{
	struct flow to = flow_of(INSIDE_2, 6000, UPLINK, 5000);
	struct engine engine;

	engine_make(&engine);
	open(&engine, out);
	bench_filter(&engine, NAT_FILTER_ENDPOINT_INDEPENDENT);
	packet_dccp(&engine.packet, to, (struct dccp){ .type = 0 });
	ASSERT_TRANSLATED(bench_hairpin(&engine));
	ASSERT_FLOW(&engine, UPLINK, 6000, INSIDE_1, 5000);
	CU_ASSERT_PTR_NULL(
		packet_wrong(engine.packet.data, engine.packet.length));
	/* And back. */
	packet_dccp(&engine.packet, flow_of(INSIDE_1, 5000, UPLINK, 6000),
		    (struct dccp){ .type = DCCP_T_RESPONSE });
	ASSERT_TRANSLATED(bench_hairpin(&engine));
	ASSERT_FLOW(&engine, UPLINK, 5000, INSIDE_2, 6000);
	engine_free(&engine);
}

/* --- REQ-9, REQ-10 ------------------------------------------------------ */

static void test_req_9(void)
{
	struct packet inside, left;
	struct engine engine;

	engine_make(&engine);
	engine_pool(&engine.config, 40000, 40000);
	engine_configure(&engine);
	open(&engine, out);
	packet_dccp(&inside, out, (struct dccp){ .type = DCCP_T_DATA });
	engine.packet = inside;
	engine_run(&engine, NAT_PATH_OUTBOUND);
	left = engine.packet;
	for (uint8_t code = 0; code < 16; code++) {
		ASSERT_TRANSLATED(
			bench_error(&engine, PEER_2, 3, code, 1300, &left));
		CU_ASSERT_EQUAL(packet_flow(&engine.packet).dst, INSIDE_1);
		/* Byte for byte what the host had sent. */
		CU_ASSERT_EQUAL(memcmp(packet_l4(&engine.packet) + 8,
				       inside.data, PACKET_IP + 8),
				0);
	}
	/* From inside: about what was delivered. */
	inbound(&engine, PEER_1, 7000, 40000, DCCP_T_RESPONSE);
	left = engine.packet;
	packet_error(
		&engine.packet,
		(struct error){ .src = INSIDE_1, .dst = PEER_1, .type = 3 },
		&left);
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	CU_ASSERT_EQUAL(packet_get32(packet_l4(&engine.packet) + 8 + 16),
			UPLINK);
	CU_ASSERT_EQUAL(packet_get16(packet_l4(&engine.packet) + 8 + 22),
			40000);
	engine_free(&engine);
}

static void test_req_10(void)
{
	static const uint8_t types[] = { 3, 4, 5, 11, 12 };
	struct packet left;
	struct engine engine;
	uint64_t before;

	engine_make(&engine);
	open(&engine, out);
	left = engine.packet;
	inbound(&engine, PEER_1, 7000, 5000, DCCP_T_RESPONSE);
	bench_later(&engine, 10 * SECOND);
	before = expires_ms(&engine);
	for (size_t i = 0; i < COUNT(types); i++)
		for (uint8_t code = 0; code < 16; code++)
			bench_error(&engine, PEER_2, types[i], code, 0, &left);
	CU_ASSERT_EQUAL(expires_ms(&engine), before);
	ASSERT_TRANSLATED(inbound(&engine, PEER_1, 7000, 5000, DCCP_T_DATA));
	engine_free(&engine);
}

/* --- REQ-11, REQ-12, REQ-13 --------------------------------------------- */

/* Every type, coverage and length there and back, by another port. check:
 * looks at a packet before and after. */
static void every_packet(void (*check)(struct packet *before,
				       struct packet *after))
{
	struct engine engine;

	engine_make(&engine);
	engine_pool(&engine.config, 40000, 40000);
	bench_filter(&engine, NAT_FILTER_ENDPOINT_INDEPENDENT);
	open(&engine, out);
	for (uint32_t i = 0; i < DCCP_T_TYPES * 16 * 9 * 2; i++) {
		struct dccp dccp = { .type = (uint8_t)(i % DCCP_T_TYPES),
				     .coverage =
					     (uint8_t)(i / DCCP_T_TYPES % 16) };
		struct packet before;
		bool in = i % 2;

		dccp.bytes = (uint16_t)(i / DCCP_T_TYPES / 16 % 9 * 8 + 1);
		if (dccp.coverage > 1 && dccp.bytes < (dccp.coverage - 1) * 4)
			dccp.bytes = (uint16_t)((dccp.coverage - 1) * 4);
		packet_dccp(&before,
			    in ? flow_of(PEER_1, 7000, UPLINK, 40000) : out,
			    dccp);
		CU_ASSERT_PTR_NULL(packet_wrong(before.data, before.length));
		engine.packet = before;
		ASSERT_TRANSLATED(engine_run(&engine, in ? NAT_PATH_INBOUND :
							   NAT_PATH_OUTBOUND));
		check(&before, &engine.packet);
	}
	engine_free(&engine);
}

static void check_checksum(struct packet *before, struct packet *after)
{
	CU_ASSERT_PTR_NULL(packet_wrong(after->data, after->length));
	CU_ASSERT_NOT_EQUAL(packet_checksum(before), packet_checksum(after));
}

static void check_coverage(struct packet *before, struct packet *after)
{
	CU_ASSERT_EQUAL(packet_l4(after)[5], packet_l4(before)[5]);
}

static void check_service(struct packet *before, struct packet *after)
{
	uint8_t type = packet_l4(before)[8] >> 1;
	uint32_t at = packet_dccp_service(type);

	if (type == DCCP_T_REQUEST || type == DCCP_T_RESPONSE ||
	    type == DCCP_T_LISTEN) {
		CU_ASSERT_EQUAL(packet_get32(packet_l4(after) + at),
				DCCP_SERVICE);
	}
}

static void test_req_11(void)
{
	every_packet(check_checksum);
}

static void test_req_12(void)
{
	every_packet(check_coverage);
}

static void test_req_13(void)
{
	every_packet(check_service);
}

static const struct requirement table[] = {
	{ "RFC5597 REQ-1", "MUST", "all peers see one outside socket",
	  test_req_1, NULL },
	{ "RFC5597 REQ-2 client", "MUST",
	  "all that a connection from inside may say passes, whatever the "
	  "filter",
	  test_req_2_client, NULL },
	{ "RFC5597 REQ-2 server", "MUST",
	  "a server inside opens by Listen, the Request then passes",
	  test_req_2_server, NULL },
	{ "RFC5597 REQ-2 simultaneous", "MUST",
	  "a Listen that crosses the Request passes", test_req_2_simultaneous,
	  NULL },
	{ "RFC5597 REQ-3", "REC",
	  "filtering is address-dependent, or endpoint-independent as set",
	  test_req_3, NULL },
	{ "RFC5597 REQ-4", "MUST",
	  "an unsolicited Listen or Sync is met with silence for 6 s at least",
	  test_req_4, NULL },
	{ "RFC5597 REQ-5 established", "MUST",
	  "an idle connection lives 124 minutes", test_req_5_established,
	  NULL },
	{ "RFC5597 REQ-5 closing", "MUST",
	  "an opening or closing connection lives 4 minutes",
	  test_req_5_closing, NULL },
	{ "RFC5597 REQ-6", "MUST NOT",
	  "no payload is looked at or changed, whatever its port", test_req_6,
	  NULL },
	{ "RFC5597 REQ-7", "MUST NOT",
	  "two inside sockets never share an outside socket", test_req_7,
	  NULL },
	{ "RFC5597 REQ-8", "MUST",
	  "a hairpinned packet shows the sender's outside socket", test_req_8,
	  NULL },
	{ "RFC5597 REQ-9", "SHOULD",
	  "every destination unreachable is translated, both ways", test_req_9,
	  NULL },
	{ "RFC5597 REQ-10", "MUST NOT", "no ICMP ends or shortens a session",
	  test_req_10, NULL },
	{ "RFC5597 REQ-11", "MUST",
	  "a valid checksum stays valid, whatever it covers", test_req_11,
	  NULL },
	{ "RFC5597 REQ-12", "MUST NOT", "the checksum coverage is not changed",
	  test_req_12, NULL },
	{ "RFC5597 REQ-13", "MUST NOT", "the service code is not changed",
	  test_req_13, NULL },
};

int main(int argc, char **argv)
{
	return requirement_run("rfc5597", table, COUNT(table), argc, argv);
}
