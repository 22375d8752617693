/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * In the place of sandbox_seccomp.c where it is built with SECCOMP=no.
 */
#include "sandbox.h"

#include <errno.h>

int sandbox_filter(enum sandbox_role role)
{
	(void)role;
	return -EOPNOTSUPP;
}
