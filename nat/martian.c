/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Addresses that never cross a gateway.
 */
#include <string.h>

#include "internal.h"

bool nat_in_prefixes(const struct nat_prefix *prefixes, size_t count,
		     uint32_t addr)
{
	for (size_t i = 0; i < count; i++)
		if (nat_prefix_has(&prefixes[i], addr))
			return true;
	return false;
}

/* RFC 6890, RFC 1812 5.3.7, RFC 3927 7; multicast and what is above it. */
static const struct nat_prefix martian_both[] = {
	{ 0x00000000, 8 }, /* 0.0.0.0/8, "this network" */
	{ 0x7f000000, 8 }, /* 127.0.0.0/8, loopback */
	{ 0xa9fe0000, 16 }, /* 169.254.0.0/16, link-local */
	{ 0xe0000000, 3 }, /* 224.0.0.0/4 multicast, 240.0.0.0/4 reserved */
};

#define MARTIANS (sizeof(martian_both) / sizeof(martian_both[0]))

static void note_octets(struct nat *nat, const struct nat_prefix *prefixes,
			size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t first = prefixes[i].addr >> 24;
		uint32_t more = prefixes[i].length < 8 ?
					0xffU >> prefixes[i].length :
					0;

		for (uint32_t octet = first; octet <= (first | more); octet++)
			nat->odd[octet >> 5] |= 1U << (octet & 31);
	}
}

void nat_martians_set(struct nat *nat)
{
	memset(nat->odd, 0, sizeof(nat->odd));
	note_octets(nat, martian_both, MARTIANS);
	note_octets(nat, nat->config->martians, nat->config->martian_count);
}

static bool is_odd(const struct nat *nat, uint32_t addr)
{
	return nat->odd[addr >> 29] >> (addr >> 24 & 31) & 1;
}

/* Most addresses are cleared by their first octet. */
static bool never_crosses(const struct nat *nat, uint32_t addr)
{
	return is_odd(nat, addr) &&
	       (nat_in_prefixes(martian_both, MARTIANS, addr) ||
		nat_in_prefixes(nat->config->martians,
				nat->config->martian_count, addr));
}

bool nat_is_martian(const struct nat *nat, uint32_t src, uint32_t dst)
{
	return src == dst || never_crosses(nat, src) || never_crosses(nat, dst);
}
