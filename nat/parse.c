/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "parse.h"

#include "bytes.h"
#include "checksum.h"
#include "cursor.h"

#define TCP_HEADER 20U
#define UDP_HEADER 8U
#define DCCP_HEADER 12U /* with short sequence numbers */
#define DCCP_HEADER_LONG 16U
#define ICMP_HEADER 8U
#define QUOTE_L4 8U /* RFC 792: header + 64 bits */

/* What each ICMP type is to a NAT (RFC 5508); NAT_CLASS_ICMP where silent. */
static const uint8_t icmp_class[256] = {
	[ICMP_ECHO] = NAT_CLASS_QUERY,
	[ICMP_TIMESTAMP] = NAT_CLASS_QUERY,
	[ICMP_ECHO_REPLY] = NAT_CLASS_REPLY,
	[ICMP_TIMESTAMP_REPLY] = NAT_CLASS_REPLY,
	[ICMP_UNREACHABLE] = NAT_CLASS_ERROR,
	[ICMP_TIME_EXCEEDED] = NAT_CLASS_ERROR,
	[ICMP_PARAMETER_PROBLEM] = NAT_CLASS_ERROR,
};

int nat_pool_of(uint8_t proto)
{
	switch (proto) {
	case NAT_PROTO_UDP:
	case NAT_PROTO_UDPLITE:
		return NAT_POOL_UDP;
	case NAT_PROTO_TCP:
	case NAT_PROTO_DCCP:
		return NAT_POOL_TCP;
	case NAT_PROTO_ICMP:
		return NAT_POOL_ICMP;
	}
	return -1;
}

bool nat_is_connection(uint8_t proto)
{
	return proto == NAT_PROTO_TCP || proto == NAT_PROTO_DCCP;
}

/* Takes an IPv4 header with its options; NULL when it contradicts itself. */
static uint8_t *take_ip(struct nat_cursor *cursor)
{
	const uint8_t *ip = nat_cursor_peek(cursor, IPV4_HEADER);
	uint32_t header;

	if (!ip || ip[0] >> 4 != 4)
		return NULL;
	header = (ip[0] & 0xf) * 4U;
	if (header < IPV4_HEADER)
		return NULL;
	return nat_cursor_take(cursor, header);
}

static uint32_t ip_header_bytes(const uint8_t *ip)
{
	return (ip[0] & 0xf) * 4U;
}

static bool ip_checksum_good(const uint8_t *ip)
{
	uint32_t bytes = ip_header_bytes(ip);

	return (bytes == IPV4_HEADER ? nat_checksum_sum20(ip) :
				       nat_checksum_sum(ip, bytes)) == 0xffff;
}

/* Options that hold addresses of the way: a translator would have to rewrite
 * them, and untouched they tell of the inside (RFC 791 3.1, RFC 5508 10b): record
 * route, timestamp, traceroute (RFC 1393), loose and strict source route. */
static bool option_refused(uint8_t type)
{
	static const uint8_t refused[] = { 7, 68, 82, 131, 137 };

	for (size_t i = 0; i < sizeof(refused); i++)
		if (type == refused[i])
			return true;
	return false;
}

enum nat_drop nat_check_options(uint8_t *ip)
{
	struct nat_cursor cursor = nat_cursor(ip, ip_header_bytes(ip));
	const uint8_t *option;

	nat_cursor_take(&cursor, IPV4_HEADER);
	while ((option = nat_cursor_peek(&cursor, 1)) && *option != 0) {
		if (*option == 1) { /* no operation */
			nat_cursor_take(&cursor, 1);
			continue;
		}
		if (option_refused(*option))
			return NAT_DROP_UNSUPPORTED;
		option = nat_cursor_peek(&cursor, 2);
		if (!option || option[1] < 2 ||
		    !nat_cursor_take(&cursor, option[1]))
			return NAT_DROP_MALFORMED;
	}
	return NAT_DROP_NONE;
}

static void read_ports(struct nat_parsed *parsed)
{
	parsed->class = NAT_CLASS_PORTS;
	parsed->sport = nat_load16(parsed->l4 + L4_SRC);
	parsed->dport = nat_load16(parsed->l4 + L4_DST);
}

/* Fewer bytes than the transport header has: a forbidden first fragment (RFC
 * 1858, 3128), or a packet that contradicts itself. */
static enum nat_drop cut_short(const struct nat_parsed *parsed)
{
	return parsed->more_fragments ? NAT_DROP_FRAGMENT : NAT_DROP_MALFORMED;
}

/* The first fragment of a datagram need not hold the whole payload, but it
 * must hold the whole transport header (RFC 1858, 3128). */
static enum nat_drop parse_tcp(struct nat_parsed *parsed)
{
	uint32_t header;

	if (parsed->l4_length < TCP_HEADER)
		return cut_short(parsed);
	header = (parsed->l4[TCP_DATA_OFFSET] >> 4) * 4U;
	if (header < TCP_HEADER ||
	    (header > parsed->l4_length && !parsed->more_fragments))
		return NAT_DROP_MALFORMED;
	read_ports(parsed);
	return NAT_DROP_NONE;
}

