# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 under connections and mappings: how long until packets pass again.

A session that the kernel carries is answered meanwhile, until the next daemon
takes it back: so the first answer is waited for on one that takes the queue.
"""
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
PORT, PROBE_PORT, CARRIED_PORT = 9010, 9011, 9012
# Four that do nothing: what has IP options is not carried.
OPTIONS = b"\1\1\1\1"
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
    """One mapping more, on which is asked."""

    def __init__(self, net, port, options=b""):
        self.inside = net.socket(net.host, socket.SOCK_DGRAM)
        self.outside = net.socket(net.server, socket.SOCK_DGRAM)
        self.inside.bind((HOST, port))
        self.outside.bind((SERVER, port))
        self.port = port
        self.turn = 0
        self.peer = None
        for sock in (self.inside, self.outside):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, options)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.inside.close()
        self.outside.close()

    def begin(self, now):
        """What was sent before counts no more."""
        self.turn += 1
        self.first, self.heard, self.silence = None, now, 0

    def ask(self):
        self.inside.sendto(b"%d" % self.turn, (SERVER, self.port))

    def relay(self):
        with contextlib.suppress(BlockingIOError):
            data, peer = self.outside.recvfrom(64)
            if self.peer not in (None, peer):
                fail(f"recovery: seen as {peer}, not {self.peer}")
            self.peer = peer
            self.outside.sendto(data, peer)
        with contextlib.suppress(BlockingIOError):
            if int(self.inside.recv(64)) == self.turn:
                self.hear(time.monotonic())

    def hear(self, now):
        self.first = self.first or now
        self.silence = max(self.silence, now - self.heard)
        self.heard = now


def await_answers(probes, began):
    """Asks on all until the first of them was answered, and since then each
    other one."""
    sockets = [sock for probe in probes
               for sock in (probe.inside, probe.outside)]
    for probe in probes:
        probe.begin(began)
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        for probe in probes:
            probe.ask()
        due = time.monotonic() + PAUSE_S
        while (left := due - time.monotonic()) > 0:
            select.select(sockets, [], [], left)
            for probe in probes:
                probe.relay()
            first = probes[0].first
            if first and all(probe.heard >= first for probe in probes):
                return
    fail("recovery: no answer after a kill")


def await_carried(way, probe):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        await_answers([probe], time.monotonic())
        if way.carried() and way.carries_session(f"{HOST}:{probe.port}"):
            return
        time.sleep(0.05)
    fail("recovery: the session is not carried")


def recover(bench, way, probes):
    began = time.monotonic()
    way.kill()
    way.start()
    await_answers(probes, began)
    bench.note("recovery.first_answer", way, 1000 * (probes[0].first - began))
    for carried in probes[1:]:
        bench.note("recovery.silence", way, 1000 * carried.silence)
    restored = way.status()["restored"]
    if restored["sessions"] < TCP + UDP:
        fail(f"recovery: {restored}")
    bench.note("recovery.restoring", way, restored["ms"])


def measure(bench, kills):
    """The limits are the defaults."""
    with bench.opened("portico") as way, load(bench.net) as made, \
            Probe(bench.net, PROBE_PORT, OPTIONS) as queued, \
            Probe(bench.net, CARRIED_PORT) as carried:
        probes = [queued] if way.carried() is None else [queued, carried]
        await_answers(probes, time.monotonic())
        for _ in range(kills):
            for probe in probes[1:]:
                await_carried(way, probe)
            recover(bench, way, probes)
            lost = made.lost()
            if lost:
                bench.remark(f"portico: a kill cost {lost} of {TCP} "
                             f"connections and {UDP} mappings")
