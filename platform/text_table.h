/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A JSON array of objects as aligned columns.
 */
#ifndef PORTICO_PLATFORM_TEXT_TABLE_H
#define PORTICO_PLATFORM_TEXT_TABLE_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "text.h"

/* Names looked up once: asking the system for each of 65,536 sessions would
 * read /etc/services as often. */
#define TEXT_SERVICES 512
struct text_service {
	bool known;
	bool tcp;
	uint16_t port;
	char name[20]; /* "": none */
};

/* What a cell may need beside its row. */
struct text_context {
	const struct names *names;
	struct text_service services[TEXT_SERVICES];
};

struct text_column {
	const char *title;
	const char *key; /* of the row */
	bool right; /* aligned */
	/* Writes the cell for row[key] (value, NULL: null or missing). */
	void (*format)(struct text_context *context, struct json_object *row,
		       struct json_object *value, char cell[static TEXT_CELL]);
};

/* rows: an array of objects; anything else prints the titles alone. */
void text_table(const struct text_column *columns, size_t count,
		struct json_object *rows, struct text_context *context,
		FILE *out);

/* Formats shared by tables: the value as it stands ("-" for null), as bytes,
 * as a duration. */
void text_plain(struct text_context *context, struct json_object *row,
		struct json_object *value, char cell[static TEXT_CELL]);
void text_size(struct text_context *context, struct json_object *row,
	       struct json_object *value, char cell[static TEXT_CELL]);
void text_time(struct text_context *context, struct json_object *row,
	       struct json_object *value, char cell[static TEXT_CELL]);
/* What the row is called, else the host's name: value when the daemon gave
 * one, else by the lease of the inside address. */
void text_name(struct text_context *context, struct json_object *row,
	       struct json_object *value, char cell[static TEXT_CELL]);

/* "10.0.0.1:80" -> address and port, in host order; "10.0.0.1" has port 0.
 * False when text is neither. */
bool text_parse_socket(const char *text, uint32_t *addr, uint16_t *port);

/* row[key] as text, "" when it is missing. */
const char *text_member(struct json_object *row, const char *key);
uint64_t text_count(struct json_object *row, const char *key);
/* row[key] if it is of this type, else NULL. */
struct json_object *text_part(struct json_object *row, const char *key,
			      enum json_type type);

/* Texts come from files and from hosts: of what may steer the terminal each
 * character is shown as "?". */
void text_put(const char *text, FILE *out);

#endif
