/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a refused host is told (RFC 5508 REQ-8, RFC 6888 REQ-11, RFC 1812
 * 4.3.2), and when nobody is told anything.
 */
#include <string.h>

#include "engine.h"
#include "suite.h"

static const struct flow out = { INSIDE_1, 5000, PEER_1, 7000 };

/* Every new mapping of a host is refused. */
static void make(struct engine *engine)
{
	engine_make(engine);
	engine->config.host_mappings = 0;
}

static void test_content(void)
{
	struct engine engine;
	struct packet sent;
	struct nat_result result;
	const uint8_t *answer;

	make(&engine);
	packet_udp(&engine.packet, out, NULL, 40);
	engine.packet.data[1] = 0xb8; /* expedited forwarding */
	packet_fix_ip(&engine.packet);
	sent = engine.packet;
	result = engine_run(&engine, NAT_PATH_OUTBOUND);
	ASSERT_DROPPED(result, NAT_DROP_HOST_QUOTA);
	answer = result.answer;
	CU_ASSERT_PTR_NOT_NULL_FATAL(answer);
	CU_ASSERT_EQUAL(result.answer_length, 28 + sent.length);
	CU_ASSERT_EQUAL(answer[0], 0x45);
	CU_ASSERT_EQUAL(answer[1], 0xb8);
	CU_ASSERT_EQUAL(packet_get16(answer + 2), result.answer_length);
	CU_ASSERT_EQUAL(packet_get16(answer + 6), 0);
	CU_ASSERT_TRUE(answer[8] >= 64);
	CU_ASSERT_EQUAL(answer[9], NAT_PROTO_ICMP);
	CU_ASSERT_EQUAL(packet_get32(answer + 12), 0); /* the kernel's */
	CU_ASSERT_EQUAL(packet_get32(answer + 16), INSIDE_1);
	CU_ASSERT_EQUAL(answer[20], 3);
	CU_ASSERT_EQUAL(answer[21], 13);
	CU_ASSERT_EQUAL(packet_get32(answer + 24), 0);
	CU_ASSERT_EQUAL(memcmp(answer + 28, sent.data, sent.length), 0);
	engine_free(&engine);
}

static void test_code(void)
{
	struct engine engine;
	struct nat_result result;

	make(&engine);
	engine.config.refuse_code = 1;
	result = engine_udp(&engine, NAT_PATH_OUTBOUND, out);
	CU_ASSERT_PTR_NOT_NULL_FATAL(result.answer);
	CU_ASSERT_EQUAL(result.answer[21], 1);
	engine_free(&engine);
}

static void test_largest(void)
{
	struct engine engine;
	struct packet sent;
	struct nat_result result;

	make(&engine);
	packet_udp(&engine.packet, out, NULL, 1400);
	packet_add_options(&engine.packet, 10);
	sent = engine.packet;
	result = engine_run(&engine, NAT_PATH_OUTBOUND);
	CU_ASSERT_EQUAL(result.answer_length, 576);
	CU_ASSERT_PTR_NOT_NULL_FATAL(result.answer);
	CU_ASSERT_EQUAL(memcmp(result.answer + 28, sent.data, 548), 0);
	engine_free(&engine);
}

static void test_odd_length(void)
{
	struct engine engine;

	/* engine_run() judges the checksums of every answer. */
	make(&engine);
	engine.config.host_icmp_per_second = 20;
	for (uint32_t bytes = 0; bytes < 20; bytes++) {
		packet_udp(&engine.packet, out, NULL, bytes);
		CU_ASSERT_EQUAL(
			engine_run(&engine, NAT_PATH_OUTBOUND).answer_length,
			56 + bytes);
	}
	engine_free(&engine);
}

static bool told(struct nat_result result, enum nat_drop drop)
{
	return result.verdict == NAT_DROPPED && result.drop == drop &&
	       result.answer_length && result.answer[20] == 3;
}

