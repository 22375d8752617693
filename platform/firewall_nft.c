/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reads `nft -j list ruleset` (libnftables-json(5)) into the model. Any
 * statement that is neither a match we know, nor a verdict, nor known to ask
 * nothing makes a rule one that asks more.
 */
#include "firewall.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

static const char *string_of(struct json_object *object, const char *key)
{
	struct json_object *value;

	if (!json_object_is_type(object, json_type_object) ||
	    !json_object_object_get_ex(object, key, &value) ||
	    !json_object_is_type(value, json_type_string))
		return "";
	return json_object_get_string(value);
}

static struct json_object *member(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	if (json_object_is_type(object, json_type_object))
		json_object_object_get_ex(object, key, &value);
	return value;
}

static bool has_member(struct json_object *object, const char *key)
{
	return json_object_is_type(object, json_type_object) &&
	       json_object_object_get_ex(object, key, NULL);
}

/* {"meta": {"key": "iifname"}} */
static bool is_key(struct json_object *object, const char *kind,
		   const char *key)
{
	return !strcmp(string_of(member(object, kind), "key"), key);
}

/* --- matches ------------------------------------------------------------- */

/* A value, a list or {"set": [...]}: calls take for each; true when all were
 * taken. */
static bool each_value(struct json_object *right,
		       bool (*take)(void *context, struct json_object *value),
		       void *context)
{
	struct json_object *list = member(right, "set");

	if (!list)
		list = right;
	if (!json_object_is_type(list, json_type_array))
		return take(context, list);
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (!take(context, json_object_array_get_idx(list, i)))
			return false;
	return true;
}

static bool take_name(void *context, struct json_object *value)
{
	return json_object_is_type(value, json_type_string) &&
	       json_object_get_string(value)[0] != '@' &&
	       !firewall_add_device(context, json_object_get_string(value));
}

static bool not_untracked(void *context, struct json_object *value)
{
	(void)context;
	return !json_object_is_type(value, json_type_string) ||
	       strcmp(json_object_get_string(value), "untracked");
}

static bool take_devices(struct firewall_device *device,
			 struct json_object *right, bool negated)
{
	device->negated = negated;
	if (each_value(right, take_name, device))
		return true;
	free(device->names);
	device->names = NULL;
	return false;
}

/* `meta mark & MASK == VALUE` and `meta mark VALUE`. */
static bool take_mark(struct firewall_rule *rule, struct json_object *left,
		      struct json_object *right, bool negated)
{
	struct json_object *parts = member(left, "&");
	uint32_t mask = UINT32_MAX;

	if (parts && json_object_is_type(parts, json_type_array) &&
	    json_object_array_length(parts) == 2) {
		left = json_object_array_get_idx(parts, 0);
		mask = (uint32_t)json_object_get_int64(
			json_object_array_get_idx(parts, 1));
	}
	if (!is_key(left, "meta", "mark") ||
	    !json_object_is_type(right, json_type_int))
		return false;
	rule->asks_mark = true;
	rule->mark_negated = negated;
	rule->mark_mask = mask;
	rule->mark_value = (uint32_t)json_object_get_int64(right);
	return true;
}

/* An untracked packet has no conntrack entry: it has the state "untracked" and
 * nothing else that could be asked. */
static void take_ct(struct firewall_rule *rule, struct json_object *left,
		    struct json_object *right, bool negated)
{
	bool listed = is_key(left, "ct", "state") &&
		      !each_value(right, not_untracked, NULL);

	if (!is_key(left, "ct", "state") || listed == negated)
		rule->never = true;
}

static bool take_match(struct firewall_rule *rule, struct json_object *match)
{
	struct json_object *left = member(match, "left");
	struct json_object *right = member(match, "right");
	bool negated = !strcmp(string_of(match, "op"), "!=");

	if (is_key(left, "meta", "iifname") || is_key(left, "meta", "iif"))
		return take_devices(&rule->in, right, negated);
	if (is_key(left, "meta", "oifname") || is_key(left, "meta", "oif"))
		return take_devices(&rule->out, right, negated);
	if (has_member(left, "ct")) {
		take_ct(rule, left, right, negated);
		return true;
	}
	if (is_key(left, "meta", "nfproto") &&
	    json_object_is_type(right, json_type_string)) {
		rule->never |= !strcmp(json_object_get_string(right), "ipv4") ==
			       negated;
		return true;
	}
	return take_mark(rule, left, right, negated);
}

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
static const char *const harmless[] = { "counter", "log",	"mangle",
					"notrack", "ct helper", "flow",
					"set" };

static bool take_verdict(struct firewall_rule *rule,
			 struct json_object *statement)
{
	for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
		const char *target;

