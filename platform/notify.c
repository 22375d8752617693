/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * sd_notify without libsystemd: one datagram per message.
 */
#include "notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define STATUS_MAX 256

/* A leading '@' names a socket in the abstract namespace. Returns the length
 * of the address, 0 when the path is no such name. */
static socklen_t make_address(const char *path, struct sockaddr_un *address)
{
	size_t length = strlen(path);

	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	if ((*path != '/' && *path != '@') || length < 2 ||
	    length >= sizeof(address->sun_path))
		return 0;
	memcpy(address->sun_path, path, length);
	if (*path == '@')
		address->sun_path[0] = '\0';
	else
		length++; /* a path ends with its zero, a name does not */
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

static int notify(const char *message)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address;
	socklen_t length;
	int rc = 0, fd;

	if (!path || !*path)
		return 0;
	length = make_address(path, &address);
	if (!length)
		return -EINVAL;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (sendto(fd, message, strlen(message), MSG_NOSIGNAL | MSG_DONTWAIT,
		   (struct sockaddr *)&address, length) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

int notify_ready(void)
{
	return notify("READY=1");
}

int notify_stopping(void)
{
	return notify("STOPPING=1");
}

int notify_reloading(void)
{
	char message[64];
	struct timespec now;

	/* The manager orders reloads by this clock. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(message, sizeof(message),
		 "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		 (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
	return notify(message);
}

int notify_watchdog(void)
{
	return notify("WATCHDOG=1");
}

int notify_status(const char *text)
{
	char message[STATUS_MAX];

	snprintf(message, sizeof(message), "STATUS=%.*s",
		 (int)strcspn(text, "\n"), text);
	return notify(message);
}
