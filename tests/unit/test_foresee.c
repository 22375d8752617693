/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a look ahead over a batch finds. That nothing depends on it is judged by
 * engine.c, which gives a hint to every other packet of all tests.
 */
#include "error_lab.h"
#include "nat/internal.h"
#include "suite.h"

static struct nat_hint foreseen(struct lab *lab, struct packet *packet,
				enum nat_path path)
{
	struct nat_packet seen = { .data = packet->data,
				   .length = packet->length,
				   .path = path };

	nat_foresee_all(lab->engine.nat, &seen, 1);
	return seen.hint;
}

static struct nat_hint foreseen_error(struct lab *lab, uint8_t type,
				      enum nat_path path)
{
	struct packet error;

	packet_error(&error, from_outside(type, 0), &lab->outside);
	return foreseen(lab, &error, path);
}

static void test_own_packets(void)
{
	for (size_t i = 0; i < 2; i++) {
		struct nat_hint hint;
		struct lab lab;

		answered(&lab, protos[i], 0);
		hint = foreseen(&lab, &lab.outside, NAT_PATH_INBOUND);
		CU_ASSERT_TRUE(hint.outside && hint.session && !hint.inside);
		build(&lab.inside, protos[i], out, 0, 0);
		hint = foreseen(&lab, &lab.inside, NAT_PATH_OUTBOUND);
		CU_ASSERT_TRUE(hint.inside && hint.session && !hint.outside);
		engine_free(&lab.engine);
	}
}

static void test_errors(void)
{
	static const uint8_t types[] = { 3, 11, 12 };

	for (size_t i = 0; i < 2 * sizeof(types); i++) {
		struct nat_hint hint;
		struct lab lab;

		sent(&lab, protos[i % 2], 0);
		hint = foreseen_error(&lab, types[i / 2], NAT_PATH_INBOUND);
		CU_ASSERT_TRUE(hint.outside && hint.session && !hint.inside);
		engine_free(&lab.engine);
	}
}

static void finds_nothing(struct nat_hint hint)
{
	CU_ASSERT_FALSE(hint.inside || hint.outside || hint.session);
}

/* Another way, another kind of message, another peer, too short. */
static void test_nothing(void)
{
	struct packet error, cut;
	struct lab lab;

	sent(&lab, NAT_PROTO_UDP, 0);
	packet_error(&error, from_outside(3, 0), &lab.inside);
	finds_nothing(foreseen(&lab, &error, NAT_PATH_OUTBOUND));
	finds_nothing(foreseen_error(&lab, 5, NAT_PATH_INBOUND));
	packet_error(&cut, from_outside(3, 0), &lab.outside);
	for (cut.length = 0; cut.length < QUOTE + PACKET_IP + 4; cut.length++)
		finds_nothing(foreseen(&lab, &cut, NAT_PATH_INBOUND));
	build(&lab.outside, NAT_PROTO_UDP, flow_of(UPLINK, 40001, PEER_1, 7000),
	      0, 0);
	finds_nothing(foreseen_error(&lab, 3, NAT_PATH_INBOUND));
	engine_free(&lab.engine);
}

static const struct test tests[] = {
	{ "packets of a session", test_own_packets },
	{ "errors from outside about its packets", test_errors },
	{ "nothing else", test_nothing },
};

int main(int argc, char **argv)
{
	return suite_run("foresee", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
