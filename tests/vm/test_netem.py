# SPDX-License-Identifier: GPL-2.0-or-later
"""A line that loses, repeats and reorders: nothing is made up, nothing is
changed, and what is repeated counts as often as it came. (A line that does
all at once carries transfers in test_nftables.)"""
import contextlib
import json
import socket
import time

from lab import L1, R1
from netns import SLOW, SO_RCVBUFFORCE
from test_nftables import lost
from tools import download, httpd, limit, random_file, upload

MB = 1000 * 1000


@contextlib.contextmanager
def line(lab, *netem):
    """What goes in and out on the outside link passes netem; single packets,
    as no end hands the link more than a segment."""
    ends = ((lab.wan, "up0"), (lab.gw, "wan0"))
    for space, device in ends:
        space.run("tc", "qdisc", "add", "dev", device, "root", "netem",
                  "limit", "20000", *netem)
        space.run("ethtool", "-K", device, "tso", "off", "gso", "off")
    lab.lan1.run("ethtool", "-K", "eth0", "tso", "off", "gso", "off")
    try:
        yield ends
    finally:
        for space, device in ends:
            space.run("tc", "qdisc", "del", "dev", device, "root")
            space.run("ethtool", "-K", device, "tso", "on", "gso", "on")
        lab.lan1.run("ethtool", "-K", "eth0", "tso", "on", "gso", "on")


def transfers(lab, count, *netem):
    lab.start()
    with httpd(lab.wan, R1), line(lab, *netem) as ends:
        download(lab.lan1, f"http://{R1}", count, lab.directory, timeout=80)
        upload(lab.lan1, f"http://{R1}", random_file(lab.directory, count),
               timeout=80)
        return [lost(space, device) for space, device in ends]


@limit(180)
def test_tcp_is_intact_over_a_line_that_loses(lab):
    losses = transfers(lab, 4 * MB, "delay", "2ms", "loss", "1%")
    assert all(count > 5 for count in losses), losses


@limit(180)
def test_tcp_is_intact_over_a_line_that_reorders(lab):
    transfers(lab, 4 * MB, "delay", "5ms", "reorder", "30%", "50%")


@limit(180)
def test_tcp_is_intact_over_a_line_that_repeats(lab):
    transfers(lab, 4 * MB, "delay", "1ms", "duplicate", "20%")


def session(lab):
    (row,) = [row for row in lab.portico("sessions")["sessions"]
              if row["inside"] == f"{L1}:5960"]
    return row


def roomy(sock):
    """Holds all that comes until it is read."""
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
    return sock


def collect(sock, seconds=1.0):
    """What comes until nothing comes for so long."""
    came = []
    sock.settimeout(seconds * SLOW)
    with contextlib.suppress(TimeoutError):
        while True:
            came.append(sock.recvfrom(100))
    return came


@limit(120)
def test_repeated_datagrams_are_counted_as_often_as_they_come(lab):
    """Each is translated, and the session's figures are those of the link's
    two ends."""
    lab.start(fresh=True)
    server, host = roomy(lab.wan.udp(R1, 7960)), roomy(
        lab.lan1.udp(L1, 5960))
    with line(lab, "duplicate", "40%", "delay", "3ms", "reorder", "30%"):
        for number in range(200):
            host.sendto(b"%d" % number, (R1, 7960))
            time.sleep(0.001)
        out = collect(server)
        peers = {peer for _, peer in out}
        assert len(peers) == 1, peers
        assert {data for data, _ in out} == {b"%d" % n for n in range(200)}
        assert len(out) > 220, len(out)
        for number in range(200):
            server.sendto(b"%d" % number, out[0][1])
            time.sleep(0.001)
        back = collect(host)
        assert {data for data, _ in back} == {b"%d" % n for n in range(200)}
        row = session(lab)
    # netem repeats behind the gateway what leaves, before it what comes.
    assert row["out_packets"] == 200, row
    assert row["in_packets"] == len(back) > 220, (row, len(back))
    assert not lab.portico("status")["drops"], lab.portico("status")
    host.close()
    server.close()


@limit(120)
def test_fragments_out_of_order_come_whole_or_not_at_all(lab):
    lab.start(fresh=True)
    server, host = roomy(lab.wan.udp(R1, 7961)), lab.lan1.udp(L1, 5961)
    payload = json.dumps(list(range(1500))).encode()[:6000]
    with line(lab, "delay", "3ms", "reorder", "40%", "50%", "duplicate",
              "10%"):
        for number in range(60):
            host.sendto(b"%03d" % number + payload, (R1, 7961))
            time.sleep(0.005 * SLOW)
        server.settimeout(1 * SLOW)
        came = []
        with contextlib.suppress(TimeoutError):
            while True:
                came.append(server.recv(65536))
    assert all(data[3:] == payload for data in came)
    assert len({data[:3] for data in came}) > 50, len(came)
    host.close()
    server.close()
