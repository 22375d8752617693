/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The portico command. One table of options and one of commands drive parsing,
 * help and dispatch.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "client.h"
#include "mains.h"
#include "names.h"
#include "text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- options ------------------------------------------------------------- */

enum option_id {
	OPTION_SOCKET,
	OPTION_JSON,
	OPTION_CONFIG,
	OPTION_BACKEND,
	OPTION_HOST,
	OPTION_PROTO,
	OPTION_PORT,
	OPTION_PEER,
	OPTION_INTERVAL,
	OPTION_COUNT,
	OPTION_HELP,
	OPTION_VERSION,
	OPTIONS
};

#define BIT(option) (1U << (option))
#define COMMON \
	(BIT(OPTION_SOCKET) | BIT(OPTION_JSON) | BIT(OPTION_HELP) | \
	 BIT(OPTION_VERSION))
#define FILTERS \
	(BIT(OPTION_HOST) | BIT(OPTION_PROTO) | BIT(OPTION_PORT) | \
	 BIT(OPTION_PEER))

static const struct {
	const char *name;
	const char *argument; /* NULL: takes none */
	const char *help;
} options[] = {
	[OPTION_SOCKET] = { "socket", "PATH",
			    "the control socket (" CLIENT_CONTROL_DEFAULT ")" },
	[OPTION_JSON] = { "json", NULL, "JSON for programs instead of text" },
	[OPTION_CONFIG] = { "config", "FILE",
			    "rules, doctor, selftest: by this file, not the "
			    "daemon's" },
	[OPTION_BACKEND] = { "backend", "NAME",
			     "rules: for nftables or iptables" },
	[OPTION_HOST] = { "host", "ADDRESS", "only this inside host" },
	[OPTION_PROTO] = { "proto", "PROTO",
			   "only this protocol, by name or number" },
	[OPTION_PORT] = { "port", "PORT", "only this port, on either side" },
	[OPTION_PEER] = { "peer", "ADDRESS", "only what talks to this peer" },
	[OPTION_INTERVAL] = { "interval", "SECONDS",
			      "top: measure for so long (2); "
			      "watch: look so often (1)" },
	[OPTION_COUNT] = { "count", "N",
			   "end after so many reports of top, "
			   "looks of watch" },
	[OPTION_HELP] = { "help", NULL, "this text" },
	[OPTION_VERSION] = { "version", NULL, "the version" },
};
_Static_assert(COUNT(options) == OPTIONS, "every option is described");

/* --- commands ------------------------------------------------------------ */

struct command {
	const char *name; /* of one word or two */
	/* Names of all of them; NULL: takes none. In brackets: may be left out,
	 * or come several times. */
	const char *argument;
	const char *help;
	unsigned takes; /* options beside the common ones */
	bool changes;
	enum cli_exit (*run)(const struct cli *cli);
};

static enum cli_exit run_status(const struct cli *cli)
{
	struct json_object *reply;
	enum cli_exit code = cli_ask(cli, false, &reply);

	if (reply)
		text_status(reply, stdout);
	json_object_put(reply);
	return code;
}

/* Asks, and prints with the names of hosts. */
static enum cli_exit run_table(const struct cli *cli,
			       void (*print)(struct json_object *reply,
					     const struct names *names,
					     FILE *out))
{
	struct json_object *reply;
	enum cli_exit code = cli_ask(cli, false, &reply);

	if (reply) {
		struct names *names = names_load();

		print(reply, names, stdout);
		names_free(names);
	}
	json_object_put(reply);
	return code;
}

static enum cli_exit run_mappings(const struct cli *cli)
{
	return run_table(cli, text_mappings);
}

static enum cli_exit run_sessions(const struct cli *cli)
{
	return run_table(cli, text_sessions);
}

static enum cli_exit run_hosts(const struct cli *cli)
{
	return run_table(cli, text_hosts);
}

/* Judged here first: what is no question is wrong usage. */
static enum cli_exit run_why(const struct cli *cli)
{
	struct why_question question = { 0 };
	struct cli asked = *cli;
	char error[256];
	int err = 0;

	for (int key = 0; key < WHY_KEYS && !err; key++) {
		asked.question[key] = cli->arguments[key];
		err = why_set(&question, (enum why_key)key, cli->arguments[key],
			      error, sizeof(error));
	}
	if (!err)
		err = why_check(&question, error, sizeof(error));
	return err ? cli_fail(CLI_USAGE, "%s", error) :
		     run_table(&asked, text_why);
}

static enum cli_exit run_reload(const struct cli *cli)
{
	struct json_object *reply;
	enum cli_exit code = cli_ask(cli, false, &reply);

	if (reply)
		puts("the configuration is in force");
	json_object_put(reply);
	return code;
}

static enum cli_exit run_flush(const struct cli *cli)
{
	struct json_object *reply, *flushed;
	enum cli_exit code;

