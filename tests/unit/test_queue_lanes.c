/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Overload: in which order the two lanes of the queue are served, and how
 * long what was lost is told of. The kernel's sockets are pairs of Unix ones,
 * each read is noted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>

#include "engine.h"
#include "platform/queue_private.h"
#include "suite.h"

#define BATCH 6
#define READS_MAX 64

#define LARGE 40000 /* bytes of a super-packet */
#define MESSAGE_MAX (LARGE + 256)

static struct {
	char read[READS_MAX + 1]; /* 'F' or 'O' a batch that held packets, '.'
				   * a look at an empty following lane */
	unsigned asked[READS_MAX]; /* packets, at most */
	int count;
	int following, opening; /* descriptors */
} notes;

int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags,
	     struct timespec *timeout)
{
	int got =
		(int)syscall(SYS_recvmmsg, fd, messages, count, flags, timeout);

	if (notes.count < READS_MAX && (got > 0 || fd == notes.following)) {
		notes.asked[notes.count] = count;
		notes.read[notes.count++] = got <= 0		  ? '.' :
					    fd == notes.following ? 'F' :
								    'O';
	}
	return got;
}

struct lab {
	struct engine engine;
	struct queue queue;
	int kernel[QUEUE_LANES]; /* the other ends */
	uint32_t sent;
};

static void open_lane(struct lab *lab, int lane)
{
	struct queue_way *way = &lab->queue.ways[lane];
	int pair[2], room = 4 * BATCH * LARGE;

	CU_ASSERT_EQUAL_FATAL(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair),
		0);
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	way->queue = &lab->queue;
	way->number = (uint16_t)(100 + lane);
	way->want = BATCH;
	way->socket = mnl_socket_fdopen(pair[0]);
	CU_ASSERT_PTR_NOT_NULL_FATAL(way->socket);
	way->watch.fd = pair[0];
	lab->kernel[lane] = pair[1];
}

static void lab_open(struct lab *lab)
{
	struct queue *queue = &lab->queue;

	memset(lab, 0, sizeof(*lab));
	memset(&notes, 0, sizeof(notes));
	engine_bare(&lab->engine, &engine_limits); /* refuses all */
	queue->nat = lab->engine.nat;
	queue->config.batch = BATCH;
	queue->out_limit = 65536;
	queue->raw.fd = queue->pace.fd = queue->proc = -1;
	queue->loop = loop_new();
	queue->slots = malloc(QUEUE_BATCH_MAX * QUEUE_SLOT_BYTES);
	CU_ASSERT_FATAL(queue->loop && queue->slots);
	for (size_t i = 0; i < QUEUE_BATCH_MAX; i++) {
		queue->in_bytes[i].iov_base =
			queue->slots + i * QUEUE_SLOT_BYTES + QUEUE_HEADROOM;
		queue->in_bytes[i].iov_len = QUEUE_MESSAGE_BYTES;
		queue->in[i].msg_hdr.msg_iov = &queue->in_bytes[i];
		queue->in[i].msg_hdr.msg_iovlen = 1;
	}
	for (int lane = 0; lane < QUEUE_LANES; lane++)
		open_lane(lab, lane);
	notes.following = queue->ways[QUEUE_FOLLOWING].watch.fd;
	notes.opening = queue->ways[QUEUE_OPENING].watch.fd;
}

static void lab_close(struct lab *lab)
{
	for (int lane = 0; lane < QUEUE_LANES; lane++) {
		mnl_socket_close(lab->queue.ways[lane].socket);
		close(lab->kernel[lane]);
	}
	loop_free(lab->queue.loop);
	free(lab->queue.slots);
	engine_free(&lab->engine);
}

/* Packets for a lane, of so many bytes. */
static void arrive_sized(struct lab *lab, enum queue_lane lane, int packets,
			 size_t bytes)
{
	static uint32_t room[MESSAGE_MAX / sizeof(uint32_t)];

	for (int i = 0; i < packets; i++) {
		struct nfqnl_msg_packet_hdr head = {
			.packet_id = htonl(++lab->sent),
			.hw_protocol = htons(0x0800),
			.hook = NF_INET_PRE_ROUTING,
		};
		struct nlmsghdr *message = mnl_nlmsg_put_header(room);
		static const uint8_t payload[LARGE] = { 0x45 };

		message->nlmsg_type = (NFNL_SUBSYS_QUEUE << 8) |
				      NFQNL_MSG_PACKET;
		mnl_nlmsg_put_extra_header(message, sizeof(struct nfgenmsg));
		mnl_attr_put(message, NFQA_PACKET_HDR, sizeof(head), &head);
		mnl_attr_put(message, NFQA_PAYLOAD, bytes, payload);
		CU_ASSERT_EQUAL(send(lab->kernel[lane], message,
				     message->nlmsg_len, 0),
				(ssize_t)message->nlmsg_len);
	}
}

