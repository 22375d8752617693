/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a rule of `nft -j list ruleset` asks of a packet.
 */
#include "firewall_match.h"

#include <stdlib.h>
#include <string.h>

const char *firewall_string(struct json_object *object, const char *key)
{
	struct json_object *value;

	if (!json_object_is_type(object, json_type_object) ||
	    !json_object_object_get_ex(object, key, &value) ||
	    !json_object_is_type(value, json_type_string))
		return "";
	return json_object_get_string(value);
}

struct json_object *firewall_member(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	if (json_object_is_type(object, json_type_object))
		json_object_object_get_ex(object, key, &value);
	return value;
}

bool firewall_has(struct json_object *object, const char *key)
{
	return json_object_is_type(object, json_type_object) &&
	       json_object_object_get_ex(object, key, NULL);
}

/* {"meta": {"key": "iifname"}} */
bool firewall_is_key(struct json_object *object, const char *kind,
		     const char *key)
{
	return !strcmp(firewall_string(firewall_member(object, kind), "key"),
		       key);
}

/* --- matches ------------------------------------------------------------- */

/* A value, a list or {"set": [...]}: calls take for each; true when all were
 * taken. */
static bool each_value(struct json_object *right,
		       bool (*take)(void *context, struct json_object *value),
		       void *context)
{
	struct json_object *list = firewall_member(right, "set");

	if (!list)
		list = right;
	if (!json_object_is_type(list, json_type_array))
		return take(context, list);
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (!take(context, json_object_array_get_idx(list, i)))
			return false;
	return true;
}

/* A name, but not that of a set. */
static bool is_word(struct json_object *value)
{
	return json_object_is_type(value, json_type_string) &&
	       json_object_get_string(value)[0] != '@';
}

static bool take_name(void *context, struct json_object *value)
{
	return is_word(value) &&
	       !firewall_add_device(context, json_object_get_string(value));
}

static bool take_state(void *context, struct json_object *value)
{
	bool *listed = context;

	if (!is_word(value))
		return false;
	*listed |= !strcmp(json_object_get_string(value), "untracked");
	return true;
}

bool firewall_take_devices(struct firewall_device *device,
			   struct json_object *right, bool negated)
{
	/* Asked twice, of which the model keeps the first. */
	if (device->names)
		return false;
	device->negated = negated;
	if (each_value(right, take_name, device))
		return true;
	free(device->names);
	device->names = NULL;
	return false;
}

/* Equal or not, one of several or not. */
static bool is_simple(const char *op)
{
	return !strcmp(op, "==") || !strcmp(op, "in") || !strcmp(op, "!=");
}

/* `meta mark & MASK == VALUE` and `meta mark VALUE`. */
static bool take_mark(struct firewall_rule *rule, struct json_object *left,
		      struct json_object *right, bool negated)
{
	struct json_object *parts = firewall_member(left, "&");
	uint32_t mask = UINT32_MAX;

	if (parts && json_object_is_type(parts, json_type_array) &&
	    json_object_array_length(parts) == 2) {
		left = json_object_array_get_idx(parts, 0);
		mask = (uint32_t)json_object_get_int64(
			json_object_array_get_idx(parts, 1));
	}
	if (rule->asks_mark || !firewall_is_key(left, "meta", "mark") ||
	    !json_object_is_type(right, json_type_int))
		return false;
	rule->asks_mark = true;
	rule->mark_negated = negated;
	rule->mark_mask = mask;
	rule->mark_value = (uint32_t)json_object_get_int64(right);
	return true;
}

/* `meta mark & 0xffff00ff | 0x0700`. */
uint32_t firewall_overwritten(struct json_object *value)
{
	static const char *const signs[] = { "&", "|", "^" };

	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
		struct json_object *parts = firewall_member(value, signs[i]);
		uint32_t bits;

		if (!json_object_is_type(parts, json_type_array) ||
		    json_object_array_length(parts) != 2)
			continue;
		bits = (uint32_t)json_object_get_int64(
			json_object_array_get_idx(parts, 1));
		return firewall_overwritten(
			       json_object_array_get_idx(parts, 0)) |
		       (i ? bits : ~bits);
	}
	return firewall_is_key(value, "meta", "mark") ? 0 : UINT32_MAX;
}

/* An untracked packet has no conntrack entry: it has the state "untracked" and
 * nothing else that could be asked. "!": none of them. */
static bool take_ct(struct firewall_rule *rule, struct json_object *left,
		    struct json_object *right, const char *op)
{
	bool listed = false;

	if (!firewall_is_key(left, "ct", "state")) {
		rule->never = true;
		return true;
	}
	if (!is_simple(op) && strcmp(op, "!") != 0)
		return false;
	if (!each_value(right, take_state, &listed))
		return false;
	rule->never |= listed == (op[0] == '!');
	return true;
}

