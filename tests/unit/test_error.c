/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * ICMP errors from outside (RFC 5508 REQ-3, 4 and 6). Those from inside are in
 * test_error_out.c, hairpinned ones in test_hairpin.c.
 */
#include <string.h>

#include "error_lab.h"
#include "suite.h"

/* --- from outside ------------------------------------------------------------- */

static void test_inbound(void)
{
	static const uint8_t kinds[][2] = { { 3, 0 }, { 3, 1 },	 { 3, 3 },
					    { 3, 4 }, { 11, 0 }, { 11, 1 },
					    { 12, 0 } };

	for (size_t i = 0; i < sizeof(protos) * 7; i++) {
		const uint8_t *kind = kinds[i / sizeof(protos)];
		struct error error = from_outside(kind[0], kind[1]);
		struct lab lab;

		error.rest = 1300;
		sent(&lab, protos[i % sizeof(protos)], 0);
		ASSERT_TRANSLATED(
			complain(&lab, NAT_PATH_INBOUND, error, &lab.outside));
		CU_ASSERT_EQUAL(packet_flow(&lab.engine.packet).src, ROUTER);
		CU_ASSERT_EQUAL(packet_flow(&lab.engine.packet).dst, INSIDE_1);
		/* Type, code and MTU are passed on. */
		CU_ASSERT_EQUAL(lab.engine.packet.data[20], kind[0]);
		CU_ASSERT_EQUAL(lab.engine.packet.data[21], kind[1]);
		CU_ASSERT_EQUAL(packet_get32(lab.engine.packet.data + 24),
				1300);
		quotes(lab.engine.packet.data, &lab.inside, 28);
		engine_free(&lab.engine);
	}
}

/* All lengths of a quote; a checksum of which one byte is there cannot be
 * updated, so that byte is left out. */
static void all_lengths(uint8_t proto, uint32_t options, uint32_t half)
{
	struct error error = from_outside(3, 3);
	struct lab lab;

	sent(&lab, proto, options);
	half += options * 4;
	for (uint32_t bytes = 28 + options * 4; bytes <= lab.inside.length;
	     bytes++) {
		error.bytes = bytes;
		ASSERT_TRANSLATED(
			complain(&lab, NAT_PATH_INBOUND, error, &lab.outside));
		quotes(lab.engine.packet.data, &lab.inside,
		       bytes == half ? bytes - 1 : bytes);
	}
	engine_free(&lab.engine);
}

static void test_quote_lengths(void)
{
	all_lengths(NAT_PROTO_UDP, 0, 0);
	all_lengths(NAT_PROTO_TCP, 0, 20 + 17);
	all_lengths(NAT_PROTO_ICMP, 0, 0);
}

static void test_quote_options(void)
{
	all_lengths(NAT_PROTO_UDP, 3, 0);
	all_lengths(NAT_PROTO_TCP, 10, 20 + 17);
	all_lengths(NAT_PROTO_ICMP, 1, 0);
}

static void test_quote_too_short(void)
{
	struct lab lab;
	struct error error = from_outside(3, 3);

	sent(&lab, NAT_PROTO_UDP, 0);
	error.bytes = 27;
	ASSERT_DROPPED(complain(&lab, NAT_PATH_INBOUND, error, &lab.outside),
		       NAT_DROP_MALFORMED);
	engine_free(&lab.engine);
}

static void test_quoted_no_checksum(void)
{
	struct lab lab;

	sent(&lab, NAT_PROTO_UDP, 0);
	packet_put16(lab.outside.data + 26, 0);
	packet_put16(lab.inside.data + 26, 0);
	ASSERT_TRANSLATED(complain(&lab, NAT_PATH_INBOUND, from_outside(3, 3),
				   &lab.outside));
	quotes(lab.engine.packet.data, &lab.inside, 28);
	engine_free(&lab.engine);
}

static void test_quoted_wrong_checksum(void)
{
	struct lab lab;

	/* Some routers quote it with their own change: not judged. */
	sent(&lab, NAT_PROTO_UDP, 0);
	lab.outside.data[26] ^= 0x20;
	ASSERT_TRANSLATED(complain(&lab, NAT_PATH_INBOUND, from_outside(3, 3),
				   &lab.outside));
	quotes(lab.engine.packet.data, &lab.inside, 26);
	engine_free(&lab.engine);
}

static void test_extension(void)
{
	static const uint8_t extension[] = { 0x20, 0, 0x5d, 0x0a, 0, 8,
					     1,	   1, 0,    0x10, 1, 1 };
	struct error error = from_outside(11, 0);
	struct lab lab;

	/* RFC 4884: 128 bytes of the datagram, padded, then the extension. */
	sent(&lab, NAT_PROTO_UDP, 0);
	memset(lab.outside.data + lab.outside.length, 0, 128);
	memcpy(lab.outside.data + 128, extension, sizeof(extension));
	error.rest = 32 << 16;
	error.bytes = 128 + sizeof(extension);
	ASSERT_TRANSLATED(
		complain(&lab, NAT_PATH_INBOUND, error, &lab.outside));
	quotes(lab.engine.packet.data, &lab.inside, lab.inside.length);
	CU_ASSERT_EQUAL(lab.engine.packet.data[25], 32);
	CU_ASSERT_EQUAL(memcmp(lab.engine.packet.data + QUOTE + 128, extension,
			       sizeof(extension)),
			0);
	engine_free(&lab.engine);
}

