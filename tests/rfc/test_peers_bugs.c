/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Bugs that other translators had, numbered as in the survey of the field: each
 * is a test here so that it stays theirs.
 */
#include <stdlib.h>
#include <string.h>

#include "room.h"
#include "tests/unit/error_lab.h"
#include "tests/unit/fragment_lab.h"

/* --- 1, 6: port sets ---------------------------------------------------------- */

/* RFC 7597 5.1: A | PSID | j, with a bits before and m bits behind. */
static void port_set(struct nat_portset *set, unsigned a, unsigned k,
		     uint32_t psid)
{
	unsigned m = 16 - a - k;

	memset(set, 0, sizeof(*set));
	for (uint32_t i = 1; i < 1U << a; i++)
		for (uint32_t j = 0; j < 1U << m; j++)
			nat_portset_add(set, (uint16_t)(i << (k + m) |
							psid << m | j));
}

/* Fills the set by hosts that all want the same ports, and one more. */
static void exhaust(const struct nat_portset *set, uint32_t count,
		    bool (*in_set)(uint16_t port))
{
	struct nat_portset seen = { { 0 } };
	struct engine engine;
	uint32_t good = 0;

	room_make(&engine, room_limits(4096));
	engine.config.pool[NAT_POOL_UDP] = *set;
	engine_configure(&engine);
	for (uint32_t i = 0; i < count; i++) {
		uint16_t port =
			engine_open(&engine, NAT_PROTO_UDP,
				    flow_of(room_host(i), 5000, PEER_1, 7000));

		good += port && in_set(port) && !nat_portset_has(&seen, port);
		nat_portset_add(&seen, port);
	}
	CU_ASSERT_EQUAL(good, count);
	CU_ASSERT_TRUE(room_told(engine_udp(&engine, NAT_PATH_OUTBOUND, out),
				 NAT_DROP_NO_PORT, 13));
	room_free(&engine);
}

static bool in_a6_k6_10(uint16_t port)
{
	return (port >> 4 & 63) == 10 && port >= 1024;
}

/* There the offset of the PSID is not the width of j. */
static void uneven_port_set(void)
{
	struct nat_portset set;

	port_set(&set, 6, 6, 10);
	exhaust(&set, 63 * 16, in_a6_k6_10);
}

static bool in_a4_k8_34(uint16_t port)
{
	return (port >> 4 & 255) == 0x34 && port >= 4096;
}

static void small_pools(void)
{
	struct nat_portset set;

	port_set(&set, 4, 8, 0x34);
	exhaust(&set, 240, in_a4_k8_34);
}

static bool is_40000(uint16_t port)
{
	return port == 40000;
}

static void pool_of_one(void)
{
	struct nat_portset set = { { 0 } };

	nat_portset_add(&set, 40000);
	exhaust(&set, 1, is_40000);
}

/* --- 2 -------------------------------------------------------------------------- */

static struct nat_result data(struct engine *engine)
{
	return engine_tcp(engine, NAT_PATH_INBOUND,
			  flow_of(PEER_1, 7000, UPLINK, 5000), ACK);
}

/* 7,200 s are not enough. */
static void established(void)
{
	for (int late = 0; late < 2; late++) {
		struct engine engine;

		engine_make(&engine);
		engine_open(&engine, NAT_PROTO_TCP, out);
		engine_answer(&engine, NAT_PROTO_TCP, PEER_1, 7000, 5000);
		engine_tcp(&engine, NAT_PATH_OUTBOUND, out, ACK);
		bench_later(&engine, 7440 * SECOND - !late);
		CU_ASSERT_EQUAL(data(&engine).verdict,
				late ? NAT_DROPPED : NAT_TRANSLATED);
		engine_free(&engine);
	}
}

/* --- 3 -------------------------------------------------------------------------- */

static void late_first(uint8_t proto)
{
	struct flow in = flow_of(PEER_1, 7000, UPLINK, 5000);
	struct assembly assembly;
	struct engine engine;
	struct packet packet;

	engine_make(&engine);
	engine_open(&engine, proto, out);
	if (proto == NAT_PROTO_UDP) {
		packet_udp(&packet, in, NULL, 160);
	} else {
		in.sport = 5000;
		packet_icmp(&packet, in, 0, 160);
	}
	identify(&packet, 9, 0);
	feed_order(&engine, NAT_PATH_INBOUND, &packet, "210", &assembly);
	CU_ASSERT_TRUE(assembled(&assembly));
	CU_ASSERT_EQUAL(packet_flow(&assembly.whole).dst, INSIDE_1);
	engine_free(&engine);
}

static void late_first_udp(void)
{
	late_first(NAT_PROTO_UDP);
}

static void late_first_ping(void)
{
	late_first(NAT_PROTO_ICMP);
}

/* --- 4 -------------------------------------------------------------------------- */

