/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Findings about the devices of the gateway: what is missing of them, the
 * default route, and forwards that lead behind none.
 */
#include "doctor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "rules_text.h"

#define MTU_LEAST 576U /* RFC 791 3.2: what every host takes */

/* --- the devices ---------------------------------------------------------- */

static void miss_address(const char *uplink, uint32_t wanted,
			 struct doctor_report *report)
{
	char remedy[96], addr[RULES_PREFIX_TEXT];

	snprintf(remedy, sizeof(remedy), "ip address show dev %.15s", uplink);
	if (wanted)
		doctor_add(report, DOCTOR_FAIL, remedy,
			   "the uplink %s has not the address %s of the "
			   "configuration: nothing can be translated",
			   uplink, rules_addr_text(wanted, addr));
	else
		doctor_add(report, DOCTOR_FAIL, remedy,
			   "the uplink %s has no IPv4 address: nothing can be "
			   "translated",
			   uplink);
}

static void examine_uplink(const struct doctor_context *context,
			   struct doctor_report *report)
{
	const char *uplink = doctor_uplink(context);
	const struct network_state *network = context->network;
	char up[96];

	snprintf(up, sizeof(up), "ip link set %.15s up, or look at its cable",
		 uplink);
	if (!uplink[0])
		doctor_add(report, DOCTOR_FAIL,
			   "name it in the configuration: uplink.device",
			   "there is no uplink: no default route shows one");
	else if (network && !network->uplink.index)
		doctor_add(report, DOCTOR_FAIL,
			   "ip link; correct uplink.device in the "
			   "configuration",
			   "the uplink %s does not exist", uplink);
	else if (network && !network->uplink_addr)
		miss_address(uplink, context->config->uplink_address, report);
	else if (network && !network->uplink.up)
		doctor_add(report, DOCTOR_FAIL, up,
			   "the uplink %s is down: nothing passes", uplink);
	else if (network)
		doctor_add(report, DOCTOR_OK, NULL,
			   "the uplink %s is there and has an address", uplink);
}

static void examine_device(const struct network_device *device,
			   struct doctor_report *report)
{
	char show[96], up[96];

	snprintf(show, sizeof(show), "ip address show dev %s", device->name);
	snprintf(up, sizeof(up), "ip link set %s up, or look at its cable",
		 device->name);
	if (!device->index)
		doctor_add(report, DOCTOR_FAIL,
			   "ip link; correct inside.devices in the "
			   "configuration",
			   "the inside device %s does not exist", device->name);
	else if (!device->networks)
		doctor_add(report, DOCTOR_FAIL, show,
			   "the inside device %s has no IPv4 address: its "
			   "hosts are not translated",
			   device->name);
	else if (!device->up)
		doctor_add(report, DOCTOR_WARN, up,
			   "the inside device %s is down", device->name);
}

/* Without an uplink none was looked for, unless they are named. */
static void examine_inside(const struct doctor_context *context,
			   struct doctor_report *report)
{
	const struct network_state *network = context->network;

	if (!doctor_inside_count(context) && doctor_uplink(context)[0])
		doctor_add(report, DOCTOR_FAIL,
			   "name them in the configuration: inside.devices",
			   "there is no inside device");
	for (size_t i = 0; network && i < network->inside_count; i++)
		examine_device(&network->inside[i], report);
}

static void examine_mtu(const struct doctor_context *context,
			struct doctor_report *report)
{
	const struct network_state *network = context->network;
	char remedy[96];

	if (!network || !network->uplink.index || !network->uplink.mtu ||
	    network->uplink.mtu >= MTU_LEAST)
		return;
	snprintf(remedy, sizeof(remedy), "ip link set %s mtu 1500",
		 network->uplink.name);
	doctor_add(report, DOCTOR_WARN, remedy,
		   "the MTU of %s is %" PRIu32
		   ", below the 576 octets that every Internet path takes: "
		   "ICMP answers may not fit",
		   network->uplink.name, network->uplink.mtu);
}

/* --- the default route ---------------------------------------------------- */

