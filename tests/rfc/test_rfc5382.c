/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * RFC 5382 (BCP 142), NAT behaviour for TCP: mapping, the sequences that have
 * to pass, hairpinning, ICMP. Its policy, its timers and its security notes
 * have their own files.
 */
#include "bench.h"
#include "tests/unit/tcp_lab.h"

#define T NAT_PROTO_TCP

static const struct flow first_flow = { INSIDE_1, 5000, PEER_1, 80 };

static struct flow from(uint32_t peer, uint16_t peer_port, uint16_t port)
{
	return flow_of(peer, peer_port, UPLINK, port);
}

/* --- mapping -------------------------------------------------------------- */

static void test_req_1(void)
{
	struct engine e;
	struct flow flow = first_flow;
	uint16_t port;

	engine_make(&e);
	port = engine_open(&e, T, flow);
	CU_ASSERT_NOT_EQUAL(port, 0);
	for (uint32_t i = 0; i < 54; i++) {
		flow.dst = i % 2 ? PEER_1 + i : PEER_1;
		flow.dport = (uint16_t)(80 + i);
		CU_ASSERT_EQUAL(engine_open(&e, T, flow), port);
	}
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 1);
	engine_free(&e);
}

static void test_req_7(void)
{
	struct flow other = first_flow;
	struct engine e;
	uint16_t a, b;

	engine_make(&e);
	other.src = INSIDE_2;
	a = engine_open(&e, T, first_flow);
	b = engine_open(&e, T, other);
	CU_ASSERT_TRUE(a && b && a != b);
	CU_ASSERT_TRUE(
		bench_reaches(&e, T, from(PEER_1, 80, a), INSIDE_1, 5000));
	CU_ASSERT_TRUE(
		bench_reaches(&e, T, from(PEER_1, 80, b), INSIDE_2, 5000));
	engine_free(&e);
}

/* --- sequences (RFC 9293) -------------------------------------------------- */

/* send() asserts that each segment is translated. */
static void data(struct lab *lab, enum end end, uint16_t bytes)
{
	send(lab, end,
	     (struct segment){ .flags = ACK | PSH,
			       .seq = 1000,
			       .ack = 1000,
			       .window = 500,
			       .bytes = bytes });
}

static void make_open(struct lab *lab, bool client_inside)
{
	lab_make(lab, client_inside);
	reach(lab, NAT_STATE_ESTABLISHED);
	CU_ASSERT_EQUAL(session(lab).state, NAT_STATE_ESTABLISHED);
}

/* A lifetime in which one end closes first and the other goes on sending. */
static void close_half(bool client_inside, enum end closing)
{
	enum end other = closing == CLIENT ? SERVER : CLIENT;
	struct lab lab;

	make_open(&lab, client_inside);
	data(&lab, CLIENT, 100);
	flags(&lab, SERVER, ACK);
	data(&lab, SERVER, 300);
	send(&lab, closing, /* with its last data */
	     (struct segment){ .flags = FIN | ACK | PSH,
			       .seq = 1000,
			       .ack = 1000,
			       .window = 500,
			       .bytes = 20 });
	for (int i = 0; i < 10; i++) {
		later(&lab, 3600 * SECOND);
		data(&lab, other, 200);
		flags(&lab, closing, ACK);
	}
	flags(&lab, other, FIN | ACK);
	flags(&lab, closing, ACK);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_C_FIN_S_FIN);
	engine_free(&lab.engine);
}

static void test_req_2_inside(void)
{
	close_half(true, CLIENT);
	close_half(true, SERVER);
}

static void test_req_2_outside(void)
{
	close_half(false, CLIENT);
	close_half(false, SERVER);
}

static void test_req_2_simultaneous_close(void)
{
	struct lab lab;

	for (int inside = 0; inside < 2; inside++) {
		make_open(&lab, inside);
		flags(&lab, CLIENT, FIN | ACK);
		flags(&lab, SERVER, FIN | ACK);
		flags(&lab, CLIENT, ACK);
		flags(&lab, SERVER, ACK);
		flags(&lab, SERVER, FIN | ACK); /* its ACK was lost */
		flags(&lab, CLIENT, ACK);
		CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_C_FIN_S_FIN);
		engine_free(&lab.engine);
	}
}

