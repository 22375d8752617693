/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The store of fragments that wait for the first one of their datagram.
 */
#include <stdio.h>
#include <string.h>

#include "dice.h"
#include "engine.h"
#include "fragment_lab.h"
#include "suite.h"

static const struct flow out = { INSIDE_1, 5000, PEER_1, 7000 };
static const struct flow in = { PEER_1, 7000, UPLINK, 5000 };

/* INSIDE_1:5000 has a mapping by its own port. 4 entries, 4,096 bytes. */
static void make(struct engine *engine)
{
	engine_make(engine);
	CU_ASSERT_EQUAL(engine_open(engine, NAT_PROTO_UDP, out), 5000);
}

/* Sends the piece at this offset of an inbound datagram with this id. */
static struct nat_result piece_of(struct engine *engine, uint16_t id,
				  uint32_t total, uint32_t at, uint32_t bytes,
				  struct assembly *assembly)
{
	struct packet packet, piece;

	whole_udp(&packet, in, total - 8, id);
	cut(&piece, &packet, at, bytes);
	return feed(engine, NAT_PATH_INBOUND, &piece, assembly);
}

static uint64_t lost(const struct engine *engine)
{
	return engine_stats(engine).drops[NAT_DROP_FRAGMENT];
}

static bool nothing(struct engine *engine)
{
	struct assembly assembly = { 0 };

	return drain(engine, &assembly) == 0;
}

/* --- output ----------------------------------------------------------------- */

static void test_order(void)
{
	struct assembly assembly = { 0 };
	const uint8_t *packet;
	struct engine engine;
	struct packet whole;
	uint32_t length;

	make(&engine);
	for (uint32_t at = 320; at >= 64; at -= 64)
		piece_of(&engine, 1, 384, at, 64, &assembly);
	whole_udp(&whole, in, 376, 1);
	cut(&engine.packet, &whole, 0, 64);
	CU_ASSERT_TRUE(engine_run(&engine, NAT_PATH_INBOUND).output);
	/* As they came, each once. */
	for (uint32_t at = 320; at >= 64; at -= 64) {
		CU_ASSERT_TRUE_FATAL(nat_next_output(engine.nat, engine.now,
						     &packet, &length));
		CU_ASSERT_EQUAL((packet_get16(packet + 6) & 0x1fff) * 8U, at);
	}
	CU_ASSERT_TRUE(nothing(&engine));
	CU_ASSERT_EQUAL(lost(&engine), 0);
	engine_free(&engine);
}

static void test_nothing(void)
{
	struct assembly assembly = { 0 };
	struct engine engine;

	engine_bare(&engine, &engine_limits);
	CU_ASSERT_TRUE(nothing(&engine));
	engine_free(&engine);
	make(&engine);
	CU_ASSERT_TRUE(nothing(&engine));
	piece_of(&engine, 1, 128, 64, 64, &assembly);
	CU_ASSERT_TRUE(nothing(&engine));
	/* In order nothing has waited. */
	CU_ASSERT_FALSE(piece_of(&engine, 2, 128, 0, 64, &assembly).output);
	engine_free(&engine);
}

static void test_twice(void)
{
	struct assembly assembly = { 0 };
	struct engine engine;

	/* Duplicates of a known datagram's fragments follow it, too. */
	make(&engine);
	for (int i = 0; i < 3; i++) {
		ASSERT_TRANSLATED(piece_of(&engine, 1, 128, 0, 64, &assembly));
		ASSERT_TRANSLATED(piece_of(&engine, 1, 128, 64, 64, &assembly));
	}
	CU_ASSERT_EQUAL(assembly.pieces, 6);
	CU_ASSERT_FALSE(assembly.mixed);
	engine_free(&engine);
}

static void test_first_again(void)
{
	struct assembly assembly;
	struct engine engine;
	struct packet whole;

	/* The next datagram of a host that knows one id only. */
	make(&engine);
	whole_udp(&whole, out, 184, 7);
	feed_order(&engine, NAT_PATH_OUTBOUND, &whole, "0120", &assembly);
	CU_ASSERT_EQUAL(assembly.pieces, 4);
	CU_ASSERT_TRUE(assembly.mixed);
	engine_free(&engine);
}

