/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The probes of `portico selftest` through the engine alone: that they find
 * what is configured.
 */
#include <stdlib.h>
#include <string.h>

#include "probe_lab.h"

/* --- what is configured is found ------------------------------------------- */

static void test_defaults(void)
{
	struct run *run = good_run("{}");
	const struct probe_facts *facts = &run->facts;

	CU_ASSERT_EQUAL(count_of(run, PROBE_PASS), run->verdict.count);
	CU_ASSERT_EQUAL(facts->mapping[0], PROBE_MAPPING_ENDPOINT_INDEPENDENT);
	CU_ASSERT_EQUAL(facts->mapping[1], PROBE_MAPPING_ENDPOINT_INDEPENDENT);
	CU_ASSERT_EQUAL(facts->filtering[0],
			PROBE_FILTERING_ENDPOINT_INDEPENDENT);
	CU_ASSERT_EQUAL(facts->filtering[1], PROBE_FILTERING_ADDRESS_DEPENDENT);
	CU_ASSERT_EQUAL(facts->life_s[PROBE_LIFE_UDP], 300);
	CU_ASSERT_EQUAL(facts->life_s[PROBE_LIFE_TCP], 7440);
	CU_ASSERT_EQUAL(facts->life_s[PROBE_LIFE_ICMP], 60);
	CU_ASSERT_EQUAL(facts->life_left_s, 0);
	CU_ASSERT_EQUAL(facts->refused, 0);
	CU_ASSERT_STRING_EQUAL(probe_type_of(facts).classic, "full cone");
	close_run(run);
}

static void test_every_filtering(void)
{
	static const char *const names[] = { "endpoint-independent",
					     "address-dependent",
					     "address-and-port-dependent" };
	static const char *const types[] = { "full cone", "restricted cone",
					     "port-restricted cone" };
	char text[256];

	for (int udp = 0; udp < NAT_FILTERS; udp++)
		for (int tcp = 0; tcp < NAT_FILTERS; tcp++) {
			struct run *run;

			snprintf(text, sizeof(text),
				 "{\"filtering\": {\"udp\": \"%s\", "
				 "\"tcp\": \"%s\"}}",
				 names[udp], names[tcp]);
			run = good_run(text);
			CU_ASSERT_STRING_EQUAL(
				probe_filtering_name(run->facts.filtering[0]),
				names[udp]);
			CU_ASSERT_STRING_EQUAL(
				probe_filtering_name(run->facts.filtering[1]),
				names[tcp]);
			CU_ASSERT_STRING_EQUAL(
				probe_type_of(&run->facts).classic, types[udp]);
			close_run(run);
		}
}

static void test_no_hairpin(void)
{
	struct run *run = good_run("{\"behaviour\": {\"hairpin\": false}}");

	CU_ASSERT_EQUAL(run->facts.hairpin[0], PROBE_NO);
	CU_ASSERT_EQUAL(run->facts.hairpin[1], PROBE_NO);
	CU_ASSERT_EQUAL(status_of(run, "udp_hairpin"), PROBE_CONFIGURED);
	CU_ASSERT_EQUAL(status_of(run, "tcp_hairpin"), PROBE_CONFIGURED);
	CU_ASSERT_EQUAL(status_of(run, "hairpin_source"), PROBE_SKIPPED);
	close_run(run);
}

/* To the second, also where the RFC's floor is not kept. */
static void test_lifetimes(void)
{
	struct run *run = good_run("{\"timeouts\": {\"udp\": 119, "
				   "\"tcp_established\": 604800, "
				   "\"icmp\": 1}}");

	CU_ASSERT_EQUAL(run->facts.life_s[PROBE_LIFE_UDP], 119);
	CU_ASSERT_EQUAL(run->facts.life_s[PROBE_LIFE_TCP], 604800);
	CU_ASSERT_EQUAL(run->facts.life_s[PROBE_LIFE_ICMP], 1);
	CU_ASSERT_EQUAL(status_of(run, "udp_lifetime"), PROBE_CONFIGURED);
	CU_ASSERT_EQUAL(status_of(run, "tcp_lifetime"), PROBE_PASS);
	CU_ASSERT_EQUAL(status_of(run, "icmp_lifetime"), PROBE_CONFIGURED);
	close_run(run);
}

/* The late answers to the SYNs of other probes are not this probe's. */
static void test_icmp_after_6s(void)
{
	close_run(good_run("{\"behaviour\": {\"icmp_after_6s\": true}}"));
}

static void test_odd_pools(void)
{
	/* A port set as MAP-E gives it, and low ports only. */
	struct run *run = good_run("{\"uplink\": {\"ports\": \"4928-4943,"
				   "9024-9039\", \"low_ports\": \"\"}}");

	CU_ASSERT_EQUAL(run->facts.preserved, PROBE_YES);
	CU_ASSERT_EQUAL(status_of(run, "low_ports"), PROBE_SKIPPED);
	close_run(run);
	run = good_run("{\"uplink\": {\"ports\": \"1000-1023\"}}");
	CU_ASSERT_EQUAL(status_of(run, "port_preservation"), PROBE_SKIPPED);
	CU_ASSERT_EQUAL(status_of(run, "low_ports"), PROBE_PASS);
	close_run(run);
}

