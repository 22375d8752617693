/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a configuration is refused for, with the exact line and key.
 */
#include "config_case.h"

struct refusal {
	const char *text;
	unsigned line;
	const char *key;
	const char *words;
};

static void refuse_all(const struct refusal *cases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		CU_ASSERT_TRUE(refused(cases[i].text, cases[i].line,
				       cases[i].key, cases[i].words));
}
#define REFUSE_ALL(cases) refuse_all(cases, sizeof(cases) / sizeof(cases[0]))

/* --- refusals ----------------------------------------------------------- */

static void test_syntax(void)
{
	static const struct refusal cases[] = {
		{ "", 1, "top level", "the end of the file, expected '{'" },
		{ "\n\n  // nothing\n", 4, "top level", "the end of the file" },
		{ "[]", 1, "top level", "'[', expected '{'" },
		{ "{}\n}", 2, "top level", "nothing after the last '}'" },
		{ "{} {}", 1, "top level", "nothing after the last '}'" },
		{ "{\n\"rules\": \"auto\",\n}", 3, "top level",
		  "'}', expected one more after the ','" },
		{ "{\"exempt\": [\"10.0.0.0/8\",\n]}", 2, "exempt",
		  "']', expected one more after the ','" },
		{ "{\"exempt\":\n[,]}", 2, "exempt[0]", "','" },
		{ "{\n\"rules\": \"auto\"\n\"mss\": \"off\"}", 3, "top level",
		  "'\"', expected ',' or '}'" },
		{ "{\"rules\"\n\"auto\"}", 2, "rules", "expected ':'" },
		{ "{\n'rules': \"auto\"}", 2, "top level",
		  "''', expected a key in double quotes" },
		{ "{\nrules: \"auto\"}", 2, "top level",
		  "rules, expected a key in double quotes" },
		{ "{\"rules\": 'auto'}", 1, "rules", "''', expected a value" },
		{ "{\"rules\":\n auto}", 2, "rules", "auto, expected a value" },
		{ "{\"queue\": {\n\"batch\": 0x10}}", 2, "queue.batch",
		  "0x10, expected a value" },
		{ "{\"queue\": {\"batch\": 010}}", 1, "queue.batch", "010" },
		{ "{\"queue\": {\"batch\": 1.}}", 1, "queue.batch", "1." },
		{ "{\"queue\": {\"batch\": NaN}}", 1, "queue.batch", "NaN" },
		{ "{\"queue\": {\"gso\": True}}", 1, "queue.gso", "True" },
		{ "{\"rules\": \"auto\n\"}", 1, "rules",
		  "the end of the line" },
		{ "{\"rules\": \"au\\to\\x\"}", 1, "rules", "backslash" },
		{ "{\"rules\": \"\\u12g4\"}", 1, "rules", "four hex digits" },
		{ "{\"rules\": \"auto", 1, "rules", "the end of the file" },
		{ "{\"mss\": \"off\",\n/* begins\nhere", 2, "top level",
		  "a comment without end" },
		{ "{ / }", 1, "top level", "to begin a comment" },
		{ "{\"a.b\": 1}", 1, "top level", "other characters" },
		{ "{\"\": 1}", 1, "top level", "an empty key" },
		{ "\xef\xbb\xbf{}", 1, "top level", "the byte 0xef" },
		{ "{\"exempt\": [[[[[[[[[[[[[]]]]]]]]]]]]]}", 1,
		  "exempt[0][0][0][0][0][0][0][0][0][0][0]", "12 levels" },
	};

	REFUSE_ALL(cases);
}

static void test_nul_byte(void)
{
	static const char text[] = "{\"rules\": \"au\0to\"}";

	CU_ASSERT_PTR_NULL(load_bytes(text, sizeof(text) - 1));
	CU_ASSERT_PTR_NOT_NULL(strstr(error, ":1: rules: found the byte 0x00"));
	CU_ASSERT_PTR_NULL(load_bytes("{}\0", 3));
	CU_ASSERT_PTR_NULL(load("{\"rules\": \"auto\\u0000\"}"));
	CU_ASSERT_PTR_NOT_NULL(strstr(error, ":1: rules: found \"auto\\u0000"));
}

