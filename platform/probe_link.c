/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The throw-away network of the kernel path: two pairs of veth devices,
 *
 *     hosts0 ---- inside0 [gateway] uplink0 ---- servers0
 *
 * with the hosts' and servers' ends in one namespace of their own. There they
 * are packet sockets on bare devices, without addresses and without a stack
 * that could answer in place of a probe or forward from one to the other.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "probe.h"

#define BUFFER_BYTES 8192
#define PATIENCE_S 5

enum end { END_GATEWAY, END_FAR };

static const struct link {
	const char *name[2]; /* by end */
	uint8_t mac[2][ETH_ALEN];
	uint32_t addr; /* the gateway's, /24 */
	uint32_t neighbours[2]; /* at the far end; 0: none */
} links[PROBE_SIDES] = {
	[PROBE_INSIDE] = { { PROBE_DEVICE_INSIDE, "hosts0" },
			   { { 2, 0, 0, 0, 0x50, 1 }, { 2, 0, 0, 0, 0x50, 2 } },
			   PROBE_ROUTER,
			   { PROBE_HOST_1, PROBE_HOST_2 } },
	[PROBE_OUTSIDE] = { { PROBE_DEVICE_UPLINK, "servers0" },
			    { { 2, 0, 0, 0, 0x50, 3 },
			      { 2, 0, 0, 0, 0x50, 4 } },
			    PROBE_UPLINK,
			    { PROBE_NEXT_HOP, 0 } },
};

/* --- rtnetlink ------------------------------------------------------------ */

struct talk {
	struct mnl_socket *socket;
	uint32_t sequence;
	char buffer[BUFFER_BYTES];
};

static int talk_open(struct talk *talk)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };

	talk->sequence = 1;
	talk->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!talk->socket)
		return -errno;
	setsockopt(mnl_socket_get_fd(talk->socket), SOL_SOCKET, SO_RCVTIMEO,
		   &patience, sizeof(patience));
	if (mnl_socket_bind(talk->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		int err = -errno;

		mnl_socket_close(talk->socket);
		return err;
	}
	return 0;
}

static struct nlmsghdr *begin(struct talk *talk, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(talk->buffer);

	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	message->nlmsg_seq = talk->sequence;
	return message;
}

/* Sends and waits for the kernel's word. 0 or -errno. */
static int finish(struct talk *talk, const struct nlmsghdr *message)
{
	unsigned port = mnl_socket_get_portid(talk->socket);
	ssize_t got;

	if (mnl_socket_sendto(talk->socket, message, message->nlmsg_len) < 0)
		return -errno;
	got = mnl_socket_recvfrom(talk->socket, talk->buffer,
				  sizeof(talk->buffer));
	if (got < 0)
		return -errno;
	if (mnl_cb_run(talk->buffer, (size_t)got, talk->sequence++, port, NULL,
		       NULL) < 0)
		return -errno;
	return 0;
}

