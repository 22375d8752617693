/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages of the kernel's queue: what is read from them, which path they
 * name, and the verdicts written over them.
 */
#include "suite.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <libnetfilter_queue/libnetfilter_queue.h>

#include "platform/queue_packet.h"

#define QUEUE 100
#define ID 0x01020304
#define ROOM 70000
#define GUARD 0xa5

enum { UPLINK = 2, LAN = 3, LOOPBACK = 1 };

static const struct queue_roles roles = {
	.uplink = UPLINK,
	.loopback = LOOPBACK,
	.mark_shift = 24,
};

/* A message as the kernel makes it, with headroom and tail guarded. */
struct buffer {
	uint32_t words[ROOM / 4];
};

static uint8_t *start(struct buffer *buffer)
{
	return (uint8_t *)buffer->words + QUEUE_HEADROOM;
}

static struct nlmsghdr *begin(struct buffer *buffer, uint8_t hook)
{
	struct nfqnl_msg_packet_hdr head = {
		.packet_id = htonl(ID),
		.hw_protocol = htons(0x0800),
		.hook = hook,
	};
	struct nlmsghdr *message;
	struct nfgenmsg *netfilter;

	memset(buffer, GUARD, sizeof(*buffer));
	message = mnl_nlmsg_put_header(start(buffer));
	message->nlmsg_type = (NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG_PACKET;
	netfilter = mnl_nlmsg_put_extra_header(message, sizeof(*netfilter));
	netfilter->nfgen_family = AF_INET;
	netfilter->res_id = htons(QUEUE);
	mnl_attr_put(message, NFQA_PACKET_HDR, sizeof(head), &head);
	return message;
}

static void put_payload(struct nlmsghdr *message, size_t length)
{
	static uint8_t bytes[65531];

	for (size_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)(i * 7 + 1);
	mnl_attr_put(message, NFQA_PAYLOAD, length, bytes);
}

static struct queue_packet parse(struct nlmsghdr *message)
{
	struct queue_packet packet;

