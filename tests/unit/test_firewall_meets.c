/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What an established session's packets meet in other people's packet filters:
 * captured rulesets, and every kind of nftables rule by itself, as nft 1.0.6
 * prints it.
 */
#include "captures.h"
#include "firewall_lab.h"
#include "suite.h"

/* --- real rulesets ------------------------------------------------------- */

static const struct {
	const char *capture;
	struct firewall_packet packet;
	const char *place;
} captured[] = {
	{ "fw4_default.json", { "br-lan", "pppoe-wan", OUTBOUND }, NULL },
	{ "fw4_default.json", { "pppoe-wan", "br-lan", INBOUND }, NULL },
	{ "fw4_default.json",
	  { "pppoe-wan", "br-lan", 0 },
	  NFT("handle_reject", "inet fw4") },
	{ "fw4.json", { "br-lan", "wan", OUTBOUND }, NULL },
	{ "fw4.json",
	  { "wan", "br-lan", INBOUND },
	  NFT("handle_reject", "inet fw4") },
	{ "fw4_taken.json",
	  { "br-lan", "pppoe-wan", OUTBOUND },
	  NFT("forward_lan", "inet fw4") },
	{ "firewalld.json",
	  { "eth0", "eth1", INBOUND },
	  NFT("filter_FORWARD", "inet firewalld") },
	{ "docker.save",
	  { "lan0", "wan0", OUTBOUND },
	  LEGACY("FORWARD", "filter") },
	{ "docker.save",
	  { "wan0", "lan0", INBOUND },
	  LEGACY("FORWARD", "filter") },
	{ "ufw.save",
	  { "wan0", "lan0", INBOUND },
	  LEGACY("ufw-after-logging-forward", "filter") },
	{ "ufw.save", { "lan0", "wan0", OUTBOUND }, NULL },
	{ "open.json", { "wan0", "lan0", INBOUND }, NULL },
};

static void test_captured(void)
{
	for (size_t i = 0; i < COUNT(captured); i++) {
		char text[CAPTURE_MAX];

		capture_read(captured[i].capture, text);
		expect(strstr(captured[i].capture, ".json") ? from_nft(text) :
							      from_save(text),
		       &captured[i].packet, captured[i].place,
		       captured[i].capture);
	}
}

/* --- statements of nftables ---------------------------------------------- */

#define IS(left, right) \
	"{\"match\":{\"op\":\"==\",\"left\":" left ",\"right\":" right "}}"
#define IN(left, right) \
	"{\"match\":{\"op\":\"in\",\"left\":" left ",\"right\":" right "}}"
#define NOT(left, right) \
	"{\"match\":{\"op\":\"!=\",\"left\":" left ",\"right\":" right "}}"
#define META(key) "{\"meta\":{\"key\":\"" key "\"}}"
#define CT(key) "{\"ct\":{\"key\":\"" key "\"}}"
#define MASKED(left, mask) "{\"&\":[" left "," mask "]}"
#define OP(op, left, right) \
	"{\"match\":{\"op\":\"" op "\",\"left\":" left ",\"right\":" right "}}"
#define SET(items) "{\"set\":[" items "]}"
#define MANGLE(key) "{\"mangle\":{\"key\":" key ",\"value\":1}}"
#define VMAP(key, pairs) \
	"{\"vmap\":{\"key\":" key ",\"data\":{\"set\":[" pairs "]}}}"
#define TO(verb, chain) "{\"" verb "\":{\"target\":\"" chain "\"}}"
#define FLAGS "{\"payload\":{\"protocol\":\"tcp\",\"field\":\"flags\"}}"
#define SADDR "{\"payload\":{\"protocol\":\"ip\",\"field\":\"saddr\"}}"
#define FIELD(protocol, field, right) \
	IS("{\"payload\":{\"protocol\":\"" protocol "\",\"field\":\"" field \
	   "\"}}", \
	   right)
#define ACCEPT "{\"accept\":null}"
#define DROP "{\"drop\":null}"
#define LOG "{\"log\":{\"prefix\":\"x\"}}"
#define COUNTER "{\"counter\":{\"packets\":0,\"bytes\":0}}"
#define NEW IN(CT("state"), "\"new\"")
#define ELSEWHERE IS(META("iifname"), "\"lan9\"")

