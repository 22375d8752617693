/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model.h"

#include <string.h>

#define NONE MODEL_NONE

/* --- ports that rest -------------------------------------------------------- */

static void drop_oldest_held(struct model *model)
{
	model->held_count--;
	memmove(model->held, model->held + 1,
		model->held_count * sizeof(model->held[0]));
}

static void hold(struct model *model, const struct nat_portset *allowed,
		 enum nat_pool pool, uint16_t port)
{
	if (!model->config->port_hold_s || !nat_portset_has(allowed, port))
		return;
	if (model->held_count == model->limits.held_ports) {
		model->overflow += model->held[0].live;
		drop_oldest_held(model);
	}
	model->held[model->held_count++] =
		(struct model_held){ pool, port, model->now, true };
}

/* The port of a mapping that has ended. */
static void rest(struct model *model, const struct nat_config *config,
		 const struct model_mapping *gone)
{
	enum nat_pool pool = model_pool(gone->proto);

	if (gone->proto != NAT_PROTO_TCP && gone->used)
		hold(model, &config->pool[pool], pool, gone->outside_port);
}

/* --- making and ending -------------------------------------------------------- */

uint32_t model_add_mapping(struct model *model, struct model_mapping mapping)
{
	const struct model_mapping *first = model_by_inside(
		model, mapping.proto, mapping.inside_addr, mapping.inside_port);
	size_t at = first ? (size_t)(first - model->mappings) + 1 :
			    model->mapping_count;

	mapping.id = ++model->last_id;
	memmove(model->mappings + at + 1, model->mappings + at,
		(model->mapping_count - at) * sizeof(mapping));
	model->mappings[at] = mapping;
	model->mapping_count++;
	return mapping.id;
}

static void remove_session(struct model *model, size_t i)
{
	model->session_count--;
	memmove(model->sessions + i, model->sessions + i + 1,
		(model->session_count - i) * sizeof(model->sessions[0]));
}

static void remove_sessions_of(struct model *model, uint32_t mapping)
{
	for (size_t i = model->session_count; i-- > 0;)
		if (model->sessions[i].mapping == mapping)
			remove_session(model, i);
}

static void end_mapping(struct model *model, size_t i)
{
	remove_sessions_of(model, model->mappings[i].id);
	model->mapping_count--;
	memmove(model->mappings + i, model->mappings + i + 1,
		(model->mapping_count - i) * sizeof(model->mappings[0]));
}

void model_touch(struct model *model, struct model_session *session,
		 enum nat_timer timer, uint64_t now)
{
	if (session->timer == timer && session->used == now)
		return;
	session->timer = timer;
	session->used = now;
	session->moved = ++model->moves;
}

size_t model_add_session(struct model *model, const struct model_mapping *m,
			 uint32_t addr, uint16_t port, bool server)
{
	static const enum nat_timer timers[NAT_POOLS] = {
		[NAT_POOL_UDP] = NAT_TIMER_UDP,
		[NAT_POOL_TCP] = NAT_TIMER_TCP_OPENING,
		[NAT_POOL_ICMP] = NAT_TIMER_ICMP,
	};
	struct model_session session = {
		.mapping = m->id,
		.peer_addr = addr,
		.peer_port = port,
		.timer = timers[model_pool(m->proto)],
		.used = model->now,
		.moved = ++model->moves,
		.server = server,
	};

	model->sessions[model->session_count] = session;
	return model->session_count++;
}

/* --- time ------------------------------------------------------------------------ */

uint64_t model_timer_ms(const struct model *model, enum nat_timer timer)
{
	const uint32_t *seconds = model->config->timeout_s;
	uint64_t ms;

	if (timer == MODEL_CUT)
		return 10000;
	ms = seconds[timer] * (uint64_t)1000;
	if (timer == NAT_TIMER_TCP_ESTABLISHED)
		ms -= seconds[NAT_TIMER_TCP_CLOSING] * (uint64_t)1000;
	return ms;
}

