/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Configured forwards: ranges, several to one socket, allowed peers, ports they
 * take from others, and what a new configuration changes.
 */
#include "engine.h"
#include "nat/internal.h"
#include "suite.h"

static const struct nat_prefix servers = { PEER_1 & ~0xffU, 24 };

static const struct nat_forward web = { .name = "web",
					.proto = NAT_PROTO_TCP,
					.outside_first = 80,
					.outside_last = 80,
					.inside_addr = INSIDE_1,
					.inside_first = 8080 };
static const struct nat_forward dns = { .name = "dns",
					.proto = NAT_PROTO_UDP,
					.outside_first = 5300,
					.outside_last = 5300,
					.inside_addr = INSIDE_1,
					.inside_first = 53 };
/* A second door to the same inside socket. */
static const struct nat_forward dns_too = { .name = "dns too",
					    .proto = NAT_PROTO_UDP,
					    .outside_first = 5400,
					    .outside_last = 5400,
					    .inside_addr = INSIDE_1,
					    .inside_first = 53 };

static uint32_t put(struct engine *engine, const struct nat_forward *rules,
		    size_t count)
{
	engine->config.forwards = rules;
	engine->config.forward_count = count;
	return engine_configure(engine);
}

static void make(struct engine *engine, const struct nat_forward *rules,
		 size_t count)
{
	engine_make(engine);
	CU_ASSERT_EQUAL(put(engine, rules, count), 0);
}

static struct nat_result udp_in(struct engine *engine, uint32_t peer,
				uint16_t port)
{
	return engine_udp(engine, NAT_PATH_INBOUND,
			  flow_of(peer, 7000, UPLINK, port));
}

static struct nat_result udp_out(struct engine *engine, uint32_t peer)
{
	return engine_udp(engine, NAT_PATH_OUTBOUND,
			  flow_of(INSIDE_1, 53, peer, 7000));
}

static struct nat_result syn_in(struct engine *engine, uint32_t peer,
				uint16_t port)
{
	return engine_tcp(engine, NAT_PATH_INBOUND,
			  flow_of(peer, 7000, UPLINK, port), SYN);
}

/* --- use ---------------------------------------------------------------------- */

static void test_open(void)
{
	struct engine engine;

	make(&engine, &web, 1);
	ASSERT_TRANSLATED(syn_in(&engine, PEER_2, 80));
	ASSERT_FLOW(&engine, PEER_2, 7000, INSIDE_1, 8080);
	ASSERT_TRANSLATED(engine_tcp(&engine, NAT_PATH_OUTBOUND,
				     flow_of(INSIDE_1, 8080, PEER_2, 7000),
				     SYN | ACK));
	ASSERT_FLOW(&engine, UPLINK, 80, PEER_2, 7000);
	/* A protocol of its own. */
	ASSERT_UNTOUCHED(udp_in(&engine, PEER_2, 80));
	engine_free(&engine);
}

static void test_never_expires(void)
{
	struct engine engine;
	struct nat_mapping_view view;

	make(&engine, &web, 1);
	engine.now += 10000 * SECOND;
	nat_expire(engine.nat, engine.now, 100);
	CU_ASSERT_TRUE(engine_mapping(&engine, 80, &view));
	CU_ASSERT_EQUAL(view.expires_ms, NAT_NEVER);
	CU_ASSERT_EQUAL(view.kind, NAT_KIND_FORWARD);
	CU_ASSERT_STRING_EQUAL(view.name, "web");
	engine_free(&engine);
}

static void test_range(void)
{
	struct nat_forward range = web;
	struct engine engine;

	range.outside_first = 65533;
	range.outside_last = 65535;
	range.inside_first = 1;
	make(&engine, &range, 1);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 3);
	for (uint32_t port = 65533; port <= 65535; port++) {
		ASSERT_TRANSLATED(syn_in(&engine, PEER_1, (uint16_t)port));
		ASSERT_FLOW(&engine, PEER_1, 7000, INSIDE_1,
			    (uint16_t)(port - 65532));
	}
	ASSERT_DROPPED(syn_in(&engine, PEER_1, 65532), NAT_DROP_NO_MAPPING);
	engine_free(&engine);
}

