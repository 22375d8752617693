/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Random operations on an engine with tiny tables whose sessions are carried by
 * somebody who refuses now and then, and uses what he has. After each of them
 * both know the same of every session, and no use is lost or counted twice.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/carry_run.h"
#include "tests/unit/suite.h"

#define STEPS 6000
#define CONFIGS 6
#define SESSIONS CARRY_SESSIONS
#define OTHER_UPLINK 0xcb007108U
#define FAR 900000000U /* from every window */

static const struct nat_limits limits = {
	.mappings = 10,
	.sessions = SESSIONS,
	.hosts = 3,
	.held_ports = 4,
	.fragments = 1,
	.fragment_bytes = 1,
};

static const uint16_t inside_ports[] = { 80, 2000, 2001, 2002 };
static const uint16_t outside_ports[] = { 80, 2000, 2001, 2002, 2003, 2100 };
static const uint16_t peer_ports[] = { 53, 7000 };
static const uint32_t peers[] = { PEER_1, PEER_1, PEER_2, PEER_3,
				  OTHER_UPLINK };
static const uint8_t protos[] = { NAT_PROTO_UDP, NAT_PROTO_TCP, NAT_PROTO_TCP,
				  NAT_PROTO_ICMP };
static const uint8_t flag_sets[] = { SYN,	SYN | ACK, ACK,	      ACK | PSH,
				     FIN | ACK, RST,	   RST | ACK, 0x3f };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PICK(dice, array) ((array)[dice_roll(dice, COUNT(array))])

/* --- configurations ---------------------------------------------------------- */

static const struct nat_prefix only_peer_1 = { PEER_1, 32 };
static const struct nat_prefix only_host_2 = { INSIDE_2, 32 };
static const struct nat_prefix with_peer_2[] = { { 0xc0a80100U, 24 },
						 { PEER_2, 32 } };

static const struct nat_forward many[] = {
	{ "web", NAT_PROTO_TCP, 2001, 2001, INSIDE_1, 80, NULL, 0 },
	{ "web 2", NAT_PROTO_TCP, 2100, 2100, INSIDE_1, 80, NULL, 0 },
	{ "game", NAT_PROTO_UDP, 2002, 2002, INSIDE_2, 2000, NULL, 0 },
	{ "alias", NAT_PROTO_UDP, 2100, 2100, INSIDE_2, 2000, NULL, 0 },
};
static const struct nat_forward few[] = {
	{ "alias", NAT_PROTO_UDP, 2100, 2101, INSIDE_2, 2000, NULL, 0 },
	{ "web", NAT_PROTO_TCP, 2100, 2100, INSIDE_1, 80, &only_peer_1, 1 },
};

static struct nat_config configs[CONFIGS];

static void tiny(struct nat_config *config)
{
	static const uint32_t seconds[NAT_TIMERS] = { 5, 4, 20, 4, 3, 6 };

	engine_defaults(config);
	memcpy(config->timeout_s, seconds, sizeof(seconds));
	config->port_hold_s = 3;
	engine_pool(config, 2000, 2006);
	memset(&config->low_only, 0, sizeof(config->low_only));
	for (int pool = 0; pool < NAT_POOLS; pool++)
		config->filtering[pool] = NAT_FILTER_ENDPOINT_INDEPENDENT;
}

static void make_configs(void)
{
	for (int i = 0; i < CONFIGS; i++)
		tiny(&configs[i]);
	configs[0].forwards = configs[1].forwards = many;
	configs[0].forward_count = configs[1].forward_count = COUNT(many);

	configs[1].inbound_refresh = false;
	configs[1].timeout_s[NAT_TIMER_UDP] = 1;

	configs[2].forwards = few;
	configs[2].forward_count = COUNT(few);
	configs[2].exempt = &only_peer_1;
	configs[2].exempt_count = 1;
	configs[2].mapping_sessions = 3;

	/* All of an established session's life is spent in TRANS. */
	configs[3].timeout_s[NAT_TIMER_TCP_ESTABLISHED] = 2;
	engine_pool(&configs[3], 2002, 2006);

	configs[4].inside = &only_host_2;
	configs[4].idle_probe = false;

	configs[5].inside = with_peer_2;
	configs[5].inside_count = COUNT(with_peer_2);
	configs[5].timeout_s[NAT_TIMER_TCP_ESTABLISHED] = 5;
}

/* --- packets ------------------------------------------------------------------ */

static bool pick_session(struct carry_run *run, struct nat_session_view *view)
{
	uint32_t cursor = dice_roll(&run->dice, SESSIONS), from = cursor;

	if (nat_next_session(run->engine.nat, &cursor, run->engine.now, view))
		return true;
	cursor = 0;
	return from && nat_next_session(run->engine.nat, &cursor,
					run->engine.now, view);
}

