/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Loading rules when there is no memory to write them down.
 */
#include <errno.h>

#include "rules_lab.h"
#include "tests/fault/plan.h"

static void test_apply(void)
{
	struct fixture *f = fixture_new();
	char error[128] = "what lay here before";

	fault_arm("open_memstream", ENOMEM, 0, 0);
	CU_ASSERT_EQUAL(rules_apply(&f->spec, RULES_NFTABLES, error,
				    sizeof(error)),
			-ENOMEM);
	CU_ASSERT_EQUAL(fault_disarm(), 1);
	CU_ASSERT_STRING_EQUAL(error, strerror(ENOMEM));
	free(f);
}

static void test_guard(void)
{
	struct fixture *f = fixture_new();
	char error[128] = "what lay here before";

	fault_arm("open_memstream", ENOMEM, 0, 0);
	CU_ASSERT_EQUAL(rules_apply_guard(&f->spec, RULES_NFTABLES, error,
					  sizeof(error)),
			-ENOMEM);
	CU_ASSERT_EQUAL(fault_disarm(), 1);
	CU_ASSERT_STRING_EQUAL(error, strerror(ENOMEM));
	free(f);
}

static const struct test tests[] = {
	{ "rules that cannot be written down say why", test_apply },
	{ "a guard that cannot be written down says why", test_guard },
};

int main(int argc, char **argv)
{
	return suite_run("fault_rules", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
