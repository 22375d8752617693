/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Inside hosts that speak to each other's outside sockets, in two passes
 * (RFC 4787 REQ-9, RFC 5382 REQ-8, RFC 5508 REQ-7).
 */
#include <string.h>

#include "engine.h"
#include "suite.h"

#define QUOTE (PACKET_IP + 8)

/* Both passes of engine->packet; the result of the pass that ended it. */
static struct nat_result turn(struct engine *engine)
{
	struct nat_result result = engine_run(engine, NAT_PATH_HAIRPIN_IN);
	uint32_t src = packet_flow(&engine->packet).src;

	if (result.verdict != NAT_TRANSLATED)
		return result;
	/* Between the passes the kernel routes: the source is still inside. */
	CU_ASSERT_EQUAL(src & 0xffffff00U, 0xc0a80100U);
	return engine_run(engine, NAT_PATH_HAIRPIN_OUT);
}

static struct nat_result turn_udp(struct engine *engine, struct flow flow)
{
	packet_udp(&engine->packet, flow, NULL, 11);
	return turn(engine);
}

static struct nat_result turn_tcp(struct engine *engine, struct flow flow,
				  uint8_t flags)
{
	packet_tcp(&engine->packet, flow,
		   (struct segment){ .flags = flags,
				     .seq = 1000,
				     .ack = flags & ACK ? 1000 : 0,
				     .window = 500 });
	return turn(engine);
}

/* INSIDE_2:6000 has a mapping by port 40001, INSIDE_1 will get 40000 or 40002:
 * no port is its own. */
static void make(struct engine *engine)
{
	engine_make(engine);
	engine_pool(&engine->config, 40001, 40001);
	engine_configure(engine);
	CU_ASSERT_EQUAL(engine_open(engine, NAT_PROTO_UDP,
				    flow_of(INSIDE_2, 6000, PEER_1, 7000)),
			40001);
	engine_pool(&engine->config, 40000, 40002);
	engine_configure(engine);
}

/* The outside port that this inside port has. */
static uint16_t port_of(const struct engine *engine, uint16_t inside_port)
{
	struct nat_mapping_view view;
	uint32_t cursor = 0;

	while (nat_next_mapping(engine->nat, &cursor, engine->now, &view))
		if (view.inside_port == inside_port)
			return view.outside_port;
	return 0;
}

static void test_udp(void)
{
	struct engine engine;
	struct packet expected;
	uint16_t port;

	make(&engine);
	ASSERT_TRANSLATED(
		turn_udp(&engine, flow_of(INSIDE_1, 5000, UPLINK, 40001)));
	port = port_of(&engine, 5000);
	CU_ASSERT_TRUE(port == 40000 || port == 40002);
	packet_udp(&expected, flow_of(UPLINK, port, INSIDE_2, 6000), NULL, 11);
	CU_ASSERT_TRUE(packet_same(&engine.packet, &expected));
	/* The answer comes from the socket that was spoken to. */
	ASSERT_TRANSLATED(
		turn_udp(&engine, flow_of(INSIDE_2, 6000, UPLINK, port)));
	packet_udp(&expected, flow_of(UPLINK, 40001, INSIDE_1, 5000), NULL, 11);
	CU_ASSERT_TRUE(packet_same(&engine.packet, &expected));
	CU_ASSERT_EQUAL(engine_stats(&engine).hairpin_packets, 2);
	engine_free(&engine);
}

static void test_same_mapping(void)
{
	struct engine engine;

	/* The mapping is that of every other peer. */
	make(&engine);
	turn_udp(&engine, flow_of(INSIDE_1, 5000, UPLINK, 40001));
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_UDP,
				    flow_of(INSIDE_1, 5000, PEER_1, 7000)),
			port_of(&engine, 5000));
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 2);
	engine_free(&engine);
}

static void test_refreshes_both(void)
{
	struct engine engine;
	struct nat_mapping_view view;

	make(&engine);
	turn_udp(&engine, flow_of(INSIDE_1, 5000, UPLINK, 40001));
	turn_udp(&engine,
		 flow_of(INSIDE_2, 6000, UPLINK, port_of(&engine, 5000)));
	for (int i = 0; i < 3; i++) {
		engine.now += 200 * SECOND;
		ASSERT_TRANSLATED(turn_udp(&engine, flow_of(INSIDE_1, 5000,
							    UPLINK, 40001)));
	}
	CU_ASSERT_TRUE(engine_mapping(&engine, 40001, &view));
	CU_ASSERT_EQUAL(view.expires_ms, 300 * SECOND);
	CU_ASSERT_EQUAL(view.counters.in_packets, 4);
	engine_free(&engine);
}

