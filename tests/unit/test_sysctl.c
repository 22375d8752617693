/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Kernel settings: read, changed, put back. What writes runs in a network
 * namespace of its own, left when the program ends; without the right to make
 * one those tests count nothing and say so.
 */
#include "platform/sysctl.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"
#include "sysctl_lab.h"

static void test_read(void)
{
	char value[64];

	CU_ASSERT_EQUAL(sysctl_read("kernel/ostype", value, sizeof(value)), 0);
	CU_ASSERT_STRING_EQUAL(value, "Linux");
	CU_ASSERT_EQUAL(sysctl_read("no/such/thing", value, sizeof(value)),
			-ENOENT);
	CU_ASSERT_STRING_EQUAL(value, "");
}

static void test_read_bounds(void)
{
	char tiny[4];

	CU_ASSERT_EQUAL(sysctl_read("kernel/ostype", tiny, sizeof(tiny)),
			-EMSGSIZE);
	CU_ASSERT_EQUAL(sysctl_read("kernel/ostype", tiny, 0), -EINVAL);
}

static void test_names(void)
{
	char value[8], longer[400];

	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	CU_ASSERT_EQUAL(sysctl_read("/etc/passwd", value, sizeof(value)),
			-EINVAL);
	CU_ASSERT_EQUAL(sysctl_read("net/../../../etc/hostname", value,
				    sizeof(value)),
			-EINVAL);
	CU_ASSERT_EQUAL(sysctl_write("../../tmp/x", "1"), -EINVAL);
	CU_ASSERT_EQUAL(sysctl_read(longer, value, sizeof(value)),
			-ENAMETOOLONG);
}

static void test_router_ports(void)
{
	struct config_range range = { 0, 0 };
	char text[64];
	unsigned first = 0, last = 0;

	CU_ASSERT_EQUAL(sysctl_router_ports(&range), 0);
	CU_ASSERT_EQUAL(sysctl_read("net/ipv4/ip_local_port_range", text,
				    sizeof(text)),
			0);
	CU_ASSERT_EQUAL(sscanf(text, "%u %u", &first, &last), 2);
	CU_ASSERT_EQUAL(range.first, first);
	CU_ASSERT(range.last <= last);
	CU_ASSERT(range.last - range.first + 1 <= 2048);
}

static void test_set_and_restore(void)
{
	struct sysctl_saved *saved = sysctl_new(NULL);

	CU_ASSERT_EQUAL(sysctl_write(REDIRECTS, "1"), 0);
	CU_ASSERT_EQUAL(sysctl_set(saved, REDIRECTS, "0"), 0);
	expect(REDIRECTS, "0");
	CU_ASSERT_EQUAL(sysctl_set(saved, REDIRECTS, "0"), 0);
	sysctl_restore(saved);
	expect(REDIRECTS, "1");
}

/* The administrator's later change wins. */
static void test_foreign_change(void)
{
	struct sysctl_saved *saved = sysctl_new(NULL);
	const char *name = "net/ipv4/ip_default_ttl";

	CU_ASSERT_EQUAL(sysctl_write(name, "64"), 0);
	CU_ASSERT_EQUAL(sysctl_set(saved, name, "70"), 0);
	CU_ASSERT_EQUAL(sysctl_write(name, "90"), 0);
	sysctl_restore(saved);
	expect(name, "90");
}

static void test_unchanged(void)
{
	struct sysctl_saved *saved = sysctl_new(NULL);

	CU_ASSERT_EQUAL(sysctl_write(REDIRECTS, "0"), 0);
	CU_ASSERT_EQUAL(sysctl_set(saved, REDIRECTS, "0"), 0);
	CU_ASSERT_EQUAL(sysctl_write(REDIRECTS, "1"), 0);
	sysctl_restore(saved);
	expect(REDIRECTS, "1");
}

static void test_device_gone(void)
{
	struct sysctl_saved *saved = sysctl_new(NULL);

	CU_ASSERT_EQUAL(
		sysctl_set(saved, "net/ipv4/conf/nowhere0/send_redirects", "0"),
		0);
	CU_ASSERT_EQUAL(sysctl_set(saved, REDIRECTS, "no number"), -EINVAL);
	sysctl_restore(saved);
	sysctl_restore(NULL);
}

