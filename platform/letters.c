/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * UTF-8 as RFC 3629 has it: no form that is longer than it needs to be, no
 * surrogates, nothing above U+10FFFF.
 */
#include "letters.h"

#include <string.h>

/* First bytes from..to are followed by `more` bytes, of which the first is
 * least..most and the others are 80..bf. */
static const struct {
	unsigned char from, to;
	unsigned char more;
	unsigned char least, most;
} forms[] = {
	{ 0xc2, 0xc2, 1, 0xa0, 0xbf }, /* below are C1 */
	{ 0xc3, 0xdf, 1, 0x80, 0xbf }, { 0xe0, 0xe0, 2, 0xa0, 0xbf },
	{ 0xe1, 0xec, 2, 0x80, 0xbf }, { 0xed, 0xed, 2, 0x80, 0x9f },
	{ 0xee, 0xef, 2, 0x80, 0xbf }, { 0xf0, 0xf0, 3, 0x90, 0xbf },
	{ 0xf1, 0xf3, 3, 0x80, 0xbf }, { 0xf4, 0xf4, 3, 0x80, 0x8f },
};

static bool within(unsigned char byte, unsigned char least, unsigned char most)
{
	return byte >= least && byte <= most;
}

/* Bytes of a character of several; 0: it is none. Stops at the text's end. */
static size_t take_long(const unsigned char *text)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		size_t length = 2;

		if (!within(text[0], forms[i].from, forms[i].to))
			continue;
		if (!within(text[1], forms[i].least, forms[i].most))
			return 0;
		while (length <= forms[i].more &&
		       within(text[length], 0x80, 0xbf))
			length++;
		return length > forms[i].more ? length : 0;
	}
	return 0;
}

size_t letters_take(const char *text, bool *harmless)
{
	const unsigned char *bytes = (const unsigned char *)text;
	size_t length;

	if (bytes[0] < 0x80) {
		*harmless = bytes[0] >= ' ' && bytes[0] != 0x7f;
		return 1;
	}
	length = take_long(bytes);
	*harmless = length;
	if (length)
		return length;
	/* One of C1 is one character. */
	return bytes[0] == 0xc2 && within(bytes[1], 0x80, 0x9f) ? 2 : 1;
}

size_t letters_clean(char *text, char fill)
{
	char *const start = text, *to = text;
	bool harmless;

	while (*text) {
		size_t length = letters_take(text, &harmless);

		if (harmless)
			memmove(to, text, length);
		else
			*to = fill;
		to += harmless ? length : 1;
		text += length;
	}
	*to = '\0';
	return (size_t)(to - start);
}
