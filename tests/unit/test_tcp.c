/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The TCP state machine, edge by edge (RFC 7857 2, RFC 6146 3.5.2.2), with the
 * client inside and with the client outside; seen as an operator sees it,
 * through nat_next_session().
 */
#include <stdio.h>

#include "suite.h"
#include "tcp_lab.h"

struct edge {
	enum nat_state from;
	enum end end;
	uint8_t bits;
	enum nat_state to;
	uint64_t restarted; /* 0: the timer runs on */
};

/* clang-format off */
static const struct edge edges[] = {
	{NAT_STATE_INIT, CLIENT, SYN, NAT_STATE_INIT, OPENING},
	{NAT_STATE_INIT, SERVER, SYN | ACK, NAT_STATE_ESTABLISHED, ESTABLISHED},
	{NAT_STATE_INIT, SERVER, SYN, NAT_STATE_ESTABLISHED, ESTABLISHED},
	{NAT_STATE_INIT, CLIENT, ACK, NAT_STATE_INIT, 0},
	{NAT_STATE_INIT, SERVER, ACK, NAT_STATE_INIT, 0},
	{NAT_STATE_INIT, CLIENT, FIN | ACK, NAT_STATE_INIT, 0},
	{NAT_STATE_INIT, SERVER, FIN | ACK, NAT_STATE_INIT, 0},
	{NAT_STATE_INIT, CLIENT, RST, NAT_STATE_INIT, 0},
	{NAT_STATE_INIT, SERVER, RST | ACK, NAT_STATE_INIT, 0},

	{NAT_STATE_ESTABLISHED, CLIENT, ACK, NAT_STATE_ESTABLISHED, ESTABLISHED},
	{NAT_STATE_ESTABLISHED, SERVER, ACK | PSH, NAT_STATE_ESTABLISHED,
	 ESTABLISHED},
	{NAT_STATE_ESTABLISHED, CLIENT, 0, NAT_STATE_ESTABLISHED, ESTABLISHED},
	{NAT_STATE_ESTABLISHED, SERVER, SYN | ACK, NAT_STATE_ESTABLISHED,
	 ESTABLISHED},
	{NAT_STATE_ESTABLISHED, CLIENT, SYN, NAT_STATE_ESTABLISHED, ESTABLISHED},
	{NAT_STATE_ESTABLISHED, CLIENT, FIN | ACK, NAT_STATE_C_FIN, 0},
	{NAT_STATE_ESTABLISHED, SERVER, FIN | ACK, NAT_STATE_S_FIN, 0},
	{NAT_STATE_ESTABLISHED, CLIENT, RST, NAT_STATE_TRANS, CLOSING},
	{NAT_STATE_ESTABLISHED, SERVER, RST | ACK, NAT_STATE_TRANS, CLOSING},
	{NAT_STATE_ESTABLISHED, SERVER, RST | FIN, NAT_STATE_TRANS, CLOSING},

	{NAT_STATE_C_FIN, SERVER, FIN | ACK, NAT_STATE_C_FIN_S_FIN, CLOSING},
	{NAT_STATE_C_FIN, CLIENT, FIN | ACK, NAT_STATE_C_FIN, ESTABLISHED},
	{NAT_STATE_C_FIN, SERVER, ACK | PSH, NAT_STATE_C_FIN, ESTABLISHED},
	{NAT_STATE_C_FIN, CLIENT, ACK, NAT_STATE_C_FIN, ESTABLISHED},
	{NAT_STATE_C_FIN, SERVER, RST, NAT_STATE_TRANS, CLOSING},

	{NAT_STATE_S_FIN, CLIENT, FIN | ACK, NAT_STATE_C_FIN_S_FIN, CLOSING},
	{NAT_STATE_S_FIN, SERVER, FIN | ACK, NAT_STATE_S_FIN, ESTABLISHED},
	{NAT_STATE_S_FIN, SERVER, ACK, NAT_STATE_S_FIN, ESTABLISHED},
	{NAT_STATE_S_FIN, CLIENT, ACK | PSH, NAT_STATE_S_FIN, ESTABLISHED},
	{NAT_STATE_S_FIN, CLIENT, RST | ACK, NAT_STATE_TRANS, CLOSING},

	{NAT_STATE_C_FIN_S_FIN, CLIENT, ACK, NAT_STATE_C_FIN_S_FIN, 0},
	{NAT_STATE_C_FIN_S_FIN, SERVER, ACK | PSH, NAT_STATE_C_FIN_S_FIN, 0},
	{NAT_STATE_C_FIN_S_FIN, CLIENT, FIN | ACK, NAT_STATE_C_FIN_S_FIN, 0},
	{NAT_STATE_C_FIN_S_FIN, SERVER, FIN | ACK, NAT_STATE_C_FIN_S_FIN, 0},
	{NAT_STATE_C_FIN_S_FIN, SERVER, RST, NAT_STATE_C_FIN_S_FIN, 0},
	{NAT_STATE_C_FIN_S_FIN, SERVER, SYN | ACK, NAT_STATE_C_FIN_S_FIN, 0},
	{NAT_STATE_C_FIN_S_FIN, CLIENT, SYN, NAT_STATE_INIT, OPENING},
	{NAT_STATE_C_FIN_S_FIN, SERVER, SYN, NAT_STATE_INIT, OPENING},

	{NAT_STATE_TRANS, CLIENT, ACK, NAT_STATE_ESTABLISHED, ESTABLISHED},
	{NAT_STATE_TRANS, SERVER, ACK | PSH, NAT_STATE_ESTABLISHED, ESTABLISHED},
	{NAT_STATE_TRANS, SERVER, SYN | ACK, NAT_STATE_ESTABLISHED, ESTABLISHED},
	{NAT_STATE_TRANS, CLIENT, FIN | ACK, NAT_STATE_ESTABLISHED, ESTABLISHED},
	{NAT_STATE_TRANS, CLIENT, RST, NAT_STATE_TRANS, 0},
	{NAT_STATE_TRANS, SERVER, RST | ACK, NAT_STATE_TRANS, 0},
	{NAT_STATE_TRANS, CLIENT, SYN, NAT_STATE_INIT, OPENING},
	{NAT_STATE_TRANS, SERVER, SYN, NAT_STATE_INIT, OPENING},
};
/* clang-format on */

