/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whether the tables, the quotas and the pool leave room: the rules of
 * nat/room.c, seen from outside. Rates cannot be seen.
 *
 * Shares are nearly so: forwards count among a host's mappings here, and of
 * ports only those of the host that asks are known.
 */
#include "why_private.h"

/* Of each table and pool, what may be kept for hosts that have less. */
#define KEPT_PART 8U

static enum nat_drop full(struct why *why, const char *what, uint32_t limit)
{
	why_say(why, "the table of %s is full: %u of %u", what, (unsigned)limit,
		(unsigned)limit);
	why_remedy(why,
		   "raise limits.%s (takes a restart), or see which host has "
		   "most: portico hosts",
		   what);
	return NAT_DROP_TABLE_FULL;
}

static enum nat_drop over(struct why *why, const struct nat_host_view *host,
			  const char *what, uint32_t used, const char *key,
			  uint32_t limit)
{
	why_say(why, "%s has %u %s, and limits.%s is %u", WHY_ADDR(host->addr),
		(unsigned)used, what, key, (unsigned)limit);
	why_remedy(why,
		   "raise limits.%s, or end what the host has: portico "
		   "flush --host %s",
		   key, WHY_ADDR(host->addr));
	return NAT_DROP_HOST_QUOTA;
}

/* May a host that has `used` take one more of what is left? */
static bool share_allows(uint32_t used, uint32_t each, uint32_t left,
			 uint64_t missing, uint32_t size)
{
	uint32_t kept = size / KEPT_PART;

	if (!each || used < each)
		return true;
	return !left || left > (missing < kept ? missing : kept);
}

static enum nat_drop kept(struct why *why, const char *what, uint32_t left)
{
	why_say(why,
		"%u %s are left, which are kept for hosts that have less than "
		"limits.host_guaranteed",
		(unsigned)left, what);
	why_remedy(why, "see which host has most: portico hosts; more room: "
			"limits.mappings, limits.sessions, uplink.ports");
	return NAT_DROP_HOST_SHARE;
}

static uint64_t missing(const struct why_scene *scene, uint32_t each,
			uint64_t taken)
{
	uint64_t all = (uint64_t)each * scene->stats.hosts_limit;

	return all > taken ? all - taken : 0;
}

/* --- sessions ------------------------------------------------------------ */

/* What is counted, with the session that a hairpin makes first. */
struct use {
	const struct nat_host_view *host;
	uint32_t all, of_host, of_mapping;
};

static struct use use_of(const struct why *why, const struct why_scene *scene,
			 const struct nat_mapping_view *mapping)
{
	const struct why_found *found = &why->found;
	const bool target = mapping == &found->target;
	const struct nat_host_view *host = target ? &found->target_host :
						    &found->host;
	const uint32_t sender = why->question.source.addr;
	struct use use = {
		.host = host,
		.all = scene->stats.sessions + why->opens,
		.of_host = host->sessions,
		.of_mapping = mapping ? mapping->sessions : 0,
	};

	if (!target || !why->opens || mapping->inside_addr != sender)
		return use;
	use.of_host++;
	/* It speaks to itself. */
	use.of_mapping += mapping->inside_port == why->question.source.port;
	return use;
}

enum nat_drop why_room_session(struct why *why, const struct why_scene *scene,
			       const struct nat_mapping_view *mapping)
{
	const struct nat_config *config = scene->config;
	const uint32_t limit = scene->stats.sessions_limit;
	struct use use = use_of(why, scene, mapping);
	uint32_t left = limit > use.all ? limit - use.all : 0;
	uint32_t each = why_session_share(scene);

	if (!left)
		return full(why, "sessions", limit);
	if (use.of_host >= config->host_sessions)
		return over(why, use.host, "sessions", use.of_host,
			    "host_sessions", config->host_sessions);
	if (mapping && use.of_mapping >= config->mapping_sessions) {
		why_say(why,
			"the mapping has %u sessions, and "
			"limits.mapping_sessions is %u",
			(unsigned)use.of_mapping,
			(unsigned)config->mapping_sessions);
		why_remedy(why, "raise limits.mapping_sessions");
		return NAT_DROP_HOST_QUOTA;
	}
	if (!share_allows(use.of_host, each, left,
			  missing(scene, each, why->found.shares_sessions),
			  limit))
		return kept(why, "sessions", left);
	return NAT_DROP_NONE;
}

bool why_goes_without(struct why *why, const struct why_scene *scene,
		      const struct nat_mapping_view *mapping)
{
	const struct nat_config *config = scene->config;

	if (mapping->kind == NAT_KIND_FORWARD)
		why_say(why, "a forward works without sessions, too");
	else if (nat_pool_of(mapping->proto) == NAT_POOL_UDP &&
		 config->filtering[NAT_POOL_UDP] ==
			 NAT_FILTER_ENDPOINT_INDEPENDENT &&
		 mapping->sessions >= config->mapping_sessions)
		why_say(why, "UDP works without a session for each peer, as "
			     "filtering.udp lets everybody in");
	else
		return false;
	*why->remedy = '\0';
	return true;
}

