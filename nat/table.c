/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Mappings, sessions and hosts: making and ending them. All that must stay in
 * step (records, indices, lists, pools, counts) is changed here and
 * nowhere else; whether something may be made is decided in session.c.
 */
#include "hash.h"
#include "internal.h"

#include <string.h>

#include "invariant.h"

/* --- slots -------------------------------------------------------------- */

uint32_t nat_slot_take(struct nat_slots *slots, struct nat_link *links)
{
	uint32_t slot = slots->free.head;

	if (slot)
		nat_list_remove(&slots->free, links, slot);
	else if (slots->top < slots->limit)
		slot = ++slots->top;
	return slot;
}

/* --- hosts -------------------------------------------------------------- */

/* An idle host has no mapping: only its counters are lost. What is over makes
 * hosts idle. */
static uint32_t host_slot(struct nat *nat, uint64_t now_ms)
{
	uint32_t slot = nat_slot_take(&nat->host_slots, nat->host_links);

	if (slot)
		return slot;
	if (!nat->host_idle.head)
		nat_expire(nat, now_ms, 64);
	slot = nat->host_idle.head;
	if (slot) {
		nat_list_remove(&nat->host_idle, nat->host_links, slot);
		nat_index_remove(&nat->by_host, slot);
		nat->hosts_live--;
	}
	return slot;
}

void nat_host_link(struct nat *nat, uint32_t slot)
{
	struct nat_host *host = &nat->hosts[slot];

	nat_index_add(&nat->by_host, slot, nat_hash_host(nat, host->addr),
		      &host->addr);
	nat_list_append(&nat->host_idle, nat->host_links, slot);
	nat->hosts_live++;
}

uint32_t nat_host_get(struct nat *nat, uint32_t addr, uint64_t now_ms)
{
	uint32_t slot = nat_find_host(nat, addr);
	struct nat_host *host;

	if (slot)
		return slot;
	slot = host_slot(nat, now_ms);
	if (!slot)
		return 0;
	host = &nat->hosts[slot];
	host->live = 0;
	nat_fence();
	memset(host, 0, sizeof(*host));
	host->addr = addr;
	/* A new host starts with its whole burst: see bucket.h. */
	host->opens = (struct nat_bucket){ UINT64_MAX, now_ms };
	host->answers = (struct nat_bucket){ UINT64_MAX, now_ms };
	host->check = nat_seal_host(nat, slot);
	nat_fence();
	host->live = 1;
	nat_host_link(nat, slot);
	return slot;
}

static void host_gain_mapping(struct nat *nat, uint32_t slot, uint8_t kind)
{
	if (kind == NAT_KIND_DYNAMIC)
		nat_share_gain(&nat->shares[NAT_SHARE_MAPPINGS],
			       nat_share_used(nat, NAT_SHARE_MAPPINGS, slot));
	nat->hosts[slot].forwards += kind == NAT_KIND_FORWARD;
	if (nat->hosts[slot].mappings++ == 0)
		nat_list_remove(&nat->host_idle, nat->host_links, slot);
}

static void host_lose_mapping(struct nat *nat, uint32_t slot, uint8_t kind)
{
	if (kind == NAT_KIND_DYNAMIC)
		nat_share_lose(&nat->shares[NAT_SHARE_MAPPINGS],
			       nat_share_used(nat, NAT_SHARE_MAPPINGS, slot));
	nat->hosts[slot].forwards -= kind == NAT_KIND_FORWARD;
	if (--nat->hosts[slot].mappings == 0)
		nat_list_append(&nat->host_idle, nat->host_links, slot);
}

static void host_gain_port(struct nat *nat, uint32_t slot, enum nat_pool pool)
{
	uint32_t *ports = &nat->host_ports[slot].of[pool];

	nat->used[pool]++;
	nat_share_gain(&nat->shares[NAT_SHARE_PORTS + pool], (*ports)++);
}

static void host_lose_port(struct nat *nat, uint32_t slot, enum nat_pool pool)
{
	uint32_t *ports = &nat->host_ports[slot].of[pool];

	nat->used[pool]--;
	nat_share_lose(&nat->shares[NAT_SHARE_PORTS + pool], (*ports)--);
}

static void host_gain_session(struct nat *nat, uint32_t slot)
{
	nat_share_gain(&nat->shares[NAT_SHARE_SESSIONS],
		       nat->hosts[slot].sessions++);
}

static void host_lose_session(struct nat *nat, uint32_t slot)
{
	nat_share_lose(&nat->shares[NAT_SHARE_SESSIONS],
		       nat->hosts[slot].sessions--);
}

static void host_gain_tagged(struct nat *nat, uint32_t slot)
{
	nat_share_gain(&nat->shares[NAT_SHARE_TAGGED],
		       nat->hosts[slot].tagged++);
}

