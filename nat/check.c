/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The invariants of the theory of operation (nat.c), proved one by one over
 * the whole tables. Slow and without side effects.
 */
#include "internal.h"

static bool in_alias_chain(const struct nat *nat, uint32_t slot)
{
	uint32_t at = nat_find_inside(nat, nat->mappings[slot].inside);

	for (uint32_t steps = 0; at && steps <= nat->limits.mappings; steps++) {
		if (at == slot)
			return true;
		at = nat->mappings[at].alias;
	}
	return false;
}

static uint32_t count_siblings(const struct nat *nat, uint32_t slot)
{
	uint32_t count = 0;

	for (uint32_t at = nat->mappings[slot].first;
	     at && count <= nat->limits.sessions; at = nat_sibling(nat, at)) {
		if (nat->sessions[at].key.mapping != slot ||
		    !nat->sessions[at].live)
			return UINT32_MAX;
		count++;
	}
	return count;
}

static const char *check_mapping(const struct nat *nat, uint32_t slot)
{
	const struct nat_mapping *m = &nat->mappings[slot];
	int pool = nat_pool_of(m->inside.proto);

	if (pool >= 0 && nat_find_outside(nat, nat_socket(m->inside.proto,
							  nat->header->uplink,
							  m->port)) != slot)
		return "a mapping is not found by its outside socket";
	if (!in_alias_chain(nat, slot))
		return "a mapping is not found by its inside socket";
	if (pool < 0 && !nat_is_tagged(m->inside.proto))
		return "a mapping is of no protocol that can be translated";
	if (pool >= 0 && !nat_ports_taken(&nat->ports[pool], m->port))
		return "a mapping's port is not taken";
	if (count_siblings(nat, slot) != m->sessions)
		return "a mapping's sessions are miscounted";
	if (m->kind == NAT_KIND_DYNAMIC && !m->sessions)
		return "a dynamic mapping has no session";
	if (!nat->hosts[m->host].live ||
	    nat->hosts[m->host].addr != m->inside.addr)
		return "a mapping belongs to another host";
	return NULL;
}

static const char *check_mappings(const struct nat *nat)
{
	uint32_t live = 0, pooled = 0, used[NAT_POOLS] = { 0 };

	for (uint32_t slot = 1; slot <= nat->mapping_slots.top; slot++) {
		const struct nat_mapping *m = &nat->mappings[slot];
		const char *broken = m->live ? check_mapping(nat, slot) : NULL;

		if (broken)
			return broken;
		live += m->live;
		if (!m->live || nat_is_tagged(m->inside.proto))
			continue;
		pooled++;
		if (m->kind == NAT_KIND_DYNAMIC)
			used[nat_pool_of(m->inside.proto)]++;
	}
	if (live != nat->mapping_live.count ||
	    pooled != nat->by_outside.count ||
	    live + nat->mapping_slots.free.count != nat->mapping_slots.top)
		return "live and free mappings do not add up";
	for (int pool = 0; pool < NAT_POOLS; pool++)
		if (used[pool] != nat->used[pool])
			return "used ports are miscounted";
	return NULL;
}

static const char *check_sessions(const struct nat *nat)
{
	uint32_t live = 0, listed = 0, carried = 0;

	for (uint32_t slot = 1; slot <= nat->session_slots.top; slot++) {
		const struct nat_session *s = &nat->sessions[slot];

		live += s->live;
		carried += s->live && s->flags & NAT_SESSION_CARRIED;
		if (s->live && (s->key.mapping == 0 ||
				s->key.mapping > nat->limits.mappings ||
				!nat->mappings[s->key.mapping].live))
			return "a session has no live mapping";
		if (s->live && nat_find_key(nat, &s->key) != slot)
			return "a session is not found by its key";
		if (s->live && s->flags & NAT_SESSION_CARRIED &&
		    (s->state != NAT_STATE_ESTABLISHED ||
		     (s->timer != NAT_TIMER_TCP_ESTABLISHED &&
		      s->timer != NAT_TIMER_UDP) ||
		     s->key.peer_addr == nat->uplink))
			return "a session is carried that must not be";
	}
	if (carried != nat->carried)
		return "the sessions that are carried are miscounted";
	for (int timer = 0; timer < NAT_LISTS; timer++)
		listed += nat->timers[timer].count;
	if (live != listed || live != nat->by_session.count ||
	    live + nat->session_slots.free.count != nat->session_slots.top)
		return "live and free sessions do not add up";
	return NULL;
}

static bool found_by_peer(const struct nat *nat, uint32_t slot)
{
	const struct nat_tagged *tagged = &nat->tagged[slot];
	uint32_t at = 0;

	while ((at = nat_next_tagged(nat, &tagged->key, at)))
		if (at == slot)
			return true;
	return false;
}

