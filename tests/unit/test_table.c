/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Mappings, sessions and hosts: records, indices, lists and counts stay in
 * step. nat_check() judges after every change.
 */
#include <stdio.h>

#include "engine.h"
#include "nat/internal.h"
#include "suite.h"

static void proved(const struct engine *engine)
{
	const char *broken = nat_check(engine->nat);

	CU_ASSERT_PTR_NULL(broken);
	if (broken)
		printf("%s\n", broken);
}

static struct nat_socket udp(uint32_t addr, uint16_t port)
{
	return nat_socket(NAT_PROTO_UDP, addr, port);
}

/* A mapping with `sessions` sessions towards PEER_1:1, 2, ... */
static uint32_t add(struct engine *engine, uint32_t addr, uint16_t port,
		    uint16_t outside, uint16_t sessions)
{
	struct nat *nat = engine->nat;
	uint32_t host = nat_host_get(nat, addr, engine->now);
	uint32_t mapping = nat_mapping_add(nat, udp(addr, port), outside,
					   NAT_KIND_DYNAMIC, host);

	for (uint16_t peer = 1; peer <= sessions; peer++)
		nat_session_add(nat, mapping, PEER_1, peer, NAT_TIMER_UDP,
				engine->now);
	proved(engine);
	return mapping;
}

/* A forward, which may live without sessions and be one of several. */
static uint32_t add_alias(struct engine *engine, uint16_t outside)
{
	struct nat *nat = engine->nat;
	uint32_t host = nat_host_get(nat, INSIDE_1, engine->now);
	uint32_t mapping = nat_mapping_add(nat, udp(INSIDE_1, 53), outside,
					   NAT_KIND_FORWARD, host);

	proved(engine);
	return mapping;
}

static void test_found(void)
{
	struct engine engine;
	uint32_t mapping;

	engine_make(&engine);
	mapping = add(&engine, INSIDE_1, 5000, 40000, 1);
	CU_ASSERT_EQUAL(nat_find_inside(engine.nat, udp(INSIDE_1, 5000)),
			mapping);
	CU_ASSERT_EQUAL(nat_find_outside(engine.nat, udp(UPLINK, 40000)),
			mapping);
	CU_ASSERT_EQUAL(nat_find_inside(engine.nat, udp(INSIDE_2, 5000)), 0);
	CU_ASSERT_EQUAL(nat_find_inside(engine.nat, udp(INSIDE_1, 40000)), 0);
	CU_ASSERT_EQUAL(nat_find_outside(engine.nat, udp(UPLINK, 5000)), 0);
	CU_ASSERT_EQUAL(nat_find_outside(engine.nat, nat_socket(NAT_PROTO_TCP,
								UPLINK, 40000)),
			0);
	engine_free(&engine);
}

static void test_ended(void)
{
	struct engine engine;
	uint32_t mapping;

	engine_make(&engine);
	mapping = add(&engine, INSIDE_1, 5000, 40000, 3);
	nat_mapping_end(engine.nat, mapping, engine.now, false);
	proved(&engine);
	CU_ASSERT_EQUAL(nat_find_inside(engine.nat, udp(INSIDE_1, 5000)), 0);
	CU_ASSERT_EQUAL(nat_find_outside(engine.nat, udp(UPLINK, 40000)), 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).ports[NAT_POOL_UDP].used, 0);
	CU_ASSERT_FALSE(
		nat_ports_taken(&engine.nat->ports[NAT_POOL_UDP], 40000));
	engine_free(&engine);
}

static void test_last_session(void)
{
	struct engine engine;
	uint32_t mapping, one, two;

	engine_make(&engine);
	mapping = add(&engine, INSIDE_1, 5000, 40000, 2);
	one = nat_find_session(engine.nat, mapping, PEER_1, 1, engine.now);
	two = nat_find_session(engine.nat, mapping, PEER_1, 2, engine.now);
	CU_ASSERT_TRUE(one && two && one != two);
	nat_session_end(engine.nat, one, engine.now);
	proved(&engine);
	CU_ASSERT_TRUE(nat_find_inside(engine.nat, udp(INSIDE_1, 5000)));
	nat_session_end(engine.nat, two, engine.now);
	proved(&engine);
	CU_ASSERT_FALSE(nat_find_inside(engine.nat, udp(INSIDE_1, 5000)));
	engine_free(&engine);
}

static void test_forward_outlives(void)
{
	struct engine engine;
	uint32_t mapping, session;

	engine_make(&engine);
	mapping = add_alias(&engine, 9000);
	session = nat_session_add(engine.nat, mapping, PEER_1, 1, NAT_TIMER_UDP,
				  engine.now);
	nat_session_end(engine.nat, session, engine.now);
	proved(&engine);
	CU_ASSERT_EQUAL(nat_find_outside(engine.nat, udp(UPLINK, 9000)),
			mapping);
	engine_free(&engine);
}

/* --- aliases ---------------------------------------------------------------- */

