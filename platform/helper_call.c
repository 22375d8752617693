/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The packet process's end of the socket: requests that are waited for, for a
 * bounded time, and others whose answers the loop takes.
 */
#include "helper_call.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "files.h"
#include "helper_private.h"
#include "helper_waits.h"
#include "log.h"
#include "names.h"

/* --- life ------------------------------------------------------------------- */

struct helper *helper_start(const struct config *config)
{
	struct helper *helper = calloc(1, sizeof(*helper));
	int ends[2];

	if (!helper)
		return NULL;
	if (config->path)
		helper->config_path = strdup(config->path);
	if ((config->path && !helper->config_path) ||
	    helper_fork(ends, config) < 0) {
		free(helper->config_path);
		free(helper);
		return NULL;
	}
	helper->watch.fd = ends[0];
	return helper;
}

/* 0 once the socket is ready for events, -ETIMEDOUT. */
static int wait_for(const struct helper *helper, short events, int64_t deadline)
{
	struct pollfd fd = { .fd = helper->watch.fd, .events = events };

	for (;;) {
		int64_t left = deadline - loop_wait_clock_ms();
		int ready = poll(&fd, 1, left > 0 ? (int)left : 0);

		if (ready > 0)
			return 0;
		/* Nor is a call that fails waited for without end. */
		if (ready == 0 || left <= 0)
			return -ETIMEDOUT;
	}
}

/* It ends when our side of the socket does; seeing its own side close means
 * that nothing of ours is left. */
void helper_stop(struct helper *helper)
{
	int64_t deadline = loop_wait_clock_ms() + HELPER_END_MS;
	char byte;

	files_ask(NULL, NULL);
	log_to(NULL, NULL);
	if (helper->loop)
		loop_remove(helper->loop, &helper->watch);
	shutdown(helper->watch.fd, SHUT_WR);
	while (!wait_for(helper, POLLIN, deadline))
		if (recv(helper->watch.fd, &byte, 1, MSG_DONTWAIT) <= 0)
			break;
	close(helper->watch.fd);
	free(helper->config_path);
	free(helper);
}

/* --- the socket --------------------------------------------------------------- */

static void take_fds(struct msghdr *message, struct helper_received *reply)
{
	struct cmsghdr *control = CMSG_FIRSTHDR(message);

	if (control && control->cmsg_level == SOL_SOCKET &&
	    control->cmsg_type == SCM_RIGHTS)
		memcpy(reply->fds, CMSG_DATA(control),
		       control->cmsg_len - CMSG_LEN(0));
}

/* 0 with a whole answer, -EAGAIN: none is there, -EPIPE: none will come,
 * -ENOMEM or -ENOBUFS: not now. */
static int receive(struct helper *helper, struct helper_received *reply)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(HELPER_FDS_MAX * sizeof(int))];
	} control;
	struct iovec bytes = { &reply->answer, sizeof(reply->answer) };
	struct msghdr message = {
		.msg_iov = &bytes,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t got;

	for (int i = 0; i < HELPER_FDS_MAX; i++)
		reply->fds[i] = -1;
	do
		got = recvmsg(helper->watch.fd, &message,
			      MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got == (ssize_t)sizeof(reply->answer)) {
		take_fds(&message, reply);
		return 0;
	}
	if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return -EAGAIN;
	/* It waits there: who comes next takes it. */
	if (got < 0 && (errno == ENOMEM || errno == ENOBUFS))
		return -errno;
	helper->gone = true;
	return -EPIPE;
}

