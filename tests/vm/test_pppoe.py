# SPDX-License-Identifier: GPL-2.0-or-later
"""An uplink by PPPoE: pppd in the gateway, in the kernel's own way,
pppoe-server and its pppd outside. A session that drops and comes again makes the
device anew."""
import contextlib
import os
import shutil
import signal
import socket
import struct
import time

from daemon import ROOT
from lab import E, L1, L2, NEXT_HOP, R1, Skip
from netns import SLOW, wait_for
from tools import (Who, ask, ask_tcp, download, httpd, limit, random_file,
                   upload)

LAB = {"address": False}
OTHER = "203.0.113.8"
MTU = 1492  # RFC 2516 7
HEADERS = 40  # IPv4 and TCP
PLUGIN = "rp-pppoe.so"
# The server's pppd takes the address that the client's names.
SERVER = """noauth
nodetach
ipcp-accept-remote
noproxyarp
noipv6
lcp-echo-interval 0
mtu 1492
mru 1492
"""
# Whether a new address re-maps and tells (then nat/move.c is there).
MOVES = os.path.exists(os.path.join(ROOT, "nat", "move.c"))


def has_module(name):
    return os.path.exists(f"/sys/module/{name}")


def prepare(lab):
    """The server, once."""
    if getattr(lab, "pppoe", None):
        return
    for program in ("pppd", "pppoe-server"):
        if not shutil.which(program):
            raise Skip(f"{program} is not installed")
    lab.gw.run("modprobe", "pppoe", check=False)
    if not has_module("pppoe"):
        raise Skip("the kernel has no PPPoE")
    options = os.path.join(lab.directory, "server-options")
    with open(options, "w") as file:
        file.write(SERVER)
    lab.wan.ip(f"addr del {NEXT_HOP}/24 dev up0")
    lab.pppoe = lab.wan.start("pppoe-server", "-F", "-I", "up0", "-L",
                              NEXT_HOP, "-R", E, "-N", "32", "-O", options)


def server_sessions(lab):
    """The server's pppds, by their ids."""
    found = []
    for pid in lab.wan.run("ip", "netns", "pids",
                           lab.wan.name).stdout.split():
        with contextlib.suppress(FileNotFoundError), \
                open(f"/proc/{pid}/comm") as file:
            if file.read().strip() == "pppd":
                found.append(int(pid))
    return found


class Session:
    """The gateway's pppd; the device ppp0 while it is there."""

    def __init__(self, lab, address=E):
        prepare(lab)
        self.lab = lab
        self.process = lab.gw.start(
            "pppd", "plugin", PLUGIN, "nic-wan0", "unit", "0", "noauth",
            "nodetach", "noipv6", "defaultroute", f"{address}:",
            "mtu", str(MTU), "mru", str(MTU), "lcp-echo-interval", "0")
        self.address = address
        try:
            wait_for("the session", self.is_up, 40, 0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.process.output()[:300]} "
                                 f"{lab.pppoe.output()[-300:]}") from None
        wait_for("the other end", lambda: self.address in lab.wan.ip(
            "-4 addr show type ppp", check=False), 20, 0.1)

    def is_up(self):
        assert self.process.alive(), "pppd has ended"
        return self.address in self.lab.gw.ip("-4 addr show dev ppp0",
                                              check=False)

    def drop(self, by_server=False):
        if by_server:
            for pid in server_sessions(self.lab):
                os.kill(pid, signal.SIGTERM)
            self.process.wait(20)
        self.process.stop(signal.SIGTERM, 10)
        wait_for("ppp0 is gone", lambda: not self.lab.gw.ip(
            "link show dev ppp0", check=False), 20, 0.1)


@contextlib.contextmanager
def uplink(lab, **config):
    """A daemon whose uplink is a session that can be replaced: `now[0]`."""
    lab.stop()
    now = [Session(lab)]
    try:
        lab.start(fresh=True, uplink={"device": "ppp0"}, **config)
        yield now
    finally:
        lab.stop()
        now[0].drop()


def shows(lab, address):
    wait_for(f"the uplink's address is {address}", lambda: lab.portico(
        "status")["uplink"]["address"] == address, 10)


