/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The file of the table when calls fail: there is a table in any case, and what
 * cannot be in its file is told.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine.h"
#include "platform/loop.h"
#include "platform/state.h"
#include "suite.h"
#include "tests/fault/plan.h"

static const struct nat_secrets secrets = { .hash_key = "hash key" };

struct lab {
	char directory[32];
	char path[64];
	struct state state;
	struct nat *nat;
	struct nat_config config;
	void *indices;
	size_t indices_bytes;
};

static void lab_make(struct lab *lab)
{
	memset(lab, 0, sizeof(*lab));
	strcpy(lab->directory, "/tmp/portico-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(lab->directory));
	snprintf(lab->path, sizeof(lab->path), "%s/state", lab->directory);
	engine_defaults(&lab->config);
	lab->indices_bytes = nat_indices_size(&engine_limits);
	lab->indices = state_block(lab->indices_bytes);
}

/* A start; whether the table lies in the file. */
static bool lab_start(struct lab *lab)
{
	memset(lab->indices, 0, lab->indices_bytes);
	lab->nat = state_open(&lab->state, lab->path, &engine_limits, &secrets,
			      lab->indices, lab->indices_bytes);
	CU_ASSERT_PTR_NOT_NULL_FATAL(lab->nat);
	nat_configure(lab->nat, &lab->config, loop_clock_ms());
	nat_set_uplink(lab->nat, UPLINK, loop_clock_ms());
	return !lab->state.warning[0];
}

static uint32_t mappings(const struct lab *lab)
{
	struct nat_stats stats;

	nat_stats(lab->nat, &stats);
	return stats.mappings;
}

static void make_mapping(struct lab *lab)
{
	struct packet packet;
	struct nat_packet nat = { .data = packet.data,
				  .path = NAT_PATH_OUTBOUND };

	packet_udp(&packet, (struct flow){ INSIDE_1, 5000, PEER_1, 53 }, "text",
		   4);
	nat.length = packet.length;
	CU_ASSERT_EQUAL(nat_translate(lab->nat, &nat, loop_clock_ms()).verdict,
			NAT_TRANSLATED);
}

static void lab_stop(struct lab *lab)
{
	state_close(&lab->state, lab->nat);
}

static void lab_free(struct lab *lab)
{
	char path[80];

	munmap(lab->indices, lab->indices_bytes);
	unlink(lab->path);
	/* No half-made file is left. */
	snprintf(path, sizeof(path), "%s.new", lab->path);
	CU_ASSERT_EQUAL(access(path, F_OK), -1);
	CU_ASSERT_EQUAL(rmdir(lab->directory), 0);
}

struct refusal {
	const char *call;
	int reason;
	const char *words; /* of the warning */
};

/* The table is served from memory, and the warning says why. */
static void check_refusals(struct lab *lab, const struct refusal *cases,
			   size_t count)
{
	for (size_t i = 0; i < count; i++) {
		fault_arm(cases[i].call, cases[i].reason, 0, 1);
		CU_ASSERT(!lab_start(lab));
		CU_ASSERT_EQUAL(fault_disarm(), 1);
		CU_ASSERT_PTR_NOT_NULL(
			strstr(lab->state.warning, cases[i].words));
		if (!strstr(lab->state.warning, cases[i].words))
			printf("%s: %s\n", cases[i].call, lab->state.warning);
		make_mapping(lab);
		CU_ASSERT_EQUAL(mappings(lab), 1);
		lab_stop(lab);
	}
}

static void test_new_file(void)
{
	static const struct refusal cases[] = {
		{ "posix_fallocate", ENOSPC, "has no room for its " },
		{ "mmap", ENOMEM, "Cannot allocate memory" },
		{ "rename", EACCES, "Permission denied" },
		{ "flock", ENOLCK, "No locks available" },
		{ "open", EMFILE, "Too many open files" },
	};
	struct lab lab;

	lab_make(&lab);
	check_refusals(&lab, cases, sizeof(cases) / sizeof(cases[0]));
	CU_ASSERT_EQUAL(access(lab.path, F_OK), -1);
	lab_free(&lab);
}

static void test_old_file(void)
{
	static const struct refusal cases[] = {
		{ "fstat", EIO, "Input/output error" },
		{ "lstat", EACCES, "Permission denied" },
		{ "fchmod", EPERM, "only our user can write" },
		{ "flock", ENOLCK, "No locks available" },
		{ "open", EACCES, "Permission denied" },
	};
	struct lab lab;

	lab_make(&lab);
	CU_ASSERT(lab_start(&lab));
	make_mapping(&lab);
	lab_stop(&lab);
	check_refusals(&lab, cases, sizeof(cases) / sizeof(cases[0]));
	/* What was not used was not harmed. */
	CU_ASSERT(lab_start(&lab));
	CU_ASSERT_EQUAL(mappings(&lab), 1);
	lab_stop(&lab);
	lab_free(&lab);
}

/* A table that was served from memory meanwhile makes the file's an old one:
 * it must not come back. */
static void test_file_without_room(void)
{
	static const struct refusal cases[] = {
		{ "posix_fallocate", ENOSPC, "has no room for its " },
	};
	struct lab lab;

	lab_make(&lab);
	CU_ASSERT(lab_start(&lab));
	make_mapping(&lab);
	lab_stop(&lab);
	check_refusals(&lab, cases, 1);
	CU_ASSERT(lab_start(&lab));
	CU_ASSERT_EQUAL(mappings(&lab), 0);
	lab_stop(&lab);
	lab_free(&lab);
}

static void test_interrupted(void)
{
	struct lab lab;

	lab_make(&lab);
	fault_arm("posix_fallocate", EINTR, 0, 3);
	CU_ASSERT(lab_start(&lab));
	CU_ASSERT_EQUAL(fault_disarm(), 3);
	lab_stop(&lab);
	lab_free(&lab);
}

/* Advice that the kernel does not take, memory that cannot be locked. */
static void test_advice(void)
{
	static const char *const calls[] = { "madvise", "syscall" };
	struct lab lab;

	lab_make(&lab);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		fault_arm(calls[i], EPERM, 0, 0);
		CU_ASSERT(lab_start(&lab));
		CU_ASSERT(fault_disarm() > 0);
		lab_stop(&lab);
	}
	lab_free(&lab);
}

static const struct test tests[] = {
	{ "a file that cannot be made is told, and nothing is left of it",
	  test_new_file },
	{ "a file that cannot be taken is told, and stays as it was",
	  test_old_file },
	{ "a file that was not used for want of room does not come back",
	  test_file_without_room },
	{ "an interrupted allocation is made again", test_interrupted },
	{ "advice that is not taken is no failure", test_advice },
};

int main(int argc, char **argv)
{
	return suite_run("fault_state", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
