/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One reader per type of key: checks a JSON value against its row of the key
 * table and stores it in the config.
 */
#include <assert.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_position.h"
#include "config_read.h"
#include "config_text.h"

#define PATH_MAX_BYTES 104 /* a Unix socket's path on every system */

static bool store(struct config_reader *reader, const struct config_key *key,
		  uint32_t value)
{
	void *field = (char *)reader->config + key->offset;
	uint16_t half = (uint16_t)value;
	uint8_t byte = (uint8_t)value;

	assert(key->size == 1 || key->size == 2 || key->size == 4);
	if (key->size == 4)
		memcpy(field, &value, 4);
	else if (key->size == 2)
		memcpy(field, &half, 2);
	else
		memcpy(field, &byte, 1);
	return true;
}

/* --- one reader per type of key ----------------------------------------- */

static bool read_number(struct config_reader *reader,
			const struct config_key *key, const char *path,
			struct json_object *value)
{
	int64_t number = -1;

	if (json_object_is_type(value, json_type_int))
		number = json_object_get_int64(value);
	if (number < (int64_t)key->least || number > (int64_t)key->most)
		return config_refuse(reader, path, value,
				     "a whole number from %u to %u (%s)",
				     key->least, key->most, key->help);
	return store(reader, key, (uint32_t)number);
}

static bool read_bool(struct config_reader *reader,
		      const struct config_key *key, const char *path,
		      struct json_object *value)
{
	bool answer = json_object_get_boolean(value);

	if (!json_object_is_type(value, json_type_boolean))
		return config_refuse(reader, path, value, "true or false (%s)",
				     key->help);
	memcpy((char *)reader->config + key->offset, &answer, sizeof(answer));
	return true;
}

static bool read_choice(struct config_reader *reader,
			const struct config_key *key, const char *path,
			struct json_object *value)
{
	const char *name = config_string(value);
	char all[128] = "";

	for (uint32_t i = 0; key->choices[i]; i++) {
		size_t used = strlen(all);

		if (name && strcmp(name, key->choices[i]) == 0)
			return store(reader, key, i);
		snprintf(all + used, sizeof(all) - used, "%s\"%s\"",
			 i ? ", " : "", key->choices[i]);
	}
	return config_refuse(reader, path, value, "one of %s (%s)", all,
			     key->help);
}

/* nice(2) without the values that would put packets last. */
static bool read_nice(struct config_reader *reader,
		      const struct config_key *key, const char *path,
		      struct json_object *value)
{
	int64_t nice = 1;

	if (json_object_is_type(value, json_type_int))
		nice = json_object_get_int64(value);
	if (nice < -20 || nice > 0)
		return config_refuse(reader, path, value,
				     "a whole number from -20 to 0 (%s)",
				     key->help);
	return store(reader, key, (uint32_t)nice);
}

/* The words of the table, and true and false for on and off. */
static bool read_switch(struct config_reader *reader,
			const struct config_key *key, const char *path,
			struct json_object *value)
{
	if (!json_object_is_type(value, json_type_boolean))
		return read_choice(reader, key, path, value);
	return store(reader, key,
		     json_object_get_boolean(value) ? CONFIG_ON : CONFIG_OFF);
}

static bool read_refuse_code(struct config_reader *reader,
			     const struct config_key *key, const char *path,
			     struct json_object *value)
{
	int64_t code = 0;

	if (json_object_is_type(value, json_type_int))
		code = json_object_get_int64(value);
	if (code != 13 && code != 1)
		return config_refuse(reader, path, value, "13 or 1 (%s)",
				     key->help);
	return store(reader, key, (uint32_t)code);
}

static bool read_mark(struct config_reader *reader,
		      const struct config_key *key, const char *path,
		      struct json_object *value)
{
	const char *text = config_string(value);
	uint32_t hex = 0;
	int64_t mark = 0;

	if (json_object_is_type(value, json_type_int))
		mark = json_object_get_int64(value);
	else if (text && config_text_hex(text, &hex))
		mark = hex;
	if (mark <= 0 || !config_mark_valid((uint64_t)mark))
		return config_refuse(reader, path, value,
				     "two adjacent bits such as \"0x03000000\" "
				     "(%s)",
				     key->help);
	return store(reader, key, (uint32_t)mark);
}

