/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * RFC 6888 REQ-8, second half: a gateway that lost its state, or a part of it,
 * gives no port that was in use to another host before its time.
 */
#include <string.h>

#include "nat/records.h"
#include "tests/unit/engine.h"
#include "tests/unit/requirement.h"
#include "tests/unit/restore_lab.h"

/* The process dies, and with it one mapping's record is damaged. */
static void damaged(void)
{
	struct engine engine;

	engine_make(&engine);
	for (uint16_t i = 0; i < 3; i++)
		open_from(&engine, NAT_PROTO_UDP, INSIDE_1, 5000 + i);
	/* Behind the header and the slot that nobody uses. */
	((uint8_t *)engine.records)[sizeof(struct nat_header) +
				    sizeof(struct nat_mapping)] ^= 1;
	restart(&engine);
	CU_ASSERT_EQUAL(engine_stats(&engine).mappings, 2);
	engine.now += 120 * SECOND - 1;
	CU_ASSERT_NOT_EQUAL(open_from(&engine, NAT_PROTO_UDP, INSIDE_2, 5000),
			    5000);
	engine.now += 1;
	CU_ASSERT_EQUAL(open_from(&engine, NAT_PROTO_UDP, INSIDE_3, 5000),
			5000);
	engine_free(&engine);
}

static void killed(void)
{
	struct engine engine;

	engine_make(&engine);
	open_from(&engine, NAT_PROTO_UDP, INSIDE_1, 5000);
	restart(&engine);
	CU_ASSERT_NOT_EQUAL(open_from(&engine, NAT_PROTO_UDP, INSIDE_2, 5000),
			    5000);
	CU_ASSERT_TRUE(reaches(&engine, NAT_PROTO_UDP, 5000));
	ASSERT_FLOW(&engine, PEER_1, 7000, INSIDE_1, 5000);
	engine_free(&engine);
}

static void killed_resting(void)
{
	struct engine engine;

	engine_make(&engine);
	open_from(&engine, NAT_PROTO_UDP, INSIDE_1, 5000);
	engine.now += 300 * SECOND;
	nat_expire(engine.nat, engine.now, 10);
	engine.now += 60 * SECOND;
	restart(&engine);
	engine.now += 60 * SECOND - 1;
	CU_ASSERT_NOT_EQUAL(open_from(&engine, NAT_PROTO_UDP, INSIDE_2, 5000),
			    5000);
	engine.now += 1;
	CU_ASSERT_EQUAL(open_from(&engine, NAT_PROTO_UDP, INSIDE_3, 5000),
			5000);
	engine_free(&engine);
}

/* The clock began anew: no record can go on, but the ports are known. */
static void rebooted(void)
{
	const uint8_t boot[16] = "another boot";
	const struct nat_secrets secrets = { .hash_key = "another key" };
	size_t indices = nat_indices_size(&engine_limits);
	struct nat_restored restored;
	struct engine engine;

	engine_make(&engine);
	open_from(&engine, NAT_PROTO_UDP, INSIDE_1, 5000);
	engine_open(&engine, NAT_PROTO_ICMP,
		    flow_of(INSIDE_1, 1077, PEER_1, 0));
	engine.now = 5 * SECOND;
	memset(engine.indices, 0, indices);
	engine.nat = nat_restore(&engine_limits, &secrets, boot, engine.records,
				 nat_records_size(&engine_limits),
				 engine.indices, indices, engine.now,
				 &restored);
	engine_configure(&engine);
	nat_set_uplink(engine.nat, UPLINK, engine.now);
	CU_ASSERT_EQUAL(restored.held, 2);
	engine.now += 120 * SECOND - 1;
	CU_ASSERT_NOT_EQUAL(open_from(&engine, NAT_PROTO_UDP, INSIDE_2, 5000),
			    5000);
	CU_ASSERT_NOT_EQUAL(open_from(&engine, NAT_PROTO_ICMP, INSIDE_2, 1077),
			    1077);
	engine.now += 1;
	CU_ASSERT_EQUAL(open_from(&engine, NAT_PROTO_UDP, INSIDE_3, 5000),
			5000);
	CU_ASSERT_EQUAL(open_from(&engine, NAT_PROTO_ICMP, INSIDE_3, 1077),
			1077);
	engine_free(&engine);
}

static const struct requirement table[] = {
	{ "RFC6888 REQ-8 crash", "SHOULD NOT",
	  "after a crash a mapping goes on and its port is nobody else's",
	  killed, NULL },
	{ "RFC6888 REQ-8 crash at rest", "SHOULD NOT",
	  "after a crash a resting port rests out its time", killed_resting,
	  NULL },
	{ "RFC6888 REQ-8 crash with loss", "SHOULD NOT",
	  "the port of a mapping that a crash has damaged rests for 120 s",
	  damaged, NULL },
	{ "RFC6888 REQ-8 reboot", "SHOULD NOT",
	  "after a restart of the clock the ports then in use rest for 120 s",
	  rebooted, NULL },
};

int main(int argc, char **argv)
{
	return requirement_run("rfc6888_crash", table,
			       sizeof(table) / sizeof(table[0]), argc, argv);
}
