/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- bytes ----------------------------------------------------------------- */

uint8_t fuzz_u8(struct fuzz_bytes *bytes)
{
	if (!bytes->left)
		return 0;
	bytes->left--;
	return *bytes->at++;
}

uint16_t fuzz_u16(struct fuzz_bytes *bytes)
{
	unsigned high = fuzz_u8(bytes);

	return (uint16_t)(high << 8 | fuzz_u8(bytes));
}

uint32_t fuzz_u32(struct fuzz_bytes *bytes)
{
	uint32_t high = fuzz_u16(bytes);

	return high << 16 | fuzz_u16(bytes);
}

struct fuzz_bytes fuzz_take(struct fuzz_bytes *bytes, size_t length)
{
	struct fuzz_bytes taken = *bytes;

	if (taken.left > length)
		taken.left = length;
	bytes->at += taken.left;
	bytes->left -= taken.left;
	return taken;
}

static void *copy(struct fuzz_bytes bytes, size_t more)
{
	uint8_t *memory = malloc(bytes.left + more);

	if (!memory)
		abort();
	if (bytes.left)
		memcpy(memory, bytes.at, bytes.left);
	return memory;
}

char *fuzz_text(struct fuzz_bytes bytes)
{
	char *text = copy(bytes, 1);

	text[bytes.left] = '\0';
	return text;
}

uint8_t *fuzz_copy(struct fuzz_bytes bytes)
{
	return copy(bytes, bytes.left ? 0 : 1);
}

/* --- counting -------------------------------------------------------------- */

static uint64_t count;
static uint64_t *shared; /* with the script that watches us */

/* AFL++ runs many processes one after another: the sum outlives them. */
static void share(void)
{
	const char *path = getenv("FUZZ_COUNT");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *mapped = MAP_FAILED;

	if (fd >= 0)
		mapped = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			      MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	shared = mapped == MAP_FAILED ? &count : mapped;
}

void fuzz_judged(void)
{
	if (!shared)
		share();
	++*shared;
	if (shared != &count)
		count++;
}

uint64_t fuzz_count(void)
{
	return count;
}

void fuzz_expect(const char *wrong)
{
	if (!wrong)
		return;
	fprintf(stderr, "FOUND: %s\n", wrong);
	abort();
}
