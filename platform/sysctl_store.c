/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The file of the settings that were changed, so that what was there before
 * outlives a crash:
 *
 *	portico settings BOOT-ID
 *	NAME <tab> BEFORE <tab> WRITTEN		one line for each
 *	end
 *
 * For ip_local_reserved_ports BEFORE is empty and WRITTEN our own addition. A
 * value with a tab or a line's end has no place in it; we write none.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "sysctl_private.h"

#define FIRST_LINE "portico settings "
#define LAST_LINE "end"
#define BOOT_ID "kernel/random/boot_id"
/* The list of ports, and a line for each of some thousand devices. */
#define STORE_MAX (SYSCTL_LIST_MAX + (1U << 20))

/* Settings of an earlier boot are gone: its file says nothing. */
static void read_boot_id(char id[static 64])
{
	if (sysctl_read(BOOT_ID, id, 64))
		strcpy(id, "unknown");
}

/* --- writing ------------------------------------------------------------- */

static void print_setting(const struct sysctl_setting *setting, FILE *out,
			  char *list)
{
	const char *written = setting->written;

	if (setting->added) {
		sysctl_list_print(setting->added, list);
		written = list;
	}
	if (!written || strpbrk(setting->before, "\t\n") ||
	    strpbrk(written, "\t\n"))
		return;
	fprintf(out, "%s\t%s\t%s\n", setting->name, setting->before, written);
}

static int print_all(const struct sysctl_saved *saved, FILE *out)
{
	char *list = malloc(SYSCTL_LIST_MAX);
	char boot[64];

	if (!list)
		return -ENOMEM;
	read_boot_id(boot);
	fprintf(out, FIRST_LINE "%s\n", boot);
	for (const struct sysctl_setting *setting = saved->settings; setting;
	     setting = setting->next)
		print_setting(setting, out, list);
	fputs(LAST_LINE "\n", out);
	free(list);
	/* What was written before the last part may be what failed. */
	errno = 0;
	if (!fflush(out) && !ferror(out))
		return 0;
	return errno ? -errno : -EIO;
}

/* A file of our own making: nobody else's is opened, no link followed. */
static FILE *create(const char *path)
{
	FILE *out;
	int fd;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return NULL;
	out = fdopen(fd, "w");
	if (!out)
		close(fd);
	return out;
}

/* Either the old file or the new one is there at any time. */
static int save(const struct sysctl_saved *saved)
{
	char fresh[PATH_MAX];
	FILE *out;
	int result;

	if ((size_t)snprintf(fresh, sizeof(fresh), "%s.new", saved->store) >=
	    sizeof(fresh))
		return -ENAMETOOLONG;
	out = create(fresh);
	if (!out)
		return -errno;
	result = print_all(saved, out);
	if (fclose(out) && !result)
		result = -errno;
	if (!result && rename(fresh, saved->store))
		result = -errno;
	if (result)
		unlink(fresh);
	return result;
}

void sysctl_store_save(struct sysctl_saved *saved)
{
	int result = saved->store ? save(saved) : 0;

	if (result && !saved->store_error)
		log_warning("settings",
			    "%s cannot be written (%s): after a crash kernel "
			    "settings would stay changed",
			    saved->store, strerror(-result));
	saved->store_error = -result;
}

int sysctl_store_error(const struct sysctl_saved *saved)
{
	return saved->store_error;
}

/* --- reading ------------------------------------------------------------- */

/* Whoever can write the file has kernel settings written: it must be ours. */
static int open_own(const char *path, size_t *size)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int result = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		result = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
		 st.st_mode & (S_IWGRP | S_IWOTH))
		result = -EPERM;
	else if (st.st_size > (off_t)STORE_MAX)
		result = -EFBIG;
	if (result) {
		close(fd);
		return result;
	}
	*size = (size_t)st.st_size;
	return fd;
}

/* The whole file as text, to be freed. 0 or -errno. */
static int read_file(const char *path, char **text)
{
	size_t size = 0, length = 0;
	ssize_t count = 1;
	int fd = open_own(path, &size);

	if (fd < 0)
		return fd;
	*text = malloc(size + 1);
	while (*text && count > 0 && length < size) {
		do
			count = read(fd, *text + length, size - length);
		while (count < 0 && errno == EINTR);
		if (count > 0)
			length += (size_t)count;
	}
	close(fd);
	if (!*text)
		return -ENOMEM;
	(*text)[length] = '\0';
	/* No text holds a zero: what follows one would not be looked at. */
	return length == size && strlen(*text) == size ? 0 : -EINVAL;
}

/* Cuts the next line off; NULL where none ends. */
static char *next_line(char **text)
{
	char *line = *text, *end = strchr(line, '\n');

	if (!end)
		return NULL;
	*end = '\0';
	*text = end + 1;
	return line;
}

static int take_reserved(struct sysctl_saved *saved, const char *list)
{
	struct sysctl_setting *setting =
		sysctl_remember(saved, SYSCTL_RESERVED_PORTS, "");

	if (!setting)
		return -ENOMEM;
	setting->added = calloc(1, sizeof(*setting->added));
	return setting->added ? sysctl_list_parse(list, setting->added) :
				-ENOMEM;
}

/* What no longer holds our value has been changed by others since, and is not
 * ours to put back. */
static int take(struct sysctl_saved *saved, const char *name,
		const char *before, const char *written)
{
	struct sysctl_setting *setting;
	char now[SYSCTL_VALUE_MAX];
	int result = sysctl_read(name, now, sizeof(now));

	if (result)
		return result == -ENOENT ? 0 : result; /* its device is gone */
	if (strcmp(now, written))
		return 0;
	setting = sysctl_remember(saved, name, before);
	return setting ? sysctl_note_written(setting, written) : -ENOMEM;
}

static int take_line(struct sysctl_saved *saved, char *line)
{
	char *before = strchr(line, '\t');
	char *written = before ? strchr(before + 1, '\t') : NULL;

	if (!written || strchr(written + 1, '\t'))
		return -EINVAL;
	*before++ = '\0';
	*written++ = '\0';
	if (!strcmp(line, SYSCTL_RESERVED_PORTS))
		return take_reserved(saved, written);
	return take(saved, line, before, written);
}

static int take_lines(struct sysctl_saved *saved, char *text)
{
	char *line;
	int result = 0;

	while (!result && (line = next_line(&text))) {
		if (!strcmp(line, LAST_LINE))
			return *text ? -EINVAL : 0;
		result = take_line(saved, line);
	}
	return result ? result : -EINVAL;
}

static int take_all(struct sysctl_saved *saved, char *text)
{
	const size_t length = strlen(FIRST_LINE);
	char *line = next_line(&text);
	char boot[64];

	if (!line || strncmp(line, FIRST_LINE, length))
		return -EINVAL;
	read_boot_id(boot);
	return strcmp(line + length, boot) ? 0 : take_lines(saved, text);
}

void sysctl_store_load(struct sysctl_saved *saved)
{
	char *text = NULL;
	int result = read_file(saved->store, &text);

	if (!result)
		result = take_all(saved, text);
	free(text);
	if (!result || result == -ENOENT)
		return;
	sysctl_forget(saved);
	log_warning("settings",
		    "%s: %s; what was set before a crash is not known",
		    saved->store,
		    result == -EINVAL ? "damaged" : strerror(-result));
}
