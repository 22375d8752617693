/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The packet process's end of the helper's socket, with a helper that is slow:
 * how long is waited, and what becomes of answers that nobody waits for.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "platform/helper_call.h"
#include "suite.h"

/* Much less than a call's own bound, much more than a busy machine's pauses. */
#define BOUND_MS 300
#define SOON_MS 3000

static struct helper helper;
static int far_end;
static struct helper_done told;
static char sentence[HELPER_TEXT_MAX];
static unsigned told_count;

static void done(void *context, const struct helper_done *what)
{
	(void)context;
	told = *what;
	snprintf(sentence, sizeof(sentence), "%s", what->error);
	told_count++;
}

static void open_helper(void)
{
	int ends[2];

	CU_ASSERT_FATAL(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends));
	memset(&helper, 0, sizeof(helper));
	helper.watch.fd = ends[0];
	helper.events.done = done;
	far_end = ends[1];
	told_count = 0;
}

static void close_helper(void)
{
	close(helper.watch.fd);
	close(far_end);
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000L + now.tv_nsec / 1000000;
}

static void answer(enum helper_verb verb, uint32_t id, int result)
{
	struct helper_answer words = { .verb = verb,
				       .id = id,
				       .result = result };

	CU_ASSERT(send(far_end, &words, sizeof(words), 0) ==
		  (ssize_t)sizeof(words));
}

/* Each of them would wait for seconds by itself. */
static void test_calls_share_a_bound(void)
{
	long began = now_ms();

	open_helper();
	helper_bound(&helper, BOUND_MS);
	for (int i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(helper_forward(&helper), -ETIMEDOUT);
	CU_ASSERT(now_ms() - began >= BOUND_MS);
	CU_ASSERT(now_ms() - began < SOON_MS);
	/* They were asked all the same; and what is there is taken. */
	answer(HELPER_FORWARD, 6, 0);
	CU_ASSERT_EQUAL(helper_forward(&helper), 0);
	helper_bound(&helper, 0);
	answer(HELPER_FORWARD, 7, -EIO);
	CU_ASSERT_EQUAL(helper_forward(&helper), -EIO);
	close_helper();
}

static void test_late_answers_are_told(void)
{
	open_helper();
	CU_ASSERT_EQUAL(helper_ask_accept(&helper), 0);
	answer(HELPER_ACCEPT, 1, -EBUSY);
	answer(HELPER_APPLY, 99, 0);
	answer(HELPER_FORWARD, 2, 0);
	CU_ASSERT_EQUAL(helper_forward(&helper), 0);
	CU_ASSERT_EQUAL_FATAL(told_count, 2);
	CU_ASSERT_EQUAL(told.job, HELPER_JOB_RULES);
	CU_ASSERT_EQUAL(told.id, 99);
	CU_ASSERT_EQUAL(told.result, 0);
	close_helper();
}

static void test_a_failure_has_a_sentence(void)
{
	open_helper();
	answer(HELPER_ACCEPT, 7, -EBUSY);
	answer(HELPER_FORWARD, 1, 0);
	CU_ASSERT_EQUAL(helper_forward(&helper), 0);
	CU_ASSERT_EQUAL_FATAL(told_count, 1);
	CU_ASSERT_EQUAL(told.job, HELPER_JOB_ACCEPT);
	CU_ASSERT_EQUAL(told.result, -EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(sentence, "still at the last"));
	close_helper();
}

static const struct test tests[] = {
	{ "calls share a bound", test_calls_share_a_bound },
	{ "answers that nobody waits for are told",
	  test_late_answers_are_told },
	{ "a failure has a sentence", test_a_failure_has_a_sentence },
};

int main(int argc, char **argv)
{
	return suite_run("helper call", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
