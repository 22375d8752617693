/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The running gateway: owns engine, queue, rules, network monitor and
 * configuration, and ties them together. What the control socket shows comes
 * from here.
 */
#ifndef PORTICO_PLATFORM_GATEWAY_H
#define PORTICO_PLATFORM_GATEWAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "fast.h"
#include "helper.h"
#include "loop.h"
#include "portico/nat.h"
#include "queue.h"
#include "rules.h"
#include "uplink.h"

struct gateway;

/* Gives up the rights of the process. */
typedef int gateway_lock_in(void *context, char *error, size_t error_size);

/* Builds everything in the order of design 4.10: lock and queue before any
 * rule. What changes the machine is done by the helper, which the loop then
 * watches. lock_in(context) is called once, when all is open and before the
 * first packet is looked at; 0 or -errno with a sentence in its error. Returns
 * NULL with a sentence in error. config is taken over. */
struct gateway *gateway_open(struct loop *loop, struct config *config,
			     struct helper *helper, gateway_lock_in *lock_in,
			     void *context, char *error, size_t error_size);
/* Orderly stop: of the rules the guard stays, with fallback "kernel" beside the
 * masquerade; settings are put back. */
void gateway_close(struct gateway *gateway);
/* Rules, settings and queue stay for the next daemon; only the process's end
 * may follow. */
void gateway_leave(struct gateway *gateway);

/* Whether the helper went: then nothing can be changed or put back. */
bool gateway_failed(const struct gateway *gateway);

/* Reads the configuration file again and applies the difference. 0, or -errno
 * with a sentence in error and nothing changed. */
int gateway_reload(struct gateway *gateway, char *error, size_t error_size);

/* Forwards by command, until they are removed or the process ends: in force, as
 * those of the configuration are, when this returns. forward: an object as in
 * the configuration's "forwards". 0; or -errno with a sentence in error and
 * nothing changed, -ENOSPC: there are CONFIG_FORWARDS_ADDED_MAX. */
int gateway_add_forward(struct gateway *gateway, struct json_object *forward,
			char *error, size_t error_size);
/* Only one that was added so. */
int gateway_remove_forward(struct gateway *gateway, const char *name,
			   char *error, size_t error_size);

/* Ends all that an inside host has but its forwards; see nat_flush_host(). */
uint32_t gateway_flush_host(struct gateway *gateway, uint32_t addr);

const struct nat *gateway_nat(const struct gateway *gateway);
const struct config *gateway_config(const struct gateway *gateway);
/* What the engine judges by: its configuration, and the ports that the router
 * itself uses (UDP, TCP). */
const struct nat_config *gateway_nat_config(const struct gateway *gateway);
const struct nat_portset *gateway_bound(const struct gateway *gateway);
const struct network_state *gateway_network(const struct gateway *gateway);
enum rules_backend gateway_backend(const struct gateway *gateway);
/* False: there is no fast path, and all is 0. */
bool gateway_fast_stats(const struct gateway *gateway,
			struct fast_stats *stats);
/* Why nothing is carried, or not at every device; "": all is. */
const char *gateway_fast_reason(const struct gateway *gateway);
void gateway_queue_stats(struct gateway *gateway, struct queue_stats *stats);
uint64_t gateway_uptime_s(const struct gateway *gateway);
uint64_t gateway_now_ms(const struct gateway *gateway);

/* What the start found of an earlier table, and how long it took. */
const struct nat_restored *gateway_restored(const struct gateway *gateway,
					    uint64_t *ms);

/* The current warnings, most important first; owned by the gateway, valid
 * until the next turn of the loop. */
size_t gateway_warnings(struct gateway *gateway, const char *const **warnings);

/* The same of one forward. */
size_t gateway_forward_warnings(struct gateway *gateway, const char *name,
				const char *const **warnings);

/* Fills spec for `portico rules` of the running daemon. */
void gateway_rules_spec(const struct gateway *gateway, struct rules_spec *spec);

#endif
