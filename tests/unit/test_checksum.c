/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Internet checksums: known values, and the incremental update against a
 * computation from scratch.
 */
#include <stdlib.h>
#include <string.h>

#include "nat/checksum.h"
#include "packets.h"
#include "suite.h"

/* A small generator of its own: the same numbers everywhere. */
static uint32_t next_number(uint32_t *state)
{
	*state = *state * 1664525U + 1013904223U;
	return *state >> 8;
}

static void test_rfc1624(void)
{
	/* Equation 2 would give 0xffff here. */
	CU_ASSERT_EQUAL(nat_checksum_update(
				0xdd2f, nat_checksum_delta16(0x5555, 0x3285)),
			0x0000);
}

/* 192.168.1.10:5000 > 198.51.100.53:53, "hello". */
static void hello(struct packet *packet)
{
	packet_udp(packet, flow_of(0xc0a8010a, 5000, 0xc6336435, 53), "hello",
		   5);
}

static void test_ip_header(void)
{
	struct packet packet;
	uint32_t delta = nat_checksum_delta32(0xc0a8010a, 0xcb007107);

	hello(&packet);
	CU_ASSERT_EQUAL(packet.length, 33);
	CU_ASSERT_EQUAL(packet_get16(packet.data + 10), 0x3c7d);
	CU_ASSERT_EQUAL(nat_checksum_update(0x3c7d, delta), 0xc227);
	delta += nat_checksum_delta16(64 << 8 | 17, 63 << 8 | 17);
	CU_ASSERT_EQUAL(nat_checksum_update(0x3c7d, delta), 0xc327);
	nat_checksum_apply(packet.data + 10, delta);
	CU_ASSERT_EQUAL(packet_get16(packet.data + 10), 0xc327);
}

static void test_udp(void)
{
	struct packet packet;
	uint32_t delta = nat_checksum_delta32(0xc0a8010a, 0xcb007107);

	hello(&packet);
	CU_ASSERT_EQUAL(packet_checksum(&packet), 0xbc29);
	CU_ASSERT_EQUAL(
		nat_checksum_update(0xbc29,
				    delta + nat_checksum_delta16(5000, 40000)),
		0xb91b);
	CU_ASSERT_EQUAL(
		nat_checksum_update(0xbc29,
				    delta + nat_checksum_delta16(5000, 21852)),
		0x0000);
}

static void test_sum_everywhere(void)
{
	uint8_t bytes[96];
	uint32_t state = 1;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)next_number(&state);
	for (uint32_t at = 0; at < 8; at++)
		for (uint32_t length = 0; length <= 80; length++)
			CU_ASSERT_EQUAL(nat_checksum_sum(bytes + at, length),
					packet_sum(0, bytes + at, length));
}

static void test_sum_reads_no_further(void)
{
	for (uint32_t length = 1; length < 16; length++) {
		uint8_t *exact = malloc(length);

		CU_ASSERT_PTR_NOT_NULL_FATAL(exact);
		memset(exact, 0xa5, length);
		CU_ASSERT_EQUAL(nat_checksum_sum(exact, length),
				packet_sum(0, exact, length));
		free(exact);
	}
}

static void test_largest(void)
{
	static uint8_t bytes[65535];

	memset(bytes, 0xff, sizeof(bytes));
	CU_ASSERT_EQUAL(nat_checksum_sum(bytes, 65534), 0xffff);
	CU_ASSERT_EQUAL(nat_checksum_sum(bytes, 65535),
			packet_sum(0, bytes, 65535));
	memset(bytes, 0, sizeof(bytes));
	CU_ASSERT_EQUAL(nat_checksum_sum(bytes, 65535), 0);
}

/* Every changed word, one or many, equals computing from scratch; the one
 * exception, all zero, never occurs in a header. */
static void test_update_is_computing(void)
{
	uint8_t bytes[40];
	uint32_t state = 2;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)next_number(&state);
	for (int round = 0; round < 5000; round++) {
		uint16_t checksum = (uint16_t)~packet_sum(0, bytes, 40);
		uint32_t delta = 0, words = next_number(&state) % 8 + 1;

		for (; words; words--) {
			uint8_t *at = bytes + next_number(&state) % 20 * 2;
			uint16_t value = (uint16_t)next_number(&state);

			delta += nat_checksum_delta16(packet_get16(at), value);
			packet_put16(at, value);
		}
		CU_ASSERT_EQUAL(nat_checksum_update(checksum, delta),
				(uint16_t)~packet_sum(0, bytes, 40));
	}
}

static void test_extreme_words(void)
{
	static const uint16_t values[] = {
		0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff
	};
	const size_t count = sizeof(values) / sizeof(values[0]);
	uint8_t bytes[4] = { 0, 1, 0, 0 };

	for (size_t i = 0; i < count * count; i++) {
		uint16_t from = values[i / count], to = values[i % count];
		uint16_t checksum;

		packet_put16(bytes + 2, from);
		checksum = (uint16_t)~packet_sum(0, bytes, 4);
		packet_put16(bytes + 2, to);
		CU_ASSERT_EQUAL(
			nat_checksum_update(checksum,
					    nat_checksum_delta16(from, to)),
			(uint16_t)~packet_sum(0, bytes, 4));
	}
}

static void test_wrong_stays_wrong(void)
{
	uint32_t state = 3;

	for (int i = 0; i < 1000; i++) {
		uint16_t right = (uint16_t)next_number(&state);
		uint16_t wrong = (uint16_t)(right ^ 0x0400);
		uint32_t delta = nat_checksum_delta32(next_number(&state) << 8,
						      next_number(&state) << 8);

		CU_ASSERT_NOT_EQUAL(nat_checksum_update(right, delta),
				    nat_checksum_update(wrong, delta));
	}
}

static void test_many_deltas(void)
{
	uint32_t delta = 0;

	/* As many as the header promises: no carry is lost. */
	for (int i = 0; i < 32768; i++)
		delta += nat_checksum_delta16(0, 0xffff);
	CU_ASSERT_EQUAL(nat_checksum_fold(delta), 0xffff);
}

static void test_pseudo(void)
{
	struct packet packet;

	hello(&packet);
	CU_ASSERT_EQUAL(nat_checksum_fold(nat_checksum_pseudo(
				0xc0a8010a, 0xc6336435, 17, 13)),
			packet_pseudo(&packet));
	CU_ASSERT_EQUAL(nat_checksum_fold(nat_checksum_pseudo(
				0xffffffff, 0xffffffff, 255, 0x1ffff)),
			0x0100);
}

static const struct test tests[] = {
	{ "the vector of RFC 1624 gives zero", test_rfc1624 },
	{ "an IPv4 header keeps its checksum through address and TTL",
	  test_ip_header },
	{ "a UDP checksum follows address and port", test_udp },
	{ "a sum is right at every address and length", test_sum_everywhere },
	{ "a sum reads no further than its length", test_sum_reads_no_further },
	{ "the largest buffer does not overflow a sum", test_largest },
	{ "an update equals a computation from scratch",
	  test_update_is_computing },
	{ "an update is right for extreme words", test_extreme_words },
	{ "a wrong checksum stays wrong", test_wrong_stays_wrong },
	{ "deltas add up without losing a carry", test_many_deltas },
	{ "the pseudo header sums addresses, protocol and length",
	  test_pseudo },
};

int main(int argc, char **argv)
{
	return suite_run("checksum", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
