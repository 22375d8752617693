# SPDX-License-Identifier: GPL-2.0-or-later
"""ICMP errors (RFC 5508): from outside, from inside and by hairpin. See
proof.py. Packets carry DF, so that their ids stay and a quote can be compared
byte by byte."""
import struct

from scapy.layers.inet import ICMP, IP, TCP, UDP

import wire
from lab import E, address, port, quote
from proof import H1, H2, P1, P2, Table

proof = Table(filtering={"udp": "endpoint-independent",
                         "tcp": "endpoint-independent"})
ROUTER = "192.0.2.77"  # somewhere outside
INNER = "192.168.1.60"  # a router inside
# Type, code, second word of the header.
KINDS = [(3, 0, 0), (3, 1, 0), (3, 3, 0), (3, 4, 1300), (11, 0, 0),
         (11, 1, 0), (12, 0, 20 << 24)]
INSIDE_BYTES = bytes([192, 168])


def flows(sport):
    """A packet of every protocol that H1 sends to P1."""
    ip = IP(src=H1, dst=P1, flags="DF", id=1234)
    return {"udp": ip / UDP(sport=sport, dport=7000) / b"some data",
            "tcp": ip / TCP(sport=sport, dport=7000, flags="S", seq=77),
            "echo": ip / ICMP(id=sport, seq=3) / b"some data"}


def error(source, target, kind, code, second, quoted):
    body = struct.pack("!BBHI", kind, code, 0, second) + quoted
    return IP(src=source, dst=target, proto=1) / (
        body[:2] + struct.pack("!H", wire.total(body) ^ 0xffff) + body[4:])


def opened(probe, packet, side="lan1"):
    """The packet as it left, some hops later."""
    return wire.with_ttl(probe.exchange(side, packet, "wan"), 9)


def check_error(got, source, target, kind, quoted):
    """An error as it arrived quotes exactly this (TTLs aside)."""
    got_kind, code, got_source, got_target, inner, second = quote(got)
    assert (got_kind, code, second) == kind, (kind, got.hex())
    assert (got_source, got_target) == (source, target), got.hex()
    assert wire.with_ttl(inner, 64) == wire.with_ttl(quoted, 64), (
        kind, inner.hex(), quoted.hex())


# --- errors from outside -----------------------------------------------------

@proof()
def rfc5508_req4a_4b_4c_the_host_finds_quoted_what_it_sent(probe):
    for name, packet in flows(5101).items():
        sent, out = bytes(packet), opened(probe, packet)
        for kind in KINDS:
            for length in (28, len(out)):
                got = probe.exchange("wan", error(ROUTER, E, *kind,
                                                  out[:length]), "lan1")
                check_error(got, ROUTER, H1, kind, sent[:length])
        # RFC 4787 REQ-12, RFC 5382 REQ-10: none of them ended anything.
        again = probe.exchange("lan1", packet, "wan")
        assert wire.with_ttl(again, 9) == out, name


@proof()
def rfc5508_req3_and_3a_wrong_icmp_and_quoted_header_checksums_end(probe):
    out = opened(probe, flows(5102)["udp"])
    good = bytes(error(ROUTER, E, 3, 1, 0, out))
    outer = good[:22] + bytes([good[22] ^ 1]) + good[23:]
    flipped = out[:10] + bytes([out[10] ^ 1]) + out[11:]
    inner = error(ROUTER, E, 3, 1, 0, flipped)
    with probe.silence(), probe.dropped("bad_checksum", 2):
        probe.send("wan", outer, inner)
    check_error(probe.exchange("wan", good, "lan1"), ROUTER, H1, (3, 1, 0),
                bytes(flows(5102)["udp"]))


@proof()
def rfc5508_req3b_the_quotes_ip_options_are_stepped_over(probe):
    options = b"\x94\x04\0\0" + b"\x01" * 8

    def optioned(packet):
        return wire.with_header_checksum(
            b"\x48" + packet[1:2] + struct.pack("!H", len(packet) + 12)
            + packet[4:20] + options + packet[20:])

    for packet in flows(5103).values():
        out = opened(probe, packet)
        got = probe.exchange("wan", error(ROUTER, E, 11, 0, 0,
                                          optioned(out)[:40]), "lan1")
        check_error(got, ROUTER, H1, (11, 0, 0),
                    optioned(bytes(packet))[:40])


@proof()
def rfc5508_req3c_the_quoted_transport_checksum_is_not_judged(probe):
    packet = flows(5104)["udp"]
    out = opened(probe, packet)
    wrong = out[:26] + struct.pack("!H", wire.word(out, 26) ^ 0x0101) \
        + out[28:]
    inner = quote(probe.exchange("wan", error(ROUTER, E, 3, 3, 0, wrong),
                                 "lan1"))[4]
    assert (address(inner, 12), port(inner, 0)) == (H1, 5104)
    # What was wrong stays wrong: it is what some router saw.
    assert not wire.transport_good(inner), inner.hex()


MPLS = bytes.fromhex("2000" "0000" "0008" "0101" "000420ff")


