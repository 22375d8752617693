/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `portico why`: what would become of a packet, and why. It is judged by what
 * the tables and the configuration say now; no packet is sent and nothing is
 * changed. What it cannot know is in portico(8).
 */
#ifndef PORTICO_PLATFORM_WHY_H
#define PORTICO_PLATFORM_WHY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "gateway.h"

/* What a question is made of, in the order of the command's words. */
enum why_key { WHY_PROTO, WHY_SOURCE, WHY_DESTINATION, WHY_KEYS };

/* "proto", "source", "destination": in requests. */
const char *why_name(enum why_key key);

struct why_socket {
	uint32_t addr;
	uint16_t port;
	bool has_port;
};

/* All zero: nothing was asked yet. */
struct why_question {
	bool set[WHY_KEYS];
	uint8_t proto;
	struct why_socket source;
	struct why_socket destination;
};

/* Reads one part of a question. 0, or -EINVAL with a sentence in error. */
int why_set(struct why_question *question, enum why_key key, const char *value,
	    char *error, size_t error_size);
/* Whether the parts make a question: all are there, with ports where the
 * protocol has them. 0, or -EINVAL with a sentence in error. */
int why_check(const struct why_question *question, char *error,
	      size_t error_size);

struct why;

/* Begins the answer to a question that why_check() found good. NULL: no
 * memory. */
struct why *why_new(const struct why_question *question);
void why_free(struct why *why);

/* Looks at entries of the tables until *budget, in the units of dump.h, is used
 * up; lowers it. At the end of the tables the answer is appended to out as a
 * line. Returns 1 when there is more to look at, 0 when the line is complete,
 * -ENOMEM. */
int why_slice(struct why *why, const struct gateway *gateway, uint32_t *budget,
	      struct buffer *out);

#endif
