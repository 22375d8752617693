/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Looks at a daemon, and what watch tells of them.
 */
#ifndef PORTICO_TESTS_WATCH_LAB_H
#define PORTICO_TESTS_WATCH_LAB_H

#include <errno.h>

#include "platform/text.h"
#include "platform/watch.h"
#include "suite.h"
#include "text_lab.h"

#define NOON_3 43203 /* 12:00:03 */

#define MAPPING_OF(proto, inside, outside, kind, age, packets, name) \
	"{\"proto\":\"" proto "\",\"inside\":\"" inside \
	"\",\"outside\":\"" outside "\",\"kind\":\"" kind \
	"\",\"sessions\":1,\"age_s\":" #age \
	",\"idle_s\":0,\"expires_s\":300,\"out_packets\":" #packets \
	",\"out_bytes\":2048,\"in_packets\":2,\"in_bytes\":90,\"name\":" name \
	"}"
#define MAPPING(inside, outside, age) \
	MAPPING_OF("tcp", inside, outside, "dynamic", age, 12, "null")
#define MAPPINGS(rows) "{\"mappings\":[" rows "]}"
#define STATUS(uptime, address, drops, warnings) \
	"{\"version\":\"0.1.0\",\"uptime_s\":" #uptime \
	",\"uplink\":{\"device\":\"wan0\",\"address\":" address "}," \
	"\"drops\":{" drops "},\"warnings\":[" warnings "]}"
#define QUIET STATUS(100, "\"203.0.113.7\"", "", "")
#define A_TEXT "tcp 10.0.0.1:5000 by 203.0.113.7:6000"
#define A(age) MAPPING("10.0.0.1:5000", "203.0.113.7:6000", age)
#define B_TEXT "tcp 10.0.0.2:5000 by 203.0.113.7:6000"
#define B(age) MAPPING("10.0.0.2:5000", "203.0.113.7:6000", age)
#define LEFT(age) " after " age ", out 12 packets 2.0KiB, in 2 packets 90B\n"

struct log {
	FILE *out;
	bool json;
};

static inline void note(void *context, struct json_object *event)
{
	struct log *log = context;

	if (log->json)
		fprintf(log->out, "%s\n",
			json_object_to_json_string_ext(
				event, JSON_C_TO_STRING_NOSLASHESCAPE));
	else
		text_watch(event, log->out);
	json_object_put(event);
}

/* A case: looks ms apart, as text and with drops if not said otherwise. */
struct looks {
	const char *replies[4][2]; /* status and mappings; NULL: gone */
	bool broken[4]; /* there are no mappings to be had from it */
	size_t count;
	uint64_t ms;
	bool json, filtered;
	const struct names *names;
};

static inline void look(struct watch *watch, const struct looks *looks,
			size_t i)
{
	struct watch_look one = {
		.status = json_tokener_parse(looks->replies[i][0]),
		.mappings = looks->replies[i][1],
		.names = looks->names,
		.asked_ms = 1000 + i * looks->ms,
		.came_ms = 1000 + i * looks->ms,
		.time_s = NOON_3,
	};

	CU_ASSERT_EQUAL(watch_look(watch, &one),
			looks->broken[i] ? -EBADMSG : 0);
	json_object_put(one.status);
}

static inline void check_looks(const struct looks *looks, const char *expected)
{
	char *text = NULL;
	size_t size;
	struct log log = { .out = open_memstream(&text, &size),
			   .json = looks->json };
	struct watch *watch = watch_new(!looks->filtered, note, &log);

	CU_ASSERT_PTR_NOT_NULL_FATAL(watch);
	for (size_t i = 0; i < looks->count; i++)
		if (looks->replies[i][0])
			look(watch, looks, i);
		else
			CU_ASSERT_EQUAL(watch_gone(watch, NOON_3), 0);
	watch_free(watch);
	fclose(log.out);
	CU_ASSERT_STRING_EQUAL(text, expected);
	if (strcmp(text, expected))
		printf("found:\n%sexpected:\n%s", text, expected);
	free(text);
}

/* Two looks a second apart. */
static inline void check(const char *status, const char *mappings,
			 const char *status_then, const char *mappings_then,
			 const char *expected)
{
	const struct looks looks = {
		.replies = { { status, mappings },
			     { status_then, mappings_then } },
		.count = 2,
		.ms = 1000,
	};

	check_looks(&looks, expected);
}

static inline void check_table(const char *before, const char *after,
			       const char *expected)
{
	check(QUIET, before, QUIET, after, expected);
}

#endif
