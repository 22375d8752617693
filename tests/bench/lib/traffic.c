/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "traffic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STRIDE 7919U /* a prime: coprime to every count that it exceeds not */
#define UDP_LENGTH (FRAME_BYTES - 34)

_Noreturn void die(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

uint64_t read_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

uint32_t number(const char *text, uint32_t most)
{
	char *rest;
	unsigned long value = strtoul(text, &rest, 10);

	if (*rest || rest == text || value > most) {
		errno = EINVAL;
		die(text);
	}
	return (uint32_t)value;
}

uint32_t address(const char *text)
{
	struct in_addr value;

	if (inet_pton(AF_INET, text, &value) != 1)
		die(text);
	return ntohl(value.s_addr);
}

/* --- namespaces ---------------------------------------------------------- */

int netns_go(const char *name)
{
	char path[128];
	int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), away;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	away = open(path, O_RDONLY | O_CLOEXEC);
	if (home < 0 || away < 0 || setns(away, CLONE_NEWNET))
		die(path);
	close(away);
	return home;
}

void netns_return(int home)
{
	if (setns(home, CLONE_NEWNET))
		die("going home");
	close(home);
}

int netns_udp(const char *netns, uint32_t at, uint16_t port)
{
	struct sockaddr_in name = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(at),
		.sin_port = htons(port),
	};
	int home = netns_go(netns);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&name, sizeof(name)))
		die("a UDP socket");
	netns_return(home);
	return fd;
}

struct way way_open(const char *text)
{
	char netns[64], device[IF_NAMESIZE];
	struct sockaddr_ll to = { .sll_family = AF_PACKET };
	struct way way;
	int home, on = 1;

	if (sscanf(text, "%63[^,],%15[^,],%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", netns,
		   device, &way.mac[0], &way.mac[1], &way.mac[2], &way.mac[3],
		   &way.mac[4], &way.mac[5]) != 8) {
		errno = EINVAL;
		die(text);
	}
	home = netns_go(netns);
	to.sll_ifindex = (int)if_nametoindex(device);
	way.fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (way.fd < 0 || !to.sll_ifindex ||
	    bind(way.fd, (const struct sockaddr *)&to, sizeof(to)) ||
	    setsockopt(way.fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on,
		       sizeof(on)))
		die(text);
	netns_return(home);
	return way;
}

/* --- what arrived -------------------------------------------------------- */

int counter_open(const char *netns)
{
	int home = netns_go(netns);
	int fd = open("/proc/thread-self/net/dev", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("/proc/net/dev");
	netns_return(home);
	return fd;
}

uint64_t counter_read(int fd, const char *device)
{
	char text[4096], name[IF_NAMESIZE + 2];
	ssize_t length = pread(fd, text, sizeof(text) - 1, 0);
	unsigned long long bytes, packets;
	const char *line;

	if (length < 0)
		die("/proc/net/dev");
	text[length] = '\0';
	snprintf(name, sizeof(name), "%s:", device);
	line = strstr(text, name);
	if (!line ||
	    sscanf(line + strlen(name), "%llu %llu", &bytes, &packets) != 2) {
		errno = ENODEV;
		die(device);
	}
	return packets;
}

/* --- frames -------------------------------------------------------------- */

static uint32_t sum(const void *data, size_t length, uint32_t start)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i + 1 < length; i += 2)
		start += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	return start;
}

static uint16_t fold(uint32_t value)
{
	value = (value & 0xffff) + (value >> 16);
	value = (value & 0xffff) + (value >> 16);
	return htons((uint16_t)~value);
}

static uint32_t halves(uint32_t value)
{
	return (value & 0xffff) + (value >> 16);
}

void flows_set(struct flows *flows, uint32_t first, uint32_t count)
{
	flows->first = first;
	flows->count = count;
	flows->step = count % STRIDE ? STRIDE % count : 1;
	flows->next = 0;
}

void burst_init(struct burst *burst, const struct way *way)
{
	struct frame model = {
		.ethernet.ether_type = htons(ETHERTYPE_IP),
		.ip = {
			.version = 4, .ihl = 5, .ttl = 64,
			.protocol = IPPROTO_UDP, .frag_off = htons(IP_DF),
			.tot_len = htons(FRAME_BYTES - 14),
		},
		.udp.len = htons(UDP_LENGTH),
	};

	memcpy(model.ethernet.ether_dhost, way->mac, sizeof(way->mac));
	for (unsigned i = 0; i < BURST; i++) {
		struct msghdr *header = &burst->messages[i].msg_hdr;

		burst->frames[i] = model;
		burst->bytes[i].iov_base = &burst->frames[i];
		burst->bytes[i].iov_len = FRAME_BYTES;
		header->msg_iov = &burst->bytes[i];
		header->msg_iovlen = 1;
	}
}

/* All else is the same in every frame, so its sum is as well. */
static void make_frame(struct frame *frame, const struct flows *flows,
		       uint32_t flow, uint16_t port)
{
	uint32_t mapping = flow % flows->mappings;
	uint32_t peer = flow / flows->mappings;
	uint32_t source = flows->first_host + mapping / PORTS_PER_HOST;
	uint32_t destination = peer ? flows->first_peer + peer :
				      flows->destination;
	uint16_t from = (uint16_t)(FIRST_PORT + mapping);
	uint32_t addresses = halves(source) + halves(destination);

	frame->ip.saddr = htonl(source);
	frame->ip.daddr = htonl(destination);
	frame->ip.check = 0;
	frame->ip.check = fold(sum(&frame->ip, 12, addresses));
	frame->udp.source = htons(from);
	frame->udp.dest = htons(port);
	frame->udp.check =
		fold(addresses + IPPROTO_UDP + 2U * UDP_LENGTH + from + port);
}

void burst_make(struct burst *burst, struct flows *flows, unsigned count,
		uint16_t last_port)
{
	unsigned ordinary = count - (last_port != 0);

	for (unsigned i = 0; i < ordinary; i++) {
		make_frame(&burst->frames[i], flows, flows->first + flows->next,
			   SINK_PORT);
		flows->next += flows->step;
		if (flows->next >= flows->count)
			flows->next -= flows->count;
	}
	if (last_port)
		make_frame(&burst->frames[ordinary], flows, flows->first,
			   last_port);
}

void burst_send(struct burst *burst, const struct way *way, unsigned count)
{
	unsigned sent = 0;

	while (sent < count) {
		int now = sendmmsg(way->fd, burst->messages + sent,
				   count - sent, 0);

		if (now < 0 && errno != EINTR && errno != ENOBUFS)
			die("sendmmsg");
		sent += now > 0 ? (unsigned)now : 0;
	}
}
