/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Several inside hosts and one peer (behave 19.30, 19.31): who was first keeps
 * what it has, whatever the others send; a newcomer gets in when it can be told
 * apart.
 */
#include "dice.h"
#include "suite.h"
#include "tagged_lab.h"

static const enum kind learnt[] = { PPTP, ESP };

static struct nat_host_view host_view(const struct engine *engine,
				      uint32_t addr)
{
	struct nat_host_view view;
	uint32_t cursor = 0;

	while (nat_next_host(engine->nat, &cursor, &view))
		if (view.addr == addr)
			return view;
	return (struct nat_host_view){ 0 };
}

/* While one waits for its first answer, an answer could be anybody's. */
static void test_newcomer_waits(void)
{
	for (int i = 0; i < 2; i++) {
		enum kind kind = learnt[i];
		struct engine engine;

		engine_make(&engine);
		ASSERT_TRANSLATED(begin_n(&engine, kind, INSIDE_1, PEER_1, 1));
		CU_ASSERT_TRUE(told(begin_n(&engine, kind, INSIDE_2, PEER_1, 2),
				    NAT_DROP_NO_PORT));
		CU_ASSERT_EQUAL(host_view(&engine, INSIDE_2).refused, 1);
		CU_ASSERT_EQUAL(host_view(&engine, INSIDE_2).sessions, 0);
		CU_ASSERT_EQUAL(answer_n(&engine, kind, PEER_1, 1), INSIDE_1);
		open_n(&engine, kind, INSIDE_2, PEER_1, 2);
		CU_ASSERT_TRUE(works(&engine, kind, INSIDE_1, PEER_1, 1));
		CU_ASSERT_TRUE(works(&engine, kind, INSIDE_2, PEER_1, 2));
		engine_free(&engine);
	}
}

/* One that is never answered is in nobody's way for ever. */
static void test_wait_ends(void)
{
	for (int i = 0; i < 2; i++) {
		struct engine engine;

		engine_make(&engine);
		begin_n(&engine, learnt[i], INSIDE_1, PEER_1, 1);
		engine.now += 10 * SECOND - 1;
		ASSERT_DROPPED(begin_n(&engine, learnt[i], INSIDE_2, PEER_1, 2),
			       NAT_DROP_NO_PORT);
		engine.now += 1;
		open_n(&engine, learnt[i], INSIDE_2, PEER_1, 2);
		engine_free(&engine);
	}
}

/* Nor by going on: with old tags and new ones it waits no second time, and what
 * it gets is nothing of the others'. */
static void test_wait_once(void)
{
	for (int i = 0; i < 2; i++) {
		enum kind kind = learnt[i];
		struct engine engine;

		engine_make(&engine);
		open_n(&engine, kind, INSIDE_1, PEER_1, 1);
		begin_n(&engine, kind, INSIDE_2, PEER_1, 2);
		for (uint32_t n = 3; n < 40; n++) {
			engine.now += SECOND;
			ASSERT_TRANSLATED(
				begin_n(&engine, kind, INSIDE_2, PEER_1, n));
		}
		CU_ASSERT_EQUAL(engine_stats(&engine).tagged, 2);
		/* The peer of the first one changes keys. */
		CU_ASSERT_EQUAL(receive_n(&engine, kind, PEER_1, 50), NOBODY);
		open_n(&engine, kind, INSIDE_3, PEER_1, 60);
		CU_ASSERT_TRUE(works(&engine, kind, INSIDE_1, PEER_1, 1));
		CU_ASSERT_TRUE(works(&engine, kind, INSIDE_3, PEER_1, 60));
		engine_free(&engine);
	}
}

/* A slow peer loses it one wait, not all: once the unanswered session has had its
 * time, the host may wait again although it never stopped sending. */
