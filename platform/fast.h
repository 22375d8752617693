/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The fast path: sessions that the engine hands over are carried by the kernel,
 * by a tc program at the devices (platform/bpf), and their packets are seen
 * neither by the queue nor by the packet filter. What it does not know, or what
 * may change a session (SYN, FIN, RST, fragments, options, a TTL that ends, a
 * packet larger than the way out), it leaves to the queue.
 *
 * The program and its maps are loaded once, as root, by a program of its own
 * (portico-bpf beside porticod), which hands over descriptors and ends. From
 * then on the maps are plain memory here; only a change of devices needs system
 * calls, by rtnetlink and bpf().
 *
 * Where IPsec policies are in force nothing is carried, within a second. With the
 * daemon dead nothing is carried after FAST_ALIVE_MS.
 */
#ifndef PORTICO_PLATFORM_FAST_H
#define PORTICO_PLATFORM_FAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "portico/nat.h"

struct fast;

struct fast_config {
	uint32_t sessions; /* carried at once, 1..FAST_SESSIONS_MAX */
	uint32_t mark_shift; /* where the two bits of nat_mark lie */
};

struct fast_stats {
	uint32_t sessions; /* carried now */
	uint32_t resting; /* slots that are nobody's yet */
	uint64_t handed_over;
	uint64_t no_room; /* not carried: no slot, or a full bucket */
	uint64_t packets, bytes; /* carried, both ways */
	unsigned devices; /* at which the program is now */
};

/* Runs the loader and maps what it hands over. As root, before the process is
 * locked in. NULL with errno and a sentence in error: ENOENT, the loader is not
 * installed; EPERM and others, the kernel will not have it. */
struct fast *fast_open(const struct fast_config *config, char *error,
		       size_t error_size);
/* Takes the program from the devices, and gives all memory back. The engine's
 * carrier must be set to NULL before. */
void fast_close(struct fast *fast);

/* What nat_set_carrier() wants. */
struct nat_carrier fast_carrier(struct fast *fast);

/* Puts the program at these devices and takes it from others; an index of 0 is
 * none. May wait for whoever configures devices, so not to be called without a
 * reason: another device, fast_disturbed(), or an error the last time.
 * 0 or -errno with a sentence in error: at some device it is not, whose packets
 * take the queue. */
int fast_set_devices(struct fast *fast, unsigned uplink, const unsigned *inside,
		     size_t inside_count, char *error, size_t error_size);

/* Nothing is carried until the next fast_set_devices(); no system call. */
void fast_pause(struct fast *fast);

/* Has somebody changed a qdisc or filter since, have IPsec policies come or
 * gone, or do devices wait, of which few are served at once? Then
 * fast_set_devices() finds out what of it is ours. Waits for nobody. */
bool fast_disturbed(struct fast *fast);

/* Once a second: shows life, and tells the engine what sessions were used for
 * since the last time (nat_carried_used()). */
void fast_tick(struct fast *fast, struct nat *nat, uint64_t now_ms);

void fast_stats(const struct fast *fast, struct fast_stats *stats);

/* Takes the program, also an earlier daemon's, from every device of this network
 * namespace; at a start and for --remove-guard. 0 or -errno. */
int fast_remove_all(void);

#endif
