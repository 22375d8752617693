/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * DCCP's connections (RFC 4340, RFC 5597): opened by a Request, or by the
 * Listen of a server behind a translator (RFC 5596), established with the first
 * answer (one end alone, whatever it says, opens nothing), closing after a Close
 * or Reset. A closing connection that goes on is established again, so that a
 * forged Reset costs nothing while there is traffic; sequence windows are not
 * followed. The timers are TCP's (RFC 5597 REQ-5 asks for the same 124 and 4
 * minutes).
 */
#include "internal.h"

static uint8_t type_of(const struct nat_parsed *packet)
{
	return packet->l4[DCCP_TYPE] >> 1 & 0xf;
}

bool nat_dccp_is_first(const struct nat_parsed *packet)
{
	return type_of(packet) == DCCP_REQUEST ||
	       type_of(packet) == DCCP_LISTEN;
}

bool nat_dccp_is_request(const struct nat_parsed *packet)
{
	return type_of(packet) == DCCP_REQUEST;
}

bool nat_dccp_is_reset(const struct nat_parsed *packet)
{
	return type_of(packet) == DCCP_RESET;
}

static void move(struct nat *nat, uint32_t slot, enum nat_state state,
		 enum nat_timer timer, uint64_t now_ms)
{
	nat->sessions[slot].state = (uint8_t)state;
	nat_session_refresh(nat, slot, timer, now_ms);
}

void nat_dccp_step(struct nat *nat, uint32_t slot,
		   const struct nat_parsed *packet, enum nat_side from,
		   uint64_t now_ms)
{
	uint8_t state = nat->sessions[slot].state, type = type_of(packet);
	bool closes = type == DCCP_CLOSE || type == DCCP_RESET;
	const uint8_t both = NAT_SESSION_OUT | NAT_SESSION_IN;

	if (nat_dccp_is_first(packet)) {
		/* A stranger keeps nothing alive by repeating it. */
		if (from == NAT_OUTSIDE &&
		    !(nat->sessions[slot].flags & NAT_SESSION_OUT))
			return;
		/* On a closing pair of sockets: a new connection. */
		if (state != NAT_STATE_ESTABLISHED)
			move(nat, slot, NAT_STATE_INIT, NAT_TIMER_TCP_OPENING,
			     now_ms);
		return;
	}
	if (closes && state == NAT_STATE_ESTABLISHED)
		move(nat, slot, NAT_STATE_TRANS, NAT_TIMER_TCP_CLOSING, now_ms);
	else if (!closes && (nat->sessions[slot].flags & both) == both)
		move(nat, slot, NAT_STATE_ESTABLISHED,
		     NAT_TIMER_TCP_ESTABLISHED, now_ms);
}
