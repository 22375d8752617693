/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The queue across a restart. The service manager keeps a copy of its socket;
 * while no daemon lives the rules of the last one go on queueing, and the next
 * daemon judges what waits before it touches any rule: the kernel drops what
 * is queued whenever a netfilter hook of the network namespace goes.
 */
#include "gateway_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "notify.h"

#define NAME_PREFIX "queue"

/* What decides how a waiting packet is to be read: another number, other mark
 * bits or the verdicts of another backend would be wrong for it. */
static void make_name(const struct gateway *g, enum rules_backend backend,
		      char name[NOTIFY_NAME_MAX])
{
	snprintf(name, NOTIFY_NAME_MAX, NAME_PREFIX "-%u-%08x-%s",
		 g->config->queue.number, (unsigned)g->config->queue.mark,
		 rules_backend_name(backend));
}

/* -1: none of ours. */
static int backend_of(const struct gateway *g, const char *wanted)
{
	char name[NOTIFY_NAME_MAX];

	for (int i = 0; i < RULES_BACKENDS; i++) {
		make_name(g, (enum rules_backend)i, name);
		if (!strcmp(name, wanted))
			return i;
	}
	return -1;
}

/* The number that the last daemon gave its queue. */
static uint16_t number_of(const char *name)
{
	unsigned number = 0;

	return sscanf(name, NAME_PREFIX "-%u", &number) == 1 ?
		       (uint16_t)number :
		       0;
}

struct queue *gateway_resume_queue(struct gateway *g)
{
	struct queue *queue = NULL;
	int fds[NOTIFY_STORED_MAX];
	size_t count = notify_stored(fds, g->stored);
	int backend = backend_of(g, g->stored);

	if (!count)
		return NULL;
	errno = EINVAL;
	if (backend >= 0) {
		g->backend = (enum rules_backend)backend;
		g->queue_config.repeat = g->backend != RULES_NFTABLES;
		queue = queue_resume(&g->queue_config, g->nat, fds, count);
	}
	if (queue) {
		for (size_t i = 0; i < count; i++)
			close(fds[i]);
		return queue;
	}
	log_warning("queue",
		    "what was handed over as \"%s\" is not used: %s; packets "
		    "that wait there are dropped",
		    g->stored, strerror(errno));
	for (size_t i = 0; i < count; i++)
		queue_discard(fds[i], number_of(g->stored));
	notify_forget(g->stored);
	g->stored[0] = '\0';
	return NULL;
}

void gateway_judge_waiting(struct gateway *g, struct gateway_plan *plan)
{
	gateway_follow(g, plan);
	/* Its rules are not in force: the first real plan loads them. */
	g->early = plan;
	g->plan = NULL;
	gateway_read_bound(g);
	if (!queue_start(g->queue, g->loop))
		queue_judge_waiting(g->queue);
}

bool gateway_keeps_backend(const struct gateway *g)
{
	if (!g->early)
		return false;
	if (g->config->rules == CONFIG_RULES_AUTO)
		return true;
	return (g->config->rules == CONFIG_RULES_NFTABLES) ==
	       (g->backend == RULES_NFTABLES);
}

void gateway_forget_queue(struct gateway *g)
{
	if (g->stored[0])
		notify_forget(g->stored);
	g->stored[0] = '\0';
}

void gateway_store_queue(struct gateway *g)
{
	char name[NOTIFY_NAME_MAX];
	int fds[QUEUE_LANES];
	int err;

	make_name(g, g->backend, name);
	if (!strcmp(name, g->stored))
		return;
	if (g->stored[0])
		notify_forget(g->stored);
	memcpy(g->stored, name, sizeof(name));
	queue_fds(g->queue, fds);
	err = notify_store(fds, QUEUE_LANES, name);
	if (err)
		log_warning(
			"queue",
			"the service manager does not keep its sockets (%s):"
			" packets that come during a restart are lost",
			strerror(-err));
}
