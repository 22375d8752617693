/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The rulesets as text, against golden files (UPDATE_GOLDEN=1 in the
 * environment writes them anew; read the difference before keeping it).
 */
#include <errno.h>

#include "rules_lab.h"

#define GOLDEN "tests/unit/golden/"

static void write_golden(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	if (!file)
		return;
	fputs(text, file);
	fclose(file);
}

/* Frees text. */
static void expect_golden(const char *name, char *text)
{
	char path[128], golden[16384];
	size_t length;
	FILE *file;

	snprintf(path, sizeof(path), GOLDEN "%s", name);
	if (getenv("UPDATE_GOLDEN"))
		write_golden(path, text);
	file = fopen(path, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	length = fread(golden, 1, sizeof(golden) - 1, file);
	golden[length] = '\0';
	fclose(file);
	if (strcmp(golden, text))
		printf("%s should be:\n%sbut is:\n%s", path, golden, text);
	CU_ASSERT_STRING_EQUAL(golden, text);
	free(text);
}

/* --- whole rulesets ------------------------------------------------------ */

static void test_nft(void)
{
	struct fixture *f = fixture_new();

	expect_golden("rules.nft", render(&f->spec, RULES_NFTABLES));
	free(f);
}

static int render_in_place(const struct rules_spec *spec,
			   enum rules_backend backend, FILE *out)
{
	static const struct rules_features all = { true, true };

	(void)backend;
	rules_nft(spec, &all, true, out);
	return 0;
}

/* Whether the header deletes it: what kind of thing, and its name in the
 * table's text. */
static bool deletes(const char *text, const char *kind, const char *name)
{
	char line[64];

	snprintf(line, sizeof(line), "\ndelete %s ip portico %.*s\n", kind,
		 (int)strcspn(name, " "), name);
	return strstr(text, line);
}

/* Another header before the same table; it deletes what the kernel would
 * otherwise add to, and no base chain. */
static void test_nft_in_place(void)
{
	static const char header[] = "table ip portico\n"
				     "delete table ip portico\n";
	struct fixture *f = fixture_new();
	char *plain, *text;
	size_t table;

	f->spec.fallback_kernel = true;
	plain = render(&f->spec, RULES_NFTABLES);
	text = render_with(render_in_place, &f->spec, RULES_NFTABLES);
	table = strlen(plain) - strlen(header);
	CU_ASSERT(lacks(text, "delete table"));
	CU_ASSERT_FATAL(strlen(text) > table);
	CU_ASSERT_STRING_EQUAL(text + strlen(text) - table,
			       plain + strlen(header));
	for (const char *at = plain; (at = strstr(at, "\tset ")); at++)
		CU_ASSERT(deletes(text, "set", at + 5));
	for (const char *at = plain; (at = strstr(at, "\tchain ")); at++) {
		bool base = !strncmp(strchr(at, '\n'), "\n\t\ttype ", 8);

		CU_ASSERT_EQUAL(deletes(text, "chain", at + 7), !base);
	}
	free(plain);
	free(text);
	free(f);
}

static void test_nft_fallback(void)
{
	struct fixture *f = fixture_new();

	f->spec.fallback_kernel = true;
	f->spec.mss_clamp = false;
	expect_golden("rules-fallback.nft", render(&f->spec, RULES_NFTABLES));
	free(f);
}

static void test_iptables(void)
{
	struct fixture *f = fixture_new();
	char *nft = render(&f->spec, RULES_IPTABLES_NFT);
	char *legacy = render(&f->spec, RULES_IPTABLES_LEGACY);

	CU_ASSERT_STRING_EQUAL(nft, legacy);
	free(legacy);
	expect_golden("rules.iptables", nft);
	free(f);
}

static void test_guards(void)
{
	struct fixture *f = fixture_new();
	char *nft = render_with(rules_render_guard, &f->spec, RULES_NFTABLES);

	expect_golden("guard.nft", nft);
	expect_golden("guard.iptables",
		      render_with(rules_render_guard, &f->spec,
				  RULES_IPTABLES_NFT));
	f->spec.fallback_kernel = true;
	nft = render_with(rules_render_guard, &f->spec, RULES_NFTABLES);
	expect_golden("guard-fallback.nft", nft);
	free(f);
}

/* --- parts --------------------------------------------------------------- */

/* nftables' guard knows a renamed uplink by its index; iptables queues all that
 * comes from inside, whatever the name. */
static void test_renamed_uplink(void)
{
	static const char wanted[] = "\t\toif 5 ip saddr @inside ip saddr != "
				     "@exempt ip daddr != @exempt drop\n";
	struct fixture *f = fixture_new();
	char *text = render(&f->spec, RULES_NFTABLES);

	CU_ASSERT(lacks(text, " oif "));
	free(text);
	f->spec.uplink_index = 5;
	text = render(&f->spec, RULES_NFTABLES);
	CU_ASSERT(holds(text, wanted));
	free(text);
	text = render_with(rules_render_guard, &f->spec, RULES_NFTABLES);
	CU_ASSERT(holds(text, wanted));
	free(text);
	free(f);
}

/* Before the uplink has an address nothing comes in, but all that goes out is
 * owned: it must not leave untranslated. */
static void test_no_address(void)
{
	struct fixture *f = fixture_new();

	f->spec.uplink_addr = 0;
	for (int i = 0; i < RULES_BACKENDS; i++) {
		char *text = render(&f->spec, (enum rules_backend)i);

		CU_ASSERT(lacks(text, "0.0.0.0"));
		CU_ASSERT(lacks(text, "-g PORTICO-INBOUND"));
		CU_ASSERT(lacks(text, "jump inbound"));
		CU_ASSERT(lacks(text, "jump hairpin"));
		CU_ASSERT(holds(text, i ? "-i lan0 -g PORTICO-OUTBOUND" :
					  "fib daddr oifname \"wan0\""));
		free(text);
	}
	free(f);
}

/* A hairpin goes to the uplink's address, which is the router's own; what comes
 * back from the queue still sent there must not enter it again. */
static void test_own_address(void)
{
	struct fixture *f = fixture_new();
	char *text;

	text = render(&f->spec, RULES_IPTABLES_NFT);
	CU_ASSERT(holds(text, "-d 203.0.113.7 -m mark --mark 0x0/0x3000000 "
			      "-j PORTICO-HAIRPIN\n"));
	CU_ASSERT(holds(text, "-d 203.0.113.7 -m addrtype --dst-type LOCAL "
			      "-g PORTICO-WITHIN\n"));
	free(text);
	f->spec.uplink_addr = 0;
	text = render(&f->spec, RULES_IPTABLES_NFT);
	CU_ASSERT(lacks(text, "addrtype"));
	CU_ASSERT(lacks(text, "-j PORTICO-HAIRPIN"));
	free(text);
	free(f);
}

/* Each packet would be looked up in it, in vain. */
static void test_empty_sets(void)
{
	struct fixture *f = fixture_new();
	char *text;

	f->spec.exempt_count = f->spec.away_count = 0;
	f->spec.fallback_kernel = true;
	text = render(&f->spec, RULES_NFTABLES);
	CU_ASSERT(lacks(text, "ip daddr @exempt accept"));
	CU_ASSERT(lacks(text, "@away"));
	free(text);
	free(f);
}

/* A device without networks: what is private comes from there. */
static void test_inside_unknown(void)
{
	struct fixture *f = fixture_new();
	char *text;

	f->spec.inside_unknown = true;
	f->spec.fallback_kernel = true;
	text = render_with(rules_render_guard, &f->spec, RULES_NFTABLES);
	CU_ASSERT(holds(text, "iifname { \"lan0\", \"guest.2\" } "
			      "oifname \"wan0\" ip saddr { 10.0.0.0/8, "
			      "172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10 } "
			      "ip saddr != @exempt ip daddr != @exempt drop"));
	CU_ASSERT(holds(text, "192.168.0.0/16, 100.64.0.0/10 } masquerade\n"));
	free(text);
	/* Renamed, too. */
	f->spec.uplink_index = 7;
	text = render_with(rules_render_guard, &f->spec, RULES_NFTABLES);
	CU_ASSERT(holds(text, "iifname { \"lan0\", \"guest.2\" } "
			      "oif 7 ip saddr { 10.0.0.0/8,"));
	free(text);
	f->spec.uplink_index = 0;
	text = render_with(rules_render_guard, &f->spec, RULES_IPTABLES_NFT);
	CU_ASSERT(holds(text, "-A PORTICO-FORWARD -i lan0 -o wan0 -j DROP\n"));
	CU_ASSERT(holds(text, "-I FORWARD -j PORTICO-FORWARD\n"));
	CU_ASSERT(holds(text, "-A PORTICO-FORWARD -d 10.8.0.0/16 -j RETURN"));
	free(text);
	/* While the daemon is there it sees all but what is led out by a part
	 * of a network that is routed elsewhere. */
	text = render(&f->spec, RULES_IPTABLES_NFT);
	CU_ASSERT(lacks(text, "-A PORTICO-FORWARD -i lan0 -o wan0 -j DROP\n"));
	CU_ASSERT(holds(text, "-A PORTICO-FORWARD -i lan0 -o wan0 -m mark "
			      "--mark 0x0/0x3000000 -j DROP\n"));
	CU_ASSERT(holds(text, "-I FORWARD -j PORTICO-FORWARD\n"));
	free(text);
	free(f);
}

/* What is for a network that cannot be reached. */
static void test_inside_away(void)
{
	struct fixture *f = fixture_new();
	char *text;

	f->spec.away_count = 1;
	text = render_with(rules_render_guard, &f->spec, RULES_NFTABLES);
	CU_ASSERT(holds(text, "elements = { 192.168.1.0/24 }"));
	free(text);
	text = render(&f->spec, RULES_IPTABLES_NFT);
	CU_ASSERT(holds(text, "-A PORTICO-POST -o wan0 -d 192.168.1.0/24"));
	CU_ASSERT(lacks(text, "-A PORTICO-POST -o wan0 -d 10.99.0.0/16"));
	CU_ASSERT(holds(text, "-A PORTICO-POST -o wan0 -s 10.99.0.0/16"));
	free(text);
	free(f);
}

/* Neither device nor network inside is known yet. */
static void test_nothing_inside(void)
{
	struct fixture *f = fixture_new();
	char *text;

	f->spec.inside_count = f->spec.inside_net_count = 0;
	f->spec.away_count = 0;
	f->spec.tcp = f->spec.udp = NULL;
	text = render(&f->spec, RULES_NFTABLES);
	CU_ASSERT(holds(text, "iifname { \"none\" } ip daddr"));
	CU_ASSERT(lacks(text, "@th"));
	free(text);
	text = render(&f->spec, RULES_IPTABLES_NFT);
	CU_ASSERT(lacks(text, "-A PORTICO-POST -o wan0 -s"));
	CU_ASSERT(lacks(text, "multiport"));
	CU_ASSERT(lacks(text, "C@24&"));
	CU_ASSERT(holds(text, "-A PORTICO-ERRORS -j NFQUEUE"));
	free(text);
	free(f);
}

static void test_other_mark(void)
{
	struct fixture *f = fixture_new();
	char *text;

	f->spec.mark = 0xc0000000;
	text = render(&f->spec, RULES_NFTABLES);
	CU_ASSERT(holds(text, "meta mark & 0xc0000000 != 0 notrack"));
	CU_ASSERT(holds(text, "set meta mark | 0x80000000 notrack"));
	CU_ASSERT(holds(text, "meta mark & 0x80000000 != 0 goto outbound"));
	free(text);
	f->spec.mark = 3;
	text = render(&f->spec, RULES_IPTABLES_NFT);
	CU_ASSERT(holds(text, "-m mark ! --mark 0x0/0x3 -g PORTICO-OURS"));
	CU_ASSERT(holds(text, "-j MARK --set-xmark 0x2/0x2\n"));
	CU_ASSERT(holds(text, "-m mark --mark 0x2/0x2 -j PORTICO-OUT"));
	free(text);
	free(f);
}

/* --- bad input ----------------------------------------------------------- */

static void expect_refused(const struct rules_spec *spec)
{
	char error[256] = "";
	FILE *out = fopen("/dev/null", "w");

	for (int i = 0; i < RULES_BACKENDS; i++) {
		enum rules_backend backend = (enum rules_backend)i;

		CU_ASSERT_EQUAL(rules_render(spec, backend, out), -EINVAL);
		CU_ASSERT_EQUAL(rules_render_guard(spec, backend, out),
				-EINVAL);
		CU_ASSERT_EQUAL(rules_apply(spec, backend, error,
					    sizeof(error)),
				-EINVAL);
		CU_ASSERT(error[0] != '\0');
	}
	fclose(out);
}

/* Names that a kernel allows and a rule would misread. */
static void test_bad_devices(void)
{
	static const char *const bad[] = {
		"",   "wan+",	"wan*", "a b",	"a\"b",
		"-x", "wan\n0", "a;b",	"a\\b", "sixteen-letters!",
		NULL,
	};
	struct fixture *f = fixture_new();

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		f->spec.uplink = bad[i];
		expect_refused(&f->spec);
	}
	f->spec.uplink = "pppoe-wan";
	f->spec.inside = (const char[][IFNAMSIZ]){ "lan0", "lan\"" };
	expect_refused(&f->spec);
	free(f);
}

