/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the facts of `portico selftest` mean: names, types, promises.
 */
#include <stdlib.h>
#include <string.h>

#include "platform/probe.h"
#include "suite.h"

#define EIM PROBE_MAPPING_ENDPOINT_INDEPENDENT
#define ADM PROBE_MAPPING_ADDRESS_DEPENDENT
#define APDM PROBE_MAPPING_ADDRESS_AND_PORT_DEPENDENT
#define EIF PROBE_FILTERING_ENDPOINT_INDEPENDENT
#define ADF PROBE_FILTERING_ADDRESS_DEPENDENT
#define APDF PROBE_FILTERING_ADDRESS_AND_PORT_DEPENDENT

static void test_types(void)
{
	static const struct {
		enum probe_mapping mapping;
		enum probe_filtering filtering;
		enum probe_answer predictable;
		const char *classic, *nintendo, *xbox, *playstation;
	} cases[] = {
		{ EIM, EIF, PROBE_YES, "full cone", "A", "Open", "2" },
		{ EIM, ADF, PROBE_YES, "restricted cone", "A", "Moderate",
		  "2" },
		{ EIM, APDF, PROBE_YES, "port-restricted cone", "B", "Moderate",
		  "2" },
		{ ADM, EIF, PROBE_NO, "symmetric", "D", "Strict", "3" },
		{ APDM, APDF, PROBE_NO, "symmetric", "D", "Strict", "3" },
		{ APDM, APDF, PROBE_YES, "symmetric", "C", "Strict", "3" },
		{ APDM, APDF, PROBE_UNKNOWN, "symmetric", "D", "Strict", "3" },
		{ PROBE_MAPPING_UNKNOWN, EIF, PROBE_YES, "unknown", "unknown",
		  "unknown", "unknown" },
		{ EIM, PROBE_FILTERING_UNKNOWN, PROBE_YES, "unknown", "unknown",
		  "unknown", "unknown" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct probe_facts facts = {
			.mapping = { cases[i].mapping, APDM },
			.filtering = { cases[i].filtering, EIF },
			.predictable = cases[i].predictable,
		};
		struct probe_type type = probe_type_of(&facts);

		CU_ASSERT_STRING_EQUAL(type.classic, cases[i].classic);
		CU_ASSERT_STRING_EQUAL(type.nintendo, cases[i].nintendo);
		CU_ASSERT_STRING_EQUAL(type.xbox, cases[i].xbox);
		CU_ASSERT_STRING_EQUAL(type.playstation, cases[i].playstation);
	}
}

static void test_mapping_of(void)
{
	static const struct {
		uint16_t ports[3]; /* A1:P1, A2:P1, A2:P2 */
		enum probe_mapping mapping;
	} cases[] = {
		{ { 5000, 5000, 5000 }, EIM },
		{ { 5000, 5001, 5001 }, ADM },
		{ { 5000, 5001, 5002 }, APDM },
		{ { 5000, 5000, 5001 }, APDM },
		{ { 5000, 5001, 5000 }, APDM },
		{ { 0, 5000, 5000 }, PROBE_MAPPING_UNKNOWN },
		{ { 5000, 0, 5000 }, PROBE_MAPPING_UNKNOWN },
		{ { 5000, 5000, 0 }, PROBE_MAPPING_UNKNOWN },
		{ { 0, 0, 0 }, PROBE_MAPPING_UNKNOWN },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_EQUAL(probe_mapping_of(cases[i].ports),
				cases[i].mapping);
}

static void test_fragments_name(void)
{
	struct probe_facts facts = { .fragments = {
					     { PROBE_YES, PROBE_YES },
					     { PROBE_YES, PROBE_YES } } };

	CU_ASSERT_STRING_EQUAL(probe_fragments_name(&facts),
			       "in and out of order");
	facts.fragments[PROBE_INSIDE][1] = PROBE_NO;
	CU_ASSERT_STRING_EQUAL(probe_fragments_name(&facts), "in order only");
	facts.fragments[PROBE_OUTSIDE][0] = PROBE_NO;
	CU_ASSERT_STRING_EQUAL(probe_fragments_name(&facts), "no");
	facts.fragments[PROBE_INSIDE][1] = PROBE_YES;
	CU_ASSERT_STRING_EQUAL(probe_fragments_name(&facts),
			       "out of order only");
	facts.fragments[PROBE_OUTSIDE][0] = PROBE_UNKNOWN;
	CU_ASSERT_PTR_NULL(probe_fragments_name(&facts));
}

static void test_lifetime_class(void)
{
	CU_ASSERT_PTR_NOT_NULL(strstr(probe_lifetime_class(119), "below"));
	CU_ASSERT_PTR_NOT_NULL(strstr(probe_lifetime_class(120), "above"));
	CU_ASSERT_PTR_NOT_NULL(strstr(probe_lifetime_class(299), "above"));
	CU_ASSERT_PTR_NOT_NULL(strstr(probe_lifetime_class(300), "recommends"));
	CU_ASSERT_STRING_EQUAL(probe_lifetime_class(0), "unknown");
}

/* --- promises -------------------------------------------------------------- */

/* The defaults, and facts that keep every promise of them. */
static struct probe_setup *default_setup(void)
{
	struct probe_setup *setup = calloc(1, sizeof(*setup));
	struct nat_config *nat = &setup->nat;

	nat->filtering[NAT_POOL_TCP] = NAT_FILTER_ADDRESS_DEPENDENT;
	nat->hairpin = true;
	nat->parity = true;
	nat->timeout_s[NAT_TIMER_UDP] = 300;
	nat->timeout_s[NAT_TIMER_TCP_ESTABLISHED] = 7440;
	nat->timeout_s[NAT_TIMER_ICMP] = 60;
	nat_portset_add(&nat->pool[NAT_POOL_UDP], 700);
	nat_portset_add(&nat->pool[NAT_POOL_UDP], 7000);
	return setup;
}

static struct probe_facts good_facts(void)
{
	return (struct probe_facts){
		.mapping = { EIM, EIM },
		.filtering = { EIF, ADF },
		.predictable = PROBE_YES,
		.preserved = PROBE_YES,
		.low_port = PROBE_YES,
		.not_shared = PROBE_YES,
		.parity = PROBE_YES,
		.same_class = PROBE_YES,
		.hairpin = { PROBE_YES, PROBE_YES },
		.hairpin_source = PROBE_YES,
		.fragments = { { PROBE_YES, PROBE_YES },
			       { PROBE_YES, PROBE_YES } },
		.error_passes = PROBE_YES,
		.error_harmless = PROBE_YES,
		.payload = { PROBE_YES, PROBE_YES },
		.both_open = PROBE_YES,
		.silence = PROBE_YES,
		.queries = PROBE_YES,
		.checksums = PROBE_YES,
		.no_leak = PROBE_YES,
		.life_s = { 300, 7440, 60 },
		.life_left_s = 299,
	};
}

static enum probe_status status_of(const struct probe_verdict *verdict,
				   const char *name)
{
	for (size_t i = 0; i < verdict->count; i++)
		if (!strcmp(verdict->rows[i].name, name))
			return verdict->rows[i].status;
	CU_FAIL("no such row");
	return PROBE_SKIPPED;
}

static void test_all_kept(void)
{
	struct probe_setup *setup = default_setup();
	const struct probe_facts facts = good_facts();
	struct probe_verdict verdict;

	probe_judge(setup, &facts, &verdict);
	CU_ASSERT_TRUE(verdict.good);
	CU_ASSERT_EQUAL(verdict.count, 29);
	for (size_t i = 0; i < verdict.count; i++)
		CU_ASSERT_EQUAL(verdict.rows[i].status, PROBE_PASS);
	free(setup);
}

/* One row, with facts that were changed; everything else stays good. */
static void expect(const struct probe_setup *setup,
		   const struct probe_facts *facts, const char *name,
		   enum probe_status status, bool good)
{
	struct probe_verdict verdict;

	probe_judge(setup, facts, &verdict);
	CU_ASSERT_EQUAL(status_of(&verdict, name), status);
	CU_ASSERT_EQUAL(verdict.good, good);
}

/* Every yes-or-no fact by itself: no fails, no answer is not as promised. */
static void test_each_answer(void)
{
	static const struct {
		const char *name;
		size_t fact;
	} cases[] = {
#define CASE(name, member) { name, offsetof(struct probe_facts, member) }
		CASE("port_preservation", preserved),
		CASE("low_ports", low_port),
		CASE("collision", not_shared),
		CASE("parity", parity),
		CASE("determinism", same_class),
		CASE("udp_hairpin", hairpin[0]),
		CASE("tcp_hairpin", hairpin[1]),
		CASE("hairpin_source", hairpin_source),
		CASE("fragments_in", fragments[PROBE_INSIDE][0]),
		CASE("fragments_in_reversed", fragments[PROBE_INSIDE][1]),
		CASE("fragments_out", fragments[PROBE_OUTSIDE][0]),
		CASE("fragments_out_reversed", fragments[PROBE_OUTSIDE][1]),
		CASE("icmp_error", error_passes),
		CASE("icmp_error_harmless", error_harmless),
		CASE("icmp_queries", queries),
		CASE("simultaneous_open", both_open),
		CASE("unsolicited_syn", silence),
		CASE("udp_payload", payload[0]),
		CASE("tcp_payload", payload[1]),
		CASE("checksums", checksums),
		CASE("no_leak", no_leak),
#undef CASE
	};
	struct probe_setup *setup = default_setup();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct probe_facts facts = good_facts();
		enum probe_answer *answer =
			(void *)((char *)&facts + cases[i].fact);

		*answer = PROBE_NO;
		expect(setup, &facts, cases[i].name, PROBE_FAIL, false);
		*answer = PROBE_UNKNOWN;
		expect(setup, &facts, cases[i].name, PROBE_UNMEASURED, false);
	}
	free(setup);
}

static void test_what_is_switched_off(void)
{
	struct probe_setup *setup = default_setup();
	struct probe_facts facts = good_facts();

	setup->nat.hairpin = false;
	expect(setup, &facts, "udp_hairpin", PROBE_FAIL, false);
	facts.hairpin[0] = facts.hairpin[1] = PROBE_NO;
	facts.hairpin_source = PROBE_UNKNOWN;
	expect(setup, &facts, "udp_hairpin", PROBE_CONFIGURED, true);
	expect(setup, &facts, "tcp_hairpin", PROBE_CONFIGURED, true);
	expect(setup, &facts, "hairpin_source", PROBE_SKIPPED, true);
	facts.parity = PROBE_NO;
	expect(setup, &facts, "parity", PROBE_FAIL, false);
	setup->nat.parity = false;
	expect(setup, &facts, "parity", PROBE_CONFIGURED, true);
	facts.low_port = PROBE_UNKNOWN;
	expect(setup, &facts, "low_ports", PROBE_UNMEASURED, false);
	nat_portset_remove(&setup->nat.pool[NAT_POOL_UDP], 700);
	expect(setup, &facts, "low_ports", PROBE_SKIPPED, true);
	free(setup);
}

static void test_filtering_as_configured(void)
{
	struct probe_setup *setup = default_setup();
	enum nat_filter *udp = &setup->nat.filtering[NAT_POOL_UDP];

	for (int promised = 0; promised < NAT_FILTERS; promised++)
		for (int found = 0; found <= NAT_FILTERS; found++) {
			struct probe_facts facts = good_facts();
			enum probe_status status = PROBE_FAIL;

			*udp = (enum nat_filter)promised;
			facts.filtering[0] = (enum probe_filtering)found;
			if (!found)
				status = PROBE_UNMEASURED;
			else if (found == APDF && found == promised + 1)
				status = PROBE_CONFIGURED;
			else if (found == promised + 1)
				status = PROBE_PASS;
			expect(setup, &facts, "udp_filtering", status,
			       found == promised + 1);
		}
	free(setup);
}

static void test_mapping_is_not_configurable(void)
{
	struct probe_setup *setup = default_setup();
	struct probe_facts facts = good_facts();

	facts.mapping[0] = APDM;
	expect(setup, &facts, "udp_mapping", PROBE_FAIL, false);
	facts.mapping[0] = PROBE_MAPPING_UNKNOWN;
	expect(setup, &facts, "udp_mapping", PROBE_UNMEASURED, false);
	facts.mapping[0] = EIM;
	facts.mapping[1] = ADM;
	expect(setup, &facts, "tcp_mapping", PROBE_FAIL, false);
	free(setup);
}

static void test_lifetimes(void)
{
	struct probe_setup *setup = default_setup();
	struct probe_facts facts = good_facts();

	facts.life_s[PROBE_LIFE_UDP] = 299;
	expect(setup, &facts, "udp_lifetime", PROBE_FAIL, false);
	facts.life_s[PROBE_LIFE_UDP] = 301;
	expect(setup, &facts, "udp_lifetime", PROBE_FAIL, false);
	facts.life_s[PROBE_LIFE_UDP] = 0;
	expect(setup, &facts, "udp_lifetime", PROBE_UNMEASURED, false);
	facts.life_s[PROBE_LIFE_UDP] = 119;
	facts.life_left_s = 118;
	setup->nat.timeout_s[NAT_TIMER_UDP] = 119;
	expect(setup, &facts, "udp_lifetime", PROBE_CONFIGURED, true);
	expect(setup, &facts, "udp_lifetime_reported", PROBE_CONFIGURED, true);
	facts.life_left_s = 100;
	expect(setup, &facts, "udp_lifetime_reported", PROBE_FAIL, false);
	free(setup);
}

static const struct test tests[] = {
	{ "mapping and filtering name the type", test_types },
	{ "three outside ports name the mapping", test_mapping_of },
	{ "four fragment probes have one name", test_fragments_name },
	{ "lifetimes have a class", test_lifetime_class },
	{ "facts that keep every promise are good", test_all_kept },
	{ "each answer can fail, and be missing", test_each_answer },
	{ "what is switched off must be off", test_what_is_switched_off },
	{ "filtering must be as configured", test_filtering_as_configured },
	{ "no configuration excuses another mapping",
	  test_mapping_is_not_configurable },
	{ "lifetimes must be as configured", test_lifetimes },
};

int main(int argc, char **argv)
{
	return suite_run("probe_judge", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
