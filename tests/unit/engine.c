/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "judge.h"
#include "nat/internal.h"
#include "suite.h"

#define START_MS 1000000U

static const struct nat_prefix inside = { 0xc0a80100U, 24 };

const struct nat_limits engine_limits = {
	.mappings = 64,
	.sessions = 128,
	.hosts = 8,
	.held_ports = 64,
	.fragments = 4,
	.fragment_bytes = 4096,
	.tagged = 32,
};

/* --- life --------------------------------------------------------------- */

void engine_pool(struct nat_config *config, uint16_t first, uint16_t last)
{
	memset(config->pool, 0, sizeof(config->pool));
	for (int pool = 0; pool < NAT_POOLS; pool++)
		for (uint32_t port = first; port <= last; port++)
			nat_portset_add(&config->pool[pool], (uint16_t)port);
}

void engine_defaults(struct nat_config *config)
{
	*config = (struct nat_config){
		.filtering = { [NAT_POOL_UDP] = NAT_FILTER_ENDPOINT_INDEPENDENT,
			       [NAT_POOL_TCP] = NAT_FILTER_ADDRESS_DEPENDENT,
			       [NAT_POOL_ICMP] = NAT_FILTER_ADDRESS_DEPENDENT },
		.timeout_s = { [NAT_TIMER_UDP] = 300,
			       [NAT_TIMER_TCP_OPENING] = 240,
			       [NAT_TIMER_TCP_ESTABLISHED] = 7440,
			       [NAT_TIMER_TCP_CLOSING] = 240,
			       [NAT_TIMER_ICMP] = 60,
			       [NAT_TIMER_OTHER] = 600 },
		.port_hold_s = 120,
		.host_mappings = 4096,
		.host_sessions = 16384,
		.mapping_sessions = 512,
		.host_new_per_second = 200,
		.peer_tagged = 64,
		.icmp_per_second = 100,
		.host_icmp_per_second = 10,
		.hairpin = true,
		.inbound_refresh = true,
		.parity = true,
		.idle_probe = true,
		.refuse_code = 13,
		.fragment_s = 30,
		.inside = &inside,
		.inside_count = 1,
	};
	engine_pool(config, 512, 65535);
	for (uint16_t port = 512; port < 1024; port++)
		nat_portset_add(&config->low_only, port);
}

/* Zeroed, aligned, and ending exactly where it may. */
static void *block(size_t bytes)
{
	void *memory = NULL;

	if (!bytes || posix_memalign(&memory, 64, bytes))
		abort();
	return memset(memory, 0, bytes);
}

void engine_bare(struct engine *engine, const struct nat_limits *limits)
{
	static const struct nat_secrets secrets = {
		.hash_key = "hash key of test",
		.port_key = "port key of test",
	};
	size_t records = nat_records_size(limits);
	size_t indices = nat_indices_size(limits);

	memset(engine, 0, sizeof(*engine));
	engine->limits = *limits;
	engine->now = START_MS;
	engine->records = block(records);
	engine->indices = block(indices);
	engine->nat = nat_init(limits, &secrets, engine->records, records,
			       engine->indices, indices, engine->now);
	CU_ASSERT_PTR_NOT_NULL_FATAL(engine->nat);
}

struct nat_restored engine_restore(struct engine *engine)
{
	const uint8_t boot[16] = { engine->boot }; /* nat_init() has 0 */
	static const struct nat_secrets secrets = {
		.hash_key = "key after crash",
		.port_key = "ports of another",
	};
	size_t records = nat_records_size(&engine->limits);
	size_t indices = nat_indices_size(&engine->limits);
	struct nat_restored restored;
	const char *broken;

	memset(engine->indices, 0, indices);
	engine->nat = nat_restore(&engine->limits, &secrets, boot,
				  engine->records, records, engine->indices,
				  indices, engine->now, &restored);
	CU_ASSERT_PTR_NOT_NULL_FATAL(engine->nat);
	broken = nat_check(engine->nat);
	CU_ASSERT_PTR_NULL(broken);
	if (broken)
		printf("after restoring: %s\n", broken);
	return restored;
}

void engine_make(struct engine *engine)
{
	engine_bare(engine, &engine_limits);
	engine_defaults(&engine->config);
	engine_configure(engine);
	nat_set_uplink(engine->nat, UPLINK, engine->now);
	/* Long enough for the bucket of ICMP answers to be full. */
	engine->now += 10 * SECOND;
}

uint32_t engine_configure(struct engine *engine)
{
	uint32_t missing =
		nat_configure(engine->nat, &engine->config, engine->now);
	const char *broken = nat_check(engine->nat);

	CU_ASSERT_PTR_NULL(broken);
	if (broken)
		printf("after configuring: %s\n", broken);
	return missing;
}

void engine_free(struct engine *engine)
{
	free(engine->records);
	free(engine->indices);
	engine->nat = NULL;
}

/* --- judging ------------------------------------------------------------ */

