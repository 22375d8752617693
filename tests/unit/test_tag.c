/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reading tags: every length, headers that contradict themselves, quotes; and
 * SCTP's checksum against the slow one and known values.
 */
#include "nat/tag.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dice.h"
#include "packets_other.h"
#include "suite.h"

static const struct flow out = { INSIDE_1, 5000, PEER_1, 7000 };

/* Reads the first `bytes` bytes of the transport part, in a buffer that ends
 * there. */
static enum nat_tag_outcome read_cut(struct packet *packet, uint32_t bytes,
				     bool quoted, struct nat_tag *tag)
{
	uint8_t *exact = malloc(bytes ? bytes : 1);
	enum nat_tag_outcome outcome;

	if (!exact)
		abort();
	memcpy(exact, packet_l4(packet), bytes);
	outcome = nat_tag_read(packet->data[9], exact, bytes, quoted, tag);
	free(exact);
	return outcome;
}

static enum nat_tag_outcome read_tag(struct packet *packet, struct nat_tag *tag)
{
	return read_cut(packet, packet->length - PACKET_IP, false, tag);
}

static enum nat_tag_outcome outcome_of(struct packet *packet)
{
	struct nat_tag tag;

	return read_tag(packet, &tag);
}

/* --- CRC32c ------------------------------------------------------------- */

static void test_vectors(void)
{
	uint8_t bytes[32];

	/* The check value, and RFC 3720 B.4. */
	CU_ASSERT_EQUAL(packet_crc32c((const uint8_t *)"123456789", 9),
			0xe3069283);
	memset(bytes, 0, sizeof(bytes));
	CU_ASSERT_EQUAL(packet_crc32c(bytes, 32), 0x8a9136aa);
	memset(bytes, 0xff, sizeof(bytes));
	CU_ASSERT_EQUAL(packet_crc32c(bytes, 32), 0x62a8ab43);
	for (uint8_t i = 0; i < 32; i++)
		bytes[i] = i;
	CU_ASSERT_EQUAL(packet_crc32c(bytes, 32), 0x46dd794e);
}

static void test_zero_packet(void)
{
	uint8_t packet[32] = { 0 };

	/* 32 bytes of 0, the field among them: aa 36 91 8a (RFC 3720 B.4). */
	nat_crc32c_store(packet, sizeof(packet));
	CU_ASSERT_EQUAL(packet_get32(packet + 8), 0xaa36918a);
	CU_ASSERT_TRUE(nat_crc32c_good(packet, sizeof(packet)));
}

static void test_crc_agrees(void)
{
	struct dice dice = { 1 };
	struct packet packet;

	for (uint16_t bytes = 0; bytes < 300; bytes++) {
		uint8_t *l4 = packet_l4(&packet);
		uint32_t length, stored;

		packet_sctp(&packet, out,
			    (struct sctp){ .tag = (uint32_t)dice_next(&dice),
					   .bytes = bytes });
		length = packet.length - PACKET_IP;
		l4 = packet_l4(&packet);
		stored = packet_get32(l4 + 8);
		CU_ASSERT_TRUE(nat_crc32c_good(l4, length));
		packet_put32(l4 + 8, (uint32_t)dice_next(&dice));
		CU_ASSERT_FALSE(nat_crc32c_good(l4, length));
		nat_crc32c_store(l4, length);
		CU_ASSERT_EQUAL(packet_get32(l4 + 8), stored);
		l4[dice_roll(&dice, length)] ^= 0x10;
		CU_ASSERT_FALSE(nat_crc32c_good(l4, length));
	}
}

/* --- lengths ------------------------------------------------------------ */

enum { DATA, INIT, INIT_ACK, GRE, GRE_KEY, GRE_ALL, PPTP, ESP, SHAPES };

/* What is needed of each; in a quote, 8 bytes of whatever there is. */
static const struct {
	const char *name;
	uint32_t whole;
	uint32_t quoted;
	uint32_t value;
	uint32_t value_at; /* with fewer bytes a quote does not tell it */
} shapes[SHAPES] = {
	[DATA] = { "SCTP DATA", 16, 8, 0xabcd1234, 8 },
	[INIT] = { "SCTP INIT", 32, 8, 0, 8 },
	[INIT_ACK] = { "SCTP INIT-ACK", 32, 8, 0xabcd1234, 8 },
	[GRE] = { "GRE", 4, 4, 0, UINT32_MAX },
	[GRE_KEY] = { "GRE with key", 8, 4, 0xabcd1234, 8 },
	[GRE_ALL] = { "GRE with checksum and key", 12, 4, 0xabcd1234, 12 },
	[PPTP] = { "PPTP", 8, 8, 0x1234, 8 },
	[ESP] = { "ESP", 8, 8, 0xabcd1234, 8 },
};

