/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the command says when it gets no answer: of a daemon that hangs up, and
 * where memory is short.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/cli.h"
#include "suite.h"
#include "tests/fault/plan.h"

#define LIMIT_S 20

struct daemon {
	char path[64];
	pid_t child;
};

/* Takes one request, gives this answer ("": none), and is gone. */
static void serve(int ear, const char *answer)
{
	char request[256];
	int fd;

	alarm(LIMIT_S);
	fd = accept(ear, NULL, NULL);
	if (fd < 0 || recv(fd, request, sizeof(request), 0) <= 0 ||
	    write(fd, answer, strlen(answer)) < 0)
		_exit(1);
	_exit(0);
}

static struct daemon start(const char *answer)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct daemon daemon = { .child = -1 };
	int ear = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(daemon.path, sizeof(daemon.path), "/tmp/portico-client-%d",
		 (int)getpid());
	strcpy(addr.sun_path, daemon.path);
	CU_ASSERT_FATAL(ear >= 0 &&
			!bind(ear, (struct sockaddr *)&addr, sizeof(addr)) &&
			!listen(ear, 1));
	daemon.child = fork();
	if (!daemon.child)
		serve(ear, answer);
	CU_ASSERT_FATAL(daemon.child > 0);
	close(ear);
	return daemon;
}

static void stop(struct daemon *daemon)
{
	unlink(daemon->path);
	kill(daemon->child, SIGTERM);
	CU_ASSERT_EQUAL(waitpid(daemon->child, NULL, 0), daemon->child);
}

/* The first use of call fails, NULL: of none; what was said goes to said. */
static enum cli_exit ask(const char *answer, bool quiet, const char *call,
			 char said[static 512])
{
	struct daemon daemon = start(answer);
	const struct cli cli = { .command = "status", .socket = daemon.path };
	struct json_object *reply = NULL;
	int saved = dup(STDERR_FILENO), file = memfd_create("said", 0);
	enum cli_exit code;
	ssize_t length;

	CU_ASSERT_FATAL(saved >= 0 && file >= 0 &&
			dup2(file, STDERR_FILENO) >= 0);
	if (call)
		fault_arm(call, ENOMEM, 0, 1);
	code = cli_ask(&cli, quiet, &reply);
	if (call)
		CU_ASSERT_EQUAL(fault_disarm(), 1);
	dup2(saved, STDERR_FILENO);
	close(saved);
	length = pread(file, said, 511, 0);
	said[length > 0 ? length : 0] = '\0';
	close(file);
	CU_ASSERT((reply != NULL) == !code);
	json_object_put(reply);
	stop(&daemon);
	return code;
}

static void test_no_answer(void)
{
	char said[512];

	CU_ASSERT_EQUAL(ask("{}\n", false, NULL, said), CLI_OK);
	CU_ASSERT_STRING_EQUAL(said, "");
	CU_ASSERT_EQUAL(ask("{}", false, NULL, said), CLI_NO_DAEMON);
	CU_ASSERT_PTR_NOT_NULL(strstr(said, "the daemon gave no answer"));
	CU_ASSERT_EQUAL(ask("{}", true, NULL, said), CLI_NO_DAEMON);
	CU_ASSERT_STRING_EQUAL(said, "");
}

/* It is not the daemon that fails, and who waits for one is not to wait. */
static void test_no_memory(void)
{
	static const char *const calls[] = { "socket", "send", "recv" };
	char said[512];

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		for (int quiet = 0; quiet < 2; quiet++) {
			CU_ASSERT_EQUAL(ask("{}\n", quiet, calls[i], said),
					CLI_FAILED);
			CU_ASSERT_STRING_EQUAL(said, "portico: no memory\n");
		}
}

static const struct test tests[] = {
	{ "a daemon that hangs up is none, and quiet is quiet",
	  test_no_answer },
	{ "that memory is short is no daemon's fault", test_no_memory },
};

int main(int argc, char **argv)
{
	return suite_run("fault_client", tests,
			 sizeof(tests) / sizeof(tests[0]), argc, argv);
}