/* Limits too small for the probes are not overridden, and blamed. */
static void test_small_limits(void)
{
	struct run *run = open_run("{\"limits\": {\"host_mappings\": 2}}");

	probe_by(run, NULL);
	CU_ASSERT_FALSE(run->verdict.good);
	CU_ASSERT_TRUE(run->facts.refused > 0);
	CU_ASSERT_EQUAL(count_of(run, PROBE_FAIL), 0);
	CU_ASSERT_TRUE(count_of(run, PROBE_UNMEASURED) > 0);
	CU_ASSERT_EQUAL(status_of(run, "udp_mapping"), PROBE_PASS);
	close_run(run);
}

/* What names the user's own networks would else disturb the test bed's. */
static void test_own_networks_are_left_out(void)
{
	struct run *run = good_run(
		"{ // a comment\n"
		"\"uplink\": {\"device\": \"ppp0\","
		"\"address\": \"198.51.100.1\"},"
		"\"inside\": {\"devices\": [\"br-lan\"]},"
		"\"behaviour\": {\"martians_extra\": [\"198.51.100.0/24\"]},"
		"\"exempt\": [\"198.51.100.0/24\"],"
		"\"forwards\": [{\"name\": \"x\", \"proto\": \"udp\","
		"\"outside\": 49152, \"to\": \"10.0.0.1:80\"}],"
		"\"queue\": {\"number\": 7}, \"control\": \"/x/y\"}");
	const char *document = json_object_to_json_string_ext(
		run->setup.document,
		JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	static const char *const gone[] = { "ppp0", "br-lan", "198.51.100",
					    "10.0.0.1", "/x/y" };
	static const char *const there[] = {
		"\"device\":\"uplink0\"", "\"devices\":[\"inside0\"]",
		"\"number\":7", "\"control\":\"" PROBE_CONTROL "\""
	};

	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
		CU_ASSERT_PTR_NULL(strstr(document, gone[i]));
	for (size_t i = 0; i < sizeof(there) / sizeof(there[0]); i++)
		CU_ASSERT_PTR_NOT_NULL(strstr(document, there[i]));
	close_run(run);
}

/* The document is a configuration that a daemon takes. */
static void test_document_is_valid(void)
{
	struct run *run = open_run("{}");
	char error[256] = "";
	struct config *config;

	CU_ASSERT_TRUE(
		write_config(json_object_to_json_string(run->setup.document)));
	config = config_load(file, 0, error, sizeof(error));
	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	CU_ASSERT_STRING_EQUAL(config->uplink_device, PROBE_DEVICE_UPLINK);
	CU_ASSERT_EQUAL(config->inside_count, 1);
	config_free(config);
	close_run(run);
}

/* --- reports ---------------------------------------------------------------- */

static void test_report(void)
{
	struct run *run = good_run("{}");
	const struct probe_report report = { .reason = "no reason",
					     .config = file,
					     .facts = &run->facts,
					     .verdict = &run->verdict };
	static const char *const lines[] = {
		"\nway: engine alone (no reason)\n",
		"\nRESULT  PROBE  ",
		"\npass    UDP mapping  ",
		"\nmapping:           endpoint-independent\n",
		"\nfiltering:         udp endpoint-independent, "
		"tcp address-dependent\n",
		"\nhairpin:           yes\n",
		"\nfragments:         in and out of order\n",
		"\nport preservation: yes\n",
		"\nUDP lifetime:      300 s: ",
		"\nNAT type:          full cone; Nintendo A, Xbox Open, "
		"PlayStation 2 (",
		"\nverdict:           all as the configuration promises\n",
	};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	probe_print(&report, out);
	fclose(out);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		CU_ASSERT_PTR_NOT_NULL(strstr(text, lines[i]));
		if (!strstr(text, lines[i]))
			printf("missing: %s\nin: %s\n", lines[i], text);
	}
	free(text);
	close_run(run);
}

static const struct test tests[] = {
	{ "the defaults keep every promise", test_defaults },
	{ "each filtering is found", test_every_filtering },
	{ "hairpin switched off is found", test_no_hairpin },
	{ "lifetimes are measured to the second", test_lifetimes },
	{ "an ICMP answer after 6 s is no early one", test_icmp_after_6s },
	{ "small and low pools are probed", test_odd_pools },
	{ "small limits are kept and blamed", test_small_limits },
	{ "the user's own networks are left out",
	  test_own_networks_are_left_out },
	{ "the daemon's document is valid", test_document_is_valid },
	{ "the report says it in words", test_report },
};

int main(int argc, char **argv)
{
	return probe_lab_run("probe", tests, sizeof(tests) / sizeof(tests[0]),
			     argc, argv);
}
