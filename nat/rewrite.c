/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Changing addresses and ports in place, with every checksum that covers them
 * (RFC 3022 4.1-4.3, RFC 5508 REQ-4 and REQ-5).
 */
#include "internal.h"

#include "bytes.h"
#include "checksum.h"

/* Where a protocol keeps its checksum, and whether addresses count in it. */
struct l4_layout {
	uint8_t checksum; /* offset in the transport header */
	bool pseudo; /* covers the pseudo header */
	bool zero_is_none; /* UDP: 0 means "not computed" (RFC 768) */
	bool never_zero; /* a computed 0 is sent as 0xffff */
};

enum { UDP, TCP, ICMP, UDPLITE, DCCP };
static const struct l4_layout layouts[] = {
	[UDP] = { UDP_CHECKSUM, true, true, true },
	[TCP] = { TCP_CHECKSUM, true, false, false },
	[ICMP] = { ICMP_CHECKSUM, false, false, false },
	[UDPLITE] = { UDP_CHECKSUM, true, false, true }, /* RFC 3828 3.1 */
	[DCCP] = { DCCP_CHECKSUM, true, false, false }, /* RFC 4340 9.1 */
};

/* Which half of the header is changed. */
struct half {
	uint8_t addr; /* offset in the IPv4 header */
	uint8_t port; /* offset in a TCP or UDP header */
};

/* No path is narrower (RFC 791 3.2: every host takes 576 bytes). */
#define SEGMENT_MIN 536U

static const struct half source = { IP_SRC, L4_SRC };
static const struct half destination = { IP_DST, L4_DST };

static const struct l4_layout *layout_of(uint8_t proto)
{
	switch (proto) {
	case NAT_PROTO_UDP:
		return &layouts[UDP];
	case NAT_PROTO_TCP:
		return &layouts[TCP];
	case NAT_PROTO_ICMP:
		return &layouts[ICMP];
	case NAT_PROTO_UDPLITE:
		return &layouts[UDPLITE];
	case NAT_PROTO_DCCP:
		return &layouts[DCCP];
	}
	return NULL;
}

static uint32_t replace16(uint8_t *at, uint16_t value)
{
	uint32_t delta = nat_checksum_delta16(nat_load16(at), value);

	nat_store16(at, value);
	return delta;
}

static uint32_t replace32(uint8_t *at, uint32_t value)
{
	uint32_t delta = nat_checksum_delta32(nat_load32(at), value);

	nat_store32(at, value);
	return delta;
}

/* The incremental update of a complete checksum. */
static void update_complete(uint8_t *field, const struct l4_layout *layout,
			    uint32_t delta)
{
	uint16_t old = nat_load16(field);
	uint16_t sum;

	if (layout->zero_is_none && old == 0)
		return;
	sum = nat_checksum_update(old, delta);
	nat_store16(field, layout->never_zero && sum == 0 ? 0xffff : sum);
}

/* A pseudo-header sum is not complemented: a delta is simply added. Ports do
 * not count in it. */
static void update_pseudo(uint8_t *field, uint32_t addr_delta)
{
	nat_store16(field, nat_checksum_fold(nat_load16(field) + addr_delta));
}

static uint8_t *port_place(uint8_t *l4, uint8_t proto, const struct half *half)
{
	return l4 + (proto == NAT_PROTO_ICMP ? ICMP_ID : half->port);
}

static void rewrite(struct nat_work *work, const struct half *half,
		    uint32_t addr, uint16_t port)
{
	struct nat_parsed *p = &work->p;
	const struct l4_layout *layout = layout_of(p->proto);
	uint32_t addr_delta = replace32(p->ip + half->addr, addr);
	uint32_t port_delta;
	uint8_t *field;

	nat_checksum_apply(p->ip + IP_CHECKSUM, addr_delta);
	if (!layout) /* nothing behind the header knows the addresses */
		return;
	field = p->l4 + layout->checksum;
	port_delta = replace16(port_place(p->l4, p->proto, half), port);
	if (work->packet->checksum == NAT_CHECKSUM_COMPLETE || !layout->pseudo)
		update_complete(field, layout,
				port_delta + (layout->pseudo ? addr_delta : 0));
	else
		update_pseudo(field, addr_delta);
}

void nat_rewrite_source(struct nat_work *work, uint32_t addr, uint16_t port)
{
	rewrite(work, &source, addr, port);
}

void nat_rewrite_destination(struct nat_work *work, uint32_t addr,
			     uint16_t port)
{
	rewrite(work, &destination, addr, port);
}

/* The kernel sends what we return as it is: nobody completes a partial sum
 * after us (nfqueue.md 3). The field already holds the pseudo-header sum, so
 * summing the whole segment with it gives the complete checksum. */
static void complete(struct nat_parsed *p)
{
	const struct l4_layout *layout = layout_of(p->proto);
	uint16_t sum;

	if (!layout || !layout->pseudo)
		return;
	sum = (uint16_t)~nat_checksum_sum(p->l4, nat_covered(p));
	nat_store16(p->l4 + layout->checksum,
		    layout->never_zero && sum == 0 ? 0xffff : sum);
}

/* The sender of a tunnel left it to its device to complete what is inside;
 * where that is not TCP or UDP over IPv4, nobody can tell where. */
static void complete_inside(const struct nat_parsed *gre)
{
	uint32_t before = nat_gre_inner(gre->l4, gre->l4_length);
	struct nat_packet packet = { .data = gre->l4 + before,
				     .length = gre->l4_length - before };
	struct nat_parsed inner;

	if (before && !nat_parse(&packet, &inner) &&
	    inner.class == NAT_CLASS_PORTS && !inner.more_fragments)
		complete(&inner);
}

