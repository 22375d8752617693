# SPDX-License-Identifier: GPL-2.0-or-later
"""More than the gateway can take: what comes to begin a flow is lost before
what belongs to a connection; who takes much takes nothing from the others. Datagrams of known flows stand in line with newcomers.

The daemon is stopped for moments, so that a flood is beyond its capacity on any
machine: what the queue then holds is what the kernel decides."""
import contextlib
import json
import os
import select
import signal
import threading
import time

from daemon import BUILD
from lab import E, L1, L2, MAC_LAN0, MAC_WAN0, R1, R2
from netns import SLOW, wait_for
from tools import Who, ask, ask_tcp, limit, quiet

FLOOD = os.path.join(BUILD, "tests", "netns", "flood")
RATE = 200 * 1000
PACKETS = 300 * 1000
# 0.02 s of flood are four times what the queue holds; it is slower on a slow
# machine.
PAUSE, WORK = 0.02 * SLOW, 0.03 * SLOW


@contextlib.contextmanager
def interrupted(daemon):
    """The daemon has two fifths of its time taken away."""
    over = threading.Event()
    pid = daemon.process.pid

    def work():
        while not over.wait(WORK):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(PAUSE)
            os.kill(pid, signal.SIGCONT)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def flood(space, device, mac, kind, target, ports, *source, packets=PACKETS,
          rate=RATE):
    # It comes from elsewhere: the daemon does not take its processor.
    done = space.run("nice", "-n", "-20", FLOOD, device, mac, kind, target,
                     ",".join(map(str, ports)), packets, rate, *source,
                     timeout=90)
    return json.loads(done.stdout)["packets"]


def lost(lab, lane):
    counts = lab.portico("status")["queue"][lane]
    return counts["dropped"] + counts["user_dropped"]


class Talk:
    """A connection of lan1: a request when the last one was answered."""

    def __init__(self, lab):
        self.sock = lab.lan1.tcp((R1, 7401))
        self.answers, self.error = 0, None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            while not self.over.wait(0.001):
                ask_tcp(self.sock)
                self.answers += 1
        except OSError as error:
            self.error = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_exc):
        self.over.set()
        self.thread.join(10)
        self.sock.close()


class Datagrams:
    """A flow of lan1 that is known: a datagram each 2 ms, answered by R1."""

    def __init__(self, lab):
        self.sock = lab.lan1.udp(L1, 5404)
        ask(self.sock, (R1, 7404))
        self.sent, self.came = 0, set()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _take(self, seconds):
        while select.select([self.sock], [], [], seconds)[0]:
            self.came.add(self.sock.recv(100).split()[1])

    def _run(self):
        while not self.over.wait(0.002):
            self.sock.sendto(b"%d" % self.sent, (R1, 7404))
            self.sent += 1
            self._take(0)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_exc):
        self.over.set()
        self.thread.join(10)
        self._take(0.5)
        self.sock.close()

    def lost(self):
        return 1 - len(self.came) / self.sent


# How far the datagrams of one flow may be from the average of their line: they
# are few, and lost many at once.
ROUGHLY = 0.05


def check_datagrams(lab, flow):
    """There and back again they stand in the line of the newcomers, and lose
    what these lose, not more."""
    opening = lab.portico("status")["queue"]["opening"]
    refused = opening["dropped"] + opening["user_dropped"]
    share = refused / (refused + opening["packets"])
    most = 1 - (1 - share) ** 2 + (ROUGHLY if refused else 0)
    said = (f"{flow.lost():.1%} of {flow.sent} datagrams of another host lost, "
            f"{share:.1%} of the flood")
    assert flow.sent > 100 and flow.lost() <= most, said
    return said


def retransmitted(lab):
    """Segments that either end has sent again."""
    count = 0
    for space in (lab.lan1, lab.wan):
        names, values = [line.split() for line in space.run(
            "cat", "/proc/net/snmp").stdout.split("\n")
            if line.startswith("Tcp:")]
        count += int(values[names.index("RetransSegs")])
    return count


