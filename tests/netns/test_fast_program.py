# SPDX-License-Identifier: GPL-2.0-or-later
"""The fast path's program, driven without a daemon: what it carries comes out
as a translation should. What it does not carry is test_fast_program_up.py's."""
import contextlib
import errno
import hashlib
import os
import socket
import struct
import threading

from fastpath import IN, LOADER, OUT, bed, load, marked, tun
from lab import E, L1, L3, R1, R2, Skip
from netns import wait_for
from tools import Who, ask, limit, offload, usual_offloads
from wire import TCP, UDP, check_sound, identity

LAB = {"nat": "forward", "second": True}
INSIDE, OUTSIDE, PEER = (L1, 40000), (E, 50000), (R1, 7000)
TTL = 77  # nobody else's: so these packets are known


def packet(proto, source, destination, data=b"12345678", ttl=TTL, **ip):
    from scapy.layers.inet import IP, TCP as Tcp, UDP as Udp
    ports = {"sport": source[1], "dport": destination[1]}
    layer = Tcp(flags="PA", seq=7, ack=9, **ports) if proto == TCP \
        else Udp(**ports)
    return bytes(IP(src=source[0], dst=destination[0], ttl=ttl, **ip) / layer
                 / data)


def arrives(lab, space, device, send, count=1):
    with space.capture(f"ip[8] = {TTL - 1}", device, sent=False) as capture:
        send()
        got = capture.wait(count)
    assert len(got) == count, f"{len(got)} packets arrived, not {count}"
    check_sound(got)
    return got


def carried_out(lab, sent, padding=b"", by=L1):
    own = lab.bed
    before = own.fast.use(1, OUT)
    got = arrives(lab, lab.wan, "up0",
                  lambda: own.send_out(sent, padding, by))[0]
    assert own.fast.use(1, OUT) == (before[0] + 1, before[1] + len(sent)), (
        f"not carried: {got.hex()}")
    return got


def carried_in(lab, sent, padding=b""):
    own = lab.bed
    before = own.fast.use(1, IN)
    got = arrives(lab, lab.lan1, "eth0", lambda: own.send_in(sent, padding))[0]
    assert own.fast.use(1, IN) == (before[0] + 1, before[1] + len(sent)), (
        f"not carried: {got.hex()}")
    return got


def same(got, wanted):
    assert got == wanted, f"{got.hex()}\nin place of\n{wanted.hex()}"


def test_the_loader_refuses_what_it_cannot_do(lab):
    for arguments in ((), (1, 2), (2, 3), ("x", 2), (2, 0), (-2, 2),
                      (2, 2, 2), (1 << 21, 2), ("2x", 2)):
        result, text, fds, _ = load(*arguments)
        assert result == -errno.EINVAL and "arguments" in text, text
        assert not fds
    done = lab.gw.run(LOADER, 2, 2, check=False)
    assert done.returncode == 1 and "standard input" in done.stderr, done
    assert lab.gw.run(LOADER, "--version").stdout.startswith("portico-bpf ")
    assert "SLOTS" in lab.gw.run(LOADER, "--help").stdout


def test_a_refusal_of_the_kernel_is_a_sentence(lab):
    result, text, fds, done = load(2, 2, wrap=[
        "setpriv", "--bounding-set", "-all", "--inh-caps", "-all"])
    assert result == -errno.EPERM and not fds, f"{result} {text}"
    assert text.startswith("the kernel refuses the program: "), text
    assert not done.stderr, done.stderr


def test_three_rights_are_enough(lab):
    """As the service's unit and the OpenWrt package leave: without CAP_PERFMON
    the verifier of Linux 6.1 refuses what that of 6.18 takes."""
    result, text, fds, _ = load(64, 16, wrap=[
        "setpriv", "--bounding-set", "-all,+bpf,+net_admin,+perfmon", "--inh-caps",
        "-all"])
    assert result == 0, text
    for fd in fds:
        os.close(fd)


