/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sessions that somebody else carries: which are handed over and when, and what
 * takes them back.
 */
#include "carry_lab.h"
#include "nat/internal.h"
#include "packets_other.h"
#include "suite.h"

/* --- handing over ------------------------------------------------------------ */

static void test_tcp_established_is_handed_over(void)
{
	connect_tcp(AFTER - 1);
	CU_ASSERT_EQUAL(carrier.offers, 0);
	CU_ASSERT_FALSE(session(&lab).carried);
	flags(&lab, CLIENT, ACK);
	CU_ASSERT_EQUAL(carrier.offers, 1);
	CU_ASSERT_TRUE(session(&lab).carried);
	CU_ASSERT_EQUAL(engine_stats(&lab.engine).carried, 1);
	CU_ASSERT_EQUAL(carrier.last.proto, NAT_PROTO_TCP);
	CU_ASSERT_EQUAL(carrier.last.inside_addr, INSIDE_1);
	CU_ASSERT_EQUAL(carrier.last.inside_port, 5000);
	CU_ASSERT_EQUAL(carrier.last.outside_addr, UPLINK);
	CU_ASSERT_EQUAL(carrier.last.outside_port, 5000);
	CU_ASSERT_EQUAL(carrier.last.peer_addr, PEER_1);
	CU_ASSERT_EQUAL(carrier.last.peer_port, 7000);
	/* What comes up all the same passes, and is not offered again. */
	for (uint32_t i = 0; i < 2 * AFTER; i++)
		flags(&lab, SERVER, ACK);
	CU_ASSERT_EQUAL(carrier.offers, 1);
	engine_free(&lab.engine);
}

static void test_other_tcp_states_are_not(void)
{
	static const enum nat_state states[] = { NAT_STATE_INIT,
						 NAT_STATE_C_FIN,
						 NAT_STATE_S_FIN,
						 NAT_STATE_C_FIN_S_FIN };

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		lab_make(&lab, true);
		with_carrier(&lab.engine, &carrier);
		carrier.full = true;
		reach(&lab, states[i]);
		carrier.offers = 0;
		for (uint32_t j = 0; j < 3 * AFTER; j++)
			flags(&lab, CLIENT, ACK);
		CU_ASSERT_EQUAL(session(&lab).state, states[i]);
		CU_ASSERT_EQUAL(carrier.offers, 0);
		engine_free(&lab.engine);
	}
}

static void test_udp_needs_traffic_both_ways(void)
{
	udp_open(3 * AFTER, 0);
	CU_ASSERT_EQUAL(carrier.offers, 0);
	for (uint32_t i = 0; i < AFTER; i++)
		engine_answer(&udp, NAT_PROTO_UDP, PEER_1, 7000, 5000);
	CU_ASSERT_EQUAL(carrier.offers, 1);
	CU_ASSERT_TRUE(udp_session().carried);
	engine_free(&udp);
}

static void test_other_protocols_are_not(void)
{
	engine_make(&udp);
	with_carrier(&udp, &carrier);
	for (uint32_t i = 0; i < 3 * AFTER; i++) {
		packet_udplite(&udp.packet, udp_out, 8, 20);
		ASSERT_TRANSLATED(engine_run(&udp, NAT_PATH_OUTBOUND));
		packet_udplite(&udp.packet, flow_of(PEER_1, 7000, UPLINK, 5000),
			       8, 20);
		ASSERT_TRANSLATED(engine_run(&udp, NAT_PATH_INBOUND));
		engine_open(&udp, NAT_PROTO_ICMP, udp_out);
		engine_answer(&udp, NAT_PROTO_ICMP, PEER_1, 0, 5000);
	}
	CU_ASSERT_EQUAL(engine_stats(&udp).sessions, 2);
	CU_ASSERT_EQUAL(carrier.offers, 0);
	engine_free(&udp);
}

