/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The "forwards" list of the configuration. A forward for both protocols
 * becomes two of the engine's; each owns its name and its list of peers.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "config_position.h"
#include "config_read.h"
#include "config_text.h"

/* Every pair is compared, so the number is bounded. */
#define FORWARDS_MAX 4096
#define FORWARD_NAME_MAX 31

/* A forward as the file has it. */
struct draft {
	const char *name; /* owned by the document */
	bool tcp;
	bool udp;
	struct config_range outside;
	uint32_t inside_addr;
	uint16_t inside_first;
	struct nat_prefix *from; /* owned */
	size_t from_count;
};

static bool read_name(struct config_reader *reader, const char *path,
		      struct json_object *value, struct draft *draft)
{
	const char *name = config_string(value);
	size_t length = name ? strlen(name) : 0;
	bool fine = length >= 1 && length <= FORWARD_NAME_MAX;

	for (size_t i = 0; fine && i < length; i++)
		fine = name[i] >= ' ' && name[i] <= '~';
	if (!fine)
		return config_refuse(reader, path, value,
				     "a name of 1 to %d printable ASCII "
				     "characters",
				     FORWARD_NAME_MAX);
	draft->name = name;
	return true;
}

static bool add_proto(struct config_reader *reader, const char *path,
		      struct json_object *value, struct draft *draft)
{
	const char *name = config_string(value);
	bool *proto = NULL;

	if (name && strcmp(name, "tcp") == 0)
		proto = &draft->tcp;
	else if (name && strcmp(name, "udp") == 0)
		proto = &draft->udp;
	if (!proto || *proto)
		return config_refuse(reader, path, value,
				     "\"tcp\" or \"udp\", each at most once");
	*proto = true;
	return true;
}

static bool read_proto(struct config_reader *reader, const char *path,
		       struct json_object *value, struct draft *draft)
{
	char item[POSITION_KEY_MAX];
	size_t length;

	if (json_object_is_type(value, json_type_string))
		return add_proto(reader, path, value, draft);
	length = json_object_is_type(value, json_type_array) ?
			 json_object_array_length(value) :
			 0;
	if (!length)
		return config_refuse(reader, path, value,
				     "\"tcp\", \"udp\" or [\"tcp\", \"udp\"]");
	for (size_t i = 0; i < length; i++) {
		config_path_item(item, path, i);
		if (!add_proto(reader, item,
			       json_object_array_get_idx(value, i), draft))
			return false;
	}
	return true;
}

static bool read_outside(struct config_reader *reader, const char *path,
			 struct json_object *value, struct draft *draft)
{
	const char *text = config_string(value);
	int64_t port = 0;

	if (text && config_text_range(text, &draft->outside))
		return true;
	if (json_object_is_type(value, json_type_int))
		port = json_object_get_int64(value);
	if (port < 1 || port > 65535)
		return config_refuse(reader, path, value,
				     "a port from 1 to 65535 or a range such "
				     "as \"8000-8010\"");
	draft->outside.first = draft->outside.last = (uint16_t)port;
	return true;
}

static bool read_to(struct config_reader *reader, const char *path,
		    struct json_object *value, struct draft *draft)
{
	const char *text = config_string(value);

	if (text &&
	    config_text_socket(text, &draft->inside_addr, &draft->inside_first))
		return true;
	return config_refuse(reader, path, value,
			     "an inside host's address and port such as "
			     "\"192.168.1.10:80\"");
}

static bool read_from(struct config_reader *reader, const char *path,
		      struct json_object *value, struct draft *draft)
{
	/* An empty list would say "nobody" and mean "everyone". */
	if (json_object_is_type(value, json_type_array) &&
	    json_object_array_length(value) == 0)
		return config_refuse(reader, path, value,
				     "the networks of the allowed peers (leave "
				     "the key out for everyone)");
	return config_prefixes(reader, path, value, &draft->from,
			       &draft->from_count);
}

static const struct member {
	const char *name;
	bool needed;
	bool (*read)(struct config_reader *reader, const char *path,
		     struct json_object *value, struct draft *draft);
} members[] = {
	{ "name", true, read_name },	   { "proto", true, read_proto },
	{ "outside", true, read_outside }, { "to", true, read_to },
	{ "from", false, read_from },
};
#define MEMBERS (sizeof(members) / sizeof(members[0]))

static bool unknown_member(struct config_reader *reader, const char *path,
			   const char *name)
{
	const char *names[MEMBERS];

	for (size_t i = 0; i < MEMBERS; i++)
		names[i] = members[i].name;
	return config_unknown(reader, path, name, names, MEMBERS);
}

static bool read_member(struct config_reader *reader, const char *forward,
			const char *name, struct json_object *value,
			struct draft *draft)
{
	char path[POSITION_KEY_MAX];

	config_path_member(path, forward, name);
	for (size_t i = 0; i < MEMBERS; i++)
		if (strcmp(members[i].name, name) == 0)
			return members[i].read(reader, path, value, draft);
	return unknown_member(reader, path, name);
}

static bool read_draft(struct config_reader *reader, const char *path,
		       struct json_object *value, struct draft *draft)
{
	struct json_object_iterator at, end;

