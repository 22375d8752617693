/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The report and the order of the examination.
 */
#include "doctor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rules_text.h"
#include "text_table.h"

#define TEXT_MAX_BYTES 1024

const char *doctor_level_name(enum doctor_level level)
{
	static const char *const names[] = {
		[DOCTOR_OK] = "ok",
		[DOCTOR_WARN] = "warning",
		[DOCTOR_FAIL] = "problem",
	};

	return names[level];
}

const char *doctor_uplink(const struct doctor_context *context)
{
	return context->network ? context->network->uplink.name :
				  context->config->uplink_device;
}

size_t doctor_inside_count(const struct doctor_context *context)
{
	return context->network ? context->network->inside_count :
				  context->config->inside_count;
}

const char *doctor_inside(const struct doctor_context *context, size_t index)
{
	return context->network ? context->network->inside[index].name :
				  context->config->inside_devices[index];
}

int doctor_add(struct doctor_report *report, enum doctor_level level,
	       const char *remedy, const char *format, ...)
{
	struct doctor_finding *findings = realloc(
		report->findings, (report->count + 1) * sizeof(*findings));
	struct doctor_finding finding = { .level = level };
	char text[TEXT_MAX_BYTES];
	va_list args;

	if (!findings)
		return -ENOMEM;
	report->findings = findings;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	finding.text = strdup(text);
	finding.remedy = remedy ? strdup(remedy) : NULL;
	if (!finding.text || (remedy && !finding.remedy)) {
		free(finding.text);
		free(finding.remedy);
		return -ENOMEM;
	}
	findings[report->count++] = finding;
	if (level > report->worst)
		report->worst = level;
	return 0;
}

void doctor_report_free(struct doctor_report *report)
{
	for (size_t i = 0; i < report->count; i++) {
		free(report->findings[i].text);
		free(report->findings[i].remedy);
	}
	free(report->findings);
	memset(report, 0, sizeof(*report));
}

void doctor_print(const struct doctor_report *report, FILE *out)
{
	for (size_t i = 0; i < report->count; i++) {
		const struct doctor_finding *finding = &report->findings[i];

		fprintf(out, "%s: ", doctor_level_name(finding->level));
		text_put(finding->text, out);
		fputs(finding->remedy ? "; " : "", out);
		text_put(finding->remedy ? finding->remedy : "", out);
		fputc('\n', out);
	}
}

static void examine_firewall(const struct doctor_context *context,
			     struct doctor_report *report)
{
	char error[256] = "";
	struct firewall *firewall =
		firewall_read(RULES_PATIENT_TIMEOUT_MS, error, sizeof(error));

	if (firewall)
		doctor_firewall(context, firewall, report);
	else
		doctor_add(report, DOCTOR_WARN, NULL,
			   "the packet filters could not be read: %s", error);
	doctor_fast(context, firewall, report);
	firewall_free(firewall);
}

static void leave_out_right(struct doctor_report *report)
{
	size_t kept = 0;

	for (size_t i = 0; i < report->count; i++) {
		if (report->findings[i].level == DOCTOR_OK) {
			free(report->findings[i].text);
			free(report->findings[i].remedy);
			continue;
		}
		report->findings[kept++] = report->findings[i];
	}
	report->count = kept;
}

int doctor_examine(const struct doctor_context *context,
		   struct doctor_report *report)
{
	memset(report, 0, sizeof(*report));
	if (geteuid())
		doctor_add(report, DOCTOR_WARN, "run it as root",
			   "without root some of the checks cannot look");
	examine_firewall(context, report);
	doctor_system(context, report);
	doctor_tunnels(context, report);
	if (context->for_status)
		leave_out_right(report);
	return 0;
}
