/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The parts of `portico selftest`. Probes (probe_udp.c, probe_tcp.c,
 * probe_other.c) send packets into a gateway and note facts; the gateway is
 * reached by one of two ways (probe_kernel.c, probe_engine.c); probe_judge.c
 * compares the facts with what the configuration promises; probe_report.c says
 * so.
 */
#ifndef PORTICO_PLATFORM_PROBE_H
#define PORTICO_PLATFORM_PROBE_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "config.h"
#include "portico/nat.h"
#include "probe_packet.h"
#include "spec.h"

/* --- the test bed -------------------------------------------------------- */

/* Documentation and private networks: they exist inside the test bed alone. */
#define PROBE_HOST_1 0xc0a8010aU /* 192.168.1.10 */
#define PROBE_HOST_2 0xc0a8010bU /* 192.168.1.11 */
#define PROBE_ROUTER 0xc0a80101U /* 192.168.1.1 */
#define PROBE_INSIDE_NET 0xc0a80100U /* /24 */
#define PROBE_UPLINK 0xcb007107U /* 203.0.113.7, the outside address E */
#define PROBE_NEXT_HOP 0xcb007101U /* 203.0.113.1 */
#define PROBE_SERVER_1 0xc6336401U /* 198.51.100.1: A1 of RFC 5780 */
#define PROBE_SERVER_2 0xc6336402U /* 198.51.100.2: A2 */
#define PROBE_PORT_1 3478 /* P1 */
#define PROBE_PORT_2 3479 /* P2 */

enum probe_side { PROBE_INSIDE, PROBE_OUTSIDE, PROBE_SIDES };

/* The user's configuration, fitted to the test bed: devices, addresses and
 * paths are its own, and what speaks of the user's own networks (forwards,
 * exempt, behaviour.martians_extra) is left out. */
struct probe_setup {
	struct config *config;
	struct spec_storage spec; /* pools */
	struct nat_config nat; /* for an engine; points into the above */
	struct nat_prefix inside;
	struct json_object *document; /* for a daemon */
};

/* path NULL: no file. 0, or -errno with a sentence in error. To be closed
 * after success only. */
int probe_setup_open(struct probe_setup *setup, const char *path, char *error,
		     size_t size);
void probe_setup_close(struct probe_setup *setup);

/* --- ways ---------------------------------------------------------------- */

/* A way to a gateway, embedded first in the struct of its own. */
struct probe_way {
	/* Puts a packet on a link, as a host or server does. 0 or -errno. */
	int (*send)(struct probe_way *way, enum probe_side side,
		    const struct probe_packet *packet);
	/* Takes what arrives at a link within wait_ms. False: nothing. */
	bool (*receive)(struct probe_way *way, enum probe_side side,
			struct probe_packet *packet, uint64_t wait_ms);
	uint64_t (*now_ms)(struct probe_way *way);
	/* Packets refused so far for a limit: quota, rate, ports, room. */
	uint64_t (*refused)(struct probe_way *way);
	/* What the gateway itself says of the life left to a UDP mapping, in
	 * seconds; 0: it does not say. */
	uint32_t (*life_left)(struct probe_way *way,
			      struct probe_socket inside);
	void (*close)(struct probe_way *way);
};

/* An engine of its own with a simulated clock, which waiting moves. NULL
 * without memory. */
struct probe_way *probe_engine_open(const struct probe_setup *setup);

/* A daemon in a throw-away network. porticod: the program's path. NULL with a
 * reason in error; backend is set to the packet filter it chose. */
struct probe_way *probe_kernel_open(const struct probe_setup *setup,
				    const char *porticod, char backend[32],
				    char *error, size_t size);

/* The daemon's control socket, in a file system of its own. */
#define PROBE_CONTROL "/run/portico/selftest.sock"
#define PROBE_DEVICE_INSIDE "inside0"
#define PROBE_DEVICE_UPLINK "uplink0"
/* The throw-away network: probe_link.c. Both return 0 or -errno with a
 * sentence in error. build: to be called in the gateway's namespace; ends is
 * the descriptor of the namespace of hosts and servers. open: to be called
 * there; sockets[] see and send whole frames on the two links. */
int probe_link_build(int ends, char *error, size_t size);
int probe_link_open(int sockets[PROBE_SIDES], char *error, size_t size);
int probe_link_send(int socket, enum probe_side side,
		    const struct probe_packet *packet);
