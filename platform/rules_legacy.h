/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A look into the tables of iptables-legacy without a program.
 */
#ifndef PORTICO_PLATFORM_RULES_LEGACY_H
#define PORTICO_PLATFORM_RULES_LEGACY_H

#include <stdint.h>

/* Opens what a look needs and a process that is locked in cannot make. */
void rules_legacy_prepare(void);

/* Counts the entries of the chains PORTICO-* in a table ("raw") and the jumps
 * to them from other chains. 0 or -errno: -ENOENT when the kernel has no such
 * table, -EAGAIN when it changed meanwhile. */
int rules_legacy_count(const char *table, uint32_t *entries, uint32_t *jumps);

#endif
