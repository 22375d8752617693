/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is read of the netlink messages by which nf_tables tells what was changed
 * in it.
 */
#include "platform/rules_events.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "suite.h"

#define ONE NLMSG_LENGTH(sizeof(struct nfgenmsg))
#define NFTABLES(type) (NFNL_SUBSYS_NFTABLES << 8 | (type))

static struct {
	int kernel, ours;
} pair;

static void open_pair(void)
{
	int fds[2];

	CU_ASSERT_EQUAL_FATAL(
		socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds), 0);
	pair.kernel = fds[0];
	pair.ours = fds[1];
}

static void close_pair(void)
{
	close(pair.kernel);
	close(pair.ours);
}

/* One datagram of messages of these types, the last of them 0. */
static void tell(const uint16_t *types)
{
	uint8_t bytes[8 * NLMSG_ALIGN(ONE)] = { 0 };
	size_t length = 0;

	for (; *types; types++) {
		const struct nlmsghdr header = { .nlmsg_len = ONE,
						 .nlmsg_type = *types };

		memcpy(bytes + length, &header, sizeof(header));
		length += NLMSG_ALIGN(ONE);
	}
	CU_ASSERT_EQUAL(send(pair.kernel, bytes, length, 0), (ssize_t)length);
}

static void expect(bool changed, bool out)
{
	const struct rules_events heard = rules_events_take(pair.ours);

	CU_ASSERT_EQUAL(heard.changed, changed);
	CU_ASSERT_EQUAL(heard.out, out);
}

static void what_is_taken_out(void)
{
	static const uint16_t out[][3] = {
		{ NFTABLES(NFT_MSG_DELTABLE) },
		{ NFTABLES(NFT_MSG_DELCHAIN) },
		{ NFTABLES(NFT_MSG_DELRULE) },
		{ NFTABLES(NFT_MSG_NEWGEN), NFTABLES(NFT_MSG_DELRULE) },
	};

	open_pair();
	expect(false, false);
	for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++) {
		tell(out[i]);
		expect(true, true);
		expect(false, false);
	}
	close_pair();
}

static void what_is_put_in(void)
{
	static const uint16_t in[][3] = {
		{ NFTABLES(NFT_MSG_NEWTABLE) },
		{ NFTABLES(NFT_MSG_NEWCHAIN) },
		{ NFTABLES(NFT_MSG_NEWRULE) },
		{ NFTABLES(NFT_MSG_NEWRULE), NFTABLES(NFT_MSG_NEWGEN) },
	};

	open_pair();
	for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++) {
		tell(in[i]);
		expect(true, false);
		expect(false, false);
	}
	close_pair();
}

static void what_is_not(void)
{
	static const uint16_t others[] = {
		NFTABLES(NFT_MSG_NEWSETELEM),
		NFTABLES(NFT_MSG_DELSETELEM),
		NFTABLES(NFT_MSG_NEWGEN),
		/* Of other subsystems and of netlink itself. */
		NFNL_SUBSYS_CTNETLINK << 8 | NFT_MSG_DELRULE,
		NFT_MSG_DELRULE,
		0,
	};
	static const uint16_t rule[] = { NFTABLES(NFT_MSG_DELRULE), 0 };

	open_pair();
	tell(others);
	expect(false, false);
	tell(others);
	tell(rule);
	tell(others);
	expect(true, true);
	close_pair();
}

/* Cut, longer than we read, or with an impossible length: then we look. */
static void what_cannot_be_read(void)
{
	struct nlmsghdr header = { .nlmsg_len = UINT32_MAX,
				   .nlmsg_type = NFTABLES(NFT_MSG_NEWRULE) };
	uint8_t large[9000] = { 0 };

	open_pair();
	CU_ASSERT_EQUAL(send(pair.kernel, &header, sizeof(header), 0),
			(ssize_t)sizeof(header));
	expect(true, true);
	CU_ASSERT_EQUAL(send(pair.kernel, large, sizeof(large), 0),
			(ssize_t)sizeof(large));
	expect(true, true);
	CU_ASSERT_EQUAL(send(pair.kernel, large, 3, 0), 3);
	expect(false, false);
	close_pair();
}

static const struct test tests[] = {
	{ "tables, chains and rules that are taken out", what_is_taken_out },
	{ "those that are put in or changed", what_is_put_in },
	{ "what else is told is passed over", what_is_not },
	{ "what cannot be read may have been one", what_cannot_be_read },
};

int main(int argc, char **argv)
{
	return suite_run("rules_events", tests, sizeof(tests) / sizeof(*tests),
			 argc, argv);
}
