/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How long a datagram takes to the server and back, and what the processors
 * have to do for a fixed rate of packets.
 *
 * One thread sends, answers and receives without ever sleeping: no wake-up is
 * measured but the gateway's own. With -r small packets of many flows are sent
 * meanwhile, one at a time and evenly spaced, which is the dearest way for who
 * could otherwise take many at once.
 *
 * usage: roundtrip -w WAY -i HOST_NETNS -s SINK_NETNS -h HOST -d SERVER
 *                  -n FLOWS -t SECONDS [-r PACKETS_PER_SECOND] [-q]
 * WAY is NETNS,DEVICE,NEXT_HOP_MAC. -q: no probes. Prints one JSON object:
 * rtt_ns (sorted), lost, packets, cpu_ns_per_packet of sending them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/traffic.h"

#define PROBE_NS 250000U /* from one probe's begin to the next one's */
#define LOST_NS 100000000U
#define PROBES_MAX 400000U
#define RATE_MAX 1000000U
#define BEHIND_NS 1000000U /* what cannot be sent in time is not made up for */

struct roundtrip {
	struct way way;
	struct burst burst;
	struct flows flows;
	int inside, outside; /* the probe's two ends */
	uint32_t server;
	bool quiet;
	uint64_t duration_ns, interval_ns; /* between packets of the load */
	uint64_t sent_ns; /* of the probe on its way; 0: none */
	uint32_t number; /* of that probe, or the next one */
	uint64_t packets, cpu_ns;
	uint32_t count, lost;
	uint32_t rtt_ns[PROBES_MAX];
};

static void send_probe(struct roundtrip *trip)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(trip->server),
		.sin_port = htons(PROBE_PORT),
	};

	trip->number++;
	trip->sent_ns = read_ns(CLOCK_MONOTONIC);
	if (sendto(trip->inside, &trip->number, sizeof(trip->number), 0,
		   (const struct sockaddr *)&to, sizeof(to)) < 0)
		die("the probe");
}

/* At the outside end: back to where it came from. */
static void answer(struct roundtrip *trip)
{
	struct sockaddr_in from;
	socklen_t length = sizeof(from);
	uint32_t probe;

	if (recvfrom(trip->outside, &probe, sizeof(probe), 0,
		     (struct sockaddr *)&from, &length) == sizeof(probe) &&
	    sendto(trip->outside, &probe, sizeof(probe), 0,
		   (const struct sockaddr *)&from, length) < 0)
		die("the answer");
}

static void take_probe(struct roundtrip *trip)
{
	uint32_t probe;

	if (recv(trip->inside, &probe, sizeof(probe), 0) != sizeof(probe) ||
	    probe != trip->number || !trip->sent_ns)
		return;
	if (trip->count < PROBES_MAX)
		trip->rtt_ns[trip->count++] =
			(uint32_t)(read_ns(CLOCK_MONOTONIC) - trip->sent_ns);
	trip->sent_ns = 0;
}

static void probe(struct roundtrip *trip, uint64_t now, uint64_t *next)
{
	answer(trip);
	take_probe(trip);
	if (trip->sent_ns && now - trip->sent_ns > LOST_NS) {
		trip->lost++;
		trip->sent_ns = 0;
	}
	if (!trip->sent_ns && now >= *next) {
		send_probe(trip);
		*next = now + PROBE_NS;
	}
}

static void send_load(struct roundtrip *trip, uint64_t now, uint64_t *next)
{
	uint64_t cpu;

	if (now < *next)
		return;
	burst_make(&trip->burst, &trip->flows, 1, 0);
	cpu = read_ns(CLOCK_THREAD_CPUTIME_ID);
	burst_send(&trip->burst, &trip->way, 1);
	trip->cpu_ns += read_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	trip->packets++;
	*next += trip->interval_ns;
	if (*next + BEHIND_NS < now)
		*next = now;
}

static void run(struct roundtrip *trip)
{
	uint64_t now = read_ns(CLOCK_MONOTONIC), end = now + trip->duration_ns;
	uint64_t next_probe = now, next_load = now;

	for (; now < end; now = read_ns(CLOCK_MONOTONIC)) {
		if (trip->interval_ns)
			send_load(trip, now, &next_load);
		if (!trip->quiet)
			probe(trip, now, &next_probe);
	}
}

static int compare(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

static void print(struct roundtrip *trip)
{
	qsort(trip->rtt_ns, trip->count, sizeof(trip->rtt_ns[0]), compare);
	printf("{\"packets\": %" PRIu64 ", \"cpu_ns_per_packet\": %.1f, "
	       "\"lost\": %u, \"rtt_ns\": [",
	       trip->packets,
	       trip->packets ? (double)trip->cpu_ns / (double)trip->packets : 0,
	       trip->lost);
	for (uint32_t i = 0; i < trip->count; i++)
		printf("%s%u", i ? ", " : "", trip->rtt_ns[i]);
	printf("]}\n");
}

static _Noreturn void usage(void)
{
	fprintf(stderr,
		"usage: roundtrip -w WAY -i HOST_NETNS -s SINK_NETNS -h HOST "
		"-d SERVER -n FLOWS -t SECONDS [-r PACKETS_PER_SECOND] [-q]\n");
	exit(2);
}

struct options {
	const char *way, *inside, *sink;
	uint32_t count, rate;
};

static void parse(struct roundtrip *trip, struct options *options, int argc,
		  char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "w:i:s:h:d:n:t:r:q")) != -1)
		switch (option) {
		case 'w':
			options->way = optarg;
			break;
		case 'i':
			options->inside = optarg;
			break;
		case 's':
			options->sink = optarg;
			break;
		case 'h':
			trip->flows.first_host = address(optarg);
			break;
		case 'd':
			trip->server = address(optarg);
			break;
		case 'n':
			options->count = number(optarg, MAPPINGS_MAX);
			break;
		case 't':
			trip->duration_ns =
				(uint64_t)(strtod(optarg, NULL) * 1e9);
			break;
		case 'r':
			options->rate = number(optarg, RATE_MAX);
			break;
		case 'q':
			trip->quiet = true;
			break;
		default:
			usage();
		}
}

int main(int argc, char **argv)
{
	static struct roundtrip trip; /* large */
	struct options options = { .rate = 0 };

	parse(&trip, &options, argc, argv);
	if (optind < argc || !options.way || !options.inside || !options.sink ||
	    !options.count)
		usage();
	trip.interval_ns = options.rate ? 1000000000U / options.rate : 0;
	trip.flows.destination = trip.server;
	trip.flows.mappings = MAPPINGS_MAX;
	flows_set(&trip.flows, 0, options.count);
	trip.way = way_open(options.way);
	burst_init(&trip.burst, &trip.way);
	trip.inside = netns_udp(options.inside, INADDR_ANY, 0);
	trip.outside = netns_udp(options.sink, trip.server, PROBE_PORT);
	run(&trip);
	print(&trip);
	return 0;
}
