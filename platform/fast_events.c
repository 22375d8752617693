/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Hears of changes of qdiscs and filters: to ask whether ours are still there
 * takes a lock of the kernel's that configuring a device may hold for long.
 */
#include "fast_private.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

/* What is left waits for the next time. */
#define DRAIN_MAX 64

int fast_events_open(void)
{
	const struct sockaddr_nl address = { .nl_family = AF_NETLINK,
					     .nl_groups = RTMGRP_TC };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
			NETLINK_ROUTE);
	int err;

	if (fd < 0)
		return -errno;
	if (!bind(fd, (const struct sockaddr *)&address, sizeof(address)))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

bool fast_events_drain(int fd)
{
	bool heard = false;
	char first;

	for (int i = 0; i < DRAIN_MAX; i++) {
		/* What it says is not needed: it may be cut. */
		if (recv(fd, &first, sizeof(first), 0) < 0) {
			heard |= errno == ENOBUFS;
			if (errno != ENOBUFS && errno != EINTR)
				break;
			continue;
		}
		heard = true;
	}
	return heard;
}
