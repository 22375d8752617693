/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * RFC 7857 2, figure 1, with the text of RFC 6146 3.5.2.2: every edge of the
 * TCP state machine, for a client inside and for one outside. Each edge is
 * taken 10 s after the state was reached; then the timer is proved on both
 * sides of its end.
 */
#include "bench.h"
#include "tests/unit/tcp_lab.h"

#define T NAT_PROTO_TCP
#define EARLIER (10 * SECOND)

/* --- edges ---------------------------------------------------------------- */

/* Restarted, or what was left of it. */
static void lives(struct lab *lab, uint64_t ms)
{
	CU_ASSERT_EQUAL(session(lab).expires_ms, ms);
	later(lab, ms - 1);
	CU_ASSERT_TRUE(alive(lab));
	later(lab, 1);
	CU_ASSERT_FALSE(alive(lab));
}

/* From `state`, a segment with `bits` of `end` leads to `next`. */
static void edge(enum nat_state state, enum end end, uint8_t bits,
		 enum nat_state next, uint64_t left_ms)
{
	struct lab lab;

	for (int inside = 0; inside < 2; inside++) {
		lab_make(&lab, inside);
		reach(&lab, state);
		CU_ASSERT_EQUAL(session(&lab).state, state);
		later(&lab, EARLIER);
		flags(&lab, end, bits);
		CU_ASSERT_EQUAL(session(&lab).state, next);
		lives(&lab, left_ms);
		engine_free(&lab.engine);
	}
}

/* The same of both ends, for several segments. */
static void edges(enum nat_state state, const uint8_t *bits, size_t count,
		  enum nat_state next, uint64_t left_ms)
{
	for (size_t i = 0; i < count; i++) {
		edge(state, CLIENT, bits[i], next, left_ms);
		edge(state, SERVER, bits[i], next, left_ms);
	}
}

static const uint8_t others[] = {
	ACK, ACK | PSH, 0, ACK | 0x20, SYN, SYN | ACK
};

/* --- CLOSED --------------------------------------------------------------- */

static void test_closed_inside_syn(void)
{
	struct lab lab;

	lab_make(&lab, true);
	flags(&lab, CLIENT, SYN);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_INIT);
	CU_ASSERT_EQUAL(engine_stats(&lab.engine).sessions, 1);
	lives(&lab, OPENING);
	CU_ASSERT_EQUAL(bench_port(&lab.engine, T, INSIDE_1, 5000), 0);
	engine_free(&lab.engine);
}

static void test_closed_outside_syn(void)
{
	struct lab lab;

	lab_make(&lab, false);
	flags(&lab, CLIENT, SYN);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_INIT);
	flags(&lab, CLIENT, SYN); /* outside is the client: no answer yet */
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_INIT);
	lives(&lab, OPENING);
	engine_free(&lab.engine);
}

/* No mapping, and a mapping whose filter refuses: no state in either case. */
static void test_closed_refused_syn(void)
{
	struct lab lab;
	struct engine *e = &lab.engine;

	lab_make(&lab, true);
	ASSERT_DROPPED(engine_tcp(e, NAT_PATH_INBOUND,
				  flow_of(PEER_2, 80, UPLINK, 5000), SYN),
		       NAT_DROP_NO_MAPPING);
	flags(&lab, CLIENT, SYN);
	ASSERT_DROPPED(engine_tcp(e, NAT_PATH_INBOUND,
				  flow_of(PEER_2, 80, UPLINK, 5000), SYN),
		       NAT_DROP_FILTERED_ADDRESS);
	CU_ASSERT_EQUAL(engine_stats(e).sessions, 1);
	bench_later(e, MINUTE);
	CU_ASSERT_EQUAL(bench_outputs(e, NULL), 0);
	engine_free(e);
}

