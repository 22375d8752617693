/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The helper's verbs as functions of the packet process.
 */
#include "helper_call.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "helper_waits.h"
#include "log.h"
#include "names.h"

/* A call whose answer is a result and a sentence. */
static int ask(struct helper *helper, enum helper_verb verb, const void *data,
	       size_t length, int wait_ms, char *error, size_t error_size)
{
	struct helper_received reply;
	int err = helper_call(helper, verb, data, length, wait_ms, &reply);

	helper_close_fds(&reply);
	if (err && error_size)
		snprintf(error, error_size, "%s",
			 reply.answer.text[0] ? reply.answer.text :
						strerror(-err));
	return err;
}

static int ask_number(struct helper *helper, enum helper_verb verb,
		      uint32_t number, int wait_ms, char *error,
		      size_t error_size)
{
	return ask(helper, verb, &number, sizeof(number), wait_ms, error,
		   error_size);
}

/* --- verbs ---------------------------------------------------------------------- */

int helper_settle(struct helper *helper, bool background, char *error,
		  size_t error_size)
{
	return ask_number(helper, HELPER_SETTLE, background, HELPER_QUICK_MS,
			  error, error_size);
}

int helper_choose(struct helper *helper, enum rules_backend *backend,
		  char *error, size_t error_size)
{
	struct helper_received reply;
	int err = helper_call(helper, HELPER_CHOOSE, NULL, 0, HELPER_CHOOSE_MS,
			      &reply);

	helper_close_fds(&reply);
	if (!err && reply.answer.value >= RULES_BACKENDS)
		err = -EBADMSG;
	if (err)
		snprintf(error, error_size, "%s%s",
			 reply.answer.text[0] ? "" : "the packet filter: ",
			 reply.answer.text[0] ? reply.answer.text :
						strerror(-err));
	else
		*backend = (enum rules_backend)reply.answer.value;
	if (!err)
		snprintf(error, error_size, "%s", reply.answer.text);
	return err;
}

static int ask_spec(struct helper *helper, enum helper_verb verb,
		    const struct rules_spec *spec, enum rules_backend backend,
		    int wait_ms, char *error, size_t error_size)
{
	void *block;
	size_t length;
	int err = helper_spec_put(spec, backend, &block, &length);

	if (err) {
		snprintf(error, error_size, "%zu networks: %s",
			 spec->inside_net_count + spec->exempt_count +
				 spec->elsewhere_count,
			 strerror(-err));
		return err;
	}
	err = ask(helper, verb, block, length, wait_ms, error, error_size);
	free(block);
	return err;
}

int helper_pin(struct helper *helper, const struct rules_spec *spec,
	       enum rules_backend backend, char *error, size_t error_size)
{
	return ask_spec(helper, HELPER_PIN, spec, backend, HELPER_QUICK_MS,
			error, error_size);
}

int helper_apply(struct helper *helper, const struct rules_spec *spec,
		 enum rules_backend backend, char *error, size_t error_size)
{
	return ask_spec(helper, HELPER_APPLY, spec, backend, HELPER_RULES_MS,
			error, error_size);
}

int helper_apply_guard(struct helper *helper, const struct rules_spec *spec,
		       enum rules_backend backend, char *error,
		       size_t error_size)
{
	return ask_spec(helper, HELPER_GUARD, spec, backend,
			HELPER_STOP_RULES_MS, error, error_size);
}

int helper_remove_others(struct helper *helper, enum rules_backend kept,
			 char *error, size_t error_size)
{
	return ask_number(helper, HELPER_REMOVE_OTHERS, kept, HELPER_RULES_MS,
			  error, error_size);
}

int helper_accept(struct helper *helper, bool insert, char *error,
		  size_t error_size)
{
	return ask_number(helper, HELPER_ACCEPT, insert, HELPER_CHANGE_MS,
			  error, error_size);
}

int helper_settings(struct helper *helper)
{
	return ask(helper, HELPER_SETTINGS, NULL, 0, HELPER_QUICK_MS, NULL, 0);
}

/* A change of settings; the answer says as well what became of the file. */
static int change(struct helper *helper, enum helper_verb verb,
		  const void *data, size_t length)
{
	struct helper_received reply;
	int err = helper_call(helper, verb, data, length, HELPER_QUICK_MS,
			      &reply);

	helper_close_fds(&reply);
	if (reply.answer.verb == verb)
		helper->unsaved = (int)(reply.answer.value & INT16_MAX);
	return err;
}