static enum nat_drop parse_udp(struct nat_parsed *parsed)
{
	uint32_t length;

	if (parsed->l4_length < UDP_HEADER)
		return cut_short(parsed);
	length = nat_load16(parsed->l4 + UDP_LENGTH);
	if (length < UDP_HEADER ||
	    (length > parsed->l4_length && !parsed->more_fragments))
		return NAT_DROP_MALFORMED;
	read_ports(parsed);
	/* RFC 768: no one can answer from or listen on port 0. */
	return parsed->dport ? NAT_DROP_NONE : NAT_DROP_MALFORMED;
}

/* RFC 3828 3.1: the checksum is never absent, and covers at least the header;
 * coverage 0 is the whole. */
static enum nat_drop parse_udplite(struct nat_parsed *parsed)
{
	uint32_t coverage;

	if (parsed->l4_length < UDP_HEADER)
		return cut_short(parsed);
	coverage = nat_load16(parsed->l4 + UDPLITE_COVERAGE);
	if ((coverage && coverage < UDP_HEADER) ||
	    (coverage > parsed->l4_length && !parsed->more_fragments) ||
	    !nat_load16(parsed->l4 + UDP_CHECKSUM))
		return NAT_DROP_MALFORMED;
	read_ports(parsed);
	return parsed->dport ? NAT_DROP_NONE : NAT_DROP_MALFORMED;
}

/* RFC 4340 5.1; the X bit beside the type tells of long sequence numbers. */
static enum nat_drop parse_dccp(struct nat_parsed *parsed)
{
	uint32_t header;

	if (parsed->l4_length < DCCP_HEADER)
		return cut_short(parsed);
	header = parsed->l4[DCCP_DATA_OFFSET] * 4U;
	if (header < (parsed->l4[DCCP_TYPE] & 1 ? DCCP_HEADER_LONG :
						  DCCP_HEADER) ||
	    (header > parsed->l4_length && !parsed->more_fragments))
		return NAT_DROP_MALFORMED;
	read_ports(parsed);
	return NAT_DROP_NONE;
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* RFC 4340 9.2: coverage 0 is the whole, n the header and n - 1 words. */
static uint32_t dccp_covered(const struct nat_parsed *parsed)
{
	uint32_t coverage = parsed->l4[DCCP_COVERAGE] & 0xf;
	uint32_t header = parsed->l4[DCCP_DATA_OFFSET] * 4U;

	if (!coverage)
		return parsed->l4_length;
	return least(header + (coverage - 1) * 4, parsed->l4_length);
}

uint32_t nat_covered(const struct nat_parsed *parsed)
{
	uint32_t coverage;

	switch (parsed->proto) {
	case NAT_PROTO_UDP: /* bytes behind it do not count (RFC 768) */
		return least(nat_load16(parsed->l4 + UDP_LENGTH),
			     parsed->l4_length);
	case NAT_PROTO_UDPLITE:
		coverage = nat_load16(parsed->l4 + UDPLITE_COVERAGE);
		return coverage ? least(coverage, parsed->l4_length) :
				  parsed->l4_length;
	case NAT_PROTO_DCCP:
		return dccp_covered(parsed);
	}
	return parsed->l4_length;
}

static enum nat_drop parse_icmp(struct nat_parsed *parsed)
{
	if (parsed->l4_length < ICMP_HEADER)
		return cut_short(parsed);
	parsed->class = icmp_class[parsed->l4[ICMP_TYPE]];
	if (parsed->class == NAT_CLASS_QUERY ||
	    parsed->class == NAT_CLASS_REPLY)
		parsed->sport = parsed->dport =
			nat_load16(parsed->l4 + ICMP_ID);
	return NAT_DROP_NONE;
}

static enum nat_drop parse_tagged(struct nat_parsed *parsed)
{
	switch (nat_tag_read(parsed->proto, parsed->l4, parsed->l4_length,
			     false, &parsed->tag)) {
	case NAT_TAG_GOOD:
		break;
	case NAT_TAG_SHORT:
		return cut_short(parsed);
	case NAT_TAG_BAD:
		return NAT_DROP_MALFORMED;
	case NAT_TAG_STRANGE:
		parsed->class = NAT_CLASS_OTHER;
		return NAT_DROP_NONE;
	}
	if (parsed->proto == NAT_PROTO_SCTP)
		read_ports(parsed);
	parsed->class = NAT_CLASS_TAGGED;
	return NAT_DROP_NONE;
}

static enum nat_drop parse_l4(struct nat_parsed *parsed)
{
	switch (parsed->proto) {
	case NAT_PROTO_TCP:
		return parse_tcp(parsed);
	case NAT_PROTO_UDP:
		return parse_udp(parsed);
	case NAT_PROTO_ICMP:
		return parse_icmp(parsed);
	case NAT_PROTO_UDPLITE:
		return parse_udplite(parsed);
	case NAT_PROTO_DCCP:
		return parse_dccp(parsed);
	}
	if (nat_is_tagged(parsed->proto))
		return parse_tagged(parsed);
	parsed->class = NAT_CLASS_OTHER;
	return NAT_DROP_NONE;
}

enum nat_drop nat_parse(const struct nat_packet *packet,
			struct nat_parsed *parsed)
{
	struct nat_cursor cursor = nat_cursor(packet->data, packet->length);
	enum nat_drop drop;
	uint16_t fragment;

