/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "config.h"
#include "fast.h"
#include "lock.h"
#include "rules.h"
#include "sysctl.h"

/* Nobody has that socket: not a daemon of another network namespace, whose file
 * of settings it would be. */
static bool is_left(const char *control)
{
	int fd = client_connect(control);

	if (fd >= 0)
		close(fd);
	return fd == -ENOENT || fd == -ECONNREFUSED;
}

/* Where the file says nothing of it they are looked for at the usual place. */
static int restore_settings(const char *path)
{
	char store[PATH_MAX], error[512];
	struct config *config =
		config_load(path, config_memory_total(), error, sizeof(error));
	const char *control = config ? config->control : CLIENT_CONTROL_DEFAULT;

	if (!config)
		fprintf(stderr, "porticod: %s\n", error);
	snprintf(store, sizeof(store), "%s.settings", control);
	if (!access(store, F_OK) && is_left(control))
		sysctl_restore(sysctl_new(store));
	if (!config)
		return -EINVAL;
	config_free(config);
	return 0;
}

int guard_remove(const char *path)
{
	char error[512];
	int lock = lock_take(); /* a daemon would route without rules */
	int settings, fast, err;

	if (lock < 0)
		return -EBUSY;
	/* First: without rules nothing may be routed. */
	settings = restore_settings(path);
	/* Without a daemon it carries nothing: that it stays is no danger. */
	fast = fast_remove_all();
	if (fast)
		fprintf(stderr, "porticod: the fast path: %s\n",
			strerror(-fast));
	err = rules_remove(error, sizeof(error));
	close(lock);
	if (err)
		fprintf(stderr, "porticod: %s\n", error);
	if (!err)
		err = fast;
	return err ? err : settings;
}
