/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "packets.h"

#include <string.h>

#include "packets_other.h"

enum { UDP_BYTES = 8, TCP_BYTES = 20, ICMP_BYTES = 8 };

/* --- bytes -------------------------------------------------------------- */

uint16_t packet_get16(const uint8_t *at)
{
	return (uint16_t)(at[0] * 256 + at[1]);
}

uint32_t packet_get32(const uint8_t *at)
{
	return (uint32_t)packet_get16(at) << 16 | packet_get16(at + 2);
}

void packet_put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value / 256);
	at[1] = (uint8_t)(value % 256);
}

void packet_put32(uint8_t *at, uint32_t value)
{
	packet_put16(at, (uint16_t)(value >> 16));
	packet_put16(at + 2, (uint16_t)value);
}

uint16_t packet_sum(uint32_t sum, const uint8_t *data, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++) {
		sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
		if (sum > 0xffff)
			sum -= 0xffff;
	}
	return (uint16_t)sum;
}

/* --- places ------------------------------------------------------------- */

static uint32_t header_bytes(const uint8_t *ip)
{
	return (ip[0] & 15) * 4U;
}

uint8_t *packet_l4(struct packet *packet)
{
	return packet->data + header_bytes(packet->data);
}

/* Offset of the transport checksum; 0: the protocol has none. */
static uint32_t checksum_offset(uint8_t proto)
{
	switch (proto) {
	case NAT_PROTO_UDP:
	case NAT_PROTO_UDPLITE:
	case NAT_PROTO_DCCP:
		return 6;
	case NAT_PROTO_TCP:
		return 16;
	case NAT_PROTO_ICMP:
		return 2;
	}
	return 0;
}

static uint16_t pseudo_sum(const uint8_t *ip, uint32_t bytes)
{
	uint8_t header[12];

	if (ip[9] == NAT_PROTO_ICMP)
		return 0;
	memcpy(header, ip + 12, 8);
	packet_put16(header + 8, ip[9]);
	packet_put16(header + 10, (uint16_t)bytes);
	return packet_sum(0, header, sizeof(header));
}

uint16_t packet_pseudo(const struct packet *packet)
{
	return pseudo_sum(packet->data,
			  packet->length - header_bytes(packet->data));
}

uint16_t packet_checksum(const struct packet *packet)
{
	const uint8_t *ip = packet->data;

	return packet_get16(ip + header_bytes(ip) + checksum_offset(ip[9]));
}

struct flow packet_flow(const struct packet *packet)
{
	const uint8_t *ip = packet->data;
	const uint8_t *l4 = ip + header_bytes(ip);
	struct flow flow = { .src = packet_get32(ip + 12),
			     .dst = packet_get32(ip + 16) };

	if (ip[9] == NAT_PROTO_ICMP) {
		flow.sport = flow.dport = packet_get16(l4 + 4);
		return flow;
	}
	flow.sport = packet_get16(l4);
	flow.dport = packet_get16(l4 + 2);
	return flow;
}

bool packet_same(const struct packet *a, const struct packet *b)
{
	return a->length == b->length && !memcmp(a->data, b->data, a->length);
}

/* --- building ----------------------------------------------------------- */

void packet_fix_ip(struct packet *packet)
{
	uint8_t *ip = packet->data;

	packet_put16(ip + 10, 0);
	packet_put16(ip + 10, (uint16_t)~packet_sum(0, ip, header_bytes(ip)));
}

static void fix_l4(struct packet *packet)
{
	uint8_t *ip = packet->data;
	uint32_t bytes = packet->length - header_bytes(ip);
	uint8_t *l4 = packet_l4(packet);
	uint8_t *field = l4 + checksum_offset(ip[9]);
	uint16_t sum;

	packet_put16(field, 0);
	sum = (uint16_t)~packet_sum(pseudo_sum(ip, bytes), l4, bytes);
	packet_put16(field, ip[9] == NAT_PROTO_UDP && !sum ? 0xffff : sum);
}

void packet_fix_icmp(struct packet *packet)
{
	fix_l4(packet);
}

/* The IP header of a packet with `bytes` bytes behind it, which are zeroed. */
static uint8_t *start(struct packet *packet, uint32_t src, uint32_t dst,
		      uint8_t proto, uint32_t bytes)
{
	uint8_t *ip = packet->data;

	packet->length = PACKET_IP + bytes;
	memset(ip, 0, packet->length);
	ip[0] = 0x45;
	packet_put16(ip + 2, (uint16_t)packet->length);
	packet_put16(ip + 4, 0x1234);
	packet_put16(ip + 6, 0x4000); /* DF */
	ip[8] = 64;
	ip[9] = proto;
	packet_put32(ip + 12, src);
	packet_put32(ip + 16, dst);
	packet_fix_ip(packet);
	return ip + PACKET_IP;
}

static void fill(uint8_t *at, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)(i * 7 + 1);
}

void packet_udp(struct packet *packet, struct flow flow, const void *payload,
		uint32_t bytes)
{
	uint8_t *l4 = start(packet, flow.src, flow.dst, NAT_PROTO_UDP,
			    UDP_BYTES + bytes);

	packet_put16(l4, flow.sport);
	packet_put16(l4 + 2, flow.dport);
	packet_put16(l4 + 4, (uint16_t)(UDP_BYTES + bytes));
	if (payload)
		memcpy(l4 + UDP_BYTES, payload, bytes);
	else
		fill(l4 + UDP_BYTES, bytes);
	fix_l4(packet);
}

