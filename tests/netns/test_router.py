# SPDX-License-Identifier: GPL-2.0-or-later
"""The router's own life goes on beside the translation: with the daemon up,
stopped and killed."""
import contextlib
import os
import socket

from lab import E, GW, L1, R1, R2, Skip, address
from netns import wait_for
from tools import (Who, ask, ask_tcp, curl, httpd, limit, refuses_tcp)

OWN = 22  # a port of the router outside the pool
POOLED = 5900  # a port of the router inside the pool



def lost(ask_it, target):
    """Whether ask_it(target) met silence."""
    try:
        ask_it(target)
    except OSError:
        return True
    return False


def each_life(lab, check, **config):
    """check(name) with the daemon up, stopped by SIGTERM and killed."""
    if lab.nat != "portico":
        lab.start(**config)
        check("up")
        return
    lab.start(fresh=True, **config)
    check("up")
    lab.daemon.stop()
    check("stopped")
    lab.daemon.start()
    lab.daemon.kill()
    check("killed")
    lab.daemon = None


@limit(90)
def test_its_own_service_answers_from_both_sides(lab):
    with Who(lab.gw, tcp=[("0.0.0.0", OWN)], udp=[(E, OWN), (GW, OWN)]):
        def check(life):
            for space, target in ((lab.wan, E), (lab.lan1, GW)):
                sock = space.tcp((target, OWN))
                assert ask_tcp(sock), life
                sock.close()
                sock = space.udp()
                assert ask(sock, (target, OWN)), life
                sock.close()
            # An inside host may use the outside address as well.
            sock = lab.lan1.tcp((E, OWN))
            assert ask_tcp(sock).startswith(L1), life
            sock.close()

        each_life(lab, check)


@limit(90)
def test_its_other_addresses_are_its_own(lab):
    """What inside hosts send there is neither marked nor kept from conntrack,
    also at an address that comes later, and is sent out again when it goes."""
    lab.need_portico()
    lab.gw.ip("addr add 203.0.113.9/24 dev wan0")
    lab.start(fresh=True)
    refused = [("INPUT", "-i", "lan0", *match, "-j", "DROP") for match in
               (("-m", "conntrack", "--ctstate", "UNTRACKED"),
                ("-m", "mark", "!", "--mark", "0/0x3000000"))]
    later = "198.18.7.7"

    def answers(target):
        with Who(lab.gw, tcp=[(target, OWN)], udp=[(target, OWN)]):
            sock = lab.lan1.tcp((target, OWN))
            assert ask_tcp(sock).startswith(L1)
            sock.close()
            sock = lab.lan1.udp()
            assert ask(sock, (target, OWN)).startswith(L1)
            sock.close()

    def leaves():
        with lab.wan.capture(f"dst {later}", "up0") as outside:
            sock = lab.lan1.udp()
            sock.sendto(b"hello", (later, OWN))
            sock.close()
            return [address(packet, 12) for packet in outside.wait(1, 0.3)]

    for rule in refused:
        lab.gw.run("iptables", "-A", *rule)
    try:
        answers(E)
        answers("203.0.113.9")
        assert leaves() == [E]
        lab.gw.ip(f"addr add {later}/32 dev lo")
        wait_for("the new address answers", lambda: not lost(answers, later),
                 10)
        lab.gw.ip(f"addr del {later}/32 dev lo")
        wait_for("it leaves again", lambda: leaves() == [E], 10)
        router = lab.gw.udp("0.0.0.0", 7123, timeout=2)
        sock = lab.lan1.udp()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        sock.sendto(b"to all", ("255.255.255.255", 7123))
        assert router.recv(100) == b"to all"
        sock.close()
        router.close()
    finally:
        for rule in refused:
            lab.gw.run("iptables", "-D", *rule)
        lab.gw.ip("addr del 203.0.113.9/24 dev wan0")


