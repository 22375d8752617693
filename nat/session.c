/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Policy: what a packet may open, whom the filter lets in, what counts as use.
 * A refusal makes no state.
 */
#include "internal.h"
#include "room.h"

static enum nat_timer first_timer(uint8_t proto)
{
	switch (proto) {
	case NAT_PROTO_TCP:
	case NAT_PROTO_DCCP:
		return NAT_TIMER_TCP_OPENING;
	case NAT_PROTO_UDP:
	case NAT_PROTO_UDPLITE:
		return NAT_TIMER_UDP;
	case NAT_PROTO_ICMP:
		return NAT_TIMER_ICMP;
	}
	return NAT_TIMER_OTHER;
}

static int32_t choose_port(struct nat_work *work, enum nat_pool pool)
{
	struct nat *nat = work->nat;
	const struct nat_ports *ports = &nat->ports[pool];
	bool parity = nat->config->parity && pool != NAT_POOL_ICMP;
	int32_t port =
		nat_ports_choose(ports, &nat->random, work->p.sport, parity);

	if (port >= 0)
		return port;
	nat_expire(nat, work->now_ms, 64);
	return nat_ports_choose(ports, &nat->random, work->p.sport, parity);
}

/* --- outbound -------------------------------------------------------------------- */

static enum nat_drop refuse_host(struct nat *nat, uint32_t host,
				 enum nat_drop drop)
{
	nat->hosts[host].refused++;
	return drop;
}

/* The port outside: out of the pool, or the inside one where it cannot be
 * rewritten. */
static int32_t outside_port(struct nat_work *work)
{
	int pool = nat_pool_of(work->p.proto);

	return pool < 0 ? work->p.sport :
			  choose_port(work, (enum nat_pool)pool);
}

static enum nat_drop open_mapping(struct nat_work *work, uint32_t *mapping)
{
	struct nat *nat = work->nat;
	uint32_t host = nat_host_get(nat, work->p.src, work->now_ms);
	enum nat_drop drop;
	int32_t port;

	if (!host)
		return NAT_DROP_TABLE_FULL;
	drop = nat_room_mapping(work, host);
	if (!drop)
		drop = nat_room_session(work, host, 0);
	if (drop)
		return refuse_host(nat, host, drop);
	/* A vain search costs a token as well: it is not cheap. */
	nat_bucket_take(&nat->hosts[host].opens);
	port = outside_port(work);
	if (port < 0)
		return refuse_host(nat, host, NAT_DROP_NO_PORT);
	*mapping = nat_mapping_add(
		nat, nat_socket(work->p.proto, work->p.src, work->p.sport),
		(uint16_t)port, NAT_KIND_DYNAMIC, host);
	return NAT_DROP_NONE;
}

/* Room for one more session of a mapping that exists. The sweep for room may
 * end that very mapping: then an alias of it, or a new one. */
static enum nat_drop widen_mapping(struct nat_work *work, uint32_t *mapping)
{
	struct nat *nat = work->nat;
	uint32_t host = nat->mappings[*mapping].host;
	enum nat_drop drop = nat_room_session(work, host, *mapping);

	if (!nat->mappings[*mapping].live) {
		*mapping = nat_find_inside(nat, nat_socket(work->p.proto,
							   work->p.src,
							   work->p.sport));
		if (!*mapping)
			return open_mapping(work, mapping);
		host = nat->mappings[*mapping].host;
		drop = nat_room_session(work, host, *mapping);
	}
	return drop && !nat_goes_without(nat, *mapping) ?
		       refuse_host(nat, host, drop) :
		       drop;
}

/* A forward works without sessions, too: who fills it up with peers must not be
 * able to close it. So does a UDP mapping that lets everybody in: a host that
 * speaks to thousands (a peer of a DHT) has one socket for all of them. */
bool nat_goes_without(const struct nat *nat, uint32_t slot)
{
	const struct nat_mapping *mapping = &nat->mappings[slot];
	const struct nat_config *config = nat->config;

	return mapping->kind == NAT_KIND_FORWARD ||
	       (nat_pool_of(mapping->inside.proto) == NAT_POOL_UDP &&
		config->filtering[NAT_POOL_UDP] ==
			NAT_FILTER_ENDPOINT_INDEPENDENT &&
		mapping->sessions >= config->mapping_sessions);
}

