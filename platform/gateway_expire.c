/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Expiry. What is over ends each second, and with the packets that come. When a
 * crowd is over in one moment, no packet may wait for the end of all of it: it
 * ends in slices of some hundred microseconds, and packets pass in between.
 */
#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "gateway_private.h"

#define AT_ONCE 1024U /* sessions */
#define PAUSE_NS 1000000

static void on_crowd(struct watch *watch, uint32_t events)
{
	struct gateway *g =
		(void *)((char *)watch - offsetof(struct gateway, crowd));
	uint64_t times;

	(void)events;
	if (read(watch->fd, &times, sizeof(times)) == sizeof(times))
		gateway_expire(g);
}

int gateway_expire_open(struct gateway *g)
{
	g->crowd.handler = on_crowd;
	g->crowd.fd =
		timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (g->crowd.fd < 0)
		return -errno;
	return loop_add(g->loop, &g->crowd, EPOLLIN);
}

void gateway_expire_close(struct gateway *g)
{
	if (g->crowd.fd < 0)
		return;
	loop_remove(g->loop, &g->crowd);
	close(g->crowd.fd);
}

void gateway_expire(struct gateway *g)
{
	const struct itimerspec soon = { .it_value.tv_nsec = PAUSE_NS };

	/* Where the timer fails, the next second goes on. */
	if (nat_expire(g->nat, loop_now_ms(g->loop), AT_ONCE) == AT_ONCE)
		timerfd_settime(g->crowd.fd, 0, &soon, NULL);
}
