/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which entries of a table a client asked for.
 */
#include "filter.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protos.h"

static const char *const key_names[] = {
	[FILTER_HOST] = "host",
	[FILTER_PROTO] = "proto",
	[FILTER_PORT] = "port",
	[FILTER_PEER] = "peer",
};
static_assert(sizeof(key_names) / sizeof(key_names[0]) == FILTER_KEYS,
	      "every filter has a name");

const char *filter_name(enum filter_key key)
{
	return key_names[key];
}

/* Decimal digits only: strtoul() alone would take " -1". */
static bool parse_number(const char *value, unsigned long max,
			 unsigned long *number)
{
	size_t digits = strspn(value, "0123456789");

	if (!digits || digits > 5 || value[digits])
		return false;
	*number = strtoul(value, NULL, 10);
	return *number <= max;
}

static bool parse_address(const char *value, uint32_t *addr)
{
	struct in_addr in;

	if (inet_pton(AF_INET, value, &in) != 1)
		return false;
	*addr = ntohl(in.s_addr);
	return true;
}

static bool parse_proto(const char *value, uint8_t *proto)
{
	int known = protos_find(value);
	unsigned long number = 0;

	if (known < 0 && !parse_number(value, UINT8_MAX, &number))
		return false;
	*proto = (uint8_t)(known < 0 ? (int)number : known);
	return true;
}

static bool parse_port(const char *value, uint16_t *port)
{
	unsigned long number;

	if (!parse_number(value, UINT16_MAX, &number))
		return false;
	*port = (uint16_t)number;
	return true;
}

const char *filter_shown(const char *value,
			 char shown[static FILTER_SHOWN_SIZE])
{
	size_t i;

	for (i = 0; i < FILTER_SHOWN_SIZE - 1 && value[i]; i++)
		shown[i] = value[i] >= ' ' && value[i] <= '~' ? value[i] : '?';
	shown[i] = '\0';
	return shown;
}

static int refuse(enum filter_key key, const char *value, const char *expected,
		  char *error, size_t error_size)
{
	char shown[FILTER_SHOWN_SIZE];

	snprintf(error, error_size, "%s: found \"%s\", expected %s",
		 filter_name(key), filter_shown(value, shown), expected);
	return -EINVAL;
}

int filter_set(struct filter *filter, enum filter_key key, const char *value,
	       char *error, size_t error_size)
{
	static const char *const expected[FILTER_KEYS] = {
		[FILTER_HOST] = "an IPv4 address",
		[FILTER_PROTO] = "a protocol by name or a number up to 255",
		[FILTER_PORT] = "a port up to 65535",
		[FILTER_PEER] = "an IPv4 address",
	};
	bool valid = false;

	switch (key) {
	case FILTER_HOST:
		valid = parse_address(value, &filter->host);
		break;
	case FILTER_PROTO:
		valid = parse_proto(value, &filter->proto);
		break;
	case FILTER_PORT:
		valid = parse_port(value, &filter->port);
		break;
	case FILTER_PEER:
		valid = parse_address(value, &filter->peer);
		break;
	case FILTER_KEYS:
		break;
	}
	if (!valid)
		return refuse(key, value, expected[key], error, error_size);
	filter->set[key] = true;
	return 0;
}

bool filter_wants_mapping(const struct filter *filter,
			  const struct nat_mapping_view *view)
{
	if (filter->set[FILTER_HOST] && filter->host != view->inside_addr)
		return false;
	if (filter->set[FILTER_PROTO] && filter->proto != view->proto)
		return false;
	return !filter->set[FILTER_PORT] || filter->port == view->inside_port ||
	       filter->port == view->outside_port;
}

bool filter_wants_session(const struct filter *filter,
			  const struct nat_session_view *view)
{
	if (filter->set[FILTER_HOST] && filter->host != view->inside_addr)
		return false;
	if (filter->set[FILTER_PEER] && filter->peer != view->peer_addr)
		return false;
	if (filter->set[FILTER_PROTO] && filter->proto != view->proto)
		return false;
	return !filter->set[FILTER_PORT] || filter->port == view->inside_port ||
	       filter->port == view->outside_port ||
	       filter->port == view->peer_port;
}

bool filter_wants_host(const struct filter *filter,
		       const struct nat_host_view *view)
{
	return !filter->set[FILTER_HOST] || filter->host == view->addr;
}
