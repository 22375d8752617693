/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Under attack: what one host's flood and an outsider's scan come to, by the
 * limits' defaults. The table of outcomes is in porticod(8).
 */
#include "engine.h"
#include "suite.h"

/* As much as can be kept for all hosts: an eighth of the table. */
#define SHARE 8U

static const struct nat_limits limits = {
	.mappings = 4096,
	.sessions = 16384,
	.hosts = 64,
	.held_ports = 64,
	.fragments = 4,
	.fragment_bytes = 4096,
	.tagged = 4,
};

static void begin(struct engine *engine)
{
	engine_bare(engine, &limits);
	engine->unproven = true;
	engine_defaults(&engine->config);
	engine->config.host_mappings = 1000;
	engine->config.host_guaranteed = SHARE;
	engine_configure(engine);
	nat_set_uplink(engine->nat, UPLINK, engine->now);
	engine->now += 10 * SECOND;
}

static uint32_t flood(struct engine *engine, uint8_t proto, uint32_t host,
		      uint32_t packets)
{
	uint32_t opened = 0;

	for (uint32_t i = 0; i < packets; i++)
		opened += engine_open(engine, proto,
				      (struct flow){ host, (uint16_t)(1024 + i),
						     PEER_1, 80 }) != 0;
	return opened;
}

/* Its share, its rate, silence after ten answers; nobody else notices, and
 * what nobody answered is over after tcp_opening. */
static void test_syn_flood(void)
{
	struct engine engine;
	struct nat_stats stats;

	begin(&engine);
	CU_ASSERT_EQUAL(flood(&engine, NAT_PROTO_TCP, INSIDE_1, 20000), 1000);
	stats = engine_stats(&engine);
	CU_ASSERT_EQUAL(stats.drops[NAT_DROP_HOST_QUOTA], 19000);
	CU_ASSERT_EQUAL(stats.icmp_suppressed, 19000 - 10);
	CU_ASSERT_EQUAL(flood(&engine, NAT_PROTO_TCP, INSIDE_2, 500), 500);
	/* The rate, once neither quota nor share binds. */
	engine.config.host_mappings = 4096;
	engine.config.host_guaranteed = 0;
	engine_configure(&engine);
	CU_ASSERT_EQUAL(flood(&engine, NAT_PROTO_UDP, INSIDE_1, 5000), 1000);
	CU_ASSERT_EQUAL(engine_stats(&engine).drops[NAT_DROP_HOST_RATE], 4000);
	engine.now += 240 * SECOND;
	nat_expire(engine.nat, engine.now, 1 << 20);
	CU_ASSERT_EQUAL(engine_stats(&engine).ports[NAT_POOL_TCP].used, 0);
	CU_ASSERT_PTR_NULL(nat_check(engine.nat));
	engine_free(&engine);
}

/* Many hosts at once, each within its quota: the one that comes last has its
 * share all the same. */
static void test_many_floods(void)
{
	struct engine engine;

	begin(&engine);
	for (uint32_t host = 0; host < 20; host++)
		flood(&engine, NAT_PROTO_TCP, INSIDE_1 + host, 1500);
	CU_ASSERT_TRUE(engine_stats(&engine).drops[NAT_DROP_HOST_SHARE] > 1000);
	CU_ASSERT_EQUAL(engine_stats(&engine).drops[NAT_DROP_TABLE_FULL], 0);
	for (uint32_t host = 20; host < 60; host++)
		CU_ASSERT_EQUAL(flood(&engine, NAT_PROTO_UDP, INSIDE_1 + host,
				      SHARE),
				SHARE);
	CU_ASSERT_PTR_NULL(nat_check(engine.nat));
	engine_free(&engine);
}

/* A host that scans the outside from one port has mapping_sessions of them: the
 * other datagrams go without. */
static void test_scan_from_inside(void)
{
	struct engine engine;
	uint32_t opened = 0;

	begin(&engine);
	for (uint32_t i = 0; i < 5000; i++)
		opened += engine_open(&engine, NAT_PROTO_UDP,
				      (struct flow){ INSIDE_1, 5000, PEER_1 + i,
						     53 }) != 0;
	CU_ASSERT_EQUAL(opened, 5000);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 512);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 1);
	engine_free(&engine);
}

/* Every port, by TCP and UDP: no state, no answer, each counted. */
static void test_scan_from_outside(void)
{
	static const uint8_t protos[] = { NAT_PROTO_TCP, NAT_PROTO_UDP };
	struct engine engine;
	struct nat_stats stats;
	uint64_t answers = 0;
	const uint8_t *output;
	uint32_t length;

	begin(&engine);
	engine_open(&engine, NAT_PROTO_TCP,
		    (struct flow){ INSIDE_1, 5000, PEER_1, 80 });
	for (size_t p = 0; p < 2; p++)
		for (uint32_t port = 1024; port < 65536; port++)
			answers += engine_answer(&engine, protos[p], PEER_2,
						 4444, (uint16_t)port)
					   .answer_length != 0;
	while (nat_next_output(engine.nat, engine.now, &output, &length))
		answers++;
	stats = engine_stats(&engine);
	CU_ASSERT_EQUAL(answers, 0);
	CU_ASSERT_EQUAL(stats.mappings, 1);
	CU_ASSERT_EQUAL(stats.sessions, 1);
	CU_ASSERT_EQUAL(stats.hosts, 1);
	CU_ASSERT_EQUAL(stats.drops[NAT_DROP_NO_MAPPING] +
				stats.drops[NAT_DROP_FILTERED_ADDRESS] +
				stats.drops[NAT_DROP_NO_SESSION],
			2 * 64512);
	engine_free(&engine);
}

static const struct test tests[] = {
	{ "attack: a SYN flood of one host is bounded and hurts nobody else",
	  test_syn_flood },
	{ "attack: floods of many hosts leave others their share",
	  test_many_floods },
	{ "attack: a scan by a host from one port is bounded",
	  test_scan_from_inside },
	{ "attack: a scan from outside makes no state and gets no answer",
	  test_scan_from_outside },
};

int main(int argc, char **argv)
{
	return suite_run("attack", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
