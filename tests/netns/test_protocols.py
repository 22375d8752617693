# SPDX-License-Identifier: GPL-2.0-or-later
"""Protocols beside TCP, UDP and ICMP: UDP-Lite and DCCP by their ports, SCTP,
GRE and ESP by their tags, through the real queue. UDP-Lite by the kernel's own
sockets; the others' packets are made here, since few kernels speak them all."""
import socket
import struct

from lab import E, L1, L2, R1, Skip
from tools import pattern

DCCP, GRE, ESP, SCTP, UDPLITE = 33, 47, 50, 132, 136
UDPLITE_SEND_CSCOV, UDPLITE_RECV_CSCOV = 10, 11


def raw(space, proto, timeout=3.0):
    """Sends transport parts, receives whole packets."""
    return space.socket(socket.SOCK_RAW, proto=proto, timeout=timeout)


def receive(sock, source):
    """The next packet from this address: (addresses, transport part)."""
    while True:
        data = sock.recv(65535)
        if data[12:16] == socket.inet_aton(source):
            return (socket.inet_ntoa(data[12:16]),
                    socket.inet_ntoa(data[16:20])), data[20:]


def await_part(sock, source, expected):
    """What came before it: a kernel that knows the protocol itself may answer
    as well, with an ABORT."""
    before = []
    while len(before) < 10:
        _, part = receive(sock, source)
        if part == expected:
            return before
        before.append(part)
    raise AssertionError(f"{expected.hex()} not among {before}")


def silent(sock, seconds=0.3):
    sock.settimeout(seconds)
    try:
        sock.recv(65535)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(3.0)
    return False


def row(lab, inside, proto):
    rows = [r for r in lab.portico("sessions")["sessions"]
            if r["inside"] == inside and r["proto"] == proto]
    assert rows, lab.portico("sessions")
    return rows[0]


def checksum(proto, source, target, part, covered=None):
    """The complement of the sum over pseudo header and covered bytes."""
    data = (socket.inet_aton(source) + socket.inet_aton(target)
            + struct.pack("!HH", proto, len(part))
            + part[:covered] + b"\0" * (len(part[:covered]) % 2))
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


# --- UDP-Lite -------------------------------------------------------------

def udplite(space, address, coverage=0):
    try:
        sock = space.socket(socket.SOCK_DGRAM, bind=address, proto=UDPLITE,
                            timeout=3.0)
    except OSError as error:
        raise Skip(f"no UDP-Lite: {error}") from None
    if coverage:
        sock.setsockopt(UDPLITE, UDPLITE_SEND_CSCOV, coverage)
    return sock


def lite(ports, ends, payload, coverage):
    part = struct.pack("!HHHH", *ports, coverage, 0) + payload
    value = checksum(UDPLITE, *ends, part, coverage or None)
    return part[:6] + struct.pack("!H", value or 0xffff) + part[8:]


def test_udplite_crosses_with_every_coverage(lab):
    """Both directions, the whole covered and eight bytes only: the receiver
    finds the checksum right, or it would drop what comes."""
    lab.need_portico()
    lab.start()
    for coverage in (0, 8, 20):
        there = raw(lab.wan, UDPLITE)
        here = raw(lab.lan1, UDPLITE)
        source = 5200 + coverage
        here.sendto(lite((source, 7200), (L1, R1), pattern(101), coverage),
                    (R1, 0))
        ends, part = receive(there, E)
        assert ends == (E, R1)
        sport, dport, cover = struct.unpack("!HHH", part[:6])
        assert (sport, dport, cover) == (source, 7200, coverage)
        assert part[8:] == pattern(101)
        assert checksum(UDPLITE, E, R1, part, coverage or None) == 0
        answer = lite((7200, sport), (R1, E), pattern(33), coverage)
        with lab.wan.socket(socket.SOCK_RAW, bind=(R1, 0),
                            proto=UDPLITE) as peer:
            peer.sendto(answer, (E, 0))
        ends, part = receive(here, R1)
        assert ends == (R1, L1)
        assert struct.unpack("!HHH", part[:6]) == (7200, source, coverage)
        assert checksum(UDPLITE, R1, L1, part, coverage or None) == 0
        found = row(lab, f"{L1}:{source}", "udplite")
        assert found["state"] == "ESTABLISHED", found
        there.close()
        here.close()


def test_udplite_sockets_of_two_hosts_with_one_port(lab):
    lab.need_portico()
    lab.start()
    server = udplite(lab.wan, (R1, 7201))
    outside = set()
    for space, address in ((lab.lan1, L1), (lab.lan2, L2)):
        client = udplite(space, (address, 5201), coverage=8)
        client.sendto(pattern(50), (R1, 7201))
        data, peer = server.recvfrom(1000)
        assert peer[0] == E and data == pattern(50)
        outside.add(peer[1])
        server.sendto(address.encode(), peer)
        assert client.recv(100) == address.encode()
        client.close()
    assert len(outside) == 2, outside
    server.close()


# --- DCCP -----------------------------------------------------------------

