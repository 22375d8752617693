/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Forwards that come by command, beside those of a configuration.
 */
#include <errno.h>
#include <json-c/json.h>

#include "config_case.h"

#define FILE_TEXT \
	"{\"forwards\": [{\"name\": \"web\", \"proto\": \"tcp\", " \
	"\"outside\": 8080, \"to\": \"192.168.1.10:80\"}]}"

static int add(const struct config *old, const char *forward,
	       struct config **changed)
{
	struct json_object *object = json_tokener_parse(forward);
	int err;

	CU_ASSERT_PTR_NOT_NULL_FATAL(object);
	err = config_add_forward(old, object, changed, error, sizeof(error));
	json_object_put(object);
	return err;
}

/* The config with that forward more, in the place of the old one. */
static struct config *added(struct config *old, const char *forward)
{
	struct config *changed;

	CU_ASSERT_EQUAL_FATAL(add(old, forward, &changed), 0);
	config_free_forwards(old);
	return changed;
}

static void check_refused(const struct config *config, const char *forward,
			  const char *sentence)
{
	struct config *changed;

	CU_ASSERT_EQUAL(add(config, forward, &changed), -EINVAL);
	CU_ASSERT_PTR_NULL(changed);
	CU_ASSERT_STRING_EQUAL(error, sentence);
	if (strcmp(error, sentence))
		printf("found    %s\nexpected %s\n", error, sentence);
}

static void test_add(void)
{
	struct config *config = taken(FILE_TEXT);
	const struct nat_forward *forward;

	CU_ASSERT_EQUAL(config->forwards_written, 1);
	config = added(config, "{\"name\":\"game\",\"proto\":[\"udp\",\"tcp\"],"
			       "\"outside\":\"8100-8109\","
			       "\"to\":\"192.168.1.11:9000\","
			       "\"from\":[\"198.51.100.0/24\"]}");
	CU_ASSERT_EQUAL(config->forwards_written, 1);
	CU_ASSERT_EQUAL_FATAL(config->nat.forward_count, 3);
	CU_ASSERT_STRING_EQUAL(config->nat.forwards[0].name, "web");
	forward = &config->nat.forwards[2];
	CU_ASSERT_STRING_EQUAL(forward->name, "game");
	CU_ASSERT_EQUAL(forward->proto, NAT_PROTO_UDP);
	CU_ASSERT_EQUAL(forward->outside_last, 8109);
	CU_ASSERT_EQUAL(forward->inside_addr, 0xc0a8010b);
	CU_ASSERT_EQUAL_FATAL(forward->from_count, 1);
	CU_ASSERT_EQUAL(forward->from[0].length, 24);
	/* What is not of the forwards is the same. */
	CU_ASSERT_STRING_EQUAL(config->path, file);
	config_free(config);
}

#define REST(name) \
	"{\"name\":\"" name "\",\"proto\":\"tcp\",\"to\":\"192.168.1.1:1\","

static void test_refused(void)
{
	struct config *config = taken(FILE_TEXT);

	config = added(config, REST("own") "\"outside\":9000}");
	check_refused(config, REST("web") "\"outside\":1}",
		      "forward: name: found \"web\", the name of another "
		      "forward, expected a name of its own");
	check_refused(config, REST("own") "\"outside\":1}",
		      "forward: name: found \"own\", the name of another "
		      "forward, expected a name of its own");
	check_refused(config, REST("a") "\"outside\":\"8000-8080\"}",
		      "forward: outside: found tcp ports 8000-8080 of \"a\", "
		      "which overlap 8080-8080 of \"web\", expected each "
		      "outside port in one forward");
	check_refused(config, REST("a") "\"outside\":9000}",
		      "forward: outside: found tcp ports 9000-9000 of \"a\", "
		      "which overlap 9000-9000 of \"own\", expected each "
		      "outside port in one forward");
	check_refused(config, REST("a") "\"outside\":70000}",
		      "forward: outside: found 70000, expected a port from 1 "
		      "to 65535 or a range such as \"8000-8010\"");
	check_refused(config, "{\"name\":\"a\"}",
		      "forward: found no \"proto\", expected a forward to have "
		      "one");
	check_refused(config, "{\"Name\":\"a\"}",
		      "forward: Name: found an unknown key, did you mean "
		      "\"name\"?");
	check_refused(config, "{\"name\":\"\xff\\u001b[2J\"}",
		      "forward: name: found \"?\\u001b[2J\", expected a name "
		      "of 1 to 31 printable ASCII characters");
	config_free(config);
}

static void test_limit(void)
{
	struct config *config = taken(FILE_TEXT), *changed;
	char text[160];

	for (int i = 0; i <= CONFIG_FORWARDS_ADDED_MAX; i++) {
		snprintf(text, sizeof(text),
			 "{\"name\":\"n%d\",\"proto\":[\"tcp\",\"udp\"],"
			 "\"outside\":%d,\"to\":\"192.168.1.1:1\"}",
			 i, 10000 + i);
		if (i < CONFIG_FORWARDS_ADDED_MAX)
			config = added(config, text);
	}
	CU_ASSERT_EQUAL(add(config, text, &changed), -ENOSPC);
	CU_ASSERT_PTR_NULL(changed);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "there are 256 by command"));
	/* There is room for one again. */
	CU_ASSERT_EQUAL_FATAL(config_remove_forward(config, "n7", &changed,
						    error, sizeof(error)),
			      0);
	config_free_forwards(config);
	config = added(changed, text);
	config_free(config);
}

