/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reads `nft -j list ruleset` (libnftables-json(5)) into the model. Any
 * statement that is neither a match we know, nor a verdict, nor known to ask
 * nothing makes a rule one that asks more, and that acts.
 */
#include "firewall_match.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- statements ---------------------------------------------------------- */

static const struct {
	const char *name;
	enum firewall_verdict verdict;
} verdicts[] = {
	{ "accept", FIREWALL_ACCEPT }, { "drop", FIREWALL_REFUSE },
	{ "reject", FIREWALL_REFUSE }, { "return", FIREWALL_RETURN },
	{ "jump", FIREWALL_JUMP },     { "goto", FIREWALL_GOTO },
};

/* Statements that let every packet by. */
static const struct {
	const char *name;
	bool acts; /* on an untracked one, too */
} harmless[] = {
	{ "continue", false }, { "counter", false }, { "ct helper", false },
	{ "flow", false },     { "log", true },	     { "mangle", true },
	{ "notrack", false },  { "set", true },
};

static bool take_verdict(struct firewall_rule *rule,
			 struct json_object *statement)
{
	for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
		const char *target;

		if (!firewall_has(statement, verdicts[i].name))
			continue;
		rule->verdict = verdicts[i].verdict;
		target = firewall_string(
			firewall_member(statement, verdicts[i].name), "target");
		if (target[0])
			rule->target = strdup(target);
		return true;
	}
	return false;
}

/* `ct mark set` and the like: there is no conntrack entry to change. */
static bool sets_ct(struct json_object *statement)
{
	return firewall_has(
		firewall_member(firewall_member(statement, "mangle"), "key"),
		"ct");
}

/* Somebody reads a counter that has a name; those of rules come by default. */
static bool has_name(struct json_object *statement)
{
	return json_object_is_type(firewall_member(statement, "counter"),
				   json_type_string);
}

/* A mark from conntrack is not set: there is no entry. */
static void take_mangle(struct firewall_rule *rule, struct json_object *mangle)
{
	struct json_object *value = firewall_member(mangle, "value");
	const char *text = json_object_to_json_string(value);

	if (firewall_is_key(firewall_member(mangle, "key"), "meta", "mark") &&
	    text && !strstr(text, "\"ct\""))
		rule->overwrites |= firewall_overwritten(value);
}

static void take_other(struct firewall_rule *rule,
		       struct json_object *statement)
{
	take_mangle(rule, firewall_member(statement, "mangle"));
	rule->acts |= has_name(statement);
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		if (firewall_has(statement, harmless[i].name)) {
			rule->acts |= harmless[i].acts && !sets_ct(statement);
			return;
		}
	rule->acts = true;
	rule->more = true;
}

/* What a map of states says of an untracked packet: its verdict, NULL: none.
 * False where it is not understood. */
static bool of_untracked(struct json_object *pairs,
			 struct json_object **verdict)
{
	struct json_object *other = NULL;

	*verdict = NULL;
	for (size_t i = 0; i < json_object_array_length(pairs); i++) {
		struct json_object *pair = json_object_array_get_idx(pairs, i);
		struct json_object *key;

		if (!json_object_is_type(pair, json_type_array) ||
		    json_object_array_length(pair) != 2)
			return false;
		key = json_object_array_get_idx(pair, 0);
		if (!json_object_is_type(key, json_type_string))
			return false;
		if (!strcmp(json_object_get_string(key), "untracked"))
			*verdict = json_object_array_get_idx(pair, 1);
		else if (!strcmp(json_object_get_string(key), "*"))
			other = json_object_array_get_idx(pair, 1);
	}
	if (!*verdict)
		*verdict = other;
	return true;
}

static bool maps_states(struct json_object *vmap)
{
	return firewall_is_key(firewall_member(vmap, "key"), "ct", "state");
}

/* NULL: they are elsewhere, in a map that has a name. */
static struct json_object *pairs_of(struct json_object *vmap)
{
	struct json_object *pairs =
		firewall_member(firewall_member(vmap, "data"), "set");

	return json_object_is_type(pairs, json_type_array) ? pairs : NULL;
}

/* "*": in a map, what has no pair of its own. */
static bool is_rest(struct json_object *value)
{
	return json_object_is_type(value, json_type_string) &&
	       !strcmp(json_object_get_string(value), "*");
}

/* The device of a pair; false: another is asked, or something else. */
static bool take_key(struct firewall_rule *rule, struct json_object *key,
		     struct json_object *value)
{
	if (is_rest(value))
		return false;
	if (firewall_is_key(key, "meta", "iifname"))
		return firewall_take_devices(&rule->in, value, false);
	return firewall_is_key(key, "meta", "oifname") &&
	       firewall_take_devices(&rule->out, value, false);
}

/* Of `iifname vmap { "wan0" : jump from_wan, ... }`. */
static void take_pair(struct firewall_rule *rule, struct json_object *key,
		      struct json_object *pair)
{
	bool whole = json_object_is_type(pair, json_type_array) &&
		     json_object_array_length(pair) == 2;

