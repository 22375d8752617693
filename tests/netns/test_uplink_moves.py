# SPDX-License-Identifier: GPL-2.0-or-later
"""The uplink moves to another address: what goes on, who is told."""
import contextlib
import resource
import select
import socket
import sys
import time

from lab import E, L1, L2, NEXT_HOP, R1, R2, Lab
from netns import SLOW, contention, ip_batch, wait_for
from standin import Loader
from tools import Who, ask, ask_tcp, limit, quiet


OTHER = "203.0.113.8"
# Seconds from the change of the address until all inside are told (README), on
# a machine that has nothing else to do: what others take of it is allowed for.
PROMISE = 1.0 * SLOW


def wait_address(lab, address):
    wait_for(f"status shows {address}", lambda: lab.portico("status")[
        "uplink"]["address"] == address, 5)


def change(lab, address=OTHER, old=E):
    """Another address, as a DHCP client or pppd gives it: first none. Returns
    the time before."""
    began = time.monotonic()
    ip_batch([f"addr del {old}/24 dev wan0", f"addr add {address}/24 dev wan0",
              f"route replace default via {NEXT_HOP}"], lab.gw.name)
    return began


def move(lab, address=OTHER, old=E):
    """The same, and the daemon is done with it."""
    began = change(lab, address, old)
    wait_address(lab, address)
    return began


def reset(sock, began=None):
    """Seconds from began (from now) until the connection is reset."""
    began = began or time.monotonic()
    sock.settimeout(5 * SLOW)
    try:
        data = sock.recv(65536)
    except ConnectionResetError:
        return time.monotonic() - began
    raise AssertionError(f"{data!r} came, no reset")


def in_time(seconds):
    busy = contention()
    assert seconds <= PROMISE * busy, (
        f"told {seconds:.2f} s after the change, not within {PROMISE:g} s on a "
        f"machine that is {busy:.1f} times as slow as alone")
    return (f"told {seconds * 1000:.0f} ms after the change of the address, "
            f"the machine {busy:.1f} times as slow as alone")


def moves(lab):
    return lab.portico("status")["moves"]


def test_udp_keeps_its_port_and_nothing_leaves_from_the_old_address(lab):
    lab.need_portico()
    with Lab() as own:
        own.start()
        with Who(own.wan, udp=[(R1, 7201), (R2, 7201)]):
            sock = own.lan1.udp(L1, 5201)
            seen = ask(sock, (R1, 7201))
            ask(sock, (R2, 7201))
            move(own)
            with own.wan.capture(f"src host {E}") as old:
                # On its first packet.
                wanted = seen.replace(E, OTHER)
                assert ask(sock, (R1, 7201), tries=1) == wanted
                # The peer that was told of it by the other one comes first.
                stranger = own.wan.udp(R2, 7202)
                stranger.sendto(b"found you", (OTHER, 5201))
                assert sock.recvfrom(100) == (b"found you", (R2, 7202))
                assert not old.read()
            assert moves(own)["mappings"] == 1
            assert "has moved from 203.0.113.7 to 203.0.113.8: 1 mappings" \
                in own.daemon.log()
            sock.close()
            stranger.close()
        own.check()


def test_idle_tcp_ends_are_reset_on_both_roles(lab):
    """A client inside, and a server inside behind a forward."""
    lab.need_portico()
    with Lab() as own:
        own.start(forwards=[{"name": "web", "proto": "tcp", "outside": 8080,
                             "to": f"{L2}:80"}])
        listener = own.lan2.listener(L2, 80)
        with Who(own.wan, tcp=[(R1, 7203)]):
            client = own.lan1.tcp((R1, 7203))
            ask_tcp(client)
            outsider = own.wan.tcp((E, 8080))
            server, _ = listener.accept()
            outsider.sendall(b"hello")
            assert server.recv(100) == b"hello"
            began = change(own)
            times = [reset(client, began), reset(server, began)]
            wait_address(own, OTHER)
            # And the next connection is made from the new address.
            again = own.lan1.tcp((R1, 7203))
            assert ask_tcp(again).startswith(OTHER + ":")
            for sock in (client, outsider, server, listener, again):
                sock.close()
            status = own.portico("status")
            assert status["moves"]["connections"] == 2, status
            assert status["moves"]["told"] == 2, status
        own.check()
    return in_time(max(times))


