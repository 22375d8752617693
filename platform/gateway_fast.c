/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The gateway's fast path (fast.h): where it is wanted and cannot be had, the
 * queue does it all, and the log and the status say why.
 *
 * With "auto" packets are carried only while they would meet, on the queue's way,
 * no rule of another packet filter that does anything but let them by. That is the
 * doctor's to say. From the moment that rules are heard to change until it has
 * looked at them nothing is carried.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway_private.h"
#include "log.h"
#include "rules_legacy.h"

#define RETRY_S 5U /* where something is not as it should */
/* Between a change of rules and the look at them: 1 s, and twice as long with each
 * change that comes within a minute of the last. */
#define CALM_S 60U
#define WAIT_MAX_S 32U

static bool is_auto(const struct gateway *g)
{
	return g->config->fast_path.enabled == CONFIG_AUTO;
}

/* Who did not ask for a fast path need not be warned that there is none; but a
 * loader of another version is not as it should be. */
static void trouble(struct gateway *g, int err, const char *error)
{
	g->fast_warns = !is_auto(g) || err == -EPROTO;
	if (strcmp(g->fast_error, error) != 0)
		log_message(g->fast_warns ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
			    "fast_path", "%s: those packets take the queue",
			    error);
	snprintf(g->fast_error, sizeof(g->fast_error), "%s", error);
}

/* A daemon that was killed has left its program at its devices, where it goes on
 * for FAST_ALIVE_MS by that daemon's table. With the first packet that we judge we
 * may end and change anything of that table. As late as that, since until then
 * nobody else carries: the kernel takes 8 ms a device by tcx. */
void gateway_remove_earlier_fast(void)
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

	if (g->config->fast_path.enabled == CONFIG_OFF)
		return;
	g->fast_unsure = is_auto(g);
	g->fast = fast_open(&config, error, sizeof(error));
	if (!g->fast)
		trouble(g, -errno, error);
}

void gateway_start_fast(struct gateway *g)
{
	struct nat_carrier carrier;

	if (!g->fast)
		return;
	carrier = fast_carrier(g->fast);
	nat_set_carrier(g->nat, &carrier);
	rules_look_prepare();
	if (is_auto(g))
		g->fast_sum = rules_legacy_sum();
	/* The first look is under way before. */
	g->fast_look = g->ticks + RETRY_S;
	g->fast_started = true;
	gateway_tick_fast(g);
	gateway_follow_fast(g);
}

void gateway_follow_fast(struct gateway *g)
{
	const struct network_state *network = network_state(g->network);
	char error[sizeof(g->fast_error)] = "";
	unsigned *inside;
	int err;

	if (!g->fast || !g->fast_started || g->fast_unsure)
		return;
	if (g->fast_passed_by[0]) {
		fast_set_devices(g->fast, 0, NULL, 0, error, sizeof(error));
		g->fast_error[0] = '\0';
		return;
	}
	inside = calloc(network->inside_count + 1, sizeof(*inside));
	if (!inside) {
		trouble(g, -ENOMEM,
			"devices are not followed: memory is short");
		return;
	}
	for (size_t i = 0; i < network->inside_count; i++)
		inside[i] = network->inside[i].index;
	err = fast_set_devices(g->fast, network->uplink.index, inside,
			       network->inside_count, error, sizeof(error));
	if (err)
		trouble(g, err, error);
	else
		g->fast_error[0] = '\0';
	free(inside);
}

/* --- what other packet filters say ------------------------------------------- */

/* Looking takes programs their time: who changes rules all the while has them
 * looked at less and less often. */
static void wait_longer(struct gateway *g)
{
	bool again = g->fast_wait && g->ticks - g->fast_doubted < CALM_S;

	g->fast_wait = !again			 ? 1 :
		       g->fast_wait < WAIT_MAX_S ? g->fast_wait * 2 :
						   g->fast_wait;
	g->fast_doubted = g->ticks;
	g->fast_look = g->ticks + g->fast_wait;
}

void gateway_fast_doubt(struct gateway *g)
{
	if (!g->fast || !is_auto(g))
		return;
	g->fast_stale |= gateway_examines(g);
	if (g->fast_unsure)
		return;
	fast_pause(g->fast);
	g->fast_unsure = true;
	wait_longer(g);
}

void gateway_fast_told(struct gateway *g, const char *passed_by)
{
	bool other;

	if (!g->fast || !is_auto(g))
		return;
	if (g->fast_stale) {
		wait_longer(g);
		return;
	}
	if (g->flushes.fd < 0)
		passed_by = "changes of rules are not heard of";
	other = strcmp(g->fast_passed_by, passed_by) != 0;
	if (!other && !g->fast_unsure)
		return;
	if (other)
		log_info("fast_path", "%s%s",
			 passed_by[0] ? "all packets take the queue: " :
					"no rule is passed by any more",
			 passed_by);
	snprintf(g->fast_passed_by, sizeof(g->fast_passed_by), "%s", passed_by);
	g->fast_unsure = false;
	gateway_follow_fast(g);
}

/* The legacy tables tell nobody. */
static void watch_others(struct gateway *g)
{
	uint32_t sum = g->fast_sum;

	if (g->ticks % RULES_REFRESH_S == 0)
		sum = rules_legacy_sum();
	if (sum != g->fast_sum)
		gateway_fast_doubt(g);
	g->fast_sum = sum;
	if (g->fast_unsure && g->ticks >= g->fast_look &&
	    !gateway_examines(g)) {
		gateway_examine(g);
		g->fast_look = g->ticks + RETRY_S;
	}
}

void gateway_tick_fast(struct gateway *g)
{
	if (!g->fast)
		return;
	fast_tick(g->fast, g->nat, loop_now_ms(g->loop));
	if (is_auto(g))
		watch_others(g);
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

const char *gateway_fast_reason(const struct gateway *g)
{
	if (g->config->fast_path.enabled == CONFIG_OFF)
		return "it is off (fast_path.enabled)";
	if (g->fast_error[0] || !is_auto(g))
		return g->fast_error;
	return g->fast_unsure ? "other packet filters are being looked at" :
				g->fast_passed_by;
}
