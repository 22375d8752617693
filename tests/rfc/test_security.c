/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What strangers send: addresses that must not cross a gateway, bad headers,
 * forged ICMP, SYNs that nobody asked for (RFC 1812, 2827, 5382 REQ-4, 5927,
 * 6890). What they send by the million is in test_floods.c.
 */
#include <string.h>

#include "bench.h"

static const struct flow out = { INSIDE_1, 5000, PEER_1, 7000 };

static void no_state(const struct engine *engine)
{
	struct nat_stats stats = engine_stats(engine);

	CU_ASSERT_EQUAL(stats.mappings, 0);
	CU_ASSERT_EQUAL(stats.sessions, 0);
	CU_ASSERT_EQUAL(stats.hosts, 0);
}

/* --- addresses -------------------------------------------------------------- */

/* Both ends of each range that is refused, and their neighbours. */
static const uint32_t refused_addresses[] = {
	0x00000000, 0x00ffffff, 0x7f000000, 0x7f000001, 0x7fffffff,
	0xa9fe0000, 0xa9feffff, 0xe0000000, 0xe0000001, 0xeffffffa,
	0xefffffff, 0xf0000000, 0xfffffffe, 0xffffffff
};
static const uint32_t good_addresses[] = {
	0x01000000, 0x7effffff, 0x80000000, 0xa9fdffff,
	0xa9ff0000, 0xdfffffff, 0xc0000201, /* the documentation's own networks are ordinary */
	0xc6336401, 0xcb007101
};

/* Dropped silently. */
static void is_martian(struct engine *engine, enum nat_path path,
		       struct flow flow)
{
	struct nat_result result = engine_udp(engine, path, flow);

	ASSERT_DROPPED(result, NAT_DROP_MARTIAN);
	CU_ASSERT_EQUAL(result.answer_length, 0);
}

static void martian_destinations(void)
{
	struct engine engine;

	engine_make(&engine);
	for (size_t i = 0; i < COUNT(refused_addresses); i++)
		is_martian(&engine, NAT_PATH_OUTBOUND,
			   flow_of(INSIDE_1, 5000, refused_addresses[i], 7000));
	no_state(&engine);
	for (size_t i = 0; i < COUNT(good_addresses); i++)
		ASSERT_TRANSLATED(engine_udp(&engine, NAT_PATH_OUTBOUND,
					     flow_of(INSIDE_1, 5000,
						     good_addresses[i], 7000)));
	engine_free(&engine);
}

static void martian_sources(void)
{
	struct engine engine;

	engine_make(&engine);
	for (size_t i = 0; i < COUNT(refused_addresses); i++)
		is_martian(&engine, NAT_PATH_OUTBOUND,
			   flow_of(refused_addresses[i], 5000, PEER_1, 7000));
	no_state(&engine);
	engine_open(&engine, NAT_PROTO_UDP, out);
	for (size_t i = 0; i < COUNT(refused_addresses); i++)
		is_martian(&engine, NAT_PATH_INBOUND,
			   flow_of(refused_addresses[i], 7000, UPLINK, 5000));
	for (size_t i = 0; i < COUNT(good_addresses); i++)
		ASSERT_TRANSLATED(engine_udp(&engine, NAT_PATH_INBOUND,
					     flow_of(good_addresses[i], 7000,
						     UPLINK, 5000)));
	engine_free(&engine);
}

/* DHCP, SSDP, mDNS, NAT-PMP's announcements: the daily noise. */
static void noise(void)
{
	static const struct flow flows[] = {
		{ 0, 68, 0xffffffff, 67 },
		{ INSIDE_1, 1900, 0xeffffffa, 1900 },
		{ INSIDE_1, 5353, 0xe00000fb, 5353 },
		{ INSIDE_1, 5351, 0xe0000001, 5350 },
		{ 0xa9fe0102, 137, 0xa9feffff, 137 },
	};
	struct engine engine;

	engine_make(&engine);
	for (size_t i = 0; i < COUNT(flows); i++)
		is_martian(&engine, NAT_PATH_OUTBOUND, flows[i]);
	no_state(&engine);
	engine_free(&engine);
}

