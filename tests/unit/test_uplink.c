/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The network monitor against the real kernel: devices, addresses,
 * notifications.
 * Each test has an empty network namespace of its own.
 */
#include <stdio.h>

#include "uplink_lab.h"

/* --- devices and addresses ---------------------------------------------- */

static void test_nothing_yet(void)
{
	new_namespace();
	begin(0);
	CU_ASSERT_STRING_EQUAL(now()->uplink.name, "wan0");
	CU_ASSERT_EQUAL(now()->uplink.index, 0);
	CU_ASSERT_EQUAL(now()->uplink_addr, 0);
	CU_ASSERT_EQUAL(now()->inside_count, 2);
	CU_ASSERT_STRING_EQUAL(now()->inside[1].name, "lan1");
	CU_ASSERT_EQUAL(now()->inside_net_count, 0);
	CU_ASSERT_EQUAL(now()->elsewhere_count, 0);
	CU_ASSERT(!now()->policy_routing);
	CU_ASSERT_EQUAL(settle(), 0);
	add_device("wan0");
	WAIT_UNTIL(now()->uplink.up);
	CU_ASSERT_EQUAL(now()->uplink.index, if_nametoindex("wan0"));
	CU_ASSERT_EQUAL(now()->uplink.mtu, 1500);
	end();
}

static void test_address(void)
{
	new_namespace();
	add_device("wan0");
	ip("addr add 198.51.100.1/24 dev wan0");
	begin(0);
	CU_ASSERT_EQUAL(now()->uplink_addr, WAN);
	/* A second address of the same network is secondary. */
	ip("addr add 198.51.100.7/24 dev wan0");
	settle();
	CU_ASSERT_EQUAL(now()->uplink_addr, WAN);
	ip("addr add 203.0.113.9/24 dev wan0");
	ip("addr del 198.51.100.1/24 dev wan0");
	WAIT_UNTIL(now()->uplink_addr == 0xcb007109);
	ip("addr flush dev wan0");
	WAIT_UNTIL(!now()->uplink_addr);
	ip("addr add 169.254.3.4/16 scope link dev wan0");
	settle();
	CU_ASSERT_EQUAL(now()->uplink_addr, 0);
	ip("addr add 198.51.100.1 peer 192.0.2.1/32 dev wan0");
	WAIT_UNTIL(now()->uplink_addr == WAN);
	end();
}

/* The one in use stays, whatever comes before it in the kernel's order. */
static void test_two_addresses(void)
{
	new_namespace();
	add_device("wan0");
	ip("addr add 203.0.113.9/24 dev wan0");
	ip("addr add 198.51.100.1/24 dev wan0");
	begin(0);
	CU_ASSERT_EQUAL(now()->uplink_addr, 0xcb007109);
	ip("addr del 203.0.113.9/24 dev wan0");
	WAIT_UNTIL(now()->uplink_addr == WAN);
	ip("addr add 203.0.113.9/32 dev wan0");
	ip("addr del 198.51.100.1/24 dev wan0");
	ip("addr add 198.51.100.1/24 dev wan0");
	settle();
	CU_ASSERT_EQUAL(now()->uplink_addr, WAN);
	/* None, then both: the last one in use. */
	ip("addr flush dev wan0");
	WAIT_UNTIL(!now()->uplink_addr);
	ip("addr add 203.0.113.9/24 dev wan0");
	ip("addr add 198.51.100.1/24 dev wan0");
	WAIT_UNTIL(now()->uplink_addr == WAN);
	end();
}

/* A modem has pages at an address of its own on the same wire. */
static void test_address_aside(void)
{
	new_namespace();
	add_device("wan0");
	ip("addr add 192.168.100.2/24 dev wan0");
	begin(0);
	CU_ASSERT_EQUAL(now()->uplink_addr, 0xc0a86402);
	ip("addr add 198.51.100.1/24 dev wan0");
	settle();
	CU_ASSERT_EQUAL(now()->uplink_addr, 0xc0a86402);
	ip("route add default via 198.51.100.254");
	WAIT_UNTIL(now()->uplink_addr == WAN);
	/* It stays when the route goes; and when both go, as with a lease, the
	 * other does not take its place meanwhile. */
	ip("route del default");
	settle();
	CU_ASSERT_EQUAL(now()->uplink_addr, WAN);
	ip("addr del 198.51.100.1/24 dev wan0");
	WAIT_UNTIL(now()->uplink_addr != WAN);
	CU_ASSERT_EQUAL(now()->uplink_addr, 0);
	ip("addr add 198.51.100.1/24 dev wan0");
	WAIT_UNTIL(now()->uplink_addr == WAN);
	/* Behind another NAT the router's network is private, too. */
	ip("addr flush dev wan0");
	WAIT_UNTIL(!now()->uplink_addr);
	ip("addr add 192.168.100.2/24 dev wan0");
	ip("addr add 10.0.0.2/24 dev wan0");
	ip("route add default via 10.0.0.1");
	WAIT_UNTIL(now()->uplink_addr == 0x0a000002);
	/* One is better than none, and a public one is as good as the link's. */
	ip("addr del 10.0.0.2/24 dev wan0");
	ip("route replace default via 10.0.0.1 dev wan0 onlink");
	WAIT_UNTIL(now()->uplink_addr == 0xc0a86402);
	ip("addr flush dev wan0");
	ip("addr add 198.51.100.1/32 dev wan0");
	ip("addr add 10.0.0.2/24 dev wan0");
	ip("route replace default via 10.0.0.1");
	WAIT_UNTIL(now()->uplink_addr == WAN);
	end();
}