/* --- refused ---------------------------------------------------------------- */

static void test_refused_first(void)
{
	struct assembly assembly = { 0 };
	struct packet packet, piece;
	struct engine engine;

	/* To a port without mapping: those that waited are counted. */
	make(&engine);
	whole_udp(&packet, flow_of(PEER_1, 7000, UPLINK, 5001), 120, 1);
	cut(&piece, &packet, 64, 64);
	feed(&engine, NAT_PATH_INBOUND, &piece, &assembly);
	cut(&piece, &packet, 0, 64);
	ASSERT_DROPPED(feed(&engine, NAT_PATH_INBOUND, &piece, &assembly),
		       NAT_DROP_NO_MAPPING);
	CU_ASSERT_EQUAL(lost(&engine), 1);
	CU_ASSERT_EQUAL(assembly.pieces, 0);
	CU_ASSERT_TRUE(nothing(&engine));
	engine_free(&engine);
}

static void test_too_large(void)
{
	struct assembly assembly = { 0 };
	struct nat_limits limits = engine_limits;
	struct engine engine;

	limits.fragment_bytes = 1024;
	engine_bare(&engine, &limits);
	engine_defaults(&engine.config);
	engine_configure(&engine);
	nat_set_uplink(engine.nat, UPLINK, engine.now);
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_UDP, out), 5000);
	/* 1,024 bytes less two headers of 16 and the packet's own 20. */
	ASSERT_DROPPED(piece_of(&engine, 1, 2000, 64, 976, &assembly),
		       NAT_DROP_FRAGMENT);
	CU_ASSERT_EQUAL(piece_of(&engine, 1, 2000, 64, 968, &assembly).verdict,
			NAT_CONSUMED);
	engine_free(&engine);
}

/* --- bounds ------------------------------------------------------------------- */

static void test_entries(void)
{
	struct assembly first = { 0 }, second = { 0 }, third = { 0 };
	struct engine engine;

	/* Two of four entries are for those that wait. */
	make(&engine);
	piece_of(&engine, 1, 128, 64, 64, &first);
	piece_of(&engine, 2, 128, 64, 64, &second);
	CU_ASSERT_EQUAL(lost(&engine), 0);
	piece_of(&engine, 3, 128, 64, 64, &third);
	CU_ASSERT_EQUAL(lost(&engine), 1);
	piece_of(&engine, 3, 128, 0, 64, &third);
	piece_of(&engine, 2, 128, 0, 64, &second);
	piece_of(&engine, 1, 128, 0, 64, &first);
	CU_ASSERT_FALSE(assembled(&first));
	CU_ASSERT_TRUE(assembled(&second));
	CU_ASSERT_TRUE(assembled(&third));
	engine_free(&engine);
}

static void test_known_stay(void)
{
	struct assembly known[5] = { 0 }, orphans = { 0 };
	struct engine engine;

	/* Orphans leave two of four entries to those whose ports are known... */
	make(&engine);
	for (uint16_t id = 0; id < 2; id++)
		piece_of(&engine, id, 128, 0, 64, &known[id]);
	for (uint16_t id = 100; id < 200; id++)
		piece_of(&engine, id, 128, 64, 64, &orphans);
	for (uint16_t id = 0; id < 2; id++) {
		piece_of(&engine, id, 128, 64, 64, &known[id]);
		CU_ASSERT_TRUE(assembled(&known[id]));
	}
	engine_free(&engine);
	/* ... who may have all four, the newest of them. */
	make(&engine);
	memset(known, 0, sizeof(known));
	for (uint16_t id = 0; id < 5; id++)
		piece_of(&engine, id, 128, 0, 64, &known[id]);
	for (uint16_t id = 5; id-- > 0;) {
		piece_of(&engine, id, 128, 64, 64, &known[id]);
		CU_ASSERT_EQUAL(assembled(&known[id]), id != 0);
	}
	engine_free(&engine);
}

/* Three copies of 1,220 bytes fill 4,096: the fourth lets the oldest go, and
 * with it the first link of its datagram's chain. */