static void judge(const struct engine *engine, const struct trial *trial)
{
	const char *wrong = trial_wrong(trial);

	if (!wrong && !engine->unproven)
		wrong = nat_check(engine->nat);
	CU_ASSERT_PTR_NULL(wrong);
	if (!wrong)
		return;
	printf("path %d, verdict %d, drop %s: %s\n", trial->path,
	       trial->result.verdict, nat_drop_name(trial->result.drop), wrong);
	suite_hex("before", trial->before, trial->length);
	suite_hex("after", trial->after, trial->length);
}

struct nat_result engine_translate(struct engine *engine, uint8_t *data,
				   uint32_t length, enum nat_path path)
{
	uint8_t *exact = malloc(length ? length : 1);
	struct nat_packet packet = { .data = exact,
				     .length = length,
				     .path = path,
				     .checksum = engine->checksum };
	struct trial trial = { .nat = engine->nat,
			       .checksum = engine->checksum,
			       .path = path,
			       .before = data,
			       .after = exact,
			       .length = length };

	if (!exact)
		abort();
	memcpy(exact, data, length);
	nat_stats(engine->nat, &trial.stats_before);
	/* Every other packet with a hint: nothing may depend on it. */
	if (engine->foreseen++ & 1)
		nat_foresee_all(engine->nat, &packet, 1);
	trial.result = nat_translate(engine->nat, &packet, engine->now);
	nat_stats(engine->nat, &trial.stats_after);
	CU_ASSERT_PTR_EQUAL(packet.data, exact);
	CU_ASSERT_EQUAL(packet.length, length);
	judge(engine, &trial);
	memcpy(data, exact, length);
	free(exact);
	return trial.result;
}

struct nat_result engine_run(struct engine *engine, enum nat_path path)
{
	return engine_translate(engine, engine->packet.data,
				engine->packet.length, path);
}

/* --- sending ------------------------------------------------------------ */

struct nat_result engine_udp(struct engine *engine, enum nat_path path,
			     struct flow flow)
{
	packet_udp(&engine->packet, flow, NULL, 11);
	return engine_run(engine, path);
}

struct nat_result engine_tcp(struct engine *engine, enum nat_path path,
			     struct flow flow, uint8_t flags)
{
	packet_tcp(&engine->packet, flow,
		   (struct segment){ .flags = flags,
				     .seq = 1000,
				     .ack = flags & ACK ? 1000 : 0,
				     .window = 65535 });
	return engine_run(engine, path);
}

struct nat_result engine_icmp(struct engine *engine, enum nat_path path,
			      struct flow flow, uint8_t type)
{
	packet_icmp(&engine->packet, flow, type, 13);
	return engine_run(engine, path);
}

uint16_t engine_open(struct engine *engine, uint8_t proto, struct flow flow)
{
	struct nat_result result;

	if (proto == NAT_PROTO_UDP)
		result = engine_udp(engine, NAT_PATH_OUTBOUND, flow);
	else if (proto == NAT_PROTO_TCP)
		result = engine_tcp(engine, NAT_PATH_OUTBOUND, flow, SYN);
	else
		result = engine_icmp(engine, NAT_PATH_OUTBOUND, flow, 8);
	return result.verdict == NAT_TRANSLATED ?
		       packet_flow(&engine->packet).sport :
		       0;
}

struct nat_result engine_answer(struct engine *engine, uint8_t proto,
				uint32_t peer, uint16_t peer_port,
				uint16_t port)
{
	struct flow flow = flow_of(peer, peer_port, UPLINK, port);

	if (proto == NAT_PROTO_UDP)
		return engine_udp(engine, NAT_PATH_INBOUND, flow);
	if (proto == NAT_PROTO_TCP)
		return engine_tcp(engine, NAT_PATH_INBOUND, flow, SYN | ACK);
	flow.sport = port;
	return engine_icmp(engine, NAT_PATH_INBOUND, flow, 0);
}

/* --- looking ------------------------------------------------------------ */

bool engine_session(const struct engine *engine, uint16_t inside_port,
		    uint32_t peer, struct nat_session_view *view)
{
	uint32_t cursor = 0;

	while (nat_next_session(engine->nat, &cursor, engine->now, view))
		if (view->inside_port == inside_port && view->peer_addr == peer)
			return true;
	memset(view, 0, sizeof(*view));
	return false;
}

bool engine_mapping(const struct engine *engine, uint16_t outside_port,
		    struct nat_mapping_view *view)
{
	uint32_t cursor = 0;

	while (nat_next_mapping(engine->nat, &cursor, engine->now, view))
		if (view->outside_port == outside_port)
			return true;
	memset(view, 0, sizeof(*view));
	return false;
}

int32_t engine_dynamic_port(const struct engine *engine, uint8_t proto,
			    uint32_t addr, uint16_t port)
{
	struct nat_mapping_view view;
	uint32_t cursor = 0;

	while (nat_next_mapping(engine->nat, &cursor, engine->now, &view))
		if (view.proto == proto && view.kind == NAT_KIND_DYNAMIC &&
		    view.inside_addr == addr && view.inside_port == port)
			return view.outside_port;
	return -1;
}

struct nat_stats engine_stats(const struct engine *engine)
{
	struct nat_stats stats;

	nat_stats(engine->nat, &stats);
	return stats;
}
