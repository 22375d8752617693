/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Time: what is over, what rests. Every timeout class has one duration, so a
 * list in order of last use gives O(1) refresh and a sweep that touches only
 * what has expired; held ports all rest equally long, so a ring does.
 */
#include "internal.h"

void nat_timers_set(struct nat *nat)
{
	const uint32_t *seconds = nat->config->timeout_s;
	uint32_t whole = seconds[NAT_TIMER_TCP_ESTABLISHED];
	uint32_t closing = seconds[NAT_TIMER_TCP_CLOSING];

	for (int timer = 0; timer < NAT_TIMERS; timer++)
		nat->timer_ms[timer] = (uint64_t)seconds[timer] * 1000;
	/* The rest of an established session's life is spent in TRANS. */
	nat->timer_ms[NAT_TIMER_TCP_ESTABLISHED] =
		whole > closing ? (uint64_t)(whole - closing) * 1000 : 0;
	nat->timer_ms[NAT_TIMER_CUT] = NAT_CUT_MS;
}

uint64_t nat_session_left(const struct nat *nat,
			  const struct nat_session *session, uint64_t now_ms)
{
	uint64_t life = nat_timer_ms(nat, session->timer);
	uint64_t end;

	if (session->timer == NAT_TIMER_TCP_ESTABLISHED)
		life += nat_timer_ms(nat, NAT_TIMER_TCP_CLOSING);
	end = session->used_ms + life;
	return end > now_ms ? end - now_ms : 0;
}

/* ESTABLISHED and half-closed sessions that were idle long enough go on in
 * TRANS (RFC 7857 2, figure 1), dated from the moment the first timer ended. */
static void retire_established(struct nat *nat, uint32_t slot, uint64_t now_ms)
{
	struct nat_session *session = &nat->sessions[slot];
	uint64_t end =
		session->used_ms + nat_timer_ms(nat, NAT_TIMER_TCP_ESTABLISHED);

	if (session->timer != NAT_TIMER_TCP_ESTABLISHED || now_ms < end)
		return;
	session->state = NAT_STATE_TRANS;
	nat_session_refresh(nat, slot, NAT_TIMER_TCP_CLOSING, end);
	session->flags |= NAT_SESSION_RETIRED;
	nat_probe_ask(nat, slot);
}

bool nat_session_check(struct nat *nat, uint32_t slot, uint64_t now_ms)
{
	if (nat->sessions[slot].flags & NAT_SESSION_CARRIED)
		nat_carry_ask(nat, slot, now_ms);
	if (!nat_session_left(nat, &nat->sessions[slot], now_ms)) {
		if (nat_is_cut(&nat->sessions[slot]))
			nat_cut_over(nat, slot);
		nat_session_end(nat, slot, now_ms);
		return false;
	}
	retire_established(nat, slot, now_ms);
	return true;
}

/* Looks at the oldest session of a class. True: it was due (ended or moved). */
static bool expire_oldest(struct nat *nat, enum nat_timer timer,
			  uint64_t now_ms, uint32_t *ended)
{
	uint32_t slot = nat->timers[timer].head;

	if (!slot ||
	    nat->sessions[slot].used_ms + nat_timer_ms(nat, timer) > now_ms)
		return false;
	if (!nat_session_check(nat, slot, now_ms))
		(*ended)++;
	return true;
}

uint32_t nat_expire(struct nat *nat, uint64_t now_ms, uint32_t max)
{
	uint32_t ended = 0, most = 0;

	if (!nat->config)
		return 0;
	now_ms = nat_clock(nat, now_ms);
	for (int timer = 0; timer < NAT_LISTS; timer++) {
		uint32_t due = 0;

		/* What retires makes no room: it must not keep the others from
		 * ending. */
		while (due < max && ended < max &&
		       expire_oldest(nat, (enum nat_timer)timer, now_ms,
				     &ended))
			due++;
		most = due > most ? due : most;
	}
	nat_hold_expire(nat, now_ms);
	nat_fragment_expire(nat, now_ms);
	return ended > most ? ended : most;
}

/* --- the ring of held ports ----------------------------------------------- */

static struct nat_held *held_at(const struct nat *nat, uint32_t i)
{
	return &nat->held[(nat->header->held_first + i) %
			  nat->limits.held_ports];
}

/* Lets the oldest one go. */
static void hold_pop(struct nat *nat)
{
	struct nat_held *held = held_at(nat, 0);

	if (held->live) {
		nat_ports_release(&nat->ports[held->pool], held->port);
		nat->held_ports[held->pool]--;
	}
	nat_unseal(&held->live, &held->check);
	nat->header->held_first =
		(nat->header->held_first + 1) % nat->limits.held_ports;
	nat->header->held_count--;
}

void nat_hold(struct nat *nat, enum nat_pool pool, uint16_t port,
	      uint64_t now_ms)
{
	struct nat_held *held;

	if (nat->config && !nat->config->port_hold_s) {
		nat_ports_release(&nat->ports[pool], port);
		return;
	}
	if (nat->header->held_count == nat->limits.held_ports) {
		if (held_at(nat, 0)->live)
			nat->stats.held_overflow++;
		hold_pop(nat);
	}
	held = held_at(nat, nat->header->held_count);
	*held = (struct nat_held){ .since_ms = now_ms,
				   .port = port,
				   .pool = (uint8_t)pool };
	nat_seal(&held->live, &held->check,
		 nat_seal_held(nat, (uint32_t)(held - nat->held)));
	nat->header->held_count++;
	nat->held_ports[pool]++;
}

static struct nat_held *find_held(const struct nat *nat, enum nat_pool pool,
				  uint16_t port)
{
	for (uint32_t i = 0; i < nat->header->held_count; i++) {
		struct nat_held *held = held_at(nat, i);

		if (held->live && held->pool == pool && held->port == port)
			return held;
	}
	return NULL;
}

bool nat_held(const struct nat *nat, enum nat_pool pool, uint16_t port)
{
	return find_held(nat, pool, port) != NULL;
}

void nat_hold_cancel(struct nat *nat, enum nat_pool pool, uint16_t port)
{
	struct nat_held *held = find_held(nat, pool, port);

	if (!held)
		return;
	nat_unseal(&held->live, &held->check);
	nat->held_ports[pool]--;
}

void nat_hold_expire(struct nat *nat, uint64_t now_ms)
{
	uint64_t rest = (uint64_t)nat->config->port_hold_s * 1000;

	while (nat->header->held_count &&
	       held_at(nat, 0)->since_ms + rest <= now_ms)
		hold_pop(nat);
}