/* A VPN as the uplink: its address is private, and its ways to the world are
 * none that a default route of the main table shows. */
static void test_address_of_a_tunnel(void)
{
	new_namespace();
	add_device("wan0");
	add_device("other0");
	ip("addr add 198.51.100.1/24 dev wan0");
	begin(0);
	CU_ASSERT_EQUAL(now()->uplink_addr, WAN);
	ip("addr flush dev wan0");
	ip("addr add 10.0.0.2/24 dev wan0");
	ip("route add 0.0.0.0/1 via 10.0.0.1");
	ip("route add 128.0.0.0/1 via 10.0.0.1");
	WAIT_UNTIL(now()->uplink_addr == 0x0a000002);
	/* Or by a rule, beside another's. */
	ip("addr flush dev wan0");
	ip("addr add 198.51.100.1/24 dev wan0");
	WAIT_UNTIL(now()->uplink_addr == WAN);
	ip("addr flush dev wan0");
	ip("addr add 10.0.0.2/24 dev wan0");
	ip("route add default dev other0");
	settle();
	CU_ASSERT_EQUAL(now()->uplink_addr, 0);
	ip("rule add not fwmark 51820 table 51820");
	WAIT_UNTIL(now()->uplink_addr == 0x0a000002);
	end();
}

static void test_fixed_address(void)
{
	new_namespace();
	add_device("wan0");
	add_device("lan0");
	ip("addr add 198.51.100.5/24 dev wan0");
	ip("addr add 198.51.100.1/24 dev lan0");
	begin(WAN);
	CU_ASSERT_EQUAL(now()->uplink_addr, 0);
	ip("addr add 198.51.100.1/24 dev wan0");
	WAIT_UNTIL(now()->uplink_addr == WAN);
	ip("addr del 198.51.100.1/24 dev wan0");
	WAIT_UNTIL(!now()->uplink_addr);
	end();
}

/* What a PPPoE reconnect does. */
static void test_recreated(void)
{
	unsigned before;

	new_namespace();
	add_device("wan0");
	ip("addr add 198.51.100.1/24 dev wan0");
	begin(0);
	before = now()->uplink.index;
	ip("link del wan0");
	WAIT_UNTIL(!now()->uplink.index);
	CU_ASSERT_EQUAL(now()->uplink_addr, 0);
	CU_ASSERT(!now()->uplink.up);
	add_device("wan0");
	ip("addr add 203.0.113.9/24 dev wan0");
	WAIT_UNTIL(now()->uplink_addr == 0xcb007109);
	CU_ASSERT(now()->uplink.index != before);
	CU_ASSERT_EQUAL(now()->uplink.index, if_nametoindex("wan0"));
	/* Both in one wake-up. */
	before = now()->uplink.index;
	ip("link del wan0");
	add_device("wan0");
	WAIT_UNTIL(now()->uplink.index && now()->uplink.index != before);
	CU_ASSERT_EQUAL(now()->uplink_addr, 0);
	end();
}

static void test_renamed(void)
{
	new_namespace();
	add_device("eth5");
	ip("addr add 198.51.100.1/24 dev eth5");
	begin(0);
	CU_ASSERT_EQUAL(now()->uplink.index, 0);
	ip("link set eth5 down");
	ip("link set eth5 name wan0");
	WAIT_UNTIL(now()->uplink_addr == WAN);
	CU_ASSERT_EQUAL(now()->uplink.index, if_nametoindex("wan0"));
	ip("link set wan0 name gone");
	WAIT_UNTIL(!now()->uplink.index);
	CU_ASSERT_EQUAL(now()->uplink_addr, 0);
	end();
}

