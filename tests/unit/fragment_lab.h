/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Datagrams in pieces: cutting them, sending the pieces through an engine in
 * any order, and putting together what leaves it.
 */
#ifndef PORTICO_TESTS_FRAGMENT_LAB_H
#define PORTICO_TESTS_FRAGMENT_LAB_H

#include <string.h>

#include "engine.h"

#define DF 0x4000U
#define MF 0x2000U

/* Sets id and flags of a whole datagram. */
static inline void identify(struct packet *packet, uint16_t id, uint16_t flags)
{
	packet_put16(packet->data + 4, id);
	packet_set_fragment(packet, flags);
}

/* A datagram that may be cut: DF is not set. */
static inline void whole_udp(struct packet *packet, struct flow flow,
			     uint32_t bytes, uint16_t id)
{
	packet_udp(packet, flow, NULL, bytes);
	identify(packet, id, 0);
}

/* The piece of `bytes` bytes at offset `at` (a multiple of 8) behind the
 * header of 20 bytes; MF unless it is the last. */
static inline void cut(struct packet *piece, const struct packet *whole,
		       uint32_t at, uint32_t bytes)
{
	uint32_t left = whole->length - PACKET_IP - at;
	uint16_t flags = packet_get16(whole->data + 6) & DF;

	if (bytes < left)
		flags |= MF;
	else
		bytes = left;
	memcpy(piece->data, whole->data, PACKET_IP);
	memcpy(piece->data + PACKET_IP, whole->data + PACKET_IP + at, bytes);
	piece->length = PACKET_IP + bytes;
	packet_put16(piece->data + 2, (uint16_t)piece->length);
	packet_set_fragment(piece, (uint16_t)(flags | at / 8));
}

/* What the receiver puts together again. */
struct assembly {
	struct packet whole;
	uint32_t got; /* bytes */
	uint32_t total; /* 0: the last piece has not come */
	uint32_t pieces;
	bool mixed; /* pieces of different datagrams */
};

static inline void assemble(struct assembly *a, const uint8_t *piece,
			    uint32_t length)
{
	uint16_t field = packet_get16(piece + 6);
	uint32_t at = (field & 0x1fffU) * 8, bytes = length - PACKET_IP;

	CU_ASSERT_TRUE(packet_ip_good(piece, length));
	if (!a->pieces++)
		memcpy(a->whole.data, piece, PACKET_IP);
	/* Source, destination, protocol and id make the datagram. */
	a->mixed |= memcmp(a->whole.data + 4, piece + 4, 2) ||
		    a->whole.data[9] != piece[9] ||
		    memcmp(a->whole.data + 12, piece + 12, 8);
	memcpy(a->whole.data + PACKET_IP + at, piece + PACKET_IP, bytes);
	a->got += bytes;
	if (!(field & MF))
		a->total = at + bytes;
}

/* All of it is there and its transport checksum is right. */
static inline bool assembled(struct assembly *a)
{
	if (!a->total || a->got != a->total || a->mixed)
		return false;
	a->whole.length = PACKET_IP + a->total;
	packet_put16(a->whole.data + 2, (uint16_t)a->whole.length);
	packet_set_fragment(&a->whole, 0);
	return !packet_wrong(a->whole.data, a->whole.length);
}

/* Takes everything the engine has to send of its own. */
static inline uint32_t drain(struct engine *engine, struct assembly *a)
{
	const uint8_t *packet;
	uint32_t length, count = 0;

	while (nat_next_output(engine->nat, engine->now, &packet, &length)) {
		assemble(a, packet, length);
		count++;
	}
	return count;
}

/* Sends one piece and collects what comes out for it. */
static inline struct nat_result feed(struct engine *engine, enum nat_path path,
				     const struct packet *piece,
				     struct assembly *a)
{
	struct nat_result result;

	engine->packet = *piece;
	result = engine_run(engine, path);
	if (result.verdict == NAT_TRANSLATED)
		assemble(a, engine->packet.data, engine->packet.length);
	if (result.output)
		CU_ASSERT_TRUE(drain(engine, a) > 0);
	return result;
}

/* Sends the pieces of 64 bytes in the order of the digits, "201". */
static inline void feed_order(struct engine *engine, enum nat_path path,
			      const struct packet *whole, const char *order,
			      struct assembly *a)
{
	struct packet piece;

	memset(a, 0, sizeof(*a));
	for (; *order; order++) {
		cut(&piece, whole, (uint32_t)(*order - '0') * 64, 64);
		feed(engine, path, &piece, a);
	}
}

static const char *const all_orders[] = { "012", "021", "102",
					  "120", "201", "210" };

#endif