static void build(struct packet *packet, int shape)
{
	const uint32_t tag = 0xabcd1234;

	if (shape == DATA)
		packet_sctp(packet, out,
			    (struct sctp){ .tag = tag, .bytes = 30 });
	else if (shape == INIT || shape == INIT_ACK)
		packet_sctp_init(packet, out,
				 (struct sctp_init){ .ack = shape == INIT_ACK,
						     .tag = shape == INIT ? 0 :
									    tag,
						     .declared = 0x55667788 });
	else if (shape == PPTP)
		packet_pptp(packet, out.src, out.dst, 0x1234, 30);
	else if (shape == ESP)
		packet_esp(packet, out.src, out.dst, tag, 30);
	else
		packet_gre(packet, out.src, out.dst,
			   (struct gre){ .keyed = shape != GRE,
					 .key = tag,
					 .checksum = shape == GRE_ALL,
					 .sequenced = shape == GRE_ALL,
					 .bytes = 30 });
}

static void check_length(int shape, uint32_t bytes, bool quoted)
{
	uint32_t needed = quoted ? shapes[shape].quoted : shapes[shape].whole;
	struct packet packet;
	struct nat_tag tag;
	enum nat_tag_outcome outcome;
	bool good;

	build(&packet, shape);
	outcome = read_cut(&packet, bytes, quoted, &tag);
	good = outcome == (bytes < needed ? NAT_TAG_SHORT : NAT_TAG_GOOD);
	if (good && outcome == NAT_TAG_GOOD)
		good = tag.present == (bytes >= shapes[shape].value_at) &&
		       (!tag.present || tag.value == shapes[shape].value);
	CU_ASSERT_TRUE(good);
	if (!good)
		printf("%s, %u bytes%s: outcome %d, present %d, %#x\n",
		       shapes[shape].name, bytes, quoted ? " quoted" : "",
		       outcome, tag.present, tag.value);
}

static void test_lengths(void)
{
	struct packet packet;

	for (int shape = 0; shape < SHAPES; shape++) {
		build(&packet, shape);
		for (uint32_t i = 0; i <= packet.length - PACKET_IP; i++) {
			check_length(shape, i, false);
			check_length(shape, i, true);
		}
	}
}

static void test_kinds(void)
{
	static const uint8_t kinds[SHAPES] = {
		[DATA] = NAT_TAG_SCTP,	   [INIT] = NAT_TAG_SCTP,
		[INIT_ACK] = NAT_TAG_SCTP, [GRE] = NAT_TAG_GRE,
		[GRE_KEY] = NAT_TAG_GRE,   [GRE_ALL] = NAT_TAG_GRE,
		[PPTP] = NAT_TAG_PPTP,	   [ESP] = NAT_TAG_ESP,
	};
	struct packet packet;
	struct nat_tag tag;

	for (int shape = 0; shape < SHAPES; shape++) {
		build(&packet, shape);
		CU_ASSERT_EQUAL(read_tag(&packet, &tag), NAT_TAG_GOOD);
		CU_ASSERT_EQUAL(tag.kind, kinds[shape]);
		CU_ASSERT_EQUAL(tag.initiates, shape == INIT);
		CU_ASSERT_EQUAL(tag.declares,
				shape == INIT || shape == INIT_ACK);
		CU_ASSERT_EQUAL(tag.declared, tag.declares ? 0x55667788 : 0);
		CU_ASSERT_FALSE(tag.reflected);
		CU_ASSERT_FALSE(tag.no_restart);
	}
}

/* --- SCTP --------------------------------------------------------------- */

static void init(struct packet *packet, bool ack, bool no_restart)
{
	packet_sctp_init(packet, out,
			 (struct sctp_init){ .ack = ack,
					     .tag = ack ? 9 : 0,
					     .declared = 8,
					     .no_restart = no_restart });
}

