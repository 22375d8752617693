/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * status as text for people: small tables, made of the reply's parts.
 */
#include <inttypes.h>
#include <string.h>

#include "portico/nat.h"
#include "text_table.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct json_object *part(struct json_object *reply, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(reply, key, &value);
	return value;
}

/* A new row of an array: {"what": what}. */
static struct json_object *add_row(struct json_object *rows, const char *what)
{
	struct json_object *row = json_object_new_object();

	if (!row)
		return NULL;
	json_object_object_add(row, "what", json_object_new_string(what));
	json_object_array_add(rows, row);
	return row;
}

/* Copies from[key] to row[as]. */
static void take(struct json_object *row, const char *as,
		 struct json_object *from, const char *key)
{
	struct json_object *value = part(from, key);

	if (row && value)
		json_object_object_add(row, as, json_object_get(value));
}

static void print_rows(const struct text_column *columns, size_t count,
		       struct json_object *rows, FILE *out)
{
	struct text_context context = { 0 };

	fputc('\n', out);
	text_table(columns, count, rows, &context, out);
	json_object_put(rows);
}

static void print_head(struct json_object *reply, FILE *out)
{
	struct json_object *uplink = part(reply, "uplink");
	const char *address = text_member(uplink, "address");
	const char *backend = text_member(reply, "backend");
	char cell[TEXT_CELL];

	fputs("Portico ", out);
	text_put(text_member(reply, "version"), out);
	fprintf(out, ", up %s",
		text_duration(text_count(reply, "uptime_s"), cell));
	fputs(*backend ? ", rules by " : "", out);
	text_put(backend, out);
	fputs("\nUplink ", out);
	text_put(text_member(uplink, "device"), out);
	fputs(*address ? ", address " : ", no address yet", out);
	text_put(address, out);
	fputc('\n', out);
}

static void print_use(struct json_object *reply, FILE *out)
{
	static const char *const tables[] = { "mappings", "sessions", "hosts",
					      "tagged_sessions" };
	static const struct text_column columns[] = {
		{ "TABLE", "what", false, text_plain },
		{ "USED", "used", true, text_plain },
		{ "LIMIT", "limit", true, text_plain },
	};
	struct json_object *rows = json_object_new_array();

	for (size_t i = 0; i < COUNT(tables); i++) {
		struct json_object *row = add_row(rows, tables[i]);

		take(row, "used", part(reply, tables[i]), "used");
		take(row, "limit", part(reply, tables[i]), "limit");
	}
	print_rows(columns, COUNT(columns), rows, out);
}

static void print_ports(struct json_object *reply, FILE *out)
{
	static const struct text_column columns[] = {
		{ "PORTS", "what", false, text_plain },
		{ "USED", "used", true, text_plain },
		{ "HELD", "held", true, text_plain },
		{ "TOTAL", "total", true, text_plain },
	};
	struct json_object *rows = json_object_new_array();

	for (int i = 0; i < NAT_POOLS; i++) {
		const char *name = nat_pool_name((enum nat_pool)i);
		struct json_object *pool = part(part(reply, "ports"), name);
		struct json_object *row = add_row(rows, name);

		take(row, "used", pool, "used");
		take(row, "held", pool, "held");
		take(row, "total", pool, "total");
	}
	print_rows(columns, COUNT(columns), rows, out);
}

static void print_packets(struct json_object *reply, FILE *out)
{
	static const char *const kinds[] = { "outbound", "inbound", "hairpin",
					     "untouched" };
	static const struct text_column columns[] = {
		{ "TRAFFIC", "what", false, text_plain },
		{ "PACKETS", "packets", true, text_plain },
		{ "BYTES", "bytes", true, text_size },
	};
	struct json_object *rows = json_object_new_array();

	for (size_t i = 0; i < COUNT(kinds); i++) {
		struct json_object *row = add_row(rows, kinds[i]);

		take(row, "packets", part(reply, "packets"), kinds[i]);
		take(row, "bytes", part(reply, "bytes"), kinds[i]);
	}
	print_rows(columns, COUNT(columns), rows, out);
}

