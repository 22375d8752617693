/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Devices, addresses and routes, followed by rtnetlink (libmnl): the uplink's
 * address as it appears, changes and goes, the inside devices and their
 * networks, and the routes that lead elsewhere. Devices are known by name, so
 * a re-created device (PPPoE) is found again.
 */
#ifndef PORTICO_PLATFORM_UPLINK_H
#define PORTICO_PLATFORM_UPLINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop.h"
#include "portico/nat.h"

struct network_device {
	char name[IFNAMSIZ];
	unsigned index; /* 0: does not exist now */
	bool up; /* IFF_UP and a carrier */
	bool networks; /* inside: there are some behind it now */
	uint32_t mtu;
	uint32_t addr; /* the router's first there, 0: none */
};

/* Networks behind a device. */
struct network_nets {
	struct nat_prefix *nets;
	size_t count;
};

/* What the main table has of default routes, or of two halves of one. */
enum network_default {
	NETWORK_DEFAULT_NONE,
	NETWORK_DEFAULT_ELSEWHERE, /* by other devices than the uplink alone */
	NETWORK_DEFAULT_UPLINK, /* or it cannot be seen */
};

/* What is known now. Arrays are owned by the monitor and live until the next
 * change. */
struct network_state {
	struct network_device uplink;
	/* Index of the device that has the uplink's name or had it last, as it
	 * may only have been renamed; 0: none had. */
	unsigned uplink_last;
	uint32_t uplink_addr; /* primary IPv4 address, 0: none */
	struct network_device *inside;
	size_t inside_count;
	/* Networks on each inside device: its addresses' prefixes and the routes
	 * through it (inner routers). While it is away, down or without an
	 * address they are kept: its hosts may be there all the same, and what
	 * they send, or are sent, must not leave by the uplink. */
	struct network_nets *behind;
	bool inside_unknown; /* of one of them none was ever seen */
	/* All of these. */
	struct nat_prefix *inside_nets;
	size_t inside_net_count;
	/* Those of them whose device is away, down or without an address, and in
	 * which nothing is routed by the uplink. */
	struct nat_prefix *away;
	size_t away_count;
	/* Where what the inside sends does not leave by the uplink: prefixes of
	 * the main table (the default route's only without policy routing) that
	 * leave by a device which is neither uplink nor inside, but for parts of
	 * them that leave by the uplink all the same, and addresses of the router
	 * itself (the local table) in no inside network, but for uplink_addr:
	 * when that goes, the rules are as they were. */
	struct nat_prefix *elsewhere;
	size_t elsewhere_count;
	bool policy_routing; /* ip rules beyond the three standard ones */
	enum network_default default_route; /* changed() is not called for it */
};

struct network;

/* Chooses devices when none are named: the default route's device is the
 * uplink; every other device with a private address is inside, except docker*,
 * virbr*, veth*, wg*, tun*. Fills uplink ("": there is no default route) and
 * inside (up to capacity names). Returns the number of inside devices or
 * -errno. */
int network_choose(char uplink[IFNAMSIZ], char (*inside)[IFNAMSIZ],
		   size_t capacity);

/* Opens the monitor, reads the present state. changed(context) is called from
 * the loop after any difference in the state (coalesced: once per wake-up).
 * fixed_addr: the uplink's address when configured, 0: the device's first
 * global IPv4 address, but the last one in use (known_addr at first, 0: none)
 * wherever it is among them; a private one gives way to another while the default
 * route's router is not in its network, and to a public one in use while the
 * uplink leads nowhere. Returns NULL with errno set. */
struct network *network_open(struct loop *loop, const char *uplink,
			     const char (*inside)[IFNAMSIZ],
			     size_t inside_count, uint32_t fixed_addr,
			     uint32_t known_addr,
			     void (*changed)(void *context), void *context);
void network_close(struct network *network);
/* Reads again what could not be read when it changed. */
void network_retry(struct network *network);
/* Networks that an earlier process served: taken for what is behind the inside
 * devices that told of nothing yet, until they do, unless another has them. 0 or
 * -errno, not all is taken then. */
int network_remember(struct network *network, const struct nat_prefix *nets,
		     size_t count);
/* From now on addresses of the router itself are neither in the state nor a
 * change of it: for rules that ask the kernel. */
void network_without_own(struct network *network);
const struct network_state *network_state(const struct network *network);

#endif
