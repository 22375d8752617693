/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A queue that outlived its process. The kernel ends a queue with the last
 * reference to its socket; while the service manager keeps one, packets are
 * queued on and wait, and the next process goes on with them.
 */
#include "queue_private.h"

#include <errno.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/sockios.h>
#include <libnetfilter_queue/libnetfilter_queue.h>

#include "log.h"

/* --- whose socket it is --------------------------------------------------- */

static bool option_is(int fd, int option, int wanted)
{
	int value = -1;
	socklen_t size = sizeof(value);

	return !getsockopt(fd, SOL_SOCKET, option, &value, &size) &&
	       value == wanted;
}

static bool is_netfilter(int fd)
{
	return option_is(fd, SO_DOMAIN, AF_NETLINK) &&
	       option_is(fd, SO_PROTOCOL, NETLINK_NETFILTER);
}

static bool is_of_our_network(int fd)
{
	struct stat theirs, ours;
	int network = ioctl(fd, SIOCGSKNS);
	bool same;

	if (network < 0)
		return false;
	same = !fstat(network, &theirs) && !stat("/proc/self/ns/net", &ours) &&
	       theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
	close(network);
	return same;
}

/* A queue belongs to the socket of one port id. */
static bool has_queue(int fd, uint16_t number)
{
	struct sockaddr_nl address;
	socklen_t length = sizeof(address);
	unsigned queue, port;
	bool found = false;
	char line[128];
	FILE *file;

	if (getsockname(fd, (struct sockaddr *)&address, &length))
		return false;
	file = fopen(QUEUE_PROC_FILE, "re");
	while (file && !found && fgets(line, sizeof(line), file))
		found = sscanf(line, "%u %u", &queue, &port) == 2 &&
			queue == number && port == address.nl_pid;
	if (file)
		fclose(file);
	return found;
}

int queue_sort_sockets(const int fds[], size_t count, uint16_t number,
		       int sorted[QUEUE_LANES])
{
	for (size_t i = 0; i < count; i++)
		if (!is_netfilter(fds[i]))
			return -ENOTSOCK;
	for (int lane = 0; lane < QUEUE_LANES; lane++) {
		size_t i = 0;

		while (i < count && !(is_of_our_network(fds[i]) &&
				      has_queue(fds[i], number + lane)))
			i++;
		if (i == count)
			return -ENOENT;
		sorted[lane] = fds[i];
	}
	return 0;
}

static void unbind(int fd, uint16_t number)
{
	uint32_t room[QUEUE_CONFIG_BYTES / sizeof(uint32_t)];
	struct nlmsghdr *message = queue_config_message(number, room);
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	message->nlmsg_flags = NLM_F_REQUEST;
	nfq_nlmsg_cfg_put_cmd(message, AF_INET, NFQNL_CFG_CMD_UNBIND);
	if (sendto(fd, message, message->nlmsg_len, 0,
		   (const struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		log_warning("queue", "queue %u of an earlier process stays",
			    number);
}

/* The kernel unbinds a queue for its own socket only; for another's number
 * nothing happens. */
void queue_discard(int fd, uint16_t number)
{
	for (int lane = 0; is_netfilter(fd) && lane < QUEUE_LANES; lane++)
		unbind(fd, (uint16_t)(number + lane));
	close(fd);
}

void queue_fds(const struct queue *queue, int fds[QUEUE_LANES])
{
	for (int lane = 0; lane < QUEUE_LANES; lane++)
		fds[lane] = queue->ways[lane].watch.fd;
}

/* --- what nobody will judge ----------------------------------------------- */

/* They come before the first packet that is still in the socket, and have no
 * verdict: the kernel would keep them for ever. (Those with a verdict are gone
 * from its list.) How many they were: what it holds less, but for those that
 * were queued while we asked. */
void queue_drop_orphans(struct queue_way *way, uint32_t first_id)
{
	struct queue *queue = way->queue;
	uint64_t before;
	uint32_t last_id;

	way->resumed = false;
	queue_read_kernel(queue);
	before = way->stats.waiting;
	last_id = way->kernel_last_id;
	way->owed = true;
	way->owed_id = first_id - 1;
	queue_settle(way);
	queue_read_kernel(queue);
	before += way->kernel_last_id - last_id;
	if (before <= way->stats.waiting)
		return;
	queue->stats.orphans += before - way->stats.waiting;
	log_info("queue",
		 "queue %u: %u packets dropped that the last porticod had not "
		 "judged",
		 way->number, (unsigned)(before - way->stats.waiting));
}
