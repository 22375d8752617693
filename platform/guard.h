/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What outlives a daemon and must not outlive its purpose.
 */
#ifndef PORTICO_PLATFORM_GUARD_H
#define PORTICO_PLATFORM_GUARD_H

/* Puts back the kernel settings that a killed daemon left changed, and removes
 * every rule of ours, the guard included, and the fast path's program; not under
 * a running daemon. path: its configuration, NULL: automatic mode. Says on
 * stderr what fails. 0 or -errno. */
int guard_remove(const char *path);

#endif
