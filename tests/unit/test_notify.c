/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the service manager gets, with a socket of our own in its place.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "platform/notify.h"
#include "suite.h"

static char got[1024];

/* name: a path, or '@' and an abstract name. */
static int listen_at(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(address.sun_path, name, length);
	if (*name == '@')
		address.sun_path[0] = '\0';
	length += offsetof(struct sockaddr_un, sun_path) + (*name != '@');
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_FATAL(
		!bind(fd, (struct sockaddr *)&address, (socklen_t)length));
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

static const char *next(int fd)
{
	ssize_t length = recv(fd, got, sizeof(got) - 1, 0);

	got[length > 0 ? length : 0] = '\0';
	return got;
}

static void check_messages(int fd)
{
	CU_ASSERT_EQUAL(notify_ready(), 0);
	CU_ASSERT_STRING_EQUAL(next(fd), "READY=1");
	CU_ASSERT_EQUAL(notify_stopping(), 0);
	CU_ASSERT_STRING_EQUAL(next(fd), "STOPPING=1");
	CU_ASSERT_EQUAL(notify_watchdog(), 0);
	CU_ASSERT_STRING_EQUAL(next(fd), "WATCHDOG=1");
}

static void test_abstract(void)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "@portico-test-%ld", (long)getpid());
	fd = listen_at(name);
	check_messages(fd);
	close(fd);
}

static void test_path(void)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "/tmp/portico-test-%ld", (long)getpid());
	unlink(name);
	fd = listen_at(name);
	check_messages(fd);
	close(fd);
	CU_ASSERT_EQUAL(notify_ready(), -ECONNREFUSED);
	unlink(name);
	CU_ASSERT_EQUAL(notify_ready(), -ENOENT);
}

static void test_reloading(void)
{
	unsigned long long stamp, now;
	struct timespec clock;
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "@portico-test-%ld", (long)getpid());
	fd = listen_at(name);
	CU_ASSERT_EQUAL(notify_reloading(), 0);
	CU_ASSERT_EQUAL(sscanf(next(fd), "RELOADING=1\nMONOTONIC_USEC=%llu",
			       &stamp),
			1);
	clock_gettime(CLOCK_MONOTONIC, &clock);
	now = (unsigned long long)clock.tv_sec * 1000000;
	now += (unsigned long long)clock.tv_nsec / 1000;
	CU_ASSERT(stamp <= now && now - stamp < 10000000);
	close(fd);
}

static void test_nobody(void)
{
	unsetenv("NOTIFY_SOCKET");
	CU_ASSERT_EQUAL(notify_ready(), 0);
	setenv("NOTIFY_SOCKET", "", 1);
	CU_ASSERT_EQUAL(notify_ready(), 0);
}

static void test_bad_names(void)
{
	char name[300];

	setenv("NOTIFY_SOCKET", "relative/path", 1);
	CU_ASSERT_EQUAL(notify_ready(), -EINVAL);
	setenv("NOTIFY_SOCKET", "@", 1);
	CU_ASSERT_EQUAL(notify_ready(), -EINVAL);
	memset(name, '/', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	setenv("NOTIFY_SOCKET", name, 1);
	CU_ASSERT_EQUAL(notify_ready(), -EINVAL);
	unsetenv("NOTIFY_SOCKET");
}

#define PASSED 2

/* The descriptors that came with the next message, -1: none. */
static void next_fds(int fd, int passed[PASSED])
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int) * PASSED)];
	} control;
	struct iovec text = { got, sizeof(got) - 1 };
	struct msghdr message = {
		.msg_iov = &text,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t length = recvmsg(fd, &message, 0);

	got[length > 0 ? length : 0] = '\0';
	passed[0] = passed[1] = -1;
	if (message.msg_controllen)
		memcpy(passed, CMSG_DATA(&control.header),
		       sizeof(int) * PASSED);
}