static void test_self(void)
{
	struct engine engine;

	/* A host may speak to its own outside socket, by it or by another. */
	make(&engine);
	ASSERT_TRANSLATED(
		turn_udp(&engine, flow_of(INSIDE_2, 6000, UPLINK, 40001)));
	ASSERT_FLOW(&engine, UPLINK, 40001, INSIDE_2, 6000);
	ASSERT_TRANSLATED(
		turn_udp(&engine, flow_of(INSIDE_2, 6001, UPLINK, 40001)));
	ASSERT_FLOW(&engine, UPLINK, port_of(&engine, 6001), INSIDE_2, 6000);
	engine_free(&engine);
}

/* --- forwards --------------------------------------------------------------------- */

static const struct nat_forward web = { .name = "web",
					.proto = NAT_PROTO_TCP,
					.outside_first = 80,
					.outside_last = 80,
					.inside_addr = INSIDE_2,
					.inside_first = 8080 };

static void with_forward(struct engine *engine, const struct nat_forward *rule)
{
	make(engine);
	engine->config.forwards = rule;
	engine->config.forward_count = 1;
	CU_ASSERT_EQUAL(engine_configure(engine), 0);
}

static void test_tcp(void)
{
	struct engine engine;
	struct flow there = flow_of(INSIDE_1, 5000, UPLINK, 80);
	struct nat_session_view view;
	struct flow back;

	with_forward(&engine, &web);
	ASSERT_TRANSLATED(turn_tcp(&engine, there, SYN));
	back = flow_back(packet_flow(&engine.packet));
	CU_ASSERT_TRUE(
		flow_is(back, INSIDE_2, 8080, UPLINK, port_of(&engine, 5000)));
	ASSERT_TRANSLATED(turn_tcp(&engine, back, SYN | ACK));
	ASSERT_FLOW(&engine, UPLINK, 80, INSIDE_1, 5000);
	ASSERT_TRANSLATED(turn_tcp(&engine, there, ACK));
	/* Two sessions, both established, then both closing. */
	CU_ASSERT_TRUE(engine_session(&engine, 5000, UPLINK, &view));
	CU_ASSERT_EQUAL(view.state, NAT_STATE_ESTABLISHED);
	CU_ASSERT_TRUE(engine_session(&engine, 8080, UPLINK, &view));
	CU_ASSERT_EQUAL(view.state, NAT_STATE_ESTABLISHED);
	turn_tcp(&engine, there, FIN | ACK);
	turn_tcp(&engine, back, FIN | ACK);
	engine_session(&engine, 5000, UPLINK, &view);
	CU_ASSERT_EQUAL(view.state, NAT_STATE_C_FIN_S_FIN);
	engine_session(&engine, 8080, UPLINK, &view);
	CU_ASSERT_EQUAL(view.state, NAT_STATE_C_FIN_S_FIN);
	CU_ASSERT_EQUAL(engine_stats(&engine).hairpin_packets, 5);
	engine_free(&engine);
}

static void test_own_forward(void)
{
	struct engine engine;

	with_forward(&engine, &web);
	ASSERT_TRANSLATED(
		turn_tcp(&engine, flow_of(INSIDE_2, 5000, UPLINK, 80), SYN));
	ASSERT_FLOW(&engine, UPLINK, port_of(&engine, 5000), INSIDE_2, 8080);
	engine_free(&engine);
}

static struct nat_result knock_from(uint32_t addr, uint8_t length)
{
	struct nat_prefix from = { addr, length };
	struct nat_forward rule = web;
	struct nat_result result;
	struct engine engine;

	rule.from = &from;
	rule.from_count = 1;
	with_forward(&engine, &rule);
	result = turn_tcp(&engine, flow_of(INSIDE_1, 5000, UPLINK, 80), SYN);
	engine_free(&engine);
	return result;
}

