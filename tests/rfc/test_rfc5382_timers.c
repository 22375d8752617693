/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * RFC 5382 (BCP 142): timers (REQ-5), what becomes of stray segments and of
 * full tables (section 5), and flags outside the window (section 9).
 */
#include "bench.h"
#include "tests/unit/tcp_lab.h"

#define T NAT_PROTO_TCP

/* --- timers --------------------------------------------------------------- */

/* Does an idle session in this state live for so long? */
static bool idle(enum nat_state state, enum nat_timer timer, uint32_t knob,
		 uint64_t ms)
{
	struct lab lab;
	bool lives;

	lab_make(&lab, true);
	if (knob) {
		lab.engine.config.timeout_s[timer] = knob;
		engine_configure(&lab.engine);
	}
	reach(&lab, state);
	later(&lab, ms);
	lives = alive(&lab);
	engine_free(&lab.engine);
	return lives;
}

/* On both sides of its edge. */
static void ends_at(enum nat_state state, enum nat_timer timer, uint32_t knob,
		    uint64_t ms)
{
	CU_ASSERT_TRUE(idle(state, timer, knob, ms - 1));
	CU_ASSERT_FALSE(idle(state, timer, knob, ms));
}

static void test_req_5_established(void)
{
	struct lab lab;

	ends_at(NAT_STATE_ESTABLISHED, NAT_TIMER_TCP_ESTABLISHED, 0,
		ESTABLISHED);
	lab_make(&lab, true);
	reach(&lab, NAT_STATE_ESTABLISHED);
	later(&lab, ESTABLISHED - 1);
	flags(&lab, SERVER, ACK | PSH);
	flags(&lab, CLIENT, ACK | PSH);
	CU_ASSERT_EQUAL(session(&lab).expires_ms, ESTABLISHED);
	engine_free(&lab.engine);
}

static void test_req_5_opening(void)
{
	struct lab lab;

	ends_at(NAT_STATE_INIT, NAT_TIMER_TCP_OPENING, 0, OPENING);
	lab_make(&lab, true);
	reach(&lab, NAT_STATE_INIT);
	later(&lab, 239 * SECOND);
	flags(&lab, SERVER, SYN | ACK);
	flags(&lab, CLIENT, ACK);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	engine_free(&lab.engine);
}

static void test_req_5_closing(void)
{
	ends_at(NAT_STATE_C_FIN_S_FIN, NAT_TIMER_TCP_CLOSING, 0, CLOSING);
	ends_at(NAT_STATE_TRANS, NAT_TIMER_TCP_CLOSING, 0, CLOSING);
}

static void test_req_5a(void)
{
	ends_at(NAT_STATE_INIT, NAT_TIMER_TCP_OPENING, 30, 30 * SECOND);
	ends_at(NAT_STATE_ESTABLISHED, NAT_TIMER_TCP_ESTABLISHED, 86400,
		86400 * SECOND);
	ends_at(NAT_STATE_C_FIN_S_FIN, NAT_TIMER_TCP_CLOSING, 600,
		600 * SECOND);
}

/* TIME_WAIT is held: old segments are still carried until the timer ends. */
static void test_sec_5_time_wait(void)
{
	struct lab lab;

	lab_make(&lab, true);
	reach(&lab, NAT_STATE_C_FIN_S_FIN);
	later(&lab, CLOSING - 1);
	flags(&lab, SERVER, FIN | ACK);
	flags(&lab, CLIENT, ACK);
	later(&lab, 1);
	CU_ASSERT_FALSE(alive(&lab));
	engine_free(&lab.engine);
}

/* --- stray segments ------------------------------------------------------- */

static const uint8_t strays[] = { ACK,	     ACK | PSH, FIN | ACK, RST,
				  SYN | ACK, RST | ACK, 0,	   FIN | SYN };

static void test_sec_5_stray_out(void)
{
	struct engine e;

	engine_make(&e);
	for (size_t i = 0; i < COUNT(strays); i++) {
		struct nat_result result = engine_tcp(
			&e, NAT_PATH_OUTBOUND,
			flow_of(INSIDE_1, 5000, PEER_1, 80), strays[i]);

		ASSERT_DROPPED(result, NAT_DROP_NO_SESSION);
		CU_ASSERT_EQUAL(result.answer_length, 0);
	}
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 0);
	engine_free(&e);
}