/* False: nothing (left) that is IPv4. Does not wait. */
bool probe_link_receive(int socket, struct probe_packet *packet);

/* --- facts --------------------------------------------------------------- */

enum probe_mapping {
	PROBE_MAPPING_UNKNOWN,
	PROBE_MAPPING_ENDPOINT_INDEPENDENT,
	PROBE_MAPPING_ADDRESS_DEPENDENT,
	PROBE_MAPPING_ADDRESS_AND_PORT_DEPENDENT,
};

/* enum nat_filter + 1, so that zero is unknown. */
enum probe_filtering {
	PROBE_FILTERING_UNKNOWN,
	PROBE_FILTERING_ENDPOINT_INDEPENDENT,
	PROBE_FILTERING_ADDRESS_DEPENDENT,
	PROBE_FILTERING_ADDRESS_AND_PORT_DEPENDENT,
};

enum probe_answer { PROBE_UNKNOWN, PROBE_NO, PROBE_YES };

enum probe_timer {
	PROBE_LIFE_UDP,
	PROBE_LIFE_TCP,
	PROBE_LIFE_ICMP,
	PROBE_LIVES
};

/* All zero: nothing is known yet. UDP and TCP stand at 0 and 1. */
enum { PROBE_FOR_UDP, PROBE_FOR_TCP, PROBE_TRANSPORTS };
struct probe_facts {
	enum probe_mapping mapping[PROBE_TRANSPORTS];
	enum probe_filtering filtering[PROBE_TRANSPORTS];
	/* Ports that differ between destinations do so by a constant step. */
	enum probe_answer predictable;
	enum probe_answer preserved; /* a free port stays the same */
	enum probe_answer low_port; /* below 1024 stays below */
	enum probe_answer not_shared; /* two hosts, one port: two outside */
	enum probe_answer parity; /* kept in that collision */
	enum probe_answer same_class; /* the second host is treated alike */
	enum probe_answer hairpin[PROBE_TRANSPORTS];
	enum probe_answer hairpin_source; /* it shows the outside socket */
	enum probe_answer fragments[PROBE_SIDES][2]; /* to side; out of order */
	enum probe_answer error_passes; /* ICMP error reaches the host */
	enum probe_answer error_harmless; /* and ends nothing */
	enum probe_answer payload[PROBE_TRANSPORTS]; /* unchanged */
	enum probe_answer both_open; /* simultaneous open */
	enum probe_answer silence; /* unexpected SYN: none in 6 s */
	enum probe_answer queries; /* equal ids of two hosts */
	enum probe_answer checksums; /* right in all that arrived */
	enum probe_answer no_leak; /* no inside address outside */
	uint32_t life_s[PROBE_LIVES]; /* 0: not measured */
	uint32_t life_left_s; /* as the running daemon says */
	uint64_t refused; /* packets for a limit */
};

/* --- the bench: sending, and knowing again what arrives ------------------- */

struct probe_bench {
	struct probe_way *way;
	const struct probe_setup *setup;
	struct probe_facts *facts;
	uint32_t tag; /* the last one given */
	uint32_t port; /* the last one given */
	struct probe_assembly assembly[PROBE_SIDES];
	struct probe_packet packet; /* the last that arrived */
	struct probe_view view; /* of it */
};

/* What is expected is waited for so long, tried so often. */
#define PROBE_WAIT_MS 700
#define PROBE_TRIES 3
/* After the packet sent behind it has arrived. */
#define PROBE_LATE_MS 60

void probe_bench_start(struct probe_bench *bench, struct probe_way *way,
		       const struct probe_setup *setup,
		       struct probe_facts *facts);
uint32_t probe_next_tag(struct probe_bench *bench);
/* A port of the pool that no probe used yet. */
uint16_t probe_next_port(struct probe_bench *bench);

/* Waits for the packet of this protocol and tag; it is in bench->packet. */
bool probe_arrives(struct probe_bench *bench, enum probe_side side,
		   uint8_t proto, uint32_t tag, uint64_t wait_ms);
/* Sends, and waits for it at the other side (to), trying again. */
bool probe_crosses(struct probe_bench *bench, enum probe_side from,
		   enum probe_side to, const struct probe_packet *packet);
/* Whether a packet gets in from outside. Behind it `control` is sent, which
 * must get in: the queue keeps their order, so that nothing is waited for that
 * does not come. */
enum probe_answer probe_admitted(struct probe_bench *bench,
				 const struct probe_packet *packet,
				 const struct probe_packet *control);

