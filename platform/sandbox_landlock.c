/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Landlock: a ruleset that handles everything and allows nothing. The numbers
 * are the kernel's; its headers may be older than the kernel we run on.
 */
#include "sandbox.h"

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The same on every architecture. */
#define CREATE_RULESET 444
#define RESTRICT_SELF 446
#define WANT_VERSION 1U

struct attributes {
	uint64_t files;
	uint64_t net;
	uint64_t scope;
};

/* By the ABI's version: what it lets us forbid. Each row holds the ones before.
 */
static const struct {
	struct attributes all;
	size_t size; /* of the attributes that it knows */
} versions[] = {
	{ { (1ULL << 13) - 1, 0, 0 }, 8 }, /* Linux 5.13: 13 kinds of access */
	{ { (1ULL << 14) - 1, 0, 0 }, 8 }, /* linking elsewhere */
	{ { (1ULL << 15) - 1, 0, 0 }, 8 }, /* truncating */
	{ { (1ULL << 15) - 1, 3, 0 }, 16 }, /* TCP: binding, connecting */
	{ { (1ULL << 16) - 1, 3, 0 }, 16 }, /* ioctl of devices */
	{ { (1ULL << 16) - 1, 3, 3 }, 24 }, /* abstract sockets, signals */
};

#define VERSIONS ((long)(sizeof(versions) / sizeof(versions[0])))

int sandbox_landlock(void)
{
	long version = syscall(CREATE_RULESET, NULL, 0, WANT_VERSION);
	long fd;
	int err = 0;

	if (version < 1)
		return version ? -errno : -EOPNOTSUPP;
	if (version > VERSIONS)
		version = VERSIONS;
	fd = syscall(CREATE_RULESET, &versions[version - 1].all,
		     versions[version - 1].size, 0U);
	if (fd < 0)
		return -errno;
	if (syscall(RESTRICT_SELF, (int)fd, 0U))
		err = -errno;
	close((int)fd);
	return err;
}
