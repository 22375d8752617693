/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The fast path when calls fail: the loader is not started, or its descriptors
 * do not come; the kernel does not answer. All of it is told, and nothing stays
 * open.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/fast_private.h"
#include "suite.h"
#include "tests/fault/plan.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TIMEOUT_MS 20000
#define LOOPBACK 1 /* in each namespace */

static char error[256];

static size_t open_fds(void)
{
	size_t count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

struct refusal {
	const char *call;
	int reason;
	int result;
};

/* Of a program that ends without a word. */
static void test_the_loader(void)
{
	static const struct refusal refusals[] = {
		{ "access", EACCES, -EACCES },
		{ "socketpair", EMFILE, -EMFILE },
		{ "open", EMFILE, -EMFILE },
		{ "fork", EAGAIN, -EAGAIN },
		{ "recvmsg", ENOMEM, -ENOMEM },
	};
	int fds[FAST_FDS];
	size_t before = open_fds();

	for (size_t i = 0; i < COUNT(refusals); i++) {
		error[0] = '\0';
		fault_arm(refusals[i].call, refusals[i].reason, 0, 0);
		CU_ASSERT_EQUAL(fast_load_by("/bin/true", 1, 1, TIMEOUT_MS, fds,
					     error, sizeof(error)),
				refusals[i].result);
		CU_ASSERT(fault_disarm() >= 1);
		CU_ASSERT_PTR_NOT_NULL(
			strstr(error, strerror(refusals[i].reason)));
		CU_ASSERT_EQUAL(open_fds(), before);
		for (int j = 0; j < FAST_FDS; j++)
			CU_ASSERT_EQUAL(fds[j], -1);
	}
	fault_arm("realpath", ENOENT, 0, 0);
	/* Not what is said of a loader that is not installed. */
	CU_ASSERT_EQUAL(fast_load(1, 1, fds, error, sizeof(error)), -EIO);
	CU_ASSERT_EQUAL(fault_disarm(), 1);
}

/* A poll() that fails is tried again, but not without end. */
static void test_waiting(void)
{
	int fds[FAST_FDS];

	fault_arm("poll", EINTR, 0, 1);
	CU_ASSERT_EQUAL(fast_load_by("/bin/true", 1, 1, TIMEOUT_MS, fds, error,
				     sizeof(error)),
			-EPIPE);
	CU_ASSERT_EQUAL(fault_disarm(), 1);
	fault_arm("poll", ENOMEM, 0, 0);
	CU_ASSERT_EQUAL(fast_load_by("/bin/true", 1, 1, 100, fds, error,
				     sizeof(error)),
			-ETIMEDOUT);
	fault_disarm();
}

static int set(struct fast_tc *tc)
{
	error[0] = '\0';
	return fast_tc_set(tc, LOOPBACK, NULL, 0, error, sizeof(error));
}

static void test_devices(void)
{
	static const struct refusal refusals[] = {
		{ "socket", EMFILE, -EMFILE },
		{ "setsockopt", EPERM, -EPERM },
		{ "bind", EPERM, -EPERM },
		{ "sendto", ENOBUFS, -ENOBUFS },
		{ "recvmsg", ENOBUFS, -ENOBUFS },
		{ "recvmsg", EAGAIN, -ETIMEDOUT },
	};
	static const int programs[FAST_PROGRAMS] = { -1, -1, -1, -1 };
	struct fast_tc *tc = fast_tc_new(programs, false);
	size_t before = open_fds();

	CU_ASSERT_PTR_NOT_NULL_FATAL(tc);
	CU_ASSERT_EQUAL(set(tc), -EOPNOTSUPP);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "at lo:"));
	for (size_t i = 0; i < COUNT(refusals); i++) {
		fault_arm(refusals[i].call, refusals[i].reason, 0, 0);
		CU_ASSERT_EQUAL(set(tc), refusals[i].result);
		CU_ASSERT(fault_disarm() >= 1);
		CU_ASSERT_PTR_NOT_NULL(
			strstr(error, strerror(-refusals[i].result)));
		CU_ASSERT_EQUAL(open_fds(), before);
		CU_ASSERT_EQUAL(fast_tc_devices(tc), 0);
	}
	fast_tc_free(tc);
}

/* A kernel that did not answer in time is asked nothing more. */
static void test_silence(void)
{
	struct fast_filter filter;
	struct fast_rtnl *rtnl;
	struct fast_link link;

	CU_ASSERT_EQUAL_FATAL(fast_rtnl_open(&rtnl), 0);
	fault_arm("recvmsg", EAGAIN, 0, 1);
	CU_ASSERT_EQUAL(fast_rtnl_link(rtnl, LOOPBACK, &link), -ETIMEDOUT);
	CU_ASSERT_EQUAL(fault_disarm(), 1);
	/* Else the late answer to one question would be taken for another's. */
	CU_ASSERT_EQUAL(fast_rtnl_link(rtnl, LOOPBACK, &link), -ETIMEDOUT);
	CU_ASSERT_EQUAL(fast_rtnl_get(rtnl, LOOPBACK, &filter), -ETIMEDOUT);
	fast_rtnl_close(rtnl);
	CU_ASSERT_EQUAL_FATAL(fast_rtnl_open(&rtnl), 0);
	fault_arm("recvmsg", EINTR, 0, 1);
	CU_ASSERT_EQUAL(fast_rtnl_link(rtnl, LOOPBACK, &link), 0);
	CU_ASSERT_EQUAL(fault_disarm(), 1);
	CU_ASSERT_STRING_EQUAL(link.name, "lo");
	fast_rtnl_close(rtnl);
}

static void test_links(void)
{
	struct fast_rtnl *rtnl;
	unsigned *list = NULL;
	size_t count = 0;

	CU_ASSERT_EQUAL_FATAL(fast_rtnl_open(&rtnl), 0);
	fault_arm("recvmsg", ENOBUFS, 0, 0);
	CU_ASSERT_EQUAL(fast_rtnl_links(rtnl, &list, &count), -ENOBUFS);
	CU_ASSERT_EQUAL(fault_disarm(), 1);
	CU_ASSERT_PTR_NULL(list);
	fast_rtnl_close(rtnl);
	CU_ASSERT_EQUAL_FATAL(fast_rtnl_open(&rtnl), 0);
	CU_ASSERT_EQUAL(fast_rtnl_links(rtnl, &list, &count), 0);
	CU_ASSERT(count >= 1 && list && list[0] == LOOPBACK);
	free(list);
	fast_rtnl_close(rtnl);
}

static void test_memory(void)
{
	struct fast_head head = { .until_ns = 1, .uplink = 1 };
	struct fast_filled filled;
	struct fast_bucket bucket;
	struct fast_slot slots[2];
	const struct fast_memory memory = {
		&head, &filled, &bucket, slots, 1, 2
	};

	for (int skip = 0; skip < 2; skip++) {
		fault_arm("mmap", ENOMEM, skip, 1);
		errno = 0;
		CU_ASSERT_PTR_NULL(fast_table_new(&memory, 0, 1, 1));
		CU_ASSERT_EQUAL(errno, ENOMEM);
		CU_ASSERT_EQUAL(fault_disarm(), 1);
	}
}

static const struct test tests[] = {
	{ "what becomes of the loader", test_the_loader },
	{ "it is waited for", test_waiting },
	{ "a device that cannot be asked for", test_devices },
	{ "a kernel that is silent is asked nothing more", test_silence },
	{ "the list of devices", test_links },
	{ "memory for the table", test_memory },
};

int main(int argc, char **argv)
{
	return suite_run("fault_fast", tests, COUNT(tests), argc, argv);
}
