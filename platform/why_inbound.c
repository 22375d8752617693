/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `portico why` for what is sent to the uplink's address, from outside or (a
 * hairpin) from inside: whose port it is, and whom the filter lets in.
 */
#include "protos.h"
#include "why_private.h"

/* Nothing of ours is there: the router's own, or silence. */
static void not_mapped(struct why *why, const struct why_scene *scene)
{
	const int pool = nat_pool_of(why->question.proto);
	const uint16_t port = why->question.destination.port;
	char name[4];

	if (pool == NAT_POOL_ICMP) {
		why_say(why,
			"no inside host waits for such a reply: it is left "
			"to the router itself");
		why_leave(why, WHY_LOCAL);
		return;
	}
	why_remedy(why, "add a forward of %s port %u to an inside host",
		   protos_name(why->question.proto, name), (unsigned)port);
	if (nat_portset_has(&scene->bound[pool], port)) {
		why_say(why, "the router itself uses port %u", (unsigned)port);
		why_leave(why, WHY_LOCAL);
	} else if (!port ||
		   !nat_portset_has(&scene->config->pool[pool], port)) {
		why_say(why,
			"port %u is neither of the pool nor a forward's: it is "
			"left to the router itself",
			(unsigned)port);
		why_leave(why, WHY_LOCAL);
	} else {
		why_remedy(why,
			   "have the inside host send first, or add a forward "
			   "of %s port %u",
			   protos_name(why->question.proto, name),
			   (unsigned)port);
		why_refuse(why, scene, NAT_DROP_NO_MAPPING);
	}
}

static bool allows(const struct nat_forward *forward, uint32_t addr)
{
	for (size_t i = 0; i < forward->from_count; i++)
		if (nat_prefix_has(&forward->from[i], addr))
			return true;
	return !forward->from_count;
}

/* also: the sender's inside address of a hairpin, else 0. */
static enum nat_drop filter_forward(struct why *why,
				    const struct why_scene *scene,
				    const struct nat_mapping_view *target,
				    uint32_t peer, uint32_t also)
{
	const struct nat_forward *forward = why_forward(scene, target);

	if (!forward || allows(forward, peer) ||
	    (also && allows(forward, also))) {
		why_say(why, "the forward%s%s admits the peer",
			forward ? " " : "", forward ? forward->name : "");
		return NAT_DROP_NONE;
	}
	if (why->found.contacted) {
		why_say(why,
			"the forward %s admits the peer, as the inside socket "
			"has sent to %s",
			forward->name, WHY_ADDR(peer));
		return NAT_DROP_NONE;
	}
	why_say(why, "\"from\" of the forward %s does not admit %s",
		forward->name, WHY_ADDR(also ? also : peer));
	why_remedy(why, "add %s to \"from\" of the forward %s",
		   WHY_ADDR(also ? also : peer), forward->name);
	return NAT_DROP_FORWARD_PEER;
}

static const char *const filter_names[NAT_FILTERS] = {
	[NAT_FILTER_ENDPOINT_INDEPENDENT] = "endpoint-independent",
	[NAT_FILTER_ADDRESS_DEPENDENT] = "address-dependent",
	[NAT_FILTER_ADDRESS_AND_PORT_DEPENDENT] = "address-and-port-dependent",
};

static enum nat_drop filter(struct why *why, const struct why_scene *scene,
			    const struct nat_mapping_view *target,
			    uint32_t peer, uint32_t also)
{
	const enum nat_pool pool = (enum nat_pool)nat_pool_of(target->proto);
	const enum nat_filter mode = scene->config->filtering[pool];

	if (target->kind == NAT_KIND_FORWARD)
		return filter_forward(why, scene, target, peer, also);
	why_say(why, "filtering.%s is %s", nat_pool_name(pool),
		filter_names[mode]);
	if (mode == NAT_FILTER_ENDPOINT_INDEPENDENT) {
		why_say(why, "so every peer may send to the mapping");
		return NAT_DROP_NONE;
	}
	why_say(why, "the inside socket has%s sent to %s",
		why->found.contacted ? "" : " not", WHY_ADDR(peer));
	if (why->found.contacted && mode == NAT_FILTER_ADDRESS_DEPENDENT)
		return NAT_DROP_NONE;
	why_remedy(why,
		   "have the inside host send to that peer first, add a "
		   "forward, or set filtering.%s to \"%s\"",
		   nat_pool_name(pool),
		   filter_names[why->found.contacted ?
					NAT_FILTER_ADDRESS_DEPENDENT :
					NAT_FILTER_ENDPOINT_INDEPENDENT]);
	return why->found.contacted ? NAT_DROP_FILTERED_PORT :
				      NAT_DROP_FILTERED_ADDRESS;
}

/* Would the target take what comes from this peer? */
static enum nat_drop admit(struct why *why, const struct why_scene *scene,
			   const struct nat_mapping_view *target, uint32_t peer,
			   uint32_t also)
{
	const uint8_t proto = why->question.proto;
	enum nat_drop drop = filter(why, scene, target, peer, also);

	if (drop || (proto != NAT_PROTO_TCP && proto != NAT_PROTO_DCCP))
		return drop;
	if (!also)
		why_say_first(why, true);
	drop = why_room_outsider(why, scene, target);
	return drop && why_goes_without(why, scene, target) ? NAT_DROP_NONE :
							      drop;
}

