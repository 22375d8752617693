/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rules_events.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netlink_sound.h"

/* For one call: who makes more work than that is not to keep us from packets.
 * The rest wakes us again. */
#define MESSAGES_MAX 256

int rules_events_open(void)
{
	struct sockaddr_nl groups = {
		.nl_family = AF_NETLINK,
		.nl_groups = 1U << (NFNLGRP_NFTABLES - 1),
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
			NETLINK_NETFILTER);
	int error;

	if (fd < 0)
		return -errno;
	if (!bind(fd, (const struct sockaddr *)&groups, sizeof(groups)))
		return fd;
	error = -errno;
	close(fd);
	return error;
}

static void take(uint16_t type, struct rules_events *events)
{
	if (type >> 8 != NFNL_SUBSYS_NFTABLES)
		return;
	switch (type & 0xff) {
	case NFT_MSG_DELTABLE:
	case NFT_MSG_DELCHAIN:
	case NFT_MSG_DELRULE:
		events->out = true;
		events->changed = true;
		break;
	case NFT_MSG_NEWTABLE: /* a dormant one wakes */
	case NFT_MSG_NEWCHAIN:
	case NFT_MSG_NEWRULE:
		events->changed = true;
		break;
	}
}

/* One datagram of the kernel's holds several messages. */
static void take_all(const uint8_t *bytes, size_t length,
		     struct rules_events *events)
{
	const struct nlmsghdr *header = (const void *)bytes;
	int left = (int)length;

	if (!netlink_sound(bytes, length))
		events->changed = events->out = true;
	else
		for (; mnl_nlmsg_ok(header, left);
		     header = mnl_nlmsg_next(header, &left))
			take(header->nlmsg_type, events);
}

struct rules_events rules_events_take(int fd)
{
	uint8_t bytes[8192] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct rules_events events = { false, false };

	for (int i = 0; i < MESSAGES_MAX; i++) {
		ssize_t got = recv(fd, bytes, sizeof(bytes), MSG_TRUNC);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno != ENOBUFS)
			break;
		if (got < 0 || (size_t)got > sizeof(bytes))
			events.changed = events.out = true;
		else
			take_all(bytes, (size_t)got, &events);
	}
	return events;
}