static void extra_martians(void)
{
	static const struct nat_prefix extra = { 0x0a000000, 8 };
	struct engine engine;

	engine_make(&engine);
	engine.config.martians = &extra;
	engine.config.martian_count = 1;
	engine_configure(&engine);
	is_martian(&engine, NAT_PATH_OUTBOUND,
		   flow_of(INSIDE_1, 5000, 0x0a000000, 7000));
	is_martian(&engine, NAT_PATH_OUTBOUND,
		   flow_of(INSIDE_1, 5000, 0x0affffff, 7000));
	ASSERT_TRANSLATED(
		engine_udp(&engine, NAT_PATH_OUTBOUND,
			   flow_of(INSIDE_1, 5000, 0x0b000000, 7000)));
	engine_free(&engine);
}

static void inside_sources(void)
{
	/* Beside the network, elsewhere, its broadcast, ourselves. */
	static const uint32_t strangers[] = { 0xc0a800ff, 0xc0a80200, PEER_2,
					      0xc0a801ff, UPLINK };
	static const uint32_t own[] = { 0xc0a80101, 0xc0a801fe };
	struct engine engine;

	engine_make(&engine);
	for (size_t i = 0; i < COUNT(strangers); i++)
		is_martian(&engine, NAT_PATH_OUTBOUND,
			   flow_of(strangers[i], 5000, PEER_1, 7000));
	no_state(&engine);
	for (size_t i = 0; i < COUNT(own); i++)
		ASSERT_TRANSLATED(
			engine_udp(&engine, NAT_PATH_OUTBOUND,
				   flow_of(own[i], 5000, PEER_1, 7000)));
	engine_free(&engine);
}

static void outside_sources(void)
{
	static const uint32_t spoofed[] = { 0xc0a80100, INSIDE_1, INSIDE_2,
					    0xc0a801ff, UPLINK };
	struct engine engine;

	engine_make(&engine);
	engine_open(&engine, NAT_PROTO_UDP, out);
	for (size_t i = 0; i < COUNT(spoofed); i++)
		is_martian(&engine, NAT_PATH_INBOUND,
			   flow_of(spoofed[i], 7000, UPLINK, 5000));
	/* The networks beside the inside are like any other. */
	ASSERT_TRANSLATED(engine_udp(&engine, NAT_PATH_INBOUND,
				     flow_of(0xc0a800ff, 7000, UPLINK, 5000)));
	ASSERT_TRANSLATED(engine_udp(&engine, NAT_PATH_INBOUND,
				     flow_of(0xc0a80200, 7000, UPLINK, 5000)));
	engine_free(&engine);
}

static void land(void)
{
	struct engine engine;

	engine_make(&engine);
	is_martian(&engine, NAT_PATH_OUTBOUND,
		   flow_of(INSIDE_1, 5000, INSIDE_1, 5000));
	is_martian(&engine, NAT_PATH_OUTBOUND,
		   flow_of(INSIDE_1, 5000, INSIDE_1, 7000));
	no_state(&engine);
	engine_open(&engine, NAT_PROTO_UDP, out);
	is_martian(&engine, NAT_PATH_INBOUND,
		   flow_of(UPLINK, 5000, UPLINK, 5000));
	is_martian(&engine, NAT_PATH_HAIRPIN_IN,
		   flow_of(UPLINK, 5000, UPLINK, 5000));
	ASSERT_DROPPED(engine_tcp(&engine, NAT_PATH_INBOUND,
				  flow_of(UPLINK, 80, UPLINK, 80), SYN),
		       NAT_DROP_MARTIAN);
	engine_free(&engine);
}

/* --- bad headers ------------------------------------------------------------------ */

static void bad_header(struct engine *engine, uint32_t at, uint8_t value,
		       enum nat_drop drop)
{
	struct nat_result result;

	packet_udp(&engine->packet, out, NULL, 20);
	engine->packet.data[at] = value;
	/* A header of less than 20 bytes has no checksum that could be right. */
	if (at != 10 && (value & 15) >= 5)
		packet_fix_ip(&engine->packet);
	result = engine_run(engine, NAT_PATH_OUTBOUND);
	ASSERT_DROPPED(result, drop);
	CU_ASSERT_EQUAL(result.answer_length, 0);
	CU_ASSERT_EQUAL(engine_stats(engine).drops[drop], 1);
	engine_free(engine);
	engine_make(engine);
}

static void bad_headers(void)
{
	struct engine engine;

	engine_make(&engine);
	bad_header(&engine, 0, 0x65, NAT_DROP_MALFORMED); /* version 6 */
	bad_header(&engine, 0, 0x44, NAT_DROP_MALFORMED); /* IHL 4 */
	bad_header(&engine, 3, 19, NAT_DROP_MALFORMED); /* total length */
	bad_header(&engine, 3, 49, NAT_DROP_MALFORMED); /* one too many */
	bad_header(&engine, 10, 0x12, NAT_DROP_BAD_CHECKSUM);
	packet_udp(&engine.packet, out, NULL, 20);
	engine.packet.length = 19;
	ASSERT_DROPPED(engine_run(&engine, NAT_PATH_OUTBOUND),
		       NAT_DROP_MALFORMED);
	engine_free(&engine);
}

