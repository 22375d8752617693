/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The uplink moves to another address: TCP connections are cut, and their inside
 * ends are told so that they believe it (RFC 9293 3.10.7, RFC 5961 3.2).
 */
#include <stdlib.h>

#include "move_lab.h"
#include "nat/internal.h"
#include "packets_other.h"
#include "restore_lab.h"
#include "suite.h"

static const struct flow to_inside = { PEER_1, 7000, INSIDE_1, 5000 };

static void make_cut(struct engine *engine)
{
	engine_make(engine);
	move_connect(engine, move_out);
	CU_ASSERT_EQUAL(move_to(engine, UPLINK_2), 0);
	CU_ASSERT_EQUAL(engine_stats(engine).move_cut, 1);
}

/* --- what the inside end is sent ------------------------------------------------ */

static void test_rst_and_question(void)
{
	static const uint32_t waits_ms[] = { 500, 2500, 0 };
	struct packet packet;
	struct engine engine;

	make_cut(&engine);
	for (size_t i = 0; i < sizeof(waits_ms) / sizeof(waits_ms[0]); i++) {
		CU_ASSERT_TRUE(nat_telling(engine.nat));
		CU_ASSERT_TRUE(move_next(&engine, &packet));
		CU_ASSERT_TRUE(move_is(&packet, to_inside, RST, 501));
		CU_ASSERT_TRUE(move_next(&engine, &packet));
		CU_ASSERT_TRUE(
			move_is(&packet, to_inside, ACK, 501 + 0x80000000U));
		engine.now += waits_ms[i] ? waits_ms[i] - 1 : 0;
		CU_ASSERT_FALSE(move_next(&engine, &packet));
		engine.now++;
	}
	CU_ASSERT_FALSE(nat_telling(engine.nat));
	CU_ASSERT_EQUAL(engine_stats(&engine).move_told, 1);
	engine_free(&engine);
}

/* The end has received more than we saw acknowledged; so is its answer to the
 * question. */
static void test_its_answer_is_met_with_an_rst(void)
{
	struct nat_result result;
	struct packet packet;
	struct engine engine;

	make_cut(&engine);
	move_outputs(&engine);
	result = move_tcp(&engine, NAT_PATH_OUTBOUND, move_out, ACK, 101, 1777);
	ASSERT_DROPPED(result, NAT_DROP_NO_SESSION);
	CU_ASSERT_EQUAL(result.answer_length, 40);
	memcpy(packet.data, result.answer, 40);
	packet.length = 40;
	CU_ASSERT_TRUE(move_is(&packet, to_inside, RST, 1777));
	/* And so are all it sends; never one without an acknowledgement. */
	CU_ASSERT_EQUAL(move_tcp(&engine, NAT_PATH_OUTBOUND, move_out,
				 FIN | ACK, 101, 1777)
				.answer_length,
			40);
	CU_ASSERT_EQUAL(move_tcp(&engine, NAT_PATH_OUTBOUND, move_out, FIN, 101,
				 0)
				.answer_length,
			0);
	engine_free(&engine);
}

static void test_damaged_segment(void)
{
	struct nat_result result;
	struct engine engine;

	make_cut(&engine);
	packet_tcp(&engine.packet, move_out,
		   (struct segment){ .flags = RST, .seq = 101 });
	packet_l4(&engine.packet)[16] ^= 1;
	result = engine_run(&engine, NAT_PATH_OUTBOUND);
	ASSERT_DROPPED(result, NAT_DROP_BAD_CHECKSUM);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 1);
	engine_free(&engine);
}

/* Its port is another's at once: a connection followed to its end. */
static void test_its_own_rst_ends_it(void)
{
	struct nat_result result;
	struct engine engine;

	make_cut(&engine);
	move_outputs(&engine);
	result = move_tcp(&engine, NAT_PATH_OUTBOUND, move_out, RST, 0, 0);
	ASSERT_DROPPED(result, NAT_DROP_NO_SESSION);
	CU_ASSERT_EQUAL(result.answer_length, 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 0);
	CU_ASSERT_FALSE(nat_held(engine.nat, NAT_POOL_TCP, 5000));
	engine.now += 500;
	CU_ASSERT_EQUAL(move_outputs(&engine), 0);
	CU_ASSERT_FALSE(nat_telling(engine.nat));
	engine_free(&engine);
}

