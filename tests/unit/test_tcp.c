/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The TCP state machine, edge by edge (RFC 7857 2, RFC 6146 3.5.2.2), with the
 * client inside and with the client outside; seen as an operator sees it,
 * through nat_next_session().
 */
#include <stdio.h>

#include "engine.h"
#include "suite.h"

#define OPENING (240 * SECOND)
#define ESTABLISHED (7440 * SECOND)
#define CLOSING (240 * SECOND)

enum end { CLIENT, SERVER };

struct lab {
	struct engine engine;
	bool client_inside;
	struct flow out; /* inside socket to peer */
	uint16_t port; /* outside */
};

static const struct nat_forward web = { .name = "web",
					.proto = NAT_PROTO_TCP,
					.outside_first = 8080,
					.outside_last = 8080,
					.inside_addr = INSIDE_1,
					.inside_first = 80 };

static void lab_make(struct lab *lab, bool client_inside)
{
	engine_make(&lab->engine);
	lab->engine.config.forwards = &web;
	lab->engine.config.forward_count = 1;
	engine_configure(&lab->engine);
	lab->client_inside = client_inside;
	lab->port = client_inside ? 5000 : 8080;
	lab->out = flow_of(INSIDE_1, client_inside ? 5000 : 80, PEER_1, 7000);
}

static void send(struct lab *lab, enum end from, struct segment segment)
{
	bool outbound = (from == CLIENT) == lab->client_inside;
	struct flow in = flow_of(PEER_1, 7000, UPLINK, lab->port);

	packet_tcp(&lab->engine.packet, outbound ? lab->out : in, segment);
	ASSERT_TRANSLATED(engine_run(&lab->engine, outbound ?
							   NAT_PATH_OUTBOUND :
							   NAT_PATH_INBOUND));
}

/* Every segment has sequence number 1000 and acknowledges 1000: right in the
 * window of the other end. */
static void flags(struct lab *lab, enum end from, uint8_t bits)
{
	send(lab, from,
	     (struct segment){ .flags = bits,
			       .seq = 1000,
			       .ack = bits & ACK ? 1000 : 0,
			       .window = 500 });
}

static void later(struct lab *lab, uint64_t ms)
{
	lab->engine.now += ms;
	nat_expire(lab->engine.nat, lab->engine.now, 1000);
}

static struct nat_session_view session(const struct lab *lab)
{
	struct nat_session_view view;

	view.expires_ms = 0;
	engine_session(&lab->engine, lab->out.sport, PEER_1, &view);
	return view;
}

static bool alive(const struct lab *lab)
{
	struct nat_session_view view;

	return engine_session(&lab->engine, lab->out.sport, PEER_1, &view);
}

/* The shortest way into each state. */
static void reach(struct lab *lab, enum nat_state state)
{
	flags(lab, CLIENT, SYN);
	if (state == NAT_STATE_INIT)
		return;
	flags(lab, SERVER, SYN | ACK);
	flags(lab, CLIENT, ACK);
	if (state == NAT_STATE_TRANS)
		flags(lab, SERVER, RST);
	if (state == NAT_STATE_C_FIN || state == NAT_STATE_C_FIN_S_FIN)
		flags(lab, CLIENT, FIN | ACK);
	if (state == NAT_STATE_S_FIN || state == NAT_STATE_C_FIN_S_FIN)
		flags(lab, SERVER, FIN | ACK);
}

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

/* --- RST (RFC 7857 2.2, RFC 5961) ----------------------------------------------- */

/* Established; the client expects 1000 and accepts 500 bytes from there. */
static enum nat_state after_rst(enum end from, uint32_t seq)
{
	struct lab lab;
	enum nat_state state;

	lab_make(&lab, true);
	reach(&lab, NAT_STATE_ESTABLISHED);
	send(&lab, from, (struct segment){ .flags = RST, .seq = seq });
	state = session(&lab).state;
	engine_free(&lab.engine);
	return state;
}

