/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The router's own sockets by inet_diag, or from /proc/net where the kernel
 * comes without it (a separate module on OpenWrt).
 */
#include "sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "files.h"
#include "netlink_sound.h"

#define BUFFER_BYTES 32768
#define STATE_TIME_WAIT 6 /* include/net/tcp_states.h */

struct collector {
	uint32_t uplink_addr;
	struct nat_portset *set;
};

/* One table of sockets, under both names. UDP-Lite takes its ports from the
 * pool of UDP, DCCP (which has no such file) from that of TCP. */
static const struct source {
	uint8_t family;
	uint8_t protocol;
	bool tcp; /* the set that it counts in */
	bool optional; /* many kernels come without */
	const char *file;
} sources[] = {
	{ AF_INET, IPPROTO_UDP, false, false, "/proc/net/udp" },
	{ AF_INET6, IPPROTO_UDP, false, true, "/proc/net/udp6" },
	{ AF_INET, IPPROTO_TCP, true, false, "/proc/net/tcp" },
	{ AF_INET6, IPPROTO_TCP, true, true, "/proc/net/tcp6" },
	{ AF_INET, NAT_PROTO_UDPLITE, false, true, "/proc/net/udplite" },
	{ AF_INET6, NAT_PROTO_UDPLITE, false, true, "/proc/net/udplite6" },
	{ AF_INET, NAT_PROTO_DCCP, true, true, "/proc/net/dccp" },
	{ AF_INET6, NAT_PROTO_DCCP, true, true, "/proc/net/dccp6" },
};

#define SOURCES (sizeof(sources) / sizeof(*sources))

/* words: the local address as the kernel holds it, IPv4 in the first or, in
 * an IPv6 socket, mapped (::ffff:a.b.c.d) in the last. */
static void take(const struct collector *collector, uint8_t family,
		 const uint32_t words[4], uint16_t port)
{
	uint32_t addr = ntohl(words[0]);

	if (family == AF_INET6) {
		bool any = !(words[0] | words[1] | words[2] | words[3]);
		bool mapped = !(words[0] | words[1]) &&
			      words[2] == htonl(0xffff);

		if (!any && !mapped)
			return;
		addr = ntohl(words[3]);
	}
	if (port && (!addr || addr == collector->uplink_addr))
		nat_portset_add(collector->set, port);
}

/* --- inet_diag ---------------------------------------------------------- */

static bool is_v6only(const struct nlmsghdr *message)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, message, sizeof(struct inet_diag_msg)) {
		if (mnl_attr_get_type(attr) == INET_DIAG_SKV6ONLY &&
		    mnl_attr_get_payload_len(attr) >= 1)
			return mnl_attr_get_u8(attr);
	}
	return false;
}

static int on_socket(const struct nlmsghdr *message, void *data)
{
	const struct inet_diag_msg *diag = mnl_nlmsg_get_payload(message);

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*diag))
		return MNL_CB_OK;
	if (diag->idiag_family == AF_INET6 && is_v6only(message))
		return MNL_CB_OK;
	take(data, diag->idiag_family, diag->id.idiag_src,
	     ntohs(diag->id.idiag_sport));
	return MNL_CB_OK;
}

int sockets_take_diag(uint32_t uplink_addr, struct nat_portset *set,
		      const void *bytes, size_t length, uint32_t seq,
		      unsigned port)
{
	struct collector collector = { .uplink_addr = uplink_addr, .set = set };

	errno = EBADMSG;
	if (!netlink_sound(bytes, length))
		return MNL_CB_ERROR;
	return mnl_cb_run(bytes, length, seq, port, on_socket, &collector);
}

static int request(struct mnl_socket *socket, const struct source *source,
		   uint32_t seq, char *buffer)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct inet_diag_req_v2 *diag;

	message->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	message->nlmsg_seq = seq;
	diag = mnl_nlmsg_put_extra_header(message, sizeof(*diag));
	diag->sdiag_family = source->family;
	diag->sdiag_protocol = source->protocol;
	/* Every state, also those that only newer kernels have. */
	diag->idiag_states = ~(1U << STATE_TIME_WAIT);
	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -errno;
	return 0;
}

static int dump(struct mnl_socket *socket, const struct source *source,
		uint32_t seq, struct collector *collector, char *buffer)
{
	unsigned port = mnl_socket_get_portid(socket);
	int rc = request(socket, source, seq, buffer);

	if (rc)
		return rc;
	do {
		ssize_t got = mnl_socket_recvfrom(socket, buffer, BUFFER_BYTES);
		if (got < 0)
			return -errno;
		rc = sockets_take_diag(collector->uplink_addr, collector->set,
				       buffer, (size_t)got, seq, port);
	} while (rc > MNL_CB_STOP);
	return rc < 0 ? -errno : 0;
}

/* NULL with errno set. */
static struct mnl_socket *open_diag(int flags)
{
	const struct timeval patience = { .tv_sec = 5 };
	struct mnl_socket *socket =
		mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC | flags);
	int err;

	if (!socket)
		return NULL;
	setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_RCVTIMEO,
		   &patience, sizeof(patience));
	if (!mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID))
		return socket;
	err = errno;
	mnl_socket_close(socket);
	errno = err;
	return NULL;
}

