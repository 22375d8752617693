/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Texts that real programs printed, in tests/unit/captures.
 */
#ifndef PORTICO_TESTS_CAPTURES_H
#define PORTICO_TESTS_CAPTURES_H

#include <CUnit/CUnit.h>
#include <stdio.h>

#define CAPTURE_MAX 16384

/* Reads tests/unit/captures/NAME; run from the top of the tree. */
static inline void capture_read(const char *name, char text[CAPTURE_MAX])
{
	char path[128];
	size_t length;
	FILE *file;

	snprintf(path, sizeof(path), "tests/unit/captures/%s", name);
	file = fopen(path, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	length = fread(text, 1, CAPTURE_MAX - 1, file);
	text[length] = '\0';
	fclose(file);
}

#endif
