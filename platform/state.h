/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The memory of the engine's records: a file on tmpfs, which outlives the
 * process, or plain memory where that cannot be had. What becomes of the
 * records in it is the engine's business (nat_restore()).
 */
#ifndef PORTICO_PLATFORM_STATE_H
#define PORTICO_PLATFORM_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "portico/nat.h"

struct state {
	void *records;
	size_t bytes;
	int fd; /* of the file, locked; -1: plain memory */
	struct nat_restored restored;
	uint64_t ms; /* that the start took to restore */
	char warning[384]; /* why there is no file; empty: there is one */
};

/* Zeroed memory of our own that no child shares; NULL: there is none. */
void *state_block(size_t bytes);

/* Makes an engine whose records lie in the file `path`, taking over what is
 * there. A file that is not ours alone (a link, another owner, another daemon's)
 * is left alone, and a file system that is full is not used: then the table
 * lies in plain memory and state->warning says why.
 * indices: a zeroed block. Returns NULL when there is no memory. */
struct nat *state_open(struct state *state, const char *path,
		       const struct nat_limits *limits,
		       const struct nat_secrets *secrets, void *indices,
		       size_t indices_bytes);

/* Logs what was found. */
void state_tell(const struct state *state, const char *path);

/* The file stays, for the next start. nat: NULL unless its end is orderly. */
void state_close(struct state *state, struct nat *nat);

#endif
