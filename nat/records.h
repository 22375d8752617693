/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The engine's records: what is remembered of mappings, sessions, hosts and
 * held ports. They hold no pointer and may lie in a file that outlives the
 * process; the next one's indices (struct nat in engine.h) are rebuilt from
 * them (restore.c).
 *
 * `check` is a keyed hash of what a record is (seal.h), never of what changes
 * with each packet. It is there before `live` becomes 1 and is cleared after
 * `live` became 0, so a record half made or half ended is never taken for one.
 */
#ifndef PORTICO_NAT_RECORDS_H
#define PORTICO_NAT_RECORDS_H

#include <stdint.h>

#include "bucket.h"
#include "portico/nat.h"
#include "siphash.h"

/* A transport socket of one side. Eight bytes without padding: a hash key. */
struct nat_socket {
	uint32_t addr;
	uint16_t port;
	uint8_t proto;
	uint8_t zero;
};

/* Its outside address is the header's, as all mappings'. What is only shown is
 * kept in whole seconds. */
struct nat_mapping {
	struct nat_socket inside;
	uint32_t host;
	uint32_t alias; /* next mapping with the same inside socket */
	uint32_t sessions;
	uint32_t first; /* of its sessions: the newest */
	uint32_t forward; /* position in nat_config.forwards */
	uint32_t created_s;
	uint32_t used_s;
	uint32_t check; /* inside, port, kind, created_s */
	uint16_t port; /* outside */
	uint16_t port_again; /* with proto_again: to rest, if damaged */
	uint8_t proto_again;
	uint8_t kind;
	uint8_t live; /* 0: this slot is free */
	uint8_t zero;
	struct nat_counters counters;
};

/* What the session knows of one end of a TCP connection, to judge an RST that
 * comes from the other (behave 4.2). */
struct nat_tcp_end {
	uint32_t ack; /* next sequence number this end expects */
	uint16_t window; /* what it accepts from there, to be shifted left */
	uint8_t shift; /* by so many bits: its scale, or 0 */
	uint8_t scale : 4; /* of its window (RFC 7323), from its SYN */
	uint8_t scales : 1; /* its SYN offered scaling */
	uint8_t known : 1; /* an ACK of it was seen */
	uint8_t newer : 1; /* than what the carrier knows of it (carry.c) */
};

/* Twelve bytes without padding: a hash key. */
struct nat_session_key {
	uint32_t mapping;
	uint32_t peer_addr;
	uint16_t peer_port;
	uint16_t part; /* tells tagged sessions with one peer apart, else 0 */
};

struct nat_session {
	struct nat_session_key key;
	uint8_t state;
	uint8_t timer; /* the class whose list it is in */
	uint8_t flags;
	uint8_t live;
	uint32_t created_s;
	uint32_t check; /* key, created_s */
	uint64_t used_ms; /* last refresh: decides expiry */
	union {
		struct nat_tcp_end end[2]; /* [NAT_INSIDE], [NAT_OUTSIDE] */
		uint32_t tagged; /* slot of its struct nat_tagged */
	};
	struct nat_counters counters;
};

/* A peer of a tagged protocol, as packets from outside name it: all sessions
 * with it share a bucket. Twelve bytes without padding: a hash key. */
struct nat_peer_key {
	uint32_t peer_addr;
	uint16_t peer_port; /* SCTP, else 0 */
	uint16_t port; /* SCTP: ours, which is the inside one; else 0 */
	uint8_t kind; /* enum nat_tag_kind */
	uint8_t zero[3];
};

/* The tags of one direction: while keys change, both are in use; and one that
 * nobody has proved yet must not push out the other. */
struct nat_tags {
	uint32_t value[2]; /* the one last used comes first */
	uint32_t count;
};

/* What a tagged session has beside the others. */
struct nat_tagged {
	struct nat_peer_key key;
	uint32_t session;
	uint64_t created_ms;
	struct nat_tags in; /* of the packets to the inside host */
	struct nat_tags out; /* of the packets from it */
	uint8_t flags;
	uint8_t live; /* 0: this slot is free */
	uint8_t zero[2];
	uint32_t check; /* all but live */
};

enum {
	/* SCTP: this side wants no restart by others of the same ports. */
	NAT_TAGGED_FREE_IN = 1,
	NAT_TAGGED_FREE_OUT = 2,
};

enum {
	NAT_SESSION_OUT = 1, /* the inside socket has sent to this peer */
	NAT_SESSION_IN = 2, /* the peer has sent */
	NAT_SESSION_SERVER = 4, /* TCP: the client is outside */
	NAT_SESSION_REOPENED = 16, /* TCP: by an outsider's SYN in TRANS */
	NAT_SESSION_RETIRED = 8, /* in TRANS for having been idle */
	NAT_SESSION_CARRIED = 32, /* by the caller's carrier (carry.c) */
	NAT_SESSION_FLAGS = 63, /* all of them */
};

enum nat_side { NAT_INSIDE, NAT_OUTSIDE };

struct nat_host {
	uint32_t addr;
	uint32_t mappings;
	uint32_t sessions;
	uint32_t forwards; /* of its mappings */
	uint32_t live;
	uint32_t check; /* addr */
	uint32_t tagged; /* of its sessions */
	uint32_t zero;
	struct nat_bucket opens; /* new mappings */
	struct nat_bucket answers; /* ICMP that tells it of refusals */
	uint64_t refused;
	struct nat_counters counters;
};

/* A port that rests after use. */
struct nat_held {
	uint64_t since_ms;
	uint16_t port;
	uint8_t pool;
	uint8_t live; /* 0: a forward took the port meanwhile */
	uint32_t check; /* all but live */
};

/* The first four members stay where they are in every layout, so that one
 * version knows another's file. */
struct nat_header {
	uint64_t magic; /* NAT_MAGIC, written last; another byte order shows */
	uint32_t layout; /* NAT_LAYOUT */
	uint32_t shape; /* hash of the sizes of all records */
	uint8_t boot[16]; /* which run of the clock the times are of */
	struct nat_siphash_key key; /* of every check in this block */
	struct nat_limits limits;
	uint32_t check; /* all above */
	uint32_t uplink; /* the last address that was not 0 */
	uint32_t uplink_check;
	uint32_t held_first; /* ring: oldest entry */
	uint32_t held_count;
	uint32_t clean; /* 1: nobody was at work when the process ended */
	uint8_t zero[28];
};

#define NAT_MAGIC 0x4f434954524f500aULL /* a line's end and "PORTICO" */
#define NAT_EMPTYING 0x594c504d4520500aULL /* the block is being zeroed */
#define NAT_LAYOUT 4U

#endif
