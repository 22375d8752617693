# SPDX-License-Identifier: GPL-2.0-or-later
"""Path MTU discovery: links narrower than 1500 bytes before, at and behind
the gateway."""
import contextlib
import errno
import socket

from lab import E, FAR, GW, L1, NEXT_HOP, R1, address, port, quote
from tools import Who, ask, download, httpd, random_file, upload

LAB = {"far": True}
MB = 1000 * 1000
IP_MTU_DISCOVER, IP_PMTUDISC_DO, IP_PMTUDISC_PROBE = 10, 2, 3
TOO_BIG = "icmp[0] = 3 and icmp[1] = 4"


def gateway(lab, **config):
    forwards = [{"name": "game", "proto": "udp", "outside": 7777,
                 "to": f"{L1}:7777"}]
    lab.start(forwards=forwards, **config)


def forget(*spaces):
    """Path MTUs learned by earlier tests."""
    for space in spaces:
        space.ip("route flush cache")


@contextlib.contextmanager
def narrow(where, mtu):
    """Both ends of a link, given as (namespace, device) pairs."""
    for space, device in where:
        space.ip(f"link set {device} mtu {mtu}")
    try:
        yield
    finally:
        for space, device in where:
            space.ip(f"link set {device} mtu 1500")


def too_big(space, device, sock, size, peer):
    """Sends a datagram that must not be fragmented, returns the 3/4 that
    comes to its sender."""
    sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE)
    with space.capture(TOO_BIG, device) as errors:
        sock.sendto(bytes(size), peer)
        return quote(errors.wait(1)[0])


def check_inside_3_4(lab, sock, peer, source, mtu):
    kind, code, got_source, target, inner, word = too_big(
        lab.lan1, "eth0", sock, 1472, peer)
    assert (kind, code, got_source, target) == (3, 4, source, L1), (
        kind, code, got_source, target)
    assert word & 0xffff == mtu, word
    own = sock.getsockname()[1]
    assert (address(inner, 12), port(inner, 0)) == (L1, own)
    assert (address(inner, 16), port(inner, 2)) == peer
    sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
    try:
        sock.sendto(bytes(1472), peer)
        raise AssertionError("the host's kernel did not believe the error")
    except OSError as error:
        assert error.errno == errno.EMSGSIZE, error


def test_a_smaller_uplink_is_told_to_the_host(lab):
    gateway(lab)
    with narrow([(lab.gw, "wan0"), (lab.wan, "up0")], 1400), \
            Who(lab.wan, udp=[(R1, 7050)]):
        sock = lab.lan1.udp(L1, 5050)
        ask(sock, (R1, 7050))
        check_inside_3_4(lab, sock, (R1, 7050), GW, 1400)
        # What may be fragmented is.
        sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, 0)
        ask(sock, (R1, 7050), bytes(1472))
        sock.close()
    forget(lab.lan1, lab.wan)


def test_tcp_crosses_a_smaller_uplink(lab):
    gateway(lab)
    with narrow([(lab.gw, "wan0"), (lab.wan, "up0")], 1400), \
            httpd(lab.wan, R1):
        path = random_file(lab.directory, 5 * MB)
        upload(lab.lan1, f"http://{R1}", path, timeout=15)
        download(lab.lan1, f"http://{R1}", 5 * MB, lab.directory, 15)
    forget(lab.lan1, lab.wan)


def test_tcp_crosses_a_smaller_uplink_without_the_mss_clamp(lab):
    gateway(lab, mss="off")
    with narrow([(lab.gw, "wan0"), (lab.wan, "up0")], 1400), \
            httpd(lab.wan, R1):
        path = random_file(lab.directory, 5 * MB)
        upload(lab.lan1, f"http://{R1}", path, timeout=15)
        download(lab.lan1, f"http://{R1}", 5 * MB, lab.directory, 15)
    forget(lab.lan1, lab.wan)


def test_the_mss_is_clamped_to_a_smaller_uplink(lab):
    lab.need_portico()
    with narrow([(lab.gw, "wan0"), (lab.wan, "up0")], 1400):
        lab.start(fresh=True)
        server = lab.wan.listener(R1, 7051)
        with lab.wan.capture("tcp[13] & 2 != 0 and dst port 7051",
                             "up0") as syns:
            lab.lan1.tcp((R1, 7051)).close()
            syn, = syns.wait(1)
        assert b"\x02\x04" + (1400 - 40).to_bytes(2, "big") in syn[40:], \
            syn.hex()
        server.close()
    lab.stop()


def test_a_narrow_link_far_away_is_told_to_the_host(lab):
    gateway(lab)
    with narrow([(lab.wan, "far0"), (lab.far, "eth0")], 1300), \
            Who(lab.far, udp=[(FAR, 7052)]):
        sock = lab.lan1.udp(L1, 5052)
        ask(sock, (FAR, 7052))
        check_inside_3_4(lab, sock, (FAR, 7052), NEXT_HOP, 1300)
        sock.close()
    forget(lab.lan1)


def test_tcp_crosses_a_narrow_link_far_away(lab):
    gateway(lab)
    with narrow([(lab.wan, "far0"), (lab.far, "eth0")], 1300), \
            httpd(lab.far, FAR):
        # The far end pretends not to know, so the router has to say it.
        lab.far.ip("route change default via 198.51.100.129 advmss 1460")
        path = random_file(lab.directory, 5 * MB)
        upload(lab.lan1, f"http://{FAR}", path, timeout=15)
        download(lab.lan1, f"http://{FAR}", 5 * MB, lab.directory, 15)
    forget(lab.lan1)


@contextlib.contextmanager
def narrow_inside(lab, mtu):
    route = "route replace 192.168.1.0/24 dev lan0 proto kernel scope link " \
            f"src {GW}"
    lab.gw.ip(f"{route} mtu {mtu}")
    try:
        yield
    finally:
        lab.gw.ip(route)


def test_a_narrow_inside_is_told_to_the_peer_without_inside_addresses(lab):
    gateway(lab)
    with narrow_inside(lab, 1300):
        sock = lab.wan.udp(R1, 6053)
        kind, code, source, target, inner, word = too_big(
            lab.wan, "up0", sock, 1400, (E, 7777))
        assert (kind, code, source, target) == (3, 4, E, R1), (
            kind, code, source, target)
        assert word & 0xffff == 1300, word
        assert (address(inner, 16), port(inner, 2)) == (E, 7777)
        assert (address(inner, 12), port(inner, 0)) == (R1, 6053)
        sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        try:
            sock.sendto(bytes(1400), (E, 7777))
            raise AssertionError("the peer's kernel did not believe it")
        except OSError as error:
            assert error.errno == errno.EMSGSIZE, error
        sock.close()
    forget(lab.wan)


def test_tcp_crosses_into_a_narrow_inside(lab):
    gateway(lab)
    with narrow_inside(lab, 1300), httpd(lab.wan, R1):
        download(lab.lan1, f"http://{R1}", 5 * MB, lab.directory, 15)
        path = random_file(lab.directory, 5 * MB)
        upload(lab.lan1, f"http://{R1}", path, timeout=15)
    forget(lab.wan)
