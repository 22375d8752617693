# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets that are wrong in every way, from both sides: refused and counted
or left alone, and the gateway lives."""
import random
import struct

from lab import E, L1, MAC_LAN0, MAC_WAN0, R1
from tools import Who, ask, ask_tcp, frame, limit, pattern

FORWARDS = [{"name": "web", "proto": ["tcp", "udp"], "outside": 8080,
             "to": f"{L1}:80"}]


def bases(source, target, sport, dport):
    """A good packet of every protocol."""
    from scapy.layers.inet import ICMP, IP, TCP, UDP
    ip = IP(src=source, dst=target, ttl=64)
    quoted = bytes(IP(src=target, dst=source) / UDP(sport=dport,
                                                    dport=sport) / b"12345678")
    return {
        "udp": bytes(ip / UDP(sport=sport, dport=dport) / b"some data"),
        "tcp": bytes(ip / TCP(sport=sport, dport=dport, flags="S",
                              options=[("MSS", 1460)])),
        "echo": bytes(ip / ICMP(type=8, id=sport) / b"some data"),
        "reply": bytes(ip / ICMP(type=0, id=dport) / b"some data"),
        "error": bytes(ip / ICMP(type=3, code=1) / quoted),
        "other": bytes(IP(src=source, dst=target, proto=253) / bytes(20)),
    }


def with_checksum(packet):
    """The header's checksum made right again."""
    packet = bytearray(packet)
    length = max(20, min((packet[0] & 15) * 4, len(packet) & ~1))
    packet[10:12] = b"\0\0"
    total = sum(struct.unpack(f"!{length // 2}H", packet[:length]))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    packet[10:12] = struct.pack("!H", ~total & 0xffff)
    return bytes(packet)


def put(packet, offset, value):
    return packet[:offset] + value + packet[offset + len(value):]


def wrong(name, good):
    """(what is wrong, packet) for one good packet."""
    yield "header checksum", put(good, 10, b"\xde\xad")
    for ihl in (0, 1, 4, 6, 15):
        yield f"ihl {ihl}", with_checksum(
            put(good, 0, bytes([0x40 | ihl])))
    for version in (0, 5, 6, 15):
        yield f"version {version}", with_checksum(
            put(good, 0, bytes([version << 4 | 5])))
    for length in (0, 19, 20, 21, 24, len(good) - 1, len(good) + 50, 65535):
        yield f"total length {length}", with_checksum(
            put(good, 2, struct.pack("!H", length)))
    for cut in (1, 12, 20, 21, 23, 27, 28, 33, len(good) - 1):
        short = good[:cut]
        if cut >= 20:
            short = with_checksum(put(short, 2, struct.pack("!H", cut)))
        yield f"cut to {cut}", short
    for field in (0x2001, 0x2000, 0x0001, 0x1fff, 0x3fff, 0x8000, 0x4001):
        yield f"fragment field {field:04x}", with_checksum(
            put(good, 6, struct.pack("!H", field)))
    yield "transport checksum", put(good, {"udp": 26, "tcp": 36}.get(
        name, 22), b"\xbe\xef")
    for source in ("0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255",
                   "240.0.0.1", "169.254.1.1"):
        yield f"source {source}", with_checksum(
            put(good, 12, bytes(map(int, source.split(".")))))
    yield "land", with_checksum(put(good, 12, good[16:20]))
    yield "options", with_checksum(
        b"\x46" + good[1:20] + b"\x83\x03\x04\x00" + good[20:])
    for proto in (0, 2, 4, 6, 17, 41, 47, 50, 132, 136, 255):
        yield f"protocol {proto}", with_checksum(
            put(good, 9, bytes([proto])))
    if name == "udp":
        for length in (0, 7, 8, 9, 500, 65535):
            yield f"udp length {length}", put(good, 24,
                                              struct.pack("!H", length))
        yield "port 0", put(good, 20, b"\0\0\0\0")
    if name == "tcp":
        for offset in (0, 4, 15):
            yield f"data offset {offset}", put(good, 32,
                                               bytes([offset << 4]))
        for flags in (0, 3, 6, 0x29, 0xff):
            yield f"flags {flags:02x}", put(good, 33, bytes([flags]))
    if name == "error":
        for kind in (3, 4, 5, 11, 12, 30, 40):
            yield f"type {kind}", put(good, 20, bytes([kind]))
        for length in (28, 30, 47, 48, 49, 52, 55):
            yield f"quote cut to {length - 28}", with_checksum(put(
                good[:length], 2, struct.pack("!H", length)))
        yield "quoted ihl 15", put(good, 28, b"\x4f")
        yield "quoted version 6", put(good, 28, b"\x65")
        yield "quoted error", put(good, 37, b"\x01")


def sides(lab):
    """(link, packets' direction, gateway's address on it)."""
    return [(lab.lan1.link_socket("eth0"), (L1, R1, 5190, 7190), MAC_LAN0),
            (lab.lan1.link_socket("eth0"), (L1, E, 5190, 8080), MAC_LAN0),
            (lab.wan.link_socket("up0"), (R1, E, 7190, 8080), MAC_WAN0),
            (lab.wan.link_socket("up0"), (R1, E, 7190, 5190), MAC_WAN0)]


