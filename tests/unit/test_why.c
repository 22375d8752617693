/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `portico why` over the control socket: what netns/test_why.py does not
 * reach: questions that are none, protocols without ports, several forwards to
 * one inside socket, tables walked in slices.
 */
#include "control_lab.h"

#define L1 0xc0a8010aU /* 192.168.1.10 */
#define L2 0xc0a8010bU
#define R1 0xc6336401U /* 198.51.100.1 */

static const struct nat_prefix inside[] = { { 0xc0a80100, 24 } };

static void open_inside(struct lab *lab)
{
	struct gateway *gateway;

	lab_open(lab);
	gateway = lab->gateway;
	gateway->config.inside = inside;
	gateway->config.inside_count = 1;
	gateway->config.hairpin = true;
	gateway->config.peer_tagged = 16;
	nat_configure(gateway->nat, &gateway->config, gateway->now_ms);
}

static struct json_object *asked(struct lab *lab, const char *proto,
				 const char *source, const char *destination)
{
	char request[256];

	snprintf(request, sizeof(request),
		 "{\"command\":\"why\",\"proto\":\"%s\",\"source\":\"%s\","
		 "\"destination\":\"%s\"}\n",
		 proto, source, destination);
	return ask(lab, lab->read_path, request);
}

static struct json_object *member(struct json_object *object, const char *key)
{
	struct json_object *why = NULL, *value = NULL;

	json_object_object_get_ex(object, "why", &why);
	CU_ASSERT_TRUE(json_object_object_get_ex(why, key, &value));
	return value;
}

/* Texts of way, verdict and drop, and a word of the explanation or remedy. */
static void check(struct lab *lab, const char *const question[3],
		  const char *way, const char *verdict, const char *drop,
		  const char *word)
{
	struct json_object *object =
		asked(lab, question[0], question[1], question[2]);
	struct json_object *found = member(object, "drop");
	const char *text = json_object_to_json_string_ext(
		object, JSON_C_TO_STRING_NOSLASHESCAPE);
	bool good = strstr(text, word);

	good &= !strcmp(json_object_get_string(member(object, "way")), way);
	good &= !strcmp(json_object_get_string(member(object, "verdict")),
			verdict);
	good &= !strcmp(found ? json_object_get_string(found) : "", drop);
	CU_ASSERT_TRUE(good);
	if (!good)
		printf("expected %s, %s, %s, \"%s\", found %s\n", way, verdict,
		       drop, word, text);
	json_object_put(object);
}

#define ASK(...) ((const char *const[3]){ __VA_ARGS__ })

/* --- questions ----------------------------------------------------------- */

static void refused(struct lab *lab, const char *keys, const char *expected)
{
	char request[256];

	snprintf(request, sizeof(request), "{\"command\":\"why\"%s}\n", keys);
	check_error(lab, lab->read_path, request, expected);
}

static void test_no_questions(void)
{
	struct lab lab;

	open_inside(&lab);
	refused(&lab, "", "\"proto\" is missing");
	refused(&lab, ",\"proto\":\"udp\",\"source\":\"1.2.3.4:5\"",
		"\"destination\" is missing");
	refused(&lab, ",\"proto\":\"foo\"", "expected a protocol");
	refused(&lab, ",\"source\":\"1.2.3:4\"",
		"source: found \"1.2.3:4\", expected ADDRESS:PORT");
	refused(&lab, ",\"destination\":\"1.2.3.4:65536\"",
		"expected ADDRESS:PORT");
	refused(&lab, ",\"destination\":\"1.2.3.4:\"", "expected ADDRESS:PORT");
	refused(&lab, ",\"source\":[]", "expected a string");
	refused(&lab, ",\"host\":\"1.2.3.4\"", "takes no such key: \"host\"");
	refused(&lab,
		",\"proto\":\"tcp\",\"source\":\"1.2.3.4\","
		"\"destination\":\"1.2.3.4:5\"",
		"source: found 1.2.3.4, expected ADDRESS:PORT as tcp has");
	refused(&lab,
		",\"proto\":\"esp\",\"source\":\"1.2.3.4\","
		"\"destination\":\"1.2.3.4:5\"",
		"destination: found 1.2.3.4:5, expected an address alone");
	refused(&lab,
		",\"proto\":\"icmp\",\"source\":\"1.2.3.4:1\","
		"\"destination\":\"1.2.3.4:2\"",
		"the query ids 1 and 2, expected one");
	/* A key of why is none of another verb. */
	check_error(&lab, lab.path,
		    "{\"command\":\"mappings\",\"source\":\"1.2.3.4:5\"}\n",
		    "takes no such key");
	lab_close(&lab);
}

