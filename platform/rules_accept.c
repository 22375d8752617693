/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * "forward_accept": "insert": one rule, tagged by its comment, at the head of
 * each forward base chain that would refuse our packets. It is the only thing
 * Portico ever writes into other people's chains, and only when told to.
 */
#include "rules.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "firewall.h"
#include "rules_text.h"

/* A name that can stand in nft's language as it is. */
static bool plain_name(const char *name)
{
	return name[0] && strspn(name, "abcdefghijklmnopqrstuvwxyz"
				       "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "0123456789_-./") == strlen(name);
}

/* Each of our marks by itself, whatever the devices. */
static bool refuses(const struct firewall *firewall,
		    const struct firewall_chain *chain, uint32_t mark)
{
	const uint32_t outbound = rules_marks(mark).outbound;
	const uint32_t marks[] = { mark & ~outbound, outbound, mark };

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		struct firewall_packet packet = { .mark = marks[i] };

		if (firewall_judge(firewall, chain, &packet) != FIREWALL_OPEN)
			return true;
	}
	return false;
}

/* --- writing ------------------------------------------------------------- */

static int insert_nft(const struct firewall *firewall, uint32_t mark, FILE *out)
{
	int count = 0;

	for (size_t i = 0; i < firewall->chain_count; i++) {
		const struct firewall_chain *chain = &firewall->chains[i];

		if (chain->backend != RULES_NFTABLES ||
		    chain->hook != FIREWALL_FORWARD ||
		    !plain_name(chain->table) || !plain_name(chain->name) ||
		    !refuses(firewall, chain, mark))
			continue;
		fprintf(out,
			"insert rule %s %s %s meta mark & 0x%08" PRIx32
			" != 0 accept comment \"portico\"\n",
			chain->family, chain->table, chain->name, mark);
		count++;
	}
	return count;
}

static int insert_iptables(const struct firewall *firewall,
			   enum rules_backend backend, uint32_t mark, FILE *out)
{
	int count = 0;

	for (size_t i = 0; i < firewall->chain_count; i++) {
		const struct firewall_chain *chain = &firewall->chains[i];

		if (chain->backend != backend ||
		    chain->hook != FIREWALL_FORWARD ||
		    !refuses(firewall, chain, mark))
			continue;
		fprintf(out,
			"*%s\n"
			"-I %s -m mark ! --mark 0x0/0x%" PRIx32
			" -m comment --comment portico -j ACCEPT\n"
			"COMMIT\n",
			chain->table, chain->name, mark);
		count++;
	}
	return count;
}

static int remove_rule(const struct firewall_chain *chain,
		       const struct firewall_rule *rule, FILE *out)
{
	if (chain->backend == RULES_NFTABLES)
		fprintf(out, "delete rule %s %s %s handle %" PRIu64 "\n",
			chain->family, chain->table, chain->name, rule->handle);
	else
		fprintf(out, "*%s\n-D %s\nCOMMIT\n", chain->table, rule->text);
	return 1;
}

static int remove_tagged(const struct firewall *firewall,
			 enum rules_backend backend, FILE *out)
{
	int count = 0;

	for (size_t i = 0; i < firewall->chain_count; i++) {
		const struct firewall_chain *chain = &firewall->chains[i];

		if (chain->backend != backend)
			continue;
		for (size_t j = 0; j < chain->rule_count; j++)
			if (chain->rules[j].tagged)
				count += remove_rule(chain, &chain->rules[j],
						     out);
	}
	return count;
}

/* mark 0: take the tagged rules away. Returns the number of changes. */
static int write_changes(const struct firewall *firewall,
			 enum rules_backend backend, uint32_t mark, FILE *out)
{
	if (!mark)
		return remove_tagged(firewall, backend, out);
	if (backend == RULES_NFTABLES)
		return insert_nft(firewall, mark, out);
	return insert_iptables(firewall, backend, mark, out);
}

static int change_backend(const struct firewall *firewall,
			  enum rules_backend backend, uint32_t mark,
			  char *error, size_t error_size)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	int count, result = 0;

	if (!out)
		return -errno;
	count = write_changes(firewall, backend, mark, out);
	if (fclose(out) || !text)
		result = -ENOMEM;
	else if (count && backend == RULES_NFTABLES)
		result = rules_run_nft(text, false, error, error_size);
	else if (count)
		result = rules_run_restore(backend, text, error, error_size);
	free(text);
	return result;
}

/* Of every flavour; the first failure is told. */
static int change(const struct firewall *firewall, uint32_t mark, char *error,
		  size_t error_size)
{
	int result = 0;

	error[0] = '\0';
	for (int i = 0; i < RULES_BACKENDS; i++) {
		char why[512] = "";
		int one = change_backend(firewall, (enum rules_backend)i, mark,
					 why, sizeof(why));

		if (!one || result)
			continue;
		result = one;
		snprintf(error, error_size, "%s", why);
	}
	return rules_say(result, error, error_size);
}

int rules_insert_accept(uint32_t mark, char *error, size_t error_size)
{
	struct firewall *firewall =
		firewall_read(RULES_LOOK_TIMEOUT_MS, error, error_size);
	int result;

	if (!firewall)
		return -EIO;
	result = change(firewall, mark, error, error_size);
	firewall_free(firewall);
	return result;
}

/* Where no packet filter can be read there is none of ours in it. */
int rules_remove_accept(char *error, size_t error_size)
{
	char why[128];
	struct firewall *firewall =
		firewall_read(RULES_LOOK_TIMEOUT_MS, why, sizeof(why));
	int result;

	if (!firewall)
		return 0;
	result = change(firewall, 0, error, error_size);
	firewall_free(firewall);
	return result;
}
