/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The control sockets: real sockets in a directory of their own, the real
 * engine, a loop that is turned by hand.
 */
#include <fcntl.h>
#include <grp.h>
#include <json-c/json.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control_lab.h"
#include "platform/client.h"
#include "platform/control.h"
#include "suite.h"

#define TURNS_MAX 20000

/* --- a daemon of one piece ----------------------------------------------- */

struct lab {
	char directory[64];
	char path[80], read_path[80];
	struct loop loop;
	struct gateway *gateway;
	struct control *control;
};

static void lab_paths(struct lab *lab)
{
	strcpy(lab->directory, "/tmp/portico-test-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(lab->directory));
	snprintf(lab->path, sizeof(lab->path), "%s/run/c", lab->directory);
	snprintf(lab->read_path, sizeof(lab->read_path), "%s/run/r",
		 lab->directory);
}

static void lab_open(struct lab *lab)
{
	char error[256] = "";

	memset(lab, 0, sizeof(*lab));
	lab->loop.now_ms = 5000;
	lab_paths(lab);
	lab->gateway = lab_gateway();
	CU_ASSERT_PTR_NOT_NULL_FATAL(lab->gateway->nat);
	lab->control = control_open(&lab->loop, lab->path, lab->read_path,
				    error, sizeof(error));
	if (!lab->control)
		printf("%s\n", error);
	CU_ASSERT_PTR_NOT_NULL_FATAL(lab->control);
	control_set_gateway(lab->control, lab->gateway);
}

static void lab_close(struct lab *lab)
{
	char run[80];

	control_close(lab->control);
	lab_gateway_free(lab->gateway);
	for (int i = 0; i < LAB_WATCHES; i++)
		CU_ASSERT_PTR_NULL(lab->loop.watches[i]);
	snprintf(run, sizeof(run), "%s/run", lab->directory);
	CU_ASSERT_EQUAL(rmdir(run), 0); /* no socket is left behind */
	rmdir(lab->directory);
}

/* --- clients ------------------------------------------------------------- */

static int dial(const char *path)
{
	int fd = client_connect(path);

	CU_ASSERT_TRUE(fd >= 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void say(int fd, const char *text)
{
	ssize_t length = (ssize_t)strlen(text);

	CU_ASSERT_EQUAL(send(fd, text, (size_t)length, MSG_NOSIGNAL), length);
}

/* What a client hears: a line (1), the end (0), or nothing in time (-1). */
struct heard {
	int what;
	struct buffer text; /* ended by '\0' */
};

static struct heard hear(struct lab *lab, int fd)
{
	struct heard heard = {.what = -1};

	for (int i = 0; i < TURNS_MAX; i++) {
		ssize_t got;

		lab_turn(&lab->loop);
		buffer_reserve(&heard.text, 65537);
		got = recv(fd, heard.text.data + heard.text.end, 65536,
			   MSG_DONTWAIT);
		if (got == 0)
			heard.what = 0;
		if (got > 0)
			heard.text.end += (size_t)got;
		heard.text.data[heard.text.end] = '\0';
		if (got > 0 && heard.text.data[heard.text.end - 1] == '\n')
			heard.what = 1;
		if (heard.what >= 0)
			break;
	}
	return heard;
}

static struct json_object *hear_json(struct lab *lab, int fd)
{
	struct heard heard = hear(lab, fd);
	struct json_object *object = NULL;

	CU_ASSERT_EQUAL(heard.what, 1);
	if (heard.what == 1)
		object = json_tokener_parse(heard.text.data);
	CU_ASSERT_PTR_NOT_NULL(object);
	buffer_free(&heard.text);
	return object;
}

/* One request by a client of its own. */
static struct json_object *ask(struct lab *lab, const char *path,
			       const char *request)
{
	int fd = dial(path);
	struct json_object *object;

	say(fd, request);
	object = hear_json(lab, fd);
	close(fd);
	lab_turn(&lab->loop);
	return object;
}

static const char *error_of(struct json_object *object)
{
	struct json_object *error;

	if (!json_object_object_get_ex(object, "error", &error))
		return "";
	return json_object_get_string(error);
}

static void check_error(struct lab *lab, const char *path,
			const char *request, const char *expected)
{
	struct json_object *object = ask(lab, path, request);

	CU_ASSERT_PTR_NOT_NULL(strstr(error_of(object), expected));
	if (!strstr(error_of(object), expected))
		printf("%s -> %s\n", request,
		       json_object_to_json_string(object));
	json_object_put(object);
}

static void check_closed(struct lab *lab, int fd)
{
	struct heard heard = hear(lab, fd);

	CU_ASSERT_EQUAL(heard.what, 0);
	CU_ASSERT_EQUAL(heard.text.end, 0);
	buffer_free(&heard.text);
}

/* The length of the array in a reply; -1 when there is none. */
static int rows(struct json_object *object, const char *key)
{
	struct json_object *array;

	if (!json_object_object_get_ex(object, key, &array))
		return -1;
	return (int)json_object_array_length(array);
}

static int count_rows(struct lab *lab, const char *request, const char *key)
{
	struct json_object *object = ask(lab, lab->path, request);
	int count = rows(object, key);

	json_object_put(object);
	return count;
}

/* --- verbs --------------------------------------------------------------- */

static void test_status(void)
{
	struct lab lab;
	struct json_object *object, *uplink, *address;

	lab_open(&lab);
	object = ask(&lab, lab.read_path, "{\"command\":\"status\"}\n");
	CU_ASSERT_TRUE(json_object_object_get_ex(object, "uplink", &uplink));
	CU_ASSERT_TRUE(
		json_object_object_get_ex(uplink, "address", &address));
	CU_ASSERT_STRING_EQUAL(json_object_get_string(address),
			       "203.0.113.1");
	CU_ASSERT_EQUAL(rows(object, "warnings"), 1);
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
					 "\"host\":\"10.0.0.2\""), 1);
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
		{"{\"command\":\"why\"}\n", "unknown command: \"why\""},
		{"{\"command\":\"\\u001b[2J\\u00ff\"}\n", "\"?[2J??\""},
		{"{\"command\":\"status\",\"host\":\"10.0.0.1\"}\n",
		 "status takes no such key: \"host\""},
		{"{\"command\":\"hosts\",\"peer\":\"10.0.0.1\"}\n",
		 "hosts takes no such key: \"peer\""},
		{"{\"command\":\"mappings\",\"hots\":1}\n",
		 "no such key: \"hots\""},
		{"{\"command\":\"mappings\",\"port\":70000}\n",
		 "port: found \"70000\""},
		{"{\"command\":\"mappings\",\"port\":1.5}\n",
		 "port: expected a string or a number"},
		{"{\"command\":\"mappings\",\"host\":null}\n",
		 "host: expected a string"},
		{"{\"command\":\"mappings\",\"host\":\"nas\"}\n",
		 "host: found \"nas\""},
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

	CU_ASSERT_EQUAL(send(fd, bytes, length, MSG_NOSIGNAL),
			(ssize_t)length);
	object = hear_json(lab, fd);
	CU_ASSERT_STRING_NOT_EQUAL(error_of(object), "");
	json_object_put(object);
	check_closed(lab, fd);
	close(fd);
}

static void test_garbage(void)
{
	static const char *const lines[] = {
		"\n", "GET / HTTP/1.1\r\n", "status\n", "{}\n", "[]\n",
		"5\n", "null\n", "\"status\"\n", "{\"command\":5}\n",
		"{\"command\":\"status\"\n", "{\"command\":\"status\"}}\n",
		"{\"command\":\"status\"} x\n",
		"{\"a\":{\"b\":{\"c\":{\"d\":{}}}}}\n",
		"\xff\xfe\x80\n", "{'command':'status'}\n",
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
	struct buffer all = {0};
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
	CU_ASSERT_EQUAL(memcmp(all.data, "{\"hosts\":[]}\n{\"error\":", 22),
			0);
	CU_ASSERT_EQUAL(memcmp(all.data + all.end - 16,
			       "{\"mappings\":[]}\n", 16),
			0);
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

/* --- limits -------------------------------------------------------------- */

static void test_clients_max(void)
{
	int fds[CONTROL_CLIENTS_MAX];
	struct json_object *object;
	struct lab lab;
	int fd;

	lab_open(&lab);
	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		fds[i] = dial(lab.read_path);
		lab_turn(&lab.loop);
	}
	fd = dial(lab.read_path);
	object = hear_json(&lab, fd);
	CU_ASSERT_STRING_EQUAL(error_of(object), "too many clients");
	json_object_put(object);
	close(fd);
	/* Those who may only look do not keep out those who steer. */
	object = ask(&lab, lab.path, "{\"command\":\"status\"}\n");
	CU_ASSERT_STRING_EQUAL(error_of(object), "");
	json_object_put(object);
	/* One leaves, one may come. */
	close(fds[0]);
	lab_turn(&lab.loop);
	object = ask(&lab, lab.read_path, "{\"command\":\"status\"}\n");
	CU_ASSERT_STRING_EQUAL(error_of(object), "");
	json_object_put(object);
	for (int i = 1; i < CONTROL_CLIENTS_MAX; i++)
		close(fds[i]);
	lab_close(&lab);
}

static void test_idle(void)
{
	struct lab lab;
	int silent, busy;

	lab_open(&lab);
	silent = dial(lab.path);
	busy = dial(lab.path);
	/* One client is taken in a turn. */
	lab_turn(&lab.loop);
	lab_turn(&lab.loop);
	lab.loop.now_ms += CONTROL_IDLE_S * 1000 - 100;
	say(busy, "{");
	lab_turn(&lab.loop);
	control_tick(lab.control);
	CU_ASSERT_EQUAL(recv(silent, &(char){0}, 1, MSG_DONTWAIT), -1);
	lab.loop.now_ms += 100;
	control_tick(lab.control);
	CU_ASSERT_EQUAL(recv(silent, &(char){0}, 1, MSG_DONTWAIT), 0);
	CU_ASSERT_EQUAL(recv(busy, &(char){0}, 1, MSG_DONTWAIT), -1);
	close(silent);
	close(busy);
	lab_close(&lab);
}

/* --- long dumps ---------------------------------------------------------- */

#define MANY 60000

static void fill(struct lab *lab)
{
	unsigned refused = 0;

	for (uint32_t i = 0; i < MANY; i++)
		refused += !lab_send(lab->gateway, 0x0a000001 + i / 1000,
				     (uint16_t)(1024 + i % 1000), 0xc6336401,
				     53);
	CU_ASSERT_EQUAL(refused, 0);
}

/* How often a word stands in 13 MB of text. */
static int count_word(const struct buffer *text, const char *word)
{
	size_t length = strlen(word);
	int count = 0;

	for (size_t i = 0; i + length <= text->end; i++)
		count += text->data[i] == *word &&
			 !memcmp(text->data + i, word, length);
	return count;
}

static void test_long_dump(void)
{
	struct lab lab;
	struct heard heard;
	struct json_object *object;
	unsigned turns;
	int fd;

	lab_open(&lab);
	fill(&lab);
	fd = dial(lab.path);
	say(fd, "{\"command\":\"mappings\"}\n");
	turns = lab.loop.turns;
	heard = hear(&lab, fd);
	turns = lab.loop.turns - turns;
	CU_ASSERT_EQUAL(heard.what, 1);
	CU_ASSERT_EQUAL(count_word(&heard.text, "\"inside\""), MANY);
	/* At most some hundred entries a turn. */
	CU_ASSERT_TRUE(turns >= MANY / 500);
	object = json_tokener_parse(heard.text.data);
	CU_ASSERT_EQUAL(rows(object, "mappings"), MANY);
	json_object_put(object);
	buffer_free(&heard.text);
	close(fd);
	lab_close(&lab);
}

/* A client that does not read keeps the loop asleep and others served; what
 * it has not read is not made. */
static void test_slow_reader(void)
{
	struct lab lab;
	struct heard heard;
	struct json_object *object;
	int fd;

	lab_open(&lab);
	fill(&lab);
	fd = dial(lab.path);
	say(fd, "{\"command\":\"sessions\"}\n");
	for (int i = 0; i < 2000; i++)
		lab_turn(&lab.loop);
	CU_ASSERT_EQUAL(lab_turn(&lab.loop), 0);
	object = ask(&lab, lab.path, "{\"command\":\"status\"}\n");
	CU_ASSERT_STRING_EQUAL(error_of(object), "");
	json_object_put(object);
	/* New sessions show up in what is still to come. */
	CU_ASSERT_TRUE(lab_send(lab.gateway, 0x0b000001, 7, 0xc6336401, 7));
	heard = hear(&lab, fd);
	CU_ASSERT_EQUAL(heard.what, 1);
	CU_ASSERT_EQUAL(count_word(&heard.text, "\"inside\""), MANY + 1);
	buffer_free(&heard.text);
	close(fd);
	lab_close(&lab);
}

/* A reader that has stopped is cut off like one that says nothing. */
static void test_stuck_reader(void)
{
	struct lab lab;
	int fd, count = 0;

	lab_open(&lab);
	fill(&lab);
	fd = dial(lab.path);
	say(fd, "{\"command\":\"mappings\"}\n");
	for (int i = 0; i < 2000; i++)
		lab_turn(&lab.loop);
	lab.loop.now_ms += CONTROL_IDLE_S * 1000;
	control_tick(lab.control);
	for (int i = 0; i < LAB_WATCHES; i++)
		count += lab.loop.watches[i] != NULL;
	CU_ASSERT_EQUAL(count, 2);
	close(fd);
	lab_close(&lab);
}

/* Many dumps at once share what one may cost in a millisecond. */
static void test_shared_budget(void)
{
	enum { CLIENTS = 8 };
	struct lab lab;
	int fds[CLIENTS];
	size_t bytes = 0;

	lab_open(&lab);
	fill(&lab);
	for (int i = 0; i < CLIENTS; i++) {
		fds[i] = dial(lab.path);
		lab_turn(&lab.loop);
		say(fds[i], "{\"command\":\"mappings\"}\n");
	}
	lab_turn(&lab.loop);
	for (int i = 0; i < CLIENTS; i++) {
		static char text[1 << 20];
		ssize_t got = recv(fds[i], text, sizeof(text), MSG_DONTWAIT);

		bytes += got > 0 ? (size_t)got : 0;
		close(fds[i]);
	}
	/* 128 entries of some 210 bytes, and the heads. */
	CU_ASSERT_TRUE(bytes > 128 * 150);
	CU_ASSERT_TRUE(bytes < 128 * 300);
	lab_close(&lab);
}

/* The gateway may stop while a dump is on its way. */
static void test_stopped_midway(void)
{
	struct lab lab;
	struct heard heard;
	int fd;

	lab_open(&lab);
	fill(&lab);
	fd = dial(lab.path);
	say(fd, "{\"command\":\"mappings\"}\n");
	lab_turn(&lab.loop);
	lab_turn(&lab.loop);
	control_set_gateway(lab.control, NULL);
	heard = hear(&lab, fd);
	CU_ASSERT_EQUAL(heard.what, 0);
	buffer_free(&heard.text);
	close(fd);
	lab_close(&lab);
}

/* --- the files ----------------------------------------------------------- */

static void test_modes(void)
{
	struct lab lab;
	struct group *group;
	struct stat st;
	char run[80];

	lab_open(&lab);
	snprintf(run, sizeof(run), "%s/run", lab.directory);
	CU_ASSERT_EQUAL(stat(run, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0755);
	CU_ASSERT_EQUAL(stat(lab.path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0660);
	group = getgrnam("portico");
	if (geteuid() == 0)
		CU_ASSERT_EQUAL(st.st_gid, group ? group->gr_gid : getegid());
	CU_ASSERT_EQUAL(stat(lab.read_path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0660);
	lab_close(&lab);
}

static void test_second_daemon(void)
{
	struct json_object *object;
	struct control *second;
	char error[256] = "";
	struct lab lab;

	lab_open(&lab);
	second = control_open(&lab.loop, lab.path, lab.read_path, error,
			      sizeof(error));
	CU_ASSERT_PTR_NULL(second);
	CU_ASSERT_EQUAL(errno, EADDRINUSE);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "another daemon answers"));
	/* The first is undisturbed. */
	object = ask(&lab, lab.path, "{\"command\":\"status\"}\n");
	CU_ASSERT_STRING_EQUAL(error_of(object), "");
	json_object_put(object);
	lab_close(&lab);
}

/* The read socket alone is taken: the other must not stay behind. */
static void test_half_open(void)
{
	struct control *second;
	char path[100], error[256] = "";
	struct lab lab;

	lab_open(&lab);
	snprintf(path, sizeof(path), "%s/other", lab.directory);
	second = control_open(&lab.loop, path, lab.read_path, error,
			      sizeof(error));
	CU_ASSERT_PTR_NULL(second);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "control_read"));
	CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
	CU_ASSERT_EQUAL(access(lab.read_path, F_OK), 0);
	lab_close(&lab);
}

static void leave_socket(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
}

static void test_stale(void)
{
	struct lab lab = {0};
	char error[256] = "", run[80];
	struct control *control;

	lab_paths(&lab);
	snprintf(run, sizeof(run), "%s/run", lab.directory);
	CU_ASSERT_EQUAL(mkdir(run, 0755), 0);
	leave_socket(lab.path);
	control = control_open(&lab.loop, lab.path, lab.read_path, error,
			       sizeof(error));
	CU_ASSERT_PTR_NOT_NULL(control);
	control_close(control);
	rmdir(run);
	rmdir(lab.directory);
}

static void check_unopenable(const char *path, const char *expected)
{
	struct loop loop = {0};
	char error[256] = "";
	struct control *control = control_open(&loop, path, "/nonexistent/r",
					       error, sizeof(error));

	CU_ASSERT_PTR_NULL(control);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, expected));
	if (!strstr(error, expected))
		printf("%s: %s\n", path, error);
}

