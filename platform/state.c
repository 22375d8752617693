/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"
#include "loop.h"
#include "sysctl.h"

#define BOOT_ID "kernel/random/boot_id"
#define BOOT_BYTES 16

/* An earlier table larger than that is none of ours. */
#define OLD_MAX ((off_t)INT32_MAX) /* an off_t may have 32 bits */

/* A daemon that was killed may have left a child that has not closed its files
 * yet (doctor_child.c). */
#define LOCK_PATIENCE_MS 1000
#define LOCK_PAUSE_MS 50

/* What was in a file that cannot become the table itself. */
struct old {
	void *block; /* NULL: nothing */
	size_t bytes;
};

/* --- memory ---------------------------------------------------------------- */

void *state_block(size_t bytes)
{
	void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (block == MAP_FAILED)
		return NULL;
	/* No child looks into the tables, and none shall have to copy them. */
	(void)madvise(block, bytes, MADV_DONTFORK);
	return block;
}

/* In full first: a page that the file system has no room for would be a
 * SIGBUS later. 0 or -errno. */
static int map_file(struct state *state, int fd)
{
	void *block;
	int err;

	do
		err = posix_fallocate(fd, 0, (off_t)state->bytes);
	while (err == EINTR);
	if (err)
		return -err;
	block = mmap(NULL, state->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		     0);
	if (block == MAP_FAILED)
		return -errno;
	(void)madvise(block, state->bytes, MADV_DONTFORK);
	state->records = block;
	state->fd = fd;
	return 0;
}

/* Pages are resident as they come into use, not because the start has looked
 * at them all. */
static void settle(const struct state *state)
{
	(void)madvise(state->records, state->bytes, MADV_DONTNEED);
}

/* What is resident is kept from swap, where that is allowed: a packet waits for
 * no disk, however short memory is. */
static void keep(void *block, size_t bytes)
{
#ifdef SYS_mlock2
	(void)syscall(SYS_mlock2, block, bytes, 1 /* MLOCK_ONFAULT */);
#else
	(void)block;
	(void)bytes;
#endif
}

/* --- the file ---------------------------------------------------------------- */

static int lock(int fd)
{
	for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB);
	     waited += LOCK_PAUSE_MS) {
		if (errno != EWOULDBLOCK || waited >= LOCK_PATIENCE_MS)
			return -errno;
		poll(NULL, 0, LOCK_PAUSE_MS);
	}
	return 0;
}

/* Is it ours, nobody else's, and still the one of that name? 0 or -errno. */
static int check_own(int fd, const char *path, struct stat *st)
{
	struct stat named;
	int err;

	if (fstat(fd, st))
		return -errno;
	if (!S_ISREG(st->st_mode) || st->st_uid != geteuid() ||
	    st->st_nlink != 1 || st->st_mode & (S_IWGRP | S_IWOTH))
		return -EPERM;
	err = lock(fd);
	if (err)
		return err;
	if (lstat(path, &named))
		return -errno;
	if (named.st_dev != st->st_dev || named.st_ino != st->st_ino)
		return -ESTALE;
	return fchmod(fd, 0600) || fstat(fd, st) ? -errno : 0;
}

/* Returns a locked file of our own, -ENOENT: there is none, other -errno. */
static int open_own(const char *path, struct stat *st)
{
	int fd = open(path,
		      O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	err = check_own(fd, path, st);
	if (!err)
		return fd;
	close(fd);
	return err;
}

/* A new file takes the place of the old one when it is complete. */
static int make_file(struct state *state, const char *path)
{
	char fresh[PATH_MAX];
	int fd, err;

	if ((size_t)snprintf(fresh, sizeof(fresh), "%s.new", path) >=
	    sizeof(fresh))
		return -ENAMETOOLONG;
	if (unlink(fresh) && errno != ENOENT)
		return -errno;
	fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		  0600);
	if (fd < 0)
		return -errno;
	err = lock(fd);
	if (!err)
		err = map_file(state, fd);
	if (!err && rename(fresh, path)) {
		err = -errno;
		munmap(state->records, state->bytes);
		state->records = NULL;
		state->fd = -1;
	}
	if (err) {
		unlink(fresh);
		close(fd);
	}
	return err;
}