static void follow(const struct edge *edge, bool client_inside)
{
	struct lab lab;
	struct nat_session_view before, after;
	uint64_t due;

	lab_make(&lab, client_inside);
	reach(&lab, edge->from);
	later(&lab, 100 * SECOND);
	before = session(&lab);
	CU_ASSERT_EQUAL(before.state, edge->from);
	flags(&lab, edge->end, edge->bits);
	after = session(&lab);
	due = edge->restarted ? edge->restarted : before.expires_ms;
	/* Unanswered, it keeps nothing alive (RFC 7857 7.1). */
	if (!client_inside && edge->from == NAT_STATE_INIT &&
	    edge->end == CLIENT)
		due = before.expires_ms;
	CU_ASSERT_EQUAL(after.state, edge->to);
	CU_ASSERT_EQUAL(after.expires_ms, due);
	if (after.state != edge->to || after.expires_ms != due)
		printf("client %s, %s, %s sends %#x: %s, %u s\n",
		       client_inside ? "inside" : "outside",
		       nat_state_name(edge->from),
		       edge->end == CLIENT ? "client" : "server", edge->bits,
		       nat_state_name(after.state),
		       (unsigned)(after.expires_ms / SECOND));
	engine_free(&lab.engine);
}

static void test_edges_inside(void)
{
	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++)
		follow(&edges[i], true);
}

static void test_edges_outside(void)
{
	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++)
		follow(&edges[i], false);
}

/* An outsider's SYN does not cut a connection that the inside end goes on with;
 * one that it answers by a SYN is a new one. */
