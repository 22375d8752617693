/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fragments (RFC 4787 REQ-14, RFC 6146 3.4, RFC 1858, RFC 3128). Only the first
 * fragment of a datagram has ports. What became of it is remembered by source,
 * destination, protocol and id, and the others follow; those that come before
 * it are copied, dropped from the queue (never parked there: nfqueue.md 4) and
 * sent after it by the raw socket.
 *
 * Bounded in entries and in bytes; a newcomer pushes out the oldest. Datagrams
 * that wait for their first fragment may fill one half of the entries only, so
 * a flood of orphans does not push out those whose ports are known.
 *
 * Copies lie in a ring of bytes, oldest first; each is the next link of its
 * datagram's chain. As all live equally long, the oldest copy in the ring is
 * always the first of its chain.
 */
#include "internal.h"

#include <string.h>

#include "bytes.h"
#include "checksum.h"

/* A copy in the ring: this header, then the packet; a multiple of the header. */
struct copy {
	uint32_t datagram; /* slot, 0: dead or a filler at the ring's end */
	uint32_t length; /* bytes of the packet */
	uint32_t step; /* bytes to the next copy in the ring */
	uint32_t next; /* offset + 1 of the next of its datagram, 0: none */
};

/* Aligned: the ring, and so each copy in it, begins at a multiple of 16 bytes. */
static struct copy *copy_at(const struct nat_fragments *f, uint32_t at)
{
	return (void *)(f->ring + at);
}

static uint32_t hash_key(const struct nat *nat,
			 const struct nat_fragment_key *key)
{
	return (uint32_t)nat_siphash_16(
		&nat->hash_key, (uint64_t)key->src << 32 | key->dst,
		(uint64_t)key->id << 16 | (uint64_t)key->proto << 8 |
			key->path);
}

struct nat_fragment_key nat_fragment_key(const struct nat_work *work)
{
	return (struct nat_fragment_key){
		.src = work->p.src,
		.dst = work->p.dst,
		.id = nat_load16(work->p.ip + IP_ID),
		.proto = work->p.proto,
		.path = (uint8_t)work->packet->path,
	};
}

/* --- the ring --------------------------------------------------------------- */

/* Lets go of the oldest copy. */
static void ring_pop(struct nat *nat)
{
	struct nat_fragments *f = &nat->fragments;
	const struct copy *copy = copy_at(f, f->first);

	if (copy->datagram) {
		f->datagrams[copy->datagram].chain = copy->next;
		nat->stats.drops[NAT_DROP_FRAGMENT]++;
	}
	f->used -= copy->step;
	f->first = (f->first + copy->step) % f->bytes;
}

/* Makes room for step contiguous bytes; returns their offset. step must not be
 * larger than the ring. */
static uint32_t ring_room(struct nat *nat, uint32_t step)
{
	struct nat_fragments *f = &nat->fragments;
	uint32_t at = (f->first + f->used) % f->bytes;
	uint32_t to_end = f->bytes - at;

	while (f->used &&
	       f->bytes - f->used < (to_end < step ? to_end + step : step))
		ring_pop(nat);
	if (!f->used)
		return f->first = 0;
	if (to_end >= step)
		return at;
	*copy_at(f, at) = (struct copy){ .step = to_end };
	f->used += to_end;
	return 0;
}

static void ring_push(struct nat *nat, uint32_t slot,
		      const struct nat_parsed *p)
{
	struct nat_fragments *f = &nat->fragments;
	struct nat_datagram *datagram = &f->datagrams[slot];
	const uint32_t header = sizeof(struct copy);
	/* Multiples of the header keep room for a filler's header. */
	uint32_t step = (header + p->length + header - 1) & ~(header - 1);
	uint32_t at = ring_room(nat, step);

	*copy_at(f, at) = (struct copy){ .datagram = slot,
					 .length = p->length,
					 .step = step };
	memcpy(f->ring + at + header, p->ip, p->length);
	f->used += step;
	if (datagram->chain)
		copy_at(f, datagram->last - 1)->next = at + 1;
	else
		datagram->chain = at + 1;
	datagram->last = at + 1;
}

