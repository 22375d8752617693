/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The kernel's settings, by way of the helper, which notes what they were and
 * puts them back.
 */
#include "gateway_private.h"

#include <string.h>

#include "helper_waits.h"
#include "log.h"

/* Only now, when something is about to change: a start that fails earlier
 * leaves what a crash left for the next one. */
int gateway_open_settings(struct gateway *g, char *error, size_t size)
{
	int err = helper_settings(g->helper);

	if (err)
		return gateway_say(error, size, err, "settings: %s",
				   strerror(-err));
	g->settings = true;
	return 0;
}

/* Else a hairpin would make the router tell hosts each other's addresses
 * (design 4.4), and what comes from the uplink's own network for an inside host
 * that has no route would be answered there with the address. */
void gateway_set_redirects(struct gateway *g)
{
	helper_no_redirects(g->helper);
}

/* Answers to the router's own connections must come to no forward, either. */
void gateway_reserve_ports(struct gateway *g)
{
	struct nat_portset ports;
	int err;

	for (size_t i = 0; i < sizeof(ports.bits); i++)
		ports.bits[i] = g->plan->spec.queue_udp.bits[i] |
				g->plan->spec.queue_tcp.bits[i];
	err = helper_reserve_ports(g->helper, &ports);
	if (err)
		log_warning("ports",
			    "ip_local_reserved_ports cannot be set (%s): the "
			    "router may take ports of the pool",
			    strerror(-err));
}

int gateway_set_forwarding(struct gateway *g, char *error, size_t size)
{
	int err = helper_forward(g->helper);

	if (err)
		return gateway_say(error, size, err,
				   "ip_forward cannot be set: %s",
				   strerror(-err));
	return 0;
}

void gateway_restore_settings(struct gateway *g)
{
	/* The kernel's masquerade goes on in our place, and needs a router. */
	bool goes_on = g->plan && g->plan->spec.rules.fallback_kernel;

	int err;

	helper_bound(g->helper, HELPER_QUICK_MS);
	err = g->settings ? helper_restore(g->helper, goes_on) : 0;
	if (err)
		log_warning("settings",
			    "kernel settings are not put back (%s): what they "
			    "were is in %s.settings, for the next start",
			    strerror(-err), g->config->control);
}
