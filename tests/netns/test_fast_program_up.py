# SPDX-License-Identifier: GPL-2.0-or-later
"""What the fast path's program leaves to the queue, and leaves as it was: here
the kernel forwards it untranslated, or takes it for the gateway's own."""
import contextlib
import os
import socket
import struct
import time

from fastpath import IN, OUT, bed
from lab import E, GW, L1, L3, NEXT_HOP, R1, R2, R6, quote
from netns import wait_for
from test_fast_program import INSIDE, OUTSIDE, PEER, TTL, arrives, \
    carried_in, carried_out, packet
from tools import frame, limit, usual_offloads
from wire import TCP, UDP, fragment_offset, more_fragments, with_ttl, \
    with_header_checksum

LAB = {"nat": "forward", "second": True}
UDPLITE = 136


def uses(lab):
    return lab.bed.fast.use(1, OUT), lab.bed.fast.use(1, IN)


def forwarded(lab, what, sent, by=L1):
    """Untranslated, and counted nowhere."""
    before = uses(lab)
    with lab.wan.capture(f"ip[8] = {TTL - 1}", "up0", sent=False) as capture:
        lab.bed.send_out(sent, by=by)
        got = capture.wait(1)
    wanted = with_ttl(sent, TTL - 1)
    assert got == [wanted], f"{what}: {[g.hex() for g in got]} in place of " \
        f"{wanted.hex()}"
    assert uses(lab) == before, f"{what}: was counted"


def delivered(lab, what, sent):
    """The gateway itself takes it, as it was."""
    before = uses(lab)
    with contextlib.closing(lab.gw.socket(
            socket.SOCK_RAW, proto=sent[9], timeout=3)) as raw:
        lab.bed.send_in(sent)
        while True:
            try:
                got = raw.recv(65536)
            except TimeoutError:
                raise AssertionError(f"{what}: not delivered") from None
            if got[8] == sent[8]:
                break
    assert got == sent, f"{what}: {got.hex()} in place of {sent.hex()}"
    assert uses(lab) == before, f"{what}: was counted"


def vanishes(lab, what, send, space=None, device="up0"):
    """Neither carried nor forwarded."""
    before = uses(lab)
    with (space or lab.wan).capture(f"ip[8] = {TTL - 1}", device,
                                    sent=False) as capture:
        send()
        got = capture.wait(1, 0.3)
    assert not got, f"{what}: {got[0].hex()}"
    assert uses(lab) == before, f"{what}: was counted"


def changed(sent, offset, form, value):
    size = struct.calcsize(form)
    return with_header_checksum(sent[:offset] + struct.pack(form, value)
                                + sent[offset + size:])


def unfit(proto, source, destination):
    """(what, packet) that no session is to carry."""
    good = packet(proto, source, destination)
    other = (R2, 7000)
    away = (source, other) if destination == PEER else (other, destination)
    yield "a first fragment", packet(proto, source, destination, flags="MF")
    yield "a later fragment", packet(proto, source, destination, frag=3)
    yield "options", packet(proto, source, destination,
                            options=[b"\x01\x01\x01\x00"])
    yield "another peer", packet(proto, *away)
    yield "another source port", packet(
        proto, (source[0], source[1] + 1), destination)
    yield "another destination port", packet(
        proto, source, (destination[0], destination[1] + 1))
    yield "another protocol", packet(TCP + UDP - proto, source, destination)
    yield "UDP-Lite", changed(good, 9, "B", UDPLITE)
    yield "ICMP", changed(good, 9, "B", 1)
    # For both protocols, whose words these are.
    if proto == UDP:
        yield "a length beyond the packet", changed(good, 24, "!H", 17)
        yield "a length below the header", changed(good, 24, "!H", 7)
    else:
        for name, bits in (("SYN", 2), ("SYN ACK", 0x12), ("FIN", 0x11),
                           ("RST", 4)):
            yield name, changed(good, 33, "B", bits)
        yield "a short header", changed(good, 32, "B", 4 << 4)
        yield "a header beyond the packet", changed(good, 32, "B", 15 << 4)


@limit(120)
def test_unfit_outbound_packets(lab):
    own = bed(lab)
    for proto in (TCP, UDP):
        own.fast.carry(1, proto, INSIDE, OUTSIDE, PEER)
        carried_out(lab, packet(proto, INSIDE, PEER))
        for what, sent in unfit(proto, INSIDE, PEER):
            forwarded(lab, what, sent)
        carried_out(lab, packet(proto, INSIDE, PEER))


