/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Random operations on an engine with tiny tables and pools, each compared
 * with a slow model (tests/unit/model.h): verdict, addresses, both indices,
 * sessions with states and timers, ports used, held and free. Now and then the
 * engine is killed and another one goes on with its records.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/dice.h"
#include "tests/unit/engine.h"
#include "tests/unit/model.h"
#include "tests/unit/suite.h"

#define STEPS 4000
#define CONFIGS 5
#define OTHER_UPLINK 0xcb007108U

static const struct nat_limits limits = {
	.mappings = 8,
	.sessions = 16, /* one packet sweeps 32: all that has expired */
	.hosts = 3,
	.held_ports = 4,
	.fragments = 1,
	.fragment_bytes = 1,
};

static const uint16_t inside_ports[] = { 80, 601, 2000, 2001, 2002 };
static const uint16_t outside_ports[] = { 53,	80,   81,   601,  602,
					  603,	2000, 2001, 2002, 2003,
					  2004, 2005, 2006, 2100, 2101 };
static const uint16_t peer_ports[] = { 53, 7000 };
static const uint32_t peers[] = { PEER_1, PEER_2, PEER_3 };
static const uint8_t protos[] = { NAT_PROTO_UDP, NAT_PROTO_TCP,
				  NAT_PROTO_ICMP };
static const uint8_t flag_sets[] = { SYN, SYN,	     SYN,	SYN | ACK,
				     ACK, ACK | PSH, FIN | ACK, RST };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PICK(dice, array) ((array)[dice_roll(dice, COUNT(array))])

/* --- configurations ---------------------------------------------------------- */

static const struct nat_prefix only_peer_1 = { PEER_1, 32 };
static const struct nat_prefix only_host_2 = { INSIDE_2, 32 };

static const struct nat_forward many[] = {
	{ .name = "web",
	  .proto = NAT_PROTO_TCP,
	  .outside_first = 2001,
	  .outside_last = 2001,
	  .inside_addr = INSIDE_1,
	  .inside_first = 80 },
	{ .name = "game",
	  .proto = NAT_PROTO_UDP,
	  .outside_first = 2002,
	  .outside_last = 2002,
	  .inside_addr = INSIDE_2,
	  .inside_first = 2000 },
	{ .name = "alias",
	  .proto = NAT_PROTO_UDP,
	  .outside_first = 2100,
	  .outside_last = 2100,
	  .inside_addr = INSIDE_2,
	  .inside_first = 2000 },
	{ .name = "some",
	  .proto = NAT_PROTO_TCP,
	  .outside_first = 80,
	  .outside_last = 81,
	  .inside_addr = INSIDE_3,
	  .inside_first = 2000,
	  .from = &only_peer_1,
	  .from_count = 1 },
};
static const struct nat_forward few[] = {
	{ .name = "alias",
	  .proto = NAT_PROTO_UDP,
	  .outside_first = 2100,
	  .outside_last = 2101,
	  .inside_addr = INSIDE_2,
	  .inside_first = 2000,
	  .from = &only_host_2,
	  .from_count = 1 },
	{ .name = "web",
	  .proto = NAT_PROTO_TCP,
	  .outside_first = 2001,
	  .outside_last = 2001,
	  .inside_addr = INSIDE_1,
	  .inside_first = 80,
	  .from = &only_peer_1,
	  .from_count = 1 },
	{ .name = "web 2",
	  .proto = NAT_PROTO_TCP,
	  .outside_first = 2003,
	  .outside_last = 2003,
	  .inside_addr = INSIDE_1,
	  .inside_first = 80 },
};

static void all_filters(struct nat_config *config, enum nat_filter filter)
{
	for (int pool = 0; pool < NAT_POOLS; pool++)
		config->filtering[pool] = filter;
}

static void tiny(struct nat_config *config, uint16_t first, uint16_t last)
{
	static const uint32_t seconds[NAT_TIMERS] = { 5, 4, 20, 4, 3, 6 };

	engine_defaults(config);
	memcpy(config->timeout_s, seconds, sizeof(seconds));
	config->port_hold_s = 6;
	engine_pool(config, first, last);
	memset(&config->low_only, 0, sizeof(config->low_only));
	for (uint16_t port = 601; port <= 602; port++) {
		nat_portset_add(&config->low_only, port);
		for (int pool = 0; pool < NAT_POOLS; pool++)
			nat_portset_add(&config->pool[pool], port);
	}
}