def test_a_shifted_clock_is_refused(lab):
    if not os.path.exists("/proc/self/timens_offsets"):
        raise Skip("the kernel has no time namespaces")
    result, text, fds, _ = load(2, 2, wrap=[
        "unshare", "--time", "--monotonic", "1000"])
    assert result == -errno.ENOTSUP and not fds, f"{result} {text}"
    assert "clock" in text, text


def test_outbound_packets_are_rewritten(lab):
    own = bed(lab)
    for proto in (TCP, UDP):
        for length in (0, 1, 8, 999, 1400):
            data = os.urandom(length)
            own.fast.carry(1, proto, INSIDE, OUTSIDE, PEER)
            got = carried_out(lab, packet(proto, INSIDE, PEER, data, flags="DF",
                                          id=4711, tos=0x48))
            same(got, packet(proto, OUTSIDE, PEER, data, TTL - 1, flags="DF",
                             id=4711, tos=0x48))
            assert own.fast.inside(1) == own.lan0


def test_inbound_packets_are_rewritten(lab):
    own = bed(lab)
    for proto in (TCP, UDP):
        for length in (0, 1, 8, 999, 1400):
            data = os.urandom(length)
            own.fast.carry(1, proto, INSIDE, OUTSIDE, PEER)
            got = carried_in(lab, packet(proto, PEER, OUTSIDE, data, id=815))
            same(got, packet(proto, PEER, INSIDE, data, TTL - 1, id=815))
            assert own.fast.inside(1) == own.lan0


def test_tcp_options_are_kept(lab):
    from scapy.layers.inet import IP, TCP as Tcp

    def segment(source, ttl):
        return bytes(IP(src=source[0], dst=R1, ttl=ttl, flags="DF") / Tcp(
            sport=source[1], dport=7000, flags="AU", urgptr=5, options=[
                ("Timestamp", (5, 6)), ("SAck", (1, 2, 3, 4))]) / b"data")
    own = bed(lab)
    own.fast.carry(1, TCP, INSIDE, OUTSIDE, PEER)
    same(carried_out(lab, segment(INSIDE, TTL)), segment(OUTSIDE, TTL - 1))


def test_what_the_ends_of_a_connection_said_last_is_kept(lab):
    from scapy.layers.inet import IP, TCP as Tcp

    def segment(source, destination, flags, ack):
        return bytes(IP(src=source[0], dst=destination[0], ttl=TTL,
                        flags="DF") / Tcp(sport=source[1],
                                          dport=destination[1], flags=flags,
                                          ack=ack, window=ack & 0xffff))
    own = bed(lab)
    own.fast.carry(1, TCP, INSIDE, OUTSIDE, PEER)
    assert own.fast.end(1, OUT) == own.fast.end(1, IN) == (0, 0, 0)
    carried_out(lab, segment(INSIDE, PEER, "P", 0x11112222))
    assert own.fast.end(1, OUT) == (0, 0, 0)  # it acknowledges nothing
    for ack in (0x12345678, 0xfedcba98):
        carried_out(lab, segment(INSIDE, PEER, "A", ack))
        carried_in(lab, segment(PEER, OUTSIDE, "PA", ack ^ 0xffff))
        assert own.fast.end(1, OUT) == (ack, ack & 0xffff, 1)
        assert own.fast.end(1, IN) == (ack ^ 0xffff, ~ack & 0xffff, 1)


def test_a_datagram_without_checksum_stays_without(lab):
    own = bed(lab)
    own.fast.carry(1, UDP, INSIDE, OUTSIDE, PEER)
    sent = packet(UDP, INSIDE, PEER)
    got = carried_out(lab, sent[:26] + b"\0\0" + sent[28:])
    assert got[26:28] == b"\0\0", got.hex()
    sent = packet(UDP, PEER, OUTSIDE)
    got = carried_in(lab, sent[:26] + b"\0\0" + sent[28:])
    assert got[26:28] == b"\0\0", got.hex()


