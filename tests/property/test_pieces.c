/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Many datagrams in pieces at once, of several senders with the same ids, on all
 * ways, in any order, some pieces lost or doubled: what a receiver puts together
 * is just what was sent, and whatever came whole arrives whole.
 */
#include <stdio.h>

#include "tests/unit/dice.h"
#include "tests/unit/fragment_lab.h"
#include "tests/unit/suite.h"

#define RUNS 200
#define DATAGRAMS 60
#define AT_ONCE 10U
#define PIECES 8U
#define PIECE 64U

enum way { OUT, IN, HAIRPIN, WAYS };

struct datagram {
	enum way way;
	struct packet whole;
	uint32_t pieces, left; /* how many, a bit for each to be sent */
	bool lost, arrived;
};

/* A receiver's buffer for one source, destination, protocol and id. */
struct buffer {
	uint8_t key[PACKET_IP];
	struct packet whole;
	uint32_t have; /* a bit for each piece */
	uint32_t last; /* its number + 1 */
};

static struct world {
	struct engine engine;
	struct dice dice;
	struct datagram datagrams[DATAGRAMS];
	struct buffer buffers[DATAGRAMS * 2];
	uint32_t buffer_count;
} world;

static uint32_t roll(uint32_t below)
{
	return dice_roll(&world.dice, below);
}

/* --- receiving ----------------------------------------------------------------- */

/* Each sender writes its number and a pattern of its own. */
static void deliver(struct buffer *buffer)
{
	const uint8_t *payload = buffer->whole.data + PACKET_IP + 8;
	struct datagram *datagram = &world.datagrams[*payload % DATAGRAMS];
	const struct packet *sent = &datagram->whole;

	packet_put16(buffer->whole.data + 2, (uint16_t)buffer->whole.length);
	packet_set_fragment(&buffer->whole, 0);
	CU_ASSERT_PTR_NULL(
		packet_wrong(buffer->whole.data, buffer->whole.length));
	CU_ASSERT_EQUAL(buffer->whole.length, sent->length);
	CU_ASSERT_EQUAL(memcmp(payload, sent->data + PACKET_IP + 8,
			       sent->length - PACKET_IP - 8),
			0);
	datagram->arrived = true;
}

static struct buffer *find_buffer(const uint8_t *ip)
{
	uint8_t key[PACKET_IP] = { ip[4], ip[5], ip[9] };
	uint32_t i = 0;

	memcpy(key + 3, ip + 12, 8);
	while (i < world.buffer_count &&
	       memcmp(world.buffers[i].key, key, sizeof(key)))
		i++;
	if (i == world.buffer_count) {
		world.buffer_count++;
		memcpy(world.buffers[i].key, key, sizeof(key));
	}
	return &world.buffers[i];
}

static void receive(const uint8_t *ip, uint32_t length)
{
	struct buffer *buffer = find_buffer(ip);
	uint16_t field = packet_get16(ip + 6);
	uint32_t at = (field & 0x1fffU) * 8, number = at / PIECE;

	CU_ASSERT_TRUE(packet_ip_good(ip, length));
	memcpy(buffer->whole.data, ip, PACKET_IP);
	memcpy(buffer->whole.data + PACKET_IP + at, ip + PACKET_IP,
	       length - PACKET_IP);
	buffer->have |= 1U << number;
	if (!(field & MF)) {
		buffer->last = number + 1;
		buffer->whole.length = at + length;
	}
	if (buffer->last && buffer->have == (1U << buffer->last) - 1) {
		deliver(buffer);
		buffer->have = buffer->last = 0;
	}
}

/* --- sending ------------------------------------------------------------------- */

static void send_piece(const struct packet *piece, enum way way)
{
	static const enum nat_path paths[] = { NAT_PATH_OUTBOUND,
					       NAT_PATH_INBOUND,
					       NAT_PATH_HAIRPIN_IN };
	struct engine *engine = &world.engine;
	struct nat_result result;
	const uint8_t *packet;
	uint32_t length;

	engine->packet = *piece;
	result = engine_run(engine, paths[way]);
	if (result.verdict == NAT_TRANSLATED && way == HAIRPIN)
		CU_ASSERT_EQUAL(
			engine_run(engine, NAT_PATH_HAIRPIN_OUT).verdict,
			NAT_TRANSLATED);
	if (result.verdict == NAT_TRANSLATED)
		receive(engine->packet.data, engine->packet.length);
	CU_ASSERT_NOT_EQUAL(result.verdict, NAT_UNTOUCHED);
	while (nat_next_output(engine->nat, engine->now, &packet, &length))
		receive(packet, length);
}