/* Read, not mapped: a file with holes on a full file system cannot hurt. */
static void read_old(int fd, off_t size, struct old *old)
{
	size_t done = 0;

	if (size <= 0 || size > OLD_MAX)
		return;
	old->bytes = (size_t)size;
	old->block = state_block(old->bytes);
	while (old->block && done < old->bytes) {
		ssize_t got = pread(fd, (char *)old->block + done,
				    old->bytes - done, (off_t)done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		done += (size_t)got;
	}
}

/* Maps the file of this name, or a new one in its place. 0 or -errno. */
static int take_file(struct state *state, const char *path, struct old *old)
{
	struct stat st;
	int fd = open_own(path, &st);
	int err;

	if (fd == -ENOENT)
		return make_file(state, path);
	if (fd < 0)
		return fd;
	if (st.st_size == (off_t)state->bytes) {
		err = map_file(state, fd);
		if (!err)
			return 0;
	} else {
		read_old(fd, st.st_size, old);
		err = make_file(state, path);
	}
	/* What we go on without must not be taken for the table later. */
	if (err)
		unlink(path);
	close(fd);
	return err;
}

/* Room is a matter of size: a file system that is large enough for others may
 * be too small for this table. */
static const char *reason(int err, size_t bytes, char *text, size_t size)
{
	switch (-err) {
	case ENOSPC:
		snprintf(text, size,
			 "its file system has no room for its %zu KB",
			 bytes / 1024);
		return text;
	case ELOOP:
		return "it is a symbolic link";
	case EPERM:
		return "it is no plain file that only our user can write";
	case EWOULDBLOCK:
		return "another daemon uses it";
	}
	return strerror(-err);
}

/* --- restoring ----------------------------------------------------------------- */

/* What cannot be known is never the same as before. */
static void read_boot(uint8_t boot[static BOOT_BYTES])
{
	char text[64] = "";
	size_t digits = 0;

	if (sysctl_read(BOOT_ID, text, sizeof(text)))
		text[0] = '\0';
	memset(boot, 0, BOOT_BYTES);
	for (const char *at = text; *at && digits < 2 * BOOT_BYTES; at++) {
		const char digit[2] = { *at, '\0' };

		if (!isxdigit((unsigned char)*at))
			continue;
		boot[digits / 2] = (uint8_t)(boot[digits / 2] << 4 |
					     strtoul(digit, NULL, 16));
		digits++;
	}
	if (digits != 2 * BOOT_BYTES &&
	    getrandom(boot, BOOT_BYTES, 0) != BOOT_BYTES)
		log_warning("state", "no random bytes: %s", strerror(errno));
}

/* Why records were dropped, in words; empty when none was. */
static void name_losses(const struct nat_restored *r, char *text, size_t size)
{
	static const char *const names[NAT_LOSSES] = {
		[NAT_LOSS_DAMAGED] = "damaged",
		[NAT_LOSS_RANGE] = "out of range",
		[NAT_LOSS_DUPLICATE] = "twice there",
		[NAT_LOSS_ORPHAN] = "without what they belong to",
	};
	size_t length = 0;

	text[0] = '\0';
	for (int loss = 0; loss < NAT_LOSSES && length < size; loss++)
		if (names[loss] && r->lost[loss])
			length += (size_t)snprintf(text + length, size - length,
						   "%s%" PRIu32 " records %s",
						   length ? ", " : "",
						   r->lost[loss], names[loss]);
}

static struct nat *restore(struct state *state, const struct nat_limits *limits,
			   const struct nat_secrets *secrets, void *indices,
			   size_t indices_bytes, const struct old *old)
{
	int64_t began = loop_wait_clock_ms();
	uint64_t now_ms = loop_clock_ms();
	uint8_t boot[BOOT_BYTES];
	struct nat *nat;

	read_boot(boot);
	nat = nat_restore(limits, secrets, boot, state->records, state->bytes,
			  indices, indices_bytes, now_ms, &state->restored);
	if (nat && old->block)
		nat_rest_ports(nat, old->block, old->bytes, now_ms,
			       &state->restored);
	state->ms = (uint64_t)(loop_wait_clock_ms() - began);
	return nat;
}

struct nat *state_open(struct state *state, const char *path,
		       const struct nat_limits *limits,
		       const struct nat_secrets *secrets, void *indices,
		       size_t indices_bytes)
{
	struct old old = { NULL, 0 };
	struct nat *nat = NULL;
	char text[64];
	int err;

	*state = (struct state){ .bytes = nat_records_size(limits), .fd = -1 };
	err = take_file(state, path, &old);
	if (err) {
		snprintf(state->warning, sizeof(state->warning),
			 "state: %s cannot be used (%s): the table will not "
			 "survive a restart",
			 path, reason(err, state->bytes, text, sizeof(text)));
		state->records = state_block(state->bytes);
	}
	if (state->records)
		nat = restore(state, limits, secrets, indices, indices_bytes,
			      &old);
	if (old.block)
		munmap(old.block, old.bytes);
	if (nat && !err)
		settle(state);
	if (nat) {
		keep(state->records, state->bytes);
		keep(indices, indices_bytes);
	}
	return nat;
}

void state_tell(const struct state *state, const char *path)
{
	const struct nat_restored *r = &state->restored;
	char losses[192];

	name_losses(r, losses, sizeof(losses));
	if (state->warning[0])
		log_warning("state", "%s", state->warning + strlen("state: "));
	else if (r->past == NAT_PAST_DAMAGED || r->past == NAT_PAST_LAYOUT)
		log_warning("state", "%s: %s; the table begins empty", path,
			    nat_past_name(r->past));
	else if (r->past != NAT_PAST_KEPT)
		log_info("state", "%s: %s; %" PRIu32 " ports rest", path,
			 nat_past_name(r->past), r->held);
	else
		log_info("state",
			 "%s: the table goes on after %s: %" PRIu32
			 " mappings, %" PRIu32 " sessions, %" PRIu32
			 " hosts, %" PRIu32 " ports at rest; dropped: %s; "
			 "%" PRIu64 " ms",
			 path, r->clean ? "an orderly stop" : "a sudden end",
			 r->mappings, r->sessions, r->hosts, r->held,
			 losses[0] ? losses : "nothing", state->ms);
}

void state_close(struct state *state, struct nat *nat)
{
	if (nat)
		nat_leave(nat);
	if (state->records)
		munmap(state->records, state->bytes);
	if (state->fd >= 0)
		close(state->fd);
	state->records = NULL;
	state->fd = -1;
}