/* Retransmitted SYNs, keep-alives before the window, urgent data, a closed
 * window and its probes: what is odd passes as well. */
static void test_req_2_odd(void)
{
	static const uint8_t odd[] = { ACK, ACK | PSH, ACK | 0x20,
				       0,   0xff,      FIN | SYN };
	struct lab lab;

	for (int inside = 0; inside < 2; inside++) {
		lab_make(&lab, inside);
		flags(&lab, CLIENT, SYN);
		flags(&lab, CLIENT, SYN);
		flags(&lab, SERVER, SYN | ACK);
		flags(&lab, SERVER, SYN | ACK);
		flags(&lab, CLIENT, ACK);
		for (size_t i = 0; i < COUNT(odd); i++)
			for (enum end end = CLIENT; end <= SERVER; end++) {
				struct segment s = { .flags = odd[i],
						     .seq = 999,
						     .ack = 1000 };

				send(&lab, end, s);
				s.seq = 0x80000000;
				s.bytes = 1;
				send(&lab, end, s);
			}
		CU_ASSERT_TRUE(alive(&lab));
		engine_free(&lab.engine);
	}
}

/* Both SYNs cross, then both SYN-ACKs. */
static void open_at_once(enum nat_filter filter)
{
	struct nat_session_view view;
	struct engine e;
	uint16_t port;

	engine_make(&e);
	bench_filter(&e, filter);
	port = engine_open(&e, T, first_flow);
	ASSERT_TRANSLATED(
		engine_tcp(&e, NAT_PATH_INBOUND, from(PEER_1, 80, port), SYN));
	ASSERT_TRANSLATED(
		engine_tcp(&e, NAT_PATH_OUTBOUND, first_flow, SYN | ACK));
	ASSERT_TRANSLATED(engine_tcp(&e, NAT_PATH_INBOUND,
				     from(PEER_1, 80, port), SYN | ACK));
	CU_ASSERT_TRUE(engine_session(&e, 5000, PEER_1, &view));
	CU_ASSERT_EQUAL(view.state, NAT_STATE_ESTABLISHED);
	CU_ASSERT_EQUAL(engine_stats(&e).sessions, 1);
	engine_free(&e);
}

static void test_req_2a_independent(void)
{
	open_at_once(NAT_FILTER_ENDPOINT_INDEPENDENT);
}

static void test_req_2a_address(void)
{
	open_at_once(NAT_FILTER_ADDRESS_DEPENDENT);
}

static void test_req_2a_port(void)
{
	open_at_once(NAT_FILTER_ADDRESS_AND_PORT_DEPENDENT);
}

/* --- payload, hairpin, ICMP ------------------------------------------------ */

static void test_req_6(void)
{
	static const uint16_t ports[] = { 21, 554, 1720, 1723, 5060, 6667 };
	struct engine e;

	engine_make(&e);
	for (size_t i = 0; i < COUNT(ports); i++) {
		struct flow flow = first_flow;
		struct packet sent;

		flow.dport = ports[i];
		engine_open(&e, T, flow);
		packet_tcp(&sent, flow,
			   (struct segment){ .flags = ACK | PSH,
					     .seq = 77,
					     .ack = 88,
					     .window = 9,
					     .bytes = 40 });
		memcpy(packet_l4(&sent) + 20, "PORT 192,168,1,10,19,136\r\n",
		       26);
		e.packet = sent;
		ASSERT_TRANSLATED(engine_run(&e, NAT_PATH_OUTBOUND));
		CU_ASSERT_EQUAL(memcmp(packet_l4(&e.packet) + 20,
				       packet_l4(&sent) + 20, 40),
				0);
	}
	engine_free(&e);
}

/* INSIDE_1 serves by the forward "web" of tcp_lab.h, INSIDE_2 connects. */
static void turn(struct engine *e, struct flow flow, uint8_t bits,
		 struct flow expected)
{
	packet_tcp(&e->packet, flow,
		   (struct segment){ .flags = bits,
				     .seq = 1000,
				     .ack = bits & ACK ? 1000 : 0,
				     .window = 500 });
	ASSERT_TRANSLATED(bench_hairpin(e));
	ASSERT_FLOW(e, expected.src, expected.sport, expected.dst,
		    expected.dport);
}

