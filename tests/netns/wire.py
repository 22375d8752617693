# SPDX-License-Identifier: GPL-2.0-or-later
"""IPv4 packets as bytes: what they say, and whether their checksums hold.
Computed here anew, by no code of the gateway or of the kernel."""
import struct

ICMP, TCP, UDP = 1, 6, 17
ERRORS = (3, 4, 5, 11, 12)


def total(data, start=0):
    """The one's-complement sum of 16-bit words; 0xffff: a good checksum."""
    if len(data) % 2:
        data += b"\0"
    value = start + sum(struct.unpack(f"!{len(data) // 2}H", data))
    while value >> 16:
        value = (value & 0xffff) + (value >> 16)
    return value


def header_length(packet):
    return (packet[0] & 15) * 4


def word(packet, offset):
    return struct.unpack_from("!H", packet, offset)[0]


def identity(packet):
    return word(packet, 4)


def fragment_offset(packet):
    return (word(packet, 6) & 0x1fff) * 8


def more_fragments(packet):
    return bool(packet[6] & 0x20)


def dont_fragment(packet):
    return bool(packet[6] & 0x40)


def payload(packet):
    """What follows the IP header."""
    return packet[header_length(packet):word(packet, 2)]


def with_header_checksum(packet):
    end = header_length(packet)
    bare = packet[:10] + b"\0\0" + packet[12:end]
    return bare[:10] + struct.pack("!H", total(bare) ^ 0xffff) + \
        bare[12:] + packet[end:]


def with_ttl(packet, ttl):
    """The same packet some hops earlier or later."""
    return with_header_checksum(packet[:8] + bytes([ttl]) + packet[9:])


def whole(packets):
    """The datagrams among the packets: fragments put together (in the place
    of their last), incomplete ones left out."""
    parts, done = {}, []
    for packet in packets:
        if not more_fragments(packet) and not fragment_offset(packet):
            done.append(packet)
            continue
        key = packet[12:20], packet[9], identity(packet)
        pieces = parts.setdefault(key, {})
        pieces[fragment_offset(packet)] = packet
        joined = join(pieces)
        if joined:
            done.append(joined)
            del parts[key]
    return done


def join(pieces):
    """One datagram of its fragments by offset, None while some are missing;
    no two may overlap."""
    data, first = b"", pieces.get(0)
    while len(data) in pieces:
        piece = pieces[len(data)]
        data += payload(piece)
        if not more_fragments(piece):
            head = first[:header_length(first)]
            assert len(pieces) == 1 or sum(
                len(payload(p)) for p in pieces.values()) == len(data)
            return with_header_checksum(
                head[:2] + struct.pack("!H", len(head) + len(data))
                + head[4:6] + b"\0\0" + head[8:] + data)
        if not payload(piece):
            return None
    return None


def transport_good(packet):
    """The transport checksum of a whole datagram."""
    data, proto = payload(packet), packet[9]
    if proto == ICMP:
        return total(data) == 0xffff
    if proto == UDP and data[6:8] == b"\0\0":
        return True
    if proto in (TCP, UDP):
        return total(data, total(packet[12:20]) + proto
                     + len(data)) == 0xffff
    return True


def check_sound(packets):
    """Every IP header (also a quoted one) and every transport checksum that
    can be seen here is right."""
    for packet in packets:
        assert total(packet[:header_length(packet)]) == 0xffff, (
            f"IP checksum: {packet.hex()}")
        data = payload(packet)
        if packet[9] == ICMP and not fragment_offset(packet) and \
                data[0] in ERRORS:
            quoted = data[8:]
            assert total(quoted[:header_length(quoted)]) == 0xffff, (
                f"the quoted IP checksum: {packet.hex()}")
    for packet in whole(packets):
        assert transport_good(packet), f"transport checksum: {packet.hex()}"
