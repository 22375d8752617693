/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The configuration reader: defaults, the whole example, values taken, files,
 * warnings, and texts cut or damaged at every place (meant to be run under the
 * address sanitizer, too).
 */
#include "config_case.h"
#include "config_example.h"

/* --- defaults ----------------------------------------------------------- */

static void check_engine_defaults(const struct nat_config *nat)
{
	CU_ASSERT_EQUAL(nat->filtering[NAT_POOL_UDP],
			NAT_FILTER_ENDPOINT_INDEPENDENT);
	CU_ASSERT_EQUAL(nat->filtering[NAT_POOL_TCP],
			NAT_FILTER_ADDRESS_DEPENDENT);
	CU_ASSERT_EQUAL(nat->filtering[NAT_POOL_ICMP],
			NAT_FILTER_ADDRESS_DEPENDENT);
	CU_ASSERT_EQUAL(nat->timeout_s[NAT_TIMER_UDP], 300);
	CU_ASSERT_EQUAL(nat->timeout_s[NAT_TIMER_TCP_OPENING], 240);
	CU_ASSERT_EQUAL(nat->timeout_s[NAT_TIMER_TCP_ESTABLISHED], 7440);
	CU_ASSERT_EQUAL(nat->timeout_s[NAT_TIMER_TCP_CLOSING], 240);
	CU_ASSERT_EQUAL(nat->timeout_s[NAT_TIMER_ICMP], 60);
	CU_ASSERT_EQUAL(nat->timeout_s[NAT_TIMER_OTHER], 600);
	CU_ASSERT_EQUAL(nat->port_hold_s, 120);
	CU_ASSERT_EQUAL(nat->host_mappings, 4096);
	CU_ASSERT_EQUAL(nat->host_sessions, 16384);
	CU_ASSERT_EQUAL(nat->mapping_sessions, 512);
	CU_ASSERT_EQUAL(nat->host_new_per_second, 200);
	CU_ASSERT_TRUE(nat->hairpin);
	CU_ASSERT_TRUE(nat->inbound_refresh);
	CU_ASSERT_FALSE(nat->icmp_after_6s);
	CU_ASSERT_TRUE(nat->parity);
	CU_ASSERT_EQUAL(nat->refuse_code, 13);
	CU_ASSERT_EQUAL(nat->fragment_s, 30);
	CU_ASSERT_EQUAL(nat->martian_count, 0);
	CU_ASSERT_PTR_NULL(nat->inside);
	CU_ASSERT_EQUAL(nat->inside_count, 0);
	for (unsigned port = 0; port < NAT_PORTS; port++)
		if (nat_portset_has(&nat->pool[NAT_POOL_UDP], (uint16_t)port))
			CU_FAIL("the pool is the gateway's to fill");
}

static void check_platform_defaults(const struct config *config)
{
	CU_ASSERT_EQUAL(config->uplink_address, 0);
	CU_ASSERT_EQUAL_FATAL(config->ports_count, 1);
	CU_ASSERT_EQUAL(config->ports[0].first, 1024);
	CU_ASSERT_EQUAL(config->ports[0].last, 65535);
	CU_ASSERT_EQUAL_FATAL(config->low_ports_count, 1);
	CU_ASSERT_EQUAL(config->low_ports[0].first, 512);
	CU_ASSERT_EQUAL(config->low_ports[0].last, 1023);
	CU_ASSERT_TRUE(config->router_ports_auto);
	CU_ASSERT_EQUAL(config->limits.mappings, 16384);
	CU_ASSERT_EQUAL(config->limits.sessions, 65536);
	CU_ASSERT_EQUAL(config->limits.hosts, 1024);
	CU_ASSERT_EQUAL(config->limits.held_ports, 16384);
	CU_ASSERT_EQUAL(config->limits.fragments, 256);
	CU_ASSERT_EQUAL(config->limits.fragment_bytes, 1048576);
	CU_ASSERT_EQUAL(config->queue.number, 100);
	CU_ASSERT_EQUAL(config->queue.batch, 64);
	CU_ASSERT_EQUAL(config->queue.gso, CONFIG_AUTO);
	CU_ASSERT_EQUAL(config->queue.mark, 0x03000000);
	CU_ASSERT_EQUAL(config->fast_path.enabled, CONFIG_AUTO);
	CU_ASSERT_EQUAL(config->fast_path.sessions, 16384);
	CU_ASSERT_EQUAL(config->fast_path.after, 16);
	CU_ASSERT_EQUAL(config->rules, CONFIG_RULES_AUTO);
	CU_ASSERT_EQUAL(config->forward_accept, CONFIG_ACCEPT_WARN);
	CU_ASSERT_EQUAL(config->fallback, CONFIG_FALLBACK_CLOSED);
	CU_ASSERT_EQUAL(config->mss, CONFIG_MSS_AUTO);
	CU_ASSERT_STRING_EQUAL(config->control, "/run/portico/portico.sock");
	CU_ASSERT_STRING_EQUAL(config->control_read,
			       "/run/portico/monitor.sock");
	CU_ASSERT_STRING_EQUAL(config->state, "/run/portico/state");
	CU_ASSERT_EQUAL(config->warnings_count, 0);
}