/* A whole handshake; both sessions follow it. */
static void connect_by(struct engine *e, uint32_t server, uint16_t server_port,
		       uint16_t outside)
{
	struct flow to = flow_of(INSIDE_2, 6000, UPLINK, outside);
	struct nat_session_view view;
	struct flow back;

	packet_tcp(&e->packet, to, (struct segment){ .flags = SYN });
	ASSERT_TRANSLATED(bench_hairpin(e));
	back = flow_of(server, server_port, UPLINK,
		       bench_port(e, T, INSIDE_2, 6000));
	ASSERT_FLOW(e, UPLINK, back.dport, server, server_port);
	turn(e, back, SYN | ACK, flow_of(UPLINK, outside, INSIDE_2, 6000));
	turn(e, to, ACK, flow_of(UPLINK, back.dport, server, server_port));
	CU_ASSERT_TRUE(engine_session(e, 6000, UPLINK, &view));
	CU_ASSERT_EQUAL(view.state, NAT_STATE_ESTABLISHED);
	CU_ASSERT_TRUE(engine_session(e, server_port, UPLINK, &view));
	CU_ASSERT_EQUAL(view.state, NAT_STATE_ESTABLISHED);
}

static void test_req_8(void)
{
	struct lab lab;

	lab_make(&lab, false);
	connect_by(&lab.engine, INSIDE_1, 80, 8080);
	engine_free(&lab.engine);
}

static void test_req_8_dynamic(void)
{
	struct engine e;

	engine_make(&e);
	bench_filter(&e, NAT_FILTER_ENDPOINT_INDEPENDENT);
	connect_by(&e, INSIDE_1, 5000, engine_open(&e, T, first_flow));
	engine_free(&e);
}

static void test_req_8a(void)
{
	struct lab lab;
	uint16_t port;

	lab_make(&lab, false);
	packet_tcp(&lab.engine.packet, flow_of(INSIDE_2, 6000, UPLINK, 8080),
		   (struct segment){ .flags = SYN });
	ASSERT_TRANSLATED(bench_hairpin(&lab.engine));
	port = bench_port(&lab.engine, T, INSIDE_2, 6000);
	CU_ASSERT_NOT_EQUAL(port, 0);
	CU_ASSERT_EQUAL(packet_flow(&lab.engine.packet).src, UPLINK);
	CU_ASSERT_EQUAL(packet_flow(&lab.engine.packet).sport, port);
	engine_free(&lab.engine);
}

static void test_req_9(void)
{
	struct packet left;
	struct engine e;

	engine_make(&e);
	engine_open(&e, T, first_flow);
	left = e.packet;
	for (uint8_t code = 0; code < 16; code++) {
		const uint8_t *icmp;

		ASSERT_TRANSLATED(
			bench_error(&e, PEER_2, 3, code, 1300, &left));
		icmp = packet_l4(&e.packet);
		CU_ASSERT_EQUAL(packet_flow(&e.packet).dst, INSIDE_1);
		CU_ASSERT_EQUAL(icmp[1], code);
		CU_ASSERT_EQUAL(packet_get32(icmp + 4), 1300); /* the MTU */
		CU_ASSERT_EQUAL(packet_get32(icmp + 8 + 12), INSIDE_1);
		CU_ASSERT_EQUAL(packet_get16(icmp + 8 + 20), 5000);
	}
	engine_free(&e);
}

/* A forward goes on without state when it has as many sessions as outsiders may
 * open: its host has to learn of a narrow path all the same. */
