/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Packets of the other protocols from the bytes of a step.
 */
#include "tests/unit/packets_other.h"
#include "world.h"

void build_udplite(const struct step *step, struct packet *packet)
{
	uint32_t bytes = step->field[STEP_SIZE] % 64;
	uint32_t coverage = step->field[STEP_TAG] % (9 + bytes);

	packet_udplite(packet, build_flow(step),
		       (uint16_t)(coverage < 8 ? 0 : coverage), bytes);
}

void build_dccp(const struct step *step, struct packet *packet)
{
	const uint8_t *field = step->field;

	packet_dccp(packet, build_flow(step),
		    (struct dccp){ .type = field[STEP_FLAGS] % DCCP_T_TYPES,
				   .is_short = field[STEP_TAG] & 128,
				   .coverage = field[STEP_TAG] & 15,
				   .bytes = field[STEP_SIZE] % 64 });
}

/* Few, so that sessions meet; four of them also in wide fields. */
static uint32_t any_tag(uint8_t byte)
{
	static const uint32_t wide[4] = { 0, 0xffffffffU, 0x12345678U,
					  0x80000000U };

	return byte < 252 ? byte % 6U : wide[byte - 252];
}

void build_sctp(const struct step *step, struct packet *packet)
{
	static const uint8_t types[8] = { SCTP_DATA,
					  SCTP_COOKIE_ECHO,
					  SCTP_COOKIE_ACK,
					  SCTP_HEARTBEAT,
					  SCTP_ABORT,
					  SCTP_INIT,
					  SCTP_SHUTDOWN_COMPLETE,
					  192 };
	const uint8_t *field = step->field;

	packet_sctp(packet, build_flow(step),
		    (struct sctp){ .tag = any_tag(field[STEP_TAG]),
				   .type = types[field[STEP_FLAGS] & 7],
				   .flags = field[STEP_FLAGS] >> 3 & 1,
				   .bytes = field[STEP_SIZE] % 64 });
}

void build_sctp_init(const struct step *step, struct packet *packet)
{
	const uint8_t *field = step->field;
	struct sctp_init init = {
		.ack = field[STEP_FLAGS] & 1,
		.declared = any_tag(field[STEP_MORE]),
		.no_restart = field[STEP_FLAGS] & 2,
	};

	if (init.ack || field[STEP_FLAGS] & 4)
		init.tag = any_tag(field[STEP_TAG]);
	packet_sctp_init(packet, build_flow(step), init);
	if (field[STEP_FLAGS] & 8) {
		/* One chunk more behind it. */
		const uint8_t chunk[4] = { field[STEP_LAST], 0, 0, 4 };

		packet_append(packet, chunk, sizeof(chunk));
	}
}

void build_gre(const struct step *step, struct packet *packet)
{
	static const uint16_t protocols[4] = { 0, 0x0800, 0x86dd, 0x880b };
	const uint8_t *field = step->field;
	struct flow flow = build_flow(step);
	struct packet inner;
	struct gre gre = { .checksum = field[STEP_FLAGS] & 1,
			   .keyed = field[STEP_FLAGS] & 2,
			   .sequenced = field[STEP_FLAGS] & 4,
			   .key = any_tag(field[STEP_TAG]),
			   .protocol = protocols[field[STEP_FLAGS] >> 3 & 3],
			   .bytes = field[STEP_SIZE] % 64 };

	if (field[STEP_FLAGS] & 32) {
		(field[STEP_FLAGS] & 64 ? build_udp : build_tcp)(step, &inner);
		gre.protocol = 0x0800;
		gre.payload = inner.data;
		gre.bytes = inner.length;
	}
	packet_gre(packet, flow.src, flow.dst, gre);
}

void build_pptp(const struct step *step, struct packet *packet)
{
	struct flow flow = build_flow(step);

	packet_pptp(packet, flow.src, flow.dst,
		    (uint16_t)any_tag(step->field[STEP_TAG]),
		    step->field[STEP_SIZE] % 64);
}

void build_esp(const struct step *step, struct packet *packet)
{
	struct flow flow = build_flow(step);

	packet_esp(packet, flow.src, flow.dst, any_tag(step->field[STEP_TAG]),
		   step->field[STEP_SIZE] % 64);
}
