/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sessions in the maps of the fast path: what the kernel's program finds there
 * when they are handed over, given back, or find no room.
 */
#include "dice.h"
#include "fast_lab.h"

/* --- single steps --------------------------------------------------------- */

static void test_sizes(void)
{
	static const uint32_t sessions[] = {
		1, 2, 3, 1000, 131072, 131073, FAST_SESSIONS_MAX
	};

	for (size_t i = 0; i < COUNT(sessions); i++) {
		uint64_t places = (uint64_t)fast_bucket_count(sessions[i]) *
				  FAST_BUCKET_ENTRIES;

		CU_ASSERT(!(places & (places - 1)));
		CU_ASSERT(places >= 8 * (uint64_t)sessions[i]);
		CU_ASSERT(places < 16 * (uint64_t)sessions[i] ||
			  places == FAST_BUCKET_ENTRIES);
		/* The upper bits of a hash say something of their own. */
		CU_ASSERT(places / FAST_BUCKET_ENTRIES - 1 <= FAST_SLOT_MASK);
	}
}

static void test_head(void)
{
	begin(SESSIONS, 64);
	CU_ASSERT_EQUAL(memory.head->seed, SEED);
	CU_ASSERT_EQUAL(memory.head->mask, 63);
	CU_ASSERT_EQUAL(memory.head->mark[FAST_IN], 0x10);
	CU_ASSERT_EQUAL(memory.head->mark[FAST_OUT], 0x20);
	CU_ASSERT_EQUAL(memory.head->until_ns, 0);
	fast_table_alive(table, 0x123456789abcdef0);
	CU_ASSERT_EQUAL(memory.head->until_ns, 0x123456789abcdef0);
	end();
}

static void test_both_ways_are_found(void)
{
	struct fast_slot *slot;
	struct fast_key other;

	begin(SESSIONS, 64);
	CU_ASSERT_TRUE(carry(3));
	slot = slot_of(3, FAST_OUT);
	CU_ASSERT_PTR_NOT_NULL_FATAL(slot);
	CU_ASSERT_PTR_EQUAL(slot_of(3, FAST_IN), slot);
	/* In the order of the wire: what leaves is the other key turned round. */
	CU_ASSERT_EQUAL(slot->key[FAST_IN].dst, htonl(0xcb007101));
	CU_ASSERT_EQUAL(slot->key[FAST_IN].dport, htons(2003));
	CU_ASSERT_EQUAL(slot->key[FAST_OUT].src, htonl(0xc0a80003));
	CU_ASSERT_EQUAL(slot->key[FAST_OUT].sport, htons(1003));
	other = packet_of(3, FAST_OUT);
	other.way = FAST_IN;
	CU_ASSERT_PTR_NULL(look_up(&other));
	other = packet_of(3, FAST_OUT);
	other.proto = NAT_PROTO_UDP;
	CU_ASSERT_PTR_NULL(look_up(&other));
	CU_ASSERT_EQUAL(stats().sessions, 1);
	CU_ASSERT_EQUAL(stats().handed_over, 1);
	give_back(3);
	CU_ASSERT_PTR_NULL(slot_of(3, FAST_OUT));
	CU_ASSERT_PTR_NULL(slot_of(3, FAST_IN));
	CU_ASSERT_EQUAL(slot->live, 0);
	CU_ASSERT_EQUAL(entries(), 0);
	CU_ASSERT_EQUAL(stats().sessions, 0);
	CU_ASSERT_EQUAL(memory.head->sessions, 0);
	CU_ASSERT_EQUAL(stats().resting, 1);
	/* Once is enough, and of one that is not carried there is nothing. */
	give_back(3);
	CU_ASSERT_EQUAL(stats().resting, 1);
	end();
}

/* Two of its sessions go; what is left is found until the last has gone. */
static void test_a_bucket_is_marked_while_it_is_filled(void)
{
	begin(SESSIONS, 1);
	CU_ASSERT_FALSE(is_marked(0));
	for (uint32_t i = 1; i <= 3; i++)
		carry(i);
	CU_ASSERT_TRUE(is_marked(0));
	give_back(1);
	give_back(3);
	CU_ASSERT_TRUE(is_marked(0));
	CU_ASSERT_PTR_NOT_NULL(slot_of(2, FAST_OUT));
	give_back(2);
	CU_ASSERT_FALSE(is_marked(0));
	end();
}

