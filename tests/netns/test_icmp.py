# SPDX-License-Identifier: GPL-2.0-or-later
"""ping, traceroute and the errors that tell why something does not work."""
import errno
import socket
import struct

from lab import E, FAR, GW, L1, L2, NEXT_HOP, R1, R2, address, port, quote
from netns import wait_for
from tools import Who, ask, frame, neighbours_fail_fast

LAB = {"far": True}
IP_RECVERR = 11
NOBODY = "192.168.1.99"
FORWARDS = [
    {"name": "shop", "proto": "tcp", "outside": 8080, "to": f"{L1}:80"},
    {"name": "game", "proto": "udp", "outside": 7777, "to": f"{L1}:7777"},
    {"name": "gone", "proto": "udp", "outside": 9999, "to": f"{NOBODY}:9999"},
    {"name": "lost", "proto": "tcp", "outside": 9999, "to": f"{NOBODY}:9999"},
]


def gateway(lab):
    lab.start(forwards=FORWARDS)


def test_two_hosts_ping_with_one_query_id(lab):
    gateway(lab)
    with lab.wan.capture(f"icmp[0] = 8 and dst {R1}", "up0") as seen:
        pings = [space.start("ping", "-n", "-e", "7", "-c", "3", "-i", "0.2",
                             R1) for space in (lab.lan1, lab.lan2)]
        for ping in pings:
            assert ping.wait(10) == 0, ping.output()
            assert " 0% packet loss" in ping.output(), ping.output()
        requests = seen.wait(6)
    assert {address(p, 12) for p in requests} == {E}
    ids = {port(p, 4) for p in requests}
    assert len(requests) == 6 and len(ids) == 2, (len(requests), ids)
    if lab.nat == "portico":
        mappings = [lab.mapping(f"{own}:7", "icmp") for own in (L1, L2)]
        assert {int(m["outside"].split(":")[1]) for m in mappings} == ids


def test_one_query_id_is_kept_for_all_peers(lab):
    gateway(lab)
    with lab.wan.capture("icmp[0] = 8", "up0") as seen:
        for peer in (R1, R2):
            lab.lan1.run("ping", "-n", "-e", "9", "-c", "1", peer)
        assert len({port(p, 4) for p in seen.wait(2)}) == 1


def test_large_ping_crosses(lab):
    gateway(lab)
    for size in (1472, 8000):
        lab.lan1.run("ping", "-n", "-c", "2", "-i", "0.2", "-s", size, R1)


def test_the_gateway_answers_ping_on_both_sides(lab):
    gateway(lab)
    lab.lan1.run("ping", "-n", "-c", "1", GW)
    lab.wan.run("ping", "-n", "-c", "1", E)
    lab.gw.run("ping", "-n", "-c", "1", R1)


def test_traceroute_from_inside_shows_every_hop(lab):
    gateway(lab)
    for how in ("-I", "-U", "-T"):
        said = lab.lan1.run("traceroute", "-n", how, "-q", "1", "-N", "1",
                            "-w", "2", "-m", "4", FAR).stdout
        hops = [line.split()[1] for line in said.strip().split("\n")[1:]]
        assert hops == [GW, NEXT_HOP, FAR], (how, said)


def test_traceroute_to_a_forward_shows_only_the_outside_address(lab):
    gateway(lab)
    server = lab.lan1.listener(L1, 80)
    for how, number in (("-T", "8080"), ("-U", "7777")):
        with lab.wan.capture("icmp[0] = 11 or icmp[0] = 3", "up0") as errors:
            said = lab.wan.run("traceroute", "-n", how, "-p", number, "-q",
                               "1", "-N", "1", "-w", "2", "-m", "3", E).stdout
            seen = errors.wait(1)
        lines = said.strip().split("\n")[1:]
        assert [line.split()[1] for line in lines] == [E, E], said
        check_quotes(seen[:1], 11, 0, int(number))
    server.close()


