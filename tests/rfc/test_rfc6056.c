/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Ports: RFC 6056 (BCP 156), RFC 4787 REQ-3a and REQ-4, RFC 6335 6, and the last
 * free port of pools of every size.
 */
#include <stdlib.h>
#include <string.h>

#include "room.h"

#define COLLISIONS 1000U

/* The outside port of a new UDP socket; 0: refused. */
static uint16_t port_of(struct engine *engine, uint32_t host, uint16_t port)
{
	return engine_open(engine, NAT_PROTO_UDP,
			   flow_of(host, port, PEER_1, 7000));
}

/* --- preferences ------------------------------------------------------------ */

static void preserved(void)
{
	struct engine engine;
	unsigned kept = 0, all = 0;

	engine_make(&engine);
	engine.unproven = true;
	for (uint32_t port = 512; port < 65536; port += 97) {
		kept += port_of(&engine, INSIDE_1, (uint16_t)port) == port;
		all++;
		engine.now += 20 * SECOND;
	}
	/* The edges of both ranges. */
	kept += port_of(&engine, INSIDE_2, 512) == 512;
	kept += port_of(&engine, INSIDE_2, 1023) == 1023;
	kept += port_of(&engine, INSIDE_2, 1024) == 1024;
	kept += port_of(&engine, INSIDE_2, 65535) == 65535;
	CU_ASSERT_EQUAL(kept, all + 4);
	engine_free(&engine);
}

/* Each of these hosts wants the same port. */
static uint16_t crowd(struct engine *engine, uint32_t i, uint16_t port)
{
	return port_of(engine, room_host(i), port);
}

static void same_half(void)
{
	struct engine engine;

	room_make(&engine, room_limits(2048));
	for (uint32_t i = 0; i < 200; i++) {
		uint16_t low = crowd(&engine, i, 1023);
		uint16_t high = crowd(&engine, i, 1024);

		CU_ASSERT_TRUE(low >= 512 && low <= 1023);
		CU_ASSERT_TRUE(high >= 1024);
	}
	room_free(&engine);
}

/* RFC 6146 3.5.1.1: the other half rather than none. */
static void other_half(void)
{
	struct engine engine;

	engine_make(&engine);
	engine_pool(&engine.config, 40000, 40001);
	engine_configure(&engine);
	CU_ASSERT_EQUAL(port_of(&engine, INSIDE_1, 600), 40000);
	engine_free(&engine);
	engine_make(&engine);
	engine_pool(&engine.config, 600, 601);
	memset(&engine.config.low_only, 0, sizeof(engine.config.low_only));
	engine_configure(&engine);
	CU_ASSERT_EQUAL(port_of(&engine, INSIDE_1, 40001), 601);
	engine_free(&engine);
	/* But never what is kept for low inside ports. */
	engine_make(&engine);
	engine_pool(&engine.config, 600, 601);
	engine_configure(&engine);
	CU_ASSERT_EQUAL(port_of(&engine, INSIDE_1, 40001), 0);
	engine_free(&engine);
}

/* How many of the crowd get an odd port. */
static uint32_t odd_ports(uint16_t wanted, bool parity, uint32_t sockets)
{
	struct engine engine;
	uint32_t odd = 0;

	room_make(&engine, room_limits(2048));
	engine.config.parity = parity;
	engine_configure(&engine);
	for (uint32_t i = 0; i < sockets; i++)
		odd += crowd(&engine, i, wanted) & 1;
	room_free(&engine);
	return odd;
}

static void parity(void)
{
	CU_ASSERT_EQUAL(odd_ports(5000, true, 500), 0);
	CU_ASSERT_EQUAL(odd_ports(5001, true, 500), 500);
	CU_ASSERT_EQUAL(odd_ports(600, true, 200), 0);
	CU_ASSERT_EQUAL(odd_ports(601, true, 200), 200);
}

static void parity_off(void)
{
	uint32_t odd = odd_ports(5000, false, 500);

	CU_ASSERT_TRUE(odd > 150 && odd < 350);
}

static void preferences_only(void)
{
	struct engine engine;

	engine_make(&engine);
	engine_pool(&engine.config, 40001, 40001);
	engine_configure(&engine);
	CU_ASSERT_EQUAL(port_of(&engine, INSIDE_1, 5000), 40001);
	engine_free(&engine);
}

