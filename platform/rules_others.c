/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whether nf_tables holds tables of others, asked of the kernel itself: for where
 * no program can list them, as it may be beside containers and firewalls that
 * bring a library of their own.
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "netlink_sound.h"
#include "rules_text.h"

struct search {
	bool iptables; /* the tables of iptables-nft are known */
	bool found;
};

/* Of iptables-nft. */
static bool is_iptables(const char *name)
{
	static const char *const names[] = { "filter", "mangle", "raw",
					     "security", "nat" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

static int on_table(const struct nlmsghdr *header, void *data)
{
	const struct nfgenmsg *general = mnl_nlmsg_get_payload(header);
	struct search *search = data;
	const struct nlattr *attr;
	const char *name = "";
	bool ip;

	if (mnl_nlmsg_get_payload_len(header) < sizeof(*general))
		return MNL_CB_OK;
	mnl_attr_for_each(attr, header, sizeof(*general))
		if (mnl_attr_get_type(attr) == NFTA_TABLE_NAME &&
		    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
			name = mnl_attr_get_str(attr);
	ip = general->nfgen_family == NFPROTO_IPV4;
	if (!ip && general->nfgen_family != NFPROTO_INET &&
	    general->nfgen_family != NFPROTO_NETDEV)
		return MNL_CB_OK;
	if (ip && (!strcmp(name, "portico") ||
		   (search->iptables && is_iptables(name))))
		return MNL_CB_OK;
	search->found = true;
	return MNL_CB_OK;
}

int rules_others_take(const void *messages, size_t length, uint32_t sequence,
		      unsigned port, bool iptables, bool *found)
{
	struct search search = { .iptables = iptables };
	int result;

	if (!netlink_sound(messages, length))
		return -EBADMSG;
	result =
		mnl_cb_run(messages, length, sequence, port, on_table, &search);
	*found |= search.found;
	return result < 0 ? -errno : result;
}

static int ask(struct mnl_socket *socket)
{
	uint8_t buffer[128] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *general =
		mnl_nlmsg_put_extra_header(header, sizeof(*general));

	header->nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETTABLE;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	header->nlmsg_seq = 1;
	general->nfgen_family = NFPROTO_UNSPEC;
	general->version = NFNETLINK_V0;
	return mnl_socket_sendto(socket, header, header->nlmsg_len) < 0 ?
		       -errno :
		       0;
}

bool rules_others(bool iptables)
{
	uint8_t buffer[8192] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct mnl_socket *socket = rules_netlink();
	bool found = false;
	int result;

	if (!socket)
		return false;
	result = ask(socket) ? 0 : MNL_CB_OK;
	while (result > 0 && !found) {
		ssize_t got =
			mnl_socket_recvfrom(socket, buffer, sizeof(buffer));

		result =
			got < 0 ?
				0 :
				rules_others_take(buffer, (size_t)got, 1,
						  mnl_socket_get_portid(socket),
						  iptables, &found);
	}
	mnl_socket_close(socket);
	return found;
}
