/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Internet checksums (RFC 1071), updated incrementally (RFC 1624 eq. 3:
 * HC' = ~(~HC + ~m + m')). A delta is the one's-complement sum of ~m + m' over
 * all changed 16-bit words; it may serve several checksum fields.
 *
 * Nothing here repairs: a wrong checksum stays exactly as wrong.
 */
#ifndef PORTICO_NAT_CHECKSUM_H
#define PORTICO_NAT_CHECKSUM_H

#include <stdint.h>

#include "bytes.h"

static inline uint16_t nat_checksum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)(sum + (sum >> 16));
}

/* The delta of one changed 16-bit word. Up to 32,768 may be added up. */
static inline uint32_t nat_checksum_delta16(uint16_t from, uint16_t to)
{
	return (uint32_t)(uint16_t)~from + to;
}

static inline uint32_t nat_checksum_delta32(uint32_t from, uint32_t to)
{
	return nat_checksum_delta16((uint16_t)(from >> 16),
				    (uint16_t)(to >> 16)) +
	       nat_checksum_delta16((uint16_t)from, (uint16_t)to);
}

/* The complemented checksum after a delta. */
static inline uint16_t nat_checksum_update(uint16_t checksum, uint32_t delta)
{
	return (uint16_t)~nat_checksum_fold((uint16_t)~checksum + delta);
}

static inline void nat_checksum_apply(uint8_t *field, uint32_t delta)
{
	nat_store16(field, nat_checksum_update(nat_load16(field), delta));
}

/* One's-complement sum (not complemented, folded) of `length` bytes at any
 * address; an odd last byte is padded with zero (RFC 1071). */
uint16_t nat_checksum_sum(const uint8_t *data, uint32_t length);

/* The same of 20 bytes, as most IPv4 headers have. */
uint16_t nat_checksum_sum20(const uint8_t *data);

/* Sum of the IPv4 pseudo header: addresses, protocol, transport length. */
uint32_t nat_checksum_pseudo(uint32_t src, uint32_t dst, uint8_t proto,
			     uint32_t length);

#endif
