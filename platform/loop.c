/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The epoll loop. A watch that a handler removes may still have an event in
 * the batch at hand: loop_remove() strikes it from there, so that no event
 * ever reaches a watch that is gone.
 */
#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define BATCH 16

struct loop {
	int epoll;
	bool stop;
	uint64_t now_ms;
	/* The batch being handled: [next, count) is still to come. */
	struct epoll_event batch[BATCH];
	int next;
	int count;
};

uint64_t loop_clock_ms(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_BOOTTIME, &now))
		clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int64_t loop_wait_clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

uint64_t loop_now_ms(const struct loop *loop)
{
	return loop->now_ms;
}

struct loop *loop_new(void)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return NULL;
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll < 0) {
		free(loop);
		return NULL;
	}
	loop->now_ms = loop_clock_ms();
	return loop;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	close(loop->epoll);
	free(loop);
}

static int control(struct loop *loop, int op, struct watch *watch,
		   uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	return epoll_ctl(loop->epoll, op, watch->fd, &event) ? -errno : 0;
}

int loop_add(struct loop *loop, struct watch *watch, uint32_t events)
{
	return control(loop, EPOLL_CTL_ADD, watch, events);
}

int loop_change(struct loop *loop, struct watch *watch, uint32_t events)
{
	return control(loop, EPOLL_CTL_MOD, watch, events);
}

void loop_remove(struct loop *loop, struct watch *watch)
{
	/* Fails only where there is nothing to remove. */
	control(loop, EPOLL_CTL_DEL, watch, 0);
	for (int i = loop->next; i < loop->count; i++)
		if (loop->batch[i].data.ptr == watch)
			loop->batch[i].data.ptr = NULL;
}

static void dispatch(struct loop *loop)
{
	while (loop->next < loop->count && !loop->stop) {
		struct epoll_event *event = &loop->batch[loop->next++];
		struct watch *watch = event->data.ptr;

		if (watch)
			watch->handler(watch, event->events);
	}
	loop->next = loop->count = 0;
}

int loop_run(struct loop *loop)
{
	while (!loop->stop) {
		int count = epoll_wait(loop->epoll, loop->batch, BATCH, -1);

		loop->now_ms = loop_clock_ms();
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -errno;
		loop->next = 0;
		loop->count = count;
		dispatch(loop);
	}
	loop->stop = false; /* served; the loop may run again */
	return 0;
}

void loop_stop(struct loop *loop)
{
	loop->stop = true;
}