/* Numbers of bits whose words are at the edges. */
static void test_marks_are_of_their_buckets(void)
{
	const uint32_t counts[] = { 1, 2, 32, 64, 128, 4096 };

	CU_ASSERT_EQUAL(fast_filled_count(1), 1);
	CU_ASSERT_EQUAL(fast_filled_count(64), 1);
	CU_ASSERT_EQUAL(fast_filled_count(128), 2);
	for (size_t i = 0; i < COUNT(counts); i++) {
		size_t marked = 0;

		begin(SESSIONS, counts[i]);
		carry(9);
		for (uint32_t place = 0; place < counts[i]; place++)
			marked += is_marked(place);
		CU_ASSERT(marked == 1 || (marked == 2 && counts[i] > 1));
		CU_ASSERT_EQUAL(marked_in_vain(), 0);
		CU_ASSERT_PTR_NOT_NULL(slot_of(9, FAST_OUT));
		CU_ASSERT_PTR_NOT_NULL(slot_of(9, FAST_IN));
		end();
	}
}

static void test_ids_differ(void)
{
	begin(SESSIONS, 64);
	carry(1);
	carry(2);
	CU_ASSERT_NOT_EQUAL(slot_of(1, FAST_OUT)->id, slot_of(2, FAST_OUT)->id);
	end();
}

static void test_the_largest_session_number(void)
{
	begin(SESSIONS, 64);
	CU_ASSERT_TRUE(carry(NAT_LIMIT_MAX));
	CU_ASSERT_PTR_NOT_NULL(slot_of(NAT_LIMIT_MAX, FAST_IN));
	give_back(NAT_LIMIT_MAX);
	CU_ASSERT_EQUAL(entries(), 0);
	end();
}

static void test_a_slot_rests(void)
{
	struct fast_slot *slot;
	uint64_t back;

	begin(2, 64);
	CU_ASSERT_TRUE(carry(1));
	CU_ASSERT_TRUE(carry(2));
	slot = slot_of(1, FAST_OUT);
	slot->use[FAST_IN].packets = 9;
	slot->inside = 12;
	CU_ASSERT_FALSE(carry(3));
	CU_ASSERT_EQUAL(stats().no_room, 1);
	give_back(1);
	back = now_ms;
	now_ms = back + FAST_REST_MS;
	CU_ASSERT_FALSE(carry(3));
	CU_ASSERT_EQUAL(entries(), 2);
	now_ms = back + FAST_REST_MS + 1;
	CU_ASSERT_TRUE(carry(3));
	CU_ASSERT_PTR_EQUAL(slot_of(3, FAST_IN), slot);
	CU_ASSERT_EQUAL(slot->use[FAST_IN].packets, 0);
	CU_ASSERT_EQUAL(slot->inside, 0);
	CU_ASSERT_EQUAL(stats().resting, 0);
	CU_ASSERT_EQUAL(stats().no_room, 2);
	end();
}

/* In the order in which they were given back. */
static void test_who_rested_longest_comes_first(void)
{
	struct fast_slot *slots[3];

	begin(3, 64);
	for (uint32_t i = 0; i < 3; i++) {
		carry(i + 1);
		slots[i] = slot_of(i + 1, FAST_OUT);
	}
	give_back(2);
	now_ms += 10;
	give_back(1);
	give_back(3);
	now_ms += FAST_REST_MS - 5;
	CU_ASSERT_TRUE(carry(4));
	CU_ASSERT_PTR_EQUAL(slot_of(4, FAST_OUT), slots[1]);
	CU_ASSERT_FALSE(carry(5));
	now_ms += 6;
	CU_ASSERT_TRUE(carry(5));
	CU_ASSERT_PTR_EQUAL(slot_of(5, FAST_OUT), slots[0]);
	CU_ASSERT_TRUE(carry(6));
	CU_ASSERT_PTR_EQUAL(slot_of(6, FAST_OUT), slots[2]);
	end();
}

/* With one bucket, four sessions fill it; the fifth leaves nothing behind. */
static void test_a_full_bucket(void)
{
	begin(SESSIONS, 1);
	for (uint32_t i = 1; i <= 4; i++)
		CU_ASSERT_TRUE(carry(i));
	CU_ASSERT_FALSE(carry(5));
	CU_ASSERT_EQUAL(stats().no_room, 1);
	CU_ASSERT_EQUAL(stats().sessions, 4);
	CU_ASSERT_EQUAL(stats().resting, 0);
	CU_ASSERT_EQUAL(memory.slots[5].live, 0);
	give_back(2);
	CU_ASSERT_TRUE(carry(5));
	for (uint32_t i = 1; i <= 5; i++)
		CU_ASSERT_EQUAL(slot_of(i, FAST_IN) != NULL, i != 2);
	end();
}

