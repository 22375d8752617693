/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How views are put together, for those who make them: views.c,
 * views_forwards.c. A header with code, as small functions that each may leave
 * unused.
 */
#ifndef PORTICO_PLATFORM_VIEWS_PUT_H
#define PORTICO_PLATFORM_VIEWS_PUT_H

#include <json-c/json.h>

#include "protos.h"
#include "views.h"

#define PUT_FLAGS (JSON_C_OBJECT_ADD_KEY_IS_NEW | JSON_C_OBJECT_KEY_IS_CONSTANT)

/* Marks an object that could not take all it should hold, for want of memory:
 * half an answer would be a wrong one. */
static inline void spoil(struct json_object *object)
{
	json_object_set_userdata(object, object, NULL);
}

/* The object, or NULL when it is spoilt. */
static inline struct json_object *whole(struct json_object *object)
{
	if (!object || !json_object_get_userdata(object))
		return object;
	json_object_put(object);
	return NULL;
}

/* Keys are literals and each is added once: no copy, no look-up. Takes the
 * value over; NULL is one that could not be made. */
static inline void put(struct json_object *object, const char *key,
		       struct json_object *value)
{
	if (value && !json_object_object_add_ex(object, key, value, PUT_FLAGS))
		return;
	json_object_put(value);
	spoil(object);
}

static inline void put_null(struct json_object *object, const char *key)
{
	if (json_object_object_add_ex(object, key, NULL, PUT_FLAGS))
		spoil(object);
}

static inline void put_number(struct json_object *object, const char *key,
			      uint64_t value)
{
	put(object, key, json_object_new_uint64(value));
}

/* A NULL text is shown as null. */
static inline void put_text(struct json_object *object, const char *key,
			    const char *text)
{
	if (text)
		put(object, key, json_object_new_string(text));
	else
		put_null(object, key);
}

static inline void put_socket(struct json_object *object, const char *key,
			      uint32_t addr, uint16_t port)
{
	char text[VIEWS_SOCKET_SIZE];

	put_text(object, key, views_socket(addr, port, text));
}

static inline void put_proto(struct json_object *object, uint8_t proto)
{
	char text[4];

	put_text(object, "proto", protos_name(proto, text));
}

/* An array of them. */
static inline struct json_object *texts(const char *const *list, size_t count)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; array && i < count; i++) {
		struct json_object *text = json_object_new_string(list[i]);

		if (text && !json_object_array_add(array, text))
			continue;
		json_object_put(text);
		spoil(array);
	}
	return whole(array);
}

#endif
