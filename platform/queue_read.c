/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Packets: received many at a time, judged in the order of their arrival,
 * answered by one sendmsg. A verdict is written over the headers of the very
 * message it answers, so that header and payload leave as one piece and
 * nothing is copied here.
 *
 * The kernel takes all verdicts of a sendmsg or none. When it takes none (it
 * has no memory), the packets are dropped by one small batch verdict: a packet
 * is never left in the queue and never leaves untranslated.
 */
#include "queue_private.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>

#include "log.h"
#include "sockets.h"

/* A lane's turn is one batch: what waits in the other lane, of a call or a
 * game, waits no longer. While connections have more waiting than one batch,
 * a batch of newcomers is only a third: they are not starved and starve
 * nobody. */
#define OPENING_SHARE 3

#define ASKED_PER_SECOND 1000

/* About two super-packets. At least one of any size fits. */
#define BATCH_BYTES (2U * QUEUE_SLOT_BYTES)

static ssize_t send_all(const struct queue_way *way, struct iovec *verdicts,
			size_t count)
{
	const struct msghdr message = {
		.msg_iov = verdicts,
		.msg_iovlen = count,
	};
	ssize_t sent;

	do
		sent = sendmsg(mnl_socket_get_fd(way->socket), &message, 0);
	while (sent < 0 && errno == EINTR);
	return sent;
}

/* Drops what the kernel still holds of packets up to owed_id: those before
 * the failed sendmsg have their verdict, so only the failed ones are met. */
void queue_settle(struct queue_way *way)
{
	uint32_t room[QUEUE_VERDICT_BYTES / sizeof(uint32_t)];
	struct iovec verdict;

	if (!way->owed)
		return;
	verdict = queue_verdict_until(room, way->number, way->owed_id, NF_DROP);
	way->owed = send_all(way, &verdict, 1) < 0;
}

static void flush(struct queue_way *way)
{
	struct queue_out *out = &way->queue->out;

	if (!out->count)
		return;
	queue_settle(way);
	if (send_all(way, out->verdict, out->count) < 0) {
		log_warning("queue", "%u verdicts refused: %s; dropping",
			    out->count, strerror(errno));
		way->owed = true;
		way->owed_id = out->last_id;
		queue_settle(way);
	}
	out->count = 0;
	out->bytes = 0;
}

static void answer(struct queue_way *way, uint32_t id, struct iovec verdict)
{
	struct queue *queue = way->queue;
	struct queue_out *out = &queue->out;

	if (out->count == QUEUE_BATCH_MAX ||
	    out->bytes + verdict.iov_len > queue->out_limit)
		flush(way);
	out->verdict[out->count++] = verdict;
	out->bytes += verdict.iov_len;
	out->last_id = id;
}

static bool is_super_datagram(const struct queue_packet *packet)
{
	return packet->skb_info & NFQA_SKB_GSO && packet->length >= 20 &&
	       packet->data[9] == IPPROTO_UDP;
}

static void count_kind(struct queue_stats *stats,
		       const struct queue_packet *packet)
{
	stats->packets++;
	if (packet->skb_info & NFQA_SKB_GSO) {
		stats->gso_packets++;
		stats->gso_udp_packets += is_super_datagram(packet);
	} else if (packet->skb_info & NFQA_SKB_CSUMNOTREADY) {
		stats->partial_packets++;
	}
}

/* What the engine must not see: the reason, or NAT_DROP_NONE. */
static enum nat_drop refuse(struct queue *queue,
			    const struct queue_packet *packet,
			    enum nat_path path)
{
	if (packet->truncated) {
		queue->stats.truncated_packets++;
		return NAT_DROP_TRUNCATED;
	}
	/* Its segments would leave with wrong checksums, or it as a whole. */
	if (is_super_datagram(packet) && !queue->config.gso_udp) {
		if (queue->config.gso)
			queue_without_gso(queue);
		return NAT_DROP_UNSUPPORTED;
	}
	/* Which side a packet comes from is not known without an uplink. */
	if (!queue->roles.uplink && path == NAT_PATH_HAIRPIN_IN)
		return NAT_DROP_NO_UPLINK;
	return NAT_DROP_NONE;
}

static uint32_t accept_verdict(const struct queue *queue,
			       const struct queue_packet *packet)
{
	/* iptables' raw chain runs again and lets the mark go on. */
	if (queue->config.repeat && packet->hook == NF_INET_PRE_ROUTING)
		return NF_REPEAT;
	return NF_ACCEPT;
}

static struct iovec judge(const struct queue_way *way, void *message,
			  const struct queue_packet *packet,
			  const struct nat_result *result)
{
	const struct queue *queue = way->queue;
	const uint16_t number = way->number;
	uint32_t mark;

	switch (result->verdict) {
	case NAT_UNTOUCHED:
		return queue_verdict(message, number, packet->id, NF_ACCEPT);
	case NAT_TRANSLATED:
		mark = packet->mark | (uint32_t)result->mark
					      << queue->roles.mark_shift;
		return queue_verdict_payload(
			packet, number, accept_verdict(queue, packet), mark);
	case NAT_DROPPED:
	case NAT_CONSUMED:
		break;
	}
	return queue_verdict(message, number, packet->id, NF_DROP);
}

/* Whether a socket of the router's own waits for what has no mapping. Its ports
 * are looked for every 5 s (design 4.8), and a resolver may draw a new one for
 * each of its questions. A scan must not become a flood of questions: what comes
 * beyond them is judged by the last look. */