static void say_target(struct why *why, const struct why_scene *scene)
{
	struct nat_mapping_view *target = &why->found.target;

	why_show_mapping(why, scene, target);
	why_say(why, "%s is the outside socket of %s%s%s%s",
		WHY_SOCKET(nat_known_uplink(scene->nat), target->outside_port),
		WHY_SOCKET(target->inside_addr, target->inside_port),
		target->name ? " (forward " : "",
		target->name ? target->name : "", target->name ? ")" : "");
}

/* While the uplink has no address: what is a mapping's, or may be, is kept from
 * the router's own ears. */
static void not_now(struct why *why, const struct why_scene *scene)
{
	const struct why_found *found = &why->found;
	const uint8_t proto = why->question.proto;
	const uint16_t port = why->question.destination.port;
	const int pool = nat_pool_of(proto);
	bool ours = found->has_target;

	if (proto == NAT_PROTO_ICMP)
		ours &= why->way == WHY_INBOUND;
	else if (pool < 0)
		ours = why->way == WHY_INBOUND && found->has_session;
	else
		ours |= port &&
			nat_portset_has(&scene->config->pool[pool], port) &&
			!nat_portset_has(&scene->bound[pool], port);
	why_no_uplink(why, scene, ours && why_translates(scene, proto));
}

/* Whatever it wants: no uplink, or an address that is refused. */
static bool is_out(struct why *why, const struct why_scene *scene)
{
	if (!nat_uplink(scene->nat))
		not_now(why, scene);
	else if (why_is_martian(why, scene))
		why_refuse(why, scene, NAT_DROP_MARTIAN);
	else
		return false;
	return true;
}

void why_inbound(struct why *why, const struct why_scene *scene)
{
	const struct nat_mapping_view *target = &why->found.target;
	const uint8_t proto = why->question.proto;
	enum nat_drop drop = NAT_DROP_NONE;

	if (is_out(why, scene))
		return;
	if (!why_translates(scene, proto) ||
	    (why_is_tagged(proto) && !why->found.has_session) ||
	    (proto == NAT_PROTO_ICMP && !why->question.destination.has_port)) {
		why_say(why,
			proto == NAT_PROTO_ICMP ?
				"judged as a query, which the router "
				"itself answers; a reply has a query id" :
				"no inside host speaks so to that peer: it "
				"is left to the router itself");
		why_leave(why, WHY_LOCAL);
		return;
	}
	if (why_is_tagged(proto)) {
		why_show_session(why);
		why_say(why, "it goes to %s, if its tag is known there",
			WHY_ADDR(why->found.session.inside_addr));
		return;
	}
	if (!why->found.has_target) {
		not_mapped(why, scene);
		return;
	}
	say_target(why, scene);
	why_show_session(why);
	if (!why->found.has_session)
		drop = admit(why, scene, target, why->question.source.addr, 0);
	/* The router may have asked with the same id. */
	if (drop && proto == NAT_PROTO_ICMP)
		why_leave(why, WHY_LOCAL);
	else if (drop)
		why_refuse(why, scene, drop);
	else
		why_say(why, "it goes to %s",
			WHY_SOCKET(target->inside_addr, target->inside_port));
}

void why_hairpin(struct why *why, const struct why_scene *scene)
{
	struct nat_mapping_view *target = &why->found.target;
	struct nat_mapping_view *own = why_own(&why->found);
	const uint8_t proto = why->question.proto;
	enum nat_drop drop;

	if (is_out(why, scene))
		return;
	if (nat_pool_of(proto) < 0 || proto == NAT_PROTO_ICMP ||
	    !why_translates(scene, proto)) {
		why_say(why, "such packets are left to the router itself");
		why_leave(why, WHY_LOCAL);
		return;
	}
	if (why->found.has_target && !scene->config->hairpin) {
		say_target(why, scene);
		why_say(why, "behaviour.hairpin is off");
		not_mapped(why, scene);
		why_remedy(why, "set behaviour.hairpin to true");
		return;
	}
	if (!why->found.has_target) {
		not_mapped(why, scene);
		return;
	}
	say_target(why, scene);
	drop = why_open(why, scene, own);
	if (!own && why_keeps_port(why, scene))
		why->found.target_session |= why->found.wanted_session;
	/* Who speaks to itself has, by now, sent there. */
	if (own && own->outside_port == target->outside_port)
		why->found.target_session = why->opens ||
					    why->found.has_session;
	if (!drop && !why->found.target_session)
		drop = admit(why, scene, target, nat_uplink(scene->nat),
			     why->question.source.addr);
	if (drop)
		why_refuse(why, scene, drop);
	else
		why_say(why, "it goes to %s",
			WHY_SOCKET(target->inside_addr, target->inside_port));
}
