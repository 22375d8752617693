/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the kernel says of links, addresses, routes, rules and sockets, of our
 * own rules, of tunnels, and the lines of /proc/net. An input is byte-order free: it is made into messages of
 * the machine's order here, with lengths that may lie.
 *
 *   which (links, addresses, routes, rules, sockets, lines, chains, answers to
 *   the sign of life, IPsec states, tunnels), then messages:
 *   type (known ones or any), header bytes, attributes (type, length, value),
 *   what is added to the lengths
 */
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <linux/xfrm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "fuzz.h"
#include "platform/doctor.h"
#include "platform/rules_text.h"
#include "platform/sockets.h"
#include "platform/uplink_table.h"

#define ROOM 4096U
#define UPLINK 0xcb007107U

enum { SOCKETS = UPLINK_DUMPS, LINES, CHAINS, SIGNS, STATES, TUNNELS, KINDS };

static const struct {
	uint16_t type;
	uint8_t header; /* bytes */
} kinds[KINDS] = {
	{ RTM_NEWLINK, sizeof(struct ifinfomsg) },
	{ RTM_NEWADDR, sizeof(struct ifaddrmsg) },
	{ RTM_NEWROUTE, sizeof(struct rtmsg) },
	{ RTM_NEWRULE, 12 }, /* struct fib_rule_hdr */
	[SOCKETS] = { 20, sizeof(struct inet_diag_msg) }, /* _BY_FAMILY */
	[CHAINS] = { NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN,
		     sizeof(struct nfgenmsg) },
	[SIGNS] = { NLMSG_ERROR, sizeof(struct nlmsgerr) },
	[STATES] = { XFRM_MSG_NEWSA, sizeof(struct xfrm_usersa_info) },
	[TUNNELS] = { RTM_NEWLINK, sizeof(struct ifinfomsg) },
};

/* Four bytes of the input as a number of the machine, where there are four:
 * most attributes are one. */
static void put_value(uint8_t *at, struct fuzz_bytes value)
{
	uint32_t word;

	if (value.left != sizeof(word)) {
		if (value.left)
			memcpy(at, value.at, value.left);
		return;
	}
	word = fuzz_u32(&value);
	memcpy(at, &word, sizeof(word));
}

static size_t put_attribute(uint8_t *at, struct fuzz_bytes *input)
{
	struct nlattr head = { .nla_type = fuzz_u8(input) };
	struct fuzz_bytes value;
	uint8_t length = fuzz_u8(input);

	value = fuzz_take(input, length % 32U);
	head.nla_len = (uint16_t)(sizeof(head) + value.left);
	put_value(at + sizeof(head), value);
	length /= 32; /* 0..3 are honest */
	if (length > 3)
		head.nla_len = (uint16_t)(head.nla_len + (length - 5) * 3);
	memcpy(at, &head, sizeof(head));
	return MNL_ALIGN(sizeof(head) + value.left);
}

/* A message at `at`; returns its bytes. */
static size_t put_message(uint8_t *at, unsigned which, struct fuzz_bytes *input)
{
	uint8_t how = fuzz_u8(input), attributes = how & 15;
	struct nlmsghdr head = { .nlmsg_type = kinds[which].type,
				 .nlmsg_flags = NLM_F_MULTI };
	struct fuzz_bytes body = fuzz_take(input, kinds[which].header);
	size_t length = sizeof(head) + MNL_ALIGN(kinds[which].header);

	memset(at, 0, ROOM / 2);
	if (body.left)
		memcpy(at + sizeof(head), body.at, body.left);
	while (attributes-- && input->left && length < ROOM / 2 - 64)
		length += put_attribute(at + length, input);
	if ((how & 0x70) == 0x70) /* ERROR, DONE, OVERRUN and others */
		head.nlmsg_type = fuzz_u8(input);
	if ((how & 0x70) == 0x60)
		head.nlmsg_flags = fuzz_u16(input);
	head.nlmsg_len = (uint32_t)length;
	if (how & 0x80)
		head.nlmsg_len = (uint32_t)(length + fuzz_u8(input));
	if (how & 0x80 && fuzz_u8(input) & 1)
		head.nlmsg_len /= 2;
	memcpy(at, &head, sizeof(head));
	return length;
}

