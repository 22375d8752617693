/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Texts that come from files and from hosts, before they reach a terminal or
 * the log: none may steer it. Control characters of both sets are found, C0 (and
 * DEL) and the C1 of UTF-8, U+0080 to U+009F, and what is no UTF-8: a terminal
 * may take the byte 0x9b alone for a control character, too.
 */
#ifndef PORTICO_PLATFORM_LETTERS_H
#define PORTICO_PLATFORM_LETTERS_H

#include <stdbool.h>
#include <stddef.h>

/* The bytes of the first character of a text that is not at its end; a byte that
 * begins none is one by itself. *harmless: it may be shown. */
size_t letters_take(const char *text, bool *harmless);

/* Puts fill in the place of each that may not. Returns the length, which is not
 * larger. */
size_t letters_clean(char *text, char fill);

#endif
