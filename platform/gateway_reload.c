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
#include <unistd.h>

#include "files.h"
#include "gateway_private.h"
#include "helper_waits.h"
#include "log.h"

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

#define FIXED(key, member) \
	{ \
		key, offsetof(struct config, member), \
			sizeof(((struct config *)0)->member) \
	}

/* What a running daemon cannot change: tables are sized and the queue is bound
 * once. */
static const struct fixed fixed[] = {
	FIXED("limits.mappings", limits.mappings),
	FIXED("limits.sessions", limits.sessions),
	FIXED("limits.hosts", limits.hosts),
	FIXED("limits.held_ports", limits.held_ports),
	FIXED("limits.tagged_sessions", limits.tagged),
	FIXED("fragments.entries", limits.fragments),
	FIXED("fragments.bytes", limits.fragment_bytes),
	FIXED("queue.number", queue.number),
	FIXED("queue.batch", queue.batch),
	FIXED("queue.gso", queue.gso),
	FIXED("queue.mark", queue.mark),
	FIXED("queue.nice", queue.nice),
	FIXED("fast_path.enabled", fast_path.enabled),
	FIXED("fast_path.sessions", fast_path.sessions),
	FIXED("rules", rules),
	FIXED("sandbox", sandbox),
};

/* Sockets and files are opened once, too. */
static const struct fixed fixed_paths[] = {
	FIXED("control", control),
	FIXED("control_read", control_read),
	FIXED("state", state),
};

static const char *path_of(const struct config *config, size_t offset)
{
	return *(char *const *)(const void *)((const char *)config + offset);
}

static const char *changed_path(const struct config *old,
				const struct config *new)
{
	for (size_t i = 0; i < sizeof(fixed_paths) / sizeof(fixed_paths[0]);
	     i++)
		if (strcmp(path_of(old, fixed_paths[i].offset),
			   path_of(new, fixed_paths[i].offset)))
			return fixed_paths[i].key;
	return NULL;
}

static bool has_inside(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->inside_count; i++)
		if (!strcmp(config->inside_devices[i], name))
			return true;
	return false;
}

/* In any order; none is named twice. */
static bool same_inside(const struct config *a, const struct config *b)
{
	for (size_t i = 0; i < a->inside_count; i++)
		if (!has_inside(b, a->inside_devices[i]))
			return false;
	return a->inside_count == b->inside_count;
}

/* A device that was chosen automatically may be named now. */
static bool names_uplink(const struct network_state *network,
			 const struct config *config)
{
	return !strcmp(config->uplink_device, network->uplink.name);
}

static bool names_inside(const struct network_state *network,
			 const struct config *config)
{
	for (size_t i = 0; i < network->inside_count; i++)
		if (!has_inside(config, network->inside[i].name))
			return false;
	return config->inside_count == network->inside_count;
}

static const char *changed_device(const struct network_state *network,
				  const struct config *old,
				  const struct config *new)
{
	if (strcmp(old->uplink_device, new->uplink_device) &&
	    !names_uplink(network, new))
		return "uplink.device";
	if (!same_inside(old, new) && !names_inside(network, new))
		return "inside.devices";
	return NULL;
}

static int check_fixed(const struct gateway *g, const struct config *new,
		       char *error, size_t size)
{
	const struct config *old = g->config;
	const char *key = NULL;

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]) && !key; i++)
		if (memcmp((const char *)old + fixed[i].offset,
			   (const char *)new + fixed[i].offset, fixed[i].bytes))
			key = fixed[i].key;
	if (!key)
		key = changed_path(old, new);
	if (!key)
		key = changed_device(network_state(g->network), old, new);
	if (!key && old->uplink_address != new->uplink_address)
		key = "uplink.address";
	if (key)
		return gateway_say(
			error, size, -EINVAL,
			"%s cannot change while the daemon runs: restart it",
			key);
	return 0;
}

/* A gateway in automatic mode may have been given a file meanwhile. */
static const char *file_to_read(const struct gateway *g)
{
	int fd;

	if (g->config_path)
		return g->config_path;
	fd = files_open(CONFIG_DEFAULT_FILE);
	if (fd >= 0)
		close(fd);
	return fd == -ENOENT ? NULL : CONFIG_DEFAULT_FILE;
}

/* Some of the new rules may be in force, or will be: back to the old ones. That
 * is not waited for. Packets pass by the old configuration, and the guard, which
 * is the first of all rules to be loaded, stands in either case. */
static void go_back(struct gateway *g, int err, const char *error)
{
	if (err == -ETIMEDOUT || err == -EBUSY)
		gateway_rules_failed(g, error);
	else
		gateway_ask_rules(g);
}

int gateway_adopt(struct gateway *g, struct config *config, char *error,
		  size_t error_size)
{
	struct gateway_plan *plan = gateway_plan(g, config, error, error_size);
	int err;

	if (!plan)
		return -EINVAL;
	err = gateway_apply(g, plan, error, error_size);
	if (err) {
		gateway_plan_free(plan);
		go_back(g, err, error);
		return err;
	}
	g->config = config;
	return 0;
}

static int reload(struct gateway *g, char *error, size_t error_size)
{
	struct config *old = g->config;
	struct config *config = config_load(
		file_to_read(g), config_memory_total(), error, error_size);
	size_t warnings;
	int err;

	if (!config)
		return -EINVAL;
	warnings = config->warnings_count;
	err = check_fixed(g, config, error, error_size);
	if (!err)
		err = config_keep_forwards(config, old, error, error_size);
	if (!err)
		err = gateway_adopt(g, config, error, error_size);
	if (err) {
		config_free(config);
		return err;
	}
	for (; warnings < config->warnings_count; warnings++)
		log_warning("forward", "%s", config->warnings[warnings]);
	gateway_set_redirects(g);
	gateway_reserve_ports(g);
	if (old->forward_accept != config->forward_accept)
		gateway_set_accept(g, config);
	gateway_examine(g);
	config_free(old);
	return 0;
}

int gateway_reload(struct gateway *g, char *error, size_t error_size)
{
	int err;

	helper_bound(g->helper, HELPER_CHANGE_MS);
	err = reload(g, error, error_size);
	helper_bound(g->helper, 0);
	return err;
}