/* A quote of 28 bytes holds no TCP checksum: what lies behind it in memory is
 * not to be touched (engine_run() hands over exactly the packet's bytes). */
static void eight_bytes(void)
{
	struct lab lab;

	sent(&lab, NAT_PROTO_TCP, 0);
	ASSERT_TRANSLATED(complain(&lab, NAT_PATH_INBOUND, from_outside(3, 4),
				   &lab.outside));
	quotes(lab.engine.packet.data, &lab.inside, 28);
	engine_free(&lab.engine);
}

static void inner_ping(void)
{
	struct error error = from_outside(11, 0);
	struct lab lab;

	sent(&lab, NAT_PROTO_ICMP, 0);
	error.bytes = lab.outside.length;
	ASSERT_TRANSLATED(
		complain(&lab, NAT_PATH_INBOUND, error, &lab.outside));
	quotes(lab.engine.packet.data, &lab.inside, lab.inside.length);
	engine_free(&lab.engine);
}

/* Every payload word: 0 stays none, and none is made of a sum. */
static void udp_zero(void)
{
	struct engine engine;
	unsigned zero = 0, ones = 0;

	engine_make(&engine);
	engine.unproven = true;
	engine_pool(&engine.config, 40000, 40000);
	engine_configure(&engine);
	for (uint32_t word = 0; word < 65536; word++) {
		uint8_t payload[2];

		packet_put16(payload, (uint16_t)word);
		packet_udp(&engine.packet, out, payload, 2);
		engine_run(&engine, NAT_PATH_OUTBOUND);
		zero += packet_checksum(&engine.packet) == 0;
		ones += packet_checksum(&engine.packet) == 0xffff;
	}
	CU_ASSERT_EQUAL(zero, 0);
	CU_ASSERT_TRUE(ones >= 1);
	engine_free(&engine);
}

/* The same slots of the tables 70,000 times: 16-bit counters are round. */
static void wrap(void)
{
	struct engine engine;
	unsigned wrong = 0;

	engine_make(&engine);
	engine.unproven = true;
	for (uint32_t i = 0; i < 70000; i++) {
		uint32_t host = i % 2 ? INSIDE_1 : INSIDE_2;
		uint16_t port = engine_open(&engine, NAT_PROTO_UDP,
					    flow_of(host, 5000, PEER_1, 7000));

		wrong += !port ||
			 engine_answer(&engine, NAT_PROTO_UDP, PEER_1, 7000,
				       port)
					 .verdict != NAT_TRANSLATED ||
			 packet_flow(&engine.packet).dst != host;
		engine.now += 300 * SECOND;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_PTR_NULL(nat_check(engine.nat));
	engine_free(&engine);
}

/* --- 5 -------------------------------------------------------------------------- */

#define NEW_UPLINK 0xcb007163U /* 203.0.113.99 */

/* Keep-alives every 20 s go on over the change: no packet shows the old
 * address, and the answers arrive. */
static void new_address(void)
{
	struct engine engine;

	engine_make(&engine);
	for (int i = 0; i < 10; i++) {
		uint32_t uplink = i < 5 ? UPLINK : NEW_UPLINK;

		if (i == 5)
			CU_ASSERT_EQUAL(nat_set_uplink(engine.nat, NEW_UPLINK,
						       engine.now),
					0);
		ASSERT_TRANSLATED(engine_udp(&engine, NAT_PATH_OUTBOUND, out));
		CU_ASSERT_EQUAL(packet_flow(&engine.packet).src, uplink);
		ASSERT_TRANSLATED(
			engine_udp(&engine, NAT_PATH_INBOUND,
				   flow_of(PEER_1, 7000, uplink,
					   packet_flow(&engine.packet).sport)));
		CU_ASSERT_EQUAL(packet_flow(&engine.packet).dst, INSIDE_1);
		engine.now += 20 * SECOND;
	}
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 1);
	engine_free(&engine);
}

/* --- 7 -------------------------------------------------------------------------- */

static void hairpin(uint8_t proto)
{
	struct engine engine;
	struct flow flow = flow_of(INSIDE_1, 5000, UPLINK, 6000);

	engine_make(&engine);
	engine.config.filtering[NAT_POOL_TCP] = NAT_FILTER_ENDPOINT_INDEPENDENT;
	CU_ASSERT_EQUAL(engine_open(&engine, proto,
				    flow_of(INSIDE_2, 6000, PEER_1, 7000)),
			6000);
	if (proto == NAT_PROTO_UDP)
		packet_udp(&engine.packet, flow, NULL, 20);
	else
		packet_tcp(&engine.packet, flow,
			   (struct segment){ .flags = SYN });
	ASSERT_TRANSLATED(bench_hairpin(&engine));
	ASSERT_FLOW(&engine, UPLINK, 5000, INSIDE_2, 6000);
	flow = flow_of(INSIDE_2, 6000, UPLINK, 5000);
	if (proto == NAT_PROTO_UDP)
		packet_udp(&engine.packet, flow, NULL, 20);
	else
		packet_tcp(&engine.packet, flow,
			   (struct segment){ .flags = SYN | ACK, .ack = 1 });
	ASSERT_TRANSLATED(bench_hairpin(&engine));
	ASSERT_FLOW(&engine, UPLINK, 6000, INSIDE_1, 5000);
	engine_free(&engine);
}

