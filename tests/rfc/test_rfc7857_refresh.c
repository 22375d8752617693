/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * RFC 7857 7 and 7.1: what must not keep a mapping alive.
 */
#include "bench.h"
#include "tests/unit/packets_other.h"

#define T NAT_PROTO_TCP
#define U NAT_PROTO_UDP
#define OPENING (240 * SECOND)

static const struct flow first_flow = { INSIDE_1, 5000, PEER_1, 7000 };

/* --- refreshing ------------------------------------------------------------ */

/* Refused packets every 60 s: the mapping ends on its day. */
static void test_7_tcp(void)
{
	struct nat_session_view view;
	struct engine e;

	engine_make(&e);
	engine_open(&e, T, first_flow);
	for (int i = 0; i < 3; i++) {
		bench_later(&e, MINUTE);
		ASSERT_DROPPED(engine_tcp(&e, NAT_PATH_INBOUND,
					  flow_of(PEER_2, 9, UPLINK, 5000),
					  SYN),
			       NAT_DROP_FILTERED_ADDRESS);
	}
	bench_later(&e, MINUTE - 1);
	CU_ASSERT_TRUE(engine_session(&e, 5000, PEER_1, &view));
	bench_later(&e, 1);
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 0);
	engine_free(&e);
}

/* The mapping has room for one session: policy refuses the next peer's. */
static void test_7_quota(void)
{
	struct engine e;

	engine_make(&e);
	e.config.mapping_sessions = 1;
	bench_filter(&e, NAT_FILTER_ENDPOINT_INDEPENDENT);
	engine_open(&e, T, first_flow);
	for (int i = 0; i < 4; i++) {
		ASSERT_DROPPED(engine_tcp(&e, NAT_PATH_INBOUND,
					  flow_of(PEER_2, 9, UPLINK, 5000),
					  SYN),
			       NAT_DROP_HOST_QUOTA);
		bench_later(&e, MINUTE - (i == 3));
	}
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 1);
	bench_later(&e, 1);
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 0);
	engine_free(&e);
}

static void test_7_udp(void)
{
	struct engine e;

	engine_make(&e);
	bench_filter(&e, NAT_FILTER_ADDRESS_DEPENDENT);
	engine_open(&e, U, first_flow);
	for (int i = 0; i < 5; i++) {
		ASSERT_DROPPED(engine_udp(&e, NAT_PATH_INBOUND,
					  flow_of(PEER_2, 9, UPLINK, 5000)),
			       NAT_DROP_FILTERED_ADDRESS);
		bench_later(&e, MINUTE - (i == 4));
	}
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 1);
	bench_later(&e, 1);
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 0);
	engine_free(&e);
}

/* A closed port behind endpoint-independent filtering answers every probe. */
static void test_7_1_icmp(void)
{
	struct packet delivered;
	struct engine e;

	engine_make(&e);
	engine_open(&e, U, first_flow);
	for (int i = 0; i < 5; i++) {
		engine_udp(&e, NAT_PATH_INBOUND,
			   flow_of(PEER_2, 9, UPLINK, 5000));
		delivered = e.packet;
		packet_error(&e.packet,
			     (struct error){ .src = INSIDE_1,
					     .dst = PEER_2,
					     .type = 3,
					     .code = 3 },
			     &delivered);
		ASSERT_TRANSLATED(engine_run(&e, NAT_PATH_OUTBOUND));
		bench_later(&e, MINUTE - (i == 4));
	}
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 1);
	bench_later(&e, 1);
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 0);
	engine_free(&e);
}

/* Each SYN of a stranger makes a session that its RST does not prolong; the
 * host's own session ends on its day. */
