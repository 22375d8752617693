/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The control sockets: how often may be asked, how slowly, and by whom, so that
 * no client takes them from the others.
 */
#include <sys/stat.h>

#include "control_lab.h"

#define MANY 40 /* requests said at once */
#define ENTRIES 20000

/* How often a word stands in a text. */
static int count_word(const struct buffer *text, const char *word)
{
	int count = 0;

	for (const char *at = text->data; (at = strstr(at, word)); at++)
		count++;
	return count;
}

static void fill(struct lab *lab)
{
	unsigned refused = 0;

	for (uint32_t i = 0; i < ENTRIES; i++)
		refused += !lab_send(lab->gateway, 0x0a000001 + i / 1000,
				     (uint16_t)(1024 + i % 1000), 0xc6336401,
				     53);
	CU_ASSERT_EQUAL(refused, 0);
}

/* Reads all that a client is told until it is cut off. */
static struct buffer hear_all(struct lab *lab, int fd)
{
	struct buffer all = { 0 };

	for (int i = 0; i < TURNS_MAX; i++) {
		ssize_t got;

		lab_turn(&lab->loop);
		buffer_reserve(&all, 65537);
		got = recv(fd, all.data + all.end, 65536, MSG_DONTWAIT);
		if (got == 0)
			break;
		all.end += got > 0 ? (size_t)got : 0;
	}
	all.data[all.end] = '\0';
	return all;
}

static uint64_t refused(struct lab *lab, enum control_refusal refusal)
{
	struct json_object *object =
		ask(lab, lab->path, "{\"command\":\"status\"}\n");
	struct json_object *value = NULL;

	json_object_object_get_ex(object, "control", &value);
	json_object_object_get_ex(value, "refused", &value);
	json_object_object_get_ex(value, control_refusal_name(refusal), &value);
	refusal = (enum control_refusal)json_object_get_int(value);
	json_object_put(object);
	return refusal;
}

/* One that asks without end is told, and cut off; its burst is answered. */
static void test_client_rate(void)
{
	static const char request[] = "{\"command\":\"flush\"}\n";
	char requests[MANY * sizeof(request)] = "";
	struct lab lab;
	struct buffer all;
	int fd, answers;

	lab_open(&lab);
	for (int i = 0; i < MANY; i++)
		strcat(requests, request);
	fd = dial(lab.path);
	for (int i = 0; i < 4 * CONTROL_CLIENT_RATE; i += MANY)
		say(fd, requests);
	all = hear_all(&lab, fd);
	answers = count_word(&all, "which host?");
	CU_ASSERT_TRUE(answers >= 2 * CONTROL_CLIENT_RATE);
	CU_ASSERT_TRUE(answers < 3 * CONTROL_CLIENT_RATE);
	CU_ASSERT_EQUAL(count_word(&all, "too many requests, ask"), 1);
	buffer_free(&all);
	close(fd);
	CU_ASSERT_EQUAL(refused(&lab, CONTROL_CLIENT_REQUESTS), 1);
	lab_close(&lab);
}

/* Many clients together exhaust what the read-only socket gives in a second;
 * the other socket does not notice. */
static void test_socket_rate(void)
{
	struct json_object *object;
	struct lab lab;
	int told = 0;

	lab_open(&lab);
	for (int i = 0; i < 2 * CONTROL_RATE && !told; i++) {
		object = ask(&lab, lab.read_path, "{\"command\":\"rules\"}\n");
		told = strstr(error_of(object), "on this socket") != NULL;
		json_object_put(object);
	}
	CU_ASSERT_TRUE(told);
	object = ask(&lab, lab.path, "{\"command\":\"status\"}\n");
	CU_ASSERT_STRING_EQUAL(error_of(object), "");
	json_object_put(object);
	CU_ASSERT_TRUE(refused(&lab, CONTROL_REQUESTS) > 0);
	/* A second later there is room again. */
	lab.loop.now_ms += 1000;
	object = ask(&lab, lab.read_path, "{\"command\":\"status\"}\n");
	CU_ASSERT_STRING_EQUAL(error_of(object), "");
	json_object_put(object);
	lab_close(&lab);
}

/* Packets wait for one change at a time, however many are asked for at once. */
static void test_one_at_a_time(void)
{
	enum { CLIENTS = 8 };
	struct lab lab;
	int fds[CLIENTS];

	lab_open(&lab);
	for (int i = 0; i < CLIENTS; i++) {
		fds[i] = dial(lab.path);
		lab_turn(&lab.loop);
	}
	for (int i = 0; i < CLIENTS; i++)
		say(fds[i], "{\"command\":\"reload\"}\n");
	for (unsigned turn = 1; turn <= CLIENTS; turn++) {
		lab_turn(&lab.loop);
		CU_ASSERT_EQUAL(lab.gateway->reloads, turn);
	}
	for (int i = 0; i < CLIENTS; i++) {
		json_object_put(hear_json(&lab, fds[i]));
		close(fds[i]);
	}
	lab_turn(&lab.loop);
	lab_close(&lab);
}