/* The same with the answer after 6 s asked for. */
static void test_closed_refused_answer(void)
{
	struct lab lab;
	struct engine *e = &lab.engine;

	lab_make(&lab, true);
	e->config.icmp_after_6s = true;
	engine_configure(e);
	flags(&lab, CLIENT, SYN);
	engine_tcp(e, NAT_PATH_INBOUND, flow_of(PEER_2, 80, UPLINK, 5000), SYN);
	bench_later(e, 5999);
	CU_ASSERT_EQUAL(bench_outputs(e, NULL), 0);
	bench_later(e, 1);
	CU_ASSERT_EQUAL(bench_outputs(e, NULL), 1);
	engine_free(e);
}

/* Neither SYN nor session: with a mapping it is forwarded where the filter
 * allows, and leaves no trace. */
static void test_closed_other(void)
{
	static const uint8_t bits[] = { ACK, FIN | ACK, RST, SYN | ACK, 0 };
	struct lab lab;
	struct engine *e = &lab.engine;

	lab_make(&lab, true);
	flags(&lab, CLIENT, SYN);
	for (size_t i = 0; i < COUNT(bits); i++) {
		ASSERT_TRANSLATED(engine_tcp(
			e, NAT_PATH_OUTBOUND,
			flow_of(INSIDE_1, 5000, PEER_2, 81), bits[i]));
		ASSERT_FLOW(e, UPLINK, 5000, PEER_2, 81);
		ASSERT_TRANSLATED(engine_tcp(e, NAT_PATH_INBOUND,
					     flow_of(PEER_1, 81, UPLINK, 5000),
					     bits[i]));
		ASSERT_FLOW(e, PEER_1, 81, INSIDE_1, 5000);
		ASSERT_DROPPED(engine_tcp(e, NAT_PATH_INBOUND,
					  flow_of(PEER_3, 81, UPLINK, 5000),
					  bits[i]),
			       NAT_DROP_FILTERED_ADDRESS);
	}
	CU_ASSERT_EQUAL(engine_stats(e).sessions, 1);
	lives(&lab, OPENING);
	engine_free(e);
}

/* --- INIT ----------------------------------------------------------------- */

static void test_init_answer(void)
{
	edge(NAT_STATE_INIT, SERVER, SYN | ACK, NAT_STATE_ESTABLISHED,
	     ESTABLISHED);
}

static void test_init_syn(void)
{
	edge(NAT_STATE_INIT, SERVER, SYN, NAT_STATE_ESTABLISHED, ESTABLISHED);
}

static void test_init_other(void)
{
	static const uint8_t bits[] = { ACK, FIN | ACK, RST, RST | ACK, 0 };

	edges(NAT_STATE_INIT, bits, COUNT(bits), NAT_STATE_INIT,
	      OPENING - EARLIER);
}

/* --- ESTABLISHED ---------------------------------------------------------- */

static void test_est_client_fin(void)
{
	edge(NAT_STATE_ESTABLISHED, CLIENT, FIN | ACK, NAT_STATE_C_FIN,
	     ESTABLISHED - EARLIER);
}

static void test_est_server_fin(void)
{
	edge(NAT_STATE_ESTABLISHED, SERVER, FIN | ACK, NAT_STATE_S_FIN,
	     ESTABLISHED - EARLIER);
}

static void test_est_rst(void)
{
	static const uint8_t bits[] = { RST, RST | ACK };

	edges(NAT_STATE_ESTABLISHED, bits, COUNT(bits), NAT_STATE_TRANS,
	      CLOSING);
}

static void test_est_other(void)
{
	edges(NAT_STATE_ESTABLISHED, others, COUNT(others),
	      NAT_STATE_ESTABLISHED, ESTABLISHED);
}

/* 7,200 s idle, and 240 s more in TRANS. */
static void test_est_timeout(void)
{
	struct lab lab;

	for (int inside = 0; inside < 2; inside++) {
		lab_make(&lab, inside);
		reach(&lab, NAT_STATE_ESTABLISHED);
		later(&lab, ESTABLISHED - CLOSING - 1);
		CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
		later(&lab, 1);
		CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_TRANS);
		lives(&lab, CLOSING);
		engine_free(&lab.engine);
	}
}

