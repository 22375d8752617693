/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What clients of the control sockets may ask for, and how long they may take.
 * Each socket has limits of its own: those who may only look take nothing from
 * those who steer.
 */
#include <assert.h>
#include <sys/socket.h>

#include "control_private.h"

/* Requests a second, and how many at once after a pause. A new client counts
 * as a request of its socket. */
static const struct rate {
	uint32_t per_second;
	uint32_t burst;
} client_rate = { CONTROL_CLIENT_RATE, 2 * CONTROL_CLIENT_RATE },
  socket_rate = { CONTROL_RATE, 2 * CONTROL_RATE };

static const char *const names[] = {
	[CONTROL_CLIENTS] = "clients",
	[CONTROL_USER_CLIENTS] = "user_clients",
	[CONTROL_REQUESTS] = "requests",
	[CONTROL_CLIENT_REQUESTS] = "client_requests",
	[CONTROL_REQUEST_BYTES] = "request_bytes",
	[CONTROL_IDLE] = "idle",
	[CONTROL_SLOW_REQUEST] = "slow_request",
	[CONTROL_SLOW_ANSWER] = "slow_answer",
	[CONTROL_MEMORY] = "memory",
	[CONTROL_FORWARDS] = "forwards",
};
static_assert(sizeof(names) / sizeof(names[0]) == CONTROL_REFUSALS,
	      "every limit has a name");

static const char *const messages[CONTROL_REFUSALS] = {
	[CONTROL_CLIENTS] = "too many clients",
	[CONTROL_USER_CLIENTS] = "too many clients of this user",
	[CONTROL_REQUESTS] = "too many requests on this socket, try again",
	[CONTROL_CLIENT_REQUESTS] = "too many requests, ask more slowly",
	[CONTROL_REQUEST_BYTES] = "the request is too long",
};

const char *control_refusal_name(enum control_refusal refusal)
{
	return names[refusal];
}

const char *control_refusal_message(enum control_refusal refusal)
{
	return messages[refusal];
}

/* In thousandths of a request; a fresh bucket is full. */
static bool take(struct control_bucket *bucket, const struct rate *rate,
		 uint64_t now_ms)
{
	uint64_t full = (uint64_t)rate->burst * 1000;
	uint64_t passed = now_ms - bucket->stamp_ms;

	if (!bucket->stamp_ms || passed > full)
		bucket->tokens = full;
	else
		bucket->tokens += passed * rate->per_second;
	if (bucket->tokens > full)
		bucket->tokens = full;
	bucket->stamp_ms = now_ms;
	if (bucket->tokens < 1000)
		return false;
	bucket->tokens -= 1000;
	return true;
}

static enum control_refusal refuse(struct control *control,
				   enum control_refusal refusal)
{
	control->stats.refused[refusal]++;
	return refusal;
}

static size_t clients_of(const struct control_listener *listener, uid_t user)
{
	size_t count = 0;

	for (const struct control_client *client = listener->clients; client;
	     client = client->next)
		count += client->user == user;
	return count;
}

uid_t control_user(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) ?
		       (uid_t)-1 :
		       peer.uid;
}

enum control_refusal control_may_enter(struct control_listener *listener,
				       uid_t user)
{
	struct control *control = listener->control;

	if (listener->count >= CONTROL_CLIENTS_MAX)
		return refuse(control, CONTROL_CLIENTS);
	if (user && clients_of(listener, user) >= CONTROL_USER_CLIENTS_MAX)
		return refuse(control, CONTROL_USER_CLIENTS);
	if (!take(&listener->requests, &socket_rate,
		  loop_now_ms(control->loop)))
		return refuse(control, CONTROL_REQUESTS);
	return CONTROL_ALLOWED;
}

enum control_refusal control_may_ask(struct control_client *client)
{
	struct control_listener *listener = client->listener;
	struct control *control = listener->control;
	uint64_t now_ms = loop_now_ms(control->loop);

	if (!take(&client->requests, &client_rate, now_ms))
		return refuse(control, CONTROL_CLIENT_REQUESTS);
	if (!take(&listener->requests, &socket_rate, now_ms))
		return refuse(control, CONTROL_REQUESTS);
	control->stats.requests++;
	return CONTROL_ALLOWED;
}

enum control_refusal control_too_long(struct control_client *client)
{
	return refuse(client->listener->control, CONTROL_REQUEST_BYTES);
}

bool control_overdue(const struct control_client *client, bool answering,
		     uint64_t now_ms)
{
	struct control *control = client->listener->control;
	uint64_t took_ms = now_ms - client->began_ms;
	enum control_refusal refusal = CONTROL_ALLOWED;

	if (now_ms - client->active_ms >= CONTROL_IDLE_S * 1000ULL)
		refusal = CONTROL_IDLE;
	else if (answering && took_ms >= CONTROL_ANSWER_S * 1000ULL)
		refusal = CONTROL_SLOW_ANSWER;
	else if (!answering && client->in_length &&
		 took_ms >= CONTROL_REQUEST_S * 1000ULL)
		refusal = CONTROL_SLOW_REQUEST;
	if (refusal == CONTROL_ALLOWED)
		return false;
	refuse(control, refusal);
	return true;
}