def test_ends_are_told_while_the_rules_are_being_loaded(lab):
    """However long that takes; packets wait, and pass by the new rules."""
    lab.need_portico()
    with Lab() as own:
        loader = Loader(own.directory)
        try:
            own.start(wrap=loader.wrap)
            with Who(own.wan, udp=[(R1, 7210)], tcp=[(R1, 7210)]), \
                    own.wan.capture(f"src host {OTHER}") as left:
                udp, tcp = own.lan1.udp(L1, 5210), own.lan2.tcp((R1, 7210))
                seen = ask(udp, (R1, 7210))
                ask_tcp(tcp)
                loader.hold()
                own.gw.ip(f"addr del {E}/24 dev wan0")
                # By itself that is no reason to load any.
                wait_address(own, None)
                own.give_address(OTHER)
                loader.wait_held()
                seconds = reset(tcp)
                udp.sendto(b"later", (R1, 7210))
                # An answer would meet the router itself.
                assert not left.wait(1, 0.3), "it did not wait"
                loader.release()
                wait_address(own, OTHER)
                udp.settimeout(5)
                wanted = seen.replace(E, OTHER)
                assert udp.recv(100) == f"{wanted} later".encode()
                udp.close()
                tcp.close()
        finally:
            loader.release()
        own.check()
    return f"reset {seconds * 1000:.0f} ms after the program began"


def test_an_end_whose_acknowledgement_got_lost_is_reset(lab):
    """What it has received last we have not seen acknowledged: the RST where
    we believe its window to be is not enough."""
    lab.need_portico()
    with Lab() as own:
        own.start()
        listener = own.wan.listener(R1, 7204)
        client = own.lan1.tcp((R1, 7204))
        server, _ = listener.accept()
        client.sendall(b"x")
        server.recv(1)
        # Its acknowledgements no longer reach the gateway.
        own.gw.run("ip", "route", "del", "default")
        server.sendall(b"y" * 1000)
        wait_for("the data", lambda: client.recv(
            4096, socket.MSG_PEEK) == b"y" * 1000)
        time.sleep(0.3)
        client.recv(4096)
        seconds = reset(client, change(own))
        wait_address(own, OTHER)
        for sock in (client, server, listener):
            sock.close()
        own.check()
    return in_time(seconds)


def test_a_connection_that_is_being_made_goes_on(lab):
    lab.need_portico()
    with Lab() as own:
        own.start()
        own.wan.run("iptables", "-A", "INPUT", "-p", "tcp", "--syn", "-j",
                    "DROP")
        sock = own.lan1.socket(socket.SOCK_STREAM, bind=(L1, 5205),
                               timeout=10)
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.connect((R1, 7205))
        wait_for("its mapping", lambda: own.mapping(f"{L1}:5205", "tcp"))
        move(own)
        own.wan.run("iptables", "-D", "INPUT", "-p", "tcp", "--syn", "-j",
                    "DROP")
        with Who(own.wan, tcp=[(R1, 7205)]):
            _, ready, _ = select.select([], [sock], [], 10)
            assert ready
            sock.settimeout(5)
            assert ask_tcp(sock) == f"{OTHER}:5205"
        sock.close()
        own.check()


