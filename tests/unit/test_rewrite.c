/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Checksums in all three states a packet can come in, and that nothing but
 * addresses, ports and checksums changes. The engine's door (engine.c) judges
 * every translated packet as well.
 */
#include <string.h>

#include "engine.h"
#include "suite.h"

static const struct flow out = { INSIDE_1, 5000, PEER_1, 7000 };

/* Another port than its own for the inside socket. */
static void crowded(struct engine *engine)
{
	engine_make(engine);
	engine_pool(&engine->config, 40000, 40000);
	engine_configure(engine);
}

static void build(struct packet *packet, uint8_t proto, struct flow flow,
		  uint16_t bytes)
{
	if (proto == NAT_PROTO_UDP)
		packet_udp(packet, flow, NULL, bytes);
	else
		packet_tcp(packet, flow,
			   (struct segment){ .flags = SYN,
					     .window = 512,
					     .bytes = bytes });
}

/* --- complete sums ------------------------------------------------------------ */

static void test_same_as_built(void)
{
	static const uint8_t protos[] = { NAT_PROTO_UDP, NAT_PROTO_TCP };

	for (size_t i = 0; i < sizeof(protos); i++)
		for (uint16_t bytes = 0; bytes < 40; bytes++) {
			struct engine engine;
			struct packet expected;

			crowded(&engine);
			build(&engine.packet, protos[i], out, bytes);
			ASSERT_TRANSLATED(
				engine_run(&engine, NAT_PATH_OUTBOUND));
			build(&expected, protos[i],
			      flow_of(UPLINK, 40000, PEER_1, 7000), bytes);
			CU_ASSERT_TRUE(packet_same(&engine.packet, &expected));
			build(&engine.packet, protos[i],
			      flow_of(PEER_1, 7000, UPLINK, 40000), bytes);
			ASSERT_TRANSLATED(
				engine_run(&engine, NAT_PATH_INBOUND));
			build(&expected, protos[i], flow_back(out), bytes);
			CU_ASSERT_TRUE(packet_same(&engine.packet, &expected));
			engine_free(&engine);
		}
}

static void test_query_as_built(void)
{
	struct engine engine;
	struct packet expected;

	crowded(&engine);
	packet_icmp(&engine.packet, out, 8, 33);
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	packet_icmp(&expected, flow_of(UPLINK, 40000, PEER_1, 0), 8, 33);
	CU_ASSERT_TRUE(packet_same(&engine.packet, &expected));
	packet_icmp(&engine.packet, flow_of(PEER_1, 40000, UPLINK, 0), 0, 33);
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_INBOUND));
	packet_icmp(&expected, flow_of(PEER_1, 5000, INSIDE_1, 0), 0, 33);
	CU_ASSERT_TRUE(packet_same(&engine.packet, &expected));
	engine_free(&engine);
}

static void test_vectors(void)
{
	struct engine engine;

	/* The same datagram leaves by 40000 and, in another pool, by 21852. */
	crowded(&engine);
	packet_udp(&engine.packet, flow_of(INSIDE_1, 5000, 0xc6336435, 53),
		   "hello", 5);
	CU_ASSERT_EQUAL(packet_checksum(&engine.packet), 0xbc29);
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	CU_ASSERT_EQUAL(packet_checksum(&engine.packet), 0xb91b);
	CU_ASSERT_EQUAL(packet_get16(engine.packet.data + 10), 0xc227);
	engine_pool(&engine.config, 21852, 21852);
	engine_configure(&engine);
	packet_udp(&engine.packet, flow_of(INSIDE_1, 5000, 0xc6336435, 53),
		   "hello", 5);
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	/* Computed 0x0000, which would say "none": sent as 0xffff. */
	CU_ASSERT_EQUAL(packet_flow(&engine.packet).sport, 21852);
	CU_ASSERT_EQUAL(packet_checksum(&engine.packet), 0xffff);
	engine_free(&engine);
}

static void test_tcp_zero(void)
{
	struct engine engine;

	/* TCP has no such meaning for 0: choose the sequence number so that the
	 * sum after translation is 0x0000 or 0xffff, which are equal. */
	crowded(&engine);
	packet_tcp(&engine.packet, flow_of(UPLINK, 40000, PEER_1, 7000),
		   (struct segment){ .flags = SYN });
	packet_tcp(&engine.packet, out,
		   (struct segment){ .flags = SYN,
				     .seq = packet_checksum(&engine.packet) });
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	CU_ASSERT_EQUAL(packet_checksum(&engine.packet), 0x0000);
	engine_free(&engine);
}

