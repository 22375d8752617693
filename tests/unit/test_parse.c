/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is read of a packet, what is refused, and that nothing is read behind
 * its end: every packet lies in a buffer of exactly its length.
 */
#include "nat/parse.h"

#include <stdlib.h>
#include <string.h>

#include "packets.h"
#include "suite.h"

static const struct flow flow = { INSIDE_1, 5000, PEER_1, 7000 };

/* Parses the first `length` bytes and gives back offsets instead of pointers
 * in *l4. */
static enum nat_drop parse_cut(const struct packet *packet, uint32_t length,
			       struct nat_parsed *parsed, ptrdiff_t *l4)
{
	uint8_t *exact = malloc(length ? length : 1);
	struct nat_packet raw = { .data = exact, .length = length };
	enum nat_drop drop;

	CU_ASSERT_PTR_NOT_NULL_FATAL(exact);
	memcpy(exact, packet->data, length);
	drop = nat_parse(&raw, parsed);
	*l4 = parsed->l4 ? parsed->l4 - exact : -1;
	free(exact);
	return drop;
}

static enum nat_drop parse(const struct packet *packet,
			   struct nat_parsed *parsed)
{
	ptrdiff_t l4;

	return parse_cut(packet, packet->length, parsed, &l4);
}

static enum nat_drop verdict(const struct packet *packet)
{
	struct nat_parsed parsed;

	return parse(packet, &parsed);
}

static void set_total(struct packet *packet, uint32_t bytes)
{
	packet_put16(packet->data + 2, (uint16_t)bytes);
	packet_fix_ip(packet);
}

/* --- the IP header -------------------------------------------------------- */

static void test_fields(void)
{
	struct nat_parsed parsed;
	struct packet packet;
	ptrdiff_t l4;

	packet_udp(&packet, flow, NULL, 9);
	CU_ASSERT_EQUAL(parse_cut(&packet, packet.length, &parsed, &l4),
			NAT_DROP_NONE);
	CU_ASSERT_EQUAL(parsed.class, NAT_CLASS_PORTS);
	CU_ASSERT_EQUAL(parsed.proto, NAT_PROTO_UDP);
	CU_ASSERT_EQUAL(parsed.length, 37);
	CU_ASSERT_EQUAL(parsed.l4_length, 17);
	CU_ASSERT_EQUAL(l4, 20);
	CU_ASSERT_EQUAL(parsed.src, INSIDE_1);
	CU_ASSERT_EQUAL(parsed.dst, PEER_1);
	CU_ASSERT_EQUAL(parsed.sport, 5000);
	CU_ASSERT_EQUAL(parsed.dport, 7000);
	CU_ASSERT_FALSE(parsed.more_fragments);
}

static void test_options(void)
{
	struct nat_parsed parsed;
	struct packet packet;
	ptrdiff_t l4;

	for (uint32_t words = 1; words <= 10; words++) {
		packet_tcp(&packet, flow, (struct segment){ .flags = SYN });
		packet_add_options(&packet, words);
		CU_ASSERT_EQUAL(parse_cut(&packet, packet.length, &parsed, &l4),
				NAT_DROP_NONE);
		CU_ASSERT_EQUAL(l4, 20 + (ptrdiff_t)words * 4);
		CU_ASSERT_EQUAL(parsed.sport, 5000);
		CU_ASSERT_EQUAL(parsed.l4_length, 20);
	}
}

static void test_every_cut(void)
{
	struct nat_parsed parsed;
	struct packet packet;
	ptrdiff_t l4;

	packet_tcp(&packet, flow, (struct segment){ .flags = SYN, .bytes = 8 });
	packet_add_options(&packet, 2);
	for (uint32_t length = 0; length < packet.length; length++)
		CU_ASSERT_EQUAL(parse_cut(&packet, length, &parsed, &l4),
				NAT_DROP_MALFORMED);
}

