/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the parts of the control sockets share: listeners (control.c), clients
 * (control_client.c) and verbs (control_verbs.c, control_forwards.c).
 */
#ifndef PORTICO_PLATFORM_CONTROL_PRIVATE_H
#define PORTICO_PLATFORM_CONTROL_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#include "buffer.h"
#include "control.h"
#include "dump.h"
#include "loop.h"
#include "why.h"

struct control_client;

/* What is left of a rate. */
struct control_bucket {
	uint64_t tokens;
	uint64_t stamp_ms; /* 0: never used */
};

struct control_listener {
	struct watch watch;
	struct control *control;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	bool read_only;
	int group_err; /* why only root can use it; 0: its group can */
	bool paused; /* out of descriptors: accepts again after the next tick */
	size_t count;
	struct control_client *clients; /* a list */
	struct control_bucket requests;
	/* All its dumps together may spend this much in one millisecond, so
	 * that many clients delay packets no more than one does. */
	uint64_t budget_ms;
	uint32_t budget;
	/* For the same reason it answers one request in a millisecond: some
	 * have the rules loaded. */
	uint64_t asked_ms;
};

enum { CONTROL_FULL, CONTROL_READ, CONTROL_LISTENERS };

struct control {
	struct loop *loop;
	struct gateway *gateway; /* NULL while the daemon starts */
	bool leaves_files; /* this process has no file system any more */
	struct control_listener listeners[CONTROL_LISTENERS];
	struct control_stats stats; /* but for clients */
};

/* --- limits -------------------------------------------------------------- */

/* The user at the other end; (uid_t)-1 when it cannot be told. */
uid_t control_user(int fd);
/* CONTROL_ALLOWED, or which limit is reached (counted). */
enum control_refusal control_may_enter(struct control_listener *listener,
				       uid_t user);
enum control_refusal control_may_ask(struct control_client *client);
/* Counts a request without end. */
enum control_refusal control_too_long(struct control_client *client);
/* Whether the client took longer than it may (counted). answering: it has to
 * read, not to speak. */
bool control_overdue(const struct control_client *client, bool answering,
		     uint64_t now_ms);
/* What the client is told. */
const char *control_refusal_message(enum control_refusal refusal);

/* --- clients ------------------------------------------------------------- */

/* One connection: reads a line, answers it in full, reads the next. Either
 * input or output is watched, never both. */
struct control_client {
	struct watch watch;
	struct control_listener *listener;
	struct control_client *next;
	uid_t user;
	uint64_t active_ms; /* when bytes last moved */
	uint64_t began_ms; /* the request that comes, or the answer that goes */
	struct control_bucket requests;
	bool writing;
	bool closing; /* cut off once the output is written */
	struct dump *dump; /* in progress, or NULL */
	struct why *why; /* likewise, not both */
	struct buffer out;
	size_t in_length;
	char in[CONTROL_REQUEST_MAX];
};

/* Takes over a connected, non-blocking descriptor (closed on failure).
 * 0 or -errno. */
int control_client_add(struct control_listener *listener, int fd, uid_t user);
/* Whether it has an answer to read. */
bool control_client_answering(const struct control_client *client);
/* Ends one client, in the midst of whatever it does. */
void control_client_close(struct control_client *client);

/* --- verbs --------------------------------------------------------------- */

/* Answers one request line: fills client->out with a whole line or sets
 * client->dump or client->why; client->closing when the line was no request at all.
 * 0 or -ENOMEM. */
int control_verb_run(struct control_client *client, const char *line,
		     size_t length);
/* Appends {"error": message} as a line. 0 or -ENOMEM. */
int control_refuse(struct control_client *client, const char *message);
/* Appends the object, which is taken over, as a line; NULL counts as out of
 * memory. 0 or -ENOMEM. */
int control_answer(struct control_client *client, struct json_object *object);

/* control_forwards.c: what the request has beside its "command". 0 or
 * -ENOMEM. */
int control_forward_add(struct control_client *client,
			struct json_object *forward);
int control_forward_remove(struct control_client *client,
			   struct json_object *which);

#endif
