/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A look into the tables of iptables-legacy. The kernel gives a table as one
 * block of entries: builtin chains first, then each user chain behind an entry
 * that is an ERROR target with the chain's name. A jump holds the offset of
 * the first entry behind such a head.
 *
 * In a file of its own: the kernel's header brings its own net/if.h.
 */
#include "rules_legacy.h"

#include <linux/netfilter_ipv4/ip_tables.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define OURS "PORTICO-"
/* Tables that there are, a line each: to ask for one that is not makes it. Absent
 * while the kernel's module is. */
#define NAMES "/proc/net/ip_tables_names"
#define CHAINS_MAX 16
/* A table larger than this is not ours alone to read every two seconds. */
#define TABLE_MAX (8U << 20)

struct walk {
	const char *block;
	uint32_t size;
	uint32_t starts[CHAINS_MAX]; /* our chains' first entries */
	unsigned chains;
	uint32_t entries;
	uint32_t jumps;
};

/* The entry at an offset, NULL at the end or where it would lie outside. */
static const struct ipt_entry *entry_at(const struct walk *walk,
					uint32_t offset)
{
	const struct ipt_entry *entry;

	if (offset > walk->size || walk->size - offset < sizeof(*entry))
		return NULL;
	entry = (const void *)(walk->block + offset);
	if (entry->next_offset < sizeof(*entry) ||
	    entry->next_offset > walk->size - offset ||
	    entry->target_offset + sizeof(struct xt_entry_target) >
		    entry->next_offset)
		return NULL;
	return entry;
}

static const struct xt_entry_target *target_of(const struct ipt_entry *entry)
{
	return (const void *)((const char *)entry + entry->target_offset);
}

/* The name of the chain that begins behind this entry, NULL: none does. */
static const char *head_name(const struct ipt_entry *entry)
{
	const struct xt_entry_target *target = target_of(entry);

	if (strcmp(target->u.user.name, XT_ERROR_TARGET) ||
	    target->u.target_size < sizeof(struct xt_error_target))
		return NULL;
	return ((const struct xt_error_target *)(const void *)target)
		->errorname;
}

static void count_entries(struct walk *walk)
{
	const struct ipt_entry *entry;
	bool ours = false;

	for (uint32_t at = 0; (entry = entry_at(walk, at));
	     at += entry->next_offset) {
		const char *name = head_name(entry);

		if (name)
			ours = !strncmp(name, OURS, strlen(OURS));
		if (ours)
			walk->entries++;
		if (ours && name && walk->chains < CHAINS_MAX)
			walk->starts[walk->chains++] = at + entry->next_offset;
	}
}

static bool leads_to_us(const struct walk *walk, const struct ipt_entry *entry)
{
	const struct xt_entry_target *target = target_of(entry);
	const struct xt_standard_target *standard = (const void *)target;

	if (target->u.user.name[0] ||
	    target->u.target_size < sizeof(*standard) || standard->verdict < 0)
		return false;
	for (unsigned i = 0; i < walk->chains; i++)
		if ((uint32_t)standard->verdict == walk->starts[i])
			return true;
	return false;
}

static void count_jumps(struct walk *walk)
{
	const struct ipt_entry *entry;

	for (uint32_t at = 0; (entry = entry_at(walk, at));
	     at += entry->next_offset)
		if (leads_to_us(walk, entry))
			walk->jumps++;
}

static int table_size(int fd, const char *table, uint32_t *size)
{
	struct ipt_getinfo info = { .valid_hooks = 0 };
	socklen_t length = sizeof(info);

	strncpy(info.name, table, sizeof(info.name) - 1);
	if (getsockopt(fd, IPPROTO_IP, IPT_SO_GET_INFO, &info, &length))
		return -errno;
	*size = info.size;
	return 0;
}

/* Whose size is known. */
static int read_entries(int fd, const char *table, uint32_t size,
			struct ipt_get_entries **got)
{
	socklen_t length = (socklen_t)(sizeof(**got) + size);
	struct ipt_get_entries *entries = calloc(1, length);

