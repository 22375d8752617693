# SPDX-License-Identifier: GPL-2.0-or-later
"""Datagrams larger than a packet."""
import socket

from lab import E, GW, L1, L2, MAC_LAN0, MAC_WAN0, R1, R2
from netns import SLOW
from tools import Who, ask, frame, limit, pattern

FORWARDS = [{"name": "files", "proto": "udp", "outside": 7777,
             "to": f"{L1}:7777"}]
SIZE = 8192


def gateway(lab):
    lab.start(forwards=FORWARDS)


def test_8_kb_datagrams_cross_both_ways(lab):
    gateway(lab)
    with Who(lab.wan, udp=[(R1, 7060), (R2, 7060)]):
        for space, own in ((lab.lan1, L1), (lab.lan2, L2)):
            sock = space.udp(own, 5060)
            for number in range(20):
                peer = (R1, R2)[number % 2]
                seen = ask(sock, (peer, 7060), pattern(SIZE, number))
                assert seen.startswith(E + ":"), seen
            sock.close()


def test_8_kb_datagrams_come_in_by_a_forward(lab):
    gateway(lab)
    with Who(lab.lan1, udp=[(L1, 7777)]):
        sock = lab.wan.udp(R1, 6060)
        for number in range(20):
            seen = ask(sock, (E, 7777), pattern(SIZE, number))
            assert seen == f"{R1}:6060", seen
        sock.close()


def test_8_kb_datagrams_cross_by_hairpin(lab):
    gateway(lab)
    lab.need_portico()
    with Who(lab.lan1, udp=[(L1, 7777)]):
        sock = lab.lan2.udp(L2, 5061)
        seen = ask(sock, (E, 7777), pattern(SIZE))
        assert seen.startswith(E + ":"), seen
        sock.close()


def test_two_hosts_send_fragments_to_one_server_at_once(lab):
    gateway(lab)
    with Who(lab.wan, udp=[(R1, 7062)]):
        one, two = lab.lan1.udp(L1, 5062), lab.lan2.udp(L2, 5062)
        for turn in range(20):
            sent = [(sock, pattern(SIZE, f"{turn}{sock.fileno()}"))
                    for sock in (one, two)]
            for sock, data in sent:
                sock.sendto(data, (R1, 7062))
            for sock, data in sent:
                answer = sock.recv(65536)
                assert answer.partition(b" ")[2] == data, turn
        one.close()
        two.close()


def fragments(source, target, sport, dport, data, number):
    """The IP fragments of a datagram, the last one first."""
    from scapy.layers.inet import IP, UDP, fragment
    whole = (IP(src=source, dst=target, id=number) / UDP(
        sport=sport, dport=dport) / data)
    return list(reversed(fragment(whole, fragsize=1000)))


def test_fragments_may_come_in_any_order(lab):
    gateway(lab)
    data = pattern(5000)
    with Who(lab.wan, udp=[(R1, 7063)]) as who:
        link = lab.lan1.link_socket("eth0")
        answers = lab.lan1.udp(L1, 5063)
        for number in range(5):
            for piece in fragments(L1, R1, 5063, 7063, data, 500 + number):
                link.send(frame(piece, MAC_LAN0))
            assert answers.recv(65536).partition(b" ")[2] == data
        assert len(who.seen) == 5
        link.close()
        answers.close()
    server = lab.lan1.udp(L1, 7777)
    link = lab.wan.link_socket("up0")
    for piece in fragments(R1, E, 6063, 7777, data, 900):
        link.send(frame(piece, MAC_WAN0))
    assert server.recvfrom(65536) == (data, (R1, 6063))
    link.close()
    server.close()


@limit(90)
def test_fragments_without_a_beginning_do_no_harm(lab):
    gateway(lab)
    pieces = [frame(p, MAC_WAN0)
              for number in range(300)
              for p in fragments(R2, E, 6064, 7777, pattern(2500),
                                 number)[:-1]]
    link = lab.wan.link_socket("up0")
    with Who(lab.wan, udp=[(R1, 7064)]):
        sock = lab.lan1.udp(L1, 5064)
        for start in range(0, len(pieces), 50):
            for piece in pieces[start:start + 50]:
                link.send(piece)
            ask(sock, (R1, 7064))
            ask(sock, (R1, 7064), pattern(SIZE, start))
        sock.close()
    link.close()


def test_the_gateway_itself_takes_fragments(lab):
    gateway(lab)
    lab.wan.run("ping", "-n", "-c1", "-s", "8000", E)
    lab.lan1.run("ping", "-n", "-c1", "-s", "8000", GW)
    lab.gw.run("ping", "-n", "-c1", "-s", "8000", R1)


def test_a_datagram_of_the_largest_size_crosses_or_is_counted(lab):
    gateway(lab)
    lab.need_portico()
    before = lab.drops("truncated")
    server = lab.wan.udp(R1, 7065)
    sock = lab.lan1.udp(L1, 5065)
    for size in (65507, 65400):
        data = pattern(size)
        sock.sendto(data, (R1, 7065))
        server.settimeout(1 * SLOW)
        try:
            assert server.recv(65536) == data
        except socket.timeout:
            assert lab.drops("truncated") > before, size
    server.close()
    sock.close()