static void test_peers(void)
{
	struct nat_forward rule = web;
	struct engine engine;

	rule.from = &servers;
	rule.from_count = 1;
	make(&engine, &rule, 1);
	ASSERT_TRANSLATED(syn_in(&engine, PEER_1, 80));
	ASSERT_DROPPED(syn_in(&engine, PEER_3, 80), NAT_DROP_FORWARD_PEER);
	/* A peer that the inside socket itself calls is admitted. */
	ASSERT_TRANSLATED(engine_tcp(&engine, NAT_PATH_OUTBOUND,
				     flow_of(INSIDE_1, 8080, PEER_3, 9), SYN));
	ASSERT_FLOW(&engine, UPLINK, 80, PEER_3, 9);
	ASSERT_TRANSLATED(syn_in(&engine, PEER_3, 80));
	engine_free(&engine);
}

static void test_source_of_own_traffic(void)
{
	struct engine engine;

	/* The forwarded socket speaks by its forward's port, to everyone. */
	make(&engine, &dns, 1);
	ASSERT_TRANSLATED(udp_out(&engine, PEER_1));
	ASSERT_FLOW(&engine, UPLINK, 5300, PEER_1, 7000);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 1);
	CU_ASSERT_EQUAL(engine_stats(&engine).ports[NAT_POOL_UDP].used, 0);
	engine_free(&engine);
}

static void test_two_doors(void)
{
	const struct nat_forward rules[] = { dns, dns_too };
	struct engine engine;

	/* The answer leaves by the door that the question came in by. */
	make(&engine, rules, 2);
	for (int i = 0; i < 2; i++) {
		uint16_t first = i ? 5300 : 5400, second = i ? 5400 : 5300;

		ASSERT_TRANSLATED(
			udp_in(&engine, PEER_1 + 10U * (uint32_t)i, first));
		ASSERT_TRANSLATED(
			udp_in(&engine, PEER_2 + 10U * (uint32_t)i, second));
		udp_out(&engine, PEER_1 + 10U * (uint32_t)i);
		CU_ASSERT_EQUAL(packet_flow(&engine.packet).sport, first);
		udp_out(&engine, PEER_2 + 10U * (uint32_t)i);
		CU_ASSERT_EQUAL(packet_flow(&engine.packet).sport, second);
	}
	engine_free(&engine);
}

static void test_two_doors_tcp(void)
{
	const struct nat_forward rules[] = {
		{ .name = "a",
		  .proto = NAT_PROTO_TCP,
		  .outside_first = 80,
		  .outside_last = 80,
		  .inside_addr = INSIDE_1,
		  .inside_first = 8080 },
		{ .name = "b",
		  .proto = NAT_PROTO_TCP,
		  .outside_first = 8000,
		  .outside_last = 8000,
		  .inside_addr = INSIDE_1,
		  .inside_first = 8080 },
	};
	struct engine engine;

	make(&engine, rules, 2);
	ASSERT_TRANSLATED(syn_in(&engine, PEER_1, 8000));
	ASSERT_TRANSLATED(syn_in(&engine, PEER_2, 80));
	engine_tcp(&engine, NAT_PATH_OUTBOUND,
		   flow_of(INSIDE_1, 8080, PEER_1, 7000), SYN | ACK);
	ASSERT_FLOW(&engine, UPLINK, 8000, PEER_1, 7000);
	engine_tcp(&engine, NAT_PATH_OUTBOUND,
		   flow_of(INSIDE_1, 8080, PEER_2, 7000), SYN | ACK);
	ASSERT_FLOW(&engine, UPLINK, 80, PEER_2, 7000);
	engine_free(&engine);
}

