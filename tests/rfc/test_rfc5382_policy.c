/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * RFC 5382 (BCP 142), NAT behaviour for TCP: filtering and unsolicited SYNs
 * (REQ-3 and REQ-4).
 */
#include "bench.h"

#define T NAT_PROTO_TCP

static const struct flow first_flow = { INSIDE_1, 5000, PEER_1, 80 };

static struct flow from(uint32_t peer, uint16_t peer_port, uint16_t port)
{
	return flow_of(peer, peer_port, UPLINK, port);
}

/* --- filtering ------------------------------------------------------------ */

static enum nat_drop syn_from(const struct nat_config *config, uint32_t peer,
			      uint16_t peer_port)
{
	struct nat_result result;
	struct engine e;
	uint16_t port;

	engine_make(&e);
	if (config)
		memcpy(e.config.filtering, config->filtering,
		       sizeof(config->filtering));
	engine_configure(&e);
	port = engine_open(&e, T, first_flow);
	result = engine_tcp(&e, NAT_PATH_INBOUND, from(peer, peer_port, port),
			    SYN);
	if (result.verdict == NAT_TRANSLATED)
		CU_ASSERT_EQUAL(packet_flow(&e.packet).dst, INSIDE_1);
	CU_ASSERT_EQUAL(result.answer_length, 0);
	engine_free(&e);
	return result.drop;
}

static void test_req_3(void)
{
	CU_ASSERT_EQUAL(syn_from(NULL, PEER_1, 81), NAT_DROP_NONE);
	CU_ASSERT_EQUAL(syn_from(NULL, PEER_2, 80), NAT_DROP_FILTERED_ADDRESS);
}

static void test_req_3a(void)
{
	struct nat_config config;

	engine_defaults(&config);
	config.filtering[NAT_POOL_TCP] = NAT_FILTER_ENDPOINT_INDEPENDENT;
	CU_ASSERT_EQUAL(syn_from(&config, PEER_2, 9), NAT_DROP_NONE);
	config.filtering[NAT_POOL_TCP] = NAT_FILTER_ADDRESS_AND_PORT_DEPENDENT;
	CU_ASSERT_EQUAL(syn_from(&config, PEER_1, 80), NAT_DROP_NONE);
	CU_ASSERT_EQUAL(syn_from(&config, PEER_1, 81), NAT_DROP_FILTERED_PORT);
}

/* Each protocol's filtering is its own, whatever the other one's is. */
static void test_req_3b(void)
{
	struct nat_config config;

	engine_defaults(&config);
	config.filtering[NAT_POOL_UDP] = NAT_FILTER_ADDRESS_AND_PORT_DEPENDENT;
	CU_ASSERT_EQUAL(syn_from(&config, PEER_1, 81), NAT_DROP_NONE);
	config.filtering[NAT_POOL_UDP] = NAT_FILTER_ENDPOINT_INDEPENDENT;
	CU_ASSERT_EQUAL(syn_from(&config, PEER_2, 80),
			NAT_DROP_FILTERED_ADDRESS);
}

/* --- unsolicited SYNs ------------------------------------------------------ */

#define SILENCE (6 * SECOND)

/* A SYN for a port of the pool that is in nobody's use. */
static void knock(struct engine *e, bool answer)
{
	struct nat_result result;

	engine_make(e);
	e->config.icmp_after_6s = answer;
	engine_configure(e);
	result = engine_tcp(e, NAT_PATH_INBOUND, from(PEER_1, 80, 5000), SYN);
	ASSERT_DROPPED(result, NAT_DROP_NO_MAPPING);
	CU_ASSERT_EQUAL(result.answer_length, 0);
	CU_ASSERT_EQUAL(engine_stats(e).mappings, 0);
	CU_ASSERT_EQUAL(engine_stats(e).sessions, 0);
}

static void test_req_4(void)
{
	struct engine e;
	struct packet icmp;

	knock(&e, true);
	bench_later(&e, SILENCE - 1);
	CU_ASSERT_EQUAL(bench_outputs(&e, NULL), 0);
	bench_later(&e, 1);
	CU_ASSERT_EQUAL(bench_outputs(&e, &icmp), 1);
	CU_ASSERT_EQUAL(packet_flow(&icmp).src, UPLINK);
	CU_ASSERT_EQUAL(packet_flow(&icmp).dst, PEER_1);
	CU_ASSERT_EQUAL(packet_l4(&icmp)[0], 3);
	CU_ASSERT_EQUAL(packet_l4(&icmp)[1], 3);
	/* It quotes the SYN. */
	CU_ASSERT_EQUAL(packet_get32(icmp.data + PACKET_IP + 8 + 12), PEER_1);
	CU_ASSERT_EQUAL(packet_get16(icmp.data + 2 * PACKET_IP + 8), 80);
	CU_ASSERT_EQUAL(packet_get16(icmp.data + 2 * PACKET_IP + 10), 5000);
	CU_ASSERT_PTR_NULL(packet_wrong(icmp.data, icmp.length));
	bench_later(&e, MINUTE);
	CU_ASSERT_EQUAL(bench_outputs(&e, NULL), 0);
	engine_free(&e);
}