static void check_automatic(struct config *config)
{
	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	check_engine_defaults(&config->nat);
	check_platform_defaults(config);
	CU_ASSERT_STRING_EQUAL(config->uplink_device, "");
	CU_ASSERT_EQUAL(config->inside_count, 0);
	CU_ASSERT_EQUAL(config->nat.forward_count, 0);
	CU_ASSERT_EQUAL(config->nat.exempt_count, 0);
}

static void test_no_file(void)
{
	struct config *config = config_load(NULL, MEMORY, error, sizeof(error));

	check_automatic(config);
	CU_ASSERT_PTR_NULL(config->path);
	config_free(config);
}

static void test_empty_object(void)
{
	struct config *config = taken("{}");

	check_automatic(config);
	CU_ASSERT_STRING_EQUAL(config->path, file);
	config_free(config);
}

static void test_empty_sections(void)
{
	struct config *config = taken("{\"uplink\": {}, \"inside\": {}, "
				      "\"limits\": {}, \"queue\": {}, "
				      "\"forwards\": [], \"exempt\": []}");

	check_automatic(config);
	config_free(config);
}

static void test_full(void)
{
	struct config *config = taken(config_example);
	const struct nat_forward *forward;

	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	check_engine_defaults(&config->nat);
	check_platform_defaults(config);
	CU_ASSERT_STRING_EQUAL(config->uplink_device, "wan0");
	CU_ASSERT_EQUAL_FATAL(config->inside_count, 1);
	CU_ASSERT_STRING_EQUAL(config->inside_devices[0], "lan0");
	CU_ASSERT_EQUAL_FATAL(config->nat.exempt_count, 1);
	CU_ASSERT_EQUAL(config->nat.exempt[0].addr, 0x0a080000);
	CU_ASSERT_EQUAL(config->nat.exempt[0].length, 16);
	CU_ASSERT_EQUAL_FATAL(config->nat.forward_count, 1);
	forward = config->nat.forwards;
	CU_ASSERT_STRING_EQUAL(forward->name, "web");
	CU_ASSERT_EQUAL(forward->proto, NAT_PROTO_TCP);
	CU_ASSERT_EQUAL(forward->outside_first, 8080);
	CU_ASSERT_EQUAL(forward->outside_last, 8080);
	CU_ASSERT_EQUAL(forward->inside_addr, 0xc0a8010a);
	CU_ASSERT_EQUAL(forward->inside_first, 80);
	CU_ASSERT_EQUAL_FATAL(forward->from_count, 1);
	CU_ASSERT_EQUAL(forward->from[0].addr, 0xc6336400);
	CU_ASSERT_EQUAL(forward->from[0].length, 24);
	config_free(config);
}

