/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages, one write() each so that lines of several processes never mix.
 * Control characters in a message (it may quote a peer) are shown as spaces.
 */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

#include "letters.h"

#define LINE_MAX_BYTES 1024

/* The syslog priorities of sd-daemon(3). */
static const int priority[] = {
	[LOG_LEVEL_ERROR] = 3,
	[LOG_LEVEL_WARNING] = 4,
	[LOG_LEVEL_INFO] = 6,
};

/* The variables of the process's life: passed to every function they would say
 * nothing more. */
static bool to_syslog;
static struct {
	void (*put)(void *context, int priority, const char *line,
		    size_t length);
	void *context;
} to_sink;

void log_open_terminal(void)
{
	int fd = isatty(STDERR_FILENO) ?
			 open("/proc/self/fd/2",
			      O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) :
			 -1;

	if (fd < 0)
		return;
	dup2(fd, STDERR_FILENO);
	close(fd);
}

void log_to_syslog(void)
{
	openlog("portico", LOG_PID, LOG_DAEMON);
	to_syslog = true;
}

void log_to(void (*sink)(void *context, int priority, const char *line,
			 size_t length),
	    void *context)
{
	to_sink.put = sink;
	to_sink.context = context;
}

/* Bytes that snprintf() really left in a buffer of size bytes. */
static size_t kept(int printed, size_t size)
{
	if (printed < 0)
		return 0;
	return (size_t)printed < size ? (size_t)printed : size - 1;
}

/* Nor do packets wait for who does not read it: a line that there is no room
 * for is lost, as syslog(3) would lose it. Of one that a terminal took a part
 * of, the rest is. */
static void put(const char *line, size_t length)
{
	static bool cut;
	struct pollfd out = { .fd = STDERR_FILENO, .events = POLLOUT };

	if (!poll(&out, 1, 0) || (cut && write(STDERR_FILENO, "\n", 1) != 1))
		return;
	cut = false;
	while (length) {
		ssize_t done = write(STDERR_FILENO, line, length);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			cut = done < 0 && errno == EAGAIN;
			return; /* nobody left to tell */
		}
		line += done;
		length -= (size_t)done;
	}
}

void log_message(enum log_level level, const char *subsystem,
		 const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	size_t room = sizeof(line) - 1; /* the newline's place */
	size_t length = 0;
	int saved = errno; /* callers may log before they look at it */
	va_list args;

	if (!to_syslog && !to_sink.put && getenv("JOURNAL_STREAM"))
		length = kept(snprintf(line, room, "<%d>", priority[level]),
			      room);
	length += kept(snprintf(line + length, room - length, "%s%s: ",
				to_syslog || to_sink.put ? "" : "portico: ",
				subsystem),
		       room - length);
	va_start(args, format);
	length += kept(vsnprintf(line + length, room - length, format, args),
		       room - length);
	va_end(args);
	line[length] = '\0';
	length = letters_clean(line, ' ');
	line[length++] = '\n';
	if (to_sink.put)
		to_sink.put(to_sink.context, priority[level], line, length - 1);
	else if (to_syslog)
		syslog(priority[level], "%.*s", (int)length - 1, line);
	else
		put(line, length);
	errno = saved;
}
