/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The gateway's fast path (fast.h): where it is wanted and cannot be had, the
 * queue does it all, and the log and the status say why.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway_private.h"
#include "log.h"

#define RETRY_S 5U /* where something is not as it should */

static void trouble(struct gateway *g, const char *error)
{
	if (strcmp(g->fast_error, error) != 0)
		log_warning("fast_path", "%s: those packets take the queue",
			    error);
	snprintf(g->fast_error, sizeof(g->fast_error), "%s", error);
}

/* A daemon that was killed has left its program at its devices, where it goes on
 * for FAST_ALIVE_MS by that daemon's table. Of that table we may end and change
 * anything from now on. */
static void remove_earlier(void)
{
	int err = fast_remove_all();

	if (err)
		log_warning("fast_path",
			    "an earlier daemon's program cannot be removed: %s",
			    strerror(-err));
}

void gateway_open_fast(struct gateway *g)
{
	const struct fast_config config = {
		.sessions = g->config->fast_path.sessions,
		.mark_shift = g->queue_config.mark_shift,
	};
	char error[sizeof(g->fast_error)] = "";

	remove_earlier();
	if (g->config->fast_path.enabled != CONFIG_ON)
		return;
	g->fast = fast_open(&config, error, sizeof(error));
	if (!g->fast)
		trouble(g, error);
}

void gateway_start_fast(struct gateway *g)
{
	struct nat_carrier carrier;

	if (!g->fast)
		return;
	carrier = fast_carrier(g->fast);
	nat_set_carrier(g->nat, &carrier);
	gateway_tick_fast(g);
}

void gateway_follow_fast(struct gateway *g)
{
	const struct network_state *network = network_state(g->network);
	char error[sizeof(g->fast_error)] = "";
	unsigned *inside;

	if (!g->fast)
		return;
	inside = calloc(network->inside_count + 1, sizeof(*inside));
	if (!inside) {
		trouble(g, "devices are not followed: memory is short");
		return;
	}
	for (size_t i = 0; i < network->inside_count; i++)
		inside[i] = network->inside[i].index;
	if (fast_set_devices(g->fast, network->uplink.index, inside,
			     network->inside_count, error, sizeof(error)))
		trouble(g, error);
	else
		g->fast_error[0] = '\0';
	free(inside);
}

void gateway_tick_fast(struct gateway *g)
{
	if (!g->fast)
		return;
	fast_tick(g->fast, g->nat, loop_now_ms(g->loop));
	if (fast_disturbed(g->fast) ||
	    (g->fast_error[0] && g->ticks % RETRY_S == 0))
		gateway_follow_fast(g);
}

void gateway_close_fast(struct gateway *g)
{
	if (!g->fast)
		return;
	nat_set_carrier(g->nat, NULL);
	fast_close(g->fast);
	g->fast = NULL;
}

bool gateway_fast_stats(const struct gateway *g, struct fast_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	if (g->fast)
		fast_stats(g->fast, stats);
	return g->fast;
}
