/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Mappings that began and ended between two looks. The table holds those of the
 * last look by what tells them apart: the outside address does not, all move to
 * a new one together.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "text_table.h"
#include "watch_private.h"

/* Without memory an entry is not added, and its hh.tbl stays NULL. */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(entry) ((void)(entry))
#include <uthash.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SOCKET_SIZE 24
#define WORD_SIZE 12
#define NAME_SIZE 64
#define NO_NUMBER UINT64_MAX /* null, or it was none */

/* As `mappings` has them, between kind and name. */
enum number { SESSIONS, AGE, IDLE, EXPIRES, OUT, OUT_BYTES, IN, IN_BYTES };
static const char *const numbers[] = {
	[SESSIONS] = "sessions", [AGE] = "age_s",
	[IDLE] = "idle_s",	 [EXPIRES] = "expires_s",
	[OUT] = "out_packets",	 [OUT_BYTES] = "out_bytes",
	[IN] = "in_packets",	 [IN_BYTES] = "in_bytes",
};

/* Hashed as bytes: what is behind a text's end is 0. */
struct key {
	char proto[WORD_SIZE];
	char kind[WORD_SIZE];
	char inside[SOCKET_SIZE];
	char port[SOCKET_SIZE]; /* the outside one, with its colon */
};

struct watch_mapping {
	UT_hash_handle hh;
	struct key key;
	char outside[SOCKET_SIZE];
	char name[NAME_SIZE]; /* "": null */
	uint64_t numbers[COUNT(numbers)];
};

/* --- rows ---------------------------------------------------------------- */

/* False: it has no such text, or one that no daemon has. */
static bool take_text(struct json_object *row, const char *key, char *text,
		      size_t size)
{
	struct json_object *value = text_part(row, key, json_type_string);
	size_t length = value ? (size_t)json_object_get_string_len(value) : 0;

	memset(text, 0, size);
	if (!length || length >= size)
		return false;
	memcpy(text, json_object_get_string(value), length);
	return strlen(text) == length;
}

/* Key, texts and numbers of a row into a mapping. False: it is no mapping. */
static bool read_row(struct json_object *row, struct watch_mapping *mapping)
{
	struct key *key = &mapping->key;
	const char *colon;

	if (!take_text(row, "proto", key->proto, sizeof(key->proto)) ||
	    !take_text(row, "kind", key->kind, sizeof(key->kind)) ||
	    !take_text(row, "inside", key->inside, sizeof(key->inside)) ||
	    !take_text(row, "outside", mapping->outside,
		       sizeof(mapping->outside)))
		return false;
	colon = strchr(mapping->outside, ':');
	memset(key->port, 0, sizeof(key->port));
	memcpy(key->port, colon ? colon : "", colon ? strlen(colon) : 0);
	take_text(row, "name", mapping->name, sizeof(mapping->name));
	for (size_t i = 0; i < COUNT(numbers); i++)
		mapping->numbers[i] =
			text_part(row, numbers[i], json_type_int) ?
				text_count(row, numbers[i]) :
				NO_NUMBER;
	return true;
}

/* Whether what was is over and row is another one; unknown ages do not tell. */
static bool is_another(const struct watch_mapping *was,
		       const struct watch_mapping *row, uint64_t passed_s)
{
	uint64_t was_s = was->numbers[AGE], now_s = row->numbers[AGE];

	return was_s != NO_NUMBER && now_s != NO_NUMBER &&
	       watch_fell(was_s, now_s, passed_s);
}

/* --- telling ------------------------------------------------------------- */

static const char *host_name(const struct watch_mapping *mapping,
			     const struct names *names)
{
	uint32_t addr;
	uint16_t port;

	return text_parse_socket(mapping->key.inside, &addr, &port) ?
		       names_find(names, addr) :
		       NULL;
}

