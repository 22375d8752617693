/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sums over whole buffers; the incremental part is inline in checksum.h.
 */
#include "checksum.h"

#include <string.h>

/* One's-complement addition does not care about byte order (RFC 1071 2 B): sum
 * native words, swap once at the end. */
static uint16_t native_to_network(uint16_t sum)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (uint16_t)(sum << 8 | sum >> 8);
#else
	return sum;
#endif
}

static uint16_t fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return native_to_network((uint16_t)(sum + (sum >> 16)));
}

uint16_t nat_checksum_sum20(const uint8_t *data)
{
	uint32_t words[5];

	memcpy(words, data, sizeof(words));
	return fold((uint64_t)words[0] + words[1] + words[2] + words[3] +
		    words[4]);
}

uint16_t nat_checksum_sum(const uint8_t *data, uint32_t length)
{
	uint64_t sum = 0;
	uint32_t word;

	for (; length >= 4; data += 4, length -= 4) {
		memcpy(&word, data, 4);
		sum += word;
	}
	if (length) {
		word = 0;
		memcpy(&word, data, length);
		sum += word;
	}
	return fold(sum);
}

uint32_t nat_checksum_pseudo(uint32_t src, uint32_t dst, uint8_t proto,
			     uint32_t length)
{
	return (src >> 16) + (src & 0xffff) + (dst >> 16) + (dst & 0xffff) +
	       proto + (length >> 16) + (length & 0xffff);
}
