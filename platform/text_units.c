/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Numbers with units, as people read them.
 */
#include <inttypes.h>

#include "text.h"

#define UNITS 6

/* Each unit is step times the one before, the first is step. Rounded down, so
 * that 1023.9 never reads as the next unit. */
static const char *scale(uint64_t value, unsigned step, const char *plain,
			 const char *const units[static UNITS],
			 char cell[static TEXT_CELL])
{
	uint64_t unit = step;
	uint64_t tenths;
	size_t i = 0;

	if (value < step) {
		snprintf(cell, TEXT_CELL, "%" PRIu64 "%s", value, plain);
		return cell;
	}
	while (i + 1 < UNITS && value / unit >= step) {
		unit *= step;
		i++;
	}
	/* Ten times less than 2^60 fits. */
	tenths = value % unit * 10 / unit;
	snprintf(cell, TEXT_CELL, "%" PRIu64 ".%" PRIu64 "%s", value / unit,
		 tenths, units[i]);
	return cell;
}

const char *text_bytes(uint64_t bytes, char cell[static TEXT_CELL])
{
	static const char *const units[UNITS] = { "KiB", "MiB", "GiB",
						  "TiB", "PiB", "EiB" };

	return scale(bytes, 1024, "B", units, cell);
}

const char *text_bits(uint64_t bits, char cell[static TEXT_CELL])
{
	static const char *const units[UNITS] = { "kbit", "Mbit", "Gbit",
						  "Tbit", "Pbit", "Ebit" };

	return scale(bits, 1000, "bit", units, cell);
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
