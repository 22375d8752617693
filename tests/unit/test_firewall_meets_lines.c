/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What an established session's packets meet in iptables, by single lines as
 * iptables-save 1.8.9 prints them; and the walk from chain to chain.
 */
#include <errno.h>
#include <stdlib.h>

#include "firewall_lab.h"
#include "platform/rules_text.h"
#include "suite.h"

/* --- single lines -------------------------------------------------------- */

/* "x" is an empty chain. */
static const char *const let_by[] = {
	"-j ACCEPT",
	"-j RETURN",
	"-j x",
	"-g x",
	"-j PORTICO-RAW",
	"-j CT --notrack",
	"-j CT --helper ftp",
	"-j NOTRACK",
	"-j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff",
	"-s 10.0.0.0/8 -j ACCEPT",
	"-p tcp -m tcp --dport 22 -m comment --comment \"a b\" -j ACCEPT",
	"-p tcp -m multiport --dports 22,80 -m addrtype --dst-type LOCAL -j x",
	"-m physdev --physdev-is-bridged -j ACCEPT",
	"-m set --match-set s src -j RETURN",
	/* Those that do not hold. */
	"-i lan9 -j DROP",
	"! -i wan0 -j LOG",
	"-o lan9",
	"-i lan9 -j nowhere",
	"-i lan9 -m limit --limit 3/min -m conntrack --ctstate NEW -j DROP",
	"-m mark --mark 0x2000000/0x3000000 -j DROP",
	"-m conntrack --ctstate NEW -m limit --limit 3/min -j DROP",
	"-m conntrack --ctstate RELATED,ESTABLISHED -j NFLOG",
	"-m conntrack ! --ctstate UNTRACKED -j DROP",
	"-m limit --limit 3/min -m comment --comment portico -j ACCEPT",
	/* Those of which we are one. */
	"-p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu",
	"-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP",
	"-p tcp -m tcp --tcp-flags FIN,SYN,RST,PSH,ACK,URG FIN,SYN -j DROP",
	"-p tcp -m tcp --tcp-flags SYN,ACK SYN,ACK -j LOG",
	"-p tcp -m tcp --tcp-flags FIN,ACK FIN -j LOG",
	"-p tcp -m tcp --tcp-flags RST RST -j LOG",
	"-p tcp -m tcp --tcp-flags ALL ALL -j LOG",
};

static const char *const met[] = {
	"-j DROP",
	"-m comment --comment portico -j DROP",
	"-j REJECT --reject-with icmp-port-unreachable",
	"-j NFQUEUE --queue-num 5",
	"-j LOG --log-prefix \"a b\"",
	"-j MARK --set-xmark 0x1/0xff",
	"-j TTL --ttl-set 64",
	"-j TCPMSS --clamp-mss-to-pmtu",
	"-j nowhere",
	"-g nowhere",
	"",
	"-s 10.0.0.0/8",
	"-m limit --limit 3/min -j ACCEPT",
	"-m recent --set --name DEFAULT --rsource -j RETURN",
	"-m quota --quota 5 -j ACCEPT",
	/* Those that hold, or may. */
	"-i wan0 -o lan0 -j DROP",
	"-s 10.0.0.0/8 -j DROP",
	"-m mark --mark 0x1000000/0x3000000 -j DROP",
	"-m conntrack --ctstate NEW,UNTRACKED -j DROP",
	"-m comment --comment \"portico no\" -j DROP",
	"-p tcp -m tcp --dport 22 -j DROP",
	/* What comes before the match that does not hold. */
	"-m limit --limit 3/min -m conntrack --ctstate NEW -j ACCEPT",
	"-m recent --set -m mark --mark 0x5 -j ACCEPT",
	"-m recent --set -m tcp --tcp-flags SYN SYN -j ACCEPT",
	/* Arguments that look like options, as they are printed. */
	"-i wan0 ! -o lan9 -m string --string \"-i\" --algo bm -j DROP",
	"-m string --string \"-o\" --algo bm --to 65535 -j LOG",
	"-m string --string \"--mark\" --algo bm -j DROP",
	"-m string --string \"--ctstate\" --algo bm -j DROP",
	"-m string --string \"--tcp-flags\" --algo SYN -j DROP",
	"-m string --string \"!\" --algo bm -i lan9 -j DROP",
	"-m string --string \"-j\" x --algo bm -j DROP",
	"-m string --string \"-m\" --algo bm -j DROP",
	"-m string --string \"--comment\" portico -m limit -j ACCEPT",
	"-m recent --rcheck --name -i --mask 255.255.255.255 -j ACCEPT",
	"-m helper --helper -i -j DROP",
	"-m helper --helper -i -m helper --helper -o -j DROP",
	"-m set --match-set -i src -j DROP",
	"-m set ! --match-set -o src -j DROP",
	"-m set --match-set --mark src -j DROP",
	"-m set --match-set --ctstate src -j DROP",
	"-m set --match-set --state src,dst -j DROP",
	"-m set --match-set --tcp-flags src -j DROP",
	"-m set --match-set --comment portico -m limit -j ACCEPT",
	"-m set --match-set -j x -j DROP",
	"-m set --match-set -g x",
	"-m set --match-set ! src -m mark --mark 0x1000000/0x3000000 -j DROP",
	"-m comment --comment -i -j DROP",
	/* Flags that our segments may have. */
	"-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -j DROP",
	"-p tcp -m tcp --tcp-flags FIN,SYN,RST,PSH,ACK,URG NONE -j DROP",
	"-p tcp -m tcp --tcp-flags SYN,ACK ACK -j DROP",
};

