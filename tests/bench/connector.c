/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Opens TCP connections from a host to a server in another network namespace,
 * as fast as they come about. Each is from a port of its own. The server resets
 * it once it has accepted it, so that neither end keeps anything of it; what is
 * counted is what the server accepted. Client and server have a thread each.
 *
 * usage: connector HOST_NETNS HOST SERVER_NETNS SERVER CONNECTIONS
 *                  CLIENT_CPU SERVER_CPU
 * Prints one JSON object: via, an array of ns a connection for every CHUNK of
 * them, and failed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/traffic.h"

#define PORT 9003
#define CHUNK 2000U
#define CONNECTIONS_MAX 60000U
#define AT_ONCE 64
#define BACKLOG 1024
#define QUIET_MS 2000 /* without any event: what is missing has failed */

struct connector {
	struct sockaddr_in client, server;
	int listener, events;
	uint32_t count, started, open, failed;
	int client_cpu, server_cpu;
	uint32_t accepted;
	uint64_t chunk_ns[CONNECTIONS_MAX / CHUNK];
};

static void pin(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET((size_t)cpu, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		die("pinning");
}

static struct sockaddr_in name_of(const char *text, uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(address(text)),
		.sin_port = htons(port),
	};
}

/* --- the server ---------------------------------------------------------- */

static int start_listening(const struct sockaddr_in *name, const char *netns)
{
	int home = netns_go(netns), on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, (const struct sockaddr *)name, sizeof(*name)) ||
	    listen(fd, BACKLOG))
		die("the listener");
	netns_return(home);
	return fd;
}

static void *serve(void *argument)
{
	static const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	struct connector *connector = argument;
	uint64_t start = read_ns(CLOCK_MONOTONIC);

	pin(connector->server_cpu);
	while (connector->accepted < connector->count) {
		int fd = accept4(connector->listener, NULL, NULL, SOCK_CLOEXEC);
		uint64_t now;

		if (fd < 0) /* shut down: the client has given up */
			break;
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(fd);
		if (++connector->accepted % CHUNK)
			continue;
		now = read_ns(CLOCK_MONOTONIC);
		connector->chunk_ns[connector->accepted / CHUNK - 1] =
			now - start;
		start = now;
	}
	return NULL;
}

/* --- the client ---------------------------------------------------------- */

static void open_one(struct connector *connector)
{
	struct epoll_event event = { .events = EPOLLOUT };
	struct sockaddr_in from = connector->client;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	from.sin_port = htons((uint16_t)(FIRST_PORT + connector->started++));
	event.data.fd = fd;
	if (fd < 0 || bind(fd, (const struct sockaddr *)&from, sizeof(from)) ||
	    (connect(fd, (const struct sockaddr *)&connector->server,
		     sizeof(connector->server)) &&
	     errno != EINPROGRESS) ||
	    epoll_ctl(connector->events, EPOLL_CTL_ADD, fd, &event))
		die("a connection");
	connector->open++;
}

/* Waits for the reset, so that the port's socket is gone and nothing lingers
 * on this end either. */
static void see_to(struct connector *connector, const struct epoll_event *event)
{
	struct epoll_event rest = { .events = EPOLLRDHUP };

	rest.data.fd = event->data.fd;
	if (!(event->events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP))) {
		epoll_ctl(connector->events, EPOLL_CTL_MOD, event->data.fd,
			  &rest);
		return;
	}
	close(event->data.fd);
	connector->open--;
}

static void open_all(struct connector *connector)
{
	struct epoll_event events[AT_ONCE];

	while (connector->started < connector->count || connector->open) {
		int count;

		while (connector->open < AT_ONCE &&
		       connector->started < connector->count)
			open_one(connector);
		count = epoll_wait(connector->events, events, AT_ONCE,
				   QUIET_MS);
		if (count <= 0)
			return;
		for (int i = 0; i < count; i++)
			see_to(connector, &events[i]);
	}
}

static void print(const struct connector *connector)
{
	printf("{\"via\": [");
	for (uint32_t i = 0; i < connector->accepted / CHUNK; i++)
		printf("%s%.1f", i ? ", " : "",
		       (double)connector->chunk_ns[i] / CHUNK);
	printf("], \"failed\": %u}\n", connector->count - connector->accepted);
}

int main(int argc, char **argv)
{
	static struct connector connector;
	pthread_t server;

	if (argc != 8) {
		fprintf(stderr, "usage: connector HOST_NETNS HOST SERVER_NETNS "
				"SERVER CONNECTIONS CLIENT_CPU SERVER_CPU\n");
		return 2;
	}
	connector.client = name_of(argv[2], 0);
	connector.server = name_of(argv[4], PORT);
	connector.count = number(argv[5], CONNECTIONS_MAX);
	connector.client_cpu = (int)number(argv[6], CPU_SETSIZE - 1);
	connector.server_cpu = (int)number(argv[7], CPU_SETSIZE - 1);
	connector.listener = start_listening(&connector.server, argv[3]);
	connector.events = epoll_create1(EPOLL_CLOEXEC);
	if (connector.events < 0 ||
	    (errno = pthread_create(&server, NULL, serve, &connector)))
		die("a thread");
	pin(connector.client_cpu);
	netns_go(argv[1]);
	open_all(&connector);
	shutdown(connector.listener, SHUT_RDWR);
	pthread_join(server, NULL);
	print(&connector);
	return 0;
}
