/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The queue's life: its socket, its settings in the kernel, its statistics.
 * What happens to packets is in queue_read.c. Never sets NFQA_CFG_F_FAIL_OPEN:
 * a packet that nobody translated must not pass.
 */
#include "queue_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <libnetfilter_queue/libnetfilter_queue.h>

#include "log.h"

#define PROC_PIECE 1024 /* bytes read at once */
/* What one waiting packet costs in the socket's buffer (skb truesize): a small
 * one, and a GSO super-packet with the pages it shares. */
#define TRUESIZE_SMALL 2304
#define TRUESIZE_GSO (65536 + 2304)
/* The waiting packets may not take more than this part of memory. */
static const uint64_t memory_share[QUEUE_LANES] = {
	[QUEUE_FOLLOWING] = 16,
	[QUEUE_OPENING] = 32,
};
#define SEND_BUFFER (1024 * 1024)
/* netlink refuses a message of more than the send buffer less 32 bytes. */
#define SEND_RESERVE 64

/* --- settings in the kernel ---------------------------------------------- */

struct nlmsghdr *queue_config_message(uint16_t number, void *at)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(at);
	struct nfgenmsg *netfilter;

	message->nlmsg_type = (NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG_CONFIG;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	netfilter = mnl_nlmsg_put_extra_header(message, sizeof(*netfilter));
	netfilter->nfgen_family = AF_UNSPEC;
	netfilter->version = NFNETLINK_V0;
	netfilter->res_id = htons(number);
	return message;
}

static struct nlmsghdr *config_message(const struct queue_way *way, void *at)
{
	return queue_config_message(way->number, at);
}

/* Sends one configuration message and reads its ACK. The kernel answers
 * before sendto() returns, and packets do not come before queue_start(): the
 * first message is the answer. 0 or the kernel's -errno. */
static int config_send(const struct queue_way *way,
		       const struct nlmsghdr *message)
{
	uint32_t room[QUEUE_CONFIG_BYTES];
	struct queue_packet packet;
	ssize_t got;
	int error;

	if (mnl_socket_sendto(way->socket, message, message->nlmsg_len) < 0)
		return -errno;
	got = mnl_socket_recvfrom(way->socket, room, sizeof(room));
	if (got < 0)
		return -errno;
	error = queue_packet_parse(room, (size_t)got, &packet);
	return error == -EALREADY ? 0 : error ? error : -EPROTO;
}

static int command(const struct queue_way *way, uint8_t what)
{
	uint32_t room[QUEUE_CONFIG_BYTES / sizeof(uint32_t)];
	struct nlmsghdr *message = config_message(way, room);

	nfq_nlmsg_cfg_put_cmd(message, AF_INET, what);
	return config_send(way, message);
}

static struct nlmsghdr *flags_message(const struct queue_way *way, void *at)
{
	struct nlmsghdr *message = config_message(way, at);
	uint32_t flags = way->queue->config.gso ? NFQA_CFG_F_GSO : 0;

	nfq_nlmsg_cfg_put_qmaxlen(message, way->queue->config.length);
	mnl_attr_put_u32(message, NFQA_CFG_FLAGS, htonl(flags));
	mnl_attr_put_u32(message, NFQA_CFG_MASK,
			 htonl(NFQA_CFG_F_GSO | NFQA_CFG_F_FAIL_OPEN));
	return message;
}

static int set_flags(const struct queue_way *way)
{
	uint32_t room[QUEUE_CONFIG_BYTES / sizeof(uint32_t)];

	return config_send(way, flags_message(way, room));
}

/* Without ACK, which would come among packets: a failure is told by the
 * reader. */
static int set_flags_later(const struct queue_way *way)
{
	uint32_t room[QUEUE_CONFIG_BYTES / sizeof(uint32_t)];
	struct nlmsghdr *message = flags_message(way, room);

	message->nlmsg_flags = NLM_F_REQUEST;
	return mnl_socket_sendto(way->socket, message, message->nlmsg_len) < 0 ?
		       -errno :
		       0;
}

