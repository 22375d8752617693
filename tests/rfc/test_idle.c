/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Ends that may be gone: the question to an idle TCP connection (RFC 7857 2),
 * and a host whose address goes to another one (RFC 4787 13, behave 19.34).
 */
#include "bench.h"

#define ESTABLISHED_MS (7200 * SECOND) /* until TRANS */
#define CLOSING_MS (240 * SECOND)

static const struct flow out = { INSIDE_1, 5000, PEER_1, 80 };

/* A connection, established and idle until one millisecond before TRANS. */
static void make_idle(struct engine *engine)
{
	engine_make(engine);
	engine_open(engine, NAT_PROTO_TCP, out);
	engine_answer(engine, NAT_PROTO_TCP, PEER_1, 80, 5000);
	engine_tcp(engine, NAT_PATH_OUTBOUND, out, ACK);
	CU_ASSERT_EQUAL(bench_outputs(engine, NULL), 0);
	bench_later(engine, ESTABLISHED_MS - 1);
	CU_ASSERT_EQUAL(bench_outputs(engine, NULL), 0);
}

/* --- the question ------------------------------------------------------------- */

static void probe(void)
{
	struct nat_session_view view;
	struct packet asked;
	struct engine engine;
	const uint8_t *tcp = asked.data + PACKET_IP;

	make_idle(&engine);
	bench_later(&engine, 1);
	CU_ASSERT_EQUAL_FATAL(bench_outputs(&engine, &asked), 1);
	CU_ASSERT_PTR_NULL(packet_wrong(asked.data, asked.length));
	CU_ASSERT_EQUAL(asked.length, 40);
	CU_ASSERT_TRUE(
		flow_is(packet_flow(&asked), PEER_1, 80, INSIDE_1, 5000));
	CU_ASSERT_EQUAL(packet_get32(tcp + 4), 0);
	CU_ASSERT_EQUAL(packet_get32(tcp + 8), 0);
	CU_ASSERT_EQUAL(tcp[13], ACK);
	CU_ASSERT_EQUAL(engine_stats(&engine).idle_probes, 1);
	/* Asked once. */
	bench_later(&engine, 100 * SECOND);
	CU_ASSERT_EQUAL(bench_outputs(&engine, NULL), 0);
	CU_ASSERT_TRUE(engine_session(&engine, 5000, PEER_1, &view));
	CU_ASSERT_EQUAL(view.state, NAT_STATE_TRANS);
	engine_free(&engine);
}

static void probe_alive(void)
{
	struct nat_session_view view;
	struct engine engine;

	make_idle(&engine);
	bench_later(&engine, 1);
	bench_outputs(&engine, NULL);
	engine_tcp(&engine, NAT_PATH_OUTBOUND, out, ACK);
	CU_ASSERT_TRUE(engine_session(&engine, 5000, PEER_1, &view));
	CU_ASSERT_EQUAL(view.state, NAT_STATE_ESTABLISHED);
	CU_ASSERT_EQUAL(view.expires_ms, ESTABLISHED_MS + CLOSING_MS);
	engine_free(&engine);
}

static void probe_dead(void)
{
	struct engine engine;

	make_idle(&engine);
	bench_later(&engine, 1);
	bench_outputs(&engine, NULL);
	engine_tcp(&engine, NAT_PATH_OUTBOUND, out, RST);
	bench_later(&engine, CLOSING_MS - 1);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 1);
	bench_later(&engine, 1);
	CU_ASSERT_EQUAL(engine_stats(&engine).sessions, 0);
	engine_free(&engine);
}

/* Nobody is asked whose connection goes on, or while there is no uplink. */
static void probe_not(void)
{
	struct engine engine;

	make_idle(&engine);
	bench_later(&engine, 1);
	engine_tcp(&engine, NAT_PATH_OUTBOUND, out, ACK);
	CU_ASSERT_EQUAL(bench_outputs(&engine, NULL), 0);
	engine_free(&engine);
	make_idle(&engine);
	nat_set_uplink(engine.nat, 0, engine.now);
	bench_later(&engine, 1);
	CU_ASSERT_EQUAL(bench_outputs(&engine, NULL), 0);
	nat_set_uplink(engine.nat, UPLINK, engine.now);
	CU_ASSERT_EQUAL(bench_outputs(&engine, NULL), 1);
	engine_free(&engine);
	make_idle(&engine);
	engine.config.idle_probe = false;
	bench_later(&engine, 1);
	CU_ASSERT_EQUAL(bench_outputs(&engine, NULL), 0);
	engine_free(&engine);
}

/* So many connections, all idle from one moment on. */
static void idle_crowd(struct engine *engine, uint16_t count)
{
	engine_make(engine);
	engine->unproven = true;
	for (uint16_t i = 0; i < count; i++) {
		struct flow flow =
			flow_of(INSIDE_1, 5000, PEER_1, (uint16_t)(1000 + i));

		engine_open(engine, NAT_PROTO_TCP, flow);
		engine_answer(engine, NAT_PROTO_TCP, PEER_1, flow.dport, 5000);
	}
	bench_later(engine, ESTABLISHED_MS);
}