static void test_wait_again(void)
{
	for (int i = 0; i < 2; i++) {
		enum kind kind = learnt[i];
		struct engine engine;

		engine_make(&engine);
		begin_n(&engine, kind, INSIDE_1, PEER_1, 1);
		engine.now += 10 * SECOND;
		open_n(&engine, kind, INSIDE_2, PEER_1, 2);
		CU_ASSERT_EQUAL(receive_n(&engine, kind, PEER_1, 1), NOBODY);
		for (int minute = 0; minute < 4; minute++) {
			engine.now += 60 * SECOND - (minute == 3);
			send_n(&engine, kind, INSIDE_1, PEER_1, 1);
			send_n(&engine, kind, INSIDE_2, PEER_1, 2);
		}
		CU_ASSERT_EQUAL(receive_n(&engine, kind, PEER_1, 1), INSIDE_1);
		CU_ASSERT_TRUE(works(&engine, kind, INSIDE_2, PEER_1, 2));
		engine_free(&engine);
	}
}

static void test_three_hosts(void)
{
	static const enum kind kinds[] = { GRE, PPTP, ESP };
	static const uint32_t hosts[] = { INSIDE_1, INSIDE_2, INSIDE_3 };

	for (size_t i = 0; i < 3; i++) {
		struct engine engine;

		engine_make(&engine);
		for (uint32_t n = 0; n < 3; n++)
			open_n(&engine, kinds[i], hosts[n], PEER_1, n);
		for (uint32_t n = 0; n < 3; n++)
			CU_ASSERT_TRUE(
				works(&engine, kinds[i], hosts[n], PEER_1, n));
		/* A tag that is none of theirs is nobody's. */
		CU_ASSERT_EQUAL(receive_n(&engine, kinds[i], PEER_1, 9),
				NOBODY);
		CU_ASSERT_EQUAL(engine_stats(&engine).tagged, 3);
		engine_free(&engine);
	}
}

/* Other peers are other worlds. */
static void test_other_peers(void)
{
	for (int kind = 0; kind < KINDS; kind++) {
		struct engine engine;

		engine_make(&engine);
		open_n(&engine, kind, INSIDE_1, PEER_1, 1);
		begin_n(&engine, kind, INSIDE_1, PEER_2, 1);
		open_n(&engine, kind, INSIDE_2, PEER_3, 1);
		CU_ASSERT_EQUAL(answer_n(&engine, kind, PEER_2, 1), INSIDE_1);
		CU_ASSERT_TRUE(works(&engine, kind, INSIDE_1, PEER_1, 1));
		CU_ASSERT_TRUE(works(&engine, kind, INSIDE_1, PEER_2, 1));
		CU_ASSERT_TRUE(works(&engine, kind, INSIDE_2, PEER_3, 1));
		engine_free(&engine);
	}
}

/* --- GRE ---------------------------------------------------------------- */

static struct nat_result plain_out(struct engine *engine, uint32_t host)
{
	packet_gre(&engine->packet, host, PEER_1, (struct gre){ .bytes = 40 });
	return engine_run(engine, NAT_PATH_OUTBOUND);
}

static uint32_t plain_in(struct engine *engine)
{
	packet_gre(&engine->packet, PEER_1, UPLINK,
		   (struct gre){ .bytes = 40 });
	return receiver(engine);
}

static void test_gre_taken(void)
{
	struct engine engine;

	engine_make(&engine);
	ASSERT_TRANSLATED(plain_out(&engine, INSIDE_1));
	CU_ASSERT_EQUAL(plain_in(&engine), INSIDE_1);
	CU_ASSERT_TRUE(told(plain_out(&engine, INSIDE_2), NAT_DROP_NO_PORT));
	open_n(&engine, GRE, INSIDE_2, PEER_1, 1); /* with a key */
	CU_ASSERT_TRUE(told(send_n(&engine, GRE, INSIDE_3, PEER_1, 1),
			    NAT_DROP_NO_PORT));
	CU_ASSERT_EQUAL(host_view(&engine, INSIDE_3).refused, 1);
	CU_ASSERT_EQUAL(plain_in(&engine), INSIDE_1);
	CU_ASSERT_TRUE(works(&engine, GRE, INSIDE_2, PEER_1, 1));
	engine_free(&engine);
}