/* RFC 4787 REQ-6: what goes without keeps the mapping, which lives as long as
 * its sessions, by the newest of these. */
static void go_without(struct nat *nat, uint32_t mapping, uint64_t now_ms)
{
	uint32_t session = nat->mappings[mapping].first;

	if (nat->mappings[mapping].kind == NAT_KIND_DYNAMIC &&
	    !nat_is_cut(&nat->sessions[session]))
		nat_session_refresh(nat, session, NAT_TIMER_UDP, now_ms);
}

/* Only a SYN opens TCP, a Request or Listen DCCP. */
static bool opens(const struct nat_parsed *p)
{
	if (p->proto == NAT_PROTO_TCP)
		return nat_tcp_is_first(p);
	return p->proto != NAT_PROTO_DCCP || nat_dccp_is_first(p);
}

/* A packet of a connection that was cut off: only a new beginning passes. */
static enum nat_drop open_again(struct nat_work *work, uint32_t mapping,
				uint32_t peer_addr, uint16_t peer_port)
{
	if (!opens(&work->p))
		return NAT_DROP_NO_SESSION;
	if (!nat_l4_checksum_good(work))
		return NAT_DROP_BAD_CHECKSUM;
	nat_late_cancel(work->nat, peer_addr, peer_port,
			work->nat->mappings[mapping].port);
	return NAT_DROP_NONE;
}

enum nat_drop nat_open_outbound(struct nat_work *work, uint32_t peer_addr,
				uint16_t peer_port, uint32_t *mapping,
				uint32_t *session)
{
	struct nat *nat = work->nat;
	struct nat_parsed *p = &work->p;
	enum nat_drop drop;

	*mapping = nat_find_inside(nat, nat_socket(p->proto, p->src, p->sport));
	*session = nat_find_session_alias(nat, mapping, peer_addr, peer_port,
					  work->now_ms);
	if (*session)
		return nat_is_cut(&nat->sessions[*session]) ?
			       open_again(work, *mapping, peer_addr,
					  peer_port) :
			       NAT_DROP_NONE;
	/* Other segments pass a mapping without state (design 7). */
	if (!opens(p))
		return *mapping ? NAT_DROP_NONE : NAT_DROP_NO_SESSION;
	if (!nat_l4_checksum_good(work))
		return NAT_DROP_BAD_CHECKSUM;
	drop = *mapping ? widen_mapping(work, mapping) :
			  open_mapping(work, mapping);
	if (drop && *mapping && nat_goes_without(nat, *mapping)) {
		go_without(nat, *mapping, work->now_ms);
		return NAT_DROP_NONE;
	}
	if (drop)
		return drop;
	*session = nat_session_add(nat, *mapping, peer_addr, peer_port,
				   first_timer(p->proto), work->now_ms);
	if (p->proto == NAT_PROTO_TCP)
		nat_late_cancel(nat, peer_addr, peer_port,
				nat->mappings[*mapping].port);
	return NAT_DROP_NONE;
}

/* Every packet of a peer is compared with all sessions that it has: this bounds
 * what one packet can cost. */
static bool peer_full(const struct nat *nat, const struct nat_peer_key *peer)
{
	uint32_t slot = 0, count = 0;

	while ((slot = nat_next_tagged(nat, peer, slot)))
		if (++count >= nat->config->peer_tagged)
			return true;
	return false;
}

/* Room for one more tagged session: in the table, of which one host may have a
 * quarter, and beside the peer's others. Each costs a token, as a new mapping
 * does. */
static enum nat_drop check_tagged_room(struct nat_work *work,
				       const struct nat_peer_key *peer,
				       struct nat_host *host)
{
	struct nat *nat = work->nat;

	if (!nat_slots_left(&nat->tagged_slots))
		nat_expire(nat, work->now_ms, 64);
	if (!nat_slots_left(&nat->tagged_slots))
		return NAT_DROP_TABLE_FULL;
	if (host->tagged >= (nat->limits.tagged + 3) / 4 ||
	    peer_full(nat, peer))
		return NAT_DROP_HOST_QUOTA;
	if (!nat_share_allows(nat, NAT_SHARE_TAGGED,
			      (uint32_t)(host - nat->hosts)))
		return NAT_DROP_HOST_SHARE;
	if (!nat_host_may_open(nat, host, work->now_ms))
		return NAT_DROP_HOST_RATE;
	return NAT_DROP_NONE;
}

