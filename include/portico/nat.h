/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The engine's public face: all that platform/ and tests/ may know of nat/.
 *
 * The engine is pure: it makes no system call, reads no clock, draws no
 * randomness and allocates nothing. Time, secrets and memory are arguments;
 * packets go in, packets and verdicts come out. One struct nat belongs to one
 * thread; several may exist side by side.
 *
 * Addresses and ports are in host order everywhere in this interface; an ICMP
 * query id stands in the place of a port. Times named now_ms are milliseconds
 * of a clock that never goes backwards.
 */
#ifndef PORTICO_NAT_H
#define PORTICO_NAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "portico/types.h"

struct nat; /* opaque; lives in the caller's memory blocks */

/* --- configuration ------------------------------------------------------ */

/* Sizes fixed for the life of a struct nat; each at least 1. */
struct nat_limits {
	uint32_t mappings;
	uint32_t sessions;
	uint32_t hosts;
	uint32_t held_ports;
	uint32_t fragments; /* datagrams followed at once */
	uint32_t fragment_bytes; /* fragments that wait for their first part */
	uint32_t tagged; /* sessions of SCTP, GRE and ESP; may be 0 */
};

/* Upper bound of each member of nat_limits: keeps every size in 32 bits. */
#define NAT_LIMIT_MAX 4194304U

/* An operator's port forward. outside_first..outside_last map one to one onto
 * inside_first.. of the inside address. */
struct nat_forward {
	const char *name;
	uint8_t proto; /* NAT_PROTO_TCP or NAT_PROTO_UDP */
	uint16_t outside_first;
	uint16_t outside_last;
	uint32_t inside_addr;
	uint16_t inside_first;
	const struct nat_prefix *from; /* allowed peers; count 0: everyone */
	size_t from_count;
};

/* All that may change while the engine runs. The caller owns it and what it
 * points to, and keeps both until another configuration has taken its place. */
struct nat_config {
	enum nat_filter filtering[NAT_POOLS];
	/* By protocol number: those the operator wants left alone though the
	 * engine could translate them. */
	bool untranslated[256];
	/* Seconds, 1..604800. tcp_established is the whole idle life of an
	 * established session: the last tcp_closing seconds of it are spent in
	 * TRANS (RFC 7857 2). */
	uint32_t timeout_s[NAT_TIMERS];
	uint32_t port_hold_s; /* RFC 6888 REQ-8, UDP and ICMP; 0..604800 */

	uint32_t host_mappings; /* per inside host */
	uint32_t host_sessions; /* per inside host */
	uint32_t mapping_sessions; /* per mapping */
	uint32_t host_new_per_second; /* new mappings per host, 10 s of burst */
	/* Mappings that every host can have whatever others do: a port and a
	 * session with each; 0: none. Holds for all limits.hosts hosts when
	 * they together need no more than an eighth of each table and pool. */
	uint32_t host_guaranteed;
	uint32_t peer_tagged; /* sessions of SCTP, GRE, ESP with one peer */
	/* ICMP errors made in a second and at once (RFC 1812 4.3.2.8, RFC 5508
	 * REQ-10f); 0: none (REQ-9). */
	uint32_t icmp_per_second; /* in all */
	uint32_t host_icmp_per_second; /* to one inside host */

	bool hairpin;
	bool inbound_refresh; /* RFC 4787 REQ-6a, peers already sent to */
	bool icmp_after_6s; /* RFC 5382 REQ-4 */
	bool parity; /* RFC 4787 REQ-4 */
	bool idle_probe; /* ask the inside end of an idle session (RFC 7857 2) */
	/* Established sessions are offered to the carrier (nat_set_carrier()) every
	 * so many packets; 0: none is. */
	uint32_t carry_after;
	uint8_t refuse_code; /* ICMP type 3 code for refusals: 13 or 1 */
	uint32_t fragment_s; /* life of a followed datagram, 2..120 */

	struct nat_portset pool[NAT_POOLS]; /* what may be handed out */
	/* The part of the pools kept for inside ports below 1024 (RFC 4787
	 * REQ-3a without giving low ports to everyone). */
	struct nat_portset low_only;

