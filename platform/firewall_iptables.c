/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reads the text of iptables-save into the model. Only what the model knows is
 * understood; any other word makes a rule one that asks more, and any other
 * target or match one that acts.
 *
 * An argument may look like an option: the name of a set, a string to be found.
 * So an option is one only in its place: devices, addresses and the protocol are
 * printed before the first match, what a match asks behind its name, and never
 * between quotation marks, as strings often are.
 */
#include "firewall.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rules_text.h"

#define WORDS_MAX 128
#define WORD_BYTES 256

struct word {
	char text[WORD_BYTES];
	bool quoted; /* or a part of it */
};

struct reader {
	struct firewall *firewall;
	enum rules_backend backend;
	char table[32];
};

/* Takes the next word of a line; "quoted words" as one, without their marks.
 * False at the end. A longer word is cut. */
static bool next_word(const char **line, struct word *word)
{
	size_t length = 0;
	bool quoted = false;

	word->quoted = false;
	while (**line == ' ')
		(*line)++;
	if (!**line)
		return false;
	for (; **line && (quoted || **line != ' '); (*line)++) {
		if (**line == '"') {
			quoted = !quoted;
			word->quoted = true;
			continue;
		}
		if (**line == '\\' && (*line)[1])
			(*line)++;
		if (length < WORD_BYTES - 1)
			word->text[length++] = **line;
	}
	word->text[length] = '\0';
	return true;
}

/* "A,B" holds UNTRACKED. */
static bool lists_untracked(const char *states)
{
	return strstr(states, "UNTRACKED");
}

/* "0x1/0x3", "1". */
static void take_mark(struct firewall_rule *rule, const char *text,
		      bool negated)
{
	char *end;

	rule->asks_mark = true;
	rule->mark_negated = negated;
	rule->mark_value = (uint32_t)strtoul(text, &end, 0);
	rule->mark_mask = *end == '/' ? (uint32_t)strtoul(end + 1, NULL, 0) :
					UINT32_MAX;
}

static bool is_one_of(const char *const names[], const char *name)
{
	for (; *names; names++)
		if (!strcmp(name, *names))
			return true;
	return false;
}

/* Targets that change a conntrack entry, which an untracked packet has not. */
static const char *const idle[] = { "CT", "NOTRACK", "CONNMARK", NULL };

static void take_target(struct firewall_rule *rule, const char *name, bool go)
{
	if (is_one_of(idle, name))
		return;
	if (!strcmp(name, "ACCEPT")) {
		rule->verdict = FIREWALL_ACCEPT;
	} else if (!strcmp(name, "DROP") || !strcmp(name, "REJECT")) {
		rule->verdict = FIREWALL_REFUSE;
	} else if (!strcmp(name, "RETURN")) {
		rule->verdict = FIREWALL_RETURN;
	} else {
		rule->verdict = go ? FIREWALL_GOTO : FIREWALL_JUMP;
		rule->target = strdup(name);
	}
}

/* Matches whose options are understood or ask nothing. */
static const char *const known[] = { "mark", "conntrack", "state", "comment",
				     NULL };

/* Others that only look, and remember nothing of the packet. */
static const char *const looking[] = {
	"addrtype", "ah",     "bpf",   "connmark",  "cpu",    "dccp",
	"devgroup", "dscp",   "ecn",   "esp",	    "helper", "icmp",
	"iprange",  "length", "mac",   "multiport", "owner",  "physdev",
	"pkttype",  "policy", "realm", "rpfilter",  "sctp",   "set",
	"socket",   "string", "tcp",   "tcpmss",    "time",   "tos",
	"ttl",	    "u32",    "udp",   NULL
};

static bool take_module(struct firewall_rule *rule, const char *name)
{
	bool asks_only = is_one_of(known, name);

	rule->acts |= !asks_only && !is_one_of(looking, name);
	return asks_only;
}

