/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * watch: what two looks differ by, as JSON and as text.
 */
#include <unistd.h>

#include "platform/names.h"
#include "platform/text.h"
#include "platform/views.h"
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

static void note(void *context, struct json_object *event)
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
	size_t count;
	uint64_t ms;
	bool json, filtered;
	const struct names *names;
};

static void look(struct watch *watch, const struct looks *looks, size_t i)
{
	struct watch_look one = {
		.status = json_tokener_parse(looks->replies[i][0]),
		.mappings = looks->replies[i][1],
		.names = looks->names,
		.asked_ms = 1000 + i * looks->ms,
		.came_ms = 1000 + i * looks->ms,
		.time_s = NOON_3,
	};

	CU_ASSERT_EQUAL(watch_look(watch, &one), 0);
	json_object_put(one.status);
}

static void check_looks(const struct looks *looks, const char *expected)
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
static void check(const char *status, const char *mappings,
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

static void check_table(const char *before, const char *after,
			const char *expected)
{
	check(QUIET, before, QUIET, after, expected);
}

/* --- mappings ------------------------------------------------------------ */

static void test_first(void)
{
	const struct looks first = {
		.replies = { { STATUS(9, "null", "\"martian\":7", "\"w\""),
			       MAPPINGS(A(1) "," B(2)) } },
		.count = 1,
	};

	check_looks(&first, "");
}

static void test_begin_and_end(void)
{
	check_table(MAPPINGS(""), MAPPINGS(A(0)),
		    "12:00:03 began   " A_TEXT "\n");
	check_table(MAPPINGS(A(65)), MAPPINGS(""),
		    "12:00:03 ended   " A_TEXT LEFT("1m05s"));
	check_table(MAPPINGS(A(65)), MAPPINGS(A(66)), "");
	/* What had the port ends before another one has it. */
	check_table(MAPPINGS(A(65)), MAPPINGS(B(0)),
		    "12:00:03 ended   " A_TEXT LEFT(
			    "1m05s") "12:00:03 began   " B_TEXT "\n");
}

static void test_kinds(void)
{
	check_table(MAPPINGS(MAPPING_OF("udp", "10.0.0.1:80", "203.0.113.7:80",
					"dynamic", 5, 12, "null")),
		    MAPPINGS(MAPPING_OF("udp", "10.0.0.1:80", "203.0.113.7:80",
					"forward", 6, 0, "\"web\"")),
		    "12:00:03 ended   udp 10.0.0.1:80 by 203.0.113.7:80" LEFT(
			    "5s") "12:00:03 began   udp 10.0.0.1:80 by "
				  "203.0.113.7:80, forward web\n");
}

static void test_lives(void)
{
	struct looks looks = {
		.replies = { { QUIET, MAPPINGS(A(65)) },
			     { QUIET, MAPPINGS(A(64)) } },
		.count = 2,
		.ms = 1000,
	};
	static const char anew[] = "12:00:03 ended   " A_TEXT LEFT(
		"1m05s") "12:00:03 began   " A_TEXT "\n";

	check_looks(&looks, anew);
	/* Older than before, but not by as much as passed. */
	looks.replies[1][0] = STATUS(160, "\"203.0.113.7\"", "", "");
	looks.replies[1][1] = MAPPINGS(A(70));
	looks.ms = 60000;
	check_looks(&looks, anew);
	looks.replies[1][1] = MAPPINGS(A(123));
	check_looks(&looks, "");
	/* Two rows of one look, made while it ended. */
	looks.replies[1][1] = MAPPINGS(A(125) "," A(0));
	check_looks(&looks, anew);
	looks.replies[2][0] = STATUS(220, "\"203.0.113.7\"", "", "");
	looks.replies[2][1] = MAPPINGS(A(60));
	looks.count = 3;
	check_looks(&looks, anew);
}

static void test_numbers_of_the_end(void)
{
	const struct looks looks = {
		.replies = { { QUIET, MAPPINGS(A(1)) },
			     { QUIET, MAPPINGS(MAPPING_OF(
					      "tcp", "10.0.0.1:5000",
					      "203.0.113.7:6000", "dynamic", 2,
					      500, "null")) },
			     { QUIET, MAPPINGS("") } },
		.count = 3,
		.ms = 1000,
	};

	check_looks(&looks, "12:00:03 ended   " A_TEXT
			    " after 2s, out 500 packets 2.0KiB, in 2 packets "
			    "90B\n");
}

static struct names *leases(void)
{
	char path[] = "/tmp/portico-watch-XXXXXX";
	int fd = mkstemp(path);
	FILE *file = fdopen(fd, "w");
	const char *const files[] = { path, NULL };
	struct names *names;

	fputs("1 02:00:00:00:00:01 10.0.0.1 laptop *\n", file);
	fclose(file);
	names = names_read(files);
	unlink(path);
	return names;
}

static void test_json(void)
{
	struct names *names = leases();
	struct looks looks = {
		.replies = { { QUIET, MAPPINGS("") }, { QUIET, NULL } },
		.count = 2,
		.ms = 1000,
		.names = names,
	};

	looks.replies[1][1] = MAPPINGS(A(0));
	check_looks(&looks, "12:00:03 began   tcp 10.0.0.1:5000 (laptop) by "
			    "203.0.113.7:6000\n");
	looks.json = true;
	check_looks(&looks,
		    "{\"time\":43203,\"event\":\"began\",\"proto\":\"tcp\","
		    "\"inside\":\"10.0.0.1:5000\","
		    "\"outside\":\"203.0.113.7:6000\",\"kind\":\"dynamic\","
		    "\"sessions\":1,\"age_s\":0,\"idle_s\":0,"
		    "\"expires_s\":300,\"out_packets\":12,"
		    "\"out_bytes\":2048,\"in_packets\":2,\"in_bytes\":90,"
		    "\"name\":null,\"host_name\":\"laptop\"}\n");
	names_free(names);
}

/* The last event. */
static void keep(void *context, struct json_object *event)
{
	struct json_object **kept = context;

	json_object_put(*kept);
	*kept = event;
}

/* Whatever the daemon says of a mapping. */
static void test_members(void)
{
	const struct nat_mapping_view view = {
		.proto = 132,
		.kind = NAT_KIND_FORWARD,
		.inside_addr = 0xffffffff,
		.inside_port = 65535,
		.outside_addr = 0xffffffff,
		.outside_port = 65535,
		.expires_ms = NAT_NEVER,
		.counters = { UINT64_MAX - 1, 2, 3, 4 },
		.name = "a-name-of-as-many-as-31-letters",
	};
	struct json_object *row = views_mapping(&view), *event = NULL;
	struct watch *watch = watch_new(true, keep, &event);
	struct watch_look one = { .status = json_tokener_parse(QUIET),
				  .mappings = MAPPINGS("") };
	char text[512];

	CU_ASSERT_EQUAL(watch_look(watch, &one), 0);
	snprintf(text, sizeof(text), "{\"mappings\":[%s]}",
		 json_object_to_json_string_ext(row, 0));
	one.mappings = text;
	CU_ASSERT_EQUAL(watch_look(watch, &one), 0);
	json_object_object_foreach(row, key, value) {
		struct json_object *told = NULL;

		CU_ASSERT_TRUE(json_object_object_get_ex(event, key, &told));
		CU_ASSERT_TRUE(json_object_equal(told, value));
	}
	CU_ASSERT_EQUAL(json_object_object_length(event),
			json_object_object_length(row) + 3);
	json_object_put(event);
	json_object_put(row);
	json_object_put(one.status);
	watch_free(watch);
}

/* --- the daemon ---------------------------------------------------------- */

static void check_status(const char *before, const char *after,
			 const char *expected)
{
	check(before, MAPPINGS(""), after, MAPPINGS(""), expected);
}

static void test_drops(void)
{
	static const char before[] = STATUS(9, "null", "\"martian\":7", "");
	static const char after[] =
		STATUS(10, "null", "\"martian\":7,\"no_session\":3", "");
	struct looks looks = { .replies = { { before, MAPPINGS("") },
					    { after, MAPPINGS("") } },
			       .count = 2,
			       .filtered = true };

	check_status(before, after,
		     "12:00:03 dropped 3 no_session: belongs to no connection "
		     "this gateway knows\n");
	check_status(before, STATUS(10, "null", "\"martian\":9,\"new\":1", ""),
		     "12:00:03 dropped 2 martian: an address that must not "
		     "cross a gateway\n12:00:03 dropped 1 new\n");
	check_status(after, before,
		     "12:00:03 restart porticod 0.1.0, 9s ago\n"
		     "12:00:03 dropped 7 martian: an address "
		     "that must not cross a gateway\n");
	check_looks(&looks, "");
	looks.filtered = false;
	looks.json = true;
	check_looks(&looks, "{\"time\":43203,\"event\":\"dropped\","
			    "\"reason\":\"no_session\",\"packets\":3}\n");
}

static void test_warnings(void)
{
	check_status(STATUS(9, "null", "", "\"one\",\"two\""),
		     STATUS(10, "null", "", "\"two\",\"three\\u009b2J\""),
		     "12:00:03 over    one\n12:00:03 warning three?2J\n");
	/* Those that count are told once. */
	check_status(STATUS(9, "null", "", "\"lost 9 of 20\",\"port 80\""),
		     STATUS(10, "null", "", "\"lost 17 of 2000\""),
		     "12:00:03 over    port 80\n");
	check_status(STATUS(9, "null", "", "\"port 80\",\"port 81\""),
		     STATUS(10, "null", "", "\"port 81\""),
		     "12:00:03 over    port 80\n");
	check_status(STATUS(9, "null", "", "\"a1\",\"a\",\"7\""),
		     STATUS(10, "null", "", "\"ab\",\"a22b\""),
		     "12:00:03 over    a1\n12:00:03 over    a\n"
		     "12:00:03 over    7\n12:00:03 warning ab\n"
		     "12:00:03 warning a22b\n");
}

static void test_address(void)
{
	check_status(STATUS(9, "\"203.0.113.7\"", "", ""),
		     STATUS(10, "\"203.0.113.8\"", "", ""),
		     "12:00:03 address wan0: 203.0.113.8, was 203.0.113.7\n");
	check_status(STATUS(9, "\"203.0.113.7\"", "", ""),
		     STATUS(10, "null", "", ""),
		     "12:00:03 address wan0: none, was 203.0.113.7\n");
	check_status(STATUS(9, "null", "", ""),
		     STATUS(10, "\"203.0.113.7\"", "", ""),
		     "12:00:03 address wan0: 203.0.113.7\n");
	/* All mappings go along. */
	check_table(MAPPINGS(A(5)),
		    MAPPINGS(MAPPING("10.0.0.1:5000", "203.0.113.8:6000", 6)),
		    "");
}

static void test_gone(void)
{
	struct looks looks = {
		.replies = { { QUIET, MAPPINGS(A(50)) },
			     { NULL },
			     { NULL },
			     { QUIET, MAPPINGS(A(52)) } },
		.count = 4,
	};

	check_looks(&looks, "12:00:03 gone    no daemon answers\n"
			    "12:00:03 back    the daemon answers again\n");
	looks.replies[3][0] = STATUS(2, "\"203.0.113.7\"", "", "");
	check_looks(&looks, "12:00:03 gone    no daemon answers\n"
			    "12:00:03 restart porticod 0.1.0, 2s ago\n");
	looks.replies[0][0] = NULL;
	looks.count = 2;
	check_looks(&looks, "");
}

/* --- odd answers --------------------------------------------------------- */

static void test_odd_rows(void)
{
	static const char *const rows[] = {
		"7",
		"null",
		"{}",
		"{\"proto\":6,\"inside\":[],\"outside\":{},\"kind\":true}",
		"{\"proto\":\"\",\"inside\":\"\",\"outside\":\"\","
		"\"kind\":\"\"}",
		MAPPING_OF("a-protocol-of-many-letters", "x", "y", "z", 0, 0,
			   "null"),
		MAPPING_OF("tcp\\u0000", "x", "y", "z", 0, 0, "null"),
		MAPPING("10.0.0.1:5000 and more than a socket has", "y", 0),
	};
	char text[512];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), "{\"mappings\":[%s]}", rows[i]);
		check_table(MAPPINGS(""), text, "");
		check_table(text, MAPPINGS(""), "");
	}
	/* Enough to tell it by. */
	check_table(MAPPINGS(""),
		    MAPPINGS("{\"proto\":\"tcp\",\"inside\":\"\\u009bx\","
			     "\"outside\":\"y\",\"kind\":\"z\","
			     "\"age_s\":\"old\",\"name\":{}}"),
		    "12:00:03 began   tcp ?x by y\n");
	check_table(MAPPINGS(A(-5)), MAPPINGS(A(18446744073709551615)), "");
	check_table(MAPPINGS(A(1)), MAPPINGS(A(1e99)), "");
	check_table(MAPPINGS(A(18446744073709551614)), MAPPINGS(A(3)),
		    "12:00:03 ended   " A_TEXT LEFT(
			    "213503982334601d07h") "12:00:03 began   " A_TEXT
						   "\n");
}

