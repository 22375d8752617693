/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SCTP, GRE and ESP: the address is translated, nothing else can be (SCTP's
 * checksum covers its ports, the others have none). So what comes from a peer
 * has to be told apart by its tag:
 *
 *   SCTP   the verification tag that the inside end declared in its INIT. Two
 *          hosts with the same ports and peer would be one association to that
 *          peer, and a restart of it: the second is refused, unless all ends
 *          said that they bear it (draft-ietf-tsvwg-natsupp).
 *   GRE    the key, equal both ways, or none. A second host with the same key
 *          (or none) and peer is refused. A tunnel with another key inwards
 *          than outwards works as long as its host is the peer's only one.
 *   PPTP   the call id, ESP the SPI: each end chooses its own and tells it
 *          where we cannot read, so it is learnt from the peer's answer. While
 *          one host waits for its answer a second one is refused: two might be
 *          confused. It waits for WAIT_MS at most, and not again while that
 *          session lives, so that it keeps the peer from others no longer. A tag
 *          that nobody waits for, at a peer with one host only, is that host's
 *          (the peer has changed keys first).
 *
 * Each direction has room for two tags: the old one goes on while keys change,
 * and what anybody could have sent (an INIT, an unknown SPI) only ever replaces
 * the one that is less in use.
 *
 * Whoever was first keeps what it has (behave 19.30): a newcomer is refused
 * with no_port, and never gets what another host's session would. Outsiders
 * open nothing, and a peer that no host speaks to is left to the router.
 */
#include "internal.h"

/* How long a host has the next unknown tag of a peer for itself. A key exchange
 * that came to its end is followed by traffic at once. */
#define WAIT_MS 10000U

/* Kinds whose inward tag shows in an answer only. */
static const bool learnt[NAT_TAG_KINDS] = {
	[NAT_TAG_PPTP] = true,
	[NAT_TAG_ESP] = true,
};

static struct nat_peer_key peer_key(const struct nat_tag *tag, uint32_t addr,
				    uint16_t peer_port, uint16_t port)
{
	return (struct nat_peer_key){ .peer_addr = addr,
				      .peer_port = peer_port,
				      .port = port,
				      .kind = tag->kind };
}

static uint32_t mapping_of(const struct nat *nat, uint32_t slot)
{
	return nat->sessions[nat->tagged[slot].session].key.mapping;
}

static bool knows(const struct nat_tags *tags, uint32_t value)
{
	return (tags->count > 0 && tags->value[0] == value) ||
	       (tags->count > 1 && tags->value[1] == value);
}

/* A tag that is certainly right comes first. */
static void use(struct nat_tags *tags, uint32_t value)
{
	if (tags->count && tags->value[0] == value)
		return;
	tags->value[1] = tags->value[0];
	tags->value[0] = value;
	tags->count = tags->count ? 2 : 1;
}

/* One that may be wrong stands behind the one in use. */
static void consider(struct nat_tags *tags, uint32_t value)
{
	if (knows(tags, value))
		return;
	tags->value[tags->count ? 1 : 0] = value;
	tags->count = tags->count ? 2 : 1;
}

/* --- looking at a peer's sessions --------------------------------------------- */

/* Is this the session of a packet from this side with this tag? */
static bool is_of(const struct nat_tagged *t, const struct nat_tag *tag,
		  enum nat_side from)
{
	const struct nat_tags *same = from == NAT_INSIDE ? &t->out : &t->in;
	const struct nat_tags *back = from == NAT_INSIDE ? &t->in : &t->out;

	if (tag->initiates)
		return knows(back, tag->declared);
	if (tag->reflected)
		return knows(back, tag->value);
	if (!tag->present)
		return t->key.kind == NAT_TAG_GRE && !same->count;
	return knows(same, tag->value);
}

static bool unanswered(const struct nat_tagged *t)
{
	return learnt[t->key.kind] && !t->in.count;
}

static bool waits(const struct nat_tagged *t, uint64_t now_ms)
{
	return unanswered(t) && now_ms < t->created_ms + WAIT_MS;
}

/* May a host of the same ports come beside it? */
static bool bears_others(const struct nat_tagged *t)
{
	const uint8_t both = NAT_TAGGED_FREE_IN | NAT_TAGGED_FREE_OUT;

	return (t->flags & both) == both;
}