enum nat_drop nat_open_tagged(struct nat_work *work,
			      const struct nat_peer_key *peer,
			      uint32_t *mapping, uint32_t *session)
{
	struct nat *nat = work->nat;
	uint32_t host = nat_host_get(nat, work->p.src, work->now_ms);
	enum nat_drop drop;

	if (!nat_l4_checksum_good(work))
		return NAT_DROP_BAD_CHECKSUM;
	if (!host)
		return NAT_DROP_TABLE_FULL;
	drop = check_tagged_room(work, peer, &nat->hosts[host]);
	if (drop)
		return refuse_host(nat, host, drop);
	*mapping = nat_find_inside(nat, nat_socket(work->p.proto, work->p.src,
						   work->p.sport));
	if (*mapping)
		nat_bucket_take(&nat->hosts[host].opens);
	drop = *mapping ? widen_mapping(work, mapping) :
			  open_mapping(work, mapping);
	if (drop)
		return drop;
	*session = nat_session_add_tagged(nat, *mapping, peer, work->now_ms);
	return NAT_DROP_NONE;
}

/* --- inbound --------------------------------------------------------------------- */

static bool forward_allows(const struct nat_forward *forward, uint32_t addr)
{
	return !forward->from_count ||
	       nat_in_prefixes(forward->from, forward->from_count, addr);
}

/* RFC 4787 5, RFC 5382 REQ-3; called when there is no session with the peer. */
static enum nat_drop filter(const struct nat_work *work, uint32_t slot,
			    uint32_t peer_addr, uint32_t also)
{
	struct nat *nat = work->nat;
	const struct nat_mapping *mapping = &nat->mappings[slot];
	int pool = nat_pool_of(mapping->inside.proto);

	if (mapping->kind == NAT_KIND_FORWARD) {
		const struct nat_forward *forward =
			&nat->config->forwards[mapping->forward];

		if (forward_allows(forward, peer_addr) ||
		    (also && forward_allows(forward, also)) ||
		    nat_contacted(nat, slot, peer_addr, work->now_ms))
			return NAT_DROP_NONE;
		return NAT_DROP_FORWARD_PEER;
	}
	switch (nat->config->filtering[pool]) {
	case NAT_FILTER_ENDPOINT_INDEPENDENT:
		return NAT_DROP_NONE;
	case NAT_FILTER_ADDRESS_DEPENDENT:
		return nat_contacted(nat, slot, peer_addr, work->now_ms) ?
			       NAT_DROP_NONE :
			       NAT_DROP_FILTERED_ADDRESS;
	case NAT_FILTER_ADDRESS_AND_PORT_DEPENDENT:
	case NAT_FILTERS:
		break;
	}
	return nat_contacted(nat, slot, peer_addr, work->now_ms) ?
		       NAT_DROP_FILTERED_PORT :
		       NAT_DROP_FILTERED_ADDRESS;
}

/* A second forward to one inside socket needs a session for UDP as well: it
 * alone tells by which outside port the answer has to leave. */
static bool needs_session(const struct nat_work *work, uint32_t slot)
{
	const struct nat *nat = work->nat;
	const struct nat_mapping *mapping = &nat->mappings[slot];

	if (work->p.proto == NAT_PROTO_TCP)
		return nat_tcp_is_first(&work->p);
	if (work->p.proto == NAT_PROTO_DCCP)
		return nat_dccp_is_request(&work->p);
	return mapping->kind == NAT_KIND_FORWARD &&
	       nat_find_inside(nat, mapping->inside) != slot;
}

