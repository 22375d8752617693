/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages to stderr, one line each: "portico: SUBSYSTEM: text". Under
 * systemd (JOURNAL_STREAM set) each line carries its <level> prefix. A daemon
 * in the background sends them to syslog.
 */
#ifndef PORTICO_PLATFORM_LOG_H
#define PORTICO_PLATFORM_LOG_H

#include <stddef.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
};

/* A terminal may have room for a part of a line only: from now on nobody waits
 * for the rest. Others who write there, as the shell that started us, still do:
 * the terminal is opened anew. */
void log_open_terminal(void);

/* From now on to syslog(3), as facility daemon, and no longer to stderr: for a
 * daemon without a terminal. */
void log_to_syslog(void);

/* From now on to sink(), cleaned and without a newline; NULL: no longer. For a
 * daemon that may not reach syslog itself. */
void log_to(void (*sink)(void *context, int priority, const char *line,
			 size_t length),
	    void *context);

void log_message(enum log_level level, const char *subsystem,
		 const char *format, ...) __attribute__((format(printf, 3, 4)));

#define log_error(subsystem, ...) \
	log_message(LOG_LEVEL_ERROR, subsystem, __VA_ARGS__)
#define log_warning(subsystem, ...) \
	log_message(LOG_LEVEL_WARNING, subsystem, __VA_ARGS__)
#define log_info(subsystem, ...) \
	log_message(LOG_LEVEL_INFO, subsystem, __VA_ARGS__)

#endif