	CU_ASSERT_EQUAL(
		queue_packet_parse(message, message->nlmsg_len, &packet), 0);
	return packet;
}

static void test_everything_is_read(void)
{
	static struct buffer buffer;
	struct nlmsghdr *message = begin(&buffer, NF_INET_POST_ROUTING);
	struct queue_packet packet;

	mnl_attr_put_u32(message, NFQA_IFINDEX_INDEV, htonl(LAN));
	mnl_attr_put_u32(message, NFQA_IFINDEX_OUTDEV, htonl(UPLINK));
	mnl_attr_put_u32(message, NFQA_MARK, htonl(0x02000007));
	mnl_attr_put_u32(message, NFQA_SKB_INFO, htonl(NFQA_SKB_GSO));
	put_payload(message, 41);
	packet = parse(message);
	CU_ASSERT_EQUAL(packet.id, ID);
	CU_ASSERT_EQUAL(packet.hook, NF_INET_POST_ROUTING);
	CU_ASSERT_EQUAL(packet.indev, LAN);
	CU_ASSERT_EQUAL(packet.mark, 0x02000007);
	CU_ASSERT_EQUAL(packet.skb_info, NFQA_SKB_GSO);
	CU_ASSERT_EQUAL(packet.length, 41);
	CU_ASSERT_EQUAL(packet.data[40], (uint8_t)(40 * 7 + 1));
	CU_ASSERT_FALSE(packet.truncated);
}

static void test_absent_attributes_are_zero(void)
{
	static struct buffer buffer;
	struct nlmsghdr *message = begin(&buffer, NF_INET_PRE_ROUTING);
	struct queue_packet packet;

	put_payload(message, 20);
	memset(&packet, GUARD, sizeof(packet));
	CU_ASSERT_EQUAL(
		queue_packet_parse(message, message->nlmsg_len, &packet), 0);
	CU_ASSERT_EQUAL(packet.mark, 0);
	CU_ASSERT_EQUAL(packet.indev, 0);
	CU_ASSERT_EQUAL(packet.skb_info, 0);
	CU_ASSERT_FALSE(packet.truncated);
}

static void test_cut_packets_are_told(void)
{
	static struct buffer buffer;
	struct nlmsghdr *message = begin(&buffer, NF_INET_PRE_ROUTING);
	struct queue_packet packet;

	/* The kernel cut it. */
	put_payload(message, 65531);
	mnl_attr_put_u32(message, NFQA_CAP_LEN, htonl(65535));
	CU_ASSERT_TRUE(parse(message).truncated);

	/* Our buffer was too small: the id is there, a verdict is due. */
	message = begin(&buffer, NF_INET_PRE_ROUTING);
	put_payload(message, 1000);
	CU_ASSERT_EQUAL(queue_packet_parse(message, 500, &packet), 0);
	CU_ASSERT_EQUAL(packet.id, ID);
	CU_ASSERT_TRUE(packet.truncated);
	CU_ASSERT_TRUE(packet.data + packet.length <= start(&buffer) + 500);

	/* No payload at all. */
	message = begin(&buffer, NF_INET_PRE_ROUTING);
	CU_ASSERT_TRUE(parse(message).truncated);
}

static void test_errors_and_acks_are_told_apart(void)
{
	static struct buffer buffer;
	struct nlmsghdr *message = mnl_nlmsg_put_header(start(&buffer));
	struct nlmsgerr *error =
		mnl_nlmsg_put_extra_header(message, sizeof(*error));
	struct queue_packet packet;
	size_t length = message->nlmsg_len;

	message->nlmsg_type = NLMSG_ERROR;
	error->error = -ENOENT;
	CU_ASSERT_EQUAL(queue_packet_parse(message, length, &packet), -ENOENT);
	error->error = 0;
	CU_ASSERT_EQUAL(queue_packet_parse(message, length, &packet),
			-EALREADY);
	CU_ASSERT_EQUAL(queue_packet_parse(message, 18, &packet), -EBADMSG);
}

static void test_foreign_messages_are_refused(void)
{
	static struct buffer buffer;
	struct nlmsghdr *message = begin(&buffer, NF_INET_PRE_ROUTING);
	struct queue_packet packet;

	message->nlmsg_type = (NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG_CONFIG;
	CU_ASSERT_EQUAL(queue_packet_parse(message, message->nlmsg_len,
					   &packet),
			-EBADMSG);
	message = begin(&buffer, NF_INET_PRE_ROUTING);
	/* The id's attribute ends one byte of padding before the message. */
	for (size_t length = 0; length < message->nlmsg_len - 1; length++)
		CU_ASSERT_EQUAL(queue_packet_parse(message, length, &packet),
				-EBADMSG);
}

/* What is outside of the received bytes is never pointed to. */
static void test_random_bytes_stay_inside(void)
{
	static struct buffer buffer;
	struct queue_packet packet;
	uint8_t *at = start(&buffer);
	size_t inside = 0;

	srand(7);
	for (int round = 0; round < 200000; round++) {
		struct nlmsghdr *message = begin(&buffer, (uint8_t)rand());
		size_t length;

		mnl_attr_put_u32(message, NFQA_MARK, 1);
		put_payload(message, 24);
		length = message->nlmsg_len;
		for (int i = 0; i < 4; i++)
			at[18 + rand() % 62] = (uint8_t)rand();
		length -= (size_t)rand() % 50;
		if (queue_packet_parse(message, length, &packet) ||
		    !packet.data)
			continue;
		inside++;
		if (packet.data < at ||
		    packet.data + packet.length > at + length) {
			suite_hex("points outside", at, length);
			CU_FAIL("payload outside of the message");
			return;
		}
	}
	CU_ASSERT_TRUE(inside > 1000);
}

static void test_paths(void)
{
	static const struct {
		uint8_t hook;
		unsigned indev;
		uint32_t mark;
		enum nat_path path;
	} table[] = {
		{ NF_INET_PRE_ROUTING, UPLINK, 0, NAT_PATH_INBOUND },
		{ NF_INET_PRE_ROUTING, UPLINK, 0x3000000, NAT_PATH_INBOUND },
		{ NF_INET_PRE_ROUTING, LAN, 0, NAT_PATH_HAIRPIN_IN },
		/* Bridge netfilter: another device, or none. */
		{ NF_INET_PRE_ROUTING, 9, 0x2000000, NAT_PATH_HAIRPIN_IN },
		{ NF_INET_PRE_ROUTING, 0, 0, NAT_PATH_HAIRPIN_IN },
		{ NF_INET_PRE_ROUTING, LOOPBACK, 0, NAT_PATH_LOOPBACK },
		{ NF_INET_POST_ROUTING, LAN, 0x2000000, NAT_PATH_OUTBOUND },
		{ NF_INET_POST_ROUTING, 0, 0xfeffffff, NAT_PATH_OUTBOUND },
		{ NF_INET_POST_ROUTING, LAN, 0x3000000, NAT_PATH_HAIRPIN_OUT },
		{ NF_INET_POST_ROUTING, UPLINK, 0x1000000, NAT_PATH_ERROR_OUT },
		{ NF_INET_POST_ROUTING, 0, 0x5, NAT_PATH_ERROR_OUT },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct queue_packet packet = {
			.hook = table[i].hook,
			.indev = table[i].indev,
			.mark = table[i].mark,
		};

		if (queue_packet_path(&packet, &roles) != table[i].path)
			printf("line %zu of the table\n", i);
		CU_ASSERT_EQUAL(queue_packet_path(&packet, &roles),
				table[i].path);
	}
}

static void test_checksums(void)
{
	static const struct {
		uint32_t skb_info;
		enum nat_checksum checksum;
	} table[] = {
		{ 0, NAT_CHECKSUM_COMPLETE },
		{ NFQA_SKB_CSUM_NOTVERIFIED, NAT_CHECKSUM_COMPLETE },
		{ NFQA_SKB_CSUMNOTREADY, NAT_CHECKSUM_PARTIAL },
		{ NFQA_SKB_GSO, NAT_CHECKSUM_GSO },
		{ NFQA_SKB_GSO | NFQA_SKB_CSUMNOTREADY, NAT_CHECKSUM_GSO },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct queue_packet packet = { .skb_info = table[i].skb_info };

		CU_ASSERT_EQUAL(queue_packet_checksum(&packet),
				table[i].checksum);
	}
}

/* Reads a verdict back as the kernel would. */
static void check_verdict(const struct iovec *bytes, unsigned type,
			  uint32_t verdict, struct nlattr **attributes)
{
	const struct nlmsghdr *message = bytes->iov_base;
	const struct nfgenmsg *netfilter = mnl_nlmsg_get_payload(message);
	const struct nfqnl_msg_verdict_hdr *head;

	CU_ASSERT_TRUE_FATAL(mnl_nlmsg_ok(message, (int)bytes->iov_len));
	CU_ASSERT_EQUAL(message->nlmsg_len, bytes->iov_len);
	CU_ASSERT_EQUAL(message->nlmsg_len % 4, 0);
	CU_ASSERT_EQUAL(message->nlmsg_type, NFNL_SUBSYS_QUEUE << 8 | type);
	CU_ASSERT_EQUAL(message->nlmsg_flags, NLM_F_REQUEST);
	CU_ASSERT_EQUAL(netfilter->res_id, htons(QUEUE));
	memset(attributes, 0, (NFQA_MAX + 1) * sizeof(*attributes));
	CU_ASSERT_EQUAL(nfq_nlmsg_parse(message, attributes), MNL_CB_OK);
	CU_ASSERT_PTR_NOT_NULL_FATAL(attributes[NFQA_VERDICT_HDR]);
	head = mnl_attr_get_payload(attributes[NFQA_VERDICT_HDR]);
	CU_ASSERT_EQUAL(ntohl(head->verdict), verdict);
	CU_ASSERT_EQUAL(ntohl(head->id), ID);
}

static void test_plain_verdicts_carry_nothing_else(void)
{
	uint32_t room[QUEUE_VERDICT_BYTES / 4];
	struct nlattr *attributes[NFQA_MAX + 1];
	struct iovec bytes = queue_verdict(room, QUEUE, ID, NF_DROP);

	CU_ASSERT_EQUAL(bytes.iov_len, QUEUE_VERDICT_BYTES);
	check_verdict(&bytes, NFQNL_MSG_VERDICT, NF_DROP, attributes);
	CU_ASSERT_PTR_NULL(attributes[NFQA_PAYLOAD]);
	CU_ASSERT_PTR_NULL(attributes[NFQA_MARK]);
	bytes = queue_verdict_until(room, QUEUE, ID, NF_DROP);
	CU_ASSERT_EQUAL(bytes.iov_len, QUEUE_VERDICT_BYTES);
	check_verdict(&bytes, NFQNL_MSG_VERDICT_BATCH, NF_DROP, attributes);
}

static void check_payload(size_t length)
{
	static struct buffer buffer;
	struct nlmsghdr *message = begin(&buffer, NF_INET_PRE_ROUTING);
	struct nlattr *attributes[NFQA_MAX + 1];
	struct queue_packet packet;
	const uint8_t *payload;
	struct iovec bytes;

	put_payload(message, length);
	packet = parse(message);
	bytes = queue_verdict_payload(&packet, QUEUE, NF_REPEAT, 0x1000007);
	check_verdict(&bytes, NFQNL_MSG_VERDICT, NF_REPEAT, attributes);
	CU_ASSERT_PTR_NOT_NULL_FATAL(attributes[NFQA_MARK]);
	CU_ASSERT_EQUAL(ntohl(mnl_attr_get_u32(attributes[NFQA_MARK])),
			0x1000007);
	CU_ASSERT_PTR_NOT_NULL_FATAL(attributes[NFQA_PAYLOAD]);
	/* Not one byte of padding may join the packet. */
	CU_ASSERT_EQUAL(mnl_attr_get_payload_len(attributes[NFQA_PAYLOAD]),
			length);
	payload = mnl_attr_get_payload(attributes[NFQA_PAYLOAD]);
	CU_ASSERT_PTR_EQUAL(payload, packet.data);
	for (size_t i = 0; i < length; i++)
		if (payload[i] != (uint8_t)(i * 7 + 1))
			CU_FAIL_FATAL("the packet was changed");
	CU_ASSERT_TRUE((uint8_t *)bytes.iov_base >= (uint8_t *)buffer.words);
	CU_ASSERT_EQUAL(payload[(length + 3) / 4 * 4], GUARD);
}

static void test_payload_of_every_alignment(void)
{
	for (size_t length = 20; length < 64; length++)
		check_payload(length);
	for (size_t length = 65520; length <= 65531; length++)
		check_payload(length);
}

static const struct test tests[] = {
	{ "every attribute of a packet message is read",
	  test_everything_is_read },
	{ "attributes that are absent are zero",
	  test_absent_attributes_are_zero },
	{ "a cut packet is known as cut and still has its id",
	  test_cut_packets_are_told },
	{ "errors and ACKs are told apart",
	  test_errors_and_acks_are_told_apart },
	{ "foreign and short messages are refused",
	  test_foreign_messages_are_refused },
	{ "random bytes never lead out of the message",
	  test_random_bytes_stay_inside },
	{ "hook, device and mark decide the path", test_paths },
	{ "skb info decides what the checksum field holds", test_checksums },
	{ "plain verdicts carry neither payload nor mark",
	  test_plain_verdicts_carry_nothing_else },
	{ "a payload verdict is exact at every length",
	  test_payload_of_every_alignment },
};

int main(int argc, char **argv)
{
	return suite_run("queue_packet", tests,
			 sizeof(tests) / sizeof(tests[0]), argc, argv);
}
