/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Findings about tunnels that the router itself ends, of protocols that hosts
 * may use as well. Towards a peer that both speak to, what comes with an
 * unknown tag would be given to the host (nat/tagged.c).
 */
#include "doctor.h"

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/xfrm.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "netlink_sound.h"

#define PATIENCE_S 2

static bool has_attribute(const struct nlmsghdr *message, size_t header,
			  unsigned type)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, message, header) {
		if (mnl_attr_get_type(attr) == type)
			return true;
	}
	return false;
}

/* A state of plain ESP over IPv4; inside UDP it is no matter of ours. */
static int on_state(const struct nlmsghdr *message, void *data)
{
	const struct xfrm_usersa_info *state = mnl_nlmsg_get_payload(message);
	struct doctor_tunnels *found = data;

	if (mnl_nlmsg_get_payload_len(message) >= sizeof(*state) &&
	    state->id.proto == NAT_PROTO_ESP && state->family == AF_INET &&
	    !has_attribute(message, sizeof(*state), XFRMA_ENCAP))
		found->esp = true;
	return MNL_CB_OK;
}

/* gre0 and its like come with the module and lead nowhere. */
static bool is_default(const char *name)
{
	return !strcmp(name, "gre0") || !strcmp(name, "gretap0") ||
	       !strcmp(name, "erspan0");
}

/* "" where it has no end. */
static const char *text_of(const struct nlattr *attr)
{
	return mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) ?
		       "" :
		       mnl_attr_get_str(attr);
}

static const char *kind_of(const struct nlattr *info)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, info)
	{
		if (mnl_attr_get_type(attr) == IFLA_INFO_KIND)
			return text_of(attr);
	}
	return "";
}

static int on_link(const struct nlmsghdr *message, void *data)
{
	struct doctor_tunnels *found = data;
	const char *name = "", *kind = "";
	const struct nlattr *attr;

	mnl_attr_for_each(attr, message, sizeof(struct ifinfomsg)) {
		if (mnl_attr_get_type(attr) == IFLA_IFNAME)
			name = text_of(attr);
		if (mnl_attr_get_type(attr) == IFLA_LINKINFO)
			kind = kind_of(attr);
	}
	if ((!strcmp(kind, "gre") || !strcmp(kind, "gretap") ||
	     !strcmp(kind, "erspan")) &&
	    !is_default(name))
		snprintf(found->gre, IFNAMSIZ, "%s", name);
	return MNL_CB_OK;
}

bool doctor_tunnels_take(const void *messages, size_t length, int bus,
			 unsigned port, struct doctor_tunnels *found)
{
	return netlink_sound(messages, length) &&
	       mnl_cb_run(messages, length, 1, port,
			  bus == NETLINK_XFRM ? on_state : on_link,
			  found) > MNL_CB_STOP;
}

/* Dumps all of one type. Where the kernel does not know them there are none. */
static void dump(int bus, uint16_t type, size_t header,
		 struct doctor_tunnels *found)
{
	char buffer[16384] __attribute__((aligned(8)));
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	struct mnl_socket *socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	ssize_t got;

	if (!socket)
		return;
	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	message->nlmsg_seq = 1;
	mnl_nlmsg_put_extra_header(message, header);
	setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_RCVTIMEO,
		   &patience, sizeof(patience));
	if (!mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) &&
	    mnl_socket_sendto(socket, message, message->nlmsg_len) >= 0)
		do
			got = mnl_socket_recvfrom(socket, buffer,
						  sizeof(buffer));
		while (got > 0 &&
		       doctor_tunnels_take(buffer, (size_t)got, bus,
					   mnl_socket_get_portid(socket),
					   found));
	mnl_socket_close(socket);
}

void doctor_tunnels_judge(const struct doctor_context *context,
			  const struct doctor_tunnels *found,
			  struct doctor_report *report)
{
	const bool *untranslated = context->config->nat.untranslated;

	if (found->esp && !untranslated[NAT_PROTO_ESP])
		doctor_add(report, DOCTOR_WARN,
			   "leave \"esp\" out of behaviour.protocols, or give "
			   "hosts UDP encapsulation",
			   "this router ends IPsec itself: a host that speaks "
			   "ESP to the same peer may get what is the router's");
	if (found->gre[0] && !untranslated[NAT_PROTO_GRE])
		doctor_add(report, DOCTOR_WARN,
			   "leave \"gre\" out of behaviour.protocols",
			   "this router ends the GRE tunnel %s itself: a host "
			   "that speaks GRE to the same peer may get what is "
			   "the router's",
			   found->gre);
}

void doctor_tunnels(const struct doctor_context *context,
		    struct doctor_report *report)
{
	struct doctor_tunnels found = { .esp = false };

	dump(NETLINK_XFRM, XFRM_MSG_GETSA, 0, &found);
	dump(NETLINK_ROUTE, RTM_GETLINK, sizeof(struct ifinfomsg), &found);
	doctor_tunnels_judge(context, &found, report);
}
