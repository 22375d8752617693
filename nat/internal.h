/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the engine's files know of each other, file by file.
 */
#ifndef PORTICO_NAT_INTERNAL_H
#define PORTICO_NAT_INTERNAL_H

#include "engine.h"

/* --- memory.c ---------------------------------------------------------------- */

/* Points the records of `nat` into a block of these limits (NULL: nowhere);
 * returns how many bytes they take. */
size_t nat_lay_records(struct nat *nat, const struct nat_limits *limits,
		       uint8_t *records);
/* nat_init() without a header: NULL or an engine whose indices are empty. */
struct nat *nat_lay(const struct nat_limits *limits,
		    const struct nat_secrets *secrets, void *records,
		    size_t records_bytes, void *indices, size_t indices_bytes,
		    uint64_t now_ms);
bool nat_limits_good(const struct nat_limits *limits);
/* Hash of the sizes of all records. */
uint32_t nat_shape(void);
/* Writes a fresh header over one that is all zero. */
void nat_make_header(struct nat *nat, const uint8_t boot[16]);

/* --- rebuild.c --------------------------------------------------------------- */

/* Makes the indices of records that an earlier engine left in the block, whose
 * header is good; drops what does not check. Counts into *report. */
void nat_rebuild(struct nat *nat, uint64_t now_ms, struct nat_restored *report);
/* Orders the lists of all timers by last use. */
void nat_sort_timers(struct nat *nat);
/* Finds out what of the ring of held ports is good; the ports of all mappings
 * are taken already. */
void nat_rebuild_held(struct nat *nat, uint64_t now_ms,
		      struct nat_restored *report);

/* --- table.c: records, indices, lists and pools stay in step here --------- */

static inline struct nat_socket nat_socket(uint8_t proto, uint32_t addr,
					   uint16_t port)
{
	return (struct nat_socket){ addr, port, proto, 0 };
}

/* Slots, 0: none. find_inside gives the first of a chain of aliases. */
uint32_t nat_find_inside(const struct nat *nat, struct nat_socket inside);
uint32_t nat_find_outside(const struct nat *nat, struct nat_socket outside);
uint32_t nat_find_host(const struct nat *nat, uint32_t addr);
/* The session of just this key, alive or not. */
uint32_t nat_find_key(const struct nat *nat, const struct nat_session_key *key);
/* The mapping of whatever protocol that has taken a pool's port. */
uint32_t nat_find_port(const struct nat *nat, enum nat_pool pool,
		       uint16_t port);

/* A session that is still alive at now_ms; an expired one is ended here. */
uint32_t nat_find_session(struct nat *nat, uint32_t mapping, uint32_t peer_addr,
			  uint16_t peer_port, uint64_t now_ms);

/* The session of any alias of `mapping` with this peer; *mapping becomes that
 * alias. An ended session may take a dynamic mapping along: *mapping is then
 * looked up again and may become 0. */
uint32_t nat_find_session_alias(struct nat *nat, uint32_t *mapping,
				uint32_t peer_addr, uint16_t peer_port,
				uint64_t now_ms);

/* True when the inside socket has sent to this address (and the session lives). */
bool nat_contacted(struct nat *nat, uint32_t mapping, uint32_t peer_addr,
		   uint64_t now_ms);

/* Finds or makes the host, ends what is over if there is no place for it; 0 when
 * the table is full of hosts in use. */
uint32_t nat_host_get(struct nat *nat, uint32_t addr, uint64_t now_ms);

/* The outside port must be unused and a slot free (where the inside socket has a
 * mapping, the new one becomes an alias). Takes the port from its pool. */
uint32_t nat_mapping_add(struct nat *nat, struct nat_socket inside,
			 uint16_t port, enum nat_kind kind, uint32_t host);
/* Ends its sessions first. hold: the port rests. */
void nat_mapping_end(struct nat *nat, uint32_t mapping, uint64_t now_ms,
		     bool hold);

/* Ends the sessions of a forward, which lives on. */
void nat_sessions_end(struct nat *nat, uint32_t mapping);

/* A slot must be free. */
uint32_t nat_session_add(struct nat *nat, uint32_t mapping, uint32_t peer_addr,
			 uint16_t peer_port, enum nat_timer timer,
			 uint64_t now_ms);
/* The same for a protocol with tags; a tagged slot must be free as well. */
uint32_t nat_session_add_tagged(struct nat *nat, uint32_t mapping,
				const struct nat_peer_key *peer,
				uint64_t now_ms);
/* The tagged slots with this peer, one after another (after: 0, then the last
 * one); 0: no more. */
