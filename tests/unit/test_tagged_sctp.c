/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SCTP associations (RFC 9260): how they open, their verification tags and the
 * T bit, and what a forged INIT may do; and two hosts that share ports.
 */
#include "suite.h"
#include "tagged_lab.h"

static void test_bad_crc(void)
{
	struct engine engine;

	engine_make(&engine);
	packet_sctp_init(&engine.packet, kind_flow(INSIDE_1, PEER_1),
			 (struct sctp_init){ .declared = 5 });
	packet_l4(&engine.packet)[8] ^= 1;
	ASSERT_DROPPED(engine_run(&engine, NAT_PATH_OUTBOUND),
		       NAT_DROP_BAD_CHECKSUM);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 0);
	engine_free(&engine);
}

static void test_init_only(void)
{
	static const uint8_t types[] = { SCTP_DATA, SCTP_INIT_ACK,
					 SCTP_HEARTBEAT, SCTP_ABORT,
					 SCTP_COOKIE_ECHO };
	struct engine engine;

	engine_make(&engine);
	for (size_t i = 0; i < sizeof(types); i++) {
		struct nat_result result;

		packet_sctp(&engine.packet, kind_flow(INSIDE_1, PEER_1),
			    (struct sctp){
				    .tag = 5, .type = types[i], .bytes = 28 });
		result = engine_run(&engine, NAT_PATH_OUTBOUND);
		ASSERT_DROPPED(result, NAT_DROP_NO_SESSION);
		CU_ASSERT_EQUAL(result.answer_length, 0);
	}
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 0);
	engine_free(&engine);
}

static struct nat_result end_out(struct engine *engine, struct sctp sctp)
{
	packet_sctp(&engine->packet, kind_flow(INSIDE_1, PEER_1), sctp);
	return engine_run(engine, NAT_PATH_OUTBOUND);
}

static uint32_t end_in(struct engine *engine, struct sctp sctp)
{
	packet_sctp(&engine->packet, flow_back(kind_flow(UPLINK, PEER_1)),
		    sctp);
	return receiver(engine);
}

/* RFC 9260 8.5.1 (B), (C): with the T bit, the other direction's tag. */
static void test_t_bit(void)
{
	static const uint8_t types[] = { SCTP_ABORT, SCTP_SHUTDOWN_COMPLETE };
	struct engine engine;

	engine_make(&engine);
	open_n(&engine, SCTP, INSIDE_1, PEER_1, 1);
	for (int i = 0; i < 2; i++)
		for (int t = 0; t < 2; t++) {
			struct sctp sctp = { .type = types[i],
					     .flags = (uint8_t)t };

			sctp.tag = OUT_TAG(1);
			CU_ASSERT_EQUAL(end_out(&engine, sctp).drop,
					t ? NAT_DROP_NO_SESSION :
					    NAT_DROP_NONE);
			CU_ASSERT_EQUAL(end_in(&engine, sctp),
					t ? INSIDE_1 : NOBODY);
			sctp.tag = IN_TAG(1);
			CU_ASSERT_EQUAL(end_out(&engine, sctp).drop,
					t ? NAT_DROP_NONE :
					    NAT_DROP_NO_SESSION);
			CU_ASSERT_EQUAL(end_in(&engine, sctp),
					t ? NOBODY : INSIDE_1);
		}
	CU_ASSERT_TRUE(works(&engine, SCTP, INSIDE_1, PEER_1, 1));
	engine_free(&engine);
}

/* RFC 9260 5.2.1: both ends begin at once. */
static void test_init_collision(void)
{
	struct engine engine;

	engine_make(&engine);
	begin_n(&engine, SCTP, INSIDE_1, PEER_1, 1);
	CU_ASSERT_EQUAL(
		receive_init(&engine, PEER_1,
			     (struct sctp_init){ .declared = OUT_TAG(1) }),
		INSIDE_1);
	ASSERT_TRANSLATED(
		send_init(&engine, INSIDE_1, PEER_1,
			  (struct sctp_init){ .ack = true,
					      .tag = OUT_TAG(1),
					      .declared = IN_TAG(1) }));
	CU_ASSERT_EQUAL(answer_n(&engine, SCTP, PEER_1, 1), INSIDE_1);
	CU_ASSERT_TRUE(works(&engine, SCTP, INSIDE_1, PEER_1, 1));
	CU_ASSERT_EQUAL(engine_stats(&engine).tagged, 1);
	engine_free(&engine);
}

/* RFC 9260 5.2.2: anybody can send an INIT, and the host will answer it; the
 * association goes on. */
static void test_forged_init(void)
{
	struct engine engine;

	engine_make(&engine);
	open_n(&engine, SCTP, INSIDE_1, PEER_1, 1);
	for (uint32_t n = 10; n < 40; n++) {
		CU_ASSERT_EQUAL(receive_init(&engine, PEER_1,
					     (struct sctp_init){
						     .declared = OUT_TAG(n) }),
				INSIDE_1);
		ASSERT_TRANSLATED(
			send_init(&engine, INSIDE_1, PEER_1,
				  (struct sctp_init){ .ack = true,
						      .tag = OUT_TAG(n),
						      .declared = IN_TAG(n) }));
		CU_ASSERT_TRUE(works(&engine, SCTP, INSIDE_1, PEER_1, 1));
	}
	CU_ASSERT_EQUAL(engine_stats(&engine).tagged, 1);
	engine_free(&engine);
}

