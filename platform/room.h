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

/* Amply what json-c makes of a text: an object of a configuration, of a hundred
 * bytes, takes about 1,300 (its table of 16 members, a copy of each key). */
#define ROOM_JSON(length) (32 * (size_t)(length) + 16384)

/* Whether so many bytes can be had now, in pieces. They are given back, and
 * stay with the allocator: glibc keeps at least 128 KiB. */
bool room_for(size_t bytes);

#endif
