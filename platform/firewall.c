/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The model of other packet filters; firewall_walk.c walks through it.
 */
#include "firewall.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rules_legacy.h"
#include "rules_text.h"

struct firewall *firewall_new(void)
{
	return calloc(1, sizeof(struct firewall));
}

static void rule_free(struct firewall_rule *rule)
{
	free(rule->in.names);
	free(rule->out.names);
	free(rule->target);
	free(rule->text);
}

static void chain_free(struct firewall_chain *chain)
{
	for (size_t i = 0; i < chain->rule_count; i++)
		rule_free(&chain->rules[i]);
	free(chain->rules);
	free(chain->family);
	free(chain->table);
	free(chain->name);
	free(chain->devices.names);
}

void firewall_free(struct firewall *firewall)
{
	if (!firewall)
		return;
	for (size_t i = 0; i < firewall->chain_count; i++)
		chain_free(&firewall->chains[i]);
	free(firewall->chains);
	free(firewall);
}

/* Room for one more of `count` things of `size` bytes; grows by doubling. */
static void *grow(void *array, size_t count, size_t size)
{
	if (count & (count - 1))
		return array;
	return realloc(array, (count ? count * 2 : 1) * size);
}

struct firewall_chain *firewall_add_chain(struct firewall *firewall,
					  enum rules_backend backend,
					  const char *family, const char *table,
					  const char *name)
{
	struct firewall_chain *chain =
		grow(firewall->chains, firewall->chain_count, sizeof(*chain));

	if (!chain)
		return NULL;
	firewall->chains = chain;
	chain += firewall->chain_count;
	memset(chain, 0, sizeof(*chain));
	firewall->chain_count++;
	chain->backend = backend;
	chain->family = strdup(family);
	chain->table = strdup(table);
	chain->name = strdup(name);
	if (chain->family && chain->table && chain->name)
		return chain;
	chain_free(chain);
	firewall->chain_count--;
	return NULL;
}

struct firewall_chain *firewall_chain_of(const struct firewall *firewall,
					 enum rules_backend backend,
					 const char *family, const char *table,
					 const char *name)
{
	for (size_t i = 0; i < firewall->chain_count; i++) {
		struct firewall_chain *chain = &firewall->chains[i];

		if (chain->backend == backend &&
		    !strcmp(chain->family, family) &&
		    !strcmp(chain->table, table) && !strcmp(chain->name, name))
			return chain;
	}
	return NULL;
}

void firewall_forget(struct firewall *firewall, enum rules_backend backend,
		     const char *table)
{
	size_t kept = 0;

	for (size_t i = 0; i < firewall->chain_count; i++) {
		struct firewall_chain *chain = &firewall->chains[i];

		if (chain->backend == backend && !strcmp(chain->table, table))
			chain_free(chain);
		else
			firewall->chains[kept++] = *chain;
	}
	firewall->chain_count = kept;
}

struct firewall_rule *firewall_add_rule(struct firewall_chain *chain)
{
	struct firewall_rule *rules =
		grow(chain->rules, chain->rule_count, sizeof(*rules));

	if (!rules)
		return NULL;
	chain->rules = rules;
	rules += chain->rule_count++;
	memset(rules, 0, sizeof(*rules));
	return rules;
}

int firewall_add_device(struct firewall_device *device, const char *name)
{
	size_t old = device->names ? strlen(device->names) : 0;
	size_t size = old + strlen(name) + 3;
	char *names = realloc(device->names, size);

	if (!names)
		return -ENOMEM;
	snprintf(names + old, size - old, old ? "%s " : " %s ", name);
	device->names = names;
	return 0;
}

bool firewall_is_ours(const char *chain)
{
	return !strncmp(chain, FIREWALL_OURS, strlen(FIREWALL_OURS));
}

/* iptables-nft has been read before. */
static bool is_hidden(const struct firewall *firewall,
		      enum rules_backend backend)
{
	if (backend == RULES_IPTABLES_LEGACY)
		return rules_legacy_any();
	return backend == RULES_NFTABLES &&
	       rules_others(firewall->read[RULES_IPTABLES_NFT]);
}

static int read_one(struct firewall *firewall, enum rules_backend backend,
		    int timeout_ms, char *error, size_t error_size)
{
	bool nft = backend == RULES_NFTABLES;
	char *text = NULL;
	int result;

	if (nft)
		result = rules_run_list(&text, timeout_ms, error, error_size);
	else
		result = rules_run_save(backend, &text, timeout_ms, error,
					error_size);
	if (!result)
		result = nft ? firewall_add_nft(firewall, text) :
			       firewall_add_iptables(firewall, backend, text);
	free(text);
	firewall->failed[backend] = result;
	firewall->hidden[backend] = result && is_hidden(firewall, backend);
	return result;
}

struct firewall *firewall_read(int timeout_ms, char *error, size_t error_size)
{
	static const enum rules_backend flavours[] = { RULES_IPTABLES_NFT,
						       RULES_IPTABLES_LEGACY,
						       RULES_NFTABLES };
	struct firewall *firewall = firewall_new();
	bool any = false;

	error[0] = '\0';
	static_assert(sizeof(flavours) / sizeof(flavours[0]) == RULES_BACKENDS,
		      "each of them is read");
	for (size_t i = 0; firewall && i < RULES_BACKENDS; i++)
		any |= !read_one(firewall, flavours[i], timeout_ms, error,
				 error_size);
	if (any)
		return firewall;
	rules_say(firewall ? firewall->failed[RULES_NFTABLES] : -ENOMEM, error,
		  error_size);
	firewall_free(firewall);
	return NULL;
}
