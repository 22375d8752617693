/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * ICMP errors from inside hosts and from the router itself (RFC 5508 REQ-5): no
 * inside address may leave in them.
 */
#include <string.h>

#include "error_lab.h"
#include "suite.h"

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
		ASSERT_TRANSLATED(
			complain(&lab, NAT_PATH_OUTBOUND, error, &lab.inside));
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
	ASSERT_TRANSLATED(complain(
		&lab, NAT_PATH_OUTBOUND,
		(struct error){
			.src = INSIDE_1, .dst = PEER_2, .type = 3, .code = 3 },
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
	packet_other(&about, PEER_1, INSIDE_1, 51, 20);
	ASSERT_DROPPED(complain(&lab, NAT_PATH_OUTBOUND, from_inside(3, 2),
				&about),
		       NAT_DROP_UNSUPPORTED);
	packet_error(&lab.engine.packet, from_inside(3, 3), &lab.inside);
	lab.engine.packet.data[lab.engine.packet.length - 1] ^= 1;
	ASSERT_DROPPED(engine_run(&lab.engine, NAT_PATH_OUTBOUND),
		       NAT_DROP_BAD_CHECKSUM);
	engine_free(&lab.engine);
}

/* A host makes up an error to anyone about what another one has sent it. */
static void test_quoted_neighbour(void)
{
	struct error error = { .src = INSIDE_1, .dst = PEER_2, .type = 3 };
	struct packet about;
	struct lab lab;

	answered(&lab, NAT_PROTO_UDP, 0);
	packet_udp(&about, flow_of(INSIDE_2, 7000, INSIDE_1, 5000), NULL, 9);
	ASSERT_DROPPED(complain(&lab, NAT_PATH_OUTBOUND, error, &about),
		       NAT_DROP_NO_SESSION);
	error.src = UPLINK;
	ASSERT_DROPPED(complain(&lab, NAT_PATH_ERROR_OUT, error, &about),
		       NAT_DROP_NO_SESSION);
	packet_udp(&about, flow_of(INSIDE_2, 7000, PEER_1, 5000), NULL, 9);
	ASSERT_DROPPED(complain(&lab, NAT_PATH_ERROR_OUT, error, &about),
		       NAT_DROP_NO_SESSION);
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
	ASSERT_UNTOUCHED(
		complain(&lab, NAT_PATH_ERROR_OUT, from_router(), &lab.inside));
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
	packet_other(&about, PEER_1, INSIDE_2, 51, 20);
	ASSERT_DROPPED(complain(&lab, NAT_PATH_ERROR_OUT, error, &about),
		       NAT_DROP_UNSUPPORTED);
	error.bytes = 24;
	ASSERT_DROPPED(complain(&lab, NAT_PATH_ERROR_OUT, error, &about),
		       NAT_DROP_MALFORMED);
	error.bytes = 18; /* the source and half of the destination */
	ASSERT_DROPPED(complain(&lab, NAT_PATH_ERROR_OUT, error, &about),
		       NAT_DROP_MALFORMED);
	about.data[8]--;
	error.bytes = 0;
	ASSERT_DROPPED(complain(&lab, NAT_PATH_ERROR_OUT, error, &about),
		       NAT_DROP_BAD_CHECKSUM);
	/* Cut within its options. */
	packet_add_options(&about, 4);
	error.bytes = 28;
	ASSERT_DROPPED(complain(&lab, NAT_PATH_ERROR_OUT, error, &about),
		       NAT_DROP_MALFORMED);
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
		result = complain(&lab, NAT_PATH_LOOPBACK, error, &lab.outside);
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

/* Both passes of a hairpin are behind the packet that the error quotes; the
 * sender knows neither what it became nor where it went. */
static void test_loopback_hairpin(void)
{
	struct error error = {
		.src = UPLINK, .dst = UPLINK, .type = 3, .code = 1
	};
	struct engine engine;
	struct packet sent, delivered, told;
	struct nat_result result;
	uint16_t other;

	engine_make(&engine);
	other = engine_open(&engine, NAT_PROTO_UDP,
			    flow_of(INSIDE_2, 6000, PEER_1, 9));
	packet_udp(&engine.packet, flow_of(INSIDE_1, 5000, UPLINK, other), NULL,
		   40);
	sent = engine.packet;
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_HAIRPIN_IN));
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_HAIRPIN_OUT));
	delivered = engine.packet;
	packet_error(&engine.packet, error, &delivered);
	result = engine_run(&engine, NAT_PATH_LOOPBACK);
	CU_ASSERT_EQUAL_FATAL(result.verdict, NAT_CONSUMED);
	CU_ASSERT_PTR_NOT_NULL_FATAL(result.answer);
	memcpy(told.data, result.answer, result.answer_length);
	CU_ASSERT_EQUAL(packet_get32(told.data + 16), INSIDE_1);
	CU_ASSERT_EQUAL(memcmp(told.data + QUOTE + 12, sent.data + 12, 12), 0);
	/* About a hairpin that nobody made: the router's own. */
	packet_put16(delivered.data + PACKET_IP, 5001);
	packet_error(&engine.packet, error, &delivered);
	ASSERT_UNTOUCHED(engine_run(&engine, NAT_PATH_LOOPBACK));
	engine_free(&engine);
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
	CU_ASSERT_EQUAL(
		complain(&lab, NAT_PATH_LOOPBACK, error, &about).answer_length,
		576);
	engine_free(&lab.engine);
}

static const struct test tests[] = {
	{ "an error from inside shows the outside address only",
	  test_outbound },
	{ "an error about an uninvited datagram is translated",
	  test_outbound_uninvited },
	{ "an error from inside about nothing known is refused",
	  test_outbound_unknown },
	{ "RFC 5508 REQ-5: no inside source leaves in a quote",
	  test_quoted_neighbour },
	{ "the router's error about a delivered packet is translated",
	  test_error_out },
	{ "other packets of the router leave as they are",
	  test_error_out_others },
	{ "no inside address leaves in a quote", test_error_out_leak },
	{ "an error to ourselves becomes one to the host", test_loopback },
	{ "an error about a hairpinned packet reaches its sender",
	  test_loopback_hairpin },
	{ "other packets on lo are left alone", test_loopback_others },
};

int main(int argc, char **argv)
{
	return suite_run("error_out", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
