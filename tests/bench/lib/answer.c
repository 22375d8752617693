/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "answer.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <string.h>

#include "traffic.h"

/* A window of packets, as the kernel accounts for them, and more. */
#define ROOM_BYTES (8 << 20)

struct answers {
	struct frame frames[BURST];
	struct iovec bytes[BURST];
	struct mmsghdr messages[BURST];
};

int answer_open(const char *netns, const char *device)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_IP) };
	int home = netns_go(netns), room = ROOM_BYTES, on = 1, fd;

	at.sll_ifindex = (int)if_nametoindex(device);
	/* Without a protocol it hears nothing until it is bound. */
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || !at.sll_ifindex ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) ||
	    bind(fd, (const struct sockaddr *)&at, sizeof(at)))
		die(device);
	netns_return(home);
	return fd;
}

static int is_ours(const struct frame *frame, unsigned length)
{
	uint16_t port = ntohs(frame->udp.dest);

	return length == FRAME_BYTES && frame->ip.protocol == IPPROTO_UDP &&
	       (port == SINK_PORT || port == END_PORT);
}

/* Sums stay what they are when halves change places. */
static void turn_round(struct frame *frame)
{
	uint8_t mac[ETH_ALEN];
	uint32_t address = frame->ip.saddr;
	uint16_t port = frame->udp.source;

	memcpy(mac, frame->ethernet.ether_shost, ETH_ALEN);
	memcpy(frame->ethernet.ether_shost, frame->ethernet.ether_dhost,
	       ETH_ALEN);
	memcpy(frame->ethernet.ether_dhost, mac, ETH_ALEN);
	frame->ip.saddr = frame->ip.daddr;
	frame->ip.daddr = address;
	frame->udp.source = frame->udp.dest;
	frame->udp.dest = port;
}

static void send_back(int fd, struct answers *answers, unsigned count)
{
	unsigned sent = 0;

	while (sent < count) {
		int now =
			sendmmsg(fd, answers->messages + sent, count - sent, 0);

		if (now < 0 && errno != EINTR && errno != ENOBUFS &&
		    errno != EAGAIN)
			die("answering");
		sent += now > 0 ? (unsigned)now : 0;
	}
}

static unsigned keep_ours(struct answers *answers, unsigned came)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < came; i++) {
		if (!is_ours(&answers->frames[i], answers->messages[i].msg_len))
			continue;
		if (kept != i)
			answers->frames[kept] = answers->frames[i];
		turn_round(&answers->frames[kept++]);
	}
	return kept;
}

uint64_t answer_all(int fd)
{
	static struct answers answers; /* large */
	uint64_t count = 0;
	int came;

	for (unsigned i = 0; i < BURST; i++) {
		struct msghdr *header = &answers.messages[i].msg_hdr;

		answers.bytes[i].iov_base = &answers.frames[i];
		answers.bytes[i].iov_len = FRAME_BYTES;
		header->msg_iov = &answers.bytes[i];
		header->msg_iovlen = 1;
	}
	while ((came = recvmmsg(fd, answers.messages, BURST, MSG_DONTWAIT,
				NULL)) > 0) {
		unsigned kept = keep_ours(&answers, (unsigned)came);

		send_back(fd, &answers, kept);
		count += kept;
	}
	if (came < 0 && errno != EAGAIN && errno != EINTR)
		die("what is to be answered");
	return count;
}