static void test_duplicates(void)
{
	static const struct refusal cases[] = {
		{ "{\"rules\": \"auto\",\n\n\"rules\": \"auto\"}", 3, "rules",
		  "a second time (first on line 1)" },
		{ "{\"queue\": {\"batch\": 1},\n\"queue\": {\"number\": 1}}", 2,
		  "queue", "a second time" },
		{ "{\"queue\": {\"batch\": 1,\n\"batch\": 1}}", 2,
		  "queue.batch", "a second time" },
		{ "{\"forwards\": [{\"name\": \"a\",\n\"name\": \"a\"}]}", 2,
		  "forwards[0].name", "a second time" },
	};

	REFUSE_ALL(cases);
}

static void test_unknown_keys(void)
{
	static const struct refusal cases[] = {
		{ "{\n\"rulse\": 1}", 2, "rulse", "did you mean \"rules\"?" },
		{ "{\"timeout\": {}}", 1, "timeout", "mean \"timeouts\"?" },
		{ "{\"Queue\": {}}", 1, "Queue", "mean \"queue\"?" },
		{ "{\"behavior\": {}}", 1, "behavior", "mean \"behaviour\"?" },
		{ "{\"timeouts\": {\n\"upd\": 1}}", 2, "timeouts.upd",
		  "did you mean \"udp\"?" },
		{ "{\"timeouts\": {\"tcp-establised\": 1}}", 1,
		  "timeouts.tcp-establised", "mean \"tcp_established\"?" },
		{ "{\"limits\": {\n\n\"mapings\": 1}}", 3, "limits.mapings",
		  "mean \"mappings\"?" },
		{ "{\"forwards\": [{\n\"outsid\": 1}]}", 2,
		  "forwards[0].outsid", "mean \"outside\"?" },
		{ "{\"uplink\":\n{\"colour\": 1}}", 2, "uplink.colour",
		  "expected one of device, address, ports, low_ports, "
		  "router_ports" },
		{ "{\"zzz\": 1}", 1, "zzz", "expected one of uplink, inside" },
		{ "{\"inside\":{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\":"
		  "1}}",
		  1, "inside.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		  "expected one of devices" },
	};

	REFUSE_ALL(cases);
}

static void test_types(void)
{
	static const struct refusal cases[] = {
		{ "{\"uplink\": []}", 1, "uplink",
		  "an empty list, expected an "
		  "object" },
		{ "{\"queue\":\n 3}", 1, "queue", "3, expected an object" },
		{ "{\"queue\": {\"batch\":\"1\"}}", 1, "queue.batch",
		  "\"1\", expected a whole number from 1 to 64" },
		{ "{\"queue\": {\"batch\": 1.0}}", 1, "queue.batch", "1.0" },
		{ "{\"queue\": {\"batch\": null}}", 1, "queue.batch", "null" },
		{ "{\"behaviour\": {\"parity\": 1}}", 1, "behaviour.parity",
		  "1, expected true or false" },
		{ "{\"rules\": true}", 1, "rules",
		  "true, expected one of "
		  "\"auto\", \"nftables\", "
		  "\"iptables\"" },
		{ "{\"rules\": {}}", 1, "rules", "an object, expected one of" },
		{ "{\"exempt\": \"10.0.0.0/8\"}", 1, "exempt", "a list of" },
		{ "{\"exempt\": [\n\"10.0.0.0/8\",\n8]}", 3, "exempt[1]", "8" },
		{ "{\"forwards\": {}}", 1, "forwards", "a list of at most" },
		{ "{\"forwards\": [\n\n1]}", 3, "forwards[0]", "an object" },
	};

	REFUSE_ALL(cases);
}

static void test_ranges_of_numbers(void)
{
	static const struct refusal cases[] = {
		{ "{\"timeouts\": {\n\"udp\": 0}}", 2, "timeouts.udp",
		  "0, expected a whole number from 1 to 604800 (seconds)" },
		{ "{\"timeouts\": {\"other\": 604801}}", 1, "timeouts.other",
		  "604801" },
		{ "{\"timeouts\": {\"icmp\": -1}}", 1, "timeouts.icmp", "-1" },
		{ "{\"timeouts\": {\"port_hold\": 604801}}", 1,
		  "timeouts.port_hold", "from 0 to 604800" },
		{ "{\"limits\": {\"hosts\": 0}}", 1, "limits.hosts",
		  "from 1 to 4194304" },
		{ "{\"limits\": {\"sessions\": 4194305}}", 1, "limits.sessions",
		  "4194305" },
		{ "{\"limits\": {\"mappings\": 99999999999999999999}}", 1,
		  "limits.mappings", "from 1" },
		{ "{\"limits\": {\"mappings\": 4294967297}}", 1,
		  "limits.mappings", "4294967297" },
		{ "{\"fragments\": {\"seconds\": 1}}", 1, "fragments.seconds",
		  "from 2 to 120" },
		{ "{\"fragments\": {\"seconds\": 121}}", 1, "fragments.seconds",
		  "121" },
		{ "{\"queue\": {\"number\": 65536}}", 1, "queue.number",
		  "from 0 to 65534" },
		{ "{\"queue\": {\"batch\": 65}}", 1, "queue.batch", "65" },
		{ "{\"behaviour\": {\"refuse_code\": 3}}", 1,
		  "behaviour.refuse_code", "3, expected 13 or 1" },
	};

	REFUSE_ALL(cases);
}

static void test_words(void)
{
	static const struct refusal cases[] = {
		{ "{\"filtering\": {\"tcp\": \"none\"}}", 1, "filtering.tcp",
		  "\"endpoint-independent\", \"address-dependent\", "
		  "\"address-and-port-dependent\"" },
		{ "{\"fallback\": \"open\"}", 1, "fallback",
		  "\"closed\", "
		  "\"kernel\"" },
		{ "{\"forward_accept\": \"yes\"}", 1, "forward_accept",
		  "\"warn\", \"insert\"" },
		{ "{\"mss\": \"on\"}", 1, "mss", "\"auto\", \"off\"" },
		{ "{\"queue\": {\"gso\": 1}}", 1, "queue.gso",
		  "\"auto\", \"on\", \"off\"" },
		{ "{\"rules\": \"nft\"}", 1, "rules", "\"nft\"" },
		{ "{\"control\": \"portico.sock\"}", 1, "control", "absolute" },
		{ "{\"control_read\": \"/\"}", 1, "control_read", "absolute" },
		{ "{\"state\": \"/run/\"}", 1, "state",
		  "absolute path of a "
		  "file" },
		{ "{\"state\": \"/run/a\\nb\"}", 1, "state", "absolute" },
		{ "{\"state\": \"\"}", 1, "state", "less than 104" },
	};

	REFUSE_ALL(cases);
}

/* 103 bytes are taken, 104 are not. */
static void test_path_length(void)
{
	char text[160], path[105];
	struct config *config;

	memset(path, 'p', sizeof(path));
	path[0] = '/';
	path[103] = '\0';
	snprintf(text, sizeof(text), "{\"state\": \"%s\"}", path);
	config = taken(text);
	config_free(config);
	path[103] = 'p';
	path[104] = '\0';
	snprintf(text, sizeof(text), "{\"state\": \"%s\"}", path);
	CU_ASSERT_TRUE(refused(text, 1, "state", "less than 104"));
}

static void test_ports_refused(void)
{
	static const char *const wrong[] = {
		"",
		" ",
		"0",
		"0-10",
		"2000-1024",
		"65536",
		"1024-65536",
		"1024-",
		"-1024",
		"1024-2000,",
		",1024",
		"1024,,2000",
		"1024 2000",
		"abc",
		"1024-2000x",
		"1024--2000",
		"010",
		"+5",
		"1e3",
		"99999999999999",
		"1024 - 2000",
	};
	char text[128];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(text, sizeof(text),
			 "{\"uplink\": {\n\"ports\": "
			 "\"%s\"}}",
			 wrong[i]);
		CU_ASSERT_TRUE(refused(text, 2, "uplink.ports",
				       "expected ports such as"));
	}
}

