/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The network monitor against the real kernel: what is inside, what is
 * elsewhere, and automatic mode.
 * Each test has an empty network namespace of its own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "platform/spec.h"
#include "uplink_lab.h"

static void test_inside_nets(void)
{
	new_namespace();
	add_device("lan0");
	add_device("lan1");
	ip("addr add 192.168.1.1/24 dev lan0");
	ip("addr add 192.168.1.2/24 dev lan0");
	begin(0);
	CU_ASSERT_EQUAL(now()->inside_net_count, 1);
	CU_ASSERT(is_inside(0xc0a80100, 24));
	ip("addr add 10.9.0.1/16 dev lan1");
	WAIT_UNTIL(is_inside(0x0a090000, 16));
	/* An inner router's networks. */
	ip("route add 172.20.0.0/16 via 192.168.1.254");
	WAIT_UNTIL(is_inside(0xac140000, 16));
	ip("route add 172.20.5.0/24 via 192.168.1.253");
	ip("route add default via 192.168.1.254");
	settle();
	CU_ASSERT_EQUAL(now()->inside_net_count, 3);
	ip("route del 172.20.0.0/16");
	WAIT_UNTIL(is_inside(0xac140500, 24) && !is_inside(0xac140000, 16));
	/* The kernel takes these routes away, without a word; what is behind
	 * the device is as it was. */
	ip("link set lan0 down");
	WAIT_UNTIL(!now()->inside[0].up);
	CU_ASSERT(is_inside(0xac140500, 24));
	CU_ASSERT(is_inside(0x0a090000, 16));
	CU_ASSERT(now()->inside[0].networks);
	ip("link set lan0 up");
	WAIT_UNTIL(!is_inside(0xac140500, 24));
	CU_ASSERT_EQUAL(now()->elsewhere_count, 0);
	end();
}

static void test_kept_nets(void)
{
	new_namespace();
	add_device("lan0");
	ip("addr add 192.168.1.1/24 dev lan0");
	begin(0);
	CU_ASSERT(now()->inside_unknown);
	ip("addr del 192.168.1.1/24 dev lan0");
	WAIT_UNTIL(!now()->inside[0].networks);
	CU_ASSERT(is_inside(0xc0a80100, 24));
	ip("link set lan0 down");
	ip("link set lan0 name other0");
	WAIT_UNTIL(!now()->inside[0].index);
	CU_ASSERT(is_inside(0xc0a80100, 24));
	/* As soon as it tells of others they take the place. */
	ip("link set other0 name lan0");
	ip("addr add 10.7.0.1/16 dev lan0");
	ip("link set lan0 up");
	WAIT_UNTIL(is_inside(0x0a070000, 16) && !is_inside(0xc0a80100, 24));
	add_device("lan1");
	ip("addr add 10.8.0.1/16 dev lan1");
	WAIT_UNTIL(!now()->inside_unknown);
	CU_ASSERT_EQUAL(now()->inside_net_count, 2);
	end();
}

static bool is_away(uint32_t addr, uint8_t length)
{
	for (size_t i = 0; i < now()->away_count; i++)
		if (now()->away[i].addr == addr &&
		    now()->away[i].length == length)
			return true;
	return false;
}

static void test_away(void)
{
	new_namespace();
	add_device("wan0");
	add_device("lan0");
	ip("addr add 192.168.9.7/24 dev wan0");
	ip("addr add 192.168.1.1/24 dev lan0");
	ip("route add default via 192.168.9.1");
	ip("route add 192.168.0.0/16 via 192.168.1.254");
	ip("route add 224.0.0.0/4 dev lan0");
	ip("route add 255.255.255.255 dev lan0");
	begin(0);
	CU_ASSERT_EQUAL(now()->away_count, 0);
	CU_ASSERT_EQUAL(now()->inside_net_count, 1);
	/* Of the wide one, a part is the uplink's. */
	ip("link set lan0 down");
	WAIT_UNTIL(now()->away_count == 1);
	CU_ASSERT(is_away(0xc0a80100, 24));
	CU_ASSERT(is_inside(0xc0a80000, 16));
	ip("link set lan0 up");
	WAIT_UNTIL(now()->away_count == 0);
	/* The same network on both sides. */
	ip("addr add 192.168.1.7/24 dev wan0");
	ip("link set lan0 down");
	WAIT_UNTIL(!now()->inside[0].up);
	CU_ASSERT(!is_away(0xc0a80100, 24));
	CU_ASSERT(is_inside(0xc0a80100, 24));
	end();
}

