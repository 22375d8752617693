/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the tests of the probes share: a configuration, the probes' run over
 * it, and its verdict.
 */
#ifndef PORTICO_TESTS_PROBE_LAB_H
#define PORTICO_TESTS_PROBE_LAB_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/probe.h"
#include "suite.h"

static char file[64]; /* made by probe_lab_run() */

/* --- the bench of these tests --------------------------------------------- */

struct run {
	struct probe_setup setup;
	struct probe_facts facts;
	struct probe_verdict verdict;
};

static inline bool write_config(const char *text)
{
	FILE *out = fopen(file, "w");

	if (!out)
		return false;
	fputs(text, out);
	return !fclose(out);
}

static inline struct run *open_run(const char *text)
{
	struct run *run = calloc(1, sizeof(*run));
	char error[256] = "";

	if (!write_config(text) ||
	    probe_setup_open(&run->setup, file, error, sizeof(error))) {
		printf("%s\n", error);
		exit(2);
	}
	return run;
}

/* Probes through this way (NULL: an engine's) and closes it. */
static inline void probe_by(struct run *run, struct probe_way *way)
{
	if (!way)
		way = probe_engine_open(&run->setup);
	CU_ASSERT_PTR_NOT_NULL_FATAL(way);
	probe_run(way, &run->setup, &run->facts);
	way->close(way);
	probe_lifetimes(&run->setup, &run->facts);
	probe_judge(&run->setup, &run->facts, &run->verdict);
}

static inline void close_run(struct run *run)
{
	probe_setup_close(&run->setup);
	free(run);
}

static inline enum probe_status status_of(const struct run *run,
					  const char *name)
{
	for (size_t i = 0; i < run->verdict.count; i++)
		if (!strcmp(run->verdict.rows[i].name, name))
			return run->verdict.rows[i].status;
	CU_FAIL("no such row");
	return PROBE_SKIPPED;
}

static inline size_t count_of(const struct run *run, enum probe_status status)
{
	size_t count = 0;

	for (size_t i = 0; i < run->verdict.count; i++)
		count += run->verdict.rows[i].status == status;
	return count;
}

static inline void print_rows(const struct run *run)
{
	for (size_t i = 0; i < run->verdict.count; i++)
		printf("  %s: %s, %s\n", run->verdict.rows[i].name,
		       probe_status_name(run->verdict.rows[i].status),
		       run->verdict.rows[i].found);
}

/* All as promised by this configuration. */
static inline struct run *good_run(const char *text)
{
	struct run *run = open_run(text);

	probe_by(run, NULL);
	CU_ASSERT_TRUE(run->verdict.good);
	if (!run->verdict.good)
		print_rows(run);
	return run;
}

/* main() of a test program. */
static inline int probe_lab_run(const char *suite, const struct test *tests,
				size_t count, int argc, char **argv)
{
	int status, fd;

	snprintf(file, sizeof(file), "/tmp/portico-probe-XXXXXX");
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
