/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * DCCP's connections (RFC 4340 8, RFC 5596, RFC 5597 REQ-2 and REQ-5): every
 * type in every state from either side, and every timer at its edge.
 */
#include <stdio.h>

#include "engine.h"
#include "packets_other.h"
#include "suite.h"

#define OPENING (240 * SECOND)
#define ESTABLISHED (7440 * SECOND)
#define CLOSING (240 * SECOND)

enum end { INSIDE, OUTSIDE };

struct lab {
	struct engine engine;
	struct flow out;
	uint16_t port;
};

static void lab_make(struct lab *lab)
{
	engine_make(&lab->engine);
	lab->out = flow_of(INSIDE_1, 5000, PEER_1, 7000);
}

static struct nat_result try(struct lab *lab, enum end from, uint8_t type)
{
	struct flow in = flow_of(PEER_1, 7000, UPLINK, 5000);

	packet_dccp(&lab->engine.packet, from == INSIDE ? lab->out : in,
		    (struct dccp){ .type = type, .bytes = 8 });
	return engine_run(&lab->engine, from == INSIDE ? NAT_PATH_OUTBOUND :
							 NAT_PATH_INBOUND);
}

static void send(struct lab *lab, enum end from, uint8_t type)
{
	ASSERT_TRANSLATED(try(lab, from, type));
}

static void later(struct lab *lab, uint64_t ms)
{
	lab->engine.now += ms;
	nat_expire(lab->engine.nat, lab->engine.now, 1000);
}

static struct nat_session_view session(const struct lab *lab)
{
	struct nat_session_view view;

	engine_session(&lab->engine, 5000, PEER_1, &view);
	return view;
}

static bool alive(const struct lab *lab)
{
	struct nat_session_view view;

	return engine_session(&lab->engine, 5000, PEER_1, &view);
}

static void reach(struct lab *lab, enum nat_state state)
{
	send(lab, INSIDE, DCCP_T_REQUEST);
	if (state == NAT_STATE_INIT)
		return;
	send(lab, OUTSIDE, DCCP_T_RESPONSE);
	if (state == NAT_STATE_TRANS)
		send(lab, OUTSIDE, DCCP_T_RESET);
}

/* --- edges -------------------------------------------------------------- */

struct outcome {
	enum nat_state state;
	uint64_t restarted; /* 0: the timer runs on */
};

/* What RFC 5597 5.2 asks for, in words: a connection is open once the other
 * end has answered; a Close or Reset ends it, unless it goes on; a Request or
 * Listen begins, and one end alone can do no more than that. */
static struct outcome due(enum nat_state from, enum end end, uint8_t type)
{
	bool first = type == DCCP_T_REQUEST || type == DCCP_T_LISTEN;
	bool closes = type == DCCP_T_CLOSE || type == DCCP_T_RESET;

	if (first)
		return from == NAT_STATE_ESTABLISHED ?
			       (struct outcome){ from, 0 } :
			       (struct outcome){ NAT_STATE_INIT, OPENING };
	if (closes)
		return from == NAT_STATE_ESTABLISHED ?
			       (struct outcome){ NAT_STATE_TRANS, CLOSING } :
			       (struct outcome){ from, 0 };
	if (from == NAT_STATE_INIT && end == INSIDE)
		return (struct outcome){ from, 0 };
	return (struct outcome){ NAT_STATE_ESTABLISHED, ESTABLISHED };
}

static void follow(enum nat_state from, enum end end, uint8_t type)
{
	struct outcome to = due(from, end, type);
	struct nat_session_view before, after;
	struct lab lab;
	uint64_t left;
	bool good;

	lab_make(&lab);
	reach(&lab, from);
	later(&lab, 100 * SECOND);
	before = session(&lab);
	CU_ASSERT_EQUAL(before.state, from);
	send(&lab, end, type);
	after = session(&lab);
	left = to.restarted ? to.restarted : before.expires_ms;
	good = after.state == to.state && after.expires_ms == left;
	CU_ASSERT_TRUE(good);
	if (!good)
		printf("%s, type %d from %s: %s, %u s\n", nat_state_name(from),
		       type, end == INSIDE ? "inside" : "outside",
		       nat_state_name(after.state),
		       (unsigned)(after.expires_ms / SECOND));
	engine_free(&lab.engine);
}

static void test_edges(void)
{
	static const enum nat_state states[] = { NAT_STATE_INIT,
						 NAT_STATE_ESTABLISHED,
						 NAT_STATE_TRANS };

	for (size_t i = 0; i < 3; i++)
		for (uint8_t type = 0; type < DCCP_T_TYPES; type++) {
			follow(states[i], INSIDE, type);
			follow(states[i], OUTSIDE, type);
		}
}

