/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reading and writing of streams that fails on demand. The real ones leave a
 * mark in the stream, which is all that most callers look at. glibc only.
 */
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#include "plan.h"

/* What ferror() looks for, of glibc's struct. */
#define ERROR_SEEN 0x20

#define REAL(name) \
	static __typeof__(name) *real; \
	if (!real) \
	real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static int fails(const char *call, FILE *file)
{
	if (!fault_now(call))
		return 0;
	file->_flags |= ERROR_SEEN;
	return 1;
}

#define STREAM(type, failure, name, call, params, args) \
	type name params; \
	type name params \
	{ \
		REAL(name); \
		return fails(call, file) ? (type)(failure) : real args; \
	}

STREAM(char *, NULL, fgets, "fgets", (char *text, int size, FILE *file),
       (text, size, file))
STREAM(char *, NULL, __fgets_chk, "fgets",
       (char *text, size_t room, int size, FILE *file),
       (text, room, size, file))
STREAM(size_t, 0, fread, "fread",
       (void *at, size_t size, size_t count, FILE *file),
       (at, size, count, file))
STREAM(size_t, 0, __fread_chk, "fread",
       (void *at, size_t room, size_t size, size_t count, FILE *file),
       (at, room, size, count, file))
STREAM(ssize_t, -1, __getdelim, "getdelim",
       (char **line, size_t *size, int end, FILE *file),
       (line, size, end, file))
STREAM(ssize_t, -1, getline, "getdelim",
       (char **line, size_t *size, FILE *file), (line, size, file))
STREAM(size_t, 0, fwrite, "fwrite",
       (const void *at, size_t size, size_t count, FILE *file),
       (at, size, count, file))
STREAM(int, EOF, fputs, "fwrite", (const char *text, FILE *file), (text, file))
STREAM(int, EOF, fputc, "fwrite", (int byte, FILE *file), (byte, file))

int __vfprintf_chk(FILE *file, int flag, const char *format, va_list args);
int __fprintf_chk(FILE *file, int flag, const char *format, ...);

int vfprintf(FILE *file, const char *format, va_list args)
{
	REAL(vfprintf);
	return fails("fwrite", file) ? -1 : real(file, format, args);
}

int __vfprintf_chk(FILE *file, int flag, const char *format, va_list args)
{
	REAL(__vfprintf_chk);
	return fails("fwrite", file) ? -1 : real(file, flag, format, args);
}

int fprintf(FILE *file, const char *format, ...)
{
	va_list args;
	int result;

	va_start(args, format);
	result = vfprintf(file, format, args);
	va_end(args);
	return result;
}

int __fprintf_chk(FILE *file, int flag, const char *format, ...)
{
	va_list args;
	int result;

	va_start(args, format);
	result = __vfprintf_chk(file, flag, format, args);
	va_end(args);
	return result;
}