static void test_req_4_solicited(void)
{
	struct engine e;

	knock(&e, true);
	bench_later(&e, 3 * SECOND);
	CU_ASSERT_EQUAL(engine_open(&e, T, first_flow), 5000);
	for (int i = 0; i < 60; i++) {
		bench_later(&e, SECOND);
		CU_ASSERT_EQUAL(bench_outputs(&e, NULL), 0);
	}
	engine_free(&e);
}

/* An outbound SYN to another port of the peer is not the matching one. */
static void test_req_4_other(void)
{
	struct flow other = first_flow;
	struct engine e;

	knock(&e, true);
	other.dport = 81;
	bench_later(&e, 3 * SECOND);
	CU_ASSERT_EQUAL(engine_open(&e, T, other), 5000);
	bench_later(&e, 3 * SECOND);
	CU_ASSERT_EQUAL(bench_outputs(&e, NULL), 1);
	engine_free(&e);
}

static void test_req_4_bounded(void)
{
	struct engine e;

	knock(&e, true);
	for (uint32_t i = 0; i < 1000; i++)
		engine_tcp(&e, NAT_PATH_INBOUND,
			   from(PEER_3 + i, 80, (uint16_t)(2000 + i)), SYN);
	CU_ASSERT_EQUAL(engine_stats(&e).mappings, 0);
	CU_ASSERT_EQUAL(engine_stats(&e).sessions, 0);
	bench_later(&e, SILENCE);
	CU_ASSERT_EQUAL(bench_outputs(&e, NULL), 64);
	engine_free(&e);
}

static void stays_silent(struct engine *e)
{
	for (int i = 0; i < 60; i++) {
		bench_later(e, SECOND);
		CU_ASSERT_EQUAL(bench_outputs(e, NULL), 0);
	}
	engine_free(e);
}

/* From the start, or from a change of policy on. */
static void test_req_4a(void)
{
	struct engine e;

	knock(&e, false);
	stays_silent(&e);
	knock(&e, true);
	bench_later(&e, 3 * SECOND);
	e.config.icmp_after_6s = false;
	engine_configure(&e);
	stays_silent(&e);
}

/* The router's own services answer for themselves. */
static void test_req_4a_router(void)
{
	struct nat_portset bound = { { 0 } };
	struct engine e;

	engine_make(&e);
	nat_portset_add(&bound, 8022);
	nat_set_bound(e.nat, NAT_POOL_TCP, &bound);
	ASSERT_UNTOUCHED(
		engine_tcp(&e, NAT_PATH_INBOUND, from(PEER_1, 80, 8022), SYN));
	ASSERT_UNTOUCHED(
		engine_tcp(&e, NAT_PATH_INBOUND, from(PEER_1, 80, 22), SYN));
	engine_free(&e);
}

static const struct requirement table[] = {
	{ "RFC5382 REQ-3", "SHOULD",
	  "by default any port of a contacted address may connect", test_req_3,
	  NULL },
	{ "RFC5382 REQ-3a", "MAY", "the operator chooses the filtering",
	  test_req_3a, NULL },
	{ "RFC5382 REQ-3b", "MAY", "it may differ from that of UDP",
	  test_req_3b, NULL },
	{ "RFC5382 REQ-4", "MUST NOT",
	  "an unsolicited SYN is answered after 6 s, by one ICMP 3/3 about it",
	  test_req_4, NULL },
	{ "RFC5382 REQ-4 solicited", "MUST",
	  "an outbound SYN within the 6 s means no answer ever",
	  test_req_4_solicited, NULL },
	{ "RFC5382 REQ-4 other", "SHOULD",
	  "an outbound SYN to another port of the peer changes nothing",
	  test_req_4_other, NULL },
	{ "RFC5382 REQ-4 bound", "ENG",
	  "unsolicited SYNs make no state, at most 64 are remembered",
	  test_req_4_bounded, NULL },
	{ "RFC5382 REQ-4a", "MUST", "by default they are never answered",
	  test_req_4a, NULL },
	{ "RFC5382 REQ-4a router", "MUST",
	  "SYNs to the router's own ports are left to the router",
	  test_req_4a_router, NULL },
};

int main(int argc, char **argv)
{
	return requirement_run("rfc5382_policy", table, COUNT(table), argc,
			       argv);
}