/* "x" is an empty chain. */
static const char *const let_by[] = {
	"",
	ACCEPT,
	"{\"return\":null}",
	"{\"continue\":null}",
	TO("jump", "x"),
	TO("goto", "x"),
	TO("jump", "PORTICO-RAW"),
	IS(SADDR, "\"10.0.0.1\""),
	COUNTER "," ACCEPT,
	COUNTER "," TO("jump", "x"),
	COUNTER ",{\"notrack\":null}",
	"{\"notrack\":null}",
	"{\"ct helper\":\"ftp\"}",
	"{\"flow\":{\"op\":\"add\",\"flowtable\":\"@ft\"}}",
	MANGLE(CT("mark")),
	MANGLE(CT("zone")),
	VMAP(META("iifname"), "[\"lan9\"," DROP "],[\"wan0\"," ACCEPT "]"),
	VMAP(CT("state"), "[\"established\"," DROP "]"),
	VMAP(CT("state"), "[\"untracked\"," ACCEPT "]"),
	VMAP(CT("state"), "[\"untracked\",{\"continue\":null}]"),
	VMAP(CT("state"), "[\"*\"," DROP "],[\"untracked\"," ACCEPT "]"),
	VMAP(CT("state"), "[\"new\"," DROP "],[\"*\"," ACCEPT "]"),
	/* Those that do not hold. */
	ELSEWHERE "," DROP,
	ELSEWHERE "," LOG,
	ELSEWHERE "," COUNTER,
	ELSEWHERE "," TO("jump", "nowhere"),
	IS(META("oifname"), "\"wan0\"") "," DROP,
	IS(META("mark"), "5") "," DROP,
	IS(META("nfproto"), "\"ipv6\"") "," DROP,
	FIELD("ip6", "saddr", "\"fe80::1\"") "," DROP,
	FIELD("icmpv6", "type", "\"echo-request\"") "," DROP,
	FIELD("icmp", "type", "\"echo-request\"") "," LOG,
	NEW "," DROP,
	NEW "," LOG,
	IS(CT("mark"), "1") "," DROP,
	OP(">", CT("mark"), "1") "," DROP,
	OP("!", CT("state"), "[\"new\",\"untracked\"]") "," DROP,
	NOT(CT("state"), "\"untracked\"") "," DROP,
	ELSEWHERE "," LOG "," NEW "," ACCEPT,
	COUNTER "," NEW "," ACCEPT,
	/* Those of which we are one. */
	IN(FLAGS, "\"syn\"") "," DROP,
	IN(FLAGS, "[\"fin\",\"syn\",\"rst\"]") "," DROP,
	IS(FLAGS, "\"syn\"") "," DROP,
	IS(FLAGS, SET("\"fin\",{\"|\":[\"syn\",\"ack\"]}")) "," DROP,
	IS(MASKED(FLAGS, "[\"syn\",\"rst\"]"), "\"syn\"") "," DROP,
	IS(MASKED(FLAGS, "[\"syn\",\"ack\"]"), "[\"syn\",\"ack\"]") "," DROP,
	IS(MASKED(FLAGS, "7"), "2") "," DROP,
	IS(MASKED(FLAGS, "{\"|\":[{\"|\":[\"fin\",\"syn\"]},\"rst\"]}"),
	   "{\"|\":[\"fin\",\"rst\"]}") "," DROP,
};