static void test_quota(void)
{
	struct engine engine;

	make(&engine, &web, 1);
	engine.config.mapping_sessions = 4;
	ASSERT_TRANSLATED(syn_in(&engine, PEER_1, 80));
	ASSERT_TRANSLATED(syn_in(&engine, PEER_2, 80));
	/* Nobody closes a forward by filling it up: more peers go without. */
	ASSERT_TRANSLATED(syn_in(&engine, PEER_3, 80));
	ASSERT_TRANSLATED(engine_tcp(&engine, NAT_PATH_OUTBOUND,
				     flow_of(INSIDE_1, 8080, PEER_3, 7000),
				     SYN | ACK));
	ASSERT_FLOW(&engine, UPLINK, 80, PEER_3, 7000);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 2);
	engine_free(&engine);
}

static void test_outsiders_share(void)
{
	struct engine engine;

	make(&engine, &web, 1);
	engine.config.host_sessions = 4;
	for (uint32_t i = 0; i < 9; i++)
		ASSERT_TRANSLATED(syn_in(&engine, PEER_1 + i, 80));
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 2);
	/* The host still has room for what it begins itself. */
	ASSERT_TRANSLATED(engine_udp(&engine, NAT_PATH_OUTBOUND,
				     flow_of(INSIDE_1, 53, PEER_2, 53)));
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 3);
	engine_free(&engine);
}

/* --- ports taken ------------------------------------------------------------------ */

static void test_takes_dynamic(void)
{
	struct engine engine;
	struct nat_mapping_view view;

	engine_make(&engine);
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_UDP,
				    flow_of(INSIDE_2, 5300, PEER_1, 7000)),
			5300);
	CU_ASSERT_EQUAL(put(&engine, &dns, 1), 0);
	CU_ASSERT_TRUE(engine_mapping(&engine, 5300, &view));
	CU_ASSERT_EQUAL(view.kind, NAT_KIND_FORWARD);
	CU_ASSERT_EQUAL(view.inside_addr, INSIDE_1);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 0);
	/* The one who lost it gets another port. */
	CU_ASSERT_NOT_EQUAL(engine_open(&engine, NAT_PROTO_UDP,
					flow_of(INSIDE_2, 5300, PEER_1, 7000)),
			    5300);
	engine_free(&engine);
}

static void test_takes_held(void)
{
	struct engine engine;

	engine_make(&engine);
	engine_open(&engine, NAT_PROTO_UDP,
		    flow_of(INSIDE_2, 5300, PEER_1, 7000));
	engine.now += 300 * SECOND;
	nat_expire(engine.nat, engine.now, 100);
	CU_ASSERT_EQUAL(engine_stats(&engine).ports[NAT_POOL_UDP].held, 1);
	CU_ASSERT_EQUAL(put(&engine, &dns, 1), 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).ports[NAT_POOL_UDP].held, 0);
	/* The end of its rest does not free the port under the forward. */
	engine.now += 120 * SECOND;
	nat_expire(engine.nat, engine.now, 100);
	CU_ASSERT_NOT_EQUAL(engine_open(&engine, NAT_PROTO_UDP,
					flow_of(INSIDE_2, 5300, PEER_1, 7000)),
			    5300);
	ASSERT_TRANSLATED(udp_in(&engine, PEER_1, 5300));
	engine_free(&engine);
}

/* Its peers go on for a while, and no other host may get what they send (RFC
 * 6888 REQ-8). */
static void test_gone_rests(void)
{
	const struct flow flow = { INSIDE_2, 5300, PEER_2, 7000 };

	for (int used = 0; used < 2; used++) {
		struct engine engine;

		make(&engine, &dns, 1);
		if (used)
			ASSERT_TRANSLATED(udp_in(&engine, PEER_1, 5300));
		put(&engine, NULL, 0);
		CU_ASSERT_EQUAL(engine_stats(&engine).ports[NAT_POOL_UDP].held,
				(uint32_t)used);
		CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_UDP, flow) ==
					5300,
				!used);
		engine_free(&engine);
	}
}

