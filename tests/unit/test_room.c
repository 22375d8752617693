/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Memory that is looked for: what is said is so, and nothing of it is kept.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/room.h"
#include "suite.h"

#ifdef __SANITIZE_ADDRESS__
#define LIMITS 0 /* its allocator ends the program */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LIMITS 0
#endif
#endif
#ifndef LIMITS
#define LIMITS 1
#endif

static void test_there(void)
{
	CU_ASSERT_TRUE(room_for(0));
	CU_ASSERT_TRUE(room_for(1));
	for (int i = 0; i < 1000; i++)
		CU_ASSERT_TRUE(room_for(1 << 20));
}

/* In a child that gets nothing more: 0 when more than is left was refused, and
 * what was found is there afterwards. */
static int squeezed(void)
{
	struct rlimit none = { 0, 0 };
	char *pieces[64];

	if (setrlimit(RLIMIT_AS, &none))
		return 1;
	if (mmap(NULL, 64 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		 0) != MAP_FAILED)
		return 0; /* an emulator knows no limit */
	if (room_for(64 << 20))
		return 3;
	if (!room_for(ROOM_JSON(100)))
		return 0;
	for (int i = 0; i < 64; i++) {
		pieces[i] = malloc(128);
		if (!pieces[i])
			return 2;
	}
	for (int i = 0; i < 64; i++)
		free(pieces[i]);
	return 0;
}

static void test_short(void)
{
	int status = -1;
	pid_t child;

	if (!LIMITS)
		return;
	child = fork();
	if (!child)
		_exit(squeezed());
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT_EQUAL(status, 0);
}

static const struct test tests[] = {
	{ "what is there is found, and not kept", test_there },
	{ "what is not there is refused", test_short },
};

int main(int argc, char **argv)
{
	return suite_run("room", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
