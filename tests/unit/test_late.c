/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The late answer to a SYN that nobody asked for.
 */
#include <string.h>

#include "engine.h"
#include "suite.h"

#define KEPT 64U /* SYNs remembered */
#define QUOTED 80U /* bytes of each */

static void make(struct engine *engine)
{
	engine_make(engine);
	engine->config.icmp_after_6s = true;
}

static struct nat_result syn(struct engine *engine, uint32_t peer,
			     uint16_t peer_port, uint16_t port)
{
	return engine_tcp(engine, NAT_PATH_INBOUND,
			  flow_of(peer, peer_port, UPLINK, port), SYN);
}

/* What leaves now; the last answer is kept. */
static unsigned answers(struct engine *engine, struct packet *last)
{
	const uint8_t *packet;
	uint32_t length;
	unsigned count = 0;

	while (nat_next_output(engine->nat, engine->now, &packet, &length)) {
		CU_ASSERT_PTR_NULL(packet_wrong(packet, length));
		if (last) {
			memcpy(last->data, packet, length);
			last->length = length;
		}
		count++;
	}
	return count;
}

static unsigned answers_after(struct engine *engine, uint64_t ms)
{
	engine->now += ms;
	return answers(engine, NULL);
}

static void test_content(void)
{
	struct engine engine;
	struct packet sent, answer;

	make(&engine);
	syn(&engine, PEER_1, 7000, 5000);
	sent = engine.packet;
	CU_ASSERT_EQUAL(answers_after(&engine, 5999), 0);
	engine.now++;
	CU_ASSERT_EQUAL(answers(&engine, &answer), 1);
	CU_ASSERT_EQUAL(answer.length, 28 + sent.length);
	CU_ASSERT_EQUAL(packet_flow(&answer).src, UPLINK);
	CU_ASSERT_EQUAL(packet_flow(&answer).dst, PEER_1);
	CU_ASSERT_EQUAL(answer.data[PACKET_IP], 3);
	CU_ASSERT_EQUAL(answer.data[PACKET_IP + 1], 3);
	CU_ASSERT_EQUAL(memcmp(answer.data + 28, sent.data, sent.length), 0);
	CU_ASSERT_EQUAL(answers_after(&engine, 60 * SECOND), 0);
	engine_free(&engine);
}

static void test_long(void)
{
	struct engine engine;
	struct packet sent, answer;

	make(&engine);
	for (uint16_t bytes = 39; bytes < 42; bytes++) {
		packet_tcp(&engine.packet, flow_of(PEER_1, 7000, UPLINK, 5000),
			   (struct segment){ .flags = SYN, .bytes = bytes });
		sent = engine.packet;
		engine_run(&engine, NAT_PATH_INBOUND);
		engine.now += 6 * SECOND;
		CU_ASSERT_EQUAL(answers(&engine, &answer), 1);
		CU_ASSERT_EQUAL(answer.length, 28 + (bytes < 40 ? 79 : QUOTED));
		CU_ASSERT_EQUAL(memcmp(answer.data + 28, sent.data,
				       answer.length - 28),
				0);
	}
	engine_free(&engine);
}

static void test_repeated(void)
{
	struct engine engine;

	make(&engine);
	syn(&engine, PEER_1, 7000, 5000);
	engine.now += 3 * SECOND;
	syn(&engine, PEER_1, 7000, 5000);
	CU_ASSERT_EQUAL(answers_after(&engine, 3 * SECOND - 1), 0);
	CU_ASSERT_EQUAL(answers_after(&engine, 1), 1);
	CU_ASSERT_EQUAL(answers_after(&engine, 60 * SECOND), 0);
	/* After its answer it is a new one. */
	syn(&engine, PEER_1, 7000, 5000);
	CU_ASSERT_EQUAL(answers_after(&engine, 6 * SECOND), 1);
	engine_free(&engine);
}

