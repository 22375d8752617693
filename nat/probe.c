/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The question to an idle end (RFC 7857 2, on the way from ESTABLISHED to
 * TRANS): is your connection still there? The inside end of a TCP session that
 * was idle for so long gets a segment from its peer that only acknowledges,
 * with sequence number and acknowledgement 0. A living end answers with an ACK
 * of its own, which brings the session back to ESTABLISHED; a dead one answers
 * with an RST or not at all, and the session ends with its time in TRANS.
 *
 * At most NAT_PROBES wait to be sent; output is asked for once a second, so
 * that is their rate, too. Sessions beyond it end unasked, and are counted.
 */
#include "internal.h"

#include <string.h>

#include "bytes.h"
#include "checksum.h"

#define TCP_HEADER 20U
#define SEGMENT_BYTES (IPV4_HEADER + TCP_HEADER)

void nat_probe_ask(struct nat *nat, uint32_t session)
{
	uint32_t mapping = nat->sessions[session].key.mapping;

	if (!nat->config->idle_probe ||
	    nat->mappings[mapping].inside.proto != NAT_PROTO_TCP)
		return;
	if (nat->probe_count == NAT_PROBES)
		nat->stats.idle_unprobed++;
	else
		nat->probes[nat->probe_count++] = session;
}

uint32_t nat_build_segment(struct nat *nat, uint32_t slot, uint8_t flags,
			   uint32_t seq)
{
	const struct nat_session_key *key = &nat->sessions[slot].key;
	const struct nat_socket *inside = &nat->mappings[key->mapping].inside;
	uint8_t *ip = nat->answer;
	uint8_t *tcp = ip + IPV4_HEADER;
	uint32_t sum;

	memset(ip, 0, SEGMENT_BYTES);
	nat_store16(ip + IP_FRAGMENT, IPV4_FLAG_DF);
	nat_build_header(ip, SEGMENT_BYTES, NAT_PROTO_TCP, key->peer_addr,
			 inside->addr);
	nat_store16(tcp + L4_SRC, key->peer_port);
	nat_store16(tcp + L4_DST, inside->port);
	nat_store32(tcp + TCP_SEQ, seq);
	tcp[TCP_DATA_OFFSET] = TCP_HEADER / 4 << 4;
	tcp[TCP_FLAGS] = flags;
	sum = nat_checksum_pseudo(key->peer_addr, inside->addr, NAT_PROTO_TCP,
				  TCP_HEADER) +
	      nat_checksum_sum(tcp, TCP_HEADER);
	nat_store16(tcp + TCP_CHECKSUM, (uint16_t)~nat_checksum_fold(sum));
	return SEGMENT_BYTES;
}

const uint8_t *nat_probe_output(struct nat *nat, uint32_t *length)
{
	while (nat->uplink && nat->probe_count) {
		uint32_t slot = nat->probes[--nat->probe_count];
		const struct nat_session *session = &nat->sessions[slot];
		const struct nat_mapping *mapping =
			&nat->mappings[session->key.mapping];

		/* It may have ended or gone on, and its slot be another's. A
		 * host whose own outside address is the peer is not asked: the
		 * segment would not come from outside. */
		if (!session->live || !(session->flags & NAT_SESSION_RETIRED) ||
		    mapping->inside.proto != NAT_PROTO_TCP ||
		    session->key.peer_addr == nat->header->uplink)
			continue;
		nat->stats.idle_probes++;
		*length = nat_build_segment(nat, slot, TCP_ACK_FLAG, 0);
		return nat->answer;
	}
	return NULL;
}