static const char *const met[] = {
	DROP,
	"{\"reject\":{\"type\":\"tcp reset\"}}",
	"{\"queue\":{\"num\":5}}",
	TO("jump", "nowhere"),
	TO("goto", "nowhere"),
	"{\"jump\":null}",
	"{\"never heard of\":null}",
	LOG,
	LOG "," ACCEPT,
	COUNTER,
	COUNTER "," IS(SADDR, "\"10.0.0.1\""),
	IS(SADDR, "\"10.0.0.1\"") "," COUNTER,
	MANGLE(META("mark")),
	MANGLE("{\"payload\":{\"protocol\":\"ip\",\"field\":\"dscp\"}}"),
	MANGLE("{\"tcp option\":{\"name\":\"maxseg\",\"field\":\"size\"}}"),
	"{\"set\":{\"op\":\"add\",\"elem\":" SADDR ",\"set\":\"@s\"}}",
	"{\"limit\":{\"rate\":5,\"burst\":5,\"per\":\"second\"}}," ACCEPT,
	"{\"quota\":{\"val\":5,\"val_unit\":\"mbytes\"}}",
	"{\"dup\":{\"addr\":\"10.0.0.1\"}}",
	"{\"xt\":{\"type\":\"target\",\"name\":\"TCPMSS\"}}",
	"{\"xt\":{\"type\":\"match\",\"name\":\"recent\"}}," ACCEPT,
	VMAP(META("iifname"), "[\"lan9\"," ACCEPT "],[\"wan0\"," DROP "]"),
	VMAP(META("iifname"), "[\"*\"," ACCEPT "]"),
	VMAP(SADDR, "[\"10.0.0.1\"," ACCEPT "]"),
	VMAP(CT("state"), "[\"new\"," ACCEPT "],[\"untracked\"," DROP "]"),
	VMAP(CT("state"), "[\"untracked\",{\"odd\":null}]"),
	VMAP(CT("state"), "[\"established\"," ACCEPT "],[\"*\"," DROP "]"),
	VMAP(CT("state"), "[{\"range\":[\"new\",\"untracked\"]}," DROP "]"),
	"{\"counter\":\"of a host\"}," ACCEPT,
	/* Those that hold, or may. */
	IS(META("iifname"), "\"wan0\"") "," DROP,
	NOT(META("iifname"), "\"lan9\"") "," DROP,
	NOT(MASKED(META("mark"), "50331648"), "0") "," DROP,
	IN(CT("state"), "\"untracked\"") "," DROP,
	IS(SADDR, "\"10.0.0.1\"") "," DROP,
	LOG "," FIELD("ip6", "saddr", "\"fe80::1\"") "," ACCEPT,
	FIELD("vxlan\",\"tunnel\":\"vxlan\",\"protocol\":\"ip6", "saddr",
	      "\"fe80::1\"") "," DROP,
	IS(SADDR, "\"10.0.0.1\"") "," TO("jump", "nowhere"),
	IN(CT("state"), "\"@states\"") "," DROP,
	OP("!", CT("state"), "[\"established\",\"related\"]") "," DROP,
	OP(">", CT("state"), "5") "," DROP,
	OP(">", META("mark"), "16") "," DROP,
	OP("<", META("mark"), "4294967295") "," DROP,
	OP(">", META("iif"), "\"3\"") "," DROP,
	IS(META("nfproto"), "\"@protocols\"") "," DROP,
	/* Asked twice: both must hold. */
	IS(META("iifname"), "\"wan*\"") "," NOT(META("iifname"),
						"\"wan1\"") "," DROP,
	/* What comes before the match that does not hold. */
	LOG "," NEW "," ACCEPT,
	LOG "," ELSEWHERE "," ACCEPT,
	LOG "," VMAP(CT("state"), "[\"new\"," ACCEPT "]"),
	LOG "," VMAP(META("iifname"), "[\"lan9\"," ACCEPT "]"),
	COUNTER "," NEW,
	COUNTER "," ELSEWHERE,
	/* Flags that our segments may have. */
	IN(FLAGS, "[\"syn\",\"ack\"]") "," DROP,
	IN(FLAGS, "\"ack\"") "," DROP,
	IN(FLAGS, "\"psh\"") "," DROP,
	IN(FLAGS, "\"odd\"") "," DROP,
	IS(FLAGS, "[\"syn\",\"odd\"]") "," DROP,
	IN(FLAGS, "[]") "," DROP,
	IN(MASKED(FLAGS, "7"), "\"syn\"") "," DROP,
	IS(FLAGS, SET("\"ack\",\"syn\"")) "," DROP,
	IS(FLAGS, "\"ack\"") "," DROP,
	IS(FLAGS, "{\"range\":[\"syn\",\"rst\"]}") "," DROP,
	NOT(FLAGS, "\"syn\"") "," DROP,
	NOT(MASKED(FLAGS, "[\"syn\",\"ack\"]"), "\"syn\"") "," DROP,
	"{\"match\":{\"op\":\"!\",\"left\":" FLAGS ",\"right\":\"syn\"}}," DROP,
	IS(MASKED(FLAGS, "[\"syn\",\"ack\"]"), "\"ack\"") "," DROP,
	IS(MASKED(FLAGS, "[\"syn\",\"rst\"]"), "0") "," DROP,
	IS("{\"payload\":{\"protocol\":\"udp\",\"field\":\"flags\"}}",
	   "\"syn\"") "," DROP,
	IS("{\"payload\":{\"protocol\":\"tcp\",\"field\":\"dport\"}}",
	   "2") "," DROP,
};

