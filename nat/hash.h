/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The hashes under which the indices know their keys.
 */
#ifndef PORTICO_NAT_HASH_H
#define PORTICO_NAT_HASH_H

#include "internal.h"

static inline uint32_t nat_hash_socket(const struct nat *nat,
				       struct nat_socket key)
{
	return (uint32_t)nat_siphash_8(
		&nat->hash_key, (uint64_t)key.addr << 32 |
					(uint32_t)key.port << 16 | key.proto);
}

/* Which chain of by_outside. Each port is there once for a protocol, so that
 * whoever chooses them has at most 65,536 by the number of buckets in one chain;
 * the tag is the protocol, and others are passed by (16,384 mappings: 4). */
static inline uint32_t nat_hash_port(uint8_t proto, uint16_t port)
{
	return (uint32_t)proto << 24 | port;
}

static inline uint32_t nat_hash_host(const struct nat *nat, uint32_t addr)
{
	return (uint32_t)nat_siphash_8(&nat->hash_key, addr);
}

/* Mapping and peer address alone: all sessions of a mapping with one address
 * share a bucket, so that address-dependent filtering can find them. */
static inline uint32_t nat_hash_session(const struct nat *nat, uint32_t mapping,
					uint32_t peer_addr)
{
	return (uint32_t)nat_siphash_8(&nat->hash_key,
				       (uint64_t)mapping << 32 | peer_addr);
}

static inline uint32_t nat_hash_peer(const struct nat *nat,
				     const struct nat_peer_key *peer)
{
	return (uint32_t)nat_siphash_8(
		&nat->hash_key, ((uint64_t)peer->peer_addr << 32 |
				 (uint32_t)peer->peer_port << 16 | peer->port) ^
					(uint64_t)(peer->kind + 1) << 60);
}

#endif
