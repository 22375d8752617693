/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the doctor says of captured rulesets, queue lists and routes.
 */
#include "platform/doctor.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "captures.h"
#include "doctor_lab.h"
#include "suite.h"

static char inside_names[][IFNAMSIZ] = { "lan0", "br-lan" };

static struct config config = {
	.uplink_device = "wan0",
	.inside_devices = inside_names,
	.inside_count = 1,
	.queue = { .number = 100, .mark = 0x03000000 },
};

static struct doctor_context context_for(const char *uplink, size_t inside)
{
	snprintf(config.uplink_device, IFNAMSIZ, "%s", uplink);
	config.inside_devices = &inside_names[inside];
	return (struct doctor_context){
		.config = &config,
		.backend = RULES_NFTABLES,
		.daemon_runs = true,
	};
}

static struct firewall *read_capture(const char *name,
				     enum rules_backend backend)
{
	struct firewall *firewall = firewall_new();
	char text[CAPTURE_MAX];

	capture_read(name, text);
	CU_ASSERT_EQUAL(backend == RULES_NFTABLES ?
				firewall_add_nft(firewall, text) :
				firewall_add_iptables(firewall, backend, text),
			0);
	return firewall;
}

/* The finding whose text holds both parts, NULL: there is none. */
/* Examines a capture; expects a finding that names the words, of the level,
 * with the remedy. */
static void expect(const struct doctor_context *context, const char *name,
		   enum rules_backend backend, const char *one, const char *two,
		   enum doctor_level level, const char *remedy)
{
	struct firewall *firewall = read_capture(name, backend);
	struct doctor_report report = { 0 };
	const struct doctor_finding *finding;

	doctor_firewall(context, firewall, &report);
	finding = find(&report, one, two);
	if (!finding)
		doctor_print(&report, stdout);
	CU_ASSERT_PTR_NOT_NULL_FATAL(finding);
	CU_ASSERT_EQUAL(finding->level, level);
	if (remedy && !strstr(finding->remedy, remedy))
		printf("remedy: %s\n", finding->remedy);
	if (remedy)
		CU_ASSERT_PTR_NOT_NULL(strstr(finding->remedy, remedy));
	doctor_report_free(&report);
	firewall_free(firewall);
}

/* --- forward chains ------------------------------------------------------ */

static void test_fw4(void)
{
	struct doctor_context context = context_for("wan", 1);

	expect(&context, "fw4.json", RULES_NFTABLES, "inet fw4", "\"forward\"",
	       DOCTOR_FAIL, "meta mark & 0x01000000 != 0 accept");
	expect(&context, "fw4.json", RULES_NFTABLES, "flow offload", "",
	       DOCTOR_WARN, "flow_offloading=0");
	expect(&context, "fw4.json", RULES_NFTABLES, "masquerade", "harmless",
	       DOCTOR_OK, NULL);
}

/* What leaves is for its zones and rules to decide, such as one that keeps a
 * host from the Internet; nothing leaves at all is told. */
static void test_fw4_decides(void)
{
	struct doctor_context context = context_for("pppoe-wan", 1);
	struct firewall *firewall =
		read_capture("fw4_taken.json", RULES_NFTABLES);
	struct doctor_report report = { 0 };

	doctor_firewall(&context, firewall, &report);
	CU_ASSERT_PTR_NULL(find(&report, "inet fw4", ""));
	doctor_report_free(&report);
	firewall_free(firewall);
	expect(&context, "fw4_closed.json", RULES_NFTABLES, "inet fw4",
	       "refuses", DOCTOR_FAIL, NULL);
}

/* Ports in the kernel's NAT, which translated packets do not pass. */
static void test_upnp(void)
{
	struct doctor_context context = context_for("wan", 1);
	struct firewall *firewall = read_capture("fw4.json", RULES_NFTABLES);
	struct doctor_report report = { 0 };

	expect(&context, "upnp.json", RULES_NFTABLES, "miniupnpd", "1 port",
	       DOCTOR_WARN, "forwards");
	doctor_firewall(&context, firewall, &report);
	CU_ASSERT_PTR_NULL(find(&report, "miniupnpd", ""));
	doctor_report_free(&report);
	firewall_free(firewall);
}

