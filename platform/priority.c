/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priority.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "log.h"

#define SESSION "/proc/self/autogroup"

/* Where the kernel groups programs by session, niceness counts within one only
 * (sched(7), "The autogroup feature"), and the session has its own. One that is
 * led by somebody else, a shell say, is not ours to raise. 0 or -errno. */
static int raise_session(int nice)
{
	char text[8];
	int fd, error = 0, length;

	if (getsid(0) != getpid())
		return 0;
	fd = open(SESSION, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	length = snprintf(text, sizeof(text), "%d\n", nice);
	if (write(fd, text, (size_t)length) != length)
		error = -errno;
	close(fd);
	return error;
}

static int raise_process(int nice)
{
	if (getpriority(PRIO_PROCESS, 0) <= nice)
		return 0;
	return setpriority(PRIO_PROCESS, 0, nice) ? -errno : 0;
}

void priority_raise(int nice)
{
	int error, session;

	if (!nice)
		return;
	error = raise_process(nice);
	session = raise_session(nice);
	if (!error)
		error = session;
	if (error)
		log_info("daemon",
			 "no precedence over other programs (nice %d): %s",
			 nice, strerror(-error));
}
