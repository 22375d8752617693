/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Host names from the lease files of dnsmasq: lines of
 * "EXPIRES MAC ADDRESS NAME CLIENT-ID", NAME "*" when the host gave none.
 *
 * /tmp can be written by everyone on a plain Linux machine: only regular files
 * are opened (never a waiting FIFO), only of root, of a system account or of
 * ourselves, and only letters that cannot steer a terminal are kept.
 */
#include "names.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Accounts below belong to the system (Debian's and OpenWrt's convention). */
#define FIRST_USER 1000

struct entry {
	uint32_t addr;
	char name[NAMES_LENGTH];
};

struct names {
	unsigned users; /* freed with the last */
	size_t count;
	size_t capacity;
	struct entry *entries; /* sorted by address once loaded */
};

/* What names_load() gives, where it may not read files. */
static struct names *kept;
static bool keeping; /* kept may be NULL: there was no memory for it */

int names_open(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) ||
	    (st.st_uid >= FIRST_USER && st.st_uid != geteuid())) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool name_valid(const char *name)
{
	size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz"
				     "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "0123456789._-");

	return length && !name[length];
}

static bool parse_lease(const char *line, struct entry *entry)
{
	char addr[16];
	struct in_addr in;

	if (sscanf(line, "%*s %*s %15s %63s", addr, entry->name) != 2)
		return false;
	if (inet_pton(AF_INET, addr, &in) != 1 || !name_valid(entry->name))
		return false;
	entry->addr = ntohl(in.s_addr);
	return true;
}

static bool append(struct names *names, const struct entry *entry)
{
	if (names->count == names->capacity) {
		size_t capacity = names->capacity ? names->capacity * 2 : 16;
		struct entry *entries =
			realloc(names->entries, capacity * sizeof(*entries));

		if (!entries)
			return false;
		names->entries = entries;
		names->capacity = capacity;
	}
	names->entries[names->count++] = *entry;
	return true;
}

static void read_leases(struct names *names, int fd)
{
	FILE *file = fdopen(fd, "r");
	char line[512];
	struct entry entry;

	if (!file) {
		close(fd);
		return;
	}
	while (names->count < NAMES_MAX && fgets(line, sizeof(line), file))
		if (parse_lease(line, &entry) && !append(names, &entry))
			break;
	fclose(file);
}

static int compare(const void *a, const void *b)
{
	const struct entry *one = a, *other = b;

	return (one->addr > other->addr) - (one->addr < other->addr);
}

static struct names *names_new(void)
{
	struct names *names = calloc(1, sizeof(*names));

	if (names)
		names->users = 1;
	return names;
}

static void sort(struct names *names)
{
	if (names && names->count)
		qsort(names->entries, names->count, sizeof(*names->entries),
		      compare);
}

struct names *names_read(const char *const files[])
{
	struct names *names = names_new();

	for (; names && *files; files++) {
		int fd = names_open(*files);

		if (fd >= 0)
			read_leases(names, fd);
	}
	sort(names);
	return names;
}

struct names *names_take(int fds[], size_t count)
{
	struct names *names = names_new();

	for (size_t i = 0; names && i < count; i++) {
		if (fds[i] >= 0)
			read_leases(names, fds[i]);
		fds[i] = -1;
	}
	sort(names);
	return names;
}

void names_keep(struct names *names)
{
	names_free(kept);
	kept = names;
	keeping = true;
}

const char *const names_files[] = {
	"/tmp/dhcp.leases", /* OpenWrt */
	"/var/lib/misc/dnsmasq.leases", /* Debian */
	NULL,
};

struct names *names_load(void)
{
	if (!keeping)
		return names_read(names_files);
	if (kept)
		kept->users++;
	return kept;
}

void names_free(struct names *names)
{
	if (!names || --names->users)
		return;
	free(names->entries);
	free(names);
}

const char *names_find(const struct names *names, uint32_t addr)
{
	const struct entry key = { .addr = addr };
	const struct entry *found;

	if (!names || !names->count)
		return NULL;
	found = bsearch(&key, names->entries, names->count,
			sizeof(*names->entries), compare);
	return found ? found->name : NULL;
}
