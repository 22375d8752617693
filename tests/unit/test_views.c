/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The operator's contract: the exact JSON of views, and the filters.
 */
#include <errno.h>
#include <string.h>

#include "platform/filter.h"
#include "platform/views.h"
#include "suite.h"

/* Compares with the whole text; releases the object. */
static void check_json(struct json_object *object, const char *expected)
{
	const char *text =
		json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);

	CU_ASSERT_STRING_EQUAL(text, expected);
	if (strcmp(text, expected))
		printf("found    %s\nexpected %s\n", text, expected);
	json_object_put(object);
}

static const struct nat_mapping_view dynamic = {
	.proto = NAT_PROTO_UDP,
	.kind = NAT_KIND_DYNAMIC,
	.inside_addr = 0xc0a8010a,
	.inside_port = 5000,
	.outside_addr = 0xcb007101,
	.outside_port = 5000,
	.sessions = 2,
	.age_ms = 65999,
	.idle_ms = 999,
	.expires_ms = 299001,
	.counters = { 3, 84, 2, 56 },
};

static void test_mapping(void)
{
	check_json(views_mapping(&dynamic),
		   "{\"proto\":\"udp\",\"inside\":\"192.168.1.10:5000\","
		   "\"outside\":\"203.0.113.1:5000\",\"kind\":\"dynamic\","
		   "\"sessions\":2,\"age_s\":65,\"idle_s\":0,"
		   "\"expires_s\":300,\"out_packets\":3,\"out_bytes\":84,"
		   "\"in_packets\":2,\"in_bytes\":56,\"name\":null}");
}

static void test_forward(void)
{
	const struct nat_mapping_view view = {
		.proto = NAT_PROTO_TCP,
		.kind = NAT_KIND_FORWARD,
		.inside_addr = 0xc0a8010a,
		.inside_port = 80,
		.outside_port = 8080,
		.expires_ms = NAT_NEVER,
		.counters = { 0, 1ULL << 63, 0, 0 },
		.name = "we\"b",
	};

	check_json(views_mapping(&view),
		   "{\"proto\":\"tcp\",\"inside\":\"192.168.1.10:80\","
		   "\"outside\":\"0.0.0.0:8080\",\"kind\":\"forward\","
		   "\"sessions\":0,\"age_s\":0,\"idle_s\":0,"
		   "\"expires_s\":null,\"out_packets\":0,"
		   "\"out_bytes\":9223372036854775808,"
		   "\"in_packets\":0,\"in_bytes\":0,\"name\":\"we\\\"b\"}");
}

static void test_session(void)
{
	const struct nat_session_view view = {
		.proto = NAT_PROTO_TCP,
		.inside_addr = 0x0a000001,
		.inside_port = 40000,
		.outside_addr = 0xcb007101,
		.outside_port = 40001,
		.peer_addr = 0xffffffff,
		.peer_port = 65535,
		.state = NAT_STATE_C_FIN_S_FIN,
		.age_ms = 1000,
		.idle_ms = 2000,
		.expires_ms = 3000,
		.counters = { 1, 2, 3, 4 },
	};

	check_json(views_session(&view),
		   "{\"proto\":\"tcp\",\"inside\":\"10.0.0.1:40000\","
		   "\"outside\":\"203.0.113.1:40001\","
		   "\"peer\":\"255.255.255.255:65535\","
		   "\"state\":\"C_FIN+S_FIN\",\"age_s\":1,\"idle_s\":2,"
		   "\"expires_s\":3,\"out_packets\":1,\"out_bytes\":2,"
		   "\"in_packets\":3,\"in_bytes\":4,\"carried\":false}");
}

