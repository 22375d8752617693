/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the service manager gets, with a socket of our own in its place.
 */
#include <errno.h>
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
	CU_ASSERT_EQUAL(notify_status("uplink wan0 192.0.2.1"), 0);
	CU_ASSERT_STRING_EQUAL(next(fd), "STATUS=uplink wan0 192.0.2.1");
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

/* A status is one line: what follows could pass for another message. */
static void test_status(void)
{
	char name[64], text[2000];
	int fd;

	snprintf(name, sizeof(name), "@portico-test-%ld", (long)getpid());
	fd = listen_at(name);
	CU_ASSERT_EQUAL(notify_status("well\nREADY=1"), 0);
	CU_ASSERT_STRING_EQUAL(next(fd), "STATUS=well");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	CU_ASSERT_EQUAL(notify_status(text), 0);
	CU_ASSERT(strlen(next(fd)) > 100);
	CU_ASSERT_EQUAL(strspn(got + 7, "x"), strlen(got) - 7);
	close(fd);
}

static void test_nobody(void)
{
	unsetenv("NOTIFY_SOCKET");
	CU_ASSERT_EQUAL(notify_ready(), 0);
	CU_ASSERT_EQUAL(notify_status("x"), 0);
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

static const struct test tests[] = {
	{ "messages reach an abstract socket", test_abstract },
	{ "messages reach a socket with a path", test_path },
	{ "a reload carries its time", test_reloading },
	{ "a status stays one short line", test_status },
	{ "without a manager nothing happens", test_nobody },
	{ "a senseless socket name is an error", test_bad_names },
};

int main(int argc, char **argv)
{
	return suite_run("notify", tests, sizeof(tests) / sizeof(*tests), argc,
			 argv);
}
