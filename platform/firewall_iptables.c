/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reads the text of iptables-save into the model. Only what the model knows is
 * understood; any other word makes a rule one that asks more, and any other
 * target or match one that acts.
 */
#include "firewall.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rules_text.h"

#define WORDS_MAX 128
#define WORD_BYTES 256

struct reader {
	struct firewall *firewall;
	enum rules_backend backend;
	char table[32];
};

/* Takes the next word of a line; "quoted words" as one, without their marks.
 * False at the end. A longer word is cut. */
static bool next_word(const char **line, char word[WORD_BYTES])
{
	size_t length = 0;
	bool quoted = false;

	while (**line == ' ')
		(*line)++;
	if (!**line)
		return false;
	for (; **line && (quoted || **line != ' '); (*line)++) {
		if (**line == '"') {
			quoted = !quoted;
			continue;
		}
		if (**line == '\\' && (*line)[1])
			(*line)++;
		if (length < WORD_BYTES - 1)
			word[length++] = **line;
	}
	word[length] = '\0';
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

/* One option with its argument. False when it is not one we know. */
static bool take_option(struct firewall_rule *rule, const char *option,
			const char *argument, bool negated)
{
	struct firewall_device *device = !strcmp(option, "-i") ? &rule->in :
					 !strcmp(option, "-o") ? &rule->out :
								 NULL;

	if (device) {
		device->negated = negated;
		return !firewall_add_device(device, argument);
	}
	if (!strcmp(option, "-m"))
		return take_module(rule, argument);
	if (!strcmp(option, "--comment")) {
		rule->tagged = !strcmp(argument, "portico");
		return true;
	}
	if (!strcmp(option, "--mark")) {
		rule->acts_early |= rule->acts;
		if (rule->asks_mark)
			return false; /* the model keeps the first */
		take_mark(rule, argument, negated);
		return true;
	}
	if (!strcmp(option, "--ctstate") || !strcmp(option, "--state")) {
		rule->acts_early |= rule->acts;
		rule->never |= lists_untracked(argument) == negated;
		return true;
	}
	return false;
}

/* What follows the chain's name in an "-A" line, up to the target. */
static void take_rule(struct firewall *firewall, struct firewall_rule *rule,
		      const char *line)
{
	char word[WORD_BYTES], argument[WORD_BYTES];
	bool negated = false;

	for (int i = 0; i < WORDS_MAX && next_word(&line, word); i++) {
		const char *behind = line;

		if (!strcmp(word, "!")) {
			negated = true;
			continue;
		}
		if (word[0] != '-' || !next_word(&line, argument)) {
			rule->more = true;
			continue;
		}
		if (!strcmp(word, "-j") || !strcmp(word, "-g")) {
			take_target(rule, argument, word[1] == 'g');
			if (!strcmp(argument, "MASQUERADE"))
				firewall->masquerade = true;
			return;
		}
		if (!take_option(rule, word, argument, negated)) {
			rule->more = true;
			if (argument[0] == '-' || argument[0] == '!')
				line = behind; /* "-f", "--transparent" */
		}
		if (!strcmp(word, "--tcp-flags") && next_word(&line, argument))
			take_flags(rule, argument, negated);
		negated = false;
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
	char name[WORD_BYTES], policy[WORD_BYTES] = "";
	struct firewall_chain *chain;

	if (!next_word(&line, name) || firewall_is_ours(name))
		return 0;
	next_word(&line, policy);
	chain = firewall_add_chain(reader->firewall, reader->backend, "ip",
				   reader->table, name);
	if (!chain)
		return -ENOMEM;
	/* Only a builtin chain has a policy; a user's is "-". */
	if (policy[0] != '-' && strcmp(reader->table, "nat") != 0)
		chain->hook = hook_of(name);
	chain->policy_drop = !strcmp(policy, "DROP");
	return 0;
}

static int rule_line(struct reader *reader, const char *line)
{
	const char *text = line;
	char name[WORD_BYTES];
	struct firewall_chain *chain;
	struct firewall_rule *rule;

	if (!next_word(&line, name) || firewall_is_ours(name))
		return 0;
	chain = firewall_chain_of(reader->firewall, reader->backend, "ip",
				  reader->table, name);
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
