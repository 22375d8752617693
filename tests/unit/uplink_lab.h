/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A workbench for the network monitor: network namespaces made with `ip`, and
 * a monitor of uplink "wan0" with the inside devices "lan0" and "lan1".
 */
#ifndef PORTICO_TESTS_UPLINK_LAB_H
#define PORTICO_TESTS_UPLINK_LAB_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/loop.h"
#include "platform/uplink.h"
#include "suite.h"

#define WAN 0xc6336401U /* 198.51.100.1 */

struct uplink_lab {
	struct loop *loop;
	struct network *network;
	struct watch timer; /* stops the loop */
	unsigned changes; /* calls of changed() since settle() began */
	bool stop_on_change;
};

/* The one at work; changed() gets its address as context. */
extern struct uplink_lab lab;

/* Runs `ip ARGUMENTS`; a failure ends the test. */
void ip(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Moves the process to a new network namespace. */
void new_namespace(void);
/* One end of a veth pair; its peer is up, so it has a carrier. */
void add_device(const char *name);

/* Opens loop and monitor; closes them. */
void begin(uint32_t fixed_addr);
void end(void);

void set_timer(unsigned milliseconds);
/* Runs the loop until nothing is left to be seen; how often changed() came. */
unsigned settle(void);
/* Runs the loop until changed() comes or 200 ms are over. */
void wait_change(void);
/* Runs the loop until the condition holds, at most 5 seconds. The kernel tells
 * of a carrier with a delay. */
#define WAIT_UNTIL(condition) \
	do { \
		uint64_t end_ms = loop_clock_ms() + 5000; \
		while (!(condition) && loop_clock_ms() < end_ms) \
			wait_change(); \
		CU_ASSERT(condition); \
	} while (0)

/* What the monitor says now. */
const struct network_state *now(void);
bool is_inside(uint32_t addr, uint8_t length);
bool is_elsewhere(uint32_t addr, uint8_t length);

/* suite_run(), or all of it skipped where namespaces cannot be made. */
int uplink_lab_run(const char *suite, const struct test *tests, size_t count,
		   int argc, char **argv);

#endif
