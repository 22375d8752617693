/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * RFC 5508 (BCP 148) REQ-1 and REQ-2: ICMP queries and their replies.
 */
#include "bench.h"

static const uint8_t queries[][2] = { { 8, 0 }, { 13, 14 } };

/* --- queries ---------------------------------------------------------------- */

/* The id outside; 0: refused. */
static uint16_t ask(struct engine *engine, uint32_t host, uint16_t id,
		    uint32_t peer, uint8_t type)
{
	struct nat_result result = engine_icmp(
		engine, NAT_PATH_OUTBOUND, flow_of(host, id, peer, id), type);

	return result.verdict == NAT_TRANSLATED ?
		       packet_flow(&engine->packet).sport :
		       0;
}

/* The peer's reply reaches this host with this id. */
static bool replied(struct engine *engine, uint32_t peer, uint16_t outside,
		    uint8_t type, uint32_t host, uint16_t id)
{
	struct nat_result result =
		engine_icmp(engine, NAT_PATH_INBOUND,
			    flow_of(peer, outside, UPLINK, outside), type);

	return result.verdict == NAT_TRANSLATED &&
	       flow_is(packet_flow(&engine->packet), peer, id, host, id);
}

static void req_1(void)
{
	for (size_t i = 0; i < 2; i++) {
		struct engine engine;
		uint16_t first, second;

		engine_make(&engine);
		first = ask(&engine, INSIDE_1, 7, PEER_1, queries[i][0]);
		second = ask(&engine, INSIDE_2, 7, PEER_1, queries[i][0]);
		CU_ASSERT_NOT_EQUAL(first, 0);
		CU_ASSERT_NOT_EQUAL(second, 0);
		CU_ASSERT_NOT_EQUAL(first, second);
		CU_ASSERT_TRUE(replied(&engine, PEER_1, second, queries[i][1],
				       INSIDE_2, 7));
		CU_ASSERT_TRUE(replied(&engine, PEER_1, first, queries[i][1],
				       INSIDE_1, 7));
		engine_free(&engine);
	}
}

static void req_1a(void)
{
	struct engine engine;
	uint16_t id;

	engine_make(&engine);
	CU_ASSERT_NOT_EQUAL(ask(&engine, INSIDE_2, 5000, PEER_1, 8), 0);
	id = ask(&engine, INSIDE_1, 5000, PEER_1, 8);
	CU_ASSERT_NOT_EQUAL(id, 5000);
	CU_ASSERT_EQUAL(ask(&engine, INSIDE_1, 5000, PEER_2, 8), id);
	CU_ASSERT_EQUAL(ask(&engine, INSIDE_1, 5000, PEER_3, 13), id);
	CU_ASSERT_TRUE(replied(&engine, PEER_2, id, 0, INSIDE_1, 5000));
	engine_free(&engine);
}

/* Does a reply pass so many milliseconds after the query? */
static bool passes_after(uint32_t timeout_s, uint64_t ms)
{
	struct engine engine;
	bool passed;

	engine_make(&engine);
	if (timeout_s)
		engine.config.timeout_s[NAT_TIMER_ICMP] = timeout_s;
	engine_configure(&engine);
	ask(&engine, INSIDE_1, 5000, PEER_1, 8);
	engine.now += ms;
	nat_expire(engine.nat, engine.now, 10);
	passed = replied(&engine, PEER_1, 5000, 0, INSIDE_1, 5000);
	engine_free(&engine);
	return passed;
}

static void req_2(void)
{
	CU_ASSERT_TRUE(passes_after(0, 60 * SECOND - 1));
	CU_ASSERT_FALSE(passes_after(0, 60 * SECOND));
}

static void req_2a(void)
{
	CU_ASSERT_TRUE(passes_after(90, 90 * SECOND - 1));
	CU_ASSERT_FALSE(passes_after(90, 90 * SECOND));
}

static const struct requirement table[] = {
	{ "RFC5508 REQ-1", "MUST",
	  "queries and replies pass, each with an id of its own outside", req_1,
	  NULL },
	{ "RFC5508 REQ-1a", "SHOULD",
	  "an id is the same towards every remote host", req_1a, NULL },
	{ "RFC5508 REQ-2", "MUST NOT",
	  "a query mapping lives 60 s and not a millisecond less or more",
	  req_2, NULL },
	{ "RFC5508 REQ-2a", "SHOULD", "the query timer is configurable", req_2a,
	  NULL },
};

int main(int argc, char **argv)
{
	return requirement_run("rfc5508", table, COUNT(table), argc, argv);
}