uint32_t nat_next_tagged(const struct nat *nat, const struct nat_peer_key *peer,
			 uint32_t after);
/* A dynamic mapping dies with its last session. */
void nat_session_end(struct nat *nat, uint32_t session, uint64_t now_ms);

/* Moves the session to a timer class and restarts it. */
void nat_session_refresh(struct nat *nat, uint32_t session,
			 enum nat_timer timer, uint64_t now_ms);

/* Gives a mapping another outside port. */
void nat_mapping_move(struct nat *nat, uint32_t mapping, uint16_t port);
/* The sessions of a mapping, one after another; 0: no more. */
static inline uint32_t nat_sibling(const struct nat *nat, uint32_t session)
{
	return nat->sibling_links[session].next;
}
/* Gives a session another peer address, which no other one of its mapping and
 * peer port has. */
void nat_session_rename(struct nat *nat, uint32_t session, uint32_t peer_addr);
/* The second halves of making: the record is there. A host begins idle; a
 * mapping is not yet found by its inside socket (join: behind others that have
 * it; lead: as the first of them); a session is in no timer's list. */
void nat_host_link(struct nat *nat, uint32_t host);
void nat_mapping_link(struct nat *nat, uint32_t mapping);
void nat_mapping_join(struct nat *nat, uint32_t mapping);
void nat_mapping_lead(struct nat *nat, uint32_t mapping);
void nat_session_link(struct nat *nat, uint32_t session);
void nat_tagged_link(struct nat *nat, uint32_t tagged);

/* A free slot, 0: there is none. */
uint32_t nat_slot_take(struct nat_slots *slots, struct nat_link *links);

/* --- fragment.c ---------------------------------------------------------- */

struct nat_fragment_key nat_fragment_key(const struct nat_work *work);
/* A fragment without ports: follows its first one, or waits for it. */
struct nat_result nat_fragment_later(struct nat_work *work);
/* Remembers what became of a first fragment. key: from before the rewrite. */
void nat_fragment_first(struct nat_work *work,
			const struct nat_fragment_key *key,
			struct nat_result *result);
/* The next copy that may leave; NULL: none. */
const uint8_t *nat_fragment_output(struct nat *nat, uint32_t *length);
void nat_fragment_expire(struct nat *nat, uint64_t now_ms);
void nat_fragment_clear(struct nat *nat);
/* Forgets the datagrams from and to an inside address. */
void nat_fragment_forget(struct nat *nat, uint32_t addr);

/* --- foresee.c --------------------------------------------------------------- */

/* nat_foresee(), also of tables that are too small for it to pay. */
void nat_foresee_all(const struct nat *nat, struct nat_packet *packets,
		     uint32_t count);

/* --- late.c ----------------------------------------------------------------- */

/* Keeps a refused inbound SYN, if the operator wants it answered. */
void nat_late_keep(struct nat_work *work);
/* A SYN between this peer and port has passed: no answer any more. */
void nat_late_cancel(struct nat *nat, uint32_t peer_addr, uint16_t peer_port,
		     uint16_t port);
/* The next ICMP that is due (in nat->answer), or NULL. */
const uint8_t *nat_late_output(struct nat *nat, uint64_t now_ms,
			       uint32_t *length);

/* --- probe.c ---------------------------------------------------------------- */

/* The session has been idle until its time in TRANS began. */
void nat_probe_ask(struct nat *nat, uint32_t session);
/* The next segment that asks an idle end (in nat->answer), or NULL. */
const uint8_t *nat_probe_output(struct nat *nat, uint32_t *length);
/* Writes a bare segment from the peer of this TCP session to its inside end to
 * nat->answer, acknowledgement 0; returns its length. */
uint32_t nat_build_segment(struct nat *nat, uint32_t session, uint8_t flags,
			   uint32_t seq);

/* --- carry.c ---------------------------------------------------------------- */

/* Hands a session over, if it is time and somebody carries. To be called only
 * while carry_after is not 0. */
void nat_carry_offer(struct nat *nat, uint32_t session);
/* A session was made: others whose packets look the same inside are not carried
 * any more if it is the one by which the engine sends out. */
void nat_carry_yield(struct nat *nat, uint32_t session);
/* Was a session that is carried idle so long that its timer is over? Who carries
 * it may know better; else it is taken back. */
void nat_carry_ask(struct nat *nat, uint32_t session, uint64_t now_ms);
/* Before anything of the session changes; nothing if it is not carried. */
void nat_take_back(struct nat *nat, uint32_t session);
void nat_take_all_back(struct nat *nat);

/* --- move.c ----------------------------------------------------------------- */

