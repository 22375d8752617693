/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fine points usually got wrong (behave 19), as far as they concern the
 * packets of UDP and TCP: hairpins, checksums, options, simultaneous opens,
 * forwards.
 */
#include "bench.h"
#include "tests/unit/tcp_lab.h"

#define T NAT_PROTO_TCP
#define U NAT_PROTO_UDP

static const struct flow first_flow = { INSIDE_1, 5000, PEER_1, 7000 };
static const struct flow first_back = { PEER_1, 7000, UPLINK, 5000 };

/* --- 6, 7: hairpins --------------------------------------------------------- */

static struct nat_result turn(struct engine *e, struct flow flow)
{
	packet_udp(&e->packet, flow, NULL, 9);
	return bench_hairpin(e);
}

/* INSIDE_1:5000 and INSIDE_2:6000, both known by their own ports. */
static void make_two(struct engine *e, enum nat_filter filter)
{
	engine_make(e);
	bench_filter(e, filter);
	CU_ASSERT_EQUAL(engine_open(e, U, first_flow), 5000);
	CU_ASSERT_EQUAL(
		engine_open(e, U, flow_of(INSIDE_2, 6000, PEER_1, 7000)), 6000);
}

static const struct flow one_to_two = { INSIDE_1, 5000, UPLINK, 6000 };
static const struct flow two_to_one = { INSIDE_2, 6000, UPLINK, 5000 };

/* The filter sees our own address: who has not sent to it is closed to all
 * inside hosts; a host that has is open to them. */
static void test_6_filter(void)
{
	struct engine e;

	make_two(&e, NAT_FILTER_ADDRESS_DEPENDENT);
	ASSERT_DROPPED(turn(&e, one_to_two), NAT_DROP_FILTERED_ADDRESS);
	ASSERT_TRANSLATED(turn(&e, two_to_one));
	ASSERT_TRANSLATED(turn(&e, one_to_two));
	ASSERT_TRANSLATED(turn(&e, flow_of(INSIDE_3, 9, UPLINK, 5000)));
	engine_free(&e);
	make_two(&e, NAT_FILTER_ADDRESS_AND_PORT_DEPENDENT);
	ASSERT_DROPPED(turn(&e, one_to_two), NAT_DROP_FILTERED_ADDRESS);
	ASSERT_TRANSLATED(turn(&e, two_to_one));
	ASSERT_DROPPED(turn(&e, flow_of(INSIDE_3, 9, UPLINK, 5000)),
		       NAT_DROP_FILTERED_PORT);
	engine_free(&e);
}

/* Only INSIDE_1 goes on: it refreshes both ends. */
static void test_6_refresh(void)
{
	struct engine e;

	make_two(&e, NAT_FILTER_ENDPOINT_INDEPENDENT);
	ASSERT_TRANSLATED(turn(&e, one_to_two));
	ASSERT_TRANSLATED(turn(&e, two_to_one));
	for (int i = 0; i < 5; i++) {
		bench_later(&e, 299999);
		ASSERT_TRANSLATED(turn(&e, one_to_two));
	}
	CU_ASSERT_EQUAL(engine_stats(&e).sessions, 2);
	bench_later(&e, 300000);
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 0);
	engine_free(&e);
}

static void test_6_same_host(void)
{
	struct engine e;

	engine_make(&e);
	engine_open(&e, U, first_flow);
	ASSERT_TRANSLATED(turn(&e, flow_of(INSIDE_1, 6000, UPLINK, 5000)));
	ASSERT_FLOW(&e, UPLINK, 6000, INSIDE_1, 5000);
	ASSERT_TRANSLATED(turn(&e, flow_of(INSIDE_1, 5000, UPLINK, 6000)));
	ASSERT_FLOW(&e, UPLINK, 5000, INSIDE_1, 6000);
	engine_free(&e);
}

