/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One packet through the engine, in a buffer of exactly its length, and all
 * that must be true afterwards: what every test asks (judge.h), and that
 * nothing of the inside is seen outside, and that what comes in reaches the
 * socket whose mapping it is.
 */
#include <stdlib.h>
#include <string.h>

#include "nat/internal.h"
#include "tests/unit/judge.h"
#include "world.h"

/* Outputs of one moment: more than the engine can hold. */
#define OUTPUTS_MAX 512

bool world_is_inside(uint32_t addr)
{
	return addr >> 8 == INSIDE_1 >> 8;
}

static uint32_t header_bytes(const uint8_t *ip)
{
	return (ip[0] & 15) * 4U;
}

/* --- what is seen outside -------------------------------------------------- */

static bool is_error(const uint8_t *ip, uint32_t length)
{
	uint32_t header = header_bytes(ip);
	uint8_t type;

	if (ip[9] != NAT_PROTO_ICMP || packet_get16(ip + 6) & 0x1fff ||
	    length < header + 8 + PACKET_IP)
		return false;
	type = ip[header];
	return type == 3 || type == 11 || type == 12;
}

/* Its header and, in an error, those of the quote. */
static const char *shows_inside(const struct world *world, const uint8_t *ip,
				uint32_t length)
{
	const uint8_t *quote = ip + header_bytes(ip) + 8;

	if (world->strangers)
		return NULL;
	if (world_is_inside(packet_get32(ip + 12)))
		return "an inside source leaves";
	if (is_error(ip, length) &&
	    (world_is_inside(packet_get32(quote + 12)) ||
	     world_is_inside(packet_get32(quote + 16))))
		return "an inside address leaves in a quote";
	return NULL;
}

/* A packet of the engine's own goes to an inside host, or shows nothing. */
static const char *own_wrong(const struct world *world, const uint8_t *ip,
			     uint32_t length)
{
	uint32_t dst;

	if (!packet_ip_good(ip, length))
		return "a packet of the engine's has a wrong header";
	if (packet_get16(ip + 2) != length)
		return "a packet of the engine's has a wrong length";
	dst = packet_get32(ip + 16);
	if (world_is_inside(dst) || world->strangers)
		return NULL;
	if (packet_get32(ip + 12) != world->uplink)
		return "a packet of the engine's leaves with another source";
	return shows_inside(world, ip, length);
}

static bool exempted(const struct world *world, uint32_t dst)
{
	const struct nat_config *config = &world->config[world->config_at];

	return config->exempt_count && nat_prefix_has(config->exempt, dst);
}

/* By these paths a packet leaves by the uplink. */
static const char *leaves_wrong(const struct world *world,
				const struct trial *trial)
{
	const uint8_t *ip = trial->after;
	bool out = trial->path == NAT_PATH_OUTBOUND ||
		   trial->path == NAT_PATH_ERROR_OUT;

	if (!out || trial->result.verdict > NAT_TRANSLATED ||
	    exempted(world, packet_get32(ip + 16)))
		return NULL;
	if (trial->result.verdict == NAT_TRANSLATED)
		return shows_inside(world, ip, trial->length);
	if (trial->path == NAT_PATH_OUTBOUND)
		return "a packet goes out as it came";
	/* The kernel's own: it has our address, or another of the router. */
	return world_is_inside(packet_get32(ip + 12)) ?
		       NULL :
		       shows_inside(world, ip, trial->length);
}

/* --- who gets what --------------------------------------------------------- */

static bool has_ports(const uint8_t *ip)
{
	switch (ip[9]) {
	case NAT_PROTO_TCP:
	case NAT_PROTO_UDP:
	case NAT_PROTO_DCCP:
	case NAT_PROTO_UDPLITE:
		return !(packet_get16(ip + 6) & 0x1fff);
	}
	return false;
}

/* Is this outside port, of this protocol, the inside socket's? */
static bool owns(const struct world *world, uint8_t proto, uint32_t addr,
		 uint16_t port, uint16_t outside)
{
	struct nat_mapping_view view;
	uint32_t cursor = 0;

	while (nat_next_mapping(world->nat, &cursor, world->now, &view))
		if (view.proto == proto && view.outside_port == outside &&
		    view.inside_addr == addr && view.inside_port == port)
			return true;
	return false;
}

