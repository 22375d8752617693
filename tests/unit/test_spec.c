/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pools, queue ports and devices, from configuration and network.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "platform/spec.h"
#include "suite.h"

static struct config_range all_ports[] = { { 1024, 65535 } };
static struct config_range low_ports[] = { { 512, 1023 } };
static char configured[][IFNAMSIZ] = { "lan0", "lan1" };

static struct config base(void)
{
	return (struct config){
		.uplink_device = "wan0",
		.ports = all_ports,
		.ports_count = 1,
		.low_ports = low_ports,
		.low_ports_count = 1,
		.router_ports = { 32768, 34815 },
		.inside_devices = configured,
		.inside_count = 2,
		.queue = { .number = 7, .mark = 0x03000000 },
		.fallback = CONFIG_FALLBACK_CLOSED,
		.mss = CONFIG_MSS_AUTO,
	};
}

static uint32_t count(const struct nat_portset *set)
{
	uint32_t ports = 0;

	for (uint32_t port = 0; port < NAT_PORTS; port++)
		ports += nat_portset_has(set, (uint16_t)port);
	return ports;
}

static void test_pools(void)
{
	struct config config = base();
	struct spec_storage spec;
	const struct nat_portset *udp = &spec.pool[NAT_POOL_UDP];

	CU_ASSERT_EQUAL_FATAL(spec_build(&config, NULL, &spec), 0);
	CU_ASSERT_EQUAL(count(udp), 65536 - 512 - 2048);
	CU_ASSERT_FALSE(nat_portset_has(udp, 511));
	CU_ASSERT_TRUE(nat_portset_has(udp, 512));
	CU_ASSERT_TRUE(nat_portset_has(udp, 32767));
	CU_ASSERT_FALSE(nat_portset_has(udp, 32768));
	CU_ASSERT_FALSE(nat_portset_has(udp, 34815));
	CU_ASSERT_TRUE(nat_portset_has(udp, 34816));
	CU_ASSERT_TRUE(nat_portset_has(udp, 65535));
	CU_ASSERT_EQUAL(memcmp(udp, &spec.pool[NAT_POOL_TCP], sizeof(*udp)), 0);
	/* Query ids: no low ones, none kept for the router. */
	CU_ASSERT_EQUAL(count(&spec.pool[NAT_POOL_ICMP]), 65536 - 1024);
	spec_free(&spec);
}

static void test_port_zero(void)
{
	struct config_range everything[] = { { 0, 65535 } };
	struct config config = base();
	struct spec_storage spec;

	config.ports = everything;
	CU_ASSERT_EQUAL_FATAL(spec_build(&config, NULL, &spec), 0);
	CU_ASSERT_FALSE(nat_portset_has(&spec.pool[NAT_POOL_TCP], 0));
	spec_free(&spec);
}

static void test_forwards(void)
{
	struct nat_forward forwards[] = {
		{ .proto = NAT_PROTO_TCP,
		  .outside_first = 80,
		  .outside_last = 82 },
		{ .proto = NAT_PROTO_UDP,
		  .outside_first = 33000,
		  .outside_last = 33000 },
	};
	struct config config = base();
	struct spec_storage spec;

	config.nat.forwards = forwards;
	config.nat.forward_count = 2;
	CU_ASSERT_EQUAL_FATAL(spec_build(&config, NULL, &spec), 0);
	CU_ASSERT_TRUE(nat_portset_has(spec.rules.tcp, 80));
	CU_ASSERT_TRUE(nat_portset_has(spec.rules.tcp, 82));
	CU_ASSERT_FALSE(nat_portset_has(spec.rules.tcp, 83));
	CU_ASSERT_FALSE(nat_portset_has(spec.rules.udp, 80));
	/* A forward wins over the router's ports; the pool does not. */
	CU_ASSERT_TRUE(nat_portset_has(spec.rules.udp, 33000));
	CU_ASSERT_FALSE(nat_portset_has(spec.rules.tcp, 33000));
	CU_ASSERT_FALSE(nat_portset_has(&spec.pool[NAT_POOL_UDP], 33000));
	CU_ASSERT_FALSE(nat_portset_has(&spec.pool[NAT_POOL_TCP], 80));
	CU_ASSERT_EQUAL(count(spec.rules.tcp),
			count(&spec.pool[NAT_POOL_TCP]) + 3);
	spec_free(&spec);
}

