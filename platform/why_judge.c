/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The judgement of `portico why`: the order of nat/translate.c and
 * nat/session.c, by what can be seen of the engine from outside. What is sent to
 * the uplink's address is why_inbound.c's.
 */
#include "protos.h"
#include "why_private.h"

bool why_translates(const struct why_scene *scene, uint8_t proto)
{
	return (nat_pool_of(proto) >= 0 || why_is_tagged(proto)) &&
	       !scene->config->untranslated[proto];
}

void why_leave(struct why *why, enum why_way way)
{
	why->way = way;
	why->verdict = WHY_UNTOUCHED;
}

const struct nat_forward *why_forward(const struct why_scene *scene,
				      const struct nat_mapping_view *mapping)
{
	for (size_t i = 0; i < scene->config->forward_count; i++) {
		const struct nat_forward *forward = &scene->config->forwards[i];

		if (forward->proto == mapping->proto &&
		    mapping->outside_port >= forward->outside_first &&
		    mapping->outside_port <= forward->outside_last)
			return forward;
	}
	return NULL;
}

/* The answer's mapping, with its name, which the walk has left out. */
void why_show_mapping(struct why *why, const struct why_scene *scene,
		      struct nat_mapping_view *mapping)
{
	const struct nat_forward *forward = why_forward(scene, mapping);

	if (mapping->kind == NAT_KIND_FORWARD && forward)
		mapping->name = forward->name;
	why->mapping = mapping;
}

void why_show_session(struct why *why)
{
	const struct nat_session_view *session = &why->found.session;

	if (!why->found.has_session)
		return;
	why->session = session;
	why_say(why,
		"a session exists: %s, idle for %llu s, it ends in %llu s if "
		"nothing more is sent",
		nat_state_name(session->state),
		(unsigned long long)(session->idle_ms / 1000),
		(unsigned long long)((session->expires_ms + 999) / 1000));
}

/* Only the first packet of a connection makes state. */
void why_say_first(struct why *why, bool passes)
{
	const char *first = why->question.proto == NAT_PROTO_TCP  ? "SYN" :
			    why->question.proto == NAT_PROTO_DCCP ? "Request" :
			    why->question.proto == NAT_PROTO_SCTP ? "INIT" :
								    NULL;

	if (first)
		why_say(why,
			"judged as the first packet of a connection (%s); "
			"another one %s",
			first,
			passes ? "passes as well, and makes no session" :
				 "would be dropped as no_session");
}

/* --- from inside --------------------------------------------------------- */

/* Of several mappings of one inside socket that of the session, else the one
 * that was there first. */
struct nat_mapping_view *why_own(struct why_found *found)
{
	struct nat_mapping_view *best = NULL;

	for (size_t i = 0; i < found->own_count; i++) {
		struct nat_mapping_view *own = &found->own[i];

		if (found->has_session &&
		    own->outside_port == found->session.outside_port)
			return own;
		if (!best || own->age_ms > best->age_ms)
			best = own;
	}
	return best;
}

bool why_keeps_port(const struct why *why, const struct why_scene *scene)
{
	const int pool = nat_pool_of(why->question.proto);
	const uint16_t port = why->question.source.port;

	if (pool < 0 || !port || why->found.wanted_used ||
	    !nat_portset_has(&scene->config->pool[pool], port))
		return false;
	if (port >= 1024 && nat_portset_has(&scene->config->low_only, port))
		return false;
	return pool == NAT_POOL_ICMP ||
	       !nat_portset_has(&scene->bound[pool], port);
}

static void say_new_port(struct why *why, const struct why_scene *scene)
{
	const int pool = nat_pool_of(why->question.proto);
	const uint16_t port = why->question.source.port;

	if (pool < 0)
		why_say(why, "a new mapping: it leaves from %s",
			WHY_ADDR(nat_uplink(scene->nat)));
	else if (why->question.proto == NAT_PROTO_ICMP &&
		 !why->question.source.has_port)
		why_say(why,
			"a new mapping, if the query id is new: it leaves "
			"from %s",
			WHY_ADDR(nat_uplink(scene->nat)));
	else if (why_keeps_port(why, scene))
		why_say(why,
			"a new mapping: it leaves as %s, with the same %s, "
			"unless that rests after other use",
			WHY_SOCKET(nat_uplink(scene->nat), port),
			pool == NAT_POOL_ICMP ? "query id" : "port");
	else
		why_say(why,
			"a new mapping: it leaves from %s by another %s, as "
			"%u is not free outside",
			WHY_ADDR(nat_uplink(scene->nat)),
			pool == NAT_POOL_ICMP ? "query id" : "port",
			(unsigned)port);
}

