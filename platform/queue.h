/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The kernel's queue: recvmmsg of up to `batch` packets, nat_translate() on
 * each, one gathered sendmsg of all verdicts with the payload sent straight
 * from the receive buffers (nfqueue.md). Two system calls a batch.
 *
 * There are two queues of the kernel behind it, its lanes: what can only belong
 * to a connection that exists (TCP without a lone SYN, ICMP errors), and all
 * that may begin something. The first one goes first: a flood of newcomers, or
 * of datagrams, fills its own lane and is lost there.
 */
#ifndef PORTICO_PLATFORM_QUEUE_H
#define PORTICO_PLATFORM_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "loop.h"
#include "portico/nat.h"

struct queue;

enum queue_lane {
	QUEUE_FOLLOWING, /* number */
	QUEUE_OPENING, /* number + 1 */
	QUEUE_LANES
};

struct queue_config {
	uint16_t number; /* and the next one; at most 65534 */
	uint32_t batch; /* 1..64 */
	uint32_t length; /* queue_maxlen, packets */
	bool gso; /* NFQA_CFG_F_GSO */
	bool gso_udp; /* super-datagrams survive being rewritten, too */
	bool repeat; /* iptables: NF_REPEAT for packets met before routing */
	uint32_t mark_shift; /* where the two mark bits of nat_mark lie */
};

/* Of one lane. */
struct queue_lane_stats {
	uint64_t waiting; /* packets in the queue now */
	uint64_t dropped; /* kernel: queue was full */
	uint64_t user_dropped; /* kernel: socket buffer was full */
	uint64_t packets; /* received */
};

/* What was lost of late: from the first loss after a quiet minute on. */
struct queue_overload {
	uint64_t lost[QUEUE_LANES]; /* packets, of this spell */
	uint64_t last_ms; /* 0: never */
	bool now; /* not over: the last loss is less than a minute ago */
};

/* The sums of both lanes where there is no other word. */
struct queue_stats {
	uint32_t length; /* queue_maxlen in force, of each */
	uint64_t waiting; /* packets in the queue now */
	uint64_t dropped; /* kernel: queue was full */
	uint64_t user_dropped; /* kernel: socket buffer was full */
	bool gso; /* in force now */
	uint64_t gso_packets, gso_udp_packets, partial_packets;
	uint64_t truncated_packets;
	uint64_t batches, packets;
	uint64_t
		gone; /* verdicts for packets the kernel had flushed (ENOENT) */
	uint64_t answers_failed; /* packets of our own that were lost */
	struct queue_lane_stats lanes[QUEUE_LANES];
	struct queue_overload overload;
	/* Dropped because a process before us had read and not judged them. */
	uint64_t orphans;
};

/* Binds the queue's two numbers with an ACK; nothing is queued to us before
 * rules say so. Returns NULL with errno set: EBUSY when another process listens
 * on one of them, EPERM, EPROTONOSUPPORT when the kernel has no
 * nfnetlink_queue. */
struct queue *queue_open(const struct queue_config *config, struct nat *nat);
void queue_close(struct queue *queue);

/* Goes on with the queue of a process that is gone, whose socket outlived it:
 * what the kernel queued meanwhile waits there. What that process had read and
 * not judged is dropped with the first packet that comes. fds: the sockets of
 * all lanes in whatever order; they stay the caller's. Returns NULL with errno
 * set: ENOTSOCK when one is no such socket, ENOENT when one of this network
 * namespace's queues is not among theirs. */
struct queue *queue_resume(const struct queue_config *config, struct nat *nat,
			   const int fds[], size_t count);
/* Closes such a socket and ends its queue, also when it is open elsewhere; what
 * waits is dropped. number: that of the first lane. */
void queue_discard(int fd, uint16_t number);
/* Judges what waits, outside the loop. */
void queue_judge_waiting(struct queue *queue);
/* The sockets, for the next process. */
void queue_fds(const struct queue *queue, int fds[QUEUE_LANES]);

/* Starts reading in the loop, once. 0 or -errno. */
int queue_start(struct queue *queue, struct loop *loop);

/* Sends what the engine has to say of its own accord (nat_next_output), and
 * what the kernel had no room for. The queue does so after every packet that
 * asks for it, and at a pace of its own while there is more to come; call it
 * once a second, and after a move. */
void queue_send_output(struct queue *queue, uint64_t now_ms);

/* Call once a second: looks for losses and tells the log when an overload
 * begins and ends. */
void queue_tick(struct queue *queue);

/* The uplink's and loopback's ifindex decide a packet's path; call again on
 * every change. 0: the uplink does not exist. */
void queue_set_devices(struct queue *queue, unsigned uplink_index);

/* After the backend is known. */
void queue_set_repeat(struct queue *queue, bool repeat);

/* Reads /proc/net/netfilter/nfnetlink_queue (kept open) for the kernel's part. */
void queue_stats(struct queue *queue, struct queue_stats *stats);

#endif
