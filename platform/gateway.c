/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The life of the gateway: opening everything in the right order, the
 * one-second tick, reload, and an orderly stop.
 */
#include "gateway.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "gateway_private.h"
#include "log.h"

#define BOUND_EVERY_S 5U
#define EXAMINE_EVERY_S 60U
#define NAMES_EVERY_S 5U

/* Packets the kernel may keep for us: about 20 ms at 50,000 a second. */
#define QUEUE_LENGTH 1024U

/* --- engine ------------------------------------------------------------- */

static int draw_secrets(struct nat_secrets *secrets)
{
	uint8_t *at = (uint8_t *)secrets;
	size_t left = sizeof(*secrets);

	while (left) {
		ssize_t got = getrandom(at, left, 0);

		if (got < 0 && errno != EINTR)
			return -errno;
		if (got > 0) {
			at += got;
			left -= (size_t)got;
		}
	}
	return 0;
}

static int open_engine(struct gateway *g, char *error, size_t size)
{
	const struct nat_limits *limits = &g->config->limits;
	struct nat_secrets secrets;
	int err = draw_secrets(&secrets);

	if (err)
		return gateway_say(error, size, err, "no random bytes: %s",
				   strerror(-err));
	g->indices_bytes = nat_indices_size(limits);
	g->indices = state_block(g->indices_bytes);
	if (g->indices)
		g->nat = state_open(&g->state, g->config->state, limits,
				    &secrets, g->indices, g->indices_bytes);
	if (!g->nat)
		return gateway_say(error, size, -ENOMEM,
				   "no memory for tables of %zu bytes",
				   nat_records_size(limits) + g->indices_bytes);
	return 0;
}

/* --- queue -------------------------------------------------------------- */

static uint32_t lowest_bit(uint32_t mask)
{
	uint32_t shift = 0;

	while (mask && !(mask >> shift & 1))
		shift++;
	return shift;
}

/* After a rewrite the kernel holds a packet's checksum for complete. Before
 * 6.11 it segments a super-datagram by the features of the device all the same:
 * one that segments UDP gets it whole, one that computes checksums gets
 * segments without. (TCP puts its checksum right by itself.) */
static bool kernel_segments_datagrams(void)
{
	unsigned major, minor;
	struct utsname name;

	return !uname(&name) &&
	       sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 11));
}

static int open_queue(struct gateway *g, char *error, size_t size)
{
	const struct config *config = g->config;
	int err;

	g->queue_config = (struct queue_config){
		.number = config->queue.number,
		.batch = config->queue.batch,
		.length = QUEUE_LENGTH,
		.gso = config->queue.gso != CONFIG_OFF,
		.gso_udp = kernel_segments_datagrams(),
		.repeat = false,
		.mark_shift = lowest_bit(config->queue.mark),
	};
	g->queue = gateway_resume_queue(g);
	if (!g->queue)
		g->queue = queue_open(&g->queue_config, g->nat);
	if (g->queue)
		return 0;
	err = -errno;
	if (err == -EBUSY)
		return gateway_say(
			error, size, err,
			"queue %u or %u: another program listens on it "
			"(another porticod?); nothing was changed",
			config->queue.number, config->queue.number + 1U);
	if (err == -EPERM)
		return gateway_say(error, size, err,
				   "queue %u: not permitted (CAP_NET_ADMIN and "
				   "CAP_NET_RAW are needed)",
				   config->queue.number);
	return gateway_say(error, size, err, "queue %u: %s",
			   config->queue.number, strerror(-err));
}

/* --- tick --------------------------------------------------------------- */

static void tick(struct watch *watch, uint32_t events)
{
	struct gateway *g =
		(void *)((char *)watch - offsetof(struct gateway, tick));
	uint64_t times;

	(void)events;
	if (read(watch->fd, &times, sizeof(times)) != sizeof(times))
		return;
	g->ticks++;
	gateway_expire(g);
	if (g->forwards_missing)
		g->forwards_missing =
			nat_add_forwards(g->nat, loop_now_ms(g->loop));
	queue_send_output(g->queue, loop_now_ms(g->loop));
	queue_tick(g->queue);
	gateway_follow_again(g);
	if (g->ticks % BOUND_EVERY_S == 0)
		gateway_read_bound(g);
	if (g->ticks % EXAMINE_EVERY_S == 0)
		gateway_examine(g);
	if (g->ticks % RULES_REFRESH_S == 0)
		gateway_watch_rules(g);
	if (g->ticks % NAMES_EVERY_S == 0)
		helper_ask_names(g->helper);
	gateway_tick_fast(g);
	gateway_show_life(g, g->asked);
}