/* In the pool: dropped; the router's own ports: left to the router. */
static void test_7(void)
{
	struct nat_portset bound = { { 0 } };
	struct engine e;

	engine_make(&e);
	nat_portset_add(&bound, 8053);
	nat_set_bound(e.nat, NAT_POOL_UDP, &bound);
	ASSERT_DROPPED(turn(&e, flow_of(INSIDE_1, 5000, UPLINK, 7777)),
		       NAT_DROP_NO_MAPPING);
	ASSERT_UNTOUCHED(turn(&e, flow_of(INSIDE_1, 5000, UPLINK, 8053)));
	ASSERT_UNTOUCHED(turn(&e, flow_of(INSIDE_1, 5000, UPLINK, 53)));
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 0);
	engine_free(&e);
}

/* --- 8, 9: tables ----------------------------------------------------------- */

static void test_8(void)
{
	struct flow other = first_flow;
	struct engine e;

	engine_make(&e);
	other.src = INSIDE_2;
	CU_ASSERT_EQUAL(engine_open(&e, U, first_flow), 5000);
	CU_ASSERT_EQUAL(engine_open(&e, T, other), 5000);
	CU_ASSERT_TRUE(bench_reaches(&e, U, first_back, INSIDE_1, 5000));
	CU_ASSERT_TRUE(bench_reaches(&e, T, first_back, INSIDE_2, 5000));
	engine_free(&e);
}

static void test_9_udp(void)
{
	struct engine e;

	engine_make(&e);
	engine_open(&e, U, first_flow);
	for (uint32_t i = 0; i < 200; i++)
		CU_ASSERT_TRUE(bench_reaches(
			&e, U, flow_of(PEER_3 + i, 9, UPLINK, 5000), INSIDE_1,
			5000));
	CU_ASSERT_EQUAL(engine_stats(&e).sessions, 1);
	engine_free(&e);
}

static void test_9_tcp(void)
{
	struct engine e;
	unsigned admitted = 0;

	engine_make(&e);
	e.config.mapping_sessions = 10;
	bench_filter(&e, NAT_FILTER_ENDPOINT_INDEPENDENT);
	engine_open(&e, T, first_flow);
	for (uint32_t i = 0; i < 50; i++)
		admitted += engine_tcp(&e, NAT_PATH_INBOUND,
				       flow_of(PEER_3 + i, 9, UPLINK, 5000),
				       SYN)
				    .verdict == NAT_TRANSLATED;
	CU_ASSERT_EQUAL(admitted, 4);
	CU_ASSERT_EQUAL(engine_stats(&e).sessions, 5);
	/* The other half is the host's own. */
	CU_ASSERT_NOT_EQUAL(
		engine_open(&e, T, flow_of(INSIDE_1, 5000, PEER_2, 80)), 0);
	engine_free(&e);
}

/* --- 10, 11: checksums ------------------------------------------------------ */

/* A keep-alive of IPsec NAT-T: one byte, no checksum. */
static void test_10_none(void)
{
	static const struct flow natt = { INSIDE_1, 4500, PEER_1, 4500 };
	struct engine e;

	engine_make(&e);
	packet_udp(&e.packet, natt, "\xff", 1);
	packet_put16(packet_l4(&e.packet) + 6, 0);
	ASSERT_TRANSLATED(engine_run(&e, NAT_PATH_OUTBOUND));
	CU_ASSERT_EQUAL(packet_checksum(&e.packet), 0);
	packet_udp(&e.packet, flow_of(PEER_1, 4500, UPLINK, 4500), "\xff", 1);
	packet_put16(packet_l4(&e.packet) + 6, 0);
	ASSERT_TRANSLATED(engine_run(&e, NAT_PATH_INBOUND));
	CU_ASSERT_EQUAL(packet_checksum(&e.packet), 0);
	engine_free(&e);
}

/* A payload that makes the sum come out as 0 after the translation. */
static void test_10_zero(void)
{
	uint8_t payload[2] = { 0, 0 };
	struct engine e;

	engine_make(&e);
	packet_udp(&e.packet, first_flow, payload, sizeof(payload));
	ASSERT_TRANSLATED(engine_run(&e, NAT_PATH_OUTBOUND));
	packet_put16(payload, packet_checksum(&e.packet));
	packet_udp(&e.packet, first_flow, payload, sizeof(payload));
	ASSERT_TRANSLATED(engine_run(&e, NAT_PATH_OUTBOUND));
	CU_ASSERT_EQUAL(packet_checksum(&e.packet), 0xffff);
	engine_free(&e);
}