static void test_other_ports_refused(void)
{
	static const struct refusal cases[] = {
		{ "{\"uplink\": {\"ports\": 1024}}", 1, "uplink.ports",
		  "1024" },
		{ "{\"uplink\": {\"low_ports\": \"512-1024\"}}", 1,
		  "uplink.low_ports", "within 1-1023" },
		{ "{\"uplink\": {\"low_ports\": \"0-1023\"}}", 1,
		  "uplink.low_ports", "within 1-1023" },
		{ "{\"uplink\": {\"router_ports\": \"automatic\"}}", 1,
		  "uplink.router_ports", "\"auto\" or a range" },
		{ "{\"uplink\": {\"router_ports\": \"1-2,4-5\"}}", 1,
		  "uplink.router_ports", "\"auto\" or a range" },
		{ "{\"uplink\": {\"ports\": \"2000-3000,4000\",\n"
		  "\"router_ports\": \"1024-4000\"}}",
		  2, "uplink.router_ports", "1024-4000, which leaves no port" },
	};

	REFUSE_ALL(cases);
}

static void test_devices(void)
{
	static const struct refusal cases[] = {
		{ "{\"uplink\": {\n\"device\": \"\"}}", 2, "uplink.device",
		  "a device name" },
		{ "{\"uplink\": {\"device\": \"sixteenletters16\"}}", 1,
		  "uplink.device", "1 to 15" },
		{ "{\"uplink\": {\"device\": \"a/b\"}}", 1, "uplink.device",
		  "\"a/b\"" },
		{ "{\"uplink\": {\"device\": \"a b\"}}", 1, "uplink.device",
		  "\"a b\"" },
		{ "{\"uplink\": {\"device\": \"..\"}}", 1, "uplink.device",
		  "\"..\"" },
		{ "{\"uplink\": {\"device\": \"lan*\"}}", 1, "uplink.device",
		  "\"lan*\"" },
		{ "{\"inside\": {\"devices\": []}}", 1, "inside.devices",
		  "an empty list" },
		{ "{\"inside\": {\"devices\": \"lan0\"}}", 1, "inside.devices",
		  "a list of device names" },
		{ "{\"inside\": {\"devices\": [\"a\",\n\"b;\"]}}", 2,
		  "inside.devices[1]", "\"b;\"" },
		{ "{\"inside\": {\"devices\": [\"a\",\n\"b\",\n\"a\"]}}", 3,
		  "inside.devices[2]", "\"a\", expected each device once" },
		{ "{\"inside\": {\"devices\": [\"lan0\",\n\"wan0\"]},\n"
		  "\"uplink\": {\"device\": \"wan0\"}}",
		  2, "inside.devices[1]", "\"wan0\", the uplink's device" },
		{ "{\"uplink\": {\"address\": \"203.0.113\"}}", 1,
		  "uplink.address", "\"auto\" or an IPv4 address" },
		{ "{\"uplink\": {\"address\": \"127.0.0.1\"}}", 1,
		  "uplink.address", "127.0.0.1" },
		{ "{\"uplink\": {\"address\": \"224.0.0.1\"}}", 1,
		  "uplink.address", "224.0.0.1" },
		{ "{\"uplink\": {\"address\": \"2001:db8::1\"}}", 1,
		  "uplink.address", "2001:db8::1" },
	};

	REFUSE_ALL(cases);
}

