/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * RFC 5508 (BCP 148) REQ-3 to REQ-6: ICMP errors through a NAT.
 */
#include <string.h>

#include "tests/unit/error_lab.h"
#include "tests/unit/requirement.h"

#define KINDS 7U
static const uint8_t kinds[KINDS][2] = { { 3, 0 }, { 3, 1 },  { 3, 3 },
					 { 3, 4 }, { 11, 0 }, { 11, 1 },
					 { 12, 0 } };

/* --- errors: what is checked --------------------------------------------------- */

static void req_3(void)
{
	struct lab lab;

	sent(&lab, NAT_PROTO_UDP, 0);
	for (uint32_t at = PACKET_IP; at < QUOTE + 28; at++) {
		packet_error(&lab.engine.packet, from_outside(3, 3),
			     &lab.outside);
		lab.engine.packet.data[at] ^= 0x10;
		/* Another type is no error that could be judged, another IP
		 * version is refused for that alone. */
		if (at != PACKET_IP && at != QUOTE)
			ASSERT_DROPPED(engine_run(&lab.engine,
						  NAT_PATH_INBOUND),
				       NAT_DROP_BAD_CHECKSUM);
	}
	ASSERT_TRANSLATED(complain(&lab, NAT_PATH_INBOUND, from_outside(3, 3),
				   &lab.outside));
	engine_free(&lab.engine);
}

static void req_3a(void)
{
	struct lab lab;

	sent(&lab, NAT_PROTO_UDP, 0);
	for (uint32_t at = 1; at < 20; at++) {
		struct packet about = lab.outside;

		about.data[at] ^= 0x04;
		ASSERT_DROPPED(complain(&lab, NAT_PATH_INBOUND,
					from_outside(3, 3), &about),
			       NAT_DROP_BAD_CHECKSUM);
	}
	engine_free(&lab.engine);
}

static void req_3b(void)
{
	for (uint32_t words = 1; words <= 10; words++)
		for (size_t i = 0; i < sizeof(protos); i++) {
			struct lab lab;

			sent(&lab, protos[i], words);
			ASSERT_TRANSLATED(complain(&lab, NAT_PATH_INBOUND,
						   from_outside(3, 3),
						   &lab.outside));
			quotes(lab.engine.packet.data, &lab.inside,
			       28 + words * 4);
			engine_free(&lab.engine);
		}
}

static void req_3c(void)
{
	struct error error = from_outside(3, 3);

	for (size_t i = 0; i < sizeof(protos); i++) {
		static const uint8_t field[] = { 6, 16, 2 };
		struct lab lab;

		sent(&lab, protos[i], 0);
		error.bytes = lab.outside.length;
		lab.outside.data[PACKET_IP + field[i]] ^= 0x55;
		ASSERT_TRANSLATED(
			complain(&lab, NAT_PATH_INBOUND, error, &lab.outside));
		quotes(lab.engine.packet.data, &lab.inside,
		       PACKET_IP + (protos[i] == NAT_PROTO_ICMP ? 2 : 6));
		engine_free(&lab.engine);
	}
}

/* RFC 4884: 128 octets of the datagram, padded with zeros, then extensions. */
static void add_extension(struct packet *error)
{
	static const uint8_t mpls[12] = { 0x20, 0, 0x5b, 0x11, 0,    8,
					  1,	1, 0x12, 0x34, 0x51, 0xff };

	memcpy(error->data + error->length, mpls, sizeof(mpls));
	error->length += sizeof(mpls);
	packet_put16(error->data + 2, (uint16_t)error->length);
	packet_fix_ip(error);
	packet_fix_icmp(error);
}

static void req_3d(void)
{
	struct error error = from_outside(11, 0);

	error.rest = 32U << 16; /* its length: 32 words */
	error.bytes = 128;
	for (size_t i = 0; i < sizeof(protos); i++) {
		struct packet before;
		struct lab lab;

		sent(&lab, protos[i], 0);
		memset(lab.outside.data + lab.outside.length, 0, 128);
		packet_error(&lab.engine.packet, error, &lab.outside);
		add_extension(&lab.engine.packet);
		before = lab.engine.packet;
		ASSERT_TRANSLATED(engine_run(&lab.engine, NAT_PATH_INBOUND));
		quotes(lab.engine.packet.data, &lab.inside, lab.inside.length);
		/* Length byte, padding and extension are as they came. */
		CU_ASSERT_EQUAL(lab.engine.packet.data[PACKET_IP + 5], 32);
		CU_ASSERT_EQUAL(lab.engine.packet.length, before.length);
		CU_ASSERT_EQUAL(
			memcmp(lab.engine.packet.data + QUOTE +
				       lab.inside.length,
			       before.data + QUOTE + lab.inside.length,
			       before.length - QUOTE - lab.inside.length),
			0);
		engine_free(&lab.engine);
	}
}

/* --- errors from outside ---------------------------------------------------------- */

