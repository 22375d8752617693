/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What of a text a terminal is not shown.
 */
#include <string.h>

#include "platform/letters.h"
#include "suite.h"

static void check(const char *text, const char *expected)
{
	char copy[64];
	size_t length;

	CU_ASSERT_FATAL(strlen(text) < sizeof(copy));
	strcpy(copy, text);
	length = letters_clean(copy, '?');
	CU_ASSERT_STRING_EQUAL(copy, expected);
	CU_ASSERT_EQUAL(length, strlen(expected));
	if (strcmp(copy, expected))
		for (const char *at = text; *at; at++)
			printf("%02x%s", (unsigned char)*at,
			       at[1] ? " " : "\n");
}

static void test_letters(void)
{
	check("", "");
	check("plain ~", "plain ~");
	check("\xc2\xa0\xc3\xbc\xdf\xbf", "\xc2\xa0\xc3\xbc\xdf\xbf");
	check("\xe0\xa0\x80\xed\x9f\xbf\xef\xbf\xbd",
	      "\xe0\xa0\x80\xed\x9f\xbf\xef\xbf\xbd");
	check("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf",
	      "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
}

static void test_control(void)
{
	check("a\x1b[1m\n\x7f", "a?[1m??");
	check("a\xc2\x80z\xc2\x9b"
	      "31m\xc2\x9f",
	      "a?z?31m?");
}

static void test_not_utf8(void)
{
	/* Alone, and where a first byte promised more. */
	check("a\x9bz\xff", "a?z?");
	check("\xc3(\xe2\x82(\xf0\x9f\x98", "?(\x3f\x3f(\x3f\x3f\x3f");
	check("\xc2", "?");
	/* Longer than it needs to be, of U+001B and U+009B. */
	check("\xc0\x9b\xe0\x80\x9b\xe0\x82\x9b\xf0\x80\x82\x9b",
	      "\x3f\x3f\x3f\x3f\x3f\x3f\x3f\x3f\x3f\x3f\x3f\x3f");
	/* A surrogate, above U+10FFFF. */
	check("\xed\xa0\x80\xf4\x90\x80\x80\xf5\x80",
	      "\x3f\x3f\x3f\x3f\x3f\x3f\x3f\x3f\x3f");
}

/* No second byte steers, whatever comes before it. */
static void test_every_pair(void)
{
	for (unsigned pair = 0x0101; pair <= 0xffff; pair++) {
		char text[] = { (char)(pair >> 8), (char)(pair & 0xff), '\0' };
		unsigned char first = (unsigned char)(pair >> 8);

		letters_clean(text, '?');
		CU_ASSERT(!strpbrk(text, "\x1b\x7f\n\x9b") ||
			  (first >= 0xc3 && first <= 0xdf));
		if (first == 0xc2)
			CU_ASSERT(text[0] == '?' ||
				  (unsigned char)text[1] >= 0xa0);
	}
}

static const struct test tests[] = {
	{ "letters of every length stay", test_letters },
	{ "control characters of one byte and of two go", test_control },
	{ "what is no UTF-8 goes, byte by byte", test_not_utf8 },
	{ "no two bytes steer a terminal", test_every_pair },
};

int main(int argc, char **argv)
{
	return suite_run("letters", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