def check_connection(lab, send):
    """A connection of lan1 goes on while send() floods; only newcomers are
    lost, which is counted, shown and warned about."""
    lab.need_portico()
    lab.start(fresh=True, limits={"host_new_per_second": 20})
    with Who(lab.wan, udp=[(R1, 7404)], tcp=[(R1, 7401)]), \
            Talk(lab) as talk:
        wait_for("the first answers", lambda: talk.answers > 20, 20)
        flow = Datagrams(lab)
        before, again = talk.answers, retransmitted(lab)
        with interrupted(lab.daemon), flow:
            sent = send()
        datagrams = check_datagrams(lab, flow)
        during = talk.answers - before
        again = retransmitted(lab) - again
        wait_for("more answers", lambda: talk.answers > before + during + 20,
                 20)
    assert not talk.error, talk.error
    newcomers, connections = lost(lab, "opening"), lost(lab, "following")
    assert newcomers > 0, "the flood was not beyond the capacity"
    assert connections == 0, (connections, newcomers)
    assert during > 0, "the connection stood still"
    status = lab.portico("status")
    # The connection, and not much else: it came by the other lane.
    carried = status["queue"]["following"]["packets"]
    assert 50 < carried < PACKETS / 10, carried
    assert status["queue"]["overload"] is True, status["queue"]
    assert status["queue"]["dropped"] + status["queue"][
        "user_dropped"] == newcomers, status["queue"]
    found = [w for w in status["warnings"] if w.startswith("overload: ")]
    assert len(found) == 1 and " 0 of connections" in found[0], found
    text = lab.daemon.run("status").stdout
    assert f"{newcomers} that may have begun a flow, 0 of conn" in text, text
    assert "overload: packets come faster" in lab.daemon.log()
    # Nobody is shut out afterwards.
    with Who(lab.wan, udp=[(R1, 7402)]):
        sock = lab.lan1.udp()
        assert ask(sock, (R1, 7402))
        sock.close()
    lab.stop()
    return (f"{sent} packets, {newcomers} of them lost; {during} answers "
            f"meanwhile, {again} segments sent again; {datagrams}")


@limit(150)
def test_a_datagram_flood_of_one_host_leaves_connections_alone(lab):
    def send():
        return flood(lab.lan2, "eth0", MAC_LAN0, "udp", R2, [9], L2)

    return check_connection(lab, send)


@limit(150)
def test_a_syn_flood_of_one_host_leaves_connections_alone(lab):
    def send():
        return flood(lab.lan2, "eth0", MAC_LAN0, "syn", R2, [9], L2)

    return check_connection(lab, send)


@limit(150)
def test_a_scan_from_outside_leaves_connections_alone(lab):
    """Every port hears nothing and leaves nothing; the log stays short."""
    view = lab.wan.capture(f"src host {E} and dst net 8.0.0.0/8", "up0")

    def send():
        sent = flood(lab.wan, "up0", MAC_WAN0, "syn", E,
                     range(20000, 20016))
        status = lab.portico("status")
        assert status["drops"]["no_mapping"] > PACKETS / 20, status["drops"]
        assert status["mappings"]["used"] < 10, status["mappings"]
        assert status["hosts"]["used"] < 10, status["hosts"]
        assert len(lab.daemon.log().splitlines()) < 20, lab.daemon.log()
        return sent

    said = check_connection(lab, send)
    assert view.read() == [], "the scan was answered"
    view.close()
    return said


@limit(90)
def test_a_flood_that_can_be_taken_is_not_noticed(lab):
    """Within the capacity nobody else loses anything, datagrams included."""
    lab.need_portico()
    lab.start(fresh=True, limits={"host_new_per_second": 20})
    with Who(lab.wan, udp=[(R1, 7404)]):
        flow = Datagrams(lab)
        with flow:
            sent = flood(lab.lan2, "eth0", MAC_LAN0, "udp", R2, [9], L2,
                         packets=20000, rate=5000)
        said = check_datagrams(lab, flow)
    assert lab.drops("host_rate") > sent / 2, lab.portico("status")["drops"]
    lab.stop()
    return f"{sent} packets; {said}"


def take_all(space, address, count):
    """Opens sockets, as fast as it may, and says how many got out."""
    socks = []
    for _ in range(count):
        socks.append(space.udp(address))
    for sock in socks:
        sock.sendto(b"x", (R2, 9))
    return socks


def test_one_host_cannot_take_the_last_ports(lab):
    """Two greedy hosts share a small pool; a third address appears only when
    they have taken all they can, and gets its share."""
    lab.need_portico()
    lab.start(fresh=True, uplink={"ports": "5000-5063", "low_ports": ""},
              limits={"host_guaranteed": 4, "host_new_per_second": 10000,
                      "hosts": 8})
    late = "192.168.1.77"
    lab.lan2.ip(f"addr add {late}/24 dev eth0")
    socks = []
    try:
        with Who(lab.wan, udp=[(R1, 7403)]):
            socks += take_all(lab.lan1, L1, 100)
            socks += take_all(lab.lan2, L2, 100)
            wait_for("the refusals", lambda: lab.drops("host_share"), 10)
            ports = lab.portico("status")["ports"]["udp"]
            assert ports["used"] < ports["total"], ports
            got = [lab.lan2.udp(late) for _ in range(4)]
            socks += got
            assert all(ask(sock, (R1, 7403)) for sock in got)
            beyond = lab.lan1.udp(L1)
            socks.append(beyond)
            beyond.sendto(b"x", (R1, 7403))
            quiet(beyond)
    finally:
        for sock in socks:
            sock.close()
        lab.lan2.ip(f"addr del {late}/24 dev eth0")
    hosts = {h["address"]: h["mappings"]
             for h in lab.portico("hosts")["hosts"]}
    assert hosts[late] == 4, hosts
    lab.stop()
    return f"mappings of each host: {hosts}"
