/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Every single bit of a table is turned over in turn: in the engine's memory,
 * of the header and of each kind of record in the file that a daemon opens, and
 * of what is read of a table of other limits. Nothing crashes, nothing is translated otherwise
 * than before, and what is lost is counted.
 *
 * One bit is enough: what a record is hangs on a check word of 32 bits, so more
 * bits are no other case; and what changes with each packet is judged by its
 * range, which every bit of it is a way out of.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine.h"
#include "nat/internal.h"
#include "platform/loop.h"
#include "platform/state.h"
#include "restore_judge.h"
#include "restore_lab.h"
#include "snapshot.h"
#include "suite.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PAST (70 * SECOND) /* that fill_few() takes */

static const struct nat_limits few = {
	.mappings = 18,
	.sessions = 18,
	.hosts = 5,
	.held_ports = 4,
	.fragments = 1,
	.fragment_bytes = 1,
	.tagged = 3,
};

static const struct nat_secrets secrets = { .hash_key = "another key" };

/* A table and what it showed. */
struct table {
	struct engine engine;
	size_t bytes;
	struct snapshot before;
	struct snapshot nothing; /* of it, but for the forward */
	uint32_t runs, lost;
};

/* --- a table with something of everything ------------------------------------- */

/* Made once: the pools take longer than a restore does. */
static struct nat_config config;

static void make_config(void)
{
	engine_defaults(&config);
	config.forwards = restore_forwards;
	config.forward_count = 1;
}

static void fill_few(struct engine *engine, uint64_t now)
{
	engine_bare(engine, &few);
	engine->now = now - PAST;
	engine->config = config;
	engine_configure(engine);
	nat_set_uplink(engine->nat, UPLINK, engine->now);
	engine->now += PAST - 60 * SECOND - 30;
	for (uint16_t i = 0; i < 3; i++)
		open_from(engine, NAT_PROTO_ICMP, INSIDE_1 + i, 70 + i);
	engine->now += 60 * SECOND;
	nat_expire(engine->nat, engine->now, 10);
	for (uint16_t i = 0; i < 3; i++) {
		open_from(engine, NAT_PROTO_UDP, INSIDE_1 + i, 5000);
		open_from(engine, NAT_PROTO_TCP, INSIDE_1 + i, 6000);
		engine->now += 10;
	}
	gre(engine, NAT_PATH_OUTBOUND, INSIDE_1, PEER_2, 11);
	gre(engine, NAT_PATH_OUTBOUND, INSIDE_2, PEER_2, 12);
}

static void table_make(struct table *table, uint64_t now)
{
	memset(table, 0, sizeof(*table));
	fill_few(&table->engine, now);
	table->bytes = nat_records_size(&few);
	snapshot_take(&table->before, &table->engine);
	CU_ASSERT_EQUAL(table->before.mapping_count, 9);
	CU_ASSERT_EQUAL(engine_stats(&table->engine).ports[NAT_POOL_ICMP].held,
			3);
	table->nothing = table->before;
	table->nothing.session_count = 0;
	table->nothing.mapping_count = 1;
}

/* Is the byte of one of the slots first..last? */
static bool within(const struct table *table, size_t byte, const void *array,
		   size_t element, uint32_t first, uint32_t last)
{
	const uint8_t *at = (const uint8_t *)table->engine.records + byte;
	const uint8_t *from = (const uint8_t *)array + first * element;

	return at >= from && at < from + (last - first + 1) * element;
}

#define IN(array, first, last) \
	within(table, byte, nat->array, sizeof(nat->array[0]), first, last)

/* Of the slots that nobody uses the first one stands for all. */
static bool in_memory(const struct table *table, size_t byte)
{
	const struct nat *nat = table->engine.nat;

	return !IN(mappings, nat->mapping_slots.top + 2, few.mappings) &&
	       !IN(sessions, nat->session_slots.top + 2, few.sessions);
}

