/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The privileged helper's process and its loop.
 */
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helper_private.h"
#include "log.h"
#include "process.h"

/* The helper's only descriptor beside the standard ones. */
#define SOCKET 3
/* An answer for which the kernel has no memory is tried for a second. */
#define ANSWER_TRIES 100
#define ANSWER_PAUSE_MS 10

/* --- requests --------------------------------------------------------------- */

void helper_forget_request(struct helper_process *helper)
{
	free(helper->data);
	helper->data = NULL;
	helper->have = 0;
	memset(&helper->whole, 0, sizeof(helper->whole));
}

static bool begins_well(const struct helper_piece *piece)
{
	const struct helper_action *action;

	if (piece->verb >= HELPER_VERBS || piece->offset)
		return false;
	action = &helper_actions[piece->verb];
	return piece->total >= action->least && piece->total <= action->most;
}

static bool goes_on(const struct helper_process *helper,
		    const struct helper_piece *piece)
{
	return piece->verb == helper->whole.verb &&
	       piece->id == helper->whole.id &&
	       piece->total == helper->whole.total &&
	       piece->offset == helper->have;
}

static int add_piece(struct helper_process *helper,
		     const struct helper_piece *piece, const uint8_t *data,
		     size_t length)
{
	/* The sender may have given up in the midst of the one before. */
	if (helper->data && !goes_on(helper, piece))
		helper_forget_request(helper);
	if (!helper->data) {
		if (!begins_well(piece))
			return -EBADMSG;
		/* At least one byte: data says that a request is under way. */
		helper->data = malloc(piece->total + 1);
		if (!helper->data)
			return -ENOMEM;
		helper->whole = *piece;
	} else if (!length) {
		return -EBADMSG;
	}
	if (length > helper->whole.total - helper->have)
		return -EBADMSG;
	memcpy(helper->data + helper->have, data, length);
	helper->have += (uint32_t)length;
	return helper->have == helper->whole.total;
}

int helper_take_piece(struct helper_process *helper, const void *message,
		      size_t length)
{
	struct helper_piece piece;
	int result = -EBADMSG;

	if (length >= sizeof(piece) &&
	    length - sizeof(piece) <= HELPER_PIECE_MAX) {
		memcpy(&piece, message, sizeof(piece));
		result = add_piece(helper, &piece,
				   (const uint8_t *)message + sizeof(piece),
				   length - sizeof(piece));
	}
	if (result < 0)
		helper_forget_request(helper);
	return result;
}

/* --- answers ---------------------------------------------------------------- */

static void put_fds(struct msghdr *message, const struct helper_reply *reply)
{
	struct cmsghdr *control = CMSG_FIRSTHDR(message);

	control->cmsg_level = SOL_SOCKET;
	control->cmsg_type = SCM_RIGHTS;
	control->cmsg_len = CMSG_LEN(reply->fd_count * sizeof(int));
	memcpy(CMSG_DATA(control), reply->fds, reply->fd_count * sizeof(int));
	message->msg_controllen = CMSG_SPACE(reply->fd_count * sizeof(int));
}

/* Our copies of the descriptors are closed. Who asked waits for nothing but
 * this: memory for it is waited for, too. */
static void answer(const struct helper_process *helper,
		   struct helper_reply *reply)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(HELPER_FDS_MAX * sizeof(int))];
	} control = { .bytes = { 0 } };
	struct iovec bytes = { &reply->answer, sizeof(reply->answer) };
	struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1 };

	if (reply->fd_count) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		put_fds(&message, reply);
	}
	for (int tries = 0; tries < ANSWER_TRIES &&
			    sendmsg(helper->fd, &message, MSG_NOSIGNAL) < 0;
	     tries++) {
		if (errno == ENOBUFS || errno == ENOMEM)
			poll(NULL, 0, ANSWER_PAUSE_MS);
		else if (errno != EINTR)
			break;
	}
	for (size_t i = 0; i < reply->fd_count; i++)
		close(reply->fds[i]);
}

static struct helper_reply reply_to(const struct helper_piece *piece)
{
	struct helper_reply reply;

	memset(&reply, 0, sizeof(reply));
	reply.answer.verb = piece->verb;
	reply.answer.id = piece->id;
	return reply;
}

/* --- jobs: what runs programs ------------------------------------------------- */

static void run_job(struct helper_process *helper, int fd,
		    struct helper_reply *reply)
{
	const struct helper_action *action =
		&helper_actions[helper->whole.verb];
	ssize_t done;

