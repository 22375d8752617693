/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * From configuration and network to engine and rules. A plan is computed in
 * full before anything changes, so a plan that cannot be made changes nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway_private.h"
#include "helper_waits.h"
#include "log.h"
#include "sockets.h"

/* --- planning ------------------------------------------------------------- */

static int fill_nat(struct gateway_plan *plan, const struct config *config,
		    const struct network_state *network, bool fast)
{
	size_t bytes = network->inside_net_count * sizeof(*plan->inside);

	plan->nat = config->nat;
	plan->nat.carry_after = fast ? config->fast_path.after : 0;
	memcpy(plan->nat.pool, plan->spec.pool, sizeof(plan->nat.pool));
	plan->nat.low_only = plan->spec.low_only;
	plan->inside = malloc(bytes ? bytes : 1);
	if (!plan->inside)
		return -ENOMEM;
	if (bytes)
		memcpy(plan->inside, network->inside_nets, bytes);
	plan->nat.inside = plan->inside;
	plan->nat.inside_count = network->inside_net_count;
	return 0;
}

static int render(const struct rules_spec *spec, enum rules_backend backend,
		  char **text)
{
	size_t size;
	FILE *out = open_memstream(text, &size);
	int err;

	if (!out)
		return -errno;
	/* A text in memory cannot be written for one reason only. */
	err = rules_render(spec, backend, out);
	if (fclose(out) || err == -EIO)
		err = -ENOMEM;
	/* glibc closes well, without a text, when it cannot shrink it. */
	return !err && !*text ? -ENOMEM : err;
}

struct gateway_plan *gateway_plan(const struct gateway *g,
				  const struct config *config, char *error,
				  size_t error_size)
{
	const struct network_state *network = network_state(g->network);
	struct gateway_plan *plan = calloc(1, sizeof(*plan));
	int err;

	if (!plan) {
		snprintf(error, error_size, "out of memory");
		return NULL;
	}
	err = spec_build(config, network, &plan->spec);
	/* An address that is back must not find the router's own ears open. */
	if (!err && !plan->spec.rules.uplink_addr)
		plan->spec.rules.uplink_addr = nat_known_uplink(g->nat);
	plan->spec.rules.uplink_index = network->uplink_last;
	/* The rules that masquerade when we are gone need a timed set. */
	if (!err && g->backend != RULES_NFTABLES)
		plan->spec.rules.fallback_kernel = false;
	if (err) {
		snprintf(error, error_size, "%s", spec_error(err));
		free(plan);
		return NULL;
	}
	err = fill_nat(plan, config, network, g->fast);
	if (!err)
		err = render(&plan->spec.rules, g->backend, &plan->text);
	if (err) {
		if (err == -EINVAL)
			rules_refuse(&plan->spec.rules, error, error_size);
		else
			snprintf(error, error_size, "rules: %s",
				 strerror(-err));
		gateway_plan_free(plan);
		return NULL;
	}
	return plan;
}

void gateway_plan_free(struct gateway_plan *plan)
{
	if (!plan)
		return;
	spec_free(&plan->spec);
	free(plan->inside);
	free(plan->text);
	free(plan);
}

/* --- applying --------------------------------------------------------------- */

/* A local bind that comes later only keeps a port from being handed out anew
 * (design 4.8). */
static void read_bound(struct gateway *g, uint32_t addr)
{
	int err = sockets_read(addr, &g->bound[0], &g->bound[1]);

	if (err && err != g->bound_error)
		log_warning("ports", "the router's sockets cannot be read: %s",
			    strerror(-err));
	g->bound_error = err;
	if (err)
		return;
	nat_set_bound(g->nat, NAT_POOL_UDP, &g->bound[0]);
	nat_set_bound(g->nat, NAT_POOL_TCP, &g->bound[1]);
}

/* What the router is bound to at a new address is known before mappings move
 * there. */
static void follow_uplink(struct gateway *g,
			  const struct network_state *network, uint64_t now_ms)
{
	uint32_t addr = network->uplink_addr;

	queue_set_devices(g->queue, network->uplink.index);
	if (addr != nat_uplink(g->nat))
		read_bound(g, addr);
	gateway_move(g, network, now_ms);
}

void gateway_follow(struct gateway *g, struct gateway_plan *plan)
{
	const struct network_state *network = network_state(g->network);
	struct gateway_plan *old = g->plan;
	uint64_t now_ms = loop_clock_ms();

	g->plan = plan;
	if (old && strcmp(old->text, plan->text) != 0) {
		g->asked_stale = g->sight_stale = true;
		/* Other devices, maybe, for which others have rules. */
		gateway_fast_doubt(g);
	}
	g->forwards_missing = nat_configure(g->nat, &plan->nat, now_ms);
	follow_uplink(g, network, now_ms);
	gateway_follow_fast(g);
	gateway_plan_free(old);
}

static bool needs_loading(const struct gateway *g,
			  const struct gateway_plan *plan)
{
	return !g->plan || g->rules_failed || g->asked ||
	       strcmp(g->plan->text, plan->text) != 0;
}

int gateway_apply(struct gateway *g, struct gateway_plan *plan, char *error,
		  size_t error_size)
{
	int err = 0;

	if (needs_loading(g, plan))
		err = gateway_load_rules(g, plan, error, error_size);
	if (err)
		return err;
	g->rules_failed = false;
	gateway_follow(g, plan);
	return 0;
}

/* Where the last try failed the next may take as long, and packets have waited
 * once. */
static void load_followed(struct gateway *g, const struct gateway_plan *plan)
{
	char error[512];

	if (g->rules_failed) {
		gateway_ask_rules(g);
		return;
	}
	if (gateway_load_rules(g, plan, error, sizeof(error)))
		gateway_rules_failed(g, error);
	else
		g->rules_failed = false;
}

/* What the network does cannot be refused: the engine follows it also when the
 * rules do not; they are tried again. */
void gateway_network_changed(void *context)
{
	struct gateway *g = context;
	struct gateway_plan *plan;
	char error[512];
	bool load;

	/* Nothing leaves from an address that is gone. */
	if (nat_uplink(g->nat) != network_state(g->network)->uplink_addr)
		nat_set_uplink(g->nat, 0, loop_clock_ms());
	plan = gateway_plan(g, g->config, error, sizeof(error));
	if (!plan && !g->unfollowed)
		log_error("network", "a change cannot be followed yet: %s",
			  error);
	g->unfollowed = !plan;
	if (!plan)
		return;
	/* Inside ends are told at once, and further on while rules are loaded
	 * (gateway_meanwhile()). Packets wait in the queue until then: answers
	 * to them would meet the router itself. */
	load = needs_loading(g, plan);
	gateway_follow(g, plan);
	helper_bound(g->helper, HELPER_CHANGE_MS);
	if (load)
		load_followed(g, plan);
	gateway_set_redirects(g);
	helper_bound(g->helper, 0);
	gateway_read_bound(g);
	gateway_find_missed(g);
}

void gateway_follow_again(struct gateway *g)
{
	network_retry(g->network);
	if (g->unfollowed)
		gateway_network_changed(g);
}

void gateway_read_bound(struct gateway *g)
{
	read_bound(g, nat_uplink(g->nat));
}