	*parsed = (struct nat_parsed){ 0 };
	parsed->ip = take_ip(&cursor);
	if (!parsed->ip)
		return NAT_DROP_MALFORMED;
	parsed->length = nat_load16(parsed->ip + IP_LENGTH);
	if (parsed->length < ip_header_bytes(parsed->ip) ||
	    parsed->length > packet->length)
		return NAT_DROP_MALFORMED;
	if (!ip_checksum_good(parsed->ip))
		return NAT_DROP_BAD_CHECKSUM;
	if (ip_header_bytes(parsed->ip) > IPV4_HEADER) {
		drop = nat_check_options(parsed->ip);
		if (drop)
			return drop;
	}
	nat_cursor_limit(&cursor, parsed->length - ip_header_bytes(parsed->ip));
	parsed->l4 = cursor.at;
	parsed->l4_length = cursor.left;
	parsed->proto = parsed->ip[IP_PROTO];
	parsed->src = nat_load32(parsed->ip + IP_SRC);
	parsed->dst = nat_load32(parsed->ip + IP_DST);
	fragment = nat_load16(parsed->ip + IP_FRAGMENT);
	if (fragment & IPV4_OFFSET) {
		parsed->class = NAT_CLASS_FRAGMENT;
		return NAT_DROP_NONE;
	}
	parsed->more_fragments = fragment & IPV4_FLAG_MF;
	return parse_l4(parsed);
}

static enum nat_drop quote_ports(struct nat_quote *quote)
{
	quote->sport = nat_load16(quote->l4 + L4_SRC);
	quote->dport = nat_load16(quote->l4 + L4_DST);
	return NAT_DROP_NONE;
}

static enum nat_drop quote_tagged(struct nat_quote *quote)
{
	switch (nat_tag_read(quote->proto, quote->l4, quote->l4_length, true,
			     &quote->tag)) {
	case NAT_TAG_GOOD:
		return quote->proto == NAT_PROTO_SCTP ? quote_ports(quote) :
							NAT_DROP_NONE;
	case NAT_TAG_SHORT:
	case NAT_TAG_BAD:
		return NAT_DROP_MALFORMED;
	case NAT_TAG_STRANGE:
		break;
	}
	return NAT_DROP_UNSUPPORTED;
}

static enum nat_drop quote_query(struct nat_quote *quote)
{
	uint8_t class = icmp_class[quote->l4[ICMP_TYPE]];

	/* RFC 6146 3.4: an error about an error is dropped. */
	if (class != NAT_CLASS_QUERY && class != NAT_CLASS_REPLY)
		return NAT_DROP_MALFORMED;
	quote->sport = quote->dport = nat_load16(quote->l4 + ICMP_ID);
	return NAT_DROP_NONE;
}

enum nat_drop nat_parse_quote(const struct nat_parsed *error,
			      struct nat_quote *quote)
{
	struct nat_cursor cursor = nat_cursor(error->l4, error->l4_length);
	const uint8_t *ip;

	*quote = (struct nat_quote){ 0 };
	nat_cursor_take(&cursor, ICMP_QUOTE);
	ip = nat_cursor_peek(&cursor, IPV4_HEADER);
	if (!ip)
		return NAT_DROP_MALFORMED;
	/* Also of a quote that is refused below, or cut in its options: an
	 * inside address in it must not leave. */
	quote->proto = ip[IP_PROTO];
	quote->src = nat_load32(ip + IP_SRC);
	quote->dst = nat_load32(ip + IP_DST);
	quote->ip = take_ip(&cursor);
	if (!quote->ip)
		return NAT_DROP_MALFORMED;
	quote->l4 = nat_cursor_peek(&cursor, QUOTE_L4);
	if (!quote->l4)
		return NAT_DROP_MALFORMED;
	if (!ip_checksum_good(quote->ip) ||
	    nat_checksum_sum(error->l4, error->l4_length) != 0xffff)
		return NAT_DROP_BAD_CHECKSUM;
	quote->l4_length = cursor.left;
	if (nat_load16(quote->ip + IP_FRAGMENT) & IPV4_OFFSET)
		return NAT_DROP_MALFORMED;
	if (quote->proto == NAT_PROTO_ICMP)
		return quote_query(quote);
	if (nat_is_tagged(quote->proto))
		return quote_tagged(quote);
	if (nat_pool_of(quote->proto) < 0)
		return NAT_DROP_UNSUPPORTED;
	return quote_ports(quote);
}
