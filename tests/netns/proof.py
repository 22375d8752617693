# SPDX-License-Identifier: GPL-2.0-or-later
"""Proofs of the RFCs' requirements through the kernel, each in three manners:
with small packets, beside super-packets (GRO, TSO, UDP_SEGMENT), and with
every offload switched off.

The packets are made by scapy for hosts and peers without a network stack
behind their addresses: nothing answers but what is to be proved.

    [H1] 192.168.1.50 behind lan1, [H2] 192.168.1.51 behind lan2,
    [P1] 198.51.100.50 and [P2] 198.51.100.51 behind wan

While a proof runs, every packet that leaves the gateway, on either side, is
seen, and all its checksums are computed again.
"""
import contextlib
import os
import re
import sys
import threading
import time

import wire
from lab import E, L2, MAC_L1, MAC_L2, MAC_LAN0, MAC_WAN0, R1
from netns import SLOW
from tools import (EVERY_OFFLOAD, frame, limit, offload, pattern,
                   usual_offloads)

H1, H2 = "192.168.1.50", "192.168.1.51"
P1, P2 = "198.51.100.50", "198.51.100.51"
BULK_PORT = 9099
SOL_UDP, UDP_SEGMENT = 17, 103
SEGMENT, SEGMENTS = 1200, 20


# --- super-packets beside the probe ------------------------------------------

def takes_super_datagrams():
    """A kernel before 6.11 damages those that are rewritten: at the first one
    the daemon has everything segmented (tests/vm/test_segments.py)."""
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return tuple(map(int, release.groups())) >= (6, 11)


class Bulk:
    """Super-packets of UDP, where the kernel takes them, and TCP in both
    directions, one after the other, each compared on arrival: what is changed,
    or lost while the queue dropped nothing, is an error."""

    def __init__(self, lab):
        self.lab = lab
        self.error = None
        self.kinds = ["TCP"] + ["UDP"] * takes_super_datagrams()
        self.server = lab.wan.udp(R1, BULK_PORT)
        self.client = lab.lan2.udp(L2, BULK_PORT)
        listener = lab.wan.listener(R1, BULK_PORT)
        self.tcp_client = lab.lan2.tcp((R1, BULK_PORT))
        self.tcp_server, _ = listener.accept()
        listener.close()
        for sock, seconds in ((self.server, 1), (self.client, 1),
                              (self.tcp_client, 20), (self.tcp_server, 20)):
            sock.settimeout(seconds)
        self.client.sendto(b"hello", (R1, BULK_PORT))
        _, self.outside = self.server.recvfrom(100)
        self.stop = threading.Event()
        self.turns = self.lost = 0
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            while not self.stop.is_set():
                if "UDP" in self.kinds:
                    self._segments(self.client, self.server, (R1, BULK_PORT))
                    self._segments(self.server, self.client, self.outside)
                self._stream(self.tcp_client, self.tcp_server)
                self._stream(self.tcp_server, self.tcp_client)
                self.turns += 1
                self.stop.wait(0.005)
        except Exception as error:  # told by the test's thread
            self.error = error

    def _segments(self, sender, receiver, peer):
        data = pattern(SEGMENT * SEGMENTS, self.turns)
        size = SEGMENT.to_bytes(2, sys.byteorder)
        sender.sendmsg([data], [(SOL_UDP, UDP_SEGMENT, size)], 0, peer)
        for start in range(0, len(data), SEGMENT):
            try:
                got = receiver.recv(65536)
            except TimeoutError:  # all of a super-packet or nothing
                self.lost += 1
                return
            assert got == data[start:start + SEGMENT], (start, got[:20])

    def _stream(self, sender, receiver):
        data, got = pattern(60000, self.turns), b""
        sender.sendall(data)
        while len(got) < len(data):
            got += receiver.recv(65536)
        assert got == data

    def __enter__(self):
        self.before = self.counters()
        self.thread.start()
        return self

    def counters(self):
        queue = self.lab.portico("status")["queue"]
        return (queue["gso_packets"] - queue["gso_udp_packets"],
                queue["gso_udp_packets"],
                queue["dropped"] + queue["user_dropped"])

    def __exit__(self, kind, value, trace):
        end = time.monotonic() + 5
        while self.turns < 2 and not self.error and time.monotonic() < end:
            time.sleep(0.01)
        self.stop.set()
        self.thread.join(30)
        for sock in (self.server, self.client, self.tcp_client,
                     self.tcp_server):
            sock.close()
        if kind:
            return
        assert not self.error, f"beside the probe: {self.error!r}"
        after = self.counters()
        for kind, old, new in zip(self.kinds, self.before, after):
            assert new > old, f"no super-packet of {kind} was queued"
        assert not self.lost or after[2] > self.before[2], (
            f"{self.lost} super-packets were lost")


# --- manners -----------------------------------------------------------------

def small_packets(lab):
    usual_offloads(lab)


def super_packets(lab):
    usual_offloads(lab)
    offload(lab, "gro on", "tx-udp-segmentation on")