	if (!entries)
		return -ENOMEM;
	strncpy(entries->name, table, sizeof(entries->name) - 1);
	entries->size = size;
	if (getsockopt(fd, IPPROTO_IP, IPT_SO_GET_ENTRIES, entries, &length)) {
		int result = -errno;

		free(entries);
		return result;
	}
	*got = entries;
	return 0;
}

static int read_table(int fd, const char *table, struct ipt_get_entries **got)
{
	uint32_t size;
	int result = table_size(fd, table, &size);

	if (!result && size > TABLE_MAX)
		result = -EFBIG;
	return result ? result : read_entries(fd, table, size, got);
}

/* For the process's life: when it is locked in it can make no others. */
static int look_socket(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	return fd < 0 ? -errno : fd;
}

/* Opened by rules_legacy_prepare() alone: a process that is locked in may not even
 * try. */
static int names_fd = -1;

void rules_legacy_prepare(void)
{
	look_socket();
	if (names_fd < 0)
		names_fd = open(NAMES, O_RDONLY | O_CLOEXEC);
}

bool rules_legacy_any(void)
{
	int fd = open(NAMES, O_RDONLY | O_CLOEXEC);
	char first;
	bool any = fd >= 0 && read(fd, &first, 1) == 1;

	if (fd >= 0)
		close(fd);
	return any;
}

int rules_legacy_count(const char *table, uint32_t *entries, uint32_t *jumps)
{
	struct walk walk = { .size = 0 };
	struct ipt_get_entries *got = NULL;
	int fd = look_socket();
	int result = fd < 0 ? fd : read_table(fd, table, &got);

	if (result)
		return result;
	walk.block = (const char *)got->entrytable;
	walk.size = got->size;
	count_entries(&walk);
	count_jumps(&walk);
	*entries = walk.entries;
	*jumps = walk.jumps;
	free(got);
	return 0;
}

/* --- a sum ----------------------------------------------------------------- */

/* FNV-1a. */
static uint32_t sum_bytes(uint32_t sum, const void *from, size_t count)
{
	const uint8_t *bytes = from;

	while (count--)
		sum = (sum ^ *bytes++) * 16777619U;
	return sum;
}

/* Counters are a member of their own, the last before what a rule asks. */
static uint32_t sum_entries(uint32_t sum, const struct ipt_get_entries *got)
{
	const struct walk walk = { .block = (const char *)got->entrytable,
				   .size = got->size };
	const struct ipt_entry *entry;

	for (uint32_t at = 0; (entry = entry_at(&walk, at));
	     at += entry->next_offset) {
		sum = sum_bytes(sum, entry,
				offsetof(struct ipt_entry, comefrom));
		sum = sum_bytes(sum, entry->elems,
				entry->next_offset - sizeof(*entry));
	}
	return sum;
}

static uint32_t sum_table(uint32_t sum, const char *table)
{
	struct ipt_get_entries *got = NULL;
	int fd = look_socket();
	uint32_t size = 0;
	int result = fd < 0 ? fd : table_size(fd, table, &size);

	sum = sum_bytes(sum_bytes(sum, table, strlen(table)), &size,
			sizeof(size));
	if (!result && size <= RULES_LEGACY_SUM_MAX)
		result = read_entries(fd, table, size, &got);
	if (got)
		sum = sum_entries(sum, got);
	free(got);
	return result ? sum + 1 : sum;
}

uint32_t rules_legacy_sum(void)
{
	char names[256], *rest = names, *name;
	ssize_t count =
		names_fd < 0 ? 0 : pread(names_fd, names, sizeof(names) - 1, 0);
	uint32_t sum = 0;

	names[count > 0 ? count : 0] = '\0';
	while ((name = strsep(&rest, "\n")))
		if (*name)
			sum = sum_table(sum, name);
	return sum;
}
