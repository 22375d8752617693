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

static void restore_settings(const char *path)
{
	char store[PATH_MAX], error[512];
	struct config *config =
		config_load(path, config_memory_total(), error, sizeof(error));
	const char *control = config ? config->control : CLIENT_CONTROL_DEFAULT;

	snprintf(store, sizeof(store), "%s.settings", control);
	if (!access(store, F_OK) && is_left(control))
		sysctl_restore(sysctl_new(store));
	config_free(config);
}

int guard_remove(const char *path)
{
	char error[512];
	int lock = lock_take(); /* a daemon would route without rules */
	int fast, err;

	if (lock < 0)
		return -EBUSY;
	restore_settings(path); /* first: without rules nothing may be routed */
	/* Without a daemon it carries nothing: that it stays is no danger. */
	fast = fast_remove_all();
	if (fast)
		fprintf(stderr, "porticod: the fast path: %s\n",
			strerror(-fast));
	err = rules_remove(error, sizeof(error));
	close(lock);
	if (err)
		fprintf(stderr, "porticod: %s\n", error);
	return err ? err : fast;
}
