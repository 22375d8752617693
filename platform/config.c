/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reads a configuration file: text, syntax, json-c, keys, checks, in that
 * order; each step refuses with one line. The keys are in config_keys.c.
 */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buffer.h"
#include "config_position.h"
#include "config_read.h"
#include "files.h"
#include "room.h"

#define FILE_MAX_BYTES (1U << 20)
#define FILE_READ_BYTES 4096
#define MEBIBYTE (1024U * 1024U)

/* --- limits from the memory's size -------------------------------------- */

/*
 * What the tables and receive buffers may take where the operator does not
 * say. A mapping with its session costs at most 320 bytes and a packet of a
 * batch 66 KB once a large one came, so the first row stays near 5 MB, small
 * beside what a router with 64 MB has left; the fast path adds 240 bytes for
 * each session that it may carry, two thirds of them as soon as it is loaded:
 * 1 MB in the first row, 4 in the others. MemTotal is a few MB less than
 * what the box says (the kernel takes its part): 96 and 192 therefore part
 * 64, 128 and 256 MB machines. The row of 192 is the design's and also serves
 * where MemTotal is not known.
 */
static const struct memory_row {
	uint32_t below_mib; /* 0: no bound */
	uint32_t mappings;
	uint32_t sessions;
	uint32_t batch;
	uint32_t carried;
} memory_rows[] = {
	{ 96, 8192, 16384, 16, 4096 },
	{ 128, 16384, 65536, 16, 16384 },
	{ 192, 16384, 65536, 64, 16384 },
	{ 0, 65536, 262144, 64, 16384 },
};
#define MEMORY_UNKNOWN (191 * (uint64_t)MEBIBYTE)

static void limits_from_memory(struct config *config, uint64_t memory_bytes)
{
	const struct memory_row *row = memory_rows;

	if (!memory_bytes)
		memory_bytes = MEMORY_UNKNOWN;
	while (row->below_mib &&
	       memory_bytes >= (uint64_t)row->below_mib * MEBIBYTE)
		row++;
	config->limits.mappings = row->mappings;
	config->limits.sessions = row->sessions;
	config->queue.batch = row->batch;
	config->fast_path.sessions = row->carried;
}

/* Half of the table for as many hosts as there may be. */
#define GUARANTEED_UNSET UINT32_MAX

static void guarantee_share(struct config *config)
{
	uint32_t each = config->limits.mappings / 2 / config->limits.hosts;

	if (config->nat.host_guaranteed != GUARANTEED_UNSET)
		return;
	if (each > config->nat.host_mappings)
		each = config->nat.host_mappings;
	config->nat.host_guaranteed = each ? each : 1;
}

uint64_t config_memory_total(void)
{
	FILE *file = files_stream("/proc/meminfo");
	uint64_t kib = 0;
	char line[128];

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "MemTotal: %" SCNu64 " kB", &kib) == 1)
			break;
	fclose(file);
	return kib * 1024;
}

/* --- the file ----------------------------------------------------------- */

/* Reads up to one byte more than is allowed. 0 or -errno. */
static int read_all(int fd, struct buffer *text)
{
	while (text->end <= FILE_MAX_BYTES) {
		ssize_t got;

		if (buffer_reserve(text, FILE_READ_BYTES))
			return -ENOMEM;
		got = read(fd, text->data + text->end, FILE_READ_BYTES);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return buffer_append(text, "", 1);
		text->end += (size_t)got;
	}
	return -EFBIG;
}

/* The file's bytes with a NUL behind them, to be freed; NULL with a message. */
static char *read_file(const char *path, size_t *length, char *error,
		       size_t error_size)
{
	struct buffer text = { 0 };
	int fd = files_open(path);
	int failed = fd < 0 ? fd : read_all(fd, &text);

	if (fd >= 0)
		close(fd);
	if (failed == -EFBIG)
		snprintf(error, error_size,
			 "%s: found more than %u bytes, expected a "
			 "configuration of at most that",
			 path, FILE_MAX_BYTES);
	else if (failed)
		snprintf(error, error_size, "%s: the file cannot be read: %s",
			 path, strerror(-failed));
	if (failed) {
		buffer_free(&text);
		return NULL;
	}
	*length = text.end - 1;
	return text.data;
}

/* --- from text to config ------------------------------------------------ */

static void syntax_message(const struct config_reader *reader,
			   const struct position_problem *problem)
{
	snprintf(reader->error, reader->error_size, "%s:%u: %s: %s",
		 reader->name, problem->line,
		 problem->key[0] ? problem->key : "top level", problem->text);
}

