/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A table of the engine, or of the configuration, as one line of JSON, produced
 * in slices.
 *
 * Mappings have no peer of their own. To show those that talk to a peer, the
 * sessions are walked first and the mappings of those with that peer are noted,
 * one bit each.
 */
#include "dump.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "views.h"

struct dump {
	enum dump_table table;
	struct filter filter;
	uint32_t cursor;
	bool opened; /* the head of the line is written */
	bool comma; /* an entry is written */
	bool searching; /* walking sessions for the peer's mappings */
	uint8_t *with_peer; /* bits by mapping; NULL: no such filter */
	struct names *names; /* of hosts */
};

static const char *const heads[] = {
	[DUMP_MAPPINGS] = "{\"mappings\":[",
	[DUMP_SESSIONS] = "{\"sessions\":[",
	[DUMP_HOSTS] = "{\"hosts\":[",
	[DUMP_FORWARDS] = "{\"forwards\":[",
};
static_assert(sizeof(heads) / sizeof(heads[0]) == DUMP_TABLES,
	      "every table has a head");

struct dump *dump_new(enum dump_table table, const struct filter *filter)
{
	struct dump *dump = calloc(1, sizeof(*dump));

	if (!dump)
		return NULL;
	dump->table = table;
	dump->filter = *filter;
	if (table == DUMP_HOSTS)
		dump->names = names_load();
	dump->searching = table == DUMP_MAPPINGS && filter->set[FILTER_PEER];
	return dump;
}

void dump_free(struct dump *dump)
{
	if (!dump)
		return;
	free(dump->with_peer);
	names_free(dump->names);
	free(dump);
}

/* --- steps: look at the next entry of a table --------------------------- */

enum step {
	STEP_END, /* of the table */
	STEP_SKIPPED, /* not wanted */
	STEP_SHOWN, /* *entry is set, NULL when there was no memory */
};

/* Notes the mappings with the wanted peer; ends with the table of sessions. */
static bool search_step(struct dump *dump, const struct dump_source *source)
{
	struct nat_session_view view;

	if (!nat_next_session(source->nat, &dump->cursor, source->now_ms,
			      &view))
		return false;
	if (view.peer_addr == dump->filter.peer)
		dump->with_peer[view.mapping / 8] |= 1U << view.mapping % 8;
	return true;
}

static enum step mapping_step(struct dump *dump,
			      const struct dump_source *source,
			      struct json_object **entry)
{
	struct nat_mapping_view view;

	if (!nat_next_mapping(source->nat, &dump->cursor, source->now_ms,
			      &view))
		return STEP_END;
	if (!filter_wants_mapping(&dump->filter, &view))
		return STEP_SKIPPED;
	if (dump->with_peer &&
	    !(dump->with_peer[dump->cursor / 8] >> dump->cursor % 8 & 1))
		return STEP_SKIPPED;
	*entry = views_mapping(&view);
	return STEP_SHOWN;
}

static enum step session_step(struct dump *dump,
			      const struct dump_source *source,
			      struct json_object **entry)
{
	struct nat_session_view view;

	if (!nat_next_session(source->nat, &dump->cursor, source->now_ms,
			      &view))
		return STEP_END;
	if (!filter_wants_session(&dump->filter, &view))
		return STEP_SKIPPED;
	*entry = views_session(&view);
	return STEP_SHOWN;
}

static enum step host_step(struct dump *dump, const struct dump_source *source,
			   struct json_object **entry)
{
	struct nat_host_view view;

	if (!nat_next_host(source->nat, &dump->cursor, &view))
		return STEP_END;
	if (!filter_wants_host(&dump->filter, &view))
		return STEP_SKIPPED;
	*entry = views_host(&view, names_find(dump->names, view.addr));
	return STEP_SHOWN;
}

static enum step forward_step(struct dump *dump,
			      const struct dump_source *source,
			      struct json_object **entry)
{
	const struct config *config = source->config;

	if (dump->cursor >= config->nat.forward_count)
		return STEP_END;
	*entry = views_forward(&config->nat.forwards[dump->cursor],
			       dump->cursor < config->forwards_written);
	dump->cursor++;
	return STEP_SHOWN;
}

void dump_forwards_ended(struct dump *dump, uint32_t first, uint32_t count)
{
	const uint32_t shown = dump->table == DUMP_FORWARDS ? dump->cursor : 0;

	if (shown > first)
		dump->cursor -= shown - first < count ? shown - first : count;
}

static enum step (*const steps[])(struct dump *dump,
				  const struct dump_source *source,
				  struct json_object **entry) = {
	[DUMP_MAPPINGS] = mapping_step,
	[DUMP_SESSIONS] = session_step,
	[DUMP_HOSTS] = host_step,
	[DUMP_FORWARDS] = forward_step,
};
static_assert(sizeof(steps) / sizeof(steps[0]) == DUMP_TABLES,
	      "every table has a step");

/* --- slices ------------------------------------------------------------- */

static void spend(uint32_t *budget, uint32_t cost)
{
	*budget -= cost < *budget ? cost : *budget;
}

static void search_slice(struct dump *dump, const struct dump_source *source,
			 uint32_t *budget)
{
	while (dump->searching && *budget) {
		spend(budget, DUMP_COST_SKIPPED);
		if (search_step(dump, source))
			continue;
		dump->searching = false;
		dump->cursor = 0;
	}
}

/* Takes the entry over. */
static int write_entry(struct dump *dump, struct json_object *entry,
		       struct buffer *out)
{
	size_t length = 0;
	const char *text = NULL;
	int err;

	if (entry)
		text = json_object_to_json_string_length(
			entry,
			JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE,
			&length);
	if (!text)
		err = -ENOMEM;
	else
		err = buffer_append(out, ",", dump->comma);
	if (!err)
		err = buffer_append(out, text, length);
	dump->comma = true;
	json_object_put(entry);
	return err;
}

static int open_line(struct dump *dump, const struct dump_source *source,
		     struct buffer *out)
{
	const char *head = heads[dump->table];
	struct nat_stats stats;

	if (dump->opened)
		return 0;
	if (dump->searching) {
		nat_stats(source->nat, &stats);
		dump->with_peer = calloc(stats.mappings_limit / 8 + 1, 1);
		if (!dump->with_peer)
			return -ENOMEM;
	}
	dump->opened = true;
	return buffer_append(out, head, strlen(head));
}

int dump_slice(struct dump *dump, const struct dump_source *source,
	       uint32_t *budget, size_t bytes, struct buffer *out)
{
	int err = open_line(dump, source, out);

	if (!err)
		search_slice(dump, source, budget);
	while (!err && *budget && buffer_length(out) < bytes) {
		struct json_object *entry = NULL;

		switch (steps[dump->table](dump, source, &entry)) {
		case STEP_END:
			err = buffer_append(out, "]}\n", 3);
			return err;
		case STEP_SKIPPED:
			spend(budget, DUMP_COST_SKIPPED);
			break;
		case STEP_SHOWN:
			spend(budget, DUMP_COST_SHOWN);
			err = write_entry(dump, entry, out);
			break;
		}
	}
	return err ? err : 1;
}
