/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One daemon in each network namespace.
 */
#include "lock.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* How long a lock that is taken is asked for again. A daemon that was killed
 * may leave a child behind that has not yet had the time to close what it
 * inherited (doctor_child.c). */
#define LOCK_PATIENCE_MS 1000
#define LOCK_PAUSE_MS 50

static int bind_patiently(int fd, const struct sockaddr_un *addr,
			  socklen_t length)
{
	for (int waited = 0; bind(fd, (const struct sockaddr *)addr, length);
	     waited += LOCK_PAUSE_MS) {
		if (errno != EADDRINUSE || waited >= LOCK_PATIENCE_MS)
			return -1;
		poll(NULL, 0, LOCK_PAUSE_MS);
	}
	return 0;
}

/* Rules and settings are those of a network namespace, and so are abstract
 * sockets: whatever paths and queues two daemons have, one of them holds this
 * name. It goes with its process. */
int lock_take(void)
{
	static const char name[] = "portico";
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err;

	memcpy(addr.sun_path + 1, name, sizeof(name) - 1);
	if (fd >= 0 &&
	    !bind_patiently(fd, &addr,
			    (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
					sizeof(name))))
		return fd;
	err = errno;
	if (fd >= 0)
		close(fd);
	if (err == EADDRINUSE)
		fputs("porticod: another porticod runs in this network "
		      "namespace (it holds the socket @portico); nothing was "
		      "changed\n",
		      stderr);
	else
		fprintf(stderr, "porticod: socket @portico: %s\n",
			strerror(err));
	return -1;
}