/* The header and two of each kind: it is the same memory after all. */
static bool in_file(const struct table *table, size_t byte)
{
	const struct nat *nat = table->engine.nat;

	return IN(header, 0, 0) || IN(mappings, 1, 2) || IN(sessions, 1, 2) ||
	       IN(hosts, 1, 2) || IN(held, 0, 1) || IN(tagged, 1, 2);
}

/* What is read of another table. */
static bool in_other_limits(const struct table *table, size_t byte)
{
	const struct nat *nat = table->engine.nat;

	return IN(header, 0, 0) || IN(held, 0, few.held_ports - 1) ||
	       IN(mappings, 1, nat->mapping_slots.top + 1);
}

static void turn(void *records, size_t bit)
{
	((uint8_t *)records)[bit / 8] ^= (uint8_t)(1 << bit % 8);
}

/* What follows the identity of a header begins anew: ports then may be given
 * to others, since nothing is known of them. */
static bool forgets(size_t bit)
{
	return bit / 8 < offsetof(struct nat_header, held_first);
}

static const char *counted(const struct snapshot *before,
			   const struct snapshot *after,
			   const struct nat_restored *restored)
{
	return losses(restored) ||
			       (after->mapping_count >= before->mapping_count &&
				after->session_count >= before->session_count) ?
		       NULL :
		       "something is lost and not counted";
}

static void judge(struct table *table, struct engine *engine, size_t bit,
		  const struct nat_restored *restored)
{
	const struct snapshot *before = forgets(bit) ? &table->nothing :
						       &table->before;
	struct snapshot after;
	const char *wrong;

	CU_ASSERT_EQUAL(restored->past == NAT_PAST_KEPT, !forgets(bit));
	snapshot_take(&after, engine);
	wrong = snapshot_exceeds(&after, before);
	if (!wrong && !forgets(bit))
		wrong = counted(before, &after, restored);
	if (!wrong)
		wrong = restore_judge(engine, before, before, NULL);
	CU_ASSERT_PTR_NULL(wrong);
	if (wrong)
		printf("byte %zu, bit %zu: %s\n", bit / 8, bit % 8, wrong);
	table->runs++;
	table->lost += losses(restored) != 0;
}

static void table_free(struct table *table)
{
	printf("%zu bytes, %u bits turned over, %u told as losses\n",
	       table->bytes, table->runs, table->lost);
	engine_free(&table->engine);
}

/* --- in memory ------------------------------------------------------------------ */

static void test_memory(void)
{
	static struct table table;
	struct engine engine;

	table_make(&table, 1000 * SECOND + PAST);
	for (size_t bit = 0; bit < table.bytes * 8; bit++) {
		struct nat_restored restored;

		if (!in_memory(&table, bit / 8))
			continue;
		engine_bare(&engine, &few);
		engine.now = table.engine.now;
		engine.unproven = true;
		memcpy(engine.records, table.engine.records, table.bytes);
		turn(engine.records, bit);
		engine.config = config;
		restored = restart(&engine);
		judge(&table, &engine, bit, &restored);
		CU_ASSERT_PTR_NULL(nat_check(engine.nat));
		engine_free(&engine);
	}
	table_free(&table);
}

/* --- in a file ------------------------------------------------------------------- */

static void write_file(const char *path, const void *bytes, size_t length)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	CU_ASSERT_EQUAL(write(fd, bytes, length), (ssize_t)length);
	close(fd);
}

/* As a daemon does it that is killed later. */
static void open_state(struct state *state, const char *path,
		       const struct nat_limits *limits, struct engine *engine)
{
	memset(engine, 0, sizeof(*engine));
	engine->limits = *limits;
	engine->unproven = true;
	engine->indices = state_block(nat_indices_size(limits));
	engine->nat = state_open(state, path, limits, &secrets, engine->indices,
				 nat_indices_size(limits));
	CU_ASSERT_PTR_NOT_NULL_FATAL(engine->nat);
	CU_ASSERT_PTR_NULL(nat_check(engine->nat));
	engine->now = loop_clock_ms();
	engine->config = config;
	engine_configure(engine);
	nat_set_uplink(engine->nat, UPLINK, engine->now);
}

