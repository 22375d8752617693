/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Looks for every condition outside Portico that would make it fail silently,
 * and says what it is, why it matters and how to mend it. Changes nothing.
 * Serves `portico doctor` and, from a child process, status.warnings.
 */
#ifndef PORTICO_PLATFORM_DOCTOR_H
#define PORTICO_PLATFORM_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "config.h"
#include "firewall.h"
#include "rules.h"
#include "uplink.h"

enum doctor_level {
	DOCTOR_OK, /* looked at and right, or worth knowing and harmless */
	DOCTOR_WARN, /* may do harm */
	DOCTOR_FAIL, /* traffic is lost by it */
};

const char *doctor_level_name(enum doctor_level level); /* "ok", "warning"... */

#define DOCTOR_PASSED_MAX 384

struct doctor_finding {
	enum doctor_level level;
	char *text; /* one line: what, and why it matters */
	char *remedy; /* one line, the exact command; NULL: nothing to do */
};

struct doctor_report {
	struct doctor_finding *findings;
	size_t count;
	enum doctor_level worst;
	/* Why, for the rules of others, the fast path is not to be used unless
	 * it is asked for: a sentence, "" where nothing speaks against it. */
	char passed_by[DOCTOR_PASSED_MAX];
};

/* What is to be examined. Pointers are the caller's. */
struct doctor_context {
	const struct config *config;
	/* NULL: devices as configured, nothing known about them. */
	const struct network_state *network;
	enum rules_backend backend; /* in force, when the daemon runs */
	bool daemon_runs;
	/* The daemon asks for itself: what it watches anyway (its devices) and
	 * what is right is left out. */
	bool for_status;
};

/* Examines everything; takes as long as nft and iptables-save take, at most a
 * few times 5 s. Without root some checks say that they could not look.
 * 0 or -ENOMEM (the report holds what was found until then). */
int doctor_examine(const struct doctor_context *context,
		   struct doctor_report *report);
void doctor_report_free(struct doctor_report *report);

/* One line per finding: "LEVEL: TEXT; REMEDY". */
void doctor_print(const struct doctor_report *report, FILE *out);

/* The same from a child process, so that the caller's loop never waits.
 * doctor_begin() returns a non-blocking descriptor to be watched for reading,
 * or -errno; child is its process. The context is not needed any longer. */
int doctor_begin(const struct doctor_context *context, pid_t *child);
/* Takes what has come into *text (NULL at first, grows; to be freed). 0: more
 * will come; 1: complete, the report is filled; -errno: no report. The caller
 * closes fd after anything but 0, and whose child it is reaps it. */
int doctor_continue(int fd, char **text, struct doctor_report *report);

/* --- the parts, also for tests ------------------------------------------- */

/* Adds a finding; remedy NULL: none. 0 or -ENOMEM. */
int doctor_add(struct doctor_report *report, enum doctor_level level,
	       const char *remedy, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The devices a context names. */
const char *doctor_uplink(const struct doctor_context *context);
size_t doctor_inside_count(const struct doctor_context *context);
const char *doctor_inside(const struct doctor_context *context, size_t index);

/* Other packet filters: forward chains, flow offload, our rules gone. */
void doctor_firewall(const struct doctor_context *context,
		     const struct firewall *firewall,
		     struct doctor_report *report);

/* Rules that could not be read may do anything. A flavour that is not installed
 * has none, and one whose program refuses is one that the kernel does not have,
 * but for the one in use, and where the kernel itself shows some. */
bool doctor_unknown(const struct doctor_context *context,
		    const struct firewall *firewall,
		    enum rules_backend backend);
/* Fills passed_by; firewall NULL: nothing could be read. */
void doctor_fast(const struct doctor_context *context,
		 const struct firewall *firewall, struct doctor_report *report);

/* The text of /proc/net/netfilter/nfnetlink_queue. */
void doctor_queue(const struct doctor_context *context, const char *listing,
		  struct doctor_report *report);

/* Whether /proc/net/route's text has a default route by a device. */
bool doctor_has_default_route(const char *routes, const char *device);
/* Whether hosts do not reach the Internet by an uplink that is ready, for want of
 * a default route; then text says so. Not with policy routing, which may have it
 * in another table. */
#define DOCTOR_LACKS_MAX 128
bool doctor_lacks_default(const struct network_state *network,
			  char text[static DOCTOR_LACKS_MAX]);
/* Whether a network of behaviour.martians_extra is our own; then text says so. */
#define DOCTOR_REFUSES_MAX 160
bool doctor_refuses_own(const struct network_state *network,
			const struct nat_prefix *martian,
			char text[static DOCTOR_REFUSES_MAX]);
bool doctor_is_inside(const struct nat_prefix *nets, size_t count,
		      uint32_t addr);
/* Whether it is the router's own address, at an inside device. */
bool doctor_is_own(const struct network_state *network, uint32_t addr);
/* Devices, the default route, where forwards lead. */
void doctor_devices(const struct doctor_context *context,
		    struct doctor_report *report);

/* Tunnels that the router ends: whether it has IPsec states; the name of a GRE
 * device, "" for none. */
struct doctor_tunnels {
	bool esp;
	char gre[IFNAMSIZ];
};

/* Takes a part of a dump of states (NETLINK_XFRM) or links. False at its end or
 * at an error. */
bool doctor_tunnels_take(const void *messages, size_t length, int bus,
			 unsigned port, struct doctor_tunnels *found);
/* Are they of protocols that hosts may use? */
void doctor_tunnels_judge(const struct doctor_context *context,
			  const struct doctor_tunnels *found,
			  struct doctor_report *report);
/* The same with what the kernel says. */
void doctor_tunnels(const struct doctor_context *context,
		    struct doctor_report *report);

/* Networks that are inside and at the uplink as well; routes is the text of
 * /proc/net/route. */
void doctor_overlap(const struct doctor_context *context, const char *routes,
		    struct doctor_report *report);

/* The devices, settings under /proc/sys, clock, sockets, kernel support. */
void doctor_system(const struct doctor_context *context,
		   struct doctor_report *report);

#endif
