/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The verbs that add and remove forwards.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control_private.h"
#include "filter.h"
#include "views.h"

#define MESSAGE_MAX 512

static struct gateway *gateway_of(const struct control_client *client)
{
	return client->listener->control->gateway;
}

int control_forward_add(struct control_client *client,
			struct json_object *forward)
{
	struct gateway *gateway = gateway_of(client);
	const char *const *warnings = NULL;
	struct json_object *name = NULL;
	char error[MESSAGE_MAX] = "the forward was refused";
	size_t count;
	int err = gateway_add_forward(gateway, forward, error, sizeof(error));

	if (err == -ENOSPC)
		client->listener->control->stats.refused[CONTROL_FORWARDS]++;
	if (err)
		return control_refuse(client, error);
	json_object_object_get_ex(forward, "name", &name);
	count = gateway_forward_warnings(gateway, json_object_get_string(name),
					 &warnings);
	return control_answer(client,
			      views_forward_added(json_object_get_string(name),
						  warnings, count));
}

/* NULL unless it is a string, without NUL bytes, which would hide the rest. */
static const char *text_of(struct json_object *value)
{
	const char *text = NULL;

	if (json_object_is_type(value, json_type_string))
		text = json_object_get_string(value);
	if (text && strlen(text) != (size_t)json_object_get_string_len(value))
		return NULL;
	return text;
}

/* The one member "name"; NULL with a sentence in error. */
static const char *read_name(struct json_object *which, char *error,
			     size_t size)
{
	char shown[FILTER_SHOWN_SIZE];
	const char *found = NULL;

	json_object_object_foreach(which, key, value) {
		if (strcmp(key, "name") != 0) {
			snprintf(error, size,
				 "forward_remove takes no such key: \"%s\"",
				 filter_shown(key, shown));
			return NULL;
		}
		found = text_of(value);
	}
	if (!found)
		snprintf(error, size,
			 "forward_remove: which one? The key \"name\" is "
			 "missing, or no string");
	return found;
}

/* Where it stands; behind the last one when there is none. */
static size_t place_of(const struct nat_config *nat, const char *name)
{
	size_t i = 0;

	while (i < nat->forward_count && strcmp(nat->forwards[i].name, name))
		i++;
	return i;
}

/* Lists that are under way go on with those that moved up. */
static void tell_lists(struct control *control, size_t first, size_t count)
{
	for (int i = 0; i < CONTROL_LISTENERS; i++)
		for (struct control_client *client =
			     control->listeners[i].clients;
		     client; client = client->next)
			if (client->dump)
				dump_forwards_ended(client->dump,
						    (uint32_t)first,
						    (uint32_t)count);
}

static int end_forward(struct control_client *client, const char *name,
		       char *error, size_t size)
{
	struct gateway *gateway = gateway_of(client);
	const struct nat_config *nat = &gateway_config(gateway)->nat;
	const size_t first = place_of(nat, name);
	const size_t before = nat->forward_count;
	int err = gateway_remove_forward(gateway, name, error, size);

	nat = &gateway_config(gateway)->nat;
	if (!err)
		tell_lists(client->listener->control, first,
			   before - nat->forward_count);
	return err;
}

int control_forward_remove(struct control_client *client,
			   struct json_object *which)
{
	char error[MESSAGE_MAX] = "the forward stays";
	const char *name = read_name(which, error, sizeof(error));

	if (!name || end_forward(client, name, error, sizeof(error)))
		return control_refuse(client, error);
	return control_answer(client, views_forward_removed(name));
}
