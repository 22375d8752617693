/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sessions of SCTP, GRE, PPTP and ESP with one inside host: what opens, keeps
 * and ends them, the limits, and tags that change on the way.
 */
#include <stdio.h>
#include <string.h>

#include "suite.h"
#include "tagged_lab.h"

#define OPENING (240 * SECOND)
#define OTHER (600 * SECOND)

static void later(struct engine *engine, uint64_t ms)
{
	engine->now += ms;
	nat_expire(engine->nat, engine->now, 1000);
}

/* --- the table ---------------------------------------------------------- */

static void test_view(void)
{
	for (int kind = 0; kind < KINDS; kind++) {
		uint16_t port = kind == SCTP ? 5000 : 0;
		struct nat_session_view view;
		struct nat_mapping_view mapping;
		struct engine engine;

		engine_make(&engine);
		ASSERT_TRANSLATED(begin_n(&engine, kind, INSIDE_1, PEER_1, 1));
		CU_ASSERT_TRUE(engine_session(&engine, port, PEER_1, &view));
		CU_ASSERT_EQUAL(view.proto, kind_proto[kind]);
		CU_ASSERT_EQUAL(view.inside_addr, INSIDE_1);
		CU_ASSERT_EQUAL(view.outside_addr, UPLINK);
		CU_ASSERT_EQUAL(view.outside_port, port);
		CU_ASSERT_EQUAL(view.peer_port, kind == SCTP ? 7000 : 0);
		CU_ASSERT_EQUAL(view.state, NAT_STATE_INIT);
		CU_ASSERT_EQUAL(view.counters.out_packets, 1);
		CU_ASSERT_EQUAL(answer_n(&engine, kind, PEER_1, 1), INSIDE_1);
		engine_session(&engine, port, PEER_1, &view);
		CU_ASSERT_EQUAL(view.state, NAT_STATE_ESTABLISHED);
		CU_ASSERT_EQUAL(view.counters.in_packets, 1);
		CU_ASSERT_TRUE(engine_mapping(&engine, port, &mapping));
		CU_ASSERT_EQUAL(mapping.sessions, 1);
		CU_ASSERT_EQUAL(engine_stats(&engine).tagged, 1);
		CU_ASSERT_EQUAL(engine_stats(&engine).tagged_limit, 32);
		engine_free(&engine);
	}
}

static void test_lives(void)
{
	for (int kind = 0; kind < KINDS; kind++)
		for (int answered = 0; answered < 2; answered++) {
			uint64_t life = answered ? OTHER : OPENING;
			struct engine engine;

			engine_make(&engine);
			begin_n(&engine, kind, INSIDE_1, PEER_1, 1);
			if (answered)
				answer_n(&engine, kind, PEER_1, 1);
			later(&engine, life - 1);
			CU_ASSERT_EQUAL(engine_stats(&engine).tagged, 1);
			later(&engine, 1);
			CU_ASSERT_EQUAL(engine_stats(&engine).tagged, 0);
			CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 0);
			CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 0);
			CU_ASSERT_EQUAL(receive_n(&engine, kind, PEER_1, 1),
					ROUTER_ITSELF);
			engine_free(&engine);
		}
}

/* Also found dead without any sweep. */
static void test_ends_unswept(void)
{
	for (int kind = 0; kind < KINDS; kind++) {
		struct engine engine;

		engine_make(&engine);
		open_n(&engine, kind, INSIDE_1, PEER_1, 1);
		engine.now += OTHER - 1;
		CU_ASSERT_TRUE(works(&engine, kind, INSIDE_1, PEER_1, 1));
		engine.now += OTHER;
		CU_ASSERT_EQUAL(receive_n(&engine, kind, PEER_1, 1),
				ROUTER_ITSELF);
		CU_ASSERT_EQUAL(engine_stats(&engine).tagged, 0);
		open_n(&engine, kind, INSIDE_2, PEER_1, 1);
		engine_free(&engine);
	}
}

/* RFC 4787 REQ-6: outbound traffic keeps it; inbound as configured. */
static void test_refresh(void)
{
	for (int refresh = 0; refresh < 2; refresh++)
		for (int kind = 0; kind < KINDS; kind++) {
			struct engine engine;

			engine_make(&engine);
			engine.config.inbound_refresh = refresh;
			engine_configure(&engine);
			open_n(&engine, kind, INSIDE_1, PEER_1, 1);
			send_n(&engine, kind, INSIDE_1, PEER_1, 1);
			later(&engine, OTHER - 1);
			receive_n(&engine, kind, PEER_1, 1);
			later(&engine, 1);
			CU_ASSERT_EQUAL(engine_stats(&engine).tagged,
					(uint32_t)refresh);
			engine_free(&engine);
		}
}

