/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * top as text for people, and as much of it as a terminal has room for.
 */
#include <inttypes.h>
#include <string.h>

#include "text_table.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
/* A long name would push the numbers out of the window. */
#define NAME_COLUMNS 16

/* --- the table ----------------------------------------------------------- */

/* Bytes of the text's first columns; a letter of several bytes is one. */
static size_t fitting(const char *text, size_t length, unsigned columns)
{
	size_t at;

	for (at = 0; at < length; at++)
		if (((unsigned char)text[at] & 0xc0) != 0x80 && !columns--)
			break;
	return at;
}

static void format_name(struct text_context *context, struct json_object *row,
			struct json_object *value, char cell[static TEXT_CELL])
{
	text_name(context, row, value, cell);
	cell[fitting(cell, strlen(cell), NAME_COLUMNS)] = '\0';
}

static void format_bits(struct text_context *context, struct json_object *row,
			struct json_object *value, char cell[static TEXT_CELL])
{
	if (value)
		text_bits(json_object_get_uint64(value), cell);
	else
		text_plain(context, row, value, cell);
}

static const struct text_column columns[] = {
	{ "ADDRESS", "address", false, text_plain },
	{ "NAME", "name", false, format_name },
	{ "OUT/S", "out_bits_per_s", true, format_bits },
	{ "IN/S", "in_bits_per_s", true, format_bits },
	{ "PKT OUT", "out_packets_per_s", true, text_plain },
	{ "PKT IN", "in_packets_per_s", true, text_plain },
	{ "SESSIONS", "sessions", true, text_plain },
	{ "MAPPINGS", "mappings", true, text_plain },
	{ "REFUSED", "refused", true, text_plain },
};

static uint64_t total(struct json_object *rows, const char *key)
{
	size_t count = rows ? json_object_array_length(rows) : 0;
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += text_count(json_object_array_get_idx(rows, i), key);
	return sum;
}

static void print_head(struct json_object *top, struct json_object *rows,
		       FILE *out)
{
	char cells[2][TEXT_CELL];

	fprintf(out,
		"Out %s/s, %" PRIu64 " packets/s; in %s/s, %" PRIu64
		" packets/s; within %ss\n",
		text_bits(total(rows, "out_bits_per_s"), cells[0]),
		total(rows, "out_packets_per_s"),
		text_bits(total(rows, "in_bits_per_s"), cells[1]),
		total(rows, "in_packets_per_s"), text_member(top, "seconds"));
	fprintf(out,
		"%zu hosts, %" PRIu64 " mappings, %" PRIu64
		" sessions, %" PRIu64 " packets refused in all\n\n",
		rows ? (size_t)json_object_array_length(rows) : 0,
		total(rows, "mappings"), total(rows, "sessions"),
		total(rows, "refused"));
}

void text_top(struct json_object *report, const struct names *names, FILE *out)
{
	struct text_context context = { .names = names };
	struct json_object *top = NULL, *rows = NULL;

	json_object_object_get_ex(report, "top", &top);
	json_object_object_get_ex(top, "hosts", &rows);
	if (!json_object_is_type(rows, json_type_array))
		rows = NULL;
	print_head(top, rows, out);
	text_table(columns, COUNT(columns), rows, &context, out);
}

/* --- the window ---------------------------------------------------------- */

void text_window(const char *text, unsigned rows, unsigned width, FILE *out)
{
	fputs("\033[H", out);
	/* The last row is the cursor's. */
	for (unsigned row = 1; row < rows && *text; row++) {
		size_t length = strcspn(text, "\n");

		fwrite(text, 1, fitting(text, length, width), out);
		fputs("\033[K\n", out);
		text += length + (text[length] == '\n');
	}
	fputs("\033[J", out);
}