def test_a_checksum_that_becomes_0_is_sent_as_ffff(lab):
    own = bed(lab)
    own.fast.carry(1, UDP, INSIDE, OUTSIDE, PEER)
    # What is summed up comes to 0 when the checksum becomes data.
    data = packet(UDP, OUTSIDE, PEER, b"\0\0")[26:28]
    got = carried_out(lab, packet(UDP, INSIDE, PEER, data))
    assert got[26:28] == b"\xff\xff", got.hex()
    data = packet(UDP, PEER, INSIDE, b"\0\0")[26:28]
    got = carried_in(lab, packet(UDP, PEER, OUTSIDE, data))
    assert got[26:28] == b"\xff\xff", got.hex()


def test_ip_ids_count_up_where_packets_may_be_fragmented(lab):
    own = bed(lab)
    own.fast.carry(1, UDP, INSIDE, OUTSIDE, PEER, ip_id=0x1fffe)
    ids = [identity(carried_out(lab, packet(UDP, INSIDE, PEER, id=5)))
           for _ in range(4)]
    assert ids == [0xfffe, 0xffff, 0, 1], ids


def test_padding_is_not_sent_on(lab):
    own = bed(lab)
    for proto in (TCP, UDP):
        own.fast.carry(1, proto, INSIDE, OUTSIDE, PEER)
        sent = packet(proto, INSIDE, PEER, b"x", flags="DF")
        same(carried_out(lab, sent, b"secret"),
             packet(proto, OUTSIDE, PEER, b"x", TTL - 1, flags="DF"))
        sent = packet(proto, PEER, OUTSIDE, b"x")
        same(carried_in(lab, sent, b"secret"),
             packet(proto, PEER, INSIDE, b"x", TTL - 1))


def test_a_session_is_found_behind_others_that_look_alike(lab):
    own = bed(lab)
    for place in range(8):
        own.fast.carry(1, UDP, INSIDE, OUTSIDE, PEER, place=place)
        carried_out(lab, packet(UDP, INSIDE, PEER))
        carried_in(lab, packet(UDP, PEER, OUTSIDE))


def test_another_inside_network(lab):
    own = bed(lab)
    own.fast.carry(1, UDP, (L3, 40000), OUTSIDE, PEER)
    same(carried_out(lab, packet(UDP, (L3, 40000), PEER, flags="DF"), by=L3),
         packet(UDP, OUTSIDE, PEER, ttl=TTL - 1, flags="DF"))
    assert own.fast.inside(1) == own.lan1


def test_carried_packets_bear_a_mark(lab):
    own = bed(lab, marks=(0x10, 0x20))
    own.fast.carry(1, UDP, INSIDE, OUTSIDE, PEER)
    with marked(lab.gw, "wan0", 0x10) as out, \
            marked(lab.gw, "lan0", 0x20) as back:
        carried_out(lab, packet(UDP, INSIDE, PEER, flags="DF"))
        same(out.recv(2000), packet(UDP, OUTSIDE, PEER, ttl=TTL - 1,
                                    flags="DF"))
        carried_in(lab, packet(UDP, PEER, OUTSIDE))
        same(back.recv(2000), packet(UDP, PEER, INSIDE, ttl=TTL - 1))


# --- devices without an Ethernet header ---------------------------------------

def read_tun(fd):
    """The next of our packets."""
    def one():
        with contextlib.suppress(BlockingIOError):
            while True:
                got = os.read(fd, 65536)
                if got[8] == TTL - 1:
                    return got
        return None
    return wait_for("a packet at the tun device", one, 3)


@contextlib.contextmanager
def bare(lab, program, *routes):
    """A tun device over which these hosts are; its next hop is known."""
    own = bed(lab)
    fd = tun(lab.gw, "tun0")
    try:
        lab.gw.ip("link set tun0 up")
        for address in routes:
            lab.gw.ip(f"route replace {address}/32 dev tun0")
            lab.gw.run("ping", "-c1", "-W0.1", "-I", E, address, check=False)
        device = own.fast.attach(lab.gw, "tun0", program)
        yield own, fd, device
    finally:
        os.close(fd)


