/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The indices, made again of the records that an earlier engine left. Nothing
 * of a record is believed that is not checked: what it is by its check word,
 * what changes with each packet by its range, what follows from other records
 * is computed anew. In an order that may break off anywhere: the next start
 * finds what this one found, or less. A slot that is free has neither `live`
 * nor `check`; with one of them alone something broke off there.
 *
 *   hosts      found by address, idle
 *   mappings   outside index, ports, hosts; those that do not check are put
 *              aside as LOST, since their ports must not be given to others
 *   sessions   each of a live mapping; with their tags; lists of the timers
 *   aliases    the order of mappings with one inside socket
 *   held ports the ring
 *   losses     dynamic mappings without sessions end; ports of the LOST rest
 */
#include <string.h>

#include "hash.h"
#include "internal.h"

#define LIVE 1
#define LOST 2 /* a mapping put aside */

#define SCALE_MAX 14 /* RFC 7323 2.3 */

/* Used after it was made, and not later than now? */
static bool times_good(uint32_t created_s, uint32_t used_s, uint32_t now_s)
{
	return created_s <= used_s && used_s <= now_s;
}

/* This slot is in use, and the last one so far: others before it are free. */
static void use_slot(struct nat_slots *slots, struct nat_link *links,
		     uint32_t slot)
{
	while (++slots->top < slot)
		nat_list_append(&slots->free, links, slots->top);
}

/* --- hosts ---------------------------------------------------------------- */

static enum nat_loss judge_host(const struct nat *nat, uint32_t slot)
{
	const struct nat_host *host = &nat->hosts[slot];

	if (host->live != LIVE || host->check != nat_seal_host(nat, slot))
		return NAT_LOSS_DAMAGED;
	return nat_find_host(nat, host->addr) ? NAT_LOSS_DUPLICATE :
						NAT_LOSS_NONE;
}

/* A bucket from the future would never be filled again. */
static void mend_bucket(struct nat_bucket *bucket, uint64_t now_ms)
{
	if (bucket->stamp_ms > now_ms)
		bucket->stamp_ms = now_ms;
}

static void rebuild_hosts(struct nat *nat, uint64_t now_ms,
			  struct nat_restored *report)
{
	struct nat_slots *slots = &nat->host_slots;

	for (uint32_t slot = 1; slot <= slots->limit; slot++) {
		struct nat_host *host = &nat->hosts[slot];
		enum nat_loss loss;

		if (!host->live && !host->check)
			continue;
		loss = judge_host(nat, slot);
		if (loss) {
			report->lost[loss]++;
			host->live = host->check = 0;
			continue;
		}
		host->mappings = host->sessions = host->forwards = 0;
		host->tagged = 0;
		mend_bucket(&host->opens, now_ms);
		mend_bucket(&host->answers, now_ms);
		nat_host_link(nat, slot);
		use_slot(slots, nat->host_links, slot);
	}
}

/* --- mappings ------------------------------------------------------------- */

static enum nat_loss judge_mapping(const struct nat *nat, uint32_t slot)
{
	const struct nat_mapping *m = &nat->mappings[slot];
	int pool = nat_pool_of(m->inside.proto);

	if (m->live != LIVE || m->check != nat_seal_mapping(nat, slot))
		return NAT_LOSS_DAMAGED;
	if (m->kind >= NAT_KINDS ||
	    !times_good(m->created_s, m->used_s, nat->clock_s))
		return NAT_LOSS_RANGE;
	if (pool < 0)
		return nat_is_tagged(m->inside.proto) ? NAT_LOSS_NONE :
							NAT_LOSS_RANGE;
	return nat_ports_taken(&nat->ports[pool], m->port) ?
		       NAT_LOSS_DUPLICATE :
		       NAT_LOSS_NONE;
}

static void rebuild_mappings(struct nat *nat, uint64_t now_ms,
			     struct nat_restored *report)
{
	struct nat_slots *slots = &nat->mapping_slots;

	for (uint32_t slot = 1; slot <= slots->limit; slot++) {
		struct nat_mapping *m = &nat->mappings[slot];
		enum nat_loss loss;

		if (!m->live && !m->check)
			continue;
		loss = judge_mapping(nat, slot);
		if (!loss) {
			m->host = nat_host_get(nat, m->inside.addr, now_ms);
			if (!m->host)
				loss = NAT_LOSS_ORPHAN;
		}
		if (loss) {
			report->lost[loss]++;
			m->live = LOST;
			continue;
		}
		m->sessions = m->first = 0;
		nat_mapping_link(nat, slot);
		use_slot(slots, nat->mapping_links, slot);
	}
}

/* --- sessions ------------------------------------------------------------- */

