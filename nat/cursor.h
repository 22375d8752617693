/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The checked cursor: every length decision about packet bytes is made here.
 */
#ifndef PORTICO_NAT_CURSOR_H
#define PORTICO_NAT_CURSOR_H

#include <stddef.h>
#include <stdint.h>

struct nat_cursor {
	uint8_t *at;
	uint32_t left; /* bytes readable and writable at `at` */
};

static inline struct nat_cursor nat_cursor(uint8_t *data, uint32_t length)
{
	return (struct nat_cursor){ data, length };
}

/* Returns the next `bytes` bytes without moving on, NULL when fewer are left. */
static inline uint8_t *nat_cursor_peek(const struct nat_cursor *cursor,
				       uint32_t bytes)
{
	return bytes <= cursor->left ? cursor->at : NULL;
}

/* Returns the next `bytes` bytes and moves past them; NULL (and no move) when
 * fewer are left. */
static inline uint8_t *nat_cursor_take(struct nat_cursor *cursor,
				       uint32_t bytes)
{
	uint8_t *at = nat_cursor_peek(cursor, bytes);

	if (at) {
		cursor->at += bytes;
		cursor->left -= bytes;
	}
	return at;
}

/* Forgets what lies beyond the next `bytes` bytes. */
static inline void nat_cursor_limit(struct nat_cursor *cursor, uint32_t bytes)
{
	if (bytes < cursor->left)
		cursor->left = bytes;
}

#endif