static int read_diag(const struct source *source, struct collector *collector,
		     char *buffer)
{
	struct mnl_socket *socket = open_diag(0);
	int rc;

	if (!socket)
		return -errno;
	rc = dump(socket, source, 1, collector, buffer);
	mnl_socket_close(socket);
	return rc;
}

/* --- one of them --------------------------------------------------------- */

/* As the last look found. A kernel that comes without it would look for the
 * module each time that it is asked, and not come back until then. */
static bool udp_by_diag;

#define IP_PROTO 9
#define IP_SRC 12
#define IP_DST 16

static struct nlmsghdr *put_question(void *buffer, unsigned device,
				     const uint8_t *packet)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct inet_diag_req_v2 *diag;
	const uint8_t *ports = packet + (packet[0] & 15) * 4;

	message->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	message->nlmsg_flags = NLM_F_REQUEST;
	diag = mnl_nlmsg_put_extra_header(message, sizeof(*diag));
	diag->sdiag_family = AF_INET;
	diag->sdiag_protocol = IPPROTO_UDP;
	diag->idiag_states = ~0U;
	/* As in the datagram: what is asked of is the one that gets it. */
	memcpy(diag->id.idiag_src, packet + IP_SRC, 4);
	memcpy(diag->id.idiag_dst, packet + IP_DST, 4);
	memcpy(&diag->id.idiag_sport, ports, 2);
	memcpy(&diag->id.idiag_dport, ports + 2, 2);
	diag->id.idiag_if = device;
	memset(diag->id.idiag_cookie, 0xff, sizeof(diag->id.idiag_cookie));
	return message;
}

bool sockets_take_datagram(unsigned device, const uint8_t *packet,
			   uint32_t length)
{
	char buffer[1024] __attribute__((aligned(8)));
	struct mnl_socket *socket;
	struct nlmsghdr *message;
	struct nlmsghdr answer = { .nlmsg_type = NLMSG_ERROR };
	ssize_t got = -1;

	if (!udp_by_diag || length < 20 || packet[IP_PROTO] != IPPROTO_UDP ||
	    length < (packet[0] & 15) * 4U + 4)
		return false;
	/* The kernel answers while it is asked. */
	socket = open_diag(SOCK_NONBLOCK);
	if (!socket)
		return false;
	message = put_question(buffer, device, packet);
	if (mnl_socket_sendto(socket, message, message->nlmsg_len) >= 0)
		got = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
	mnl_socket_close(socket);
	if (got >= (ssize_t)sizeof(answer))
		memcpy(&answer, buffer, sizeof(answer));
	return answer.nlmsg_type == SOCK_DIAG_BY_FAMILY;
}

/* --- /proc/net ---------------------------------------------------------- */

/* "  0: 0100007F:1F90 00000000:0000 0A ...": words of the address as the
 * machine reads them, the port in host order. */
void sockets_take_line(uint32_t uplink_addr, struct nat_portset *set,
		       uint8_t family, const char *line)
{
	struct collector collector = { .uplink_addr = uplink_addr, .set = set };
	uint32_t words[4] = { 0 };
	unsigned port, state;
	int found;

	if (family == AF_INET)
		found = sscanf(line, " %*u: %8" SCNx32 ":%4x %*[^ ] %2x",
			       &words[0], &port, &state) +
			3;
	else
		found = sscanf(line,
			       " %*u: %8" SCNx32 "%8" SCNx32 "%8" SCNx32
			       "%8" SCNx32 ":%4x %*[^ ] %2x",
			       &words[0], &words[1], &words[2], &words[3],
			       &port, &state);
	if (found == 6 && state != STATE_TIME_WAIT)
		take(&collector, family, words, (uint16_t)port);
}

static int read_proc(const struct source *source, struct collector *collector)
{
	char *line = NULL;
	size_t size = 0;
	FILE *file = files_stream(source->file);

	if (!file)
		return source->optional && errno == ENOENT ? 0 : -errno;
	while (getline(&line, &size, file) > 0)
		sockets_take_line(collector->uplink_addr, collector->set,
				  source->family, line);
	free(line);
	fclose(file);
	return 0;
}

int sockets_read(uint32_t uplink_addr, struct nat_portset *udp,
		 struct nat_portset *tcp)
{
	char *buffer = malloc(BUFFER_BYTES);
	int rc = buffer ? 0 : -ENOMEM;

	memset(udp, 0, sizeof(*udp));
	memset(tcp, 0, sizeof(*tcp));
	for (size_t i = 0; !rc && i < SOURCES; i++) {
		const struct source *source = &sources[i];
		struct collector collector = {
			.uplink_addr = uplink_addr,
			.set = source->tcp ? tcp : udp,
		};
		bool by_diag = !read_diag(source, &collector, buffer);

		if (source->protocol == IPPROTO_UDP &&
		    source->family == AF_INET)
			udp_by_diag = by_diag;
		/* What a broken-off dump has added is true all the same. */
		if (!by_diag)
			rc = read_proc(source, &collector);
	}
	free(buffer);
	return rc;
}
