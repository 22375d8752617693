# SPDX-License-Identifier: GPL-2.0-or-later
"""What a carried session's unusual packets become: hops that end, packets too
large, fragments, options, errors about it, hairpins."""
import errno
import hashlib
import os
import socket
import struct
import time

from fastlab import by_kernel, carry, conversation, fast, is_carried, \
    queued, session, sessions, speak, start
from lab import E, FAR, GW, L1, L2, MAC_LAN0, MAC_WAN0, NEXT_HOP, R1, address, \
    port, quote
from netns import SLOW, wait_for
from test_mtu import forget, narrow, too_big
from tools import Who, ask, ask_tcp, curl, frame, httpd, limit, pattern, \
    random_file
from wire import check_sound, with_header_checksum

LAB = {"far": True}
MB = 1000 * 1000


def check_still_carried(lab, sock, peer):
    carried, waited = by_kernel(lab, lambda: speak(sock, peer, times=5))
    assert (carried, waited) == (10, 0), (carried, waited)


# --- hops --------------------------------------------------------------------

def test_hops_end_at_the_gateway_and_behind_it(lab):
    """As traceroute sees it, within a session that is carried."""
    start(lab)
    with conversation(lab, 5501, (lab.far, FAR)) as (sock, peer):
        for hops, who in ((1, GW), (2, NEXT_HOP)):
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
            with lab.lan1.capture("icmp[0] = 11", "eth0") as errors:
                sock.sendto(b"hop", peer)
                got = errors.wait(1)
            assert got, f"nobody answers at hop {hops}"
            check_sound(got)
            kind, code, source, target, inner, _ = quote(got[0])
            assert (kind, code, source, target) == (11, 0, who, L1)
            assert (address(inner, 12), port(inner, 0)) == (L1, 5501)
            assert (address(inner, 16), port(inner, 2)) == peer
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 64)
        check_still_carried(lab, sock, peer)


def test_a_closed_port_is_told_to_the_host(lab):
    """An error about a carried packet is translated."""
    start(lab)
    with Who(lab.wan, udp=[(R1, 7502)]):
        sock = lab.lan1.udp(L1, 5502)
        carry(lab, sock, (R1, 7502))
    sock.connect((R1, 7502))
    with lab.lan1.capture("icmp[0] = 3 and icmp[1] = 3", "eth0") as errors:
        sock.send(b"is there anybody")
        got = errors.wait(1)
    assert got, "no error came"
    check_sound(got)
    kind, code, source, target, inner, _ = quote(got[0])
    assert (source, target) == (R1, L1), (source, target)
    assert (address(inner, 12), port(inner, 0)) == (L1, 5502)
    try:
        sock.send(b"once more")
        raise AssertionError("the host's kernel did not believe the error")
    except ConnectionRefusedError:
        pass
    sock.close()


# --- too large ---------------------------------------------------------------

def check_told(lab, space, device, sock, size, peer, mtu):
    """A datagram that must not be fragmented is answered by 3/4 with this MTU;
    returns the quote, and the kernel of its sender believes it."""
    kind, code, source, target, inner, word = too_big(space, device, sock,
                                                      size, peer)
    assert (kind, code) == (3, 4) and word & 0xffff == mtu, (kind, code, word)
    sock.setsockopt(socket.IPPROTO_IP, 10, 2)
    try:
        sock.sendto(bytes(size), peer)
        raise AssertionError("the sender's kernel did not believe the error")
    except OSError as error:
        assert error.errno == errno.EMSGSIZE, error
    sock.setsockopt(socket.IPPROTO_IP, 10, 0)
    return source, target, inner


def test_a_smaller_uplink_is_told_to_the_host(lab):
    start(lab)
    with conversation(lab, 5503) as (sock, peer), \
            narrow([(lab.gw, "wan0"), (lab.wan, "up0")], 1400):
        source, target, inner = check_told(lab, lab.lan1, "eth0", sock, 1472,
                                           peer, 1400)
        assert (source, target) == (GW, L1), (source, target)
        assert (address(inner, 12), port(inner, 0)) == (L1, 5503)
        # What may be fragmented is.
        speak(sock, peer, pattern(1472))
        speak(sock, peer, pattern(1200))
    forget(lab.lan1, lab.wan)


