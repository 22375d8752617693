/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The answer of `portico why` as text for people: what, which way, what becomes
 * of it, and the reasons, one a line.
 */
#include "text.h"

#include <string.h>

#include "text_table.h"

#define LABEL 9

/* Texts come from the daemon, names from hosts: none steers the terminal. */
static void put(FILE *out, const char *text)
{
	for (; *text; text++)
		fputc((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text,
		      out);
}

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
	put(out, socket);
	if (!name)
		return;
	fputs(" (", out);
	put(out, name);
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
	put(out, text_member(row, "outside"));
	fputs(", ", out);
	put(out, text_member(row, "kind"));
	if (*text_member(row, "name")) {
		fputc(' ', out);
		put(out, text_member(row, "name"));
	}
	fprintf(out, ", %llu sessions",
		(unsigned long long)text_count(row, "sessions"));
	put_expiry(row, out);
}

static void put_session(struct json_object *row, FILE *out)
{
	char cell[TEXT_CELL];

	label("Session", out);
	put(out, text_member(row, "state"));
	fputs(" with ", out);
	put(out, text_member(row, "peer"));
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
		put(out, text ? text : "");
		fputc('\n', out);
	}
}

void text_why(struct json_object *reply, const struct names *names, FILE *out)
{
	struct json_object *why = NULL, *part;

	if (!json_object_object_get_ex(reply, "why", &why))
		return;
	label("Packet", out);
	put(out, text_member(why, "proto"));
	fputc(' ', out);
	put_socket(text_member(why, "source"), names, out);
	fputs(" -> ", out);
	put_socket(text_member(why, "destination"), names, out);
	fputc('\n', out);
	label("Way", out);
	put(out, text_member(why, "way"));
	fputc('\n', out);
	label("Verdict", out);
	put(out, text_member(why, "verdict"));
	if (*text_member(why, "drop")) {
		fputs(": ", out);
		put(out, text_member(why, "drop"));
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
		put(out, text_member(why, "remedy"));
		fputc('\n', out);
	}
}
