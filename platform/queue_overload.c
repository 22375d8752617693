/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Overload: packets that the kernel dropped because we did not take them in
 * time. A spell begins with the first loss after a quiet minute and is over
 * when a minute has passed without one.
 */
#include <inttypes.h>
#include <string.h>

#include "log.h"
#include "queue_private.h"

#define QUIET_MS 60000U

static uint64_t lost(const struct queue_lane_stats *stats)
{
	return stats->dropped + stats->user_dropped;
}

static void begin(struct queue_overload *overload)
{
	memset(overload->lost, 0, sizeof(overload->lost));
	overload->now = true;
}

void queue_overload_note(struct queue_overload *overload,
			 const struct queue_lane_stats before[QUEUE_LANES],
			 const struct queue_lane_stats now[QUEUE_LANES],
			 uint64_t now_ms)
{
	for (int lane = 0; lane < QUEUE_LANES; lane++) {
		uint64_t fresh = lost(&now[lane]) - lost(&before[lane]);

		if (!fresh)
			continue;
		if (!overload->now)
			begin(overload);
		overload->lost[lane] += fresh;
		overload->last_ms = now_ms;
	}
	if (now_ms - overload->last_ms >= QUIET_MS)
		overload->now = false;
}

void queue_tick_from_here(struct queue *queue)
{
	struct queue_stats stats;

	queue_stats(queue, &stats);
	memcpy(queue->seen, stats.lanes, sizeof(queue->seen));
}

void queue_tick(struct queue *queue)
{
	struct queue_overload *overload = &queue->stats.overload;
	bool before = overload->now;
	struct queue_stats stats;

	queue_stats(queue, &stats);
	queue_overload_note(overload, queue->seen, stats.lanes,
			    loop_now_ms(queue->loop));
	memcpy(queue->seen, stats.lanes, sizeof(queue->seen));
	if (overload->now && !before)
		log_warning("queue",
			    "overload: packets come faster than they can be "
			    "taken and are lost; new flows go first");
	if (before && !overload->now)
		log_info("queue",
			 "the overload is over: %" PRIu64
			 " packets were lost that may have begun a flow, "
			 "%" PRIu64 " of connections",
			 overload->lost[QUEUE_OPENING],
			 overload->lost[QUEUE_FOLLOWING]);
}
