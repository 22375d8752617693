/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The portico command: what main() read, and what the commands do with it.
 */
#ifndef PORTICO_PLATFORM_CLI_H
#define PORTICO_PLATFORM_CLI_H

#include <json-c/json.h>
#include <stdbool.h>

#include "buffer.h"
#include "config.h"
#include "filter.h"
#include "spec.h"
#include "uplink.h"
#include "why.h"

/* Exit codes, part of the contract. */
enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1, /* the daemon refused or the result is bad */
	CLI_USAGE = 2,
	CLI_NO_DAEMON = 3,
	CLI_NO_PERMISSION = 4,
};

/* One call of the command, as main() read it. Texts are argv's. */
struct cli {
	const char *command;
	const char *const *arguments; /* as many as the command takes */
	const char *argument; /* the first of them; NULL: it takes none */
	const char *socket; /* NULL: the default ones */
	bool json;
	bool changes; /* the command changes something: no read-only socket */
	const char *config; /* NULL: the default file, if it exists */
	const char *backend; /* NULL: as configured */
	const char *filters[FILTER_KEYS]; /* NULL: not given */
	const char *question[WHY_KEYS]; /* NULL: the command is not why */
	const char *interval; /* NULL: not given */
	const char *count; /* NULL: not given */
	size_t more; /* arguments beyond those that the command must have */
	/* What the daemon is asked; NULL: command, filters and question. */
	struct json_object *request;
};

/* Prints "portico: ..." to stderr; returns code. */
enum cli_exit cli_fail(enum cli_exit code, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The same for what is refused, with --json as an object. CLI_FAILED. */
enum cli_exit cli_refuse(const struct cli *cli, const char *error);

/* Asks the daemon. On CLI_OK *reply is its answer, to be released with
 * json_object_put(); else it has said on stderr what went wrong. With --json
 * the answer is printed as it came and *reply is NULL. quiet: says nothing
 * when there is no daemon or no permission. */
enum cli_exit cli_ask(const struct cli *cli, bool quiet,
		      struct json_object **reply);
/* The same, but *reply is set with --json too, and a refusal is said as
 * cli_refuse() does. */
enum cli_exit cli_fetch(const struct cli *cli, struct json_object **reply);

/* The same, but line (empty, to be freed whatever came) holds the answer as it
 * came, for what would be large as objects. */
enum cli_exit cli_fetch_text(const struct cli *cli, bool quiet,
			     struct buffer *line);

/* Prints an object as one line of JSON, and releases it. */
enum cli_exit cli_print_json(struct json_object *object);

/* How a command that asks again and again does so. */
struct cli_pace {
	unsigned interval_s;
	unsigned count; /* then it ends; 0: not before a signal comes */
	bool terminal; /* text for somebody who is there */
};

/* As --interval and --count say; without them interval_s, and 0. */
enum cli_exit cli_read_pace(const struct cli *cli, unsigned interval_s,
			    struct cli_pace *pace);
/* What to end with after an answer or none, CLI_OK for going on: at a terminal a
 * daemon that is away is waited for. */
enum cli_exit cli_go_on(const struct cli_pace *pace, enum cli_exit code);

/* What a daemon would start from: configuration, devices, network. */
struct cli_scene {
	struct config *config;
	struct spec_devices devices;
	struct loop *loop;
	struct network *network;
};

/* Looks at the machine. path NULL: the default file, or automatic mode when
 * there is none. 0; -EINVAL: the file is bad, config is NULL; other -errno: no
 * devices. On failure a sentence is in error. cli_scene_close() always. */
int cli_scene_open(struct cli_scene *scene, const char *path, char *error,
		   size_t error_size);
void cli_scene_close(struct cli_scene *scene);
/* The network as it is now; NULL when it could not be read. */
const struct network_state *cli_scene_network(const struct cli_scene *scene);

/* The commands that need no daemon: cli_local.c, cli_doctor.c,
 * cli_selftest.c. */
enum cli_exit cli_rules(const struct cli *cli);
enum cli_exit cli_check(const struct cli *cli);
enum cli_exit cli_doctor(const struct cli *cli);
enum cli_exit cli_selftest(const struct cli *cli);

/* Those that make something of their own of what the daemon says. */
enum cli_exit cli_metrics(const struct cli *cli);
enum cli_exit cli_whois(const struct cli *cli);
enum cli_exit cli_top(const struct cli *cli);
enum cli_exit cli_watch(const struct cli *cli);

/* cli_forward.c */
enum cli_exit cli_forward_list(const struct cli *cli);
enum cli_exit cli_forward_add(const struct cli *cli);
enum cli_exit cli_forward_remove(const struct cli *cli);

#endif
