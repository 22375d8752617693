/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Forwards that were added by command. They stand behind the configuration's
 * own, are read by the same code and live until they are removed or the process
 * ends; the file is never written.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "config_read.h"

static struct nat_forward *list(struct config *config)
{
	return (struct nat_forward *)config->nat.forwards;
}

static bool is_added(const struct config *config, size_t i)
{
	return i >= config->forwards_written;
}

/* Of both protocols: the two stand side by side. */
static bool same_as_last(const struct nat_config *nat, size_t i)
{
	return i && !strcmp(nat->forwards[i].name, nat->forwards[i - 1].name);
}

static size_t count_added(const struct config *config)
{
	size_t count = 0;

	for (size_t i = config->forwards_written; i < config->nat.forward_count;
	     i++)
		count += !same_as_last(&config->nat, i);
	return count;
}

/* --- copies --------------------------------------------------------------- */

/* Puts a copy behind the others; there is room for it. False: no memory. */
static bool append(struct config *config, const struct nat_forward *forward)
{
	size_t bytes = forward->from_count * sizeof(*forward->from);
	struct nat_prefix *from = bytes ? malloc(bytes) : NULL;
	char *name = strdup(forward->name);
	struct nat_forward *copy;

	if (!name || (bytes && !from)) {
		free(name);
		free(from);
		return false;
	}
	if (bytes)
		memcpy(from, forward->from, bytes);
	copy = &list(config)[config->nat.forward_count++];
	*copy = *forward;
	copy->name = name;
	copy->from = from;
	return true;
}

void config_free_forwards(struct config *config)
{
	if (config)
		config_forwards_free(config);
	free(config);
}

static int no_memory(char *error, size_t size)
{
	snprintf(error, size, "forward: memory is short");
	return -ENOMEM;
}

/* The old one with room for two forwards more, without those of that name
 * (NULL: with all). NULL: no memory. */
static struct config *copy_of(const struct config *old, const char *without)
{
	struct config *copy = malloc(sizeof(*copy));
	bool fine = copy != NULL;

	if (!copy)
		return NULL;
	*copy = *old;
	copy->nat.forward_count = 0;
	copy->nat.forwards =
		calloc(old->nat.forward_count + 2, sizeof(struct nat_forward));
	fine = copy->nat.forwards != NULL;
	for (size_t i = 0; fine && i < old->nat.forward_count; i++)
		if (!without || strcmp(old->nat.forwards[i].name, without) != 0)
			fine = append(copy, &old->nat.forwards[i]);
	if (fine)
		return copy;
	config_free_forwards(copy);
	return NULL;
}

/* --- adding and removing -------------------------------------------------- */