static void test_alias_order(void)
{
	struct engine engine;
	uint32_t a, b, c;

	engine_make(&engine);
	a = add_alias(&engine, 9000);
	b = add_alias(&engine, 9001);
	c = add_alias(&engine, 9002);
	CU_ASSERT_EQUAL(nat_find_inside(engine.nat, udp(INSIDE_1, 53)), a);
	/* In the middle, at the head, at last. */
	nat_mapping_end(engine.nat, b, engine.now, false);
	proved(&engine);
	CU_ASSERT_EQUAL(nat_find_inside(engine.nat, udp(INSIDE_1, 53)), a);
	nat_mapping_end(engine.nat, a, engine.now, false);
	proved(&engine);
	CU_ASSERT_EQUAL(nat_find_inside(engine.nat, udp(INSIDE_1, 53)), c);
	nat_mapping_end(engine.nat, c, engine.now, false);
	proved(&engine);
	CU_ASSERT_EQUAL(nat_find_inside(engine.nat, udp(INSIDE_1, 53)), 0);
	engine_free(&engine);
}

static void test_alias_session(void)
{
	struct engine engine;
	uint32_t a, b, found, session;

	engine_make(&engine);
	a = add_alias(&engine, 9000);
	b = add_alias(&engine, 9001);
	session = nat_session_add(engine.nat, b, PEER_1, 7, NAT_TIMER_UDP,
				  engine.now);
	found = a;
	CU_ASSERT_EQUAL(nat_find_session_alias(engine.nat, &found, PEER_1, 7,
					       engine.now),
			session);
	CU_ASSERT_EQUAL(found, b);
	found = a;
	CU_ASSERT_EQUAL(nat_find_session_alias(engine.nat, &found, PEER_2, 7,
					       engine.now),
			0);
	CU_ASSERT_EQUAL(found, a);
	found = 0;
	CU_ASSERT_EQUAL(nat_find_session_alias(engine.nat, &found, PEER_1, 7,
					       engine.now),
			0);
	engine_free(&engine);
}

static void test_alias_expires(void)
{
	struct engine engine;
	uint32_t dynamic, forward, found;

	/* The look-up itself ends the dynamic mapping at the head. */
	engine_make(&engine);
	dynamic = add(&engine, INSIDE_1, 53, 40000, 1);
	forward = add_alias(&engine, 9000);
	found = dynamic;
	engine.now += 300 * SECOND;
	CU_ASSERT_EQUAL(nat_find_session_alias(engine.nat, &found, PEER_1, 1,
					       engine.now),
			0);
	CU_ASSERT_EQUAL(found, forward);
	proved(&engine);
	engine_free(&engine);
}

static void test_move(void)
{
	struct engine engine;
	uint32_t mapping;

	engine_make(&engine);
	mapping = add_alias(&engine, 9000);
	nat_session_add(engine.nat, mapping, PEER_1, 7, NAT_TIMER_UDP,
			engine.now);
	nat_mapping_move(engine.nat, mapping, 9001);
	proved(&engine);
	CU_ASSERT_EQUAL(nat_find_outside(engine.nat, udp(UPLINK, 9000)), 0);
	CU_ASSERT_EQUAL(nat_find_outside(engine.nat, udp(UPLINK, 9001)),
			mapping);
	CU_ASSERT_EQUAL(nat_find_outside(engine.nat, udp(PEER_3, 9001)), 0);
	CU_ASSERT_FALSE(
		nat_ports_taken(&engine.nat->ports[NAT_POOL_UDP], 9000));
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 1);
	engine_free(&engine);
}

/* --- sessions --------------------------------------------------------------- */

static void test_contacted(void)
{
	struct engine engine;
	uint32_t mapping, session;

	engine_make(&engine);
	mapping = add(&engine, INSIDE_1, 5000, 40000, 5);
	/* None of them has been used from inside. */
	CU_ASSERT_FALSE(nat_contacted(engine.nat, mapping, PEER_1, engine.now));
	session = nat_find_session(engine.nat, mapping, PEER_1, 3, engine.now);
	engine.nat->sessions[session].flags |= NAT_SESSION_OUT;
	CU_ASSERT_TRUE(nat_contacted(engine.nat, mapping, PEER_1, engine.now));
	CU_ASSERT_FALSE(nat_contacted(engine.nat, mapping, PEER_2, engine.now));
	CU_ASSERT_TRUE(nat_contacted(engine.nat, mapping, PEER_1,
				     engine.now + 300 * SECOND - 1));
	CU_ASSERT_FALSE(nat_contacted(engine.nat, mapping, PEER_1,
				      engine.now + 300 * SECOND));
	engine_free(&engine);
}

static void test_session_tuple(void)
{
	struct engine engine;
	uint32_t one, two;

	engine_make(&engine);
	one = add(&engine, INSIDE_1, 5000, 40000, 1);
	two = add(&engine, INSIDE_2, 5000, 40001, 1);
	CU_ASSERT_NOT_EQUAL(
		nat_find_session(engine.nat, one, PEER_1, 1, engine.now),
		nat_find_session(engine.nat, two, PEER_1, 1, engine.now));
	CU_ASSERT_EQUAL(
		nat_find_session(engine.nat, one, PEER_1, 2, engine.now), 0);
	CU_ASSERT_EQUAL(
		nat_find_session(engine.nat, one, PEER_2, 1, engine.now), 0);
	engine_free(&engine);
}

