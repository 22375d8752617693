/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A packet's walk through the model of other packet filters.
 */
#include "firewall.h"

#include <string.h>

/* A chain visited through more jumps, or a walk of more rules than this, ends
 * in doubt: the kernel allows 16 jumps, and we must be done in bounded time. */
#define DEPTH_MAX 16
#define STEPS_MAX 20000

enum answer { NO, MAYBE, YES };

struct walk {
	const struct firewall *firewall;
	const struct firewall_packet *packet;
	unsigned steps;
	bool doubtful;
};

/* iptables ends a wildcard with '+', nftables with '*'. */
static bool name_is(const char *word, size_t length, const char *name)
{
	if (length && (word[length - 1] == '+' || word[length - 1] == '*'))
		return !strncmp(word, name, length - 1);
	return strlen(name) == length && !memcmp(word, name, length);
}

static enum answer ask_device(const struct firewall_device *device,
			      const char *name)
{
	const char *word = device->names;
	bool found = false;

	if (!word)
		return YES;
	if (!name)
		return MAYBE;
	for (word++; *word && !found; word += strcspn(word, " ") + 1)
		found = name_is(word, strcspn(word, " "), name);
	return found != device->negated ? YES : NO;
}

static enum answer ask_mark(const struct firewall_rule *rule, uint32_t mark)
{
	bool equal = (mark & rule->mark_mask) == rule->mark_value;

	return !rule->asks_mark || equal != rule->mark_negated ? YES : NO;
}

/* Whether the rule's matches hold for the packet. */
static enum answer ask(const struct firewall_rule *rule,
		       const struct firewall_packet *packet)
{
	enum answer in = ask_device(&rule->in, packet->in);
	enum answer out = ask_device(&rule->out, packet->out);
	enum answer mark = ask_mark(rule, packet->mark);

	if (rule->never || in == NO || out == NO || mark == NO)
		return NO;
	return rule->more || in == MAYBE || out == MAYBE ? MAYBE : YES;
}

/* A chain and the way to it. */
struct visit {
	const struct firewall_chain *chain;
	const struct visit *from;
	unsigned depth;
};

/* Whether the way came through the chain: no kernel takes such a ring. */
static bool is_ring(const struct visit *visit,
		    const struct firewall_chain *chain)
{
	for (; visit; visit = visit->from)
		if (visit->chain == chain)
			return true;
	return false;
}

static enum firewall_verdict walk_chain(struct walk *walk,
					const struct visit *visit);

static enum firewall_verdict walk_target(struct walk *walk,
					 const struct visit *visit,
					 const struct firewall_rule *rule)
{
	const struct firewall_chain *from = visit->chain;
	struct visit next = { .from = visit, .depth = visit->depth + 1 };

	if (rule->target)
		next.chain = firewall_chain_of(walk->firewall, from->backend,
					       from->family, from->table,
					       rule->target);
	if (!next.chain)
		return FIREWALL_GOES_ON;
	if (next.depth > DEPTH_MAX || is_ring(visit, next.chain)) {
		walk->doubtful = true;
		return FIREWALL_GOES_ON;
	}
	return walk_chain(walk, &next);
}

/* One rule: what becomes of the packet. */
static enum firewall_verdict step(struct walk *walk, const struct visit *visit,
				  const struct firewall_rule *rule)
{
	enum answer holds = ask(rule, walk->packet);
	enum firewall_verdict verdict = rule->verdict;

	if (holds == NO)
		return FIREWALL_GOES_ON;
	if (verdict == FIREWALL_JUMP || verdict == FIREWALL_GOTO) {
		verdict = walk_target(walk, visit, rule);
		if (verdict == FIREWALL_GOES_ON &&
		    rule->verdict == FIREWALL_GOTO)
			verdict = FIREWALL_RETURN;
	}
	if (holds == YES)
		return verdict;
	if (verdict == FIREWALL_REFUSE)
		walk->doubtful = true;
	return FIREWALL_GOES_ON;
}

/* A chain that returns or ends goes on where it came from. */
static enum firewall_verdict walk_chain(struct walk *walk,
					const struct visit *visit)
{
	const struct firewall_chain *chain = visit->chain;

	for (size_t i = 0; i < chain->rule_count; i++) {
		enum firewall_verdict verdict;

		if (walk->steps++ > STEPS_MAX) {
			walk->doubtful = true;
			break;
		}
		verdict = step(walk, visit, &chain->rules[i]);
		if (verdict == FIREWALL_RETURN)
			break;
		if (verdict != FIREWALL_GOES_ON)
			return verdict;
	}
	return FIREWALL_GOES_ON;
}

enum firewall_judgement firewall_judge(const struct firewall *firewall,
				       const struct firewall_chain *base,
				       const struct firewall_packet *packet)
{
	struct walk walk = { .firewall = firewall, .packet = packet };
	const struct visit first = { .chain = base };
	enum firewall_verdict verdict = walk_chain(&walk, &first);

	if (verdict == FIREWALL_REFUSE ||
	    (verdict == FIREWALL_GOES_ON && base->policy_drop))
		return FIREWALL_CLOSED;
	return walk.doubtful ? FIREWALL_DOUBTFUL : FIREWALL_OPEN;
}
