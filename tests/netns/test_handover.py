# SPDX-License-Identifier: GPL-2.0-or-later
"""The queue goes from one daemon to the next: what came while none lived is
judged, in order, and nothing leaves untranslated."""
import contextlib
import os
import signal
import socket
import struct

from lab import E, L1, R1
from manager import Manager
from netns import SO_RCVBUFFORCE, wait_for
from restart import state_line
from standin import Loader
from tools import Who, ask, limit, quiet

LENGTH = 1024  # the queue's
PROC = "/proc/net/netfilter/nfnetlink_queue"


def queues(lab):
    """Numbers of the queues in the gateway's kernel."""
    with lab.gw.entered(), open(PROC) as file:
        return [int(line.split()[0]) for line in file]


class Lives:
    """A daemon under a manager, a socket inside with a mapping, and one
    outside; `port` is the mapping's. wrap: as the daemon's."""

    def __init__(self, lab, inside, outside, wrap=(), **config):
        self.lab = lab
        self.manager = Manager(lab.directory)
        lab.start(fresh=True, wrap=[*wrap, *self.manager.wrap()], **config)
        self.server = lab.wan.udp(R1, outside)
        self.host = lab.lan1.udp(L1, inside)
        for sock in (self.server, self.host):
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
        self.peer = (R1, outside)
        self.host.sendto(b"first", self.peer)
        _, (address, self.port) = self.server.recvfrom(100)
        assert address == E
        wait_for("the queue is kept", lambda: self.manager.store, 5)

    def send(self, count, first=0):
        for number in range(first, first + count):
            self.host.sendto(b"%d" % number, self.peer)

    def answer(self, count):
        for number in range(count):
            self.server.sendto(b"%d" % number, (E, self.port))

    def comes(self, sock, count, first=0):
        """Exactly these numbers, in order, and nothing more."""
        for number in range(first, first + count):
            data, peer = sock.recvfrom(100)
            assert data == b"%d" % number, (data, number)
            assert peer == ((E, self.port) if sock is self.server
                            else self.peer)
        quiet(sock)

    def queue(self):
        return self.lab.portico("status")["queue"]


@contextlib.contextmanager
def lives(lab, inside, outside, **config):
    lab.need_portico()
    made = Lives(lab, inside, outside, **config)
    try:
        yield made
    finally:
        lab.stop()
        made.manager.__exit__()
        made.host.close()
        made.server.close()


def test_what_comes_while_the_daemon_is_dead_is_judged_by_the_next(lab):
    with lives(lab, 5901, 7901) as both:
        lab.daemon.kill()
        both.send(300)
        both.answer(200)
        quiet(both.server)
        quiet(both.host)
        lab.daemon.start()
        both.comes(both.server, 300)
        both.comes(both.host, 200)
        queue = both.queue()
        assert queue["orphans"] == queue["waiting"] == 0, queue
        # And it goes on, over one more end.
        lab.daemon.kill()
        both.send(10)
        lab.daemon.start()
        both.comes(both.server, 10)
        assert len(both.manager.store) == 1


@limit(90)
def test_what_comes_while_rules_are_loaded_waits(lab):
    """At the start, and when they change later."""
    loader = Loader(lab.directory)
    try:
        with lives(lab, 5912, 7912, wrap=loader.wrap) as both:
            lab.daemon.kill()
            loader.hold()
            lab.daemon.start(ready=None)
            loader.wait_held()
            both.send(100)
            quiet(both.server)
            loader.release()
            lab.daemon.wait_ready()
            both.comes(both.server, 100)
            loader.hold()
            lab.gw.ip("addr add 10.77.0.1/24 dev lan0")  # one more to guard
            loader.wait_held()
            both.send(100)
            loader.release()
            lab.daemon.wait_ready()
            both.comes(both.server, 100)
            lab.gw.ip("addr del 10.77.0.1/24 dev lan0")
    finally:
        loader.release()


def test_without_hand_over_it_is_lost(lab):
    with lives(lab, 5902, 7902) as both:
        lab.daemon.kill()
        both.send(10)
        both.manager.drop()
        lab.daemon.start()
        quiet(both.server)
        both.send(10)
        both.comes(both.server, 10)


def test_the_queue_keeps_as_many_as_it_may(lab):
    with lives(lab, 5903, 7903) as both:
        lab.daemon.kill()
        both.send(LENGTH + 300)
        lab.daemon.start()
        both.comes(both.server, LENGTH)
        assert both.queue()["dropped"] == 300, both.queue()


def test_packets_read_but_not_judged_are_dropped(lab):
    """What the dead daemon had in its hands nobody knows any more: it does
    not leave as it is, and does not stay in the kernel."""
    with lives(lab, 5904, 7904) as both:
        lab.daemon.kill()
        both.send(10)
        ((_, opening),) = both.manager.store.values()
        with socket.socket(fileno=os.dup(opening)) as queue:
            for _ in range(4):
                assert queue.recv(65536)
        lab.daemon.start()
        both.comes(both.server, 6, first=4)
        queue = both.queue()
        assert (queue["orphans"], queue["waiting"]) == (4, 0), queue
        assert "4 packets dropped" in lab.daemon.log(), lab.daemon.log()


