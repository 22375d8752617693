/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A gateway without a network and a loop that is turned by hand, for the tests
 * of the control sockets. It stands in for platform/gateway.c, loop.c and the
 * rendering of rules; the engine is the real one. Included once, by the test.
 */
#ifndef PORTICO_TESTS_CONTROL_LAB_H
#define PORTICO_TESTS_CONTROL_LAB_H

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "platform/gateway.h"

/* --- the loop ------------------------------------------------------------ */

#define LAB_WATCHES 128

struct loop {
	uint64_t now_ms;
	struct watch *watches[LAB_WATCHES];
	uint32_t events[LAB_WATCHES];
	unsigned turns;
};

static int loop_slot(const struct loop *loop, const struct watch *watch)
{
	for (int i = 0; i < LAB_WATCHES; i++)
		if (loop->watches[i] == watch)
			return i;
	return -1;
}

int loop_add(struct loop *loop, struct watch *watch, uint32_t events)
{
	int slot = loop_slot(loop, NULL);

	if (slot < 0)
		return -ENOSPC;
	loop->watches[slot] = watch;
	loop->events[slot] = events;
	return 0;
}

int loop_change(struct loop *loop, struct watch *watch, uint32_t events)
{
	int slot = loop_slot(loop, watch);

	if (slot < 0)
		return -ENOENT;
	loop->events[slot] = events;
	return 0;
}

void loop_remove(struct loop *loop, struct watch *watch)
{
	int slot = loop_slot(loop, watch);

	if (slot >= 0)
		loop->watches[slot] = NULL;
}

uint64_t loop_now_ms(const struct loop *loop)
{
	return loop->now_ms;
}

/* One turn, one millisecond: every watch that is ready has its handler run.
 * Returns how many. */
static int lab_turn(struct loop *loop)
{
	int ready = 0;

	loop->now_ms++;
	loop->turns++;
	for (int i = 0; i < LAB_WATCHES; i++) {
		struct watch *watch = loop->watches[i];
		struct pollfd fd = {0};

		if (!watch)
			continue;
		fd.fd = watch->fd;
		fd.events = (short)((loop->events[i] & EPOLLIN ? POLLIN : 0) |
				    (loop->events[i] & EPOLLOUT ? POLLOUT : 0));
		if (poll(&fd, 1, 0) > 0) {
			watch->handler(watch, 0);
			ready++;
		}
	}
	return ready;
}

/* --- the gateway --------------------------------------------------------- */

struct gateway {
	struct nat *nat;
	struct nat_config config;
	struct network_state network;
	uint64_t now_ms;
	void *records, *indices;
	unsigned reloads;
	const char *reload_error; /* NULL: the reload succeeds */
};

const struct nat *gateway_nat(const struct gateway *gateway)
{
	return gateway->nat;
}

const struct network_state *gateway_network(const struct gateway *gateway)
{
	return &gateway->network;
}

enum rules_backend gateway_backend(const struct gateway *gateway)
{
	(void)gateway;
	return RULES_NFTABLES;
}

void gateway_queue_stats(struct gateway *gateway, struct queue_stats *stats)
{
	(void)gateway;
	*stats = (struct queue_stats){.length = 1024, .gso = true};
}

uint64_t gateway_uptime_s(const struct gateway *gateway)
{
	return gateway->now_ms / 1000;
}

uint64_t gateway_now_ms(const struct gateway *gateway)
{
	return gateway->now_ms;
}

size_t gateway_warnings(struct gateway *gateway, const char *const **warnings)
{
	static const char *const list[] = {"a warning"};

	(void)gateway;
	*warnings = list;
	return 1;
}

void gateway_rules_spec(const struct gateway *gateway, struct rules_spec *spec)
{
	spec->uplink = gateway->network.uplink.name;
}

int gateway_reload(struct gateway *gateway, char *error, size_t error_size)
{
	gateway->reloads++;
	if (!gateway->reload_error)
		return 0;
	snprintf(error, error_size, "%s", gateway->reload_error);
	return -EINVAL;
}

