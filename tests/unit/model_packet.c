/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The model's judgement of one packet.
 */
#include "choice.h"
#include "model.h"

#define BIT(drop) (1U << NAT_DROP_##drop)

/* --- TCP, as RFC 7857 2 tells it ---------------------------------------------------- */

static void step_tcp(struct model *model, struct model_session *s, bool inside,
		     uint8_t flags)
{
	bool client = inside != s->server;
	bool opens = (flags & (SYN | ACK | RST | FIN)) == SYN;

	if (s->state == NAT_STATE_TRANS || s->state == NAT_STATE_C_FIN_S_FIN) {
		if (opens) {
			s->reopened = s->state == NAT_STATE_TRANS && !inside;
			s->state = NAT_STATE_INIT;
			s->server = !inside;
			model_touch(model, s, NAT_TIMER_TCP_OPENING,
				    model->now);
		} else if (s->state == NAT_STATE_TRANS && !(flags & RST)) {
			s->state = NAT_STATE_ESTABLISHED;
			model_touch(model, s, NAT_TIMER_TCP_ESTABLISHED,
				    model->now);
		}
		return;
	}
	if (s->state == NAT_STATE_INIT && s->reopened && inside) {
		s->reopened = false;
		if (!(flags & (SYN | FIN | RST))) {
			s->state = NAT_STATE_ESTABLISHED;
			model_touch(model, s, NAT_TIMER_TCP_ESTABLISHED,
				    model->now);
			return;
		}
	}
	if (s->state == NAT_STATE_INIT) {
		if (flags & RST || !(flags & SYN) ||
		    (client && !inside && !s->out))
			return;
		if (!client)
			s->state = NAT_STATE_ESTABLISHED;
		model_touch(model, s,
			    client ? NAT_TIMER_TCP_OPENING :
				     NAT_TIMER_TCP_ESTABLISHED,
			    model->now);
		return;
	}
	if (flags & RST) {
		s->state = NAT_STATE_TRANS;
		model_touch(model, s, NAT_TIMER_TCP_CLOSING, model->now);
		return;
	}
	if (flags & FIN && !(flags & SYN)) {
		if (s->state == NAT_STATE_ESTABLISHED) {
			s->state = client ? NAT_STATE_C_FIN : NAT_STATE_S_FIN;
			return;
		}
		if (client == (s->state == NAT_STATE_S_FIN)) {
			s->state = NAT_STATE_C_FIN_S_FIN;
			model_touch(model, s, NAT_TIMER_TCP_CLOSING,
				    model->now);
			return;
		}
	}
	model_touch(model, s, NAT_TIMER_TCP_ESTABLISHED, model->now);
}

static void account(struct model *model, const struct model_event *event,
		    uint32_t mapping, size_t session, bool inside)
{
	struct model_session *s;

	for (size_t i = 0; i < model->mapping_count; i++)
		model->mappings[i].used |= model->mappings[i].id == mapping;
	if (session == MODEL_NONE)
		return;
	s = &model->sessions[session];
	s->out |= inside &&
		  !(event->proto == NAT_PROTO_TCP && event->flags & RST);
	s->in |= !inside;
	if (event->proto == NAT_PROTO_TCP) {
		step_tcp(model, s, inside, event->flags);
		return;
	}
	if (s->in && s->out)
		s->state = NAT_STATE_ESTABLISHED;
	if (inside || (model->config->inbound_refresh && s->out))
		model_touch(model, s, s->timer, model->now);
}

/* --- policy ------------------------------------------------------------------------- */

static bool opens_tcp(const struct model_event *event)
{
	return (event->flags & (SYN | ACK | RST | FIN)) == SYN;
}

/* Why a session more of this host and mapping (NULL: a new one) cannot be. */
static uint32_t session_reasons(const struct model *model, uint32_t addr,
				const struct model_mapping *m)
{
	const struct nat_config *config = model->config;
	uint32_t reasons = 0;

	if (model->session_count >= model->limits.sessions)
		reasons |= BIT(TABLE_FULL);
	if (model_host_sessions(model, addr) >= config->host_sessions)
		reasons |= BIT(HOST_QUOTA);
	if (m && model_sessions_of(model, m->id) >= config->mapping_sessions)
		reasons |= BIT(HOST_QUOTA);
	return reasons;
}

