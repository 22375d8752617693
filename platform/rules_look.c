/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A look at what is in force of ours, cheap enough for every two seconds: no
 * program runs. nf_tables says how often each chain is used (its rules and the
 * jumps to it); the legacy tables are read and counted.
 */
#include "rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "netlink_sound.h"
#include "rules_legacy.h"
#include "rules_text.h"

struct place {
	const char *table, *chain;
};

static const struct place native[RULES_SIGHT_MAX] = {
	{ "portico", "guard" },	  { "portico", "out" },
	{ "portico", "raw_in" },  { "portico", "raw_track" },
	{ "portico", "inbound" }, { "portico", "hairpin" },
	{ "portico", "errors" },  { "portico", "fallback" },
	{ "portico", "mss" },	  { "portico", "outbound" },
};

static const struct place iptables[RULES_SIGHT_MAX] = {
	{ "mangle", "PORTICO-POST" },	 { "raw", "PORTICO-RAW" },
	{ "raw", "PORTICO-INBOUND" },	 { "raw", "PORTICO-HAIRPIN" },
	{ "raw", "PORTICO-OUTBOUND" },	 { "mangle", "PORTICO-ERRORS" },
	{ "mangle", "PORTICO-FORWARD" }, { "mangle", "PORTICO-OUT" },
	{ "raw", "PORTICO-OURS" },	 { "raw", "PORTICO-WITHIN" },
};

/* --- nf_tables ------------------------------------------------------------- */

static int ask(struct mnl_socket *socket, const struct place *place,
	       uint32_t sequence)
{
	uint8_t buffer[512] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *general =
		mnl_nlmsg_put_extra_header(header, sizeof(*general));

	header->nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETCHAIN;
	header->nlmsg_flags = NLM_F_REQUEST;
	header->nlmsg_seq = sequence;
	general->nfgen_family = NFPROTO_IPV4;
	general->version = NFNETLINK_V0;
	mnl_attr_put_strz(header, NFTA_CHAIN_TABLE, place->table);
	mnl_attr_put_strz(header, NFTA_CHAIN_NAME, place->chain);
	return mnl_socket_sendto(socket, header, header->nlmsg_len) < 0 ?
		       -errno :
		       0;
}

/* One answer: 0 with the chain's use, or the kernel's -errno. */
static int answer(const struct nlmsghdr *header, uint32_t *use)
{
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(header);
	const struct nlattr *attr;

	if (header->nlmsg_type == NLMSG_ERROR)
		return mnl_nlmsg_get_payload_len(header) < sizeof(*error) ?
			       -EBADMSG :
			       error->error;
	mnl_attr_for_each(attr, header, sizeof(struct nfgenmsg))
		if (mnl_attr_get_type(attr) == NFTA_CHAIN_USE &&
		    !mnl_attr_validate(attr, MNL_TYPE_U32)) {
			*use = ntohl(mnl_attr_get_u32(attr));
			return 0;
		}
	return -EBADMSG;
}

int rules_look_take(const void *message, size_t length, uint32_t sequence,
		    uint32_t *use)
{
	const struct nlmsghdr *header = message;

	if (!netlink_sound(message, length) ||
	    !mnl_nlmsg_ok(header, (int)length))
		return -EBADMSG;
	return header->nlmsg_seq == sequence ? answer(header, use) : -EAGAIN;
}

static int chain_use(struct mnl_socket *socket, const struct place *place,
		     uint32_t sequence, uint32_t *use)
{
	uint8_t buffer[4096] __attribute__((aligned(NLMSG_ALIGNTO)));
	int result = ask(socket, place, sequence);

	if (result)
		return result;
	do {
		ssize_t got =
			mnl_socket_recvfrom(socket, buffer, sizeof(buffer));

		if (got < 0)
			return -errno;
		result = rules_look_take(buffer, (size_t)got, sequence, use);
	} while (result == -EAGAIN);
	return result;
}

static int look_nft(const struct place places[RULES_SIGHT_MAX],
		    struct rules_sight *sight)
{
	struct mnl_socket *socket = rules_netlink();
	int result = 0;

	if (!socket)
		return -errno;
	for (uint32_t i = 0; i < RULES_SIGHT_MAX && !result; i++) {
		if (!places[i].table)
			break;
		result = chain_use(socket, &places[i], i + 1, &sight->use[i]);
		if (result == -ENOENT)
			result = 0; /* nobody uses it */
	}
	mnl_socket_close(socket);
	return result;
}

bool rules_look_chain(const char *name)
{
	const struct place place = { "portico", name };
	struct mnl_socket *socket = rules_netlink();
	uint32_t use;
	bool there;

	if (!socket)
		return false;
	there = !chain_use(socket, &place, 1, &use);
	mnl_socket_close(socket);
	return there;
}

/* --- legacy ---------------------------------------------------------------- */

static int look_legacy(struct rules_sight *sight)
{
	static const char *const tables[] = { "mangle", "raw" };
	int result = 0;

	for (int i = 0; i < 2 && !result; i++) {
		result = rules_legacy_count(tables[i], &sight->use[2 * i],
					    &sight->use[2 * i + 1]);
		if (result == -ENOENT)
			result = 0;
	}
	return result;
}

void rules_look_prepare(void)
{
	rules_legacy_prepare();
}

int rules_look(enum rules_backend backend, struct rules_sight *sight)
{
	int result;

	memset(sight, 0, sizeof(*sight));
	if (backend == RULES_IPTABLES_LEGACY)
		result = look_legacy(sight);
	else
		result = look_nft(backend == RULES_NFTABLES ? native : iptables,
				  sight);
	/* The guard's chain is the first everywhere. */
	return result ? result : sight->use[0] ? 0 : -ENOENT;
}