static int open_tick(struct gateway *g)
{
	const struct itimerspec every = { { 1, 0 }, { 1, 0 } };
	int err;

	g->tick.handler = tick;
	g->tick.fd =
		timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (g->tick.fd < 0 || timerfd_settime(g->tick.fd, 0, &every, NULL) < 0)
		return -errno;
	err = loop_add(g->loop, &g->tick, EPOLLIN);
	return err;
}

/* --- opening and closing -------------------------------------------------- */

/* The first plan; when its rules cannot be loaded the guard takes their place:
 * some of them may be in force. */
static int begin(struct gateway *g, char *error, size_t size)
{
	struct gateway_plan *plan = gateway_plan(g, g->config, error, size);
	int err;

	if (!plan)
		return -EINVAL;
	if (g->early)
		queue_judge_waiting(g->queue);
	err = gateway_apply(g, plan, error, size);
	if (err) {
		gateway_forget_queue(g);
		gateway_withdraw_rules(g, plan);
		gateway_plan_free(plan);
		return err;
	}
	queue_set_repeat(g->queue, g->backend != RULES_NFTABLES);
	gateway_remove_others(g);
	gateway_plan_free(g->early);
	g->early = NULL;
	gateway_set_accept(g, g->config);
	return gateway_open_settings(g, error, size);
}

static int start(struct gateway *g, char *error, size_t size)
{
	int err = begin(g, error, size);

	if (err)
		return err;
	gateway_set_redirects(g);
	gateway_reserve_ports(g);
	gateway_read_bound(g);
	if (g->lock_in) /* else it was before */
		gateway_remove_earlier_fast();
	err = queue_start(g->queue, g->loop);
	if (err)
		return gateway_say(error, size, err, "queue: %s",
				   strerror(-err));
	gateway_store_queue(g);
	err = gateway_set_forwarding(g, error, size);
	if (err)
		return err;
	err = open_tick(g);
	if (!err)
		err = gateway_expire_open(g);
	if (err)
		return gateway_say(error, size, err, "timer: %s",
				   strerror(-err));
	gateway_start_fast(g);
	gateway_hear_rules(g);
	gateway_examine(g);
	helper_ask_names(g->helper);
	return 0;
}

static void lost_helper(void *context)
{
	struct gateway *g = context;

	g->helper_gone = true;
	log_error("helper", "the privileged helper is gone: ending, with the "
			    "rules as they are");
	loop_stop(g->loop);
}

static int watch_helper(struct gateway *g, char *error, size_t size)
{
	const struct helper_events events = {
		.doctor = gateway_doctor_began,
		.gone = lost_helper,
		.done = gateway_rules_done,
		.meanwhile = gateway_meanwhile,
		.context = g,
	};
	int err = helper_watch(g->helper, g->loop, &events);

	return err ? gateway_say(error, size, err, "helper: %s",
				 strerror(-err)) :
		     0;
}

/* Gives up our rights, once. */
static int give_up(struct gateway *g, char *error, size_t size)
{
	gateway_lock_in *lock = g->lock_in;

	g->lock_in = NULL;
	rules_look_prepare();
	return lock ? lock(g->lock_context, error, size) : 0;
}

/* Strangers' packets, which may be what the last daemon died of: by then our
 * rights are gone, and the helper knows what devices are ours. */
static int judge_waiting(struct gateway *g, char *error, size_t size)
{
	struct gateway_plan *plan = gateway_plan(g, g->config, error, size);
	int err = plan ? helper_pin(g->helper, &plan->spec.rules, g->backend,
				    error, size) :
			 -EINVAL;

	gateway_remove_earlier_fast();
	if (!err)
		err = give_up(g, error, size);
	if (err)
		gateway_plan_free(plan);
	else
		gateway_judge_waiting(g, plan);
	return err;
}

/* Whoever wonders why it is not nftables finds it in the log. */
static int choose_backend(struct gateway *g, char *error, size_t size)
{
	int err = helper_choose(g->helper, &g->backend, error, size);

	if (!err && error[0]) {
		log_info("rules", "by %s; not by %s",
			 rules_backend_name(g->backend), error);
		error[0] = '\0'; /* of nothing that fails later */
	}
	return err;
}

