/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What libmnl does not look at: it takes a message's length above INT_MAX for
 * one below 0, which fits everywhere, and then reads elsewhere or never ends.
 */
#ifndef PORTICO_PLATFORM_NETLINK_SOUND_H
#define PORTICO_PLATFORM_NETLINK_SOUND_H

#include <libmnl/libmnl.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* May mnl_cb_run() have these bytes? */
static inline bool netlink_sound(const void *bytes, size_t length)
{
	const uint8_t *at = bytes;
	struct nlmsghdr head;

	while (length >= sizeof(head)) {
		memcpy(&head, at, sizeof(head));
		if (head.nlmsg_len > INT_MAX)
			return false;
		/* mnl_cb_run() ends there, too. */
		if (head.nlmsg_len < sizeof(head) ||
		    MNL_ALIGN(head.nlmsg_len) >= length)
			return true;
		at += MNL_ALIGN(head.nlmsg_len);
		length -= MNL_ALIGN(head.nlmsg_len);
	}
	return true;
}

#endif