void nat_rewrite_finish(struct nat_work *work)
{
	struct nat_parsed *p = &work->p;

	if (work->packet->checksum != NAT_CHECKSUM_PARTIAL)
		return;
	if (p->proto == NAT_PROTO_SCTP)
		nat_crc32c_store(p->l4, p->l4_length);
	else if (p->proto == NAT_PROTO_GRE)
		complete_inside(p);
	else
		complete(p);
}

/* RFC 6864: a translator counts as the source. Datagrams that nobody may
 * fragment (DF, and not a fragment) keep their id: it means nothing. The others
 * get the next of a sequence that depends on where they go. A super-packet
 * takes as many ids as it may have segments. None is 0: a raw socket, by which
 * held fragments leave, gives each packet of that id one of its own (raw(7)). */
void nat_rewrite_id(struct nat_work *work)
{
	struct nat *nat = work->nat;
	const struct nat_parsed *p = &work->p;
	uint16_t fragment = nat_load16(p->ip + IP_FRAGMENT);
	uint32_t hash, segments;
	uint16_t *next, id;

	if (fragment & IPV4_FLAG_DF && !p->more_fragments)
		return;
	hash = (uint32_t)nat_siphash_8(&nat->hash_key,
				       (uint64_t)p->dst << 8 | p->proto);
	next = &nat->ids[hash % NAT_IDS];
	segments = work->packet->checksum == NAT_CHECKSUM_GSO ?
			   p->length / SEGMENT_MIN + 1 :
			   1;
	id = (uint16_t)(*next + (hash >> 16));
	if (!id)
		id = 1;
	nat_checksum_apply(p->ip + IP_CHECKSUM, replace16(p->ip + IP_ID, id));
	*next = (uint16_t)(id + segments - (hash >> 16));
}

/* Checked only where a packet would make new state: everywhere else a wrong
 * checksum stays wrong and the end host finds it. */
bool nat_l4_checksum_good(const struct nat_work *work)
{
	const struct nat_parsed *p = &work->p;
	const struct l4_layout *layout = layout_of(p->proto);
	uint32_t covered = nat_covered(p);
	uint32_t sum;

	if (work->packet->checksum != NAT_CHECKSUM_COMPLETE ||
	    p->more_fragments)
		return true;
	if (p->proto == NAT_PROTO_SCTP)
		return nat_crc32c_good(p->l4, p->l4_length);
	if (!layout ||
	    (layout->zero_is_none && !nat_load16(p->l4 + layout->checksum)))
		return true;
	sum = nat_checksum_sum(p->l4, covered);
	/* The pseudo header holds UDP's own length, which is what is covered,
	 * and else the real one whatever is covered. */
	if (layout->pseudo)
		sum += nat_checksum_pseudo(
			p->src, p->dst, p->proto,
			p->proto == NAT_PROTO_UDP ? covered : p->l4_length);
	return nat_checksum_fold(sum) == 0xffff;
}

bool nat_rewrite_hop(uint8_t *ip)
{
	uint16_t old = nat_load16(ip + IP_TTL);

	if (ip[IP_TTL] <= 1)
		return false;
	ip[IP_TTL]--;
	nat_checksum_apply(ip + IP_CHECKSUM,
			   nat_checksum_delta16(old, nat_load16(ip + IP_TTL)));
	return true;
}

void nat_rewrite_outer(uint8_t *ip, uint32_t src, uint32_t dst)
{
	uint32_t delta = replace32(ip + IP_SRC, src);

	delta += replace32(ip + IP_DST, dst);
	nat_checksum_apply(ip + IP_CHECKSUM, delta);
}

/* The quote's transport checksum, if the quote is long enough to hold it.
 * Returns what its change adds to the error's own checksum. */
static uint32_t rewrite_quote_checksum(const struct nat_quote *quote,
				       uint32_t addr_delta, uint32_t port_delta)
{
	const struct l4_layout *layout = layout_of(quote->proto);
	uint8_t *field;
	uint16_t old;

	if (!layout || quote->l4_length < layout->checksum + 2U)
		return 0;
	field = quote->l4 + layout->checksum;
	old = nat_load16(field);
	update_complete(field, layout,
			port_delta + (layout->pseudo ? addr_delta : 0));
	return nat_checksum_delta16(old, nat_load16(field));
}

static void rewrite_quote(const struct nat_parsed *error,
			  const struct nat_quote *quote,
			  const struct half *half, uint32_t addr, uint16_t port)
{
	uint16_t old_ip_sum = nat_load16(quote->ip + IP_CHECKSUM);
	uint32_t addr_delta = replace32(quote->ip + half->addr, addr);
	uint32_t port_delta =
		layout_of(quote->proto) ?
			replace16(port_place(quote->l4, quote->proto, half),
				  port) :
			0;
	uint32_t delta = addr_delta + port_delta;

	nat_checksum_apply(quote->ip + IP_CHECKSUM, addr_delta);
	delta += nat_checksum_delta16(old_ip_sum,
				      nat_load16(quote->ip + IP_CHECKSUM));
	delta += rewrite_quote_checksum(quote, addr_delta, port_delta);
	nat_checksum_apply(error->l4 + ICMP_CHECKSUM, delta);
}

void nat_rewrite_quote_source(const struct nat_parsed *error,
			      const struct nat_quote *quote, uint32_t addr,
			      uint16_t port)
{
	rewrite_quote(error, quote, &source, addr, port);
}

void nat_rewrite_quote_destination(const struct nat_parsed *error,
				   const struct nat_quote *quote, uint32_t addr,
				   uint16_t port)
{
	rewrite_quote(error, quote, &destination, addr, port);
}
