/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One client of a control socket: a line in, a line out.
 *
 * A client that reads slowly keeps its own output waiting and nothing else:
 * the next slice of a dump is made when the last one is in the kernel's hands,
 * so a client holds at most one slice, whatever the size of the table.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control_private.h"

/* Unread text up to which a slice is filled, and the cost (dump.h) of all
 * slices of one socket in one millisecond: 128 entries shown, half of that for
 * those who only look. */
#define SLICE_BYTES 32768
#define SLICE_BUDGET (128 * DUMP_COST_SHOWN)

void control_client_close(struct control_client *client)
{
	struct control_client **link = &client->listener->clients;

	while (*link != client)
		link = &(*link)->next;
	*link = client->next;
	client->listener->count--;
	loop_remove(client->listener->control->loop, &client->watch);
	close(client->watch.fd);
	dump_free(client->dump);
	why_free(client->why);
	buffer_free(&client->out);
	free(client);
}

static uint32_t *refresh_budget(struct control_listener *listener)
{
	uint64_t now_ms = loop_now_ms(listener->control->loop);

	if (listener->budget_ms != now_ms) {
		listener->budget_ms = now_ms;
		listener->budget = listener->read_only ? SLICE_BUDGET / 2 :
							 SLICE_BUDGET;
	}
	return &listener->budget;
}

/* The next piece of what is in progress: 1, 0 or -ENOMEM (dump.h, why.h). */
static int slice(struct control_client *client, const struct gateway *gateway)
{
	uint32_t *budget = refresh_budget(client->listener);
	const struct dump_source source = {
		.nat = gateway_nat(gateway),
		.config = gateway_config(gateway),
		.now_ms = gateway_now_ms(gateway),
	};

	if (client->why)
		return why_slice(client->why, gateway, budget, &client->out);
	return dump_slice(client->dump, &source, budget, SLICE_BYTES,
			  &client->out);
}

/* Makes the next piece of an answer once the last one is sent. 0 or -errno. */
static int produce(struct control_client *client)
{
	struct control *control = client->listener->control;
	int more;

	if ((!client->dump && !client->why) || buffer_length(&client->out))
		return 0;
	if (!control->gateway) /* it stopped in the midst of a dump */
		return -ECONNRESET;
	more = slice(client, control->gateway);
	if (more <= 0) {
		dump_free(client->dump);
		client->dump = NULL;
		why_free(client->why);
		client->why = NULL;
	}
	return more < 0 ? more : 0;
}

/* Sends what the socket takes. 0 or -errno; a full socket is no error. */
static int flush(struct control_client *client)
{
	size_t length = buffer_length(&client->out);
	ssize_t sent;

	if (!length)
		return 0;
	sent = send(client->watch.fd, client->out.data + client->out.start,
		    length, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	buffer_consume(&client->out, (size_t)sent);
	client->active_ms = loop_now_ms(client->listener->control->loop);
	return 0;
}

static bool line_waits(const struct control_client *client)
{
	return memchr(client->in, '\n', client->in_length);
}

/* 1 or -errno. */
static int refuse_and_close(struct control_client *client,
			    enum control_refusal refusal)
{
	int err = control_refuse(client, control_refusal_message(refusal));

	client->closing = true;
	client->in_length = 0;
	return err ? err : 1;
}

/* Takes the first line out of in and runs it. 1: a line was answered, 0: none
 * is complete yet, or -errno. */
static int next_line(struct control_client *client)
{
	char *end = memchr(client->in, '\n', client->in_length);
	enum control_refusal refusal;
	size_t length;
	int err;

	if (!end) {
		if (client->in_length < sizeof(client->in))
			return 0;
		return refuse_and_close(client, control_too_long(client));
	}
	refusal = control_may_ask(client);
	if (refusal != CONTROL_ALLOWED)
		return refuse_and_close(client, refusal);
	client->listener->asked_ms =
		loop_now_ms(client->listener->control->loop);
	length = (size_t)(end - client->in);
	err = control_verb_run(client, client->in, length);
	client->in_length -= length + 1;
	memmove(client->in, end + 1, client->in_length);
	return err ? err : 1;
}

/* 1: bytes came, 0: nothing for now, or -errno; -ECONNRESET at the end. */
static int receive(struct control_client *client)
{
	ssize_t got = recv(client->watch.fd, client->in + client->in_length,
			   sizeof(client->in) - client->in_length,
			   MSG_DONTWAIT);

	if (got == 0)
		return -ECONNRESET;
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	client->active_ms = loop_now_ms(client->listener->control->loop);
	if (!client->in_length)
		client->began_ms = client->active_ms;
	client->in_length += (size_t)got;
	return 1;
}

bool control_client_answering(const struct control_client *client)
{
	return client->dump || client->why || buffer_length(&client->out);
}

/* Watches for room while answering, for requests else. 0 or -errno. */
static int watch_for(struct control_client *client, bool writing)
{
	if (client->writing == writing)
		return 0;
	client->writing = writing;
	return loop_change(client->listener->control->loop, &client->watch,
			   writing ? EPOLLOUT : EPOLLIN);
}

/* Finds a request to answer. 1: there is one, 0: not yet, or -errno. */
static int begin(struct control_client *client)
{
	const struct control_listener *listener = client->listener;
	int got;

	if (listener->asked_ms == loop_now_ms(listener->control->loop))
		return 0;
	if (line_waits(client))
		return next_line(client);
	got = receive(client);
	return got > 0 ? next_line(client) : got;
}

/* One piece of work in one turn of the loop: the rest waits for the next. */
static int serve(struct control_client *client)
{
	int err = 0;

	if (!control_client_answering(client)) {
		err = begin(client);
		if (err <= 0)
			return err;
		client->began_ms = loop_now_ms(client->listener->control->loop);
	}
	err = produce(client);
	if (!err)
		err = flush(client);
	if (err)
		return err;
	if (client->closing && !control_client_answering(client))
		return -ECONNRESET;
	if (!control_client_answering(client)) /* what came since is new */
		client->began_ms = loop_now_ms(client->listener->control->loop);
	return watch_for(client, control_client_answering(client) ||
					 line_waits(client));
}

static void on_event(struct watch *watch, uint32_t events)
{
	struct control_client *client = (struct control_client *)(void *)watch;
	int err = serve(client);

	(void)events;
	if (err == -ENOMEM)
		client->listener->control->stats.refused[CONTROL_MEMORY]++;
	if (err)
		control_client_close(client);
}

int control_client_add(struct control_listener *listener, int fd, uid_t user)
{
	struct control_client *client = calloc(1, sizeof(*client));
	int err;

	if (!client) {
		close(fd);
		return -ENOMEM;
	}
	client->watch.fd = fd;
	client->watch.handler = on_event;
	client->listener = listener;
	client->user = user;
	client->active_ms = loop_now_ms(listener->control->loop);
	err = loop_add(listener->control->loop, &client->watch, EPOLLIN);
	if (err) {
		close(fd);
		free(client);
		return err;
	}
	client->next = listener->clients;
	listener->clients = client;
	listener->count++;
	return 0;
}