static void test_marks_refused(void)
{
	static const char *const wrong[] = {
		"0",
		"1",
		"5",
		"7",
		"-3",
		"4294967299",
		"\"0x5\"",
		"\"3\"",
		"\"0x\"",
		"\"\"",
		"\"0x180000000\"",
		"\"0x8000000180000000\"",
		"\"0x0300000g\"",
		"true",
		"3.0",
		"\"0x01000000\"",
		"\"0x80000001\"",
	};
	char text[128];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(text, sizeof(text), "{\"queue\":\n{\"mark\": %s}}",
			 wrong[i]);
		CU_ASSERT_TRUE(refused(text, 2, "queue.mark",
				       "expected two adjacent bits"));
	}
}

static void test_networks(void)
{
	static const struct refusal cases[] = {
		{ "{\"exempt\": [\"10.8.0.0/16\",\n\"10.8.0.1/16\"]}", 2,
		  "exempt[1]", "without host bits" },
		{ "{\"exempt\": [\"10.8.0.0/33\"]}", 1, "exempt[0]", "/33" },
		{ "{\"exempt\": [\"10.8.0.0/\"]}", 1, "exempt[0]", "0/\"" },
		{ "{\"behaviour\": {\"martians_extra\":\n[\"1.2.3\"]}}", 2,
		  "behaviour.martians_extra[0]", "1.2.3" },
	};

	REFUSE_ALL(cases);
}

