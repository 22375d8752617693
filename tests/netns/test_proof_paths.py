# SPDX-License-Identifier: GPL-2.0-or-later
"""What a packet keeps, what changes, and what may not cross at all: hairpin,
path MTU, TTL, DSCP, options, IP ids, martians. See proof.py."""
import struct

from scapy.layers.inet import ICMP, IP, TCP, UDP

import wire
from lab import E, GW, L1, address, port, quote
from proof import H1, H2, P1, P2, Table

proof = Table(forwards=[{"name": "web", "proto": ["tcp", "udp"],
                         "outside": 8080, "to": f"{H2}:80"}])
INSIDE_BYTES = bytes([192, 168])


def udp(source, sport, target, dport, data=b"some data", **ip):
    return IP(src=source, dst=target, **ip) / UDP(sport=sport,
                                                  dport=dport) / data


def open_udp(probe, side, source, sport):
    """A host's first datagram to P1:7000; returns its outside port."""
    got = probe.exchange(side, udp(source, sport, P1, 7000), "wan")
    assert (address(got, 12), address(got, 16)) == (E, P1), got.hex()
    return port(got, 0)


# --- hairpin -----------------------------------------------------------------

@proof()
def rfc4787_req9_and_9a_hairpin_shows_the_outside_source(probe):
    one = open_udp(probe, "lan1", H1, 5001)
    two = open_udp(probe, "lan2", H2, 5002)
    with probe.silence("lan1", "lan2"):
        got = probe.exchange("lan1", udp(H1, 5001, E, two), "lan2")
        assert (address(got, 12), port(got, 0)) == (E, one), got.hex()
        assert (address(got, 16), port(got, 2)) == (H2, 5002), got.hex()
        got = probe.exchange("lan2", udp(H2, 5002, E, one), "lan1")
        assert (address(got, 12), port(got, 0)) == (E, two), got.hex()
        assert (address(got, 16), port(got, 2)) == (H1, 5001), got.hex()
        assert wire.payload(got)[8:] == b"some data"


@proof()
def rfc5382_req8_and_8a_hairpin_shows_the_outside_source(probe):
    syn = IP(src=H1, dst=E) / TCP(sport=5003, dport=8080, flags="S", seq=1000,
                                  options=[("MSS", 1460)])
    with probe.silence("lan1", "lan2"):
        got = probe.exchange("lan1", syn, "lan2")
        outside = port(got, 0)
        assert (address(got, 12), address(got, 16)) == (E, H2), got.hex()
        assert port(got, 2) == 80
        answer = IP(src=H2, dst=E) / TCP(sport=80, dport=outside, flags="SA",
                                         seq=2000, ack=1001)
        got = probe.exchange("lan2", answer, "lan1")
        assert (address(got, 12), port(got, 0)) == (E, 8080), got.hex()
        assert (address(got, 16), port(got, 2)) == (H1, 5003), got.hex()


# --- path MTU ----------------------------------------------------------------

def narrow_uplink(probe, mtu):
    for space, device in ((probe.lab.gw, "wan0"), (probe.lab.wan, "up0")):
        space.ip(f"link set {device} mtu {mtu}")


@proof()
def rfc4787_req13_a_df_packet_too_big_is_told_to_its_sender(probe):
    packet = udp(H1, 5010, P1, 7000, bytes(1472), flags="DF", id=4711)
    narrow_uplink(probe, 1400)
    try:
        with probe.silence("lan1"), probe.no_state():
            got = probe.exchange("lan1", packet, "lan1")
    finally:
        narrow_uplink(probe, 1500)
    kind, code, source, target, inner, second = quote(got)
    assert (kind, code, source, target) == (3, 4, GW, H1), got.hex()
    assert second == 1400, second
    sent = bytes(packet)
    assert len(got) <= 576 and len(inner) >= 28
    assert wire.with_ttl(inner, 64) == sent[:len(inner)], inner.hex()


@proof()
def rfc4787_req13a_without_df_it_leaves_in_fragments_in_order(probe):
    data = struct.pack("!736H", *range(736))
    narrow_uplink(probe, 1400)
    try:
        seen = probe.watch("wan")
        probe.send("lan1", udp(H1, 5011, P1, 7000, data, id=4712))
        pieces = seen.wait(2)
    finally:
        narrow_uplink(probe, 1500)
    offsets = [wire.fragment_offset(p) for p in pieces]
    assert offsets == [0, 1376], offsets
    assert [wire.more_fragments(p) for p in pieces] == [True, False]
    assert all(address(p, 12) == E for p in pieces)
    assert len({wire.identity(p) for p in pieces}) == 1
    datagram, = wire.whole(pieces)
    assert wire.payload(datagram)[8:] == data


