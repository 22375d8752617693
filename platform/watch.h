/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What happened between two looks at a daemon, as events: from JSON to JSON, no
 * talk with anybody. Of a look only what the next one is compared with is kept.
 */
#ifndef PORTICO_PLATFORM_WATCH_H
#define PORTICO_PLATFORM_WATCH_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "names.h"

struct watch;

/* Everything is the caller's. */
struct watch_look {
	struct json_object *status; /* the reply */
	const char *mappings; /* the reply as it came */
	const struct names *names; /* of hosts, may be NULL */
	uint64_t asked_ms, came_ms; /* loop_clock_ms() before and after them */
	int64_t time_s; /* since the epoch, of what is told */
};

/* Takes the event over. */
typedef void watch_tell(void *context, struct json_object *event);

/* drops: they are told as well. NULL: no memory. */
struct watch *watch_new(bool drops, watch_tell *tell, void *context);
void watch_free(struct watch *watch);

/* Tells what came since the look before, of the first one nothing. What is not
 * as a daemon says it is passed over. 0, or why some of it is not told: -ENOMEM;
 * -EBADMSG, the mappings are no list of them, and those before it stay known. */
int watch_look(struct watch *watch, const struct watch_look *look);

/* No daemon answers: told once, if there was one before, and so is when there is
 * one again. 0 or -ENOMEM. */
int watch_gone(struct watch *watch, int64_t time_s);

#endif