/* Without a connection: only a Request and a Listen open one. */
static void test_first(void)
{
	for (uint8_t type = 0; type < DCCP_T_TYPES; type++) {
		bool opens = type == DCCP_T_REQUEST || type == DCCP_T_LISTEN;
		struct lab lab;

		lab_make(&lab);
		CU_ASSERT_EQUAL(try(&lab, INSIDE, type).drop,
				opens ? NAT_DROP_NONE : NAT_DROP_NO_SESSION);
		CU_ASSERT_EQUAL(engine_stats(&lab.engine).sessions, opens);
		engine_free(&lab.engine);
	}
}

/* Short sequence numbers are read as well: type and X are one byte. */
static void test_short(void)
{
	static const uint8_t types[] = { DCCP_T_DATA, DCCP_T_ACK,
					 DCCP_T_DATAACK };

	for (size_t i = 0; i < 3; i++) {
		struct lab lab;

		lab_make(&lab);
		reach(&lab, NAT_STATE_TRANS);
		packet_dccp(&lab.engine.packet, lab.out,
			    (struct dccp){ .type = types[i],
					   .is_short = true,
					   .bytes = 9 });
		ASSERT_TRANSLATED(engine_run(&lab.engine, NAT_PATH_OUTBOUND));
		CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
		engine_free(&lab.engine);
	}
}

/* --- lives -------------------------------------------------------------- */

/* Alive one millisecond before the end, gone at it. */
static void ends_after(enum nat_state state, uint64_t ms)
{
	struct lab lab;

	lab_make(&lab);
	reach(&lab, state);
	CU_ASSERT_EQUAL(session(&lab).expires_ms, ms);
	later(&lab, ms - 1);
	CU_ASSERT_TRUE(alive(&lab));
	CU_ASSERT_EQUAL(session(&lab).expires_ms, 1);
	later(&lab, 1);
	CU_ASSERT_FALSE(alive(&lab));
	CU_ASSERT_EQUAL(engine_stats(&lab.engine).mappings, 0);
	/* Followed to its end, its port does not rest (RFC 6888 REQ-8a). */
	CU_ASSERT_EQUAL(engine_stats(&lab.engine).ports[NAT_POOL_TCP].held, 0);
	engine_free(&lab.engine);
}

static void test_lives(void)
{
	ends_after(NAT_STATE_INIT, OPENING);
	ends_after(NAT_STATE_ESTABLISHED, ESTABLISHED);
	ends_after(NAT_STATE_TRANS, CLOSING);
}

/* The packet of the last millisecond keeps it, from either side. */
static void test_kept(void)
{
	struct lab lab;

	for (int from = INSIDE; from <= OUTSIDE; from++) {
		lab_make(&lab);
		reach(&lab, NAT_STATE_ESTABLISHED);
		later(&lab, ESTABLISHED - 1);
		CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_TRANS);
		send(&lab, (enum end)from, DCCP_T_ACK);
		CU_ASSERT_EQUAL(session(&lab).expires_ms, ESTABLISHED);
		CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
		engine_free(&lab.engine);
		lab_make(&lab);
		reach(&lab, NAT_STATE_INIT);
		later(&lab, OPENING - 1);
		send(&lab, OUTSIDE, DCCP_T_RESPONSE);
		CU_ASSERT_EQUAL(session(&lab).expires_ms, ESTABLISHED);
		engine_free(&lab.engine);
	}
}

static void test_idle(void)
{
	struct lab lab;

	/* The last 240 s of 7440 are spent in TRANS (design 7). */
	lab_make(&lab);
	reach(&lab, NAT_STATE_ESTABLISHED);
	later(&lab, 7200 * SECOND - 1);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	later(&lab, 1);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_TRANS);
	CU_ASSERT_EQUAL(session(&lab).expires_ms, CLOSING);
	engine_free(&lab.engine);
}

/* --- stories ------------------------------------------------------------ */

static void test_whole_life(void)
{
	struct lab lab;

	lab_make(&lab);
	send(&lab, INSIDE, DCCP_T_REQUEST);
	send(&lab, INSIDE, DCCP_T_REQUEST);
	send(&lab, OUTSIDE, DCCP_T_RESPONSE);
	send(&lab, INSIDE, DCCP_T_ACK);
	send(&lab, OUTSIDE, DCCP_T_DATAACK);
	send(&lab, OUTSIDE, DCCP_T_SYNC);
	send(&lab, INSIDE, DCCP_T_SYNCACK);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	send(&lab, OUTSIDE, DCCP_T_CLOSEREQ);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	send(&lab, INSIDE, DCCP_T_CLOSE);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_TRANS);
	later(&lab, 10 * SECOND);
	send(&lab, OUTSIDE, DCCP_T_RESET);
	/* The answer to the Close prolongs nothing. */
	CU_ASSERT_EQUAL(session(&lab).expires_ms, CLOSING - 10 * SECOND);
	CU_ASSERT_EQUAL(engine_stats(&lab.engine).sessions, 1);
	engine_free(&lab.engine);
}

