/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The scanner behind config_position.h: strict JSON with comments, by
 * recursive descent. It builds nothing: values are json-c's business.
 *
 * Its memory is fixed: nesting is limited to DEPTH_MAX (the configuration
 * needs 4) and an object to KEYS_MAX keys (the largest has 16).
 */
#include "config_position.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 12
#define KEYS_MAX 48

struct word {
	const char *at;
	size_t length;
};

struct scan {
	const char *text;
	char *comments; /* the same text, writable: blanked; NULL: kept */
	size_t length;
	size_t at;
	unsigned line;
	unsigned depth;
	char key[POSITION_KEY_MAX];
	size_t key_length;
	const char *wanted; /* NULL: only the syntax matters */
	unsigned found; /* line of the wanted key */
	struct position_problem *problem; /* NULL: not wanted */
};

static bool scan_value(struct scan *scan);

static int peek(const struct scan *scan)
{
	if (scan->at >= scan->length)
		return EOF;
	return (unsigned char)scan->text[scan->at];
}

static void advance(struct scan *scan)
{
	if (peek(scan) == '\n')
		scan->line++;
	scan->at++;
}

static bool word_char(int c)
{
	return c != EOF &&
	       (isalnum(c) || c == '_' || c == '-' || c == '.' || c == '+');
}

/* What stands at the present place, for people. */
static void describe(const struct scan *scan, char *text, size_t size)
{
	int c = peek(scan);
	int length = 0;

	while (length < 32 && scan->at + (size_t)length < scan->length &&
	       word_char((unsigned char)scan->text[scan->at + (size_t)length]))
		length++;
	if (c == EOF)
		snprintf(text, size, "the end of the file");
	else if (c == '\n' || c == '\r')
		snprintf(text, size, "the end of the line");
	else if (length > 0)
		snprintf(text, size, "%.*s", length, scan->text + scan->at);
	else if (isprint(c))
		snprintf(text, size, "'%c'", c);
	else
		snprintf(text, size, "the byte 0x%02x", (unsigned)c);
}

/* Notes the first problem; always false. */
static bool problem(struct scan *scan, unsigned line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static bool problem(struct scan *scan, unsigned line, const char *format, ...)
{
	va_list args;

	if (!scan->problem)
		return false;
	scan->problem->line = line;
	snprintf(scan->problem->key, sizeof(scan->problem->key), "%s",
		 scan->key);
	va_start(args, format);
	vsnprintf(scan->problem->text, sizeof(scan->problem->text), format,
		  args);
	va_end(args);
	return false;
}

static bool expected(struct scan *scan, const char *what)
{
	char here[48];

	describe(scan, here, sizeof(here));
	return problem(scan, scan->line, "found %s, expected %s", here, what);
}

/* --- spaces and comments ------------------------------------------------ */

/* Steps over one byte of a comment. */
static void blank(struct scan *scan)
{
	size_t at = scan->at;

	advance(scan);
	if (scan->comments && scan->comments[at] != '\n')
		scan->comments[at] = ' ';
}

static bool scan_comment(struct scan *scan)
{
	unsigned begin = scan->line;
	int last = 0;

	blank(scan);
	if (peek(scan) == '/') {
		while (peek(scan) != '\n' && peek(scan) != EOF)
			blank(scan);
		return true;
	}
	if (peek(scan) != '*')
		return expected(scan, "'/' or '*' to begin a comment");
	blank(scan);
	while (peek(scan) != EOF) {
		int c = peek(scan);

		blank(scan);
		if (last == '*' && c == '/')
			return true;
		last = c;
	}
	return problem(scan, begin,
		       "found a comment without end, expected \"*/\"");
}

static bool scan_space(struct scan *scan)
{
	for (;;) {
		int c = peek(scan);

		if (c == '/') {
			if (!scan_comment(scan))
				return false;
		} else if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
			advance(scan);
		} else {
			return true;
		}
	}
}

/* --- the key's path ----------------------------------------------------- */

/* Appends to the path; returns its old length for key_leave(). A path longer
 * than the buffer is cut, which makes it match nothing. */
