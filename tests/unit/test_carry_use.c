/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the use of a session does that somebody else carries: it counts, and the
 * session lives by it.
 */
#include "carry_lab.h"
#include "suite.h"

static void test_use_is_accounted(void)
{
	struct nat_mapping_view mapping;
	struct nat_session_view before, after;
	struct nat_host_view host;
	uint32_t cursor = 0;

	connect_tcp(AFTER);
	before = session(&lab);
	lab.engine.now += 50 * SECOND;
	CU_ASSERT_FALSE(nat_carried_used(lab.engine.nat, carrier.last.session,
					 lab.engine.now));
	CU_ASSERT_EQUAL(session(&lab).idle_ms, 50 * SECOND);
	carrier.use = (struct nat_counters){ 10, 1000, 20, 30000 };
	CU_ASSERT_TRUE(nat_carried_used(lab.engine.nat, carrier.last.session,
					lab.engine.now));
	after = session(&lab);
	CU_ASSERT_EQUAL(after.idle_ms, 0);
	CU_ASSERT_EQUAL(after.expires_ms, ESTABLISHED);
	CU_ASSERT_EQUAL(after.counters.out_packets,
			before.counters.out_packets + 10);
	CU_ASSERT_EQUAL(after.counters.in_bytes,
			before.counters.in_bytes + 30000);
	CU_ASSERT_TRUE(engine_mapping(&lab.engine, 5000, &mapping));
	CU_ASSERT_EQUAL(mapping.counters.out_bytes, after.counters.out_bytes);
	CU_ASSERT_EQUAL(mapping.idle_ms, lab.engine.now % 1000);
	CU_ASSERT_TRUE(nat_next_host(lab.engine.nat, &cursor, &host));
	CU_ASSERT_EQUAL(host.counters.in_packets, after.counters.in_packets);
	CU_ASSERT_EQUAL(engine_stats(&lab.engine).inbound_bytes,
			after.counters.in_bytes);
	CU_ASSERT_PTR_NULL(nat_check(lab.engine.nat));
	engine_free(&lab.engine);
}

/* RFC 4787 REQ-6, REQ-6a: as by packets that the engine sees. */
static void test_req6_inbound_refresh(void)
{
	for (int wanted = 0; wanted < 2; wanted++) {
		udp_open(AFTER, AFTER);
		udp.config.inbound_refresh = wanted;
		engine_configure(&udp);
		CU_ASSERT_FALSE(udp_session().carried);
		for (uint32_t i = 0; i < AFTER; i++)
			engine_answer(&udp, NAT_PROTO_UDP, PEER_1, 7000, 5000);
		CU_ASSERT_TRUE(udp_session().carried);
		udp.now += 10 * SECOND;
		carrier.use = (struct nat_counters){ .in_packets = 1,
						     .in_bytes = 28 };
		CU_ASSERT_TRUE(nat_carried_used(udp.nat, carrier.last.session,
						udp.now));
		CU_ASSERT_EQUAL(udp_session().idle_ms,
				wanted ? 0 : 10 * SECOND);
		carrier.use = (struct nat_counters){ .out_packets = 1,
						     .out_bytes = 28 };
		CU_ASSERT_TRUE(nat_carried_used(udp.nat, carrier.last.session,
						udp.now));
		CU_ASSERT_EQUAL(udp_session().idle_ms, 0);
		engine_free(&udp);
	}
}

/* TCP knows no such difference, nor do packets that the engine sees. */
static void test_tcp_lives_by_both_ways(void)
{
	connect_tcp(AFTER);
	lab.engine.config.inbound_refresh = false;
	engine_configure(&lab.engine);
	for (uint32_t i = 0; i < AFTER; i++)
		flags(&lab, SERVER, ACK);
	CU_ASSERT_TRUE(session(&lab).carried);
	lab.engine.now += 50 * SECOND;
	carrier.use.in_packets = 1;
	CU_ASSERT_TRUE(nat_carried_used(lab.engine.nat, carrier.last.session,
					lab.engine.now));
	CU_ASSERT_EQUAL(session(&lab).idle_ms, 0);
	lab.engine.now += 50 * SECOND;
	flags(&lab, SERVER, ACK);
	CU_ASSERT_TRUE(session(&lab).carried);
	CU_ASSERT_EQUAL(session(&lab).idle_ms, 0);
	engine_free(&lab.engine);
}

/* A forward outlives its sessions and remembers when it was used. */
static void test_forward_was_used(void)
{
	struct nat_mapping_view view;

	lab_make(&lab, false);
	with_carrier(&lab.engine, &carrier);
	reach(&lab, NAT_STATE_ESTABLISHED);
	for (uint32_t i = 0; i < AFTER; i++)
		flags(&lab, SERVER, ACK);
	lab.engine.now += 50 * SECOND;
	carrier.use.out_packets = 1;
	CU_ASSERT_TRUE(nat_carried_used(lab.engine.nat, carrier.last.session,
					lab.engine.now));
	nat_flush_host(lab.engine.nat, INSIDE_1, lab.engine.now);
	CU_ASSERT_TRUE(engine_mapping(&lab.engine, 8080, &view));
	CU_ASSERT_EQUAL(view.idle_ms, lab.engine.now % 1000);
	engine_free(&lab.engine);
}

/* It is not over because the engine has not been told of its use yet. */
static void test_carrier_is_asked_before_the_end(void)
{
	udp_open(AFTER, AFTER);
	udp.now += 300 * SECOND - 1;
	nat_expire(udp.nat, udp.now, 1000);
	CU_ASSERT_EQUAL(carrier.asked, 0);
	udp.now++;
	carrier.use.out_packets = 1;
	nat_expire(udp.nat, udp.now, 1000);
	CU_ASSERT_EQUAL(carrier.asked, 1);
	CU_ASSERT_EQUAL(udp_session().expires_ms, 300 * SECOND);
	CU_ASSERT_TRUE(udp_session().carried);
	udp.now += 300 * SECOND;
	nat_expire(udp.nat, udp.now, 1000);
	CU_ASSERT_EQUAL(engine_stats(&udp).sessions, 0);
	CU_ASSERT_EQUAL(carrier.given_back, 1);
	engine_free(&udp);
}