/* Another key inwards: while there is one host, it is its own. */
static void test_gre_two_keys(void)
{
	struct engine engine;

	engine_make(&engine);
	ASSERT_TRANSLATED(send_n(&engine, GRE, INSIDE_1, PEER_1, 1));
	CU_ASSERT_EQUAL(receive_tag(&engine, GRE, PEER_1, 77), INSIDE_1);
	CU_ASSERT_EQUAL(plain_in(&engine), INSIDE_1);
	open_n(&engine, GRE, INSIDE_2, PEER_1, 2);
	CU_ASSERT_EQUAL(receive_tag(&engine, GRE, PEER_1, 77), NOBODY);
	CU_ASSERT_EQUAL(plain_in(&engine), NOBODY);
	engine_free(&engine);
}

/* A key of 0 is a key. */
static void test_gre_key_zero(void)
{
	struct engine engine;

	engine_make(&engine);
	ASSERT_TRANSLATED(send_tag(&engine, GRE, INSIDE_1, PEER_1, 0));
	ASSERT_TRANSLATED(plain_out(&engine, INSIDE_2));
	CU_ASSERT_EQUAL(receive_tag(&engine, GRE, PEER_1, 0), INSIDE_1);
	CU_ASSERT_EQUAL(plain_in(&engine), INSIDE_2);
	engine_free(&engine);
}

/* --- rekeying beside others --------------------------------------------- */

static void test_rekey_host_first(void)
{
	for (int i = 0; i < 2; i++) {
		enum kind kind = learnt[i];
		struct engine engine;

		engine_make(&engine);
		open_n(&engine, kind, INSIDE_1, PEER_1, 1);
		open_n(&engine, kind, INSIDE_2, PEER_1, 2);
		open_n(&engine, kind, INSIDE_1, PEER_1, 3);
		open_n(&engine, kind, INSIDE_2, PEER_1, 4);
		for (uint32_t n = 1; n < 5; n++)
			CU_ASSERT_TRUE(works(&engine, kind,
					     n % 2 ? INSIDE_1 : INSIDE_2,
					     PEER_1, n));
		engine_free(&engine);
	}
}

/* Nobody can tell whose the new tag is, until its host speaks with the new
 * keys; nobody else gets it. */
static void test_rekey_peer_first(void)
{
	for (int i = 0; i < 2; i++) {
		enum kind kind = learnt[i];
		struct engine engine;

		engine_make(&engine);
		open_n(&engine, kind, INSIDE_1, PEER_1, 1);
		open_n(&engine, kind, INSIDE_2, PEER_1, 2);
		CU_ASSERT_EQUAL(receive_n(&engine, kind, PEER_1, 3), NOBODY);
		ASSERT_TRANSLATED(send_n(&engine, kind, INSIDE_2, PEER_1, 3));
		CU_ASSERT_EQUAL(receive_n(&engine, kind, PEER_1, 3), INSIDE_2);
		CU_ASSERT_TRUE(works(&engine, kind, INSIDE_1, PEER_1, 1));
		CU_ASSERT_TRUE(works(&engine, kind, INSIDE_2, PEER_1, 2));
		engine_free(&engine);
	}
}

/* A host that changes keys while another one waits goes on without a session
 * of its own for them; it takes nothing from the one that waits. */
static void test_rekey_while_other_waits(void)
{
	for (int i = 0; i < 2; i++) {
		enum kind kind = learnt[i];
		struct engine engine;

		engine_make(&engine);
		open_n(&engine, kind, INSIDE_1, PEER_1, 1);
		begin_n(&engine, kind, INSIDE_2, PEER_1, 2);
		ASSERT_TRANSLATED(send_n(&engine, kind, INSIDE_1, PEER_1, 3));
		CU_ASSERT_EQUAL(engine_stats(&engine).tagged, 2);
		CU_ASSERT_EQUAL(answer_n(&engine, kind, PEER_1, 2), INSIDE_2);
		open_n(&engine, kind, INSIDE_1, PEER_1, 3);
		CU_ASSERT_TRUE(works(&engine, kind, INSIDE_2, PEER_1, 2));
		engine_free(&engine);
	}
}

/* The peer changes keys, both are in use, then another host comes: it gets
 * neither the new tag nor the old one. */
