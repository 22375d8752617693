/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "restore_judge.h"

#include "nat/internal.h"
#include "restore_lab.h"

#define STRANGER (INSIDE_1 + 40)

struct socket {
	uint32_t addr;
	uint16_t port;
};

static bool owns(const struct nat_mapping_view *m, struct socket inside)
{
	return m->inside_addr == inside.addr && m->inside_port == inside.port;
}

/* A mapping of this outside port; with `inside`: one of it; with `others`: one
 * of anybody else. */
static bool has_port(const struct snapshot *s, uint8_t proto, uint16_t port,
		     struct socket inside, bool others)
{
	for (uint32_t i = 0; i < s->mapping_count; i++)
		if (s->mappings[i].proto == proto &&
		    s->mappings[i].outside_port == port &&
		    owns(&s->mappings[i], inside) != others)
			return true;
	return false;
}

/* A mapping of this inside socket that goes on? */
static bool has_inside(const struct snapshot *s, uint8_t proto,
		       struct socket inside)
{
	for (uint32_t i = 0; i < s->mapping_count; i++)
		if (s->mappings[i].proto == proto &&
		    s->mappings[i].expires_ms && owns(&s->mappings[i], inside))
			return true;
	return false;
}

static const char *judge_inbound(struct engine *engine,
				 const struct snapshot *owners,
				 const struct nat_session_view *s)
{
	struct flow came;

	if (engine_answer(engine, s->proto, s->peer_addr, s->peer_port,
			  s->outside_port)
		    .verdict != NAT_TRANSLATED)
		return NULL;
	came = packet_flow(&engine->packet);
	return has_port(owners, s->proto, s->outside_port,
			(struct socket){ came.dst, came.dport }, false) ?
		       NULL :
		       "a packet came to another socket";
}

static const char *judge_outbound(struct engine *engine,
				  const struct snapshot *now,
				  const struct snapshot *owners,
				  const struct nat_session_view *s)
{
	struct socket inside = { s->inside_addr, s->inside_port };
	uint16_t port = engine_open(engine, s->proto,
				    flow_of(s->inside_addr, s->inside_port,
					    s->peer_addr, s->peer_port));

	if (has_inside(now, s->proto, inside)) {
		if (!port)
			return "an owner's packet was refused";
		if (!has_port(now, s->proto, port, inside, false))
			return "an owner's packet left by another port";
	}
	if (port && !has_port(owners, s->proto, port, inside, false) &&
	    has_port(owners, s->proto, port, inside, true))
		return "an owner's packet left by another's port";
	return NULL;
}

/* While all are there: a peer's only tunnel gets what nobody claims. */
static const char *judge_tunnels(struct engine *engine,
				 const struct snapshot *owners)
{
	uint32_t tunnels = 0;

	for (uint32_t i = 0; i < owners->session_count; i++)
		tunnels += owners->sessions[i].proto == NAT_PROTO_GRE;
	if (!tunnels || engine_stats(engine).tagged != tunnels)
		return NULL;
	for (uint32_t key = 11; key <= 12; key++)
		if (gre(engine, NAT_PATH_INBOUND, PEER_2, UPLINK, key)
				    .verdict == NAT_TRANSLATED &&
		    packet_flow(&engine->packet).dst != INSIDE_1 + key - 11)
			return "a tunnel came to another host";
	return NULL;
}

static const char *judge_stranger(struct engine *engine,
				  const struct snapshot *before,
				  const struct nat *later)
{
	for (uint32_t i = 0; i < before->mapping_count; i++) {
		const struct nat_mapping_view *m = &before->mappings[i];
		int pool = nat_pool_of(m->proto);
		uint16_t port;

		if (pool < 0)
			continue;
		port = open_from(engine, m->proto, STRANGER, m->outside_port);
		if (port &&
		    (!later || nat_ports_taken(&later->ports[pool], port)) &&
		    has_port(before, m->proto, port,
			     (struct socket){ STRANGER, m->outside_port },
			     true))
			return "a stranger got an owner's port";
	}
	return NULL;
}

const char *restore_judge(struct engine *engine, const struct snapshot *owners,
			  const struct snapshot *before,
			  const struct nat *later)
{
	const char *wrong = NULL;
	struct snapshot now;

	snapshot_take(&now, engine);
	for (uint32_t i = 0; i < owners->session_count && !wrong; i++)
		if (owners->sessions[i].proto != NAT_PROTO_GRE)
			wrong = judge_inbound(engine, owners,
					      &owners->sessions[i]);
	if (!wrong)
		wrong = judge_tunnels(engine, owners);
	/* Before an owner can take its port again. */
	if (!wrong)
		wrong = judge_stranger(engine, before, later);
	for (uint32_t i = 0; i < owners->session_count && !wrong; i++)
		if (owners->sessions[i].proto != NAT_PROTO_GRE &&
		    owners->sessions[i].peer_addr != engine->nat->uplink)
			wrong = judge_outbound(engine, &now, owners,
					       &owners->sessions[i]);
	return wrong;
}
