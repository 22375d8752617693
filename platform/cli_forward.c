/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * forward list, add, remove. What is asked for is judged by the daemon, by the
 * code that reads its configuration.
 */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "text.h"

enum { NAME, PROTO, OUTSIDE, TO, FROM }; /* the arguments of add */

enum cli_exit cli_forward_list(const struct cli *cli)
{
	struct json_object *reply;
	struct cli asked = *cli;
	enum cli_exit code;

	asked.command = "forwards";
	code = cli_ask(&asked, false, &reply);
	if (reply)
		text_forwards(reply, stdout);
	json_object_put(reply);
	return code;
}

static void put(struct json_object *request, const char *key, const char *text)
{
	json_object_object_add(request, key, json_object_new_string(text));
}

/* "tcp,udp" as a list. */
static struct json_object *protocols(const char *text)
{
	struct json_object *list = json_object_new_array();

	for (;;) {
		size_t length = strcspn(text, ",");

		json_object_array_add(
			list, json_object_new_string_len(text, (int)length));
		if (!text[length])
			return list;
		text += length + 1;
	}
}

static struct json_object *addition(const struct cli *cli)
{
	const char *const *words = cli->arguments;
	struct json_object *request = json_object_new_object();
	struct json_object *from = json_object_new_array();

	put(request, "command", "forward_add");
	put(request, "name", words[NAME]);
	json_object_object_add(request, "proto", protocols(words[PROTO]));
	put(request, "outside", words[OUTSIDE]);
	put(request, "to", words[TO]);
	for (size_t i = 0; i < cli->more; i++)
		json_object_array_add(from,
				      json_object_new_string(words[FROM + i]));
	if (cli->more)
		json_object_object_add(request, "from", from);
	else
		json_object_put(from);
	return request;
}

/* Asks for what is made, and releases it. */
static enum cli_exit ask(const struct cli *cli, struct json_object *request,
			 struct json_object **reply)
{
	struct cli asked = *cli;
	enum cli_exit code;

	asked.request = request;
	code = cli_ask(&asked, false, reply);
	json_object_put(request);
	return code;
}

static void print_warnings(struct json_object *reply)
{
	struct json_object *list = NULL;

	json_object_object_get_ex(reply, "warnings", &list);
	if (!json_object_is_type(list, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(list); i++)
		printf("warning: %s\n",
		       json_object_get_string(
			       json_object_array_get_idx(list, i)));
}

enum cli_exit cli_forward_add(const struct cli *cli)
{
	struct json_object *reply;
	enum cli_exit code = ask(cli, addition(cli), &reply);

	if (reply) {
		print_warnings(reply);
		printf("%s: in force until it is removed or the daemon ends\n",
		       cli->argument);
	}
	json_object_put(reply);
	return code;
}

enum cli_exit cli_forward_remove(const struct cli *cli)
{
	struct json_object *request = json_object_new_object();
	struct json_object *reply;
	enum cli_exit code;

	put(request, "command", "forward_remove");
	put(request, "name", cli->argument);
	code = ask(cli, request, &reply);
	if (reply)
		printf("%s: removed\n", cli->argument);
	json_object_put(reply);
	return code;
}
