/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What all fuzz targets share. A target is one function over bytes; it ends
 * the process when something is wrong, and counts what it has judged.
 */
#ifndef PORTICO_TESTS_FUZZ_H
#define PORTICO_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The target: an engine (libFuzzer, AFL++) or replay.c calls it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads an input from its front; behind its end all bytes are 0. */
struct fuzz_bytes {
	const uint8_t *at;
	size_t left;
};

uint8_t fuzz_u8(struct fuzz_bytes *bytes);
uint16_t fuzz_u16(struct fuzz_bytes *bytes); /* network order */
uint32_t fuzz_u32(struct fuzz_bytes *bytes);
/* The next `length` bytes or what there is of them, shared with the input. */
struct fuzz_bytes fuzz_take(struct fuzz_bytes *bytes, size_t length);
/* A copy with a '\0' behind it, to be freed: an overrun is then an overrun of
 * the heap. */
char *fuzz_text(struct fuzz_bytes bytes);
/* The same without the '\0'; never NULL. */
uint8_t *fuzz_copy(struct fuzz_bytes bytes);

/* A packet (message, request, ...) was judged. Where FUZZ_COUNT names a file,
 * its first eight bytes hold the sum, in the machine's order. */
void fuzz_judged(void);
uint64_t fuzz_count(void); /* of this process */

/* Something is wrong: prints the sentence and aborts. NULL: all is well. */
void fuzz_expect(const char *wrong);

#endif
