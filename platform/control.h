/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The control sockets: one JSON object per line in each direction over a Unix
 * stream socket. `control` takes every verb, `control_read` the read-only
 * ones. Long dumps are written in slices; a slow reader delays nobody.
 */
#ifndef PORTICO_PLATFORM_CONTROL_H
#define PORTICO_PLATFORM_CONTROL_H

#include "gateway.h"
#include "loop.h"

struct control;

/* Longest request line in bytes; most clients at once per socket, and of one
 * user that is not root. */
#define CONTROL_REQUEST_MAX 4096
#define CONTROL_CLIENTS_MAX 32
#define CONTROL_USER_CLIENTS_MAX 8
/* Requests a second of one client, and of one socket; twice as many at once. */
#define CONTROL_CLIENT_RATE 100
#define CONTROL_RATE 400
/* Seconds a client may be silent, may take to say one line, and to read one
 * answer, before it is cut off. */
#define CONTROL_IDLE_S 30
#define CONTROL_REQUEST_S 10
#define CONTROL_ANSWER_S 300

/* The limits by the names under which they are counted. */
enum control_refusal {
	CONTROL_CLIENTS,
	CONTROL_USER_CLIENTS,
	CONTROL_REQUESTS,
	CONTROL_CLIENT_REQUESTS,
	CONTROL_REQUEST_BYTES,
	CONTROL_IDLE,
	CONTROL_SLOW_REQUEST,
	CONTROL_SLOW_ANSWER,
	CONTROL_MEMORY, /* there was none for a client or its answer */
	CONTROL_FORWARDS, /* config.h; the client stays */
	CONTROL_REFUSALS,
	CONTROL_ALLOWED = CONTROL_REFUSALS
};
const char *control_refusal_name(enum control_refusal refusal);

struct control_stats {
	uint64_t clients; /* now */
	uint64_t requests; /* answered */
	uint64_t refused[CONTROL_REFUSALS];
};

/* Creates both sockets (0660, groups portico and portico-view where they
 * exist, else root only). Fails with -EADDRINUSE when another
 * daemon answers on the path; a dead socket file is replaced. gateway may be
 * set later by control_set_gateway() (until then clients are told to wait).
 * Returns NULL with a sentence in error. */
struct control *control_open(struct loop *loop, const char *path,
			     const char *read_path, char *error,
			     size_t error_size);
/* From now on clients are served (NULL: told to wait). Warns, in one line, of
 * sockets that only root can use. */
void control_set_gateway(struct control *control, struct gateway *gateway);
/* From now on control_close() leaves the sockets' files to somebody else. */
void control_leave_files(struct control *control);
/* Called once a second: cuts off idle clients. */
void control_tick(struct control *control);
void control_close(struct control *control);

#endif