static void test_every_refusal(void)
{
	struct engine engine;

	/* By quota for each kind of packet, by rate, and for lack of ports. */
	make(&engine);
	CU_ASSERT_TRUE(told(engine_udp(&engine, NAT_PATH_OUTBOUND, out),
			    NAT_DROP_HOST_QUOTA));
	CU_ASSERT_TRUE(told(engine_tcp(&engine, NAT_PATH_OUTBOUND, out, SYN),
			    NAT_DROP_HOST_QUOTA));
	CU_ASSERT_TRUE(told(engine_icmp(&engine, NAT_PATH_OUTBOUND, out, 8),
			    NAT_DROP_HOST_QUOTA));
	engine.config.host_mappings = 10;
	engine.config.host_new_per_second = 0;
	CU_ASSERT_TRUE(told(engine_udp(&engine, NAT_PATH_OUTBOUND, out),
			    NAT_DROP_HOST_RATE));
	engine.config.host_new_per_second = 200;
	engine_pool(&engine.config, 1, 0);
	engine_configure(&engine);
	engine.now += SECOND;
	CU_ASSERT_TRUE(told(engine_udp(&engine, NAT_PATH_OUTBOUND, out),
			    NAT_DROP_NO_PORT));
	engine_free(&engine);
}

static void test_full_table(void)
{
	struct nat_limits limits = engine_limits;
	struct engine engine;

	limits.hosts = 1;
	engine_bare(&engine, &limits);
	engine_defaults(&engine.config);
	engine_configure(&engine);
	nat_set_uplink(engine.nat, UPLINK, engine.now);
	engine.now += SECOND;
	engine_open(&engine, NAT_PROTO_UDP, out);
	CU_ASSERT_TRUE(told(engine_udp(&engine, NAT_PATH_OUTBOUND,
				       flow_of(INSIDE_2, 1, PEER_1, 1)),
			    NAT_DROP_TABLE_FULL));
	engine_free(&engine);
}

static void test_hairpin(void)
{
	struct engine engine;

	engine_make(&engine);
	engine_open(&engine, NAT_PROTO_UDP, out);
	engine.config.host_mappings = 0;
	CU_ASSERT_TRUE(told(engine_udp(&engine, NAT_PATH_HAIRPIN_IN,
				       flow_of(INSIDE_2, 1, UPLINK, 5000)),
			    NAT_DROP_HOST_QUOTA));
	engine_free(&engine);
}

static bool silent(struct nat_result result)
{
	return result.verdict == NAT_DROPPED && !result.answer_length;
}

static void test_silence(void)
{
	struct engine engine;
	struct packet about;

	make(&engine);
	/* Stray TCP, so that a recovery by PCP can work (RFC 6887 10.4). */
	CU_ASSERT_TRUE(
		silent(engine_tcp(&engine, NAT_PATH_OUTBOUND, out, ACK)));
	/* Outsiders learn nothing (RFC 5382 REQ-4). */
	CU_ASSERT_TRUE(
		silent(engine_tcp(&engine, NAT_PATH_INBOUND,
				  flow_of(PEER_1, 1, UPLINK, 5000), SYN)));
	/* No error about an error, a martian, a fragment, a bad header. */
	packet_udp(&about, flow_of(PEER_1, 1, INSIDE_1, 2), NULL, 9);
	packet_error(
		&engine.packet,
		(struct error){ .src = INSIDE_1, .dst = PEER_1, .type = 3 },
		&about);
	CU_ASSERT_TRUE(silent(engine_run(&engine, NAT_PATH_OUTBOUND)));
	CU_ASSERT_TRUE(
		silent(engine_udp(&engine, NAT_PATH_OUTBOUND,
				  flow_of(INSIDE_1, 5000, 0xe0000001, 7000))));
	packet_udp(&engine.packet, out, NULL, 64);
	packet_set_fragment(&engine.packet, 0x2010);
	CU_ASSERT_EQUAL(engine_run(&engine, NAT_PATH_OUTBOUND).answer_length,
			0);
	packet_udp(&engine.packet, out, NULL, 64);
	engine.packet.data[10] ^= 1;
	CU_ASSERT_TRUE(silent(engine_run(&engine, NAT_PATH_OUTBOUND)));
	packet_other(&engine.packet, INSIDE_1, PEER_1, 51, 20);
	CU_ASSERT_TRUE(silent(engine_run(&engine, NAT_PATH_OUTBOUND)));
	engine_free(&engine);
}