def test_a_ping_is_told_and_goes_on(lab):
    lab.need_portico()
    with Lab() as own:
        own.start()
        errors = own.lan1.capture("icmp[0] = 3 and dst host " + L1)
        # From outside no answer comes to what was asked last.
        own.wan.run("iptables", "-A", "INPUT", "-p", "icmp", "--icmp-type",
                    "8", "-d", R1, "-m", "statistic", "--mode", "nth",
                    "--every", "1000", "--packet", "1", "-j", "DROP")
        with own.lan1.running("ping", "-n", "-i", "0.5", "-c", int(8 * SLOW),
                              R1) as ping:
            wait_for("two answers", lambda: ping.output().count("ttl=") > 1)
            began = change(own)
            wait_for("the ICMP error", errors.read)
            told = time.monotonic() - began
            wait_address(own, OTHER)
            before = ping.output().count("ttl=")
            wait_for("two more answers",
                     lambda: ping.output().count("ttl=") > before + 1)
            assert "Destination Host Unreachable" in ping.output()
        errors.close()
        own.check()
    return in_time(told)


def test_connected_udp_sees_no_error(lab):
    lab.need_portico()
    with Lab() as own:
        own.start()
        with Who(own.wan, udp=[(R1, 7206)]):
            sock = own.lan1.udp(L1, 5206)
            sock.connect((R1, 7206))
            sock.send(b"a")
            assert sock.recv(100) == f"{E}:5206 a".encode()
            move(own)
            quiet(sock, 0.7)
            sock.settimeout(3)
            sock.send(b"b")
            assert sock.recv(100) == f"{OTHER}:5206 b".encode()
            sock.close()
        own.check()


def test_forwards_and_hairpins_follow(lab):
    lab.need_portico()
    with Lab() as own:
        own.start(forwards=[{"name": "web", "proto": ["tcp", "udp"],
                             "outside": 8080, "to": f"{L1}:80"}])
        with Who(own.lan1, tcp=[(L1, 80)], udp=[(L1, 80)]):
            for address, old in ((E, None), (OTHER, E), (E, OTHER)):
                if old:
                    move(own, address, old)
                for space in (own.wan, own.lan2):
                    udp = space.udp()
                    ask(udp, (address, 8080))
                    tcp = space.tcp((address, 8080))
                    ask_tcp(tcp)
                    tcp.close()
                    udp.close()
        assert moves(own)["count"] == 2
        own.check()


def test_a_router_s_listener_keeps_its_port_at_the_new_address(lab):
    lab.need_portico()
    with Lab() as own:
        own.start()
        own.gw.sysctl("net.ipv4.ip_nonlocal_bind", 1)
        with Who(own.wan, udp=[(R1, 7207)]), \
                Who(own.gw, udp=[(OTHER, 5207)]):
            sock = own.lan1.udp(L1, 5207)
            assert ask(sock, (R1, 7207)) == f"{E}:5207"
            move(own)
            seen = ask(sock, (R1, 7207))
            assert seen.startswith(OTHER + ":") and seen != f"{OTHER}:5207"
            outsider = own.wan.udp()
            ask(outsider, (OTHER, 5207))
            assert moves(own)["ports"] == 1
            sock.close()
            outsider.close()
        own.check()


def test_a_restart_at_another_address_is_a_move(lab):
    lab.need_portico()
    with Lab() as own:
        own.start()
        with Who(own.wan, udp=[(R1, 7208)], tcp=[(R1, 7208)]):
            udp, tcp = own.lan1.udp(L1, 5208), own.lan2.tcp((R1, 7208))
            seen = [ask(udp, (R1, 7208)), ask_tcp(tcp)]
            for address, old, end in ((OTHER, E, own.daemon.kill),
                                      (E, OTHER, own.daemon.stop)):
                end()
                own.gw.ip(f"addr del {old}/24 dev wan0")
                own.give_address(address)
                own.daemon.start()
                wait_address(own, address)
                assert ask(udp, (R1, 7208)) == seen[0].replace(E, address)
                reset(tcp)
                tcp.close()
                tcp = own.lan2.tcp((R1, 7208))
                ask_tcp(tcp)
                assert "has moved from" in own.daemon.log()
            udp.close()
            tcp.close()
        own.check()


