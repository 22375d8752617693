/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For libFuzzer: inputs of the packet targets are records of one size, and most
 * changes keep them so: one record changed, doubled, moved, taken out. The
 * others, and all of the other targets, are libFuzzer's own.
 */
#include <string.h>

#include "tests/unit/dice.h"
#include "world.h"

/* Not there with AFL++, which asks for no mutator either. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
	__attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
			       unsigned seed);

/* Set by the targets whose inputs are records. */
extern const bool fuzz_records __attribute__((weak));

static void change(uint8_t *record, struct dice *dice)
{
	if (dice_once_in(dice, 3))
		LLVMFuzzerMutate(record, STEP_BYTES, STEP_BYTES);
	else
		record[dice_roll(dice, STEP_BYTES)] = (uint8_t)dice_next(dice);
}

static size_t mutate_records(uint8_t *data, size_t size, size_t max_size,
			     struct dice *dice)
{
	size_t count = size / STEP_BYTES;
	uint8_t *one = data + dice_roll(dice, (uint32_t)count) * STEP_BYTES;
	uint8_t *other = data + dice_roll(dice, (uint32_t)count) * STEP_BYTES;
	uint8_t *end = data + count * STEP_BYTES;
	uint8_t copy[STEP_BYTES];

	memcpy(copy, one, STEP_BYTES);
	switch (dice_roll(dice, 8)) {
	case 0: /* doubled elsewhere */
	case 1:
		if (size + STEP_BYTES > max_size)
			break;
		memmove(other + STEP_BYTES, other, (size_t)(end - other));
		memcpy(other, copy, STEP_BYTES);
		change(other, dice);
		return (count + 1) * STEP_BYTES;
	case 2: /* taken out */
		if (count < 2)
			break;
		memmove(one, one + STEP_BYTES,
			(size_t)(end - one) - STEP_BYTES);
		return (count - 1) * STEP_BYTES;
	case 3: /* changed places */
		memcpy(one, other, STEP_BYTES);
		memcpy(other, copy, STEP_BYTES);
		return count * STEP_BYTES;
	}
	change(one, dice);
	return count * STEP_BYTES;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
			       unsigned seed)
{
	struct dice dice = { .state = seed };

	if (!&fuzz_records || size < STEP_BYTES || dice_once_in(&dice, 8))
		return LLVMFuzzerMutate(data, size, max_size);
	return mutate_records(data, size, max_size, &dice);
}