const char *text_drop_help(const char *name)
{
	for (int i = NAT_DROP_NONE + 1; i < NAT_DROPS; i++)
		if (!strcmp(nat_drop_name((enum nat_drop)i), name))
			return nat_drop_help((enum nat_drop)i);
	return "";
}

/* Nothing when nothing was dropped. */
static void print_drops(struct json_object *reply, FILE *out)
{
	static const struct text_column columns[] = {
		{ "DROPPED", "what", false, text_plain },
		{ "PACKETS", "packets", true, text_plain },
		{ "WHY", "why", false, text_plain },
	};
	struct json_object *drops = part(reply, "drops");
	struct json_object *rows;

	if (!json_object_is_type(drops, json_type_object) ||
	    !json_object_object_length(drops))
		return;
	rows = json_object_new_array();
	json_object_object_foreach(drops, name, count) {
		struct json_object *row = add_row(rows, name);

		(void)count;
		take(row, "packets", drops, name);
		if (row)
			json_object_object_add(
				row, "why",
				json_object_new_string(text_drop_help(name)));
	}
	print_rows(columns, COUNT(columns), rows, out);
}

static uint64_t lane_lost(struct json_object *lane)
{
	return text_count(lane, "dropped") + text_count(lane, "user_dropped");
}

static void print_fast_path(struct json_object *fast, FILE *out)
{
	struct json_object *sessions = part(fast, "sessions");
	const char *reason = text_member(fast, "reason");

	/* Of an earlier daemon. */
	if (!text_count(sessions, "limit") && !reason[0])
		return;
	if (reason[0] && !text_count(fast, "devices")) {
		fputs("Fast path: none: ", out);
		text_put(reason, out);
		fputc('\n', out);
		return;
	}
	fprintf(out,
		"Fast path: %" PRIu64 " of %" PRIu64 " sessions, %" PRIu64
		" packets carried by the kernel, %" PRIu64
		" times no room, at %" PRIu64 " devices%s",
		text_count(sessions, "used"), text_count(sessions, "limit"),
		text_count(fast, "packets"), text_count(fast, "no_room"),
		text_count(fast, "devices"), reason[0] ? "; " : "");
	text_put(reason, out);
	fputc('\n', out);
}

static void print_queue(struct json_object *reply, FILE *out)
{
	struct json_object *queue = part(reply, "queue");
	bool gso = json_object_get_boolean(part(queue, "gso"));
	uint64_t opening = lane_lost(part(queue, "opening"));
	uint64_t following = lane_lost(part(queue, "following"));

	fprintf(out,
		"\nQueues: %" PRIu64 " waiting, of %" PRIu64 " each, %" PRIu64
		" dropped when full, %" PRIu64 " at the socket, GSO %s\n",
		text_count(queue, "waiting"), text_count(queue, "length"),
		text_count(queue, "dropped"), text_count(queue, "user_dropped"),
		gso ? "on" : "off");
	print_fast_path(part(reply, "fast_path"), out);
	if (opening || following)
		fprintf(out,
			"Lost by overload: %" PRIu64
			" that may have begun a flow, %" PRIu64
			" of connections\n",
			opening, following);
}

static void print_warnings(struct json_object *reply, FILE *out)
{
	struct json_object *warnings = part(reply, "warnings");
	size_t count = json_object_is_type(warnings, json_type_array) ?
			       json_object_array_length(warnings) :
			       0;

	if (count)
		fprintf(out, "\nWarnings:\n");
	for (size_t i = 0; i < count; i++) {
		const char *text = json_object_get_string(
			json_object_array_get_idx(warnings, i));

		fputs("  ", out);
		text_put(text ? text : "", out);
		fputc('\n', out);
	}
}

void text_status(struct json_object *reply, FILE *out)
{
	print_head(reply, out);
	print_use(reply, out);
	print_ports(reply, out);
	print_packets(reply, out);
	print_drops(reply, out);
	print_queue(reply, out);
	print_warnings(reply, out);
}
