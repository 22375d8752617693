/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Guaranteed shares: the arithmetic is in nat.c under "Shares". Counting as
 * hosts gain and lose is table.c's.
 */
#include "share.h"

#include "internal.h"

/* Of each table and pool, what may be kept for those who have less. */
#define KEPT_PART 8U

uint32_t nat_share_used(const struct nat *nat, enum nat_share_of of,
			uint32_t host)
{
	const struct nat_host *h = &nat->hosts[host];

	switch (of) {
	case NAT_SHARE_MAPPINGS:
		return h->mappings - h->forwards;
	case NAT_SHARE_SESSIONS:
		return h->sessions;
	case NAT_SHARE_TAGGED:
		return h->tagged;
	case NAT_SHARE_PORTS:
	case NAT_SHARES:
		break;
	}
	return nat->host_ports[host].of[of - NAT_SHARE_PORTS];
}

static uint32_t slots_free(const struct nat_slots *slots)
{
	return slots->free.count + slots->limit - slots->top;
}

static uint32_t left(const struct nat *nat, enum nat_share_of of)
{
	switch (of) {
	case NAT_SHARE_MAPPINGS:
		return slots_free(&nat->mapping_slots);
	case NAT_SHARE_SESSIONS:
		return slots_free(&nat->session_slots);
	case NAT_SHARE_TAGGED:
		return slots_free(&nat->tagged_slots);
	case NAT_SHARE_PORTS:
	case NAT_SHARES:
		break;
	}
	return nat_ports_free(&nat->ports[of - NAT_SHARE_PORTS]);
}

bool nat_share_allows(const struct nat *nat, enum nat_share_of of,
		      uint32_t host)
{
	const struct nat_share *share = &nat->shares[of];
	uint32_t free, kept = share->size / KEPT_PART;
	uint64_t missing;

	if (nat_share_used(nat, of, host) < share->each || !share->each)
		return true;
	free = left(nat, of);
	missing = (uint64_t)share->each * nat->limits.hosts - share->taken;
	return !free || free > (missing < kept ? missing : kept);
}

uint32_t nat_share_count(const struct nat *nat, enum nat_share_of of)
{
	uint32_t each = nat->shares[of].each, taken = 0;

	for (uint32_t host = 1; host <= nat->host_slots.top; host++) {
		uint32_t used = nat->hosts[host].live ?
					nat_share_used(nat, of, host) :
					0;

		taken += used < each ? used : each;
	}
	return taken;
}

static void set(struct nat *nat, enum nat_share_of of, uint32_t each,
		uint32_t size)
{
	nat->shares[of].each = each;
	nat->shares[of].size = size;
	nat->shares[of].taken = nat_share_count(nat, of);
}

void nat_shares_set(struct nat *nat)
{
	const struct nat_limits *limits = &nat->limits;
	uint32_t each = nat->config->host_guaranteed;
	/* The table of sessions is the larger one: as many for each mapping. */
	uint64_t sessions =
		(uint64_t)each * limits->sessions / limits->mappings;

	if (sessions < each)
		sessions = each;
	if (sessions > limits->sessions)
		sessions = limits->sessions;
	set(nat, NAT_SHARE_MAPPINGS, each, limits->mappings);
	set(nat, NAT_SHARE_SESSIONS, (uint32_t)sessions, limits->sessions);
	set(nat, NAT_SHARE_TAGGED, each, limits->tagged);
	for (int pool = 0; pool < NAT_POOLS; pool++)
		set(nat, (enum nat_share_of)(NAT_SHARE_PORTS + pool), each,
		    nat_ports_size(&nat->ports[pool]));
}