static void test_rekey_then_newcomer(void)
{
	for (int i = 0; i < 2; i++) {
		enum kind kind = learnt[i];
		struct engine engine;

		engine_make(&engine);
		open_n(&engine, kind, INSIDE_1, PEER_1, 1);
		CU_ASSERT_EQUAL(receive_n(&engine, kind, PEER_1, 3), INSIDE_1);
		CU_ASSERT_EQUAL(receive_n(&engine, kind, PEER_1, 1), INSIDE_1);
		begin_n(&engine, kind, INSIDE_2, PEER_1, 2);
		CU_ASSERT_EQUAL(receive_n(&engine, kind, PEER_1, 3), INSIDE_1);
		CU_ASSERT_EQUAL(receive_n(&engine, kind, PEER_1, 1), INSIDE_1);
		CU_ASSERT_EQUAL(answer_n(&engine, kind, PEER_1, 2), INSIDE_2);
		engine_free(&engine);
	}
}

/* --- a hostile host ----------------------------------------------------- */

/* It sends junk, the first one's tags of both directions among it, and may be
 * answered now and then. */
static void attack(enum kind kind, uint64_t seed)
{
	struct dice dice = { seed };
	struct nat_session_view view;
	struct engine engine;

	engine_make(&engine);
	open_n(&engine, kind, INSIDE_1, PEER_1, 1);
	for (uint32_t step = 0; step < 400; step++) {
		uint32_t tags[] = { OUT_TAG(1), in_tag(kind, 1),
				    1 + dice_roll(&dice, 0xffff) };
		uint32_t host = dice_once_in(&dice, 8) ? INSIDE_3 : INSIDE_2;

		if (kind == SCTP && dice_once_in(&dice, 2))
			send_init(&engine, host, PEER_1,
				  (struct sctp_init){
					  .declared = tags[dice_roll(&dice, 3)],
					  .no_restart = true });
		else
			send_tag(&engine, kind, host, PEER_1,
				 tags[dice_roll(&dice, 3)]);
		if (kind != SCTP && dice_once_in(&dice, 10))
			receive_tag(&engine, kind, PEER_1,
				    0x8000 + dice_roll(&dice, 0x4000));
		if (!works(&engine, kind, INSIDE_1, PEER_1, 1)) {
			CU_FAIL("the first host has lost its traffic");
			break;
		}
		engine.now += dice_roll(&dice, 20) * SECOND;
	}
	CU_ASSERT_TRUE(engine_session(&engine, kind == SCTP ? 5000 : 0, PEER_1,
				      &view));
	CU_ASSERT_EQUAL(host_view(&engine, INSIDE_1).sessions, 1);
	CU_ASSERT_EQUAL(host_view(&engine, INSIDE_1).refused, 0);
	engine_free(&engine);
}

static void test_hostile(void)
{
	for (int kind = 0; kind < KINDS; kind++)
		for (uint64_t seed = 1; seed <= 5; seed++)
			attack((enum kind)kind, seed);
}

/* Without answers it holds one session with the peer, whatever it sends. */
static void test_junk_is_bounded(void)
{
	for (int i = 0; i < 2; i++) {
		struct engine engine;

		engine_make(&engine);
		open_n(&engine, learnt[i], INSIDE_1, PEER_1, 1);
		for (uint32_t n = 2; n < 200; n++)
			ASSERT_TRANSLATED(send_n(&engine, learnt[i], INSIDE_2,
						 PEER_1, n));
		CU_ASSERT_EQUAL(engine_stats(&engine).tagged, 2);
		engine_free(&engine);
	}
}

/* ICMP about a tag that a second host uses as well is the first one's. */
static void test_error_is_the_first_ones(void)
{
	for (int i = 0; i < 2; i++) {
		struct packet left;
		struct engine engine;

		engine_make(&engine);
		open_n(&engine, learnt[i], INSIDE_1, PEER_1, 1);
		send_n(&engine, learnt[i], INSIDE_1, PEER_1, 1);
		left = engine.packet;
		engine.now += SECOND;
		ASSERT_TRANSLATED(
			send_n(&engine, learnt[i], INSIDE_2, PEER_1, 1));
		packet_error(&engine.packet,
			     (struct error){ .src = PEER_2,
					     .dst = UPLINK,
					     .type = 3,
					     .code = 4,
					     .rest = 1300 },
			     &left);
		CU_ASSERT_EQUAL(receiver(&engine), INSIDE_1);
		engine_free(&engine);
	}
}

