/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A look into the tables of iptables-legacy without a program.
 */
#ifndef PORTICO_PLATFORM_RULES_LEGACY_H
#define PORTICO_PLATFORM_RULES_LEGACY_H

#include <stdbool.h>
#include <stdint.h>

/* Opens what a look needs and a process that is locked in cannot make. */
void rules_legacy_prepare(void);

/* Counts the entries of the chains PORTICO-* in a table ("raw") and the jumps
 * to them from other chains. 0 or -errno: -ENOENT when the kernel has no such
 * table, -EAGAIN when it changed meanwhile. */
int rules_legacy_count(const char *table, uint32_t *entries, uint32_t *jumps);

/* Whether there are any tables. Opens a file. */
bool rules_legacy_any(void);

/* A sum over all rules of all tables that there are, but for their counters: two
 * that differ tell that somebody changed a rule. 0: there are none. A table of
 * more than RULES_LEGACY_SUM_MAX bytes is known by its size alone. */
#define RULES_LEGACY_SUM_MAX (1U << 18)
uint32_t rules_legacy_sum(void);

#endif