static void host_lose_tagged(struct nat *nat, uint32_t slot)
{
	nat_share_lose(&nat->shares[NAT_SHARE_TAGGED],
		       nat->hosts[slot].tagged--);
}

/* --- mappings ----------------------------------------------------------- */

void nat_mapping_lead(struct nat *nat, uint32_t slot)
{
	struct nat_mapping *mapping = &nat->mappings[slot];

	nat_chain_add(&nat->by_inside, slot,
		      nat_hash_socket(nat, mapping->inside));
}

void nat_mapping_join(struct nat *nat, uint32_t slot)
{
	struct nat_mapping *mapping = &nat->mappings[slot];
	uint32_t first = nat_find_inside(nat, mapping->inside);

	mapping->alias = first ? nat->mappings[first].alias : 0;
	if (first)
		nat->mappings[first].alias = slot;
	else
		nat_mapping_lead(nat, slot);
}

static void unindex_inside(struct nat *nat, uint32_t slot)
{
	struct nat_mapping *mapping = &nat->mappings[slot];
	uint32_t at = nat_find_inside(nat, mapping->inside);
	uint32_t next = mapping->alias;

	if (at != slot) {
		while (nat->mappings[at].alias != slot)
			at = nat->mappings[at].alias;
		nat->mappings[at].alias = next;
		return;
	}
	nat_chain_remove(&nat->by_inside, slot,
			 nat_hash_socket(nat, mapping->inside));
	if (next)
		nat_mapping_lead(nat, next);
}

static uint32_t hash_outside(const struct nat_mapping *mapping)
{
	return nat_hash_port(mapping->inside.proto, mapping->port);
}

static void take_port(struct nat *nat, uint32_t slot, enum nat_pool pool)
{
	const struct nat_mapping *mapping = &nat->mappings[slot];

	nat_chain_add(&nat->by_outside, slot, hash_outside(mapping));
	nat_ports_take(&nat->ports[pool], mapping->port);
	if (mapping->kind == NAT_KIND_DYNAMIC)
		host_gain_port(nat, mapping->host, pool);
}

void nat_mapping_link(struct nat *nat, uint32_t slot)
{
	const struct nat_mapping *mapping = &nat->mappings[slot];
	int pool = nat_pool_of(mapping->inside.proto);

	nat_list_append(&nat->mapping_live, nat->mapping_links, slot);
	if (pool >= 0)
		take_port(nat, slot, (enum nat_pool)pool);
	host_gain_mapping(nat, mapping->host, mapping->kind);
}

uint32_t nat_mapping_add(struct nat *nat, struct nat_socket inside,
			 uint16_t port, enum nat_kind kind, uint32_t host)
{
	uint32_t slot = nat_slot_take(&nat->mapping_slots, nat->mapping_links);
	struct nat_mapping *mapping = &nat->mappings[slot];

	nat_invariant(slot);
	memset(mapping, 0, sizeof(*mapping));
	mapping->inside = inside;
	mapping->port = mapping->port_again = port;
	mapping->proto_again = inside.proto;
	mapping->host = host;
	mapping->created_s = mapping->used_s = nat->clock_s;
	mapping->kind = (uint8_t)kind;
	nat_seal(&mapping->live, &mapping->check, nat_seal_mapping(nat, slot));
	nat_mapping_join(nat, slot);
	nat_mapping_link(nat, slot);
	return slot;
}

static void give_port_back(struct nat *nat, uint32_t slot, uint64_t now_ms,
			   bool hold)
{
	const struct nat_mapping *mapping = &nat->mappings[slot];
	int pool = nat_pool_of(mapping->inside.proto);

	if (pool < 0)
		return;
	nat_chain_remove(&nat->by_outside, slot, hash_outside(mapping));
	if (mapping->kind == NAT_KIND_DYNAMIC)
		host_lose_port(nat, mapping->host, (enum nat_pool)pool);
	/* Before there is a configuration every port may be of the pool. */
	if (hold && (!nat->config ||
		     nat_ports_allowed(&nat->ports[pool], mapping->port)))
		nat_hold(nat, (enum nat_pool)pool, mapping->port, now_ms);
	else
		nat_ports_release(&nat->ports[pool], mapping->port);
}

static void tagged_unlink(struct nat *nat, uint32_t slot, uint32_t host)
{
	nat_unseal(&nat->tagged[slot].live, &nat->tagged[slot].check);
	host_lose_tagged(nat, host);
	nat_index_remove(&nat->by_peer, slot);
	nat_list_append(&nat->tagged_slots.free, nat->tagged_links, slot);
}

