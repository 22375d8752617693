/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world.h"

#include <stdlib.h>
#include <string.h>

#define START_MS 1000000U

/* --- packets --------------------------------------------------------------- */

enum way {
	WAY_PATH = 7, /* 0..1: the one that such a packet goes */
	WAY_CHECKSUM = 24,
	WAY_BRIDGED = 32,
	WAY_TTL = 192,
};

/* By its addresses, as the rules of the packet filter have it. */
static enum nat_path natural_path(const struct world *world)
{
	const uint8_t *ip = world->packet.data;

	if (world->packet.length < PACKET_IP)
		return NAT_PATH_INBOUND;
	if (!world_is_inside(packet_get32(ip + 12)))
		return NAT_PATH_INBOUND;
	return packet_get32(ip + 16) == world->uplink ? NAT_PATH_HAIRPIN_IN :
							NAT_PATH_OUTBOUND;
}

static void set_ttl(struct packet *packet, uint8_t way)
{
	static const uint8_t ttls[4] = { 64, 64, 2, 1 };

	if (packet->length < PACKET_IP ||
	    !packet_ip_good(packet->data, packet->length))
		return;
	packet->data[8] = ttls[way >> 6];
	packet_fix_ip(packet);
}

/* Only where a checksum is that the kernel would leave to a device: never of a
 * UDP datagram that is shorter than what carries it. */
static bool can_be_partial(const struct packet *packet)
{
	const uint8_t *ip = packet->data;
	const uint32_t l4 = (ip[0] & 15U) * 4;

	return !packet_wrong(ip, packet->length) &&
	       packet_get16(ip + 2) == packet->length &&
	       !(packet_get16(ip + 6) & 0x3fff) &&
	       (ip[9] == NAT_PROTO_TCP ||
		(ip[9] == NAT_PROTO_UDP &&
		 packet_get16(ip + l4 + 4) == packet->length - l4));
}

static void set_checksum(struct world *world, uint8_t way)
{
	static const enum nat_checksum kinds[4] = { NAT_CHECKSUM_COMPLETE,
						    NAT_CHECKSUM_COMPLETE,
						    NAT_CHECKSUM_PARTIAL,
						    NAT_CHECKSUM_GSO };

	world->checksum = kinds[(way & WAY_CHECKSUM) >> 3];
	world->proper = can_be_partial(&world->packet);
	if (world->checksum != NAT_CHECKSUM_COMPLETE && world->proper)
		packet_make_partial(&world->packet);
}

/* A hairpin's second pass follows the first, as in the kernel. */
static void second_pass(struct world *world)
{
	/* What the first pass completed is complete. */
	if (world->checksum == NAT_CHECKSUM_PARTIAL)
		world->checksum = NAT_CHECKSUM_COMPLETE;
	world->proper &= world->checksum == NAT_CHECKSUM_GSO;
	world_cross(world, NAT_PATH_HAIRPIN_OUT);
}

/* Sends world->packet. */
static void send_packet(struct world *world, const struct step *step)
{
	uint8_t way = step->field[STEP_WAY];
	enum nat_path path;

	build_bend(step, world->emphasis, &world->packet);
	set_ttl(&world->packet, way);
	set_checksum(world, way);
	world->bridged = way & WAY_BRIDGED;
	path = (way & WAY_PATH) < 2 ? natural_path(world) :
				      (enum nat_path)((way & WAY_PATH) - 2);
	if (world_cross(world, path) == NAT_TRANSLATED &&
	    path == NAT_PATH_HAIRPIN_IN && !(step->field[STEP_LAST] == 78))
		second_pass(world);
}

static void new_packet(struct world *world, const struct step *step)
{
	const struct emphasis *emphasis = world->emphasis;

	emphasis->kinds[step->field[STEP_KIND] % emphasis->kind_count](
		step, &world->packet);
	send_packet(world, step);
}

static const struct crossing *earlier(const struct world *world,
				      const struct step *step)
{
	uint32_t most = world->crossed < CROSSINGS ? world->crossed : CROSSINGS;

	if (!most)
		return NULL;
	return &world->crossings[(world->crossed - 1 -
				  step->field[STEP_KIND] % most) %
				 CROSSINGS];
}

/* What the receiver of an earlier packet says to it. */
static void answer(struct world *world, const struct step *step)
{
	const struct crossing *crossing = earlier(world, step);
	struct packet *packet = &world->packet;
	uint8_t *ip = packet->data, *l4;
	uint32_t src;

	if (!crossing)
		return;
	*packet = crossing->after;
	src = packet_get32(ip + 12);
	packet_put32(ip + 12, packet_get32(ip + 16));
	packet_put32(ip + 16, src);
	packet_fix_ip(packet);
	l4 = packet_l4(packet);
	if (packet->length >= (uint32_t)(l4 - ip) + 20) {
		uint16_t port = packet_get16(l4);

		if (ip[9] == NAT_PROTO_ICMP) {
			l4[0] = l4[0] == 13 ? 14 : 0;
		} else if (ip[9] != NAT_PROTO_GRE && ip[9] != NAT_PROTO_ESP) {
			packet_put16(l4, packet_get16(l4 + 2));
			packet_put16(l4 + 2, port);
		}
		if (ip[9] == NAT_PROTO_TCP)
			l4[13] = step->field[STEP_FLAGS];
		build_sum(packet);
	}
	send_packet(world, step);
}

