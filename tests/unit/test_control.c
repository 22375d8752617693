/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The control sockets: verbs, filters and the protocol.
 */
#include "control_lab.h"

/* --- verbs --------------------------------------------------------------- */

static void test_status(void)
{
	struct lab lab;
	struct json_object *object, *uplink, *address, *config;

	lab_open(&lab);
	lab.gateway->file.path = (char[]){ "/dev/null" };
	object = ask(&lab, lab.read_path, "{\"command\":\"status\"}\n");
	CU_ASSERT_TRUE(json_object_object_get_ex(object, "uplink", &uplink));
	CU_ASSERT_TRUE(json_object_object_get_ex(uplink, "address", &address));
	CU_ASSERT_STRING_EQUAL(json_object_get_string(address), "203.0.113.1");
	CU_ASSERT_EQUAL(rows(object, "warnings"), 1);
	CU_ASSERT_TRUE(json_object_object_get_ex(object, "config", &config));
	CU_ASSERT_STRING_EQUAL(json_object_get_string(config), "/dev/null");
	json_object_put(object);
	lab_close(&lab);
}

static void test_rules(void)
{
	struct lab lab;
	struct json_object *object, *text;

	lab_open(&lab);
	object = ask(&lab, lab.path, "{\"command\":\"rules\"}\n");
	CU_ASSERT_TRUE(json_object_object_get_ex(object, "rules", &text));
	CU_ASSERT_STRING_EQUAL(json_object_get_string(text),
			       "table ip portico {\n\t# wan0\n}\n");
	CU_ASSERT_TRUE(json_object_object_get_ex(object, "backend", &text));
	CU_ASSERT_STRING_EQUAL(json_object_get_string(text), "nftables");
	json_object_put(object);
	lab_close(&lab);
}

static void test_flush(void)
{
	struct lab lab;
	struct json_object *object, *flushed;

	lab_open(&lab);
	check_error(&lab, lab.read_path,
		    "{\"command\":\"flush\",\"host\":\"192.168.1.1\"}\n",
		    "read-only");
	check_error(&lab, lab.path, "{\"command\":\"flush\"}\n", "which host");
	CU_ASSERT_EQUAL(lab.gateway->flushed, 0);
	check_error(&lab, lab.path,
		    "{\"command\":\"flush\",\"host\":\"lan\"}\n",
		    "an IPv4 address");
	check_error(&lab, lab.path,
		    "{\"command\":\"flush\",\"proto\":\"tcp\"}\n",
		    "no such key");
	object = ask(&lab, lab.path,
		     "{\"command\":\"flush\",\"host\":\"192.168.9.9\"}\n");
	CU_ASSERT_TRUE(json_object_object_get_ex(object, "flushed", &flushed));
	CU_ASSERT_EQUAL(json_object_get_int(flushed), 17);
	CU_ASSERT_EQUAL(lab.gateway->flushed, 0xc0a80909);
	json_object_put(object);
	lab_close(&lab);
}

static void test_reload(void)
{
	struct lab lab;
	struct json_object *object;

	lab_open(&lab);
	check_error(&lab, lab.read_path, "{\"command\":\"reload\"}\n",
		    "read-only");
	CU_ASSERT_EQUAL(lab.gateway->reloads, 0);
	object = ask(&lab, lab.path, "{\"command\":\"reload\"}\n");
	CU_ASSERT_STRING_EQUAL(error_of(object), "");
	CU_ASSERT_EQUAL(lab.gateway->reloads, 1);
	json_object_put(object);
	lab.gateway->reload_error = "x.conf:3: mtu: unknown key";
	check_error(&lab, lab.path, "{\"command\":\"reload\"}\n",
		    "x.conf:3: mtu: unknown key");
	CU_ASSERT_EQUAL(lab.gateway->reloads, 2);
	lab_close(&lab);
}

static void test_starting(void)
{
	struct lab lab;

	lab_open(&lab);
	control_set_gateway(lab.control, NULL);
	check_error(&lab, lab.path, "{\"command\":\"status\"}\n", "starting");
	lab_close(&lab);
}