def check_quotes(errors, kind, code, number):
    """Errors from E that quote E:number and nothing from inside."""
    assert errors, f"no ICMP {kind}/{code} came"
    for error in errors:
        got_kind, got_code, source, target, quoted, _ = quote(error)
        assert (got_kind, got_code) == (kind, code), (got_kind, got_code)
        assert source == E and target in (NEXT_HOP, R1), (source, target)
        assert address(quoted, 16) == E, address(quoted, 16)
        assert port(quoted, 2) == number, port(quoted, 2)


def test_ttl_1_towards_a_dynamic_mapping_quotes_the_outside_port(lab):
    gateway(lab)
    with Who(lab.wan, udp=[(R1, 7040)]) as who:
        sock = lab.lan1.udp(L1, 5040)
        outside = int(ask(sock, (R1, 7040)).split(":")[1])
        server = who.sockets[0]
        with lab.wan.capture("icmp[0] = 11", "up0") as errors:
            server.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
            server.sendto(b"too far", (E, outside))
            check_quotes(errors.wait(1), 11, 0, outside)
        sock.close()


def test_port_unreachable_from_outside_reaches_the_host(lab):
    gateway(lab)
    sock = lab.lan1.socket(bind=(L1, 5041), connect=(R1, 9))
    sock.send(b"anyone there?")
    try:
        sock.recv(100)
        raise AssertionError("no error came")
    except ConnectionRefusedError:
        pass
    sock.close()


def test_port_unreachable_from_inside_reaches_the_peer(lab):
    gateway(lab)
    with lab.wan.capture("icmp[0] = 3", "up0") as errors:
        sock = lab.wan.socket(bind=(R1, 6041), connect=(E, 7777))
        sock.send(b"anyone there?")
        check_quotes(errors.wait(1), 3, 3, 7777)
        try:
            sock.recv(100)
            raise AssertionError("no error came")
        except ConnectionRefusedError:
            pass
        sock.close()


def test_an_error_of_a_third_router_is_translated(lab):
    gateway(lab)
    server = lab.wan.udp(R1, 7042)
    sock = lab.lan1.udp(L1, 5042)
    sock.sendto(b"hello", (R1, 7042))
    _, peer = server.recvfrom(100)
    from scapy.layers.inet import ICMP, IP, UDP
    quoted = (IP(src=E, dst=R1, ttl=3) / UDP(sport=peer[1], dport=7042)
              / b"hello")
    error = (IP(src="192.0.2.77", dst=E) / ICMP(type=3, code=1)
             / bytes(quoted)[:28])
    link = lab.wan.link_socket("up0")
    with lab.lan1.capture("icmp[0] = 3", "eth0") as errors:
        link.send(frame(error, "02:00:00:00:00:12"))
        got, = errors.wait(1)
    kind, code, source, target, inner, _ = quote(got)
    assert (kind, code, source, target) == (3, 1, "192.0.2.77", L1)
    assert (address(inner, 12), port(inner, 0)) == (L1, 5042)
    assert (address(inner, 16), port(inner, 2)) == (R1, 7042)
    # The error ended nothing: the peer still reaches the host.
    server.sendto(b"still here", peer)
    assert sock.recv(100) == b"still here"
    for s in (link, sock, server):
        s.close()


def no_route_within(sock, seconds=6):
    """The socket is told "no route to host"."""
    sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    sock.settimeout(0.2)

    def told():
        try:
            sock.send(b"anyone there?")
            sock.recv(100)
        except socket.timeout:
            return False
        except OSError as error:
            return error.errno == errno.EHOSTUNREACH
        return False

    wait_for("host unreachable at the sender", told, seconds)


