/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The question of `portico why` as the command and the daemon read it.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "filter.h"
#include "protos.h"
#include "why_private.h"

static const char *const key_names[] = {
	[WHY_PROTO] = "proto",
	[WHY_SOURCE] = "source",
	[WHY_DESTINATION] = "destination",
};
static_assert(sizeof(key_names) / sizeof(key_names[0]) == WHY_KEYS,
	      "every key has a name");

/* --- protocols ----------------------------------------------------------- */

bool why_has_ports(uint8_t proto)
{
	return nat_pool_of(proto) == NAT_POOL_UDP ||
	       nat_pool_of(proto) == NAT_POOL_TCP || proto == NAT_PROTO_SCTP;
}

bool why_is_tagged(uint8_t proto)
{
	return proto == NAT_PROTO_SCTP || proto == NAT_PROTO_GRE ||
	       proto == NAT_PROTO_ESP;
}

uint16_t why_peer_port(uint8_t proto, uint16_t port)
{
	return proto == NAT_PROTO_ICMP ? 0 : port;
}

const char *why_name(enum why_key key)
{
	return key_names[key];
}

/* --- the question -------------------------------------------------------- */

/* "192.168.1.10" or "192.168.1.10:5000". */
static bool read_socket(const char *value, struct why_socket *socket)
{
	const char *colon = strchr(value, ':');
	size_t length = colon ? (size_t)(colon - value) : strlen(value);
	struct filter filter = { 0 };
	char addr[INET_ADDRSTRLEN], error[128];

	if (length >= sizeof(addr))
		return false;
	memcpy(addr, value, length);
	addr[length] = '\0';
	if (filter_set(&filter, FILTER_HOST, addr, error, sizeof(error)))
		return false;
	if (colon &&
	    filter_set(&filter, FILTER_PORT, colon + 1, error, sizeof(error)))
		return false;
	*socket = (struct why_socket){ filter.host, filter.port, colon };
	return true;
}

static int set_proto(struct why_question *question, const char *value,
		     char *error, size_t error_size)
{
	struct filter filter = { 0 };
	int err = filter_set(&filter, FILTER_PROTO, value, error, error_size);

	question->proto = filter.proto;
	question->set[WHY_PROTO] = !err;
	return err;
}

int why_set(struct why_question *question, enum why_key key, const char *value,
	    char *error, size_t error_size)
{
	char shown[FILTER_SHOWN_SIZE];

	if (key == WHY_PROTO)
		return set_proto(question, value, error, error_size);
	if (!read_socket(value, key == WHY_SOURCE ? &question->source :
						    &question->destination)) {
		snprintf(error, error_size,
			 "%s: found \"%s\", expected ADDRESS:PORT or an IPv4 "
			 "address",
			 why_name(key), filter_shown(value, shown));
		return -EINVAL;
	}
	question->set[key] = true;
	return 0;
}

static int check_port(const struct why_question *question, enum why_key key,
		      const struct why_socket *socket, char *error,
		      size_t error_size)
{
	bool ports = why_has_ports(question->proto);
	char name[4];

	if (question->proto == NAT_PROTO_ICMP || ports == socket->has_port ||
	    (!ports && !socket->port))
		return 0;
	snprintf(error, error_size, "%s: found %s, expected %s as %s has %s",
		 why_name(key),
		 ports ? WHY_ADDR(socket->addr) :
			 WHY_SOCKET(socket->addr, socket->port),
		 ports ? "ADDRESS:PORT" : "an address alone",
		 protos_name(question->proto, name),
		 ports ? "ports" : "no ports");
	return -EINVAL;
}

int why_check(const struct why_question *question, char *error,
	      size_t error_size)
{
	const struct why_socket *source = &question->source;
	const struct why_socket *destination = &question->destination;
	int err;

	for (int key = 0; key < WHY_KEYS; key++)
		if (!question->set[key]) {
			snprintf(error, error_size,
				 "why: the key \"%s\" is missing",
				 why_name((enum why_key)key));
			return -EINVAL;
		}
	err = check_port(question, WHY_SOURCE, source, error, error_size);
	if (!err)
		err = check_port(question, WHY_DESTINATION, destination, error,
				 error_size);
	if (!err && question->proto == NAT_PROTO_ICMP && source->port &&
	    destination->port && source->port != destination->port) {
		snprintf(error, error_size,
			 "icmp: found the query ids %u and %u, expected one",
			 (unsigned)source->port, (unsigned)destination->port);
		err = -EINVAL;
	}
	return err;
}
