/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Numbers of the kernel's that differ between machines.
 */
#ifndef PORTICO_PLATFORM_SANDBOX_NUMBERS_H
#define PORTICO_PLATFORM_SANDBOX_NUMBERS_H

/* The option of a time-out for receiving: with the C library's time, and with
 * the wider one. */
#define SANDBOX_TIMEOUTS 2
extern const int sandbox_timeouts[SANDBOX_TIMEOUTS];

#endif
