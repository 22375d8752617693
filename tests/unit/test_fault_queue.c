/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The queue's reader beside a kernel that refuses, interrupts and talks
 * nonsense: the other end of a socket pair stands in for it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>

#include "engine.h"
#include "platform/queue_private.h"
#include "suite.h"
#include "tests/fault/plan.h"

#define QUEUE 100
#define BATCH 8
#define ROOM 4096

enum { LOOPBACK = 1, WAN = 2, LAN = 3 };

struct lab {
	struct engine engine;
	struct queue queue;
	int kernel; /* its end */
};

/* One answer as the kernel reads it. */
struct verdict {
	uint16_t type; /* NFQNL_MSG_VERDICT or NFQNL_MSG_VERDICT_BATCH */
	uint32_t verdict;
	uint32_t id;
};

/* --- the bench -------------------------------------------------------------- */

static void open_slots(struct queue *queue)
{
	queue->slots = mmap(NULL, QUEUE_BATCH_MAX * QUEUE_SLOT_BYTES,
			    PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CU_ASSERT_FATAL(queue->slots != MAP_FAILED);
	for (size_t i = 0; i < QUEUE_BATCH_MAX; i++) {
		queue->in_bytes[i].iov_base =
			queue->slots + i * QUEUE_SLOT_BYTES + QUEUE_HEADROOM;
		queue->in_bytes[i].iov_len = QUEUE_MESSAGE_BYTES;
		queue->in[i].msg_hdr.msg_iov = &queue->in_bytes[i];
		queue->in[i].msg_hdr.msg_iovlen = 1;
	}
}

static struct lab *lab_open(void)
{
	struct lab *lab = calloc(1, sizeof(*lab));
	struct queue *queue = &lab->queue;
	struct queue_way *way = &queue->ways[QUEUE_FOLLOWING];
	int ends[2];

	engine_make(&lab->engine);
	CU_ASSERT_EQUAL_FATAL(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends),
		0);
	lab->kernel = ends[1];
	way->queue = queue;
	way->number = QUEUE;
	way->socket = mnl_socket_fdopen(ends[0]);
	CU_ASSERT_PTR_NOT_NULL_FATAL(way->socket);
	queue->config = (struct queue_config){ .number = QUEUE,
					       .batch = BATCH,
					       .gso_udp = true };
	way->want = BATCH;
	queue->roles = (struct queue_roles){ .uplink = WAN,
					     .loopback = LOOPBACK,
					     .mark_shift = 24 };
	queue->nat = lab->engine.nat;
	queue->loop = loop_new();
	queue->raw.fd = queue->pace.fd = queue->proc = -1;
	queue->out_limit = 1 << 20;
	way->watch.fd = ends[0];
	open_slots(queue);
	return lab;
}

static void lab_close(struct lab *lab)
{
	close(lab->kernel);
	mnl_socket_close(lab->queue.ways[QUEUE_FOLLOWING].socket);
	munmap(lab->queue.slots, QUEUE_BATCH_MAX * QUEUE_SLOT_BYTES);
	loop_free(lab->queue.loop);
	engine_free(&lab->engine);
	free(lab);
}

