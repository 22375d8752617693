/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sends packets from ever different sources by AF_PACKET: what the outside's
 * worst can do, bounded in number and rate.
 *
 *   udp     datagrams
 *   syn     SYNs
 *   orphan  the last fragments of datagrams whose others never come
 *
 * usage: flood DEVICE NEXT_HOP_MAC udp|syn|orphan DESTINATION PORT,PORT...
 *              PACKETS PACKETS_PER_SECOND [SOURCE]
 * SOURCE: all come from this address, by ever different ports.
 * Prints one JSON object: packets, seconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#define BURST 32
#define PORTS_MAX 16
#define PACKETS_MAX 100000000U
#define RATE_MAX 10000000U
#define FIRST_SOURCE 0x08000000U /* 8.0.0.0 */
#define SOURCE_STEP 13U
#define PAYLOAD 18
/* In the offset field's units of 8 bytes: behind 1480 bytes. */
#define ORPHAN_OFFSET 185

enum kind { UDP, SYN, ORPHAN };

struct frame {
	struct ether_header ethernet;
	struct iphdr ip;
	union {
		struct udphdr udp;
		struct tcphdr tcp;
		uint8_t bytes[8 + PAYLOAD];
	} l4;
} __attribute__((packed));

struct flood {
	int fd;
	enum kind kind;
	bool one_source;
	struct frame model;
	uint16_t ports[PORTS_MAX];
	unsigned port_count;
	struct frame frames[BURST];
	struct iovec bytes[BURST];
	struct mmsghdr messages[BURST];
};

static void die(const char *what)
{
	fprintf(stderr, "flood: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* --- checksums ----------------------------------------------------------- */

static uint32_t sum(const uint8_t *bytes, size_t length, uint32_t start)
{
	for (size_t i = 0; i + 1 < length; i += 2)
		start += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	return start;
}

static uint16_t fold(uint32_t value)
{
	while (value >> 16)
		value = (value & 0xffff) + (value >> 16);
	return htons((uint16_t)~value);
}

static uint16_t ip_checksum(const struct frame *frame)
{
	return fold(sum((const uint8_t *)frame + offsetof(struct frame, ip),
			sizeof(frame->ip), 0));
}

static uint16_t l4_checksum(const struct frame *frame)
{
	const uint8_t *bytes = (const uint8_t *)frame;
	size_t length = sizeof(frame->l4);
	uint32_t pseudo = sum(bytes + offsetof(struct frame, ip.saddr), 8,
			      (uint32_t)frame->ip.protocol + (uint32_t)length);

	return fold(sum(bytes + offsetof(struct frame, l4), length, pseudo));
}

/* --- frames -------------------------------------------------------------- */

static void make_frame(const struct flood *flood, struct frame *frame,
		       uint32_t number)
{
	uint16_t source = htons((uint16_t)(1024 + number % 60000));
	uint16_t target = htons(flood->ports[number % flood->port_count]);

	*frame = flood->model;
	if (!flood->one_source)
		frame->ip.saddr = htonl(FIRST_SOURCE + number * SOURCE_STEP);
	frame->ip.id = htons((uint16_t)number);
	frame->ip.check = ip_checksum(frame);
	if (flood->kind == UDP) {
		frame->l4.udp.source = source;
		frame->l4.udp.dest = target;
		frame->l4.udp.check = l4_checksum(frame);
	} else if (flood->kind == SYN) {
		frame->l4.tcp.source = source;
		frame->l4.tcp.dest = target;
		frame->l4.tcp.seq = htonl(number);
		frame->l4.tcp.check = l4_checksum(frame);
	}
}

static in_addr_t ipv4(const char *text)
{
	struct in_addr address;

	if (inet_pton(AF_INET, text, &address) != 1)
		die(text);
	return address.s_addr;
}

static void set_addresses(struct frame *model, const char *mac, const char *to)
{
	uint8_t *host = model->ethernet.ether_dhost;

	if (sscanf(mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &host[0], &host[1],
		   &host[2], &host[3], &host[4], &host[5]) != 6)
		die(mac);
	model->ip.daddr = ipv4(to);
}

/* A bridge takes nothing from nobody. */
static void set_own_mac(struct frame *model, int fd, const char *device)
{
	struct ifreq request = { 0 };

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
	if (ioctl(fd, SIOCGIFHWADDR, &request))
		die(device);
	memcpy(model->ethernet.ether_shost, request.ifr_hwaddr.sa_data,
	       ETH_ALEN);
}

static void make_model(struct flood *flood, const char *mac, const char *to)
{
	struct frame *model = &flood->model;

	*model = (struct frame){
		.ethernet.ether_type = htons(ETHERTYPE_IP),
		.ip = { .version = 4,
			.ihl = 5,
			.ttl = 60,
			.protocol = flood->kind == SYN ? IPPROTO_TCP :
							 IPPROTO_UDP,
			.tot_len = htons(sizeof(*model) -
					 sizeof(model->ethernet)) },
	};
	set_addresses(model, mac, to);
	if (flood->kind == UDP)
		model->l4.udp.len = htons(sizeof(model->l4));
	else if (flood->kind == ORPHAN)
		model->ip.frag_off = htons(ORPHAN_OFFSET);
	else
		model->l4.tcp = (struct tcphdr){ .doff = 5,
						 .syn = 1,
						 .window = htons(1000) };
}

/* --- sending --------------------------------------------------------------- */

static int open_device(const char *device)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex(device),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || !to.sll_ifindex ||
	    bind(fd, (const struct sockaddr *)&to, sizeof(to)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)))
		die(device);
	return fd;
}

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void wait_until(uint64_t when_ns)
{
	const struct timespec when = {
		.tv_sec = (time_t)(when_ns / 1000000000U),
		.tv_nsec = (long)(when_ns % 1000000000U),
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) ==
	       EINTR)
		;
}

