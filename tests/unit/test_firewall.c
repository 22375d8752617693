/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Other people's packet filters, read from captured texts and walked through.
 */
#include "platform/firewall.h"

#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "captures.h"
#include "suite.h"

#define INBOUND 0x01000000U
#define OUTBOUND 0x02000000U

static struct firewall *from_nft(const char *json)
{
	struct firewall *firewall = firewall_new();

	CU_ASSERT_EQUAL(firewall_add_nft(firewall, json), 0);
	return firewall;
}

static struct firewall *from_save(const char *save)
{
	struct firewall *firewall = firewall_new();

	CU_ASSERT_EQUAL(
		firewall_add_iptables(firewall, RULES_IPTABLES_NFT, save), 0);
	return firewall;
}

static struct firewall *from_capture(const char *name)
{
	char text[CAPTURE_MAX];

	capture_read(name, text);
	return strstr(name, ".json") ? from_nft(text) : from_save(text);
}

/* A chain by its name in any table. */
static const struct firewall_chain *find(const struct firewall *firewall,
					 const char *name)
{
	for (size_t i = 0; i < firewall->chain_count; i++)
		if (!strcmp(firewall->chains[i].name, name))
			return &firewall->chains[i];
	return NULL;
}

/* What becomes of a packet in the first forward base chain. */
static enum firewall_judgement judge(const struct firewall *firewall,
				     const char *in, const char *out,
				     uint32_t mark)
{
	struct firewall_packet packet = { in, out, mark };

	for (size_t i = 0; i < firewall->chain_count; i++)
		if (firewall->chains[i].hook == FIREWALL_FORWARD)
			return firewall_judge(firewall, &firewall->chains[i],
					      &packet);
	CU_FAIL("no forward chain");
	return FIREWALL_OPEN;
}

static size_t forward_count(const struct firewall *firewall)
{
	size_t count = 0;

	for (size_t i = 0; i < firewall->chain_count; i++)
		count += firewall->chains[i].hook == FIREWALL_FORWARD;
	return count;
}

/* --- real rulesets ------------------------------------------------------- */

static void test_fw4(void)
{
	struct firewall *f = from_capture("fw4.json");

	CU_ASSERT_EQUAL(forward_count(f), 1);
	CU_ASSERT_EQUAL(judge(f, "br-lan", "wan", OUTBOUND), FIREWALL_OPEN);
	CU_ASSERT_EQUAL(judge(f, "wan", "br-lan", INBOUND), FIREWALL_CLOSED);
	CU_ASSERT(f->flowtable);
	CU_ASSERT(f->masquerade);
	CU_ASSERT(f->read[RULES_NFTABLES]);
	CU_ASSERT(!f->ours[RULES_NFTABLES]);
	firewall_free(f);
}

/* Its last rule refuses, whatever the policy. */
static void test_firewalld(void)
{
	struct firewall *f = from_capture("firewalld.json");

	CU_ASSERT_EQUAL(judge(f, "eth1", "eth0", OUTBOUND), FIREWALL_OPEN);
	CU_ASSERT_EQUAL(judge(f, "eth0", "eth1", INBOUND), FIREWALL_CLOSED);
	CU_ASSERT_EQUAL(judge(f, "eth0", "eth2", INBOUND), FIREWALL_CLOSED);
	CU_ASSERT_EQUAL(judge(f, NULL, NULL, INBOUND), FIREWALL_CLOSED);
	CU_ASSERT(!f->flowtable);
	firewall_free(f);
}

/* An accept of our mark, an accept of what is untracked; other families and
 * our own table are no concern. */