/* Has a move of the uplink cut this TCP connection? */
static inline bool nat_is_cut(const struct nat_session *session)
{
	return session->timer == NAT_TIMER_CUT;
}

/* Refuses what the inside end of such a session sends, and tells it. */
struct nat_result nat_cut_answer(struct nat_work *work, uint32_t session);
/* Ends the oldest of them to make room, once all were told: returns how many,
 * at most max. */
uint32_t nat_cut_end(struct nat *nat, uint64_t now_ms, uint32_t max);
/* Such a session's time is over. */
void nat_cut_over(struct nat *nat, uint32_t session);
/* Begins to tell the ends of all that is cut; queries: and the hosts whose ICMP
 * queries may have been lost. */
void nat_tell_begin(struct nat *nat, bool queries, uint64_t now_ms);
/* The next packet that tells one (in nat->answer), or NULL. */
const uint8_t *nat_tell_output(struct nat *nat, uint64_t now_ms,
			       uint32_t *length);

/* --- expire.c -------------------------------------------------------------- */

/* Reads the timeouts of the configuration. */
void nat_timers_set(struct nat *nat);
/* Milliseconds from used_ms to the end of this timer's list. */
static inline uint64_t nat_timer_ms(const struct nat *nat, enum nat_timer timer)
{
	return nat->timer_ms[timer];
}
/* Milliseconds from now to removal; 0: over. */
uint64_t nat_session_left(const struct nat *nat,
			  const struct nat_session *session, uint64_t now_ms);
/* Brings one session up to date: true while it lives, false after ending it. */
bool nat_session_check(struct nat *nat, uint32_t session, uint64_t now_ms);

/* Holds a port that is taken and that no mapping has any more (a ring). */
void nat_hold(struct nat *nat, enum nat_pool pool, uint16_t port,
	      uint64_t now_ms);
/* Takes a held port out of the ring without releasing it. */
void nat_hold_cancel(struct nat *nat, enum nat_pool pool, uint16_t port);
void nat_hold_expire(struct nat *nat, uint64_t now_ms);
/* Is the port resting? */
bool nat_held(const struct nat *nat, enum nat_pool pool, uint16_t port);

/* --- tcp.c ----------------------------------------------------------------- */

/* Lets one TCP segment of the session act on its state and timer. */
void nat_tcp_step(struct nat *nat, uint32_t session,
		  const struct nat_parsed *segment, enum nat_side from,
		  uint64_t now_ms);
/* An end of the connection has said this, in a segment that is no SYN. */
void nat_tcp_learn(struct nat_session *session, enum nat_side from,
		   uint32_t ack, uint16_t window);
bool nat_tcp_is_first(const struct nat_parsed *segment); /* SYN, no ACK */
bool nat_tcp_is_reset(const struct nat_parsed *segment);

/* --- dccp.c ---------------------------------------------------------------- */

/* Lets one DCCP packet of the session act on its state and timer. */
void nat_dccp_step(struct nat *nat, uint32_t session,
		   const struct nat_parsed *packet, enum nat_side from,
		   uint64_t now_ms);
bool nat_dccp_is_first(const struct nat_parsed *packet); /* Request, Listen */
bool nat_dccp_is_request(const struct nat_parsed *packet);
bool nat_dccp_is_reset(const struct nat_parsed *packet);

/* --- session.c: policy of what may be made ---------------------------------- */

/* Finds or makes mapping and session for a packet from inside. Returns
 * NAT_DROP_NONE and *mapping, *session (0: it goes without), or why not with
 * nothing changed (*session is then 0, or one that is cut). */
enum nat_drop nat_open_outbound(struct nat_work *work, uint32_t peer_addr,
				uint16_t peer_port, uint32_t *mapping,
				uint32_t *session);
/* Whether packets of a mapping that has no room for their session pass. */
bool nat_goes_without(const struct nat *nat, uint32_t mapping);
/* The same for a new session of a tagged protocol, once it is known that there
 * may be one. */
enum nat_drop nat_open_tagged(struct nat_work *work,
			      const struct nat_peer_key *peer,
			      uint32_t *mapping, uint32_t *session);
/* Judges a packet from outside for a mapping; makes a session where one is due
 * (*session may be 0). also: another address by which the peer is known to the
 * allow list of a forward (hairpin), or 0. */
enum nat_drop nat_admit(struct nat_work *work, uint32_t mapping,
			uint32_t peer_addr, uint16_t peer_port, uint32_t also,
			uint32_t *session);
/* Accounts a packet and lets it act on the session (if any). */
void nat_account(struct nat_work *work, uint32_t mapping, uint32_t session,
		 enum nat_side from);

