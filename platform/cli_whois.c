/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * whois: which inside socket has an outside port, for who was told of that port
 * by somebody outside. The daemon's filter takes a port of either side, so that
 * the outside one is chosen here.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "names.h"
#include "replies.h"
#include "text_table.h"

/* --- which of the mappings ----------------------------------------------- */

static struct json_object *list(struct json_object *reply, const char *key)
{
	return text_part(reply, key, json_type_array);
}

static bool is_outside(struct json_object *row, uint32_t addr, uint16_t port)
{
	uint32_t own_addr;
	uint16_t own_port;

	return text_parse_socket(text_member(row, "outside"), &own_addr,
				 &own_port) &&
	       own_port == port && (!addr || own_addr == addr);
}

static bool same(struct json_object *one, struct json_object *other,
		 const char *key)
{
	return !strcmp(text_member(one, key), text_member(other, key));
}

static bool has_session(struct json_object *mapping, struct json_object *rows)
{
	size_t count = rows ? json_object_array_length(rows) : 0;

	for (size_t i = 0; i < count; i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		if (same(mapping, row, "proto") &&
		    same(mapping, row, "inside") &&
		    same(mapping, row, "outside"))
			return true;
	}
	return false;
}

struct json_object *replies_whois(struct json_object *mappings,
				  struct json_object *sessions, uint32_t addr,
				  uint16_t port)
{
	struct json_object *rows = list(mappings, "mappings");
	struct json_object *result = json_object_new_object();
	struct json_object *found = json_object_new_array();
	size_t count = rows ? json_object_array_length(rows) : 0;

	for (size_t i = 0; found && i < count; i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		if (is_outside(row, addr, port) &&
		    (!sessions || has_session(row, list(sessions, "sessions"))))
			json_object_array_add(found, json_object_get(row));
	}
	if (result && found) {
		json_object_object_add(result, "whois", found);
		return result;
	}
	json_object_put(result);
	json_object_put(found);
	return NULL;
}

/* --- asking -------------------------------------------------------------- */

/* An outside socket as it was given. */
struct outside {
	char host[INET_ADDRSTRLEN]; /* "": none */
	uint32_t addr; /* 0: none */
	const char *port_text;
	uint16_t port;
};

static bool read_outside(const char *text, struct outside *outside)
{
	const char *colon = strchr(text, ':');
	struct filter filter = { 0 };
	struct in_addr in = { 0 };
	char error[128];

	outside->port_text = colon ? colon + 1 : text;
	if (filter_set(&filter, FILTER_PORT, outside->port_text, error,
		       sizeof(error)))
		return false;
	outside->port = filter.port;
	if (!colon)
		return true;
	if ((size_t)(colon - text) >= sizeof(outside->host))
		return false;
	memcpy(outside->host, text, (size_t)(colon - text));
	if (inet_pton(AF_INET, outside->host, &in) != 1)
		return false;
	/* As the daemon writes it. */
	inet_ntop(AF_INET, &in, outside->host, sizeof(outside->host));
	outside->addr = ntohl(in.s_addr);
	return outside->addr != 0;
}

/* What is known of the port; sessions only where a peer is asked for. */
static enum cli_exit ask(const struct cli *cli, const struct outside *outside,
			 struct json_object **mappings,
			 struct json_object **sessions)
{
	struct cli request = *cli;
	enum cli_exit code;

	*sessions = NULL;
	request.command = "mappings";
	request.filters[FILTER_PORT] = outside->port_text;
	request.filters[FILTER_PEER] = NULL;
	code = cli_fetch(&request, mappings);
	if (code || !cli->filters[FILTER_PEER])
		return code;
	request.command = "sessions";
	request.filters[FILTER_PEER] = cli->filters[FILTER_PEER];
	return cli_fetch(&request, sessions);
}

static enum cli_exit nothing(const struct cli *cli,
			     const struct outside *outside)
{
	const char *proto = cli->filters[FILTER_PROTO];
	const char *peer = cli->filters[FILTER_PEER];

	if (cli->json) {
		puts("{\"whois\":[]}");
		return CLI_FAILED;
	}
	if (peer)
		return cli_fail(CLI_FAILED,
				"no %s%smapping with outside port %u talks to "
				"%s now; a session that has ended is not "
				"remembered",
				proto ? proto : "", proto ? " " : "",
				outside->port, peer);
	return cli_fail(CLI_FAILED,
			"no %s%smapping has outside port %u now; a mapping "
			"that has expired is not remembered",
			proto ? proto : "", proto ? " " : "", outside->port);
}

/* Nothing has this socket: it may be no address of ours. */
static enum cli_exit judge(const struct cli *cli, const struct outside *outside)
{
	struct cli request = { .command = "status",
			       .socket = cli->socket,
			       .json = cli->json };
	struct json_object *status, *uplink = NULL;
	enum cli_exit code = cli_fetch(&request, &status);
	const char *addr;
	char error[128];

	if (code)
		return code;
	json_object_object_get_ex(status, "uplink", &uplink);
	addr = text_member(uplink, "address");
	snprintf(error, sizeof(error), "%s is not the uplink's address, %s%s",
		 outside->host, *addr ? "which is " : "it has none now", addr);
	code = strcmp(addr, outside->host) ? cli_refuse(cli, error) :
					     nothing(cli, outside);
	json_object_put(status);
	return code;
}

static enum cli_exit show(const struct cli *cli, struct json_object *found)
{
	struct names *names;

	if (cli->json)
		return cli_print_json(json_object_get(found));
	names = names_load();
	text_whois(found, names, stdout);
	names_free(names);
	return CLI_OK;
}

enum cli_exit cli_whois(const struct cli *cli)
{
	struct json_object *mappings = NULL, *sessions = NULL, *found = NULL;
	struct outside outside = { 0 };
	enum cli_exit code;

	if (!read_outside(cli->argument, &outside))
		return cli_fail(CLI_USAGE, "whois: expected an outside PORT or "
					   "ADDRESS:PORT");
	code = ask(cli, &outside, &mappings, &sessions);
	if (!code) {
		found = replies_whois(mappings, sessions, outside.addr,
				      outside.port);
		if (!found)
			code = cli_fail(CLI_FAILED, "no memory");
		else if (json_object_array_length(list(found, "whois")))
			code = show(cli, found);
		else if (outside.addr)
			code = judge(cli, &outside);
		else
			code = nothing(cli, &outside);
	}
	json_object_put(found);
	json_object_put(mappings);
	json_object_put(sessions);
	return code;
}