/* A tag that no host sent may be that of the router's own tunnel. */
static void test_error_is_the_routers(void)
{
	struct packet left;
	struct engine engine;

	engine_make(&engine);
	open_n(&engine, ESP, INSIDE_1, PEER_1, 1);
	packet_esp(&left, UPLINK, PEER_1, OUT_TAG(9), 40);
	packet_error(&engine.packet,
		     (struct error){ .src = PEER_2,
				     .dst = UPLINK,
				     .type = 3,
				     .code = 4,
				     .rest = 1300 },
		     &left);
	CU_ASSERT_EQUAL(receiver(&engine), ROUTER_ITSELF);
	engine_free(&engine);
}

/* Of two hosts with the same ports none takes the other's verification tag by
 * an INIT-ACK of its own. */
static void test_init_ack_claims_nothing(void)
{
	struct engine engine;

	engine_make(&engine);
	for (uint32_t n = 1; n <= 2; n++) {
		struct flow out = kind_flow(INSIDE_1 + n - 1, PEER_1);
		struct flow in = flow_back(kind_flow(UPLINK, PEER_1));

		packet_sctp_init(&engine.packet, out,
				 (struct sctp_init){ .declared = IN_TAG(n),
						     .no_restart = true });
		ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
		packet_sctp_init(&engine.packet, in,
				 (struct sctp_init){ .ack = true,
						     .tag = IN_TAG(n),
						     .declared = OUT_TAG(n),
						     .no_restart = true });
		CU_ASSERT_EQUAL(receiver(&engine), INSIDE_1 + n - 1);
	}
	packet_sctp_init(&engine.packet, kind_flow(INSIDE_1, PEER_1),
			 (struct sctp_init){ .ack = true,
					     .tag = OUT_TAG(1),
					     .declared = IN_TAG(2),
					     .no_restart = true });
	ASSERT_DROPPED(engine_run(&engine, NAT_PATH_OUTBOUND),
		       NAT_DROP_NO_PORT);
	CU_ASSERT_EQUAL(receive_n(&engine, SCTP, PEER_1, 2), INSIDE_2);
	CU_ASSERT_EQUAL(receive_n(&engine, SCTP, PEER_1, 1), INSIDE_1);
	engine_free(&engine);
}

static const struct test tests[] = {
	{ "who is never answered waits once, for 10 s", test_wait_once },
	{ "and may wait again after its session's time", test_wait_again },
	{ "a newcomer is refused while one waits, and admitted afterwards",
	  test_newcomer_waits },
	{ "one that is never answered makes room after 240 s", test_wait_ends },
	{ "three hosts at one peer each get their own", test_three_hosts },
	{ "other peers do not matter", test_other_peers },
	{ "a GRE key, or none, is the first one's", test_gre_taken },
	{ "another key inwards works for the only host", test_gre_two_keys },
	{ "a GRE key of 0 is not the same as none", test_gre_key_zero },
	{ "two hosts change keys themselves", test_rekey_host_first },
	{ "a peer's new tag waits for its host to speak",
	  test_rekey_peer_first },
	{ "a host may change keys while another waits",
	  test_rekey_while_other_waits },
	{ "a newcomer gets no tag of a peer that changed keys",
	  test_rekey_then_newcomer },
	{ "junk of hostile hosts takes nothing from the first, seeds 1 to 5",
	  test_hostile },
	{ "junk without answers is one session", test_junk_is_bounded },
	{ "an error about a shared tag is the first one's",
	  test_error_is_the_first_ones },
	{ "an error about nobody's tag is left to the router",
	  test_error_is_the_routers },
	{ "an INIT-ACK claims no other host's tag",
	  test_init_ack_claims_nothing },
};

int main(int argc, char **argv)
{
	return suite_run("tagged_hosts", tests,
			 sizeof(tests) / sizeof(tests[0]), argc, argv);
}
