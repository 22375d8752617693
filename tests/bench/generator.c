/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sends small UDP packets by AF_PACKET to a sink in another network namespace
 * and says what a packet took.
 *
 *   flood   never waits: what the path cannot take is lost. The time is divided
 *           by what the sink's device received in it, while the path was full.
 *   window  the last packet of each burst goes to a port where this program
 *           itself listens, in the sink's namespace; at most WINDOW bursts are
 *           on their way. So the path is always busy, yet nothing is lost for
 *           want of room in a queue.
 *   open    sends each flow once, in the window's manner, CHUNK by CHUNK.
 *   answer  sends each flow once a turn, and the sink answers every packet: for
 *           what a gateway does only after traffic both ways. Measures nothing.
 *
 * With -o the same is done in turns on a second way, which has no gateway
 * between: what is measured there is the generator's and the sink's own share.
 *
 * usage: generator -w WAY [-o WAY] -s SINK_NETNS -D SINK_DEVICE -h FIRST_HOST
 *                  -d DESTINATION [-p FIRST_PEER] [-m MAPPINGS] [-f FIRST]
 *                  -n FLOWS [-t SECONDS] [-r TURNS]
 *                  flood|window|open|answer
 * WAY is NETNS,DEVICE,NEXT_HOP_MAC. Prints one JSON object: arrays with a value
 * for each turn: via and own, ns a packet; via_cpu and own_cpu: this process's
 * processor time, with what the kernel did for packets meanwhile, without
 * waiting; packets that came by the gateway; lost; stalled: turns in which none
 * came.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/answer.h"
#include "lib/traffic.h"

#define WINDOW 8
/* Packets that the sink has not seen. With its answers behind them, which
 * nobody waits for, they find room in any queue. */
#define UNANSWERED_MAX (2U * BURST)
#define CHUNK 5000U
#define TURNS_MAX 128U
#define FLOWS_MAX 600000U
#define LOST_NS 200000000U
#define WARM_NS 4000000U /* until the path is full */
#define DRAIN_US 15000 /* until it is empty again */

enum side { VIA, OWN, SIDES };

struct sample {
	double ns, cpu_ns; /* a packet */
	uint64_t packets, lost;
};

struct generator {
	struct way ways[SIDES];
	struct burst bursts[SIDES];
	int end; /* UDP, in the sink's namespace */
	int counter;
	const char *sink_device;
	struct flows flows;
	int answerer; /* a packet socket at the sink's device */
	uint64_t answered;
	unsigned waiting; /* bursts on their way */
	uint64_t lost; /* packets */
	unsigned stalled; /* turns in which nothing arrived */
	uint64_t idle_ns; /* processor time spent on waiting */
	uint64_t duration_ns;
	uint32_t unopened; /* flows */
};

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
			generator->lost += (uint64_t)generator->waiting * BURST;
			generator->waiting = 0;
		}
		sched_yield();
		drain(generator);
	}
	generator->idle_ns += read_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
}

static void send_ended(struct generator *generator, enum side side,
		       unsigned count)
{
	burst_make(&generator->bursts[side], &generator->flows, count,
		   END_PORT);
	burst_send(&generator->bursts[side], &generator->ways[side], count);
	generator->waiting++;
}

static void send_for(struct generator *generator, enum side side,
		     uint64_t duration_ns)
{
	uint64_t start = read_ns(CLOCK_MONOTONIC);

	do {
		burst_make(&generator->bursts[side], &generator->flows, BURST,
			   0);
		burst_send(&generator->bursts[side], &generator->ways[side],
			   BURST);
	} while (read_ns(CLOCK_MONOTONIC) - start < duration_ns);
}

static struct sample flood(struct generator *generator, enum side side)
{
	struct sample sample = { .lost = 0 };
	uint64_t start, cpu, before;

