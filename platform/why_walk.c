/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The walk of `portico why` through mappings, sessions and hosts: what of them
 * bears on the question is kept or counted.
 */
#include "why_private.h"

uint32_t why_session_share(const struct why_scene *scene)
{
	uint64_t each = scene->config->host_guaranteed;
	uint64_t share = each;

	if (scene->stats.mappings_limit)
		share = each * scene->stats.sessions_limit /
			scene->stats.mappings_limit;
	if (share < each)
		share = each;
	return share < scene->stats.sessions_limit ?
		       (uint32_t)share :
		       scene->stats.sessions_limit;
}

/* --- mappings ------------------------------------------------------------ */

static bool is_source(const struct why *why, uint32_t addr, uint16_t port)
{
	const struct why_socket *source = &why->question.source;

	return addr == source->addr && port == source->port &&
	       (source->has_port || why->question.proto != NAT_PROTO_ICMP);
}

static void note_mapping(struct why *why, const struct why_scene *scene,
			 struct nat_mapping_view *view)
{
	const struct why_question *question = &why->question;
	struct why_found *found = &why->found;
	const int pool = nat_pool_of(question->proto);
	const bool same_pool = pool >= 0 && nat_pool_of(view->proto) == pool;
	const bool dynamic = view->kind == NAT_KIND_DYNAMIC;

	view->name = NULL;
	if (view->inside_addr == question->source.addr) {
		found->forwards += !dynamic;
		found->ports += dynamic && same_pool;
	}
	if (same_pool) {
		found->wanted_used |= view->outside_port ==
				      question->source.port;
		found->low_used += nat_portset_has(&scene->config->low_only,
						   view->outside_port);
	}
	if (view->proto != question->proto)
		return;
	if (is_source(why, view->inside_addr, view->inside_port) &&
	    found->own_count < WHY_OWN_MAX)
		found->own[found->own_count++] = *view;
	if (same_pool && question->destination.has_port &&
	    view->outside_port == question->destination.port) {
		found->has_target = true;
		found->target = *view;
	}
}

/* --- sessions ------------------------------------------------------------ */

/* Is it the source's, with the destination? */
static bool is_own(const struct why *why, const struct nat_session_view *view)
{
	const struct why_question *question = &why->question;

	return is_source(why, view->inside_addr, view->inside_port) &&
	       view->peer_addr == question->destination.addr &&
	       view->peer_port == why_peer_port(question->proto,
						question->destination.port);
}

static void keep_session(struct why_found *found,
			 const struct nat_session_view *view)
{
	/* Of several with other tags the newest. */
	if (found->has_session && found->session.age_ms < view->age_ms)
		return;
	found->has_session = true;
	found->session = *view;
}

/* The target's sessions with the peer that the packet would be from. */
static void note_target(struct why *why, const struct why_scene *scene,
			const struct nat_session_view *view)
{
	const struct why_question *question = &why->question;
	struct why_found *found = &why->found;
	uint32_t peer = why->way == WHY_HAIRPIN ? nat_uplink(scene->nat) :
						  question->source.addr;

	if (!found->has_target || view->peer_addr != peer ||
	    view->outside_port != question->destination.port)
		return;
	found->contacted |= view->counters.out_packets > 0;
	found->wanted_session |= view->peer_port == question->source.port;
	for (size_t i = 0; why->way == WHY_HAIRPIN && i < found->own_count; i++)
		found->target_session |= view->peer_port ==
					 found->own[i].outside_port;
	if (why->way == WHY_INBOUND &&
	    view->peer_port ==
		    why_peer_port(question->proto, question->source.port))
		keep_session(found, view);
}

static void note_tagged(struct why *why, const struct nat_session_view *view)
{
	const struct why_question *question = &why->question;
	struct why_found *found = &why->found;

	found->tagged += view->inside_addr == question->source.addr;
	if (view->proto != question->proto)
		return;
	if (why->way == WHY_INBOUND &&
	    view->peer_addr == question->source.addr &&
	    view->peer_port == question->source.port &&
	    view->outside_port == question->destination.port)
		keep_session(found, view);
	if (view->peer_addr != question->destination.addr ||
	    view->peer_port != question->destination.port ||
	    view->outside_port != question->source.port)
		return;
	found->peer_tagged++;
	found->others |= view->inside_addr != question->source.addr;
}

static void note_session(struct why *why, const struct why_scene *scene,
			 const struct nat_session_view *view)
{
	if (!view->expires_ms) /* it ends as soon as it is looked for */
		return;
	if (why_is_tagged(view->proto))
		note_tagged(why, view);
	if (view->proto != why->question.proto)
		return;
	if (is_own(why, view))
		keep_session(&why->found, view);
	if (nat_pool_of(view->proto) >= 0)
		note_target(why, scene, view);
}

/* --- hosts --------------------------------------------------------------- */

static uint32_t least(uint32_t one, uint32_t other)
{
	return one < other ? one : other;
}

static void note_host(struct why *why, const struct why_scene *scene,
		      const struct nat_host_view *view)
{
	struct why_found *found = &why->found;

	found->idle_hosts += !view->mappings;
	found->shares_mappings +=
		least(view->mappings, scene->config->host_guaranteed);
	found->shares_sessions +=
		least(view->sessions, why_session_share(scene));
	if (view->addr == why->question.source.addr) {
		found->has_host = true;
		found->host = *view;
	}
	if (found->has_target && view->addr == found->target.inside_addr) {
		found->has_target_host = true;
		found->target_host = *view;
	}
}

/* --- the walk ------------------------------------------------------------ */

static void next_phase(struct why *why)
{
	why->phase++;
	why->cursor = 0;
}

void why_step(struct why *why, const struct why_scene *scene)
{
	struct nat_mapping_view mapping;
	struct nat_session_view session;
	struct nat_host_view host;

	switch (why->phase) {
	case WHY_BEGIN:
		why->way = why_way(why, scene);
		next_phase(why);
		break;
	case WHY_MAPPINGS:
		if (nat_next_mapping(scene->nat, &why->cursor, scene->now_ms,
				     &mapping))
			note_mapping(why, scene, &mapping);
		else
			next_phase(why);
		break;
	case WHY_SESSIONS:
		if (nat_next_session(scene->nat, &why->cursor, scene->now_ms,
				     &session))
			note_session(why, scene, &session);
		else
			next_phase(why);
		break;
	case WHY_HOSTS:
		if (nat_next_host(scene->nat, &why->cursor, &host))
			note_host(why, scene, &host);
		else
			next_phase(why);
		break;
	case WHY_JUDGE:
		break;
	}
}