	if (!json_object_is_type(value, json_type_object))
		return config_refuse(reader, path, value,
				     "an object with name, proto, outside and "
				     "to");
	at = json_object_iter_begin(value);
	end = json_object_iter_end(value);
	for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at))
		if (!read_member(reader, path, json_object_iter_peek_name(&at),
				 json_object_iter_peek_value(&at), draft))
			return false;
	for (size_t i = 0; i < MEMBERS; i++)
		if (members[i].needed &&
		    !json_object_object_get_ex(value, members[i].name, NULL))
			return config_fail(reader, path,
					   "found no \"%s\", expected a "
					   "forward to have one",
					   members[i].name);
	return true;
}

/* --- from a draft to the engine's forwards ------------------------------ */

/* The config is ours while it is being read: the engine's view is const. */
static struct nat_forward *list(struct config *config)
{
	return (struct nat_forward *)config->nat.forwards;
}

static bool add_forward(struct config_reader *reader, const struct draft *draft,
			uint8_t proto)
{
	struct config *config = reader->config;
	struct nat_prefix *from = NULL;
	char *name = strdup(draft->name);

	if (draft->from_count) {
		from = calloc(draft->from_count, sizeof(*from));
		if (from)
			memcpy(from, draft->from,
			       draft->from_count * sizeof(*from));
	}
	if (!name || (draft->from_count && !from)) {
		free(name);
		free(from);
		return config_no_memory(reader);
	}
	list(config)[config->nat.forward_count++] = (struct nat_forward){
		.name = name,
		.proto = proto,
		.outside_first = draft->outside.first,
		.outside_last = draft->outside.last,
		.inside_addr = draft->inside_addr,
		.inside_first = draft->inside_first,
		.from = from,
		.from_count = draft->from_count,
	};
	return true;
}

static bool overlap(const struct nat_forward *forward,
		    const struct draft *draft)
{
	bool proto = forward->proto == NAT_PROTO_TCP ? draft->tcp : draft->udp;

	return proto && draft->outside.first <= forward->outside_last &&
	       forward->outside_first <= draft->outside.last;
}

static bool refuse_overlap(struct config_reader *reader, const char *forward,
			   const struct draft *draft,
			   const struct nat_forward *other)
{
	char path[POSITION_KEY_MAX];

	config_path_member(path, forward, "outside");
	return config_fail(reader, path,
			   "found %s ports %u-%u of \"%s\", which overlap "
			   "%u-%u of \"%s\", expected each outside port in one "
			   "forward",
			   other->proto == NAT_PROTO_TCP ? "tcp" : "udp",
			   draft->outside.first, draft->outside.last,
			   draft->name, other->outside_first,
			   other->outside_last, other->name);
}

/* Against the forwards before it: names unique, outside ports its own. */
static bool check_draft(struct config_reader *reader, const char *forward,
			const struct draft *draft)
{
	const struct nat_config *nat = &reader->config->nat;
	char path[POSITION_KEY_MAX];

	for (size_t i = 0; i < nat->forward_count; i++) {
		if (overlap(&nat->forwards[i], draft))
			return refuse_overlap(reader, forward, draft,
					      &nat->forwards[i]);
		if (strcmp(nat->forwards[i].name, draft->name) != 0)
			continue;
		config_path_member(path, forward, "name");
		return config_fail(reader, path,
				   "found \"%s\", the name of another forward, "
				   "expected a name of its own",
				   draft->name);
	}
	return true;
}

static bool check_inside(struct config_reader *reader, const char *forward,
			 const struct draft *draft)
{
	uint32_t more = (uint32_t)draft->outside.last - draft->outside.first;
	char path[POSITION_KEY_MAX];

	if (draft->inside_first + more <= 65535)
		return true;
	config_path_member(path, forward, "to");
	return config_fail(reader, path,
			   "found port %u as the first of %u, expected the "
			   "last one to be at most 65535",
			   draft->inside_first, more + 1);
}

bool config_forward(struct config_reader *reader, const char *path,
		    struct json_object *value)
{
	struct draft draft = { 0 };
	bool fine = read_draft(reader, path, value, &draft) &&
		    check_inside(reader, path, &draft) &&
		    check_draft(reader, path, &draft);

	if (fine && draft.tcp)
		fine = add_forward(reader, &draft, NAT_PROTO_TCP);
	if (fine && draft.udp)
		fine = add_forward(reader, &draft, NAT_PROTO_UDP);
	free(draft.from);
	return fine;
}

bool config_forwards(struct config_reader *reader, const char *path,
		     struct json_object *value)
{
	char item[POSITION_KEY_MAX];
	size_t length;

	if (!json_object_is_type(value, json_type_array) ||
	    json_object_array_length(value) > FORWARDS_MAX)
		return config_refuse(reader, path, value,
				     "a list of at most %d forwards",
				     FORWARDS_MAX);
	length = json_object_array_length(value);
	config_forwards_free(reader->config);
	reader->config->nat.forwards =
		calloc(2 * length + 1, sizeof(struct nat_forward));
	if (!reader->config->nat.forwards)
		return config_no_memory(reader);
	for (size_t i = 0; i < length; i++) {
		config_path_item(item, path, i);
		if (!config_forward(reader, item,
				    json_object_array_get_idx(value, i)))
			return false;
	}
	reader->config->forwards_written = reader->config->nat.forward_count;
	return true;
}

void config_forwards_free(struct config *config)
{
	for (size_t i = 0; i < config->nat.forward_count; i++) {
		free((char *)config->nat.forwards[i].name);
		free((struct nat_prefix *)config->nat.forwards[i].from);
	}
	free(list(config));
	config->nat.forwards = NULL;
	config->nat.forward_count = config->forwards_written = 0;
}