static bool timer_fits(uint8_t proto, uint8_t timer)
{
	switch (proto) {
	case NAT_PROTO_TCP:
		if (timer == NAT_TIMER_CUT)
			return true;
		/* fall through */
	case NAT_PROTO_DCCP:
		return timer == NAT_TIMER_TCP_OPENING ||
		       timer == NAT_TIMER_TCP_ESTABLISHED ||
		       timer == NAT_TIMER_TCP_CLOSING;
	case NAT_PROTO_UDP:
	case NAT_PROTO_UDPLITE:
		return timer == NAT_TIMER_UDP;
	case NAT_PROTO_ICMP:
		return timer == NAT_TIMER_ICMP;
	}
	return timer == NAT_TIMER_TCP_OPENING || timer == NAT_TIMER_OTHER;
}

/* Do session and tagged record name each other? */
static bool tag_fits(const struct nat *nat, uint32_t slot)
{
	const struct nat_session *s = &nat->sessions[slot];
	const struct nat_tagged *t;

	if (!s->tagged || s->tagged > nat->limits.tagged)
		return false;
	t = &nat->tagged[s->tagged];
	return t->live == LIVE && t->check == nat_seal_tagged(nat, s->tagged) &&
	       t->session == slot && t->key.kind < NAT_TAG_KINDS &&
	       t->in.count <= 2 && t->out.count <= 2 &&
	       t->key.peer_addr == s->key.peer_addr &&
	       t->key.peer_port == s->key.peer_port;
}

static bool end_in_range(const struct nat_tcp_end *end)
{
	return end->scale <= SCALE_MAX && end->shift <= SCALE_MAX;
}

static bool session_in_range(const struct nat_session *s, uint8_t proto,
			     uint64_t now_ms)
{
	return s->state < NAT_STATES && !(s->flags & ~NAT_SESSION_FLAGS) &&
	       timer_fits(proto, s->timer) &&
	       (nat_is_tagged(proto) ||
		(end_in_range(&s->end[0]) && end_in_range(&s->end[1]))) &&
	       times_good(s->created_s, nat_seconds(s->used_ms),
			  nat_seconds(now_ms)) &&
	       s->used_ms <= now_ms;
}

static enum nat_loss judge_session(const struct nat *nat, uint32_t slot,
				   uint64_t now_ms)
{
	const struct nat_session *s = &nat->sessions[slot];
	uint8_t proto;

	if (s->live != LIVE || s->check != nat_seal_session(nat, slot))
		return NAT_LOSS_DAMAGED;
	if (!s->key.mapping || s->key.mapping > nat->limits.mappings ||
	    nat->mappings[s->key.mapping].live != LIVE)
		return NAT_LOSS_ORPHAN;
	proto = nat->mappings[s->key.mapping].inside.proto;
	if (!session_in_range(s, proto, now_ms))
		return NAT_LOSS_RANGE;
	if (nat_is_tagged(proto) && !tag_fits(nat, slot))
		return NAT_LOSS_ORPHAN;
	return nat_find_key(nat, &s->key) ? NAT_LOSS_DUPLICATE : NAT_LOSS_NONE;
}

static void link_session(struct nat *nat, uint32_t slot)
{
	struct nat_session *s = &nat->sessions[slot];

	/* Who carried it knows nothing of this engine, nor we of what it did. */
	if (s->flags & NAT_SESSION_CARRIED)
		s->end[NAT_INSIDE].known = s->end[NAT_OUTSIDE].known = 0;
	s->flags &= (uint8_t)~NAT_SESSION_CARRIED;
	nat_session_link(nat, slot);
	nat_list_append(&nat->timers[s->timer], nat->session_links, slot);
	if (nat_is_tagged(nat->mappings[s->key.mapping].inside.proto))
		nat_tagged_link(nat, s->tagged);
}

static void rebuild_sessions(struct nat *nat, uint64_t now_ms,
			     struct nat_restored *report)
{
	struct nat_slots *slots = &nat->session_slots;

	for (uint32_t slot = 1; slot <= slots->limit; slot++) {
		struct nat_session *s = &nat->sessions[slot];
		enum nat_loss loss;

		if (!s->live && !s->check)
			continue;
		loss = judge_session(nat, slot, now_ms);
		if (loss) {
			report->lost[loss]++;
			nat_unseal(&s->live, &s->check);
			continue;
		}
		link_session(nat, slot);
		use_slot(slots, nat->session_links, slot);
	}
	nat_sort_timers(nat);
}

/* Was the record taken up with its session? */
static bool has_session(const struct nat *nat, uint32_t slot)
{
	const struct nat_tagged *t = &nat->tagged[slot];
	const struct nat_session *s;

	if (!t->session || t->session > nat->limits.sessions)
		return false;
	s = &nat->sessions[t->session];
	return s->live && s->tagged == slot &&
	       nat_is_tagged(nat->mappings[s->key.mapping].inside.proto);
}

static void rebuild_tagged(struct nat *nat, struct nat_restored *report)
{
	struct nat_slots *slots = &nat->tagged_slots;

	for (uint32_t slot = 1; slot <= slots->limit; slot++) {
		struct nat_tagged *t = &nat->tagged[slot];

		if (!t->live && !t->check)
			continue;
		if (t->live && has_session(nat, slot)) {
			use_slot(slots, nat->tagged_links, slot);
			continue;
		}
		report->lost[t->live == LIVE && t->check == nat_seal_tagged(
								    nat, slot) ?
				     NAT_LOSS_ORPHAN :
				     NAT_LOSS_DAMAGED]++;
		nat_unseal(&t->live, &t->check);
	}
}

