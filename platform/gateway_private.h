/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of the gateway share: gateway.c (life), gateway_apply.c (from
 * configuration and network to engine and rules), gateway_warnings.c.
 */
#ifndef PORTICO_PLATFORM_GATEWAY_PRIVATE_H
#define PORTICO_PLATFORM_GATEWAY_PRIVATE_H

#include <sys/types.h>

#include "gateway.h"
#include "spec.h"
#include "sysctl.h"

/* Everything that one configuration and one state of the network make
 * together; replaced as a whole. */
struct gateway_plan {
	struct spec_storage spec;
	struct nat_config nat; /* complete; points into config and inside */
	struct nat_prefix *inside; /* a copy: the monitor's may change */
	char *text; /* the rendered ruleset */
};

#define GATEWAY_WARNINGS_MAX 32

struct gateway {
	struct loop *loop;
	struct config *config;
	char *config_path; /* NULL: automatic mode */
	struct network *network;
	struct nat *nat;
	void *records, *indices;
	size_t records_bytes, indices_bytes;
	struct queue *queue;
	struct queue_config queue_config;
	enum rules_backend backend;
	struct gateway_plan *plan;
	struct sysctl_saved *saved;
	struct nat_portset bound[2]; /* UDP, TCP: for warnings */
	struct watch tick;
	uint64_t started_ms;
	uint64_t ticks;
	uint32_t forwards_missing; /* ports the table had no room for */
	bool rules_failed;
	char *warnings[GATEWAY_WARNINGS_MAX];
	size_t warnings_count;
	char *findings[GATEWAY_WARNINGS_MAX]; /* the doctor's */
	size_t findings_count;
	struct watch doctor; /* its child process while it looks */
	pid_t doctor_child;
	char *doctor_text;
};

/* --- gateway_apply.c --- */

/* Makes a plan of the configuration and the present network; NULL with a
 * sentence in error. */
struct gateway_plan *gateway_plan(const struct gateway *gateway,
				  const struct config *config, char *error,
				  size_t error_size);
void gateway_plan_free(struct gateway_plan *plan);

/* Puts a plan in force: engine, devices, rules (if their text differs). Takes
 * the plan over. 0 or -errno with a sentence in error: the rules could not be
 * loaded; the engine then follows the plan all the same. */
int gateway_apply(struct gateway *gateway, struct gateway_plan *plan,
		  char *error, size_t error_size);

/* Called by the network monitor. */
void gateway_network_changed(void *context);

/* Reads the ports bound on the router and tells the engine. */
void gateway_read_bound(struct gateway *gateway);

/* Keeps the router itself off the pool's ports. */
void gateway_reserve_ports(struct gateway *gateway);

/* Writes a sentence into error and returns err. */
int gateway_say(char *error, size_t size, int err, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* --- gateway_warnings.c --- */

/* Looks at the slow conditions (forward policy, offload...) again. */
void gateway_examine(struct gateway *gateway);
void gateway_warnings_free(struct gateway *gateway);

#endif
