/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who overwrites our bits of the packet mark.
 */
#include "firewall_lab.h"
#include "suite.h"

/* Frees the firewall. */
static void expect_overwrites(struct firewall *f, enum rules_backend ours,
			      bool wanted, const char *about)
{
	const struct firewall_packet packet = { "lan0", "wan0", OUTBOUND };
	char text[256];
	bool found = firewall_overwrites(f, ours, &packet, INBOUND | OUTBOUND,
					 text, sizeof(text));

	if (found != wanted)
		printf("%s\n", about);
	CU_ASSERT_EQUAL(found, wanted);
	firewall_free(f);
}

static void test_marks_of_iptables(void)
{
	static const struct {
		const char *rule;
		bool overwrites;
	} rules[] = {
		{ "-A PREROUTING -j MARK --set-xmark 0x1/0xffffffff", true },
		{ "-A PREROUTING -j MARK --set-xmark 0x1/0xff", false },
		{ "-A PREROUTING -j MARK --set-xmark 0x2000000/0x0", true },
		{ "-A PREROUTING -i lan+ -p tcp -j MARK --set-xmark 0x1/"
		  "0xffffffff",
		  true },
		{ "-A PREROUTING -i wan0 -j MARK --set-xmark 0x1/0xffffffff",
		  false },
		{ "-A PREROUTING -m conntrack --ctstate NEW -j MARK "
		  "--set-xmark 0x1/0xffffffff",
		  false },
		{ "-A PREROUTING -m mark --mark 0x0 -j MARK --set-xmark "
		  "0x1/0xffffffff",
		  false },
		{ "-A PREROUTING -j CONNMARK --restore-mark", false },
		{ "-A FORWARD -o wan0 -j MARK --set-xmark 0x1/0xffffffff",
		  true },
		{ "-A POSTROUTING -j MARK --set-xmark 0x1/0xffffffff", false },
		{ "-A PREROUTING -j MARK", false },
		{ "-A PREROUTING -j MARK --set-xmark", false },
	};
	char save[512];

	for (size_t i = 0; i < COUNT(rules); i++) {
		snprintf(save, sizeof(save),
			 "*mangle\n:PREROUTING ACCEPT\n:FORWARD ACCEPT\n"
			 ":POSTROUTING ACCEPT\n%s\nCOMMIT\n",
			 rules[i].rule);
		expect_overwrites(from_save(save), RULES_IPTABLES_LEGACY,
				  rules[i].overwrites, rules[i].rule);
	}
}

#define MARK "{\"meta\": {\"key\": \"mark\"}}"
#define CT_MARK "{\"ct\": {\"key\": \"mark\"}}"

static void test_marks_of_nft(void)
{
	static const struct {
		const char *value;
		int prio;
		bool overwrites;
	} rules[] = {
		{ "1", -150, true },
		{ "1", -310, false },
		{ "{\"|\": [" MARK ", 16]}", -150, false },
		{ "{\"|\": [" MARK ", 33554432]}", -150, true },
		{ "{\"&\": [" MARK ", 255]}", -150, true },
		{ "{\"&\": [" MARK ", 4294967040]}", -150, false },
		{ "{\"|\": [{\"&\": [" MARK ", 4294967047]}, 7]}", -150,
		  false },
		{ "{\"|\": [{\"&\": [" MARK ", 255]}, 7]}", -150, true },
		{ "{\"^\": [" MARK ", 5]}", -150, false },
		{ "{\"&\": [" MARK "]}", -150, true },
		{ CT_MARK, -150, false },
		{ "{\"&\": [" CT_MARK ", 255]}", -150, false },
		{ "{\"map\": {\"data\": \"@marks\"}}", -150, true },
	};
	char json[1024];

	for (size_t i = 0; i < COUNT(rules); i++) {
		snprintf(json, sizeof(json),
			 "{\"nftables\": ["
			 "{\"chain\": {\"family\": \"inet\", \"table\": \"t\","
			 " \"name\": \"c\", \"type\": \"filter\", \"prio\": %d,"
			 " \"hook\": \"prerouting\", \"policy\": \"accept\"}},"
			 "{\"rule\": {\"family\": \"inet\", \"table\": \"t\","
			 " \"chain\": \"c\", \"expr\": [{\"mangle\": "
			 "{\"key\": " MARK ", \"value\": %s}}]}}]}",
			 rules[i].prio, rules[i].value);
		expect_overwrites(from_nft(json), RULES_NFTABLES,
				  rules[i].overwrites, rules[i].value);
	}
}

/* Ours of iptables are the first after routing. */
static void test_marks_after_routing(void)
{
	static const char save[] = "*mangle\n:POSTROUTING ACCEPT\n"
				   "-A POSTROUTING -o wan0 -j MARK "
				   "--set-xmark 0x1/0xffffffff\nCOMMIT\n";

	expect_overwrites(from_save(save), RULES_IPTABLES_LEGACY, false, save);
	expect_overwrites(from_save(save), RULES_NFTABLES, true, save);
}

static const struct test tests[] = {
	{ "who overwrites marks by iptables is found", test_marks_of_iptables },
	{ "who overwrites marks by nft is found", test_marks_of_nft },
	{ "who overwrites marks after routing is found",
	  test_marks_after_routing },
};

int main(int argc, char **argv)
{
	return suite_run("firewall_marks", tests, COUNT(tests), argc, argv);
}
