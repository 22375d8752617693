/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the service manager wants to hear (sd_notify(3)), sent to the socket
 * that $NOTIFY_SOCKET names; without it every function does nothing.
 */
#ifndef PORTICO_PLATFORM_NOTIFY_H
#define PORTICO_PLATFORM_NOTIFY_H

#include <stddef.h>

/* A descriptor's name in the manager's store, with its zero: sd_notify(3)
 * allows no more. */
#define NOTIFY_NAME_MAX 256
/* Descriptors of one name. */
#define NOTIFY_STORED_MAX 4

/* Each returns 0 (also when nobody listens for it) or -errno. None blocks. */

/* Connects now, and for good: a process that is locked in can make no socket
 * later. */
void notify_keep(void);
/* The daemon serves; also the end of a reload. */
int notify_ready(void);
/* An orderly stop has begun. */
int notify_stopping(void);
/* The configuration is being read again; notify_ready() ends it. */
int notify_reloading(void);
/* The daemon is alive (WatchdogSec=). */
int notify_watchdog(void);

/* Leaves copies of up to NOTIFY_STORED_MAX descriptors with the manager
 * (FileDescriptorStoreMax=), for the next process of this service. name:
 * printable, no ':'. */
int notify_store(const int fds[], size_t count, const char *name);
/* Has the manager close what it holds by that name. */
int notify_forget(const char *name);

/* Takes over what the manager holds for us ($LISTEN_FDS); to be called once,
 * before the first fork(): whoever keeps such a descriptor keeps alive what it
 * stands for. Only those of the first name are kept. */
void notify_take_stored(void);
/* Closes what else our parent left open, beside the standard ones. */
void notify_close_others(void);
/* Those descriptors, the caller's from now on, and their name. Returns how many
 * there are. */
size_t notify_stored(int fds[NOTIFY_STORED_MAX], char name[NOTIFY_NAME_MAX]);

#endif
