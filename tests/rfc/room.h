/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An engine with larger tables than engine_make()'s, and inside hosts by the
 * thousand.
 */
#ifndef PORTICO_TESTS_ROOM_H
#define PORTICO_TESTS_ROOM_H

#include "bench.h"

/* Every inside address that room_host() gives lies in it. */
static const struct nat_prefix room_inside = { 0xc0a80000U, 16 };

/* As engine_make(), with these limits and 192.168.0.0/16 inside. Tables of
 * this size are proved at the end, by room_free(), not after each packet. */
static inline void room_make(struct engine *engine, struct nat_limits limits)
{
	engine_bare(engine, &limits);
	engine_defaults(&engine->config);
	engine->config.inside = &room_inside;
	engine_configure(engine);
	nat_set_uplink(engine->nat, UPLINK, engine->now);
	engine->now += 10 * SECOND;
	engine->unproven = true;
}

static inline void room_free(struct engine *engine)
{
	CU_ASSERT_PTR_NULL(nat_check(engine->nat));
	engine_free(engine);
}

static inline struct nat_limits room_limits(uint32_t mappings)
{
	return (struct nat_limits){
		.mappings = mappings,
		.sessions = mappings,
		.hosts = 1024,
		.held_ports = mappings,
		.fragments = 256,
		.fragment_bytes = 1048576,
		.tagged = 256,
	};
}

/* 192.168.2.1 and up. */
static inline uint32_t room_host(uint32_t i)
{
	return 0xc0a80201U + i;
}

/* Refused for this reason, and the sender told so by ICMP 3 with this code. */
static inline bool room_told(struct nat_result result, enum nat_drop drop,
			     uint8_t code)
{
	return result.verdict == NAT_DROPPED && result.drop == drop &&
	       result.answer_length > 28 && result.answer[20] == 3 &&
	       result.answer[21] == code;
}

#endif
