/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Behave 16 (SCTP), 19.30 (ESP), 19.31 (GRE, PPTP), and the details of RFC 9260
 * that a translator must know.
 */
#include "bench.h"
#include "tests/unit/tagged_lab.h"

/* --- addresses only ----------------------------------------------------- */

static void test_address_only(void)
{
	for (int kind = 0; kind < KINDS; kind++) {
		struct packet before;
		struct engine engine;

		engine_make(&engine);
		open_n(&engine, kind, INSIDE_1, PEER_1, 1);
		for (int in = 0; in < 2; in++) {
			kind_packet(&before, kind,
				    in ? flow_of(PEER_1, 7000, UPLINK, 5000) :
					 kind_flow(INSIDE_1, PEER_1),
				    in ? in_tag(kind, 1) : OUT_TAG(1));
			engine.packet = before;
			ASSERT_TRANSLATED(
				engine_run(&engine, in ? NAT_PATH_INBOUND :
							 NAT_PATH_OUTBOUND));
			CU_ASSERT_EQUAL(memcmp(packet_l4(&engine.packet),
					       packet_l4(&before),
					       before.length - PACKET_IP),
					0);
			CU_ASSERT_EQUAL(packet_flow(&engine.packet).src,
					in ? PEER_1 : UPLINK);
			CU_ASSERT_EQUAL(packet_flow(&engine.packet).dst,
					in ? INSIDE_1 : PEER_1);
		}
		engine_free(&engine);
	}
}

/* --- SCTP --------------------------------------------------------------- */

/* INIT, INIT-ACK, COOKIE, data, SHUTDOWN COMPLETE: RFC 9260 5.1, 9.2. */
static void test_sctp_life(void)
{
	static const uint8_t types[] = { SCTP_COOKIE_ECHO,
					 SCTP_COOKIE_ACK,
					 SCTP_DATA,
					 SCTP_HEARTBEAT,
					 7,
					 8,
					 SCTP_SHUTDOWN_COMPLETE };
	struct engine engine;

	engine_make(&engine);
	open_n(&engine, SCTP, INSIDE_1, PEER_1, 1);
	for (size_t i = 0; i < COUNT(types); i++) {
		packet_sctp(&engine.packet, kind_flow(INSIDE_1, PEER_1),
			    (struct sctp){ .tag = OUT_TAG(1),
					   .type = types[i],
					   .bytes = 16 });
		ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
		packet_sctp(&engine.packet,
			    flow_back(kind_flow(UPLINK, PEER_1)),
			    (struct sctp){ .tag = IN_TAG(1),
					   .type = types[i],
					   .bytes = 16 });
		CU_ASSERT_EQUAL(receiver(&engine), INSIDE_1);
	}
	CU_ASSERT_EQUAL(engine_stats(&engine).tagged, 1);
	engine_free(&engine);
}

static void test_sctp_tags(void)
{
	struct engine engine;

	engine_make(&engine);
	open_n(&engine, SCTP, INSIDE_1, PEER_1, 1);
	CU_ASSERT_EQUAL(receive_tag(&engine, SCTP, PEER_1, OUT_TAG(1)), NOBODY);
	CU_ASSERT_EQUAL(receive_tag(&engine, SCTP, PEER_1, IN_TAG(2)), NOBODY);
	ASSERT_DROPPED(send_tag(&engine, SCTP, INSIDE_1, PEER_1, IN_TAG(1)),
		       NAT_DROP_NO_SESSION);
	/* Not even an INIT-ACK with a tag that nobody declared. */
	CU_ASSERT_EQUAL(answer_n(&engine, SCTP, PEER_1, 2), NOBODY);
	CU_ASSERT_TRUE(works(&engine, SCTP, INSIDE_1, PEER_1, 1));
	engine_free(&engine);
}

static void test_sctp_collision(void)
{
	struct engine engine;

	engine_make(&engine);
	open_n(&engine, SCTP, INSIDE_1, PEER_1, 1);
	CU_ASSERT_TRUE(told(begin_n(&engine, SCTP, INSIDE_2, PEER_1, 2),
			    NAT_DROP_NO_PORT));
	CU_ASSERT_EQUAL(answer_n(&engine, SCTP, PEER_1, 2), NOBODY);
	CU_ASSERT_TRUE(works(&engine, SCTP, INSIDE_1, PEER_1, 1));
	engine_free(&engine);
}

static struct nat_result bearing(struct engine *engine, uint32_t host,
				 uint32_t n)
{
	return send_init(engine, host, PEER_1,
			 (struct sctp_init){ .declared = IN_TAG(n),
					     .no_restart = true });
}

