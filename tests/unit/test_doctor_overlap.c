/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the doctor says of an uplink behind another NAT, and of tunnels that the
 * router itself ends.
 */
#include "doctor_lab.h"
#include "suite.h"

/* An uplink 10.1.2.3/24 behind another NAT. */
static const char uplink_routes[] =
	"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n"
	"wan0\t00000000\t0102010A\t0003\t0\t0\t0\t00000000\n"
	"wan0\t0002010A\t00000000\t0001\t0\t0\t0\t00FFFFFF\n"
	"lan0\t0000000A\t0101A8C0\t0003\t0\t0\t0\t000000FF\n";

/* Findings of an uplink address, one inside network and what is exempt. */
static struct doctor_report overlap_exempt(uint32_t uplink_addr,
					   struct nat_prefix net,
					   const struct nat_prefix *exempt,
					   size_t exempt_count)
{
	struct config config = {
		.nat = { .exempt = exempt, .exempt_count = exempt_count },
	};
	struct network_state network = {
		.uplink = { .name = "wan0", .index = 2 },
		.uplink_addr = uplink_addr,
		.inside_nets = &net,
		.inside_net_count = 1,
	};
	struct doctor_context context = { .config = &config,
					  .network = &network };
	struct doctor_report report = { 0 };

	doctor_overlap(&context, uplink_routes, &report);
	return report;
}

static struct doctor_report overlap_of(uint32_t uplink_addr,
				       struct nat_prefix net)
{
	return overlap_exempt(uplink_addr, net, NULL, 0);
}

/* The kernel prints network-order words as this machine's numbers: the text
 * above is a little-endian one's. */
static bool little_endian(void)
{
	const uint16_t one = 1;

	return *(const uint8_t *)&one == 1;
}

static void test_overlap(void)
{
	struct doctor_report report;
	const struct doctor_finding *finding;

	report = overlap_of(0x0a010203, (struct nat_prefix){ 0x0a000000, 8 });
	finding = find(&report, "uplink's address 10.1.2.3", "10.0.0.0/8");
	CU_ASSERT_PTR_NOT_NULL_FATAL(finding);
	CU_ASSERT_EQUAL(finding->level, DOCTOR_FAIL);
	CU_ASSERT_PTR_NOT_NULL(finding->remedy);
	if (little_endian()) {
		CU_ASSERT_EQUAL(report.count, 3);
		CU_ASSERT_PTR_NOT_NULL(
			find(&report, "network 10.1.2.0/24 at", "10.0.0.0/8"));
	}
	doctor_report_free(&report);
	/* A narrow inside beside it is a usual double NAT; so is none. */
	report = overlap_of(0x0a010203, (struct nat_prefix){ 0x0a010300, 24 });
	CU_ASSERT_EQUAL(report.count, 1);
	CU_ASSERT_EQUAL(report.worst, DOCTOR_WARN);
	doctor_report_free(&report);
	report = overlap_of(0, (struct nat_prefix){ 0xc0a80000, 16 });
	CU_ASSERT_EQUAL(report.count, 0);
	doctor_report_free(&report);
}

