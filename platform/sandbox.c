/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Identity, capabilities, file system and limits; the list of system calls is
 * in sandbox_seccomp.c.
 *
 * Who may do what
 *
 * porticod is two processes. The packet process reads what strangers send:
 * packets, requests of the control sockets, lease files with names that hosts
 * gave themselves. The helper (helper.c) never sees any of it; it reads the
 * operator's configuration file's name, runs nft and iptables, and writes
 * kernel settings. They are joined by one socketpair and by nothing else: the
 * helper holds neither lock nor queue nor control socket nor table. Each ends
 * when the other one does.
 *
 * Both start as root, and start is over before the first packet is taken out of
 * the queue. Then, in this order:
 *
 *	                packet process               helper
 *	user            portico, else nobody         root
 *	groups          that user's one              none beside root's
 *	capabilities    CAP_NET_ADMIN                CAP_NET_ADMIN, CAP_NET_RAW
 *	bounding set    none                         the same two
 *	files           none (empty root, Landlock)  as their owner and mode say
 *	new privileges  never                        never
 *	system calls    those of its loop; death     those of nft and iptables;
 *	                for any other                ENOSYS, death for the worst
 *	core, ptrace    none                         none
 *	limits          descriptors; no new file     descriptors, sizes of files
 *	                contents, no processes
 *
 * CAP_NET_ADMIN stays with the packet process because the kernel asks for it
 * with each verdict, with the look at the rules and with the sign of life.
 * CAP_NET_RAW does not: it is asked for when a raw socket is made, not when one
 * sends (raw_sendmsg() in net/ipv4/raw.c).
 *
 * The helper goes without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, since its
 * verbs need neither: they read the configuration and /proc, which are root's,
 * and lease files, which every program that shows names of hosts reads; they
 * write beside the control socket, in root's own /run/portico; the lock of
 * iptables is root's. With one of these two whoever gets into a program that
 * it runs would have each user's files. A configuration that root may not read
 * as its owner or by its mode is told at the start, since a reload would fail;
 * such lease files give no names.
 *
 * What an intruder in the packet process could still do
 *
 * - What a router in his hands means: read and change translated traffic, send
 *   IPv4 packets of any kind by the raw socket, forge the table and the answers
 *   of the control sockets.
 * - Configure the network. One netlink socket cannot be told from another by
 *   what is said in it, so with CAP_NET_ADMIN he can change addresses, routes
 *   and nftables rules of this network namespace. (Not iptables-legacy's: that
 *   call is not on the list.)
 * - Ask the helper for what its verbs do, with the daemon's own devices, mark
 *   and queue: other rules on them, reserved ports, no redirects, forwarding on,
 *   the control sockets' files gone, lines in the log (at most 1 KiB each, and
 *   without control characters).
 * - With a fast path: have the kernel rewrite whatever he likes between inside
 *   devices and uplink, by the table of the program that was loaded before; and
 *   attach that program, no other, elsewhere, and take those of others from
 *   devices (tcx); by the socket that asks for IPsec policies, change those and
 *   their keys.
 * - Read the configuration and lease files, the tables in /proc/net.
 *
 * What he could not do: run a program, make a process, open or change any file,
 * make memory executable, make any socket but netlink's three kinds, signal or
 * trace another process, load a module or a BPF program, mount, change the
 * clock, regain root. After a restart nothing of his is left but the table's
 * file, whose every record is checked.
 *
 * The helper is root with two capabilities and runs programs: who gets into it
 * has the machine. What stands between is the small parser of helper_wire.c.
 */
#include "sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"
#include "log.h"

#define USER "portico"
#define FALLBACK_USER "nobody"
#define FALLBACK_ID 65534

/* Queue, raw, netlink, signals, timers, files that stay open: about 20. */
#define PACKETS_FILES (2 * CONTROL_CLIENTS_MAX + 64)
#define HELPER_FILES 256
/* The text of the largest ruleset, the file of settings. */
#define HELPER_FILE_BYTES (64U << 20)

/* The kernel's sets have 64 bits; EINVAL: it knows less. */
#define CAPS_MAX 64

/* What could not be had, as a list in words. */
struct missing {
	char *text;
	size_t size;
	size_t length;
};

