/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a step does to a packet that was right: options, fragments, damage.
 */
#include <string.h>

#include "tests/unit/packets_other.h"
#include "world.h"

static uint32_t header_bytes(const struct packet *packet)
{
	return (packet->data[0] & 15) * 4U;
}

/* Is there a transport header behind a sound IP header? */
static bool has_l4(const struct packet *packet, uint32_t bytes)
{
	uint32_t header = header_bytes(packet);

	return packet->length >= PACKET_IP && packet->data[0] >> 4 == 4 &&
	       header >= PACKET_IP && packet->length >= header + bytes &&
	       packet_get16(packet->data + 2) == packet->length;
}

void build_sum(struct packet *packet)
{
	static const struct {
		uint8_t proto;
		uint8_t bytes; /* that the checksum's end needs */
	} kinds[] = { { NAT_PROTO_TCP, 18 },
		      { NAT_PROTO_UDP, 8 },
		      { NAT_PROTO_ICMP, 4 },
		      { NAT_PROTO_SCTP, 12 } };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (has_l4(packet, kinds[i].bytes) &&
		    packet->data[9] == kinds[i].proto) {
			if (kinds[i].proto == NAT_PROTO_SCTP)
				packet_fix_sctp(packet);
			else
				packet_fix_icmp(packet); /* any of the three */
			return;
		}
}

static void fix_ip(struct packet *packet)
{
	uint32_t header = header_bytes(packet);

	if (header >= PACKET_IP && header <= packet->length)
		packet_fix_ip(packet);
}

/* --- options --------------------------------------------------------------- */

/* Router alert, record route, timestamp, both source routes, security, one
 * that nobody knows, one that is longer than its place. */
static const uint8_t ip_options[8][4] = {
	{ 148, 4, 0, 0 }, { 7, 3, 4, 0 },   { 68, 4, 5, 0 },  { 131, 3, 4, 0 },
	{ 137, 3, 4, 0 }, { 130, 4, 0, 0 }, { 200, 2, 1, 0 }, { 148, 9, 0, 0 },
};

static void add_ip_option(const struct step *step, struct packet *packet)
{
	const uint8_t *field = step->field;
	uint32_t words = 1 + (field[STEP_OPTIONS] >> 3 & 7);

	if (!has_l4(packet, 0) || header_bytes(packet) != PACKET_IP)
		return;
	packet_add_options(packet, words); /* of no operation */
	memcpy(packet->data + PACKET_IP + (words - 1) * 4U,
	       ip_options[field[STEP_OPTIONS] & 7], 4);
	if (field[STEP_MORE] & 1)
		packet->data[PACKET_IP + (words - 1) * 4U + 1] =
			field[STEP_LAST];
	packet_fix_ip(packet);
}

/* Maximum segment size, window scale, timestamps, SACK permitted, end of list,
 * and some that contradict themselves. */
static const uint8_t tcp_options[8][4] = {
	{ 2, 4, 5, 180 }, { 3, 3, 7, 0 }, { 8, 10, 0, 0 }, { 4, 2, 1, 1 },
	{ 0, 0, 0, 0 },	  { 3, 0, 7, 0 }, { 2, 1, 0, 0 },  { 3, 200, 1, 1 },
};

/* Four bytes of options are put behind the ports' header. */
static void add_tcp_option(const struct step *step, struct packet *packet)
{
	const uint8_t *option = tcp_options[step->field[STEP_OPTIONS] & 7];
	uint32_t header = header_bytes(packet);
	uint8_t *l4 = packet->data + header;
	uint32_t at;

	if (packet->data[9] != NAT_PROTO_TCP || !has_l4(packet, 20) ||
	    l4[12] >> 4 > 14 || packet->length < header + (l4[12] >> 4) * 4U)
		return;
	at = (l4[12] >> 4) * 4U;
	memmove(l4 + at + 4, l4 + at, packet->length - header - at);
	memcpy(l4 + at, option, 4);
	l4[12] = (uint8_t)(l4[12] + 0x10);
	packet->length += 4;
	packet_put16(packet->data + 2, (uint16_t)packet->length);
	packet_fix_ip(packet);
	build_sum(packet);
}

/* --- fragments ------------------------------------------------------------- */

/* The first part keeps its header; the others are bytes of the same protocol,
 * addresses and id. */
static void make_fragment(const struct step *step, struct packet *packet)
{
	uint8_t how = step->field[STEP_FRAGMENT];
	uint16_t offset = how >> 3 & 7; /* 0: the first, or an attack */
	uint32_t header = header_bytes(packet);

	if (!has_l4(packet, 0))
		return;
	packet_put16(packet->data + 4, how & 3); /* few ids: they meet */
	if (how & 4 && packet->length > header + 8)
		packet->length = header + (packet->length - header) / 8 * 8;
	if (how >> 6 == 3 && packet->length > header + 8)
		packet->length = header + 8; /* a tiny one */
	packet_put16(packet->data + 2, (uint16_t)packet->length);
	packet_set_fragment(packet,
			    (uint16_t)((how & 4 ? 0x2000 : 0) | offset));
}

/* --- damage ---------------------------------------------------------------- */

static void cut(const struct step *step, struct packet *packet)
{
	packet->length =
		(uint32_t)step->field[STEP_WHERE] * packet->length / 256;
	if (step->field[STEP_VALUE] & 1 && packet->length >= PACKET_IP) {
		packet_put16(packet->data + 2, (uint16_t)packet->length);
		fix_ip(packet);
	}
}

/* Behind the end that the header tells of. */
static void pad(const struct step *step, struct packet *packet)
{
	uint32_t bytes = step->field[STEP_VALUE] % 32;

	memset(packet->data + packet->length, 0, bytes);
	packet->length += bytes;
}

static void set_byte(const struct step *step, struct packet *packet)
{
	if (packet->length)
		packet->data[step->field[STEP_WHERE] % packet->length] =
			step->field[STEP_VALUE];
}

static void flip_bit(const struct step *step, struct packet *packet)
{
	if (packet->length)
		packet->data[step->field[STEP_WHERE] % packet->length] ^=
			(uint8_t)(1U << (step->field[STEP_VALUE] & 7));
}

/* Right checksums over wrong contents lead further in. */
static void set_and_mend(const struct step *step, struct packet *packet)
{
	set_byte(step, packet);
	fix_ip(packet);
	build_sum(packet);
}

static void set_and_mend_ip(const struct step *step, struct packet *packet)
{
	set_byte(step, packet);
	fix_ip(packet);
}

static void (*const damages[])(const struct step *, struct packet *) = {
	set_and_mend, set_and_mend_ip, set_byte, flip_bit, cut, pad,
};

#define DAMAGED 208 /* values from here on damage */

bool build_bend(const struct step *step, const struct emphasis *emphasis,
		struct packet *packet)
{
	const uint8_t *field = step->field;
	uint8_t damage = field[STEP_DAMAGE];
	size_t kinds = sizeof(damages) / sizeof(damages[0]);

	if (255 - field[STEP_OPTIONS] < emphasis->options) {
		if (field[STEP_FRAGMENT] & 1)
			add_tcp_option(step, packet);
		else
			add_ip_option(step, packet);
	}
	if (field[STEP_LAST] == 77 && has_l4(packet, 0)) { /* no DF: a new id */
		packet_put16(packet->data + 6, 0);
		packet_fix_ip(packet);
	}
	if (damage < emphasis->fragments)
		make_fragment(step, packet);
	if (damage < DAMAGED)
		return true;
	damages[(damage - DAMAGED) % kinds](step, packet);
	return false;
}
