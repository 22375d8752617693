/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the facts mean: beside the configuration's promises, beside the RFCs,
 * and in the words of others. Pure; one table row for each line of the report.
 */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "probe.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- names --------------------------------------------------------------- */

static const char *const dependence[] = {
	"unknown",
	"endpoint-independent",
	"address-dependent",
	"address-and-port-dependent",
};

const char *probe_mapping_name(enum probe_mapping mapping)
{
	return dependence[mapping];
}

const char *probe_filtering_name(enum probe_filtering filtering)
{
	return dependence[filtering];
}

const char *probe_status_name(enum probe_status status)
{
	static const char *const names[] = {
		[PROBE_PASS] = "pass",	     [PROBE_CONFIGURED] = "configured",
		[PROBE_FAIL] = "fail",	     [PROBE_UNMEASURED] = "unmeasured",
		[PROBE_SKIPPED] = "skipped",
	};

	return names[status];
}

/* RFC 4787 REQ-5: MUST NOT be less than 2 minutes, 5 are RECOMMENDED. */
const char *probe_lifetime_class(uint32_t seconds)
{
	if (!seconds)
		return "unknown";
	if (seconds < 120)
		return "below the RFC's minimum of 120 s";
	return seconds < 300 ? "above the RFC's minimum of 120 s" :
			       "as the RFC recommends, 300 s or more";
}

const char *probe_fragments_name(const struct probe_facts *facts)
{
	bool in_order = true, reversed = true;

	for (int side = 0; side < PROBE_SIDES; side++) {
		if (!facts->fragments[side][0] || !facts->fragments[side][1])
			return NULL;
		in_order = in_order && facts->fragments[side][0] == PROBE_YES;
		reversed = reversed && facts->fragments[side][1] == PROBE_YES;
	}
	if (in_order)
		return reversed ? "in and out of order" : "in order only";
	return reversed ? "out of order only" : "no";
}

/* --- the type ------------------------------------------------------------- */

/* RFC 3489 5 by mapping and filtering of UDP; the consoles' grades are
 * hearsay (behave.md 15 marks them as secondary). */
static const struct {
	enum probe_filtering filtering;
	struct probe_type type;
} types[] = {
	{ PROBE_FILTERING_ENDPOINT_INDEPENDENT,
	  { "full cone", "A", "Open", "2" } },
	{ PROBE_FILTERING_ADDRESS_DEPENDENT,
	  { "restricted cone", "A", "Moderate", "2" } },
	{ PROBE_FILTERING_ADDRESS_AND_PORT_DEPENDENT,
	  { "port-restricted cone", "B", "Moderate", "2" } },
};

struct probe_type probe_type_of(const struct probe_facts *facts)
{
	enum probe_mapping mapping = facts->mapping[PROBE_FOR_UDP];
	enum probe_filtering filtering = facts->filtering[PROBE_FOR_UDP];

	if (mapping == PROBE_MAPPING_UNKNOWN ||
	    filtering == PROBE_FILTERING_UNKNOWN)
		return (struct probe_type){ "unknown", "unknown", "unknown",
					    "unknown" };
	if (mapping != PROBE_MAPPING_ENDPOINT_INDEPENDENT)
		return (struct probe_type){ "symmetric",
					    facts->predictable == PROBE_YES ?
						    "C" :
						    "D",
					    "Strict", "3" };
	for (size_t i = 0; i < COUNT(types); i++)
		if (types[i].filtering == filtering)
			return types[i].type;
	assert(false);
	return types[0].type;
}

/* --- rows ---------------------------------------------------------------- */

/* What the configuration says of a yes-or-no fact; the RFCs want yes. */
enum promise {
	PROMISE_YES,
	PROMISE_NO,
	PROMISE_NOTHING, /* either will do */
	PROMISE_SILENCE, /* not even that it can be told */
};

static enum promise always(const struct probe_setup *setup)
{
	(void)setup;
	return PROMISE_YES;
}