#define FORWARD(members) "{\"forwards\": [{\n" members "}]}"
#define NAME "\"name\": \"a\",\n"
#define PROTO "\"proto\": \"tcp\",\n"
#define OUTSIDE "\"outside\": 80,\n"
#define TO "\"to\": \"10.0.0.1:80\"\n"

static void test_forwards_refused(void)
{
	static const struct refusal cases[] = {
		{ FORWARD(PROTO OUTSIDE TO), 1, "forwards[0]", "no \"name\"" },
		{ FORWARD(NAME OUTSIDE TO), 1, "forwards[0]", "no \"proto\"" },
		{ FORWARD(NAME PROTO TO), 1, "forwards[0]", "no \"outside\"" },
		{ "{\"forwards\": [{\"name\": \"a\"}]}", 1, "forwards[0]",
		  "no" },
		{ FORWARD(PROTO OUTSIDE "\"name\": \"\",\n" TO), 4,
		  "forwards[0].name", "1 to 31" },
		{ FORWARD(PROTO OUTSIDE "\"name\": \"0123456789012345678901234"
					"5678901\",\n" TO),
		  4, "forwards[0].name", "1 to 31" },
		{ FORWARD("\"name\": \"a\\tb\",\n" PROTO OUTSIDE TO), 2,
		  "forwards[0].name", "printable" },
		{ FORWARD("\"name\": 5,\n" PROTO OUTSIDE TO), 2,
		  "forwards[0].name", "5" },
		{ FORWARD(NAME "\"proto\": \"icmp\",\n" OUTSIDE TO), 3,
		  "forwards[0].proto", "\"tcp\" or \"udp\"" },
		{ FORWARD(NAME "\"proto\": [],\n" OUTSIDE TO), 3,
		  "forwards[0].proto", "an empty list" },
		{ FORWARD(NAME "\"proto\": [\"udp\",\n\"udp\"],\n" OUTSIDE TO),
		  4, "forwards[0].proto[1]", "each at most once" },
		{ FORWARD(NAME PROTO "\"outside\": 0,\n" TO), 4,
		  "forwards[0].outside", "0, expected a port" },
		{ FORWARD(NAME PROTO "\"outside\": 65536,\n" TO), 4,
		  "forwards[0].outside", "65536" },
		{ FORWARD(NAME PROTO "\"outside\": \"90-80\",\n" TO), 4,
		  "forwards[0].outside", "90-80" },
		{ FORWARD(NAME PROTO "\"outside\": \"80,90\",\n" TO), 4,
		  "forwards[0].outside", "80,90" },
		{ FORWARD(NAME PROTO OUTSIDE "\"to\": \"10.0.0.1\""), 5,
		  "forwards[0].to", "address and port" },
		{ FORWARD(NAME PROTO OUTSIDE "\"to\": \"10.0.0.1:0\""), 5,
		  "forwards[0].to", "10.0.0.1:0" },
		{ FORWARD(NAME PROTO OUTSIDE "\"to\": \"10.0.0.1:80-90\""), 5,
		  "forwards[0].to", "80-90" },
		{ FORWARD(NAME PROTO OUTSIDE "\"to\": \"host:80\""), 5,
		  "forwards[0].to", "host:80" },
		{ FORWARD(NAME PROTO OUTSIDE "\"to\": \"0.0.0.0:80\""), 5,
		  "forwards[0].to", "0.0.0.0:80" },
		{ FORWARD(NAME PROTO "\"outside\": \"80-90\",\n"
				     "\"to\": \"10.0.0.1:65530\""),
		  5, "forwards[0].to", "port 65530 as the first of 11" },
		{ FORWARD(NAME PROTO OUTSIDE "\"from\": [],\n" TO), 5,
		  "forwards[0].from", "everyone" },
		{ FORWARD(NAME PROTO OUTSIDE "\"from\": [\"1.0.0.0/8\",\n"
					     "\"1.1.1.1/8\"],\n" TO),
		  6, "forwards[0].from[1]", "host bits" },
	};

	REFUSE_ALL(cases);
}

