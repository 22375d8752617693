/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "judge.h"

#include <string.h>

#include "packets.h"

static const char *mark_wrong(const struct trial *trial)
{
	static const enum nat_mark marks[NAT_PATHS] = {
		[NAT_PATH_INBOUND] = NAT_MARK_INBOUND,
		[NAT_PATH_OUTBOUND] = NAT_MARK_OUTBOUND,
		[NAT_PATH_HAIRPIN_IN] = NAT_MARK_HAIRPIN,
		[NAT_PATH_HAIRPIN_OUT] = NAT_MARK_HAIRPIN,
		[NAT_PATH_ERROR_OUT] = NAT_MARK_OUTBOUND,
		[NAT_PATH_LOOPBACK] = NAT_MARK_NONE,
	};
	bool marked = trial->result.verdict == NAT_TRANSLATED;

	if (trial->result.mark != (marked ? marks[trial->path] : NAT_MARK_NONE))
		return "the mark is wrong";
	return NULL;
}

static const char *counters_wrong(const struct trial *trial)
{
	uint64_t untouched = trial->stats_after.untouched_packets -
			     trial->stats_before.untouched_packets;

	for (int drop = 0; drop < NAT_DROPS; drop++) {
		uint64_t more = trial->stats_after.drops[drop] -
				trial->stats_before.drops[drop];
		bool due = drop != NAT_DROP_NONE &&
			   drop == (int)trial->result.drop;

		/* Copies that waited in vain are counted when they go. */
		if (drop == NAT_DROP_FRAGMENT ? more < due : more != due)
			return "the drop counters do not fit the verdict";
	}
	if (untouched != (trial->result.verdict == NAT_UNTOUCHED))
		return "untouched packets are miscounted";
	return NULL;
}

/* Waits for the first fragment of its datagram. */
static bool later_fragment(const uint8_t *ip)
{
	return packet_get16(ip + 6) & 0x1fff;
}

/* Its hops are used up; whoever is told of it is told so often only. */
static bool ends_here(const struct trial *trial)
{
	return trial->path == NAT_PATH_HAIRPIN_IN && trial->before[8] <= 1;
}

/* The packet itself leaves by the raw socket (nat_packet.bridged). */
static bool turned_back(const struct trial *trial)
{
	return trial->result.verdict == NAT_CONSUMED &&
	       trial->result.answer == trial->after;
}

static const char *verdict_wrong(const struct trial *trial)
{
	const struct nat_result *result = &trial->result;

	if (result->verdict > NAT_CONSUMED || result->drop >= NAT_DROPS)
		return "there is no such verdict or reason";
	if ((result->verdict == NAT_DROPPED) != (result->drop != NAT_DROP_NONE))
		return "verdict and reason contradict each other";
	if (result->verdict == NAT_CONSUMED && !result->answer_length &&
	    !later_fragment(trial->before) && !ends_here(trial))
		return "a packet was consumed without an answer";
	if (turned_back(trial))
		return result->answer_length <= trial->length ?
			       NULL :
			       "more is turned back than there is";
	if (result->answer_length > NAT_ANSWER_MAX ||
	    !result->answer != !result->answer_length)
		return "the answer's length is wrong";
	if (result->answer_length && result->verdict != NAT_DROPPED &&
	    result->verdict != NAT_CONSUMED)
		return "an answer to a packet that goes on";
	if (result->answer_length)
		return packet_wrong(result->answer, result->answer_length);
	return NULL;
}

static bool complete(const struct trial *trial)
{
	return trial->checksum == NAT_CHECKSUM_COMPLETE;
}

/* Only such a packet may keep its id (RFC 6864). */
static bool atomic(const uint8_t *ip)
{
	return (packet_get16(ip + 6) & 0x7fff) == 0x4000;
}

static const char *bytes_wrong(const struct trial *trial)
{
	const uint8_t *before = trial->before, *after = trial->after;

	if (turned_back(trial))
		return complete(trial) && !packet_wrong(before, trial->length) ?
			       packet_wrong(after, trial->length) :
			       NULL;
	if (trial->result.verdict != NAT_TRANSLATED)
		return memcmp(before, after, trial->length) ?
			       "a packet that was not translated has changed" :
			       NULL;
	if (memcmp(before, after, 4) || memcmp(before + 6, after + 6, 4))
		return "a header field has changed";
	if (atomic(before) && memcmp(before + 4, after + 4, 2))
		return "the id of an unfragmentable packet has changed";
	if (packet_ip_good(before, trial->length) &&
	    !packet_ip_good(after, trial->length))
		return "the header checksum is wrong";
	if ((trial->path == NAT_PATH_OUTBOUND ||
	     trial->path == NAT_PATH_ERROR_OUT ||
	     trial->path == NAT_PATH_HAIRPIN_OUT) &&
	    packet_get32(after + 12) != nat_uplink(trial->nat))
		return "a packet left with another source than the uplink";
	if (complete(trial) && !packet_wrong(before, trial->length))
		return packet_wrong(after, trial->length);
	return NULL;
}

const char *trial_wrong(const struct trial *trial)
{
	const char *wrong = verdict_wrong(trial);

	if (!wrong)
		wrong = mark_wrong(trial);
	if (!wrong)
		wrong = counters_wrong(trial);
	if (!wrong)
		wrong = bytes_wrong(trial);
	return wrong;
}