static void test_empty_pool(void)
{
	struct config_range few[] = { { 33000, 33010 } };
	struct config config = base();
	struct spec_storage spec;

	config.ports = few;
	config.low_ports_count = 0;
	CU_ASSERT_EQUAL(spec_build(&config, NULL, &spec), -ERANGE);
	CU_ASSERT_EQUAL(spec_check(&config), -ERANGE);
	CU_ASSERT_PTR_NOT_NULL(strstr(spec_error(-ERANGE), "router_ports"));
}

static void test_configured_devices(void)
{
	struct config config = base();
	struct spec_storage spec;

	config.uplink_address = 0xcb007101;
	CU_ASSERT_EQUAL_FATAL(spec_build(&config, NULL, &spec), 0);
	CU_ASSERT_STRING_EQUAL(spec.rules.uplink, "wan0");
	CU_ASSERT_EQUAL(spec.rules.uplink_addr, 0xcb007101);
	CU_ASSERT_EQUAL(spec.rules.inside_count, 2);
	CU_ASSERT_STRING_EQUAL(spec.rules.inside[1], "lan1");
	CU_ASSERT_EQUAL(spec.rules.queue_number, 7);
	CU_ASSERT_EQUAL(spec.rules.mark, 0x03000000);
	CU_ASSERT_FALSE(spec.rules.fallback_kernel);
	CU_ASSERT_FALSE(spec.rules.mss_clamp);
	spec_free(&spec);
	config.uplink_device[0] = '\0';
	CU_ASSERT_EQUAL(spec_build(&config, NULL, &spec), -ENODEV);
}

static struct network_state network_of(struct network_device *inside,
				       uint32_t uplink_mtu)
{
	struct network_state network = {
		.uplink = { .name = "ppp0", .mtu = uplink_mtu },
		.uplink_addr = 0xcb007102,
		.inside = inside,
		.inside_count = 2,
	};

	return network;
}

static void test_network(void)
{
	struct network_device inside[] = { { .name = "br0", .mtu = 1400 },
					   { .name = "br1", .mtu = 1500 } };
	struct nat_prefix net = { 0xc0a80100, 24 };
	struct network_state network = network_of(inside, 1492);
	struct config config = base();
	struct spec_storage spec;

	network.inside_nets = &net;
	network.inside_net_count = 1;
	CU_ASSERT_EQUAL_FATAL(spec_build(&config, &network, &spec), 0);
	CU_ASSERT_STRING_EQUAL(spec.rules.uplink, "ppp0");
	CU_ASSERT_EQUAL(spec.rules.uplink_addr, 0xcb007102);
	CU_ASSERT_STRING_EQUAL(spec.rules.inside[0], "br0");
	CU_ASSERT_EQUAL(spec.rules.inside_nets[0].addr, 0xc0a80100);
	/* One wider device is enough. */
	CU_ASSERT_EQUAL(spec.rules.inside_mtu, 1500);
	CU_ASSERT_TRUE(spec.rules.mss_clamp);
	spec_free(&spec);
}

/* The monitor frees its arrays at each change; a plan outlives that. */
static void test_copies(void)
{
	struct network_device inside[] = { { .name = "br0" },
					   { .name = "br1" } };
	struct nat_prefix *nets = calloc(3, sizeof(*nets));
	struct network_state network = network_of(inside, 0);
	struct config config = base();
	struct spec_storage spec;

	nets[0] = (struct nat_prefix){ 0xc0a80100, 24 };
	nets[1] = (struct nat_prefix){ 0xc0a80200, 24 };
	nets[2] = (struct nat_prefix){ 0x0a090000, 16 };
	network.inside_nets = nets;
	network.inside_net_count = 2;
	network.elsewhere = &nets[2];
	network.elsewhere_count = 1;
	CU_ASSERT_EQUAL_FATAL(spec_build(&config, &network, &spec), 0);
	memset(nets, 0xff, 3 * sizeof(*nets));
	free(nets);
	CU_ASSERT_EQUAL_FATAL(spec.rules.inside_net_count, 2);
	CU_ASSERT_EQUAL(spec.rules.inside_nets[0].addr, 0xc0a80100);
	CU_ASSERT_EQUAL(spec.rules.inside_nets[1].addr, 0xc0a80200);
	CU_ASSERT_EQUAL_FATAL(spec.rules.elsewhere_count, 1);
	CU_ASSERT_EQUAL(spec.rules.elsewhere[0].addr, 0x0a090000);
	CU_ASSERT_EQUAL(spec.rules.elsewhere[0].length, 16);
	spec_free(&spec);
	CU_ASSERT_PTR_NULL(spec.rules.inside_nets);
	CU_ASSERT_EQUAL(spec.rules.inside_net_count, 0);
}

