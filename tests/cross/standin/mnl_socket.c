/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Stand-in for libmnl, where its source cannot be had: sockets and the reading
 * of what they bring. As mnl_message.c.
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <stdlib.h>
#include <string.h>

struct mnl_socket {
	int fd;
	struct sockaddr_nl address;
};

struct mnl_socket *mnl_socket_open2(int bus, int flags)
{
	struct mnl_socket *netlink = calloc(1, sizeof(*netlink));

	if (!netlink)
		return NULL;
	netlink->fd = socket(AF_NETLINK, SOCK_RAW | flags, bus);
	if (netlink->fd < 0) {
		free(netlink);
		return NULL;
	}
	return netlink;
}

struct mnl_socket *mnl_socket_open(int bus)
{
	return mnl_socket_open2(bus, 0);
}

struct mnl_socket *mnl_socket_fdopen(int fd)
{
	struct mnl_socket *netlink = calloc(1, sizeof(*netlink));
	socklen_t length = sizeof(netlink->address);

	if (!netlink)
		return NULL;
	netlink->fd = fd;
	if (getsockname(fd, (struct sockaddr *)&netlink->address, &length) <
		    0 ||
	    netlink->address.nl_family != AF_NETLINK)
		memset(&netlink->address, 0, sizeof(netlink->address));
	return netlink;
}

int mnl_socket_bind(struct mnl_socket *nl, unsigned int groups, pid_t pid)
{
	socklen_t length = sizeof(nl->address);

	nl->address = (struct sockaddr_nl){
		.nl_family = AF_NETLINK,
		.nl_groups = groups,
		.nl_pid = (uint32_t)pid,
	};
	if (bind(nl->fd, (struct sockaddr *)&nl->address, length) < 0)
		return -1;
	return getsockname(nl->fd, (struct sockaddr *)&nl->address, &length);
}

int mnl_socket_close(struct mnl_socket *nl)
{
	int result = close(nl->fd);

	free(nl);
	return result;
}

int mnl_socket_get_fd(const struct mnl_socket *nl)
{
	return nl->fd;
}

unsigned int mnl_socket_get_portid(const struct mnl_socket *nl)
{
	return nl->address.nl_pid;
}

ssize_t mnl_socket_sendto(const struct mnl_socket *nl, const void *req,
			  size_t siz)
{
	static const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	return sendto(nl->fd, req, siz, 0, (const struct sockaddr *)&kernel,
		      sizeof(kernel));
}

/* One datagram, from the kernel and whole, or an error. */
ssize_t mnl_socket_recvfrom(const struct mnl_socket *nl, void *buf, size_t siz)
{
	struct sockaddr_nl from;
	struct iovec part = { .iov_base = buf, .iov_len = siz };
	struct msghdr message = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &part,
		.msg_iovlen = 1,
	};
	ssize_t length = recvmsg(nl->fd, &message, 0);

	if (length < 0)
		return -1;
	if (message.msg_flags & MSG_TRUNC) {
		errno = ENOSPC;
		return -1;
	}
	if (message.msg_namelen != sizeof(from)) {
		errno = EINVAL;
		return -1;
	}
	return length;
}

int mnl_socket_setsockopt(const struct mnl_socket *nl, int type, void *buf,
			  socklen_t len)
{
	return setsockopt(nl->fd, SOL_NETLINK, type, buf, len);
}

/* --- reading -------------------------------------------------------------- */

/* NLMSG_ERROR: an error, or the acknowledgement that ends the reading. */
static int judge_error(const struct nlmsghdr *message)
{
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(message);

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*error)) {
		errno = EBADMSG;
		return MNL_CB_ERROR;
	}
	errno = error->error < 0 ? -error->error : error->error;
	return error->error ? MNL_CB_ERROR : MNL_CB_STOP;
}

static int take(const struct nlmsghdr *message, mnl_cb_t call, void *data)
{
	if (message->nlmsg_flags & NLM_F_DUMP_INTR) {
		errno = EINTR;
		return MNL_CB_ERROR;
	}
	if (message->nlmsg_type >= NLMSG_MIN_TYPE)
		return call ? call(message, data) : MNL_CB_OK;
	if (message->nlmsg_type == NLMSG_ERROR)
		return judge_error(message);
	return message->nlmsg_type == NLMSG_DONE ? MNL_CB_STOP : MNL_CB_OK;
}

static int unexpected(const struct nlmsghdr *message, unsigned seq,
		      unsigned portid)
{
	if (portid && message->nlmsg_pid && message->nlmsg_pid != portid)
		return ESRCH;
	if (seq && message->nlmsg_seq && message->nlmsg_seq != seq)
		return EPROTO;
	return 0;
}

int mnl_cb_run(const void *buf, size_t numbytes, unsigned int seq,
	       unsigned int portid, mnl_cb_t cb_data, void *data)
{
	const struct nlmsghdr *message = buf;
	int left = (int)numbytes, result = MNL_CB_OK, error;

	while (result > MNL_CB_STOP && mnl_nlmsg_ok(message, left)) {
		error = unexpected(message, seq, portid);
		if (error) {
			errno = error;
			return -1;
		}
		result = take(message, cb_data, data);
		message = mnl_nlmsg_next(message, &left);
	}
	return result;
}
