/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A carrier of sessions that refuses now and then, uses what it has, and
 * remembers it: for comparison with what the engine shows.
 */
#ifndef PORTICO_TESTS_CARRY_RUN_H
#define PORTICO_TESTS_CARRY_RUN_H

#include "dice.h"
#include "engine.h"

#define CARRY_SESSIONS 16

/* A session that is carried, or was when it was last used. */
struct carry_load {
	struct nat_carried name;
	struct nat_counters use; /* not told yet */
	uint64_t used_ms; /* last use that refreshes; 0: none */
	bool carried;
	bool back; /* given back in this step, */
	bool late; /* with a use that nobody was told of before */
};

struct carry_run {
	struct engine engine;
	struct dice dice;
	const struct nat_config *config;
	uint32_t uplink;
	struct carry_load loads[CARRY_SESSIONS + 1];
	struct nat_counters told; /* in this step */
	struct nat_counters
		passed; /* packets through the engine in this step */
	const char *wrong; /* that a callback has met */
	uint32_t offers, taken, backs, kept; /* what was met */
};

extern const struct nat_carrier carry_face; /* but for its context */

void carry_add(struct nat_counters *to, const struct nat_counters *use);
/* Some packets of a session pass. */
void carry_use(struct carry_run *run, struct carry_load *load);
/* How long an established session may be idle before it is taken back. */
uint64_t carry_timer_ms(const struct carry_run *run, uint8_t proto);

/* To be called after each step; before: the engine's counters then. may_end:
 * sessions may have ended though they were in use. NULL: all is well. */
const char *carry_judge(struct carry_run *run, const struct nat_stats *before,
			bool may_end);

#endif