/* Takes the first copy of a datagram; its bytes stay until the ring comes
 * round. NULL: there is none. */
static uint8_t *chain_take(struct nat_fragments *f, uint32_t slot,
			   uint32_t *length)
{
	struct nat_datagram *datagram = &f->datagrams[slot];
	struct copy *copy;

	if (!datagram->chain)
		return NULL;
	copy = copy_at(f, datagram->chain - 1);
	datagram->chain = copy->next;
	copy->datagram = 0;
	*length = copy->length;
	return (uint8_t *)(copy + 1);
}

/* --- datagrams ---------------------------------------------------------------- */

static void forget(struct nat *nat, uint32_t slot)
{
	struct nat_fragments *f = &nat->fragments;
	struct nat_datagram *datagram = &f->datagrams[slot];
	uint32_t length;

	while (chain_take(f, slot, &length))
		nat->stats.drops[NAT_DROP_FRAGMENT]++;
	nat_index_remove(&f->by_key, slot);
	nat_list_remove(datagram->known ? &f->known : &f->waiting, f->links,
			slot);
	nat_list_append(&f->slots.free, f->links, slot);
	if (f->ready == slot)
		f->ready = 0;
}

void nat_fragment_expire(struct nat *nat, uint64_t now_ms)
{
	struct nat_fragments *f = &nat->fragments;
	uint64_t life = (uint64_t)nat->config->fragment_s * 1000;
	struct nat_list *lists[] = { &f->known, &f->waiting };

	for (int i = 0; i < 2; i++)
		while (lists[i]->head &&
		       f->datagrams[lists[i]->head].since_ms + life <= now_ms)
			forget(nat, lists[i]->head);
}

void nat_fragment_clear(struct nat *nat)
{
	while (nat->fragments.known.head)
		forget(nat, nat->fragments.known.head);
	while (nat->fragments.waiting.head)
		forget(nat, nat->fragments.waiting.head);
}

void nat_fragment_forget(struct nat *nat, uint32_t addr)
{
	struct nat_fragments *f = &nat->fragments;
	const struct nat_list *lists[] = { &f->known, &f->waiting };
	uint32_t slot, next;

	for (int i = 0; i < 2; i++)
		for (slot = lists[i]->head; slot; slot = next) {
			next = f->links[slot].next;
			if (f->datagrams[slot].key.src == addr ||
			    (i == 0 && f->datagrams[slot].dst == addr))
				forget(nat, slot);
		}
}

static uint32_t find(const struct nat *nat, const struct nat_fragment_key *key)
{
	return nat_index_find(&nat->fragments.by_key, hash_key(nat, key), key);
}

/* Orphans make room among themselves only; so do the known ones, but these may
 * have all the room that orphans leave. */
static void make_room(struct nat *nat, bool known)
{
	struct nat_fragments *f = &nat->fragments;
	uint32_t orphans = f->slots.limit / 2 ? f->slots.limit / 2 : 1;

	if (!known && f->waiting.count >= orphans)
		forget(nat, f->waiting.head);
	if (!nat_slots_left(&f->slots))
		forget(nat, known && f->known.head ? f->known.head :
			    f->waiting.head	   ? f->waiting.head :
						     f->known.head);
}

static uint32_t add(struct nat_work *work, const struct nat_fragment_key *key,
		    bool known)
{
	struct nat *nat = work->nat;
	struct nat_fragments *f = &nat->fragments;
	uint32_t slot;

	make_room(nat, known);
	slot = nat_slot_take(&f->slots, f->links);
	f->datagrams[slot] = (struct nat_datagram){ .key = *key,
						    .since_ms = work->now_ms,
						    .known = known };
	nat_index_add(&f->by_key, slot, hash_key(nat, key),
		      &f->datagrams[slot].key);
	nat_list_append(known ? &f->known : &f->waiting, f->links, slot);
	return slot;
}

/* Gives a fragment the addresses and the id of its first one. */
static void follow(const struct nat_datagram *datagram, uint8_t *ip)
{
	uint32_t delta;

	nat_rewrite_outer(ip, datagram->src, datagram->dst);
	delta = nat_checksum_delta16(nat_load16(ip + IP_ID), datagram->id);
	nat_store16(ip + IP_ID, datagram->id);
	nat_checksum_apply(ip + IP_CHECKSUM, delta);
}

