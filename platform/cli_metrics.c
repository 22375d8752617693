/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * metrics: status in the text format of Prometheus, version 0.0.4. Names and
 * labels are those of OpenWrt's collectors (openwrt/portico/files); no label
 * names a host, as hosts come and go.
 */
#include <inttypes.h>
#include <string.h>

#include "cli.h"
#include "text_table.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PATH_MAX_KEYS 3

static const struct single {
	const char *name;
	const char *help;
	const char *path[PATH_MAX_KEYS]; /* keys that lead to the number */
} singles[] = {
	{ "portico_uptime_seconds", "Age of the daemon.", { "uptime_s" } },
	{ "portico_mappings", "Mappings in use.", { "mappings", "used" } },
	{ "portico_mappings_limit",
	  "Room for mappings.",
	  { "mappings", "limit" } },
	{ "portico_sessions", "Sessions in use.", { "sessions", "used" } },
	{ "portico_sessions_limit",
	  "Room for sessions.",
	  { "sessions", "limit" } },
	{ "portico_hosts", "Inside hosts known.", { "hosts", "used" } },
	{ "portico_hosts_limit",
	  "Room for inside hosts.",
	  { "hosts", "limit" } },
	{ "portico_queue_waiting",
	  "Packets in the queue now.",
	  { "queue", "waiting" } },
	{ "portico_queue_packets_total",
	  "Packets taken from the queue.",
	  { "queue", "packets" } },
	{ "portico_held_overflow_total",
	  "Ports given free before their rest was over.",
	  { "held_overflow" } },
	{ "portico_icmp_suppressed_total",
	  "ICMP errors not made, for their limits.",
	  { "icmp_suppressed" } },
	{ "portico_moves_total",
	  "How often the uplink took another address.",
	  { "moves", "count" } },
	{ "portico_fast_path_sessions",
	  "Sessions that the kernel carries now.",
	  { "fast_path", "sessions", "used" } },
	{ "portico_fast_path_sessions_limit",
	  "Sessions that the kernel may carry, 0 without the fast path.",
	  { "fast_path", "sessions", "limit" } },
	{ "portico_fast_path_packets_total",
	  "Packets the kernel carried.",
	  { "fast_path", "packets" } },
	{ "portico_fast_path_bytes_total",
	  "Bytes the kernel carried.",
	  { "fast_path", "bytes" } },
	{ "portico_fast_path_no_room_total",
	  "Sessions the kernel had no room for.",
	  { "fast_path", "no_room" } },
};

/* One sample for each member of an object. */
static const struct labelled {
	const char *name;
	const char *help;
	const char *label;
	const char *key;
} labelled[] = {
	{ "portico_packets_total", "Packets by direction.", "direction",
	  "packets" },
	{ "portico_bytes_total", "Bytes by direction.", "direction", "bytes" },
	{ "portico_drops_total", "Packets refused, by reason.", "reason",
	  "drops" },
};

/* --- the format ---------------------------------------------------------- */

/* Counters, and only they, end in _total. */
static const char *type_of(const char *name)
{
	static const char suffix[] = "_total";
	size_t length = strlen(name), tail = sizeof(suffix) - 1;

	return length > tail && !strcmp(name + length - tail, suffix) ?
		       "counter" :
		       "gauge";
}

static void print_head(const char *name, const char *help, FILE *out)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
		type_of(name));
}

static void print_label(const char *label, const char *value, FILE *out)
{
	fprintf(out, "%s=\"", label);
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			fprintf(out, "\\%c", *value);
		else if (*value == '\n')
			fputs("\\n", out);
		else
			fputc(*value, out);
	}
	fputc('"', out);
}

static void print_value(struct json_object *value, FILE *out)
{
	fprintf(out, " %" PRIu64 "\n", json_object_get_uint64(value));
}

/* --- what the status says ------------------------------------------------ */

/* NULL: this daemon does not say it. */
static struct json_object *number(struct json_object *object, const char *key)
{
	return text_part(object, key, json_type_int);
}

