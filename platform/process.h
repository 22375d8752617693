/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Runs a program to its end: nft, iptables-restore, never a shell.
 */
#ifndef PORTICO_PLATFORM_PROCESS_H
#define PORTICO_PLATFORM_PROCESS_H

#include <stddef.h>
#include <sys/types.h>

/* argv[0] is looked up in a fixed path (/usr/sbin:/usr/bin:/sbin:/bin). input
 * goes to stdin (NULL: /dev/null); what it prints goes to output (up to size,
 * always terminated; NULL: discarded) and its stderr to error likewise. Killed
 * after timeout_ms. Returns the exit status 0..255, or -errno (-ENOENT: no such
 * program, -ETIMEDOUT, -EINTR: ended by a signal). */
int process_run(const char *const argv[], const char *input, char *output,
		size_t output_size, char *error, size_t error_size,
		int timeout_ms);

/* The two ends of that, for who speaks with a program otherwise. Starts the one
 * at path, in the same environment, with three descriptors as its 0, 1 and 2 and
 * no others. Its process id or -errno. */
pid_t process_start(const char *path, const char *const argv[],
		    const int from[3]);
/* Waits for its end, at most timeout_ms, and kills it then. Returns as
 * process_run() does. */
int process_end(pid_t child, int timeout_ms);

/* Closes every descriptor from first on: for children. */
void process_close_from(int first);

#endif
