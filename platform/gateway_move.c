/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The uplink's address comes, changes and goes: what is said of it. What is
 * cut and what goes on is the engine's affair (nat/move.c).
 */
#include <inttypes.h>

#include "gateway_private.h"
#include "log.h"
#include "views.h"

static void say_move(const char *device, uint32_t from, uint32_t to,
		     const struct nat_stats *before,
		     const struct nat_stats *after)
{
	char old[VIEWS_ADDR_SIZE], new[VIEWS_ADDR_SIZE];

	log_warning("network",
		    "uplink %s has moved from %s to %s: %" PRIu64
		    " mappings go on (%" PRIu64 " by another port), %" PRIu64
		    " ended, %" PRIu64 " TCP connections are cut and told",
		    device, views_addr(from, old), views_addr(to, new),
		    after->move_mappings - before->move_mappings,
		    after->move_ports - before->move_ports,
		    after->move_ended - before->move_ended,
		    after->move_cut - before->move_cut);
}

static void say_address(const char *device, uint32_t addr)
{
	char text[VIEWS_ADDR_SIZE];

	if (addr)
		log_info("network", "uplink %s has address %s", device,
			 views_addr(addr, text));
	else
		log_warning("network",
			    "uplink %s has no address now: what is there is "
			    "kept, nothing passes",
			    device);
}

void gateway_move(struct gateway *g, const struct network_state *network,
		  uint64_t now_ms)
{
	const char *device = network->uplink.name;
	uint32_t addr = network->uplink_addr;
	uint32_t from = nat_known_uplink(g->nat);
	struct nat_stats before, after;

	nat_stats(g->nat, &before);
	nat_set_uplink(g->nat, addr, now_ms);
	nat_stats(g->nat, &after);
	if (after.moves != before.moves)
		say_move(device, from, addr, &before, &after);
	else if (addr != g->uplink_shown)
		say_address(device, addr);
	g->uplink_shown = addr;
	queue_send_output(g->queue, now_ms);
}

void gateway_meanwhile(void *context)
{
	struct gateway *g = context;

	/* The guard alone does not know our mark (raw.h). */
	if (g->queue && !g->withdrawn)
		queue_send_output(g->queue, loop_clock_ms());
	gateway_show_life(g, true);
}
