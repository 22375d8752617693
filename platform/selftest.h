/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `porticod --self-test`: the engine translates known packets and must give
 * known bytes, on whatever machine the binary was built for.
 */
#ifndef PORTICO_PLATFORM_SELFTEST_H
#define PORTICO_PLATFORM_SELFTEST_H

/* Prints one line per vector; returns the number of failed ones. */
int selftest_run(void);

#endif
