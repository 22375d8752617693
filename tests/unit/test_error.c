/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * ICMP errors from outside, from inside, from the router itself (RFC 5508 REQ-3
 * to REQ-6). Hairpinned ones are in test_hairpin.c.
 *
 * The proof is always the same: what the receiver finds quoted is, byte for
 * byte, what it had sent.
 */
#include <stdio.h>
#include <string.h>

#include "engine.h"
#include "suite.h"

#define QUOTE (PACKET_IP + 8) /* where the quote starts in an error */
#define ROUTER 0xc6339c01U /* 198.51.156.1, somewhere on the path */
#define INNER_ROUTER 0xc0a80163U /* 192.168.1.99 */

static const uint8_t protos[] = { NAT_PROTO_UDP, NAT_PROTO_TCP,
				  NAT_PROTO_ICMP };
static const struct flow out = { INSIDE_1, 5000, PEER_1, 7000 };

struct lab {
	struct engine engine;
	struct packet inside; /* a packet as the inside host knows it */
	struct packet outside; /* the same as the outside knows it */
};

static void build(struct packet *packet, uint8_t proto, struct flow flow,
		  uint8_t icmp_type, uint32_t options)
{
	if (proto == NAT_PROTO_UDP)
		packet_udp(packet, flow, NULL, 40);
	else if (proto == NAT_PROTO_TCP)
		packet_tcp(packet, flow,
			   (struct segment){ .flags = SYN, .bytes = 40 });
	else
		packet_icmp(packet, flow, icmp_type, 40);
	packet_add_options(packet, options);
}

/* INSIDE_1:5000 has sent to PEER_1:7000 by port 40000. */
static void sent(struct lab *lab, uint8_t proto, uint32_t options)
{
	engine_make(&lab->engine);
	engine_pool(&lab->engine.config, 40000, 40000);
	engine_configure(&lab->engine);
	build(&lab->inside, proto, out, 8, options);
	lab->engine.packet = lab->inside;
	ASSERT_TRANSLATED(engine_run(&lab->engine, NAT_PATH_OUTBOUND));
	lab->outside = lab->engine.packet;
}

/* And PEER_1 has answered. */
static void answered(struct lab *lab, uint8_t proto, uint32_t options)
{
	struct flow in = flow_of(PEER_1, 7000, UPLINK, 40000);

	sent(lab, proto, options);
	if (proto == NAT_PROTO_ICMP)
		in.sport = 40000;
	build(&lab->outside, proto, in, 0, options);
	lab->engine.packet = lab->outside;
	ASSERT_TRANSLATED(engine_run(&lab->engine, NAT_PATH_INBOUND));
	lab->inside = lab->engine.packet;
}

static struct nat_result complain(struct lab *lab, enum nat_path path,
				  struct error error,
				  const struct packet *about)
{
	packet_error(&lab->engine.packet, error, about);
	return engine_run(&lab->engine, path);
}

static void quotes(const uint8_t *packet, const struct packet *original,
		   uint32_t bytes)
{
	bool same = !memcmp(packet + QUOTE, original->data, bytes);

	CU_ASSERT_TRUE(same);
	if (same)
		return;
	suite_hex("quoted", packet + QUOTE, bytes);
	suite_hex("sent", original->data, bytes);
}

static struct error from_outside(uint8_t type, uint8_t code)
{
	return (struct error){
		.src = ROUTER, .dst = UPLINK, .type = type, .code = code
	};
}

static struct error from_inside(uint8_t type, uint8_t code)
{
	return (struct error){
		.src = INSIDE_1, .dst = PEER_1, .type = type, .code = code
	};
}

/* --- from outside ------------------------------------------------------------- */

