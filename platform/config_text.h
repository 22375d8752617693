/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The small languages inside the configuration's strings: ports and ranges,
 * sockets, prefixes, devices, marks. Pure functions; each returns whether the
 * whole text is valid, and writes its result only then. (Prefixes:
 * config_parse_prefix() in config.h.)
 */
#ifndef PORTICO_PLATFORM_CONFIG_TEXT_H
#define PORTICO_PLATFORM_CONFIG_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

/* "8080" or "8000-8010": 1..65535, not reversed. */
bool config_text_range(const char *text, struct config_range *range);

/* A comma list of such ranges, sorted and merged into *ranges (to be freed;
 * NULL when the text is empty, which is valid here). False with errno ENOMEM
 * when memory is short, else EINVAL. */
bool config_text_ranges(const char *text, struct config_range **ranges,
			size_t *count);

/* "192.0.2.1": a host's address, not of 0/8, 127/8, 224/3. */
bool config_text_address(const char *text, uint32_t *addr);

/* "192.0.2.1:80": such an address and a port of 1..65535. */
bool config_text_socket(const char *text, uint32_t *addr, uint16_t *port);

/* "0x03000000" (0x and up to eight hex digits). */
bool config_text_hex(const char *text, uint32_t *value);

/* Exactly two bits, next to each other. */
bool config_mark_valid(uint64_t mark);

/* A device's name: 1..15 of letters, digits, '.', '_', '-' and '@', not "."
 * or "..". Other characters, though the kernel takes them, have a meaning to
 * nft or iptables ('*', '+', '!', quotes). */
bool config_device_valid(const char *name);

#endif
