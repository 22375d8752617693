/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The fine points of quotes and fragments: what is in an ICMP error, what is
 * not, and how it is looked up.
 */
#include <string.h>

#include "bench.h"
#include "tests/unit/error_lab.h"
#include "tests/unit/fragment_lab.h"

/* --- 19.1 ------------------------------------------------------------------- */

/* The same id, addresses and protocol both ways: two datagrams. */
static void each_direction(void)
{
	struct assembly outward = { 0 }, inward = { 0 };
	struct packet sent_packet, received, piece;
	struct engine engine;

	engine_make(&engine);
	engine_open(&engine, NAT_PROTO_UDP, out);
	whole_udp(&sent_packet, out, 120, 7);
	whole_udp(&received, flow_of(PEER_1, 7000, UPLINK, 5000), 120, 7);
	cut(&piece, &received, 64, 64);
	feed(&engine, NAT_PATH_INBOUND, &piece, &inward);
	/* The first one outwards does not let that one go. */
	cut(&piece, &sent_packet, 0, 64);
	CU_ASSERT_FALSE(
		feed(&engine, NAT_PATH_OUTBOUND, &piece, &outward).output);
	cut(&piece, &sent_packet, 64, 64);
	feed(&engine, NAT_PATH_OUTBOUND, &piece, &outward);
	CU_ASSERT_TRUE(assembled(&outward));
	CU_ASSERT_EQUAL(inward.pieces, 0);
	cut(&piece, &received, 0, 64);
	feed(&engine, NAT_PATH_INBOUND, &piece, &inward);
	CU_ASSERT_TRUE(assembled(&inward));
	engine_free(&engine);
}

/* --- 19.2 ------------------------------------------------------------------- */

static void quoted_bytes(uint8_t proto)
{
	struct error error = from_outside(3, 3);
	struct lab lab;

	sent(&lab, proto, 0);
	for (uint32_t bytes = 21; bytes < 28; bytes++) {
		error.bytes = bytes;
		CU_ASSERT_EQUAL(complain(&lab, NAT_PATH_INBOUND, error,
					 &lab.outside)
					.verdict,
				NAT_DROPPED);
	}
	for (uint32_t bytes = 28; bytes <= lab.outside.length; bytes++) {
		/* Half a checksum cannot be updated. */
		if (proto == NAT_PROTO_TCP && bytes == PACKET_IP + 17)
			continue;
		error.bytes = bytes;
		ASSERT_TRANSLATED(
			complain(&lab, NAT_PATH_INBOUND, error, &lab.outside));
		quotes(lab.engine.packet.data, &lab.inside, bytes);
	}
	engine_free(&lab.engine);
}

static void short_quotes(void)
{
	for (size_t i = 0; i < sizeof(protos); i++)
		quoted_bytes(protos[i]);
}

/* --- 19.3 ------------------------------------------------------------------- */

/* The quoted packet was 65,535 bytes long. */
static void quoted_length(void)
{
	struct lab lab;

	sent(&lab, NAT_PROTO_UDP, 0);
	packet_put16(lab.outside.data + 2, 65535);
	packet_fix_ip(&lab.outside);
	packet_put16(lab.inside.data + 2, 65535);
	packet_fix_ip(&lab.inside);
	ASSERT_TRANSLATED(complain(&lab, NAT_PATH_INBOUND, from_outside(11, 0),
				   &lab.outside));
	quotes(lab.engine.packet.data, &lab.inside, 28);
	engine_free(&lab.engine);
}

static void quoted_error(void)
{
	static const uint8_t types[] = { 3, 11, 12, 5 };

	for (size_t i = 0; i < sizeof(types); i++) {
		struct lab lab;

		sent(&lab, NAT_PROTO_ICMP, 0);
		lab.outside.data[PACKET_IP] = types[i];
		packet_fix_icmp(&lab.outside);
		CU_ASSERT_EQUAL(complain(&lab, NAT_PATH_INBOUND,
					 from_outside(3, 3), &lab.outside)
					.verdict,
				NAT_DROPPED);
		engine_free(&lab.engine);
	}
}

static void quoted_fragment(void)
{
	struct lab lab;

	sent(&lab, NAT_PROTO_UDP, 0);
	packet_set_fragment(&lab.outside, MF | 1);
	CU_ASSERT_EQUAL(complain(&lab, NAT_PATH_INBOUND, from_outside(11, 1),
				 &lab.outside)
				.verdict,
			NAT_DROPPED);
	/* The first one has ports. */
	packet_set_fragment(&lab.outside, MF);
	packet_set_fragment(&lab.inside, MF);
	ASSERT_TRANSLATED(complain(&lab, NAT_PATH_INBOUND, from_outside(11, 1),
				   &lab.outside));
	quotes(lab.engine.packet.data, &lab.inside, 28);
	engine_free(&lab.engine);
}

/* --- 19.4, 19.5 --------------------------------------------------------------- */

/* From outside what we sent is quoted, from inside what we delivered; never the
 * other way round. */
static void direction(void)
{
	for (size_t i = 0; i < 2; i++) {
		struct packet about;
		struct lab lab;

		answered(&lab, protos[i], 0);
		CU_ASSERT_NOT_EQUAL(complain(&lab, NAT_PATH_INBOUND,
					     from_outside(3, 3), &lab.outside)
					    .verdict,
				    NAT_TRANSLATED);
		packet_udp(&about, out, NULL, 8);
		about.data[9] = protos[i];
		packet_fix_ip(&about);
		CU_ASSERT_EQUAL(complain(&lab, NAT_PATH_OUTBOUND,
					 from_inside(3, 3), &about)
					.verdict,
				NAT_DROPPED);
		engine_free(&lab.engine);
	}
}

