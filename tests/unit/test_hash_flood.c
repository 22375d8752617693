/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Hash flooding: tuples that an attacker has chosen, so that they all fall into
 * one bucket of a table whose key it knows, are spread like any others in ours,
 * whose key is drawn at each start. Measured in steps of the worst look-up.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "chain_lab.h"
#include "engine.h"
#include "nat/hash.h"
#include "suite.h"

#define CHOSEN 1024U
#define BUCKETS 1024U
#define TRIES (64U * CHOSEN * BUCKETS)
#define DRAWN 16U /* keys */
/* 1024 of them fall at random with 10 and more in one bucket once in 10,000
 * keys; by choice, with all. */
#define STEPS_MAX 16U

/* Each: the hash of the nth tuple that an outsider or a host can make up. */

static uint32_t hash_inside(const struct nat *nat, uint32_t n)
{
	return nat_hash_socket(nat,
			       nat_socket(NAT_PROTO_UDP, 0x0a000001 + (n >> 16),
					  (uint16_t)n));
}

static uint32_t hash_host(const struct nat *nat, uint32_t n)
{
	return nat_hash_host(nat, 0x0a000001 + n);
}

static uint32_t hash_session(const struct nat *nat, uint32_t n)
{
	return nat_hash_session(nat, 7, 0x08000000 + n);
}

static uint32_t hash_peer(const struct nat *nat, uint32_t n)
{
	struct nat_peer_key key = { .peer_addr = 0x08000000 + (n >> 16),
				    .peer_port = (uint16_t)n,
				    .port = 9899 };

	return nat_hash_peer(nat, &key);
}

static const struct {
	const char *name;
	uint32_t (*hash)(const struct nat *, uint32_t);
} kinds[] = {
	{ "inside sockets", hash_inside },
	{ "hosts", hash_host },
	{ "sessions", hash_session },
	{ "peers of tagged sessions", hash_peer },
};

static void set_key(struct nat *nat, uint64_t number)
{
	nat->hash_key = (struct nat_siphash_key){ number, ~number };
}

/* Tuples that fall into bucket 0 under the known key. */
static uint32_t choose(const struct nat *known,
		       uint32_t (*hash)(const struct nat *, uint32_t),
		       uint32_t chosen[CHOSEN])
{
	uint32_t count = 0;

	for (uint32_t n = 0; n < TRIES && count < CHOSEN; n++)
		if (hash(known, n) % BUCKETS == 0)
			chosen[count++] = n;
	return count;
}

/* How many steps the worst look-up takes. */
static uint32_t index_longest(const struct nat_index *index)
{
	const UT_hash_handle *head = (const void *)index->head;
	uint32_t longest = 0;

	for (uint32_t i = 0; i < head->tbl->num_buckets; i++)
		if (head->tbl->buckets[i].count > longest)
			longest = head->tbl->buckets[i].count;
	return longest;
}

static uint32_t longest(const struct nat *nat,
			uint32_t (*hash)(const struct nat *, uint32_t),
			const uint32_t chosen[CHOSEN])
{
	struct nat_index index;
	size_t bytes = nat_index_size(CHOSEN);
	void *memory = NULL;
	uint32_t steps;

	if (posix_memalign(&memory, 64, bytes))
		abort();
	memset(memory, 0, bytes);
	nat_index_init(&index, CHOSEN, sizeof(chosen[0]), memory);
	for (uint32_t i = 0; i < CHOSEN; i++)
		nat_index_add(&index, i + 1, hash(nat, chosen[i]), &chosen[i]);
	steps = index_longest(&index);
	free(memory);
	return steps;
}

static void test_chosen(void)
{
	static struct nat known, drawn;
	uint32_t chosen[CHOSEN], steps;

	set_key(&known, 0);
	for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
		uint32_t (*hash)(const struct nat *, uint32_t) =
			kinds[kind].hash;

		CU_ASSERT_EQUAL_FATAL(choose(&known, hash, chosen), CHOSEN);
		/* One more: the index's own sentinel. */
		CU_ASSERT_TRUE(longest(&known, hash, chosen) >= CHOSEN);
		for (uint64_t key = 1; key <= DRAWN; key++) {
			set_key(&drawn, key * 0x9e3779b97f4a7c15U);
			steps = longest(&drawn, hash, chosen);
			CU_ASSERT_TRUE(steps <= STEPS_MAX);
			if (steps > STEPS_MAX)
				printf("%s: %u steps\n", kinds[kind].name,
				       steps);
		}
	}
}

