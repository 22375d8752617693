/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Locks a process of the daemon in, for good. sandbox.c has the theory: who may
 * do what, and what is left to an intruder.
 */
#ifndef PORTICO_PLATFORM_SANDBOX_H
#define PORTICO_PLATFORM_SANDBOX_H

#include <stddef.h>

enum sandbox_role {
	SANDBOX_PACKETS, /* reads what strangers send */
	SANDBOX_HELPER, /* and the programs that it runs */
};

/* near: a path in whose folder an empty directory may be made for a moment
 * (packet process only). 0: all that belongs to the role is in force; 1: what
 * can be had here is, missing names the rest in one line; -errno: neither, the
 * process must end. */
int sandbox_enter(enum sandbox_role role, const char *near, char *missing,
		  size_t size);

/* The role's list of system calls. 0, -EOPNOTSUPP: built without, other
 * -errno: the kernel or who started us does not let us. */
int sandbox_filter(enum sandbox_role role);

/* No file, no TCP connection, no signal, by Landlock: as much of it as this
 * kernel knows. 0 or -errno. */
int sandbox_landlock(void);

#endif