/* Changes the quoted packet's peer or outside port: no session has it. */
static void about_nobody(struct packet *about, uint8_t proto, int which)
{
	uint8_t *l4 = packet_l4(about);

	if (which == 0)
		packet_put32(about->data + 16, PEER_3);
	else if (which == 1)
		packet_put16(l4 + (proto == NAT_PROTO_ICMP ? 4 : 0), 40001);
	else if (proto != NAT_PROTO_ICMP)
		packet_put16(l4 + 2, 7001);
	else
		packet_put32(about->data + 12, PEER_3);
	packet_fix_ip(about);
}

static void req_4(void)
{
	for (size_t i = 0; i < 3 * sizeof(protos); i++) {
		uint8_t proto = protos[i / 3];
		struct nat_result result;
		struct packet about;
		struct lab lab;

		sent(&lab, proto, 0);
		engine_pool(&lab.engine.config, 40000, 40001);
		engine_configure(&lab.engine);
		about = lab.outside;
		about_nobody(&about, proto, i % 3);
		result = complain(&lab, NAT_PATH_INBOUND, from_outside(3, 3),
				  &about);
		CU_ASSERT_NOT_EQUAL(result.verdict, NAT_TRANSLATED);
		CU_ASSERT_EQUAL(result.answer_length, 0);
		/* The router's own ping may have any id: it decides. */
		if (proto != NAT_PROTO_ICMP)
			ASSERT_DROPPED(result, NAT_DROP_NO_SESSION);
		engine_free(&lab.engine);
	}
}

/* Every kind of error about every protocol from a router on the path. */
static void each_inbound(void (*proof)(const struct lab *, const uint8_t *))
{
	for (size_t i = 0; i < KINDS * sizeof(protos); i++) {
		const uint8_t *kind = kinds[i / sizeof(protos)];
		struct error error = from_outside(kind[0], kind[1]);
		struct lab lab;

		error.rest = 1300;
		sent(&lab, protos[i % sizeof(protos)], 0);
		error.bytes = lab.outside.length;
		ASSERT_TRANSLATED(
			complain(&lab, NAT_PATH_INBOUND, error, &lab.outside));
		proof(&lab, kind);
		engine_free(&lab.engine);
	}
}

static void quote_restored(const struct lab *lab, const uint8_t *kind)
{
	(void)kind;
	quotes(lab->engine.packet.data, &lab->inside, lab->inside.length);
}

static void req_4a(void)
{
	each_inbound(quote_restored);
}

static void kind_kept(const struct lab *lab, const uint8_t *kind)
{
	const uint8_t *icmp = lab->engine.packet.data + PACKET_IP;

	CU_ASSERT_EQUAL(icmp[0], kind[0]);
	CU_ASSERT_EQUAL(icmp[1], kind[1]);
	CU_ASSERT_EQUAL(packet_get32(icmp + 4), 1300);
}

static void req_4b(void)
{
	each_inbound(kind_kept);
}

static void outer_inbound(const struct lab *lab, const uint8_t *kind)
{
	struct flow outer = packet_flow(&lab->engine.packet);

	(void)kind;
	CU_ASSERT_EQUAL(outer.src, ROUTER);
	CU_ASSERT_EQUAL(outer.dst, INSIDE_1);
}

static void req_4c(void)
{
	each_inbound(outer_inbound);
}

/* --- errors from inside ------------------------------------------------------------- */

static void req_5(void)
{
	for (size_t i = 0; i < sizeof(protos); i++) {
		struct nat_result result;
		struct lab lab;

		answered(&lab, protos[i], 0);
		/* It was never delivered to this host. */
		packet_put32(lab.inside.data + 16, INSIDE_2);
		packet_fix_ip(&lab.inside);
		result = complain(&lab, NAT_PATH_OUTBOUND, from_inside(3, 3),
				  &lab.inside);
		ASSERT_DROPPED(result, NAT_DROP_NO_SESSION);
		CU_ASSERT_EQUAL(result.answer_length, 0);
		engine_free(&lab.engine);
	}
}

static void each_outbound(uint32_t source,
			  void (*proof)(const struct lab *, const uint8_t *))
{
	for (size_t i = 0; i < KINDS * sizeof(protos); i++) {
		const uint8_t *kind = kinds[i / sizeof(protos)];
		struct error error = from_inside(kind[0], kind[1]);
		struct lab lab;

		error.src = source;
		error.rest = 1300;
		answered(&lab, protos[i % sizeof(protos)], 0);
		error.bytes = lab.inside.length;
		ASSERT_TRANSLATED(
			complain(&lab, NAT_PATH_OUTBOUND, error, &lab.inside));
		proof(&lab, kind);
		engine_free(&lab.engine);
	}
}

static void quote_as_outside(const struct lab *lab, const uint8_t *kind)
{
	(void)kind;
	quotes(lab->engine.packet.data, &lab->outside, lab->outside.length);
}

static void req_5a(void)
{
	each_outbound(INSIDE_1, quote_as_outside);
}