static void arrive(struct lab *lab, enum queue_lane lane, int packets)
{
	arrive_sized(lab, lane, packets, 28);
}

/* How many verdicts the kernel got for a lane. */
static int verdicts(struct lab *lab, enum queue_lane lane)
{
	static uint32_t room[16384];
	int count = 0;
	ssize_t got;

	while ((got = recv(lab->kernel[lane], room, sizeof(room), 0)) > 0) {
		const struct nlmsghdr *message = (void *)room;
		int left = (int)got;

		for (; mnl_nlmsg_ok(message, left);
		     message = mnl_nlmsg_next(message, &left)) {
			const struct nfgenmsg *head =
				mnl_nlmsg_get_payload(message);

			CU_ASSERT_EQUAL(ntohs(head->res_id), 100 + lane);
			count++;
		}
	}
	return count;
}

static void expect_reads(const char *expected)
{
	CU_ASSERT_STRING_EQUAL(notes.read, expected);
	if (strcmp(notes.read, expected))
		printf("read %s instead of %s\n", notes.read, expected);
	notes.count = 0;
	memset(notes.read, 0, sizeof(notes.read));
}

static void read_opening(struct lab *lab)
{
	queue_read(&lab->queue.ways[QUEUE_OPENING].watch, 0);
}

static void read_following(struct lab *lab)
{
	queue_read(&lab->queue.ways[QUEUE_FOLLOWING].watch, 0);
}

/* Both lanes are full: three packets of connections for each of newcomers,
 * which are not starved. */
static void test_both_full(void)
{
	struct lab lab;

	lab_open(&lab);
	arrive(&lab, QUEUE_OPENING, 5 * BATCH);
	arrive(&lab, QUEUE_FOLLOWING, 4 * BATCH);
	for (int i = 0; i < 3; i++) {
		read_following(&lab);
		read_opening(&lab);
	}
	expect_reads("FOFOFO");
	CU_ASSERT_EQUAL(verdicts(&lab, QUEUE_FOLLOWING), 3 * BATCH);
	CU_ASSERT_EQUAL(verdicts(&lab, QUEUE_OPENING), BATCH);
	/* The last connection has its packet, and the loop does not look at a
	 * lane where nothing waits: after one more turn newcomers have it all. */
	read_following(&lab);
	read_opening(&lab);
	CU_ASSERT_EQUAL(verdicts(&lab, QUEUE_OPENING), BATCH / 3);
	read_opening(&lab);
	expect_reads("FOO");
	CU_ASSERT_EQUAL(verdicts(&lab, QUEUE_OPENING), BATCH);
	lab_close(&lab);
}

/* A lone packet a batch is no division by three. */
static void test_both_full_one_by_one(void)
{
	struct lab lab;

	lab_open(&lab);
	lab.queue.config.batch = lab.queue.ways[QUEUE_FOLLOWING].want = 1;
	arrive(&lab, QUEUE_OPENING, 2);
	arrive(&lab, QUEUE_FOLLOWING, 2);
	read_following(&lab);
	read_opening(&lab);
	expect_reads("FO");
	CU_ASSERT_EQUAL(verdicts(&lab, QUEUE_OPENING), 1);
	lab_close(&lab);
}

/* A flood of newcomers: after each batch the other lane has its turn. */
static void test_flood(void)
{
	struct lab lab;

	lab_open(&lab);
	arrive(&lab, QUEUE_OPENING, 20 * BATCH);
	read_opening(&lab);
	expect_reads("O");
	arrive(&lab, QUEUE_FOLLOWING, 1);
	read_following(&lab);
	read_opening(&lab);
	expect_reads("FO");
	CU_ASSERT_EQUAL(verdicts(&lab, QUEUE_FOLLOWING), 1);
	CU_ASSERT_EQUAL(verdicts(&lab, QUEUE_OPENING), 2 * BATCH);
	lab_close(&lab);
}

