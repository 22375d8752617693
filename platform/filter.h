/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which entries of a table a client asked for: `--host`, `--proto`, `--port`,
 * `--peer`. The command checks a filter before it asks, the daemon again.
 */
#ifndef PORTICO_PLATFORM_FILTER_H
#define PORTICO_PLATFORM_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "portico/nat.h"

enum filter_key {
	FILTER_HOST, /* inside address */
	FILTER_PROTO,
	FILTER_PORT, /* of any socket of the entry */
	FILTER_PEER, /* peer address */
	FILTER_KEYS
};

/* All zero: everything is wanted. */
struct filter {
	bool set[FILTER_KEYS];
	uint32_t host;
	uint32_t peer;
	uint16_t port;
	uint8_t proto;
};

/* "host", "proto", "port", "peer": in requests and, after --, as options. */
const char *filter_name(enum filter_key key);

/* Reads the value of one filter: an IPv4 address, a protocol (a name of
 * protos.h or a number 0..255) or a port 0..65535. 0, or -EINVAL with a sentence
 * in error and the filter unchanged. */
int filter_set(struct filter *filter, enum filter_key key, const char *value,
	       char *error, size_t error_size);

/* A mapping has no peer of its own: FILTER_PEER is not looked at. */
bool filter_wants_mapping(const struct filter *filter,
			  const struct nat_mapping_view *view);
bool filter_wants_session(const struct filter *filter,
			  const struct nat_session_view *view);
/* Looks at FILTER_HOST alone. */
bool filter_wants_host(const struct filter *filter,
		       const struct nat_host_view *view);

/* The head of a client's text as it may be echoed: printable ASCII only, so
 * that it steers no terminal and stays valid in JSON. */
#define FILTER_SHOWN_SIZE 33
const char *filter_shown(const char *value,
			 char shown[static FILTER_SHOWN_SIZE]);

#endif
