/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the engine says of its own accord (nat_next_output) and in answer to
 * packets. While there is more to come of it, or the kernel had no room, a
 * timer brings it back every PACE_MS.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "log.h"
#include "queue_private.h"

#define PACE_MS 10

static void set_pace(struct queue *queue, bool on)
{
	const struct timespec pace = { 0, on ? PACE_MS * 1000000L : 0 };
	const struct itimerspec when = { pace, pace };

	if (on == queue->paced || queue->pace.fd < 0)
		return;
	queue->paced = on;
	/* Else the tick does it, slowly. */
	if (timerfd_settime(queue->pace.fd, 0, &when, NULL))
		log_warning("queue", "the timer of what is told: %s",
			    strerror(errno));
}

static void on_pace(struct watch *watch, uint32_t events)
{
	struct queue *queue =
		(void *)((char *)watch - offsetof(struct queue, pace));
	uint64_t times;

	(void)events;
	if (read(watch->fd, &times, sizeof(times)) == sizeof(times))
		queue_send_output(queue, loop_now_ms(queue->loop));
}

int queue_output_open(struct queue *queue)
{
	const uint32_t mark = (uint32_t)NAT_MARK_INBOUND
			      << queue->config.mark_shift;

	queue->pace.handler = on_pace;
	queue->pace.fd =
		timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	return queue->pace.fd < 0 ? -errno : raw_open(&queue->raw, mark);
}

void queue_output_close(struct queue *queue)
{
	if (queue->pace.fd >= 0)
		close(queue->pace.fd);
	raw_close(&queue->raw);
}

void queue_answer(struct queue *queue, const struct nat_result *result,
		  uint64_t now_ms)
{
	raw_send(&queue->raw, result->answer, result->answer_length,
		 nat_uplink(queue->nat), now_ms);
	if (queue->raw.used)
		set_pace(queue, true);
}

/* The engine is asked for no more while something waits: it has what it does
 * not hand out, and keeps its own pace. Nor before packets are taken: an inside
 * end answers what it is told, half a second long only once. */
void queue_send_output(struct queue *queue, uint64_t now_ms)
{
	bool waits = !queue->started || raw_again(&queue->raw, now_ms);
	const uint8_t *packet;
	uint32_t length;

	while (!waits &&
	       nat_next_output(queue->nat, now_ms, &packet, &length)) {
		raw_send(&queue->raw, packet, length, nat_uplink(queue->nat),
			 now_ms);
		waits = queue->raw.used != 0;
	}
	set_pace(queue, queue->raw.used || nat_telling(queue->nat));
}
