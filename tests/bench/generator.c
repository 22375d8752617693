/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sends small UDP packets by AF_PACKET, as fast as the path to a sink in
 * another network namespace takes them, and says how long that took.
 *
 * The last packet of each burst goes to a port where this program itself
 * listens, in the sink's namespace; at most WINDOW bursts are on their way at
 * any time. So the path is always busy, yet nothing is lost for want of room
 * in a queue: what is measured is work, not luck. All other packets are
 * dropped as they reach the sink (the caller's rule).
 *
 * With "flood" it never waits: what the path cannot take is lost, and the
 * caller counts what arrives.
 *
 * usage: generator DEVICE NEXT_HOP_MAC SOURCE DESTINATION SINK_NETNS
 *                  SECONDS FLOWS window|flood
 * Prints one JSON object: packets, lost (bursts whose end never came),
 * ns_per_packet, and cpu_ns_per_packet: this process's processor time, with
 * what the kernel did for packets meanwhile, without waiting.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAME_BYTES 64
#define BURST 64
#define WINDOW 8
#define FLOWS_MAX 16384
#define FIRST_PORT 20000
#define SINK_PORT 9000 /* dropped on arrival */
#define END_PORT 9001 /* ends a burst */
#define LOST_NS 200000000U

struct frame {
	struct ether_header ethernet;
	struct iphdr ip;
	struct udphdr udp;
	uint8_t payload[FRAME_BYTES - 42];
} __attribute__((packed));

struct generator {
	int out; /* AF_PACKET */
	int end; /* UDP, in the sink's namespace */
	unsigned flows, next_flow;
	bool flood; /* never wait */
	unsigned waiting; /* bursts on their way */
	struct frame frames[BURST];
	struct iovec bytes[BURST];
	struct mmsghdr messages[BURST];
	uint64_t packets, lost;
	uint64_t idle_ns; /* processor time spent on waiting */
};

static void die(const char *what)
{
	fprintf(stderr, "generator: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t read_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static uint32_t sum(const void *data, size_t length, uint32_t start)
{
	const uint8_t *bytes = data;

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

static void seal_udp(struct frame *frame)
{
	const size_t length = sizeof(frame->udp) + sizeof(frame->payload);
	uint32_t pseudo = IPPROTO_UDP + (uint32_t)length;

	pseudo = sum((const uint8_t *)frame + offsetof(struct frame, ip) +
			     offsetof(struct iphdr, saddr),
		     8, pseudo);
	frame->udp.check = 0;
	frame->udp.check =
		fold(sum((const uint8_t *)frame + offsetof(struct frame, udp),
			 length, pseudo));
}

static void make_frame(struct frame *frame, const struct frame *model,
		       uint16_t source, uint16_t destination)
{
	*frame = *model;
	frame->udp.source = htons(source);
	frame->udp.dest = htons(destination);
	seal_udp(frame);
}

static struct frame make_model(const char *mac, const char *from,
			       const char *to)
{
	struct frame model = {
		.ethernet.ether_type = htons(ETHERTYPE_IP),
		.ip = {
			.version = 4, .ihl = 5, .ttl = 64,
			.protocol = IPPROTO_UDP, .frag_off = htons(IP_DF),
			.tot_len = htons(FRAME_BYTES - 14),
		},
		.udp.len = htons(FRAME_BYTES - 34),
	};
	struct in_addr address;

	if (sscanf(mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx",
		   &model.ethernet.ether_dhost[0],
		   &model.ethernet.ether_dhost[1],
		   &model.ethernet.ether_dhost[2],
		   &model.ethernet.ether_dhost[3],
		   &model.ethernet.ether_dhost[4],
		   &model.ethernet.ether_dhost[5]) != 6)
		die(mac);
	if (inet_pton(AF_INET, from, &address) != 1)
		die(from);
	model.ip.saddr = address.s_addr;
	if (inet_pton(AF_INET, to, &address) != 1)
		die(to);
	model.ip.daddr = address.s_addr;
	model.ip.check =
		fold(sum((const uint8_t *)&model + offsetof(struct frame, ip),
			 sizeof(model.ip), 0));
	return model;
}

static int open_out(const char *device)
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

/* A socket keeps the namespace it was made in. */
static int open_end(const char *netns)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_port = htons(END_PORT),
	};
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int away = open(netns, O_RDONLY | O_CLOEXEC), fd;

	if (home < 0 || away < 0 || setns(away, CLONE_NEWNET))
		die(netns);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)))
		die("the sink's socket");
	if (setns(home, CLONE_NEWNET))
		die("going home");
	close(home);
	close(away);
	return fd;
}

