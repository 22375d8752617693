/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which way a packet goes, told by its addresses: the engine and the rules know
 * it by the devices, which nobody who asks has to name.
 */
#include <stdio.h>

#include "why_private.h"

#define PREFIX_SIZE (VIEWS_ADDR_SIZE + 3)
#define NETWORKS_SIZE 256

/* What nat/martian.c refuses beside the configured ones. */
static const struct nat_prefix martians[] = {
	{ 0x00000000, 8 },
	{ 0x7f000000, 8 },
	{ 0xa9fe0000, 16 },
	{ 0xe0000000, 3 },
};

/* The longest that has the address, or NULL. */
static const struct nat_prefix *find(const struct nat_prefix *prefixes,
				     size_t count, uint32_t addr)
{
	const struct nat_prefix *best = NULL;

	for (size_t i = 0; i < count; i++)
		if (nat_prefix_has(&prefixes[i], addr) &&
		    (!best || prefixes[i].length > best->length))
			best = &prefixes[i];
	return best;
}

static const struct nat_prefix *inside_of(const struct why_scene *scene,
					  uint32_t addr)
{
	return find(scene->config->inside, scene->config->inside_count, addr);
}

static const struct nat_prefix *exempt_of(const struct why_scene *scene,
					  uint32_t addr)
{
	return find(scene->config->exempt, scene->config->exempt_count, addr);
}

static const struct nat_prefix *elsewhere_of(const struct why_scene *scene,
					     uint32_t addr)
{
	return find(scene->network->elsewhere, scene->network->elsewhere_count,
		    addr);
}

/* Multicast and the broadcast: the rules let them by, as DHCP and discovery need
 * them. */
static bool is_group(uint32_t addr)
{
	return addr >> 28 == 0xe || addr == 0xffffffff;
}

static const char *prefix_text(const struct nat_prefix *prefix,
			       char text[static PREFIX_SIZE])
{
	char addr[VIEWS_ADDR_SIZE];

	snprintf(text, PREFIX_SIZE, "%s/%u", views_addr(prefix->addr, addr),
		 (unsigned)prefix->length % 33);
	return text;
}

/* --- the way ------------------------------------------------------------- */

enum why_way why_way(const struct why *why, const struct why_scene *scene)
{
	const uint32_t source = why->question.source.addr;
	const uint32_t destination = why->question.destination.addr;
	const uint32_t uplink = nat_known_uplink(scene->nat);
	const bool inside = inside_of(scene, source);

	if (exempt_of(scene, destination) || exempt_of(scene, source))
		return WHY_EXEMPT;
	if (uplink && source == uplink)
		return source == destination ? WHY_NONE : WHY_LOCAL;
	if (uplink && destination == uplink && inside)
		return WHY_HAIRPIN;
	if (uplink && destination == uplink)
		return elsewhere_of(scene, source) ? WHY_LOCAL : WHY_INBOUND;
	if (inside_of(scene, destination) || elsewhere_of(scene, destination) ||
	    is_group(destination))
		return WHY_NONE;
	return WHY_OUTBOUND;
}

static void say_exempt(struct why *why, const struct why_scene *scene)
{
	const struct nat_prefix *net =
		exempt_of(scene, why->question.destination.addr);
	uint32_t addr = why->question.destination.addr;
	char text[PREFIX_SIZE];

	if (!net) {
		addr = why->question.source.addr;
		net = exempt_of(scene, addr);
	}
	why_say(why,
		"%s is in the exempt network %s: its packets keep their "
		"addresses both ways",
		WHY_ADDR(addr), prefix_text(net, text));
	why_remedy(why, "to have it translated, take %s out of \"exempt\"",
		   text);
}

static void say_local(struct why *why, const struct why_scene *scene)
{
	const uint32_t source = why->question.source.addr;

	if (source == nat_known_uplink(scene->nat))
		why_say(why,
			"%s is the router's own address: what it sends itself "
			"is not translated",
			WHY_ADDR(source));
	else
		why_say(why,
			"%s is reached by a device that is neither uplink nor "
			"inside: what comes from there is the router's own",
			WHY_ADDR(source));
}

