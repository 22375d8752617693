/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reading tags. The formats: SCTP RFC 9260 3, GRE RFC 2784 2 and RFC 2890 2,
 * PPTP's GRE RFC 2637 4.1, ESP RFC 4303 2.
 */
#include "tag.h"

#include "bytes.h"
#include "cursor.h"
#include "parse.h"

#define QUOTED 8U /* RFC 792: what every error quotes of the transport part */

/* --- SCTP ---------------------------------------------------------------- */

enum { SCTP_TAG = 4, SCTP_HEADER = 12 };
enum { CHUNK_INIT = 1, CHUNK_INIT_ACK = 2, CHUNK_ABORT = 6 };
enum { CHUNK_SHUTDOWN_COMPLETE = 14, CHUNK_T_BIT = 1 };
enum { CHUNK_TYPE = 0, CHUNK_FLAGS = 1, CHUNK_LENGTH = 2, CHUNK_HEADER = 4 };
/* INIT and INIT-ACK: fixed part with its chunk header; the tag comes first. */
enum { INIT_TAG = 4, INIT_BYTES = 20 };
#define PARAMETER_NO_RESTART 0xc007U

/* Chunks and parameters begin at multiples of 4 (RFC 9260 3.2, 3.2.1). */
static uint32_t padded(uint32_t length)
{
	return (length + 3) & ~3U;
}

/* Looks for Disable-Restart among the parameters of an INIT. */
static bool has_no_restart(struct nat_cursor cursor)
{
	const uint8_t *parameter;
	uint32_t length;

	while ((parameter = nat_cursor_peek(&cursor, 4))) {
		length = nat_load16(parameter + 2);
		if (nat_load16(parameter) == PARAMETER_NO_RESTART)
			return true;
		if (length < 4 || !nat_cursor_take(&cursor, padded(length)))
			return false;
	}
	return false;
}

/* INIT and INIT-ACK stand alone in their packet (RFC 9260 6.10); an INIT's tag
 * is 0, and no other's (8.5.1); a declared tag is never 0 (3.3.2). */
static enum nat_tag_outcome read_init(struct nat_cursor chunk,
				      struct nat_tag *tag)
{
	const uint8_t *init = nat_cursor_peek(&chunk, INIT_BYTES);
	uint32_t length;

	if (!init)
		return NAT_TAG_SHORT;
	length = nat_load16(init + CHUNK_LENGTH);
	tag->initiates = init[CHUNK_TYPE] == CHUNK_INIT;
	tag->declares = true;
	tag->declared = nat_load32(init + INIT_TAG);
	if (!tag->declared || tag->initiates == (tag->value != 0) ||
	    padded(length) < chunk.left)
		return NAT_TAG_BAD;
	nat_cursor_limit(&chunk, length);
	if (!nat_cursor_take(&chunk, INIT_BYTES))
		return NAT_TAG_BAD;
	tag->no_restart = has_no_restart(chunk);
	return NAT_TAG_GOOD;
}

static enum nat_tag_outcome read_sctp(struct nat_cursor cursor, bool quoted,
				      struct nat_tag *tag)
{
	const uint8_t *header = nat_cursor_peek(&cursor, QUOTED);
	const uint8_t *chunk;

	if (!header)
		return NAT_TAG_SHORT;
	tag->present = true;
	tag->value = nat_load32(header + SCTP_TAG);
	if (!nat_load16(header + L4_SRC) || !nat_load16(header + L4_DST))
		return NAT_TAG_BAD;
	if (quoted)
		return NAT_TAG_GOOD;
	if (!nat_cursor_take(&cursor, SCTP_HEADER))
		return NAT_TAG_SHORT;
	chunk = nat_cursor_peek(&cursor, CHUNK_HEADER);
	if (!chunk)
		return NAT_TAG_SHORT;
	if (chunk[CHUNK_TYPE] == CHUNK_INIT ||
	    chunk[CHUNK_TYPE] == CHUNK_INIT_ACK)
		return read_init(cursor, tag);
	tag->reflected = (chunk[CHUNK_TYPE] == CHUNK_ABORT ||
			  chunk[CHUNK_TYPE] == CHUNK_SHUTDOWN_COMPLETE) &&
			 chunk[CHUNK_FLAGS] & CHUNK_T_BIT;
	return tag->value ? NAT_TAG_GOOD : NAT_TAG_BAD;
}

/* CRC32c, four bits at a time: 64 bytes of table. It is needed for the first
 * packet of an association, and for what a local sender left to its device. */
