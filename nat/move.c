/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The uplink moves: another address takes the place of the last one known.
 *
 * What goes on. A mapping keeps its inside socket, its port and its sessions:
 * endpoint-independent mapping (RFC 4787 REQ-1) is about the inside socket, and
 * the address is the only part of the outside one that has to change. Where the
 * port cannot be kept, since the router itself listens on it at the new address
 * or it is no longer of the pool, the allocator chooses another; without any
 * left, the mapping ends. By protocol:
 *
 *   UDP, UDP-Lite  go on: the inside end's next packet tells its peer of the
 *                  new address, and the filter knows all that it has spoken to
 *   ICMP queries   go on by the same id; what was asked already is answered to
 *                  the old address, so the host is told by ICMP (3/1)
 *   SCTP, GRE, ESP go on: tags do not depend on the address. SCTP's peer takes
 *                  the new address (RFC 5061) or answers with an ABORT, which
 *                  comes through; ESP's and GRE's ends follow their own
 *                  keying or configuration
 *   DCCP           goes on: nobody but its ends can make a Reset with a valid
 *                  sequence number (RFC 4340 7.5), and its peer answers the next
 *                  packet with one
 *   TCP            is cut: the address is part of the connection. Only a SYN of
 *                  an inside end that nobody has answered yet goes on: it will
 *                  be repeated, from the new address.
 *
 * A peer that is another inside host (hairpin) has moved along: sessions with
 * the old address become sessions with the new one.
 *
 * Cutting. Such a session is in the list NAT_TIMER_CUT, and TRANS, for NAT_CUT_MS:
 * nothing passes it in either direction but a SYN from inside, which opens it
 * anew. Its inside end is told in ROUNDS, each time by
 *   - an RST at the sequence number that it last acknowledged: all that a
 *     receiver accepts (RFC 5961 3.2). It may have acknowledged more while there
 *     was no way out; so follows
 *   - a segment that no window contains, which it answers by an ACK.
 * Every segment of it, that answer included, is met with an RST at the sequence
 * number it acknowledges (RFC 9293 3.10.7.1): always the right one. An RST of
 * its own says that it knows, and ends the session.
 *
 * At most TELL_PER_SECOND ends are told in a second, in an order that has
 * nothing to do with time; who has not been told before NAT_CUT_MS are over is
 * counted.
 *
 * A kill in the midst of a move: the header's address is the last that changes,
 * so the next process finds the old one there and moves again.
 */
#include <string.h>

#include "bytes.h"
#include "checksum.h"
#include "internal.h"

#define TELL_PER_SECOND 25000U
#define TELL_AT_ONCE 256U
#define LOOK_AT_ONCE 16384U /* slots in one call */
#define HOST_UNREACHABLE 1

/* After the move: at once, and again in case that something was lost, or that
 * answers found no route yet. The last time is for a machine that needs seconds
 * for the answers of thousands, and lost some of them. */
static const uint16_t round_ms[] = { 0, 500, 3000 };
#define ROUNDS (sizeof(round_ms) / sizeof(round_ms[0]))
#define ENOUGH 2U /* rounds, before who was told may give way to new sessions */

/* --- moving ----------------------------------------------------------------- */

/* Is it an inside end's SYN without an answer? */
static bool merely_asks(const struct nat_session *session)
{
	return session->state == NAT_STATE_INIT &&
	       !(session->flags & NAT_SESSION_SERVER);
}

static void cut(struct nat *nat, uint32_t slot, uint64_t now_ms)
{
	struct nat_session *session = &nat->sessions[slot];

	if (merely_asks(session) || nat_is_cut(session))
		return;
	session->state = NAT_STATE_TRANS;
	session->flags &= (uint8_t)~NAT_SESSION_REOPENED;
	nat_session_refresh(nat, slot, NAT_TIMER_CUT, now_ms);
	nat->stats.move_cut++;
}

/* Of two sessions that become one, the one last used stays and knows what both
 * did. */
#define WAYS (NAT_SESSION_OUT | NAT_SESSION_IN)

static void follow(struct nat *nat, uint32_t slot, uint32_t peer_addr,
		   uint64_t now_ms)
{
	struct nat_session *session = &nat->sessions[slot];
	struct nat_session_key key = session->key;
	uint32_t other;

	key.peer_addr = peer_addr;
	other = nat_find_key(nat, &key);
	if (other && nat->sessions[other].used_ms > session->used_ms) {
		nat->sessions[other].flags |= session->flags & WAYS;
		nat_session_end(nat, slot, now_ms);
		return;
	}
	if (other) {
		session->flags |= nat->sessions[other].flags & WAYS;
		nat_session_end(nat, other, now_ms);
	}
	nat_session_rename(nat, slot, peer_addr);
}