/* Both of its ends are inside: no device could tell its directions apart. */
static void test_hairpin_is_not(void)
{
	struct flow turned = flow_of(INSIDE_2, 6000, UPLINK, 5000);
	struct flow back = flow_of(INSIDE_1, 5000, UPLINK, 6000);

	udp_open(1, 0);
	for (uint32_t i = 0; i < 3 * AFTER; i++) {
		ASSERT_TRANSLATED(
			engine_udp(&udp, NAT_PATH_HAIRPIN_IN, turned));
		ASSERT_TRANSLATED(engine_udp(&udp, NAT_PATH_HAIRPIN_IN, back));
	}
	CU_ASSERT_EQUAL(carrier.offers, 0);
	engine_free(&udp);
}

/* A peer speaks from one port to two outside ports of one inside socket: inside,
 * packets of the two sessions look the same. Carried is the one by which the
 * engine would send out, and the other is not any more. */
static void test_twins_are_not_carried_both(void)
{
	static const struct nat_forward aliases[] = {
		{ "one", NAT_PROTO_TCP, 8080, 8080, INSIDE_1, 80, NULL, 0 },
		{ "two", NAT_PROTO_TCP, 8081, 8081, INSIDE_1, 80, NULL, 0 },
	};
	static const struct flow out = { INSIDE_1, 80, PEER_1, 7000 };

	engine_make(&udp);
	udp.config.forwards = aliases;
	udp.config.forward_count = 2;
	with_carrier(&udp, &carrier);
	/* The second one first: outbound, it is found behind the other. */
	for (uint16_t port = 8081; port >= 8080; port--) {
		struct flow in = flow_of(PEER_1, 7000, UPLINK, port);

		engine_tcp(&udp, NAT_PATH_INBOUND, in, SYN);
		/* At once: the answer's next segments leave by the new one. */
		CU_ASSERT_EQUAL(engine_stats(&udp).carried, 0);
		engine_tcp(&udp, NAT_PATH_OUTBOUND, out, SYN | ACK);
		ASSERT_FLOW(&udp, UPLINK, port, PEER_1, 7000);
		for (uint32_t i = 0; i < 2 * AFTER; i++)
			engine_tcp(&udp, NAT_PATH_INBOUND, in, ACK);
		CU_ASSERT_EQUAL(engine_stats(&udp).carried, 1);
		CU_ASSERT_EQUAL(carrier.last.outside_port, port);
	}
	CU_ASSERT_EQUAL(carrier.given_back, 1);
	/* Not even when it comes up again. */
	for (uint32_t i = 0; i < 2 * AFTER; i++)
		engine_tcp(&udp, NAT_PATH_INBOUND,
			   flow_of(PEER_1, 7000, UPLINK, 8081), ACK);
	CU_ASSERT_EQUAL(engine_stats(&udp).carried, 1);
	CU_ASSERT_EQUAL(carrier.given_back, 1);
	engine_free(&udp);
}

static void test_refused_is_offered_again(void)
{
	lab_make(&lab, true);
	with_carrier(&lab.engine, &carrier);
	carrier.full = true;
	reach(&lab, NAT_STATE_ESTABLISHED);
	for (uint32_t i = 3; i < 3 * AFTER; i++)
		flags(&lab, CLIENT, ACK);
	CU_ASSERT_EQUAL(carrier.offers, 3);
	CU_ASSERT_FALSE(session(&lab).carried);
	carrier.full = false;
	for (uint32_t i = 0; i < AFTER; i++)
		flags(&lab, CLIENT, ACK);
	CU_ASSERT_TRUE(session(&lab).carried);
	engine_free(&lab.engine);
}

static void test_nothing_is_offered_without_the_option(void)
{
	lab_make(&lab, true);
	with_carrier(&lab.engine, &carrier);
	lab.engine.config.carry_after = 0;
	engine_configure(&lab.engine);
	reach(&lab, NAT_STATE_ESTABLISHED);
	for (uint32_t i = 0; i < 3 * AFTER; i++)
		flags(&lab, CLIENT, ACK);
	CU_ASSERT_EQUAL(carrier.offers, 0);
	engine_free(&lab.engine);
}