static void test_without_an_answer(void)
{
	struct nat_session_view view;
	struct engine engine;

	make_cut(&engine);
	CU_ASSERT_TRUE(engine_session(&engine, 5000, PEER_1, &view));
	CU_ASSERT_EQUAL(view.state, NAT_STATE_TRANS);
	CU_ASSERT_EQUAL(view.expires_ms, NAT_CUT_MS);
	move_outputs(&engine);
	engine.now += NAT_CUT_MS - 1;
	CU_ASSERT_EQUAL(nat_expire(engine.nat, engine.now, 10), 0);
	engine.now++;
	CU_ASSERT_EQUAL(nat_expire(engine.nat, engine.now, 10), 1);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).move_untold, 0);
	engine_free(&engine);
}

static void test_untold_is_counted(void)
{
	struct engine engine;

	make_cut(&engine);
	engine.now += NAT_CUT_MS;
	CU_ASSERT_EQUAL(nat_expire(engine.nat, engine.now, 10), 1);
	CU_ASSERT_EQUAL(engine_stats(&engine).move_untold, 1);
	CU_ASSERT_EQUAL(move_outputs(&engine), 0);
	CU_ASSERT_FALSE(nat_telling(engine.nat));
	engine_free(&engine);
}

/* --- states ----------------------------------------------------------------------- */

static void test_a_mere_syn_goes_on(void)
{
	struct engine engine;

	engine_make(&engine);
	ASSERT_TRANSLATED(
		move_tcp(&engine, NAT_PATH_OUTBOUND, move_out, SYN, 100, 0));
	move_to(&engine, UPLINK_2);
	CU_ASSERT_EQUAL(engine_stats(&engine).move_cut, 0);
	CU_ASSERT_EQUAL(move_outputs(&engine), 0);
	ASSERT_TRANSLATED(
		move_tcp(&engine, NAT_PATH_OUTBOUND, move_out, SYN, 100, 0));
	ASSERT_FLOW(&engine, UPLINK_2, 5000, PEER_1, 7000);
	ASSERT_TRANSLATED(move_tcp(&engine, NAT_PATH_INBOUND,
				   flow_of(PEER_1, 7000, UPLINK_2, 5000),
				   SYN | ACK, 500, 101));
	engine_free(&engine);
}

static void test_a_new_syn_opens_anew(void)
{
	struct nat_session_view view;
	struct engine engine;

	make_cut(&engine);
	ASSERT_TRANSLATED(
		move_tcp(&engine, NAT_PATH_OUTBOUND, move_out, SYN, 9000, 0));
	ASSERT_FLOW(&engine, UPLINK_2, 5000, PEER_1, 7000);
	engine_session(&engine, 5000, PEER_1, &view);
	CU_ASSERT_EQUAL(view.state, NAT_STATE_INIT);
	CU_ASSERT_EQUAL(view.expires_ms, 240 * SECOND);
	CU_ASSERT_EQUAL(move_outputs(&engine), 0);
	/* Nor does a SYN to another peer need another port. */
	ASSERT_TRANSLATED(engine_tcp(&engine, NAT_PATH_OUTBOUND,
				     flow_of(INSIDE_1, 5000, PEER_2, 7000),
				     SYN));
	ASSERT_FLOW(&engine, UPLINK_2, 5000, PEER_2, 7000);
	engine_free(&engine);
}

/* Who it is cannot be known: a SYN might make the inside end speak on. */
static void test_nothing_comes_in(void)
{
	const struct flow in = { PEER_1, 7000, UPLINK_2, 5000 };
	static const uint8_t flags[] = { SYN, ACK, RST, FIN | ACK };
	struct engine engine;

	make_cut(&engine);
	for (size_t i = 0; i < COUNT(flags); i++)
		ASSERT_DROPPED(move_tcp(&engine, NAT_PATH_INBOUND, in, flags[i],
					501, 101),
			       NAT_DROP_NO_SESSION);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 1);
	engine_free(&engine);
}