static void add_sibling(struct nat *nat, struct nat_mapping *mapping,
			uint32_t slot)
{
	nat->sibling_links[slot] = (struct nat_link){ 0, mapping->first };
	if (mapping->first)
		nat->sibling_links[mapping->first].prev = slot;
	mapping->first = slot;
	mapping->sessions++;
}

static void remove_sibling(struct nat *nat, struct nat_mapping *mapping,
			   uint32_t slot)
{
	struct nat_link link = nat->sibling_links[slot];

	if (link.prev)
		nat->sibling_links[link.prev].next = link.next;
	else
		mapping->first = link.next;
	if (link.next)
		nat->sibling_links[link.next].prev = link.prev;
	mapping->sessions--;
}

static uint32_t hash_key(const struct nat *nat,
			 const struct nat_session_key *key)
{
	return nat_hash_session(nat, key->mapping, key->peer_addr);
}

/* Ends one session without looking after its mapping. */
static void session_unlink(struct nat *nat, uint32_t slot)
{
	struct nat_session *session = &nat->sessions[slot];
	struct nat_mapping *mapping = &nat->mappings[session->key.mapping];

	nat_take_back(nat, slot);
	nat_chain_remove(&nat->by_session, slot, hash_key(nat, &session->key));
	nat_list_remove(&nat->timers[session->timer], nat->session_links, slot);
	remove_sibling(nat, mapping, slot);
	nat_list_append(&nat->session_slots.free, nat->session_links, slot);
	host_lose_session(nat, mapping->host);
	nat_unseal(&session->live, &session->check);
	if (nat_is_tagged(mapping->inside.proto))
		tagged_unlink(nat, session->tagged, mapping->host);
}

void nat_sessions_end(struct nat *nat, uint32_t mapping)
{
	while (nat->mappings[mapping].first)
		session_unlink(nat, nat->mappings[mapping].first);
}

void nat_mapping_end(struct nat *nat, uint32_t slot, uint64_t now_ms, bool hold)
{
	struct nat_mapping *mapping = &nat->mappings[slot];

	nat_sessions_end(nat, slot);
	unindex_inside(nat, slot);
	give_port_back(nat, slot, now_ms, hold);
	host_lose_mapping(nat, mapping->host, mapping->kind);
	nat_fence(); /* its port rests before it is free */
	nat_unseal(&mapping->live, &mapping->check);
	nat_list_remove(&nat->mapping_live, nat->mapping_links, slot);
	nat_list_append(&nat->mapping_slots.free, nat->mapping_links, slot);
}

void nat_mapping_move(struct nat *nat, uint32_t slot, uint16_t port)
{
	struct nat_mapping *mapping = &nat->mappings[slot];
	int pool = nat_pool_of(mapping->inside.proto);

	nat_invariant(pool >= 0);
	nat_chain_remove(&nat->by_outside, slot, hash_outside(mapping));
	nat_ports_take(&nat->ports[pool], port);
	nat_ports_release(&nat->ports[pool], mapping->port);
	mapping->port = mapping->port_again = port;
	mapping->check = nat_seal_mapping(nat, slot);
	nat_chain_add(&nat->by_outside, slot, hash_outside(mapping));
}

/* --- sessions ----------------------------------------------------------- */

void nat_session_link(struct nat *nat, uint32_t slot)
{
	struct nat_session *session = &nat->sessions[slot];
	struct nat_mapping *mapping = &nat->mappings[session->key.mapping];

	nat_chain_add(&nat->by_session, slot, hash_key(nat, &session->key));
	add_sibling(nat, mapping, slot);
	host_gain_session(nat, mapping->host);
}

void nat_session_rename(struct nat *nat, uint32_t slot, uint32_t peer_addr)
{
	struct nat_session *session = &nat->sessions[slot];

	nat_chain_remove(&nat->by_session, slot, hash_key(nat, &session->key));
	session->key.peer_addr = peer_addr;
	session->check = nat_seal_session(nat, slot);
	nat_chain_add(&nat->by_session, slot, hash_key(nat, &session->key));
}

static uint32_t session_add(struct nat *nat, struct nat_session_key key,
			    enum nat_timer timer, uint64_t now_ms)
{
	uint32_t slot = nat_slot_take(&nat->session_slots, nat->session_links);
	struct nat_session *session = &nat->sessions[slot];

	nat_invariant(slot);
	memset(session, 0, sizeof(*session));
	session->key = key;
	session->state = NAT_STATE_INIT;
	session->timer = (uint8_t)timer;
	session->created_s = nat->clock_s;
	session->used_ms = now_ms;
	nat_seal(&session->live, &session->check, nat_seal_session(nat, slot));
	nat_list_append(&nat->timers[timer], nat->session_links, slot);
	nat_session_link(nat, slot);
	return slot;
}

