/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Are there IPsec policies, or is a packet without one to be dropped? What is
 * carried meets none of that: then nothing may be carried, or it would leave in
 * clear.
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

/* What becomes of a packet that no policy is for. */
static int on_default(const struct nlmsghdr *message, void *data)
{
	const struct xfrm_userpolicy_default *policy =
		mnl_nlmsg_get_payload(message);

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*policy))
		return MNL_CB_ERROR;
	*(int *)data = policy->in == XFRM_USERPOLICY_BLOCK ||
		       policy->fwd == XFRM_USERPOLICY_BLOCK ||
		       policy->out == XFRM_USERPOLICY_BLOCK;
	return MNL_CB_STOP;
}

/* Late answers to earlier questions have another sequence number. */
static int take(int fd, uint32_t sequence, mnl_cb_t on_answer)
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
	    mnl_cb_run(buffer, (size_t)got, sequence, 0, on_answer, &found) < 0)
		return -errno;
	return found;
}

static int ask(int fd, uint32_t sequence, uint16_t type, mnl_cb_t on_answer)
{
	/* Of either question; the answer alone says something. */
	struct {
		struct nlmsghdr head;
		uint32_t flags;
	} question = {
		.head = { .nlmsg_len = sizeof(question),
			  .nlmsg_type = type,
			  .nlmsg_flags = NLM_F_REQUEST,
			  .nlmsg_seq = sequence },
	};

	if (send(fd, &question, sizeof(question), 0) < 0)
		return -errno;
	return take(fd, sequence, on_answer);
}

int fast_xfrm_any(int fd, uint32_t sequence)
{
	int found;

	if (fd == FAST_XFRM_NONE)
		return 0;
	found = ask(fd, sequence, XFRM_MSG_GETSPDINFO, on_info);
	if (found)
		return found;
	found = ask(fd, sequence, XFRM_MSG_GETDEFAULT, on_default);
	/* Before Linux 5.15 there is no such thing. */
	return found == -EINVAL ? 0 : found;
}