static void test_contradictions(void)
{
	struct packet packet;

	for (int ack = 0; ack < 2; ack++) {
		init(&packet, ack, false); /* RFC 9260 3.3.2: never 0 */
		packet_put32(packet_l4(&packet) + 16, 0);
		CU_ASSERT_EQUAL(outcome_of(&packet), NAT_TAG_BAD);
		for (uint16_t length = 0; length < 20; length++) {
			init(&packet, ack, false);
			packet_put16(packet_l4(&packet) + 14, length);
			CU_ASSERT_EQUAL(outcome_of(&packet), NAT_TAG_BAD);
		}
	}
	init(&packet, false, false); /* RFC 9260 8.5.1 (A) */
	packet_put32(packet_l4(&packet) + 4, 1);
	CU_ASSERT_EQUAL(outcome_of(&packet), NAT_TAG_BAD);
	for (int type = 0; type < 256; type++) {
		if (type == SCTP_INIT)
			continue;
		init(&packet, true, false);
		packet_put32(packet_l4(&packet) + 4, 0);
		packet_l4(&packet)[12] = (uint8_t)type;
		CU_ASSERT_EQUAL(outcome_of(&packet), NAT_TAG_BAD);
	}
	for (int port = 0; port < 2; port++) {
		init(&packet, false, false);
		packet_put16(packet_l4(&packet) + port * 2, 0);
		CU_ASSERT_EQUAL(outcome_of(&packet), NAT_TAG_BAD);
	}
}

/* RFC 9260 6.10, 8.5.1: neither INIT nor INIT-ACK has company. */
static void test_alone(void)
{
	static const uint8_t data[] = { 0, 3, 0, 8, 1, 2, 3, 4 };
	struct packet packet;

	for (int ack = 0; ack < 2; ack++) {
		init(&packet, ack, false);
		packet_append(&packet, data, sizeof(data));
		CU_ASSERT_EQUAL(outcome_of(&packet), NAT_TAG_BAD);
		/* Padding to a multiple of 4 is no company. */
		init(&packet, ack, false);
		packet_put16(packet_l4(&packet) + 14, 21);
		packet_append(&packet, data, 4);
		CU_ASSERT_EQUAL(outcome_of(&packet), NAT_TAG_GOOD);
	}
}

static bool bears(struct packet *packet)
{
	struct nat_tag tag;

	CU_ASSERT_EQUAL(read_tag(packet, &tag), NAT_TAG_GOOD);
	return tag.no_restart;
}

static void test_no_restart(void)
{
	const uint32_t parameters = PACKET_IP + 12 + 20;
	struct packet packet;

	init(&packet, false, true);
	CU_ASSERT_TRUE(bears(&packet));
	init(&packet, true, true);
	CU_ASSERT_TRUE(bears(&packet));
	/* Behind a parameter of no length, or of too much. */
	packet_put16(packet.data + parameters + 2, 0);
	CU_ASSERT_FALSE(bears(&packet));
	packet_put16(packet.data + parameters + 2, 3);
	CU_ASSERT_FALSE(bears(&packet));
	packet_put16(packet.data + parameters + 2, 0xffff);
	CU_ASSERT_FALSE(bears(&packet));
	/* A value that looks like it inside another parameter. */
	packet_put16(packet.data + parameters + 2, 12);
	CU_ASSERT_FALSE(bears(&packet));
	/* Cut off by the chunk's length. */
	init(&packet, false, true);
	packet_put16(packet_l4(&packet) + 14, 20 + 8);
	packet.length -= 4;
	CU_ASSERT_FALSE(bears(&packet));
}

static void test_reflected(void)
{
	struct packet packet;
	struct nat_tag tag;

	for (int type = 3; type < 256; type++)
		for (int flags = 0; flags < 4; flags++) {
			packet_sctp(&packet, out,
				    (struct sctp){ .tag = 7,
						   .type = (uint8_t)type,
						   .flags = (uint8_t)flags });
			CU_ASSERT_EQUAL(read_tag(&packet, &tag), NAT_TAG_GOOD);
			CU_ASSERT_EQUAL(tag.reflected,
					(type == SCTP_ABORT ||
					 type == SCTP_SHUTDOWN_COMPLETE) &&
						(flags & 1));
		}
}

