/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What has to be in order of time after a restore: the lists of the timers and
 * the ring of held ports.
 */
#include "internal.h"

/* --- timers --------------------------------------------------------------- */

/* Runs of 2^i sessions wait in bin i. */
#define BINS 32

/* Two chains in order of last use become one; of equals, a's come first. */
static uint32_t merge(struct nat *nat, uint32_t a, uint32_t b)
{
	struct nat_link *links = nat->session_links;
	uint32_t head = 0, *end = &head;

	while (a && b) {
		uint32_t *older = nat->sessions[b].used_ms <
						  nat->sessions[a].used_ms ?
					  &b :
					  &a;

		*end = *older;
		end = &links[*older].next;
		*older = *end;
	}
	*end = a ? a : b;
	return head;
}

static uint32_t sort(struct nat *nat, uint32_t head)
{
	struct nat_link *links = nat->session_links;
	uint32_t bins[BINS] = { 0 };
	uint32_t next, run;

	for (uint32_t at = head; at; at = next) {
		int i = 0;

		next = links[at].next;
		links[at].next = 0;
		for (run = at; bins[i]; bins[i++] = 0)
			run = merge(nat, bins[i], run);
		bins[i] = run;
	}
	run = 0;
	for (int i = 0; i < BINS; i++)
		run = merge(nat, bins[i], run);
	return run;
}

static void sort_list(struct nat *nat, struct nat_list *list)
{
	struct nat_link *links = nat->session_links;
	uint32_t prev = 0;

	list->head = sort(nat, list->head);
	for (uint32_t at = list->head; at; at = links[at].next) {
		links[at].prev = prev;
		prev = at;
	}
	list->tail = prev;
}

void nat_sort_timers(struct nat *nat)
{
	for (int timer = 0; timer < NAT_LISTS; timer++)
		sort_list(nat, &nat->timers[timer]);
}

/* --- held ports ----------------------------------------------------------- */

static bool held_good(const struct nat *nat, uint32_t slot, uint64_t now_ms)
{
	const struct nat_held *held = &nat->held[slot];

	return held->live == 1 && held->check == nat_seal_held(nat, slot) &&
	       held->pool < NAT_POOLS && held->since_ms <= now_ms;
}

/* From this slot round the ring, is each good entry as old as the one before
 * it, or younger? *first: the first of them. */
static bool in_order(const struct nat *nat, uint32_t from, uint64_t now_ms,
		     uint32_t *first)
{
	uint32_t room = nat->limits.held_ports;
	uint64_t last_ms = 0;
	bool found = false;

	for (uint32_t i = 0; i < room; i++) {
		uint32_t slot = (from + i) % room;

		if (!held_good(nat, slot, now_ms))
			continue;
		if (!found)
			*first = slot;
		found = true;
		if (nat->held[slot].since_ms < last_ms)
			return false;
		last_ms = nat->held[slot].since_ms;
	}
	return true;
}

/* The oldest entry follows the newest one round the ring; slots in between may
 * be free. Places are kept: nothing is moved while a kill could come. Where all
 * began in one millisecond only the header knows which is the first. */
static uint32_t oldest(const struct nat *nat, uint64_t now_ms)
{
	uint32_t room = nat->limits.held_ports;
	uint32_t first = 0;
	uint64_t last_ms = UINT64_MAX; /* of none: the first good one */

	if (in_order(nat, nat->header->held_first % room, now_ms, &first))
		return first;
	for (uint32_t slot = 0; slot < room; slot++) {
		if (!held_good(nat, slot, now_ms))
			continue;
		if (nat->held[slot].since_ms < last_ms)
			first = slot;
		last_ms = nat->held[slot].since_ms;
	}
	return first;
}

/* Its port is rather believed than given to another host at once, and rests as
 * long as that of the entry before it. */
static void mend_held(struct nat *nat, uint32_t slot, uint64_t since_ms)
{
	struct nat_held *held = &nat->held[slot];

	nat_unseal(&held->live, &held->check);
	if (held->pool >= NAT_POOLS || !held->port)
		return;
	held->since_ms = since_ms;
	nat_seal(&held->live, &held->check, nat_seal_held(nat, slot));
}

/* Takes up one entry; one whose port a mapping has again, or which is out of
 * order, would break the ring. */
static bool take_up(struct nat *nat, uint32_t slot, uint64_t last_ms,
		    struct nat_restored *report)
{
	struct nat_held *held = &nat->held[slot];

	if (!held->live)
		return false;
	if (nat_ports_taken(&nat->ports[held->pool], held->port) ||
	    held->since_ms < last_ms) {
		report->lost[NAT_LOSS_DUPLICATE]++;
		nat_unseal(&held->live, &held->check);
		return false;
	}
	nat_ports_take(&nat->ports[held->pool], held->port);
	nat->held_ports[held->pool]++;
	return true;
}

void nat_rebuild_held(struct nat *nat, uint64_t now_ms,
		      struct nat_restored *report)
{
	struct nat_header *header = nat->header;
	uint32_t room = nat->limits.held_ports;
	uint64_t last_ms = 0;

	header->held_first = oldest(nat, now_ms);
	header->held_count = 0;
	for (uint32_t i = 0; i < room; i++) {
		uint32_t slot = (header->held_first + i) % room;
		const struct nat_held *held = &nat->held[slot];

		if (!held->live && !held->check)
			continue;
		if (!held_good(nat, slot, now_ms)) {
			report->lost[NAT_LOSS_DAMAGED]++;
			mend_held(nat, slot, last_ms ? last_ms : now_ms);
		}
		if (take_up(nat, slot, last_ms, report)) {
			last_ms = held->since_ms;
			header->held_count = i + 1;
		}
	}
}