@limit(90)
def test_its_own_connections_go_out(lab):
    with httpd(lab.wan, R1), Who(lab.wan, udp=[(R2, 7090)]):
        def check(life):
            for _ in range(5):
                assert curl(lab.gw, f"http://{R1}/who").stdout.startswith(
                    E + ":"), life
                sock = lab.gw.udp()
                assert ask(sock, (R2, 7090)).startswith(E + ":"), life
                sock.close()
            lab.gw.run("ping", "-n", "-c1", "-W2", R1)

        each_life(lab, check)


@limit(90)
def test_its_own_connections_leave_hosts_alone(lab):
    """The router's source ports and the hosts' outside ports are disjoint."""
    lab.need_portico()
    lab.start(fresh=True)
    with Who(lab.wan, udp=[(R1, 7091)], tcp=[(R1, 7091)]):
        own = [lab.gw.tcp((R1, 7091)) for _ in range(50)]
        hosts = [lab.lan1.tcp((R1, 7091)) for _ in range(50)]
        names = [ask_tcp(sock) for sock in own + hosts]
        assert len(set(names)) == 100, "a port was used twice"
        for sock in own + hosts:
            sock.close()


def test_its_own_questions_from_any_port_are_answered(lab):
    """A resolver's, which draws a new port for each of its questions."""
    lab.need_portico()
    lab.start(fresh=True)
    with Who(lab.wan, udp=[(R1, 7094)]):
        for number, bind in enumerate(["0.0.0.0", E, "0.0.0.0"] * 10):
            sock = lab.gw.udp(bind, 50000 + number)
            if number % 3 == 2:
                sock.connect((R1, 7094))
            if number % 2:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE,
                                b"wan0")
            sock.send(b"hello") if number % 3 == 2 else sock.sendto(
                b"hello", (R1, 7094))
            assert sock.recv(100) == f"{E}:{50000 + number} hello".encode()
            sock.close()
        before = lab.drops("no_mapping")
        sock = lab.wan.udp(R1, 7095)
        sock.sendto(b"hello", (E, 50100))
        wait_for("a closed port",
                 lambda: lab.drops("no_mapping") > before, 3)
        sock.close()


@limit(90)
def test_its_own_connections_keep_out_of_forwards(lab):
    """Whose answers would come to an inside host."""
    lab.need_portico()
    first = int(lab.gw.sysctl("net.ipv4.ip_local_port_range").split()[0])
    half, last = first + 1024, first + 2047

    def forward(name, begin, end):
        return {"name": name, "proto": "tcp", "outside": f"{begin}-{end}",
                "to": f"{L1}:{begin}"}

    def come_back():
        own = [lab.gw.tcp((R1, 7093), timeout=2) for _ in range(20)]
        seen = [int(ask_tcp(sock).split(":")[1]) for sock in own]
        for sock in own:
            sock.close()
        return seen

    def warned():
        return any("the router itself can open no connection" in text
                   for text in lab.portico("status")["warnings"])

    with Who(lab.wan, tcp=[(R1, 7093)]):
        lab.start(fresh=True, forwards=[forward("low", first - 9, half - 1)])
        assert all(half <= port <= last for port in come_back())
        lab.daemon.run("forward", "add", "more", "tcp",
                       f"{half}-{last - 100}", f"{L1}:{half}")
        assert all(last - 100 < port <= last for port in come_back())
        assert not warned()
        for config in ({"forwards": [forward("all", first - 9, last + 9)]},
                       {"uplink": {"router_ports": "20000-22000"}}):
            lab.daemon.reload(config)
            wait_for("the warning", warned)
            assert "can open no connection" in lab.daemon.run(
                "doctor", check=False).stdout
            lab.daemon.reload({})
            wait_for("its end", lambda: not warned())
        come_back()


@contextlib.contextmanager
def dhcp_server(lab):
    with lab.wan.running(
            "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null",
            "--port=0", "--user=root", "--pid-file=", "--interface=up0",
            "--bind-interfaces", "--no-ping",
            "--dhcp-range=203.0.113.7,203.0.113.7,2m",
            "--dhcp-option=3,203.0.113.1", "--dhcp-authoritative",
            f"--dhcp-leasefile={lab.directory}/leases") as process:
        lab.wan.wait_listener(67, "u")
        yield process


