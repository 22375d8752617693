/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fragments (RFC 791, 1812, 1858, 3128, 4787 REQ-14, 6146 3.4) and the IP id
 * (RFC 6864, 3022 6.3).
 */
#include <string.h>

#include "room.h"
#include "tests/unit/fragment_lab.h"

static const struct flow out = { INSIDE_1, 5000, PEER_1, 7000 };
static const struct flow in = { PEER_1, 7000, UPLINK, 5000 };

/* --- any order, both ways --------------------------------------------------- */

/* INSIDE_1:5000 has a mapping by its own port for each protocol. */
static void open_all(struct engine *engine)
{
	engine_make(engine);
	CU_ASSERT_EQUAL(engine_open(engine, NAT_PROTO_UDP, out), 5000);
	CU_ASSERT_EQUAL(engine_open(engine, NAT_PROTO_TCP, out), 5000);
	CU_ASSERT_EQUAL(engine_open(engine, NAT_PROTO_ICMP, out), 5000);
}

/* 64, 64 and 52 or 40 bytes. */
static void whole(struct packet *packet, uint8_t proto, bool inbound,
		  uint16_t id)
{
	struct flow flow = inbound ? in : out;

	if (proto == NAT_PROTO_ICMP)
		flow.sport = 5000;
	if (proto == NAT_PROTO_UDP)
		packet_udp(packet, flow, NULL, 160);
	else if (proto == NAT_PROTO_TCP)
		packet_tcp(packet, flow,
			   (struct segment){ .flags = ACK, .bytes = 160 });
	else
		packet_icmp(packet, flow, inbound ? 0 : 8, 160);
	identify(packet, id, 0);
}

static void any_order(enum nat_path path, uint8_t proto)
{
	bool inbound = path == NAT_PATH_INBOUND;
	struct assembly assembly;
	struct engine engine;
	struct packet packet;

	open_all(&engine);
	for (size_t i = 0; i < COUNT(all_orders); i++) {
		whole(&packet, proto, inbound, (uint16_t)(100 + i));
		feed_order(&engine, path, &packet, all_orders[i], &assembly);
		CU_ASSERT_TRUE(assembled(&assembly));
		CU_ASSERT_EQUAL(assembly.pieces, 3);
		CU_ASSERT_TRUE(
			inbound ? packet_flow(&assembly.whole).dst == INSIDE_1 :
				  packet_flow(&assembly.whole).src == UPLINK);
	}
	engine_free(&engine);
}

static void both_ways(uint8_t proto)
{
	any_order(NAT_PATH_OUTBOUND, proto);
	any_order(NAT_PATH_INBOUND, proto);
}

static void order_udp(void)
{
	both_ways(NAT_PROTO_UDP);
}

static void order_tcp(void)
{
	both_ways(NAT_PROTO_TCP);
}

static void order_icmp(void)
{
	both_ways(NAT_PROTO_ICMP);
}

/* MF=1 with offset 0 is a fragment with ports; two datagrams in turn keep
 * apart, though all but their id is the same. */
static void interleaved(void)
{
	struct assembly first = { 0 }, second = { 0 };
	struct packet a, b, piece;
	struct engine engine;

	open_all(&engine);
	whole(&a, NAT_PROTO_UDP, true, 1);
	whole(&b, NAT_PROTO_UDP, true, 2);
	for (uint32_t at = 0; at < 192; at += 64) {
		cut(&piece, &a, 128 - at, 64);
		feed(&engine, NAT_PATH_INBOUND, &piece, &first);
		cut(&piece, &b, at, 64);
		feed(&engine, NAT_PATH_INBOUND, &piece, &second);
	}
	CU_ASSERT_TRUE(assembled(&first));
	CU_ASSERT_TRUE(assembled(&second));
	engine_free(&engine);
}

/* --- time ------------------------------------------------------------------------ */

/* Does the second fragment still follow after so many ms? */
static bool follows(uint32_t life_s, uint64_t ms, bool first_one_first)
{
	struct assembly assembly = { 0 };
	struct packet packet, piece;
	struct engine engine;
	bool whole_again;

	open_all(&engine);
	if (life_s)
		engine.config.fragment_s = life_s;
	whole(&packet, NAT_PROTO_UDP, true, 7);
	cut(&piece, &packet, first_one_first ? 0 : 64, 64);
	if (!first_one_first)
		cut(&piece, &packet, 64, 128);
	feed(&engine, NAT_PATH_INBOUND, &piece, &assembly);
	engine.now += ms;
	nat_expire(engine.nat, engine.now, 10);
	cut(&piece, &packet, first_one_first ? 64 : 0,
	    first_one_first ? 128 : 64);
	feed(&engine, NAT_PATH_INBOUND, &piece, &assembly);
	whole_again = assembled(&assembly);
	engine_free(&engine);
	return whole_again;
}