/* The sessions with one peer as one packet sees them; slots of tagged. */
struct sight {
	uint32_t match; /* the packet's own */
	uint32_t waiting; /* one whose answer is due */
	uint32_t newest;
	bool several; /* they are of several mappings */
	uint32_t own; /* newest of the sender's mapping, and so on */
	uint32_t own_unanswered;
	bool others; /* of other mappings */
	bool others_wait;
	bool others_bear; /* all of them bear one more */
};

static uint32_t newer(const struct nat *nat, uint32_t a, uint32_t b)
{
	if (!a || !b)
		return a ? a : b;
	return nat->tagged[b].created_ms > nat->tagged[a].created_ms ? b : a;
}

static void see(const struct nat *nat, struct sight *sight, uint32_t slot,
		uint32_t mapping, uint64_t now_ms)
{
	const struct nat_tagged *t = &nat->tagged[slot];
	bool waiting = waits(t, now_ms);

	if (sight->newest &&
	    mapping_of(nat, slot) != mapping_of(nat, sight->newest))
		sight->several = true;
	sight->newest = newer(nat, sight->newest, slot);
	if (waiting)
		sight->waiting = slot;
	if (mapping_of(nat, slot) == mapping) {
		sight->own = newer(nat, sight->own, slot);
		if (unanswered(t))
			sight->own_unanswered = slot;
		return;
	}
	sight->others = true;
	sight->others_wait |= waiting;
	sight->others_bear &= bears_others(t);
}

/* A session without an answer ends with the time of an opening one, also where
 * its host goes on: it may then wait once more. */
static bool given_up(struct nat_work *work, uint32_t slot)
{
	struct nat *nat = work->nat;
	const struct nat_tagged *t = &nat->tagged[slot];

	if (!unanswered(t) ||
	    work->now_ms <
		    t->created_ms + nat_timer_ms(nat, NAT_TIMER_TCP_OPENING))
		return false;
	nat_session_end(nat, t->session, work->now_ms);
	return true;
}

/* mapping: the sender's, 0 where it has none or comes from outside. Of a host's
 * own sessions only those are its match. */
static struct sight look(struct nat_work *work, const struct nat_peer_key *key,
			 uint32_t mapping, enum nat_side from)
{
	struct nat *nat = work->nat;
	struct sight sight = { .others_bear = true };
	uint32_t slot, next;

	for (slot = nat_next_tagged(nat, key, 0); slot; slot = next) {
		next = nat_next_tagged(nat, key, slot);
		if (!nat_session_check(nat, nat->tagged[slot].session,
				       work->now_ms) ||
		    given_up(work, slot))
			continue;
		see(nat, &sight, slot, mapping, work->now_ms);
		if (is_of(&nat->tagged[slot], &work->p.tag, from) &&
		    (from == NAT_OUTSIDE || mapping_of(nat, slot) == mapping))
			sight.match = slot;
	}
	return sight;
}

/* --- from inside -------------------------------------------------------------- */

static bool taken(struct nat_work *work, const struct nat_peer_key *key,
		  const struct nat_tag *tag)
{
	struct nat *nat = work->nat;
	uint32_t slot = 0;

	while ((slot = nat_next_tagged(nat, key, slot)))
		if (is_of(&nat->tagged[slot], tag, NAT_INSIDE))
			return true;
	return false;
}

/* Counted among what the host was refused (nat_host_view). */
static enum nat_drop refuse_sender(struct nat_work *work, enum nat_drop drop)
{
	struct nat *nat = work->nat;
	uint32_t host = nat_host_get(nat, work->p.src, work->now_ms);

	if (host)
		nat->hosts[host].refused++;
	return drop;
}

/* May this host open one more session with the peer? */
static enum nat_drop may_open(struct nat_work *work,
			      const struct nat_peer_key *key,
			      const struct sight *sight)
{
	const struct nat_tag *tag = &work->p.tag;

	if (key->kind == NAT_TAG_SCTP && !tag->initiates)
		return NAT_DROP_NO_SESSION;
	if (!sight->others)
		return NAT_DROP_NONE;
	if (learnt[key->kind])
		return sight->others_wait ?
			       refuse_sender(work, NAT_DROP_NO_PORT) :
			       NAT_DROP_NONE;
	if (taken(work, key, tag))
		return refuse_sender(work, NAT_DROP_NO_PORT);
	if (key->kind == NAT_TAG_SCTP &&
	    !(tag->no_restart && sight->others_bear))
		return refuse_sender(work, NAT_DROP_NO_PORT);
	return NAT_DROP_NONE;
}