/* Data in the last of these 240 s keeps it. */
static void test_est_late_data(void)
{
	struct lab lab;

	for (enum end end = CLIENT; end <= SERVER; end++) {
		lab_make(&lab, true);
		reach(&lab, NAT_STATE_ESTABLISHED);
		later(&lab, ESTABLISHED - 1);
		flags(&lab, end, ACK | PSH);
		CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
		lives(&lab, ESTABLISHED);
		engine_free(&lab.engine);
	}
}

/* --- one FIN -------------------------------------------------------------- */

static void test_c_fin_fin(void)
{
	edge(NAT_STATE_C_FIN, SERVER, FIN | ACK, NAT_STATE_C_FIN_S_FIN,
	     CLOSING);
}

static void test_s_fin_fin(void)
{
	edge(NAT_STATE_S_FIN, CLIENT, FIN | ACK, NAT_STATE_C_FIN_S_FIN,
	     CLOSING);
}

static void test_c_fin_other(void)
{
	edges(NAT_STATE_C_FIN, others, COUNT(others), NAT_STATE_C_FIN,
	      ESTABLISHED);
}

static void test_s_fin_other(void)
{
	edges(NAT_STATE_S_FIN, others, COUNT(others), NAT_STATE_S_FIN,
	      ESTABLISHED);
}

static void test_fin_again(void)
{
	edge(NAT_STATE_C_FIN, CLIENT, FIN | ACK, NAT_STATE_C_FIN, ESTABLISHED);
	edge(NAT_STATE_S_FIN, SERVER, FIN | ACK, NAT_STATE_S_FIN, ESTABLISHED);
}

/* RFC 7857 2.2 asks for 4 minutes after an RST, whatever came before. */
static void test_fin_rst(void)
{
	static const uint8_t bits[] = { RST, RST | ACK };

	edges(NAT_STATE_C_FIN, bits, COUNT(bits), NAT_STATE_TRANS, CLOSING);
	edges(NAT_STATE_S_FIN, bits, COUNT(bits), NAT_STATE_TRANS, CLOSING);
}

/* --- both FINs, TRANS ------------------------------------------------------ */

static void test_closing_any(void)
{
	static const uint8_t bits[] = { ACK,	   ACK | PSH, FIN | ACK, RST,
					SYN | ACK, 0,	      RST | ACK };

	edges(NAT_STATE_C_FIN_S_FIN, bits, COUNT(bits), NAT_STATE_C_FIN_S_FIN,
	      CLOSING - EARLIER);
}

static void test_closing_timeout(void)
{
	static const enum nat_state states[] = { NAT_STATE_C_FIN_S_FIN,
						 NAT_STATE_TRANS };
	struct lab lab;

	for (size_t i = 0; i < COUNT(states); i++) {
		lab_make(&lab, true);
		reach(&lab, states[i]);
		CU_ASSERT_EQUAL(engine_stats(&lab.engine).mappings, 2);
		lives(&lab, CLOSING);
		/* The forward stays. */
		CU_ASSERT_EQUAL(engine_stats(&lab.engine).mappings, 1);
		engine_free(&lab.engine);
	}
}

static void test_trans_data(void)
{
	static const uint8_t bits[] = { ACK, ACK | PSH, FIN | ACK, 0 };

	edges(NAT_STATE_TRANS, bits, COUNT(bits), NAT_STATE_ESTABLISHED,
	      ESTABLISHED);
}

static void test_trans_rst(void)
{
	static const uint8_t bits[] = { RST, RST | ACK };

	edges(NAT_STATE_TRANS, bits, COUNT(bits), NAT_STATE_TRANS,
	      CLOSING - EARLIER);
}

/* --- a new connection by the same sockets ----------------------------------- */

