/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Calls that fail on demand. The plan and what was seen lie in one block of
 * memory that the program under test, its children and the test share: a file
 * that PORTICO_FAULT names (tests/netns/fault.py reads and writes it), or,
 * without one, memory of the program's own for a test linked with the shim.
 * Nothing is opened, written or allocated after the start, so that a process
 * that has locked itself in is watched like any other.
 */
#ifndef PORTICO_TESTS_FAULT_PLAN_H
#define PORTICO_TESTS_FAULT_PLAN_H

#include <stdint.h>

#define FAULT_MAGIC 0x464c5431U
#define FAULT_SITES 4096
#define FAULT_FRAMES 16
#define FAULT_NAME 24

/* What a call does in place of its work, when it is no errno. */
enum fault_how {
	FAULT_NONE = 0,
	FAULT_SHORT = -1, /* half of what was asked for */
	FAULT_END = -2, /* the end of the file, of the connection */
};

struct fault_plan {
	uint32_t armed;
	int32_t what; /* an errno or enum fault_how */
	uint32_t skip; /* fitting calls that pass first */
	uint32_t times; /* that many fail then; 0: all */
	uint64_t site; /* 0: any */
	char call[FAULT_NAME]; /* "": any; "memory": whatever allocates */
	char process
		[FAULT_NAME]; /* "": any; "0" the first, "0.2" its 2nd child */
	uint32_t seen; /* fitting calls so far */
	uint32_t struck; /* of them that failed */
};

/* One way by which a call was reached, told by its stack. */
struct fault_site {
	uint64_t id; /* 0: free */
	char call[FAULT_NAME];
	char process[FAULT_NAME]; /* that came first */
	uint32_t count;
	uint32_t depth;
	/* Return addresses, innermost first: the offset in the program, or in
	 * the library whose name's hash stands in the upper 16 bits. */
	uint64_t frames[FAULT_FRAMES];
};

struct fault_shared {
	uint32_t magic;
	uint32_t lost; /* sites that found no room */
	struct fault_plan plan;
	struct fault_site sites[FAULT_SITES];
};

/* The block, for a test linked with the shim. */
struct fault_shared *fault_block(void);

/* The next `times` (0: all) calls of this name fail, after `skip` more. */
void fault_arm(const char *call, int what, uint32_t skip, uint32_t times);

/* Everything works again; returns how many calls have failed. */
uint32_t fault_disarm(void);

/* --- for the calls ------------------------------------------------------- */

/* What shall happen to this call now: FAULT_NONE, an enum fault_how, or an
 * errno, which it leaves in errno too. */
int fault_now(const char *call);

/* What is called until fault_hold(0) is a part of a call that was asked for. */
void fault_hold(int hold);

/* A child was made: its process has a name of its own. */
void fault_forked(int in_child);

/* Another block than the program's own. */
void fault_use(struct fault_shared *block);

/* Notes the way by which a call was reached; returns its id. Only in the shim:
 * a test linked with the calls has none. */
uint64_t fault_site(struct fault_shared *block, const char *call,
		    const char *process) __attribute__((weak));

#endif
