/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * nf_tables tells of what is changed in it: rules that somebody flushed are
 * missed for as long as loading them takes, not until the next look, and rules
 * that somebody adds are known at once.
 */
#ifndef PORTICO_PLATFORM_RULES_EVENTS_H
#define PORTICO_PLATFORM_RULES_EVENTS_H

#include <stdbool.h>

/* A netlink socket in NFNLGRP_NFTABLES (linux/netfilter/nfnetlink.h), not
 * blocking, or -errno. */
int rules_events_open(void);

/* What was done to tables, chains and rules, anybody's. */
struct rules_events {
	bool changed; /* anything */
	bool out; /* some were taken out */
};

/* Reads all that waits. Both when that cannot be told: the kernel had no room for
 * it. */
struct rules_events rules_events_take(int fd);

#endif