/* The first name behind this one, by letter; NULL: there is none. */
static const char *next_name(struct json_object *object, const char *name)
{
	const char *next = NULL;

	json_object_object_foreach(object, key, value) {
		(void)value;
		if (strcmp(key, name) > 0 && (!next || strcmp(key, next) < 0))
			next = key;
	}
	return next;
}

static void print_single(const struct single *metric,
			 struct json_object *status, FILE *out)
{
	const char *const *path = metric->path;
	size_t last = 0;
	struct json_object *value;

	while (last + 1 < PATH_MAX_KEYS && path[last + 1])
		status = text_part(status, path[last++], json_type_object);
	value = number(status, path[last]);
	if (!value)
		return;
	print_head(metric->name, metric->help, out);
	fputs(metric->name, out);
	print_value(value, out);
}

static void print_labelled(const struct labelled *metric,
			   struct json_object *status, FILE *out)
{
	struct json_object *object =
		text_part(status, metric->key, json_type_object);

	if (!object)
		return;
	print_head(metric->name, metric->help, out);
	for (const char *name = ""; (name = next_name(object, name));) {
		struct json_object *value = number(object, name);

		if (!value)
			continue;
		fprintf(out, "%s{", metric->name);
		print_label(metric->label, name, out);
		fputc('}', out);
		print_value(value, out);
	}
}

static void print_pool(const char *proto, struct json_object *pool, FILE *out)
{
	static const char *const states[] = { "used", "held", "total" };

	for (size_t i = 0; i < COUNT(states); i++) {
		struct json_object *value = number(pool, states[i]);

		if (!value)
			continue;
		fputs("portico_ports{", out);
		print_label("proto", proto, out);
		fprintf(out, ",state=\"%s\"}", states[i]);
		print_value(value, out);
	}
}

static void print_ports(struct json_object *status, FILE *out)
{
	struct json_object *ports =
		text_part(status, "ports", json_type_object);

	if (!ports)
		return;
	print_head("portico_ports",
		   "Outside ports: by dynamic mappings, resting, in all.", out);
	for (const char *proto = ""; (proto = next_name(ports, proto));)
		print_pool(proto, text_part(ports, proto, json_type_object),
			   out);
}

static void print_losses(struct json_object *status, FILE *out)
{
	static const char *const losses[][2] = {
		{ "queue", "dropped" },
		{ "socket", "user_dropped" },
	};
	struct json_object *queue =
		text_part(status, "queue", json_type_object);

	if (!queue)
		return;
	print_head("portico_queue_dropped_total",
		   "Packets lost as the queue or its socket was full.", out);
	for (size_t i = 0; i < COUNT(losses); i++) {
		struct json_object *value = number(queue, losses[i][1]);

		if (!value)
			continue;
		fprintf(out, "portico_queue_dropped_total{where=\"%s\"}",
			losses[i][0]);
		print_value(value, out);
	}
}

static void print_warnings(struct json_object *status, FILE *out)
{
	struct json_object *warnings =
		text_part(status, "warnings", json_type_array);

	if (!warnings)
		return;
	print_head("portico_warnings", "Warnings in the status.", out);
	fprintf(out, "portico_warnings %zu\n",
		(size_t)json_object_array_length(warnings));
}

void text_metrics(struct json_object *status, FILE *out)
{
	print_head("portico_up", "Whether the daemon gave its status.", out);
	fprintf(out, "portico_up %d\n", status != NULL);
	if (!status)
		return;
	for (size_t i = 0; i < COUNT(singles); i++)
		print_single(&singles[i], status, out);
	for (size_t i = 0; i < COUNT(labelled); i++)
		print_labelled(&labelled[i], status, out);
	print_ports(status, out);
	print_losses(status, out);
	print_warnings(status, out);
}

/* As the collectors: portico_up is 0 whatever kept the status away; the exit
 * status tells what it was. */
enum cli_exit cli_metrics(const struct cli *cli)
{
	struct cli ask = *cli;
	struct json_object *status;
	enum cli_exit code;

	if (cli->json)
		return cli_fail(CLI_USAGE, "metrics has a format of its own, "
					   "it takes no --json");
	ask.command = "status";
	code = cli_ask(&ask, false, &status);
	text_metrics(status, stdout);
	json_object_put(status);
	return code;
}