/* A SYN of an inside or outside end, with a smaller number than before. */
static void reopen(enum nat_state state, bool client_inside, enum end end)
{
	enum end other = end == CLIENT ? SERVER : CLIENT;
	struct lab lab;

	lab_make(&lab, client_inside);
	reach(&lab, state);
	later(&lab, SECOND);
	send(&lab, end, (struct segment){ .flags = SYN, .seq = 5 });
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_INIT);
	CU_ASSERT_EQUAL(session(&lab).expires_ms, OPENING);
	send(&lab, other,
	     (struct segment){
		     .flags = SYN | ACK, .seq = 7, .ack = 6, .window = 500 });
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	/* The old connection's window counts no more. */
	send(&lab, other, (struct segment){ .flags = RST, .seq = 8 });
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_TRANS);
	send(&lab, end,
	     (struct segment){
		     .flags = ACK, .seq = 6, .ack = 8, .window = 500 });
	send(&lab, other, (struct segment){ .flags = RST, .seq = 1000 });
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	send(&lab, other, (struct segment){ .flags = RST, .seq = 8 });
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_TRANS);
	engine_free(&lab.engine);
}

static void test_closing_syn(void)
{
	for (int inside = 0; inside < 2; inside++) {
		reopen(NAT_STATE_C_FIN_S_FIN, inside, CLIENT);
		reopen(NAT_STATE_C_FIN_S_FIN, inside, SERVER);
	}
}

static void test_trans_syn(void)
{
	for (int inside = 0; inside < 2; inside++) {
		reopen(NAT_STATE_TRANS, inside, CLIENT);
		reopen(NAT_STATE_TRANS, inside, SERVER);
	}
}

/* An outsider's SYN may be forged: the inside end answers it by an ACK. */
static void test_trans_forged(void)
{
	struct lab lab;

	for (int inside = 0; inside < 2; inside++) {
		lab_make(&lab, inside);
		reach(&lab, NAT_STATE_TRANS);
		flags(&lab, inside ? SERVER : CLIENT, SYN);
		flags(&lab, inside ? CLIENT : SERVER, ACK);
		CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
		lives(&lab, ESTABLISHED);
		engine_free(&lab.engine);
	}
}

/* --- RST ------------------------------------------------------------------ */

/* A forged RST, 5 minutes without a word, then data. */
static void test_forged_rst(void)
{
	static const uint32_t numbers[] = { 0, 999, 1501, 77777, 0xdeadbeefU };
	struct lab lab;

	for (size_t i = 0; i < COUNT(numbers); i++) {
		lab_make(&lab, true);
		reach(&lab, NAT_STATE_ESTABLISHED);
		send(&lab, SERVER,
		     (struct segment){ .flags = RST, .seq = numbers[i] });
		later(&lab, 300 * SECOND);
		flags(&lab, SERVER, ACK | PSH);
		lives(&lab, ESTABLISHED);
		engine_free(&lab.engine);
	}
}

/* RFC 5961: an RST that is not exact is challenged, and a second one follows. */
static void test_challenge(void)
{
	struct lab lab;

	lab_make(&lab, true);
	reach(&lab, NAT_STATE_ESTABLISHED);
	send(&lab, SERVER, (struct segment){ .flags = RST, .seq = 1100 });
	flags(&lab, CLIENT, ACK);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	flags(&lab, SERVER, RST);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_TRANS);
	lives(&lab, CLOSING);
	engine_free(&lab.engine);
}

