/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "packets_other.h"

#include <string.h>

enum { UDPLITE_BYTES = 8, SCTP_BYTES = 12, CHUNK_BYTES = 4, INIT_BODY = 16 };

/* Sum over `covered` bytes with the pseudo header of the whole, complemented,
 * into the field at offset 6. */
static uint16_t sum_into(struct packet *packet, uint32_t covered)
{
	uint8_t *l4 = packet_l4(packet);
	uint16_t sum;

	packet_put16(l4 + 6, 0);
	sum = (uint16_t)~packet_sum(packet_pseudo(packet), l4, covered);
	packet_put16(l4 + 6, sum);
	return sum;
}

/* --- UDP-Lite ----------------------------------------------------------- */

void packet_udplite(struct packet *packet, struct flow flow, uint16_t coverage,
		    uint32_t bytes)
{
	uint8_t *l4;

	packet_other(packet, flow.src, flow.dst, NAT_PROTO_UDPLITE,
		     UDPLITE_BYTES + bytes);
	l4 = packet_l4(packet);
	packet_put16(l4, flow.sport);
	packet_put16(l4 + 2, flow.dport);
	packet_put16(l4 + 4, coverage);
	if (!sum_into(packet, coverage ? coverage : UDPLITE_BYTES + bytes))
		packet_put16(l4 + 6, 0xffff);
}

/* --- DCCP --------------------------------------------------------------- */

/* RFC 4340 5.2 to 5.8, RFC 5596 2.2.1: bytes behind the generic header. */
static const struct {
	bool acknowledges;
	uint8_t more; /* service code, reset code and data */
} dccp_types[DCCP_T_TYPES] = {
	[DCCP_T_REQUEST] = { false, 4 }, [DCCP_T_RESPONSE] = { true, 4 },
	[DCCP_T_DATA] = { false, 0 },	 [DCCP_T_ACK] = { true, 0 },
	[DCCP_T_DATAACK] = { true, 0 },	 [DCCP_T_CLOSEREQ] = { true, 0 },
	[DCCP_T_CLOSE] = { true, 0 },	 [DCCP_T_RESET] = { true, 4 },
	[DCCP_T_SYNC] = { true, 0 },	 [DCCP_T_SYNCACK] = { true, 0 },
	[DCCP_T_LISTEN] = { false, 4 },
};

static uint32_t dccp_header(struct dccp dccp)
{
	uint32_t word = dccp.is_short ? 4 : 8;

	return 8 + word + (dccp_types[dccp.type].acknowledges ? word : 0) +
	       dccp_types[dccp.type].more;
}

uint32_t packet_dccp_service(uint8_t type)
{
	return type == DCCP_T_RESPONSE ? 24 : 16;
}

void packet_dccp(struct packet *packet, struct flow flow, struct dccp dccp)
{
	uint32_t header = dccp_header(dccp), whole = header + dccp.bytes;
	uint32_t covered = dccp.coverage ? header + (dccp.coverage - 1) * 4U :
					   whole;
	uint8_t *l4;

	packet_other(packet, flow.src, flow.dst, NAT_PROTO_DCCP, whole);
	l4 = packet_l4(packet);
	memset(l4, 0, header);
	packet_put16(l4, flow.sport);
	packet_put16(l4 + 2, flow.dport);
	l4[4] = (uint8_t)(header / 4);
	l4[5] = dccp.coverage;
	l4[8] = (uint8_t)(dccp.type << 1 | !dccp.is_short);
	l4[11] = 77; /* of the sequence number */
	if (dccp.type == DCCP_T_REQUEST || dccp.type == DCCP_T_LISTEN ||
	    dccp.type == DCCP_T_RESPONSE)
		packet_put32(l4 + packet_dccp_service(dccp.type), DCCP_SERVICE);
	sum_into(packet, covered < whole ? covered : whole);
}

/* --- SCTP --------------------------------------------------------------- */

