/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * All that an engine of small limits shows, to be compared with what it shows
 * later or after a restart.
 */
#ifndef PORTICO_TESTS_SNAPSHOT_H
#define PORTICO_TESTS_SNAPSHOT_H

#include <stdbool.h>

#include "engine.h"

struct snapshot {
	struct nat_mapping_view mappings[64];
	struct nat_session_view sessions[128];
	struct nat_host_view hosts[8];
	uint32_t mapping_count, session_count, host_count;
	struct nat_pool_stats ports[NAT_POOLS];
};

void snapshot_take(struct snapshot *snapshot, const struct engine *engine);

/* NULL: both show the same, in whatever order; else what differs. */
const char *snapshot_differs(const struct snapshot *a,
			     const struct snapshot *b);

/* Is each mapping, and each session, of `part` one of `whole`? Times and
 * counters are left out. */
const char *snapshot_exceeds(const struct snapshot *part,
			     const struct snapshot *whole);

/* The mappings and sessions of either, or of both; each once. */
void snapshot_join(struct snapshot *joined, const struct snapshot *a,
		   const struct snapshot *b);
void snapshot_meet(struct snapshot *met, const struct snapshot *a,
		   const struct snapshot *b);

#endif
