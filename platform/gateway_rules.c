/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The rules of the running gateway: loading them, noticing that somebody took
 * them away, and taking them off at the end.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "gateway_private.h"
#include "helper_waits.h"
#include "log.h"
#include "rules_events.h"

/* Between two tries to load rules that failed, or to remove others: a program may
 * take long. */
#define RETRY_EVERY_S 10U
/* More than all programs of one load may take (rules_text.h). */
#define ASKED_LOST_S 120U
/* Loads at once between two ticks' looks: somebody may take out whatever we load,
 * as soon as we do. */
#define FLUSHES_MAX 4U
/* Somewhat less than a tick's second. */
#define LIFE_EVERY_MS 900U

static bool same_sight(const struct rules_sight *a, const struct rules_sight *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* The same rules, loaded again, look as before: else somebody was at them before
 * we looked, and the next look will tell. Unless they do so twice: it is how
 * they look now. */
static void keep_sight(struct gateway *g, const struct rules_sight *now)
{
	if (g->sight_stale || same_sight(now, &g->sight_last))
		g->sight = *now;
	g->sight_last = *now;
	g->sight_stale = false;
}

/* What was loaded, as it is in force. */
static int remember(struct gateway *g, char *error, size_t size)
{
	struct rules_sight now = { 0 };
	int look = rules_look(g->backend, &now);

	if (!look)
		keep_sight(g, &now);
	if (look == -ENOENT) {
		g->blind = false;
		return gateway_say(error, size, look,
				   "somebody removed the rules at once");
	}
	if (look && !g->blind)
		log_warning("rules",
			    "nobody will notice when they are removed: %s",
			    strerror(-look));
	g->blind = look != 0;
	return 0;
}

int gateway_load_rules(struct gateway *g, const struct gateway_plan *plan,
		       char *error, size_t size)
{
	int err;

	/* Behind what it is at already; but where rules cannot be loaded, that
	 * may be for ever. */
	do
		err = helper_apply(g->helper, &plan->spec.rules, g->backend,
				   error, size);
	while (err == -EBUSY && !g->rules_failed &&
	       !helper_wait_any(g->helper));
	g->sight_stale = true;
	return err ? err : remember(g, error, size);
}

/* False also where it cannot be told. */
static bool changed(const struct gateway *g)
{
	struct rules_sight now;
	int err = g->blind ? 0 : rules_look(g->backend, &now);

	if (g->blind || (err && err != -ENOENT))
		return false;
	return err || !same_sight(&now, &g->sight);
}

/* --- without waiting ------------------------------------------------------- */

void gateway_ask_rules(struct gateway *g)
{
	int err;

	if (g->asked)
		return;
	err = helper_ask_apply(g->helper, &g->plan->spec.rules, g->backend,
			       &g->asked);
	g->asked_stale = false;
	g->asked_tick = g->ticks;
	if (!err)
		return;
	g->asked = 0;
	gateway_rules_failed(g, strerror(-err));
}

void gateway_ask_accept(struct gateway *g)
{
	g->accept_again = g->config->forward_accept == CONFIG_ACCEPT_INSERT &&
			  helper_ask_accept(g->helper) != 0;
}

/* --- what an earlier daemon left ------------------------------------------ */

/* Its guard would drop what our rules let out. The first time it is tried again
 * at once: memory may have been short for a moment. */
static void others_failed(struct gateway *g, const char *error)
{
	g->others_retry = g->ticks + (g->others_error[0] ? RETRY_EVERY_S : 1);
	if (strcmp(g->others_error, error) != 0)
		log_warning("rules",
			    "what an earlier daemon left is not removed, tried "
			    "again every %u s: %s",
			    RETRY_EVERY_S, error);
	snprintf(g->others_error, sizeof(g->others_error), "%s", error);
}

void gateway_remove_others(struct gateway *g)
{
	char error[sizeof(g->others_error)];

	if (helper_remove_others(g->helper, g->backend, error, sizeof(error)))
		others_failed(g, error);
}

static void ask_others(struct gateway *g)
{
	g->others_retry = g->ticks + RETRY_EVERY_S;
	/* Without a helper nothing is tried any more. */
	(void)helper_ask_others(g->helper, g->backend);
}

static void others_done(struct gateway *g, const struct helper_done *what)
{
	char error[sizeof(g->others_error)];

	if (what->result == -EBUSY)
		return;
	snprintf(error, sizeof(error), "%s", what->result ? what->error : "");
	if (what->result) {
		others_failed(g, error);
		return;
	}
	if (g->others_error[0])
		log_info("rules", "what an earlier daemon left is removed now");
	g->others_error[0] = '\0';
}

/* --- looking after ours ---------------------------------------------------- */

static void look_after(struct gateway *g)
{
	if (g->asked && g->ticks - g->asked_tick > ASKED_LOST_S) {
		g->asked = 0;
		gateway_rules_failed(g, "the helper's answer is lost");
	}
	if (g->asked)
		return;
	if (g->rules_failed) {
		if (g->ticks >= g->rules_retry)
			gateway_ask_rules(g);
	} else if (changed(g)) {
		log_warning("rules", "somebody removed or changed our rules");
		gateway_ask_rules(g);
	} else if (g->accept_again) {
		gateway_ask_accept(g);
	} else if (g->others_error[0] && g->ticks >= g->others_retry) {
		ask_others(g);
	}
}

static void look_at_once(struct gateway *g)
{
	if (g->withdrawn || g->asked || g->flushed >= FLUSHES_MAX)
		return;
	look_after(g);
	g->flushed += g->asked != 0;
}

static void asked_done(struct gateway *g, const struct helper_done *what)
{
	char error[512];

	if (what->result) {
		gateway_rules_failed(g, what->error);
		return;
	}
	if (remember(g, error, sizeof(error)) && g->flushed >= FLUSHES_MAX) {
		gateway_rules_failed(g, error);
		return;
	}
	log_info("rules", "loaded again");
	g->rules_failed = false;
	/* Who flushed our rules flushed the others, too. */
	g->accept_again = true;
	/* What was told while they were loaded nobody has looked after: who
	 * flushes table by table, or twice, is not done yet. */
	look_at_once(g);
}

static void accept_done(struct gateway *g, const struct helper_done *what)
{
	if (what->result == -EBUSY)
		g->accept_again = true;
	else if (what->result)
		log_warning("rules", "forward_accept: %s", what->error);
}

static void rules_done(struct gateway *g, const struct helper_done *what)
{
	bool asked = g->asked && what->id == g->asked;

	if (asked)
		g->asked = 0;
	if (asked && !g->asked_stale)
		asked_done(g, what);
	else
		/* Other rules than the plan's, maybe; and the helper is free. */
		g->rules_retry = g->ticks;
}

void gateway_rules_done(void *context, const struct helper_done *what)
{
	struct gateway *g = context;

	if (what->job == HELPER_JOB_RULES) {
		rules_done(g, what);
		return;
	}
	/* It is free. */
	if (g->rules_failed && !g->asked)
		g->rules_retry = g->ticks;
	if (what->job == HELPER_JOB_ACCEPT)
		accept_done(g, what);
	else
		others_done(g, what);
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
	g->flushed = 0;
	look_after(g);
}

static void somebody_flushed(struct watch *watch, uint32_t events)
{
	struct gateway *g =
		(void *)((char *)watch - offsetof(struct gateway, flushes));
	struct rules_events heard = rules_events_take(watch->fd);

	(void)events;
	if (heard.changed)
		gateway_fast_doubt(g);
	if (heard.out)
		look_at_once(g);
}

void gateway_hear_rules(struct gateway *g)
{
	int err;

	if (g->backend == RULES_IPTABLES_LEGACY && !g->fast)
		return;
	g->flushes.handler = somebody_flushed;
	g->flushes.fd = rules_events_open();
	err = g->flushes.fd < 0 ? g->flushes.fd :
				  loop_add(g->loop, &g->flushes, EPOLLIN);
	if (!err)
		return;
	log_warning("rules",
		    "that somebody removes them is seen up to 2 s late: %s",
		    strerror(-err));
	if (g->flushes.fd >= 0)
		close(g->flushes.fd);
	g->flushes.fd = -1;
}

void gateway_hear_no_rules(struct gateway *g)
{
	if (g->flushes.fd < 0)
		return;
	loop_remove(g->loop, &g->flushes);
	close(g->flushes.fd);
	g->flushes.fd = -1;
}

/* --- life ------------------------------------------------------------------ */

/* Each one makes a program that is loading rules begin anew: then as few as the
 * rules' patience allows. */
static void refresh_alive(struct gateway *g, uint64_t now_ms, bool loading)
{
	const unsigned every_s = loading ? RULES_ALIVE_S - 2 : RULES_REFRESH_S;
	int err;

	if (!g->plan || g->withdrawn ||
	    now_ms - g->alive_ms + 1000 - LIFE_EVERY_MS < every_s * 1000)
		return;
	g->alive_ms = now_ms;
	err = rules_refresh_alive(&g->plan->spec.rules, g->backend);
	if (err && err != g->alive_error && !g->rules_failed && !loading)
		log_warning("rules", "the sign of life failed: %s",
			    strerror(-err));
	g->alive_error = err;
}

/* Waits for the helper are bounded: who waits is alive, too. */
void gateway_show_life(struct gateway *g, bool loading)
{
	uint64_t now_ms = loop_clock_ms();

	refresh_alive(g, now_ms, loading);
	if (now_ms - g->life_ms < LIFE_EVERY_MS)
		return;
	g->life_ms = now_ms;
	notify_watchdog();
}

/* --- at the end ------------------------------------------------------------ */

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

	/* The guard first; what is left of the time serves the others. */
	helper_bound(g->helper, HELPER_STOP_RULES_MS);
	g->asked = 0;
	g->withdrawn = true;
	if (helper_apply_guard(g->helper, spec, g->backend, error,
			       sizeof(error)))
		log_error("rules", "the guard: %s", error);
	if (helper_remove_others(g->helper, g->backend, error, sizeof(error)))
		log_warning("rules",
			    "what an earlier daemon left is not removed: %s",
			    error);
	if (helper_accept(g->helper, false, error, sizeof(error)))
		log_warning("rules", "forward_accept: %s", error);
}