/* "--tcp-flags SYN,RST SYN": these alone, of those. */
static void take_flags(struct firewall_rule *rule, const char *flags,
		       bool negated)
{
	bool listed = strstr(flags, "SYN") || strstr(flags, "FIN") ||
		      strstr(flags, "RST") || strstr(flags, "ALL");

	rule->flags |= listed && !negated;
	rule->acts_early |= rule->acts;
}

static bool take_device(struct firewall_device *device, const char *name,
			bool negated)
{
	device->negated = negated;
	return !firewall_add_device(device, name);
}

static bool take_first_mark(struct firewall_rule *rule, const char *mark,
			    bool negated)
{
	rule->acts_early |= rule->acts;
	if (rule->asks_mark)
		return false; /* the model keeps the first */
	take_mark(rule, mark, negated);
	return true;
}

static bool take_states(struct firewall_rule *rule, const char *states,
			bool negated)
{
	rule->acts_early |= rule->acts;
	rule->never |= lists_untracked(states) == negated;
	return true;
}

static bool take_comment(struct firewall_rule *rule, const char *comment)
{
	rule->tagged = !strcmp(comment, "portico");
	return true;
}

/* One option of a match ("": before the first) with its argument. False when it
 * is not one we know. */
static bool take_option(struct firewall_rule *rule, const char *match,
			const char *option, const char *argument, bool negated)
{
	if (!*match && !strcmp(option, "-i"))
		return take_device(&rule->in, argument, negated);
	if (!*match && !strcmp(option, "-o"))
		return take_device(&rule->out, argument, negated);
	if (!strcmp(match, "comment") && !strcmp(option, "--comment"))
		return take_comment(rule, argument);
	if (!strcmp(match, "mark") && !strcmp(option, "--mark"))
		return take_first_mark(rule, argument, negated);
	if ((!strcmp(match, "conntrack") && !strcmp(option, "--ctstate")) ||
	    (!strcmp(match, "state") && !strcmp(option, "--state")))
		return take_states(rule, argument, negated);
	return false;
}

/* Options of matches that only look, with a name as it was given. */
static const char *const named[] = { "--match-set", "--helper", NULL };

/* A rule's line while it is read. */
struct line {
	const char *rest;
	char match[WORD_BYTES]; /* whose options come; "": none yet */
	bool negated; /* by the "!" before */
};

/* An option that is neither of -m, -j and -g, with what belongs to it. */
static void take_words(struct firewall_rule *rule, struct line *line,
		       const char *option, const struct word *argument,
		       const char *behind)
{
	struct word flags;

	if (!take_option(rule, line->match, option, argument->text,
			 line->negated)) {
		rule->more = true;
		if (!argument->quoted && strchr("-!", argument->text[0]) &&
		    !is_one_of(named, option))
			line->rest = behind; /* "-f", "--transparent" */
	}
	if (!strcmp(line->match, "tcp") && !strcmp(option, "--tcp-flags") &&
	    next_word(&line->rest, &flags))
		take_flags(rule, flags.text, line->negated);
}

/* "--set-xmark 0x1/0xff", as the mark's target is always printed. */
static uint32_t overwritten(const char *rest)
{
	struct word option, value = { .text = "" };
	uint32_t bits, mask = UINT32_MAX;
	char *end;

	if (!next_word(&rest, &option) || strcmp(option.text, "--set-xmark") ||
	    !next_word(&rest, &value))
		return 0;
	bits = (uint32_t)strtoul(value.text, &end, 0);
	if (*end == '/')
		mask = (uint32_t)strtoul(end + 1, NULL, 0);
	return bits | mask;
}

/* -j or -g. Behind a chain's name nothing comes: it was not meant so. */
static void take_end(struct firewall *firewall, struct firewall_rule *rule,
		     const struct line *line, const char *name, bool go)
{
	take_target(rule, name, go);
	rule->acts |= line->rest[strspn(line->rest, " ")] &&
		      rule->verdict != FIREWALL_GOES_ON;
	if (!strcmp(name, "MARK"))
		rule->overwrites = overwritten(line->rest);
	if (!strcmp(name, "MASQUERADE"))
		firewall->masquerade = true;
}

