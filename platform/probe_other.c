/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The probe of ICMP queries, and the lifetimes: how long something lives after
 * its last packet is found by the engine's own clock, which can be moved. A
 * real one would have to be waited for.
 */
#include <string.h>

#include "probe.h"

/* --- queries ------------------------------------------------------------- */

/* Returns the outside id of an echo request, 0: nothing arrived. */
static uint16_t ask(struct probe_bench *bench, uint32_t host, uint16_t id)
{
	struct probe_packet packet;

	probe_echo(&packet, host, PROBE_SERVER_1, PROBE_ECHO, id,
		   probe_next_tag(bench));
	if (!probe_crosses(bench, PROBE_INSIDE, PROBE_OUTSIDE, &packet) ||
	    bench->view.from.addr != PROBE_UPLINK)
		return 0;
	return bench->view.from.port;
}

/* The reply to the outside id comes to this host with its own id. */
static bool answered(struct probe_bench *bench, uint32_t host, uint16_t id,
		     uint16_t outside)
{
	struct probe_packet packet;

	probe_echo(&packet, PROBE_SERVER_1, PROBE_UPLINK, PROBE_ECHO_REPLY,
		   outside, probe_next_tag(bench));
	return probe_crosses(bench, PROBE_OUTSIDE, PROBE_INSIDE, &packet) &&
	       probe_is(bench->view.to, host, id);
}

/* RFC 5508 REQ-1: two hosts ping one server with one id. */
void probe_all_other(struct probe_bench *bench)
{
	uint16_t id = probe_next_port(bench);
	uint16_t first = ask(bench, PROBE_HOST_1, id);
	uint16_t second = ask(bench, PROBE_HOST_2, id);

	if (!first || !second)
		return;
	bench->facts->queries = probe_answer_of(
		first != second && answered(bench, PROBE_HOST_1, id, first) &&
		answered(bench, PROBE_HOST_2, id, second));
}

/* --- lifetimes ----------------------------------------------------------- */

/* Longer than any timeout that a configuration may have (604,800 s). */
#define LIFE_MAX_MS (700000 * UINT64_C(1000))

static const struct probe_socket server = { PROBE_SERVER_1, PROBE_PORT_1 };

static bool transport_lives(struct probe_bench *bench,
			    const struct probe_transport *transport,
			    uint64_t after_ms)
{
	const struct probe_socket inside = { PROBE_HOST_1,
					     probe_next_port(bench) };
	uint16_t port = probe_open(bench, transport, inside, server);
	struct probe_way *way = bench->way;
	struct probe_packet packet;
	uint32_t tag = probe_next_tag(bench);

	if (!port || !transport->settle(bench, inside, server, port))
		return false;
	way->receive(way, PROBE_INSIDE, &packet, after_ms);
	transport->later(&packet, server, probe_socket_of(PROBE_UPLINK, port),
			 tag);
	return !way->send(way, PROBE_OUTSIDE, &packet) &&
	       probe_arrives(bench, PROBE_INSIDE, transport->proto, tag, 0);
}

static bool udp_lives(struct probe_bench *bench, uint64_t after_ms)
{
	return transport_lives(bench, &probe_udp_transport, after_ms);
}

static bool tcp_lives(struct probe_bench *bench, uint64_t after_ms)
{
	return transport_lives(bench, &probe_tcp_transport, after_ms);
}

static bool icmp_lives(struct probe_bench *bench, uint64_t after_ms)
{
	uint16_t id = probe_next_port(bench);
	uint16_t outside = ask(bench, PROBE_HOST_1, id);
	struct probe_way *way = bench->way;
	struct probe_packet packet;

	if (!outside)
		return false;
	way->receive(way, PROBE_INSIDE, &packet, after_ms);
	probe_echo(&packet, PROBE_SERVER_1, PROBE_UPLINK, PROBE_ECHO_REPLY,
		   outside, probe_next_tag(bench));
	return !way->send(way, PROBE_OUTSIDE, &packet) &&
	       probe_arrives(bench, PROBE_INSIDE, NAT_PROTO_ICMP, bench->tag,
			     0);
}

/* One try, after whatever the last one left has ended: no limit may refuse
 * this one. */
static bool still_lives(struct probe_bench *bench,
			bool (*lives)(struct probe_bench *bench,
				      uint64_t after_ms),
			uint64_t after_ms)
{
	struct probe_packet packet;

	bench->way->receive(bench->way, PROBE_INSIDE, &packet, LIFE_MAX_MS);
	return lives(bench, after_ms);
}

/* The first millisecond at which it is dead, by halving, each try with a fresh
 * mapping. Returns whole seconds, 0: it does not even live at once. */
static uint32_t life_s(struct probe_bench *bench,
		       bool (*lives)(struct probe_bench *bench,
				     uint64_t after_ms))
{
	uint64_t alive = 0, dead = LIFE_MAX_MS;

	if (!still_lives(bench, lives, 0))
		return 0;
	while (dead - alive > 1) {
		uint64_t middle = alive + (dead - alive) / 2;

		if (still_lives(bench, lives, middle))
			alive = middle;
		else
			dead = middle;
	}
	return (uint32_t)((dead + 500) / 1000);
}

void probe_lifetimes(const struct probe_setup *setup, struct probe_facts *facts)
{
	static bool (*const lives[PROBE_LIVES])(struct probe_bench * bench,
						uint64_t after_ms) = {
		[PROBE_LIFE_UDP] = udp_lives,
		[PROBE_LIFE_TCP] = tcp_lives,
		[PROBE_LIFE_ICMP] = icmp_lives,
	};

	for (int i = 0; i < PROBE_LIVES; i++) {
		struct probe_way *way = probe_engine_open(setup);
		struct probe_facts unused = { 0 };
		struct probe_bench bench;

		if (!way)
			return;
		probe_bench_start(&bench, way, setup, &unused);
		facts->life_s[i] = life_s(&bench, lives[i]);
		way->close(way);
	}
}
