/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The router's own sockets, read by inet_diag (RFC 6056 3.2: ports bound
 * locally must not be handed out).
 */
#ifndef PORTICO_PLATFORM_SOCKETS_H
#define PORTICO_PLATFORM_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "portico/nat.h"

/* Adds to *udp and *tcp each local port bound to uplink_addr, 0.0.0.0 or ::
 * (any state but TIME_WAIT). Sets are cleared first. 0 or -errno. */
int sockets_read(uint32_t uplink_addr, struct nat_portset *udp,
		 struct nat_portset *tcp);

/* Whether a socket of the router's own takes this datagram, as it came by the
 * device: asks for that one, so for what was bound since the last look, too.
 * False also where that had to do without inet_diag, or it is no UDP. */
bool sockets_take_datagram(unsigned device, const uint8_t *packet,
			   uint32_t length);

/* Parts of it, which add to one set: one read of an inet_diag dump (seq, port
 * and result as of mnl_cb_run()), and one line of a file of /proc/net. */
int sockets_take_diag(uint32_t uplink_addr, struct nat_portset *set,
		      const void *bytes, size_t length, uint32_t seq,
		      unsigned port);
void sockets_take_line(uint32_t uplink_addr, struct nat_portset *set,
		       uint8_t family, const char *line);

#endif
