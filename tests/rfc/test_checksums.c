/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * RFC 768, 1071, 1624 and 3022: every checksum that a translation touches.
 */
#include <string.h>

#include "bench.h"
#include "tests/unit/dice.h"
#include "tests/unit/error_lab.h"

#define SERVER_53 0xc6336435U /* 198.51.100.53 */

/* Every mapping gets this port. */
static void only_port(struct engine *engine, uint16_t port)
{
	engine_make(engine);
	engine_pool(&engine->config, port, port);
	engine_configure(engine);
}

static uint16_t ip_checksum(const struct packet *packet)
{
	return packet_get16(packet->data + 10);
}

/* --- vectors ---------------------------------------------------------------- */

/* Makes a checksum this value by changing the last (even) word. */
static void aim(struct packet *packet, uint16_t wanted)
{
	uint8_t *word = packet->data + packet->length - 2;
	uint32_t sum;

	packet_put16(word, 0);
	packet_fix_icmp(packet);
	/* checksum = ~(sum + word), so word = checksum - wanted. */
	sum = packet_checksum(packet) + (uint32_t)(uint16_t)~wanted;
	packet_put16(word, (uint16_t)((sum & 0xffff) + (sum >> 16)));
	packet_fix_icmp(packet);
}

static void rfc1624(void)
{
	struct engine engine;

	only_port(&engine, 0x3285);
	packet_icmp(&engine.packet, flow_of(INSIDE_1, 0x5555, PEER_1, 0x5555),
		    8, 8);
	aim(&engine.packet, 0xdd2f);
	CU_ASSERT_EQUAL(packet_checksum(&engine.packet), 0xdd2f);
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	CU_ASSERT_EQUAL(packet_flow(&engine.packet).sport, 0x3285);
	CU_ASSERT_EQUAL(packet_checksum(&engine.packet), 0x0000);
	engine_free(&engine);
}

static void hello(struct engine *engine, uint16_t port)
{
	only_port(engine, port);
	packet_udp(&engine->packet, flow_of(INSIDE_1, 5000, SERVER_53, 53),
		   "hello", 5);
}

static void ip_vector(void)
{
	struct engine engine;

	hello(&engine, 40000);
	CU_ASSERT_EQUAL(ip_checksum(&engine.packet), 0x3c7d);
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	CU_ASSERT_EQUAL(ip_checksum(&engine.packet), 0xc227);
	/* The same when a router has taken one hop off it. */
	packet_udp(&engine.packet, flow_of(INSIDE_1, 5000, SERVER_53, 53),
		   "hello", 5);
	engine.packet.data[8] = 63;
	packet_fix_ip(&engine.packet);
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	CU_ASSERT_EQUAL(ip_checksum(&engine.packet), 0xc327);
	engine_free(&engine);
}

static void udp_vector(void)
{
	struct engine engine;

	hello(&engine, 40000);
	CU_ASSERT_EQUAL(packet_checksum(&engine.packet), 0xbc29);
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	CU_ASSERT_EQUAL(packet_checksum(&engine.packet), 0xb91b);
	engine_free(&engine);
}

static void udp_ffff(void)
{
	struct engine engine;

	hello(&engine, 21852);
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	CU_ASSERT_EQUAL(packet_checksum(&engine.packet), 0xffff);
	engine_free(&engine);
}

/* --- which checksum moves for what ---------------------------------------------- */

static void fresh(struct packet *packet, uint8_t proto, struct flow flow,
		  uint16_t bytes)
{
	if (proto == NAT_PROTO_UDP)
		packet_udp(packet, flow, NULL, bytes);
	else if (proto == NAT_PROTO_TCP)
		packet_tcp(packet, flow,
			   (struct segment){ .flags = SYN, .bytes = bytes });
	else
		packet_icmp(packet, flow, 8, bytes);
}

/* A port of its own: the ICMP checksum does not cover the addresses, the other
 * two do. */
static void address_only(void)
{
	for (size_t i = 0; i < sizeof(protos); i++) {
		struct engine engine;
		uint16_t before;

		engine_make(&engine);
		fresh(&engine.packet, protos[i], out, 20);
		before = packet_checksum(&engine.packet);
		ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
		CU_ASSERT_EQUAL(packet_flow(&engine.packet).sport, 5000);
		if (protos[i] == NAT_PROTO_ICMP)
			CU_ASSERT_EQUAL(packet_checksum(&engine.packet), before)
		else
			CU_ASSERT_NOT_EQUAL(packet_checksum(&engine.packet),
					    before);
		engine_free(&engine);
	}
}

