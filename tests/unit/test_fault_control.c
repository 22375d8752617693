/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The control sockets when calls fail: no client is answered with half an
 * answer, and none that cannot be served keeps the loop busy.
 */
#include "control_lab.h"
#include "tests/fault/plan.h"

#define STATUS "{\"command\":\"status\"}\n"

static void check_served(struct lab *lab)
{
	struct json_object *object = ask(lab, lab->path, STATUS);

	CU_ASSERT_STRING_EQUAL(error_of(object), "");
	json_object_put(object);
}

/* The client stays in the backlog, readable for the loop. */
static void test_no_descriptors(void)
{
	static const int reasons[] = { EMFILE, ENFILE, ENOBUFS, ENOMEM };
	struct json_object *object;
	struct lab lab;
	int fd;

	lab_open(&lab);
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		fd = dial(lab.path);
		say(fd, STATUS);
		fault_arm("accept4", reasons[i], 0, 0);
		CU_ASSERT_EQUAL(lab_turn(&lab.loop), 1);
		for (int turns = 0; turns < 10; turns++)
			CU_ASSERT_EQUAL(lab_turn(&lab.loop), 0);
		/* Each second it is tried once. */
		control_tick(lab.control);
		CU_ASSERT_EQUAL(lab_turn(&lab.loop), 1);
		CU_ASSERT_EQUAL(lab_turn(&lab.loop), 0);
		CU_ASSERT_EQUAL(fault_disarm(), 2);
		control_tick(lab.control);
		object = hear_json(&lab, fd);
		CU_ASSERT_STRING_EQUAL(error_of(object), "");
		json_object_put(object);
		close(fd);
		lab_turn(&lab.loop);
	}
	lab_close(&lab);
}

/* Those that a client's haste brings about are over with the next turn. */
static void test_client_gone(void)
{
	static const int reasons[] = { ECONNABORTED, EINTR, EAGAIN };
	struct lab lab;

	lab_open(&lab);
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		fault_arm("accept4", reasons[i], 0, 1);
		check_served(&lab);
		CU_ASSERT_EQUAL(fault_disarm(), 1);
	}
	lab_close(&lab);
}

static void test_request_fails(void)
{
	static const int reasons[] = { ECONNRESET, ENOMEM };
	struct lab lab;

	lab_open(&lab);
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		int fd = dial(lab.path);

		lab_turn(&lab.loop);
		say(fd, STATUS);
		fault_arm("recv", reasons[i], 0, 1);
		lab_turn(&lab.loop);
		CU_ASSERT_EQUAL(fault_disarm(), 1);
		check_closed(&lab, fd);
		close(fd);
		check_served(&lab);
	}
	lab_close(&lab);
}

static void test_answer_fails(void)
{
	static const int reasons[] = { EPIPE, ECONNRESET, ENOBUFS };
	struct lab lab;

	lab_open(&lab);
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		int fd = dial(lab.path);

		lab_turn(&lab.loop);
		say(fd, STATUS);
		fault_arm("send", reasons[i], 0, 1);
		lab_turn(&lab.loop);
		CU_ASSERT_EQUAL(fault_disarm(), 1);
		check_closed(&lab, fd);
		close(fd);
		check_served(&lab);
	}
	lab_close(&lab);
}

/* An answer that goes out in pieces, now and then not at all. */
static void test_answer_in_pieces(void)
{
	static const int ways[] = { FAULT_SHORT, EAGAIN, EINTR };
	struct lab lab;

	lab_open(&lab);
	for (int host = 0; host < 50; host++)
		CU_ASSERT(lab_send(lab.gateway, 0xc0a80101, 5000 + host,
				   0xc6336401, 53));
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct json_object *object;
		int fd = dial(lab.path);

		lab_turn(&lab.loop);
		say(fd, "{\"command\":\"mappings\"}\n");
		fault_arm("send", ways[i], 0, 5);
		/* The client's own recv() is not among them. */
		for (int turns = 0; turns < 8; turns++)
			lab_turn(&lab.loop);
		CU_ASSERT(fault_disarm() > 0);
		object = hear_json(&lab, fd);
		CU_ASSERT_EQUAL(rows(object, "mappings"), 50);
		json_object_put(object);
		close(fd);
		lab_turn(&lab.loop);
	}
	lab_close(&lab);
}

/* Every call of the opening fails in turn; nothing is left behind. */
static void test_open_fails(void)
{
	static const struct {
		const char *call;
		int reason;
		uint32_t times; /* that the opening makes it at least */
	} cases[] = {
		{ "socket", EMFILE, 2 }, { "bind", EACCES, 2 },
		{ "chmod", EPERM, 2 },	 { "listen", EADDRINUSE, 2 },
		{ "mkdir", EACCES, 1 },	 { "lstat", EACCES, 2 },
	};
	struct lab lab = { .loop.now_ms = 5000 };

	lab_paths(&lab);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (uint32_t skip = 0; skip < cases[i].times; skip++) {
			char error[256] = "";
			struct control *control;

			fault_arm(cases[i].call, cases[i].reason, skip, 1);
			control = control_open(&lab.loop, lab.path,
					       lab.read_path, error,
					       sizeof(error));
			CU_ASSERT_EQUAL(fault_disarm(), 1);
			CU_ASSERT_PTR_NULL(control);
			CU_ASSERT(strlen(error) > strlen("control: socket "));
			CU_ASSERT_EQUAL(access(lab.path, F_OK), -1);
			CU_ASSERT_EQUAL(access(lab.read_path, F_OK), -1);
			for (int j = 0; j < LAB_WATCHES; j++)
				CU_ASSERT_PTR_NULL(lab.loop.watches[j]);
		}
	}
	snprintf(lab.path, sizeof(lab.path), "%s/run", lab.directory);
	rmdir(lab.path);
	CU_ASSERT_EQUAL(rmdir(lab.directory), 0);
}

static const struct test tests[] = {
	{ "out of descriptors the loop rests until the next second",
	  test_no_descriptors },
	{ "a client that went again before it was taken is nothing",
	  test_client_gone },
	{ "a client whose request cannot be read is closed",
	  test_request_fails },
	{ "a client that cannot be answered is closed", test_answer_fails },
	{ "an answer that goes out in pieces is whole", test_answer_in_pieces },
	{ "an opening that fails says why and leaves nothing",
	  test_open_fails },
};

int main(int argc, char **argv)
{
	return suite_run("fault_control", tests,
			 sizeof(tests) / sizeof(tests[0]), argc, argv);
}