static void life(void)
{
	for (int order = 0; order < 2; order++) {
		CU_ASSERT_TRUE(follows(2, 2 * SECOND - 1, order));
		CU_ASSERT_FALSE(follows(2, 2 * SECOND, order));
		CU_ASSERT_TRUE(follows(0, 30 * SECOND - 1, order));
		CU_ASSERT_FALSE(follows(0, 30 * SECOND, order));
	}
}

/* --- bounds ------------------------------------------------------------------------ */

static void orphan(struct packet *piece, uint16_t id, uint32_t bytes)
{
	struct packet packet;

	whole_udp(&packet, in, 64 + bytes, id);
	cut(piece, &packet, 72, bytes);
}

/* Half of the entries (here 128 of 256) are for those that wait: of so many
 * orphans the oldest is still there, of one more it is not. */
static bool oldest_waits(uint32_t orphans, uint32_t bytes)
{
	struct assembly assembly = { 0 };
	struct packet packet, piece;
	struct engine engine;
	bool complete;

	room_make(&engine, room_limits(64));
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_UDP, out), 5000);
	for (uint32_t i = 0; i < orphans; i++) {
		orphan(&piece, (uint16_t)i, bytes);
		feed(&engine, NAT_PATH_INBOUND, &piece, &assembly);
	}
	whole_udp(&packet, in, 64 + bytes, 0);
	cut(&piece, &packet, 0, 72);
	feed(&engine, NAT_PATH_INBOUND, &piece, &assembly);
	complete = assembled(&assembly);
	room_free(&engine);
	return complete;
}

static void entries(void)
{
	CU_ASSERT_TRUE(oldest_waits(128, 8));
	CU_ASSERT_FALSE(oldest_waits(129, 8));
}

/* A ring of 4,096 bytes holds three copies of 1,220 bytes and a 16 byte header,
 * rounded up: 1,248. */
static bool oldest_fits(uint32_t orphans)
{
	struct nat_limits limits = room_limits(64);
	struct assembly assembly = { 0 };
	struct packet packet, piece;
	struct engine engine;
	bool complete;

	limits.fragment_bytes = 4096;
	room_make(&engine, limits);
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_UDP, out), 5000);
	for (uint32_t i = 0; i < orphans; i++) {
		orphan(&piece, (uint16_t)i, 1200);
		feed(&engine, NAT_PATH_INBOUND, &piece, &assembly);
	}
	whole_udp(&packet, in, 64 + 1200, 0);
	cut(&piece, &packet, 0, 72);
	feed(&engine, NAT_PATH_INBOUND, &piece, &assembly);
	complete = assembled(&assembly);
	room_free(&engine);
	return complete;
}

static void bytes(void)
{
	CU_ASSERT_TRUE(oldest_fits(3));
	CU_ASSERT_FALSE(oldest_fits(4));
}

/* --- forbidden fragments --------------------------------------------------------------- */

static struct nat_result first_of(struct engine *engine, uint8_t proto,
				  uint32_t bytes)
{
	struct packet packet, piece;

	whole(&packet, proto, false, 9);
	cut(&piece, &packet, 0, bytes);
	engine->packet = piece;
	return engine_run(engine, NAT_PATH_OUTBOUND);
}

static void tiny(void)
{
	struct engine engine;

	open_all(&engine);
	ASSERT_DROPPED(first_of(&engine, NAT_PROTO_TCP, 8), NAT_DROP_FRAGMENT);
	ASSERT_DROPPED(first_of(&engine, NAT_PROTO_TCP, 16), NAT_DROP_FRAGMENT);
	ASSERT_TRANSLATED(first_of(&engine, NAT_PROTO_TCP, 24));
	/* Ports and checksum of UDP are in its first 8 bytes. */
	ASSERT_TRANSLATED(first_of(&engine, NAT_PROTO_UDP, 8));
	ASSERT_TRANSLATED(first_of(&engine, NAT_PROTO_ICMP, 8));
	engine_free(&engine);
}

