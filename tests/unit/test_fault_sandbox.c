/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Locking in when calls fail: each of them, one after the other, either is
 * counted as missing, so that "sandbox": "require" does not start, or ends the
 * process, or nothing is missing: what the kernel says of the process is the
 * same as without a failure. As a child each time, since it is for good.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/sandbox.h"
#include "suite.h"
#include "tests/fault/plan.h"

/* No role makes so many calls of one kind: some ask for every capability. */
#define CALLS_MAX 500

/* What a child came to. */
struct outcome {
	bool done;
	int result;
	uint32_t struck;
	char missing[512];
	char kernel[2048]; /* what /proc says of it */
};

static struct outcome *shared;
static char near[64];

static void copy_lines(FILE *file, const char *const *names, FILE *out)
{
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		for (size_t i = 0; names[i]; i++)
			if (!strncmp(line, names[i], strlen(names[i])))
				fputs(line, out);
	if (file)
		fclose(file);
}

static void look(pid_t child, char *text, size_t size)
{
	static const char *const names[] = {
		"Cap",		 "NoNewPrivs",	  "Seccomp:", "Uid",
		"Gid",		 "Groups",	  "Max core", "Max open files",
		"Max processes", "Max file size", NULL
	};
	FILE *out = fmemopen(text, size, "w");
	char path[64];
	struct stat st = { .st_uid = (uid_t)-1 };

	CU_ASSERT_PTR_NOT_NULL_FATAL(out);
	snprintf(path, sizeof(path), "/proc/%d/status", (int)child);
	copy_lines(fopen(path, "re"), names, out);
	snprintf(path, sizeof(path), "/proc/%d/limits", (int)child);
	copy_lines(fopen(path, "re"), names, out);
	/* Not to be traced: it is root's. */
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)child);
	stat(path, &st);
	fprintf(out, "memory's owner: %u\n", (unsigned)st.st_uid);
	fclose(out);
}

/* Waits to be looked at; nothing of a sanitizer comes after. */
static void enter(enum sandbox_role role, const char *call, uint32_t skip,
		  int own)
{
	char byte = 0;

	dup2(own, STDERR_FILENO); /* that it misses its user is known */
	if (call)
		fault_arm(call, EPERM, skip, 1);
	shared->result = sandbox_enter(role, near, shared->missing,
				       sizeof(shared->missing));
	shared->struck = fault_disarm();
	shared->done = true;
	shutdown(own, SHUT_WR);
	while (read(own, &byte, 1) > 0)
		;
	syscall(SYS_exit_group, 0);
}

static struct outcome outcome(enum sandbox_role role, const char *call,
			      uint32_t skip)
{
	char bytes[256];
	pid_t child;
	int ends[2], status = -1;

	memset(shared, 0, sizeof(*shared));
	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	child = fork();
	if (!child) {
		close(ends[0]);
		enter(role, call, skip, ends[1]);
	}
	close(ends[1]);
	while (read(ends[0], bytes, sizeof(bytes)) > 0)
		; /* what it logs, until it is ready */
	look(child, shared->kernel, sizeof(shared->kernel));
	close(ends[0]);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	CU_ASSERT_TRUE(WIFEXITED(status)); /* it was there to be looked at */
	return *shared;
}

/* Calls of this kind in turn, until there are no more. How many were counted
 * as missing, or an end. */
static uint32_t each(enum sandbox_role role, const char *call)
{
	const struct outcome whole = outcome(role, NULL, 0);
	uint32_t skip, counted = 0;

	CU_ASSERT_TRUE(whole.done);
	for (skip = 0; skip < CALLS_MAX; skip++) {
		struct outcome one = outcome(role, call, skip);

		CU_ASSERT_TRUE(one.done);
		if (!one.struck)
			break;
		if (one.result < 0 ||
		    strlen(one.missing) > strlen(whole.missing)) {
			counted++;
			continue;
		}
		if (!strcmp(one.kernel, whole.kernel))
			continue;
		printf("role %d: %s, %u before: missing \"%s\"\n%s\n%s",
		       (int)role, call, skip, one.missing, whole.kernel,
		       one.kernel);
		CU_FAIL("a call that failed is not counted");
	}
	CU_ASSERT_NOT_EQUAL(skip, CALLS_MAX);
	return counted;
}

static void test_each(void)
{
	static const struct {
		const char *call;
		uint32_t packets, helper; /* so many at least, as root */
	} calls[] = {
		{ "setrlimit", 4, 3 },
		{ "getrlimit", 4, 3 },
		/* Capabilities kept and no more, parent's end, ambient set,
		 * no new privileges, not to be traced, of the bounding set at
		 * least what was there. */
		{ "prctl", 7, 4 },
		{ "capset", 1, 1 },
		{ "setgroups", 1, 1 },
		{ "fstat", 1, 1 },
	};
	const bool root = !geteuid();

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_NOT_EQUAL_FATAL((void *)shared, MAP_FAILED);
	strcpy(near, "/tmp/portico-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(near));
	strcat(near, "/socket");
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		uint32_t packets = each(SANDBOX_PACKETS, calls[i].call);
		uint32_t helper = each(SANDBOX_HELPER, calls[i].call);

		if (!root)
			continue;
		if (packets < calls[i].packets || helper < calls[i].helper)
			printf("%s: %u and %u counted\n", calls[i].call,
			       packets, helper);
		CU_ASSERT_TRUE(packets >= calls[i].packets);
		CU_ASSERT_TRUE(helper >= calls[i].helper);
	}
	*strrchr(near, '/') = '\0';
	CU_ASSERT_EQUAL(rmdir(near), 0);
	munmap(shared, sizeof(*shared));
}

static const struct test tests[] = {
	{ "a call that fails is a part that is missing", test_each },
};

int main(int argc, char **argv)
{
	return suite_run("fault_sandbox", tests,
			 sizeof(tests) / sizeof(tests[0]), argc, argv);
}
