/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The bench on which every probe works: tags, ports, and finding the packet
 * that was sent among those that arrive. Everything that arrives is judged
 * here once: checksums, and that no inside address is seen outside.
 */
#include <string.h>

#include "probe.h"

/* Above what low ports and the router's own services take, so that a pool of
 * the usual size gives consecutive free ports. */
#define FIRST_PORT 49152

void probe_bench_start(struct probe_bench *bench, struct probe_way *way,
		       const struct probe_setup *setup,
		       struct probe_facts *facts)
{
	memset(bench, 0, sizeof(*bench));
	bench->way = way;
	bench->setup = setup;
	bench->facts = facts;
	bench->tag = 0x70000000;
	bench->port = FIRST_PORT - 1;
	facts->checksums = PROBE_YES;
	facts->no_leak = PROBE_YES;
}

uint32_t probe_next_tag(struct probe_bench *bench)
{
	return ++bench->tag;
}

static bool in_pool(const struct probe_bench *bench, uint32_t port)
{
	const struct nat_config *nat = &bench->setup->nat;

	return nat_portset_has(&nat->pool[NAT_POOL_UDP], (uint16_t)port) &&
	       nat_portset_has(&nat->pool[NAT_POOL_TCP], (uint16_t)port);
}

/* Goes round through the ports from 1024 on; a pool that is used up, or has
 * only low ports, gives the next port whatever it is. */
uint16_t probe_next_port(struct probe_bench *bench)
{
	for (uint32_t i = 0; i < NAT_PORTS; i++) {
		bench->port = bench->port + 1 >= NAT_PORTS ? 1024 :
							     bench->port + 1;
		if (in_pool(bench, bench->port))
			return (uint16_t)bench->port;
	}
	bench->port = bench->port + 1 >= NAT_PORTS ? 1024 : bench->port + 1;
	return (uint16_t)bench->port;
}

static bool is_inside(uint32_t addr)
{
	return (addr & 0xffffff00) == PROBE_INSIDE_NET;
}

/* True: bench->packet is whole and bench->view says what it is. */
static bool take(struct probe_bench *bench, enum probe_side side)
{
	struct probe_packet *packet = &bench->packet;

	if (!probe_header_right(packet))
		bench->facts->checksums = PROBE_NO;
	if (side == PROBE_OUTSIDE && is_inside(probe_source(packet)))
		bench->facts->no_leak = PROBE_NO;
	if (!probe_assemble(&bench->assembly[side], packet) ||
	    !probe_read(packet, &bench->view))
		return false;
	if (!probe_transport_right(packet))
		bench->facts->checksums = PROBE_NO;
	return true;
}

bool probe_arrives(struct probe_bench *bench, enum probe_side side,
		   uint8_t proto, uint32_t tag, uint64_t wait_ms)
{
	struct probe_way *way = bench->way;
	uint64_t now = way->now_ms(way);
	const uint64_t end = now + wait_ms;

	for (; now <= end; now = way->now_ms(way)) {
		if (!way->receive(way, side, &bench->packet, end - now))
			return false;
		if (take(bench, side) && bench->view.proto == proto &&
		    bench->view.tag == tag)
			return true;
	}
	return false;
}

bool probe_crosses(struct probe_bench *bench, enum probe_side from,
		   enum probe_side to, const struct probe_packet *packet)
{
	struct probe_view view;

	if (!probe_read(packet, &view))
		return false;
	for (int i = 0; i < PROBE_TRIES; i++)
		if (!bench->way->send(bench->way, from, packet) &&
		    probe_arrives(bench, to, view.proto, view.tag,
				  PROBE_WAIT_MS))
			return true;
	return false;
}

/* One try. Both are looked for at once: what arrives is seen once only. */
static enum probe_answer try_admitted(struct probe_bench *bench,
				      const struct probe_view *wanted,
				      const struct probe_view *control)
{
	struct probe_way *way = bench->way;
	uint64_t now = way->now_ms(way), end = now + PROBE_WAIT_MS;
	bool behind = false;

	for (; now <= end; now = way->now_ms(way)) {
		if (!way->receive(way, PROBE_INSIDE, &bench->packet, end - now))
			break;
		if (!take(bench, PROBE_INSIDE))
			continue;
		if (bench->view.proto == wanted->proto &&
		    bench->view.tag == wanted->tag)
			return PROBE_YES;
		if (bench->view.proto == control->proto &&
		    bench->view.tag == control->tag) {
			behind = true;
			end = now + PROBE_LATE_MS;
		}
	}
	return behind ? PROBE_NO : PROBE_UNKNOWN;
}

enum probe_answer probe_admitted(struct probe_bench *bench,
				 const struct probe_packet *packet,
				 const struct probe_packet *control)
{
	struct probe_way *way = bench->way;
	struct probe_view wanted, behind;
	enum probe_answer answer = PROBE_UNKNOWN;

	if (!probe_read(packet, &wanted) || !probe_read(control, &behind))
		return PROBE_UNKNOWN;
	for (int i = 0; !answer && i < PROBE_TRIES; i++)
		if (!way->send(way, PROBE_OUTSIDE, packet) &&
		    !way->send(way, PROBE_OUTSIDE, control))
			answer = try_admitted(bench, &wanted, &behind);
	return answer;
}

void probe_run(struct probe_way *way, const struct probe_setup *setup,
	       struct probe_facts *facts)
{
	struct probe_bench bench;

	probe_bench_start(&bench, way, setup, facts);
	probe_all_udp(&bench);
	probe_all_tcp(&bench);
	probe_all_other(&bench);
	facts->refused = way->refused(way);
}
