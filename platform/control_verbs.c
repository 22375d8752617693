/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The verbs of the control socket. One table says which exist, which filters
 * they take and which of them change something.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control_private.h"
#include "filter.h"
#include "room.h"
#include "views.h"

/* Objects within objects in a request; a request has none. */
#define REQUEST_DEPTH 3
#define MESSAGE_MAX 512

struct request {
	const struct verb *verb;
	struct filter filter;
	struct why_question question;
	struct json_object
		*object; /* of a verb that reads it itself, else NULL */
};

struct verb {
	const char *name;
	bool changes; /* refused on the read-only socket */
	bool takes[FILTER_KEYS];
	bool asks; /* takes the keys of a why_question */
	bool reads; /* what else the object holds, without "command" */
	/* 0 or -ENOMEM; appends a line or starts a dump. */
	int (*run)(struct control_client *client,
		   const struct request *request);
};

int control_answer(struct control_client *client, struct json_object *object)
{
	size_t length = 0;
	const char *text = NULL;
	int err = -ENOMEM;

	if (object)
		text = json_object_to_json_string_length(
			object,
			JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE,
			&length);
	if (text)
		err = buffer_append(&client->out, text, length);
	if (!err)
		err = buffer_append(&client->out, "\n", 1);
	json_object_put(object);
	return err;
}

int control_refuse(struct control_client *client, const char *message)
{
	return control_answer(client, views_error(message));
}

/* --- the verbs ----------------------------------------------------------- */

static struct gateway *gateway_of(const struct control_client *client)
{
	return client->listener->control->gateway;
}

static int run_status(struct control_client *client,
		      const struct request *request)
{
	struct gateway *gateway = gateway_of(client);
	const struct network_state *network = gateway_network(gateway);
	struct nat_stats nat = { 0 };
	struct queue_stats queue = { 0 };
	struct fast_stats fast;
	struct control_stats control = client->listener->control->stats;
	struct views_status status = {
		.uptime_s = gateway_uptime_s(gateway),
		.uplink_device = network->uplink.name,
		.uplink_addr = network->uplink_addr,
		.backend = rules_backend_name(gateway_backend(gateway)),
		/* Absolute: the command that reads it has another directory. */
		.config = gateway_config(gateway)->path,
		.nat = &nat,
		.queue = &queue,
		.control = &control,
		.fast = &fast,
		.fast_reason = gateway_fast_reason(gateway),
	};

	(void)request;
	for (int i = 0; i < CONTROL_LISTENERS; i++)
		control.clients +=
			client->listener->control->listeners[i].count;
	nat_stats(gateway_nat(gateway), &nat);
	gateway_queue_stats(gateway, &queue);
	if (gateway_fast_stats(gateway, &fast))
		status.fast_limit = gateway_config(gateway)->fast_path.sessions;
	status.restored = gateway_restored(gateway, &status.restored_ms);
	status.warnings_count = gateway_warnings(gateway, &status.warnings);
	return control_answer(client, views_status(&status));
}

static int run_dump(struct control_client *client,
		    const struct request *request, enum dump_table table)
{
	client->dump = dump_new(table, &request->filter);
	return client->dump ? 0 : -ENOMEM;
}

static int run_mappings(struct control_client *client,
			const struct request *request)
{
	return run_dump(client, request, DUMP_MAPPINGS);
}

static int run_sessions(struct control_client *client,
			const struct request *request)
{
	return run_dump(client, request, DUMP_SESSIONS);
}

static int run_hosts(struct control_client *client,
		     const struct request *request)
{
	return run_dump(client, request, DUMP_HOSTS);
}

static int run_rules(struct control_client *client,
		     const struct request *request)
{
	struct gateway *gateway = gateway_of(client);
	enum rules_backend backend = gateway_backend(gateway);
	struct rules_spec spec;
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);
	int err = -ENOMEM;

	(void)request;
	if (!stream)
		return -ENOMEM;
	memset(&spec, 0, sizeof(spec));
	gateway_rules_spec(gateway, &spec);
	err = rules_render(&spec, backend, stream);
	if ((fclose(stream) || !text) && !err)
		err = -ENOMEM;
	if (err)
		err = control_refuse(client, "the rules cannot be rendered");
	else
		err = control_answer(
			client, views_rules(text, rules_backend_name(backend)));
	free(text);
	return err;
}

static int run_reload(struct control_client *client,
		      const struct request *request)
{
	char error[MESSAGE_MAX] = "the configuration was refused";

	(void)request;
	if (gateway_reload(gateway_of(client), error, sizeof(error)))
		return control_refuse(client, error);
	return control_answer(client, views_reloaded());
}

/* All of one host at once: its share is bounded by its quotas. */
static int run_flush(struct control_client *client,
		     const struct request *request)
{
	uint32_t ended;

	if (!request->filter.set[FILTER_HOST])
		return control_refuse(client, "flush: which host? The key "
					      "\"host\" is missing");
	ended = gateway_flush_host(gateway_of(client), request->filter.host);
	return control_answer(client, views_flushed(ended));
}

static int run_why(struct control_client *client, const struct request *request)
{
	client->why = why_new(&request->question);
	return client->why ? 0 : -ENOMEM;
}

static int run_forwards(struct control_client *client,
			const struct request *request)
{
	return run_dump(client, request, DUMP_FORWARDS);
}

static int run_forward_add(struct control_client *client,
			   const struct request *request)
{
	return control_forward_add(client, request->object);
}