static void test_open(void)
{
	struct firewall *f = from_capture("open.json");
	struct firewall_packet packet = { "wan0", "lan0", INBOUND };
	struct firewall_packet plain = { "wan0", "lan0", 0 };
	const struct firewall_chain *chain;

	CU_ASSERT_EQUAL(forward_count(f), 2);
	CU_ASSERT(f->ours[RULES_NFTABLES]);
	chain = firewall_chain_of(f, RULES_NFTABLES, "inet", "filter",
				  "forward");
	CU_ASSERT_PTR_NOT_NULL_FATAL(chain);
	CU_ASSERT_EQUAL(firewall_judge(f, chain, &packet), FIREWALL_OPEN);
	CU_ASSERT_EQUAL(firewall_judge(f, chain, &plain), FIREWALL_CLOSED);
	CU_ASSERT(chain->rules[1].tagged);
	CU_ASSERT(chain->rules[1].handle > 0);
	CU_ASSERT(!chain->rules[0].tagged);
	chain = firewall_chain_of(f, RULES_NFTABLES, "inet", "untracked",
				  "forward");
	CU_ASSERT_PTR_NOT_NULL_FATAL(chain);
	CU_ASSERT_EQUAL(firewall_judge(f, chain, &plain), FIREWALL_OPEN);
	firewall_free(f);
}

static void test_docker(void)
{
	struct firewall *f = from_capture("docker.save");

	CU_ASSERT_EQUAL(judge(f, "wan0", "lan0", INBOUND), FIREWALL_CLOSED);
	CU_ASSERT_EQUAL(judge(f, "lan0", "wan0", OUTBOUND), FIREWALL_CLOSED);
	CU_ASSERT_EQUAL(judge(f, "docker0", "wan0", 0), FIREWALL_OPEN);
	CU_ASSERT_PTR_NOT_NULL(find(f, "DOCKER-USER"));
	CU_ASSERT_PTR_NULL(find(f, "ufw-before-forward"));
	CU_ASSERT(f->masquerade);
	firewall_free(f);
}

/* iptables-nft's tables show up in nft's list, too: they count once. */
static void test_shown_twice(void)
{
	char text[CAPTURE_MAX];
	struct firewall *f = from_capture("docker.save");

	capture_read("docker.json", text);
	CU_ASSERT_EQUAL(firewall_add_nft(f, text), 0);
	CU_ASSERT_EQUAL(forward_count(f), 1);
	firewall_free(f);
	f = from_nft(text);
	CU_ASSERT_EQUAL(forward_count(f), 1);
	firewall_free(f);
}

static void test_ufw(void)
{
	struct firewall *f = from_capture("ufw.save");

	CU_ASSERT_EQUAL(judge(f, "wan0", "lan0", INBOUND), FIREWALL_CLOSED);
	CU_ASSERT_EQUAL(judge(f, "lan0", "wan0", OUTBOUND), FIREWALL_OPEN);
	CU_ASSERT_PTR_NOT_NULL(find(f, "ufw-before-forward"));
	firewall_free(f);
}

/* --- single rules -------------------------------------------------------- */

/* One rule in FORWARD and whether an inbound packet gets through. */
struct line {
	const char *rule;
	enum firewall_judgement accepted; /* with policy DROP */
	enum firewall_judgement refused; /* policy ACCEPT, DROP for ACCEPT */
};

#define NO_MATCH FIREWALL_CLOSED, FIREWALL_OPEN
#define MATCH FIREWALL_OPEN, FIREWALL_CLOSED
#define PERHAPS FIREWALL_CLOSED, FIREWALL_DOUBTFUL