static inline enum probe_answer probe_answer_of(bool yes)
{
	return yes ? PROBE_YES : PROBE_NO;
}

static inline bool probe_is(struct probe_socket a, uint32_t addr, uint16_t port)
{
	return a.addr == addr && a.port == port;
}

static inline struct probe_socket probe_socket_of(uint32_t addr, uint16_t port)
{
	return (struct probe_socket){ addr, port };
}

/* --- probes -------------------------------------------------------------- */

void probe_all_udp(struct probe_bench *bench);
void probe_all_tcp(struct probe_bench *bench);
void probe_all_other(struct probe_bench *bench);
/* Everything but the lifetimes. */
void probe_run(struct probe_way *way, const struct probe_setup *setup,
	       struct probe_facts *facts);
/* By the engine's clock, in engines of their own. */
void probe_lifetimes(const struct probe_setup *setup,
		     struct probe_facts *facts);

/* From the outside ports seen by A1:P1, A2:P1 and A2:P2 (0: nothing came). */
enum probe_mapping probe_mapping_of(const uint16_t ports[3]);

/* The ways in which UDP and TCP differ, for the probes that both have. */
struct probe_transport {
	int which; /* PROBE_FOR_UDP or PROBE_FOR_TCP */
	uint8_t proto;
	/* A packet that may be the first of its kind between two sockets. */
	void (*first)(struct probe_packet *packet, struct probe_socket from,
		      struct probe_socket to, uint32_t tag);
	/* One that a peer sends after the talk has begun. */
	void (*later)(struct probe_packet *packet, struct probe_socket from,
		      struct probe_socket to, uint32_t tag);
	/* What a host and its peer do until they talk, after the first packet
	 * has left by the outside port. False: it did not work. */
	bool (*settle)(struct probe_bench *bench, struct probe_socket inside,
		       struct probe_socket peer, uint16_t outside);
};

extern const struct probe_transport probe_udp_transport;
extern const struct probe_transport probe_tcp_transport;

/* The first packet of an inside socket to a peer. Returns the outside port
 * that the peer sees, 0: nothing arrived or not from E. */
uint16_t probe_open(struct probe_bench *bench,
		    const struct probe_transport *transport,
		    struct probe_socket inside, struct probe_socket peer);
/* Mapping, filtering, the collision of two hosts, hairpin. */
void probe_common(struct probe_bench *bench,
		  const struct probe_transport *transport);

/* --- judging ------------------------------------------------------------- */

enum probe_status {
	PROBE_PASS, /* as promised, and as the RFC wants it */
	PROBE_CONFIGURED, /* as promised, which is not what the RFC wants */
	PROBE_FAIL, /* not as promised */
	PROBE_UNMEASURED, /* no answer to judge: counts as not as promised */
	PROBE_SKIPPED, /* nothing was promised or this way cannot tell */
};

struct probe_row {
	const char *name; /* in JSON */
	const char *title;
	const char *requirement;
	enum probe_status status;
	char found[48];
};

#define PROBE_ROWS_MAX 40

struct probe_verdict {
	struct probe_row rows[PROBE_ROWS_MAX];
	size_t count;
	bool good; /* everything is as promised */
};

void probe_judge(const struct probe_setup *setup,
		 const struct probe_facts *facts,
		 struct probe_verdict *verdict);

/* What others call a gateway like this (behave.md 15). */
struct probe_type {
	const char *classic; /* RFC 3489 */
	const char *nintendo;
	const char *xbox;
	const char *playstation;
};
struct probe_type probe_type_of(const struct probe_facts *facts);
const char *probe_mapping_name(enum probe_mapping mapping);
const char *probe_filtering_name(enum probe_filtering filtering);
const char *probe_status_name(enum probe_status status);
const char *probe_lifetime_class(uint32_t seconds);
/* "in and out of order", "in order", "no", NULL: unknown. */
const char *probe_fragments_name(const struct probe_facts *facts);

/* --- reporting ----------------------------------------------------------- */

struct probe_report {
	const char *reason; /* why not the kernel path, NULL: it was that */
	const char *backend; /* NULL with a reason */
	const char *config; /* NULL: no file */
	const struct probe_facts *facts;
	const struct probe_verdict *verdict;
};

void probe_print(const struct probe_report *report, FILE *out);
/* NULL without memory. */
struct json_object *probe_json(const struct probe_report *report);

#endif
