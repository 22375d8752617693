/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the packet process's files of the helper share: the socket
 * (helper_call.c) and the verbs (helper_client.c).
 */
#ifndef PORTICO_PLATFORM_HELPER_CALL_H
#define PORTICO_PLATFORM_HELPER_CALL_H

#include "helper.h"
#include "helper_wire.h"

struct helper {
	struct watch watch;
	struct loop *loop;
	struct helper_events events;
	char *config_path; /* NULL: the default file */
	uint32_t last_id;
	int64_t deadline; /* of all calls, CLOCK_MONOTONIC ms; 0: none */
	int unsaved; /* helper_unsaved() */
	bool gone;
	bool told; /* that it is gone */
};

/* An answer with the descriptors that came with it; -1: none. */
struct helper_received {
	struct helper_answer answer;
	int fds[HELPER_FDS_MAX];
};

/* Sends a whole request; wait_ms: for room in the socket. 0 or -errno. A
 * request that was begun is sent to its end, or the helper would take the next
 * one for a part of it. */
int helper_send(struct helper *helper, enum helper_verb verb, const void *data,
		size_t length, int wait_ms);
/* Sends a request and waits for its answer, not beyond helper_bound(): the
 * result in it or -errno, then with a sentence. Descriptors that come are the
 * caller's. */
int helper_call(struct helper *helper, enum helper_verb verb, const void *data,
		size_t length, int wait_ms, struct helper_received *reply);
void helper_close_fds(struct helper_received *reply);

#endif