static void make_configs(struct nat_config configs[CONFIGS])
{
	for (int i = 0; i < CONFIGS; i++)
		tiny(&configs[i], 2000, 2005);
	configs[0].forwards = many;
	configs[0].forward_count = COUNT(many);

	tiny(&configs[1], 2002, 2006);
	all_filters(&configs[1], NAT_FILTER_ADDRESS_AND_PORT_DEPENDENT);
	configs[1].port_hold_s = 0;
	configs[1].inbound_refresh = false;
	configs[1].parity = false;

	all_filters(&configs[2], NAT_FILTER_ENDPOINT_INDEPENDENT);
	configs[2].forwards = few;
	configs[2].forward_count = COUNT(few);
	configs[2].host_mappings = 3;
	configs[2].host_sessions = 5;
	configs[2].mapping_sessions = 2;

	configs[3].hairpin = false;
	configs[3].timeout_s[NAT_TIMER_UDP] = 2;
	configs[3].timeout_s[NAT_TIMER_TCP_ESTABLISHED] = 9;
	configs[3].exempt = &only_peer_1;
	configs[3].exempt_count = 1;

	/* Three ports for everyone. */
	tiny(&configs[4], 2000, 2002);
	configs[4].port_hold_s = 3;
}

/* --- a run ------------------------------------------------------------------ */

struct run {
	struct engine engine;
	struct model model;
	struct dice dice;
	struct nat_config configs[CONFIGS];
};

/* --- packets --------------------------------------------------------------------- */

/* A packet of a session that is there, by either side. */
static bool follow_session(struct run *run, struct model_event *event)
{
	struct model *model = &run->model;
	const struct model_session *s;
	const struct model_mapping *m;

	if (!model->session_count || dice_once_in(&run->dice, 2))
		return false;
	s = &model->sessions[dice_roll(&run->dice,
				       (uint32_t)model->session_count)];
	m = model_by_id(model, s->mapping);
	if (s->peer_addr == UPLINK || s->peer_addr == OTHER_UPLINK)
		return false; /* a hairpin's */
	event->proto = m->proto;
	event->flow = flow_of(m->inside_addr, m->inside_port, s->peer_addr,
			      s->peer_port);
	if (dice_once_in(&run->dice, 2)) {
		event->path = NAT_PATH_INBOUND;
		event->flow = flow_of(s->peer_addr, s->peer_port,
				      model->address, m->outside_port);
	}
	return true;
}

static struct model_event roll_event(struct run *run)
{
	struct dice *dice = &run->dice;
	struct model *model = &run->model;
	struct model_event event = { .path = NAT_PATH_OUTBOUND,
				     .proto = PICK(dice, protos),
				     .flags = PICK(dice, flag_sets) };
	uint32_t path = dice_roll(dice, 8);
	const struct model_mapping *m;

	if (follow_session(run, &event))
		return event;
	event.flow = flow_of(INSIDE_1 + dice_roll(dice, 4),
			     PICK(dice, inside_ports), PICK(dice, peers),
			     PICK(dice, peer_ports));
	if (path < 4)
		return event;
	event.path = path < 7 ? NAT_PATH_INBOUND : NAT_PATH_HAIRPIN_IN;
	if (event.path == NAT_PATH_INBOUND) {
		event.flow.src = PICK(dice, peers);
		event.flow.sport = PICK(dice, peer_ports);
	} else if (event.proto == NAT_PROTO_ICMP) {
		event.proto = NAT_PROTO_TCP;
	}
	event.flow.dst = dice_once_in(dice, 20) ? OTHER_UPLINK : UPLINK;
	if (model->uplink && !dice_once_in(dice, 20))
		event.flow.dst = model->uplink;
	event.flow.dport = PICK(dice, outside_ports);
	if (model->mapping_count && dice_once_in(dice, 2)) {
		m = &model->mappings[dice_roll(dice,
					       (uint32_t)model->mapping_count)];
		if (m->proto != NAT_PROTO_ICMP ||
		    event.path == NAT_PATH_INBOUND) {
			event.proto = m->proto;
			event.flow.dport = m->outside_port;
		}
	}
	return event;
}

