/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Behave 16: UDP-Lite (RFC 3828) and its pool; and for all the protocols beside
 * TCP, UDP and ICMP: fragments, and checksums that a local sender left to its
 * device.
 */
#include "bench.h"
#include "tests/unit/tagged_lab.h"

static const struct flow out = { INSIDE_1, 5000, PEER_1, 7000 };

static struct nat_result udplite(struct engine *engine, enum nat_path path,
				 struct flow flow)
{
	packet_udplite(&engine->packet, flow, 8, 20);
	return engine_run(engine, path);
}

static uint16_t open_lite(struct engine *engine, struct flow flow)
{
	if (udplite(engine, NAT_PATH_OUTBOUND, flow).verdict != NAT_TRANSLATED)
		return 0;
	return packet_flow(&engine->packet).sport;
}

static void open_dccp(struct engine *engine, struct flow flow)
{
	packet_dccp(&engine->packet, flow, (struct dccp){ .type = 0 });
	ASSERT_TRANSLATED(engine_run(engine, NAT_PATH_OUTBOUND));
}

/* An engine whose mappings all get the port 40000. */
static void make_narrow(struct engine *engine)
{
	engine_make(engine);
	engine_pool(&engine->config, 40000, 40000);
	engine_configure(engine);
}

/* --- UDP-Lite ----------------------------------------------------------- */

static void test_coverage(void)
{
	struct engine engine;

	make_narrow(&engine);
	open_lite(&engine, out);
	for (uint16_t coverage = 0; coverage <= 48; coverage++)
		for (int in = 0; in < 2; in++) {
			if (coverage > 0 && coverage < 8)
				continue;
			packet_udplite(
				&engine.packet,
				in ? flow_of(PEER_1, 7000, UPLINK, 40000) : out,
				coverage, 40);
			ASSERT_TRANSLATED(
				engine_run(&engine, in ? NAT_PATH_INBOUND :
							 NAT_PATH_OUTBOUND));
			CU_ASSERT_EQUAL(
				packet_get16(packet_l4(&engine.packet) + 4),
				coverage);
			CU_ASSERT_PTR_NULL(packet_wrong(engine.packet.data,
							engine.packet.length));
		}
	engine_free(&engine);
}

/* 3.1: 1 to 7 covers no header, more than there is cannot be. */
static void test_bad_coverage(void)
{
	struct engine engine;

	engine_make(&engine);
	for (uint16_t coverage = 1; coverage < 100; coverage++) {
		packet_udplite(&engine.packet, out, 8, 40);
		packet_put16(packet_l4(&engine.packet) + 4, coverage);
		if (coverage >= 8 && coverage <= 48)
			continue;
		ASSERT_DROPPED(engine_run(&engine, NAT_PATH_OUTBOUND),
			       NAT_DROP_MALFORMED);
	}
	packet_udplite(&engine.packet, out, 8, 40);
	packet_put16(packet_l4(&engine.packet) + 6, 0);
	ASSERT_DROPPED(engine_run(&engine, NAT_PATH_OUTBOUND),
		       NAT_DROP_MALFORMED);
	packet_udplite(&engine.packet, out, 8, 40);
	packet_l4(&engine.packet)[7] ^= 1;
	ASSERT_DROPPED(engine_run(&engine, NAT_PATH_OUTBOUND),
		       NAT_DROP_BAD_CHECKSUM);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 0);
	engine_free(&engine);
}

/* Over all values of one covered word, one gives a computed 0: 0xffff. */
static void test_never_zero(void)
{
	struct engine engine;
	unsigned all_ones = 0;

	make_narrow(&engine);
	engine.unproven = true;
	open_lite(&engine, out);
	for (uint32_t word = 0; word < 0x10000; word++) {
		uint8_t *l4 = packet_l4(&engine.packet);
		uint16_t sum;

		packet_udplite(&engine.packet, out, 10, 2);
		packet_put16(l4 + 6, 0);
		packet_put16(l4 + 8, (uint16_t)word);
		sum = (uint16_t)~packet_sum(packet_pseudo(&engine.packet), l4,
					    10);
		packet_put16(l4 + 6, sum ? sum : 0xffff);
		ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
		CU_ASSERT_NOT_EQUAL(packet_checksum(&engine.packet), 0);
		all_ones += packet_checksum(&engine.packet) == 0xffff;
	}
	CU_ASSERT_TRUE(all_ones >= 1);
	engine_free(&engine);
}