def test_a_smaller_inside_is_told_to_the_peer(lab):
    """By the device's MTU, or by that of a route if it is locked."""
    start(lab)
    sock, outside = lab.lan1.udp(L1, 5504), lab.wan.udp(R1, 7504)
    for _ in range(5):
        sock.sendto(b"out", (R1, 7504))
        assert outside.recvfrom(100) == (b"out", (E, 5504))
        outside.sendto(b"in", (E, 5504))
        assert sock.recv(100) == b"in"
    assert is_carried(lab, f"{L1}:5504")
    route = "route replace 192.168.1.0/24 dev lan0 proto kernel scope link " \
            f"src {GW}"
    for mtu, narrowed, before in (
            (1300, "link set lan0 mtu 1300", "link set lan0 mtu 1500"),
            (1280, route + " mtu lock 1280", route)):
        lab.gw.ip(narrowed)
        try:
            source, target, inner = check_told(lab, lab.wan, "up0", outside,
                                               1400, (E, 5504), mtu)
        finally:
            lab.gw.ip(before)
            forget(lab.wan)
        assert (source, target) == (E, R1), (source, target)
        assert (address(inner, 16), port(inner, 2)) == (E, 5504)
        assert (address(inner, 12), port(inner, 0)) == (R1, 7504)
    assert is_carried(lab, f"{L1}:5504")
    sock.close()
    outside.close()


def sum_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def transfer_while(lab, up, narrowed):
    """A carried connection to the far host, whose path gets narrow under it."""
    # Seconds more than the table's counters may be old.
    count, url = 24 * MB, f"http://{FAR}"
    path = os.path.join(lab.directory, "narrow")
    wanted = curl(lab.far, f"{url}/sha256/{count}").stdout.strip()
    if up:
        sent = random_file(lab.directory, count)
        wanted, what = sum_of(sent), ["-T", sent, f"{url}/put"]
    else:
        what = [f"{url}/{count}"]
    with lab.lan1.running("curl", "-sS", "--max-time", str(round(20 * SLOW)),
                          "--limit-rate", str(round(6 * MB / SLOW)), "-o",
                          path, *what) as client:
        before = fast(lab)["bytes"]
        wait_for("it is carried", lambda: fast(lab)["bytes"]
                 > before + 2 * MB, 5)
        with narrow(narrowed, 1300):
            assert client.alive(), "it was over too early"
            assert client.wait(20) == 0, client.output()
            time.sleep(1.1)
            after = fast(lab)["bytes"]
    got = sum_of(path)
    if up:
        with open(path) as file:
            got = file.read().strip()
    os.unlink(path)
    assert got == wanted, "the data changed on its way"
    assert after - before > count - MB, f"only {after - before} bytes carried"
    forget(lab.lan1, lab.far, lab.wan)


def test_tcp_adapts_when_its_path_gets_narrow(lab):
    """A router behind the next hop says so; the far end's own MTU stays."""
    start(lab, mss="off")
    with httpd(lab.far, FAR):
        transfer_while(lab, True, [(lab.wan, "far0")])
        transfer_while(lab, True, [(lab.gw, "wan0"), (lab.wan, "up0")])
        transfer_while(lab, False, [(lab.gw, "lan0")])


# --- fragments and options ---------------------------------------------------

def test_fragments_of_a_carried_session_arrive(lab):
    start(lab)
    with conversation(lab, 5505) as (sock, peer):
        for size in (1473, 5000, 30000):
            for _ in range(3):
                speak(sock, peer, pattern(size, size))
        check_still_carried(lab, sock, peer)


def with_option(packet):
    """Three times no operation, and the end."""
    longer = bytes([packet[0] + 1]) + packet[1:2] + struct.pack(
        "!H", len(packet) + 4) + packet[4:20] + b"\1\1\1\0" + packet[20:]
    return with_header_checksum(longer)


