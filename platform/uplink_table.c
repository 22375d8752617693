/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reads links, addresses, routes and rules with four rtnetlink dumps. A dump
 * during which something changed is marked by the kernel and read again.
 */
#include "uplink_table.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "netlink_sound.h"

/* Dumps tried before giving up while the network keeps changing. */
#define ATTEMPTS 20
#define BUFFER_BYTES 32768

typedef int (*message_fn)(const struct nlmsghdr *message, void *table);

/* An array with room for one element beyond count, all zero, in steps of
 * powers of two: the array itself or its successor. NULL: no memory, the array
 * is as it was. */
static void *make_room(void *array, size_t count, size_t size)
{
	char *grown = array;

	if (!(count & (count - 1))) {
		grown = realloc(array, (count ? count * 2 : 1) * size);
		if (!grown)
			return NULL;
	}
	memset(grown + count * size, 0, size);
	return grown;
}

static void collect(const struct nlmsghdr *message, size_t header,
		    const struct nlattr **found, unsigned max)
{
	const struct nlattr *attr;

	memset(found, 0, (max + 1) * sizeof(*found));
	mnl_attr_for_each(attr, message, (unsigned)header) {
		unsigned type = mnl_attr_get_type(attr);

		if (type <= max)
			found[type] = attr;
	}
}

/* The attribute as a number in the kernel's order, or what is to be assumed
 * where it is missing or too short. */
static uint32_t number(const struct nlattr *attr, uint32_t otherwise)
{
	if (!attr || mnl_attr_get_payload_len(attr) < sizeof(uint32_t))
		return otherwise;
	return mnl_attr_get_u32(attr);
}

static struct nat_prefix prefix_of(const struct nlattr *attr, uint8_t length)
{
	struct nat_prefix prefix = { .length = length > 32 ? 32 : length };
	uint32_t mask = prefix.length ? ~0U << (32 - prefix.length) : 0;

	prefix.addr = ntohl(number(attr, 0)) & mask;
	return prefix;
}

/* At most what there is: nobody promises the '\0'. The rest of name is zero. */
static void copy_name(char name[static IFNAMSIZ], const struct nlattr *attr)
{
	size_t length = mnl_attr_get_payload_len(attr);

	strncpy(name, mnl_attr_get_str(attr),
		length < IFNAMSIZ ? length : IFNAMSIZ - 1);
}

static bool has_carrier(const struct ifinfomsg *info,
			const struct nlattr *carrier)
{
	if (!(info->ifi_flags & IFF_UP))
		return false;
	if (carrier && mnl_attr_get_payload_len(carrier) >= 1)
		return mnl_attr_get_u8(carrier);
	return info->ifi_flags & IFF_RUNNING;
}

static int on_link(const struct nlmsghdr *message, void *data)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr[IFLA_CARRIER + 1];
	struct uplink_table *table = data;
	struct network_device *link;

	if (message->nlmsg_type != RTM_NEWLINK)
		return MNL_CB_OK;
	if (info->ifi_flags & IFF_LOOPBACK) {
		table->loopback = (unsigned)info->ifi_index;
		return MNL_CB_OK;
	}
	collect(message, sizeof(*info), attr, IFLA_CARRIER);
	if (!attr[IFLA_IFNAME])
		return MNL_CB_OK;
	link = make_room(table->links, table->link_count, sizeof(*link));
	if (!link)
		return MNL_CB_ERROR;
	table->links = link;
	link += table->link_count++;
	copy_name(link->name, attr[IFLA_IFNAME]);
	link->index = (unsigned)info->ifi_index;
	link->mtu = number(attr[IFLA_MTU], 0);
	link->up = has_carrier(info, attr[IFLA_CARRIER]);
	return MNL_CB_OK;
}

static int on_addr(const struct nlmsghdr *message, void *data)
{
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr[IFA_FLAGS + 1];
	struct uplink_table *table = data;
	struct uplink_addr *addr;
	uint32_t flags;

	if (message->nlmsg_type != RTM_NEWADDR || info->ifa_family != AF_INET)
		return MNL_CB_OK;
	collect(message, sizeof(*info), attr, IFA_FLAGS);
	addr = make_room(table->addrs, table->addr_count, sizeof(*addr));
	if (!addr)
		return MNL_CB_ERROR;
	table->addrs = addr;
	addr += table->addr_count++;
	/* On point-to-point devices IFA_ADDRESS is the other end. */
	addr->local = ntohl(number(attr[IFA_LOCAL], 0));
	addr->net = prefix_of(attr[IFA_ADDRESS] ? attr[IFA_ADDRESS] :
						  attr[IFA_LOCAL],
			      info->ifa_prefixlen);
	addr->index = info->ifa_index;
	flags = number(attr[IFA_FLAGS], info->ifa_flags);
	addr->secondary = flags & IFA_F_SECONDARY;
	addr->global = info->ifa_scope == RT_SCOPE_UNIVERSE;
	return MNL_CB_OK;
}