/* What a packet from inside tells of its session. */
static void learn_out(struct nat_tagged *t, const struct nat_tag *tag)
{
	if (tag->declares) {
		/* An INIT-ACK may answer an INIT that nobody meant. */
		consider(&t->in, tag->declared);
		if (tag->no_restart)
			t->flags |= NAT_TAGGED_FREE_OUT;
		return;
	}
	if (tag->reflected || !tag->present)
		return;
	use(&t->out, tag->value);
	if (t->key.kind == NAT_TAG_GRE)
		use(&t->in, tag->value);
}

/* Does an INIT-ACK declare what is the tag of another host's session? */
static bool claimed(struct nat_work *work, const struct nat_peer_key *key,
		    uint32_t own)
{
	struct nat *nat = work->nat;
	uint32_t slot = 0;

	while ((slot = nat_next_tagged(nat, key, slot)))
		if (mapping_of(nat, slot) != mapping_of(nat, own) &&
		    knows(&nat->tagged[slot].in, work->p.tag.declared))
			return true;
	return false;
}

static enum nat_drop make_session(struct nat_work *work,
				  const struct nat_peer_key *key,
				  const struct sight *sight, uint32_t *slot)
{
	uint32_t mapping, session;
	enum nat_drop drop = may_open(work, key, sight);

	if (!drop)
		drop = nat_open_tagged(work, key, &mapping, &session);
	if (!drop)
		*slot = work->nat->sessions[session].tagged;
	return drop;
}

/* The session of a packet from inside, found or made. A host that changes keys
 * before it was answered, or while another one waits, has no new one. */
static enum nat_drop session_out(struct nat_work *work,
				 const struct nat_peer_key *key, uint32_t *slot)
{
	struct nat *nat = work->nat;
	const struct nat_tag *tag = &work->p.tag;
	uint32_t mapping = nat_find_inside(
		nat, nat_socket(work->p.proto, work->p.src, work->p.sport));
	struct sight sight = look(work, key, mapping, NAT_INSIDE);
	enum nat_drop drop;

	*slot = sight.match;
	if (!*slot && learnt[key->kind])
		*slot = sight.own_unanswered;
	if (*slot && tag->declares && claimed(work, key, *slot))
		return refuse_sender(work, NAT_DROP_NO_PORT);
	if (!*slot && learnt[key->kind] && sight.others_wait && sight.own) {
		*slot = sight.own;
		return NAT_DROP_NONE;
	}
	if (!*slot) {
		drop = make_session(work, key, &sight, slot);
		if (drop)
			return drop;
	}
	learn_out(&nat->tagged[*slot], tag);
	nat->tagged[*slot].check = nat_seal_tagged(nat, *slot);
	return NAT_DROP_NONE;
}

struct nat_result nat_tagged_outbound(struct nat_work *work)
{
	struct nat *nat = work->nat;
	struct nat_parsed *p = &work->p;
	struct nat_peer_key key = peer_key(&p->tag, p->dst, p->dport, p->sport);
	uint32_t slot;
	enum nat_drop drop = session_out(work, &key, &slot);

	if (drop)
		return nat_refuse(work, drop);
	nat_account(work, mapping_of(nat, slot), nat->tagged[slot].session,
		    NAT_INSIDE);
	nat->stats.outbound_packets++;
	nat->stats.outbound_bytes += p->length;
	nat_rewrite_source(work, nat->uplink, p->sport);
	nat_rewrite_id(work);
	nat_rewrite_finish(work);
	return nat_translated(NAT_MARK_OUTBOUND);
}

/* --- from outside ------------------------------------------------------------- */

/* What a packet from outside tells of its session. */
static void learn_in(struct nat_tagged *t, const struct nat_tag *tag)
{
	if (tag->initiates) { /* by anybody (RFC 9260 5.2.2) */
		consider(&t->out, tag->declared);
	} else if (tag->declares) {
		use(&t->out, tag->declared);
		if (tag->no_restart)
			t->flags |= NAT_TAGGED_FREE_IN;
	} else if (knows(&t->in, tag->value)) {
		if (tag->present && !tag->reflected)
			use(&t->in, tag->value);
	} else if (learnt[t->key.kind]) {
		consider(&t->in, tag->value);
	}
}