static void hairpins(void)
{
	hairpin(NAT_PROTO_UDP);
	hairpin(NAT_PROTO_TCP);
}

/* --- 8 -------------------------------------------------------------------------- */

#define SUPER 65535U

/* The folded pseudo-header sum of a datagram with a header of 20 bytes. */
static uint16_t pseudo(const uint8_t *ip, uint32_t length)
{
	uint8_t header[12] = { 0 };

	memcpy(header, ip + 12, 8);
	header[9] = ip[9];
	packet_put16(header + 10, (uint16_t)(length - PACKET_IP));
	return packet_sum(0, header, sizeof(header));
}

/* A super-packet of `length` bytes with an unfinished checksum. */
static uint8_t *super_packet(uint8_t proto, uint32_t length)
{
	uint8_t *ip = calloc(1, SUPER);
	struct packet small;

	if (!ip)
		abort();
	if (proto == NAT_PROTO_UDP)
		packet_udp(&small, out, NULL, 0);
	else
		packet_tcp(&small, out, (struct segment){ .flags = SYN });
	packet_put16(small.data + 2, (uint16_t)length);
	packet_fix_ip(&small);
	memcpy(ip, small.data, small.length);
	for (uint32_t at = small.length; at < length; at++)
		ip[at] = (uint8_t)(at * 31);
	if (proto == NAT_PROTO_UDP)
		packet_put16(ip + PACKET_IP + 4,
			     (uint16_t)(length - PACKET_IP));
	packet_put16(ip + PACKET_IP + (proto == NAT_PROTO_UDP ? 6 : 16),
		     pseudo(ip, length));
	return ip;
}

static void super(uint8_t proto, enum nat_checksum state, uint32_t length)
{
	uint8_t *ip = super_packet(proto, length);
	uint8_t *sum = ip + PACKET_IP + (proto == NAT_PROTO_UDP ? 6 : 16);
	struct engine engine;

	engine_make(&engine);
	engine_pool(&engine.config, 40000, 40000);
	engine_configure(&engine);
	engine.checksum = state;
	ASSERT_TRANSLATED(
		engine_translate(&engine, ip, length, NAT_PATH_OUTBOUND));
	CU_ASSERT_EQUAL(packet_get32(ip + 12), UPLINK);
	CU_ASSERT_EQUAL(packet_get16(ip + PACKET_IP), 40000);
	if (state == NAT_CHECKSUM_GSO)
		CU_ASSERT_EQUAL(packet_get16(sum), pseudo(ip, length))
	else
		CU_ASSERT_PTR_NULL(packet_wrong(ip, length));
	engine_free(&engine);
	free(ip);
}

static void super_packets(void)
{
	static const uint32_t lengths[] = { 2960, 65531, 65532, 65534, SUPER };

	for (size_t i = 0; i < COUNT(lengths); i++)
		for (size_t j = 0; j < 2; j++) {
			super(protos[j], NAT_CHECKSUM_GSO, lengths[i]);
			super(protos[j], NAT_CHECKSUM_PARTIAL, lengths[i]);
		}
}

/* --- 9 -------------------------------------------------------------------------- */

static void same_port(void)
{
	struct flow other = flow_of(INSIDE_2, 5000, PEER_1, 7000);
	struct engine engine;
	uint16_t first, second;

	engine_make(&engine);
	first = engine_open(&engine, NAT_PROTO_UDP, out);
	second = engine_open(&engine, NAT_PROTO_UDP, other);
	CU_ASSERT_NOT_EQUAL(first, second);
	/* Even stays even; the odd neighbour of the pair is for itself. */
	CU_ASSERT_EQUAL(second % 2, 0);
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_UDP,
				    flow_of(INSIDE_2, 5001, PEER_1, 7000)) %
				2,
			1);
	engine_answer(&engine, NAT_PROTO_UDP, PEER_1, 7000, first);
	ASSERT_FLOW(&engine, PEER_1, 7000, INSIDE_1, 5000);
	engine_answer(&engine, NAT_PROTO_UDP, PEER_1, 7000, second);
	ASSERT_FLOW(&engine, PEER_1, 7000, INSIDE_2, 5000);
	/* One port, three protocols, three owners. */
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_TCP, other), 5000);
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_ICMP,
				    flow_of(INSIDE_3, 5000, PEER_1, 0)),
			5000);
	engine_answer(&engine, NAT_PROTO_TCP, PEER_1, 7000, 5000);
	CU_ASSERT_EQUAL(packet_flow(&engine.packet).dst, INSIDE_2);
	engine_answer(&engine, NAT_PROTO_ICMP, PEER_1, 0, 5000);
	CU_ASSERT_EQUAL(packet_flow(&engine.packet).dst, INSIDE_3);
	engine_free(&engine);
}