	const struct nat_prefix *inside; /* the inside networks */
	size_t inside_count;
	const struct nat_prefix *exempt; /* destinations not translated */
	size_t exempt_count;
	const struct nat_prefix
		*martians; /* refused beside the built-in ones */
	size_t martian_count;
	const struct nat_forward *forwards;
	size_t forward_count;
};

/* Drawn once per start by the caller from an unpredictable source. */
struct nat_secrets {
	uint8_t hash_key[16]; /* keyed hash of the tables */
	uint8_t port_key[16]; /* the sequence of chosen ports */
};

/* --- life --------------------------------------------------------------- */

/* Bytes the two blocks need for these limits; 0 when a limit is out of range.
 * Records may lie in a shared file; indices are rebuilt from them. */
size_t nat_records_size(const struct nat_limits *limits);
size_t nat_indices_size(const struct nat_limits *limits);

/* Makes an engine in the two blocks, both aligned to 64 bytes and at least as
 * large as the functions above say. It refuses all traffic (no_uplink) until
 * nat_configure() and nat_set_uplink() have been called.
 * Returns NULL when a limit is out of range, a block is too small or
 * misaligned. Both blocks must be zeroed (as fresh pages are: nothing is written
 * to a page of them before it is needed). */
struct nat *nat_init(const struct nat_limits *limits,
		     const struct nat_secrets *secrets, void *records,
		     size_t records_bytes, void *indices, size_t indices_bytes,
		     uint64_t now_ms);

/* What nat_restore() found in the block of records. */
enum nat_past {
	NAT_PAST_NONE, /* nothing: the block is zeroed */
	NAT_PAST_KEPT, /* a table: it goes on */
	NAT_PAST_REBOOT, /* a table of another run of the clock */
	NAT_PAST_RESIZED, /* a table of other limits */
	NAT_PAST_LAYOUT, /* the table of another version */
	NAT_PAST_DAMAGED, /* no table, or one whose header does not check */
	NAT_PASTS
};
const char *nat_past_name(enum nat_past past); /* as a half-sentence */

/* Why a record was dropped. */
enum nat_loss {
	NAT_LOSS_NONE,
	NAT_LOSS_DAMAGED, /* half-written, or changed since */
	NAT_LOSS_RANGE, /* a state, timer or time that cannot be */
	NAT_LOSS_DUPLICATE, /* another record has the same socket or peer */
	NAT_LOSS_ORPHAN, /* it has lost what it belongs to, or all it had */
	NAT_LOSSES
};

struct nat_restored {
	enum nat_past past;
	bool clean; /* nat_leave() was called */
	uint32_t mappings, sessions, hosts; /* that go on */
	uint32_t held; /* ports that rest, those of lost mappings included */
	uint32_t lost[NAT_LOSSES]; /* records of any kind */
};

/* nat_init() for a block of records that may hold what an earlier engine left
 * there, killed at whatever moment. A table of the same limits, version and
 * run of the clock goes on: each record is checked, what does not check is
 * dropped, the port of a lost dynamic mapping rests (RFC 6888 REQ-8). Else the
 * table starts empty, and the ports of one that can be read rest from now on.
 * boot: tells one run of the clock of now_ms from another. The block of
 * indices must be zeroed, and so must records that hold nothing.
 * Returns NULL as nat_init() does, else *restored is filled in. Nothing but
 * hosts is shown, and nothing translated, before nat_configure(); it and
 * nat_set_uplink() then apply the difference to what was in force before. */
struct nat *nat_restore(const struct nat_limits *limits,
			const struct nat_secrets *secrets,
			const uint8_t boot[16], void *records,
			size_t records_bytes, void *indices,
			size_t indices_bytes, uint64_t now_ms,
			struct nat_restored *restored);

/* Lets the ports of another block's table rest, whatever its limits, if it can
 * be read; to be called before nat_configure() on an empty table. The block is
 * aligned to 64 bytes and not changed. restored->past and ->held then tell of
 * it (NAT_PAST_RESIZED: it could be read).
 * Returns how many ports rest. */
uint32_t nat_rest_ports(struct nat *nat, void *records, size_t records_bytes,
			uint64_t now_ms, struct nat_restored *restored);

/* The last call of an engine whose records shall go on: an orderly end. */
void nat_leave(struct nat *nat);

