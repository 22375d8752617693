/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The configuration's lists of strings: prefixes, devices, protocols.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_position.h"
#include "config_read.h"
#include "config_text.h"
#include "protos.h"

static bool read_prefix(struct config_reader *reader, const char *path,
			struct json_object *value, struct nat_prefix *prefix)
{
	const char *text = config_string(value);

	if (text && config_parse_prefix(text, prefix))
		return true;
	return config_refuse(reader, path, value,
			     "a network such as \"10.8.0.0/16\" without host "
			     "bits, or an address");
}

bool config_prefixes(struct config_reader *reader, const char *path,
		     struct json_object *value, struct nat_prefix **prefixes,
		     size_t *count)
{
	char item[POSITION_KEY_MAX];
	struct nat_prefix *list;
	size_t length;

	if (!json_object_is_type(value, json_type_array))
		return config_refuse(reader, path, value, "a list of networks");
	length = json_object_array_length(value);
	list = calloc(length + 1, sizeof(*list));
	if (!list)
		return config_no_memory(reader);
	for (size_t i = 0; i < length; i++) {
		config_path_item(item, path, i);
		if (!read_prefix(reader, item,
				 json_object_array_get_idx(value, i),
				 &list[i])) {
			free(list);
			return false;
		}
	}
	*prefixes = list;
	*count = length;
	return true;
}

static bool add_device(struct config_reader *reader, const char *path,
		       struct json_object *value)
{
	struct config *config = reader->config;
	const char *name = config_string(value);

	if (!name || !config_device_valid(name))
		return config_refuse(reader, path, value,
				     "a device name (1 to 15 letters, digits, "
				     "'.', '_', '-', '@')");
	for (size_t i = 0; i < config->inside_count; i++)
		if (strcmp(config->inside_devices[i], name) == 0)
			return config_refuse(reader, path, value,
					     "each device once");
	snprintf(config->inside_devices[config->inside_count++], IFNAMSIZ, "%s",
		 name);
	return true;
}

bool config_devices(struct config_reader *reader, const char *path,
		    struct json_object *value)
{
	struct config *config = reader->config;
	char item[POSITION_KEY_MAX];
	size_t length = 0;

	if (json_object_is_type(value, json_type_array))
		length = json_object_array_length(value);
	if (!length)
		return config_refuse(reader, path, value,
				     "a list of device names (leave the key "
				     "out to have them chosen)");
	config->inside_devices =
		calloc(length, sizeof(*config->inside_devices));
	if (!config->inside_devices)
		return config_no_memory(reader);
	for (size_t i = 0; i < length; i++) {
		config_path_item(item, path, i);
		if (!add_device(reader, item,
				json_object_array_get_idx(value, i)))
			return false;
	}
	return true;
}

static bool add_protocol(struct config_reader *reader, const char *path,
			 struct json_object *value)
{
	bool *untranslated = reader->config->nat.untranslated;
	const char *name = config_string(value);

	for (size_t i = 0; name && i < protos_count; i++) {
		if (!protos[i].optional || strcmp(protos[i].name, name))
			continue;
		if (!untranslated[protos[i].proto])
			return config_refuse(reader, path, value,
					     "each protocol once");
		untranslated[protos[i].proto] = false;
		return true;
	}
	return config_refuse(reader, path, value,
			     "\"dccp\", \"esp\", \"gre\", \"sctp\" or "
			     "\"udplite\"");
}

bool config_protocols(struct config_reader *reader, const char *path,
		      struct json_object *value)
{
	char item[POSITION_KEY_MAX];
	size_t length;

	if (!json_object_is_type(value, json_type_array))
		return config_refuse(reader, path, value,
				     "a list of protocols");
	for (size_t i = 0; i < protos_count; i++)
		reader->config->nat.untranslated[protos[i].proto] =
			protos[i].optional;
	length = json_object_array_length(value);
	for (size_t i = 0; i < length; i++) {
		config_path_item(item, path, i);
		if (!add_protocol(reader, item,
				  json_object_array_get_idx(value, i)))
			return false;
	}
	return true;
}