/* And why a mapping more cannot; else judges the port that was chosen. */
static uint32_t mapping_reasons(const struct model *model,
				const struct model_event *event, int32_t chosen,
				const char **wrong)
{
	uint16_t candidates[128]; /* pools are smaller */
	enum nat_pool pool = model_pool(event->proto);
	uint32_t reasons = 0;
	size_t count = 0;

	for (uint32_t port = 0; port < NAT_PORTS && count < 128; port++)
		if (nat_portset_has(&model->config->pool[pool],
				    (uint16_t)port) &&
		    model_is_free(model, pool, (uint16_t)port,
				  event->flow.sport))
			candidates[count++] = (uint16_t)port;
	if (!count)
		reasons |= BIT(NO_PORT);
	if (model->mapping_count >= model->limits.mappings ||
	    model_host_table_full(model, event->flow.src))
		reasons |= BIT(TABLE_FULL);
	if (model_host_dynamic(model, event->flow.src) >=
	    model->config->host_mappings)
		reasons |= BIT(HOST_QUOTA);
	if (!reasons)
		*wrong = choice_wrong(
			candidates, count, event->flow.sport,
			model->config->parity && pool != NAT_POOL_ICMP, chosen);
	return reasons;
}

struct opened {
	uint32_t reasons;
	uint32_t mapping; /* id */
	size_t session;
	const char *wrong;
};

/* A forward works without sessions, and what lets everybody in. */
static bool goes_without(const struct model *model,
			 const struct model_mapping *m)
{
	return m->forward || (m->proto == NAT_PROTO_UDP &&
			      model->config->filtering[NAT_POOL_UDP] ==
				      NAT_FILTER_ENDPOINT_INDEPENDENT &&
			      model_sessions_of(model, m->id) >=
				      model->config->mapping_sessions);
}

/* By the session that was made last. */
static void keep_mapping(struct model *model, const struct model_mapping *m)
{
	struct model_session *newest = NULL;

	for (size_t i = 0; i < model->session_count; i++)
		if (model->sessions[i].mapping == m->id)
			newest = &model->sessions[i];
	if (!m->forward && newest->timer != MODEL_CUT)
		model_touch(model, newest, newest->timer, model->now);
}

static struct opened open_new(struct model *model,
			      const struct model_event *event,
			      uint32_t peer_addr, uint16_t peer_port,
			      int32_t chosen)
{
	struct flow flow = event->flow;
	const struct model_mapping *m =
		model_by_inside(model, event->proto, flow.src, flow.sport);
	struct opened opened = { .session = MODEL_NONE };

	opened.reasons = session_reasons(model, flow.src, m);
	if (!m)
		opened.reasons |=
			mapping_reasons(model, event, chosen, &opened.wrong);
	if (opened.reasons && m && goes_without(model, m)) {
		keep_mapping(model, m);
		opened.reasons = 0;
		opened.mapping = m->id;
		return opened;
	}
	if (opened.reasons)
		return opened;
	opened.mapping =
		m ? m->id :
		    model_add_mapping(
			    model, (struct model_mapping){
					   .proto = event->proto,
					   .inside_addr = flow.src,
					   .inside_port = flow.sport,
					   .outside_port = (uint16_t)chosen });
	opened.session = model_add_session(model,
					   model_by_id(model, opened.mapping),
					   peer_addr, peer_port, false);
	return opened;
}

static struct opened open_outbound(struct model *model,
				   const struct model_event *event,
				   uint16_t peer_port, int32_t chosen)
{
	struct flow flow = event->flow;
	const struct model_mapping *first =
		model_by_inside(model, event->proto, flow.src, flow.sport);
	struct opened opened = { .session = MODEL_NONE };

	for (size_t i = 0; i < model->mapping_count; i++) {
		const struct model_mapping *m = &model->mappings[i];

		if (m->proto != event->proto || m->inside_addr != flow.src ||
		    m->inside_port != flow.sport)
			continue;
		opened.session =
			model_find_session(model, m->id, flow.dst, peer_port);
		opened.mapping = m->id;
		if (opened.session != MODEL_NONE)
			return opened;
	}
	if (event->proto != NAT_PROTO_TCP || opens_tcp(event))
		return open_new(model, event, flow.dst, peer_port, chosen);
	opened.mapping = first ? first->id : 0;
	opened.reasons = first ? 0 : BIT(NO_SESSION);
	return opened;
}

