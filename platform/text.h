/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The daemon's replies as text for people: aligned columns, sorted, with
 * units, service and host names. The text may change; --json is the contract.
 */
#ifndef PORTICO_PLATFORM_TEXT_H
#define PORTICO_PLATFORM_TEXT_H

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "names.h"

/* Bytes of a formatted cell with its end; longer text is cut. */
#define TEXT_CELL 80

/* "812B", "1.2KiB", "3.4GiB": no blank inside, a column stays one word. */
const char *text_bytes(uint64_t bytes, char cell[static TEXT_CELL]);
/* The same by thousands: "812bit", "1.2kbit", "3.4Gbit". */
const char *text_bits(uint64_t bits, char cell[static TEXT_CELL]);
/* "45s", "2m05s", "1h02m", "3d04h". */
const char *text_duration(uint64_t seconds, char cell[static TEXT_CELL]);

/* Why packets are refused for a reason of this name, "" when it is none. */
const char *text_drop_help(const char *name);

/* Each prints one reply. names (may be NULL) gives host names where the reply
 * has none. The arrays in reply are sorted in place. */
void text_status(struct json_object *reply, FILE *out);
void text_mappings(struct json_object *reply, const struct names *names,
		   FILE *out);
void text_forwards(struct json_object *reply, FILE *out);
void text_sessions(struct json_object *reply, const struct names *names,
		   FILE *out);
void text_hosts(struct json_object *reply, const struct names *names,
		FILE *out);
void text_why(struct json_object *reply, const struct names *names, FILE *out);
/* {"whois": [...]}, mappings by their outside sockets. */
void text_whois(struct json_object *reply, const struct names *names,
		FILE *out);
void text_top(struct json_object *report, const struct names *names, FILE *out);

/* An event of watch, a line. */
void text_watch(struct json_object *event, FILE *out);

/* Lines over what a terminal shows, from its upper left corner on, cut at its
 * right side and at its end. */
void text_window(const char *text, unsigned rows, unsigned width, FILE *out);

/* status for Prometheus; NULL: there is none to be had. */
void text_metrics(struct json_object *status, FILE *out);

#endif
