/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Events of watch as text for people, a line each.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "text_table.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void put_member(const char *before, struct json_object *event,
		       const char *key, const char *after, FILE *out)
{
	const char *text = text_member(event, key);

	if (!*text)
		return;
	fputs(before, out);
	text_put(text, out);
	fputs(after, out);
}

static void print_mapping(struct json_object *event, FILE *out)
{
	put_member("", event, "proto", " ", out);
	put_member("", event, "inside", "", out);
	put_member(" (", event, "host_name", ")", out);
	put_member(" by ", event, "outside", "", out);
	put_member(", forward ", event, "name", "", out);
}

static void print_use(const char *way, struct json_object *event,
		      const char *packets, const char *bytes, FILE *out)
{
	char cell[TEXT_CELL];

	fprintf(out, ", %s %" PRIu64 " packets %s", way,
		text_count(event, packets),
		text_bytes(text_count(event, bytes), cell));
}

static void print_ended(struct json_object *event, FILE *out)
{
	char cell[TEXT_CELL];

	print_mapping(event, out);
	fprintf(out, " after %s",
		text_duration(text_count(event, "age_s"), cell));
	print_use("out", event, "out_packets", "out_bytes", out);
	print_use("in", event, "in_packets", "in_bytes", out);
}

static void print_dropped(struct json_object *event, FILE *out)
{
	const char *help = text_drop_help(text_member(event, "reason"));

	fprintf(out, "%" PRIu64, text_count(event, "packets"));
	put_member(" ", event, "reason", "", out);
	fprintf(out, "%s%s", *help ? ": " : "", help);
}

static void print_warning(struct json_object *event, FILE *out)
{
	put_member("", event, "text", "", out);
}

static void print_address(struct json_object *event, FILE *out)
{
	put_member("", event, "device", ": ", out);
	text_put(*text_member(event, "address") ?
			 text_member(event, "address") :
			 "none",
		 out);
	put_member(", was ", event, "was", "", out);
}

static void print_restarted(struct json_object *event, FILE *out)
{
	char cell[TEXT_CELL];

	put_member("porticod ", event, "version", ", ", out);
	fprintf(out, "%s ago",
		text_duration(text_count(event, "uptime_s"), cell));
}

static void print_gone(struct json_object *event, FILE *out)
{
	(void)event;
	fputs("no daemon answers", out);
}

static void print_back(struct json_object *event, FILE *out)
{
	(void)event;
	fputs("the daemon answers again", out);
}

static const struct {
	const char *event;
	const char *word; /* at most as long as there are columns for it */
	void (*print)(struct json_object *event, FILE *out);
} kinds[] = {
	{ "began", "began", print_mapping },
	{ "ended", "ended", print_ended },
	{ "dropped", "dropped", print_dropped },
	{ "warning", "warning", print_warning },
	{ "warning_over", "over", print_warning },
	{ "address", "address", print_address },
	{ "restarted", "restart", print_restarted },
	{ "gone", "gone", print_gone },
	{ "back", "back", print_back },
};

static void print_time(struct json_object *event, FILE *out)
{
	time_t since = (time_t)text_count(event, "time");
	char text[16] = "";
	struct tm local;

	if (localtime_r(&since, &local))
		strftime(text, sizeof(text), "%H:%M:%S", &local);
	fputs(text, out);
}

void text_watch(struct json_object *event, FILE *out)
{
	const char *name = text_member(event, "event");

	for (size_t i = 0; i < COUNT(kinds); i++) {
		if (strcmp(kinds[i].event, name))
			continue;
		print_time(event, out);
		fprintf(out, " %-7s ", kinds[i].word);
		kinds[i].print(event, out);
		fputc('\n', out);
	}
}
