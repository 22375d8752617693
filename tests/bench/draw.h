/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which one is next, where some are met more often than others.
 */
#ifndef PORTICO_TESTS_BENCH_DRAW_H
#define PORTICO_TESTS_BENCH_DRAW_H

#include "tests/unit/dice.h"

/* 0..count - 1 by Zipf with exponent 1, near enough: every octave of ranks (1,
 * 2-3, 4-7, ...) is drawn alike. Ranks are spread over the numbers. */
static inline uint32_t draw_zipf(struct dice *dice, uint32_t count)
{
	uint64_t random = dice_next(dice);
	uint32_t octaves = 0, rank;

	while (count >> octaves)
		octaves++;
	rank = 1U << random % octaves;
	rank += (uint32_t)(random >> 32) & (rank - 1);
	return (uint32_t)((uint64_t)rank * 2654435761U % count);
}

#endif