		if (!has_member(statement, verdicts[i].name))
			continue;
		rule->verdict = verdicts[i].verdict;
		target = string_of(member(statement, verdicts[i].name),
				   "target");
		if (target[0])
			rule->target = strdup(target);
		return true;
	}
	return false;
}

static bool is_harmless(struct json_object *statement)
{
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		if (has_member(statement, harmless[i]))
			return true;
	return false;
}

/* `ct state vmap { established : accept, ... }`: judged by what it says of
 * untracked packets; all other verdict maps are not understood. */
static void take_vmap(struct firewall_rule *rule, struct json_object *vmap)
{
	struct json_object *pairs = member(member(vmap, "data"), "set");

	if (!is_key(member(vmap, "key"), "ct", "state") ||
	    !json_object_is_type(pairs, json_type_array)) {
		rule->more = true;
		return;
	}
	for (size_t i = 0; i < json_object_array_length(pairs); i++) {
		struct json_object *pair = json_object_array_get_idx(pairs, i);

		if (!json_object_is_type(pair, json_type_array) ||
		    json_object_array_length(pair) != 2 ||
		    not_untracked(NULL, json_object_array_get_idx(pair, 0)))
			continue;
		take_verdict(rule, json_object_array_get_idx(pair, 1));
		return;
	}
	rule->never = true;
}

static void take_statement(struct firewall *firewall,
			   struct firewall_rule *rule,
			   struct json_object *statement)
{
	if (has_member(statement, "masquerade"))
		firewall->masquerade = true;
	if (has_member(statement, "flow"))
		firewall->flowtable = true;
	if (has_member(statement, "match")) {
		if (!take_match(rule, member(statement, "match")))
			rule->more = true;
	} else if (has_member(statement, "vmap")) {
		take_vmap(rule, member(statement, "vmap"));
	} else if (!take_verdict(rule, statement) && !is_harmless(statement)) {
		rule->more = true;
	}
}

/* --- objects ------------------------------------------------------------- */

static bool is_ours(struct json_object *object)
{
	return !strcmp(string_of(object, "table"), "portico") &&
	       !strcmp(string_of(object, "family"), "ip");
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
	const char *family = string_of(object, "family");

	return (!strcmp(family, "ip") || !strcmp(family, "inet")) &&
	       !is_ours(object) &&
	       !is_shown(firewall, family, string_of(object, "table"));
}

static int take_chain(struct firewall *firewall, struct json_object *object)
{
	struct firewall_chain *chain;

	if (is_ours(object) && !strcmp(string_of(object, "name"), "raw_track"))
		firewall->ours[RULES_NFTABLES] = true;
	if (!is_wanted(firewall, object))
		return 0;
	chain = firewall_add_chain(firewall, RULES_NFTABLES,
				   string_of(object, "family"),
				   string_of(object, "table"),
				   string_of(object, "name"));
	if (!chain)
		return -ENOMEM;
	chain->forward = !strcmp(string_of(object, "hook"), "forward") &&
			 !strcmp(string_of(object, "type"), "filter");
	chain->policy_drop = !strcmp(string_of(object, "policy"), "drop");
	return 0;
}

static int take_rule(struct firewall *firewall, struct json_object *object)
{
	struct json_object *expr = member(object, "expr");
	struct firewall_chain *chain;
	struct firewall_rule *rule;

	chain = firewall_chain_of(firewall, RULES_NFTABLES,
				  string_of(object, "family"),
				  string_of(object, "table"),
				  string_of(object, "chain"));
	if (!chain || !json_object_is_type(expr, json_type_array))
		return 0;
	rule = firewall_add_rule(chain);
	if (!rule)
		return -ENOMEM;
	rule->handle =
		(uint64_t)json_object_get_int64(member(object, "handle"));
	rule->tagged = !strcmp(string_of(object, "comment"), "portico");
	for (size_t i = 0; i < json_object_array_length(expr); i++)
		take_statement(firewall, rule,
			       json_object_array_get_idx(expr, i));
	return 0;
}

static int take_object(struct firewall *firewall, struct json_object *object)
{
	struct json_object *flowtable = member(object, "flowtable");

	if (flowtable && !is_ours(flowtable))
		firewall->flowtable = true;
	if (has_member(object, "chain"))
		return take_chain(firewall, member(object, "chain"));
	if (has_member(object, "rule"))
		return take_rule(firewall, member(object, "rule"));
	return 0;
}

int firewall_add_nft(struct firewall *firewall, const char *json)
{
	struct json_object *root = json_tokener_parse(json);
	struct json_object *list = member(root, "nftables");
	int result = 0;

	if (!json_object_is_type(list, json_type_array))
		result = -EINVAL;
	for (size_t i = 0; !result && i < json_object_array_length(list); i++)
		result = take_object(firewall,
				     json_object_array_get_idx(list, i));
	json_object_put(root);
	firewall->read[RULES_NFTABLES] = !result;
	return result;
}
