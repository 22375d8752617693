/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Does a restored engine translate as the one before it did, for all who had
 * something to lose?
 */
#ifndef PORTICO_TESTS_RESTORE_JUDGE_H
#define PORTICO_TESTS_RESTORE_JUDGE_H

#include "snapshot.h"

/* NULL, or what is wrong. `owners`: who had which port before or after what was
 * going on when the engine died; `before`: before it alone. Sends packets:
 *   from each peer     reach a socket that owns the port, or nobody;
 *   from each owner    leave by a port of its own, if it still has one that is
 *                      not due, else by one that nobody else owns;
 *   from a stranger    which asks for each port that was owned before, never
 *                      get it, unless `later` (may be NULL), the engine that
 *                      went on, has that port free.
 * Tunnels (GRE) are told apart by key 11 of INSIDE_1 and 12 of INSIDE_2. */
const char *restore_judge(struct engine *engine, const struct snapshot *owners,
			  const struct snapshot *before,
			  const struct nat *later);

#endif