static struct nat_result send_event(struct run *run,
				    const struct model_event *event)
{
	struct flow flow = event->flow;

	if (event->proto == NAT_PROTO_UDP)
		return engine_udp(&run->engine, event->path, flow);
	if (event->proto == NAT_PROTO_TCP)
		return engine_tcp(&run->engine, event->path, flow,
				  event->flags);
	if (event->path == NAT_PATH_INBOUND)
		flow.sport = flow.dport;
	return engine_icmp(&run->engine, event->path, flow,
			   event->path == NAT_PATH_INBOUND ? 0 : 8);
}

static int32_t chosen_port(const struct run *run,
			   const struct model_event *event)
{
	return engine_dynamic_port(&run->engine, event->proto, event->flow.src,
				   event->flow.sport);
}

static const char *second_pass(struct run *run, const struct model_event *event,
			       const struct model_verdict *verdict)
{
	const struct model_mapping *m;
	struct flow flow = verdict->flow;
	struct nat_result result =
		engine_run(&run->engine, NAT_PATH_HAIRPIN_OUT);
	uint16_t port = packet_flow(&run->engine.packet).sport;

	if (result.verdict != NAT_TRANSLATED)
		return "the second pass of a hairpin was refused";
	m = model_by_outside(&run->model, event->proto, port);
	if (!m || m->inside_addr != event->flow.src ||
	    m->inside_port != event->flow.sport ||
	    (verdict->source_port && port != verdict->source_port))
		return "a hairpin came from another mapping";
	flow = packet_flow(&run->engine.packet);
	if (!flow_is(flow, run->model.uplink, port, verdict->flow.dst,
		     verdict->flow.dport))
		return "a hairpin came from another address";
	return NULL;
}

static const char *do_packet(struct run *run)
{
	struct model_event event = roll_event(run);
	struct nat_result result = send_event(run, &event);
	struct model_verdict verdict =
		model_packet(&run->model, &event, chosen_port(run, &event));
	struct flow flow = packet_flow(&run->engine.packet);

	if (verdict.wrong)
		return verdict.wrong;
	if (result.verdict != verdict.verdict)
		return "another verdict was due";
	if (result.verdict == NAT_DROPPED &&
	    !(verdict.reasons >> result.drop & 1))
		return "another reason was due";
	if (result.verdict != NAT_TRANSLATED)
		return NULL;
	if (!flow_is(flow, verdict.flow.src, verdict.flow.sport,
		     verdict.flow.dst, verdict.flow.dport))
		return "a packet was translated to another address";
	return event.path == NAT_PATH_HAIRPIN_IN ?
		       second_pass(run, &event, &verdict) :
		       NULL;
}

/* --- operations -------------------------------------------------------------------- */

static const char *do_configure(struct run *run)
{
	const struct nat_config *config =
		&run->configs[dice_roll(&run->dice, CONFIGS)];
	uint32_t missing =
		nat_configure(run->engine.nat, config, run->engine.now);

	return missing == model_configure(&run->model, config) ?
		       NULL :
		       "another number of forwards has no room";
}

static const char *do_uplink(struct run *run)
{
	static const uint32_t choices[] = { UPLINK, UPLINK, UPLINK,
					    OTHER_UPLINK, 0 };
	uint32_t addr = PICK(&run->dice, choices);

	nat_set_uplink(run->engine.nat, addr, run->engine.now);
	return model_set_uplink(&run->model, addr, &run->engine);
}

static const char *do_bound(struct run *run)
{
	enum nat_pool pool = (enum nat_pool)dice_roll(&run->dice, NAT_POOLS);
	struct nat_portset *bound = &run->model.bound[pool];

	memset(bound, 0, sizeof(*bound));
	for (uint32_t i = dice_roll(&run->dice, 4); i > 0; i--)
		nat_portset_add(bound, PICK(&run->dice, outside_ports));
	nat_set_bound(run->engine.nat, pool, bound);
	return NULL;
}

