/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The TCP state machine (RFC 7857 2 and its figure 1, RFC 6146 3.5.2.2):
 * a table of state and event. Which packets pass is not decided here: a
 * session's packets always do; they only move its state and its timer.
 */
#include "internal.h"

#include <assert.h>

#include "bytes.h"
#include "cursor.h"

#define TCP_HEADER 20U
#define TCP_OPTION_END 0
#define TCP_OPTION_NOP 1
#define TCP_OPTION_SCALE 3
#define TCP_SCALE_MAX 14 /* RFC 7323 2.3 */

enum event {
	EVENT_SYN_CLIENT, /* any segment with SYN, from the client */
	EVENT_SYN_SERVER,
	EVENT_FIN_CLIENT,
	EVENT_FIN_SERVER,
	EVENT_RST, /* within the window: see in_window() */
	EVENT_OTHER,
	EVENTS
};

enum action { KEEP, RESTART };

struct edge {
	uint8_t next;
	uint8_t action; /* on the timer, which is that of the next state */
};

#define S(state) NAT_STATE_##state
static const struct edge edges[NAT_STATES][EVENTS] = {
	[S(INIT)] = {
		[EVENT_SYN_CLIENT] = {S(INIT), RESTART},
		[EVENT_SYN_SERVER] = {S(ESTABLISHED), RESTART},
		[EVENT_FIN_CLIENT] = {S(INIT), KEEP},
		[EVENT_FIN_SERVER] = {S(INIT), KEEP},
		[EVENT_RST] = {S(INIT), KEEP},
		[EVENT_OTHER] = {S(INIT), KEEP},
	},
	[S(ESTABLISHED)] = {
		[EVENT_SYN_CLIENT] = {S(ESTABLISHED), RESTART},
		[EVENT_SYN_SERVER] = {S(ESTABLISHED), RESTART},
		[EVENT_FIN_CLIENT] = {S(C_FIN), KEEP},
		[EVENT_FIN_SERVER] = {S(S_FIN), KEEP},
		[EVENT_RST] = {S(TRANS), RESTART},
		[EVENT_OTHER] = {S(ESTABLISHED), RESTART},
	},
	/* Half-closed data is legal and lives as long (behave 19.18). */
	[S(C_FIN)] = {
		[EVENT_SYN_CLIENT] = {S(C_FIN), RESTART},
		[EVENT_SYN_SERVER] = {S(C_FIN), RESTART},
		[EVENT_FIN_CLIENT] = {S(C_FIN), RESTART},
		[EVENT_FIN_SERVER] = {S(C_FIN_S_FIN), RESTART},
		[EVENT_RST] = {S(TRANS), RESTART}, /* RFC 7857 2.2 */
		[EVENT_OTHER] = {S(C_FIN), RESTART},
	},
	[S(S_FIN)] = {
		[EVENT_SYN_CLIENT] = {S(S_FIN), RESTART},
		[EVENT_SYN_SERVER] = {S(S_FIN), RESTART},
		[EVENT_FIN_CLIENT] = {S(C_FIN_S_FIN), RESTART},
		[EVENT_FIN_SERVER] = {S(S_FIN), RESTART},
		[EVENT_RST] = {S(TRANS), RESTART},
		[EVENT_OTHER] = {S(S_FIN), RESTART},
	},
	[S(C_FIN_S_FIN)] = {
		[EVENT_SYN_CLIENT] = {S(C_FIN_S_FIN), KEEP},
		[EVENT_SYN_SERVER] = {S(C_FIN_S_FIN), KEEP},
		[EVENT_FIN_CLIENT] = {S(C_FIN_S_FIN), KEEP},
		[EVENT_FIN_SERVER] = {S(C_FIN_S_FIN), KEEP},
		[EVENT_RST] = {S(C_FIN_S_FIN), KEEP}, /* RFC 1337 */
		[EVENT_OTHER] = {S(C_FIN_S_FIN), KEEP},
	},
	[S(TRANS)] = {
		[EVENT_SYN_CLIENT] = {S(ESTABLISHED), RESTART},
		[EVENT_SYN_SERVER] = {S(ESTABLISHED), RESTART},
		[EVENT_FIN_CLIENT] = {S(ESTABLISHED), RESTART},
		[EVENT_FIN_SERVER] = {S(ESTABLISHED), RESTART},
		[EVENT_RST] = {S(TRANS), KEEP},
		[EVENT_OTHER] = {S(ESTABLISHED), RESTART},
	},
};
#undef S

