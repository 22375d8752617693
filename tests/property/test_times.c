/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * When sessions end, in lists of many: against a model that knows each one's
 * last use. Neither who looks nor the sweep is early or late, by a millisecond.
 */
#include <stdio.h>
#include <string.h>

#include "nat/internal.h"
#include "tests/unit/dice.h"
#include "tests/unit/engine.h"
#include "tests/unit/suite.h"

#define ROUNDS 20000
#define SOCKETS 60U /* below engine_limits.mappings */
#define FIRST_PORT 5000U
#define LIFE_MS 5000U

struct run {
	struct engine engine;
	struct dice dice;
	uint64_t used_ms[SOCKETS]; /* 0: never, or seen to be over */
	uint32_t busy; /* of the sockets, the first so many are used */
	uint32_t kept, swept, over; /* what was met */
};

static void make(struct run *run, uint64_t seed)
{
	memset(run, 0, sizeof(*run));
	run->dice.state = seed;
	run->busy = SOCKETS;
	engine_make(&run->engine);
	run->engine.config.timeout_s[NAT_TIMER_UDP] = LIFE_MS / 1000;
	run->engine.config.port_hold_s = 0;
	engine_configure(&run->engine);
}

static bool is_over(const struct run *run, uint32_t i)
{
	return !run->used_ms[i] || run->engine.now >= run->used_ms[i] + LIFE_MS;
}

static const char *use(struct run *run, uint32_t i)
{
	uint16_t port = (uint16_t)(FIRST_PORT + i);

	if (engine_open(&run->engine, NAT_PROTO_UDP,
			flow_of(i % 2 ? INSIDE_1 : INSIDE_2, port, PEER_1,
				7000)) != port)
		return "a socket has not its own port";
	run->kept += !is_over(run, i);
	run->used_ms[i] = run->engine.now;
	return NULL;
}

/* An answer shows whether the session lives, and ends it where it does not. */
static const char *look(struct run *run, uint32_t i)
{
	bool passes = engine_answer(&run->engine, NAT_PROTO_UDP, PEER_1, 7000,
				    (uint16_t)(FIRST_PORT + i))
			      .verdict == NAT_TRANSLATED;

	if (passes == is_over(run, i))
		return passes ? "an answer passes after the end" :
				"an answer is refused before the end";
	run->over += !passes && run->used_ms[i];
	run->used_ms[i] = passes ? run->engine.now : 0;
	return NULL;
}

static const char *sweep(struct run *run)
{
	uint32_t live = 0, left;

	run->swept += nat_expire(run->engine.nat, run->engine.now, 1000);
	left = engine_stats(&run->engine).sessions;
	for (uint32_t i = 0; i < SOCKETS; i++)
		live += !is_over(run, i);
	if (left == live)
		return NULL;
	return left < live ? "the sweep was early" : "the sweep was late";
}

static void pass_time(struct run *run)
{
	static const uint32_t steps_ms[] = { 0,	  1,   1,   3,	  10,  30,
					     100, 300, 999, 1024, 2500 };

	run->engine.now += steps_ms[dice_roll(
		&run->dice, sizeof(steps_ms) / sizeof(steps_ms[0]))];
	if (dice_once_in(&run->dice, 200))
		run->busy = 1 + dice_roll(&run->dice, SOCKETS);
}

static const char *turn(struct run *run)
{
	uint32_t i = dice_roll(&run->dice, run->busy);
	const char *wrong;

	if (dice_once_in(&run->dice, 8))
		pass_time(run);
	switch (dice_roll(&run->dice, 4)) {
	case 0:
		wrong = look(run, i);
		break;
	case 1:
		wrong = sweep(run);
		break;
	default:
		wrong = use(run, i);
	}
	return wrong ? wrong : nat_check(run->engine.nat);
}

static void test_seed(uint64_t seed)
{
	static struct run run;
	const char *wrong = NULL;
	int round;

	make(&run, seed);
	for (round = 0; !wrong && round < ROUNDS; round++)
		wrong = turn(&run);
	if (wrong)
		printf("seed %llu, round %d: %s\n", (unsigned long long)seed,
		       round, wrong);
	CU_ASSERT_PTR_NULL(wrong);
	/* All of it was met. */
	CU_ASSERT_TRUE(run.kept > 1000 && run.swept > 100 && run.over > 10);
	engine_free(&run.engine);
}

static void test_seeds(void)
{
	for (uint64_t seed = 1; seed <= 5; seed++)
		test_seed(seed);
}

static const struct test tests[] = {
	{ "sessions end when they should, by whomever they are met",
	  test_seeds },
};

int main(int argc, char **argv)
{
	return suite_run("times", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
