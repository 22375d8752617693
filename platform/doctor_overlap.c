/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Findings about an uplink behind another NAT: that there is one, and addresses
 * that lie on both sides, since the uplink's own or its network is also a part
 * of the inside. What comes from there then passes for an inside host's, and
 * what goes there never leaves. And about what is exempt but is our own.
 */
#include "doctor.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "rules_text.h"

static const char remedy[] =
	"renumber the inside, or take the wide route through the inside device "
	"apart into those that are needed";

/* A line of /proc/net/route that leads through a device. Addresses there are
 * the memory of a network-order word. */
static bool parse_route(const char *line, const char *device,
			struct nat_prefix *to)
{
	char name[IFNAMSIZ + 1], addr[16], mask[16];
	uint32_t bits;

	if (sscanf(line, "%16s %15s %*s %*s %*s %*s %*s %15s", name, addr,
		   mask) != 3 ||
	    strcmp(name, device))
		return false;
	to->addr = ntohl((uint32_t)strtoul(addr, NULL, 16));
	bits = ntohl((uint32_t)strtoul(mask, NULL, 16));
	for (to->length = 0; bits & 0x80000000; bits <<= 1)
		to->length++;
	return to->length > 0;
}

static const struct nat_prefix *find(const struct network_state *network,
				     uint32_t addr, unsigned length)
{
	for (size_t i = 0; i < network->inside_net_count; i++)
		if (network->inside_nets[i].length <= length &&
		    nat_prefix_has(&network->inside_nets[i], addr))
			return &network->inside_nets[i];
	return NULL;
}

static void examine_address(const struct network_state *network,
			    struct doctor_report *report)
{
	const struct nat_prefix *net = find(network, network->uplink_addr, 32);
	char addr[RULES_PREFIX_TEXT], text[RULES_PREFIX_TEXT];

	if (!network->uplink_addr || !net)
		return;
	rules_addr_text(network->uplink_addr, addr);
	doctor_add(report, DOCTOR_FAIL, remedy,
		   "the uplink's address %s lies in the inside network %s: "
		   "hosts and peers cannot be told apart",
		   addr, rules_prefix_text(net, text));
}

/* Addresses that the Internet does not route: RFC 1918 3, and what carriers put
 * between their customers and their own NAT (RFC 6598 7). */
static const struct nat_prefix not_public[] = {
	{ 0x0a000000, 8 }, /* 10.0.0.0/8 */
	{ 0x64400000, 10 }, /* 100.64.0.0/10 */
	{ 0xac100000, 12 }, /* 172.16.0.0/12 */
	{ 0xc0a80000, 16 }, /* 192.168.0.0/16 */
};

static void examine_carrier(const struct network_state *network,
			    struct doctor_report *report)
{
	char addr[RULES_PREFIX_TEXT];

	for (size_t i = 0; i < sizeof(not_public) / sizeof(not_public[0]); i++)
		if (nat_prefix_has(&not_public[i], network->uplink_addr))
			doctor_add(report, DOCTOR_WARN,
				   "ask the provider for a public address, or "
				   "forward at the other NAT as well",
				   "the uplink's address %s is not a public "
				   "one: behind another NAT%s, forwards and "
				   "open filtering end there",
				   rules_addr_text(network->uplink_addr, addr),
				   i == 1 ? " of the provider (CGN)" : "");
}

static void examine_route(const struct network_state *network, const char *line,
			  struct doctor_report *report)
{
	char route_text[RULES_PREFIX_TEXT], text[RULES_PREFIX_TEXT];
	const struct nat_prefix *net;
	struct nat_prefix route;

	if (!parse_route(line, network->uplink.name, &route))
		return;
	net = find(network, route.addr, route.length);
	if (net)
		doctor_add(report, DOCTOR_FAIL, remedy,
			   "the network %s at the uplink lies in the inside "
			   "network %s: packets from there are refused",
			   rules_prefix_text(&route, route_text),
			   rules_prefix_text(net, text));
}

/* The inside network that a network holds, NULL for none. */
static const struct nat_prefix *held(const struct network_state *network,
				     const struct nat_prefix *prefix)
{
	for (size_t i = 0; i < network->inside_net_count; i++)
		if (prefix->length <= network->inside_nets[i].length &&
		    nat_prefix_has(prefix, network->inside_nets[i].addr))
			return &network->inside_nets[i];
	return NULL;
}

bool doctor_refuses_own(const struct network_state *network,
			const struct nat_prefix *martian,
			char text[static DOCTOR_REFUSES_MAX])
{
	const struct nat_prefix *net = held(network, martian);
	char refused[RULES_PREFIX_TEXT], own[RULES_PREFIX_TEXT];

	rules_prefix_text(martian, refused);
	if (net)
		snprintf(text, DOCTOR_REFUSES_MAX,
			 "behaviour.martians_extra %s holds the inside network "
			 "%s: all that its hosts send is dropped",
			 refused, rules_prefix_text(net, own));
	else if (network->uplink_addr &&
		 nat_prefix_has(martian, network->uplink_addr))
		snprintf(text, DOCTOR_REFUSES_MAX,
			 "behaviour.martians_extra %s holds the uplink's "
			 "address %s: no answer reaches an inside host",
			 refused, rules_addr_text(network->uplink_addr, own));
	else
		return false;
	return true;
}

static void examine_martians(const struct network_state *network,
			     const struct nat_config *nat,
			     struct doctor_report *report)
{
	char text[DOCTOR_REFUSES_MAX];

	for (size_t i = 0; i < nat->martian_count; i++)
		if (doctor_refuses_own(network, &nat->martians[i], text))
			doctor_add(report, DOCTOR_FAIL,
				   "name there networks of others only", "%s",
				   text);
}

/* What is exempt is left alone as a source, too. */
static void examine_exempt(const struct network_state *network,
			   const struct nat_prefix *exempt,
			   struct doctor_report *report)
{
	const struct nat_prefix *net = held(network, exempt);
	char text[RULES_PREFIX_TEXT], own[RULES_PREFIX_TEXT];

	rules_prefix_text(exempt, text);
	if (network->uplink_addr &&
	    nat_prefix_has(exempt, network->uplink_addr))
		doctor_add(report, DOCTOR_FAIL,
			   "take the uplink's address out of \"exempt\"",
			   "exempt %s holds the uplink's own address %s: no "
			   "answer reaches an inside host",
			   text, rules_addr_text(network->uplink_addr, own));
	if (net)
		doctor_add(report, DOCTOR_WARN,
			   "name in \"exempt\" only where hosts send to, in "
			   "parts without the inside network",
			   "exempt %s holds the inside network %s: all that "
			   "its hosts send leaves untranslated",
			   text, rules_prefix_text(net, own));
}

void doctor_overlap(const struct doctor_context *context, const char *routes,
		    struct doctor_report *report)
{
	const struct network_state *network = context->network;
	const struct nat_config *nat = &context->config->nat;

	if (!network)
		return;
	for (size_t i = 0; i < nat->exempt_count; i++)
		examine_exempt(network, &nat->exempt[i], report);
	if (!context->for_status)
		examine_martians(network, nat, report);
	examine_carrier(network, report);
	examine_address(network, report);
	while (*routes) {
		examine_route(network, routes, report);
		routes += strcspn(routes, "\n");
		routes += *routes == '\n';
	}
}
