/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The packet filter rules that bring packets to the queue, for nftables (own
 * `table ip portico`) and iptables (own chains; -legacy and -nft flavours).
 * Rendering is pure text: it needs neither daemon nor root.
 */
#ifndef PORTICO_PLATFORM_RULES_H
#define PORTICO_PLATFORM_RULES_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "config.h"
#include "portico/nat.h"

enum rules_backend {
	RULES_NFTABLES,
	RULES_IPTABLES_NFT,
	RULES_IPTABLES_LEGACY,
	RULES_BACKENDS
};

const char *rules_backend_name(enum rules_backend backend);

/* All that the ruleset depends on. Pointers are the caller's. */
struct rules_spec {
	const char *uplink;
	/* Of the device that has this name or had it last: renamed, it is still
	 * guarded. 0: unknown. */
	unsigned uplink_index;
	uint32_t uplink_addr; /* 0: no inbound rules yet */
	uint32_t uplink_mtu, inside_mtu; /* 0: unknown; for the MSS clamp */
	const char (*inside)[IFNAMSIZ];
	size_t inside_count;
	const struct nat_prefix *inside_nets; /* for the guard */
	size_t inside_net_count;
	/* Those of them that cannot be reached now: what is for them would leave
	 * by the default route. */
	const struct nat_prefix *away;
	size_t away_count;
	/* Not all of them are known yet: the guard takes every private address
	 * (RFC 1918, RFC 6598) that inside devices send for one; iptables', which
	 * has no fallback beside it, whatever they send. */
	bool inside_unknown;
	const struct nat_prefix *exempt;
	size_t exempt_count;
	const struct nat_prefix *elsewhere; /* as of the state; iptables only */
	size_t elsewhere_count;
	/* Ports that enter the queue: pool and forwards, without
	 * router_ports. */
	const struct nat_portset *tcp;
	const struct nat_portset *udp;
	/* By protocol number: not to be queued (nat_config); NULL: all are. */
	const bool *untranslated;
	struct config_range router_ports; /* for fallback: kernel */
	uint16_t queue_number;
	uint32_t mark; /* the two-bit mask */
	bool mss_clamp; /* already decided from config and MTUs */
	bool fallback_kernel; /* nftables only */
};

/* Writes the whole ruleset as text that `nft -f` or `iptables-restore
 * --noflush` takes. 0 or -errno (the stream's error). */
int rules_render(const struct rules_spec *spec, enum rules_backend backend,
		 FILE *out);
/* What stays after an orderly stop: the guard, with fallback "kernel" beside
 * the masquerade that it lets pass. */
int rules_render_guard(const struct rules_spec *spec,
		       enum rules_backend backend, FILE *out);

/* Why such a spec is refused, with -EINVAL, as a sentence. Returns that. */
int rules_refuse(const struct rules_spec *spec, char *error, size_t error_size);

/* Finds the backend that works here: nftables when the kernel takes a `queue`
 * statement, else iptables-legacy, else iptables-nft. wanted narrows it.
 * 0 with what the better ones said in error ("": nothing), or -errno with a
 * sentence there. */
int rules_choose(enum config_rules wanted, enum rules_backend *backend,
		 char *error, size_t error_size);

/* Puts the ruleset / the guard in force atomically (iptables: table by table,
 * never without the guard), replacing ours only. 0, or -errno with a sentence
 * in error: -EIO when the program refused, -EAGAIN when it waited for another's
 * lock in vain, -EINVAL when the spec names what no rule can hold. */
int rules_apply(const struct rules_spec *spec, enum rules_backend backend,
		char *error, size_t error_size);
int rules_apply_guard(const struct rules_spec *spec, enum rules_backend backend,
		      char *error, size_t error_size);
/* Removes what an earlier daemon left in the other backends. Runs several
 * programs. 0 or -errno of the first that failed, with its name and a sentence;
 * the rest is removed all the same. */
int rules_remove_others(enum rules_backend kept, char *error,
			size_t error_size);
/* Removes everything of ours, of any backend: rules, guard, tagged accept
 * rules. Nothing there is no error. */
int rules_remove(char *error, size_t error_size);

/* What is in force of ours, in numbers that differ as soon as somebody flushed
 * or deleted a part of it. */
#define RULES_SIGHT_MAX 10
struct rules_sight {
	uint32_t use[RULES_SIGHT_MAX];
};

/* To be called by a process that will be locked in, before it is: a look
 * at legacy rules needs a socket, and the backend may change later. */
void rules_look_prepare(void);

/* Looks without running a program, for every few seconds. 0 or -errno:
 * -ENOENT when not even the guard is there; others: it cannot be told. */
int rules_look(enum rules_backend backend, struct rules_sight *sight);

/* "fallback": "kernel": how long the set `alive` believes in the daemon after
 * a refresh, and how often it is to be refreshed. */
#define RULES_ALIVE_S 5U
#define RULES_REFRESH_S 2U

/* Refreshes the inside devices in the set `alive`, over netlink and without a
 * program. Nothing to do unless the backend is nftables and spec says
 * fallback_kernel. 0 or -errno: -ENOENT when the table is gone (flushed by
 * somebody; apply the rules again). */
int rules_refresh_alive(const struct rules_spec *spec,
			enum rules_backend backend);

/* "forward_accept": "insert": one tagged accept rule for marked packets at the
 * head of each forward base chain that would refuse them; and its removal. */
int rules_insert_accept(uint32_t mark, char *error, size_t error_size);
int rules_remove_accept(char *error, size_t error_size);

#endif
