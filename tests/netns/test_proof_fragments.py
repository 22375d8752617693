# SPDX-License-Identifier: GPL-2.0-or-later
"""Fragments in any order (RFC 4787 REQ-14), as the kernel puts them together
before the queue, and one by one. See proof.py."""
import contextlib
import itertools

from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment

import wire
from lab import E, address, port
from proof import H1, H2, P1, Table
from tools import pattern

proof = Table(forwards=[{"name": "web", "proto": ["tcp", "udp"],
                         "outside": 8080, "to": f"{H2}:80"}])
# Where fragments are marked as untracked before conntrack puts them
# together, the queue sees each by itself.
SINGLE = """table ip single {
  chain first {
    type filter hook prerouting priority -450;
    ip frag-off & 0x3fff != 0 notrack
  }
}"""
_ids = itertools.count(1000)


@contextlib.contextmanager
def one_by_one(probe):
    probe.lab.gw.run("nft", "-f", "-", input=SINGLE)
    try:
        yield
    finally:
        # The chain stays: when a hook goes, the kernel drops what is queued.
        probe.lab.gw.run("nft", "flush", "table", "ip", "single")


def both_ways(case):
    """The proof with fragments put together, then with single ones."""
    def proof_of_both(probe):
        case(probe)
        with one_by_one(probe):
            case(probe)
    proof_of_both.__name__ = case.__name__
    return proof()(proof_of_both)


def cut(packet, size=800, **ip):
    whole = packet.copy()
    whole.id = next(_ids)
    for key, value in ip.items():
        setattr(whole, key, value)
    return fragment(whole, fragsize=size)


ORDERS = {
    "in order": lambda a, b: a + b,
    "reversed": lambda a, b: a[::-1] + b[::-1],
    "the first one last": lambda a, b: a[1:] + a[:1] + b[1:] + b[:1],
    "interleaved": lambda a, b: [p for pair in zip(a, b) for p in pair],
    "interleaved, reversed": lambda a, b: [
        p for pair in zip(a[::-1], b[::-1]) for p in pair],
}


def check_cross(probe, side, there, one, two, rewritten):
    """Both packets, cut and sent in every order, arrive whole; rewritten:
    (source, target, transport bytes 0 to 3) of what arrives of each."""
    for name, order in ORDERS.items():
        view = probe.watch(there)
        probe.send(side, *order(cut(one), cut(two)))
        got = wire.whole(view.wait(6))
        assert len(got) == 2, (name, len(got), [
            p[:28].hex() for p in view.read()])
        for packet, wanted, way in zip(sort(got), sort([one, two]),
                                       rewritten):
            assert (address(packet, 12), address(packet, 16)) == way[:2]
            assert wire.payload(packet)[:4] in way[2], packet[:28].hex()
            assert wire.payload(packet)[8:] == wire.payload(wanted)[8:], name


def sort(packets):
    return sorted(map(bytes, packets), key=lambda p: wire.payload(p)[8:])


def datagrams(make):
    """Two packets that differ in their data, sorted as sort() does."""
    return sort_by_data([make(pattern(2000, seed)) for seed in (1, 2)])


def sort_by_data(packets):
    return sorted(packets, key=lambda p: wire.payload(bytes(p))[8:])


def any_ports(*pairs):
    return [a.to_bytes(2, "big") + b.to_bytes(2, "big") for a, b in pairs]


def outside_port(probe, side, packet):
    return port(probe.exchange(side, packet, "wan"),
                4 if ICMP in packet else 0)


@both_ways
def rfc4787_req14_fragments_leave_in_any_order(probe):
    for sport in (5201, 5202):
        out = outside_port(probe, "lan1", IP(src=H1, dst=P1) / UDP(
            sport=sport, dport=7000) / b"hello")
        one, two = datagrams(lambda data, s=sport: IP(src=H1, dst=P1) / UDP(
            sport=s, dport=7000) / data)
        way = (E, P1, any_ports((out, 7000)))
        check_cross(probe, "lan1", "wan", one, two, (way, way))


@both_ways
def rfc4787_req14_fragments_come_in_in_any_order(probe):
    out = outside_port(probe, "lan1", IP(src=H1, dst=P1) / UDP(
        sport=5203, dport=7000) / b"hello")
    for number, inside, own in ((out, H1, 5203), (8080, H2, 80)):
        one, two = datagrams(lambda data, n=number: IP(src=P1, dst=E) / UDP(
            sport=7000, dport=n) / data)
        way = (P1, inside, any_ports((7000, own)))
        check_cross(probe, "wan", "lan1" if inside == H1 else "lan2", one,
                    two, (way, way))