	rule->acts_first |= rule->acts; /* done before it is asked */
	if (!whole || !take_key(rule, key, json_object_array_get_idx(pair, 0)))
		rule->acts = rule->more = true;
	if (whole)
		rule->acts |=
			!take_verdict(rule, json_object_array_get_idx(pair, 1));
}

/* `ct state vmap { established : accept, ... }`: judged by what it says of
 * untracked packets. Of all others, the pair whose turn it is. */
static void take_vmap(struct firewall_rule *rule, struct json_object *vmap,
		      size_t turn)
{
	struct json_object *pairs = pairs_of(vmap);
	struct json_object *verdict;

	if (pairs && !maps_states(vmap)) {
		take_pair(rule, firewall_member(vmap, "key"),
			  json_object_array_get_idx(pairs, turn));
		return;
	}
	if (!pairs || !of_untracked(pairs, &verdict)) {
		rule->acts = true;
		rule->more = true;
		return;
	}
	rule->acts_early |= rule->acts;
	if (!verdict)
		rule->never = true;
	else
		rule->acts |= !take_verdict(rule, verdict) &&
			      !firewall_has(verdict, "continue");
}

static void take_statement(struct firewall *firewall,
			   struct firewall_rule *rule,
			   struct json_object *statement, size_t turn)
{
	if (firewall_has(statement, "masquerade"))
		firewall->masquerade = true;
	if (firewall_has(statement, "flow"))
		firewall->flowtable = true;
	if (firewall_has(statement, "match")) {
		if (!firewall_take_match(rule,
					 firewall_member(statement, "match")))
			rule->more = true;
	} else if (firewall_has(statement, "vmap")) {
		take_vmap(rule, firewall_member(statement, "vmap"), turn);
	} else if (!take_verdict(rule, statement)) {
		take_other(rule, statement);
	}
}

/* A rule that has a counter and else asks at most is there to count. */
static void take_counter(struct firewall_rule *rule, struct json_object *expr)
{
	bool counts = false, first = false;

	for (size_t i = 0; i < json_object_array_length(expr); i++) {
		struct json_object *part = json_object_array_get_idx(expr, i);

		if (firewall_has(part, "counter"))
			counts = true;
		else if (firewall_has(part, "match"))
			first |= counts;
		else
			return;
	}
	rule->acts |= counts;
	rule->acts_first |= first;
}

/* --- objects ------------------------------------------------------------- */

static bool is_ours(struct json_object *object)
{
	return !strcmp(firewall_string(object, "table"), "portico") &&
	       !strcmp(firewall_string(object, "family"), "ip");
}

/* A table that iptables-nft has shown already. */
static bool is_shown(const struct firewall *firewall, const char *family,
		     const char *table)
{
	if (strcmp(family, "ip"))
		return false;
	for (size_t i = 0; i < firewall->chain_count; i++)
		if (firewall->chains[i].backend == RULES_IPTABLES_NFT &&
		    !strcmp(firewall->chains[i].table, table))
			return true;
	return false;
}

static bool is_wanted(const struct firewall *firewall,
		      struct json_object *object)
{
	const char *family = firewall_string(object, "family");

	return (!strcmp(family, "ip") || !strcmp(family, "inet") ||
		!strcmp(family, "netdev")) &&
	       !is_ours(object) &&
	       !firewall_is_ours(firewall_string(object, "name")) &&
	       !is_shown(firewall, family, firewall_string(object, "table"));
}

static const char *const hooks[FIREWALL_HOOKS] = {
	[FIREWALL_INGRESS] = "ingress", [FIREWALL_PREROUTING] = "prerouting",
	[FIREWALL_FORWARD] = "forward", [FIREWALL_POSTROUTING] = "postrouting",
	[FIREWALL_EGRESS] = "egress",
};

static enum firewall_hook hook_of(struct json_object *object)
{
	if (strcmp(firewall_string(object, "type"), "filter") != 0)
		return FIREWALL_NOWHERE;
	for (int i = FIREWALL_INGRESS; i < FIREWALL_HOOKS; i++)
		if (!strcmp(firewall_string(object, "hook"), hooks[i]))
			return (enum firewall_hook)i;
	return FIREWALL_NOWHERE;
}

/* --- tables of iptables-nft --------------------------------------------- */

static const struct {
	const char *table;
	int prio;
} prios[] = {
	{ "raw", -300 }, { "mangle", -150 }, { "filter", 0 }, { "security", 50 }
};

/* A base chain as iptables-nft makes it: "FORWARD" of hook forward. */
static bool is_iptables_chain(struct json_object *chain)
{
	const char *name = firewall_string(chain, "name");
	int prio = json_object_get_int(firewall_member(chain, "prio"));

	if (strcasecmp(name, firewall_string(chain, "hook")) != 0 ||
	    !isupper((unsigned char)name[0]))
		return false;
	for (size_t i = 0; i < sizeof(prios) / sizeof(prios[0]); i++)
		if (!strcmp(firewall_string(chain, "table"), prios[i].table))
			return prio == prios[i].prio;
	return false;
}