static void req_5b(void)
{
	each_outbound(INSIDE_1, kind_kept);
}

/* The outer source is ours and 192.168 is nowhere in it. */
static void outer_outbound(const struct lab *lab, const uint8_t *kind)
{
	const struct packet *packet = &lab->engine.packet;
	struct flow outer = packet_flow(packet);

	(void)kind;
	CU_ASSERT_EQUAL(outer.src, UPLINK);
	CU_ASSERT_EQUAL(outer.dst, PEER_1);
	for (uint32_t at = 0; at + 2 < packet->length; at++)
		CU_ASSERT_NOT_EQUAL(packet_get32(packet->data + at) >> 8,
				    0xc0a801);
}

static void req_5c(void)
{
	each_outbound(INSIDE_1, outer_outbound);
	each_outbound(INNER_ROUTER, outer_outbound);
}

/* --- what errors must not do ---------------------------------------------------------- */

static struct nat_session_view session_of(const struct lab *lab)
{
	struct nat_session_view view;

	CU_ASSERT_TRUE(engine_session(&lab->engine, 5000, PEER_1, &view));
	return view;
}

static void same_life(const struct lab *lab,
		      const struct nat_session_view *before)
{
	struct nat_session_view after = session_of(lab);

	CU_ASSERT_EQUAL(after.idle_ms, before->idle_ms);
	CU_ASSERT_EQUAL(after.expires_ms, before->expires_ms);
	CU_ASSERT_EQUAL(after.state, before->state);
	CU_ASSERT_EQUAL(after.counters.in_packets, before->counters.in_packets);
}

static void untouched_by_inside(uint8_t proto)
{
	struct nat_session_view before;
	struct lab lab;

	answered(&lab, proto, 0);
	lab.engine.now += 10 * SECOND;
	before = session_of(&lab);
	for (size_t i = 0; i < KINDS; i++)
		ASSERT_TRANSLATED(complain(
			&lab, NAT_PATH_OUTBOUND,
			from_inside(kinds[i][0], kinds[i][1]), &lab.inside));
	same_life(&lab, &before);
	engine_free(&lab.engine);
}

static void untouched_by_outside(uint8_t proto)
{
	struct nat_session_view before;
	struct lab lab;

	sent(&lab, proto, 0);
	lab.engine.now += 10 * SECOND;
	before = session_of(&lab);
	for (size_t i = 0; i < KINDS; i++)
		ASSERT_TRANSLATED(complain(
			&lab, NAT_PATH_INBOUND,
			from_outside(kinds[i][0], kinds[i][1]), &lab.outside));
	same_life(&lab, &before);
	engine_free(&lab.engine);
}

static void req_6(void)
{
	for (size_t i = 0; i < sizeof(protos); i++) {
		untouched_by_inside(protos[i]);
		untouched_by_outside(protos[i]);
	}
}

static const struct requirement table[] = {
	{ "RFC5508 REQ-3", "SHOULD",
	  "an error with a bad ICMP checksum is dropped", req_3, NULL },
	{ "RFC5508 REQ-3a", "SHOULD",
	  "so is one whose quoted IP header has a bad checksum", req_3a, NULL },
	{ "RFC5508 REQ-3b", "MUST",
	  "options of the quoted header are stepped over", req_3b, NULL },
	{ "RFC5508 REQ-3c", "SHOULD NOT",
	  "the quoted transport checksum is not judged", req_3c, NULL },
	{ "RFC5508 REQ-3d", "MUST",
	  "padding and extensions pass unchanged and uncounted", req_3d, NULL },
	{ "RFC5508 REQ-4", "SHOULD",
	  "an error from outside about no session is dropped silently", req_4,
	  NULL },
	{ "RFC5508 REQ-4a", "MUST",
	  "else the host finds quoted what it has sent", req_4a, NULL },
	{ "RFC5508 REQ-4b", "MUST",
	  "type, code and MTU of an error from outside stay", req_4b, NULL },
	{ "RFC5508 REQ-4c", "MUST",
	  "it goes to the quoted source and shows who sent it", req_4c, NULL },
	{ "RFC5508 REQ-5", "SHOULD",
	  "an error from inside about no session is dropped silently", req_5,
	  NULL },
	{ "RFC5508 REQ-5a", "MUST",
	  "else the peer finds quoted what it has sent", req_5a, NULL },
	{ "RFC5508 REQ-5b", "MUST",
	  "type, code and MTU of an error from inside stay", req_5b, NULL },
	{ "RFC5508 REQ-5c", "MUST",
	  "its source is ours, also from an inner router; nothing leaks",
	  req_5c, NULL },
	{ "RFC5508 REQ-6", "MUST NOT",
	  "no error refreshes or ends the session it quotes", req_6, NULL },
};

int main(int argc, char **argv)
{
	return requirement_run("rfc5508", table,
			       sizeof(table) / sizeof(table[0]), argc, argv);
}