/* --- limits ------------------------------------------------------------- */

#define AWAY 0xc6336499U /* a peer of no other host */

/* Four hosts, each with its quarter. */
static void fill(struct engine *engine, enum kind kind)
{
	for (uint32_t i = 0; i < engine->limits.tagged; i++)
		open_n(engine, kind, INSIDE_1 + i / 8, PEER_1 + i, 1);
}

static void test_full(void)
{
	for (int kind = 0; kind < KINDS; kind++) {
		struct nat_host_view host;
		struct engine engine;
		uint32_t cursor = 0;

		engine_make(&engine);
		fill(&engine, (enum kind)kind);
		CU_ASSERT_TRUE(
			told(begin_n(&engine, kind, INSIDE_1 + 4, AWAY, 1),
			     NAT_DROP_TABLE_FULL));
		while (nat_next_host(engine.nat, &cursor, &host))
			CU_ASSERT_EQUAL(host.refused,
					host.addr == INSIDE_1 + 4);
		/* Nobody lost anything, and other protocols go on. */
		for (uint32_t i = 0; i < engine.limits.tagged; i++)
			CU_ASSERT_TRUE(works(&engine, kind, INSIDE_1 + i / 8,
					     PEER_1 + i, 1));
		CU_ASSERT_TRUE(engine_open(&engine, NAT_PROTO_UDP,
					   flow_of(INSIDE_1, 1, PEER_3, 2)));
		/* What has expired makes room without a sweep. */
		engine.now += OTHER;
		open_n(&engine, kind, INSIDE_2, AWAY, 1);
		engine_free(&engine);
	}
}

/* One host may have a quarter of the table; the others have theirs. */
static void test_share(void)
{
	for (int kind = 0; kind < KINDS; kind++) {
		struct engine engine;

		engine_make(&engine);
		for (uint32_t i = 0; i < engine.limits.tagged / 4; i++)
			open_n(&engine, kind, INSIDE_1, PEER_1 + i, 1);
		CU_ASSERT_TRUE(told(begin_n(&engine, kind, INSIDE_1, AWAY, 1),
				    NAT_DROP_HOST_QUOTA));
		open_n(&engine, kind, INSIDE_2, AWAY, 1);
		engine_free(&engine);
	}
}

/* So many sessions with one peer, and each costs a token. */
static void test_peer_and_rate(void)
{
	struct engine engine;

	engine_make(&engine);
	engine.config.peer_tagged = 3;
	for (uint32_t n = 0; n < 3; n++)
		open_n(&engine, GRE, INSIDE_1 + n % 2, PEER_1, n);
	CU_ASSERT_TRUE(told(begin_n(&engine, GRE, INSIDE_2, PEER_1, 9),
			    NAT_DROP_HOST_QUOTA));
	open_n(&engine, GRE, INSIDE_2, PEER_2, 9);
	engine.config.host_new_per_second = 0;
	ASSERT_DROPPED(begin_n(&engine, GRE, INSIDE_2, PEER_3, 9),
		       NAT_DROP_HOST_RATE);
	engine_free(&engine);
}

/* More has ended at once than a packet sweeps away, and the table's own dead
 * are not among the first. */
static void test_full_of_dead(void)
{
	struct engine engine;

	engine_make(&engine);
	fill(&engine, ESP);
	for (uint16_t i = 0; i < 60; i++)
		engine_open(&engine, NAT_PROTO_UDP,
			    flow_of(INSIDE_1, 5000, PEER_1, 1 + i));
	engine.now += OTHER;
	open_n(&engine, ESP, INSIDE_2, AWAY, 1);
	engine_free(&engine);
}

static void test_none(void)
{
	for (int kind = 0; kind < KINDS; kind++) {
		struct nat_limits limits = engine_limits;
		struct engine engine;

		limits.tagged = 0;
		engine_bare(&engine, &limits);
		engine_defaults(&engine.config);
		engine_configure(&engine);
		nat_set_uplink(engine.nat, UPLINK, engine.now);
		engine.now += 10 * SECOND;
		CU_ASSERT_TRUE(told(begin_n(&engine, kind, INSIDE_1, PEER_1, 1),
				    NAT_DROP_TABLE_FULL));
		CU_ASSERT_EQUAL(receive_n(&engine, kind, PEER_1, 1),
				ROUTER_ITSELF);
		CU_ASSERT_TRUE(engine_open(&engine, NAT_PROTO_UDP,
					   flow_of(INSIDE_1, 1, PEER_3, 2)));
		engine_free(&engine);
	}
}

enum quota { HOST_SESSIONS, MAPPING_SESSIONS, HOST_MAPPINGS };

