/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the control socket shows, as JSON objects.
 */
#include "views.h"

#include <stdio.h>

#include "views_put.h"

const char *views_addr(uint32_t addr, char text[static VIEWS_ADDR_SIZE])
{
	snprintf(text, VIEWS_ADDR_SIZE, "%u.%u.%u.%u", addr >> 24,
		 addr >> 16 & 255, addr >> 8 & 255, addr & 255);
	return text;
}

const char *views_socket(uint32_t addr, uint16_t port,
			 char text[static VIEWS_SOCKET_SIZE])
{
	snprintf(text, VIEWS_SOCKET_SIZE, "%u.%u.%u.%u:%u", addr >> 24,
		 addr >> 16 & 255, addr >> 8 & 255, addr & 255, (unsigned)port);
	return text;
}

/* Ages are rounded down, expiry up: what still lives never shows 0 s left. */
static void put_times(struct json_object *object, uint64_t age_ms,
		      uint64_t idle_ms, uint64_t expires_ms)
{
	put_number(object, "age_s", age_ms / 1000);
	put_number(object, "idle_s", idle_ms / 1000);
	if (expires_ms == NAT_NEVER)
		put_null(object, "expires_s");
	else
		put_number(object, "expires_s",
			   expires_ms / 1000 + !!(expires_ms % 1000));
}

static void put_counters(struct json_object *object,
			 const struct nat_counters *counters)
{
	put_number(object, "out_packets", counters->out_packets);
	put_number(object, "out_bytes", counters->out_bytes);
	put_number(object, "in_packets", counters->in_packets);
	put_number(object, "in_bytes", counters->in_bytes);
}

struct json_object *views_mapping(const struct nat_mapping_view *view)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	put_proto(object, view->proto);
	put_socket(object, "inside", view->inside_addr, view->inside_port);
	put_socket(object, "outside", view->outside_addr, view->outside_port);
	put_text(object, "kind", nat_kind_name(view->kind));
	put_number(object, "sessions", view->sessions);
	put_times(object, view->age_ms, view->idle_ms, view->expires_ms);
	put_counters(object, &view->counters);
	put_text(object, "name", view->name);
	return whole(object);
}

struct json_object *views_session(const struct nat_session_view *view)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	put_proto(object, view->proto);
	put_socket(object, "inside", view->inside_addr, view->inside_port);
	put_socket(object, "outside", view->outside_addr, view->outside_port);
	put_socket(object, "peer", view->peer_addr, view->peer_port);
	put_text(object, "state", nat_state_name(view->state));
	put_times(object, view->age_ms, view->idle_ms, view->expires_ms);
	put_counters(object, &view->counters);
	put(object, "carried", json_object_new_boolean(view->carried));
	return whole(object);
}

struct json_object *views_host(const struct nat_host_view *view,
			       const char *name)
{
	struct json_object *object = json_object_new_object();
	char text[VIEWS_ADDR_SIZE];

	if (!object)
		return NULL;
	put_text(object, "address", views_addr(view->addr, text));
	put_text(object, "name", name);
	put_number(object, "mappings", view->mappings);
	put_number(object, "sessions", view->sessions);
	put_counters(object, &view->counters);
	put_number(object, "refused", view->refused);
	return whole(object);
}

struct json_object *views_rules(const char *text, const char *backend)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	put_text(object, "rules", text);
	put_text(object, "backend", backend);
	return whole(object);
}

struct json_object *views_error(const char *message)
{
	struct json_object *object = json_object_new_object();

	if (object)
		put_text(object, "error", message);
	return whole(object);
}

struct json_object *views_reloaded(void)
{
	struct json_object *object = json_object_new_object();

	if (object)
		put(object, "reloaded", json_object_new_boolean(true));
	return whole(object);
}

struct json_object *views_flushed(uint32_t ended)
{
	struct json_object *object = json_object_new_object();

	if (object)
		put_number(object, "flushed", ended);
	return whole(object);
}

/* --- status -------------------------------------------------------------- */

static struct json_object *uplink(const struct views_status *status)
{
	struct json_object *object = json_object_new_object();
	char text[VIEWS_ADDR_SIZE];

	if (!object)
		return NULL;
	put_text(object, "device", status->uplink_device);
	put_text(object, "address",
		 status->uplink_addr ? views_addr(status->uplink_addr, text) :
				       NULL);
	return whole(object);
}

static struct json_object *use(uint32_t used, uint32_t limit)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	put_number(object, "used", used);
	put_number(object, "limit", limit);
	return whole(object);
}

static struct json_object *pool(const struct nat_pool_stats *stats)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	put_number(object, "used", stats->used);
	put_number(object, "held", stats->held);
	put_number(object, "total", stats->total);
	return whole(object);
}

static struct json_object *ports(const struct nat_stats *stats)
{
	struct json_object *object = json_object_new_object();

	for (int i = 0; object && i < NAT_POOLS; i++)
		put(object, nat_pool_name((enum nat_pool)i),
		    pool(&stats->ports[i]));
	return whole(object);
}

static struct json_object *idle_probes(const struct nat_stats *stats)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	put_number(object, "sent", stats->idle_probes);
	put_number(object, "skipped", stats->idle_unprobed);
	return whole(object);
}

static struct json_object *restored(const struct views_status *status)
{
	const struct nat_restored *what = status->restored;
	struct json_object *object = json_object_new_object();
	uint64_t dropped = 0;

