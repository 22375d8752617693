/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A death after each single store of whatever writes records. What it leaves
 * behind is restored as before, or as after, or without the one record that
 * was being written, which is counted and whose port rests. Nobody else loses
 * anything, and nothing is translated otherwise than before.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "nat/internal.h"
#include "restore_judge.h"
#include "restore_lab.h"
#include "snapshot.h"
#include "stores.h"
#include "suite.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define UPLINK_2 0xcb007108U
#define IMAGES 4000

static const struct nat_limits limits = {
	.mappings = 20,
	.sessions = 20,
	.hosts = 5,
	.held_ports = 4,
	.fragments = 1,
	.fragment_bytes = 1,
	.tagged = 4,
};

/* What is done is one call of the engine's, made ready before. */
struct operation {
	const char *name;
	void (*prepare)(struct engine *engine);
	void (*run)(struct engine *engine);
	/* It ends or changes several records, each of which may be left as it
	 * was: of these, some were done. */
	bool several;
	/* Records lost at most, with what hangs on them. */
	uint32_t most;
};

static const struct operation *current;

/* --- operations ------------------------------------------------------------ */

static void translate(struct engine *engine, enum nat_path path)
{
	struct nat_packet packet = { .data = engine->packet.data,
				     .length = engine->packet.length,
				     .path = path };

	ASSERT_TRANSLATED(nat_translate(engine->nat, &packet, engine->now));
}

static void send_out(struct engine *engine)
{
	translate(engine, NAT_PATH_OUTBOUND);
}

static void take_in(struct engine *engine)
{
	translate(engine, NAT_PATH_INBOUND);
}

static void expire(struct engine *engine)
{
	nat_expire(engine->nat, engine->now, 100);
}

static void ready_udp(struct engine *engine, uint32_t host, uint16_t port,
		      uint32_t peer)
{
	packet_udp(&engine->packet, flow_of(host, port, peer, 7000), NULL, 11);
}

static void make_mapping(struct engine *engine)
{
	ready_udp(engine, INSIDE_2, 5005, PEER_1);
}

static void make_host(struct engine *engine)
{
	ready_udp(engine, INSIDE_1 + 4, 5005, PEER_1);
}

/* The table of hosts is full: an idle one gives way. */
static void make_host_in_place(struct engine *engine)
{
	for (uint16_t i = 2; i < 5; i++)
		open_from(engine, NAT_PROTO_ICMP, INSIDE_1 + i, 90 + i);
	engine->now += 60 * SECOND;
	expire(engine);
	ready_udp(engine, INSIDE_1 + 9, 5005, PEER_1);
}

static void make_session(struct engine *engine)
{
	ready_udp(engine, INSIDE_2, 5000, PEER_2);
}

static void make_tunnel(struct engine *engine)
{
	packet_gre_keyed(&engine->packet, INSIDE_3, PEER_2, 13);
}

/* One millisecond before the first session of `open` is due, all else that was
 * due has ended. */
static void until_due(struct engine *engine, uint64_t ms)
{
	engine->now += ms - 1;
	expire(engine);
	engine->now += 1;
}

static void refresh_udp(struct engine *engine)
{
	open_from(engine, NAT_PROTO_UDP, INSIDE_1, 5000);
	open_from(engine, NAT_PROTO_UDP, INSIDE_2, 5000);
}

static void end_session(struct engine *engine)
{
	open_from(engine, NAT_PROTO_UDP, INSIDE_3, 5100);
	engine->now += SECOND;
	engine_open(engine, NAT_PROTO_UDP,
		    flow_of(INSIDE_3, 5100, PEER_2, 7000));
	refresh_udp(engine);
	until_due(engine, 299 * SECOND);
}

static void end_mapping(struct engine *engine)
{
	open_from(engine, NAT_PROTO_UDP, INSIDE_3, 5100);
	engine->now += SECOND;
	refresh_udp(engine);
	until_due(engine, 299 * SECOND);
}

