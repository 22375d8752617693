/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Values that are well written and yet refused, or taken with a warning,
 * for what they would do.
 */
#include "config_case.h"

static void test_everything_exempt(void)
{
	CU_ASSERT_TRUE(refused("{\"exempt\": [\"10.8.0.0/16\",\n"
			       "\"0.0.0.0/0\"]}",
			       2, "exempt[1]", "a smaller network"));
}

static void test_much_exempt(void)
{
	struct config *config = taken("{\"exempt\": [\"10.0.0.0/8\",\n"
				      "\"128.0.0.0/1\"]}");

	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	CU_ASSERT_EQUAL(config->nat.exempt_count, 2);
	CU_ASSERT_EQUAL_FATAL(config->warnings_count, 1);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(config->warnings[0], "exempt[1] 128.0.0.0/1"));
	config_free(config);
}

static void test_mapping_sessions(void)
{
	struct config *config =
		taken("{\"limits\": {\"mapping_sessions\": 1024}}");

	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	CU_ASSERT_EQUAL(config->nat.mapping_sessions, 1024);
	config_free(config);
	CU_ASSERT_TRUE(refused("{\"limits\":\n{\"mapping_sessions\": 1025}}", 2,
			       "limits.mapping_sessions", "to 1024"));
	CU_ASSERT_TRUE(refused("{\"limits\":\n{\"mapping_sessions\": 0}}", 2,
			       "limits.mapping_sessions", "from 1"));
}

static const struct test tests[] = {
	{ "a guard open for everything is refused", test_everything_exempt },
	{ "very large exempt networks warn", test_much_exempt },
	{ "a mapping's sessions have an end", test_mapping_sessions },
};

int main(int argc, char **argv)
{
	return config_run("config bounds", tests,
			  sizeof(tests) / sizeof(tests[0]), argc, argv);
}
