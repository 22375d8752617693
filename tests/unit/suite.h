/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What every CUnit program of this tree shares: a table of tests, one line
 * per failure, and the totals alone on the last line.
 */
#ifndef PORTICO_TESTS_SUITE_H
#define PORTICO_TESTS_SUITE_H

#include <CUnit/CUnit.h>
#include <stddef.h>
#include <stdint.h>

struct test {
	const char *name; /* reads as a sentence */
	void (*run)(void);
};

/* Runs the tests (only the named ones when argv names some); prints
 * "N passed, N failed, N skipped" last. Returns main()'s exit status. */
int suite_run(const char *suite, const struct test *tests, size_t count,
	      int argc, char **argv);

/* Prints bytes as hex, for a failing packet. */
void suite_hex(const char *title, const void *data, size_t length);

#endif
