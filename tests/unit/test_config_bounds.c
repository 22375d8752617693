/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Values that are well written and yet refused, or taken with a warning,
 * for what they would do.
 */
#include "config_case.h"

static void test_everything_exempt(void)
{
	CU_ASSERT_TRUE(refused("{\"exempt\": [\"10.8.0.0/16\",\n"
			       "\"0.0.0.0/0\"]}",
			       2, "exempt[1]", "a smaller network"));
}

static void test_much_exempt(void)
{
	struct config *config = taken("{\"exempt\": [\"10.0.0.0/8\",\n"
				      "\"128.0.0.0/1\"]}");

	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	CU_ASSERT_EQUAL(config->nat.exempt_count, 2);
	CU_ASSERT_EQUAL_FATAL(config->warnings_count, 1);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(config->warnings[0], "exempt[1] 128.0.0.0/1"));
	config_free(config);
}

static void test_protocols(void)
{
	struct config *config = taken("{\"behaviour\":\n"
				      "{\"protocols\": [\"sctp\", \"gre\"]}}");
	const bool *untranslated;

	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	untranslated = config->nat.untranslated;
	CU_ASSERT_FALSE(untranslated[NAT_PROTO_TCP]);
	CU_ASSERT_FALSE(untranslated[NAT_PROTO_SCTP]);
	CU_ASSERT_FALSE(untranslated[NAT_PROTO_GRE]);
	CU_ASSERT_TRUE(untranslated[NAT_PROTO_DCCP]);
	CU_ASSERT_TRUE(untranslated[NAT_PROTO_ESP]);
	CU_ASSERT_TRUE(untranslated[NAT_PROTO_UDPLITE]);
	config_free(config);
	config = taken("{}");
	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	for (int proto = 0; proto < 256; proto++)
		CU_ASSERT_FALSE(config->nat.untranslated[proto]);
	config_free(config);
}

static void test_odd_protocols(void)
{
	static const char *const texts[] = { "[\"gre\", \"tcp\"]",
					     "[\"gre\", \"gre\"]",
					     "[\"gre\", 47]",
					     "[\"gre\", \"GRE\"]" };
	char text[128];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		snprintf(text, sizeof(text),
			 "{\"behaviour\":\n{\"protocols\": %s}}", texts[i]);
		CU_ASSERT_TRUE(refused(text, 2, "behaviour.protocols[1]",
				       i == 1 ? "once" : "\"udplite\""));
	}
	CU_ASSERT_TRUE(refused("{\"behaviour\":\n{\"protocols\": \"gre\"}}", 2,
			       "behaviour.protocols", "a list of protocols"));
}

static void test_tagged_sessions(void)
{
	static const struct {
		const char *text;
		uint32_t limit;
	} good[] = { { "{}", 1024 },
		     { "{\"limits\": {\"tagged_sessions\": 0}}", 0 },
		     { "{\"limits\": {\"tagged_sessions\": 4194304}}",
		       NAT_LIMIT_MAX } };

	for (size_t i = 0; i < 3; i++) {
		struct config *config = taken(good[i].text);

		CU_ASSERT_PTR_NOT_NULL_FATAL(config);
		CU_ASSERT_EQUAL(config->limits.tagged, good[i].limit);
		config_free(config);
	}
	CU_ASSERT_TRUE(refused("{\"limits\":\n{\"tagged_sessions\": -1}}", 2,
			       "limits.tagged_sessions", "from 0"));
	CU_ASSERT_TRUE(refused("{\"limits\":\n{\"tagged_sessions\": "
			       "4194305}}",
			       2, "limits.tagged_sessions", "to 4194304"));
}

static void test_mapping_sessions(void)
{
	struct config *config =
		taken("{\"limits\": {\"mapping_sessions\": 1024}}");

	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	CU_ASSERT_EQUAL(config->nat.mapping_sessions, 1024);
	config_free(config);
	CU_ASSERT_TRUE(refused("{\"limits\":\n{\"mapping_sessions\": 1025}}", 2,
			       "limits.mapping_sessions", "to 1024"));
	CU_ASSERT_TRUE(refused("{\"limits\":\n{\"mapping_sessions\": 0}}", 2,
			       "limits.mapping_sessions", "from 1"));
}