static void test_each_its_time(void)
{
	struct engine engine;

	make(&engine);
	syn(&engine, PEER_1, 7000, 5000);
	engine.now += SECOND;
	syn(&engine, PEER_1, 7001, 5000);
	syn(&engine, PEER_1, 7000, 5001);
	engine.now += SECOND;
	syn(&engine, PEER_2, 7000, 5000);
	CU_ASSERT_EQUAL(answers_after(&engine, 4 * SECOND), 1);
	CU_ASSERT_EQUAL(answers_after(&engine, SECOND), 2);
	CU_ASSERT_EQUAL(answers_after(&engine, SECOND), 1);
	engine_free(&engine);
}

static void test_bounded(void)
{
	struct engine engine;
	struct packet last;

	/* The oldest makes room. */
	make(&engine);
	for (uint16_t i = 0; i <= KEPT; i++)
		syn(&engine, PEER_1, (uint16_t)(7000 + i), 5000);
	engine.now += 6 * SECOND;
	CU_ASSERT_EQUAL(answers(&engine, &last), KEPT);
	CU_ASSERT_EQUAL(packet_get16(last.data + 28 + PACKET_IP), 7000 + KEPT);
	/* And the ring goes round. */
	for (uint16_t i = 0; i < KEPT; i++)
		syn(&engine, PEER_2, (uint16_t)(7000 + i), 5000);
	CU_ASSERT_EQUAL(answers_after(&engine, 6 * SECOND), KEPT);
	engine_free(&engine);
}

static void test_cancelled(void)
{
	static const struct flow near[] = {
		{ INSIDE_1, 5000, PEER_2, 7000 },
		{ INSIDE_1, 5000, PEER_1, 7001 },
		{ INSIDE_1, 5001, PEER_1, 7000 },
	};
	struct engine engine;

	make(&engine);
	syn(&engine, PEER_1, 7000, 5000);
	for (int i = 0; i < 3; i++)
		engine_open(&engine, NAT_PROTO_TCP, near[i]);
	CU_ASSERT_EQUAL(answers_after(&engine, 6 * SECOND), 1);
	syn(&engine, PEER_3, 7000, 5000);
	engine.now += 5 * SECOND;
	engine_open(&engine, NAT_PROTO_TCP,
		    flow_of(INSIDE_1, 5000, PEER_3, 7000));
	CU_ASSERT_EQUAL(answers_after(&engine, SECOND), 0);
	engine_free(&engine);
}

/* Refused by the filter first, admitted when it is repeated. */
static void test_admitted(void)
{
	struct engine engine;

	make(&engine);
	engine_open(&engine, NAT_PROTO_TCP,
		    flow_of(INSIDE_1, 5000, PEER_2, 80));
	ASSERT_DROPPED(syn(&engine, PEER_1, 7000, 5000),
		       NAT_DROP_FILTERED_ADDRESS);
	engine_open(&engine, NAT_PROTO_TCP,
		    flow_of(INSIDE_1, 5000, PEER_1, 80));
	ASSERT_TRANSLATED(syn(&engine, PEER_1, 7000, 5000));
	CU_ASSERT_EQUAL(answers_after(&engine, 60 * SECOND), 0);
	engine_free(&engine);
}

static void test_filtered(void)
{
	struct engine engine;

	make(&engine);
	engine_open(&engine, NAT_PROTO_TCP,
		    flow_of(INSIDE_1, 5000, PEER_2, 80));
	syn(&engine, PEER_1, 7000, 5000);
	CU_ASSERT_EQUAL(answers_after(&engine, 6 * SECOND), 1);
	engine_free(&engine);
}