/* Source routes and the options that write inside addresses down. */
static void route_options(void)
{
	static const uint8_t refused[] = { 131, 137, 7, 68, 82 };
	static const uint8_t passed[] = { 148, 130 };
	struct engine engine;

	engine_make(&engine);
	for (size_t i = 0; i < COUNT(refused) + COUNT(passed); i++) {
		bool bad = i < COUNT(refused);

		packet_udp(&engine.packet, out, NULL, 20);
		packet_add_options(&engine.packet, 3);
		engine.packet.data[20] = bad ? refused[i] :
					       passed[i - COUNT(refused)];
		engine.packet.data[21] = 11;
		engine.packet.data[22] = 4;
		packet_fix_ip(&engine.packet);
		CU_ASSERT_EQUAL(engine_run(&engine, NAT_PATH_OUTBOUND).verdict,
				bad ? NAT_DROPPED : NAT_TRANSLATED);
	}
	engine_free(&engine);
}

/* Nor do errors that quote one, whoever they are for. */
static void quoted_route(void)
{
	struct packet about;
	struct engine engine;

	engine_make(&engine);
	engine_udp(&engine, NAT_PATH_OUTBOUND, out);
	for (int bad = 0; bad < 2; bad++) {
		packet_udp(&about,
			   flow_of(UPLINK, out.sport, PEER_1, out.dport), NULL,
			   20);
		packet_add_options(&about, 3);
		about.data[20] = bad ? 131 : 148;
		about.data[21] = 11;
		about.data[22] = 4;
		packet_fix_ip(&about);
		packet_error(&engine.packet,
			     (struct error){ .src = PEER_2,
					     .dst = UPLINK,
					     .type = 3,
					     .code = 5,
					     .bytes = 40 },
			     &about);
		CU_ASSERT_EQUAL(engine_run(&engine, NAT_PATH_INBOUND).verdict,
				bad ? NAT_DROPPED : NAT_TRANSLATED);
	}
	engine_free(&engine);
}

/* --- late answers --------------------------------------------------------------- */

/* Silence, and after 6 s (if asked for) one port unreachable that quotes it. */
static void late_answer(void)
{
	struct engine engine;
	struct packet syn, answer;

	engine_make(&engine);
	engine.config.icmp_after_6s = true;
	engine_tcp(&engine, NAT_PATH_INBOUND,
		   flow_of(PEER_1, 7000, UPLINK, 5000), SYN);
	syn = engine.packet;
	engine.now += 6 * SECOND - 1;
	CU_ASSERT_EQUAL(bench_outputs(&engine, &answer), 0);
	engine.now += 1;
	CU_ASSERT_EQUAL(bench_outputs(&engine, &answer), 1);
	CU_ASSERT_PTR_NULL(packet_wrong(answer.data, answer.length));
	CU_ASSERT_EQUAL(packet_flow(&answer).src, UPLINK);
	CU_ASSERT_EQUAL(packet_flow(&answer).dst, PEER_1);
	CU_ASSERT_EQUAL(packet_get16(answer.data + PACKET_IP), 0x0303);
	CU_ASSERT_EQUAL(memcmp(answer.data + 28, syn.data, syn.length), 0);
	engine.now += 60 * SECOND;
	CU_ASSERT_EQUAL(bench_outputs(&engine, &answer), 0);
	engine_free(&engine);
}

static void late_cancelled(void)
{
	struct engine engine;

	engine_make(&engine);
	engine.config.icmp_after_6s = true;
	ASSERT_DROPPED(engine_tcp(&engine, NAT_PATH_INBOUND,
				  flow_of(PEER_1, 7000, UPLINK, 5000), SYN),
		       NAT_DROP_NO_MAPPING);
	engine.now += 6 * SECOND - 1;
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_TCP, out), 5000);
	engine.now += 60 * SECOND;
	CU_ASSERT_EQUAL(bench_outputs(&engine, NULL), 0);
	engine_free(&engine);
}

static void late_off(void)
{
	struct engine engine;

	engine_make(&engine);
	engine_tcp(&engine, NAT_PATH_INBOUND,
		   flow_of(PEER_1, 7000, UPLINK, 5000), SYN);
	for (int s = 0; s < 60; s++) {
		engine.now += SECOND;
		CU_ASSERT_EQUAL(bench_outputs(&engine, NULL), 0);
	}
	engine_free(&engine);
}