def test_an_error_that_nobody_has_read_is_no_failure(lab):
    """The last daemon's verdict came when the packet was gone, with its device,
    and then the daemon was gone, too."""
    with lives(lab, 5914, 7914) as both:
        lab.daemon.kill()
        ((_, opening),) = both.manager.store.values()
        with socket.socket(fileno=os.dup(opening)) as queue:
            queue.send(struct.pack("=IHHII", 32, 0x301, 1, 0, 0)
                       + struct.pack("!HH", 0, 101)
                       + struct.pack("=HH", 12, 2)
                       + struct.pack("!II", 0, 1_000_000))
        both.send(10)
        lab.daemon.start()
        both.comes(both.server, 10)
        assert both.queue()["gone"], both.queue()


def test_an_orderly_stop_leaves_no_queue(lab):
    with lives(lab, 5905, 7905) as both:
        assert lab.daemon.stop() == 0
        wait_for("the manager keeps nothing",
                 lambda: not both.manager.store, 5)
        assert queues(lab) == []


def test_an_end_for_a_successor_leaves_all(lab):
    with lives(lab, 5906, 7906) as both:
        assert lab.daemon.stop(signal.SIGUSR1) == 0
        assert queues(lab) == [100, 101]
        both.send(50)
        quiet(both.server)
        lab.daemon.start()
        both.comes(both.server, 50)
        assert "after an orderly stop" in state_line(lab.daemon)
        assert lab.daemon.stop() == 0
        assert lab.gw.sysctl("net.ipv4.ip_forward") == "0"


def test_a_queue_of_another_configuration_is_not_used(lab):
    for change in ({"number": 101}, {"mark": "0x0c000000"}):
        with lives(lab, 5907, 7907) as both:
            (before,) = both.manager.store
            lab.daemon.kill()
            both.send(10)
            lab.daemon.configure({"queue": change})
            lab.daemon.start()
            quiet(both.server)
            both.send(5)
            both.comes(both.server, 5)
            assert before in lab.daemon.log(), lab.daemon.log()
            number = change.get("number", 100)
            assert queues(lab) == [number, number + 1]
            wait_for("another is kept", lambda: list(
                both.manager.store) not in ([before], []), 5)


@limit(90)
def test_foreign_descriptors_are_not_used(lab):
    for make in (lambda: os.open("/dev/null", os.O_RDWR),
                 lambda: lab.gw.socket(socket.SOCK_DGRAM).detach(),
                 lambda: lab.gw.socket(socket.SOCK_RAW, proto=12,
                                       family=socket.AF_NETLINK).detach(),
                 lambda: lab.wan.socket(socket.SOCK_RAW, proto=12,
                                        family=socket.AF_NETLINK).detach()):
        with lives(lab, 5908, 7908) as both:
            lab.daemon.kill()
            (name,) = both.manager.store
            both.manager.drop()
            both.manager.store[name] = [make(), make()]
            lab.daemon.start()
            assert "is not used" in lab.daemon.log(), lab.daemon.log()
            both.send(5)
            both.comes(both.server, 5)
            wait_for("its own is kept", lambda: f"FDSTORE=1\nFDPOLL=0\n"
                     f"FDNAME={name}" in both.manager.heard[-9:], 5)


def bind_queue(sock, number):
    """What the daemon's socket asks the kernel for."""
    sock.send(struct.pack("=IHHIIBBHHHBBH", 28, 3 << 8 | 2, 1, 1, 0, 0, 0,
                          socket.htons(number), 8, 1, 1, 0,
                          socket.htons(socket.AF_INET)))


def test_a_queue_of_another_network_is_not_used(lab):
    """Not even one of the same number and the same port id."""
    with lives(lab, 5909, 7909) as both:
        lab.daemon.kill()
        ((name, ours),) = both.manager.store.items()
        with lab.lan2.socket(socket.SOCK_RAW, proto=12,
                             family=socket.AF_NETLINK) as other:
            port = socket.socket(fileno=os.dup(ours[0]))
            other.bind((port.getsockname()[0], 0))
            bind_queue(other, 100)
            both.manager.store[name] = [os.dup(other.fileno()), ours[1]]
            os.close(ours[0])
            lab.daemon.start(ready=None)
            assert lab.daemon.process.wait(10) == 1
            said = lab.daemon.log()
            assert "is not used" in said and "another program" in said, said
            port.close()
        both.manager.drop()
        lab.daemon.start()
        both.send(5)
        both.comes(both.server, 5)


def test_connections_go_on_over_hand_overs(lab):
    with lives(lab, 5910, 7910) as both, \
            Who(lab.wan, tcp=[(R1, 7911)], udp=[(R1, 7911)]):
        tcp = lab.lan1.tcp((R1, 7911))
        for round_ in range(3):
            number = signal.SIGKILL if round_ % 2 else signal.SIGUSR1
            lab.daemon.stop(number)
            tcp.sendall(b"%d" % round_)
            lab.daemon.start()
            got = b""
            while not got.endswith(b" %d" % round_):
                got += tcp.recv(100)
        assert ask(both.host, (R1, 7911)).startswith(E)
        tcp.close()
