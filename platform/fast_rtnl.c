/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the fast path says to rtnetlink: devices, their clsact qdisc, and the
 * filter at our place there, which is known by its preference, handle, kind and
 * name. Bounded in time; makes the calls of sandbox_seccomp.c only.
 */
#include "fast_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "netlink_sound.h"

/* A kernel that does not answer for so long is asked nothing more. */
#define PATIENCE_S 2
#define BUFFER_BYTES 32768
/* A dump that something changes meanwhile is asked for again, so many times. */
#define DUMPS_MAX 4

/* Our place: behind everybody else's filters, who end at the first that says
 * what becomes of a packet. */
#define PREFERENCE 0xbf00U
#define HANDLE 1U
#define KIND "bpf"
#define NAME "portico"

typedef int (*message_fn)(const struct nlmsghdr *message, void *data);

struct fast_rtnl {
	struct mnl_socket *socket;
	uint32_t sequence;
	bool silent; /* an answer did not come in time */
	bool changed; /* what was dumped, while it was */
	/* Of the alignment that a message has. */
	uint32_t buffer[BUFFER_BYTES / sizeof(uint32_t)];
};

/* --- a conversation ------------------------------------------------------- */

int fast_rtnl_open(struct fast_rtnl **made)
{
	struct timeval patience = { .tv_sec = PATIENCE_S };
	struct fast_rtnl *rtnl = calloc(1, sizeof(*rtnl));
	int err = -ENOMEM;

	if (!rtnl)
		return err;
	rtnl->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (rtnl->socket &&
	    !setsockopt(mnl_socket_get_fd(rtnl->socket), SOL_SOCKET,
			SO_RCVTIMEO, &patience, sizeof(patience)) &&
	    mnl_socket_bind(rtnl->socket, 0, MNL_SOCKET_AUTOPID) >= 0) {
		*made = rtnl;
		return 0;
	}
	err = -errno;
	fast_rtnl_close(rtnl);
	return err;
}

void fast_rtnl_close(struct fast_rtnl *rtnl)
{
	if (rtnl->socket)
		mnl_socket_close(rtnl->socket);
	free(rtnl);
}

static struct nlmsghdr *begin(struct fast_rtnl *rtnl, uint16_t type,
			      uint16_t flags)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(rtnl->buffer);

	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | flags;
	message->nlmsg_seq = ++rtnl->sequence;
	return message;
}

/* mnl_cb_run() would leave off at a message that tells of a change, and the rest
 * of the dump would be taken for answers to what is asked next. */
static void note_changes(struct fast_rtnl *rtnl, size_t bytes)
{
	struct nlmsghdr *message = (void *)rtnl->buffer;
	int left = (int)bytes;

	for (; mnl_nlmsg_ok(message, left);
	     message = mnl_nlmsg_next(message, &left)) {
		rtnl->changed |= message->nlmsg_flags & NLM_F_DUMP_INTR;
		message->nlmsg_flags &= (uint16_t)~NLM_F_DUMP_INTR;
	}
}

static int answers(struct fast_rtnl *rtnl, message_fn handler, void *data)
{
	unsigned port = mnl_socket_get_portid(rtnl->socket);
	ssize_t got;
	int rc;

	do {
		do
			got = mnl_socket_recvfrom(rtnl->socket, rtnl->buffer,
						  BUFFER_BYTES);
		while (got < 0 && errno == EINTR);
		if (got < 0)
			return -errno;
		if (!netlink_sound(rtnl->buffer, (size_t)got))
			return -EBADMSG;
		note_changes(rtnl, (size_t)got);
		errno = EPROTO; /* where mnl_cb_run() has no reason */
		rc = mnl_cb_run(rtnl->buffer, (size_t)got, rtnl->sequence, port,
				handler, data);
	} while (rc > MNL_CB_STOP);
	return rc == MNL_CB_STOP ? 0 : -errno;
}

