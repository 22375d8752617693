/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's verbs: each does one thing that Portico does anyway, with
 * arguments that are looked at as if an enemy had sent them. No text of a
 * request gets into a rule, a path or a command line, except names of devices,
 * and those only as rules_check() takes them and the first ruleset had them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "doctor.h"
#include "helper_private.h"
#include "log.h"
#include "sandbox.h"

#define LOG_LINE_MAX 1024U
#define SPEC_MOST HELPER_REQUEST_MAX
#define FORWARD "net/ipv4/ip_forward"

static char *error_of(struct helper_reply *reply)
{
	return reply->answer.text;
}

static uint32_t number_of(const void *data)
{
	uint32_t number;

	memcpy(&number, data, sizeof(number));
	return number;
}

/* --- rules ------------------------------------------------------------------ */

static bool same_devices(const struct helper_process *helper,
			 const struct rules_spec *spec)
{
	return !strcmp(helper->uplink, spec->uplink) &&
	       helper->inside_count == spec->inside_count &&
	       (!spec->inside_count || !memcmp(helper->inside, spec->inside,
					       spec->inside_count * IFNAMSIZ));
}

static int pin(struct helper_process *helper, const struct rules_spec *spec)
{
	helper->inside =
		calloc(spec->inside_count + 1, sizeof(*helper->inside));
	if (!helper->inside)
		return -ENOMEM;
	if (spec->inside_count)
		memcpy(helper->inside, spec->inside,
		       spec->inside_count * IFNAMSIZ);
	helper->inside_count = spec->inside_count;
	snprintf(helper->uplink, IFNAMSIZ, "%s", spec->uplink);
	helper->pinned = true;
	return 0;
}

/* What no reload can change must be as it was; and an exemption of everything
 * is none (config_check.c). */
static int check_rules(struct helper_process *helper,
		       const struct rules_spec *spec, bool may_pin)
{
	const struct config *config = helper->config;

	if (spec->queue_number != config->queue.number ||
	    spec->mark != config->queue.mark)
		return -EPERM;
	for (size_t i = 0; i < spec->exempt_count; i++)
		if (!spec->exempt[i].length)
			return -EPERM;
	if (helper->pinned)
		return same_devices(helper, spec) ? 0 : -EPERM;
	/* Who has seen packets does not choose them. */
	if (helper->settled)
		return -EPERM;
	return may_pin ? pin(helper, spec) : 0;
}

static int take_spec(struct helper_process *helper, const void *data,
		     size_t length, bool may_pin, struct helper_reply *reply)
{
	struct helper_spec spec;
	int err = helper_spec_take(data, length, &spec);

	if (!err) {
		err = check_rules(helper, &spec.rules, may_pin);
		helper_spec_free(&spec);
	}
	if (err)
		snprintf(error_of(reply), HELPER_TEXT_MAX,
			 "the helper refused them (%s)", strerror(-err));
	return err;
}

static int check_spec(struct helper_process *helper, const void *data,
		      size_t length, struct helper_reply *reply)
{
	return take_spec(helper, data, length, true, reply);
}

static int with_spec(int (*load)(const struct rules_spec *, enum rules_backend,
				 char *, size_t),
		     const void *data, size_t length,
		     struct helper_reply *reply)
{
	struct helper_spec spec;
	int err = helper_spec_take(data, length, &spec);

	if (err)
		return err;
	err = load(&spec.rules, spec.backend, error_of(reply), HELPER_TEXT_MAX);
	helper_spec_free(&spec);
	return err;
}

/* That it passed is all. */
static int run_pin(struct helper_process *helper, const void *data,
		   size_t length, struct helper_reply *reply)
{
	(void)helper;
	(void)data;
	(void)length;
	(void)reply;
	return 0;
}

static int run_apply(struct helper_process *helper, const void *data,
		     size_t length, struct helper_reply *reply)
{
	(void)helper;
	return with_spec(rules_apply, data, length, reply);
}

static int run_guard(struct helper_process *helper, const void *data,
		     size_t length, struct helper_reply *reply)
{
	(void)helper;
	return with_spec(rules_apply_guard, data, length, reply);
}

static int run_choose(struct helper_process *helper, const void *data,
		      size_t length, struct helper_reply *reply)
{
	enum rules_backend backend = RULES_NFTABLES;
	int err = rules_choose(helper->config->rules, &backend, error_of(reply),
			       HELPER_TEXT_MAX);

	(void)data;
	(void)length;
	reply->answer.value = backend;
	return err;
}

static int check_backend(struct helper_process *helper, const void *data,
			 size_t length, struct helper_reply *reply)
{
	(void)helper;
	(void)length;
	(void)reply;
	return number_of(data) < RULES_BACKENDS ? 0 : -EINVAL;
}