/* The devices are not there: `portico rules` on another machine. */
static void test_configured_address(void)
{
	struct network_device inside[] = { { .name = "br0" },
					   { .name = "br1" } };
	struct network_state network = network_of(inside, 0);
	struct config config = base();
	struct spec_storage spec;

	network.uplink_addr = 0;
	config.uplink_address = 0xcb007101;
	CU_ASSERT_EQUAL_FATAL(spec_build(&config, &network, &spec), 0);
	CU_ASSERT_EQUAL(spec.rules.uplink_addr, 0xcb007101);
	spec_free(&spec);
	config.uplink_address = 0;
	CU_ASSERT_EQUAL_FATAL(spec_build(&config, &network, &spec), 0);
	CU_ASSERT_EQUAL(spec.rules.uplink_addr, 0);
	spec_free(&spec);
}

static void test_mss(void)
{
	struct network_device inside[] = { { .name = "br0", .mtu = 1500 },
					   { .name = "br1", .mtu = 1500 } };
	static const struct {
		uint32_t uplink_mtu;
		enum config_mss mss;
		bool clamp;
	} cases[] = {
		{ 1492, CONFIG_MSS_AUTO, true },
		{ 1500, CONFIG_MSS_AUTO, false },
		{ 9000, CONFIG_MSS_AUTO, false },
		{ 0, CONFIG_MSS_AUTO, false }, /* no such device yet */
		{ 1492, CONFIG_MSS_OFF, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct network_state network =
			network_of(inside, cases[i].uplink_mtu);
		struct config config = base();
		struct spec_storage spec;

		config.mss = cases[i].mss;
		CU_ASSERT_EQUAL_FATAL(spec_build(&config, &network, &spec), 0);
		CU_ASSERT_EQUAL(spec.rules.mss_clamp, cases[i].clamp);
		spec_free(&spec);
	}
}

static void test_named_devices(void)
{
	struct config config = base();
	struct spec_devices devices;

	CU_ASSERT_EQUAL_FATAL(spec_choose_devices(&config, &devices), 0);
	CU_ASSERT_STRING_EQUAL(devices.uplink, "wan0");
	CU_ASSERT_EQUAL(devices.inside_count, 2);
	CU_ASSERT_STRING_EQUAL(devices.inside[0], "lan0");
	free(devices.inside);
	/* The uplink is never inside. */
	strcpy(config.uplink_device, "lan1");
	CU_ASSERT_EQUAL_FATAL(spec_choose_devices(&config, &devices), 0);
	CU_ASSERT_EQUAL(devices.inside_count, 1);
	free(devices.inside);
}

static const struct test tests[] = {
	{ "the pool is all ports but the router's", test_pools },
	{ "port 0 is never handed out", test_port_zero },
	{ "forwards enter the queue but not the pool", test_forwards },
	{ "a pool without a port is an error", test_empty_pool },
	{ "without a network the configuration speaks",
	  test_configured_devices },
	{ "the network's devices and addresses are taken", test_network },
	{ "of the network nothing is kept but copies", test_copies },
	{ "a configured address needs no device", test_configured_address },
	{ "segments are clamped for a narrow uplink only", test_mss },
	{ "named devices are taken, the uplink is not inside",
	  test_named_devices },
};

int main(int argc, char **argv)
{
	return suite_run("spec", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
