/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the helper's own files share: its process (helper.c) and its verbs
 * (helper_verbs.c, helper_files.c).
 */
#ifndef PORTICO_PLATFORM_HELPER_PRIVATE_H
#define PORTICO_PLATFORM_HELPER_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config.h"
#include "helper_wire.h"
#include "sysctl.h"

struct helper_process {
	int fd; /* to the packet process */
	const struct config *config; /* as it was at the fork */
	struct sysctl_saved *saved; /* NULL: not opened, or put back */
	bool background; /* the log goes to syslog */
	bool settled;

	/* The devices of the first ruleset, named before the packet process was
	 * locked in: the only ones from then on. */
	bool pinned;
	char uplink[IFNAMSIZ];
	char (*inside)[IFNAMSIZ];
	size_t inside_count;

	/* A request whose pieces come. */
	struct helper_piece whole;
	uint32_t have;
	uint8_t *data;

	/* The child that runs a slow verb; its answer comes by a pipe. */
	pid_t job;
	int job_fd; /* -1: there is none */
	struct helper_piece job_piece;
	pid_t doctor; /* 0: none */
};

struct helper_reply {
	struct helper_answer answer;
	int fds[HELPER_FDS_MAX];
	size_t fd_count;
};

/* One verb. Lengths are those of its data. check() is asked first, in the
 * helper itself; run() does it, in a child where the verb is slow. Both return
 * what the caller gets as result. */
struct helper_action {
	uint32_t least, most;
	bool slow;
	bool urgent; /* ends a slow one that is under way */
	bool silent; /* nobody waits for an answer */
	int (*check)(struct helper_process *helper, const void *data,
		     size_t length, struct helper_reply *reply);
	int (*run)(struct helper_process *helper, const void *data,
		   size_t length, struct helper_reply *reply);
};

extern const struct helper_action helper_actions[HELPER_VERBS];

/* helper_files.c */
int helper_run_unlink(struct helper_process *helper, const void *data,
		      size_t length, struct helper_reply *reply);
int helper_run_open(struct helper_process *helper, const void *data,
		    size_t length, struct helper_reply *reply);
int helper_run_names(struct helper_process *helper, const void *data,
		     size_t length, struct helper_reply *reply);

/* Takes one message. 1: a request is complete in helper->whole and data, 0:
 * more pieces are to come, -EBADMSG: it is none, -ENOMEM; what came before it is
 * then forgotten. */
int helper_take_piece(struct helper_process *helper, const void *message,
		      size_t length);
void helper_forget_request(struct helper_process *helper);

/* Makes the socketpair and the helper, which does not return; ends[0] is the
 * packet process's. -1 with errno. */
pid_t helper_fork(int ends[2], const struct config *config);

#endif