/* May the source send to the destination? */
enum nat_drop why_open(struct why *why, const struct why_scene *scene,
		       struct nat_mapping_view *own)
{
	enum nat_drop drop;

	why_show_session(why);
	if (own)
		why_say(why,
			"the inside socket has a mapping, whose outside socket "
			"it keeps for every peer: it leaves as %s",
			WHY_SOCKET(nat_uplink(scene->nat), own->outside_port));
	if (why->found.has_session)
		return NAT_DROP_NONE;
	why_say_first(why, own);
	drop = own ? why_room_session(why, scene, own) :
		     why_room_mapping(why, scene);
	why->opens = !drop;
	if (drop && own && why_goes_without(why, scene, own))
		drop = NAT_DROP_NONE;
	if (!drop && !own)
		say_new_port(why, scene);
	return drop;
}

static void judge_tagged_outbound(struct why *why,
				  const struct why_scene *scene)
{
	struct nat_mapping_view *own = why_own(&why->found);
	enum nat_drop drop;

	if (own)
		why_show_mapping(why, scene, own);
	why_show_session(why);
	if (why->found.has_session) {
		why_say(why, "which of its sessions a packet is of, its tag "
			     "tells (verification tag, key or SPI)");
		return;
	}
	why_say_first(why, false);
	if (why->found.others && why->question.proto == NAT_PROTO_SCTP) {
		why_say(why, "another host has an association with the same "
			     "peer and ports");
		why_remedy(why, "use another source port");
		why_refuse(why, scene, NAT_DROP_NO_PORT);
		return;
	}
	if (why->found.others)
		why_say(why, "another host speaks to the same peer: without a "
			     "key or SPI that tells them apart it would be "
			     "dropped as no_port");
	drop = why_room_tagged(why, scene);
	if (!drop)
		drop = own ? why_room_session(why, scene, own) :
			     why_room_mapping(why, scene);
	if (drop)
		why_refuse(why, scene, drop);
	else
		say_new_port(why, scene);
}

void why_no_uplink(struct why *why, const struct why_scene *scene, bool drops)
{
	const char *name = scene->network->uplink.name;

	why_say(why, "the uplink %s has no address now", name);
	why_remedy(why,
		   "give %s an address: \"ip addr show dev %s\", \"portico "
		   "doctor\"",
		   name, name);
	if (drops)
		why_refuse(why, scene, NAT_DROP_NO_UPLINK);
	else
		why_leave(why, WHY_LOCAL);
}

static void refuse_unsupported(struct why *why, const struct why_scene *scene)
{
	const uint8_t proto = why->question.proto;
	char name[4];

	why_say(why, "the protocol %s %s", protos_name(proto, name),
		scene->config->untranslated[proto] ?
			"is left out by behaviour.protocols" :
			"has nothing by which answers could be told apart");
	if (scene->config->untranslated[proto])
		why_remedy(why, "name it in behaviour.protocols");
	else
		why_remedy(why, "carry it in UDP, or put the peer's network "
				"into \"exempt\" where that can answer inside "
				"addresses");
	why_refuse(why, scene, NAT_DROP_UNSUPPORTED);
}

static void judge_outbound(struct why *why, const struct why_scene *scene)
{
	struct nat_mapping_view *own = why_own(&why->found);
	enum nat_drop drop;

	/* Whether the destination is not the uplink's cannot be told. */
	if (!nat_known_uplink(scene->nat)) {
		why_no_uplink(why, scene, true);
		return;
	}
	if (why_is_martian(why, scene)) {
		why_refuse(why, scene, NAT_DROP_MARTIAN);
		return;
	}
	if (!nat_uplink(scene->nat)) {
		why_no_uplink(why, scene, true);
		return;
	}
	if (!why_translates(scene, why->question.proto)) {
		refuse_unsupported(why, scene);
		return;
	}
	if (why_is_tagged(why->question.proto)) {
		judge_tagged_outbound(why, scene);
		return;
	}
	if (own)
		why_show_mapping(why, scene, own);
	drop = why_open(why, scene, own);
	if (drop)
		why_refuse(why, scene, drop);
}

void why_judge(struct why *why, const struct why_scene *scene)
{
	/* The uplink may have moved while the tables were walked. */
	why->way = why_way(why, scene);
	why->verdict = WHY_TRANSLATED;
	why_say_way(why, scene);
	switch (why->way) {
	case WHY_OUTBOUND:
		judge_outbound(why, scene);
		break;
	case WHY_INBOUND:
		why_inbound(why, scene);
		break;
	case WHY_HAIRPIN:
		why_hairpin(why, scene);
		break;
	case WHY_EXEMPT:
	case WHY_LOCAL:
	case WHY_NONE:
	case WHY_WAYS:
		why_leave(why, why->way);
		break;
	}
}
