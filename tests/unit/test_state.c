/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The file of the table: taken over, refused, replaced. What is in it is judged
 * by the engine: see test_restore.c.
 */
#include "platform/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine.h"
#include "platform/loop.h"
#include "suite.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

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
}

static void lab_start(struct lab *lab, const struct nat_limits *limits)
{
	uint64_t now_ms = loop_clock_ms();

	lab->indices_bytes = nat_indices_size(limits);
	lab->indices = state_block(lab->indices_bytes);
	lab->nat = state_open(&lab->state, lab->path, limits, &secrets,
			      lab->indices, lab->indices_bytes);
	CU_ASSERT_PTR_NOT_NULL_FATAL(lab->nat);
	state_tell(&lab->state, lab->path);
	nat_configure(lab->nat, &lab->config, now_ms);
	nat_set_uplink(lab->nat, UPLINK, now_ms);
}

static void lab_stop(struct lab *lab)
{
	state_close(&lab->state, lab->nat);
	munmap(lab->indices, lab->indices_bytes);
}

/* As if the process had been killed: nothing is told to the engine. */
static void lab_kill(struct lab *lab)
{
	lab->nat = NULL;
	lab_stop(lab);
}

static void lab_free(struct lab *lab)
{
	char path[80];

	unlink(lab->path);
	snprintf(path, sizeof(path), "%s.new", lab->path);
	CU_ASSERT_EQUAL(access(path, F_OK), -1);
	CU_ASSERT_EQUAL(rmdir(lab->directory), 0);
}

static void open_mapping(struct lab *lab, uint16_t port)
{
	struct packet packet;
	struct nat_packet p = { .data = packet.data,
				.path = NAT_PATH_OUTBOUND };

	packet_udp(&packet, flow_of(INSIDE_1, port, PEER_1, 7000), NULL, 4);
	p.length = packet.length;
	CU_ASSERT_EQUAL(nat_translate(lab->nat, &p, loop_clock_ms()).verdict,
			NAT_TRANSLATED);
}

static struct nat_stats stats_of(const struct lab *lab)
{
	struct nat_stats stats;

	nat_stats(lab->nat, &stats);
	return stats;
}

