/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Damaged records: what does not check is dropped and counted,
 * its port rests, and nothing is ever translated otherwise than before. Every
 * single bit is turned over in test_restore_bits.c.
 */
#include <string.h>

#include "engine.h"
#include "nat/internal.h"
#include "restore_lab.h"
#include "suite.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- one record ----------------------------------------------------------------- */

static uint32_t mapping_at(const struct engine *engine, uint16_t port)
{
	return nat_find_outside(engine->nat,
				nat_socket(NAT_PROTO_UDP, UPLINK, port));
}

static uint32_t session_at(const struct engine *engine, uint16_t port)
{
	return engine->nat->mappings[mapping_at(engine, port)].first;
}

/* Nobody gets the port for 120 s, but all else goes on. */
static void assert_lost(struct engine *engine, uint16_t port)
{
	struct nat_mapping_view view;

	CU_ASSERT_FALSE(engine_mapping(engine, port, &view));
	CU_ASSERT_TRUE(nat_held(engine->nat, NAT_POOL_UDP, port));
	CU_ASSERT_FALSE(reaches(engine, NAT_PROTO_UDP, port));
	CU_ASSERT_TRUE(reaches(engine, NAT_PROTO_UDP, 5001));
	ASSERT_FLOW(engine, PEER_1, 7000, INSIDE_2, 5001);
	engine->now += 120 * SECOND - 1;
	CU_ASSERT_NOT_EQUAL(open_from(engine, NAT_PROTO_UDP, INSIDE_3, port),
			    port);
	engine->now += 1;
	CU_ASSERT_EQUAL(open_from(engine, NAT_PROTO_UDP, INSIDE_2, port), port);
}

struct change {
	size_t offset;
	uint8_t value;
	enum nat_loss loss;
};

#define M(member) offsetof(struct nat_mapping, member)
static const struct change mapping_changes[] = {
	{ M(inside.addr), 1, NAT_LOSS_DAMAGED },
	{ M(inside.port), 1, NAT_LOSS_DAMAGED },
	{ M(inside.proto), 1, NAT_LOSS_DAMAGED },
	{ M(inside.zero), 1, NAT_LOSS_DAMAGED },
	{ M(port), 1, NAT_LOSS_DAMAGED },
	{ M(created_s), 1, NAT_LOSS_DAMAGED },
	{ M(kind), 1, NAT_LOSS_DAMAGED },
	{ M(live), 0, NAT_LOSS_DAMAGED },
	{ M(live), 2, NAT_LOSS_DAMAGED },
	{ M(check), 7, NAT_LOSS_DAMAGED },
	{ M(used_s) + 3, 1, NAT_LOSS_RANGE },
};
#undef M

static void test_mapping_changed(void)
{
	for (size_t i = 0; i < COUNT(mapping_changes); i++) {
		const struct change *change = &mapping_changes[i];
		struct nat_restored restored;
		struct engine engine;
		uint8_t *record;

		engine_make(&engine);
		for (uint16_t j = 0; j < 3; j++)
			open_from(&engine, NAT_PROTO_UDP, INSIDE_1 + j,
				  5000 + j);
		record = (uint8_t *)&engine.nat
				 ->mappings[mapping_at(&engine, 5000)];
		record[change->offset] = change->value;
		restored = restart(&engine);
		CU_ASSERT_EQUAL(restored.mappings, 2);
		CU_ASSERT_EQUAL(restored.sessions, 2);
		/* The record itself and the session that was its. */
		CU_ASSERT_EQUAL(restored.lost[change->loss], 1);
		CU_ASSERT_EQUAL(restored.lost[NAT_LOSS_ORPHAN], 1);
		CU_ASSERT_EQUAL(losses(&restored), 2);
		assert_lost(&engine, 5000);
		engine_free(&engine);
	}
}

#define S(member) offsetof(struct nat_session, member)
static const struct change session_changes[] = {
	{ S(key.mapping), 9, NAT_LOSS_DAMAGED },
	{ S(key.peer_addr), 9, NAT_LOSS_DAMAGED },
	{ S(key.peer_port), 9, NAT_LOSS_DAMAGED },
	{ S(key.part), 9, NAT_LOSS_DAMAGED },
	{ S(created_s), 9, NAT_LOSS_DAMAGED },
	{ S(check), 9, NAT_LOSS_DAMAGED },
	{ S(live), 0, NAT_LOSS_DAMAGED },
	{ S(live), 9, NAT_LOSS_DAMAGED },
	{ S(state), NAT_STATES, NAT_LOSS_RANGE },
	{ S(timer), NAT_TIMERS, NAT_LOSS_RANGE },
	{ S(timer), NAT_TIMER_ICMP, NAT_LOSS_RANGE },
	{ S(flags), 64, NAT_LOSS_RANGE },
	{ S(used_ms) + 7, 1, NAT_LOSS_RANGE },
};
#undef S