static enum promise by_hairpin(const struct probe_setup *setup)
{
	return setup->nat.hairpin ? PROMISE_YES : PROMISE_NO;
}

static enum promise by_hairpin_source(const struct probe_setup *setup)
{
	return setup->nat.hairpin ? PROMISE_YES : PROMISE_SILENCE;
}

static enum promise by_parity(const struct probe_setup *setup)
{
	return setup->nat.parity ? PROMISE_YES : PROMISE_NOTHING;
}

static bool pool_has(const struct probe_setup *setup, uint32_t first,
		     uint32_t last)
{
	const struct nat_portset *pool = &setup->nat.pool[NAT_POOL_UDP];

	for (uint32_t port = first; port <= last; port++)
		if (nat_portset_has(pool, (uint16_t)port))
			return true;
	return false;
}

static enum promise by_low_ports(const struct probe_setup *setup)
{
	return pool_has(setup, 1, 1023) ? PROMISE_YES : PROMISE_SILENCE;
}

static enum promise by_high_ports(const struct probe_setup *setup)
{
	return pool_has(setup, 1024, 65535) ? PROMISE_YES : PROMISE_SILENCE;
}

#define FACT(member) offsetof(struct probe_facts, member)

static const struct answer_row {
	const char *name, *title, *requirement;
	size_t fact; /* an enum probe_answer */
	enum promise (*promise)(const struct probe_setup *setup);
	const char *yes, *no; /* found */
} answers[] = {
	{ "port_preservation", "free port", "RFC 4787 4.2.1", FACT(preserved),
	  by_high_ports, "preserved", "not preserved" },
	{ "low_ports", "port below 1024", "RFC 4787 REQ-3a", FACT(low_port),
	  by_low_ports, "stays below", "leaves the range" },
	{ "collision", "one port, two hosts", "RFC 4787 REQ-3",
	  FACT(not_shared), always, "two outside ports", "shared" },
	{ "parity", "parity then", "RFC 4787 REQ-4", FACT(parity), by_parity,
	  "kept", "not kept" },
	{ "determinism", "second host", "RFC 4787 REQ-11", FACT(same_class),
	  always, "treated alike", "treated otherwise" },
	{ "udp_hairpin", "UDP hairpin", "RFC 4787 REQ-9",
	  FACT(hairpin[PROBE_FOR_UDP]), by_hairpin, "yes", "no" },
	{ "tcp_hairpin", "TCP hairpin", "RFC 5382 REQ-8",
	  FACT(hairpin[PROBE_FOR_TCP]), by_hairpin, "yes", "no" },
	{ "hairpin_source", "hairpin's source", "RFC 4787 REQ-9a",
	  FACT(hairpin_source), by_hairpin_source, "outside socket",
	  "not the outside socket" },
	{ "fragments_out", "fragments out", "RFC 4787 REQ-14",
	  FACT(fragments[PROBE_OUTSIDE][0]), always, "pass", "lost" },
	{ "fragments_out_reversed", "out, out of order", "RFC 4787 REQ-14",
	  FACT(fragments[PROBE_OUTSIDE][1]), always, "pass", "lost" },
	{ "fragments_in", "fragments in", "RFC 4787 REQ-14",
	  FACT(fragments[PROBE_INSIDE][0]), always, "pass", "lost" },
	{ "fragments_in_reversed", "in, out of order", "RFC 4787 REQ-14",
	  FACT(fragments[PROBE_INSIDE][1]), always, "pass", "lost" },
	{ "icmp_error", "ICMP error inwards", "RFC 5508 REQ-4",
	  FACT(error_passes), always, "translated", "lost" },
	{ "icmp_error_harmless", "mapping after it", "RFC 4787 REQ-12",
	  FACT(error_harmless), always, "lives", "ended" },
	{ "icmp_queries", "one id, two pings", "RFC 5508 REQ-1", FACT(queries),
	  always, "each its reply", "mixed up" },
	{ "simultaneous_open", "simultaneous open", "RFC 5382 REQ-2a",
	  FACT(both_open), always, "works", "fails" },
	{ "unsolicited_syn", "unsolicited SYN", "RFC 5382 REQ-4", FACT(silence),
	  always, "silent for 6 s", "answered" },
	{ "udp_payload", "SIP payload", "RFC 4787 REQ-10",
	  FACT(payload[PROBE_FOR_UDP]), always, "unchanged", "changed" },
	{ "tcp_payload", "FTP payload", "RFC 5382 REQ-6",
	  FACT(payload[PROBE_FOR_TCP]), always, "unchanged", "changed" },
	{ "checksums", "checksums", "RFC 3022 4.2", FACT(checksums), always,
	  "all right", "some wrong" },
	{ "no_leak", "inside addresses", "RFC 1918 3", FACT(no_leak), always,
	  "none seen outside", "seen outside" },
};

