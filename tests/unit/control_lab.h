/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For the tests of the control sockets: a gateway without a network, a loop
 * turned by hand (turned_loop.h), and clients. The lab stands in for
 * platform/gateway.c, loop.c and the rendering of rules; sockets and engine are
 * the real ones.
 *
 * A header with code, to be included once by a test program: among the objects
 * that all tests link, these stand-ins would take the place of the real
 * functions in every one of them.
 */
#ifndef PORTICO_TESTS_CONTROL_LAB_H
#define PORTICO_TESTS_CONTROL_LAB_H

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/client.h"
#include "platform/control.h"
#include "platform/gateway.h"
#include "suite.h"
#include "turned_loop.h"

/* --- the gateway --------------------------------------------------------- */

struct gateway {
	struct nat *nat;
	struct nat_config config;
	struct config file;
	struct network_state network;
	struct nat_portset bound[2];
	uint64_t now_ms;
	void *records, *indices;
	uint32_t flushed; /* the last host */
	unsigned reloads;
	unsigned forwards_changed;
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

const struct nat_config *gateway_nat_config(const struct gateway *gateway)
{
	return &gateway->config;
}

const struct nat_portset *gateway_bound(const struct gateway *gateway)
{
	return gateway->bound;
}

const struct config *gateway_config(const struct gateway *gateway)
{
	return &gateway->file;
}

enum rules_backend gateway_backend(const struct gateway *gateway)
{
	(void)gateway;
	return RULES_NFTABLES;
}

void gateway_queue_stats(struct gateway *gateway, struct queue_stats *stats)
{
	(void)gateway;
	*stats = (struct queue_stats){ .length = 1024, .gso = true };
}

bool gateway_fast_stats(const struct gateway *gateway, struct fast_stats *stats)
{
	(void)gateway;
	*stats = (struct fast_stats){ .sessions = 3 };
	return true;
}

const char *gateway_fast_reason(const struct gateway *gateway)
{
	(void)gateway;
	return "";
}

uint64_t gateway_uptime_s(const struct gateway *gateway)
{
	return gateway->now_ms / 1000;
}

const struct nat_restored *gateway_restored(const struct gateway *gateway,
					    uint64_t *ms)
{
	static const struct nat_restored nothing;

	(void)gateway;
	*ms = 0;
	return &nothing;
}

uint64_t gateway_now_ms(const struct gateway *gateway)
{
	return gateway->now_ms;
}

size_t gateway_warnings(struct gateway *gateway, const char *const **warnings)
{
	static const char *const list[] = { "a warning" };

	(void)gateway;
	*warnings = list;
	return 1;
}

void gateway_rules_spec(const struct gateway *gateway, struct rules_spec *spec)
{
	spec->uplink = gateway->network.uplink.name;
}

uint32_t gateway_flush_host(struct gateway *gateway, uint32_t addr)
{
	gateway->flushed = addr;
	return 17;
}

int gateway_reload(struct gateway *gateway, char *error, size_t error_size)
{
	gateway->reloads++;
	if (!gateway->reload_error)
		return 0;
	snprintf(error, error_size, "%s", gateway->reload_error);
	return -EINVAL;
}

/* The new one in the place of the old one, which is no block of its own. */
static inline void lab_swap(struct gateway *gateway, struct config *changed)
{
	struct config new = *changed;

	*changed = gateway->file;
	gateway->file = new;
	config_free_forwards(changed);
	gateway->forwards_changed++;
}

int gateway_add_forward(struct gateway *gateway, struct json_object *forward,
			char *error, size_t error_size)
{
	struct config *changed;
	int err = config_add_forward(&gateway->file, forward, &changed, error,
				     error_size);

	if (!err)
		lab_swap(gateway, changed);
	return err;
}

int gateway_remove_forward(struct gateway *gateway, const char *name,
			   char *error, size_t error_size)
{
	struct config *changed;
	int err = config_remove_forward(&gateway->file, name, &changed, error,
					error_size);

	if (!err)
		lab_swap(gateway, changed);
	return err;
}

size_t gateway_forward_warnings(struct gateway *gateway, const char *name,
				const char *const **warnings)
{
	(void)name;
	return gateway_warnings(gateway, warnings);
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
static inline void *lab_block(size_t size)
{
	size_t rounded = (size + 63) / 64 * 64;
	void *block = aligned_alloc(64, rounded);

	if (block)
		memset(block, 0, rounded);
	return block;
}

static inline void lab_configure(struct nat_config *config)
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

static inline struct gateway *lab_gateway(void)
{
	static const struct nat_limits limits = {
		.mappings = 131072,
		.sessions = 131072,
		.hosts = 1024,
		.held_ports = 16,
		.fragments = 16,
		.fragment_bytes = 65536,
		.tagged = 64,
	};
	static const struct nat_secrets secrets = { { 1 }, { 2 } };
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

static inline void lab_gateway_free(struct gateway *gateway)
{
	struct config *none = calloc(1, sizeof(*none));

	lab_swap(gateway, none); /* frees the forwards */
	free(gateway->records);
	free(gateway->indices);
	free(gateway);
}

static inline void lab_put(uint8_t *at, uint32_t value, int bytes)
{
	while (bytes--) {
		at[bytes] = (uint8_t)value;
		value >>= 8;
	}
}

/* RFC 1071 over the IPv4 header. */
static inline void lab_checksum(uint8_t *header)
{
	uint32_t sum = 0;

	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)header[i] << 8 | header[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	lab_put(header + 10, ~sum & 0xffff, 2);
}

/* Sends a datagram of 28 bytes from inside to a peer through the engine. */
static inline bool lab_send(struct gateway *gateway, uint32_t from,
			    uint16_t port, uint32_t peer, uint16_t peer_port)
{
	uint8_t data[28] = { [0] = 0x45, [8] = 64, [9] = NAT_PROTO_UDP };
	struct nat_packet packet = { .data = data,
				     .length = sizeof(data),
				     .path = NAT_PATH_OUTBOUND };

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

#define TURNS_MAX 20000

/* --- a daemon of one piece ----------------------------------------------- */

struct lab {
	char directory[64];
	char path[80], read_path[80];
	struct loop loop;
	struct gateway *gateway;
	struct control *control;
};

static inline void lab_paths(struct lab *lab)
{
	strcpy(lab->directory, "/tmp/portico-test-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(lab->directory));
	snprintf(lab->path, sizeof(lab->path), "%s/run/c", lab->directory);
	snprintf(lab->read_path, sizeof(lab->read_path), "%s/run/r",
		 lab->directory);
}

static inline void lab_open(struct lab *lab)
{
	char error[256] = "";

	memset(lab, 0, sizeof(*lab));
	lab->loop.now_ms = 5000;
	lab_paths(lab);
	lab->gateway = lab_gateway();
	CU_ASSERT_PTR_NOT_NULL_FATAL(lab->gateway->nat);
	lab->control = control_open(&lab->loop, lab->path, lab->read_path,
				    error, sizeof(error));
	if (!lab->control)
		printf("%s\n", error);
	CU_ASSERT_PTR_NOT_NULL_FATAL(lab->control);
	control_set_gateway(lab->control, lab->gateway);
}

static inline void lab_close(struct lab *lab)
{
	char run[80];

	control_close(lab->control);
	lab_gateway_free(lab->gateway);
	for (int i = 0; i < LAB_WATCHES; i++)
		CU_ASSERT_PTR_NULL(lab->loop.watches[i]);
	snprintf(run, sizeof(run), "%s/run", lab->directory);
	CU_ASSERT_EQUAL(rmdir(run), 0); /* no socket is left behind */
	rmdir(lab->directory);
}

/* --- clients ------------------------------------------------------------- */

static inline int dial(const char *path)
{
	int fd = client_connect(path);

	CU_ASSERT_TRUE(fd >= 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static inline void say(int fd, const char *text)
{
	ssize_t length = (ssize_t)strlen(text);

	CU_ASSERT_EQUAL(send(fd, text, (size_t)length, MSG_NOSIGNAL), length);
}

/* What a client hears: a line (1), the end (0), or nothing in time (-1). */
struct heard {
	int what;
	struct buffer text; /* ended by '\0' */
};

static inline struct heard hear(struct lab *lab, int fd)
{
	struct heard heard = { .what = -1 };

	for (int i = 0; i < TURNS_MAX; i++) {
		ssize_t got;

		lab_turn(&lab->loop);
		buffer_reserve(&heard.text, 65537);
		got = recv(fd, heard.text.data + heard.text.end, 65536,
			   MSG_DONTWAIT);
		if (got == 0)
			heard.what = 0;
		if (got > 0)
			heard.text.end += (size_t)got;
		heard.text.data[heard.text.end] = '\0';
		if (got > 0 && heard.text.data[heard.text.end - 1] == '\n')
			heard.what = 1;
		if (heard.what >= 0)
			break;
	}
	return heard;
}

static inline struct json_object *hear_json(struct lab *lab, int fd)
{
	struct heard heard = hear(lab, fd);
	struct json_object *object = NULL;

	CU_ASSERT_EQUAL(heard.what, 1);
	if (heard.what == 1)
		object = json_tokener_parse(heard.text.data);
	CU_ASSERT_PTR_NOT_NULL(object);
	buffer_free(&heard.text);
	return object;
}

/* One request by a client of its own. */
static inline struct json_object *ask(struct lab *lab, const char *path,
				      const char *request)
{
	int fd = dial(path);
	struct json_object *object;

	say(fd, request);
	object = hear_json(lab, fd);
	close(fd);
	lab_turn(&lab->loop);
	return object;
}

static const char *error_of(struct json_object *object)
{
	struct json_object *error;

	if (!json_object_object_get_ex(object, "error", &error))
		return "";
	return json_object_get_string(error);
}

static inline void check_error(struct lab *lab, const char *path,
			       const char *request, const char *expected)
{
	struct json_object *object = ask(lab, path, request);

	CU_ASSERT_PTR_NOT_NULL(strstr(error_of(object), expected));
	if (!strstr(error_of(object), expected))
		printf("%s -> %s\n", request,
		       json_object_to_json_string(object));
	json_object_put(object);
}

static inline void check_closed(struct lab *lab, int fd)
{
	struct heard heard = hear(lab, fd);

	CU_ASSERT_EQUAL(heard.what, 0);
	CU_ASSERT_EQUAL(heard.text.end, 0);
	buffer_free(&heard.text);
}

/* The length of the array in a reply; -1 when there is none. */
static inline int rows(struct json_object *object, const char *key)
{
	struct json_object *array;

	if (!json_object_object_get_ex(object, key, &array))
		return -1;
	return (int)json_object_array_length(array);
}

static inline int count_rows(struct lab *lab, const char *request,
			     const char *key)
{
	struct json_object *object = ask(lab, lab->path, request);
	int count = rows(object, key);

	json_object_put(object);
	return count;
}

#endif