/* Bulk TCP keeps a datagram waiting for one batch of two super-packets. */
static void test_bulk(void)
{
	struct lab lab;

	lab_open(&lab);
	arrive_sized(&lab, QUEUE_FOLLOWING, BATCH, LARGE);
	read_following(&lab);
	CU_ASSERT_EQUAL(verdicts(&lab, QUEUE_FOLLOWING), BATCH);
	arrive_sized(&lab, QUEUE_FOLLOWING, BATCH, LARGE);
	arrive(&lab, QUEUE_OPENING, 1);
	read_following(&lab);
	read_opening(&lab);
	expect_reads("FFO");
	CU_ASSERT(notes.asked[1] * LARGE <= 2 * QUEUE_SLOT_BYTES);
	lab_close(&lab);
}

/* Acknowledgements between super-packets are no reason to take all of the
 * super-packets behind them at once. */
static void test_growth(void)
{
	struct queue_way *way;
	struct lab lab;

	lab_open(&lab);
	way = &lab.queue.ways[QUEUE_FOLLOWING];
	lab.queue.config.batch = QUEUE_BATCH_MAX;
	arrive_sized(&lab, QUEUE_FOLLOWING, 1, LARGE);
	read_following(&lab);
	for (int i = 0; i < 5; i++) {
		arrive(&lab, QUEUE_FOLLOWING, 1);
		read_following(&lab);
	}
	expect_reads("FFFFFF");
	for (int i = 1; i < 6; i++)
		CU_ASSERT(notes.asked[i] <= 2 * notes.asked[i - 1]);
	CU_ASSERT(notes.asked[1] < QUEUE_BATCH_MAX);
	/* And yet they grow. */
	CU_ASSERT_EQUAL(way->want, QUEUE_BATCH_MAX);
	lab_close(&lab);
}

/* No flood: one look at the lane that has something, no more. */
static void test_quiet(void)
{
	struct lab lab;

	lab_open(&lab);
	arrive(&lab, QUEUE_OPENING, 1);
	read_opening(&lab);
	expect_reads("O");
	arrive(&lab, QUEUE_FOLLOWING, 1);
	read_following(&lab);
	expect_reads("F");
	CU_ASSERT_EQUAL(lab.queue.ways[QUEUE_FOLLOWING].stats.packets, 1);
	CU_ASSERT_EQUAL(lab.queue.ways[QUEUE_OPENING].stats.packets, 1);
	lab_close(&lab);
}

/* --- what is told of losses ---------------------------------------------- */

static void note(struct queue_overload *overload, uint64_t following,
		 uint64_t opening, uint64_t now_ms)
{
	const struct queue_lane_stats before[QUEUE_LANES] = { { 0 } };
	const struct queue_lane_stats now[QUEUE_LANES] = {
		[QUEUE_FOLLOWING] = { .user_dropped = following },
		[QUEUE_OPENING] = { .dropped = opening },
	};

	queue_overload_note(overload, before, now, now_ms);
}

static void test_overload(void)
{
	struct queue_overload overload = { 0 };

	note(&overload, 0, 0, 1000);
	CU_ASSERT_FALSE(overload.now);
	note(&overload, 0, 5, 2000);
	CU_ASSERT_TRUE(overload.now);
	note(&overload, 1, 2, 3000);
	CU_ASSERT_EQUAL(overload.lost[QUEUE_FOLLOWING], 1);
	CU_ASSERT_EQUAL(overload.lost[QUEUE_OPENING], 7);
	note(&overload, 0, 0, 62999);
	CU_ASSERT_TRUE(overload.now);
	note(&overload, 0, 0, 63000);
	CU_ASSERT_FALSE(overload.now);
	/* The next spell counts anew. */
	note(&overload, 0, 3, 100000);
	CU_ASSERT_TRUE(overload.now);
	CU_ASSERT_EQUAL(overload.lost[QUEUE_FOLLOWING], 0);
	CU_ASSERT_EQUAL(overload.lost[QUEUE_OPENING], 3);
}

static const struct test tests[] = {
	{ "overload: connections go between newcomers, which are not starved",
	  test_both_full },
	{ "overload: also where a batch is one packet",
	  test_both_full_one_by_one },
	{ "overload: after a batch of a flood, connections are served",
	  test_flood },
	{ "bulk: a datagram waits for one small batch", test_bulk },
	{ "bulk: a batch is at most twice as many packets as the last one",
	  test_growth },
	{ "one look at one lane when little comes", test_quiet },
	{ "overload: told until a minute has passed without a loss",
	  test_overload },
};

int main(int argc, char **argv)
{
	return suite_run("queue lanes", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
