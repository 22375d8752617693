/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The small languages in the configuration's strings, and the scanner.
 */
#include <stdlib.h>
#include <string.h>

#include "platform/config_position.h"
#include "platform/config_text.h"
#include "suite.h"

static void test_prefixes(void)
{
	static const char *const wrong[] = {
		"",
		"/",
		"/8",
		"10",
		"10.0.0.0/08",
		"10.0.0.0/-1",
		"10.0.0.0/8 ",
		" 10.0.0.0/8",
		"10.0.0.0/8/8",
		"10.0.0.0/8x",
		"256.0.0.0/8",
		"10.0.0.0.0",
		"1.2.3.4/31x",
		"1.2.3.5/31",
		"0.0.0.1/0",
		"128.0.0.0/0",
		"111.111.111.1111",
		"::/0",
		"10.0.0.0/99999999999",
	};
	struct nat_prefix prefix = { 1, 2 };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (config_parse_prefix(wrong[i], &prefix))
			CU_FAIL(wrong[i]);
	CU_ASSERT_EQUAL(prefix.addr, 1);
	CU_ASSERT_TRUE(config_parse_prefix("0.0.0.0/0", &prefix));
	CU_ASSERT_EQUAL(prefix.length, 0);
	CU_ASSERT_TRUE(config_parse_prefix("255.255.255.255", &prefix));
	CU_ASSERT_EQUAL(prefix.addr, UINT32_MAX);
	CU_ASSERT_EQUAL(prefix.length, 32);
	CU_ASSERT_TRUE(config_parse_prefix("1.2.3.4/31", &prefix));
	CU_ASSERT_EQUAL(prefix.addr, 0x01020304);
	CU_ASSERT_EQUAL(prefix.length, 31);
}

static void test_ranges_merge(void)
{
	struct config_range *ranges;
	size_t count;

	CU_ASSERT_TRUE_FATAL(
		config_text_ranges("65535,1-65534", &ranges, &count));
	CU_ASSERT_EQUAL(count, 1);
	CU_ASSERT_EQUAL(ranges[0].first, 1);
	CU_ASSERT_EQUAL(ranges[0].last, 65535);
	free(ranges);
	CU_ASSERT_TRUE_FATAL(
		config_text_ranges("1-10,2-3,12", &ranges, &count));
	CU_ASSERT_EQUAL(count, 2);
	CU_ASSERT_EQUAL(ranges[0].last, 10);
	CU_ASSERT_EQUAL(ranges[1].first, 12);
	free(ranges);
}

static void test_positions(void)
{
	char text[] = "/* a\n */ {\n\"a\": { \"b\": [1,\n [2,\n3]] },\n"
		      "// \"c\": 1\n\"c\": \"}\\\"\"\n}";
	size_t length = sizeof(text) - 1;
	struct position_problem problem;

	CU_ASSERT_TRUE_FATAL(position_check(text, length, &problem));
	CU_ASSERT_PTR_NULL(strstr(text, "//"));
	CU_ASSERT_EQUAL(strlen(text), length);
	CU_ASSERT_EQUAL(position_find(text, length, "a"), 3);
	CU_ASSERT_EQUAL(position_find(text, length, "a.b"), 3);
	CU_ASSERT_EQUAL(position_find(text, length, "a.b[0]"), 3);
	CU_ASSERT_EQUAL(position_find(text, length, "a.b[1]"), 4);
	CU_ASSERT_EQUAL(position_find(text, length, "a.b[1][1]"), 5);
	CU_ASSERT_EQUAL(position_find(text, length, "c"), 7);
	CU_ASSERT_EQUAL(position_find(text, length, "b"), 0);
	CU_ASSERT_EQUAL(position_line(text, length, 0), 1);
	CU_ASSERT_EQUAL(position_line(text, length, length), 8);
}

static void test_marks(void)
{
	unsigned count = 0;

	for (uint64_t low = 1; low <= UINT32_MAX; low <<= 1)
		for (uint64_t high = low << 1; high <= 1ULL << 33; high <<= 1)
			count += config_mark_valid(low | high);
	CU_ASSERT_EQUAL(count, 31);
	for (unsigned shift = 0; shift < 31; shift++)
		CU_ASSERT_TRUE(config_mark_valid(3ULL << shift));
	CU_ASSERT_FALSE(config_mark_valid(0));
	CU_ASSERT_FALSE(config_mark_valid(1));
	CU_ASSERT_FALSE(config_mark_valid(7));
	CU_ASSERT_FALSE(config_mark_valid(15));
	CU_ASSERT_FALSE(config_mark_valid(UINT64_MAX));
}

static const struct test tests[] = {
	{ "a mark is two adjacent bits of 32", test_marks },
	{ "prefixes are parsed strictly", test_prefixes },
	{ "ranges are sorted and merged", test_ranges_merge },
	{ "the scanner finds the line of a key", test_positions },
};

int main(int argc, char **argv)
{
	return suite_run("config text", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