/* Says what begin() began; with an ACK or a dump's end comes 0, else -errno. */
static int ask(struct fast_rtnl *rtnl, struct nlmsghdr *message,
	       message_fn handler, void *data)
{
	int err;

	if (rtnl->silent)
		return -ETIMEDOUT;
	/* Two bits, of which others are used apart as well. */
	if ((message->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
		message->nlmsg_flags |= NLM_F_ACK;
	if (mnl_socket_sendto(rtnl->socket, message, message->nlmsg_len) < 0)
		return -errno;
	err = answers(rtnl, handler, data);
	if (err != -EAGAIN)
		return err;
	rtnl->silent = true;
	return -ETIMEDOUT;
}

/* --- devices -------------------------------------------------------------- */

static int on_link(const struct nlmsghdr *message, void *data)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	struct fast_link *link = data;
	const struct nlattr *attr;

	if (message->nlmsg_type != RTM_NEWLINK ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(*info))
		return MNL_CB_OK;
	link->index = (unsigned)info->ifi_index;
	link->type = info->ifi_type;
	mnl_attr_for_each(attr, message, sizeof(*info)) {
		size_t length = mnl_attr_get_payload_len(attr);

		if (mnl_attr_get_type(attr) != IFLA_IFNAME)
			continue;
		if (length > sizeof(link->name) - 1)
			length = sizeof(link->name) - 1;
		memcpy(link->name, mnl_attr_get_payload(attr), length);
	}
	return MNL_CB_OK;
}

int fast_rtnl_link(struct fast_rtnl *rtnl, unsigned index,
		   struct fast_link *link)
{
	struct nlmsghdr *message = begin(rtnl, RTM_GETLINK, 0);
	struct ifinfomsg *info =
		mnl_nlmsg_put_extra_header(message, sizeof(*info));
	int err;

	memset(link, 0, sizeof(*link));
	info->ifi_family = AF_UNSPEC;
	info->ifi_index = (int)index;
	err = ask(rtnl, message, on_link, link);
	if (!err && link->index != index)
		err = -ENODEV;
	return err;
}

struct indices {
	unsigned *list;
	size_t count;
};

static int on_each_link(const struct nlmsghdr *message, void *data)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	struct indices *indices = data;
	unsigned *list = indices->list;

	if (message->nlmsg_type != RTM_NEWLINK ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(*info))
		return MNL_CB_OK;
	/* In steps of powers of two. */
	if (!(indices->count & (indices->count - 1))) {
		list = realloc(list, (indices->count ? indices->count * 2 : 1) *
					     sizeof(*list));
		if (!list) {
			errno = ENOMEM;
			return MNL_CB_ERROR;
		}
		indices->list = list;
	}
	list[indices->count++] = (unsigned)info->ifi_index;
	return MNL_CB_OK;
}

static int dump_links(struct fast_rtnl *rtnl, struct indices *indices)
{
	struct nlmsghdr *message = begin(rtnl, RTM_GETLINK, NLM_F_DUMP);
	struct ifinfomsg *info =
		mnl_nlmsg_put_extra_header(message, sizeof(*info));

	info->ifi_family = AF_UNSPEC;
	indices->count = 0;
	rtnl->changed = false;
	return ask(rtnl, message, on_each_link, indices);
}

/* Where devices never stop to come and go, what came last is taken. */
int fast_rtnl_links(struct fast_rtnl *rtnl, unsigned **list, size_t *count)
{
	struct indices indices = { NULL, 0 };
	int err = dump_links(rtnl, &indices);

	for (int i = 1; i < DUMPS_MAX && !err && rtnl->changed; i++)
		err = dump_links(rtnl, &indices);
	if (err) {
		free(indices.list);
		return err;
	}
	*list = indices.list;
	*count = indices.count;
	return 0;
}

/* --- qdisc and filter ----------------------------------------------------- */

static struct nlmsghdr *begin_tc(struct fast_rtnl *rtnl, uint16_t type,
				 uint16_t flags, unsigned index,
				 uint32_t parent, uint32_t handle,
				 uint32_t info)
{
	struct nlmsghdr *message = begin(rtnl, type, flags);
	struct tcmsg *tc = mnl_nlmsg_put_extra_header(message, sizeof(*tc));

	tc->tcm_family = AF_UNSPEC;
	tc->tcm_ifindex = (int)index;
	tc->tcm_parent = parent;
	tc->tcm_handle = handle;
	tc->tcm_info = info;
	return message;
}

static int ask_qdisc(struct fast_rtnl *rtnl, uint16_t type, uint16_t flags,
		     unsigned index)
{
	struct nlmsghdr *message = begin_tc(rtnl, type, flags, index,
					    TC_H_CLSACT,
					    TC_H_MAKE(TC_H_CLSACT, 0), 0);

	mnl_attr_put_strz(message, TCA_KIND, "clsact");
	return ask(rtnl, message, NULL, NULL);
}

/* As if to make one, without leave to: a question for one (RTM_GETQDISC) is
 * answered to all who hear of changes. */
int fast_rtnl_find_qdisc(struct fast_rtnl *rtnl, unsigned index)
{
	int err = ask_qdisc(rtnl, RTM_NEWQDISC, NLM_F_EXCL, index);

	return err == -EEXIST ? 0 : err;
}