int helper_no_redirects(struct helper *helper)
{
	return change(helper, HELPER_REDIRECTS, NULL, 0);
}

int helper_reserve_ports(struct helper *helper, const struct nat_portset *ports)
{
	return change(helper, HELPER_RESERVE, ports->bits, sizeof(ports->bits));
}

int helper_forward(struct helper *helper)
{
	return change(helper, HELPER_FORWARD, NULL, 0);
}

int helper_unsaved(const struct helper *helper)
{
	return helper->unsaved;
}

int helper_restore(struct helper *helper, bool keep_forwarding)
{
	return ask_number(helper, HELPER_RESTORE, keep_forwarding,
			  HELPER_QUICK_MS, NULL, 0);
}

int helper_unlink_control(struct helper *helper)
{
	return ask(helper, HELPER_UNLINK, NULL, 0, HELPER_QUICK_MS, NULL, 0);
}

/* --- without waiting ------------------------------------------------------------- */

static int send_spec(struct helper *helper, enum helper_verb verb,
		     const struct rules_spec *spec, enum rules_backend backend)
{
	void *block;
	size_t length;
	int err = helper->gone ?
			  -EPIPE :
			  helper_spec_put(spec, backend, &block, &length);

	if (err)
		return err;
	err = helper_send(helper, verb, block, length, HELPER_QUICK_MS);
	free(block);
	return err;
}

int helper_ask_apply(struct helper *helper, const struct rules_spec *spec,
		     enum rules_backend backend, uint32_t *id)
{
	int err = send_spec(helper, HELPER_APPLY, spec, backend);

	*id = helper->last_id;
	return err;
}

static int send_number(struct helper *helper, enum helper_verb verb,
		       uint32_t number)
{
	return helper->gone ?
		       -EPIPE :
		       helper_send(helper, verb, &number, sizeof(number), 0);
}

int helper_ask_accept(struct helper *helper)
{
	return send_number(helper, HELPER_ACCEPT, true);
}

int helper_ask_others(struct helper *helper, enum rules_backend kept)
{
	return send_number(helper, HELPER_REMOVE_OTHERS, kept);
}

int helper_ask_doctor(struct helper *helper, const struct rules_spec *spec,
		      enum rules_backend backend)
{
	return send_spec(helper, HELPER_DOCTOR, spec, backend);
}

int helper_ask_names(struct helper *helper)
{
	return helper->gone ? -EPIPE :
			      helper_send(helper, HELPER_NAMES, NULL, 0, 0);
}

/* The number of a file that the helper opens, -1: it does not. */
static int number_of(const struct helper *helper, const char *path)
{
	if (helper->config_path && !strcmp(path, helper->config_path))
		return HELPER_FILE_CONFIG;
	for (int i = 0; helper_files[i]; i++)
		if (!strcmp(path, helper_files[i]) &&
		    (i != HELPER_FILE_CONFIG || !helper->config_path))
			return i;
	return -1;
}

static int open_by_helper(void *context, const char *path)
{
	struct helper *helper = context;
	int number = number_of(helper, path);
	uint32_t data = (uint32_t)number;
	struct helper_received reply;
	int err;

	if (number < 0)
		return -EACCES;
	err = helper_call(helper, HELPER_OPEN, &data, sizeof(data),
			  HELPER_QUICK_MS, &reply);
	if (!err)
		return reply.fds[0] < 0 ? -EBADMSG : reply.fds[0];
	helper_close_fds(&reply);
	return err;
}

void helper_serve_files(struct helper *helper)
{
	files_ask(open_by_helper, helper);
	names_keep(NULL);
}

/* Best effort: a line that the socket has no room for is lost, as syslog(3)
 * would lose it. */
static void log_by_helper(void *context, int priority, const char *line,
			  size_t length)
{
	struct helper *helper = context;
	char data[1 + 1024];

	if (helper->gone || length >= sizeof(data))
		return;
	data[0] = (char)priority;
	memcpy(data + 1, line, length);
	helper_send(helper, HELPER_LOG, data, length + 1, 0);
}

void helper_serve_log(struct helper *helper)
{
	log_to(log_by_helper, helper);
}