static void test_11_header(void)
{
	struct engine e;

	engine_make(&e);
	engine_open(&e, U, first_flow);
	packet_udp(&e.packet, first_flow, NULL, 9);
	e.packet.data[10] ^= 1;
	ASSERT_DROPPED(engine_run(&e, NAT_PATH_OUTBOUND),
		       NAT_DROP_BAD_CHECKSUM);
	packet_udp(&e.packet, first_back, NULL, 9);
	e.packet.data[8] ^= 1; /* the TTL */
	ASSERT_DROPPED(engine_run(&e, NAT_PATH_INBOUND), NAT_DROP_BAD_CHECKSUM);
	engine_free(&e);
}

/* Damaged on its way: the end host must still see that it is. */
static void damaged(struct engine *e, uint8_t proto, struct flow flow,
		    enum nat_path path, bool passes)
{
	uint8_t *byte;

	if (proto == U)
		packet_udp(&e->packet, flow, NULL, 9);
	else
		packet_tcp(&e->packet, flow,
			   (struct segment){ .flags = SYN, .bytes = 9 });
	byte = &e->packet.data[e->packet.length - 1];
	*byte ^= 0x55;
	if (!passes) {
		ASSERT_DROPPED(engine_run(e, path), NAT_DROP_BAD_CHECKSUM);
		return;
	}
	ASSERT_TRANSLATED(engine_run(e, path));
	CU_ASSERT_PTR_NOT_NULL(packet_wrong(e->packet.data, e->packet.length));
	*byte ^= 0x55;
	CU_ASSERT_PTR_NULL(packet_wrong(e->packet.data, e->packet.length));
}

static void test_11_live(void)
{
	struct engine e;

	engine_make(&e);
	engine_open(&e, U, first_flow);
	engine_open(&e, T, first_flow);
	damaged(&e, U, first_flow, NAT_PATH_OUTBOUND, true);
	damaged(&e, U, first_back, NAT_PATH_INBOUND, true);
	damaged(&e, T, first_flow, NAT_PATH_OUTBOUND, true);
	damaged(&e, T, first_back, NAT_PATH_INBOUND, true);
	engine_free(&e);
}

static void test_11_new(void)
{
	struct lab lab;

	lab_make(&lab, false);
	damaged(&lab.engine, U, first_flow, NAT_PATH_OUTBOUND, false);
	damaged(&lab.engine, T, first_flow, NAT_PATH_OUTBOUND, false);
	damaged(&lab.engine, T, flow_of(PEER_1, 7000, UPLINK, 8080),
		NAT_PATH_INBOUND, false);
	CU_ASSERT_EQUAL(engine_stats(&lab.engine).mappings, 1);
	CU_ASSERT_EQUAL(engine_stats(&lab.engine).sessions, 0);
	engine_free(&lab.engine);
}

/* --- 12, 15: the router's own ports ------------------------------------------ */

static void test_12(void)
{
	struct nat_portset bound = { { 0 } };
	struct flow flow = first_flow;
	struct engine e;

	engine_make(&e);
	engine_pool(&e.config, 5000, 5003);
	engine_configure(&e);
	nat_portset_add(&bound, 5000);
	nat_portset_add(&bound, 5002);
	nat_set_bound(e.nat, NAT_POOL_UDP, &bound);
	for (uint16_t i = 0; i < 2; i++) {
		flow.sport = (uint16_t)(5000 + 2 * i);
		CU_ASSERT_EQUAL(engine_open(&e, U, flow) % 2, 1);
	}
	flow.sport = 6000;
	ASSERT_DROPPED(engine_udp(&e, NAT_PATH_OUTBOUND, flow),
		       NAT_DROP_NO_PORT);
	/* By TCP nobody listens there. */
	CU_ASSERT_EQUAL(engine_open(&e, T, first_flow), 5000);
	engine_free(&e);
}