static void write_file(const struct lab *lab, const void *bytes, size_t length)
{
	int fd = open(lab->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	CU_ASSERT_EQUAL(write(fd, bytes, length), (ssize_t)length);
	close(fd);
}

/* --- a file of our own -------------------------------------------------------- */

static void test_goes_on(void)
{
	struct stat st;
	struct lab lab;

	lab_make(&lab);
	lab_start(&lab, &engine_limits);
	CU_ASSERT_EQUAL(lab.state.restored.past, NAT_PAST_NONE);
	CU_ASSERT_EQUAL(lab.state.warning[0], '\0');
	CU_ASSERT_EQUAL(stat(lab.path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
	CU_ASSERT_EQUAL(st.st_size, (off_t)nat_records_size(&engine_limits));
	/* All of it is there: no write can fail for want of room. */
	CU_ASSERT_TRUE(st.st_blocks * 512 >= st.st_size);
	open_mapping(&lab, 5000);
	lab_kill(&lab);
	lab_start(&lab, &engine_limits);
	CU_ASSERT_EQUAL(lab.state.restored.past, NAT_PAST_KEPT);
	CU_ASSERT_FALSE(lab.state.restored.clean);
	CU_ASSERT_EQUAL(lab.state.restored.mappings, 1);
	CU_ASSERT_EQUAL(stats_of(&lab).mappings, 1);
	open_mapping(&lab, 5001);
	lab_stop(&lab);
	lab_start(&lab, &engine_limits);
	CU_ASSERT_TRUE(lab.state.restored.clean);
	CU_ASSERT_EQUAL(stats_of(&lab).mappings, 2);
	lab_stop(&lab);
	lab_free(&lab);
}

static void test_other_limits(void)
{
	struct nat_limits more = engine_limits;
	struct lab lab;

	more.sessions *= 2;
	lab_make(&lab);
	lab_start(&lab, &engine_limits);
	open_mapping(&lab, 5000);
	lab_stop(&lab);
	lab_start(&lab, &more);
	CU_ASSERT_EQUAL(lab.state.restored.past, NAT_PAST_RESIZED);
	CU_ASSERT_EQUAL(stats_of(&lab).mappings, 0);
	CU_ASSERT_EQUAL(stats_of(&lab).ports[NAT_POOL_UDP].held, 1);
	open_mapping(&lab, 5001);
	lab_stop(&lab);
	/* Held and used alike. */
	lab_start(&lab, &engine_limits);
	CU_ASSERT_EQUAL(stats_of(&lab).ports[NAT_POOL_UDP].held, 2);
	lab_stop(&lab);
	lab_free(&lab);
}

/* With any content of any size a table can be had. */
static void test_foreign_content(void)
{
	size_t bytes = nat_records_size(&engine_limits);
	uint8_t *text = malloc(bytes + 64);
	const size_t sizes[] = { 0,    1,	  63,	 127,	   128,
				 4096, bytes - 1, bytes, bytes + 1 };

	memset(text, 'x', bytes + 64);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct lab lab;

		lab_make(&lab);
		write_file(&lab, text, sizes[i]);
		lab_start(&lab, &engine_limits);
		CU_ASSERT_EQUAL(lab.state.warning[0], '\0');
		CU_ASSERT_EQUAL(lab.state.restored.past,
				sizes[i] ? NAT_PAST_DAMAGED : NAT_PAST_NONE);
		open_mapping(&lab, 5000);
		lab_kill(&lab);
		lab_start(&lab, &engine_limits);
		CU_ASSERT_EQUAL(lab.state.restored.mappings, 1);
		lab_stop(&lab);
		lab_free(&lab);
	}
	free(text);
}

static void test_truncated(void)
{
	struct lab lab;

	lab_make(&lab);
	lab_start(&lab, &engine_limits);
	open_mapping(&lab, 5000);
	lab_kill(&lab);
	CU_ASSERT_EQUAL(truncate(lab.path, 4096), 0);
	lab_start(&lab, &engine_limits);
	CU_ASSERT_EQUAL(lab.state.restored.past, NAT_PAST_DAMAGED);
	CU_ASSERT_EQUAL(stats_of(&lab).mappings, 0);
	open_mapping(&lab, 5000);
	lab_stop(&lab);
	lab_free(&lab);
}

/* --- files of others ------------------------------------------------------------ */

/* The table is in memory, which is told; the file is as it was. */
static void assert_refused(struct lab *lab, const char *word)
{
	lab_start(lab, &engine_limits);
	CU_ASSERT_EQUAL(lab->state.fd, -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(lab->state.warning, lab->path));
	CU_ASSERT_PTR_NOT_NULL(strstr(lab->state.warning, word));
	open_mapping(lab, 5000);
	lab_stop(lab);
}

static void test_link(void)
{
	char target[80];
	struct stat st;
	struct lab lab;

	lab_make(&lab);
	snprintf(target, sizeof(target), "%s.target", lab.path);
	CU_ASSERT_EQUAL(symlink(target, lab.path), 0);
	assert_refused(&lab, "symbolic link");
	CU_ASSERT_EQUAL(access(target, F_OK), -1);
	CU_ASSERT_EQUAL(lstat(lab.path, &st), 0);
	CU_ASSERT_TRUE(S_ISLNK(st.st_mode));
	lab_free(&lab);
}

static void test_what_others_can_write(void)
{
	static const char text[] = "mine";
	char other[80], read_back[8];
	struct lab lab;
	int fd;

	lab_make(&lab);
	write_file(&lab, text, sizeof(text));
	CU_ASSERT_EQUAL(chmod(lab.path, 0620), 0);
	assert_refused(&lab, "plain file");
	CU_ASSERT_EQUAL(chmod(lab.path, 0600), 0);
	snprintf(other, sizeof(other), "%s.other", lab.path);
	CU_ASSERT_EQUAL(link(lab.path, other), 0);
	assert_refused(&lab, "plain file");
	fd = open(lab.path, O_RDONLY);
	CU_ASSERT_EQUAL(read(fd, read_back, sizeof(read_back)), sizeof(text));
	close(fd);
	unlink(other);
	lab_free(&lab);
}

static void test_no_plain_file(void)
{
	struct lab lab;

	lab_make(&lab);
	CU_ASSERT_EQUAL(mkfifo(lab.path, 0600), 0);
	assert_refused(&lab, "plain file");
	unlink(lab.path);
	CU_ASSERT_EQUAL(mkdir(lab.path, 0700), 0);
	assert_refused(&lab, "directory");
	rmdir(lab.path);
	rmdir(lab.directory);
	assert_refused(&lab, "No such file");
}

static void test_another_daemon(void)
{
	struct lab first, second;

	lab_make(&first);
	lab_start(&first, &engine_limits);
	open_mapping(&first, 5000);
	second = first;
	assert_refused(&second, "another daemon");
	lab_kill(&first);
	lab_start(&first, &engine_limits);
	CU_ASSERT_EQUAL(first.state.restored.mappings, 1);
	lab_stop(&first);
	lab_free(&first);
}

static void test_no_room(void)
{
	struct lab lab;

	lab_make(&lab);
	strcpy(lab.path, "/dev/full/state");
	assert_refused(&lab, "Not a directory");
	rmdir(lab.directory);
}

static const struct test tests[] = {
	{ "a table goes on, after a stop and after a kill", test_goes_on },
	{ "with other limits ports rest", test_other_limits },
	{ "any content is replaced", test_foreign_content },
	{ "a file that was cut is replaced", test_truncated },
	{ "a link is not followed", test_link },
	{ "what others can write is left alone", test_what_others_can_write },
	{ "what is no plain file is left alone", test_no_plain_file },
	{ "another daemon's file is left alone", test_another_daemon },
	{ "a path that cannot be is told", test_no_room },
};

int main(int argc, char **argv)
{
	return suite_run("state", tests, COUNT(tests), argc, argv);
}
