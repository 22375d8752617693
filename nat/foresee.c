/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A look ahead over a batch of packets. With many connections each packet finds
 * its records in memory that no cache holds: five or six waits, one after the
 * other. Here the whole batch takes each of these steps before any packet takes
 * the next, so that the waits overlap. What was found is noted in the packets
 * as a hint, which nat_translate() proves before it believes it.
 *
 * Nothing is changed but the hints, and nothing is judged: a packet that is odd
 * in any way has no hint.
 */
#include "bytes.h"
#include "hash.h"
#include "internal.h"

/* With fewer mappings the caches hold all of it, and looking ahead is only
 * work (tests/bench/engine_run). */
#define MANY 4096U
#define AT_ONCE 64U /* packets that take a step together */
#define QUOTE_AT (IPV4_HEADER + ICMP_QUOTE) /* of an ICMP error */

/* What of a packet tells whose it is. */
struct sight {
	const struct nat_chain *chain; /* NULL: it is not looked for */
	struct nat_socket own; /* its inside or our outside socket */
	uint32_t peer_addr;
	uint32_t hash; /* in chain, then of the session */
	uint32_t mapping;
	uint32_t session;
};

/* A header without options, and ports behind it. */
static bool has_ports(const uint8_t *ip, uint32_t length)
{
	return length >= IPV4_HEADER + 4 && ip[0] == 0x45 &&
	       (ip[IP_PROTO] == NAT_PROTO_TCP ||
		ip[IP_PROTO] == NAT_PROTO_UDP) &&
	       !(nat_load16(ip + IP_FRAGMENT) & IPV4_OFFSET);
}

static bool is_error(const uint8_t *ip, uint32_t length)
{
	const uint8_t *l4 = ip + IPV4_HEADER;

	return length >= QUOTE_AT && ip[0] == 0x45 &&
	       ip[IP_PROTO] == NAT_PROTO_ICMP &&
	       (l4[ICMP_TYPE] == ICMP_UNREACHABLE ||
		l4[ICMP_TYPE] == ICMP_TIME_EXCEEDED ||
		l4[ICMP_TYPE] == ICMP_PARAMETER_PROBLEM);
}

/* Which bucket? An error from outside quotes what left here. */
static void look(const struct nat *nat, const struct nat_packet *packet,
		 struct sight *sight)
{
	const uint8_t *ip = packet->data, *l4;
	uint32_t length = packet->length;
	bool outbound = packet->path == NAT_PATH_OUTBOUND, sent = outbound;

	sight->chain = NULL;
	if (!outbound && packet->path != NAT_PATH_INBOUND)
		return;
	if (!outbound && is_error(ip, length)) {
		ip += QUOTE_AT;
		length -= QUOTE_AT;
		sent = true;
	}
	if (!has_ports(ip, length))
		return;
	l4 = ip + IPV4_HEADER;
	sight->own = nat_socket(ip[IP_PROTO],
				nat_load32(ip + (sent ? IP_SRC : IP_DST)),
				nat_load16(l4 + (sent ? L4_SRC : L4_DST)));
	sight->peer_addr = nat_load32(ip + (sent ? IP_DST : IP_SRC));
	sight->chain = outbound ? &nat->by_inside : &nat->by_outside;
	sight->hash = outbound ?
			      nat_hash_socket(nat, sight->own) :
			      nat_hash_port(sight->own.proto, sight->own.port);
	__builtin_prefetch(
		&sight->chain->heads[sight->hash & sight->chain->mask]);
}

static void prefetch_record(const void *record, size_t bytes)
{
	const uint8_t *first = record;

	__builtin_prefetch(first, 1);
	__builtin_prefetch(first + bytes - 1, 1);
}

/* Which record? */
static void look_closer(const struct nat *nat, struct sight *sight)
{
	sight->mapping = nat_chain_first(sight->chain, sight->hash);
	prefetch_record(&nat->mappings[sight->mapping], sizeof(*nat->mappings));
}

/* Its one session, or which bucket of its sessions? */
static void look_into(const struct nat *nat, struct sight *sight)
{
	const struct nat_mapping *mapping;
	uint32_t slot = sight->chain == &nat->by_inside ?
				nat_find_inside(nat, sight->own) :
				nat_find_outside(nat, sight->own);

	sight->mapping = slot;
	sight->session = 0;
	if (!slot)
		return;
	mapping = &nat->mappings[slot];
	sight->session = mapping->first;
	if (mapping->sessions > 1) {
		sight->hash = nat_hash_session(nat, slot, sight->peer_addr);
		__builtin_prefetch(
			&nat->by_session
				 .heads[sight->hash & nat->by_session.mask]);
		return;
	}
	prefetch_record(&nat->sessions[sight->session], sizeof(*nat->sessions));
}

static void look_at_session(const struct nat *nat, struct sight *sight)
{
	if (nat->mappings[sight->mapping].sessions > 1) {
		sight->session = nat_chain_first(&nat->by_session, sight->hash);
		prefetch_record(&nat->sessions[sight->session],
				sizeof(*nat->sessions));
	}
	__builtin_prefetch(&nat->session_links[sight->session], 1);
}

/* It will leave its place among those of its timer. */
static void look_beside(const struct nat *nat, const struct sight *sight)
{
	struct nat_link link = nat->session_links[sight->session];

	__builtin_prefetch(&nat->session_links[link.prev], 1);
	__builtin_prefetch(&nat->session_links[link.next], 1);
}

static void foresee(const struct nat *nat, struct nat_packet *packets,
		    uint32_t count)
{
	static void (*const steps[])(const struct nat *,
				     struct sight *) = { look_closer, look_into,
							 look_at_session };
	struct sight sights[AT_ONCE];

	for (uint32_t i = 0; i < count; i++)
		look(nat, &packets[i], &sights[i]);
	for (size_t step = 0; step < sizeof(steps) / sizeof(steps[0]); step++)
		for (uint32_t i = 0; i < count; i++)
			if (sights[i].chain)
				steps[step](nat, &sights[i]);
	for (uint32_t i = 0; i < count; i++) {
		if (!sights[i].chain)
			continue;
		look_beside(nat, &sights[i]);
		packets[i].hint = (struct nat_hint){
			.session = sights[i].session,
			.removals = nat->by_inside.removals,
		};
		if (sights[i].chain == &nat->by_inside)
			packets[i].hint.inside = sights[i].mapping;
		else
			packets[i].hint.outside = sights[i].mapping;
	}
}

void nat_foresee_all(const struct nat *nat, struct nat_packet *packets,
		     uint32_t count)
{
	for (uint32_t done = 0; done < count; done += AT_ONCE)
		foresee(nat, packets + done,
			count - done < AT_ONCE ? count - done : AT_ONCE);
}

void nat_foresee(const struct nat *nat, struct nat_packet *packets,
		 uint32_t count)
{
	if (nat->mapping_live.count >= MANY)
		nat_foresee_all(nat, packets, count);
}
