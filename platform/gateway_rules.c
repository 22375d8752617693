/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The rules of the running gateway: loading them, noticing that somebody took
 * them away, and taking them off at the end.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gateway_private.h"
#include "log.h"

/* Between two tries to load rules that failed: a program may take long. */
#define RETRY_EVERY_S 10U

int gateway_load_rules(struct gateway *g, const struct gateway_plan *plan,
		       char *error, size_t size)
{
	int err = helper_apply(g->helper, &plan->spec.rules, g->backend, error,
			       size);
	int look;

	if (err)
		return err;
	look = rules_look(g->backend, &g->sight);
	if (look == -ENOENT)
		return gateway_say(error, size, look,
				   "somebody removed the rules at once");
	if (look && !g->blind)
		log_warning("rules",
			    "nobody will notice when they are removed: %s",
			    strerror(-look));
	g->blind = look != 0;
	return 0;
}

/* False also where it cannot be told. */
static bool changed(const struct gateway *g)
{
	struct rules_sight now;
	int err = g->blind ? 0 : rules_look(g->backend, &now);

	if (g->blind || (err && err != -ENOENT))
		return false;
	return err || memcmp(&now, &g->sight, sizeof(now)) != 0;
}

static void load_again(struct gateway *g)
{
	char error[512];

	if (gateway_load_rules(g, g->plan, error, sizeof(error))) {
		gateway_rules_failed(g, error);
		return;
	}
	log_info("rules", "loaded again");
	g->rules_failed = false;
	/* Who flushed our rules flushed the others, too. */
	if (g->config->forward_accept == CONFIG_ACCEPT_INSERT)
		gateway_set_accept(g, g->config);
}

void gateway_rules_failed(struct gateway *g, const char *error)
{
	if (!g->rules_failed)
		log_error("rules", "not loaded, tried again every %u s: %s",
			  RETRY_EVERY_S, error);
	g->rules_failed = true;
	g->rules_retry = g->ticks + RETRY_EVERY_S;
}

void gateway_watch_rules(struct gateway *g)
{
	int err;

	if (g->rules_failed) {
		if (g->ticks >= g->rules_retry)
			load_again(g);
		return;
	}
	if (changed(g)) {
		log_warning("rules", "somebody removed or changed our rules");
		load_again(g);
		return;
	}
	err = rules_refresh_alive(&g->plan->spec.rules, g->backend);
	if (err && err != g->alive_error)
		log_warning("rules", "the sign of life failed: %s",
			    strerror(-err));
	g->alive_error = err;
}

void gateway_set_accept(struct gateway *g, const struct config *config)
{
	char error[512];

	if (helper_accept(g->helper,
			  config->forward_accept == CONFIG_ACCEPT_INSERT, error,
			  sizeof(error)))
		log_warning("rules", "forward_accept: %s", error);
}

void gateway_withdraw_rules(struct gateway *g, const struct gateway_plan *plan)
{
	const struct rules_spec *spec = &plan->spec.rules;
	char error[512];

	if (helper_apply_guard(g->helper, spec, g->backend, error,
			       sizeof(error)))
		log_error("rules", "the guard: %s", error);
	helper_remove_others(g->helper, g->backend);
	if (helper_accept(g->helper, false, error, sizeof(error)))
		log_warning("rules", "forward_accept: %s", error);
}
