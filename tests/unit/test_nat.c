/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The life of an engine: its memory, its configuration, its uplink. Forwards
 * have test_forwards.c.
 */
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "nat/internal.h"
#include "suite.h"

static const struct flow out = { INSIDE_1, 5000, PEER_1, 7000 };
static const struct nat_secrets secrets = { .hash_key = { 1 },
					    .port_key = { 2 } };

/* --- memory --------------------------------------------------------------- */

static uint32_t *limit_at(struct nat_limits *limits, int i)
{
	uint32_t *const members[] = {
		&limits->mappings,  &limits->sessions,
		&limits->hosts,	    &limits->held_ports,
		&limits->fragments, &limits->fragment_bytes,
	};

	return members[i];
}

static void test_limits(void)
{
	struct nat_limits limits = engine_limits;

	CU_ASSERT_TRUE(nat_records_size(&limits) > 0);
	CU_ASSERT_TRUE(nat_indices_size(&limits) > 0);
	for (int i = 0; i < 6; i++) {
		limits = engine_limits;
		*limit_at(&limits, i) = 0;
		CU_ASSERT_EQUAL(nat_records_size(&limits), 0);
		CU_ASSERT_EQUAL(nat_indices_size(&limits), 0);
		*limit_at(&limits, i) = NAT_LIMIT_MAX + 1;
		CU_ASSERT_EQUAL(nat_records_size(&limits), 0);
		CU_ASSERT_EQUAL(nat_indices_size(&limits), 0);
		*limit_at(&limits, i) = 1;
		CU_ASSERT_TRUE(nat_records_size(&limits) > 0);
	}
}

static struct nat *try_init(size_t records_less, size_t indices_less,
			    size_t shift)
{
	size_t records = nat_records_size(&engine_limits);
	size_t indices = nat_indices_size(&engine_limits);
	uint8_t *a = aligned_alloc(64, (records + 127) / 64 * 64);
	uint8_t *b = aligned_alloc(64, (indices + 127) / 64 * 64);
	struct nat *nat;

	if (!a || !b)
		abort();
	memset(a, 0, (records + 127) / 64 * 64);
	memset(b, 0, (indices + 127) / 64 * 64);
	nat = nat_init(&engine_limits, &secrets, a + shift,
		       records - records_less, b, indices - indices_less, 0);
	free(a);
	free(b);
	return nat;
}

static void test_blocks(void)
{
	CU_ASSERT_PTR_NOT_NULL(try_init(0, 0, 0));
	CU_ASSERT_PTR_NULL(try_init(1, 0, 0));
	CU_ASSERT_PTR_NULL(try_init(0, 1, 0));
	CU_ASSERT_PTR_NULL(try_init(0, 0, 32));
	CU_ASSERT_PTR_NULL(nat_init(&engine_limits, &secrets, NULL, 1 << 30,
				    NULL, 1 << 30, 0));
}

static void test_smallest(void)
{
	static const struct nat_limits ones = { 1, 1, 1, 1, 1, 1, 1 };
	struct engine engine;

	engine_bare(&engine, &ones);
	engine_defaults(&engine.config);
	engine_configure(&engine);
	nat_set_uplink(engine.nat, UPLINK, engine.now);
	for (int i = 0; i < 5; i++) {
		CU_ASSERT_TRUE(engine_open(&engine, NAT_PROTO_UDP, out));
		CU_ASSERT_FALSE(engine_open(&engine, NAT_PROTO_TCP, out));
		engine.now += 300 * SECOND;
	}
	engine_free(&engine);
}

static void test_two_engines(void)
{
	struct engine one, two;

	engine_make(&one);
	engine_make(&two);
	nat_set_uplink(two.nat, PEER_3, two.now);
	engine_open(&one, NAT_PROTO_UDP, out);
	CU_ASSERT_EQUAL(engine_stats(&two).mappings, 0);
	engine_udp(&two, NAT_PATH_OUTBOUND, out);
	CU_ASSERT_EQUAL(packet_flow(&two.packet).src, PEER_3);
	engine_udp(&one, NAT_PATH_OUTBOUND, out);
	CU_ASSERT_EQUAL(packet_flow(&one.packet).src, UPLINK);
	engine_free(&one);
	engine_free(&two);
}

