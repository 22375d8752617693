/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Answers of the kernel that are not what it usually says.
 */
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "platform/uplink_table.h"
#include "suite.h"

enum { LINKS, ROUTES = 2 };

static struct nlmsghdr *begin_link(void *at)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(at);

	message->nlmsg_type = RTM_NEWLINK;
	mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
	return message;
}

static void check_name(size_t bytes, const char *expected)
{
	static const char name[] = "wan0123456789abcdefgh";
	uint32_t room[64] = { 0 };
	struct nlmsghdr *message = begin_link(room);
	struct uplink_table table = { 0 };

	mnl_attr_put(message, IFLA_IFNAME, bytes, name);
	/* What stands behind it is no part of it. */
	mnl_attr_put_u32(message, IFLA_MTU, 0x41414141);
	CU_ASSERT_TRUE(uplink_table_take(&table, LINKS, room,
					 message->nlmsg_len, 0, 0) > 0);
	CU_ASSERT_EQUAL_FATAL(table.link_count, 1);
	CU_ASSERT_STRING_EQUAL(table.links[0].name, expected);
	CU_ASSERT_EQUAL(table.links[0].mtu, 0x41414141);
	uplink_table_free(&table);
}

static void test_name(void)
{
	check_name(4, "wan0"); /* without its end */
	check_name(15, "wan0123456789ab");
	check_name(16, "wan0123456789ab");
	check_name(20, "wan0123456789ab");
	check_name(0, "");
}

/* libmnl alone would not come back. */
static void test_length(void)
{
	static const uint32_t lengths[] = { 0xfffffffd, 0x80000000,
					    0xffffff00 };
	uint32_t room[64] = { 0 };

	for (size_t i = 0; i < 3; i++) {
		struct nlmsghdr *message = begin_link(room);
		struct uplink_table table = { 0 };

		mnl_attr_put_strz(message, IFLA_IFNAME, "wan0");
		room[message->nlmsg_len / 4] = lengths[i];
		CU_ASSERT_EQUAL(uplink_table_take(&table, LINKS, room,
						  sizeof(room), 0, 0),
				-1);
		CU_ASSERT_EQUAL(table.link_count, 0);
		uplink_table_free(&table);
	}
}

/* Its next hop is an object, not shown: it may be the uplink's. */
static void test_hidden_default(void)
{
	for (uint8_t length = 0; length < 2; length++) {
		uint32_t room[64] = { 0 };
		struct nlmsghdr *message = mnl_nlmsg_put_header(room);
		struct uplink_table table = { 0 };
		struct rtmsg *route;

		message->nlmsg_type = RTM_NEWROUTE;
		route = mnl_nlmsg_put_extra_header(message, sizeof(*route));
		*route = (struct rtmsg){ .rtm_family = AF_INET,
					 .rtm_dst_len = length,
					 .rtm_table = RT_TABLE_MAIN,
					 .rtm_type = RTN_UNICAST };
		CU_ASSERT_TRUE(uplink_table_take(&table, ROUTES, room,
						 message->nlmsg_len, 0, 0) > 0);
		CU_ASSERT_EQUAL(table.route_count, 0);
		CU_ASSERT_EQUAL(table.default_hidden, !length);
		uplink_table_free(&table);
	}
}

static const struct test tests[] = {
	{ "a message longer than there can be is refused", test_length },
	{ "a device's name ends where its attribute does", test_name },
	{ "a default route by a next hop object is seen", test_hidden_default },
};

int main(int argc, char **argv)
{
	return suite_run("uplink_table", tests,
			 sizeof(tests) / sizeof(tests[0]), argc, argv);
}
