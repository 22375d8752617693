/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Guaranteed shares against a slow model that counts everything anew: greedy
 * hosts, modest ones and ones that appear late, in any order. Whoever has less
 * than its share gets more, always; whoever has it is refused exactly when the
 * model says that the rest is kept for others.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/dice.h"
#include "tests/unit/engine.h"
#include "tests/unit/suite.h"

#define STEPS 6000
#define HOSTS 8U /* engine_limits.hosts */
#define SOCKETS 64U /* of one host and protocol */
#define PEERS 4U
#define POOL 64U
#define KEPT 8U /* the part of all that is kept for others at most */
#define POOL_FIRST 5000U

enum { UDP, TCP, PROTOS };

static const uint8_t numbers[PROTOS] = { NAT_PROTO_UDP, NAT_PROTO_TCP };

struct run {
	struct engine engine;
	struct dice dice;
	uint32_t each; /* config.host_guaranteed */
	/* Who has spoken to which peer. */
	bool open[HOSTS][PROTOS][SOCKETS][PEERS];
	uint32_t refused, granted, promised;
};

struct use {
	uint32_t of[HOSTS];
	uint32_t in_all;
};

static bool has_mapping(const struct run *run, uint32_t host, int proto,
			uint32_t socket)
{
	for (uint32_t peer = 0; peer < PEERS; peer++)
		if (run->open[host][proto][socket][peer])
			return true;
	return false;
}

/* proto PROTOS: of both. */
static struct use count_mappings(const struct run *run, int proto)
{
	struct use use = { 0 };

	for (uint32_t host = 0; host < HOSTS; host++)
		for (int p = 0; p < PROTOS; p++)
			for (uint32_t i = 0; i < SOCKETS; i++)
				if ((proto == PROTOS || proto == p) &&
				    has_mapping(run, host, p, i)) {
					use.of[host]++;
					use.in_all++;
				}
	return use;
}

static struct use count_sessions(const struct run *run)
{
	struct use use = { 0 };

	for (uint32_t host = 0; host < HOSTS; host++)
		for (int p = 0; p < PROTOS; p++)
			for (uint32_t i = 0; i < SOCKETS; i++)
				for (uint32_t peer = 0; peer < PEERS; peer++)
					use.of[host] +=
						run->open[host][p][i][peer];
	for (uint32_t host = 0; host < HOSTS; host++)
		use.in_all += use.of[host];
	return use;
}

/* The rule, as nat.c states it. */
static bool allows(const struct use *use, uint32_t host, uint32_t each,
		   uint32_t size)
{
	uint32_t missing = 0, left = size - use->in_all;

	if (!each || use->of[host] < each)
		return true;
	for (uint32_t i = 0; i < HOSTS; i++)
		missing += use->of[i] < each ? each - use->of[i] : 0;
	return left > (missing < size / KEPT ? missing : size / KEPT);
}

/* What must become of a packet that would open this. */
static enum nat_drop expect(const struct run *run, uint32_t host, int proto,
			    uint32_t socket, bool *promised)
{
	const struct nat_limits *limits = &run->engine.limits;
	struct use mappings = count_mappings(run, PROTOS);
	struct use ports = count_mappings(run, proto);
	struct use sessions = count_sessions(run);
	uint32_t sessions_each =
		run->each * (limits->sessions / limits->mappings);
	bool fresh = !has_mapping(run, host, proto, socket);

	*promised = sessions.of[host] < sessions_each &&
		    (!fresh || (mappings.of[host] < run->each &&
				ports.of[host] < run->each)) &&
		    run->each * HOSTS <= POOL / KEPT;
	if (fresh && mappings.in_all == limits->mappings)
		return NAT_DROP_TABLE_FULL;
	if (fresh &&
	    (!allows(&mappings, host, run->each, limits->mappings) ||
	     (ports.in_all < POOL && !allows(&ports, host, run->each, POOL))))
		return NAT_DROP_HOST_SHARE;
	if (sessions.in_all == limits->sessions)
		return NAT_DROP_TABLE_FULL;
	if (!allows(&sessions, host, sessions_each, limits->sessions))
		return NAT_DROP_HOST_SHARE;
	return fresh && ports.in_all == POOL ? NAT_DROP_NO_PORT : NAT_DROP_NONE;
}

static struct nat_result send(struct run *run, uint32_t host, int proto,
			      uint32_t socket, uint32_t peer)
{
	struct flow flow = { INSIDE_1 + host, (uint16_t)(20000 + socket),
			     PEER_1 + peer, 80 };

	run->engine.now += 5; /* a bucket of 200 a second never runs dry */
	return proto == UDP ?
		       engine_udp(&run->engine, NAT_PATH_OUTBOUND, flow) :
		       engine_tcp(&run->engine, NAT_PATH_OUTBOUND, flow, SYN);
}

/* Low numbers are greedy, the last ones seldom speak. */
static uint32_t roll_host(struct run *run)
{
	uint32_t host = dice_roll(&run->dice, HOSTS);

	return dice_once_in(&run->dice, 2) ? host :
					     dice_roll(&run->dice, host + 1);
}