static void test_unconfigured(void)
{
	struct engine engine;

	engine_bare(&engine, &engine_limits);
	for (int path = 0; path < NAT_PATHS; path++)
		ASSERT_DROPPED(engine_udp(&engine, (enum nat_path)path, out),
			       NAT_DROP_NO_UPLINK);
	CU_ASSERT_EQUAL(nat_uplink(engine.nat), 0);
	CU_ASSERT_EQUAL(nat_set_uplink(engine.nat, UPLINK, engine.now), 0);
	ASSERT_DROPPED(engine_udp(&engine, NAT_PATH_OUTBOUND, out),
		       NAT_DROP_NO_UPLINK);
	engine_defaults(&engine.config);
	engine_configure(&engine);
	ASSERT_TRANSLATED(engine_udp(&engine, NAT_PATH_OUTBOUND, out));
	engine_free(&engine);
}

static void test_counted_elsewhere(void)
{
	struct engine engine;

	engine_make(&engine);
	nat_count_drop(engine.nat, NAT_DROP_TRUNCATED);
	nat_count_drop(engine.nat, NAT_DROP_TRUNCATED);
	CU_ASSERT_EQUAL(engine_stats(&engine).drops[NAT_DROP_TRUNCATED], 2);
	nat_count_own(engine.nat, NAT_DROP_TRUNCATED);
	CU_ASSERT_EQUAL(engine_stats(&engine).drops[NAT_DROP_TRUNCATED], 1);
	CU_ASSERT_EQUAL(engine_stats(&engine).untouched_packets, 1);
	engine_free(&engine);
}

/* --- the uplink ------------------------------------------------------------ */

static const struct nat_forward dns = { .name = "dns",
					.proto = NAT_PROTO_UDP,
					.outside_first = 5300,
					.outside_last = 5300,
					.inside_addr = INSIDE_2,
					.inside_first = 53 };

/* Three dynamic mappings and a forward, all with sessions. */
static void busy(struct engine *engine)
{
	engine_make(engine);
	engine->config.forwards = &dns;
	engine->config.forward_count = 1;
	engine_configure(engine);
	CU_ASSERT_TRUE(engine_open(engine, NAT_PROTO_UDP, out));
	CU_ASSERT_TRUE(engine_open(engine, NAT_PROTO_TCP, out));
	CU_ASSERT_TRUE(engine_open(engine, NAT_PROTO_ICMP, out));
	CU_ASSERT_TRUE(engine_open(engine, NAT_PROTO_UDP,
				   flow_of(INSIDE_2, 53, PEER_1, 53)));
	CU_ASSERT_EQUAL(engine_stats(engine).sessions, 4);
}

static void test_uplink_lost(void)
{
	struct engine engine;

	busy(&engine);
	CU_ASSERT_EQUAL(nat_set_uplink(engine.nat, 0, engine.now), 0);
	CU_ASSERT_EQUAL(nat_uplink(engine.nat), 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 4);
	ASSERT_DROPPED(engine_udp(&engine, NAT_PATH_OUTBOUND, out),
		       NAT_DROP_NO_UPLINK);
	/* It comes back within seconds: nothing was lost. */
	engine.now += 5 * SECOND;
	CU_ASSERT_EQUAL(nat_set_uplink(engine.nat, UPLINK, engine.now), 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 4);
	ASSERT_TRANSLATED(
		engine_answer(&engine, NAT_PROTO_UDP, PEER_1, 7000, 5000));
	ASSERT_TRANSLATED(
		engine_answer(&engine, NAT_PROTO_TCP, PEER_1, 7000, 5000));
	CU_ASSERT_EQUAL(nat_set_uplink(engine.nat, UPLINK, engine.now), 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 4);
	engine_free(&engine);
}