static size_t oldest(const struct model *model, enum nat_timer timer)
{
	size_t found = NONE;

	for (size_t i = 0; i < model->session_count; i++) {
		const struct model_session *s = &model->sessions[i];

		if (s->timer != timer)
			continue;
		if (found == NONE || s->used < model->sessions[found].used ||
		    (s->used == model->sessions[found].used &&
		     s->moved < model->sessions[found].moved))
			found = i;
	}
	return found;
}

void model_end_session(struct model *model, size_t i)
{
	uint32_t id = model->sessions[i].mapping;
	const struct model_mapping *m = model_by_id(model, id);
	struct model_mapping gone = *m;

	remove_session(model, i);
	if (gone.forward || model_sessions_of(model, id))
		return;
	end_mapping(model, (size_t)(m - model->mappings));
	rest(model, model->config, &gone);
}

void model_sweep(struct model *model)
{
	uint64_t rest = model->config->port_hold_s * (uint64_t)1000;

	for (int timer = 0; timer <= MODEL_CUT; timer++) {
		uint64_t life = model_timer_ms(model, (enum nat_timer)timer);
		size_t i;

		while ((i = oldest(model, (enum nat_timer)timer)) != NONE &&
		       model->sessions[i].used + life <= model->now) {
			struct model_session *s = &model->sessions[i];

			if (timer != NAT_TIMER_TCP_ESTABLISHED) {
				model_end_session(model, i);
				continue;
			}
			s->state = NAT_STATE_TRANS;
			model_touch(model, s, NAT_TIMER_TCP_CLOSING,
				    s->used + life);
		}
	}
	while (model->held_count && model->held[0].since + rest <= model->now)
		drop_oldest_held(model);
}

/* --- configuration -------------------------------------------------------------------- */

static bool named(const struct nat_config *config, struct model_mapping *m)
{
	for (size_t i = 0; i < config->forward_count; i++) {
		const struct nat_forward *f = &config->forwards[i];

		if (f->proto == m->proto && f->inside_addr == m->inside_addr &&
		    m->outside_port >= f->outside_first &&
		    m->outside_port <= f->outside_last &&
		    m->outside_port - f->outside_first ==
			    m->inside_port - f->inside_first) {
			m->rule = i;
			return true;
		}
	}
	return false;
}

static bool add_forward(struct model *model, size_t rule, uint16_t port)
{
	const struct nat_forward *f = &model->config->forwards[rule];
	const struct model_mapping *old =
		model_by_outside(model, f->proto, port);

	if (old && old->forward)
		return true;
	if (model->mapping_count - (old ? 1 : 0) >= model->limits.mappings)
		return false;
	/* Its host's place is free when this was its last mapping. */
	if (model_host_table_full(model, f->inside_addr) &&
	    !(old && model_host_mappings(model, old->inside_addr) == 1))
		return false;
	if (old)
		end_mapping(model, (size_t)(old - model->mappings));
	for (size_t i = 0; i < model->held_count; i++)
		if (model->held[i].pool == model_pool(f->proto) &&
		    model->held[i].port == port)
			model->held[i].live = false;
	model_add_mapping(model,
			  (struct model_mapping){
				  .proto = f->proto,
				  .inside_addr = f->inside_addr,
				  .inside_port =
					  (uint16_t)(f->inside_first + port -
						     f->outside_first),
				  .outside_port = port,
				  .forward = true,
				  .rule = rule });
	return true;
}