/* What is refused may be shown in part, and came from a client. */
static void make_plain(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

int config_add_forward(const struct config *old, struct json_object *forward,
		       struct config **changed, char *error, size_t error_size)
{
	struct config_reader reader = {
		.name = "forward",
		.error = error,
		.error_size = error_size,
	};

	*changed = NULL;
	if (count_added(old) >= CONFIG_FORWARDS_ADDED_MAX) {
		snprintf(error, error_size,
			 "forward: there are %d by command, which is the "
			 "limit: write them into the configuration or remove "
			 "some",
			 CONFIG_FORWARDS_ADDED_MAX);
		return -ENOSPC;
	}
	reader.config = copy_of(old, NULL);
	if (!reader.config)
		return no_memory(error, error_size);
	if (!config_forward(&reader, "", forward)) {
		make_plain(error);
		config_free_forwards(reader.config);
		return -EINVAL;
	}
	*changed = reader.config;
	return 0;
}

static const struct nat_forward *find(const struct config *config,
				      const char *name, size_t *at)
{
	for (size_t i = 0; i < config->nat.forward_count; i++) {
		if (strcmp(config->nat.forwards[i].name, name) != 0)
			continue;
		*at = i;
		return &config->nat.forwards[i];
	}
	return NULL;
}

int config_remove_forward(const struct config *old, const char *name,
			  struct config **changed, char *error,
			  size_t error_size)
{
	size_t at = 0;

	*changed = NULL;
	if (!find(old, name, &at)) {
		snprintf(error, error_size,
			 "forward: found \"%.64s\", which is the name of none",
			 name);
		make_plain(error);
		return -EINVAL;
	}
	if (!is_added(old, at)) {
		snprintf(error, error_size,
			 "forward: \"%s\" stands in %s: take it out there and "
			 "reload",
			 name, old->path ? old->path : "the configuration");
		return -EINVAL;
	}
	*changed = copy_of(old, name);
	return *changed ? 0 : no_memory(error, error_size);
}

/* --- a new file ----------------------------------------------------------- */

static bool collide(const struct nat_forward *one,
		    const struct nat_forward *other)
{
	return !strcmp(one->name, other->name) ||
	       (one->proto == other->proto &&
		one->outside_first <= other->outside_last &&
		other->outside_first <= one->outside_last);
}

/* Which of the file's forwards is in the way of one, or of the one behind it
 * that has the same name; NULL: none. */
static const struct nat_forward *in_the_way(const struct config *config,
					    const struct nat_forward *forward,
					    size_t count)
{
	for (size_t i = 0; i < config->forwards_written; i++)
		for (size_t j = 0; j < count; j++)
			if (collide(&config->nat.forwards[i], &forward[j]))
				return &config->nat.forwards[i];
	return NULL;
}

static bool same_peers(const struct nat_forward *one,
		       const struct nat_forward *other)
{
	if (one->from_count != other->from_count)
		return false;
	for (size_t i = 0; i < one->from_count; i++)
		if (one->from[i].addr != other->from[i].addr ||
		    one->from[i].length != other->from[i].length)
			return false;
	return true;
}

static bool same(const struct nat_forward *one, const struct nat_forward *other)
{
	return !strcmp(one->name, other->name) && one->proto == other->proto &&
	       one->outside_first == other->outside_first &&
	       one->outside_last == other->outside_last &&
	       one->inside_addr == other->inside_addr &&
	       one->inside_first == other->inside_first &&
	       same_peers(one, other);
}

/* Whether the file has all of it by now: that is how one is made to last. */
static bool is_written(const struct config *config,
		       const struct nat_forward *forward, size_t count)
{
	size_t found = 0;

	for (size_t i = 0; i < config->forwards_written; i++)
		for (size_t j = 0; j < count; j++)
			found += same(&config->nat.forwards[i], &forward[j]);
	return found == count;
}

/* False: no memory, which is said. */
static bool warn_ended(struct config_reader *reader,
		       const struct nat_forward *forward,
		       const struct nat_forward *other)
{
	if (!strcmp(other->name, forward->name))
		return config_warn(reader,
				   "forward %s, added by command, has ended: "
				   "the configuration has one of that name",
				   forward->name);
	return config_warn(reader,
			   "forward %s, added by command, has ended: the "
			   "configuration has an outside port of it in %s",
			   forward->name, other->name);
}

/* One forward, in one or both protocols; -ENOMEM or 0. */
static int keep(struct config *config, const struct nat_forward *forward,
		size_t count, char *error, size_t error_size)
{
	const struct nat_forward *other = in_the_way(config, forward, count);
	struct config_reader reader = {
		.config = config,
		.name = "forward",
		.error = error,
		.error_size = error_size,
	};

	if (is_written(config, forward, count))
		return 0;
	if (other)
		return warn_ended(&reader, forward, other) ? 0 : -ENOMEM;
	for (size_t i = 0; i < count; i++)
		if (!append(config, &forward[i]))
			return no_memory(error, error_size);
	return 0;
}

int config_keep_forwards(struct config *config, const struct config *old,
			 char *error, size_t error_size)
{
	const struct nat_config *nat = &old->nat;
	size_t more = nat->forward_count - old->forwards_written;
	struct nat_forward *room =
		realloc(list(config),
			(config->nat.forward_count + more + 1) * sizeof(*room));
	int err = 0;

	if (!room)
		return no_memory(error, error_size);
	config->nat.forwards = room;
	for (size_t i = old->forwards_written; !err && i < nat->forward_count;
	     i++) {
		size_t count = 1;

		if (i + 1 < nat->forward_count && same_as_last(nat, i + 1))
			count = 2;
		err = keep(config, &nat->forwards[i], count, error, error_size);
		i += count - 1;
	}
	return err;
}
