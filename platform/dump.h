/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A table of the engine as one line of JSON, produced in slices: between two
 * slices the engine goes on, so a dump of 100,000 mappings delays no packet
 * and never lies in memory as a whole.
 */
#ifndef PORTICO_PLATFORM_DUMP_H
#define PORTICO_PLATFORM_DUMP_H

#include <stdbool.h>
#include <stdint.h>

#include "buffer.h"
#include "config.h"
#include "filter.h"
#include "portico/nat.h"

enum dump_table {
	DUMP_MAPPINGS,
	DUMP_SESSIONS,
	DUMP_HOSTS,
	DUMP_FORWARDS, /* of the configuration; takes no filter */
	DUMP_TABLES
};

/* What a slice may cost: an entry that is shown and one that is only looked
 * at, in units of dump_slice()'s budget. */
#define DUMP_COST_SHOWN 8
#define DUMP_COST_SKIPPED 1

struct dump;

/* Where a slice takes its entries from. */
struct dump_source {
	const struct nat *nat;
	const struct config *config;
	uint64_t now_ms;
};

/* Begins a dump. Returns NULL when there is no memory. */
struct dump *dump_new(enum dump_table table, const struct filter *filter);
void dump_free(struct dump *dump);

/* Of the forwards, count from the one at place first on are gone: none of those
 * behind them is left out for that. */
void dump_forwards_ended(struct dump *dump, uint32_t first, uint32_t count);

/* Appends entries to out until *budget is used up, out holds bytes of unread
 * text or the table has ended; lowers *budget. Returns 1 when there is more,
 * 0 when the line is complete, -ENOMEM. */
int dump_slice(struct dump *dump, const struct dump_source *source,
	       uint32_t *budget, size_t bytes, struct buffer *out);

#endif