/* What an earlier process served stands for a device that is away, until it is
 * there. */
static void test_remembered(void)
{
	static const struct nat_prefix nets[] = { { 0x0a070000, 24 },
						  { 0xc0a80100, 24 } };

	new_namespace();
	add_device("lan1");
	ip("addr add 192.168.1.1/24 dev lan1");
	begin(0);
	CU_ASSERT(now()->inside_unknown);
	CU_ASSERT_EQUAL(network_remember(lab.network, nets, 2), 0);
	CU_ASSERT(!now()->inside_unknown);
	CU_ASSERT_EQUAL(now()->inside_net_count, 2);
	CU_ASSERT(is_inside(0x0a070000, 24) && is_away(0x0a070000, 24));
	/* lan1 has it, and is there. */
	CU_ASSERT(!is_away(0xc0a80100, 24));
	CU_ASSERT_EQUAL(network_remember(lab.network, nets, 2), 0);
	CU_ASSERT_EQUAL(now()->inside_net_count, 2);
	add_device("lan0");
	ip("addr add 10.9.0.1/16 dev lan0");
	WAIT_UNTIL(is_inside(0x0a090000, 16) && !is_inside(0x0a070000, 24));
	CU_ASSERT_EQUAL(now()->away_count, 0);
	end();
}

/* An uplink, an inside device and one that is neither. */
static void three_sides(void)
{
	new_namespace();
	add_device("wan0");
	add_device("lan0");
	add_device("vpn0");
	ip("addr add 198.51.100.1/24 dev wan0");
	ip("addr add 192.168.1.1/24 dev lan0");
	ip("addr add 10.8.0.2/24 dev vpn0");
}

static void test_elsewhere(void)
{
	three_sides();
	ip("route add default via 198.51.100.254");
	begin(0);
	CU_ASSERT_EQUAL(now()->elsewhere_count, 1);
	CU_ASSERT(is_elsewhere(0x0a080000, 24));
	ip("route add 10.50.0.0/16 via 10.8.0.1");
	ip("route add blackhole 10.60.0.0/16");
	ip("route add unreachable 10.70.0.0/16");
	ip("route add prohibit 10.80.1.1");
	WAIT_UNTIL(now()->elsewhere_count == 5);
	CU_ASSERT(is_elsewhere(0x0a320000, 16));
	CU_ASSERT(is_elsewhere(0x0a3c0000, 16));
	CU_ASSERT(is_elsewhere(0x0a460000, 16));
	CU_ASSERT(is_elsewhere(0x0a500101, 32));
	/* Not elsewhere: uplink, inside, another table, lo, type throw. */
	ip("route add 203.0.113.0/24 via 198.51.100.253");
	ip("route add 172.20.0.0/16 via 192.168.1.254");
	ip("route add 10.90.0.0/16 via 10.8.0.1 table 77");
	ip("route add 10.91.0.0/16 dev lo");
	ip("route add throw 10.92.0.0/16");
	settle();
	CU_ASSERT_EQUAL(now()->elsewhere_count, 5);
	/* Nor is a default route, whatever its device. */
	ip("route add default via 10.8.0.1 metric 500");
	CU_ASSERT_EQUAL(settle(), 0);
	ip("route add 128.0.0.0/1 via 10.8.0.1");
	WAIT_UNTIL(is_elsewhere(0x80000000, 2));
	end();
}