static bool allowed_by(const struct nat_forward *rule, uint32_t addr)
{
	for (size_t i = 0; i < rule->from_count; i++)
		if (nat_prefix_has(&rule->from[i], addr))
			return true;
	return !rule->from_count;
}

static uint32_t filter_reasons(const struct model *model,
			       const struct model_mapping *m, uint32_t peer,
			       uint32_t also)
{
	enum nat_filter filter = model->config->filtering[model_pool(m->proto)];
	bool known = model_contacted(model, m->id, peer);

	if (m->forward) {
		const struct nat_forward *rule =
			&model->config->forwards[m->rule];

		return known || allowed_by(rule, peer) ||
				       (also && allowed_by(rule, also)) ?
			       0 :
			       BIT(FORWARD_PEER);
	}
	if (filter == NAT_FILTER_ENDPOINT_INDEPENDENT)
		return 0;
	if (!known)
		return BIT(FILTERED_ADDRESS);
	return filter == NAT_FILTER_ADDRESS_DEPENDENT ? 0 : BIT(FILTERED_PORT);
}

static uint32_t admit(struct model *model, const struct model_event *event,
		      const struct model_mapping *m, uint32_t peer,
		      uint16_t peer_port, uint32_t also, size_t *session)
{
	bool alias = m != model_by_inside(model, m->proto, m->inside_addr,
					  m->inside_port);
	uint32_t reasons;

	*session = model_find_session(model, m->id, peer, peer_port);
	if (*session != MODEL_NONE)
		return model->sessions[*session].timer == MODEL_CUT ?
			       BIT(NO_SESSION) :
			       0;
	reasons = filter_reasons(model, m, peer, also);
	if (reasons)
		return reasons;
	if (event->proto == NAT_PROTO_TCP ? !opens_tcp(event) :
					    !(m->forward && alias))
		return 0;
	reasons = session_reasons(model, m->inside_addr, m);
	/* Half of what there is belongs to what hosts begin themselves. */
	if (model_host_sessions(model, m->inside_addr) * 2 >=
	    model->config->host_sessions + model->config->host_sessions % 2)
		reasons |= BIT(HOST_QUOTA);
	if (model_sessions_of(model, m->id) * 2 >=
	    model->config->mapping_sessions +
		    model->config->mapping_sessions % 2)
		reasons |= BIT(HOST_QUOTA);
	if (model->session_count * 2 >=
	    model->limits.sessions + model->limits.sessions % 2)
		reasons |= BIT(TABLE_FULL);
	if (reasons)
		return m->forward ? 0 : reasons;
	*session = model_add_session(model, m, peer, peer_port, true);
	return 0;
}

/* --- packets ------------------------------------------------------------------------ */

static const struct model_verdict untouched = { .verdict = NAT_UNTOUCHED };

static struct model_verdict refused(uint32_t reasons)
{
	return (struct model_verdict){ .verdict = NAT_DROPPED,
				       .reasons = reasons };
}

static struct model_verdict translated(struct flow flow)
{
	return (struct model_verdict){ .verdict = NAT_TRANSLATED,
				       .flow = flow };
}

static struct model_verdict not_mapped(const struct model *model,
				       const struct model_event *event)
{
	enum nat_pool pool = model_pool(event->proto);
	uint16_t port = event->flow.dport;

	if (pool == NAT_POOL_ICMP ||
	    nat_portset_has(&model->bound[pool], port) ||
	    !nat_portset_has(&model->config->pool[pool], port))
		return untouched;
	return refused(BIT(NO_MAPPING));
}

/* Nothing but a SYN passes from inside; an RST ends it. */
static bool is_cut(const struct model *model, const struct model_event *event,
		   size_t session)
{
	return session != MODEL_NONE &&
	       model->sessions[session].timer == MODEL_CUT && !opens_tcp(event);
}

static struct model_verdict refused_cut(struct model *model,
					const struct model_event *event,
					size_t session)
{
	if (event->flags & RST)
		model_end_session(model, session);
	return refused(BIT(NO_SESSION));
}

/* Without an address, what is for the last one and not the router's own is
 * refused. */
static struct model_verdict no_uplink(const struct model *model,
				      const struct model_event *event)
{
	if (!model->address || event->flow.dst != model->address)
		return untouched;
	if (model_by_outside(model, event->proto, event->flow.dport) ||
	    not_mapped(model, event).verdict == NAT_DROPPED)
		return refused(BIT(NO_UPLINK));
	return untouched;
}