static int answers(struct engine *engine, int packets)
{
	int count = 0;

	for (int i = 0; i < packets; i++)
		count += engine_udp(engine, NAT_PATH_OUTBOUND, out)
				 .answer_length > 0;
	return count;
}

static void test_rate(void)
{
	struct engine engine;

	/* 100 at once, then one each 10 ms; the drops are counted all the
	 * same. */
	make(&engine);
	engine.config.host_icmp_per_second = 1000;
	CU_ASSERT_EQUAL(answers(&engine, 300), 100);
	CU_ASSERT_EQUAL(engine_stats(&engine).icmp_suppressed, 200);
	CU_ASSERT_EQUAL(engine_stats(&engine).drops[NAT_DROP_HOST_QUOTA], 300);
	engine.now += 9;
	CU_ASSERT_EQUAL(answers(&engine, 10), 0);
	engine.now += 1;
	CU_ASSERT_EQUAL(answers(&engine, 10), 1);
	engine.now += 50;
	CU_ASSERT_EQUAL(answers(&engine, 10), 5);
	engine.now += 3600 * SECOND;
	CU_ASSERT_EQUAL(answers(&engine, 300), 100);
	engine_free(&engine);
}

static int answers_to(struct engine *engine, uint32_t host, int packets)
{
	int count = 0;

	for (int i = 0; i < packets; i++)
		count += engine_udp(engine, NAT_PATH_OUTBOUND,
				    flow_of(host, 5000, PEER_1, 7000))
				 .answer_length > 0;
	return count;
}

/* One host's refusals do not silence those of others. */
static void test_host_rate(void)
{
	struct engine engine;

	make(&engine);
	CU_ASSERT_EQUAL(answers_to(&engine, INSIDE_1, 50), 10);
	CU_ASSERT_EQUAL(answers_to(&engine, INSIDE_2, 50), 10);
	CU_ASSERT_EQUAL(engine_stats(&engine).icmp_suppressed, 80);
	engine.now += 99;
	CU_ASSERT_EQUAL(answers_to(&engine, INSIDE_1, 5), 0);
	engine.now += 1;
	CU_ASSERT_EQUAL(answers_to(&engine, INSIDE_1, 5), 1);
	engine.config.host_icmp_per_second = 0;
	engine.now += 10 * SECOND;
	CU_ASSERT_EQUAL(answers_to(&engine, INSIDE_1, 5), 0);
	engine.config.host_icmp_per_second = 10;
	engine.config.icmp_per_second = 0;
	engine.now += 10 * SECOND;
	CU_ASSERT_EQUAL(answers_to(&engine, INSIDE_2, 5), 0);
	engine_free(&engine);
}

static const struct test tests[] = {
	{ "the host is told 3/13 with its packet as it came", test_content },
	{ "the code is the operator's", test_code },
	{ "an answer is never longer than 576 bytes", test_largest },
	{ "answers of odd length have right checksums", test_odd_length },
	{ "quota, rate and lack of ports are told", test_every_refusal },
	{ "a full table is told", test_full_table },
	{ "a refused hairpin is told", test_hairpin },
	{ "there are packets that nobody is told about", test_silence },
	{ "answers are limited to 100 a second", test_rate },
	{ "answers to one host are limited to 10 a second", test_host_rate },
};

int main(int argc, char **argv)
{
	return suite_run("answer", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