static void test_inbound(void)
{
	static const uint8_t kinds[][2] = { { 3, 0 }, { 3, 1 }, { 3, 3 },
					    { 3, 4 }, { 11, 0 }, { 11, 1 },
					    { 12, 0 } };

	for (size_t i = 0; i < sizeof(protos) * 7; i++) {
		const uint8_t *kind = kinds[i / sizeof(protos)];
		struct error error = from_outside(kind[0], kind[1]);
		struct lab lab;

		error.rest = 1300;
		sent(&lab, protos[i % sizeof(protos)], 0);
		ASSERT_TRANSLATED(complain(&lab, NAT_PATH_INBOUND, error,
					   &lab.outside));
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
		ASSERT_TRANSLATED(complain(&lab, NAT_PATH_INBOUND, error,
					   &lab.outside));
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
	ASSERT_UNTOUCHED(complain(&lab, NAT_PATH_INBOUND, from_outside(3, 3),
				  &about));
	packet_icmp(&about, flow_of(UPLINK, 77, PEER_1, 0), 8, 9);
	ASSERT_UNTOUCHED(complain(&lab, NAT_PATH_INBOUND, from_outside(11, 0),
				  &about));
	packet_other(&about, UPLINK, PEER_1, 47, 20);
	ASSERT_UNTOUCHED(complain(&lab, NAT_PATH_INBOUND, from_outside(3, 2),
				  &about));
	packet_udp(&about, flow_of(PEER_3, 40000, PEER_1, 7000), NULL, 9);
	ASSERT_UNTOUCHED(complain(&lab, NAT_PATH_INBOUND, from_outside(3, 3),
				  &about));
	nat_portset_add(&bound, 40001);
	nat_set_bound(lab.engine.nat, NAT_POOL_UDP, &bound);
	packet_udp(&about, flow_of(UPLINK, 40001, PEER_1, 7000), NULL, 9);
	ASSERT_UNTOUCHED(complain(&lab, NAT_PATH_INBOUND, from_outside(3, 3),
				  &about));
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

/* --- from inside ---------------------------------------------------------------- */

static void test_outbound(void)
{
	for (size_t i = 0; i < sizeof(protos) * 2; i++) {
		struct error error = from_inside(3, 3);
		struct lab lab;

		/* By the host itself, or by a router in front of it. */
		error.src = i % 2 ? INSIDE_1 : INNER_ROUTER;
		error.rest = 1280;
		answered(&lab, protos[i / 2], i % 2 ? 2 : 0);
		ASSERT_TRANSLATED(complain(&lab, NAT_PATH_OUTBOUND, error,
					   &lab.inside));
		CU_ASSERT_EQUAL(packet_flow(&lab.engine.packet).src, UPLINK);
		CU_ASSERT_EQUAL(packet_flow(&lab.engine.packet).dst, PEER_1);
		CU_ASSERT_EQUAL(packet_get32(lab.engine.packet.data + 24),
				1280);
		quotes(lab.engine.packet.data, &lab.outside,
		       lab.engine.packet.length - QUOTE);
		engine_free(&lab.engine);
	}
}

static void test_outbound_uninvited(void)
{
	struct lab lab;
	struct nat_session_view view;

	/* "Port unreachable" to a datagram that endpoint-independent filtering
	 * let in: there is no session, and none is made (RFC 7857 7.1). */
	sent(&lab, NAT_PROTO_UDP, 0);
	packet_udp(&lab.outside, flow_of(PEER_2, 9, UPLINK, 40000), NULL, 30);
	lab.engine.packet = lab.outside;
	ASSERT_TRANSLATED(engine_run(&lab.engine, NAT_PATH_INBOUND));
	lab.inside = lab.engine.packet;
	lab.engine.now += SECOND;
	ASSERT_TRANSLATED(complain(&lab, NAT_PATH_OUTBOUND,
				   (struct error){ .src = INSIDE_1,
						   .dst = PEER_2,
						   .type = 3,
						   .code = 3 },
				   &lab.inside));
	quotes(lab.engine.packet.data, &lab.outside, 28);
	CU_ASSERT_EQUAL(engine_stats(&lab.engine).sessions, 1);
	engine_session(&lab.engine, 5000, PEER_1, &view);
	CU_ASSERT_EQUAL(view.expires_ms, 299 * SECOND);
	engine_free(&lab.engine);
}

static void test_outbound_unknown(void)
{
	struct lab lab;
	struct packet about;

	sent(&lab, NAT_PROTO_UDP, 0);
	packet_udp(&about, flow_of(PEER_1, 7000, INSIDE_1, 6000), NULL, 9);
	ASSERT_DROPPED(complain(&lab, NAT_PATH_OUTBOUND, from_inside(3, 3),
				&about),
		       NAT_DROP_NO_SESSION);
	packet_other(&about, PEER_1, INSIDE_1, 47, 20);
	ASSERT_DROPPED(complain(&lab, NAT_PATH_OUTBOUND, from_inside(3, 2),
				&about),
		       NAT_DROP_UNSUPPORTED);
	packet_error(&lab.engine.packet, from_inside(3, 3), &lab.inside);
	lab.engine.packet.data[lab.engine.packet.length - 1] ^= 1;
	ASSERT_DROPPED(engine_run(&lab.engine, NAT_PATH_OUTBOUND),
		       NAT_DROP_BAD_CHECKSUM);
	engine_free(&lab.engine);
}

/* --- from the router itself --------------------------------------------------------- */

static struct error from_router(void)
{
	return (struct error){
		.src = UPLINK, .dst = PEER_1, .type = 11, .code = 0
	};
}

static void test_error_out(void)
{
	for (size_t i = 0; i < sizeof(protos); i++) {
		struct lab lab;

		/* TTL 1 from outside: the quote must show our address. */
		answered(&lab, protos[i], 0);
		ASSERT_TRANSLATED(complain(&lab, NAT_PATH_ERROR_OUT,
					   from_router(), &lab.inside));
		CU_ASSERT_EQUAL(packet_flow(&lab.engine.packet).src, UPLINK);
		quotes(lab.engine.packet.data, &lab.outside, 28);
		engine_free(&lab.engine);
	}
}

static void test_error_out_others(void)
{
	static const struct nat_prefix exempt = { PEER_1 & ~0xffU, 24 };
	struct lab lab;
	struct packet about;

	answered(&lab, NAT_PROTO_UDP, 0);
	/* About the router's own; no error at all. */
	packet_udp(&about, flow_of(PEER_1, 53, UPLINK, 3000), NULL, 9);
	ASSERT_UNTOUCHED(
		complain(&lab, NAT_PATH_ERROR_OUT, from_router(), &about));
	ASSERT_UNTOUCHED(engine_udp(&lab.engine, NAT_PATH_ERROR_OUT,
				    flow_of(UPLINK, 123, PEER_1, 123)));
	/* An exempt destination knows the inside addresses. */
	packet_udp(&about, flow_of(PEER_1, 53, INSIDE_2, 3000), NULL, 9);
	lab.engine.config.exempt = &exempt;
	lab.engine.config.exempt_count = 1;
	engine_configure(&lab.engine);
	ASSERT_UNTOUCHED(
		complain(&lab, NAT_PATH_ERROR_OUT, from_router(), &about));
	nat_set_uplink(lab.engine.nat, 0, lab.engine.now);
	ASSERT_UNTOUCHED(complain(&lab, NAT_PATH_ERROR_OUT, from_router(),
				  &lab.inside));
	engine_free(&lab.engine);
}

static void test_error_out_leak(void)
{
	struct error error = from_router();
	struct lab lab;
	struct packet about;

	answered(&lab, NAT_PROTO_UDP, 0);
	packet_udp(&about, flow_of(PEER_1, 53, INSIDE_2, 3000), NULL, 9);
	ASSERT_DROPPED(complain(&lab, NAT_PATH_ERROR_OUT, error, &about),
		       NAT_DROP_NO_SESSION);
	/* Also where the quote cannot be read to its end. */
	packet_other(&about, PEER_1, INSIDE_2, 47, 20);
	ASSERT_DROPPED(complain(&lab, NAT_PATH_ERROR_OUT, error, &about),
		       NAT_DROP_UNSUPPORTED);
	error.bytes = 24;
	ASSERT_DROPPED(complain(&lab, NAT_PATH_ERROR_OUT, error, &about),
		       NAT_DROP_MALFORMED);
	about.data[8]--;
	error.bytes = 0;
	ASSERT_DROPPED(complain(&lab, NAT_PATH_ERROR_OUT, error, &about),
		       NAT_DROP_BAD_CHECKSUM);
	engine_free(&lab.engine);
}

static void test_loopback(void)
{
	for (size_t i = 0; i < sizeof(protos); i++) {
		struct error error = {
			.src = UPLINK, .dst = UPLINK, .type = 3, .code = 1
		};
		struct lab lab;
		struct nat_result result;

		/* The next hop is dead: the host hears of it. */
		sent(&lab, protos[i], 0);
		error.bytes = lab.outside.length;
		result = complain(&lab, NAT_PATH_LOOPBACK, error,
				  &lab.outside);
		CU_ASSERT_EQUAL_FATAL(result.verdict, NAT_CONSUMED);
		CU_ASSERT_EQUAL(result.answer_length, lab.engine.packet.length);
		CU_ASSERT_EQUAL(packet_get32(result.answer + 12), 0);
		CU_ASSERT_EQUAL(packet_get32(result.answer + 16), INSIDE_1);
		CU_ASSERT_EQUAL(result.answer[20], 3);
		CU_ASSERT_EQUAL(result.answer[21], 1);
		quotes(result.answer, &lab.inside, lab.inside.length);
		engine_free(&lab.engine);
	}
}

static void test_loopback_others(void)
{
	struct error error = {
		.src = UPLINK, .dst = UPLINK, .type = 3, .code = 1
	};
	struct lab lab;
	struct packet about;

	sent(&lab, NAT_PROTO_UDP, 0);
	packet_udp(&about, flow_of(UPLINK, 3000, PEER_1, 53), NULL, 9);
	ASSERT_UNTOUCHED(complain(&lab, NAT_PATH_LOOPBACK, error, &about));
	ASSERT_UNTOUCHED(engine_udp(&lab.engine, NAT_PATH_LOOPBACK,
				    flow_of(UPLINK, 1, UPLINK, 2)));
	error.dst = PEER_3;
	ASSERT_UNTOUCHED(
		complain(&lab, NAT_PATH_LOOPBACK, error, &lab.outside));
	/* Longer than any answer may be. */
	error.dst = UPLINK;
	packet_udp(&lab.engine.packet, out, NULL, 900);
	ASSERT_TRANSLATED(engine_run(&lab.engine, NAT_PATH_OUTBOUND));
	about = lab.engine.packet;
	error.bytes = 600;
	ASSERT_UNTOUCHED(complain(&lab, NAT_PATH_LOOPBACK, error, &about));
	error.bytes = 548;
	CU_ASSERT_EQUAL(complain(&lab, NAT_PATH_LOOPBACK, error, &about)
				.answer_length,
			576);
	engine_free(&lab.engine);
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
	{ "an error from inside shows the outside address only",
	  test_outbound },
	{ "an error about an uninvited datagram is translated",
	  test_outbound_uninvited },
	{ "an error from inside about nothing known is refused",
	  test_outbound_unknown },
	{ "the router's error about a delivered packet is translated",
	  test_error_out },
	{ "other packets of the router leave as they are",
	  test_error_out_others },
	{ "no inside address leaves in a quote", test_error_out_leak },
	{ "an error to ourselves becomes one to the host", test_loopback },
	{ "other packets on lo are left alone", test_loopback_others },
};

int main(int argc, char **argv)
{
	return suite_run("error", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
