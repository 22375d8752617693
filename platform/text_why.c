/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The answer of `portico why` as text for people: what, which way, what becomes
 * of it, and the reasons, one a line.
 */
#include "text.h"

#include <string.h>

#include "text_table.h"

#define LABEL 9

static void label(const char *name, FILE *out)
{
	fprintf(out, "%-*s", LABEL, name);
}

/* "192.168.1.10:5000 (laptop)" */
static void put_socket(const char *socket, const struct names *names, FILE *out)
{
	const char *name = NULL;
	uint32_t addr;
	uint16_t port;

	if (text_parse_socket(socket, &addr, &port))
		name = names_find(names, addr);
	text_put(socket, out);
	if (!name)
		return;
	fputs(" (", out);
	text_put(name, out);
	fputc(')', out);
}

static void put_expiry(struct json_object *row, FILE *out)
{
	struct json_object *expires = NULL;
	char cell[TEXT_CELL];

	json_object_object_get_ex(row, "expires_s", &expires);
	if (expires)
		fprintf(out, ", expires in %s",
			text_duration(text_count(row, "expires_s"), cell));
	fputc('\n', out);
}

static void put_mapping(struct json_object *row, const struct names *names,
			FILE *out)
{
	label("Mapping", out);
	put_socket(text_member(row, "inside"), names, out);
	fputs(" <-> ", out);
	text_put(text_member(row, "outside"), out);
	fputs(", ", out);
	text_put(text_member(row, "kind"), out);
	if (*text_member(row, "name")) {
		fputc(' ', out);
		text_put(text_member(row, "name"), out);
	}
	fprintf(out, ", %llu sessions",
		(unsigned long long)text_count(row, "sessions"));
	put_expiry(row, out);
}

static void put_session(struct json_object *row, FILE *out)
{
	char cell[TEXT_CELL];

	label("Session", out);
	text_put(text_member(row, "state"), out);
	fputs(" with ", out);
	text_put(text_member(row, "peer"), out);
	fprintf(out, ", idle %s",
		text_duration(text_count(row, "idle_s"), cell));
	put_expiry(row, out);
}

static void put_sentences(struct json_object *sentences, FILE *out)
{
	size_t count = json_object_is_type(sentences, json_type_array) ?
			       json_object_array_length(sentences) :
			       0;

	for (size_t i = 0; i < count; i++) {
		const char *text = json_object_get_string(
			json_object_array_get_idx(sentences, i));

		label(i ? "" : "Because", out);
		text_put(text ? text : "", out);
		fputc('\n', out);
	}
}

void text_why(struct json_object *reply, const struct names *names, FILE *out)
{
	struct json_object *why = NULL, *part;

	if (!json_object_object_get_ex(reply, "why", &why))
		return;
	label("Packet", out);
	text_put(text_member(why, "proto"), out);
	fputc(' ', out);
	put_socket(text_member(why, "source"), names, out);
	fputs(" -> ", out);
	put_socket(text_member(why, "destination"), names, out);
	fputc('\n', out);
	label("Way", out);
	text_put(text_member(why, "way"), out);
	fputc('\n', out);
	label("Verdict", out);
	text_put(text_member(why, "verdict"), out);
	if (*text_member(why, "drop")) {
		fputs(": ", out);
		text_put(text_member(why, "drop"), out);
	}
	fputc('\n', out);
	if (json_object_object_get_ex(why, "mapping", &part) && part)
		put_mapping(part, names, out);
	if (json_object_object_get_ex(why, "session", &part) && part)
		put_session(part, out);
	if (json_object_object_get_ex(why, "explanation", &part))
		put_sentences(part, out);
	if (*text_member(why, "remedy")) {
		label("Remedy", out);
		text_put(text_member(why, "remedy"), out);
		fputc('\n', out);
	}
}
