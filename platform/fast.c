/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The fast path's life in the daemon: loader, memory, clocks, devices. The maps
 * stay mapped when their descriptors are closed; what is kept open is the
 * programs, for devices to come.
 */
#include "fast_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The two bits of nat_mark still fit above it. */
#define MARK_SHIFT_MAX 30

/* Of the loader's descriptors the first. */
#define MAPS FAST_FD_INSIDE_ETHER

struct fast {
	struct fast_memory memory;
	struct fast_table *table;
	struct fast_tc *tc;
	int programs[FAST_PROGRAMS];
	int xfrm; /* to ask for IPsec policies */
	uint32_t questions;
	int policies; /* 1: there are some, -errno: maybe; nothing is carried */
	int followed; /* as devices are set by */
	int events; /* rtnetlink's, of qdiscs and filters */
};

/* For fast_table_look(). */
struct looker {
	struct nat *nat;
	uint64_t now_ms;
};

static_assert(FAST_FD_INSIDE_ETHER + FAST_PROGRAMS == (int)FAST_FDS &&
		      FAST_FD_UPLINK_BARE - FAST_FD_INSIDE_ETHER ==
			      (int)FAST_UPLINK_BARE,
	      "programs come last, in the order of enum fast_program");

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* --- life ----------------------------------------------------------------- */

/* The maps: where their memory is found, and how much of it. */
struct part {
	void *at;
	size_t bytes;
};

static void parts_of(const struct fast_memory *memory, struct part parts[MAPS])
{
	parts[FAST_FD_HEAD] =
		(struct part){ memory->head, sizeof(*memory->head) };
	parts[FAST_FD_FILLED] =
		(struct part){ memory->filled,
			       fast_filled_count(memory->bucket_count) *
				       sizeof(*memory->filled) };
	parts[FAST_FD_BUCKETS] = (struct part){
		memory->buckets, memory->bucket_count * sizeof(*memory->buckets)
	};
	parts[FAST_FD_SLOTS] =
		(struct part){ memory->slots,
			       memory->slot_count * sizeof(*memory->slots) };
}

static int map_memory(struct fast_memory *memory, const int fds[FAST_FDS])
{
	struct part parts[MAPS];

	parts_of(memory, parts);
	for (size_t i = 0; i < COUNT(parts); i++) {
		parts[i].at = mmap(NULL, parts[i].bytes, PROT_READ | PROT_WRITE,
				   MAP_SHARED, fds[i], 0);
		if (parts[i].at == MAP_FAILED) {
			int err = -errno;

			while (i--)
				munmap(parts[i].at, parts[i].bytes);
			return err;
		}
	}
	memory->head = parts[FAST_FD_HEAD].at;
	memory->filled = parts[FAST_FD_FILLED].at;
	memory->buckets = parts[FAST_FD_BUCKETS].at;
	memory->slots = parts[FAST_FD_SLOTS].at;
	return 0;
}

static void unmap_memory(const struct fast_memory *memory)
{
	struct part parts[MAPS];

	if (!memory->head)
		return;
	parts_of(memory, parts);
	for (size_t i = 0; i < COUNT(parts); i++)
		munmap(parts[i].at, parts[i].bytes);
}

/* What needs the loader's descriptors, which are closed but for the programs. */
static int take_over(struct fast *fast, int fds[FAST_FDS], char *error,
		     size_t size)
{
	int err = map_memory(&fast->memory, fds);

	for (int i = 0; i < MAPS; i++)
		close(fds[i]);
	memcpy(fast->programs, &fds[FAST_FD_INSIDE_ETHER],
	       sizeof(fast->programs));
	if (err)
		fast_say(error, size, err, "the maps cannot be mapped: %s",
			 strerror(-err));
	return err;
}

static int make(struct fast *fast, const struct fast_config *config,
		char *error, size_t size)
{
	uint32_t random[2];
	int fds[FAST_FDS], err;

	if (getrandom(random, sizeof(random), 0) != sizeof(random)) {
		err = errno ? -errno : -EIO;
		return fast_say(error, size, err, "no randomness: %s",
				strerror(-err));
	}
	fast->memory.slot_count = config->sessions + 1;
	fast->memory.bucket_count = fast_bucket_count(config->sessions);
	err = fast_load(fast->memory.slot_count, fast->memory.bucket_count, fds,
			error, size);
	if (!err)
		err = take_over(fast, fds, error, size);
	if (err)
		return err;
	fast->table = fast_table_new(&fast->memory, config->mark_shift,
				     random[0], random[1]);
	fast->tc =
		fast_tc_new(fast->programs, fast_tcx_works(fast->programs[0]));
	fast->xfrm = fast_xfrm_open();
	if (fast->xfrm < 0 && fast->xfrm != FAST_XFRM_NONE)
		return fast_say(error, size, fast->xfrm,
				"IPsec policies cannot be asked for: %s",
				strerror(-fast->xfrm));
	fast->events = fast_events_open();
	if (fast->events < 0)
		return fast_say(error, size, fast->events,
				"changes of qdiscs are not heard of: %s",
				strerror(-fast->events));
	if (!fast->table || !fast->tc)
		return fast_say(error, size, -ENOMEM,
				"no memory for the fast path");
	return 0;
}

