/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Packets of TCP, UDP and ICMP from the bytes of a step: right by themselves,
 * between few sockets, so that they meet.
 */
#include <string.h>

#include "world.h"

uint32_t build_addr(uint8_t nibble)
{
	static const uint32_t
		addrs[16] = {
			INSIDE_1,   INSIDE_1, INSIDE_2,	  INSIDE_3,
			UPLINK,	    UPLINK,   PEER_1,	  PEER_1,
			PEER_2,	    PEER_3,   0xc0a80101, /* the router's own inside address */
			0x0a080005, /* of the exempt network */
			0xcb007108, /* the uplink's next address */
			0xc0a801ff, /* the inside network's broadcast */
			0xe0000001, /* multicast */
			0xac100001, /* private, not inside */
		};

	return addrs[nibble & 15];
}

static uint16_t any_port(uint8_t nibble)
{
	/* The pools are 5000-5007 and 600-603, or parts; 80 and 53 forwards. */
	static const uint16_t ports[16] = { 5000, 5001, 5002, 5003, 5004, 5005,
					    5006, 5007, 600,  601,  80,	  53,
					    7000, 8080, 0,    65535 };

	return ports[nibble & 15];
}

struct flow build_flow(const struct step *step)
{
	uint8_t ends = step->field[STEP_ENDS];
	uint8_t ports = step->field[STEP_PORTS];

	return flow_of(build_addr(ends >> 4), any_port(ports >> 4),
		       build_addr(ends), any_port(ports));
}

void build_udp(const struct step *step, struct packet *packet)
{
	packet_udp(packet, build_flow(step), NULL, step->field[STEP_SIZE] % 64);
	if (step->field[STEP_MORE] == 1) /* RFC 768: not computed */
		packet_put16(packet_l4(packet) + 6, 0);
}

void build_tcp(const struct step *step, struct packet *packet)
{
	const uint8_t *field = step->field;

	packet_tcp(packet, build_flow(step),
		   (struct segment){ .flags = field[STEP_FLAGS],
				     .seq = field[STEP_MORE] * 16U,
				     .ack = field[STEP_LAST] * 16U,
				     .window = field[STEP_TAG] * 64U,
				     .scaled = field[STEP_SIZE] & 64,
				     .scale = field[STEP_SIZE] >> 4 & 15,
				     .bytes = field[STEP_SIZE] % 16 });
}

void build_query(const struct step *step, struct packet *packet)
{
	static const uint8_t types[8] = { 8, 0, 13, 14, 8, 0, 5, 17 };

	packet_icmp(packet, build_flow(step),
		    types[step->field[STEP_FLAGS] & 7],
		    step->field[STEP_SIZE] % 64);
}

void build_other(const struct step *step, struct packet *packet)
{
	struct flow flow = build_flow(step);

	packet_other(packet, flow.src, flow.dst, step->field[STEP_FLAGS],
		     step->field[STEP_SIZE] % 64);
}

/* The records that follow, as they are, with or without a header that knows of
 * them. */
void build_raw(const struct step *step, struct packet *packet)
{
	const uint8_t *field = step->field;
	struct fuzz_bytes body =
		fuzz_take(step->rest, (field[STEP_SIZE] & 7U) * STEP_BYTES);
	uint32_t header = field[STEP_MORE] & 1 ? PACKET_IP : 0;
	struct flow flow = build_flow(step);

	if (header)
		packet_other(packet, flow.src, flow.dst, field[STEP_FLAGS],
			     (uint32_t)body.left);
	packet->length = header + (uint32_t)body.left;
	if (body.left)
		memcpy(packet->data + header, body.at, body.left);
	if (header && field[STEP_MORE] & 2)
		build_sum(packet);
}

/* --- errors ---------------------------------------------------------------- */

void build_error_about(const struct step *step, uint32_t src, uint32_t dst,
		       const struct packet *about, struct packet *packet)
{
	static const uint8_t types[8] = { 3, 3, 3, 11, 12, 3, 4, 5 };
	const uint8_t *field = step->field;
	struct error error = { .src = src,
			       .dst = dst,
			       .type = types[field[STEP_FLAGS] & 7],
			       .code = field[STEP_FLAGS] >> 3 & 15 };
	uint32_t most = about->length < 600 ? about->length : 600;

	/* MTUs around 68, and none. */
	error.rest = field[STEP_MORE] & 1 ? field[STEP_MORE] / 2U : 1400;
	error.bytes = field[STEP_LAST] < 128 ?
			      PACKET_IP + 8U + field[STEP_LAST] :
			      field[STEP_LAST] - 128U;
	if (!error.bytes || error.bytes > most)
		error.bytes = most;
	if (!error.bytes) /* about nothing: packet_error() would read on */
		packet_icmp(packet, flow_of(src, 0, dst, 0), error.type, 0);
	else
		packet_error(packet, error, about);
}

/* About a packet that may never have been. */
void build_error(const struct step *step, struct packet *packet)
{
	static build_fn *const about[] = { build_udp,	build_tcp,
					   build_query, build_udplite,
					   build_dccp,	build_sctp,
					   build_gre,	build_esp };
	struct flow flow = build_flow(step);
	struct packet quoted;

	about[step->field[STEP_TAG] & 7](step, &quoted);
	if (step->field[STEP_TAG] & 8)
		flow = flow_back(flow);
	build_error_about(step, step->field[STEP_TAG] & 16 ? PEER_2 : flow.src,
			  flow.dst, &quoted, packet);
}
