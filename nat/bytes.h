/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Byte-wise loads and stores in network order: the only way the engine touches
 * a packet, so that neither alignment nor byte order matters.
 */
#ifndef PORTICO_NAT_BYTES_H
#define PORTICO_NAT_BYTES_H

#include <stdint.h>

static inline uint16_t nat_load16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t nat_load32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 |
	       (uint32_t)at[2] << 8 | at[3];
}

static inline void nat_store16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static inline void nat_store32(uint8_t *at, uint32_t value)
{
	nat_store16(at, (uint16_t)(value >> 16));
	nat_store16(at + 2, (uint16_t)value);
}

#endif
