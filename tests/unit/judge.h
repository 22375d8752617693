/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What must be true of every packet that the engine has judged, whatever it
 * was: for engine.h and for the fuzz targets.
 */
#ifndef PORTICO_TESTS_JUDGE_H
#define PORTICO_TESTS_JUDGE_H

#include <stdint.h>

#include "portico/nat.h"

struct trial {
	const struct nat *nat;
	enum nat_checksum checksum;
	enum nat_path path;
	const uint8_t *before;
	const uint8_t *after;
	uint32_t length; /* of both */
	struct nat_result result;
	struct nat_stats stats_before;
	struct nat_stats stats_after;
};

/* Looks at verdict, mark, counters and answer, that a refused packet is as it
 * was, that a translated one has the right checksums if it had them before and
 * leaves by our address. NULL: all is well, else what is not. */
const char *trial_wrong(const struct trial *trial);

#endif
