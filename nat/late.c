/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The late answer to an unsolicited SYN (RFC 5382 REQ-4): silence for 6 s, so
 * that a simultaneous open can still happen, then one ICMP port unreachable.
 * Off unless the operator asks for it (icmp_after_6s). A bounded ring; when it
 * is full the oldest SYN is forgotten, which is what silence means anyway.
 */
#include "internal.h"

#include <string.h>

#define LATE_MS 6000U
#define PORT_UNREACHABLE 3

static struct nat_late *late_at(struct nat *nat, uint32_t i)
{
	return &nat->late[(nat->late_first + i) % NAT_LATE_MAX];
}

static void late_pop(struct nat *nat)
{
	nat->late_first = (nat->late_first + 1) % NAT_LATE_MAX;
	nat->late_count--;
}

/* A repeated SYN does not start the time again. */
static bool is_kept(struct nat *nat, const struct nat_parsed *p)
{
	for (uint32_t i = 0; i < nat->late_count; i++) {
		const struct nat_late *late = late_at(nat, i);

		if (late->length && late->peer_addr == p->src &&
		    late->peer_port == p->sport && late->port == p->dport)
			return true;
	}
	return false;
}

void nat_late_keep(struct nat_work *work)
{
	struct nat *nat = work->nat;
	const struct nat_parsed *p = &work->p;
	struct nat_late *late;

	if (!nat->config->icmp_after_6s || p->class != NAT_CLASS_PORTS ||
	    p->proto != NAT_PROTO_TCP || !nat_tcp_is_first(p) ||
	    is_kept(nat, p))
		return;
	if (nat->late_count == NAT_LATE_MAX)
		late_pop(nat);
	late = late_at(nat, nat->late_count++);
	*late = (struct nat_late){
		.since_ms = work->now_ms,
		.peer_addr = p->src,
		.peer_port = p->sport,
		.port = p->dport,
		.length = (uint8_t)(p->length < NAT_LATE_BYTES ?
					    p->length :
					    NAT_LATE_BYTES),
	};
	memcpy(late->quote, p->ip, late->length);
}

void nat_late_cancel(struct nat *nat, uint32_t peer_addr, uint16_t peer_port,
		     uint16_t port)
{
	for (uint32_t i = 0; i < nat->late_count; i++) {
		struct nat_late *late = late_at(nat, i);

		if (late->peer_addr == peer_addr &&
		    late->peer_port == peer_port && late->port == port)
			late->length = 0;
	}
}

const uint8_t *nat_late_output(struct nat *nat, uint64_t now_ms,
			       uint32_t *length)
{
	while (nat->late_count &&
	       late_at(nat, 0)->since_ms + LATE_MS <= now_ms) {
		const struct nat_late *late = late_at(nat, 0);

		late_pop(nat);
		if (!late->length || !nat->uplink ||
		    !nat->config->icmp_after_6s ||
		    !nat_may_answer(nat, 0, now_ms))
			continue;
		*length = nat_build_error(nat, nat->uplink, late->peer_addr,
					  ICMP_KIND(ICMP_UNREACHABLE,
						    PORT_UNREACHABLE),
					  late->quote, late->length);
		return nat->answer;
	}
	return NULL;
}
