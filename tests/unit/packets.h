/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * IPv4 packets for the tests of the engine: built with right checksums, and
 * judged by a slow, obvious computation that shares nothing with nat/.
 */
#ifndef PORTICO_TESTS_PACKETS_H
#define PORTICO_TESTS_PACKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "portico/nat.h"

/* The test bed of the requirements: two inside hosts, the outside address,
 * two servers. */
#define INSIDE_1 0xc0a8010aU /* 192.168.1.10 */
#define INSIDE_2 0xc0a8010bU /* 192.168.1.11 */
#define INSIDE_3 0xc0a8010cU /* 192.168.1.12 */
#define UPLINK 0xcb007107U /* 203.0.113.7 */
#define PEER_1 0xc6336401U /* 198.51.100.1 */
#define PEER_2 0xc6336402U /* 198.51.100.2 */
#define PEER_3 0xc6336503U /* 198.51.101.3, of another network */

#define PACKET_MAX 4096U
#define PACKET_IP 20U /* an IPv4 header without options */

struct packet {
	uint8_t data[PACKET_MAX];
	uint32_t length;
};

/* Source and destination. For an ICMP query or reply both ports are the id. */
struct flow {
	uint32_t src;
	uint16_t sport;
	uint32_t dst;
	uint16_t dport;
};

enum { FIN = 0x01, SYN = 0x02, RST = 0x04, PSH = 0x08, ACK = 0x10 };

struct segment {
	uint8_t flags;
	uint32_t seq;
	uint32_t ack;
	uint16_t window;
	bool scaled; /* carries the window scale option */
	uint8_t scale;
	uint16_t bytes; /* of payload */
};

/* Whole packets, checksums included. TTL 64, DF, no options. */
void packet_udp(struct packet *packet, struct flow flow, const void *payload,
		uint32_t bytes);
void packet_tcp(struct packet *packet, struct flow flow,
		struct segment segment);
/* An echo or timestamp message (types 8, 0, 13, 14) with flow.sport as id, or
 * any other type with that word in its place. */
void packet_icmp(struct packet *packet, struct flow flow, uint8_t type,
		 uint32_t bytes);
/* Any other protocol. */
void packet_other(struct packet *packet, uint32_t src, uint32_t dst,
		  uint8_t proto, uint32_t bytes);

/* An ICMP error from src to dst about the first `bytes` bytes of `about`;
 * `rest` is the second word of its header (the MTU of a 3/4). */
struct error {
	uint32_t src;
	uint32_t dst;
	uint8_t type;
	uint8_t code;
	uint32_t rest;
	uint32_t bytes; /* of the quote; 0: IP header and 8 bytes */
};
void packet_error(struct packet *packet, struct error error,
		  const struct packet *about);

/* Puts `words` words of no-operation options behind the IP header. */
void packet_add_options(struct packet *packet, uint32_t words);
/* Sets the fragment field (flags and offset) of the IP header. */
void packet_set_fragment(struct packet *packet, uint16_t field);
/* Replaces the transport checksum by the pseudo-header sum (offload). */
void packet_make_partial(struct packet *packet);

/* Recompute after a test has changed bytes. */
void packet_fix_ip(struct packet *packet);
void packet_fix_icmp(struct packet *packet);

/* NULL when the header checksum, the transport checksum (UDP 0: none; SCTP's
 * CRC32c) and, in an ICMP error, the quoted header checksum are right; else what
 * is wrong. */
const char *packet_wrong(const uint8_t *data, uint32_t length);
bool packet_ip_good(const uint8_t *data, uint32_t length);

/* Reading. */
uint16_t packet_get16(const uint8_t *at);
uint32_t packet_get32(const uint8_t *at);
void packet_put16(uint8_t *at, uint16_t value);
void packet_put32(uint8_t *at, uint32_t value);
uint8_t *packet_l4(struct packet *packet);
struct flow packet_flow(const struct packet *packet);
uint16_t packet_checksum(const struct packet *packet); /* transport */
uint16_t packet_pseudo(const struct packet *packet); /* folded sum */
bool packet_same(const struct packet *a, const struct packet *b);

/* One's-complement sum, byte by byte, folded, of `bytes` bytes on top of
 * `sum`. */
uint16_t packet_sum(uint32_t sum, const uint8_t *data, uint32_t bytes);

static inline struct flow flow_of(uint32_t src, uint16_t sport, uint32_t dst,
				  uint16_t dport)
{
	return (struct flow){ src, sport, dst, dport };
}

/* The answer's flow. */
static inline struct flow flow_back(struct flow flow)
{
	return (struct flow){ flow.dst, flow.dport, flow.src, flow.sport };
}

static inline bool flow_is(struct flow a, uint32_t src, uint16_t sport,
			   uint32_t dst, uint16_t dport)
{
	return a.src == src && a.sport == sport && a.dst == dst &&
	       a.dport == dport;
}

#endif