static void test_memory(void)
{
	static const struct {
		uint64_t memory;
		uint32_t mappings, sessions, batch, carried;
	} rows[] = {
		{ 0, 16384, 65536, 64, 16384 },
		{ 1, 8192, 16384, 16, 4096 },
		{ 96 * MIB - 1, 8192, 16384, 16, 4096 },
		{ 96 * MIB, 16384, 65536, 16, 16384 },
		{ 128 * MIB - 1, 16384, 65536, 16, 16384 },
		{ 128 * MIB, 16384, 65536, 64, 16384 },
		{ 192 * MIB - 1, 16384, 65536, 64, 16384 },
		{ 192 * MIB, 65536, 262144, 64, 16384 },
		{ 64 * 1024 * MIB, 65536, 262144, 64, 16384 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config *config =
			config_load(NULL, rows[i].memory, error, sizeof(error));

		CU_ASSERT_PTR_NOT_NULL_FATAL(config);
		CU_ASSERT_EQUAL(config->limits.mappings, rows[i].mappings);
		CU_ASSERT_EQUAL(config->limits.sessions, rows[i].sessions);
		CU_ASSERT_EQUAL(config->queue.batch, rows[i].batch);
		CU_ASSERT_EQUAL(config->fast_path.sessions, rows[i].carried);
		CU_ASSERT_EQUAL(config->limits.hosts, 1024);
		CU_ASSERT_EQUAL(config->nat.host_guaranteed,
				rows[i].mappings / 2048);
		config_free(config);
	}
}

static void test_set_limits_win(void)
{
	struct config *config = taken("{\"limits\": {\"mappings\": 7, "
				      "\"sessions\": 4194304}, "
				      "\"queue\": {\"batch\": 1}}");

	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	CU_ASSERT_EQUAL(config->limits.mappings, 7);
	CU_ASSERT_EQUAL(config->limits.sessions, NAT_LIMIT_MAX);
	CU_ASSERT_EQUAL(config->queue.batch, 1);
	config_free(config);
}

static void test_memory_total(void)
{
	CU_ASSERT_TRUE(config_memory_total() > 16 * MIB);
	CU_ASSERT_TRUE(config_memory_total() < UINT64_MAX / 2);
}

/* --- values taken ------------------------------------------------------- */

static void test_other_values(void)
{
	struct config *config = taken(
		"{\"uplink\": {\"device\": \"pppoe-wan\",\"low_ports\": \"\",\n"
		"  \"address\": \"203.0.113.7\",\n"
		"  \"ports\": \" 3000-4000, 1024-2000 ,2001,1500-1600,5000\",\n"
		"  \"router_ports\": \"40000-41000\"},\n"
		" \"inside\": {\"devices\": [\"br-lan\", \"eth0.10\"]},\n"
		" \"filtering\": {\"udp\": \"address-and-port-dependent\"},\n"
		" \"behaviour\": {\"hairpin\": false, \"refuse_code\": 1,\n"
		"  \"martians_extra\": [\"198.18.0.0/15\", \"10.0.0.1\"]},\n"
		" \"queue\": {\"number\": 65534, \"gso\": true, \"mark\": 3},\n"
		" \"rules\": \"iptables\", \"forward_accept\": \"insert\",\n"
		" \"mss\": \"off\", \"control\": \"/c\"}");

	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	CU_ASSERT_EQUAL(config->uplink_address, 0xcb007107);
	CU_ASSERT_EQUAL_FATAL(config->ports_count, 3);
	CU_ASSERT_EQUAL(config->ports[0].first, 1024);
	CU_ASSERT_EQUAL(config->ports[0].last, 2001);
	CU_ASSERT_EQUAL(config->ports[1].first, 3000);
	CU_ASSERT_EQUAL(config->ports[1].last, 4000);
	CU_ASSERT_EQUAL(config->ports[2].first, 5000);
	CU_ASSERT_EQUAL(config->ports[2].last, 5000);
	CU_ASSERT_EQUAL(config->low_ports_count, 0);
	CU_ASSERT_FALSE(config->router_ports_auto);
	CU_ASSERT_EQUAL(config->router_ports.first, 40000);
	CU_ASSERT_EQUAL(config->router_ports.last, 41000);
	CU_ASSERT_EQUAL_FATAL(config->inside_count, 2);
	CU_ASSERT_STRING_EQUAL(config->inside_devices[1], "eth0.10");
	CU_ASSERT_EQUAL(config->nat.filtering[NAT_POOL_UDP],
			NAT_FILTER_ADDRESS_AND_PORT_DEPENDENT);
	CU_ASSERT_FALSE(config->nat.hairpin);
	CU_ASSERT_EQUAL(config->nat.refuse_code, 1);
	CU_ASSERT_EQUAL_FATAL(config->nat.martian_count, 2);
	CU_ASSERT_EQUAL(config->nat.martians[1].addr, 0x0a000001);
	CU_ASSERT_EQUAL(config->nat.martians[1].length, 32);
	CU_ASSERT_EQUAL(config->queue.number, 65534);
	CU_ASSERT_EQUAL(config->queue.gso, CONFIG_ON);
	CU_ASSERT_EQUAL(config->queue.mark, 3);
	CU_ASSERT_EQUAL(config->rules, CONFIG_RULES_IPTABLES);
	CU_ASSERT_EQUAL(config->forward_accept, CONFIG_ACCEPT_INSERT);
	CU_ASSERT_EQUAL(config->mss, CONFIG_MSS_OFF);
	CU_ASSERT_STRING_EQUAL(config->control, "/c");
	config_free(config);
}

static void test_switches(void)
{
	static const struct {
		const char *word;
		enum config_switch value;
	} cases[] = {
		{ "\"auto\"", CONFIG_AUTO }, { "true", CONFIG_ON },
		{ "\"on\"", CONFIG_ON },     { "false", CONFIG_OFF },
		{ "\"off\"", CONFIG_OFF },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config *config;
		char text[128];

		snprintf(text, sizeof(text),
			 "{\"queue\": {\"gso\": %s},\n"
			 " \"fast_path\": {\"enabled\": %s}}",
			 cases[i].word, cases[i].word);
		config = taken(text);
		CU_ASSERT_PTR_NOT_NULL_FATAL(config);
		CU_ASSERT_EQUAL(config->queue.gso, cases[i].value);
		CU_ASSERT_EQUAL(config->fast_path.enabled, cases[i].value);
		config_free(config);
	}
}

static void test_fallback_kernel(void)
{
	struct config *config = taken("{\"fallback\": \"kernel\", "
				      "\"rules\": \"nftables\"}");

	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	CU_ASSERT_EQUAL(config->fallback, CONFIG_FALLBACK_KERNEL);
	CU_ASSERT_EQUAL(config->rules, CONFIG_RULES_NFTABLES);
	config_free(config);
}

static void test_both_protocols(void)
{
	struct config *config = taken(
		"{\"forwards\": [\n"
		" {\"name\": \"games\", \"proto\": [\"tcp\", \"udp\"],\n"
		"  \"outside\": \"27000-27010\", \"to\": \"10.0.0.5:37000\",\n"
		"  \"from\": [\"0.0.0.0/0\"]},\n"
		" {\"name\": \"dns\", \"proto\": \"udp\", \"outside\":\"53\",\n"
		"  \"to\": \"10.0.0.6:53\"}]}");
	const struct nat_forward *forwards;

	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	CU_ASSERT_EQUAL_FATAL(config->nat.forward_count, 3);
	forwards = config->nat.forwards;
	CU_ASSERT_EQUAL(forwards[0].proto, NAT_PROTO_TCP);
	CU_ASSERT_EQUAL(forwards[1].proto, NAT_PROTO_UDP);
	CU_ASSERT_STRING_EQUAL(forwards[0].name, "games");
	CU_ASSERT_STRING_EQUAL(forwards[1].name, "games");
	CU_ASSERT_EQUAL(forwards[1].outside_first, 27000);
	CU_ASSERT_EQUAL(forwards[1].outside_last, 27010);
	CU_ASSERT_EQUAL(forwards[1].inside_first, 37000);
	CU_ASSERT_EQUAL(forwards[1].from_count, 1);
	CU_ASSERT_EQUAL(forwards[1].from[0].length, 0);
	CU_ASSERT_EQUAL(forwards[2].from_count, 0);
	CU_ASSERT_EQUAL(forwards[2].outside_first, 53);
	config_free(config);
}

static void test_same_port_other_protocol(void)
{
	struct config *config = taken(
		"{\"forwards\": [\n"
		" {\"name\": \"a\", \"proto\": \"tcp\", \"outside\": 53,\n"
		"  \"to\": \"10.0.0.5:53\"},\n"
		" {\"name\": \"b\", \"proto\": \"udp\", \"outside\": 53,\n"
		"  \"to\": \"10.0.0.6:53\"}]}");

	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	CU_ASSERT_EQUAL(config->nat.forward_count, 2);
	config_free(config);
}

/* --- files -------------------------------------------------------------- */

static void test_missing_file(void)
{
	CU_ASSERT_PTR_NULL(config_load("/nonexistent/portico.conf", MEMORY,
				       error, sizeof(error)));
	CU_ASSERT_STRING_EQUAL(error,
			       "/nonexistent/portico.conf: the file cannot be "
			       "read: No such file or directory");
}

static void test_directory(void)
{
	CU_ASSERT_PTR_NULL(config_load("/", MEMORY, error, sizeof(error)));
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "/: the file cannot be read"));
}