static const uint8_t state_timer[NAT_STATES] = {
	[NAT_STATE_INIT] = NAT_TIMER_TCP_OPENING,
	[NAT_STATE_ESTABLISHED] = NAT_TIMER_TCP_ESTABLISHED,
	[NAT_STATE_C_FIN] = NAT_TIMER_TCP_ESTABLISHED,
	[NAT_STATE_S_FIN] = NAT_TIMER_TCP_ESTABLISHED,
	[NAT_STATE_C_FIN_S_FIN] = NAT_TIMER_TCP_CLOSING,
	[NAT_STATE_TRANS] = NAT_TIMER_TCP_CLOSING,
};

static uint8_t tcp_flags(const struct nat_parsed *segment)
{
	return segment->l4[TCP_FLAGS];
}

bool nat_tcp_is_first(const struct nat_parsed *segment)
{
	return (tcp_flags(segment) &
		(TCP_SYN | TCP_ACK_FLAG | TCP_RST | TCP_FIN)) == TCP_SYN;
}

bool nat_tcp_is_reset(const struct nat_parsed *segment)
{
	return tcp_flags(segment) & TCP_RST;
}

static uint32_t header_bytes(const struct nat_parsed *segment)
{
	return (segment->l4[TCP_DATA_OFFSET] >> 4) * 4U;
}

/* The window scale option of a SYN; -1: none. */
static int scale_option(const struct nat_parsed *segment)
{
	struct nat_cursor cursor = nat_cursor(segment->l4, segment->l4_length);
	const uint8_t *option;

	nat_cursor_limit(&cursor, header_bytes(segment));
	nat_cursor_take(&cursor, TCP_HEADER);
	while ((option = nat_cursor_peek(&cursor, 1)) &&
	       *option != TCP_OPTION_END) {
		if (*option == TCP_OPTION_NOP) {
			nat_cursor_take(&cursor, 1);
			continue;
		}
		option = nat_cursor_peek(&cursor, 2);
		if (!option || option[1] < 2)
			return -1;
		option = nat_cursor_take(&cursor, option[1]);
		if (option && option[0] == TCP_OPTION_SCALE && option[1] == 3)
			return option[2] > TCP_SCALE_MAX ? TCP_SCALE_MAX :
							   option[2];
		if (!option)
			return -1;
	}
	return -1;
}

void nat_tcp_learn(struct nat_session *session, enum nat_side from,
		   uint32_t ack, uint16_t window)
{
	struct nat_tcp_end *end = &session->end[from];
	bool both_scale = session->end[0].scales && session->end[1].scales;

	end->ack = ack;
	end->window = window;
	end->shift = both_scale ? end->scale : 0;
	end->known = 1;
}

/* Remembers what the sender expects and accepts. */
static void learn(struct nat_session *session, const struct nat_parsed *segment,
		  enum nat_side from)
{
	struct nat_tcp_end *end = &session->end[from];
	uint8_t flags = tcp_flags(segment);

	/* Only while the connection opens: later, a SYN may be forged. */
	if (flags & TCP_SYN && session->state == NAT_STATE_INIT) {
		int scale = scale_option(segment);

		end->scales = scale >= 0;
		end->scale = scale >= 0 ? (uint8_t)scale & 15 : 0;
	}
	if (flags & TCP_RST || !(flags & TCP_ACK_FLAG))
		return;
	nat_tcp_learn(session, from, nat_load32(segment->l4 + TCP_ACK),
		      nat_load16(segment->l4 + TCP_WINDOW));
	/* The window of a SYN is never scaled (RFC 7323 2.2). */
	if (flags & TCP_SYN)
		end->shift = 0;
}

/* An RST or FIN belongs to the connection when its segment begins or ends in the
 * window that its receiver last offered (RFC 7857 2.2, RFC 5961 3, RFC 5382 9):
 * data before it may have come already. It may stand just behind the window,
 * which its sender has filled. It is forwarded anyway. */
static bool in_window(const struct nat_session *session,
		      const struct nat_parsed *segment, enum nat_side from)
{
	enum nat_side to = from == NAT_INSIDE ? NAT_OUTSIDE : NAT_INSIDE;
	const struct nat_tcp_end *receiver = &session->end[to];
	uint32_t ahead = nat_load32(segment->l4 + TCP_SEQ) - receiver->ack;
	uint32_t bytes = segment->l4_length - header_bytes(segment);
	uint32_t window = (uint32_t)receiver->window << receiver->shift;

	return !receiver->known || ahead <= window || ahead + bytes <= window;
}

static bool is_client(const struct nat_session *session, enum nat_side side)
{
	bool server_inside = session->flags & NAT_SESSION_SERVER;

	return (side == NAT_OUTSIDE) == server_inside;
}

