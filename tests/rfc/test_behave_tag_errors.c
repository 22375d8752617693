/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Behave 5 and 18 for SCTP, GRE, PPTP and ESP: ICMP errors both ways, what
 * outsiders can and cannot do, and that no inside address leaves.
 */
#include "bench.h"
#include "tests/unit/tagged_lab.h"

#define ROUTER 0xc6339c01U /* 198.51.156.1, somewhere on the path */
#define QUOTE (PACKET_IP + 8)

/* Opens session 1; the last packet from inside, before and after. */
static void cross(struct engine *engine, enum kind kind, struct packet *inside,
		  struct packet *left)
{
	engine_make(engine);
	open_n(engine, kind, INSIDE_1, PEER_1, 1);
	kind_packet(inside, kind, kind_flow(INSIDE_1, PEER_1), OUT_TAG(1));
	engine->packet = *inside;
	ASSERT_TRANSLATED(engine_run(engine, NAT_PATH_OUTBOUND));
	*left = engine->packet;
}

static struct nat_result complain(struct engine *engine, enum nat_path path,
				  struct error error,
				  const struct packet *about)
{
	packet_error(&engine->packet, error, about);
	return engine_run(engine, path);
}

static void test_error_outside(void)
{
	static const uint8_t types[] = { 3, 11, 12 };

	for (int kind = 0; kind < KINDS; kind++) {
		struct packet inside, left;
		struct engine engine;

		cross(&engine, kind, &inside, &left);
		for (uint32_t bytes = PACKET_IP + 8; bytes <= left.length;
		     bytes++)
			for (size_t i = 0; i < COUNT(types); i++) {
				struct error error = { .src = ROUTER,
						       .dst = UPLINK,
						       .type = types[i],
						       .bytes = bytes };

				ASSERT_TRANSLATED(complain(&engine,
							   NAT_PATH_INBOUND,
							   error, &left));
				CU_ASSERT_EQUAL(packet_flow(&engine.packet).dst,
						INSIDE_1);
				CU_ASSERT_EQUAL(
					memcmp(engine.packet.data + QUOTE,
					       inside.data, bytes),
					0);
			}
		engine_free(&engine);
	}
}

/* Of two hosts, that one whose tag is quoted. */
static void test_error_by_tag(void)
{
	static const enum kind kinds[] = { GRE, PPTP, ESP };

	for (size_t i = 0; i < COUNT(kinds); i++) {
		struct packet inside, left;
		struct engine engine;
		struct error error = { .src = ROUTER,
				       .dst = UPLINK,
				       .type = 3 };

		cross(&engine, kinds[i], &inside, &left);
		open_n(&engine, kinds[i], INSIDE_2, PEER_1, 2);
		complain(&engine, NAT_PATH_INBOUND, error, &left);
		CU_ASSERT_EQUAL(packet_flow(&engine.packet).dst, INSIDE_1);
		send_n(&engine, kinds[i], INSIDE_2, PEER_1, 2);
		left = engine.packet;
		complain(&engine, NAT_PATH_INBOUND, error, &left);
		CU_ASSERT_EQUAL(packet_flow(&engine.packet).dst, INSIDE_2);
		/* A tag of nobody, and one more peer: the router's own. */
		kind_packet(&left, kinds[i], kind_flow(UPLINK, PEER_1), 0x999);
		ASSERT_UNTOUCHED(
			complain(&engine, NAT_PATH_INBOUND, error, &left));
		kind_packet(&left, kinds[i], kind_flow(UPLINK, PEER_2), 0x101);
		ASSERT_UNTOUCHED(
			complain(&engine, NAT_PATH_INBOUND, error, &left));
		engine_free(&engine);
	}
}