/* --- taking back ------------------------------------------------------------------ */

static void test_segments_that_change_it_take_it_back(void)
{
	static const uint8_t bits[] = { FIN | ACK, RST, SYN };
	static const enum nat_state then[] = { NAT_STATE_C_FIN, NAT_STATE_TRANS,
					       NAT_STATE_ESTABLISHED };

	for (size_t i = 0; i < sizeof(bits); i++) {
		connect_tcp(AFTER);
		carrier.use.in_packets = 5;
		flags(&lab, CLIENT, bits[i]);
		CU_ASSERT_EQUAL(carrier.given_back, 1);
		CU_ASSERT_EQUAL(session(&lab).state, then[i]);
		CU_ASSERT_FALSE(session(&lab).carried);
		CU_ASSERT_EQUAL(session(&lab).counters.in_packets, 1 + 5);
		engine_free(&lab.engine);
	}
}

/* RFC 5382 9, RFC 7857 2.2: the receiver's window is the one that it told the
 * carrier last, also after a segment that came up meanwhile. */
static void test_rst_counts_in_the_window_that_the_carrier_saw(void)
{
	static const uint32_t seq[] = { 0x7000, 0x7000 + 500, 0x7000 + 501,
					0x7000 - 1, 1000 };
	static const bool counts[] = { true, true, false, false, false };

	for (size_t i = 0; i < sizeof(counts); i++) {
		connect_tcp(AFTER);
		flags(&lab, CLIENT, ACK);
		carrier.ends[0] = (struct nat_carried_end){ true, 0x7000, 500 };
		carrier.use.out_packets = 1;
		send(&lab, SERVER,
		     (struct segment){ .flags = RST, .seq = seq[i] });
		CU_ASSERT_EQUAL(carrier.given_back, 1);
		CU_ASSERT_EQUAL(session(&lab).state,
				counts[i] ? NAT_STATE_TRANS :
					    NAT_STATE_ESTABLISHED);
		engine_free(&lab.engine);
	}
}

/* Nothing was carried of it: what was known before is good. */
static void test_windows_from_before_are_good_where_none_was_seen(void)
{
	connect_tcp(AFTER);
	send(&lab, SERVER, (struct segment){ .flags = RST, .seq = 900000000 });
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	flags(&lab, SERVER, RST);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_TRANS);
	engine_free(&lab.engine);
}

static void by_queue(uint8_t bits, uint32_t ack)
{
	send(&lab, CLIENT,
	     (struct segment){
		     .flags = bits, .seq = 1000, .ack = ack, .window = 500 });
}

/* Segments of what is carried may all take the queue (no route, IPsec): then
 * what was known when it was handed over, or carried last, is outdated. */
static void test_windows_of_segments_that_come_up_are_known(void)
{
	for (int last = 0; last < 2; last++) {
		connect_tcp(AFTER);
		carrier.ends[0] = (struct nat_carried_end){ true, 0x7000, 500 };
		carrier.use.out_packets = 1;
		by_queue(ACK, 0x900000);
		if (last) {
			/* The carrier has heard it again. */
			carrier.use.out_packets = 1;
			carrier.ends[0].ack = 0xa00000;
		}
		send(&lab, SERVER,
		     (struct segment){ .flags = FIN | ACK,
				       .seq = last ? 0xa00000 : 0x900000 });
		CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_S_FIN);
		CU_ASSERT_EQUAL(carrier.given_back, 1);
		engine_free(&lab.engine);
	}
}

/* After an RST that was forged the connection goes on, and is handed over. */
static void test_established_again_is_handed_over_again(void)
{
	connect_tcp(AFTER);
	flags(&lab, SERVER, RST);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_TRANS);
	for (uint32_t i = 0; i < AFTER; i++)
		flags(&lab, CLIENT, ACK);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	CU_ASSERT_TRUE(session(&lab).carried);
	engine_free(&lab.engine);
}