static void say_none(struct why *why, const struct why_scene *scene)
{
	const uint32_t source = why->question.source.addr;
	const uint32_t destination = why->question.destination.addr;
	const struct nat_prefix *net = inside_of(scene, destination);
	char text[PREFIX_SIZE];

	if (source == destination) {
		why_say(why, "source and destination are the same address");
	} else if (is_group(destination)) {
		why_say(why,
			"%s is many hosts at once (multicast or broadcast): "
			"such packets are left as they are",
			WHY_ADDR(destination));
	} else if (net && inside_of(scene, source)) {
		why_say(why,
			"%s is in the inside network %s, as the source is "
			"inside: the packet never crosses the uplink",
			WHY_ADDR(destination), prefix_text(net, text));
	} else if (net) {
		why_say(why,
			"%s is in the inside network %s, which nobody outside "
			"can send to: there, inside hosts have the address %s",
			WHY_ADDR(destination), prefix_text(net, text),
			WHY_ADDR(nat_known_uplink(scene->nat)));
		why_remedy(why, "ask for a port of the uplink's address");
	} else {
		net = elsewhere_of(scene, destination);
		why_say(why,
			"%s is reached by the route to %s, through a device "
			"that is not the uplink",
			WHY_ADDR(destination),
			net ? prefix_text(net, text) : "it");
		why_remedy(why,
			   "\"ip route get %s\" on the router shows the device",
			   WHY_ADDR(destination));
	}
}

void why_say_way(struct why *why, const struct why_scene *scene)
{
	const struct why_socket *source = &why->question.source;
	const struct nat_prefix *net = inside_of(scene, source->addr);
	char text[PREFIX_SIZE];

	switch (why->way) {
	case WHY_EXEMPT:
		say_exempt(why, scene);
		break;
	case WHY_LOCAL:
		say_local(why, scene);
		break;
	case WHY_NONE:
		say_none(why, scene);
		break;
	case WHY_INBOUND:
		why_say(why, "from outside to the uplink's address %s",
			WHY_ADDR(why->question.destination.addr));
		break;
	case WHY_HAIRPIN:
		why_say(why,
			"from the inside network %s to the uplink's own "
			"address, so it turns back inside (hairpin)",
			prefix_text(net, text));
		break;
	case WHY_OUTBOUND:
		if (net)
			why_say(why,
				"from the inside network %s out by the uplink "
				"%s",
				prefix_text(net, text),
				scene->network->uplink.name);
		else
			why_say(why, "by an inside device out by the uplink %s",
				scene->network->uplink.name);
		if (scene->network->policy_routing)
			why_say(why, "the router has rules of policy routing, "
				     "which may send it another way");
		break;
	case WHY_WAYS:
		break;
	}
}

/* --- martians ------------------------------------------------------------ */

static bool say_martian(struct why *why, const struct why_scene *scene,
			uint32_t addr)
{
	const struct nat_config *config = scene->config;
	const struct nat_prefix *net =
		find(martians, sizeof(martians) / sizeof(martians[0]), addr);
	char text[PREFIX_SIZE];

	if (net) {
		why_say(why, "%s is of %s, which crosses no gateway",
			WHY_ADDR(addr), prefix_text(net, text));
		return true;
	}
	net = find(config->martians, config->martian_count, addr);
	if (!net)
		return false;
	why_say(why, "%s is of %s, which behaviour.martians_extra refuses",
		WHY_ADDR(addr), prefix_text(net, text));
	why_remedy(why, "take %s out of behaviour.martians_extra", text);
	return true;
}

static void networks_text(const struct nat_config *config,
			  char text[static NETWORKS_SIZE])
{
	size_t used = 0;
	char prefix[PREFIX_SIZE];

	text[0] = '\0';
	for (size_t i = 0; i < config->inside_count; i++) {
		if (used + 2 * PREFIX_SIZE > NETWORKS_SIZE) {
			snprintf(text + used, NETWORKS_SIZE - used, ", ...");
			return;
		}
		used += (size_t)snprintf(
			text + used, NETWORKS_SIZE - used, "%s%s",
			i ? ", " : "", prefix_text(&config->inside[i], prefix));
	}
}

/* RFC 2827: inside hosts speak with inside addresses. */
static bool is_foreign(struct why *why, const struct why_scene *scene)
{
	const uint32_t addr = why->question.source.addr;
	const struct nat_prefix *net = inside_of(scene, addr);
	char nets[NETWORKS_SIZE], text[PREFIX_SIZE];

	if (!scene->config->inside_count)
		return false;
	if (!net) {
		networks_text(scene->config, nets);
		why_say(why,
			"%s is in no inside network, so an inside device may "
			"not send it; the inside networks are %s",
			WHY_ADDR(addr), nets);
		why_remedy(
			why,
			"give the host an address of an inside network, or "
			"the router a route to its network through an inside "
			"device");
		return true;
	}
	/* RFC 3021: two hosts on a link need no broadcast. */
	if (net->length >= 31 || addr != (net->addr | ~0U >> net->length))
		return false;
	why_say(why, "%s is the broadcast address of %s, and no host's",
		WHY_ADDR(addr), prefix_text(net, text));
	return true;
}

bool why_is_martian(struct why *why, const struct why_scene *scene)
{
	if (say_martian(why, scene, why->question.source.addr) ||
	    say_martian(why, scene, why->question.destination.addr))
		return true;
	return why->way != WHY_INBOUND && is_foreign(why, scene);
}