static void test_not_kept(void)
{
	static const uint8_t flags[] = { SYN | ACK, RST,       ACK, FIN | ACK,
					 SYN | RST, SYN | FIN, 0 };
	struct nat_portset bound = { { 0 } };
	struct engine engine;

	make(&engine);
	for (size_t i = 0; i < sizeof(flags); i++)
		engine_tcp(&engine, NAT_PATH_INBOUND,
			   flow_of(PEER_1, 7000, UPLINK, 5000), flags[i]);
	engine_udp(&engine, NAT_PATH_INBOUND,
		   flow_of(PEER_1, 7000, UPLINK, 5000));
	/* To the router itself, and from inside. */
	nat_portset_add(&bound, 6000);
	nat_set_bound(engine.nat, NAT_POOL_TCP, &bound);
	syn(&engine, PEER_1, 7000, 6000);
	syn(&engine, PEER_1, 7000, 80);
	engine_tcp(&engine, NAT_PATH_HAIRPIN_IN,
		   flow_of(INSIDE_1, 7000, UPLINK, 5000), SYN);
	CU_ASSERT_EQUAL(answers_after(&engine, 60 * SECOND), 0);
	engine_free(&engine);
}

static void test_off(void)
{
	struct engine engine;

	make(&engine);
	engine.config.icmp_after_6s = false;
	syn(&engine, PEER_1, 7000, 5000);
	engine.config.icmp_after_6s = true;
	CU_ASSERT_EQUAL(answers_after(&engine, 6 * SECOND), 0);
	/* Switched off meanwhile: silence. */
	syn(&engine, PEER_1, 7000, 5000);
	engine.config.icmp_after_6s = false;
	CU_ASSERT_EQUAL(answers_after(&engine, 6 * SECOND), 0);
	engine_free(&engine);
}

static void test_uplink(void)
{
	struct engine engine;

	make(&engine);
	syn(&engine, PEER_1, 7000, 5000);
	nat_set_uplink(engine.nat, UPLINK + 1, engine.now);
	CU_ASSERT_EQUAL(answers_after(&engine, 6 * SECOND), 0);
	nat_set_uplink(engine.nat, UPLINK, engine.now);
	syn(&engine, PEER_1, 7000, 5000);
	nat_set_uplink(engine.nat, 0, engine.now);
	CU_ASSERT_EQUAL(answers_after(&engine, 6 * SECOND), 0);
	nat_set_uplink(engine.nat, UPLINK, engine.now);
	CU_ASSERT_EQUAL(answers_after(&engine, 6 * SECOND), 0);
	engine_free(&engine);
}

/* One limit for all ICMP that the engine makes: 100 a second. */
static void test_rate(void)
{
	struct engine engine;

	make(&engine);
	engine.config.host_mappings = 0;
	engine.config.host_icmp_per_second = 1000;
	syn(&engine, PEER_1, 7000, 5000);
	syn(&engine, PEER_1, 7001, 5000);
	engine.now += 6 * SECOND;
	for (int i = 0; i < 99; i++)
		engine_udp(&engine, NAT_PATH_OUTBOUND,
			   flow_of(INSIDE_1, 5000, PEER_1, 7000));
	CU_ASSERT_EQUAL(answers(&engine, NULL), 1);
	CU_ASSERT_EQUAL(answers_after(&engine, 60 * SECOND), 0);
	engine_free(&engine);
}

static const struct test tests[] = {
	{ "a SYN is answered after 6 s and not before", test_content },
	{ "of a long one 80 bytes are quoted", test_long },
	{ "a repeated SYN does not start the time again", test_repeated },
	{ "each SYN has its own time", test_each_its_time },
	{ "64 SYNs are kept, the oldest makes room", test_bounded },
	{ "the same connection from inside cancels the answer, no other one",
	  test_cancelled },
	{ "so does a repeated SYN that is admitted", test_admitted },
	{ "a SYN that the filter refused is answered too", test_filtered },
	{ "nothing else is answered", test_not_kept },
	{ "nothing is answered when it is switched off", test_off },
	{ "an uplink that changes or goes takes the SYNs along", test_uplink },
	{ "late answers count in the limit of all answers", test_rate },
};

int main(int argc, char **argv)
{
	return suite_run("late", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
