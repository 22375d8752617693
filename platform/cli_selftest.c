/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * portico selftest: what kind of NAT this machine's Portico is, measured, and
 * whether that is what its configuration promises.
 *
 * It needs no daemon and disturbs none: the probes go through the kernel in a
 * throw-away network beside the live one (probe_kernel.c), and where that
 * cannot be had (no root, no namespaces, no veth, no NFQUEUE) through the
 * engine alone, which is said. Lifetimes are measured by the engine's clock
 * either way: nobody waits for hours.
 *
 * Limits are the user's, too: twenty mappings of one host and ten ports are
 * enough for every probe; with less some go unmeasured, which is said.
 *
 * The configuration is --config's, else the running daemon's, else the default
 * file, else automatic mode.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "probe.h"
#include "views.h"

#define MESSAGE_MAX 512

/* The running daemon's file, to be freed; NULL: no daemon or no file. */
static char *daemons_config(const struct cli *cli)
{
	const struct cli question = { .command = "status",
				      .socket = cli->socket };
	struct json_object *status = NULL, *value;
	const char *path = NULL;
	char *copy;

	if (!cli_ask(&question, true, &status) &&
	    json_object_object_get_ex(status, "config", &value))
		path = json_object_get_string(value);
	copy = path ? strdup(path) : NULL;
	json_object_put(status);
	return copy;
}

static char *choose_config(const struct cli *cli)
{
	char *path;

	if (cli->config)
		return strdup(cli->config);
	path = daemons_config(cli);
	if (!path && config_default_file())
		path = strdup(config_default_file());
	return path;
}

/* The daemon that was built and installed with this program. False: none. */
static bool find_porticod(char path[PATH_MAX])
{
	static const char *const places[] = { "porticod", "../sbin/porticod" };
	char own[PATH_MAX - 32];
	ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);

	while (length > 0 && own[length - 1] != '/')
		length--;
	if (length <= 0)
		return false;
	own[length] = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, PATH_MAX, "%s%s", own, places[i]);
		if (!access(path, X_OK))
			return true;
	}
	return false;
}

static struct probe_way *open_kernel(const struct probe_setup *setup,
				     char backend[32], char *reason,
				     size_t size)
{
	char porticod[PATH_MAX];

	if (geteuid()) {
		snprintf(reason, size, "not root");
		return NULL;
	}
	if (!find_porticod(porticod)) {
		snprintf(reason, size, "porticod is not where portico is");
		return NULL;
	}
	return probe_kernel_open(setup, porticod, backend, reason, size);
}

static enum cli_exit print(const struct cli *cli,
			   const struct probe_report *report)
{
	enum cli_exit code = CLI_OK;

	if (cli->json)
		code = cli_print_json(probe_json(report));
	else
		probe_print(report, stdout);
	return code ? code : report->verdict->good ? CLI_OK : CLI_FAILED;
}

static enum cli_exit test(const struct cli *cli,
			  const struct probe_setup *setup)
{
	char reason[MESSAGE_MAX] = "", backend[32] = "";
	struct probe_facts facts = { 0 };
	struct probe_verdict verdict;
	struct probe_report report = { .config = setup->config->path,
				       .facts = &facts,
				       .verdict = &verdict };
	struct probe_way *way =
		open_kernel(setup, backend, reason, sizeof(reason));

	if (way) {
		report.backend = backend;
	} else {
		report.reason = reason;
		way = probe_engine_open(setup);
	}
	if (!way)
		return cli_fail(CLI_FAILED, "no memory for an engine");
	probe_run(way, setup, &facts);
	way->close(way);
	probe_lifetimes(setup, &facts);
	probe_judge(setup, &facts, &verdict);
	return print(cli, &report);
}

enum cli_exit cli_selftest(const struct cli *cli)
{
	char *path = choose_config(cli);
	char error[MESSAGE_MAX] = "";
	struct probe_setup setup;
	enum cli_exit code;

	if (probe_setup_open(&setup, path, error, sizeof(error))) {
		code = cli_refuse(cli, error);
	} else {
		code = test(cli, &setup);
		probe_setup_close(&setup);
	}
	free(path);
	return code;
}
