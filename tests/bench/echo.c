/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The least a queue program can do: Portico's own queue path with an engine
 * that knows nothing. It writes one fixed address over the source of what
 * leaves and another over the destination of what comes in, and corrects the
 * checksums. What Portico needs beyond it is what its engine costs; what it
 * needs beyond kernel masquerade is what the queue costs.
 *
 * usage: echo QUEUE UPLINK OUTSIDE_ADDRESS INSIDE_ADDRESS GSO(0|1)
 * Prints "ready" when the queue is bound; SIGTERM ends it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/loop.h"
#include "platform/queue.h"

struct nat {
	uint8_t outside[4], inside[4];
};

static uint16_t read16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void write16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* RFC 1624: what replacing old by new adds to a sum of complements. */
static uint32_t difference(const uint8_t *old, const uint8_t *new)
{
	return (uint32_t)(uint16_t)~read16(old) + (uint16_t)~read16(old + 2) +
	       read16(new) + read16(new + 2);
}

static void update(uint8_t *field, uint32_t change)
{
	write16(field, (uint16_t)~fold((uint16_t)~read16(field) + change));
}

static void complete(struct nat_packet *packet, uint32_t head, uint8_t *field)
{
	uint32_t sum = read16(field);
	const uint8_t *at = packet->data + head,
		      *end = packet->data + packet->length;

	write16(field, 0);
	for (; at + 1 < end; at += 2)
		sum += read16(at);
	if (at < end)
		sum += (uint32_t)*at << 8;
	write16(field, (uint16_t)~fold(sum));
}

static void correct(struct nat_packet *packet, uint32_t head, uint32_t change)
{
	uint8_t *data = packet->data;
	uint32_t offset = data[9] == IPPROTO_TCP ? 16 :
			  data[9] == IPPROTO_UDP ? 6 :
						   0;
	uint8_t *field = data + head + offset;

	if (!offset || packet->length < head + offset + 2)
		return;
	if (data[9] == IPPROTO_UDP && !read16(field))
		return;
	if (packet->checksum == NAT_CHECKSUM_COMPLETE) {
		update(field, change);
		return;
	}
	/* A pseudo-header sum is not complemented. */
	write16(field, fold(read16(field) + change));
	if (packet->checksum == NAT_CHECKSUM_PARTIAL)
		complete(packet, head, field);
}

struct nat_result nat_translate(struct nat *nat, struct nat_packet *packet,
				uint64_t now_ms)
{
	bool in = packet->path == NAT_PATH_INBOUND;
	struct nat_result result = {
		.verdict = NAT_TRANSLATED,
		.mark = in ? NAT_MARK_INBOUND : NAT_MARK_OUTBOUND,
	};
	const uint8_t *new = in ? nat->inside : nat->outside;
	uint8_t *address = packet->data + (in ? 16 : 12);
	uint32_t change;

	(void)now_ms;
	if (packet->length < 20 || (!in && packet->path != NAT_PATH_OUTBOUND))
		return (struct nat_result){ .verdict = NAT_UNTOUCHED };
	change = difference(address, new);
	update(packet->data + 10, change);
	correct(packet, (packet->data[0] & 15U) * 4, change);
	memcpy(address, new, 4);
	return result;
}

void nat_foresee(const struct nat *nat, struct nat_packet *packets,
		 uint32_t count)
{
	(void)nat;
	(void)packets;
	(void)count;
}

void nat_count_drop(struct nat *nat, enum nat_drop drop)
{
	(void)nat;
	fprintf(stderr, "echo: a packet dropped: %d\n", (int)drop);
}

void nat_count_own(struct nat *nat, enum nat_drop drop)
{
	(void)nat, (void)drop;
}

bool nat_next_output(struct nat *nat, uint64_t now_ms, const uint8_t **packet,
		     uint32_t *length)
{
	(void)nat, (void)now_ms, (void)packet, (void)length;
	return false;
}

uint32_t nat_uplink(const struct nat *nat)
{
	(void)nat;
	return 0;
}

int main(int argc, char **argv)
{
	struct queue_config config = {
		.batch = 64,
		.length = 1024,
		.repeat = true,
		.mark_shift = 24,
	};
	struct loop *loop = loop_new();
	struct queue *queue;
	struct nat nat;

	if (argc != 6 || !loop ||
	    inet_pton(AF_INET, argv[3], nat.outside) != 1 ||
	    inet_pton(AF_INET, argv[4], nat.inside) != 1) {
		fprintf(stderr,
			"usage: echo QUEUE UPLINK OUTSIDE INSIDE GSO\n");
		return 2;
	}
	config.number = (uint16_t)atoi(argv[1]);
	config.gso = atoi(argv[5]);
	queue = queue_open(&config, &nat);
	if (!queue || (errno = -queue_start(queue, loop))) {
		perror("echo: the queue");
		return 1;
	}
	queue_set_devices(queue, if_nametoindex(argv[2]));
	printf("ready\n");
	fflush(stdout);
	return loop_run(loop) ? 1 : 0;
}