static void test_refresh_order(void)
{
	struct engine engine;
	uint32_t mapping, slot[4];

	engine_make(&engine);
	mapping = add(&engine, INSIDE_1, 5000, 40000, 3);
	for (uint16_t i = 1; i <= 3; i++)
		slot[i] = nat_find_session(engine.nat, mapping, PEER_1, i,
					   engine.now);
	nat_session_refresh(engine.nat, slot[1], NAT_TIMER_UDP, engine.now + 5);
	proved(&engine);
	/* One that is dated back takes its place in the middle. */
	nat_session_refresh(engine.nat, slot[2], NAT_TIMER_UDP, engine.now + 3);
	proved(&engine);
	CU_ASSERT_EQUAL(engine.nat->timers[NAT_TIMER_UDP].head, slot[3]);
	CU_ASSERT_EQUAL(engine.nat->timers[NAT_TIMER_UDP].tail, slot[1]);
	/* Another class. */
	nat_session_refresh(engine.nat, slot[3], NAT_TIMER_OTHER, engine.now);
	proved(&engine);
	CU_ASSERT_EQUAL(engine.nat->timers[NAT_TIMER_UDP].head, slot[2]);
	CU_ASSERT_EQUAL(engine.nat->timers[NAT_TIMER_OTHER].head, slot[3]);
	engine_free(&engine);
}

/* --- hosts and slots ---------------------------------------------------------- */

static void test_hosts(void)
{
	struct engine engine;
	uint32_t host;

	engine_make(&engine);
	host = nat_host_get(engine.nat, INSIDE_1, engine.now);
	CU_ASSERT_TRUE(host);
	CU_ASSERT_EQUAL(nat_host_get(engine.nat, INSIDE_1, engine.now), host);
	CU_ASSERT_EQUAL(nat_find_host(engine.nat, INSIDE_1), host);
	CU_ASSERT_EQUAL(nat_find_host(engine.nat, INSIDE_2), 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).hosts, 1);
	proved(&engine);
	engine_free(&engine);
}

static void test_idle_hosts(void)
{
	struct engine engine;

	/* Seven hosts in use, one idle: its place is the only one to give. */
	engine_make(&engine);
	for (uint32_t i = 0; i < 7; i++)
		add(&engine, INSIDE_1 + i, 5000, (uint16_t)(40000 + i), 1);
	CU_ASSERT_TRUE(nat_host_get(engine.nat, 1, engine.now));
	CU_ASSERT_TRUE(nat_host_get(engine.nat, 2, engine.now));
	CU_ASSERT_EQUAL(nat_find_host(engine.nat, 1), 0);
	proved(&engine);
	add(&engine, 2, 5000, 40007, 1);
	CU_ASSERT_EQUAL(nat_host_get(engine.nat, 3, engine.now), 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).hosts, 8);
	engine_free(&engine);
}

static void test_slots_return(void)
{
	struct engine engine;

	/* Many more than there are slots, one after another and all at once. */
	engine_make(&engine);
	for (uint16_t i = 0; i < 500; i++)
		nat_mapping_end(engine.nat,
				add(&engine, INSIDE_1, i, 40000, i % 5 + 1),
				engine.now, false);
	for (uint16_t i = 0; i < 64; i++)
		add(&engine, INSIDE_1, i, (uint16_t)(40000 + i), 2);
	CU_ASSERT_FALSE(nat_slots_left(&engine.nat->mapping_slots));
	CU_ASSERT_FALSE(nat_slots_left(&engine.nat->session_slots));
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 64);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 128);
	engine.now += 300 * SECOND;
	CU_ASSERT_EQUAL(nat_expire(engine.nat, engine.now, 1000), 128);
	proved(&engine);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 0);
	engine_free(&engine);
}

static const struct test tests[] = {
	{ "a mapping is found by either socket", test_found },
	{ "an ended mapping takes its sessions and port along", test_ended },
	{ "a dynamic mapping dies with its last session", test_last_session },
	{ "a forward outlives its sessions", test_forward_outlives },
	{ "of several mappings of a socket the first is found",
	  test_alias_order },
	{ "a session is found through every alias", test_alias_session },
	{ "an alias survives the end of the first", test_alias_expires },
	{ "a moved forward is found at its new address only", test_move },
	{ "contacted means used from inside and alive", test_contacted },
	{ "a session is known by mapping, address and port",
	  test_session_tuple },
	{ "refreshing keeps each timer list in order", test_refresh_order },
	{ "a host is made once", test_hosts },
	{ "only an idle host gives up its place", test_idle_hosts },
	{ "slots come back and fill to the last", test_slots_return },
};

int main(int argc, char **argv)
{
	return suite_run("table", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