/* --- through the engine -------------------------------------------------- */

#define MAPPINGS 512U

static const struct nat_limits limits = {
	.mappings = MAPPINGS,
	.sessions = MAPPINGS,
	.hosts = 8,
	.held_ports = 64,
	.fragments = 4,
	.fragment_bytes = 4096,
	.tagged = 4,
};

/* Inside ports of one host that share a bucket under the engine's first key. */
static uint32_t open_colliding(struct engine *engine, uint32_t modulus)
{
	uint32_t opened = 0;

	for (uint32_t port = 1024; port < 65536 && opened < MAPPINGS; port++) {
		struct nat_socket inside =
			nat_socket(NAT_PROTO_UDP, INSIDE_1, (uint16_t)port);

		if (nat_hash_socket(engine->nat, inside) % modulus)
			continue;
		opened += engine_open(engine, NAT_PROTO_UDP,
				      (struct flow){ INSIDE_1, (uint16_t)port,
						     PEER_1, 53 }) != 0;
	}
	return opened;
}

/* Somebody who has found out the key loses it at the next start. */
static void test_restored(void)
{
	struct engine engine;
	uint32_t opened;

	engine_bare(&engine, &limits);
	engine.unproven = true;
	engine_defaults(&engine.config);
	engine.config.host_new_per_second = 10000;
	engine_configure(&engine);
	nat_set_uplink(engine.nat, UPLINK, engine.now);
	opened = open_colliding(&engine, MAPPINGS);
	CU_ASSERT_TRUE(opened > 80);
	CU_ASSERT_TRUE(chain_longest(&engine.nat->by_inside) >= opened);
	engine_restore(&engine);
	CU_ASSERT_EQUAL(engine.nat->by_inside.count, opened);
	CU_ASSERT_TRUE(chain_longest(&engine.nat->by_inside) <= STEPS_MAX);
	engine_free(&engine);
}

/* All sessions of a mapping with one address share a bucket, so that the filter
 * finds them: mapping_sessions bounds it. */
static void test_one_peer(void)
{
	struct engine engine;

	engine_bare(&engine, &limits);
	engine.unproven = true;
	engine_defaults(&engine.config);
	engine.config.mapping_sessions = 32;
	engine_configure(&engine);
	nat_set_uplink(engine.nat, UPLINK, engine.now);
	for (uint16_t port = 1; port <= 200; port++)
		engine_open(&engine, NAT_PROTO_UDP,
			    (struct flow){ INSIDE_1, 5000, PEER_1, port });
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 32);
	CU_ASSERT_TRUE(chain_longest(&engine.nat->by_session) <= 33);
	engine_free(&engine);
}

/* Preserved ports of one bucket, of two protocols: as many as there can be. The
 * walk under one protocol's hash comes by its own alone. */
static void test_chosen_ports(void)
{
	const uint32_t most = NAT_PORTS / MAPPINGS;
	struct engine engine;
	uint32_t at, steps = 0;

	engine_bare(&engine, &limits);
	engine.unproven = true;
	engine_defaults(&engine.config);
	engine.config.host_new_per_second = 10000;
	engine_configure(&engine);
	nat_set_uplink(engine.nat, UPLINK, engine.now);
	for (uint32_t port = 1024; port < NAT_PORTS; port += MAPPINGS) {
		const struct flow flow = { INSIDE_1, (uint16_t)port, PEER_1,
					   53 };

		engine_open(&engine, NAT_PROTO_UDP, flow);
		engine_open(&engine, NAT_PROTO_TCP, flow);
	}
	at = chain_longest(&engine.nat->by_outside);
	CU_ASSERT_TRUE(at > most && at <= 2 * most);
	at = nat_chain_first(&engine.nat->by_outside,
			     nat_hash_port(NAT_PROTO_UDP, 1024));
	for (; at; at = nat_chain_next(&engine.nat->by_outside, at,
				       nat_hash_port(NAT_PROTO_UDP, 1024)))
		steps++;
	CU_ASSERT_TRUE(steps > 1 && steps <= most);
	engine_free(&engine);
}

static const struct test tests[] = {
	{ "hash flooding: chosen ports make chains of bounded length",
	  test_chosen_ports },
	{ "hash flooding: chosen tuples are spread under a drawn key",
	  test_chosen },
	{ "hash flooding: the next start has another key", test_restored },
	{ "hash flooding: sessions with one peer are bounded", test_one_peer },
};

int main(int argc, char **argv)
{
	return suite_run("hash flood", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
