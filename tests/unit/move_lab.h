/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the tests of the uplink's move share: the move, and what the engine says
 * of its own accord.
 */
#ifndef PORTICO_TESTS_MOVE_LAB_H
#define PORTICO_TESTS_MOVE_LAB_H

#include <string.h>

#include "engine.h"

#define UPLINK_2 0xcb007108U /* 203.0.113.8 */
#define U NAT_PROTO_UDP
#define T NAT_PROTO_TCP
#define I NAT_PROTO_ICMP
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct flow move_out = { INSIDE_1, 5000, PEER_1, 7000 };

static inline uint32_t move_to(struct engine *engine, uint32_t addr)
{
	uint32_t ended = nat_set_uplink(engine->nat, addr, engine->now);

	CU_ASSERT_PTR_NULL(nat_check(engine->nat));
	return ended;
}

/* The next packet that the engine sends, checked; false: it has none. */
static inline bool move_next(struct engine *engine, struct packet *packet)
{
	const uint8_t *data;
	uint32_t length;

	if (!nat_next_output(engine->nat, engine->now, &data, &length))
		return false;
	CU_ASSERT_PTR_NULL(packet_wrong(data, length));
	memcpy(packet->data, data, length);
	packet->length = length;
	return true;
}

static inline unsigned move_outputs(struct engine *engine)
{
	struct packet packet;
	unsigned count = 0;

	while (move_next(engine, &packet))
		count++;
	return count;
}

/* A TCP segment of this flow, as it comes. */
static inline struct nat_result move_tcp(struct engine *engine,
					 enum nat_path path, struct flow flow,
					 uint8_t flags, uint32_t seq,
					 uint32_t ack)
{
	packet_tcp(&engine->packet, flow,
		   (struct segment){ .flags = flags,
				     .seq = seq,
				     .ack = ack,
				     .window = 1000 });
	return engine_run(engine, path);
}

/* An established connection of move_out's sockets: the inside end has last
 * acknowledged 501. */
static inline void move_connect(struct engine *engine, struct flow flow)
{
	struct flow back = flow_of(flow.dst, flow.dport,
				   nat_uplink(engine->nat), flow.sport);

	ASSERT_TRANSLATED(
		move_tcp(engine, NAT_PATH_OUTBOUND, flow, SYN, 100, 0));
	ASSERT_TRANSLATED(
		move_tcp(engine, NAT_PATH_INBOUND, back, SYN | ACK, 500, 101));
	ASSERT_TRANSLATED(
		move_tcp(engine, NAT_PATH_OUTBOUND, flow, ACK, 101, 501));
}

/* Is the packet a bare segment of this flow? */
static inline bool move_is(struct packet *packet, struct flow flow,
			   uint8_t flags, uint32_t seq)
{
	const uint8_t *tcp = packet_l4(packet);
	struct flow is = packet_flow(packet);

	return packet->data[9] == T && packet->length == 40 &&
	       flow_is(is, flow.src, flow.sport, flow.dst, flow.dport) &&
	       tcp[13] == flags && packet_get32(tcp + 4) == seq;
}

#endif