/* Of every state but the mere SYN's; TIME-WAIT may not mind (RFC 1337). */
static void test_every_state(void)
{
	static const struct {
		uint8_t in, out;
	} last[] = { { FIN | ACK, 0 },
		     { 0, FIN | ACK },
		     { FIN | ACK, FIN | ACK },
		     { RST, 0 } };

	for (size_t i = 0; i < COUNT(last); i++) {
		struct packet packet;
		struct engine engine;

		engine_make(&engine);
		move_connect(&engine, move_out);
		if (last[i].in)
			move_tcp(&engine, NAT_PATH_INBOUND,
				 flow_of(PEER_1, 7000, UPLINK, 5000),
				 last[i].in, 501, 101);
		if (last[i].out)
			move_tcp(&engine, NAT_PATH_OUTBOUND, move_out,
				 last[i].out, 101, 502);
		move_to(&engine, UPLINK_2);
		CU_ASSERT_TRUE(move_next(&engine, &packet));
		CU_ASSERT_TRUE(move_is(&packet, to_inside, RST,
				       last[i].out ? 502 : 501));
		engine_free(&engine);
	}
}

/* A server that has not answered yet: nothing is known of it. */
static void test_server_inside(void)
{
	const struct flow answer = { INSIDE_1, 80, PEER_1, 7000 };
	struct packet packet;
	struct engine engine;
	static struct nat_forward forward = { .name = "web",
					      .proto = T,
					      .outside_first = 8080,
					      .outside_last = 8080,
					      .inside_addr = INSIDE_1,
					      .inside_first = 80 };

	engine_make(&engine);
	engine.config.forwards = &forward;
	engine.config.forward_count = 1;
	engine_configure(&engine);
	ASSERT_TRANSLATED(move_tcp(&engine, NAT_PATH_INBOUND,
				   flow_of(PEER_1, 7000, UPLINK, 8080), SYN,
				   500, 0));
	move_to(&engine, UPLINK_2);
	CU_ASSERT_TRUE(move_next(&engine, &packet));
	CU_ASSERT_TRUE(move_is(&packet, flow_back(answer), ACK, 0x80000000U));
	CU_ASSERT_FALSE(move_next(&engine, &packet));
	CU_ASSERT_EQUAL(move_tcp(&engine, NAT_PATH_OUTBOUND, answer, SYN | ACK,
				 900, 501)
				.answer_length,
			40);
	/* The client comes again. */
	move_tcp(&engine, NAT_PATH_OUTBOUND, answer, RST, 0, 0);
	ASSERT_TRANSLATED(move_tcp(&engine, NAT_PATH_INBOUND,
				   flow_of(PEER_1, 7000, UPLINK_2, 8080), SYN,
				   700, 0));
	engine_free(&engine);
}

/* Both ends of a connection by our old address. */
static void test_hairpin(void)
{
	struct flow flow = { INSIDE_1, 5000, UPLINK, 6000 };
	struct packet packet;
	struct engine engine;

	engine_make(&engine);
	engine.config.filtering[NAT_POOL_TCP] = NAT_FILTER_ENDPOINT_INDEPENDENT;
	engine_open(&engine, T, flow_of(INSIDE_2, 6000, PEER_1, 7000));
	ASSERT_TRANSLATED(
		move_tcp(&engine, NAT_PATH_HAIRPIN_IN, flow, SYN, 100, 0));
	engine_run(&engine, NAT_PATH_HAIRPIN_OUT);
	ASSERT_TRANSLATED(move_tcp(&engine, NAT_PATH_HAIRPIN_IN,
				   flow_of(INSIDE_2, 6000, UPLINK, 5000),
				   SYN | ACK, 500, 101));
	engine_run(&engine, NAT_PATH_HAIRPIN_OUT);
	ASSERT_TRANSLATED(
		move_tcp(&engine, NAT_PATH_HAIRPIN_IN, flow, ACK, 101, 501));
	move_to(&engine, UPLINK_2);
	CU_ASSERT_EQUAL(engine_stats(&engine).move_cut, 2);
	CU_ASSERT_TRUE(move_next(&engine, &packet));
	CU_ASSERT_TRUE(move_is(&packet, flow_back(flow), RST, 501));
	move_next(&engine, &packet);
	CU_ASSERT_TRUE(move_next(&engine, &packet));
	CU_ASSERT_TRUE(move_is(&packet, flow_of(UPLINK, 5000, INSIDE_2, 6000),
			       RST, 101));
	/* What they send to the old address is no longer for ourselves. */
	CU_ASSERT_EQUAL(move_tcp(&engine, NAT_PATH_OUTBOUND, flow, ACK, 101,
				 501)
				.answer_length,
			40);
	engine_free(&engine);
}

