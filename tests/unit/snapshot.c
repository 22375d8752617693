/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "snapshot.h"

#include <string.h>

void snapshot_take(struct snapshot *s, const struct engine *engine)
{
	struct nat_stats stats = engine_stats(engine);
	uint32_t cursor = 0;

	memset(s, 0, sizeof(*s));
	while (nat_next_mapping(engine->nat, &cursor, engine->now,
				&s->mappings[s->mapping_count]))
		s->mapping_count++;
	cursor = 0;
	while (nat_next_session(engine->nat, &cursor, engine->now,
				&s->sessions[s->session_count]))
		s->session_count++;
	cursor = 0;
	while (nat_next_host(engine->nat, &cursor, &s->hosts[s->host_count]))
		s->host_count++;
	memcpy(s->ports, stats.ports, sizeof(s->ports));
}

static bool same_counters(const struct nat_counters *a,
			  const struct nat_counters *b)
{
	return a->out_packets == b->out_packets &&
	       a->out_bytes == b->out_bytes && a->in_packets == b->in_packets &&
	       a->in_bytes == b->in_bytes;
}

static bool same_mapping(const struct nat_mapping_view *a,
			 const struct nat_mapping_view *b, bool wholly)
{
	if (a->proto != b->proto || a->kind != b->kind ||
	    a->inside_addr != b->inside_addr ||
	    a->inside_port != b->inside_port ||
	    a->outside_addr != b->outside_addr ||
	    a->outside_port != b->outside_port)
		return false;
	return !wholly ||
	       (a->sessions == b->sessions && a->age_ms == b->age_ms &&
		a->idle_ms == b->idle_ms && a->expires_ms == b->expires_ms &&
		a->name == b->name &&
		same_counters(&a->counters, &b->counters));
}

static bool same_session(const struct nat_session_view *a,
			 const struct nat_session_view *b, bool wholly)
{
	if (a->proto != b->proto || a->inside_addr != b->inside_addr ||
	    a->inside_port != b->inside_port ||
	    a->outside_port != b->outside_port ||
	    a->peer_addr != b->peer_addr || a->peer_port != b->peer_port)
		return false;
	return !wholly ||
	       (a->state == b->state && a->age_ms == b->age_ms &&
		a->idle_ms == b->idle_ms && a->expires_ms == b->expires_ms &&
		same_counters(&a->counters, &b->counters));
}

static bool has_mapping(const struct snapshot *s,
			const struct nat_mapping_view *view, bool wholly)
{
	for (uint32_t i = 0; i < s->mapping_count; i++)
		if (same_mapping(&s->mappings[i], view, wholly))
			return true;
	return false;
}

static bool has_session(const struct snapshot *s,
			const struct nat_session_view *view, bool wholly)
{
	for (uint32_t i = 0; i < s->session_count; i++)
		if (same_session(&s->sessions[i], view, wholly))
			return true;
	return false;
}

static bool has_host(const struct snapshot *s, const struct nat_host_view *view)
{
	for (uint32_t i = 0; i < s->host_count; i++)
		if (s->hosts[i].addr == view->addr &&
		    s->hosts[i].mappings == view->mappings &&
		    s->hosts[i].sessions == view->sessions &&
		    s->hosts[i].refused == view->refused &&
		    same_counters(&s->hosts[i].counters, &view->counters))
			return true;
	return false;
}

const char *snapshot_differs(const struct snapshot *a, const struct snapshot *b)
{
	if (a->mapping_count != b->mapping_count)
		return "another number of mappings";
	for (uint32_t i = 0; i < a->mapping_count; i++)
		if (!has_mapping(b, &a->mappings[i], true))
			return "a mapping is missing or has changed";
	if (a->session_count != b->session_count)
		return "another number of sessions";
	for (uint32_t i = 0; i < a->session_count; i++)
		if (!has_session(b, &a->sessions[i], true))
			return "a session is missing or has changed";
	if (a->host_count != b->host_count)
		return "another number of hosts";
	for (uint32_t i = 0; i < a->host_count; i++)
		if (!has_host(b, &a->hosts[i]))
			return "a host is missing or has changed";
	return memcmp(a->ports, b->ports, sizeof(a->ports)) ?
		       "ports are counted differently" :
		       NULL;
}

const char *snapshot_exceeds(const struct snapshot *part,
			     const struct snapshot *whole)
{
	/* A forward is the configuration's: it comes once there is room. */
	for (uint32_t i = 0; i < part->mapping_count; i++)
		if (part->mappings[i].kind != NAT_KIND_FORWARD &&
		    !has_mapping(whole, &part->mappings[i], false))
			return "there is a mapping that never was";
	for (uint32_t i = 0; i < part->session_count; i++)
		if (!has_session(whole, &part->sessions[i], false))
			return "there is a session that never was";
	return NULL;
}

/* Those of `from` that `like` has (or has not) too. */
static void add(struct snapshot *to, const struct snapshot *from,
		const struct snapshot *like, bool has)
{
	for (uint32_t i = 0; i < from->mapping_count; i++)
		if (has_mapping(like, &from->mappings[i], false) == has)
			to->mappings[to->mapping_count++] = from->mappings[i];
	for (uint32_t i = 0; i < from->session_count; i++)
		if (has_session(like, &from->sessions[i], false) == has)
			to->sessions[to->session_count++] = from->sessions[i];
}

void snapshot_join(struct snapshot *joined, const struct snapshot *a,
		   const struct snapshot *b)
{
	*joined = *a;
	add(joined, b, a, false);
}

void snapshot_meet(struct snapshot *met, const struct snapshot *a,
		   const struct snapshot *b)
{
	memset(met, 0, sizeof(*met));
	add(met, a, b, true);
}
