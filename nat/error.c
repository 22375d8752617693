/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * ICMP errors (RFC 5508 4): the quote tells whose they are. They never refresh
 * nor end anything (REQ-6), whoever sent them (RFC 4787 REQ-12a).
 *
 * An error from outside quotes what left here: its source is an outside
 * socket. An error from inside quotes what was delivered: its destination is
 * an inside socket.
 */
#include "internal.h"

#include <string.h>

#include "bytes.h"

#define ICMP_MTU 6 /* in the header of a 3/4 (RFC 1191 4) */
#define CODE_TOO_BIG 4
#define MTU_MIN 68U

/* The mapping whose packet an error from outside quotes; 0: none of ours. */
static uint32_t quoted_outside(struct nat_work *work,
			       const struct nat_quote *quote)
{
	struct nat *nat = work->nat;
	uint32_t mapping;

	if (nat_is_tagged(quote->proto))
		return nat_tagged_quoted_outside(work, quote);
	mapping = nat_find_outside(nat, nat_socket(quote->proto, quote->src,
						   quote->sport));
	/* A live session is asked for: an address alone is easily guessed. But
	 * there may have been no room for one. */
	if (!mapping ||
	    (!nat_find_session(nat, mapping, quote->dst,
			       nat_peer_port(quote->proto, quote->dport),
			       work->now_ms) &&
	     !nat_goes_without(nat, mapping)))
		return 0;
	return mapping;
}

/* The mapping that delivered what an error from inside quotes. A packet let in
 * by endpoint-independent filtering has no session: the first mapping then. */
static uint32_t quoted_inside(struct nat_work *work,
			      const struct nat_quote *quote)
{
	uint32_t mapping;

	if (nat_is_tagged(quote->proto))
		return nat_tagged_quoted_inside(work, quote);
	mapping = nat_find_inside(
		work->nat, nat_socket(quote->proto, quote->dst, quote->dport));
	nat_find_session_alias(work->nat, &mapping, quote->src,
			       nat_peer_port(quote->proto, quote->sport),
			       work->now_ms);
	return mapping;
}

static struct nat_result deliver(struct nat_work *work)
{
	work->nat->stats.inbound_packets++;
	work->nat->stats.inbound_bytes += work->p.length;
	return nat_translated(NAT_MARK_INBOUND);
}

/* RFC 1191 3: no path is narrower than 68 bytes; 0 is the word of routers that
 * do not know. Anything between is meant to hurt (RFC 5927 7). */
static bool mtu_is_absurd(const struct nat_parsed *p)
{
	uint16_t mtu = nat_load16(p->l4 + ICMP_MTU);

	return p->l4[ICMP_TYPE] == ICMP_UNREACHABLE &&
	       p->l4[ICMP_CODE] == CODE_TOO_BIG && mtu && mtu < MTU_MIN;
}

/* RFC 5508 REQ-4. */
struct nat_result nat_error_inbound(struct nat_work *work)
{
	struct nat *nat = work->nat;
	struct nat_quote quote;
	enum nat_drop drop = nat_parse_quote(&work->p, &quote);
	const struct nat_socket *inside;
	uint32_t mapping;

	if (drop && drop != NAT_DROP_UNSUPPORTED)
		return nat_drop(nat, drop);
	if (drop || quote.src != nat->uplink)
		return nat_untouched(nat);
	mapping = quoted_outside(work, &quote);
	/* If not about one of ours, then about the router's own traffic. */
	if (!mapping)
		return nat_hands_out(nat, quote.proto, quote.sport) ?
			       nat_drop(nat, NAT_DROP_NO_SESSION) :
			       nat_untouched(nat);
	if (mtu_is_absurd(&work->p))
		return nat_drop(nat, NAT_DROP_MALFORMED);
	/* With the options that are refused it would not have left. */
	if (quote.l4 != quote.ip + IPV4_HEADER)
		drop = nat_check_options(quote.ip);
	if (drop)
		return nat_drop(nat, drop);
	inside = &nat->mappings[mapping].inside;
	nat_rewrite_quote_source(&work->p, &quote, inside->addr, inside->port);
	nat_rewrite_outer(work->p.ip, work->p.src, inside->addr);
	return deliver(work);
}

static bool is_inside(const struct nat *nat, uint32_t addr)
{
	return nat_in_prefixes(nat->config->inside, nat->config->inside_count,
			       addr);
}

/* What is not ours may go on, unless an inside address would leave in its
 * quote. */
static struct nat_result not_quoted(struct nat_work *work,
				    const struct nat_quote *quote,
				    enum nat_drop drop)
{
	struct nat *nat = work->nat;
	bool ours = work->packet->path == NAT_PATH_OUTBOUND;

	/* A quote too short for its addresses may show one in part. */
	if (!ours && quote->dst && !is_inside(nat, quote->dst) &&
	    !is_inside(nat, quote->src))
		return nat_untouched(nat);
	return nat_drop(nat, drop);
}

/* RFC 5508 REQ-5; also for errors that the router itself raises about packets
 * we had translated (behave 19.13, 19.14). */