/* A command without effect tells a missing right or a missing kernel part
 * from a number that is taken: for the latter too, BIND says EPERM. */
static int bind_number(const struct queue_way *way)
{
	int error = command(way, NFQNL_CFG_CMD_PF_BIND);

	if (error == -EINVAL)
		return -EPROTONOSUPPORT;
	if (error)
		return error;
	error = command(way, NFQNL_CFG_CMD_BIND);
	return error == -EPERM ? -EBUSY : error;
}

/* --- the socket ---------------------------------------------------------- */

static int set_buffer(int fd, int force, int plain, uint64_t bytes)
{
	/* The kernel doubles what it is given. */
	int value =
		(int)(bytes / 2 < INT32_MAX / 2 ? bytes / 2 : INT32_MAX / 2);

	if (!setsockopt(fd, SOL_SOCKET, force, &value, sizeof(value)))
		return 0;
	return setsockopt(fd, SOL_SOCKET, plain, &value, sizeof(value)) ?
		       -errno :
		       0;
}

static uint64_t receive_bytes(const struct queue_config *config, uint64_t part)
{
	uint64_t bytes = (uint64_t)config->length *
			 (config->gso ? TRUESIZE_GSO : TRUESIZE_SMALL);
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	uint64_t share;

	if (pages <= 0 || page <= 0)
		return bytes;
	share = (uint64_t)pages * (uint64_t)page / part;
	return bytes < share ? bytes : share;
}

static int set_buffers(const struct queue_way *way)
{
	struct queue *queue = way->queue;
	int fd = mnl_socket_get_fd(way->socket), error, value = 0;
	socklen_t size = sizeof(value);

	error = set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF,
			   receive_bytes(&queue->config,
					 memory_share[way - queue->ways]));
	if (!error)
		error = set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, SEND_BUFFER);
	if (error)
		return error;
	if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, &size))
		return -errno;
	if (value < QUEUE_SLOT_BYTES + SEND_RESERVE)
		return -ENOBUFS;
	queue->out_limit = (size_t)value - SEND_RESERVE;
	return 0;
}

static int set_options(const struct queue_way *way)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	int on = 1;

	/* Lost packets are read from the kernel's counters (queue_stats). */
	if (mnl_socket_setsockopt(way->socket, NETLINK_NO_ENOBUFS, &on,
				  sizeof(on)))
		return -errno;
	/* An error need not bring the whole packet back; old kernels (before
	 * 4.3) do so nevertheless. */
	mnl_socket_setsockopt(way->socket, NETLINK_CAP_ACK, &on, sizeof(on));
	/* Connected to the kernel, nobody else's messages get in. */
	if (connect(mnl_socket_get_fd(way->socket),
		    (const struct sockaddr *)&kernel, sizeof(kernel)))
		return -errno;
	return 0;
}

