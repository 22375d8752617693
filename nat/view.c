/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Looking at the tables from outside. A cursor is the last slot shown; slots
 * do not move, so what lives through a walk is shown once.
 */
#include "internal.h"

static uint64_t since(uint64_t then_ms, uint64_t now_ms)
{
	return now_ms > then_ms ? now_ms - then_ms : 0;
}

/* A mapping lives as long as the longest-lived of its sessions. */
static uint64_t mapping_left(const struct nat *nat, uint32_t slot,
			     uint64_t now_ms)
{
	uint64_t left = 0;
	uint32_t at;

	if (nat->mappings[slot].kind == NAT_KIND_FORWARD)
		return NAT_NEVER;
	for (at = nat->mappings[slot].first; at; at = nat_sibling(nat, at)) {
		uint64_t session =
			nat_session_left(nat, &nat->sessions[at], now_ms);

		if (session > left)
			left = session;
	}
	return left;
}

/* Nobody is reached by an address that the uplink has lost. */
static uint32_t shown_outside(const struct nat *nat)
{
	return nat->uplink ? nat->header->uplink : 0;
}

/* What is kept in whole seconds is shown as if it had been at their start. */
static uint64_t since_s(uint32_t then_s, uint64_t now_ms)
{
	uint32_t now_s = nat_seconds(now_ms);

	return now_s < then_s ?
		       0 :
		       (uint64_t)(now_s - then_s) * 1000 + now_ms % 1000;
}

/* A session that was idle until it retired is dated from its retirement. */
static uint64_t session_idle(const struct nat *nat, const struct nat_session *s,
			     uint64_t now_ms)
{
	uint64_t idle = since(s->used_ms, now_ms);

	if (s->flags & NAT_SESSION_RETIRED)
		idle += nat_timer_ms(nat, NAT_TIMER_TCP_ESTABLISHED);
	return idle;
}

/* As long as that session which was used last; one that was cut is dated from
 * then. */
static uint64_t mapping_idle(const struct nat *nat, const struct nat_mapping *m,
			     uint64_t now_ms)
{
	uint64_t idle = since_s(m->used_s, now_ms);

	for (uint32_t at = m->first; at; at = nat_sibling(nat, at)) {
		const struct nat_session *s = &nat->sessions[at];

		if (!nat_is_cut(s) && session_idle(nat, s, now_ms) < idle)
			idle = session_idle(nat, s, now_ms);
	}
	return idle;
}

bool nat_next_mapping(const struct nat *nat, uint32_t *cursor, uint64_t now_ms,
		      struct nat_mapping_view *view)
{
	const struct nat_mapping *m;

	do {
		if (!nat->config || *cursor >= nat->mapping_slots.top)
			return false;
		m = &nat->mappings[++*cursor];
	} while (!m->live);
	*view = (struct nat_mapping_view){
		.proto = m->inside.proto,
		.kind = (enum nat_kind)m->kind,
		.inside_addr = m->inside.addr,
		.inside_port = m->inside.port,
		.outside_addr = shown_outside(nat),
		.outside_port = m->port,
		.sessions = m->sessions,
		.age_ms = since_s(m->created_s, now_ms),
		.idle_ms = mapping_idle(nat, m, now_ms),
		.expires_ms = mapping_left(nat, *cursor, now_ms),
		.counters = m->counters,
		.name = m->kind == NAT_KIND_FORWARD ?
				nat->config->forwards[m->forward].name :
				NULL,
	};
	return true;
}

/* An idle established session is in TRANS before the sweep comes by. */
static enum nat_state shown_state(const struct nat *nat,
				  const struct nat_session *s, uint64_t now_ms)
{
	if (s->timer == NAT_TIMER_TCP_ESTABLISHED &&
	    s->used_ms + nat_timer_ms(nat, NAT_TIMER_TCP_ESTABLISHED) <= now_ms)
		return NAT_STATE_TRANS;
	return (enum nat_state)s->state;
}

bool nat_next_session(const struct nat *nat, uint32_t *cursor, uint64_t now_ms,
		      struct nat_session_view *view)
{
	const struct nat_session *s;
	const struct nat_mapping *m;

	do {
		if (!nat->config || *cursor >= nat->session_slots.top)
			return false;
		s = &nat->sessions[++*cursor];
	} while (!s->live);
	m = &nat->mappings[s->key.mapping];
	*view = (struct nat_session_view){
		.proto = m->inside.proto,
		.inside_addr = m->inside.addr,
		.inside_port = m->inside.port,
		.outside_addr = shown_outside(nat),
		.outside_port = m->port,
		.peer_addr = s->key.peer_addr,
		.peer_port = s->key.peer_port,
		.mapping = s->key.mapping,
		.state = shown_state(nat, s, now_ms),
		.age_ms = since_s(s->created_s, now_ms),
		.idle_ms = session_idle(nat, s, now_ms),
		.expires_ms = nat_session_left(nat, s, now_ms),
		.counters = s->counters,
		.carried = s->flags & NAT_SESSION_CARRIED,
	};
	return true;
}

bool nat_next_host(const struct nat *nat, uint32_t *cursor,
		   struct nat_host_view *view)
{
	const struct nat_host *h;

	do {
		if (*cursor >= nat->host_slots.top)
			return false;
		h = &nat->hosts[++*cursor];
	} while (!h->live);
	*view = (struct nat_host_view){
		.addr = h->addr,
		.mappings = h->mappings,
		.sessions = h->sessions,
		.refused = h->refused,
		.counters = h->counters,
	};
	return true;
}

void nat_stats(const struct nat *nat, struct nat_stats *stats)
{
	*stats = nat->stats;
	stats->mappings = nat->mapping_live.count;
	stats->mappings_limit = nat->limits.mappings;
	stats->sessions = nat->by_session.count;
	stats->sessions_limit = nat->limits.sessions;
	stats->hosts = nat->hosts_live;
	stats->hosts_limit = nat->limits.hosts;
	stats->carried = nat->carried;
	stats->tagged = nat_index_count(&nat->by_peer);
	stats->tagged_limit = nat->limits.tagged;
	for (int pool = 0; pool < NAT_POOLS; pool++)
		stats->ports[pool] = (struct nat_pool_stats){
			.used = nat->used[pool],
			.held = nat->held_ports[pool],
			.total = nat->ports[pool].free + nat->used[pool] +
				 nat->held_ports[pool],
		};
}