static void test_unopenable(void)
{
	char path[] = "/tmp/portico-test-XXXXXX";
	char longest[200];
	int fd = mkstemp(path);

	CU_ASSERT_TRUE(fd >= 0);
	close(fd);
	check_unopenable(path, "no socket");
	CU_ASSERT_EQUAL(access(path, F_OK), 0); /* not removed */
	unlink(path);
	check_unopenable("/nonexistent/deep/c", "No such file");
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	check_unopenable(longest, "too long");
}

static void test_client_errors(void)
{
	struct lab lab = {0};
	char longest[200];

	lab_paths(&lab);
	CU_ASSERT_EQUAL(client_connect(lab.path), -ENOENT);
	snprintf(lab.path, sizeof(lab.path), "%s/c", lab.directory);
	leave_socket(lab.path);
	CU_ASSERT_EQUAL(client_connect(lab.path), -ECONNREFUSED);
	unlink(lab.path);
	rmdir(lab.directory);
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	CU_ASSERT_EQUAL(client_connect(longest), -ENAMETOOLONG);
}

static void test_client_receive(void)
{
	struct buffer line = {0};
	struct json_object *request = json_object_new_object();
	char sent[64] = "";
	int pair[2];

	CU_ASSERT_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	CU_ASSERT_EQUAL(client_send(pair[0], request), 0);
	CU_ASSERT_EQUAL(read(pair[1], sent, sizeof(sent) - 1), 3);
	CU_ASSERT_STRING_EQUAL(sent, "{}\n");
	say(pair[1], "answer\n");
	CU_ASSERT_EQUAL(client_receive(pair[0], &line), 0);
	CU_ASSERT_STRING_EQUAL(line.data, "answer");
	buffer_free(&line);
	say(pair[1], "no end");
	close(pair[1]);
	CU_ASSERT_EQUAL(client_receive(pair[0], &line), -ECONNRESET);
	CU_ASSERT_EQUAL(client_send(pair[0], request), -EPIPE);
	buffer_free(&line);
	close(pair[0]);
	json_object_put(request);
}

