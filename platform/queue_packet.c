/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages of the kernel's queue: parsing and verdicts. The attributes are
 * walked here and not by nfq_nlmsg_parse(): that one refuses a message which
 * is longer than the buffer, and such a packet too needs its verdict.
 */
#include "queue_packet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <libnetfilter_queue/libnetfilter_queue.h>

/* The kernel's (include/linux/err.h, MAX_ERRNO). */
#define ERRNO_MAX 4095

#define TYPE(message) ((NFNL_SUBSYS_QUEUE << 8) | (message))

static uint32_t read_be32(const uint8_t *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return ntohl(value);
}

/* One attribute: `room` bytes of value were received, `length` announced. */
static void take(struct queue_packet *packet, unsigned type, uint8_t *value,
		 size_t length, size_t room, bool *has_id)
{
	bool word = room >= sizeof(uint32_t);

	switch (type) {
	case NFQA_PACKET_HDR:
		if (room < sizeof(struct nfqnl_msg_packet_hdr))
			return;
		packet->id = read_be32(value);
		packet->hook =
			value[offsetof(struct nfqnl_msg_packet_hdr, hook)];
		*has_id = true;
		return;
	case NFQA_PAYLOAD:
		packet->data = value;
		packet->length = (uint32_t)room;
		packet->truncated |= room < length;
		return;
	case NFQA_CAP_LEN:
		/* The kernel adds it only when it cut the packet. */
		packet->truncated = true;
		return;
	case NFQA_MARK:
		packet->mark = word ? read_be32(value) : 0;
		return;
	case NFQA_SKB_INFO:
		packet->skb_info = word ? read_be32(value) : 0;
		return;
	case NFQA_IFINDEX_INDEV:
		packet->indev = word ? read_be32(value) : 0;
		return;
	case NFQA_IFINDEX_PHYSINDEV:
		/* Bridge netfilter: the port of the bridge it came in by. */
		packet->bridged = true;
		return;
	}
}

static int parse_attributes(uint8_t *at, size_t left,
			    struct queue_packet *packet)
{
	bool has_id = false;

	memset(packet, 0, sizeof(*packet));
	while (left >= sizeof(struct nlattr)) {
		struct nlattr head;
		size_t length, step, room = left - sizeof(head);

		memcpy(&head, at, sizeof(head));
		if (head.nla_len < sizeof(head))
			break;
		length = head.nla_len - sizeof(head);
		take(packet, head.nla_type & NLA_TYPE_MASK, at + sizeof(head),
		     length, length < room ? length : room, &has_id);
		step = MNL_ALIGN(head.nla_len);
		if (step >= left)
			break;
		at += step;
		left -= step;
	}
	packet->truncated |= !packet->data;
	return has_id ? 0 : -EBADMSG;
}

static int parse_error(const uint8_t *message, size_t received)
{
	int error;

	if (received < MNL_NLMSG_HDRLEN + sizeof(error))
		return -EBADMSG;
	memcpy(&error, message + MNL_NLMSG_HDRLEN, sizeof(error));
	return error < 0 && error >= -ERRNO_MAX ? error : -EALREADY;
}

int queue_packet_parse(void *message, size_t received,
		       struct queue_packet *packet)
{
	const size_t head = MNL_NLMSG_HDRLEN + sizeof(struct nfgenmsg);
	struct nlmsghdr netlink;

	if (received < sizeof(netlink))
		return -EBADMSG;
	memcpy(&netlink, message, sizeof(netlink));
	if (netlink.nlmsg_type == NLMSG_ERROR)
		return parse_error(message, received);
	if (netlink.nlmsg_len < received)
		received = netlink.nlmsg_len;
	if (netlink.nlmsg_type != TYPE(NFQNL_MSG_PACKET) || received < head)
		return -EBADMSG;
	return parse_attributes((uint8_t *)message + head, received - head,
				packet);
}

