/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Starts and restarts of the engine. Undamaged records give back the very same
 * table; of damaged ones there may be less, but never a mapping or a session
 * that was not there.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/snapshot.h"
#include "world.h"

/* As nat_init() has it. */
static const uint8_t boot[16] = { 0 };

/* Zeroed, aligned, and ending exactly where it may. */
static void *block(size_t bytes)
{
	void *memory = NULL;

	if (!bytes || posix_memalign(&memory, 64, bytes))
		abort();
	return memset(memory, 0, bytes);
}

/* No input can be bent towards the keys: they depend on all of it. */
static struct nat_secrets secrets(struct world *world)
{
	struct nat_secrets keys;
	uint64_t x = world->seed + world->starts++;

	for (size_t i = 0; i < sizeof(keys.hash_key); i++) {
		x = x * 6364136223846793005U + 1442695040888963407U;
		keys.hash_key[i] = (uint8_t)(x >> 56);
		keys.port_key[i] = (uint8_t)(x >> 48);
	}
	return keys;
}

void world_start(struct world *world)
{
	size_t records = nat_records_size(&world->limits);
	size_t indices = nat_indices_size(&world->limits);
	struct nat_secrets keys = secrets(world);

	world->hint = (struct nat_hint){ 0 };
	world->records = block(records);
	world->indices = block(indices);
	world->nat = nat_init(&world->limits, &keys, world->records, records,
			      world->indices, indices, world->now);
	if (!world->nat)
		fuzz_expect("no engine");
}

void world_end(struct world *world)
{
	free(world->records);
	free(world->indices);
}

static void take(const struct world *world, struct snapshot *snapshot)
{
	struct engine engine = { .nat = world->nat, .now = world->now };

	snapshot_take(snapshot, &engine);
}

/* --- damage ---------------------------------------------------------------- */

struct harm {
	uint8_t *at;
	size_t bytes; /* from there to the end */
	const uint8_t *value; /* the record that tells of it */
};

static void flip(const struct harm *harm)
{
	harm->at[0] ^= (uint8_t)(1U << (harm->value[4] & 7));
}

static void overwrite(const struct harm *harm)
{
	size_t bytes = harm->value[4] % 9U;

	memcpy(harm->at, harm->value + 5,
	       bytes < harm->bytes ? bytes : harm->bytes);
}

static void erase(const struct harm *harm)
{
	size_t bytes = harm->value[4] * 4U;

	memset(harm->at, harm->value[5] & 1 ? 0xff : 0,
	       bytes < harm->bytes ? bytes : harm->bytes);
}

/* A record over another one, or a torn one. */
static void copy(const struct harm *harm)
{
	size_t step = harm->value[4] + 1U, bytes = harm->value[5];

	if (step + bytes <= harm->bytes)
		memmove(harm->at, harm->at + step, bytes);
}

static void add(const struct harm *harm)
{
	harm->at[0] = (uint8_t)(harm->at[0] + harm->value[4]);
}

static void (*const harms[])(const struct harm *) = { flip, overwrite, erase,
						      copy, add };

static void do_harm(uint8_t *records, size_t bytes, struct fuzz_bytes record)
{
	const size_t kinds = sizeof(harms) / sizeof(harms[0]);
	uint8_t value[STEP_BYTES] = { 0 };
	struct harm harm = { .value = value };
	size_t at;

	memcpy(value, record.at, record.left);
	at = ((size_t)value[1] << 8 | value[2]) % bytes;
	harm.at = records + at;
	harm.bytes = bytes - at;
	harms[value[0] % kinds](&harm);
}

/* --- restarting ------------------------------------------------------------ */

enum how {
	ORDERLY = 1,
	HARMED = 2, /* by the records that follow */
	REBOOTED = 4,
	RESIZED = 8,
	CLOCK_BACK = 16,
	RAW = 32, /* what follows is the file */
};

static void harm(struct world *world, const struct step *step, size_t bytes)
{
	unsigned count = 1 + (step->field[STEP_SIZE] & 7);

	if (step->field[STEP_FLAGS] & RAW) {
		struct fuzz_bytes raw =
			fuzz_take(step->rest, count * STEP_BYTES);

		if (raw.left)
			memcpy(world->records, raw.at, raw.left);
		return;
	}
	while (count-- && step->rest->left)
		do_harm(world->records, bytes,
			fuzz_take(step->rest, STEP_BYTES));
}

/* Another table's ports rest; the old block is only read. */
static void restart_resized(struct world *world)
{
	void *old = world->records, *indices = world->indices;
	size_t bytes = nat_records_size(&world->limits);
	struct nat_restored restored = { 0 };

	world->limits.sessions ^= 1;
	world_start(world);
	nat_rest_ports(world->nat, old, bytes, world->now, &restored);
	free(old);
	free(indices);
}

static void restart(struct world *world, const struct step *step)
{
	size_t bytes = nat_records_size(&world->limits);
	size_t indices = nat_indices_size(&world->limits);
	struct nat_secrets keys = secrets(world);
	struct nat_restored restored;
	uint8_t other[16] = { step->field[STEP_FLAGS] & REBOOTED ? 1 : 0 };

	world->hint = (struct nat_hint){ 0 };
	memset(world->indices, 0, indices);
	world->nat = nat_restore(&world->limits, &keys,
				 world->emphasis->harm ? other : boot,
				 world->records, bytes, world->indices, indices,
				 world->now, &restored);
	if (!world->nat)
		fuzz_expect("no engine after a restart");
	if (!world->emphasis->harm && restored.past != NAT_PAST_KEPT)
		fuzz_expect("undamaged records were not taken over");
	for (int loss = 0; loss < NAT_LOSSES && !world->emphasis->harm; loss++)
		if (restored.lost[loss])
			fuzz_expect("an undamaged record was lost");
}

void world_restart(struct world *world, const struct step *step)
{
	static struct snapshot before, after;
	uint8_t how = step->field[STEP_FLAGS];
	bool harmed = world->emphasis->harm;

	nat_add_forwards(world->nat, world->now); /* as each second */
	take(world, &before);
	if (how & ORDERLY)
		nat_leave(world->nat);
	if (harmed && how & HARMED)
		harm(world, step, nat_records_size(&world->limits));
	if (harmed && how & CLOCK_BACK)
		world->now = 1000 + step->field[STEP_MORE];
	if (harmed && how & RESIZED)
		restart_resized(world);
	else
		restart(world, step);
	fuzz_expect(nat_check(world->nat));
	nat_configure(world->nat, &world->config[world->config_at], world->now);
	fuzz_expect(nat_check(world->nat));
	for (int pool = 0; pool < NAT_POOLS; pool++)
		nat_set_bound(world->nat, (enum nat_pool)pool, &world->bound);
	nat_set_uplink(world->nat, world->uplink, world->now);
	take(world, &after);
	fuzz_expect(harmed ? snapshot_exceeds(&after, &before) :
			     snapshot_differs(&after, &before));
}