static const char *check_tagged(const struct nat *nat)
{
	uint32_t live = 0, sessions = 0, of_hosts = 0;

	for (uint32_t slot = 1; slot <= nat->host_slots.top; slot++)
		of_hosts += nat->hosts[slot].live ? nat->hosts[slot].tagged : 0;
	for (uint32_t slot = 1; slot <= nat->tagged_slots.top; slot++) {
		const struct nat_tagged *t = &nat->tagged[slot];

		live += t->live;
		if (t->live && (!nat->sessions[t->session].live ||
				nat->sessions[t->session].tagged != slot))
			return "a tag has no live session";
		if (t->live && !found_by_peer(nat, slot))
			return "a tagged session is not found by its peer";
	}
	for (uint32_t slot = 1; slot <= nat->session_slots.top; slot++) {
		const struct nat_session *s = &nat->sessions[slot];

		sessions += s->live &&
			    nat_is_tagged(
				    nat->mappings[s->key.mapping].inside.proto);
	}
	if (live != sessions || live != of_hosts ||
	    live != nat_index_count(&nat->by_peer) ||
	    live + nat->tagged_slots.free.count != nat->tagged_slots.top)
		return "tagged sessions do not add up";
	return NULL;
}

static const char *check_timers(const struct nat *nat)
{
	for (int timer = 0; timer < NAT_LISTS; timer++) {
		uint64_t last = 0;
		uint32_t count = 0;

		for (uint32_t at = nat->timers[timer].head; at;
		     at = nat->session_links[at].next) {
			if (nat->sessions[at].timer != timer)
				return "a session is in the list of another "
				       "timer";
			if (nat->sessions[at].used_ms < last)
				return "a timer list is out of order";
			last = nat->sessions[at].used_ms;
			if (++count > nat->timers[timer].count)
				return "a timer list is longer than its count";
		}
		if (count != nat->timers[timer].count)
			return "a timer list is shorter than its count";
	}
	return NULL;
}

static const char *check_hosts(const struct nat *nat)
{
	uint32_t live = 0, mappings = 0, sessions = 0;

	for (uint32_t slot = 1; slot <= nat->host_slots.top; slot++) {
		const struct nat_host *h = &nat->hosts[slot];

		if (!h->live)
			continue;
		live++;
		mappings += h->mappings;
		sessions += h->sessions;
		if (nat_find_host(nat, h->addr) != slot)
			return "a host is not found by its address";
	}
	if (live != nat->hosts_live || mappings != nat->mapping_live.count ||
	    sessions != nat->by_session.count)
		return "the hosts' counts do not add up";
	return NULL;
}

static const char *check_shares(const struct nat *nat)
{
	uint32_t used[NAT_POOLS] = { 0 };

	for (uint32_t slot = 1; slot <= nat->host_slots.top; slot++)
		for (int pool = 0; pool < NAT_POOLS; pool++)
			used[pool] += nat->host_ports[slot].of[pool];
	for (int pool = 0; pool < NAT_POOLS; pool++)
		if (used[pool] != nat->used[pool])
			return "the hosts' ports do not add up";
	for (int of = 0; of < NAT_SHARES; of++)
		if (nat->shares[of].taken !=
		    nat_share_count(nat, (enum nat_share_of)of))
			return "what hosts have of their shares is miscounted";
	return NULL;
}

static const char *check_ports(const struct nat *nat)
{
	uint32_t held[NAT_POOLS] = { 0 };

	for (uint32_t i = 0; i < nat->header->held_count; i++) {
		const struct nat_held *h =
			&nat->held[(nat->header->held_first + i) %
				   nat->limits.held_ports];

		if (!h->live)
			continue;
		held[h->pool]++;
		if (!nat_ports_taken(&nat->ports[h->pool], h->port))
			return "a held port could be handed out";
	}
	for (int pool = 0; pool < NAT_POOLS; pool++) {
		if (held[pool] != nat->held_ports[pool])
			return "held ports are miscounted";
		if (nat_ports_count_free(&nat->ports[pool]) !=
			    nat->ports[pool].free ||
		    nat_ports_count_low(&nat->ports[pool]) !=
			    nat->ports[pool].free_low)
			return "free ports are miscounted";
	}
	return NULL;
}

const char *nat_check(const struct nat *nat)
{
	static const char *(*const checks[])(const struct nat *) = {
		check_mappings, check_sessions, check_tagged, check_timers,
		check_hosts,	check_shares,	check_ports,
	};

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		const char *broken = checks[i](nat);

		if (broken)
			return broken;
	}
	return NULL;
}
