/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fast.h"
#include "lock.h"
#include "rules.h"

int guard_remove(void)
{
	char error[512];
	int lock = lock_take(); /* a daemon would route without rules */
	int fast, err;

	if (lock < 0)
		return -EBUSY;
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
