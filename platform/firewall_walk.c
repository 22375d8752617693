/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A packet's walk through the model of other packet filters. It goes where the
 * packet may go, and notes on the way what may refuse it and what acts on it.
 */
#include "firewall.h"

#include <stdio.h>
#include <string.h>

/* A chain visited through more jumps, or a walk of more rules than this, ends
 * in doubt: the kernel allows 16 jumps, and we must be done in bounded time. */
#define DEPTH_MAX 16
#define STEPS_MAX 20000

enum answer { NO, MAYBE, YES };

struct walk {
	const struct firewall *firewall;
	/* As the rules see the packet; two where it may look like either. */
	struct firewall_packet seen[2];
	bool established; /* no SYN, FIN or RST */
	unsigned steps;
	bool doubtful; /* some rule may refuse */
	const struct firewall_chain *met; /* the first in which one acts */
	uint32_t bits; /* of the mark, that are not to be overwritten */
	const struct firewall_chain *over; /* the first in which one does */
};

/* --- what rules ask ------------------------------------------------------ */

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

static enum answer both(enum answer a, enum answer b)
{
	return a < b ? a : b;
}

static enum answer either(enum answer a, enum answer b)
{
	return a == b ? a : MAYBE;
}

static enum answer ask_devices(const struct walk *walk,
			       const struct firewall_rule *rule)
{
	const struct firewall_packet *seen = walk->seen;

	return both(either(ask_device(&rule->in, seen[0].in),
			   ask_device(&rule->in, seen[1].in)),
		    either(ask_device(&rule->out, seen[0].out),
			   ask_device(&rule->out, seen[1].out)));
}

/* Whether the rule's matches hold for the packet. */
static enum answer ask(const struct walk *walk,
		       const struct firewall_rule *rule)
{
	enum answer mark = either(ask_mark(rule, walk->seen[0].mark),
				  ask_mark(rule, walk->seen[1].mark));

	if (rule->never || (rule->flags && walk->established))
		return NO;
	return both(both(ask_devices(walk, rule), mark),
		    rule->more ? MAYBE : YES);
}

/* --- the walk ------------------------------------------------------------ */

/* A chain and the way to it. */
struct visit {
	const struct firewall_chain *chain;
	const struct visit *from;
	unsigned depth;
};

static void meet(struct walk *walk, const struct visit *visit)
{
	if (!walk->met)
		walk->met = visit->chain;
}

/* What lies ahead is not known. */
static void lose(struct walk *walk, const struct visit *visit)
{
	walk->doubtful = true;
	meet(walk, visit);
}

/* Whether the way came through the chain: no kernel takes such a ring. */
static bool is_ring(const struct visit *visit,
		    const struct firewall_chain *chain)
{
	for (; visit; visit = visit->from)
		if (visit->chain == chain)
			return true;
	return false;
}

/* Whether the rule does, or may do, more to the packet than to send it on. */
static bool acts(const struct walk *walk, const struct firewall_rule *rule)
{
	if (rule->tagged && rule->verdict == FIREWALL_ACCEPT)
		return false;
	if (rule->acts_first)
		return true;
	if (rule->acts_early)
		return ask_devices(walk, rule) != NO;
	return (rule->acts || rule->verdict == FIREWALL_REFUSE) &&
	       ask(walk, rule) != NO;
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
	if (!next.chain) {
		if (!rule->target || !firewall_is_ours(rule->target))
			meet(walk, visit);
		return FIREWALL_GOES_ON;
	}
	if (next.depth > DEPTH_MAX || is_ring(visit, next.chain)) {
		lose(walk, visit);
		return FIREWALL_GOES_ON;
	}
	return walk_chain(walk, &next);
}