/* RFC 9260 5.2.4: one end has started afresh, with new tags. */
static void test_restart(void)
{
	struct engine engine;

	engine_make(&engine);
	open_n(&engine, SCTP, INSIDE_1, PEER_1, 1);
	open_n(&engine, SCTP, INSIDE_1, PEER_1, 2); /* the host */
	CU_ASSERT_TRUE(works(&engine, SCTP, INSIDE_1, PEER_1, 2));
	CU_ASSERT_EQUAL(
		receive_init(&engine, PEER_1,
			     (struct sctp_init){ .declared = OUT_TAG(3) }),
		INSIDE_1);
	ASSERT_TRANSLATED(
		send_init(&engine, INSIDE_1, PEER_1,
			  (struct sctp_init){ .ack = true,
					      .tag = OUT_TAG(3),
					      .declared = IN_TAG(3) }));
	CU_ASSERT_TRUE(works(&engine, SCTP, INSIDE_1, PEER_1, 3));
	engine_free(&engine);
}

/* --- two hosts with the same ports -------------------------------------- */

/* Opens the first host's association; who of its two ends bears others? */
static void open_first(struct engine *engine, bool host, bool peer)
{
	engine_make(engine);
	ASSERT_TRANSLATED(send_init(engine, INSIDE_1, PEER_1,
				    (struct sctp_init){ .declared = IN_TAG(1),
							.no_restart = host }));
	CU_ASSERT_EQUAL(receive_init(engine, PEER_1,
				     (struct sctp_init){ .ack = true,
							 .tag = IN_TAG(1),
							 .declared = OUT_TAG(1),
							 .no_restart = peer }),
			INSIDE_1);
}

static struct nat_result second(struct engine *engine, uint32_t n, bool bears)
{
	return send_init(engine, INSIDE_2, PEER_1,
			 (struct sctp_init){ .declared = IN_TAG(n),
					     .no_restart = bears });
}

static void test_second_refused(void)
{
	/* Bit by bit: the first host, the peer, the second host. */
	for (int who = 0; who < 7; who++) {
		struct engine engine;

		open_first(&engine, who & 1, who & 2);
		CU_ASSERT_TRUE(
			told(second(&engine, 2, who & 4), NAT_DROP_NO_PORT));
		CU_ASSERT_TRUE(works(&engine, SCTP, INSIDE_1, PEER_1, 1));
		CU_ASSERT_EQUAL(engine_stats(&engine).tagged, 1);
		engine_free(&engine);
	}
}

static void test_second_shares(void)
{
	struct engine engine;

	open_first(&engine, true, true);
	/* But not the first one's tag. */
	CU_ASSERT_TRUE(told(second(&engine, 1, true), NAT_DROP_NO_PORT));
	ASSERT_TRANSLATED(second(&engine, 2, true));
	/* Whose INIT is one from outside now? */
	CU_ASSERT_EQUAL(
		receive_init(&engine, PEER_1,
			     (struct sctp_init){ .declared = OUT_TAG(9) }),
		NOBODY);
	CU_ASSERT_EQUAL(answer_n(&engine, SCTP, PEER_1, 2), INSIDE_2);
	CU_ASSERT_TRUE(works(&engine, SCTP, INSIDE_1, PEER_1, 1));
	CU_ASSERT_TRUE(works(&engine, SCTP, INSIDE_2, PEER_1, 2));
	/* Neither sends with the other's tag. */
	ASSERT_DROPPED(send_n(&engine, SCTP, INSIDE_2, PEER_1, 1),
		       NAT_DROP_NO_SESSION);
	/* The second one's peer has not said that it bears a third. */
	CU_ASSERT_TRUE(told(send_init(&engine, INSIDE_3, PEER_1,
				      (struct sctp_init){ .declared = IN_TAG(3),
							  .no_restart = true }),
			    NAT_DROP_NO_PORT));
	engine_free(&engine);
}

/* What anybody can send from outside lets nobody in. */
static void test_forged_consent(void)
{
	struct engine engine;

	open_first(&engine, true, false);
	receive_init(&engine, PEER_1,
		     (struct sctp_init){ .declared = OUT_TAG(9),
					 .no_restart = true });
	CU_ASSERT_TRUE(told(second(&engine, 2, true), NAT_DROP_NO_PORT));
	engine_free(&engine);
}

static void test_other_ports(void)
{
	struct flow flow = flow_of(INSIDE_2, 5001, PEER_1, 7000);
	struct engine engine;

	engine_make(&engine);
	open_n(&engine, SCTP, INSIDE_1, PEER_1, 1);
	packet_sctp_init(&engine.packet, flow,
			 (struct sctp_init){ .declared = IN_TAG(1) });
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	ASSERT_FLOW(&engine, UPLINK, 5001, PEER_1, 7000);
	flow.sport = 5000;
	flow.dport = 7001;
	packet_sctp_init(&engine.packet, flow,
			 (struct sctp_init){ .declared = IN_TAG(1) });
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	CU_ASSERT_TRUE(works(&engine, SCTP, INSIDE_1, PEER_1, 1));
	engine_free(&engine);
}

static const struct test tests[] = {
	{ "an INIT with a wrong CRC32c opens nothing", test_bad_crc },
	{ "only an INIT opens SCTP, all else is met with silence",
	  test_init_only },
	{ "the T bit means the other direction's tag", test_t_bit },
	{ "INITs may cross", test_init_collision },
	{ "a forged INIT costs an association nothing", test_forged_init },
	{ "either end may start an association again", test_restart },
	{ "a second host with the same ports is refused unless all agree",
	  test_second_refused },
	{ "hosts share ports when all ends agree", test_second_shares },
	{ "a forged INIT does not consent for the peer", test_forged_consent },
	{ "other ports are other associations", test_other_ports },
};

int main(int argc, char **argv)
{
	return suite_run("tagged_sctp", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
