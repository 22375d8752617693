/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Log lines, caught from stderr with a pipe.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/log.h"
#include "suite.h"

static char caught[4096];
static int saved, ends[2];

static void catch_begin(void)
{
	saved = dup(STDERR_FILENO);
	CU_ASSERT_FATAL(saved >= 0 && !pipe2(ends, O_CLOEXEC | O_NONBLOCK));
	CU_ASSERT_FATAL(dup2(ends[1], STDERR_FILENO) >= 0);
}

static void catch_end(void)
{
	ssize_t got = read(ends[0], caught, sizeof(caught) - 1);

	caught[got > 0 ? got : 0] = '\0';
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[0]);
	close(ends[1]);
}

static void test_line(void)
{
	unsetenv("JOURNAL_STREAM");
	catch_begin();
	log_error("queue", "cannot bind %u: %s", 100U, "busy");
	catch_end();
	CU_ASSERT_STRING_EQUAL(caught,
			       "portico: queue: cannot bind 100: busy\n");
}

static void test_journal(void)
{
	setenv("JOURNAL_STREAM", "8:1", 1);
	catch_begin();
	log_error("a", "x");
	log_warning("a", "x");
	log_info("a", "x");
	catch_end();
	unsetenv("JOURNAL_STREAM");
	CU_ASSERT_STRING_EQUAL(caught, "<3>portico: a: x\n"
				       "<4>portico: a: x\n"
				       "<6>portico: a: x\n");
}

static void test_one_line(void)
{
	catch_begin();
	log_info("control", "said \"%s\"", "a\nb\r\x1b[1m\x7f\xc3\xa9\xc2\x9b");
	catch_end();
	CU_ASSERT_STRING_EQUAL(
		caught, "portico: control: said \"a b  [1m \xc3\xa9 \"\n");
}

static void test_long(void)
{
	char text[5000];
	size_t length;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	catch_begin();
	log_info("config", "%s", text);
	catch_end();
	length = strlen(caught);
	CU_ASSERT(length > 500 && length <= 1024);
	CU_ASSERT_EQUAL(caught[length - 1], '\n');
	CU_ASSERT_EQUAL(caught[length - 2], 'x');
}

static void test_errno(void)
{
	catch_begin();
	errno = ENOLINK;
	log_info("x", "shown");
	CU_ASSERT_EQUAL(errno, ENOLINK);
	catch_end();
}

/* For good, so by itself. */
static void test_syslog(void)
{
	pid_t child;

	catch_begin();
	child = fork();
	if (!child) {
		log_to_syslog();
		log_info("test", "a unit test's message");
		_exit(0);
	}
	CU_ASSERT(child > 0 && waitpid(child, NULL, 0) == child);
	catch_end();
	CU_ASSERT_STRING_EQUAL(caught, "");
}

static const struct test tests[] = {
	{ "a message is one line with its subsystem", test_line },
	{ "under systemd a line carries its priority", test_journal },
	{ "control characters cannot forge lines", test_one_line },
	{ "a long message is cut and still ends its line", test_long },
	{ "logging leaves errno alone", test_errno },
	{ "in the background nothing goes to stderr", test_syslog },
};

int main(int argc, char **argv)
{
	return suite_run("log", tests, sizeof(tests) / sizeof(*tests), argc,
			 argv);
}