/* A packet that the engine refuses: whatever becomes of it, it is answered. */
static size_t packet_message(void *room, uint32_t id)
{
	static const uint8_t packet[28] = { 0x45, 0, 0, 28 };
	struct nfqnl_msg_packet_hdr head = {
		.packet_id = htonl(id),
		.hw_protocol = htons(0x0800),
		.hook = NF_INET_PRE_ROUTING,
	};
	struct nlmsghdr *message = mnl_nlmsg_put_header(room);
	struct nfgenmsg *netfilter;

	message->nlmsg_type = (NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG_PACKET;
	netfilter = mnl_nlmsg_put_extra_header(message, sizeof(*netfilter));
	netfilter->nfgen_family = AF_INET;
	netfilter->res_id = htons(QUEUE);
	mnl_attr_put(message, NFQA_PACKET_HDR, sizeof(head), &head);
	mnl_attr_put_u32(message, NFQA_IFINDEX_INDEV, htonl(WAN));
	mnl_attr_put(message, NFQA_PAYLOAD, sizeof(packet), packet);
	return message->nlmsg_len;
}

static void send_packets(struct lab *lab, uint32_t first, uint32_t count)
{
	uint32_t room[ROOM / 4];

	for (uint32_t id = first; id < first + count; id++) {
		size_t length = packet_message(room, id);

		CU_ASSERT_EQUAL(send(lab->kernel, room, length, 0),
				(ssize_t)length);
	}
}

static void send_error(struct lab *lab, int error)
{
	uint32_t room[ROOM / 4];
	struct nlmsghdr *message = mnl_nlmsg_put_header(room);
	struct nlmsgerr *body;

	message->nlmsg_type = NLMSG_ERROR;
	body = mnl_nlmsg_put_extra_header(message, sizeof(*body));
	body->error = -error;
	CU_ASSERT(send(lab->kernel, room, message->nlmsg_len, 0) > 0);
}

/* The verdicts of the daemon's next sendmsg; how many, 0: there was none. */
static unsigned take(struct lab *lab, struct verdict *verdicts, unsigned most)
{
	uint32_t room[ROOM / 4];
	ssize_t got = recv(lab->kernel, room, sizeof(room), MSG_DONTWAIT);
	struct nlmsghdr *message = (struct nlmsghdr *)room;
	int left = (int)got;
	unsigned count = 0;

	for (; got > 0 && mnl_nlmsg_ok(message, left) && count < most;
	     message = mnl_nlmsg_next(message, &left)) {
		const struct nlattr *attr;

		verdicts[count].type = message->nlmsg_type & 0xff;
		mnl_attr_for_each(attr, message, sizeof(struct nfgenmsg)) {
			const struct nfqnl_msg_verdict_hdr *head =
				mnl_attr_get_payload(attr);

			if (mnl_attr_get_type(attr) != NFQA_VERDICT_HDR)
				continue;
			verdicts[count].verdict = ntohl(head->verdict);
			verdicts[count].id = ntohl(head->id);
		}
		count++;
	}
	return count;
}

/* The next sendmsg drops all packets up to id, in one verdict. */
static void expect_drop_until(struct lab *lab, uint32_t id)
{
	struct verdict verdict[2];

	CU_ASSERT_EQUAL(take(lab, verdict, 2), 1);
	CU_ASSERT_EQUAL(verdict[0].type, NFQNL_MSG_VERDICT_BATCH);
	CU_ASSERT_EQUAL(verdict[0].verdict, NF_DROP);
	CU_ASSERT_EQUAL(verdict[0].id, id);
}

/* The next sendmsg answers these packets one by one, in their order. */
static void expect_answers(struct lab *lab, uint32_t first, unsigned count)
{
	struct verdict verdicts[BATCH + 1];

	CU_ASSERT_EQUAL(take(lab, verdicts, BATCH + 1), count);
	for (unsigned i = 0; i < count; i++) {
		CU_ASSERT_EQUAL(verdicts[i].type, NFQNL_MSG_VERDICT);
		CU_ASSERT_EQUAL(verdicts[i].id, first + i);
	}
}

static void expect_silence(struct lab *lab)
{
	struct verdict verdict;

	CU_ASSERT_EQUAL(take(lab, &verdict, 1), 0);
}

static void turn(struct lab *lab)
{
	queue_read(&lab->queue.ways[QUEUE_FOLLOWING].watch, 0);
}

/* --- tests ------------------------------------------------------------------- */

static void test_answers(void)
{
	struct lab *lab = lab_open();

	send_packets(lab, 1, 3);
	turn(lab);
	expect_answers(lab, 1, 3);
	expect_silence(lab);
	lab_close(lab);
}

static void test_refused_once(void)
{
	struct lab *lab = lab_open();

	send_packets(lab, 1, 3);
	fault_arm("sendmsg", ENOBUFS, 0, 1);
	turn(lab);
	CU_ASSERT_EQUAL(fault_disarm(), 1);
	expect_drop_until(lab, 3);
	expect_silence(lab);
	send_packets(lab, 4, 1);
	turn(lab);
	expect_answers(lab, 4, 1);
	expect_silence(lab);
	lab_close(lab);
}

static void test_refused_for_long(void)
{
	struct lab *lab = lab_open();

	send_packets(lab, 1, 2);
	fault_arm("sendmsg", ENOMEM, 0, 0);
	turn(lab);
	turn(lab);
	CU_ASSERT(fault_disarm() >= 3);
	expect_silence(lab);
	CU_ASSERT(lab->queue.ways[QUEUE_FOLLOWING].owed);
	send_packets(lab, 3, 1);
	turn(lab);
	expect_drop_until(lab, 2);
	expect_answers(lab, 3, 1);
	CU_ASSERT(!lab->queue.ways[QUEUE_FOLLOWING].owed);
	lab_close(lab);
}

static void test_interrupted(void)
{
	struct lab *lab = lab_open();

	send_packets(lab, 1, 2);
	fault_arm("sendmsg", EINTR, 0, 2);
	turn(lab);
	CU_ASSERT_EQUAL(fault_disarm(), 2);
	expect_answers(lab, 1, 2);
	send_packets(lab, 3, 2);
	fault_arm("recvmmsg", EINTR, 0, 2);
	turn(lab);
	CU_ASSERT_EQUAL(fault_disarm(), 2);
	expect_answers(lab, 3, 2);
	expect_silence(lab);
	lab_close(lab);
}

static void test_reading_fails(void)
{
	static const int reasons[] = { ENOBUFS, ENOMEM, EPERM };
	struct lab *lab = lab_open();

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		send_packets(lab, 1, 1);
		fault_arm("recvmmsg", reasons[i], 0, 1);
		turn(lab);
		CU_ASSERT_EQUAL(fault_disarm(), 1);
		expect_silence(lab);
		turn(lab);
		expect_answers(lab, 1, 1);
	}
	lab_close(lab);
}

