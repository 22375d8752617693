/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reading the configuration again: the difference is applied, what a running
 * daemon cannot change is refused, and a bad file changes nothing.
 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "gateway_private.h"

int gateway_say(char *error, size_t size, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, size, format, args);
	va_end(args);
	return err;
}

struct fixed {
	const char *key;
	size_t offset;
	size_t bytes;
};

#define FIXED(key, member)                                                     \
	{                                                                      \
		key, offsetof(struct config, member),                          \
			sizeof(((struct config *)0)->member)                   \
	}

/* What a running daemon cannot change: tables are sized and the queue is bound
 * once. */
static const struct fixed fixed[] = {
	FIXED("limits.mappings", limits.mappings),
	FIXED("limits.sessions", limits.sessions),
	FIXED("limits.hosts", limits.hosts),
	FIXED("limits.held_ports", limits.held_ports),
	FIXED("fragments.entries", limits.fragments),
	FIXED("fragments.bytes", limits.fragment_bytes),
	FIXED("uplink.device", uplink_device),
	FIXED("queue.number", queue.number),
	FIXED("queue.batch", queue.batch),
	FIXED("queue.gso", queue.gso),
	FIXED("queue.mark", queue.mark),
	FIXED("rules", rules),
};

static bool same_devices(const struct config *a, const struct config *b)
{
	return a->inside_count == b->inside_count &&
	       (!a->inside_count ||
		!memcmp(a->inside_devices, b->inside_devices,
			a->inside_count * sizeof(*a->inside_devices)));
}

static int check_fixed(const struct config *old, const struct config *new,
		       char *error, size_t size)
{
	const char *key = NULL;

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]) && !key; i++)
		if (memcmp((const char *)old + fixed[i].offset,
			   (const char *)new + fixed[i].offset, fixed[i].bytes))
			key = fixed[i].key;
	if (!key && !same_devices(old, new))
		key = "inside.devices";
	if (!key && old->uplink_address != new->uplink_address)
		key = "uplink.address";
	if (key)
		return gateway_say(error, size, -EINVAL,
			   "%s cannot change while the daemon runs: restart it",
			   key);
	return 0;
}

int gateway_reload(struct gateway *g, char *error, size_t error_size)
{
	struct config *old = g->config;
	struct config *config = config_load(g->config_path,
					    config_memory_total(), error,
					    error_size);
	struct gateway_plan *plan = NULL;
	int err;

	if (!config)
		return -EINVAL;
	err = check_fixed(old, config, error, error_size);
	if (!err) {
		plan = gateway_plan(g, config, error, error_size);
		err = plan ? 0 : -EINVAL;
	}
	if (err) {
		config_free(config);
		return err;
	}
	g->config = config;
	err = gateway_apply(g, plan, error, error_size);
	gateway_reserve_ports(g);
	gateway_examine(g);
	config_free(old);
	return err;
}