void packet_tcp(struct packet *packet, struct flow flow, struct segment segment)
{
	uint32_t options = segment.scaled ? 4 : 0;
	uint8_t *l4 = start(packet, flow.src, flow.dst, NAT_PROTO_TCP,
			    TCP_BYTES + options + segment.bytes);

	packet_put16(l4, flow.sport);
	packet_put16(l4 + 2, flow.dport);
	packet_put32(l4 + 4, segment.seq);
	packet_put32(l4 + 8, segment.ack);
	l4[12] = (uint8_t)((TCP_BYTES + options) / 4 << 4);
	l4[13] = segment.flags;
	packet_put16(l4 + 14, segment.window);
	if (segment.scaled) {
		l4[20] = 1; /* no-operation */
		l4[21] = 3;
		l4[22] = 3;
		l4[23] = segment.scale;
	}
	fill(l4 + TCP_BYTES + options, segment.bytes);
	fix_l4(packet);
}

void packet_icmp(struct packet *packet, struct flow flow, uint8_t type,
		 uint32_t bytes)
{
	uint8_t *l4 = start(packet, flow.src, flow.dst, NAT_PROTO_ICMP,
			    ICMP_BYTES + bytes);

	l4[0] = type;
	packet_put16(l4 + 4, flow.sport);
	packet_put16(l4 + 6, 1);
	fill(l4 + ICMP_BYTES, bytes);
	fix_l4(packet);
}

void packet_other(struct packet *packet, uint32_t src, uint32_t dst,
		  uint8_t proto, uint32_t bytes)
{
	fill(start(packet, src, dst, proto, bytes), bytes);
}

void packet_error(struct packet *packet, struct error error,
		  const struct packet *about)
{
	uint32_t bytes = error.bytes ? error.bytes :
				       header_bytes(about->data) + 8;
	uint8_t *l4 = start(packet, error.src, error.dst, NAT_PROTO_ICMP,
			    ICMP_BYTES + bytes);

	l4[0] = error.type;
	l4[1] = error.code;
	packet_put32(l4 + 4, error.rest);
	memcpy(l4 + ICMP_BYTES, about->data, bytes);
	fix_l4(packet);
}

void packet_add_options(struct packet *packet, uint32_t words)
{
	uint8_t *l4 = packet_l4(packet);

	memmove(l4 + words * 4, l4,
		packet->length - header_bytes(packet->data));
	memset(l4, 1, words * 4);
	packet->length += words * 4;
	packet->data[0] = (uint8_t)(packet->data[0] + words);
	packet_put16(packet->data + 2, (uint16_t)packet->length);
	packet_fix_ip(packet);
}

void packet_set_fragment(struct packet *packet, uint16_t field)
{
	packet_put16(packet->data + 6, field);
	packet_fix_ip(packet);
}

void packet_make_partial(struct packet *packet)
{
	packet_put16(packet_l4(packet) + checksum_offset(packet->data[9]),
		     packet_pseudo(packet));
}

/* --- judging ------------------------------------------------------------ */

bool packet_ip_good(const uint8_t *data, uint32_t length)
{
	return length >= PACKET_IP && data[0] >> 4 == 4 &&
	       header_bytes(data) >= PACKET_IP &&
	       header_bytes(data) <= length &&
	       packet_sum(0, data, header_bytes(data)) == 0xffff;
}

static const char *quote_wrong(const uint8_t *l4, uint32_t bytes)
{
	if (l4[0] != 3 && l4[0] != 11 && l4[0] != 12)
		return NULL;
	if (!packet_ip_good(l4 + ICMP_BYTES, bytes - ICMP_BYTES))
		return "the quoted header checksum is wrong";
	return NULL;
}

const char *packet_wrong(const uint8_t *data, uint32_t length)
{
	uint32_t header, bytes, field;
	const uint8_t *l4;

	if (!packet_ip_good(data, length))
		return "the header checksum is wrong";
	header = header_bytes(data);
	if (packet_get16(data + 2) < header || packet_get16(data + 2) > length)
		return "the total length is wrong";
	l4 = data + header;
	bytes = packet_get16(data + 2) - header;
	if (packet_get16(data + 6) & 0x3fff) /* covers the whole datagram */
		return NULL;
	field = checksum_offset(data[9]);
	if (!field || data[9] == NAT_PROTO_UDPLITE || data[9] == NAT_PROTO_DCCP)
		return packet_other_wrong(data[9], pseudo_sum(data, bytes), l4,
					  bytes);
	if (bytes < field + 2)
		return "the transport header is cut";
	if (data[9] == NAT_PROTO_UDP && !packet_get16(l4 + field))
		return NULL;
	if (packet_sum(pseudo_sum(data, bytes), l4, bytes) != 0xffff)
		return "the transport checksum is wrong";
	return data[9] == NAT_PROTO_ICMP && bytes >= ICMP_BYTES ?
		       quote_wrong(l4, bytes) :
		       NULL;
}