static uint32_t crc32c(const uint8_t *sctp, uint32_t length)
{
	static const uint32_t table[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
		0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
		0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
		0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};
	uint32_t crc = 0xffffffff;

	for (uint32_t i = 0; i < length; i++) {
		/* The field itself counts as zero (offsets 8 to 11). */
		crc ^= i >= 8 && i < SCTP_HEADER ? 0 : sctp[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return ~crc;
}

/* It is sent with its low byte first. */
static uint32_t swapped(uint32_t value)
{
	return value << 24 | (value & 0xff00) << 8 | (value >> 8 & 0xff00) |
	       value >> 24;
}

bool nat_crc32c_good(const uint8_t *sctp, uint32_t length)
{
	return nat_load32(sctp + 8) == swapped(crc32c(sctp, length));
}

void nat_crc32c_store(uint8_t *sctp, uint32_t length)
{
	nat_store32(sctp + 8, swapped(crc32c(sctp, length)));
}

/* --- GRE ----------------------------------------------------------------- */

#define GRE_CHECKSUM 0x8000U
#define GRE_ROUTING 0x4000U
#define GRE_KEY 0x2000U
#define GRE_SEQUENCE 0x1000U
#define GRE_VERSION 0x0007U
#define GRE_PPP 0x880bU
#define GRE_IPV4 0x0800U
enum { GRE_HEADER = 4, GRE_PPTP_CALL = 6, GRE_PROTOCOL = 2 };

static uint32_t checksum_bytes(uint16_t flags)
{
	return flags & GRE_CHECKSUM ? 4 : 0;
}

static enum nat_tag_outcome read_key(struct nat_cursor cursor, uint16_t flags,
				     bool quoted, struct nat_tag *tag)
{
	uint32_t at = GRE_HEADER + checksum_bytes(flags);
	const uint8_t *header = nat_cursor_peek(&cursor, at + 4);

	tag->kind = NAT_TAG_GRE;
	if (flags & GRE_ROUTING) /* RFC 2784 2.3: given up */
		return NAT_TAG_STRANGE;
	if (!(flags & GRE_KEY))
		return NAT_TAG_GOOD;
	if (!header)
		return quoted ? NAT_TAG_GOOD : NAT_TAG_SHORT;
	tag->present = true;
	tag->value = nat_load32(header + at);
	return NAT_TAG_GOOD;
}

static enum nat_tag_outcome read_gre(struct nat_cursor cursor, bool quoted,
				     struct nat_tag *tag)
{
	const uint8_t *header = nat_cursor_peek(&cursor, GRE_HEADER);
	uint16_t flags;

	if (!header)
		return NAT_TAG_SHORT;
	flags = nat_load16(header);
	if ((flags & GRE_VERSION) == 0)
		return read_key(cursor, flags, quoted, tag);
	if ((flags & GRE_VERSION) != 1 || !(flags & GRE_KEY) ||
	    nat_load16(header + GRE_PROTOCOL) != GRE_PPP)
		return NAT_TAG_STRANGE;
	if (!nat_cursor_peek(&cursor, QUOTED))
		return NAT_TAG_SHORT;
	tag->kind = NAT_TAG_PPTP;
	tag->present = true;
	tag->value = nat_load16(header + GRE_PPTP_CALL);
	return NAT_TAG_GOOD;
}

uint32_t nat_gre_inner(const uint8_t *gre, uint32_t length)
{
	uint32_t before;
	uint16_t flags;

	if (length < GRE_HEADER)
		return 0;
	flags = nat_load16(gre);
	before = GRE_HEADER + checksum_bytes(flags) +
		 (flags & GRE_KEY ? 4U : 0U) + (flags & GRE_SEQUENCE ? 4U : 0U);
	if (nat_load16(gre + GRE_PROTOCOL) != GRE_IPV4 ||
	    flags & (GRE_ROUTING | GRE_VERSION) || before >= length)
		return 0;
	return before;
}

/* --- ESP ----------------------------------------------------------------- */

static enum nat_tag_outcome read_esp(struct nat_cursor cursor,
				     struct nat_tag *tag)
{
	const uint8_t *header = nat_cursor_peek(&cursor, QUOTED);

	if (!header)
		return NAT_TAG_SHORT;
	tag->present = true;
	tag->value = nat_load32(header);
	/* 0 is for local use, never on the wire (RFC 4303 2.1). */
	return tag->value ? NAT_TAG_GOOD : NAT_TAG_BAD;
}

bool nat_is_tagged(uint8_t proto)
{
	return proto == NAT_PROTO_SCTP || proto == NAT_PROTO_GRE ||
	       proto == NAT_PROTO_ESP;
}

enum nat_tag_outcome nat_tag_read(uint8_t proto, uint8_t *l4, uint32_t length,
				  bool quoted, struct nat_tag *tag)
{
	struct nat_cursor cursor = nat_cursor(l4, length);

	*tag = (struct nat_tag){ .kind = NAT_TAG_SCTP };
	if (proto == NAT_PROTO_SCTP)
		return read_sctp(cursor, quoted, tag);
	if (proto == NAT_PROTO_GRE)
		return read_gre(cursor, quoted, tag);
	tag->kind = NAT_TAG_ESP;
	return read_esp(cursor, tag);
}