static const struct test tests[] = {
	{"status is answered on the read-only socket too", test_status},
	{"rules come as text with their backend", test_rules},
	{"reload changes, so the read-only socket refuses it", test_reload},
	{"a gateway that starts asks for patience", test_starting},
	{"filters are applied, peers of mappings too", test_filters},
	{"wrong commands, keys and values are refused by name",
	 test_refusals},
	{"garbage gets one error and is cut off", test_garbage},
	{"a line longer than the limit is cut off, one at it is not",
	 test_limit},
	{"10 MB without a newline are not taken in", test_flood},
	{"a request may come byte by byte", test_bytewise},
	{"requests sent together are answered in order", test_pipeline},
	{"a client may close its sending half", test_half_closed},
	{"a client that leaves before its answer is forgotten", test_gone},
	{"clients beyond the limit are turned away, per socket",
	 test_clients_max},
	{"a silent client is cut off, a talking one stays", test_idle},
	{"a long dump is complete and made in slices", test_long_dump},
	{"a slow reader delays nobody and loses nothing", test_slow_reader},
	{"a reader that stopped is cut off", test_stuck_reader},
	{"dumps share one budget a millisecond", test_shared_budget},
	{"a gateway that stops ends the dump", test_stopped_midway},
	{"the sockets are 0660 in a directory of 0755", test_modes},
	{"a second daemon is told so and disturbs nothing",
	 test_second_daemon},
	{"when one socket fails the other is taken back", test_half_open},
	{"a dead daemon's socket is replaced", test_stale},
	{"a path that is no socket is left alone", test_unopenable},
	{"the client says what failed", test_client_errors},
	{"the client reads one line", test_client_receive},
};

int main(int argc, char **argv)
{
	return suite_run("control", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
