/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "carry_run.h"

/* --- the carrier --------------------------------------------------------------- */

void carry_add(struct nat_counters *to, const struct nat_counters *use)
{
	to->out_packets += use->out_packets;
	to->out_bytes += use->out_bytes;
	to->in_packets += use->in_packets;
	to->in_bytes += use->in_bytes;
}

void carry_use(struct carry_run *run, struct carry_load *load)
{
	struct nat_counters use = { 0 };

	if (dice_once_in(&run->dice, 2)) {
		use.out_packets = 1 + dice_roll(&run->dice, 3);
		use.out_bytes = use.out_packets * 100;
	}
	if (!use.out_packets || dice_once_in(&run->dice, 2)) {
		use.in_packets = 1 + dice_roll(&run->dice, 3);
		use.in_bytes = use.in_packets * 1000;
	}
	carry_add(&load->use, &use);
	if (use.out_packets || load->name.proto == NAT_PROTO_TCP ||
	    run->config->inbound_refresh)
		load->used_ms = run->engine.now;
}

static bool take(void *context, const struct nat_carried *session)
{
	struct carry_run *run = context;
	struct carry_load *load = &run->loads[session->session];

	run->offers++;
	if (!session->session || session->session > CARRY_SESSIONS) {
		run->wrong = "a session that cannot be was handed over";
		return false;
	}
	if (load->carried)
		run->wrong = "a session was handed over twice";
	if (dice_once_in(&run->dice, 4))
		return false;
	*load = (struct carry_load){ .name = *session, .carried = true };
	run->taken++;
	return true;
}

static void tell(struct carry_run *run, struct carry_load *load,
		 struct nat_counters *use)
{
	if (!load->carried)
		run->wrong = "asked for a session that is not carried";
	carry_add(use, &load->use);
	carry_add(&run->told, &load->use);
	load->use = (struct nat_counters){ 0 };
}

static void use(void *context, uint32_t session, struct nat_counters *sum)
{
	struct carry_run *run = context;

	tell(run, &run->loads[session], sum);
}

static void give_back(void *context, uint32_t session, struct nat_counters *sum,
		      struct nat_carried_end ends[2])
{
	struct carry_run *run = context;
	struct carry_load *load = &run->loads[session];

	/* A packet that came since the question. */
	load->late = dice_once_in(&run->dice, 4);
	if (load->late)
		carry_use(run, load);
	tell(run, load, sum);
	for (int side = 0; side < 2; side++)
		ends[side] = (struct nat_carried_end){
			.known = dice_once_in(&run->dice, 2),
			.ack = dice_roll(&run->dice, 3000),
			.window = (uint16_t)dice_roll(&run->dice, 600),
		};
	load->carried = false;
	load->back = true;
	run->backs++;
}

const struct nat_carrier carry_face = { take, use, give_back, NULL };

uint64_t carry_timer_ms(const struct carry_run *run, uint8_t proto)
{
	const uint32_t *s = run->config->timeout_s;
	uint32_t whole = s[NAT_TIMER_TCP_ESTABLISHED];
	uint32_t closing = s[NAT_TIMER_TCP_CLOSING];

	if (proto == NAT_PROTO_UDP)
		return s[NAT_TIMER_UDP] * SECOND;
	return whole > closing ? (whole - closing) * SECOND : 0;
}

/* --- what must be true after each step ------------------------------------------- */

static bool is_of(const struct nat_carried *name,
		  const struct nat_session_view *s)
{
	return name->proto == s->proto && name->inside_addr == s->inside_addr &&
	       name->inside_port == s->inside_port &&
	       name->outside_port == s->outside_port &&
	       name->peer_addr == s->peer_addr &&
	       name->peer_port == s->peer_port;
}

/* Packets of the two would look the same inside. */
static bool is_twin(const struct nat_carried *a, const struct nat_carried *b)
{
	return a->proto == b->proto && a->inside_addr == b->inside_addr &&
	       a->inside_port == b->inside_port &&
	       a->peer_addr == b->peer_addr && a->peer_port == b->peer_port;
}

static const char *judge_carried(const struct carry_run *run,
				 const struct nat_session_view *s,
				 const struct carry_load *load)
{
	const struct nat_config *c = run->config;

	if (!is_of(&load->name, s) || load->name.outside_addr != run->uplink)
		return "another session is carried than was handed over";
	if (s->proto != NAT_PROTO_TCP && s->proto != NAT_PROTO_UDP)
		return "a session of another protocol is carried";
	if (s->state != NAT_STATE_ESTABLISHED &&
	    s->idle_ms < carry_timer_ms(run, s->proto))
		return "a session is carried that is not established";
	if (!run->uplink || s->peer_addr == run->uplink)
		return "a hairpin is carried";
	for (size_t i = 0; i < c->exempt_count; i++)
		if (nat_prefix_has(&c->exempt[i], s->peer_addr))
			return "what is not translated is carried";
	for (size_t i = 0; i < c->inside_count; i++)
		if (nat_prefix_has(&c->inside[i], s->peer_addr))
			return "a martian is carried";
	if (!nat_prefix_has(&c->inside[0], s->inside_addr))
		return "a stranger is carried";
	for (uint32_t i = 1; i <= CARRY_SESSIONS; i++)
		if (run->loads[i].carried && &run->loads[i] != load &&
		    is_twin(&load->name, &run->loads[i].name))
			return "two are carried that the inside cannot tell";
	return NULL;
}