static struct model_verdict
outbound(struct model *model, const struct model_event *event, int32_t chosen)
{
	struct flow flow = event->flow;
	struct opened opened;
	struct model_verdict verdict;

	for (size_t i = 0; i < model->config->exempt_count; i++)
		if (nat_prefix_has(&model->config->exempt[i], flow.dst))
			return untouched;
	if (!model->uplink)
		return refused(BIT(NO_UPLINK));
	opened = open_outbound(model, event,
			       event->proto == NAT_PROTO_ICMP ? 0 : flow.dport,
			       chosen);
	if (is_cut(model, event, opened.session))
		return refused_cut(model, event, opened.session);
	if (opened.reasons)
		return refused(opened.reasons);
	account(model, event, opened.mapping, opened.session, true);
	flow.src = model->uplink;
	flow.sport = model_by_id(model, opened.mapping)->outside_port;
	if (event->proto == NAT_PROTO_ICMP)
		flow.dport = flow.sport;
	verdict = translated(flow);
	verdict.wrong = opened.wrong;
	return verdict;
}

static struct model_verdict inbound(struct model *model,
				    const struct model_event *event)
{
	struct flow flow = event->flow;
	bool icmp = event->proto == NAT_PROTO_ICMP;
	const struct model_mapping *m =
		model_by_outside(model, event->proto, flow.dport);
	size_t session;
	uint32_t reasons;

	if (!model->uplink)
		return no_uplink(model, event);
	if (flow.dst != model->uplink)
		return untouched;
	if (!m)
		return not_mapped(model, event);
	reasons = admit(model, event, m, flow.src, icmp ? 0 : flow.sport, 0,
			&session);
	if (reasons)
		return icmp ? untouched : refused(reasons);
	account(model, event, m->id, session, false);
	flow.dst = m->inside_addr;
	flow.dport = m->inside_port;
	if (icmp)
		flow.sport = flow.dport;
	return translated(flow);
}

static size_t mappings_of_sender(const struct model *model,
				 const struct model_event *event)
{
	size_t count = 0;

	for (size_t i = 0; i < model->mapping_count; i++) {
		const struct model_mapping *m = &model->mappings[i];

		count += m->proto == event->proto &&
			 m->inside_addr == event->flow.src &&
			 m->inside_port == event->flow.sport;
	}
	return count;
}

static struct model_verdict
hairpin(struct model *model, const struct model_event *event, int32_t chosen)
{
	struct flow flow = event->flow;
	const struct model_mapping *target =
		model_by_outside(model, event->proto, flow.dport);
	struct opened opened;
	struct model_verdict verdict;
	uint16_t source_port;
	uint32_t reasons;
	size_t session;

	if (!model->uplink)
		return no_uplink(model, event);
	if (flow.dst != model->uplink)
		return untouched;
	if (!target || !model->config->hairpin)
		return not_mapped(model, event);
	opened = open_outbound(model, event, flow.dport, chosen);
	if (is_cut(model, event, opened.session))
		return refused_cut(model, event, opened.session);
	if (opened.reasons)
		return refused(opened.reasons);
	account(model, event, opened.mapping, opened.session, true);
	source_port = model_by_id(model, opened.mapping)->outside_port;
	target = model_by_outside(model, event->proto, flow.dport);
	reasons = admit(model, event, target, model->uplink, source_port,
			flow.src, &session);
	if (reasons)
		return refused(reasons);
	account(model, event, target->id, session, false);
	flow.dst = target->inside_addr;
	flow.dport = target->inside_port;
	verdict = translated(flow);
	verdict.wrong = opened.wrong;
	/* The second pass sees inside sockets only: without state, or between
	 * several mappings of the sender, it takes any. */
	if (opened.session != MODEL_NONE &&
	    mappings_of_sender(model, event) == 1)
		verdict.source_port = source_port;
	return verdict;
}

struct model_verdict model_packet(struct model *model,
				  const struct model_event *event,
				  int32_t chosen)
{
	model_sweep(model);
	if (event->path == NAT_PATH_OUTBOUND)
		return outbound(model, event, chosen);
	if (event->path == NAT_PATH_INBOUND)
		return inbound(model, event);
	return hairpin(model, event, chosen);
}