static void send(struct carry_run *run, enum nat_path path, uint8_t proto,
		 struct flow flow, uint8_t flags)
{
	struct engine *engine = &run->engine;
	struct nat_result result;
	bool inbound = path == NAT_PATH_INBOUND;

	if (proto == NAT_PROTO_TCP)
		packet_tcp(&engine->packet, flow,
			   (struct segment){
				   .flags = flags,
				   .seq = dice_once_in(&run->dice, 3) ? FAR :
									1000,
				   .ack = flags & ACK ? 1000 : 0,
				   .window = 500 });
	else if (proto == NAT_PROTO_UDP)
		packet_udp(&engine->packet, flow, NULL, 11);
	else
		packet_icmp(&engine->packet,
			    flow_of(flow.src, inbound ? flow.dport : flow.sport,
				    flow.dst, 0),
			    inbound ? 0 : 8, 13);
	result = engine_run(engine, path);
	if (result.verdict == NAT_TRANSLATED && path == NAT_PATH_OUTBOUND)
		carry_add(&run->passed,
			  &(struct nat_counters){ 1, engine->packet.length, 0,
						  0 });
	if (result.verdict == NAT_TRANSLATED && inbound)
		carry_add(&run->passed,
			  &(struct nat_counters){ 0, 0, 1,
						  engine->packet.length });
}

static uint8_t roll_flags(struct carry_run *run)
{
	return dice_once_in(&run->dice, 3) ? PICK(&run->dice, flag_sets) : ACK;
}

static void follow_session(struct carry_run *run,
			   const struct nat_session_view *s)
{
	struct flow out = flow_of(s->inside_addr, s->inside_port, s->peer_addr,
				  s->peer_port);
	bool outbound = dice_once_in(&run->dice, 2);
	uint8_t flags = roll_flags(run);

	if (s->state == NAT_STATE_INIT && !dice_once_in(&run->dice, 3))
		flags = SYN | ACK;
	if (s->peer_addr == run->uplink)
		send(run, NAT_PATH_HAIRPIN_IN, s->proto, out, flags);
	else if (outbound)
		send(run, NAT_PATH_OUTBOUND, s->proto, out, flags);
	else
		send(run, NAT_PATH_INBOUND, s->proto,
		     flow_of(s->peer_addr, s->peer_port, run->uplink,
			     s->outside_port),
		     flags);
}

static void do_packet(struct carry_run *run)
{
	struct dice *dice = &run->dice;
	struct nat_session_view view;
	struct flow flow;
	uint8_t proto = PICK(dice, protos);
	uint8_t flags = dice_once_in(dice, 2) ? SYN : PICK(dice, flag_sets);

	/* One by one: arguments have no order. */
	flow.src = INSIDE_1 + dice_roll(dice, 3);
	flow.sport = PICK(dice, inside_ports);
	flow.dst = PICK(dice, peers);
	flow.dport = PICK(dice, peer_ports);
	if (!dice_once_in(dice, 5) && pick_session(run, &view)) {
		follow_session(run, &view);
		return;
	}
	if (dice_once_in(dice, 2)) {
		send(run, NAT_PATH_OUTBOUND, proto, flow, flags);
		return;
	}
	if (dice_once_in(dice, 3)) {
		flow.dst = run->uplink;
		flow.dport = PICK(dice, outside_ports);
		send(run, NAT_PATH_HAIRPIN_IN, proto, flow, flags);
		return;
	}
	send(run, NAT_PATH_INBOUND, proto,
	     flow_of(flow.dst, flow.dport, run->uplink,
		     PICK(dice, outside_ports)),
	     flags);
}

/* --- other operations -------------------------------------------------------------- */

/* The carrier carries. */
static void do_use(struct carry_run *run)
{
	struct carry_load *load =
		&run->loads[1 + dice_roll(&run->dice, SESSIONS)];

	if (load->carried)
		carry_use(run, load);
}

/* ... and tells. */
static void do_tell(struct carry_run *run)
{
	uint32_t slot = dice_roll(&run->dice, SESSIONS + 2);
	bool used = slot && slot <= SESSIONS && run->loads[slot].carried &&
		    (run->loads[slot].use.out_packets ||
		     run->loads[slot].use.in_packets);

	if (nat_carried_used(run->engine.nat, slot, run->engine.now) != used)
		run->wrong = "the engine was told something else";
}

static void do_expire(struct carry_run *run)
{
	nat_expire(run->engine.nat, run->engine.now, 1000);
	for (uint32_t slot = 1; slot <= SESSIONS; slot++) {
		const struct carry_load *load = &run->loads[slot];

		if (load->back && !load->late &&
		    load->used_ms + carry_timer_ms(run, load->name.proto) >
			    run->engine.now)
			run->wrong = "taken back as idle before its time";
	}
}

