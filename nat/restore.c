/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What an earlier engine left behind: whether it can go on, and if not, which
 * ports it used, so that nobody gets another's for a while (RFC 6888 REQ-8).
 */
#include <stddef.h>
#include <string.h>

#include "internal.h"

static bool all_zero(const void *bytes, size_t length)
{
	const uint8_t *at = bytes;

	while (length && !*at)
		at++, length--;
	return !length;
}

/* --- judging a header ------------------------------------------------------- */

/* Can the records behind it be read? `nat` is laid over them for all but the
 * limits. */
static enum nat_past judge(const struct nat *nat)
{
	const struct nat_header *header = nat->header;

	if (all_zero(header, sizeof(*header)))
		return NAT_PAST_NONE;
	if (header->magic != NAT_MAGIC)
		return NAT_PAST_DAMAGED;
	if (header->layout != NAT_LAYOUT || header->shape != nat_shape())
		return NAT_PAST_LAYOUT;
	if (header->check != nat_seal_header(nat) ||
	    header->uplink_check != nat_seal_uplink(nat, header->uplink) ||
	    !nat_limits_good(&header->limits))
		return NAT_PAST_DAMAGED;
	return NAT_PAST_KEPT;
}

static enum nat_past judge_for(const struct nat *nat,
			       const struct nat_limits *limits,
			       const uint8_t boot[16])
{
	enum nat_past past = judge(nat);

	if (past != NAT_PAST_KEPT)
		return past;
	if (memcmp(&nat->header->limits, limits, sizeof(*limits)))
		return NAT_PAST_RESIZED;
	if (memcmp(nat->header->boot, boot, sizeof(nat->header->boot)))
		return NAT_PAST_REBOOT;
	return NAT_PAST_KEPT;
}

/* --- ports of a table that ended ---------------------------------------------- */

static void note(struct nat *nat, int pool, uint16_t port)
{
	if (pool >= 0 && pool < NAT_POOLS && port)
		nat_ports_take(&nat->ports[pool], port);
}

/* Marks the ports that another table used as taken. A record that does not
 * check is believed as far as whatever may have been its port: there is no harm
 * in it. */
static void note_ports(struct nat *nat, const struct nat *old)
{
	const struct nat_limits *limits = &old->header->limits;

	for (uint32_t slot = 1; slot <= limits->mappings; slot++) {
		const struct nat_mapping *m = &old->mappings[slot];

		if ((!m->live && !m->check) ||
		    (m->kind == NAT_KIND_FORWARD &&
		     m->check == nat_seal_mapping(old, slot)))
			continue;
		note(nat, nat_pool_of(m->inside.proto), m->port);
		note(nat, nat_pool_of(m->proto_again), m->port);
		note(nat, nat_pool_of(m->proto_again), m->port_again);
	}
	for (uint32_t slot = 0; slot < limits->held_ports; slot++)
		if (old->held[slot].live)
			note(nat, old->held[slot].pool, old->held[slot].port);
}

/* What is taken and of no mapping rests. */
static uint32_t hold_noted(struct nat *nat, uint64_t now_ms)
{
	uint32_t count = 0;

	for (int pool = 0; pool < NAT_POOLS; pool++)
		for (uint32_t port = 1; port < NAT_PORTS; port++)
			if (nat_ports_taken(&nat->ports[pool],
					    (uint16_t)port)) {
				nat_hold(nat, (enum nat_pool)pool,
					 (uint16_t)port, now_ms);
				count++;
			}
	return count;
}

static enum nat_past judge_other(struct nat *old, void *records,
				 size_t records_bytes)
{
	enum nat_past past;

	if (records_bytes < sizeof(*old->header))
		return NAT_PAST_DAMAGED;
	old->header = records;
	past = judge(old);
	if (past != NAT_PAST_KEPT)
		return past;
	return nat_lay_records(old, &old->header->limits, records) >
			       records_bytes ?
		       NAT_PAST_DAMAGED :
		       NAT_PAST_RESIZED;
}

uint32_t nat_rest_ports(struct nat *nat, void *records, size_t records_bytes,
			uint64_t now_ms, struct nat_restored *restored)
{
	struct nat old = { 0 };

	if (nat->config || nat->mapping_live.count || nat->header->held_count)
		return 0;
	restored->past = judge_other(&old, records, records_bytes);
	if (restored->past != NAT_PAST_RESIZED)
		return 0;
	note_ports(nat, &old);
	restored->held = hold_noted(nat, now_ms);
	return restored->held;
}

/* --- restoring ------------------------------------------------------------------ */

/* A start that is killed here begins anew the next time: the magic number is
 * no table's, and the header is the last to be zeroed. */
static void empty(struct nat *nat, size_t records_bytes)
{
	uint8_t *records = (uint8_t *)nat->header;
	const size_t header = sizeof(*nat->header);

	nat->header->magic = NAT_EMPTYING;
	nat_fence();
	memset(records + header, 0, records_bytes - header);
	nat_fence();
	memset(records + sizeof(nat->header->magic), 0,
	       header - sizeof(nat->header->magic));
	nat_fence();
	nat->header->magic = 0;
}

/* The old ports are noted before their records are zeroed. */
static void begin_anew(struct nat *nat, size_t records_bytes,
		       const uint8_t boot[16], uint64_t now_ms)
{
	struct nat old = { .header = nat->header };

	if (judge(&old) == NAT_PAST_KEPT &&
	    nat_lay_records(&old, &nat->header->limits,
			    (uint8_t *)nat->header) <= records_bytes)
		note_ports(nat, &old);
	empty(nat, records_bytes);
	nat_make_header(nat, boot);
	hold_noted(nat, now_ms);
}

struct nat *nat_restore(const struct nat_limits *limits,
			const struct nat_secrets *secrets,
			const uint8_t boot[16], void *records,
			size_t records_bytes, void *indices,
			size_t indices_bytes, uint64_t now_ms,
			struct nat_restored *restored)
{
	struct nat *nat = nat_lay(limits, secrets, records, records_bytes,
				  indices, indices_bytes, now_ms);

	if (!nat)
		return NULL;
	memset(restored, 0, sizeof(*restored));
	restored->past = judge_for(nat, limits, boot);
	if (restored->past == NAT_PAST_KEPT) {
		restored->clean = nat->header->clean == 1;
		nat->header->clean = 0;
		nat_rebuild(nat, now_ms, restored);
	} else if (restored->past == NAT_PAST_NONE) {
		nat_make_header(nat, boot);
	} else {
		begin_anew(nat, records_bytes, boot, now_ms);
	}
	restored->mappings = nat->mapping_live.count;
	restored->sessions = nat->by_session.count;
	restored->hosts = nat->hosts_live;
	for (int pool = 0; pool < NAT_POOLS; pool++)
		restored->held += nat->held_ports[pool];
	return nat;
}

void nat_leave(struct nat *nat)
{
	nat_take_all_back(nat);
	nat_fence();
	nat->header->clean = 1;
}