static void test_filters(void)
{
	struct lab lab;

	lab_open(&lab);
	CU_ASSERT_TRUE(lab_send(lab.gateway, 0x0a000001, 1111, 0xc6336401, 53));
	CU_ASSERT_TRUE(lab_send(lab.gateway, 0x0a000001, 1111, 0xc6336402, 53));
	CU_ASSERT_TRUE(lab_send(lab.gateway, 0x0a000002, 2222, 0xc6336402, 99));
#define ROWS(table, filter) \
	count_rows(&lab, "{\"command\":\"" table "\"" filter "}\n", table)
	CU_ASSERT_EQUAL(ROWS("mappings", ""), 2);
	CU_ASSERT_EQUAL(ROWS("sessions", ""), 3);
	CU_ASSERT_EQUAL(ROWS("hosts", ""), 2);
	CU_ASSERT_EQUAL(ROWS("mappings", ",\"host\":\"10.0.0.1\""), 1);
	CU_ASSERT_EQUAL(ROWS("mappings", ",\"port\":2222"), 1);
	CU_ASSERT_EQUAL(ROWS("mappings", ",\"port\":\"2222\""), 1);
	CU_ASSERT_EQUAL(ROWS("mappings", ",\"proto\":\"tcp\""), 0);
	CU_ASSERT_EQUAL(ROWS("mappings", ",\"peer\":\"198.51.100.1\""), 1);
	CU_ASSERT_EQUAL(ROWS("mappings", ",\"peer\":\"198.51.100.2\""), 2);
	CU_ASSERT_EQUAL(ROWS("mappings", ",\"peer\":\"198.51.100.3\""), 0);
	CU_ASSERT_EQUAL(ROWS("mappings", ",\"peer\":\"198.51.100.2\","
					 "\"host\":\"10.0.0.2\""),
			1);
	CU_ASSERT_EQUAL(ROWS("sessions", ",\"peer\":\"198.51.100.2\""), 2);
	CU_ASSERT_EQUAL(ROWS("sessions", ",\"port\":99"), 1);
	CU_ASSERT_EQUAL(ROWS("hosts", ",\"host\":\"10.0.0.2\""), 1);
#undef ROWS
	lab_close(&lab);
}

static void test_refusals(void)
{
	static const struct {
		const char *request, *error;
	} cases[] = {
		{ "{\"command\":\"whom\"}\n", "unknown command: \"whom\"" },
		{ "{\"command\":\"\\u001b[2J\\u00ff\"}\n", "\"?[2J??\"" },
		{ "{\"command\":\"status\",\"host\":\"10.0.0.1\"}\n",
		  "status takes no such key: \"host\"" },
		{ "{\"command\":\"hosts\",\"peer\":\"10.0.0.1\"}\n",
		  "hosts takes no such key: \"peer\"" },
		{ "{\"command\":\"mappings\",\"hots\":1}\n",
		  "no such key: \"hots\"" },
		{ "{\"command\":\"mappings\",\"port\":70000}\n",
		  "port: found \"70000\"" },
		{ "{\"command\":\"mappings\",\"port\":1.5}\n",
		  "port: expected a string or a number" },
		{ "{\"command\":\"mappings\",\"host\":null}\n",
		  "host: expected a string" },
		{ "{\"command\":\"mappings\",\"host\":\"nas\"}\n",
		  "host: found \"nas\"" },
	};
	struct lab lab;

	lab_open(&lab);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_error(&lab, lab.path, cases[i].request, cases[i].error);
	lab_close(&lab);
}

/* --- the protocol -------------------------------------------------------- */

