# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 under connections and mappings: how long until packets pass again."""
import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import time

from topology import HOST, SERVER, fail

LOAD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns",
                    "restart_load.py")
PORT, PROBE_PORT = 9010, 9011
TCP, UDP = 200, 1000
PAUSE_S, PATIENCE_S = 0.002, 10


class Load:
    """What tests/netns kills the daemon under: connections that keep sending,
    sockets that take turns."""

    def __init__(self, net):
        self.process = net.start(
            net.host, sys.executable, "-B", LOAD, "call", SERVER, str(PORT),
            str(TCP), str(UDP), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline() or "{}")

    def lost(self):
        """How many connections and mappings are not as they were."""
        said = self.ask("check")
        return (TCP - said.get("tcp", 0) + UDP - said.get("udp", 0)
                + said.get("moved", 0))


@contextlib.contextmanager
def load(net):
    net.start(net.server, sys.executable, "-B", LOAD, "serve", SERVER,
              str(PORT))
    net.await_port(net.server, PORT)
    made = Load(net)
    if made.lost():
        fail("recovery: the load does not run")
    yield made
    made.ask("end")
    made.process.wait(10)
    made.process.stdin.close()
    made.process.stdout.close()


class Probe:
    """One mapping more, on which is asked until an answer comes."""

    def __init__(self, net):
        self.inside = net.socket(net.host, socket.SOCK_DGRAM)
        self.outside = net.socket(net.server, socket.SOCK_DGRAM)
        self.inside.bind((HOST, PROBE_PORT))
        self.outside.bind((SERVER, PROBE_PORT))
        self.turn = 0
        self.peer = None
        for sock in (self.inside, self.outside):
            sock.setblocking(False)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.inside.close()
        self.outside.close()

    def relay(self):
        """True when what was sent in this turn is back."""
        with contextlib.suppress(BlockingIOError):
            data, peer = self.outside.recvfrom(64)
            if self.peer not in (None, peer):
                fail(f"recovery: seen as {peer}, not {self.peer}")
            self.peer = peer
            self.outside.sendto(data, peer)
        with contextlib.suppress(BlockingIOError):
            return int(self.inside.recv(64)) == self.turn
        return False

    def answered(self):
        """Waits for the first answer to something that is sent from now on."""
        self.turn += 1
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            self.inside.sendto(b"%d" % self.turn, (SERVER, PROBE_PORT))
            due = time.monotonic() + PAUSE_S
            while (left := due - time.monotonic()) > 0:
                select.select([self.inside, self.outside], [], [], left)
                if self.relay():
                    return
        fail("recovery: no answer after a kill")


def recover(way, probe):
    """Milliseconds from the kill to the first answer, and those of them in
    which the table was restored."""
    began = time.monotonic()
    way.kill()
    way.start()
    probe.answered()
    first = 1000 * (time.monotonic() - began)
    restored = way.status()["restored"]
    if restored["sessions"] < TCP + UDP:
        fail(f"recovery: {restored}")
    return first, restored["ms"]


def measure(bench, kills):
    """The limits are the defaults."""
    with bench.opened("portico") as way, load(bench.net) as made, \
            Probe(bench.net) as probe:
        probe.answered()
        for _ in range(kills):
            first, restoring = recover(way, probe)
            bench.note("recovery.first_answer", way, first)
            bench.note("recovery.restoring", way, restoring)
            lost = made.lost()
            if lost:
                bench.remark(f"portico: a kill cost {lost} of {TCP} "
                             f"connections and {UDP} mappings")
