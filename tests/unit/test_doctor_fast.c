/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whether the fast path is to be left out for the rules of others, and what the
 * doctor says of it.
 */
#include <errno.h>
#include <stdlib.h>

#include "doctor_lab.h"
#include "suite.h"

#define CHAIN(hook, rules) \
	"{\"nftables\":[{\"table\":{\"family\":\"ip\",\"name\":\"t\"}}," \
	"{\"chain\":{\"family\":\"ip\",\"table\":\"t\",\"name\":\"c\"," \
	"\"type\":\"filter\",\"hook\":\"" hook \
	"\",\"prio\":0,\"policy\":\"accept\"}}" rules "]}"
#define RULE(expr) \
	",{\"rule\":{\"family\":\"ip\",\"table\":\"t\",\"chain\":\"c\"," \
	"\"handle\":3,\"expr\":[" expr "]}}"
#define DEVICE(key, name) \
	"{\"match\":{\"op\":\"==\",\"left\":{\"meta\":{\"key\":\"" key \
	"\"}},\"right\":\"" name "\"}},"
#define MARK(value) \
	"{\"match\":{\"op\":\"==\",\"left\":{\"&\":[{\"meta\":{\"key\":" \
	"\"mark\"}}," #value "]},\"right\":" #value "}},"
#define DROP "{\"drop\":null}"

static char inside[][IFNAMSIZ] = { "lan0", "lan1" };

static struct config config = {
	.uplink_device = "wan0",
	.inside_devices = inside,
	.inside_count = 2,
	.queue = { .mark = 0x03000000 },
};

static const struct doctor_context context = {
	.config = &config,
	.backend = RULES_NFTABLES,
	.daemon_runs = true,
};

/* json: NULL, nothing could be read. */
static struct doctor_report look(const char *json)
{
	struct firewall *firewall = json ? firewall_new() : NULL;
	struct doctor_report report = { 0 };

	if (json)
		CU_ASSERT_EQUAL(firewall_add_nft(firewall, json), 0);
	doctor_fast(&context, firewall, &report);
	firewall_free(firewall);
	return report;
}

static void expect(const char *json, const char *passed_by)
{
	struct doctor_report report = look(json);

	CU_ASSERT_STRING_EQUAL(report.passed_by, passed_by);
	doctor_report_free(&report);
}

static void test_both_ways_of_each_device(void)
{
	static const char place[] =
		"packets would pass by a rule of the chain \"c\" of table "
		"\"ip t\" (nftables)";

	expect(CHAIN("forward", ""), "");
	expect(CHAIN("forward", RULE(DROP)), place);
	expect(CHAIN("forward", RULE(DEVICE("iifname", "lan0") DROP)), place);
	expect(CHAIN("forward", RULE(DEVICE("iifname", "lan1") DROP)), place);
	expect(CHAIN("forward", RULE(DEVICE("iifname", "wan0") DROP)), place);
	expect(CHAIN("forward", RULE(DEVICE("oifname", "lan1") DROP)), place);
	expect(CHAIN("forward", RULE(DEVICE("iifname", "lan2") DROP)), "");
	expect(CHAIN("prerouting", RULE(DROP)), place);
	expect(CHAIN("input", RULE(DROP)), "");
}

/* Outbound packets carry the upper bit of ours, inbound ones the lower. */
static void test_marks(void)
{
	expect(CHAIN("forward",
		     RULE(DEVICE("iifname", "lan0") MARK(33554432) DROP)),
	       "packets would pass by a rule of the chain \"c\" of table "
	       "\"ip t\" (nftables)");
	expect(CHAIN("forward",
		     RULE(DEVICE("iifname", "lan0") MARK(16777216) DROP)),
	       "");
}

static void test_what_could_not_be_read(void)
{
	struct firewall *firewall = firewall_new();
	struct doctor_report report = { 0 };

	expect(NULL, "the packet filters could not be read");
	firewall->failed[RULES_IPTABLES_NFT] = -ETIMEDOUT;
	doctor_fast(&context, firewall, &report);
	CU_ASSERT_STRING_EQUAL(report.passed_by,
			       "the iptables-nft rules could not be read");
	doctor_report_free(&report);
	/* Not installed, or not in the kernel. */
	firewall->failed[RULES_IPTABLES_NFT] = -ENOENT;
	firewall->failed[RULES_IPTABLES_LEGACY] = -EIO;
	doctor_fast(&context, firewall, &report);
	CU_ASSERT_STRING_EQUAL(report.passed_by, "");
	doctor_report_free(&report);
	/* In the kernel, but not of a program that is installed. */
	firewall->failed[RULES_IPTABLES_LEGACY] = -ENOENT;
	firewall->hidden[RULES_IPTABLES_LEGACY] = true;
	doctor_fast(&context, firewall, &report);
	CU_ASSERT_STRING_EQUAL(report.passed_by,
			       "the iptables-legacy rules could not be read");
	CU_ASSERT_EQUAL(report.worst, DOCTOR_OK);
	doctor_report_free(&report);
	firewall_free(firewall);
}

static void test_it_is_told_where_nobody_chose(void)
{
	static const struct {
		enum config_switch enabled;
		size_t findings;
	} cases[] = { { CONFIG_AUTO, 1 }, { CONFIG_ON, 0 }, { CONFIG_OFF, 0 } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct doctor_report report;

		config.fast_path.enabled = cases[i].enabled;
		report = look(CHAIN("forward", RULE(DROP)));
		CU_ASSERT_EQUAL(report.count, cases[i].findings);
		CU_ASSERT_EQUAL(report.worst, DOCTOR_OK);
		CU_ASSERT(!report.count ||
			  find(&report, "no fast path", "chain \"c\""));
		doctor_report_free(&report);
	}
	config.fast_path.enabled = CONFIG_AUTO;
}

static const struct test tests[] = {
	{ "both ways of each inside device", test_both_ways_of_each_device },
	{ "the marks that packets have", test_marks },
	{ "what could not be read may be anything",
	  test_what_could_not_be_read },
	{ "it is told where nobody chose", test_it_is_told_where_nobody_chose },
};

int main(int argc, char **argv)
{
	return suite_run("doctor_fast", tests, sizeof(tests) / sizeof(*tests),
			 argc, argv);
}