static bool read_path(struct config_reader *reader,
		      const struct config_key *key, const char *path,
		      struct json_object *value)
{
	const char *text = config_string(value);
	size_t length = text ? strlen(text) : 0;
	bool fine = length > 1 && length < PATH_MAX_BYTES && text[0] == '/' &&
		    text[length - 1] != '/';
	void *field = (char *)reader->config + key->offset;
	char *copy, *old;

	for (size_t i = 0; fine && i < length; i++)
		fine = (unsigned char)text[i] >= ' ' && text[i] != 0x7f;
	if (!fine)
		return config_refuse(reader, path, value,
				     "the absolute path of a file, less than "
				     "%d bytes (%s)",
				     PATH_MAX_BYTES, key->help);
	copy = strdup(text);
	if (!copy)
		return config_no_memory(reader);
	memcpy(&old, field, sizeof(old));
	free(old);
	memcpy(field, &copy, sizeof(copy));
	return true;
}

static bool read_device(struct config_reader *reader,
			const struct config_key *key, const char *path,
			struct json_object *value)
{
	const char *name = config_string(value);

	if (!name || !config_device_valid(name))
		return config_refuse(reader, path, value,
				     "a device name (1 to 15 letters, digits, "
				     "'.', '_', '-', '@'; %s)",
				     key->help);
	snprintf((char *)reader->config + key->offset, key->size, "%s", name);
	return true;
}

static bool read_address(struct config_reader *reader,
			 const struct config_key *key, const char *path,
			 struct json_object *value)
{
	const char *text = config_string(value);
	uint32_t addr = 0;

	if (!text ||
	    (strcmp(text, "auto") != 0 && !config_text_address(text, &addr)))
		return config_refuse(reader, path, value,
				     "\"auto\" or an IPv4 address (%s)",
				     key->help);
	return store(reader, key, addr);
}

/* --- keys of a type of their own ---------------------------------------- */

static bool refuse_ranges(struct config_reader *reader,
			  const struct config_key *key, const char *path,
			  struct json_object *value)
{
	return config_refuse(reader, path, value,
			     "ports such as \"%u-%u\" or \"%u-%u,%u-%u\", "
			     "within %u-%u (%s)",
			     key->least, key->most, key->least, key->least + 99,
			     key->least + 200, key->most, key->least, key->most,
			     key->help);
}

static bool read_ranges(struct config_reader *reader,
			const struct config_key *key, const char *path,
			struct json_object *value, struct config_range **ranges,
			size_t *count)
{
	const char *text = config_string(value);
	struct config_range *list;
	size_t length;

	if (!text)
		return refuse_ranges(reader, key, path, value);
	errno = 0;
	if (!config_text_ranges(text, &list, &length))
		return errno == ENOMEM ?
			       config_no_memory(reader) :
			       refuse_ranges(reader, key, path, value);
	if (length &&
	    (list[0].first < key->least || list[length - 1].last > key->most)) {
		free(list);
		return refuse_ranges(reader, key, path, value);
	}
	free(*ranges);
	*ranges = list;
	*count = length;
	return true;
}

static bool read_ports(struct config_reader *reader,
		       const struct config_key *key, const char *path,
		       struct json_object *value)
{
	struct config *config = reader->config;

	if (!read_ranges(reader, key, path, value, &config->ports,
			 &config->ports_count))
		return false;
	if (!config->ports_count)
		return refuse_ranges(reader, key, path, value);
	return true;
}

static bool read_low_ports(struct config_reader *reader,
			   const struct config_key *key, const char *path,
			   struct json_object *value)
{
	struct config *config = reader->config;

	return read_ranges(reader, key, path, value, &config->low_ports,
			   &config->low_ports_count);
}

static bool read_router_ports(struct config_reader *reader,
			      const struct config_key *key, const char *path,
			      struct json_object *value)
{
	struct config *config = reader->config;
	const char *text = config_string(value);

