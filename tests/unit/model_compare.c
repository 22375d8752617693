/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Is the engine's state what the model says?
 */
#include "model.h"
#include "nat/internal.h"

static const char *compare_mapping(const struct model *model,
				   const struct engine *engine,
				   const struct nat_mapping_view *view)
{
	const struct nat *nat = engine->nat;
	const struct model_mapping *m =
		model_by_outside(model, view->proto, view->outside_port);
	uint32_t outside, inside;

	if (!m || m->inside_addr != view->inside_addr ||
	    m->inside_port != view->inside_port ||
	    m->forward != (view->kind == NAT_KIND_FORWARD))
		return "the engine has a mapping that should not be";
	if (view->sessions != model_sessions_of(model, m->id))
		return "a mapping has another number of sessions";
	if (view->outside_addr != model->uplink)
		return "a mapping shows another address than the uplink's";
	if (m->forward && view->name != model->config->forwards[m->rule].name)
		return "a forward has another name";
	outside = nat_find_outside(nat, nat_socket(view->proto, model->address,
						   view->outside_port));
	inside = nat_find_inside(nat, nat_socket(view->proto, view->inside_addr,
						 view->inside_port));
	if (!outside || nat->mappings[outside].inside.port != m->inside_port ||
	    nat->mappings[outside].inside.addr != m->inside_addr)
		return "a mapping is not found from outside";
	m = model_by_inside(model, view->proto, view->inside_addr,
			    view->inside_port);
	if (!inside || nat->mappings[inside].port != m->outside_port)
		return "not the first mapping is found from inside";
	return NULL;
}

static const char *compare_session(const struct model *model,
				   const struct nat_session_view *view)
{
	const struct model_mapping *m =
		model_by_outside(model, view->proto, view->outside_port);
	size_t i = m ? model_find_session(model, m->id, view->peer_addr,
					  view->peer_port) :
		       MODEL_NONE;
	const struct model_session *s;
	enum nat_state state;
	uint64_t end;

	if (i == MODEL_NONE)
		return "the engine has a session that should not be";
	s = &model->sessions[i];
	end = s->used + model_timer_ms(model, s->timer);
	state = s->state;
	if (s->timer == NAT_TIMER_TCP_ESTABLISHED) {
		if (end <= model->now)
			state = NAT_STATE_TRANS;
		end += model_timer_ms(model, NAT_TIMER_TCP_CLOSING);
	}
	if (view->state != state)
		return "a session is in another state";
	if (view->expires_ms != (end > model->now ? end - model->now : 0))
		return "a session ends at another time";
	return NULL;
}

static const char *compare_tables(const struct model *model,
				  const struct engine *engine)
{
	struct nat_mapping_view mapping;
	struct nat_session_view session;
	const char *wrong = NULL;
	uint32_t cursor = 0, count = 0;

	while (!wrong &&
	       nat_next_mapping(engine->nat, &cursor, engine->now, &mapping)) {
		wrong = compare_mapping(model, engine, &mapping);
		count++;
	}
	if (!wrong && count != model->mapping_count)
		return "the engine lacks a mapping, or shows one twice";
	cursor = count = 0;
	while (!wrong &&
	       nat_next_session(engine->nat, &cursor, engine->now, &session)) {
		wrong = compare_session(model, &session);
		count++;
	}
	if (!wrong && count != model->session_count)
		return "the engine lacks a session, or shows one twice";
	return wrong;
}

static const char *compare_hosts(const struct model *model,
				 const struct engine *engine)
{
	struct nat_host_view view;
	uint32_t cursor = 0, mappings = 0;

	while (nat_next_host(engine->nat, &cursor, &view)) {
		if (view.mappings != model_host_mappings(model, view.addr) ||
		    view.sessions != model_host_sessions(model, view.addr))
			return "a host's counts are wrong";
		mappings += view.mappings;
	}
	return mappings == model->mapping_count ?
		       NULL :
		       "a host with mappings is not shown";
}

/* free + used + held is all there is, and what rests is what should. */
static const char *compare_ports(const struct model *model,
				 const struct engine *engine,
				 const uint16_t *ports, size_t count)
{
	struct nat_stats stats = engine_stats(engine);

	if (stats.held_overflow != model->overflow)
		return "ports freed early are miscounted";
	for (int i = 0; i < NAT_POOLS; i++) {
		enum nat_pool pool = (enum nat_pool)i;
		uint32_t free = 0, used = 0, held = 0;

		for (size_t j = 0; j < count; j++) {
			uint16_t port = ports[j];

			free += model_is_free(model, pool, port, 1);
			held += model_is_held(model, pool, port);
			if (nat_held(engine->nat, pool, port) !=
			    model_is_held(model, pool, port))
				return "a port rests that should not, or the "
				       "other way round";
		}
		for (size_t j = 0; j < model->mapping_count; j++)
			used += !model->mappings[j].forward &&
				model_pool(model->mappings[j].proto) == pool;
		if (stats.ports[i].used != used ||
		    stats.ports[i].held != held ||
		    stats.ports[i].total != free + used + held)
			return "free, used and held ports do not add up";
	}
	return NULL;
}

const char *model_compare(const struct model *model,
			  const struct engine *engine, const uint16_t *ports,
			  size_t count)
{
	const char *wrong = nat_check(engine->nat);

	if (!wrong)
		wrong = compare_tables(model, engine);
	if (!wrong)
		wrong = compare_hosts(model, engine);
	return wrong ? wrong : compare_ports(model, engine, ports, count);
}
