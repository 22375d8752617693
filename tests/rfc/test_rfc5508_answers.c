/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * RFC 5508 (BCP 148) from REQ-7 on: hairpinned errors, what a refused host is
 * told, and what becomes of the other ICMP messages.
 */
#include <string.h>

#include "bench.h"
#include "tests/unit/error_lab.h"

static const struct flow flow_2 = { INSIDE_2, 6000, PEER_1, 7000 };

/* --- hairpin ---------------------------------------------------------------- */

/* INSIDE_1:5000 sends to INSIDE_2:6000's outside port; the lab knows the packet
 * as its sender and as its receiver saw it. */
static void hairpinned(struct lab *lab)
{
	struct engine *engine = &lab->engine;
	uint16_t port;

	engine_make(engine);
	engine_pool(&engine->config, 40000, 40001);
	engine_configure(engine);
	port = engine_open(engine, NAT_PROTO_UDP, flow_2);
	packet_udp(&lab->inside, flow_of(INSIDE_1, 5000, UPLINK, port), NULL,
		   40);
	engine->packet = lab->inside;
	ASSERT_TRANSLATED(bench_hairpin(engine));
	lab->outside = engine->packet;
	ASSERT_FLOW(engine, UPLINK, 40000 + (port == 40000), INSIDE_2, 6000);
}

static void req_7(void)
{
	struct error error = {
		.src = INSIDE_2, .dst = UPLINK, .type = 3, .code = 3
	};
	struct lab lab;

	hairpinned(&lab);
	error.bytes = lab.outside.length;
	packet_error(&lab.engine.packet, error, &lab.outside);
	ASSERT_TRANSLATED(bench_hairpin(&lab.engine));
	quotes(lab.engine.packet.data, &lab.inside, lab.inside.length);
	engine_free(&lab.engine);
}

static void req_7a(void)
{
	struct error error = {
		.src = INNER_ROUTER, .dst = UPLINK, .type = 11, .code = 0
	};
	struct lab lab;

	hairpinned(&lab);
	packet_error(&lab.engine.packet, error, &lab.outside);
	ASSERT_TRANSLATED(bench_hairpin(&lab.engine));
	CU_ASSERT_EQUAL(packet_flow(&lab.engine.packet).src, UPLINK);
	CU_ASSERT_EQUAL(packet_flow(&lab.engine.packet).dst, INSIDE_1);
	CU_ASSERT_EQUAL(lab.engine.packet.data[PACKET_IP], 11);
	engine_free(&lab.engine);
}

/* --- refusals --------------------------------------------------------------- */

/* One port: the first flow has it, the second is refused. */
static struct nat_result refused(struct engine *engine, uint8_t code)
{
	engine_make(engine);
	engine->config.refuse_code = code;
	engine_pool(&engine->config, 40000, 40000);
	engine_configure(engine);
	CU_ASSERT_EQUAL(engine_open(engine, NAT_PROTO_UDP, out), 40000);
	return engine_udp(engine, NAT_PATH_OUTBOUND, flow_2);
}

static void req_8(void)
{
	static const uint8_t codes[] = { 13, 1 };

	for (size_t i = 0; i < 2; i++) {
		struct nat_result result;
		struct engine engine;
		struct packet sent_packet;

		packet_udp(&sent_packet, flow_2, NULL, 11);
		result = refused(&engine, codes[i]);
		ASSERT_DROPPED(result, NAT_DROP_NO_PORT);
		CU_ASSERT_PTR_NOT_NULL_FATAL(result.answer);
		CU_ASSERT_EQUAL(packet_get32(result.answer + 16), INSIDE_2);
		CU_ASSERT_EQUAL(result.answer[20], 3);
		CU_ASSERT_EQUAL(result.answer[21], codes[i]);
		CU_ASSERT_EQUAL(memcmp(result.answer + 28, sent_packet.data,
				       sent_packet.length),
				0);
		/* Nothing was taken from the flow that lives. */
		ASSERT_TRANSLATED(engine_answer(&engine, NAT_PROTO_UDP, PEER_1,
						7000, 40000));
		ASSERT_FLOW(&engine, PEER_1, 7000, INSIDE_1, 5000);
		engine_free(&engine);
	}
}

/* --- REQ-10 ------------------------------------------------------------------- */

