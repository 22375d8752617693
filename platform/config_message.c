/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The words in which a configuration is refused: one line that names file,
 * line, key, what was found and what was expected.
 */
#include <ctype.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_position.h"
#include "config_read.h"
#include "letters.h"

#define NAME_MAX_LENGTH 32 /* no known key is longer */

void config_path_member(char *path, const char *parent, const char *name)
{
	snprintf(path, POSITION_KEY_MAX, "%s%s%s", parent, *parent ? "." : "",
		 name);
}

void config_path_item(char *path, const char *parent, size_t index)
{
	snprintf(path, POSITION_KEY_MAX, "%s[%zu]", parent, index);
}

/* Appends to a message that may be full already. */
static void append(char *text, size_t size, const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));

static void append(char *text, size_t size, const char *format, va_list args)
{
	size_t used = strlen(text);

	if (used + 1 < size)
		vsnprintf(text + used, size - used, format, args);
}

static void begin(struct config_reader *reader, const char *path)
{
	unsigned line = 0;

	if (reader->text)
		line = position_find(reader->text, reader->length, path);
	if (line)
		snprintf(reader->error, reader->error_size,
			 "%s:%u: %s: ", reader->name, line, path);
	else
		snprintf(reader->error, reader->error_size, "%s: %s%s",
			 reader->name ? reader->name : "defaults", path,
			 *path ? ": " : "");
}

bool config_fail(struct config_reader *reader, const char *path,
		 const char *format, ...)
{
	va_list args;

	if (!reader->error_size)
		return false;
	begin(reader, path);
	va_start(args, format);
	append(reader->error, reader->error_size, format, args);
	va_end(args);
	/* json-c escapes some; keys are shown as they are. */
	letters_clean(reader->error, '?');
	return false;
}

/* A value as the file has it, cut when long. */
static void describe(struct json_object *value, char *text, size_t size)
{
	const char *json;

	if (json_object_is_type(value, json_type_object)) {
		snprintf(text, size, "an object");
		return;
	}
	if (json_object_is_type(value, json_type_array)) {
		snprintf(text, size, "%s",
			 json_object_array_length(value) ? "a list" :
							   "an empty list");
		return;
	}
	json = json_object_to_json_string_ext(
		value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	snprintf(text, size, "%.*s%s", (int)size - 4, json ? json : "?",
		 json && strlen(json) > size - 4 ? "..." : "");
}

bool config_refuse(struct config_reader *reader, const char *path,
		   struct json_object *value, const char *format, ...)
{
	char found[64];
	va_list args;

	if (!reader->error_size)
		return false;
	describe(value, found, sizeof(found));
	config_fail(reader, path, "found %s, expected ", found);
	va_start(args, format);
	append(reader->error, reader->error_size, format, args);
	va_end(args);
	return false;
}

bool config_no_memory(struct config_reader *reader)
{
	snprintf(reader->error, reader->error_size,
		 "%s: memory is short, the configuration cannot be kept",
		 reader->name ? reader->name : "defaults");
	return false;
}

bool config_warn(struct config_reader *reader, const char *format, ...)
{
	struct config *config = reader->config;
	char text[256];
	char **warnings;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	warnings = realloc(config->warnings,
			   (config->warnings_count + 1) * sizeof(*warnings));
	if (!warnings)
		return config_no_memory(reader);
	config->warnings = warnings;
	warnings[config->warnings_count] = strdup(text);
	if (!warnings[config->warnings_count])
		return config_no_memory(reader);
	config->warnings_count++;
	return true;
}

/* --- near misses -------------------------------------------------------- */

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	unsigned ab = a < b ? a : b;

	return ab < c ? ab : c;
}

static bool same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Insertions, deletions, exchanges and swaps of neighbours that lead from one
 * name to the other (optimal string alignment), letter case apart. Both at
 * most NAME_MAX_LENGTH long. */
static unsigned distance(const char *from, const char *to)
{
	unsigned rows[3][NAME_MAX_LENGTH + 1];
	size_t to_length = strlen(to);

	for (size_t j = 0; j <= to_length; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; from[i - 1]; i++) {
		unsigned *row = rows[i % 3];
		const unsigned *above = rows[(i + 2) % 3];
		const unsigned *second = rows[(i + 1) % 3];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= to_length; j++) {
			row[j] = least(above[j] + 1, row[j - 1] + 1,
				       above[j - 1] +
					       !same(from[i - 1], to[j - 1]));
			if (i > 1 && j > 1 && same(from[i - 1], to[j - 2]) &&
			    same(from[i - 2], to[j - 1]) &&
			    second[j - 2] + 1 < row[j])
				row[j] = second[j - 2] + 1;
		}
	}
	return rows[strlen(from) % 3][to_length];
}

/* The known name near enough to be what was meant, or NULL. */
static const char *nearest(const char *name, const char *const known[],
			   size_t count)
{
	size_t length = strlen(name);
	unsigned best = 1 + (unsigned)length / 4;
	const char *found = NULL;

	if (length > NAME_MAX_LENGTH)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		unsigned steps = distance(name, known[i]);

		if (steps < best || (steps == best && !found)) {
			best = steps;
			found = known[i];
		}
	}
	return found;
}

bool config_unknown(struct config_reader *reader, const char *path,
		    const char *name, const char *const known[], size_t count)
{
	const char *meant = nearest(name, known, count);
	char all[256] = "";

	if (meant)
		return config_fail(reader, path,
				   "found an unknown key, did you mean \"%s\"?",
				   meant);
	for (size_t i = 0; i < count; i++) {
		size_t used = strlen(all);

		snprintf(all + used, sizeof(all) - used, "%s%s", i ? ", " : "",
			 known[i]);
	}
	return config_fail(reader, path,
			   "found an unknown key, expected one of %s", all);
}

const char *config_string(struct json_object *value)
{
	const char *text;

	if (!json_object_is_type(value, json_type_string))
		return NULL;
	text = json_object_get_string(value);
	if (strlen(text) != (size_t)json_object_get_string_len(value))
		return NULL;
	return text;
}