static void query_id(void)
{
	struct lab lab;
	uint8_t *quote;

	sent(&lab, NAT_PROTO_ICMP, 0);
	CU_ASSERT_EQUAL(packet_flow(&lab.outside).sport, 40000);
	ASSERT_TRANSLATED(complain(&lab, NAT_PATH_INBOUND, from_outside(11, 0),
				   &lab.outside));
	quote = lab.engine.packet.data + QUOTE + PACKET_IP;
	CU_ASSERT_EQUAL(packet_get16(quote + 4), 5000);
	CU_ASSERT_EQUAL(packet_get16(quote + 2), packet_checksum(&lab.inside));
	CU_ASSERT_EQUAL(packet_get16(quote + 6), 1); /* the sequence number */
	engine_free(&lab.engine);
}

/* --- 19.13, 19.14, 19.32 ------------------------------------------------------- */

/* What the kernel raises about a delivered packet, by the address of either
 * side, is un-NATed on its way out. */
static void raised(uint8_t type, uint8_t code, uint32_t rest)
{
	for (size_t i = 0; i < sizeof(protos); i++) {
		struct error error = { .src = 0xc0a80101U,
				       .dst = PEER_1,
				       .type = type,
				       .code = code,
				       .rest = rest };
		struct lab lab;

		answered(&lab, protos[i], 0);
		error.bytes = lab.inside.length;
		ASSERT_TRANSLATED(
			complain(&lab, NAT_PATH_ERROR_OUT, error, &lab.inside));
		CU_ASSERT_EQUAL(packet_flow(&lab.engine.packet).src, UPLINK);
		CU_ASSERT_EQUAL(packet_get32(lab.engine.packet.data + 24),
				rest);
		quotes(lab.engine.packet.data, &lab.outside,
		       lab.outside.length);
		engine_free(&lab.engine);
	}
}

static void last_hop(void)
{
	raised(11, 0, 0);
}

static void inside_mtu(void)
{
	raised(3, 4, 1280);
}

static void host_gone(void)
{
	raised(3, 1, 0);
}

/* The next hop outside is dead: the host that sent it is told. */
static void next_hop(void)
{
	struct error error = {
		.src = UPLINK, .dst = UPLINK, .type = 3, .code = 1
	};
	struct nat_result result;
	struct lab lab;

	sent(&lab, NAT_PROTO_UDP, 0);
	error.bytes = lab.outside.length;
	result = complain(&lab, NAT_PATH_LOOPBACK, error, &lab.outside);
	CU_ASSERT_EQUAL(result.verdict, NAT_CONSUMED);
	CU_ASSERT_PTR_NOT_NULL_FATAL(result.answer);
	CU_ASSERT_EQUAL(packet_get32(result.answer + 16), INSIDE_1);
	quotes(result.answer, &lab.inside, lab.inside.length);
	engine_free(&lab.engine);
}

static void not_translated(void)
{
	static const uint8_t types[] = { 4, 5, 9, 10 };
	struct lab lab;

	sent(&lab, NAT_PROTO_UDP, 0);
	for (size_t i = 0; i < sizeof(types); i++)
		ASSERT_UNTOUCHED(complain(&lab, NAT_PATH_INBOUND,
					  from_outside(types[i], 1),
					  &lab.outside));
	engine_free(&lab.engine);
}

static const struct requirement table[] = {
	{ "BEHAVE 19.1", "MUST",
	  "fragments of one id are told apart by direction", each_direction,
	  NULL },
	{ "BEHAVE 19.2", "MUST",
	  "8 quoted transport bytes are enough, 7 are not", short_quotes,
	  NULL },
	{ "BEHAVE 19.3 length", "MUST",
	  "a quoted length beyond the bytes at hand is not followed",
	  quoted_length, NULL },
	{ "BEHAVE 19.3 error", "MUST", "an error about an error is dropped",
	  quoted_error, NULL },
	{ "BEHAVE 19.3 fragment", "MUST",
	  "an error about a later fragment is dropped", quoted_fragment, NULL },
	{ "BEHAVE 19.4", "MUST",
	  "what is quoted is looked up by who must have sent it", direction,
	  NULL },
	{ "BEHAVE 19.5", "MUST",
	  "the id and checksum of a quoted ping are restored", query_id, NULL },
	{ "BEHAVE 19.13", "MUST",
	  "the kernel's 11/0 about a delivered packet quotes our address",
	  last_hop, NULL },
	{ "BEHAVE 19.14 MTU", "MUST", "so does its 3/4, with the MTU",
	  inside_mtu, NULL },
	{ "BEHAVE 19.14 host", "MUST", "and its 3/1", host_gone, NULL },
	{ "BEHAVE 19.14 next hop", "MUST",
	  "an error to ourselves about a translated packet goes to the host",
	  next_hop, NULL },
	{ "BEHAVE 19.32", "MUST NOT",
	  "redirect, source quench, router adverts are not translated",
	  not_translated, NULL },
};

int main(int argc, char **argv)
{
	return requirement_run("behave", table, COUNT(table), argc, argv);
}
