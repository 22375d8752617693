/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The probes of TCP: those it has in common with UDP, simultaneous open,
 * payload, and the silence after a SYN nobody asked for. Segments are made
 * here, not by a kernel: no stack answers in between.
 */
#include <string.h>

#include "probe.h"

/* RFC 5382 REQ-4: for so long nothing may answer. */
#define SILENCE_MS 6000

static const struct probe_socket server = { PROBE_SERVER_1, PROBE_PORT_1 };

static void tcp_first(struct probe_packet *packet, struct probe_socket from,
		      struct probe_socket to, uint32_t tag)
{
	probe_tcp(packet, from, to, PROBE_SYN, NULL, 0, tag);
}

static void tcp_later(struct probe_packet *packet, struct probe_socket from,
		      struct probe_socket to, uint32_t tag)
{
	probe_tcp(packet, from, to, PROBE_ACK | PROBE_PSH, "portico", 7, tag);
}

static bool segment_crosses(struct probe_bench *bench, enum probe_side from,
			    struct probe_socket source,
			    struct probe_socket target, uint8_t flags)
{
	struct probe_packet packet;

	probe_tcp(&packet, source, target, flags, NULL, 0,
		  probe_next_tag(bench));
	return probe_crosses(bench, from,
			     from == PROBE_INSIDE ? PROBE_OUTSIDE :
						    PROBE_INSIDE,
			     &packet) &&
	       bench->view.flags == flags;
}

/* The rest of the three-way handshake. */
static bool tcp_settle(struct probe_bench *bench, struct probe_socket inside,
		       struct probe_socket peer, uint16_t outside)
{
	const struct probe_socket e = { PROBE_UPLINK, outside };

	return segment_crosses(bench, PROBE_OUTSIDE, peer, e,
			       PROBE_SYN | PROBE_ACK) &&
	       probe_is(bench->view.to, inside.addr, inside.port) &&
	       segment_crosses(bench, PROBE_INSIDE, inside, peer, PROBE_ACK);
}

const struct probe_transport probe_tcp_transport = {
	.which = PROBE_FOR_TCP,
	.proto = NAT_PROTO_TCP,
	.first = tcp_first,
	.later = tcp_later,
	.settle = tcp_settle,
};

/* RFC 5382 REQ-2a: both ends' SYN cross each other. */
static void both_open(struct probe_bench *bench)
{
	const struct probe_socket inside = { PROBE_HOST_1,
					     probe_next_port(bench) };
	uint16_t port = probe_open(bench, &probe_tcp_transport, inside, server);
	const struct probe_socket e = { PROBE_UPLINK, port };

	if (!port)
		return;
	bench->facts->both_open = probe_answer_of(
		segment_crosses(bench, PROBE_OUTSIDE, server, e, PROBE_SYN) &&
		segment_crosses(bench, PROBE_INSIDE, inside, server,
				PROBE_SYN | PROBE_ACK) &&
		segment_crosses(bench, PROBE_OUTSIDE, server, e,
				PROBE_SYN | PROBE_ACK));
}

/* What an FTP gateway looks for. */
static void payload(struct probe_bench *bench)
{
	static const char text[] = "PORT 192,168,1,10,19,136\r\n";
	const struct probe_socket inside = { PROBE_HOST_1,
					     probe_next_port(bench) };
	const struct probe_socket peer = { PROBE_SERVER_1, 21 };
	uint16_t port = probe_open(bench, &probe_tcp_transport, inside, peer);
	struct probe_packet packet;

	if (!port || !tcp_settle(bench, inside, peer, port))
		return;
	probe_tcp(&packet, inside, peer, PROBE_ACK | PROBE_PSH, text,
		  sizeof(text) - 1, probe_next_tag(bench));
	if (!probe_crosses(bench, PROBE_INSIDE, PROBE_OUTSIDE, &packet))
		return;
	bench->facts->payload[PROBE_FOR_TCP] = probe_answer_of(
		bench->view.bytes == sizeof(text) - 1 &&
		!memcmp(bench->view.payload, text, sizeof(text) - 1));
}

/* An RST or SYN-ACK by its ports; an ICMP error by those it quotes, since the
 * SYNs of the filtering probes may still be answered (icmp_after_6s). */
static bool answers(const struct probe_view *view, struct probe_socket from,
		    struct probe_socket to)
{
	const uint8_t *quoted = view->payload;

	if (view->to.addr != from.addr)
		return false;
	if (view->proto == NAT_PROTO_ICMP)
		return view->type == PROBE_UNREACHABLE && view->bytes >= 24 &&
		       quoted[22] == to.port >> 8 &&
		       quoted[23] == (to.port & 255);
	return view->proto == NAT_PROTO_TCP && view->to.port == from.port &&
	       view->from.port == to.port;
}

/* A port that is not the router's own; the next one has no mapping yet. */
static uint16_t pool_port(struct probe_bench *bench)
{
	const struct nat_portset *pool = &bench->setup->nat.pool[NAT_POOL_TCP];
	uint16_t port = probe_next_port(bench);

	for (uint32_t i = 1; i < NAT_PORTS && !nat_portset_has(pool, port); i++)
		port = (uint16_t)i;
	return port;
}

/* Nothing else goes on meanwhile. */
static void silence(struct probe_bench *bench)
{
	const struct probe_socket from = { PROBE_SERVER_2, PROBE_PORT_2 };
	const struct probe_socket to = { PROBE_UPLINK, pool_port(bench) };
	struct probe_way *way = bench->way;
	struct probe_packet packet;
	uint64_t now, end;

	tcp_first(&packet, from, to, probe_next_tag(bench));
	if (way->send(way, PROBE_OUTSIDE, &packet))
		return;
	bench->facts->silence = PROBE_YES;
	now = way->now_ms(way);
	end = now + SILENCE_MS;
	for (; now < end; now = way->now_ms(way))
		if (way->receive(way, PROBE_OUTSIDE, &bench->packet,
				 end - 1 - now) &&
		    probe_read(&bench->packet, &bench->view) &&
		    answers(&bench->view, from, to))
			bench->facts->silence = PROBE_NO;
		else if (end - now <= 1)
			break;
}

void probe_all_tcp(struct probe_bench *bench)
{
	probe_common(bench, &probe_tcp_transport);
	both_open(bench);
	payload(bench);
	silence(bench);
}
