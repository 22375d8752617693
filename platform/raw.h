/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The raw sockets (IP_HDRINCL, IP_NODEFRAG, non-blocking) by which the engine's
 * own packets leave. What the kernel has no room for waits here, in its order,
 * and is tried again.
 *
 * Nearly all of them are for inside hosts, and carry the mark of what was
 * translated for the inside: where a host's route is gone the default route
 * leads out, and the rules drop by that mark what would leave by the uplink. What
 * has the uplink's address as its source is not marked, though some of it is for
 * the inside, too: a hairpin's fragments, an error that comes back over lo.
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
	int fd; /* marked; -1: none */
	int outside; /* for what is sent in the uplink's name; -1: none */
	uint64_t lost; /* given up, or refused for another reason */
	size_t used; /* bytes of waiting[] */
	uint8_t *waiting; /* RAW_WAIT_BYTES; NULL: nothing has ever waited */
};

/* mark: of packets for the inside. 0 or -errno. */
int raw_open(struct raw *raw, uint32_t mark);
void raw_close(struct raw *raw);

/* Sends one complete IPv4 packet to the destination in its header, or has it
 * wait; what can do neither is counted as lost. own: the uplink's address, 0:
 * none; what has another source is for the inside. */
void raw_send(struct raw *raw, const uint8_t *packet, uint32_t length,
	      uint32_t own, uint64_t now_ms);
/* Sends what waits. True when some still does. */
bool raw_again(struct raw *raw, uint64_t now_ms);

#endif
