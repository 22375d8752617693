/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper among enemies: what is no request is not taken, what is one is
 * looked at to the last byte, and what is refused does nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/helper.h"
#include "helper_lab.h"
#include "platform/helper_private.h"
#include "platform/names.h"
#include "suite.h"

static struct config config = {
	.control = (char[]){ "/nonexistent/portico.sock" },
	.control_read = (char[]){ "/nonexistent/monitor.sock" },
	.queue = { .number = 100, .mark = 0x03000000 },
	.sandbox = CONFIG_SANDBOX_OFF,
};

static struct helper_process new_process(void)
{
	return (struct helper_process){ .fd = -1,
					.config = &config,
					.job_fd = -1 };
}

static void free_process(struct helper_process *helper)
{
	helper_forget_request(helper);
	free(helper->inside);
}

/* --- pieces ----------------------------------------------------------------- */

/* A message of one piece with length bytes of zeros. */
static int take(struct helper_process *helper, struct helper_piece piece,
		size_t length)
{
	static uint8_t message[sizeof(piece) + HELPER_PIECE_MAX + 1];

	memcpy(message, &piece, sizeof(piece));
	return helper_take_piece(helper, message, sizeof(piece) + length);
}

static void test_no_request(void)
{
	struct helper_process helper = new_process();
	struct helper_piece piece = { .verb = HELPER_SETTLE, .total = 4 };
	uint8_t bytes[sizeof(piece)] = { 0 };

	for (size_t length = 0; length < sizeof(bytes); length++)
		CU_ASSERT_EQUAL(helper_take_piece(&helper, bytes, length),
				-EBADMSG);
	CU_ASSERT_EQUAL(take(&helper, piece, 5), -EBADMSG);
	CU_ASSERT_EQUAL(take(&helper, piece, HELPER_PIECE_MAX + 1), -EBADMSG);
	piece.offset = 1;
	CU_ASSERT_EQUAL(take(&helper, piece, 3), -EBADMSG);
	CU_ASSERT_PTR_NULL(helper.data);
}

static void test_unknown_verbs(void)
{
	static const uint32_t verbs[] = { HELPER_VERBS, HELPER_VERBS + 1, 255,
					  0x80000000, 0xffffffff };
	struct helper_process helper = new_process();

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		CU_ASSERT_EQUAL(take(&helper,
				     (struct helper_piece){ .verb = verbs[i] },
				     0),
				-EBADMSG);
}

/* One byte less and one more than each verb takes. */
static void test_lengths(void)
{
	struct helper_process helper = new_process();

	for (uint32_t verb = 0; verb < HELPER_VERBS; verb++) {
		const struct helper_action *action = &helper_actions[verb];
		struct helper_piece piece = { .verb = verb };

		CU_ASSERT_PTR_NOT_NULL(action->run);
		CU_ASSERT(action->most <= HELPER_REQUEST_MAX);
		if (action->least) {
			piece.total = action->least - 1;
			CU_ASSERT_EQUAL(take(&helper, piece, 0), -EBADMSG);
		}
		piece.total = action->most + 1;
		CU_ASSERT_EQUAL(take(&helper, piece, 0), -EBADMSG);
		piece.total = UINT32_MAX;
		CU_ASSERT_EQUAL(take(&helper, piece, 0), -EBADMSG);
	}
	CU_ASSERT_PTR_NULL(helper.data);
}

static void test_pieces(void)
{
	const struct helper_piece first = { HELPER_APPLY, 7, 100, 0 };
	const struct helper_piece wrong[] = {
		{ HELPER_GUARD, 7, 100, 60 }, { HELPER_APPLY, 8, 100, 60 },
		{ HELPER_APPLY, 7, 101, 60 }, { HELPER_APPLY, 7, 100, 59 },
		{ HELPER_APPLY, 7, 100, 61 },
	};
	struct helper_process helper = new_process();
	struct helper_piece rest = first;

	rest.offset = 60;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		CU_ASSERT_EQUAL(take(&helper, first, 60), 0);
		CU_ASSERT_EQUAL(take(&helper, wrong[i], 40), -EBADMSG);
		CU_ASSERT_PTR_NULL(helper.data);
	}
	/* A new beginning: the sender gave up the one before. */
	CU_ASSERT_EQUAL(take(&helper, first, 30), 0);
	CU_ASSERT_EQUAL(take(&helper, first, 60), 0);
	CU_ASSERT_EQUAL(helper.have, 60);
	CU_ASSERT_EQUAL(take(&helper, rest, 0), -EBADMSG);
	CU_ASSERT_EQUAL(take(&helper, first, 60), 0);
	CU_ASSERT_EQUAL(take(&helper, rest, 41), -EBADMSG);
	CU_ASSERT_EQUAL(take(&helper, first, 60), 0);
	CU_ASSERT_EQUAL(take(&helper, rest, 40), 1);
	CU_ASSERT_EQUAL(helper.have, 100);
	free_process(&helper);
}

