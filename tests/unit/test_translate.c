/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The ways in and out: what is taken, what is left alone, what is refused.
 */
#include <string.h>

#include "engine.h"
#include "suite.h"

static const struct flow out = { INSIDE_1, 5000, PEER_1, 7000 };
static const struct flow in = { PEER_1, 7000, UPLINK, 5000 };

static void test_there_and_back(void)
{
	struct engine engine;
	struct nat_stats stats;

	engine_make(&engine);
	ASSERT_TRANSLATED(engine_udp(&engine, NAT_PATH_OUTBOUND, out));
	ASSERT_FLOW(&engine, UPLINK, 5000, PEER_1, 7000);
	ASSERT_TRANSLATED(engine_udp(&engine, NAT_PATH_INBOUND, in));
	ASSERT_FLOW(&engine, PEER_1, 7000, INSIDE_1, 5000);
	stats = engine_stats(&engine);
	CU_ASSERT_EQUAL(stats.outbound_packets, 1);
	CU_ASSERT_EQUAL(stats.outbound_bytes, 39);
	CU_ASSERT_EQUAL(stats.inbound_packets, 1);
	CU_ASSERT_EQUAL(stats.inbound_bytes, 39);
	CU_ASSERT_EQUAL(stats.hairpin_packets, 0);
	CU_ASSERT_EQUAL(stats.untouched_packets, 0);
	engine_free(&engine);
}

/* Only the path decides: the same packet, met elsewhere. */
static void test_direction(void)
{
	struct engine engine;

	engine_make(&engine);
	ASSERT_UNTOUCHED(engine_udp(&engine, NAT_PATH_INBOUND, out));
	ASSERT_UNTOUCHED(engine_udp(&engine, NAT_PATH_HAIRPIN_IN, out));
	ASSERT_UNTOUCHED(engine_udp(&engine, NAT_PATH_ERROR_OUT, out));
	ASSERT_UNTOUCHED(engine_udp(&engine, NAT_PATH_LOOPBACK, out));
	ASSERT_TRANSLATED(engine_udp(&engine, NAT_PATH_OUTBOUND, out));
	/* Inside and outside subnets may be the same (RFC 4787 REQ-7). */
	ASSERT_TRANSLATED(
		engine_udp(&engine, NAT_PATH_OUTBOUND,
			   flow_of(INSIDE_1, 5000, 0xc0a80105, 7000)));
	engine_free(&engine);
}

static void test_no_uplink(void)
{
	struct engine engine;
	struct nat_result result;

	engine_make(&engine);
	nat_set_uplink(engine.nat, 0, engine.now);
	result = engine_udp(&engine, NAT_PATH_OUTBOUND, out);
	ASSERT_DROPPED(result, NAT_DROP_NO_UPLINK);
	CU_ASSERT_EQUAL(result.answer_length, 0);
	ASSERT_DROPPED(engine_udp(&engine, NAT_PATH_INBOUND, in),
		       NAT_DROP_NO_UPLINK);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 0);
	engine_free(&engine);
}

/* The address is back before we know: the router's RST would end what is a
 * mapping's; its own ports are its own. */
static void test_no_uplink_yet(void)
{
	struct nat_portset bound = { { 0 } };
	struct engine engine;

	engine_make(&engine);
	engine_open(&engine, NAT_PROTO_TCP, out);
	engine_open(&engine, NAT_PROTO_ICMP,
		    flow_of(INSIDE_1, 2000, PEER_1, 0));
	nat_portset_add(&bound, 5001);
	nat_set_bound(engine.nat, NAT_POOL_TCP, &bound);
	nat_set_uplink(engine.nat, 0, engine.now);
	ASSERT_DROPPED(engine_tcp(&engine, NAT_PATH_INBOUND, in, ACK),
		       NAT_DROP_NO_UPLINK);
	ASSERT_DROPPED(engine_tcp(&engine, NAT_PATH_HAIRPIN_IN,
				  flow_of(INSIDE_2, 1, UPLINK, 5000), ACK),
		       NAT_DROP_NO_UPLINK);
	ASSERT_DROPPED(engine_answer(&engine, NAT_PROTO_ICMP, PEER_1, 0, 2000),
		       NAT_DROP_NO_UPLINK);
	ASSERT_UNTOUCHED(
		engine_answer(&engine, NAT_PROTO_ICMP, PEER_1, 0, 2001));
	ASSERT_UNTOUCHED(engine_tcp(&engine, NAT_PATH_INBOUND,
				    flow_of(PEER_1, 7000, UPLINK, 5001), SYN));
	ASSERT_UNTOUCHED(engine_tcp(&engine, NAT_PATH_INBOUND,
				    flow_of(PEER_1, 7000, UPLINK, 22), SYN));
	ASSERT_UNTOUCHED(engine_tcp(&engine, NAT_PATH_INBOUND,
				    flow_of(PEER_1, 7000, PEER_3, 5000), ACK));
	engine_free(&engine);
}

