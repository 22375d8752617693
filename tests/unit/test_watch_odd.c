/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * watch: answers and events as no daemon gives them.
 */
#include "watch_lab.h"

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
			check_looks(
				&(struct looks){
					.replies = { { replies[i], replies[i] },
						     { replies[j],
						       replies[j] } },
					.broken = { true, true },
					.count = 2,
					.ms = 1000,
				},
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
		.broken = { true, false, true, false },
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
	{ "odd mappings are passed over", test_odd_rows },
	{ "odd answers are survived", test_odd_replies },
	{ "broken answers are errors and tell of no mapping", test_broken },
	{ "odd events are survived", test_odd_events },
};

int main(int argc, char **argv)
{
	setenv("TZ", "UTC0", 1);
	return suite_run("watch_odd", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