/* Both sides of the edge of every network that is not public. */
static void test_carrier(void)
{
	static const struct {
		uint32_t addr;
		const char *found; /* NULL: nothing */
	} cases[] = {
		{ 0x09ffffff, NULL },
		{ 0x0a000000, "10.0.0.0 is not a public one" },
		{ 0x0affffff, "10.255.255.255 is not a public one" },
		{ 0x0b000000, NULL },
		{ 0x643fffff, NULL },
		{ 0x64400000, "100.64.0.0 is not a public one: behind another "
			      "NAT of the provider (CGN)" },
		{ 0x647fffff, "NAT of the provider (CGN)" },
		{ 0x64800000, NULL },
		{ 0xac0fffff, NULL },
		{ 0xac100000, "behind another NAT, forwards" },
		{ 0xac1fffff, "behind another NAT, forwards" },
		{ 0xac200000, NULL },
		{ 0xc0a7ffff, NULL },
		{ 0xc0a80000, "behind another NAT, forwards" },
		{ 0xc0a8ffff, "behind another NAT, forwards" },
		{ 0xc0a90000, NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct doctor_report report = overlap_of(
			cases[i].addr, (struct nat_prefix){ 0xc6120000, 24 });

		CU_ASSERT_EQUAL(report.count, cases[i].found ? 1 : 0);
		if (cases[i].found)
			CU_ASSERT_PTR_NOT_NULL(
				find(&report, cases[i].found, "there"));
		doctor_report_free(&report);
	}
}

static void test_exempt(void)
{
	static const struct nat_prefix lan = { 0xc0a80100, 24 };
	static const struct nat_prefix wide[] = { { 0xac100000, 12 },
						  { 0xc0a80000, 16 } };
	static const struct nat_prefix same[] = { { 0xc0a80100, 24 } };
	static const struct nat_prefix beside[] = { { 0xc0a80000, 24 },
						    { 0xc0a80200, 24 } };
	static const struct nat_prefix uplink[] = { { 0xcb007100, 24 } };
	const struct doctor_finding *finding;
	struct doctor_report report;

	report = overlap_exempt(0xcb007107, lan, wide, 2);
	CU_ASSERT_EQUAL(report.count, 1);
	CU_ASSERT_EQUAL(report.worst, DOCTOR_WARN);
	CU_ASSERT_PTR_NOT_NULL(
		find(&report, "exempt 192.168.0.0/16", "192.168.1.0/24"));
	doctor_report_free(&report);
	report = overlap_exempt(0xcb007107, lan, same, 1);
	CU_ASSERT_PTR_NOT_NULL(
		find(&report, "exempt 192.168.1.0/24", "untranslated"));
	doctor_report_free(&report);
	report = overlap_exempt(0xcb007107, lan, beside, 2);
	CU_ASSERT_EQUAL(report.count, 0);
	doctor_report_free(&report);
	report = overlap_exempt(0xcb007107, lan, uplink, 1);
	CU_ASSERT_EQUAL(report.count, 1);
	finding = find(&report, "exempt 203.0.113.0/24", "203.0.113.7");
	CU_ASSERT_PTR_NOT_NULL_FATAL(finding);
	CU_ASSERT_EQUAL(finding->level, DOCTOR_FAIL);
	CU_ASSERT_PTR_NOT_NULL(finding->remedy);
	doctor_report_free(&report);
	report = overlap_exempt(0, lan, uplink, 1);
	CU_ASSERT_EQUAL(report.count, 0);
	doctor_report_free(&report);
}

static void test_tunnels(void)
{
	static struct config config;
	struct doctor_context context = { .config = &config };
	struct doctor_report report = { 0 };
	const struct doctor_tunnels none = { .esp = false };
	const struct doctor_tunnels both = { true, "tun-office" };

	doctor_tunnels_judge(&context, &none, &report);
	CU_ASSERT_EQUAL(report.count, 0);
	doctor_tunnels_judge(&context, &both, &report);
	CU_ASSERT_EQUAL(report.count, 2);
	CU_ASSERT_PTR_NOT_NULL(find(&report, "IPsec", "ESP"));
	CU_ASSERT_PTR_NOT_NULL(find(&report, "GRE", "tun-office"));
	CU_ASSERT_EQUAL(report.worst, DOCTOR_WARN);
	doctor_report_free(&report);
	config.nat.untranslated[NAT_PROTO_ESP] = true;
	config.nat.untranslated[NAT_PROTO_GRE] = true;
	doctor_tunnels_judge(&context, &both, &report);
	CU_ASSERT_EQUAL(report.count, 0);
	doctor_report_free(&report);
}

static const struct test tests[] = {
	{ "networks both inside and at the uplink", test_overlap },
	{ "an uplink address that is not public is told", test_carrier },
	{ "exempt networks of the gateway's own are told", test_exempt },
	{ "tunnels that the router ends are told", test_tunnels },
};

int main(int argc, char **argv)
{
	return suite_run("doctor overlap", tests,
			 sizeof(tests) / sizeof(tests[0]), argc, argv);
}