/* --- GRE, ESP ----------------------------------------------------------- */

static enum nat_tag_outcome gre_outcome(uint16_t flags, uint16_t protocol)
{
	struct packet packet;

	packet_other(&packet, out.src, out.dst, NAT_PROTO_GRE, 40);
	packet_put16(packet_l4(&packet), flags);
	packet_put16(packet_l4(&packet) + 2, protocol);
	return outcome_of(&packet);
}

static void test_strange_gre(void)
{
	CU_ASSERT_EQUAL(gre_outcome(0x0000, 0x0800), NAT_TAG_GOOD);
	CU_ASSERT_EQUAL(gre_outcome(0x3001, 0x880b), NAT_TAG_GOOD);
	CU_ASSERT_EQUAL(gre_outcome(0x2001, 0x880b), NAT_TAG_GOOD);
	/* RFC 1701's source routing; it moves the key. */
	CU_ASSERT_EQUAL(gre_outcome(0x4000, 0x0800), NAT_TAG_STRANGE);
	CU_ASSERT_EQUAL(gre_outcome(0x6000, 0x0800), NAT_TAG_STRANGE);
	/* RFC 2637 4.1: version 1 has a key and carries PPP. */
	CU_ASSERT_EQUAL(gre_outcome(0x1001, 0x880b), NAT_TAG_STRANGE);
	CU_ASSERT_EQUAL(gre_outcome(0x3001, 0x0800), NAT_TAG_STRANGE);
	for (uint16_t version = 2; version < 8; version++)
		CU_ASSERT_EQUAL(gre_outcome(0x2000 | version, 0x880b),
				NAT_TAG_STRANGE);
}

static void test_gre_inner(void)
{
	for (int bits = 0; bits < 8; bits++) {
		struct gre gre = { .checksum = bits & 1,
				   .keyed = bits >> 1 & 1,
				   .sequenced = bits >> 2,
				   .protocol = 0x0800,
				   .bytes = 40 };
		uint32_t header =
			4 + 4U * (gre.checksum + gre.keyed + gre.sequenced);
		struct packet packet;

		packet_gre(&packet, out.src, out.dst, gre);
		for (uint32_t i = 0; i <= header + 40; i++)
			CU_ASSERT_EQUAL(nat_gre_inner(packet_l4(&packet), i),
					i > header ? header : 0);
		gre.protocol = 0x86dd;
		packet_gre(&packet, out.src, out.dst, gre);
		CU_ASSERT_EQUAL(nat_gre_inner(packet_l4(&packet), 60), 0);
	}
}

static void test_esp_zero(void)
{
	struct packet packet;

	packet_esp(&packet, out.src, out.dst, 0, 40);
	CU_ASSERT_EQUAL(outcome_of(&packet), NAT_TAG_BAD);
	packet_esp(&packet, out.src, out.dst, 1, 40);
	CU_ASSERT_EQUAL(outcome_of(&packet), NAT_TAG_GOOD);
}

static void test_which(void)
{
	for (int proto = 0; proto < 256; proto++)
		CU_ASSERT_EQUAL(nat_is_tagged((uint8_t)proto),
				proto == 47 || proto == 50 || proto == 132);
}

static const struct test tests[] = {
	{ "the slow CRC32c gives the known values", test_vectors },
	{ "a packet of zeros gets the known CRC32c", test_zero_packet },
	{ "the CRC32c agrees with the slow one at every length",
	  test_crc_agrees },
	{ "a tag is read as soon as its bytes are there, quoted or not",
	  test_lengths },
	{ "each header is of its kind", test_kinds },
	{ "SCTP headers that contradict themselves are bad",
	  test_contradictions },
	{ "INIT and INIT-ACK stand alone", test_alone },
	{ "Disable-Restart is found among the parameters only",
	  test_no_restart },
	{ "the T bit counts in ABORT and SHUTDOWN COMPLETE only",
	  test_reflected },
	{ "GRE of other forms is strange", test_strange_gre },
	{ "the IPv4 packet inside GRE is found behind every header",
	  test_gre_inner },
	{ "an SPI of 0 is bad", test_esp_zero },
	{ "SCTP, GRE and ESP have tags, nothing else has", test_which },
};

int main(int argc, char **argv)
{
	return suite_run("tag", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
