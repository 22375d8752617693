/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The checked cursor: what it gives out is always there.
 */
#include "nat/cursor.h"
#include "suite.h"

static void test_take(void)
{
	uint8_t bytes[4] = { 1, 2, 3, 4 };
	struct nat_cursor cursor = nat_cursor(bytes, 4);

	CU_ASSERT_PTR_EQUAL(nat_cursor_take(&cursor, 1), bytes);
	CU_ASSERT_PTR_EQUAL(nat_cursor_take(&cursor, 3), bytes + 1);
	CU_ASSERT_EQUAL(cursor.left, 0);
}

static void test_take_too_much(void)
{
	uint8_t bytes[4] = { 0 };
	struct nat_cursor cursor = nat_cursor(bytes, 4);

	CU_ASSERT_PTR_NULL(nat_cursor_take(&cursor, 5));
	CU_ASSERT_PTR_NULL(nat_cursor_take(&cursor, UINT32_MAX));
	CU_ASSERT_EQUAL(cursor.left, 4);
	CU_ASSERT_PTR_EQUAL(nat_cursor_take(&cursor, 4), bytes);
	CU_ASSERT_PTR_NULL(nat_cursor_take(&cursor, 1));
}

static void test_peek(void)
{
	uint8_t bytes[2] = { 0 };
	struct nat_cursor cursor = nat_cursor(bytes, 2);

	CU_ASSERT_PTR_EQUAL(nat_cursor_peek(&cursor, 2), bytes);
	CU_ASSERT_PTR_EQUAL(nat_cursor_peek(&cursor, 2), bytes);
	CU_ASSERT_PTR_NULL(nat_cursor_peek(&cursor, 3));
	CU_ASSERT_EQUAL(cursor.left, 2);
}

static void test_nothing(void)
{
	uint8_t byte = 0;
	struct nat_cursor cursor = nat_cursor(&byte, 0);

	CU_ASSERT_PTR_EQUAL(nat_cursor_take(&cursor, 0), &byte);
	CU_ASSERT_PTR_NULL(nat_cursor_peek(&cursor, 1));
}

static void test_limit(void)
{
	uint8_t bytes[8] = { 0 };
	struct nat_cursor cursor = nat_cursor(bytes, 8);

	nat_cursor_limit(&cursor, 20);
	CU_ASSERT_EQUAL(cursor.left, 8);
	nat_cursor_limit(&cursor, 3);
	CU_ASSERT_EQUAL(cursor.left, 3);
	CU_ASSERT_PTR_NULL(nat_cursor_take(&cursor, 4));
	nat_cursor_limit(&cursor, 8);
	CU_ASSERT_EQUAL(cursor.left, 3);
}

static const struct test tests[] = {
	{ "taking moves on", test_take },
	{ "taking more than is left gives nothing and does not move",
	  test_take_too_much },
	{ "peeking does not move", test_peek },
	{ "an empty cursor gives no byte", test_nothing },
	{ "a limit shortens and never lengthens", test_limit },
};

int main(int argc, char **argv)
{
	return suite_run("cursor", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