static void id_only(void)
{
	struct engine engine;
	struct packet atomic;

	engine_make(&engine);
	packet_udp(&engine.packet, out, NULL, 20);
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	atomic = engine.packet;
	packet_udp(&engine.packet, out, NULL, 20);
	packet_set_fragment(&engine.packet, 0);
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	CU_ASSERT_NOT_EQUAL(packet_get16(engine.packet.data + 4),
			    packet_get16(atomic.data + 4));
	CU_ASSERT_EQUAL(packet_checksum(&engine.packet),
			packet_checksum(&atomic));
	CU_ASSERT_TRUE(
		packet_ip_good(engine.packet.data, engine.packet.length));
	engine_free(&engine);
}

/* --- zero ------------------------------------------------------------------------- */

static void udp_none(void)
{
	struct engine engine;

	only_port(&engine, 40000);
	packet_udp(&engine.packet, out, NULL, 20);
	packet_put16(packet_l4(&engine.packet) + 6, 0);
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	CU_ASSERT_EQUAL(packet_checksum(&engine.packet), 0);
	packet_udp(&engine.packet, flow_of(PEER_1, 7000, UPLINK, 40000), NULL,
		   20);
	packet_put16(packet_l4(&engine.packet) + 6, 0);
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_INBOUND));
	CU_ASSERT_EQUAL(packet_checksum(&engine.packet), 0);
	engine_free(&engine);
}

/* The outgoing checksum of a TCP segment or ping is made 0 by its payload. */
static void zero_is_normal(void)
{
	static const uint8_t both[] = { NAT_PROTO_TCP, NAT_PROTO_ICMP };

	for (size_t i = 0; i < 2; i++) {
		struct engine engine;
		uint16_t left;

		only_port(&engine, 40000);
		fresh(&engine.packet, both[i], out, 20);
		packet_put16(engine.packet.data + engine.packet.length - 2, 0);
		packet_fix_icmp(&engine.packet);
		ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
		left = packet_checksum(&engine.packet);
		fresh(&engine.packet, both[i], out, 20);
		packet_put16(engine.packet.data + engine.packet.length - 2,
			     left);
		packet_fix_icmp(&engine.packet);
		ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
		CU_ASSERT_EQUAL(packet_checksum(&engine.packet), 0);
		engine_free(&engine);
	}
}

static void quoted_none(void)
{
	struct lab lab;

	sent(&lab, NAT_PROTO_UDP, 0);
	packet_put16(lab.outside.data + PACKET_IP + 6, 0);
	packet_put16(lab.inside.data + PACKET_IP + 6, 0);
	ASSERT_TRANSLATED(complain(&lab, NAT_PATH_INBOUND, from_outside(3, 3),
				   &lab.outside));
	quotes(lab.engine.packet.data, &lab.inside, 28);
	engine_free(&lab.engine);
}

/* --- no repairs --------------------------------------------------------------------- */

/* Opened by a good packet, then `flaw` is added to a checksum: what leaves must
 * be wrong by as much. */
static void wrong_stays(uint8_t proto)
{
	static const uint16_t flaws[] = { 1, 0x100, 0x7fff, 0xfffe };
	struct engine engine;
	uint16_t good, sum;

	only_port(&engine, 40000);
	fresh(&engine.packet, proto, out, 20);
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	good = packet_checksum(&engine.packet);
	for (size_t i = 0; i < COUNT(flaws); i++) {
		uint8_t *field;

		fresh(&engine.packet, proto, out, 20);
		field = packet_l4(&engine.packet) +
			(proto == NAT_PROTO_UDP ? 6 :
			 proto == NAT_PROTO_TCP ? 16 :
						  2);
		sum = packet_sum(flaws[i], field, 2);
		packet_put16(field, sum);
		ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
		sum = packet_checksum(&engine.packet);
		CU_ASSERT_NOT_EQUAL(sum, good);
		CU_ASSERT_EQUAL((uint16_t)(sum - good + (sum < good ? -1 : 0)),
				flaws[i]);
	}
	engine_free(&engine);
}

