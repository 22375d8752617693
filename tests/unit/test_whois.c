/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * whois: who has an outside port, of what the daemon's own filter lets through.
 */
#include "platform/replies.h"
#include "platform/text.h"
#include "suite.h"
#include "text_lab.h"

#define E 0xcb007107 /* 203.0.113.7 */

static const char mappings[] =
	"{\"mappings\":["
	"{\"proto\":\"tcp\",\"inside\":\"10.0.0.1:5000\","
	"\"outside\":\"203.0.113.7:61822\",\"kind\":\"dynamic\","
	"\"sessions\":3,\"age_s\":65,\"idle_s\":1,\"name\":null},"
	/* Its own port is the one asked for, the outside one is not. */
	"{\"proto\":\"tcp\",\"inside\":\"10.0.0.2:61822\","
	"\"outside\":\"203.0.113.7:61823\",\"kind\":\"dynamic\","
	"\"sessions\":1,\"age_s\":1,\"idle_s\":0,\"name\":null},"
	"{\"proto\":\"udp\",\"inside\":\"10.0.0.3:80\","
	"\"outside\":\"203.0.113.7:61822\",\"kind\":\"forward\","
	"\"sessions\":0,\"age_s\":4000,\"idle_s\":7,\"name\":\"game\"},"
	"{\"proto\":\"udp\",\"inside\":\"10.0.0.3:80\",\"outside\":null},"
	"7]}";

/* The inside sockets found, each with a blank behind it. */
static void check_found(const char *sessions, uint32_t addr, uint16_t port,
			const char *expected)
{
	struct json_object *all = json_tokener_parse(mappings);
	struct json_object *with = sessions ? json_tokener_parse(sessions) :
					      NULL;
	struct json_object *found = replies_whois(all, with, addr, port);
	struct json_object *rows = NULL;
	char text[256] = "";

	CU_ASSERT_TRUE(json_object_object_get_ex(found, "whois", &rows));
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		struct json_object *inside = NULL;

		json_object_object_get_ex(row, "inside", &inside);
		strcat(text, json_object_get_string(inside));
		strcat(text, " ");
	}
	CU_ASSERT_STRING_EQUAL(text, expected);
	json_object_put(found);
	json_object_put(all);
	json_object_put(with);
}

static void test_outside(void)
{
	check_found(NULL, 0, 61822, "10.0.0.1:5000 10.0.0.3:80 ");
	check_found(NULL, E, 61822, "10.0.0.1:5000 10.0.0.3:80 ");
	check_found(NULL, 0, 61823, "10.0.0.2:61822 ");
	check_found(NULL, 0, 5000, "");
	check_found(NULL, E + 1, 61822, "");
}

static void test_peer(void)
{
	check_found("{\"sessions\":[{\"proto\":\"tcp\","
		    "\"inside\":\"10.0.0.1:5000\","
		    "\"outside\":\"203.0.113.7:61822\"}]}",
		    0, 61822, "10.0.0.1:5000 ");
	/* Another protocol's session, and none at all. */
	check_found("{\"sessions\":[{\"proto\":\"tcp\","
		    "\"inside\":\"10.0.0.3:80\","
		    "\"outside\":\"203.0.113.7:61822\"}]}",
		    0, 61822, "");
	check_found("{\"sessions\":[]}", 0, 61822, "");
	check_found("{}", 0, 61822, "");
}

static void test_odd(void)
{
	static const char *const replies[] = { "{}", "{\"mappings\":null}",
					       "{\"mappings\":{}}" };

	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		struct json_object *reply = json_tokener_parse(replies[i]);
		struct json_object *found = replies_whois(reply, NULL, 0, 0);

		CU_ASSERT_STRING_EQUAL(json_object_to_json_string_ext(found, 0),
				       "{\"whois\":[]}");
		json_object_put(found);
		json_object_put(reply);
	}
}

static void print_found(struct json_object *reply, FILE *out)
{
	struct json_object *found = replies_whois(reply, NULL, 0, 61822);

	text_whois(found, NULL, out);
	json_object_put(found);
}

static void test_text(void)
{
	check_text(print_found, mappings,
		   "PROTO  OUTSIDE            INSIDE         HOST  KIND     "
		   "  AGE  IDLE  PEERS  FORWARD\n"
		   "tcp    203.0.113.7:61822  10.0.0.1:5000  -     dynamic  "
		   "1m05s    1s      3  -\n"
		   "udp    203.0.113.7:61822  10.0.0.3:80    -     forward  "
		   "1h06m    7s      0  game\n");
}

static const struct test tests[] = {
	{ "the port is the outside one, not the inside one", test_outside },
	{ "with a peer its session is what counts", test_peer },
	{ "a strange reply is survived", test_odd },
	{ "mappings are shown by their outside sockets", test_text },
};

int main(int argc, char **argv)
{
	return suite_run("whois", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
