/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Several hosts, a few peers, SCTP, GRE, PPTP and ESP, in any order: each tag
 * has one true owner, the host whose session it was made for. A slow ledger
 * notes who has been seen with which tag; then
 *   - what is delivered goes to the owner of its tag, or of a tag that nobody
 *     had been seen with, to one host of those that speak to that peer;
 *   - nobody loses what works: a tag that has just been delivered to its owner
 *     goes on to be, whatever others send in between.
 * Changing keys is left out here: see tests/unit/test_tagged_hosts.c.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/dice.h"
#include "tests/unit/suite.h"
#include "tests/unit/tagged_lab.h"

#define STEPS 20000
#define HOSTS 4
#define PEERS 2
#define LIVE (200 * SECOND) /* shorter than every timer */

/* One association for each kind, host and peer. */
struct owner {
	bool seen; /* its inward tag has been delivered */
	uint64_t when;
	bool sent; /* it has sent since its last life began */
	uint64_t sent_when;
	uint64_t own_when; /* with its own tag, not another's */
};

struct run {
	struct engine engine;
	struct dice dice;
	struct owner owners[KINDS][HOSTS][PEERS];
	unsigned delivered[KINDS];
};

static uint32_t number(uint32_t host, uint32_t peer)
{
	return host * PEERS + peer;
}

static bool fresh(const struct run *run, const struct owner *owner)
{
	return owner->seen && owner->when + LIVE > run->engine.now;
}

/* From a host: its own first packet or a later one, now and then one with a tag
 * that is another host's. */
static void send(struct run *run)
{
	enum kind kind = (enum kind)dice_roll(&run->dice, KINDS);
	uint32_t host = dice_roll(&run->dice, HOSTS);
	uint32_t peer = dice_roll(&run->dice, PEERS);
	uint32_t as = dice_once_in(&run->dice, 10) ?
			      dice_roll(&run->dice, HOSTS) :
			      host;
	struct owner *owner = &run->owners[kind][host][peer];
	struct nat_result result;

	if (dice_once_in(&run->dice, 3))
		result = begin_n(&run->engine, kind, INSIDE_1 + host,
				 PEER_1 + peer, number(as, peer));
	else
		result = send_n(&run->engine, kind, INSIDE_1 + host,
				PEER_1 + peer, number(as, peer));
	if (result.verdict == NAT_TRANSLATED) {
		owner->sent = true;
		owner->sent_when = run->engine.now;
		if (as == host)
			owner->own_when = run->engine.now;
		return;
	}
	/* Who has been answered a moment ago is refused nothing of its own. */
	CU_ASSERT_FALSE(as == host && fresh(run, owner));
	if (as == host && fresh(run, owner))
		printf("%s, host %u, peer %u was refused: %s\n",
		       kind_names[kind], host, peer,
		       nat_drop_name(result.drop));
}

static const char *wrong(struct run *run, enum kind kind, uint32_t host,
			 uint32_t peer, uint32_t got)
{
	struct owner *owner = &run->owners[kind][host][peer];

	if (fresh(run, owner) && got != INSIDE_1 + host)
		return "the owner of a known tag did not get it";
	if (got == NOBODY || got == ROUTER_ITSELF)
		return NULL;
	if (got - INSIDE_1 >= HOSTS)
		return "a host that does not exist got it";
	if (!run->owners[kind][got - INSIDE_1][peer].sent)
		return "a host got it that never spoke to that peer";
	return NULL;
}

/* From a peer, as the true answer to what its owner sends. */
static void receive(struct run *run)
{
	enum kind kind = (enum kind)dice_roll(&run->dice, KINDS);
	uint32_t host = dice_roll(&run->dice, HOSTS);
	uint32_t peer = dice_roll(&run->dice, PEERS);
	struct owner *owner = &run->owners[kind][host][peer];
	const char *broken;
	uint32_t got;

	/* Peers answer only whom they have heard a moment ago. */
	if (!owner->sent || owner->sent_when + 10 * SECOND < run->engine.now)
		return;
	/* SCTP's first answer is an INIT-ACK. */
	got = !fresh(run, owner) || dice_once_in(&run->dice, 2) ?
		      answer_n(&run->engine, kind, PEER_1 + peer,
			       number(host, peer)) :
		      receive_n(&run->engine, kind, PEER_1 + peer,
				number(host, peer));
	broken = wrong(run, kind, host, peer, got);
	CU_ASSERT_PTR_NULL(broken);
	if (broken)
		printf("%s, host %u, peer %u, got %x: %s\n", kind_names[kind],
		       host, peer, got, broken);
	/* To a peer's only host goes also what is not certainly its own. */
	if (got != INSIDE_1 + host ||
	    owner->own_when + 10 * SECOND < run->engine.now)
		return;
	owner->seen = true;
	owner->when = run->engine.now;
	run->delivered[kind]++;
}

static void play(uint64_t seed)
{
	static struct run run;
	struct nat_limits limits = engine_limits;

	memset(&run, 0, sizeof(run));
	run.dice.state = seed;
	limits.tagged = 64;
	engine_bare(&run.engine, &limits);
	engine_defaults(&run.engine.config);
	engine_configure(&run.engine);
	nat_set_uplink(run.engine.nat, UPLINK, run.engine.now);
	for (int step = 0; step < STEPS && !CU_get_number_of_failures();
	     step++) {
		if (dice_roll(&run.dice, 2))
			send(&run);
		else
			receive(&run);
		run.engine.now += dice_once_in(&run.dice, 500) ?
					  1000 * SECOND :
					  dice_roll(&run.dice, 500);
	}
	for (int kind = 0; kind < KINDS; kind++) {
		CU_ASSERT_TRUE(run.delivered[kind] > 100);
		if (run.delivered[kind] <= 100)
			printf("seed %u: %s, %u delivered\n", (unsigned)seed,
			       kind_names[kind], run.delivered[kind]);
	}
	engine_free(&run.engine);
}

static void test_owners(void)
{
	for (uint64_t seed = 1; seed <= 5; seed++)
		play(seed);
}

static const struct test tests[] = {
	{ "each tag is its owner's, whatever others send, seeds 1 to 5",
	  test_owners },
};

int main(int argc, char **argv)
{
	return suite_run("owners", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
