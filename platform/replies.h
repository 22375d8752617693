/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What commands make of the daemon's replies before they print it: from JSON to
 * JSON, no talk with anybody.
 */
#ifndef PORTICO_PLATFORM_REPLIES_H
#define PORTICO_PLATFORM_REPLIES_H

#include <json-c/json.h>
#include <stdint.h>

/* {"whois": [...]}: those of the mappings that have this outside port, and this
 * outside address (0: whichever). sessions: only mappings of which it has one;
 * NULL: all. Objects are shared with the reply. NULL: no memory. */
struct json_object *replies_whois(struct json_object *mappings,
				  struct json_object *sessions, uint32_t addr,
				  uint16_t port);

/* {"top": {...}}: the rates of each host by two replies of hosts that came ms
 * apart, the largest first. No rate is below 0, whatever became of the counters
 * in between. NULL: no memory. */
struct json_object *replies_top(struct json_object *before,
				struct json_object *after, uint64_t ms);

#endif