static void test_forward_peers(void)
{
	ASSERT_DROPPED(knock_from(PEER_1 & ~0xffU, 24), NAT_DROP_FORWARD_PEER);
	ASSERT_TRANSLATED(knock_from(INSIDE_1, 32));
	ASSERT_DROPPED(knock_from(INSIDE_2, 32), NAT_DROP_FORWARD_PEER);
	ASSERT_TRANSLATED(knock_from(UPLINK, 32));
	ASSERT_TRANSLATED(knock_from(0, 0));
}

static void test_filtered(void)
{
	struct engine engine;

	/* Address-dependent filtering sees our address as the peer. */
	make(&engine);
	engine_open(&engine, NAT_PROTO_TCP,
		    flow_of(INSIDE_2, 6000, PEER_1, 80));
	ASSERT_DROPPED(turn_tcp(&engine,
				flow_of(INSIDE_1, 5000, UPLINK,
					packet_flow(&engine.packet).sport),
				SYN),
		       NAT_DROP_FILTERED_ADDRESS);
	engine.config.filtering[NAT_POOL_UDP] =
		NAT_FILTER_ADDRESS_AND_PORT_DEPENDENT;
	ASSERT_DROPPED(turn_udp(&engine,
				flow_of(INSIDE_1, 5000, UPLINK, 40001)),
		       NAT_DROP_FILTERED_ADDRESS);
	/* Both have sent: both are let in. */
	ASSERT_TRANSLATED(turn_udp(&engine, flow_of(INSIDE_2, 6000, UPLINK,
						    port_of(&engine, 5000))));
	ASSERT_TRANSLATED(
		turn_udp(&engine, flow_of(INSIDE_1, 5000, UPLINK, 40001)));
	engine_free(&engine);
}

/* --- errors ----------------------------------------------------------------------- */

static void complain(uint8_t proto, uint32_t options)
{
	struct engine engine;
	struct packet sent, got;
	struct flow flow = flow_of(INSIDE_1, 5000, UPLINK, 40001);
	struct nat_forward rule = web;

	/* "Port unreachable": the sender gets it, from our address, and finds
	 * quoted what it sent. */
	rule.outside_first = rule.outside_last = flow.dport;
	if (proto == NAT_PROTO_TCP) {
		with_forward(&engine, &rule);
		packet_tcp(&sent, flow, (struct segment){ .flags = SYN });
	} else {
		make(&engine);
		packet_udp(&sent, flow, NULL, 30);
	}
	packet_add_options(&sent, options);
	engine.packet = sent;
	ASSERT_TRANSLATED(turn(&engine));
	got = engine.packet;
	packet_error(
		&engine.packet,
		(struct error){
			.src = INSIDE_2, .dst = UPLINK, .type = 3, .code = 3 },
		&got);
	ASSERT_TRANSLATED(turn(&engine));
	CU_ASSERT_EQUAL(packet_flow(&engine.packet).src, UPLINK);
	CU_ASSERT_EQUAL(packet_flow(&engine.packet).dst, INSIDE_1);
	CU_ASSERT_EQUAL(memcmp(engine.packet.data + QUOTE, sent.data,
			       28 + options * 4),
			0);
	engine_free(&engine);
}

static void test_error(void)
{
	complain(NAT_PROTO_UDP, 0);
	complain(NAT_PROTO_UDP, 4);
	complain(NAT_PROTO_TCP, 0);
	complain(NAT_PROTO_TCP, 1);
}

static void test_error_unknown(void)
{
	struct error error = {
		.src = INSIDE_2, .dst = UPLINK, .type = 3, .code = 3
	};
	struct engine engine;
	struct packet about;

	make(&engine);
	/* A mapping of nobody, and one that did not send it. */
	packet_udp(&about, flow_of(UPLINK, 40000, INSIDE_2, 6000), NULL, 9);
	packet_error(&engine.packet, error, &about);
	ASSERT_DROPPED(turn(&engine), NAT_DROP_NO_SESSION);
	packet_udp(&about, flow_of(UPLINK, 40001, INSIDE_1, 5000), NULL, 9);
	packet_error(&engine.packet, error, &about);
	ASSERT_DROPPED(turn(&engine), NAT_DROP_NO_SESSION);
	/* About what the router itself has sent. */
	packet_tcp(&about, flow_of(UPLINK, 443, INSIDE_2, 6000),
		   (struct segment){ .flags = ACK });
	error.code = 4;
	packet_error(&engine.packet, error, &about);
	ASSERT_UNTOUCHED(turn(&engine));
	packet_other(&about, UPLINK, INSIDE_2, 51, 20);
	packet_error(&engine.packet, error, &about);
	ASSERT_UNTOUCHED(turn(&engine));
	packet_icmp(&about, flow_of(UPLINK, 9, INSIDE_2, 0), 0, 9);
	packet_error(&engine.packet, error, &about);
	ASSERT_UNTOUCHED(turn(&engine));
	engine.packet.data[40] ^= 1;
	ASSERT_DROPPED(turn(&engine), NAT_DROP_BAD_CHECKSUM);
	engine_free(&engine);
}