static int run_forward_remove(struct control_client *client,
			      const struct request *request)
{
	return control_forward_remove(client, request->object);
}

#define ALL_FILTERS \
	{ \
		true, true, true, true \
	}

static const struct verb verbs[] = {
	{ .name = "status", .run = run_status },
	{ .name = "mappings", .run = run_mappings, .takes = ALL_FILTERS },
	{ .name = "sessions", .run = run_sessions, .takes = ALL_FILTERS },
	{ .name = "hosts",
	  .run = run_hosts,
	  .takes = { [FILTER_HOST] = true } },
	{ .name = "why", .run = run_why, .asks = true },
	{ .name = "rules", .run = run_rules },
	{ .name = "reload", .run = run_reload, .changes = true },
	{ .name = "flush",
	  .run = run_flush,
	  .changes = true,
	  .takes = { [FILTER_HOST] = true } },
	{ .name = "forwards", .run = run_forwards },
	{ .name = "forward_add",
	  .run = run_forward_add,
	  .changes = true,
	  .reads = true },
	{ .name = "forward_remove",
	  .run = run_forward_remove,
	  .changes = true,
	  .reads = true },
};

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

/* --- requests ------------------------------------------------------------ */

static int filter_key(const char *name)
{
	for (int key = 0; key < FILTER_KEYS; key++)
		if (!strcmp(filter_name((enum filter_key)key), name))
			return key;
	return -1;
}

static int question_key(const char *name)
{
	for (int key = 0; key < WHY_KEYS; key++)
		if (!strcmp(why_name((enum why_key)key), name))
			return key;
	return -1;
}

/* One member of the request beside "command". */
static int read_member(struct request *request, const char *name,
		       struct json_object *value, char *error, size_t size)
{
	char shown[FILTER_SHOWN_SIZE];
	int key = request->verb->asks ? question_key(name) : filter_key(name);

	if (key < 0 || (!request->verb->asks && !request->verb->takes[key])) {
		snprintf(error, size, "%s takes no such key: \"%s\"",
			 request->verb->name, filter_shown(name, shown));
		return -EINVAL;
	}
	if (!json_object_is_type(value, json_type_string) &&
	    !json_object_is_type(value, json_type_int)) {
		snprintf(error, size, "%s: expected a string or a number",
			 name);
		return -EINVAL;
	}
	if (request->verb->asks)
		return why_set(&request->question, (enum why_key)key,
			       json_object_get_string(value), error, size);
	return filter_set(&request->filter, (enum filter_key)key,
			  json_object_get_string(value), error, size);
}

static int read_request(struct request *request, struct json_object *object,
			const char *command, char *error, size_t size)
{
	char shown[FILTER_SHOWN_SIZE];

	request->verb = find_verb(command);
	if (!request->verb) {
		snprintf(error, size, "unknown command: \"%s\"",
			 filter_shown(command, shown));
		return -EINVAL;
	}
	if (request->verb->reads) {
		request->object = object;
		json_object_object_del(object, "command");
		return 0;
	}
	json_object_object_foreach(object, name, value) {
		int err;

		if (!strcmp(name, "command"))
			continue;
		err = read_member(request, name, value, error, size);
		if (err)
			return err;
	}
	return request->verb->asks ?
		       why_check(&request->question, error, size) :
		       0;
}

/* A complete object and nothing behind it, or NULL. */
static struct json_object *parse(const char *line, size_t length)
{
	struct json_object *object = NULL;
	struct json_tokener *tokener =
		room_for(ROOM_JSON(length)) ?
			json_tokener_new_ex(REQUEST_DEPTH) :
			NULL;

	if (!tokener)
		return NULL;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	object = json_tokener_parse_ex(tokener, line, (int)length);
	if (object &&
	    (json_tokener_get_error(tokener) != json_tokener_success ||
	     json_tokener_get_parse_end(tokener) != length ||
	     !json_object_is_type(object, json_type_object))) {
		json_object_put(object);
		object = NULL;
	}
	json_tokener_free(tokener);
	return object;
}

/* The text of "command", NULL when the object is no request. */
static const char *command_of(struct json_object *object)
{
	struct json_object *command;

	if (!object ||
	    !json_object_object_get_ex(object, "command", &command) ||
	    !json_object_is_type(command, json_type_string))
		return NULL;
	return json_object_get_string(command);
}

static int dispatch(struct control_client *client, struct json_object *object,
		    const char *command)
{
	struct request request = { 0 };
	char error[MESSAGE_MAX];

	if (read_request(&request, object, command, error, sizeof(error)))
		return control_refuse(client, error);
	if (request.verb->changes && client->listener->read_only) {
		snprintf(error, sizeof(error),
			 "%s is refused on the read-only socket",
			 request.verb->name);
		return control_refuse(client, error);
	}
	if (!gateway_of(client))
		return control_refuse(client,
				      "the gateway is starting, try again");
	return request.verb->run(client, &request);
}

int control_verb_run(struct control_client *client, const char *line,
		     size_t length)
{
	struct json_object *object;
	const char *command;
	int err;

	while (length && memchr(" \t\r", line[length - 1], 3))
		length--;
	object = parse(line, length);
	command = command_of(object);
	if (command) {
		err = dispatch(client, object, command);
	} else {
		client->closing = true;
		err = control_refuse(client, "expected one JSON object a line "
					     "with a \"command\"");
	}
	json_object_put(object);
	return err;
}