/* --- rewrite.c --------------------------------------------------------------- */

/* Rewrites source / destination with all checksums. */
void nat_rewrite_source(struct nat_work *work, uint32_t addr, uint16_t port);
void nat_rewrite_destination(struct nat_work *work, uint32_t addr,
			     uint16_t port);
/* Makes a partial transport checksum complete; the last step of a rewrite. */
void nat_rewrite_finish(struct nat_work *work);
/* A new IP id for what may be fragmented (RFC 6864 5.3.1, RFC 7857 10). */
void nat_rewrite_id(struct nat_work *work);
/* Counts down the TTL; false when it ends here (RFC 1812 5.3.1). */
bool nat_rewrite_hop(uint8_t *ip);
/* The outer addresses of an ICMP error or a later fragment. */
void nat_rewrite_outer(uint8_t *ip, uint32_t src, uint32_t dst);
/* Source / destination of the quote, with its checksums and the error's own. */
void nat_rewrite_quote_source(const struct nat_parsed *error,
			      const struct nat_quote *quote, uint32_t addr,
			      uint16_t port);
void nat_rewrite_quote_destination(const struct nat_parsed *error,
				   const struct nat_quote *quote, uint32_t addr,
				   uint16_t port);

/* --- results, paths ------------------------------------------------------------ */

struct nat_result nat_drop(struct nat *nat, enum nat_drop drop);
struct nat_result nat_untouched(struct nat *nat);
struct nat_result nat_translated(enum nat_mark mark);
/* False when the transport checksum is certainly wrong. */
bool nat_l4_checksum_good(const struct nat_work *work);
/* Completes a header without options at ip, where all is zero but what else the
 * caller wants of it. length: of the datagram. */
void nat_build_header(uint8_t *ip, uint32_t length, uint8_t proto, uint32_t src,
		      uint32_t dst);
/* Writes an ICMP error, of an ICMP_KIND(), about `quote` bytes of packet to
 * nat->answer; returns its length. src 0: filled in by the kernel. */
uint32_t nat_build_error(struct nat *nat, uint32_t src, uint32_t dst,
			 uint16_t kind, const uint8_t *packet, uint32_t quote);
/* May one more ICMP be made now (RFC 1812 4.3.2.8)? host: the inside host that
 * it is for, 0: another. Takes what it grants, counts what it does not. */
bool nat_may_answer(struct nat *nat, uint32_t host, uint64_t now_ms);
/* Drops and tells the sender, an inside host, by ICMP 3 (RFC 5508 REQ-8). */
struct nat_result nat_refuse(struct nat_work *work, enum nat_drop drop);
/* Ends a packet from inside whose TTL is over and tells its sender. */
struct nat_result nat_hop_ended(struct nat_work *work);

/* Is it an outside port that we hand out? Never an ICMP id: any may be the
 * router's own. */
bool nat_hands_out(const struct nat *nat, uint8_t proto, uint16_t port);
/* Would packets between these two be translated, both ways? */
bool nat_is_translated(const struct nat *nat, uint32_t inside, uint32_t peer);

struct nat_result nat_outbound(struct nat_work *work);
struct nat_result nat_inbound(struct nat_work *work);
struct nat_result nat_hairpin_in(struct nat_work *work);
struct nat_result nat_hairpin_out(struct nat_work *work);

/* --- tagged.c: SCTP, GRE, ESP ------------------------------------------------ */

struct nat_result nat_tagged_outbound(struct nat_work *work);
struct nat_result nat_tagged_inbound(struct nat_work *work);
/* Has anybody inside a session with the sender of this packet? */
bool nat_tagged_known(struct nat_work *work);
/* Whose packet does an error from outside / from inside quote? Mappings, 0:
 * nobody's. */
uint32_t nat_tagged_quoted_outside(struct nat_work *work,
				   const struct nat_quote *quote);
uint32_t nat_tagged_quoted_inside(struct nat_work *work,
				  const struct nat_quote *quote);

struct nat_result nat_error_inbound(struct nat_work *work);
struct nat_result nat_error_outbound(struct nat_work *work);
struct nat_result nat_error_hairpin(struct nat_work *work);
struct nat_result nat_error_loopback(struct nat_work *work);

/* --- martian.c --------------------------------------------------------------- */

bool nat_in_prefixes(const struct nat_prefix *prefixes, size_t count,
		     uint32_t addr);
/* Reads what the configuration adds to them. */
void nat_martians_set(struct nat *nat);
/* Addresses that never cross a gateway (RFC 6890, RFC 1812 5.3.7). */
bool nat_is_martian(const struct nat *nat, uint32_t src, uint32_t dst);

#endif