	/* With the daemon the helper ends, and then nobody wants this. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(helper->fd);
	reply->answer.result =
		action->run(helper, helper->data, helper->whole.total, reply);
	do
		done = write(fd, &reply->answer, sizeof(reply->answer));
	while (done < 0 && errno == EINTR);
	_exit(done != (ssize_t)sizeof(reply->answer));
}

static int start_job(struct helper_process *helper, struct helper_reply *reply)
{
	int ends[2];

	if (helper->job_fd >= 0)
		return -EBUSY;
	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	helper->job = fork();
	if (!helper->job)
		run_job(helper, ends[1], reply);
	close(ends[1]);
	if (helper->job < 0) {
		int err = -errno;

		close(ends[0]);
		return err;
	}
	helper->job_fd = ends[0];
	helper->job_piece = helper->whole;
	return 0;
}

/* Its answer is one write, and then it is gone; without one it died, and with
 * it the program that it ran (process.c). */
static void end_job(struct helper_process *helper)
{
	struct helper_reply reply = reply_to(&helper->job_piece);
	ssize_t got;
	int err;

	do
		got = read(helper->job_fd, &reply.answer, sizeof(reply.answer));
	while (got < 0 && errno == EINTR);
	err = errno;
	close(helper->job_fd);
	helper->job_fd = -1;
	while (waitpid(helper->job, NULL, 0) < 0 && errno == EINTR)
		;
	if (got != (ssize_t)sizeof(reply.answer)) {
		reply = reply_to(&helper->job_piece);
		reply.answer.result = -EIO;
		snprintf(reply.answer.text, HELPER_TEXT_MAX,
			 "the helper's child %s%s",
			 got < 0 ? "is not heard: " : "died",
			 got < 0 ? strerror(err) : "");
	}
	reply.answer.text[HELPER_TEXT_MAX - 1] = '\0';
	answer(helper, &reply);
}

/* One look at a time: a newer one ends the one before. */
static void reap_doctor(struct helper_process *helper, bool by_force)
{
	if (!helper->doctor)
		return;
	if (by_force)
		kill(helper->doctor, SIGKILL);
	if (waitpid(helper->doctor, NULL, by_force ? 0 : WNOHANG))
		helper->doctor = 0;
}

/* --- the loop ----------------------------------------------------------------- */

static void serve_request(struct helper_process *helper)
{
	const struct helper_action *action =
		&helper_actions[helper->whole.verb];
	struct helper_reply reply = reply_to(&helper->whole);
	const void *data = helper->data;
	size_t length = helper->whole.total;
	int result = 0;
	bool later = false;

	reap_doctor(helper, helper->whole.verb == HELPER_DOCTOR);
	if (action->check)
		result = action->check(helper, data, length, &reply);
	if (!result && action->slow) {
		if (action->urgent && helper->job_fd >= 0) {
			kill(helper->job, SIGKILL);
			end_job(helper);
		}
		result = start_job(helper, &reply);
		later = !result;
	} else if (!result) {
		result = action->run(helper, data, length, &reply);
	}
	helper_forget_request(helper);
	reply.answer.result = result;
	if (!later && !action->silent)
		answer(helper, &reply);
}

/* A request that there is no memory for: somebody waits for the answer. */
static void refuse(const struct helper_process *helper, const void *message)
{
	struct helper_piece piece;
	struct helper_reply reply;

	memcpy(&piece, message, sizeof(piece));
	reply = reply_to(&piece);
	reply.answer.result = -ENOMEM;
	if (!helper_actions[piece.verb].silent)
		answer(helper, &reply);
}

/* False when the packet process is gone. */
static bool take_message(struct helper_process *helper)
{
	static uint8_t
		message[sizeof(struct helper_piece) + HELPER_PIECE_MAX + 1];
	ssize_t got = recv(helper->fd, message, sizeof(message), 0);
	int result;

	if (got < 0 && (errno == ENOBUFS || errno == ENOMEM)) {
		poll(NULL, 0, ANSWER_PAUSE_MS); /* it waits there */
		return true;
	}
	if (got < 0)
		return errno == EINTR || errno == EAGAIN;
	if (!got)
		return false;
	result = helper_take_piece(helper, message, (size_t)got);
	if (result > 0)
		serve_request(helper);
	else if (result == -ENOMEM)
		refuse(helper, message);
	return true;
}

static void serve(struct helper_process *helper)
{
	for (;;) {
		struct pollfd fds[] = {
			{ .fd = helper->fd, .events = POLLIN },
			{ .fd = helper->job_fd, .events = POLLIN },
		};

		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents)
			end_job(helper);
		if (fds[0].revents && !take_message(helper))
			return;
	}
}

/* --- the process ---------------------------------------------------------------- */

/* A service manager sends its signals to every process of the service, a
 * terminal to the whole group: the packet process answers them, and needs us to
 * do so. */
static void ignore_signals(void)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1,
				       SIGPIPE };

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		signal(numbers[i], SIG_IGN);
	/* Else the number of one that ended could be another's by now. */
	signal(SIGCHLD, SIG_DFL);
}

static void become_helper(int fd, const struct config *config)
{
	struct helper_process helper = {
		.fd = SOCKET,
		.config = config,
		.job_fd = -1,
	};

	ignore_signals();
	prctl(PR_SET_NAME, "portico-helper");
	if (fd != SOCKET && dup3(fd, SOCKET, O_CLOEXEC) < 0) {
		log_error("helper", "its socket: %s", strerror(errno));
		_exit(1);
	}
	process_close_from(SOCKET + 1);
	serve(&helper);
	/* What settings were changed stays noted in their file. */
	_exit(0);
}

pid_t helper_fork(int ends[2], const struct config *config)
{
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -1;
	child = fork();
	if (!child)
		become_helper(ends[1], config);
	close(ends[1]);
	if (child < 0)
		close(ends[0]);
	return child;
}
