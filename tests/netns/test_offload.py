# SPDX-License-Identifier: GPL-2.0-or-later
"""Every way the kernel packs packets together: what arrives is what was
sent, byte by byte and datagram by datagram."""
import contextlib
import errno
import os

from lab import E, L1, L2, R1
from netns import SLOW
from tools import EVERY_OFFLOAD, Who, ask, download, httpd, limit, offload, \
    pattern, random_file, upload, usual_offloads

MB = 1000 * 1000
UDP_SEGMENT = 103
SOL_UDP = 17
FORWARDS = [{"name": "media", "proto": "udp", "outside": 7777,
             "to": f"{L1}:7777"}]


def collect(sock, count):
    """count datagrams, or those that come within a second of each other."""
    got = []
    sock.settimeout(1 * SLOW)
    while len(got) < count:
        try:
            got.append(sock.recv(65536))
        except TimeoutError:
            break
    return got


def send(sender, peer, pieces):
    """One super-datagram; all pieces but the last are of one size."""
    size = len(pieces[0]).to_bytes(2, os.sys.byteorder)
    try:
        sender.sendmsg([b"".join(pieces)], [(SOL_UDP, UDP_SEGMENT, size)], 0,
                       peer)
    except OSError as error:
        # Before 6.11 not by a device that computes no checksums.
        if error.errno != errno.EIO:
            raise
        for piece in pieces:
            sender.sendto(piece, peer)


def segments(sender, receiver, peer, size, count, seed, turns=10):
    """Super-datagrams of `count` segments: the receiver gets each segment
    as a datagram of its own, intact and in order."""
    lost = 0
    for turn in range(turns):
        pieces = [pattern(size, f"{seed} {turn} {n}") for n in range(count)]
        pieces[-1] = pieces[-1][:size // 2]  # the last may be shorter
        send(sender, peer, pieces)
        got = collect(receiver, count)
        for piece in got:
            assert piece in pieces, (
                f"turn {turn}: a datagram of {len(piece)} bytes that was "
                f"never sent")
        lost += count - len(got)
    assert lost == 0, f"{lost} of {count * turns} datagrams were lost"


def check_segments(lab):
    server = lab.wan.udp(R1, 7070)
    host = lab.lan1.udp(L1, 5070)
    host.sendto(b"hello", (R1, 7070))
    _, outside = server.recvfrom(100)
    # A kernel that cannot do it (before 6.11) shows at the first, which is
    # lost.
    send(host, (R1, 7070), [pattern(1000), pattern(1000, 1)])
    collect(server, 2)
    for size, count in ((1200, 20), (1472, 40), (100, 60), (333, 7)):
        segments(host, server, (R1, 7070), size, count, "out")
        segments(server, host, outside, size, count, "in")
    host.close()
    forwarded = lab.lan1.udp(L1, 7777)
    segments(server, forwarded, (E, 7777), 1000, 30, "forward")
    if lab.nat == "portico":
        hairpin = lab.lan2.udp(L2, 5071)
        segments(hairpin, forwarded, (E, 7777), 1000, 30, "hairpin")
        hairpin.close()
    forwarded.close()
    server.close()


def check_all(lab, **config):
    lab.start(forwards=FORWARDS, fresh=True, **config)
    check_segments(lab)
    with httpd(lab.wan, R1):
        download(lab.lan1, f"http://{R1}", 20 * MB, lab.directory)
        upload(lab.lan1, f"http://{R1}",
               random_file(lab.directory, 20 * MB))
    with Who(lab.wan, udp=[(R1, 7072)]):
        sock = lab.lan2.udp(L2, 5072)
        for number in range(5):
            ask(sock, (R1, 7072), pattern(8192, number))
            ask(sock, (R1, 7072), pattern(1 + number, number))
        sock.close()


@contextlib.contextmanager
def merging(lab, *features):
    """Senders send single packets; the gateway's devices merge them, which
    is checked to happen."""
    usual_offloads(lab)
    for space, device in ((lab.lan1, "eth0"), (lab.lan2, "eth0"),
                          (lab.wan, "up0")):
        space.run("ethtool", "-K", device, "tso", "off",
                  "tx-udp-segmentation", "off")
    offload(lab, "gro on", *features)
    try:
        with lab.gw.capture("udp and greater 1501 and dst port 7070",
                            "p1") as udp, \
                lab.gw.capture("tcp and greater 1501", "p1") as tcp:
            yield
            assert tcp.wait(1, 0.1), "TCP was not merged, nothing was tested"
            if features:
                assert udp.wait(1, 0.1), "UDP was not merged"
    finally:
        for space, device in ((lab.lan1, "eth0"), (lab.lan2, "eth0"),
                              (lab.wan, "up0")):
            space.run("ethtool", "-K", device, "tx-udp-segmentation", "on")
        usual_offloads(lab)


@limit(90)
def test_with_the_usual_offloads(lab):
    usual_offloads(lab)
    check_all(lab)


@limit(90)
def test_with_gro(lab):
    with merging(lab):
        check_all(lab)


@limit(90)
def test_with_gro_that_forwards_udp(lab):
    with merging(lab, "rx-udp-gro-forwarding on"):
        check_all(lab)


@limit(90)
def test_with_fraglist_gro(lab):
    with merging(lab, "rx-gro-list on"):
        check_all(lab)


@limit(90)
def test_with_every_offload_switched_off(lab):
    offload(lab, *[f"{feature} off" for feature in EVERY_OFFLOAD])
    try:
        check_all(lab)
    finally:
        usual_offloads(lab)


@limit(90)
def test_with_the_queue_told_not_to_use_gso(lab):
    lab.need_portico()
    usual_offloads(lab)
    check_all(lab, queue={"gso": "off"})
    assert not lab.portico("status")["queue"]["gso"]