static void test_uplink_changes(void)
{
	struct engine engine;
	struct nat_mapping_view view;

	busy(&engine);
	CU_ASSERT_EQUAL(nat_set_uplink(engine.nat, PEER_3, engine.now), 0);
	CU_ASSERT_PTR_NULL(nat_check(engine.nat));
	CU_ASSERT_EQUAL(nat_uplink(engine.nat), PEER_3);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 4);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 4);
	CU_ASSERT_TRUE(engine_mapping(&engine, 5300, &view));
	CU_ASSERT_EQUAL(view.outside_addr, PEER_3);
	/* The old address is no longer ours, the new one is. */
	ASSERT_UNTOUCHED(engine_udp(&engine, NAT_PATH_INBOUND,
				    flow_of(PEER_1, 7000, UPLINK, 5300)));
	ASSERT_TRANSLATED(engine_udp(&engine, NAT_PATH_INBOUND,
				     flow_of(PEER_1, 7000, PEER_3, 5300)));
	ASSERT_TRANSLATED(engine_udp(&engine, NAT_PATH_OUTBOUND, out));
	ASSERT_FLOW(&engine, PEER_3, 5000, PEER_1, 7000);
	engine_free(&engine);
}

static void test_uplink_changes_over_none(void)
{
	struct engine engine;

	busy(&engine);
	nat_set_uplink(engine.nat, 0, engine.now);
	CU_ASSERT_EQUAL(nat_set_uplink(engine.nat, PEER_3, engine.now), 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 4);
	CU_ASSERT_EQUAL(engine_stats(&engine).moves, 1);
	CU_ASSERT_PTR_NULL(nat_check(engine.nat));
	engine_free(&engine);
}

/* --- the configuration -------------------------------------------------------- */

static void test_pool_shrinks(void)
{
	struct engine engine;
	struct nat_mapping_view view;

	/* A mapping whose port left the pool ends; the others live. */
	engine_make(&engine);
	engine_open(&engine, NAT_PROTO_UDP, out);
	engine_open(&engine, NAT_PROTO_UDP,
		    flow_of(INSIDE_1, 6000, PEER_1, 7000));
	engine_pool(&engine.config, 6000, 6009);
	engine_configure(&engine);
	CU_ASSERT_FALSE(engine_mapping(&engine, 5000, &view));
	CU_ASSERT_TRUE(engine_mapping(&engine, 6000, &view));
	CU_ASSERT_EQUAL(engine_stats(&engine).ports[NAT_POOL_UDP].total, 10);
	ASSERT_TRANSLATED(
		engine_answer(&engine, NAT_PROTO_UDP, PEER_1, 7000, 6000));
	ASSERT_UNTOUCHED(
		engine_answer(&engine, NAT_PROTO_UDP, PEER_1, 7000, 5000));
	engine_free(&engine);
}

static void test_pool_shrinks_under_rest(void)
{
	struct engine engine;

	/* A resting port leaves the pool and comes back after its time. */
	engine_make(&engine);
	engine_pool(&engine.config, 5000, 5001);
	engine_configure(&engine);
	engine_open(&engine, NAT_PROTO_UDP, out);
	engine.now += 300 * SECOND;
	nat_expire(engine.nat, engine.now, 100);
	engine_pool(&engine.config, 5001, 5001);
	engine_configure(&engine);
	engine.now += 120 * SECOND;
	nat_expire(engine.nat, engine.now, 100);
	CU_ASSERT_PTR_NULL(nat_check(engine.nat));
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_UDP, out), 5001);
	engine_pool(&engine.config, 5000, 5001);
	engine_configure(&engine);
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_UDP,
				    flow_of(INSIDE_2, 5000, PEER_1, 1)),
			5000);
	engine_free(&engine);
}

static void test_same_again(void)
{
	struct engine engine;

	busy(&engine);
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(engine_configure(&engine), 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 4);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 4);
	engine_free(&engine);
}

