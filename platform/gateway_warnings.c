/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the operator should know: shown by status, written to the log when it
 * is new.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "doctor.h"
#include "gateway_private.h"
#include "log.h"
#include "views.h"

static void clear(char **list, size_t *count)
{
	while (*count)
		free(list[--*count]);
}

static void warn(struct gateway *g, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void warn(struct gateway *g, const char *format, ...)
{
	char text[512];
	char *copy;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	copy = g->warnings_count < GATEWAY_WARNINGS_MAX ? strdup(text) : NULL;
	if (copy)
		g->warnings[g->warnings_count++] = copy;
}

bool gateway_fallback_lost(const struct gateway *g)
{
	return g->config->fallback == CONFIG_FALLBACK_KERNEL &&
	       g->backend != RULES_NFTABLES;
}

static void warn_inside(struct gateway *g, const struct network_device *device)
{
	const char *wrong = !device->index    ? "does not exist" :
			    !device->networks ? "has no address" :
			    !device->up	      ? "is down" :
						NULL;

	if (wrong)
		warn(g, "inside device %s %s", device->name, wrong);
}

static void warn_uplink(struct gateway *g, const struct network_state *network)
{
	const char *name = network->uplink.name;
	uint32_t wanted = g->config->uplink_address;
	char addr[VIEWS_ADDR_SIZE], lacks[DOCTOR_LACKS_MAX];

	if (!network->uplink.index)
		warn(g, "uplink %s does not exist", name);
	else if (!network->uplink_addr && wanted)
		warn(g,
		     "uplink %s has not the address %s of the configuration: "
		     "nothing is translated",
		     name, views_addr(wanted, addr));
	else if (!network->uplink_addr)
		warn(g, "uplink %s has no address: nothing is translated",
		     name);
	else if (!network->uplink.up)
		warn(g, "uplink %s is down: nothing passes", name);
	else if (doctor_lacks_default(network, lacks))
		warn(g, "%s", lacks);
}

static void warn_martians(struct gateway *g,
			  const struct network_state *network)
{
	const struct nat_config *config = &g->plan->nat;
	char text[DOCTOR_REFUSES_MAX];

	for (size_t i = 0; i < config->martian_count; i++)
		if (doctor_refuses_own(network, &config->martians[i], text))
			warn(g, "%s", text);
}

static void warn_network(struct gateway *g)
{
	const struct network_state *network = network_state(g->network);

	warn_uplink(g, network);
	for (size_t i = 0; i < network->inside_count; i++)
		warn_inside(g, &network->inside[i]);
	if (!network->inside_count)
		warn(g, "there is no inside device");
	if (g->missed[0])
		warn(g, GATEWAY_MISSED, g->missed);
	if (network->policy_routing && g->backend != RULES_NFTABLES)
		warn(g,
		     "policy routing is in use: with the iptables backend, "
		     "packets that it sends elsewhere than the main table says "
		     "are not covered");
	warn_martians(g, network);
	if (g->rules_failed)
		warn(g, "the rules could not be loaded: see the log");
	if (g->others_error[0])
		warn(g,
		     "what an earlier daemon left of its rules may drop packets "
		     "and cannot be removed: %s",
		     g->others_error);
	if (gateway_fallback_lost(g))
		warn(g, "%s", GATEWAY_FALLBACK_LOST);
	if (g->state.warning[0])
		warn(g, "%s", g->state.warning);
	if (g->fast_error[0] && g->fast_warns)
		warn(g, "fast_path: %s: those packets take the queue",
		     g->fast_error);
	if (helper_unsaved(g->helper))
		warn(g,
		     "settings: %s.settings cannot be written (%s): after a "
		     "crash kernel settings would stay changed",
		     g->config->control, strerror(helper_unsaved(g->helper)));
}

static void warn_listener(struct gateway *g, const struct nat_forward *f)
{
	const struct nat_portset *bound = &g->bound[f->proto == NAT_PROTO_TCP];

	for (uint32_t port = f->outside_first; port <= f->outside_last; port++)
		if (nat_portset_has(bound, (uint16_t)port)) {
			warn(g,
			     "forward %s: the router itself listens on %s port "
			     "%" PRIu32 "; the forward wins",
			     f->name, f->proto == NAT_PROTO_TCP ? "tcp" : "udp",
			     port);
			break;
		}
}

/* only: that forward; NULL: all. */
static void warn_forwards(struct gateway *g, const char *only)
{
	const struct nat_config *config = &g->plan->nat;
	const struct network_state *network = network_state(g->network);
	bool unknown = network->inside_unknown;
	char addr[VIEWS_ADDR_SIZE];

	if (g->forwards_missing)
		warn(g,
		     "%u forward ports have no mapping: limits.mappings or "
		     "limits.hosts is too low",
		     g->forwards_missing);
	for (size_t i = 0; i < config->forward_count; i++) {
		const struct nat_forward *f = &config->forwards[i];

		if (only && strcmp(f->name, only) != 0)
			continue;
		warn_listener(g, f);
		if (i && !strcmp(f->name, config->forwards[i - 1].name))
			continue; /* the same by the other protocol */
		if (!unknown &&
		    !doctor_is_inside(config->inside, config->inside_count,
				      f->inside_addr))
			warn(g, "forward %s: %s is in no inside network",
			     f->name, views_addr(f->inside_addr, addr));
		if (doctor_is_own(network, f->inside_addr))
			warn(g,
			     "forward %s: %s is the router's own address, "
			     "whose answers are dropped",
			     f->name, views_addr(f->inside_addr, addr));
	}
}

static void warn_losses(struct gateway *g)
{
	struct nat_stats stats;
	struct queue_stats queue;

	nat_stats(g->nat, &stats);
	queue_stats(g->queue, &queue);
	if (queue.overload.now)
		warn(g,
		     "overload: the kernel dropped %" PRIu64
		     " packets that may have begun a flow and %" PRIu64
		     " of connections, since they came faster than they could "
		     "be taken",
		     queue.overload.lost[QUEUE_OPENING],
		     queue.overload.lost[QUEUE_FOLLOWING]);
	if (g->queue_config.gso && !queue.gso)
		warn(g,
		     "UDP packets come merged (by GRO, or from a virtual "
		     "machine or container), which kernels before 6.11 cannot "
		     "rewrite: segmentation offload is off, TCP is slower");
	if (stats.held_overflow)
		warn(g,
		     "%" PRIu64 " ports were given free before their hold time "
		     "was over: limits.held_ports is too low",
		     stats.held_overflow);
}

size_t gateway_warnings(struct gateway *g, const char *const **warnings)
{
	clear(g->warnings, &g->warnings_count);
	warn_network(g);
	warn_losses(g);
	for (size_t i = 0; i < g->findings_count; i++)
		warn(g, "%s", g->findings[i]);
	for (size_t i = 0; i < g->config->warnings_count; i++)
		warn(g, "%s", g->config->warnings[i]);
	/* Last: there may be more than there is room for. */
	warn_forwards(g, NULL);
	*warnings = (const char *const *)g->warnings;
	return g->warnings_count;
}

size_t gateway_forward_warnings(struct gateway *g, const char *name,
				const char *const **warnings)
{
	clear(g->warnings, &g->warnings_count);
	warn_forwards(g, name);
	*warnings = (const char *const *)g->warnings;
	return g->warnings_count;
}

/* --- the doctor --------------------------------------------------------- */

static bool known(char *const *list, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(list[i], text))
			return true;
	return false;
}