static int add_hop(struct uplink_table *table, struct nat_prefix to,
		   uint32_t metric, unsigned index)
{
	struct uplink_route *route;

	route = make_room(table->routes, table->route_count, sizeof(*route));
	if (!route)
		return MNL_CB_ERROR;
	table->routes = route;
	route += table->route_count++;
	route->to = to;
	route->metric = metric;
	route->index = index;
	return MNL_CB_OK;
}

static int add_hops(struct uplink_table *table, struct nat_prefix to,
		    uint32_t metric, const struct nlattr *attr)
{
	const char *at = mnl_attr_get_payload(attr);
	size_t left = mnl_attr_get_payload_len(attr);
	struct rtnexthop hop;

	while (left >= sizeof(hop)) {
		size_t step;

		memcpy(&hop, at, sizeof(hop));
		step = RTNH_ALIGN((size_t)hop.rtnh_len);
		if (hop.rtnh_len < sizeof(hop) || step > left)
			break;
		if (!(hop.rtnh_flags & RTNH_F_DEAD) &&
		    add_hop(table, to, metric, (unsigned)hop.rtnh_ifindex) < 0)
			return MNL_CB_ERROR;
		at += step;
		left -= step;
	}
	return MNL_CB_OK;
}

static int add_local(struct uplink_table *table, struct nat_prefix to)
{
	struct nat_prefix *local;

	local = make_room(table->locals, table->local_count, sizeof(*local));
	if (!local)
		return MNL_CB_ERROR;
	table->locals = local;
	local[table->local_count++] = to;
	return MNL_CB_OK;
}

/* A dead route (its device is down) and one for a type of service decide
 * nothing about ordinary packets. A `throw` route leads to the next table. */
static bool is_wanted(const struct rtmsg *info, uint32_t table)
{
	if (info->rtm_family != AF_INET || info->rtm_tos ||
	    info->rtm_flags & (RTM_F_CLONED | RTNH_F_DEAD))
		return false;
	if (table == RT_TABLE_LOCAL)
		return info->rtm_type == RTN_LOCAL;
	if (table != RT_TABLE_MAIN)
		return false;
	return info->rtm_type == RTN_UNICAST ||
	       info->rtm_type == RTN_BLACKHOLE ||
	       info->rtm_type == RTN_UNREACHABLE ||
	       info->rtm_type == RTN_PROHIBIT;
}

static int on_route(const struct nlmsghdr *message, void *data)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr[RTA_TABLE + 1];
	struct uplink_table *table = data;
	struct nat_prefix to;
	uint32_t metric, from;

	if (message->nlmsg_type != RTM_NEWROUTE)
		return MNL_CB_OK;
	collect(message, sizeof(*info), attr, RTA_TABLE);
	from = number(attr[RTA_TABLE], info->rtm_table);
	if (!is_wanted(info, from))
		return MNL_CB_OK;
	to = prefix_of(attr[RTA_DST], info->rtm_dst_len);
	if (from == RT_TABLE_LOCAL)
		return add_local(table, to);
	metric = number(attr[RTA_PRIORITY], 0);
	if (attr[RTA_MULTIPATH])
		return add_hops(table, to, metric, attr[RTA_MULTIPATH]);
	if (info->rtm_type != RTN_UNICAST)
		return add_hop(table, to, metric, 0);
	if (!attr[RTA_OIF]) {
		/* A next hop object we cannot see into. */
		table->default_hidden |= !to.length;
		return MNL_CB_OK;
	}
	if (add_hop(table, to, metric, number(attr[RTA_OIF], 0)) < 0)
		return MNL_CB_ERROR;
	table->routes[table->route_count - 1].via =
		ntohl(number(attr[RTA_GATEWAY], 0));
	return MNL_CB_OK;
}

/* The three rules every kernel starts with select nothing and look up the
 * tables local, main and default. */
static bool is_standard_rule(const struct fib_rule_hdr *rule,
			     const struct nlattr **attr)
{
	uint32_t table = number(attr[FRA_TABLE], rule->table);

	return rule->action == FR_ACT_TO_TBL && !rule->src_len &&
	       !rule->dst_len && !rule->tos && !attr[FRA_IIFNAME] &&
	       !attr[FRA_OIFNAME] && !attr[FRA_FWMARK] &&
	       !attr[FRA_UID_RANGE] && !attr[FRA_IP_PROTO] &&
	       !attr[FRA_SPORT_RANGE] && !attr[FRA_DPORT_RANGE] &&
	       number(attr[FRA_SUPPRESS_PREFIXLEN], ~0U) == ~0U &&
	       (table == RT_TABLE_LOCAL || table == RT_TABLE_MAIN ||
		table == RT_TABLE_DEFAULT);
}