/* A fragment at offset 8 could replace the flags of the header before it. */
static void overlapping(void)
{
	struct assembly assembly = { 0 };
	struct packet packet, piece;
	struct engine engine;

	open_all(&engine);
	for (int inbound = 0; inbound < 2; inbound++) {
		enum nat_path path = inbound ? NAT_PATH_INBOUND :
					       NAT_PATH_OUTBOUND;

		whole(&packet, NAT_PROTO_TCP, inbound, 11);
		cut(&piece, &packet, 0, 64);
		feed(&engine, path, &piece, &assembly);
		cut(&piece, &packet, 8, 64);
		ASSERT_DROPPED(feed(&engine, path, &piece, &assembly),
			       NAT_DROP_FRAGMENT);
		/* Also when it comes first. */
		whole(&packet, NAT_PROTO_TCP, inbound, 12);
		cut(&piece, &packet, 8, 64);
		ASSERT_DROPPED(feed(&engine, path, &piece, &assembly),
			       NAT_DROP_FRAGMENT);
		/* From 16 on it touches no flag, and in UDP there is none. */
		cut(&piece, &packet, 16, 64);
		CU_ASSERT_EQUAL(feed(&engine, path, &piece, &assembly).verdict,
				NAT_CONSUMED);
		whole(&packet, NAT_PROTO_UDP, inbound, 13);
		cut(&piece, &packet, 8, 64);
		CU_ASSERT_EQUAL(feed(&engine, path, &piece, &assembly).verdict,
				NAT_CONSUMED);
	}
	engine_free(&engine);
}

/* RFC 1812 4.3.2.7; the quota would refuse them all with an answer. */
static void no_error_about(void)
{
	struct packet packet, piece;
	struct engine engine;

	engine_make(&engine);
	engine.config.host_mappings = 0;
	whole(&packet, NAT_PROTO_UDP, false, 14);
	cut(&piece, &packet, 64, 64);
	engine.packet = piece;
	CU_ASSERT_EQUAL(engine_run(&engine, NAT_PATH_OUTBOUND).answer_length,
			0);
	cut(&piece, &packet, 0, 64);
	engine.packet = piece;
	CU_ASSERT_NOT_EQUAL(
		engine_run(&engine, NAT_PATH_OUTBOUND).answer_length, 0);
	engine_free(&engine);
}

/* --- ids ------------------------------------------------------------------------------- */

static uint16_t id_after(struct engine *engine, uint32_t host, uint16_t id,
			 uint16_t flags)
{
	packet_udp(&engine->packet, flow_of(host, 5000, PEER_1, 7000), NULL, 4);
	identify(&engine->packet, id, flags);
	ASSERT_TRANSLATED(engine_run(engine, NAT_PATH_OUTBOUND));
	CU_ASSERT_EQUAL(packet_get16(engine->packet.data + 6), flags);
	return packet_get16(engine->packet.data + 4);
}

/* Two hosts that both always use id 1. */
/* All there are but 0, which a raw socket takes for none. */
static void unique_ids(void)
{
	struct nat_portset seen = { { 0 } };
	struct engine engine;
	unsigned again = 0;

	engine_make(&engine);
	engine.unproven = true;
	nat_portset_add(&seen, 0);
	for (uint32_t i = 0; i < UINT16_MAX; i++) {
		uint16_t id =
			id_after(&engine, i % 2 ? INSIDE_1 : INSIDE_2, 1, 0);

		again += nat_portset_has(&seen, id);
		nat_portset_add(&seen, id);
	}
	CU_ASSERT_EQUAL(again, 0);
	engine_free(&engine);
}

static void same_id(void)
{
	struct packet a, b, piece_a, piece_b;
	struct assembly first = { 0 }, second = { 0 };
	struct engine engine;

	/* Two hosts, the same id, the same server, in turn. */
	open_all(&engine);
	whole(&a, NAT_PROTO_UDP, false, 1);
	b = a;
	packet_udp(&b, flow_of(INSIDE_2, 5000, PEER_1, 7000), NULL, 160);
	identify(&b, 1, 0);
	for (uint32_t at = 0; at < 192; at += 64) {
		cut(&piece_a, &a, at, 64);
		cut(&piece_b, &b, at, 64);
		feed(&engine, NAT_PATH_OUTBOUND, &piece_a, &first);
		feed(&engine, NAT_PATH_OUTBOUND, &piece_b, &second);
	}
	CU_ASSERT_TRUE(assembled(&first));
	CU_ASSERT_TRUE(assembled(&second));
	CU_ASSERT_NOT_EQUAL(packet_get16(first.whole.data + 4),
			    packet_get16(second.whole.data + 4));
	engine_free(&engine);
}

static void atomic_ids(void)
{
	struct engine engine;

	engine_make(&engine);
	for (uint32_t id = 0; id < 65536; id += 257)
		CU_ASSERT_EQUAL(id_after(&engine, INSIDE_1, (uint16_t)id, DF),
				id);
	engine_free(&engine);
}

/* DF on a fragment stays on, and it is no atomic datagram. */
static void df_fragments(void)
{
	struct packet packet, piece;
	struct engine engine;

	open_all(&engine);
	whole(&packet, NAT_PROTO_UDP, false, 21);
	packet_set_fragment(&packet, DF);
	cut(&piece, &packet, 0, 64);
	engine.packet = piece;
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	CU_ASSERT_EQUAL(packet_get16(engine.packet.data + 6), DF | MF);
	CU_ASSERT_NOT_EQUAL(packet_get16(engine.packet.data + 4), 21);
	cut(&piece, &packet, 64, 64);
	engine.packet = piece;
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	CU_ASSERT_EQUAL(packet_get16(engine.packet.data + 6), DF | MF | 8);
	engine_free(&engine);
}

