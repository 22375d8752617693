/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

/* Whether this process may open files is a fact of its whole life. */
static struct {
	int (*open)(void *context, const char *path);
	void *context;
} asked;

void files_ask(int (*opener)(void *context, const char *path), void *context)
{
	asked.open = opener;
	asked.context = context;
}

int files_open(const char *path)
{
	int fd;

	if (asked.open)
		return asked.open(asked.context, path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

FILE *files_stream(const char *path)
{
	int fd = files_open(path);
	FILE *file;

	if (fd < 0) {
		errno = -fd;
		return NULL;
	}
	file = fdopen(fd, "r");
	if (!file)
		close(fd);
	return file;
}
