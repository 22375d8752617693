/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The raw sockets by which the engine's own packets leave. They never receive
 * (IPPROTO_RAW is for sending only) and never block.
 */
#include "raw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IP_NODEFRAG
#define IP_NODEFRAG 22 /* linux/in.h, which libc's header excludes */
#endif

/* A socket, or -errno. */
static int open_one(uint32_t mark)
{
	int fd = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
			IPPROTO_RAW);
	int on = 1, error;

	if (fd < 0)
		return -errno;
	if (!setsockopt(fd, IPPROTO_IP, IP_HDRINCL, &on, sizeof(on)) &&
	    !setsockopt(fd, IPPROTO_IP, IP_NODEFRAG, &on, sizeof(on)) &&
	    (!mark ||
	     !setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark))))
		return fd;
	error = -errno;
	close(fd);
	return error;
}

int raw_open(struct raw *raw, uint32_t mark)
{
	int error;

	*raw = (struct raw){ .fd = open_one(mark), .outside = -1 };
	if (raw->fd >= 0)
		raw->outside = open_one(0);
	error = raw->fd < 0 ? raw->fd : raw->outside < 0 ? raw->outside : 0;
	if (error)
		raw_close(raw);
	return error;
}

void raw_close(struct raw *raw)
{
	if (raw->fd >= 0)
		close(raw->fd);
	if (raw->outside >= 0)
		close(raw->outside);
	free(raw->waiting);
	*raw = (struct raw){ .fd = -1, .outside = -1 };
}

static int send_one(int fd, const uint8_t *packet, uint32_t length)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	ssize_t sent;

	memcpy(&to.sin_addr, packet + offsetof(struct iphdr, daddr),
	       sizeof(to.sin_addr));
	do
		sent = sendto(fd, packet, length, 0,
			      (const struct sockaddr *)&to, sizeof(to));
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/* The socket's buffer is full, the device's queue, or memory. */
static bool passes_by(int error)
{
	return error == -EAGAIN || error == -ENOBUFS || error == -ENOMEM;
}

/* --- what waits ------------------------------------------------------------ */

/* Before each waiting packet. */
struct head {
	uint64_t since_ms;
	uint32_t length;
	int fd;
};

static bool keep(struct raw *raw, int fd, const uint8_t *packet,
		 uint32_t length, uint64_t now_ms)
{
	const struct head head = { now_ms, length, fd };

	if (!raw->waiting)
		raw->waiting = malloc(RAW_WAIT_BYTES);
	if (!raw->waiting || RAW_WAIT_BYTES - raw->used < sizeof(head) + length)
		return false;
	memcpy(raw->waiting + raw->used, &head, sizeof(head));
	memcpy(raw->waiting + raw->used + sizeof(head), packet, length);
	raw->used += sizeof(head) + length;
	return true;
}

bool raw_again(struct raw *raw, uint64_t now_ms)
{
	size_t at = 0;
	struct head head;

	while (at < raw->used) {
		int error;

		memcpy(&head, raw->waiting + at, sizeof(head));
		error = send_one(head.fd, raw->waiting + at + sizeof(head),
				 head.length);
		if (passes_by(error) && now_ms < head.since_ms + RAW_WAIT_MS)
			break;
		raw->lost += error != 0;
		at += sizeof(head) + head.length;
	}
	raw->used -= at;
	if (at && raw->used)
		memmove(raw->waiting, raw->waiting + at, raw->used);
	return raw->used != 0;
}

/* The socket for a packet, which has a whole header. */
static int choose(const struct raw *raw, const uint8_t *packet, uint32_t own)
{
	uint32_t source;

	memcpy(&source, packet + offsetof(struct iphdr, saddr), sizeof(source));
	return own && ntohl(source) == own ? raw->outside : raw->fd;
}

void raw_send(struct raw *raw, const uint8_t *packet, uint32_t length,
	      uint32_t own, uint64_t now_ms)
{
	bool wait = raw_again(raw, now_ms);
	int fd, error = -EINVAL;

	if (length >= sizeof(struct iphdr)) {
		fd = choose(raw, packet, own);
		error = wait ? -EAGAIN : send_one(fd, packet, length);
		if (passes_by(error) && keep(raw, fd, packet, length, now_ms))
			return;
	}
	raw->lost += error != 0;
}