const char *rules_backend_name(enum rules_backend backend)
{
	return backend == RULES_NFTABLES ? "nftables" : "iptables";
}

int rules_render(const struct rules_spec *spec, enum rules_backend backend,
		 FILE *out)
{
	(void)backend;
	fprintf(out, "table ip portico {\n\t# %s\n}\n", spec->uplink);
	return 0;
}

/* --- the engine ---------------------------------------------------------- */

/* Aligned and zero, as the memory the daemon maps. */
static void *lab_block(size_t size)
{
	size_t rounded = (size + 63) / 64 * 64;
	void *block = aligned_alloc(64, rounded);

	if (block)
		memset(block, 0, rounded);
	return block;
}

static void lab_configure(struct nat_config *config)
{
	for (int i = 0; i < NAT_TIMERS; i++)
		config->timeout_s[i] = 300;
	config->host_mappings = NAT_LIMIT_MAX;
	config->host_sessions = NAT_LIMIT_MAX;
	config->mapping_sessions = 512;
	config->host_new_per_second = NAT_LIMIT_MAX;
	config->refuse_code = 13;
	config->fragment_s = 30;
	for (int i = 0; i < NAT_POOLS; i++)
		for (uint32_t port = 1024; port < NAT_PORTS; port++)
			nat_portset_add(&config->pool[i], (uint16_t)port);
}

static struct gateway *lab_gateway(void)
{
	static const struct nat_limits limits = {
		.mappings = 131072, .sessions = 131072, .hosts = 1024,
		.held_ports = 16, .fragments = 16, .fragment_bytes = 65536,
	};
	static const struct nat_secrets secrets = {{1}, {2}};
	struct gateway *gateway = calloc(1, sizeof(*gateway));
	size_t records = nat_records_size(&limits);
	size_t indices = nat_indices_size(&limits);

	gateway->now_ms = 1000;
	gateway->records = lab_block(records);
	gateway->indices = lab_block(indices);
	gateway->nat = nat_init(&limits, &secrets, gateway->records, records,
				gateway->indices, indices, gateway->now_ms);
	strcpy(gateway->network.uplink.name, "wan0");
	gateway->network.uplink_addr = 0xcb007101;
	lab_configure(&gateway->config);
	nat_configure(gateway->nat, &gateway->config, gateway->now_ms);
	nat_set_uplink(gateway->nat, 0xcb007101, gateway->now_ms);
	return gateway;
}

static void lab_gateway_free(struct gateway *gateway)
{
	free(gateway->records);
	free(gateway->indices);
	free(gateway);
}

static void lab_put(uint8_t *at, uint32_t value, int bytes)
{
	while (bytes--) {
		at[bytes] = (uint8_t)value;
		value >>= 8;
	}
}

/* RFC 1071 over the IPv4 header. */
static void lab_checksum(uint8_t *header)
{
	uint32_t sum = 0;

	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)header[i] << 8 | header[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	lab_put(header + 10, ~sum & 0xffff, 2);
}

/* Sends a datagram of 28 bytes from inside to a peer through the engine. */
static bool lab_send(struct gateway *gateway, uint32_t from, uint16_t port,
		     uint32_t peer, uint16_t peer_port)
{
	uint8_t data[28] = {[0] = 0x45, [8] = 64, [9] = NAT_PROTO_UDP};
	struct nat_packet packet = {.data = data,
				    .length = sizeof(data),
				    .path = NAT_PATH_OUTBOUND};

	lab_put(data + 2, sizeof(data), 2);
	lab_put(data + 12, from, 4);
	lab_put(data + 16, peer, 4);
	lab_put(data + 20, port, 2);
	lab_put(data + 22, peer_port, 2);
	lab_put(data + 24, 8, 2); /* UDP checksum 0: none */
	lab_checksum(data);
	return nat_translate(gateway->nat, &packet, gateway->now_ms).verdict ==
	       NAT_TRANSLATED;
}

#endif
