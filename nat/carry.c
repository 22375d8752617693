/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sessions that somebody else carries for a while (design 9): packets of theirs
 * that change nothing but counters are rewritten without the engine, which is
 * told now and then what the session was used for, and asks before it ends one
 * for having been idle.
 *
 * A session is offered when it is established, has been used both ways, and
 * every carry_after packets. It is taken back before anything of it changes: its
 * state, its address, its end. Who carried a TCP connection tells what its ends
 * said last, so that its windows are known, and an RST from elsewhere ends
 * nothing; of segments that came here all the same they are known as well, and
 * what was said later holds. When the process died meanwhile they are not
 * (rebuild.c), and every RST counts.
 */
#include "internal.h"

#define BOTH (NAT_SESSION_OUT | NAT_SESSION_IN)

static bool is_carried(const struct nat_session *session)
{
	return session->flags & NAT_SESSION_CARRIED;
}

/* The timer that an established session lives by; a process that was killed may
 * have left it with another. */
static enum nat_timer life(uint8_t proto)
{
	return proto == NAT_PROTO_UDP ? NAT_TIMER_UDP :
					NAT_TIMER_TCP_ESTABLISHED;
}

/* With a hairpin's session both ends are inside. What passed both ways once may
 * be refused one way by now. */
static bool fits(const struct nat *nat, const struct nat_session *session)
{
	const struct nat_socket *inside =
		&nat->mappings[session->key.mapping].inside;
	uint32_t peer = session->key.peer_addr;

	return (inside->proto == NAT_PROTO_TCP ||
		inside->proto == NAT_PROTO_UDP) &&
	       session->state == NAT_STATE_ESTABLISHED &&
	       session->timer == life(inside->proto) &&
	       (session->flags & BOTH) == BOTH && peer != nat->uplink &&
	       nat_is_translated(nat, inside->addr, peer);
}

/* A peer may have sessions by several outside ports of one inside socket: inside,
 * their packets look the same. Only the one by which the engine sends out
 * (nat_find_session_alias()) may be carried: is it this one? Then no other is. */
static bool leads(struct nat *nat, uint32_t slot)
{
	struct nat_session_key key = nat->sessions[slot].key;
	bool found = false;
	uint32_t at, twin;

	at = nat_find_inside(nat, nat->mappings[key.mapping].inside);
	for (; at; at = nat->mappings[at].alias) {
		key.mapping = at;
		twin = nat_find_key(nat, &key);
		if (twin && twin != slot && !found)
			return false;
		if (twin && found)
			nat_take_back(nat, twin);
		found |= twin == slot;
	}
	return true;
}

/* A new session before it in the chain takes its place. */
void nat_carry_yield(struct nat *nat, uint32_t slot)
{
	struct nat_session_key key = nat->sessions[slot].key;

	for (uint32_t at = nat->mappings[key.mapping].alias; at && nat->carried;
	     at = nat->mappings[at].alias) {
		key.mapping = at;
		nat_take_back(nat, nat_find_key(nat, &key));
	}
}

static bool hand_over(const struct nat *nat, uint32_t slot)
{
	const struct nat_session_key *key = &nat->sessions[slot].key;
	const struct nat_mapping *mapping = &nat->mappings[key->mapping];
	const struct nat_carried carried = {
		.session = slot,
		.proto = mapping->inside.proto,
		.inside_addr = mapping->inside.addr,
		.inside_port = mapping->inside.port,
		.outside_addr = nat->uplink,
		.outside_port = mapping->port,
		.peer_addr = key->peer_addr,
		.peer_port = key->peer_port,
	};

	return nat->carrier.carry(nat->carrier.context, &carried);
}

void nat_carry_offer(struct nat *nat, uint32_t slot)
{
	struct nat_session *session = &nat->sessions[slot];
	uint32_t packets = (uint32_t)(session->counters.out_packets +
				      session->counters.in_packets);

	if (!nat->carrier.carry || is_carried(session) ||
	    packets % nat->config->carry_after || !fits(nat, session) ||
	    !leads(nat, slot) || !hand_over(nat, slot))
		return;
	session->flags |= NAT_SESSION_CARRIED;
	nat->carried++;
}

/* --- what it was used for ---------------------------------------------------- */

static void add(struct nat_counters *to, const struct nat_counters *use)
{
	to->out_packets += use->out_packets;
	to->out_bytes += use->out_bytes;
	to->in_packets += use->in_packets;
	to->in_bytes += use->in_bytes;
}

