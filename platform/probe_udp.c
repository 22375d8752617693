/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The probes of UDP: those it has in common with TCP, low ports, payloads,
 * fragments, and ICMP errors about it.
 */
#include <string.h>

#include "probe.h"

/* Of a datagram that needs two fragments on a link of 1500 bytes, and of the
 * first of them behind its IP header. */
#define LARGE_BYTES 2000U
#define FIRST_FRAGMENT_BYTES 1480U

static const struct probe_socket server = { PROBE_SERVER_1, PROBE_PORT_1 };

static void udp_first(struct probe_packet *packet, struct probe_socket from,
		      struct probe_socket to, uint32_t tag)
{
	probe_udp(packet, from, to, "portico", 7, tag);
}

/* Nothing is agreed on; but an answer must get in (Filtering I). */
static bool udp_settle(struct probe_bench *bench, struct probe_socket inside,
		       struct probe_socket peer, uint16_t outside)
{
	struct probe_packet packet;

	udp_first(&packet, peer, probe_socket_of(PROBE_UPLINK, outside),
		  probe_next_tag(bench));
	return probe_crosses(bench, PROBE_OUTSIDE, PROBE_INSIDE, &packet) &&
	       probe_is(bench->view.to, inside.addr, inside.port);
}

const struct probe_transport probe_udp_transport = {
	.which = PROBE_FOR_UDP,
	.proto = NAT_PROTO_UDP,
	.first = udp_first,
	.later = udp_first,
	.settle = udp_settle,
};

/* --- low ports ----------------------------------------------------------- */

/* RFC 4787 REQ-3a, where the pool has ports below 1024. */
static void low_port(struct probe_bench *bench)
{
	const struct nat_portset *pool = &bench->setup->nat.pool[NAT_POOL_UDP];
	uint16_t low = 1023, port;

	while (low && !nat_portset_has(pool, low))
		low--;
	if (!low)
		return;
	port = probe_open(bench, &probe_udp_transport,
			  probe_socket_of(PROBE_HOST_1, low), server);
	if (port)
		bench->facts->low_port = probe_answer_of(port < 1024);
}

/* --- payload ------------------------------------------------------------- */

/* What application gateways look for: SIP on its own port, with the inside
 * socket where they would write the outside one. */
static void payload(struct probe_bench *bench)
{
	static const char text[] =
		"REGISTER sip:198.51.100.1 SIP/2.0\r\n"
		"Via: SIP/2.0/UDP 192.168.1.10:5060;branch=z9hG4bKportico\r\n"
		"Contact: <sip:portico@192.168.1.10:5060>\r\n"
		"Content-Length: 0\r\n\r\n";
	const struct probe_socket inside = { PROBE_HOST_1, 5060 };
	const struct probe_socket peer = { PROBE_SERVER_1, 5060 };
	struct probe_packet packet;

	probe_udp(&packet, inside, peer, text, sizeof(text) - 1,
		  probe_next_tag(bench));
	if (!probe_crosses(bench, PROBE_INSIDE, PROBE_OUTSIDE, &packet))
		return;
	bench->facts->payload[PROBE_FOR_UDP] = probe_answer_of(
		bench->view.bytes == sizeof(text) - 1 + 4 &&
		!memcmp(bench->view.payload, text, sizeof(text) - 1));
}

/* --- fragments ----------------------------------------------------------- */

struct large {
	enum probe_side to;
	struct probe_socket from, dest;
	uint8_t bytes[LARGE_BYTES];
};

static bool send_fragments(struct probe_bench *bench, const struct large *large,
			   bool reversed, uint32_t tag)
{
	enum probe_side from = large->to == PROBE_INSIDE ? PROBE_OUTSIDE :
							   PROBE_INSIDE;
	struct probe_packet whole, part[2];

	probe_udp(&whole, large->from, large->dest, large->bytes, LARGE_BYTES,
		  tag);
	probe_cut(&whole, FIRST_FRAGMENT_BYTES, &part[0], &part[1]);
	return !bench->way->send(bench->way, from, &part[reversed]) &&
	       !bench->way->send(bench->way, from, &part[!reversed]);
}

static bool large_arrives(struct probe_bench *bench, const struct large *large,
			  bool reversed)
{
	uint32_t tag = probe_next_tag(bench);

	return send_fragments(bench, large, reversed, tag) &&
	       probe_arrives(bench, large->to, NAT_PROTO_UDP, tag,
			     PROBE_WAIT_MS) &&
	       bench->view.bytes == LARGE_BYTES + 4 &&
	       !memcmp(bench->view.payload, large->bytes, LARGE_BYTES);
}

static enum probe_answer try_large(struct probe_bench *bench,
				   const struct large *large, bool reversed)
{
	for (int i = 0; i < PROBE_TRIES; i++)
		if (large_arrives(bench, large, reversed))
			return PROBE_YES;
	return PROBE_NO;
}

/* RFC 4787 REQ-14, both directions, in order and out of it. */
static void fragments(struct probe_bench *bench)
{
	const struct probe_socket inside = { PROBE_HOST_1,
					     probe_next_port(bench) };
	uint16_t port = probe_open(bench, &probe_udp_transport, inside, server);
	const struct probe_socket outside = { PROBE_UPLINK, port };
	struct large large[PROBE_SIDES] = {
		[PROBE_INSIDE] = { PROBE_INSIDE, server, outside, { 0 } },
		[PROBE_OUTSIDE] = { PROBE_OUTSIDE, inside, server, { 0 } },
	};

	if (!port)
		return;
	for (int to = 0; to < PROBE_SIDES; to++) {
		for (uint32_t i = 0; i < LARGE_BYTES; i++)
			large[to].bytes[i] = (uint8_t)(i * 7 + i / 256);
		for (int reversed = 0; reversed < 2; reversed++)
			bench->facts->fragments[to][reversed] =
				try_large(bench, &large[to], reversed);
	}
}

/* --- ICMP errors --------------------------------------------------------- */

/* The error says the inside socket where it quotes our packet. */
static bool error_reaches(struct probe_bench *bench, struct probe_socket inside,
			  const struct probe_packet *about)
{
	struct probe_packet error;
	const uint8_t *quoted;

	probe_unreachable(&error, PROBE_SERVER_1, PROBE_UPLINK, about);
	if (!probe_crosses(bench, PROBE_OUTSIDE, PROBE_INSIDE, &error) ||
	    bench->view.to.addr != inside.addr || bench->view.bytes < 28)
		return false;
	quoted = bench->view.payload;
	return quoted[12] == inside.addr >> 24 &&
	       quoted[15] == (inside.addr & 255) &&
	       quoted[20] == inside.port >> 8 &&
	       quoted[21] == (inside.port & 255);
}

/* RFC 4787 REQ-12, RFC 5508 REQ-4. */
static void icmp_error(struct probe_bench *bench)
{
	const struct probe_socket inside = { PROBE_HOST_1,
					     probe_next_port(bench) };
	uint16_t port = probe_open(bench, &probe_udp_transport, inside, server);
	struct probe_packet about = bench->packet;

	if (!port)
		return;
	bench->facts->error_passes =
		probe_answer_of(error_reaches(bench, inside, &about));
	bench->facts->error_harmless =
		probe_answer_of(udp_settle(bench, inside, server, port));
}

void probe_all_udp(struct probe_bench *bench)
{
	probe_common(bench, &probe_udp_transport);
	low_port(bench);
	payload(bench);
	fragments(bench);
	icmp_error(bench);
}
