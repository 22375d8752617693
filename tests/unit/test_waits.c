/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The figures of who waits for whom: the helper's programs, the daemon for the
 * helper, systemd and procd for the daemon.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/helper_waits.h"
#include "platform/rules_text.h"
#include "suite.h"

#define UNIT "platform/systemd/portico.service"
#define INIT "openwrt/portico/files/portico.init"
/* For the loop to see a signal, the table to be written, and a slow machine. */
#define REST_MS 4000

/* The number in milliseconds of the line that begins with key; 0: none. */
static long seconds_ms(const char *path, const char *key)
{
	FILE *file = fopen(path, "re");
	char line[256];
	long found = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key)))
			found = strtol(line + strlen(key), NULL, 10) * 1000;
	fclose(file);
	return found;
}

static void test_guard_has_time_for_its_programs(void)
{
	CU_ASSERT(HELPER_STOP_RULES_MS >
		  RULES_LOOK_TIMEOUT_MS + RULES_TABLES * RULES_TIMEOUT_MS);
}

/* nft, and each iptables to make a chain and to take it away. */
static void test_choosing_has_time_for_its_programs(void)
{
	CU_ASSERT(HELPER_CHOOSE_MS > 2 * (1 + 2 * 2) * RULES_TIMEOUT_MS);
}

/* A packet filter is chosen, its rules are loaded, and settings changed. */
static void test_start_is_waited_for(void)
{
	CU_ASSERT(seconds_ms(UNIT, "TimeoutStartSec=") >=
		  HELPER_CHOOSE_MS + HELPER_RULES_MS + HELPER_QUICK_MS +
			  REST_MS);
}

static void test_stop_is_waited_for(void)
{
	CU_ASSERT(seconds_ms(UNIT, "TimeoutStopSec=") >=
		  HELPER_STOP_MS + REST_MS);
	CU_ASSERT(seconds_ms(INIT, "STOP_TRIES=") >= HELPER_STOP_MS + REST_MS);
}

/* Life is shown in waits, too; but should it not be, this is no reason to kill
 * the daemon. */
static void test_change_is_no_hang(void)
{
	CU_ASSERT(seconds_ms(UNIT, "WatchdogSec=") > HELPER_CHANGE_MS);
}

static const struct test tests[] = {
	{ "the guard has time for its programs",
	  test_guard_has_time_for_its_programs },
	{ "choosing has time for its programs",
	  test_choosing_has_time_for_its_programs },
	{ "systemd waits for a whole start", test_start_is_waited_for },
	{ "systemd and procd wait for a whole stop", test_stop_is_waited_for },
	{ "a change takes less than the watchdog's time",
	  test_change_is_no_hang },
};

int main(int argc, char **argv)
{
	return suite_run("waits", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
