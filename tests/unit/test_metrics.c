/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * metrics: the text format, and daemons that say less or more. What a whole
 * status leads to: tests/openwrt/test_metrics.py.
 */
#include "platform/text.h"
#include "suite.h"
#include "text_lab.h"

#define UP \
	"# HELP portico_up Whether the daemon gave its status.\n" \
	"# TYPE portico_up gauge\n" \
	"portico_up 1\n"

static void test_order(void)
{
	check_text(text_metrics,
		   "{\"drops\":{\"no_port\":2,\"malformed\":1,"
		   "\"no_mapping\":18446744073709551615}}",
		   UP "# HELP portico_drops_total Packets refused, by reason.\n"
		      "# TYPE portico_drops_total counter\n"
		      "portico_drops_total{reason=\"malformed\"} 1\n"
		      "portico_drops_total{reason=\"no_mapping\"} "
		      "18446744073709551615\n"
		      "portico_drops_total{reason=\"no_port\"} 2\n");
}

static void test_escapes(void)
{
	check_text(text_metrics, "{\"drops\":{\"a\\\\b\\\"c\\nd\\u00e9{}\":1}}",
		   UP "# HELP portico_drops_total Packets refused, by reason.\n"
		      "# TYPE portico_drops_total counter\n"
		      "portico_drops_total{reason=\"a\\\\b\\\"c\\nd\xc3\xa9{}"
		      "\"} 1\n");
}

static void test_other_daemon(void)
{
	check_text(text_metrics, "{}", UP);
	check_text(text_metrics,
		   "{\"uptime_s\":\"1\",\"mappings\":5,\"sessions\":null,"
		   "\"fast_path\":{\"sessions\":[]},\"packets\":[],"
		   "\"bytes\":7,\"ports\":null,\"queue\":[],\"warnings\":1}",
		   UP);
	check_text(text_metrics,
		   "{\"drops\":{\"x\":\"1\",\"y\":null},\"ports\":{\"udp\":1,"
		   "\"tcp\":{\"used\":3,\"more\":4}},\"queue\":{\"more\":1}}",
		   UP "# HELP portico_drops_total Packets refused, by reason.\n"
		      "# TYPE portico_drops_total counter\n"
		      "# HELP portico_ports Outside ports: by dynamic "
		      "mappings, resting, in all.\n"
		      "# TYPE portico_ports gauge\n"
		      "portico_ports{proto=\"tcp\",state=\"used\"} 3\n"
		      "# HELP portico_queue_dropped_total Packets lost as the "
		      "queue or its socket was full.\n"
		      "# TYPE portico_queue_dropped_total counter\n");
}

static const struct test tests[] = {
	{ "what has a label is sorted, large counters are whole", test_order },
	{ "labels are escaped", test_escapes },
	{ "what another daemon does not say is left out", test_other_daemon },
};

int main(int argc, char **argv)
{
	return suite_run("metrics", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