/* One base chain with one rule; base: members of the chain. */
static struct firewall *one_rule(const char *family, const char *base,
				 const char *expr)
{
	char json[2048];

	snprintf(json, sizeof(json),
		 "{\"nftables\":[{\"chain\":{\"family\":\"%s\",\"table\":\"t\","
		 "\"name\":\"c\",%s}},{\"chain\":{\"family\":\"%s\",\"table\":"
		 "\"t\",\"name\":\"x\"}},{\"rule\":{\"family\":\"%s\","
		 "\"table\":\"t\",\"chain\":\"c\",\"expr\":[%s]}}]}",
		 family, base, family, family, expr);
	return from_nft(json);
}

#define HOOK(type, hook) "\"type\":\"" type "\",\"hook\":\"" hook "\""

static void test_statements(void)
{
	for (size_t i = 0; i < COUNT(let_by); i++)
		expect(one_rule("inet", HOOK("filter", "forward"), let_by[i]),
		       &inbound, NULL, let_by[i]);
	for (size_t i = 0; i < COUNT(met); i++)
		expect(one_rule("inet", HOOK("filter", "forward"), met[i]),
		       &inbound, NFT("c", "inet t"), met[i]);
}

/* A SYN may have them: to the other question it is a rule that asks more. */
static void test_flags_judged(void)
{
	struct firewall *f = one_rule("ip", HOOK("filter", "forward"),
				      IN(FLAGS, "\"syn\"") "," DROP);

	CU_ASSERT_EQUAL(firewall_judge(f, &f->chains[0], &inbound),
			FIREWALL_DOUBTFUL);
	firewall_free(f);
}

/* --- chains -------------------------------------------------------------- */

#define FILTER(hook) HOOK("filter", hook)
#define AT(hook, device) FILTER(hook) ",\"dev\":" device
#define DEVICE(key, name) IS(META(key), "\"" name "\"") "," DROP
#define NO_DEVICE(key, name) NOT(META(key), "\"" name "\"") "," DROP
#define MARK(mark) IS(META("mark"), mark) "," DROP

