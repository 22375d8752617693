/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Numbers with units, as people read them.
 */
#include <inttypes.h>

#include "text.h"

#define UNITS (sizeof(units) / sizeof(units[0]))

const char *text_bytes(uint64_t bytes, char cell[static TEXT_CELL])
{
	static const char *const units[] = { "KiB", "MiB", "GiB",
					     "TiB", "PiB", "EiB" };
	uint64_t unit = 1024;
	uint64_t tenths;
	size_t i = 0;

	if (bytes < 1024) {
		snprintf(cell, TEXT_CELL, "%" PRIu64 "B", bytes);
		return cell;
	}
	while (i + 1 < UNITS && bytes / unit >= 1024) {
		unit *= 1024;
		i++;
	}
	/* Rounded down, so that 1023.9 never reads as the next unit. Ten
	 * times less than 2^60 fits. */
	tenths = bytes % unit * 10 / unit;
	snprintf(cell, TEXT_CELL, "%" PRIu64 ".%" PRIu64 "%s", bytes / unit,
		 tenths, units[i]);
	return cell;
}

const char *text_duration(uint64_t seconds, char cell[static TEXT_CELL])
{
	uint64_t minutes = seconds / 60, hours = minutes / 60;

	if (!minutes)
		snprintf(cell, TEXT_CELL, "%" PRIu64 "s", seconds);
	else if (!hours)
		snprintf(cell, TEXT_CELL, "%" PRIu64 "m%02us", minutes,
			 (unsigned)(seconds % 60));
	else if (hours < 24)
		snprintf(cell, TEXT_CELL, "%" PRIu64 "h%02um", hours,
			 (unsigned)(minutes % 60));
	else
		snprintf(cell, TEXT_CELL, "%" PRIu64 "d%02uh", hours / 24,
			 (unsigned)(hours % 24));
	return cell;
}