def test_options_take_the_queue(lab):
    from scapy.layers.inet import IP, UDP
    start(lab)
    with conversation(lab, 5506) as (sock, peer):
        waited = queued(lab)
        packet = bytes(IP(src=L1, dst=R1, ttl=60) / UDP(
            sport=5506, dport=peer[1]) / b"options")
        link = lab.lan1.link_socket("eth0")
        with lab.wan.capture(f"src host {E} and udp", "up0") as seen:
            link.send(frame(with_option(packet), MAC_LAN0))
            got = seen.wait(1)
        link.close()
        assert len(got) == 1 and got[0][:1] == b"\x46", got
        check_sound(got)
        assert (address(got[0], 12), port(got[0], 0)) == (E, 5506)
        assert queued(lab) >= waited + 1
        assert sock.recv(100).endswith(b"options")
        check_still_carried(lab, sock, peer)


def test_wrong_checksums_are_no_worse_than_without(lab):
    """What is carried is not looked into: a wrong sum stays one, and the ends
    find it."""
    from scapy.layers.inet import IP, UDP
    start(lab)
    with conversation(lab, 5507) as (sock, peer):
        link, up = lab.lan1.link_socket("eth0"), lab.wan.link_socket("up0")
        # One that is wrong by one, both ways.
        out = bytearray(bytes(IP(src=L1, dst=R1, ttl=60) / UDP(
            sport=5507, dport=peer[1]) / b"wrong"))
        out[27] ^= 1
        link.send(frame(out, MAC_LAN0))
        back = bytearray(bytes(IP(src=R1, dst=E, ttl=60) / UDP(
            sport=peer[1], dport=5507) / b"wrong"))
        back[27] ^= 1
        up.send(frame(back, MAC_WAN0))
        sock.settimeout(0.4)
        try:
            raise AssertionError(f"{sock.recv(100)} came")
        except socket.timeout:
            pass
        link.close()
        up.close()
        check_still_carried(lab, sock, peer)


# --- hairpins ----------------------------------------------------------------

def test_hairpins_work_and_are_not_carried(lab):
    start(lab, forwards=[{"name": "web", "proto": ["tcp", "udp"],
                          "outside": 8080, "to": f"{L2}:80"}])
    with Who(lab.lan2, tcp=[(L2, 80)], udp=[(L2, 80)]):
        sock = lab.lan1.udp(L1, 5508)
        tcp = lab.lan1.tcp((E, 8080))
        for _ in range(20):
            assert ask(sock, (E, 8080)) == f"{E}:5508"
            assert ask_tcp(tcp).startswith(E + ":")
        time.sleep(1.1)
        now = fast(lab)
        assert now["packets"] == now["handed_over"] == 0, now
        # The same forward from outside is.
        outside = lab.wan.udp(R1, 7508)
        with lab.wan.capture(f"src host {E} and udp", "up0") as seen:
            for _ in range(5):
                ask(outside, (E, 8080))
            assert {port(p, 0) for p in seen.wait(5)} == {8080}
        found = [s for s in sessions(lab, f"{L2}:80")
                 if s["peer"] == f"{R1}:7508"]
        assert len(found) == 1 and found[0]["carried"], found
        for made in (sock, tcp, outside):
            made.close()


def test_pings_are_not_carried(lab):
    start(lab)
    done = lab.lan1.run("ping", "-n", "-c", "20", "-i", "0.01", R1)
    assert " 0% packet loss" in done.stdout, done.stdout
    assert fast(lab)["handed_over"] == 0, fast(lab)


@limit(60)
def test_ports_kept_apart(lab):
    """Two hosts with one source port, each with its own outside port."""
    start(lab)
    with Who(lab.wan, udp=[(R1, 7509)]):
        one, two = lab.lan1.udp(L1, 5509), lab.lan2.udp(L2, 5509)
        seen = [carry(lab, one, (R1, 7509)), carry(lab, two, (R1, 7509))]
        assert seen[0] != seen[1], seen
        for _ in range(50):
            assert seen == [speak(one, (R1, 7509)), speak(two, (R1, 7509))]
        assert session(lab, f"{L1}:5509")["outside"] == seen[0]
        one.close()
        two.close()