static const struct {
	const char *family, *base, *expr;
	bool met;
} chains[] = {
	{ "ip", FILTER("prerouting"), DROP, true },
	{ "ip", FILTER("forward"), DROP, true },
	{ "inet", FILTER("postrouting"), DROP, true },
	{ "inet", FILTER("input"), DROP, false },
	{ "inet", FILTER("output"), DROP, false },
	{ "ip", HOOK("nat", "prerouting"), DROP, false },
	{ "ip", HOOK("nat", "postrouting"), DROP, false },
	{ "ip", HOOK("route", "output"), DROP, false },
	{ "ip6", FILTER("forward"), DROP, false },
	{ "arp", FILTER("input"), DROP, false },
	{ "bridge", FILTER("forward"), DROP, false },
	{ "ip", FILTER("forward") ",\"policy\":\"drop\"", "", true },
	{ "ip", FILTER("forward") ",\"policy\":\"drop\"", ACCEPT, false },
	{ "ip", FILTER("forward") ",\"policy\":\"accept\"", "", false },
	{ "ip", FILTER("input") ",\"policy\":\"drop\"", "", false },
	{ "netdev", AT("ingress", "\"wan0\""), DROP, true },
	{ "inet", AT("ingress", "[\"a\",\"wan0\"]"), DROP, true },
	{ "netdev", AT("ingress", "\"lan0\""), DROP, false },
	{ "netdev", AT("ingress", "[\"a\",\"lan0\"]"), DROP, false },
	{ "netdev", AT("egress", "\"lan0\""), DROP, true },
	{ "netdev", AT("egress", "\"wan0\""), DROP, false },
	{ "netdev", AT("egress", "7"), DROP, true },
	{ "netdev", AT("egress", "[\"wan0\", 7]"), DROP, true },
	{ "netdev", FILTER("ingress"), DROP, true },
	{ "netdev", FILTER("egress"), "{\"fwd\":{\"dev\":\"lo\"}}", true },
	/* What is known of a packet there. */
	{ "inet", FILTER("prerouting"), MARK("0"), true },
	{ "inet", FILTER("prerouting"), MARK("16777216"), true },
	{ "inet", FILTER("prerouting"), MARK("33554432"), false },
	{ "netdev", FILTER("ingress"), MARK("0"), true },
	{ "netdev", FILTER("ingress"), MARK("16777216"), true },
	{ "inet", FILTER("forward"), MARK("0"), false },
	{ "inet", FILTER("postrouting"), MARK("0"), false },
	{ "netdev", FILTER("egress"), MARK("0"), false },
	{ "inet", FILTER("prerouting"), DEVICE("oifname", "lan0"), false },
	{ "inet", FILTER("prerouting"), NO_DEVICE("oifname", "lan0"), true },
	{ "inet", FILTER("prerouting"), DEVICE("iifname", "wan0"), true },
	{ "inet", FILTER("prerouting"), NO_DEVICE("iifname", "wan0"), false },
	{ "inet", FILTER("ingress"), NO_DEVICE("oifname", "lan0"), true },
	{ "inet", FILTER("forward"), NO_DEVICE("oifname", "lan0"), false },
	{ "inet", FILTER("postrouting"), DEVICE("iifname", "wan0"), true },
	{ "inet", FILTER("postrouting"), NO_DEVICE("iifname", "wan0"), true },
	{ "inet", FILTER("postrouting"), DEVICE("iifname", "lan9"), false },
	{ "inet", FILTER("postrouting"), NO_DEVICE("oifname", "lan0"), false },
	{ "netdev", FILTER("egress"), DEVICE("iifname", "wan0"), false },
	{ "netdev", FILTER("egress"), NO_DEVICE("iifname", "wan0"), true },
};

static void test_chains(void)
{
	for (size_t i = 0; i < COUNT(chains); i++) {
		char place[64], about[512];

		snprintf(place, sizeof(place), NFT("c", "%s t"),
			 chains[i].family);
		snprintf(about, sizeof(about), "%s %s: %s", chains[i].family,
			 chains[i].base, chains[i].expr);
		expect(one_rule(chains[i].family, chains[i].base,
				chains[i].expr),
		       &inbound, chains[i].met ? place : NULL, about);
	}
}

/* Devices that are not known may be any. */
static void test_unknown(void)
{
	const struct firewall_packet packet = { NULL, NULL, INBOUND };

	expect(one_rule("ip", FILTER("postrouting"), DEVICE("iifname", "a")),
	       &packet, NFT("c", "ip t"), "in");
	expect(one_rule("netdev", AT("egress", "\"a\""), DROP), &packet,
	       NFT("c", "netdev t"), "egress");
}

/* A netdev chain is none of those that judge a forwarded packet. */
static void test_netdev_judged(void)
{
	struct firewall *f = one_rule("netdev", FILTER("ingress"), DROP);

	CU_ASSERT_EQUAL(f->chain_count, 2);
	CU_ASSERT(f->chains[0].hook != FIREWALL_FORWARD);
	firewall_free(f);
}

