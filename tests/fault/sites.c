/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Where a call comes from, told by its stack, and the block of memory that is
 * shared with the test. glibc only.
 */
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "plan.h"

/* Frames looked at; those of the shim are left out. */
#define FRAMES_SEEN (FAULT_FRAMES + 8)
#define KNOWN_BITS 12
#define KNOWN (1U << KNOWN_BITS)
#define KNOWN_MIX 11400714819323198485ULL /* 2^64 by the golden ratio */
#define FNV_BASIS 14695981039346656037ULL
#define FNV_PRIME 1099511628211ULL

static bool recording; /* a block was named and is there */
static const void *program, *shim;

/* --- start ----------------------------------------------------------------- */

static const void *base_of(const void *address)
{
	Dl_info info;

	return dladdr(address, &info) ? info.dli_fbase : NULL;
}

static void open_shared(const char *path)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
	struct fault_shared *block = MAP_FAILED;

	if (fd >= 0)
		block = (void *)syscall(SYS_mmap, NULL, sizeof(*block),
					PROT_READ | PROT_WRITE, MAP_SHARED, fd,
					0);
	if (block == MAP_FAILED || block->magic != FAULT_MAGIC) {
		fprintf(stderr, "fault: %s cannot be used\n", path);
		_exit(125);
	}
	syscall(SYS_close, fd);
	fault_use(block);
	recording = true;
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("PORTICO_FAULT");
	void *frames[2];

	if (path) {
		/* The first call loads a library. */
		backtrace(frames, 2);
		program = base_of((const void *)getauxval(AT_ENTRY));
		shim = base_of(&recording);
		open_shared(path);
	}
}

/* --- where a call comes from ----------------------------------------------- */

static uint64_t mix(uint64_t hash, const void *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		hash = (hash ^ ((const uint8_t *)bytes)[i]) * FNV_PRIME;
	return hash;
}

/* The same in every run, wherever things were loaded. 0: one of ours. */
static uint64_t find_frame(const void *address)
{
	uint64_t offset, library;
	const char *slash;
	Dl_info info;

	if (!dladdr(address, &info) || info.dli_fbase == shim)
		return 0;
	offset = (uint64_t)((const char *)address -
			    (const char *)info.dli_fbase);
	if (info.dli_fbase == program)
		return offset;
	slash = strrchr(info.dli_fname, '/');
	slash = slash ? slash + 1 : info.dli_fname;
	library = mix(FNV_BASIS, slash, strlen(slash)) | 1;
	return library << 48 | offset;
}

/* Looking one up takes longer than many a call: found once. */
static uint64_t frame_of(const void *address)
{
	static struct known {
		const void *address;
		uint64_t frame;
	} table[KNOWN];
	struct known *known =
		&table[(uintptr_t)address * KNOWN_MIX >> (64 - KNOWN_BITS)];

	if (known->address != address)
		*known = (struct known){ address, find_frame(address) };
	return known->frame;
}

static void look(struct fault_site *site, const char *call, const char *process)
{
	void *frames[FRAMES_SEEN];
	int count = backtrace(frames, FRAMES_SEEN);

	memset(site, 0, sizeof(*site));
	strncpy(site->call, call, FAULT_NAME - 1);
	strncpy(site->process, process, FAULT_NAME - 1);
	for (int i = 0; i < count && site->depth < FAULT_FRAMES; i++) {
		uint64_t frame = frame_of(frames[i]);

		if (frame)
			site->frames[site->depth++] = frame;
	}
	site->id = mix(mix(FNV_BASIS, site->call, FAULT_NAME), site->frames,
		       sizeof(site->frames));
	site->id |= !site->id;
}

/* Other processes write here at the same time. */
static void note(struct fault_shared *shared, const struct fault_site *seen)
{
	for (size_t i = 0; i < FAULT_SITES; i++) {
		struct fault_site *site =
			&shared->sites[(seen->id + i) % FAULT_SITES];
		uint64_t none = 0;

		if (__atomic_compare_exchange_n(&site->id, &none, seen->id,
						false, __ATOMIC_SEQ_CST,
						__ATOMIC_SEQ_CST)) {
			memcpy(site->call, seen->call, FAULT_NAME);
			memcpy(site->process, seen->process, FAULT_NAME);
			memcpy(site->frames, seen->frames,
			       sizeof(site->frames));
			site->depth = seen->depth;
		} else if (none != seen->id) {
			continue;
		}
		__atomic_add_fetch(&site->count, 1, __ATOMIC_SEQ_CST);
		return;
	}
	__atomic_add_fetch(&shared->lost, 1, __ATOMIC_SEQ_CST);
}

uint64_t fault_site(struct fault_shared *block, const char *call,
		    const char *process)
{
	struct fault_site site;

	if (!recording)
		return 0;
	look(&site, call, process);
	note(block, &site);
	return site.id;
}
