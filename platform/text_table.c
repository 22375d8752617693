/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A JSON array of objects as aligned columns. Two passes format every cell
 * twice, once to measure: nothing is kept, whatever the number of rows.
 */
#include "text_table.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "letters.h"

#define COLUMNS_MAX 16
#define GAP 2

const char *text_member(struct json_object *row, const char *key)
{
	struct json_object *value;
	const char *text = NULL;

	if (json_object_object_get_ex(row, key, &value) && value)
		text = json_object_get_string(value);
	return text ? text : "";
}

uint64_t text_count(struct json_object *row, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(row, key, &value))
		return 0;
	return json_object_get_uint64(value);
}

struct json_object *text_part(struct json_object *row, const char *key,
			      enum json_type type)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(row, key, &value);
	return json_object_is_type(value, type) ? value : NULL;
}

bool text_parse_socket(const char *text, uint32_t *addr, uint16_t *port)
{
	const char *colon = strchr(text, ':');
	size_t length = colon ? (size_t)(colon - text) : strlen(text);
	char host[INET_ADDRSTRLEN];
	struct in_addr in;
	unsigned long number = 0;

	if (length >= sizeof(host))
		return false;
	memcpy(host, text, length);
	host[length] = '\0';
	if (colon)
		number = strtoul(colon + 1, NULL, 10);
	if (inet_pton(AF_INET, host, &in) != 1 || number > UINT16_MAX)
		return false;
	*addr = ntohl(in.s_addr);
	*port = (uint16_t)number;
	return true;
}

void text_put(const char *text, FILE *out)
{
	bool harmless;

	while (*text) {
		size_t length = letters_take(text, &harmless);

		fwrite(harmless ? text : "?", 1, harmless ? length : 1, out);
		text += length;
	}
}

/* --- cells --------------------------------------------------------------- */

void text_plain(struct text_context *context, struct json_object *row,
		struct json_object *value, char cell[static TEXT_CELL])
{
	const char *text = value ? json_object_get_string(value) : NULL;

	(void)context;
	(void)row;
	snprintf(cell, TEXT_CELL, "%s", text && *text ? text : "-");
}

void text_size(struct text_context *context, struct json_object *row,
	       struct json_object *value, char cell[static TEXT_CELL])
{
	if (value)
		text_bytes(json_object_get_uint64(value), cell);
	else
		text_plain(context, row, value, cell);
}

void text_time(struct text_context *context, struct json_object *row,
	       struct json_object *value, char cell[static TEXT_CELL])
{
	if (value)
		text_duration(json_object_get_uint64(value), cell);
	else
		text_plain(context, row, value, cell);
}

static bool continues(char byte)
{
	return ((unsigned char)byte & 0xc0) == 0x80;
}

/* A cut must not leave half a character. */
static void clean(char *cell)
{
	size_t length = strlen(cell);

	if (length == TEXT_CELL - 1) {
		while (length && continues(cell[length - 1]))
			length--;
		if (length && (unsigned char)cell[length - 1] >= 0xc0)
			length--;
		cell[length] = '\0';
	}
	letters_clean(cell, '?');
}

static int width(const char *cell)
{
	int columns = 0;

	for (; *cell; cell++)
		columns += !continues(*cell);
	return columns;
}

static void format_cell(const struct text_column *column,
			struct json_object *row, struct text_context *context,
			char cell[static TEXT_CELL])
{
	struct json_object *value = NULL;

	json_object_object_get_ex(row, column->key, &value);
	column->format(context, row, value, cell);
	clean(cell);
}

/* --- the table ----------------------------------------------------------- */

static void print_cell(const struct text_column *column, const char *cell,
		       int wide, bool last, FILE *out)
{
	int pad = wide - width(cell);

	if (column->right)
		fprintf(out, "%*s%s", pad, "", cell);
	else
		fprintf(out, "%s%*s", cell, last ? 0 : pad, "");
	fprintf(out, "%*s", last ? 0 : GAP, "");
	if (last)
		fputc('\n', out);
}

static void measure_row(const struct text_column *columns, size_t count,
			struct json_object *row, struct text_context *context,
			int *widths)
{
	char cell[TEXT_CELL];

	for (size_t i = 0; i < count; i++) {
		int wide;

		format_cell(&columns[i], row, context, cell);
		wide = width(cell);
		if (wide > widths[i])
			widths[i] = wide;
	}
}

static void print_row(const struct text_column *columns, size_t count,
		      struct json_object *row, struct text_context *context,
		      const int *widths, FILE *out)
{
	char cell[TEXT_CELL];

	for (size_t i = 0; i < count; i++) {
		format_cell(&columns[i], row, context, cell);
		print_cell(&columns[i], cell, widths[i], i + 1 == count, out);
	}
}

void text_table(const struct text_column *columns, size_t count,
		struct json_object *rows, struct text_context *context,
		FILE *out)
{
	size_t length = json_object_is_type(rows, json_type_array) ?
				json_object_array_length(rows) :
				0;
	int widths[COLUMNS_MAX];

	for (size_t i = 0; i < count; i++)
		widths[i] = width(columns[i].title);
	for (size_t i = 0; i < length; i++)
		measure_row(columns, count, json_object_array_get_idx(rows, i),
			    context, widths);
	for (size_t i = 0; i < count; i++)
		print_cell(&columns[i], columns[i].title, widths[i],
			   i + 1 == count, out);
	for (size_t i = 0; i < length; i++)
		print_row(columns, count, json_object_array_get_idx(rows, i),
			  context, widths, out);
}
