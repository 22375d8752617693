/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Programs run to their end: status, output, input, limits, time.
 */
#include "platform/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "suite.h"

#define TIMEOUT_MS 10000

static uint64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Runs sh -c script. */
static int shell(const char *script, const char *input, char *output,
		 size_t size)
{
	const char *const argv[] = { "sh", "-c", script, NULL };

	return process_run(argv, input, output, size, NULL, 0, TIMEOUT_MS);
}

static void test_status(void)
{
	CU_ASSERT_EQUAL(shell("exit 0", NULL, NULL, 0), 0);
	CU_ASSERT_EQUAL(shell("exit 3", NULL, NULL, 0), 3);
	CU_ASSERT_EQUAL(shell("kill -9 $$", NULL, NULL, 0), -EINTR);
}

static void test_missing(void)
{
	const char *const argv[] = { "no-such-program-anywhere", NULL };
	char output[8] = "old";

	CU_ASSERT_EQUAL(process_run(argv, NULL, output, sizeof(output), NULL, 0,
				    TIMEOUT_MS),
			-ENOENT);
	CU_ASSERT_STRING_EQUAL(output, "");
}

static void test_fixed_path(void)
{
	char output[256], other[8];

	setenv("PATH", "/nonexistent", 1);
	setenv("LANG", "de_DE.UTF-8", 1);
	setenv("SECRET", "x", 1);
	CU_ASSERT_EQUAL(shell("echo $PATH $LC_ALL $LANG$SECRET", NULL, output,
			      sizeof(output)),
			0);
	CU_ASSERT_STRING_EQUAL(output, "/usr/sbin:/usr/bin:/sbin:/bin C\n");
	CU_ASSERT_EQUAL(shell("printf '%s' \"$SECRET\"", NULL, other,
			      sizeof(other)),
			0);
	CU_ASSERT_STRING_EQUAL(other, "");
}

static void test_streams(void)
{
	const char *const argv[] = { "sh", "-c", "echo out; echo err >&2",
				     NULL };
	char output[16], error[16];

	CU_ASSERT_EQUAL(process_run(argv, NULL, output, sizeof(output), error,
				    sizeof(error), TIMEOUT_MS),
			0);
	CU_ASSERT_STRING_EQUAL(output, "out\n");
	CU_ASSERT_STRING_EQUAL(error, "err\n");
}

static void test_no_input(void)
{
	char output[16];

	CU_ASSERT_EQUAL(shell("wc -c", NULL, output, sizeof(output)), 0);
	CU_ASSERT_EQUAL(atoi(output), 0);
	CU_ASSERT_EQUAL(shell("wc -c", "", output, sizeof(output)), 0);
	CU_ASSERT_EQUAL(atoi(output), 0);
}

/* More than any pipe holds, both ways at once. */
static void test_large(void)
{
	const size_t size = 1 << 20;
	char *input = malloc(size + 1);
	char *output = malloc(size + 1);

	memset(input, 'x', size);
	input[size] = '\0';
	CU_ASSERT_EQUAL(shell("cat", input, output, size + 1), 0);
	CU_ASSERT_STRING_EQUAL(output, input);
	CU_ASSERT_EQUAL(shell("cat < /dev/stdin", input, output, size + 1), 0);
	CU_ASSERT_STRING_EQUAL(output, input);
	free(input);
	free(output);
}

/* What does not fit is thrown away; the program is not held up by it. */
static void test_truncated(void)
{
	char output[5];

	CU_ASSERT_EQUAL(shell("yes | head -c 300000; exit 7", NULL, output,
			      sizeof(output)),
			7);
	CU_ASSERT_STRING_EQUAL(output, "y\ny\n");
}

/* A program that does not read its input is no error here. */
static void test_unread_input(void)
{
	char *input = malloc(300001);

	memset(input, 'x', 300000);
	input[300000] = '\0';
	CU_ASSERT_EQUAL(shell("exit 5", input, NULL, 0), 5);
	free(input);
}

static void test_timeout(void)
{
	const char *const argv[] = { "sh", "-c", "sleep 100 & wait", NULL };
	uint64_t before = clock_ms();

	CU_ASSERT_EQUAL(process_run(argv, NULL, NULL, 0, NULL, 0, 200),
			-ETIMEDOUT);
	CU_ASSERT(clock_ms() - before >= 200);
	CU_ASSERT(clock_ms() - before < 5000);
}

/* Closing the output early is no way around the deadline. */
static void test_timeout_silent(void)
{
	const char *const argv[] = { "sh", "-c", "exec >&- 2>&-; sleep 100",
				     NULL };
	uint64_t before = clock_ms();

	CU_ASSERT_EQUAL(process_run(argv, NULL, NULL, 0, NULL, 0, 200),
			-ETIMEDOUT);
	CU_ASSERT(clock_ms() - before < 5000);
}

/* A grandchild that keeps the pipes open does not hold us. */
static void test_grandchild(void)
{
	uint64_t before = clock_ms();
	char output[16];

	CU_ASSERT_EQUAL(shell("(sleep 3 &) ; echo done", NULL, output,
			      sizeof(output)),
			0);
	CU_ASSERT_STRING_EQUAL(output, "done\n");
	CU_ASSERT(clock_ms() - before < 2500);
}