	if (!object)
		return NULL;
	for (int loss = 0; loss < NAT_LOSSES; loss++)
		dropped += what->lost[loss];
	put_number(object, "mappings", what->mappings);
	put_number(object, "sessions", what->sessions);
	put_number(object, "dropped", dropped);
	put_number(object, "ms", status->restored_ms);
	return whole(object);
}

static struct json_object *fast_path(const struct views_status *status)
{
	const struct fast_stats *fast = status->fast;
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	put(object, "sessions", use(fast->sessions, status->fast_limit));
	put_number(object, "handed_over", fast->handed_over);
	put_number(object, "no_room", fast->no_room);
	put_number(object, "packets", fast->packets);
	put_number(object, "bytes", fast->bytes);
	put_number(object, "devices", fast->devices);
	put_text(object, "reason", status->fast_reason);
	return whole(object);
}

static struct json_object *moves(const struct nat_stats *stats)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	put_number(object, "count", stats->moves);
	put_number(object, "mappings", stats->move_mappings);
	put_number(object, "ports", stats->move_ports);
	put_number(object, "ended", stats->move_ended);
	put_number(object, "connections", stats->move_cut);
	put_number(object, "told", stats->move_told);
	put_number(object, "untold", stats->move_untold);
	return whole(object);
}

static struct json_object *packets(const struct nat_stats *stats)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	put_number(object, "outbound", stats->outbound_packets);
	put_number(object, "inbound", stats->inbound_packets);
	put_number(object, "hairpin", stats->hairpin_packets);
	put_number(object, "untouched", stats->untouched_packets);
	return whole(object);
}

static struct json_object *bytes(const struct nat_stats *stats)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	put_number(object, "outbound", stats->outbound_bytes);
	put_number(object, "inbound", stats->inbound_bytes);
	return whole(object);
}

static struct json_object *drops(const struct nat_stats *stats)
{
	struct json_object *object = json_object_new_object();

	for (int i = NAT_DROP_NONE + 1; object && i < NAT_DROPS; i++)
		if (stats->drops[i])
			put_number(object, nat_drop_name((enum nat_drop)i),
				   stats->drops[i]);
	return whole(object);
}

static struct json_object *lane(const struct queue_lane_stats *stats)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	put_number(object, "waiting", stats->waiting);
	put_number(object, "dropped", stats->dropped);
	put_number(object, "user_dropped", stats->user_dropped);
	put_number(object, "packets", stats->packets);
	return whole(object);
}

static struct json_object *queue(const struct queue_stats *stats)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	put_number(object, "length", stats->length);
	put_number(object, "dropped", stats->dropped);
	put_number(object, "user_dropped", stats->user_dropped);
	put(object, "gso", json_object_new_boolean(stats->gso));
	put_number(object, "waiting", stats->waiting);
	put_number(object, "packets", stats->packets);
	put_number(object, "batches", stats->batches);
	put_number(object, "gso_packets", stats->gso_packets);
	put_number(object, "gso_udp_packets", stats->gso_udp_packets);
	put_number(object, "partial_packets", stats->partial_packets);
	put_number(object, "truncated_packets", stats->truncated_packets);
	put_number(object, "gone", stats->gone);
	put_number(object, "answers_failed", stats->answers_failed);
	put(object, "following", lane(&stats->lanes[QUEUE_FOLLOWING]));
	put(object, "opening", lane(&stats->lanes[QUEUE_OPENING]));
	put(object, "overload", json_object_new_boolean(stats->overload.now));
	put_number(object, "orphans", stats->orphans);
	return whole(object);
}

static struct json_object *control(const struct control_stats *stats)
{
	struct json_object *object = json_object_new_object();
	struct json_object *refused = json_object_new_object();

	if (!object || !refused) {
		json_object_put(object);
		json_object_put(refused);
		return NULL;
	}
	put_number(object, "clients", stats->clients);
	put_number(object, "requests", stats->requests);
	for (int i = 0; i < CONTROL_REFUSALS; i++)
		put_number(refused,
			   control_refusal_name((enum control_refusal)i),
			   stats->refused[i]);
	put(object, "refused", whole(refused));
	return whole(object);
}

void views_prepare(void)
{
	struct json_object *object = json_object_new_object();

	if (object)
		json_object_object_add(object, "key", NULL);
	json_object_put(object);
}

struct json_object *views_status(const struct views_status *status)
{
	const struct nat_stats *nat = status->nat;
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	put_text(object, "version", PORTICO_VERSION);
	put_number(object, "uptime_s", status->uptime_s);
	put(object, "uplink", uplink(status));
	put(object, "mappings", use(nat->mappings, nat->mappings_limit));
	put(object, "sessions", use(nat->sessions, nat->sessions_limit));
	put(object, "hosts", use(nat->hosts, nat->hosts_limit));
	put(object, "ports", ports(nat));
	put(object, "packets", packets(nat));
	put(object, "bytes", bytes(nat));
	put(object, "drops", drops(nat));
	put(object, "queue", queue(status->queue));
	put(object, "warnings",
	    texts(status->warnings, status->warnings_count));
	put_text(object, "backend", status->backend);
	put_text(object, "config", status->config);
	put_number(object, "held_overflow", nat->held_overflow);
	put_number(object, "icmp_suppressed", nat->icmp_suppressed);
	put(object, "idle_probes", idle_probes(nat));
	put(object, "tagged_sessions", use(nat->tagged, nat->tagged_limit));
	put(object, "restored", restored(status));
	put(object, "control", control(status->control));
	put(object, "moves", moves(nat));
	put(object, "fast_path", fast_path(status));
	return whole(object);
}