static void test_firewalld(void)
{
	struct doctor_context context = context_for("eth0", 0);

	expect(&context, "firewalld.json", RULES_NFTABLES, "inet firewalld",
	       "filter_FORWARD", DOCTOR_FAIL,
	       "nft \"insert rule inet firewalld filter_FORWARD "
	       "meta mark & 0x03000000 != 0 accept\"");
}

static void test_docker(void)
{
	struct doctor_context context = context_for("wan0", 0);

	expect(&context, "docker.save", RULES_IPTABLES_NFT, "docker",
	       "\"FORWARD\"", DOCTOR_FAIL,
	       "iptables-nft -I DOCKER-USER -m mark ! --mark 0x0/0x3000000 "
	       "-j ACCEPT");
	expect(&context, "docker.save", RULES_IPTABLES_LEGACY, "docker",
	       "iptables-legacy", DOCTOR_FAIL,
	       "iptables-legacy -I DOCKER-USER");
}

static void test_ufw(void)
{
	struct doctor_context context = context_for("wan0", 0);

	expect(&context, "ufw.save", RULES_IPTABLES_NFT, "ufw", "\"FORWARD\"",
	       DOCTOR_FAIL,
	       "-A ufw-before-forward -m mark ! --mark 0x0/0x3000000 "
	       "-j ACCEPT; then: ufw reload");
}

static void examine_save(const struct doctor_context *context, const char *save,
			 struct doctor_report *report)
{
	struct firewall *firewall = firewall_new();

	memset(report, 0, sizeof(*report));
	CU_ASSERT_EQUAL(firewall_add_iptables(firewall, RULES_IPTABLES_LEGACY,
					      save),
			0);
	doctor_firewall(context, firewall, report);
	firewall_free(firewall);
}

static enum doctor_level level_of(const struct doctor_context *context, int why,
				  bool hidden, const char *one, const char *two)
{
	struct firewall *firewall = firewall_new();
	const struct doctor_finding *finding;
	struct doctor_report report = { 0 };
	enum doctor_level level = DOCTOR_OK;

	firewall->failed[RULES_NFTABLES] = why;
	firewall->hidden[RULES_NFTABLES] = hidden;
	doctor_firewall(context, firewall, &report);
	finding = find(&report, one, two);
	if (!finding)
		doctor_print(&report, stdout);
	CU_ASSERT_PTR_NOT_NULL(finding);
	/* What is not known is not called right. */
	CU_ASSERT_EQUAL(report.count, 1);
	if (finding)
		level = finding->level;
	doctor_report_free(&report);
	firewall_free(firewall);
	return level;
}

static void test_unread(void)
{
	static const char unknown[] = "nftables rules could not be read";
	struct doctor_context context = context_for("wan0", 0);

	CU_ASSERT_EQUAL(level_of(&context, -ETIMEDOUT, false, unknown,
				 "timed out"),
			DOCTOR_WARN);
	CU_ASSERT_EQUAL(level_of(&context, -EIO, false, unknown, "refused"),
			DOCTOR_WARN);
	context.backend = RULES_IPTABLES_LEGACY;
	CU_ASSERT_EQUAL(level_of(&context, -ETIMEDOUT, false, unknown,
				 "timed out"),
			DOCTOR_WARN);
	/* The kernel has no nftables, or nobody the program. */
	CU_ASSERT_EQUAL(level_of(&context, -EIO, false, "no forward chain", ""),
			DOCTOR_OK);
	CU_ASSERT_EQUAL(level_of(&context, -ENOENT, false, "no forward chain",
				 ""),
			DOCTOR_OK);
	/* There are some all the same. */
	CU_ASSERT_EQUAL(level_of(&context, -EIO, true, unknown, "refused"),
			DOCTOR_WARN);
	CU_ASSERT_EQUAL(level_of(&context, -ENOENT, true, unknown, "installed"),
			DOCTOR_WARN);
}

static void test_plain_iptables(void)
{
	struct doctor_context context = context_for("wan0", 0);
	const struct doctor_finding *finding;
	struct doctor_report report;

	examine_save(&context,
		     "*mangle\n:FORWARD ACCEPT [0:0]\n"
		     "-A FORWARD -p udp -j DROP\nCOMMIT\n",
		     &report);
	finding = find(&report, "ip mangle", "may refuse");
	CU_ASSERT_PTR_NOT_NULL_FATAL(finding);
	CU_ASSERT_EQUAL(finding->level, DOCTOR_WARN);
	CU_ASSERT_STRING_EQUAL(finding->remedy,
			       "iptables-legacy -t mangle -I FORWARD -m mark "
			       "! --mark 0x0/0x3000000 -j ACCEPT");
	doctor_report_free(&report);
}

