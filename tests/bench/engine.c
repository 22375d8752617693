/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The engine alone, without a kernel: what one packet costs, by operation,
 * size of the table and choice of the next session. Prints a line of JSON per
 * figure; engine_run makes tables, plots and instruction counts of them.
 *
 *   engine [-o OPERATION] [-s SESSIONS] [-d uniform|zipf] [-n PACKETS] [-c]
 *
 * -c: no figures; for callgrind, which counts what measured() does
 * (--toggle-collect=measured).
 *
 * The packets of a batch are made from a template just before they are judged,
 * as what the kernel has just copied is warm in the cache; what making it costs is
 * measured in the same way without the engine and taken off.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "draw.h"
#include "portico/nat.h"
#include "tests/unit/packets.h"

#define UPLINK_ADDR UPLINK
#define INSIDE_NET 0x0a000000U /* 10/8 */
#define PEER_NET 0x2c000000U /* 44/8 */
#define PEER_PORT 4000U
#define FIRST_PORT 1024U
#define PORTS_PER_HOST 1024U
/* As many as one pool has ports for; more sessions mean more peers each. */
#define MOST_MAPPINGS 60000U
#define PAYLOAD 22U /* a frame of 64 bytes with Ethernet's header */
#define FRAGMENT_BYTES 24U /* a multiple of 8 */
#define DRAWS (1U << 20)
#define BATCH 64U
#define PACKETS_PER_MS (4 * BATCH)
#define LINES ((sizeof(struct packet) / 128 + 1) * 2 + 1)

enum choice { UNIFORM, ZIPF, CHOICES };
static const char *const choice_names[CHOICES] = { "uniform", "zipf" };

/* An odd number of cache lines, as the platform's: see queue_private.h. */
struct cell {
	struct packet packet;
	uint8_t zero[LINES * 64 - sizeof(struct packet)];
};

struct bench {
	struct nat *nat;
	struct nat_config config;
	struct nat_limits limits;
	void *records, *indices;
	uint64_t now_ms;
	uint32_t sessions, mappings;
	uint32_t *draws, drawn; /* sessions, DRAWS of them */
	uint16_t *ports; /* outside port of each mapping */
	uint16_t unused; /* a port of the pool without mapping */
	struct packet template;
	struct packet *packet; /* one of the batch */
	struct cell batch[BATCH];
	uint64_t judged, translated;
};

/* --- packets ------------------------------------------------------------- */

static struct flow flow_number(const struct bench *b, uint32_t session)
{
	uint32_t mapping = session % b->mappings;

	return flow_of(INSIDE_NET + 256 + mapping / PORTS_PER_HOST,
		       (uint16_t)(FIRST_PORT + mapping % PORTS_PER_HOST),
		       PEER_NET + session / b->mappings, PEER_PORT);
}

static uint32_t sum32(uint32_t value)
{
	return (value >> 16) + (value & 0xffff);
}

static uint16_t fold(uint32_t sum)
{
	sum = sum32(sum);
	return (uint16_t)~sum32(sum);
}

/* The template (whose addresses and ports are 0) with those of a flow; both
 * checksums are put right by the difference. */
static void make(struct bench *b, struct flow flow)
{
	uint8_t *data = b->packet->data;
	uint32_t addrs = sum32(flow.src) + sum32(flow.dst);
	uint32_t ip = (uint16_t)~packet_get16(b->template.data + 10);
	uint32_t udp = (uint16_t)~packet_get16(b->template.data + 26);

	memcpy(data, b->template.data, b->template.length);
	b->packet->length = b->template.length;
	packet_put32(data + 12, flow.src);
	packet_put32(data + 16, flow.dst);
	packet_put16(data + 20, flow.sport);
	packet_put16(data + 22, flow.dport);
	packet_put16(data + 10, fold(ip + addrs));
	packet_put16(data + 26, fold(udp + addrs + flow.sport + flow.dport));
}

