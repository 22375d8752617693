/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * From configuration and network to what the ruleset and the engine need:
 * which ports the pools hold, which enter the queue, which devices are meant.
 * The daemon and `portico rules` build the same thing here.
 */
#ifndef PORTICO_PLATFORM_SPEC_H
#define PORTICO_PLATFORM_SPEC_H

#include <net/if.h>
#include <stddef.h>

#include "config.h"
#include "portico/nat.h"
#include "rules.h"
#include "uplink.h"

/* rules points into this struct and into the config it was built from: both
 * stay where they are while it is used. Of the network everything is copied. */
struct spec_storage {
	struct rules_spec rules;
	/* Ports that may be handed out: `ports` and `low_ports` without
	 * router_ports; query ids: all of `ports`, which no local socket can
	 * take away. */
	struct nat_portset pool[NAT_POOLS];
	/* The part of them for inside ports below 1024 only: `low_ports` that
	 * are not also in `ports`. */
	struct nat_portset low_only;
	/* Ports that enter the queue: the pool's and the forwards'. */
	struct nat_portset queue_udp;
	struct nat_portset queue_tcp;
	char uplink[IFNAMSIZ];
	char (*inside)[IFNAMSIZ];
	struct nat_prefix *inside_nets;
	struct nat_prefix *away;
	struct nat_prefix *elsewhere;
};

/* Fills storage (its former content is not looked at). network NULL: devices
 * as configured. A configured uplink.address is taken where the network shows
 * none.
 * 0; -ENODEV: no uplink is known; -ERANGE: router_ports leave no port for the
 * pool; -ENOMEM. spec_free() after success only. */
int spec_build(const struct config *config, const struct network_state *network,
	       struct spec_storage *storage);
void spec_free(struct spec_storage *storage);

/* What a configuration that reads well comes to on this machine, whose own ports
 * may be the whole pool: 0 or -ERANGE. */
int spec_check(const struct config *config);

/* Most inside devices chosen in automatic mode. */
#define SPEC_INSIDE_MAX 32

/* The devices that are meant: those of the configuration, and what it leaves
 * open chosen by network_choose(); the uplink is never inside. inside is to be
 * freed by the caller. */
struct spec_devices {
	char uplink[IFNAMSIZ];
	char (*inside)[IFNAMSIZ];
	size_t inside_count;
};

/* 0; -ENODEV: an uplink is to be chosen and there is no default route; other
 * -errno. devices->inside is NULL on failure. */
int spec_choose_devices(const struct config *config,
			struct spec_devices *devices);

/* The sentence for what spec_build() or spec_choose_devices() returned. */
const char *spec_error(int err);

#endif
