/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Opening files for reading, in a process that may have no file system: then
 * somebody else opens them.
 */
#ifndef PORTICO_PLATFORM_FILES_H
#define PORTICO_PLATFORM_FILES_H

#include <stdio.h>

/* Returns a descriptor to be closed, or -errno. */
int files_open(const char *path);
/* The same as a stream; NULL with errno. */
FILE *files_stream(const char *path);

/* From now on opener() is asked instead of the kernel (NULL: no longer). */
void files_ask(int (*opener)(void *context, const char *path), void *context);

#endif