/* Rules name what is elsewhere: the rest of it, where a part is not. */
static void test_elsewhere_but_for_a_part(void)
{
	three_sides();
	ip("route add default via 198.51.100.254");
	ip("route add 198.0.0.0/8 via 10.8.0.1");
	ip("route add 198.51.100.64/26 via 10.8.0.1");
	begin(0);
	/* 198.51.100.0/24 is on a wire of ours: 16 halves without it are left,
	 * and the part of it that is elsewhere all the same. */
	CU_ASSERT_EQUAL(now()->elsewhere_count, 1 + 16 + 1);
	CU_ASSERT(is_elsewhere(0xc6800000, 9));
	CU_ASSERT(is_elsewhere(0xc6000000, 11));
	CU_ASSERT(is_elsewhere(0xc6336500, 24));
	CU_ASSERT(is_elsewhere(0xc6336440, 26));
	CU_ASSERT(!is_elsewhere(0xc6336400, 24));
	/* What has a better way elsewhere is not the uplink's. */
	ip("route replace 10.64.0.0/16 via 10.8.0.1 metric 5");
	ip("route add 10.64.0.0/16 via 198.51.100.254 metric 6");
	WAIT_UNTIL(is_elsewhere(0x0a400000, 16));
	ip("link set wan0 down");
	WAIT_UNTIL(is_elsewhere(0xc6000000, 8));
	end();
}

/* The state tells it at once, and that alone is no change. */
static void test_default_route(void)
{
	three_sides();
	begin(0);
	CU_ASSERT_EQUAL(now()->default_route, NETWORK_DEFAULT_NONE);
	ip("route add unreachable default metric 4000000");
	ip("route add 0.0.0.0/1 via 198.51.100.254");
	CU_ASSERT_EQUAL(settle(), 0);
	CU_ASSERT_EQUAL(now()->default_route, NETWORK_DEFAULT_NONE);
	ip("route add 128.0.0.0/1 via 198.51.100.254");
	CU_ASSERT_EQUAL(settle(), 0);
	CU_ASSERT_EQUAL(now()->default_route, NETWORK_DEFAULT_UPLINK);
	ip("route del 0.0.0.0/1");
	ip("route add default via 10.8.0.1 metric 500");
	settle();
	CU_ASSERT_EQUAL(now()->default_route, NETWORK_DEFAULT_ELSEWHERE);
	ip("route add default via 198.51.100.254 metric 600");
	CU_ASSERT_EQUAL(settle(), 0);
	CU_ASSERT_EQUAL(now()->default_route, NETWORK_DEFAULT_UPLINK);
	end();
}

/* Two providers: what takes the other one is his. */
static void test_default_elsewhere(void)
{
	three_sides();
	ip("route add default via 198.51.100.254 metric 100");
	ip("route add default via 10.8.0.1 metric 200");
	begin(0);
	CU_ASSERT_EQUAL(now()->elsewhere_count, 1);
	CU_ASSERT(is_elsewhere(0x0a080000, 24));
	/* All but the uplink's own network. */
	ip("route del default metric 100");
	WAIT_UNTIL(is_elsewhere(0, 1));
	CU_ASSERT(is_elsewhere(0xc6336500, 24));
	CU_ASSERT(!is_elsewhere(0xc6336400, 24));
	/* A rule may say otherwise for the inside. */
	ip("rule add from 192.168.1.0/24 table 77");
	WAIT_UNTIL(now()->policy_routing);
	CU_ASSERT_EQUAL(now()->elsewhere_count, 1);
	ip("rule del from 192.168.1.0/24 table 77");
	WAIT_UNTIL(is_elsewhere(0, 1));
	ip("link set wan0 down");
	WAIT_UNTIL(is_elsewhere(0, 0));
	ip("route replace default via 192.168.1.254 metric 200");
	WAIT_UNTIL(!is_elsewhere(0, 0));
	end();
}

