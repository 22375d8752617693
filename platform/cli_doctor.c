/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * portico doctor: examines this machine by the configuration of the daemon
 * that runs on it, or by the one that would be used.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "client.h"
#include "doctor.h"

#define MESSAGE_MAX 512

static const char *text_of(struct json_object *object, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, key, &value))
		return NULL;
	return json_object_get_string(value);
}

static enum rules_backend backend_of(struct json_object *status)
{
	const char *name = text_of(status, "backend");

	for (int i = 0; name && i < RULES_BACKENDS; i++)
		if (!strcmp(rules_backend_name((enum rules_backend)i), name))
			return (enum rules_backend)i;
	return RULES_NFTABLES;
}

static enum cli_exit ask_daemon(const struct cli *cli,
				struct json_object **status)
{
	const struct cli question = { .command = "status",
				      .socket = cli->socket };

	return cli_ask(&question, true, status);
}

/* The finding that no daemon answered, by what asking it came to. */
static int add_daemon(const struct cli *cli, enum cli_exit asked,
		      struct doctor_report *report)
{
	const char *path = cli->socket ? cli->socket : CLIENT_CONTROL_DEFAULT;

	if (asked == CLI_OK)
		return 0;
	if (asked == CLI_NO_PERMISSION)
		return doctor_add(report, DOCTOR_WARN, "run this as root",
				  "the daemon's socket %s is not open to this "
				  "user",
				  path);
	return doctor_add(report, DOCTOR_FAIL, "start porticod",
			  "no daemon answers at %s: nothing is translated",
			  path);
}

/* A scene that cannot be set is a finding; what can be looked at without it
 * is. doctor_examine() starts the report, so it comes first. */
static int examine(const struct cli *cli, struct json_object *status,
		   bool daemon_runs, struct doctor_report *report)
{
	const char *path = cli->config ? cli->config :
					 text_of(status, "config");
	char error[MESSAGE_MAX] = "";
	struct cli_scene scene;
	struct doctor_context context = { .backend = backend_of(status),
					  .daemon_runs = daemon_runs };
	int bad = cli_scene_open(&scene, path, error, sizeof(error));
	int err = 0;

	context.config = scene.config;
	context.network = cli_scene_network(&scene);
	if (scene.config)
		err = doctor_examine(&context, report);
	/* That there is no uplink is one of the findings. */
	if (bad && bad != -ENODEV && !err)
		err = doctor_add(report, DOCTOR_FAIL, NULL, "%s", error);
	cli_scene_close(&scene);
	return err;
}

static struct json_object *finding_object(const struct doctor_finding *finding)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	json_object_object_add(
		object, "level",
		json_object_new_string(doctor_level_name(finding->level)));
	json_object_object_add(object, "text",
			       json_object_new_string(finding->text));
	json_object_object_add(object, "remedy",
			       finding->remedy ?
				       json_object_new_string(finding->remedy) :
				       NULL);
	return object;
}

static enum cli_exit print_json(const struct doctor_report *report)
{
	struct json_object *object = json_object_new_object();
	struct json_object *findings = json_object_new_array();

	for (size_t i = 0; i < report->count; i++)
		json_object_array_add(findings,
				      finding_object(&report->findings[i]));
	json_object_object_add(object, "findings", findings);
	return cli_print_json(object);
}

enum cli_exit cli_doctor(const struct cli *cli)
{
	struct doctor_report report = { 0 };
	struct json_object *status = NULL;
	enum cli_exit asked = ask_daemon(cli, &status);
	enum cli_exit code;

	if (examine(cli, status, asked == CLI_OK, &report) ||
	    add_daemon(cli, asked, &report))
		code = cli_fail(CLI_FAILED, "no memory");
	else if (cli->json)
		code = print_json(&report);
	else
		code = CLI_OK;
	if (!code && !cli->json)
		doctor_print(&report, stdout);
	if (!code && report.worst == DOCTOR_FAIL)
		code = CLI_FAILED;
	json_object_put(status);
	doctor_report_free(&report);
	return code;
}
