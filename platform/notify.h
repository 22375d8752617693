/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the service manager wants to hear (sd_notify(3)), sent to the socket
 * that $NOTIFY_SOCKET names; without it every function does nothing.
 */
#ifndef PORTICO_PLATFORM_NOTIFY_H
#define PORTICO_PLATFORM_NOTIFY_H

/* Each returns 0 (also when nobody listens for it) or -errno. None blocks. */

/* The daemon serves; also the end of a reload. */
int notify_ready(void);
/* An orderly stop has begun. */
int notify_stopping(void);
/* The configuration is being read again; notify_ready() ends it. */
int notify_reloading(void);
/* The daemon is alive (WatchdogSec=). */
int notify_watchdog(void);
/* One line for `systemctl status`; what follows a newline is cut off, and a
 * very long one is shortened. */
int notify_status(const char *text);

#endif