/* Order of design 4.10: the queue is ours before any rule is touched. */
static int open_all(struct gateway *g, char *error, size_t size)
{
	int err = watch_helper(g, error, size);

	if (!err)
		err = open_engine(g, error, size);
	if (!err)
		err = gateway_open_network(g, error, size);
	if (!err)
		err = gateway_check_devices(g, error, size);
	if (!err)
		err = open_queue(g, error, size);
	if (!err)
		gateway_open_fast(g);
	if (!err && g->stored[0])
		err = judge_waiting(g, error, size);
	if (!err && !gateway_keeps_backend(g))
		err = choose_backend(g, error, size);
	if (err)
		return err;
	if (g->backend == RULES_NFTABLES)
		network_without_own(g->network);
	if (gateway_fallback_lost(g))
		log_warning("rules", "%s", GATEWAY_FALLBACK_LOST);
	err = start(g, error, size);
	return err ? err : give_up(g, error, size);
}

static void free_all(struct gateway *g)
{
	helper_unwatch(g->helper);
	if (g->tick.fd >= 0) {
		loop_remove(g->loop, &g->tick);
		close(g->tick.fd);
	}
	gateway_hear_no_rules(g);
	gateway_expire_close(g);
	if (g->queue)
		queue_close(g->queue);
	if (g->network)
		network_close(g->network);
	gateway_restore_settings(g);
	state_close(&g->state, g->orderly ? g->nat : NULL);
	if (g->indices)
		munmap(g->indices, g->indices_bytes);
	gateway_warnings_free(g);
	gateway_plan_free(g->early);
	gateway_plan_free(g->plan);
	config_free(g->config);
	free(g->config_path);
	free(g);
}

struct gateway *gateway_open(struct loop *loop, struct config *config,
			     struct helper *helper, gateway_lock_in *lock_in,
			     void *context, char *error, size_t error_size)
{
	struct gateway *g = calloc(1, sizeof(*g));

	if (!g) {
		config_free(config);
		gateway_say(error, error_size, 0, "out of memory");
		return NULL;
	}
	g->loop = loop;
	g->helper = helper;
	g->lock_in = lock_in;
	g->lock_context = context;
	g->config = config;
	g->tick.fd = g->crowd.fd = g->flushes.fd = -1;
	g->state.fd = -1;
	g->doctor.fd = -1;
	g->started_ms = loop_clock_ms();
	g->config_path = config->path ? strdup(config->path) : NULL;
	if (open_all(g, error, error_size)) {
		/* What the last one left is as it was. */
		g->orderly = g->state.restored.clean;
		gateway_close_fast(g);
		if (g->plan)
			gateway_withdraw_rules(g, g->plan);
		free_all(g);
		return NULL;
	}
	state_tell(&g->state, g->config->state);
	return g;
}

void gateway_leave(struct gateway *g)
{
	state_close(&g->state, g->nat);
}

bool gateway_failed(const struct gateway *g)
{
	return g->helper_gone;
}

void gateway_close(struct gateway *g)
{
	gateway_close_fast(g);
	if (!g->helper_gone) {
		gateway_forget_queue(g);
		gateway_withdraw_rules(g, g->plan);
	}
	g->orderly = true;
	free_all(g);
}

/* --- looking ---------------------------------------------------------------- */

uint32_t gateway_flush_host(struct gateway *g, uint32_t addr)
{
	return nat_flush_host(g->nat, addr, loop_clock_ms());
}

const struct nat *gateway_nat(const struct gateway *g)
{
	return g->nat;
}

const struct config *gateway_config(const struct gateway *g)
{
	return g->config;
}

const struct nat_config *gateway_nat_config(const struct gateway *g)
{
	return &g->plan->nat;
}

const struct nat_portset *gateway_bound(const struct gateway *g)
{
	return g->bound;
}

const struct network_state *gateway_network(const struct gateway *g)
{
	return network_state(g->network);
}

enum rules_backend gateway_backend(const struct gateway *g)
{
	return g->backend;
}

void gateway_queue_stats(struct gateway *g, struct queue_stats *stats)
{
	queue_stats(g->queue, stats);
}

const struct nat_restored *gateway_restored(const struct gateway *g,
					    uint64_t *ms)
{
	*ms = g->state.ms;
	return &g->state.restored;
}

uint64_t gateway_uptime_s(const struct gateway *g)
{
	return (loop_clock_ms() - g->started_ms) / 1000;
}

uint64_t gateway_now_ms(const struct gateway *g)
{
	return loop_now_ms(g->loop);
}

void gateway_rules_spec(const struct gateway *g, struct rules_spec *spec)
{
	*spec = g->plan->spec.rules;
}