/* What is no request gets one error line and is cut off. */
static void check_cut_off(struct lab *lab, const char *bytes, size_t length)
{
	int fd = dial(lab->path);
	struct json_object *object;

	CU_ASSERT_EQUAL(send(fd, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
	object = hear_json(lab, fd);
	CU_ASSERT_STRING_NOT_EQUAL(error_of(object), "");
	json_object_put(object);
	check_closed(lab, fd);
	close(fd);
}

static void test_garbage(void)
{
	static const char *const lines[] = {
		"\n",
		"GET / HTTP/1.1\r\n",
		"status\n",
		"{}\n",
		"[]\n",
		"5\n",
		"null\n",
		"\"status\"\n",
		"{\"command\":5}\n",
		"{\"command\":\"status\"\n",
		"{\"command\":\"status\"}}\n",
		"{\"command\":\"status\"} x\n",
		"{\"a\":{\"b\":{\"c\":{\"d\":{}}}}}\n",
		"\xff\xfe\x80\n",
		"{'command':'status'}\n",
	};
	static const char nul[] = "{\"command\":\"status\"}\0\n";
	struct lab lab;

	lab_open(&lab);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		check_cut_off(&lab, lines[i], strlen(lines[i]));
	check_cut_off(&lab, nul, sizeof(nul) - 1);
	lab_close(&lab);
}

static void test_limit(void)
{
	char line[CONTROL_REQUEST_MAX + 1];
	struct json_object *object;
	struct lab lab;
	int fd;

	lab_open(&lab);
	memset(line, 'x', sizeof(line));
	check_cut_off(&lab, line, CONTROL_REQUEST_MAX);
	/* The longest request: blanks and the newline fill it up. */
	memset(line, ' ', sizeof(line));
	memcpy(line, "{\"command\":\"status\"}", 20);
	line[CONTROL_REQUEST_MAX - 1] = '\n';
	line[CONTROL_REQUEST_MAX] = '\0';
	fd = dial(lab.path);
	say(fd, line);
	object = hear_json(&lab, fd);
	CU_ASSERT_STRING_EQUAL(error_of(object), "");
	json_object_put(object);
	close(fd);
	lab_close(&lab);
}

/* 10 MB without a newline: taken no further than the first 4 KiB. */
static void test_flood(void)
{
	static char flood[65536];
	struct json_object *object;
	struct lab lab;
	ssize_t sent;
	int fd;

	lab_open(&lab);
	fd = dial(lab.path);
	memset(flood, 'x', sizeof(flood));
	for (int i = 0; i < 160; i++) {
		sent = send(fd, flood, sizeof(flood), MSG_NOSIGNAL);
		lab_turn(&lab.loop);
		if (sent < 0 && errno == EPIPE)
			break;
	}
	CU_ASSERT_EQUAL(sent, -1);
	object = hear_json(&lab, fd);
	CU_ASSERT_PTR_NOT_NULL(strstr(error_of(object), "too long"));
	json_object_put(object);
	close(fd);
	lab_close(&lab);
}

static void test_bytewise(void)
{
	static const char request[] = "{\"command\":\"status\"}\r\n";
	struct json_object *object;
	struct lab lab;
	int fd;

	lab_open(&lab);
	fd = dial(lab.path);
	for (size_t i = 0; i < sizeof(request) - 1; i++) {
		CU_ASSERT_EQUAL(send(fd, request + i, 1, 0), 1);
		lab_turn(&lab.loop);
		lab_turn(&lab.loop);
	}
	object = hear_json(&lab, fd);
	CU_ASSERT_STRING_EQUAL(error_of(object), "");
	json_object_put(object);
	close(fd);
	lab_close(&lab);
}

/* Requests sent together are answered one by one, in order. */
static void test_pipeline(void)
{
	struct lab lab;
	struct buffer all = { 0 };
	int fd, lines = 0;

	lab_open(&lab);
	fd = dial(lab.path);
	say(fd, "{\"command\":\"hosts\"}\n{\"command\":\"nonsense\"}\n"
		"{\"command\":\"mappings\"}\n");
	for (int i = 0; i < 100; i++) {
		ssize_t got;

		lab_turn(&lab.loop);
		buffer_reserve(&all, 4096);
		got = recv(fd, all.data + all.end, 4096, MSG_DONTWAIT);
		all.end += got > 0 ? (size_t)got : 0;
	}
	for (size_t i = 0; i < all.end; i++)
		lines += all.data[i] == '\n';
	CU_ASSERT_EQUAL(lines, 3);
	CU_ASSERT_EQUAL(memcmp(all.data, "{\"hosts\":[]}\n{\"error\":", 22), 0);
	CU_ASSERT_EQUAL(
		memcmp(all.data + all.end - 16, "{\"mappings\":[]}\n", 16), 0);
	buffer_free(&all);
	close(fd);
	lab_close(&lab);
}

/* As `printf ... | nc -U` does: nothing more to say, still listening. */
static void test_half_closed(void)
{
	struct json_object *object;
	struct lab lab;
	int fd;

	lab_open(&lab);
	fd = dial(lab.path);
	say(fd, "{\"command\":\"status\"}\n");
	shutdown(fd, SHUT_WR);
	object = hear_json(&lab, fd);
	CU_ASSERT_STRING_EQUAL(error_of(object), "");
	json_object_put(object);
	check_closed(&lab, fd);
	close(fd);
	lab_close(&lab);
}

static void test_gone(void)
{
	struct lab lab;
	int fd;

	lab_open(&lab);
	fd = dial(lab.path);
	say(fd, "{\"command\":\"status\"}\n");
	close(fd);
	for (int i = 0; i < 5; i++)
		lab_turn(&lab.loop);
	/* Only the two listeners are left. */
	CU_ASSERT_EQUAL(lab_turn(&lab.loop), 0);
	fd = dial(lab.path);
	close(fd);
	lab_close(&lab);
}

static const struct test tests[] = {
	{ "status is answered on the read-only socket too", test_status },
	{ "rules come as text with their backend", test_rules },
	{ "reload changes, so the read-only socket refuses it", test_reload },
	{ "flush wants a host", test_flush },
	{ "a gateway that starts asks for patience", test_starting },
	{ "filters are applied, peers of mappings too", test_filters },
	{ "wrong commands, keys and values are refused by name",
	  test_refusals },
	{ "garbage gets one error and is cut off", test_garbage },
	{ "a line longer than the limit is cut off, one at it is not",
	  test_limit },
	{ "10 MB without a newline are not taken in", test_flood },
	{ "a request may come byte by byte", test_bytewise },
	{ "requests sent together are answered in order", test_pipeline },
	{ "a client may close its sending half", test_half_closed },
	{ "a client that leaves before its answer is forgotten", test_gone },
};

int main(int argc, char **argv)
{
	return suite_run("control", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
