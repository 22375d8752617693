/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What must hold between the keys of a configuration, and what is allowed but
 * worth a warning.
 */
#include <inttypes.h>
#include <string.h>

#include "config_position.h"
#include "config_read.h"

/* The least timeouts the RFCs allow; an operator may go below. */
static const struct floor {
	const char *key;
	enum nat_timer timer;
	uint32_t least_s;
	const char *source;
} floors[] = {
	{ "udp", NAT_TIMER_UDP, 120, "RFC 4787 REQ-5" },
	{ "tcp_opening", NAT_TIMER_TCP_OPENING, 240, "RFC 5382 REQ-5" },
	{ "tcp_established", NAT_TIMER_TCP_ESTABLISHED, 7440,
	  "RFC 5382 REQ-5" },
	{ "tcp_closing", NAT_TIMER_TCP_CLOSING, 240, "RFC 5382 REQ-5" },
	{ "icmp", NAT_TIMER_ICMP, 60, "RFC 5508 REQ-2" },
};

static bool warn_floors(struct config_reader *reader)
{
	const uint32_t *timeout_s = reader->config->nat.timeout_s;

	for (size_t i = 0; i < sizeof(floors) / sizeof(floors[0]); i++) {
		const struct floor *floor = &floors[i];
		uint32_t set = timeout_s[floor->timer];

		if (set < floor->least_s &&
		    !config_warn(reader,
				 "timeouts.%s %" PRIu32 " is below the %" PRIu32
				 " s of %s",
				 floor->key, set, floor->least_s,
				 floor->source))
			return false;
	}
	return true;
}

/* The first of two keys that the file has: where to point at. */
static const char *written(const struct config_reader *reader,
			   const char *first, const char *second)
{
	if (reader->text && position_find(reader->text, reader->length, first))
		return first;
	return second;
}

/* TRANS takes the last tcp_closing seconds of tcp_established. */
static bool check_timeouts(struct config_reader *reader)
{
	const uint32_t *timeout_s = reader->config->nat.timeout_s;
	uint32_t closing = timeout_s[NAT_TIMER_TCP_CLOSING];
	uint32_t established = timeout_s[NAT_TIMER_TCP_ESTABLISHED];

	if (closing < established)
		return true;
	return config_fail(reader,
			   written(reader, "timeouts.tcp_closing",
				   "timeouts.tcp_established"),
			   "found tcp_closing %" PRIu32
			   " and tcp_established %" PRIu32
			   ", expected tcp_closing to be shorter",
			   closing, established);
}

static bool check_devices(struct config_reader *reader)
{
	const struct config *config = reader->config;
	char path[POSITION_KEY_MAX];

	for (size_t i = 0; i < config->inside_count; i++) {
		if (strcmp(config->inside_devices[i], config->uplink_device))
			continue;
		config_path_item(path, "inside.devices", i);
		return config_fail(reader, path,
				   "found \"%s\", the uplink's device, "
				   "expected another one",
				   config->uplink_device);
	}
	return true;
}

/* Whether one port of the pool is not the router's own. */
static bool check_pool(struct config_reader *reader)
{
	const struct config *config = reader->config;
	const struct config_range *router = &config->router_ports;

	if (config->router_ports_auto)
		return true;
	for (size_t i = 0; i < config->ports_count; i++)
		if (config->ports[i].first < router->first ||
		    config->ports[i].last > router->last)
			return true;
	return config_fail(reader, "uplink.router_ports",
			   "found %u-%u, which leaves no port of uplink.ports, "
			   "expected a smaller range",
			   router->first, router->last);
}

static bool check_fallback(struct config_reader *reader)
{
	const struct config *config = reader->config;

	if (config->fallback != CONFIG_FALLBACK_KERNEL ||
	    config->rules != CONFIG_RULES_IPTABLES)
		return true;
	return config_fail(reader, "fallback",
			   "found \"kernel\" with rules \"iptables\", expected "
			   "\"closed\" (the kernel takes over with nftables "
			   "only)");
}

/* Whether what the daemon writes there would be written over the file that this
 * is read from. */
static bool is_own_file(const struct config_reader *reader, const char *path,
			const char *suffix)
{
	size_t length = strlen(path);

	return reader->name && !strncmp(reader->name, path, length) &&
	       !strcmp(reader->name + length, suffix);
}

static bool check_paths(struct config_reader *reader)
{
	const struct config *config = reader->config;
	const char *key = is_own_file(reader, config->state, "") ? "state" :
			  is_own_file(reader, config->control, ".settings") ?
								   "control" :
								   NULL;

	if (key)
		return config_fail(reader, key,
				   "found the configuration's own file where "
				   "the daemon writes, expected another path");

	if (strcmp(config->control, config->control_read) == 0)
		return config_fail(reader,
				   written(reader, "control_read", "control"),
				   "found the same path for control and "
				   "control_read, expected two");
	if (strcmp(config->state, config->control) == 0 ||
	    strcmp(config->state, config->control_read) == 0)
		return config_fail(reader, written(reader, "state", "control"),
				   "found the same path for state and a "
				   "socket, expected two");
	return true;
}

bool config_check(struct config_reader *reader)
{
	return check_timeouts(reader) && check_devices(reader) &&
	       check_pool(reader) && check_fallback(reader) &&
	       check_paths(reader) && warn_floors(reader);
}
