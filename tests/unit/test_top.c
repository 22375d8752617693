/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * top: rates of two replies, their text, and what of it fits a terminal.
 */
#include "platform/names.h"
#include "platform/replies.h"
#include "platform/text.h"
#include "suite.h"
#include "text_lab.h"

/* One host of a reply. */
#define HOST(address, out, in, packets) \
	"{\"address\":\"" address "\",\"name\":null,\"mappings\":1," \
	"\"sessions\":2,\"out_packets\":" #packets ",\"out_bytes\":" #out "," \
	"\"in_packets\":" #packets ",\"in_bytes\":" #in ",\"refused\":3}"
#define HOSTS(hosts) "{\"hosts\":[" hosts "]}"
#define RATES(address, out, in, packets) \
	"{\"address\":\"" address "\",\"name\":null,\"out_bits_per_s\":" #out \
	",\"in_bits_per_s\":" #in ",\"out_packets_per_s\":" #packets \
	",\"in_packets_per_s\":" #packets ",\"mappings\":1,\"sessions\":2," \
	"\"refused\":3}"
#define TOP(seconds, hosts) \
	"{\"top\":{\"seconds\":" #seconds ",\"hosts\":[" hosts "]}}"

static struct json_object *top_of(const char *before, const char *after,
				  uint64_t ms)
{
	struct json_object *one = json_tokener_parse(before);
	struct json_object *other = json_tokener_parse(after);
	struct json_object *report = replies_top(one, other, ms);

	CU_ASSERT_PTR_NOT_NULL_FATAL(report);
	json_object_put(one);
	json_object_put(other);
	return report;
}

static void check_top(const char *before, const char *after, uint64_t ms,
		      const char *expected)
{
	struct json_object *report = top_of(before, after, ms);
	const char *text = json_object_to_json_string_ext(report, 0);

	CU_ASSERT_STRING_EQUAL(text, expected);
	if (strcmp(text, expected))
		printf("found:\n%s\nexpected:\n%s\n", text, expected);
	json_object_put(report);
}

static void test_rates(void)
{
	check_top(HOSTS(HOST("10.0.0.1", 1000, 500, 10)),
		  HOSTS(HOST("10.0.0.1", 3000, 500, 15)), 2000,
		  TOP(2.000, RATES("10.0.0.1", 8000, 0, 2)));
	check_top(HOSTS(HOST("10.0.0.1", 0, 0, 0)),
		  HOSTS(HOST("10.0.0.1", 1250, 2500, 3)), 1005,
		  TOP(1.005, RATES("10.0.0.1", 9950, 19900, 2)));
}

static void test_order(void)
{
	check_top(HOSTS(HOST("10.0.0.10", 5, 5, 0) "," HOST(
			  "10.0.0.9", 5, 5, 0) "," HOST("10.0.0.1", 9, 9, 0)),
		  HOSTS(HOST("10.0.0.10", 5, 5, 0) "," HOST(
			  "10.0.0.9", 5, 5, 0) "," HOST("10.0.0.1", 9, 10, 0)),
		  1000,
		  TOP(1.000, RATES("10.0.0.1", 0, 8, 0) "," RATES(
				     "10.0.0.9", 0, 0, 0) "," RATES("10.0.0.10",
								    0, 0, 0)));
}

/* Of a host that was forgotten, or of a daemon that began anew. */
static void test_back(void)
{
	check_top(HOSTS(HOST("10.0.0.1", 1000000, 1000, 10)),
		  HOSTS(HOST("10.0.0.1", 5000, 2000, 4)), 1000,
		  TOP(1.000, RATES("10.0.0.1", 0, 8000, 0)));
}

static void test_come_and_go(void)
{
	check_top(HOSTS(HOST("10.0.0.1", 1000, 1000, 10)),
		  HOSTS(HOST("10.0.0.2", 125, 250, 4)), 1000,
		  TOP(1.000, RATES("10.0.0.2", 1000, 2000, 4)));
	check_top(HOSTS(HOST("10.0.0.1", 1000, 1000, 10)), HOSTS(""), 1000,
		  TOP(1.000, ""));
}

static void test_extremes(void)
{
	/* Neither a division by 0, nor an overflow at 1 Tbit/s. */
	check_top(HOSTS(HOST("10.0.0.1", 0, 0, 0)),
		  HOSTS(HOST("10.0.0.1", 1, 1, 1)), 0,
		  TOP(0.001, RATES("10.0.0.1", 8000, 8000, 1000)));
	check_top(HOSTS(HOST("10.0.0.1", 18000000000000000000, 0, 0)),
		  HOSTS(HOST("10.0.0.1", 18000450000000000000, 0, 0)), 3600000,
		  TOP(3600.000, RATES("10.0.0.1", 1000000000000, 0, 0)));
}