/* About what was delivered; also raised by the router itself. */
static void test_error_inside(void)
{
	for (int kind = 0; kind < KINDS; kind++)
		for (int i = 0; i < 2; i++) {
			struct packet inside, left, came;
			struct engine engine;
			struct error error = { .src = i ? UPLINK : INSIDE_1,
					       .dst = PEER_1,
					       .type = 3,
					       .code = 2 };

			cross(&engine, kind, &inside, &left);
			kind_packet(&came, kind,
				    flow_of(PEER_1, 7000, UPLINK, 5000),
				    in_tag(kind, 1));
			engine.packet = came;
			CU_ASSERT_EQUAL(receiver(&engine), INSIDE_1);
			left = engine.packet;
			ASSERT_TRANSLATED(complain(&engine,
						   i ? NAT_PATH_ERROR_OUT :
						       NAT_PATH_OUTBOUND,
						   error, &left));
			CU_ASSERT_EQUAL(packet_flow(&engine.packet).src,
					UPLINK);
			CU_ASSERT_EQUAL(memcmp(engine.packet.data + QUOTE,
					       came.data, PACKET_IP + 8),
					0);
			/* About what no session of the host can have been. */
			kind_packet(&left, kind,
				    flow_of(PEER_2, 7000, INSIDE_1, 5000),
				    in_tag(kind, 1));
			error.dst = PEER_2;
			ASSERT_DROPPED(complain(&engine,
						i ? NAT_PATH_ERROR_OUT :
						    NAT_PATH_OUTBOUND,
						error, &left),
				       NAT_DROP_NO_SESSION);
			engine_free(&engine);
		}
}

/* The kernel's own complaint about what had left, met on lo. */
static void test_error_loopback(void)
{
	for (int kind = 0; kind < KINDS; kind++) {
		struct packet inside, left;
		struct engine engine;
		struct nat_result result;

		cross(&engine, kind, &inside, &left);
		result = complain(&engine, NAT_PATH_LOOPBACK,
				  (struct error){ .src = UPLINK,
						  .dst = UPLINK,
						  .type = 3,
						  .code = 4,
						  .rest = 1280 },
				  &left);
		CU_ASSERT_EQUAL(result.verdict, NAT_CONSUMED);
		CU_ASSERT_TRUE(result.answer_length >= QUOTE + PACKET_IP + 8);
		if (result.answer) {
			CU_ASSERT_EQUAL(packet_get32(result.answer + 16),
					INSIDE_1);
			CU_ASSERT_EQUAL(memcmp(result.answer + QUOTE,
					       inside.data, PACKET_IP + 8),
					0);
		}
		engine_free(&engine);
	}
}

static void test_error_ends_nothing(void)
{
	for (int kind = 0; kind < KINDS; kind++) {
		struct packet inside, left;
		struct engine engine;

		cross(&engine, kind, &inside, &left);
		bench_later(&engine, 599 * SECOND);
		for (uint8_t code = 0; code < 16; code++)
			complain(&engine, NAT_PATH_INBOUND,
				 (struct error){ .src = ROUTER,
						 .dst = UPLINK,
						 .type = 3,
						 .code = code,
						 .rest = 1300 },
				 &left);
		CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 1);
		bench_later(&engine, SECOND);
		CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 0);
		engine_free(&engine);
	}
}

/* A quote that ends before the tag: of the only host, or the router's. */
static void test_error_short(void)
{
	struct gre gre = { .checksum = true, .keyed = true, .bytes = 40 };
	struct error error = { .src = ROUTER, .dst = UPLINK, .type = 3 };
	struct engine engine;
	struct packet left;

	engine_make(&engine);
	for (uint32_t i = 0; i < 2; i++) {
		gre.key = 7 + i;
		packet_gre(&engine.packet, INSIDE_1 + i, PEER_1, gre);
		ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
		left = engine.packet;
		packet_error(&engine.packet, error, &left);
		CU_ASSERT_EQUAL(receiver(&engine),
				i ? ROUTER_ITSELF : INSIDE_1);
		/* With the key in it, there is no doubt. */
		error.bytes = PACKET_IP + 12;
		packet_error(&engine.packet, error, &left);
		CU_ASSERT_EQUAL(receiver(&engine), INSIDE_1 + i);
		error.bytes = 0;
	}
	/* Less than 8 bytes is too little of anything (behave 19.2). */
	for (error.bytes = PACKET_IP; error.bytes < PACKET_IP + 8;
	     error.bytes++)
		ASSERT_DROPPED(complain(&engine, NAT_PATH_INBOUND, error,
					&left),
			       NAT_DROP_MALFORMED);
	engine_free(&engine);
}

/* --- outsiders ---------------------------------------------------------- */

