/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which ports and protocols the rules send to the queue, and with what
 * consequence while nobody listens.
 */
#include "rules_lab.h"

static size_t count_of(const char *text, const char *part)
{
	const char *at = text;
	size_t count = 0;

	while ((at = strstr(at, part))) {
		at++;
		count++;
	}
	return count;
}

/* A multiport match takes 15 slots; a range counts two, and is never split. */
static void test_multiport(void)
{
	struct fixture *f = fixture_new();
	char *text;

	memset(&f->tcp, 0, sizeof(f->tcp));
	memset(&f->udp, 0, sizeof(f->udp));
	for (unsigned i = 0; i < 14; i++)
		add_range(&f->tcp, 100 + 2 * i, 100 + 2 * i);
	add_range(&f->tcp, 200, 201); /* slots 15 and 16: the next rule */
	add_range(&f->udp, 0, 0);
	add_range(&f->udp, 65535, 65535);
	text = render(&f->spec, RULES_IPTABLES_NFT);
	CU_ASSERT(holds(text, "--dports 100,102,104,106,108,110,112,114,116,"
			      "118,120,122,124,126 -j NFQUEUE"));
	CU_ASSERT(holds(text, "--dports 200:201 -j NFQUEUE"));
	CU_ASSERT(holds(text, "-p udp -m multiport --dports 0,65535 -j"));
	/* Each once from outside and once for hairpins; TCP's for either queue;
	 * DCCP takes the ports of TCP, UDP-Lite those of UDP. */
	CU_ASSERT_EQUAL(count_of(text, "multiport"), 16);
	CU_ASSERT_EQUAL(count_of(text, "-p 33 -m multiport"), 4);
	CU_ASSERT_EQUAL(count_of(text, "-p 136 -m multiport"), 2);
	free(text);
	free(f);
}

/* A lone SYN, datagrams, queries: what may begin a flow has the second queue,
 * and nothing else has. */
static void test_two_queues(void)
{
	static const char *const following[] = {
		"!= syn",      "! --tcp-flags", "! --u32",
		"unreachable", "-type 3 ",	"-type 4 ",
		"-type 5 ",    "-type 11 ",	"-type 12 ",
		"ERRORS",      "@th",		"\t\tqueue num 100 bypass"
	};
	struct fixture *f = fixture_new();

	for (int i = 0; i < RULES_BACKENDS; i++) {
		char *text = render(&f->spec, (enum rules_backend)i), *line;
		char *rest = text;
		unsigned first = 0, second = 0;

		while ((line = strsep(&rest, "\n"))) {
			bool is_first = strstr(line, "num 100"),
			     expected = false;

			if (!is_first && !strstr(line, "num 101"))
				continue;
			for (size_t w = 0;
			     w < sizeof(following) / sizeof(following[0]); w++)
				expected |= strstr(line, following[w]) != NULL;
			CU_ASSERT_EQUAL(is_first, expected);
			if (is_first != expected)
				printf("in the wrong queue: %s\n", line);
			first += is_first;
			second += !is_first;
		}
		CU_ASSERT(first > 5 && second > 8);
		free(text);
	}
	free(f);
}

/* GRE, ESP, SCTP. */
static bool portless(const char *line)
{
	return !strncmp(line, "\t\tip protocol ", 14) ||
	       strstr(line, "INBOUND -p 47 -j ") ||
	       strstr(line, "INBOUND -p 50 -j ") ||
	       strstr(line, "INBOUND -p 132 -j ");
}

/* What the operator left out stays out of the queue. */
static void test_untranslated(void)
{
	static const char *const words[] = { " 47 ",  " 50 ", " 132 ",	" 33 ",
					     " 136 ", "dccp", "udplite" };
	struct fixture *f = fixture_new();
	bool untranslated[256] = { false };

	memset(untranslated, true, sizeof(untranslated));
	untranslated[NAT_PROTO_TCP] = untranslated[NAT_PROTO_UDP] = false;
	for (int i = 0; i < RULES_BACKENDS; i++) {
		char *text;
		unsigned found = 0;

		f->spec.untranslated = NULL;
		text = render(&f->spec, (enum rules_backend)i);
		for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++)
			found += holds(text, words[w]);
		CU_ASSERT_EQUAL(found, 5);
		free(text);
		f->spec.untranslated = untranslated;
		text = render(&f->spec, (enum rules_backend)i);
		for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++)
			CU_ASSERT_FALSE(holds(text, words[w]));
		free(text);
	}
	free(f);
}

/* Whatever else is queued may go on without a daemon; pool ports may not. */
static void test_no_bypass(void)
{
	struct fixture *f = fixture_new();

	for (int i = 0; i < RULES_BACKENDS; i++) {
		char *text = render(&f->spec, (enum rules_backend)i), *line;
		char *rest = text;

		while ((line = strsep(&rest, "\n"))) {
			if (!strstr(line, "bypass"))
				continue;
			CU_ASSERT_PTR_NULL(strstr(line, "ports"));
			CU_ASSERT_PTR_NULL(strstr(line, "mark"));
			CU_ASSERT(strstr(line, "icmp") ||
				  strstr(line, "ERRORS") || portless(line) ||
				  !strcmp(line, "\t\tqueue num 100 bypass"));
		}
		free(text);
	}
	free(f);
}

static void test_next_ports(void)
{
	struct nat_portset *set = calloc(1, sizeof(*set));
	struct config_range range = { 1, 1 };
	uint32_t from = 0;

	CU_ASSERT(!rules_next_ports(NULL, &from, &range));
	CU_ASSERT(!rules_next_ports(set, &from, &range));
	add_range(set, 0, 65535);
	CU_ASSERT(rules_next_ports(set, &from, &range));
	CU_ASSERT(range.first == 0 && range.last == 65535);
	CU_ASSERT(!rules_next_ports(set, &from, &range));
	nat_portset_remove(set, 7);
	from = 0;
	CU_ASSERT(rules_next_ports(set, &from, &range));
	CU_ASSERT(range.first == 0 && range.last == 6);
	CU_ASSERT(rules_next_ports(set, &from, &range));
	CU_ASSERT(range.first == 8 && range.last == 65535);
	free(set);
}

static const struct test tests[] = {
	{ "multiport matches hold 15 slots", test_multiport },
	{ "what may begin a flow has a queue of its own", test_two_queues },
	{ "pool ports never bypass the queue", test_no_bypass },
	{ "protocols that are left out are not queued", test_untranslated },
	{ "runs of ports", test_next_ports },
};

int main(int argc, char **argv)
{
	return suite_run("rules queue", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
