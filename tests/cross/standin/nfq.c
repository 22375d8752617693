/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Stand-in for the half of libnetfilter_queue that platform/ uses, where its
 * source cannot be had; by the names of its own header. As mnl_message.c.
 */
#include <arpa/inet.h>
#include <libmnl/libmnl.h>

#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter/nfnetlink_queue.h>

void nfq_nlmsg_cfg_put_cmd(struct nlmsghdr *nlh, uint16_t pf, uint8_t cmd)
{
	struct nfqnl_msg_config_cmd command = {
		.command = cmd,
		.pf = htons(pf),
	};

	mnl_attr_put(nlh, NFQA_CFG_CMD, sizeof(command), &command);
}

void nfq_nlmsg_cfg_put_params(struct nlmsghdr *nlh, uint8_t mode, int range)
{
	struct nfqnl_msg_config_params params = {
		.copy_range = htonl((uint32_t)range),
		.copy_mode = mode,
	};

	mnl_attr_put(nlh, NFQA_CFG_PARAMS, sizeof(params), &params);
}

void nfq_nlmsg_cfg_put_qmaxlen(struct nlmsghdr *nlh, uint32_t qmaxlen)
{
	mnl_attr_put_u32(nlh, NFQA_CFG_QUEUE_MAXLEN, htonl(qmaxlen));
}

void nfq_nlmsg_verdict_put(struct nlmsghdr *nlh, int id, int verdict)
{
	struct nfqnl_msg_verdict_hdr header = {
		.verdict = htonl((uint32_t)verdict),
		.id = htonl((uint32_t)id),
	};

	mnl_attr_put(nlh, NFQA_VERDICT_HDR, sizeof(header), &header);
}

void nfq_nlmsg_verdict_put_mark(struct nlmsghdr *nlh, uint32_t mark)
{
	mnl_attr_put_u32(nlh, NFQA_MARK, htonl(mark));
}

/* attr[type] for every attribute that is known here. */
int nfq_nlmsg_parse(const struct nlmsghdr *nlh, struct nlattr **attr)
{
	struct nlattr *one;

	mnl_attr_for_each(one, nlh, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(one) <= NFQA_MAX)
			attr[mnl_attr_get_type(one)] = one;
	}
	return MNL_CB_OK;
}