static void test_lite_timer(void)
{
	struct engine engine;

	engine_make(&engine);
	open_lite(&engine, out);
	bench_later(&engine, 300 * SECOND - 1);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 1);
	bench_later(&engine, 1);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 0);
	/* Like UDP's, its port rests (RFC 6888 REQ-8). */
	CU_ASSERT_EQUAL(engine_stats(&engine).ports[NAT_POOL_UDP].held, 1);
	engine_free(&engine);
}

static void test_lite_hairpin(void)
{
	struct engine engine;
	uint16_t port;

	engine_make(&engine);
	port = open_lite(&engine, out);
	packet_udplite(&engine.packet, flow_of(INSIDE_2, 6000, UPLINK, port),
		       12, 20);
	ASSERT_TRANSLATED(bench_hairpin(&engine));
	ASSERT_FLOW(&engine, UPLINK, 6000, INSIDE_1, 5000);
	CU_ASSERT_PTR_NULL(
		packet_wrong(engine.packet.data, engine.packet.length));
	packet_udplite(&engine.packet, flow_of(INSIDE_1, 5000, UPLINK, 6000), 0,
		       20);
	ASSERT_TRANSLATED(bench_hairpin(&engine));
	ASSERT_FLOW(&engine, UPLINK, port, INSIDE_2, 6000);
	engine_free(&engine);
}

/* --- the shared pools --------------------------------------------------- */

static void test_pools_shared(void)
{
	struct engine engine;

	make_narrow(&engine);
	CU_ASSERT_EQUAL(open_lite(&engine, out), 40000);
	CU_ASSERT_TRUE(told(engine_udp(&engine, NAT_PATH_OUTBOUND, out),
			    NAT_DROP_NO_PORT));
	/* A UDP packet to that port is not UDP-Lite's. */
	ASSERT_DROPPED(engine_udp(&engine, NAT_PATH_INBOUND,
				  flow_of(PEER_1, 7000, UPLINK, 40000)),
		       NAT_DROP_NO_MAPPING);
	ASSERT_TRANSLATED(udplite(&engine, NAT_PATH_INBOUND,
				  flow_of(PEER_1, 7000, UPLINK, 40000)));
	ASSERT_FLOW(&engine, PEER_1, 7000, INSIDE_1, 5000);
	/* TCP's pool is another one; DCCP is in it. */
	open_dccp(&engine, out);
	CU_ASSERT_EQUAL(engine_tcp(&engine, NAT_PATH_OUTBOUND, out, SYN).drop,
			NAT_DROP_NO_PORT);
	engine_free(&engine);
}

/* A forward takes the port (design 6): from whatever protocol has it. */
static void test_forward_takes(void)
{
	static const struct nat_forward forwards[] = {
		{ .name = "udp",
		  .proto = NAT_PROTO_UDP,
		  .outside_first = 40000,
		  .outside_last = 40000,
		  .inside_addr = INSIDE_2,
		  .inside_first = 53 },
		{ .name = "tcp",
		  .proto = NAT_PROTO_TCP,
		  .outside_first = 40000,
		  .outside_last = 40000,
		  .inside_addr = INSIDE_2,
		  .inside_first = 80 },
	};
	struct flow in = flow_of(PEER_1, 7000, UPLINK, 40000);
	struct engine engine;

	make_narrow(&engine);
	open_lite(&engine, out);
	open_dccp(&engine, out);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 2);
	engine.config.forwards = forwards;
	engine.config.forward_count = 2;
	CU_ASSERT_EQUAL(engine_configure(&engine), 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 2);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 0);
	ASSERT_TRANSLATED(engine_udp(&engine, NAT_PATH_INBOUND, in));
	ASSERT_FLOW(&engine, PEER_1, 7000, INSIDE_2, 53);
	ASSERT_TRANSLATED(engine_tcp(&engine, NAT_PATH_INBOUND, in, SYN));
	ASSERT_FLOW(&engine, PEER_1, 7000, INSIDE_2, 80);
	ASSERT_DROPPED(udplite(&engine, NAT_PATH_INBOUND, in),
		       NAT_DROP_NO_MAPPING);
	CU_ASSERT_EQUAL(open_lite(&engine, out), 0); /* the port is gone */
	/* And gives it back when it has rested. */
	engine.config.forward_count = 0;
	engine_configure(&engine);
	CU_ASSERT_EQUAL(open_lite(&engine, out), 0);
	engine.now += 120 * SECOND;
	CU_ASSERT_EQUAL(open_lite(&engine, out), 40000);
	engine_free(&engine);
}

/* --- fragments ---------------------------------------------------------- */

