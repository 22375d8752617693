/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What happened between two looks at a daemon. Here is what the status tells;
 * mappings are in watch_table.c.
 */
#include "watch.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "text_table.h"
#include "watch_private.h"

/* Of one look; a daemon has less (gateway_private.h). */
#define WARNINGS_MAX 128
/* How much less than what passed two ages may differ by: a second for their
 * rounding, and one as a daemon's clock is that of its last waking. */
#define MARGIN_S 2

/* --- events -------------------------------------------------------------- */

/* A value that could not be made is missed by watch_tell_event(). */
void watch_put(struct watch_event *event, const char *key,
	       struct json_object *value)
{
	if (value && event->object &&
	    !json_object_object_add(event->object, key, value))
		return;
	json_object_put(value);
	event->spoilt = true;
}

void watch_put_text(struct watch_event *event, const char *key,
		    const char *text)
{
	if (text)
		watch_put(event, key, json_object_new_string(text));
	else if (!event->object ||
		 json_object_object_add(event->object, key, NULL))
		event->spoilt = true;
}

void watch_put_number(struct watch_event *event, const char *key,
		      uint64_t number)
{
	watch_put(event, key, json_object_new_uint64(number));
}

struct watch_event watch_event(const struct watch *watch, const char *name)
{
	struct watch_event event = { .object = json_object_new_object() };

	watch_put(&event, "time", json_object_new_int64(watch->time_s));
	watch_put_text(&event, "event", name);
	return event;
}

void watch_tell_event(struct watch *watch, struct watch_event *event)
{
	if (!event->spoilt) {
		watch->tell(watch->context, event->object);
		return;
	}
	json_object_put(event->object);
	watch->err = -ENOMEM;
}

/* An event that says no more than one text. */
static void tell_text(struct watch *watch, const char *name, const char *key,
		      const char *text)
{
	struct watch_event event = watch_event(watch, name);

	if (key)
		watch_put_text(&event, key, text);
	watch_tell_event(watch, &event);
}

bool watch_fell(uint64_t was_s, uint64_t now_s, uint64_t passed_s)
{
	return now_s < was_s ||
	       (passed_s > MARGIN_S && now_s - was_s < passed_s - MARGIN_S);
}

/* --- the daemon ---------------------------------------------------------- */

static bool restarted(struct json_object *before, struct json_object *after,
		      uint64_t passed_s)
{
	return text_part(before, "uptime_s", json_type_int) &&
	       text_part(after, "uptime_s", json_type_int) &&
	       watch_fell(text_count(before, "uptime_s"),
			  text_count(after, "uptime_s"), passed_s);
}

static void tell_restart(struct watch *watch, struct json_object *after)
{
	struct watch_event event = watch_event(watch, "restarted");

	watch_put_text(&event, "version", text_member(after, "version"));
	watch_put_number(&event, "uptime_s", text_count(after, "uptime_s"));
	watch_tell_event(watch, &event);
}

/* "" becomes NULL: there is none. */
static const char *address_of(struct json_object *uplink)
{
	const char *text = text_member(uplink, "address");

	return *text ? text : NULL;
}

static void tell_address(struct watch *watch, struct json_object *before,
			 struct json_object *after)
{
	struct json_object *was = text_part(before, "uplink", json_type_object);
	struct json_object *now = text_part(after, "uplink", json_type_object);
	struct watch_event event;

	if (!was || !now ||
	    !strcmp(text_member(was, "address"), text_member(now, "address")))
		return;
	event = watch_event(watch, "address");
	watch_put_text(&event, "device", text_member(now, "device"));
	watch_put_text(&event, "address", address_of(now));
	watch_put_text(&event, "was", address_of(was));
	watch_tell_event(watch, &event);
}

/* --- warnings ------------------------------------------------------------ */

/* What is left of them here has no fellow in the other look. */
struct warnings {
	const char *texts[WARNINGS_MAX]; /* NULL: it has */
	size_t count;
};

static void read_warnings(struct json_object *list, struct warnings *warnings)
{
	size_t count = json_object_array_length(list);

	warnings->count = 0;
	for (size_t i = 0; i < count && warnings->count < WARNINGS_MAX; i++) {
		struct json_object *text = json_object_array_get_idx(list, i);

		if (json_object_is_type(text, json_type_string))
			warnings->texts[warnings->count++] =
				json_object_get_string(text);
	}
}