/* Gives the frames of one burst the next source ports. */
static void make_burst(struct generator *generator, const struct frame *model)
{
	for (unsigned i = 0; i < BURST; i++) {
		bool last = i + 1 == BURST;
		uint16_t port = (uint16_t)(FIRST_PORT + generator->next_flow);

		make_frame(&generator->frames[i], model,
			   last ? FIRST_PORT : port,
			   last ? END_PORT : SINK_PORT);
		generator->next_flow =
			(generator->next_flow + 1) % generator->flows;
	}
}

static void prepare(struct generator *generator)
{
	for (unsigned i = 0; i < BURST; i++) {
		struct msghdr *header = &generator->messages[i].msg_hdr;

		generator->bytes[i].iov_base = &generator->frames[i];
		generator->bytes[i].iov_len = FRAME_BYTES;
		header->msg_iov = &generator->bytes[i];
		header->msg_iovlen = 1;
	}
}

static void send_burst(struct generator *generator)
{
	unsigned sent = 0;

	while (sent < BURST) {
		int count = sendmmsg(generator->out, generator->messages + sent,
				     BURST - sent, 0);

		if (count < 0 && errno != EINTR && errno != ENOBUFS)
			die("sendmmsg");
		sent += count > 0 ? (unsigned)count : 0;
	}
	generator->packets += sent;
	generator->waiting++;
}

static void drain(struct generator *generator)
{
	char buffer[FRAME_BYTES];

	while (recv(generator->end, buffer, sizeof(buffer), 0) > 0)
		if (generator->waiting)
			generator->waiting--;
}

/* Until fewer than `most` bursts are on their way. Waits without sleeping:
 * being woken takes time that is not the path's. */
static void await(struct generator *generator, unsigned most)
{
	uint64_t cpu, start;

	drain(generator);
	if (generator->waiting < most)
		return;
	cpu = read_ns(CLOCK_PROCESS_CPUTIME_ID);
	start = read_ns(CLOCK_MONOTONIC);
	while (generator->waiting >= most) {
		if (read_ns(CLOCK_MONOTONIC) - start > LOST_NS) {
			generator->lost += generator->waiting;
			generator->waiting = 0;
		}
		sched_yield();
		drain(generator);
	}
	generator->idle_ns += read_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
}

static void run(struct generator *generator, const struct frame *model,
		double seconds)
{
	bool fixed = generator->flows < BURST;
	uint64_t start = read_ns(CLOCK_MONOTONIC), spent = 0, cpu;

	/* The first one opens the path: neighbours, mappings, page faults. */
	make_burst(generator, model);
	prepare(generator);
	send_burst(generator);
	await(generator, 1);
	generator->packets = generator->lost = generator->idle_ns = 0;
	cpu = read_ns(CLOCK_PROCESS_CPUTIME_ID);
	start = read_ns(CLOCK_MONOTONIC);
	while ((double)spent < seconds * 1e9) {
		if (!fixed)
			make_burst(generator, model);
		send_burst(generator);
		if (!generator->flood)
			await(generator, WINDOW);
		spent = read_ns(CLOCK_MONOTONIC) - start;
	}
	if (!generator->flood)
		await(generator, 1);
	spent = read_ns(CLOCK_MONOTONIC) - start;
	cpu = read_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu - generator->idle_ns;
	printf("{\"packets\": %" PRIu64 ", \"lost\": %" PRIu64
	       ", \"ns_per_packet\": %.1f, \"cpu_ns_per_packet\": %.1f}\n",
	       generator->packets, generator->lost,
	       (double)spent / (double)generator->packets,
	       (double)cpu / (double)generator->packets);
}

static unsigned number(const char *text, unsigned max)
{
	char *rest;
	unsigned long value = strtoul(text, &rest, 10);

	if (*rest || !value || value > max) {
		errno = EINVAL;
		die(text);
	}
	return (unsigned)value;
}

int main(int argc, char **argv)
{
	static struct generator generator; /* large */
	struct frame model;

	if (argc != 9) {
		fprintf(stderr, "usage: generator DEVICE NEXT_HOP_MAC SOURCE "
				"DESTINATION SINK_NETNS SECONDS FLOWS "
				"window|flood\n");
		return 2;
	}
	generator.flood = !strcmp(argv[8], "flood");
	model = make_model(argv[2], argv[3], argv[4]);
	generator.flows = number(argv[7], FLOWS_MAX);
	generator.out = open_out(argv[1]);
	generator.end = open_end(argv[5]);
	run(&generator, &model, strtod(argv[6], NULL));
	return generator.lost * BURST * 100 > generator.packets;
}
