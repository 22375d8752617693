/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One TCP connection through an engine, its client inside or outside.
 */
#ifndef PORTICO_TESTS_TCP_LAB_H
#define PORTICO_TESTS_TCP_LAB_H

#include "engine.h"

#define OPENING (240 * SECOND)
#define ESTABLISHED (7440 * SECOND)
#define CLOSING (240 * SECOND)

enum end { CLIENT, SERVER };

struct lab {
	struct engine engine;
	bool client_inside;
	struct flow out; /* inside socket to peer */
	uint16_t port; /* outside */
};

static const struct nat_forward web = { .name = "web",
					.proto = NAT_PROTO_TCP,
					.outside_first = 8080,
					.outside_last = 8080,
					.inside_addr = INSIDE_1,
					.inside_first = 80 };

static inline void lab_make(struct lab *lab, bool client_inside)
{
	engine_make(&lab->engine);
	lab->engine.config.forwards = &web;
	lab->engine.config.forward_count = 1;
	engine_configure(&lab->engine);
	lab->client_inside = client_inside;
	lab->port = client_inside ? 5000 : 8080;
	lab->out = flow_of(INSIDE_1, client_inside ? 5000 : 80, PEER_1, 7000);
}

static inline void send(struct lab *lab, enum end from, struct segment segment)
{
	bool outbound = (from == CLIENT) == lab->client_inside;
	struct flow in = flow_of(PEER_1, 7000, UPLINK, lab->port);

	packet_tcp(&lab->engine.packet, outbound ? lab->out : in, segment);
	ASSERT_TRANSLATED(engine_run(
		&lab->engine, outbound ? NAT_PATH_OUTBOUND : NAT_PATH_INBOUND));
}

/* Every segment has sequence number 1000 and acknowledges 1000: right in the
 * window of the other end. */
static inline void flags(struct lab *lab, enum end from, uint8_t bits)
{
	send(lab, from,
	     (struct segment){ .flags = bits,
			       .seq = 1000,
			       .ack = bits & ACK ? 1000 : 0,
			       .window = 500 });
}

static inline void later(struct lab *lab, uint64_t ms)
{
	lab->engine.now += ms;
	nat_expire(lab->engine.nat, lab->engine.now, 1000);
}

static inline struct nat_session_view session(const struct lab *lab)
{
	struct nat_session_view view;

	engine_session(&lab->engine, lab->out.sport, PEER_1, &view);
	return view;
}

static inline bool alive(const struct lab *lab)
{
	struct nat_session_view view;

	return engine_session(&lab->engine, lab->out.sport, PEER_1, &view);
}

/* The shortest way into each state. */
static inline void reach(struct lab *lab, enum nat_state state)
{
	flags(lab, CLIENT, SYN);
	if (state == NAT_STATE_INIT)
		return;
	flags(lab, SERVER, SYN | ACK);
	flags(lab, CLIENT, ACK);
	if (state == NAT_STATE_TRANS)
		flags(lab, SERVER, RST);
	if (state == NAT_STATE_C_FIN || state == NAT_STATE_C_FIN_S_FIN)
		flags(lab, CLIENT, FIN | ACK);
	if (state == NAT_STATE_S_FIN || state == NAT_STATE_C_FIN_S_FIN)
		flags(lab, SERVER, FIN | ACK);
}

#endif