static void test_not_for_us(void)
{
	struct engine engine;

	engine_make(&engine);
	engine_udp(&engine, NAT_PATH_OUTBOUND, out);
	ASSERT_UNTOUCHED(engine_udp(&engine, NAT_PATH_INBOUND,
				    flow_of(PEER_1, 7000, UPLINK + 1, 5000)));
	ASSERT_UNTOUCHED(engine_udp(&engine, NAT_PATH_INBOUND,
				    flow_of(PEER_1, 5353, 0xe00000fb, 5353)));
	engine_free(&engine);
}

static void test_unmapped(void)
{
	struct nat_portset bound = { 0 };
	struct engine engine;

	engine_make(&engine);
	ASSERT_DROPPED(engine_udp(&engine, NAT_PATH_INBOUND, in),
		       NAT_DROP_NO_MAPPING);
	ASSERT_DROPPED(engine_tcp(&engine, NAT_PATH_INBOUND, in, SYN),
		       NAT_DROP_NO_MAPPING);
	/* Outside the pool, or bound: the router's own. */
	ASSERT_UNTOUCHED(engine_udp(&engine, NAT_PATH_INBOUND,
				    flow_of(PEER_1, 7000, UPLINK, 123)));
	nat_portset_add(&bound, 5000);
	nat_set_bound(engine.nat, NAT_POOL_UDP, &bound);
	ASSERT_UNTOUCHED(engine_udp(&engine, NAT_PATH_INBOUND, in));
	ASSERT_DROPPED(engine_tcp(&engine, NAT_PATH_INBOUND, in, SYN),
		       NAT_DROP_NO_MAPPING);
	engine_free(&engine);
}

static void test_bound_later(void)
{
	struct nat_portset bound = { 0 };
	struct engine engine;

	/* A bind under a live mapping blocks new use only. */
	engine_make(&engine);
	engine_udp(&engine, NAT_PATH_OUTBOUND, out);
	nat_portset_add(&bound, 5000);
	nat_portset_add(&bound, 5002);
	nat_set_bound(engine.nat, NAT_POOL_UDP, &bound);
	ASSERT_TRANSLATED(engine_udp(&engine, NAT_PATH_INBOUND, in));
	CU_ASSERT_NOT_EQUAL(engine_open(&engine, NAT_PROTO_UDP,
					flow_of(INSIDE_2, 5002, PEER_1, 1)),
			    5002);
	engine_free(&engine);
}

/* --- addresses -------------------------------------------------------------------- */

static void refused(struct engine *engine, enum nat_path path, uint32_t src,
		    uint32_t dst)
{
	ASSERT_DROPPED(engine_udp(engine, path, flow_of(src, 1000, dst, 2000)),
		       NAT_DROP_MARTIAN);
}

static const uint32_t martians[] = {
	0x00000000, 0x00ffffff, 0x7f000001, 0x7fffffff, 0xa9fe0000,
	0xa9fe0101, 0xe0000001, 0xefffffff, 0xf0000001, 0xffffffff,
};

static void test_martians(void)
{
	struct engine engine;

	engine_make(&engine);
	for (size_t i = 0; i < sizeof(martians) / sizeof(martians[0]); i++) {
		refused(&engine, NAT_PATH_OUTBOUND, INSIDE_1, martians[i]);
		refused(&engine, NAT_PATH_OUTBOUND, martians[i], PEER_1);
		refused(&engine, NAT_PATH_INBOUND, martians[i], UPLINK);
		refused(&engine, NAT_PATH_HAIRPIN_IN, martians[i], UPLINK);
	}
	/* LAND, and sources that cannot come from there. */
	refused(&engine, NAT_PATH_OUTBOUND, INSIDE_1, INSIDE_1);
	refused(&engine, NAT_PATH_OUTBOUND, UPLINK, PEER_1);
	refused(&engine, NAT_PATH_INBOUND, UPLINK, UPLINK);
	refused(&engine, NAT_PATH_INBOUND, INSIDE_1, UPLINK);
	refused(&engine, NAT_PATH_HAIRPIN_IN, UPLINK, UPLINK);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).hosts, 0);
	engine_free(&engine);
}