# --- TTL ---------------------------------------------------------------------

def check_time_exceeded(got, source, target, packet):
    kind, code, got_source, got_target, inner, _ = quote(got)
    assert (kind, code) == (11, 0), got.hex()
    assert (got_source, got_target) == (source, target), got.hex()
    sent = bytes(packet)
    assert wire.with_ttl(inner, 1) == sent[:len(inner)], (
        inner.hex(), sent.hex())


@proof()
def rfc1812_5_3_1_ttl_1_from_inside_is_told_with_the_hosts_own_header(probe):
    packet = udp(H1, 5020, P1, 7000, ttl=1, flags="DF")
    with probe.silence("lan1"), probe.no_state():
        got = probe.exchange("lan1", packet, "lan1")
    check_time_exceeded(got, GW, H1, packet)


@proof()
def rfc1812_5_3_1_ttl_1_from_outside_is_told_with_the_outside_socket(probe):
    outside = open_udp(probe, "lan1", H1, 5021)
    for packet in (udp(P1, 7000, E, outside, ttl=1, flags="DF"),
                   udp(P2, 7001, E, 8080, ttl=1, flags="DF"),
                   IP(src=P1, dst=E, ttl=1, flags="DF") / TCP(
                       sport=7002, dport=8080, flags="S")):
        with probe.silence("wan"):
            got = probe.exchange("wan", packet, "wan")
        check_time_exceeded(got, E, packet.src, packet)
        assert INSIDE_BYTES not in got, got.hex()


@proof()
def rfc1812_5_3_1_ttl_1_by_hairpin_is_told_with_the_outside_socket(probe):
    open_udp(probe, "lan1", H1, 5022)
    two = open_udp(probe, "lan2", H2, 5023)
    packet = udp(H1, 5022, E, two, ttl=1, flags="DF")
    with probe.silence("lan1"):
        got = probe.exchange("lan1", packet, "lan1")
    check_time_exceeded(got, GW, H1, packet)


@proof()
def rfc1812_5_3_1_the_ttl_is_counted_down_once(probe):
    outside = open_udp(probe, "lan1", H1, 5024)
    two = open_udp(probe, "lan2", H2, 5025)
    for side, packet, there in (
            ("lan1", udp(H1, 5024, P1, 7000, ttl=2), "wan"),
            ("wan", udp(P1, 7000, E, outside, ttl=2), "lan1"),
            ("lan1", udp(H1, 5024, E, two, ttl=2), "lan2")):
        got = probe.exchange(side, packet, there)
        assert got[8] == 1, (side, there, got.hex())


@proof()
def rfc1812_4_3_2_7_no_error_about_errors_and_broadcasts(probe):
    outside = open_udp(probe, "lan1", H1, 5026)
    quoted = bytes(udp(E, outside, P1, 7000, flags="DF"))
    inside = bytes(udp(P1, 7000, H1, 5026, flags="DF"))
    error = ICMP(type=3, code=3)
    with probe.silence("lan2"):  # the bridge's broadcasts
        # TTL 1 would be told of all these, were they something else.
        probe.send("wan", IP(src=P1, dst=E, ttl=1) / error / quoted)
        probe.send("lan1", IP(src=H1, dst=P1, ttl=1) / error / inside)
        for target in ("255.255.255.255", "192.168.1.255", "224.0.0.251",
                       "239.1.2.3"):
            probe.send("lan1", udp(H1, 5026, target, 7000, ttl=1))
        probe.send("lan1", udp(H1, 5026, P1, 7000, ttl=1),
                   mac="ff:ff:ff:ff:ff:ff")
        probe.send("wan", udp(P1, 7000, E, outside, ttl=1),
                   mac="ff:ff:ff:ff:ff:ff")
        probe.send("lan1", udp("127.0.0.1", 5026, P1, 7000, ttl=1))
        probe.send("wan", udp("240.0.0.1", 7000, E, outside, ttl=1))


# --- what stays as it is -----------------------------------------------------

