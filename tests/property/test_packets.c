/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Garbage and damaged packets on every path, each in a buffer of exactly its
 * length (for AddressSanitizer): the engine answers with a verdict that makes
 * sense, counts it, and changes only what it translates. engine_translate()
 * judges all of that.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/dice.h"
#include "tests/unit/engine.h"
#include "tests/unit/packets_other.h"
#include "tests/unit/suite.h"

#define PACKETS 40000
#define LONGEST 100U /* bytes, for garbage */

static const struct nat_forward forwards[] = {
	{ .name = "web",
	  .proto = NAT_PROTO_TCP,
	  .outside_first = 80,
	  .outside_last = 80,
	  .inside_addr = INSIDE_1,
	  .inside_first = 8080 },
	{ .name = "dns",
	  .proto = NAT_PROTO_UDP,
	  .outside_first = 53,
	  .outside_last = 53,
	  .inside_addr = INSIDE_2,
	  .inside_first = 53 },
};

struct run {
	struct engine engine;
	struct dice dice;
};

/* Whole packets by protocol: how many left, how many came in. */
static uint32_t crossed[256][2];

static uint32_t roll(struct run *run, uint32_t below)
{
	return dice_roll(&run->dice, below);
}

static void make(struct run *run, uint64_t seed)
{
	memset(run, 0, sizeof(*run));
	run->dice.state = seed;
	engine_make(&run->engine);
	run->engine.config.forwards = forwards;
	run->engine.config.forward_count = 2;
	run->engine.config.filtering[NAT_POOL_TCP] =
		NAT_FILTER_ENDPOINT_INDEPENDENT;
	engine_configure(&run->engine);
}

/* Every other time the way that such a packet goes, else any. */
static enum nat_path any_path(struct run *run)
{
	const uint8_t *ip = run->engine.packet.data;
	bool inside = packet_get32(ip + 12) >> 8 == INSIDE_1 >> 8;
	bool ours = packet_get32(ip + 16) == UPLINK;

	if (roll(run, 2) || (!inside && !ours))
		return (enum nat_path)roll(run, NAT_PATHS);
	return !inside ? NAT_PATH_INBOUND :
	       ours    ? NAT_PATH_HAIRPIN_IN :
			 NAT_PATH_OUTBOUND;
}

/* --- whole packets --------------------------------------------------------- */

static uint32_t any_addr(struct run *run)
{
	static const uint32_t addrs[] = { INSIDE_1, INSIDE_1,  INSIDE_2, UPLINK,
					  UPLINK,   UPLINK,    PEER_1,	 PEER_1,
					  PEER_2,   0xe0000001 };

	return roll(run, 30) ? addrs[roll(run, 10)] :
			       (uint32_t)dice_next(&run->dice);
}

static uint16_t any_port(struct run *run)
{
	static const uint16_t ports[] = { 53, 80, 5000, 5001, 7000, 8080 };

	return roll(run, 20) ? ports[roll(run, 6)] :
			       (uint16_t)dice_next(&run->dice);
}

/* Two times of three between few sockets that have something to say to each
 * other, by ports that are kept; else between any. */
static struct flow any_flow(struct run *run)
{
	struct flow flow = flow_of(INSIDE_1 + roll(run, 2),
				   (uint16_t)(5000 + roll(run, 2)),
				   PEER_1 + roll(run, 2),
				   (uint16_t)(5000 + roll(run, 2)));

	if (!roll(run, 3))
		return flow_of(any_addr(run), any_port(run), any_addr(run),
			       any_port(run));
	if (roll(run, 2))
		return flow;
	flow.src = UPLINK;
	return flow_back(flow);
}

/* Few values, so that sessions meet. */
static uint32_t any_tag(struct run *run)
{
	return roll(run, 20) ? roll(run, 5) : (uint32_t)dice_next(&run->dice);
}

/* SCTP has no tag 0, and declares what it uses. */
static uint32_t some_tag(struct run *run)
{
	return roll(run, 20) ? 1 + roll(run, 2) : any_tag(run);
}

static void build_sctp(struct run *run, struct packet *packet, struct flow flow)
{
	static const uint8_t types[] = { 0, 0, 2, 4, 6, 14 };
	struct sctp_init init = { .ack = roll(run, 2),
				  .declared = some_tag(run),
				  .no_restart = roll(run, 2) };

	if (roll(run, 2)) {
		init.tag = init.ack || !roll(run, 9) ? some_tag(run) : 0;
		packet_sctp_init(packet, flow, init);
		return;
	}
	packet_sctp(packet, flow,
		    (struct sctp){ .tag = some_tag(run),
				   .type = types[roll(run, 6)],
				   .flags = (uint8_t)roll(run, 2),
				   .bytes = (uint16_t)roll(run, 40) });
}

