/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One daemon in each network namespace.
 */
#ifndef PORTICO_PLATFORM_LOCK_H
#define PORTICO_PLATFORM_LOCK_H

/* Returns a descriptor that holds the lock until it is closed, or -1 after
 * saying on standard error why not. */
int lock_take(void);

#endif