static void test_no_checksum(void)
{
	struct engine engine;

	crowded(&engine);
	packet_udp(&engine.packet, out, NULL, 20);
	packet_put16(packet_l4(&engine.packet) + 6, 0);
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	CU_ASSERT_EQUAL(packet_checksum(&engine.packet), 0);
	packet_udp(&engine.packet, flow_of(PEER_1, 7000, UPLINK, 40000), NULL,
		   1);
	packet_put16(packet_l4(&engine.packet) + 6, 0);
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_INBOUND));
	CU_ASSERT_EQUAL(packet_checksum(&engine.packet), 0);
	engine_free(&engine);
}

static void test_wrong_stays_wrong(void)
{
	static const uint8_t protos[] = { NAT_PROTO_UDP, NAT_PROTO_TCP };

	for (size_t i = 0; i < sizeof(protos); i++) {
		struct engine engine;
		struct packet right;

		/* As wrong as before: the difference of the sums stays. */
		crowded(&engine);
		build(&engine.packet, protos[i], out, 20);
		ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
		build(&engine.packet, protos[i], out, 20);
		engine.packet.data[engine.packet.length - 1] ^= 0x10;
		ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
		CU_ASSERT_PTR_NOT_NULL(
			packet_wrong(engine.packet.data, engine.packet.length));
		right = engine.packet;
		right.data[right.length - 1] ^= 0x10;
		CU_ASSERT_PTR_NULL(packet_wrong(right.data, right.length));
		engine_free(&engine);
	}
}

static void test_first_fragment(void)
{
	struct engine engine;
	struct packet whole;

	/* It holds the checksum of the whole datagram, most of which is not
	 * there: the same change as for the whole one. */
	crowded(&engine);
	packet_udp(&engine.packet, out, NULL, 2000);
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	whole = engine.packet;
	packet_udp(&engine.packet, out, NULL, 2000);
	engine.packet.length = 20 + 1480;
	packet_put16(engine.packet.data + 2, 20 + 1480);
	packet_set_fragment(&engine.packet, 0x2000);
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	CU_ASSERT_EQUAL(packet_checksum(&engine.packet),
			packet_checksum(&whole));
	engine_free(&engine);
}

static void test_options(void)
{
	struct engine engine;

	crowded(&engine);
	packet_udp(&engine.packet, out, NULL, 21);
	packet_add_options(&engine.packet, 10);
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	ASSERT_FLOW(&engine, UPLINK, 40000, PEER_1, 7000);
	CU_ASSERT_PTR_NULL(
		packet_wrong(engine.packet.data, engine.packet.length));
	engine_free(&engine);
}

/* --- offload ------------------------------------------------------------------- */

static void test_partial(void)
{
	static const uint8_t protos[] = { NAT_PROTO_UDP, NAT_PROTO_TCP };

	for (size_t i = 0; i < sizeof(protos); i++)
		for (uint16_t bytes = 0; bytes < 24; bytes++) {
			struct engine engine;
			struct packet expected;

			crowded(&engine);
			engine.checksum = NAT_CHECKSUM_PARTIAL;
			build(&engine.packet, protos[i], out, bytes);
			packet_make_partial(&engine.packet);
			ASSERT_TRANSLATED(
				engine_run(&engine, NAT_PATH_OUTBOUND));
			build(&expected, protos[i],
			      flow_of(UPLINK, 40000, PEER_1, 7000), bytes);
			CU_ASSERT_TRUE(packet_same(&engine.packet, &expected));
			build(&engine.packet, protos[i],
			      flow_of(PEER_1, 7000, UPLINK, 40000), bytes);
			packet_make_partial(&engine.packet);
			ASSERT_TRANSLATED(
				engine_run(&engine, NAT_PATH_INBOUND));
			build(&expected, protos[i], flow_back(out), bytes);
			CU_ASSERT_TRUE(packet_same(&engine.packet, &expected));
			engine_free(&engine);
		}
}

static void test_partial_zero(void)
{
	struct engine engine;

	engine_make(&engine);
	engine_pool(&engine.config, 21852, 21852);
	engine_configure(&engine);
	engine.checksum = NAT_CHECKSUM_PARTIAL;
	packet_udp(&engine.packet, flow_of(INSIDE_1, 5000, 0xc6336435, 53),
		   "hello", 5);
	packet_make_partial(&engine.packet);
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	CU_ASSERT_EQUAL(packet_checksum(&engine.packet), 0xffff);
	engine_free(&engine);
}