static void test_nothing_refuses(void)
{
	struct doctor_context context = context_for("wan0", 0);
	struct doctor_report report;

	context.daemon_runs = false;
	examine_save(&context,
		     "*filter\n:FORWARD DROP [0:0]\n"
		     "-A FORWARD -m mark ! --mark 0x0/0x3000000 -j ACCEPT\n"
		     "COMMIT\n",
		     &report);
	CU_ASSERT_EQUAL(report.worst, DOCTOR_OK);
	CU_ASSERT_EQUAL(report.count, 1);
	CU_ASSERT_PTR_NOT_NULL(find(&report, "no forward chain", "refuses"));
	doctor_report_free(&report);
}

/* An accept for half of the marks heals half of the traffic. */
static void test_half_accepted(void)
{
	struct doctor_context context = context_for("wan0", 0);
	struct doctor_report report;

	examine_save(&context,
		     "*filter\n:FORWARD DROP [0:0]\n-A FORWARD -m mark "
		     "--mark 0x1000000/0x3000000 -j ACCEPT\nCOMMIT\n",
		     &report);
	CU_ASSERT_EQUAL(report.worst, DOCTOR_FAIL);
	doctor_report_free(&report);
}

/* The accept holds for every inside device or it is not enough. */
static void test_second_device(void)
{
	struct doctor_context context = context_for("wan0", 0);
	struct doctor_report report;
	const char *save = "*filter\n:FORWARD DROP [0:0]\n"
			   "-A FORWARD -i lan0 -j ACCEPT\n"
			   "-A FORWARD -o lan0 -j ACCEPT\nCOMMIT\n";

	examine_save(&context, save, &report);
	CU_ASSERT_EQUAL(report.worst, DOCTOR_OK);
	doctor_report_free(&report);
	config.inside_count = 2;
	examine_save(&context, save, &report);
	CU_ASSERT_EQUAL(report.worst, DOCTOR_FAIL);
	doctor_report_free(&report);
	config.inside_count = 1;
}

static void test_rules_gone(void)
{
	struct doctor_context context = context_for("wan0", 0);

	expect(&context, "fw4.json", RULES_NFTABLES, "rules are gone", "",
	       DOCTOR_FAIL, "restart");
	expect(&context, "open.json", RULES_NFTABLES, "rules are in force", "",
	       DOCTOR_OK, NULL);
}

/* --- the rest ------------------------------------------------------------ */

static const char listing[] =
	"    7   4242     0 2 65531     0     0        9  1\n"
	"  100 4000000    0 2 65531     0     0        0  1\n"
	"  101 4000001    0 2 65531     0     0        0  1\n";

static enum doctor_level queue_level(bool daemon_runs, unsigned number,
				     const char *words)
{
	struct doctor_context context = context_for("wan0", 0);
	struct doctor_report report = { 0 };
	enum doctor_level level;

	context.daemon_runs = daemon_runs;
	config.queue.number = (uint16_t)number;
	doctor_queue(&context, listing, &report);
	level = report.worst;
	CU_ASSERT(words ? find(&report, words, "") != NULL : report.count == 0);
	doctor_report_free(&report);
	config.queue.number = 100;
	return level;
}

static void test_queue(void)
{
	CU_ASSERT_EQUAL(queue_level(true, 100, "has its listener"), DOCTOR_OK);
	CU_ASSERT_EQUAL(queue_level(true, 0, "nobody listens"), DOCTOR_FAIL);
	/* There are two. */
	CU_ASSERT_EQUAL(queue_level(true, 101, "nobody listens on queue 102"),
			DOCTOR_FAIL);
	CU_ASSERT_EQUAL(queue_level(false, 6, "queue 7 is taken"), DOCTOR_FAIL);
	CU_ASSERT_EQUAL(queue_level(true, 10, "nobody listens"), DOCTOR_FAIL);
	CU_ASSERT_EQUAL(queue_level(false, 100,
				    "taken by netlink port 4000000"),
			DOCTOR_FAIL);
	CU_ASSERT_EQUAL(queue_level(false, 42, NULL), DOCTOR_OK);
}

static const char routes[] =
	"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU"
	"\tWindow\tIRTT\n"
	"wan0\t00000000\t017100CB\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
	"lan0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
	"vpn0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0\n";