static void test_bad_checksums(void)
{
	struct lab lab;

	sent(&lab, NAT_PROTO_UDP, 0);
	packet_error(&lab.engine.packet, from_outside(3, 3), &lab.outside);
	lab.engine.packet.data[lab.engine.packet.length - 1] ^= 1;
	ASSERT_DROPPED(engine_run(&lab.engine, NAT_PATH_INBOUND),
		       NAT_DROP_BAD_CHECKSUM);
	lab.outside.data[8]--; /* TTL, quoted without its checksum */
	ASSERT_DROPPED(complain(&lab, NAT_PATH_INBOUND, from_outside(3, 3),
				&lab.outside),
		       NAT_DROP_BAD_CHECKSUM);
	engine_free(&lab.engine);
}

static void test_no_session(void)
{
	struct lab lab;
	struct packet about;

	sent(&lab, NAT_PROTO_UDP, 0);
	/* Another peer, another peer port, another port of ours. */
	packet_udp(&about, flow_of(UPLINK, 40000, PEER_2, 7000), NULL, 9);
	ASSERT_DROPPED(complain(&lab, NAT_PATH_INBOUND, from_outside(3, 3),
				&about),
		       NAT_DROP_NO_SESSION);
	packet_udp(&about, flow_of(UPLINK, 40000, PEER_1, 7001), NULL, 9);
	ASSERT_DROPPED(complain(&lab, NAT_PATH_INBOUND, from_outside(3, 3),
				&about),
		       NAT_DROP_NO_SESSION);
	packet_tcp(&about, flow_of(UPLINK, 40000, PEER_1, 7000),
		   (struct segment){ .flags = SYN });
	ASSERT_DROPPED(complain(&lab, NAT_PATH_INBOUND, from_outside(3, 3),
				&about),
		       NAT_DROP_NO_SESSION);
	/* And the right one once it is over. */
	lab.engine.now += 300 * SECOND;
	ASSERT_DROPPED(complain(&lab, NAT_PATH_INBOUND, from_outside(3, 3),
				&lab.outside),
		       NAT_DROP_NO_SESSION);
	engine_free(&lab.engine);
}

static void test_routers_own(void)
{
	struct lab lab;
	struct packet about;
	struct nat_portset bound = { 0 };

	/* What the router itself had sent is its own business. */
	sent(&lab, NAT_PROTO_UDP, 0);
	packet_udp(&about, flow_of(UPLINK, 123, PEER_1, 123), NULL, 9);
	ASSERT_UNTOUCHED(
		complain(&lab, NAT_PATH_INBOUND, from_outside(3, 3), &about));
	packet_icmp(&about, flow_of(UPLINK, 77, PEER_1, 0), 8, 9);
	ASSERT_UNTOUCHED(
		complain(&lab, NAT_PATH_INBOUND, from_outside(11, 0), &about));
	packet_other(&about, UPLINK, PEER_1, 51, 20);
	ASSERT_UNTOUCHED(
		complain(&lab, NAT_PATH_INBOUND, from_outside(3, 2), &about));
	packet_udp(&about, flow_of(PEER_3, 40000, PEER_1, 7000), NULL, 9);
	ASSERT_UNTOUCHED(
		complain(&lab, NAT_PATH_INBOUND, from_outside(3, 3), &about));
	nat_portset_add(&bound, 40001);
	nat_set_bound(lab.engine.nat, NAT_POOL_UDP, &bound);
	packet_udp(&about, flow_of(UPLINK, 40001, PEER_1, 7000), NULL, 9);
	ASSERT_UNTOUCHED(
		complain(&lab, NAT_PATH_INBOUND, from_outside(3, 3), &about));
	engine_free(&lab.engine);
}

static void test_error_about_error(void)
{
	struct lab lab;
	struct packet about;

	sent(&lab, NAT_PROTO_UDP, 0);
	packet_error(&about, from_inside(3, 3), &lab.outside);
	ASSERT_DROPPED(complain(&lab, NAT_PATH_INBOUND, from_outside(3, 3),
				&about),
		       NAT_DROP_MALFORMED);
	engine_free(&lab.engine);
}

static void test_state_unchanged(void)
{
	for (size_t i = 0; i < sizeof(protos); i++) {
		struct lab lab;
		struct nat_session_view before, after;

		sent(&lab, protos[i], 0);
		lab.engine.now += 10 * SECOND;
		engine_session(&lab.engine, 5000, PEER_1, &before);
		complain(&lab, NAT_PATH_INBOUND, from_outside(3, 3),
			 &lab.outside);
		complain(&lab, NAT_PATH_INBOUND, from_outside(3, 1),
			 &lab.outside);
		CU_ASSERT_TRUE(
			engine_session(&lab.engine, 5000, PEER_1, &after));
		CU_ASSERT_EQUAL(after.state, before.state);
		CU_ASSERT_EQUAL(after.expires_ms, before.expires_ms);
		CU_ASSERT_EQUAL(after.idle_ms, before.idle_ms);
		CU_ASSERT_EQUAL(after.counters.in_packets, 0);
		ASSERT_TRANSLATED(engine_answer(&lab.engine, protos[i], PEER_1,
						7000, 40000));
		engine_free(&lab.engine);
	}
}

static const struct test tests[] = {
	{ "an error from outside reaches the host that sent", test_inbound },
	{ "a quote of any length is restored", test_quote_lengths },
	{ "a quote with options is restored", test_quote_options },
	{ "a quote of 7 bytes is refused", test_quote_too_short },
	{ "a quoted UDP checksum of 0 stays 0", test_quoted_no_checksum },
	{ "a wrong transport checksum in the quote does not matter",
	  test_quoted_wrong_checksum },
	{ "extensions behind the quote pass unchanged", test_extension },
	{ "an error with a bad checksum is refused", test_bad_checksums },
	{ "an error about no session of ours is refused", test_no_session },
	{ "an error about the router's own is left to it", test_routers_own },
	{ "an error about an error is refused", test_error_about_error },
	{ "errors change neither state nor timers", test_state_unchanged },
};

int main(int argc, char **argv)
{
	return suite_run("error", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
