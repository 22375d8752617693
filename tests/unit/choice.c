/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "choice.h"

static bool same_half(uint16_t a, uint16_t b)
{
	return (a < 1024) == (b < 1024);
}

static bool same_parity(uint16_t a, uint16_t b)
{
	return a % 2 == b % 2;
}

const char *choice_wrong(const uint16_t *candidates, size_t count,
			 uint16_t wanted, bool parity, int32_t chosen)
{
	bool free = false, exact = false, half = false, both = false;
	bool other_parity = false;
	uint16_t port = (uint16_t)chosen;

	for (size_t i = 0; i < count; i++) {
		free |= candidates[i] == port;
		exact |= candidates[i] == wanted;
		half |= same_half(candidates[i], wanted);
		other_parity |= same_parity(candidates[i], wanted);
		both |= same_half(candidates[i], wanted) &&
			same_parity(candidates[i], wanted);
	}
	if (chosen < 0)
		return count ? "no port was chosen although one is free" : NULL;
	if (!free)
		return "a port was chosen that may not be handed out";
	if (exact && port != wanted)
		return "the port was free and not preserved";
	if (half && !same_half(port, wanted))
		return "the half was left although it has a free port";
	if (parity && both && !same_parity(port, wanted))
		return "parity was broken although the half has it free";
	if (parity && !half && other_parity && !same_parity(port, wanted))
		return "parity was broken in the other half";
	return NULL;
}