static void end_with_full_ring(struct engine *engine)
{
	open_from(engine, NAT_PROTO_UDP, INSIDE_3, 5100);
	engine->now += 239 * SECOND;
	refresh_udp(engine);
	for (uint16_t i = 0; i < 4; i++)
		open_from(engine, NAT_PROTO_ICMP, INSIDE_3, 90 + i);
	until_due(engine, 61 * SECOND);
	CU_ASSERT_EQUAL(engine_stats(engine).ports[NAT_POOL_ICMP].held, 4);
}

static void end_rest(struct engine *engine)
{
	engine->now += 60 * SECOND;
	expire(engine);
	CU_ASSERT_EQUAL(engine_stats(engine).ports[NAT_POOL_ICMP].held, 1);
	engine->now += 60 * SECOND;
	refresh_udp(engine);
	until_due(engine, 60 * SECOND);
}

static void end_tunnel(struct engine *engine)
{
	gre(engine, NAT_PATH_OUTBOUND, INSIDE_3, PEER_2, 13);
	engine->now += SECOND;
	refresh_udp(engine);
	gre(engine, NAT_PATH_OUTBOUND, INSIDE_1, PEER_2, 11);
	gre(engine, NAT_PATH_OUTBOUND, INSIDE_2, PEER_2, 12);
	until_due(engine, 239 * SECOND);
}

static void answer_tcp(struct engine *engine)
{
	packet_tcp(&engine->packet, flow_of(PEER_1, 7000, UPLINK, 6000),
		   (struct segment){ .flags = ACK | PSH,
				     .seq = 1001,
				     .ack = 1001,
				     .window = 65535 });
}

static void flush(struct engine *engine)
{
	nat_flush_host(engine->nat, INSIDE_1, engine->now);
}

static void nothing(struct engine *engine)
{
	(void)engine;
}

/* --- moves and forwards ------------------------------------------------------- */

/* To UPLINK, where the router listens on a port that a mapping has. */
static void ready_to_move(struct engine *engine)
{
	static struct nat_portset bound;

	struct nat_session_view view;

	engine_udp(engine, NAT_PATH_HAIRPIN_IN,
		   flow_of(INSIDE_2, 5000, UPLINK_2, 8001));
	engine_run(engine, NAT_PATH_HAIRPIN_OUT);
	CU_ASSERT_TRUE(engine_session(engine, 5000, UPLINK_2, &view));
	memset(&bound, 0, sizeof(bound));
	nat_portset_add(&bound, 5000);
	nat_set_bound(engine->nat, NAT_POOL_UDP, &bound);
}

static void move(struct engine *engine)
{
	nat_set_uplink(engine->nat, UPLINK, engine->now);
}

static void configure(struct engine *engine)
{
	nat_configure(engine->nat, &engine->config, engine->now);
}

static const struct nat_forward takes_a_port = { .name = "takes",
						 .proto = NAT_PROTO_UDP,
						 .outside_first = 5000,
						 .outside_last = 5000,
						 .inside_addr = INSIDE_3,
						 .inside_first = 90 };

static void ready_to_take(struct engine *engine)
{
	engine->config.forwards = &takes_a_port;
	engine->config.forward_count = 1;
}

static void ready_to_add(struct engine *engine)
{
	engine->config.forward_count = COUNT(restore_forwards);
}

static void ready_to_remove(struct engine *engine)
{
	engine->config.forward_count = 0;
}

/* --- restoring ----------------------------------------------------------------- */

static void restore(struct engine *engine)
{
	static const struct nat_secrets secrets = { .hash_key = "once more" };
	const uint8_t boot[16] = { engine->boot };
	size_t bytes = nat_indices_size(&limits);
	struct nat_restored restored;

	memset(engine->indices, 0, bytes);
	engine->nat = nat_restore(&engine->limits, &secrets, boot,
				  engine->records, nat_records_size(&limits),
				  engine->indices, bytes, engine->now,
				  &restored);
	CU_ASSERT_PTR_NOT_NULL_FATAL(engine->nat);
}

