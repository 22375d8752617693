/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SCTP, GRE, PPTP and ESP through an engine, all by the same words. Session n
 * of a host has tags of its own: 0x100 + n on what it sends, 0x200 + n on what
 * it receives (GRE: key 0x100 + n both ways).
 */
#ifndef PORTICO_TESTS_TAGGED_LAB_H
#define PORTICO_TESTS_TAGGED_LAB_H

#include "engine.h"
#include "packets_other.h"

enum kind { SCTP, GRE, PPTP, ESP, KINDS };

#define INSIDE_4 0xc0a8010dU /* 192.168.1.13 */
#define OUT_TAG(n) (0x100U + (n))
#define IN_TAG(n) (0x200U + (n))
/* Who got an inbound packet, when it was no host. */
#define NOBODY 0U /* dropped */
#define ROUTER_ITSELF 1U /* untouched */

static const uint8_t kind_proto[KINDS] = { NAT_PROTO_SCTP, NAT_PROTO_GRE,
					   NAT_PROTO_GRE, NAT_PROTO_ESP };
static const char *const kind_names[KINDS] = { "SCTP", "GRE", "PPTP", "ESP" };

static inline struct flow kind_flow(uint32_t src, uint32_t dst)
{
	return flow_of(src, 5000, dst, 7000);
}

/* A packet on an open session. */
static inline void kind_packet(struct packet *packet, enum kind kind,
			       struct flow flow, uint32_t tag)
{
	switch (kind) {
	case SCTP:
		packet_sctp(packet, flow,
			    (struct sctp){ .tag = tag, .bytes = 28 });
		break;
	case GRE:
		packet_gre(
			packet, flow.src, flow.dst,
			(struct gre){ .keyed = true, .key = tag, .bytes = 40 });
		break;
	case PPTP:
		packet_pptp(packet, flow.src, flow.dst, (uint16_t)tag, 40);
		break;
	case ESP:
	case KINDS:
		packet_esp(packet, flow.src, flow.dst, tag, 40);
	}
}

static inline uint32_t in_tag(enum kind kind, uint32_t n)
{
	return kind == GRE ? OUT_TAG(n) : IN_TAG(n);
}

/* Runs engine->packet from outside: who got it? */
static inline uint32_t receiver(struct engine *engine)
{
	switch (engine_run(engine, NAT_PATH_INBOUND).verdict) {
	case NAT_TRANSLATED:
		return packet_flow(&engine->packet).dst;
	case NAT_UNTOUCHED:
		return ROUTER_ITSELF;
	default:
		return NOBODY;
	}
}

static inline struct nat_result send_tag(struct engine *engine, enum kind kind,
					 uint32_t host, uint32_t peer,
					 uint32_t tag)
{
	kind_packet(&engine->packet, kind, kind_flow(host, peer), tag);
	return engine_run(engine, NAT_PATH_OUTBOUND);
}

static inline uint32_t receive_tag(struct engine *engine, enum kind kind,
				   uint32_t peer, uint32_t tag)
{
	kind_packet(&engine->packet, kind, flow_back(kind_flow(UPLINK, peer)),
		    tag);
	return receiver(engine);
}

static inline struct nat_result send_n(struct engine *engine, enum kind kind,
				       uint32_t host, uint32_t peer, uint32_t n)
{
	return send_tag(engine, kind, host, peer, OUT_TAG(n));
}

static inline uint32_t receive_n(struct engine *engine, enum kind kind,
				 uint32_t peer, uint32_t n)
{
	return receive_tag(engine, kind, peer, in_tag(kind, n));
}

static inline struct nat_result send_init(struct engine *engine, uint32_t host,
					  uint32_t peer, struct sctp_init init)
{
	packet_sctp_init(&engine->packet, kind_flow(host, peer), init);
	return engine_run(engine, NAT_PATH_OUTBOUND);
}

static inline uint32_t receive_init(struct engine *engine, uint32_t peer,
				    struct sctp_init init)
{
	packet_sctp_init(&engine->packet, flow_back(kind_flow(UPLINK, peer)),
			 init);
	return receiver(engine);
}

/* The first packet of session n. */
static inline struct nat_result begin_n(struct engine *engine, enum kind kind,
					uint32_t host, uint32_t peer,
					uint32_t n)
{
	if (kind != SCTP)
		return send_n(engine, kind, host, peer, n);
	return send_init(engine, host, peer,
			 (struct sctp_init){ .declared = IN_TAG(n) });
}

/* And the peer's first answer. */
static inline uint32_t answer_n(struct engine *engine, enum kind kind,
				uint32_t peer, uint32_t n)
{
	if (kind != SCTP)
		return receive_n(engine, kind, peer, n);
	return receive_init(engine, peer,
			    (struct sctp_init){ .tag = IN_TAG(n),
						.ack = true,
						.declared = OUT_TAG(n) });
}

static inline void open_n(struct engine *engine, enum kind kind, uint32_t host,
			  uint32_t peer, uint32_t n)
{
	ASSERT_TRANSLATED(begin_n(engine, kind, host, peer, n));
	CU_ASSERT_EQUAL(packet_flow(&engine->packet).src, UPLINK);
	CU_ASSERT_EQUAL(answer_n(engine, kind, peer, n), host);
}

/* Both directions of session n work, and it is this host's. */
static inline bool works(struct engine *engine, enum kind kind, uint32_t host,
			 uint32_t peer, uint32_t n)
{
	return receive_n(engine, kind, peer, n) == host &&
	       send_n(engine, kind, host, peer, n).verdict == NAT_TRANSLATED &&
	       receive_n(engine, kind, peer, n) == host;
}

static inline bool told(struct nat_result result, enum nat_drop drop)
{
	return result.verdict == NAT_DROPPED && result.drop == drop &&
	       result.answer_length > 28 && result.answer[20] == 3;
}

#endif