/* Uses are of the time that the engine heard of last: here, of now. */
static void set_carrier(struct carry_run *run)
{
	struct nat_carrier face = carry_face;

	face.context = run;
	nat_expire(run->engine.nat, run->engine.now, 1000);
	nat_set_carrier(run->engine.nat,
			dice_once_in(&run->dice, 4) ? NULL : &face);
}

static void do_configure(struct carry_run *run)
{
	struct nat_config *config = &configs[dice_roll(&run->dice, CONFIGS)];

	/* Rarely none at all. */
	config->carry_after =
		dice_roll(&run->dice, 8) ? 1 + dice_roll(&run->dice, 5) : 0;
	nat_configure(run->engine.nat, config, run->engine.now);
	run->config = config;
}

/* What moves may have other ports, and ends in its own way. */
static void do_uplink(struct carry_run *run)
{
	static const uint32_t choices[] = { UPLINK, UPLINK, OTHER_UPLINK, 0 };
	uint32_t known = nat_known_uplink(run->engine.nat);

	run->uplink = PICK(&run->dice, choices);
	nat_set_uplink(run->engine.nat, run->uplink, run->engine.now);
	if (nat_known_uplink(run->engine.nat) == known)
		return;
	for (uint32_t slot = 1; slot <= SESSIONS; slot++)
		run->loads[slot].used_ms = 0;
}

/* Killed: what had not been told is lost, and nobody carries. */
static void do_restart(struct carry_run *run)
{
	struct nat_restored restored;

	if (dice_once_in(&run->dice, 4))
		nat_leave(run->engine.nat);
	restored = engine_restore(&run->engine);
	if (restored.past != NAT_PAST_KEPT)
		run->wrong = "the table was not taken over";
	for (int loss = 0; loss < NAT_LOSSES; loss++)
		if (restored.lost[loss])
			run->wrong = "records were lost";
	memset(run->loads, 0, sizeof(run->loads));
	run->told = (struct nat_counters){ 0 };
	nat_configure(run->engine.nat, run->config, run->engine.now);
	nat_set_uplink(run->engine.nat, run->uplink, run->engine.now);
	set_carrier(run);
}

static void pass_time(struct carry_run *run)
{
	static const uint32_t steps_ms[] = {
		0, 0, 1, 1, 10, 50, 100, 200, 999
	};

	run->engine.now += PICK(&run->dice, steps_ms);
	if (dice_once_in(&run->dice, 60))
		run->engine.now += dice_roll(&run->dice, 25000);
}

/* --- steps -------------------------------------------------------------------------- */

/* True: sessions may end though they are in use. */
static bool act(struct carry_run *run, struct nat_stats *before)
{
	uint32_t what = dice_roll(&run->dice, 200);

	if (what < 3) {
		do_configure(run);
	} else if (what < 6) {
		do_uplink(run);
	} else if (what < 8) {
		nat_flush_host(run->engine.nat,
			       INSIDE_1 + dice_roll(&run->dice, 3),
			       run->engine.now);
	} else if (what < 9) {
		do_restart(run);
		*before = (struct nat_stats){ 0 };
	} else {
		if (what < 12)
			set_carrier(run);
		else if (what < 25)
			do_expire(run);
		else if (what < 45)
			do_tell(run);
		else if (what < 70)
			do_use(run);
		else
			do_packet(run);
		return false;
	}
	return true;
}

static const char *step(struct carry_run *run)
{
	struct nat_stats before = engine_stats(&run->engine);
	bool may_end;

	pass_time(run);
	run->told = run->passed = (struct nat_counters){ 0 };
	may_end = act(run, &before);
	return carry_judge(run, &before, may_end);
}

static void test_seed(uint64_t seed)
{
	static struct carry_run run;
	struct nat_carrier face = carry_face;
	const char *wrong = NULL;

	memset(&run, 0, sizeof(run));
	face.context = &run;
	run.dice.state = seed;
	run.uplink = UPLINK;
	make_configs();
	run.config = &configs[0];
	configs[0].carry_after = 2;
	engine_bare(&run.engine, &limits);
	nat_configure(run.engine.nat, run.config, run.engine.now);
	nat_set_uplink(run.engine.nat, UPLINK, run.engine.now);
	nat_set_carrier(run.engine.nat, &face);
	for (int i = 0; !wrong && i < STEPS; i++) {
		wrong = step(&run);
		if (wrong)
			printf("seed %u, step %d: %s\n", (unsigned)seed, i,
			       wrong);
	}
	CU_ASSERT_PTR_NULL(wrong);
	/* All of it was met. */
	CU_ASSERT_TRUE(wrong || (run.offers > run.taken && run.taken > 50 &&
				 run.backs > 50 && run.kept > 100));
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
	{ "engine and carrier know the same, seeds 1 to 5", test_seeds_1_to_5 },
	{ "engine and carrier know the same, large seeds", test_seeds_large },
};

int main(int argc, char **argv)
{
	return suite_run("carry", tests, COUNT(tests), argc, argv);
}
