/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The rules of port choice, written down slowly: the same port if it is free,
 * else one of the same half and parity, else of the same half, else any.
 */
#ifndef PORTICO_TESTS_CHOICE_H
#define PORTICO_TESTS_CHOICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* candidates: every port that this inside port may be given, in any order.
 * chosen: what the engine took, -1: none. NULL: a good choice. */
const char *choice_wrong(const uint16_t *candidates, size_t count,
			 uint16_t wanted, bool parity, int32_t chosen);

#endif
