/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * mappings, sessions and hosts as text for people.
 */
#include "text.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>

#include "text_table.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- service and host names ---------------------------------------------- */

static void find_service(struct text_service *service, bool tcp, uint16_t port)
{
	struct servent *found = getservbyport(htons(port), tcp ? "tcp" : "udp");

	service->known = true;
	service->tcp = tcp;
	service->port = port;
	snprintf(service->name, sizeof(service->name), "%s",
		 found ? found->s_name : "");
}

static const char *service_name(struct text_context *context, const char *proto,
				uint16_t port)
{
	bool tcp = !strcmp(proto, "tcp");
	struct text_service *service =
		&context->services[(port * 2U + tcp) % TEXT_SERVICES];

	if (!port || (!tcp && strcmp(proto, "udp")))
		return "";
	if (!service->known || service->port != port || service->tcp != tcp)
		find_service(service, tcp, port);
	return service->name;
}

/* The service of the socket in value. */
static void format_service(struct text_context *context,
			   struct json_object *row, struct json_object *value,
			   char cell[static TEXT_CELL])
{
	const char *text = value ? json_object_get_string(value) : "";
	const char *name = "";
	uint32_t addr;
	uint16_t port;

	if (text_parse_socket(text, &addr, &port))
		name = service_name(context, text_member(row, "proto"), port);
	snprintf(cell, TEXT_CELL, "%s", *name ? name : "-");
}

void text_name(struct text_context *context, struct json_object *row,
	       struct json_object *value, char cell[static TEXT_CELL])
{
	const char *name = NULL;
	const char *inside = text_member(row, "inside");
	uint32_t addr;
	uint16_t port;

	if (!*inside)
		inside = text_member(row, "address");
	if (value)
		name = json_object_get_string(value);
	else if (text_parse_socket(inside, &addr, &port))
		name = names_find(context->names, addr);
	snprintf(cell, TEXT_CELL, "%s", name ? name : "-");
}

/* --- order --------------------------------------------------------------- */

static int compare_socket(struct json_object *one, struct json_object *other,
			  const char *key)
{
	uint32_t addr[2] = { 0 };
	uint16_t port[2] = { 0 };

	text_parse_socket(text_member(one, key), &addr[0], &port[0]);
	text_parse_socket(text_member(other, key), &addr[1], &port[1]);
	if (addr[0] != addr[1])
		return addr[0] < addr[1] ? -1 : 1;
	return (port[0] > port[1]) - (port[0] < port[1]);
}

/* By inside socket, protocol, peer. */
static int compare_rows(const void *a, const void *b)
{
	struct json_object *one = *(struct json_object *const *)a;
	struct json_object *other = *(struct json_object *const *)b;
	int order = compare_socket(one, other, "inside");

	if (!order)
		order = strcmp(text_member(one, "proto"),
			       text_member(other, "proto"));
	if (!order)
		order = compare_socket(one, other, "peer");
	return order;
}

static int compare_hosts(const void *a, const void *b)
{
	struct json_object *one = *(struct json_object *const *)a;
	struct json_object *other = *(struct json_object *const *)b;

	return compare_socket(one, other, "address");
}

/* --- tables -------------------------------------------------------------- */

static const struct text_column mapping_columns[] = {
	{ "PROTO", "proto", false, text_plain },
	{ "INSIDE", "inside", false, text_plain },
	{ "OUTSIDE", "outside", false, text_plain },
	{ "KIND", "kind", false, text_plain },
	{ "SESSIONS", "sessions", true, text_plain },
	{ "AGE", "age_s", true, text_time },
	{ "IDLE", "idle_s", true, text_time },
	{ "EXPIRES", "expires_s", true, text_time },
	{ "OUT", "out_bytes", true, text_size },
	{ "IN", "in_bytes", true, text_size },
	{ "NAME", "name", false, text_name },
};

static const struct text_column session_columns[] = {
	{ "PROTO", "proto", false, text_plain },
	{ "INSIDE", "inside", false, text_plain },
	{ "OUTSIDE", "outside", false, text_plain },
	{ "PEER", "peer", false, text_plain },
	{ "SERVICE", "peer", false, format_service },
	{ "STATE", "state", false, text_plain },
	{ "AGE", "age_s", true, text_time },
	{ "IDLE", "idle_s", true, text_time },
	{ "EXPIRES", "expires_s", true, text_time },
	{ "OUT", "out_bytes", true, text_size },
	{ "IN", "in_bytes", true, text_size },
	{ "NAME", "name", false, text_name },
};

static const struct text_column whois_columns[] = {
	{ "PROTO", "proto", false, text_plain },
	{ "OUTSIDE", "outside", false, text_plain },
	{ "INSIDE", "inside", false, text_plain },
	{ "HOST", "host", false, text_name }, /* no such key: by the lease */
	{ "KIND", "kind", false, text_plain },
	{ "AGE", "age_s", true, text_time },
	{ "IDLE", "idle_s", true, text_time },
	{ "PEERS", "sessions", true, text_plain },
	{ "FORWARD", "name", false, text_plain },
};

static const struct text_column host_columns[] = {
	{ "ADDRESS", "address", false, text_plain },
	{ "NAME", "name", false, text_name },
	{ "MAPPINGS", "mappings", true, text_plain },
	{ "SESSIONS", "sessions", true, text_plain },
	{ "OUT", "out_bytes", true, text_size },
	{ "IN", "in_bytes", true, text_size },
	{ "REFUSED", "refused", true, text_plain },
};

static void print(struct json_object *reply, const char *key,
		  int (*compare)(const void *, const void *),
		  const struct text_column *columns, size_t count,
		  const struct names *names, FILE *out)
{
	struct text_context context = { .names = names };
	struct json_object *rows = NULL;

	json_object_object_get_ex(reply, key, &rows);
	if (json_object_is_type(rows, json_type_array))
		json_object_array_sort(rows, compare);
	text_table(columns, count, rows, &context, out);
}

void text_mappings(struct json_object *reply, const struct names *names,
		   FILE *out)
{
	print(reply, "mappings", compare_rows, mapping_columns,
	      COUNT(mapping_columns), names, out);
}

void text_sessions(struct json_object *reply, const struct names *names,
		   FILE *out)
{
	print(reply, "sessions", compare_rows, session_columns,
	      COUNT(session_columns), names, out);
}

void text_whois(struct json_object *reply, const struct names *names, FILE *out)
{
	print(reply, "whois", compare_rows, whois_columns, COUNT(whois_columns),
	      names, out);
}

void text_hosts(struct json_object *reply, const struct names *names, FILE *out)
{
	print(reply, "hosts", compare_hosts, host_columns, COUNT(host_columns),
	      names, out);
}