static void test_rst_window(void)
{
	for (int end = CLIENT; end <= SERVER; end++) {
		enum end from = (enum end)end;

		CU_ASSERT_EQUAL(after_rst(from, 1000), NAT_STATE_TRANS);
		CU_ASSERT_EQUAL(after_rst(from, 1499), NAT_STATE_TRANS);
		CU_ASSERT_EQUAL(after_rst(from, 1500), NAT_STATE_ESTABLISHED);
		CU_ASSERT_EQUAL(after_rst(from, 999), NAT_STATE_ESTABLISHED);
		CU_ASSERT_EQUAL(after_rst(from, 0x80001000),
				NAT_STATE_ESTABLISHED);
	}
}

static void test_rst_wraps(void)
{
	struct lab lab;

	lab_make(&lab, true);
	reach(&lab, NAT_STATE_ESTABLISHED);
	send(&lab, CLIENT,
	     (struct segment){ .flags = ACK, .ack = 0xffffff00, .window = 500 });
	send(&lab, SERVER, (struct segment){ .flags = RST, .seq = 500 });
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	send(&lab, SERVER, (struct segment){ .flags = RST, .seq = 100 });
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_TRANS);
	engine_free(&lab.engine);
}

static void test_rst_zero_window(void)
{
	struct lab lab;

	lab_make(&lab, true);
	reach(&lab, NAT_STATE_ESTABLISHED);
	send(&lab, CLIENT, (struct segment){ .flags = ACK, .ack = 1000 });
	send(&lab, SERVER, (struct segment){ .flags = RST, .seq = 1001 });
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	send(&lab, SERVER, (struct segment){ .flags = RST, .seq = 1000 });
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_TRANS);
	engine_free(&lab.engine);
}

/* Both offer a scale of 7; the client's window of 500 is then 64,000. */
static enum nat_state after_scaled_rst(bool server_scales, uint32_t seq)
{
	struct segment syn = { .flags = SYN, .scaled = true, .scale = 7 };
	struct segment answer = { .flags = SYN | ACK,
				  .ack = 1,
				  .scaled = server_scales,
				  .scale = 7 };
	struct lab lab;
	enum nat_state state;

	lab_make(&lab, true);
	send(&lab, CLIENT, syn);
	send(&lab, SERVER, answer);
	flags(&lab, CLIENT, ACK);
	send(&lab, SERVER, (struct segment){ .flags = RST, .seq = seq });
	state = session(&lab).state;
	engine_free(&lab.engine);
	return state;
}

static void test_rst_scaled(void)
{
	CU_ASSERT_EQUAL(after_scaled_rst(true, 1000 + 63999),
			NAT_STATE_TRANS);
	CU_ASSERT_EQUAL(after_scaled_rst(true, 1000 + 64000),
			NAT_STATE_ESTABLISHED);
	/* Scaling needs both (RFC 7323 2.2). */
	CU_ASSERT_EQUAL(after_scaled_rst(false, 1000 + 500),
			NAT_STATE_ESTABLISHED);
}

static void test_forged_rst(void)
{
	struct lab lab;

	lab_make(&lab, true);
	reach(&lab, NAT_STATE_ESTABLISHED);
	later(&lab, 10 * SECOND);
	send(&lab, SERVER, (struct segment){ .flags = RST, .seq = 77777 });
	CU_ASSERT_EQUAL(session(&lab).expires_ms, ESTABLISHED - 10 * SECOND);
	later(&lab, 300 * SECOND);
	flags(&lab, SERVER, ACK | PSH);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	engine_free(&lab.engine);
}

static void test_data_after_rst(void)
{
	struct lab lab;

	lab_make(&lab, true);
	reach(&lab, NAT_STATE_TRANS);
	later(&lab, 10 * SECOND);
	flags(&lab, CLIENT, ACK | PSH);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	CU_ASSERT_EQUAL(session(&lab).expires_ms, ESTABLISHED);
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
	{ "an RST counts inside the receiver's window only", test_rst_window },
	{ "the window wraps around", test_rst_wraps },
	{ "a closed window takes the exact number only",
	  test_rst_zero_window },
	{ "the window is scaled when both sides offered it", test_rst_scaled },
	{ "a forged RST costs an idle connection nothing", test_forged_rst },
	{ "data after an RST brings the connection back",
	  test_data_after_rst },
	{ "a closed connection's port is free at once", test_port_at_once },
};

int main(int argc, char **argv)
{
	return suite_run("tcp", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
