/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The names of the protocols that the engine translates, as configuration,
 * filters and JSON have them.
 */
#ifndef PORTICO_PLATFORM_PROTOS_H
#define PORTICO_PLATFORM_PROTOS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct proto_name {
	uint8_t proto;
	bool optional; /* may be left out by behaviour.protocols */
	const char *name;
};

/* All of them, in the order of the alphabet. */
extern const struct proto_name protos[];
extern const size_t protos_count;

/* The protocol of a name, -1: none has it. */
int protos_find(const char *name);
/* Its name, or the number in text. */
const char *protos_name(uint8_t proto, char text[static 4]);

#endif