enum shape { LITE, DCCP, TAGGED };
#define SHAPES (TAGGED + KINDS)

/* A datagram of 48 bytes and more on the session of open_shape(). */
static void build_shape(struct packet *packet, int shape, bool in)
{
	struct flow flow = in ? flow_of(PEER_1, 7000, UPLINK, 5000) : out;

	if (shape == LITE)
		packet_udplite(packet, flow, 0, 60);
	else if (shape == DCCP)
		packet_dccp(packet, flow,
			    (struct dccp){ .type = DCCP_T_DATA, .bytes = 60 });
	else
		kind_packet(packet, (enum kind)(shape - TAGGED), flow,
			    in ? in_tag((enum kind)(shape - TAGGED), 1) :
				 OUT_TAG(1));
	packet_put16(packet->data + 4, 0x4321);
	packet_set_fragment(packet, 0);
}

static void open_shape(struct engine *engine, int shape)
{
	engine_make(engine);
	if (shape == LITE)
		open_lite(engine, out);
	else if (shape == DCCP)
		open_dccp(engine, out);
	else
		open_n(engine, (enum kind)(shape - TAGGED), INSIDE_1, PEER_1,
		       1);
}

static void check_fragments(int shape, bool in, bool reverse)
{
	enum nat_path path = in ? NAT_PATH_INBOUND : NAT_PATH_OUTBOUND;
	struct packet whole, pieces[2], left[2];
	struct engine engine;

	open_shape(&engine, shape);
	build_shape(&whole, shape, in);
	bench_split(&whole, 32, &pieces[0], &pieces[1]);
	if (reverse) {
		engine.packet = pieces[1];
		CU_ASSERT_EQUAL(engine_run(&engine, path).verdict,
				NAT_CONSUMED);
	}
	engine.packet = pieces[0];
	ASSERT_TRANSLATED(engine_run(&engine, path));
	left[0] = engine.packet;
	if (reverse) {
		CU_ASSERT_EQUAL(bench_outputs(&engine, &left[1]), 1);
	} else {
		engine.packet = pieces[1];
		ASSERT_TRANSLATED(engine_run(&engine, path));
		left[1] = engine.packet;
	}
	CU_ASSERT_PTR_NULL(bench_join(&left[0], &left[1]));
	CU_ASSERT_EQUAL(packet_flow(&left[0]).dst, in ? INSIDE_1 : PEER_1);
	CU_ASSERT_EQUAL(packet_flow(&left[0]).src, in ? PEER_1 : UPLINK);
	engine_free(&engine);
}

static void test_fragments(void)
{
	for (int shape = 0; shape < SHAPES; shape++)
		for (int i = 0; i < 4; i++)
			check_fragments(shape, i & 1, i & 2);
}

/* RFC 1858: the first fragment holds what tells whose it is. */
static void test_tiny(void)
{
	static const uint32_t needed[SHAPES] = { 8, 12, 16, 8, 8, 8 };

	for (int shape = 0; shape < SHAPES; shape++) {
		struct packet whole, second;
		struct engine engine;

		open_shape(&engine, shape);
		build_shape(&whole, shape, false);
		for (uint32_t at = 0; at <= 24; at += 8) {
			struct nat_result result;

			bench_split(&whole, at, &engine.packet, &second);
			result = engine_run(&engine, NAT_PATH_OUTBOUND);
			CU_ASSERT_EQUAL(result.drop, at < needed[shape] ?
							     NAT_DROP_FRAGMENT :
							     NAT_DROP_NONE);
		}
		engine_free(&engine);
	}
}

/* --- partial checksums -------------------------------------------------- */

static void test_partial(void)
{
	for (int shape = 0; shape <= DCCP; shape++)
		for (int in = 0; in < 2; in++)
			for (uint16_t coverage = 0; coverage < 5; coverage++) {
				struct engine engine;

				open_shape(&engine, shape);
				build_shape(&engine.packet, shape, in);
				if (shape == LITE)
					packet_put16(
						packet_l4(&engine.packet) + 4,
						coverage ? coverage * 9 : 0);
				else
					packet_l4(&engine.packet)[5] =
						(uint8_t)coverage;
				packet_make_partial(&engine.packet);
				engine.checksum = NAT_CHECKSUM_PARTIAL;
				ASSERT_TRANSLATED(engine_run(
					&engine, in ? NAT_PATH_INBOUND :
						      NAT_PATH_OUTBOUND));
				CU_ASSERT_PTR_NULL(
					packet_wrong(engine.packet.data,
						     engine.packet.length));
				engine_free(&engine);
			}
}

