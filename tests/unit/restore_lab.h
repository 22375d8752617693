/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the tests of restoring share: a table with something of everything, and
 * a restart.
 */
#ifndef PORTICO_TESTS_RESTORE_LAB_H
#define PORTICO_TESTS_RESTORE_LAB_H

#include "engine.h"

static const struct nat_forward restore_forwards[] = {
	{ .name = "one",
	  .proto = NAT_PROTO_UDP,
	  .outside_first = 8001,
	  .outside_last = 8001,
	  .inside_addr = INSIDE_1,
	  .inside_first = 80 },
	{ .name = "two",
	  .proto = NAT_PROTO_UDP,
	  .outside_first = 8002,
	  .outside_last = 8003,
	  .inside_addr = INSIDE_1,
	  .inside_first = 80 },
	{ .name = "three",
	  .proto = NAT_PROTO_UDP,
	  .outside_first = 8004,
	  .outside_last = 8004,
	  .inside_addr = INSIDE_1,
	  .inside_first = 80 },
};

static inline uint16_t open_from(struct engine *engine, uint8_t proto,
				 uint32_t inside, uint16_t port)
{
	return engine_open(engine, proto, flow_of(inside, port, PEER_1, 7000));
}

static inline bool reaches(struct engine *engine, uint8_t proto, uint16_t port)
{
	return engine_answer(engine, proto, PEER_1, 7000, port).verdict ==
	       NAT_TRANSLATED;
}

/* GRE with a key (RFC 2890). */
static inline void packet_gre_keyed(struct packet *packet, uint32_t src,
				    uint32_t dst, uint32_t key)
{
	packet_other(packet, src, dst, NAT_PROTO_GRE, 24);
	packet_put32(packet_l4(packet), 0x20000800U);
	packet_put32(packet_l4(packet) + 4, key);
}

static inline struct nat_result gre(struct engine *engine, enum nat_path path,
				    uint32_t src, uint32_t dst, uint32_t key)
{
	packet_gre_keyed(&engine->packet, src, dst, key);
	return engine_run(engine, path);
}

/* Killed, restored, and the same configuration and uplink in force. */
static inline struct nat_restored restart(struct engine *engine)
{
	struct nat_restored restored = engine_restore(engine);

	engine_configure(engine);
	nat_set_uplink(engine->nat, UPLINK, engine->now);
	return restored;
}

static inline uint32_t losses(const struct nat_restored *restored)
{
	uint32_t sum = 0;

	for (int i = 0; i < NAT_LOSSES; i++)
		sum += restored->lost[i];
	return sum;
}

/* Mappings of every kind, in several states and ages. */
static inline void fill(struct engine *engine)
{
	engine_make(engine);
	engine->config.forwards = restore_forwards;
	engine->config.forward_count = 2;
	engine_configure(engine);
	for (uint16_t i = 0; i < 4; i++) {
		open_from(engine, NAT_PROTO_UDP, INSIDE_1 + i % 3, 5000 + i);
		engine->now += 700;
		open_from(engine, NAT_PROTO_TCP, INSIDE_1 + i % 3, 6000);
		engine->now += 300;
		open_from(engine, NAT_PROTO_ICMP, INSIDE_1 + i % 3, 77);
	}
	engine_answer(engine, NAT_PROTO_TCP, PEER_1, 7000, 6000);
	engine_answer(engine, NAT_PROTO_UDP, PEER_1, 7000, 5001);
	engine_udp(engine, NAT_PATH_INBOUND,
		   flow_of(PEER_2, 900, UPLINK, 8002));
	gre(engine, NAT_PATH_OUTBOUND, INSIDE_1, PEER_2, 11);
	gre(engine, NAT_PATH_OUTBOUND, INSIDE_2, PEER_2, 12);
	gre(engine, NAT_PATH_OUTBOUND, INSIDE_2, PEER_2, 13);
	engine->now += 50;
}

#endif
