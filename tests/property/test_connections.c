/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whole TCP connections of two small ends, with losses before and behind the
 * gateway and disorder behind it: every segment passes, however long an end
 * stays half-closed, and when both ends are done, so is the session.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/dice.h"
#include "tests/unit/engine.h"
#include "tests/unit/suite.h"

#define CONNECTIONS 600
#define STEPS 40000 /* at most, of one connection */
#define STEP_MS 10U
#define RESEND_MS 300U
#define HALF_CLOSED (3 * 3600 * SECOND)
#define QUIET (7000 * SECOND)
#define FLIGHTS 128
#define SEGMENT 100U

/* Numbers are relative to `first`: 0 is the SYN, then follow `total` bytes,
 * then the FIN. */
struct end {
	bool inside;
	uint32_t first;
	uint32_t una, next, most; /* sent: unacknowledged, next, highest */
	uint32_t got; /* expected of the other one; 0: its SYN */
	uint32_t may; /* the other end takes what is below */
	uint32_t total;
	uint32_t window;
	uint8_t scale;
	bool scales;
	bool opens;
	bool dead; /* by an RST, its own or the other's */
	uint64_t resend_ms, close_ms, abort_ms;
};

struct flight {
	bool used, behind; /* the gateway */
	uint64_t at_ms;
	struct packet packet;
};

static struct world {
	struct engine engine;
	struct dice dice;
	struct end ends[2];
	struct flight flights[FLIGHTS];
	uint32_t loss; /* one in so many, each time */
	bool lossless;
} world;

static uint32_t roll(uint32_t below)
{
	return dice_roll(&world.dice, below);
}

static struct end *other(const struct end *end)
{
	return &world.ends[end == &world.ends[0]];
}

/* --- the way ----------------------------------------------------------------- */

static void fly(const struct packet *packet, bool behind, uint64_t delay_ms)
{
	struct flight *flight = world.flights;

	if (!world.lossless && dice_once_in(&world.dice, world.loss))
		return;
	while (flight < world.flights + FLIGHTS && flight->used)
		flight++;
	if (flight == world.flights + FLIGHTS)
		return; /* lost */
	*flight = (struct flight){ .used = true,
				   .behind = behind,
				   .at_ms = world.engine.now + delay_ms,
				   .packet = *packet };
}

static void emit(const struct end *from, uint8_t flags, uint32_t seq,
		 uint32_t bytes)
{
	const struct end *to = other(from);
	bool both = from->scales && to->scales;
	struct segment segment = {
		.flags = flags,
		.seq = from->first + seq,
		.ack = flags & ACK ? to->first + from->got : 0,
		.window =
			(uint16_t)(from->window >>
				   (both && !(flags & SYN) ? from->scale : 0)),
		.scaled = flags & SYN && from->scales,
		.scale = from->scale,
		.bytes = (uint16_t)bytes,
	};
	struct packet packet;

	packet_tcp(&packet,
		   from->inside ? flow_of(INSIDE_1, 5000, PEER_1, 80) :
				  flow_of(PEER_1, 80, UPLINK, 5000),
		   segment);
	fly(&packet, false, STEP_MS);
}

/* Nothing but a SYN that comes before the inside end's own may be refused. */
static void pass(struct flight *flight)
{
	bool inbound = packet_flow(&flight->packet).dst == UPLINK;
	struct nat_session_view view;
	bool known = engine_session(&world.engine, 5000, PEER_1, &view);

	world.engine.packet = flight->packet;
	if (engine_run(&world.engine,
		       inbound ? NAT_PATH_INBOUND : NAT_PATH_OUTBOUND)
		    .verdict == NAT_TRANSLATED)
		fly(&world.engine.packet, true, STEP_MS + roll(50));
	else
		CU_ASSERT_TRUE(inbound && !known);
}

/* --- an end ------------------------------------------------------------------ */

static bool done(const struct end *end)
{
	return end->dead || (end->una == end->total + 2 &&
			     end->got == other(end)->total + 2);
}

/* RFC 9293 3.10.7.4; the exact number only (RFC 5961 3.2). */
static void take_reset(struct end *end, uint32_t seq)
{
	if (seq == end->got)
		end->dead = true;
	else if (seq - end->got < end->window)
		emit(end, ACK, end->most, 0);
}

static void take_ack(struct end *end, uint32_t ack, uint32_t window)
{
	if (ack > end->most)
		return;
	if (ack > end->una) {
		end->una = ack;
		end->resend_ms = world.engine.now + RESEND_MS;
		if (end->next < ack)
			end->next = ack;
	}
	if (ack + window > end->may)
		end->may = ack + window;
}

static void receive(struct end *end, const struct packet *packet)
{
	const uint8_t *tcp = packet->data + PACKET_IP;
	uint32_t header = (tcp[12] >> 4) * 4U, flags = tcp[13];
	uint32_t bytes = packet->length - PACKET_IP - header;
	uint32_t seq = packet_get32(tcp + 4) - other(end)->first;
	uint32_t ack = packet_get32(tcp + 8) - end->first;
	uint32_t length = bytes + !!(flags & SYN) + !!(flags & FIN);
	bool scaled = end->scales && other(end)->scales && !(flags & SYN);

	if (end->dead) {
		if (!(flags & RST))
			emit(end, RST, ack, 0);
		return;
	}
	if (flags & RST) {
		take_reset(end, seq);
		return;
	}
	if (flags & ACK)
		take_ack(end, ack,
			 (uint32_t)packet_get16(tcp + 14)
				 << (scaled ? other(end)->scale : 0));
	if (seq <= end->got && seq + length > end->got)
		end->got = seq + length;
	if (length && end->most)
		emit(end, ACK, end->most, 0);
}

