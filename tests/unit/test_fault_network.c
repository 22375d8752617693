/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is asked of the kernel when calls fail: bound ports, the network's
 * state, and the loop that waits for all of it.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/loop.h"
#include "platform/raw.h"
#include "platform/sockets.h"
#include "platform/uplink.h"
#include "suite.h"
#include "tests/fault/plan.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- bound ports ------------------------------------------------------------- */

/* A socket bound to 127.0.0.1 or ::; its port. */
static uint16_t bind_port(int family, int kind, int *fd)
{
	struct sockaddr_storage addr = { .ss_family = (sa_family_t)family };
	socklen_t length = sizeof(addr);

	*fd = socket(family, kind, 0);
	CU_ASSERT_FATAL(*fd >= 0);
	CU_ASSERT_EQUAL(bind(*fd, (struct sockaddr *)&addr,
			     family == AF_INET ? sizeof(struct sockaddr_in) :
						 sizeof(struct sockaddr_in6)),
			0);
	if (kind == SOCK_STREAM)
		CU_ASSERT_EQUAL(listen(*fd, 1), 0);
	CU_ASSERT_EQUAL(getsockname(*fd, (struct sockaddr *)&addr, &length), 0);
	return ntohs(family == AF_INET ?
			     ((struct sockaddr_in *)&addr)->sin_port :
			     ((struct sockaddr_in6 *)&addr)->sin6_port);
}

/* Without inet_diag /proc/net tells the same. */
static void test_ports_from_proc(void)
{
	static const struct refusal {
		const char *call;
		int reason;
	} refusals[] = { { "socket", EPROTONOSUPPORT },
			 { "bind", EPERM },
			 { "sendto", ENOBUFS },
			 { "recvmsg", ENOBUFS } };
	struct nat_portset udp, tcp;
	uint16_t ports[3];
	int fds[3];

	ports[0] = bind_port(AF_INET, SOCK_DGRAM, &fds[0]);
	ports[1] = bind_port(AF_INET, SOCK_STREAM, &fds[1]);
	ports[2] = bind_port(AF_INET6, SOCK_STREAM, &fds[2]);
	for (size_t i = 0; i < COUNT(refusals); i++) {
		fault_arm(refusals[i].call, refusals[i].reason, 0, 0);
		CU_ASSERT_EQUAL(sockets_read(0, &udp, &tcp), 0);
		CU_ASSERT(fault_disarm() >= 4); /* one for each kind */
		CU_ASSERT(nat_portset_has(&udp, ports[0]));
		CU_ASSERT(nat_portset_has(&tcp, ports[1]));
		CU_ASSERT(nat_portset_has(&tcp, ports[2]));
		CU_ASSERT(!nat_portset_has(&udp, ports[1]) ||
			  ports[1] == ports[0]);
	}
	for (size_t i = 0; i < COUNT(fds); i++)
		close(fds[i]);
}

static void test_ports_unknown(void)
{
	struct nat_portset udp, tcp;

	fault_arm("fopen", EACCES, 0, 0);
	CU_ASSERT_EQUAL(sockets_read(0, &udp, &tcp), 0); /* not needed */
	CU_ASSERT_EQUAL(fault_disarm(), 0);
	/* Neither way: one call stands for both. */
	fault_arm("", EMFILE, 0, 0);
	CU_ASSERT_EQUAL(sockets_read(0, &udp, &tcp), -EMFILE);
	CU_ASSERT(fault_disarm() >= 2);
}

/* --- the network --------------------------------------------------------------- */

static void on_change(void *context)
{
	(void)context;
}

static struct network *open_lo(struct loop *loop)
{
	static const char inside[1][IFNAMSIZ] = { "lo" };

	return network_open(loop, "lo", inside, 1, 0, 0, on_change, NULL);
}

static void test_network_opens_or_says_why(void)
{
	static const struct {
		const char *call;
		int reason;
		uint32_t times;
	} cases[] = {
		{ "socket", EMFILE, 2 },       { "bind", EPERM, 2 },
		{ "getsockname", ENOBUFS, 2 }, { "sendto", ENOBUFS, 4 },
		{ "recvmsg", ENOBUFS, 4 },     { "epoll_ctl", ENOSPC, 1 },
	};
	struct loop *loop = loop_new();

	for (size_t i = 0; i < COUNT(cases); i++)
		for (uint32_t skip = 0; skip < cases[i].times; skip++) {
			struct network *network;

			fault_arm(cases[i].call, cases[i].reason, skip, 1);
			network = open_lo(loop);
			CU_ASSERT_EQUAL(fault_disarm(), 1);
			CU_ASSERT_PTR_NULL(network);
			if (!network)
				CU_ASSERT_EQUAL(errno, cases[i].reason);
			network_close(network);
		}
	loop_free(loop);
}

