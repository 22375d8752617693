/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Allocations that fail. The C library's own come by here too. Not for a
 * program with sanitizers, which bring an allocator themselves.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "plan.h"

/* glibc's names of the real ones: to look them up would allocate. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

void *malloc(size_t bytes)
{
	return fault_now("malloc") ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
	return fault_now("calloc") ? NULL : __libc_calloc(count, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
	return fault_now("aligned_alloc") ? NULL :
					    __libc_memalign(alignment, bytes);
}

void *realloc(void *old, size_t bytes)
{
	return fault_now("realloc") ? NULL : __libc_realloc(old, bytes);
}