static void move_sessions(struct nat *nat, uint32_t mapping, uint32_t addr,
			  uint64_t now_ms)
{
	bool tcp = nat->mappings[mapping].inside.proto == NAT_PROTO_TCP;
	bool tagged = nat_is_tagged(nat->mappings[mapping].inside.proto);
	uint32_t next;

	for (uint32_t slot = nat->mappings[mapping].first; slot; slot = next) {
		next = nat_sibling(nat, slot);
		if (tcp)
			cut(nat, slot, now_ms);
		else if (!tagged && nat->sessions[slot].key.peer_addr ==
					    nat->header->uplink)
			follow(nat, slot, addr, now_ms);
		/* The next one may have given way to this. */
		if (nat->sessions[slot].live)
			next = nat_sibling(nat, slot);
	}
}

/* The port by which a mapping goes on; -1: there is none. */
static int32_t next_port(struct nat *nat, const struct nat_mapping *mapping)
{
	int pool = nat_pool_of(mapping->inside.proto);
	const struct nat_ports *ports;

	if (pool < 0 || mapping->kind == NAT_KIND_FORWARD || !nat->config)
		return mapping->port;
	ports = &nat->ports[pool];
	if (nat_ports_usable(ports, mapping->port))
		return mapping->port;
	return nat_ports_choose(ports, &nat->random, mapping->inside.port,
				nat->config->parity && pool != NAT_POOL_ICMP);
}

/* False: it has ended. */
static bool move_mapping(struct nat *nat, uint32_t slot, uint32_t addr,
			 uint64_t now_ms)
{
	const struct nat_mapping *mapping = &nat->mappings[slot];
	int32_t port = next_port(nat, mapping);

	if (port < 0) {
		nat_mapping_end(nat, slot, now_ms, false);
		nat->stats.move_ended++;
		return false;
	}
	move_sessions(nat, slot, addr, now_ms);
	if (mapping->kind == NAT_KIND_DYNAMIC)
		nat->stats.move_mappings++;
	if (mapping->port != port) {
		nat->stats.move_ports++;
		nat_mapping_move(nat, slot, (uint16_t)port);
	}
	return true;
}

uint32_t nat_set_uplink(struct nat *nat, uint32_t addr, uint64_t now_ms)
{
	uint32_t next, ended = 0, old = nat->header->uplink;

	now_ms = nat_clock(nat, now_ms);
	if (addr != nat->uplink)
		nat_take_all_back(nat);
	nat->uplink = addr;
	if (!addr || addr == old)
		return 0;
	nat_fragment_clear(nat);
	nat->late_count = 0;
	for (uint32_t slot = nat->mapping_live.head; slot; slot = next) {
		next = nat->mapping_links[slot].next;
		if (!move_mapping(nat, slot, addr, now_ms))
			ended++;
	}
	nat_fence();
	nat_store_uplink(nat, addr);
	if (old) {
		nat->stats.moves++;
		nat_tell_begin(nat, true, now_ms);
	}
	return ended;
}

/* --- a packet of an inside end that was cut off ------------------------------- */

struct nat_result nat_cut_answer(struct nat_work *work, uint32_t session)
{
	struct nat *nat = work->nat;
	uint8_t flags = work->p.l4[TCP_FLAGS];
	struct nat_result result;

	if (!nat_l4_checksum_good(work))
		return nat_drop(nat, NAT_DROP_BAD_CHECKSUM);
	result = nat_drop(nat, NAT_DROP_NO_SESSION);
	if (flags & TCP_RST) {
		nat_session_end(nat, session, work->now_ms);
	} else if (flags & TCP_ACK_FLAG) {
		result.answer_length =
			nat_build_segment(nat, session, TCP_RST,
					  nat_load32(work->p.l4 + TCP_ACK));
		result.answer = nat->answer;
	}
	return result;
}

/* --- telling ------------------------------------------------------------------ */

void nat_tell_begin(struct nat *nat, bool queries, uint64_t now_ms)
{
	nat->tell = (struct nat_tell){
		.since_ms = now_ms,
		.next = 1,
		.rounds = ROUNDS,
		.queries = queries,
		.pace = { UINT64_MAX, now_ms },
	};
}

bool nat_telling(const struct nat *nat)
{
	return nat->tell.rounds;
}

