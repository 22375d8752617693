/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Runs the loader (portico-bpf), which lies beside our own program, and takes
 * what it hands over: bpf/fast_wire.h. It has a socket and /dev/null and nothing
 * else of ours.
 */
#include "fast_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"
#include "process.h"

#define LOADER "portico-bpf"
/* More than come: so that too many are seen, and closed. */
#define FDS_ROOM (2 * FAST_FDS)
/* Larger would be no errno. */
#define ERRNO_MAX 4095

struct received {
	struct fast_loaded loaded;
	int fds[FDS_ROOM];
	size_t count;
};

int fast_say(char *error, size_t size, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, size, format, args);
	va_end(args);
	return err;
}

static void close_all(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* --- its message ---------------------------------------------------------- */

static void take_fds(struct msghdr *message, struct received *received)
{
	struct cmsghdr *part = CMSG_FIRSTHDR(message);

	for (; part; part = CMSG_NXTHDR(message, part)) {
		size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (part->cmsg_level != SOL_SOCKET ||
		    part->cmsg_type != SCM_RIGHTS ||
		    count > FDS_ROOM - received->count)
			continue;
		memcpy(&received->fds[received->count], CMSG_DATA(part),
		       count * sizeof(int));
		received->count += count;
	}
}

/* 0: a message of the right shape came. -EPIPE: the socket is at its end,
 * -EPROTO: it is another one. Descriptors that came are the caller's. */
static int receive(int fd, struct received *received)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(FDS_ROOM * sizeof(int))];
	} control;
	struct iovec bytes = { &received->loaded, sizeof(received->loaded) };
	struct msghdr message = {
		.msg_iov = &bytes,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t got;

	do
		got = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	take_fds(&message, received);
	if (!got)
		return -EPIPE;
	received->loaded.text[FAST_TEXT_MAX - 1] = '\0';
	if (got != (ssize_t)sizeof(received->loaded) ||
	    message.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ||
	    strncmp(received->loaded.version, PORTICO_VERSION,
		    FAST_VERSION_MAX) != 0 ||
	    received->loaded.result > 0 ||
	    received->loaded.result < -ERRNO_MAX ||
	    received->count != (received->loaded.result ? 0 : FAST_FDS))
		return -EPROTO;
	return 0;
}

static int wait_message(int fd, int64_t deadline, struct received *received)
{
	struct pollfd end = { .fd = fd, .events = POLLIN };

	for (;;) {
		int64_t left = deadline - loop_wait_clock_ms();
		int ready = poll(&end, 1, left > 0 ? (int)left : 0);

		if (ready > 0)
			return receive(fd, received);
		if (!ready || left <= 0)
			return -ETIMEDOUT;
	}
}

/* --- the program ---------------------------------------------------------- */

/* Starts it with the socket's other end, which it alone has then. */
static pid_t start(const char *path, uint32_t slots, uint32_t buckets, int end)
{
	char texts[2][16];
	const char *const argv[] = { LOADER, texts[0], texts[1], NULL };
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	pid_t child;

	if (null < 0)
		return -errno;
	snprintf(texts[0], sizeof(texts[0]), "%" PRIu32, slots);
	snprintf(texts[1], sizeof(texts[1]), "%" PRIu32, buckets);
	child = process_start(path, argv, (const int[]){ end, null, null });
	close(null);
	return child;
}

/* What became of it, in a sentence. heard: of its message, ended: of itself. */
static int judge(const char *path, const struct received *received, int heard,
		 int ended, char *error, size_t size)
{
	if (heard == -ETIMEDOUT)
		return fast_say(error, size, heard,
				"%s said nothing in time and was stopped",
				path);
	if (heard == -EPIPE && ended >= 0)
		return fast_say(error, size, heard,
				"%s ended with %d and without a word", path,
				ended);
	if (heard == -EPIPE)
		return fast_say(
			error, size, heard, "%s ended without a word: %s", path,
			ended == -EINTR ? "by a signal" : strerror(-ended));
	if (heard == -EPROTO)
		return fast_say(error, size, heard,
				"%s says what is not understood: is it of "
				"another version?",
				path);
	if (heard)
		return fast_say(error, size, heard, "cannot hear %s: %s", path,
				strerror(-heard));
	if (!received->loaded.result)
		return 0;
	/* -ENOENT is ours: that it is not there. */
	return fast_say(error, size,
			received->loaded.result == -ENOENT ?
				-EOPNOTSUPP :
				received->loaded.result,
			"%s", received->loaded.text);
}

int fast_load_by(const char *path, uint32_t slots, uint32_t buckets,
		 int timeout_ms, int fds[FAST_FDS], char *error,
		 size_t error_size)
{
	int64_t deadline = loop_wait_clock_ms() + timeout_ms;
	struct received received = { .count = 0 };
	int ends[2], heard, ended, err;
	pid_t child;

	for (int i = 0; i < FAST_FDS; i++)
		fds[i] = -1;
	if (access(path, X_OK)) {
		err = -errno;
		return fast_say(error, error_size, err, "%s: %s", path,
				strerror(-err));
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends)) {
		err = -errno;
		return fast_say(error, error_size, err,
				"no socket for the loader: %s", strerror(-err));
	}
	child = start(path, slots, buckets, ends[1]);
	close(ends[1]);
	if (child < 0) {
		close(ends[0]);
		return fast_say(error, error_size, (int)child,
				"cannot start %s: %s", path,
				strerror((int)-child));
	}
	heard = wait_message(ends[0], deadline, &received);
	close(ends[0]);
	/* It has nothing more to say: how it ends is of interest only when it
	 * said nothing. */
	ended = process_end(child, (int)(deadline - loop_wait_clock_ms()));
	err = judge(path, &received, heard, ended, error, error_size);
	if (err)
		close_all(received.fds, received.count);
	else
		memcpy(fds, received.fds, FAST_FDS * sizeof(int));
	return err;
}

int fast_load(uint32_t slots, uint32_t buckets, int fds[FAST_FDS], char *error,
	      size_t error_size)
{
	char *own = realpath("/proc/self/exe", NULL);
	char path[PATH_MAX];
	char *slash = own ? strrchr(own, '/') : NULL;
	int length, err = -errno;

	for (int i = 0; i < FAST_FDS; i++)
		fds[i] = -1;
	if (!slash) {
		free(own);
		return fast_say(error, error_size, err == -ENOENT ? -EIO : err,
				"where our own program lies is not known: %s",
				strerror(-err));
	}
	*slash = '\0';
	length = snprintf(path, sizeof(path), "%s/" LOADER, own);
	free(own);
	if (length < 0 || length >= (int)sizeof(path))
		return fast_say(error, error_size, -ENAMETOOLONG,
				"the path of " LOADER " is too long");
	return fast_load_by(path, slots, buckets, FAST_LOAD_MS, fds, error,
			    error_size);
}