/* Room for one of the two keys only, in each place. */
static void test_half_a_room(void)
{
	begin(SESSIONS, 1);
	for (int i = 1; i < FAST_BUCKET_ENTRIES; i++)
		memory.buckets[0].entry[i] = 0xfff00000 | (uint32_t)(100 + i);
	CU_ASSERT_FALSE(carry(1));
	CU_ASSERT_FALSE(is_marked(0));
	CU_ASSERT_EQUAL(memory.buckets[0].entry[0], 0);
	CU_ASSERT_EQUAL(stats().no_room, 1);
	memory.buckets[0].entry[5] = 0;
	CU_ASSERT_TRUE(carry(1));
	CU_ASSERT_EQUAL(entries(), FAST_BUCKET_ENTRIES);
	CU_ASSERT_PTR_NOT_NULL(slot_of(1, FAST_OUT));
	CU_ASSERT_PTR_NOT_NULL(slot_of(1, FAST_IN));
	end();
}

/* --- many steps, against a model ------------------------------------------ */

#define STEPS 10000
#define NUMBERS 400

static struct {
	bool carried;
	uint64_t packets[FAST_WAYS]; /* not taken yet */
} model[NUMBERS + 1];

static void judge_use(uint32_t number, const struct nat_counters *use)
{
	CU_ASSERT_EQUAL(use->out_packets, model[number].packets[FAST_OUT]);
	CU_ASSERT_EQUAL(use->in_packets, model[number].packets[FAST_IN]);
	CU_ASSERT_EQUAL(use->out_bytes, 7 * use->out_packets);
	CU_ASSERT_EQUAL(use->in_bytes, 7 * use->in_packets);
	memset(model[number].packets, 0, sizeof(model[number].packets));
}

static void step(struct dice *dice)
{
	uint32_t number = 1 + dice_roll(dice, NUMBERS);
	uint32_t way = dice_roll(dice, FAST_WAYS);
	struct nat_counters use = { 0, 0, 0, 0 };
	bool carried = model[number].carried;

	now_ms += dice_roll(dice, 20);
	switch (dice_roll(dice, 4)) {
	case 0:
		if (!carried)
			model[number].carried = carry(number);
		return;
	case 1:
		use = give_back(number);
		break;
	case 2:
		if (carried) {
			add_use(slot_of(number, (enum fast_way)way),
				(enum fast_way)way, 7);
			model[number].packets[way]++;
		}
		return;
	default:
		fast_table_use(table, number, &use);
		judge_use(number, &use);
		return;
	}
	judge_use(number, &use);
	model[number].carried = false;
}

static void test_many_steps(void)
{
	struct dice dice = { 1 };
	uint32_t refused = 0, wrong = 0;

	begin(SESSIONS, fast_bucket_count(SESSIONS));
	memset(model, 0, sizeof(model));
	for (int i = 0; i < STEPS; i++) {
		uint32_t carried = 0;
		struct fast_stats found;

		step(&dice);
		for (uint32_t n = 1; n <= NUMBERS; n++) {
			const struct fast_slot *slot = slot_of(n, FAST_OUT);

			carried += model[n].carried;
			wrong += (slot != NULL) != model[n].carried ||
				 slot_of(n, FAST_IN) != slot;
		}
		found = stats();
		CU_ASSERT_EQUAL(found.sessions, carried);
		CU_ASSERT(found.sessions + found.resting <= SESSIONS);
		CU_ASSERT_EQUAL(entries(), 2 * (size_t)carried);
		CU_ASSERT_EQUAL(marked_in_vain(), 0);
		refused = (uint32_t)found.no_room;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(refused > 0);
	CU_ASSERT(stats().handed_over > STEPS / 20);
	end();
}

static const struct test tests[] = {
	{ "buckets are at most a quarter full", test_sizes },
	{ "the head says what is fixed", test_head },
	{ "a session is found both ways until it is given back",
	  test_both_ways_are_found },
	{ "a bucket is marked while it is filled",
	  test_a_bucket_is_marked_while_it_is_filled },
	{ "marks are of their own buckets", test_marks_are_of_their_buckets },
	{ "IP ids of sessions differ", test_ids_differ },
	{ "the largest session number", test_the_largest_session_number },
	{ "a slot rests before it is another's", test_a_slot_rests },
	{ "who rested longest comes first",
	  test_who_rested_longest_comes_first },
	{ "a session whose bucket is full is not carried", test_a_full_bucket },
	{ "nor is one of which half has room", test_half_a_room },
	{ "10,000 steps are as in a model", test_many_steps },
};

int main(int argc, char **argv)
{
	return suite_run("fast", tests, COUNT(tests), argc, argv);
}