static void tell(struct watch *watch, const char *name,
		 const struct watch_mapping *mapping, const struct names *names)
{
	struct watch_event event = watch_event(watch, name);

	watch_put_text(&event, "proto", mapping->key.proto);
	watch_put_text(&event, "inside", mapping->key.inside);
	watch_put_text(&event, "outside", mapping->outside);
	watch_put_text(&event, "kind", mapping->key.kind);
	for (size_t i = 0; i < COUNT(numbers); i++)
		if (mapping->numbers[i] == NO_NUMBER)
			watch_put_text(&event, numbers[i], NULL);
		else
			watch_put_number(&event, numbers[i],
					 mapping->numbers[i]);
	watch_put_text(&event, "name", *mapping->name ? mapping->name : NULL);
	watch_put_text(&event, "host_name", host_name(mapping, names));
	watch_tell_event(watch, &event);
}

/* --- the table ----------------------------------------------------------- */

static struct watch_mapping *find(struct watch_mapping *table,
				  const struct key *key)
{
	struct watch_mapping *found;

	HASH_FIND(hh, table, key, sizeof(*key), found);
	return found;
}

static void clear(struct watch_mapping **table)
{
	struct watch_mapping *mapping, *next;

	HASH_ITER(hh, *table, mapping, next) {
		HASH_DEL(*table, mapping);
		free(mapping);
	}
}

/* A look takes its time: of two rows of one socket the first had ended before
 * the second began. 0 or -ENOMEM. */
static int add(struct watch_mapping **table, struct json_object *object)
{
	struct watch_mapping row = { 0 }, *mapping;

	if (!read_row(object, &row))
		return 0;
	mapping = find(*table, &row.key);
	if (mapping) {
		row.hh = mapping->hh;
		*mapping = row;
		return 0;
	}
	mapping = malloc(sizeof(*mapping));
	if (!mapping)
		return -ENOMEM;
	*mapping = row;
	HASH_ADD(hh, *table, key, sizeof(mapping->key), mapping);
	if (mapping->hh.tbl)
		return 0;
	free(mapping);
	return -ENOMEM;
}

/* The rows between text and end, read one by one: as objects, all at once would
 * take several times the memory. 0, -EBADMSG or -ENOMEM. */
static int read_rows(struct watch_mapping **table, struct json_tokener *reader,
		     const char *text, const char *end)
{
	int err = 0;

	while (!err && *text != ']') {
		struct json_object *row =
			json_tokener_parse_ex(reader, text, (int)(end - text));

		if (json_tokener_get_error(reader) != json_tokener_success)
			return -EBADMSG;
		text += json_tokener_get_parse_end(reader);
		text += *text == ',';
		err = add(table, row);
		json_object_put(row);
	}
	return err;
}

static int read_table(struct watch_mapping **table, const char *text)
{
	static const char head[] = "{\"mappings\":[";
	size_t length = text ? strlen(text) : 0;
	struct json_tokener *reader;
	int err;

	if (length > INT_MAX || length < sizeof(head) - 1 ||
	    memcmp(text, head, sizeof(head) - 1) != 0)
		return -EBADMSG;
	reader = json_tokener_new();
	if (!reader)
		return -ENOMEM;
	err = read_rows(table, reader, text + sizeof(head) - 1, text + length);
	json_tokener_free(reader);
	return err;
}

/* Those of the last look that are no more, then those that are new. */
static void compare(struct watch *watch, struct watch_mapping *table,
		    const struct names *names, uint64_t passed_s)
{
	const struct watch_mapping *mapping, *same;

	for (mapping = watch->table; mapping; mapping = mapping->hh.next) {
		same = find(table, &mapping->key);
		if (!same || is_another(mapping, same, passed_s))
			tell(watch, "ended", mapping, names);
	}
	for (mapping = table; mapping; mapping = mapping->hh.next) {
		same = find(watch->table, &mapping->key);
		if (!same || is_another(same, mapping, passed_s))
			tell(watch, "began", mapping, names);
	}
}

void watch_table_look(struct watch *watch, const struct watch_look *look,
		      uint64_t passed_s)
{
	struct watch_mapping *table = NULL;
	int err = read_table(&table, look->mappings);

	if (err) {
		clear(&table);
		watch->err = watch->err ? watch->err : err;
		return;
	}
	if (watch->known)
		compare(watch, table, look->names, passed_s);
	clear(&watch->table);
	watch->table = table;
	watch->known = true;
}

void watch_table_free(struct watch *watch)
{
	clear(&watch->table);
}
