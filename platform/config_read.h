/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of the configuration reader share among themselves; nobody
 * else includes this. All functions returning bool write a complete message
 * when they return false.
 */
#ifndef PORTICO_PLATFORM_CONFIG_READ_H
#define PORTICO_PLATFORM_CONFIG_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

struct json_object;

/* One reading of one file. */
struct config_reader {
	struct config *config; /* being filled */
	const char *name; /* the file, for messages; NULL: defaults */
	const char *text; /* passed position_check(); NULL: defaults */
	size_t length;
	char *error;
	size_t error_size;
};

/* config_message.c */

/* Paths of keys, POSITION_KEY_MAX bytes each: "parent.name" ("name" at the top
 * level, parent ""), "parent[index]". A long name is cut, as the scanner does.
 */
void config_path_member(char *path, const char *parent, const char *name);
void config_path_item(char *path, const char *parent, size_t index);

/* Writes "FILE:LINE: PATH: " and the text. Returns false. */
bool config_fail(struct config_reader *reader, const char *path,
		 const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same with "found VALUE, expected " before the text. Returns false. */
bool config_refuse(struct config_reader *reader, const char *path,
		   struct json_object *value, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
bool config_no_memory(struct config_reader *reader);
/* Adds to config->warnings. */
bool config_warn(struct config_reader *reader, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Refuses a key that is none of the known; names the nearest or all. */
bool config_unknown(struct config_reader *reader, const char *path,
		    const char *name, const char *const known[], size_t count);

/* The value's text, or NULL unless it is a string without NUL bytes. */
const char *config_string(struct json_object *value);

/* config_value.c */

enum config_type {
	CONFIG_NUMBER,
	CONFIG_BOOL,
	CONFIG_CHOICE,
	CONFIG_SWITCH,
	CONFIG_REFUSE_CODE,
	CONFIG_MARK,
	CONFIG_NICE,
	CONFIG_PATH,
	CONFIG_DEVICE,
	CONFIG_ADDRESS,
	CONFIG_PORTS,
	CONFIG_LOW_PORTS,
	CONFIG_ROUTER_PORTS,
	CONFIG_DEVICES,
	CONFIG_EXEMPT,
	CONFIG_MARTIANS,
	CONFIG_PROTOCOLS,
	CONFIG_FORWARDS,
	CONFIG_TYPES
};

/* One row of the table of keys. */
struct config_key {
	const char *section; /* "": top level */
	const char *name;
	enum config_type type;
	size_t offset; /* in struct config; types that need it */
	size_t size;
	uint32_t least, most; /* of numbers and ports */
	const char *const *choices; /* by value of the enum; NULL ends */
	const char *initial; /* JSON; NULL: empty, or from the memory's size */
	const char *help;
};

/* Reads one value into its place. */
bool config_value(struct config_reader *reader, const struct config_key *key,
		  const char *path, struct json_object *value);

/* config_keys.c */

/* Puts the table's defaults into an empty config. */
bool config_defaults(struct config_reader *reader);
/* Reads the whole document over what is there. */
bool config_document(struct config_reader *reader, struct json_object *root);

/* config_list.c */

/* Reads a list of prefixes (to be freed) at path. Nothing is stored on
 * failure. */
bool config_prefixes(struct config_reader *reader, const char *path,
		     struct json_object *value, struct nat_prefix **prefixes,
		     size_t *count);
bool config_devices(struct config_reader *reader, const char *path,
		    struct json_object *value);
/* Protocols to be translated beside TCP, UDP and ICMP. */
bool config_protocols(struct config_reader *reader, const char *path,
		      struct json_object *value);

/* config_forwards.c */

bool config_forwards(struct config_reader *reader, const char *path,
		     struct json_object *value);
void config_forwards_free(struct config *config);
/* Reads one forward at path ("": there is none) and puts it behind the others,
 * where there is room for two of the engine's. */
bool config_forward(struct config_reader *reader, const char *path,
		    struct json_object *value);

/* config_check.c */

/* What holds between keys, and warnings. */
bool config_check(struct config_reader *reader);

#endif
