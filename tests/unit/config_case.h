/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the tests of the configuration reader share: a file to read from, and
 * texts that must be taken or refused.
 */
#ifndef PORTICO_TESTS_CONFIG_CASE_H
#define PORTICO_TESTS_CONFIG_CASE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/config.h"
#include "suite.h"

#define MIB (1024ULL * 1024)
#define MEMORY (150 * MIB)

static char file[64]; /* made by config_run(), overwritten by each case */
static char error[512];

static inline struct config *load_bytes(const char *text, size_t length)
{
	FILE *out = fopen(file, "w");

	if (!out || fwrite(text, 1, length, out) != length || fclose(out)) {
		perror(file);
		exit(2);
	}
	error[0] = '\0';
	return config_load(file, MEMORY, error, sizeof(error));
}

static inline struct config *load(const char *text)
{
	return load_bytes(text, strlen(text));
}

/* Whether text is refused with "FILE:LINE: KEY: " and a message holding words;
 * says so when not. */
static inline bool refused(const char *text, unsigned line, const char *key,
			   const char *words)
{
	struct config *config = load(text);
	char start[256];
	bool fine;

	snprintf(start, sizeof(start), "%s:%u: %s: found ", file, line, key);
	fine = !config && strncmp(error, start, strlen(start)) == 0 &&
	       strstr(error, words) && !strchr(error, '\n');
	if (!fine)
		printf("text: %s\n wanted: %s...%s...\n    got: %s\n", text,
		       start, words, config ? "a config" : error);
	config_free(config);
	return fine;
}

/* A text that must be taken; NULL with the message printed when it is not. */
static inline struct config *taken(const char *text)
{
	struct config *config = load(text);

	if (!config)
		printf("text: %s\n refused: %s\n", text, error);
	CU_ASSERT_PTR_NOT_NULL(config);
	return config;
}

/* main() of a test program. */
static inline int config_run(const char *suite, const struct test *tests,
			     size_t count, int argc, char **argv)
{
	int status, fd;

	snprintf(file, sizeof(file), "/tmp/portico-config-XXXXXX");
	fd = mkstemp(file);
	if (fd < 0) {
		perror(file);
		return 2;
	}
	close(fd);
	status = suite_run(suite, tests, count, argc, argv);
	unlink(file);
	return status;
}

#endif