struct fast *fast_open(const struct fast_config *config, char *error,
		       size_t error_size)
{
	struct fast *fast = NULL;
	int err = -EINVAL;

	if (!config->sessions || config->sessions > FAST_SESSIONS_MAX ||
	    config->mark_shift > MARK_SHIFT_MAX) {
		fast_say(
			error, error_size, err,
			"no fast path for %u sessions and marks from bit %u on",
			config->sessions, config->mark_shift);
		goto failed;
	}
	err = -ENOMEM;
	fast = calloc(1, sizeof(*fast));
	if (!fast) {
		fast_say(error, error_size, err, "no memory for the fast path");
		goto failed;
	}
	for (size_t i = 0; i < COUNT(fast->programs); i++)
		fast->programs[i] = -1;
	fast->xfrm = fast->events = -1;
	err = make(fast, config, error, error_size);
	if (!err)
		return fast;
failed:
	fast_close(fast);
	errno = -err;
	return NULL;
}

void fast_close(struct fast *fast)
{
	if (!fast)
		return;
	fast_tc_free(fast->tc);
	fast_table_free(fast->table);
	unmap_memory(&fast->memory);
	for (size_t i = 0; i < COUNT(fast->programs); i++)
		if (fast->programs[i] >= 0)
			close(fast->programs[i]);
	if (fast->xfrm >= 0)
		close(fast->xfrm);
	if (fast->events >= 0)
		close(fast->events);
	free(fast);
}

/* --- the engine's carrier ------------------------------------------------- */

/* While there is no way out, no session waits in the kernel for it. */
static bool carry(void *context, const struct nat_carried *session)
{
	struct fast *fast = context;

	return fast->memory.head->uplink &&
	       fast_table_carry(fast->table, session, clock_ns() / 1000000);
}

static void use_of(void *context, uint32_t session, struct nat_counters *use)
{
	struct fast *fast = context;

	fast_table_use(fast->table, session, use);
}

static void give_back(void *context, uint32_t session, struct nat_counters *use,
		      struct nat_carried_end ends[2])
{
	struct fast *fast = context;

	fast_table_give_back(fast->table, session, use, ends,
			     clock_ns() / 1000000);
}

struct nat_carrier fast_carrier(struct fast *fast)
{
	return (struct nat_carrier){
		.carry = carry,
		.use = use_of,
		.give_back = give_back,
		.context = fast,
	};
}

static void on_used(void *context, uint32_t session)
{
	const struct looker *looker = context;

	nat_carried_used(looker->nat, session, looker->now_ms);
}

void fast_pause(struct fast *fast)
{
	const uint32_t none = 0;

	fast_table_devices(fast->table, 0, &none, 0);
}

/* Who cannot be asked may have some. */
static void look_for_policies(struct fast *fast)
{
	fast->policies = fast_xfrm_any(fast->xfrm, ++fast->questions);
	if (fast->policies)
		fast_pause(fast);
}

void fast_tick(struct fast *fast, struct nat *nat, uint64_t now_ms)
{
	struct looker looker = { nat, now_ms };

	look_for_policies(fast);
	fast_table_alive(fast->table,
			 clock_ns() + (uint64_t)FAST_ALIVE_MS * 1000000);
	fast_table_look(fast->table, on_used, &looker);
}

/* --- devices -------------------------------------------------------------- */

int fast_set_devices(struct fast *fast, unsigned uplink, const unsigned *inside,
		     size_t inside_count, char *error, size_t error_size)
{
	uint32_t there[FAST_INSIDE_MAX], count = 0;
	int err = fast_tc_set(fast->tc, uplink, inside, inside_count, error,
			      error_size);

	look_for_policies(fast);
	fast->followed = fast->policies;
	if (fast->policies < 0)
		return fast_say(error, error_size, fast->policies,
				"IPsec policies cannot be asked for: %s",
				strerror(-fast->policies));
	if (fast->policies)
		return fast_say(error, error_size, -EBUSY,
				"IPsec policies are in force (ip xfrm policy), "
				"which packets must meet");
	/* Nothing is carried by a device at which the program is not: what came
	 * back by it would take the queue. */
	for (size_t i = 0; i < inside_count && count < FAST_INSIDE_MAX; i++)
		if (inside[i] && inside[i] != uplink &&
		    fast_tc_has(fast->tc, inside[i]))
			there[count++] = inside[i];
	fast_table_devices(fast->table,
			   fast_tc_has(fast->tc, uplink) ? uplink : 0, there,
			   count);
	return err;
}

bool fast_disturbed(struct fast *fast)
{
	bool heard = fast_events_drain(fast->events);

	return heard || fast->followed != fast->policies ||
	       fast_tc_unfinished(fast->tc);
}

void fast_stats(const struct fast *fast, struct fast_stats *stats)
{
	fast_table_stats(fast->table, stats);
	stats->devices = fast_tc_devices(fast->tc);
}