/* Every DSCP and ECN, DF on and off, both ways; and the TTL, which is the
 * kernel's. */
static void header_kept(void)
{
	struct engine engine;

	open_all(&engine);
	for (uint32_t tos = 0; tos < 256; tos++)
		for (int i = 0; i < 4; i++) {
			uint16_t flags = i & 1 ? DF : 0;
			bool inbound = i & 2;

			packet_udp(&engine.packet, inbound ? in : out, NULL, 4);
			engine.packet.data[1] = (uint8_t)tos;
			engine.packet.data[8] = 37;
			packet_set_fragment(&engine.packet, flags);
			ASSERT_TRANSLATED(engine_run(
				&engine, inbound ? NAT_PATH_INBOUND :
						   NAT_PATH_OUTBOUND));
			CU_ASSERT_EQUAL(engine.packet.data[1], tos);
			CU_ASSERT_EQUAL(engine.packet.data[8], 37);
			CU_ASSERT_EQUAL(packet_get16(engine.packet.data + 6),
					flags);
		}
	engine_free(&engine);
}

/* A copy that waited before routing is forwarded by us: one hop less, and none
 * with its last hop spent. */
static void hops_counted(void)
{
	struct assembly assembly;
	struct packet packet;
	struct engine engine;

	open_all(&engine);
	for (uint8_t ttl = 1; ttl <= 3; ttl++) {
		whole(&packet, NAT_PROTO_UDP, true, (uint16_t)(30 + ttl));
		packet.data[8] = ttl;
		packet_fix_ip(&packet);
		memset(&assembly, 0, sizeof(assembly));
		cut(&engine.packet, &packet, 64, 128);
		engine_run(&engine, NAT_PATH_INBOUND);
		cut(&engine.packet, &packet, 0, 64);
		CU_ASSERT_TRUE(engine_run(&engine, NAT_PATH_INBOUND).output);
		CU_ASSERT_EQUAL(drain(&engine, &assembly), ttl > 1);
		if (ttl > 1)
			CU_ASSERT_EQUAL(assembly.whole.data[8], ttl - 1);
	}
	engine_free(&engine);
}

static const struct requirement table[] = {
	{ "RFC4787 REQ-14 udp", "MUST",
	  "UDP fragments pass in any order both ways", order_udp, NULL },
	{ "RFC791 3.2 tcp", "MUST", "so do TCP fragments", order_tcp, NULL },
	{ "RFC791 3.2 icmp", "MUST", "and those of pings and their replies",
	  order_icmp, NULL },
	{ "RFC791 3.2 id", "MUST", "datagrams in turn are told apart by id",
	  interleaved, NULL },
	{ "RFC6146 3.4 time", "MUST",
	  "fragments may be 2 s apart at least, 30 s by default", life, NULL },
	{ "RFC6146 3.4 entries", "MUST",
	  "waiting fragments are bounded in number, oldest first out", entries,
	  NULL },
	{ "RFC6146 3.4 bytes", "MUST", "and in bytes", bytes, NULL },
	{ "RFC1858 3", "MUST",
	  "a first TCP fragment without the whole header is dropped", tiny,
	  NULL },
	{ "RFC3128 2", "MUST", "a TCP fragment at offset 8 is dropped",
	  overlapping, NULL },
	{ "RFC1812 4.3.2.7", "MUST NOT", "no ICMP error about a later fragment",
	  no_error_about, NULL },
	{ "RFC6864 5.3.1", "MUST", "65,535 datagrams with DF=0 have 65,535 ids",
	  unique_ids, NULL },
	{ "RFC3022 6.3", "MUST",
	  "two hosts' datagrams of the same id do not mix; one id each",
	  same_id, NULL },
	{ "RFC6864 4.1", "MAY", "atomic datagrams keep their id", atomic_ids,
	  NULL },
	{ "RFC6864 4.3", "MUST NOT",
	  "DF stays, also on fragments, which get a new id", df_fragments,
	  NULL },
	{ "BEHAVE 19.29", "MUST", "DSCP, ECN, DF and TTL pass untouched",
	  header_kept, NULL },
	{ "RFC1812 5.3.1", "MUST",
	  "a fragment that we forward ourselves loses a hop", hops_counted,
	  NULL },
};

int main(int argc, char **argv)
{
	return requirement_run("fragments", table, COUNT(table), argc, argv);
}
