/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whether the plan is about a call. For one thread per process.
 */
#include "plan.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static struct fault_shared own = { .magic = FAULT_MAGIC };
static struct fault_shared *shared = &own;
static bool busy; /* what we call ourselves is no call of the program's */
static char process[FAULT_NAME] = "0";
static unsigned forks;

void fault_use(struct fault_shared *block)
{
	shared = block;
}

struct fault_shared *fault_block(void)
{
	return shared;
}

void fault_forked(int in_child)
{
	size_t length = strlen(process);

	if (!in_child) {
		forks++;
		return;
	}
	snprintf(process + length, sizeof(process) - length, ".%u", forks + 1);
	forks = 0;
}

void fault_hold(int hold)
{
	busy = hold;
}

static bool allocates(const char *call)
{
	static const char *const names[] = {
		"malloc",	 "calloc", "realloc",	"strdup",	 "mmap",
		"aligned_alloc", "fdopen", "newlocale", "open_memstream"
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(names[i], call))
			return true;
	return false;
}

static bool fits_call(const char *wanted, const char *call)
{
	return !wanted[0] || !strcmp(wanted, call) ||
	       (!strcmp(wanted, "memory") && allocates(call));
}

static bool fits(const struct fault_plan *plan, const char *call, uint64_t id)
{
	return (!plan->site || plan->site == id) &&
	       fits_call(plan->call, call) &&
	       (!plan->process[0] || !strcmp(plan->process, process));
}

static int judge(const char *call, uint64_t id)
{
	struct fault_plan *plan = &shared->plan;
	uint32_t number;

	if (!__atomic_load_n(&plan->armed, __ATOMIC_SEQ_CST) ||
	    !fits(plan, call, id))
		return FAULT_NONE;
	number = __atomic_fetch_add(&plan->seen, 1, __ATOMIC_SEQ_CST);
	if (number < plan->skip ||
	    (plan->times && number - plan->skip >= plan->times))
		return FAULT_NONE;
	__atomic_add_fetch(&plan->struck, 1, __ATOMIC_SEQ_CST);
	return plan->what;
}

int fault_now(const char *call)
{
	int saved = errno, what;
	uint64_t site = 0;

	if (busy)
		return FAULT_NONE;
	busy = true;
	if (fault_site)
		site = fault_site(shared, call, process);
	what = judge(call, site);
	busy = false;
	errno = what > 0 ? what : saved;
	return what;
}

void fault_arm(const char *call, int what, uint32_t skip, uint32_t times)
{
	struct fault_plan *plan = &shared->plan;

	memset(plan, 0, sizeof(*plan));
	strncpy(plan->call, call, FAULT_NAME - 1);
	plan->what = what;
	plan->skip = skip;
	plan->times = times;
	plan->armed = 1;
}

uint32_t fault_disarm(void)
{
	shared->plan.armed = 0;
	return shared->plan.struck;
}
