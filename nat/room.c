/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Quotas, shares and room in the tables: may one more mapping or session be
 * made, and for whom? What is over gives way first.
 */
#include "room.h"

#define BURST_S 10U /* design 7: token buckets hold 10 s */
#define ROOM_AT_ONCE 64U /* sessions ended at most for one that is new */

/* RFC 6888 REQ-4c: one token a new mapping. */
bool nat_host_may_open(struct nat *nat, struct nat_host *host, uint64_t now_ms)
{
	uint32_t rate = nat->config->host_new_per_second;

	return nat_bucket_has(&host->opens, rate, rate * BURST_S, now_ms);
}

/* Ends some of what is over, or was cut off and told: false, there is none. A
 * mapping may die with it. */
static bool make_room(struct nat_work *work)
{
	return nat_expire(work->nat, work->now_ms, ROOM_AT_ONCE) +
	       nat_cut_end(work->nat, work->now_ms, ROOM_AT_ONCE);
}

static enum nat_drop session_room(const struct nat_work *work, uint32_t host,
				  uint32_t mapping)
{
	const struct nat *nat = work->nat;
	const struct nat_config *config = nat->config;

	if (!nat_slots_left(&nat->session_slots))
		return NAT_DROP_TABLE_FULL;
	if (nat->hosts[host].sessions >= config->host_sessions)
		return NAT_DROP_HOST_QUOTA;
	if (mapping &&
	    nat->mappings[mapping].sessions >= config->mapping_sessions)
		return NAT_DROP_HOST_QUOTA;
	if (!nat_share_allows(nat, NAT_SHARE_SESSIONS, host))
		return NAT_DROP_HOST_SHARE;
	return NAT_DROP_NONE;
}

/* Room for one more session of this host and mapping (0: a new one). */
enum nat_drop nat_room_session(struct nat_work *work, uint32_t host,
			       uint32_t mapping)
{
	enum nat_drop drop = session_room(work, host, mapping);

	if (drop && make_room(work))
		drop = session_room(work, host, mapping);
	return drop;
}

/* Others' shares of the pool; what is for low ports alone is nobody's. */
static bool port_allowed(const struct nat_work *work, uint32_t host)
{
	const struct nat *nat = work->nat;
	int pool = nat_pool_of(work->p.proto);

	if (pool < 0 || (work->p.sport < 1024 && nat->ports[pool].free_low))
		return true;
	return nat_share_allows(
		nat, (enum nat_share_of)(NAT_SHARE_PORTS + pool), host);
}

static enum nat_drop mapping_room(const struct nat_work *work, uint32_t host)
{
	const struct nat *nat = work->nat;

	if (!nat_slots_left(&nat->mapping_slots))
		return NAT_DROP_TABLE_FULL;
	if (nat->hosts[host].mappings - nat->hosts[host].forwards >=
	    nat->config->host_mappings)
		return NAT_DROP_HOST_QUOTA;
	if (!nat_share_allows(nat, NAT_SHARE_MAPPINGS, host) ||
	    !port_allowed(work, host))
		return NAT_DROP_HOST_SHARE;
	return NAT_DROP_NONE;
}

enum nat_drop nat_room_mapping(struct nat_work *work, uint32_t host)
{
	struct nat *nat = work->nat;
	enum nat_drop drop = mapping_room(work, host);

	if (drop && make_room(work))
		drop = mapping_room(work, host);
	if (drop)
		return drop;
	return nat_host_may_open(nat, &nat->hosts[host], work->now_ms) ?
		       NAT_DROP_NONE :
		       NAT_DROP_HOST_RATE;
}

/* Sessions that outsiders open may take half of a mapping's and of a host's
 * quota and half of the table: the rest stays for what hosts themselves begin. */
static enum nat_drop outsider_room(const struct nat_work *work,
				   uint32_t mapping)
{
	const struct nat *nat = work->nat;
	uint32_t host = nat->mappings[mapping].host;

	if (nat->hosts[host].sessions >= (nat->config->host_sessions + 1) / 2 ||
	    nat->mappings[mapping].sessions >=
		    (nat->config->mapping_sessions + 1) / 2)
		return NAT_DROP_HOST_QUOTA;
	if (nat->by_session.count >= (nat->limits.sessions + 1) / 2)
		return NAT_DROP_TABLE_FULL;
	return NAT_DROP_NONE;
}

/* The mapping may die in it. */
enum nat_drop nat_room_outsider(struct nat_work *work, uint32_t mapping)
{
	const struct nat_mapping *record = &work->nat->mappings[mapping];
	enum nat_drop drop = nat_room_session(work, record->host, mapping);

	if (!drop && record->live)
		drop = outsider_room(work, mapping);
	if (drop && record->live && make_room(work) && record->live)
		drop = outsider_room(work, mapping);
	return drop;
}