	config->router_ports_auto = text && strcmp(text, "auto") == 0;
	if (config->router_ports_auto ||
	    (text && config_text_range(text, &config->router_ports)))
		return true;
	return config_refuse(reader, path, value,
			     "\"auto\" or a range such as \"32768-34815\" (%s)",
			     key->help);
}

static bool read_devices(struct config_reader *reader,
			 const struct config_key *key, const char *path,
			 struct json_object *value)
{
	(void)key;
	return config_devices(reader, path, value);
}

static bool read_prefixes(struct config_reader *reader, const char *path,
			  struct json_object *value,
			  const struct nat_prefix **prefixes, size_t *count)
{
	struct nat_prefix *list;

	if (!config_prefixes(reader, path, value, &list, count))
		return false;
	free((struct nat_prefix *)*prefixes);
	*prefixes = list;
	return true;
}

#define EXEMPT_LENGTH_USUAL 8

/* What is exempt passes the guard: everything would open it for good. */
static bool check_exempt(struct config_reader *reader, const char *path,
			 struct json_object *value,
			 const struct nat_prefix *prefix)
{
	if (!prefix->length)
		return config_refuse(reader, path, value,
				     "a smaller network: everything would "
				     "leave untranslated");
	if (prefix->length >= EXEMPT_LENGTH_USUAL)
		return true;
	return config_warn(reader,
			   "%s %s is very large: what goes there leaves with "
			   "inside addresses",
			   path, config_string(value));
}

static bool read_exempt(struct config_reader *reader,
			const struct config_key *key, const char *path,
			struct json_object *value)
{
	struct nat_config *nat = &reader->config->nat;

	char item[POSITION_KEY_MAX];

	(void)key;
	if (!read_prefixes(reader, path, value, &nat->exempt,
			   &nat->exempt_count))
		return false;
	for (size_t i = 0; i < nat->exempt_count; i++) {
		config_path_item(item, path, i);
		if (!check_exempt(reader, item,
				  json_object_array_get_idx(value, i),
				  &nat->exempt[i]))
			return false;
	}
	return true;
}

static bool read_martians(struct config_reader *reader,
			  const struct config_key *key, const char *path,
			  struct json_object *value)
{
	struct nat_config *nat = &reader->config->nat;

	(void)key;
	return read_prefixes(reader, path, value, &nat->martians,
			     &nat->martian_count);
}

static bool read_protocols(struct config_reader *reader,
			   const struct config_key *key, const char *path,
			   struct json_object *value)
{
	(void)key;
	return config_protocols(reader, path, value);
}

static bool read_forwards(struct config_reader *reader,
			  const struct config_key *key, const char *path,
			  struct json_object *value)
{
	(void)key;
	return config_forwards(reader, path, value);
}

typedef bool config_read_fn(struct config_reader *reader,
			    const struct config_key *key, const char *path,
			    struct json_object *value);

static config_read_fn *const readers[] = {
	[CONFIG_NUMBER] = read_number,
	[CONFIG_BOOL] = read_bool,
	[CONFIG_CHOICE] = read_choice,
	[CONFIG_SWITCH] = read_switch,
	[CONFIG_REFUSE_CODE] = read_refuse_code,
	[CONFIG_MARK] = read_mark,
	[CONFIG_NICE] = read_nice,
	[CONFIG_PATH] = read_path,
	[CONFIG_DEVICE] = read_device,
	[CONFIG_ADDRESS] = read_address,
	[CONFIG_PORTS] = read_ports,
	[CONFIG_LOW_PORTS] = read_low_ports,
	[CONFIG_ROUTER_PORTS] = read_router_ports,
	[CONFIG_DEVICES] = read_devices,
	[CONFIG_EXEMPT] = read_exempt,
	[CONFIG_MARTIANS] = read_martians,
	[CONFIG_PROTOCOLS] = read_protocols,
	[CONFIG_FORWARDS] = read_forwards,
};
static_assert(sizeof(readers) / sizeof(readers[0]) == CONFIG_TYPES,
	      "every type has a reader");

bool config_value(struct config_reader *reader, const struct config_key *key,
		  const char *path, struct json_object *value)
{
	return readers[key->type](reader, key, path, value);
}
