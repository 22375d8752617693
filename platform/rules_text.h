/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of the rules module share: the words of both languages.
 * Nobody else includes this.
 */
#ifndef PORTICO_PLATFORM_RULES_TEXT_H
#define PORTICO_PLATFORM_RULES_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "rules.h"

/* The bits of nat_mark within spec->mark. */
struct rules_marks {
	uint32_t mask; /* both */
	uint32_t outbound; /* set in 10 and 11, clear in 01 */
	uint32_t inbound; /* the other one */
};

/* What a kernel may lack without the whole ruleset being lost. */
struct rules_features {
	/* A rule that makes the kernel reassemble (tproxy, xt_socket). Without
	 * it fragments come one by one, which the engine can take. */
	bool reassembly;
	/* Looking into the quote of an ICMP error (iptables: xt_u32). Without
	 * it every error leaving by the uplink waits for the daemon, also
	 * when there is none. */
	bool quotes;
};

/* Size of an address or prefix in text. */
#define RULES_PREFIX_TEXT 20

struct rules_marks rules_marks(uint32_t mask);
const char *rules_prefix_text(const struct nat_prefix *prefix,
			      char text[RULES_PREFIX_TEXT]);
const char *rules_addr_text(uint32_t addr, char text[RULES_PREFIX_TEXT]);
uint32_t rules_prefix_mask(const struct nat_prefix *prefix);
/* RFC 1918, RFC 6598: nobody's outside. */
#define RULES_PRIVATE 4
extern const struct nat_prefix rules_private[RULES_PRIVATE];

/* The next run of ports at or above *from. False at the end; moves *from.
 * set may be NULL (empty). */
bool rules_next_ports(const struct nat_portset *set, uint32_t *from,
		      struct config_range *range);

/* Protocols without pool ports: told apart by the engine, else the router's. */
#define RULES_TAGGED 3
extern const uint8_t rules_tagged[RULES_TAGGED];
bool rules_translates(const struct rules_spec *spec, uint8_t proto);

/* The first device that cannot stand in a rule ('*' and '+' are wildcards,
 * quotes end a word); NULL: all can. */
const char *rules_unnamable(const struct rules_spec *spec);
/* 0, or -EINVAL when there is such a device, or the mark is not two adjacent
 * bits. */
int rules_check(const struct rules_spec *spec);

/* keep_chains: for a kernel that has our base chains already, and none of ours
 * that these rules do without; nothing that is queued is dropped then. */
void rules_nft(const struct rules_spec *spec,
	       const struct rules_features *features, bool keep_chains,
	       FILE *out);
void rules_nft_guard(const struct rules_spec *spec, FILE *out);

/* The tables that hold our chains, in the order in which they are loaded: the
 * guard stands before anything is untracked. */
enum rules_table { RULES_MANGLE, RULES_RAW, RULES_TABLES };

const char *rules_table_name(enum rules_table table);

/* One table's part: "*table", first (rules that take away what is there, or
 * NULL), our chains, "COMMIT". */
void rules_iptables(const struct rules_spec *spec,
		    const struct rules_features *features,
		    enum rules_table table, const char *first, FILE *out);
void rules_iptables_guard(const struct rules_spec *spec, const char *first,
			  FILE *out);

/* From the text of iptables-save: writes the lines of iptables-restore that
 * take our jumps out of one table's builtin chains, empty our chains and remove
 * those that keep, the new table's text, does not declare (NULL: all).
 * Returns the number of lines written. */
size_t rules_iptables_undo(const char *save, const char *table,
			   const char *keep, FILE *out);

/* Whether the kernel has a chain of `table ip portico`. */
bool rules_look_chain(const char *name);

/* Readers of what the kernel answers. A look: 0 with the chain's use, -EAGAIN
 * for another's answer, -EBADMSG, or the kernel's -errno. A sign of life: counts
 * acks down and keeps the first error in result. */
int rules_look_take(const void *message, size_t length, uint32_t sequence,
		    uint32_t *use);
void rules_alive_take(const void *messages, size_t length, unsigned *acks,
		      int *result);

/* Whether nf_tables holds tables of hooks that our packets pass, of others;
 * iptables: those of iptables-nft do not count. False also where the kernel
 * cannot be asked. */
bool rules_others(bool iptables);
/* Takes a part of the kernel's answer, found becomes true with the first one.
 * 1: more will come, 0: it was the last, or -errno. */
int rules_others_take(const void *messages, size_t length, uint32_t sequence,
		      unsigned port, bool iptables, bool *found);

/* A netfilter netlink socket that waits for an answer half a second at most,
 * to be closed by mnl_socket_close(). NULL with errno. */
struct mnl_socket *rules_netlink(void);

/* --- running the programs (rules_tools.c) -------------------------------- */

/* Loading may have to wait for another program's lock; looking may not. */
#define RULES_TIMEOUT_MS 20000
#define RULES_LOOK_TIMEOUT_MS 5000
/* For who waits for nothing else meanwhile: nft takes seconds for the rules of
 * a busy host, or on a slow one. */
#define RULES_PATIENT_TIMEOUT_MS 15000

/* Gives a failure without a sentence (error[0] is 0) that of its errno.
 * Returns result. */
int rules_say(int result, char *error, size_t error_size);

/* Loads text by nft -f, with check only tries. 0, or -errno with a sentence
 * in error: -EIO when nft refused it. */
int rules_run_nft(const char *text, bool check, char *error, size_t error_size);
/* Loads text by the flavour's iptables-restore --noflush. The same results, and
 * -EAGAIN: somebody held the lock for too long. */
int rules_run_restore(enum rules_backend backend, const char *text, char *error,
		      size_t error_size);
/* A busy container host has a megabyte of rules. Touched only as used; what is
 * longer is cut. */
#define RULES_LISTING_MAX (4U << 20)

/* The flavour's iptables-save in a buffer to be freed. 0 or -errno (-ENOENT:
 * the flavour is not installed). */
int rules_run_save(enum rules_backend backend, char **text, int timeout_ms,
		   char *error, size_t error_size);
/* `nft -j -t list ruleset` in a buffer to be freed. 0 or -errno (-EIO: refused,
 * as by an nft built without JSON). */
int rules_run_list(char **text, int timeout_ms, char *error, size_t error_size);

/* The queue of what may begin a flow; the other one is spec->queue_number. */
static inline unsigned rules_opening(const struct rules_spec *spec)
{
	return spec->queue_number + 1U;
}

#endif
