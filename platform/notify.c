/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * sd_notify without libsystemd: one datagram per message.
 */
#include "notify.h"

#include <errno.h>
#include <fcntl.h>
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

#include "process.h"

/* The first of the descriptors that the manager passes on. */
#define STORED_FIRST 3
#define STORED_MOST 64

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

/* Returns a connected socket, -ENODATA: nobody wants to know, other -errno. */
static int open_socket(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address;
	socklen_t length;
	int fd, err;

	if (!path || !*path)
		return -ENODATA;
	length = make_address(path, &address);
	if (!length)
		return -EINVAL;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (struct sockaddr *)&address, length))
		return fd;
	err = errno;
	close(fd);
	return -err;
}

/* The socket that lasts, or the -errno of its opening; 0: there is none. */
static int kept;

void notify_keep(void)
{
	kept = open_socket();
}

/* Descriptors that go along with a message. */
struct passed {
	const int *fds;
	size_t count;
};

static int send_with(int fd, const char *message, struct passed passed)
{
	struct iovec text = { (void *)(uintptr_t)message, strlen(message) };
	union {
		struct cmsghdr header; /* for its alignment */
		char room[CMSG_SPACE(sizeof(int) * NOTIFY_STORED_MAX)];
	} control = { .room = { 0 } };
	struct msghdr datagram = { .msg_iov = &text, .msg_iovlen = 1 };

	if (passed.count) {
		const size_t bytes = passed.count * sizeof(int);

		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(bytes);
		memcpy(CMSG_DATA(&control.header), passed.fds, bytes);
		datagram.msg_control = &control;
		datagram.msg_controllen = CMSG_SPACE(bytes);
	}
	return sendmsg(fd, &datagram, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ?
		       -errno :
		       0;
}

static int notify_with(const char *message, struct passed passed)
{
	int fd = kept ? kept : open_socket();
	int rc;

	if (fd < 0)
		return fd == -ENODATA ? 0 : fd;
	rc = send_with(fd, message, passed);
	if (!kept)
		close(fd);
	return rc;
}

static int notify(const char *message)
{
	return notify_with(message, (struct passed){ NULL, 0 });
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

/* --- the manager's store ---------------------------------------------------- */

static int stored_fds[NOTIFY_STORED_MAX];
static size_t stored_count;
static char stored_name[NOTIFY_NAME_MAX];

/* Not watched by the manager, which else would close it for the first error of
 * the socket. */
int notify_store(const int fds[], size_t count, const char *name)
{
	char message[NOTIFY_NAME_MAX + 32];

	if (count > NOTIFY_STORED_MAX)
		return -E2BIG;

	snprintf(message, sizeof(message), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s",
		 name);
	return notify_with(message, (struct passed){ fds, count });
}

int notify_forget(const char *name)
{
	char message[NOTIFY_NAME_MAX + 32];

	snprintf(message, sizeof(message), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	return notify(message);
}

/* A number of the environment, 0 when it is none. */
static long number_of(const char *variable)
{
	const char *text = getenv(variable);

	return text ? strtol(text, NULL, 10) : 0;
}

/* names: one for each descriptor, ':' between them. */
static void take(int fd, const char *names, size_t name_length)
{
	if (!stored_count)
		snprintf(stored_name, sizeof(stored_name), "%.*s",
			 (int)name_length, names);
	if (stored_count == NOTIFY_STORED_MAX ||
	    strlen(stored_name) != name_length ||
	    strncmp(stored_name, names, name_length)) {
		close(fd);
		return;
	}
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	stored_fds[stored_count++] = fd;
}

void notify_take_stored(void)
{
	long count = number_of("LISTEN_FDS");
	const char *names = getenv("LISTEN_FDNAMES");

	if (number_of("LISTEN_PID") != (long)getpid() || count > STORED_MOST)
		count = 0;
	for (int i = 0; i < count; i++) {
		size_t length = names ? strcspn(names, ":") : 0;

		take(STORED_FIRST + i, names ? names : "", length);
		if (names)
			names += length + (names[length] == ':');
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

void notify_close_others(void)
{
	int first = STORED_FIRST;

	for (size_t i = 0; i < stored_count; i++)
		if (stored_fds[i] >= first)
			first = stored_fds[i] + 1;
	process_close_from(first);
}

size_t notify_stored(int fds[NOTIFY_STORED_MAX], char name[NOTIFY_NAME_MAX])
{
	size_t count = stored_count;

	memcpy(name, stored_name, sizeof(stored_name));
	memcpy(fds, stored_fds, sizeof(stored_fds));
	stored_count = 0;
	return count;
}
