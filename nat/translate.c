/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The ways of a packet: outbound, inbound, and the two passes of a hairpin.
 * ICMP errors have their own file, error.c.
 */
#include "internal.h"

#include "bytes.h"

static struct nat_socket outside_key(const struct nat_work *work)
{
	return nat_socket(work->p.proto, work->p.dst, work->p.dport);
}

bool nat_hands_out(const struct nat *nat, uint8_t proto, uint16_t port)
{
	int pool = nat_pool_of(proto);

	return pool >= 0 && pool != NAT_POOL_ICMP &&
	       nat_ports_usable(&nat->ports[pool], port);
}

/* The last address of an inside network is nobody's (RFC 1812 5.3.5). */
static bool is_last(const struct nat_prefix *net, uint32_t addr)
{
	/* RFC 3021: two hosts on a link need no broadcast. */
	return net->length < 31 && addr == (net->addr | ~0U >> net->length);
}

/* RFC 2827: an inside network's hosts speak with its addresses, or one of them
 * could fill the table of hosts. Nothing known of the inside: no judgement. */
static bool is_inside(const struct nat *nat, uint32_t addr)
{
	const struct nat_config *config = nat->config;
	bool inside = !config->inside_count;

	for (size_t i = 0; i < config->inside_count; i++) {
		if (!nat_prefix_has(&config->inside[i], addr))
			continue;
		if (is_last(&config->inside[i], addr))
			return false;
		inside = true;
	}
	return inside && addr != nat->uplink;
}

/* RFC 2827: from outside neither our own nor an inside source. */
static bool is_outside(const struct nat *nat, uint32_t addr)
{
	const struct nat_config *config = nat->config;

	return !nat_in_prefixes(config->inside, config->inside_count, addr) ||
	       nat_in_prefixes(config->exempt, config->exempt_count, addr);
}

bool nat_is_translated(const struct nat *nat, uint32_t inside, uint32_t peer)
{
	const struct nat_config *config = nat->config;

	return !nat_in_prefixes(config->exempt, config->exempt_count, peer) &&
	       !nat_is_martian(nat, inside, peer) && is_inside(nat, inside) &&
	       is_outside(nat, peer);
}

/* --- outbound ----------------------------------------------------------- */

static struct nat_result not_opened(struct nat_work *work, enum nat_drop drop,
				    uint32_t session)
{
	return session ? nat_cut_answer(work, session) : nat_refuse(work, drop);
}

static struct nat_result send_out(struct nat_work *work)
{
	struct nat *nat = work->nat;
	struct nat_parsed *p = &work->p;
	uint32_t mapping, session;
	enum nat_drop drop;

	drop = nat_open_outbound(work, p->dst,
				 nat_peer_port(p->proto, p->dport), &mapping,
				 &session);
	if (drop)
		return not_opened(work, drop, session);
	nat_account(work, mapping, session, NAT_INSIDE);
	nat->stats.outbound_packets++;
	nat->stats.outbound_bytes += p->length;
	nat_rewrite_source(work, nat->uplink, nat->mappings[mapping].port);
	nat_rewrite_id(work);
	nat_rewrite_finish(work);
	return nat_translated(NAT_MARK_OUTBOUND);
}

struct nat_result nat_outbound(struct nat_work *work)
{
	struct nat *nat = work->nat;
	const struct nat_config *config = nat->config;
	struct nat_parsed *p = &work->p;

	if (nat_in_prefixes(config->exempt, config->exempt_count, p->dst))
		return nat_untouched(nat);
	if (nat_is_martian(nat, p->src, p->dst) || !is_inside(nat, p->src))
		return nat_drop(nat, NAT_DROP_MARTIAN);
	if (!nat->uplink)
		return nat_drop(nat, NAT_DROP_NO_UPLINK);
	switch (p->class) {
	case NAT_CLASS_PORTS:
	case NAT_CLASS_QUERY:
		return send_out(work);
	case NAT_CLASS_ERROR:
		return nat_error_outbound(work);
	case NAT_CLASS_REPLY:
		return nat_drop(nat, NAT_DROP_NO_SESSION);
	case NAT_CLASS_FRAGMENT:
		return nat_fragment_later(work);
	case NAT_CLASS_TAGGED:
		return nat_tagged_outbound(work);
	case NAT_CLASS_ICMP:
	case NAT_CLASS_OTHER:
		break;
	}
	return nat_drop(nat, NAT_DROP_UNSUPPORTED);
}

/* --- inbound ------------------------------------------------------------ */

/* Nothing of ours: the router's own, or silence (RFC 5382 REQ-4). */
static struct nat_result not_mapped(struct nat_work *work)
{
	struct nat *nat = work->nat;

