/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a packet's way can end in; and the ICMP that tells an inside host why
 * it was refused (RFC 5508 REQ-8, RFC 6888 REQ-11).
 */
#include "internal.h"

#include <string.h>

#include "bytes.h"
#include "checksum.h"

#define ANSWER_HEADERS (IPV4_HEADER + ICMP_QUOTE)
#define OUR_TTL 64

struct nat_result nat_drop(struct nat *nat, enum nat_drop drop)
{
	nat->stats.drops[drop]++;
	return (struct nat_result){ .verdict = NAT_DROPPED, .drop = drop };
}

struct nat_result nat_untouched(struct nat *nat)
{
	nat->stats.untouched_packets++;
	return (struct nat_result){ .verdict = NAT_UNTOUCHED };
}

struct nat_result nat_translated(enum nat_mark mark)
{
	return (struct nat_result){ .verdict = NAT_TRANSLATED, .mark = mark };
}

/* As many at once as there are for a second. */
static bool has(struct nat_bucket *bucket, uint32_t per_second, uint64_t now_ms)
{
	return nat_bucket_has(bucket, per_second, per_second, now_ms);
}

bool nat_may_answer(struct nat *nat, uint32_t host, uint64_t now_ms)
{
	const struct nat_config *config = nat->config;
	struct nat_bucket *own = host ? &nat->hosts[host].answers : NULL;

	if ((own && !has(own, config->host_icmp_per_second, now_ms)) ||
	    !has(&nat->answers, config->icmp_per_second, now_ms)) {
		nat->stats.icmp_suppressed++;
		return false;
	}
	nat_bucket_take(&nat->answers);
	if (own)
		nat_bucket_take(own);
	return true;
}

/* RFC 1812 4.3.2.7: no error about an error. (Broadcasts, later fragments and
 * martians never come this far.) */
static bool may_be_answered(const struct nat_work *work)
{
	return work->p.class == NAT_CLASS_PORTS ||
	       work->p.class == NAT_CLASS_TAGGED ||
	       work->p.class == NAT_CLASS_QUERY;
}

void nat_build_header(uint8_t *ip, uint32_t length, uint8_t proto, uint32_t src,
		      uint32_t dst)
{
	ip[0] = 0x45;
	nat_store16(ip + IP_LENGTH, (uint16_t)length);
	ip[IP_TTL] = OUR_TTL;
	ip[IP_PROTO] = proto;
	nat_store32(ip + IP_SRC, src);
	nat_store32(ip + IP_DST, dst);
	nat_store16(ip + IP_CHECKSUM,
		    (uint16_t)~nat_checksum_sum(ip, IPV4_HEADER));
}

uint32_t nat_build_error(struct nat *nat, uint32_t src, uint32_t dst,
			 uint16_t kind, const uint8_t *packet, uint32_t quote)
{
	uint8_t *ip = nat->answer;
	uint8_t *icmp = ip + IPV4_HEADER;
	uint32_t length;

	if (quote > NAT_ANSWER_MAX - ANSWER_HEADERS)
		quote = NAT_ANSWER_MAX - ANSWER_HEADERS;
	length = ANSWER_HEADERS + quote;
	memset(ip, 0, ANSWER_HEADERS);
	ip[IP_TOS] = packet[IP_TOS]; /* RFC 5508 REQ-10d */
	nat_build_header(ip, length, NAT_PROTO_ICMP, src, dst);
	nat_store16(icmp + ICMP_TYPE, kind);
	memcpy(icmp + ICMP_QUOTE, packet, quote);
	nat_store16(icmp + ICMP_CHECKSUM,
		    (uint16_t)~nat_checksum_sum(icmp, length - IPV4_HEADER));
	return length;
}

/* Tells the sender, an inside host, quoting the packet as it came, up to 576
 * bytes in all (RFC 1812 4.3.2.3). */
static void tell(struct nat_work *work, uint16_t kind,
		 struct nat_result *result)
{
	struct nat *nat = work->nat;

	if (!may_be_answered(work) ||
	    !nat_may_answer(nat, nat_find_host(nat, work->p.src), work->now_ms))
		return;
	result->answer_length = nat_build_error(nat, 0, work->p.src, kind,
						work->p.ip, work->p.length);
	result->answer = nat->answer;
}

struct nat_result nat_refuse(struct nat_work *work, enum nat_drop drop)
{
	struct nat *nat = work->nat;
	struct nat_result result = nat_drop(nat, drop);

	/* A stray TCP segment is met with silence (RFC 6887 10.4). */
	if (drop != NAT_DROP_NO_SESSION && drop != NAT_DROP_BAD_CHECKSUM)
		tell(work,
		     ICMP_KIND(ICMP_UNREACHABLE, nat->config->refuse_code),
		     &result);
	return result;
}

struct nat_result nat_hop_ended(struct nat_work *work)
{
	struct nat_result result = { .verdict = NAT_CONSUMED };

	tell(work, ICMP_KIND(ICMP_TIME_EXCEEDED, 0), &result);
	return result;
}