static bool is_own(struct queue *queue, const struct nat_packet *packet,
		   uint64_t now_ms)
{
	if (packet->path != NAT_PATH_INBOUND || packet->data[9] != IPPROTO_UDP)
		return false;
	if (now_ms - queue->asked_ms >= 1000) {
		queue->asked_ms = now_ms;
		queue->asked = 0;
	}
	return queue->asked++ < ASKED_PER_SECOND &&
	       sockets_take_datagram(queue->roles.uplink, packet->data,
				     packet->length);
}

static void translate(struct queue_way *way, uint32_t i, uint64_t now_ms)
{
	struct queue *queue = way->queue;
	const struct queue_packet *packet = &queue->batch.packet[i];
	struct nat_packet *nat = &queue->batch.nat[i];
	enum nat_drop drop = refuse(queue, packet, nat->path);
	struct nat_result result = { .verdict = NAT_DROPPED, .drop = drop };

	if (drop != NAT_DROP_NONE)
		nat_count_drop(queue->nat, drop);
	else
		result = nat_translate(queue->nat, nat, now_ms);
	if (result.drop == NAT_DROP_NO_MAPPING && is_own(queue, nat, now_ms)) {
		nat_count_own(queue->nat, result.drop);
		result.verdict = NAT_UNTOUCHED;
	}
	if (result.answer_length)
		queue_answer(queue, &result, now_ms);
	answer(way, packet->id,
	       judge(way, queue->batch.message[i], packet, &result));
	if (result.output)
		queue_send_output(queue, now_ms);
}

static void take_packet(struct queue_way *way, void *message)
{
	struct queue *queue = way->queue;
	struct queue_batch *batch = &queue->batch;
	const struct queue_packet *packet = &batch->packet[batch->count];

	way->stats.packets++;
	if (way->resumed)
		queue_drop_orphans(way, packet->id);
	count_kind(&queue->stats, packet);
	batch->nat[batch->count] = (struct nat_packet){
		.data = packet->data,
		.length = packet->length,
		.path = queue_packet_path(packet, &queue->roles),
		.checksum = queue_packet_checksum(packet),
		.bridged = packet->bridged,
	};
	batch->message[batch->count++] = message;
}

static void take_message(struct queue_way *way, void *message, size_t received)
{
	struct queue *queue = way->queue;
	struct queue_batch *batch = &queue->batch;
	int error = queue_packet_parse(message, received,
				       &batch->packet[batch->count]);

	if (!error) {
		take_packet(way, message);
	} else if (error == -ENOENT) {
		/* Flushed while we judged it: its device went down. */
		queue->stats.gone++;
	} else if (error != -EALREADY) {
		log_warning("queue", "queue %u: a verdict failed: %s",
			    way->number, strerror(-error));
	}
}

/* Packets of the next batch, at most. That connections wait is true for one
 * turn: theirs comes between two of newcomers as long as it is so. */
static uint32_t share(struct queue_way *way)
{
	struct queue_way *ways = way->queue->ways;
	uint32_t third = way->queue->config.batch / OPENING_SHARE;
	bool pressed = ways[QUEUE_FOLLOWING].more;

	if (way != &ways[QUEUE_OPENING])
		return way->want;
	ways[QUEUE_FOLLOWING].more = false;
	if (!pressed || way->want <= third)
		return way->want;
	return third ? third : 1;
}

static int receive(const struct queue_way *way, uint32_t want)
{
	int count;

	do
		count = recvmmsg(mnl_socket_get_fd(way->socket), way->queue->in,
				 want, MSG_DONTWAIT | MSG_WAITFORONE, NULL);
	while (count < 0 && errno == EINTR);
	/* ENOBUFS: packets were lost, the kernel's counters tell how many. */
	if (count < 0 && errno != EAGAIN && errno != ENOBUFS)
		log_warning("queue", "queue %u: reading failed: %s",
			    way->number, strerror(errno));
	return count;
}

/* As many packets the next time as fit into BATCH_BYTES when they are as large
 * as the largest of this batch: super-packets that leave the cache between
 * reading and answering cost a fifth of the throughput (tests/bench: 9.7 Gbit/s
 * at 64 a batch, 12.9 at 4). At most twice as many: acknowledgements say little
 * of what waits behind them. */
static void choose_batch(struct queue_way *way, int count)
{
	const struct queue *queue = way->queue;
	uint32_t largest = 1, fits;

	for (int i = 0; i < count; i++)
		if (queue->in[i].msg_len > largest)
			largest = queue->in[i].msg_len;
	fits = BATCH_BYTES / largest;
	if (fits > 2 * way->want)
		fits = 2 * way->want;
	way->want = fits < queue->config.batch ? fits : queue->config.batch;
}

/* True when more may wait. */
static bool read_batch(struct queue_way *way, uint64_t now_ms)
{
	struct queue *queue = way->queue;
	uint32_t want = share(way);
	int count;

	queue_settle(way);
	count = receive(way, want);
	way->more = count == (int)want;
	if (count <= 0)
		return false;
	queue->stats.batches++;
	queue->batch.count = 0;
	for (int i = 0; i < count; i++)
		take_message(way, queue->in_bytes[i].iov_base,
			     queue->in[i].msg_len);
	nat_foresee(queue->nat, queue->batch.nat, queue->batch.count);
	for (uint32_t i = 0; i < queue->batch.count; i++)
		translate(way, i, now_ms);
	flush(way);
	choose_batch(way, count);
	return way->more;
}

void queue_read(struct watch *watch, uint32_t events)
{
	struct queue_way *way = (struct queue_way *)(void *)watch;

	(void)events;
	read_batch(way, loop_now_ms(way->queue->loop));
}

void queue_judge_waiting(struct queue *queue)
{
	for (int lane = 0; lane < QUEUE_LANES; lane++)
		for (uint32_t i = 0; i < queue->config.length; i++)
			if (!read_batch(&queue->ways[lane], loop_clock_ms()))
				break;
}