static void test_odd_replies(void)
{
	static const char *const replies[] = {
		"{}",
		"[]",
		"7",
		"null",
		"{\"mappings\":{},\"uptime_s\":\"x\",\"uplink\":[],"
		"\"drops\":[3],\"warnings\":{\"a\":1}}",
		"{\"mappings\":null,\"uptime_s\":null,\"uplink\":null,"
		"\"drops\":null,\"warnings\":null}",
		"{\"uplink\":{\"address\":{}},\"drops\":{\"a\":\"7\","
		"\"b\":null},\"warnings\":[null,7,[]]}",
	};
	const size_t count = sizeof(replies) / sizeof(replies[0]);

	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j + 1 < count; j++)
			check(replies[i], replies[i], replies[j], replies[j],
			      "");
}

/* The table is kept over them; of the first that is read nothing is told. */
static void test_broken(void)
{
	static const char *const broken[] = {
		"",
		"{\"mappings\":null}",
		"{\"mappings\":[",
		"{\"mappings\":[" B(2) ",",
		"{\"mappings\":[" B(2) ",{\"proto\"",
		"{\"mappings\":[" B(2) ",}]}",
		"{\"mappings\":[,,]}",
	};
	struct looks looks = {
		.replies = { { QUIET },
			     { QUIET, MAPPINGS(A(1)) },
			     { QUIET },
			     { QUIET, MAPPINGS("") } },
		.count = 4,
	};

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		looks.replies[0][1] = looks.replies[2][1] = broken[i];
		check_looks(&looks, "12:00:03 ended   " A_TEXT LEFT("1s"));
	}
}

static void test_odd_events(void)
{
	check_text(text_watch, "{}", "");
	check_text(text_watch, "{\"event\":\"of a later version\"}", "");
	check_text(text_watch, "{\"event\":\"began\",\"time\":-1}",
		   "00:00:00 began   \n");
}

static const struct test tests[] = {
	{ "the first look tells nothing", test_first },
	{ "mappings begin and end", test_begin_and_end },
	{ "a forward is another one than what had its port", test_kinds },
	{ "two lives of one socket are told by their age", test_lives },
	{ "an end has the numbers of the last look", test_numbers_of_the_end },
	{ "events have the host's name", test_json },
	{ "events have all members of a mapping", test_members },
	{ "drops are counted from look to look", test_drops },
	{ "warnings come and go", test_warnings },
	{ "the uplink's address changes, mappings go along", test_address },
	{ "a daemon goes and comes back", test_gone },
	{ "odd mappings are passed over", test_odd_rows },
	{ "odd answers are survived", test_odd_replies },
	{ "broken answers tell of no mapping", test_broken },
	{ "odd events are survived", test_odd_events },
};

int main(int argc, char **argv)
{
	setenv("TZ", "UTC0", 1);
	return suite_run("watch", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
