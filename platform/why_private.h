/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the parts of `portico why` share: the question (why_question.c), the line
 * of the answer (why.c), the walk through the tables (why_walk.c), the way
 * (why_way.c), the judgement (why_judge.c, why_inbound.c) and whether there is
 * room (why_room.c).
 */
#ifndef PORTICO_PLATFORM_WHY_PRIVATE_H
#define PORTICO_PLATFORM_WHY_PRIVATE_H

#include <json-c/json.h>

#include "views.h"
#include "why.h"

/* All that is judged by beside the tables' entries. */
struct why_scene {
	const struct nat *nat;
	const struct nat_config *config;
	const struct nat_portset *bound; /* UDP, TCP */
	const struct network_state *network;
	struct nat_stats stats;
	uint64_t now_ms;
};

enum why_way {
	WHY_OUTBOUND,
	WHY_INBOUND,
	WHY_HAIRPIN,
	WHY_EXEMPT,
	WHY_LOCAL, /* the router's own */
	WHY_NONE, /* never comes to us */
	WHY_WAYS
};

enum why_verdict { WHY_TRANSLATED, WHY_UNTOUCHED, WHY_DROPPED, WHY_VERDICTS };

enum why_phase {
	WHY_BEGIN,
	WHY_MAPPINGS,
	WHY_SESSIONS,
	WHY_HOSTS,
	WHY_JUDGE,
};

/* Mappings of one inside socket that are kept: more than one come of forwards
 * only. */
#define WHY_OWN_MAX 8

/* What the walk found. Names of forwards are left out: a reload between two
 * slices may end them. */
struct why_found {
	/* The mappings of the source, if that is an inside socket. */
	struct nat_mapping_view own[WHY_OWN_MAX];
	size_t own_count;
	/* The mapping whose outside socket is the destination. */
	bool has_target;
	struct nat_mapping_view target;
	/* Inbound: the target's with the source; else the source's with the
	 * destination. */
	bool has_session;
	struct nat_session_view session;
	bool target_session; /* hairpin: the target's with the source */
	bool wanted_session; /* the same, if the source keeps its port */
	bool contacted; /* the target has sent to the peer's address */
	/* The hosts of the source and of the target. */
	bool has_host, has_target_host;
	struct nat_host_view host, target_host;
	uint32_t forwards; /* among the source's mappings */
	uint32_t ports; /* of the pool, of the source's dynamic mappings */
	uint32_t tagged; /* the source's sessions of SCTP, GRE and ESP */
	uint32_t peer_tagged; /* those with this peer, of all hosts */
	bool others; /* another host has some of them */
	uint32_t idle_hosts; /* that give way to new ones */
	uint64_t shares_mappings, shares_sessions; /* what hosts have of them */
	uint32_t low_used; /* ports kept for low inside ports, in use */
	bool wanted_used; /* the source's port number, by another mapping */
};

struct why {
	struct why_question question;
	enum why_phase phase;
	uint32_t cursor;
	struct why_found found;
	/* the answer */
	enum why_way way;
	bool opens; /* a hairpin makes a session of the source first */
	enum why_verdict verdict;
	enum nat_drop drop;
	const struct nat_mapping_view *mapping; /* NULL: none */
	const struct nat_session_view *session; /* NULL: none */
	struct json_object *explanation;
	bool no_memory;
	char remedy[256]; /* "": none */
};

/* "192.168.1.10:5000" and so on, to the end of the block. */
#define WHY_SOCKET(addr, port) \
	views_socket(addr, port, (char[VIEWS_SOCKET_SIZE]){ 0 })
#define WHY_ADDR(addr) views_addr(addr, (char[VIEWS_ADDR_SIZE]){ 0 })

/* --- protocols ----------------------------------------------------------- */

bool why_has_ports(uint8_t proto);
bool why_is_tagged(uint8_t proto); /* SCTP, GRE, ESP: no pool of ports */
/* Sessions of ICMP have peer port 0. */
uint16_t why_peer_port(uint8_t proto, uint16_t port);
bool why_translates(const struct why_scene *scene, uint8_t proto);
uint32_t why_session_share(const struct why_scene *scene); /* of a host */

/* --- the answer ---------------------------------------------------------- */

void why_say(struct why *why, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* What to do about it; the last one counts. */
void why_remedy(struct why *why, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The packet is dropped: says what that means and how often it happened. */
void why_refuse(struct why *why, const struct why_scene *scene,
		enum nat_drop drop);

/* --- the steps ----------------------------------------------------------- */

/* Which way such a packet goes. */
enum why_way why_way(const struct why *why, const struct why_scene *scene);
/* Says so, with the networks that decide it. */
void why_say_way(struct why *why, const struct why_scene *scene);
/* An address that is refused whatever it wants: says why. */
bool why_is_martian(struct why *why, const struct why_scene *scene);

/* Looks at the next entry; moves on to the next phase at the end of a table. */
void why_step(struct why *why, const struct why_scene *scene);

void why_judge(struct why *why, const struct why_scene *scene);
void why_inbound(struct why *why, const struct why_scene *scene);
void why_hairpin(struct why *why, const struct why_scene *scene);

/* What the judgements share. */
void why_leave(struct why *why, enum why_way way); /* it stays as it is */
/* The uplink has no address. drops: such a packet is ours to refuse. */
void why_no_uplink(struct why *why, const struct why_scene *scene, bool drops);
const struct nat_forward *why_forward(const struct why_scene *scene,
				      const struct nat_mapping_view *mapping);
/* Puts into the answer, the mapping with its name, what the walk found. */
void why_show_mapping(struct why *why, const struct why_scene *scene,
		      struct nat_mapping_view *mapping);
void why_show_session(struct why *why);
/* Of protocols with connections: that it is judged as the first packet of one,
 * and whether others would pass. */
void why_say_first(struct why *why, bool passes);
/* The mapping by which the source sends; NULL: it has none. */
struct nat_mapping_view *why_own(struct why_found *found);
/* Whether a new mapping of the source keeps its port, but for what rests. */
bool why_keeps_port(const struct why *why, const struct why_scene *scene);
/* May the source send to the destination, by this mapping (NULL: a new one)? */
enum nat_drop why_open(struct why *why, const struct why_scene *scene,
		       struct nat_mapping_view *own);

/* Would there be room for one more session of the mapping (NULL: of a new one)?
 * What speaks against it is said. */
enum nat_drop why_room_session(struct why *why, const struct why_scene *scene,
			       const struct nat_mapping_view *mapping);
enum nat_drop why_room_mapping(struct why *why, const struct why_scene *scene);
enum nat_drop why_room_tagged(struct why *why, const struct why_scene *scene);
enum nat_drop why_room_outsider(struct why *why, const struct why_scene *scene,
				const struct nat_mapping_view *mapping);
/* Whether packets pass that have no room for a session; then it is said, and no
 * remedy is. */
bool why_goes_without(struct why *why, const struct why_scene *scene,
		      const struct nat_mapping_view *mapping);

#endif