static void test_outsiders(void)
{
	struct engine engine;

	engine_make(&engine);
	for (int kind = 0; kind < KINDS; kind++) {
		open_n(&engine, kind, INSIDE_1, PEER_1, 1);
		for (uint32_t n = 0; n < 50; n++) {
			receive_n(&engine, kind, PEER_1, n);
			answer_n(&engine, kind, PEER_1, n);
			receive_init(&engine, PEER_1,
				     (struct sctp_init){ .declared = n + 1 });
		}
	}
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, KINDS);
	CU_ASSERT_EQUAL(engine_stats(&engine).hosts, 1);
	engine_free(&engine);
}

static void test_router_itself(void)
{
	for (int kind = 0; kind < KINDS; kind++) {
		struct engine engine;

		engine_make(&engine);
		CU_ASSERT_EQUAL(receive_n(&engine, kind, PEER_1, 1),
				ROUTER_ITSELF);
		open_n(&engine, kind, INSIDE_1, PEER_1, 1);
		for (int other = 0; other < KINDS; other++) {
			CU_ASSERT_EQUAL(receive_n(&engine, other, PEER_2, 1),
					ROUTER_ITSELF);
			if (other != kind) {
				CU_ASSERT_EQUAL(receive_n(&engine, other,
							  PEER_1, 1),
						ROUTER_ITSELF);
			}
		}
		/* An inside host that speaks to the router itself. */
		kind_packet(&engine.packet, kind, kind_flow(INSIDE_1, UPLINK),
			    OUT_TAG(1));
		ASSERT_UNTOUCHED(engine_run(&engine, NAT_PATH_HAIRPIN_IN));
		engine_free(&engine);
	}
}

/* --- leaks -------------------------------------------------------------- */

static bool shows_inside(const struct packet *packet)
{
	for (uint32_t i = 0; i + 3 <= packet->length; i++)
		if (packet->data[i] == 192 && packet->data[i + 1] == 168 &&
		    packet->data[i + 2] == 1)
			return true;
	return false;
}

/* Every packet of five hosts' that leaves, refused ones being no packets. */
static void test_no_leak(void)
{
	for (int kind = 0; kind < KINDS; kind++) {
		unsigned leaked = 0, left = 0;
		struct engine engine;

		engine_make(&engine);
		for (uint32_t i = 0; i < 200; i++) {
			uint32_t host = INSIDE_1 + i % 5;
			struct nat_result result =
				i % 3 ? begin_n(&engine, kind, host,
						PEER_1 + i % 2, i % 7) :
					send_n(&engine, kind, host,
					       PEER_1 + i % 2, i % 7);

			if (result.verdict == NAT_TRANSLATED) {
				left++;
				leaked += shows_inside(&engine.packet);
			} else {
				CU_ASSERT_EQUAL(result.verdict, NAT_DROPPED);
			}
			answer_n(&engine, kind, PEER_1 + i % 2, i % 7);
		}
		CU_ASSERT_TRUE(left > 20);
		CU_ASSERT_EQUAL(leaked, 0);
		engine_free(&engine);
	}
}

static const struct requirement table[] = {
	{ "BEHAVE 5 outside", "MUST",
	  "an error quoting 8 bytes and more reaches the host as it sent them",
	  test_error_outside, NULL },
	{ "BEHAVE 5 tag", "MUST",
	  "of two hosts, an error reaches that one whose tag is quoted",
	  test_error_by_tag, NULL },
	{ "BEHAVE 5 inside", "MUST",
	  "an error from inside quotes what the peer had sent",
	  test_error_inside, NULL },
	{ "BEHAVE 5 loopback", "MUST",
	  "the router's own error about what had left reaches the host",
	  test_error_loopback, NULL },
	{ "BEHAVE 5 ends", "MUST NOT", "no ICMP ends or refreshes a session",
	  test_error_ends_nothing, NULL },
	{ "BEHAVE 19.2 tag", "MUST",
	  "a quote without its tag goes to the only host, or to nobody",
	  test_error_short, NULL },
	{ "BEHAVE 18 outsiders", "MUST NOT",
	  "outsiders make no session of SCTP, GRE or ESP", test_outsiders,
	  NULL },
	{ "BEHAVE 18 router", "MUST",
	  "a peer that no host speaks to is the router's", test_router_itself,
	  NULL },
	{ "RFC3022 inside addresses", "MUST NOT",
	  "no packet of these protocols leaves with an inside address",
	  test_no_leak, NULL },
};

int main(int argc, char **argv)
{
	return requirement_run("behave_tag_errors", table, COUNT(table), argc,
			       argv);
}