static void close_state(struct state *state, struct engine *engine)
{
	CU_ASSERT_PTR_NULL(nat_check(engine->nat));
	state_close(state, NULL);
	munmap(engine->indices, nat_indices_size(&engine->limits));
}

/* This boot's name in the header, as state_open() writes it. */
static void name_boot(struct table *table, const char *path)
{
	struct nat *nat = table->engine.nat;
	struct engine engine;
	struct state state;

	open_state(&state, path, &few, &engine);
	memcpy(nat->header->boot, engine.nat->header->boot,
	       sizeof(nat->header->boot));
	nat->header->check = nat_seal_header(nat);
	close_state(&state, &engine);
}

static void test_file(void)
{
	char directory[] = "/tmp/portico-XXXXXX", path[64];
	static struct table table;
	struct engine engine;
	struct state state;

	if (loop_clock_ms() < 1100 * SECOND) {
		printf("SKIP: a machine that has just begun has no past\n");
		return;
	}
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/state", directory);
	table_make(&table, loop_clock_ms());
	name_boot(&table, path);
	for (size_t bit = 0; bit < table.bytes * 8; bit++) {
		if (!in_file(&table, bit / 8))
			continue;
		turn(table.engine.records, bit);
		write_file(path, table.engine.records, table.bytes);
		turn(table.engine.records, bit);
		open_state(&state, path, &few, &engine);
		judge(&table, &engine, bit, &state.restored);
		close_state(&state, &engine);
	}
	table_free(&table);
	unlink(path);
	CU_ASSERT_EQUAL(rmdir(directory), 0);
}

/* --- in a table of other limits ----------------------------------------------------- */

/* Its ports rest, also that of the record that the bit is of: a mapping names
 * its port twice. */
static const char *judge_rest(struct table *table, struct engine *engine)
{
	for (uint32_t i = 1; i < table->before.mapping_count; i++) {
		const struct nat_mapping_view *m = &table->before.mappings[i];
		int pool = nat_pool_of(m->proto);

		if (pool >= 0 && !nat_held(engine->nat, (enum nat_pool)pool,
					   m->outside_port))
			return "a port does not rest";
	}
	return restore_judge(engine, &table->nothing, &table->before, NULL);
}

static void test_other_limits(void)
{
	struct nat_limits more = few;
	static struct table table;
	struct engine engine;

	more.held_ports = 16;
	more.mappings = 40;
	table_make(&table, 1000 * SECOND + PAST);
	for (size_t bit = 0; bit < table.bytes * 8; bit++) {
		struct nat_restored restored;
		const char *wrong = NULL;

		if (!in_other_limits(&table, bit / 8))
			continue;
		engine_bare(&engine, &more);
		engine.now = table.engine.now;
		engine.unproven = true;
		turn(table.engine.records, bit);
		nat_rest_ports(engine.nat, table.engine.records, table.bytes,
			       engine.now, &restored);
		turn(table.engine.records, bit);
		CU_ASSERT_PTR_NULL(nat_check(engine.nat));
		CU_ASSERT_EQUAL(restored.past == NAT_PAST_RESIZED,
				!forgets(bit));
		engine.config = config;
		engine_configure(&engine);
		nat_set_uplink(engine.nat, UPLINK, engine.now);
		if (!forgets(bit))
			wrong = judge_rest(&table, &engine);
		CU_ASSERT_PTR_NULL(wrong);
		if (wrong)
			printf("byte %zu, bit %zu: %s\n", bit / 8, bit % 8,
			       wrong);
		CU_ASSERT_PTR_NULL(nat_check(engine.nat));
		table.runs++;
		engine_free(&engine);
	}
	table_free(&table);
}

static const struct test tests[] = {
	{ "bits: each one in memory: nothing wrong is translated",
	  test_memory },
	{ "bits: each one in the file: nothing wrong is translated",
	  test_file },
	{ "bits: each one in a table of other limits: its ports rest",
	  test_other_limits },
};

int main(int argc, char **argv)
{
	make_config();
	return suite_run("restore_bits", tests, COUNT(tests), argc, argv);
}
