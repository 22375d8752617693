/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The raw socket (IP_HDRINCL, IP_NODEFRAG, non-blocking) by which the engine's
 * own packets leave. What the kernel has no room for waits here, in its order,
 * and is tried again.
 */
#ifndef PORTICO_PLATFORM_RAW_H
#define PORTICO_PLATFORM_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How long a packet waits before it is lost, and bytes of them: the largest
 * packet fits, or about a thousand resets. */
#define RAW_WAIT_MS 1000U
#define RAW_WAIT_BYTES 66560U

struct raw {
	int fd; /* -1: none */
	uint64_t lost; /* given up, or refused for another reason */
	size_t used; /* bytes of waiting[] */
	uint8_t *waiting; /* RAW_WAIT_BYTES; NULL: nothing has ever waited */
};

/* 0 or -errno. */
int raw_open(struct raw *raw);
void raw_close(struct raw *raw);

/* Sends one complete IPv4 packet to the destination in its header, or has it
 * wait; what can do neither is counted as lost. */
void raw_send(struct raw *raw, const uint8_t *packet, uint32_t length,
	      uint64_t now_ms);
/* Sends what waits. True when some still does. */
bool raw_again(struct raw *raw, uint64_t now_ms);

#endif