static enum probe_status judge_answer(enum probe_answer answer,
				      enum promise promise)
{
	if (!answer)
		return promise == PROMISE_SILENCE ? PROBE_SKIPPED :
						    PROBE_UNMEASURED;
	switch (promise) {
	case PROMISE_YES:
		return answer == PROBE_YES ? PROBE_PASS : PROBE_FAIL;
	case PROMISE_NO:
		return answer == PROBE_NO ? PROBE_CONFIGURED : PROBE_FAIL;
	case PROMISE_NOTHING:
	case PROMISE_SILENCE:
		break;
	}
	return answer == PROBE_YES ? PROBE_PASS : PROBE_CONFIGURED;
}

static struct probe_row *add(struct probe_verdict *verdict, const char *name,
			     const char *title, const char *requirement,
			     enum probe_status status)
{
	struct probe_row *row = &verdict->rows[verdict->count++];

	assert(verdict->count <= PROBE_ROWS_MAX);
	*row = (struct probe_row){ .name = name,
				   .title = title,
				   .requirement = requirement,
				   .status = status };
	return row;
}

static void put(struct probe_row *row, const char *found)
{
	snprintf(row->found, sizeof(row->found), "%s", found);
}

static void judge_answers(const struct probe_setup *setup,
			  const struct probe_facts *facts,
			  struct probe_verdict *verdict)
{
	for (size_t i = 0; i < COUNT(answers); i++) {
		const struct answer_row *want = &answers[i];
		enum probe_answer answer;
		struct probe_row *row;

		memcpy(&answer, (const char *)facts + want->fact,
		       sizeof(answer));
		row = add(verdict, want->name, want->title, want->requirement,
			  judge_answer(answer, want->promise(setup)));
		put(row, answer == PROBE_YES ? want->yes :
			 answer == PROBE_NO  ? want->no :
					       "no answer");
		if (row->status == PROBE_SKIPPED)
			put(row, "not measured");
	}
}

/* Not configurable. */
static void judge_mapping(enum probe_mapping mapping, const char *name,
			  const char *title, const char *requirement,
			  struct probe_verdict *verdict)
{
	enum probe_status status = PROBE_FAIL;

	if (mapping == PROBE_MAPPING_UNKNOWN)
		status = PROBE_UNMEASURED;
	if (mapping == PROBE_MAPPING_ENDPOINT_INDEPENDENT)
		status = PROBE_PASS;
	put(add(verdict, name, title, requirement, status),
	    probe_mapping_name(mapping));
}

/* RFC 4787 REQ-8, RFC 5382 REQ-3: independent or address-dependent. */
static void judge_filtering(enum probe_filtering filtering,
			    enum nat_filter promised, const char *name,
			    const char *title, const char *requirement,
			    struct probe_verdict *verdict)
{
	enum probe_status status = PROBE_FAIL;

	if (!filtering)
		status = PROBE_UNMEASURED;
	else if ((int)filtering == (int)promised + 1)
		status = promised == NAT_FILTER_ADDRESS_AND_PORT_DEPENDENT ?
				 PROBE_CONFIGURED :
				 PROBE_PASS;
	put(add(verdict, name, title, requirement, status),
	    probe_filtering_name(filtering));
}
_Static_assert(PROBE_FILTERING_ADDRESS_AND_PORT_DEPENDENT ==
		       NAT_FILTER_ADDRESS_AND_PORT_DEPENDENT + 1,
	       "filtering is counted as the engine does");