static void test_store(void)
{
	int ends[2], fd, kept[PASSED];
	char name[64], byte = 0;

	snprintf(name, sizeof(name), "@portico-test-%ld", (long)getpid());
	fd = listen_at(name);
	CU_ASSERT_FATAL(!pipe(ends));
	CU_ASSERT_EQUAL(notify_store(ends, PASSED, "queue-1"), 0);
	next_fds(fd, kept);
	CU_ASSERT_STRING_EQUAL(got, "FDSTORE=1\nFDPOLL=0\nFDNAME=queue-1");
	CU_ASSERT_FATAL(kept[0] >= 0 && kept[1] >= 0);
	CU_ASSERT_EQUAL(write(kept[1], "x", 1), 1);
	CU_ASSERT(read(kept[0], &byte, 1) == 1 && byte == 'x');
	close(kept[0]);
	close(kept[1]);
	CU_ASSERT_EQUAL(notify_store(ends, NOTIFY_STORED_MAX + 1, "queue-1"),
			-E2BIG);
	CU_ASSERT_EQUAL(notify_forget("queue-1"), 0);
	next_fds(fd, kept);
	CU_ASSERT_EQUAL(kept[0], -1);
	CU_ASSERT_STRING_EQUAL(got, "FDSTOREREMOVE=1\nFDNAME=queue-1");
	close(ends[0]);
	close(ends[1]);
	close(fd);
}

/* What a process for which `pid` is written down takes over of two
 * descriptors: as many as there are of the first name; another is closed.
 * Returns what is wrong. */
static int take_stored(const char *pid, const char *names, const char *wanted,
		       size_t count)
{
	char name[NOTIFY_NAME_MAX];
	int fds[NOTIFY_STORED_MAX];

	dup2(STDERR_FILENO, 3);
	dup2(STDERR_FILENO, 4);
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "2", 1);
	setenv("LISTEN_FDNAMES", names, 1);
	notify_take_stored();
	if (notify_stored(fds, name) != count)
		return 2;
	if (getenv("LISTEN_PID") || getenv("LISTEN_FDS") ||
	    getenv("LISTEN_FDNAMES"))
		return 1;
	if (!count)
		return 0;
	if (fds[0] != 3 || fds[count - 1] != 2 + (int)count ||
	    strcmp(name, wanted))
		return 3;
	if (fcntl(3, F_GETFD) != FD_CLOEXEC ||
	    fcntl(4, F_GETFD) != (count == 2 ? FD_CLOEXEC : -1))
		return 4;
	return notify_stored(fds, name) ? 5 : 0;
}

static void test_stored(void)
{
	char own[32];
	int saved[2] = { dup(3), dup(4) };

	snprintf(own, sizeof(own), "%ld", (long)getpid());
	CU_ASSERT_EQUAL(take_stored("1", "a:b", NULL, 0), 0);
	CU_ASSERT_EQUAL(take_stored("", "a:b", NULL, 0), 0);
	CU_ASSERT_EQUAL(take_stored(own, "a:b", "a", 1), 0);
	CU_ASSERT_EQUAL(take_stored(own, "a:a", "a", 2), 0);
	CU_ASSERT_EQUAL(take_stored(own, "a:ab", "a", 1), 0);
	CU_ASSERT_EQUAL(take_stored(own, "", "", 2), 0);
	for (int i = 0; i < 2; i++) {
		close(3 + i);
		if (saved[i] >= 0) {
			dup2(saved[i], 3 + i);
			close(saved[i]);
		}
	}
}

static const struct test tests[] = {
	{ "descriptors go to the manager's store", test_store },
	{ "what the manager kept is taken over, and only by its owner",
	  test_stored },
	{ "messages reach an abstract socket", test_abstract },
	{ "messages reach a socket with a path", test_path },
	{ "a reload carries its time", test_reloading },
	{ "without a manager nothing happens", test_nobody },
	{ "a senseless socket name is an error", test_bad_names },
};

int main(int argc, char **argv)
{
	return suite_run("notify", tests, sizeof(tests) / sizeof(*tests), argc,
			 argv);
}
