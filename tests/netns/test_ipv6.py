# SPDX-License-Identifier: GPL-2.0-or-later
"""IPv6 and neighbour discovery pass as if Portico were not there: with the
daemon up, stopped and killed. The same for what is not unicast."""
import socket
import struct

from lab import E6, GW, GW6, L1_6, R6
from netns import SLOW, wait_for
from test_router import each_life


def check_ipv6(lab, life):
    for space in (lab.lan1, lab.gw, lab.wan):
        space.ip("-6 neigh flush all")
    for space, target in ((lab.lan1, R6), (lab.lan1, GW6), (lab.wan, E6),
                          (lab.wan, L1_6), (lab.gw, R6)):
        done = space.run("ping", "-6", "-n", "-c", "2", "-i", "0.2", "-W", "2",
                         target, check=False)
        assert " 0% packet loss" in done.stdout, (life, done.stdout)
    for space, device in ((lab.lan1, "eth0"), (lab.wan, "up0")):
        known = space.ip(f"-6 neigh show dev {device}")
        assert "lladdr" in known, (life, known)
    server = lab.wan.socket(socket.SOCK_STREAM, bind=(R6, 7120),
                            family=socket.AF_INET6)
    server.listen()
    client = lab.lan1.socket(socket.SOCK_STREAM, connect=(R6, 7120),
                             family=socket.AF_INET6)
    served, peer = server.accept()
    assert peer[0] == L1_6, (life, peer)
    client.sendall(b"hello")
    served.settimeout(3 * SLOW)
    assert served.recv(100) == b"hello", life
    datagram = lab.lan1.socket(family=socket.AF_INET6, bind=(L1_6, 5120))
    receiver = lab.wan.socket(family=socket.AF_INET6, bind=(R6, 7121))
    datagram.sendto(bytes(8000), (R6, 7121))  # fragments as well
    assert len(receiver.recv(9000)) == 8000, life
    for sock in (server, client, served, datagram, receiver):
        sock.close()


def test_ipv6_and_neighbour_discovery_are_untouched(lab):
    each_life(lab, lambda life: check_ipv6(lab, life))


def test_router_advertisements_are_untouched(lab):
    """A router solicitation of a host reaches the gateway's daemon."""
    all_routers = struct.pack("!8H", 0xff02, 0, 0, 0, 0, 0, 0, 2)
    group = socket.inet_ntop(socket.AF_INET6, all_routers)

    def check(life):
        raw = lab.gw.socket(socket.SOCK_RAW, family=socket.AF_INET6,
                            proto=socket.IPPROTO_ICMPV6)
        with lab.gw.entered():
            index = socket.if_nametoindex("lan0")
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                       all_routers + struct.pack("@i", index))
        host = lab.lan1.socket(socket.SOCK_RAW, family=socket.AF_INET6,
                               proto=socket.IPPROTO_ICMPV6)
        host.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        with lab.lan1.entered():
            index = socket.if_nametoindex("eth0")
        host.sendto(struct.pack("!BBHI", 133, 0, 0, 0), (group, 0, 0, index))

        def came():
            try:
                return raw.recv(1000)[0] == 133
            except socket.timeout:
                return False

        raw.settimeout(0.2)
        wait_for(f"a solicitation with the daemon {life}", came, 5)
        raw.close()
        host.close()

    each_life(lab, check)


def test_multicast_and_broadcast_reach_the_router(lab):
    """What is not unicast is not Portico's, on either side."""
    group = "239.1.2.3"

    def check(life):
        for device, space, source in (("lan0", lab.lan1, "eth0"),
                                      ("wan0", lab.wan, "up0")):
            router = lab.gw.udp("0.0.0.0", 7122, timeout=2)
            with lab.gw.entered():
                index = socket.if_nametoindex(device)
            router.setsockopt(
                socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                socket.inet_aton(group) + bytes(4) + struct.pack("@i",
                                                                 index))
            sender = space.udp()
            with space.entered():
                index = socket.if_nametoindex(source)
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                              bytes(8) + struct.pack("@i", index))
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            net = GW if device == "lan0" else "203.0.113.1"
            broadcast = net.rsplit(".", 1)[0] + ".255"
            for target in (group, broadcast):
                sender.sendto(target.encode(), (target, 7122))
                assert router.recv(100) == target.encode(), (life, device)
            router.close()
            sender.close()

    each_life(lab, check)
