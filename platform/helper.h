/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The privileged helper as the packet process sees it: a child that was forked
 * before anything of the network was looked at, which serves fixed verbs over
 * one socketpair. sandbox.c has the theory: who may do what.
 *
 * A call returns 0 or -errno with a sentence in error (where there is one):
 * -EPIPE when the helper is gone, -ETIMEDOUT when it does not answer in time,
 * -EBUSY while it is still at what a call before did not wait for (the guard
 * puts an end to that).
 */
#ifndef PORTICO_PLATFORM_HELPER_H
#define PORTICO_PLATFORM_HELPER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "config.h"
#include "loop.h"
#include "rules.h"

struct helper;

#define HELPER_MEANWHILE_MS 10

/* What is done that nobody waits for. */
enum helper_job {
	HELPER_JOB_RULES,
	HELPER_JOB_ACCEPT,
	HELPER_JOB_OTHERS, /* what an earlier daemon left is removed */
	HELPER_JOBS
};

struct helper_done {
	enum helper_job job;
	uint32_t id;
	int result;
	const char *error;
};

/* What comes without being waited for, from the loop or during a call. */
struct helper_events {
	/* A look that was asked for: a descriptor to read the report from
	 * (doctor_continue()), to be closed by the callee, or -errno. */
	void (*doctor)(void *context, int fd);
	/* The helper is gone: nothing can be changed any more. */
	void (*gone)(void *context);
	/* A job is done that nobody waits for, or no longer: helper_ask_apply(),
	 * helper_ask_accept(), helper_ask_others(), a call that timed out. id: the request's; result:
	 * 0 or -errno, then with a sentence. Maybe during a call: it must not
	 * make another. */
	void (*done)(void *context, const struct helper_done *what);
	/* Called every HELPER_MEANWHILE_MS while a call waits for its answer;
	 * it must not make another. NULL: nothing is. */
	void (*meanwhile)(void *context);
	void *context;
};

/* Forks the helper, which goes by a copy of this configuration: paths, queue
 * and mark are fixed by it for good. To be called as root, with no descriptor
 * open that the helper must not hold. NULL with errno. */
struct helper *helper_start(const struct config *config);
/* From now on the loop takes what comes. 0 or -errno. */
int helper_watch(struct helper *helper, struct loop *loop,
		 const struct helper_events *events);
/* Nothing of that any more; calls go on. */
void helper_unwatch(struct helper *helper);
/* From now on all calls together wait wait_ms at most, and each by its own
 * bound; 0: by that alone. What is not waited for is done all the same. */
void helper_bound(struct helper *helper, int wait_ms);
/* Waits until something comes that is not waited for, and tells it by its event:
 * after a call met -EBUSY. 0 or -errno; -ETIMEDOUT: nothing came within the
 * bound of all. */
int helper_wait_any(struct helper *helper);
/* Ends the helper, and the loop's watch. */
void helper_stop(struct helper *helper);

/* Locks the helper in (sandbox.h); background: it leaves the terminal and logs
 * to syslog. 1: not all of it can be had, error says what. */
int helper_settle(struct helper *helper, bool background, char *error,
		  size_t error_size);

/* Names the only devices that rules may have; done by the first ruleset, too,
 * but only before helper_settle(). */
int helper_pin(struct helper *helper, const struct rules_spec *spec,
	       enum rules_backend backend, char *error, size_t error_size);
/* As rules_choose(), rules_apply()... do it; only the configuration's queue and
 * mark. */
int helper_choose(struct helper *helper, enum rules_backend *backend,
		  char *error, size_t error_size);
int helper_apply(struct helper *helper, const struct rules_spec *spec,
		 enum rules_backend backend, char *error, size_t error_size);
int helper_apply_guard(struct helper *helper, const struct rules_spec *spec,
		       enum rules_backend backend, char *error,
		       size_t error_size);
int helper_remove_others(struct helper *helper, enum rules_backend kept,
			 char *error, size_t error_size);
int helper_accept(struct helper *helper, bool insert, char *error,
		  size_t error_size);

/* The kernel's settings (sysctl.h): the file that outlives a crash is opened
 * first; redirects are those of `all`, the uplink and the inside devices. */
int helper_settings(struct helper *helper);
int helper_no_redirects(struct helper *helper);
int helper_reserve_ports(struct helper *helper,
			 const struct nat_portset *ports);
int helper_forward(struct helper *helper);
/* Why the settings as they were are not in the file that outlives a crash, an
 * errno, as of the last change; 0: they are. */
int helper_unsaved(const struct helper *helper);
/* Puts back what was changed; keep_forwarding: the router goes on without us.
 */
int helper_restore(struct helper *helper, bool keep_forwarding);

/* Removes the files of the control sockets. */
int helper_unlink_control(struct helper *helper);

/* --- without waiting ----------------------------------------------------- */

/* Asks for what helper_apply(), helper_accept() with insert and
 * helper_remove_others() do; told by the event `done`, with this id. 0 or -errno:
 * it will not be done. */
int helper_ask_apply(struct helper *helper, const struct rules_spec *spec,
		     enum rules_backend backend, uint32_t *id);
int helper_ask_accept(struct helper *helper);
int helper_ask_others(struct helper *helper, enum rules_backend kept);

/* Asks for a look by the doctor for the status, answered by an event. */
int helper_ask_doctor(struct helper *helper, const struct rules_spec *spec,
		      enum rules_backend backend);
/* Asks for the lease files; what they say is what names_load() gives. */
int helper_ask_names(struct helper *helper);

/* Everything that opens files, logs to syslog or reads lease files in this
 * process does so by the helper from now on. */
void helper_serve_files(struct helper *helper);
void helper_serve_log(struct helper *helper);

#endif
