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
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define OURS "PORTICO-"
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

static int read_table(int fd, const char *table, struct ipt_get_entries **got)
{
	struct ipt_getinfo info = { .valid_hooks = 0 };
	socklen_t length = sizeof(info);
	struct ipt_get_entries *entries;

	strncpy(info.name, table, sizeof(info.name) - 1);
	if (getsockopt(fd, IPPROTO_IP, IPT_SO_GET_INFO, &info, &length))
		return -errno;
	if (info.size > TABLE_MAX)
		return -EFBIG;
	length = (socklen_t)(sizeof(*entries) + info.size);
	entries = calloc(1, length);
	if (!entries)
		return -ENOMEM;
	strncpy(entries->name, table, sizeof(entries->name) - 1);
	entries->size = info.size;
	if (getsockopt(fd, IPPROTO_IP, IPT_SO_GET_ENTRIES, entries, &length)) {
		int result = -errno;

		free(entries);
		return result;
	}
	*got = entries;
	return 0;
}

/* One for the process's life: when it is locked in it can make no other. */
static int look_socket(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	return fd < 0 ? -errno : fd;
}

void rules_legacy_prepare(void)
{
	look_socket();
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