/* What follows the chain's name in an "-A" line, up to the target. */
static void take_rule(struct firewall *firewall, struct firewall_rule *rule,
		      const char *text)
{
	struct line line = { .rest = text };
	struct word word, argument;

	for (int i = 0; i < WORDS_MAX && next_word(&line.rest, &word); i++) {
		const char *behind = line.rest;
		const char *option = word.quoted ? "" : word.text;

		if (!strcmp(option, "!")) {
			line.negated = true;
			continue;
		}
		if (option[0] != '-' || !next_word(&line.rest, &argument)) {
			rule->more = true;
			continue;
		}
		if (!strcmp(option, "-j") || !strcmp(option, "-g")) {
			take_end(firewall, rule, &line, argument.text,
				 option[1] == 'g');
			return;
		}
		if (!strcmp(option, "-m")) {
			strcpy(line.match, argument.text);
			rule->more |= !take_module(rule, argument.text);
		} else {
			take_words(rule, &line, option, &argument, behind);
		}
		line.negated = false;
	}
	/* It has no target, or a later word than we read. */
	rule->acts = true;
}

static enum firewall_hook hook_of(const char *chain)
{
	return !strcmp(chain, "PREROUTING")  ? FIREWALL_PREROUTING :
	       !strcmp(chain, "FORWARD")     ? FIREWALL_FORWARD :
	       !strcmp(chain, "POSTROUTING") ? FIREWALL_POSTROUTING :
					       FIREWALL_NOWHERE;
}

/* ":FORWARD DROP [0:0]" */
static int chain_line(struct reader *reader, const char *line)
{
	struct word name, policy = { .text = "" };
	struct firewall_chain *chain;

	if (!next_word(&line, &name) || firewall_is_ours(name.text))
		return 0;
	next_word(&line, &policy);
	chain = firewall_add_chain(reader->firewall, reader->backend, "ip",
				   reader->table, name.text);
	if (!chain)
		return -ENOMEM;
	/* Only a builtin chain has a policy; a user's is "-". */
	if (policy.text[0] != '-' && strcmp(reader->table, "nat") != 0)
		chain->hook = hook_of(name.text);
	chain->prio = !strcmp(reader->table, "raw")    ? -300 :
		      !strcmp(reader->table, "mangle") ? -150 :
							 0;
	chain->policy_drop = !strcmp(policy.text, "DROP");
	return 0;
}

static int rule_line(struct reader *reader, const char *line)
{
	const char *text = line;
	struct word name;
	struct firewall_chain *chain;
	struct firewall_rule *rule;

	if (!next_word(&line, &name) || firewall_is_ours(name.text))
		return 0;
	chain = firewall_chain_of(reader->firewall, reader->backend, "ip",
				  reader->table, name.text);
	if (!chain)
		return 0;
	rule = firewall_add_rule(chain);
	if (!rule)
		return -ENOMEM;
	rule->text = strdup(text);
	if (!rule->text)
		return -ENOMEM;
	take_rule(reader->firewall, rule, line);
	if (rule->target && !strcmp(rule->target, FIREWALL_OURS "RAW"))
		reader->firewall->ours[reader->backend] = true;
	return 0;
}

static int take_line(struct reader *reader, const char *line)
{
	if (line[0] == '*')
		snprintf(reader->table, sizeof(reader->table), "%s", line + 1);
	else if (line[0] == ':')
		return chain_line(reader, line + 1);
	else if (!strncmp(line, "-A ", 3))
		return rule_line(reader, line + 3);
	return 0;
}

int firewall_add_iptables(struct firewall *firewall, enum rules_backend backend,
			  const char *save)
{
	struct reader reader = { .firewall = firewall, .backend = backend };
	char *copy, *from, *line;
	int result;

	if (strlen(save) >= RULES_LISTING_MAX - 1)
		return -EMSGSIZE; /* it was cut */
	from = copy = strdup(save);
	result = copy ? 0 : -ENOMEM;
	while (!result && (line = strsep(&from, "\n")))
		result = take_line(&reader, line);
	free(copy);
	firewall->read[backend] = !result;
	return result;
}