@limit(90)
def test_its_dhcp_client_gets_the_address(lab):
    script = os.path.join(lab.directory, "lease")
    with open(script, "w") as file:
        file.write('#!/bin/sh\n[ -z "$ip" ] || echo "got $ip"\n')
    os.chmod(script, 0o755)

    with dhcp_server(lab):
        def check(life):
            said = lab.gw.run("busybox", "udhcpc", "-i", "wan0", "-f", "-n",
                              "-q", "-t", "5", "-T", "1", "-s", script,
                              timeout=15).stdout
            assert f"got {E}" in said, (life, said)

        each_life(lab, check)


@limit(90)
def test_a_lease_is_renewed_by_unicast_while_the_daemon_runs(lab):
    script = os.path.join(lab.directory, "renewal")
    with open(script, "w") as file:
        file.write('#!/bin/sh\necho "$1 $ip"\n')
    os.chmod(script, 0o755)
    lab.start()
    with dhcp_server(lab), lab.gw.running(
            "busybox", "udhcpc", "-i", "wan0", "-f", "-t", "5", "-T", "1",
            "-s", script) as client:
        wait_for("a lease", lambda: f"bound {E}" in client.output(), 15)
        client.popen.send_signal(10)  # SIGUSR1: renew now
        wait_for("a renewal", lambda: f"renew {E}" in client.output(), 15)


@limit(60)
def test_a_service_bound_in_the_pool_before_the_start_works(lab):
    lab.need_portico()
    lab.stop()
    with Who(lab.gw, tcp=[("0.0.0.0", POOLED)], udp=[("0.0.0.0", POOLED)]):
        lab.start(fresh=True)
        sock = lab.wan.tcp((E, POOLED))
        assert ask_tcp(sock).startswith("203.0.113.1:")
        sock.close()
        sock = lab.wan.udp()
        assert ask(sock, (E, POOLED))
        sock.close()
        # The port is not handed out to a host that has the same.
        with Who(lab.wan, udp=[(R1, 7092)]):
            sock = lab.lan1.udp(L1, POOLED)
            assert ask(sock, (R1, 7092)) != f"{E}:{POOLED}"
            sock.close()


@limit(60)
def test_a_service_bound_in_the_pool_later_works_soon(lab):
    lab.need_portico()
    lab.start(fresh=True)
    refuses_tcp(lab.wan, (E, POOLED + 1))
    assert lab.drops("no_mapping") > 0
    with Who(lab.gw, tcp=[("0.0.0.0", POOLED + 1)]):
        def reached():
            try:
                sock = lab.wan.tcp((E, POOLED + 1), timeout=0.5)
            except OSError:
                return False
            assert ask_tcp(sock)
            sock.close()
            return True

        wait_for("the new service is reached", reached, 12)
    lab.daemon.stop()
    with Who(lab.gw, tcp=[("0.0.0.0", POOLED + 2)]):
        sock = lab.wan.tcp((E, POOLED + 2))
        assert ask_tcp(sock)
        sock.close()
    lab.daemon = None


def test_an_unused_port_of_the_pool_is_silent(lab):
    lab.need_portico()
    lab.start()
    for number in (1024, 5555, 20000, 65535):
        refuses_tcp(lab.wan, (E, number), seconds=0.4)
    with lab.wan.capture(f"icmp and src {E}", "up0") as errors:
        sock = lab.wan.udp()
        sock.sendto(b"hello", (E, 5555))
        assert not errors.wait(1, 0.4), "the kernel answered"
        sock.close()


def test_a_udplite_service_bound_in_the_pool_before_the_start_works(lab):
    """It takes its port from the pool that UDP has."""
    lab.need_portico()
    lab.start()
    lab.stop()
    try:
        own = lab.gw.socket(socket.SOCK_DGRAM, bind=(E, 40123), proto=136)
    except OSError as error:
        raise Skip(f"no UDP-Lite: {error}") from None
    lab.start(fresh=True)
    peer = lab.wan.socket(socket.SOCK_DGRAM, bind=(R1, 7140), proto=136)
    peer.sendto(b"hello", (E, 40123))
    assert own.recvfrom(100)[0] == b"hello"
    own.close()
    peer.close()
