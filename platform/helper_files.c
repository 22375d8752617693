/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's verbs about files: a fixed few are opened for reading, and those
 * of the control sockets removed. No path ever comes with a request.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helper_private.h"
#include "names.h"

static void unlink_socket(const char *path)
{
	struct stat st;

	if (!lstat(path, &st) && S_ISSOCK(st.st_mode))
		unlink(path);
}

int helper_run_unlink(struct helper_process *helper, const void *data,
		      size_t length, struct helper_reply *reply)
{
	(void)data;
	(void)length;
	(void)reply;
	unlink_socket(helper->config->control);
	unlink_socket(helper->config->control_read);
	return 0;
}

static const char *path_of(const struct helper_process *helper,
			   const void *data)
{
	uint32_t number, count = 0;

	memcpy(&number, data, sizeof(number));
	if (number == HELPER_FILE_CONFIG && helper->config->path)
		return helper->config->path;
	while (helper_files[count])
		count++;
	return number < count ? helper_files[number] : NULL;
}

/* For reading; never a directory, from which more could be opened, and never
 * anything that waits. Returns the descriptor or -errno. */
static int open_plain(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return -EINVAL;
}

int helper_run_open(struct helper_process *helper, const void *data,
		    size_t length, struct helper_reply *reply)
{
	const char *path = path_of(helper, data);
	int fd;

	(void)length;
	if (!path)
		return -EACCES;
	fd = open_plain(path);
	if (fd < 0)
		return fd;
	reply->fds[reply->fd_count++] = fd;
	return 0;
}

int helper_run_names(struct helper_process *helper, const void *data,
		     size_t length, struct helper_reply *reply)
{
	(void)helper;
	(void)data;
	(void)length;
	for (size_t i = 0; names_files[i]; i++) {
		int fd = reply->fd_count < HELPER_FDS_MAX ?
				 names_open(names_files[i]) :
				 -1;

		if (fd >= 0)
			reply->fds[reply->fd_count++] = fd;
	}
	return 0;
}