	send_for(generator, side, WARM_NS);
	before = counter_read(generator->counter, generator->sink_device);
	start = read_ns(CLOCK_MONOTONIC);
	cpu = read_ns(CLOCK_PROCESS_CPUTIME_ID);
	send_for(generator, side, generator->duration_ns);
	cpu = read_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	start = read_ns(CLOCK_MONOTONIC) - start;
	sample.packets =
		counter_read(generator->counter, generator->sink_device) -
		before;
	if (!sample.packets) {
		generator->stalled++;
		sample.packets = 1;
	}
	sample.ns = (double)start / (double)sample.packets;
	sample.cpu_ns = (double)cpu / (double)sample.packets;
	usleep(DRAIN_US);
	return sample;
}

/* At least `packets`, and for as long as `duration_ns`. */
static struct sample windowed(struct generator *generator, enum side side,
			      uint64_t packets, uint64_t duration_ns)
{
	struct sample sample = { .packets = 0 };
	uint64_t start, cpu, spent = 0, left = packets;

	drain(generator);
	generator->waiting = 0;
	generator->lost = generator->idle_ns = 0;
	cpu = read_ns(CLOCK_PROCESS_CPUTIME_ID);
	start = read_ns(CLOCK_MONOTONIC);
	while (left || spent < duration_ns) {
		unsigned flows = left && left < BURST ? (unsigned)left :
							BURST - 1;

		send_ended(generator, side, flows + 1);
		sample.packets += flows;
		left -= left ? flows : 0;
		await(generator, WINDOW);
		spent = read_ns(CLOCK_MONOTONIC) - start;
	}
	await(generator, 1);
	spent = read_ns(CLOCK_MONOTONIC) - start;
	cpu = read_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu - generator->idle_ns;
	sample.lost = generator->lost;
	sample.ns = (double)spent / (double)sample.packets;
	sample.cpu_ns = (double)cpu / (double)sample.packets;
	return sample;
}

static struct sample window(struct generator *generator, enum side side)
{
	windowed(generator, side, 2 * BURST, 0); /* neighbours, page faults */
	return windowed(generator, side, 0, generator->duration_ns);
}

static struct sample open_chunk(struct generator *generator, enum side side)
{
	uint32_t chunk = generator->unopened < CHUNK ? generator->unopened :
						       CHUNK;

	generator->unopened -= chunk;
	return windowed(generator, side, chunk, 0);
}

/* Until no more than `most` of those that were sent are not answered. A burst's
 * last packet says nothing here: it may take another way than the others. */
static void await_answers(struct generator *generator, uint64_t sent,
			  uint64_t most)
{
	uint64_t start = read_ns(CLOCK_MONOTONIC);

	for (;;) {
		generator->answered += answer_all(generator->answerer);
		if (sent <= generator->answered + most)
			return;
		if (read_ns(CLOCK_MONOTONIC) - start > LOST_NS) {
			generator->lost += sent - generator->answered;
			generator->answered = sent;
			return;
		}
		sched_yield();
	}
}

/* The port that ends bursts is answered, too. */
static struct sample answered(struct generator *generator, enum side side)
{
	struct sample sample = { .packets = generator->flows.count };
	uint64_t sent = 0;
	uint32_t left = generator->flows.count;

	generator->lost = generator->answered = 0;
	while (left) {
		uint32_t flows = left < BURST ? left : BURST - 1;

		send_ended(generator, side, flows + 1);
		sent += flows + 1;
		left -= flows;
		await_answers(generator, sent, UNANSWERED_MAX);
	}
	await_answers(generator, sent, 0);
	usleep(DRAIN_US);
	sample.lost = generator->lost;
	return sample;
}

static const struct manner {
	const char *name;
	struct sample (*take)(struct generator *generator, enum side side);
} manners[] = {
	{ "flood", flood },
	{ "window", window },
	{ "open", open_chunk },
	{ "answer", answered },
};
#define MANNERS (sizeof(manners) / sizeof(manners[0]))

static void print_array(const char *name, struct sample (*samples)[SIDES],
			unsigned turns, enum side side, bool cpu)
{
	printf("\"%s\": [", name);
	for (unsigned i = 0; i < turns; i++)
		printf("%s%.1f", i ? ", " : "",
		       cpu ? samples[i][side].cpu_ns : samples[i][side].ns);
	printf("], ");
}

