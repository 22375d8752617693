/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Put before every file of a build that counts (make coverage): a child that
 * ends by _exit() writes down what it has reached.
 */
#ifndef PORTICO_TESTS_COVERAGE_H
#define PORTICO_TESTS_COVERAGE_H

#include <unistd.h>

void __gcov_dump(void);

_Noreturn static inline void coverage_exit(int status)
{
	__gcov_dump();
	_exit(status);
}

#define _exit(status) coverage_exit(status)

#endif