/* --- ICMP queries ------------------------------------------------------------------- */

static void test_query_is_told(void)
{
	struct packet packet;
	struct engine engine;
	const uint8_t *icmp = packet.data + 20;

	engine_make(&engine);
	engine_open(&engine, I, flow_of(INSIDE_1, 77, PEER_1, 77));
	engine.now++;
	move_to(&engine, UPLINK_2);
	CU_ASSERT_TRUE(move_next(&engine, &packet));
	CU_ASSERT_EQUAL(packet_get32(packet.data + 16), INSIDE_1);
	CU_ASSERT_EQUAL(packet_get16(icmp), 0x0301);
	CU_ASSERT_EQUAL(packet_get32(icmp + 8 + 12), INSIDE_1);
	CU_ASSERT_EQUAL(packet_get32(icmp + 8 + 16), PEER_1);
	CU_ASSERT_EQUAL(icmp[8 + 20], 8);
	CU_ASSERT_EQUAL(packet_get16(icmp + 8 + 24), 77);
	CU_ASSERT_EQUAL(move_outputs(&engine), 0);
	engine.now += SECOND;
	CU_ASSERT_EQUAL(move_outputs(&engine), 0);
	engine_free(&engine);
}

static void test_query_goes_on_untold(void)
{
	struct engine engine;

	/* It has asked again since. */
	engine_make(&engine);
	engine_open(&engine, I, flow_of(INSIDE_1, 2077, PEER_1, 2077));
	move_to(&engine, UPLINK_2);
	engine.now++;
	CU_ASSERT_EQUAL(engine_open(&engine, I,
				    flow_of(INSIDE_1, 2077, PEER_1, 2077)),
			2077);
	CU_ASSERT_EQUAL(move_outputs(&engine), 0);
	/* The operator wants no ICMP from us (RFC 5508 REQ-9). */
	engine.config.icmp_per_second = 0;
	engine.now++;
	move_to(&engine, UPLINK);
	CU_ASSERT_EQUAL(move_outputs(&engine), 0);
	CU_ASSERT_EQUAL(engine_stats(&engine).icmp_suppressed, 1);
	engine_free(&engine);
}

/* --- many, and restarts --------------------------------------------------------------- */

#define MANY 10000U

/* Asked every 10 ms, as platform/ does. */
static void test_ten_thousand_in_a_second(void)
{
	static const struct nat_limits limits = { .mappings = MANY,
						  .sessions = MANY,
						  .hosts = 8,
						  .held_ports = 1,
						  .fragments = 1,
						  .fragment_bytes = 1 };
	uint8_t *told = calloc(65536, 1);
	unsigned resets = 0, most = 0;
	struct packet packet;
	struct engine engine;

	engine_bare(&engine, &limits);
	engine_defaults(&engine.config);
	engine.config.host_mappings = engine.config.host_sessions = MANY;
	engine.config.host_new_per_second = MANY;
	engine_configure(&engine);
	nat_set_uplink(engine.nat, UPLINK, engine.now);
	engine.unproven = true;
	for (uint32_t i = 0; i < MANY; i++)
		move_connect(&engine, flow_of(INSIDE_1, (uint16_t)(2000 + i),
					      PEER_1, 7000));
	CU_ASSERT_EQUAL(move_to(&engine, UPLINK_2), 0);
	for (int i = 0; i < 50; i++, engine.now += 10) {
		unsigned count = 0;

		while (move_next(&engine, &packet)) {
			uint16_t port = packet_flow(&packet).dport;

			count++;
			resets += packet_l4(&packet)[13] == RST && !told[port];
			told[port] |= packet_l4(&packet)[13] == RST;
		}
		most = count > most ? count : most;
	}
	CU_ASSERT_EQUAL(resets, MANY);
	CU_ASSERT_EQUAL(engine_stats(&engine).move_told, MANY);
	CU_ASSERT_TRUE(most <= 512);
	CU_ASSERT_EQUAL(engine_stats(&engine).move_untold, 0);
	CU_ASSERT_PTR_NULL(nat_check(engine.nat));
	free(told);
	engine_free(&engine);
}

