/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Looking into the doctor's report.
 */
#ifndef PORTICO_TESTS_DOCTOR_LAB_H
#define PORTICO_TESTS_DOCTOR_LAB_H

#include <string.h>

#include "platform/doctor.h"

/* The finding that names both words; NULL: there is none. */
static inline const struct doctor_finding *
find(const struct doctor_report *report, const char *one, const char *two)
{
	for (size_t i = 0; i < report->count; i++)
		if (strstr(report->findings[i].text, one) &&
		    strstr(report->findings[i].text, two))
			return &report->findings[i];
	return NULL;
}

#endif
