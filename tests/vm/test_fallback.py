# SPDX-License-Identifier: GPL-2.0-or-later
"""`"fallback": "kernel"`: while the daemon is away the kernel masquerades, on
ports that are never the pool's."""
import contextlib
import sys
import time

from lab import E, GW, L1, L2, R1, port
from netns import SLOW, wait_for
from test_stop import try_everything
from tools import Who, all_rules, ask, ask_tcp, limit

ALIVE_S = 5
FLOOD = ("import socket,time\n"
         "s=socket.socket(2,2)\n"
         "s.bind(('%s',5400))\n"
         "while 1: s.sendto(b'x',('%s',7400)); time.sleep(.005)" % (L1, R1))


def router_ports(lab):
    first = int(lab.gw.sysctl("net.ipv4.ip_local_port_range").split()[0])
    return range(first, first + 2048)


def start(lab):
    # Another program's flood must not be refused for its rate.
    return lab.start(fresh=True, fallback="kernel",
                     limits={"host_new_per_second": 10000})


@contextlib.contextmanager
def fallback(lab):
    """A daemon with fallback "kernel", servers outside, and a flood that goes
    on all the while; what leaves is in `seen`."""
    start(lab)
    try:
        with Who(lab.wan, udp=[(R1, 7401)], tcp=[(R1, 7401)]), \
                lab.wan.capture("udp dst port 7400", "up0") as seen, \
                lab.lan1.running(sys.executable, "-c", FLOOD):
            assert seen.wait(20), "no traffic"
            yield seen
        lab.check(alive=False)
    finally:
        lab.stop()
        # What the clients still send again must not be routed as it is.
        lab.gw.sysctl("net.ipv4.ip_forward", 0)
        lab.remove_guard()
        lab.gw.run("conntrack", "-F")


def outside_port(seen):
    address, _, number = seen.rpartition(":")
    assert address == E, seen
    return int(number)


def flood_port(seen):
    """The outside port of the flood's next packets."""
    seen.read()
    packets = seen.wait(5)
    assert packets, "the flood does not leave"
    return port(packets[-1], 0)


def kernel_takes_over(lab):
    """Waits for a new connection from lan2 and returns it."""
    began = time.monotonic()

    def connects():
        with contextlib.suppress(TimeoutError):
            return lab.lan2.tcp((R1, 7401), timeout=0.3)

    tcp = wait_for("a new connection", connects, ALIVE_S + 2)
    waited = time.monotonic() - began
    assert waited < ALIVE_S + 0.5 * SLOW, f"{waited:.1f} s"
    return tcp


def own_connections(lab):
    """The router's own, from whatever ports it takes."""
    for _ in range(20):
        udp = lab.gw.udp()
        assert outside_port(ask(udp, (R1, 7401)))
        udp.close()
        tcp = lab.gw.tcp((R1, 7401))
        ask_tcp(tcp)
        tcp.close()


def check_masquerade(lab, seen):
    """New flows of every kind leave from the router's ports."""
    tcp = kernel_takes_over(lab)
    own_connections(lab)
    assert outside_port(ask_tcp(tcp)) in router_ports(lab)
    udp = lab.lan2.udp(L2, 5401)
    assert outside_port(ask(udp, (R1, 7401))) in router_ports(lab)
    lab.lan2.run("ping", "-n", "-c", "1", R1)
    lab.lan2.run("ping", "-n", "-c", "1", GW)
    # The flood of the old days goes on as well, as a new flow.
    assert flood_port(seen) in router_ports(lab)
    return tcp, udp


@limit(60)
def test_the_kernel_takes_over_after_a_kill_and_gives_back(lab):
    with fallback(lab) as seen:
        assert flood_port(seen) not in router_ports(lab)
        before = lab.lan2.tcp((R1, 7401))
        assert outside_port(ask_tcp(before)) not in router_ports(lab)
        lab.daemon.kill()
        tcp, udp = check_masquerade(lab, seen)
        lab.check(alive=False)
        lab.daemon.start()
        wait_for("the flood's mapping", lambda: lab.mapping(f"{L1}:5400"), 5)
        mapped = outside_port(lab.mapping(f"{L1}:5400")["outside"])
        assert flood_port(seen) == mapped not in router_ports(lab)
        check_takes_back(lab, tcp, udp)
        before.close()


def check_takes_back(lab, tcp, udp):
    """Of what the kernel translated, UDP gets a mapping, TCP an end."""
    assert outside_port(ask(udp, (R1, 7401))) not in router_ports(lab)
    assert lab.mapping(f"{L2}:5401"), lab.portico("mappings")
    refused = lab.drops("no_session")
    tcp.settimeout(1 * SLOW)
    with contextlib.suppress(ConnectionResetError, TimeoutError):
        tcp.sendall(b"still there?")
        assert not tcp.recv(100), "a connection nobody translates went on"
    assert lab.drops("no_session") > refused, lab.portico("status")
    new = lab.lan2.tcp((R1, 7401))
    assert outside_port(ask_tcp(new)) not in router_ports(lab)
    for sock in (tcp, udp, new):
        sock.close()


@limit(60)
def test_the_kernel_takes_over_after_an_orderly_stop(lab):
    with fallback(lab) as seen:
        lab.daemon.stop()
        for sock in check_masquerade(lab, seen):
            sock.close()
        # Whatever leaves, even of what masquerade cannot translate, leaves
        # with the outside address.
        leaked = try_everything(lab)
        assert not leaked, [p.hex() for p in leaked]
        lab.daemon.start()
        wait_for("the flood's mapping", lambda: lab.mapping(f"{L1}:5400"), 5)
        assert flood_port(seen) not in router_ports(lab)


def test_remove_guard_ends_the_fallback(lab):
    lab.stop()
    lab.remove_guard()
    before = all_rules(lab.gw)
    start(lab)
    lab.stop()
    assert "masquerade" in all_rules(lab.gw)
    lab.remove_guard()
    after = all_rules(lab.gw)
    assert after == before, f"left behind:\n{after}\nnot:\n{before}"


@limit(60)
def test_the_daemon_keeps_its_traffic_while_it_lives(lab):
    """The sign of life is refreshed in time: no packet of twelve seconds
    takes the kernel's way."""
    with fallback(lab) as seen:
        mapped = outside_port(lab.mapping(f"{L1}:5400")["outside"])
        seen.read()
        time.sleep(2 * ALIVE_S + 2)
        ports = {port(packet, 0) for packet in seen.read()}
        assert ports == {mapped}, ports