static void count(struct nat *nat, uint32_t slot,
		  const struct nat_counters *use)
{
	struct nat_session *session = &nat->sessions[slot];
	struct nat_mapping *mapping = &nat->mappings[session->key.mapping];

	add(&session->counters, use);
	add(&mapping->counters, use);
	add(&nat->hosts[mapping->host].counters, use);
	nat->stats.outbound_packets += use->out_packets;
	nat->stats.outbound_bytes += use->out_bytes;
	nat->stats.inbound_packets += use->in_packets;
	nat->stats.inbound_bytes += use->in_bytes;
}

/* Outbound use always refreshes, inbound if the operator wants it (RFC 4787
 * REQ-6); TCP knows no such difference. */
static bool refreshes(const struct nat *nat, uint8_t proto,
		      const struct nat_counters *use)
{
	return use->out_packets ||
	       (use->in_packets &&
		(proto == NAT_PROTO_TCP || nat->config->inbound_refresh));
}

/* It counts as use of now: nobody knows better. */
static void take_in(struct nat *nat, uint32_t slot,
		    const struct nat_counters *use)
{
	struct nat_session *session = &nat->sessions[slot];
	struct nat_mapping *mapping = &nat->mappings[session->key.mapping];

	count(nat, slot, use);
	if (use->out_packets)
		session->end[NAT_INSIDE].newer = 0;
	if (use->in_packets)
		session->end[NAT_OUTSIDE].newer = 0;
	if (!refreshes(nat, mapping->inside.proto, use))
		return;
	nat_session_refresh(nat, slot, (enum nat_timer)session->timer,
			    nat->clock_ms);
	mapping->used_s = nat->clock_s;
}

bool nat_carried_used(struct nat *nat, uint32_t slot, uint64_t now_ms)
{
	struct nat_counters use = { 0 };

	if (!slot || slot > nat->limits.sessions || !nat->sessions[slot].live ||
	    !is_carried(&nat->sessions[slot]))
		return false;
	nat_clock(nat, now_ms);
	nat->carrier.use(nat->carrier.context, slot, &use);
	take_in(nat, slot, &use);
	return use.out_packets || use.in_packets;
}

/* --- taking back -------------------------------------------------------------- */

void nat_take_back(struct nat *nat, uint32_t slot)
{
	struct nat_session *session = &nat->sessions[slot];
	struct nat_carried_end ends[2] = { { 0 } };
	struct nat_counters use = { 0 };

	if (!is_carried(session))
		return;
	nat->carrier.give_back(nat->carrier.context, slot, &use, ends);
	take_in(nat, slot, &use);
	for (int side = NAT_INSIDE; side <= NAT_OUTSIDE; side++)
		if (ends[side].known && !session->end[side].newer)
			nat_tcp_learn(session, (enum nat_side)side,
				      ends[side].ack, ends[side].window);
	session->flags &= (uint8_t)~NAT_SESSION_CARRIED;
	nat->carried--;
}

/* What is carried lives by one of two timers; what was used moves to the end of
 * its list. */
void nat_take_all_back(struct nat *nat)
{
	static const enum nat_timer timers[] = { NAT_TIMER_UDP,
						 NAT_TIMER_TCP_ESTABLISHED };

	uint32_t next;

	for (size_t i = 0; i < sizeof(timers) / sizeof(timers[0]); i++)
		for (uint32_t slot = nat->timers[timers[i]].head;
		     slot && nat->carried; slot = next) {
			next = nat->session_links[slot].next;
			nat_take_back(nat, slot);
		}
}

static bool is_idle(const struct nat *nat, const struct nat_session *session,
		    uint64_t now_ms)
{
	return now_ms - session->used_ms >= nat_timer_ms(nat, session->timer);
}

void nat_carry_ask(struct nat *nat, uint32_t slot, uint64_t now_ms)
{
	const struct nat_session *session = &nat->sessions[slot];

	if (!is_carried(session) || !is_idle(nat, session, now_ms))
		return;
	nat_carried_used(nat, slot, now_ms);
	/* Even at the last moment, when it is taken back, it may be used. */
	if (is_idle(nat, session, now_ms))
		nat_take_back(nat, slot);
}

void nat_set_carrier(struct nat *nat, const struct nat_carrier *carrier)
{
	nat_take_all_back(nat);
	nat->carrier = carrier ? *carrier : (struct nat_carrier){ 0 };
}