/* 64 at a time; the others are counted. */
static void probe_many(void)
{
	struct engine engine;

	idle_crowd(&engine, 64);
	CU_ASSERT_EQUAL(engine_stats(&engine).idle_unprobed, 0);
	CU_ASSERT_EQUAL(bench_outputs(&engine, NULL), 64);
	engine_free(&engine);
	idle_crowd(&engine, 65);
	CU_ASSERT_EQUAL(engine_stats(&engine).idle_unprobed, 1);
	CU_ASSERT_EQUAL(bench_outputs(&engine, NULL), 64);
	CU_ASSERT_EQUAL(engine_stats(&engine).idle_probes, 64);
	engine_free(&engine);
}

/* --- another owner ------------------------------------------------------------ */

static void flush(void)
{
	static const struct nat_forward web = {
		.name = "web",
		.proto = NAT_PROTO_TCP,
		.outside_first = 8080,
		.outside_last = 8080,
		.inside_addr = INSIDE_1,
		.inside_first = 80,
	};
	struct nat_mapping_view view;
	struct engine engine;
	uint16_t other;

	engine_make(&engine);
	engine.config.forwards = &web;
	engine.config.forward_count = 1;
	engine_configure(&engine);
	engine_open(&engine, NAT_PROTO_UDP, out);
	engine_open(&engine, NAT_PROTO_TCP, out);
	engine_open(&engine, NAT_PROTO_ICMP, out);
	engine_tcp(&engine, NAT_PATH_INBOUND, flow_of(PEER_2, 9, UPLINK, 8080),
		   SYN);
	other = engine_open(&engine, NAT_PROTO_UDP,
			    flow_of(INSIDE_2, 5000, PEER_1, 80));
	CU_ASSERT_EQUAL(nat_flush_host(engine.nat, INSIDE_1, engine.now), 4);
	CU_ASSERT_PTR_NULL(nat_check(engine.nat));
	ASSERT_DROPPED(engine_answer(&engine, NAT_PROTO_UDP, PEER_1, 80, 5000),
		       NAT_DROP_NO_MAPPING);
	ASSERT_DROPPED(engine_answer(&engine, NAT_PROTO_TCP, PEER_1, 80, 5000),
		       NAT_DROP_NO_MAPPING);
	/* The forward is the operator's; the other host's mapping is its own. */
	CU_ASSERT_TRUE(engine_mapping(&engine, 8080, &view));
	CU_ASSERT_EQUAL(view.sessions, 0);
	ASSERT_TRANSLATED(
		engine_answer(&engine, NAT_PROTO_UDP, PEER_1, 80, other));
	CU_ASSERT_EQUAL(nat_flush_host(engine.nat, INSIDE_1, engine.now), 0);
	engine_free(&engine);
}

/* Nobody inherits: the ports rest. */
static void flush_hold(void)
{
	struct engine engine;

	engine_make(&engine);
	engine_pool(&engine.config, 40000, 40000);
	engine_configure(&engine);
	engine_open(&engine, NAT_PROTO_UDP, out);
	nat_flush_host(engine.nat, INSIDE_1, engine.now);
	engine.now += 120 * SECOND - 1;
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_UDP,
				    flow_of(INSIDE_2, 5000, PEER_1, 80)),
			0);
	engine.now += 1;
	CU_ASSERT_EQUAL(engine_open(&engine, NAT_PROTO_UDP,
				    flow_of(INSIDE_2, 5000, PEER_1, 80)),
			40000);
	engine_free(&engine);
}

static const struct requirement table[] = {
	{ "RFC7857 2 probe", "SHOULD",
	  "an end idle for two hours is asked by an ACK with numbers 0", probe,
	  NULL },
	{ "RFC7857 2 probe alive", "SHOULD",
	  "its answer brings the session back to ESTABLISHED", probe_alive,
	  NULL },
	{ "RFC7857 2 probe dead", "SHOULD",
	  "without one the session ends after its time in TRANS", probe_dead,
	  NULL },
	{ "RFC7857 2 probe not", "ENG",
	  "who speaks, has no uplink or an operator against it is not asked",
	  probe_not, NULL },
	{ "RFC7857 2 probe limit", "ENG",
	  "64 are asked at once, the others are counted", probe_many, NULL },
	{ "RFC4787 13 lease", "SHOULD",
	  "a host whose lease ended leaves nothing to the next owner", flush,
	  NULL },
	{ "BEHAVE 19.34 hold", "ENG", "the ports of such a host rest",
	  flush_hold, NULL },
};

int main(int argc, char **argv)
{
	return requirement_run("idle", table, COUNT(table), argc, argv);
}