static void limit(struct nat_config *config, enum quota quota)
{
	if (quota == HOST_SESSIONS)
		config->host_sessions = 3;
	else if (quota == MAPPING_SESSIONS)
		config->mapping_sessions = 3;
	else
		config->host_mappings = 3;
}

/* A host's fourth session; another host's first passes. */
static void check_quota(enum kind kind, enum quota quota, enum nat_drop drop)
{
	struct engine engine;

	engine_make(&engine);
	limit(&engine.config, quota);
	engine_configure(&engine);
	for (uint32_t i = 0; i < 3; i++)
		open_n(&engine, kind, INSIDE_1, PEER_1 + i, 1);
	CU_ASSERT_TRUE(told(begin_n(&engine, kind, INSIDE_1, PEER_3, 1), drop));
	open_n(&engine, kind, INSIDE_2, PEER_3, 1);
	CU_ASSERT_TRUE(works(&engine, kind, INSIDE_1, PEER_1, 1));
	engine_free(&engine);
}

static void test_quotas(void)
{
	for (int kind = 0; kind < KINDS; kind++) {
		check_quota(kind, HOST_SESSIONS, NAT_DROP_HOST_QUOTA);
		check_quota(kind, MAPPING_SESSIONS, NAT_DROP_HOST_QUOTA);
	}
}

/* Each of SCTP, GRE and ESP is one mapping of a host (SCTP: of each port). */
static void test_mapping_quota(void)
{
	struct engine engine;

	engine_make(&engine);
	limit(&engine.config, HOST_MAPPINGS);
	engine_configure(&engine);
	for (uint32_t i = 0; i < 2; i++)
		for (int kind = 0; kind < KINDS; kind++)
			open_n(&engine, kind, INSIDE_1, PEER_1 + i, 1);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 3);
	CU_ASSERT_EQUAL(engine_udp(&engine, NAT_PATH_OUTBOUND,
				   flow_of(INSIDE_1, 1, PEER_1, 2))
				.drop,
			NAT_DROP_HOST_QUOTA);
	engine_free(&engine);
}

/* --- reload, uplink ----------------------------------------------------- */

static void test_untranslated(void)
{
	for (int kind = 0; kind < KINDS; kind++) {
		struct engine engine;

		engine_make(&engine);
		for (int other = 0; other < KINDS; other++)
			open_n(&engine, other, INSIDE_1, PEER_1, 1);
		engine.config.untranslated[kind_proto[kind]] = true;
		engine_configure(&engine);
		ASSERT_DROPPED(send_n(&engine, kind, INSIDE_1, PEER_1, 1),
			       NAT_DROP_UNSUPPORTED);
		ASSERT_DROPPED(begin_n(&engine, kind, INSIDE_1, PEER_1, 1),
			       NAT_DROP_UNSUPPORTED);
		CU_ASSERT_EQUAL(receive_n(&engine, kind, PEER_1, 1),
				ROUTER_ITSELF);
		for (int other = 0; other < KINDS; other++)
			CU_ASSERT_EQUAL(works(&engine, other, INSIDE_1, PEER_1,
					      1),
					kind_proto[other] != kind_proto[kind]);
		engine.config.untranslated[kind_proto[kind]] = false;
		engine_configure(&engine);
		CU_ASSERT_EQUAL(receive_n(&engine, kind, PEER_1, 1),
				ROUTER_ITSELF);
		open_n(&engine, kind, INSIDE_1, PEER_1, 1);
		engine_free(&engine);
	}
}

static void test_uplink(void)
{
	struct engine engine;

	engine_make(&engine);
	for (int kind = 0; kind < KINDS; kind++)
		open_n(&engine, kind, INSIDE_1, PEER_1, 1);
	/* Lost and back again: all goes on. */
	nat_set_uplink(engine.nat, 0, engine.now);
	for (int kind = 0; kind < KINDS; kind++) {
		ASSERT_DROPPED(send_n(&engine, kind, INSIDE_1, PEER_1, 1),
			       NAT_DROP_NO_UPLINK);
		/* The router's own answer would end it. */
		CU_ASSERT_EQUAL(receive_n(&engine, kind, PEER_1, 1), NOBODY);
		CU_ASSERT_EQUAL(receive_n(&engine, kind, PEER_2, 1),
				ROUTER_ITSELF);
	}
	nat_set_uplink(engine.nat, UPLINK, engine.now);
	for (int kind = 0; kind < KINDS; kind++)
		CU_ASSERT_TRUE(works(&engine, kind, INSIDE_1, PEER_1, 1));
	/* Another address: nothing by the old one, and all goes on when it is
	 * back. */
	nat_set_uplink(engine.nat, UPLINK + 1, engine.now);
	for (int kind = 0; kind < KINDS; kind++)
		CU_ASSERT_EQUAL(receive_n(&engine, kind, PEER_1, 1),
				ROUTER_ITSELF);
	nat_set_uplink(engine.nat, UPLINK, engine.now);
	for (int kind = 0; kind < KINDS; kind++)
		CU_ASSERT_TRUE(works(&engine, kind, INSIDE_1, PEER_1, 1));
	CU_ASSERT_PTR_NULL(nat_check(engine.nat));
	engine_free(&engine);
}

