/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Building and reading the packets of the probes. It shares nothing with the
 * engine: what it finds is to judge the engine.
 */
#include "probe_packet.h"

#include <assert.h>
#include <string.h>

#include "portico/nat.h"

#define IP_BYTES 20U
#define UDP_BYTES 8U
#define TCP_BYTES 20U
#define ICMP_BYTES 8U
#define TAG_BYTES 4U
#define MORE_FRAGMENTS 0x2000U
#define OFFSET_MASK 0x1fffU

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value);
}

/* --- checksums ----------------------------------------------------------- */

static uint32_t sum(uint32_t start, const uint8_t *at, uint32_t bytes)
{
	uint32_t total = start;

	for (uint32_t i = 0; i + 1 < bytes; i += 2)
		total += get16(at + i);
	if (bytes & 1)
		total += (uint32_t)at[bytes - 1] << 8;
	return total;
}

static uint16_t fold(uint32_t total)
{
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return (uint16_t)total;
}

/* Of the transport part as it lies there, pseudo-header included: 0xffff when
 * the checksum in it is right. */
static uint16_t transport_sum(const struct probe_packet *packet)
{
	const uint8_t *ip = packet->data;
	uint32_t bytes = packet->length - IP_BYTES;
	uint32_t start = 0;

	if (ip[9] != NAT_PROTO_ICMP)
		start = sum(0, ip + 12, 8) + ip[9] + bytes;
	return fold(sum(start, ip + IP_BYTES, bytes));
}

static void put_ip_checksum(uint8_t *ip)
{
	put16(ip + 10, 0);
	put16(ip + 10, (uint16_t)~fold(sum(0, ip, IP_BYTES)));
}

bool probe_header_right(const struct probe_packet *packet)
{
	return packet->length >= IP_BYTES &&
	       fold(sum(0, packet->data, IP_BYTES)) == 0xffff;
}

bool probe_transport_right(const struct probe_packet *packet)
{
	const uint8_t *ip = packet->data;

	if (ip[9] == NAT_PROTO_UDP && !get16(ip + IP_BYTES + 6))
		return true;
	return transport_sum(packet) == 0xffff;
}

/* --- building ------------------------------------------------------------ */

/* Header and zeros behind it; every packet has an identification of its own. */
static uint8_t *begin(struct probe_packet *packet, uint8_t proto, uint32_t from,
		      uint32_t to, uint32_t bytes)
{
	static uint16_t identification = 1;
	uint8_t *ip;

	assert(IP_BYTES + bytes <= PROBE_PACKET_MAX);
	*packet = (struct probe_packet){ .length = IP_BYTES + bytes };
	ip = packet->data;
	ip[0] = 0x45;
	put16(ip + 2, packet->length);
	put16(ip + 4, identification++);
	ip[8] = 64;
	ip[9] = proto;
	put32(ip + 12, from);
	put32(ip + 16, to);
	put_ip_checksum(ip);
	return ip + IP_BYTES;
}

/* checksum: where it stands in the transport header, which is zero there. */
static void finish(struct probe_packet *packet, uint32_t checksum)
{
	uint16_t value = (uint16_t)~transport_sum(packet);

	if (!value && packet->data[9] == NAT_PROTO_UDP)
		value = 0xffff;
	put16(packet->data + IP_BYTES + checksum, value);
}

static void put_payload(uint8_t *at, const void *payload, uint32_t bytes)
{
	if (payload)
		memcpy(at, payload, bytes);
}

void probe_udp(struct probe_packet *packet, struct probe_socket from,
	       struct probe_socket to, const void *payload, uint32_t bytes,
	       uint32_t tag)
{
	uint32_t length = UDP_BYTES + bytes + TAG_BYTES;
	uint8_t *udp = begin(packet, NAT_PROTO_UDP, from.addr, to.addr, length);

	put16(udp, from.port);
	put16(udp + 2, to.port);
	put16(udp + 4, length);
	put_payload(udp + UDP_BYTES, payload, bytes);
	put32(udp + UDP_BYTES + bytes, tag);
	finish(packet, 6);
}

void probe_tcp(struct probe_packet *packet, struct probe_socket from,
	       struct probe_socket to, uint8_t flags, const void *payload,
	       uint32_t bytes, uint32_t tag)
{
	uint8_t *tcp = begin(packet, NAT_PROTO_TCP, from.addr, to.addr,
			     TCP_BYTES + bytes);

	put16(tcp, from.port);
	put16(tcp + 2, to.port);
	put32(tcp + 4, tag);
	if (flags & PROBE_ACK)
		put32(tcp + 8, 1);
	tcp[12] = TCP_BYTES / 4 << 4;
	tcp[13] = flags;
	put16(tcp + 14, 65535);
	put_payload(tcp + TCP_BYTES, payload, bytes);
	finish(packet, 16);
}

void probe_echo(struct probe_packet *packet, uint32_t from, uint32_t to,
		uint8_t type, uint16_t id, uint32_t tag)
{
	uint8_t *icmp =
		begin(packet, NAT_PROTO_ICMP, from, to, ICMP_BYTES + TAG_BYTES);

	icmp[0] = type;
	put16(icmp + 4, id);
	put16(icmp + 6, 1);
	put32(icmp + ICMP_BYTES, tag);
	finish(packet, 2);
}

void probe_unreachable(struct probe_packet *packet, uint32_t from, uint32_t to,
		       const struct probe_packet *about)
{
	uint32_t quoted = about->length < IP_BYTES + 8 ? about->length :
							 IP_BYTES + 8;
	uint8_t *icmp =
		begin(packet, NAT_PROTO_ICMP, from, to, ICMP_BYTES + quoted);

	icmp[0] = PROBE_UNREACHABLE;
	icmp[1] = 3; /* port */
	memcpy(icmp + ICMP_BYTES, about->data, quoted);
	finish(packet, 2);
}