static int on_rule(const struct nlmsghdr *message, void *data)
{
	const struct fib_rule_hdr *rule = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr[FRA_DPORT_RANGE + 1];
	struct uplink_table *table = data;

	if (message->nlmsg_type != RTM_NEWRULE || rule->family != AF_INET)
		return MNL_CB_OK;
	collect(message, sizeof(*rule), attr, FRA_DPORT_RANGE);
	if (!is_standard_rule(rule, attr))
		table->policy_routing = true;
	return MNL_CB_OK;
}

/* Every header begins with its family in the first byte. */
static const struct dump {
	uint16_t type;
	uint8_t family;
	size_t header;
	message_fn handler;
} dumps[UPLINK_DUMPS] = {
	{ RTM_GETLINK, AF_UNSPEC, sizeof(struct ifinfomsg), on_link },
	{ RTM_GETADDR, AF_INET, sizeof(struct ifaddrmsg), on_addr },
	{ RTM_GETROUTE, AF_INET, sizeof(struct rtmsg), on_route },
	{ RTM_GETRULE, AF_INET, sizeof(struct fib_rule_hdr), on_rule },
};

int uplink_table_take(struct uplink_table *table, unsigned which,
		      const void *bytes, size_t length, uint32_t seq,
		      unsigned port)
{
	errno = EBADMSG;
	if (!netlink_sound(bytes, length))
		return MNL_CB_ERROR;
	errno = ENOMEM; /* what our own handlers fail with */
	return mnl_cb_run(bytes, length, seq, port, dumps[which].handler,
			  table);
}

static int request(struct mnl_socket *socket, const struct dump *dump,
		   uint32_t seq, char *buffer)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	uint8_t *header;

	message->nlmsg_type = dump->type;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	message->nlmsg_seq = seq;
	header = mnl_nlmsg_put_extra_header(message, dump->header);
	*header = dump->family;
	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -errno;
	return 0;
}

static int run_dump(struct mnl_socket *socket, const struct dump *dump,
		    uint32_t seq, char *buffer, struct uplink_table *table)
{
	unsigned port = mnl_socket_get_portid(socket);
	int rc = request(socket, dump, seq, buffer);

	if (rc)
		return rc;
	do {
		ssize_t got = mnl_socket_recvfrom(socket, buffer, BUFFER_BYTES);
		if (got < 0)
			return -errno;
		rc = uplink_table_take(table, (unsigned)(dump - dumps), buffer,
				       (size_t)got, seq, port);
	} while (rc > MNL_CB_STOP);
	if (rc == MNL_CB_STOP)
		return 0;
	/* A kernel without policy routing has no rules to show. */
	if (errno == EOPNOTSUPP && dump->type == RTM_GETRULE)
		return 0;
	return -errno;
}

/* A new socket per attempt: what is left of a broken-off dump dies with it. */
static int read_once(struct uplink_table *table, char *buffer)
{
	struct timeval patience = { .tv_sec = 5 };
	struct mnl_socket *socket;
	int rc = 0;

	socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!socket)
		return -errno;
	setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_RCVTIMEO,
		   &patience, sizeof(patience));
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0)
		rc = -errno;
	for (size_t i = 0; !rc && i < sizeof(dumps) / sizeof(*dumps); i++)
		rc = run_dump(socket, &dumps[i], (uint32_t)i + 1, buffer,
			      table);
	mnl_socket_close(socket);
	return rc;
}

static int compare_routes(const void *left, const void *right)
{
	const struct uplink_route *a = left, *b = right;

	if (a->to.addr != b->to.addr)
		return a->to.addr < b->to.addr ? -1 : 1;
	if (a->to.length != b->to.length)
		return a->to.length < b->to.length ? -1 : 1;
	if (a->metric != b->metric)
		return a->metric < b->metric ? -1 : 1;
	return 0;
}

int uplink_table_read(struct uplink_table *table)
{
	char *buffer = malloc(BUFFER_BYTES);
	int rc = -ENOMEM;

	memset(table, 0, sizeof(*table));
	if (!buffer)
		return rc;
	for (int i = 0; i < ATTEMPTS; i++) {
		rc = read_once(table, buffer);
		if (!rc)
			break;
		uplink_table_free(table);
		if (rc != -EINTR && rc != -EAGAIN)
			break;
	}
	free(buffer);
	if (table->route_count)
		qsort(table->routes, table->route_count, sizeof(*table->routes),
		      compare_routes);
	return rc;
}

void uplink_table_free(struct uplink_table *table)
{
	free(table->links);
	free(table->addrs);
	free(table->routes);
	free(table->locals);
	memset(table, 0, sizeof(*table));
}

const struct network_device *uplink_table_link(const struct uplink_table *table,
					       const char *name)
{
	for (size_t i = 0; i < table->link_count; i++)
		if (!strcmp(table->links[i].name, name))
			return &table->links[i];
	return NULL;
}