static void test_reserve(void)
{
	struct sysctl_saved *saved = sysctl_new(NULL);
	struct nat_portset ports = { { 0 } };

	CU_ASSERT_EQUAL(sysctl_write(RESERVED, "80,2000-2010"), 0);
	add_range(&ports, 1024, 2005);
	add_range(&ports, 65535, 65535);
	CU_ASSERT_EQUAL(sysctl_reserve_ports(saved, &ports), 0);
	expect(RESERVED, "80,1024-2010,65535");
	/* Another pool takes the place of the first. */
	memset(&ports, 0, sizeof(ports));
	add_range(&ports, 3000, 3001);
	CU_ASSERT_EQUAL(sysctl_reserve_ports(saved, &ports), 0);
	expect(RESERVED, "80,2000-2010,3000-3001");
	/* Somebody adds 90 meanwhile: it stays. */
	CU_ASSERT_EQUAL(sysctl_write(RESERVED, "80,90,2000-2010,3000-3001"), 0);
	sysctl_restore(saved);
	expect(RESERVED, "80,90,2000-2010");
}

/* A list written anew by somebody else is theirs, also where it overlaps. */
static void test_reserve_replaced(void)
{
	struct sysctl_saved *saved = sysctl_new(NULL);
	struct nat_portset ports = { { 0 } };

	CU_ASSERT_EQUAL(sysctl_write(RESERVED, "9000"), 0);
	add_range(&ports, 1024, 65535);
	CU_ASSERT_EQUAL(sysctl_reserve_ports(saved, &ports), 0);
	CU_ASSERT_EQUAL(sysctl_write(RESERVED, "40000-40010"), 0);
	sysctl_restore(saved);
	expect(RESERVED, "40000-40010");
}

static void test_reserve_nothing_before(void)
{
	struct sysctl_saved *saved = sysctl_new(NULL);
	struct nat_portset ports = { { 0 } };

	CU_ASSERT_EQUAL(sysctl_write(RESERVED, ""), 0);
	expect(RESERVED, "");
	add_range(&ports, 1024, 65535);
	CU_ASSERT_EQUAL(sysctl_reserve_ports(saved, &ports), 0);
	expect(RESERVED, "1024-65535");
	sysctl_restore(saved);
	expect(RESERVED, "");
}

/* Every second port: far more text than a page. */
static void test_reserve_scattered(void)
{
	struct sysctl_saved *saved = sysctl_new(NULL);
	struct nat_portset ports = { { 0 } };
	char *text = malloc(1 << 20);

	for (unsigned port = 1025; port < 65536; port += 2)
		nat_portset_add(&ports, (uint16_t)port);
	CU_ASSERT_EQUAL(sysctl_reserve_ports(saved, &ports), 0);
	CU_ASSERT_EQUAL(sysctl_read(RESERVED, text, 1 << 20), 0);
	CU_ASSERT(!strncmp(text, "1025,1027,", 10));
	CU_ASSERT(strlen(text) > 30000 * 6);
	CU_ASSERT_STRING_EQUAL(text + strlen(text) - 12, ",65533,65535");
	sysctl_restore(saved);
	expect(RESERVED, "");
	free(text);
}

static const struct test reading[] = {
	{ "a setting is read without its newline", test_read },
	{ "a value that does not fit is refused", test_read_bounds },
	{ "a name cannot leave /proc/sys", test_names },
	{ "the router keeps 2,048 ports", test_router_ports },
};

static const struct test writing[] = {
	{ "a setting is read without its newline", test_read },
	{ "a value that does not fit is refused", test_read_bounds },
	{ "a name cannot leave /proc/sys", test_names },
	{ "the router keeps 2,048 ports", test_router_ports },
	{ "a setting is changed and put back", test_set_and_restore },
	{ "a later change by others stays", test_foreign_change },
	{ "what was right already is not touched", test_unchanged },
	{ "a device that is gone is no error", test_device_gone },
	{ "reserved ports are merged and put back", test_reserve },
	{ "a list replaced by others stays", test_reserve_replaced },
	{ "reserved ports vanish where none were",
	  test_reserve_nothing_before },
	{ "a list of scattered ports is taken whole", test_reserve_scattered },
};

int main(int argc, char **argv)
{
	if (!unshare(CLONE_NEWNET))
		return suite_run("sysctl", writing,
				 sizeof(writing) / sizeof(writing[0]), argc,
				 argv);
	printf("not allowed to make a network namespace: %s; "
	       "tests that write are left out\n",
	       strerror(errno));
	return suite_run("sysctl", reading,
			 sizeof(reading) / sizeof(reading[0]), argc, argv);
}