void nat_cut_over(struct nat *nat, uint32_t session)
{
	if (nat->tell.rounds == ROUNDS && session >= nat->tell.next)
		nat->stats.move_untold++;
}

uint32_t nat_cut_end(struct nat *nat, uint64_t now_ms, uint32_t max)
{
	uint32_t ended = 0, slot;

	while (nat->tell.rounds <= ROUNDS - ENOUGH && ended < max &&
	       (slot = nat->timers[NAT_TIMER_CUT].head)) {
		nat_session_end(nat, slot, now_ms);
		ended++;
	}
	return ended;
}

/* RFC 792: an echo request of the host's, as far as we remember it. */
static uint32_t tell_query(struct nat *nat, const struct nat_session *session,
			   uint64_t now_ms)
{
	const struct nat_mapping *mapping =
		&nat->mappings[session->key.mapping];
	uint8_t ip[IPV4_HEADER + ICMP_QUOTE] = { 0 };
	uint8_t *icmp = ip + IPV4_HEADER;

	if (!nat_may_answer(nat, mapping->host, now_ms))
		return 0;
	nat_build_header(ip, sizeof(ip), NAT_PROTO_ICMP, mapping->inside.addr,
			 session->key.peer_addr);
	icmp[ICMP_TYPE] = ICMP_ECHO;
	nat_store16(icmp + ICMP_ID, mapping->inside.port);
	nat_store16(icmp + ICMP_CHECKSUM,
		    (uint16_t)~nat_checksum_sum(icmp, ICMP_QUOTE));
	return nat_build_error(nat, 0, mapping->inside.addr,
			       ICMP_KIND(ICMP_UNREACHABLE, HOST_UNREACHABLE),
			       ip, sizeof(ip));
}

/* Far from every window. */
static uint32_t tell_question(struct nat *nat, uint32_t slot)
{
	uint32_t expected = nat->sessions[slot].end[NAT_INSIDE].ack;

	return nat_build_segment(nat, slot, TCP_ACK_FLAG,
				 expected + 0x80000000U);
}

/* The next packet for this session, 0: it needs none (more). */
static uint32_t tell_session(struct nat *nat, uint32_t slot, uint64_t now_ms)
{
	const struct nat_session *session = &nat->sessions[slot];
	struct nat_tell *tell = &nat->tell;
	bool again = tell->rounds < ROUNDS;

	if (nat_is_cut(session)) {
		if (tell->asked)
			return 0;
		if (!tell->reset && session->end[NAT_INSIDE].known) {
			tell->reset = true;
			return nat_build_segment(nat, slot, TCP_RST,
						 session->end[NAT_INSIDE].ack);
		}
		tell->asked = true;
		nat->stats.move_told += !again;
		return tell_question(nat, slot);
	}
	if (again || !tell->queries || tell->asked ||
	    session->used_ms >= tell->since_ms ||
	    nat->mappings[session->key.mapping].inside.proto != NAT_PROTO_ICMP)
		return 0;
	tell->asked = true;
	return tell_query(nat, session, now_ms);
}

/* The next slot, or the next round; false: this one is not due yet. */
static bool next_round(struct nat *nat, uint64_t now_ms)
{
	struct nat_tell *tell = &nat->tell;

	if (tell->next > nat->session_slots.top) {
		tell->next = 1;
		tell->rounds--;
		if (!nat->timers[NAT_TIMER_CUT].count)
			tell->rounds = 0;
	}
	return tell->rounds &&
	       now_ms >= tell->since_ms + round_ms[ROUNDS - tell->rounds];
}

static void next_slot(struct nat_tell *tell)
{
	tell->next++;
	tell->reset = tell->asked = false;
}

const uint8_t *nat_tell_output(struct nat *nat, uint64_t now_ms,
			       uint32_t *length)
{
	struct nat_tell *tell = &nat->tell;

	for (uint32_t looked = 0; looked < LOOK_AT_ONCE; looked++) {
		if (!tell->rounds || !next_round(nat, now_ms))
			return NULL;
		if (!nat->sessions[tell->next].live) {
			next_slot(tell);
			continue;
		}
		if (!nat_bucket_has(&tell->pace, TELL_PER_SECOND, TELL_AT_ONCE,
				    now_ms))
			return NULL;
		*length = tell_session(nat, tell->next, now_ms);
		if (*length) {
			if (tell->asked)
				nat_bucket_take(&tell->pace);
			return nat->answer;
		}
		next_slot(tell);
	}
	return NULL;
}
