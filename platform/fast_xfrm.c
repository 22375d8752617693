/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Are there IPsec policies? What is carried meets none of them: where there are
 * some, nothing may be carried, or it would leave in clear.
 */
#include "fast_private.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/xfrm.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "netlink_sound.h"

#define PATIENCE_MS 200

int fast_xfrm_open(void)
{
	const struct timeval patience = { .tv_usec = PATIENCE_MS * 1000 };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_XFRM);
	int err;

	/* A kernel without IPsec has no policies. */
	if (fd < 0)
		return errno == EPROTONOSUPPORT ? FAST_XFRM_NONE : -errno;
	if (!setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
			sizeof(patience)))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static int on_info(const struct nlmsghdr *message, void *data)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, message, sizeof(uint32_t)) {
		struct xfrmu_spdinfo info;

		if (mnl_attr_get_type(attr) != XFRMA_SPD_INFO ||
		    mnl_attr_get_payload_len(attr) < sizeof(info))
			continue;
		memcpy(&info, mnl_attr_get_payload(attr), sizeof(info));
		*(int *)data = info.outcnt || info.fwdcnt || info.incnt;
		return MNL_CB_STOP;
	}
	return MNL_CB_ERROR;
}

/* Late answers to earlier questions have another sequence number. */
static int take(int fd, uint32_t sequence)
{
	uint32_t buffer[256];
	int found = -EBADMSG;
	ssize_t got;

	do
		got = recv(fd, buffer, sizeof(buffer), 0);
	while ((got < 0 && errno == EINTR) ||
	       (got >= (ssize_t)sizeof(struct nlmsghdr) &&
		((struct nlmsghdr *)buffer)->nlmsg_seq != sequence));
	if (got < 0)
		return -errno;
	errno = EBADMSG;
	if (!netlink_sound(buffer, (size_t)got) ||
	    mnl_cb_run(buffer, (size_t)got, sequence, 0, on_info, &found) < 0)
		return -errno;
	return found;
}

int fast_xfrm_any(int fd, uint32_t sequence)
{
	struct {
		struct nlmsghdr head;
		uint32_t flags;
	} question = {
		.head = { .nlmsg_len = sizeof(question),
			  .nlmsg_type = XFRM_MSG_GETSPDINFO,
			  .nlmsg_flags = NLM_F_REQUEST,
			  .nlmsg_seq = sequence },
	};

	if (fd == FAST_XFRM_NONE)
		return 0;
	if (send(fd, &question, sizeof(question), 0) < 0)
		return -errno;
	return take(fd, sequence);
}