/* Neither answered nor left to the kernel, whose own RST would follow. */
static void test_15(void)
{
	static const uint16_t ports[] = { 1024, 5000, 40000, 65535 };
	struct engine e;

	engine_make(&e);
	for (size_t i = 0; i < COUNT(ports); i++) {
		struct nat_result result = engine_tcp(
			&e, NAT_PATH_INBOUND,
			flow_of(PEER_1, 7000, UPLINK, ports[i]), SYN);

		CU_ASSERT_EQUAL(result.verdict, NAT_DROPPED);
		CU_ASSERT_EQUAL(result.answer_length, 0);
	}
	engine_free(&e);
}

/* --- 16 to 20: sessions ------------------------------------------------------ */

/* The other half of a simultaneous open passes until the session ends. */
static void late_syn(uint64_t ms, bool passes)
{
	struct nat_result result;
	struct engine e;

	engine_make(&e);
	bench_filter(&e, NAT_FILTER_ADDRESS_AND_PORT_DEPENDENT);
	engine_open(&e, T, first_flow);
	bench_later(&e, ms);
	result = engine_tcp(&e, NAT_PATH_INBOUND, first_back, SYN);
	CU_ASSERT_EQUAL(result.verdict, passes ? NAT_TRANSLATED : NAT_DROPPED);
	engine_free(&e);
}

static void test_16(void)
{
	late_syn(0, true);
	late_syn(OPENING - 1, true);
	late_syn(OPENING, false);
}

static void test_17(void)
{
	struct lab lab;

	lab_make(&lab, true);
	reach(&lab, NAT_STATE_C_FIN_S_FIN);
	later(&lab, SECOND);
	send(&lab, CLIENT, (struct segment){ .flags = SYN, .seq = 1 });
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_INIT);
	send(&lab, SERVER,
	     (struct segment){
		     .flags = SYN | ACK, .seq = 9, .ack = 2, .window = 500 });
	later(&lab, CLOSING); /* would have been the old one's end */
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	CU_ASSERT_EQUAL(bench_port(&lab.engine, T, INSIDE_1, 5000), 5000);
	engine_free(&lab.engine);
}

static void test_18(void)
{
	struct lab lab;

	lab_make(&lab, true);
	reach(&lab, NAT_STATE_C_FIN);
	flags(&lab, CLIENT, FIN | ACK);
	flags(&lab, CLIENT, FIN | ACK);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_C_FIN);
	later(&lab, ESTABLISHED - 1);
	CU_ASSERT_TRUE(alive(&lab));
	later(&lab, 1);
	CU_ASSERT_FALSE(alive(&lab));
	engine_free(&lab.engine);
}

/* The forward outlives its sessions, which follow their own timers. */
static void test_19(void)
{
	struct nat_mapping_view view;
	struct lab lab;

	lab_make(&lab, false);
	reach(&lab, NAT_STATE_C_FIN_S_FIN);
	later(&lab, CLOSING - 1);
	CU_ASSERT_TRUE(alive(&lab));
	later(&lab, 1);
	CU_ASSERT_FALSE(alive(&lab));
	later(&lab, 30 * 86400 * SECOND);
	CU_ASSERT_TRUE(engine_mapping(&lab.engine, 8080, &view));
	CU_ASSERT_EQUAL(view.expires_ms, NAT_NEVER);
	reach(&lab, NAT_STATE_ESTABLISHED);
	engine_free(&lab.engine);
}

static void test_20(void)
{
	struct flow other = first_flow;
	struct engine e;

	engine_make(&e);
	other.dst = PEER_2;
	engine_open(&e, U, first_flow);
	bench_later(&e, 200 * SECOND);
	engine_open(&e, U, other);
	bench_later(&e, 100 * SECOND);
	CU_ASSERT_EQUAL(engine_stats(&e).sessions, 1);
	CU_ASSERT_TRUE(bench_reaches(&e, U, first_back, INSIDE_1, 5000));
	bench_later(&e, 200 * SECOND - 1);
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 1);
	bench_later(&e, 1);
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 0);
	engine_free(&e);
}