static void test_carrier_and_mtu(void)
{
	new_namespace();
	add_device("wan0");
	add_device("lan1");
	begin(0);
	WAIT_UNTIL(now()->uplink.up && now()->inside[1].up);
	CU_ASSERT(!now()->inside[0].up);
	ip("link set wan0-peer down");
	WAIT_UNTIL(!now()->uplink.up);
	ip("link set wan0-peer up");
	WAIT_UNTIL(now()->uplink.up);
	ip("link set wan0 mtu 1400");
	WAIT_UNTIL(now()->uplink.mtu == 1400);
	ip("link set lan1 down");
	WAIT_UNTIL(!now()->inside[1].up);
	CU_ASSERT_EQUAL(now()->inside[1].index, if_nametoindex("lan1"));
	end();
}

/* --- notifications ------------------------------------------------------ */

static void test_coalesced(void)
{
	new_namespace();
	add_device("wan0");
	add_device("lan0");
	begin(0);
	WAIT_UNTIL(now()->uplink.up && now()->inside[0].up);
	settle();
	/* Many differences, one wake-up. */
	ip("addr add 198.51.100.1/24 dev wan0");
	ip("addr add 192.168.1.1/24 dev lan0");
	ip("route add 172.20.0.0/16 via 192.168.1.254");
	ip("link set lan0 mtu 1300");
	CU_ASSERT_EQUAL(settle(), 1);
	CU_ASSERT_EQUAL(now()->inside[0].mtu, 1300);
	/* Much ado about nothing. */
	ip("addr add 127.5.0.1/8 dev lo");
	ip("route add 172.20.7.0/24 via 192.168.1.254");
	ip("addr add 198.51.100.77/24 dev wan0");
	ip("addr del 198.51.100.77/24 dev wan0");
	CU_ASSERT_EQUAL(settle(), 0);
	end();
}

/* Sum of the drops of all netlink sockets of this namespace. */
static unsigned long netlink_drops(void)
{
	FILE *file = fopen("/proc/thread-self/net/netlink", "re");
	unsigned long drops, sum = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "%*s %*s %*s %*s %*s %*s %*s %*s %lu",
			   &drops) == 1)
			sum += drops;
	if (file)
		fclose(file);
	return sum;
}

/* More notifications than the socket holds: some are lost, the state is right
 * all the same. */
static void test_overrun(void)
{
	char command[] = "ip -batch -";
	FILE *pipe;

	new_namespace();
	add_device("wan0");
	add_device("lan0");
	ip("addr add 192.168.1.1/24 dev lan0");
	begin(0);
	pipe = popen(command, "we");
	CU_ASSERT_PTR_NOT_NULL_FATAL(pipe);
	for (unsigned i = 0; i < 3000; i++)
		fprintf(pipe, "route add 172.%u.%u.0/24 via 192.168.1.254\n",
			16 + i / 256, i % 256);
	CU_ASSERT_EQUAL(pclose(pipe), 0);
	ip("addr add 198.51.100.1/24 dev wan0");
	CU_ASSERT(netlink_drops() > 0);
	WAIT_UNTIL(now()->uplink_addr == WAN);
	settle();
	CU_ASSERT_EQUAL(now()->inside_net_count, 3001);
	CU_ASSERT(is_inside(0xac100000 + (2999 << 8), 24));
	/* And it goes on. */
	ip("addr del 198.51.100.1/24 dev wan0");
	WAIT_UNTIL(!now()->uplink_addr);
	end();
}

static struct network *to_close;

static void close_on_change(void *context)
{
	(void)context;
	lab.changes++;
	network_close(to_close);
	to_close = NULL;
	loop_stop(lab.loop);
}

static void test_close_in_handler(void)
{
	new_namespace();
	begin(0);
	lab.changes = 0;
	lab.stop_on_change = false;
	to_close = network_open(lab.loop, "wan0", NULL, 0, 0, 0,
				close_on_change, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(to_close);
	add_device("wan0");
	set_timer(2000);
	CU_ASSERT_EQUAL(loop_run(lab.loop), 0);
	CU_ASSERT_PTR_NULL(to_close);
	settle();
	end();
}

static const struct test tests[] = {
	{ "an uplink that appears is found", test_nothing_yet },
	{ "the uplink's address is followed", test_address },
	{ "the address in use stays while it is there", test_two_addresses },
	{ "an address beside the router's network is not taken",
	  test_address_aside },
	{ "an uplink's address without a default route that shows is taken",
	  test_address_of_a_tunnel },
	{ "a fixed address counts once it is there", test_fixed_address },
	{ "a re-created device is found again", test_recreated },
	{ "a renamed device comes and goes", test_renamed },
	{ "carrier and MTU are followed", test_carrier_and_mtu },
	{ "changes are told once and only when real", test_coalesced },
	{ "lost notifications do no harm", test_overrun },
	{ "the monitor may be closed by its handler", test_close_in_handler },
};

int main(int argc, char **argv)
{
	return uplink_lab_run("uplink", tests, sizeof(tests) / sizeof(*tests),
			      argc, argv);
}