static void build_gre(struct run *run, struct packet *packet, struct flow flow)
{
	static const uint16_t protocols[] = { 0, 0x0800, 0x86dd, 0x880b };

	if (roll(run, 2))
		packet_pptp(packet, flow.src, flow.dst, (uint16_t)any_tag(run),
			    roll(run, 40));
	else
		packet_gre(packet, flow.src, flow.dst,
			   (struct gre){ .checksum = roll(run, 2),
					 .keyed = roll(run, 3),
					 .sequenced = roll(run, 2),
					 .key = any_tag(run),
					 .protocol = protocols[roll(run, 4)],
					 .bytes = roll(run, 60) });
}

static void build_other(struct run *run, struct packet *packet,
			struct flow flow)
{
	uint32_t bytes = roll(run, 40);

	switch (roll(run, 5)) {
	case 0:
		packet_udplite(
			packet, flow,
			(uint16_t)(roll(run, 2) ? 8 + roll(run, bytes + 1) : 0),
			bytes);
		break;
	case 1:
		packet_dccp(
			packet, flow,
			(struct dccp){ .type = (uint8_t)roll(run, DCCP_T_TYPES),
				       .is_short = !roll(run, 4),
				       .coverage = (uint8_t)roll(run, 4),
				       .bytes = (uint16_t)bytes });
		break;
	case 2:
		build_sctp(run, packet, flow);
		break;
	case 3:
		build_gre(run, packet, flow);
		break;
	default:
		packet_esp(packet, flow.src, flow.dst, any_tag(run), bytes);
	}
}

static void build_plain(struct run *run, struct packet *packet)
{
	static const uint8_t types[] = { 8, 0, 13, 14, 5, 40 };
	struct flow flow = any_flow(run);

	switch (roll(run, 6)) {
	case 4:
	case 5:
		build_other(run, packet, flow);
		break;
	case 0:
		packet_udp(packet, flow, NULL, roll(run, 40));
		break;
	case 1:
		packet_tcp(packet, flow,
			   (struct segment){
				   .flags = (uint8_t)dice_next(&run->dice),
				   .seq = roll(run, 2000),
				   .window = 1000,
				   .scaled = roll(run, 2),
				   .scale = (uint8_t)roll(run, 20),
				   .bytes = (uint16_t)roll(run, 40) });
		break;
	case 2:
		packet_icmp(packet, flow, types[roll(run, 6)], roll(run, 40));
		break;
	default:
		packet_other(packet, flow.src, flow.dst,
			     (uint8_t)dice_next(&run->dice), roll(run, 40));
	}
	if (!roll(run, 4))
		packet_add_options(packet, roll(run, 11));
}

/* An ICMP error about such a packet, of which a part is quoted. */
static void build_error(struct run *run, struct packet *packet)
{
	static const uint8_t types[] = { 3, 3, 3, 11, 12 };
	struct packet about;
	struct error error = { .src = any_addr(run),
			       .dst = any_addr(run),
			       .type = types[roll(run, 5)],
			       .code = (uint8_t)roll(run, 16) };

	build_plain(run, &about);
	error.bytes = 1 + roll(run, about.length);
	packet_error(packet, error, &about);
	if (!roll(run, 6))
		packet_add_options(packet, roll(run, 11));
}

static void build(struct run *run, struct packet *packet)
{
	if (roll(run, 3))
		build_plain(run, packet);
	else
		build_error(run, packet);
}

/* --- damage -------------------------------------------------------------------- */

static void flip(struct run *run, struct packet *packet)
{
	uint32_t flips = 1 + roll(run, 4);

	for (; flips && packet->length; flips--)
		packet->data[roll(run, packet->length)] ^=
			(uint8_t)(1U << roll(run, 8));
}

/* Cut, with or without a header that knows of it. */
static void cut(struct run *run, struct packet *packet)
{
	packet->length = roll(run, packet->length + 1);
	if (packet->length >= PACKET_IP && roll(run, 2))
		packet_put16(packet->data + 2, (uint16_t)packet->length);
}

/* Right checksums over wrong contents lead further in. */
static void mend(struct run *run, struct packet *packet)
{
	uint32_t header = (packet->data[0] & 15) * 4U;

	if (packet->length < PACKET_IP || header < PACKET_IP ||
	    header > packet->length)
		return;
	if (packet->data[9] == NAT_PROTO_ICMP && packet->length >= header + 8 &&
	    roll(run, 2))
		packet_fix_icmp(packet);
	packet_fix_ip(packet);
}

static void damage(struct run *run, struct packet *packet)
{
	if (roll(run, 2))
		flip(run, packet);
	if (!roll(run, 3))
		cut(run, packet);
	if (!roll(run, 8) && packet->length >= 8)
		packet_put16(packet->data + 6, (uint16_t)dice_next(&run->dice));
	if (roll(run, 4))
		mend(run, packet);
}

/* --- tests ---------------------------------------------------------------------- */