static void mtu_passes(void)
{
	struct error error = from_outside(3, 4);
	struct lab lab;

	error.rest = 1300;
	sent(&lab, NAT_PROTO_TCP, 0);
	ASSERT_TRANSLATED(
		complain(&lab, NAT_PATH_INBOUND, error, &lab.outside));
	CU_ASSERT_EQUAL(packet_get32(lab.engine.packet.data + 24), 1300);
	engine_free(&lab.engine);
}

/* What the kernel raised about a packet we had delivered (TTL over, inside MTU,
 * host gone) leaves as if we had never translated it. */
static void own_errors_restored(void)
{
	static const uint8_t raised[][2] = { { 11, 0 }, { 3, 4 }, { 3, 1 } };

	for (size_t i = 0; i < 3; i++) {
		struct error error = { .src = UPLINK,
				       .dst = PEER_1,
				       .type = raised[i][0],
				       .code = raised[i][1] };
		struct lab lab;

		answered(&lab, NAT_PROTO_UDP, 0);
		error.bytes = lab.inside.length;
		ASSERT_TRANSLATED(
			complain(&lab, NAT_PATH_ERROR_OUT, error, &lab.inside));
		CU_ASSERT_EQUAL(packet_flow(&lab.engine.packet).src, UPLINK);
		quotes(lab.engine.packet.data, &lab.outside,
		       lab.outside.length);
		engine_free(&lab.engine);
	}
}

static void req_10a(void)
{
	struct engine engine;

	mtu_passes();
	own_errors_restored();
	/* Who pings the gateway is answered by the gateway. */
	engine_make(&engine);
	ASSERT_UNTOUCHED(engine_icmp(&engine, NAT_PATH_INBOUND,
				     flow_of(PEER_1, 9, UPLINK, 9), 8));
	ASSERT_UNTOUCHED(engine_icmp(&engine, NAT_PATH_HAIRPIN_IN,
				     flow_of(INSIDE_1, 9, UPLINK, 9), 8));
	engine_free(&engine);
}

/* Neither reaches an inside host from outside nor leaves from inside. */
static void stays_here(uint8_t type)
{
	struct engine engine;

	engine_make(&engine);
	CU_ASSERT_NOT_EQUAL(engine_open(&engine, NAT_PROTO_ICMP,
					flow_of(INSIDE_1, 5000, PEER_1, 5000)),
			    0);
	ASSERT_UNTOUCHED(engine_icmp(&engine, NAT_PATH_INBOUND,
				     flow_of(PEER_1, 5000, UPLINK, 5000),
				     type));
	ASSERT_DROPPED(engine_icmp(&engine, NAT_PATH_OUTBOUND,
				   flow_of(INSIDE_1, 5000, PEER_1, 5000), type),
		       NAT_DROP_UNSUPPORTED);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 1);
	engine_free(&engine);
}

static void req_10b(void)
{
	static const uint8_t types[] = { 5, 9, 10, 17, 18 };

	for (size_t i = 0; i < sizeof(types); i++)
		stays_here(types[i]);
}

static void req_10c(void)
{
	static const uint8_t types[] = { 4, 15, 16 };

	for (size_t i = 0; i < sizeof(types); i++)
		stays_here(types[i]);
}

static void req_11(void)
{
	for (uint32_t type = 19; type < 256; type++)
		stays_here((uint8_t)type);
}

static void req_10d(void)
{
	struct engine engine;
	struct nat_result result;

	engine_make(&engine);
	engine.config.host_mappings = 0;
	for (uint32_t tos = 0; tos < 256; tos += 4) {
		engine.now += SECOND;
		packet_udp(&engine.packet, out, NULL, 11);
		engine.packet.data[1] = (uint8_t)tos;
		packet_fix_ip(&engine.packet);
		result = engine_run(&engine, NAT_PATH_OUTBOUND);
		CU_ASSERT_PTR_NOT_NULL_FATAL(result.answer);
		CU_ASSERT_EQUAL(result.answer[1] & 0xfc, tos);
	}
	engine_free(&engine);
}

static void unanswered(struct engine *engine)
{
	struct nat_result result = engine_run(engine, NAT_PATH_OUTBOUND);

	CU_ASSERT_EQUAL(result.verdict, NAT_DROPPED);
	CU_ASSERT_EQUAL(result.answer_length, 0);
}

