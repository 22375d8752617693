/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Text that grows as it is written and is consumed from its head.
 */
#include "buffer.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The first allocation; doubled from there. */
#define BUFFER_FIRST 4096

int buffer_reserve(struct buffer *buffer, size_t bytes)
{
	size_t size = buffer->size ? buffer->size : BUFFER_FIRST;
	char *data;

	if (buffer->size - buffer->end >= bytes)
		return 0;
	while (size - buffer->end < bytes) {
		if (size > SIZE_MAX / 2)
			return -ENOMEM;
		size *= 2;
	}
	data = realloc(buffer->data, size);
	if (!data)
		return -ENOMEM;
	buffer->data = data;
	buffer->size = size;
	return 0;
}

int buffer_append(struct buffer *buffer, const char *text, size_t bytes)
{
	int err = buffer_reserve(buffer, bytes);

	if (err)
		return err;
	if (bytes)
		memcpy(buffer->data + buffer->end, text, bytes);
	buffer->end += bytes;
	return 0;
}

void buffer_consume(struct buffer *buffer, size_t bytes)
{
	buffer->start += bytes;
	if (buffer->start == buffer->end)
		buffer->start = buffer->end = 0;
}

void buffer_free(struct buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct buffer){ 0 };
}