/* --- the engine's side -------------------------------------------------------- */

struct nat_result nat_fragment_later(struct nat_work *work)
{
	struct nat *nat = work->nat;
	struct nat_fragments *f = &nat->fragments;
	struct nat_fragment_key key = nat_fragment_key(work);
	uint32_t slot = find(nat, &key);
	const struct nat_datagram *datagram = &f->datagrams[slot];

	/* RFC 3128: offset 8 could overwrite a TCP header's flags. */
	if (work->p.proto == NAT_PROTO_TCP &&
	    (nat_load16(work->p.ip + IP_FRAGMENT) & IPV4_OFFSET) == 1)
		return nat_drop(nat, NAT_DROP_FRAGMENT);
	if (slot && datagram->known) {
		follow(datagram, work->p.ip);
		return nat_translated((enum nat_mark)datagram->mark);
	}
	if (work->p.length + 2 * sizeof(struct copy) > f->bytes)
		return nat_drop(nat, NAT_DROP_FRAGMENT);
	if (!slot)
		slot = add(work, &key, false);
	ring_push(nat, slot, &work->p);
	return (struct nat_result){ .verdict = NAT_CONSUMED };
}

/* The time starts again. A first fragment whose id was there already is taken
 * for the next datagram's, with a new id, not for a copy: to repeat an id is what
 * RFC 6864 forbids, and a host may come round to it, or know no other. */
static void know(struct nat_work *work, uint32_t slot)
{
	struct nat_fragments *f = &work->nat->fragments;
	struct nat_datagram *datagram = &f->datagrams[slot];

	nat_list_remove(datagram->known ? &f->known : &f->waiting, f->links,
			slot);
	nat_list_append(&f->known, f->links, slot);
	datagram->known = true;
	datagram->since_ms = work->now_ms;
}

void nat_fragment_first(struct nat_work *work,
			const struct nat_fragment_key *key,
			struct nat_result *result)
{
	struct nat *nat = work->nat;
	struct nat_fragments *f = &nat->fragments;
	uint32_t slot = find(nat, key);
	struct nat_datagram *datagram;

	/* Nothing to follow: its fragments age among the orphans, or a flood
	 * of first fragments to nowhere would push out the others. */
	if (result->verdict != NAT_TRANSLATED) {
		if (slot)
			forget(nat, slot);
		return;
	}
	if (!slot)
		slot = add(work, key, true);
	else
		know(work, slot);
	datagram = &f->datagrams[slot];
	datagram->mark = (uint8_t)result->mark;
	datagram->src = nat_load32(work->p.ip + IP_SRC);
	datagram->dst = nat_load32(work->p.ip + IP_DST);
	datagram->id = nat_load16(work->p.ip + IP_ID);
	if (!datagram->chain)
		return;
	f->ready = slot;
	result->output = true;
}

/* Met before routing, a copy still has to be forwarded: its TTL is ours to
 * count down (RFC 1812 5.3.1). False: it ends here. */
static bool count_hop(const struct nat_datagram *datagram, uint8_t *ip)
{
	return (datagram->key.path != NAT_PATH_INBOUND &&
		datagram->key.path != NAT_PATH_HAIRPIN_IN) ||
	       nat_rewrite_hop(ip);
}

const uint8_t *nat_fragment_output(struct nat *nat, uint32_t *length)
{
	struct nat_fragments *f = &nat->fragments;
	const struct nat_datagram *datagram = &f->datagrams[f->ready];
	uint8_t *ip;

	while (f->ready && (ip = chain_take(f, f->ready, length))) {
		if (!count_hop(datagram, ip)) {
			nat->stats.drops[NAT_DROP_FRAGMENT]++;
			continue;
		}
		follow(datagram, ip);
		/* No second pass for a copy: both ends at once. */
		if (datagram->key.path == NAT_PATH_HAIRPIN_IN)
			nat_rewrite_outer(ip, nat->uplink, datagram->dst);
		return ip;
	}
	f->ready = 0;
	return NULL;
}
