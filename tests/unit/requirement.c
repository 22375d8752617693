/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "requirement.h"

#include <CUnit/CUnit.h>
#include <CUnit/TestDB.h>
#include <CUnit/TestRun.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES 256

static void line_of(const struct requirement *requirement,
		    char line[LINE_MAX_BYTES])
{
	snprintf(line, LINE_MAX_BYTES, "%s %s %s", requirement->id,
		 requirement->level, requirement->text);
}

static bool wanted(const struct requirement *requirement, int argc, char **argv)
{
	char line[LINE_MAX_BYTES];

	line_of(requirement, line);
	for (int i = 1; i < argc; i++)
		if (strstr(line, argv[i]))
			return true;
	return argc < 2;
}

static void print_failures(const CU_FailureRecord *failure)
{
	for (; failure; failure = failure->pNext)
		printf("  %s:%u: %s\n", failure->strFileName,
		       failure->uiLineNumber, failure->strCondition);
}

/* Each requirement is a registry of its own: its failures are its own. */
static bool holds(const struct requirement *requirement)
{
	bool good;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return false;
	CU_add_test(CU_add_suite("requirement", NULL, NULL), requirement->text,
		    requirement->run);
	CU_run_all_tests(); /* without CUnit's own report */
	good = CU_get_number_of_tests_run() == 1 &&
	       !CU_get_number_of_failures();
	printf("%s %s %s %s\n", requirement->id, requirement->level,
	       good ? "pass" : "fail", requirement->text);
	print_failures(CU_get_failure_list());
	CU_cleanup_registry();
	return good;
}

int requirement_run(const char *suite, const struct requirement *table,
		    size_t count, int argc, char **argv)
{
	unsigned passed = 0, failed = 0;

	(void)suite;
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < count; i++) {
		if (!wanted(&table[i], argc, argv))
			continue;
		if (!table[i].run)
			printf("%s %s unmet %s\n", table[i].id, table[i].level,
			       table[i].reason);
		else if (holds(&table[i]))
			passed++;
		else
			failed++;
	}
	printf("%u passed, %u failed, 0 skipped\n", passed, failed);
	return failed || !passed ? 1 : 0;
}
