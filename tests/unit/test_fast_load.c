/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The loader is run, and what it hands over is taken or, if it is not what was
 * agreed, closed. This program is its own loader: what it does as one, the number
 * of slots says.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/fast_private.h"
#include "suite.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TIMEOUT_MS 20000
#define FDS_MOST 32

/* --- the loader ----------------------------------------------------------- */

enum behaviour {
	WELL = 1, /* slots are 1 more than sessions: never 0 */
	REFUSES,
	REFUSES_AS_ABSENT,
	FEW, /* too few descriptors */
	MANY,
	TOO_MANY, /* more than there is room for */
	REFUSES_WITH, /* a refusal with descriptors */
	POSITIVE,
	NO_ERRNO,
	SHORT,
	LONG,
	OF_ANOTHER_VERSION,
	ENDLESS_TEXT,
	ENDS,
	KILLED,
	HANGS,
	SAYS_AND_HANGS,
	SURROUNDINGS /* what it has been given, in the text */
};

static void send_fds(const void *bytes, size_t length, size_t count)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(FDS_MOST * sizeof(int))];
	} control;
	struct iovec part = { (void *)(uintptr_t)bytes, length };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	int fds[FDS_MOST];

	for (size_t i = 0; i < count; i++) {
		fds[i] = open("/dev/zero", O_RDONLY);
		lseek(fds[i], 0, SEEK_SET);
	}
	memset(&control, 0, sizeof(control));
	if (count) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
	}
	if (sendmsg(0, &message, 0) < 0)
		_exit(9);
}

static size_t open_fds(void)
{
	size_t count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void describe(char text[FAST_TEXT_MAX], const char *buckets)
{
	extern char **environ;
	struct stat out, error, null;
	size_t variables = 0;

	while (environ[variables])
		variables++;
	stat("/dev/null", &null);
	fstat(1, &out);
	fstat(2, &error);
	snprintf(text, FAST_TEXT_MAX, "%zu fds, null %d %d, %zu %s, buckets %s",
		 open_fds(), out.st_rdev == null.st_rdev,
		 error.st_rdev == null.st_rdev, variables, getenv("LC_ALL"),
		 buckets);
}

static int be_loader(enum behaviour behaviour, const char *buckets)
{
	struct {
		struct fast_loaded loaded;
		char more[8];
	} said = { .loaded = { .version = PORTICO_VERSION } };
	size_t length = sizeof(said.loaded), count = 0;

	strcpy(said.loaded.text, "the kernel will not");
	switch (behaviour) {
	case WELL:
	case SAYS_AND_HANGS:
		count = FAST_FDS;
		break;
	case REFUSES:
		said.loaded.result = -EPERM;
		break;
	case REFUSES_AS_ABSENT:
		said.loaded.result = -ENOENT;
		break;
	case FEW:
		count = FAST_FDS - 1;
		break;
	case MANY:
		count = FAST_FDS + 1;
		break;
	case TOO_MANY:
		count = FDS_MOST;
		break;
	case REFUSES_WITH:
		said.loaded.result = -EPERM;
		count = FAST_FDS;
		break;
	case POSITIVE:
		said.loaded.result = EPERM;
		break;
	case NO_ERRNO:
		said.loaded.result = -5000;
		break;
	case SHORT:
		length--;
		count = FAST_FDS;
		break;
	case LONG:
		length++;
		count = FAST_FDS;
		break;
	case ENDLESS_TEXT:
		said.loaded.result = -EPERM;
		memset(said.loaded.text, 'x', FAST_TEXT_MAX);
		break;
	case OF_ANOTHER_VERSION:
		strcpy(said.loaded.version, PORTICO_VERSION ".1");
		count = FAST_FDS;
		break;
	case ENDS:
		return 3;
	case KILLED:
		abort();
	case HANGS:
		pause();
		return 0;
	case SURROUNDINGS:
		said.loaded.result = -EPERM;
		describe(said.loaded.text, buckets);
		break;
	}
	send_fds(&said, length, count);
	if (behaviour == SAYS_AND_HANGS)
		pause();
	return 0;
}

/* --- the daemon's side ---------------------------------------------------- */

static char error[FAST_TEXT_MAX + 64];
static int fds[FAST_FDS];

static int load(enum behaviour behaviour, int timeout_ms)
{
	error[0] = '\0';
	return fast_load_by("/proc/self/exe", behaviour, 64, timeout_ms, fds,
			    error, sizeof(error));
}

static void test_what_was_agreed(void)
{
	size_t before = open_fds();
	char byte = 1;

	CU_ASSERT_EQUAL(load(WELL, TIMEOUT_MS), 0);
	CU_ASSERT_STRING_EQUAL(error, "");
	CU_ASSERT_EQUAL(open_fds(), before + FAST_FDS);
	for (int i = 0; i < FAST_FDS; i++) {
		CU_ASSERT(fcntl(fds[i], F_GETFD) == FD_CLOEXEC);
		CU_ASSERT_EQUAL(read(fds[i], &byte, 1), 1);
		CU_ASSERT_EQUAL(byte, 0);
		close(fds[i]);
	}
}

static void test_what_was_not(void)
{
	static const struct {
		enum behaviour behaviour;
		int result;
		const char *text;
	} cases[] = {
		{ REFUSES, -EPERM, "the kernel will not" },
		{ REFUSES_AS_ABSENT, -EOPNOTSUPP, "the kernel will not" },
		{ FEW, -EPROTO, "another version" },
		{ MANY, -EPROTO, "another version" },
		{ TOO_MANY, -EPROTO, "another version" },
		{ REFUSES_WITH, -EPROTO, "another version" },
		{ POSITIVE, -EPROTO, "another version" },
		{ NO_ERRNO, -EPROTO, "another version" },
		{ SHORT, -EPROTO, "another version" },
		{ OF_ANOTHER_VERSION, -EPROTO, "another version" },
		{ LONG, -EPROTO, "another version" },
		{ ENDLESS_TEXT, -EPERM, "xxx" },
		{ ENDS, -EPIPE, "ended with 3 and without a word" },
		{ KILLED, -EPIPE, "by a signal" },
	};
	size_t before = open_fds();

	for (size_t i = 0; i < COUNT(cases); i++) {
		int result = load(cases[i].behaviour, TIMEOUT_MS);

		CU_ASSERT_EQUAL(result, cases[i].result);
		CU_ASSERT_PTR_NOT_NULL(strstr(error, cases[i].text));
		CU_ASSERT_EQUAL(open_fds(), before);
		for (int j = 0; j < FAST_FDS; j++)
			CU_ASSERT_EQUAL(fds[j], -1);
		if (result != cases[i].result || !strstr(error, cases[i].text))
			printf("behaviour %d: %d, %s\n", cases[i].behaviour,
			       result, error);
	}
	CU_ASSERT_EQUAL(load(ENDLESS_TEXT, TIMEOUT_MS), -EPERM);
	CU_ASSERT_EQUAL(strlen(error), FAST_TEXT_MAX - 1);
}

static void test_what_it_is_given(void)
{
	int other = open("/dev/zero", O_RDONLY); /* not to be seen there */

	CU_ASSERT_EQUAL(setenv("SECRET", "x", 1), 0);
	CU_ASSERT_EQUAL(load(SURROUNDINGS, TIMEOUT_MS), -EPERM);
	CU_ASSERT_STRING_EQUAL(error, "3 fds, null 1 1, 2 C, buckets 64");
	close(other);
}

static void test_it_is_not_waited_for_without_end(void)
{
	size_t before = open_fds();

	CU_ASSERT_EQUAL(load(HANGS, 100), -ETIMEDOUT);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "in time"));
	CU_ASSERT_EQUAL(open_fds(), before);
	/* It has said all that is wanted of it. */
	CU_ASSERT_EQUAL(load(SAYS_AND_HANGS, 1000), 0);
	CU_ASSERT_EQUAL(open_fds(), before + FAST_FDS);
	for (int i = 0; i < FAST_FDS; i++)
		close(fds[i]);
}