static int run_remove_others(struct helper_process *helper, const void *data,
			     size_t length, struct helper_reply *reply)
{
	(void)helper;
	(void)length;
	return rules_remove_others((enum rules_backend)number_of(data),
				   error_of(reply), HELPER_TEXT_MAX);
}

static int check_flag(struct helper_process *helper, const void *data,
		      size_t length, struct helper_reply *reply)
{
	(void)helper;
	(void)length;
	(void)reply;
	return number_of(data) <= 1 ? 0 : -EINVAL;
}

static int run_accept(struct helper_process *helper, const void *data,
		      size_t length, struct helper_reply *reply)
{
	(void)length;
	if (number_of(data))
		return rules_insert_accept(helper->config->queue.mark,
					   error_of(reply), HELPER_TEXT_MAX);
	return rules_remove_accept(error_of(reply), HELPER_TEXT_MAX);
}

/* --- the kernel's settings ---------------------------------------------------- */

static int run_settings(struct helper_process *helper, const void *data,
			size_t length, struct helper_reply *reply)
{
	char store[256];

	(void)data;
	(void)length;
	(void)reply;
	if (helper->saved)
		return -EALREADY;
	snprintf(store, sizeof(store), "%s.settings", helper->config->control);
	helper->saved = sysctl_new(store);
	return helper->saved ? 0 : -ENOMEM;
}

static int need_settings(struct helper_process *helper, const void *data,
			 size_t length, struct helper_reply *reply)
{
	(void)data;
	(void)length;
	(void)reply;
	return helper->saved ? 0 : -EBADF;
}

/* A write is noted in a file each time: only what is not so yet. */
static void no_redirects(struct helper_process *helper, const char *device)
{
	char name[64], now[8];

	snprintf(name, sizeof(name), "net/ipv4/conf/%s/send_redirects", device);
	if (!sysctl_read(name, now, sizeof(now)) && strcmp(now, "0"))
		sysctl_set(helper->saved, name, "0");
}

/* Beside the result of a change: what became of the file. */
static int changed(const struct helper_process *helper, int result,
		   struct helper_reply *reply)
{
	reply->answer.value = (uint32_t)sysctl_store_error(helper->saved);
	return result;
}

static int run_redirects(struct helper_process *helper, const void *data,
			 size_t length, struct helper_reply *reply)
{
	(void)data;
	(void)length;
	no_redirects(helper, "all");
	if (helper->pinned)
		no_redirects(helper, helper->uplink);
	for (size_t i = 0; i < helper->inside_count; i++)
		no_redirects(helper, helper->inside[i]);
	return changed(helper, 0, reply);
}

static int run_reserve(struct helper_process *helper, const void *data,
		       size_t length, struct helper_reply *reply)
{
	struct nat_portset ports;

	memset(&ports, 0, sizeof(ports));
	memcpy(ports.bits, data, length);
	return changed(helper, sysctl_reserve_ports(helper->saved, &ports),
		       reply);
}

static int run_forward(struct helper_process *helper, const void *data,
		       size_t length, struct helper_reply *reply)
{
	(void)data;
	(void)length;
	return changed(helper, sysctl_set(helper->saved, FORWARD, "1"), reply);
}

static int check_restore(struct helper_process *helper, const void *data,
			 size_t length, struct helper_reply *reply)
{
	int err = need_settings(helper, data, length, reply);

	return err ? err : check_flag(helper, data, length, reply);
}

static int run_restore(struct helper_process *helper, const void *data,
		       size_t length, struct helper_reply *reply)
{
	(void)length;
	(void)reply;
	/* The kernel's masquerade needs a router. */
	if (number_of(data))
		sysctl_keep(helper->saved, FORWARD);
	sysctl_restore(helper->saved);
	helper->saved = NULL;
	return 0;
}

/* --- looking, telling, and locking in ------------------------------------------ */

static int check_doctor(struct helper_process *helper, const void *data,
			size_t length, struct helper_reply *reply)
{
	return take_spec(helper, data, length, false, reply);
}

/* What a look for the status needs of configuration and network is in the
 * specification of the rules. */
static int begin_look(const struct helper_spec *spec, const struct config *fork,
		      pid_t *child)
{
	struct config config = *fork;
	struct network_state network = {
		.uplink_addr = spec->rules.uplink_addr,
		.inside_nets = spec->prefixes,
		.inside_net_count = spec->rules.inside_net_count,
		.inside_count = spec->rules.inside_count,
	};
	const struct doctor_context context = {
		.config = &config,
		.network = &network,
		.backend = spec->backend,
		.daemon_runs = true,
		.for_status = true,
	};
	int fd;

	memcpy(config.nat.untranslated, spec->untranslated,
	       sizeof(config.nat.untranslated));
	config.nat.exempt = spec->rules.exempt;
	config.nat.exempt_count = spec->rules.exempt_count;
	memcpy(network.uplink.name, spec->uplink, IFNAMSIZ);
	network.uplink.index = if_nametoindex(spec->uplink);
	network.uplink.mtu = spec->rules.uplink_mtu;
	network.inside =
		calloc(network.inside_count + 1, sizeof(*network.inside));
	if (!network.inside)
		return -ENOMEM;
	for (size_t i = 0; i < network.inside_count; i++)
		memcpy(network.inside[i].name, spec->inside[i], IFNAMSIZ);
	fd = doctor_begin(&context, child);
	free(network.inside);
	return fd;
}