/* What was read is used as the daemon does. */
static void use(struct uplink_table *table)
{
	struct network_device inside[2] = { { .name = "lan0" },
					    { .name = "eth1" } };
	struct network_nets behind[2] = { { NULL, 0 }, { NULL, 0 } };
	struct network_state state = { .uplink = { .name = "wan0" },
				       .inside = inside,
				       .behind = behind,
				       .inside_count = 2 };

	if (uplink_state_build(table, 0, 0, &state))
		abort();
	/* Once more: with what is kept of the first time. */
	free(state.inside_nets);
	free(state.away);
	free(state.elsewhere);
	state.away_count = 0;
	if (uplink_state_build(table, 0, 0, &state))
		abort();
	for (size_t i = 0; i < state.inside_net_count; i++)
		if (state.inside_nets[i].length > 32)
			fuzz_expect("a prefix longer than an address");
	if (!uplink_state_equal(&state, &state))
		fuzz_expect("a state differs from itself");
	free(state.inside_nets);
	free(state.away);
	free(state.elsewhere);
	free(behind[0].nets);
	free(behind[1].nets);
}

static void take_look(const uint8_t *message, size_t length)
{
	uint32_t use = UINT32_MAX;
	int result = rules_look_take(message, length, 0, &use);

	/* What is no answer says nothing. */
	if (result && use != UINT32_MAX)
		fuzz_expect("a look that failed has a result");
}

static void take_signs(const uint8_t *message, size_t length)
{
	unsigned acks = 4;
	int result = 0;

	rules_alive_take(message, length, &acks, &result);
	if (acks > 4 || (result && acks == 4))
		fuzz_expect("an answer that was not there");
}

static void take_tunnels(unsigned which, const uint8_t *message, size_t length)
{
	struct doctor_tunnels found = { .esp = false };

	doctor_tunnels_take(message, length,
			    which == STATES ? NETLINK_XFRM : NETLINK_ROUTE, 0,
			    &found);
	if (!memchr(found.gre, '\0', sizeof(found.gre)))
		fuzz_expect("a name without end");
	if (which == STATES ? found.gre[0] : found.esp)
		fuzz_expect("a tunnel of the other kind");
}

static void take(unsigned which, struct uplink_table *table,
		 struct nat_portset *set, const uint8_t *message, size_t length)
{
	switch (which) {
	case SOCKETS:
		sockets_take_diag(UPLINK, set, message, length, 0, 0);
		break;
	case CHAINS:
		take_look(message, length);
		break;
	case SIGNS:
		take_signs(message, length);
		break;
	case STATES:
	case TUNNELS:
		take_tunnels(which, message, length);
		break;
	default:
		uplink_table_take(table, which, message, length, 0, 0);
	}
}

static void take_lines(struct fuzz_bytes input)
{
	struct nat_portset set = { { 0 } };
	char *text = fuzz_text(input), *from = text, *line;

	while ((line = strsep(&from, "\n"))) {
		sockets_take_line(UPLINK, &set, AF_INET, line);
		sockets_take_line(UPLINK, &set, AF_INET6, line);
		fuzz_judged();
	}
	if (nat_portset_has(&set, 0))
		fuzz_expect("port 0 is bound");
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_bytes input = { data, size };
	struct uplink_table table = { 0 };
	struct nat_portset set = { { 0 } };
	uint8_t message[ROOM];
	unsigned which = 0;

	while (input.left) {
		size_t length = 0;
		uint8_t *exact;

		which = fuzz_u8(&input) % KINDS;
		if (which == LINES) {
			take_lines(input);
			break;
		}
		length = put_message(message, which, &input);
		exact = fuzz_copy((struct fuzz_bytes){ message, length });
		take(which, &table, &set, exact, length);
		free(exact);
		fuzz_judged();
	}
	use(&table);
	uplink_table_free(&table);
	if (nat_portset_has(&set, 0))
		fuzz_expect("port 0 is bound");
	return 0;
}
