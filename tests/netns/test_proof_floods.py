# SPDX-License-Identifier: GPL-2.0-or-later
"""The outside's worst, through the kernel: a million spoofed datagrams, a
million SYNs, 100,000 orphan fragments a second. See proof.py.

The sender paces itself; what the queue cannot take it drops and counts, so a
flood proves as much as reached the engine, and how much that was is judged.
"""
import json
import os
import threading
import time

from scapy.layers.inet import IP, TCP, UDP

from daemon import BUILD
from lab import E, L1, MAC_WAN0, R1, address, port
from netns import wait_for
from proof import H1, P1, Table
from test_proof_fragments import one_by_one
from tools import Who, limit

FLOOD = os.path.join(BUILD, "tests", "netns", "flood")
MILLION = 1000 * 1000
RATE = 300 * 1000
ORPHANS = 100 * 1000
# What may reach the engine of a flood on a machine with other work to do.
SHARE = 0.3
# The daemon's memory may grow by pages that are touched for the first time
# only: rows of its tables lie untouched until they are used, and a batch of 64
# packets may never have been full before. Neither is per packet: a table of
# sessions alone would grow by more than 100 MB in a million packets.
GROWTH_KB = 512
# The store of waiting fragments (1 MiB) and, beside super-packets, the batch's
# 64 buffers of 66 KB are touched only as they are used.
STORE_KB = 1024 + 64 * 66

proof = Table()


def flood(probe, kind, ports, packets, rate):
    done = probe.lab.wan.run(FLOOD, "up0", MAC_WAN0, kind, E,
                             ",".join(map(str, ports)), packets, rate,
                             timeout=90)
    assert json.loads(done.stdout)["packets"] == packets, done


def queue(probe):
    """(packets judged, packets the kernel dropped) of the queue, once
    nothing waits in it."""
    def settled():
        counts = probe.lab.portico("status")["queue"]
        return not counts["waiting"] and counts

    counts = wait_for("an empty queue", settled, 20)
    return counts["packets"], counts["dropped"] + counts["user_dropped"]


def resident_kb(probe):
    with open(f"/proc/{probe.lab.daemon.process.pid}/status") as file:
        return next(int(line.split()[1]) for line in file
                    if line.startswith("VmRSS:"))


def huge_page_kb():
    """What the kernel may add by itself where it makes huge pages of small ones
    that nobody asked for."""
    try:
        with open("/sys/kernel/mm/transparent_hugepage/enabled") as file:
            return 2048 if "[always]" in file.read() else 0
    except FileNotFoundError:
        return 0


def everything(probe):
    status = probe.lab.portico("status")
    return probe.state(), {kind: (row["used"], row["held"])
                           for kind, row in status["ports"].items()}


def check_million(probe, kind, ports):
    """The flood arrives, and leaves nothing behind."""
    before = everything(probe)
    flood(probe, kind, ports, 20000, RATE)  # the batch's buffers
    memory = resident_kb(probe)
    judged, dropped = queue(probe)
    flood(probe, kind, ports, MILLION, RATE)
    now_judged, now_dropped = queue(probe)
    judged, dropped = now_judged - judged, now_dropped - dropped
    assert judged >= MILLION * SHARE, (judged, dropped)
    # None went astray before the queue.
    assert judged + dropped >= MILLION, (judged, dropped)
    assert everything(probe) == before, (before, everything(probe))
    grown = resident_kb(probe) - memory
    assert grown <= GROWTH_KB + huge_page_kb(), f"{grown} KB more after {judged} packets"
    return judged


def open_flow(probe, proto, sport):
    out = probe.exchange("lan1", IP(src=H1, dst=P1) / proto(
        sport=sport, dport=7000), "wan")
    assert address(out, 12) == E
    return port(out, 0)


@proof("with_small_packets")
@limit(120)
def rfc6146_5_3_a_million_spoofed_datagrams_leave_nothing_behind(probe):
    """They pass: the filtering is endpoint-independent."""
    number = open_flow(probe, UDP, 5401)
    seen = probe.lab.lan1.capture(f"udp and dst host {H1} and src net "
                                  f"8.0.0.0/8", "eth0")
    judged = check_million(probe, "udp", [number])
    passed = len(seen.read())
    seen.close()
    assert passed, f"none of {judged} datagrams reached the host"
    assert probe.lab.drops("filtered_address") == 0


def syn_drops(probe):
    return [probe.lab.drops(reason)
            for reason in ("no_mapping", "filtered_address")]


@proof("with_small_packets")
@limit(120)
def rfc5382_req4_a_million_syns_leave_nothing_behind(probe):
    """To a port without a mapping, and to one that filters; where they hear
    nothing, and where some are kept to be told after 6 s."""
    number = open_flow(probe, TCP, 5402)
    ports = [number, number + 20000]
    before, view = syn_drops(probe), probe.watch("wan")
    flood(probe, "syn", ports, 100000, RATE)
    queue(probe)
    time.sleep(0.2)
    # No RST and no ICMP.
    assert view.read() == [], view.read()[0].hex()
    probe.lab.daemon.reload({**proof.config,
                             "behaviour": {"icmp_after_6s": True}})
    judged = check_million(probe, "syn", ports)
    after = syn_drops(probe)
    assert sum(after) - sum(before) >= judged, (before, after)
    assert all(b > a for a, b in zip(before, after)), (before, after)
    # Those that are kept are few: the last ones, when their time has come.
    told = view.read()
    assert len(told) <= 64, len(told)
    assert all(p[20:22] == b"\x03\x03" for p in told), told
    probe.lab.daemon.reload(proof.config)


class Flow:
    """An established flow: requests 200 times a second, each answered."""

    def __init__(self, probe, sport):
        self.sock = probe.lab.lan1.udp(L1, sport, timeout=1)
        self.sent = self.lost = 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self.stop.wait(0.005):
            self.sent += 1
            data = b"%d" % self.sent
            self.sock.sendto(data, (R1, 7002))
            try:
                while not self.sock.recv(100).endswith(b" " + data):
                    pass
            except TimeoutError:
                self.lost += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_exc):
        self.stop.set()
        self.thread.join(5)
        self.sock.close()


def check_orphans(probe, packets):
    _, dropped = queue(probe)
    with Flow(probe, 5410) as flow:
        flood(probe, "orphan", [1], packets, ORPHANS)
    _, now_dropped = queue(probe)
    assert flow.sent > 30, flow.sent
    # On a busy machine the daemon may not run for as long as it takes to
    # fill the queue; that loses packets, but no other does.
    few = 1 + flow.sent // 20 if now_dropped > dropped else 0
    assert flow.lost <= few, (flow.lost, flow.sent, now_dropped - dropped)


@proof()
def rfc4787_req14a_orphan_fragments_do_not_disturb_a_flow(probe):
    """As the kernel keeps them back, and each one in the queue."""
    with Who(probe.lab.wan, udp=[(R1, 7002)]):
        check_orphans(probe, ORPHANS)
        state, memory = everything(probe), resident_kb(probe)
        before, _ = queue(probe)
        with one_by_one(probe):
            check_orphans(probe, 2 * ORPHANS)
        judged, _ = queue(probe)
        assert judged - before >= 2 * ORPHANS * SHARE, judged - before
        assert everything(probe) == state, (state, everything(probe))
        grown = resident_kb(probe) - memory
        assert grown <= GROWTH_KB + STORE_KB, f"{grown} KB more"


globals().update(proof.tests())