static void test_sctp_no_restart(void)
{
	static const uint32_t hosts[] = { INSIDE_1, INSIDE_2, INSIDE_3 };
	struct engine engine;

	engine_make(&engine);
	for (uint32_t n = 0; n < 3; n++) {
		ASSERT_TRANSLATED(bearing(&engine, hosts[n], n));
		CU_ASSERT_EQUAL(
			receive_init(&engine, PEER_1,
				     (struct sctp_init){ .ack = true,
							 .tag = IN_TAG(n),
							 .declared = OUT_TAG(n),
							 .no_restart = true }),
			hosts[n]);
	}
	for (uint32_t n = 0; n < 3; n++)
		CU_ASSERT_TRUE(works(&engine, SCTP, hosts[n], PEER_1, n));
	engine_free(&engine);
}

static uint32_t abort_in(struct engine *engine, uint32_t tag, bool reflected)
{
	packet_sctp(&engine->packet, flow_back(kind_flow(UPLINK, PEER_1)),
		    (struct sctp){ .tag = tag,
				   .type = SCTP_ABORT,
				   .flags = reflected });
	return receiver(engine);
}

static void test_sctp_t_bit(void)
{
	struct engine engine;

	engine_make(&engine);
	open_n(&engine, SCTP, INSIDE_1, PEER_1, 1);
	CU_ASSERT_EQUAL(abort_in(&engine, OUT_TAG(1), true), INSIDE_1);
	CU_ASSERT_EQUAL(abort_in(&engine, IN_TAG(1), false), INSIDE_1);
	CU_ASSERT_EQUAL(abort_in(&engine, IN_TAG(1), true), NOBODY);
	CU_ASSERT_EQUAL(abort_in(&engine, OUT_TAG(1), false), NOBODY);
	engine_free(&engine);
}

static void test_sctp_init_alone(void)
{
	static const uint8_t data[] = { 0, 3, 0, 8, 1, 2, 3, 4 };
	struct engine engine;

	engine_make(&engine);
	packet_sctp_init(&engine.packet, kind_flow(INSIDE_1, PEER_1),
			 (struct sctp_init){ .declared = 5 });
	packet_append(&engine.packet, data, sizeof(data));
	ASSERT_DROPPED(engine_run(&engine, NAT_PATH_OUTBOUND),
		       NAT_DROP_MALFORMED);
	open_n(&engine, SCTP, INSIDE_1, PEER_1, 1);
	ASSERT_DROPPED(send_tag(&engine, SCTP, INSIDE_1, PEER_1, 0),
		       NAT_DROP_MALFORMED);
	engine_free(&engine);
}

/* A blind INIT, and what the host answers to it. */
static void test_sctp_blind_init(void)
{
	struct engine engine;

	engine_make(&engine);
	open_n(&engine, SCTP, INSIDE_1, PEER_1, 1);
	for (uint32_t n = 10; n < 13; n++) {
		receive_init(&engine, PEER_1,
			     (struct sctp_init){ .declared = OUT_TAG(n) });
		send_init(&engine, INSIDE_1, PEER_1,
			  (struct sctp_init){ .ack = true,
					      .tag = OUT_TAG(n),
					      .declared = IN_TAG(n) });
	}
	CU_ASSERT_TRUE(works(&engine, SCTP, INSIDE_1, PEER_1, 1));
	engine_free(&engine);
}

/* --- ESP, GRE ----------------------------------------------------------- */

static void test_esp_refused(void)
{
	struct engine engine;

	engine_make(&engine);
	begin_n(&engine, ESP, INSIDE_1, PEER_1, 1);
	CU_ASSERT_TRUE(told(begin_n(&engine, ESP, INSIDE_2, PEER_1, 2),
			    NAT_DROP_NO_PORT));
	CU_ASSERT_EQUAL(answer_n(&engine, ESP, PEER_1, 1), INSIDE_1);
	open_n(&engine, ESP, INSIDE_2, PEER_1, 2);
	CU_ASSERT_TRUE(works(&engine, ESP, INSIDE_1, PEER_1, 1));
	CU_ASSERT_TRUE(works(&engine, ESP, INSIDE_2, PEER_1, 2));
	engine_free(&engine);
}

static void test_esp_timer(void)
{
	struct engine engine;

	engine_make(&engine);
	open_n(&engine, ESP, INSIDE_1, PEER_1, 1);
	bench_later(&engine, 600 * SECOND - 1);
	CU_ASSERT_TRUE(works(&engine, ESP, INSIDE_1, PEER_1, 1));
	bench_later(&engine, 600 * SECOND);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 0);
	engine_free(&engine);
}

/* AH covers the addresses: it never works (behave 19.30). */
static void test_ah(void)
{
	struct engine engine;

	engine_make(&engine);
	packet_other(&engine.packet, INSIDE_1, PEER_1, 51, 40);
	ASSERT_DROPPED(engine_run(&engine, NAT_PATH_OUTBOUND),
		       NAT_DROP_UNSUPPORTED);
	engine_free(&engine);
}

