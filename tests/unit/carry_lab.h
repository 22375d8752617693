/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A carrier that says what it is told to, and sessions that it is offered.
 */
#ifndef PORTICO_TESTS_CARRY_LAB_H
#define PORTICO_TESTS_CARRY_LAB_H

#include <string.h>

#include "tcp_lab.h"

#define AFTER 4U
#define SESSIONS 128

/* A carrier that remembers what it carries, and says what it is told to. */
struct carrier {
	bool full;
	bool carried[SESSIONS + 1];
	struct nat_carried last; /* handed over */
	struct nat_counters use; /* of whatever is asked for next */
	uint32_t every; /* packets out whoever is asked for, beside it */
	struct nat_counters late; /* of what is given back next, beside it */
	struct nat_carried_end ends[2]; /* of what is given back */
	uint32_t offers, given_back, asked;
};

static inline bool carry(void *context, const struct nat_carried *session)
{
	struct carrier *carrier = context;

	carrier->offers++;
	CU_ASSERT_FATAL(session->session && session->session <= SESSIONS);
	CU_ASSERT_FALSE(carrier->carried[session->session]);
	if (carrier->full)
		return false;
	carrier->carried[session->session] = true;
	carrier->last = *session;
	return true;
}

static inline void use(void *context, uint32_t session,
		       struct nat_counters *use)
{
	struct carrier *carrier = context;

	carrier->asked++;
	CU_ASSERT_TRUE(carrier->carried[session]);
	use->out_packets += carrier->use.out_packets + carrier->every;
	use->out_bytes += carrier->use.out_bytes;
	use->in_packets += carrier->use.in_packets;
	use->in_bytes += carrier->use.in_bytes;
	memset(&carrier->use, 0, sizeof(carrier->use));
}

static inline void give_back(void *context, uint32_t session,
			     struct nat_counters *sum,
			     struct nat_carried_end ends[2])
{
	struct carrier *carrier = context;

	use(context, session, sum);
	sum->out_packets += carrier->late.out_packets;
	sum->in_packets += carrier->late.in_packets;
	memset(&carrier->late, 0, sizeof(carrier->late));
	memcpy(ends, carrier->ends, sizeof(carrier->ends));
	carrier->given_back++;
	carrier->carried[session] = false;
}

static inline void with_carrier(struct engine *engine, struct carrier *carrier)
{
	const struct nat_carrier face = { carry, use, give_back, carrier };

	memset(carrier, 0, sizeof(*carrier));
	engine->config.carry_after = AFTER;
	engine_configure(engine);
	nat_set_carrier(engine->nat, &face);
}

static struct lab lab;
static struct carrier carrier;

/* An established connection of a client inside, on which so many packets have
 * passed in all. */
static inline void connect_tcp(uint32_t packets)
{
	lab_make(&lab, true);
	with_carrier(&lab.engine, &carrier);
	reach(&lab, NAT_STATE_ESTABLISHED);
	for (uint32_t i = 3; i < packets; i++)
		flags(&lab, i & 1 ? CLIENT : SERVER, ACK);
}

static struct engine udp;
static const struct flow udp_out = { INSIDE_1, 5000, PEER_1, 7000 };

static inline void udp_open(uint32_t out, uint32_t in)
{
	engine_make(&udp);
	with_carrier(&udp, &carrier);
	while (out--)
		engine_open(&udp, NAT_PROTO_UDP, udp_out);
	while (in--)
		engine_answer(&udp, NAT_PROTO_UDP, PEER_1, 7000, 5000);
}

static inline struct nat_session_view udp_session(void)
{
	struct nat_session_view view;

	CU_ASSERT_TRUE_FATAL(engine_session(&udp, 5000, PEER_1, &view));
	return view;
}

#endif