static void print(struct sample (*samples)[SIDES], unsigned turns, bool own,
		  unsigned stalled)
{
	uint64_t packets = 0, lost = 0;

	printf("{");
	print_array("via", samples, turns, VIA, false);
	print_array("via_cpu", samples, turns, VIA, true);
	if (own) {
		print_array("own", samples, turns, OWN, false);
		print_array("own_cpu", samples, turns, OWN, true);
	}
	for (unsigned i = 0; i < turns; i++) {
		packets += samples[i][VIA].packets;
		lost += samples[i][VIA].lost;
	}
	printf("\"packets\": %" PRIu64 ", \"lost\": %" PRIu64
	       ", \"stalled\": %u}\n",
	       packets, lost, stalled);
}

static void run(struct generator *generator, const struct manner *manner,
		unsigned turns, bool own)
{
	struct sample samples[TURNS_MAX][SIDES];

	for (unsigned i = 0; i < turns; i++) {
		if (own)
			samples[i][OWN] = manner->take(generator, OWN);
		samples[i][VIA] = manner->take(generator, VIA);
	}
	print(samples, turns, own, generator->stalled);
}

static _Noreturn void usage(void)
{
	fprintf(stderr,
		"usage: generator -w WAY [-o WAY] -s SINK_NETNS -D SINK_DEVICE "
		"-h FIRST_HOST -d DESTINATION [-p FIRST_PEER] [-m MAPPINGS] "
		"[-f FIRST] -n FLOWS [-t SECONDS] [-r TURNS] "
		"flood|window|open|answer\n");
	exit(2);
}

static const struct manner *find_manner(const char *name)
{
	for (size_t i = 0; name && i < MANNERS; i++)
		if (!strcmp(manners[i].name, name))
			return &manners[i];
	usage();
}

struct options {
	const char *ways[SIDES], *sink;
	uint32_t first, count, turns;
};

static void parse(struct generator *generator, struct options *options,
		  int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "w:o:s:D:h:d:p:m:f:n:t:r:")) != -1)
		switch (option) {
		case 'w':
			options->ways[VIA] = optarg;
			break;
		case 'o':
			options->ways[OWN] = optarg;
			break;
		case 's':
			options->sink = optarg;
			break;
		case 'D':
			generator->sink_device = optarg;
			break;
		case 'h':
			generator->flows.first_host = address(optarg);
			break;
		case 'd':
			generator->flows.destination = address(optarg);
			break;
		case 'p':
			generator->flows.first_peer = address(optarg);
			break;
		case 'm':
			generator->flows.mappings =
				number(optarg, MAPPINGS_MAX);
			break;
		case 'f':
			options->first = number(optarg, FLOWS_MAX);
			break;
		case 'n':
			options->count = number(optarg, FLOWS_MAX);
			break;
		case 't':
			generator->duration_ns =
				(uint64_t)(strtod(optarg, NULL) * 1e9);
			break;
		case 'r':
			options->turns = number(optarg, TURNS_MAX);
			break;
		default:
			usage();
		}
}

int main(int argc, char **argv)
{
	static struct generator generator; /* large */
	struct options options = { .turns = 1 };
	const struct manner *manner;

	generator.flows.mappings = MAPPINGS_MAX;
	parse(&generator, &options, argc, argv);
	manner = find_manner(argv[optind]);
	if (!options.ways[VIA] || !options.sink || !generator.sink_device ||
	    !options.count || !generator.flows.mappings)
		usage();
	if (manner->take == open_chunk)
		options.turns = (options.count + CHUNK - 1) / CHUNK;
	flows_set(&generator.flows, options.first, options.count);
	generator.unopened = options.count;
	for (enum side side = VIA; side < SIDES && options.ways[side]; side++) {
		generator.ways[side] = way_open(options.ways[side]);
		burst_init(&generator.bursts[side], &generator.ways[side]);
	}
	generator.end =
		netns_udp(options.sink, generator.flows.destination, END_PORT);
	generator.counter = counter_open(options.sink);
	if (manner->take == answered)
		generator.answerer =
			answer_open(options.sink, generator.sink_device);
	run(&generator, manner, options.turns, options.ways[OWN]);
	return 0;
}