struct nat_result nat_error_outbound(struct nat_work *work)
{
	struct nat *nat = work->nat;
	const struct nat_config *config = nat->config;
	struct nat_quote quote;
	enum nat_drop drop = nat_parse_quote(&work->p, &quote);
	uint32_t mapping;

	if (nat_in_prefixes(config->exempt, config->exempt_count, work->p.dst))
		return nat_untouched(nat);
	if (!drop && !nat->uplink)
		drop = NAT_DROP_NO_UPLINK;
	if (drop)
		return not_quoted(work, &quote, drop);
	/* What an inside host has sent did not come to another one through us:
	 * its address would leave in the quote. */
	mapping = is_inside(nat, quote.src) ? 0 : quoted_inside(work, &quote);
	if (!mapping)
		return not_quoted(work, &quote, NAT_DROP_NO_SESSION);
	nat_rewrite_quote_destination(&work->p, &quote, nat->uplink,
				      nat->mappings[mapping].port);
	nat_rewrite_outer(work->p.ip, nat->uplink, work->p.dst);
	nat_rewrite_id(work);
	nat->stats.outbound_packets++;
	nat->stats.outbound_bytes += work->p.length;
	return nat_translated(NAT_MARK_OUTBOUND);
}

/* RFC 5508 REQ-7a, first pass: an inside host complains to another one about a
 * hairpinned packet; the second pass makes the outer source ours. */
struct nat_result nat_error_hairpin(struct nat_work *work)
{
	struct nat *nat = work->nat;
	struct nat_quote quote;
	enum nat_drop drop = nat_parse_quote(&work->p, &quote);
	const struct nat_socket *sender;
	uint32_t from, to;

	if (drop && drop != NAT_DROP_UNSUPPORTED)
		return nat_drop(nat, drop);
	from = drop ? 0 : quoted_inside(work, &quote);
	to = nat_find_outside(nat,
			      nat_socket(quote.proto, quote.src, quote.sport));
	/* About what the router itself has sent: for it to read. */
	if (drop || (!to && !nat_hands_out(nat, quote.proto, quote.sport)))
		return nat_untouched(nat);
	if (!to || !from || !nat->config->hairpin)
		return nat_drop(nat, NAT_DROP_NO_SESSION);
	sender = &nat->mappings[to].inside;
	nat_rewrite_quote_destination(&work->p, &quote, nat->uplink,
				      nat->mappings[from].port);
	nat_rewrite_quote_source(&work->p, &quote, sender->addr, sender->port);
	nat_rewrite_outer(work->p.ip, work->p.src, sender->addr);
	nat->stats.hairpin_packets++;
	return nat_translated(NAT_MARK_HAIRPIN);
}

/* The mapping whose packet an error quotes that was raised behind both passes
 * of a hairpin: our address and an inside socket. *target: the mapping by
 * which its sender knows the other end. */
static uint32_t quoted_hairpin(struct nat_work *work,
			       const struct nat_quote *quote, uint32_t *target)
{
	struct nat *nat = work->nat;
	uint32_t mapping = nat_find_outside(
		nat, nat_socket(quote->proto, quote->src, quote->sport));

	*target = nat_find_inside(nat, nat_socket(quote->proto, quote->dst,
						  quote->dport));
	for (; mapping && *target; *target = nat->mappings[*target].alias)
		if (nat_find_session(nat, mapping, nat->uplink,
				     nat->mappings[*target].port, work->now_ms))
			return mapping;
	return 0;
}

/* An error the kernel raised about a packet after we had rewritten its source
 * (dead next hop, tunnel MTU) goes to ourselves over lo. The host that sent
 * the packet gets it instead, in a packet of its own. */
struct nat_result nat_error_loopback(struct nat_work *work)
{
	struct nat *nat = work->nat;
	const struct nat_packet answer = { .data = nat->answer,
					   .length = work->p.length };
	const struct nat_socket *inside;
	struct nat_parsed copy;
	struct nat_quote quote;
	uint32_t mapping, target = 0;

	if (work->p.class != NAT_CLASS_ERROR || work->p.dst != nat->uplink ||
	    work->p.length > sizeof(nat->answer) ||
	    nat_parse_quote(&work->p, &quote))
		return nat_untouched(nat);
	mapping = quoted_outside(work, &quote);
	if (!mapping)
		mapping = quoted_hairpin(work, &quote, &target);
	if (!mapping)
		return nat_untouched(nat);
	inside = &nat->mappings[mapping].inside;
	memcpy(nat->answer, work->p.ip, work->p.length);
	if (nat_parse(&answer, &copy) || nat_parse_quote(&copy, &quote))
		return nat_untouched(nat);
	if (target)
		nat_rewrite_quote_destination(&copy, &quote, nat->uplink,
					      nat->mappings[target].port);
	nat_rewrite_quote_source(&copy, &quote, inside->addr, inside->port);
	nat_rewrite_outer(nat->answer, 0, inside->addr);
	return (struct nat_result){ .verdict = NAT_CONSUMED,
				    .answer = nat->answer,
				    .answer_length = copy.length };
}