/* `meta nfproto ipv4`. */
static bool take_family(struct firewall_rule *rule, struct json_object *right,
			bool negated)
{
	if (!is_word(right))
		return false;
	rule->never |= !strcmp(json_object_get_string(right), "ipv4") ==
		       negated;
	return true;
}

static const char *const flag_names[] = { "fin", "syn", "rst", "psh",
					  "ack", "urg", "ecn", "cwr" };
#define FIN_SYN_RST 0x07U

/* "syn", 2, ["syn", "ack"] and {"|": ["syn", "ack"]} into bits. False when there
 * is anything else. */
static bool read_flags(struct json_object *value, unsigned *bits)
{
	struct json_object *list = firewall_member(value, "|");
	bool known = false;

	if (!list)
		list = value;
	if (json_object_is_type(list, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(list); i++)
			if (!read_flags(json_object_array_get_idx(list, i),
					bits))
				return false;
		return true;
	}
	if (json_object_is_type(value, json_type_int)) {
		*bits |= (unsigned)json_object_get_int(value);
		return true;
	}
	if (!json_object_is_type(value, json_type_string))
		return false;
	for (size_t i = 0; i < sizeof(flag_names) / sizeof(flag_names[0]); i++)
		if (!strcmp(json_object_get_string(value), flag_names[i])) {
			*bits |= 1U << i;
			known = true;
		}
	return known;
}

static bool has_fin_syn_rst(void *context, struct json_object *value)
{
	unsigned bits = 0;

	(void)context;
	return read_flags(value, &bits) && bits & FIN_SYN_RST;
}

/* `tcp flags syn` is "in": any of them. `tcp flags & (syn | rst) == syn` and
 * `tcp flags == syn`: just these, of those in the mask. */
static bool asks_fin_syn_rst(struct json_object *match)
{
	struct json_object *left = firewall_member(match, "left");
	struct json_object *right = firewall_member(match, "right");
	struct json_object *parts = firewall_member(left, "&");
	const char *op = firewall_string(match, "op");
	unsigned bits = 0;

	if (json_object_is_type(parts, json_type_array) &&
	    json_object_array_length(parts) == 2)
		left = json_object_array_get_idx(parts, 0);
	left = firewall_member(left, "payload");
	if (strcmp(firewall_string(left, "protocol"), "tcp") ||
	    strcmp(firewall_string(left, "field"), "flags"))
		return false;
	if (!strcmp(op, "=="))
		return firewall_has(right, "set") ?
			       each_value(right, has_fin_syn_rst, NULL) :
			       has_fin_syn_rst(NULL, right);
	return !strcmp(op, "in") && !parts && read_flags(right, &bits) &&
	       bits && !(bits & ~FIN_SYN_RST);
}

/* What is asked after an action does not keep it from being done. */
static void note_order(struct firewall_rule *rule, struct json_object *left)
{
	const char *key = firewall_string(firewall_member(left, "meta"), "key");

	if (strstr(key, "if"))
		rule->acts_first |= rule->acts;
	else
		rule->acts_early |= rule->acts;
}

/* nft names a field of a protocol where the rule has asked for that, too. What a
 * tunnel holds is another matter. */
static void take_protocol(struct firewall_rule *rule, struct json_object *left)
{
	struct json_object *payload = firewall_member(left, "payload");
	const char *protocol = firewall_string(payload, "protocol");

	if (firewall_has(payload, "tunnel"))
		return;
	rule->never |= !strcmp(protocol, "ip6") || !strcmp(protocol, "icmpv6");
	rule->flags |= !strcmp(protocol, "icmp");
}

bool firewall_take_match(struct firewall_rule *rule, struct json_object *match)
{
	struct json_object *left = firewall_member(match, "left");
	struct json_object *right = firewall_member(match, "right");
	const char *op = firewall_string(match, "op");
	bool negated = !strcmp(op, "!=");

	note_order(rule, left);
	if (firewall_has(left, "ct"))
		return take_ct(rule, left, right, op);
	take_protocol(rule, left);
	rule->flags |= asks_fin_syn_rst(match);
	if (!is_simple(op))
		return false;
	if (firewall_is_key(left, "meta", "iifname") ||
	    firewall_is_key(left, "meta", "iif"))
		return firewall_take_devices(&rule->in, right, negated);
	if (firewall_is_key(left, "meta", "oifname") ||
	    firewall_is_key(left, "meta", "oif"))
		return firewall_take_devices(&rule->out, right, negated);
	if (firewall_is_key(left, "meta", "nfproto"))
		return take_family(rule, right, negated);
	return take_mark(rule, left, right, negated);
}
