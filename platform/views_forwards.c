/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Forwards, as they were configured or added by command, as JSON objects.
 */
#include <stdio.h>

#include "views_put.h"

/* A port is a number, as in a configuration. */
static void put_outside(struct json_object *object,
			const struct nat_forward *forward)
{
	char text[sizeof("65535-65535")];

	if (forward->outside_first == forward->outside_last) {
		put_number(object, "outside", forward->outside_first);
		return;
	}
	snprintf(text, sizeof(text), "%u-%u", (unsigned)forward->outside_first,
		 (unsigned)forward->outside_last);
	put_text(object, "outside", text);
}

static struct json_object *network(const struct nat_prefix *prefix)
{
	char addr[VIEWS_ADDR_SIZE];
	char text[VIEWS_ADDR_SIZE + sizeof("/32")];

	snprintf(text, sizeof(text), "%s/%u", views_addr(prefix->addr, addr),
		 (unsigned)prefix->length);
	return json_object_new_string(text);
}

static struct json_object *networks(const struct nat_prefix *prefixes,
				    size_t count)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; array && i < count; i++) {
		struct json_object *text = network(&prefixes[i]);

		if (text && !json_object_array_add(array, text))
			continue;
		json_object_put(text);
		spoil(array);
	}
	return whole(array);
}

struct json_object *views_forward(const struct nat_forward *forward,
				  bool configured)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	put_text(object, "name", forward->name);
	put_proto(object, forward->proto);
	put_outside(object, forward);
	put_socket(object, "to", forward->inside_addr, forward->inside_first);
	put(object, "from", networks(forward->from, forward->from_count));
	put_text(object, "origin", configured ? "configuration" : "command");
	return whole(object);
}

struct json_object *
views_forward_added(const char *name, const char *const *warnings, size_t count)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	put_text(object, "added", name);
	put(object, "warnings", texts(warnings, count));
	return whole(object);
}

struct json_object *views_forward_removed(const char *name)
{
	struct json_object *object = json_object_new_object();

	if (object)
		put_text(object, "removed", name);
	return whole(object);
}
