/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tables as lines of JSON: the mappings that talk to a peer, and no others.
 */
#include <stdlib.h>
#include <string.h>

#include "platform/dump.h"
#include "suite.h"
#include "tagged_lab.h"

/* The mappings of one peer, in slices of one entry. */
static void mappings_with(const struct engine *engine, const char *peer,
			  struct buffer *out)
{
	const struct dump_source source = { .nat = engine->nat,
					    .now_ms = engine->now };
	struct filter filter = { 0 };
	char error[128];
	struct dump *dump;
	int more;

	CU_ASSERT_EQUAL(filter_set(&filter, FILTER_PEER, peer, error,
				   sizeof(error)),
			0);
	dump = dump_new(DUMP_MAPPINGS, &filter);
	CU_ASSERT_PTR_NOT_NULL_FATAL(dump);
	do {
		uint32_t budget = 1;

		more = dump_slice(dump, &source, &budget, SIZE_MAX, out);
	} while (more == 1);
	CU_ASSERT_EQUAL(more, 0);
	CU_ASSERT_EQUAL(buffer_append(out, "", 1), 0);
	dump_free(dump);
}

static void expect(const struct engine *engine, const char *wanted,
		   const char *unwanted)
{
	struct buffer out = { 0 };

	mappings_with(engine, "198.51.100.1", &out);
	CU_ASSERT_PTR_NOT_NULL(strstr(out.data, wanted));
	CU_ASSERT_PTR_NULL(strstr(out.data, unwanted));
	buffer_free(&out);
}

/* Of protocols without ports, the mappings of several hosts have one outside
 * socket. */
static void test_peer_of_tagged(void)
{
	for (int kind = 0; kind < KINDS; kind++) {
		struct engine engine;

		engine_make(&engine);
		open_n(&engine, kind, INSIDE_1, PEER_1, 1);
		open_n(&engine, kind, INSIDE_2, PEER_2, 2);
		expect(&engine, "\"192.168.1.10:", "\"192.168.1.11:");
		engine_free(&engine);
	}
}

static void test_peer_of_other_protocol(void)
{
	struct engine engine;

	engine_make(&engine);
	packet_udplite(&engine.packet, flow_of(INSIDE_1, 5000, PEER_1, 7000), 0,
		       8);
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	packet_dccp(&engine.packet, flow_of(INSIDE_2, 5000, PEER_2, 7000),
		    (struct dccp){ .type = DCCP_T_REQUEST });
	ASSERT_TRANSLATED(engine_run(&engine, NAT_PATH_OUTBOUND));
	expect(&engine, "\"192.168.1.10:5000\"", "\"192.168.1.11:5000\"");
	engine_free(&engine);
}

static const struct test tests[] = {
	{ "a peer's mappings are none of other hosts, without ports as well",
	  test_peer_of_tagged },
	{ "a peer's mappings are none of another protocol",
	  test_peer_of_other_protocol },
};

int main(int argc, char **argv)
{
	return suite_run("dump", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