@limit(120)
def test_unfit_inbound_packets(lab):
    own = bed(lab)
    for proto in (TCP, UDP):
        own.fast.carry(1, proto, INSIDE, OUTSIDE, PEER)
        carried_in(lab, packet(proto, PEER, OUTSIDE))
        for what, sent in unfit(proto, PEER, OUTSIDE):
            if "fragment" in what:  # the kernel keeps it
                vanishes(lab, what, lambda: own.send_in(sent), lab.lan1,
                         "eth0")
            elif "another peer" in what and proto == TCP:
                pass  # R2 is as good as R1 to the gateway's own sockets
            else:
                delivered(lab, what, sent)
        carried_in(lab, packet(proto, PEER, OUTSIDE))


def test_options_that_look_like_ports(lab):
    """What would be a segment of the session, were there no options. (The
    kernel finds them wrong.)"""
    from scapy.layers.inet import IP, TCP as Tcp
    own = bed(lab)
    own.fast.carry(1, TCP, INSIDE, OUTSIDE, PEER)
    ports = struct.pack("!HH", INSIDE[1], PEER[1])
    looks = bytes(IP(src=L1, dst=R1, ttl=TTL) / Tcp(flags="A", ack=0x50100000,
                                                   sport=1, dport=2))
    looks = with_header_checksum(
        b"\x46" + looks[1:2] + struct.pack("!H", len(looks) + 4) + looks[4:20]
        + ports + looks[20:])
    vanishes(lab, "options", lambda: own.send_out(looks))


def test_a_cut_packet(lab):
    own = bed(lab)
    for proto in (TCP, UDP):
        own.fast.carry(1, proto, INSIDE, OUTSIDE, PEER)
        whole = packet(proto, INSIDE, PEER)
        for length in (10, 20, 24, 27, 28, len(whole) - 1):
            vanishes(lab, f"{length} bytes",
                     lambda: own.send_out(whole[:length]))


def test_a_wrong_header_checksum(lab):
    """The kernel drops it (RFC 1812 5.2.2)."""
    own = bed(lab)
    for proto in (TCP, UDP):
        own.fast.carry(1, proto, INSIDE, OUTSIDE, PEER)
        for offset in (1, 5, 11):  # type of service, id, the sum itself
            for source, to, send, space, device in (
                    (INSIDE, PEER, own.send_out, lab.wan, "up0"),
                    (PEER, OUTSIDE, own.send_in, lab.lan1, "eth0")):
                bad = bytearray(packet(proto, source, to))
                bad[offset] ^= 4
                vanishes(lab, f"byte {offset}", lambda: send(bytes(bad)),
                         space, device)
        carried_out(lab, packet(proto, INSIDE, PEER))
        carried_in(lab, packet(proto, PEER, OUTSIDE))


def test_the_last_hop(lab):
    """The gateway says itself that the time is exceeded."""
    own = bed(lab)
    for ttl in (0, 1):
        own.fast.carry(1, UDP, INSIDE, OUTSIDE, PEER)
        with lab.lan1.capture("icmp[0] = 11", "eth0") as capture:
            own.send_out(packet(UDP, INSIDE, PEER, ttl=ttl))
            got = capture.wait(1, 1)
        # The kernel answers to both.
        assert got and quote(got[0])[2] == GW, got
        assert own.fast.use(1, OUT) == (0, 0)
        delivered(lab, "the last hop", packet(UDP, PEER, OUTSIDE, ttl=ttl))


def test_a_session_that_is_not_there(lab):
    own = bed(lab)
    sent = packet(UDP, INSIDE, PEER)
    back = packet(UDP, PEER, OUTSIDE)
    own.fast.carry(1, UDP, INSIDE, OUTSIDE, PEER)
    carried_out(lab, sent)
    for what, change in (
            ("a slot that is not live", lambda: own.fast.live(1, 0)),
            ("an empty bucket", lambda: bed(lab)),
            ("a bucket that is not marked", own.fast.unmark),
            ("another's slot", lambda: own.fast.carry(
                1, UDP, (L3, 40000), (E, 50001), PEER))):
        own.fast.carry(1, UDP, INSIDE, OUTSIDE, PEER)
        carried_out(lab, sent)
        change()
        forwarded(lab, what, sent)
        delivered(lab, what, back)


def test_a_daemon_that_is_dead(lab):
    own = bed(lab)
    inside = [own.lan0, own.lan1]
    own.fast.carry(1, UDP, INSIDE, OUTSIDE, PEER)
    for what, head in (
            ("dead for a second", {"uplink": own.wan0, "alive": -1}),
            ("never alive", {"uplink": own.wan0, "alive": -1e9}),
            ("without an uplink", {"uplink": 0}),
            ("of another uplink", {"uplink": 1}),
            ("without a session", {"uplink": own.wan0, "sessions": 0})):
        own.fast.head(inside=inside, **head)
        forwarded(lab, what, packet(UDP, INSIDE, PEER))
        delivered(lab, what, packet(UDP, PEER, OUTSIDE))
    own.fast.head(own.wan0, inside)
    carried_out(lab, packet(UDP, INSIDE, PEER))


