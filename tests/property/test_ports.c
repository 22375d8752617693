/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Random operations on one pool against plain arrays: the last free port is
 * found, preferences are kept as long as they can be, nothing that is bound,
 * taken or reserved for low inside ports is handed out.
 */
#include <stdio.h>
#include <string.h>

#include "nat/ports.h"
#include "tests/unit/choice.h"
#include "tests/unit/dice.h"
#include "tests/unit/suite.h"

#define STEPS 20000
#define UNIVERSE 96U /* ports that come up, some at every edge */

struct run {
	struct nat_ports ports;
	struct nat_random random;
	struct dice dice;
	uint16_t universe[UNIVERSE];
	bool allowed[NAT_PORTS];
	bool low_only[NAT_PORTS];
	bool bound[NAT_PORTS];
	bool taken[NAT_PORTS];
};

/* Is the port at i also before it? */
static bool is_known(const struct run *run, uint32_t i)
{
	for (uint32_t j = 0; j < i; j++)
		if (run->universe[j] == run->universe[i])
			return true;
	return false;
}

static void make_universe(struct run *run)
{
	static const uint16_t edges[] = {
		0, 1, 31, 32, 511, 512, 1022, 1023, 1024, 1025, 65534, 65535
	};
	const uint32_t count = sizeof(edges) / sizeof(edges[0]);

	/* The edges, a dense group in each half, and some anywhere. */
	for (uint32_t i = 0; i < UNIVERSE; i++)
		do {
			run->universe[i] =
				i < count ? edges[i] :
				i < 36	  ? (uint16_t)(600 + i) :
				i < 72	  ? (uint16_t)(5000 + i) :
					    (uint16_t)dice_next(&run->dice);
		} while (is_known(run, i));
}

static uint16_t roll_port(struct run *run)
{
	return run->universe[dice_roll(&run->dice, UNIVERSE)];
}

/* A random part of the universe, from none to all. */
static void roll_set(struct run *run, bool *model, struct nat_portset *set)
{
	uint32_t share = dice_roll(&run->dice, 9);

	memset(model, 0, NAT_PORTS * sizeof(*model));
	memset(set, 0, sizeof(*set));
	for (uint32_t i = 0; i < UNIVERSE; i++)
		if (dice_roll(&run->dice, 8) < share) {
			model[run->universe[i]] = true;
			nat_portset_add(set, run->universe[i]);
		}
}

static void do_allow(struct run *run)
{
	struct nat_portset allowed, low_only;

	roll_set(run, run->allowed, &allowed);
	roll_set(run, run->low_only, &low_only);
	for (uint32_t port = 1024; port < NAT_PORTS; port++) {
		run->low_only[port] = false;
		nat_portset_remove(&low_only, (uint16_t)port);
	}
	nat_ports_allow(&run->ports, &allowed, &low_only);
	run->allowed[0] = false; /* never handed out */
}

static void do_bind(struct run *run)
{
	struct nat_portset bound;

	roll_set(run, run->bound, &bound);
	nat_ports_bind(&run->ports, &bound);
}

static bool is_free(const struct run *run, uint16_t port)
{
	return run->allowed[port] && !run->bound[port] && !run->taken[port];
}

static size_t candidates(const struct run *run, uint16_t wanted,
			 uint16_t found[UNIVERSE])
{
	size_t count = 0;

	for (uint32_t i = 0; i < UNIVERSE; i++) {
		uint16_t port = run->universe[i];

		if (is_free(run, port) &&
		    (wanted < 1024 || !run->low_only[port]))
			found[count++] = port;
	}
	return count;
}

static const char *do_choose(struct run *run)
{
	uint16_t found[UNIVERSE];
	uint16_t wanted = dice_once_in(&run->dice, 2) ?
				  roll_port(run) :
				  (uint16_t)dice_next(&run->dice);
	bool parity = dice_once_in(&run->dice, 2);
	int32_t port =
		nat_ports_choose(&run->ports, &run->random, wanted, parity);
	const char *wrong = choice_wrong(found, candidates(run, wanted, found),
					 wanted, parity, port);

	if (!wrong && port >= 0) {
		nat_ports_take(&run->ports, (uint16_t)port);
		run->taken[port] = true;
	}
	return wrong;
}

static const char *compare(const struct run *run)
{
	uint32_t free = 0;

	for (uint32_t i = 0; i < UNIVERSE; i++) {
		uint16_t port = run->universe[i];

		if (nat_ports_allowed(&run->ports, port) !=
			    run->allowed[port] ||
		    nat_ports_usable(&run->ports, port) !=
			    (run->allowed[port] && !run->bound[port]) ||
		    nat_ports_taken(&run->ports, port) != run->taken[port])
			return "a port's sets are not as they were put";
		free += is_free(run, port);
	}
	if (run->ports.free != free ||
	    nat_ports_count_free(&run->ports) != free)
		return "free ports are miscounted";
	return NULL;
}

static const char *step(struct run *run)
{
	uint32_t what = dice_roll(&run->dice, 100);
	const char *wrong = NULL;
	uint16_t port = roll_port(run);

	if (what < 1) {
		do_allow(run);
	} else if (what < 2) {
		do_bind(run);
	} else if (what < 10) {
		nat_ports_take(&run->ports, port);
		run->taken[port] = true;
	} else if (what < 50) {
		nat_ports_release(&run->ports, port);
		run->taken[port] = false;
	} else {
		wrong = do_choose(run);
	}
	return wrong ? wrong : compare(run);
}

static void test_seed(uint64_t seed)
{
	static struct run run;
	const char *wrong = NULL;

	memset(&run, 0, sizeof(run));
	run.dice.state = seed;
	run.random.key = (struct nat_siphash_key){ seed, ~seed };
	make_universe(&run);
	do_allow(&run);
	for (int i = 0; !wrong && i < STEPS; i++) {
		wrong = step(&run);
		if (wrong)
			printf("seed %u, step %d: %s\n", (unsigned)seed, i,
			       wrong);
	}
	CU_ASSERT_PTR_NULL(wrong);
}

static void test_random(void)
{
	for (uint64_t seed = 1; seed <= 6; seed++)
		test_seed(seed);
}

/* Hand out everything, in any order of wishes: each port once, all of them. */
static void test_exhaustion(void)
{
	static struct run run;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		uint32_t all, given = 0;
		const char *wrong = NULL;

		memset(&run, 0, sizeof(run));
		run.dice.state = seed;
		run.random.key = (struct nat_siphash_key){ seed, 0 };
		make_universe(&run);
		do_allow(&run);
		all = run.ports.free;
		while (run.ports.free && given < all && !wrong) {
			uint16_t wish = (uint16_t)dice_roll(&run.dice, 1024);
			int32_t port = nat_ports_choose(&run.ports, &run.random,
							wish, true);

			if (port < 0 || !is_free(&run, (uint16_t)port))
				wrong = "a free port was not found";
			nat_ports_take(&run.ports, (uint16_t)port);
			run.taken[(uint16_t)port] = true;
			given++;
		}
		CU_ASSERT_PTR_NULL(wrong);
		CU_ASSERT_EQUAL(given, all);
		CU_ASSERT_EQUAL(
			nat_ports_choose(&run.ports, &run.random, 1, true), -1);
		if (wrong)
			printf("seed %u: %s\n", (unsigned)seed, wrong);
	}
}

static const struct test tests[] = {
	{ "a pool does what plain arrays do, seeds 1 to 6", test_random },
	{ "a pool gives out every port once and then none, 20 seeds",
	  test_exhaustion },
};

int main(int argc, char **argv)
{
	return suite_run("ports", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