static enum event classify(const struct nat_session *session,
			   const struct nat_parsed *segment, enum nat_side from)
{
	bool client = is_client(session, from);
	uint8_t flags = tcp_flags(segment);

	if (flags & TCP_RST)
		return EVENT_RST;
	if (flags & TCP_SYN)
		return client ? EVENT_SYN_CLIENT : EVENT_SYN_SERVER;
	if (flags & TCP_FIN && in_window(session, segment, from))
		return client ? EVENT_FIN_CLIENT : EVENT_FIN_SERVER;
	return EVENT_OTHER;
}

/* A SYN on a closing 4-tuple opens a new connection (RFC 1122 4.2.2.13, RFC
 * 6191): its sender is the client, nothing is known of the ends. */
static void reopen(struct nat *nat, uint32_t slot,
		   const struct nat_parsed *segment, enum nat_side from,
		   uint64_t now_ms)
{
	struct nat_session *session = &nat->sessions[slot];
	bool idle = session->state == NAT_STATE_TRANS;

	session->state = NAT_STATE_INIT;
	session->flags &=
		(uint8_t) ~(NAT_SESSION_SERVER | NAT_SESSION_REOPENED);
	if (from == NAT_OUTSIDE)
		session->flags |= NAT_SESSION_SERVER;
	if (from == NAT_OUTSIDE && idle)
		session->flags |= NAT_SESSION_REOPENED;
	session->end[0] = session->end[1] = (struct nat_tcp_end){ 0 };
	learn(session, segment, from);
	nat_session_refresh(nat, slot, NAT_TIMER_TCP_OPENING, now_ms);
}

/* An outsider's SYN may have been forged for a connection that still lives. An
 * inside end that then goes on without a SYN of its own tells so (it answers
 * such a SYN by a mere ACK, RFC 5961 4): back to where it was. */
static void doubt_reopening(struct nat_session *session, enum event event,
			    enum nat_side from)
{
	if (!(session->flags & NAT_SESSION_REOPENED) || from != NAT_INSIDE)
		return;
	session->flags &= (uint8_t)~NAT_SESSION_REOPENED;
	if (session->state == NAT_STATE_INIT && event == EVENT_OTHER)
		session->state = NAT_STATE_TRANS;
}

/* Of a connection that is carried only some segments come here, or all of them,
 * where nothing can be carried just now. Asked first, who carries it has heard
 * what it tells later after this one. True: that was all. */
static bool step_carried(struct nat *nat, uint32_t slot,
			 const struct nat_parsed *segment, enum nat_side from,
			 uint64_t now_ms)
{
	struct nat_session *session = &nat->sessions[slot];

	if (!(session->flags & NAT_SESSION_CARRIED))
		return false;
	if (tcp_flags(segment) & (TCP_SYN | TCP_FIN | TCP_RST)) {
		nat_take_back(nat, slot);
		return false;
	}
	nat_carried_used(nat, slot, now_ms);
	learn(session, segment, from);
	if (tcp_flags(segment) & TCP_ACK_FLAG)
		session->end[from].newer = 1;
	nat_session_refresh(nat, slot, NAT_TIMER_TCP_ESTABLISHED, now_ms);
	return true;
}

/* A stranger whose SYN was let in keeps nothing alive by repeating it: the
 * inside end has not answered but by RST (RFC 7857 7.1). */
static bool unasked(const struct nat_session *session, enum nat_side from)
{
	return session->state == NAT_STATE_INIT && from == NAT_OUTSIDE &&
	       !(session->flags & NAT_SESSION_OUT);
}

void nat_tcp_step(struct nat *nat, uint32_t slot,
		  const struct nat_parsed *segment, enum nat_side from,
		  uint64_t now_ms)
{
	struct nat_session *session = &nat->sessions[slot];
	const struct edge *edge;
	enum event event;

	if (step_carried(nat, slot, segment, from, now_ms))
		return;
	event = classify(session, segment, from);
	if (state_timer[session->state] == NAT_TIMER_TCP_CLOSING &&
	    nat_tcp_is_first(segment)) {
		reopen(nat, slot, segment, from, now_ms);
		return;
	}
	if (event == EVENT_RST && !in_window(session, segment, from))
		return;
	doubt_reopening(session, event, from);
	learn(session, segment, from);
	edge = &edges[session->state][event];
	session->state = edge->next;
	if (edge->action == RESTART && !unasked(session, from))
		nat_session_refresh(nat, slot,
				    (enum nat_timer)state_timer[edge->next],
				    now_ms);
}

static_assert(sizeof(struct nat_tcp_end) == 8, "no padding");
static_assert(TCP_SCALE_MAX < 16, "fits the four bits of a scale");