@both_ways
def rfc4787_req14_both_directions_at_once(probe):
    out = outside_port(probe, "lan1", IP(src=H1, dst=P1) / UDP(
        sport=5204, dport=7000) / b"hello")
    data = pattern(2000, 3)
    for order in (1, -1):
        away, back = probe.watch("wan"), probe.watch("lan1")
        ours = cut(IP(src=H1, dst=P1) / UDP(sport=5204, dport=7000) / data)
        theirs = cut(IP(src=P1, dst=E) / UDP(sport=7000, dport=out) / data)
        for one, two in zip(ours[::order], theirs[::order]):
            probe.send("lan1", one)
            probe.send("wan", two)
        for view in (away, back):
            packet, = wire.whole(view.wait(3))
            assert wire.payload(packet)[8:] == data


@both_ways
def rfc4787_req14_fragments_of_echo_cross_in_any_order(probe):
    hello = IP(src=H1, dst=P1) / ICMP(id=5205) / b"hello"
    out = outside_port(probe, "lan1", hello)

    def request(data):
        return IP(src=H1, dst=P1) / ICMP(id=5205, seq=1) / data

    def reply(data):
        return IP(src=P1, dst=E) / ICMP(type=0, id=out, seq=1) / data

    for side, there, make, source, target, number in (
            ("lan1", "wan", request, E, P1, out),
            ("wan", "lan1", reply, P1, H1, 5205)):
        one, two = datagrams(make)
        for order in ORDERS.values():
            view = probe.watch(there)
            probe.send(side, *order(cut(one), cut(two)))
            got = wire.whole(view.wait(6))
            assert len(got) == 2, len(got)
            for packet, wanted in zip(sort(got), sort([one, two])):
                assert (address(packet, 12), address(packet, 16),
                        port(packet, 4)) == (source, target, number)
                assert wire.payload(packet)[8:] == \
                    wire.payload(wanted)[8:]


@both_ways
def rfc4787_req9_fragments_turn_back_in_any_order(probe):
    out = outside_port(probe, "lan1", IP(src=H1, dst=P1) / UDP(
        sport=5206, dport=7000) / b"hello")
    one, two = datagrams(lambda data: IP(src=H1, dst=E) / UDP(
        sport=5206, dport=8080) / data)
    way = (E, H2, any_ports((out, 80)))
    check_cross(probe, "lan1", "lan2", one, two, (way, way))


@both_ways
def rfc6864_all_fragments_of_a_datagram_share_one_new_id(probe):
    view = probe.watch("wan")
    for side, host in (("lan1", H1), ("lan2", H2)) * 10:
        probe.send(side, *fragment(IP(src=host, dst=P1, id=7) / UDP(
            sport=5207, dport=7000) / pattern(2000), fragsize=800))
    pieces = view.wait(60)
    assert len(pieces) == 60, len(pieces)
    assert len({wire.identity(p) for p in pieces}) == 20
    assert len(wire.whole(pieces)) == 20


@proof()
def rfc1858_and_3128_tiny_and_overlapping_tcp_fragments_end(probe):
    syn = IP(src=P1, dst=E) / TCP(sport=7001, dport=8080, flags="S") \
        / bytes(100)
    tiny = fragment(syn, fragsize=8)
    with one_by_one(probe), probe.silence(), \
            probe.dropped("fragment", 2):
        probe.send("wan", tiny[0])
        # Offset 8 could overwrite the flags of a header seen before.
        probe.send("wan", tiny[1])


@proof()
def rfc1812_4_3_2_7_no_error_about_a_later_fragment(probe):
    out = outside_port(probe, "lan1", IP(src=H1, dst=P1) / UDP(
        sport=5208, dport=7000) / b"hello")
    data = pattern(2000, 4)
    with one_by_one(probe):
        for side, packet, there in (
                ("lan1", IP(src=H1, dst=P1, ttl=1) / UDP(
                    sport=5208, dport=7000) / data, "lan1"),
                ("wan", IP(src=P1, dst=E, ttl=1) / UDP(
                    sport=7000, dport=out) / data, "wan")):
            first, *later = cut(packet)
            # The first one is told of; those after and before it are not.
            with probe.silence():
                probe.send(side, *later)
            with probe.silence(there):
                got = probe.exchange(side, first, there)
                probe.send(side, *later)
            assert got[20:22] == b"\x0b\x00", got.hex()
            assert probe.watch(there).read() == []


@proof()
def rfc4787_req14_orphans_leave_nothing_behind(probe):
    with one_by_one(probe), probe.silence(), probe.no_state():
        for number in range(60):
            later = cut(IP(src=P1, dst=E) / UDP(sport=7000, dport=5201)
                        / bytes(1000))[1:]
            probe.send("wan", *later)
            if number % 2:
                probe.send("lan1", *cut(IP(src=H1, dst=P1) / UDP(
                    sport=5201, dport=7000) / bytes(1000))[1:])


globals().update(proof.tests())