static void test_uplink_takes_it_back(void)
{
	static const uint32_t to[] = { 0, UPLINK + 1 };

	for (size_t i = 0; i < 2; i++) {
		udp_open(AFTER, AFTER);
		nat_set_uplink(udp.nat, UPLINK, udp.now);
		CU_ASSERT_EQUAL(carrier.given_back, 0);
		nat_set_uplink(udp.nat, to[i], udp.now);
		CU_ASSERT_EQUAL(carrier.given_back, 1);
		CU_ASSERT_FALSE(udp_session().carried);
		CU_ASSERT_PTR_NULL(nat_check(udp.nat));
		engine_free(&udp);
	}
}

/* Of what another configuration leaves alone, or refuses, one direction may
 * still pass: it must not bring back the other. */
static void test_what_is_not_translated_any_more_is_not_carried(void)
{
	static const struct nat_prefix peer = { PEER_1, 32 };
	static const struct nat_prefix other_host = { INSIDE_2, 32 };
	static const struct nat_prefix both[] = { { INSIDE_1, 32 },
						  { PEER_1, 32 } };

	for (int i = 0; i < 4; i++) {
		udp_open(AFTER, AFTER);
		CU_ASSERT_EQUAL(carrier.offers, 1);
		if (i == 0) {
			udp.config.exempt = &peer;
			udp.config.exempt_count = 1;
		} else if (i == 3) {
			udp.config.martians = both;
			udp.config.martian_count = 1;
		} else {
			udp.config.inside = i == 1 ? &other_host : both;
			udp.config.inside_count = i == 1 ? 1 : 2;
		}
		engine_configure(&udp);
		for (uint32_t j = 0; j < 3 * AFTER; j++) {
			engine_udp(&udp, NAT_PATH_OUTBOUND, udp_out);
			engine_answer(&udp, NAT_PROTO_UDP, PEER_1, 7000, 5000);
		}
		CU_ASSERT_EQUAL(carrier.offers, 1);
		engine_free(&udp);
	}
}

static void test_configuration_takes_it_back(void)
{
	udp_open(AFTER, AFTER);
	engine_configure(&udp);
	CU_ASSERT_EQUAL(carrier.given_back, 1);
	CU_ASSERT_EQUAL(engine_stats(&udp).carried, 0);
	engine_free(&udp);
}

static void test_flush_takes_it_back(void)
{
	udp_open(AFTER, AFTER);
	carrier.use.out_packets = 7;
	CU_ASSERT_EQUAL(nat_flush_host(udp.nat, INSIDE_1, udp.now), 1);
	CU_ASSERT_EQUAL(carrier.given_back, 1);
	CU_ASSERT_EQUAL(engine_stats(&udp).outbound_packets, AFTER + 7);
	CU_ASSERT_PTR_NULL(nat_check(udp.nat));
	engine_free(&udp);
}

static void test_orderly_end_takes_all_back(void)
{
	udp_open(AFTER, AFTER);
	carrier.use.out_packets = 7;
	nat_leave(udp.nat);
	CU_ASSERT_EQUAL(carrier.given_back, 1);
	CU_ASSERT_EQUAL(udp_session().counters.out_packets, AFTER + 7);
	engine_free(&udp);
}

static void test_carrier_that_leaves_gives_all_back(void)
{
	udp_open(AFTER, AFTER);
	nat_set_carrier(udp.nat, NULL);
	CU_ASSERT_EQUAL(carrier.given_back, 1);
	for (uint32_t i = 0; i < 3 * AFTER; i++)
		engine_open(&udp, NAT_PROTO_UDP, udp_out);
	CU_ASSERT_EQUAL(carrier.offers, 1);
	engine_free(&udp);
}