static void test_host(void)
{
	const struct nat_host_view view = {
		0xc0a8010a, 1, 2, 3, { 4, 5, 6, 7 }
	};

	check_json(views_host(&view, "tv"),
		   "{\"address\":\"192.168.1.10\",\"name\":\"tv\","
		   "\"mappings\":1,\"sessions\":2,\"out_packets\":4,"
		   "\"out_bytes\":5,\"in_packets\":6,\"in_bytes\":7,"
		   "\"refused\":3}");
	check_json(views_host(&view, NULL),
		   "{\"address\":\"192.168.1.10\",\"name\":null,"
		   "\"mappings\":1,\"sessions\":2,\"out_packets\":4,"
		   "\"out_bytes\":5,\"in_packets\":6,\"in_bytes\":7,"
		   "\"refused\":3}");
}

static void test_proto_number(void)
{
	struct nat_mapping_view view = dynamic;
	struct json_object *object, *proto;

	view.proto = 255;
	object = views_mapping(&view);
	CU_ASSERT_TRUE(json_object_object_get_ex(object, "proto", &proto));
	CU_ASSERT_STRING_EQUAL(json_object_get_string(proto), "255");
	json_object_put(object);
}

static void test_error(void)
{
	check_json(views_error("a \"b\"\n"), "{\"error\":\"a \\\"b\\\"\\n\"}");
}

/* --- status -------------------------------------------------------------- */

static struct json_object *status_of(uint32_t addr, struct nat_stats *nat,
				     const char *const *warnings, size_t count)
{
	static const struct queue_stats queue = {
		.length = 1024,
		.waiting = 5,
		.dropped = 6,
		.user_dropped = 7,
		.gso = true,
	};
	static const struct nat_restored restored = {
		.mappings = 31,
		.sessions = 32,
		.lost = { [NAT_LOSS_DAMAGED] = 2, [NAT_LOSS_ORPHAN] = 1 },
	};
	const struct control_stats control = {
		.clients = 5,
		.requests = 6,
		.refused = { [CONTROL_CLIENT_REQUESTS] = 7 },
	};
	static const struct fast_stats fast = { 51, 52, 53, 54, 55, 56, 57 };
	const struct views_status status = {
		.restored = &restored,
		.restored_ms = 4,
		.uptime_s = 42,
		.uplink_device = "wan0",
		.uplink_addr = addr,
		.backend = "nftables",
		.nat = nat,
		.queue = &queue,
		.control = &control,
		.fast = &fast,
		.fast_limit = 50,
		.fast_reason = "why not",
		.warnings = warnings,
		.warnings_count = count,
	};

	return views_status(&status);
}

static struct nat_stats full_stats(void)
{
	struct nat_stats stats = {
		.moves = 2,
		.move_mappings = 40,
		.move_ports = 3,
		.move_ended = 1,
		.move_cut = 9,
		.move_told = 8,
		.move_untold = 1,
		.mappings = 1,
		.mappings_limit = 2,
		.sessions = 3,
		.sessions_limit = 4,
		.hosts = 5,
		.hosts_limit = 6,
		.ports = { [NAT_POOL_UDP] = { 7, 8, 9 },
			   [NAT_POOL_TCP] = { 10, 11, 12 },
			   [NAT_POOL_ICMP] = { 13, 14, 15 } },
		.outbound_packets = 16,
		.outbound_bytes = 17,
		.inbound_packets = 18,
		.inbound_bytes = 19,
		.hairpin_packets = 20,
		.untouched_packets = 21,
	};

	stats.drops[NAT_DROP_NO_MAPPING] = 22;
	stats.drops[NAT_DROP_TRUNCATED] = 23;
	return stats;
}

