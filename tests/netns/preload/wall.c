/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A library put before a program's own (LD_PRELOAD): its wall clock shows
 * PORTICO_TEST_WALL, in seconds since 1970, and stands there. No namespace has
 * such a clock of its own.
 */
#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now);
int gettimeofday(struct timeval *restrict now, void *restrict zone);
time_t time(time_t *now);

static time_t wall(void)
{
	const char *text = getenv("PORTICO_TEST_WALL");

	return text ? (time_t)strtoll(text, NULL, 10) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)
		return (int)syscall(SYS_clock_gettime, clock, now);
	*now = (struct timespec){ .tv_sec = wall() };
	return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	(void)zone;
	*now = (struct timeval){ .tv_sec = wall() };
	return 0;
}

time_t time(time_t *now)
{
	if (now)
		*now = wall();
	return wall();
}
