/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How long the packet process waits for its helper. These figures stand
 * together with those of who waits for us: WatchdogSec, TimeoutStartSec and
 * TimeoutStopSec of platform/systemd/portico.service, STOP_TRIES of openwrt's
 * portico.init (tests/unit/test_waits.c compares them).
 */
#ifndef PORTICO_PLATFORM_HELPER_WAITS_H
#define PORTICO_PLATFORM_HELPER_WAITS_H

/* Choosing tries every packet filter, twice at most, before anything is served.
 */
#define HELPER_CHOOSE_MS 250000
/* Loading rules may wait for another program's lock (rules_text.h). */
#define HELPER_RULES_MS 25000
/* What is done at once. */
#define HELPER_QUICK_MS 5000
/* All that follows one change of the configuration or the network together:
 * packets wait as long. iptables-restore gives up a lock after 5 s, and is run
 * once for each table; whoever takes longer goes on without being waited for.
 */
#define HELPER_CHANGE_MS 15000
/* At a stop nothing else has to be done meanwhile: all that the guard's
 * programs may take (rules_text.h), of which iptables' are three; what is left
 * of it serves the other rules. */
#define HELPER_STOP_RULES_MS 48000
/* For the helper's end after ours. */
#define HELPER_END_MS 1000

/* The most from a signal to the end of an orderly stop: a change that has just
 * begun, the rules, then settings and files, the helper. */
#define HELPER_STOP_MS \
	(HELPER_CHANGE_MS + HELPER_STOP_RULES_MS + HELPER_QUICK_MS + \
	 HELPER_END_MS)

#endif
