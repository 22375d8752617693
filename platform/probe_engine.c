/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The way to the engine alone: what the rules and the kernel do around it
 * (which packet takes which path) is done here in their place. No queue, no
 * system, and a clock that moves when somebody waits.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "probe.h"

/* Packets that wait at a link; the probes leave few of them lying. */
#define ARRIVED_MAX 16
#define START_MS 1000000
#define EXPIRE_MAX 65536U

struct arrived {
	struct probe_packet packets[ARRIVED_MAX];
	uint32_t first, count;
};

struct engine_way {
	struct probe_way way;
	struct nat *nat;
	void *records, *indices;
	size_t records_bytes, indices_bytes;
	uint64_t now_ms;
	struct arrived arrived[PROBE_SIDES];
};

static struct engine_way *engine_of(struct probe_way *way)
{
	return (struct engine_way *)(void *)way;
}

/* --- what arrives --------------------------------------------------------- */

/* A full link loses the packet, as one does. */
static void arrive(struct engine_way *engine, enum probe_side side,
		   const uint8_t *data, uint32_t length)
{
	struct arrived *arrived = &engine->arrived[side];
	struct probe_packet *packet;

	if (arrived->count == ARRIVED_MAX || length > PROBE_PACKET_MAX)
		return;
	packet = &arrived->packets[(arrived->first + arrived->count++) %
				   ARRIVED_MAX];
	memcpy(packet->data, data, length);
	packet->length = length;
}

/* The engine's own packets go where their destination is. */
static void arrive_routed(struct engine_way *engine, const uint8_t *data,
			  uint32_t length)
{
	bool inside = length >= 20 && data[16] == PROBE_INSIDE_NET >> 24 &&
		      data[17] == (PROBE_INSIDE_NET >> 16 & 255) &&
		      data[18] == (PROBE_INSIDE_NET >> 8 & 255);

	arrive(engine, inside ? PROBE_INSIDE : PROBE_OUTSIDE, data, length);
}

static void take_output(struct engine_way *engine)
{
	const uint8_t *data;
	uint32_t length;

	while (nat_next_output(engine->nat, engine->now_ms, &data, &length))
		arrive_routed(engine, data, length);
}

static bool receive(struct probe_way *way, enum probe_side side,
		    struct probe_packet *packet, uint64_t wait_ms)
{
	struct engine_way *engine = engine_of(way);
	struct arrived *arrived = &engine->arrived[side];

	if (!arrived->count) {
		engine->now_ms += wait_ms;
		nat_expire(engine->nat, engine->now_ms, EXPIRE_MAX);
		take_output(engine);
	}
	if (!arrived->count)
		return false;
	*packet = arrived->packets[arrived->first];
	arrived->first = (arrived->first + 1) % ARRIVED_MAX;
	arrived->count--;
	return true;
}

/* --- what is sent ---------------------------------------------------------- */

/* One pass through the engine. What it lets go on arrives at `to` (PROBE_SIDES:
 * nowhere yet), before the fragments that waited for it. True: it goes on. */
static bool pass(struct engine_way *engine, struct probe_packet *packet,
		 enum nat_path path, enum probe_side to)
{
	struct nat_packet data = { .data = packet->data,
				   .length = packet->length,
				   .path = path };
	struct nat_result result =
		nat_translate(engine->nat, &data, engine->now_ms);

	if (result.verdict == NAT_TRANSLATED && to != PROBE_SIDES)
		arrive(engine, to, packet->data, packet->length);
	if (result.answer_length)
		arrive_routed(engine, result.answer, result.answer_length);
	if (result.output)
		take_output(engine);
	return result.verdict == NAT_TRANSLATED;
}

static bool to_uplink(const struct probe_packet *packet)
{
	const uint8_t *to = packet->data + 16;

	return to[0] == PROBE_UPLINK >> 24 &&
	       to[1] == (PROBE_UPLINK >> 16 & 255) &&
	       to[2] == (PROBE_UPLINK >> 8 & 255) &&
	       to[3] == (PROBE_UPLINK & 255);
}

static int send_packet(struct probe_way *way, enum probe_side side,
		       const struct probe_packet *packet)
{
	struct engine_way *engine = engine_of(way);
	struct probe_packet copy = *packet;

	if (side == PROBE_OUTSIDE)
		pass(engine, &copy, NAT_PATH_INBOUND, PROBE_INSIDE);
	else if (!to_uplink(&copy))
		pass(engine, &copy, NAT_PATH_OUTBOUND, PROBE_OUTSIDE);
	/* Two passes, as the rules make a hairpin take them. */
	else if (pass(engine, &copy, NAT_PATH_HAIRPIN_IN, PROBE_SIDES))
		pass(engine, &copy, NAT_PATH_HAIRPIN_OUT, PROBE_INSIDE);
	return 0;
}

/* --- the rest -------------------------------------------------------------- */

static uint64_t now_ms(struct probe_way *way)
{
	return engine_of(way)->now_ms;
}

static uint64_t refused(struct probe_way *way)
{
	struct nat_stats stats;

	nat_stats(engine_of(way)->nat, &stats);
	return stats.drops[NAT_DROP_HOST_QUOTA] +
	       stats.drops[NAT_DROP_HOST_RATE] + stats.drops[NAT_DROP_NO_PORT] +
	       stats.drops[NAT_DROP_TABLE_FULL];
}

/* It has no daemon that could say so; probe_lifetimes() measures. */
static uint32_t life_left(struct probe_way *way, struct probe_socket inside)
{
	(void)way;
	(void)inside;
	return 0;
}

static void engine_close(struct probe_way *way)
{
	struct engine_way *engine = engine_of(way);

	if (engine->records)
		munmap(engine->records, engine->records_bytes);
	if (engine->indices)
		munmap(engine->indices, engine->indices_bytes);
	free(engine);
}

/* Only the pages that are used are ever there, so the user's limits cost
 * nothing. */
static void *map_block(size_t bytes)
{
	void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return block == MAP_FAILED ? NULL : block;
}

/* The secrets need not be secret here: everything is ours. */
static bool make_engine(struct engine_way *engine,
			const struct probe_setup *setup)
{
	static const struct nat_secrets secrets = { .hash_key = { 1 },
						    .port_key = { 2 } };
	const struct nat_limits *limits = &setup->config->limits;

	engine->records_bytes = nat_records_size(limits);
	engine->indices_bytes = nat_indices_size(limits);
	engine->records = map_block(engine->records_bytes);
	engine->indices = map_block(engine->indices_bytes);
	engine->now_ms = START_MS;
	if (engine->records && engine->indices)
		engine->nat = nat_init(limits, &secrets, engine->records,
				       engine->records_bytes, engine->indices,
				       engine->indices_bytes, START_MS);
	if (!engine->nat)
		return false;
	nat_configure(engine->nat, &setup->nat, START_MS);
	nat_set_uplink(engine->nat, PROBE_UPLINK, START_MS);
	return true;
}

struct probe_way *probe_engine_open(const struct probe_setup *setup)
{
	struct engine_way *engine = calloc(1, sizeof(*engine));

	if (!engine)
		return NULL;
	engine->way = (struct probe_way){
		.send = send_packet,
		.receive = receive,
		.now_ms = now_ms,
		.refused = refused,
		.life_left = life_left,
		.close = engine_close,
	};
	if (make_engine(engine, setup))
		return &engine->way;
	engine_close(&engine->way);
	return NULL;
}
