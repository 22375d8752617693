/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The sign of life: refreshes the timed elements of the set `alive` by netlink
 * (a program every two seconds would be felt on a small router). The element is
 * deleted and added in one transaction, because an add alone does not extend
 * one that is there; where it has run out already, the add alone does it.
 */
#include "rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/time.h>

#include "netlink_sound.h"
#include "rules_text.h"

#define TIMEOUT_MS 500

struct batch {
	uint8_t bytes[1024];
	struct mnl_nlmsg_batch *messages;
	uint32_t sequence;
	unsigned acks; /* asked for */
};

static void *batch_next(struct batch *batch)
{
	mnl_nlmsg_batch_next(batch->messages);
	return mnl_nlmsg_batch_current(batch->messages);
}

static struct nlmsghdr *put_header(struct batch *batch, uint16_t type,
				   uint16_t flags, uint8_t family,
				   uint16_t resource)
{
	struct nlmsghdr *header =
		mnl_nlmsg_put_header(mnl_nlmsg_batch_current(batch->messages));
	struct nfgenmsg *general =
		mnl_nlmsg_put_extra_header(header, sizeof(*general));

	header->nlmsg_type = type;
	header->nlmsg_flags = NLM_F_REQUEST | flags;
	header->nlmsg_seq = batch->sequence++;
	general->nfgen_family = family;
	general->version = NFNETLINK_V0;
	general->res_id = htons(resource);
	return header;
}

static void put_mark(struct batch *batch, uint16_t type)
{
	put_header(batch, type, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	batch_next(batch);
}

/* The key of type ifname: the name in 16 bytes. */
static void put_key(struct nlmsghdr *header, const char *device)
{
	char name[IFNAMSIZ] = "";
	struct nlattr *key;

	strncpy(name, device, IFNAMSIZ - 1);
	key = mnl_attr_nest_start(header, NFTA_SET_ELEM_KEY);
	mnl_attr_put(header, NFTA_DATA_VALUE, sizeof(name), name);
	mnl_attr_nest_end(header, key);
}

static void put_element(struct batch *batch, uint16_t type, uint16_t flags,
			const char *device)
{
	const uint64_t timeout_ms = RULES_ALIVE_S * 1000;
	struct nlattr *list, *element;
	struct nlmsghdr *header;
	uint32_t big_endian[2] = { htonl((uint32_t)(timeout_ms >> 32)),
				   htonl((uint32_t)timeout_ms) };

	header = put_header(batch, (NFNL_SUBSYS_NFTABLES << 8) | type,
			    NLM_F_ACK | flags, NFPROTO_IPV4, 0);
	mnl_attr_put_strz(header, NFTA_SET_ELEM_LIST_TABLE, "portico");
	mnl_attr_put_strz(header, NFTA_SET_ELEM_LIST_SET, "alive");
	list = mnl_attr_nest_start(header, NFTA_SET_ELEM_LIST_ELEMENTS);
	element = mnl_attr_nest_start(header, NFTA_LIST_ELEM);
	put_key(header, device);
	if (type == NFT_MSG_NEWSETELEM)
		mnl_attr_put(header, NFTA_SET_ELEM_TIMEOUT, sizeof(big_endian),
			     big_endian);
	mnl_attr_nest_end(header, element);
	mnl_attr_nest_end(header, list);
	batch->acks++;
	batch_next(batch);
}

static void batch_fill(struct batch *batch, const char *device, bool replace)
{
	batch->messages =
		mnl_nlmsg_batch_start(batch->bytes, sizeof(batch->bytes) / 2);
	put_mark(batch, NFNL_MSG_BATCH_BEGIN);
	if (replace)
		put_element(batch, NFT_MSG_DELSETELEM, 0, device);
	put_element(batch, NFT_MSG_NEWSETELEM, NLM_F_CREATE, device);
	put_mark(batch, NFNL_MSG_BATCH_END);
}

/* The error of one answer: 0 for an ACK. */
static int answer_error(const struct nlmsghdr *header)
{
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(header);

	if (header->nlmsg_type != NLMSG_ERROR ||
	    mnl_nlmsg_get_payload_len(header) < sizeof(*error))
		return 0;
	return error->error;
}

void rules_alive_take(const void *messages, size_t length, unsigned *acks,
		      int *result)
{
	const struct nlmsghdr *header = messages;
	int left = netlink_sound(messages, length) ? (int)length : 0;

	for (; *acks && mnl_nlmsg_ok(header, left);
	     header = mnl_nlmsg_next(header, &left), --*acks)
		if (!*result)
			*result = answer_error(header);
}

/* Takes the answers to all messages; the first error counts. */
static int collect(struct mnl_socket *socket, unsigned acks)
{
	uint8_t buffer[4096] __attribute__((aligned(NLMSG_ALIGNTO)));
	int result = 0;

	while (acks) {
		ssize_t got =
			mnl_socket_recvfrom(socket, buffer, sizeof(buffer));

		if (got < 0)
			return errno == EAGAIN && result ? result : -errno;
		rules_alive_take(buffer, (size_t)got, &acks, &result);
		if (result == -EPERM)
			return result; /* refused as a whole: one answer */
	}
	return result;
}

static int refresh(struct mnl_socket *socket, const char *device,
		   uint32_t sequence, bool replace)
{
	struct batch batch = { .sequence = sequence };
	int result = 0;

	batch_fill(&batch, device, replace);
	if (mnl_socket_sendto(socket, mnl_nlmsg_batch_head(batch.messages),
			      mnl_nlmsg_batch_size(batch.messages)) < 0)
		result = -errno;
	mnl_nlmsg_batch_stop(batch.messages);
	return result ? result : collect(socket, batch.acks);
}

struct mnl_socket *rules_netlink(void)
{
	const struct timeval timeout = { .tv_usec = TIMEOUT_MS * 1000 };
	struct mnl_socket *socket =
		mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);

	if (!socket)
		return NULL;
	if (!mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) &&
	    !setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_RCVTIMEO,
			&timeout, sizeof(timeout)))
		return socket;
	mnl_socket_close(socket);
	return NULL;
}

int rules_refresh_alive(const struct rules_spec *spec,
			enum rules_backend backend)
{
	struct mnl_socket *socket;
	uint32_t sequence = 1;
	int result = 0;

	if (backend != RULES_NFTABLES || !spec->fallback_kernel)
		return 0;
	socket = rules_netlink();
	if (!socket)
		return -errno;
	for (size_t i = 0; i < spec->inside_count && !result; i++) {
		const char *device = spec->inside[i];

		result = refresh(socket, device, sequence, true);
		if (result == -ENOENT)
			result = refresh(socket, device, sequence + 10, false);
		sequence += 20;
	}
	mnl_socket_close(socket);
	return result;
}