/* A batch is judged as the platform does it. Its own function, for callgrind. */
__attribute__((noinline)) static uint32_t measured(struct bench *b,
						   enum nat_path path,
						   uint32_t count,
						   enum nat_verdict wanted)
{
	struct nat_packet packets[BATCH];
	uint32_t right = 0;

	for (uint32_t i = 0; i < count; i++)
		packets[i] = (struct nat_packet){
			.data = b->batch[i].packet.data,
			.length = b->batch[i].packet.length,
			.path = path,
		};
	nat_foresee(b->nat, packets, count);
	for (uint32_t i = 0; i < count; i++)
		right +=
			nat_translate(b->nat, &packets[i], b->now_ms).verdict ==
			wanted;
	return right;
}

/* --- the table ------------------------------------------------------------- */

static void *block(size_t bytes)
{
	void *memory = NULL;

	if (!bytes || posix_memalign(&memory, 64, bytes)) {
		fputs("engine: no memory\n", stderr);
		exit(1);
	}
	return memset(memory, 0, bytes);
}

static const struct nat_prefix inside = { INSIDE_NET, 8 };

static void configure(struct bench *b)
{
	struct nat_config *config = &b->config;

	config->filtering[NAT_POOL_TCP] = NAT_FILTER_ADDRESS_DEPENDENT;
	for (int timer = 0; timer < NAT_TIMERS; timer++)
		config->timeout_s[timer] = 300;
	config->host_mappings = config->host_sessions = NAT_LIMIT_MAX;
	config->mapping_sessions = NAT_LIMIT_MAX;
	config->host_new_per_second = NAT_LIMIT_MAX;
	config->icmp_per_second = config->host_icmp_per_second = 100;
	config->hairpin = config->inbound_refresh = config->parity = true;
	config->refuse_code = 13;
	config->fragment_s = 30;
	config->inside = &inside;
	config->inside_count = 1;
	for (int pool = 0; pool < NAT_POOLS; pool++)
		memset(&config->pool[pool].bits[FIRST_PORT / 8], 0xff,
		       (NAT_PORTS - FIRST_PORT) / 8);
}

static void make_engine(struct bench *b, uint32_t sessions)
{
	static const struct nat_secrets secrets = {
		.hash_key = "hash key of test",
		.port_key = "port key of test",
	};
	size_t records, indices;

	b->sessions = sessions;
	b->mappings = sessions < MOST_MAPPINGS ? sessions : MOST_MAPPINGS;
	b->limits = (struct nat_limits){ .mappings = b->mappings,
					 .sessions = sessions,
					 .hosts = b->mappings / 512 + 2,
					 .held_ports = MOST_MAPPINGS,
					 .fragments = 256,
					 .fragment_bytes = 65536,
					 .tagged = 1 };
	records = nat_records_size(&b->limits);
	indices = nat_indices_size(&b->limits);
	b->records = block(records);
	b->indices = block(indices);
	b->now_ms = 1000000;
	b->nat = nat_init(&b->limits, &secrets, b->records, records, b->indices,
			  indices, b->now_ms);
	configure(b);
	nat_configure(b->nat, &b->config, b->now_ms);
	nat_set_uplink(b->nat, UPLINK_ADDR, b->now_ms);
	b->now_ms += 10000;
}

static void free_engine(struct bench *b)
{
	free(b->records);
	free(b->indices);
}

/* Opens sessions number from..to-1 as a host would. */
static void open_sessions(struct bench *b, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++) {
		b->packet = &b->batch[0].packet;
		make(b, flow_number(b, i));
		b->judged++;
		b->translated +=
			measured(b, NAT_PATH_OUTBOUND, 1, NAT_TRANSLATED);
		if (i < b->mappings)
			b->ports[i] = packet_get16(b->packet->data + 20);
	}
}

static void find_unused(struct bench *b)
{
	struct nat_portset used = { { 0 } };

	for (uint32_t i = 0; i < b->mappings; i++)
		nat_portset_add(&used, b->ports[i]);
	b->unused = NAT_PORTS - 1;
	while (nat_portset_has(&used, b->unused))
		b->unused--;
}

