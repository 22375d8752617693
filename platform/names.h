/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Host names from the lease files of dnsmasq. Names are what hosts said of
 * themselves: shown to people, never used to decide anything.
 */
#ifndef PORTICO_PLATFORM_NAMES_H
#define PORTICO_PLATFORM_NAMES_H

#include <stddef.h>
#include <stdint.h>

struct names;

/* Most leases kept, and bytes of a name with its end. */
#define NAMES_MAX 4096
#define NAMES_LENGTH 64

/* The usual lease files, NULL at the end. */
extern const char *const names_files[];

/* Reads the usual lease files, those that can be read. NULL: no memory. */
struct names *names_load(void);
/* The same with files of the caller's choice, a list ended by NULL. */
struct names *names_read(const char *const files[]);
/* Opens a lease file if it may be believed: a descriptor or -1. */
int names_open(const char *path);
/* Reads from descriptors (-1: none there) and closes them. NULL: no memory. */
struct names *names_take(int fds[], size_t count);
/* From now on names_load() gives these and reads no file, until others are
 * given; takes them over. NULL: none are known. */
void names_keep(struct names *names);
void names_free(struct names *names);

/* Host order address -> name, or NULL. names may be NULL. */
const char *names_find(const struct names *names, uint32_t addr);

#endif