/* --- what is never handed out ------------------------------------------------- */

static void bound_ports(void)
{
	struct nat_portset bound = { { 0 } };
	struct engine engine;

	engine_make(&engine);
	engine_pool(&engine.config, 40000, 40003);
	engine_configure(&engine);
	nat_portset_add(&bound, 40000);
	nat_portset_add(&bound, 40002);
	nat_portset_add(&bound, 40003);
	nat_set_bound(engine.nat, NAT_POOL_UDP, &bound);
	/* Neither by preservation nor as the last one. */
	CU_ASSERT_EQUAL(port_of(&engine, INSIDE_1, 40000), 40001);
	CU_ASSERT_EQUAL(port_of(&engine, INSIDE_2, 40000), 0);
	engine_free(&engine);
}

static void port_zero(void)
{
	struct engine engine;

	engine_make(&engine);
	engine_pool(&engine.config, 0, 1);
	memset(&engine.config.low_only, 0, sizeof(engine.config.low_only));
	engine_configure(&engine);
	CU_ASSERT_EQUAL(engine_stats(&engine).ports[NAT_POOL_UDP].total, 1);
	CU_ASSERT_EQUAL(port_of(&engine, INSIDE_1, 5000), 1);
	CU_ASSERT_EQUAL(port_of(&engine, INSIDE_1, 5001), 0);
	engine_free(&engine);
}

/* --- unpredictable -------------------------------------------------------------- */

/* The same engine as after a new start of the process: another port key. */
static void reborn(struct engine *engine, const char *key)
{
	size_t records = nat_records_size(&engine->limits);
	size_t indices = nat_indices_size(&engine->limits);
	struct nat_secrets secrets = { .hash_key = "hash key of test" };

	memcpy(secrets.port_key, key, sizeof(secrets.port_key));
	memset(engine->records, 0, records);
	memset(engine->indices, 0, indices);
	engine->nat = nat_init(&engine->limits, &secrets, engine->records,
			       records, engine->indices, indices, engine->now);
	engine_configure(engine);
	nat_set_uplink(engine->nat, UPLINK, engine->now);
}

/* 1,000 sockets that all want port 5000, which somebody has. */
static void collide(const char *key, uint16_t *ports)
{
	struct engine engine;

	room_make(&engine, room_limits(2048));
	reborn(&engine, key);
	CU_ASSERT_EQUAL(port_of(&engine, INSIDE_1, 5000), 5000);
	for (uint32_t i = 0; i < COLLISIONS; i++)
		ports[i] = crowd(&engine, i, 5000);
	room_free(&engine);
}

/* Pearson's statistic of values 0..bins - 1. */
static double chi_square(const uint32_t *counts, uint32_t bins)
{
	double expected = (double)COLLISIONS / bins, sum = 0;

	for (uint32_t i = 0; i < bins; i++)
		sum += (counts[i] - expected) * (counts[i] - expected) /
		       expected;
	return sum;
}

/* 15 degrees of freedom: above 37.7 once in a thousand, below 3.5 as well. */
static void flat(const uint16_t *ports)
{
	uint32_t high[16] = { 0 }, low[16] = { 0 }, steps[16] = { 0 };

	for (uint32_t i = 0; i < COLLISIONS; i++) {
		uint32_t rank = (ports[i] - 1024U) / 2; /* of 32,256 */
		uint32_t last = i ? (ports[i - 1] - 1024U) / 2 : 0;

		high[rank / 2016]++;
		low[rank % 16]++;
		steps[(rank + 32256 - last) % 32256 / 2016]++;
	}
	CU_ASSERT_TRUE(chi_square(high, 16) < 37.7);
	CU_ASSERT_TRUE(chi_square(low, 16) < 37.7);
	CU_ASSERT_TRUE(chi_square(steps, 16) < 37.7);
	CU_ASSERT_TRUE(chi_square(high, 16) > 3.5);
}

static void unpredictable(void)
{
	uint16_t ports[COLLISIONS];

	collide("first port key..", ports);
	flat(ports);
	collide("second port key.", ports);
	flat(ports);
}

