/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The verbs of the control sockets that show, add and remove forwards.
 */
#include "control_lab.h"
#include "tests/fault/plan.h"

#define LIST "{\"command\":\"forwards\"}\n"
#define ADD(name, outside) \
	"{\"command\":\"forward_add\",\"name\":\"" name "\"," \
	"\"proto\":\"tcp\",\"outside\":" outside ",\"to\":\"10.0.0.9:80\"}\n"
#define REMOVE(name) "{\"command\":\"forward_remove\",\"name\":\"" name "\"}\n"

static void check_answer(struct lab *lab, const char *path, const char *request,
			 const char *expected)
{
	struct json_object *object = ask(lab, path, request);
	const char *text = json_object_to_json_string_ext(
		object,
		JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

	CU_ASSERT_STRING_EQUAL(text, expected);
	if (strcmp(text, expected))
		printf("%s -> %s\n", request, text);
	json_object_put(object);
}

static void check_none(struct lab *lab)
{
	check_answer(lab, lab->read_path, LIST, "{\"forwards\":[]}");
}

static void test_life(void)
{
	struct lab lab;

	lab_open(&lab);
	check_none(&lab);
	check_answer(&lab, lab.path, ADD("web", "\"8080-8081\""),
		     "{\"added\":\"web\",\"warnings\":[\"a warning\"]}");
	check_answer(&lab, lab.path,
		     "{\"command\":\"forward_add\",\"name\":\"dns\","
		     "\"proto\":[\"udp\"],\"outside\":53,"
		     "\"to\":\"10.0.0.9:53\",\"from\":[\"198.51.100.0/24\","
		     "\"203.0.113.9\"]}\n",
		     "{\"added\":\"dns\",\"warnings\":[\"a warning\"]}");
	lab.gateway->file.forwards_written = 1;
	check_answer(&lab, lab.read_path, LIST,
		     "{\"forwards\":[{\"name\":\"web\",\"proto\":\"tcp\","
		     "\"outside\":\"8080-8081\",\"to\":\"10.0.0.9:80\","
		     "\"from\":[],\"origin\":\"configuration\"},"
		     "{\"name\":\"dns\",\"proto\":\"udp\",\"outside\":53,"
		     "\"to\":\"10.0.0.9:53\",\"from\":[\"198.51.100.0/24\","
		     "\"203.0.113.9/32\"],\"origin\":\"command\"}]}");
	check_error(&lab, lab.path, REMOVE("web"), "take it out there");
	check_answer(&lab, lab.path, REMOVE("dns"), "{\"removed\":\"dns\"}");
	check_error(&lab, lab.path, REMOVE("dns"), "the name of none");
	lab_close(&lab);
}

static void test_read_only(void)
{
	struct lab lab;

	lab_open(&lab);
	check_error(&lab, lab.read_path, ADD("web", "80"),
		    "forward_add is refused on the read-only socket");
	check_error(&lab, lab.read_path, REMOVE("web"),
		    "forward_remove is refused on the read-only socket");
	check_none(&lab);
	control_set_gateway(lab.control, NULL);
	check_error(&lab, lab.path, ADD("web", "80"), "starting");
	check_error(&lab, lab.path, REMOVE("web"), "starting");
	check_error(&lab, lab.path, LIST, "starting");
	lab_close(&lab);
}

static void test_refusals(void)
{
	static const struct {
		const char *request, *error;
	} cases[] = {
		{ "{\"command\":\"forwards\",\"host\":\"10.0.0.1\"}\n",
		  "forwards takes no such key: \"host\"" },
		{ "{\"command\":\"forward_add\"}\n",
		  "forward: found no \"name\"" },
		{ "{\"command\":\"forward_add\",\"host\":1}\n",
		  "forward: host: found an unknown key" },
		{ "{\"command\":\"forward_add\",\"name\":null}\n",
		  "forward: name: found null" },
		{ "{\"command\":\"forward_add\",\"from\":[[]]}\n",
		  "forward: from[0]: found an empty list" },
		{ "{\"command\":\"forward_add\",\"from\":[[1]]}\n",
		  "expected one JSON object" },
		{ ADD("", "80"), "forward: name: found \"\"" },
		{ ADD("a", "0"), "forward: outside: found 0" },
		{ ADD("a", "\"9-8\""), "forward: outside: found \"9-8\"" },
		{ "{\"command\":\"forward_remove\"}\n", "which one?" },
		{ "{\"command\":\"forward_remove\",\"name\":5}\n",
		  "which one?" },
		{ "{\"command\":\"forward_remove\",\"name\":\"a\","
		  "\"proto\":\"tcp\"}\n",
		  "forward_remove takes no such key: \"proto\"" },
		{ REMOVE("\\u001b\\u00ff"), "found \"???\"" },
		{ REMOVE("kept\\u0000"), "which one?" },
	};
	struct lab lab;

	lab_open(&lab);
	check_error(&lab, lab.path, ADD("kept", "1"), "");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_error(&lab, lab.path, cases[i].request, cases[i].error);
	CU_ASSERT_EQUAL(count_rows(&lab, LIST, "forwards"), 1);
	lab_close(&lab);
}

static uint64_t refused(struct lab *lab)
{
	struct json_object *object =
		ask(lab, lab->read_path, "{\"command\":\"status\"}\n");
	struct json_object *part = NULL;
	uint64_t count;

	json_object_object_get_ex(object, "control", &part);
	json_object_object_get_ex(part, "refused", &part);
	json_object_object_get_ex(part, "forwards", &part);
	count = json_object_get_uint64(part);
	json_object_put(object);
	return count;
}

static void test_limit(void)
{
	struct lab lab;
	char request[160];

	lab_open(&lab);
	for (int i = 0; i < CONFIG_FORWARDS_ADDED_MAX; i++) {
		struct json_object *object;

		lab.loop.now_ms += 100; /* as slowly as one may ask */
		snprintf(request, sizeof(request), ADD("n%d", "%d"), i,
			 1000 + i);
		object = ask(&lab, lab.path, request);
		CU_ASSERT_STRING_EQUAL(error_of(object), "");
		json_object_put(object);
	}
	CU_ASSERT_EQUAL(refused(&lab), 0);
	check_error(&lab, lab.path, ADD("more", "80"), "which is the limit");
	CU_ASSERT_EQUAL(refused(&lab), 1);
	CU_ASSERT_EQUAL(count_rows(&lab, LIST, "forwards"),
			CONFIG_FORWARDS_ADDED_MAX);
	lab_close(&lab);
}

/* By both protocols: as many lines as there may be. */
static void add_all(struct lab *lab)
{
	char request[160];

	for (int i = 0; i < CONFIG_FORWARDS_ADDED_MAX; i++) {
		lab->loop.now_ms += 100;
		snprintf(request, sizeof(request),
			 "{\"command\":\"forward_add\",\"name\":\"n%d\","
			 "\"proto\":[\"tcp\",\"udp\"],\"outside\":%d,"
			 "\"to\":\"10.0.0.9:80\"}\n",
			 i, 1000 + i);
		check_error(lab, lab->path, request, "");
	}
}

/* A list that is under way has all that stay. */
static void test_list_meanwhile(void)
{
	struct lab lab;
	struct json_object *object;
	int fd;

	lab_open(&lab);
	add_all(&lab);
	fd = dial(lab.read_path);
	say(fd, LIST);
	/* It enters, and asks: the first lines are made. */
	lab_turn(&lab.loop);
	lab_turn(&lab.loop);
	check_error(&lab, lab.path, REMOVE("n0"), "");
	check_error(&lab, lab.path, REMOVE("n5"), "");
	check_error(&lab, lab.path, REMOVE("n250"), "");
	object = hear_json(&lab, fd);
	/* Two had been shown before they ended, one not. */
	CU_ASSERT_EQUAL(rows(object, "forwards"),
			2 * (CONFIG_FORWARDS_ADDED_MAX - 1));
	json_object_put(object);
	close(fd);
	lab_close(&lab);
}

/* The longest request can be a forward with many peers. */
static void test_long(void)
{
	char request[CONTROL_REQUEST_MAX + 64] =
		"{\"command\":\"forward_add\",\"name\":\"a\",\"proto\":\"tcp\","
		"\"outside\":80,\"to\":\"10.0.0.9:80\",\"from\":[\"1.0.0.0/8\"";
	size_t length = strlen(request);
	struct lab lab;

	lab_open(&lab);
	while (length < CONTROL_REQUEST_MAX - 30)
		length += (size_t)sprintf(request + length, ",\"1.0.0.0/8\"");
	strcpy(request + length, "]}\n");
	check_answer(&lab, lab.path, request,
		     "{\"added\":\"a\",\"warnings\":[\"a warning\"]}");
	CU_ASSERT(lab.gateway->file.nat.forwards[0].from_count > 300);
	lab_close(&lab);
}

/* Whichever copy cannot be had, nothing has changed. (Below the control socket:
 * json-c, too, copies texts.) */
static void test_no_memory(void)
{
	struct json_object *forward = json_tokener_parse(
		"{\"name\":\"more\",\"proto\":\"tcp\",\"outside\":81,"
		"\"to\":\"10.0.0.9:80\"}");
	char error[256];
	struct lab lab;

	lab_open(&lab);
	check_answer(&lab, lab.path, ADD("web", "80"),
		     "{\"added\":\"web\",\"warnings\":[\"a warning\"]}");
	for (uint32_t skip = 0; skip < 2; skip++) {
		fault_arm("strdup", ENOMEM, skip, 1);
		CU_ASSERT(gateway_add_forward(lab.gateway, forward, error,
					      sizeof(error)) < 0);
		CU_ASSERT_EQUAL(fault_disarm(), 1);
		CU_ASSERT_PTR_NOT_NULL(strstr(error, "memory is short"));
		CU_ASSERT_EQUAL(count_rows(&lab, LIST, "forwards"), 1);
	}
	CU_ASSERT_EQUAL(gateway_add_forward(lab.gateway, forward, error,
					    sizeof(error)),
			0);
	fault_arm("strdup", ENOMEM, 0, 1);
	CU_ASSERT_EQUAL(gateway_remove_forward(lab.gateway, "more", error,
					       sizeof(error)),
			-ENOMEM);
	CU_ASSERT_EQUAL(fault_disarm(), 1);
	CU_ASSERT_EQUAL(count_rows(&lab, LIST, "forwards"), 2);
	json_object_put(forward);
	lab_close(&lab);
}

static const struct test tests[] = {
	{ "forwards are added, shown and removed", test_life },
	{ "the read-only socket shows forwards and changes none",
	  test_read_only },
	{ "wrong forwards and keys are refused by name", test_refusals },
	{ "the limit of forwards by command is told and counted", test_limit },
	{ "a list goes on when forwards end meanwhile", test_list_meanwhile },
	{ "a forward may fill a whole request", test_long },
	{ "a forward for which memory is short changes nothing",
	  test_no_memory },
};

int main(int argc, char **argv)
{
	return suite_run("fault_forwards", tests,
			 sizeof(tests) / sizeof(tests[0]), argc, argv);
}
