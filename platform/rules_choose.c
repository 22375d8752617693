/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Finds the backend that works here, by trying. A kernel's word on what it can
 * do is only had by loading something: that is done in a network namespace
 * which ends with the child process that tries, so that nothing is left
 * behind. A kernel without namespaces is tried in place.
 */
#include "rules_text.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SENTENCE_MAX 512

/* All that the ruleset cannot do without. -c has the kernel check it. */
static int probe_nft(char *error, size_t error_size)
{
	return rules_run_nft("table ip portico-probe {\n"
			     "chain probe {\n"
			     "type filter hook prerouting priority raw;\n"
			     "fib daddr oifname \"none\" notrack\n"
			     "queue num 0\n"
			     "}\n"
			     "}\n",
			     true, error, error_size);
}

/* restore --test does not ask the kernel about targets: a chain that nothing
 * leads to is made and removed. */
static int probe_iptables(enum rules_backend backend, char *error,
			  size_t error_size)
{
	static const char make[] = "*raw\n"
				   ":PORTICO-PROBE - [0:0]\n"
				   "-A PORTICO-PROBE -j CT --notrack\n"
				   "-A PORTICO-PROBE -j NFQUEUE "
				   "--queue-num 0\n"
				   "COMMIT\n";
	static const char take[] = "*raw\n"
				   "-F PORTICO-PROBE\n"
				   "-X PORTICO-PROBE\n"
				   "COMMIT\n";
	int result = rules_run_restore(backend, make, error, error_size);

	if (result)
		return result;
	return rules_run_restore(backend, take, error, error_size);
}

static int probe(enum rules_backend backend, char *error, size_t error_size)
{
	if (backend == RULES_NFTABLES)
		return probe_nft(error, error_size);
	return probe_iptables(backend, error, error_size);
}

/* A machine that is busy, as at its start, may need longer than a program gets,
 * or than it waits for a lock of others; another backend for that would be the
 * wrong one until the next start. */
static int probe_patiently(enum rules_backend backend, char *error,
			   size_t error_size)
{
	int result = probe(backend, error, error_size);

	if (result != -ETIMEDOUT && result != -EAGAIN)
		return result;
	error[0] = '\0';
	return probe(backend, error, error_size);
}

static bool is_wanted(enum config_rules wanted, enum rules_backend backend)
{
	return wanted == CONFIG_RULES_AUTO ||
	       (wanted == CONFIG_RULES_NFTABLES) == (backend == RULES_NFTABLES);
}

/* Where the kernel has no nft queue, the legacy tables cost a small packet about
 * a fifth less than the same rules in iptables-nft (tests/bench). */
static const enum rules_backend preferred[RULES_BACKENDS] = {
	RULES_NFTABLES,
	RULES_IPTABLES_LEGACY,
	RULES_IPTABLES_NFT,
};

/* The first backend that works; what the others said goes to tried. */
static int try_all(enum config_rules wanted, enum rules_backend *backend,
		   char tried[SENTENCE_MAX])
{
	size_t length = 0;

	tried[0] = '\0';
	for (size_t i = 0; i < sizeof(preferred) / sizeof(preferred[0]); i++) {
		enum rules_backend candidate = preferred[i];
		char why[SENTENCE_MAX / 4] = "";

		if (!is_wanted(wanted, candidate))
			continue;
		if (!probe_patiently(candidate, why, sizeof(why))) {
			*backend = candidate;
			return 0;
		}
		length += (size_t)snprintf(tried + length,
					   SENTENCE_MAX - length, "%s%s (%s)",
					   length ? ", " : "",
					   rules_backend_name(candidate), why);
	}
	return -EOPNOTSUPP;
}

/* What the child found: one message, shorter than a pipe takes at once. */
struct answer {
	int result;
	enum rules_backend backend;
	char tried[SENTENCE_MAX];
};

static void answer_from_namespace(enum config_rules wanted, int fd)
{
	struct answer answer = { .backend = RULES_NFTABLES };

	if (unshare(CLONE_NEWNET))
		_exit(1);
	answer.result = try_all(wanted, &answer.backend, answer.tried);
	_exit(write(fd, &answer, sizeof(answer)) != sizeof(answer));
}

/* True when the child could try in a namespace. */
static bool ask_child(enum config_rules wanted, struct answer *answer)
{
	ssize_t got;
	pid_t child;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return false;
	child = fork();
	if (!child)
		answer_from_namespace(wanted, ends[1]);
	close(ends[1]);
	do
		got = child < 0 ? -1 : read(ends[0], answer, sizeof(*answer));
	while (got < 0 && child > 0 && errno == EINTR);
	close(ends[0]);
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	return got == sizeof(*answer);
}

int rules_choose(enum config_rules wanted, enum rules_backend *backend,
		 char *error, size_t error_size)
{
	struct answer answer;

	if (!ask_child(wanted, &answer))
		answer.result = try_all(wanted, &answer.backend, answer.tried);
	if (!answer.result) {
		*backend = answer.backend;
		snprintf(error, error_size, "%s", answer.tried);
		return 0;
	}
	snprintf(error, error_size,
		 "no packet filter here can queue packets: %s; "
		 "the kernel needs nft_queue or the NFQUEUE target",
		 answer.tried);
	return answer.result;
}
