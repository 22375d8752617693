/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The raw socket by which ICMP answers leave. It never receives (IPPROTO_RAW
 * is for sending only) and never waits.
 */
#include "raw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IP_NODEFRAG
#define IP_NODEFRAG 22 /* linux/in.h, which libc's header excludes */
#endif

int raw_open(void)
{
	int on = 1, error;
	int fd = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
			IPPROTO_RAW);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, IPPROTO_IP, IP_HDRINCL, &on, sizeof(on)) ||
	    setsockopt(fd, IPPROTO_IP, IP_NODEFRAG, &on, sizeof(on))) {
		error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

int raw_send(int fd, const uint8_t *packet, uint32_t length)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	ssize_t sent;

	if (length < sizeof(struct iphdr))
		return -EINVAL;
	memcpy(&to.sin_addr, packet + offsetof(struct iphdr, daddr),
	       sizeof(to.sin_addr));
	do
		sent = sendto(fd, packet, length, 0,
			      (const struct sockaddr *)&to, sizeof(to));
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}
