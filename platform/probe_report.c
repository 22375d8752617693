/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What `portico selftest` prints: text for people, or one JSON object whose
 * keys are part of the contract (portico(8)).
 */
#include <inttypes.h>
#include <string.h>

#include "probe.h"

/* --- text ---------------------------------------------------------------- */

static int wider(int width, const char *text)
{
	int length = (int)strlen(text);

	return length > width ? length : width;
}

static void print_rows(const struct probe_verdict *verdict, FILE *out)
{
	int result = wider(0, "RESULT"), title = 0, found = 0;

	for (size_t i = 0; i < verdict->count; i++) {
		const struct probe_row *row = &verdict->rows[i];

		result = wider(result, probe_status_name(row->status));
		title = wider(title, row->title);
		found = wider(found, row->found);
	}
	fprintf(out, "%-*s  %-*s  %-*s  %s\n", result, "RESULT", title, "PROBE",
		found, "FOUND", "REQUIREMENT");
	for (size_t i = 0; i < verdict->count; i++) {
		const struct probe_row *row = &verdict->rows[i];

		fprintf(out, "%-*s  %-*s  %-*s  %s\n", result,
			probe_status_name(row->status), title, row->title,
			found, row->found, row->requirement);
	}
}

static const char *answer_name(enum probe_answer answer)
{
	if (!answer)
		return "unknown";
	return answer == PROBE_YES ? "yes" : "no";
}

/* "key: yes", or both where they differ. */
static void print_pair(const char *key, const char *udp, const char *tcp,
		       FILE *out)
{
	if (!strcmp(udp, tcp))
		fprintf(out, "%-19s%s\n", key, udp);
	else
		fprintf(out, "%-19sudp %s, tcp %s\n", key, udp, tcp);
}

static void print_summary(const struct probe_facts *facts, FILE *out)
{
	const struct probe_type type = probe_type_of(facts);
	const char *fragments = probe_fragments_name(facts);

	print_pair("mapping:", probe_mapping_name(facts->mapping[0]),
		   probe_mapping_name(facts->mapping[1]), out);
	fprintf(out, "%-19sudp %s, tcp %s\n", "filtering:",
		probe_filtering_name(facts->filtering[PROBE_FOR_UDP]),
		probe_filtering_name(facts->filtering[PROBE_FOR_TCP]));
	print_pair("hairpin:", answer_name(facts->hairpin[0]),
		   answer_name(facts->hairpin[1]), out);
	fprintf(out, "%-19s%s\n",
		"fragments:", fragments ? fragments : "unknown");
	fprintf(out, "%-19s%s\n",
		"port preservation:", answer_name(facts->preserved));
	fprintf(out,
		"%-19s%" PRIu32 " s: %s (by the engine's clock, not "
		"waited for)\n",
		"UDP lifetime:", facts->life_s[PROBE_LIFE_UDP],
		probe_lifetime_class(facts->life_s[PROBE_LIFE_UDP]));
	fprintf(out,
		"%-19s%s; Nintendo %s, Xbox %s, PlayStation %s "
		"(consoles: from secondary sources)\n",
		"NAT type:", type.classic, type.nintendo, type.xbox,
		type.playstation);
}

static size_t count_status(const struct probe_verdict *verdict,
			   enum probe_status status)
{
	size_t count = 0;

	for (size_t i = 0; i < verdict->count; i++)
		count += verdict->rows[i].status == status;
	return count;
}

static void print_end(const struct probe_report *report, FILE *out)
{
	const struct probe_verdict *verdict = report->verdict;
	size_t configured = count_status(verdict, PROBE_CONFIGURED);

	if (report->facts->refused)
		fprintf(out,
			"note: limits or ports of the configuration "
			"refused %" PRIu64 " packets of the probes; what "
			"failed may be due to that\n",
			report->facts->refused);
	if (configured)
		fprintf(out,
			"note: %zu results are as configured, which is "
			"not what the RFC asks for\n",
			configured);
	fprintf(out, "%-19s", "verdict:");
	if (verdict->good)
		fputs("all as the configuration promises\n", out);
	else
		fprintf(out,
			"NOT as the configuration promises: %zu failed, "
			"%zu without answer\n",
			count_status(verdict, PROBE_FAIL),
			count_status(verdict, PROBE_UNMEASURED));
}