def no_offloads(lab):
    offload(lab, *[f"{feature} off" for feature in EVERY_OFFLOAD])


# What a proof's name ends with, how the devices are set, what goes on beside.
MANNERS = {
    "with_small_packets": (small_packets, None),
    "beside_super_packets": (super_packets, Bulk),
    "without_offloads": (no_offloads, None),
}


class Tap:
    """What the gateway sends to one side, without the bulk and without what
    kernels say to each other by themselves; kept for the whole test. One
    socket for a lab's life: closing one takes the kernel long."""

    def __init__(self, space, device):
        # "less": super-packets are finished by the device, not before.
        self.capture = space.capture(
            f"ip and less 1500 and not igmp and not port {BULK_PORT} "
            f"and not host {L2}", device,
            sent=False)
        self.link = space.link_socket(device)
        self.packets = []

    def read(self):
        self.packets += self.capture.read()
        return self.packets


class View:
    """What a tap saw from some moment on."""

    def __init__(self, tap):
        self.tap = tap
        self.start = len(tap.read())

    def read(self):
        return self.tap.read()[self.start:]

    def wait(self, count, seconds=3.0):
        end = time.monotonic() + seconds
        while len(self.read()) < count and time.monotonic() < end:
            time.sleep(0.002)
        return self.read()


class Probe:
    """One proof's view of the network; a side is "lan1", "lan2" or "wan"."""

    def __init__(self, lab):
        self.lab = lab
        self.taps = lab.taps
        for tap in self.taps.values():
            tap.read()
            tap.packets = []

    def send(self, side, *packets, mac=None):
        gateway = mac or (MAC_WAN0 if side == "wan" else MAC_LAN0)
        for packet in packets:
            self.taps[side].link.send(frame(packet, gateway))

    def watch(self, side):
        return View(self.taps[side])

    def exchange(self, side, packet, there):
        """Sends one packet; returns the one that comes out at `there`."""
        view = self.watch(there)
        self.send(side, packet)
        got = view.wait(1)
        assert len(got) == 1, (f"{len(got)} packets came of "
                               f"{bytes(packet).hex()}")
        return got[0]

    @contextlib.contextmanager
    def silence(self, *expected, seconds=0.1):
        """Nothing leaves the gateway on any side while the block runs and for
        a while after it; expected: the sides that are not looked at."""
        views = {side: self.watch(side) for side in self.taps
                 if side not in expected}
        yield
        time.sleep(seconds)
        for side, view in views.items():
            packets = view.read()
            assert not packets, (
                f"{len(packets)} packets left towards {side}, the "
                f"first: {packets[0].hex()}")

    def state(self):
        status = self.lab.portico("status")
        return {key: status[key]["used"]
                for key in ("mappings", "sessions", "hosts")}

    @contextlib.contextmanager
    def no_state(self):
        before = self.state()
        yield
        assert self.state() == before, (before, self.state())

    @contextlib.contextmanager
    def dropped(self, reason, count=1):
        """The block's packets are counted as dropped for this reason."""
        before = self.lab.drops(reason)
        yield
        got = self.lab.drops(reason) - before
        assert got >= count, f"{reason} counted {got}, not {count}"

    def check(self):
        for tap in self.taps.values():
            wire.check_sound(tap.read())


def set_manner(lab, name):
    if getattr(lab, "manner", None) == name:
        return
    if not hasattr(lab, "manner"):
        lab.taps = {"lan1": Tap(lab.lan1, "eth0"),
                    "lan2": Tap(lab.lan2, "eth0"),
                    "wan": Tap(lab.wan, "up0")}
        for address, mac in ((H1, MAC_L1), (H2, MAC_L2)):
            lab.gw.ip(f"neigh replace {address} lladdr {mac} dev lan0")
    MANNERS[name][0](lab)
    lab.manner = name


# Where everything takes longer, what a test has opened must not end before it.
PATIENT = {"timeouts": {key: int(seconds * SLOW) for key, seconds in (
    ("udp", 300), ("tcp_opening", 240), ("tcp_closing", 240), ("icmp", 60))}}


class Table:
    """The proofs of one file; config: the daemon's, unless a proof starts
    it with another."""

    def __init__(self, **config):
        self.config = {**(PATIENT if SLOW > 1 else {}), **config}
        self.cases = []

    def __call__(self, *manners):
        """@table() on a proof: it is run in all manners, or in those named
        only."""
        def put(case):
            self.cases.append((case, manners or tuple(MANNERS)))
            return case
        return put

    def tests(self):
        """Test functions by their names, manner by manner."""
        return {f"test_{case.__name__}_{name}": self._test(case, name)
                for name in MANNERS
                for case, manners in self.cases if name in manners}

    def _test(self, case, name):
        def test(lab):
            lab.need_portico()
            set_manner(lab, name)
            lab.start(**self.config)
            beside = MANNERS[name][1]
            probe = Probe(lab)
            with beside(lab) if beside else contextlib.nullcontext():
                case(probe)
            probe.check()
        return limit(getattr(case, "limit", 60))(test)
