/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The words of the engine's interface (nat.h): protocols, pools, timers, states,
 * reasons of refusal, and sets of addresses and ports.
 */
#ifndef PORTICO_TYPES_H
#define PORTICO_TYPES_H

#include <stdbool.h>
#include <stdint.h>

/* --- protocols, pools, timers ------------------------------------------- */

/* IANA protocol numbers, the ones the engine knows by name. */
enum nat_proto {
	NAT_PROTO_ICMP = 1,
	NAT_PROTO_TCP = 6,
	NAT_PROTO_UDP = 17,
	NAT_PROTO_DCCP = 33, /* RFC 4340, RFC 5597 */
	NAT_PROTO_GRE = 47, /* RFC 2784, RFC 2890; PPTP's RFC 2637 */
	NAT_PROTO_ESP = 50, /* RFC 4303 */
	NAT_PROTO_SCTP = 132, /* RFC 9260 */
	NAT_PROTO_UDPLITE = 136, /* RFC 3828 */
};

/* Outside ports. UDP-Lite takes its ports from UDP's pool and DCCP from TCP's:
 * the pairs share filtering, bound ports and exhaustion, but no mapping. */
enum nat_pool { NAT_POOL_UDP, NAT_POOL_TCP, NAT_POOL_ICMP, NAT_POOLS };

/* RFC 4787 5: who may send to a mapping from outside. */
enum nat_filter {
	NAT_FILTER_ENDPOINT_INDEPENDENT,
	NAT_FILTER_ADDRESS_DEPENDENT,
	NAT_FILTER_ADDRESS_AND_PORT_DEPENDENT,
	NAT_FILTERS
};

/* Timeout classes; each has one duration (design: O(1) refresh per list). */
enum nat_timer {
	NAT_TIMER_UDP,
	NAT_TIMER_TCP_OPENING,
	NAT_TIMER_TCP_ESTABLISHED, /* the whole idle life, see nat_config */
	NAT_TIMER_TCP_CLOSING,
	NAT_TIMER_ICMP,
	NAT_TIMER_OTHER,
	NAT_TIMERS
};

enum nat_kind { NAT_KIND_DYNAMIC, NAT_KIND_FORWARD, NAT_KINDS };

/* Session states: RFC 7857 2 and RFC 6146 3.5.2.2. Other protocols than TCP
 * use INIT until an answer came, then ESTABLISHED. */
enum nat_state {
	NAT_STATE_INIT,
	NAT_STATE_ESTABLISHED,
	NAT_STATE_C_FIN,
	NAT_STATE_S_FIN,
	NAT_STATE_C_FIN_S_FIN,
	NAT_STATE_TRANS,
	NAT_STATES
};

enum nat_drop {
	NAT_DROP_NONE,
#define NAT_DROP(id, name, help) NAT_DROP_##id,
#include "portico/drops.def"
#undef NAT_DROP
	NAT_DROPS
};

/* The names that logs, status and JSON use; NULL-free for every valid value. */
const char *nat_drop_name(enum nat_drop drop);
const char *nat_drop_help(enum nat_drop drop);
const char *nat_state_name(enum nat_state state);
const char *nat_kind_name(enum nat_kind kind);
const char *nat_pool_name(enum nat_pool pool); /* "udp", "tcp", "icmp" */
/* The pool of a protocol; -1 for one whose ports are not rewritten. */
int nat_pool_of(uint8_t proto);

/* --- sets --------------------------------------------------------------- */

/* An IPv4 prefix; bits of addr beyond length are zero. */
struct nat_prefix {
	uint32_t addr;
	uint8_t length; /* 0..32 */
};

static inline bool nat_prefix_has(const struct nat_prefix *prefix,
				  uint32_t addr)
{
	uint32_t mask = prefix->length ? ~0U << (32 - prefix->length) : 0;

	return (addr & mask) == prefix->addr;
}

/* A set of the 65,536 ports of one protocol, one bit each. */
#define NAT_PORTS 65536U
struct nat_portset {
	uint8_t bits[NAT_PORTS / 8];
};

static inline bool nat_portset_has(const struct nat_portset *set, uint16_t port)
{
	return set->bits[port >> 3] >> (port & 7) & 1;
}

static inline void nat_portset_add(struct nat_portset *set, uint16_t port)
{
	set->bits[port >> 3] |= (uint8_t)(1U << (port & 7));
}

static inline void nat_portset_remove(struct nat_portset *set, uint16_t port)
{
	set->bits[port >> 3] &= (uint8_t) ~(1U << (port & 7));
}

#endif