/* Nor because the last of it became known when it was taken back. */
static void test_use_told_at_last_counts(void)
{
	udp_open(AFTER, AFTER);
	udp.now += 299 * SECOND;
	carrier.use.out_packets = 1;
	engine_configure(&udp);
	CU_ASSERT_EQUAL(carrier.given_back, 1);
	CU_ASSERT_EQUAL(udp_session().idle_ms, 0);
	CU_ASSERT_EQUAL(udp_session().counters.out_packets, AFTER + 1);
	engine_free(&udp);
}

static void test_all_are_taken_back_though_they_were_used(void)
{
	udp_open(AFTER, AFTER);
	for (uint32_t i = 0; i < 2 * AFTER; i++) {
		engine_udp(&udp, NAT_PATH_OUTBOUND,
			   flow_of(INSIDE_1, 5000, PEER_2, 7000));
		engine_answer(&udp, NAT_PROTO_UDP, PEER_2, 7000, 5000);
	}
	CU_ASSERT_EQUAL(engine_stats(&udp).carried, 2);
	udp.now += SECOND;
	carrier.use.out_packets = 1;
	nat_set_carrier(udp.nat, NULL);
	CU_ASSERT_EQUAL(carrier.given_back, 2);
	CU_ASSERT_EQUAL(engine_stats(&udp).carried, 0);
	CU_ASSERT_PTR_NULL(nat_check(udp.nat));
	engine_free(&udp);
}

/* A packet passes between the last question and the end. */
static void test_used_at_the_last_moment(void)
{
	udp_open(AFTER, AFTER);
	udp.now += 300 * SECOND;
	carrier.late.in_packets = 1;
	nat_expire(udp.nat, udp.now, 1000);
	CU_ASSERT_EQUAL(carrier.given_back, 1);
	CU_ASSERT_EQUAL(udp_session().expires_ms, 300 * SECOND);
	CU_ASSERT_FALSE(udp_session().carried);
	engine_free(&udp);

	connect_tcp(AFTER);
	carrier.late.in_packets = 1;
	later(&lab, ESTABLISHED - CLOSING);
	CU_ASSERT_EQUAL(carrier.given_back, 1);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	CU_ASSERT_EQUAL(session(&lab).expires_ms, ESTABLISHED);
	engine_free(&lab.engine);
}

static void test_idle_tcp_is_taken_back(void)
{
	connect_tcp(AFTER);
	later(&lab, ESTABLISHED - CLOSING);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_TRANS);
	CU_ASSERT_EQUAL(carrier.given_back, 1);
	CU_ASSERT_FALSE(session(&lab).carried);
	CU_ASSERT_PTR_NULL(nat_check(lab.engine.nat));
	engine_free(&lab.engine);
}

/* More sessions are due than are swept before a packet: the filter asks, too. */
static void test_filter_asks_the_carrier(void)
{
	engine_make(&udp);
	udp.config.filtering[NAT_POOL_UDP] = NAT_FILTER_ADDRESS_DEPENDENT;
	with_carrier(&udp, &carrier);
	for (uint16_t port = 5000; port < 5040; port++)
		for (uint32_t i = 0; i < AFTER; i++) {
			engine_open(&udp, NAT_PROTO_UDP,
				    flow_of(INSIDE_1, port, PEER_1, 7000));
			engine_answer(&udp, NAT_PROTO_UDP, PEER_1, 7000, port);
		}
	CU_ASSERT_EQUAL(engine_stats(&udp).carried, 40);
	udp.now += 300 * SECOND;
	carrier.every = 1;
	ASSERT_TRANSLATED(
		engine_answer(&udp, NAT_PROTO_UDP, PEER_1, 7001, 5039));
	CU_ASSERT_EQUAL(engine_stats(&udp).sessions, 40);
	engine_free(&udp);
}

static void test_use_of_what_is_not_carried(void)
{
	udp_open(1, 0);
	for (uint32_t slot = 0; slot <= SESSIONS + 1; slot++)
		CU_ASSERT_FALSE(nat_carried_used(udp.nat, slot, udp.now));
	CU_ASSERT_FALSE(nat_carried_used(udp.nat, UINT32_MAX, udp.now));
	CU_ASSERT_EQUAL(carrier.asked, 0);
	engine_free(&udp);
}

static const struct test tests[] = {
	{ "use counts for session, mapping, host and in all",
	  test_use_is_accounted },
	{ "REQ-6: inbound use refreshes if the operator wants it",
	  test_req6_inbound_refresh },
	{ "TCP lives by packets of both ways", test_tcp_lives_by_both_ways },
	{ "a forward remembers when it was used", test_forward_was_used },
	{ "the carrier is asked before a session ends",
	  test_carrier_is_asked_before_the_end },
	{ "use that is told when a session is taken back counts",
	  test_use_told_at_last_counts },
	{ "all are taken back though they were used",
	  test_all_are_taken_back_though_they_were_used },
	{ "used at the last moment, a session goes on",
	  test_used_at_the_last_moment },
	{ "an idle connection is taken back into TRANS",
	  test_idle_tcp_is_taken_back },
	{ "the filter asks the carrier", test_filter_asks_the_carrier },
	{ "use of what is not carried is none",
	  test_use_of_what_is_not_carried },
};

int main(int argc, char **argv)
{
	return suite_run("carry use", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
