/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The engine's own memory: what struct nat is made of. See the theory of
 * operation at the top of nat.c first.
 *
 * Records (records.h) may lie in a file shared with the next process. Indices
 * (struct nat and what it points to) are rebuilt from them.
 */
#ifndef PORTICO_NAT_ENGINE_H
#define PORTICO_NAT_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "bucket.h"
#include "chain.h"
#include "index.h"
#include "list.h"
#include "parse.h"
#include "ports.h"
#include "portico/nat.h"
#include "records.h"
#include "seal.h"
#include "share.h"

/* Free slots: those given back, then those never used (so that memory is
 * touched only as the tables grow). */
struct nat_slots {
	struct nat_list free;
	uint32_t top; /* slots 1..top have been used */
	uint32_t limit;
};

static inline bool nat_slots_left(const struct nat_slots *slots)
{
	return slots->free.head || slots->top < slots->limit;
}

/* A datagram in fragments. Twelve bytes without padding: a hash key. */
struct nat_fragment_key {
	uint32_t src;
	uint32_t dst;
	uint16_t id;
	uint8_t proto;
	uint8_t path;
};

struct nat_datagram {
	struct nat_fragment_key key;
	/* What its first fragment became; meaningless until known. */
	uint32_t src;
	uint32_t dst;
	uint16_t id;
	uint8_t mark;
	uint32_t chain; /* copies that wait: offset in the ring + 1, 0: none */
	uint32_t last; /* the last of them; meaningless without chain */
	bool known;
	uint64_t since_ms;
};

struct nat_fragments {
	struct nat_datagram *datagrams; /* by slot */
	struct nat_index by_key;
	struct nat_link *links;
	struct nat_slots slots;
	struct nat_list known; /* both in order of age */
	struct nat_list waiting;
	uint32_t ready; /* the datagram whose copies may leave, 0: none */
	uint8_t *ring;
	uint32_t bytes; /* size of the ring */
	uint32_t first; /* offset of the oldest copy */
	uint32_t used;
};

/* A refused SYN whose sender may be told after 6 s (RFC 5382 REQ-4). */
#define NAT_LATE_BYTES 80U /* quoted at most: two headers with options */
struct nat_late {
	uint64_t since_ms;
	uint32_t peer_addr;
	uint16_t peer_port;
	uint16_t port; /* ours */
	uint8_t length; /* 0: answered by an outbound SYN, or free */
	uint8_t quote[NAT_LATE_BYTES];
};

/* A host's ports, beside what its record says: rebuilt with the indices. */
struct nat_host_ports {
	uint32_t of[NAT_POOLS]; /* of its dynamic mappings */
};

#define NAT_LATE_MAX 64U /* bounded store, oldest first */
#define NAT_PROBES 64U
#define NAT_IDS 1024U

/* Sessions that the uplink's move has cut have a list of their own. */
#define NAT_TIMER_CUT NAT_TIMERS
#define NAT_LISTS (NAT_TIMERS + 1)
#define NAT_CUT_MS 10000U /* how long they are in it at most */

/* How far telling the inside ends of a move has come. */
struct nat_tell {
	uint64_t since_ms; /* the move */
	uint32_t next; /* slot of the session that is due */
	uint8_t rounds; /* that are left, this one included; 0: all are told */
	bool queries; /* ICMP queries, too */
	bool reset, asked; /* what the session that is due has been sent */
	struct nat_bucket pace;
};

struct nat {
	struct nat_limits limits;
	const struct nat_config *config;
	struct nat_siphash_key hash_key;
	struct nat_random random;
	struct nat_hint hint; /* of the packet that is being translated */
	uint32_t uplink; /* 0: no address now */
	uint32_t odd[256 / 32]; /* first octets of which some are martians */
	uint64_t timer_ms[NAT_LISTS]; /* as nat_timer_ms() */

	/* records, by slot 1..limit */
	struct nat_header *header;
	struct nat_mapping *mappings;
	struct nat_session *sessions;
	struct nat_host *hosts;
	struct nat_held *held; /* ring of limits.held_ports, from 0 */
	struct nat_tagged *tagged;

	/* indices */
	struct nat_chain by_inside; /* nat_socket -> mapping, first alias */
	struct nat_chain by_outside; /* protocol, port -> mapping */
	struct nat_chain by_session; /* nat_session_key -> session */
	struct nat_index by_host; /* address -> host */
	struct nat_index by_peer; /* nat_peer_key -> tagged, many each */

	/* lists: a slot is in the free list or in one of the others */
	struct nat_link *mapping_links; /* free, or live */
	struct nat_link *session_links; /* free, or by timer class */
	struct nat_link *sibling_links; /* sessions of one mapping */
	struct nat_link *host_links; /* free, or idle (no mappings) */
	struct nat_link *tagged_links; /* free */
	struct nat_slots mapping_slots;
	struct nat_slots session_slots;
	struct nat_slots host_slots;
	struct nat_slots tagged_slots;
	uint16_t last_part; /* of the newest tagged session */
	struct nat_list mapping_live;
	struct nat_list timers[NAT_LISTS];
	struct nat_list host_idle;
	uint32_t hosts_live;
	uint64_t swept_ms; /* when expiry last ran */
	uint64_t clock_ms; /* the latest time heard of */
	uint32_t clock_s; /* the same in whole seconds */

	struct nat_ports *ports; /* by pool */
	uint32_t used[NAT_POOLS]; /* ports of dynamic mappings */
	uint32_t held_ports[NAT_POOLS];
	struct nat_host_ports *host_ports; /* by host */
	struct nat_share shares[NAT_SHARES];
	uint32_t forwards_missing; /* ports there was no room for */
	uint32_t forward_next, forward_step; /* the port that is tried next */

	struct nat_fragments fragments;
	struct nat_late late[NAT_LATE_MAX]; /* ring */
	uint32_t late_first, late_count;
	uint32_t probes[NAT_PROBES]; /* sessions that were just retired */
	uint32_t probe_count;
	struct nat_tell tell;
	struct nat_carrier carrier; /* carry NULL: nobody */
	uint32_t carried; /* sessions */
	uint16_t ids[NAT_IDS]; /* the next IP id, by hash of where it goes */

	struct nat_bucket answers; /* generated ICMP */
	struct nat_stats stats; /* only the counters of it */
	uint8_t answer[NAT_ANSWER_MAX];
};

/* Whole seconds; they stop after 136 years. */
static inline uint32_t nat_seconds(uint64_t ms)
{
	return ms / 1000 < UINT32_MAX ? (uint32_t)(ms / 1000) : UINT32_MAX;
}

/* Time never goes back: lists and buckets rely on it. An earlier one than has
 * been heard of counts as that one, until it has caught up. */
static inline uint64_t nat_clock(struct nat *nat, uint64_t now_ms)
{
	if (now_ms > nat->clock_ms) {
		nat->clock_ms = now_ms;
		nat->clock_s = nat_seconds(now_ms);
	}
	return nat->clock_ms;
}

/* One packet on its way through the engine. */
struct nat_work {
	struct nat *nat;
	struct nat_packet *packet;
	struct nat_parsed p;
	uint64_t now_ms;
};

/* Sessions of ICMP and other port-less protocols have peer port 0. */
static inline uint16_t nat_peer_port(uint8_t proto, uint16_t port)
{
	return proto == NAT_PROTO_ICMP ? 0 : port;
}

#endif
