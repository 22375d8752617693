/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The vectors: a UDP datagram 192.168.1.10:5000 > 198.51.100.53:53, "hello",
 * sent out by 203.0.113.7 (checksums computed by hand), its answer, and what
 * must be refused.
 */
#include "selftest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "portico/nat.h"

#define INSIDE 0xc0a8010aU /* 192.168.1.10 */
#define UPLINK 0xcb007107U /* 203.0.113.7 */
#define ALIGNMENT 64

static const uint8_t query[33] = {
	0x45, 0x00, 0x00, 0x21, 0x12, 0x34, 0x40, 0x00, 0x40, 0x11, 0x3c,
	0x7d, 192,  168,  1,	10,   198,  51,	  100,	53,   0x13, 0x88,
	0x00, 0x35, 0x00, 0x0d, 0xbc, 0x29, 'h',  'e',	'l',  'l',  'o',
};
/* Source 203.0.113.7:40000 (the only port of the pool). */
static const uint8_t query_out[33] = {
	0x45, 0x00, 0x00, 0x21, 0x12, 0x34, 0x40, 0x00, 0x40, 0x11, 0xc2,
	0x27, 203,  0,	  113,	7,    198,  51,	  100,	53,   0x9c, 0x40,
	0x00, 0x35, 0x00, 0x0d, 0xb9, 0x1b, 'h',  'e',	'l',  'l',  'o',
};

struct bench {
	struct nat *nat;
	struct nat_config config;
	void *records, *indices;
};

static void *block(size_t bytes)
{
	void *at = aligned_alloc(ALIGNMENT, (bytes + ALIGNMENT - 1) /
						    ALIGNMENT * ALIGNMENT);

	if (at)
		memset(at, 0, bytes);
	return at;
}

static bool set_up(struct bench *bench)
{
	const struct nat_limits limits = { 8, 8, 8, 8, 8, 8, 8 };
	const struct nat_secrets secrets = { { 1 }, { 2 } };
	size_t records_bytes = nat_records_size(&limits);
	size_t indices_bytes = nat_indices_size(&limits);
	struct nat_config *config = &bench->config;

	memset(bench, 0, sizeof(*bench));
	for (int timer = 0; timer < NAT_TIMERS; timer++)
		config->timeout_s[timer] = 300;
	config->host_mappings = config->host_sessions = 8;
	config->mapping_sessions = config->host_new_per_second = 8;
	config->refuse_code = 13;
	for (int pool = 0; pool < NAT_POOLS; pool++)
		nat_portset_add(&config->pool[pool], 40000);
	bench->records = block(records_bytes);
	bench->indices = block(indices_bytes);
	bench->nat = nat_init(&limits, &secrets, bench->records, records_bytes,
			      bench->indices, indices_bytes, 1000);
	if (!bench->nat)
		return false;
	nat_configure(bench->nat, config, 1000);
	nat_set_uplink(bench->nat, UPLINK, 1000);
	return true;
}

static struct nat_result pass(struct bench *bench, uint8_t *data,
			      uint32_t length, enum nat_path path)
{
	struct nat_packet packet = { .data = data,
				     .length = length,
				     .path = path };

	return nat_translate(bench->nat, &packet, 2000);
}

static bool outbound_gives_known_bytes(struct bench *bench)
{
	uint8_t packet[sizeof(query)];

	memcpy(packet, query, sizeof(query));
	return pass(bench, packet, sizeof(packet), NAT_PATH_OUTBOUND).verdict ==
		       NAT_TRANSLATED &&
	       !memcmp(packet, query_out, sizeof(packet));
}

/* Swapping the addresses and the ports leaves both checksums right. */
static void swap_ends(uint8_t *packet)
{
	uint8_t keep[4];

	memcpy(keep, packet + 12, 4);
	memmove(packet + 12, packet + 16, 4);
	memcpy(packet + 16, keep, 4);
	memcpy(keep, packet + 20, 2);
	memmove(packet + 20, packet + 22, 2);
	memcpy(packet + 22, keep, 2);
}

static bool answer_comes_back(struct bench *bench)
{
	uint8_t packet[sizeof(query)], wanted[sizeof(query)];

	memcpy(packet, query_out, sizeof(packet));
	swap_ends(packet);
	memcpy(wanted, query, sizeof(wanted));
	swap_ends(wanted);
	return pass(bench, packet, sizeof(packet), NAT_PATH_INBOUND).verdict ==
		       NAT_TRANSLATED &&
	       !memcmp(packet, wanted, sizeof(packet));
}

static bool bad_checksum_is_refused(struct bench *bench)
{
	uint8_t packet[sizeof(query)];

	memcpy(packet, query, sizeof(query));
	packet[8]--;
	return pass(bench, packet, sizeof(packet), NAT_PATH_OUTBOUND).drop ==
	       NAT_DROP_BAD_CHECKSUM;
}

static bool cut_packets_are_refused(struct bench *bench)
{
	for (uint32_t length = 0; length < sizeof(query); length++) {
		uint8_t packet[sizeof(query)];

		memcpy(packet, query, sizeof(query));
		if (pass(bench, packet, length, NAT_PATH_OUTBOUND).verdict !=
		    NAT_DROPPED)
			return false;
	}
	return true;
}

static bool tables_agree(struct bench *bench)
{
	return !nat_check(bench->nat);
}

static const struct {
	const char *name;
	bool (*holds)(struct bench *bench);
} vectors[] = {
	{ "an outbound datagram gets the known bytes",
	  outbound_gives_known_bytes },
	{ "its answer comes back to the inside socket", answer_comes_back },
	{ "a wrong header checksum is refused", bad_checksum_is_refused },
	{ "cut packets are refused", cut_packets_are_refused },
	{ "the tables agree", tables_agree },
};

int selftest_run(void)
{
	const int count = (int)(sizeof(vectors) / sizeof(vectors[0]));
	struct bench bench;
	int failed = 0;

	if (!set_up(&bench)) {
		printf("failed: the engine does not start\n");
		failed = count;
	}
	for (int i = 0; i < count && bench.nat; i++) {
		bool good = vectors[i].holds(&bench);

		printf("%s: %s\n", good ? "ok" : "failed", vectors[i].name);
		failed += !good;
	}
	free(bench.records);
	free(bench.indices);
	return failed;
}