/* --- who may open ------------------------------------------------------- */

static void test_outsiders(void)
{
	struct engine engine;

	engine_make(&engine);
	for (int kind = 0; kind < KINDS; kind++) {
		for (uint32_t n = 0; n < 20; n++) {
			CU_ASSERT_EQUAL(answer_n(&engine, kind, PEER_1, n),
					ROUTER_ITSELF);
			CU_ASSERT_EQUAL(receive_n(&engine, kind, PEER_1, n),
					ROUTER_ITSELF);
		}
		CU_ASSERT_EQUAL(
			receive_init(&engine, PEER_1,
				     (struct sctp_init){ .declared = 5 }),
			ROUTER_ITSELF);
	}
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).hosts, 0);
	/* Nor beside what a host has opened with another peer. */
	for (int kind = 0; kind < KINDS; kind++)
		open_n(&engine, kind, INSIDE_1, PEER_2, 1);
	for (int kind = 0; kind < KINDS; kind++)
		CU_ASSERT_EQUAL(receive_n(&engine, kind, PEER_1, 1),
				ROUTER_ITSELF);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, KINDS);
	engine_free(&engine);
}

/* GRE and PPTP are one protocol, but never one session. */
static void test_kinds_apart(void)
{
	struct engine engine;

	engine_make(&engine);
	open_n(&engine, GRE, INSIDE_1, PEER_1, 1);
	CU_ASSERT_EQUAL(receive_tag(&engine, PPTP, PEER_1, OUT_TAG(1)),
			ROUTER_ITSELF);
	open_n(&engine, PPTP, INSIDE_2, PEER_1, 1);
	CU_ASSERT_TRUE(works(&engine, GRE, INSIDE_1, PEER_1, 1));
	CU_ASSERT_TRUE(works(&engine, PPTP, INSIDE_2, PEER_1, 1));
	engine_free(&engine);
}

/* --- keys that change --------------------------------------------------- */

static const enum kind rekeyed[] = { PPTP, ESP };

/* The host first, the peer first; the old tags go on for a while. */
static void test_rekey(void)
{
	for (int i = 0; i < 4; i++) {
		enum kind kind = rekeyed[i / 2];
		struct engine engine;

		engine_make(&engine);
		open_n(&engine, kind, INSIDE_1, PEER_1, 1);
		for (uint32_t n = 2; n < 6; n++) {
			if (i % 2)
				CU_ASSERT_EQUAL(receive_n(&engine, kind, PEER_1,
							  n),
						INSIDE_1);
			ASSERT_TRANSLATED(
				send_n(&engine, kind, INSIDE_1, PEER_1, n));
			CU_ASSERT_EQUAL(receive_n(&engine, kind, PEER_1, n),
					INSIDE_1);
			CU_ASSERT_TRUE(
				works(&engine, kind, INSIDE_1, PEER_1, n - 1));
			CU_ASSERT_TRUE(
				works(&engine, kind, INSIDE_1, PEER_1, n));
		}
		engine_free(&engine);
	}
}

static const struct test tests[] = {
	{ "a session is shown with ports, state and counters", test_view },
	{ "240 s unanswered, 600 s answered, to the millisecond", test_lives },
	{ "a session that is over is over without a sweep", test_ends_unswept },
	{ "inbound traffic keeps a session as configured", test_refresh },
	{ "a full table refuses the newcomer and tells it", test_full },
	{ "one host may have a quarter of the table", test_share },
	{ "sessions with one peer are limited, and cost tokens",
	  test_peer_and_rate },
	{ "a table full of dead sessions is not full", test_full_of_dead },
	{ "a limit of 0 refuses all", test_none },
	{ "a host's and a mapping's sessions are limited", test_quotas },
	{ "a protocol is one mapping of a host", test_mapping_quota },
	{ "a reload that leaves a protocol alone ends its sessions",
	  test_untranslated },
	{ "all goes on over another uplink address", test_uplink },
	{ "outsiders open nothing", test_outsiders },
	{ "GRE and PPTP never meet", test_kinds_apart },
	{ "either end may change keys, the old ones go on", test_rekey },
};

int main(int argc, char **argv)
{
	return suite_run("tagged", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