uint32_t packet_crc32c(const uint8_t *data, uint32_t bytes)
{
	uint32_t crc = 0xffffffff;

	for (uint32_t bit = 0; bit < bytes * 8; bit++) {
		uint32_t in = data[bit / 8] >> bit % 8 & 1U;

		crc = (crc >> 1) ^ ((crc & 1) ^ in ? 0x82f63b78 : 0);
	}
	return ~crc;
}

/* The checksum as it stands in the packet: its field counted as 0, its lowest
 * byte first (RFC 9260 appendix A). */
static uint32_t sctp_checksum(const uint8_t *l4, uint32_t bytes)
{
	uint8_t copy[PACKET_MAX];
	uint32_t crc;

	memcpy(copy, l4, bytes);
	packet_put32(copy + 8, 0);
	crc = packet_crc32c(copy, bytes);
	return crc >> 24 | (crc >> 8 & 0xff00) | (crc & 0xff00) << 8 |
	       crc << 24;
}

void packet_fix_sctp(struct packet *packet)
{
	uint8_t *l4 = packet_l4(packet);
	uint32_t bytes = packet->length - (uint32_t)(l4 - packet->data);

	packet_put32(l4 + 8, sctp_checksum(l4, bytes));
}

/* The headers of a packet with one chunk; returns its body. */
static uint8_t *start_sctp(struct packet *packet, struct flow flow,
			   struct sctp sctp)
{
	uint8_t *l4;

	packet_other(packet, flow.src, flow.dst, NAT_PROTO_SCTP,
		     SCTP_BYTES + CHUNK_BYTES + sctp.bytes);
	l4 = packet_l4(packet);
	packet_put16(l4, flow.sport);
	packet_put16(l4 + 2, flow.dport);
	packet_put32(l4 + 4, sctp.tag);
	l4[12] = sctp.type;
	l4[13] = sctp.flags;
	packet_put16(l4 + 14, (uint16_t)(CHUNK_BYTES + sctp.bytes));
	packet_fix_sctp(packet);
	return l4 + SCTP_BYTES + CHUNK_BYTES;
}

void packet_sctp(struct packet *packet, struct flow flow, struct sctp sctp)
{
	start_sctp(packet, flow, sctp);
}

void packet_sctp_init(struct packet *packet, struct flow flow,
		      struct sctp_init init)
{
	/* Supported address types: IPv4 (padded to 4), then Disable-Restart. */
	static const uint8_t parameters[] = { 0,    12, 0, 6,
					      0,    5,	0, 0, /* padding */
					      0xc0, 7,	0, 4 };
	uint16_t more = init.no_restart ? sizeof(parameters) : 0;
	uint8_t *body = start_sctp(
		packet, flow,
		(struct sctp){ .tag = init.tag,
			       .type = init.ack ? SCTP_INIT_ACK : SCTP_INIT,
			       .bytes = INIT_BODY + more });

	packet_put32(body, init.declared);
	packet_put32(body + 4, 65536); /* receiver window */
	packet_put16(body + 8, 10);
	packet_put16(body + 10, 10);
	packet_put32(body + 12, 1000);
	memcpy(body + INIT_BODY, parameters, more);
	packet_fix_sctp(packet);
}

void packet_append(struct packet *packet, const void *data, uint32_t bytes)
{
	memcpy(packet->data + packet->length, data, bytes);
	packet->length += bytes;
	packet_put16(packet->data + 2, (uint16_t)packet->length);
	packet_fix_ip(packet);
	if (packet->data[9] == NAT_PROTO_SCTP)
		packet_fix_sctp(packet);
}

/* --- GRE, ESP ----------------------------------------------------------- */

void packet_gre(struct packet *packet, uint32_t src, uint32_t dst,
		struct gre gre)
{
	uint32_t header = 4 + 4U * (gre.checksum + gre.keyed + gre.sequenced);
	uint8_t *l4, *at;

