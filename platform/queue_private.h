/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What platform/queue.c (life, settings, statistics), platform/queue_read.c
 * (packets), queue_output.c (what is said) and others of the queue share.
 */
#ifndef PORTICO_PLATFORM_QUEUE_PRIVATE_H
#define PORTICO_PLATFORM_QUEUE_PRIVATE_H

#include <sys/socket.h>

#include <libmnl/libmnl.h>

#include "queue.h"
#include "queue_packet.h"
#include "raw.h"

#define QUEUE_BATCH_MAX 64

/* A slot holds one message: headroom, the largest payload, its attributes
 * (under 300 bytes in all), padding. The size is an odd number of cache lines,
 * so that the headers of a batch do not fall into the same cache sets. */
#define QUEUE_MESSAGE_BYTES (65535 + 512)
#define QUEUE_SLOT_BYTES ((QUEUE_HEADROOM + QUEUE_MESSAGE_BYTES + 63) / 64 * 64)
_Static_assert(QUEUE_SLOT_BYTES / 64 % 2 == 1, "an odd number of lines");

/* Verdicts of one batch that wait for their sendmsg. */
struct queue_out {
	struct iovec verdict[QUEUE_BATCH_MAX];
	uint32_t count;
	size_t bytes;
	uint32_t last_id; /* of the packets in verdict[] */
};

/* The packets of a batch, each as the kernel's and as the engine's. */
struct queue_batch {
	void *message[QUEUE_BATCH_MAX];
	struct queue_packet packet[QUEUE_BATCH_MAX];
	struct nat_packet nat[QUEUE_BATCH_MAX];
	uint32_t count;
};

/* One queue of the kernel. */
struct queue_way {
	struct watch watch; /* first: the handler finds the way by it */
	struct queue *queue;
	uint16_t number;
	struct mnl_socket *socket;
	uint32_t want; /* packets of the next batch, 1..config.batch */
	bool more; /* may wait, after the last batch */

	/* Packets up to owed_id whose verdict the kernel did not take: to be
	 * dropped before anything else is answered. */
	bool owed;
	uint32_t owed_id;
	bool resumed; /* the first packet has not come yet */

	/* The kernel's counters are 32 bits wide and are carried on here. */
	struct queue_lane_stats stats;
	uint32_t kernel_dropped, kernel_user_dropped;
	uint32_t kernel_last_id; /* of the packets queued so far */
};

struct queue {
	struct queue_way ways[QUEUE_LANES];
	struct queue_config config;
	struct queue_roles roles;
	struct nat *nat;
	struct loop *loop; /* NULL: never started */
	bool started;
	struct raw raw; /* what the engine says leaves by it */
	struct watch pace; /* while it has more to say */
	bool paced;
	int proc; /* the kernel's counters; -1: not readable */

	uint8_t *slots; /* QUEUE_BATCH_MAX x QUEUE_SLOT_BYTES, mmap'ed */
	struct iovec in_bytes[QUEUE_BATCH_MAX];
	struct mmsghdr in[QUEUE_BATCH_MAX];
	struct queue_batch batch; /* of one lane at a time */
	struct queue_out out;
	size_t out_limit; /* bytes of one sendmsg */

	uint64_t asked_ms; /* since then, */
	uint32_t asked; /* so often: whether a datagram is the router's own */

	struct queue_stats stats; /* but for what each lane counts */
	struct queue_lane_stats seen[QUEUE_LANES]; /* at the last tick */
};

/* Takes in what was lost between two looks. */
void queue_overload_note(struct queue_overload *overload,
			 const struct queue_lane_stats before[QUEUE_LANES],
			 const struct queue_lane_stats now[QUEUE_LANES],
			 uint64_t now_ms);

/* Losses up to now are none of ours. */
void queue_tick_from_here(struct queue *queue);

/* queue_output.c: the raw socket and the timer. 0 or -errno. */
int queue_output_open(struct queue *queue);
void queue_output_close(struct queue *queue);
/* Sends a packet's answer. */
void queue_answer(struct queue *queue, const struct nat_result *result,
		  uint64_t now_ms);

/* Has the kernel segment what it queues, from its next packet on. */
void queue_without_gso(struct queue *queue);

/* The loop's handler of either lane: reads and answers one batch. */
void queue_read(struct watch *watch, uint32_t events);
#define QUEUE_PROC_FILE "/proc/net/netfilter/nfnetlink_queue"
/* Largest configuration message. */
#define QUEUE_CONFIG_BYTES 128

struct nlmsghdr *queue_config_message(uint16_t number, void *at);

/* Finds the socket of each lane. 0, -ENOTSOCK or -ENOENT: see queue_resume(). */
int queue_sort_sockets(const int fds[], size_t count, uint16_t number,
		       int sorted[QUEUE_LANES]);

/* Reads the kernel's counters, where that is possible. */
void queue_read_kernel(struct queue *queue);

/* Before the verdict of the first packet of a queue that was resumed. */
void queue_drop_orphans(struct queue_way *way, uint32_t first_id);

/* Sends what is owed. */
void queue_settle(struct queue_way *way);

#endif
