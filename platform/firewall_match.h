/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the readers of nft's JSON share. Nobody else includes this.
 */
#ifndef PORTICO_PLATFORM_FIREWALL_MATCH_H
#define PORTICO_PLATFORM_FIREWALL_MATCH_H

#include <json-c/json.h>
#include <stdbool.h>

#include "firewall.h"

/* A member, whatever the object is: "" or NULL where there is none such. */
const char *firewall_string(struct json_object *object, const char *key);
struct json_object *firewall_member(struct json_object *object,
				    const char *key);
bool firewall_has(struct json_object *object, const char *key);
/* {"meta": {"key": "iifname"}} */
bool firewall_is_key(struct json_object *object, const char *kind,
		     const char *key);

/* Devices by name: one, a list or a set. False, with none taken, when there is
 * anything else. */
bool firewall_take_devices(struct firewall_device *device,
			   struct json_object *right, bool negated);
/* The bits of the mark that `meta mark set VALUE` overwrites. */
uint32_t firewall_overwritten(struct json_object *value);
/* The value of "match". False: it is not understood. */
bool firewall_take_match(struct firewall_rule *rule, struct json_object *match);

#endif
