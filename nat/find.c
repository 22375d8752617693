/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Looking things up in the tables. Nothing is made here; what is found to have
 * expired is ended.
 */
#include <string.h>

#include "hash.h"
#include "internal.h"

static bool same_socket(const struct nat_socket *a, const struct nat_socket *b)
{
	return !memcmp(a, b, sizeof(*a)); /* one word */
}

static bool same_outside(const struct nat_mapping *mapping,
			 const struct nat_socket *outside)
{
	return mapping->port == outside->port &&
	       mapping->inside.proto == outside->proto;
}

/* What nat_foresee() has noted is tried first. As long as none was taken out of
 * the index, a mapping that was the first of its aliases still is. */
uint32_t nat_find_inside(const struct nat *nat, struct nat_socket inside)
{
	uint32_t hash;
	uint32_t slot;

	if (nat->hint.removals == nat->by_inside.removals &&
	    nat->mappings[nat->hint.inside].live &&
	    same_socket(&nat->mappings[nat->hint.inside].inside, &inside))
		return nat->hint.inside;
	hash = nat_hash_socket(nat, inside);
	slot = nat_chain_first(&nat->by_inside, hash);

	while (slot && !same_socket(&nat->mappings[slot].inside, &inside))
		slot = nat_chain_next(&nat->by_inside, slot, hash);
	return slot;
}

uint32_t nat_find_outside(const struct nat *nat, struct nat_socket outside)
{
	const uint32_t hash = nat_hash_port(outside.proto, outside.port);
	uint32_t slot;

	if (outside.addr != nat->header->uplink)
		return 0;
	if (nat->mappings[nat->hint.outside].live &&
	    same_outside(&nat->mappings[nat->hint.outside], &outside))
		return nat->hint.outside;
	slot = nat_chain_first(&nat->by_outside, hash);
	while (slot && !same_outside(&nat->mappings[slot], &outside))
		slot = nat_chain_next(&nat->by_outside, slot, hash);
	return slot;
}

uint32_t nat_find_port(const struct nat *nat, enum nat_pool pool, uint16_t port)
{
	static const uint8_t protos[NAT_POOLS][2] = {
		[NAT_POOL_UDP] = { NAT_PROTO_UDP, NAT_PROTO_UDPLITE },
		[NAT_POOL_TCP] = { NAT_PROTO_TCP, NAT_PROTO_DCCP },
		[NAT_POOL_ICMP] = { NAT_PROTO_ICMP, NAT_PROTO_ICMP },
	};
	uint32_t mapping = nat_find_outside(
		nat, nat_socket(protos[pool][0], nat->header->uplink, port));

	return mapping ? mapping :
			 nat_find_outside(nat, nat_socket(protos[pool][1],
							  nat->header->uplink,
							  port));
}

uint32_t nat_find_host(const struct nat *nat, uint32_t addr)
{
	return nat_index_find(&nat->by_host, nat_hash_host(nat, addr), &addr);
}

static bool same_key(const struct nat_session_key *a,
		     const struct nat_session_key *b)
{
	return a->peer_addr == b->peer_addr && a->peer_port == b->peer_port &&
	       a->mapping == b->mapping && a->part == b->part;
}

/* Most mappings have one session: then it is this one or none, and nothing has
 * to be hashed. */
uint32_t nat_find_key(const struct nat *nat, const struct nat_session_key *key)
{
	const struct nat_mapping *mapping = &nat->mappings[key->mapping];
	uint32_t slot = nat->hint.session, hash;

	if (nat->sessions[slot].live && same_key(&nat->sessions[slot].key, key))
		return slot;
	slot = mapping->first;
	if (!slot || same_key(&nat->sessions[slot].key, key))
		return slot;
	if (mapping->sessions == 1)
		return 0;
	hash = nat_hash_session(nat, key->mapping, key->peer_addr);
	slot = nat_chain_first(&nat->by_session, hash);
	while (slot && !same_key(&nat->sessions[slot].key, key))
		slot = nat_chain_next(&nat->by_session, slot, hash);
	return slot;
}

uint32_t nat_find_session(struct nat *nat, uint32_t mapping, uint32_t peer_addr,
			  uint16_t peer_port, uint64_t now_ms)
{
	const struct nat_session_key key = { mapping, peer_addr, peer_port, 0 };
	uint32_t session = nat_find_key(nat, &key);

	return session && nat_session_check(nat, session, now_ms) ? session : 0;
}

uint32_t nat_find_session_alias(struct nat *nat, uint32_t *mapping,
				uint32_t peer_addr, uint16_t peer_port,
				uint64_t now_ms)
{
	const struct nat_mapping *record = &nat->mappings[*mapping];
	struct nat_socket inside = record->inside;
	uint32_t session, next;

	for (uint32_t at = *mapping; at; at = next) {
		next = nat->mappings[at].alias;
		session =
			nat_find_session(nat, at, peer_addr, peer_port, now_ms);
		if (session) {
			*mapping = at;
			return session;
		}
	}
	if (*mapping && !record->live)
		*mapping = nat_find_inside(nat, inside);
	return 0;
}

bool nat_contacted(struct nat *nat, uint32_t mapping, uint32_t peer_addr,
		   uint64_t now_ms)
{
	uint32_t hash = nat_hash_session(nat, mapping, peer_addr);
	uint32_t at = nat_chain_first(&nat->by_session, hash);

	for (; at; at = nat_chain_next(&nat->by_session, at, hash)) {
		const struct nat_session *session = &nat->sessions[at];

		if (session->key.mapping == mapping &&
		    session->key.peer_addr == peer_addr &&
		    session->flags & NAT_SESSION_OUT) {
			nat_carry_ask(nat, at, now_ms);
			if (nat_session_left(nat, session, now_ms))
				return true;
		}
	}
	return false;
}
