/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Conformance: one CUnit test per requirement of a document, one line per
 * requirement on the screen.
 */
#ifndef PORTICO_TESTS_REQUIREMENT_H
#define PORTICO_TESTS_REQUIREMENT_H

#include <stddef.h>

#include "suite.h"

struct requirement {
	const char *id; /* "RFC4787 REQ-9a" */
	const char *level; /* "MUST", "SHOULD", "MAY", "ENG" */
	const char *text; /* what holds, as a sentence */
	void (*run)(void); /* NULL: unmet, see reason */
	const char *reason; /* why it is unmet */
};

/* Runs them (only those whose line contains a word of argv, if there is one);
 * prints "ID LEVEL pass|fail TEXT" each, "ID LEVEL unmet REASON" for those that
 * are not built, and last the totals, unmet ones not counted. Returns main()'s
 * exit status. */
int requirement_run(const char *suite, const struct requirement *table,
		    size_t count, int argc, char **argv);

#endif
