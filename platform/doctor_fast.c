/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which rules of other packet filters the packets would not meet that the fast
 * path carries. With "auto" none are carried past such a rule.
 */
#include "doctor.h"

#include <string.h>

#include "rules_text.h"

#define PLACE_MAX 256

/* Both ways between one inside device and the uplink. */
static bool meets(const struct doctor_context *context,
		  const struct firewall *firewall, const char *inside,
		  char *place, size_t size)
{
	const char *uplink = doctor_uplink(context);
	const struct rules_marks marks =
		rules_marks(context->config->queue.mark);
	const struct firewall_packet packets[] = {
		{ inside, uplink, marks.outbound },
		{ uplink, inside, marks.inbound },
	};

	for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++)
		if (firewall_meets(firewall, &packets[i], place, size))
			return true;
	return false;
}

/* A sentence, or "". */
static void find_rule(const struct doctor_context *context,
		      const struct firewall *firewall, char *text, size_t size)
{
	char place[PLACE_MAX] = "";

	text[0] = '\0';
	for (int i = 0; i < RULES_BACKENDS; i++)
		if (doctor_unknown(context, firewall, (enum rules_backend)i)) {
			snprintf(text, size, "the %s rules could not be read",
				 rules_backend_name((enum rules_backend)i));
			return;
		}
	for (size_t i = 0; i < doctor_inside_count(context); i++)
		if (meets(context, firewall, doctor_inside(context, i), place,
			  sizeof(place))) {
			snprintf(text, size,
				 "packets would pass by a rule of the %s",
				 place);
			return;
		}
}

void doctor_fast(const struct doctor_context *context,
		 const struct firewall *firewall, struct doctor_report *report)
{
	if (firewall)
		find_rule(context, firewall, report->passed_by,
			  sizeof(report->passed_by));
	else
		snprintf(report->passed_by, sizeof(report->passed_by),
			 "the packet filters could not be read");
	if (report->passed_by[0] &&
	    context->config->fast_path.enabled == CONFIG_AUTO)
		doctor_add(report, DOCTOR_OK,
			   "to have them pass by all rules: "
			   "\"fast_path\": {\"enabled\": \"on\"}",
			   "no fast path, all packets take the queue: %s",
			   report->passed_by);
}