static bool healthy(const struct run *run, uint64_t seed, int step)
{
	const char *broken = nat_check(run->engine.nat);

	if (!broken && !CU_get_number_of_failures())
		return true;
	printf("seed %u, packet %d: %s\n", (unsigned)seed, step,
	       broken ? broken : "see above");
	CU_ASSERT_PTR_NULL(broken);
	return false;
}

static void cross(struct run *run)
{
	enum nat_path path = any_path(run);
	struct nat_result result = engine_run(&run->engine, path);

	if (result.verdict == NAT_TRANSLATED && path <= NAT_PATH_OUTBOUND)
		crossed[run->engine.packet.data[9]][path == NAT_PATH_INBOUND]++;
}

/* Feeds PACKETS packets; the tables are proved now and then. */
static void feed(uint64_t seed, void (*next)(struct run *, struct packet *))
{
	static struct run run;

	make(&run, seed);
	for (int i = 0; i < PACKETS; i++) {
		run.engine.unproven = i % 64 != 0;
		run.engine.checksum =
			(enum nat_checksum)(roll(&run, 4) ? 0 : roll(&run, 3));
		next(&run, &run.engine.packet);
		cross(&run);
		run.engine.now += roll(&run, 2000);
		if (i % 64 == 0 && !healthy(&run, seed, i))
			break;
	}
	engine_free(&run.engine);
}

static void next_whole(struct run *run, struct packet *packet)
{
	build(run, packet);
}

static void next_damaged(struct run *run, struct packet *packet)
{
	build(run, packet);
	damage(run, packet);
}

static void next_garbage(struct run *run, struct packet *packet)
{
	static const uint8_t protos[] = { 1,  1,  1,  6,   17,	33,
					  47, 47, 50, 132, 132, 136 };

	packet->length = roll(run, LONGEST + 1);
	for (uint32_t i = 0; i < packet->length; i++)
		packet->data[i] = (uint8_t)dice_next(&run->dice);
	/* Now and then something that looks like IPv4. */
	if (packet->length && roll(run, 4))
		packet->data[0] =
			(uint8_t)(0x40 | (roll(run, 3) ? 5 : roll(run, 16)));
	if (packet->length >= PACKET_IP && roll(run, 4)) {
		packet_put16(packet->data + 2, (uint16_t)packet->length);
		packet_put16(packet->data + 6, 0x4000);
		packet->data[9] = protos[roll(run, sizeof(protos))];
		packet_put32(packet->data + 12, any_addr(run));
		packet_put32(packet->data + 16, any_addr(run));
		mend(run, packet);
	}
}

static void test_whole(void)
{
	static const uint8_t protos[] = { 1, 6, 17, 33, 47, 50, 132, 136 };

	memset(crossed, 0, sizeof(crossed));
	for (uint64_t seed = 1; seed <= 3; seed++)
		feed(seed, next_whole);
	/* All protocols met their sessions, both ways: else this proves
	 * little. */
	for (size_t i = 0; i < sizeof(protos); i++) {
		CU_ASSERT_TRUE(crossed[protos[i]][0] >= 50);
		CU_ASSERT_TRUE(crossed[protos[i]][1] >= 20);
		if (crossed[protos[i]][1] < 20)
			printf("protocol %u: %u left, %u came in\n", protos[i],
			       crossed[protos[i]][0], crossed[protos[i]][1]);
	}
}

static void test_damaged(void)
{
	for (uint64_t seed = 1; seed <= 5; seed++)
		feed(seed, next_damaged);
}

static void test_garbage(void)
{
	for (uint64_t seed = 1; seed <= 3; seed++)
		feed(seed, next_garbage);
}

/* Each good packet, cut at every length, on every path. */
static void test_every_cut(void)
{
	static struct run run;
	struct packet whole;

	for (uint64_t seed = 1; seed <= 60; seed++) {
		make(&run, seed);
		engine_open(&run.engine, NAT_PROTO_UDP,
			    flow_of(INSIDE_1, 5000, PEER_1, 7000));
		run.engine.unproven = true;
		build(&run, &whole);
		for (uint32_t i = 0; i < whole.length * NAT_PATHS; i++) {
			run.engine.packet = whole;
			run.engine.packet.length = i / NAT_PATHS;
			if (i / NAT_PATHS >= PACKET_IP && roll(&run, 2)) {
				packet_put16(run.engine.packet.data + 2,
					     (uint16_t)(i / NAT_PATHS));
				mend(&run, &run.engine.packet);
			}
			engine_run(&run.engine, (enum nat_path)(i % NAT_PATHS));
		}
		healthy(&run, seed, 0);
		engine_free(&run.engine);
	}
}

static const struct test tests[] = {
	{ "whole packets of all kinds on any path, seeds 1 to 3", test_whole },
	{ "damaged packets, seeds 1 to 5", test_damaged },
	{ "garbage of 0 to 100 bytes, seeds 1 to 3", test_garbage },
	{ "packets cut at every length on every path", test_every_cut },
};

int main(int argc, char **argv)
{
	return suite_run("packets", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