/* The listed keys stand first and exactly so; others may follow. */
static void test_status(void)
{
	static const char *const warnings[] = { "one", "two" };
	static const char expected[] =
		"{\"version\":\"" PORTICO_VERSION "\",\"uptime_s\":42,"
		"\"uplink\":{\"device\":\"wan0\","
		"\"address\":\"203.0.113.1\"},"
		"\"mappings\":{\"used\":1,\"limit\":2},"
		"\"sessions\":{\"used\":3,\"limit\":4},"
		"\"hosts\":{\"used\":5,\"limit\":6},"
		"\"ports\":{\"udp\":{\"used\":7,\"held\":8,\"total\":9},"
		"\"tcp\":{\"used\":10,\"held\":11,\"total\":12},"
		"\"icmp\":{\"used\":13,\"held\":14,\"total\":15}},"
		"\"packets\":{\"outbound\":16,\"inbound\":18,"
		"\"hairpin\":20,\"untouched\":21},"
		"\"bytes\":{\"outbound\":17,\"inbound\":19},"
		"\"drops\":{\"no_mapping\":22,\"truncated\":23},"
		"\"queue\":{\"length\":1024,\"dropped\":6,"
		"\"user_dropped\":7,\"gso\":true,";
	struct nat_stats stats = full_stats();
	struct json_object *object = status_of(0xcb007101, &stats, warnings, 2);
	const char *text =
		json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);

	CU_ASSERT_EQUAL(strncmp(text, expected, strlen(expected)), 0);
	if (strncmp(text, expected, strlen(expected)))
		printf("found    %s\nexpected %s\n", text, expected);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"warnings\":[\"one\",\"two\"]"));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(text, ",\"restored\":{\"mappings\":31,\"sessions\":32,"
			     "\"dropped\":3,\"ms\":4},"
			     "\"control\":{\"clients\":5,\"requests\":6,"
			     "\"refused\":{\"clients\":0,"
			     "\"user_clients\":0,\"requests\":0,"
			     "\"client_requests\":7,\"request_bytes\":0,"
			     "\"idle\":0,\"slow_request\":0,"
			     "\"slow_answer\":0,\"memory\":0,"
			     "\"forwards\":0}}"));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(text, ",\"moves\":{\"count\":2,\"mappings\":40,"
			     "\"ports\":3,\"ended\":1,\"connections\":9,"
			     "\"told\":8,\"untold\":1},"
			     "\"fast_path\":{"
			     "\"sessions\":{\"used\":51,\"limit\":50},"
			     "\"handed_over\":53,\"no_room\":54,"
			     "\"packets\":55,\"bytes\":56,"
			     "\"devices\":57,\"reason\":\"why not\"}}"));
	json_object_put(object);
}

static void test_status_empty(void)
{
	struct nat_stats stats = { 0 };
	struct json_object *object = status_of(0, &stats, NULL, 0);
	const char *text =
		json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);

	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"address\":null"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"drops\":{}"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"warnings\":[]"));
	json_object_put(object);
}

/* --- filters ------------------------------------------------------------- */