/* Puts a configuration in force, which the caller leaves as it is until the next
 * one, and applies the difference: forwards that are no longer named end with
 * their sessions, and the UDP ports that they were used by rest; new ones begin;
 * dynamic mappings stay as long as their port is still in the pool.
 * Returns the number of forward ports for which the table had no room (0 is
 * success). */
uint32_t nat_configure(struct nat *nat, const struct nat_config *config,
		       uint64_t now_ms);

/* Makes forwards that there was no room for, if there is some now; to be called
 * from time to time while any are missing. Looks at so many ports in one call
 * that no packet waits for it. Returns how many are still missing. */
uint32_t nat_add_forwards(struct nat *nat, uint64_t now_ms);

/* The uplink's address; 0 when it has none (all state is kept, traffic is refused
 * with no_uplink). Another address than the last one known moves all mappings,
 * which keep their ports, and cuts the TCP connections: nat_next_output() tells
 * their inside ends (nat/move.c). What the router is bound to at the new address
 * should be known before (nat_set_bound).
 * Returns the number of mappings that no port was left for: they have ended. */
uint32_t nat_set_uplink(struct nat *nat, uint32_t addr, uint64_t now_ms);
uint32_t nat_uplink(const struct nat *nat);
/* The last one that was not 0, also an earlier process's; 0: there was none. */
uint32_t nat_known_uplink(const struct nat *nat);

/* An inside address changes hands (its lease ended): ends its dynamic mappings
 * and all its sessions; its forwards stay (RFC 4787 13). Their ports rest.
 * Returns the number of sessions ended. */
uint32_t nat_flush_host(struct nat *nat, uint32_t addr, uint64_t now_ms);

/* Ports on which the router itself listens or talks; they are not handed out
 * and packets to them are left to the router unless mapped. */
void nat_set_bound(struct nat *nat, enum nat_pool pool,
		   const struct nat_portset *bound);

/* --- packets ------------------------------------------------------------ */

/* Where the packet was met: decides its direction, never its addresses. */
enum nat_path {
	NAT_PATH_INBOUND, /* before routing, came by the uplink */
	NAT_PATH_OUTBOUND, /* after routing, inside to uplink */
	NAT_PATH_HAIRPIN_IN, /* before routing, inside to our address */
	NAT_PATH_HAIRPIN_OUT, /* after routing, the hairpin's second pass */
	NAT_PATH_ERROR_OUT, /* after routing, ICMP error leaving by the uplink
			     * that no other path owns */
	NAT_PATH_LOOPBACK, /* ICMP error to ourselves, met on lo */
	NAT_PATHS
};

/* What the transport checksum field holds (nfqueue.md 3). */
enum nat_checksum {
	NAT_CHECKSUM_COMPLETE, /* updated incrementally, wrong stays wrong */
	NAT_CHECKSUM_PARTIAL, /* pseudo-header sum only: made complete */
	NAT_CHECKSUM_GSO, /* pseudo-header sum of a super-packet: kept so */
};

/* What nat_foresee() has found; all 0: nothing. */
struct nat_hint {
	uint32_t inside; /* the mapping of its inside socket, */
	uint32_t outside; /* or of its outside one */
	uint32_t session;
	uint32_t removals; /* from the index of inside sockets, until then */
};

struct nat_packet {
	uint8_t *data; /* the IPv4 header; rewritten in place */
	uint32_t length; /* bytes present at data */
	enum nat_path path;
	enum nat_checksum checksum;
	/* Met on a bridge whose kernel will bridge, not route, a packet that is
	 * turned back: it refuses to do so by the port it came from. */
	bool bridged;
	struct nat_hint hint;
};

enum nat_verdict {
	NAT_UNTOUCHED, /* not ours: let it go on as it came */
	NAT_TRANSLATED, /* rewritten in place, same length */
	NAT_DROPPED, /* refused; drop says why */
	NAT_CONSUMED, /* taken: it, or an answer, leaves by the raw socket */
};

/* Marks: the two bits of queue.mark, to be OR-ed into the packet's mark. */
enum nat_mark {
	NAT_MARK_NONE = 0,
	NAT_MARK_INBOUND = 1,
	NAT_MARK_OUTBOUND = 2,
	NAT_MARK_HAIRPIN = 3,
};