static void test_doubtful_syn(void)
{
	struct lab lab;

	lab_make(&lab, true);
	reach(&lab, NAT_STATE_TRANS);
	flags(&lab, SERVER, SYN);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_INIT);
	flags(&lab, SERVER, ACK | PSH);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_INIT);
	flags(&lab, CLIENT, ACK);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	CU_ASSERT_EQUAL(session(&lab).expires_ms, ESTABLISHED);
	engine_free(&lab.engine);
	lab_make(&lab, true);
	reach(&lab, NAT_STATE_TRANS);
	flags(&lab, SERVER, SYN);
	flags(&lab, CLIENT, SYN | ACK);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	engine_free(&lab.engine);
}

/* --- lives ---------------------------------------------------------------- */

/* Alive one millisecond before the end, gone at it. */
static void ends_after(enum nat_state state, uint64_t ms)
{
	struct lab lab;

	lab_make(&lab, true);
	reach(&lab, state);
	CU_ASSERT_EQUAL(session(&lab).expires_ms, ms);
	later(&lab, ms - 1);
	CU_ASSERT_TRUE(alive(&lab));
	CU_ASSERT_EQUAL(session(&lab).expires_ms, 1);
	later(&lab, 1);
	CU_ASSERT_FALSE(alive(&lab));
	CU_ASSERT_EQUAL(engine_stats(&lab.engine).sessions, 0);
	engine_free(&lab.engine);
}

static void test_lives(void)
{
	ends_after(NAT_STATE_INIT, OPENING);
	ends_after(NAT_STATE_ESTABLISHED, ESTABLISHED);
	ends_after(NAT_STATE_C_FIN, ESTABLISHED);
	ends_after(NAT_STATE_S_FIN, ESTABLISHED);
	ends_after(NAT_STATE_C_FIN_S_FIN, CLOSING);
	ends_after(NAT_STATE_TRANS, CLOSING);
}

static void test_idle(void)
{
	struct lab lab;

	lab_make(&lab, true);
	reach(&lab, NAT_STATE_ESTABLISHED);
	later(&lab, 7200 * SECOND - 1);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	CU_ASSERT_EQUAL(session(&lab).expires_ms, CLOSING + 1);
	later(&lab, 1);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_TRANS);
	CU_ASSERT_EQUAL(session(&lab).expires_ms, CLOSING);
	/* RFC 5382 REQ-5: 7,430 s of silence, then data. */
	later(&lab, 230 * SECOND);
	flags(&lab, SERVER, ACK | PSH);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	CU_ASSERT_EQUAL(session(&lab).expires_ms, ESTABLISHED);
	engine_free(&lab.engine);
}

static void test_slow_handshake(void)
{
	struct lab lab;

	lab_make(&lab, true);
	flags(&lab, CLIENT, SYN);
	later(&lab, 239 * SECOND);
	flags(&lab, SERVER, SYN | ACK);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	engine_free(&lab.engine);
}

static void test_half_close(void)
{
	struct lab lab;

	/* One side has finished, the other sends for hours. */
	lab_make(&lab, true);
	reach(&lab, NAT_STATE_C_FIN);
	for (int i = 0; i < 5; i++) {
		later(&lab, 7000 * SECOND);
		flags(&lab, SERVER, ACK | PSH);
		flags(&lab, CLIENT, ACK);
		CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_C_FIN);
	}
	/* FIN retransmitted by the same side does not count twice. */
	flags(&lab, CLIENT, FIN | ACK);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_C_FIN);
	engine_free(&lab.engine);
}

static void test_closed_runs_out(void)
{
	struct lab lab;

	lab_make(&lab, true);
	reach(&lab, NAT_STATE_C_FIN_S_FIN);
	for (int i = 0; i < 23; i++) {
		later(&lab, 10 * SECOND);
		flags(&lab, i % 2 ? CLIENT : SERVER, ACK);
	}
	CU_ASSERT_EQUAL(session(&lab).expires_ms, 10 * SECOND);
	later(&lab, 10 * SECOND);
	CU_ASSERT_FALSE(alive(&lab));
	engine_free(&lab.engine);
}

