/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What must hold, whatever the packets say. A broken invariant ends the process
 * at once, also in releases: a gateway that restarts is better than one that
 * sends traffic to the wrong host. It neither prints nor calls anything.
 */
#ifndef PORTICO_NAT_INVARIANT_H
#define PORTICO_NAT_INVARIANT_H

#include <stdbool.h>

static inline void nat_invariant(bool holds)
{
	if (!holds)
		__builtin_trap();
}

#endif