static void test_7_1_rst(void)
{
	struct nat_session_view view;
	struct engine e;

	engine_make(&e);
	bench_filter(&e, NAT_FILTER_ENDPOINT_INDEPENDENT);
	engine_open(&e, T, first_flow);
	bench_later(&e, MINUTE);
	engine_tcp(&e, NAT_PATH_INBOUND, flow_of(PEER_2, 9, UPLINK, 5000), SYN);
	bench_later(&e, MINUTE);
	ASSERT_TRANSLATED(engine_tcp(&e, NAT_PATH_OUTBOUND,
				     flow_of(INSIDE_1, 5000, PEER_2, 9),
				     RST | ACK));
	CU_ASSERT_TRUE(engine_session(&e, 5000, PEER_2, &view));
	CU_ASSERT_EQUAL(view.expires_ms, OPENING - MINUTE);
	bench_later(&e, OPENING - 2 * MINUTE);
	CU_ASSERT_FALSE(engine_session(&e, 5000, PEER_1, &view));
	bench_later(&e, MINUTE);
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 0);
	engine_free(&e);
}

/* A host's own SYN again is use; a stranger's that was not answered is not. */
static void test_init_again(void)
{
	struct nat_session_view view;
	struct engine e;

	engine_make(&e);
	engine_open(&e, T, first_flow);
	bench_later(&e, MINUTE);
	engine_open(&e, T, first_flow);
	CU_ASSERT_TRUE(engine_session(&e, 5000, PEER_1, &view));
	CU_ASSERT_EQUAL(view.expires_ms, OPENING);
	engine_free(&e);
}

/* A SYN or Request, or with `ends` the RST or Reset to it. */
static struct nat_result knock(struct engine *e, uint8_t proto,
			       enum nat_path path, struct flow flow, bool ends)
{
	if (proto == NAT_PROTO_TCP)
		return engine_tcp(e, path, flow, ends ? RST | ACK : SYN);
	packet_dccp(&e->packet, flow, (struct dccp){ .type = ends ? 7 : 0 });
	return engine_run(e, path);
}

/* Nor is one that the host refuses, however often it is repeated. */
static void stranger_again(uint8_t proto)
{
	struct engine e;

	engine_make(&e);
	bench_filter(&e, NAT_FILTER_ENDPOINT_INDEPENDENT);
	knock(&e, proto, NAT_PATH_OUTBOUND, first_flow, false);
	for (int minute = 0; minute < 4; minute++) {
		bench_later(&e, minute ? MINUTE : 1);
		ASSERT_TRANSLATED(knock(&e, proto, NAT_PATH_INBOUND,
					flow_of(PEER_2, 9, UPLINK, 5000),
					false));
		knock(&e, proto, NAT_PATH_OUTBOUND,
		      flow_of(INSIDE_1, 5000, PEER_2, 9), true);
	}
	bench_later(&e, MINUTE - 1);
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 1);
	bench_later(&e, 1);
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 0);
	engine_free(&e);
}

static void test_stranger_again(void)
{
	stranger_again(NAT_PROTO_TCP);
	stranger_again(NAT_PROTO_DCCP);
}

static const struct requirement table[] = {
	{ "RFC7857 2 INIT+SYN client", "SHOULD",
	  "a host's repeated SYN restarts 240 s", test_init_again, NULL },
	{ "RFC7857 7.1 again", "SHOULD NOT",
	  "a stranger's repeated SYN or Request refreshes nothing",
	  test_stranger_again, NULL },
	{ "RFC7857 7 TCP", "SHOULD NOT", "a filtered SYN refreshes nothing",
	  test_7_tcp, NULL },
	{ "RFC7857 7 quota", "SHOULD NOT",
	  "a SYN beyond the session limit refreshes nothing", test_7_quota,
	  NULL },
	{ "RFC7857 7 UDP", "SHOULD NOT",
	  "a filtered datagram refreshes nothing", test_7_udp, NULL },
	{ "RFC7857 7.1 ICMP", "SHOULD NOT",
	  "an ICMP error in answer to a packet refreshes nothing",
	  test_7_1_icmp, NULL },
	{ "RFC7857 7.1 RST", "SHOULD NOT",
	  "an RST in answer to a SYN refreshes nothing", test_7_1_rst, NULL },
};

int main(int argc, char **argv)
{
	return requirement_run("rfc7857_refresh", table, COUNT(table), argc,
			       argv);
}