static void test_sec_5_stray_in(void)
{
	struct engine e;

	engine_make(&e);
	e.config.icmp_after_6s = true;
	engine_configure(&e);
	for (size_t i = 0; i < COUNT(strays); i++) {
		struct nat_result result = engine_tcp(
			&e, NAT_PATH_INBOUND, flow_of(PEER_1, 80, UPLINK, 5000),
			strays[i]);

		ASSERT_DROPPED(result, NAT_DROP_NO_MAPPING);
		CU_ASSERT_EQUAL(result.answer_length, 0);
	}
	bench_later(&e, MINUTE);
	CU_ASSERT_EQUAL(bench_outputs(&e, NULL), 0);
	engine_free(&e);
}

/* --- full tables ---------------------------------------------------------- */

#define ROOM 16U

/* ROOM half-open connections; the first is established. */
static void fill(struct engine *e)
{
	struct nat_limits limits = engine_limits;

	limits.mappings = limits.sessions = ROOM;
	engine_bare(e, &limits);
	engine_defaults(&e->config);
	engine_configure(e);
	nat_set_uplink(e->nat, UPLINK, e->now);
	e->now += 10 * SECOND;
	for (uint16_t i = 0; i < ROOM; i++)
		CU_ASSERT_NOT_EQUAL(engine_open(e, T,
						flow_of(INSIDE_1,
							(uint16_t)(5000 + i),
							PEER_1, 80)),
				    0);
	engine_answer(e, T, PEER_1, 80, 5000);
}

static void test_sec_5_full(void)
{
	struct nat_session_view view;
	struct engine e;

	fill(&e);
	e.now += OPENING - 1;
	ASSERT_DROPPED(engine_tcp(&e, NAT_PATH_OUTBOUND,
				  flow_of(INSIDE_2, 5000, PEER_1, 80), SYN),
		       NAT_DROP_TABLE_FULL);
	CU_ASSERT_EQUAL(engine_stats(&e).sessions, ROOM);
	e.now += 1; /* the half-open ones are over */
	CU_ASSERT_NOT_EQUAL(
		engine_open(&e, T, flow_of(INSIDE_2, 5000, PEER_1, 80)), 0);
	CU_ASSERT_TRUE(engine_session(&e, 5000, PEER_1, &view));
	engine_free(&e);
}

/* --- flags outside the window --------------------------------------------- */

/* The receiver expects 1000 and accepts 500 bytes. */
static enum nat_state after(uint8_t bits, enum end from, uint32_t seq)
{
	enum nat_state state;
	struct lab lab;

	lab_make(&lab, true);
	reach(&lab, NAT_STATE_ESTABLISHED);
	send(&lab, from,
	     (struct segment){
		     .flags = bits, .seq = seq, .ack = 1000, .window = 500 });
	state = session(&lab).state;
	engine_free(&lab.engine);
	return state;
}

static void test_sec_9_rst(void)
{
	for (enum end end = CLIENT; end <= SERVER; end++) {
		CU_ASSERT_EQUAL(after(RST, end, 1000), NAT_STATE_TRANS);
		CU_ASSERT_EQUAL(after(RST, end, 1499), NAT_STATE_TRANS);
		CU_ASSERT_EQUAL(after(RST, end, 1501), NAT_STATE_ESTABLISHED);
		CU_ASSERT_EQUAL(after(RST, end, 999), NAT_STATE_ESTABLISHED);
		CU_ASSERT_EQUAL(after(RST, end, 0x80001000U),
				NAT_STATE_ESTABLISHED);
	}
}

static void test_sec_9_fin(void)
{
	/* Its own number may lie just behind the last byte. */
	CU_ASSERT_EQUAL(after(FIN | ACK, CLIENT, 1500), NAT_STATE_C_FIN);
	CU_ASSERT_EQUAL(after(FIN | ACK, SERVER, 1500), NAT_STATE_S_FIN);
	for (enum end end = CLIENT; end <= SERVER; end++) {
		CU_ASSERT_EQUAL(after(FIN | ACK, end, 1501),
				NAT_STATE_ESTABLISHED);
		CU_ASSERT_EQUAL(after(FIN | ACK, end, 0x80001000U),
				NAT_STATE_ESTABLISHED);
	}
}

/* What its sender had in flight filled the window: the receiver takes it as
 * soon as that has come. */
static void test_sec_9_rst_full(void)
{
	for (enum end end = CLIENT; end <= SERVER; end++) {
		CU_ASSERT_EQUAL(after(RST, end, 1500), NAT_STATE_TRANS);
		CU_ASSERT_EQUAL(after(RST, end, 1501), NAT_STATE_ESTABLISHED);
	}
}