static void test_verdict_without_packet(void)
{
	struct lab *lab = lab_open();

	send_error(lab, ENOENT);
	send_packets(lab, 1, 1);
	send_error(lab, ENOENT);
	send_error(lab, EPERM);
	send_error(lab, 0);
	turn(lab);
	CU_ASSERT_EQUAL(lab->queue.stats.gone, 2);
	CU_ASSERT_EQUAL(lab->queue.stats.packets, 1);
	expect_answers(lab, 1, 1);
	expect_silence(lab);
	lab_close(lab);
}

/* Every beginning of a message, and one of another kind: a packet whose number
 * is told is dropped, nothing else is said. */
static void test_nonsense(void)
{
	struct lab *lab = lab_open();
	uint32_t room[ROOM / 4];
	size_t length = packet_message(room, 1);
	unsigned dropped = 0;

	for (size_t cut = 1; cut < length; cut++) {
		struct verdict verdict = { 0 };

		CU_ASSERT_EQUAL(send(lab->kernel, room, cut, 0), (ssize_t)cut);
		turn(lab);
		if (!take(lab, &verdict, 1))
			continue;
		dropped++;
		CU_ASSERT_EQUAL(verdict.verdict, NF_DROP);
		CU_ASSERT_EQUAL(verdict.id, 1);
	}
	CU_ASSERT_EQUAL(lab->queue.stats.packets, dropped);
	CU_ASSERT_EQUAL(lab->queue.stats.truncated_packets, dropped);
	((struct nlmsghdr *)room)->nlmsg_type = 0x7fff;
	send(lab->kernel, room, length, 0);
	turn(lab);
	expect_silence(lab);
	send_packets(lab, 2, 1);
	turn(lab);
	expect_answers(lab, 2, 1);
	lab_close(lab);
}

static void test_answers_in_parts(void)
{
	struct lab *lab = lab_open();

	lab->queue.out_limit = 2 * QUEUE_VERDICT_BYTES; /* of one sendmsg */
	send_packets(lab, 1, 3);
	fault_arm("sendmsg", ENOBUFS, 1, 1);
	turn(lab);
	CU_ASSERT_EQUAL(fault_disarm(), 1);
	expect_answers(lab, 1, 3 - 1);
	expect_drop_until(lab, 3);
	expect_silence(lab);
	lab_close(lab);
}

static const struct test tests[] = {
	{ "every packet is answered in its order", test_answers },
	{ "verdicts that are refused become one drop", test_refused_once },
	{ "a drop that is refused too comes before all else later",
	  test_refused_for_long },
	{ "an interrupted call is made again", test_interrupted },
	{ "a read that fails loses nothing", test_reading_fails },
	{ "ENOENT on a verdict is counted as gone",
	  test_verdict_without_packet },
	{ "of a cut packet a drop is all, of foreign messages nothing",
	  test_nonsense },
	{ "of answers in parts only those refused are dropped",
	  test_answers_in_parts },
};

int main(int argc, char **argv)
{
	return suite_run("fault_queue", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
