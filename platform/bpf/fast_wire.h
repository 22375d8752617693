/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the loader (portico-bpf) says to the daemon that runs it.
 *
 *   portico-bpf SLOTS BUCKETS
 *
 * with a Unix socket (SOCK_SEQPACKET) as its standard input, on which it sends
 * one message, and then ends. Its memory and libraries go with it.
 */
#ifndef PORTICO_PLATFORM_BPF_FAST_WIRE_H
#define PORTICO_PLATFORM_BPF_FAST_WIRE_H

#include <linux/types.h>

/* The descriptors that come with it, when result is 0. */
enum fast_fd {
	FAST_FD_HEAD, /* maps: arrays that can be mapped into memory */
	FAST_FD_FILLED,
	FAST_FD_BUCKETS,
	FAST_FD_SLOTS,
	/* Programs for tc: at devices whose packets begin with an Ethernet
	 * header, and at those with no header at all (tun, ppp). */
	FAST_FD_INSIDE_ETHER,
	FAST_FD_INSIDE_BARE,
	FAST_FD_UPLINK_ETHER,
	FAST_FD_UPLINK_BARE,
	FAST_FDS
};

#define FAST_TEXT_MAX 256
#define FAST_VERSION_MAX 32

struct fast_loaded {
	/* PORTICO_VERSION, or the maps may be laid out otherwise. */
	char version[FAST_VERSION_MAX];
	__s32 result; /* 0 or -errno */
	char text[FAST_TEXT_MAX]; /* a sentence where result is not 0 */
};

#endif