int fast_rtnl_make_qdisc(struct fast_rtnl *rtnl, unsigned index)
{
	return ask_qdisc(rtnl, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, index);
}

int fast_rtnl_remove_qdisc(struct fast_rtnl *rtnl, unsigned index)
{
	return ask_qdisc(rtnl, RTM_DELQDISC, 0, index);
}

static struct nlmsghdr *begin_filter(struct fast_rtnl *rtnl, uint16_t type,
				     uint16_t flags, unsigned index)
{
	return begin_tc(rtnl, type, flags, index,
			TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS), HANDLE,
			TC_H_MAKE(PREFERENCE << 16, htons(ETH_P_IP)));
}

int fast_rtnl_put(struct fast_rtnl *rtnl, unsigned index, int program)
{
	struct nlmsghdr *message =
		begin_filter(rtnl, RTM_NEWTFILTER, NLM_F_CREATE, index);
	struct nlattr *options;

	mnl_attr_put_strz(message, TCA_KIND, KIND);
	options = mnl_attr_nest_start(message, TCA_OPTIONS);
	mnl_attr_put_u32(message, TCA_BPF_FD, (uint32_t)program);
	mnl_attr_put_strz(message, TCA_BPF_NAME, NAME);
	mnl_attr_put_u32(message, TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
	mnl_attr_nest_end(message, options);
	return ask(rtnl, message, NULL, NULL);
}

int fast_rtnl_remove(struct fast_rtnl *rtnl, unsigned index)
{
	struct nlmsghdr *message = begin_filter(rtnl, RTM_DELTFILTER, 0, index);

	mnl_attr_put_strz(message, TCA_KIND, KIND);
	return ask(rtnl, message, NULL, NULL);
}

static bool is_text(const struct nlattr *attr, const char *text)
{
	return mnl_attr_get_payload_len(attr) == strlen(text) + 1 &&
	       !memcmp(mnl_attr_get_payload(attr), text, strlen(text) + 1);
}

static void read_options(const struct nlattr *options,
			 struct fast_filter *filter)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, options)
	{
		if (mnl_attr_get_type(attr) == TCA_BPF_NAME)
			filter->ours = is_text(attr, NAME);
		else if (mnl_attr_get_type(attr) == TCA_BPF_ID &&
			 mnl_attr_get_payload_len(attr) >= sizeof(uint32_t))
			filter->program = mnl_attr_get_u32(attr);
	}
}

static int on_filter(const struct nlmsghdr *message, void *data)
{
	struct fast_filter *filter = data;
	const struct nlattr *attr;
	bool kind = false;

	if (message->nlmsg_type != RTM_NEWTFILTER)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, message, sizeof(struct tcmsg)) {
		if (mnl_attr_get_type(attr) == TCA_KIND)
			kind = is_text(attr, KIND);
		else if (mnl_attr_get_type(attr) == TCA_OPTIONS)
			read_options(attr, filter);
	}
	filter->ours = filter->ours && kind;
	return MNL_CB_OK;
}

int fast_rtnl_get(struct fast_rtnl *rtnl, unsigned index,
		  struct fast_filter *filter)
{
	int err;

	memset(filter, 0, sizeof(*filter));
	err = ask(rtnl, begin_filter(rtnl, RTM_GETTFILTER, 0, index), on_filter,
		  filter);
	/* The first: no qdisc, or none that has filters. */
	return err == -EINVAL || err == -EOPNOTSUPP ? -ENOENT : err;
}

struct tally {
	int index;
	size_t count;
};

static int on_any_filter(const struct nlmsghdr *message, void *data)
{
	const struct tcmsg *tc = mnl_nlmsg_get_payload(message);
	struct tally *tally = data;

	if (message->nlmsg_type == RTM_NEWTFILTER &&
	    mnl_nlmsg_get_payload_len(message) >= sizeof(*tc) &&
	    tc->tcm_ifindex == tally->index)
		tally->count++;
	return MNL_CB_OK;
}

int fast_rtnl_count(struct fast_rtnl *rtnl, unsigned index, size_t *count)
{
	static const uint32_t sides[] = { TC_H_MIN_INGRESS, TC_H_MIN_EGRESS };
	struct tally tally = { .index = (int)index };
	int err = 0;

	for (size_t i = 0; !err && i < sizeof(sides) / sizeof(sides[0]); i++)
		err = ask(rtnl,
			  begin_tc(rtnl, RTM_GETTFILTER, NLM_F_DUMP, index,
				   TC_H_MAKE(TC_H_CLSACT, sides[i]), 0, 0),
			  on_any_filter, &tally);
	*count = tally.count;
	return err;
}