/* The next process finds nobody who carries, and windows it does not know. */
static void test_killed_while_it_was_carried(void)
{
	connect_tcp(AFTER);
	engine_restore(&lab.engine);
	engine_configure(&lab.engine);
	nat_set_uplink(lab.engine.nat, UPLINK, lab.engine.now);
	CU_ASSERT_FALSE(session(&lab).carried);
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_ESTABLISHED);
	CU_ASSERT_PTR_NULL(nat_check(lab.engine.nat));
	send(&lab, SERVER, (struct segment){ .flags = RST, .seq = 900000000 });
	CU_ASSERT_EQUAL(session(&lab).state, NAT_STATE_TRANS);
	engine_free(&lab.engine);
}

/* Killed between the state and the timer of an established connection: it is in
 * no list that is looked through for what is carried. Or the record says of no
 * packet from inside. */
static void test_half_written_one_is_not(void)
{
	for (int i = 0; i < 2; i++) {
		const struct nat_carrier face = { carry, use, give_back,
						  &carrier };
		struct nat_session *record;

		connect_tcp(AFTER - 1);
		record = &lab.engine.nat->sessions[1];
		CU_ASSERT_EQUAL_FATAL(record->state, NAT_STATE_ESTABLISHED);
		if (i == 0)
			record->timer = NAT_TIMER_TCP_OPENING;
		else
			record->flags &= (uint8_t)~NAT_SESSION_OUT;
		engine_restore(&lab.engine);
		engine_configure(&lab.engine);
		nat_set_uplink(lab.engine.nat, UPLINK, lab.engine.now);
		nat_set_carrier(lab.engine.nat, &face);
		/* It counts, and changes nothing. */
		send(&lab, SERVER,
		     (struct segment){ .flags = RST, .seq = 900000000 });
		CU_ASSERT_EQUAL(carrier.offers, 0);
		nat_set_carrier(lab.engine.nat, NULL);
		CU_ASSERT_EQUAL(engine_stats(&lab.engine).carried, 0);
		engine_free(&lab.engine);
	}
}

static const struct test tests[] = {
	{ "an established TCP connection is handed over",
	  test_tcp_established_is_handed_over },
	{ "one that opens or closes is not", test_other_tcp_states_are_not },
	{ "UDP is handed over after traffic both ways",
	  test_udp_needs_traffic_both_ways },
	{ "other protocols are not", test_other_protocols_are_not },
	{ "a hairpin is not", test_hairpin_is_not },
	{ "of two sessions that look the same inside, one is",
	  test_twins_are_not_carried_both },
	{ "what the carrier refused is offered again",
	  test_refused_is_offered_again },
	{ "carry_after 0: nothing is offered",
	  test_nothing_is_offered_without_the_option },
	{ "FIN, RST and SYN take a connection back",
	  test_segments_that_change_it_take_it_back },
	{ "an RST counts in the window that the carrier saw",
	  test_rst_counts_in_the_window_that_the_carrier_saw },
	{ "windows from before are good where none was seen",
	  test_windows_from_before_are_good_where_none_was_seen },
	{ "windows of segments that come up are known",
	  test_windows_of_segments_that_come_up_are_known },
	{ "established again, it is handed over again",
	  test_established_again_is_handed_over_again },
	{ "another address, or none, takes all back",
	  test_uplink_takes_it_back },
	{ "another configuration takes all back",
	  test_configuration_takes_it_back },
	{ "what is not translated any more is not carried",
	  test_what_is_not_translated_any_more_is_not_carried },
	{ "a flush takes back what it ends", test_flush_takes_it_back },
	{ "an orderly end takes all back", test_orderly_end_takes_all_back },
	{ "a carrier that leaves gives all back",
	  test_carrier_that_leaves_gives_all_back },
	{ "killed meanwhile: the next engine carries nothing",
	  test_killed_while_it_was_carried },
	{ "one that was half written is not handed over",
	  test_half_written_one_is_not },
};

int main(int argc, char **argv)
{
	return suite_run("carry", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
