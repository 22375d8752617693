/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The raw socket (IP_HDRINCL, IP_NODEFRAG, non-blocking) by which the engine's
 * ICMP answers leave.
 */
#ifndef PORTICO_PLATFORM_RAW_H
#define PORTICO_PLATFORM_RAW_H

#include <stdint.h>

/* Returns the descriptor or -errno. */
int raw_open(void);
/* Sends one complete IPv4 packet to the destination in its header. 0 or
 * -errno; -EINVAL: shorter than a header. */
int raw_send(int fd, const uint8_t *packet, uint32_t length);

#endif
