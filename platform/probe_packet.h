/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The packets that the probes of `portico selftest` send, and how those that
 * arrive are read. Whole IPv4 packets; addresses and ports in host order.
 */
#ifndef PORTICO_PLATFORM_PROBE_PACKET_H
#define PORTICO_PLATFORM_PROBE_PACKET_H

#include <stdbool.h>
#include <stdint.h>

#define PROBE_PACKET_MAX 2560U

struct probe_packet {
	uint8_t data[PROBE_PACKET_MAX];
	uint32_t length;
};

struct probe_socket {
	uint32_t addr;
	uint16_t port; /* the query id of an ICMP message */
};

enum {
	PROBE_SYN = 0x02,
	PROBE_ACK = 0x10,
	PROBE_PSH = 0x08,
};
enum {
	PROBE_ECHO_REPLY = 0,
	PROBE_UNREACHABLE = 3,
	PROBE_ECHO = 8,
};

/* What a packet says. A tag is a number by which a packet is known again,
 * whatever is rewritten on its way: the last four bytes of a datagram or echo,
 * the sequence number of a segment, of an ICMP error 0. */
struct probe_view {
	uint8_t proto;
	struct probe_socket from, to;
	uint8_t flags; /* TCP */
	uint8_t type; /* ICMP */
	uint32_t tag;
	const uint8_t *payload; /* of an ICMP error: the quoted packet */
	uint32_t bytes;
};

/* Build a whole packet with right checksums, don't fragment clear. payload may
 * be NULL (zeros); the tag is appended to it (bytes does not count it). */
void probe_udp(struct probe_packet *packet, struct probe_socket from,
	       struct probe_socket to, const void *payload, uint32_t bytes,
	       uint32_t tag);
void probe_tcp(struct probe_packet *packet, struct probe_socket from,
	       struct probe_socket to, uint8_t flags, const void *payload,
	       uint32_t bytes, uint32_t tag);
/* id: both ends' port; type PROBE_ECHO or PROBE_ECHO_REPLY. */
void probe_echo(struct probe_packet *packet, uint32_t from, uint32_t to,
		uint8_t type, uint16_t id, uint32_t tag);
/* Destination unreachable, port unreachable, about a packet. */
void probe_unreachable(struct probe_packet *packet, uint32_t from, uint32_t to,
		       const struct probe_packet *about);

/* False when the packet is no TCP, UDP or ICMP this module knows, or is a
 * fragment. */
bool probe_read(const struct probe_packet *packet, struct probe_view *view);
/* The IP header's checksum is right. */
bool probe_header_right(const struct probe_packet *packet);
/* The transport checksum is right; 0 in UDP is. Not for fragments. */
bool probe_transport_right(const struct probe_packet *packet);
uint32_t probe_source(const struct probe_packet *packet);

/* Cuts a packet in two fragments; bytes: of the first one behind the IP
 * header, a multiple of 8. */
void probe_cut(const struct probe_packet *packet, uint32_t bytes,
	       struct probe_packet *first, struct probe_packet *second);

/* One datagram that is being put together; all zero at first. */
struct probe_assembly {
	struct probe_packet whole;
	uint32_t have; /* bytes behind the header */
	uint32_t total; /* 0: the last fragment did not come yet */
};

/* Takes an arrived packet. True: *packet is whole (an unfragmented one as it
 * came); false: a fragment was kept and more are to come. Fragments of another
 * datagram put an end to the one before. */
bool probe_assemble(struct probe_assembly *assembly,
		    struct probe_packet *packet);

#endif