def test_a_bare_uplink(lab):
    with bare(lab, "portico_up_bare", R2) as (own, fd, device):
        own.fast.head(device, [own.lan0])
        for proto in (TCP, UDP):
            own.fast.carry(1, proto, INSIDE, OUTSIDE, (R2, 7000))
            own.send_out(packet(proto, INSIDE, (R2, 7000), flags="DF"))
            same(read_tun(fd), packet(proto, OUTSIDE, (R2, 7000), ttl=TTL - 1,
                                      flags="DF"))
            sent = packet(proto, (R2, 7000), OUTSIDE)
            got = arrives(lab, lab.lan1, "eth0", lambda: os.write(fd, sent))
            same(got[0], packet(proto, (R2, 7000), INSIDE, ttl=TTL - 1))
            assert own.fast.use(1, OUT) == own.fast.use(1, IN) == \
                (1, len(sent))


def test_a_bare_inside_device(lab):
    far = "192.168.9.9"
    with bare(lab, "portico_in_bare", far) as (own, fd, device):
        own.fast.head(own.wan0, [own.lan0, device])
        own.fast.carry(1, UDP, (far, 40000), OUTSIDE, PEER)
        sent = packet(UDP, (far, 40000), PEER, flags="DF")
        got = arrives(lab, lab.wan, "up0", lambda: os.write(fd, sent))
        same(got[0], packet(UDP, OUTSIDE, PEER, ttl=TTL - 1, flags="DF"))
        own.send_in(packet(UDP, PEER, OUTSIDE))
        same(read_tun(fd), packet(UDP, PEER, (far, 40000), ttl=TTL - 1))
        assert own.fast.use(1, OUT) == own.fast.use(1, IN) == (1, len(sent))
        assert own.fast.inside(1) == device


# --- real traffic ---------------------------------------------------------------

# What the program leaves to others: translated without any state.
STANDIN = f"""
table ip standin {{
    chain out {{
        type filter hook postrouting priority 100;
        oifname "wan0" ip saddr {L1} tcp sport 40000 counter name up \\
            ip saddr set {E} tcp sport set 50000
    }}
    chain in {{
        type filter hook prerouting priority -300;
        iifname "wan0" ip daddr {E} tcp dport 50000 counter name up \\
            ip daddr set {L1} tcp dport set 40000
    }}
    counter up {{ }}
}}
"""
MB = 1000 * 1000


def test_datagrams_of_a_local_sender(lab):
    own = bed(lab)
    own.fast.carry(1, UDP, INSIDE, OUTSIDE, PEER)
    with Who(lab.wan, udp=[PEER]):
        for tx in ("on", "off"):
            offload(lab, f"tx {tx}")
            with contextlib.closing(lab.lan1.udp(*INSIDE)) as sock:
                for length in (1, 2, 100, 1400):
                    assert ask(sock, PEER, os.urandom(length)) == "%s:%d" % \
                        OUTSIDE
        usual_offloads(lab)
    assert own.fast.use(1, OUT)[0] >= 8 and own.fast.use(1, IN)[0] >= 8


def serve(listener, data, sums):
    """Takes all that comes, then sends data."""
    sock, _ = listener.accept()
    with sock:
        sock.settimeout(30)
        digest, rest = hashlib.sha256(), len(data)
        while rest:
            got = sock.recv(min(rest, 1 << 20))
            if not got:
                return
            digest.update(got)
            rest -= len(got)
        sums.append(digest.digest())
        sock.sendall(data)