/* A FIN with data before it that had come already: its receiver's ACK was lost,
 * and the data is sent once more. */
static enum nat_state after_again(enum end from, uint32_t seq, uint16_t bytes)
{
	enum nat_state state;
	struct lab lab;

	lab_make(&lab, true);
	reach(&lab, NAT_STATE_ESTABLISHED);
	send(&lab, from,
	     (struct segment){ .flags = FIN | ACK,
			       .seq = seq,
			       .ack = 1000,
			       .window = 500,
			       .bytes = bytes });
	state = session(&lab).state;
	engine_free(&lab.engine);
	return state;
}

static void test_sec_9_fin_again(void)
{
	CU_ASSERT_EQUAL(after_again(CLIENT, 900, 100), NAT_STATE_C_FIN);
	CU_ASSERT_EQUAL(after_again(SERVER, 900, 100), NAT_STATE_S_FIN);
	CU_ASSERT_EQUAL(after_again(CLIENT, 900, 300), NAT_STATE_C_FIN);
	CU_ASSERT_EQUAL(after_again(CLIENT, 1000, 500), NAT_STATE_C_FIN);
	for (enum end end = CLIENT; end <= SERVER; end++) {
		CU_ASSERT_EQUAL(after_again(end, 900, 99),
				NAT_STATE_ESTABLISHED);
		CU_ASSERT_EQUAL(after_again(end, 1501, 100),
				NAT_STATE_ESTABLISHED);
	}
}

/* Sequence numbers are not altered, so SACK needs no care: the header is the
 * same but for port and checksum. */
static void test_sec_9_header(void)
{
	struct packet sent;
	struct lab lab;
	uint8_t *l4;

	lab_make(&lab, true);
	packet_tcp(&sent, lab.out,
		   (struct segment){ .flags = SYN,
				     .seq = 0xfffffff0U,
				     .window = 4000,
				     .scaled = true,
				     .scale = 7 });
	lab.engine.packet = sent;
	engine_run(&lab.engine, NAT_PATH_OUTBOUND);
	l4 = packet_l4(&lab.engine.packet);
	CU_ASSERT_EQUAL(memcmp(l4 + 2, packet_l4(&sent) + 2, 14), 0);
	CU_ASSERT_EQUAL(memcmp(l4 + 18, packet_l4(&sent) + 18, 6), 0);
	engine_free(&lab.engine);
}

static const struct requirement table[] = {
	{ "RFC5382 REQ-5 established", "MUST NOT",
	  "an idle established session lives 7,440 s", test_req_5_established,
	  NULL },
	{ "RFC5382 REQ-5 opening", "MUST NOT",
	  "a partially open session lives 240 s", test_req_5_opening, NULL },
	{ "RFC5382 REQ-5 closing", "MUST NOT", "a closing session lives 240 s",
	  test_req_5_closing, NULL },
	{ "RFC5382 REQ-5a", "MAY", "the timers are what the operator says",
	  test_req_5a, NULL },
	{ "RFC5382 5 TIME_WAIT", "MAY",
	  "segments of a closed connection pass until its timer ends",
	  test_sec_5_time_wait, NULL },
	{ "RFC5382 5 stray outbound", "MAY",
	  "a segment from inside without SYN and mapping is dropped silently",
	  test_sec_5_stray_out, NULL },
	{ "RFC5382 5 stray inbound", "MAY",
	  "a segment from outside without mapping is dropped silently",
	  test_sec_5_stray_in, NULL },
	{ "RFC5382 5 full", "ENG",
	  "what has expired makes room, nothing live does", test_sec_5_full,
	  NULL },
	{ "RFC5382 9 RST", "MUST NOT",
	  "an RST outside the window changes no state", test_sec_9_rst, NULL },
	{ "RFC5382 9 FIN", "MUST NOT",
	  "a FIN outside the window changes no state", test_sec_9_fin, NULL },
	{ "RFC5382 9 RST full", "MUST",
	  "an RST behind a full window of data counts", test_sec_9_rst_full,
	  NULL },
	{ "RFC5382 9 FIN again", "MUST",
	  "a FIN behind data that had come already counts",
	  test_sec_9_fin_again, NULL },
	{ "RFC5382 9 numbers", "MUST",
	  "sequence numbers and options are left as they are",
	  test_sec_9_header, NULL },
};

int main(int argc, char **argv)
{
	return requirement_run("rfc5382_timers", table, COUNT(table), argc,
			       argv);
}