static void test_it_is_not_there(void)
{
	CU_ASSERT_EQUAL(fast_load_by("/nonexistent/portico-bpf", 1, 1, 1000,
				     fds, error, sizeof(error)),
			-ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "/nonexistent/portico-bpf"));
	CU_ASSERT_EQUAL(fast_load_by("/etc/passwd", 1, 1, 1000, fds, error,
				     sizeof(error)),
			-EACCES);
	/* Beside this program there is none. */
	CU_ASSERT_EQUAL(fast_load(1, 1, fds, error, sizeof(error)), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "tests/unit/portico-bpf"));
}

static void test_opening(void)
{
	static const struct {
		struct fast_config config;
		int reason;
	} cases[] = {
		{ { 0, 0 }, EINVAL },
		{ { FAST_SESSIONS_MAX + 1, 0 }, EINVAL },
		{ { 1, 31 }, EINVAL },
		{ { FAST_SESSIONS_MAX, 30 }, ENOENT },
	};
	size_t before = open_fds();

	for (size_t i = 0; i < COUNT(cases); i++) {
		error[0] = '\0';
		errno = 0;
		CU_ASSERT_PTR_NULL(
			fast_open(&cases[i].config, error, sizeof(error)));
		CU_ASSERT_EQUAL(errno, cases[i].reason);
		CU_ASSERT(error[0] != '\0');
		CU_ASSERT_EQUAL(open_fds(), before);
	}
}

static const struct test tests[] = {
	{ "what was agreed is taken", test_what_was_agreed },
	{ "what was not is told, and closed", test_what_was_not },
	{ "the loader has a socket and nothing else of ours",
	  test_what_it_is_given },
	{ "it is not waited for without end",
	  test_it_is_not_waited_for_without_end },
	{ "it may not be installed", test_it_is_not_there },
	{ "what was asked for is looked at first", test_opening },
};

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[0], "portico-bpf"))
		return be_loader((enum behaviour)atoi(argv[1]), argv[2]);
	return suite_run("fast_load", tests, COUNT(tests), argc, argv);
}