static const struct life_row {
	const char *name, *title, *requirement;
	enum nat_timer timer;
	uint32_t floor_s;
} lives[PROBE_LIVES] = {
	[PROBE_LIFE_UDP] = { "udp_lifetime", "UDP lifetime", "RFC 4787 REQ-5",
			     NAT_TIMER_UDP, 120 },
	[PROBE_LIFE_TCP] = { "tcp_lifetime", "TCP lifetime", "RFC 5382 REQ-5",
			     NAT_TIMER_TCP_ESTABLISHED, 7440 },
	[PROBE_LIFE_ICMP] = { "icmp_lifetime", "ICMP lifetime",
			      "RFC 5508 REQ-2", NAT_TIMER_ICMP, 60 },
};

/* The daemon is asked a while after the last packet. */
#define ASKED_LATE_S 5

static enum probe_status judge_life(uint32_t seconds, uint32_t promised,
				    uint32_t floor_s, uint32_t slack_s)
{
	if (!seconds)
		return PROBE_UNMEASURED;
	if (seconds > promised || seconds + slack_s < promised)
		return PROBE_FAIL;
	return promised < floor_s ? PROBE_CONFIGURED : PROBE_PASS;
}

static void judge_lives(const struct probe_setup *setup,
			const struct probe_facts *facts,
			struct probe_verdict *verdict)
{
	struct probe_row *row;

	for (int i = 0; i < PROBE_LIVES; i++) {
		const struct life_row *want = &lives[i];
		uint32_t promised = setup->nat.timeout_s[want->timer];

		row = add(verdict, want->name, want->title, want->requirement,
			  judge_life(facts->life_s[i], promised, want->floor_s,
				     0));
		snprintf(row->found, sizeof(row->found),
			 "%" PRIu32 " s by the engine's clock",
			 facts->life_s[i]);
	}
	if (!facts->life_left_s)
		return;
	row = add(verdict, "udp_lifetime_reported", "UDP lifetime",
		  "RFC 4787 REQ-5",
		  judge_life(facts->life_left_s,
			     setup->nat.timeout_s[NAT_TIMER_UDP],
			     lives[PROBE_LIFE_UDP].floor_s, ASKED_LATE_S));
	snprintf(row->found, sizeof(row->found),
		 "%" PRIu32 " s left, the daemon says", facts->life_left_s);
}

void probe_judge(const struct probe_setup *setup,
		 const struct probe_facts *facts, struct probe_verdict *verdict)
{
	const enum nat_filter *promised = setup->nat.filtering;

	memset(verdict, 0, sizeof(*verdict));
	judge_mapping(facts->mapping[PROBE_FOR_UDP], "udp_mapping",
		      "UDP mapping", "RFC 4787 REQ-1", verdict);
	judge_mapping(facts->mapping[PROBE_FOR_TCP], "tcp_mapping",
		      "TCP mapping", "RFC 5382 REQ-1", verdict);
	judge_filtering(facts->filtering[PROBE_FOR_UDP], promised[NAT_POOL_UDP],
			"udp_filtering", "UDP filtering", "RFC 4787 REQ-8",
			verdict);
	judge_filtering(facts->filtering[PROBE_FOR_TCP], promised[NAT_POOL_TCP],
			"tcp_filtering", "TCP filtering", "RFC 5382 REQ-3",
			verdict);
	judge_answers(setup, facts, verdict);
	judge_lives(setup, facts, verdict);
	verdict->good = true;
	for (size_t i = 0; i < verdict->count; i++)
		if (verdict->rows[i].status == PROBE_FAIL ||
		    verdict->rows[i].status == PROBE_UNMEASURED)
			verdict->good = false;
}