enum nat_path queue_packet_path(const struct queue_packet *packet,
				const struct queue_roles *roles)
{
	if (packet->hook == NF_INET_PRE_ROUTING) {
		if (packet->indev == roles->loopback)
			return NAT_PATH_LOOPBACK;
		/* A bridge, or a bridge's port: whatever is not the uplink. */
		if (packet->indev != roles->uplink)
			return NAT_PATH_HAIRPIN_IN;
		return NAT_PATH_INBOUND;
	}
	switch ((packet->mark >> roles->mark_shift) & 3) {
	case NAT_MARK_HAIRPIN:
		return NAT_PATH_HAIRPIN_OUT;
	case NAT_MARK_OUTBOUND:
		return NAT_PATH_OUTBOUND;
	}
	return NAT_PATH_ERROR_OUT;
}

enum nat_checksum queue_packet_checksum(const struct queue_packet *packet)
{
	if (packet->skb_info & NFQA_SKB_GSO)
		return NAT_CHECKSUM_GSO;
	if (packet->skb_info & NFQA_SKB_CSUMNOTREADY)
		return NAT_CHECKSUM_PARTIAL;
	return NAT_CHECKSUM_COMPLETE;
}

static struct nlmsghdr *put_header(void *at, unsigned type, uint16_t queue)
{
	struct nlmsghdr *netlink = mnl_nlmsg_put_header(at);
	struct nfgenmsg *netfilter;

	netlink->nlmsg_type = (uint16_t)TYPE(type);
	netlink->nlmsg_flags = NLM_F_REQUEST;
	netfilter = mnl_nlmsg_put_extra_header(netlink, sizeof(*netfilter));
	netfilter->nfgen_family = AF_UNSPEC;
	netfilter->version = NFNETLINK_V0;
	netfilter->res_id = htons(queue);
	return netlink;
}

static struct iovec put_verdict(void *at, unsigned type, uint16_t queue,
				uint32_t id, uint32_t verdict)
{
	struct nlmsghdr *netlink = put_header(at, type, queue);

	nfq_nlmsg_verdict_put(netlink, (int)id, (int)verdict);
	return (struct iovec){ .iov_base = at, .iov_len = netlink->nlmsg_len };
}

struct iovec queue_verdict(void *at, uint16_t queue, uint32_t id,
			   uint32_t verdict)
{
	return put_verdict(at, NFQNL_MSG_VERDICT, queue, id, verdict);
}

struct iovec queue_verdict_until(void *at, uint16_t queue, uint32_t id,
				 uint32_t verdict)
{
	return put_verdict(at, NFQNL_MSG_VERDICT_BATCH, queue, id, verdict);
}

struct iovec queue_verdict_payload(const struct queue_packet *packet,
				   uint16_t queue, uint32_t verdict,
				   uint32_t mark)
{
	const size_t head =
		QUEUE_VERDICT_BYTES + 2 * sizeof(struct nlattr) + sizeof(mark);
	const size_t padding = MNL_ALIGN(packet->length) - packet->length;
	void *at = packet->data - head;
	struct nlmsghdr *netlink = put_header(at, NFQNL_MSG_VERDICT, queue);
	struct nlattr payload = {
		/* Exact, without padding: it becomes the packet's length. */
		.nla_len = (uint16_t)(sizeof(payload) + packet->length),
		.nla_type = NFQA_PAYLOAD,
	};

	_Static_assert(QUEUE_VERDICT_BYTES + 2 * sizeof(struct nlattr) +
				       sizeof(mark) <=
			       QUEUE_HEADROOM,
		       "the headers fit before the first message");
	nfq_nlmsg_verdict_put(netlink, (int)packet->id, (int)verdict);
	nfq_nlmsg_verdict_put_mark(netlink, mark);
	memcpy(packet->data - sizeof(payload), &payload, sizeof(payload));
	memset(packet->data + packet->length, 0, padding);
	netlink->nlmsg_len = (uint32_t)(head + packet->length + padding);
	return (struct iovec){ .iov_base = at, .iov_len = netlink->nlmsg_len };
}
