/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the conformance tests share: looking up ports, letting time pass, both
 * passes of a hairpin, and datagrams in two fragments.
 */
#ifndef PORTICO_TESTS_RFC_BENCH_H
#define PORTICO_TESTS_RFC_BENCH_H

#include <string.h>

#include "tests/unit/engine.h"
#include "tests/unit/requirement.h"

#define MINUTE (60 * SECOND)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Room for thousands of sockets; nat_check() is left out after each packet. */
static inline void bench_wide(struct engine *engine)
{
	struct nat_limits limits = { .mappings = 16384,
				     .sessions = 32768,
				     .hosts = 1024,
				     .held_ports = 16384,
				     .fragments = 64,
				     .fragment_bytes = 65536,
				     .tagged = 1024 };

	engine_bare(engine, &limits);
	engine_defaults(&engine->config);
	engine->config.host_new_per_second = 20000;
	engine->config.host_mappings = 16384;
	engine_configure(engine);
	nat_set_uplink(engine->nat, UPLINK, engine->now);
	engine->now += 10 * SECOND;
	engine->unproven = true;
}

/* Another filtering for all protocols. */
static inline void bench_filter(struct engine *engine, enum nat_filter filter)
{
	for (int pool = 0; pool < NAT_POOLS; pool++)
		engine->config.filtering[pool] = filter;
	engine_configure(engine);
}

static inline void bench_later(struct engine *engine, uint64_t ms)
{
	engine->now += ms;
	nat_expire(engine->nat, engine->now, 100000);
}

/* The outside port of an inside socket, 0: it has none. */
static inline uint16_t bench_port(const struct engine *engine, uint8_t proto,
				  uint32_t addr, uint16_t port)
{
	struct nat_mapping_view view;
	uint32_t cursor = 0;

	while (nat_next_mapping(engine->nat, &cursor, engine->now, &view))
		if (view.proto == proto && view.inside_addr == addr &&
		    view.inside_port == port)
			return view.outside_port;
	return 0;
}

/* A packet from outside reaches this inside socket. */
static inline bool bench_reaches(struct engine *engine, uint8_t proto,
				 struct flow from, uint32_t addr, uint16_t port)
{
	struct nat_result result;

	if (proto == NAT_PROTO_UDP)
		result = engine_udp(engine, NAT_PATH_INBOUND, from);
	else
		result = engine_tcp(engine, NAT_PATH_INBOUND, from, ACK);
	return result.verdict == NAT_TRANSLATED &&
	       flow_is(packet_flow(&engine->packet), from.src, from.sport, addr,
		       port);
}

/* Both passes of engine->packet, with the kernel's routing between them. */
static inline struct nat_result bench_hairpin(struct engine *engine)
{
	struct nat_result result = engine_run(engine, NAT_PATH_HAIRPIN_IN);

	if (result.verdict != NAT_TRANSLATED)
		return result;
	return engine_run(engine, NAT_PATH_HAIRPIN_OUT);
}

/* How many packets the engine wants to send of its own accord; the last one
 * is kept. */
static inline unsigned bench_outputs(struct engine *engine, struct packet *last)
{
	const uint8_t *data;
	uint32_t length;
	unsigned count = 0;

	while (nat_next_output(engine->nat, engine->now, &data, &length)) {
		if (last) {
			memcpy(last->data, data, length);
			last->length = length;
		}
		count++;
	}
	return count;
}

/* An ICMP error from outside about `about`, as it left. */
static inline struct nat_result bench_error(struct engine *engine, uint32_t src,
					    uint8_t type, uint8_t code,
					    uint32_t rest,
					    const struct packet *about)
{
	packet_error(&engine->packet,
		     (struct error){ .src = src,
				     .dst = UPLINK,
				     .type = type,
				     .code = code,
				     .rest = rest },
		     about);
	return engine_run(engine, NAT_PATH_INBOUND);
}

/* Cuts a whole packet, `at` bytes (a multiple of 8) behind its IP header. */
static inline void bench_split(const struct packet *whole, uint32_t at,
			       struct packet *first, struct packet *second)
{
	*first = *whole;
	first->length = PACKET_IP + at;
	packet_put16(first->data + 2, (uint16_t)first->length);
	packet_set_fragment(first, 0x2000);
	*second = *whole;
	second->length = whole->length - at;
	memmove(second->data + PACKET_IP, whole->data + PACKET_IP + at,
		whole->length - PACKET_IP - at);
	packet_put16(second->data + 2, (uint16_t)second->length);
	packet_set_fragment(second, (uint16_t)(at / 8));
}

/* What the receiver puts together; NULL: whole and right. */
static inline const char *bench_join(const struct packet *first,
				     const struct packet *second)
{
	struct packet whole = *first;
	uint32_t at = first->length - PACKET_IP;

	if (!packet_ip_good(second->data, second->length))
		return "the second fragment's header is wrong";
	if (memcmp(first->data + 12, second->data + 12, 8) ||
	    memcmp(first->data + 4, second->data + 4, 2) ||
	    packet_get16(second->data + 6) != at / 8)
		return "the fragments do not belong together";
	memcpy(whole.data + first->length, second->data + PACKET_IP,
	       second->length - PACKET_IP);
	whole.length += second->length - PACKET_IP;
	packet_put16(whole.data + 2, (uint16_t)whole.length);
	packet_set_fragment(&whole, 0);
	return packet_wrong(whole.data, whole.length);
}

#endif