# Holds every connection until it is ended.
HOLD = """import socket, sys
listener = socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=1024)
held = []
while True:
    held.append(listener.accept())
"""


def most_files(wanted):
    """How many files a process may have, at most `wanted`."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


class Crowd:
    """Many idle connections of one host."""

    def __init__(self, lab, count, port):
        self.lab, self.inside = lab, []
        with lab.lan1.entered():
            for i in range(count):
                sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
                sock.settimeout(10)
                sock.bind((L1, 10000 + i))
                sock.connect((R1, port))
                self.inside.append(sock)

    def wait_reset(self, began, seconds):
        """When each was told, in seconds from began."""
        poll, times = select.poll(), []
        left = {sock.fileno(): sock for sock in self.inside}
        for fd in left:
            poll.register(fd, select.POLLIN)
        while left and time.monotonic() < began + seconds:
            for fd, _ in poll.poll(100):
                times.append(time.monotonic() - began)
                poll.unregister(fd)
                code = left.pop(fd).getsockopt(socket.SOL_SOCKET,
                                               socket.SO_ERROR)
                assert code == 104, f"error {code}, not ECONNRESET"
        assert not left, (f"{len(left)} were not told, the last one that was "
                          f"after {max(times, default=0):.1f} s: "
                          f"{self.lab.portico('status')}")
        return times

    def close(self):
        for sock in self.inside:
            sock.close()


@limit(150)
def test_ten_thousand_ends_are_told(lab):
    lab.need_portico()
    # Who was not told within ten seconds never is: a processor that is
    # emulated gets fewer to tell.
    count = min(round(10000 / SLOW), most_files(11000) - 1000)
    with Lab() as own, own.wan.running(sys.executable, "-c", HOLD, R1, 7209):
        own.wan.wait_listener(7209)
        own.start(limits={"mappings": 2 * count, "sessions": 2 * count,
                          "host_mappings": 2 * count,
                          "host_sessions": 2 * count,
                          "host_new_per_second": count})
        with Who(own.wan, udp=[(R1, 7209)]):
            udp = own.lan2.udp(L2, 5209)
            ask(udp, (R1, 7209))
            crowd = Crowd(own, count, 7209)
            try:
                times = crowd.wait_reset(change(own), 20 * SLOW)
                wait_address(own, OTHER)
                assert ask(udp, (R1, 7209)) == f"{OTHER}:5209"
                told = moves(own)
                assert told["connections"] == told["told"] == count, told
                wait_for("the sessions to end", lambda: own.portico(
                    "status")["sessions"]["used"] < 10)
            finally:
                crowd.close()
                udp.close()
        own.check()
    times.sort()
    return (f"{count} connections, first {times[0]:.2f} s, median "
            f"{times[count // 2]:.2f} s, the last {in_time(times[-1])}")


@limit(60)
def test_ends_behind_a_slow_line_are_told(lab):
    """More than the raw socket's buffer holds: what is said waits, and none of
    it is lost."""
    lab.need_portico()
    count = 1000
    with Lab() as own, own.wan.running(sys.executable, "-c", HOLD, R1, 7211):
        own.wan.wait_listener(7211)
        own.start(limits={"host_new_per_second": count})
        crowd = Crowd(own, count, 7211)
        try:
            own.gw.run("tc", "qdisc", "add", "dev", "lan0", "root", "tbf",
                       "rate", "2mbit", "burst", "2kb", "limit", "10mb")
            times = crowd.wait_reset(move(own), 20 * SLOW)
            told = moves(own)
            assert told["connections"] == told["told"] == count, told
            assert own.portico("status")["queue"]["answers_failed"] == 0
        finally:
            crowd.close()
        own.check()
    return f"at 2 Mbit/s {count} are told within {max(times):.2f} s"