static void no_runs(void)
{
	uint16_t ports[COLLISIONS];
	unsigned neighbours = 0;

	collide("first port key..", ports);
	for (uint32_t i = 1; i < COLLISIONS; i++)
		neighbours += abs(ports[i] - ports[i - 1]) <= 2;
	CU_ASSERT_TRUE(neighbours <= 2);
}

static void new_start(void)
{
	uint16_t first[COLLISIONS], second[COLLISIONS];
	unsigned same = 0;

	collide("first port key..", first);
	collide("second port key.", second);
	for (uint32_t i = 0; i < COLLISIONS; i++)
		same += first[i] == second[i];
	CU_ASSERT_TRUE(same <= 3);
	/* And the key is all there is to it. */
	collide("first port key..", second);
	CU_ASSERT_EQUAL(memcmp(first, second, sizeof(first)), 0);
}

/* --- the last free port ------------------------------------------------------------ */

/* Socket i of many hosts, of which each uses the same 4,032 ports. */
static struct flow socket_of(uint32_t i)
{
	return flow_of(room_host(i / 4032), (uint16_t)(1024 + i % 4032), PEER_1,
		       7000);
}

/* Opens one socket for each port of the pool; all ports differ. */
static void take_all(struct engine *engine, uint8_t proto, enum nat_pool pool,
		     uint32_t count)
{
	struct nat_portset seen = { { 0 } };
	unsigned wrong = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint16_t port = engine_open(engine, proto, socket_of(i));

		wrong += !port || nat_portset_has(&seen, port) ||
			 !nat_portset_has(&engine->config.pool[pool], port);
		nat_portset_add(&seen, port);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(engine_stats(engine).ports[pool].used, count);
	CU_ASSERT_EQUAL(engine_stats(engine).ports[pool].total, count);
}

static struct nat_result newcomer(struct engine *engine, uint8_t proto,
				  uint32_t count)
{
	struct flow flow = socket_of(count);

	if (proto == NAT_PROTO_UDP)
		return engine_udp(engine, NAT_PATH_OUTBOUND, flow);
	if (proto == NAT_PROTO_TCP)
		return engine_tcp(engine, NAT_PATH_OUTBOUND, flow, SYN);
	return engine_icmp(engine, NAT_PATH_OUTBOUND, flow, 8);
}

static void refused(struct engine *engine, uint8_t proto, uint32_t count)
{
	uint64_t before = engine_stats(engine).drops[NAT_DROP_NO_PORT];

	CU_ASSERT_TRUE(room_told(newcomer(engine, proto, count),
				 NAT_DROP_NO_PORT, 13));
	CU_ASSERT_EQUAL(engine_stats(engine).drops[NAT_DROP_NO_PORT],
			before + 1);
}

/* Refreshes every UDP socket but the first, lets that one end, and waits for its
 * port to have rested. */
static void comes_back(struct engine *engine, uint32_t count)
{
	struct nat_session_view view;
	uint16_t port;

	CU_ASSERT_TRUE(engine_session(engine, 1024, PEER_1, &view));
	port = view.outside_port;
	bench_later(engine, 290 * SECOND);
	for (uint32_t i = 1; i < count; i++)
		engine_open(engine, NAT_PROTO_UDP, socket_of(i));
	bench_later(engine, 10 * SECOND);
	CU_ASSERT_EQUAL(engine_stats(engine).ports[NAT_POOL_UDP].held, 1);
	refused(engine, NAT_PROTO_UDP, count);
	bench_later(engine, 120 * SECOND - 1);
	refused(engine, NAT_PROTO_UDP, count);
	engine->now++;
	ASSERT_TRANSLATED(newcomer(engine, NAT_PROTO_UDP, count));
	CU_ASSERT_EQUAL(packet_flow(&engine->packet).sport, port);
	refused(engine, NAT_PROTO_UDP, count + 1);
}