enum nat_drop nat_admit(struct nat_work *work, uint32_t mapping,
			uint32_t peer_addr, uint16_t peer_port, uint32_t also,
			uint32_t *session)
{
	struct nat *nat = work->nat;
	enum nat_drop drop;

	*session = nat_find_session(nat, mapping, peer_addr, peer_port,
				    work->now_ms);
	if (*session)
		return nat_is_cut(&nat->sessions[*session]) ?
			       NAT_DROP_NO_SESSION :
			       NAT_DROP_NONE;
	if (!nat->mappings[mapping].live) /* it died with that session */
		return NAT_DROP_NO_MAPPING;
	drop = filter(work, mapping, peer_addr, also);
	if (drop || !needs_session(work, mapping))
		return drop;
	if (!nat_l4_checksum_good(work))
		return NAT_DROP_BAD_CHECKSUM;
	drop = nat_room_outsider(work, mapping);
	if (!nat->mappings[mapping].live)
		return NAT_DROP_NO_MAPPING;
	/* A forward goes on without state (design 7): nobody can close it by
	 * filling it up. */
	if (drop && nat->mappings[mapping].kind == NAT_KIND_FORWARD)
		return NAT_DROP_NONE;
	if (drop)
		return drop;
	*session = nat_session_add(nat, mapping, peer_addr, peer_port,
				   first_timer(work->p.proto), work->now_ms);
	nat->sessions[*session].flags |= NAT_SESSION_SERVER;
	/* A repeated SYN that the filter lets in by now. */
	nat_late_cancel(nat, peer_addr, peer_port, nat->mappings[mapping].port);
	return NAT_DROP_NONE;
}

/* --- use ----------------------------------------------------------------------------- */

static void count(struct nat_counters *counters, enum nat_side from,
		  uint32_t bytes)
{
	if (from == NAT_INSIDE) {
		counters->out_packets++;
		counters->out_bytes += bytes;
	} else {
		counters->in_packets++;
		counters->in_bytes += bytes;
	}
}

/* RFC 4787 REQ-6: outbound always refreshes; inbound only from a peer that the
 * inside socket has sent to, and only if the operator wants it (REQ-6a). */
static bool refreshes(const struct nat *nat, const struct nat_session *session,
		      enum nat_side from)
{
	return from == NAT_INSIDE || (nat->config->inbound_refresh &&
				      session->flags & NAT_SESSION_OUT);
}

/* An answer of this kind is no invitation (RFC 7857 7.1). */
static bool is_reset(const struct nat_parsed *p)
{
	if (p->proto == NAT_PROTO_TCP)
		return nat_tcp_is_reset(p);
	return p->proto == NAT_PROTO_DCCP && nat_dccp_is_reset(p);
}

/* What is no connection: INIT until both sides have spoken. */
static void step_other(struct nat_work *work, uint32_t slot, enum nat_side from)
{
	struct nat_session *session = &work->nat->sessions[slot];
	const uint8_t both = NAT_SESSION_OUT | NAT_SESSION_IN;
	enum nat_timer timer = session->timer;

	if ((session->flags & both) == both) {
		session->state = NAT_STATE_ESTABLISHED;
		timer = first_timer(work->p.proto);
	}
	if (refreshes(work->nat, session, from))
		nat_session_refresh(work->nat, slot, timer, work->now_ms);
}

void nat_account(struct nat_work *work, uint32_t mapping, uint32_t slot,
		 enum nat_side from)
{
	struct nat *nat = work->nat;
	struct nat_mapping *m = &nat->mappings[mapping];
	struct nat_session *session;

	count(&m->counters, from, work->p.length);
	count(&nat->hosts[m->host].counters, from, work->p.length);
	if (!slot)
		return;
	session = &nat->sessions[slot];
	count(&session->counters, from, work->p.length);
	if (from == NAT_OUTSIDE)
		session->flags |= NAT_SESSION_IN;
	else if (!is_reset(&work->p))
		session->flags |= NAT_SESSION_OUT;
	if (work->p.proto == NAT_PROTO_TCP)
		nat_tcp_step(nat, slot, &work->p, from, work->now_ms);
	else if (work->p.proto == NAT_PROTO_DCCP)
		nat_dccp_step(nat, slot, &work->p, from, work->now_ms);
	else
		step_other(work, slot, from);
	if (session->used_ms == work->now_ms)
		m->used_s = nat->clock_s;
	if (nat->config->carry_after)
		nat_carry_offer(nat, slot);
}