static struct firewall *one_line(const char *table, const char *chain,
				 const char *line)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "*%s\n:%s ACCEPT [0:0]\n:x - [0:0]\n-A %s %s\nCOMMIT\n", table,
		 chain, chain, line);
	return from_save(text);
}

static void test_lines(void)
{
	for (size_t i = 0; i < COUNT(let_by); i++)
		expect(one_line("mangle", "FORWARD", let_by[i]), &inbound, NULL,
		       let_by[i]);
	for (size_t i = 0; i < COUNT(met); i++)
		expect(one_line("mangle", "FORWARD", met[i]), &inbound,
		       LEGACY("FORWARD", "mangle"), met[i]);
}

/* --- chains -------------------------------------------------------------- */

static const struct {
	const char *table, *chain, *line, *place;
} chains[] = {
	{ "raw", "PREROUTING", "-j DROP", LEGACY("PREROUTING", "raw") },
	{ "mangle", "PREROUTING", "-j LOG", LEGACY("PREROUTING", "mangle") },
	{ "mangle", "POSTROUTING", "-j LOG", LEGACY("POSTROUTING", "mangle") },
	{ "filter", "FORWARD", "-j DROP", LEGACY("FORWARD", "filter") },
	{ "security", "FORWARD", "-j DROP", LEGACY("FORWARD", "security") },
	{ "nat", "PREROUTING", "-j DNAT --to-destination 10.0.0.1", NULL },
	{ "nat", "POSTROUTING", "-j MASQUERADE", NULL },
	{ "filter", "INPUT", "-j DROP", NULL },
	{ "mangle", "OUTPUT", "-j DROP", NULL },
	{ "raw", "PREROUTING", "-m mark --mark 0x0/0x3000000 -j DROP",
	  LEGACY("PREROUTING", "raw") },
	{ "raw", "PREROUTING", "-m mark --mark 0x1000000/0x3000000 -j DROP",
	  LEGACY("PREROUTING", "raw") },
	{ "filter", "FORWARD", "-m mark --mark 0x0/0x3000000 -j DROP", NULL },
};

static void test_chains(void)
{
	for (size_t i = 0; i < COUNT(chains); i++)
		expect(one_line(chains[i].table, chains[i].chain,
				chains[i].line),
		       &inbound, chains[i].place, chains[i].line);
	/* Nobody comes by a user's chain of that name, but by a jump. */
	expect(from_save("*filter\n:FORWARD - [0:0]\n-A FORWARD -j DROP\n"),
	       &inbound, NULL, "user's");
}

/* --- the walk ------------------------------------------------------------ */

#define FORWARD "*filter\n:FORWARD ACCEPT [0:0]\n:a - [0:0]\n:b - [0:0]\n"
#define CLOSED "*filter\n:FORWARD DROP [0:0]\n:a - [0:0]\n:b - [0:0]\n"