/* iptables-nft knows no sets. */
static bool has_set(struct json_object *rule)
{
	const char *text =
		json_object_to_json_string(firewall_member(rule, "expr"));

	return !text || strstr(text, "\"set\":") || strstr(text, "\"@");
}

/* iptables-nft-save shows a table that somebody has added to by nft without what
 * it does not know, as if it were not there: then it is left to nft. */
static void trust_nft(struct firewall *firewall, struct json_object *object)
{
	struct json_object *chain = firewall_member(object, "chain");
	struct json_object *rule = firewall_member(object, "rule");
	struct json_object *part = chain ? chain : rule;
	const char *table = firewall_string(part, "table");
	bool added = rule && strcmp(table, "nat") != 0 && has_set(rule);

	if (chain && hook_of(chain) != FIREWALL_NOWHERE)
		added = !is_iptables_chain(chain);
	if (added && is_shown(firewall, firewall_string(part, "family"), table))
		firewall_forget(firewall, RULES_IPTABLES_NFT, table);
}

/* --- the reading --------------------------------------------------------- */

static int take_chain(struct firewall *firewall, struct json_object *object)
{
	struct firewall_chain *chain;

	if (is_ours(object) &&
	    !strcmp(firewall_string(object, "name"), "raw_track"))
		firewall->ours[RULES_NFTABLES] = true;
	if (!is_wanted(firewall, object))
		return 0;
	chain = firewall_add_chain(firewall, RULES_NFTABLES,
				   firewall_string(object, "family"),
				   firewall_string(object, "table"),
				   firewall_string(object, "name"));
	if (!chain)
		return -ENOMEM;
	chain->hook = hook_of(object);
	chain->prio = json_object_get_int(firewall_member(object, "prio"));
	firewall_take_devices(&chain->devices, firewall_member(object, "dev"),
			      false);
	chain->policy_drop = !strcmp(firewall_string(object, "policy"), "drop");
	return 0;
}

/* A rule with a map of verdicts is taken as one for each pair. */
static size_t turns_of(struct json_object *expr)
{
	size_t turns = 1;

	for (size_t i = 0; i < json_object_array_length(expr); i++) {
		struct json_object *vmap = firewall_member(
			json_object_array_get_idx(expr, i), "vmap");
		struct json_object *pairs = pairs_of(vmap);

		if (pairs && !maps_states(vmap) &&
		    json_object_array_length(pairs) > turns)
			turns = json_object_array_length(pairs);
	}
	return turns;
}

static int add_rule(struct firewall *firewall, struct firewall_chain *chain,
		    struct json_object *object, size_t turn)
{
	struct json_object *expr = firewall_member(object, "expr");
	struct firewall_rule *rule = firewall_add_rule(chain);

	if (!rule)
		return -ENOMEM;
	rule->handle = (uint64_t)json_object_get_int64(
		firewall_member(object, "handle"));
	rule->tagged = !strcmp(firewall_string(object, "comment"), "portico");
	for (size_t i = 0; i < json_object_array_length(expr); i++)
		take_statement(firewall, rule,
			       json_object_array_get_idx(expr, i), turn);
	take_counter(rule, expr);
	return 0;
}

static int take_rule(struct firewall *firewall, struct json_object *object)
{
	struct json_object *expr = firewall_member(object, "expr");
	struct firewall_chain *chain;
	size_t turns;
	int result = 0;

	chain = firewall_chain_of(firewall, RULES_NFTABLES,
				  firewall_string(object, "family"),
				  firewall_string(object, "table"),
				  firewall_string(object, "chain"));
	if (!chain || !json_object_is_type(expr, json_type_array))
		return 0;
	turns = turns_of(expr);
	for (size_t turn = 0; !result && turn < turns; turn++)
		result = add_rule(firewall, chain, object, turn);
	return result;
}

static int take_object(struct firewall *firewall, struct json_object *object)
{
	struct json_object *flowtable = firewall_member(object, "flowtable");

	if (flowtable && !is_ours(flowtable))
		firewall->flowtable = true;
	if (firewall_has(object, "chain"))
		return take_chain(firewall, firewall_member(object, "chain"));
	if (firewall_has(object, "rule"))
		return take_rule(firewall, firewall_member(object, "rule"));
	return 0;
}

int firewall_add_nft(struct firewall *firewall, const char *json)
{
	struct json_object *root = json_tokener_parse(json);
	struct json_object *list = firewall_member(root, "nftables");
	int result = 0;

	if (!json_object_is_type(list, json_type_array))
		result = -EINVAL;
	for (size_t i = 0; !result && i < json_object_array_length(list); i++)
		trust_nft(firewall, json_object_array_get_idx(list, i));
	for (size_t i = 0; !result && i < json_object_array_length(list); i++)
		result = take_object(firewall,
				     json_object_array_get_idx(list, i));
	json_object_put(root);
	firewall->read[RULES_NFTABLES] = !result;
	return result;
}