static void test_pptp(void)
{
	struct engine engine;

	/* Two clients of one server, whose call ids cross. */
	engine_make(&engine);
	send_tag(&engine, PPTP, INSIDE_1, PEER_1, 10);
	CU_ASSERT_EQUAL(receive_tag(&engine, PPTP, PEER_1, 20), INSIDE_1);
	send_tag(&engine, PPTP, INSIDE_2, PEER_1, 20);
	CU_ASSERT_EQUAL(receive_tag(&engine, PPTP, PEER_1, 10), INSIDE_2);
	CU_ASSERT_EQUAL(receive_tag(&engine, PPTP, PEER_1, 20), INSIDE_1);
	ASSERT_TRANSLATED(send_tag(&engine, PPTP, INSIDE_1, PEER_1, 10));
	ASSERT_TRANSLATED(send_tag(&engine, PPTP, INSIDE_2, PEER_1, 20));
	CU_ASSERT_EQUAL(engine_stats(&engine).tagged, 2);
	engine_free(&engine);
}

static void test_plain_gre(void)
{
	struct gre gre = { .bytes = 40, .protocol = 0x0800 };
	struct engine engine;

	engine_make(&engine);
	packet_gre(&engine.packet, INSIDE_1, PEER_1, gre);
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	packet_gre(&engine.packet, INSIDE_2, PEER_1, gre);
	CU_ASSERT_TRUE(
		told(engine_run(&engine, NAT_PATH_OUTBOUND), NAT_DROP_NO_PORT));
	packet_gre(&engine.packet, PEER_1, UPLINK, gre);
	CU_ASSERT_EQUAL(receiver(&engine), INSIDE_1);
	packet_gre(&engine.packet, INSIDE_2, PEER_2, gre);
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	engine_free(&engine);
}

/* RFC 6864 4.3, RFC 7857 10: what may be fragmented gets an id of ours, or the
 * fragments of two hosts could be taken for one datagram's. */
static void test_ids(void)
{
	for (int kind = 0; kind < KINDS; kind++) {
		uint16_t ids[2];
		struct engine engine;

		engine_make(&engine);
		open_n(&engine, kind, INSIDE_1, PEER_1, 1);
		for (int i = 0; i < 2; i++) {
			kind_packet(&engine.packet, kind,
				    kind_flow(INSIDE_1, PEER_1), OUT_TAG(1));
			packet_set_fragment(&engine.packet, 0);
			ASSERT_TRANSLATED(
				engine_run(&engine, NAT_PATH_OUTBOUND));
			ids[i] = packet_get16(engine.packet.data + 4);
		}
		CU_ASSERT_NOT_EQUAL(ids[0], ids[1]);
		engine_free(&engine);
	}
}

static const struct requirement table[] = {
	{ "BEHAVE 16 address", "MUST",
	  "SCTP, GRE and ESP cross with nothing changed but the address",
	  test_address_only, NULL },
	{ "RFC6864 4.3 tagged", "MUST",
	  "what may be fragmented leaves with an id of its own", test_ids,
	  NULL },
	{ "BEHAVE 16 SCTP life", "MUST",
	  "an association passes from INIT to SHUTDOWN COMPLETE",
	  test_sctp_life, NULL },
	{ "BEHAVE 16 SCTP tags", "MUST",
	  "only packets with the association's tags pass", test_sctp_tags,
	  NULL },
	{ "BEHAVE 16 SCTP collision", "MUST",
	  "a second host with the same ports and peer is refused and told",
	  test_sctp_collision, NULL },
	{ "BEHAVE 16 SCTP Disable-Restart", "MAY",
	  "hosts share ports when every end said Disable-Restart",
	  test_sctp_no_restart, NULL },
	{ "RFC9260 8.5.1 T bit", "MUST",
	  "a reflected tag is looked up as the other direction's",
	  test_sctp_t_bit, NULL },
	{ "RFC9260 8.5.1 INIT", "MUST",
	  "an INIT in company, or a tag of 0 without INIT, is refused",
	  test_sctp_init_alone, NULL },
	{ "RFC9260 5.2.2", "MUST",
	  "a blind INIT leaves an association as it was", test_sctp_blind_init,
	  NULL },
	{ "BEHAVE 19.30", "MUST",
	  "a second ESP host is refused while the first waits; none is "
	  "hijacked",
	  test_esp_refused, NULL },
	{ "BEHAVE 19.30 timer", "ENG", "an idle ESP session lives 600 s",
	  test_esp_timer, NULL },
	{ "BEHAVE 19.30 AH", "ENG", "AH is refused", test_ah, NULL },
	{ "BEHAVE 19.31 PPTP", "ENG", "call ids tell PPTP's clients apart",
	  test_pptp, NULL },
	{ "BEHAVE 19.31 GRE", "ENG",
	  "plain GRE has one host a peer, the first one", test_plain_gre,
	  NULL },
};

int main(int argc, char **argv)
{
	return requirement_run("behave_tags", table, COUNT(table), argc, argv);
}