static const struct {
	const char *text, *place;
} walks[] = {
	/* An accept ends it, if it holds for certain; a return its chain. */
	{ FORWARD "-A FORWARD -j ACCEPT\n-A FORWARD -j DROP\n", NULL },
	{ FORWARD "-A FORWARD -s 10.0.0.1 -j ACCEPT\n-A FORWARD -j DROP\n",
	  LEGACY("FORWARD", "filter") },
	{ FORWARD "-A FORWARD -j a\n-A FORWARD -j DROP\n-A a -j ACCEPT\n",
	  NULL },
	{ FORWARD "-A FORWARD -s 10.0.0.1 -j a\n-A FORWARD -j LOG\n"
		  "-A a -j ACCEPT\n",
	  LEGACY("FORWARD", "filter") },
	{ FORWARD "-A FORWARD -j a\n-A a -j RETURN\n-A a -j DROP\n", NULL },
	{ FORWARD "-A FORWARD -j a\n-A a -s 10.0.0.1 -j RETURN\n-A a -j DROP\n",
	  LEGACY("a", "filter") },
	{ FORWARD "-A FORWARD -g a\n-A FORWARD -j DROP\n", NULL },
	{ FORWARD "-A FORWARD -s 10.0.0.1 -g a\n-A FORWARD -j DROP\n",
	  LEGACY("FORWARD", "filter") },
	/* What is behind a jump that may be taken, and the first of several. */
	{ FORWARD "-A FORWARD -s 10.0.0.1 -j a\n-A a -j b\n-A b -j LOG\n"
		  "-A FORWARD -j DROP\n",
	  LEGACY("b", "filter") },
	{ FORWARD "-A FORWARD -i lan9 -j a\n-A a -j DROP\n", NULL },
	/* Policies. */
	{ CLOSED, LEGACY("FORWARD", "filter") },
	{ CLOSED "-A FORWARD -j ACCEPT\n", NULL },
	{ CLOSED "-A FORWARD -s 10.0.0.1 -j ACCEPT\n",
	  LEGACY("FORWARD", "filter") },
	{ CLOSED "-A FORWARD -m mark --mark 0x5 -m mark ! --mark 0x7 "
		 "-j ACCEPT\n",
	  LEGACY("FORWARD", "filter") },
	{ CLOSED "-A FORWARD -m mark ! --mark 0x7 -m mark ! --mark 0x1000000 "
		 "-j ACCEPT\n",
	  LEGACY("FORWARD", "filter") },
	{ CLOSED "-A FORWARD -j RETURN\n", LEGACY("FORWARD", "filter") },
	{ CLOSED "-A FORWARD -j a\n-A a -j LOG\n", LEGACY("a", "filter") },
	/* The accept that we insert. */
	{ CLOSED "-A FORWARD -m mark ! --mark 0x0/0x3000000 "
		 "-m comment --comment portico -j ACCEPT\n",
	  NULL },
	/* In the order of the hooks. */
	{ "*mangle\n:POSTROUTING ACCEPT\n-A POSTROUTING -j LOG\n" CLOSED
	  "*raw\n:PREROUTING ACCEPT\n-A PREROUTING -j LOG\n",
	  LEGACY("PREROUTING", "raw") },
	/* No kernel takes a ring. */
	{ FORWARD ":c - [0:0]\n-A FORWARD -j a\n-A a -j b\n-A b -j c\n"
		  "-A c -j a\n",
	  LEGACY("c", "filter") },
};

static void test_walks(void)
{
	for (size_t i = 0; i < COUNT(walks); i++)
		expect(from_save(walks[i].text), &inbound, walks[i].place,
		       walks[i].text);
}

/* Sixteen jumps are the kernel's most: what lies behind more is not known. */
static void test_depth(void)
{
	for (int jumps = 16; jumps <= 17; jumps++) {
		char text[1024] = "*filter\n:FORWARD ACCEPT [0:0]\n"
				  "-A FORWARD -j c1\n";

		for (int i = 1; i < jumps; i++)
			snprintf(text + strlen(text),
				 sizeof(text) - strlen(text),
				 ":c%d - [0:0]\n-A c%d -j c%d\n", i, i, i + 1);
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 ":c%d - [0:0]\n-A c%d -j ACCEPT\n", jumps, jumps);
		expect(from_save(text), &inbound,
		       jumps == 16 ? NULL : LEGACY("c16", "filter"), text);
	}
}

/* 4^8 rules are walked no further than 20,000 of them. */
static void test_steps(void)
{
	char text[2048] = "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -j c0\n";
	char place[128];
	struct firewall *f;

	for (int i = 0; i < 8; i++) {
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 ":c%d - [0:0]\n", i);
		for (int j = 0; j < 4; j++)
			snprintf(text + strlen(text),
				 sizeof(text) - strlen(text), "-A c%d -j c%d\n",
				 i, i + 1);
	}
	snprintf(text + strlen(text), sizeof(text) - strlen(text),
		 ":c8 - [0:0]\n-A c8 -j RETURN\n");
	f = from_save(text);
	CU_ASSERT(firewall_meets(f, &inbound, place, sizeof(place)));
	firewall_free(f);
}

/* More words than are read: its target is not known. */
static void test_long(void)
{
	char text[2048] = FORWARD "-A FORWARD";

	for (int i = 0; i < 130; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 " -s 10.0.0.1");
	snprintf(text + strlen(text), sizeof(text) - strlen(text),
		 " -j ACCEPT\n");
	expect(from_save(text), &inbound, LEGACY("FORWARD", "filter"), text);
}

/* A text that fills the buffer may have lost its end. */
static void test_cut(void)
{
	struct firewall *f = firewall_new();
	char *text = calloc(1, RULES_LISTING_MAX);

	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	memset(text, '#', RULES_LISTING_MAX - 2);
	CU_ASSERT_EQUAL(firewall_add_iptables(f, RULES_IPTABLES_LEGACY, text),
			0);
	text[RULES_LISTING_MAX - 2] = '#';
	CU_ASSERT_EQUAL(firewall_add_iptables(f, RULES_IPTABLES_LEGACY, text),
			-EMSGSIZE);
	free(text);
	firewall_free(f);
}

static const struct test tests[] = {
	{ "each iptables rule lets by or counts", test_lines },
	{ "chains on the way count", test_chains },
	{ "the walk goes wherever the packet may go", test_walks },
	{ "more jumps than the kernel takes count", test_depth },
	{ "more rules than can be walked count", test_steps },
	{ "a rule of too many words counts", test_long },
	{ "a text that was cut is not believed", test_cut },
};

int main(int argc, char **argv)
{
	return suite_run("firewall_meets_lines", tests,
			 sizeof(tests) / sizeof(tests[0]), argc, argv);
}
