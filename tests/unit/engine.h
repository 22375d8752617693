/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An engine for tests: small tables in blocks of exactly the size they need,
 * the default configuration with the pools of the documentation, and a door
 * that judges every packet that passes it.
 */
#ifndef PORTICO_TESTS_ENGINE_H
#define PORTICO_TESTS_ENGINE_H

#include <CUnit/CUnit.h>
#include <stdbool.h>
#include <stdint.h>

#include "packets.h"
#include "portico/nat.h"

#define SECOND ((uint64_t)1000)

struct engine {
	struct nat *nat;
	struct nat_config config;
	struct nat_limits limits;
	uint64_t now; /* ms */
	enum nat_checksum checksum; /* of the packets that follow */
	bool unproven; /* leave out nat_check() after each packet */
	uint8_t boot; /* which run of the clock engine_restore() is in */
	uint32_t foreseen; /* counts packets */
	struct packet packet; /* the last one, as it left */
	void *records;
	void *indices;
};

/* Small limits: 64 mappings, 128 sessions, 8 hosts, 64 held ports. */
extern const struct nat_limits engine_limits;

/* The defaults of the documentation: pool 1024-65535 and 512-1023 for low
 * inside ports, inside 192.168.1.0/24. */
void engine_defaults(struct nat_config *config);
/* Replaces all pools by the ports first..last. */
void engine_pool(struct nat_config *config, uint16_t first, uint16_t last);

/* Makes an engine at time 1,000,000 ms without configuration and uplink. */
void engine_bare(struct engine *engine, const struct nat_limits *limits);
/* Makes one with small limits, the defaults and the uplink UPLINK. */
void engine_make(struct engine *engine);
/* Puts engine->config in force again after a change of it. */
uint32_t engine_configure(struct engine *engine);
void engine_free(struct engine *engine);

/* The process dies and another one takes the records over, with other secrets;
 * configuration and uplink are the caller's to put in force again. Judges what
 * nat_check() says. */
struct nat_restored engine_restore(struct engine *engine);

/* Translates `data` in a buffer of exactly its length and copies it back.
 * Judges verdict, mark, counters, answer, that a refused packet is as it was,
 * that a translated one has the right checksums if it had them before and
 * shows no inside source; then nat_check(). A failure prints the packet. */
struct nat_result engine_translate(struct engine *engine, uint8_t *data,
				   uint32_t length, enum nat_path path);
/* The same for engine->packet. */
struct nat_result engine_run(struct engine *engine, enum nat_path path);

/* Build a packet into engine->packet and run it. */
struct nat_result engine_udp(struct engine *engine, enum nat_path path,
			     struct flow flow);
struct nat_result engine_tcp(struct engine *engine, enum nat_path path,
			     struct flow flow, uint8_t flags);
struct nat_result engine_icmp(struct engine *engine, enum nat_path path,
			      struct flow flow, uint8_t type);

/* Opens a mapping from inside by UDP, TCP (a SYN) or ping and returns the
 * outside port or id; 0 when the packet was not translated. */
uint16_t engine_open(struct engine *engine, uint8_t proto, struct flow flow);
/* Sends from the peer to the uplink's port; returns the result. For ICMP an
 * echo reply with this id. */
struct nat_result engine_answer(struct engine *engine, uint8_t proto,
				uint32_t peer, uint16_t peer_port,
				uint16_t port);

/* The session with this inside port and peer; false: there is none. */
bool engine_session(const struct engine *engine, uint16_t inside_port,
		    uint32_t peer, struct nat_session_view *view);
bool engine_mapping(const struct engine *engine, uint16_t outside_port,
		    struct nat_mapping_view *view);
/* The outside port of an inside socket's dynamic mapping; -1: it has none. */
int32_t engine_dynamic_port(const struct engine *engine, uint8_t proto,
			    uint32_t addr, uint16_t port);
struct nat_stats engine_stats(const struct engine *engine);

#define ASSERT_TRANSLATED(result) \
	CU_ASSERT_EQUAL((result).verdict, NAT_TRANSLATED)
#define ASSERT_UNTOUCHED(result) \
	CU_ASSERT_EQUAL((result).verdict, NAT_UNTOUCHED)
#define ASSERT_DROPPED(result, reason) CU_ASSERT_EQUAL((result).drop, reason)
#define ASSERT_FLOW(engine, src, sport, dst, dport) \
	CU_ASSERT_TRUE(flow_is(packet_flow(&(engine)->packet), src, sport, \
			       dst, dport))

#endif
