/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The commands that work without a daemon: rules, check; and what they see of
 * the machine.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "loop.h"
#include "rules.h"
#include "views.h"

#define MESSAGE_MAX 512

/* --- check --------------------------------------------------------------- */

static enum cli_exit check_json(const struct config *config)
{
	struct json_object *object = json_object_new_object();
	struct json_object *warnings = json_object_new_array();

	for (size_t i = 0; i < config->warnings_count; i++)
		json_object_array_add(
			warnings, json_object_new_string(config->warnings[i]));
	json_object_object_add(object, "ok", json_object_new_boolean(true));
	json_object_object_add(object, "warnings", warnings);
	return cli_print_json(object);
}

static enum cli_exit check_text(const struct cli *cli,
				const struct config *config)
{
	for (size_t i = 0; i < config->warnings_count; i++)
		printf("%s: warning: %s\n", cli->argument, config->warnings[i]);
	printf("%s: valid\n", cli->argument);
	return CLI_OK;
}

enum cli_exit cli_check(const struct cli *cli)
{
	char error[MESSAGE_MAX] = "";
	struct config *config = config_load(
		cli->argument, config_memory_total(), error, sizeof(error));
	enum cli_exit code;
	int err;

	if (!config)
		return cli_refuse(cli, error);
	err = spec_check(config);
	if (err)
		code = cli_refuse(cli, spec_error(err));
	else
		code = cli->json ? check_json(config) : check_text(cli, config);
	config_free(config);
	return code;
}

/* --- the scene ----------------------------------------------------------- */

static void ignore_change(void *context)
{
	(void)context;
}

/* Left NULL where it cannot be read. */
static void look_around(struct cli_scene *scene)
{
	scene->loop = loop_new();
	if (!scene->loop)
		return;
	scene->network = network_open(
		scene->loop, scene->devices.uplink,
		(const char(*)[IFNAMSIZ])(const void *)scene->devices.inside,
		scene->devices.inside_count, scene->config->uplink_address, 0,
		ignore_change, NULL);
}

int cli_scene_open(struct cli_scene *scene, const char *path, char *error,
		   size_t error_size)
{
	int err;

	memset(scene, 0, sizeof(*scene));
	scene->config = config_load(path ? path : config_default_file(),
				    config_memory_total(), error, error_size);
	if (!scene->config)
		return -EINVAL;
	err = spec_choose_devices(scene->config, &scene->devices);
	if (err)
		snprintf(error, error_size, "%s", spec_error(err));
	else
		look_around(scene);
	return err;
}

const struct network_state *cli_scene_network(const struct cli_scene *scene)
{
	return scene->network ? network_state(scene->network) : NULL;
}

void cli_scene_close(struct cli_scene *scene)
{
	network_close(scene->network);
	loop_free(scene->loop);
	free(scene->devices.inside);
	config_free(scene->config);
}

/* --- rules --------------------------------------------------------------- */

/* A named backend is rendered whether it works here or not. */
static enum rules_backend choose_backend(const struct cli *cli,
					 const struct config *config)
{
	enum rules_backend backend = RULES_NFTABLES;
	enum config_rules wanted = config->rules;
	char error[MESSAGE_MAX];

	if (cli->backend)
		wanted = strcmp(cli->backend, "nftables") ?
				 CONFIG_RULES_IPTABLES :
				 CONFIG_RULES_NFTABLES;
	if (wanted == CONFIG_RULES_NFTABLES)
		return RULES_NFTABLES;
	if (wanted == CONFIG_RULES_IPTABLES)
		return RULES_IPTABLES_NFT;
	if (rules_choose(wanted, &backend, error, sizeof(error)))
		return RULES_NFTABLES;
	return backend;
}

static enum cli_exit print_rules(const struct cli *cli, const char *text,
				 const char *backend)
{
	if (cli->json)
		return cli_print_json(views_rules(text, backend));
	fputs(text, stdout);
	return CLI_OK;
}

static enum cli_exit render(const struct cli *cli,
			    const struct rules_spec *rules,
			    enum rules_backend backend)
{
	enum cli_exit code;
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);
	int err = stream ? rules_render(rules, backend, stream) : -errno;

	if (stream && (fclose(stream) || !text) && !err)
		err = -ENOMEM;
	if (err)
		code = cli_fail(CLI_FAILED, "the rules cannot be rendered: %s",
				strerror(-err));
	else
		code = print_rules(cli, text, rules_backend_name(backend));
	free(text);
	return code;
}

static enum cli_exit rules_of(const struct cli *cli,
			      const struct cli_scene *scene)
{
	struct spec_storage spec;
	enum cli_exit code;
	int err = spec_build(scene->config, cli_scene_network(scene), &spec);

	if (err)
		return cli_refuse(cli, spec_error(err));
	code = render(cli, &spec.rules, choose_backend(cli, scene->config));
	spec_free(&spec);
	return code;
}

static enum cli_exit local_rules(const struct cli *cli)
{
	char error[MESSAGE_MAX] = "";
	struct cli_scene scene;
	enum cli_exit code;

	if (cli_scene_open(&scene, cli->config, error, sizeof(error)))
		code = cli_refuse(cli, error);
	else
		code = rules_of(cli, &scene);
	cli_scene_close(&scene);
	return code;
}

/* What is in force when a daemon runs, unless a file or a backend is asked
 * for; what would be in force else. */
enum cli_exit cli_rules(const struct cli *cli)
{
	struct json_object *reply = NULL, *text = NULL;
	enum cli_exit code;

	if (cli->config || cli->backend)
		return local_rules(cli);
	code = cli_ask(cli, !cli->socket, &reply);
	if (!cli->socket &&
	    (code == CLI_NO_DAEMON || code == CLI_NO_PERMISSION)) {
		fprintf(stderr, "portico: %s: these rules would be in force\n",
			code == CLI_NO_DAEMON ? "no daemon answers" :
						"the daemon may not be asked");
		return local_rules(cli);
	}
	if (code || !reply)
		return code;
	if (json_object_object_get_ex(reply, "rules", &text))
		fputs(json_object_get_string(text), stdout);
	json_object_put(reply);
	return CLI_OK;
}