static void test_remove(void)
{
	struct config *config = taken(FILE_TEXT), *changed;
	char sentence[200];

	config = added(config, "{\"name\":\"a\",\"proto\":[\"tcp\",\"udp\"],"
			       "\"outside\":1,\"to\":\"192.168.1.1:1\"}");
	config = added(config, REST("b") "\"outside\":2}");
	CU_ASSERT_EQUAL(config_remove_forward(config, "web", &changed, error,
					      sizeof(error)),
			-EINVAL);
	CU_ASSERT_PTR_NULL(changed);
	snprintf(sentence, sizeof(sentence),
		 "forward: \"web\" stands in %s: take it out there and reload",
		 file);
	CU_ASSERT_STRING_EQUAL(error, sentence);
	CU_ASSERT_EQUAL(config_remove_forward(config, "c\x1b", &changed, error,
					      sizeof(error)),
			-EINVAL);
	CU_ASSERT_STRING_EQUAL(error, "forward: found \"c?\", which is the "
				      "name of none");
	CU_ASSERT_EQUAL_FATAL(config_remove_forward(config, "a", &changed,
						    error, sizeof(error)),
			      0);
	CU_ASSERT_EQUAL(config->nat.forward_count, 4);
	config_free_forwards(config);
	CU_ASSERT_EQUAL_FATAL(changed->nat.forward_count, 2);
	CU_ASSERT_STRING_EQUAL(changed->nat.forwards[0].name, "web");
	CU_ASSERT_STRING_EQUAL(changed->nat.forwards[1].name, "b");
	config_free(changed);
}

static void test_keep(void)
{
	struct config *old = taken(FILE_TEXT), *config;

	old = added(old, REST("stays") "\"outside\":1}");
	old = added(old, REST("named") "\"outside\":2}");
	old = added(old, "{\"name\":\"both\",\"proto\":[\"tcp\",\"udp\"],"
			 "\"outside\":3,\"to\":\"192.168.1.1:1\"}");
	old = added(old, "{\"name\":\"pair\",\"proto\":[\"tcp\",\"udp\"],"
			 "\"outside\":4,\"to\":\"192.168.1.1:1\"}");
	config = taken("{\"forwards\": ["
		       "{\"name\": \"named\", \"proto\": \"tcp\", "
		       "\"outside\": 5, \"to\": \"192.168.1.10:80\"}, "
		       "{\"name\": \"taker\", \"proto\": \"udp\", "
		       "\"outside\": \"3-3\", \"to\": \"192.168.1.10:80\"}]}");
	CU_ASSERT_EQUAL(config_keep_forwards(config, old, error, sizeof(error)),
			0);
	config_free(old);
	CU_ASSERT_EQUAL(config->forwards_written, 2);
	CU_ASSERT_EQUAL_FATAL(config->nat.forward_count, 5);
	CU_ASSERT_STRING_EQUAL(config->nat.forwards[2].name, "stays");
	CU_ASSERT_STRING_EQUAL(config->nat.forwards[3].name, "pair");
	CU_ASSERT_STRING_EQUAL(config->nat.forwards[4].name, "pair");
	CU_ASSERT_EQUAL_FATAL(config->warnings_count, 2);
	CU_ASSERT_STRING_EQUAL(config->warnings[0],
			       "forward named, added by command, has ended: "
			       "the configuration has one of that name");
	CU_ASSERT_STRING_EQUAL(config->warnings[1],
			       "forward both, added by command, has ended: the "
			       "configuration has an outside port of it in "
			       "taker");
	/* What was kept can be removed. */
	CU_ASSERT_EQUAL(config_remove_forward(config, "pair", &old, error,
					      sizeof(error)),
			0);
	config_free_forwards(config);
	CU_ASSERT_EQUAL(old->nat.forward_count, 3);
	config_free(old);
}

static void test_written(void)
{
	struct config *old = taken("{}"), *config;

	old = added(old, "{\"name\":\"a\",\"proto\":[\"tcp\",\"udp\"],"
			 "\"outside\":3,\"to\":\"192.168.1.1:1\","
			 "\"from\":[\"10.0.0.0/8\"]}");
	old = added(old, REST("b") "\"outside\":4,\"from\":[\"10.0.0.1\"]}");
	config = taken("{\"forwards\": ["
		       "{\"name\": \"a\", \"proto\": [\"udp\", \"tcp\"], "
		       "\"outside\": 3, \"to\": \"192.168.1.1:1\", "
		       "\"from\": [\"10.0.0.0/8\"]},"
		       "{\"name\": \"b\", \"proto\": \"tcp\", "
		       "\"outside\": 4, \"to\": \"192.168.1.1:1\", "
		       "\"from\": [\"10.0.0.2\"]}]}");
	CU_ASSERT_EQUAL(config_keep_forwards(config, old, error, sizeof(error)),
			0);
	CU_ASSERT_EQUAL(config->nat.forward_count, 3);
	CU_ASSERT_EQUAL_FATAL(config->warnings_count, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(config->warnings[0], "forward b, "));
	config_free(old);
	config_free(config);
}

static const struct test tests[] = {
	{ "a forward by command stands behind those of the file", test_add },
	{ "a forward is refused in the words of the configuration",
	  test_refused },
	{ "there are at most 256 forwards by command", test_limit },
	{ "only a forward by command can be removed", test_remove },
	{ "a new file keeps those whose name and port it does not take",
	  test_keep },
	{ "what was written into the file goes on without a warning",
	  test_written },
};

int main(int argc, char **argv)
{
	return config_run("config_added", tests,
			  sizeof(tests) / sizeof(tests[0]), argc, argv);
}
