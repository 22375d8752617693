/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The command's end of the control socket.
 */
#include "client.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* Bytes asked for in one read. */
#define PIECE 65536

int client_connect(const char *path)
{
	const struct timeval limit = { .tv_sec = CLIENT_TIMEOUT_S };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	    connect(fd, (const struct sockaddr *)&addr, sizeof(addr))) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int send_all(int fd, const char *text, size_t length)
{
	while (length) {
		ssize_t sent = send(fd, text, length, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		text += sent;
		length -= (size_t)sent;
	}
	return 0;
}

int client_send(int fd, struct json_object *request)
{
	size_t length = 0;
	const char *text = json_object_to_json_string_length(
		request, JSON_C_TO_STRING_PLAIN, &length);
	int err;

	if (!text)
		return -ENOMEM;
	err = send_all(fd, text, length);
	return err ? err : send_all(fd, "\n", 1);
}

/* 1: the line is complete, 0: not yet, or -errno. */
static int receive_piece(int fd, struct buffer *line)
{
	char *piece, *newline;
	ssize_t got;

	if (buffer_reserve(line, PIECE))
		return -ENOMEM;
	piece = line->data + line->end;
	got = recv(fd, piece, PIECE, 0);
	if (got < 0 && errno == EINTR)
		return 0;
	if (got < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (got == 0)
		return -ECONNRESET;
	newline = memchr(piece, '\n', (size_t)got);
	if (!newline) {
		line->end += (size_t)got;
		return 0;
	}
	*newline = '\0';
	line->end += (size_t)(newline - piece);
	return 1;
}

int client_receive(int fd, struct buffer *line)
{
	int got;

	do {
		got = receive_piece(fd, line);
	} while (got == 0);
	return got < 0 ? got : 0;
}
