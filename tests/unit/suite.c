/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "suite.h"

#include <CUnit/Basic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool wanted(const char *name, int argc, char **argv)
{
	if (argc < 2)
		return true;
	for (int i = 1; i < argc; i++)
		if (strstr(name, argv[i]))
			return true;
	return false;
}

static void print_failures(void)
{
	const CU_FailureRecord *failure = CU_get_failure_list();

	for (; failure; failure = failure->pNext)
		printf("FAIL %s: %s:%u: %s\n",
		       failure->pTest ? failure->pTest->pName : "?",
		       failure->strFileName, failure->uiLineNumber,
		       failure->strCondition);
}

int suite_run(const char *suite, const struct test *tests, size_t count,
	      int argc, char **argv)
{
	CU_pSuite set;
	unsigned run, failed;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (CU_initialize_registry() != CUE_SUCCESS)
		return 2;
	set = CU_add_suite(suite, NULL, NULL);
	for (size_t i = 0; set && i < count; i++)
		if (wanted(tests[i].name, argc, argv) &&
		    !CU_add_test(set, tests[i].name, tests[i].run))
			return 2;
	CU_set_error_action(CUEA_IGNORE);
	CU_basic_set_mode(CU_BRM_SILENT);
	CU_basic_run_tests();
	print_failures();
	run = CU_get_number_of_tests_run();
	failed = CU_get_number_of_tests_failed();
	CU_cleanup_registry();
	printf("%u passed, %u failed, 0 skipped\n", run - failed, failed);
	return failed || !run ? 1 : 0;
}

void suite_hex(const char *title, const void *data, size_t length)
{
	const uint8_t *bytes = data;

	printf("%s (%zu bytes):", title, length);
	for (size_t i = 0; i < length; i++)
		printf("%s%02x", i % 16 ? " " : "\n  ", bytes[i]);
	printf("\n");
}