static void miss(struct missing *missing, const char *what, int err)
{
	int printed = snprintf(missing->text + missing->length,
			       missing->size - missing->length, "%s%s (%s)",
			       missing->length ? ", " : "", what,
			       strerror(err));

	if (printed > 0)
		missing->length += (size_t)printed;
	if (missing->length >= missing->size)
		missing->length = missing->size - 1;
}

/* --- file system ---------------------------------------------------------------- */

/* A directory that was removed holds nothing and can never hold anything. */
static int enter_empty(const char *near)
{
	char path[128];
	const char *slash = strrchr(near, '/');
	int err = 0;

	if (!slash || snprintf(path, sizeof(path), "%.*s/.empty-XXXXXX",
			       (int)(slash - near), near) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	if (!mkdtemp(path))
		return -errno;
	if (chmod(path, 0555) || chdir(path))
		err = -errno;
	if (rmdir(path) && !err)
		err = -errno;
	if (!err && chroot("."))
		err = -errno;
	if (chdir("/") && !err)
		err = -errno;
	return err;
}

/* An empty root, Landlock or both: one is enough. */
static void leave_files(int root, int landlock, struct missing *missing)
{
	if (root && landlock)
		miss(missing, "no file system",
		     root == -EPERM ? -landlock : -root);
}

/* --- identity and capabilities -------------------------------------------------- */

struct identity {
	uid_t user;
	gid_t group;
};

static struct identity find_identity(void)
{
	struct passwd *entry = getpwnam(USER);

	if (entry && entry->pw_uid)
		return (struct identity){ entry->pw_uid, entry->pw_gid };
	log_warning("sandbox", "there is no user \"" USER "\": packets are "
			       "handled as \"" FALLBACK_USER
			       "\", which other services may be, too");
	entry = getpwnam(FALLBACK_USER);
	if (entry && entry->pw_uid)
		return (struct identity){ entry->pw_uid, entry->pw_gid };
	return (struct identity){ FALLBACK_ID, FALLBACK_ID };
}

/* Capabilities are kept over the change and reduced afterwards. Half a change
 * is worse than none: -errno then. */
static int change_identity(struct identity identity, struct missing *missing)
{
	/* Forbidden where securebits are locked. */
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)) {
		miss(missing, "its own user", errno);
		return 0;
	}
	if (setgroups(0, NULL)) {
		miss(missing, "its own user", errno);
		return 0;
	}
	if (setresgid(identity.group, identity.group, identity.group)) {
		miss(missing, "its own user", errno);
		return 0;
	}
	if (setresuid(identity.user, identity.user, identity.user)) {
		miss(missing, "its own user", errno);
		return 0;
	}
	return prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) ? -errno : 0;
}

static bool has_cap(unsigned capability)
{
	return capng_have_capability(CAPNG_EFFECTIVE, capability) ||
	       capng_have_capability(CAPNG_PERMITTED, capability);
}

/* Those of the list that this process has at all. */
static void choose_caps(const unsigned *caps, size_t count, capng_type_t types)
{
	for (size_t i = 0; i < count; i++)
		capng_update(CAPNG_ADD, types, caps[i]);
}

/* Whether others than these are left: libcap-ng does not tell. */
static bool in_bounds(const unsigned *caps, size_t count)
{
	for (unsigned cap = 0; cap < CAPS_MAX; cap++) {
		bool kept = false;

		for (size_t i = 0; i < count; i++)
			kept = kept || caps[i] == cap;
		if (!kept && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) > 0)
			return true;
	}
	return false;
}

static void drop_bounds(const unsigned *caps, size_t count,
			struct missing *missing)
{
	if (!has_cap(CAP_SETPCAP)) {
		miss(missing, "an empty bounding set", EPERM);
		return;
	}
	capng_clear(CAPNG_SELECT_BOUNDS);
	choose_caps(caps, count, CAPNG_BOUNDING_SET);
	if (capng_apply(CAPNG_SELECT_BOUNDS) || in_bounds(caps, count))
		miss(missing, "an empty bounding set", EPERM);
}

static int drop_caps(const unsigned *caps, size_t count,
		     struct missing *missing)
{
	capng_clear(CAPNG_SELECT_CAPS);
	choose_caps(caps, count, CAPNG_EFFECTIVE | CAPNG_PERMITTED);
	if (capng_apply(CAPNG_SELECT_CAPS))
		return -EPERM;
	/* Before Linux 4.3 there are none. */
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) &&
	    errno != EINVAL)
		miss(missing, "no ambient capabilities", errno);
	return 0;
}