static void test_bytes(void)
{
	struct assembly first = { 0 }, second = { 0 };
	struct engine engine;

	make(&engine);
	piece_of(&engine, 1, 2464, 64, 1200, &first);
	piece_of(&engine, 1, 2464, 1264, 1200, &first);
	piece_of(&engine, 2, 1264, 64, 1200, &second);
	CU_ASSERT_EQUAL(lost(&engine), 0);
	piece_of(&engine, 2, 1264, 64, 1200, &second);
	CU_ASSERT_EQUAL(lost(&engine), 1);
	piece_of(&engine, 1, 2464, 0, 64, &first);
	CU_ASSERT_EQUAL(first.pieces, 2);
	CU_ASSERT_EQUAL(first.got, 64 + 1200);
	CU_ASSERT_FALSE(assembled(&first));
	piece_of(&engine, 2, 1264, 0, 64, &second);
	CU_ASSERT_EQUAL(second.pieces, 3);
	engine_free(&engine);
}

/* --- time, uplink ---------------------------------------------------------------- */

static void test_expiry(void)
{
	struct assembly assembly = { 0 };
	struct engine engine;

	make(&engine);
	piece_of(&engine, 1, 192, 64, 64, &assembly);
	piece_of(&engine, 1, 192, 128, 64, &assembly);
	engine.now += 30 * SECOND - 1;
	nat_expire(engine.nat, engine.now, 1);
	CU_ASSERT_EQUAL(lost(&engine), 0);
	engine.now++;
	nat_expire(engine.nat, engine.now, 1);
	CU_ASSERT_EQUAL(lost(&engine), 2);
	CU_ASSERT_FALSE(piece_of(&engine, 1, 192, 0, 64, &assembly).output);
	engine_free(&engine);
}

/* The first fragment starts the time again. */
static void test_life_of_known(void)
{
	struct assembly assembly = { 0 };
	struct engine engine;

	make(&engine);
	piece_of(&engine, 1, 192, 64, 64, &assembly);
	engine.now += 30 * SECOND - 1;
	piece_of(&engine, 1, 192, 0, 64, &assembly);
	engine.now += 30 * SECOND - 1;
	ASSERT_TRANSLATED(piece_of(&engine, 1, 192, 128, 64, &assembly));
	CU_ASSERT_TRUE(assembled(&assembly));
	engine.now++;
	CU_ASSERT_EQUAL(piece_of(&engine, 1, 192, 128, 64, &assembly).verdict,
			NAT_CONSUMED);
	engine_free(&engine);
}

static void test_id_used_again(void)
{
	struct assembly assembly = { 0 };
	struct engine engine;

	/* By the next datagram, before the last one is forgotten. */
	make(&engine);
	piece_of(&engine, 1, 128, 0, 64, &assembly);
	engine.now += 30 * SECOND - 1;
	piece_of(&engine, 1, 128, 0, 64, &assembly);
	engine.now++;
	ASSERT_TRANSLATED(piece_of(&engine, 1, 128, 64, 64, &assembly));
	engine_free(&engine);
}

static void test_uplink(void)
{
	struct assembly assembly = { 0 };
	struct engine engine;

	make(&engine);
	piece_of(&engine, 1, 128, 64, 64, &assembly);
	piece_of(&engine, 2, 128, 0, 64, &assembly);
	nat_set_uplink(engine.nat, UPLINK + 1, engine.now);
	CU_ASSERT_EQUAL(lost(&engine), 1);
	nat_set_uplink(engine.nat, UPLINK, engine.now);
	CU_ASSERT_EQUAL(piece_of(&engine, 2, 128, 64, 64, &assembly).verdict,
			NAT_CONSUMED);
	engine_free(&engine);
}

/* --- hairpin ---------------------------------------------------------------------- */

/* Every piece arrives with both ends translated: the ones that pass twice, and
 * the copies, for which there is no second pass. */
