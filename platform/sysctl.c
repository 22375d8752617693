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

#define NAME_MAX_BYTES 128
#define RESERVED_PORTS "net/ipv4/ip_local_reserved_ports"
#define PORT_RANGE "net/ipv4/ip_local_port_range"
#define ROUTER_PORTS 2048U
/* Room for a list in which every second port stands alone: 32,768 times
 * "65535,". */
#define PORT_LIST_MAX (6U * NAT_PORTS / 2)

struct setting {
	struct setting *next;
	char *name;
	char *before;
	char *written;
	/* For ip_local_reserved_ports: the ports that are our own addition.
	 * Others may have added theirs since; only ours are taken out. Where
	 * one of ours is missing, somebody wrote a list of their own: then
	 * none is ours any more. */
	struct nat_portset *added;
};

struct sysctl_saved {
	struct setting *settings; /* the latest first */
};

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

struct sysctl_saved *sysctl_new(void)
{
	return calloc(1, sizeof(struct sysctl_saved));
}

static struct setting *find(const struct sysctl_saved *saved, const char *name)
{
	struct setting *setting = saved->settings;

	while (setting && strcmp(setting->name, name))
		setting = setting->next;
	return setting;
}

static void setting_free(struct setting *setting)
{
	free(setting->name);
	free(setting->before);
	free(setting->written);
	free(setting->added);
	free(setting);
}

static struct setting *remember(struct sysctl_saved *saved, const char *name,
				const char *before)
{
	struct setting *setting = calloc(1, sizeof(*setting));

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

/* What the kernel shows after the write ("1" for "01"). */
static int note_written(struct setting *setting, const char *name, char *buffer,
			size_t size)
{
	int result = sysctl_read(name, buffer, size);
	char *copy;

	if (result)
		return result;
	copy = strdup(buffer);
	if (!copy)
		return -ENOMEM;
	free(setting->written);
	setting->written = copy;
	return 0;
}

int sysctl_set(struct sysctl_saved *saved, const char *name, const char *value)
{
	struct setting *setting = find(saved, name);
	char now[256];
	int result;

	result = sysctl_read(name, now, sizeof(now));
	if (result == -ENOENT)
		return 0; /* its device is gone */
	if (result)
		return result;
	if (!setting && !strcmp(now, value))
		return 0; /* not ours to put back */
	if (!setting)
		setting = remember(saved, name, now);
	if (!setting)
		return -ENOMEM;
	result = sysctl_write(name, value);
	if (result == -ENOENT)
		return 0;
	return result ? result : note_written(setting, name, now, sizeof(now));
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

/* Adds the ports of a list to the set. 0 or -EINVAL. */
static int list_parse(const char *text, struct nat_portset *set)
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

/* Writes the set as a list; text has PORT_LIST_MAX bytes. */
static void list_print(const struct nat_portset *set, char *text)
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
					   PORT_LIST_MAX - length,
					   port > first ? "%s%u-%u" : "%s%u",
					   length ? "," : "", first, port);
	}
}

static int reserved_read(char *text, struct nat_portset *set)
{
	int result = sysctl_read(RESERVED_PORTS, text, PORT_LIST_MAX);

	memset(set, 0, sizeof(*set));
	return result ? result : list_parse(text, set);
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
static int reserve(struct setting *setting, const struct nat_portset *wanted,
		   char *text)
{
	struct nat_portset now;
	int result = reserved_read(text, &now);

	if (result)
		return result;
	if (!holds_all(&now, setting->added))
		memset(setting->added, 0, sizeof(*setting->added));
	merge(&now, setting->added, wanted);
	list_print(&now, text);
	return sysctl_write(RESERVED_PORTS, text);
}

static struct setting *remember_reserved(struct sysctl_saved *saved)
{
	struct setting *setting = find(saved, RESERVED_PORTS);

	if (!setting)
		setting = remember(saved, RESERVED_PORTS, "");
	if (setting && !setting->added)
		setting->added = calloc(1, sizeof(*setting->added));
	return setting && setting->added ? setting : NULL;
}

int sysctl_reserve_ports(struct sysctl_saved *saved,
			 const struct nat_portset *ports)
{
	char *text = malloc(PORT_LIST_MAX);
	struct setting *setting = remember_reserved(saved);
	int result;

	result = text && setting ? reserve(setting, ports, text) : -ENOMEM;
	free(text);
	return result;
}

/* --- putting back -------------------------------------------------------- */

static void restore_reserved(struct setting *setting)
{
	static const struct nat_portset none;
	char *text = malloc(PORT_LIST_MAX);

	if (text)
		reserve(setting, &none, text);
	free(text);
}

static void restore(struct setting *setting)
{
	char now[256];

	if (setting->added) {
		restore_reserved(setting);
		return;
	}
	if (!setting->written || sysctl_read(setting->name, now, sizeof(now)))
		return;
	if (!strcmp(now, setting->written))
		sysctl_write(setting->name, setting->before);
}

void sysctl_restore(struct sysctl_saved *saved)
{
	if (!saved)
		return;
	while (saved->settings) {
		struct setting *setting = saved->settings;

		saved->settings = setting->next;
		restore(setting);
		setting_free(setting);
	}
	free(saved);
}

int sysctl_router_ports(struct config_range *range)
{
	char text[64];
	unsigned first, last;
	int result = sysctl_read(PORT_RANGE, text, sizeof(text));

	if (result)
		return result;
	if (sscanf(text, "%u %u", &first, &last) != 2 || first > last ||
	    last >= NAT_PORTS)
		return -EINVAL;
	if (last - first >= ROUTER_PORTS)
		last = first + ROUTER_PORTS - 1;
	range->first = (uint16_t)first;
	range->last = (uint16_t)last;
	return 0;
}
