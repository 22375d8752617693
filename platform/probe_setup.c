/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * From the user's configuration to that of the gateway under test: once as an
 * engine's configuration, once as a document for a daemon. Every setting of
 * behaviour, timeouts, limits, pool, queue and rules is the user's; see
 * probe.h for what is not.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config_position.h"
#include "probe.h"

#define FILE_MAX_BYTES (1L << 20)

/* --- the document -------------------------------------------------------- */

/* What config_load() has just found valid. NULL: it cannot be read any more. */
static char *read_text(const char *path, size_t *length)
{
	FILE *file = fopen(path, "re");
	char *text = file ? malloc(FILE_MAX_BYTES + 1) : NULL;

	*length = text ? fread(text, 1, FILE_MAX_BYTES, file) : 0;
	if (text)
		text[*length] = '\0';
	if (file)
		fclose(file);
	return text;
}

static struct json_object *read_document(const char *path)
{
	struct json_object *document = NULL;
	struct position_problem problem;
	size_t length;
	char *text;

	if (!path)
		return json_object_new_object();
	text = read_text(path, &length);
	if (text && position_check(text, length, &problem))
		document = json_tokener_parse(text);
	free(text);
	return document;
}

/* A section of the document, made where it is missing. */
static struct json_object *section(struct json_object *document,
				   const char *name)
{
	struct json_object *found;

	if (json_object_object_get_ex(document, name, &found))
		return found;
	found = json_object_new_object();
	json_object_object_add(document, name, found);
	return found;
}

static void set_text(struct json_object *object, const char *key,
		     const char *value)
{
	json_object_object_add(object, key, json_object_new_string(value));
}

/* The user's own networks mean nothing here, and one of them may be the test
 * bed's. */
static void fit_document(struct json_object *document)
{
	struct json_object *devices = json_object_new_array();

	json_object_array_add(devices,
			      json_object_new_string(PROBE_DEVICE_INSIDE));
	json_object_object_add(section(document, "inside"), "devices", devices);
	set_text(section(document, "uplink"), "device", PROBE_DEVICE_UPLINK);
	set_text(section(document, "uplink"), "address", "auto");
	json_object_object_add(section(document, "behaviour"), "martians_extra",
			       json_object_new_array());
	json_object_object_add(document, "forwards", json_object_new_array());
	json_object_object_add(document, "exempt", json_object_new_array());
	set_text(document, "control", PROBE_CONTROL);
	set_text(document, "control_read", PROBE_CONTROL ".read");
	set_text(document, "state", PROBE_CONTROL ".state");
}

/* --- the engine's part --------------------------------------------------- */

static void fit_engine(struct probe_setup *setup)
{
	struct nat_config *nat = &setup->nat;

	*nat = setup->config->nat;
	memcpy(nat->pool, setup->spec.pool, sizeof(nat->pool));
	nat->low_only = setup->spec.low_only;
	setup->inside = (struct nat_prefix){ PROBE_INSIDE_NET, 24 };
	nat->inside = &setup->inside;
	nat->inside_count = 1;
	nat->exempt_count = 0;
	nat->martian_count = 0;
	nat->forward_count = 0;
}

int probe_setup_open(struct probe_setup *setup, const char *path, char *error,
		     size_t size)
{
	int err;

	memset(setup, 0, sizeof(*setup));
	setup->config = config_load(path, config_memory_total(), error, size);
	if (!setup->config)
		return -EINVAL;
	strcpy(setup->config->uplink_device, PROBE_DEVICE_UPLINK);
	err = spec_build(setup->config, NULL, &setup->spec);
	if (err) {
		snprintf(error, size, "%s", spec_error(err));
		config_free(setup->config);
		return err;
	}
	setup->document = read_document(path);
	if (!setup->document) {
		snprintf(error, size, "%s: the file cannot be read again",
			 path ? path : "the configuration");
		probe_setup_close(setup);
		return -EIO;
	}
	fit_document(setup->document);
	fit_engine(setup);
	return 0;
}

void probe_setup_close(struct probe_setup *setup)
{
	json_object_put(setup->document);
	spec_free(&setup->spec);
	config_free(setup->config);
}