/* Nobody asks for a gateway that comes last. */
static void test_nice(void)
{
	static const struct {
		const char *text;
		int nice;
	} good[] = { { "{}", -10 },
		     { "{\"queue\": {\"nice\": -20}}", -20 },
		     { "{\"queue\": {\"nice\": 0}}", 0 } };
	static const char *const bad[] = { "1", "-21", "19", "\"1\"", "-1.5" };
	char text[64];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct config *config = taken(good[i].text);

		CU_ASSERT_PTR_NOT_NULL_FATAL(config);
		CU_ASSERT_EQUAL(config->queue.nice, good[i].nice);
		config_free(config);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "{\"queue\":\n{\"nice\": %s}}",
			 bad[i]);
		CU_ASSERT_TRUE(refused(text, 2, "queue.nice",
				       "a whole number from -20 to 0"));
	}
}

static void test_many_forwards(void)
{
	size_t size = 4097 * 96 + 64, used;
	char *text = malloc(size);
	struct config *config;

	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	for (unsigned count = 4096; count <= 4097; count++) {
		used = (size_t)snprintf(text, size, "{\"forwards\": [");
		for (unsigned i = 0; i < count; i++)
			used += (size_t)snprintf(
				text + used, size - used,
				"%s{\"name\": \"f%u\", \"proto\": \"udp\", "
				"\"outside\": %u, \"to\": \"10.0.0.1:%u\"}",
				i ? ",\n" : "", i, i + 1, i + 1);
		snprintf(text + used, size - used, "]}");
		config = load(text);
		CU_ASSERT_EQUAL(!!config, count == 4096);
		config_free(config);
	}
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "at most 4096 forwards"));
	free(text);
}

/* --- words --------------------------------------------------------------- */

/* They go to terminals, and into JSON, which is UTF-8. */
static void test_letters(void)
{
	char text[128] = "{\"rules\": \"";

	CU_ASSERT_TRUE(refused("{\"rules\": \"K\xc3\xbc\"}", 1, "rules",
			       "\"K\xc3\xbc\", expected"));
	CU_ASSERT_TRUE(refused("{\"rules\": \"K\xfc\"}", 1, "rules",
			       "\"K?\", expected"));
	CU_ASSERT_TRUE(refused("{\"rules\": \"\xc2\x9b[m\"}", 1, "rules",
			       "\"?[m\", expected"));
	/* Cut in the midst of a letter. */
	for (int i = 0; i < 40; i++)
		strcat(text, "\xc3\xbc");
	strcat(text, "\"}");
	CU_ASSERT_TRUE(refused(text, 1, "rules", "\xc3\xbc?..., expected"));
}

/* It would be written over. */
static void test_own_file(void)
{
	char text[128];

	snprintf(text, sizeof(text), "{\n\"state\": \"%s\"}", file);
	CU_ASSERT_TRUE(refused(text, 2, "state", "configuration's own file"));
	strcat(file, ".settings");
	snprintf(text, sizeof(text), "{\"control\": \"%.*s\"}",
		 (int)(strlen(file) - strlen(".settings")), file);
	CU_ASSERT_TRUE(refused(text, 1, "control", "configuration's own file"));
	unlink(file);
	file[strlen(file) - strlen(".settings")] = '\0';
}

static const struct test tests[] = {
	{ "the configuration's own file is no state", test_own_file },
	{ "a guard open for everything is refused", test_everything_exempt },
	{ "very large exempt networks warn", test_much_exempt },
	{ "protocols are chosen by name", test_protocols },
	{ "no other protocol is taken", test_odd_protocols },
	{ "tagged sessions have an end", test_tagged_sessions },
	{ "a mapping's sessions have an end", test_mapping_sessions },
	{ "a nice value puts the gateway first, never last", test_nice },
	{ "there are at most 4096 forwards", test_many_forwards },
	{ "what is found is shown in harmless, whole letters", test_letters },
};

int main(int argc, char **argv)
{
	return config_run("config bounds", tests,
			  sizeof(tests) / sizeof(tests[0]), argc, argv);
}
