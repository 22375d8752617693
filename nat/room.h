/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Quotas, shares and room in the tables.
 */
#ifndef PORTICO_NAT_ROOM_H
#define PORTICO_NAT_ROOM_H

#include "internal.h"

/* May this host, mapping (0: a new one) have one more session? Why not, or
 * NAT_DROP_NONE. Ends what is over where there is no room: the mapping may die
 * with that. */
enum nat_drop nat_room_session(struct nat_work *work, uint32_t host,
			       uint32_t mapping);
/* The same for a session that an outsider opens. */
enum nat_drop nat_room_outsider(struct nat_work *work, uint32_t mapping);
/* May this host have one more mapping? */
enum nat_drop nat_room_mapping(struct nat_work *work, uint32_t host);
bool nat_host_may_open(struct nat *nat, struct nat_host *host, uint64_t now_ms);

#endif
