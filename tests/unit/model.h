/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A slow, obvious model of the engine: arrays searched from end to end, rules
 * written down as the documents say them. It is told what happens, says what
 * must come of it, and is compared with the engine afterwards.
 *
 * What it cannot know it takes from the engine and judges: the port that was
 * chosen, and which of several due reasons a refusal names.
 */
#ifndef PORTICO_TESTS_MODEL_H
#define PORTICO_TESTS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"
#include "packets.h"
#include "portico/nat.h"

enum { MODEL_MAPPINGS = 16, MODEL_SESSIONS = 32, MODEL_HELD = 8 };

/* In the order of their making, but an alias stands behind the first mapping
 * of its inside socket: the first one found is the one that is used. */
struct model_mapping {
	uint32_t id;
	uint8_t proto;
	uint32_t inside_addr;
	uint16_t inside_port;
	uint16_t outside_port;
	bool forward;
	bool used; /* a packet has passed it */
	size_t rule;
};

/* The timer of TCP sessions that the uplink's move has cut. */
#define MODEL_CUT NAT_TIMERS

struct model_session {
	uint32_t mapping; /* id */
	uint32_t peer_addr;
	uint16_t peer_port;
	enum nat_state state;
	enum nat_timer timer;
	uint64_t used;
	uint64_t moved; /* orders sessions used in the same millisecond */
	bool out; /* the inside socket has sent */
	bool in;
	bool server; /* the client is outside */
	bool reopened; /* by an outsider's SYN in TRANS */
};

struct model_held {
	enum nat_pool pool;
	uint16_t port;
	uint64_t since;
	bool live; /* false: a forward took it */
};

struct model {
	struct nat_limits limits;
	const struct nat_config *config;
	struct nat_portset bound[NAT_POOLS];
	uint32_t uplink;
	uint32_t address; /* the last uplink that was not 0 */
	uint64_t now;
	struct model_mapping mappings[MODEL_MAPPINGS];
	size_t mapping_count;
	struct model_session sessions[MODEL_SESSIONS];
	size_t session_count;
	struct model_held held[MODEL_HELD];
	size_t held_count;
	uint64_t overflow;
	uint32_t last_id;
	uint64_t moves;
};

/* A TCP, UDP or ICMP packet (echo outbound, echo reply inbound). */
struct model_event {
	enum nat_path path; /* OUTBOUND, INBOUND or HAIRPIN_IN */
	uint8_t proto;
	struct flow flow;
	uint8_t flags; /* TCP */
};

struct model_verdict {
	enum nat_verdict verdict;
	uint32_t reasons; /* bit 1 << drop for each that may be named */
	struct flow flow; /* of a translated packet */
	uint16_t source_port; /* of the hairpin's second pass, 0: any */
	const char *wrong; /* the engine's choice breaks a rule */
};

enum nat_pool model_pool(uint8_t proto);

/* The same operations as the engine's. */
uint32_t model_configure(struct model *model, const struct nat_config *config);
/* After the engine has moved; NULL, or what is wrong with the ports it chose. */
const char *model_set_uplink(struct model *model, uint32_t addr,
			     const struct engine *engine);
void model_sweep(struct model *model); /* nat_expire() without limit */

/* Judges a packet and changes the model. chosen: the outside port that the
 * engine gave to a new mapping, -1: it made none. */
struct model_verdict model_packet(struct model *model,
				  const struct model_event *event,
				  int32_t chosen);

/* Looking. */
const struct model_mapping *model_by_inside(const struct model *model,
					    uint8_t proto, uint32_t addr,
					    uint16_t port);
const struct model_mapping *model_by_outside(const struct model *model,
					     uint8_t proto, uint16_t port);
const struct model_mapping *model_by_id(const struct model *model, uint32_t id);
size_t model_sessions_of(const struct model *model, uint32_t mapping);
size_t model_host_mappings(const struct model *model, uint32_t addr);
/* Without forwards. */
size_t model_host_dynamic(const struct model *model, uint32_t addr);
size_t model_host_sessions(const struct model *model, uint32_t addr);
bool model_is_held(const struct model *model, enum nat_pool pool,
		   uint16_t port);
/* May this port be handed out to the inside port `wanted`? */
bool model_is_free(const struct model *model, enum nat_pool pool, uint16_t port,
		   uint16_t wanted);
uint64_t model_timer_ms(const struct model *model, enum nat_timer timer);
/* Have other hosts than this one taken all places? */
bool model_host_table_full(const struct model *model, uint32_t addr);
/* A position in model->sessions, or MODEL_NONE. */
#define MODEL_NONE ((size_t)-1)
size_t model_find_session(const struct model *model, uint32_t mapping,
			  uint32_t addr, uint16_t port);
/* Has the inside socket sent to this address? */
bool model_contacted(const struct model *model, uint32_t mapping,
		     uint32_t addr);

/* Its mapping may end with it. */
void model_end_session(struct model *model, size_t session);
/* Changing; the first two return id and position. */
uint32_t model_add_mapping(struct model *model, struct model_mapping mapping);
size_t model_add_session(struct model *model, const struct model_mapping *m,
			 uint32_t addr, uint16_t port, bool server);
void model_touch(struct model *model, struct model_session *session,
		 enum nat_timer timer, uint64_t now);

/* Compares everything that can be seen, and nat_check(). ports: every port
 * that ever comes up. NULL: the engine is as the model, else the difference. */
const char *model_compare(const struct model *model,
			  const struct engine *engine, const uint16_t *ports,
			  size_t count);

#endif