@contextlib.contextmanager
def moved(lab):
    """Routing has L1 behind the other inside device."""
    lab.gw.ip(f"neigh replace {L1} dev lan1 lladdr 02:00:00:00:00:23 "
              "nud permanent")
    lab.gw.ip(f"route add {L1}/32 dev lan1")
    try:
        yield
    finally:
        lab.gw.ip(f"route del {L1}/32 dev lan1")


def without_filter(lab):
    for device in ("all", "lan0", "lan1"):
        lab.gw.sysctl(f"net.ipv4.conf.{device}.rp_filter", 0)


def test_the_wrong_inside_device(lab):
    own = bed(lab)
    sent = packet(UDP, INSIDE, PEER)
    without_filter(lab)
    own.fast.carry(1, UDP, INSIDE, OUTSIDE, PEER)
    forwarded(lab, "routing not asked before", sent, by=L3)
    assert own.fast.inside(1) == own.lan0
    forwarded(lab, "routing asked before", sent, by=L3)
    carried_out(lab, sent)
    # What comes in says where the host is now.
    with moved(lab):
        own.send_in(packet(UDP, PEER, OUTSIDE))
        wait_for("a packet", lambda: own.fast.use(1, IN)[0] == 1)
        assert own.fast.inside(1) == own.lan1
        forwarded(lab, "a host that has moved", sent)
    carried_in(lab, packet(UDP, PEER, OUTSIDE))
    carried_out(lab, sent)


def test_a_host_that_moves_in_silence(lab):
    """Nothing comes in for it: routing is asked again every second."""
    own = bed(lab)
    sent = packet(UDP, INSIDE, PEER)
    without_filter(lab)
    own.fast.carry(1, UDP, INSIDE, OUTSIDE, PEER)
    carried_out(lab, sent)
    with moved(lab):
        time.sleep(1.2)
        forwarded(lab, "by the device of before", sent)
        assert own.fast.inside(1) == own.lan1
    time.sleep(1.2)
    carried_out(lab, sent)
    lab.gw.ip(f"route add blackhole {L1}/32")
    try:
        time.sleep(1.2)
        forwarded(lab, "a host that is cut off", sent)
    finally:
        lab.gw.ip(f"route del blackhole {L1}/32")
    carried_out(lab, sent)


def test_packets_larger_than_their_own_device_s(lab):
    """What came in by a device may be larger than what leaves by it; routing is
    asked about the device alone."""
    own = bed(lab)
    own.fast.carry(1, UDP, INSIDE, OUTSIDE, PEER)
    lab.gw.ip("link set lan0 mtu 1300")
    try:
        carried_out(lab, packet(UDP, INSIDE, PEER, bytes(1400)))
    finally:
        lab.gw.ip("link set lan0 mtu 1500")


def test_a_device_that_is_no_inside_device(lab):
    own = bed(lab)
    own.fast.head(own.wan0, [own.lan1])
    own.fast.carry(1, UDP, INSIDE, OUTSIDE, PEER)
    forwarded(lab, "out", packet(UDP, INSIDE, PEER))
    delivered(lab, "in", packet(UDP, PEER, OUTSIDE))
    assert own.fast.inside(1) == 0


def test_a_route_that_leads_elsewhere(lab):
    own = bed(lab)
    own.fast.carry(1, UDP, INSIDE, OUTSIDE, PEER)
    lab.gw.ip(f"neigh replace {R1} dev lan1 lladdr 02:00:00:00:00:23 "
              "nud permanent")
    for route in (f"{R1}/32 dev lan1", f"blackhole {R1}/32",
                  f"local {R1}/32 dev lo"):
        lab.gw.ip(f"route add {route}")
        try:
            vanishes(lab, route, lambda: own.send_out(
                packet(UDP, INSIDE, PEER)))
        finally:
            lab.gw.ip(f"route del {route}")
    for device in ("lan0", "wan0"):
        setting = f"net.ipv4.conf.{device}.forwarding"
        lab.gw.sysctl(setting, 0)
        try:
            if device == "lan0":
                vanishes(lab, setting, lambda: own.send_out(
                    packet(UDP, INSIDE, PEER)))
            else:
                delivered(lab, setting, packet(UDP, PEER, OUTSIDE))
        finally:
            lab.gw.sysctl(setting, 1)
    carried_out(lab, packet(UDP, INSIDE, PEER))