/* The same packet once more, as it came. */
static void repeat(struct world *world, const struct step *step)
{
	const struct crossing *crossing = earlier(world, step);

	if (!crossing)
		return;
	world->packet = crossing->before;
	send_packet(world, step);
}

/* A router on its way, or its receiver, complains about an earlier packet. */
static void complain(struct world *world, const struct step *step)
{
	const struct crossing *crossing = earlier(world, step);
	uint32_t src, dst;

	if (!crossing || crossing->after.length < PACKET_IP)
		return;
	dst = packet_get32(crossing->after.data + 12);
	src = step->field[STEP_TAG] & 1 ?
		      build_addr(step->field[STEP_ENDS]) :
		      packet_get32(crossing->after.data + 16);
	build_error_about(step, src, dst, &crossing->after, &world->packet);
	send_packet(world, step);
}

/* --- other steps ----------------------------------------------------------- */

static void expire(struct world *world, const struct step *step)
{
	uint32_t budget = step->field[STEP_SIZE] % 40;

	if (nat_expire(world->nat, world->now, budget) > budget)
		fuzz_expect("more sessions ended than were to");
	world_outputs(world);
}

static void flush(struct world *world, const struct step *step)
{
	nat_flush_host(world->nat, build_addr(step->field[STEP_ENDS]),
		       world->now);
}

static void move_uplink(struct world *world, const struct step *step)
{
	static const uint32_t uplinks[4] = { UPLINK, 0, UPLINK + 1, UPLINK };

	world->uplink = uplinks[step->field[STEP_KIND] & 3];
	nat_set_uplink(world->nat, world->uplink, world->now);
	if (nat_uplink(world->nat) != world->uplink)
		fuzz_expect("another uplink than was set");
}

static void configure(struct world *world, const struct step *step)
{
	world_configure(world, step->field);
}

static void bind_ports(struct world *world, const struct step *step)
{
	world_bind(world, step->field);
}

/* Slices of a dump, while the table changes. */
static void look(struct world *world, const struct step *step)
{
	struct nat_mapping_view mapping;
	struct nat_session_view session;
	struct nat_host_view host;
	int slice = step->field[STEP_SIZE] % 8;

	for (int i = 0; i < slice; i++) {
		nat_next_mapping(world->nat, &world->cursors[0], world->now,
				 &mapping);
		nat_next_session(world->nat, &world->cursors[1], world->now,
				 &session);
		nat_next_host(world->nat, &world->cursors[2], &host);
	}
	if (step->field[STEP_FLAGS] & 1)
		memset(world->cursors, 0, sizeof(world->cursors));
}

static void (*const others[])(struct world *, const struct step *) = {
	expire, flush, move_uplink, configure, bind_ports, look, world_restart,
};

/* --- an input -------------------------------------------------------------- */

static void tick(struct world *world, uint8_t clock)
{
	static const uint64_t ms[32] = {
		[16] = 1,      [17] = 10,     [18] = 100,     [19] = 500,
		[20] = 1000,   [21] = 1999,   [22] = 2000,    [23] = 3000,
		[24] = 5999,   [25] = 6000,   [26] = 60000,   [27] = 120000,
		[28] = 240000, [29] = 300000, [30] = 7200000, [31] = 1ULL << 40,
	};

	world->now += ms[clock & 31];
}

/* Which of 256 operations is it? Packets first, they are the most. */
static void take_step(struct world *world, const struct step *step)
{
	const struct emphasis *emphasis = world->emphasis;
	unsigned op = step->field[STEP_OP];

	if (op < emphasis->errors) {
		complain(world, step);
		return;
	}
	if (op >= 256U - emphasis->restarts) {
		world_restart(world, step);
		return;
	}
	switch (op % 16) {
	case 11:
	case 12:
	case 13:
		answer(world, step);
		return;
	case 14:
		repeat(world, step);
		return;
	case 15:
		others[op / 16 % (sizeof(others) / sizeof(others[0]))](world,
								       step);
		return;
	default:
		new_packet(world, step);
	}
}

static uint64_t seed_of(const uint8_t *data, size_t size)
{
	uint64_t hash = 14695981039346656037U; /* FNV-1a */

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ data[i]) * 1099511628211U;
	return hash;
}

static void begin(struct world *world, const uint8_t *record)
{
	world->now = START_MS;
	world->uplink = UPLINK;
	world_limits(world, record);
	world_start(world);
	world_configure(world, record);
	world_bind(world, record);
	nat_set_uplink(world->nat, UPLINK, world->now);
	fuzz_expect(nat_check(world->nat));
	world->now += 10000; /* the buckets of ICMP answers are full */
}

int world_run(const struct emphasis *emphasis, const uint8_t *data, size_t size)
{
	static struct world world;
	struct fuzz_bytes rest = { data, size };
	uint8_t record[STEP_BYTES];

	memset(&world, 0, sizeof(world));
	world.emphasis = emphasis;
	world.seed = seed_of(data, size);
	for (int i = 0; i <= STEPS_MAX && (i == 0 || rest.left); i++) {
		struct fuzz_bytes taken = fuzz_take(&rest, STEP_BYTES);
		struct step step = { .field = record, .rest = &rest };

		memset(record, 0, sizeof(record));
		if (taken.left)
			memcpy(record, taken.at, taken.left);
		if (i == 0) {
			begin(&world, record);
			continue;
		}
		tick(&world, record[STEP_CLOCK]);
		take_step(&world, &step);
		fuzz_expect(nat_check(world.nat));
	}
	world_end(&world);
	return 0;
}