/* Bytes of the largest ICMP answer (RFC 1812 4.3.2.3). */
#define NAT_ANSWER_MAX 576

struct nat_result {
	enum nat_verdict verdict;
	enum nat_drop drop; /* NAT_DROP_NONE unless dropped */
	enum nat_mark mark; /* for a translated packet */
	/* A packet to be sent by a raw socket with IP_HDRINCL (an ICMP answer,
	 * or the packet itself): valid until the next call, length 0: none. Its
	 * source is 0.0.0.0 where the kernel shall fill in the address of the
	 * device it leaves by. */
	const uint8_t *answer;
	uint32_t answer_length;
	bool output; /* nat_next_output() has packets that waited for this one */
};

/* Looks ahead over packets that will be translated one after another: fetches
 * what they need into the caches, and fills in their hints. Changes nothing
 * else; need not be called. */
void nat_foresee(const struct nat *nat, struct nat_packet *packets,
		 uint32_t count);

/* The one door of the engine: judges and rewrites one packet.
 * Never reads or writes beyond data[length - 1]. */
struct nat_result nat_translate(struct nat *nat, struct nat_packet *packet,
				uint64_t now_ms);

/* Packets of the engine's own, to be sent by the same raw socket: fragments
 * that had come before the first of their datagram (after its verdict), late
 * ICMP (icmp_after_6s), questions to idle ends (idle_probe), and what tells inside
 * ends of a move of the uplink. To be called until it returns false after a
 * result with `output`, and once a second; while nat_telling(), every 10 ms.
 * True: *packet (*length bytes) is valid until the next call of any kind. */
bool nat_next_output(struct nat *nat, uint64_t now_ms, const uint8_t **packet,
		     uint32_t *length);

/* Are there inside ends to be told of a move? At a pace of 25,000 a second, 256
 * at once. */
bool nat_telling(const struct nat *nat);

/* Counts a packet that the platform had to refuse itself (truncated). */
void nat_count_drop(struct nat *nat, enum nat_drop drop);

/* Counts one of them as untouched instead: the platform found it to be the
 * router's own. */
void nat_count_own(struct nat *nat, enum nat_drop drop);

/* Ends what has expired and frees ports whose hold time is over. Called at least
 * once a second; also done on demand.
 * Ends at most max sessions, and looks at as many of each timeout. Returns how
 * many ended or, of one timeout, were due to end or to go on in TRANS, whatever
 * is more: max means that there may be more of them. */
uint32_t nat_expire(struct nat *nat, uint64_t now_ms, uint32_t max);

struct nat_counters {
	uint64_t out_packets;
	uint64_t out_bytes;
	uint64_t in_packets;
	uint64_t in_bytes;
};

/* --- the fast path ------------------------------------------------------ */

/* A session that may be carried by somebody who only rewrites (design 9). */
struct nat_carried {
	uint32_t
		session; /* its name until it is given back: 1..limits.sessions */
	uint8_t proto; /* NAT_PROTO_TCP or NAT_PROTO_UDP */
	uint32_t inside_addr;
	uint32_t outside_addr;
	uint32_t peer_addr;
	uint16_t inside_port;
	uint16_t outside_port;
	uint16_t peer_port;
};

/* The latest that an end of a TCP connection has said of what it expects. */
struct nat_carried_end {
	bool known;
	uint32_t ack; /* the next sequence number */
	uint16_t window; /* as in the segment, not scaled */
};

/* Who carries sessions. Called from within the engine's functions, and must not
 * call them. */
struct nat_carrier {
	/* From now on packets of this session may be rewritten without the
	 * engine. False: it is not carried; it is offered again later. */
	bool (*carry)(void *context, const struct nat_carried *session);
	/* Adds to *use what has been carried of it since the last time. */
	void (*use)(void *context, uint32_t session, struct nat_counters *use);
	/* No packet of it is carried any more; adds to *use as well. Fills in
	 * what it knows of the ends of a TCP connection, [0] the inside one;
	 * they come zeroed. */
	void (*give_back)(void *context, uint32_t session,
			  struct nat_counters *use,
			  struct nat_carried_end ends[2]);
	void *context;
};

/* The struct is copied. NULL: nobody carries. What was carried before is given
 * back first; its use is of the time that the engine heard of last. */