static void test_simultaneous_close(void)
{
	struct lab lab;

	lab_make(&lab, true);
	reach(&lab, NAT_STATE_ESTABLISHED);
	flags(&lab, SERVER, FIN | ACK);
	flags(&lab, CLIENT, FIN | ACK);
	flags(&lab, SERVER, ACK);
	flags(&lab, CLIENT, ACK);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_C_FIN_S_FIN);
	engine_free(&lab.engine);
}

/* --- opening ---------------------------------------------------------------- */

static void test_simultaneous_open(void)
{
	static const enum nat_filter filters[] = {
		NAT_FILTER_ENDPOINT_INDEPENDENT,
		NAT_FILTER_ADDRESS_DEPENDENT,
		NAT_FILTER_ADDRESS_AND_PORT_DEPENDENT,
	};

	/* RFC 5382 REQ-2a, whatever the filter. */
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		struct lab lab;

		lab_make(&lab, true);
		lab.engine.config.filtering[NAT_POOL_TCP] = filters[i];
		engine_configure(&lab.engine);
		flags(&lab, CLIENT, SYN);
		flags(&lab, SERVER, SYN);
		CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
		flags(&lab, CLIENT, SYN | ACK);
		flags(&lab, SERVER, SYN | ACK);
		flags(&lab, SERVER, ACK | PSH);
		CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
		CU_ASSERT_EQUAL(session(&lab).expires_ms, ESTABLISHED);
		engine_free(&lab.engine);
	}
}

static void test_reuse(void)
{
	struct lab lab;

	lab_make(&lab, true);
	reach(&lab, NAT_STATE_C_FIN_S_FIN);
	later(&lab, SECOND);
	/* A smaller initial sequence number is legal. */
	send(&lab, CLIENT, (struct segment){ .flags = SYN, .seq = 5 });
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_INIT);
	flags(&lab, SERVER, SYN | ACK);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	flags(&lab, CLIENT, FIN | ACK);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_C_FIN);
	CU_ASSERT_EQUAL(engine_stats(&lab.engine).sessions, 1);
	engine_free(&lab.engine);
}

static void test_reuse_swaps_roles(void)
{
	struct lab lab;

	/* The old server opens the next connection: it is the client now. */
	lab_make(&lab, true);
	reach(&lab, NAT_STATE_C_FIN_S_FIN);
	flags(&lab, SERVER, SYN);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_INIT);
	flags(&lab, CLIENT, SYN | ACK);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	flags(&lab, SERVER, FIN | ACK);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_C_FIN);
	engine_free(&lab.engine);
}

static void test_port_at_once(void)
{
	struct lab lab;

	/* RFC 6888 REQ-8a: followed to its end, the port is free again. */
	lab_make(&lab, true);
	reach(&lab, NAT_STATE_C_FIN_S_FIN);
	later(&lab, CLOSING);
	CU_ASSERT_EQUAL(engine_open(&lab.engine, NAT_PROTO_TCP,
				    flow_of(INSIDE_2, 5000, PEER_2, 80)),
			5000);
	engine_free(&lab.engine);
}

static const struct test tests[] = {
	{ "every edge holds with the client inside", test_edges_inside },
	{ "every edge holds with the client outside", test_edges_outside },
	{ "an outsider's SYN cuts no connection that goes on",
	  test_doubtful_syn },
	{ "each state lives as long as its timer", test_lives },
	{ "an idle connection spends its last 240 s in TRANS", test_idle },
	{ "a handshake may take 239 s", test_slow_handshake },
	{ "a half-closed connection lives as long as an open one",
	  test_half_close },
	{ "nothing prolongs a connection closed by both sides",
	  test_closed_runs_out },
	{ "FINs that cross close the connection", test_simultaneous_close },
	{ "SYNs that cross open it whatever the filter",
	  test_simultaneous_open },
	{ "a SYN on a closing connection opens a new one", test_reuse },
	{ "the one who sends that SYN is the client", test_reuse_swaps_roles },
	{ "a closed connection's port is free at once", test_port_at_once },
};

int main(int argc, char **argv)
{
	return suite_run("tcp", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
