/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Apart from sandbox_seccomp.c, as the kernel's header defines again, and
 * otherwise, what those of C libraries do.
 */
#include "sandbox_numbers.h"

#include <asm/socket.h>

const int sandbox_timeouts[SANDBOX_TIMEOUTS] = { SO_RCVTIMEO_OLD,
						 SO_RCVTIMEO_NEW };
