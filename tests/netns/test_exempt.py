# SPDX-License-Identifier: GPL-2.0-or-later
"""Exempt destinations are routed without translation and keep their
conntrack life."""
import contextlib
import socket

from lab import E, L1, MAC_LAN0, R1, address
from netns import wait_for
from tools import Who, ask, ask_tcp, frame

EXEMPT = "10.8.0.0/16"
SITE = "10.8.0.1"  # a host of the other site, behind the same uplink


@contextlib.contextmanager
def site(lab):
    lab.need_portico()
    lab.wan.ip(f"addr add {SITE}/32 dev lo")
    lab.wan.ip(f"route replace 192.168.1.0/24 via {E}")
    lab.allow(EXEMPT)
    # The kernel tracks connections only where some rule asks for it.
    lab.gw.run("nft", "-f", "-", input="table ip other { chain forward { "
               "type filter hook forward priority 10; ct state new; }; }")
    lab.start(exempt=[EXEMPT])
    try:
        yield
    finally:
        lab.gw.run("nft", "delete", "table", "ip", "other")
        lab.wan.ip("route del 192.168.1.0/24")
        lab.wan.ip(f"addr del {SITE}/32 dev lo")


def entries(lab):
    return lab.gw.run("conntrack", "-L").stdout


def test_exempt_traffic_keeps_its_source_and_its_conntrack_entry(lab):
    with site(lab), Who(lab.wan, udp=[(SITE, 7110), (R1, 7110)],
                        tcp=[(SITE, 7110)]):
        sock = lab.lan1.udp(L1, 5110)
        assert ask(sock, (SITE, 7110)) == f"{L1}:5110"
        tcp = lab.lan1.tcp((SITE, 7110), source=(L1, 5111))
        assert ask_tcp(tcp) == f"{L1}:5111"
        lab.lan1.run("ping", "-n", "-c", "1", SITE)
        known = entries(lab)
        assert f"src={L1} dst={SITE} sport=5110" in known, known
        assert f"src={L1} dst={SITE} sport=5111" in known, known
        assert lab.mapping(f"{L1}:5110") is None
        # The same socket is translated towards everyone else.
        assert ask(sock, (R1, 7110)).startswith(E + ":")
        assert f"dst={R1} sport=5110" not in entries(lab)
        sock.close()
        tcp.close()


def test_the_exempt_site_may_open_connections_to_hosts(lab):
    with site(lab), Who(lab.lan1, udp=[(L1, 7111)], tcp=[(L1, 7111)]):
        sock = lab.wan.udp(SITE, 6111)
        assert ask(sock, (L1, 7111)) == f"{SITE}:6111"
        sock.close()
        tcp = lab.wan.tcp((L1, 7111), source=(SITE, 6112))
        assert ask_tcp(tcp) == f"{SITE}:6112"
        tcp.close()


def test_a_large_exempt_datagram_crosses(lab):
    with site(lab), Who(lab.wan, udp=[(SITE, 7112)]):
        sock = lab.lan1.udp(L1, 5112)
        assert ask(sock, (SITE, 7112), bytes(8192)) == f"{L1}:5112"
        sock.close()


def test_errors_come_to_the_exempt_site(lab):
    """From a host, and from the router itself about a packet that no conntrack
    entry stands for yet; also while no daemon runs."""
    with site(lab), lab.wan.capture("icmp", "up0") as seen:
        for hops, first in ((64, L1), (1, E)):
            for _ in ("daemon", "no daemon"):
                sock = lab.wan.udp(SITE, 0)
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
                sock.sendto(b"hello", (L1, 7113))
                packet, = seen.wait(1)
                assert address(packet, 12) == first, packet.hex()
                sock.close()
                lab.daemon.kill()
            lab.start(exempt=[EXEMPT])


def test_any_protocol_goes_to_an_exempt_destination(lab):
    from scapy.layers.inet import IP
    with site(lab), lab.wan.capture("proto 51", "up0") as seen:
        link = lab.lan1.link_socket("eth0")
        for target in (SITE, R1):
            link.send(frame(IP(src=L1, dst=target, proto=51) / bytes(8),
                            MAC_LAN0))
        packets = seen.wait(2, 0.5)
        assert len(packets) == 1, [p.hex() for p in packets]
        link.close()


def test_an_exempt_network_of_the_inside_is_warned_of_until_a_reload(lab):
    lab.need_portico()
    daemon = lab.start(fresh=True)

    def warned():
        return any("exempt 192.168.0.0/16 holds the inside" in text
                   for text in lab.portico("status")["warnings"])

    assert not warned()
    daemon.reload({"exempt": ["192.168.0.0/16"]})
    wait_for("the warning", warned)
    daemon.reload({})
    wait_for("its end", lambda: not warned())