/* fd: a socket that is bound already, -1: none. */
static int open_socket(struct queue_way *way, int fd)
{
	int error;

	way->socket = fd >= 0 ?
			      mnl_socket_fdopen(fcntl(fd, F_DUPFD_CLOEXEC, 0)) :
			      mnl_socket_open2(NETLINK_NETFILTER,
					       SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (!way->socket)
		return -errno;
	if (fd < 0 && mnl_socket_bind(way->socket, 0, MNL_SOCKET_AUTOPID))
		return -errno;
	error = set_options(way);
	return error ? error : set_buffers(way);
}

static int open_way(struct queue *queue, enum queue_lane lane, int fd)
{
	struct queue_way *way = &queue->ways[lane];
	int error;

	way->queue = queue;
	way->number = (uint16_t)(queue->config.number + lane);
	way->want = queue->config.batch;
	way->resumed = fd >= 0;
	error = open_socket(way, fd);
	if (!error && fd < 0)
		error = bind_number(way);
	if (!error)
		error = fd < 0 ? set_flags(way) : set_flags_later(way);
	if (error)
		return error;
	way->watch.fd = mnl_socket_get_fd(way->socket);
	way->watch.handler = queue_read;
	return 0;
}

/* --- life ---------------------------------------------------------------- */

static int map_slots(struct queue *queue)
{
	void *slots = mmap(NULL, QUEUE_BATCH_MAX * QUEUE_SLOT_BYTES,
			   PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (slots == MAP_FAILED)
		return -errno;
	queue->slots = slots;
	for (size_t i = 0; i < QUEUE_BATCH_MAX; i++) {
		queue->in_bytes[i].iov_base =
			queue->slots + i * QUEUE_SLOT_BYTES + QUEUE_HEADROOM;
		queue->in_bytes[i].iov_len = QUEUE_MESSAGE_BYTES;
		queue->in[i].msg_hdr.msg_iov = &queue->in_bytes[i];
		queue->in[i].msg_hdr.msg_iovlen = 1;
	}
	return 0;
}

static int set_up(struct queue *queue, const int *fds)
{
	int error = map_slots(queue);

	for (int lane = 0; lane < QUEUE_LANES && !error; lane++)
		error = open_way(queue, (enum queue_lane)lane,
				 fds ? fds[lane] : -1);
	if (error)
		return error;
	return queue_output_open(queue);
}

/* fds: bound sockets, one for each lane; NULL: none. */
static struct queue *open_queue(const struct queue_config *config,
				struct nat *nat, const int *fds)
{
	struct queue *queue = calloc(1, sizeof(*queue));
	int error;

	if (!queue)
		return NULL;
	queue->config = *config;
	if (!config->batch || config->batch > QUEUE_BATCH_MAX)
		queue->config.batch = QUEUE_BATCH_MAX;
	queue->nat = nat;
	queue->raw.fd = queue->raw.outside = -1;
	queue->pace.fd = queue->proc = -1;
	queue->roles.mark_shift = config->mark_shift;
	queue->roles.loopback = if_nametoindex("lo");
	error = set_up(queue, fds);
	if (error) {
		queue_close(queue);
		errno = -error;
		return NULL;
	}
	/* Opened now: only root may open it, and root goes later. */
	queue->proc = open(QUEUE_PROC_FILE, O_RDONLY | O_CLOEXEC);
	/* What an earlier process lost is no overload of ours. */
	if (fds)
		queue_tick_from_here(queue);
	return queue;
}

struct queue *queue_open(const struct queue_config *config, struct nat *nat)
{
	return open_queue(config, nat, NULL);
}

struct queue *queue_resume(const struct queue_config *config, struct nat *nat,
			   const int fds[], size_t count)
{
	int sorted[QUEUE_LANES];
	int error = queue_sort_sockets(fds, count, config->number, sorted);

	if (!error)
		return open_queue(config, nat, sorted);
	errno = -error;
	return NULL;
}

void queue_close(struct queue *queue)
{
	if (!queue)
		return;
	for (int lane = 0; queue->loop && lane < QUEUE_LANES; lane++)
		loop_remove(queue->loop, &queue->ways[lane].watch);
	if (queue->loop)
		loop_remove(queue->loop, &queue->pace);
	if (queue->proc >= 0)
		close(queue->proc);
	queue_output_close(queue);
	/* The kernel drops what waits with the socket's last reference. */
	for (int lane = 0; lane < QUEUE_LANES; lane++)
		if (queue->ways[lane].socket)
			mnl_socket_close(queue->ways[lane].socket);
	if (queue->slots)
		munmap(queue->slots, QUEUE_BATCH_MAX * QUEUE_SLOT_BYTES);
	free(queue);
}

/* Without ACK: packets come from here on, and one may be first in the socket.
 * Only a failure is answered, and that before sendto() returns. In the socket of
 * an earlier process what comes first may be an answer to that: there the reader
 * tells of a failure. */
static int copy_packets(const struct queue_way *way)
{
	uint32_t room[QUEUE_CONFIG_BYTES / sizeof(uint32_t)];
	struct nlmsghdr *message = config_message(way, room);
	struct queue_packet packet;
	ssize_t got;
	int error;

	message->nlmsg_flags = NLM_F_REQUEST;
	nfq_nlmsg_cfg_put_params(message, NFQNL_COPY_PACKET, 0xffff);
	if (mnl_socket_sendto(way->socket, message, message->nlmsg_len) < 0)
		return -errno;
	if (way->resumed)
		return 0;
	got = recv(mnl_socket_get_fd(way->socket), room, sizeof(room),
		   MSG_PEEK | MSG_DONTWAIT);
	if (got < 0)
		return errno == EAGAIN ? 0 : -errno;
	error = queue_packet_parse(room, (size_t)got, &packet);
	return error == -EBADMSG ? 0 : error;
}

int queue_start(struct queue *queue, struct loop *loop)
{
	int error = 0;

	if (queue->started)
		return 0;
	queue->loop = loop;
	for (int lane = 0; lane < QUEUE_LANES && !error; lane++) {
		struct queue_way *way = &queue->ways[lane];

		error = copy_packets(way);
		if (!error)
			error = loop_add(loop, &way->watch, EPOLLIN);
	}
	if (!error)
		error = loop_add(loop, &queue->pace, EPOLLIN);
	queue->started = !error;
	return error;
}

void queue_without_gso(struct queue *queue)
{
	int error = 0;

	queue->config.gso = false;
	for (int lane = 0; lane < QUEUE_LANES && !error; lane++)
		error = set_flags_later(&queue->ways[lane]);
	if (error)
		log_error("queue", "segmentation offload stays on: %s",
			  strerror(-error));
	else
		log_warning(
			"queue",
			"UDP packets come here merged, and a kernel before "
			"6.11 damages those that are rewritten: it segments "
			"all packets before they are queued from now on, "
			"which is slower");
}

void queue_set_devices(struct queue *queue, unsigned uplink_index)
{
	queue->roles.uplink = uplink_index;
}

void queue_set_repeat(struct queue *queue, bool repeat)
{
	queue->config.repeat = repeat;
}

/* --- statistics ---------------------------------------------------------- */

/* The kernel counts in 32 bits. */
static void carry(uint64_t *total, uint32_t *last, uint32_t now)
{
	*total += (uint32_t)(now - *last);
	*last = now;
}

/* A line: number, port id, waiting, copy mode, copy range, dropped, dropped at
 * the socket, last id. */
static void take_line(struct queue *queue, const char *line)
{
	unsigned number, waiting, dropped, user_dropped, last_id;

	if (sscanf(line, "%u %*u %u %*u %*u %u %u %u", &number, &waiting,
		   &dropped, &user_dropped, &last_id) != 5)
		return;
	for (int lane = 0; lane < QUEUE_LANES; lane++) {
		struct queue_way *way = &queue->ways[lane];

		if (number != way->number)
			continue;
		way->stats.waiting = waiting;
		way->kernel_last_id = last_id;
		carry(&way->stats.dropped, &way->kernel_dropped, dropped);
		carry(&way->stats.user_dropped, &way->kernel_user_dropped,
		      user_dropped);
	}
}

/* One line per queue of this network namespace; a piece of the file is read up
 * to its last whole line. */
void queue_read_kernel(struct queue *queue)
{
	char text[PROC_PIECE], *line, *end;
	off_t at = 0;
	ssize_t got;

	while ((got = pread(queue->proc, text, sizeof(text) - 1, at)) > 0) {
		text[got] = '\0';
		for (line = text; (end = strchr(line, '\n')); line = end + 1)
			take_line(queue, line);
		if (line == text)
			return;
		at += line - text;
	}
}

void queue_stats(struct queue *queue, struct queue_stats *stats)
{
	queue_read_kernel(queue);
	queue->stats.length = queue->config.length;
	queue->stats.gso = queue->config.gso;
	queue->stats.answers_failed = queue->raw.lost;
	*stats = queue->stats;
	for (int lane = 0; lane < QUEUE_LANES; lane++) {
		stats->lanes[lane] = queue->ways[lane].stats;
		stats->waiting += stats->lanes[lane].waiting;
		stats->dropped += stats->lanes[lane].dropped;
		stats->user_dropped += stats->lanes[lane].user_dropped;
	}
}
