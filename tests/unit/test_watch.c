/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * watch: what two looks differ by, as JSON and as text.
 */
#include <unistd.h>

#include "platform/names.h"
#include "platform/views.h"
#include "watch_lab.h"

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
};

int main(int argc, char **argv)
{
	setenv("TZ", "UTC0", 1);
	return suite_run("watch", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
