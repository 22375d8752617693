/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The router's own sockets, with sockets of our own on loopback. The same
 * tests run by inet_diag and, in a child that may not use it, by /proc/net.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/sockets.h"
#include "suite.h"

#define ADDR_1 0x7f000001U /* 127.0.0.1 */
#define ADDR_2 0x7f000002U

static struct nat_portset udp, tcp;

/* A socket bound to an address (IPv4 in dotted form or IPv6) and a port that
 * the kernel chooses, or -1 where the family does not exist. */
static int bound(int type, const char *addr, bool v6only, uint16_t *port)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	struct sockaddr_in four = { .sin_family = AF_INET };
	struct sockaddr *address = (struct sockaddr *)&four;
	socklen_t length = sizeof(four);
	int only = v6only, fd;

	if (inet_pton(AF_INET, addr, &four.sin_addr) != 1) {
		CU_ASSERT_EQUAL(inet_pton(AF_INET6, addr, &six.sin6_addr), 1);
		address = (struct sockaddr *)&six;
		length = sizeof(six);
	}
	fd = socket(address->sa_family, type | SOCK_CLOEXEC, 0);
	if (fd >= 0 && address->sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
	if (fd < 0 || bind(fd, address, length) ||
	    getsockname(fd, address, &length))
		return -1;
	*port = ntohs(address == (void *)&six ? six.sin6_port : four.sin_port);
	return fd;
}

static void test_udp_addresses(void)
{
	uint16_t here, there, any;
	int a = bound(SOCK_DGRAM, "127.0.0.1", false, &here);
	int b = bound(SOCK_DGRAM, "127.0.0.2", false, &there);
	int c = bound(SOCK_DGRAM, "0.0.0.0", false, &any);

	CU_ASSERT_FATAL(a >= 0 && b >= 0 && c >= 0);
	CU_ASSERT_EQUAL(sockets_read(ADDR_1, &udp, &tcp), 0);
	CU_ASSERT(nat_portset_has(&udp, here));
	CU_ASSERT(nat_portset_has(&udp, any));
	CU_ASSERT(!nat_portset_has(&tcp, here));
	CU_ASSERT(here == there || !nat_portset_has(&udp, there));
	CU_ASSERT_EQUAL(sockets_read(ADDR_2, &udp, &tcp), 0);
	CU_ASSERT(nat_portset_has(&udp, there));
	CU_ASSERT(nat_portset_has(&udp, any));
	CU_ASSERT(here == there || !nat_portset_has(&udp, here));
	/* Without an address only the wildcards count. */
	CU_ASSERT_EQUAL(sockets_read(0, &udp, &tcp), 0);
	CU_ASSERT(nat_portset_has(&udp, any));
	close(a);
	close(b);
	close(c);
	CU_ASSERT_EQUAL(sockets_read(ADDR_1, &udp, &tcp), 0);
	CU_ASSERT(!nat_portset_has(&udp, any));
	CU_ASSERT(!nat_portset_has(&udp, here));
	CU_ASSERT(!nat_portset_has(&udp, 0));
}

static void test_tcp_states(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	uint16_t listening, connected;
	int a = bound(SOCK_STREAM, "127.0.0.1", false, &listening);
	int b = bound(SOCK_STREAM, "127.0.0.2", false, &connected);

	CU_ASSERT_FATAL(a >= 0 && b >= 0 && !listen(a, 1));
	to.sin_port = htons(listening);
	to.sin_addr.s_addr = htonl(ADDR_1);
	CU_ASSERT_FATAL(!connect(b, (struct sockaddr *)&to, sizeof(to)));
	CU_ASSERT_EQUAL(sockets_read(ADDR_1, &udp, &tcp), 0);
	CU_ASSERT(nat_portset_has(&tcp, listening));
	CU_ASSERT(!nat_portset_has(&udp, listening));
	CU_ASSERT_EQUAL(sockets_read(ADDR_2, &udp, &tcp), 0);
	CU_ASSERT(nat_portset_has(&tcp, connected));
	/* b closes first and goes to TIME_WAIT: no longer in use. */
	close(b);
	close(accept(a, NULL, NULL));
	close(a);
	usleep(10000);
	CU_ASSERT_EQUAL(sockets_read(ADDR_2, &udp, &tcp), 0);
	CU_ASSERT(!nat_portset_has(&tcp, connected));
}

