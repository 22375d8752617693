/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a block of memory held after each store into it: every image that a
 * process killed at whatever instruction could leave behind.
 *
 * The block is read-only while it is watched. A store faults; it is let through
 * with the processor's trap flag set, and the trap behind it copies the block.
 * So only stores cost time, and "after each store" is meant literally: also
 * between two bytes of a memset().
 */
#ifndef PORTICO_TESTS_STORES_H
#define PORTICO_TESTS_STORES_H

#include <stddef.h>
#include <stdint.h>

struct stores {
	uint8_t *block; /* whole pages, zeroed */
	size_t bytes; /* of it that are looked at */
	size_t mapped;
	uint8_t *images; /* one behind the other, each unlike the one before */
	size_t count, room;
};

/* Why no store can be watched here; NULL: they can. */
const char *stores_missing(void);

/* A block of at least this many bytes, and room for so many images. */
void stores_make(struct stores *stores, size_t bytes, size_t room);
/* Calls run(context); the first image is the block before it. Stops the program
 * when there is no room for all images. */
void stores_watch(struct stores *stores, void (*run)(void *context),
		  void *context);
void stores_free(struct stores *stores);

#endif