static void test_gso(void)
{
	static const uint8_t protos[] = { NAT_PROTO_UDP, NAT_PROTO_TCP };

	/* The kernel cuts it later: the field must hold the pseudo-header sum
	 * of the new addresses, and nothing else. */
	for (size_t i = 0; i < sizeof(protos); i++) {
		struct engine engine;

		crowded(&engine);
		engine.checksum = NAT_CHECKSUM_GSO;
		build(&engine.packet, protos[i], out, 3000);
		packet_make_partial(&engine.packet);
		ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
		ASSERT_FLOW(&engine, UPLINK, 40000, PEER_1, 7000);
		CU_ASSERT_EQUAL(packet_checksum(&engine.packet) % 0xffff,
				packet_pseudo(&engine.packet) % 0xffff);
		build(&engine.packet, protos[i],
		      flow_of(PEER_1, 7000, UPLINK, 40000), 3000);
		packet_make_partial(&engine.packet);
		ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_INBOUND));
		ASSERT_FLOW(&engine, PEER_1, 7000, INSIDE_1, 5000);
		CU_ASSERT_EQUAL(packet_checksum(&engine.packet) % 0xffff,
				packet_pseudo(&engine.packet) % 0xffff);
		engine_free(&engine);
	}
}

static void test_query_offload(void)
{
	struct engine engine;
	struct packet expected;

	/* ICMP has no pseudo header: its sum is complete whatever is said. */
	crowded(&engine);
	engine.checksum = NAT_CHECKSUM_PARTIAL;
	packet_icmp(&engine.packet, out, 8, 20);
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	packet_icmp(&expected, flow_of(UPLINK, 40000, PEER_1, 0), 8, 20);
	CU_ASSERT_TRUE(packet_same(&engine.packet, &expected));
	engine_free(&engine);
}

/* --- both passes of a hairpin -------------------------------------------- */

/* INSIDE_1 speaks to the outside port 5000 of INSIDE_2:5000. */
static void turn(struct engine *engine, enum nat_checksum checksum,
		 uint16_t bytes)
{
	engine_make(engine);
	engine_open(engine, NAT_PROTO_UDP,
		    flow_of(INSIDE_2, 5000, PEER_1, 7000));
	engine->checksum = checksum;
	packet_udp(&engine->packet, flow_of(INSIDE_1, 6000, UPLINK, 5000), NULL,
		   bytes);
	packet_make_partial(&engine->packet);
	ASSERT_TRANSLATED(engine_run(engine, NAT_PATH_HAIRPIN_IN));
	/* What is complete now is complete on its second way. */
	if (checksum == NAT_CHECKSUM_PARTIAL)
		engine->checksum = NAT_CHECKSUM_COMPLETE;
	ASSERT_TRANSLATED(engine_run(engine, NAT_PATH_HAIRPIN_OUT));
	ASSERT_FLOW(engine, UPLINK, 6000, INSIDE_2, 5000);
}

static void test_hairpin_partial(void)
{
	struct engine engine;
	struct packet expected;

	turn(&engine, NAT_CHECKSUM_PARTIAL, 17);
	packet_udp(&expected, flow_of(UPLINK, 6000, INSIDE_2, 5000), NULL, 17);
	CU_ASSERT_TRUE(packet_same(&engine.packet, &expected));
	engine_free(&engine);
}

static void test_hairpin_gso(void)
{
	struct engine engine;

	turn(&engine, NAT_CHECKSUM_GSO, 2000);
	CU_ASSERT_EQUAL(packet_checksum(&engine.packet) % 0xffff,
			packet_pseudo(&engine.packet) % 0xffff);
	engine_free(&engine);
}

static const struct test tests[] = {
	{ "a translated packet is what it would be if built so",
	  test_same_as_built },
	{ "a translated query is what it would be if built so",
	  test_query_as_built },
	{ "the known datagram gets its known checksums", test_vectors },
	{ "a TCP checksum of 0 is sent as it is", test_tcp_zero },
	{ "a UDP checksum of 0 stays 0", test_no_checksum },
	{ "a wrong checksum stays exactly as wrong", test_wrong_stays_wrong },
	{ "a first fragment gets the whole datagram's checksum",
	  test_first_fragment },
	{ "options are kept", test_options },
	{ "a partial sum is made complete", test_partial },
	{ "a partial UDP sum of 0 is made 0xffff", test_partial_zero },
	{ "a super-packet keeps a pseudo-header sum", test_gso },
	{ "a query's sum is always complete", test_query_offload },
	{ "a partial sum is complete after both passes of a hairpin",
	  test_hairpin_partial },
	{ "a super-packet keeps a pseudo-header sum through both",
	  test_hairpin_gso },
};

int main(int argc, char **argv)
{
	return suite_run("rewrite", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
