/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Namespaces, devices and a loop for the tests of the network monitor.
 */
#include "uplink_lab.h"

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct uplink_lab lab;

static const char inside_names[][IFNAMSIZ] = { "lan0", "lan1" };

void ip(const char *format, ...)
{
	char command[512] = "ip ";
	va_list args;
	int rc;

	va_start(args, format);
	vsnprintf(command + 3, sizeof(command) - 3, format, args);
	va_end(args);
	rc = system(command);
	if (rc)
		printf("%s: status %d\n", command, rc);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
}

static void on_changed(void *context)
{
	CU_ASSERT_PTR_EQUAL(context, &lab);
	lab.changes++;
	if (lab.stop_on_change)
		loop_stop(lab.loop);
}

static void on_timer(struct watch *watch, uint32_t events)
{
	uint64_t expirations;

	(void)events;
	CU_ASSERT(read(watch->fd, &expirations, sizeof(expirations)) > 0);
	loop_stop(lab.loop);
}

void set_timer(unsigned milliseconds)
{
	struct itimerspec when = {
		.it_value.tv_sec = milliseconds / 1000,
		.it_value.tv_nsec = (long)(milliseconds % 1000) * 1000000,
	};

	timerfd_settime(lab.timer.fd, 0, &when, NULL);
}

unsigned settle(void)
{
	lab.changes = 0;
	lab.stop_on_change = false;
	set_timer(30);
	CU_ASSERT_EQUAL(loop_run(lab.loop), 0);
	return lab.changes;
}

void wait_change(void)
{
	lab.stop_on_change = true;
	set_timer(200);
	CU_ASSERT_EQUAL(loop_run(lab.loop), 0);
}

const struct network_state *now(void)
{
	return network_state(lab.network);
}

void new_namespace(void)
{
	CU_ASSERT_EQUAL_FATAL(unshare(CLONE_NEWNET), 0);
	ip("link set lo up");
}

void add_device(const char *name)
{
	ip("link add %s type veth peer name %s-peer", name, name);
	ip("link set %s-peer up", name);
	ip("link set %s up", name);
}

void begin(uint32_t fixed_addr)
{
	lab.loop = loop_new();
	CU_ASSERT_PTR_NOT_NULL_FATAL(lab.loop);
	lab.timer.fd =
		timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	lab.timer.handler = on_timer;
	CU_ASSERT_EQUAL_FATAL(loop_add(lab.loop, &lab.timer, EPOLLIN), 0);
	lab.network = network_open(lab.loop, "wan0", inside_names, 2,
				   fixed_addr, 0, on_changed, &lab);
	CU_ASSERT_PTR_NOT_NULL_FATAL(lab.network);
}

void end(void)
{
	network_close(lab.network);
	close(lab.timer.fd);
	loop_free(lab.loop);
}

static bool has_prefix(const struct nat_prefix *set, size_t count,
		       uint32_t addr, uint8_t length)
{
	for (size_t i = 0; i < count; i++)
		if (set[i].addr == addr && set[i].length == length)
			return true;
	return false;
}

bool is_inside(uint32_t addr, uint8_t length)
{
	return has_prefix(now()->inside_nets, now()->inside_net_count, addr,
			  length);
}

bool is_elsewhere(uint32_t addr, uint8_t length)
{
	return has_prefix(now()->elsewhere, now()->elsewhere_count, addr,
			  length);
}

int uplink_lab_run(const char *suite, const struct test *tests, size_t count,
		   int argc, char **argv)
{
	if (geteuid() || unshare(CLONE_NEWNET)) {
		printf("SKIP %s: needs root and network namespaces\n"
		       "0 passed, 0 failed, %zu skipped\n",
		       suite, count);
		return 0;
	}
	return suite_run(suite, tests, count, argc, argv);
}