static void speak(struct run *run)
{
	uint32_t host = roll_host(run);
	int proto = (int)dice_roll(&run->dice, PROTOS);
	uint32_t socket = dice_roll(&run->dice, SOCKETS);
	uint32_t peer = dice_roll(&run->dice, PEERS);
	bool *open = &run->open[host][proto][socket][peer];
	bool known = *open, promised = false;
	enum nat_drop expected =
		known ? NAT_DROP_NONE :
			expect(run, host, proto, socket, &promised);
	struct nat_result result = send(run, host, proto, socket, peer);

	CU_ASSERT_EQUAL(result.drop, expected);
	CU_ASSERT_FALSE(promised && result.drop);
	if (result.drop != expected || (promised && result.drop))
		printf("host %u, protocol %u, socket %u: %s instead of %s\n",
		       host, numbers[proto], socket, nat_drop_name(result.drop),
		       nat_drop_name(expected));
	*open = result.verdict == NAT_TRANSLATED;
	run->refused += result.drop == NAT_DROP_HOST_SHARE;
	run->granted += !known && *open;
	run->promised += promised;
}

static void leave(struct run *run)
{
	uint32_t host = dice_roll(&run->dice, HOSTS);

	nat_flush_host(run->engine.nat, INSIDE_1 + host, run->engine.now);
	memset(run->open[host], 0, sizeof(run->open[host]));
}

/* Another share is in force from the next packet on. */
static void change(struct run *run)
{
	static const uint32_t shares[] = { 0, 1, 2 };

	/* What hosts have taken before may be more than a new share leaves:
	 * the promise begins with an empty table. */
	for (uint32_t host = 0; host < HOSTS; host++)
		nat_flush_host(run->engine.nat, INSIDE_1 + host,
			       run->engine.now);
	memset(run->open, 0, sizeof(run->open));
	run->each = shares[dice_roll(&run->dice, 3)];
	run->engine.config.host_guaranteed = run->each;
	engine_configure(&run->engine);
}

static void begin(struct run *run, uint64_t seed, uint32_t each)
{
	memset(run, 0, sizeof(*run));
	run->dice.state = seed;
	run->each = each;
	engine_make(&run->engine);
	engine_pool(&run->engine.config, POOL_FIRST, POOL_FIRST + POOL - 1);
	memset(&run->engine.config.low_only, 0,
	       sizeof(run->engine.config.low_only));
	run->engine.config.port_hold_s = 0;
	run->engine.config.host_guaranteed = each;
	for (int timer = 0; timer < NAT_TIMERS; timer++)
		run->engine.config.timeout_s[timer] = 604800;
	engine_configure(&run->engine);
}

static void test_model(void)
{
	static struct run run;

	/* 1: all eight have theirs for certain; more: more than an eighth of the
	 * pool would be promised, so it goes to those who come first. */
	for (uint32_t each = 0; each <= 5; each++) {
		begin(&run, each + 1, each);
		for (int step = 0; step < STEPS; step++)
			if (dice_once_in(&run.dice, 100))
				leave(&run);
			else
				speak(&run);
		CU_ASSERT_TRUE(run.granted > 100);
		CU_ASSERT_EQUAL(run.refused > 100, each > 0);
		CU_ASSERT_EQUAL(run.promised > 20, each == 1);
		engine_free(&run.engine);
	}
}

static void test_changes(void)
{
	static struct run run;

	begin(&run, 77, 1);
	for (int step = 0; step < STEPS; step++)
		if (dice_once_in(&run.dice, 300))
			change(&run);
		else
			speak(&run);
	engine_free(&run.engine);
}

/* Seven hosts take all they can; the eighth appears only then. */
static void test_late_comer(void)
{
	static struct run run;
	uint32_t got[PROTOS] = { 0 };

	begin(&run, 5, 1);
	for (uint32_t i = 0; i < 4000; i++)
		send(&run, i % (HOSTS - 1), (int)(i / 7 % PROTOS),
		     i / 14 % SOCKETS, 0);
	for (int proto = 0; proto < PROTOS; proto++)
		while (got[proto] < SOCKETS &&
		       send(&run, HOSTS - 1, proto, got[proto], 1).verdict ==
			       NAT_TRANSLATED)
			got[proto]++;
	/* Its share of the table is one, whatever the protocol. */
	CU_ASSERT_EQUAL(got[UDP] + got[TCP], 1);
	engine_free(&run.engine);
}

/* What a crash leaves behind counts as before. */
static void test_restored(void)
{
	static struct run run;
	uint32_t before, after = 0;

	begin(&run, 9, 2);
	for (int step = 0; step < 2000; step++)
		speak(&run);
	before = count_mappings(&run, PROTOS).in_all;
	engine_restore(&run.engine);
	engine_configure(&run.engine);
	nat_set_uplink(run.engine.nat, UPLINK, run.engine.now);
	for (int step = 0; step < 2000; step++)
		speak(&run);
	after = count_mappings(&run, PROTOS).in_all;
	CU_ASSERT_TRUE(before > 10 && after >= before);
	engine_free(&run.engine);
}

static const struct test tests[] = {
	{ "shares: who has less than its share gets it, others as the model says",
	  test_model },
	{ "shares: another share in force counts anew", test_changes },
	{ "shares: a host that appears when greedy ones have taken all gets its share",
	  test_late_comer },
	{ "shares: survive a crash", test_restored },
};

int main(int argc, char **argv)
{
	return suite_run("shares", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
