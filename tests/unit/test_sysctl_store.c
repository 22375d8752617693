/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The file by which kernel settings are put back after a crash. All tests run
 * in a network namespace of its own; without the right to make one they are
 * skipped.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/helper_private.h"
#include "platform/log.h"
#include "suite.h"
#include "sysctl_lab.h"

#define FORWARD "net/ipv4/ip_forward"
#define TTL "net/ipv4/ip_default_ttl"

struct store {
	char directory[64];
	char path[96];
};

static void store_open(struct store *store)
{
	strcpy(store->directory, "/tmp/portico-sysctl-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(store->directory));
	snprintf(store->path, sizeof(store->path), "%s/settings",
		 store->directory);
}

/* Nothing else may be left in the directory either. */
static void store_close(struct store *store)
{
	CU_ASSERT_EQUAL(rmdir(store->directory), 0);
}

static bool store_exists(const struct store *store)
{
	return !access(store->path, F_OK);
}

static size_t store_read(const struct store *store, char *text, size_t size)
{
	FILE *file = fopen(store->path, "r");
	size_t length = 0;

	CU_ASSERT_PTR_NOT_NULL(file);
	if (file) {
		length = fread(text, 1, size - 1, file);
		fclose(file);
	}
	text[length] = '\0';
	return length;
}

static void store_write(const struct store *store, const char *text,
			size_t length)
{
	FILE *file = fopen(store->path, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	CU_ASSERT_EQUAL(fwrite(text, 1, length, file), length);
	fclose(file);
	chmod(store->path, 0600);
}

/* What a daemon does at its start. */
static struct sysctl_saved *change_all(const struct store *store)
{
	struct sysctl_saved *saved = sysctl_new(store->path);
	struct nat_portset ports = { { 0 } };

	add_range(&ports, 1024, 2005);
	CU_ASSERT_EQUAL(sysctl_set(saved, REDIRECTS, "0"), 0);
	CU_ASSERT_EQUAL(sysctl_set(saved, TTL, "70"), 0);
	CU_ASSERT_EQUAL(sysctl_reserve_ports(saved, &ports), 0);
	return saved;
}

static void set_before(void)
{
	CU_ASSERT_EQUAL(sysctl_write(REDIRECTS, "1"), 0);
	CU_ASSERT_EQUAL(sysctl_write(TTL, "64"), 0);
	CU_ASSERT_EQUAL(sysctl_write(RESERVED, "80,2000-2010"), 0);
}

/* In a process of its own that ends without putting anything back. */
static void crash(const struct store *store)
{
	pid_t child = fork();
	int status = -1;

	if (!child) {
		change_all(store);
		_exit(0);
	}
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT_EQUAL(status, 0);
	expect(REDIRECTS, "0");
	expect(TTL, "70");
	expect(RESERVED, "80,1024-2010");
	CU_ASSERT_TRUE(store_exists(store));
}

static void expect_before(void)
{
	expect(REDIRECTS, "1");
	expect(TTL, "64");
	expect(RESERVED, "80,2000-2010");
}

static void test_crash(void)
{
	struct store store;

	store_open(&store);
	set_before();
	crash(&store);
	crash(&store);
	sysctl_restore(change_all(&store));
	expect_before();
	CU_ASSERT_FALSE(store_exists(&store));
	store_close(&store);
}

/* A device is inside no more, the pool another one: what the crashed daemon
 * changed is put back all the same. */
static void test_crash_other_config(void)
{
	struct nat_portset ports = { { 0 } };
	struct sysctl_saved *saved;
	struct store store;

	store_open(&store);
	set_before();
	crash(&store);
	saved = sysctl_new(store.path);
	add_range(&ports, 3000, 3001);
	CU_ASSERT_EQUAL(sysctl_reserve_ports(saved, &ports), 0);
	expect(RESERVED, "80,2000-2010,3000-3001");
	sysctl_restore(saved);
	expect_before();
	store_close(&store);
}

/* Between crash and start. */
static void test_crash_foreign_change(void)
{
	struct store store;

	store_open(&store);
	set_before();
	crash(&store);
	CU_ASSERT_EQUAL(sysctl_write(TTL, "90"), 0);
	CU_ASSERT_EQUAL(sysctl_write(RESERVED, "9000"), 0);
	sysctl_restore(change_all(&store));
	expect(REDIRECTS, "1");
	expect(TTL, "90");
	expect(RESERVED, "9000");
	store_close(&store);
}

/* The values of an earlier boot say nothing about this one. */
static void test_another_boot(void)
{
	char text[4096];
	struct store store;
	size_t length;

	store_open(&store);
	set_before();
	crash(&store);
	length = store_read(&store, text, sizeof(text));
	text[strcspn(text, "\n") - 1] ^= 1;
	store_write(&store, text, length);
	sysctl_restore(sysctl_new(store.path));
	expect(REDIRECTS, "0");
	expect(TTL, "70");
	expect(RESERVED, "80,1024-2010");
	store_close(&store);
}

/* A file with this text is left aside: nothing is put back from it, and the
 * next daemon works as if there were none. */
static void expect_ignored(const struct store *store, const char *text,
			   size_t length)
{
	struct sysctl_saved *saved;

	store_write(store, text, length);
	sysctl_restore(sysctl_new(store->path));
	expect(REDIRECTS, "0");
	CU_ASSERT_FALSE(store_exists(store));
	store_write(store, text, length);
	saved = sysctl_new(store->path);
	CU_ASSERT_EQUAL(sysctl_set(saved, TTL, "71"), 0);
	sysctl_restore(saved);
	expect(TTL, "70");
	CU_ASSERT_FALSE(store_exists(store));
}

static void test_half_file(void)
{
	char text[4096];
	struct store store;
	size_t length;

	store_open(&store);
	set_before();
	crash(&store);
	length = store_read(&store, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text + length - 5, "\nend\n");
	for (size_t half = 0; half < length; half += 3)
		expect_ignored(&store, text, half);
	expect_ignored(&store, text, length - 1);
	store_close(&store);
}

static void test_damaged_file(void)
{
	static const char *const lines[] = {
		REDIRECTS "\t1",
		REDIRECTS,
		"",
		REDIRECTS "\t1\t0\t0",
		"../../tmp/x\t1\t0",
		"net/../../../etc/hostname\t1\t0",
		"/etc/hostname\t1\t0",
		RESERVED "\t\t1024-99999",
		RESERVED "\t\t1024-",
		RESERVED "\t\tmany",
		"end",
	};
	static char text[4096];
	char good[4096];
	struct store store;

	store_open(&store);
	set_before();
	crash(&store);
	store_read(&store, good, sizeof(good));
	good[strcspn(good, "\n")] = '\0';
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		int length = snprintf(text, sizeof(text),
				      "%s\n" REDIRECTS "\t1\t0\n%s\nend\n",
				      good, lines[i]);

		expect_ignored(&store, text, (size_t)length);
	}
	memset(text, 'x', sizeof(text));
	expect_ignored(&store, text, sizeof(text));
	memset(text, 0, sizeof(text));
	expect_ignored(&store, text, sizeof(text));
	memset(text, '\n', sizeof(text));
	expect_ignored(&store, text, sizeof(text));
	store_close(&store);
}

/* Nobody else writes our kernel settings by way of the file. */
static void test_foreign_file(void)
{
	char other[128], text[4096];
	struct store store;
	size_t length;

	store_open(&store);
	set_before();
	crash(&store);
	chmod(store.path, 0666);
	sysctl_restore(sysctl_new(store.path));
	expect(REDIRECTS, "0");
	set_before();
	crash(&store);
	length = store_read(&store, text, sizeof(text));
	snprintf(other, sizeof(other), "%s/other", store.directory);
	CU_ASSERT_EQUAL(rename(store.path, other), 0);
	CU_ASSERT_EQUAL(symlink(other, store.path), 0);
	sysctl_restore(sysctl_new(store.path));
	expect(REDIRECTS, "0");
	/* Put back from the same text when it is a file of its own. */
	store_write(&store, text, length);
	sysctl_restore(sysctl_new(store.path));
	expect_before();
	unlink(other);
	store_close(&store);
}

static void run(struct helper_process *helper, enum helper_verb verb,
		uint32_t number)
{
	struct helper_reply reply = { .fd_count = 0 };

	CU_ASSERT_EQUAL(helper_actions[verb].run(helper, &number,
						 sizeof(number), &reply),
			0);
}

/* With "fallback": "kernel" the router goes on. */
static void test_kept_forwarding(void)
{
	struct helper_process helper = { .job_fd = -1 };
	struct config config = { .queue.number = 100 };
	char control[80];
	struct store store;

	store_open(&store);
	snprintf(control, sizeof(control), "%s/s", store.directory);
	snprintf(store.path, sizeof(store.path), "%s.settings", control);
	config.control = control;
	helper.config = &config;
	set_before();
	CU_ASSERT_EQUAL(sysctl_write(FORWARD, "0"), 0);
	for (int starts = 0; starts < 2; starts++) {
		run(&helper, HELPER_SETTINGS, 0);
		run(&helper, HELPER_REDIRECTS, 0);
		run(&helper, HELPER_FORWARD, 0);
		expect(REDIRECTS, "0");
		run(&helper, HELPER_RESTORE, 1);
		expect_before();
		expect(FORWARD, "1");
	}
	sysctl_restore(sysctl_new(store.path));
	expect(FORWARD, "0");
	CU_ASSERT_FALSE(store_exists(&store));
	store_close(&store);
}

static void test_no_room_for_file(void)
{
	struct store store = { .path = "/nonexistent/settings" };

	set_before();
	sysctl_restore(change_all(&store));
	expect_before();
}

static const struct test tests[] = {
	{ "after a crash the first values are put back", test_crash },
	{ "after a crash another configuration puts back all",
	  test_crash_other_config },
	{ "a change by others after a crash stays", test_crash_foreign_change },
	{ "a file of an earlier boot is nothing", test_another_boot },
	{ "half a file is ignored", test_half_file },
	{ "a damaged file is ignored", test_damaged_file },
	{ "a file that others can write is ignored", test_foreign_file },
	{ "forwarding that the stop leaves on is put back later",
	  test_kept_forwarding },
	{ "without room for the file settings are changed all the same",
	  test_no_room_for_file },
};

/* What is expected to be told is shown to nobody. */
static void hush(void *context, int priority, const char *line, size_t length)
{
	(void)context;
	(void)priority;
	(void)line;
	(void)length;
}

int main(int argc, char **argv)
{
	const size_t count = sizeof(tests) / sizeof(tests[0]);

	if (unshare(CLONE_NEWNET)) {
		printf("SKIP sysctl_store: no network namespace: %s\n"
		       "0 passed, 0 failed, %zu skipped\n",
		       strerror(errno), count);
		return 0;
	}
	log_to(hush, NULL);
	return suite_run("sysctl_store", tests, count, argc, argv);
}