def test_a_dead_next_hop_is_told_to_the_inside_host(lab):
    gateway(lab)
    neighbours_fail_fast(lab.gw, "wan0")
    lab.wan.ip("link set up0 arp off")
    try:
        lab.gw.ip("neigh flush dev wan0")
        with lab.lan1.capture("icmp[0] = 3", "eth0") as errors:
            sock = lab.lan1.socket(bind=(L1, 5043), connect=(R1, 7043))
            no_route_within(sock)
            sock.close()
            kind, code, _, target, inner, _ = quote(errors.wait(1)[0])
        assert (kind, code, target) == (3, 1, L1), (kind, code, target)
        assert (address(inner, 12), port(inner, 0)) == (L1, 5043)
        assert (address(inner, 16), port(inner, 2)) == (R1, 7043)
        try:
            lab.lan2.tcp((R1, 80), timeout=6).close()
            raise AssertionError("connected through a dead next hop")
        except OSError as error:
            assert error.errno == errno.EHOSTUNREACH, error
    finally:
        lab.wan.ip("link set up0 arp on")
    wait_for("the next hop is back", lambda: lab.gw.run(
        "ping", "-n", "-c1", "-W1", R1, check=False).returncode == 0)


def test_a_dead_inside_host_is_told_to_the_outside_peer(lab):
    gateway(lab)
    neighbours_fail_fast(lab.gw, "lan0")
    with lab.wan.capture("icmp[0] = 3", "up0") as errors:
        sock = lab.wan.socket(bind=(R1, 6044), connect=(E, 9999))
        no_route_within(sock)
        check_quotes(errors.wait(1), 3, 1, 9999)
        sock.close()
        try:
            lab.wan.tcp((E, 9999), source=(R1, 6045), timeout=6).close()
            raise AssertionError("connected to a dead host")
        except OSError as error:
            assert error.errno == errno.EHOSTUNREACH, error
        check_quotes(errors.wait(1), 3, 1, 9999)


def test_a_dead_host_behind_a_hairpin_is_told_to_the_other_host(lab):
    """What the sender gets quotes its own packet, not where that went."""
    gateway(lab)
    neighbours_fail_fast(lab.gw, "lan0")
    with lab.lan1.capture("icmp[0] = 3", "eth0") as errors:
        sock = lab.lan1.socket(bind=(L1, 5045), connect=(E, 9999))
        no_route_within(sock)
        sock.close()
        kind, code, _, target, inner, _ = quote(errors.wait(1)[0])
    assert (kind, code, target) == (3, 1, L1), (kind, code, target)
    assert (address(inner, 12), port(inner, 0)) == (L1, 5045)
    assert (address(inner, 16), port(inner, 2)) == (E, 9999)


def test_an_error_about_nothing_we_sent_is_not_passed_on(lab):
    gateway(lab)
    from scapy.layers.inet import ICMP, IP, UDP
    quoted = IP(src=E, dst=R1) / UDP(sport=45999, dport=9) / b"never sent"
    error = IP(src=R1, dst=E) / ICMP(type=3, code=3) / bytes(quoted)
    link = lab.wan.link_socket("up0")
    with lab.lan1.capture("icmp", "eth0") as one, \
            lab.lan2.capture("icmp", "eth0") as two:
        link.send(frame(error, "02:00:00:00:00:12"))
        assert not one.wait(1, 0.3) and not two.wait(1, 0.1)
    link.close()


def test_timestamp_requests_are_translated(lab):
    gateway(lab)
    raw = lab.lan1.socket(socket.SOCK_RAW, proto=socket.IPPROTO_ICMP)
    body = struct.pack("!BBHHHIII", 13, 0, 0, 77, 1, 1000, 0, 0)
    total = sum(struct.unpack("!10H", body))
    total = (total & 0xffff) + (total >> 16)
    body = body[:2] + struct.pack("!H", ~total & 0xffff) + body[4:]
    raw.sendto(body, (R1, 0))
    answer = raw.recv(1000)
    assert answer[20] == 14 and port(answer, 4) == 77, answer.hex()
    raw.close()
