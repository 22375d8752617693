/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A process that is killed in the midst of its work, and the next one, which
 * goes on with its records.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dice.h"
#include "engine.h"
#include "restore_lab.h"
#include "suite.h"

#define KILLS 200

struct victim {
	struct engine engine;
	struct dice dice;
};

/* Opens, answers, ends; many mappings die while others are made. Now and then
 * it is the taking over itself that is broken off. */
static void live_on(struct victim *victim)
{
	static const uint8_t protos[] = { NAT_PROTO_UDP, NAT_PROTO_TCP,
					  NAT_PROTO_ICMP };
	struct engine *engine = &victim->engine;

	engine->unproven = true;
	for (;;) {
		uint32_t host = INSIDE_1 + dice_roll(&victim->dice, 6);
		uint16_t port = (uint16_t)(5000 + dice_roll(&victim->dice, 8));

		engine->now += 1 + dice_roll(&victim->dice, 3000);
		if (dice_once_in(&victim->dice, 4))
			gre(engine, NAT_PATH_OUTBOUND, host, PEER_2, port);
		else
			open_from(engine, protos[port % 3], host, port);
		if (dice_once_in(&victim->dice, 50))
			engine_configure(engine);
		if (dice_once_in(&victim->dice, 20))
			restart(engine);
		nat_expire(engine->nat, engine->now, 100);
	}
}

static void *shared(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		abort();
	return memory;
}

static void kill_after(struct victim *victim, uint32_t us)
{
	const struct timespec pause = { 0, (long)us * 1000 };
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child == 0)
		live_on(victim);
	nanosleep(&pause, NULL);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* A real process, killed at whatever instruction it was. At most the one
 * operation that was being done is half done: its records are told of. Whether
 * any kill meets one is chance: test_restore_steps.c stops at each store. */
static void test_killed_at_random(void)
{
	struct victim *victim = shared(sizeof(*victim));
	struct engine *engine = &victim->engine;
	struct dice dice = { 1 };
	uint32_t half_done = 0, restored_mappings = 0;
	void *records;

	engine_make(engine);
	records = engine->records;
	engine->records = shared(nat_records_size(&engine_limits));
	engine_restore(engine);
	engine->config.port_hold_s = 20;
	engine_configure(engine);
	nat_set_uplink(engine->nat, UPLINK, engine->now);
	for (int i = 0; i < KILLS; i++) {
		struct nat_restored restored;

		kill_after(victim, dice_roll(&dice, 4000));
		restored = restart(engine);
		CU_ASSERT_EQUAL(restored.past, NAT_PAST_KEPT);
		CU_ASSERT_EQUAL(restored.lost[NAT_LOSS_RANGE], 0);
		/* Tag, session and mapping, and the port at rest. */
		CU_ASSERT_TRUE(losses(&restored) <= 4);
		half_done += losses(&restored) != 0;
		restored_mappings += restored.mappings;
	}
	CU_ASSERT_TRUE(restored_mappings > KILLS);
	printf("%u of %d kills left something half-written\n", half_done,
	       KILLS);
	munmap(engine->records, nat_records_size(&engine_limits));
	engine->records = records;
	engine_free(engine);
	munmap(victim, sizeof(*victim));
}

static const struct test tests[] = {
	{ "killed at 200 random moments the table goes on",
	  test_killed_at_random },
};

int main(int argc, char **argv)
{
	return suite_run("restore_killed", tests,
			 sizeof(tests) / sizeof(tests[0]), argc, argv);
}