static void send_burst(struct flood *flood, uint32_t first, unsigned count)
{
	unsigned sent = 0;

	for (unsigned i = 0; i < count; i++)
		make_frame(flood, &flood->frames[i], first + i);
	while (sent < count) {
		int done = sendmmsg(flood->fd, flood->messages + sent,
				    count - sent, 0);

		if (done < 0 && errno != EINTR && errno != ENOBUFS)
			die("sendmmsg");
		sent += done > 0 ? (unsigned)done : 0;
	}
}

/* A machine that was late does not hurry afterwards: what it missed by more
 * than a burst is not made up for. */
static void run(struct flood *flood, uint32_t packets, uint32_t rate)
{
	const uint64_t step = (uint64_t)BURST * 1000000000U / rate;
	uint64_t start = clock_ns(), due = start;

	for (unsigned i = 0; i < BURST; i++) {
		struct msghdr *header = &flood->messages[i].msg_hdr;

		flood->bytes[i].iov_base = &flood->frames[i];
		flood->bytes[i].iov_len = sizeof(flood->frames[i]);
		header->msg_iov = &flood->bytes[i];
		header->msg_iovlen = 1;
	}
	for (uint32_t at = 0; at < packets; at += BURST) {
		uint64_t now = clock_ns();

		if (now < due)
			wait_until(due);
		else if (now > due + step)
			due = now - step;
		due += step;
		send_burst(flood, at,
			   packets - at < BURST ? packets - at : BURST);
	}
	printf("{\"packets\": %" PRIu32 ", \"seconds\": %.3f}\n", packets,
	       (double)(clock_ns() - start) / 1e9);
}

/* --- arguments ---------------------------------------------------------------- */

static uint32_t number(const char *text, uint32_t max)
{
	char *rest;
	unsigned long value = strtoul(text, &rest, 10);

	if (*rest || !value || value > max) {
		errno = EINVAL;
		die(text);
	}
	return (uint32_t)value;
}

static void read_ports(struct flood *flood, char *list)
{
	char *word;

	while ((word = strsep(&list, ",")) && flood->port_count < PORTS_MAX)
		flood->ports[flood->port_count++] =
			(uint16_t)number(word, 65535);
}

static enum kind read_kind(const char *word)
{
	static const char *const kinds[] = {
		[UDP] = "udp", [SYN] = "syn", [ORPHAN] = "orphan"
	};

	for (int i = UDP; i <= ORPHAN; i++)
		if (!strcmp(word, kinds[i]))
			return (enum kind)i;
	errno = EINVAL;
	die(word);
	return UDP;
}

int main(int argc, char **argv)
{
	static struct flood flood; /* large */

	if (argc != 8 && argc != 9) {
		fprintf(stderr,
			"usage: flood DEVICE NEXT_HOP_MAC udp|syn|orphan "
			"DESTINATION PORT,PORT... PACKETS "
			"PACKETS_PER_SECOND [SOURCE]\n");
		return 2;
	}
	flood.fd = open_device(argv[1]);
	flood.kind = read_kind(argv[3]);
	make_model(&flood, argv[2], argv[4]);
	set_own_mac(&flood.model, flood.fd, argv[1]);
	flood.one_source = argc == 9;
	if (flood.one_source)
		flood.model.ip.saddr = ipv4(argv[8]);
	read_ports(&flood, argv[5]);
	run(&flood, number(argv[6], PACKETS_MAX), number(argv[7], RATE_MAX));
	return 0;
}
