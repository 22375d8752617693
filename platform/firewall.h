/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What other people's packet filters do to our packets in the forward hook.
 * Untracked replies are refused by any stateful forward policy; this model,
 * read from `nft -j list ruleset` and iptables-save, says by which chain. And,
 * in every hook, what packets would miss that pass all of them by.
 *
 * It follows a packet known by devices and mark alone. What a rule asks beyond
 * that may or may not hold; sets, maps and quotas are not looked into.
 */
#ifndef PORTICO_PLATFORM_FIREWALL_H
#define PORTICO_PLATFORM_FIREWALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rules.h"

enum firewall_verdict {
	FIREWALL_GOES_ON, /* counters, logs, marks, unknown targets */
	FIREWALL_ACCEPT,
	FIREWALL_REFUSE, /* drop or reject */
	FIREWALL_RETURN,
	FIREWALL_JUMP,
	FIREWALL_GOTO,
};

/* Where a base chain of type filter stands on a packet's way, in order. */
enum firewall_hook {
	FIREWALL_NOWHERE, /* no base chain, of another hook, or for tracked ones */
	FIREWALL_INGRESS,
	FIREWALL_PREROUTING,
	FIREWALL_FORWARD,
	FIREWALL_POSTROUTING,
	FIREWALL_EGRESS,
	FIREWALL_HOOKS
};

/* `names` separated by spaces, each with one before and one behind; NULL: the
 * rule does not ask. negated: any other device. */
struct firewall_device {
	char *names;
	bool negated;
};

struct firewall_rule {
	struct firewall_device in, out;
	bool asks_mark; /* (mark & mask) == value, or != when negated */
	bool mark_negated;
	uint32_t mark_mask, mark_value;
	bool never; /* asks IPv6, or a state no untracked packet has */
	bool flags; /* asks a SYN, FIN or RST, or ICMP, and so more */
	bool more; /* asks something else, too */
	/* Does what would be missed: logs, marks, counts alone, limits, or is not
	 * understood. early: before it has asked all of state, mark and flags;
	 * first: before it has asked for devices. */
	bool acts, acts_early, acts_first;
	uint32_t overwrites; /* bits of the mark */
	enum firewall_verdict verdict;
	char *target; /* of JUMP and GOTO; NULL: unknown */
	bool tagged; /* comment "portico" */
	uint64_t handle; /* nftables */
	char *text; /* iptables: what follows "-A " */
};

struct firewall_chain {
	enum rules_backend backend;
	char *family; /* "ip", "inet" or "netdev" */
	char *table;
	char *name;
	enum firewall_hook hook;
	int prio; /* of a base chain */
	/* Of ingress and egress, whose packets it sees; none: not known. */
	struct firewall_device devices;
	bool policy_drop;
	struct firewall_rule *rules;
	size_t rule_count;
};

struct firewall {
	struct firewall_chain *chains;
	size_t chain_count;
	bool read[RULES_BACKENDS]; /* its text was understood */
	/* Else why: -ENOENT not installed, -EIO its program refused, ... */
	int failed[RULES_BACKENDS];
	/* It failed, and the kernel has tables of it: somebody brings his own
	 * program, as a container may. */
	bool hidden[RULES_BACKENDS];
	bool ours[RULES_BACKENDS]; /* our rules are in force there */
	bool flowtable; /* established flows may bypass every hook */
	bool masquerade; /* some rule translates sources in the kernel */
};

/* NULL without memory. */
struct firewall *firewall_new(void);
void firewall_free(struct firewall *firewall);

/* Adds what a text says; backend: the flavour that printed it. nftables comes
 * last: the tables that iptables-nft has shown are left to it, but for those
 * that hold what it cannot show. Our own chains are left out. 0, -EINVAL (no
 * JSON), -EMSGSIZE (more than a listing holds), -ENOMEM. */
int firewall_add_iptables(struct firewall *firewall, enum rules_backend backend,
			  const char *save);
int firewall_add_nft(struct firewall *firewall, const char *json);

/* Reads all three from the system, each for timeout_ms at most; those that
 * cannot be read are left out, `failed` says why.
 * NULL with a sentence in error when nothing could be read. */
struct firewall *firewall_read(int timeout_ms, char *error, size_t error_size);

struct firewall_packet {
	const char *in, *out; /* NULL: unknown */
	uint32_t mark;
};

enum firewall_judgement {
	FIREWALL_OPEN, /* the packet goes through */
	FIREWALL_DOUBTFUL, /* some rule on its way may refuse it */
	FIREWALL_CLOSED, /* refused, but for rules not understood */
};

/* What becomes of an untracked packet in a base chain. */
enum firewall_judgement firewall_judge(const struct firewall *firewall,
				       const struct firewall_chain *base,
				       const struct firewall_packet *packet);

/* Whether a packet of an established session (a TCP segment without SYN, FIN
 * and RST, or UDP; untracked) meets, on its way by the queue, a rule or a policy
 * that does, or may do, anything but let it by: then text names the chain, as
 * `chain "FORWARD" of table "ip filter" (iptables-legacy)`. Before routing it
 * may have its mark or none yet. Ours do not count. */
bool firewall_meets(const struct firewall *firewall,
		    const struct firewall_packet *packet, char *text,
		    size_t size);

/* Whether a rule may overwrite one of these bits of the packet's mark between our
 * own rules, of this flavour; then text names the chain in the same way. */
bool firewall_overwrites(const struct firewall *firewall,
			 enum rules_backend ours,
			 const struct firewall_packet *packet, uint32_t bits,
			 char *text, size_t size);

/* How the names of our own chains in others' tables begin. */
#define FIREWALL_OURS "PORTICO-"
bool firewall_is_ours(const char *chain);

/* For the parsers. Each returns NULL without memory. */
struct firewall_chain *firewall_add_chain(struct firewall *firewall,
					  enum rules_backend backend,
					  const char *family, const char *table,
					  const char *name);
struct firewall_chain *firewall_chain_of(const struct firewall *firewall,
					 enum rules_backend backend,
					 const char *family, const char *table,
					 const char *name);
/* Removes what a flavour has said of a table. */
void firewall_forget(struct firewall *firewall, enum rules_backend backend,
		     const char *table);
struct firewall_rule *firewall_add_rule(struct firewall_chain *chain);
/* Adds a device's name to what the rule asks. 0 or -ENOMEM. */
int firewall_add_device(struct firewall_device *device, const char *name);

#endif