/* One rule: what becomes of the packet. */
static enum firewall_verdict step(struct walk *walk, const struct visit *visit,
				  const struct firewall_rule *rule)
{
	enum answer holds = ask(walk, rule);
	enum firewall_verdict verdict = rule->verdict;

	if (acts(walk, rule))
		meet(walk, visit);
	if (holds == NO)
		return FIREWALL_GOES_ON;
	if (rule->overwrites & walk->bits && !walk->over)
		walk->over = visit->chain;
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
			lose(walk, visit);
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

/* Through a base chain, to its policy if need be. */
static enum firewall_verdict walk_base(struct walk *walk,
				       const struct firewall_chain *base)
{
	const struct visit first = { .chain = base };
	enum firewall_verdict verdict = walk_chain(walk, &first);

	if (verdict != FIREWALL_GOES_ON || !base->policy_drop)
		return verdict;
	meet(walk, &first);
	return FIREWALL_REFUSE;
}

enum firewall_judgement firewall_judge(const struct firewall *firewall,
				       const struct firewall_chain *base,
				       const struct firewall_packet *packet)
{
	struct walk walk = { .firewall = firewall,
			     .seen = { *packet, *packet } };

	if (walk_base(&walk, base) == FIREWALL_REFUSE)
		return FIREWALL_CLOSED;
	return walk.doubtful ? FIREWALL_DOUBTFUL : FIREWALL_OPEN;
}

/* --- what an established session's packets meet -------------------------- */

/* Before routing there is no device out, and no mark before our own rules; a
 * device in is not seen on egress, nor after routing by kernels before 5.7. */
static void look(struct walk *walk, enum firewall_hook hook)
{
	struct firewall_packet *seen = walk->seen;

	switch (hook) {
	case FIREWALL_INGRESS:
	case FIREWALL_PREROUTING:
		seen[0].out = seen[1].out = "";
		seen[0].mark = 0;
		break;
	case FIREWALL_POSTROUTING:
		seen[0].in = "";
		break;
	case FIREWALL_EGRESS:
		seen[0].in = seen[1].in = "";
		break;
	case FIREWALL_NOWHERE:
	case FIREWALL_FORWARD:
	case FIREWALL_HOOKS:
		break;
	}
}

static bool passes(const struct firewall_chain *base,
		   const struct firewall_packet *packet)
{
	bool leaves = base->hook == FIREWALL_EGRESS;

	return ask_device(&base->devices, leaves ? packet->out : packet->in) !=
	       NO;
}

/* NULL: nothing there. */
static const struct firewall_chain *
meets_in(const struct firewall *firewall, const struct firewall_chain *base,
	 const struct firewall_packet *packet)
{
	struct walk walk = { .firewall = firewall,
			     .seen = { *packet, *packet },
			     .established = true };

	if (!passes(base, packet))
		return NULL;
	look(&walk, base->hook);
	walk_base(&walk, base);
	return walk.met;
}

static const struct firewall_chain *
meets_at(const struct firewall *firewall, enum firewall_hook hook,
	 const struct firewall_packet *packet)
{
	const struct firewall_chain *met = NULL;

	for (size_t i = 0; i < firewall->chain_count && !met; i++)
		if (firewall->chains[i].hook == hook)
			met = meets_in(firewall, &firewall->chains[i], packet);
	return met;
}

static bool tell(const struct firewall_chain *chain, char *text, size_t size)
{
	if (chain)
		snprintf(text, size, "chain \"%s\" of table \"%s %s\" (%s)",
			 chain->name, chain->family, chain->table,
			 rules_backend_name(chain->backend));
	return chain;
}

bool firewall_meets(const struct firewall *firewall,
		    const struct firewall_packet *packet, char *text,
		    size_t size)
{
	const struct firewall_chain *met = NULL;

	for (int hook = FIREWALL_INGRESS; hook < FIREWALL_HOOKS && !met; hook++)
		met = meets_at(firewall, (enum firewall_hook)hook, packet);
	return tell(met, text, size);
}

/* --- who overwrites our marks -------------------------------------------- */

/* Where our own rules stand: those of iptables are the first of their tables. */
#define PRIO_RAW (-300)
#define PRIO_MANGLE (-150)
#define PRIO_OUT 80

static bool lies_between(const struct firewall_chain *chain,
			 enum rules_backend ours)
{
	const int out = ours == RULES_NFTABLES ? PRIO_OUT : PRIO_MANGLE;

	return chain->hook == FIREWALL_FORWARD ||
	       (chain->hook == FIREWALL_PREROUTING &&
		chain->prio >= PRIO_RAW) ||
	       (chain->hook == FIREWALL_POSTROUTING && chain->prio < out);
}

bool firewall_overwrites(const struct firewall *firewall,
			 enum rules_backend ours,
			 const struct firewall_packet *packet, uint32_t bits,
			 char *text, size_t size)
{
	struct walk walk = { .firewall = firewall,
			     .seen = { *packet, *packet },
			     .bits = bits };

	for (size_t i = 0; i < firewall->chain_count && !walk.over; i++) {
		const struct firewall_chain *base = &firewall->chains[i];

		walk.steps = 0;
		if (lies_between(base, ours))
			walk_base(&walk, base);
	}
	return tell(walk.over, text, size);
}