static const struct line lines[] = {
	{ "", MATCH },
	{ "-i wan0", MATCH },
	{ "-i wan+", MATCH },
	{ "-i wan1", NO_MATCH },
	{ "-o wan0", NO_MATCH },
	{ "! -i wan0", NO_MATCH },
	{ "! -i lan0 -o lan0", MATCH },
	{ "-s 10.0.0.0/8", PERHAPS },
	{ "-i wan1 -s 10.0.0.0/8", NO_MATCH },
	{ "-p tcp -m tcp --dport 22", PERHAPS },
	{ "-p tcp -m tcp --tcp-flags SYN,RST SYN", PERHAPS },
	{ "-m limit --limit 3/min", PERHAPS },
	{ "-f", PERHAPS },
	{ "-m socket --transparent", PERHAPS },
	{ "-m socket --transparent -m mark --mark 0x1", NO_MATCH },
	{ "-m socket --transparent ! -i wan0", PERHAPS },
	{ "-m string --string \"-i\" --algo bm", PERHAPS },
	{ "-m recent --rcheck --name -i --mask 255.255.255.255 --rsource",
	  PERHAPS },
	{ "-m comment --comment -f", MATCH },
	{ "-m comment --comment -i", MATCH },
	{ "-m comment --comment \"! -i\"", MATCH },
	{ "-i -x", NO_MATCH },
	{ "-m comment --comment \"a -j ACCEPT \\\" b\"", MATCH },
	{ "-m mark --mark 0x1000000/0x3000000", MATCH },
	{ "-m mark --mark 0x2000000/0x3000000", NO_MATCH },
	{ "-m mark ! --mark 0x0/0x3000000", MATCH },
	{ "-m mark --mark 0x1000000", MATCH },
	{ "-m mark --mark 0x1", NO_MATCH },
	{ "-m conntrack --ctstate RELATED,ESTABLISHED", NO_MATCH },
	{ "-m conntrack ! --ctstate RELATED,ESTABLISHED", MATCH },
	{ "-m conntrack --ctstate UNTRACKED,NEW", MATCH },
	{ "-m conntrack ! --ctstate UNTRACKED", NO_MATCH },
	{ "-m conntrack --ctstate INVALID", NO_MATCH },
	{ "-m state --state NEW", NO_MATCH },
};

static void judge_line(const char *rule, const char *policy, const char *target,
		       enum firewall_judgement expected)
{
	struct firewall *f;
	char text[512];

	snprintf(text, sizeof(text),
		 "*filter\n:FORWARD %s [0:0]\n-A FORWARD %s -j %s\nCOMMIT\n",
		 policy, rule, target);
	f = from_save(text);
	if (judge(f, "wan0", "lan0", INBOUND) != expected)
		printf("judged otherwise:\n%s", text);
	CU_ASSERT_EQUAL(judge(f, "wan0", "lan0", INBOUND), expected);
	firewall_free(f);
}

static void test_lines(void)
{
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		judge_line(lines[i].rule, "DROP", "ACCEPT", lines[i].accepted);
		judge_line(lines[i].rule, "ACCEPT", "DROP", lines[i].refused);
		judge_line(lines[i].rule, "ACCEPT",
			   "REJECT --reject-with icmp-port-unreachable",
			   lines[i].refused);
		judge_line(lines[i].rule, "DROP", "LOG --log-prefix x",
			   FIREWALL_CLOSED);
	}
}

static void test_tag(void)
{
	struct firewall *f = from_save(
		"*filter\n:FORWARD ACCEPT [0:0]\n"
		"-A FORWARD -m mark ! --mark 0x0/0x3000000 "
		"-m comment --comment portico -j ACCEPT\n"
		"-A FORWARD -m comment --comment \"portico no\" -j ACCEPT\n"
		"COMMIT\n");
	const struct firewall_chain *chain = find(f, "FORWARD");

	CU_ASSERT_PTR_NOT_NULL_FATAL(chain);
	CU_ASSERT_EQUAL_FATAL(chain->rule_count, 2);
	CU_ASSERT(chain->rules[0].tagged);
	CU_ASSERT_STRING_EQUAL(chain->rules[0].text,
			       "FORWARD -m mark ! --mark 0x0/0x3000000 "
			       "-m comment --comment portico -j ACCEPT");
	CU_ASSERT(!chain->rules[1].tagged);
	firewall_free(f);
}

static void test_ours(void)
{
	struct firewall *f = from_save("*raw\n:PREROUTING ACCEPT [0:0]\n"
				       ":PORTICO-RAW - [0:0]\n"
				       "-A PREROUTING -j PORTICO-RAW\n"
				       "-A PORTICO-RAW -j DROP\nCOMMIT\n");

	CU_ASSERT(f->ours[RULES_IPTABLES_NFT]);
	CU_ASSERT(!f->ours[RULES_IPTABLES_LEGACY]);
	CU_ASSERT_PTR_NULL(find(f, "PORTICO-RAW"));
	firewall_free(f);
}