def dccp(kind, ports, ends):
    """A packet without options and data: X set, 48-bit sequence number."""
    part = struct.pack("!HHBBHBBHI", *ports, 4, 0, 0, kind << 1 | 1, 0, 0, 7)
    return part[:6] + struct.pack("!H", checksum(DCCP, *ends, part)) + part[8:]


def test_dccp_opens_answers_and_closes(lab):
    lab.need_portico()
    lab.start()
    here, there = raw(lab.lan1, DCCP), raw(lab.wan, DCCP)
    back = lab.wan.socket(socket.SOCK_RAW, bind=(R1, 0), proto=DCCP)

    def out(kind):
        here.sendto(dccp(kind, (5300, 7300), (L1, R1)), (R1, 0))
        _, part = receive(there, E)
        assert checksum(DCCP, E, R1, part) == 0
        return struct.unpack("!H", part[:2])[0]

    def into(kind, outside):
        back.sendto(dccp(kind, (7300, outside), (R1, E)), (E, 0))
        ends, part = receive(here, R1)
        assert ends == (R1, L1)
        assert struct.unpack("!HH", part[:4]) == (7300, 5300)
        assert checksum(DCCP, R1, L1, part) == 0

    outside = out(0)  # Request
    assert row(lab, f"{L1}:5300", "dccp")["state"] == "INIT"
    into(1, outside)  # Response
    found = row(lab, f"{L1}:5300", "dccp")
    assert found["state"] == "ESTABLISHED" and found["expires_s"] > 7400
    out(6)  # Close
    into(7, outside)  # Reset
    found = row(lab, f"{L1}:5300", "dccp")
    assert found["state"] == "TRANS" and found["expires_s"] <= 240
    for sock in (here, there, back):
        sock.close()


def test_an_unexpected_dccp_request_is_met_with_silence(lab):
    """Also not by the kernel's own protocol unreachable."""
    lab.need_portico()
    lab.start()
    before = lab.drops("no_mapping")
    with lab.wan.capture(f"src host {E}", "up0") as seen, \
            lab.wan.socket(socket.SOCK_RAW, bind=(R1, 0),
                           proto=DCCP) as peer:
        peer.sendto(dccp(0, (7301, 50123), (R1, E)), (E, 0))
        assert not seen.wait(1, 0.5)
    assert lab.drops("no_mapping") == before + 1


# --- SCTP -----------------------------------------------------------------

def sctp(ports, tag, chunk):
    part = struct.pack("!HHII", *ports, tag, 0) + chunk
    return part[:8] + struct.pack("<I", crc32c(part)) + part[12:]


def init(kind, tag):
    return struct.pack("!BBHIIHHI", kind, 0, 20, tag, 65536, 1, 1, 9)


def test_sctp_is_told_apart_by_its_verification_tag(lab):
    lab.need_portico()
    lab.start()
    here, there = raw(lab.lan1, SCTP), raw(lab.wan, SCTP)
    other = raw(lab.lan2, SCTP)
    back = lab.wan.socket(socket.SOCK_RAW, bind=(R1, 0), proto=SCTP)
    here.sendto(sctp((5400, 7400), 0, init(1, 0xaaaa)), (R1, 0))
    ends, part = receive(there, E)
    assert ends == (E, R1) and part[:4] == struct.pack("!HH", 5400, 7400)
    back.sendto(sctp((7400, 5400), 0xaaaa, init(2, 0xbbbb)), (E, 0))
    await_part(here, R1, sctp((7400, 5400), 0xaaaa, init(2, 0xbbbb)))
    # Another host with these ports would restart the first one's association.
    before = lab.drops("no_port")
    with lab.lan2.capture("icmp[0] = 3", "eth0") as refused:
        other.sendto(sctp((5400, 7400), 0, init(1, 0xcccc)), (R1, 0))
        assert refused.wait(1, 3)
    assert lab.drops("no_port") == before + 1
    # A wrong tag is nobody's.
    wrong = sctp((7400, 5400), 0xdddd, struct.pack("!BBHI", 3, 0, 8, 1))
    back.sendto(wrong, (E, 0))
    back.sendto(sctp((7400, 5400), 0xaaaa, wrong[12:]), (E, 0))
    assert wrong not in await_part(
        here, R1, sctp((7400, 5400), 0xaaaa, wrong[12:]))
    assert row(lab, f"{L1}:5400", "sctp")["peer"] == f"{R1}:7400"
    for sock in (here, there, other, back):
        sock.close()


# --- GRE and ESP ----------------------------------------------------------

def gre(key, payload=b"inside"):
    return struct.pack("!HHI", 0x2000, 0x6558, key) + payload


def esp(index, number=1):
    return struct.pack("!II", index, number) + pattern(40)