/* --- verbs ---------------------------------------------------------------------- */

static int check(struct helper_process *helper, enum helper_verb verb,
		 const void *data, size_t length)
{
	const struct helper_action *action = &helper_actions[verb];
	struct helper_reply reply;

	memset(&reply, 0, sizeof(reply));
	return action->check ? action->check(helper, data, length, &reply) : 0;
}

static int check_spec(struct helper_process *helper,
		      const struct rules_spec *spec)
{
	size_t length;
	char *block = block_of(spec, &length);
	int err = check(helper, HELPER_APPLY, block, length);

	CU_ASSERT_EQUAL(check(helper, HELPER_GUARD, block, length), err);
	CU_ASSERT_EQUAL(check(helper, HELPER_PIN, block, length), err);
	CU_ASSERT_EQUAL(check(helper, HELPER_DOCTOR, block, length), err);
	free(block);
	return err;
}

static void test_what_is_fixed(void)
{
	static const struct nat_prefix all[] = { { 0, 0 } };
	static const char others[][IFNAMSIZ] = { "lan0", "eth9" };
	struct helper_process helper = new_process();
	struct rules_spec spec = good;

	spec.queue_number = 101;
	CU_ASSERT_EQUAL(check_spec(&helper, &spec), -EPERM);
	spec = good;
	spec.mark = 0x30;
	CU_ASSERT_EQUAL(check_spec(&helper, &spec), -EPERM);
	spec = good;
	spec.exempt = all;
	CU_ASSERT_EQUAL(check_spec(&helper, &spec), -EPERM);
	CU_ASSERT_FALSE(helper.pinned);
	CU_ASSERT_EQUAL(check_spec(&helper, &good), 0);
	CU_ASSERT_TRUE(helper.pinned);
	spec = good;
	spec.uplink = "eth9";
	CU_ASSERT_EQUAL(check_spec(&helper, &spec), -EPERM);
	spec = good;
	spec.inside_count = 1;
	CU_ASSERT_EQUAL(check_spec(&helper, &spec), -EPERM);
	spec.inside = others;
	spec.inside_count = 2;
	CU_ASSERT_EQUAL(check_spec(&helper, &spec), -EPERM);
	CU_ASSERT_EQUAL(check_spec(&helper, &good), 0);
	free_process(&helper);
}

/* The packet process has seen packets, and names devices for the first time. */
static void test_too_late_to_pin(void)
{
	struct helper_process helper = new_process();

	helper.settled = true;
	CU_ASSERT_EQUAL(check_spec(&helper, &good), -EPERM);
	CU_ASSERT_FALSE(helper.pinned);
	helper.settled = false;
	CU_ASSERT_EQUAL(check_spec(&helper, &good), 0);
	helper.settled = true;
	CU_ASSERT_EQUAL(check_spec(&helper, &good), 0);
	free_process(&helper);
}