static const struct requirement table[] = {
	{ "RFC7857 2 CLOSED+SYN inside", "SHOULD",
	  "a mapping and a session of 240 s", test_closed_inside_syn, NULL },
	{ "RFC7857 2 CLOSED+SYN outside", "SHOULD",
	  "an admitted SYN makes a session whose client is outside",
	  test_closed_outside_syn, NULL },
	{ "RFC7857 2 CLOSED+SYN refused", "SHOULD",
	  "a refused SYN leaves no trace", test_closed_refused_syn, NULL },
	{ "RFC7857 2 CLOSED+SYN refused 6 s", "MAY",
	  "a refused SYN is answered after 6 s if the operator wants it",
	  test_closed_refused_answer, NULL },
	{ "RFC7857 2 CLOSED+other", "SHOULD",
	  "by a mapping other segments pass, without state", test_closed_other,
	  NULL },
	{ "RFC7857 2 INIT+SYN-ACK", "SHOULD", "the answer establishes",
	  test_init_answer, NULL },
	{ "RFC7857 2 INIT+SYN server", "SHOULD",
	  "a simultaneous SYN establishes", test_init_syn, NULL },
	{ "RFC7857 2 INIT+other", "SHOULD",
	  "passes, changes neither state nor timer", test_init_other, NULL },
	{ "RFC7857 2 ESTABLISHED+FIN client", "SHOULD",
	  "leads to C_FIN, the timer runs on", test_est_client_fin, NULL },
	{ "RFC7857 2 ESTABLISHED+FIN server", "SHOULD",
	  "leads to S_FIN, the timer runs on", test_est_server_fin, NULL },
	{ "RFC7857 2 ESTABLISHED+RST", "SHOULD", "leads to TRANS for 240 s",
	  test_est_rst, NULL },
	{ "RFC7857 2 ESTABLISHED+other", "SHOULD", "restarts 7,440 s",
	  test_est_other, NULL },
	{ "RFC7857 2 ESTABLISHED timeout", "SHOULD",
	  "7,200 s of silence lead to TRANS for 240 s", test_est_timeout,
	  NULL },
	{ "RFC7857 2 ESTABLISHED late data", "SHOULD",
	  "data of either end at 7,439.999 s establishes anew",
	  test_est_late_data, NULL },
	{ "RFC7857 2 C_FIN+FIN server", "SHOULD", "both FINs leave 240 s",
	  test_c_fin_fin, NULL },
	{ "RFC7857 2 S_FIN+FIN client", "SHOULD", "both FINs leave 240 s",
	  test_s_fin_fin, NULL },
	{ "RFC7857 2 C_FIN+other", "SHOULD",
	  "half-closed data restarts 7,440 s", test_c_fin_other, NULL },
	{ "RFC7857 2 S_FIN+other", "SHOULD",
	  "half-closed data restarts 7,440 s", test_s_fin_other, NULL },
	{ "RFC7857 2 FIN again", "SHOULD",
	  "a repeated FIN does not count twice", test_fin_again, NULL },
	{ "RFC7857 2 FIN+RST", "SHOULD", "an RST after one FIN leaves 240 s",
	  test_fin_rst, NULL },
	{ "RFC7857 2 C_FIN_S_FIN+any", "SHOULD",
	  "passes, changes neither state nor timer", test_closing_any, NULL },
	{ "RFC7857 2 C_FIN_S_FIN, TRANS timeout", "SHOULD",
	  "the session ends, and its mapping with it", test_closing_timeout,
	  NULL },
	{ "RFC7857 2 TRANS+other", "SHOULD",
	  "what is not an RST establishes anew", test_trans_data, NULL },
	{ "RFC7857 2 TRANS+RST", "SHOULD",
	  "passes, changes neither state nor timer", test_trans_rst, NULL },
	{ "RFC7857 2 C_FIN_S_FIN+SYN", "ENG",
	  "a SYN of either end is a new connection", test_closing_syn, NULL },
	{ "RFC7857 2 TRANS+SYN", "ENG",
	  "a SYN of either end is a new connection", test_trans_syn, NULL },
	{ "RFC7857 2 TRANS+SYN forged", "ENG",
	  "a SYN that the inside end denies shortens nothing",
	  test_trans_forged, NULL },
	{ "RFC7857 2 RST forged", "ENG",
	  "an RST outside the window costs an idle connection nothing",
	  test_forged_rst, NULL },
	{ "RFC7857 2 RST challenged", "ENG",
	  "the challenge ACK and the second RST pass (RFC 5961)",
	  test_challenge, NULL },
};

int main(int argc, char **argv)
{
	return requirement_run("rfc7857_states", table, COUNT(table), argc,
			       argv);
}
