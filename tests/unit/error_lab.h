/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A packet that crossed an engine, and ICMP errors about it. The proof is always
 * the same: what the receiver of an error finds quoted is, byte for byte, what
 * it had sent.
 */
#ifndef PORTICO_TESTS_ERROR_LAB_H
#define PORTICO_TESTS_ERROR_LAB_H

#include <string.h>

#include "engine.h"
#include "suite.h"

#define QUOTE (PACKET_IP + 8) /* where the quote starts in an error */
#define ROUTER 0xc6339c01U /* 198.51.156.1, somewhere on the path */
#define INNER_ROUTER 0xc0a80163U /* 192.168.1.99 */

static const uint8_t protos[] = { NAT_PROTO_UDP, NAT_PROTO_TCP,
				  NAT_PROTO_ICMP };
static const struct flow out = { INSIDE_1, 5000, PEER_1, 7000 };

struct lab {
	struct engine engine;
	struct packet inside; /* a packet as the inside host knows it */
	struct packet outside; /* the same as the outside knows it */
};

static inline void build(struct packet *packet, uint8_t proto, struct flow flow,
			 uint8_t icmp_type, uint32_t options)
{
	if (proto == NAT_PROTO_UDP)
		packet_udp(packet, flow, NULL, 40);
	else if (proto == NAT_PROTO_TCP)
		packet_tcp(packet, flow,
			   (struct segment){ .flags = SYN, .bytes = 40 });
	else
		packet_icmp(packet, flow, icmp_type, 40);
	packet_add_options(packet, options);
}

/* INSIDE_1:5000 has sent to PEER_1:7000 by port 40000. */
static inline void sent(struct lab *lab, uint8_t proto, uint32_t options)
{
	engine_make(&lab->engine);
	engine_pool(&lab->engine.config, 40000, 40000);
	engine_configure(&lab->engine);
	build(&lab->inside, proto, out, 8, options);
	lab->engine.packet = lab->inside;
	ASSERT_TRANSLATED(engine_run(&lab->engine, NAT_PATH_OUTBOUND));
	lab->outside = lab->engine.packet;
}

/* And PEER_1 has answered. */
static inline void answered(struct lab *lab, uint8_t proto, uint32_t options)
{
	struct flow in = flow_of(PEER_1, 7000, UPLINK, 40000);

	sent(lab, proto, options);
	if (proto == NAT_PROTO_ICMP)
		in.sport = 40000;
	build(&lab->outside, proto, in, 0, options);
	lab->engine.packet = lab->outside;
	ASSERT_TRANSLATED(engine_run(&lab->engine, NAT_PATH_INBOUND));
	lab->inside = lab->engine.packet;
}

static inline struct nat_result complain(struct lab *lab, enum nat_path path,
					 struct error error,
					 const struct packet *about)
{
	packet_error(&lab->engine.packet, error, about);
	return engine_run(&lab->engine, path);
}

static inline void quotes(const uint8_t *packet, const struct packet *original,
			  uint32_t bytes)
{
	bool same = !memcmp(packet + QUOTE, original->data, bytes);

	CU_ASSERT_TRUE(same);
	if (same)
		return;
	suite_hex("quoted", packet + QUOTE, bytes);
	suite_hex("sent", original->data, bytes);
}

static inline struct error from_outside(uint8_t type, uint8_t code)
{
	return (struct error){
		.src = ROUTER, .dst = UPLINK, .type = type, .code = code
	};
}

static inline struct error from_inside(uint8_t type, uint8_t code)
{
	return (struct error){
		.src = INSIDE_1, .dst = PEER_1, .type = type, .code = code
	};
}

#endif