uint32_t nat_session_add(struct nat *nat, uint32_t mapping, uint32_t peer_addr,
			 uint16_t peer_port, enum nat_timer timer,
			 uint64_t now_ms)
{
	uint32_t slot = session_add(
		nat,
		(struct nat_session_key){ mapping, peer_addr, peer_port, 0 },
		timer, now_ms);

	nat_carry_yield(nat, slot);
	return slot;
}

/* A part that no session of this mapping and peer has: there are fewer
 * sessions of one mapping than parts. */
static uint16_t free_part(struct nat *nat, const struct nat_session_key *like)
{
	struct nat_session_key key = *like;

	do
		key.part = ++nat->last_part;
	while (nat_find_key(nat, &key));
	return key.part;
}

void nat_tagged_link(struct nat *nat, uint32_t slot)
{
	struct nat_tagged *tagged = &nat->tagged[slot];

	nat_index_add(&nat->by_peer, slot, nat_hash_peer(nat, &tagged->key),
		      &tagged->key);
	host_gain_tagged(
		nat,
		nat->mappings[nat->sessions[tagged->session].key.mapping].host);
}

uint32_t nat_session_add_tagged(struct nat *nat, uint32_t mapping,
				const struct nat_peer_key *peer,
				uint64_t now_ms)
{
	struct nat_session_key key = { mapping, peer->peer_addr,
				       peer->peer_port, 0 };
	uint32_t slot = nat_slot_take(&nat->tagged_slots, nat->tagged_links);
	struct nat_tagged *tagged = &nat->tagged[slot];
	uint32_t session;

	nat_invariant(slot);
	key.part = free_part(nat, &key);
	/* Until it is answered, it lives as long as an opening connection. */
	session = session_add(nat, key, NAT_TIMER_TCP_OPENING, now_ms);
	nat->sessions[session].tagged = slot;
	memset(tagged, 0, sizeof(*tagged));
	tagged->key = *peer;
	tagged->session = session;
	tagged->created_ms = now_ms;
	nat_seal(&tagged->live, &tagged->check, nat_seal_tagged(nat, slot));
	nat_tagged_link(nat, slot);
	return session;
}

uint32_t nat_next_tagged(const struct nat *nat, const struct nat_peer_key *peer,
			 uint32_t after)
{
	return nat_index_next_prefix(&nat->by_peer, nat_hash_peer(nat, peer),
				     peer, sizeof(*peer), after);
}

/* RFC 6888 REQ-8a: a port whose connections were followed to their end may be
 * used again at once; others rest. */
static bool holds(const struct nat_mapping *mapping)
{
	return !nat_is_connection(mapping->inside.proto);
}

void nat_session_end(struct nat *nat, uint32_t slot, uint64_t now_ms)
{
	uint32_t mapping_slot = nat->sessions[slot].key.mapping;
	struct nat_mapping *mapping = &nat->mappings[mapping_slot];

	session_unlink(nat, slot);
	if (!mapping->sessions && mapping->kind == NAT_KIND_DYNAMIC)
		nat_mapping_end(nat, mapping_slot, now_ms, holds(mapping));
}

/* Lists are in order of last use. A session may come in late (the sweep moves it
 * with the time its last class ended), so its place is looked for from the end
 * that is nearer in time; for live traffic that is the tail itself. */
static uint32_t place_by_time(const struct nat *nat,
			      const struct nat_list *list, uint64_t used_ms)
{
	uint32_t after = list->tail, next = list->head;

	if (!after || nat->sessions[after].used_ms <= used_ms)
		return after;
	if (nat->sessions[next].used_ms > used_ms)
		return 0;
	if (used_ms - nat->sessions[next].used_ms <
	    nat->sessions[after].used_ms - used_ms) {
		for (after = 0; nat->sessions[next].used_ms <= used_ms;
		     next = nat->session_links[next].next)
			after = next;
		return after;
	}
	while (after && nat->sessions[after].used_ms > used_ms)
		after = nat->session_links[after].prev;
	return after;
}

void nat_session_refresh(struct nat *nat, uint32_t slot, enum nat_timer timer,
			 uint64_t now_ms)
{
	struct nat_session *session = &nat->sessions[slot];

	if (session->timer == timer && session->used_ms == now_ms)
		return;
	nat_list_remove(&nat->timers[session->timer], nat->session_links, slot);
	session->timer = (uint8_t)timer;
	session->used_ms = now_ms;
	session->flags &= (uint8_t)~NAT_SESSION_RETIRED;
	nat_list_insert(&nat->timers[timer], nat->session_links, slot,
			place_by_time(nat, &nat->timers[timer], now_ms));
}