static int send_piece(struct helper *helper, const struct helper_piece *piece,
		      const void *data, size_t length, int64_t deadline)
{
	struct iovec parts[] = {
		{ (void *)(uintptr_t)piece, sizeof(*piece) },
		{ (void *)(uintptr_t)data, length },
	};
	const struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	int err = 0;

	while (!err) {
		if (sendmsg(helper->watch.fd, &message,
			    MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return 0;
		if (errno == EPIPE || errno == ECONNRESET)
			helper->gone = true;
		if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
			return -errno;
		err = wait_for(helper, POLLOUT, deadline);
	}
	return err;
}

int helper_send(struct helper *helper, enum helper_verb verb, const void *data,
		size_t length, int wait_ms)
{
	struct helper_piece piece = {
		.verb = verb,
		.id = ++helper->last_id,
		.total = (uint32_t)length,
	};
	int64_t deadline = loop_wait_clock_ms() + wait_ms;
	int err;

	do {
		size_t left = length - piece.offset;
		size_t part = left < HELPER_PIECE_MAX ? left : HELPER_PIECE_MAX;

		err = send_piece(helper, &piece,
				 data ? (const char *)data + piece.offset : "",
				 part, deadline);
		piece.offset += (uint32_t)part;
	} while (!err && piece.offset < length);
	return err;
}

/* --- answers ------------------------------------------------------------------ */

void helper_close_fds(struct helper_received *reply)
{
	for (int i = 0; i < HELPER_FDS_MAX; i++) {
		if (reply->fds[i] >= 0)
			close(reply->fds[i]);
		reply->fds[i] = -1;
	}
}

/* A result without a sentence of its own. */
static void say_result(struct helper_answer *answer)
{
	if (answer->result < 0 && !answer->text[0])
		snprintf(answer->text, HELPER_TEXT_MAX, "%s",
			 answer->result == -EBUSY ?
				 "the helper is still at the last request" :
				 strerror(-answer->result));
}

/* HELPER_JOBS: of no job that may be told of. */
static enum helper_job job_of(const struct helper_answer *answer)
{
	return answer->verb == HELPER_APPLY	    ? HELPER_JOB_RULES :
	       answer->verb == HELPER_ACCEPT	    ? HELPER_JOB_ACCEPT :
	       answer->verb == HELPER_REMOVE_OTHERS ? HELPER_JOB_OTHERS :
						      HELPER_JOBS;
}

static void tell_done(const struct helper *helper, struct helper_answer *answer)
{
	const struct helper_done done = {
		.job = job_of(answer),
		.id = answer->id,
		.result = answer->result,
		.error = answer->text,
	};

	say_result(answer);
	helper->events.done(helper->events.context, &done);
}

/* What nobody waits for, or no longer. */
static void dispatch(struct helper *helper, struct helper_received *reply)
{
	if (reply->answer.verb == HELPER_NAMES && !reply->answer.result)
		names_keep(names_take(reply->fds, HELPER_FDS_MAX));
	if (reply->answer.verb == HELPER_DOCTOR && helper->events.doctor) {
		helper->events.doctor(helper->events.context,
				      reply->answer.result ?
					      reply->answer.result :
					      reply->fds[0]);
		reply->fds[0] = -1;
	}
	if (job_of(&reply->answer) != HELPER_JOBS && helper->events.done)
		tell_done(helper, &reply->answer);
	helper_close_fds(reply);
}

static void on_answer(struct watch *watch, uint32_t events)
{
	struct helper *helper = (struct helper *)(void *)watch;
	struct helper_received reply;

	(void)events;
	while (!receive(helper, &reply))
		dispatch(helper, &reply);
	if (!helper->gone || helper->told)
		return;
	helper->told = true;
	loop_remove(helper->loop, &helper->watch);
	helper->events.gone(helper->events.context);
}

int helper_watch(struct helper *helper, struct loop *loop,
		 const struct helper_events *events)
{
	int err;

	helper->events = *events;
	helper->watch.handler = on_answer;
	err = loop_add(loop, &helper->watch, EPOLLIN);
	if (!err)
		helper->loop = loop;
	return err;
}

static int wait_busily(const struct helper *helper, int64_t deadline)
{
	const struct helper_events *events = &helper->events;
	int err;

	if (!events->meanwhile)
		return wait_for(helper, POLLIN, deadline);
	do {
		int64_t slice = loop_wait_clock_ms() + HELPER_MEANWHILE_MS;

		err = wait_for(helper, POLLIN,
			       slice < deadline ? slice : deadline);
		if (err == -ETIMEDOUT)
			events->meanwhile(events->context);
	} while (err == -ETIMEDOUT && loop_wait_clock_ms() < deadline);
	return err;
}

void helper_unwatch(struct helper *helper)
{
	memset(&helper->events, 0, sizeof(helper->events));
	if (helper->loop)
		loop_remove(helper->loop, &helper->watch);
	helper->loop = NULL;
}

static int wait_answer(struct helper *helper, int64_t deadline,
		       struct helper_received *reply)
{
	uint32_t id = helper->last_id;

	for (;;) {
		int err = receive(helper, reply);

		if (err == -EAGAIN) {
			err = wait_busily(helper, deadline);
			if (err)
				return err;
			continue;
		}
		if (err || reply->answer.id == id)
			return err;
		dispatch(helper, reply);
	}
}

void helper_bound(struct helper *helper, int wait_ms)
{
	helper->deadline = wait_ms ? loop_wait_clock_ms() + wait_ms : 0;
}

/* What is left of a wait under the bound of all. */
static int bounded(const struct helper *helper, int wait_ms)
{
	int64_t left = helper->deadline - loop_wait_clock_ms();

	if (!helper->deadline || left >= wait_ms)
		return wait_ms;
	return left > 0 ? (int)left : 0;
}

int helper_wait_any(struct helper *helper)
{
	int64_t deadline =
		loop_wait_clock_ms() + bounded(helper, HELPER_CHANGE_MS);
	struct helper_received reply;
	int err;

	while ((err = receive(helper, &reply)) == -EAGAIN) {
		err = wait_busily(helper, deadline);
		if (err)
			return err;
	}
	if (!err)
		dispatch(helper, &reply);
	return err;
}

int helper_call(struct helper *helper, enum helper_verb verb, const void *data,
		size_t length, int wait_ms, struct helper_received *reply)
{
	int err = helper->gone ? -EPIPE :
				 helper_send(helper, verb, data, length,
					     bounded(helper, wait_ms));

	memset(&reply->answer, 0, sizeof(reply->answer));
	for (int i = 0; i < HELPER_FDS_MAX; i++)
		reply->fds[i] = -1;
	if (!err)
		err = wait_answer(
			helper, loop_wait_clock_ms() + bounded(helper, wait_ms),
			reply);
	if (err)
		snprintf(reply->answer.text, HELPER_TEXT_MAX, "the helper %s",
			 err == -ETIMEDOUT ? "does not answer" :
			 err == -EPIPE	   ? "is gone" :
					     strerror(-err));
	else
		say_result(&reply->answer);
	return err ? err : reply->answer.result;
}
