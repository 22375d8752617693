/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Kernel settings under /proc/sys, remembered before they are changed and put
 * back only where nobody else has changed them since.
 */
#include "sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files.h"
#include "log.h"
#include "sysctl_private.h"

#define NAME_MAX_BYTES 128
#define PORT_RANGE "net/ipv4/ip_local_port_range"
#define ROUTER_PORTS 2048U

/* Names are built with device names in them: none may lead out of /proc/sys. */
static int open_setting(const char *name, int flags)
{
	char path[NAME_MAX_BYTES + sizeof("/proc/sys/")];
	int length, fd;

	if (name[0] == '/' || strstr(name, "../"))
		return -EINVAL;
	length = snprintf(path, sizeof(path), "/proc/sys/%s", name);
	if (length < 0 || (size_t)length >= sizeof(path))
		return -ENAMETOOLONG;
	if (flags == O_RDONLY)
		return files_open(path);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Reads to the end: the kernel gives a long port list in pieces. */
static int read_all(int fd, char *value, size_t size)
{
	size_t length = 0;

	while (length < size - 1) {
		ssize_t count = read(fd, value + length, size - 1 - length);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -errno;
		if (!count)
			break;
		length += (size_t)count;
	}
	/* An empty value is a line, too. */
	if (!length)
		return -EIO;
	if (length == size - 1)
		return -EMSGSIZE;
	while (length && value[length - 1] == '\n')
		length--;
	value[length] = '\0';
	return 0;
}

int sysctl_read(const char *name, char *value, size_t size)
{
	int fd, result;

	if (!size)
		return -EINVAL;
	value[0] = '\0';
	fd = open_setting(name, O_RDONLY);
	if (fd < 0)
		return fd;
	result = read_all(fd, value, size);
	close(fd);
	return result;
}

/* A value goes in one write; only a list of ports longer than a page is taken
 * in several, on one descriptor. */
static int write_all(int fd, const char *value, size_t length)
{
	while (length) {
		ssize_t done = write(fd, value, length);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		value += done;
		length -= (size_t)done;
	}
	return 0;
}

int sysctl_write(const char *name, const char *value)
{
	int fd, result;

	fd = open_setting(name, O_WRONLY);
	if (fd < 0)
		return fd;
	/* An empty list of ports is written as a newline. */
	result = write_all(fd, *value ? value : "\n",
			   *value ? strlen(value) : 1);
	close(fd);
	return result;
}

static void setting_free(struct sysctl_setting *setting)
{
	free(setting->name);
	free(setting->before);
	free(setting->written);
	free(setting->added);
	free(setting);
}

void sysctl_forget(struct sysctl_saved *saved)
{
	while (saved->settings) {
		struct sysctl_setting *setting = saved->settings;

		saved->settings = setting->next;
		setting_free(setting);
	}
}

struct sysctl_saved *sysctl_new(const char *store)
{
	struct sysctl_saved *saved = calloc(1, sizeof(*saved));

	if (!saved || !store)
		return saved;
	saved->store = strdup(store);
	if (!saved->store) {
		free(saved);
		return NULL;
	}
	sysctl_store_load(saved);
	return saved;
}

static struct sysctl_setting *find(const struct sysctl_saved *saved,
				   const char *name)
{
	struct sysctl_setting *setting = saved->settings;

	while (setting && strcmp(setting->name, name))
		setting = setting->next;
	return setting;
}

struct sysctl_setting *sysctl_remember(struct sysctl_saved *saved,
				       const char *name, const char *before)
{
	struct sysctl_setting *setting = calloc(1, sizeof(*setting));

	if (!setting)
		return NULL;
	setting->name = strdup(name);
	setting->before = strdup(before);
	if (!setting->name || !setting->before) {
		setting_free(setting);
		return NULL;
	}
	setting->next = saved->settings;
	saved->settings = setting;
	return setting;
}

int sysctl_note_written(struct sysctl_setting *setting, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(setting->written);
	setting->written = copy;
	return 0;
}

/* Notes the value before it is written, so that no crash finds a setting
 * changed and not noted. A value that is then refused does no harm: only what
 * is found there at the end is put back. */
static int change(struct sysctl_saved *saved, struct sysctl_setting *setting,
		  const char *value)
{
	char now[SYSCTL_VALUE_MAX] = "";
	int result = sysctl_note_written(setting, value);

	if (result)
		return result;
	sysctl_store_save(saved);
	result = sysctl_write(setting->name, value);
	if (!result)
		result = sysctl_read(setting->name, now, sizeof(now));
	if (result || !strcmp(now, value))
		return result;
	/* The kernel shows "1" for "01". */
	result = sysctl_note_written(setting, now);
	sysctl_store_save(saved);
	return result;
}

int sysctl_set(struct sysctl_saved *saved, const char *name, const char *value)
{
	struct sysctl_setting *setting = find(saved, name);
	char now[SYSCTL_VALUE_MAX];
	int result;

	result = sysctl_read(name, now, sizeof(now));
	if (result == -ENOENT)
		return 0; /* its device is gone */
	if (result)
		return result;
	if (!setting && !strcmp(now, value))
		return 0; /* not ours to put back */
	if (!setting)
		setting = sysctl_remember(saved, name, now);
	if (!setting)
		return -ENOMEM;
	result = change(saved, setting, value);
	return result == -ENOENT ? 0 : result;
}

/* --- port lists: "1024-2047,8080" ---------------------------------------- */

static bool parse_port(const char **text, unsigned *port)
{
	char *end;
	unsigned long value;

	if (**text < '0' || **text > '9')
		return false;
	value = strtoul(*text, &end, 10);
	if (value >= NAT_PORTS)
		return false;
	*text = end;
	*port = (unsigned)value;
	return true;
}

int sysctl_list_parse(const char *text, struct nat_portset *set)
{
	while (*text) {
		unsigned first, last;

		if (!parse_port(&text, &first))
			return -EINVAL;
		last = first;
		if (*text == '-' && (text++, !parse_port(&text, &last)))
			return -EINVAL;
		for (unsigned port = first; port <= last; port++)
			nat_portset_add(set, (uint16_t)port);
		if (*text && *text++ != ',')
			return -EINVAL;
	}
	return 0;
}

void sysctl_list_print(const struct nat_portset *set, char *text)
{
	size_t length = 0;

	text[0] = '\0';
	for (unsigned port = 0; port < NAT_PORTS; port++) {
		unsigned first = port;

		if (!nat_portset_has(set, (uint16_t)port))
			continue;
		while (port + 1 < NAT_PORTS &&
		       nat_portset_has(set, (uint16_t)(port + 1)))
			port++;
		length += (size_t)snprintf(text + length,
					   SYSCTL_LIST_MAX - length,
					   port > first ? "%s%u-%u" : "%s%u",
					   length ? "," : "", first, port);
	}
}

static int reserved_read(char *text, struct nat_portset *set)
{
	int result = sysctl_read(SYSCTL_RESERVED_PORTS, text, SYSCTL_LIST_MAX);

	memset(set, 0, sizeof(*set));
	return result ? result : sysctl_list_parse(text, set);
}

static bool holds_all(const struct nat_portset *set,
		      const struct nat_portset *part)
{
	for (size_t i = 0; i < sizeof(set->bits); i++)
		if (part->bits[i] & ~set->bits[i])
			return false;
	return true;
}

/* now - added + wanted; added: what of wanted was not there otherwise. */
static void merge(struct nat_portset *now, struct nat_portset *added,
		  const struct nat_portset *wanted)
{
	for (size_t i = 0; i < sizeof(now->bits); i++) {
		uint8_t others = now->bits[i] & (uint8_t)~added->bits[i];

		added->bits[i] = wanted->bits[i] & (uint8_t)~others;
		now->bits[i] = others | added->bits[i];
	}
}

/* Puts `wanted` in the place of the ports added before. */
static int reserve(struct sysctl_saved *saved, struct sysctl_setting *setting,
		   const struct nat_portset *wanted, char *text)
{
	struct nat_portset now;
	int result = reserved_read(text, &now);

	if (result)
		return result;
	if (!holds_all(&now, setting->added))
		memset(setting->added, 0, sizeof(*setting->added));
	merge(&now, setting->added, wanted);
	sysctl_store_save(saved);
	sysctl_list_print(&now, text);
	return sysctl_write(SYSCTL_RESERVED_PORTS, text);
}

static struct sysctl_setting *remember_reserved(struct sysctl_saved *saved)
{
	struct sysctl_setting *setting = find(saved, SYSCTL_RESERVED_PORTS);

	if (!setting)
		setting = sysctl_remember(saved, SYSCTL_RESERVED_PORTS, "");
	if (setting && !setting->added)
		setting->added = calloc(1, sizeof(*setting->added));
	return setting && setting->added ? setting : NULL;
}

int sysctl_reserve_ports(struct sysctl_saved *saved,
			 const struct nat_portset *ports)
{
	char *text = malloc(SYSCTL_LIST_MAX);
	struct sysctl_setting *setting = remember_reserved(saved);
	int result = -ENOMEM;

	if (text && setting)
		result = reserve(saved, setting, ports, text);
	free(text);
	return result;
}

/* --- putting back -------------------------------------------------------- */

static int restore_ports(struct sysctl_saved *saved,
			 struct sysctl_setting *setting)
{
	/* Not const: zeros that need no place in the program. */
	static struct nat_portset none;
	char *text = malloc(SYSCTL_LIST_MAX);
	int result = -ENOMEM;

	if (text)
		result = reserve(saved, setting, &none, text);
	free(text);
	return result;
}

void sysctl_keep(struct sysctl_saved *saved, const char *name)
{
	struct sysctl_setting *setting = find(saved, name);

	if (setting)
		setting->kept = true;
}

static int restore(struct sysctl_saved *saved, struct sysctl_setting *setting)
{
	char now[SYSCTL_VALUE_MAX];
	int result;

	if (setting->added)
		return restore_ports(saved, setting);
	if (setting->kept || !setting->written)
		return 0;
	result = sysctl_read(setting->name, now, sizeof(now));
	if (!result && !strcmp(now, setting->written))
		result = sysctl_write(setting->name, setting->before);
	return result == -ENOENT ? 0 : result; /* its device is gone */
}

/* Whether what is not kept is put back. */
static bool restore_all(struct sysctl_saved *saved)
{
	bool all = true;

	for (struct sysctl_setting *setting = saved->settings; setting;
	     setting = setting->next) {
		int result = restore(saved, setting);

		if (!result)
			continue;
		all = false;
		log_warning("settings",
			    "%s is not put back: %s; the next daemon's stop "
			    "tries again",
			    setting->name, strerror(-result));
	}
	return all;
}

static void forget_but_kept(struct sysctl_saved *saved)
{
	struct sysctl_setting **at = &saved->settings;

	while (*at) {
		struct sysctl_setting *setting = *at;

		if (setting->kept) {
			at = &setting->next;
			continue;
		}
		*at = setting->next;
		setting_free(setting);
	}
}

void sysctl_restore(struct sysctl_saved *saved)
{
	char *store;

	if (!saved)
		return;
	/* The file stays as it is until all is done: a crash on the way leaves
	 * the rest to the next start. */
	store = saved->store;
	saved->store = NULL;
	if (restore_all(saved) && store) {
		forget_but_kept(saved);
		saved->store = store;
		if (saved->settings)
			sysctl_store_save(saved);
		else
			unlink(store);
	}
	sysctl_forget(saved);
	free(store);
	free(saved);
}

static int local_ports(struct config_range *range)
{
	char text[64];
	unsigned first, last;
	int result = sysctl_read(PORT_RANGE, text, sizeof(text));

	if (result)
		return result;
	if (sscanf(text, "%u %u", &first, &last) != 2 || first > last ||
	    last >= NAT_PORTS)
		return -EINVAL;
	range->first = (uint16_t)first;
	range->last = (uint16_t)last;
	return 0;
}

int sysctl_router_ports(struct config_range *range)
{
	int result = local_ports(range);

	if (!result && (unsigned)(range->last - range->first) >= ROUTER_PORTS)
		range->last = (uint16_t)(range->first + ROUTER_PORTS - 1);
	return result;
}

bool sysctl_no_local_port(struct config_range *range)
{
	char *text = malloc(SYSCTL_LIST_MAX);
	struct nat_portset reserved;
	bool none = text && !local_ports(range) &&
		    !reserved_read(text, &reserved);

	for (uint32_t port = range->first; none && port <= range->last; port++)
		none = nat_portset_has(&reserved, (uint16_t)port);
	free(text);
	return none;
}