	if (!nat_hands_out(nat, work->p.proto, work->p.dport))
		return nat_untouched(nat);
	if (work->packet->path == NAT_PATH_INBOUND)
		nat_late_keep(work);
	return nat_drop(nat, NAT_DROP_NO_MAPPING);
}

static struct nat_result let_in(struct nat_work *work)
{
	struct nat *nat = work->nat;
	struct nat_parsed *p = &work->p;
	uint32_t mapping = nat_find_outside(nat, outside_key(work));
	const struct nat_socket *inside = &nat->mappings[mapping].inside;
	enum nat_drop drop;
	uint32_t session;

	if (!mapping)
		return not_mapped(work);
	drop = nat_admit(work, mapping, p->src,
			 nat_peer_port(p->proto, p->sport), 0, &session);
	/* The router may ping with the same id: a reply that no inside host
	 * waits for is left to it. */
	if (drop && p->proto == NAT_PROTO_ICMP)
		return nat_untouched(nat);
	if (drop) {
		nat_late_keep(work);
		return nat_drop(nat, drop);
	}
	nat_account(work, mapping, session, NAT_OUTSIDE);
	nat->stats.inbound_packets++;
	nat->stats.inbound_bytes += p->length;
	nat_rewrite_destination(work, inside->addr, inside->port);
	nat_rewrite_finish(work);
	return nat_translated(NAT_MARK_INBOUND);
}

/* The uplink has lost this address, or has just got it back and nobody has told
 * us yet: what is a mapping's must not come to the router's own ears, whose RST
 * would end the connection. */
static struct nat_result not_ours_now(struct nat_work *work)
{
	struct nat *nat = work->nat;

	if (work->p.class == NAT_CLASS_TAGGED && nat_tagged_known(work))
		return nat_drop(nat, NAT_DROP_NO_UPLINK);
	if ((work->p.class != NAT_CLASS_PORTS &&
	     work->p.class != NAT_CLASS_REPLY) ||
	    (!nat_find_outside(nat, outside_key(work)) &&
	     !nat_hands_out(nat, work->p.proto, work->p.dport)))
		return nat_untouched(nat);
	return nat_drop(nat, NAT_DROP_NO_UPLINK);
}

struct nat_result nat_inbound(struct nat_work *work)
{
	struct nat *nat = work->nat;
	struct nat_parsed *p = &work->p;

	if (p->dst != nat->header->uplink)
		return nat_untouched(nat);
	if (!nat->uplink)
		return not_ours_now(work);
	if (nat_is_martian(nat, p->src, p->dst) || !is_outside(nat, p->src))
		return nat_drop(nat, NAT_DROP_MARTIAN);
	switch (p->class) {
	case NAT_CLASS_PORTS:
	case NAT_CLASS_REPLY:
		return let_in(work);
	case NAT_CLASS_ERROR:
		return nat_error_inbound(work);
	case NAT_CLASS_FRAGMENT:
		return nat_fragment_later(work);
	case NAT_CLASS_TAGGED:
		return nat_tagged_inbound(work);
	case NAT_CLASS_QUERY:
	case NAT_CLASS_ICMP:
	case NAT_CLASS_OTHER:
		break;
	}
	return nat_untouched(nat);
}

/* --- hairpin ------------------------------------------------------------ */

/* A host speaks to itself through a bridge that would have to send the packet
 * out by the port it came from, and will not: both passes at once, and the
 * packet leaves by the raw socket. */
static struct nat_result send_back(struct nat_work *work, uint16_t source_port)
{
	/* No kernel counts its hops on this way. */
	nat_rewrite_hop(work->p.ip);
	nat_rewrite_source(work, work->nat->uplink, source_port);
	/* No kernel segments it on this way: nothing may be left partial. */
	if (work->packet->checksum == NAT_CHECKSUM_GSO)
		work->packet->checksum = NAT_CHECKSUM_PARTIAL;
	nat_rewrite_finish(work);
	return (struct nat_result){ .verdict = NAT_CONSUMED,
				    .answer = work->p.ip,
				    .answer_length = work->p.length };
}

/* To nobody's port; but the sender may not know that its connection was cut,
 * when the uplink took its peer's address. */
static struct nat_result not_turned(struct nat_work *work)
{
	struct nat *nat = work->nat;
	struct nat_parsed *p = &work->p;
	uint32_t mapping =
		nat_find_inside(nat, nat_socket(p->proto, p->src, p->sport));
	uint32_t session = nat_find_session_alias(nat, &mapping, p->dst,
						  p->dport, work->now_ms);

	return session && nat_is_cut(&nat->sessions[session]) &&
			       !nat_tcp_is_first(p) ?
		       nat_cut_answer(work, session) :
		       not_mapped(work);
}