void probe_print(const struct probe_report *report, FILE *out)
{
	fprintf(out, "configuration: %s\n",
		report->config ? report->config : "none (automatic mode)");
	if (report->reason)
		fprintf(out, "way: engine alone (%s)\n\n", report->reason);
	else
		fprintf(out,
			"way: kernel path (%s, in a throw-away network "
			"beside the live one)\n\n",
			report->backend);
	print_rows(report->verdict, out);
	fputc('\n', out);
	print_summary(report->facts, out);
	print_end(report, out);
}

/* --- JSON ---------------------------------------------------------------- */

static struct json_object *text_or_null(const char *text)
{
	return text ? json_object_new_string(text) : NULL;
}

static struct json_object *answer_or_null(enum probe_answer answer)
{
	return answer ? json_object_new_boolean(answer == PROBE_YES) : NULL;
}

static struct json_object *seconds_or_null(uint32_t seconds)
{
	return seconds ? json_object_new_int64(seconds) : NULL;
}

static struct json_object *pair(struct json_object *udp,
				struct json_object *tcp)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "udp", udp);
	json_object_object_add(object, "tcp", tcp);
	return object;
}

static struct json_object *mapping_or_null(enum probe_mapping mapping)
{
	return text_or_null(mapping ? probe_mapping_name(mapping) : NULL);
}

static struct json_object *filtering_or_null(enum probe_filtering filtering)
{
	return text_or_null(filtering ? probe_filtering_name(filtering) : NULL);
}

static struct json_object *type_object(const struct probe_facts *facts)
{
	const struct probe_type type = probe_type_of(facts);
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "classic", text_or_null(type.classic));
	json_object_object_add(object, "nintendo", text_or_null(type.nintendo));
	json_object_object_add(object, "xbox", text_or_null(type.xbox));
	json_object_object_add(object, "playstation",
			       text_or_null(type.playstation));
	return object;
}

static struct json_object *lifetime_object(const struct probe_facts *facts)
{
	struct json_object *object =
		pair(seconds_or_null(facts->life_s[PROBE_LIFE_UDP]),
		     seconds_or_null(facts->life_s[PROBE_LIFE_TCP]));

	json_object_object_add(object, "icmp",
			       seconds_or_null(facts->life_s[PROBE_LIFE_ICMP]));
	json_object_object_add(object, "udp_reported",
			       seconds_or_null(facts->life_left_s));
	json_object_object_add(object, "udp_class",
			       text_or_null(probe_lifetime_class(
				       facts->life_s[PROBE_LIFE_UDP])));
	return object;
}

static struct json_object *row_object(const struct probe_row *row)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "name", text_or_null(row->name));
	json_object_object_add(object, "result",
			       text_or_null(probe_status_name(row->status)));
	json_object_object_add(object, "found", text_or_null(row->found));
	json_object_object_add(object, "requirement",
			       text_or_null(row->requirement));
	return object;
}

static void add_facts(struct json_object *object,
		      const struct probe_facts *facts)
{
	json_object_object_add(object, "mapping",
			       pair(mapping_or_null(facts->mapping[0]),
				    mapping_or_null(facts->mapping[1])));
	json_object_object_add(object, "filtering",
			       pair(filtering_or_null(facts->filtering[0]),
				    filtering_or_null(facts->filtering[1])));
	json_object_object_add(object, "hairpin",
			       pair(answer_or_null(facts->hairpin[0]),
				    answer_or_null(facts->hairpin[1])));
	json_object_object_add(object, "fragments",
			       text_or_null(probe_fragments_name(facts)));
	json_object_object_add(object, "port_preservation",
			       answer_or_null(facts->preserved));
	json_object_object_add(object, "lifetime_s", lifetime_object(facts));
	json_object_object_add(object, "nat_type", type_object(facts));
	json_object_object_add(object, "refused",
			       json_object_new_int64((int64_t)facts->refused));
}

struct json_object *probe_json(const struct probe_report *report)
{
	const struct probe_verdict *verdict = report->verdict;
	struct json_object *object = json_object_new_object();
	struct json_object *rows = json_object_new_array();

	json_object_object_add(object, "way",
			       text_or_null(report->reason ? "engine" :
							     "kernel"));
	json_object_object_add(object, "reason", text_or_null(report->reason));
	json_object_object_add(object, "backend",
			       text_or_null(report->backend));
	json_object_object_add(object, "config", text_or_null(report->config));
	for (size_t i = 0; i < verdict->count; i++)
		json_object_array_add(rows, row_object(&verdict->rows[i]));
	json_object_object_add(object, "probes", rows);
	add_facts(object, report->facts);
	json_object_object_add(object, "good",
			       json_object_new_boolean(verdict->good));
	return object;
}