/* What comes next: data, the FIN, or both. */
static void send_on(struct end *end)
{
	uint32_t last = end->total + 1, room, bytes;
	bool closes = world.engine.now >= end->close_ms;
	uint8_t flags = end->got ? ACK : 0;

	if (end->next == 0) {
		if (!end->opens && !end->got)
			return;
		emit(end, SYN | flags, 0, 0);
		end->next = 1;
	} else {
		room = end->may > end->next ? end->may - end->next : 0;
		bytes = end->next < last ? last - end->next : 0;
		bytes = bytes < room ? bytes : room;
		bytes = bytes < SEGMENT ? bytes : SEGMENT;
		closes = closes && end->next + bytes == last &&
			 (!bytes || roll(2));
		if (!end->got || end->una == 0 || !(bytes || closes))
			return;
		emit(end, closes ? FIN | ACK : ACK, end->next, bytes);
		end->next += bytes + closes;
	}
	if (end->most < end->next)
		end->most = end->next;
}

static void act(struct end *end)
{
	uint64_t now = world.engine.now;

	if (end->dead)
		return;
	if (now >= end->abort_ms && end->most > 1) {
		world.lossless = true;
		emit(end, RST, end->most, 0);
		end->dead = true;
		return;
	}
	if (end->una < end->next && now >= end->resend_ms)
		end->next = end->una;
	if (end->next == end->una)
		end->resend_ms = now + RESEND_MS;
	send_on(end);
}

/* --- a connection ------------------------------------------------------------- */

static void make_end(struct end *end, bool inside)
{
	static const uint64_t closes[] = { 0, 50, SECOND, HALF_CLOSED };
	uint64_t now = world.engine.now;

	*end = (struct end){ .inside = inside,
			     .first = roll(2) ?
					      (uint32_t)dice_next(&world.dice) :
					      0U - roll(1000),
			     .total = roll(2) ? roll(4000) : 0,
			     .scale = (uint8_t)roll(15),
			     .scales = roll(4),
			     .close_ms = now + closes[roll(4)],
			     .abort_ms = UINT64_MAX };
	end->window = (1 + roll(2)) << (end->scale < 9 ? 9 : end->scale);
}

static bool step(void)
{
	bool busy = false;

	for (size_t i = 0; i < FLIGHTS; i++) {
		struct flight *flight = &world.flights[i];
		struct flight landed = *flight;

		if (!flight->used || flight->at_ms > world.engine.now)
			continue;
		flight->used = false;
		if (!landed.behind)
			pass(&landed);
		else
			receive(&world.ends[packet_flow(&landed.packet).dst !=
					    INSIDE_1],
				&landed.packet);
	}
	for (size_t i = 0; i < 2; i++) {
		act(&world.ends[i]);
		busy |= world.ends[i].una < world.ends[i].next &&
			!world.ends[i].dead;
	}
	for (size_t i = 0; i < FLIGHTS; i++)
		busy |= world.flights[i].used;
	return busy;
}

/* Nothing is to be said for a while: an end asks whether the other one is still
 * there, until the gateway has seen it. */
static void rest(void)
{
	uint64_t now = world.engine.now, next = now + QUIET;
	bool was = world.lossless;
	struct end *end = &world.ends[roll(2)];

	for (size_t i = 0; i < 2; i++)
		if (world.ends[i].close_ms > now &&
		    world.ends[i].close_ms < next)
			next = world.ends[i].close_ms;
	world.engine.now = next;
	nat_expire(world.engine.nat, next, 1000);
	world.lossless = true;
	emit(end, ACK, end->una - 1, roll(2));
	world.lossless = was;
}

/* False: it did not come to its end. */
static bool live(void)
{
	struct end *ends = world.ends;
	bool busy;

	for (int i = 0; i < STEPS; i++) {
		busy = step();
		if (!busy && ((done(&ends[0]) && done(&ends[1])) ||
			      ends[0].dead || ends[1].dead))
			return true;
		if (CU_get_number_of_failures())
			return false;
		if (!busy && ends[0].una && ends[1].una)
			rest();
		world.engine.now += STEP_MS;
	}
	return false;
}

static void connect(uint64_t seed, bool aborts)
{
	struct nat_session_view view = { .state = NAT_STATES };

	memset(&world, 0, sizeof(world));
	world.dice.state = seed;
	world.loss = 4 + roll(12);
	engine_make(&world.engine);
	world.engine.unproven = true;
	make_end(&world.ends[0], true);
	make_end(&world.ends[1], false);
	world.ends[0].opens = true;
	world.ends[1].opens = !roll(8); /* both at once */
	if (aborts)
		world.ends[roll(2)].abort_ms =
			world.engine.now + STEP_MS * (1 + roll(100));
	CU_ASSERT_TRUE(live());
	engine_session(&world.engine, 5000, PEER_1, &view);
	CU_ASSERT_TRUE(view.state == NAT_STATE_C_FIN_S_FIN ||
		       view.state == NAT_STATE_TRANS);
	if (CU_get_number_of_failures())
		printf("seed %u%s: %s\n", (unsigned)seed,
		       aborts ? ", aborted" : "", nat_state_name(view.state));
	engine_free(&world.engine);
}

static void test_closed(void)
{
	for (uint64_t seed = 1;
	     seed <= CONNECTIONS && !CU_get_number_of_failures(); seed++)
		connect(seed, false);
}

static void test_aborted(void)
{
	for (uint64_t seed = 1;
	     seed <= CONNECTIONS && !CU_get_number_of_failures(); seed++)
		connect(seed, true);
}

static const struct test tests[] = {
	{ "connections that both ends close, seeds 1 to 600", test_closed },
	{ "connections that one end aborts, seeds 1 to 600", test_aborted },
};

int main(int argc, char **argv)
{
	return suite_run("connections", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