uint32_t model_configure(struct model *model, const struct nat_config *config)
{
	uint32_t missing = 0;

	for (size_t i = model->mapping_count; i-- > 0;) {
		struct model_mapping *m = &model->mappings[i];
		struct model_mapping gone = *m;

		if (m->forward ?
			    named(config, m) :
			    nat_portset_has(&config->pool[model_pool(m->proto)],
					    m->outside_port))
			continue;
		end_mapping(model, i);
		rest(model, config, &gone);
	}
	model->config = config;
	for (size_t i = 0; i < config->forward_count; i++)
		for (uint32_t port = config->forwards[i].outside_first;
		     port <= config->forwards[i].outside_last; port++)
			missing += !add_forward(model, i, (uint16_t)port);
	return missing;
}

/* --- the uplink ------------------------------------------------------------------------- */

/* Another inside host, by its old address, has moved along. */
static void follow(struct model *model, size_t i, uint32_t addr)
{
	struct model_session *s = &model->sessions[i];

	if (s->peer_addr != model->address)
		return;
	if (model_find_session(model, s->mapping, addr, s->peer_port) != NONE)
		remove_session(model, i);
	else
		s->peer_addr = addr;
}

static void move_sessions(struct model *model, const struct model_mapping *m,
			  uint32_t addr)
{
	for (size_t i = model->session_count; i-- > 0;) {
		struct model_session *s = &model->sessions[i];

		if (s->mapping != m->id)
			continue;
		if (m->proto != NAT_PROTO_TCP)
			follow(model, i, addr);
		else if ((s->state != NAT_STATE_INIT || s->server) &&
			 s->timer != MODEL_CUT) {
			s->state = NAT_STATE_TRANS;
			s->reopened = false;
			model_touch(model, s, MODEL_CUT, model->now);
		}
	}
}

/* Can it not go on by its port? */
static bool needs_port(const struct model *model, const struct model_mapping *m)
{
	enum nat_pool pool = model_pool(m->proto);

	return !m->forward &&
	       (nat_portset_has(&model->bound[pool], m->outside_port) ||
		!nat_portset_has(&model->config->pool[pool], m->outside_port));
}

static bool any_free(const struct model *model, enum nat_pool pool,
		     uint16_t wanted)
{
	for (uint32_t port = 0; port < NAT_PORTS; port++)
		if (model_is_free(model, pool, (uint16_t)port, wanted))
			return true;
	return false;
}

/* The port that the engine gave it instead: any that may be handed out. That
 * no two have the same is compared later. */
static const char *choose(struct model *model, size_t i,
			  const struct engine *engine)
{
	struct model_mapping *m = &model->mappings[i];
	enum nat_pool pool = model_pool(m->proto);
	uint16_t wanted = m->inside_port;
	int32_t port = engine_dynamic_port(engine, m->proto, m->inside_addr,
					   m->inside_port);

	if (port < 0) {
		end_mapping(model, i);
		return any_free(model, pool, wanted) ?
			       "a mapping ended with ports left" :
			       NULL;
	}
	m->outside_port = (uint16_t)port;
	return needs_port(model, m) ||
			       (wanted >= 1024 &&
				nat_portset_has(&model->config->low_only,
						m->outside_port)) ?
		       "a mapping moved to a port that it may not have" :
		       NULL;
}

/* Those that find a port first, so that what is left is known. */
static const char *choose_ports(struct model *model,
				const struct engine *engine)
{
	const char *wrong = NULL;

	for (int ended = 0; ended < 2; ended++)
		for (size_t i = model->mapping_count; !wrong && i-- > 0;) {
			struct model_mapping *m = &model->mappings[i];

			if (needs_port(model, m) &&
			    (engine_dynamic_port(engine, m->proto,
						 m->inside_addr,
						 m->inside_port) < 0) == ended)
				wrong = choose(model, i, engine);
		}
	return wrong;
}

const char *model_set_uplink(struct model *model, uint32_t addr,
			     const struct engine *engine)
{
	model->uplink = addr;
	if (!addr || addr == model->address)
		return NULL;
	for (size_t i = 0; i < model->mapping_count; i++)
		move_sessions(model, &model->mappings[i], addr);
	model->address = addr;
	return choose_ports(model, engine);
}