static void test_ordinary(void)
{
	static const uint32_t good[] = { 0x01000000, 0x7e000001, 0x80000000,
					 0xa9fd0001, 0xa9ff0001, 0xc0000201,
					 0xc6336401, 0xcb007101, 0xdfffffff };
	struct engine engine;

	engine_make(&engine);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ASSERT_TRANSLATED(
			engine_udp(&engine, NAT_PATH_OUTBOUND,
				   flow_of(INSIDE_1, 5000, good[i], 7000)));
	engine_free(&engine);
}

static void test_more_martians(void)
{
	static const struct nat_prefix extra[] = { { 0x0a000000, 8 },
						   { PEER_1, 32 } };
	struct engine engine;

	engine_make(&engine);
	engine.config.martians = extra;
	engine.config.martian_count = 2;
	engine_configure(&engine);
	refused(&engine, NAT_PATH_OUTBOUND, INSIDE_1, 0x0a010203);
	refused(&engine, NAT_PATH_OUTBOUND, INSIDE_1, PEER_1);
	refused(&engine, NAT_PATH_INBOUND, PEER_1, UPLINK);
	ASSERT_TRANSLATED(engine_udp(&engine, NAT_PATH_OUTBOUND,
				     flow_of(INSIDE_1, 1, PEER_2, 1)));
	engine_free(&engine);
}

static void test_exempt(void)
{
	static const struct nat_prefix exempt[] = { { PEER_2, 32 },
						    { 0xc0a80500, 24 } };
	static const struct nat_prefix both[] = { { 0xc0a80100, 24 },
						  { 0xc0a80500, 24 } };
	struct engine engine;

	engine_make(&engine);
	engine.config.exempt = exempt;
	engine.config.exempt_count = 2;
	engine.config.inside = both;
	engine.config.inside_count = 2;
	engine_configure(&engine);
	ASSERT_UNTOUCHED(engine_udp(&engine, NAT_PATH_OUTBOUND,
				    flow_of(INSIDE_1, 5000, PEER_2, 7000)));
	ASSERT_UNTOUCHED(engine_udp(&engine, NAT_PATH_OUTBOUND,
				    flow_of(INSIDE_1, 5000, 0xc0a80509, 1)));
	ASSERT_TRANSLATED(engine_udp(&engine, NAT_PATH_OUTBOUND, out));
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 1);
	/* From outside an exempt network is no impostor. */
	refused(&engine, NAT_PATH_INBOUND, INSIDE_2, UPLINK);
	ASSERT_TRANSLATED(engine_udp(&engine, NAT_PATH_INBOUND,
				     flow_of(0xc0a80509, 1, UPLINK, 5000)));
	engine_free(&engine);
}

/* --- kinds of packets ---------------------------------------------------------------- */

static void test_unsupported(void)
{
	static const uint8_t protos[] = { 2, 4, 41, 51, 89, 103, 255 };
	struct engine engine;

	engine_make(&engine);
	for (size_t i = 0; i < sizeof(protos); i++) {
		packet_other(&engine.packet, INSIDE_1, PEER_1, protos[i], 20);
		ASSERT_DROPPED(engine_run(&engine, NAT_PATH_OUTBOUND),
			       NAT_DROP_UNSUPPORTED);
		packet_other(&engine.packet, PEER_1, UPLINK, protos[i], 20);
		ASSERT_UNTOUCHED(engine_run(&engine, NAT_PATH_INBOUND));
	}
	engine_free(&engine);
}

static void test_icmp_types(void)
{
	static const uint8_t odd[] = { 4, 5, 9, 10, 15, 16, 17, 18, 40 };
	struct engine engine;

	engine_make(&engine);
	for (size_t i = 0; i < sizeof(odd); i++) {
		ASSERT_DROPPED(engine_icmp(&engine, NAT_PATH_OUTBOUND, out,
					   odd[i]),
			       NAT_DROP_UNSUPPORTED);
		ASSERT_UNTOUCHED(
			engine_icmp(&engine, NAT_PATH_INBOUND, in, odd[i]));
	}
	/* A reply from inside answers nothing that came through us; a query
	 * from outside is the router's to answer. */
	ASSERT_DROPPED(engine_icmp(&engine, NAT_PATH_OUTBOUND, out, 0),
		       NAT_DROP_NO_SESSION);
	ASSERT_UNTOUCHED(engine_icmp(&engine, NAT_PATH_INBOUND, in, 8));
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 0);
	engine_free(&engine);
}