static void hairpin(const char *order)
{
	struct assembly between = { 0 }, assembly = { 0 };
	struct engine engine;
	struct packet whole, piece;

	make(&engine);
	whole_udp(&whole, flow_of(INSIDE_2, 6000, UPLINK, 5000), 160, 1);
	for (; *order; order++) {
		struct nat_result result;

		cut(&piece, &whole, (uint32_t)(*order - '0') * 64, 64);
		engine.packet = piece;
		result = engine_run(&engine, NAT_PATH_HAIRPIN_IN);
		if (result.verdict == NAT_TRANSLATED) {
			piece = engine.packet;
			if (result.output)
				drain(&engine, &between);
			feed(&engine, NAT_PATH_HAIRPIN_OUT, &piece, &assembly);
		}
	}
	CU_ASSERT_EQUAL(between.pieces + assembly.pieces, 3);
	CU_ASSERT_FALSE(between.mixed || assembly.mixed);
	if (between.pieces) {
		CU_ASSERT_EQUAL(packet_flow(&between.whole).src, UPLINK);
		CU_ASSERT_EQUAL(packet_flow(&between.whole).dst, INSIDE_1);
		CU_ASSERT_EQUAL(packet_get16(between.whole.data + 4),
				packet_get16(assembly.whole.data + 4));
	}
	CU_ASSERT_EQUAL(packet_flow(&assembly.whole).src, UPLINK);
	CU_ASSERT_EQUAL(packet_flow(&assembly.whole).dst, INSIDE_1);
	engine_free(&engine);
}

static void test_hairpin(void)
{
	for (size_t i = 0; i < 6; i++)
		hairpin(all_orders[i]);
}

/* --- at random ----------------------------------------------------------------------- */

#define DATAGRAMS 6U

/* Pieces of several datagrams at random, more than there is room for: what
 * arrives is right or incomplete, and each copy was sent or counted. */
static void chaos(uint64_t seed)
{
	struct assembly assemblies[DATAGRAMS] = { 0 };
	struct dice dice = { seed };
	uint64_t taken = 0, given;
	struct engine engine;
	uint32_t pieces = 0;

	make(&engine);
	for (int i = 0; i < 60; i++) {
		uint16_t id = (uint16_t)dice_roll(&dice, DATAGRAMS);
		uint32_t total = 800 + id * 104U;
		uint32_t at = dice_roll(&dice, 5) * 160;
		struct nat_result result =
			piece_of(&engine, id, total, at, 160, &assemblies[id]);

		taken += result.verdict == NAT_CONSUMED;
		pieces += result.verdict == NAT_TRANSLATED;
		engine.now += dice_roll(&dice, 2000);
		nat_expire(engine.nat, engine.now, 10);
	}
	engine.now += 60 * SECOND;
	nat_expire(engine.nat, engine.now, 10);
	given = 0;
	for (uint32_t id = 0; id < DATAGRAMS; id++)
		given += assemblies[id].pieces;
	if (given - pieces + lost(&engine) != taken)
		printf("seed %u\n", (unsigned)seed);
	CU_ASSERT_EQUAL(given - pieces + lost(&engine), taken);
	engine_free(&engine);
}

static void test_chaos(void)
{
	for (uint64_t seed = 1; seed <= 500; seed++)
		chaos(seed);
}

static const struct test tests[] = {
	{ "copies leave in the order in which they came", test_order },
	{ "without a first fragment nothing leaves", test_nothing },
	{ "a fragment that comes twice follows twice", test_twice },
	{ "RFC 6864: an id that comes again is another datagram's, with a new one",
	  test_first_again },
	{ "what waited for a refused first fragment is counted",
	  test_refused_first },
	{ "a copy larger than the store is refused", test_too_large },
	{ "half of the entries may wait, the oldest makes room", test_entries },
	{ "orphans do not push out datagrams that are known", test_known_stay },
	{ "bytes are bounded, the oldest copy makes room", test_bytes },
	{ "what waits too long is forgotten and counted", test_expiry },
	{ "the first fragment starts the time again", test_life_of_known },
	{ "an id that is used again starts it, too", test_id_used_again },
	{ "another outside address forgets all fragments", test_uplink },
	{ "hairpinned fragments arrive in any order", test_hairpin },
	{ "every copy is sent or counted, whatever comes", test_chaos },
};

int main(int argc, char **argv)
{
	return suite_run("fragment", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
