/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The network monitor: rtnetlink says that something changed, the tables say
 * what (uplink_table.h says why it is read anew each time). Notifications are
 * only counted as a reason to look; losing some of them (ENOBUFS) is one too.
 */
#include "uplink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "log.h"
#include "uplink_table.h"

#define GROUPS \
	(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | \
	 RTMGRP_IPV4_RULE)

/* Notifications drained per wake-up; epoll brings back what is left. */
#define DRAIN_MAX 1024

struct network {
	struct watch watch; /* first: the handler gets its address */
	struct loop *loop;
	struct mnl_socket *socket;
	uint32_t fixed_addr;
	uint32_t known_addr; /* the last one in use */
	void (*changed)(void *context);
	void *context;
	bool unread; /* the last change could not be read */
	bool without_own; /* network_without_own() */
	struct network_state state;
};

static void state_clear(struct network_state *state)
{
	for (size_t i = 0; state->behind && i < state->inside_count; i++)
		free(state->behind[i].nets);
	free(state->behind);
	free(state->inside);
	free(state->inside_nets);
	free(state->away);
	free(state->elsewhere);
	memset(state, 0, sizeof(*state));
}

/* A state of the same devices, with what is kept of the last one. */
static int state_like(const struct network_state *model,
		      struct network_state *state)
{
	size_t count = model->inside_count;

	memset(state, 0, sizeof(*state));
	state->uplink = model->uplink;
	state->uplink_last = model->uplink_last;
	state->inside = calloc(count + 1, sizeof(*state->inside));
	state->behind = calloc(count + 1, sizeof(*state->behind));
	if (!state->inside || !state->behind)
		return -ENOMEM;
	state->inside_count = count;
	memcpy(state->inside, model->inside, count * sizeof(*state->inside));
	for (size_t i = 0; i < count; i++) {
		const struct network_nets *from = &model->behind[i];

		if (!from->count)
			continue;
		state->behind[i].nets =
			malloc(from->count * sizeof(*from->nets));
		if (!state->behind[i].nets)
			return -ENOMEM;
		memcpy(state->behind[i].nets, from->nets,
		       from->count * sizeof(*from->nets));
		state->behind[i].count = from->count;
	}
	return 0;
}

/* Reads everything again. 1: the state is another one now, 0: the same,
 * -errno: could not read, the state is kept. */
static int refresh(struct network *network)
{
	struct network_state state;
	struct uplink_table table = { 0 };
	int rc = state_like(&network->state, &state);

	if (!rc)
		rc = uplink_table_read(&table);
	if (network->without_own)
		table.local_count = 0;
	if (!rc)
		rc = uplink_state_build(&table, network->fixed_addr,
					network->known_addr, &state);
	uplink_table_free(&table);
	if (rc) {
		state_clear(&state);
		return rc;
	}
	rc = !uplink_state_equal(&network->state, &state);
	state_clear(&network->state);
	network->state = state;
	if (state.uplink_addr)
		network->known_addr = state.uplink_addr;
	return rc;
}

static void drain(int fd)
{
	char byte;

	for (int i = 0; i < DRAIN_MAX; i++)
		if (recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno != ENOBUFS &&
		    errno != EINTR)
			return;
}

static void follow(struct network *network)
{
	int rc = refresh(network);

	if (rc < 0 && !network->unread)
		log_warning("uplink",
			    "cannot read the network's state: %s; going on "
			    "with what was known, and trying again",
			    strerror(-rc));
	network->unread = rc < 0;
	if (rc > 0)
		network->changed(network->context); /* may free network */
}

static void on_notification(struct watch *watch, uint32_t events)
{
	(void)events;
	drain(watch->fd);
	follow((void *)watch);
}

void network_retry(struct network *network)
{
	if (network->unread)
		follow(network);
}

static int open_monitor(struct network *network)
{
	int rc;

	network->socket =
		mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!network->socket)
		return -errno;
	if (mnl_socket_bind(network->socket, GROUPS, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	/* Listening first, then reading: nothing falls in between. */
	rc = refresh(network);
	if (rc < 0)
		return rc;
	network->watch.fd = mnl_socket_get_fd(network->socket);
	network->watch.handler = on_notification;
	return loop_add(network->loop, &network->watch, EPOLLIN);
}

static int set_names(struct network_state *state, const char *uplink,
		     const char (*inside)[IFNAMSIZ], size_t inside_count)
{
	state->inside = calloc(inside_count + 1, sizeof(*state->inside));
	state->behind = calloc(inside_count + 1, sizeof(*state->behind));
	if (!state->inside || !state->behind)
		return -ENOMEM;
	state->inside_count = inside_count;
	strncpy(state->uplink.name, uplink, IFNAMSIZ - 1);
	for (size_t i = 0; i < inside_count; i++)
		strncpy(state->inside[i].name, inside[i], IFNAMSIZ - 1);
	return 0;
}

struct network *network_open(struct loop *loop, const char *uplink,
			     const char (*inside)[IFNAMSIZ],
			     size_t inside_count, uint32_t fixed_addr,
			     uint32_t known_addr,
			     void (*changed)(void *context), void *context)
{
	struct network *network = calloc(1, sizeof(*network));
	int rc;

	if (!network)
		return NULL;
	network->loop = loop;
	network->fixed_addr = fixed_addr;
	network->known_addr = known_addr;
	network->changed = changed;
	network->context = context;
	network->watch.fd = -1;
	rc = set_names(&network->state, uplink, inside, inside_count);
	if (!rc)
		rc = open_monitor(network);
	if (rc) {
		network_close(network);
		errno = -rc;
		return NULL;
	}
	return network;
}

void network_close(struct network *network)
{
	if (!network)
		return;
	if (network->watch.fd >= 0)
		loop_remove(network->loop, &network->watch);
	if (network->socket)
		mnl_socket_close(network->socket);
	state_clear(&network->state);
	free(network);
}

int network_remember(struct network *network, const struct nat_prefix *nets,
		     size_t count)
{
	struct network_state *state = &network->state;
	int rc;

	for (size_t i = 0; i < state->inside_count; i++) {
		struct network_nets *behind = &state->behind[i];

		if (behind->count)
			continue;
		free(behind->nets);
		behind->nets = calloc(count + 1, sizeof(*nets));
		if (!behind->nets)
			return -ENOMEM;
		for (size_t j = 0; j < count; j++)
			if (!uplink_state_inside(state, &nets[j]))
				behind->nets[behind->count++] = nets[j];
	}
	rc = refresh(network);
	return rc < 0 ? rc : 0;
}

void network_without_own(struct network *network)
{
	network->without_own = true;
	network->unread |= refresh(network) < 0;
}

const struct network_state *network_state(const struct network *network)
{
	return &network->state;
}
