/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A server that sends each small packet of the bench back to where it came from,
 * on its own device and before its IP stack, whose rules drop them.
 */
#ifndef PORTICO_TESTS_BENCH_ANSWER_H
#define PORTICO_TESTS_BENCH_ANSWER_H

#include <stdint.h>

/* A packet socket on a device of another namespace. */
int answer_open(const char *netns, const char *device);
/* Answers all that has come, without waiting. Returns how many there were. */
uint64_t answer_all(int fd);

#endif