def healthy(lab):
    with Who(lab.wan, udp=[(R1, 7191)], tcp=[(R1, 7191)]):
        udp, tcp = lab.lan1.udp(), lab.lan2.tcp((R1, 7191))
        assert ask(udp, (R1, 7191), pattern(3000)).startswith(E + ":")
        assert ask_tcp(tcp).startswith(E + ":")
        udp.close()
        tcp.close()
    lab.check()


@limit(120)
def test_wrong_packets_of_every_kind_do_no_harm(lab):
    lab.need_portico()
    lab.start(forwards=FORWARDS, fresh=True)
    sent = 0
    for link, way, mac in sides(lab):
        for name, good in bases(*way).items():
            for _, packet in wrong(name, good):
                link.send(frame(packet, mac))
                sent += 1
        link.close()
        healthy(lab)
    drops = lab.portico("status")["drops"]
    assert sent > 1000 and drops, (sent, drops)
    for reason in ("malformed", "bad_checksum", "martian", "unsupported"):
        assert drops.get(reason, 0) > 0, (reason, drops)


@limit(120)
def test_random_changes_do_no_harm(lab):
    lab.need_portico()
    lab.start(forwards=FORWARDS, fresh=True)
    dice = random.Random(20240229)
    for link, way, mac in sides(lab):
        packets = list(bases(*way).values())
        for number in range(3000):
            packet = bytearray(dice.choice(packets))
            for _ in range(dice.randint(1, 4)):
                place = dice.randrange(len(packet))
                # What the router's own stack answers to somebody who is
                # nowhere goes to the default route; not our business.
                if place not in range(12, 16):
                    packet[place] = dice.randrange(256)
            # Mostly a right header checksum, else little gets far.
            text = bytes(packet)[:dice.choice([len(packet)] * 3 + [
                dice.randint(20, len(packet))])]
            link.send(frame(with_checksum(text) if number % 8 else text, mac))
        link.close()
        healthy(lab)


def test_a_bad_udp_checksum_is_not_repaired(lab):
    lab.need_portico()
    lab.start(forwards=FORWARDS)
    server, client = lab.wan.udp(R1, 7192), lab.lan1.udp(L1, 5192)
    client.sendto(b"hello", (R1, 7192))
    _, outside = server.recvfrom(100)
    good = bases(L1, R1, 5192, 7192)["udp"]
    link = lab.lan1.link_socket("eth0")
    with lab.wan.capture("udp dst port 7192", "up0") as seen:
        link.send(frame(put(good, 26, b"\xbe\xef"), MAC_LAN0))
        link.send(frame(put(good, 26, b"\0\0"), MAC_LAN0))
        packets = seen.wait(2, 1)
    # The one without a checksum arrives without one; the other, if it was
    # passed on, is still wrong, so the server's kernel refuses it.
    assert b"\0\0" in [p[26:28] for p in packets], packets
    server.settimeout(0.3)
    assert server.recv(100) == b"some data"
    try:
        server.recv(100)
        raise AssertionError("a wrong checksum was made right")
    except TimeoutError:
        pass
    link.close()
    server.close()
    client.close()


def test_checksums_of_what_leaves_are_right(lab):
    """Computed again for every packet seen on the wire, with no offload
    that would leave them open."""
    lab.need_portico()
    lab.start(forwards=FORWARDS)
    from scapy.layers.inet import ICMP, IP, TCP, UDP
    for space, device in ((lab.lan1, "eth0"), (lab.wan, "up0"),
                          (lab.gw, "wan0"), (lab.gw, "p1")):
        space.run("ethtool", "-K", device, "tx", "off", "tso", "off", "gso",
                  "off")
    with lab.wan.capture("ip", "up0") as outside, \
            lab.lan1.capture("ip", "eth0") as inside:
        with Who(lab.wan, udp=[(R1, 7193)], tcp=[(R1, 7193)]):
            sock = lab.lan1.udp()
            for size in (0, 1, 2, 3, 100, 1001, 1440):
                ask(sock, (R1, 7193), pattern(size, size))
            sock.close()
            tcp = lab.lan1.tcp((R1, 7193))
            for size in (1, 2, 100, 1001):
                ask_tcp(tcp, pattern(size, size))
            tcp.close()
            lab.lan1.run("ping", "-n", "-c", "1", "-s", "57", R1)
            lab.lan1.run("traceroute", "-n", "-q", "1", "-m", "3", R1)
        packets = outside.wait(10, 0.2) + inside.wait(10, 0.2)
    assert len(packets) > 40, len(packets)
    for packet in packets:
        parsed = IP(packet)
        layers = [x for x in (IP, UDP, TCP, ICMP) if x in parsed]
        again = parsed.copy()
        for layer in layers:
            del again[layer].chksum
        again = IP(bytes(again))
        for layer in layers:
            assert parsed[layer].chksum == again[layer].chksum, (
                layer.__name__, packet.hex())
    for space, device in ((lab.lan1, "eth0"), (lab.wan, "up0"),
                          (lab.gw, "wan0"), (lab.gw, "p1")):
        space.run("ethtool", "-K", device, "tx", "on", "tso", "on", "gso",
                  "on")
