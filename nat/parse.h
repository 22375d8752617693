/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the engine reads of a packet. Parsing never follows a length that the
 * bytes at hand do not cover.
 */
#ifndef PORTICO_NAT_PARSE_H
#define PORTICO_NAT_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "portico/nat.h"
#include "tag.h"

#define IPV4_HEADER 20U
#define IPV4_FLAG_DF 0x4000U
#define IPV4_FLAG_MF 0x2000U
#define IPV4_OFFSET 0x1fffU

/* Offsets in the IPv4 header (RFC 791 3.1). */
enum {
	IP_TOS = 1,
	IP_LENGTH = 2,
	IP_ID = 4,
	IP_FRAGMENT = 6,
	IP_TTL = 8,
	IP_PROTO = 9,
	IP_CHECKSUM = 10,
	IP_SRC = 12,
	IP_DST = 16
};

/* Offsets in the transport headers. */
enum {
	L4_SRC = 0,
	L4_DST = 2,
	UDP_LENGTH = 4,
	UDP_CHECKSUM = 6,
	UDPLITE_COVERAGE = 4,
	DCCP_DATA_OFFSET = 4,
	DCCP_COVERAGE = 5,
	DCCP_CHECKSUM = 6,
	DCCP_TYPE = 8,
	TCP_SEQ = 4,
	TCP_ACK = 8,
	TCP_DATA_OFFSET = 12,
	TCP_FLAGS = 13,
	TCP_WINDOW = 14,
	TCP_CHECKSUM = 16,
	ICMP_TYPE = 0,
	ICMP_CODE = 1,
	ICMP_CHECKSUM = 2,
	ICMP_ID = 4,
	ICMP_QUOTE = 8
};

enum { TCP_FIN = 0x01, TCP_SYN = 0x02, TCP_RST = 0x04, TCP_ACK_FLAG = 0x10 };

/* Packet types of DCCP (RFC 4340 5.1, RFC 5596 2.1). */
enum {
	DCCP_REQUEST = 0,
	DCCP_CLOSE_REQUEST = 5,
	DCCP_CLOSE = 6,
	DCCP_RESET = 7,
	DCCP_LISTEN = 10
};

enum {
	ICMP_ECHO_REPLY = 0,
	ICMP_UNREACHABLE = 3,
	ICMP_ECHO = 8,
	ICMP_TIME_EXCEEDED = 11,
	ICMP_PARAMETER_PROBLEM = 12,
	ICMP_TIMESTAMP = 13,
	ICMP_TIMESTAMP_REPLY = 14
};

/* Type and code as they stand in the packet. */
#define ICMP_KIND(type, code) ((uint16_t)((type) << 8 | (code)))

enum nat_class {
	NAT_CLASS_ICMP, /* any ICMP that is none of the following */
	NAT_CLASS_PORTS, /* TCP, UDP, DCCP, UDP-Lite: sport, dport are set */
	NAT_CLASS_QUERY, /* ICMP echo or timestamp request: both are the id */
	NAT_CLASS_REPLY, /* and their replies */
	NAT_CLASS_ERROR, /* ICMP error with a quote */
	NAT_CLASS_TAGGED, /* SCTP, GRE, ESP: tag is set, SCTP's ports are */
	NAT_CLASS_OTHER, /* a protocol the engine does not translate */
	NAT_CLASS_FRAGMENT, /* not the first of its datagram: no ports */
};

struct nat_parsed {
	uint8_t *ip;
	uint8_t *l4; /* behind the options (RFC 791: IHL) */
	uint32_t length; /* of the datagram, as its header says */
	uint32_t l4_length; /* bytes at l4 */
	enum nat_class class;
	uint8_t proto;
	bool more_fragments; /* the first fragment of several */
	uint32_t src;
	uint32_t dst;
	uint16_t sport;
	uint16_t dport;
	struct nat_tag tag;
};

/* Reads packet; 0 or the reason to refuse it (malformed, bad_checksum). */
enum nat_drop nat_parse(const struct nat_packet *packet,
			struct nat_parsed *parsed);

/* Walks the options of a whole header: why not to let them cross, or 0. */
enum nat_drop nat_check_options(uint8_t *ip);

/* The packet that an ICMP error quotes: possibly cut, its lengths not to be
 * trusted, its transport checksum not to be judged (RFC 5508 REQ-3). */
struct nat_quote {
	uint8_t *ip;
	uint8_t *l4; /* at least 8 bytes */
	uint32_t l4_length; /* bytes of it at hand */
	uint8_t proto;
	uint32_t src;
	uint32_t dst;
	uint16_t sport;
	uint16_t dport;
	struct nat_tag tag;
};

/* Reads the quote of an ICMP error. NAT_DROP_NONE, or why it cannot be
 * translated: bad_checksum (RFC 5508 REQ-3, 3a), malformed (quote too short, a
 * later fragment, an error about an error), unsupported. proto, src and dst are
 * set even then if the error quotes the 20 bytes that hold them, else 0. */
enum nat_drop nat_parse_quote(const struct nat_parsed *error,
			      struct nat_quote *quote);

/* TCP and DCCP: a connection is opened by certain packets only, and followed
 * to its end. */
bool nat_is_connection(uint8_t proto);

/* Bytes of the transport part that its checksum covers, by its own header. */
uint32_t nat_covered(const struct nat_parsed *parsed);

#endif