/* A dump that the kernel breaks off, or that is interrupted, is read anew. */
static void test_network_reads_again(void)
{
	static const int reasons[] = { EINTR, EAGAIN };
	struct loop *loop = loop_new();

	for (size_t i = 0; i < COUNT(reasons); i++) {
		struct network *network;

		fault_arm("recvmsg", reasons[i], 0, 2);
		network = open_lo(loop);
		CU_ASSERT_EQUAL(fault_disarm(), 2);
		CU_ASSERT_PTR_NOT_NULL(network);
		network_close(network);
	}
	loop_free(loop);
}

/* --- the loop ------------------------------------------------------------------- */

static struct loop *rung;

static void on_bell(struct watch *watch, uint32_t events)
{
	(void)watch;
	(void)events;
	loop_stop(rung);
}

static void test_loop(void)
{
	struct watch bell = { .handler = on_bell };

	fault_arm("epoll_create1", EMFILE, 0, 1);
	CU_ASSERT_PTR_NULL(loop_new());
	CU_ASSERT_EQUAL(fault_disarm(), 1);
	rung = loop_new();
	bell.fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
	fault_arm("epoll_ctl", ENOSPC, 0, 1);
	CU_ASSERT_EQUAL(loop_add(rung, &bell, EPOLLIN), -ENOSPC);
	fault_disarm();
	CU_ASSERT_EQUAL(loop_add(rung, &bell, EPOLLIN), 0);
	fault_arm("epoll_wait", EINTR, 0, 3);
	CU_ASSERT_EQUAL(loop_run(rung), 0);
	CU_ASSERT_EQUAL(fault_disarm(), 3);
	fault_arm("epoll_wait", EBADF, 0, 1);
	CU_ASSERT_EQUAL(loop_run(rung), -EBADF);
	fault_disarm();
	close(bell.fd);
	loop_free(rung);
}

/* --- the raw socket --------------------------------------------------------------- */

#define PACKETS 5U

/* In the place of the raw socket, which only root has: what is sent to it comes
 * back from the other end. */
struct wire {
	struct raw raw;
	int end;
};

static void wire_open(struct wire *wire)
{
	int ends[2];

	CU_ASSERT_EQUAL_FATAL(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends),
		0);
	wire->raw = (struct raw){ .fd = ends[0], .outside = -1 };
	wire->end = ends[1];
}

static void wire_close(struct wire *wire)
{
	raw_close(&wire->raw);
	CU_ASSERT_EQUAL(wire->raw.fd, -1);
	close(wire->end);
}

/* A packet that says which it is. */
static void say(struct wire *wire, uint8_t number, uint64_t now_ms)
{
	const uint8_t packet[40] = { 0x45, [16] = 127, [19] = 1, number };

	raw_send(&wire->raw, packet, sizeof(packet), 0, now_ms);
}

/* These come next, and nothing behind them. */
static void expect(const struct wire *wire, uint8_t first, uint8_t count)
{
	uint8_t packet[64] = { 0 };

	for (uint8_t i = 0; i < count; i++) {
		CU_ASSERT_EQUAL(recv(wire->end, packet, sizeof(packet), 0), 40);
		CU_ASSERT_EQUAL(packet[20], first + i);
	}
	CU_ASSERT(recv(wire->end, packet, sizeof(packet), 0) < 0);
}

static void test_raw(void)
{
	static const uint8_t packet[20] = { 0x45 };
	struct wire wire;
	struct raw raw;

	wire_open(&wire);
	say(&wire, 1, 0);
	expect(&wire, 1, 1);
	raw_send(&wire.raw, packet, 19, 0, 0);
	CU_ASSERT_EQUAL(wire.raw.lost, 1);
	fault_arm("sendto", EPERM, 0, 1);
	say(&wire, 2, 0);
	CU_ASSERT_EQUAL(fault_disarm(), 1);
	CU_ASSERT_EQUAL(wire.raw.lost, 2);
	fault_arm("sendto", EINTR, 0, 2);
	say(&wire, 3, 0);
	CU_ASSERT_EQUAL(fault_disarm(), 2);
	CU_ASSERT_EQUAL(wire.raw.lost, 2);
	expect(&wire, 3, 1);
	wire_close(&wire);
	fault_arm("socket", EPERM, 0, 1);
	CU_ASSERT_EQUAL(raw_open(&raw, 0), -EPERM);
	fault_disarm();
	raw_close(&raw);
}