void nat_set_carrier(struct nat *nat, const struct nat_carrier *carrier);

/* Asks the carrier what a session was used for, accounts it and refreshes the
 * session, as used now: to be called once in a while for each that was, which is
 * how far its idle time and counters may be behind.
 * Returns false when it was not used, or is not carried. */
bool nat_carried_used(struct nat *nat, uint32_t session, uint64_t now_ms);

/* --- looking ------------------------------------------------------------ */

#define NAT_NEVER UINT64_MAX

struct nat_mapping_view {
	uint8_t proto;
	enum nat_kind kind;
	uint32_t inside_addr;
	uint16_t inside_port;
	uint32_t outside_addr; /* 0 while the uplink has no address */
	uint16_t outside_port;
	uint32_t sessions;
	uint64_t age_ms;
	uint64_t idle_ms;
	uint64_t expires_ms; /* from now; NAT_NEVER for forwards */
	struct nat_counters counters;
	const char *name; /* of a forward, else NULL */
};

struct nat_session_view {
	uint8_t proto;
	uint32_t inside_addr;
	uint16_t inside_port;
	uint32_t outside_addr;
	uint16_t outside_port;
	uint32_t peer_addr;
	uint16_t peer_port; /* 0 for ICMP and port-less protocols */
	uint32_t mapping; /* the cursor after nat_next_mapping() has shown it */
	enum nat_state state;
	uint64_t age_ms;
	uint64_t idle_ms;
	uint64_t expires_ms; /* from now, to removal */
	struct nat_counters counters;
	bool carried; /* by the fast path: use up to a second old is missing */
};

struct nat_host_view {
	uint32_t addr;
	uint32_t mappings;
	uint32_t sessions;
	uint64_t refused; /* packets refused for quota, rate or lack of room */
	struct nat_counters counters;
};

/* Walk a table: start with *cursor = 0, each call fills *view with the next
 * entry and returns true, or returns false at the end. The table may change
 * between calls; an entry that lives through the whole walk is shown once. */
bool nat_next_mapping(const struct nat *nat, uint32_t *cursor, uint64_t now_ms,
		      struct nat_mapping_view *view);
bool nat_next_session(const struct nat *nat, uint32_t *cursor, uint64_t now_ms,
		      struct nat_session_view *view);
bool nat_next_host(const struct nat *nat, uint32_t *cursor,
		   struct nat_host_view *view);

struct nat_pool_stats {
	uint32_t used; /* dynamic mappings hold them */
	uint32_t held; /* resting after use */
	uint32_t total; /* what may be handed out, bound ports subtracted */
};

struct nat_stats {
	uint32_t mappings, mappings_limit;
	uint32_t sessions, sessions_limit;
	uint32_t hosts, hosts_limit;
	uint32_t tagged, tagged_limit; /* sessions of SCTP, GRE and ESP */
	struct nat_pool_stats ports[NAT_POOLS];
	uint64_t outbound_packets, outbound_bytes;
	uint64_t inbound_packets, inbound_bytes;
	uint64_t hairpin_packets; /* counted once per datagram */
	uint64_t untouched_packets;
	uint64_t drops[NAT_DROPS];
	uint64_t held_overflow; /* ports freed early: limits.held_ports hit */
	uint64_t icmp_suppressed; /* not made: icmp_per_second and so on hit */
	uint64_t idle_probes; /* idle ends asked */
	uint64_t idle_unprobed; /* not asked: too many at once */
	uint64_t moves; /* of the uplink to another address */
	uint64_t move_mappings; /* dynamic ones that went along */
	uint64_t move_ports; /* of these, with another port */
	uint64_t move_ended; /* mappings that no port was left for */
	uint64_t move_cut; /* TCP connections */
	uint64_t move_told; /* inside ends told of it */
	uint64_t move_untold; /* not told in time: too many at once */
	uint32_t carried; /* sessions now */
};

void nat_stats(const struct nat *nat, struct nat_stats *stats);

/* Proves the tables' invariants (both indices agree, counts add up, free +
 * used + held = total, no outside socket twice, every list in order). For
 * tests and self-test: slow.
 * Returns NULL when all hold, else a sentence naming the broken one. */
const char *nat_check(const struct nat *nat);

#endif