static void test_gone_outside_pool(void)
{
	struct engine engine;

	make(&engine, &dns, 1);
	ASSERT_TRANSLATED(udp_in(&engine, PEER_1, 5300));
	engine_pool(&engine.config, 40000, 40009);
	engine_configure(&engine);
	engine_restore(&engine);
	put(&engine, NULL, 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).ports[NAT_POOL_UDP].total, 10);
	engine_free(&engine);
}

static void test_gone_comes_again(void)
{
	struct engine engine;

	make(&engine, &dns, 1);
	ASSERT_TRANSLATED(udp_in(&engine, PEER_1, 5300));
	put(&engine, NULL, 0);
	CU_ASSERT_EQUAL(put(&engine, &dns, 1), 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).ports[NAT_POOL_UDP].held, 0);
	ASSERT_TRANSLATED(udp_in(&engine, PEER_1, 5300));
	engine_free(&engine);
}

static void test_beside_dynamic(void)
{
	struct engine engine;

	/* The inside socket had a dynamic mapping before: it keeps it for the
	 * peers it talks to, the forward works beside it, and remains. */
	engine_make(&engine);
	ASSERT_TRANSLATED(udp_out(&engine, PEER_1));
	CU_ASSERT_TRUE(packet_flow(&engine.packet).sport != 5300);
	put(&engine, &dns, 1);
	ASSERT_TRANSLATED(udp_in(&engine, PEER_2, 5300));
	ASSERT_TRANSLATED(udp_out(&engine, PEER_2));
	CU_ASSERT_EQUAL(packet_flow(&engine.packet).sport, 5300);
	ASSERT_TRANSLATED(udp_out(&engine, PEER_1));
	CU_ASSERT_TRUE(packet_flow(&engine.packet).sport != 5300);
	engine.now += 300 * SECOND;
	ASSERT_TRANSLATED(udp_out(&engine, PEER_1));
	CU_ASSERT_EQUAL(packet_flow(&engine.packet).sport, 5300);
	engine_free(&engine);
}

/* --- changes ----------------------------------------------------------------------- */

static void test_removed(void)
{
	const struct nat_forward rules[] = { web, dns };
	struct engine engine;

	make(&engine, rules, 2);
	syn_in(&engine, PEER_1, 80);
	udp_out(&engine, PEER_1);
	put(&engine, &dns, 1);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 1);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 1);
	ASSERT_UNTOUCHED(syn_in(&engine, PEER_1, 80));
	ASSERT_TRANSLATED(udp_in(&engine, PEER_1, 5300));
	put(&engine, NULL, 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 0);
	ASSERT_DROPPED(udp_in(&engine, PEER_1, 5300), NAT_DROP_NO_MAPPING);
	/* Its port is the pool's again. */
	CU_ASSERT_EQUAL(engine_stats(&engine).ports[NAT_POOL_UDP].total,
			65536 - 512);
	engine_free(&engine);
}

static void test_kept(void)
{
	const struct nat_forward before[] = { web, dns };
	struct nat_forward renamed[] = { dns, web };
	struct engine engine;
	struct nat_mapping_view view;

	/* Another order, another name, other peers: it is the same forward, and
	 * its connections live. */
	make(&engine, before, 2);
	syn_in(&engine, PEER_3, 80);
	renamed[1].name = "site";
	renamed[1].from = &servers;
	renamed[1].from_count = 1;
	CU_ASSERT_EQUAL(put(&engine, renamed, 2), 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 1);
	engine_mapping(&engine, 80, &view);
	CU_ASSERT_STRING_EQUAL(view.name, "site");
	ASSERT_TRANSLATED(syn_in(&engine, PEER_3, 80));
	ASSERT_DROPPED(engine_tcp(&engine, NAT_PATH_INBOUND,
				  flow_of(PEER_3, 7001, UPLINK, 80), SYN),
		       NAT_DROP_FORWARD_PEER);
	engine_free(&engine);
}

