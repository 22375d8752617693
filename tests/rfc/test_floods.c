/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The outside's worst: datagrams, SYNs and fragments by the million (RFC 6146
 * 5.3, RFC 4787 REQ-14a).
 */
#include <string.h>

#include "room.h"
#include "tests/unit/fragment_lab.h"

static const struct flow out = { INSIDE_1, 5000, PEER_1, 7000 };

/* --- floods -------------------------------------------------------------------------- */

#define FLOOD 1000000U

/* Sends a million times what `packet` is, each time from another socket. Not
 * through engine_run(): it would take minutes. */
static void flood(struct engine *engine, struct packet *packet,
		  enum nat_verdict verdict)
{
	struct packet work;
	unsigned other = 0;

	for (uint32_t i = 0; i < FLOOD; i++) {
		struct nat_packet p = { .data = work.data,
					.length = packet->length,
					.path = NAT_PATH_INBOUND };

		memcpy(work.data, packet->data, packet->length);
		packet_put32(work.data + 12, 0x08000000U + i * 13);
		packet_put16(work.data + PACKET_IP, (uint16_t)(i | 1));
		packet_fix_ip(&work);
		engine->now += i % 1000 == 0;
		other += nat_translate(engine->nat, &p, engine->now).verdict !=
			 verdict;
	}
	CU_ASSERT_EQUAL(other, 0);
	CU_ASSERT_PTR_NULL(nat_check(engine->nat));
}

static void same_room(const struct nat_stats *before,
		      const struct nat_stats *after)
{
	CU_ASSERT_EQUAL(after->mappings, before->mappings);
	CU_ASSERT_EQUAL(after->sessions, before->sessions);
	CU_ASSERT_EQUAL(after->hosts, before->hosts);
	CU_ASSERT_EQUAL(
		memcmp(after->ports, before->ports, sizeof(after->ports)), 0);
}

static void udp_flood(void)
{
	struct nat_stats before, after;
	struct nat_mapping_view mapping;
	struct engine engine;
	struct packet packet;

	engine_make(&engine);
	engine_open(&engine, NAT_PROTO_UDP, out);
	before = engine_stats(&engine);
	packet_udp(&packet, flow_of(PEER_3, 1, UPLINK, 5000), NULL, 8);
	packet_put16(packet_l4(&packet) + 6, 0);
	flood(&engine, &packet, NAT_TRANSLATED);
	after = engine_stats(&engine);
	same_room(&before, &after);
	/* Nor is anything kept alive by it. */
	CU_ASSERT_TRUE(engine_mapping(&engine, 5000, &mapping));
	CU_ASSERT_EQUAL(mapping.idle_ms, 1000);
	CU_ASSERT_EQUAL(mapping.expires_ms, 299000);
	engine_free(&engine);
}

/* To a port without mapping, and to a mapping that has not called them. */
static void syn_flood(void)
{
	struct nat_stats before, after;
	struct engine engine;
	struct packet packet;

	for (int mapped = 0; mapped < 2; mapped++) {
		uint16_t port = mapped ? 5000 : 5001;

		engine_make(&engine);
		engine.config.icmp_after_6s = mapped;
		engine_open(&engine, NAT_PROTO_TCP, out);
		before = engine_stats(&engine);
		packet_tcp(&packet, flow_of(PEER_3, 1, UPLINK, port),
			   (struct segment){ .flags = SYN });
		flood(&engine, &packet, NAT_DROPPED);
		after = engine_stats(&engine);
		same_room(&before, &after);
		engine_free(&engine);
	}
}

/* The half of the host's sessions (and of the 512 of one mapping) that strangers
 * can have of a forward ends with the opening timer. */
static void forward_flood(void)
{
	static const struct nat_forward web = { .name = "web",
						.proto = NAT_PROTO_TCP,
						.outside_first = 80,
						.outside_last = 80,
						.inside_addr = INSIDE_1,
						.inside_first = 80 };
	struct engine engine;

	room_make(&engine, room_limits(4096));
	engine.config.forwards = &web;
	engine.config.forward_count = 1;
	engine_configure(&engine);
	for (uint32_t i = 0; i < 5000; i++)
		engine_tcp(&engine, NAT_PATH_INBOUND,
			   flow_of(0x08000000U + i, 1000, UPLINK, 80), SYN);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 256);
	/* The host itself is not kept from opening. */
	CU_ASSERT_NOT_EQUAL(engine_open(&engine, NAT_PROTO_TCP, out), 0);
	bench_later(&engine, 240 * SECOND - 1);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 257);
	bench_later(&engine, 1);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 0);
	room_free(&engine);
}

/* 100,000 fragments without a first one, in one second, while a flow goes on:
 * whole packets, and datagrams whose later fragments come between. */
static void orphans(void)
{
	struct assembly assembly = { 0 };
	struct engine engine;
	struct packet orphan, packet, piece;
	unsigned lost = 0;

	room_make(&engine, room_limits(64));
	engine_open(&engine, NAT_PROTO_UDP, out);
	whole_udp(&packet, flow_of(PEER_1, 7000, UPLINK, 5000), 160, 1);
	cut(&piece, &packet, 0, 64);
	feed(&engine, NAT_PATH_INBOUND, &piece, &assembly);
	cut(&orphan, &packet, 64, 64);
	for (uint32_t i = 0; i < 100000; i++) {
		packet_put32(orphan.data + 12, 0x08000000U + i);
		packet_fix_ip(&orphan);
		engine.packet = orphan;
		engine_run(&engine, NAT_PATH_INBOUND);
		engine.now += i % 100 == 0;
		if (i % 100 == 0)
			lost += engine_answer(&engine, NAT_PROTO_UDP, PEER_1,
					      7000, 5000)
					.verdict != NAT_TRANSLATED;
	}
	CU_ASSERT_EQUAL(lost, 0);
	cut(&piece, &packet, 64, 128);
	feed(&engine, NAT_PATH_INBOUND, &piece, &assembly);
	CU_ASSERT_TRUE(assembled(&assembly));
	room_free(&engine);
}

static const struct requirement table[] = {
	{ "RFC6146 5.3 udp", "MUST",
	  "a million spoofed UDP datagrams leave the tables as they were",
	  udp_flood, NULL },
	{ "RFC6146 5.3 syn", "MUST", "so do a million unsolicited SYNs",
	  syn_flood, NULL },
	{ "BEHAVE 19.9 syn", "MUST",
	  "sessions that strangers open by a forward are bounded",
	  forward_flood, NULL },
	{ "RFC4787 REQ-14a orphans", "MUST",
	  "100,000 orphan fragments do not disturb a flow", orphans, NULL },
};

int main(int argc, char **argv)
{
	return requirement_run("floods", table, COUNT(table), argc, argv);
}