static void no_repair(void)
{
	for (size_t i = 0; i < sizeof(protos); i++)
		wrong_stays(protos[i]);
}

/* --- many ------------------------------------------------------------------------------ */

static struct flow any_flow(struct dice *dice)
{
	return flow_of(0xc0a80101U + dice_roll(dice, 5),
		       (uint16_t)(1 + dice_roll(dice, 65535)),
		       0x08000000U + dice_roll(dice, 0x1000000),
		       (uint16_t)(1 + dice_roll(dice, 65535)));
}

/* engine_run() compares with sums from scratch. */
static void random_packets(void)
{
	struct dice dice = { 1071 };
	struct engine engine;
	unsigned passed = 0;

	engine_make(&engine);
	engine.unproven = true;
	for (uint32_t i = 0; i < 10000; i++) {
		fresh(&engine.packet, protos[i % 3], any_flow(&dice),
		      (uint16_t)dice_roll(&dice, 80));
		passed += engine_run(&engine, NAT_PATH_OUTBOUND).verdict ==
			  NAT_TRANSLATED;
		engine.now += 20 * SECOND;
	}
	CU_ASSERT_EQUAL(passed, 10000);
	engine_free(&engine);
}

static void odd_lengths(void)
{
	struct engine engine;

	only_port(&engine, 40000);
	for (uint16_t bytes = 0; bytes < 70; bytes++)
		for (size_t i = 0; i < sizeof(protos); i++) {
			fresh(&engine.packet, protos[i], out, bytes);
			ASSERT_TRANSLATED(
				engine_run(&engine, NAT_PATH_OUTBOUND));
		}
	engine_free(&engine);
}

/* Header, error, quoted header, quoted transport: quotes() proves the last two
 * and engine_run() the others. */
static void error_sums(void)
{
	struct error error = from_outside(3, 3);

	for (size_t i = 0; i < sizeof(protos); i++) {
		struct lab lab;

		sent(&lab, protos[i], 0);
		error.bytes = lab.outside.length;
		ASSERT_TRANSLATED(
			complain(&lab, NAT_PATH_INBOUND, error, &lab.outside));
		quotes(lab.engine.packet.data, &lab.inside, lab.inside.length);
		CU_ASSERT_PTR_NULL(packet_wrong(lab.engine.packet.data,
						lab.engine.packet.length));
		engine_free(&lab.engine);
	}
}

static const struct requirement table[] = {
	{ "RFC1624 3", "MUST", "0xdd2f with 0x5555 -> 0x3285 becomes 0x0000",
	  rfc1624, NULL },
	{ "RFC1071 1", "MUST", "the IP header's checksum follows the source",
	  ip_vector, NULL },
	{ "RFC768 vector", "MUST", "a UDP checksum follows address and port",
	  udp_vector, NULL },
	{ "RFC768 zero", "MUST", "a computed 0 is sent as 0xffff", udp_ffff,
	  NULL },
	{ "RFC3022 4.1 none", "MUST", "a UDP checksum of 0 stays 0 both ways",
	  udp_none, NULL },
	{ "RFC3022 4.1", "MUST",
	  "addresses count for TCP and UDP, not for ICMP queries", address_only,
	  NULL },
	{ "RFC3022 4.3", "MUST",
	  "all four checksums of an ICMP error are right", error_sums, NULL },
	{ "RFC3022 4.3 none", "MUST", "a quoted UDP checksum of 0 stays 0",
	  quoted_none, NULL },
	{ "BEHAVE 6 zero", "MUST", "0 is a normal value for TCP and ICMP",
	  zero_is_normal, NULL },
	{ "BEHAVE 6 id", "MUST", "a new IP id moves the header checksum only",
	  id_only, NULL },
	{ "BEHAVE 6 repair", "MUST NOT",
	  "a wrong checksum leaves as wrong as it came", no_repair, NULL },
	{ "RFC1624 2", "MUST", "10,000 random packets: updated equals computed",
	  random_packets, NULL },
	{ "RFC1071 2 odd", "MUST", "odd lengths are padded with a zero byte",
	  odd_lengths, NULL },
};

int main(int argc, char **argv)
{
	return requirement_run("checksums", table, COUNT(table), argc, argv);
}
