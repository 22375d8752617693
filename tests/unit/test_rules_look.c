/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Rules in force, looked at without a program: in a network namespace of a
 * child process, which ends with it. Without root nothing can be loaded, and
 * nothing is asserted.
 */
#include "platform/rules.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/rules_legacy.h"
#include "platform/rules_text.h"
#include "suite.h"

static const char inside[][IFNAMSIZ] = { "lan0" };
static const struct nat_prefix nets[] = { { 0xc0a80100, 24 } };

static const struct rules_spec spec = {
	.uplink = "wan0",
	.inside = inside,
	.inside_count = 1,
	.inside_nets = nets,
	.inside_net_count = 1,
	.queue_number = 100,
	.mark = 0x03000000,
};

enum { GOOD = 0, CANNOT = 77 };

/* Runs fn in a namespace of its own; its result, CANNOT: there is none. */
static int apart(int (*fn)(enum rules_backend), enum rules_backend backend)
{
	int status = 0;
	pid_t child = fork();

	if (!child)
		_exit(unshare(CLONE_NEWNET) ? CANNOT : fn(backend));
	if (child < 0 || waitpid(child, &status, 0) != child)
		return CANNOT;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int flush(enum rules_backend backend)
{
	static const char table[] = "*mangle\n-F PORTICO-POST\nCOMMIT\n";
	char error[256];

	return backend == RULES_NFTABLES ?
		       rules_run_nft("flush chain ip portico guard\n", false,
				     error, sizeof(error)) :
		       rules_run_restore(backend, table, error, sizeof(error));
}

/* The guard alone needs nothing that a kernel may lack. The exit status names
 * the step that failed. */
static int load_and_flush(enum rules_backend backend)
{
	struct rules_sight before, after;
	char error[256];

	if (rules_look(backend, &before) != -ENOENT)
		return 1;
	if (rules_apply_guard(&spec, backend, error, sizeof(error)))
		return CANNOT;
	if (rules_look(backend, &before))
		return 2;
	if (rules_apply_guard(&spec, backend, error, sizeof(error)) ||
	    rules_look(backend, &after) ||
	    memcmp(&before, &after, sizeof(after)))
		return 3;
	if (flush(backend))
		return 4;
	if (!rules_look(backend, &after) &&
	    !memcmp(&before, &after, sizeof(after)))
		return 5;
	if (rules_remove(error, sizeof(error)))
		return 6;
	return rules_look(backend, &after) == -ENOENT ? GOOD : 7;
}

static void expect_good(enum rules_backend backend)
{
	int result = apart(load_and_flush, backend);

	if (result == CANNOT)
		printf("(not tried: %s)", rules_backend_name(backend));
	else
		CU_ASSERT_EQUAL(result, GOOD);
}

static void test_nft(void)
{
	expect_good(RULES_NFTABLES);
}

static void test_iptables_nft(void)
{
	expect_good(RULES_IPTABLES_NFT);
}

static void test_legacy(void)
{
	expect_good(RULES_IPTABLES_LEGACY);
}

static int load_legacy(enum rules_backend backend)
{
	char error[256];

	if (rules_apply_guard(&spec, backend, error, sizeof(error)))
		return CANNOT;
	return rules_legacy_any() ? GOOD : 1;
}

static void test_any(void)
{
	int result = apart(load_legacy, RULES_IPTABLES_LEGACY);

	CU_ASSERT(result == GOOD || result == CANNOT);
}

/* Tables of others, known without a program. */
static int add_tables(enum rules_backend backend)
{
	static const struct {
		const char *table;
		bool beside, found; /* with and without iptables-nft's own */
	} steps[] = {
		{ "ip portico", false, false },
		{ "ip6 theirs", false, false },
		{ "ip filter", false, true },
		{ "inet theirs", true, true },
	};
	char error[256], text[64];

	(void)backend;
	for (int i = 0; i < (int)(sizeof(steps) / sizeof(steps[0])); i++) {
		snprintf(text, sizeof(text), "add table %s\n", steps[i].table);
		if (rules_run_nft(text, false, error, sizeof(error)))
			return CANNOT;
		if (rules_others(true) != steps[i].beside ||
		    rules_others(false) != steps[i].found)
			return 1 + i;
	}
	return GOOD;
}

static void test_others_tables(void)
{
	int result = apart(add_tables, RULES_NFTABLES);

	CU_ASSERT(result == GOOD || result == CANNOT);
}

/* What others load beside ours changes nothing. */
static int with_others(enum rules_backend backend)
{
	static const char others[] = "*mangle\n"
				     ":OTHER - [0:0]\n"
				     "-A OTHER -j ACCEPT\n"
				     "-I POSTROUTING -j OTHER\n"
				     "COMMIT\n";
	struct rules_sight before, after;
	char error[256];

	if (rules_apply_guard(&spec, backend, error, sizeof(error)))
		return CANNOT;
	if (rules_look(backend, &before))
		return 1;
	if (rules_run_restore(backend, others, error, sizeof(error)))
		return 2;
	if (rules_look(backend, &after))
		return 3;
	return memcmp(&before, &after, sizeof(after)) ? 4 : GOOD;
}

static void test_others(void)
{
	for (int i = RULES_IPTABLES_NFT; i <= RULES_IPTABLES_LEGACY; i++) {
		int result = apart(with_others, (enum rules_backend)i);

		CU_ASSERT(result == GOOD || result == CANNOT);
	}
}

static const struct test tests[] = {
	{ "a flushed nftables table is noticed", test_nft },
	{ "a flushed iptables-nft table is noticed", test_iptables_nft },
	{ "a flushed iptables-legacy table is noticed", test_legacy },
	{ "that there are legacy tables is known without a program", test_any },
	{ "tables that others have", test_others_tables },
	{ "other people's rules are not taken for a change", test_others },
};

int main(int argc, char **argv)
{
	return suite_run("rules_look", tests, sizeof(tests) / sizeof(*tests),
			 argc, argv);
}