static const char *do_expire(struct run *run)
{
	size_t before = run->model.session_count;
	uint32_t ended = engine_stats(&run->engine).sessions;
	uint32_t due = nat_expire(run->engine.nat, run->engine.now, 1000);

	ended -= engine_stats(&run->engine).sessions;
	model_sweep(&run->model);
	/* Others were due to retire. */
	return due >= ended && ended == before - run->model.session_count ?
		       NULL :
		       "another number of sessions expired";
}

/* Places in the ring that a forward has emptied are found again only between
 * others. */
static void trim_held(struct model *model)
{
	size_t first = 0;

	while (model->held_count && !model->held[model->held_count - 1].live)
		model->held_count--;
	while (first < model->held_count && !model->held[first].live)
		first++;
	model->held_count -= first;
	memmove(model->held, model->held + first,
		model->held_count * sizeof(model->held[0]));
}

/* Killed and started again: all goes on, but the secrets and what counts. */
static const char *do_restart(struct run *run)
{
	struct nat_restored restored = engine_restore(&run->engine);

	if (restored.past != NAT_PAST_KEPT)
		return "the table was not taken over";
	for (int loss = 0; loss < NAT_LOSSES; loss++)
		if (restored.lost[loss])
			return "records were lost";
	run->model.overflow = 0;
	trim_held(&run->model);
	for (int pool = 0; pool < NAT_POOLS; pool++)
		nat_set_bound(run->engine.nat, (enum nat_pool)pool,
			      &run->model.bound[pool]);
	if (nat_configure(run->engine.nat, run->model.config,
			  run->engine.now) !=
	    model_configure(&run->model, run->model.config))
		return "another number of forwards has no room";
	if (nat_set_uplink(run->engine.nat, run->model.uplink, run->engine.now))
		return "mappings ended at a restart";
	return NULL;
}

static void pass_time(struct run *run)
{
	static const uint32_t steps_ms[] = {
		1, 1, 10, 50, 100, 200, 999, 2500
	};

	/* Never none: one packet a millisecond sweeps. */
	run->engine.now += PICK(&run->dice, steps_ms);
	run->model.now = run->engine.now;
}

static const char *step(struct run *run)
{
	uint32_t what = dice_roll(&run->dice, 200);
	const char *wrong;

	pass_time(run);
	if (what < 2)
		wrong = do_configure(run);
	else if (what < 3)
		wrong = do_uplink(run);
	else if (what < 6)
		wrong = do_bound(run);
	else if (what < 12)
		wrong = do_expire(run);
	else if (what < 16)
		wrong = do_restart(run);
	else
		wrong = do_packet(run);
	return wrong ? wrong :
		       model_compare(&run->model, &run->engine, outside_ports,
				     COUNT(outside_ports));
}

static void test_seed(uint64_t seed)
{
	static struct run run;
	const char *wrong = NULL;

	memset(&run, 0, sizeof(run));
	run.dice.state = seed;
	make_configs(run.configs);
	engine_bare(&run.engine, &limits);
	run.model.limits = limits;
	run.model.now = run.engine.now;
	run.model.config = &run.configs[0];
	nat_configure(run.engine.nat, run.model.config, run.engine.now);
	model_configure(&run.model, run.model.config);
	nat_set_uplink(run.engine.nat, UPLINK, run.engine.now);
	model_set_uplink(&run.model, UPLINK, &run.engine);
	for (int i = 0; !wrong && i < STEPS; i++) {
		wrong = step(&run);
		if (wrong)
			printf("seed %u, step %d: %s\n", (unsigned)seed, i,
			       wrong);
	}
	CU_ASSERT_PTR_NULL(wrong);
	if (wrong)
		suite_hex("last packet", run.engine.packet.data,
			  run.engine.packet.length);
	engine_free(&run.engine);
}

static void test_seeds_1_to_5(void)
{
	for (uint64_t seed = 1; seed <= 5; seed++)
		test_seed(seed);
}

static void test_seeds_large(void)
{
	for (uint64_t seed = 1; seed <= 3; seed++)
		test_seed(seed * 1000003);
}

static const struct test tests[] = {
	{ "the engine does what the model says, seeds 1 to 5",
	  test_seeds_1_to_5 },
	{ "the engine does what the model says, large seeds",
	  test_seeds_large },
};

int main(int argc, char **argv)
{
	return suite_run("tables", tests, COUNT(tests), argc, argv);
}