def transfer(lab, own, size=10 * MB):
    """Bytes both ways over one TCP connection. How many packets the program
    left to the stand-in."""
    data, sums = os.urandom(size), []
    wanted = hashlib.sha256(data).digest()
    own.fast.carry(1, TCP, INSIDE, OUTSIDE, PEER)
    lab.gw.run("nft", "-f", "-", input=STANDIN)
    try:
        with lab.wan.listener(*PEER) as listener:
            server = threading.Thread(target=serve,
                                      args=(listener, data, sums))
            server.start()
            with lab.lan1.tcp(PEER, source=INSIDE, timeout=30) as sock:
                sock.sendall(data)
                digest, rest = hashlib.sha256(), size
                while rest:
                    got = sock.recv(min(rest, 1 << 20))
                    assert got, "the connection ended"
                    digest.update(got)
                    rest -= len(got)
                # No FIN, after which a port rests.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                struct.pack("ii", 1, 0))
            server.join(30)
        text = lab.gw.run("nft", "list", "counters", "table", "ip",
                          "standin").stdout
    finally:
        lab.gw.run("nft", "delete", "table", "ip", "standin")
    assert sums == [wanted], "the bytes changed on their way out"
    assert digest.digest() == wanted, "the bytes changed on their way in"
    for way in (OUT, IN):
        assert own.fast.use(1, way)[1] > 0.9 * size, own.fast.use(1, way)
    return int(text.split("packets ")[1].split()[0])


@limit(120)
def test_a_transfer_with_and_without_offloads(lab):
    own = bed(lab)
    told = []
    for features in ((), ("gro on",), ("tso off", "gso off"),
                     ("tx off", "rx off", "sg off", "tso off", "gso off")):
        usual_offloads(lab)
        offload(lab, "rx on", *features)
        left = transfer(lab, own)
        packets = own.fast.use(1, OUT)[0] + own.fast.use(1, IN)[0]
        told.append(f"{packets} carried, {left} not")
        assert left <= 8, f"with {features} {told[-1]}"
    usual_offloads(lab)
    return "; ".join(told)


@limit(120)
def test_a_transfer_whose_segments_are_too_large_at_first(lab):
    """The host's super-packets are judged by their segments; it is told."""
    own = bed(lab)
    usual_offloads(lab)
    lab.gw.ip("link set wan0 mtu 1300")
    lab.wan.ip(f"route add {E}/32 dev up0 mtu lock 1300 advmss 1460")
    try:
        with lab.lan1.capture("icmp[0] = 3 and icmp[1] = 4",
                              "eth0") as capture:
            transfer(lab, own)
            told = capture.wait(1)
    finally:
        lab.gw.ip("link set wan0 mtu 1500")
        lab.wan.ip(f"route del {E}/32 dev up0")
        lab.lan1.ip("route flush cache")
    assert told, "no segment was too large, nothing was tested"


def test_checksums_that_the_device_summed_up(lab):
    """Behind a VXLAN with checksums packets come with CHECKSUM_COMPLETE."""
    own = bed(lab)
    far = "192.168.8.2"
    offload(lab, "tx off")
    try:
        for space, there, address in ((lab.lan1, "192.168.1.1", far),
                                      (lab.gw, L1, "192.168.8.1")):
            done = space.run(
                "ip", "link", "add", "vx0", "type", "vxlan", "id", "7",
                "remote", there, "dstport", "4789", "udpcsum", check=False)
            if done.returncode:
                raise Skip("the kernel has no vxlan")
            space.ip(f"addr add {address}/24 dev vx0")
            space.ip("link set vx0 up")
        lab.lan1.ip(f"route add {R1}/32 via 192.168.8.1")
        lab.gw.run("ping", "-c1", "-W2", far)
        device = own.fast.attach(lab.gw, "vx0", "portico_in")
        own.fast.head(own.wan0, [device])
        own.fast.carry(1, UDP, (far, 40000), OUTSIDE, PEER)
        with Who(lab.wan, udp=[PEER]), \
                contextlib.closing(lab.lan1.udp(far, 40000)) as sock:
            for length in (1, 2, 100, 1400):
                assert ask(sock, PEER, os.urandom(length), 1) == \
                    "%s:%d" % OUTSIDE
        assert own.fast.use(1, OUT)[0] == own.fast.use(1, IN)[0] == 4
    finally:
        usual_offloads(lab)
        for space in (lab.lan1, lab.gw):
            space.run("ip", "link", "del", "vx0", check=False)