	packet_other(packet, src, dst, NAT_PROTO_GRE, header + gre.bytes);
	l4 = packet_l4(packet);
	at = l4 + 4;
	memset(l4, 0, header);
	l4[0] = (uint8_t)(gre.checksum << 7 | gre.keyed << 5 |
			  gre.sequenced << 4);
	packet_put16(l4 + 2, gre.protocol ? gre.protocol : 0x6558);
	at += gre.checksum ? 4 : 0;
	if (gre.keyed)
		packet_put32(at, gre.key);
	at += gre.keyed ? 4 : 0;
	if (gre.sequenced)
		packet_put32(at, 9);
	if (gre.payload)
		memcpy(l4 + header, gre.payload, gre.bytes);
	if (gre.checksum)
		packet_put16(l4 + 4,
			     (uint16_t)~packet_sum(0, l4, header + gre.bytes));
}

void packet_pptp(struct packet *packet, uint32_t src, uint32_t dst,
		 uint16_t call, uint32_t bytes)
{
	uint8_t *l4;

	packet_other(packet, src, dst, NAT_PROTO_GRE, 16 + bytes);
	l4 = packet_l4(packet);
	packet_put16(l4, 0x3081); /* K, S, A, version 1 */
	packet_put16(l4 + 2, 0x880b);
	packet_put16(l4 + 4, (uint16_t)bytes);
	packet_put16(l4 + 6, call);
	packet_put32(l4 + 8, 3);
	packet_put32(l4 + 12, 2);
}

void packet_esp(struct packet *packet, uint32_t src, uint32_t dst, uint32_t spi,
		uint32_t bytes)
{
	packet_other(packet, src, dst, NAT_PROTO_ESP, 8 + bytes);
	packet_put32(packet_l4(packet), spi);
	packet_put32(packet_l4(packet) + 4, 1);
}

/* --- judging ------------------------------------------------------------ */

static const char *covered_wrong(uint16_t pseudo, const uint8_t *l4,
				 uint32_t bytes, uint32_t covered)
{
	if (covered > bytes)
		return "the checksum covers more than there is";
	if (packet_sum(pseudo, l4, covered) != 0xffff)
		return "the transport checksum is wrong";
	return NULL;
}

static const char *udplite_wrong(uint16_t pseudo, const uint8_t *l4,
				 uint32_t bytes)
{
	uint32_t coverage = bytes < UDPLITE_BYTES ? 0 : packet_get16(l4 + 4);

	if (bytes < UDPLITE_BYTES)
		return "the transport header is cut";
	if (coverage && coverage < UDPLITE_BYTES)
		return "the checksum does not cover the header";
	if (!packet_get16(l4 + 6))
		return "a UDP-Lite checksum of 0";
	return covered_wrong(pseudo, l4, bytes, coverage ? coverage : bytes);
}

static const char *dccp_wrong(uint16_t pseudo, const uint8_t *l4,
			      uint32_t bytes)
{
	uint32_t header = bytes < 12 ? 0 : l4[4] * 4U;

	if (header < 12 || header > bytes)
		return "the transport header is cut";
	return covered_wrong(pseudo, l4, bytes,
			     l4[5] & 15 ? header + ((l4[5] & 15) - 1) * 4U :
					  bytes);
}

const char *packet_other_wrong(uint8_t proto, uint16_t pseudo,
			       const uint8_t *l4, uint32_t bytes)
{
	if (proto == NAT_PROTO_UDPLITE)
		return udplite_wrong(pseudo, l4, bytes);
	if (proto == NAT_PROTO_DCCP)
		return dccp_wrong(pseudo, l4, bytes);
	if (proto != NAT_PROTO_SCTP)
		return NULL;
	if (bytes < SCTP_BYTES || bytes > PACKET_MAX)
		return "the transport header is cut";
	if (packet_get32(l4 + 8) != sctp_checksum(l4, bytes))
		return "the CRC32c is wrong";
	return NULL;
}