static void draw(struct bench *b, enum choice choice)
{
	struct dice dice = { 1 };

	for (uint32_t i = 0; i < DRAWS; i++)
		b->draws[i] = choice == ZIPF ? draw_zipf(&dice, b->sessions) :
					       dice_roll(&dice, b->sessions);
}

/* --- operations ------------------------------------------------------------ */

static void make_outbound(struct bench *b, uint32_t session)
{
	make(b, flow_number(b, session));
}

static struct flow inbound_flow(const struct bench *b, uint32_t session)
{
	struct flow flow = flow_number(b, session);

	return flow_of(flow.dst, flow.dport, UPLINK_ADDR,
		       b->ports[session % b->mappings]);
}

static void make_inbound(struct bench *b, uint32_t session)
{
	make(b, inbound_flow(b, session));
}

/* To a port of the pool that nobody has. */
static void make_miss(struct bench *b, uint32_t session)
{
	make(b, flow_of(PEER_NET + session, PEER_PORT, UPLINK_ADDR, b->unused));
}

/* "Fragmentation needed" about the session's last packet, as it left. */
static void make_error(struct bench *b, uint32_t session)
{
	static struct packet about;

	make(b, flow_back(inbound_flow(b, session)));
	about = *b->packet;
	packet_error(b->packet,
		     (struct error){ .src = PEER_NET,
				     .dst = UPLINK_ADDR,
				     .type = 3,
				     .code = 4,
				     .rest = 1400 },
		     &about);
}

/* First fragments, each of a datagram of its own. */
static void make_fragment(struct bench *b, uint32_t session)
{
	static uint16_t id;

	make(b, flow_number(b, session));
	b->packet->length = PACKET_IP + FRAGMENT_BYTES;
	packet_put16(b->packet->data + 2, (uint16_t)b->packet->length);
	packet_put16(b->packet->data + 4, ++id);
	packet_set_fragment(b->packet, 0x2000);
	packet_fix_ip(b->packet);
}

struct operation {
	const char *name;
	enum nat_path path;
	void (*make)(struct bench *b, uint32_t session);
	bool refused; /* what is right is a drop */
};

static const struct operation operations[] = {
	{ "outbound", NAT_PATH_OUTBOUND, make_outbound, false },
	{ "inbound", NAT_PATH_INBOUND, make_inbound, false },
	{ "miss", NAT_PATH_INBOUND, make_miss, true },
	{ "icmp_error", NAT_PATH_INBOUND, make_error, false },
	{ "fragment", NAT_PATH_OUTBOUND, make_fragment, false },
};
#define OPERATIONS (sizeof(operations) / sizeof(operations[0]))

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* Makes packets and, with `judge`, has them judged. ns for all of them. */
static uint64_t run(struct bench *b, const struct operation *operation,
		    uint32_t packets, bool judge)
{
	uint64_t began = clock_ns();

	for (uint32_t done = 0; done < packets; done += BATCH) {
		uint32_t left = packets - done;
		uint32_t count = left < BATCH ? left : BATCH;

		for (uint32_t i = 0; i < count; i++) {
			b->packet = &b->batch[i].packet;
			operation->make(b, b->draws[b->drawn++ % DRAWS]);
		}
		if (!judge)
			continue;
		b->now_ms += done % PACKETS_PER_MS == 0;
		b->judged += count;
		b->translated += measured(b, operation->path, count,
					  operation->refused ? NAT_DROPPED :
							       NAT_TRANSLATED);
	}
	return clock_ns() - began;
}

static void print(const char *name, const struct bench *b, const char *choice,
		  double ns)
{
	printf("{\"operation\": \"%s\", \"sessions\": %u, "
	       "\"choice\": \"%s\", \"ns\": %.1f}\n",
	       name, b->sessions, choice, ns);
	fflush(stdout);
}

/* The least of several turns: what else runs only ever adds. */
#define TURNS 5