/* Something of everything does not check. */
static void damage(struct engine *engine)
{
	struct nat *nat = engine->nat;

	nat_hold(nat, NAT_POOL_ICMP, 400, engine->now);
	nat_hold(nat, NAT_POOL_ICMP, 401, engine->now);
	nat->held[0].check++;
	nat->mappings[2].check++;
	nat->sessions[3].check++;
	nat->hosts[1].check++;
	nat->tagged[1].check++;
}

static void forget(struct engine *engine)
{
	memset(engine->records, 0, nat_records_size(&limits));
}

static void reboot(struct engine *engine)
{
	engine->boot = 7;
}

static void other_limits(struct engine *engine)
{
	engine->limits.sessions /= 2;
}

static const struct operation operations[] = {
	{ "a packet of a connection", answer_tcp, take_in, false, 0 },
	{ "a new mapping", make_mapping, send_out, false, 2 },
	{ "a new host", make_host, send_out, false, 2 },
	{ "a new host in an idle one's place", make_host_in_place, send_out,
	  false, 2 },
	{ "a new session", make_session, send_out, false, 1 },
	{ "a new tunnel", make_tunnel, send_out, false, 3 },
	{ "the end of a session", end_session, expire, false, 1 },
	{ "the end of a mapping", end_mapping, expire, false, 3 },
	{ "the end of a mapping, with a full ring of ports at rest",
	  end_with_full_ring, expire, false, 3 },
	{ "the end of a rest", end_rest, expire, false, 1 },
	{ "the end of a tunnel", end_tunnel, expire, false, 3 },
	{ "the end of all that a host has", nothing, flush, true, 3 },
	{ "a move", ready_to_move, move, true, 2 },
	{ "a forward that takes a port", ready_to_take, configure, true, 2 },
	{ "more forwards of one inside socket", ready_to_add, configure, true,
	  1 },
	{ "the end of a forward", ready_to_remove, configure, true, 1 },
	{ "a restore", nothing, restore, false, 0 },
	{ "a restore that loses records", damage, restore, true, 12 },
	{ "a first start", forget, restore, true, 0 },
	{ "a start after a reboot", reboot, restore, true, 1 },
	{ "a start with other limits", other_limits, restore, true, 1 },
};

/* --- judging -------------------------------------------------------------------- */

/* What one operation did, and what is asked of each image of it. */
struct course {
	struct engine engine;
	struct stores stores;
	struct snapshot before, after, both, kept;
	bool ends; /* the whole table */
	uint32_t as_before, as_after, lost, most;
};

static void run_current(void *context)
{
	current->run(context);
}

static void fill_table(struct engine *engine, uint32_t uplink)
{
	engine_defaults(&engine->config);
	engine->config.forwards = restore_forwards;
	engine->config.forward_count = 1;
	engine_configure(engine);
	nat_set_uplink(engine->nat, uplink, engine->now);
	engine->now += 10 * SECOND;
	open_from(engine, NAT_PROTO_UDP, INSIDE_1, 5000);
	open_from(engine, NAT_PROTO_UDP, INSIDE_2, 5000);
	open_from(engine, NAT_PROTO_TCP, INSIDE_1, 6000);
	engine_tcp(engine, NAT_PATH_INBOUND,
		   flow_of(PEER_1, 7000, uplink, 6000), SYN | ACK);
	engine_tcp(engine, NAT_PATH_OUTBOUND,
		   flow_of(INSIDE_1, 6000, PEER_1, 7000), ACK);
	open_from(engine, NAT_PROTO_ICMP, INSIDE_2, 70);
	gre(engine, NAT_PATH_OUTBOUND, INSIDE_1, PEER_2, 11);
	gre(engine, NAT_PATH_OUTBOUND, INSIDE_2, PEER_2, 12);
}

static void course_begin(struct course *course)
{
	struct engine *engine = &course->engine;

	memset(course, 0, sizeof(*course));
	engine_bare(engine, &limits);
	free(engine->records);
	stores_make(&course->stores, nat_records_size(&limits), IMAGES);
	engine->records = course->stores.block;
	engine_restore(engine);
	fill_table(engine, current->run == move ? UPLINK_2 : UPLINK);
}

static void course_end(struct course *course)
{
	stores_free(&course->stores);
	free(course->engine.indices);
}

