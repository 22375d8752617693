/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Where things stand in a configuration text. json-c gives no lines and takes
 * more than JSON (trailing commas, single quotes, repeated keys), so the text
 * is scanned before json-c sees it, and again for the line of a key that is
 * found wrong later.
 */
#ifndef PORTICO_PLATFORM_CONFIG_POSITION_H
#define PORTICO_PLATFORM_CONFIG_POSITION_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of a key's path such as forwards[1].to, with its end. */
#define POSITION_KEY_MAX 128

/* The first thing wrong with a text. */
struct position_problem {
	unsigned line; /* from 1 */
	char key[POSITION_KEY_MAX]; /* innermost key; "": top level */
	char text[160]; /* "found X, expected Y" */
};

/* Checks that text is one JSON object (RFC 8259), with // and C comments
 * between its tokens, no key twice in one object, and keys of letters, digits,
 * '_' and '-' only. Comments are overwritten with spaces (json-c does not see
 * the end of one that closes with two asterisks); line breaks stay.
 * Returns false with *problem filled. */
bool position_check(char *text, size_t length,
		    struct position_problem *problem);

/* The line of a key ("timeouts.udp", "forwards[1].from[0]") in a text that
 * position_check() has passed; 0 when it is not there. */
unsigned position_find(const char *text, size_t length, const char *key);

/* The line on which the byte at offset stands; offset may be at the end. */
unsigned position_line(const char *text, size_t length, size_t offset);

#endif