static void test_descriptors(void)
{
	int fd = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */
	char output[64];

	CU_ASSERT(fd >= 0);
	CU_ASSERT_EQUAL(shell("for f in 3 4 5 6 7 8 9; do "
			      "[ -e /proc/$$/fd/$f ] && echo $f; done; :",
			      NULL, output, sizeof(output)),
			0);
	CU_ASSERT_STRING_EQUAL(output, "");
	close(fd);
}

/* Run by itself: the process gives up its own standard descriptors. */
static int without_descriptors(void)
{
	char output[16];
	int result;

	close(0);
	close(1);
	close(2);
	result = shell("cat; echo more", "in ", output, sizeof(output));
	return result || strcmp(output, "in more\n") ? 1 : 0;
}

static void test_no_standard_descriptors(void)
{
	/* Where another processor is played, by whom. */
	const char *emulator = getenv("PORTICO_EMULATOR");
	char self[256], output[16];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char script[400];

	CU_ASSERT_FATAL(length > 0);
	self[length] = '\0';
	snprintf(script, sizeof(script), "%s '%s' --without-descriptors",
		 emulator ? emulator : "", self);
	CU_ASSERT_EQUAL(shell(script, NULL, output, sizeof(output)), 0);
}

/* Signals 32 and 33 belong to the C library: make's children may have them
 * ignored, and no program can change that through it. */
#define STANDARD_SIGNALS 0x7fffffffU

static void test_signals(void)
{
	unsigned long long block = ~0ULL, ignore = ~0ULL;
	sigset_t blocked, old;
	char output[128];

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigprocmask(SIG_BLOCK, &blocked, &old);
	signal(SIGPIPE, SIG_IGN);
	CU_ASSERT_EQUAL(shell("grep -E '^Sig(Blk|Ign)' /proc/self/status", NULL,
			      output, sizeof(output)),
			0);
	CU_ASSERT_EQUAL(sscanf(output, "SigBlk: %llx SigIgn: %llx", &block,
			       &ignore),
			2);
	CU_ASSERT_EQUAL(block & STANDARD_SIGNALS, 0);
	CU_ASSERT_EQUAL(ignore & STANDARD_SIGNALS, 0);
	sigprocmask(SIG_SETMASK, &old, NULL);
	signal(SIGPIPE, SIG_DFL);
}

/* A caller that is killed while its program runs; the program's end of a pipe
 * closes with it. */
static void test_ends_with_its_caller(void)
{
	struct pollfd end = { .events = POLLIN | POLLHUP };
	char script[64], byte;
	pid_t caller;
	int ends[2];

	CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
	caller = fork();
	if (!caller) {
		snprintf(script, sizeof(script),
			 "exec 9>/proc/%d/fd/%d; echo >&9; exec sleep 60",
			 (int)getppid(), ends[1]);
		_exit(shell(script, NULL, NULL, 0) != 0);
	}
	end.fd = ends[0];
	CU_ASSERT_EQUAL(poll(&end, 1, TIMEOUT_MS), 1);
	CU_ASSERT_EQUAL(read(ends[0], &byte, 1), 1);
	close(ends[1]);
	CU_ASSERT_EQUAL(poll(&end, 1, 0), 0);
	kill(caller, SIGKILL);
	CU_ASSERT_EQUAL(waitpid(caller, NULL, 0), caller);
	CU_ASSERT_EQUAL(poll(&end, 1, TIMEOUT_MS), 1);
	CU_ASSERT_EQUAL(read(ends[0], &byte, 1), 0);
	close(ends[0]);
}

/* As who started us may have wanted it for children of his own. */
static void test_ignored_children(void)
{
	signal(SIGCHLD, SIG_IGN);
	CU_ASSERT_EQUAL(shell("exit 3", NULL, NULL, 0), 3);
	signal(SIGCHLD, SIG_DFL);
}

static const struct test tests[] = {
	{ "the exit status comes back", test_status },
	{ "a missing program is ENOENT", test_missing },
	{ "path and environment are fixed", test_fixed_path },
	{ "output and errors are kept apart", test_streams },
	{ "no input is an empty input", test_no_input },
	{ "a megabyte goes in and comes out", test_large },
	{ "what does not fit is thrown away", test_truncated },
	{ "a program may leave its input unread", test_unread_input },
	{ "a program is killed at its deadline", test_timeout },
	{ "a silent program is killed too", test_timeout_silent },
	{ "a grandchild is not waited for", test_grandchild },
	{ "no descriptor is inherited", test_descriptors },
	{ "it works without standard descriptors",
	  test_no_standard_descriptors },
	{ "signals are as at login", test_signals },
	{ "a program ends with its caller", test_ends_with_its_caller },
	{ "where ends of children are ignored its status comes back, too",
	  test_ignored_children },
};

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--without-descriptors"))
		return without_descriptors();
	return suite_run("process", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