/* One of exactly 1 MiB is read, one byte more is not. */
static void test_huge_file(void)
{
	size_t length = MIB + 1;
	char *text = malloc(length);
	struct config *config;

	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	memset(text, ' ', length);
	memcpy(text, "{}", 2);
	config = load_bytes(text, length - 1);
	CU_ASSERT_PTR_NOT_NULL(config);
	config_free(config);
	config = load_bytes(text, length);
	CU_ASSERT_PTR_NULL(config);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "more than 1048576 bytes"));
	free(text);
}

static void test_short_error_buffer(void)
{
	char small[8];

	load("{\"rules\": 1}");
	memset(small, 'x', sizeof(small));
	CU_ASSERT_PTR_NULL(config_load(file, MEMORY, small, sizeof(small)));
	CU_ASSERT_PTR_NOT_NULL(memchr(small, '\0', sizeof(small)));
	CU_ASSERT_PTR_NULL(config_load(file, MEMORY, NULL, 0));
}

/* --- warnings and bounds -------------------------------------------------- */

static void test_warnings(void)
{
	struct config *config =
		taken("{\"timeouts\": {\"udp\": 119, \"tcp_opening\": 239,\n"
		      " \"tcp_established\": 7439, \"tcp_closing\": 239,\n"
		      " \"icmp\": 59, \"other\": 1, \"port_hold\": 0}}");

	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	CU_ASSERT_EQUAL_FATAL(config->warnings_count, 5);
	CU_ASSERT_STRING_EQUAL(config->warnings[0],
			       "timeouts.udp 119 is below the 120 s of RFC "
			       "4787 REQ-5");
	CU_ASSERT_PTR_NOT_NULL(strstr(config->warnings[4], "timeouts.icmp 59"));
	CU_ASSERT_EQUAL(config->nat.timeout_s[NAT_TIMER_UDP], 119);
	CU_ASSERT_EQUAL(config->nat.port_hold_s, 0);
	config_free(config);
	config = taken("{\"timeouts\": {\"udp\": 120, \"tcp_opening\": 240,\n"
		       " \"icmp\": 60, \"tcp_established\": 604800}}");
	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	CU_ASSERT_EQUAL(config->warnings_count, 0);
	config_free(config);
}

