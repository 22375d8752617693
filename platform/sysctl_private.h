/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What sysctl.c (changing, putting back) and sysctl_store.c (the file that
 * outlives a crash) share.
 */
#ifndef PORTICO_PLATFORM_SYSCTL_PRIVATE_H
#define PORTICO_PLATFORM_SYSCTL_PRIVATE_H

#include <stdbool.h>

#include "sysctl.h"

#define SYSCTL_RESERVED_PORTS "net/ipv4/ip_local_reserved_ports"
/* Longest value but for the list of ports, with its end. */
#define SYSCTL_VALUE_MAX 256
/* Room for a list in which every second port stands alone: 32,768 times
 * "65535,". */
#define SYSCTL_LIST_MAX (6U * NAT_PORTS / 2)

struct sysctl_setting {
	struct sysctl_setting *next;
	char *name;
	char *before;
	char *written; /* NULL: nothing yet */
	/* For ip_local_reserved_ports: the ports that are our own addition.
	 * Others may have added theirs since; only ours are taken out. Where
	 * one of ours is missing, somebody wrote a list of their own: then
	 * none is ours any more. */
	struct nat_portset *added;
	bool kept;
};

struct sysctl_saved {
	struct sysctl_setting *settings; /* the latest first */
	char *store; /* NULL: no file */
	int store_error; /* why it is not written, an errno; told once */
};

/* Adds a setting at the head of the list; NULL without memory. */
struct sysctl_setting *sysctl_remember(struct sysctl_saved *saved,
				       const char *name, const char *before);
/* Empties the list. */
void sysctl_forget(struct sysctl_saved *saved);
/* 0 or -ENOMEM. */
int sysctl_note_written(struct sysctl_setting *setting, const char *value);

/* Adds the ports of a list ("1024-2047,8080") to the set. 0 or -EINVAL. */
int sysctl_list_parse(const char *text, struct nat_portset *set);
/* Writes the set as a list; text has SYSCTL_LIST_MAX bytes. */
void sysctl_list_print(const struct nat_portset *set, char *text);

/* --- sysctl_store.c ------------------------------------------------------ */

/* Replaces the file by what saved holds now; without a file does nothing. What
 * fails is logged once: settings are changed all the same. */
void sysctl_store_save(struct sysctl_saved *saved);
/* Fills the empty list from the file, where there is one. What is damaged is
 * left aside as a whole, with a warning. */
void sysctl_store_load(struct sysctl_saved *saved);

#endif