/* --- reading ------------------------------------------------------------- */

static bool read_ports(const uint8_t *at, uint32_t bytes, uint32_t header,
		       struct probe_view *view)
{
	if (bytes < header)
		return false;
	view->from.port = get16(at);
	view->to.port = get16(at + 2);
	view->payload = at + header;
	view->bytes = bytes - header;
	return true;
}

static uint32_t last_word(const struct probe_view *view)
{
	if (view->bytes < TAG_BYTES)
		return 0;
	return get32(view->payload + view->bytes - TAG_BYTES);
}

static bool read_udp(const uint8_t *at, uint32_t bytes, struct probe_view *view)
{
	if (!read_ports(at, bytes, UDP_BYTES, view))
		return false;
	view->tag = last_word(view);
	return true;
}

static bool read_tcp(const uint8_t *at, uint32_t bytes, struct probe_view *view)
{
	if (bytes < TCP_BYTES ||
	    !read_ports(at, bytes, (uint32_t)(at[12] >> 4) * 4, view))
		return false;
	view->tag = get32(at + 4);
	view->flags = at[13];
	return true;
}

static bool read_icmp(const uint8_t *at, uint32_t bytes,
		      struct probe_view *view)
{
	if (bytes < ICMP_BYTES)
		return false;
	view->type = at[0];
	view->payload = at + ICMP_BYTES;
	view->bytes = bytes - ICMP_BYTES;
	if (view->type != PROBE_ECHO && view->type != PROBE_ECHO_REPLY)
		return true;
	view->from.port = view->to.port = get16(at + 4);
	view->tag = last_word(view);
	return true;
}

bool probe_read(const struct probe_packet *packet, struct probe_view *view)
{
	const uint8_t *ip = packet->data;
	uint32_t bytes = packet->length - IP_BYTES;

	memset(view, 0, sizeof(*view));
	if (packet->length < IP_BYTES || ip[0] != 0x45 ||
	    get16(ip + 2) != packet->length ||
	    get16(ip + 6) & (MORE_FRAGMENTS | OFFSET_MASK))
		return false;
	view->proto = ip[9];
	view->from.addr = get32(ip + 12);
	view->to.addr = get32(ip + 16);
	switch (view->proto) {
	case NAT_PROTO_UDP:
		return read_udp(ip + IP_BYTES, bytes, view);
	case NAT_PROTO_TCP:
		return read_tcp(ip + IP_BYTES, bytes, view);
	case NAT_PROTO_ICMP:
		return read_icmp(ip + IP_BYTES, bytes, view);
	}
	return false;
}

uint32_t probe_source(const struct probe_packet *packet)
{
	return packet->length < IP_BYTES ? 0 : get32(packet->data + 12);
}

/* --- fragments ----------------------------------------------------------- */

static void make_fragment(const struct probe_packet *packet, uint32_t offset,
			  uint32_t bytes, bool more,
			  struct probe_packet *fragment)
{
	uint8_t *ip = fragment->data;

	memcpy(ip, packet->data, IP_BYTES);
	memcpy(ip + IP_BYTES, packet->data + IP_BYTES + offset, bytes);
	fragment->length = IP_BYTES + bytes;
	put16(ip + 2, fragment->length);
	put16(ip + 6, (more ? MORE_FRAGMENTS : 0) | offset / 8);
	put_ip_checksum(ip);
}

void probe_cut(const struct probe_packet *packet, uint32_t bytes,
	       struct probe_packet *first, struct probe_packet *second)
{
	assert(bytes % 8 == 0 && IP_BYTES + bytes < packet->length);
	make_fragment(packet, 0, bytes, true, first);
	make_fragment(packet, bytes, packet->length - IP_BYTES - bytes, false,
		      second);
}

/* Source, destination, protocol and identification (RFC 791). */
static bool same_datagram(const uint8_t *a, const uint8_t *b)
{
	return !memcmp(a + 12, b + 12, 8) && a[9] == b[9] &&
	       !memcmp(a + 4, b + 4, 2);
}

static void add_fragment(struct probe_assembly *assembly,
			 const struct probe_packet *packet)
{
	const uint8_t *ip = packet->data;
	uint32_t field = get16(ip + 6);
	uint32_t offset = (field & OFFSET_MASK) * 8;
	uint32_t bytes = packet->length - IP_BYTES;

	if (IP_BYTES + offset + bytes > PROBE_PACKET_MAX)
		return;
	if (!assembly->have || !same_datagram(ip, assembly->whole.data)) {
		memset(assembly, 0, sizeof(*assembly));
		memcpy(assembly->whole.data, ip, IP_BYTES);
	}
	memcpy(assembly->whole.data + IP_BYTES + offset, ip + IP_BYTES, bytes);
	assembly->have += bytes;
	if (!(field & MORE_FRAGMENTS))
		assembly->total = offset + bytes;
}

bool probe_assemble(struct probe_assembly *assembly,
		    struct probe_packet *packet)
{
	uint8_t *ip = packet->data;

	if (packet->length < IP_BYTES ||
	    !(get16(ip + 6) & (MORE_FRAGMENTS | OFFSET_MASK)))
		return true;
	add_fragment(assembly, packet);
	if (!assembly->total || assembly->have < assembly->total)
		return false;
	*packet = assembly->whole;
	packet->length = IP_BYTES + assembly->total;
	put16(ip + 2, packet->length);
	put16(ip + 6, 0);
	put_ip_checksum(ip);
	memset(assembly, 0, sizeof(*assembly));
	return true;
}