static void test_query_ids(void)
{
	struct engine engine;
	uint16_t one, two;

	engine_make(&engine);
	one = engine_open(&engine, NAT_PROTO_ICMP,
			  flow_of(INSIDE_1, 7, PEER_1, 0));
	two = engine_open(&engine, NAT_PROTO_ICMP,
			  flow_of(INSIDE_2, 7, PEER_1, 0));
	CU_ASSERT_TRUE(one && two && one != two);
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_ICMP,
				    flow_of(INSIDE_1, 7, PEER_2, 0)),
			one);
	engine_answer(&engine, NAT_PROTO_ICMP, PEER_1, 0, one);
	CU_ASSERT_EQUAL(packet_flow(&engine.packet).dst, INSIDE_1);
	CU_ASSERT_EQUAL(packet_flow(&engine.packet).sport, 7);
	engine_answer(&engine, NAT_PROTO_ICMP, PEER_1, 0, two);
	CU_ASSERT_EQUAL(packet_flow(&engine.packet).dst, INSIDE_2);
	CU_ASSERT_EQUAL(packet_flow(&engine.packet).sport, 7);
	engine_free(&engine);
}

static void test_fragments(void)
{
	static const enum nat_path paths[] = { NAT_PATH_OUTBOUND,
					       NAT_PATH_INBOUND };
	struct engine engine;

	engine_make(&engine);
	engine_udp(&engine, NAT_PATH_OUTBOUND, out);
	for (size_t i = 0; i < 2; i++) {
		packet_udp(&engine.packet, i ? in : out, NULL, 64);
		packet_set_fragment(&engine.packet, 0x2010);
		CU_ASSERT_EQUAL(engine_run(&engine, paths[i]).verdict,
				NAT_CONSUMED); /* it waits for the first one */
		/* Tiny: the flags of TCP would come later (RFC 3128). */
		packet_tcp(&engine.packet, i ? in : out,
			   (struct segment){ .flags = SYN });
		packet_set_fragment(&engine.packet, 1);
		ASSERT_DROPPED(engine_run(&engine, paths[i]),
			       NAT_DROP_FRAGMENT);
		packet_udp(&engine.packet, i ? in : out, NULL, 64);
		packet_set_fragment(&engine.packet, 0x2000);
		ASSERT_TRANSLATED(engine_run(&engine, paths[i]));
	}
	engine_free(&engine);
}

static void test_malformed(void)
{
	struct engine engine;

	engine_make(&engine);
	for (int path = 0; path < NAT_PATHS; path++) {
		packet_udp(&engine.packet, out, NULL, 9);
		engine.packet.data[0] = 0x44;
		ASSERT_DROPPED(engine_run(&engine, (enum nat_path)path),
			       NAT_DROP_MALFORMED);
		packet_udp(&engine.packet, out, NULL, 9);
		engine.packet.data[10] ^= 1;
		ASSERT_DROPPED(engine_run(&engine, (enum nat_path)path),
			       NAT_DROP_BAD_CHECKSUM);
		engine.packet.length = 0;
		ASSERT_DROPPED(engine_run(&engine, (enum nat_path)path),
			       NAT_DROP_MALFORMED);
	}
	CU_ASSERT_EQUAL(engine_stats(&engine).drops[NAT_DROP_MALFORMED],
			2 * NAT_PATHS);
	engine_free(&engine);
}

static void test_padding(void)
{
	struct engine engine;

	engine_make(&engine);
	packet_udp(&engine.packet, out, NULL, 1);
	memset(engine.packet.data + engine.packet.length, 0xee, 17);
	engine.packet.length += 17;
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	for (uint32_t i = 29; i < 46; i++)
		CU_ASSERT_EQUAL(engine.packet.data[i], 0xee);
	CU_ASSERT_EQUAL(engine_stats(&engine).outbound_bytes, 29);
	engine_free(&engine);
}

static const struct test tests[] = {
	{ "a datagram goes out and its answer comes in", test_there_and_back },
	{ "the path decides the direction, addresses do not", test_direction },
	{ "without an uplink nothing leaves and nothing is remembered",
	  test_no_uplink },
	{ "an address that we do not know to be back is not the router's",
	  test_no_uplink_yet },
	{ "what is not for our address is left alone", test_not_for_us },
	{ "a pool port without mapping is silent, other ports are the router's",
	  test_unmapped },
	{ "a port bound later keeps its mapping", test_bound_later },
	{ "martians are refused and leave no trace", test_martians },
	{ "neighbours of the martians are ordinary", test_ordinary },
	{ "the operator may name more martians", test_more_martians },
	{ "exempt destinations are not translated", test_exempt },
	{ "unknown protocols do not leave", test_unsupported },
	{ "other ICMP types do not leave", test_icmp_types },
	{ "two hosts may use one query id", test_query_ids },
	{ "later fragments wait, tiny ones are refused, first ones pass",
	  test_fragments },
	{ "malformed packets are refused on every path", test_malformed },
	{ "padding is neither counted nor changed", test_padding },
};

int main(int argc, char **argv)
{
	return suite_run("translate", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