/* Of all objects in a text that position_check() has passed: its colons that
 * stand in no string. */
static size_t members_written(const char *text, size_t length)
{
	bool string = false;
	size_t count = 0;

	for (size_t i = 0; i < length; i++) {
		if (string && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			string = !string;
		else if (text[i] == ':' && !string)
			count++;
	}
	return count;
}

/* The same of a document; no deeper than json-c lets one be. */
static size_t members_kept(struct json_object *value)
{
	size_t count = 0;

	if (json_object_is_type(value, json_type_array))
		for (size_t i = 0; i < json_object_array_length(value); i++)
			count += members_kept(
				json_object_array_get_idx(value, i));
	if (json_object_is_type(value, json_type_object)) {
		json_object_object_foreach(value, key, member) {
			(void)key;
			count += 1 + members_kept(member);
		}
	}
	return count;
}

/* The document, to be put back; NULL with a message. json-c should find
 * nothing wrong in what the scanner passed, but has the last word. Where its
 * memory ran out it says nothing: there is no document, or a member less. */
static struct json_object *parse(struct config_reader *reader)
{
	struct json_tokener *tokener =
		room_for(ROOM_JSON(reader->length)) ? json_tokener_new() : NULL;
	struct json_object *root;

	if (!tokener) {
		snprintf(reader->error, reader->error_size,
			 "%s: memory is short", reader->name);
		return NULL;
	}
	root = json_tokener_parse_ex(tokener, reader->text,
				     (int)reader->length);
	if (json_tokener_get_error(tokener) == json_tokener_success &&
	    (!root || members_kept(root) !=
			      members_written(reader->text, reader->length))) {
		config_no_memory(reader);
		json_object_put(root);
		root = NULL;
	} else if (!json_object_is_type(root, json_type_object)) {
		snprintf(reader->error, reader->error_size,
			 "%s:%u: top level: found %s, expected an object",
			 reader->name,
			 position_line(reader->text, reader->length,
				       json_tokener_get_parse_end(tokener)),
			 json_tokener_error_desc(
				 json_tokener_get_error(tokener)));
		json_object_put(root);
		root = NULL;
	}
	json_tokener_free(tokener);
	return root;
}

static bool read_text(struct config_reader *reader, char *text)
{
	struct position_problem problem;
	struct json_object *root;
	bool fine;

	if (!position_check(text, reader->length, &problem)) {
		syntax_message(reader, &problem);
		return false;
	}
	reader->text = text;
	root = parse(reader);
	if (!root)
		return false;
	fine = config_document(reader, root);
	json_object_put(root);
	return fine;
}

static bool read_path(struct config_reader *reader, const char *path)
{
	char *text = read_file(path, &reader->length, reader->error,
			       reader->error_size);
	bool fine = false;

	if (!text)
		return false;
	reader->config->path = strdup(path);
	if (!reader->config->path)
		config_no_memory(reader);
	else
		fine = read_text(reader, text) && config_check(reader);
	free(text);
	reader->text = NULL;
	return fine;
}

const char *config_default_file(void)
{
	return access(CONFIG_DEFAULT_FILE, F_OK) && errno == ENOENT ?
		       NULL :
		       CONFIG_DEFAULT_FILE;
}

struct config *config_load(const char *path, uint64_t memory_bytes, char *error,
			   size_t error_size)
{
	struct config_reader reader = {
		.config = calloc(1, sizeof(struct config)),
		.name = path,
		.error = error,
		.error_size = error_size,
	};

	if (!reader.config) {
		config_no_memory(&reader);
		return NULL;
	}
	limits_from_memory(reader.config, memory_bytes);
	reader.config->nat.host_guaranteed = GUARANTEED_UNSET;
	if (config_defaults(&reader) && (!path || read_path(&reader, path))) {
		guarantee_share(reader.config);
		return reader.config;
	}
	config_free(reader.config);
	return NULL;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	config_forwards_free(config);
	free((struct nat_prefix *)config->nat.exempt);
	free((struct nat_prefix *)config->nat.martians);
	for (size_t i = 0; i < config->warnings_count; i++)
		free(config->warnings[i]);
	free(config->warnings);
	free(config->inside_devices);
	free(config->ports);
	free(config->low_ports);
	free(config->path);
	free(config->control);
	free(config->control_read);
	free(config->state);
	free(config);
}