static void test_new_target(void)
{
	struct nat_forward moved = web;
	struct engine engine;

	make(&engine, &web, 1);
	syn_in(&engine, PEER_1, 80);
	moved.inside_addr = INSIDE_2;
	CU_ASSERT_EQUAL(put(&engine, &moved, 1), 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 0);
	ASSERT_TRANSLATED(syn_in(&engine, PEER_1, 80));
	ASSERT_FLOW(&engine, PEER_1, 7000, INSIDE_2, 8080);
	engine_free(&engine);
}

static void test_doubled(void)
{
	struct nat_forward rules[] = { web, web };
	struct engine engine;

	/* The first one counts. */
	rules[1].inside_addr = INSIDE_2;
	make(&engine, rules, 2);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 1);
	ASSERT_TRANSLATED(syn_in(&engine, PEER_1, 80));
	CU_ASSERT_EQUAL(packet_flow(&engine.packet).dst, INSIDE_1);
	engine_free(&engine);
}

static void test_over_listener(void)
{
	struct nat_portset bound = { 0 };
	struct engine engine;

	make(&engine, &web, 1);
	nat_portset_add(&bound, 80);
	nat_set_bound(engine.nat, NAT_POOL_TCP, &bound);
	ASSERT_TRANSLATED(syn_in(&engine, PEER_1, 80));
	CU_ASSERT_PTR_NULL(nat_check(engine.nat));
	engine_free(&engine);
}

static void test_before_uplink(void)
{
	struct engine engine;
	struct nat_mapping_view view;

	engine_bare(&engine, &engine_limits);
	engine_defaults(&engine.config);
	CU_ASSERT_EQUAL(put(&engine, &dns, 1), 0);
	CU_ASSERT_TRUE(engine_mapping(&engine, 5300, &view));
	CU_ASSERT_EQUAL(view.outside_addr, 0);
	nat_set_uplink(engine.nat, UPLINK, engine.now);
	CU_ASSERT_TRUE(engine_mapping(&engine, 5300, &view));
	CU_ASSERT_EQUAL(view.outside_addr, UPLINK);
	ASSERT_TRANSLATED(udp_in(&engine, PEER_1, 5300));
	engine_free(&engine);
}

static const struct test tests[] = {
	{ "a forward admits and answers, outside the pool as well", test_open },
	{ "a forward does not expire", test_never_expires },
	{ "a range is forwarded one to one", test_range },
	{ "only named peers, and those that were called, are admitted",
	  test_peers },
	{ "the forwarded socket speaks by the forward's port",
	  test_source_of_own_traffic },
	{ "of two doors to a UDP socket the answer takes the right one",
	  test_two_doors },
	{ "of two doors to a TCP socket the answer takes the right one",
	  test_two_doors_tcp },
	{ "a forward's sessions are limited, its use is not", test_quota },
	{ "outsiders get half of a host's sessions", test_outsiders_share },
	{ "a forward takes its port from a dynamic mapping",
	  test_takes_dynamic },
	{ "a forward takes its port out of its rest", test_takes_held },
	{ "the UDP port that a forward was used by rests when it is gone",
	  test_gone_rests },
	{ "unless it is not of the pool", test_gone_outside_pool },
	{ "a forward that comes again takes its port at once",
	  test_gone_comes_again },
	{ "a forward works beside its socket's dynamic mapping",
	  test_beside_dynamic },
	{ "a forward that is no longer named ends", test_removed },
	{ "a forward that is still named keeps its connections", test_kept },
	{ "a forward with another target starts afresh", test_new_target },
	{ "of two forwards of one port the first counts", test_doubled },
	{ "a forward wins over a local listener", test_over_listener },
	{ "a forward waits for the uplink", test_before_uplink },
};

int main(int argc, char **argv)
{
	return suite_run("forwards", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
