/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the parts of watch share.
 */
#ifndef PORTICO_PLATFORM_WATCH_PRIVATE_H
#define PORTICO_PLATFORM_WATCH_PRIVATE_H

#include "watch.h"

struct watch_mapping;

struct watch {
	bool drops;
	watch_tell *tell;
	void *context;
	int64_t time_s; /* of what is told now */
	int err; /* of this look */
	uint64_t came_ms; /* when the last look had come */
	bool gone; /* told */
	struct json_object *status; /* of the last look, NULL: there was none */
	bool known; /* the table was read */
	struct watch_mapping *table; /* of the last look, uthash's */
};

/* An event while it is made. */
struct watch_event {
	struct json_object *object;
	bool spoilt; /* there was no memory for all of it */
};

struct watch_event watch_event(const struct watch *watch, const char *name);
void watch_put(struct watch_event *event, const char *key,
	       struct json_object *value);
/* NULL is shown as null. */
void watch_put_text(struct watch_event *event, const char *key,
		    const char *text);
void watch_put_number(struct watch_event *event, const char *key,
		      uint64_t number);
/* Tells it, or notes that it could not be made; it is used up. */
void watch_tell_event(struct watch *watch, struct watch_event *event);

/* Whether something of the second age is not what had the first one, at least
 * passed_s before. */
bool watch_fell(uint64_t was_s, uint64_t now_s, uint64_t passed_s);

/* Mappings that began and ended; of the first that are read nothing is told. */
void watch_table_look(struct watch *watch, const struct watch_look *look,
		      uint64_t passed_s);
void watch_table_free(struct watch *watch);

#endif