/* --- forged ICMP ------------------------------------------------------------------- */

static struct nat_result too_big(struct engine *engine, struct packet *about,
				 uint32_t mtu)
{
	return bench_error(engine, PEER_3, 3, 4, mtu, about);
}

/* RFC 1191 3: no path is narrower than 68. 0 is what old routers say. */
static void tiny_mtu(void)
{
	struct engine engine;
	struct packet about;

	engine_make(&engine);
	engine_tcp(&engine, NAT_PATH_OUTBOUND, out, SYN);
	about = engine.packet;
	CU_ASSERT_EQUAL(too_big(&engine, &about, 20).verdict, NAT_DROPPED);
	CU_ASSERT_EQUAL(too_big(&engine, &about, 1).verdict, NAT_DROPPED);
	CU_ASSERT_EQUAL(too_big(&engine, &about, 67).verdict, NAT_DROPPED);
	ASSERT_TRANSLATED(too_big(&engine, &about, 68));
	ASSERT_TRANSLATED(too_big(&engine, &about, 0));
	engine_free(&engine);
}

/* Only the whole tuple of a live session makes an error pass. */
static void blind_errors(void)
{
	struct nat_session_view before, after;
	struct engine engine;
	struct packet about;
	unsigned passed = 0;

	engine_make(&engine);
	engine_open(&engine, NAT_PROTO_TCP, out);
	engine_session(&engine, 5000, PEER_1, &before);
	for (uint32_t port = 1; port < 65536; port += 3) {
		packet_tcp(&about,
			   flow_of(UPLINK, 5000, PEER_1, (uint16_t)port),
			   (struct segment){ .flags = ACK });
		passed +=
			bench_error(&engine, PEER_3, 3, 3, 0, &about).verdict ==
			NAT_TRANSLATED;
	}
	CU_ASSERT_EQUAL(passed, 7000 % 3 == 1);
	engine_session(&engine, 5000, PEER_1, &after);
	CU_ASSERT_EQUAL(after.state, before.state);
	CU_ASSERT_EQUAL(after.expires_ms, before.expires_ms);
	CU_ASSERT_EQUAL(after.counters.in_packets, 0);
	engine_free(&engine);
}

static const struct requirement table[] = {
	{ "RFC6890 destination", "MUST",
	  "no state and no answer for destinations that are no hosts",
	  martian_destinations, NULL },
	{ "RFC6890 source", "MUST", "nor for such sources, either way",
	  martian_sources, NULL },
	{ "BEHAVE 19.27 noise", "MUST",
	  "broadcast, multicast and link-local noise makes no state", noise,
	  NULL },
	{ "RFC1812 5.3.7", "MAY", "more martians can be configured",
	  extra_martians, NULL },
	{ "RFC2827 inside", "MUST", "from inside only inside sources pass",
	  inside_sources, NULL },
	{ "RFC2827 outside", "MUST",
	  "from outside neither inside sources nor our own", outside_sources,
	  NULL },
	{ "BEHAVE 19.26 LAND", "MUST", "LAND packets are dropped", land, NULL },
	{ "RFC1812 5.2.2", "MUST", "bad headers are dropped and counted",
	  bad_headers, NULL },
	{ "RFC5508 REQ-10b route", "SHOULD NOT",
	  "source-routed packets and recorded routes do not cross",
	  route_options, NULL },
	{ "RFC5508 REQ-10b quoted route", "SHOULD NOT",
	  "nor errors that quote such a packet", quoted_route, NULL },
	{ "RFC5382 REQ-4 late", "MUST NOT",
	  "no answer to an unsolicited SYN before 6 s, then one 3/3",
	  late_answer, NULL },
	{ "RFC5382 REQ-4 cancel", "MUST",
	  "none at all when the host's own SYN passes until then",
	  late_cancelled, NULL },
	{ "RFC5382 REQ-4a silent", "MUST", "and none if policy is silence",
	  late_off, NULL },
	{ "RFC5927 7", "SHOULD", "a path MTU below 68 is not believed",
	  tiny_mtu, NULL },
	{ "RFC5927 4", "SHOULD",
	  "an error needs the tuple of a live session, and changes nothing",
	  blind_errors, NULL },
};

int main(int argc, char **argv)
{
	return requirement_run("security", table, COUNT(table), argc, argv);
}
