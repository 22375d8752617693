/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reading what an ICMP error quotes (RFC 5508 REQ-3).
 */
#include <stdlib.h>
#include <string.h>

#include "nat/parse.h"
#include "packets.h"
#include "suite.h"

static const struct flow flow = { UPLINK, 40000, PEER_1, 7000 };
static const struct error unreachable = {
	.src = PEER_2, .dst = UPLINK, .type = 3, .code = 3
};

struct reading {
	enum nat_drop drop;
	struct nat_quote quote;
	ptrdiff_t l4; /* of the quote, from the start of the packet */
};

static struct reading read_quote(const struct packet *packet)
{
	uint8_t *exact = malloc(packet->length);
	struct nat_packet raw = { .data = exact, .length = packet->length };
	struct nat_parsed parsed;
	struct reading reading = { 0 };

	CU_ASSERT_PTR_NOT_NULL_FATAL(exact);
	memcpy(exact, packet->data, packet->length);
	CU_ASSERT_EQUAL_FATAL(nat_parse(&raw, &parsed), NAT_DROP_NONE);
	CU_ASSERT_EQUAL_FATAL(parsed.class, NAT_CLASS_ERROR);
	reading.drop = nat_parse_quote(&parsed, &reading.quote);
	reading.l4 = reading.quote.l4 ? reading.quote.l4 - exact : -1;
	free(exact);
	return reading;
}

static struct reading quote_of(const struct packet *about, uint32_t bytes)
{
	struct packet packet;
	struct error error = unreachable;

	error.bytes = bytes;
	packet_error(&packet, error, about);
	return read_quote(&packet);
}

static void test_eight_bytes(void)
{
	struct packet about;
	struct reading reading;

	packet_tcp(&about, flow, (struct segment){ .flags = SYN });
	reading = quote_of(&about, 28);
	CU_ASSERT_EQUAL(reading.drop, NAT_DROP_NONE);
	CU_ASSERT_EQUAL(reading.quote.proto, NAT_PROTO_TCP);
	CU_ASSERT_EQUAL(reading.quote.src, UPLINK);
	CU_ASSERT_EQUAL(reading.quote.sport, 40000);
	CU_ASSERT_EQUAL(reading.quote.dst, PEER_1);
	CU_ASSERT_EQUAL(reading.quote.dport, 7000);
	CU_ASSERT_EQUAL(reading.quote.l4_length, 8);
}

static void test_too_short(void)
{
	struct packet about;

	packet_udp(&about, flow, NULL, 20);
	for (uint32_t bytes = 1; bytes < 28; bytes++)
		CU_ASSERT_EQUAL(quote_of(&about, bytes).drop,
				NAT_DROP_MALFORMED);
	for (uint32_t bytes = 28; bytes <= 48; bytes++)
		CU_ASSERT_EQUAL(quote_of(&about, bytes).drop, NAT_DROP_NONE);
}

static void test_options(void)
{
	struct packet about;
	struct reading reading;

	packet_udp(&about, flow, NULL, 20);
	packet_add_options(&about, 3);
	reading = quote_of(&about, 0);
	CU_ASSERT_EQUAL(reading.drop, NAT_DROP_NONE);
	CU_ASSERT_EQUAL(reading.quote.sport, 40000);
	CU_ASSERT_EQUAL(reading.l4, 20 + 8 + 32);
	CU_ASSERT_EQUAL(quote_of(&about, 39).drop, NAT_DROP_MALFORMED);
}

static void test_error_checksum(void)
{
	struct packet packet, about;

	packet_udp(&about, flow, NULL, 20);
	packet_error(&packet, unreachable, &about);
	packet.data[packet.length - 1] ^= 1;
	CU_ASSERT_EQUAL(read_quote(&packet).drop, NAT_DROP_BAD_CHECKSUM);
}

static void test_quoted_header_checksum(void)
{
	struct packet about;

	packet_udp(&about, flow, NULL, 20);
	about.data[8]--;
	CU_ASSERT_EQUAL(quote_of(&about, 0).drop, NAT_DROP_BAD_CHECKSUM);
}

static void test_quoted_transport_checksum(void)
{
	struct packet about;

	packet_udp(&about, flow, NULL, 20);
	packet_l4(&about)[6] ^= 0xff;
	CU_ASSERT_EQUAL(quote_of(&about, 48).drop, NAT_DROP_NONE);
}

static void test_quoted_length(void)
{
	struct packet about;

	/* The quoted length speaks of the whole packet, not of the quote. */
	packet_udp(&about, flow, NULL, 20);
	packet_put16(about.data + 2, 65535);
	packet_fix_ip(&about);
	CU_ASSERT_EQUAL(quote_of(&about, 28).drop, NAT_DROP_NONE);
}

static void test_query(void)
{
	struct packet about;
	struct reading reading;

	packet_icmp(&about, flow, 8, 10);
	reading = quote_of(&about, 0);
	CU_ASSERT_EQUAL(reading.drop, NAT_DROP_NONE);
	CU_ASSERT_EQUAL(reading.quote.sport, 40000);
	CU_ASSERT_EQUAL(reading.quote.dport, 40000);
	packet_icmp(&about, flow, 0, 10);
	CU_ASSERT_EQUAL(quote_of(&about, 0).drop, NAT_DROP_NONE);
}

static void test_error_about_error(void)
{
	static const uint8_t types[] = { 3, 4, 5, 11, 12, 40 };
	struct packet about;

	for (size_t i = 0; i < sizeof(types); i++) {
		packet_icmp(&about, flow, types[i], 40);
		CU_ASSERT_EQUAL(quote_of(&about, 0).drop, NAT_DROP_MALFORMED);
	}
}

static void test_fragment(void)
{
	struct packet about;

	packet_udp(&about, flow, NULL, 20);
	packet_set_fragment(&about, 0x2000);
	CU_ASSERT_EQUAL(quote_of(&about, 0).drop, NAT_DROP_NONE);
	packet_set_fragment(&about, 0x0002);
	CU_ASSERT_EQUAL(quote_of(&about, 0).drop, NAT_DROP_MALFORMED);
}

static void test_unsupported(void)
{
	struct packet about;

	packet_other(&about, UPLINK, PEER_1, 51, 20);
	CU_ASSERT_EQUAL(quote_of(&about, 0).drop, NAT_DROP_UNSUPPORTED);
}

static void test_not_ipv4(void)
{
	struct packet about;

	packet_udp(&about, flow, NULL, 20);
	about.data[0] = 0x60;
	CU_ASSERT_EQUAL(quote_of(&about, 48).drop, NAT_DROP_MALFORMED);
	about.data[0] = 0x43;
	CU_ASSERT_EQUAL(quote_of(&about, 48).drop, NAT_DROP_MALFORMED);
}

static const struct test tests[] = {
	{ "eight bytes of transport are enough", test_eight_bytes },
	{ "fewer than eight are malformed", test_too_short },
	{ "options in the quote are stepped over", test_options },
	{ "a bad checksum of the error is refused", test_error_checksum },
	{ "a bad header checksum in the quote is refused",
	  test_quoted_header_checksum },
	{ "the quoted transport checksum is not judged",
	  test_quoted_transport_checksum },
	{ "the quoted length is not believed", test_quoted_length },
	{ "a quoted query has its id as port", test_query },
	{ "an error about an error is malformed", test_error_about_error },
	{ "a quoted later fragment has no ports", test_fragment },
	{ "a quoted unknown protocol is unsupported", test_unsupported },
	{ "a quote that is not IPv4 is malformed", test_not_ipv4 },
};

int main(int argc, char **argv)
{
	return suite_run("quote", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