/* --- damaged texts ------------------------------------------------------ */

/* Every beginning of a whole file is refused with one line that names it; only
 * what ends after the last brace is a configuration. */
static void test_truncations(void)
{
	const char *end = strrchr(config_example, '}') + 1;

	for (size_t length = 0; length < sizeof(config_example); length++) {
		struct config *config = load_bytes(config_example, length);
		bool whole = length >= (size_t)(end - config_example);

		/* Cut after the first slash of the last comment. */
		if (whole && length && config_example[length - 1] == '/' &&
		    config_example[length - 2] != '/')
			whole = false;
		if (!!config != whole)
			printf("at byte %zu: %s\n", length, error);
		CU_ASSERT_EQUAL(!!config, whole);
		if (!config)
			CU_ASSERT_EQUAL(strncmp(error, file, strlen(file)), 0);
		CU_ASSERT_PTR_NULL(strchr(error, '\n'));
		config_free(config);
	}
}

/* Random bytes changed, removed and doubled: a config or a message. */
static void test_damage(void)
{
	static const char alphabet[] = "{}[]\",:/*\\ 019-.eutfn\n\x01\xff";
	uint32_t seed = 2463534242;
	char text[sizeof(config_example) + 1];

	for (unsigned round = 0; round < 4000; round++) {
		size_t length = sizeof(config_example) - 1;
		struct config *config;

		memcpy(text, config_example, sizeof(config_example));
		for (unsigned i = 0; i <= round % 4; i++) {
			seed ^= seed << 13;
			seed ^= seed >> 17;
			seed ^= seed << 5;
			if (seed & 1)
				text[(seed >> 8) % length] =
					alphabet[(seed >> 1) %
						 (sizeof(alphabet) - 1)];
			else
				memmove(text + (seed >> 8) % length,
					text + (seed >> 8) % length + 1,
					length - (seed >> 8) % length);
		}
		config = load_bytes(text, length);
		CU_ASSERT_TRUE(config || strchr(error, ':'));
		CU_ASSERT_PTR_NULL(strchr(error, '\n'));
		config_free(config);
	}
}

static const struct test tests[] = {
	{ "without a file every key has its default", test_no_file },
	{ "an empty object means the defaults", test_empty_object },
	{ "empty sections mean the defaults", test_empty_sections },
	{ "the whole example with comments is read", test_full },
	{ "unset limits follow the memory's size", test_memory },
	{ "set limits win over the memory's size", test_set_limits_win },
	{ "the memory's size is read", test_memory_total },
	{ "values other than the defaults are stored", test_other_values },
	{ "switches take words and booleans", test_switches },
	{ "fallback kernel goes with nftables", test_fallback_kernel },
	{ "a forward of both protocols becomes two", test_both_protocols },
	{ "one port may be forwarded per protocol",
	  test_same_port_other_protocol },
	{ "a missing file is refused", test_missing_file },
	{ "a directory is refused", test_directory },
	{ "a file over 1 MiB is refused", test_huge_file },
	{ "a message never overflows its buffer", test_short_error_buffer },
	{ "timeouts below the RFCs warn", test_warnings },
	{ "every truncation gives a message", test_truncations },
	{ "damaged files give a config or a message", test_damage },
};

int main(int argc, char **argv)
{
	return config_run("config", tests, sizeof(tests) / sizeof(tests[0]),
			  argc, argv);
}
