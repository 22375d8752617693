/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A loop that tests turn by hand, in the place of platform/loop.c: for
 * control_lab.h.
 */
#ifndef PORTICO_TESTS_TURNED_LOOP_H
#define PORTICO_TESTS_TURNED_LOOP_H

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>

#include "platform/loop.h"

#define LAB_WATCHES 128

struct loop {
	uint64_t now_ms;
	struct watch *watches[LAB_WATCHES];
	uint32_t events[LAB_WATCHES];
	unsigned turns;
};

static inline int loop_slot(const struct loop *loop, const struct watch *watch)
{
	for (int i = 0; i < LAB_WATCHES; i++)
		if (loop->watches[i] == watch)
			return i;
	return -1;
}

int loop_add(struct loop *loop, struct watch *watch, uint32_t events)
{
	int slot = loop_slot(loop, NULL);

	if (slot < 0)
		return -ENOSPC;
	loop->watches[slot] = watch;
	loop->events[slot] = events;
	return 0;
}

int loop_change(struct loop *loop, struct watch *watch, uint32_t events)
{
	int slot = loop_slot(loop, watch);

	if (slot < 0)
		return -ENOENT;
	loop->events[slot] = events;
	return 0;
}

void loop_remove(struct loop *loop, struct watch *watch)
{
	int slot = loop_slot(loop, watch);

	if (slot >= 0)
		loop->watches[slot] = NULL;
}

uint64_t loop_now_ms(const struct loop *loop)
{
	return loop->now_ms;
}

/* One turn, one millisecond: every watch that is ready has its handler run.
 * Returns how many. */
static inline int lab_turn(struct loop *loop)
{
	int ready = 0;

	loop->now_ms++;
	loop->turns++;
	for (int i = 0; i < LAB_WATCHES; i++) {
		struct watch *watch = loop->watches[i];
		struct pollfd fd = { 0 };

		if (!watch)
			continue;
		fd.fd = watch->fd;
		fd.events = (short)((loop->events[i] & EPOLLIN ? POLLIN : 0) |
				    (loop->events[i] & EPOLLOUT ? POLLOUT : 0));
		if (poll(&fd, 1, 0) > 0) {
			watch->handler(watch, 0);
			ready++;
		}
	}
	return ready;
}

#endif