/* --- bad and hostile input ----------------------------------------------- */

static void test_garbage(void)
{
	static const char *const texts[] = {
		"", "{", "[]", "null", "{\"nftables\": 3}", "{\"nft\": []}",
	};
	static const char odd[] =
		"{\"nftables\": [3, null, {}, {\"chain\": 4},"
		"{\"chain\": {\"family\": \"ip\"}}, {\"rule\": {}},"
		"{\"chain\": {\"family\": \"ip\", \"table\": \"t\", \"name\":"
		" \"c\", \"type\": \"filter\", \"hook\": \"forward\"}},"
		"{\"rule\": {\"family\": \"ip\", \"table\": \"t\", \"chain\":"
		" \"c\", \"expr\": [1, null, {\"match\": 7}, {\"match\":"
		" {\"left\": {\"&\": [1]}, \"right\": [[]]}}, {\"jump\": 1},"
		" {\"vmap\": {\"key\": {\"ct\": {\"key\": \"state\"}},"
		" \"data\": {\"set\": [1, [2]]}}}]}}]}";
	struct firewall *f = firewall_new();

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		CU_ASSERT_EQUAL(firewall_add_nft(f, texts[i]), -EINVAL);
	CU_ASSERT(!f->read[RULES_NFTABLES]);
	CU_ASSERT_EQUAL(firewall_add_nft(f, odd), 0);
	CU_ASSERT_EQUAL(judge(f, "a", "b", 0), FIREWALL_OPEN);
	firewall_free(f);
	f = from_save("*\n:\n-A\n-A \n-A X\n:Y\n-A Y -i\n-A Y -j\n-A Y \"\n"
		      "-A Y ! ! -m\nCOMMIT");
	firewall_free(f);
	firewall_free(NULL);
}

/* Chains that jump to themselves cannot be loaded, but their text can. */
static void test_loop(void)
{
	struct firewall *f = from_save("*filter\n:FORWARD DROP [0:0]\n"
				       ":a - [0:0]\n-A FORWARD -j a\n"
				       "-A a -j a\n-A a -j a\n-A a -j a\n"
				       "-A a -g a\nCOMMIT\n");

	CU_ASSERT_EQUAL(judge(f, "x", "y", 0), FIREWALL_CLOSED);
	firewall_free(f);
	f = from_save("*filter\n:FORWARD ACCEPT [0:0]\n:a - [0:0]\n"
		      "-A FORWARD -j a\n-A a -j FORWARD\nCOMMIT\n");
	CU_ASSERT_EQUAL(judge(f, "x", "y", 0), FIREWALL_DOUBTFUL);
	firewall_free(f);
}

/* Sixteen jumps are the kernel's most: what lies behind more is not known. */
static void test_depth(void)
{
	for (int jumps = 16; jumps <= 17; jumps++) {
		char text[1024] = "*filter\n:FORWARD ACCEPT [0:0]\n"
				  "-A FORWARD -j c1\n";
		struct firewall *f;

		for (int i = 1; i < jumps; i++)
			snprintf(text + strlen(text),
				 sizeof(text) - strlen(text),
				 ":c%d - [0:0]\n-A c%d -j c%d\n", i, i, i + 1);
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 ":c%d - [0:0]\n-A c%d -j DROP\nCOMMIT\n", jumps,
			 jumps);
		f = from_save(text);
		CU_ASSERT_EQUAL(judge(f, "x", "y", 0),
				jumps == 16 ? FIREWALL_CLOSED :
					      FIREWALL_DOUBTFUL);
		firewall_free(f);
	}
}