@proof()
def rfc7857_dscp_ecn_and_df_are_left_as_they_are(probe):
    outside = open_udp(probe, "lan1", H1, 5030)
    two = open_udp(probe, "lan2", H2, 5031)
    for tos in (0, 0xb8, 0x01, 0x02, 0x03, 0xff):
        for flags in ("", "DF"):
            keep = {"tos": tos, "flags": flags}
            for side, packet, there in (
                    ("lan1", udp(H1, 5030, P1, 7000, **keep), "wan"),
                    ("wan", udp(P1, 7000, E, outside, **keep), "lan1"),
                    ("lan1", udp(H1, 5030, E, two, **keep), "lan2")):
                got = probe.exchange(side, packet, there)
                assert got[1] == tos, (side, there, got.hex())
                assert wire.dont_fragment(got) == (flags == "DF"), got.hex()


@proof()
def rfc9293_tcp_options_flags_and_urgent_pointer_are_left_alone(probe):
    options = [("MSS", 1337), ("SAckOK", b""), ("Timestamp", (77, 0)),
               ("NOP", None), ("WScale", 7), (253, b"\xf9\x89hi")]
    syn = IP(src=H1, dst=P1, flags="DF") / TCP(
        sport=5032, dport=7000, flags="SEC", seq=12345, urgptr=99,
        window=4321, options=options)
    got = probe.exchange("lan1", syn, "wan")
    ours, theirs = wire.payload(bytes(syn)), wire.payload(got)
    assert theirs[2:16] == ours[2:16], got.hex()
    assert theirs[18:] == ours[18:], got.hex()


@proof()
def rfc768_a_udp_checksum_of_zero_stays_zero_and_none_becomes_zero(probe):
    outside = open_udp(probe, "lan1", H1, 5033)
    packet = udp(H1, 5033, P1, 7000, b"abcdef")
    packet[UDP].chksum = 0
    got = probe.exchange("lan1", packet, "wan")
    assert wire.payload(got)[6:8] == b"\0\0", got.hex()
    # Two bytes of data that make the translated sum all ones.
    after = bytes(udp(E, outside, P1, 7000, b"\0\0"))
    data = struct.pack("!H", wire.word(after, 26))
    got = probe.exchange("lan1", udp(H1, 5033, P1, 7000, data), "wan")
    assert wire.payload(got)[6:8] == b"\xff\xff", got.hex()


# --- IP ids ------------------------------------------------------------------

@proof()
def rfc6864_what_may_be_fragmented_gets_an_id_of_its_own(probe):
    count = 300
    seen = probe.watch("wan")
    for number in range(count):
        probe.send("lan1", udp(H1, 5040, P1, 7000, id=77))
        probe.send("lan2", udp(H2, 5041, P1, 7000, id=77))
    packets = seen.wait(2 * count)
    ids = {wire.identity(p) for p in packets}
    assert len(packets) == len(ids) == 2 * count, (len(packets), len(ids))


@proof()
def rfc6864_the_id_of_a_packet_with_df_is_left_alone(probe):
    outside = open_udp(probe, "lan1", H1, 5042)
    for number in (0, 1, 77, 65535):
        keep = {"flags": "DF", "id": number}
        got = probe.exchange("lan1", udp(H1, 5042, P1, 7000, **keep), "wan")
        assert wire.identity(got) == number and wire.dont_fragment(got)
        got = probe.exchange("wan", udp(P1, 7000, E, outside, **keep), "lan1")
        assert wire.identity(got) == number and wire.dont_fragment(got)


# --- IP options --------------------------------------------------------------

OPTIONS = {
    "record route": b"\x07\x07\x04\0\0\0\0\0",
    "timestamp": b"\x44\x08\x05\0\0\0\0\0",
    "traceroute": b"\x52\x0c\0\1\0\0\0\0" + bytes([192, 168, 1, 50]),
    "loose source route": b"\x83\x07\x04" + bytes([203, 0, 113, 1]) + b"\0",
    "strict source route": b"\x89\x07\x04" + bytes([203, 0, 113, 1]) + b"\0",
}


