# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets of two carried sessions, sound ones and such with something wrong
somewhere: what arrives, and what is counted, is the same with the fast path and
by the queue alone."""
import random
import socket
import struct
import time

from fastlab import carry, fast, is_carried, session, start
from lab import L1, MAC_LAN0, MAC_WAN0, R1
from tools import Who, ask_tcp, frame, limit, name
from wire import TCP, UDP, dont_fragment, total, with_header_checksum

PACKETS = 500
TAG = struct.Struct("!4sI")
SEED = 1


# --- what is sent --------------------------------------------------------------

def segment(draw, source, destination, payload):
    options = draw.choice((b"", b"\1\1\x08\x0a" + draw.randbytes(8)))
    return struct.pack("!HHIIBBHHH", source[1], destination[1],
                       draw.getrandbits(32), draw.getrandbits(32),
                       20 + len(options) << 2, 0x10, draw.getrandbits(16),
                       0, 0) + options + payload


def datagram(source, destination, payload):
    return struct.pack("!HHHH", source[1], destination[1], 8 + len(payload),
                       0) + payload


def sound(draw, proto, source, destination, tag):
    payload = TAG.pack(b"same", tag) + draw.randbytes(
        draw.choice((0, 3, 40, 200)))
    if proto == TCP:
        part, at = segment(draw, source, destination, payload), 16
    else:
        part, at = datagram(source, destination, payload), 6
    ends = socket.inet_aton(source[0]) + socket.inet_aton(destination[0])
    value = total(ends + struct.pack("!HH", proto, len(part)) + part) ^ 0xffff
    part = part[:at] + struct.pack("!H", value or 0xffff) + part[at + 2:]
    return with_header_checksum(struct.pack(
        "!BBHHHBBH", 0x45, 0, 20 + len(part), draw.getrandbits(16),
        draw.choice((0x4000, 0)), draw.randint(30, 64), proto, 0)
        + ends + part)


def byte(offset, *values):
    """That byte becomes one of these; none: loses a bit or gets one more."""
    def change(draw, packet):
        value = draw.choice(values) if values else \
            packet[offset] ^ 1 << draw.randrange(8)
        return packet[:offset] + bytes([value]) + packet[offset + 1:]
    return change


def length(offset):
    def change(draw, packet):
        value = struct.unpack_from("!H", packet, offset)[0]
        value = max(0, value + draw.randint(-30, 30))
        return packet[:offset] + struct.pack("!H", value) + \
            packet[offset + 2:]
    return change


def options(draw, packet):
    made = packet[:20] + draw.choice((b"\1\1\1\1", b"\x94\4\0\0",
                                      bytes(4))) + packet[20:]
    return b"\x46" + made[1:2] + struct.pack("!H", len(made)) + made[4:]


def cut(draw, packet):
    return packet[:draw.randint(20, len(packet))]


def as_it_is(draw, packet):
    return packet


IP_CHANGES = (as_it_is, as_it_is, byte(1), length(2), byte(4), byte(6),
              byte(7), byte(8, 1, 2, 3, 255), byte(9), options, cut,
              byte(0, 0x44, 0x4f, 0x55, 0x65), byte(20), byte(23))
CHANGES = {
    UDP: (*IP_CHANGES, length(24), byte(26),
          lambda draw, packet: packet[:26] + b"\0\0" + packet[28:]),
    # Without SYN, FIN and RST, which end what is carried.
    TCP: (*IP_CHANGES, byte(32), byte(33, 0x18, 0x30, 0x50, 0x90, 0xd0, 0, 8),
          byte(36), byte(39)),
}


def draw_packets(ends):
    """(tag, outbound, packet, padding)"""
    draw = random.Random(SEED)
    for tag in range(PACKETS):
        proto, outbound = draw.choice((UDP, TCP)), draw.random() < 0.5
        inside, outside, peer = ends[proto]
        way = (inside, peer) if outbound else (peer, outside)
        packet = sound(draw, proto, *way, tag)
        packet = draw.choice(CHANGES[proto])(draw, packet)
        if packet[0] in (0x45, 0x46):
            packet = with_header_checksum(packet)
        if draw.random() < 0.1:
            packet = byte(draw.randrange(12))(draw, packet)
        yield tag, outbound, packet, draw.randbytes(
            draw.choice((0, 0, 0, draw.randint(1, 60))))


# --- what becomes of it --------------------------------------------------------

def without_id(packet):
    """Outbound without DF every packet gets an id of its own."""
    if dont_fragment(packet):
        return packet
    return packet[:4] + b"\0\0" + packet[6:10] + b"\0\0" + packet[12:]


def arrived(capture, clean):
    """Tag: packets."""
    found, more = {}, True
    while more:
        more = capture.wait(1, 0.3)
        for packet in more:
            at = packet.find(b"same")
            if at >= 0 and len(packet) >= at + TAG.size and packet[9] != 1:
                tag = TAG.unpack_from(packet, at)[1]
                found.setdefault(tag, []).append(clean(packet))
    return found


def counted(lab):
    """Of the session of datagrams (of the other the ends' answers depend on
    when they are asked), and why packets were dropped."""
    time.sleep(1.2)
    now = session(lab, f"{L1}:5950")
    return {key: now[key] for key in ("out_packets", "out_bytes",
                                      "in_packets", "in_bytes")} | \
        lab.portico("status")["drops"]


def play(lab, packets):
    """What arrived outside and inside, and by how much counters grew."""
    before = counted(lab)
    link, up = lab.lan1.link_socket("eth0"), lab.wan.link_socket("up0")
    with link, up, lab.wan.capture("ip", "up0", sent=False) as outside, \
            lab.lan1.capture("ip", "eth0", sent=False) as inside:
        for _, outbound, packet, padding in packets:
            if outbound:
                link.send(frame(packet, MAC_LAN0) + padding)
            else:
                up.send(frame(packet, MAC_WAN0) + padding)
            time.sleep(0.003)
        got = arrived(outside, without_id), arrived(inside, bytes)
    after = counted(lab)
    return (*got, {key: after[key] - before.get(key, 0) for key in after})


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


@limit(120)
def test_it_does_what_the_queue_does(lab):
    peers = {UDP: (R1, 7950), TCP: (R1, 7951)}
    start(lab)
    with Who(lab.wan, udp=[peers[UDP]], tcp=[peers[TCP]]):
        sock, stream = lab.lan1.udp(L1, 5950), lab.lan1.tcp(peers[TCP])
        seen = {UDP: carry(lab, sock, peers[UDP])}
        for _ in range(10):
            seen[TCP] = ask_tcp(stream).split()[0]
        inside = {UDP: (L1, 5950), TCP: stream.getsockname()}
        assert is_carried(lab, name(inside[TCP]), "tcp")
        packets = list(draw_packets({
            proto: (inside[proto], address(seen[proto]), peers[proto])
            for proto in peers}))
        carried = play(lab, packets)
        by_kernel = fast(lab)["packets"]
        lab.daemon.stop()
        lab.daemon.configure({**lab.daemon.config,
                              "fast_path": {"enabled": False}})
        lab.daemon.start()
        queued = play(lab, packets)
        sock.close()
        stream.close()
    assert by_kernel > PACKETS / 2, by_kernel
    for tag, outbound, packet, padding in packets:
        got, wanted = (way[not outbound].get(tag) for way in (carried, queued))
        assert got == wanted, (
            f"packet {tag}, {packet.hex()} and {len(padding)} bytes more:\n"
            f"{[one.hex() for one in got or ()]}\nin place of\n"
            f"{[one.hex() for one in wanted or ()]}")
    assert carried[2] == queued[2], (carried[2], queued[2])
    lab.stop()
    return f"{by_kernel} of {PACKETS} and their answers carried, " \
        f"{sum(map(len, queued[:2]))} arrived, {queued[2]}"