static void time_operation(struct bench *b, const struct operation *operation,
			   const char *choice, uint32_t packets)
{
	uint64_t least[2] = { UINT64_MAX, UINT64_MAX };

	run(b, operation, packets / 4, true);
	for (int turn = 0; turn < TURNS; turn++)
		for (int judge = 0; judge < 2; judge++) {
			uint64_t ns = run(b, operation, packets, judge);

			least[judge] = ns < least[judge] ? ns : least[judge];
		}
	print(operation->name, b, choice,
	      ((double)least[1] - (double)least[0]) / packets);
}

/* Opening and ending all sessions: what each mapping or session costs, and the
 * longest that one call of nat_expire() took at the platform's step. */
static void time_life(struct bench *b, uint32_t step)
{
	uint64_t began, ns, longest = 0;
	uint32_t ended = 0, now;

	began = clock_ns();
	open_sessions(b, 0, b->sessions);
	print("new", b, "all", (double)(clock_ns() - began) / b->sessions);
	b->now_ms += 301000;
	began = clock_ns();
	do {
		uint64_t before = clock_ns();

		now = nat_expire(b->nat, b->now_ms, step);
		ns = clock_ns() - before;
		longest = ns > longest ? ns : longest;
		ended += now;
	} while (now == step);
	if (ended != b->sessions) {
		fprintf(stderr, "engine: %u of %u sessions ended\n", ended,
			b->sessions);
		exit(1);
	}
	print("expire", b, "all", (double)(clock_ns() - began) / b->sessions);
	print("expire_step", b, "all", (double)longest);
}

struct options {
	const char *operation;
	uint32_t sessions;
	enum choice choice;
	uint32_t packets;
	uint32_t step;
	bool count;
};

static bool wanted(const struct options *options, const char *name)
{
	return !options->operation || !strcmp(options->operation, name);
}

static void run_all(struct bench *b, const struct options *options)
{
	make_engine(b, options->sessions);
	if (!options->count && wanted(options, "life")) {
		time_life(b, options->step);
		free_engine(b);
		make_engine(b, options->sessions);
	}
	open_sessions(b, 0, b->sessions);
	find_unused(b);
	draw(b, options->choice);
	for (size_t i = 0; i < OPERATIONS; i++) {
		if (!wanted(options, operations[i].name))
			continue;
		if (options->count)
			run(b, &operations[i], options->packets, true);
		else
			time_operation(b, &operations[i],
				       choice_names[options->choice],
				       options->packets);
	}
	free_engine(b);
}

static void usage(void)
{
	fputs("Usage: engine [-c] [-o OPERATION] [-s SESSIONS] [-n PACKETS] "
	      "[-d uniform|zipf] [-e STEP]\n",
	      stderr);
	exit(2);
}

static uint32_t number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || !value || value > NAT_LIMIT_MAX)
		usage();
	return (uint32_t)value;
}

int main(int argc, char **argv)
{
	struct options options = { NULL, 1000, UNIFORM, 1000000, 1024, false };
	struct bench b = { .sessions = 0 };
	int option;

	while ((option = getopt(argc, argv, "co:s:n:d:e:")) != -1)
		switch (option) {
		case 'c':
			options.count = true;
			break;
		case 'o':
			options.operation = optarg;
			break;
		case 's':
			options.sessions = number(optarg);
			break;
		case 'n':
			options.packets = number(optarg);
			break;
		case 'e':
			options.step = number(optarg);
			break;
		case 'd':
			options.choice = strcmp(optarg, "zipf") ? UNIFORM :
								  ZIPF;
			break;
		default:
			usage();
		}
	b.draws = malloc(DRAWS * sizeof(*b.draws));
	b.ports = malloc(MOST_MAPPINGS * sizeof(*b.ports));
	if (optind < argc || !b.draws || !b.ports)
		usage();
	packet_udp(&b.template, flow_of(0, 0, 0, 0), NULL, PAYLOAD);
	run_all(&b, &options);
	free(b.draws);
	free(b.ports);
	if (b.judged == b.translated)
		return 0;
	fprintf(stderr, "engine: %llu of %llu packets were judged otherwise\n",
		(unsigned long long)(b.judged - b.translated),
		(unsigned long long)b.judged);
	return 1;
}