/* --- 10, 11 ----------------------------------------------------------------------- */

static void no_uplink_yet(void)
{
	struct engine engine;

	engine_bare(&engine, &engine_limits);
	ASSERT_DROPPED(engine_udp(&engine, NAT_PATH_OUTBOUND, out),
		       NAT_DROP_NO_UPLINK);
	engine_defaults(&engine.config);
	engine_configure(&engine);
	ASSERT_DROPPED(engine_udp(&engine, NAT_PATH_OUTBOUND, out),
		       NAT_DROP_NO_UPLINK);
	ASSERT_DROPPED(engine_tcp(&engine, NAT_PATH_OUTBOUND, out, SYN),
		       NAT_DROP_NO_UPLINK);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).hosts, 0);
	nat_set_uplink(engine.nat, UPLINK, engine.now);
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_UDP, out), 5000);
	engine_free(&engine);
}

/* The uplink goes down between the passes of a hairpin and comes back; packets
 * of before are still in the queue. */
static void flapping(void)
{
	struct engine engine;
	struct packet between;

	engine_make(&engine);
	engine_open(&engine, NAT_PROTO_UDP,
		    flow_of(INSIDE_2, 6000, PEER_1, 7000));
	packet_udp(&engine.packet, flow_of(INSIDE_1, 5000, UPLINK, 6000), NULL,
		   20);
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_HAIRPIN_IN));
	between = engine.packet;
	nat_set_uplink(engine.nat, 0, engine.now);
	ASSERT_DROPPED(engine_run(&engine, NAT_PATH_HAIRPIN_OUT),
		       NAT_DROP_NO_UPLINK);
	ASSERT_DROPPED(engine_answer(&engine, NAT_PROTO_UDP, PEER_1, 7000,
				     6000),
		       NAT_DROP_NO_UPLINK);
	/* The same address again: everything is still there. */
	nat_set_uplink(engine.nat, UPLINK, engine.now);
	ASSERT_TRANSLATED(
		engine_answer(&engine, NAT_PROTO_UDP, PEER_1, 7000, 6000));
	engine.packet = between;
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_HAIRPIN_OUT));
	engine_free(&engine);
}

static const struct requirement table[] = {
	{ "PEERS 6.1", "MUST", "a port set with another offset than width fits",
	  uneven_port_set, NULL },
	{ "PEERS 6.2", "MUST", "idle TCP lives 7,440 s, not 7,200", established,
	  NULL },
	{ "PEERS 6.3 udp", "MUST", "UDP fragments backwards", late_first_udp,
	  NULL },
	{ "PEERS 6.3 icmp", "MUST", "fragments of a ping backwards",
	  late_first_ping, NULL },
	{ "PEERS 6.4 tcp", "MUST", "an error quoting 8 bytes of TCP",
	  eight_bytes, NULL },
	{ "PEERS 6.4 icmp", "MUST", "id and checksum of a quoted ping",
	  inner_ping, NULL },
	{ "PEERS 6.4 udp", "MUST", "no sum of 65,536 becomes 0", udp_zero,
	  NULL },
	{ "PEERS 6.4 wrap", "MUST", "70,000 lives of one slot", wrap, NULL },
	{ "PEERS 6.5", "MUST", "keep-alives survive another outside address",
	  new_address, NULL },
	{ "PEERS 6.6 one", "MUST", "a pool of 1 port", pool_of_one, NULL },
	{ "PEERS 6.6 scattered", "MUST",
	  "15 x 16 ports: all used, then refused by ICMP 3/13", small_pools,
	  NULL },
	{ "PEERS 6.7", "MUST", "hairpins of UDP and TCP, there and back",
	  hairpins, NULL },
	{ "PEERS 6.8", "MUST",
	  "super-packets up to 65,535 bytes with unfinished checksums",
	  super_packets, NULL },
	{ "PEERS 6.9", "MUST",
	  "one port of two hosts, of three protocols, of a parity pair",
	  same_port, NULL },
	{ "PEERS 6.10", "MUST", "no state before the outside address is known",
	  no_uplink_yet, NULL },
	{ "PEERS 6.11", "MUST", "an uplink that flaps with packets queued",
	  flapping, NULL },
};

int main(int argc, char **argv)
{
	return requirement_run("peers", table, COUNT(table), argc, argv);
}