static void test_filter_changes(void)
{
	struct engine engine;
	struct flow stranger = flow_of(PEER_2, 1, UPLINK, 5000);

	engine_make(&engine);
	engine_open(&engine, NAT_PROTO_UDP, out);
	ASSERT_TRANSLATED(engine_udp(&engine, NAT_PATH_INBOUND, stranger));
	engine.config.filtering[NAT_POOL_UDP] = NAT_FILTER_ADDRESS_DEPENDENT;
	engine_configure(&engine);
	ASSERT_DROPPED(engine_udp(&engine, NAT_PATH_INBOUND, stranger),
		       NAT_DROP_FILTERED_ADDRESS);
	engine_free(&engine);
}

static void test_bound_while_used(void)
{
	struct nat_portset bound = { 0 };
	struct engine engine;

	/* Bound under a mapping, freed by it, unbound: counts stay right. */
	engine_make(&engine);
	engine.config.port_hold_s = 0;
	engine_configure(&engine);
	engine_open(&engine, NAT_PROTO_UDP, out);
	nat_portset_add(&bound, 5000);
	nat_set_bound(engine.nat, NAT_POOL_UDP, &bound);
	CU_ASSERT_PTR_NULL(nat_check(engine.nat));
	engine.now += 300 * SECOND;
	nat_expire(engine.nat, engine.now, 100);
	CU_ASSERT_PTR_NULL(nat_check(engine.nat));
	CU_ASSERT_NOT_EQUAL(engine_open(&engine, NAT_PROTO_UDP, out), 5000);
	nat_portset_remove(&bound, 5000);
	nat_set_bound(engine.nat, NAT_POOL_UDP, &bound);
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_UDP,
				    flow_of(INSIDE_2, 5000, PEER_1, 1)),
			5000);
	engine_free(&engine);
}

static void test_check_sees(void)
{
	struct engine engine;
	struct nat *nat;

	/* A check that cannot fail proves nothing. */
	busy(&engine);
	nat = engine.nat;
	CU_ASSERT_PTR_NULL(nat_check(nat));
	nat->used[NAT_POOL_UDP]++;
	CU_ASSERT_PTR_NOT_NULL(nat_check(nat));
	nat->used[NAT_POOL_UDP]--;
	nat_ports_release(&nat->ports[NAT_POOL_UDP], 5000);
	CU_ASSERT_PTR_NOT_NULL(nat_check(nat));
	nat_ports_take(&nat->ports[NAT_POOL_UDP], 5000);
	nat->ports[NAT_POOL_TCP].free++;
	CU_ASSERT_PTR_NOT_NULL(nat_check(nat));
	nat->ports[NAT_POOL_TCP].free--;
	nat->hosts[1].sessions++;
	CU_ASSERT_PTR_NOT_NULL(nat_check(nat));
	nat->hosts[1].sessions--;
	nat->sessions[1].used_ms += 1000000;
	nat->sessions[1].timer++;
	CU_ASSERT_PTR_NOT_NULL(nat_check(nat));
	nat->sessions[1].timer--;
	nat->mappings[2].port++;
	CU_ASSERT_PTR_NOT_NULL(nat_check(nat));
	engine_free(&engine);
}

static const struct test tests[] = {
	{ "each limit has its bounds", test_limits },
	{ "blocks too small or misaligned are refused", test_blocks },
	{ "tables of one record work", test_smallest },
	{ "two engines know nothing of each other", test_two_engines },
	{ "nothing passes before there is a configuration and an uplink",
	  test_unconfigured },
	{ "the platform's drops are counted", test_counted_elsewhere },
	{ "a lost uplink that comes back loses nothing", test_uplink_lost },
	{ "another uplink ends dynamic mappings and moves forwards",
	  test_uplink_changes },
	{ "another uplink after none does the same",
	  test_uplink_changes_over_none },
	{ "mappings whose port left the pool end", test_pool_shrinks },
	{ "a resting port may leave the pool and come back",
	  test_pool_shrinks_under_rest },
	{ "the same configuration again changes nothing", test_same_again },
	{ "another filter holds for mappings that are there",
	  test_filter_changes },
	{ "a port bound under a mapping stays out of use",
	  test_bound_while_used },
	{ "the check sees what is broken", test_check_sees },
};

int main(int argc, char **argv)
{
	return suite_run("nat", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