/* --- what is not turned back ------------------------------------------------------- */

static void test_no_target(void)
{
	struct engine engine;
	struct nat_portset bound = { 0 };

	make(&engine);
	ASSERT_DROPPED(turn_udp(&engine,
				flow_of(INSIDE_1, 5000, UPLINK, 40002)),
		       NAT_DROP_NO_MAPPING);
	/* The router's own services. */
	ASSERT_UNTOUCHED(
		turn_udp(&engine, flow_of(INSIDE_1, 5000, UPLINK, 53)));
	nat_portset_add(&bound, 40002);
	nat_set_bound(engine.nat, NAT_POOL_UDP, &bound);
	ASSERT_UNTOUCHED(
		turn_udp(&engine, flow_of(INSIDE_1, 5000, UPLINK, 40002)));
	packet_icmp(&engine.packet, flow_of(INSIDE_1, 7, UPLINK, 0), 8, 9);
	ASSERT_UNTOUCHED(turn(&engine));
	packet_other(&engine.packet, INSIDE_1, UPLINK, 51, 9);
	ASSERT_UNTOUCHED(turn(&engine));
	ASSERT_UNTOUCHED(
		turn_udp(&engine, flow_of(INSIDE_1, 5000, PEER_1, 40001)));
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 1);
	engine_free(&engine);
}

static void test_refused(void)
{
	struct engine engine;

	make(&engine);
	ASSERT_DROPPED(turn_udp(&engine, flow_of(UPLINK, 1, UPLINK, 40001)),
		       NAT_DROP_MARTIAN);
	packet_udp(&engine.packet, flow_of(INSIDE_1, 5000, UPLINK, 40001), NULL,
		   64);
	packet_set_fragment(&engine.packet, 0x2010);
	CU_ASSERT_EQUAL(turn(&engine).verdict, NAT_CONSUMED);
	ASSERT_DROPPED(turn_tcp(&engine, flow_of(INSIDE_1, 5000, UPLINK, 40001),
				ACK),
		       NAT_DROP_NO_MAPPING);
	engine.config.host_mappings = 0;
	CU_ASSERT_EQUAL(
		turn_udp(&engine, flow_of(INSIDE_1, 5000, UPLINK, 40001)).drop,
		NAT_DROP_HOST_QUOTA);
	engine_free(&engine);
}

static void test_switched_off(void)
{
	struct engine engine;

	with_forward(&engine, &web);
	engine.config.hairpin = false;
	ASSERT_DROPPED(turn_udp(&engine,
				flow_of(INSIDE_1, 5000, UPLINK, 40001)),
		       NAT_DROP_NO_MAPPING);
	/* A forward's port outside the pool: the router's own, if it listens. */
	ASSERT_UNTOUCHED(
		turn_tcp(&engine, flow_of(INSIDE_1, 5000, UPLINK, 80), SYN));
	engine_free(&engine);
}

static void test_second_pass_alone(void)
{
	struct engine engine;
	struct flow flow = flow_of(INSIDE_1, 5000, INSIDE_2, 6000);

	make(&engine);
	ASSERT_DROPPED(engine_udp(&engine, NAT_PATH_HAIRPIN_OUT, flow),
		       NAT_DROP_NO_SESSION);
	ASSERT_DROPPED(engine_icmp(&engine, NAT_PATH_HAIRPIN_OUT, flow, 8),
		       NAT_DROP_UNSUPPORTED);
	engine_free(&engine);
}

