/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Text that grows as it is written and is consumed from its head.
 */
#ifndef PORTICO_PLATFORM_BUFFER_H
#define PORTICO_PLATFORM_BUFFER_H

#include <stddef.h>

/* All zero: empty. The unread text is data[start] .. data[end - 1]. */
struct buffer {
	char *data;
	size_t size; /* bytes allocated */
	size_t start;
	size_t end;
};

/* Makes room for at least bytes more behind end. 0 or -ENOMEM. */
int buffer_reserve(struct buffer *buffer, size_t bytes);
/* Appends bytes of text. 0 or -ENOMEM, nothing appended then. */
int buffer_append(struct buffer *buffer, const char *text, size_t bytes);
/* Takes bytes (at most what is unread) from the head; an emptied buffer
 * starts over at the front of its memory. */
void buffer_consume(struct buffer *buffer, size_t bytes);
void buffer_free(struct buffer *buffer);

static inline size_t buffer_length(const struct buffer *buffer)
{
	return buffer->end - buffer->start;
}

#endif
