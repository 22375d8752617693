/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What commands that ask again and again have in common: how often, how many
 * times, and whether a daemon that is away is waited for.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define INTERVAL_MAX_S 3600
#define COUNT_MAX 1000000

/* 0: it is no number from 1 to most. */
static unsigned read_number(const char *text, unsigned most)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long number = 0;

	if (digits && digits < 9 && !text[digits])
		number = strtoul(text, NULL, 10);
	return number <= most ? (unsigned)number : 0;
}

enum cli_exit cli_read_pace(const struct cli *cli, unsigned interval_s,
			    struct cli_pace *pace)
{
	*pace = (struct cli_pace){
		.interval_s = interval_s,
		.terminal = !cli->json && isatty(STDOUT_FILENO),
	};
	if (cli->interval)
		pace->interval_s = read_number(cli->interval, INTERVAL_MAX_S);
	if (!pace->interval_s)
		return cli_fail(CLI_USAGE, "--interval: expected 1 to %d",
				INTERVAL_MAX_S);
	if (cli->count && !(pace->count = read_number(cli->count, COUNT_MAX)))
		return cli_fail(CLI_USAGE, "--count: expected 1 to %d",
				COUNT_MAX);
	return CLI_OK;
}

enum cli_exit cli_go_on(const struct cli_pace *pace, enum cli_exit code)
{
	return pace->terminal && code != CLI_NO_PERMISSION ? CLI_OK : code;
}
