/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages of the kernel's packet queue through the reader of the daemon, over
 * a pair of sockets: what comes back for each packet that has an id is exactly
 * one verdict, whole and of that id.
 *
 *   messages of: how (bits 0-2: attributes left out, 3: another type, 4: a
 *   length that lies, 5: more attributes, 6: raw, 7: an error message), hook,
 *   mark, skb_info, device, payload (length, bytes or a made packet)
 */
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "platform/log.h"
#include "platform/queue_private.h"
#include "world.h"

#define MESSAGE_MAX 2048U
#define MESSAGES_MAX 24 /* fit into the pair's buffers */
#define FIRST_ID 1000U
#define RAW 64

struct bench {
	struct queue queue;
	int kernel; /* the other end */
};

/* What is expected to be told is shown to nobody. */
static void hush(void *context, int priority, const char *line, size_t length)
{
	(void)context;
	(void)priority;
	(void)line;
	(void)length;
}

static struct bench *bench_make(void)
{
	static struct bench bench;
	struct queue *queue = &bench.queue;
	struct queue_way *way = &queue->ways[QUEUE_FOLLOWING];
	int pair[2];

	log_to(hush, NULL);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
		abort();
	bench.kernel = pair[1];
	queue->loop = loop_new();
	way->queue = queue;
	way->number = 100;
	way->socket = mnl_socket_fdopen(pair[0]);
	queue->config = (struct queue_config){ .number = 100, .batch = 8 };
	way->want = queue->config.batch;
	queue->raw.fd = queue->pace.fd = queue->proc = -1;
	queue->roles = (struct queue_roles){ .uplink = 2,
					     .loopback = 1,
					     .mark_shift = 24 };
	queue->out_limit = 1U << 16;
	queue->slots = malloc(QUEUE_BATCH_MAX * (size_t)QUEUE_SLOT_BYTES);
	if (!queue->loop || !way->socket || !queue->slots)
		abort();
	for (size_t i = 0; i < QUEUE_BATCH_MAX; i++) {
		queue->in_bytes[i] =
			(struct iovec){ queue->slots + i * QUEUE_SLOT_BYTES +
						QUEUE_HEADROOM,
					QUEUE_MESSAGE_BYTES };
		queue->in[i].msg_hdr.msg_iov = &queue->in_bytes[i];
		queue->in[i].msg_hdr.msg_iovlen = 1;
	}
	return &bench;
}

/* --- messages -------------------------------------------------------------- */

static void put_packet(struct nlmsghdr *message, struct fuzz_bytes *input)
{
	uint8_t kind = fuzz_u8(input);
	struct fuzz_bytes value = fuzz_take(input, fuzz_u8(input));
	struct packet packet;
	struct flow out = flow_of(INSIDE_1, 5000 + kind % 4, PEER_1, 53);
	struct flow in = flow_of(PEER_1, 53, UPLINK, 5000 + kind % 4);

	switch (kind >> 5) {
	case 0:
		packet_udp(&packet, out, NULL, (uint32_t)value.left);
		break;
	case 1:
		packet_udp(&packet, in, NULL, (uint32_t)value.left);
		break;
	case 2:
		packet_tcp(&packet, out,
			   (struct segment){ .flags = SYN,
					     .bytes = (uint16_t)value.left });
		break;
	case 3:
		packet_icmp(&packet, out, 8, (uint32_t)value.left);
		break;
	default:
		mnl_attr_put(message, NFQA_PAYLOAD, value.left,
			     value.left ? value.at : (const uint8_t *)"");
		return;
	}
	mnl_attr_put(message, NFQA_PAYLOAD, packet.length, packet.data);
}

static bool put_attributes(struct nlmsghdr *message, uint8_t how, uint32_t id,
			   struct fuzz_bytes *input)
{
	struct nfqnl_msg_packet_hdr head = {
		.packet_id = htonl(id),
		.hook = fuzz_u8(input) & 1 ? NF_INET_PRE_ROUTING :
					     NF_INET_POST_ROUTING
	};
	uint8_t mark = fuzz_u8(input), info = fuzz_u8(input);

	if ((how & 7) != 1)
		mnl_attr_put(message, NFQA_PACKET_HDR, sizeof(head), &head);
	if (mark)
		mnl_attr_put_u32(message, NFQA_MARK,
				 htonl((uint32_t)mark << 24 | mark));
	if (info)
		mnl_attr_put_u32(message, NFQA_SKB_INFO, htonl(info));
	mnl_attr_put_u32(message, NFQA_IFINDEX_INDEV,
			 htonl(fuzz_u8(input) & 3));
	if (how & 32) {
		struct fuzz_bytes value;
		uint8_t type = fuzz_u8(input);

		value = fuzz_take(input, fuzz_u8(input) & 31);
		if (type == NFQA_PACKET_HDR) /* a packet has one id */
			type = NFQA_UNSPEC;
		mnl_attr_put(message, type, value.left,
			     value.left ? value.at : (const uint8_t *)"");
	}
	if ((how & 7) != 2)
		put_packet(message, input);
	return (how & 7) != 1;
}