static int run_doctor(struct helper_process *helper, const void *data,
		      size_t length, struct helper_reply *reply)
{
	struct helper_spec spec;
	int fd = helper_spec_take(data, length, &spec);

	if (fd)
		return fd;
	fd = begin_look(&spec, helper->config, &helper->doctor);
	helper_spec_free(&spec);
	if (fd < 0) {
		helper->doctor = 0;
		return fd;
	}
	reply->fds[reply->fd_count++] = fd;
	return 0;
}

static int check_log(struct helper_process *helper, const void *data,
		     size_t length, struct helper_reply *reply)
{
	const unsigned char *bytes = data;

	(void)reply;
	if (!helper->background || bytes[0] > LOG_DEBUG)
		return -EINVAL;
	for (size_t i = 1; i < length; i++)
		if (bytes[i] < ' ' || bytes[i] == 0x7f)
			return -EINVAL;
	return 0;
}

/* A priority in the first byte, then text that has no end of its own. */
static int run_log(struct helper_process *helper, const void *data,
		   size_t length, struct helper_reply *reply)
{
	const char *bytes = data;

	(void)helper;
	(void)reply;
	syslog(bytes[0], "%.*s", (int)length - 1, bytes + 1);
	return 0;
}

static void leave_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	log_to_syslog();
	if (chdir("/"))
		log_warning("helper", "chdir: %s", strerror(errno));
	for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	if (null > STDERR_FILENO)
		close(null);
}

static int check_settle(struct helper_process *helper, const void *data,
			size_t length, struct helper_reply *reply)
{
	return helper->settled ? -EALREADY :
				 check_flag(helper, data, length, reply);
}

static int run_settle(struct helper_process *helper, const void *data,
		      size_t length, struct helper_reply *reply)
{
	(void)length;
	helper->settled = true;
	helper->background = number_of(data);
	if (helper->background)
		leave_terminal();
	if (helper->config->sandbox == CONFIG_SANDBOX_OFF)
		return 0;
	return sandbox_enter(SANDBOX_HELPER, NULL, error_of(reply),
			     HELPER_TEXT_MAX);
}

/* --- the table ------------------------------------------------------------------ */

#define NUMBER .least = sizeof(uint32_t), .most = sizeof(uint32_t)
#define SET_BYTES ((uint32_t)sizeof(((struct nat_portset *)0)->bits))

const struct helper_action helper_actions[HELPER_VERBS] = {
	[HELPER_PIN] = { .most = SPEC_MOST,
			 .check = check_spec,
			 .run = run_pin },
	[HELPER_CHOOSE] = { .slow = true, .run = run_choose },
	[HELPER_APPLY] = { .most = SPEC_MOST,
			   .slow = true,
			   .check = check_spec,
			   .run = run_apply },
	[HELPER_GUARD] = { .most = SPEC_MOST,
			   .slow = true,
			   .urgent = true,
			   .check = check_spec,
			   .run = run_guard },
	[HELPER_REMOVE_OTHERS] = { NUMBER, .slow = true, .check = check_backend,
				   .run = run_remove_others },
	[HELPER_ACCEPT] = { NUMBER, .slow = true, .check = check_flag,
			    .run = run_accept },
	[HELPER_SETTINGS] = { .run = run_settings },
	[HELPER_REDIRECTS] = { .check = need_settings, .run = run_redirects },
	[HELPER_RESERVE] = { .least = SET_BYTES,
			     .most = SET_BYTES,
			     .check = need_settings,
			     .run = run_reserve },
	[HELPER_FORWARD] = { .check = need_settings, .run = run_forward },
	[HELPER_RESTORE] = { NUMBER, .check = check_restore,
			     .run = run_restore },
	[HELPER_UNLINK] = { .run = helper_run_unlink },
	[HELPER_OPEN] = { NUMBER, .run = helper_run_open },
	[HELPER_NAMES] = { .run = helper_run_names },
	[HELPER_DOCTOR] = { .most = SPEC_MOST,
			    .check = check_doctor,
			    .run = run_doctor },
	[HELPER_LOG] = { .least = 2,
			 .most = LOG_LINE_MAX,
			 .silent = true,
			 .check = check_log,
			 .run = run_log },
	[HELPER_SETTLE] = { NUMBER, .check = check_settle, .run = run_settle },
};