static char *finding_text(const struct doctor_finding *finding)
{
	char text[1024];

	snprintf(text, sizeof(text), "%s%s%s", finding->text,
		 finding->remedy ? "; " : "",
		 finding->remedy ? finding->remedy : "");
	return strdup(text);
}

/* Another firewall was loaded anew, without the rule we had put there. One
 * more look shows whether it helped, not more than one. */
static void heal(struct gateway *g)
{
	bool refused = false;

	for (size_t i = 0; i < g->findings_count; i++)
		if (strstr(g->findings[i], "forward chain"))
			refused = true;
	if (!refused || g->doctor_repeats ||
	    g->config->forward_accept != CONFIG_ACCEPT_INSERT) {
		g->doctor_repeats = false;
		return;
	}
	gateway_ask_accept(g);
	g->doctor_repeats = true;
	gateway_examine(g);
}

/* Who asked meanwhile knows of something that this look may have missed. */
static void look_again(struct gateway *g)
{
	if (g->doctor_asked)
		gateway_examine(g);
}

/* Replaces the findings; what was not there before goes to the log. */
static void take_report(struct gateway *g, const struct doctor_report *report)
{
	char *fresh[GATEWAY_WARNINGS_MAX] = { NULL };
	size_t count = 0;

	for (size_t i = 0; i < report->count && count < GATEWAY_WARNINGS_MAX;
	     i++) {
		if (report->findings[i].level == DOCTOR_OK)
			continue;
		fresh[count] = finding_text(&report->findings[i]);
		if (!fresh[count])
			break;
		if (!known(g->findings, g->findings_count, fresh[count]))
			log_warning("doctor", "%s", fresh[count]);
		count++;
	}
	clear(g->findings, &g->findings_count);
	memcpy(g->findings, fresh, count * sizeof(*fresh));
	g->findings_count = count;
}

static void stop_doctor(struct gateway *g)
{
	loop_remove(g->loop, &g->doctor);
	close(g->doctor.fd);
	g->doctor.fd = -1;
	free(g->doctor_text);
	g->doctor_text = NULL;
}

static void doctor_speaks(struct watch *watch, uint32_t events)
{
	struct gateway *g =
		(void *)((char *)watch - offsetof(struct gateway, doctor));
	struct doctor_report report = { 0 };
	int done = doctor_continue(watch->fd, &g->doctor_text, &report);

	(void)events;
	if (!done)
		return;
	stop_doctor(g);
	if (done > 0) {
		take_report(g, &report);
		if (!g->doctor_asked)
			gateway_fast_told(g, report.passed_by);
		doctor_report_free(&report);
		heal(g);
	} else {
		g->doctor_repeats = false;
	}
	look_again(g);
}

void gateway_doctor_began(void *context, int fd)
{
	struct gateway *g = context;

	g->doctor_awaited = false;
	if (fd < 0)
		return;
	g->doctor.handler = doctor_speaks;
	g->doctor.fd = fd;
	if (loop_add(g->loop, &g->doctor, EPOLLIN))
		stop_doctor(g);
}

bool gateway_examines(const struct gateway *g)
{
	return g->doctor.fd >= 0 || g->doctor_awaited;
}

/* By the helper, in a child of its own: nft and iptables-save may take their
 * time. */
void gateway_examine(struct gateway *g)
{
	g->doctor_asked = gateway_examines(g);
	if (g->doctor_asked)
		return;
	g->fast_stale = false;
	g->doctor_awaited =
		!helper_ask_doctor(g->helper, &g->plan->spec.rules, g->backend);
}

void gateway_warnings_free(struct gateway *g)
{
	if (g->doctor.fd >= 0)
		stop_doctor(g);
	clear(g->warnings, &g->warnings_count);
	clear(g->findings, &g->findings_count);
}