static void test_return_and_goto(void)
{
	struct firewall *f = from_save(
		"*filter\n:FORWARD ACCEPT [0:0]\n:a - [0:0]\n:b - [0:0]\n"
		"-A FORWARD -g a\n-A FORWARD -j DROP\n"
		"-A a -j b\n-A a -j RETURN\n-A a -j DROP\n"
		"-A b -j RETURN\n-A b -j DROP\nCOMMIT\n");

	CU_ASSERT_EQUAL(judge(f, "x", "y", 0), FIREWALL_OPEN);
	firewall_free(f);
}

/* "KEY vmap PAIRS" in a forward chain, and a chain "in" that drops. */
static void expect_map(const char *key, const char *pairs,
		       enum firewall_judgement judgement)
{
	char json[1024];
	struct firewall *f = firewall_new();

	snprintf(json, sizeof(json),
		 "{\"nftables\": ["
		 "{\"chain\": {\"family\": \"ip\", \"table\": \"t\","
		 " \"name\": \"fwd\", \"type\": \"filter\","
		 " \"hook\": \"forward\", \"policy\": \"accept\"}},"
		 "{\"chain\": {\"family\": \"ip\", \"table\": \"t\","
		 " \"name\": \"in\"}},"
		 "{\"rule\": {\"family\": \"ip\", \"table\": \"t\","
		 " \"chain\": \"fwd\", \"expr\": [{\"vmap\": {\"key\": %s,"
		 " \"data\": {\"set\": [%s]}}}]}},"
		 "{\"rule\": {\"family\": \"ip\", \"table\": \"t\","
		 " \"chain\": \"in\", \"expr\": [{\"drop\": null}]}}]}",
		 key, pairs);
	CU_ASSERT_EQUAL_FATAL(firewall_add_nft(f, json), 0);
	CU_ASSERT_EQUAL(judge(f, "wan0", "lan0", INBOUND), judgement);
	if (judge(f, "wan0", "lan0", INBOUND) != judgement)
		printf("%s vmap %s\n", key, pairs);
	firewall_free(f);
}

static void test_maps(void)
{
	static const char in[] = "{\"meta\": {\"key\": \"iifname\"}}";
	static const char out[] = "{\"meta\": {\"key\": \"oifname\"}}";
	static const char other[] = "{\"payload\": {\"protocol\": \"ip\","
				    " \"field\": \"saddr\"}}";
	static const char jump[] =
		"[\"lan0\", {\"accept\": null}],"
		"[\"wan0\", {\"jump\": {\"target\": \"in\"}}]";

	expect_map(in, jump, FIREWALL_CLOSED);
	expect_map(out, jump, FIREWALL_OPEN);
	expect_map(out, "[\"*\", {\"drop\": null}]", FIREWALL_DOUBTFUL);
	expect_map(in, "[\"wan1\", {\"drop\": null}]", FIREWALL_OPEN);
	expect_map(other, "[\"192.0.2.1\", {\"drop\": null}]",
		   FIREWALL_DOUBTFUL);
	expect_map(other, "[\"192.0.2.1\", {\"accept\": null}]", FIREWALL_OPEN);
	expect_map(in, "", FIREWALL_OPEN);
	expect_map(in, "\"wan0\", [\"wan0\"], [1, {\"drop\": null}]",
		   FIREWALL_DOUBTFUL);
}

static const struct test tests[] = {
	{ "OpenWrt's fw4 refuses untracked answers", test_fw4 },
	{ "firewalld refuses at its chain's end", test_firewalld },
	{ "an accept of our mark opens a chain", test_open },
	{ "docker's chains refuse", test_docker },
	{ "iptables-nft's tables count once", test_shown_twice },
	{ "ufw's chains refuse", test_ufw },
	{ "each kind of match is understood or doubted", test_lines },
	{ "our own tag is known", test_tag },
	{ "our own chains are left out", test_ours },
	{ "garbage is refused or ignored", test_garbage },
	{ "a loop of jumps ends", test_loop },
	{ "more jumps than the kernel takes are doubted", test_depth },
	{ "return and goto go where they should", test_return_and_goto },
	{ "a map of verdicts leads where its pairs say", test_maps },
};

int main(int argc, char **argv)
{
	return suite_run("firewall", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