	if (!cli->filters[FILTER_HOST])
		return cli_fail(CLI_USAGE, "flush needs --host ADDRESS");
	code = cli_ask(cli, false, &reply);
	if (reply && json_object_object_get_ex(reply, "flushed", &flushed))
		printf("%s: %lld sessions ended\n", cli->filters[FILTER_HOST],
		       (long long)json_object_get_int64(flushed));
	json_object_put(reply);
	return code;
}

static const struct command commands[] = {
	{ "status", NULL, "what the gateway does now", 0, false, run_status },
	{ "mappings", NULL, "inside sockets and their outside ports", FILTERS,
	  false, run_mappings },
	{ "sessions", NULL, "mappings with the peers they talk to", FILTERS,
	  false, run_sessions },
	{ "hosts", NULL, "inside hosts with their use", BIT(OPTION_HOST), false,
	  run_hosts },
	{ "why", "PROTO SOURCE DESTINATION",
	  "what becomes of such a packet, and why", 0, false, run_why },
	{ "rules", NULL, "the packet filter rules",
	  BIT(OPTION_CONFIG) | BIT(OPTION_BACKEND), false, cli_rules },
	{ "reload", NULL, "read the configuration again", 0, true, run_reload },
	{ "flush", NULL, "end what an inside host has, but for forwards",
	  BIT(OPTION_HOST), true, run_flush },
	{ "doctor", NULL, "what outside Portico makes it fail",
	  BIT(OPTION_CONFIG), false, cli_doctor },
	{ "selftest", NULL, "what kind of NAT this is, measured",
	  BIT(OPTION_CONFIG), false, cli_selftest },
	{ "top", NULL, "inside hosts by their present traffic",
	  BIT(OPTION_INTERVAL) | BIT(OPTION_COUNT), false, cli_top },
	{ "watch", NULL, "what begins, ends and is dropped, as it happens",
	  BIT(OPTION_HOST) | BIT(OPTION_PROTO) | BIT(OPTION_PORT) |
		  BIT(OPTION_INTERVAL) | BIT(OPTION_COUNT),
	  false, cli_watch },
	{ "whois", "PORT", "which host has this outside PORT or ADDRESS:PORT",
	  BIT(OPTION_PROTO) | BIT(OPTION_PEER), false, cli_whois },
	{ "forward list", NULL, "port forwards, with where they come from", 0,
	  false, cli_forward_list },
	{ "forward add", "NAME PROTO OUTSIDE TO [FROM...]",
	  "forward an outside port until the daemon ends", 0, true,
	  cli_forward_add },
	{ "forward remove", "NAME", "end one that was added", 0, true,
	  cli_forward_remove },
	{ "metrics", NULL, "status for Prometheus", 0, false, cli_metrics },
	{ "check", "FILE", "say whether a configuration is valid", 0, false,
	  cli_check },
};

/* --- help ---------------------------------------------------------------- */

#define HELP_COLUMN 18

static void print_entry(const char *dashes, const char *name,
			const char *argument, const char *help, FILE *out)
{
	char left[64];

	snprintf(left, sizeof(left), "%s%s%s%s", dashes, name,
		 argument ? " " : "", argument ? argument : "");
	/* What is longer has a line of its own. */
	if (strlen(left) > HELP_COLUMN)
		fprintf(out, "  %s\n", left);
	fprintf(out, "  %-*s %s\n", HELP_COLUMN,
		strlen(left) > HELP_COLUMN ? "" : left, help);
}

static void print_help(FILE *out)
{
	fputs("Usage: portico [--socket PATH] [--json] COMMAND [OPTION]...\n"
	      "\nCommands:\n",
	      out);
	for (size_t i = 0; i < COUNT(commands); i++)
		print_entry("", commands[i].name, commands[i].argument,
			    commands[i].help, out);
	fputs("\nOptions:\n", out);
	for (size_t i = 0; i < COUNT(options); i++)
		print_entry("--", options[i].name, options[i].argument,
			    options[i].help, out);
	fputs("\nExit status: 0; 1 refused or bad; 2 usage; 3 no daemon; "
	      "4 no permission.\n",
	      out);
}

/* --- parsing ------------------------------------------------------------- */

static enum cli_exit usage(const char *what, const char *text)
{
	return cli_fail(CLI_USAGE, "%s%s; see portico --help", what, text);
}

/* What was given, before it is known which command takes it. */
struct given {
	struct cli cli;
	unsigned options; /* bits */
	char **words; /* command, arguments: gathered at the head of argv */
	size_t count;
};