/* Those that outsiders open have half of the table and of the quotas. */
enum nat_drop why_room_outsider(struct why *why, const struct why_scene *scene,
				const struct nat_mapping_view *mapping)
{
	const struct nat_config *config = scene->config;
	struct use use = use_of(why, scene, mapping);
	enum nat_drop drop = why_room_session(why, scene, mapping);

	if (drop)
		return drop;
	if (use.of_host >= (config->host_sessions + 1) / 2 ||
	    use.of_mapping >= (config->mapping_sessions + 1) / 2)
		drop = NAT_DROP_HOST_QUOTA;
	else if (use.all >= (scene->stats.sessions_limit + 1) / 2)
		drop = NAT_DROP_TABLE_FULL;
	if (!drop)
		return drop;
	why_say(why, "sessions that are opened from outside may take half of "
		     "the table and of a host's and a mapping's quota, which "
		     "they have");
	why_remedy(why, "raise limits.%s",
		   drop == NAT_DROP_TABLE_FULL ?
			   "sessions (takes a restart)" :
			   "host_sessions and limits.mapping_sessions");
	return drop;
}

/* --- mappings ------------------------------------------------------------ */

/* Free ports that only low inside ports may have; those that rest count as
 * free. */
static uint32_t low_left(const struct why *why, const struct why_scene *scene,
			 enum nat_pool pool)
{
	const struct nat_config *config = scene->config;
	uint32_t count = 0;

	for (uint32_t i = 1; i < NAT_PORTS; i++) {
		uint16_t port = (uint16_t)i;

		count += nat_portset_has(&config->low_only, port) &&
			 nat_portset_has(&config->pool[pool], port) &&
			 (pool == NAT_POOL_ICMP ||
			  !nat_portset_has(&scene->bound[pool], port));
	}
	return count > why->found.low_used ? count - why->found.low_used : 0;
}

/* The pool, and what of it is free for every inside port and for this one. */
struct stock {
	const struct nat_pool_stats *stats;
	uint32_t low, high;
	bool free;
};

static struct stock stock_of(const struct why *why,
			     const struct why_scene *scene, enum nat_pool pool)
{
	const struct nat_pool_stats *stats = &scene->stats.ports[pool];
	uint32_t left = stats->total - stats->used - stats->held;
	uint32_t low = low_left(why, scene, pool);

	if (low > left)
		low = left;
	return (struct stock){
		stats,
		low,
		left - low,
		left > low || (low && why->question.source.port < 1024),
	};
}

static enum nat_drop share_port(struct why *why, const struct why_scene *scene,
				const struct stock *stock)
{
	uint32_t each = scene->config->host_guaranteed;

	if (why->question.source.port < 1024 && stock->low)
		return NAT_DROP_NONE;
	return share_allows(why->found.ports, each, stock->high,
			    missing(scene, each, why->found.shares_mappings),
			    stock->stats->total - stock->low) ?
		       NAT_DROP_NONE :
		       kept(why, "ports", stock->high);
}

static enum nat_drop no_port(struct why *why, enum nat_pool pool,
			     const struct nat_pool_stats *stats)
{
	why_say(why,
		"no port of the %s pool is free: %u in use, %u resting, of %u",
		nat_pool_name(pool), (unsigned)stats->used,
		(unsigned)stats->held, (unsigned)stats->total);
	why_remedy(why, "widen uplink.ports, shorten the timeouts or see which "
			"host has most: portico hosts");
	return NAT_DROP_NO_PORT;
}

enum nat_drop why_room_mapping(struct why *why, const struct why_scene *scene)
{
	const struct nat_config *config = scene->config;
	const struct nat_stats *stats = &scene->stats;
	const struct why_found *found = &why->found;
	const int pool = nat_pool_of(why->question.proto);
	uint32_t left = stats->mappings_limit - stats->mappings;
	uint32_t each = config->host_guaranteed, used = 0;
	struct stock stock = { .free = true };
	enum nat_drop drop;

	if (found->has_host && found->host.mappings > found->forwards)
		used = found->host.mappings - found->forwards;
	if (!found->has_host && stats->hosts >= stats->hosts_limit &&
	    !found->idle_hosts)
		return full(why, "hosts", stats->hosts_limit);
	if (!left)
		return full(why, "mappings", stats->mappings_limit);
	if (used >= config->host_mappings)
		return over(why, &found->host, "mappings", used,
			    "host_mappings", config->host_mappings);
	if (!share_allows(used, each, left,
			  missing(scene, each, found->shares_mappings),
			  stats->mappings_limit))
		return kept(why, "mappings", left);
	if (pool >= 0)
		stock = stock_of(why, scene, (enum nat_pool)pool);
	drop = pool < 0 ? NAT_DROP_NONE : share_port(why, scene, &stock);
	if (!drop)
		drop = why_room_session(why, scene, NULL);
	if (!drop && !stock.free)
		drop = no_port(why, (enum nat_pool)pool, stock.stats);
	return drop;
}

/* One host may have a quarter of the table of tagged sessions. */
enum nat_drop why_room_tagged(struct why *why, const struct why_scene *scene)
{
	const struct nat_stats *stats = &scene->stats;
	const uint32_t quarter = (stats->tagged_limit + 3) / 4;

	if (stats->tagged >= stats->tagged_limit)
		return full(why, "tagged_sessions", stats->tagged_limit);
	if (why->found.tagged >= quarter) {
		why_say(why,
			"the host has %u sessions of SCTP, GRE and ESP, a "
			"quarter of limits.tagged_sessions",
			(unsigned)why->found.tagged);
		why_remedy(why,
			   "raise limits.tagged_sessions (takes a restart)");
		return NAT_DROP_HOST_QUOTA;
	}
	if (why->found.peer_tagged >= scene->config->peer_tagged) {
		why_say(why,
			"with this peer there are %u such sessions, and no "
			"more than %u may be",
			(unsigned)why->found.peer_tagged,
			(unsigned)scene->config->peer_tagged);
		why_remedy(why, "raise limits.peer_tagged_sessions");
		return NAT_DROP_HOST_QUOTA;
	}
	return NAT_DROP_NONE;
}