def test_a_next_hop_of_ipv6(lab):
    own = bed(lab)
    own.fast.carry(1, UDP, INSIDE, OUTSIDE, PEER)
    lab.gw.ip(f"neigh replace {R6} dev wan0 lladdr 02:00:00:00:00:13 "
              "nud permanent")
    lab.gw.ip(f"route add {R1}/32 via inet6 {R6} dev wan0")
    try:
        forwarded(lab, "out", packet(UDP, INSIDE, PEER))
    finally:
        lab.gw.ip(f"route del {R1}/32 via inet6 {R6} dev wan0")


def test_a_next_hop_that_is_not_known_yet(lab):
    own = bed(lab)
    peer = (NEXT_HOP, 7000)
    own.fast.carry(1, UDP, INSIDE, OUTSIDE, peer)
    lab.gw.ip(f"neigh del {NEXT_HOP} dev wan0")
    try:
        # The kernel asks who it is, and then forwards.
        forwarded(lab, "the first", packet(UDP, INSIDE, peer))
        carried_out(lab, packet(UDP, INSIDE, peer))
    finally:
        lab.gw.ip(f"neigh replace {NEXT_HOP} dev wan0 lladdr "
                  "02:00:00:00:00:13 nud permanent")


def test_frames_for_others(lab):
    own = bed(lab)
    own.fast.carry(1, UDP, (L3, 40000), OUTSIDE, PEER)
    sent = packet(UDP, (L3, 40000), PEER)
    lab.gw.ip("link set lan1 promisc on")
    try:
        for to in ("02:00:00:00:00:99", "ff:ff:ff:ff:ff:ff",
                   "01:00:5e:00:00:01"):
            vanishes(lab, to, lambda: own.send_out(sent, by=L3, to=to))
    finally:
        lab.gw.ip("link set lan1 promisc off")
    carried_out(lab, sent, by=L3)


def test_a_vlan_tag(lab):
    own = bed(lab)
    own.fast.carry(1, UDP, (L3, 40000), OUTSIDE, PEER)
    plain = frame(packet(UDP, (L3, 40000), PEER), own.mac_lan1())
    tagged = plain[:12] + b"\x81\0\0\x07" + plain[12:]
    vanishes(lab, "a tag", lambda: own.hosts[L3].send(tagged))
    own.hosts[L3].send(plain)
    wait_for("a packet", lambda: own.fast.use(1, OUT)[0] == 1)


def test_a_packet_too_large_for_the_uplink(lab):
    own = bed(lab)
    own.fast.carry(1, UDP, INSIDE, OUTSIDE, PEER)
    lab.gw.ip("link set wan0 mtu 1300")
    try:
        carried_out(lab, packet(UDP, INSIDE, PEER, bytes(1272), flags="DF"))
        before = uses(lab)
        large = packet(UDP, INSIDE, PEER, bytes(1273), flags="DF")
        with lab.lan1.capture("icmp[0] = 3", "eth0") as capture:
            own.send_out(large)
            got = capture.wait(1, 2)
        assert len(got) == 1, "nobody said that it is too large"
        kind, code, by, _, quoted, mtu = quote(got[0])
        assert (kind, code, by, mtu & 0xffff) == (3, 4, GW, 1300)
        assert quoted[12:16] == socket.inet_aton(L1)
        got = arrives(lab, lab.wan, "up0", lambda: own.send_out(
            packet(UDP, INSIDE, PEER, bytes(1273))), 2)
        assert more_fragments(got[0]) and fragment_offset(got[1])
        assert got[0][12:16] == socket.inet_aton(L1)
        assert uses(lab) == before
    finally:
        lab.gw.ip("link set wan0 mtu 1500")


def super_datagram(lab, discover):
    with contextlib.closing(lab.lan1.udp(*INSIDE)) as sock:
        sock.setsockopt(socket.IPPROTO_IP, 10, discover)  # IP_MTU_DISCOVER
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, TTL)
        sock.sendmsg([os.urandom(5000)], [(17, 103, struct.pack("=H", 1000))],
                     0, PEER)


def test_super_packets(lab):
    """With DF they are carried; without, each segment needs an id."""
    own = bed(lab)
    usual_offloads(lab)
    lab.wan.run("ethtool", "-K", "up0", "gro", "off")
    for discover, source in ((2, E), (0, L1)):
        own.fast.carry(1, UDP, INSIDE, OUTSIDE, PEER)
        with lab.wan.capture(f"ip[8] = {TTL - 1}", "up0",
                             sent=False) as capture, \
                lab.gw.capture(f"ip[8] = {TTL} and greater 5000",
                               "lan0") as whole:
            super_datagram(lab, discover)
            got = capture.wait(1)
            assert whole.wait(1), "it came in pieces, nothing was tested"
        assert got, "nothing arrived"
        for one in got:
            assert one[12:16] == socket.inet_aton(source), one.hex()
        assert own.fast.use(1, OUT)[0] == (1 if source == E else 0)