bool doctor_has_default_route(const char *routes, const char *device)
{
	while (*routes) {
		char name[IFNAMSIZ + 1], to[16], mask[16];

		if (sscanf(routes, "%16s %15s %*s %*s %*s %*s %*s %15s", name,
			   to, mask) == 3 &&
		    !strcmp(name, device) && !strcmp(to, "00000000") &&
		    !strcmp(mask, "00000000"))
			return true;
		routes += strcspn(routes, "\n");
		routes += *routes == '\n';
	}
	return false;
}

bool doctor_lacks_default(const struct network_state *network,
			  char text[static DOCTOR_LACKS_MAX])
{
	if (!network->uplink_addr || !network->uplink.up ||
	    network->policy_routing)
		return false;
	switch (network->default_route) {
	case NETWORK_DEFAULT_NONE:
		snprintf(text, DOCTOR_LACKS_MAX,
			 "there is no default route: hosts reach what has a "
			 "route of its own, not the Internet");
		return true;
	case NETWORK_DEFAULT_ELSEWHERE:
		snprintf(text, DOCTOR_LACKS_MAX,
			 "the default route leaves not by the uplink %s: what "
			 "takes it is not translated",
			 network->uplink.name);
		return true;
	case NETWORK_DEFAULT_UPLINK:
		break;
	}
	return false;
}

static void examine_default(const struct network_state *network,
			    struct doctor_report *report)
{
	bool none = network->default_route == NETWORK_DEFAULT_NONE;
	char text[DOCTOR_LACKS_MAX], add[96];

	snprintf(add, sizeof(add), "ip route add default via GATEWAY dev %s",
		 network->uplink.name);
	if (doctor_lacks_default(network, text))
		doctor_add(report, DOCTOR_WARN,
			   none ? add :
				  "ip route; correct it, or uplink.device in "
				  "the configuration",
			   "%s", text);
}

/* --- forwards ------------------------------------------------------------- */

bool doctor_is_inside(const struct nat_prefix *nets, size_t count,
		      uint32_t addr)
{
	for (size_t i = 0; i < count; i++)
		if (nat_prefix_has(&nets[i], addr))
			return true;
	return false;
}

bool doctor_is_own(const struct network_state *network, uint32_t addr)
{
	for (size_t i = 0; i < network->inside_count; i++)
		if (addr && network->inside[i].addr == addr)
			return true;
	return false;
}

static void examine_forwards(const struct network_state *network,
			     const struct nat_config *nat,
			     struct doctor_report *report)
{
	char addr[RULES_PREFIX_TEXT];

	for (size_t i = 0; i < nat->forward_count; i++) {
		const struct nat_forward *forward = &nat->forwards[i];

		if (i && !strcmp(forward->name, nat->forwards[i - 1].name))
			continue; /* the same by the other protocol */
		rules_addr_text(forward->inside_addr, addr);
		if (doctor_is_own(network, forward->inside_addr))
			doctor_add(report, DOCTOR_WARN,
				   "forward to an inside host, or have the "
				   "service listen at the uplink's address",
				   "the forward %s leads to %s, the router's "
				   "own address: its answers are dropped",
				   forward->name, addr);
		if (doctor_is_inside(network->inside_nets,
				     network->inside_net_count,
				     forward->inside_addr))
			continue;
		doctor_add(report, DOCTOR_WARN,
			   "correct its \"to\" in the configuration, or route "
			   "it through an inside device",
			   "the forward %s leads to %s, which is in no inside "
			   "network",
			   forward->name, addr);
	}
}

/* The daemon watches its devices and forwards itself. */
void doctor_devices(const struct doctor_context *context,
		    struct doctor_report *report)
{
	const struct network_state *network = context->network;

	if (!context->for_status) {
		examine_uplink(context, report);
		examine_inside(context, report);
	}
	examine_mtu(context, report);
	if (!network || context->for_status)
		return;
	examine_default(network, report);
	if (!network->inside_unknown)
		examine_forwards(network, &context->config->nat, report);
}
