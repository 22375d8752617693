/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the bench's programs share: frames of small UDP datagrams of many
 * flows, sockets in other network namespaces, clocks.
 */
#ifndef PORTICO_TESTS_BENCH_TRAFFIC_H
#define PORTICO_TESTS_BENCH_TRAFFIC_H

#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

#define FRAME_BYTES 64
#define BURST 64
#define SINK_PORT 9000 /* dropped on arrival */
#define END_PORT 9001 /* received: ends a burst */
#define PROBE_PORT 9002 /* received and answered */
/* Flow n is that of port FIRST_PORT + n of host number n / PORTS_PER_HOST. */
#define FIRST_PORT 1024U
#define PORTS_PER_HOST 1000U
#define MAPPINGS_MAX 60000U

struct frame {
	struct ether_header ethernet;
	struct iphdr ip;
	struct udphdr udp;
	uint8_t payload[FRAME_BYTES - 42];
} __attribute__((packed));

/* Where frames go out, and to whom. */
struct way {
	int fd; /* AF_PACKET, without a queueing discipline */
	uint8_t mac[6]; /* of the next hop */
};

struct flows {
	uint32_t first_host; /* host order, as all addresses here */
	uint32_t destination;
	uint32_t mappings; /* inside sockets */
	/* Flow n has inside socket n % mappings and, beyond one peer each,
	 * peer n / mappings behind first_peer. */
	uint32_t first_peer;
	/* Flows first .. first + count - 1, in a stride that meets them all. */
	uint32_t first, count, step, next;
};

struct burst {
	struct frame frames[BURST];
	struct iovec bytes[BURST];
	struct mmsghdr messages[BURST];
};

_Noreturn void die(const char *what);
uint64_t read_ns(clockid_t clock);
uint32_t number(const char *text, uint32_t most);
uint32_t address(const char *text);

/* A socket keeps the namespace it was made in: go there, make it, return. */
int netns_go(const char *name);
void netns_return(int home);
int netns_udp(const char *netns, uint32_t at, uint16_t port);

/* text: NETNS,DEVICE,NEXT_HOP_MAC */
struct way way_open(const char *text);
/* /proc/net/dev of a namespace, to be asked again and again. */
int counter_open(const char *netns);
/* Packets that the device received. */
uint64_t counter_read(int fd, const char *device);

void flows_set(struct flows *flows, uint32_t first, uint32_t count);
void burst_init(struct burst *burst, const struct way *way);
/* The next `count` flows; the burst's last frame instead goes to `last_port`
 * of the destination, by the first flow, unless that is 0. */
void burst_make(struct burst *burst, struct flows *flows, unsigned count,
		uint16_t last_port);
void burst_send(struct burst *burst, const struct way *way, unsigned count);

#endif