static void test_bad_marks(void)
{
	static const uint32_t bad[] = { 0, 1, 5, 7, 0x80000001, 0x80000000 };
	struct fixture *f = fixture_new();

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		f->spec.mark = bad[i];
		expect_refused(&f->spec);
	}
	free(f);
}

static void test_full_disk(void)
{
	struct fixture *f = fixture_new();
	FILE *out = fopen("/dev/full", "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(out);
	CU_ASSERT_EQUAL(rules_render(&f->spec, RULES_NFTABLES, out), -EIO);
	fclose(out);
	free(f);
}

/* --- the rest -------------------------------------------------------------- */

static void test_names(void)
{
	CU_ASSERT_STRING_EQUAL(rules_backend_name(RULES_NFTABLES), "nftables");
	CU_ASSERT_STRING_EQUAL(rules_backend_name(RULES_IPTABLES_LEGACY),
			       "iptables-legacy");
	CU_ASSERT_STRING_EQUAL(rules_backend_name(RULES_BACKENDS), "unknown");
}

/* Nothing to refresh is no error, and no kernel is asked. */
static void test_refresh_nothing(void)
{
	struct fixture *f = fixture_new();

	CU_ASSERT_EQUAL(rules_refresh_alive(&f->spec, RULES_NFTABLES), 0);
	f->spec.fallback_kernel = true;
	CU_ASSERT_EQUAL(rules_refresh_alive(&f->spec, RULES_IPTABLES_NFT), 0);
	free(f);
}

static const struct test tests[] = {
	{ "the nftables ruleset", test_nft },
	{ "the nftables ruleset in the place of another", test_nft_in_place },
	{ "the nftables ruleset with the kernel as fallback",
	  test_nft_fallback },
	{ "the iptables ruleset", test_iptables },
	{ "the guard alone", test_guards },
	{ "a renamed uplink is still guarded", test_renamed_uplink },
	{ "without an address nothing comes in", test_no_address },
	{ "what comes back from the queue does not enter it again",
	  test_own_address },
	{ "no packet is looked up in a set without elements", test_empty_sets },
	{ "nothing inside is known yet", test_nothing_inside },
	{ "a device whose networks are unknown", test_inside_unknown },
	{ "an inside network is away", test_inside_away },
	{ "any two adjacent mark bits will do", test_other_mark },
	{ "device names that rules would misread are refused",
	  test_bad_devices },
	{ "marks that are not two adjacent bits are refused", test_bad_marks },
	{ "a stream that fails is reported", test_full_disk },
	{ "backends have names", test_names },
	{ "only a set that exists is refreshed", test_refresh_nothing },
};

int main(int argc, char **argv)
{
	return suite_run("rules", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