static void test_session_changed(void)
{
	for (size_t i = 0; i < COUNT(session_changes); i++) {
		const struct change *change = &session_changes[i];
		struct nat_restored restored;
		struct engine engine;
		uint8_t *record;

		engine_make(&engine);
		for (uint16_t j = 0; j < 3; j++)
			open_from(&engine, NAT_PROTO_UDP, INSIDE_1 + j,
				  5000 + j);
		record = (uint8_t *)&engine.nat
				 ->sessions[session_at(&engine, 5000)];
		record[change->offset] = change->value;
		restored = restart(&engine);
		CU_ASSERT_EQUAL(restored.mappings, 2);
		CU_ASSERT_EQUAL(restored.lost[change->loss], 1);
		/* A mapping dies with its last session. */
		CU_ASSERT_EQUAL(restored.lost[NAT_LOSS_ORPHAN], 1);
		CU_ASSERT_EQUAL(losses(&restored), 2);
		assert_lost(&engine, 5000);
		engine_free(&engine);
	}
}

/* The slot that nobody uses is not believed either. */
static void test_slot_of_nobody(void)
{
	struct engine engine;

	engine_make(&engine);
	open_from(&engine, NAT_PROTO_UDP, INSIDE_1, 5000);
	engine.nat->mappings[0] = engine.nat->mappings[1];
	engine.nat->sessions[0] = engine.nat->sessions[1];
	restart(&engine);
	CU_ASSERT_TRUE(reaches(&engine, NAT_PROTO_UDP, 5000));
	engine_free(&engine);
}

/* Used before it was made, or later than now. */
static void test_times(void)
{
	for (int i = 0; i < 4; i++) {
		struct nat_restored restored;
		struct engine engine;
		uint64_t *used_ms;
		uint32_t *used_s;

		engine_make(&engine);
		open_from(&engine, NAT_PROTO_UDP, INSIDE_1, 5000);
		open_from(&engine, NAT_PROTO_UDP, INSIDE_2, 5001);
		engine.now += 5 * SECOND;
		used_s = &engine.nat->mappings[1].used_s;
		used_ms = &engine.nat->sessions[1].used_ms;
		if (i < 2)
			*used_s += i % 2 ? 6 : (uint32_t)-1;
		else
			*used_ms = i % 2 ? engine.now + 1 :
					   engine.now - 6 * SECOND;
		restored = restart(&engine);
		CU_ASSERT_EQUAL(restored.lost[NAT_LOSS_RANGE], 1);
		assert_lost(&engine, 5000);
		engine_free(&engine);
	}
}

/* Of several sessions one is lost: the mapping goes on. */
static void test_one_of_several(void)
{
	struct nat_restored restored;
	struct engine engine;
	uint32_t slot;

	engine_make(&engine);
	open_from(&engine, NAT_PROTO_UDP, INSIDE_1, 5000);
	engine_open(&engine, NAT_PROTO_UDP,
		    flow_of(INSIDE_1, 5000, PEER_2, 7000));
	slot = session_at(&engine, 5000);
	engine.nat->sessions[slot].key.peer_port++;
	restored = restart(&engine);
	CU_ASSERT_EQUAL(losses(&restored), 1);
	CU_ASSERT_EQUAL(restored.mappings, 1);
	CU_ASSERT_EQUAL(restored.sessions, 1);
	CU_ASSERT_TRUE(reaches(&engine, NAT_PROTO_UDP, 5000));
	engine_free(&engine);
}

/* --- two of a kind --------------------------------------------------------------- */

/* Cannot be, says every check word: the first one stays. */
static void test_duplicates(void)
{
	struct nat_mapping_view view;
	struct nat_restored restored;
	struct engine engine;
	struct nat *nat;

	engine_make(&engine);
	open_from(&engine, NAT_PROTO_UDP, INSIDE_1, 5000);
	open_from(&engine, NAT_PROTO_UDP, INSIDE_2, 5001);
	open_from(&engine, NAT_PROTO_UDP, INSIDE_3, 5002);
	nat = engine.nat;
	nat->mappings[2].port = 5000;
	nat->mappings[2].check = nat_seal_mapping(nat, 2);
	nat->sessions[4] = nat->sessions[3];
	nat->sessions[4].check = nat_seal_session(nat, 4);
	nat->hosts[4] = nat->hosts[3];
	nat->hosts[4].check = nat_seal_host(nat, 4);
	restored = restart(&engine);
	CU_ASSERT_EQUAL(restored.lost[NAT_LOSS_DUPLICATE], 3);
	CU_ASSERT_EQUAL(restored.lost[NAT_LOSS_ORPHAN], 1);
	CU_ASSERT_EQUAL(restored.mappings, 2);
	CU_ASSERT_EQUAL(restored.sessions, 2);
	CU_ASSERT_TRUE(engine_mapping(&engine, 5000, &view));
	CU_ASSERT_EQUAL(view.inside_addr, INSIDE_1);
	engine_free(&engine);
}

