/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Kernel settings that Portico changes while it runs and puts back when it
 * stops: ip_forward, send_redirects, ip_local_reserved_ports.
 */
#ifndef PORTICO_PLATFORM_SYSCTL_H
#define PORTICO_PLATFORM_SYSCTL_H

#include <net/if.h>
#include <stddef.h>

#include "config.h"
#include "portico/nat.h"

struct sysctl_saved; /* what was there before */

/* Reads /proc/sys/NAME (slashes) as text without the newline. 0 or -errno. */
int sysctl_read(const char *name, char *value, size_t size);
int sysctl_write(const char *name, const char *value);

/* store: a file where every change is noted, so that the first old values
 * outlive a crash: what it holds is taken over (a damaged file is left aside
 * with a warning). NULL: no file. Returns NULL without memory. */
struct sysctl_saved *sysctl_new(const char *store);
/* Changes one setting, remembering the first old value. A device that is gone
 * is no error. 0 or -errno. */
int sysctl_set(struct sysctl_saved *saved, const char *name, const char *value);
/* Adds the set's ports to ip_local_reserved_ports, merged with what is there;
 * called again, the set takes the place of the one before. 0 or -errno. */
int sysctl_reserve_ports(struct sysctl_saved *saved,
			 const struct nat_portset *ports);
/* Why the last change is not in the file, an errno; 0: it is, or there is no
 * file. */
int sysctl_store_error(const struct sysctl_saved *saved);
/* What sysctl_restore() shall leave as it is, noted in the file for the next
 * one. Nothing where it was not changed. */
void sysctl_keep(struct sysctl_saved *saved, const char *name);
/* Puts back what still holds the value we wrote, removes the file; frees
 * saved. */
void sysctl_restore(struct sysctl_saved *saved);

/* The first 2,048 ports of ip_local_port_range. 0 or -errno. */
int sysctl_router_ports(struct config_range *range);
/* Whether all of it, which range is set to, is reserved: the kernel has no port
 * for a connection of the router's own. False when it cannot be read. */
bool sysctl_no_local_port(struct config_range *range);

#endif
