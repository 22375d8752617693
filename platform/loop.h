/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The one epoll loop. No threads; a handler must not block.
 */
#ifndef PORTICO_PLATFORM_LOOP_H
#define PORTICO_PLATFORM_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;

/* One watched descriptor, embedded in its owner's struct (no allocation).
 * handler runs with the EPOLL* bits that came. It may remove any watch,
 * its own included, and free its owner. */
struct watch {
	int fd;
	void (*handler)(struct watch *watch, uint32_t events);
};

/* Returns NULL with errno set on failure. */
struct loop *loop_new(void);
void loop_free(struct loop *loop);

/* 0 or -errno. events: EPOLLIN, EPOLLOUT... */
int loop_add(struct loop *loop, struct watch *watch, uint32_t events);
int loop_change(struct loop *loop, struct watch *watch, uint32_t events);
void loop_remove(struct loop *loop, struct watch *watch);

/* Runs until loop_stop(); 0 or -errno. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* Milliseconds of CLOCK_BOOTTIME read once per wake-up; cheap. */
uint64_t loop_now_ms(const struct loop *loop);
/* Reads the clock afresh (also before the loop runs). */
uint64_t loop_clock_ms(void);
/* CLOCK_MONOTONIC, which a suspended machine does not count: for how long may be
 * waited. */
int64_t loop_wait_clock_ms(void);

#endif
