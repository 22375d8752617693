/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The names that programs rely on.
 */
#include <string.h>

#include "portico/nat.h"
#include "suite.h"

static const char *const drops[] = {
	"none",		 "no_mapping",	 "no_session", "filtered_address",
	"filtered_port", "forward_peer", "host_quota", "host_rate",
	"no_port",	 "table_full",	 "no_uplink",  "bad_checksum",
	"malformed",	 "fragment",	 "martian",    "unsupported",
	"truncated",
};

static void test_drops(void)
{
	const size_t count = sizeof(drops) / sizeof(drops[0]);

	CU_ASSERT_TRUE(count <= NAT_DROPS); /* new ones come at the end */
	for (size_t i = 0; i < count; i++)
		CU_ASSERT_STRING_EQUAL(nat_drop_name((enum nat_drop)i),
				       drops[i]);
}

static void test_distinct(void)
{
	for (int i = 0; i < NAT_DROPS; i++)
		for (int j = 0; j < i; j++) {
			enum nat_drop a = (enum nat_drop)i;
			enum nat_drop b = (enum nat_drop)j;

			CU_ASSERT_STRING_NOT_EQUAL(nat_drop_name(a),
						   nat_drop_name(b));
			CU_ASSERT_STRING_NOT_EQUAL(nat_drop_help(a),
						   nat_drop_help(b));
		}
}

static void test_helps(void)
{
	for (int i = 0; i < NAT_DROPS; i++)
		CU_ASSERT_TRUE(strlen(nat_drop_help((enum nat_drop)i)) > 8);
}

static void test_states(void)
{
	CU_ASSERT_STRING_EQUAL(nat_state_name(NAT_STATE_INIT), "INIT");
	CU_ASSERT_STRING_EQUAL(nat_state_name(NAT_STATE_ESTABLISHED),
			       "ESTABLISHED");
	CU_ASSERT_STRING_EQUAL(nat_state_name(NAT_STATE_C_FIN), "C_FIN");
	CU_ASSERT_STRING_EQUAL(nat_state_name(NAT_STATE_S_FIN), "S_FIN");
	CU_ASSERT_STRING_EQUAL(nat_state_name(NAT_STATE_C_FIN_S_FIN),
			       "C_FIN+S_FIN");
	CU_ASSERT_STRING_EQUAL(nat_state_name(NAT_STATE_TRANS), "TRANS");
}

static void test_kinds_and_pools(void)
{
	CU_ASSERT_STRING_EQUAL(nat_kind_name(NAT_KIND_DYNAMIC), "dynamic");
	CU_ASSERT_STRING_EQUAL(nat_kind_name(NAT_KIND_FORWARD), "forward");
	CU_ASSERT_STRING_EQUAL(nat_pool_name(NAT_POOL_UDP), "udp");
	CU_ASSERT_STRING_EQUAL(nat_pool_name(NAT_POOL_TCP), "tcp");
	CU_ASSERT_STRING_EQUAL(nat_pool_name(NAT_POOL_ICMP), "icmp");
}

static const struct test tests[] = {
	{ "drop reasons keep their names and order", test_drops },
	{ "no two drop reasons look alike", test_distinct },
	{ "every drop reason is explained", test_helps },
	{ "TCP states have the names of RFC 7857", test_states },
	{ "kinds and pools have names", test_kinds_and_pools },
};

int main(int argc, char **argv)
{
	return suite_run("names", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