def extended(packet, length):
    """The quote of RFC 4884: padded to 128 bytes, then an MPLS stack (RFC
    4950) in a structure with its own checksum; the length is in words."""
    padded = packet[:128] + bytes(128 - len(packet[:128]))
    sealed = MPLS[:2] + struct.pack("!H", wire.total(MPLS) ^ 0xffff) \
        + MPLS[4:]
    return padded + sealed, length << 16


@proof()
def rfc5508_req3d_an_mpls_extension_is_passed_on_unchanged(probe):
    for packet in flows(5105).values():
        sent, out = bytes(packet), opened(probe, packet)
        for kind, code in ((11, 0), (3, 1), (12, 0)):
            quoted, second = extended(out, 32)
            got = probe.exchange("wan", error(ROUTER, E, kind, code, second,
                                              quoted), "lan1")
            check_error(got, ROUTER, H1, (kind, code, second),
                        extended(sent, 32)[0])


@proof()
def rfc5508_req4_an_error_about_nothing_we_sent_ends(probe):
    out = opened(probe, flows(5106)["udp"])
    outside = port(out, 0)
    strange = [
        IP(src=E, dst=P1) / UDP(sport=outside + 20000, dport=7000),
        IP(src=E, dst=P1) / UDP(sport=outside, dport=7001),
        IP(src=E, dst=P2) / UDP(sport=outside, dport=7000),
        IP(src=E, dst=P1) / TCP(sport=outside, dport=7000),
    ]
    with probe.silence(), probe.no_state():
        for packet in strange:
            probe.send("wan", error(ROUTER, E, 3, 3, 0,
                                    bytes(packet / bytes(8))))


@proof()
def rfc6146_3_4_an_error_about_an_error_ends(probe):
    out = opened(probe, flows(5107)["udp"])
    query = opened(probe, flows(5109)["echo"])
    # Its second word would be taken for the query's id.
    inner = bytes(error(E, P1, 3, 4, port(query, 4) << 16, out))
    with probe.silence():
        probe.send("wan", error(ROUTER, E, 3, 1, 0, inner))


@proof()
def rfc5508_4_redirect_and_source_quench_do_not_come_in(probe):
    out = opened(probe, flows(5108)["udp"])
    for kind, code in ((4, 0), (5, 0), (5, 1)):
        with probe.silence():
            probe.send("wan", error(ROUTER, E, kind, code, 0x01020304, out))


# --- errors from inside ------------------------------------------------------

def delivered(probe, packet):
    """What H1 gets of an answer that P1 sends to what left."""
    out = probe.exchange("lan1", packet, "wan")
    back = IP(src=P1, dst=E, flags="DF", id=4321)
    if ICMP in packet:
        back /= ICMP(type=0, id=port(out, 4), seq=3) / b"answer"
    elif TCP in packet:
        back /= TCP(sport=7000, dport=port(out, 0), flags="SA", seq=5,
                    ack=78)
    else:
        back /= UDP(sport=7000, dport=port(out, 0)) / b"answer"
    return bytes(back), probe.exchange("wan", back, "lan1")


@proof()
def rfc5508_req5a_5b_5c_an_inner_routers_error_shows_only_the_outside(probe):
    for packet in flows(5110).values():
        sent, got = delivered(probe, packet)
        for kind in KINDS:
            for source in (INNER, H1):
                for length in (28, len(got)):
                    complaint = error(source, P1, *kind, got[:length])
                    seen = probe.exchange("lan1", complaint, "wan")
                    check_error(seen, E, P1, kind, sent[:length])
                    assert INSIDE_BYTES not in seen[:48], seen.hex()


@proof()
def rfc5508_req5_an_error_from_inside_about_nothing_ends(probe):
    _, got = delivered(probe, flows(5111)["udp"])
    strange = [
        IP(src=P1, dst=H1) / UDP(sport=7000, dport=5999),
        IP(src=P1, dst=H2) / UDP(sport=7000, dport=5111),
        IP(src=P1, dst=H1) / TCP(sport=7000, dport=5111),
    ]
    with probe.silence(), probe.no_state():
        for packet in strange:
            probe.send("lan1", error(H1, P1, 3, 3, 0,
                                     bytes(packet / bytes(8))))
        probe.send("lan1", error(H1, P1, 3, 3, 0, got[:24]))


# --- errors by hairpin -------------------------------------------------------

@proof()
def rfc5508_req7_and_7a_a_hairpinned_error_shows_the_outside(probe):
    for proto in (UDP, TCP):
        ports = {}
        for side, host, number in (("lan1", H1, 5120), ("lan2", H2, 5121)):
            ports[host] = port(probe.exchange(side, IP(src=host, dst=P1)
                               / proto(sport=number, dport=7000), "wan"), 0)
        packet = IP(src=H1, dst=E, flags="DF", id=99) / proto(
            sport=5120, dport=ports[H2])
        got = probe.exchange("lan1", packet, "lan2")
        assert (address(got, 12), port(got, 0)) == (E, ports[H1]), got.hex()
        for kind in KINDS:
            for length in (28, len(got)):
                with probe.silence("lan1", "lan2", seconds=0):
                    seen = probe.exchange("lan2", error(
                        H2, E, *kind, got[:length]), "lan1")
                check_error(seen, E, H1, kind, bytes(packet)[:length])


globals().update(proof.tests())
