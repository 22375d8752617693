/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The command's end of the control socket: one request line out, one line of
 * any length back.
 */
#ifndef PORTICO_PLATFORM_CLIENT_H
#define PORTICO_PLATFORM_CLIENT_H

#include <json-c/json.h>

#include "buffer.h"

#define CLIENT_CONTROL_DEFAULT "/run/portico/portico.sock"
#define CLIENT_READ_DEFAULT "/run/portico/monitor.sock"

/* Seconds of silence after which a daemon counts as stuck. A reload may run
 * other programs, so this is generous. */
#define CLIENT_TIMEOUT_S 30

/* Connects to a socket. Returns the descriptor or -errno (-ENOENT and
 * -ECONNREFUSED: no daemon; -EACCES: not for this user). */
int client_connect(const char *path);

/* Sends the request as one line. 0 or -errno. */
int client_send(int fd, struct json_object *request);

/* Reads one line into the empty buffer, without its newline and ended by '\0'.
 * 0 or -errno: -ECONNRESET when the daemon hung up first, -ETIMEDOUT. */
int client_receive(int fd, struct buffer *line);

#endif