static void exhaust(const struct nat_portset *pool, uint32_t count)
{
	static const uint8_t protos[NAT_POOLS] = {
		[NAT_POOL_UDP] = NAT_PROTO_UDP,
		[NAT_POOL_TCP] = NAT_PROTO_TCP,
		[NAT_POOL_ICMP] = NAT_PROTO_ICMP,
	};

	for (int i = 0; i < NAT_POOLS; i++) {
		struct engine engine;

		room_make(&engine, room_limits(65536));
		engine.config.host_mappings = 65536;
		engine.config.host_new_per_second = 65536;
		engine.config.pool[i] = *pool;
		engine_configure(&engine);
		take_all(&engine, protos[i], (enum nat_pool)i, count);
		refused(&engine, protos[i], count);
		if (i == NAT_POOL_UDP)
			comes_back(&engine, count);
		room_free(&engine);
	}
}

static void last_of_1(void)
{
	struct nat_portset pool = { { 0 } };

	nat_portset_add(&pool, 40000);
	exhaust(&pool, 1);
}

/* RFC 7597 5.1 with a = 4, k = 8, PSID 0x34: 15 ranges of 16 ports. */
static void last_of_240(void)
{
	struct nat_portset pool = { { 0 } };

	for (uint32_t a = 1; a < 16; a++)
		for (uint32_t j = 0; j < 16; j++)
			nat_portset_add(&pool,
					(uint16_t)(a << 12 | 0x34 << 4 | j));
	CU_ASSERT_TRUE(nat_portset_has(&pool, 4928));
	CU_ASSERT_TRUE(nat_portset_has(&pool, 62287));
	exhaust(&pool, 240);
}

static void last_of_64512(void)
{
	struct nat_portset pool = { { 0 } };

	for (uint32_t port = 1024; port < 65536; port++)
		nat_portset_add(&pool, (uint16_t)port);
	exhaust(&pool, 64512);
}

/* TCP ports do not rest: the freed one is there at once. */
static void tcp_back(void)
{
	struct engine engine;

	engine_make(&engine);
	engine_pool(&engine.config, 40000, 40000);
	engine_configure(&engine);
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_TCP,
				    flow_of(INSIDE_1, 5000, PEER_1, 80)),
			40000);
	engine.now += 240 * SECOND - 1;
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_TCP,
				    flow_of(INSIDE_2, 5000, PEER_1, 80)),
			0);
	engine.now++;
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_TCP,
				    flow_of(INSIDE_2, 5000, PEER_1, 80)),
			40000);
	engine_free(&engine);
}

static const struct requirement table[] = {
	{ "RFC6056 4 preserve", "SHOULD", "a free port is preserved", preserved,
	  NULL },
	{ "RFC6056 4", "SHOULD",
	  "1,000 ports that had to change are flat by chi-square",
	  unpredictable, NULL },
	{ "RFC6056 3.3 runs", "SHOULD", "and not in sequence", no_runs, NULL },
	{ "RFC6056 3.3 start", "SHOULD", "another start gives another sequence",
	  new_start, NULL },
	{ "RFC6056 3.2", "SHOULD",
	  "ports the router itself uses are never handed out", bound_ports,
	  NULL },
	{ "RFC6335 6", "MUST NOT", "port 0 is never handed out", port_zero,
	  NULL },
	{ "RFC4787 REQ-3a half", "SHOULD",
	  "ports below 1024 stay below, others above, in collision too",
	  same_half, NULL },
	{ "RFC6146 3.5.1.1", "MUST", "the other half rather than none",
	  other_half, NULL },
	{ "RFC4787 REQ-4 collision", "SHOULD", "even stays even and odd odd",
	  parity, NULL },
	{ "RFC7857 8 knob", "MAY", "parity can be switched off", parity_off,
	  NULL },
	{ "BEHAVE 19.21", "MUST NOT", "no preference fails an allocation",
	  preferences_only, NULL },
	{ "BEHAVE 8 1", "MUST",
	  "a pool of 1 port: used, refused, back after its rest", last_of_1,
	  NULL },
	{ "BEHAVE 8 240", "MUST", "a pool of 240 scattered ports: as well",
	  last_of_240, NULL },
	{ "BEHAVE 8 64512", "MUST", "a pool of 64,512 ports: as well",
	  last_of_64512, NULL },
	{ "BEHAVE 8 tcp", "MUST", "a freed TCP port is back at once", tcp_back,
	  NULL },
};

int main(int argc, char **argv)
{
	return requirement_run("rfc6056", table, COUNT(table), argc, argv);
}