static void test_ipv6_any(void)
{
	uint16_t udp_port, tcp_port;
	int a = bound(SOCK_DGRAM, "::", false, &udp_port);
	int b = bound(SOCK_STREAM, "::", false, &tcp_port);

	if (a < 0) /* a kernel without IPv6 has no such sockets */
		return;
	CU_ASSERT_FATAL(!listen(b, 1));
	CU_ASSERT_EQUAL(sockets_read(ADDR_1, &udp, &tcp), 0);
	CU_ASSERT(nat_portset_has(&udp, udp_port));
	CU_ASSERT(nat_portset_has(&tcp, tcp_port));
	close(a);
	close(b);
}

static void test_ipv6_mapped(void)
{
	uint16_t port, other;
	int a = bound(SOCK_DGRAM, "::ffff:127.0.0.1", false, &port);
	int b = bound(SOCK_DGRAM, "::1", false, &other);

	if (a < 0)
		return;
	CU_ASSERT_EQUAL(sockets_read(ADDR_1, &udp, &tcp), 0);
	CU_ASSERT(nat_portset_has(&udp, port));
	CU_ASSERT(b < 0 || port == other || !nat_portset_has(&udp, other));
	CU_ASSERT_EQUAL(sockets_read(ADDR_2, &udp, &tcp), 0);
	CU_ASSERT(!nat_portset_has(&udp, port));
	close(a);
	if (b >= 0)
		close(b);
}

/* An IPv6-only socket takes nothing of IPv4; inet_diag tells it apart. */
static void test_ipv6_only(void)
{
	uint16_t port;
	int fd = bound(SOCK_STREAM, "::", true, &port);

	if (fd < 0)
		return;
	CU_ASSERT_FATAL(!listen(fd, 1));
	CU_ASSERT_EQUAL(sockets_read(ADDR_1, &udp, &tcp), 0);
	CU_ASSERT(!nat_portset_has(&tcp, port));
	close(fd);
}

static void test_many(void)
{
	enum { SOCKETS = 800 };
	int fds[SOCKETS];
	uint16_t ports[SOCKETS];
	int missing = 0;

	for (int i = 0; i < SOCKETS; i++)
		fds[i] = bound(SOCK_DGRAM, "127.0.0.1", false, &ports[i]);
	CU_ASSERT_EQUAL(sockets_read(ADDR_1, &udp, &tcp), 0);
	for (int i = 0; i < SOCKETS; i++) {
		if (fds[i] < 0)
			continue;
		missing += !nat_portset_has(&udp, ports[i]);
		close(fds[i]);
	}
	CU_ASSERT_EQUAL(missing, 0);
}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LOW_HALF 0
#else
#define LOW_HALF 4
#endif
#define ARGUMENT(n) (offsetof(struct seccomp_data, args[n]) + LOW_HALF)

/* socket(AF_NETLINK, ..., NETLINK_SOCK_DIAG) fails from now on. */
static int forbid_inet_diag(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT(0)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT(2)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NETLINK_SOCK_DIAG, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPROTONOSUPPORT),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(*code), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return -errno;
	return socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG) < 0 ? 0 : -EPERM;
}

/* A datagram of 127.0.0.2:7 to 127.0.0.1. */
static bool taken(uint8_t proto, uint16_t port, uint32_t length)
{
	const uint8_t packet[28] = { 0x45,
				     [9] = proto,
				     [12] = 127,
				     [15] = 2,
				     [16] = 127,
				     [19] = 1,
				     [21] = 7,
				     [22] = (uint8_t)(port >> 8),
				     [23] = (uint8_t)port,
				     [25] = 8 };

	return sockets_take_datagram(if_nametoindex("lo"), packet, length);
}