static void test_numbers(void)
{
	static const enum helper_verb flags[] = { HELPER_ACCEPT,
						  HELPER_SETTLE };
	struct helper_process helper = new_process();
	uint32_t number = 2;

	for (size_t i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(check(&helper, flags[i], &number,
				      sizeof(number)),
				-EINVAL);
	for (number = RULES_BACKENDS; number; number <<= 1)
		CU_ASSERT_EQUAL(check(&helper, HELPER_REMOVE_OTHERS, &number,
				      sizeof(number)),
				-EINVAL);
}

/* Nothing is noted of settings yet: nothing may be changed. */
static void test_settings_first(void)
{
	static const uint8_t ports[8192];
	struct helper_process helper = new_process();
	uint32_t number = 0;

	CU_ASSERT_EQUAL(check(&helper, HELPER_REDIRECTS, NULL, 0), -EBADF);
	CU_ASSERT_EQUAL(check(&helper, HELPER_FORWARD, NULL, 0), -EBADF);
	CU_ASSERT_EQUAL(check(&helper, HELPER_RESERVE, ports, sizeof(ports)),
			-EBADF);
	CU_ASSERT_EQUAL(check(&helper, HELPER_RESTORE, &number, sizeof(number)),
			-EBADF);
}

static void test_log_lines(void)
{
	static const struct {
		const char *line;
		size_t length;
	} bad[] = {
		{ "\x08plain", 6 },
		{ "\x03two\nlines", 10 },
		{ "\x03"
		  "a\x1b[2J",
		  6 },
		{ "\x03"
		  "a\0b",
		  4 },
		{ "\xffplain", 6 },
		{ "\x03"
		  "a\x7f",
		  3 },
	};
	struct helper_process helper = new_process();

	CU_ASSERT_EQUAL(check(&helper, HELPER_LOG, "\x03plain", 6), -EINVAL);
	helper.background = true;
	CU_ASSERT_EQUAL(check(&helper, HELPER_LOG, "\x03plain", 6), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_EQUAL(check(&helper, HELPER_LOG, bad[i].line,
				      bad[i].length),
				-EINVAL);
}

static int open_number(struct helper_process *helper, uint32_t number)
{
	struct helper_reply reply;
	int result;

	memset(&reply, 0, sizeof(reply));
	result = helper_actions[HELPER_OPEN].run(helper, &number,
						 sizeof(number), &reply);
	for (size_t i = 0; i < reply.fd_count; i++) {
		int flags = fcntl(reply.fds[i], F_GETFL);

		CU_ASSERT_EQUAL(flags & O_ACCMODE, O_RDONLY);
		close(reply.fds[i]);
	}
	return result;
}

static void test_files(void)
{
	struct helper_process helper = new_process();
	uint32_t count = 0;

	while (helper_files[count])
		open_number(&helper, count++);
	CU_ASSERT_EQUAL(open_number(&helper, 2), 0);
	for (uint32_t number = count; number; number <<= 1)
		CU_ASSERT_EQUAL(open_number(&helper, number), -EACCES);
	config.path = (char[]){ "/" };
	CU_ASSERT_EQUAL(open_number(&helper, HELPER_FILE_CONFIG), -EINVAL);
	config.path = (char[]){ "/dev/zero" };
	CU_ASSERT_EQUAL(open_number(&helper, HELPER_FILE_CONFIG), -EINVAL);
	config.path = NULL;
}

/* Only sockets are removed: a file at the path of one stays. */
static void test_unlink(void)
{
	char path[] = "/tmp/portico-test-XXXXXX";
	struct helper_process helper = new_process();
	struct helper_reply reply;
	char *before = config.control;
	int fd = mkstemp(path);

	CU_ASSERT_FATAL(fd >= 0);
	close(fd);
	config.control = path;
	CU_ASSERT_EQUAL(helper_run_unlink(&helper, NULL, 0, &reply), 0);
	CU_ASSERT_EQUAL(access(path, F_OK), 0);
	config.control = before;
	unlink(path);
}

/* Who has names keeps them over the next; nobody opens a file any more. */
static void test_names(void)
{
	int none[1] = { -1 };
	struct names *first;

	names_keep(names_take(none, 1));
	first = names_load();
	CU_ASSERT_PTR_NOT_NULL(first);
	names_keep(NULL);
	CU_ASSERT_PTR_NULL(names_find(first, 0xc0a80101));
	CU_ASSERT_PTR_NULL(names_load());
	names_free(first);
}

/* --- the process ------------------------------------------------------------------ */

/* Garbage is neither answered nor does it disturb what comes after it; and the
 * helper's end is seen. */
static void test_process(void)
{
	struct helper_piece bad = { .verb = 99, .total = 3 };
	struct helper_piece ask = { HELPER_OPEN, 5, sizeof(uint32_t), 0 };
	struct helper_answer answer;
	uint8_t message[sizeof(ask) + sizeof(uint32_t)] = { 0 };
	struct timeval patience = { 5, 0 };
	int ends[2], status = -1;
	pid_t child = helper_fork(ends, &config);

	CU_ASSERT_FATAL(child > 0);
	setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &patience,
		   sizeof(patience));
	CU_ASSERT(send(ends[0], "x", 1, MSG_NOSIGNAL) == 1);
	CU_ASSERT(send(ends[0], &bad, sizeof(bad), MSG_NOSIGNAL) > 0);
	memcpy(message, &ask, sizeof(ask));
	memset(message + sizeof(ask), 0xff, sizeof(uint32_t));
	CU_ASSERT(send(ends[0], message, sizeof(message), MSG_NOSIGNAL) > 0);
	CU_ASSERT_EQUAL_FATAL(recv(ends[0], &answer, sizeof(answer), 0),
			      (ssize_t)sizeof(answer));
	CU_ASSERT_EQUAL(answer.id, 5);
	CU_ASSERT_EQUAL(answer.verb, HELPER_OPEN);
	CU_ASSERT_EQUAL(answer.result, -EACCES);
	close(ends[0]);
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT_TRUE(WIFEXITED(status) && !WEXITSTATUS(status));
}

static const struct test tests[] = {
	{ "what is no request is not taken", test_no_request },
	{ "unknown verbs are not taken", test_unknown_verbs },
	{ "every verb takes its lengths only", test_lengths },
	{ "pieces that do not fit forget the request", test_pieces },
	{ "queue, mark and devices cannot change", test_what_is_fixed },
	{ "nor be named once packets were seen", test_too_late_to_pin },
	{ "numbers that mean nothing", test_numbers },
	{ "no setting is changed before it can be noted", test_settings_first },
	{ "lines for the log", test_log_lines },
	{ "a fixed few files, for reading", test_files },
	{ "no file but a socket is removed", test_unlink },
	{ "names are those that were given", test_names },
	{ "garbage disturbs nothing", test_process },
};

int main(int argc, char **argv)
{
	return suite_run("helper", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
