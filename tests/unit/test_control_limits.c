/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The control sockets: limits, long dumps, the sockets' files, and the
 * command's end of them.
 */
#include <grp.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "control_lab.h"

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
	CU_ASSERT_EQUAL(recv(silent, &(char){ 0 }, 1, MSG_DONTWAIT), -1);
	lab.loop.now_ms += 100;
	control_tick(lab.control);
	CU_ASSERT_EQUAL(recv(silent, &(char){ 0 }, 1, MSG_DONTWAIT), 0);
	CU_ASSERT_EQUAL(recv(busy, &(char){ 0 }, 1, MSG_DONTWAIT), -1);
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
	}
	for (int i = 0; i < CLIENTS; i++)
		say(fds[i], "{\"command\":\"mappings\"}\n");
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
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
}

static void test_stale(void)
{
	struct lab lab = { 0 };
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
	struct loop loop = { 0 };
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
	struct lab lab = { 0 };
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
	struct buffer line = { 0 };
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
	{ "clients beyond the limit are turned away, per socket",
	  test_clients_max },
	{ "a silent client is cut off, a talking one stays", test_idle },
	{ "a long dump is complete and made in slices", test_long_dump },
	{ "a slow reader delays nobody and loses nothing", test_slow_reader },
	{ "a reader that stopped is cut off", test_stuck_reader },
	{ "dumps share one budget a millisecond", test_shared_budget },
	{ "a gateway that stops ends the dump", test_stopped_midway },
	{ "the sockets are 0660 in a directory of 0755", test_modes },
	{ "a second daemon is told so and disturbs nothing",
	  test_second_daemon },
	{ "when one socket fails the other is taken back", test_half_open },
	{ "a dead daemon's socket is replaced", test_stale },
	{ "a path that is no socket is left alone", test_unopenable },
	{ "the client says what failed", test_client_errors },
	{ "the client reads one line", test_client_receive },
};

int main(int argc, char **argv)
{
	return suite_run("control_limits", tests,
			 sizeof(tests) / sizeof(tests[0]), argc, argv);
}
