/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "seal.h"

#include <stddef.h>
#include <string.h>

#include "internal.h"

/* The record of one kind is none of another. */
enum sealed {
	SEALED_MAPPING = 1,
	SEALED_SESSION,
	SEALED_TAGGED,
	SEALED_HOST,
	SEALED_HELD,
	SEALED_HEADER,
	SEALED_UPLINK
};

static uint32_t seal(const struct nat *nat, const void *bytes, size_t length)
{
	uint32_t word =
		(uint32_t)nat_siphash(&nat->header->key, bytes, length, 1, 3);

	return word ? word : 1;
}

static uint64_t first_word(enum sealed what, uint32_t slot)
{
	return (uint64_t)what << 32 | slot;
}

static uint64_t tags_word(const struct nat_tags *tags)
{
	return (uint64_t)tags->value[0] << 32 | tags->value[1];
}

static uint64_t socket_word(const struct nat_socket *socket)
{
	return (uint64_t)socket->addr << 32 | (uint32_t)socket->port << 16 |
	       (uint32_t)socket->proto << 8 | socket->zero;
}

uint32_t nat_seal_mapping(const struct nat *nat, uint32_t slot)
{
	const struct nat_mapping *mapping = &nat->mappings[slot];
	const uint64_t words[] = { first_word(SEALED_MAPPING, slot),
				   socket_word(&mapping->inside),
				   (uint32_t)mapping->port << 8 | mapping->kind,
				   mapping->created_s };

	return seal(nat, words, sizeof(words));
}

uint32_t nat_seal_session(const struct nat *nat, uint32_t slot)
{
	const struct nat_session *session = &nat->sessions[slot];
	const struct nat_session_key *key = &session->key;
	const uint64_t words[] = { first_word(SEALED_SESSION, slot),
				   (uint64_t)key->mapping << 32 |
					   key->peer_addr,
				   (uint32_t)key->peer_port << 16 | key->part,
				   session->created_s };

	return seal(nat, words, sizeof(words));
}

uint32_t nat_seal_tagged(const struct nat *nat, uint32_t slot)
{
	const struct nat_tagged *tagged = &nat->tagged[slot];
	uint64_t words[] = { first_word(SEALED_TAGGED, slot),
			     (uint64_t)tagged->session << 32 | tagged->flags,
			     tags_word(&tagged->in),
			     tags_word(&tagged->out),
			     (uint64_t)tagged->in.count << 32 |
				     tagged->out.count,
			     tagged->created_ms,
			     0,
			     0 };

	memcpy(&words[6], &tagged->key, sizeof(tagged->key));
	return seal(nat, words, sizeof(words));
}

uint32_t nat_seal_host(const struct nat *nat, uint32_t slot)
{
	const uint64_t words[] = { first_word(SEALED_HOST, slot),
				   nat->hosts[slot].addr };

	return seal(nat, words, sizeof(words));
}

uint32_t nat_seal_held(const struct nat *nat, uint32_t slot)
{
	const struct nat_held *held = &nat->held[slot];
	const uint64_t words[] = { first_word(SEALED_HELD, slot),
				   held->since_ms,
				   (uint32_t)held->port << 8 | held->pool };

	return seal(nat, words, sizeof(words));
}

/* All that never changes while the block is in use; the magic number, which
 * comes last, is judged by itself. */
uint32_t nat_seal_header(const struct nat *nat)
{
	const size_t first = offsetof(struct nat_header, layout);
	const size_t length = offsetof(struct nat_header, check) - first;
	uint8_t bytes[sizeof(struct nat_header) + 1];

	bytes[0] = SEALED_HEADER;
	memcpy(bytes + 1, (const uint8_t *)nat->header + first, length);
	return seal(nat, bytes, length + 1);
}

uint32_t nat_seal_uplink(const struct nat *nat, uint32_t addr)
{
	const uint64_t words[] = { first_word(SEALED_UPLINK, 0), addr };

	return seal(nat, words, sizeof(words));
}

_Static_assert(offsetof(struct nat_header, uplink) % 8 == 0 &&
		       offsetof(struct nat_header, uplink_check) ==
			       offsetof(struct nat_header, uplink) + 4,
	       "one store writes both where a word has 64 bits");

void nat_store_uplink(struct nat *nat, uint32_t addr)
{
	const uint32_t both[2] = { addr, nat_seal_uplink(nat, addr) };

	memcpy((uint8_t *)nat->header + offsetof(struct nat_header, uplink),
	       both, sizeof(both));
}