/* --- limits ---------------------------------------------------------------------- */

static void limit(int what, rlim_t most, const char *name,
		  struct missing *missing)
{
	struct rlimit limit;

	if (getrlimit(what, &limit)) {
		miss(missing, name, errno);
		return;
	}
	if (limit.rlim_max == RLIM_INFINITY || limit.rlim_max > most)
		limit.rlim_max = most;
	if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	if (setrlimit(what, &limit))
		miss(missing, name, errno);
}

/* A log that goes to a plain file has to grow: beyond a limit it would be the
 * daemon's end. */
static void limit_files(rlim_t most, struct missing *missing)
{
	static const char name[] = "a limit of written files";
	struct stat st;

	if (!fstat(STDERR_FILENO, &st)) {
		if (!S_ISREG(st.st_mode))
			limit(RLIMIT_FSIZE, most, name, missing);
	} else if (errno == EBADF) {
		limit(RLIMIT_FSIZE, most, name, missing);
	} else {
		miss(missing, name, errno);
	}
}

static void limit_packets(struct missing *missing)
{
	limit(RLIMIT_CORE, 0, "no core file", missing);
	limit(RLIMIT_NOFILE, PACKETS_FILES, "a limit of open files", missing);
	limit(RLIMIT_NPROC, 0, "a limit of processes", missing);
	limit_files(0, missing);
}

static void limit_helper(struct missing *missing)
{
	limit(RLIMIT_CORE, 0, "no core file", missing);
	limit(RLIMIT_NOFILE, HELPER_FILES, "a limit of open files", missing);
	limit_files(HELPER_FILE_BYTES, missing);
}

/* --- all of it --------------------------------------------------------------------- */

/* Landlock asks for it as well. */
static void no_privileges(struct missing *missing)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		miss(missing, "no new privileges", errno);
}

static void close_door(enum sandbox_role role, struct missing *missing)
{
	int err;

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		miss(missing, "not to be traced", errno);
	err = sandbox_filter(role);
	if (err)
		miss(missing, "the list of system calls", -err);
}

static int compare_bytes(const void *a, const void *b)
{
	return *(const unsigned char *)a - *(const unsigned char *)b;
}

/* Older glibc opens a file for it, the first time that something large is
 * sorted (routes, leases). */
static void sort_once(void)
{
	unsigned char *block = calloc(1, 1U << 16);

	if (block)
		qsort(block, 1U << 16, 1, compare_bytes);
	free(block);
}

static int lock_packets(const char *near, struct missing *missing)
{
	static const unsigned caps[] = { CAP_NET_ADMIN };
	struct identity identity = find_identity();
	int err, root = enter_empty(near), landlock, parents_death = 0;

	sort_once();
	/* Another user's process forgets what it was told (selftest). */
	if (prctl(PR_GET_PDEATHSIG, &parents_death))
		miss(missing, "its parent's end", errno);
	drop_bounds(NULL, 0, missing);
	err = change_identity(identity, missing);
	if (!err)
		err = drop_caps(caps, 1, missing);
	if (parents_death && prctl(PR_SET_PDEATHSIG, parents_death))
		miss(missing, "its parent's end", errno);
	if (err) {
		miss(missing, "dropping capabilities", -err);
		return err;
	}
	limit_packets(missing);
	no_privileges(missing);
	landlock = sandbox_landlock();
	leave_files(root, landlock, missing);
	close_door(SANDBOX_PACKETS, missing);
	return 0;
}

static int lock_helper(struct missing *missing)
{
	static const unsigned caps[] = { CAP_NET_ADMIN, CAP_NET_RAW };
	int err;

	drop_bounds(caps, 2, missing);
	if (setgroups(0, NULL))
		miss(missing, "no supplementary groups", errno);
	err = drop_caps(caps, 2, missing);
	if (err) {
		miss(missing, "dropping capabilities", -err);
		return err;
	}
	limit_helper(missing);
	no_privileges(missing);
	close_door(SANDBOX_HELPER, missing);
	return 0;
}

int sandbox_enter(enum sandbox_role role, const char *near, char *text,
		  size_t size)
{
	struct missing missing = { .text = text, .size = size };
	int err;

	text[0] = '\0';
	capng_get_caps_process();
	err = role == SANDBOX_PACKETS ? lock_packets(near, &missing) :
					lock_helper(&missing);
	return err ? err : missing.length > 0;
}