/* A line that trickles in keeps its client no longer than it may. */
static void test_slow_request(void)
{
	struct lab lab;
	int fd;

	lab_open(&lab);
	fd = dial(lab.path);
	lab_turn(&lab.loop);
	for (int i = 0; i < CONTROL_REQUEST_S; i++) {
		say(fd, " ");
		lab_turn(&lab.loop);
		control_tick(lab.control);
		CU_ASSERT_EQUAL(recv(fd, &(char){ 0 }, 1, MSG_DONTWAIT), -1);
		lab.loop.now_ms += 1000;
	}
	control_tick(lab.control);
	CU_ASSERT_EQUAL(recv(fd, &(char){ 0 }, 1, MSG_DONTWAIT), 0);
	close(fd);
	CU_ASSERT_EQUAL(refused(&lab, CONTROL_SLOW_REQUEST), 1);
	lab_close(&lab);
}

/* --- who ----------------------------------------------------------------- */

static int dial_as(uid_t user, const char *path)
{
	int fd;

	CU_ASSERT_EQUAL(seteuid(user), 0);
	fd = dial(path);
	CU_ASSERT_EQUAL(seteuid(0), 0);
	return fd;
}

/* One user that is not root takes a quarter of a socket, others the rest. */
static void test_user_clients(void)
{
	int fds[CONTROL_USER_CLIENTS_MAX], fd;
	struct json_object *object;
	struct lab lab;

	if (geteuid())
		return; /* nobody else to be */
	lab_open(&lab);
	CU_ASSERT_EQUAL(chmod(lab.directory, 0755), 0);
	CU_ASSERT_EQUAL(chmod(lab.read_path, 0666), 0);
	for (int i = 0; i < CONTROL_USER_CLIENTS_MAX; i++) {
		fds[i] = dial_as(65534, lab.read_path);
		lab_turn(&lab.loop);
	}
	fd = dial_as(65534, lab.read_path);
	object = hear_json(&lab, fd);
	CU_ASSERT_STRING_EQUAL(error_of(object),
			       "too many clients of this user");
	json_object_put(object);
	close(fd);
	fd = dial_as(65533, lab.read_path);
	say(fd, "{\"command\":\"status\"}\n");
	object = hear_json(&lab, fd);
	CU_ASSERT_STRING_EQUAL(error_of(object), "");
	json_object_put(object);
	close(fd);
	CU_ASSERT_EQUAL(refused(&lab, CONTROL_USER_CLIENTS), 1);
	for (int i = 0; i < CONTROL_USER_CLIENTS_MAX; i++)
		close(fds[i]);
	lab_turn(&lab.loop);
	lab_close(&lab);
}

/* --- long dumps ---------------------------------------------------------- */

/* One that reads a little now and then is cut off in the end. */
static void test_slow_answer(void)
{
	static char text[65536];
	struct lab lab;
	int fd, passed = 0;

	lab_open(&lab);
	fill(&lab);
	fd = dial(lab.path);
	say(fd, "{\"command\":\"mappings\"}\n");
	for (int i = 0; i < 100; i++)
		lab_turn(&lab.loop);
	while (passed < 2 * CONTROL_ANSWER_S) {
		ssize_t got = recv(fd, text, sizeof(text), MSG_DONTWAIT);

		if (got == 0)
			break;
		for (int i = 0; i < 20; i++)
			lab_turn(&lab.loop);
		lab.loop.now_ms += 10000;
		passed += 10;
		control_tick(lab.control);
	}
	CU_ASSERT_TRUE(passed >= CONTROL_ANSWER_S);
	CU_ASSERT_TRUE(passed < 2 * CONTROL_ANSWER_S);
	close(fd);
	CU_ASSERT_EQUAL(refused(&lab, CONTROL_SLOW_ANSWER), 1);
	lab_close(&lab);
}

/* Those who only look have a budget of their own: the other socket's dump goes
 * on at its pace beside theirs. */
static void test_own_budget(void)
{
	enum { CLIENTS = 8 };
	static char text[1 << 20];
	struct lab lab;
	int fds[CLIENTS], fd;
	ssize_t got;

	lab_open(&lab);
	fill(&lab);
	for (int i = 0; i < CLIENTS; i++) {
		fds[i] = dial(lab.read_path);
		lab_turn(&lab.loop);
	}
	fd = dial(lab.path);
	lab_turn(&lab.loop);
	for (int i = 0; i < CLIENTS; i++)
		say(fds[i], "{\"command\":\"mappings\"}\n");
	say(fd, "{\"command\":\"mappings\"}\n");
	lab_turn(&lab.loop);
	got = recv(fd, text, sizeof(text), MSG_DONTWAIT);
	/* A whole budget: 128 entries. */
	CU_ASSERT_TRUE(got > 128 * 150);
	for (int i = 0; i < CLIENTS; i++)
		close(fds[i]);
	close(fd);
	lab_close(&lab);
}

static const struct test tests[] = {
	{ "a client that asks too much is told and cut off", test_client_rate },
	{ "the read-only socket's rate is spent by its own clients",
	  test_socket_rate },
	{ "of changes asked for at once, one is made in a turn",
	  test_one_at_a_time },
	{ "a request that trickles in is cut off", test_slow_request },
	{ "an answer that is read in trickles is cut off", test_slow_answer },
	{ "those who only look have a dump budget of their own",
	  test_own_budget },
	{ "one user takes no more than its share of a socket",
	  test_user_clients },
};

int main(int argc, char **argv)
{
	return suite_run("control rates", tests,
			 sizeof(tests) / sizeof(tests[0]), argc, argv);
}
