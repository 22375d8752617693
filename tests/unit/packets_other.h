/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Packets of the protocols beside TCP, UDP and ICMP: UDP-Lite (RFC 3828), DCCP
 * (RFC 4340, RFC 5596), SCTP (RFC 9260), GRE (RFC 2784, RFC 2890), PPTP's GRE
 * (RFC 2637) and ESP (RFC 4303). Built and judged as in packets.h.
 */
#ifndef PORTICO_TESTS_PACKETS_OTHER_H
#define PORTICO_TESTS_PACKETS_OTHER_H

#include "packets.h"

/* coverage: bytes from the head of the header, 0: all of it. */
void packet_udplite(struct packet *packet, struct flow flow, uint16_t coverage,
		    uint32_t bytes);

enum {
	DCCP_T_REQUEST,
	DCCP_T_RESPONSE,
	DCCP_T_DATA,
	DCCP_T_ACK,
	DCCP_T_DATAACK,
	DCCP_T_CLOSEREQ,
	DCCP_T_CLOSE,
	DCCP_T_RESET,
	DCCP_T_SYNC,
	DCCP_T_SYNCACK,
	DCCP_T_LISTEN,
	DCCP_T_TYPES
};

#define DCCP_SERVICE 0x50525443U /* the service code of them all */

struct dccp {
	uint8_t type;
	bool is_short; /* sequence numbers of 24 bits (Data, Ack, DataAck) */
	uint8_t coverage; /* RFC 4340 9.2: 0..15 */
	uint16_t bytes; /* of application data */
};
void packet_dccp(struct packet *packet, struct flow flow, struct dccp dccp);
/* Offset of the service code in a Request, Response or Listen. */
uint32_t packet_dccp_service(uint8_t type);

enum {
	SCTP_DATA = 0,
	SCTP_INIT = 1,
	SCTP_INIT_ACK = 2,
	SCTP_HEARTBEAT = 4,
	SCTP_ABORT = 6,
	SCTP_COOKIE_ECHO = 10,
	SCTP_COOKIE_ACK = 11,
	SCTP_SHUTDOWN_COMPLETE = 14,
};

/* One chunk with a body of `bytes` bytes behind its header. */
struct sctp {
	uint32_t tag; /* verification tag */
	uint8_t type;
	uint8_t flags; /* 1: the T bit of ABORT and SHUTDOWN COMPLETE */
	uint16_t bytes;
};
void packet_sctp(struct packet *packet, struct flow flow, struct sctp sctp);

/* An INIT (or INIT-ACK) that declares a tag. */
struct sctp_init {
	uint32_t tag; /* verification tag: 0 in an INIT */
	bool ack; /* an INIT-ACK */
	uint32_t declared;
	bool no_restart; /* carries Disable-Restart, behind another parameter */
};
void packet_sctp_init(struct packet *packet, struct flow flow,
		      struct sctp_init init);
/* Puts `bytes` bytes behind the last chunk; the lengths in front know. */
void packet_append(struct packet *packet, const void *data, uint32_t bytes);
/* Recomputes SCTP's checksum. */
void packet_fix_sctp(struct packet *packet);

struct gre {
	bool checksum;
	bool keyed;
	bool sequenced;
	uint32_t key;
	uint16_t protocol; /* of the payload, 0: 0x6558, transparent Ethernet */
	uint32_t bytes; /* of payload */
	const void *payload; /* NULL: anything */
};
void packet_gre(struct packet *packet, uint32_t src, uint32_t dst,
		struct gre gre);
/* bytes: of PPP payload; sequence number and acknowledgement are there. */
void packet_pptp(struct packet *packet, uint32_t src, uint32_t dst,
		 uint16_t call, uint32_t bytes);
void packet_esp(struct packet *packet, uint32_t src, uint32_t dst, uint32_t spi,
		uint32_t bytes);

/* CRC32c of these bytes, bit by bit: "123456789" gives 0xe3069283. */
uint32_t packet_crc32c(const uint8_t *data, uint32_t bytes);

/* For packet_wrong(): NULL when `bytes` bytes of this protocol at l4 carry the
 * checksums they ought to. pseudo: sum of the pseudo header. */
const char *packet_other_wrong(uint8_t proto, uint16_t pseudo,
			       const uint8_t *l4, uint32_t bytes);

#endif