static void set_option(struct given *given, enum option_id id,
		       const char *value)
{
	struct cli *cli = &given->cli;

	given->options |= BIT(id);
	switch (id) {
	case OPTION_SOCKET:
		cli->socket = value;
		break;
	case OPTION_JSON:
		cli->json = true;
		break;
	case OPTION_CONFIG:
		cli->config = value;
		break;
	case OPTION_BACKEND:
		cli->backend = value;
		break;
	case OPTION_HOST:
	case OPTION_PROTO:
	case OPTION_PORT:
	case OPTION_PEER:
		cli->filters[FILTER_HOST + (id - OPTION_HOST)] = value;
		break;
	case OPTION_INTERVAL:
		cli->interval = value;
		break;
	case OPTION_COUNT:
		cli->count = value;
		break;
	case OPTION_HELP:
	case OPTION_VERSION:
	case OPTIONS:
		break;
	}
}
_Static_assert(OPTION_PROTO - OPTION_HOST == FILTER_PROTO &&
		       OPTION_PORT - OPTION_HOST == FILTER_PORT &&
		       OPTION_PEER - OPTION_HOST == FILTER_PEER,
	       "filters are in the order of their options");

/* Options and words in any order, also where getopt does not permute. */
static enum cli_exit read_arguments(struct given *given, int argc, char **argv)
{
	struct option table[OPTIONS + 1] = { { 0 } };
	int id;

	for (int i = 0; i < OPTIONS; i++)
		table[i] = (struct option){ options[i].name,
					    options[i].argument ?
						    required_argument :
						    no_argument,
					    NULL, i };
	while (optind < argc) {
		id = getopt_long(argc, argv, "+", table, NULL);
		if (id >= 0 && id < OPTIONS) {
			set_option(given, (enum option_id)id, optarg);
			continue;
		}
		if (id != -1)
			return usage("", "wrong option");
		if (optind >= argc)
			break;
		given->words[given->count++] = argv[optind++];
	}
	return CLI_OK;
}

/* Those that must be there. */
static size_t count_words(const char *text)
{
	size_t count = text != NULL;

	for (; text && *text && *text != '['; text++)
		count += *text == ' ' && text[1] != '[';
	return count;
}

/* Whether the words begin with the command's. */
static bool names_it(const struct given *given, const char *name)
{
	const char *second = strchr(name, ' ');
	size_t length = second ? (size_t)(second - name) : strlen(name);

	return strlen(given->words[0]) == length &&
	       !strncmp(given->words[0], name, length) &&
	       (!second ||
		(given->count > 1 && !strcmp(given->words[1], second + 1)));
}

static const struct command *find_command(const struct given *given)
{
	for (size_t i = 0; i < COUNT(commands); i++)
		if (names_it(given, commands[i].name))
			return &commands[i];
	return NULL;
}

/* What the command takes and what it was given. */
static enum cli_exit check_given(const struct given *given,
				 const struct command *command)
{
	unsigned wrong = given->options & ~(COMMON | command->takes);
	size_t wanted = count_words(command->argument);
	size_t count = given->count - count_words(command->name);
	bool more = command->argument && strchr(command->argument, '[');

	for (int i = 0; i < OPTIONS; i++)
		if (wrong & BIT(i))
			return usage(command->name, " does not take this "
						    "option");
	if (!wanted && count)
		return usage(command->name, " takes no argument");
	if (wanted == 1 && !count)
		return usage(command->name, " needs an argument");
	if (count < wanted || (count > wanted && !more))
		return cli_fail(CLI_USAGE, "%s takes %s; see portico --help",
				command->name, command->argument);
	return CLI_OK;
}

static enum cli_exit check_values(const struct cli *cli)
{
	struct filter filter = { 0 };
	char error[128];

	for (int key = 0; key < FILTER_KEYS; key++)
		if (cli->filters[key] &&
		    filter_set(&filter, (enum filter_key)key, cli->filters[key],
			       error, sizeof(error)))
			return usage("--", error);
	if (cli->backend && strcmp(cli->backend, "nftables") &&
	    strcmp(cli->backend, "iptables"))
		return usage("--backend: expected nftables or iptables", "");
	return CLI_OK;
}

static enum cli_exit run(struct given *given)
{
	const struct command *command;
	enum cli_exit code;
	size_t words;

	if (!given->count)
		return usage("no command", "");
	command = find_command(given);
	if (!command && !strcmp(given->words[0], "forward"))
		return usage("forward needs list, add or remove", "");
	if (!command)
		return usage("unknown command: ", given->words[0]);
	code = check_given(given, command);
	if (!code)
		code = check_values(&given->cli);
	if (code)
		return code;
	given->cli.command = command->name;
	given->cli.changes = command->changes;
	words = count_words(command->name);
	given->cli.argument = given->count > words ? given->words[words] : NULL;
	given->cli.arguments = (const char *const *)&given->words[words];
	given->cli.more = given->count - words - count_words(command->argument);
	return command->run(&given->cli);
}

int portico_main(int argc, char **argv)
{
	struct given given = { .words = argv + 1 };
	enum cli_exit code = read_arguments(&given, argc, argv);

	if (code)
		return code;
	if (given.options & BIT(OPTION_HELP))
		print_help(stdout);
	else if (given.options & BIT(OPTION_VERSION))
		puts("portico " PORTICO_VERSION);
	else
		code = run(&given);
	if ((fflush(stdout) || ferror(stdout)) && !code)
		code = cli_fail(CLI_FAILED, "the output cannot be written");
	return code;
}