def redial(lab, now, address=E, by_server=False):
    """The session drops, hosts go on sending, it comes again."""
    now[0].drop(by_server)
    with lab.lan1.udp(L1) as sock:
        for _ in range(20):
            sock.sendto(b"nobody takes it", (R1, 7999))
    shows(lab, None)
    lab.check()
    now[0] = Session(lab, address)
    shows(lab, address)


def mss_of(packet):
    """The MSS option of a SYN."""
    start = (packet[0] & 15) * 4
    options = packet[start + 20:start + (packet[start + 12] >> 4) * 4]
    while options and options[0] != 2:
        options = options[1 if options[0] == 1 else max(options[1], 2):]
    return struct.unpack_from("!H", options, 2)[0] if options else None


@limit(120)
def test_traffic_crosses_and_its_mss_fits(lab):
    with uplink(lab), httpd(lab.wan, R1), \
            Who(lab.wan, udp=[(R1, 7940)], tcp=[(R1, 7940)]), \
            lab.wan.capture("tcp[13] & 2 != 0 and dst port 7940") as seen:
        assert lab.gw.ip_json("link show dev ppp0")[0]["mtu"] == MTU
        udp = lab.lan1.udp(L1, 5940)
        assert ask(udp, (R1, 7940)) == f"{E}:5940"
        tcp = lab.lan1.tcp((R1, 7940), timeout=20)
        assert ask_tcp(tcp).startswith(E + ":")
        assert {mss_of(p) for p in seen.wait()} == {MTU - HEADERS}
        lab.lan1.run("ping", "-n", "-c", "1", R1)
        download(lab.lan1, f"http://{R1}", 2_000_000, lab.directory)
        upload(lab.lan1, f"http://{R1}", random_file(lab.directory,
                                                     1_000_000))
        # Too long for the link: in fragments, or told about.
        assert ask(udp, (R1, 7940), bytes(3000)) == f"{E}:5940"
        done = lab.lan1.run("ping", "-n", "-c", "1", "-M", "do", "-s", "1472",
                            R1, check=False)
        assert f"mtu = {MTU}" in done.stdout + done.stderr, done.stdout
        udp.close()
        tcp.close()


@limit(150)
def test_with_the_same_address_everything_goes_on(lab):
    with uplink(lab) as now, \
            Who(lab.wan, udp=[(R1, 7941)], tcp=[(R1, 7941)]):
        udp, tcp = lab.lan1.udp(L1, 5941), lab.lan2.tcp((R1, 7941),
                                                        timeout=30)
        seen = ask(udp, (R1, 7941)), ask_tcp(tcp)
        for by_server in (False, True):
            index = lab.gw.ip_json("link show dev ppp0")[0]["ifindex"]
            redial(lab, now, by_server=by_server)
            assert index != lab.gw.ip_json("link show dev ppp0")[0]["ifindex"]
            assert (ask(udp, (R1, 7941), tries=10), ask_tcp(tcp)) == seen
        udp.close()
        tcp.close()


def ends(sock):
    """The connection is reset, when anything is sent or at once."""
    with contextlib.suppress(ConnectionError, TimeoutError):
        sock.settimeout(20 * SLOW)
        sock.sendall(b"still there?")
        return sock.recv(100) == b""
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


@limit(150)
def test_with_another_address_udp_keeps_its_port_and_tcp_is_told(lab):
    if not MOVES:
        raise Skip("the engine does not move mappings")
    with uplink(lab) as now, \
            Who(lab.wan, udp=[(R1, 7942)], tcp=[(R1, 7942)]), \
            lab.lan2.capture("tcp[13] & 4 != 0", sent=False) as resets:
        udp, tcp = lab.lan1.udp(L1, 5942), lab.lan2.tcp((R1, 7942),
                                                        timeout=30)
        assert ask(udp, (R1, 7942)) == f"{E}:5942" and ask_tcp(tcp)
        redial(lab, now, OTHER)
        assert lab.mapping(f"{L1}:5942")["outside"] == f"{OTHER}:5942"
        assert resets.wait(1, 10), "no RST for the inside end"
        began = time.monotonic()
        assert ends(tcp)
        assert time.monotonic() - began < 20 * SLOW
        assert ask(udp, (R1, 7942), tries=10) == f"{OTHER}:5942"
        udp.close()
        tcp.close()