static size_t key_enter(struct scan *scan, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static size_t key_enter(struct scan *scan, const char *format, ...)
{
	size_t old = scan->key_length;
	size_t room = sizeof(scan->key) - old;
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(scan->key + old, room, format, args);
	va_end(args);
	if (length > 0)
		scan->key_length += (size_t)length < room ? (size_t)length :
							    room - 1;
	if (scan->wanted && !scan->found &&
	    strcmp(scan->key, scan->wanted) == 0)
		scan->found = scan->line;
	return old;
}

static void key_leave(struct scan *scan, size_t length)
{
	scan->key_length = length;
	scan->key[length] = '\0';
}

/* --- values ------------------------------------------------------------- */

static bool scan_escape(struct scan *scan)
{
	int c;

	advance(scan);
	c = peek(scan);
	if (c == EOF || c == '\0' || !strchr("\"\\/bfnrtu", c))
		return expected(scan, "one of \" \\ / b f n r t u after a "
				      "backslash");
	advance(scan);
	for (int i = 0; c == 'u' && i < 4; i++) {
		if (peek(scan) == EOF || !isxdigit(peek(scan)))
			return expected(scan, "four hex digits after \\u");
		advance(scan);
	}
	return true;
}

static bool scan_string(struct scan *scan)
{
	advance(scan);
	while (peek(scan) != '"') {
		int c = peek(scan);

		if (c == EOF || c < ' ')
			return expected(scan, "a '\"' to end the string");
		if (c != '\\')
			advance(scan);
		else if (!scan_escape(scan))
			return false;
	}
	advance(scan);
	return true;
}

static size_t digits(const char *at, const char *end)
{
	size_t count = 0;

	while (at + count < end && isdigit((unsigned char)at[count]))
		count++;
	return count;
}

/* Whether the word is a number as RFC 8259 6 writes it. */
static bool is_number(const char *at, size_t length)
{
	const char *end = at + length;
	size_t count;

	if (at < end && *at == '-')
		at++;
	count = digits(at, end);
	if (!count || (count > 1 && *at == '0'))
		return false;
	at += count;
	if (at < end && *at == '.') {
		count = digits(++at, end);
		if (!count)
			return false;
		at += count;
	}
	if (at < end && (*at == 'e' || *at == 'E')) {
		at++;
		if (at < end && (*at == '+' || *at == '-'))
			at++;
		count = digits(at, end);
		if (!count)
			return false;
		at += count;
	}
	return at == end;
}

static bool is_literal(const char *at, size_t length)
{
	static const char *const literals[] = { "true", "false", "null" };

	for (size_t i = 0; i < sizeof(literals) / sizeof(literals[0]); i++)
		if (length == strlen(literals[i]) &&
		    memcmp(at, literals[i], length) == 0)
			return true;
	return false;
}

static bool scan_word(struct scan *scan)
{
	const char *begin = scan->text + scan->at;
	size_t length = 0;

	while (scan->at + length < scan->length &&
	       word_char((unsigned char)begin[length]))
		length++;
	if (!is_number(begin, length) && !is_literal(begin, length))
		return expected(scan, "a value");
	scan->at += length;
	return true;
}

/* After a member or element: true to go on, with *more telling whether a comma
 * came (and then, what follows is no closing bracket). */
static bool scan_separator(struct scan *scan, char close, bool *more)
{
	if (!scan_space(scan))
		return false;
	*more = peek(scan) == ',';
	if (!*more && peek(scan) != close)
		return expected(scan,
				close == '}' ? "',' or '}'" : "',' or ']'");
	advance(scan);
	if (!*more)
		return true;
	if (!scan_space(scan))
		return false;
	if (peek(scan) == close)
		return expected(scan, "one more after the ',' (none stands "
				      "after the last)");
	return true;
}

static bool scan_array(struct scan *scan)
{
	bool more;

	advance(scan);
	if (!scan_space(scan))
		return false;
	more = peek(scan) != ']';
	if (!more)
		advance(scan);
	for (unsigned i = 0; more; i++) {
		size_t old = key_enter(scan, "[%u]", i);

		if (!scan_value(scan))
			return false;
		key_leave(scan, old);
		if (!scan_separator(scan, ']', &more))
			return false;
	}
	return true;
}

/* The key itself, checked against those before it in this object. */
static bool scan_key(struct scan *scan, struct word *keys, unsigned count)
{
	struct word *key = &keys[count];

	if (peek(scan) != '"')
		return expected(scan, "a key in double quotes");
	key->at = scan->text + scan->at + 1;
	if (!scan_string(scan))
		return false;
	key->length = (size_t)(scan->text + scan->at - 1 - key->at);
	for (size_t i = 0; i < key->length; i++)
		if (!isalnum((unsigned char)key->at[i]) &&
		    !strchr("_-", key->at[i]))
			return problem(scan, scan->line,
				       "found a key with other characters than "
				       "letters, digits, '_' and '-', expected "
				       "a known key");
	if (!key->length)
		return problem(scan, scan->line,
			       "found an empty key, expected a known key");
	return true;
}

static bool scan_unique(struct scan *scan, const struct word *keys,
			unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (keys[i].length == keys[count].length &&
		    memcmp(keys[i].at, keys[count].at, keys[i].length) == 0)
			return problem(scan, scan->line,
				       "found this key a second time (first on "
				       "line %u), expected it once",
				       position_line(scan->text, scan->length,
						     (size_t)(keys[i].at -
							      scan->text)));
	return true;
}

static bool scan_member(struct scan *scan, struct word *keys, unsigned count)
{
	size_t old;

	if (count == KEYS_MAX)
		return problem(scan, scan->line,
			       "found more than %d keys, expected known keys",
			       KEYS_MAX);
	if (!scan_key(scan, keys, count))
		return false;
	old = key_enter(scan, "%s%.*s", scan->key_length ? "." : "",
			(int)keys[count].length, keys[count].at);
	if (!scan_unique(scan, keys, count) || !scan_space(scan))
		return false;
	if (peek(scan) != ':')
		return expected(scan, "':' after the key");
	advance(scan);
	if (!scan_value(scan))
		return false;
	key_leave(scan, old);
	return true;
}

static bool scan_object(struct scan *scan)
{
	struct word keys[KEYS_MAX];
	bool more;

	advance(scan);
	if (!scan_space(scan))
		return false;
	more = peek(scan) != '}';
	if (!more)
		advance(scan);
	for (unsigned count = 0; more; count++)
		if (!scan_member(scan, keys, count) ||
		    !scan_separator(scan, '}', &more))
			return false;
	return true;
}

static bool scan_value(struct scan *scan)
{
	bool fine;

	if (!scan_space(scan))
		return false;
	if (scan->depth == DEPTH_MAX)
		return problem(scan, scan->line,
			       "found more than %d levels, expected fewer",
			       DEPTH_MAX);
	scan->depth++;
	switch (peek(scan)) {
	case '{':
		fine = scan_object(scan);
		break;
	case '[':
		fine = scan_array(scan);
		break;
	case '"':
		fine = scan_string(scan);
		break;
	default:
		fine = scan_word(scan);
		break;
	}
	scan->depth--;
	return fine;
}

/* --- the doors ---------------------------------------------------------- */

bool position_check(char *text, size_t length, struct position_problem *result)
{
	struct scan scan = {
		.text = text,
		.comments = text,
		.length = length,
		.line = 1,
		.problem = result,
	};

	if (!scan_space(&scan))
		return false;
	if (peek(&scan) != '{')
		return expected(&scan, "'{'");
	if (!scan_value(&scan) || !scan_space(&scan))
		return false;
	if (peek(&scan) != EOF)
		return expected(&scan, "nothing after the last '}'");
	return true;
}

unsigned position_find(const char *text, size_t length, const char *key)
{
	struct scan scan = {
		.text = text,
		.length = length,
		.line = 1,
		.wanted = key,
	};

	scan_value(&scan);
	return scan.found;
}

unsigned position_line(const char *text, size_t length, size_t offset)
{
	unsigned line = 1;

	for (size_t i = 0; i < offset && i < length; i++)
		line += text[i] == '\n';
	return line;
}