static bool is_digit(char c)
{
	return isdigit((unsigned char)c);
}

/* Some count what they warn of: any number is like any other. */
static bool alike(const char *one, const char *other)
{
	while (*one && (*one == *other || (is_digit(*one) && is_digit(*other))))
		if (is_digit(*one)) {
			one += strspn(one, "0123456789");
			other += strspn(other, "0123456789");
		} else {
			one++;
			other++;
		}
	return *one == *other;
}

static bool equal(const char *one, const char *other)
{
	return !strcmp(one, other);
}

static void pair(struct warnings *before, struct warnings *after,
		 bool (*same)(const char *one, const char *other))
{
	for (size_t i = 0; i < before->count; i++)
		for (size_t j = 0; before->texts[i] && j < after->count; j++)
			if (after->texts[j] &&
			    same(before->texts[i], after->texts[j]))
				before->texts[i] = after->texts[j] = NULL;
}

static void tell_left(struct watch *watch, const char *name,
		      const struct warnings *warnings)
{
	for (size_t i = 0; i < warnings->count; i++)
		if (warnings->texts[i])
			tell_text(watch, name, "text", warnings->texts[i]);
}

static void tell_warnings(struct watch *watch, struct json_object *before,
			  struct json_object *after)
{
	struct json_object *was =
		text_part(before, "warnings", json_type_array);
	struct json_object *now = text_part(after, "warnings", json_type_array);
	struct warnings old, new;

	if (!was || !now)
		return;
	read_warnings(was, &old);
	read_warnings(now, &new);
	pair(&old, &new, equal);
	pair(&old, &new, alike);
	tell_left(watch, "warning_over", &old);
	tell_left(watch, "warning", &new);
}

/* --- drops --------------------------------------------------------------- */

/* was: NULL for another daemon, which counts from 0. */
static void tell_drops(struct watch *watch, struct json_object *was,
		       struct json_object *now)
{
	json_object_object_foreach(now, reason, count) {
		uint64_t before = was ? text_count(was, reason) : 0;
		uint64_t after = json_object_get_uint64(count);
		struct watch_event event;

		if (!json_object_is_type(count, json_type_int) ||
		    after <= before)
			continue;
		event = watch_event(watch, "dropped");
		watch_put_text(&event, "reason", reason);
		watch_put_number(&event, "packets", after - before);
		watch_tell_event(watch, &event);
	}
}

/* --- looks --------------------------------------------------------------- */

struct watch *watch_new(bool drops, watch_tell *tell, void *context)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return NULL;
	watch->drops = drops;
	watch->tell = tell;
	watch->context = context;
	return watch;
}

void watch_free(struct watch *watch)
{
	if (!watch)
		return;
	watch_table_free(watch);
	json_object_put(watch->status);
	free(watch);
}

static void compare(struct watch *watch, const struct watch_look *look,
		    uint64_t passed_s)
{
	struct json_object *before = watch->status, *after = look->status;
	struct json_object *was = text_part(before, "drops", json_type_object);
	struct json_object *now = text_part(after, "drops", json_type_object);
	bool anew = restarted(before, after, passed_s);

	if (anew)
		tell_restart(watch, after);
	else if (watch->gone)
		tell_text(watch, "back", NULL, NULL);
	tell_address(watch, before, after);
	tell_warnings(watch, before, after);
	watch_table_look(watch, look, passed_s);
	if (watch->drops && now && (was || anew))
		tell_drops(watch, anew ? NULL : was, now);
}

int watch_look(struct watch *watch, const struct watch_look *look)
{
	uint64_t passed_s = look->asked_ms > watch->came_ms ?
				    (look->asked_ms - watch->came_ms) / 1000 :
				    0;

	watch->err = 0;
	watch->time_s = look->time_s;
	if (watch->status)
		compare(watch, look, passed_s);
	else
		watch_table_look(watch, look, 0);
	json_object_put(watch->status);
	watch->status = json_object_get(look->status);
	watch->came_ms = look->came_ms;
	watch->gone = false;
	return watch->err;
}

int watch_gone(struct watch *watch, int64_t time_s)
{
	watch->err = 0;
	watch->time_s = time_s;
	if (watch->status && !watch->gone)
		tell_text(watch, "gone", NULL, NULL);
	watch->gone = true;
	return watch->err;
}