static void test_filter_values(void)
{
	static const struct {
		enum filter_key key;
		const char *value;
		bool valid;
	} cases[] = {
		{ FILTER_HOST, "192.168.1.10", true },
		{ FILTER_HOST, "192.168.1", false },
		{ FILTER_HOST, "192.168.1.10/24", false },
		{ FILTER_HOST, "::1", false },
		{ FILTER_HOST, "", false },
		{ FILTER_PEER, "198.51.100.1", true },
		{ FILTER_PEER, "198.51.100.256", false },
		{ FILTER_PROTO, "udp", true },
		{ FILTER_PROTO, "tcp", true },
		{ FILTER_PROTO, "icmp", true },
		{ FILTER_PROTO, "47", true },
		{ FILTER_PROTO, "256", false },
		{ FILTER_PROTO, "UDP ", false },
		{ FILTER_PROTO, "-1", false },
		{ FILTER_PORT, "0", true },
		{ FILTER_PORT, "65535", true },
		{ FILTER_PORT, "65536", false },
		{ FILTER_PORT, "4294967297", false },
		{ FILTER_PORT, "80 ", false },
		{ FILTER_PORT, " 80", false },
		{ FILTER_PORT, "+80", false },
		{ FILTER_PORT, "http", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct filter filter = { 0 };
		char error[128] = "";
		int err = filter_set(&filter, cases[i].key, cases[i].value,
				     error, sizeof(error));

		CU_ASSERT_EQUAL(err, cases[i].valid ? 0 : -EINVAL);
		CU_ASSERT_EQUAL(filter.set[cases[i].key], cases[i].valid);
		CU_ASSERT_EQUAL(!*error, cases[i].valid);
		if (!err != cases[i].valid)
			printf("value \"%s\"\n", cases[i].value);
	}
}

static void test_filter_echo(void)
{
	struct filter filter = { 0 };
	char error[128];

	filter_set(&filter, FILTER_HOST,
		   "\x1b[2J\xff"
		   "a very long value that goes on and on",
		   error, sizeof(error));
	CU_ASSERT_STRING_EQUAL(error,
			       "host: found \"?[2J?a very long value that "
			       "goes\", expected an IPv4 address");
}

static struct filter one(enum filter_key key, const char *value)
{
	struct filter filter = { 0 };
	char error[128];

	CU_ASSERT_EQUAL(filter_set(&filter, key, value, error, sizeof(error)),
			0);
	return filter;
}

static void test_filter_mapping(void)
{
	static const struct {
		enum filter_key key;
		const char *value;
		bool wanted;
	} cases[] = {
		{ FILTER_HOST, "192.168.1.10", true },
		{ FILTER_HOST, "203.0.113.1", false },
		{ FILTER_PROTO, "udp", true },
		{ FILTER_PROTO, "17", true },
		{ FILTER_PROTO, "tcp", false },
		{ FILTER_PORT, "5000", true },
		{ FILTER_PORT, "6000", true },
		{ FILTER_PORT, "0", false },
	};
	struct nat_mapping_view view = dynamic;
	struct filter none = { 0 };

	view.outside_port = 6000;
	CU_ASSERT_TRUE(filter_wants_mapping(&none, &view));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct filter filter = one(cases[i].key, cases[i].value);

		CU_ASSERT_EQUAL(filter_wants_mapping(&filter, &view),
				cases[i].wanted);
	}
}

static void test_filter_session(void)
{
	const struct nat_session_view view = {
		.proto = NAT_PROTO_TCP,
		.inside_addr = 0xc0a8010a,
		.inside_port = 1,
		.outside_port = 2,
		.peer_addr = 0xc6336401,
		.peer_port = 443,
	};
	struct filter filter = one(FILTER_PEER, "198.51.100.1");

	CU_ASSERT_TRUE(filter_wants_session(&filter, &view));
	filter = one(FILTER_PEER, "198.51.100.2");
	CU_ASSERT_FALSE(filter_wants_session(&filter, &view));
	filter = one(FILTER_PORT, "443");
	CU_ASSERT_TRUE(filter_wants_session(&filter, &view));
	filter = one(FILTER_PORT, "444");
	CU_ASSERT_FALSE(filter_wants_session(&filter, &view));
	filter = one(FILTER_HOST, "198.51.100.1");
	CU_ASSERT_FALSE(filter_wants_session(&filter, &view));
}

static const struct test tests[] = {
	{ "a mapping has the keys of the contract", test_mapping },
	{ "a forward has a name and never expires", test_forward },
	{ "a session has the keys of the contract", test_session },
	{ "a host has a name or null", test_host },
	{ "a protocol without a name is a number", test_proto_number },
	{ "an error is escaped", test_error },
	{ "status has the keys of the contract", test_status },
	{ "status without an address, drops and warnings", test_status_empty },
	{ "filter values are checked to the last letter", test_filter_values },
	{ "a refused value is echoed without control letters",
	  test_filter_echo },
	{ "filters choose mappings", test_filter_mapping },
	{ "filters choose sessions", test_filter_session },
};

int main(int argc, char **argv)
{
	return suite_run("views", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