/* --- aliases -------------------------------------------------------------- */

/* Before there is a configuration `forward` has no meaning: here it is the
 * mapping whose alias this one is, then PLACED. */
#define PLACED UINT32_MAX

static bool alias_good(const struct nat *nat, uint32_t slot)
{
	const struct nat_mapping *m = &nat->mappings[slot];
	const struct nat_mapping *next;

	if (!m->alias || m->alias > nat->limits.mappings || m->alias == slot)
		return false;
	next = &nat->mappings[m->alias];
	return next->live == LIVE && !next->forward &&
	       !memcmp(&next->inside, &m->inside, sizeof(m->inside));
}

/* A chain that begins here goes on as it was; behind another one if there are
 * two of one inside socket (it broke off while being changed). */
static void place_chain(struct nat *nat, uint32_t head)
{
	bool first = !nat_find_inside(nat, nat->mappings[head].inside);
	uint32_t next;

	if (first)
		nat_mapping_lead(nat, head);
	for (uint32_t at = head; at; at = next) {
		next = nat->mappings[at].alias;
		nat->mappings[at].forward = PLACED;
		if (!first)
			nat_mapping_join(nat, at);
	}
}

static void rebuild_aliases(struct nat *nat)
{
	struct nat_mapping *m = nat->mappings;
	const struct nat_link *links = nat->mapping_links;
	uint32_t head = nat->mapping_live.head;

	for (uint32_t slot = head; slot; slot = links[slot].next)
		m[slot].forward = 0;
	for (uint32_t slot = head; slot; slot = links[slot].next) {
		if (alias_good(nat, slot))
			m[m[slot].alias].forward = slot;
		else
			m[slot].alias = 0;
	}
	for (uint32_t slot = head; slot; slot = links[slot].next)
		if (!m[slot].forward)
			place_chain(nat, slot);
	/* What is left are rings, which only damage can make. */
	for (uint32_t slot = head; slot; slot = links[slot].next)
		if (m[slot].forward != PLACED)
			nat_mapping_join(nat, slot);
}

/* --- losses --------------------------------------------------------------- */

/* Killed between the ends of session and mapping, or its sessions are lost. */
static void end_idle(struct nat *nat, uint64_t now_ms,
		     struct nat_restored *report)
{
	uint32_t next;

	for (uint32_t slot = nat->mapping_live.head; slot; slot = next) {
		next = nat->mapping_links[slot].next;
		if (nat->mappings[slot].sessions ||
		    nat->mappings[slot].kind == NAT_KIND_FORWARD)
			continue;
		report->lost[NAT_LOSS_ORPHAN]++;
		nat_mapping_end(nat, slot, now_ms, true);
	}
}

static bool was_forward(const struct nat *nat, uint32_t slot)
{
	return nat->mappings[slot].kind == NAT_KIND_FORWARD &&
	       nat->mappings[slot].check == nat_seal_mapping(nat, slot);
}

static void rest_port(struct nat *nat, uint8_t proto, uint16_t port,
		      uint64_t now_ms)
{
	int pool = nat_pool_of(proto);

	if (pool < 0 || !port || nat_ports_taken(&nat->ports[pool], port))
		return;
	nat_ports_take(&nat->ports[pool], port);
	nat_hold(nat, (enum nat_pool)pool, port, now_ms);
}

/* Whatever is wrong with it: what may have been its port rests. That of a
 * forward does not have to, but what does not check may have been anything. */
static void rest_lost(struct nat *nat, uint64_t now_ms)
{
	for (uint32_t slot = 1; slot <= nat->limits.mappings; slot++) {
		struct nat_mapping *m = &nat->mappings[slot];

		if (m->live != LOST)
			continue;
		if (!was_forward(nat, slot)) {
			rest_port(nat, m->inside.proto, m->port, now_ms);
			rest_port(nat, m->proto_again, m->port, now_ms);
			rest_port(nat, m->proto_again, m->port_again, now_ms);
		}
		nat_fence();
		nat_unseal(&m->live, &m->check);
	}
}

void nat_rebuild(struct nat *nat, uint64_t now_ms, struct nat_restored *report)
{
	/* Nobody's slots: what looks for a record may look there. */
	memset(&nat->mappings[0], 0, sizeof(nat->mappings[0]));
	memset(&nat->sessions[0], 0, sizeof(nat->sessions[0]));
	rebuild_hosts(nat, now_ms, report);
	rebuild_mappings(nat, now_ms, report);
	rebuild_sessions(nat, now_ms, report);
	rebuild_tagged(nat, report);
	rebuild_aliases(nat);
	nat_rebuild_held(nat, now_ms, report);
	end_idle(nat, now_ms, report);
	rest_lost(nat, now_ms);
	if (nat->timers[NAT_TIMER_CUT].count)
		nat_tell_begin(nat, false, now_ms);
}