static int make_pair(struct talk *talk, const struct link *link, int ends)
{
	const uint16_t flags = NLM_F_CREATE | NLM_F_EXCL;
	struct nlmsghdr *message = begin(talk, RTM_NEWLINK, flags);
	struct nlattr *info, *data, *peer;

	mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(message, IFLA_IFNAME, link->name[END_GATEWAY]);
	mnl_attr_put(message, IFLA_ADDRESS, ETH_ALEN, link->mac[END_GATEWAY]);
	info = mnl_attr_nest_start(message, IFLA_LINKINFO);
	mnl_attr_put_strz(message, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(message, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(message, IFLA_IFNAME, link->name[END_FAR]);
	mnl_attr_put(message, IFLA_ADDRESS, ETH_ALEN, link->mac[END_FAR]);
	mnl_attr_put_u32(message, IFLA_NET_NS_FD, (uint32_t)ends);
	mnl_attr_nest_end(message, peer);
	mnl_attr_nest_end(message, data);
	mnl_attr_nest_end(message, info);
	return finish(talk, message);
}

static int set_up(struct talk *talk, const char *name)
{
	struct nlmsghdr *message = begin(talk, RTM_NEWLINK, 0);
	struct ifinfomsg *info =
		mnl_nlmsg_put_extra_header(message, sizeof(*info));

	info->ifi_index = (int)if_nametoindex(name);
	info->ifi_flags = IFF_UP;
	info->ifi_change = IFF_UP;
	return finish(talk, message);
}

static int add_address(struct talk *talk, const char *name, uint32_t addr)
{
	struct nlmsghdr *message =
		begin(talk, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
	struct ifaddrmsg *info =
		mnl_nlmsg_put_extra_header(message, sizeof(*info));

	info->ifa_family = AF_INET;
	info->ifa_prefixlen = 24;
	info->ifa_scope = RT_SCOPE_UNIVERSE;
	info->ifa_index = if_nametoindex(name);
	mnl_attr_put_u32(message, IFA_LOCAL, htonl(addr));
	mnl_attr_put_u32(message, IFA_ADDRESS, htonl(addr));
	return finish(talk, message);
}

static int add_default_route(struct talk *talk)
{
	struct nlmsghdr *message =
		begin(talk, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
	struct rtmsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));

	info->rtm_family = AF_INET;
	info->rtm_table = RT_TABLE_MAIN;
	info->rtm_protocol = RTPROT_STATIC;
	info->rtm_scope = RT_SCOPE_UNIVERSE;
	info->rtm_type = RTN_UNICAST;
	mnl_attr_put_u32(message, RTA_GATEWAY, htonl(PROBE_NEXT_HOP));
	return finish(talk, message);
}

/* Nobody at the far end answers ARP. */
static int add_neighbour(struct talk *talk, const struct link *link,
			 uint32_t addr)
{
	struct nlmsghdr *message =
		begin(talk, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
	struct ndmsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));

	info->ndm_family = AF_INET;
	info->ndm_ifindex = (int)if_nametoindex(link->name[END_GATEWAY]);
	info->ndm_state = NUD_PERMANENT;
	mnl_attr_put_u32(message, NDA_DST, htonl(addr));
	mnl_attr_put(message, NDA_LLADDR, ETH_ALEN, link->mac[END_FAR]);
	return finish(talk, message);
}

/* --- building -------------------------------------------------------------- */

static int say(char *error, size_t size, const char *what, int err)
{
	if (err)
		snprintf(error, size, "%s: %s", what, strerror(-err));
	return err;
}

static int build_link(struct talk *talk, const struct link *link)
{
	const char *name = link->name[END_GATEWAY];
	int err = set_up(talk, name);

	if (!err)
		err = add_address(talk, name, link->addr);
	for (int i = 0; !err && i < 2; i++)
		if (link->neighbours[i])
			err = add_neighbour(talk, link, link->neighbours[i]);
	return err;
}

static int build_all(struct talk *talk, int ends, char *error, size_t size)
{
	int err = 0;

	for (int side = 0; !err && side < PROBE_SIDES; side++)
		err = say(error, size, "no veth devices",
			  make_pair(talk, &links[side], ends));
	if (err)
		return err;
	err = set_up(talk, "lo");
	for (int side = 0; !err && side < PROBE_SIDES; side++)
		err = build_link(talk, &links[side]);
	if (!err)
		err = add_default_route(talk);
	return say(error, size, "no throw-away network", err);
}

int probe_link_build(int ends, char *error, size_t size)
{
	struct talk talk;
	int err = talk_open(&talk);

	if (err)
		return say(error, size, "rtnetlink", err);
	err = build_all(&talk, ends, error, size);
	mnl_socket_close(talk.socket);
	return err;
}

/* --- the far ends ----------------------------------------------------------- */

/* Whole frames, of IPv4 only, what others send and not what it sends itself. */
static int open_socket(const char *name)
{
	const struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_IP),
		.sll_ifindex = (int)if_nametoindex(name),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err;

	if (fd < 0)
		return -errno;
	if (!bind(fd, (const struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

int probe_link_open(int sockets[PROBE_SIDES], char *error, size_t size)
{
	struct talk talk;
	int err = talk_open(&talk);

	if (err)
		return say(error, size, "rtnetlink", err);
	for (int side = 0; !err && side < PROBE_SIDES; side++) {
		err = set_up(&talk, links[side].name[END_FAR]);
		if (err)
			break;
		sockets[side] = open_socket(links[side].name[END_FAR]);
		if (sockets[side] < 0)
			err = sockets[side];
	}
	mnl_socket_close(talk.socket);
	return say(error, size, "packet sockets", err);
}

int probe_link_send(int socket, enum probe_side side,
		    const struct probe_packet *packet)
{
	struct {
		struct ether_header header;
		uint8_t data[PROBE_PACKET_MAX];
	} frame;
	size_t length = sizeof(frame.header) + packet->length;

	frame.header =
		(struct ether_header){ .ether_type = htons(ETHERTYPE_IP) };
	memcpy(frame.header.ether_dhost, links[side].mac[END_GATEWAY],
	       ETH_ALEN);
	memcpy(frame.header.ether_shost, links[side].mac[END_FAR], ETH_ALEN);
	memcpy(frame.data, packet->data, packet->length);
	return send(socket, &frame, length, 0) < 0 ? -errno : 0;
}

/* A frame may be padded behind the packet. */
bool probe_link_receive(int socket, struct probe_packet *packet)
{
	uint8_t frame[sizeof(struct ether_header) + PROBE_PACKET_MAX];
	ssize_t got;
	size_t length;

	do {
		got = recv(socket, frame, sizeof(frame), 0);
		if (got < 0)
			return false;
	} while ((size_t)got < sizeof(struct ether_header) + 20);
	length = (size_t)got - sizeof(struct ether_header);
	memcpy(packet->data, frame + sizeof(struct ether_header), length);
	packet->length = (uint32_t)(packet->data[2] << 8 | packet->data[3]);
	if (packet->length > length)
		packet->length = (uint32_t)length;
	return true;
}