static void test_own_addresses(void)
{
	three_sides();
	ip("link set lo up");
	begin(0);
	/* Those in an inside network or in one elsewhere need no mention. */
	CU_ASSERT(!is_elsewhere(0xc0a80101, 32));
	CU_ASSERT(!is_elsewhere(0x0a080002, 32));
	CU_ASSERT(!is_elsewhere(0x7f000000, 8));
	/* Nor has uplink_addr one. */
	CU_ASSERT_EQUAL(now()->elsewhere_count, 1);
	CU_ASSERT(is_elsewhere(0x0a080000, 24));
	ip("addr add 198.51.100.9/24 dev wan0");
	WAIT_UNTIL(is_elsewhere(0xc6336409, 32));
	ip("addr add 203.0.113.5/32 dev lo");
	WAIT_UNTIL(is_elsewhere(0xcb007105, 32));
	ip("route add local 100.64.0.0/24 dev lo");
	WAIT_UNTIL(is_elsewhere(0x64400000, 24));
	ip("addr del 203.0.113.5/32 dev lo");
	WAIT_UNTIL(!is_elsewhere(0xcb007105, 32));
	/* In another table it is for whoever a rule sends there. */
	ip("route add local default dev lo table 100");
	CU_ASSERT_EQUAL(settle(), 0);
	/* Behind another NAT the same network may be on both sides. */
	ip("addr add 192.168.1.7/24 dev wan0");
	settle();
	CU_ASSERT(!is_elsewhere(0xc0a80107, 32));
	/* Who asks the kernel does not care. */
	network_without_own(lab.network);
	CU_ASSERT(!is_elsewhere(0xc6336409, 32));
	ip("addr add 198.18.0.1/32 dev lo");
	CU_ASSERT_EQUAL(settle(), 0);
	end();
}

static void test_best_route(void)
{
	new_namespace();
	add_device("wan0");
	add_device("lan0");
	add_device("vpn0");
	ip("addr add 198.51.100.1/24 dev wan0");
	ip("addr add 10.8.0.2/24 dev vpn0");
	ip("route add 10.50.0.0/16 via 10.8.0.1 metric 20");
	begin(0);
	ip("route add 10.50.0.0/16 via 198.51.100.254 metric 30");
	settle();
	CU_ASSERT(is_elsewhere(0x0a320000, 16));
	ip("route add 10.50.0.0/16 via 198.51.100.254 metric 10");
	WAIT_UNTIL(!is_elsewhere(0x0a320000, 16));
	ip("route del 10.50.0.0/16 metric 10");
	WAIT_UNTIL(is_elsewhere(0x0a320000, 16));
	/* Several next hops: elsewhere only when all of them are. */
	ip("route add 10.51.0.0/16 nexthop via 10.8.0.1 nexthop via 10.8.0.3");
	WAIT_UNTIL(is_elsewhere(0x0a330000, 16));
	ip("route replace 10.51.0.0/16 nexthop via 10.8.0.1 "
	   "nexthop via 198.51.100.254");
	WAIT_UNTIL(!is_elsewhere(0x0a330000, 16));
	end();
}

static void test_policy(void)
{
	new_namespace();
	begin(0);
	CU_ASSERT(!now()->policy_routing);
	ip("rule add fwmark 1 table 100");
	WAIT_UNTIL(now()->policy_routing);
	ip("rule del fwmark 1 table 100");
	WAIT_UNTIL(!now()->policy_routing);
	ip("rule add from 192.168.7.0/24 lookup main");
	WAIT_UNTIL(now()->policy_routing);
	ip("rule del from 192.168.7.0/24 lookup main");
	WAIT_UNTIL(!now()->policy_routing);
	ip("rule add table main suppress_prefixlength 0");
	WAIT_UNTIL(now()->policy_routing);
	end();
}

/* --- choosing ----------------------------------------------------------- */