/* Whose is a packet that has no match? 0: nobody's for certain. */
static uint32_t guess_in(const struct sight *sight, const struct nat_tag *tag)
{
	if (learnt[tag->kind] && sight->waiting)
		return sight->waiting;
	if (sight->several)
		return 0;
	/* Both ends of an SCTP association may begin at once (RFC 9260 5.2.1);
	 * all else needs the right verification tag. */
	if (tag->kind == NAT_TAG_SCTP && !tag->initiates)
		return 0;
	return sight->newest;
}

bool nat_tagged_known(struct nat_work *work)
{
	const struct nat_parsed *p = &work->p;
	struct nat_peer_key key = peer_key(&p->tag, p->src, p->sport, p->dport);

	return nat_next_tagged(work->nat, &key, 0) != 0;
}

struct nat_result nat_tagged_inbound(struct nat_work *work)
{
	struct nat *nat = work->nat;
	struct nat_parsed *p = &work->p;
	struct nat_peer_key key = peer_key(&p->tag, p->src, p->sport, p->dport);
	struct sight sight = look(work, &key, 0, NAT_OUTSIDE);
	uint32_t slot = sight.match ? sight.match : guess_in(&sight, &p->tag);
	const struct nat_socket *inside;

	if (!sight.newest)
		return nat_untouched(nat);
	if (!slot)
		return nat_drop(nat, NAT_DROP_NO_SESSION);
	learn_in(&nat->tagged[slot], &p->tag);
	nat->tagged[slot].check = nat_seal_tagged(nat, slot);
	inside = &nat->mappings[mapping_of(nat, slot)].inside;
	nat_account(work, mapping_of(nat, slot), nat->tagged[slot].session,
		    NAT_OUTSIDE);
	nat->stats.inbound_packets++;
	nat->stats.inbound_bytes += p->length;
	nat_rewrite_destination(work, inside->addr, p->dport);
	nat_rewrite_finish(work);
	return nat_translated(NAT_MARK_INBOUND);
}

/* --- ICMP errors -------------------------------------------------------------- */

/* Of one moment: the one that the index names last, which was added first. */
static uint32_t older(const struct nat *nat, uint32_t a, uint32_t b)
{
	return a && newer(nat, a, b) == b ? a : b;
}

/* The quote is of a packet from inside as it left. Of two hosts with one tag the
 * first keeps it. A quote too short for its tag, or of an INIT, tells whose it is
 * where the peer has one host only; any other tag may be the router's own. */
uint32_t nat_tagged_quoted_outside(struct nat_work *work,
				   const struct nat_quote *quote)
{
	struct nat *nat = work->nat;
	struct nat_peer_key key =
		peer_key(&quote->tag, quote->dst, quote->dport, quote->sport);
	uint32_t slot = 0, match = 0, only = 0;
	bool several = false;

	while ((slot = nat_next_tagged(nat, &key, slot))) {
		if (!nat_session_left(nat,
				      &nat->sessions[nat->tagged[slot].session],
				      work->now_ms))
			continue;
		if (quote->tag.present &&
		    is_of(&nat->tagged[slot], &quote->tag, NAT_INSIDE))
			match = older(nat, match, slot);
		several |= only && only != mapping_of(nat, slot);
		only = mapping_of(nat, slot);
	}
	if (match)
		return mapping_of(nat, match);
	return several || (quote->tag.present && quote->tag.value) ? 0 : only;
}

uint32_t nat_tagged_quoted_inside(struct nat_work *work,
				  const struct nat_quote *quote)
{
	struct nat *nat = work->nat;
	struct nat_peer_key key =
		peer_key(&quote->tag, quote->src, quote->sport, quote->dport);
	uint32_t mapping = nat_find_inside(
		nat, nat_socket(quote->proto, quote->dst, quote->dport));
	uint32_t slot = 0;

	while (mapping && (slot = nat_next_tagged(nat, &key, slot)))
		if (mapping_of(nat, slot) == mapping)
			return mapping;
	return 0;
}