/* What nft shows of our iptables rules, when iptables-nft does not. */
static void test_ours_by_nft(void)
{
	struct firewall *f = from_nft(
		"{\"nftables\":[{\"chain\":{\"family\":\"ip\",\"table\":\"raw\""
		",\"name\":\"PREROUTING\"," FILTER(
			"prerouting") "}},"
				      "{\"chain\":{\"family\":\"ip\",\"table\":\"raw\",\"name\":"
				      "\"PORTICO-RAW\"}},{\"rule\":{\"family\":\"ip\",\"table\":"
				      "\"raw\",\"chain\":\"PORTICO-RAW\",\"expr\":[" DROP
				      "]}},"
				      "{\"rule\":{\"family\":\"ip\",\"table\":\"raw\",\"chain\":"
				      "\"PREROUTING\",\"expr\":[" COUNTER
				      "," TO("jump",
					     "PORTICO-RAW") "]}},"
							    "{\"rule\":{\"family\":\"ip\",\"table\":\"raw\",\"comment\":"
							    "\"portico\",\"chain\":\"PREROUTING\",\"expr\":[{\"log\":null},{\"accept\":null}]}},"
							    "{\"chain\":{\"family\":\"ip\",\"table\":\"portico\",\"name\":"
							    "\"a\"," FILTER(
								    "forward") ",\"policy\":\"drop\"}}]}");

	expect(f, &inbound, NULL, "ours");
}

/* --- a table of both programs -------------------------------------------- */

#define SHOWN "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -j ACCEPT\nCOMMIT\n"
#define AT_PRIO(prio) FILTER("forward") ",\"prio\":" prio

/* What iptables-nft-save (1.8.9) makes of what only nft can say: it leaves out
 * chains, shows them by its own names, and leaves out what a rule asks of a
 * set. */
static const struct {
	const char *name, *base, *expr;
	bool met;
} both[] = {
	{ "FORWARD", AT_PRIO("0"), DROP, false },
	{ "FORWARD", AT_PRIO("50"), DROP, true },
	{ "forward", AT_PRIO("0"), DROP, true },
	{ "extra", AT_PRIO("10") ",\"policy\":\"drop\"", "", true },
	{ "extra", HOOK("nat", "postrouting"), DROP, false },
	{ "extra", FILTER("input"), DROP, false },
	{ "FORWARD", AT_PRIO("0"), IS(SADDR, "\"10.0.0.1\"") "," DROP, false },
	{ "FORWARD", AT_PRIO("0"),
	  "{\"xt\":{\"type\":\"match\",\"name\":\"set\"}}," DROP, false },
	{ "FORWARD", AT_PRIO("0"), IS(SADDR, "\"@hosts\"") "," DROP, true },
	{ "FORWARD", AT_PRIO("0"),
	  IS(SADDR, SET("\"10.0.0.1\",\"10.0.0.2\"")) "," DROP, true },
};

static void test_both(void)
{
	for (size_t i = 0; i < COUNT(both); i++) {
		struct firewall *f = firewall_new();
		char json[2048], place[64];

		snprintf(json, sizeof(json),
			 "{\"nftables\":[{\"chain\":{\"family\":\"ip\","
			 "\"table\":\"filter\",\"name\":\"%s\",%s}},{\"rule\":{"
			 "\"family\":\"ip\",\"table\":\"filter\",\"chain\":"
			 "\"%s\",\"expr\":[%s]}}]}",
			 both[i].name, both[i].base, both[i].name,
			 both[i].expr);
		snprintf(place, sizeof(place), NFT("%s", "ip filter"),
			 both[i].name);
		CU_ASSERT_EQUAL(
			firewall_add_iptables(f, RULES_IPTABLES_NFT, SHOWN), 0);
		CU_ASSERT_EQUAL(firewall_add_nft(f, json), 0);
		expect(f, &inbound, both[i].met ? place : NULL, json);
	}
}

static const struct test tests[] = {
	{ "fw4 lets by, others do not", test_captured },
	{ "each nftables statement lets by or counts", test_statements },
	{ "rules about a SYN are still doubted elsewhere", test_flags_judged },
	{ "chains on the way count as they see the packet", test_chains },
	{ "devices that are not known may be any", test_unknown },
	{ "netdev chains are no forward chains", test_netdev_judged },
	{ "a table of iptables-nft that nft has added to is nft's", test_both },
	{ "our own iptables rules do not count by nft", test_ours_by_nft },
};

int main(int argc, char **argv)
{
	return suite_run("firewall_meets", tests,
			 sizeof(tests) / sizeof(tests[0]), argc, argv);
}