static void test_choose(void)
{
	char uplink[IFNAMSIZ], inside[8][IFNAMSIZ];

	new_namespace();
	add_device("eth0");
	add_device("eth1");
	ip("addr add 198.51.100.1/24 dev eth0");
	CU_ASSERT_EQUAL(network_choose(uplink, inside, 8), 0);
	CU_ASSERT_STRING_EQUAL(uplink, "");
	ip("route add default via 198.51.100.254 metric 100");
	CU_ASSERT_EQUAL(network_choose(uplink, inside, 8), 0);
	CU_ASSERT_STRING_EQUAL(uplink, "eth0");
	ip("addr add 203.0.113.1/24 dev eth1"); /* not private */
	CU_ASSERT_EQUAL(network_choose(uplink, inside, 8), 0);
	ip("addr add 192.168.1.1/24 dev eth1");
	CU_ASSERT_EQUAL(network_choose(uplink, inside, 8), 1);
	CU_ASSERT_STRING_EQUAL(inside[0], "eth1");
	/* The better default route wins. */
	ip("route add default via 192.168.1.254 metric 50");
	CU_ASSERT_EQUAL(network_choose(uplink, inside, 8), 0);
	CU_ASSERT_STRING_EQUAL(uplink, "eth1");
}

/* The uplink may have no route yet; who named it need not wait for that. */
static void test_choose_inside(void)
{
	struct config config = { .uplink_device = "eth0" };
	struct spec_devices devices;

	new_namespace();
	add_device("eth0");
	add_device("eth1");
	ip("addr add 192.168.1.1/24 dev eth1");
	CU_ASSERT_EQUAL_FATAL(spec_choose_devices(&config, &devices), 0);
	CU_ASSERT_STRING_EQUAL(devices.uplink, "eth0");
	CU_ASSERT_EQUAL_FATAL(devices.inside_count, 1);
	CU_ASSERT_STRING_EQUAL(devices.inside[0], "eth1");
	free(devices.inside);
	config.uplink_device[0] = '\0';
	CU_ASSERT_EQUAL(spec_choose_devices(&config, &devices), -ENODEV);
	CU_ASSERT_PTR_NULL(devices.inside);
}

static void test_choose_excluded(void)
{
	static const char *const names[] = { "docker0", "virbr0", "veth12",
					     "wg0", "tun0" };
	char uplink[IFNAMSIZ], inside[8][IFNAMSIZ];

	new_namespace();
	add_device("eth0");
	ip("addr add 10.0.0.2/24 dev eth0"); /* behind another NAT */
	ip("route add default via 10.0.0.1");
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
		ip("link add %s type veth peer name p%u", names[i], i);
		ip("addr add 172.%u.0.1/16 dev %s", 17 + i, names[i]);
	}
	CU_ASSERT_EQUAL(network_choose(uplink, inside, 8), 0);
	CU_ASSERT_STRING_EQUAL(uplink, "eth0");
	ip("link add br-lan type veth peer name p8");
	ip("link add br-iot type veth peer name p9");
	ip("addr add 10.1.0.1/24 dev br-lan");
	ip("addr add 172.31.0.1/16 dev br-iot");
	CU_ASSERT_EQUAL(network_choose(uplink, inside, 8), 2);
	CU_ASSERT(!strcmp(inside[0], "br-lan") || !strcmp(inside[1], "br-lan"));
	CU_ASSERT_EQUAL(network_choose(uplink, inside, 1), 1);
	CU_ASSERT_EQUAL(network_choose(uplink, NULL, 0), 0);
}

static const struct test tests[] = {
	{ "inside networks include inner routers'", test_inside_nets },
	{ "what cannot be reached now", test_away },
	{ "networks of an earlier process", test_remembered },
	{ "networks are kept while their device is away", test_kept_nets },
	{ "routes through other devices lead elsewhere", test_elsewhere },
	{ "what is elsewhere leaves out what is not",
	  test_elsewhere_but_for_a_part },
	{ "the default route is told, and no change", test_default_route },
	{ "by another default route the world is elsewhere",
	  test_default_elsewhere },
	{ "the router's own addresses are elsewhere", test_own_addresses },
	{ "only the best route of a prefix counts", test_best_route },
	{ "policy routing is noticed", test_policy },
	{ "automatic mode finds uplink and inside", test_choose },
	{ "a named uplink needs no default route", test_choose_inside },
	{ "automatic mode leaves containers alone", test_choose_excluded },
};

int main(int argc, char **argv)
{
	return uplink_lab_run("uplink networks", tests,
			      sizeof(tests) / sizeof(*tests), argc, argv);
}
