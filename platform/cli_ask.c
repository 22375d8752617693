/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The portico command's talk with the daemon, and its complaints.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "client.h"
#include "views.h"

enum cli_exit cli_fail(enum cli_exit code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("portico: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	return code;
}

enum cli_exit cli_print_json(struct json_object *object)
{
	const int flags = JSON_C_TO_STRING_PLAIN |
			  JSON_C_TO_STRING_NOSLASHESCAPE;
	const char *text = NULL;
	enum cli_exit code = CLI_OK;

	if (object)
		text = json_object_to_json_string_ext(object, flags);
	if (text)
		puts(text);
	else
		code = cli_fail(CLI_FAILED, "no memory");
	json_object_put(object);
	return code;
}

enum cli_exit cli_refuse(const struct cli *cli, const char *error)
{
	enum cli_exit code;

	if (!cli->json)
		return cli_fail(CLI_FAILED, "%s", error);
	code = cli_print_json(views_error(error));
	return code ? code : CLI_FAILED;
}

static struct json_object *request_of(const struct cli *cli)
{
	struct json_object *request = cli->request ?
					      json_object_get(cli->request) :
					      json_object_new_object();

	if (!request || cli->request)
		return request;
	json_object_object_add(request, "command",
			       json_object_new_string(cli->command));
	for (int key = 0; key < FILTER_KEYS; key++)
		if (cli->filters[key])
			json_object_object_add(
				request, filter_name((enum filter_key)key),
				json_object_new_string(cli->filters[key]));
	for (int key = 0; key < WHY_KEYS; key++)
		if (cli->question[key])
			json_object_object_add(
				request, why_name((enum why_key)key),
				json_object_new_string(cli->question[key]));
	return request;
}

/* The default sockets: who may not use the one that changes things may still
 * look by the other. *path is set to the one that is meant. */
static int connect_default(const struct cli *cli, const char **path)
{
	int fd, fallback;

	*path = CLIENT_CONTROL_DEFAULT;
	fd = client_connect(*path);
	if (fd != -EACCES || cli->changes)
		return fd;
	fallback = client_connect(CLIENT_READ_DEFAULT);
	if (fallback >= 0)
		*path = CLIENT_READ_DEFAULT;
	return fallback >= 0 ? fallback : fd;
}

static enum cli_exit connect_failed(int err, const char *path, bool quiet)
{
	enum cli_exit code = err == -EACCES || err == -EPERM ?
				     CLI_NO_PERMISSION :
				     CLI_NO_DAEMON;

	if (err == -ENOMEM)
		return cli_fail(CLI_FAILED, "no memory");
	if (quiet)
		return code;
	if (code == CLI_NO_PERMISSION)
		return cli_fail(code,
				"%s: no permission; try as root or as a "
				"member of the socket's group",
				path);
	return cli_fail(code,
			"%s: no daemon answers (%s); is porticod "
			"running?",
			path, strerror(-err));
}

/* Sends the request, receives the line. 0 or -errno. */
static int exchange(int fd, const struct cli *cli, struct buffer *line)
{
	struct json_object *request = request_of(cli);
	int err = request ? client_send(fd, request) : -ENOMEM;

	json_object_put(request);
	/* Turned away at the door: the reason may be there to be read. */
	if (err == -EPIPE || err == -ECONNRESET)
		err = 0;
	return err ? err : client_receive(fd, line);
}

/* An error in the reply, as code and message. */
static enum cli_exit judge(const struct cli *cli, struct json_object *reply)
{
	struct json_object *error;

	if (!json_object_is_type(reply, json_type_object))
		return cli_fail(CLI_FAILED, "the daemon's answer is no JSON "
					    "object");
	if (!json_object_object_get_ex(reply, "error", &error))
		return CLI_OK;
	return cli_refuse(cli, json_object_get_string(error));
}

static bool is_error(const struct buffer *line)
{
	static const char error[] = "{\"error\":";

	return !strncmp(line->data, error, sizeof(error) - 1);
}

/* --json: a dump can be long, so it is handed on without a look inside. */
static enum cli_exit hand_on(const struct buffer *line)
{
	puts(line->data);
	return is_error(line) ? CLI_FAILED : CLI_OK;
}

static enum cli_exit read_reply(const struct cli *cli,
				const struct buffer *line,
				struct json_object **reply)
{
	enum cli_exit code;

	*reply = json_tokener_parse(line->data);
	code = judge(cli, *reply);
	if (code) {
		json_object_put(*reply);
		*reply = NULL;
	}
	return code;
}

/* The daemon's line; it is to be freed whatever came. */
static enum cli_exit talk(const struct cli *cli, bool quiet,
			  struct buffer *line)
{
	const char *path = cli->socket;
	int fd, err;

	fd = path ? client_connect(path) : connect_default(cli, &path);
	if (fd < 0)
		return connect_failed(fd, path, quiet);
	err = exchange(fd, cli, line);
	close(fd);
	if (!err)
		return CLI_OK;
	if (err == -ENOMEM)
		return cli_fail(CLI_FAILED, "no memory");
	if (quiet)
		return CLI_NO_DAEMON;
	return cli_fail(CLI_NO_DAEMON, "%s: the daemon gave no answer: %s",
			path, strerror(-err));
}

enum cli_exit cli_ask(const struct cli *cli, bool quiet,
		      struct json_object **reply)
{
	struct buffer line = { 0 };
	enum cli_exit code = talk(cli, quiet, &line);

	*reply = NULL;
	if (!code)
		code = cli->json ? hand_on(&line) :
				   read_reply(cli, &line, reply);
	buffer_free(&line);
	return code;
}

enum cli_exit cli_fetch(const struct cli *cli, struct json_object **reply)
{
	struct buffer line = { 0 };
	enum cli_exit code = talk(cli, false, &line);

	*reply = NULL;
	if (!code)
		code = read_reply(cli, &line, reply);
	buffer_free(&line);
	return code;
}

enum cli_exit cli_fetch_text(const struct cli *cli, bool quiet,
			     struct buffer *line)
{
	struct json_object *reply = NULL;
	enum cli_exit code = talk(cli, quiet, line);

	if (!code && is_error(line))
		code = read_reply(cli, line, &reply);
	json_object_put(reply);
	return code;
}