static const char *owner_wrong(const struct world *world,
			       const struct trial *trial)
{
	const uint8_t *before = trial->before, *after = trial->after;
	uint32_t l4 = header_bytes(before);
	uint8_t proto = before[9];

	if (trial->result.verdict != NAT_TRANSLATED || !has_ports(before))
		return NULL;
	switch (trial->path) {
	case NAT_PATH_INBOUND:
	case NAT_PATH_HAIRPIN_IN:
		if (!world->strangers &&
		    !world_is_inside(packet_get32(after + 16)))
			return "it was let in to where no host is";
		return owns(world, proto, packet_get32(after + 16),
			    packet_get16(after + l4 + 2),
			    packet_get16(before + l4 + 2)) ?
			       NULL :
			       "it was let in to another socket";
	case NAT_PATH_OUTBOUND:
	case NAT_PATH_HAIRPIN_OUT:
		return owns(world, proto, packet_get32(before + 12),
			    packet_get16(before + l4),
			    packet_get16(after + l4)) ?
			       NULL :
			       "it left by another's port";
	case NAT_PATH_ERROR_OUT:
	case NAT_PATH_LOOPBACK:
	case NAT_PATHS:
		break;
	}
	return NULL;
}

/* A partial sum was made complete, a super-packet's kept partial. */
static const char *sum_wrong(const struct world *world,
			     const struct trial *trial)
{
	struct packet after = { .length = trial->length };

	if (trial->result.verdict != NAT_TRANSLATED || !world->proper ||
	    trial->checksum == NAT_CHECKSUM_COMPLETE)
		return NULL;
	memcpy(after.data, trial->after, trial->length);
	if (trial->checksum == NAT_CHECKSUM_PARTIAL)
		return packet_wrong(after.data, after.length);
	return packet_checksum(&after) == packet_pseudo(&after) ?
		       NULL :
		       "the partial sum of a super-packet is wrong";
}

/* --- crossing -------------------------------------------------------------- */

void world_outputs(struct world *world)
{
	const uint8_t *packet;
	uint8_t *copy;
	uint32_t length;
	int count = 0;

	while (nat_next_output(world->nat, world->now, &packet, &length)) {
		copy = malloc(length);
		if (!copy)
			abort();
		memcpy(copy, packet, length);
		fuzz_expect(own_wrong(world, copy, length));
		free(copy);
		if (++count > OUTPUTS_MAX)
			fuzz_expect("the engine's own packets do not end");
	}
}

static void remember(struct world *world, const struct trial *trial)
{
	struct crossing *crossing =
		&world->crossings[world->crossed++ % CROSSINGS];

	crossing->path = trial->path;
	crossing->before.length = crossing->after.length = trial->length;
	memcpy(crossing->before.data, trial->before, trial->length);
	memcpy(crossing->after.data, trial->after, trial->length);
}

static void judge(struct world *world, const struct trial *trial)
{
	const struct nat_result *result = &trial->result;

	fuzz_expect(trial_wrong(trial));
	fuzz_expect(leaves_wrong(world, trial));
	fuzz_expect(owner_wrong(world, trial));
	fuzz_expect(sum_wrong(world, trial));
	if (result->answer_length)
		fuzz_expect(own_wrong(world, result->answer,
				      result->answer_length));
}

/* A packet comes without a hint, with its own, or with one that was another
 * packet's or that the table has outlived: all the same. */
static void hint(struct world *world, struct nat_packet *packet)
{
	struct nat_hint old = world->hint;

	nat_foresee_all(world->nat, packet, 1);
	if (packet->hint.session)
		world->hint = packet->hint;
	if (world->hints++ & 1)
		packet->hint = world->hints & 2 ? old : (struct nat_hint){ 0 };
}

enum nat_verdict world_cross(struct world *world, enum nat_path path)
{
	struct packet *packet = &world->packet;
	uint8_t *exact = malloc(packet->length ? packet->length : 1);
	struct nat_packet door = { .data = exact,
				   .length = packet->length,
				   .path = path,
				   .checksum = world->checksum,
				   .bridged = world->bridged };
	struct trial trial = { .nat = world->nat,
			       .checksum = world->checksum,
			       .path = path,
			       .before = packet->data,
			       .after = exact,
			       .length = packet->length };

	if (!exact)
		abort();
	memcpy(exact, packet->data, packet->length);
	nat_stats(world->nat, &trial.stats_before);
	hint(world, &door);
	trial.result = nat_translate(world->nat, &door, world->now);
	nat_stats(world->nat, &trial.stats_after);
	if (door.data != exact || door.length != packet->length)
		fuzz_expect("the packet's place or length has changed");
	judge(world, &trial);
	if (trial.result.verdict == NAT_TRANSLATED)
		remember(world, &trial);
	memcpy(packet->data, exact, packet->length);
	free(exact);
	if (trial.result.output)
		world_outputs(world);
	fuzz_judged();
	return trial.result.verdict;
}
