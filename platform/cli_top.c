/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * top: inside hosts by what they send and receive now, which is what two
 * replies of hosts differ by. No keys are read, and the terminal is left in the
 * mode it has: it is ended by a signal.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli.h"
#include "loop.h"
#include "names.h"
#include "replies.h"
#include "text_table.h"

#define INTERVAL_S 2
#define CLEAR "\033[H\033[J"

/* --- rates --------------------------------------------------------------- */

static struct json_object *list(struct json_object *reply)
{
	return text_part(reply, "hosts", json_type_array);
}

/* The rows of a reply by address. */
static struct json_object *index_of(struct json_object *reply)
{
	struct json_object *rows = list(reply);
	struct json_object *index = json_object_new_object();
	size_t count = rows ? json_object_array_length(rows) : 0;

	for (size_t i = 0; index && i < count; i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		json_object_object_add(index, text_member(row, "address"),
				       json_object_get(row));
	}
	return index;
}

/* How much of it a second, times scale. A counter that went back is of a host
 * that was forgotten, or of another daemon: what came in between is unknown. A
 * host that was not there (NULL) began at 0. */
static uint64_t rate(struct json_object *before, struct json_object *after,
		     const char *key, uint64_t ms, unsigned scale)
{
	uint64_t was = before ? text_count(before, key) : 0;
	uint64_t now = text_count(after, key);
	uint64_t more = now > was ? now - was : 0;
	uint64_t factor = 1000ULL * scale;

	return more / ms * factor + more % ms * factor / ms;
}

static struct json_object *rates_of(struct json_object *before,
				    struct json_object *after, uint64_t ms)
{
	static const struct {
		const char *name, *counter;
		unsigned scale;
	} rates[] = {
		{ "out_bits_per_s", "out_bytes", 8 },
		{ "in_bits_per_s", "in_bytes", 8 },
		{ "out_packets_per_s", "out_packets", 1 },
		{ "in_packets_per_s", "in_packets", 1 },
	};
	static const char *const kept[] = { "mappings", "sessions", "refused" };
	struct json_object *row = json_object_new_object();
	struct json_object *name = NULL;

	if (!row)
		return NULL;
	json_object_object_get_ex(after, "name", &name);
	json_object_object_add(
		row, "address",
		json_object_new_string(text_member(after, "address")));
	json_object_object_add(row, "name", json_object_get(name));
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
		json_object_object_add(row, rates[i].name,
				       json_object_new_uint64(rate(
					       before, after, rates[i].counter,
					       ms, rates[i].scale)));
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		json_object_object_add(
			row, kept[i],
			json_object_new_uint64(text_count(after, kept[i])));
	return row;
}

static uint64_t bits(struct json_object *row)
{
	return text_count(row, "out_bits_per_s") +
	       text_count(row, "in_bits_per_s");
}

/* The largest first, then by address. */
static int compare(const void *a, const void *b)
{
	struct json_object *one = *(struct json_object *const *)a;
	struct json_object *other = *(struct json_object *const *)b;
	uint32_t addr[2] = { 0 };
	uint16_t port;

	if (bits(one) != bits(other))
		return bits(one) > bits(other) ? -1 : 1;
	text_parse_socket(text_member(one, "address"), &addr[0], &port);
	text_parse_socket(text_member(other, "address"), &addr[1], &port);
	return (addr[0] > addr[1]) - (addr[0] < addr[1]);
}

static struct json_object *report_of(struct json_object *hosts, uint64_t ms)
{
	struct json_object *report = json_object_new_object();
	struct json_object *top = json_object_new_object();
	char seconds[32];

	if (!report || !top) {
		json_object_put(report);
		json_object_put(top);
		json_object_put(hosts);
		return NULL;
	}
	snprintf(seconds, sizeof(seconds), "%llu.%03u",
		 (unsigned long long)(ms / 1000), (unsigned)(ms % 1000));
	json_object_object_add(top, "seconds",
			       json_object_new_double_s((double)ms / 1000,
							seconds));
	json_object_object_add(top, "hosts", hosts);
	json_object_object_add(report, "top", top);
	return report;
}