/* --- 28: options ------------------------------------------------------------ */

static void test_28(void)
{
	for (uint32_t words = 1; words <= 10; words++) {
		struct engine e;

		engine_make(&e);
		packet_udp(&e.packet, first_flow, NULL, 9);
		packet_add_options(&e.packet, words);
		ASSERT_TRANSLATED(engine_run(&e, NAT_PATH_OUTBOUND));
		ASSERT_FLOW(&e, UPLINK, 5000, PEER_1, 7000);
		packet_udp(&e.packet, first_back, NULL, 9);
		packet_add_options(&e.packet, words);
		ASSERT_TRANSLATED(engine_run(&e, NAT_PATH_INBOUND));
		ASSERT_FLOW(&e, PEER_1, 7000, INSIDE_1, 5000);
		engine_free(&e);
	}
}

static const struct requirement table[] = {
	{ "BEHAVE 19.6 filter", "MUST",
	  "the filter of a hairpin's target sees our own address",
	  test_6_filter, NULL },
	{ "BEHAVE 19.6 refresh", "MUST", "a hairpin refreshes both sessions",
	  test_6_refresh, NULL },
	{ "BEHAVE 19.6 same host", "MUST",
	  "two sockets of one host reach each other by their outside sockets",
	  test_6_same_host, NULL },
	{ "BEHAVE 19.7", "MUST",
	  "a hairpin without target is dropped or the router's, never sent out",
	  test_7, NULL },
	{ "BEHAVE 19.8", "MUST",
	  "one outside port serves two hosts, by TCP and by UDP", test_8,
	  NULL },
	{ "BEHAVE 19.9 UDP", "ENG",
	  "inbound UDP of a new peer makes no session", test_9_udp, NULL },
	{ "BEHAVE 19.9 TCP", "ENG",
	  "inbound SYNs make sessions up to half of the mapping's limit",
	  test_9_tcp, NULL },
	{ "BEHAVE 19.10 none", "MUST", "a UDP checksum of 0 stays 0",
	  test_10_none, NULL },
	{ "BEHAVE 19.10 zero", "MUST", "a computed 0 is written as 0xffff",
	  test_10_zero, NULL },
	{ "BEHAVE 19.11 header", "MUST",
	  "a packet with a bad header checksum is dropped", test_11_header,
	  NULL },
	{ "BEHAVE 19.11 live", "MUST",
	  "a wrong transport checksum stays as wrong as it was", test_11_live,
	  NULL },
	{ "BEHAVE 19.11 new", "ENG",
	  "a wrong transport checksum makes no state", test_11_new, NULL },
	{ "BEHAVE 19.12", "MUST", "the router's own ports are not handed out",
	  test_12, NULL },
	{ "BEHAVE 19.15", "MUST",
	  "a SYN to a free port of the pool never reaches the router itself",
	  test_15, NULL },
	{ "BEHAVE 19.16", "MUST",
	  "the SYN of a simultaneous open passes any filter for 240 s", test_16,
	  NULL },
	{ "BEHAVE 19.17", "ENG",
	  "a SYN on a closing session, of a smaller number, starts it afresh",
	  test_17, NULL },
	{ "BEHAVE 19.18", "MUST",
	  "a half-closed session lives as long as an established one", test_18,
	  NULL },
	{ "BEHAVE 19.19", "ENG",
	  "a forward stays for ever, the sessions below it are tracked",
	  test_19, NULL },
	{ "BEHAVE 19.20", "MUST",
	  "a mapping stays when the first of its sessions ends", test_20,
	  NULL },
	{ "BEHAVE 19.28", "MUST", "ports are found behind 1 to 10 option words",
	  test_28, NULL },
};

int main(int argc, char **argv)
{
	return requirement_run("behave_flows", table, COUNT(table), argc, argv);
}