/* SCTP: the device was to write the CRC32c, the field holds anything. */
static void test_partial_sctp(void)
{
	struct engine engine;

	engine_make(&engine);
	engine.checksum = NAT_CHECKSUM_PARTIAL;
	for (int in = 0; in < 2; in++) {
		packet_sctp_init(&engine.packet,
				 in ? flow_of(PEER_1, 7000, UPLINK, 5000) : out,
				 (struct sctp_init){ .ack = in,
						     .tag = in ? 1 : 0,
						     .declared = 1 });
		packet_put32(packet_l4(&engine.packet) + 8, 0x12345678);
		ASSERT_TRANSLATED(engine_run(&engine, in ? NAT_PATH_INBOUND :
							   NAT_PATH_OUTBOUND));
		CU_ASSERT_PTR_NULL(
			packet_wrong(engine.packet.data, engine.packet.length));
	}
	engine_free(&engine);
}

/* GRE: what was left is inside. With the tunnel's own checksum, which counts
 * on it (the kernel's local checksum offload). */
static void check_partial_gre(bool tcp, struct gre gre)
{
	struct flow flow = flow_of(0x0a000001, 80, 0x0a000002, 81);
	struct packet inner;
	struct engine engine;
	uint8_t *at;

	engine_make(&engine);
	if (tcp)
		packet_tcp(&inner, flow, (struct segment){ .bytes = 33 });
	else
		packet_udp(&inner, flow, NULL, 33);
	gre.protocol = 0x0800;
	gre.payload = inner.data;
	gre.bytes = inner.length;
	packet_gre(&engine.packet, INSIDE_1, PEER_1, gre);
	at = engine.packet.data + engine.packet.length - inner.length;
	packet_make_partial(&inner);
	memcpy(at, inner.data, inner.length);
	engine.checksum = NAT_CHECKSUM_PARTIAL;
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	CU_ASSERT_PTR_NULL(packet_wrong(at, inner.length));
	if (gre.checksum) {
		CU_ASSERT_EQUAL(packet_sum(0, packet_l4(&engine.packet),
					   engine.packet.length - PACKET_IP),
				0xffff);
	}
	engine_free(&engine);
}

static void test_partial_gre(void)
{
	for (int i = 0; i < 16; i++)
		check_partial_gre(i & 8, (struct gre){ .checksum = i & 1,
						       .keyed = i >> 1 & 1,
						       .sequenced = i >> 2 & 1,
						       .key = 7 });
}

static const struct requirement table[] = {
	{ "RFC3828 3.1 coverage", "MUST NOT",
	  "UDP-Lite's coverage is not changed, its checksum stays valid",
	  test_coverage, NULL },
	{ "RFC3828 3.1 valid", "MUST",
	  "a coverage or checksum that cannot be opens nothing",
	  test_bad_coverage, NULL },
	{ "RFC3828 3.1 zero", "MUST NOT", "a UDP-Lite checksum never becomes 0",
	  test_never_zero, NULL },
	{ "BEHAVE 16 UDP-Lite timer", "MUST",
	  "UDP-Lite has UDP's timer and hold time", test_lite_timer, NULL },
	{ "BEHAVE 16 UDP-Lite hairpin", "MUST",
	  "a hairpinned UDP-Lite packet shows the sender's outside socket",
	  test_lite_hairpin, NULL },
	{ "BEHAVE 16 pools", "ENG",
	  "UDP-Lite and DCCP share the pools of UDP and TCP, not their "
	  "mappings",
	  test_pools_shared, NULL },
	{ "BEHAVE 16 forward", "ENG",
	  "a forward takes its port from UDP-Lite and DCCP as well",
	  test_forward_takes, NULL },
	{ "BEHAVE 7 fragments", "MUST",
	  "fragments of every protocol arrive whole, in either order",
	  test_fragments, NULL },
	{ "RFC1858 other protocols", "MUST",
	  "a first fragment without its ports or tag is refused", test_tiny,
	  NULL },
	{ "BEHAVE 20 partial", "MUST",
	  "a partial checksum of UDP-Lite and DCCP is made complete",
	  test_partial, NULL },
	{ "BEHAVE 20 partial SCTP", "MUST",
	  "a CRC32c that was left to the device is computed", test_partial_sctp,
	  NULL },
	{ "BEHAVE 20 partial GRE", "MUST",
	  "a partial checksum inside GRE is made complete", test_partial_gre,
	  NULL },
};

int main(int argc, char **argv)
{
	return requirement_run("behave_protocols", table, COUNT(table), argc,
			       argv);
}