static void test_keys(void)
{
	static const char *const keys[] = {
		"proto", "source",  "destination", "way",	  "verdict",
		"drop",	 "mapping", "session",	   "explanation", "remedy",
	};
	struct json_object *object, *why;
	struct lab lab;

	open_inside(&lab);
	object = asked(&lab, "17", "192.168.1.10:5000", "198.51.100.1:7000");
	CU_ASSERT_TRUE(json_object_object_get_ex(object, "why", &why));
	CU_ASSERT_EQUAL(json_object_object_length(why), 10);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		member(object, keys[i]);
	CU_ASSERT_STRING_EQUAL(json_object_get_string(member(object, "proto")),
			       "udp");
	CU_ASSERT_STRING_EQUAL(json_object_get_string(member(object, "source")),
			       "192.168.1.10:5000");
	CU_ASSERT_PTR_NULL(member(object, "drop"));
	CU_ASSERT_PTR_NULL(member(object, "mapping"));
	CU_ASSERT_PTR_NULL(member(object, "remedy"));
	json_object_put(object);
	/* It makes nothing. */
	CU_ASSERT_EQUAL(count_rows(&lab, "{\"command\":\"mappings\"}\n",
				   "mappings"),
			0);
	lab_close(&lab);
}

/* --- judgements ---------------------------------------------------------- */

static void test_nothing_known(void)
{
	struct lab lab;

	lab_open(&lab); /* no inside network is known */
	check(&lab, ASK("udp", "192.168.1.10:5000", "198.51.100.1:7000"),
	      "outbound", "translated", "", "203.0.113.1:5000");
	nat_set_uplink(lab.gateway->nat, 0, lab.gateway->now_ms);
	check(&lab, ASK("udp", "192.168.1.10:5000", "198.51.100.1:7000"),
	      "outbound", "dropped", "no_uplink", "portico doctor");
	check(&lab, ASK("udp", "198.51.100.1:7000", "203.0.113.1:5000"),
	      "inbound", "dropped", "no_uplink", "portico doctor");
	lab_close(&lab);
}

static void test_portless(void)
{
	struct lab lab;

	open_inside(&lab);
	check(&lab, ASK("icmp", "192.168.1.10", "198.51.100.1"), "outbound",
	      "translated", "", "if the query id is new");
	check(&lab, ASK("icmp", "192.168.1.10", "198.51.100.1:2000"),
	      "outbound", "translated", "", "203.0.113.1:2000");
	check(&lab, ASK("icmp", "198.51.100.1", "203.0.113.1"), "local",
	      "untouched", "", "itself answers");
	check(&lab, ASK("gre", "192.168.1.10", "198.51.100.1"), "outbound",
	      "translated", "", "it leaves from 203.0.113.1");
	check(&lab, ASK("esp", "198.51.100.1", "203.0.113.1"), "local",
	      "untouched", "", "left to the router itself");
	check(&lab, ASK("sctp", "192.168.1.10:5000", "198.51.100.1:7000"),
	      "outbound", "translated", "", "INIT");
	check(&lab, ASK("dccp", "192.168.1.10:5000", "198.51.100.1:7000"),
	      "outbound", "translated", "", "Request");
	check(&lab, ASK("41", "192.168.1.10", "198.51.100.1"), "outbound",
	      "dropped", "unsupported", "told apart");
	check(&lab, ASK("41", "198.51.100.1", "203.0.113.1"), "local",
	      "untouched", "", "left to the router itself");
	check(&lab, ASK("esp", "192.168.1.10", "203.0.113.1"), "local",
	      "untouched", "", "left to the router itself");
	lab_close(&lab);
}

/* Two forwards to one inside socket: the session tells the mapping. */
static void test_aliases(void)
{
	static const struct nat_forward forwards[] = {
		{ "one", NAT_PROTO_UDP, 81, 81, L1, 80, NULL, 0 },
		{ "two", NAT_PROTO_UDP, 82, 82, L1, 80, NULL, 0 },
	};
	struct gateway *gateway;
	struct lab lab;

	open_inside(&lab);
	gateway = lab.gateway;
	gateway->config.forwards = forwards;
	gateway->config.forward_count = 2;
	CU_ASSERT_EQUAL(nat_configure(gateway->nat, &gateway->config,
				      gateway->now_ms),
			0);
	check(&lab, ASK("udp", "198.51.100.1:7000", "203.0.113.1:82"),
	      "inbound", "translated", "", "(forward two)");
	check(&lab, ASK("udp", "192.168.1.10:80", "198.51.100.1:7000"),
	      "outbound", "translated", "", "it leaves as 203.0.113.1:81");
	CU_ASSERT_TRUE(lab_send(gateway, L1, 80, R1, 7000));
	check(&lab, ASK("udp", "192.168.1.10:80", "198.51.100.1:7000"),
	      "outbound", "translated", "", "a session exists: INIT");
	/* Hairpin to a forward outside the pool, while that is off. */
	gateway->config.hairpin = false;
	check(&lab, ASK("udp", "192.168.1.11:80", "203.0.113.1:81"), "local",
	      "untouched", "", "set behaviour.hairpin");
	lab_close(&lab);
}

