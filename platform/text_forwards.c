/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * forwards as text for people.
 */
#include <string.h>

#include "text_table.h"

/* As many networks as there is room for, then "...". */
static void format_networks(struct text_context *context,
			    struct json_object *row, struct json_object *value,
			    char cell[static TEXT_CELL])
{
	size_t count = json_object_is_type(value, json_type_array) ?
			       json_object_array_length(value) :
			       0;
	size_t used = 0;

	(void)context;
	(void)row;
	snprintf(cell, TEXT_CELL, "%s", "everyone");
	for (size_t i = 0; i < count; i++) {
		const char *text = json_object_get_string(
			json_object_array_get_idx(value, i));

		if (used + strlen(text ? text : "") + sizeof(",,...") >
		    TEXT_CELL) {
			snprintf(cell + used, TEXT_CELL - used, ",...");
			return;
		}
		used += (size_t)snprintf(cell + used, TEXT_CELL - used, "%s%s",
					 i ? "," : "", text ? text : "");
	}
}

static const struct text_column columns[] = {
	{ "NAME", "name", false, text_plain },
	{ "PROTO", "proto", false, text_plain },
	{ "OUTSIDE", "outside", false, text_plain },
	{ "TO", "to", false, text_plain },
	{ "FROM", "from", false, format_networks },
	{ "ORIGIN", "origin", false, text_plain },
};

/* By name, protocol. */
static int compare(const void *a, const void *b)
{
	struct json_object *one = *(struct json_object *const *)a;
	struct json_object *other = *(struct json_object *const *)b;
	int order =
		strcmp(text_member(one, "name"), text_member(other, "name"));

	return order ? order :
		       strcmp(text_member(one, "proto"),
			      text_member(other, "proto"));
}

void text_forwards(struct json_object *reply, FILE *out)
{
	struct text_context context = { .names = NULL };
	struct json_object *rows = NULL;

	json_object_object_get_ex(reply, "forwards", &rows);
	if (json_object_is_type(rows, json_type_array))
		json_object_array_sort(rows, compare);
	text_table(columns, sizeof(columns) / sizeof(columns[0]), rows,
		   &context, out);
}
