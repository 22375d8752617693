/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Looking things up in the tables. Nothing is made here; what is found to have
 * expired is ended.
 */
#include "hash.h"
#include "internal.h"

uint32_t nat_find_inside(const struct nat *nat, struct nat_socket inside)
{
	return nat_index_find(&nat->by_inside, nat_hash_socket(nat, inside),
			      &inside);
}

uint32_t nat_find_outside(const struct nat *nat, struct nat_socket outside)
{
	return nat_index_find(&nat->by_outside, nat_hash_socket(nat, outside),
			      &outside);
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

uint32_t nat_find_session(struct nat *nat, uint32_t mapping, uint32_t peer_addr,
			  uint16_t peer_port, uint64_t now_ms)
{
	struct nat_session_key key = { mapping, peer_addr, peer_port, 0 };
	uint32_t session =
		nat_index_find(&nat->by_session,
			       nat_hash_session(nat, mapping, peer_addr), &key);

	return session && nat_session_check(nat, session, now_ms) ? session : 0;
}

uint32_t nat_find_session_alias(struct nat *nat, uint32_t *mapping,
				uint32_t peer_addr, uint16_t peer_port,
				uint64_t now_ms)
{
	struct nat_socket inside;
	uint32_t at, next, session;

	if (!*mapping)
		return 0;
	inside = nat->mappings[*mapping].inside;
	for (at = *mapping; at; at = next) {
		next = nat->mappings[at].alias;
		session =
			nat_find_session(nat, at, peer_addr, peer_port, now_ms);
		if (session) {
			*mapping = at;
			return session;
		}
	}
	*mapping = nat_find_inside(nat, inside);
	return 0;
}

bool nat_contacted(const struct nat *nat, uint32_t mapping, uint32_t peer_addr,
		   uint64_t now_ms)
{
	struct nat_session_key key = { mapping, peer_addr, 0, 0 };
	uint32_t hash = nat_hash_session(nat, mapping, peer_addr);
	uint32_t at = 0;

	while ((at = nat_index_next_prefix(&nat->by_session, hash, &key,
					   NAT_SESSION_PREFIX, at)))
		if (nat->sessions[at].flags & NAT_SESSION_OUT &&
		    nat_session_left(nat, &nat->sessions[at], now_ms))
			return true;
	return false;
}