static void test_default_route(void)
{
	CU_ASSERT(doctor_has_default_route(routes, "wan0"));
	CU_ASSERT(!doctor_has_default_route(routes, "lan0"));
	CU_ASSERT(!doctor_has_default_route(routes, "vpn0"));
	CU_ASSERT(!doctor_has_default_route(routes, "wan"));
	CU_ASSERT(!doctor_has_default_route("", "wan0"));
}

static void test_print(void)
{
	struct doctor_report report = { 0 };
	char text[256] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");

	CU_ASSERT_EQUAL(
		doctor_add(&report, DOCTOR_WARN, "do it", "number %d", 7), 0);
	CU_ASSERT_EQUAL(doctor_add(&report, DOCTOR_OK, NULL, "fine"), 0);
	doctor_print(&report, out);
	fclose(out);
	CU_ASSERT_STRING_EQUAL(text, "warning: number 7; do it\nok: fine\n");
	CU_ASSERT_EQUAL(report.worst, DOCTOR_WARN);
	doctor_report_free(&report);
	CU_ASSERT_EQUAL(report.count, 0);
}

/* Waits for the child's report; bounded. */
static int wait_report(int fd, struct doctor_report *report)
{
	char *text = NULL;
	int result = 0;

	for (int i = 0; i < 1000 && !result; i++) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };

		poll(&wait, 1, 20);
		result = doctor_continue(fd, &text, report);
	}
	free(text);
	close(fd);
	while (waitpid(-1, NULL, 0) < 0 && errno == EINTR)
		;
	return result;
}

/* Whatever this machine is like, the examination ends and says something. */
static void test_child(void)
{
	struct doctor_context context = context_for("none0", 0);
	struct doctor_report report = { 0 };
	pid_t child;
	int fd;

	context.daemon_runs = false;
	fd = doctor_begin(&context, &child);
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL_FATAL(wait_report(fd, &report), 1);
	CU_ASSERT(report.count > 0);
	doctor_report_free(&report);
}

/* For the status nothing that is right is told. */
static void test_for_status(void)
{
	struct doctor_context context = context_for("none0", 0);
	struct doctor_report report;

	context.daemon_runs = true;
	context.for_status = true;
	CU_ASSERT_EQUAL(doctor_examine(&context, &report), 0);
	for (size_t i = 0; i < report.count; i++)
		CU_ASSERT_NOT_EQUAL(report.findings[i].level, DOCTOR_OK);
	doctor_report_free(&report);
}

/* A report cut short is no report. */
static void test_child_dies(void)
{
	struct doctor_report report = { 0 };
	int ends[2];
	pid_t child;

	CU_ASSERT_FATAL(!pipe(ends));
	child = fork();
	if (!child) {
		if (write(ends[1], "0\tfine\t\n", 8) != 8)
			_exit(1);
		_exit(0);
	}
	close(ends[1]);
	CU_ASSERT(wait_report(ends[0], &report) < 0);
	CU_ASSERT_EQUAL(report.count, 0);
}

static const struct test tests[] = {
	{ "OpenWrt: the line for fw4, and flow offload", test_fw4 },
	{ "OpenWrt: what leaves is left to the rules of fw4",
	  test_fw4_decides },
	{ "ports that miniupnpd opened are told of", test_upnp },
	{ "firewalld: the rule for its table", test_firewalld },
	{ "docker: the rule for DOCKER-USER", test_docker },
	{ "ufw: the line for before.rules", test_ufw },
	{ "rules that cannot be read are not called harmless", test_unread },
	{ "plain iptables: the rule for its table", test_plain_iptables },
	{ "an accept of our mark is enough", test_nothing_refuses },
	{ "an accept of one mark is not", test_half_accepted },
	{ "every inside device is looked at", test_second_device },
	{ "rules that somebody removed are missed", test_rules_gone },
	{ "the queue's listener", test_queue },
	{ "the default route of a device", test_default_route },
	{ "a finding is one line", test_print },
	{ "a child brings the report", test_child },
	{ "the status gets what is wrong only", test_for_status },
	{ "a report cut short is refused", test_child_dies },
};

/* In a namespace of its own where that is allowed: nobody's rules are read. */
int main(int argc, char **argv)
{
	if (unshare(CLONE_NEWNET))
		printf("examining this machine's own network\n");
	return suite_run("doctor", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