/* Killed before all were told: the next process tells the rest. */
static void test_killed_while_telling(void)
{
	struct nat_restored restored;
	struct packet packet;
	struct engine engine;

	make_cut(&engine);
	open_from(&engine, I, INSIDE_2, 77);
	restored = engine_restore(&engine);
	CU_ASSERT_EQUAL(losses(&restored), 0);
	engine_configure(&engine);
	move_to(&engine, UPLINK_2);
	CU_ASSERT_EQUAL(engine_stats(&engine).moves, 0);
	CU_ASSERT_TRUE(move_next(&engine, &packet));
	CU_ASSERT_TRUE(move_is(&packet, to_inside, RST, 501));
	CU_ASSERT_EQUAL(move_outputs(&engine), 1);
	CU_ASSERT_EQUAL(move_tcp(&engine, NAT_PATH_OUTBOUND, move_out, ACK, 1,
				 2)
				.answer_length,
			40);
	engine_free(&engine);
}

static void test_moved_again_meanwhile(void)
{
	struct packet packet;
	struct engine engine;

	make_cut(&engine);
	move_next(&engine, &packet);
	engine.now += SECOND;
	move_to(&engine, UPLINK);
	CU_ASSERT_EQUAL(engine_stats(&engine).move_cut, 1);
	CU_ASSERT_TRUE(move_next(&engine, &packet));
	CU_ASSERT_TRUE(move_is(&packet, to_inside, RST, 501));
	/* Its time began with the first move. */
	engine.now += NAT_CUT_MS - SECOND;
	CU_ASSERT_EQUAL(nat_expire(engine.nat, engine.now, 10), 1);
	engine_free(&engine);
}

/* Its peer's address is now ours: the router has no such connection either. */
static void test_moved_to_the_peer(void)
{
	struct nat_result result;
	struct engine engine;

	engine_make(&engine);
	move_connect(&engine, move_out);
	move_to(&engine, PEER_1);
	result =
		move_tcp(&engine, NAT_PATH_HAIRPIN_IN, move_out, ACK, 101, 700);
	ASSERT_DROPPED(result, NAT_DROP_NO_SESSION);
	CU_ASSERT_EQUAL_FATAL(result.answer_length, 40);
	memcpy(engine.packet.data, result.answer, 40);
	engine.packet.length = 40;
	CU_ASSERT_TRUE(move_is(&engine.packet, to_inside, RST, 700));
	/* What begins anew is no longer about it. */
	result = move_tcp(&engine, NAT_PATH_HAIRPIN_IN, move_out, SYN, 900, 0);
	ASSERT_DROPPED(result, NAT_DROP_NO_MAPPING);
	engine_free(&engine);
}

static const struct test tests[] = {
	{ "an end whose peer's address is ours now is told as well",
	  test_moved_to_the_peer },
	{ "RFC 5961 3.2: an RST where the end expects it, then a question",
	  test_rst_and_question },
	{ "RFC 9293 3.10.7.1: whatever it sends is met with an RST",
	  test_its_answer_is_met_with_an_rst },
	{ "a damaged segment is none of it", test_damaged_segment },
	{ "RFC 6888 REQ-8a: its own RST ends it", test_its_own_rst_ends_it },
	{ "without an answer it ends in 10 s", test_without_an_answer },
	{ "who was not told in time is counted", test_untold_is_counted },
	{ "a SYN that nobody has answered goes on", test_a_mere_syn_goes_on },
	{ "a new SYN opens it anew by the same port",
	  test_a_new_syn_opens_anew },
	{ "nothing comes in", test_nothing_comes_in },
	{ "every other state is told", test_every_state },
	{ "a server inside is told", test_server_inside },
	{ "both ends of a hairpin are told", test_hairpin },
	{ "a host is told of a query that may be lost", test_query_is_told },
	{ "but not when it has asked again, nor when ICMP is off",
	  test_query_goes_on_untold },
	{ "10,000 are told within a second", test_ten_thousand_in_a_second },
	{ "killed while telling", test_killed_while_telling },
	{ "moved again while telling", test_moved_again_meanwhile },
};

int main(int argc, char **argv)
{
	return suite_run("move tell", tests, COUNT(tests), argc, argv);
}