static void test_raw_waits(void)
{
	static const int reasons[] = { EAGAIN, ENOBUFS, ENOMEM };
	struct wire wire;

	wire_open(&wire);
	for (size_t i = 0; i < COUNT(reasons); i++) {
		CU_ASSERT_FALSE(raw_again(&wire.raw, 0));
		fault_arm("sendto", reasons[i], 0, 0);
		for (uint8_t n = 1; n <= PACKETS; n++)
			say(&wire, n, 0);
		CU_ASSERT_TRUE(raw_again(&wire.raw, RAW_WAIT_MS - 1));
		fault_disarm();
		expect(&wire, 1, 0);
		/* Two of them, and then it is full again. */
		fault_arm("sendto", reasons[i], 2, 0);
		CU_ASSERT_TRUE(raw_again(&wire.raw, 1));
		fault_disarm();
		expect(&wire, 1, 2);
		/* A newer one does not overtake. */
		say(&wire, PACKETS + 1, 1);
		expect(&wire, 3, PACKETS - 1);
		CU_ASSERT_FALSE(raw_again(&wire.raw, 1));
	}
	CU_ASSERT_EQUAL(wire.raw.lost, 0);
	wire_close(&wire);
}

/* What is sent in the uplink's name alone is for the outside. */
static void test_raw_sides(void)
{
	uint8_t packet[40] = { 0x45, [12] = 203, [14] = 113, [15] = 7 };
	const uint32_t own = 203U << 24 | 113U << 8 | 7U;
	struct wire inside, outside;

	wire_open(&inside);
	wire_open(&outside);
	inside.raw.outside = outside.raw.fd;
	for (uint8_t n = 1; n <= 4; n++) {
		packet[20] = n;
		if (n == 4) /* one that waits finds its way, too */
			fault_arm("sendto", EAGAIN, 0, 1);
		raw_send(&inside.raw, packet, sizeof(packet),
			 n == 1 ? 0 :
			 n == 2 ? own + 1 :
				  own,
			 0);
	}
	CU_ASSERT_EQUAL(fault_disarm(), 1);
	CU_ASSERT_FALSE(raw_again(&inside.raw, 0));
	expect(&inside, 1, 2);
	expect(&outside, 3, 2);
	inside.raw.outside = -1;
	wire_close(&inside);
	wire_close(&outside);
}

static void test_raw_gives_up(void)
{
	struct wire wire;

	wire_open(&wire);
	fault_arm("sendto", EAGAIN, 0, 0);
	say(&wire, 1, 0);
	say(&wire, 2, 1);
	CU_ASSERT_TRUE(raw_again(&wire.raw, RAW_WAIT_MS));
	CU_ASSERT_EQUAL(wire.raw.lost, 1);
	CU_ASSERT_FALSE(raw_again(&wire.raw, RAW_WAIT_MS + 1));
	CU_ASSERT_EQUAL(wire.raw.lost, 2);
	fault_disarm();
	expect(&wire, 1, 0);
	wire_close(&wire);
}

static void test_raw_is_bounded(void)
{
	static const uint8_t large[65535] = { 0x45 };
	unsigned most = RAW_WAIT_BYTES / 40;
	struct wire wire;

	wire_open(&wire);
	fault_arm("sendto", EAGAIN, 0, 0);
	for (unsigned i = 0; i < most; i++)
		say(&wire, 1, 0);
	CU_ASSERT(wire.raw.lost && wire.raw.lost < most / 2);
	CU_ASSERT(wire.raw.used <= RAW_WAIT_BYTES);
	/* It ends with those that wait. */
	CU_ASSERT_FALSE(raw_again(&wire.raw, RAW_WAIT_MS));
	CU_ASSERT_EQUAL(wire.raw.lost, most);
	raw_send(&wire.raw, large, sizeof(large), 0, 0);
	CU_ASSERT_TRUE(raw_again(&wire.raw, 0));
	fault_disarm();
	wire_close(&wire);
}

static const struct test tests[] = {
	{ "without inet_diag /proc tells which ports are bound",
	  test_ports_from_proc },
	{ "when neither tells, that is an error", test_ports_unknown },
	{ "the network's state is read or the reason is given",
	  test_network_opens_or_says_why },
	{ "a dump that breaks off is read again", test_network_reads_again },
	{ "the loop outlives interruptions and tells of the rest", test_loop },
	{ "a packet of our own that cannot be sent is counted", test_raw },
	{ "what the kernel has no room for waits, in its order",
	  test_raw_waits },
	{ "it says on which side it is to leave", test_raw_sides },
	{ "but not for ever", test_raw_gives_up },
	{ "nor without bound", test_raw_is_bounded },
};

int main(int argc, char **argv)
{
	return suite_run("fault_network", tests,
			 sizeof(tests) / sizeof(tests[0]), argc, argv);
}