static const char *judge_sessions(struct carry_run *run,
				  struct nat_counters *sum)
{
	struct nat_session_view s;
	uint32_t cursor = 0, last = 0, carried = 0;

	for (; nat_next_session(run->engine.nat, &cursor, run->engine.now, &s);
	     last = cursor) {
		const struct carry_load *load = &run->loads[cursor];
		const char *wrong;

		while (++last < cursor)
			if (run->loads[last].carried)
				return "a session is carried that has ended";
		if (s.carried != load->carried)
			return "the carrier knows another set of sessions";
		carry_add(sum, &s.counters);
		carried += s.carried;
		wrong = s.carried ? judge_carried(run, &s, load) : NULL;
		if (wrong)
			return wrong;
	}
	while (++last <= CARRY_SESSIONS)
		if (run->loads[last].carried)
			return "a session is carried that has ended";
	return engine_stats(&run->engine).carried == carried ?
		       NULL :
		       "what is carried is miscounted";
}

static bool is_there(const struct carry_run *run,
		     const struct nat_carried *name)
{
	struct nat_session_view s;
	uint32_t cursor = 0;

	while (nat_next_session(run->engine.nat, &cursor, run->engine.now, &s))
		if (is_of(name, &s))
			return true;
	return false;
}

/* However a connection ends, it lives so long after a packet of it. */
static uint64_t life_ms(const struct carry_run *run, uint8_t proto)
{
	return run->config->timeout_s[proto == NAT_PROTO_UDP ?
					      NAT_TIMER_UDP :
					      NAT_TIMER_TCP_CLOSING] *
	       SECOND;
}

static const char *judge_lives(struct carry_run *run, bool may_end)
{
	for (uint32_t slot = 1; slot <= CARRY_SESSIONS; slot++) {
		struct carry_load *load = &run->loads[slot];

		load->back = false;
		if (!load->used_ms ||
		    load->used_ms + life_ms(run, load->name.proto) <=
			    run->engine.now)
			continue;
		if (is_there(run, &load->name)) {
			run->kept++;
			continue;
		}
		if (!may_end)
			return "a session ended soon after it was carried";
		load->used_ms = 0;
	}
	return NULL;
}

static bool covers(const struct nat_counters *all,
		   const struct nat_counters *part)
{
	return all->out_packets >= part->out_packets &&
	       all->out_bytes >= part->out_bytes &&
	       all->in_packets >= part->in_packets &&
	       all->in_bytes >= part->in_bytes;
}

static const char *judge_counters(struct carry_run *run,
				  const struct nat_stats *before,
				  const struct nat_counters *sessions)
{
	struct nat_stats now = engine_stats(&run->engine);
	struct nat_counters mappings = { 0 }, hosts = { 0 };
	struct nat_mapping_view m;
	struct nat_host_view h;
	uint32_t cursor = 0;

	carry_add(&run->told, &run->passed);
	if (now.outbound_packets - before->outbound_packets !=
		    run->told.out_packets ||
	    now.outbound_bytes - before->outbound_bytes !=
		    run->told.out_bytes ||
	    now.inbound_packets - before->inbound_packets !=
		    run->told.in_packets ||
	    now.inbound_bytes - before->inbound_bytes != run->told.in_bytes)
		return "use is miscounted";
	while (nat_next_mapping(run->engine.nat, &cursor, run->engine.now, &m))
		carry_add(&mappings, &m.counters);
	cursor = 0;
	while (nat_next_host(run->engine.nat, &cursor, &h))
		carry_add(&hosts, &h.counters);
	if (!covers(&mappings, sessions) || !covers(&hosts, &mappings))
		return "a part was used more than the whole";
	return NULL;
}

const char *carry_judge(struct carry_run *run, const struct nat_stats *before,
			bool may_end)
{
	struct nat_counters sessions = { 0 };
	const char *wrong = nat_check(run->engine.nat);

	wrong = wrong ? wrong : run->wrong;
	wrong = wrong ? wrong : judge_sessions(run, &sessions);
	wrong = wrong ? wrong : judge_counters(run, before, &sessions);
	return wrong ? wrong : judge_lives(run, may_end);
}