/* RFC 1812 4.3.2.7, for packets that would all be refused. */
static void req_10e(void)
{
	struct engine engine;
	struct packet about;

	engine_make(&engine);
	engine.config.host_mappings = 0;
	packet_udp(&about, flow_of(PEER_1, 7000, INSIDE_1, 5000), NULL, 11);
	packet_error(&engine.packet, from_inside(3, 3), &about);
	unanswered(&engine);
	packet_udp(&engine.packet, flow_of(INSIDE_1, 5000, 0xffffffff, 7000),
		   NULL, 11);
	unanswered(&engine);
	packet_udp(&engine.packet, flow_of(INSIDE_1, 5000, 0xe0000001, 7000),
		   NULL, 11);
	unanswered(&engine);
	packet_udp(&engine.packet, flow_of(0x7f000001, 5000, PEER_1, 7000),
		   NULL, 11);
	unanswered(&engine);
	packet_udp(&engine.packet, out, NULL, 11);
	engine.packet.data[10] ^= 1; /* the header checksum */
	unanswered(&engine);
	ASSERT_DROPPED(engine_udp(&engine, NAT_PATH_OUTBOUND, out),
		       NAT_DROP_HOST_QUOTA);
	engine_free(&engine);
}

static uint32_t answers(struct engine *engine, uint32_t hosts, uint32_t packets)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < hosts * packets; i++)
		count += engine_udp(engine, NAT_PATH_OUTBOUND,
				    flow_of(INSIDE_1 + i % hosts, 5000, PEER_1,
					    7000))
				 .answer_length != 0;
	return count;
}

/* `rate` a second, as many at once, asked for by so many hosts. */
static void limited(uint32_t hosts, uint32_t rate, uint32_t host_rate)
{
	struct engine engine;

	engine_make(&engine);
	engine.config.host_mappings = 0;
	engine.config.host_icmp_per_second = host_rate;
	CU_ASSERT_EQUAL(answers(&engine, hosts, 100), rate);
	engine.now += 1000 / rate - 1;
	CU_ASSERT_EQUAL(answers(&engine, hosts, 2), 0);
	engine.now += 1;
	CU_ASSERT_EQUAL(answers(&engine, hosts, 2), 1);
	engine.now += SECOND;
	CU_ASSERT_EQUAL(answers(&engine, hosts, 100), rate);
	engine_free(&engine);
}

static void req_10f(void)
{
	limited(8, 100, 1000);
}

static void req_10f_host(void)
{
	limited(1, 10, 10);
}

/* REQ-9: the operator may want none. */
static void req_9(void)
{
	struct engine engine;

	engine_make(&engine);
	engine.config.host_mappings = 0;
	engine.config.icmp_per_second = 0;
	CU_ASSERT_EQUAL(answers(&engine, 1, 5), 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).drops[NAT_DROP_HOST_QUOTA], 5);
	engine_free(&engine);
}

static const struct requirement table[] = {
	{ "RFC5508 REQ-7", "MUST", "an error about a hairpinned packet arrives",
	  req_7, NULL },
	{ "RFC5508 REQ-7a", "MUST",
	  "it goes to the translated quoted source, from our address", req_7a,
	  NULL },
	{ "RFC5508 REQ-8", "SHOULD",
	  "who is refused for want of room is told 3/13 (or 3/1), none evicted",
	  req_8, NULL },
	{ "RFC5508 REQ-10a", "MUST",
	  "types 3 and 11 cross both ways; the gateway answers its own pings",
	  req_10a, NULL },
	{ "RFC5508 REQ-10b", "MAY",
	  "redirects, router discovery and masks do not cross", req_10b, NULL },
	{ "RFC5508 REQ-10c", "SHOULD NOT",
	  "source quench and information messages do not cross", req_10c,
	  NULL },
	{ "RFC5508 REQ-10d", "SHOULD",
	  "a generated error has the class of its offender", req_10d, NULL },
	{ "RFC5508 REQ-10e", "SHOULD",
	  "no error about errors, broadcasts, martians, bad headers", req_10e,
	  NULL },
	{ "RFC5508 REQ-10f", "SHOULD",
	  "generated errors are limited to 100 a second", req_10f, NULL },
	{ "RFC5508 REQ-10f", "REC",
	  "generated errors are limited to 10 a second for one host",
	  req_10f_host, NULL },
	{ "RFC5508 REQ-9", "MAY", "generated errors can be switched off", req_9,
	  NULL },
	{ "RFC5508 REQ-11", "MAY", "unknown ICMP types do not cross", req_11,
	  NULL },
};

int main(int argc, char **argv)
{
	return requirement_run("rfc5508", table,
			       sizeof(table) / sizeof(table[0]), argc, argv);
}