static void test_forwards_between(void)
{
	static const struct refusal cases[] = {
		{ "{\"forwards\": [\n"
		  "{\"name\": \"web\", \"proto\": \"tcp\", \"outside\": 8080,\n"
		  " \"to\": \"10.0.0.1:80\"},\n"
		  "{\"name\": \"web2\", \"proto\": [\"udp\", \"tcp\"],\n"
		  " \"outside\": \"8080\", \"to\": \"10.0.0.2:80\"}]}",
		  5, "forwards[1].outside",
		  "tcp ports 8080-8080 of \"web2\", which overlap 8080-8080 of "
		  "\"web\"" },
		{ "{\"forwards\": [\n"
		  "{\"name\": \"web\", \"proto\": \"tcp\", \"outside\": 8080,\n"
		  " \"to\": \"10.0.0.1:80\"},\n"
		  "{\"name\": \"web\", \"proto\": \"tcp\", \"outside\": 8081,\n"
		  " \"to\": \"10.0.0.2:80\"}]}",
		  4, "forwards[1].name",
		  "\"web\", the name of another forward" },
	};

	REFUSE_ALL(cases);
}

static void test_between_keys(void)
{
	static const struct refusal cases[] = {
		{ "{\"timeouts\": {\"udp\": 300,\n\"tcp_closing\": 7440}}", 2,
		  "timeouts.tcp_closing",
		  "expected tcp_closing to be shorter" },
		{ "{\"timeouts\": {\"udp\": 300,\n\n\"tcp_established\": 240}}",
		  3, "timeouts.tcp_established", "tcp_established 240" },
		{ "{\"fallback\": \"kernel\",\n\"rules\": \"iptables\"}", 1,
		  "fallback", "nftables only" },
		{ "{\"control\":\n\"/a\", \"control_read\": \"/a\"}", 2,
		  "control_read", "the same path" },
		{ "{\"state\": \"/run/portico/portico.sock\"}", 1, "state",
		  "the same path" },
	};

	REFUSE_ALL(cases);
}

static const struct test tests[] = {
	{ "syntax errors name line and key", test_syntax },
	{ "a NUL byte is refused", test_nul_byte },
	{ "a repeated key is refused", test_duplicates },
	{ "an unknown key is refused with a near miss", test_unknown_keys },
	{ "a value of the wrong type is refused", test_types },
	{ "a number out of range is refused", test_ranges_of_numbers },
	{ "an unknown word or a bad path is refused", test_words },
	{ "a path must fit a socket's address", test_path_length },
	{ "impossible ports are refused", test_ports_refused },
	{ "low and router ports are checked", test_other_ports_refused },
	{ "devices and the uplink's address are checked", test_devices },
	{ "a mark that is not two adjacent bits is refused",
	  test_marks_refused },
	{ "networks with host bits are refused", test_networks },
	{ "a wrong forward is refused", test_forwards_refused },
	{ "forwards may not overlap or share a name", test_forwards_between },
	{ "keys that contradict each other are refused", test_between_keys },
};

int main(int argc, char **argv)
{
	return config_run("config refusals", tests,
			  sizeof(tests) / sizeof(tests[0]), argc, argv);
}
