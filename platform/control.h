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

/* Longest request line in bytes, most clients at once per socket, and seconds
 * a client may be silent before it is cut off. */
#define CONTROL_REQUEST_MAX 4096
#define CONTROL_CLIENTS_MAX 32
#define CONTROL_IDLE_S 30

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
/* Called once a second: cuts off idle clients. */
void control_tick(struct control *control);
void control_close(struct control *control);

#endif