static void test_uplink_lost_between(void)
{
	struct engine engine;

	make(&engine);
	packet_udp(&engine.packet, flow_of(INSIDE_1, 5000, UPLINK, 40001), NULL,
		   9);
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_HAIRPIN_IN));
	nat_set_uplink(engine.nat, 0, engine.now);
	ASSERT_DROPPED(engine_run(&engine, NAT_PATH_HAIRPIN_OUT),
		       NAT_DROP_NO_UPLINK);
	ASSERT_DROPPED(turn_udp(&engine,
				flow_of(INSIDE_1, 5000, UPLINK, 40001)),
		       NAT_DROP_NO_UPLINK);
	engine_free(&engine);
}

static void test_target_makes_room(void)
{
	struct nat_limits limits = engine_limits;
	struct engine engine;

	/* A full table; one sweep ends 32 sessions of a mapping that lives on,
	 * the second one, made for room, ends the target. The sender must not
	 * be given its own packet. */
	limits.mappings = 2;
	engine_bare(&engine, &limits);
	engine_defaults(&engine.config);
	engine_configure(&engine);
	nat_set_uplink(engine.nat, UPLINK, engine.now);
	for (uint16_t peer = 1; peer <= 32; peer++)
		engine_open(&engine, NAT_PROTO_UDP,
			    flow_of(INSIDE_1, 5000, PEER_1, peer));
	engine_open(&engine, NAT_PROTO_UDP, flow_of(INSIDE_2, 6000, PEER_1, 1));
	engine.now += 299 * SECOND;
	engine_open(&engine, NAT_PROTO_UDP, flow_of(INSIDE_1, 5000, PEER_2, 1));
	engine.now += SECOND;
	ASSERT_DROPPED(turn_udp(&engine, flow_of(INSIDE_3, 7000, UPLINK, 6000)),
		       NAT_DROP_NO_MAPPING);
	engine_free(&engine);
}

/* RFC 1812 4.3.2.3: the sender finds quoted what it sent, not where the packet
 * was going. */
static void test_last_hop(void)
{
	struct engine engine;
	struct packet sent;
	struct nat_result result;

	make(&engine);
	packet_udp(&engine.packet, flow_of(INSIDE_1, 5000, UPLINK, 40001), NULL,
		   11);
	engine.packet.data[8] = 1;
	packet_fix_ip(&engine.packet);
	sent = engine.packet;
	result = engine_run(&engine, NAT_PATH_HAIRPIN_IN);
	CU_ASSERT_EQUAL(result.verdict, NAT_CONSUMED);
	CU_ASSERT_EQUAL_FATAL(result.answer_length, QUOTE + sent.length);
	CU_ASSERT_EQUAL(result.answer[PACKET_IP], 11);
	CU_ASSERT_EQUAL(result.answer[PACKET_IP + 1], 0);
	CU_ASSERT_EQUAL(memcmp(result.answer + QUOTE, sent.data, sent.length),
			0);
	/* It opened nothing. */
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 1);
	engine_free(&engine);
}

static const struct test tests[] = {
	{ "a datagram reaches the other host from our address, and back",
	  test_udp },
	{ "the sender keeps the mapping it has for all", test_same_mapping },
	{ "both mappings are refreshed and counted", test_refreshes_both },
	{ "a host reaches itself", test_self },
	{ "a connection to a forward opens and closes", test_tcp },
	{ "a host reaches its own forward", test_own_forward },
	{ "a forward's peers may be named by inside or our address",
	  test_forward_peers },
	{ "filters see our address as the peer", test_filtered },
	{ "an ICMP error goes back to the sender", test_error },
	{ "an ICMP error about nothing turned back is refused",
	  test_error_unknown },
	{ "what has no target is dropped or the router's own", test_no_target },
	{ "what may not pass is refused", test_refused },
	{ "hairpinning can be switched off", test_switched_off },
	{ "a second pass without a first is refused", test_second_pass_alone },
	{ "a hop that is the last is told with what was sent", test_last_hop },
	{ "an uplink lost between the passes sends nothing",
	  test_uplink_lost_between },
	{ "a target that made room for the sender is gone",
	  test_target_makes_room },
};

int main(int argc, char **argv)
{
	return suite_run("hairpin", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
