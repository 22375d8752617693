/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Numbers for property tests: the same ones everywhere for the same seed.
 */
#ifndef PORTICO_TESTS_DICE_H
#define PORTICO_TESTS_DICE_H

#include <stdbool.h>
#include <stdint.h>

struct dice {
	uint64_t state; /* any seed */
};

static inline uint64_t dice_next(struct dice *dice)
{
	uint64_t x = dice->state += 0x9e3779b97f4a7c15U;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9U;
	x = (x ^ x >> 27) * 0x94d049bb133111ebU;
	return x ^ x >> 31;
}

/* 0..below - 1 */
static inline uint32_t dice_roll(struct dice *dice, uint32_t below)
{
	return (uint32_t)(dice_next(dice) % below);
}

/* True once in `times` on average. */
static inline bool dice_once_in(struct dice *dice, uint32_t times)
{
	return dice_roll(dice, times) == 0;
}

#endif