def test_gre_tunnels_of_two_hosts_to_one_peer_by_their_keys(lab):
    lab.need_portico()
    lab.start()
    there = raw(lab.wan, GRE)
    back = lab.wan.socket(socket.SOCK_RAW, bind=(R1, 0), proto=GRE)
    hosts = [(raw(lab.lan1, GRE), 11), (raw(lab.lan2, GRE), 12)]
    for sock, key in hosts:
        sock.sendto(gre(key), (R1, 0))
        assert receive(there, E) == ((E, R1), gre(key))
    for sock, key in hosts:
        back.sendto(gre(key, b"answer"), (E, 0))
    assert receive(hosts[0][0], R1) == ((R1, L1), gre(11, b"answer"))
    assert receive(hosts[1][0], R1) == ((R1, L2), gre(12, b"answer"))
    # The same key from the other host: refused, and the first one keeps it.
    hosts[1][0].sendto(gre(11), (R1, 0))
    back.sendto(gre(11, b"again"), (E, 0))
    assert receive(hosts[0][0], R1)[1] == gre(11, b"again")
    assert silent(hosts[1][0])
    for sock in (there, back, hosts[0][0], hosts[1][0]):
        sock.close()


def test_esp_of_two_hosts_to_one_peer_learnt_from_the_answers(lab):
    lab.need_portico()
    lab.start()
    there = raw(lab.wan, ESP)
    back = lab.wan.socket(socket.SOCK_RAW, bind=(R1, 0), proto=ESP)
    one, two = raw(lab.lan1, ESP), raw(lab.lan2, ESP)
    one.sendto(esp(0x1001), (R1, 0))
    assert receive(there, E) == ((E, R1), esp(0x1001))
    # While the first one waits for its answer a second one is refused.
    before = lab.drops("no_port")
    two.sendto(esp(0x2001), (R1, 0))
    assert silent(there)
    assert lab.drops("no_port") == before + 1
    back.sendto(esp(0x1002), (E, 0))
    assert receive(one, R1) == ((R1, L1), esp(0x1002))
    two.sendto(esp(0x2001), (R1, 0))
    assert receive(there, E)[1] == esp(0x2001)
    back.sendto(esp(0x2002), (E, 0))
    assert receive(two, R1) == ((R1, L2), esp(0x2002))
    back.sendto(esp(0x1002, 2), (E, 0))
    assert receive(one, R1) == ((R1, L1), esp(0x1002, 2))
    assert silent(two)
    assert row(lab, f"{L2}:0", "esp")["state"] == "ESTABLISHED"
    for sock in (there, back, one, two):
        sock.close()


def test_large_esp_packets_cross_in_fragments(lab):
    lab.need_portico()
    lab.start()
    there, here = raw(lab.wan, ESP), raw(lab.lan1, ESP)
    part = struct.pack("!II", 0x3001, 1) + pattern(5000)
    here.sendto(part, (R1, 0))
    assert receive(there, E)[1] == part
    here.close()
    there.close()


def test_an_icmp_error_about_a_tunnel_finds_its_host(lab):
    lab.need_portico()
    lab.start()
    here = raw(lab.lan1, GRE)
    with lab.wan.capture(f"src host {E} and proto 47", "up0") as seen:
        here.sendto(gre(21), (R1, 0))
        sent = seen.wait(1)[0]
    error = struct.pack("!BBHHH", 3, 4, 0, 0, 1400) + sent[:28]
    total = sum(struct.unpack(f"!{len(error) // 2}H", error))
    total = (total & 0xffff) + (total >> 16)
    total = (total & 0xffff) + (total >> 16)
    error = error[:2] + struct.pack("!H", total ^ 0xffff) + error[4:]
    with lab.lan1.capture("icmp[0] = 3", "eth0") as told, \
            lab.wan.socket(socket.SOCK_RAW, bind=(R1, 0),
                           proto=socket.IPPROTO_ICMP) as router:
        router.sendto(error, (E, 0))
        packet = told.wait(1)[0]
    assert packet[16:20] == socket.inet_aton(L1)
    assert packet[40:44] == socket.inet_aton(L1)  # the quoted source
    here.close()


def test_the_routers_own_tunnel_is_left_to_it(lab):
    """Nobody inside speaks to that peer: the packet is the router's, with the
    daemon up and killed."""
    lab.need_portico()
    lab.start()
    own = raw(lab.gw, GRE)
    with lab.wan.socket(socket.SOCK_RAW, bind=("198.51.100.2", 0),
                        proto=GRE) as peer:
        peer.sendto(gre(31), (E, 0))
        assert receive(own, "198.51.100.2") == (("198.51.100.2", E), gre(31))
        lab.daemon.kill()
        peer.sendto(gre(32), (E, 0))
        assert receive(own, "198.51.100.2")[1] == gre(32)
    own.close()
    lab.start()


def test_a_protocol_left_out_does_not_leave(lab):
    lab.need_portico()
    lab.start(behaviour={"protocols": ["esp"]})
    before = lab.drops("unsupported")
    there, here = raw(lab.wan, GRE), raw(lab.lan1, GRE)
    here.sendto(gre(41), (R1, 0))
    assert silent(there)
    assert lab.drops("unsupported") == before + 1
    here.close()
    there.close()