/* RFC 5596: a server inside says Listen, the client's Request passes then. */
static void test_listen_request(void)
{
	static const enum nat_filter filters[] = {
		NAT_FILTER_ENDPOINT_INDEPENDENT,
		NAT_FILTER_ADDRESS_DEPENDENT,
		NAT_FILTER_ADDRESS_AND_PORT_DEPENDENT,
	};

	for (size_t i = 0; i < 3; i++) {
		struct lab lab;

		lab_make(&lab);
		lab.engine.config.filtering[NAT_POOL_TCP] = filters[i];
		engine_configure(&lab.engine);
		send(&lab, INSIDE, DCCP_T_LISTEN);
		CU_ASSERT_EQUAL(session(&lab).expires_ms, OPENING);
		later(&lab, 100 * SECOND);
		send(&lab, OUTSIDE, DCCP_T_REQUEST);
		CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_INIT);
		CU_ASSERT_EQUAL(session(&lab).expires_ms, OPENING);
		send(&lab, INSIDE, DCCP_T_RESPONSE);
		CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
		send(&lab, OUTSIDE, DCCP_T_ACK);
		CU_ASSERT_EQUAL(session(&lab).expires_ms, ESTABLISHED);
		CU_ASSERT_EQUAL(engine_stats(&lab.engine).sessions, 1);
		engine_free(&lab.engine);
	}
}

/* And a client inside whose server says Listen while the Request is away. */
static void test_crossing(void)
{
	struct lab lab;

	lab_make(&lab);
	send(&lab, INSIDE, DCCP_T_REQUEST);
	send(&lab, OUTSIDE, DCCP_T_LISTEN);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_INIT);
	send(&lab, OUTSIDE, DCCP_T_RESPONSE);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	engine_free(&lab.engine);
}

static void test_revived(void)
{
	struct lab lab;

	lab_make(&lab);
	reach(&lab, NAT_STATE_TRANS);
	later(&lab, CLOSING - 1);
	send(&lab, INSIDE, DCCP_T_DATA);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	CU_ASSERT_EQUAL(session(&lab).expires_ms, ESTABLISHED);
	engine_free(&lab.engine);
}

/* A refused Request: nobody has a connection, and none is kept for long. */
static void test_refused(void)
{
	struct lab lab;

	lab_make(&lab);
	send(&lab, INSIDE, DCCP_T_REQUEST);
	later(&lab, 10 * SECOND);
	send(&lab, OUTSIDE, DCCP_T_RESET);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_INIT);
	CU_ASSERT_EQUAL(session(&lab).expires_ms, OPENING - 10 * SECOND);
	engine_free(&lab.engine);
}

/* An outsider alone, let in by the filter, holds no connection open. */
static void test_outsider(void)
{
	struct flow in = flow_of(PEER_2, 9, UPLINK, 5000);
	struct nat_session_view view;
	struct lab lab;

	lab_make(&lab);
	lab.engine.config.filtering[NAT_POOL_TCP] =
		NAT_FILTER_ENDPOINT_INDEPENDENT;
	engine_configure(&lab.engine);
	reach(&lab, NAT_STATE_INIT);
	for (uint8_t type = 1; type < DCCP_T_TYPES; type++) {
		packet_dccp(&lab.engine.packet, in,
			    (struct dccp){ .type = type });
		ASSERT_TRANSLATED(engine_run(&lab.engine, NAT_PATH_INBOUND));
		CU_ASSERT_EQUAL(engine_stats(&lab.engine).sessions, 1);
	}
	packet_dccp(&lab.engine.packet, in, (struct dccp){ .type = 0 });
	ASSERT_TRANSLATED(engine_run(&lab.engine, NAT_PATH_INBOUND));
	CU_ASSERT_EQUAL(engine_stats(&lab.engine).sessions, 2);
	later(&lab, 10 * SECOND);
	packet_dccp(&lab.engine.packet, in,
		    (struct dccp){ .type = DCCP_T_DATA });
	ASSERT_TRANSLATED(engine_run(&lab.engine, NAT_PATH_INBOUND));
	engine_session(&lab.engine, 5000, PEER_2, &view);
	CU_ASSERT_EQUAL(view.state, NAT_STATE_INIT);
	CU_ASSERT_EQUAL(view.expires_ms, OPENING - 10 * SECOND);
	engine_free(&lab.engine);
}

static const struct test tests[] = {
	{ "every type in every state from either side", test_edges },
	{ "only a Request or a Listen opens a connection", test_first },
	{ "short sequence numbers are read", test_short },
	{ "each state lives as long as its timer", test_lives },
	{ "a packet in the last millisecond keeps it", test_kept },
	{ "an idle connection spends its last 240 s in TRANS", test_idle },
	{ "a connection from Request to Reset", test_whole_life },
	{ "a Request follows an inside server's Listen", test_listen_request },
	{ "a Listen may cross a Request", test_crossing },
	{ "data after a Reset revives it", test_revived },
	{ "a refused Request stays no longer", test_refused },
	{ "an outsider alone holds no connection open", test_outsider },
};

int main(int argc, char **argv)
{
	return suite_run("dccp", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