/* Makes one; *answered: a verdict is due. Returns its bytes. */
static size_t make(uint8_t *at, uint32_t id, struct fuzz_bytes *input,
		   bool *answered)
{
	uint8_t how = fuzz_u8(input);
	struct nlmsghdr *message;
	struct nfgenmsg *general;
	struct fuzz_bytes raw;

	*answered = false;
	if (how & RAW) {
		raw = fuzz_take(input, fuzz_u8(input));
		if (raw.left)
			memcpy(at, raw.at, raw.left);
		return raw.left;
	}
	message = mnl_nlmsg_put_header(at);
	message->nlmsg_type = (NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG_PACKET;
	general = mnl_nlmsg_put_extra_header(message, sizeof(*general));
	general->nfgen_family = AF_INET;
	if (how & 128) {
		message->nlmsg_type = NLMSG_ERROR;
		mnl_nlmsg_put_extra_header(message, fuzz_u8(input) & 60);
		return message->nlmsg_len;
	}
	*answered = put_attributes(message, how, id, input);
	if (how & 8) {
		message->nlmsg_type = fuzz_u16(input);
		*answered = false; /* but for the one type, at most one */
	}
	if (how & 16) { /* what is behind it is not looked at */
		uint8_t less = fuzz_u8(input);

		*answered = false;
		return less < message->nlmsg_len ? message->nlmsg_len - less :
						   0;
	}
	return message->nlmsg_len;
}

/* --- verdicts -------------------------------------------------------------- */

/* Raw bytes may have been a packet of any id. */
static bool any_id;

/* One verdict message in front of the bytes; returns what is left of them. */
static size_t judge(const uint8_t **at, size_t left, uint64_t *due)
{
	struct nlmsghdr head;
	struct nfqnl_msg_verdict_hdr verdict;
	const size_t before = MNL_NLMSG_HDRLEN + sizeof(struct nfgenmsg) +
			      sizeof(struct nlattr);
	uint32_t id;

	if (left < before + sizeof(verdict))
		fuzz_expect("a verdict is cut short");
	memcpy(&head, *at, sizeof(head));
	memcpy(&verdict, *at + before, sizeof(verdict));
	if (head.nlmsg_type != ((NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG_VERDICT) ||
	    head.nlmsg_len > left || head.nlmsg_len % 4)
		fuzz_expect("that is no verdict");
	id = ntohl(verdict.id) - FIRST_ID;
	if (id < MESSAGES_MAX && *due >> id & 1)
		*due &= ~(1ULL << id);
	else if (!any_id)
		fuzz_expect("a verdict that is not due");
	*at += head.nlmsg_len;
	return left - head.nlmsg_len;
}

static void collect(const struct bench *bench, uint64_t *may, uint64_t must)
{
	static uint8_t room[1U << 17];
	ssize_t got;

	while ((got = recv(bench->kernel, room, sizeof(room), MSG_DONTWAIT)) >
	       0) {
		const uint8_t *at = room;
		size_t left = (size_t)got;

		while (left)
			left = judge(&at, left, may);
	}
	if (*may & must)
		fuzz_expect("a packet has no verdict");
}

/* A fresh one for each input. */
static void make_engine(struct world *world)
{
	static const uint8_t record[STEP_BYTES];

	memset(world, 0, sizeof(*world));
	world->now = 1000000;
	world_limits(world, record);
	world_start(world);
	world_configure(world, record);
	nat_set_uplink(world->nat, UPLINK, world->now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bench *bench;
	static struct world world;
	struct fuzz_bytes input = { data, size };
	uint64_t may = 0, must = 0;

	if (!bench)
		bench = bench_make();
	make_engine(&world);
	bench->queue.nat = world.nat;
	any_id = false;
	for (uint32_t i = 0; i < MESSAGES_MAX && input.left; i++) {
		uint32_t room[MESSAGE_MAX / 4] = { 0 };
		bool answered, raw = input.at[0] & RAW;
		size_t length =
			make((uint8_t *)room, FIRST_ID + i, &input, &answered);

		if (!length)
			continue;
		if (send(bench->kernel, room, length, 0) < 0)
			break;
		may |= 1ULL << i;
		any_id |= raw;
		must |= (uint64_t)answered << i;
		fuzz_judged();
	}
	for (int i = 0; i < 4; i++)
		queue_read(&bench->queue.ways[QUEUE_FOLLOWING].watch, 0);
	collect(bench, &may, must);
	fuzz_expect(nat_check(world.nat));
	world_end(&world);
	return 0;
}
