/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the control socket shows, as JSON objects: the keys and their order are
 * the operator's contract (design: "The operator's side"). Pure functions of
 * what they are given; each returns a new object of the caller's, or NULL when
 * there is no memory.
 */
#ifndef PORTICO_PLATFORM_VIEWS_H
#define PORTICO_PLATFORM_VIEWS_H

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>

#include "control.h"
#include "fast.h"
#include "portico/nat.h"
#include "queue.h"

/* All that `status` tells. Pointers are the caller's. */
struct views_status {
	uint64_t uptime_s;
	const char *uplink_device;
	uint32_t uplink_addr; /* 0: none, shown as null */
	const char *backend; /* of the rules */
	const char *config; /* path of the file in force, NULL: none */
	const struct nat_stats *nat;
	const struct queue_stats *queue;
	const struct control_stats *control;
	const struct fast_stats *fast;
	uint32_t fast_limit; /* sessions; 0: there is no fast path */
	const char *fast_reason; /* why nothing is carried, or not all; "" */
	const struct nat_restored *restored; /* by the start of the daemon */
	uint64_t restored_ms;
	const char *const *warnings;
	size_t warnings_count;
};

/* Has json-c draw the key of its tables now, while it may open files. */
void views_prepare(void);

struct json_object *views_status(const struct views_status *status);

/* One element each of the arrays of `mappings`, `sessions` and `hosts`. */
struct json_object *views_mapping(const struct nat_mapping_view *view);
struct json_object *views_session(const struct nat_session_view *view);
/* name: of the host, NULL when unknown. */
struct json_object *views_host(const struct nat_host_view *view,
			       const char *name);

/* One element of the array of `forwards`; configured: not by command. */
struct json_object *views_forward(const struct nat_forward *forward,
				  bool configured);
/* {"added": name, "warnings": [...]} and {"removed": name} */
struct json_object *views_forward_added(const char *name,
					const char *const *warnings,
					size_t count);
struct json_object *views_forward_removed(const char *name);

/* {"rules": text, "backend": backend} */
struct json_object *views_rules(const char *text, const char *backend);

/* {"error": message} */
struct json_object *views_error(const char *message);
/* What became of a reload and of a flush. */
struct json_object *views_reloaded(void);
struct json_object *views_flushed(uint32_t ended);

/* "192.168.1.10" and "192.168.1.10:5000" into text. */
#define VIEWS_ADDR_SIZE 16
#define VIEWS_SOCKET_SIZE 22
const char *views_addr(uint32_t addr, char text[static VIEWS_ADDR_SIZE]);
const char *views_socket(uint32_t addr, uint16_t port,
			 char text[static VIEWS_SOCKET_SIZE]);

#endif