static void test_without_inet_diag(void)
{
	int status = -1;
	pid_t child = fork();

	CU_ASSERT_FATAL(child >= 0);
	if (!child) {
		unsigned before;

		if (forbid_inet_diag())
			_exit(2);
		before = CU_get_number_of_failures();
		test_udp_addresses();
		test_tcp_states();
		test_ipv6_any();
		test_ipv6_mapped();
		test_many();
		CU_ASSERT_FALSE(taken(IPPROTO_UDP, 7, 28));
		_exit(CU_get_number_of_failures() != before);
	}
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT_EQUAL(status, 0);
}

static void test_datagram(void)
{
	struct sockaddr_in peer = { .sin_family = AF_INET };
	uint16_t here, any, there, closed;
	int a = bound(SOCK_DGRAM, "127.0.0.1", false, &here);
	int b = bound(SOCK_DGRAM, "0.0.0.0", false, &any);
	int c = bound(SOCK_DGRAM, "127.0.0.2", false, &there);
	int d = bound(SOCK_DGRAM, "127.0.0.1", false, &closed);

	CU_ASSERT_FATAL(a >= 0 && b >= 0 && c >= 0 && d >= 0);
	close(d);
	CU_ASSERT_EQUAL(sockets_read(ADDR_1, &udp, &tcp), 0);
	CU_ASSERT_TRUE(taken(IPPROTO_UDP, here, 28));
	CU_ASSERT_TRUE(taken(IPPROTO_UDP, any, 28));
	CU_ASSERT(there == here || !taken(IPPROTO_UDP, there, 28));
	CU_ASSERT(closed == there || !taken(IPPROTO_UDP, closed, 28));
	CU_ASSERT_FALSE(taken(IPPROTO_TCP, here, 28));
	CU_ASSERT_FALSE(taken(IPPROTO_UDP, here, 23));
	CU_ASSERT_FALSE(taken(IPPROTO_UDP, here, 19));
	/* It hears its peer alone: 127.0.0.2, by port 7 or another one. */
	peer.sin_addr.s_addr = htonl(ADDR_2);
	peer.sin_port = htons(7);
	CU_ASSERT_EQUAL(connect(a, (struct sockaddr *)&peer, sizeof(peer)), 0);
	CU_ASSERT_TRUE(taken(IPPROTO_UDP, here, 28));
	peer.sin_port = htons(8);
	CU_ASSERT_EQUAL(connect(a, (struct sockaddr *)&peer, sizeof(peer)), 0);
	CU_ASSERT_FALSE(taken(IPPROTO_UDP, here, 28));
	close(a);
	close(b);
	close(c);
}

static const struct test tests[] = {
	{ "a UDP port counts where it is bound", test_udp_addresses },
	{ "TCP ports count until TIME_WAIT", test_tcp_states },
	{ "a socket bound to :: takes the IPv4 port too", test_ipv6_any },
	{ "a v4-mapped address is its IPv4 address", test_ipv6_mapped },
	{ "an IPv6-only socket takes no IPv4 port", test_ipv6_only },
	{ "hundreds of sockets are all found", test_many },
	{ "without inet_diag /proc tells the same", test_without_inet_diag },
	{ "whether a datagram has a socket is asked", test_datagram },
};

/* In a network of its own other programs' sockets do not come and go while
 * /proc is read, which is no snapshot. Where that is not allowed, among all. */
static void leave_the_crowd(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	if (unshare(geteuid() ? CLONE_NEWUSER | CLONE_NEWNET : CLONE_NEWNET))
		return;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo))
		perror("lo in a network of its own");
	close(fd);
}

int main(int argc, char **argv)
{
	leave_the_crowd();
	return suite_run("sockets", tests, sizeof(tests) / sizeof(*tests), argc,
			 argv);
}