/* Sends one more piece of one of the datagrams from `first` on; false: all of
 * them are sent. */
static bool send_any(uint32_t first)
{
	struct datagram *datagram = &world.datagrams[first];
	uint32_t start = roll(AT_ONCE), i = 0, number;
	struct packet piece;

	while (i < AT_ONCE && !datagram[(start + i) % AT_ONCE].left)
		i++;
	if (i == AT_ONCE)
		return false;
	datagram += (start + i) % AT_ONCE;
	do
		number = roll(datagram->pieces);
	while (!(datagram->left >> number & 1));
	datagram->left &= ~(1U << number);
	if (dice_once_in(&world.dice, 25)) {
		datagram->lost = true;
		return true;
	}
	cut(&piece, &datagram->whole, number * PIECE, PIECE);
	send_piece(&piece, datagram->way);
	if (number && dice_once_in(&world.dice, 10))
		send_piece(&piece, datagram->way);
	world.engine.now += roll(50);
	return true;
}

static void make_datagram(uint32_t number)
{
	struct flow flows[WAYS] = {
		[OUT] = flow_of(INSIDE_1 + roll(2), 5000, PEER_1, 7000),
		[IN] = flow_of(PEER_1 + roll(2), 7000, UPLINK, 5000),
		[HAIRPIN] = flow_of(INSIDE_2, 6000, UPLINK, 5000),
	};
	struct datagram *datagram = &world.datagrams[number];
	uint32_t bytes = PIECE + roll(PIECE * (PIECES - 2));
	uint8_t payload[PIECE * PIECES];

	*datagram = (struct datagram){ .way = (enum way)roll(WAYS) };
	for (uint32_t i = 0; i < bytes; i++)
		payload[i] = (uint8_t)(number + i / 8 * 31 * number);
	packet_udp(&datagram->whole, flows[datagram->way], payload, bytes);
	/* Of one sender no id comes twice. */
	identify(&datagram->whole, (uint16_t)number, 0);
	datagram->pieces = (bytes + 8 + PIECE - 1) / PIECE;
	datagram->left = (1U << datagram->pieces) - 1;
}

static void make_engine(uint32_t fragments, uint32_t bytes)
{
	struct nat_limits limits = engine_limits;

	limits.fragments = fragments;
	limits.fragment_bytes = bytes;
	engine_bare(&world.engine, &limits);
	engine_defaults(&world.engine.config);
	engine_configure(&world.engine);
	nat_set_uplink(world.engine.nat, UPLINK, world.engine.now);
	CU_ASSERT_EQUAL(engine_open(&world.engine, NAT_PROTO_UDP,
				    flow_of(INSIDE_1, 5000, PEER_1, 7000)),
			5000);
}

/* all: there is room, so whatever was not lost must have arrived. */
static void run(uint64_t seed, uint32_t fragments, uint32_t bytes, bool all)
{
	memset(&world, 0, sizeof(world));
	world.dice.state = seed;
	make_engine(fragments, bytes);
	for (uint32_t i = 0; i < DATAGRAMS; i++)
		make_datagram(i);
	for (uint32_t i = 0; i < DATAGRAMS; i += AT_ONCE)
		while (send_any(i))
			;
	for (uint32_t i = 0; i < DATAGRAMS && all; i++)
		CU_ASSERT_TRUE(world.datagrams[i].arrived ||
			       world.datagrams[i].lost);
	if (CU_get_number_of_failures())
		printf("seed %u\n", (unsigned)seed);
	engine_free(&world.engine);
}

static void test_room(void)
{
	for (uint64_t seed = 1; seed <= RUNS && !CU_get_number_of_failures();
	     seed++)
		run(seed, DATAGRAMS * 2, 65536, true);
}

static void test_narrow(void)
{
	for (uint64_t seed = 1; seed <= RUNS && !CU_get_number_of_failures();
	     seed++)
		run(seed, 1 + (uint32_t)seed % 6, 256 << seed % 4, false);
}

static const struct test tests[] = {
	{ "pieces in any order arrive whole, seeds 1 to 200", test_room },
	{ "with little room nothing is mixed, seeds 1 to 200", test_narrow },
};

int main(int argc, char **argv)
{
	return suite_run("pieces", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
