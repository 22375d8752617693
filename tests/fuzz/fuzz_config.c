/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Configuration files: refused with one line that says where, or read into
 * values that the engine and the rules can be made of.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "platform/config.h"
#include "platform/rules.h"
#include "platform/spec.h"

#define MEMORY (256ULL << 20)

static void check_error(const char *error)
{
	if (!error[0])
		fuzz_expect("refused without a word");
	for (; *error; error++)
		if ((unsigned char)*error < ' ' || *error == 127)
			fuzz_expect("the message steers a terminal");
}

static bool between(uint64_t value, uint64_t least, uint64_t most)
{
	return value >= least && value <= most;
}

static void check_forwards(const struct nat_config *nat)
{
	for (size_t i = 0; i < nat->forward_count; i++) {
		const struct nat_forward *f = &nat->forwards[i];

		if (!f->outside_first || f->outside_first > f->outside_last)
			fuzz_expect("a forward of no port");
		if (!f->inside_first ||
		    f->inside_first + (f->outside_last - f->outside_first) >
			    65535)
			fuzz_expect("a forward to a port that is none");
		if (!f->name || !f->inside_addr)
			fuzz_expect("a forward without name or host");
		for (size_t j = 0; j < i; j++) {
			const struct nat_forward *g = &nat->forwards[j];

			if (f->proto == g->proto &&
			    f->outside_first <= g->outside_last &&
			    g->outside_first <= f->outside_last)
				fuzz_expect("two forwards of one port");
		}
	}
}

static void check(const struct config *config)
{
	const struct nat_config *nat = &config->nat;
	const struct nat_limits *limits = &config->limits;

	for (int i = 0; i < NAT_TIMERS; i++)
		if (!between(nat->timeout_s[i], 1, 604800))
			fuzz_expect("a timeout out of range");
	for (int i = 0; i < NAT_POOLS; i++)
		if (nat->filtering[i] >= NAT_FILTERS)
			fuzz_expect("no such filtering");
	if (!nat_records_size(limits) || !nat_indices_size(limits))
		fuzz_expect("limits that the engine refuses");
	if (nat->timeout_s[NAT_TIMER_TCP_CLOSING] >=
	    nat->timeout_s[NAT_TIMER_TCP_ESTABLISHED])
		fuzz_expect("closing is not shorter than established");
	if (nat->refuse_code != 13 && nat->refuse_code != 1)
		fuzz_expect("no such refuse code");
	if (!between(nat->fragment_s, 2, 120) ||
	    !between(config->queue.batch, 1, 64) || config->queue.nice < -20 ||
	    config->queue.nice > 0)
		fuzz_expect("a number out of range");
	if (config->queue.mark % 3 ||
	    __builtin_popcount(config->queue.mark) != 2)
		fuzz_expect("the mark is not two adjacent bits");
	check_forwards(nat);
}

/* As `portico rules` does. */
static void use(const struct config *config)
{
	struct spec_storage storage;
	char *text = NULL;
	size_t size = 0;
	FILE *out;

	if (spec_build(config, NULL, &storage))
		return;
	out = open_memstream(&text, &size);
	if (!out)
		abort();
	rules_render(&storage.rules,
		     config->queue.number & 1 ? RULES_IPTABLES_NFT :
						RULES_NFTABLES,
		     out);
	fclose(out);
	free(text);
	spec_free(&storage);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	char path[64], error[512] = "";
	struct config *config;

	if (fd < 0)
		fd = memfd_create("config", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 0) ||
	    pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	config = config_load(path, MEMORY, error, sizeof(error));
	fuzz_judged();
	if (!config) {
		check_error(error);
		return 0;
	}
	check(config);
	use(config);
	config_free(config);
	return 0;
}