/* UDP-Lite takes its ports from UDP's pool. */
static void test_duplicate_of_the_pool(void)
{
	struct nat_restored restored;
	struct engine engine;
	struct nat *nat;

	engine_make(&engine);
	open_from(&engine, NAT_PROTO_UDP, INSIDE_1, 5000);
	open_from(&engine, NAT_PROTO_UDP, INSIDE_2, 5001);
	nat = engine.nat;
	nat->mappings[2].inside.proto = NAT_PROTO_UDPLITE;
	nat->mappings[2].port = 5000;
	nat->mappings[2].check = nat_seal_mapping(nat, 2);
	restored = restart(&engine);
	CU_ASSERT_EQUAL(restored.lost[NAT_LOSS_DUPLICATE], 1);
	CU_ASSERT_EQUAL(restored.mappings, 1);
	engine_free(&engine);
}

/* --- held ports -------------------------------------------------------------------- */

static void test_held_changed(void)
{
	struct nat_restored restored;
	struct engine engine;
	struct nat *nat;

	engine_make(&engine);
	for (uint16_t i = 0; i < 5; i++) {
		open_from(&engine, NAT_PROTO_UDP, INSIDE_1, 5000 + i);
		engine.now += SECOND;
	}
	engine.now += 300 * SECOND;
	for (uint16_t i = 0; i < 5; i++)
		nat_expire(engine.nat, engine.now - 5 * SECOND + i * SECOND,
			   10);
	nat = engine.nat;
	CU_ASSERT_EQUAL(nat->held[1].port, 5001);
	nat->held[1].since_ms = UINT64_MAX;
	nat->held[2].port = 5000;
	nat->held[3].pool = NAT_POOLS;
	nat->header->held_first = 4000000000U;
	nat->header->held_count = 77;
	restored = restart(&engine);
	CU_ASSERT_EQUAL(restored.lost[NAT_LOSS_DAMAGED], 3);
	CU_ASSERT_EQUAL(restored.lost[NAT_LOSS_DUPLICATE], 1);
	CU_ASSERT_EQUAL(restored.held, 3);
	/* A port that can be read rests on rather than not. */
	CU_ASSERT_TRUE(nat_held(engine.nat, NAT_POOL_UDP, 5000));
	CU_ASSERT_TRUE(nat_held(engine.nat, NAT_POOL_UDP, 5001));
	CU_ASSERT_TRUE(nat_held(engine.nat, NAT_POOL_UDP, 5004));
	engine.now += 120 * SECOND;
	nat_expire(engine.nat, engine.now, 10);
	CU_ASSERT_EQUAL(engine_stats(&engine).ports[0].held, 0);
	engine_free(&engine);
}

static void test_a_port_used_and_held(void)
{
	struct nat_restored restored;
	struct engine engine;

	engine_make(&engine);
	open_from(&engine, NAT_PROTO_UDP, INSIDE_1, 5000);
	nat_hold(engine.nat, NAT_POOL_UDP, 5000, engine.now);
	restored = restart(&engine);
	CU_ASSERT_EQUAL(restored.lost[NAT_LOSS_DUPLICATE], 1);
	CU_ASSERT_EQUAL(restored.mappings, 1);
	CU_ASSERT_TRUE(reaches(&engine, NAT_PROTO_UDP, 5000));
	engine_free(&engine);
}

static const struct test tests[] = {
	{ "the slot of nobody is not believed", test_slot_of_nobody },
	{ "a mapping that was changed is lost, its port rests",
	  test_mapping_changed },
	{ "a session that was changed is lost", test_session_changed },
	{ "times that cannot be are a loss", test_times },
	{ "of several sessions the others go on", test_one_of_several },
	{ "of two records for one thing the first stays", test_duplicates },
	{ "protocols of one pool do not share a port",
	  test_duplicate_of_the_pool },
	{ "held ports that were changed rest rather than not",
	  test_held_changed },
	{ "a port that is used is not held", test_a_port_used_and_held },
};

int main(int argc, char **argv)
{
	return suite_run("restore_damage", tests, COUNT(tests), argc, argv);
}