static void test_version_and_length(void)
{
	struct packet packet;

	packet_udp(&packet, flow, NULL, 9);
	packet.data[0] = 0x65;
	CU_ASSERT_EQUAL(verdict(&packet), NAT_DROP_MALFORMED);
	packet.data[0] = 0x44; /* a header of 16 bytes */
	CU_ASSERT_EQUAL(verdict(&packet), NAT_DROP_MALFORMED);
	packet.data[0] = 0x4f; /* a header longer than the packet */
	CU_ASSERT_EQUAL(verdict(&packet), NAT_DROP_MALFORMED);
	packet.data[0] = 0x45;
	set_total(&packet, 19);
	CU_ASSERT_EQUAL(verdict(&packet), NAT_DROP_MALFORMED);
	set_total(&packet, packet.length + 1);
	CU_ASSERT_EQUAL(verdict(&packet), NAT_DROP_MALFORMED);
	set_total(&packet, packet.length);
	CU_ASSERT_EQUAL(verdict(&packet), NAT_DROP_NONE);
}

static void test_padding(void)
{
	struct nat_parsed parsed;
	struct packet packet;

	/* Ethernet pads short frames: what follows the datagram is not it. */
	packet_udp(&packet, flow, NULL, 3);
	memset(packet.data + packet.length, 0xee, 15);
	packet.length += 15;
	CU_ASSERT_EQUAL(parse(&packet, &parsed), NAT_DROP_NONE);
	CU_ASSERT_EQUAL(parsed.length, 31);
	CU_ASSERT_EQUAL(parsed.l4_length, 11);
}

static void test_header_checksum(void)
{
	struct packet packet;

	for (int bit = 0; bit < 160; bit++) {
		packet_udp(&packet, flow, NULL, 9);
		packet.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CU_ASSERT_NOT_EQUAL(verdict(&packet), NAT_DROP_NONE);
	}
	packet_udp(&packet, flow, NULL, 9);
	packet.data[8]--; /* TTL, checksum forgotten */
	CU_ASSERT_EQUAL(verdict(&packet), NAT_DROP_BAD_CHECKSUM);
}

/* --- transport -------------------------------------------------------------- */

static void test_tcp_header(void)
{
	struct packet packet;

	packet_tcp(&packet, flow, (struct segment){ .flags = SYN });
	set_total(&packet, 39);
	CU_ASSERT_EQUAL(verdict(&packet), NAT_DROP_MALFORMED);
	packet_tcp(&packet, flow, (struct segment){ .flags = SYN });
	packet_l4(&packet)[12] = 4 << 4;
	CU_ASSERT_EQUAL(verdict(&packet), NAT_DROP_MALFORMED);
	packet_l4(&packet)[12] = 6 << 4;
	CU_ASSERT_EQUAL(verdict(&packet), NAT_DROP_MALFORMED);
	packet_l4(&packet)[12] = 5 << 4;
	CU_ASSERT_EQUAL(verdict(&packet), NAT_DROP_NONE);
}

static void test_udp_length(void)
{
	struct packet packet;

	packet_udp(&packet, flow, NULL, 9);
	packet_put16(packet_l4(&packet) + 4, 18);
	CU_ASSERT_EQUAL(verdict(&packet), NAT_DROP_MALFORMED);
	packet_put16(packet_l4(&packet) + 4, 7);
	CU_ASSERT_EQUAL(verdict(&packet), NAT_DROP_MALFORMED);
	packet_put16(packet_l4(&packet) + 4, 8);
	CU_ASSERT_EQUAL(verdict(&packet), NAT_DROP_NONE);
	set_total(&packet, 27);
	CU_ASSERT_EQUAL(verdict(&packet), NAT_DROP_MALFORMED);
}

static void test_port_0(void)
{
	struct packet packet;

	packet_udp(&packet, flow_of(INSIDE_1, 5000, PEER_1, 0), NULL, 9);
	CU_ASSERT_EQUAL(verdict(&packet), NAT_DROP_MALFORMED);
	packet_udp(&packet, flow_of(INSIDE_1, 0, PEER_1, 7000), NULL, 9);
	CU_ASSERT_EQUAL(verdict(&packet), NAT_DROP_NONE);
}

static void test_icmp_classes(void)
{
	for (int type = 0; type < 256; type++) {
		struct packet packet;
		struct nat_parsed parsed;
		enum nat_class class = NAT_CLASS_ICMP;

		if (type == 8 || type == 13)
			class = NAT_CLASS_QUERY;
		if (type == 0 || type == 14)
			class = NAT_CLASS_REPLY;
		if (type == 3 || type == 11 || type == 12)
			class = NAT_CLASS_ERROR;
		packet_icmp(&packet, flow, (uint8_t)type, 4);
		CU_ASSERT_EQUAL(parse(&packet, &parsed), NAT_DROP_NONE);
		CU_ASSERT_EQUAL(parsed.class, class);
		if (class != NAT_CLASS_QUERY && class != NAT_CLASS_REPLY)
			continue;
		CU_ASSERT_EQUAL(parsed.sport, 5000);
		CU_ASSERT_EQUAL(parsed.dport, 5000);
	}
}

