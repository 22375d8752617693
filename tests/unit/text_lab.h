/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a function prints of a reply, beside what it should.
 */
#ifndef PORTICO_TESTS_TEXT_LAB_H
#define PORTICO_TESTS_TEXT_LAB_H

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"

static inline void check_text(void (*print)(struct json_object *, FILE *),
			      const char *reply, const char *expected)
{
	struct json_object *object = json_tokener_parse(reply);
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
	print(object, stream);
	fclose(stream);
	CU_ASSERT_STRING_EQUAL(text, expected);
	if (strcmp(text, expected))
		printf("found:\n%sexpected:\n%s", text, expected);
	free(text);
	json_object_put(object);
}

#endif
