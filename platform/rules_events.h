/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * nf_tables tells of what is taken out of it: rules that somebody flushed are
 * missed for as long as loading them takes, not until the next look.
 */
#ifndef PORTICO_PLATFORM_RULES_EVENTS_H
#define PORTICO_PLATFORM_RULES_EVENTS_H

#include <stdbool.h>

/* A netlink socket in NFNLGRP_NFTABLES (linux/netfilter/nfnetlink.h), not
 * blocking, or -errno. */
int rules_events_open(void);

/* Reads all that waits. True when a table, chain or rule was taken out, anybody's,
 * or when that cannot be told: the kernel had no room for it. */
bool rules_events_take(int fd);

#endif