static void test_short_icmp(void)
{
	struct packet packet;

	packet_icmp(&packet, flow, 8, 0);
	CU_ASSERT_EQUAL(verdict(&packet), NAT_DROP_NONE);
	set_total(&packet, 27);
	CU_ASSERT_EQUAL(verdict(&packet), NAT_DROP_MALFORMED);
}

static void test_other(void)
{
	struct nat_parsed parsed;
	struct packet packet;

	packet_other(&packet, INSIDE_1, PEER_1, 51, 0);
	CU_ASSERT_EQUAL(parse(&packet, &parsed), NAT_DROP_NONE);
	CU_ASSERT_EQUAL(parsed.class, NAT_CLASS_OTHER);
	CU_ASSERT_EQUAL(parsed.proto, 51);
}

/* --- fragments -------------------------------------------------------------- */

static void test_first_fragment(void)
{
	struct nat_parsed parsed;
	struct packet packet;

	packet_udp(&packet, flow, NULL, 16);
	packet_put16(packet_l4(&packet) + 4, 4000); /* of the whole datagram */
	packet_set_fragment(&packet, 0x2000);
	CU_ASSERT_EQUAL(parse(&packet, &parsed), NAT_DROP_NONE);
	CU_ASSERT_EQUAL(parsed.class, NAT_CLASS_PORTS);
	CU_ASSERT_TRUE(parsed.more_fragments);
}

static void test_later_fragment(void)
{
	struct nat_parsed parsed;
	struct packet packet;

	/* What lies there is payload, whatever it looks like. */
	packet_udp(&packet, flow, NULL, 16);
	packet_set_fragment(&packet, 0x2001);
	CU_ASSERT_EQUAL(parse(&packet, &parsed), NAT_DROP_NONE);
	CU_ASSERT_EQUAL(parsed.class, NAT_CLASS_FRAGMENT);
	packet_other(&packet, INSIDE_1, PEER_1, 17, 1);
	packet_set_fragment(&packet, 0x1fff);
	CU_ASSERT_EQUAL(parse(&packet, &parsed), NAT_DROP_NONE);
	CU_ASSERT_EQUAL(parsed.class, NAT_CLASS_FRAGMENT);
	CU_ASSERT_EQUAL(parsed.sport, 0);
}

static void test_tiny_fragment(void)
{
	struct packet packet;

	packet_tcp(&packet, flow, (struct segment){ .flags = SYN });
	packet.length = 36;
	packet_put16(packet.data + 2, 36);
	packet_set_fragment(&packet, 0x2000);
	CU_ASSERT_EQUAL(verdict(&packet), NAT_DROP_FRAGMENT);
	packet_udp(&packet, flow, NULL, 0);
	packet.length = 24;
	packet_put16(packet.data + 2, 24);
	packet_set_fragment(&packet, 0x2000);
	CU_ASSERT_EQUAL(verdict(&packet), NAT_DROP_FRAGMENT);
}

static const struct test tests[] = {
	{ "the fields of a packet are read", test_fields },
	{ "options are stepped over", test_options },
	{ "a packet cut anywhere is malformed", test_every_cut },
	{ "version and lengths must fit", test_version_and_length },
	{ "padding behind the datagram is not part of it", test_padding },
	{ "a flipped bit in the header is noticed", test_header_checksum },
	{ "a TCP header must fit its segment", test_tcp_header },
	{ "a UDP length must fit its datagram", test_udp_length },
	{ "UDP to port 0 is malformed, from port 0 it is not", test_port_0 },
	{ "every ICMP type has its class", test_icmp_classes },
	{ "ICMP shorter than its header is malformed", test_short_icmp },
	{ "another protocol is known as such", test_other },
	{ "a first fragment may be shorter than its datagram",
	  test_first_fragment },
	{ "a later fragment has no ports", test_later_fragment },
	{ "a first fragment without the whole header is refused",
	  test_tiny_fragment },
};

int main(int argc, char **argv)
{
	return suite_run("parse", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