static void test_odd(void)
{
	check_top("{}", "{}", 1000, TOP(1.000, ""));
	check_top(HOSTS("7"), "{\"hosts\":null}", 1000, TOP(1.000, ""));
	check_top("{\"hosts\":{}}", HOSTS("null"), 1000,
		  TOP(1.000,
		      "{\"address\":\"\",\"name\":null,\"out_bits_per_s\":0,"
		      "\"in_bits_per_s\":0,\"out_packets_per_s\":0,"
		      "\"in_packets_per_s\":0,\"mappings\":0,\"sessions\":0,"
		      "\"refused\":0}"));
}

static void test_bits(void)
{
	char cell[TEXT_CELL];

	CU_ASSERT_STRING_EQUAL(text_bits(0, cell), "0bit");
	CU_ASSERT_STRING_EQUAL(text_bits(999, cell), "999bit");
	CU_ASSERT_STRING_EQUAL(text_bits(1000, cell), "1.0kbit");
	CU_ASSERT_STRING_EQUAL(text_bits(999999, cell), "999.9kbit");
	CU_ASSERT_STRING_EQUAL(text_bits(1000000, cell), "1.0Mbit");
	CU_ASSERT_STRING_EQUAL(text_bits(UINT64_MAX, cell), "18.4Ebit");
}

/* --- text ---------------------------------------------------------------- */

static void print_top(struct json_object *after, FILE *out)
{
	struct json_object *before = json_tokener_parse("{}");
	struct json_object *report = replies_top(before, after, 2000);

	text_top(report, NULL, out);
	json_object_put(before);
	json_object_put(report);
}

static void print_bare(struct json_object *report, FILE *out)
{
	text_top(report, NULL, out);
}

static void test_text(void)
{
	check_text(
		print_top,
		HOSTS(HOST("10.0.0.1", 250, 1000000,
			   4) ","
			      "{\"address\":\"10.0.0.20\","
			      "\"name\":\"a-name-of-20-letters\","
			      "\"out_packets\":1000,\"out_bytes\":3000000,"
			      "\"sessions\":1,\"mappings\":1,\"refused\":0}"),
		"Out 12.0Mbit/s, 502 packets/s; in 4.0Mbit/s, 2 packets/s; "
		"within 2.000s\n"
		"2 hosts, 2 mappings, 3 sessions, 3 packets refused in all\n"
		"\n"
		"ADDRESS    NAME                 OUT/S     IN/S  PKT OUT  "
		"PKT IN  SESSIONS  MAPPINGS  REFUSED\n"
		"10.0.0.20  a-name-of-20-let  12.0Mbit     0bit      500  "
		"     0         1         1        0\n"
		"10.0.0.1   -                  1.0kbit  4.0Mbit        2  "
		"     2         2         1        3\n");
	check_text(print_bare, "{}",
		   "Out 0bit/s, 0 packets/s; in 0bit/s, 0 packets/s; "
		   "within s\n"
		   "0 hosts, 0 mappings, 0 sessions, 0 packets refused in all\n"
		   "\n"
		   "ADDRESS  NAME  OUT/S  IN/S  PKT OUT  PKT IN  SESSIONS  "
		   "MAPPINGS  REFUSED\n");
}

static const char *shown;
static unsigned shown_rows, shown_columns;

static void print_window(struct json_object *none, FILE *out)
{
	(void)none;
	text_window(shown, shown_rows, shown_columns, out);
}

static void check_window(const char *text, unsigned rows, unsigned columns,
			 const char *expected)
{
	shown = text;
	shown_rows = rows;
	shown_columns = columns;
	check_text(print_window, "{}", expected);
}

static void test_window(void)
{
	check_window("one\ntwo\nthree\n", 24, 80,
		     "\033[Hone\033[K\ntwo\033[K\nthree\033[K\n\033[J");
	check_window("one\ntwo\nthree\n", 3, 80,
		     "\033[Hone\033[K\ntwo\033[K\n\033[J");
	check_window("one\n\nthree\n", 24, 2,
		     "\033[Hon\033[K\n\033[K\nth\033[K\n\033[J");
	/* Letters of two bytes are not cut in halves. */
	check_window("\xc3\xbc"
		     "ber\xc3\xbc",
		     24, 4,
		     "\033[H\xc3\xbc"
		     "ber\033[K\n\033[J");
	check_window("a\xc3\xbc\xc3\xbc", 24, 2,
		     "\033[Ha\xc3\xbc\033[K\n\033[J");
	check_window("one\n", 1, 80, "\033[H\033[J");
	check_window("", 24, 80, "\033[H\033[J");
}

static const struct test tests[] = {
	{ "rates are of what came in between", test_rates },
	{ "the largest comes first", test_order },
	{ "a counter that goes back gives no rate", test_back },
	{ "hosts come and go", test_come_and_go },
	{ "no time and high rates are survived", test_extremes },
	{ "a strange reply is survived", test_odd },
	{ "bits have decimal units, rounded down", test_bits },
	{ "totals stand before the hosts", test_text },
	{ "a terminal gets what it has room for", test_window },
};

int main(int argc, char **argv)
{
	return suite_run("top", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