def with_options(packet, options):
    """scapy's own option classes are not trusted with what is to be proved."""
    raw = bytes(packet)
    length = struct.pack("!H", len(raw) + len(options))
    return wire.with_header_checksum(
        bytes([0x40 | (20 + len(options)) // 4]) + raw[1:2] + length
        + raw[4:20] + options + raw[20:])


@proof()
def rfc3022_4_6_options_that_hold_addresses_do_not_cross(probe):
    outside = open_udp(probe, "lan1", H1, 5050)
    for options in OPTIONS.values():
        views = [probe.watch("lan1"), probe.watch("wan")]
        with probe.no_state(), probe.silence("lan1", "wan"):
            probe.send("wan", with_options(udp(P1, 7000, E, outside),
                                           options))
            probe.send("lan1", with_options(udp(H1, 5051, P1, 7000),
                                            options))
            # What follows shows that those before were judged.
            probe.send("wan", udp(P1, 7000, E, outside, b"last"))
            probe.send("lan1", udp(H1, 5050, P1, 7000, b"last"))
            for seen in views:
                seen.wait(1)
        for seen in views:
            got = [wire.payload(p)[8:] for p in seen.read()]
            assert got == [b"last"], (options, got)


@proof()
def rfc791_ports_are_found_behind_harmless_options(probe):
    alert = b"\x94\x04\0\0" + b"\x01" * 4
    outside = open_udp(probe, "lan1", H1, 5052)
    got = probe.exchange("lan1", with_options(udp(H1, 5052, P1, 7000), alert),
                         "wan")
    assert (address(got, 12), port(got, 0)) == (E, outside), got.hex()
    assert got[20:28] == alert
    got = probe.exchange("wan", with_options(udp(P1, 7000, E, outside),
                                             alert), "lan1")
    assert (address(got, 16), port(got, 2)) == (H1, 5052), got.hex()


# --- addresses that may not cross --------------------------------------------

NOBODY = ("0.0.0.0", "0.1.2.3", "127.0.0.1", "127.9.9.9", "169.254.7.7",
          "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255")


@proof()
def rfc2827_inside_sources_and_our_own_do_not_come_from_outside(probe):
    outside = open_udp(probe, "lan1", H1, 5060)
    sources = (H1, L1, GW, "192.168.1.0", "192.168.1.255", E)
    with probe.no_state(), probe.silence(), \
            probe.dropped("martian", 3 * len(sources)):
        for source in sources:
            # E:outside to itself is the LAND attack.
            for sport in (outside, 7000):
                probe.send("wan", udp(source, sport, E, outside))
            probe.send("wan", IP(src=source, dst=E) / TCP(
                sport=8080, dport=8080, flags="S"))


@proof()
def rfc1812_5_3_7_martians_do_not_come_from_outside(probe):
    outside = open_udp(probe, "lan1", H1, 5061)
    with probe.no_state(), probe.silence(), \
            probe.dropped("martian", 2 * len(NOBODY)):
        for source in NOBODY:
            probe.send("wan", udp(source, 7000, E, outside))
            probe.send("wan", IP(src=source, dst=E) / TCP(
                sport=7000, dport=8080, flags="S"))


@proof()
def rfc1812_5_3_7_martians_do_not_leave(probe):
    with probe.no_state(), probe.silence():
        for source in NOBODY + (E, P2, "192.168.1.255", "10.1.2.3"):
            probe.send("lan1", udp(source, 5062, P1, 7000))
            probe.send("lan1", IP(src=source, dst=P1) / TCP(
                sport=5062, dport=7000, flags="S"))
            probe.send("lan1", udp(source, 5062, E, 8080))


@proof()
def rfc1812_5_3_multicast_broadcast_and_link_local_make_no_state(probe):
    with probe.no_state(), probe.silence("lan2"):  # the bridge's broadcasts
        for target in NOBODY + ("192.168.1.255",):
            probe.send("lan1", udp(H1, 5063, target, 7000))
            probe.send("lan1", IP(src=H1, dst=target) / TCP(
                sport=5063, dport=7000, flags="S"))
            probe.send("lan1", IP(src=H1, dst=target) / ICMP(id=5063))
        probe.send("lan1", udp("0.0.0.0", 68, "255.255.255.255", 67),
                   mac="ff:ff:ff:ff:ff:ff")
        probe.send("lan1", udp(H1, 1900, "239.255.255.250", 1900),
                   mac="01:00:5e:7f:ff:fa")


@proof()
def rfc1812_5_3_4_a_link_broadcast_with_a_unicast_packet_stays_out(probe):
    outside = open_udp(probe, "lan1", H1, 5064)
    with probe.silence():
        probe.send("wan", udp(P1, 7000, E, outside), mac="ff:ff:ff:ff:ff:ff")
        probe.send("wan", udp(P1, 7000, E, 8080), mac="01:00:5e:00:00:01")
    probe.exchange("wan", udp(P1, 7000, E, outside), "lan1")


globals().update(proof.tests())
