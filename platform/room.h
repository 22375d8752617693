/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Memory that is looked for before it is needed: for code of others that does
 * not bear it when a small piece cannot be had (json-c copies a key and does not
 * look at the copy). With one thread nobody else takes it in between.
 */
#ifndef PORTICO_PLATFORM_ROOM_H
#define PORTICO_PLATFORM_ROOM_H

#include <stdbool.h>
#include <stddef.h>

/* What json-c makes of one byte of a text at most (an array of numbers), and of
 * any text. */
#define ROOM_JSON(length) (64 * (size_t)(length) + 16384)

/* Whether so many bytes can be had now, in pieces. They are given back, and
 * stay with the allocator: glibc keeps at least 128 KiB. */
bool room_for(size_t bytes);

#endif