static void test_req_9_full(void)
{
	struct packet left;
	struct lab lab;

	lab_make(&lab, false);
	lab.engine.config.mapping_sessions = 4;
	engine_configure(&lab.engine);
	for (uint16_t port = 1; port <= 4; port++)
		ASSERT_TRANSLATED(engine_tcp(&lab.engine, NAT_PATH_INBOUND,
					     from(PEER_1, port, lab.port),
					     SYN));
	CU_ASSERT_EQUAL(engine_stats(&lab.engine).sessions, 2);
	ASSERT_TRANSLATED(engine_tcp(&lab.engine, NAT_PATH_OUTBOUND,
				     flow_of(INSIDE_1, 80, PEER_1, 4),
				     SYN | ACK));
	left = lab.engine.packet;
	ASSERT_TRANSLATED(bench_error(&lab.engine, PEER_2, 3, 4, 1300, &left));
	CU_ASSERT_EQUAL(packet_flow(&lab.engine.packet).dst, INSIDE_1);
	CU_ASSERT_EQUAL(packet_get16(packet_l4(&lab.engine.packet) + 28), 80);
	engine_free(&lab.engine);
}

static void test_req_10(void)
{
	static const uint8_t types[] = { 3, 4, 5, 11, 12 };
	struct nat_session_view before;
	struct packet left;
	struct lab lab;

	make_open(&lab, true);
	later(&lab, 10 * SECOND);
	packet_tcp(&left, flow_of(UPLINK, lab.port, PEER_1, 7000),
		   (struct segment){ .flags = ACK, .seq = 1000, .ack = 1000 });
	before = session(&lab);
	for (size_t i = 0; i < COUNT(types); i++)
		for (uint8_t code = 0; code < 16; code++)
			bench_error(&lab.engine, PEER_2, types[i], code, 0,
				    &left);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	CU_ASSERT_EQUAL(session(&lab).expires_ms, before.expires_ms);
	flags(&lab, SERVER, ACK);
	flags(&lab, CLIENT, ACK);
	engine_free(&lab.engine);
}

static const struct requirement table[] = {
	{ "RFC5382 REQ-1", "MUST", "all peers see one outside socket",
	  test_req_1, NULL },
	{ "RFC5382 REQ-2 inside", "MUST",
	  "a connection from inside lives from handshake to a late last FIN",
	  test_req_2_inside, NULL },
	{ "RFC5382 REQ-2 outside", "MUST",
	  "a connection from outside lives from handshake to a late last FIN",
	  test_req_2_outside, NULL },
	{ "RFC5382 REQ-2 simultaneous close", "MUST",
	  "FINs that cross, and a repeated one, pass",
	  test_req_2_simultaneous_close, NULL },
	{ "RFC5382 REQ-2 odd segments", "MUST",
	  "retransmissions, keep-alives, urgent data, window probes pass",
	  test_req_2_odd, NULL },
	{ "RFC5382 REQ-2a independent", "MUST",
	  "simultaneous open works with endpoint-independent filtering",
	  test_req_2a_independent, NULL },
	{ "RFC5382 REQ-2a address", "MUST",
	  "simultaneous open works with address-dependent filtering",
	  test_req_2a_address, NULL },
	{ "RFC5382 REQ-2a port", "MUST",
	  "simultaneous open works with address-and-port-dependent filtering",
	  test_req_2a_port, NULL },
	{ "RFC5382 REQ-6", "SHOULD",
	  "no payload is looked at or changed, whatever its port", test_req_6,
	  NULL },
	{ "RFC5382 REQ-7", "MUST NOT",
	  "two inside sockets never share an outside socket", test_req_7,
	  NULL },
	{ "RFC5382 REQ-8", "MUST",
	  "an inside host connects to a forward by its outside socket",
	  test_req_8, NULL },
	{ "RFC5382 REQ-8 dynamic", "MUST",
	  "an inside host connects to a dynamic mapping by its outside socket",
	  test_req_8_dynamic, NULL },
	{ "RFC5382 REQ-8a", "MUST",
	  "a hairpinned segment shows the sender's outside socket", test_req_8a,
	  NULL },
	{ "RFC5382 REQ-9", "SHOULD",
	  "every destination unreachable is translated, its MTU kept",
	  test_req_9, NULL },
	{ "RFC5382 REQ-9 full", "SHOULD",
	  "so it is for a forward that has no room for another session",
	  test_req_9_full, NULL },
	{ "RFC5382 REQ-10", "MUST NOT", "no ICMP ends or shortens a session",
	  test_req_10, NULL },
};

int main(int argc, char **argv)
{
	return requirement_run("rfc5382", table, COUNT(table), argc, argv);
}