/* Shown at UPLINK, wherever it was. */
static void take(struct snapshot *snapshot, const struct engine *engine)
{
	snapshot_take(snapshot, engine);
	for (uint32_t i = 0; i < snapshot->mapping_count; i++)
		snapshot->mappings[i].outside_addr = UPLINK;
}

static void course_run(struct course *course)
{
	struct engine *engine = &course->engine;

	current->prepare(engine);
	take(&course->before, engine);
	stores_watch(&course->stores, run_current, engine);
	if (current->run == restore) {
		CU_ASSERT_PTR_NULL(nat_check(engine->nat));
		engine_configure(engine);
		move(engine);
	}
	take(&course->after, engine);
	course->ends = current->run == restore && !course->after.session_count;
	snapshot_join(&course->both, &course->before, &course->after);
	snapshot_meet(&course->kept, &course->before, &course->after);
}

static void restore_image(const struct course *course, uint32_t image,
			  struct engine *engine, struct nat_restored *restored)
{
	size_t bytes = course->stores.bytes;

	engine_bare(engine, &limits);
	engine->now = course->engine.now;
	engine->boot = course->engine.boot;
	engine->limits = course->engine.limits;
	engine->config = course->engine.config;
	memcpy(engine->records, course->stores.images + image * bytes, bytes);
	*restored = restart(engine);
}

static const char *judge_image(struct course *course, struct engine *engine,
			       const struct nat_restored *restored)
{
	uint32_t lost = losses(restored);
	struct snapshot shown;

	snapshot_take(&shown, engine);
	if (lost > course->most)
		course->most = lost;
	if (lost > current->most)
		return "more was lost than was being written";
	course->lost += lost != 0;
	if (snapshot_exceeds(&shown, &course->both))
		return "there is what never was";
	/* A table that ends may end at any store, and another one begins. */
	if (course->ends)
		return open_from(engine, NAT_PROTO_UDP, INSIDE_1, 5500) ==
				       5500 ?
			       NULL :
			       "it does not begin anew";
	if (snapshot_exceeds(&course->kept, &shown))
		return "somebody else lost something";
	if (!snapshot_exceeds(&course->before, &shown) &&
	    !snapshot_exceeds(&shown, &course->before))
		course->as_before++;
	else if (!snapshot_exceeds(&course->after, &shown) &&
		 !snapshot_exceeds(&shown, &course->after))
		course->as_after++;
	else if (!lost && !current->several)
		return "it is neither as before nor as after, nor counted";
	return restore_judge(engine, &course->both, &course->before,
			     course->engine.nat);
}

static void judge_images(struct course *course)
{
	static struct engine engine;

	for (uint32_t image = 0; image < course->stores.count; image++) {
		struct nat_restored restored;
		const char *wrong;

		restore_image(course, image, &engine, &restored);
		wrong = judge_image(course, &engine, &restored);
		CU_ASSERT_PTR_NULL(wrong);
		if (wrong)
			printf("%s, image %u of %zu: %s\n", current->name,
			       image, course->stores.count, wrong);
		engine_free(&engine);
	}
}

static void test_every_store(void)
{
	static struct course course;

	for (size_t i = 0; i < COUNT(operations); i++) {
		current = &operations[i];
		course_begin(&course);
		course_run(&course);
		judge_images(&course);
		printf("%-45s %4zu images: %u restored as before, %u as after; "
		       "with losses %u, of at most %u records\n",
		       current->name, course.stores.count, course.as_before,
		       course.as_after, course.lost, course.most);
		CU_ASSERT_TRUE(course.stores.count > 1);
		course_end(&course);
	}
}

static const struct test tests[] = {
	{ "after each store of each operation a death loses that at most",
	  test_every_store },
};

int main(int argc, char **argv)
{
	const char *missing = stores_missing();

	if (missing) {
		printf("SKIP restore_steps: %s\n"
		       "0 passed, 0 failed, %zu skipped\n",
		       missing, COUNT(tests));
		return 0;
	}
	return suite_run("restore_steps", tests, COUNT(tests), argc, argv);
}
