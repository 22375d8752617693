/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The two blocks of memory: what lies where in them, and an engine made in
 * blocks that are empty. See restore.c for one that finds an earlier engine's
 * records.
 */
#include "internal.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define ALIGN 64U /* a cache line */

static void *place(uint8_t *base, size_t *offset, size_t bytes)
{
	void *at = base ? base + *offset : NULL;

	*offset += (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	return at;
}

/* Arrays have a slot 0 that nobody uses. */
static size_t slots(uint32_t limit, size_t bytes)
{
	return ((size_t)limit + 1) * bytes;
}

size_t nat_lay_records(struct nat *nat, const struct nat_limits *limits,
		       uint8_t *base)
{
	size_t at = 0;

	nat->header = place(base, &at, sizeof(*nat->header));
	nat->mappings = place(base, &at,
			      slots(limits->mappings, sizeof(*nat->mappings)));
	nat->sessions = place(base, &at,
			      slots(limits->sessions, sizeof(*nat->sessions)));
	nat->hosts =
		place(base, &at, slots(limits->hosts, sizeof(*nat->hosts)));
	nat->held =
		place(base, &at, slots(limits->held_ports, sizeof(*nat->held)));
	nat->tagged =
		place(base, &at, slots(limits->tagged, sizeof(*nat->tagged)));
	return at;
}

static void lay_index(struct nat_index *index, uint32_t capacity,
		      uint32_t key_bytes, uint8_t *base, size_t *at)
{
	void *memory = place(base, at, nat_index_size(capacity));

	if (base)
		nat_index_init(index, capacity, key_bytes, memory);
}

static void lay_chain(struct nat_chain *chain, uint32_t capacity, uint8_t *base,
		      size_t *at)
{
	void *memory = place(base, at, nat_chain_size(capacity));

	if (base)
		nat_chain_init(chain, capacity, memory);
}

static void lay_fragments(struct nat_fragments *f,
			  const struct nat_limits *limits, uint8_t *base,
			  size_t *at)
{
	f->datagrams = place(base, at,
			     slots(limits->fragments, sizeof(*f->datagrams)));
	f->links = place(base, at, slots(limits->fragments, sizeof(*f->links)));
	/* Copies start at multiples of 16 bytes. */
	f->bytes = limits->fragment_bytes & ~15U;
	f->ring = place(base, at, f->bytes);
	f->slots.limit = limits->fragments;
	lay_index(&f->by_key, limits->fragments,
		  sizeof(struct nat_fragment_key), base, at);
}

static size_t lay_indices(struct nat *nat, const struct nat_limits *limits,
			  uint8_t *base)
{
	size_t at = 0;

	place(base, &at, sizeof(*nat));
	nat->ports = place(base, &at, NAT_POOLS * sizeof(*nat->ports));
	nat->mapping_links = place(
		base, &at, slots(limits->mappings, sizeof(struct nat_link)));
	nat->session_links = place(
		base, &at, slots(limits->sessions, sizeof(struct nat_link)));
	nat->sibling_links = place(
		base, &at, slots(limits->sessions, sizeof(struct nat_link)));
	nat->host_links =
		place(base, &at, slots(limits->hosts, sizeof(struct nat_link)));
	nat->host_ports = place(base, &at,
				slots(limits->hosts, sizeof(*nat->host_ports)));
	nat->tagged_links = place(
		base, &at, slots(limits->tagged, sizeof(struct nat_link)));
	lay_chain(&nat->by_inside, limits->mappings, base, &at);
	lay_chain(&nat->by_outside, limits->mappings, base, &at);
	lay_chain(&nat->by_session, limits->sessions, base, &at);
	lay_index(&nat->by_host, limits->hosts, sizeof(uint32_t), base, &at);
	lay_index(&nat->by_peer, limits->tagged, sizeof(struct nat_peer_key),
		  base, &at);
	lay_fragments(&nat->fragments, limits, base, &at);
	return at;
}

static bool limit_good(uint32_t limit)
{
	return limit >= 1 && limit <= NAT_LIMIT_MAX;
}

bool nat_limits_good(const struct nat_limits *limits)
{
	return limit_good(limits->mappings) && limit_good(limits->sessions) &&
	       limit_good(limits->hosts) && limit_good(limits->held_ports) &&
	       limit_good(limits->fragments) &&
	       limit_good(limits->fragment_bytes) &&
	       limits->tagged <= NAT_LIMIT_MAX;
}

size_t nat_records_size(const struct nat_limits *limits)
{
	struct nat sizer;

	return nat_limits_good(limits) ? nat_lay_records(&sizer, limits, NULL) :
					 0;
}

size_t nat_indices_size(const struct nat_limits *limits)
{
	struct nat sizer;

	return nat_limits_good(limits) ? lay_indices(&sizer, limits, NULL) : 0;
}

static bool block_good(const void *block, size_t bytes, size_t needed)
{
	return block && (uintptr_t)block % ALIGN == 0 && bytes >= needed;
}

uint32_t nat_shape(void)
{
	static const uint64_t sizes[] = {
		sizeof(struct nat_header),
		sizeof(struct nat_mapping),
		sizeof(struct nat_session),
		sizeof(struct nat_host),
		sizeof(struct nat_held),
		sizeof(struct nat_tagged),
		offsetof(struct nat_mapping, check),
		offsetof(struct nat_session, check),
		offsetof(struct nat_session, end),
		offsetof(struct nat_host, counters),
	};
	static const struct nat_siphash_key key = { 0, 0 };

	return (uint32_t)nat_siphash(&key, (const uint8_t *)sizes,
				     sizeof(sizes), 1, 3);
}

/* A key of its own each time: what an earlier engine left behind in a block
 * never checks by chance. */
void nat_make_header(struct nat *nat, const uint8_t boot[16])
{
	struct nat_header *header = nat->header;

	header->layout = NAT_LAYOUT;
	header->shape = nat_shape();
	memcpy(header->boot, boot, sizeof(header->boot));
	header->key.k0 = nat_siphash_8(&nat->hash_key, 0);
	header->key.k1 = nat_siphash_8(&nat->hash_key, 1);
	header->limits = nat->limits;
	nat_store_uplink(nat, header->uplink);
	header->check = nat_seal_header(nat);
	nat_fence();
	header->magic = NAT_MAGIC;
}

struct nat *nat_lay(const struct nat_limits *limits,
		    const struct nat_secrets *secrets, void *records,
		    size_t records_bytes, void *indices, size_t indices_bytes,
		    uint64_t now_ms)
{
	struct nat *nat = indices;

	if (!nat_limits_good(limits) ||
	    !block_good(records, records_bytes, nat_records_size(limits)) ||
	    !block_good(indices, indices_bytes, nat_indices_size(limits)))
		return NULL;
	nat->limits = *limits;
	nat->hash_key = nat_siphash_key(secrets->hash_key);
	nat->random.key = nat_siphash_key(secrets->port_key);
	nat_lay_records(nat, limits, records);
	lay_indices(nat, limits, indices);
	nat->mapping_slots.limit = limits->mappings;
	nat->session_slots.limit = limits->sessions;
	nat->host_slots.limit = limits->hosts;
	nat->tagged_slots.limit = limits->tagged;
	nat->answers.stamp_ms = now_ms;
	nat->swept_ms = now_ms;
	nat_clock(nat, now_ms);
	return nat;
}

struct nat *nat_init(const struct nat_limits *limits,
		     const struct nat_secrets *secrets, void *records,
		     size_t records_bytes, void *indices, size_t indices_bytes,
		     uint64_t now_ms)
{
	static const uint8_t boot[16] = { 0 };
	struct nat *nat = nat_lay(limits, secrets, records, records_bytes,
				  indices, indices_bytes, now_ms);

	if (nat)
		nat_make_header(nat, boot);
	return nat;
}

static_assert(sizeof(struct nat_mapping) == 80, "no padding");
static_assert(sizeof(struct nat_session) == 80, "no padding");
static_assert(NAT_LIMIT_MAX <= NAT_CHAIN_SLOT, "a slot fits into an entry");
static_assert(sizeof(struct nat_socket) == 8, "a key without padding");
static_assert(sizeof(struct nat_session_key) == 12, "a key without padding");
static_assert(sizeof(struct nat_peer_key) == 12, "a key without padding");
static_assert(sizeof(struct nat_header) == 128, "two cache lines");