struct json_object *replies_top(struct json_object *before,
				struct json_object *after, uint64_t ms)
{
	struct json_object *index = index_of(before);
	struct json_object *hosts = json_object_new_array();
	struct json_object *rows = list(after);
	size_t count = rows ? json_object_array_length(rows) : 0;

	ms = ms ? ms : 1;
	for (size_t i = 0; hosts && i < count; i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		struct json_object *was = NULL;

		json_object_object_get_ex(index, text_member(row, "address"),
					  &was);
		json_object_array_add(hosts, rates_of(was, row, ms));
	}
	json_object_put(index);
	if (!index || !hosts) {
		json_object_put(hosts);
		return NULL;
	}
	json_object_array_sort(hosts, compare);
	return report_of(hosts, ms);
}

/* --- reports ------------------------------------------------------------- */

struct top {
	struct cli request;
	struct cli_pace pace;
};

/* A reply, and when it came. */
struct sample {
	struct json_object *hosts; /* NULL: none */
	uint64_t ms;
};

static enum cli_exit take(const struct top *top, struct sample *sample)
{
	enum cli_exit code = cli_fetch(&top->request, &sample->hosts);

	sample->ms = loop_clock_ms();
	return code;
}

/* As much as the terminal has room for. */
static void show_window(struct json_object *report, const struct names *names)
{
	struct winsize size = { 0 };
	char *text = NULL;
	size_t length = 0;
	FILE *stream = open_memstream(&text, &length);

	if (!stream)
		return;
	text_top(report, names, stream);
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_row ||
	    !size.ws_col)
		size = (struct winsize){ .ws_row = 24, .ws_col = 80 };
	if (!fclose(stream) && text)
		text_window(text, size.ws_row, size.ws_col, stdout);
	free(text);
}

static enum cli_exit show(const struct top *top, struct json_object *report)
{
	struct names *names;

	if (!report)
		return cli_fail(CLI_FAILED, "no memory");
	if (top->request.json)
		return cli_print_json(json_object_get(report));
	names = names_load();
	if (top->pace.terminal)
		show_window(report, names);
	else
		text_top(report, names, stdout);
	names_free(names);
	return CLI_OK;
}

/* Reports of what came between samples. At a terminal a daemon that is away is
 * waited for: what it counted before says nothing about what it counts then. */
static enum cli_exit watch(const struct top *top, struct sample *last)
{
	enum cli_exit code = CLI_OK;
	unsigned done = 0;

	while (!code && !ferror(stdout) &&
	       (!top->pace.count || done < top->pace.count)) {
		struct sample now;
		struct json_object *report;

		sleep(top->pace.interval_s);
		if (top->pace.terminal && !last->hosts)
			fputs(CLEAR, stdout);
		fflush(stdout);
		code = take(top, &now);
		if (!code && last->hosts) {
			report = replies_top(last->hosts, now.hosts,
					     now.ms - last->ms);
			code = show(top, report);
			json_object_put(report);
			done++;
			fflush(stdout);
		} else {
			code = cli_go_on(&top->pace, code);
		}
		json_object_put(last->hosts);
		*last = now;
	}
	return code;
}

enum cli_exit cli_top(const struct cli *cli)
{
	struct top top = { .request = *cli };
	struct sample last;
	enum cli_exit code;

	top.request.command = "hosts";
	code = cli_read_pace(cli, INTERVAL_S, &top.pace);
	if (code)
		return code;
	if (!cli->count && !top.pace.terminal)
		top.pace.count = 1;
	code = take(&top, &last);
	if (code)
		return code;
	if (top.pace.terminal)
		printf(CLEAR "Measuring for %us\n", top.pace.interval_s);
	code = watch(&top, &last);
	json_object_put(last.hosts);
	return code;
}