static void test_refused(void)
{
	struct gateway *gateway;
	struct lab lab;

	open_inside(&lab);
	gateway = lab.gateway;
	gateway->config.host_mappings = 1;
	CU_ASSERT_TRUE(lab_send(gateway, L1, 5000, R1, 7000));
	check(&lab, ASK("udp", "192.168.1.10:5001", "198.51.100.1:7000"),
	      "outbound", "dropped", "host_quota",
	      "192.168.1.10 has 1 mappings, and limits.host_mappings is 1");
	CU_ASSERT_FALSE(lab_send(gateway, L1, 5001, R1, 7000));
	check(&lab, ASK("udp", "192.168.1.10:5001", "198.51.100.1:7000"),
	      "outbound", "dropped", "host_quota",
	      "1 packets were dropped as host_quota so far");
	check(&lab, ASK("udp", "192.168.1.10:5001", "198.51.100.1:7000"),
	      "outbound", "dropped", "host_quota",
	      "of 192.168.1.10, 1 packets were refused");
	check(&lab, ASK("udp", "192.168.1.11:5001", "198.51.100.1:7000"),
	      "outbound", "translated", "", "203.0.113.1:5001");
	lab_close(&lab);
}

/* A port of the router's own, and one that another host has. */
static void test_ports(void)
{
	struct gateway *gateway;
	struct lab lab;

	open_inside(&lab);
	gateway = lab.gateway;
	nat_portset_add(&gateway->bound[NAT_POOL_UDP], 5000);
	nat_set_bound(gateway->nat, NAT_POOL_UDP,
		      &gateway->bound[NAT_POOL_UDP]);
	check(&lab, ASK("udp", "198.51.100.1:7000", "203.0.113.1:5000"),
	      "local", "untouched", "", "the router itself uses port 5000");
	check(&lab, ASK("udp", "192.168.1.10:5000", "198.51.100.1:7000"),
	      "outbound", "translated", "", "by another port");
	CU_ASSERT_TRUE(lab_send(gateway, L2, 5001, R1, 7000));
	check(&lab, ASK("udp", "192.168.1.10:5001", "198.51.100.1:7000"),
	      "outbound", "translated", "", "by another port");
	check(&lab, ASK("udplite", "192.168.1.10:5001", "198.51.100.1:7000"),
	      "outbound", "translated", "", "by another port");
	lab_close(&lab);
}

/* --- large tables -------------------------------------------------------- */

#define MANY 40000U

/* An entry costs what it costs a dump: a turn of the loop looks at a slice. */
static void test_slices(void)
{
	struct json_object *object;
	struct lab lab;
	unsigned turns;

	open_inside(&lab);
	for (uint32_t i = 0; i < MANY; i++)
		CU_ASSERT_TRUE(lab_send(lab.gateway, L1 + i % 4,
					(uint16_t)(2000 + i), R1, 7000));
	turns = lab.loop.turns;
	object = asked(&lab, "udp", "198.51.100.1:7000", "203.0.113.1:41999");
	CU_ASSERT_STRING_EQUAL(
		json_object_get_string(member(object, "verdict")),
		"translated");
	CU_ASSERT_PTR_NOT_NULL(member(object, "session"));
	json_object_put(object);
	turns = lab.loop.turns - turns;
	CU_ASSERT_TRUE(turns >= 2 * MANY / 1024);
	lab_close(&lab);
}

static void test_hang_up(void)
{
	struct lab lab;
	int fd;

	open_inside(&lab);
	for (uint16_t i = 0; i < 5000; i++)
		lab_send(lab.gateway, L1, (uint16_t)(2000 + i), R1, 7000);
	fd = dial(lab.path);
	say(fd, "{\"command\":\"why\",\"proto\":\"udp\",\"source\":"
		"\"192.168.1.10:5000\",\"destination\":\"198.51.100.1:1\"}\n");
	lab_turn(&lab.loop);
	lab_turn(&lab.loop);
	close(fd);
	for (int i = 0; i < 100; i++)
		lab_turn(&lab.loop);
	CU_ASSERT_EQUAL(lab_turn(&lab.loop), 0);
	lab_close(&lab);
}

static const struct test tests[] = {
	{ "what is no question is refused by name", test_no_questions },
	{ "an answer has its keys, and makes nothing", test_keys },
	{ "nothing known of the inside is no judgement", test_nothing_known },
	{ "protocols without ports are judged", test_portless },
	{ "a session tells the mapping of several", test_aliases },
	{ "a refusal says which limit and how often", test_refused },
	{ "the router's and another host's ports are known", test_ports },
	{ "large tables are walked in slices", test_slices },
	{ "a client that hangs up in between is forgotten", test_hang_up },
};

int main(int argc, char **argv)
{
	return suite_run("why", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