/* First pass, before routing: an inside host speaks to a mapping's outside
 * socket. Both ends get their session as if the packet had left and come back
 * (RFC 4787 REQ-9); only the destination is rewritten here. */
static struct nat_result turn_back(struct nat_work *work)
{
	struct nat *nat = work->nat;
	struct nat_parsed *p = &work->p;
	uint32_t target = nat_find_outside(nat, outside_key(work));
	uint32_t mapping, session, target_session;
	uint16_t source_port;
	enum nat_drop drop;

	if (!target || !nat->config->hairpin)
		return not_turned(work);
	/* Routing would tell the sender of a destination it does not know. */
	if (p->ip[IP_TTL] <= 1)
		return nat_hop_ended(work);
	drop = nat_open_outbound(work, p->dst, p->dport, &mapping, &session);
	if (drop)
		return not_opened(work, drop, session);
	source_port = nat->mappings[mapping].port;
	nat_account(work, mapping, session, NAT_INSIDE);
	/* Making room may have ended the target, and its slot be the sender's
	 * now. */
	target = nat_find_outside(nat, outside_key(work));
	if (!target)
		return nat_drop(nat, NAT_DROP_NO_MAPPING);
	drop = nat_admit(work, target, nat->uplink, source_port, p->src,
			 &target_session);
	if (drop)
		return nat_drop(nat, drop);
	nat_account(work, target, target_session, NAT_OUTSIDE);
	nat->stats.hairpin_packets++;
	nat_rewrite_destination(work, nat->mappings[target].inside.addr,
				nat->mappings[target].inside.port);
	nat_rewrite_id(work);
	if (work->packet->bridged &&
	    p->src == nat->mappings[target].inside.addr)
		return send_back(work, source_port);
	nat_rewrite_finish(work);
	return nat_translated(NAT_MARK_HAIRPIN);
}

struct nat_result nat_hairpin_in(struct nat_work *work)
{
	struct nat *nat = work->nat;
	struct nat_parsed *p = &work->p;

	if (p->dst != nat->header->uplink)
		return nat_untouched(nat);
	if (!nat->uplink)
		return not_ours_now(work);
	if (nat_is_martian(nat, p->src, p->dst) || !is_inside(nat, p->src))
		return nat_drop(nat, NAT_DROP_MARTIAN);
	switch (p->class) {
	case NAT_CLASS_PORTS:
		return turn_back(work);
	case NAT_CLASS_ERROR:
		return nat_error_hairpin(work);
	case NAT_CLASS_FRAGMENT:
		return nat_fragment_later(work);
	case NAT_CLASS_QUERY:
	case NAT_CLASS_REPLY:
	case NAT_CLASS_TAGGED:
	case NAT_CLASS_ICMP:
	case NAT_CLASS_OTHER:
		break;
	}
	return nat_untouched(nat);
}

/* Which mapping of the sender did the first pass use? The one with a session
 * towards an outside socket of the receiver; without state: its first. */
static uint32_t hairpin_mapping(struct nat_work *work)
{
	struct nat *nat = work->nat;
	struct nat_parsed *p = &work->p;
	uint32_t first =
		nat_find_inside(nat, nat_socket(p->proto, p->src, p->sport));
	uint32_t target =
		nat_find_inside(nat, nat_socket(p->proto, p->dst, p->dport));

	for (; target; target = nat->mappings[target].alias) {
		uint32_t mapping = first;

		if (nat_find_session_alias(nat, &mapping, nat->uplink,
					   nat->mappings[target].port,
					   work->now_ms))
			return mapping;
		first = mapping;
	}
	return first;
}

/* Second pass, after routing: the source becomes the sender's own outside
 * socket (RFC 4787 REQ-9a). */
struct nat_result nat_hairpin_out(struct nat_work *work)
{
	struct nat *nat = work->nat;
	struct nat_parsed *p = &work->p;
	uint32_t mapping;

	if (!nat->uplink) /* lost between the passes */
		return nat_drop(nat, NAT_DROP_NO_UPLINK);
	if (p->class == NAT_CLASS_ERROR) {
		nat_rewrite_outer(p->ip, nat->uplink, p->dst);
		nat_rewrite_id(work);
		return nat_translated(NAT_MARK_HAIRPIN);
	}
	if (p->class == NAT_CLASS_FRAGMENT)
		return nat_fragment_later(work);
	if (p->class != NAT_CLASS_PORTS)
		return nat_drop(nat, NAT_DROP_UNSUPPORTED);
	mapping = hairpin_mapping(work);
	if (!mapping)
		return nat_drop(nat, NAT_DROP_NO_SESSION);
	nat_rewrite_source(work, nat->uplink, nat->mappings[mapping].port);
	nat_rewrite_finish(work);
	return nat_translated(NAT_MARK_HAIRPIN);
}
