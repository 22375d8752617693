# SPDX-License-Identifier: GPL-2.0-or-later
"""A throw-away network: two inside hosts, the gateway, an outside.

    lan1 192.168.1.10 --+
                        +- lan0 (bridge) 192.168.1.1 [gw] wan0 203.0.113.7
    lan2 192.168.1.11 --+                                  |
    lan3 192.168.2.10 ---- lan1          192.168.2.1       | (second=True)
                                                           |
        [wan] up0 203.0.113.1, R1 198.51.100.1, R2 198.51.100.2
                  |
        [far] 198.51.100.130 behind another link (far=True)

The capture at the outside end sees every packet that carries an inside
address, in its header or in an ICMP quote; check() fails when there was one.
"""
import atexit
import contextlib
import ipaddress
import itertools
import os
import shutil
import signal
import struct
import sys
import tempfile

from daemon import COMMON, Daemon, nfqueue_missing, remove_guard
from netns import Namespace, ip_batch, remove_namespaces

E = "203.0.113.7"
NEXT_HOP = "203.0.113.1"
R1, R2 = "198.51.100.1", "198.51.100.2"
FAR = "198.51.100.130"
GW = "192.168.1.1"
L1, L2, L3 = "192.168.1.10", "192.168.1.11", "192.168.2.10"
E6, R6 = "2001:db8:1::7", "2001:db8:1::1"
GW6, L1_6 = "2001:db8:2::1", "2001:db8:2::10"
INSIDE = ipaddress.ip_network("192.168.0.0/16")
# ICMP errors quote a header at 8; its source and destination follow.
LEAK = ("net 192.168.0.0/16 or (icmp and icmp[0] != 0 and icmp[0] != 8 "
        "and icmp[0] != 13 and icmp[0] != 14 and "
        "(icmp[20:2] = 0xc0a8 or icmp[24:2] = 0xc0a8))")
_numbers = itertools.count(1)
_open_labs = []


class Skip(Exception):
    """Raised by a test that cannot run here; the text says why."""


def mac(number):
    return f"02:00:00:00:00:{number:02x}"


MAC_LAN0, MAC_WAN0, MAC_UP0 = mac(0x11), mac(0x12), mac(0x13)
MAC_L1, MAC_L2 = mac(0x21), mac(0x22)


class Lab:
    """nat: "portico", or for comparison "masquerade" (the kernel's) and
    "forward" (no translation). address=False leaves the uplink bare."""

    def __init__(self, nat=None, second=False, far=False, address=True):
        self.nat = nat or os.environ.get("PORTICO_TEST_NAT", "portico")
        self.prefix = f"portico-{os.getpid()}-{next(_numbers)}-"
        self.second, self.far_net = second, far
        self.daemon = None
        self.allowed = []
        self.spaces = {}
        self.directory = tempfile.mkdtemp(prefix=self.prefix)
        os.chmod(self.directory, 0o755)
        _open_labs.append(self)
        try:
            self._build(address)
        except BaseException:
            self.close()
            raise
        self.leaks = self.wan.capture(LEAK)

    # --- the network ----------------------------------------------------

    def _build(self, address):
        roles = ["gw", "lan1", "lan2", "wan"]
        roles += ["lan3"] * self.second + ["far"] * self.far_net
        name = {role: self.prefix + role for role in roles}
        ip_batch([f"netns add {name[role]}" for role in roles])
        for role in roles:
            space = self.spaces[role] = Namespace(name[role])
            setattr(self, role, space)
            for which in ("all", "default"):  # no waiting for IPv6
                space.sysctl(f"net.ipv6.conf.{which}.accept_dad", 0)
            # Tests raise more errors than a quiet network would.
            space.sysctl("net.ipv4.icmp_ratelimit", 0)
        lines = []
        links = [("lan1", "eth0", MAC_L1, "p1"), ("lan2", "eth0", MAC_L2,
                                                  "p2")]
        if self.second:
            links.append(("lan3", "eth0", mac(0x23), "lan1"))
        for role, device, address_mac, port in links:
            lines.append(f"link add {device} netns {name[role]} address "
                         f"{address_mac} type veth peer name {port} netns "
                         f"{name['gw']}")
        lines.append(f"link add wan0 netns {name['gw']} address {MAC_WAN0} "
                     f"type veth peer name up0 netns {name['wan']} address "
                     f"{MAC_UP0}")
        if self.far_net:
            lines.append(f"link add far0 netns {name['wan']} type veth peer "
                         f"name eth0 netns {name['far']}")
        ip_batch(lines)
        self._gateway(address)
        self._hosts()
        self._outside()

    def _gateway(self, address):
        lines = ["link set lo up",
                 f"link add lan0 address {MAC_LAN0} type bridge",
                 "link set p1 master lan0", "link set p2 master lan0",
                 "link set p1 up", "link set p2 up", "link set lan0 up",
                 f"addr add {GW}/24 dev lan0",
                 f"addr add {GW6}/64 dev lan0 nodad", "link set wan0 up"]
        if self.second:
            lines += ["addr add 192.168.2.1/24 dev lan1", "link set lan1 up"]
        ip_batch(lines, self.gw.name)
        if address:
            self.give_address()
        self.gw.sysctl("net.ipv6.conf.all.forwarding", 1)
        # As on a router without br_netfilter; some tests switch it on.
        self.bridge_filtering(0)
        if self.nat != "portico":
            self.gw.sysctl("net.ipv4.ip_forward", 1)

    def bridge_filtering(self, setting):
        """Whether iptables sees what is bridged, where the kernel can."""
        with contextlib.suppress(FileNotFoundError):
            self.gw.sysctl("net.bridge.bridge-nf-call-iptables", setting)

    def give_address(self, address=E):
        ip_batch([f"addr add {address}/24 dev wan0",
                  f"addr replace {E6}/64 dev wan0 nodad",
                  f"route replace default via {NEXT_HOP}",
                  f"route replace default via {R6}"], self.gw.name)

    def _hosts(self):
        for space, own, router in ((self.lan1, L1, GW), (self.lan2, L2, GW)):
            ip_batch(["link set lo up", f"addr add {own}/24 dev eth0",
                      "link set eth0 up", f"route add default via {router}"],
                     space.name)
        ip_batch([f"addr add {L1_6}/64 dev eth0 nodad",
                  f"route add default via {GW6}"], self.lan1.name)
        if self.second:
            ip_batch(["link set lo up", f"addr add {L3}/24 dev eth0",
                      "link set eth0 up", "route add default via 192.168.2.1"],
                     self.lan3.name)

    def _outside(self):
        lines = ["link set lo up", f"addr add {NEXT_HOP}/24 dev up0",
                 f"addr add {R6}/64 dev up0 nodad", "link set up0 up",
                 f"addr add {R1}/32 dev lo", f"addr add {R2}/32 dev lo",
                 f"route add 2001:db8:2::/64 via {E6}"]
        if self.far_net:
            lines += ["addr add 198.51.100.129/25 dev far0",
                      "link set far0 up"]
            ip_batch(["link set lo up", f"addr add {FAR}/25 dev eth0",
                      "link set eth0 up",
                      "route add default via 198.51.100.129"], self.far.name)
            self.wan.sysctl("net.ipv4.ip_forward", 1)
        ip_batch(lines, self.wan.name)

    # --- the translation --------------------------------------------------

    def base_config(self):
        devices = ["lan0"] + ["lan1"] * self.second
        # Without the fast path, which has tests of its own: what others count
        # and capture is the queue's doing.
        return {"uplink": {"device": "wan0"}, "inside": {"devices": devices},
                "fast_path": {"enabled": "off"}}

    def start(self, ready="address", wrap=(), fresh=False, **config):
        """A daemon with this configuration: the one that runs, when it has
        it already and no fresh one is asked for, else a new one."""
        if self.nat != "portico":
            return self._start_kernel(config)
        running = self.daemon
        if (running and running.alive() and not fresh and not wrap
                and running.config == config and not running.wrap):
            return running
        self.stop()
        daemon = Daemon(self.gw, self.directory, self.base_config(), config,
                        wrap)
        if os.path.exists(daemon.state):
            os.unlink(daemon.state)
        self.daemon = daemon
        return daemon.start(ready)

    def second_daemon(self, **config):
        """Another daemon beside the first, not started."""
        directory = tempfile.mkdtemp(dir=self.directory)
        os.chmod(directory, 0o755)
        return Daemon(self.gw, directory, self.base_config(), config)

    def stop(self):
        if self.daemon and self.daemon.alive():
            self.daemon.stop()
        self.daemon = None

    def remove_guard(self):
        if self.nat == "portico":
            remove_guard(self.gw)

    def _start_kernel(self, config):
        """Masquerade and its forwards, to try tests against."""
        rules = ["table ip compare", "delete table ip compare"]
        if self.nat == "masquerade":
            rules += [
                "table ip compare { chain pre { type nat hook prerouting "
                "priority dstnat; }; chain post { type nat hook postrouting "
                "priority srcnat; oifname wan0 masquerade; iifname lan* "
                "ct status dnat masquerade; }; }"]
            for forward in config.get("forwards", []):
                protos = forward["proto"]
                for proto in [protos] if isinstance(protos, str) else protos:
                    rules.append(
                        f"add rule ip compare pre ip daddr {E} {proto} dport "
                        f"{forward['outside']} dnat to {forward['to']}")
        self.gw.run("nft", "-f", "-", input="\n".join(rules) + "\n")

    def need_sandbox(self):
        self.need_portico()
        if COMMON.get("sandbox") == "off":
            raise Skip("locked in, a daemon cannot write what it counts")

    def need_portico(self):
        if self.nat != "portico":
            raise Skip(f"the gateway is {self.nat}")

    def portico(self, *arguments):
        """The parsed answer of `portico --json COMMAND`."""
        self.need_portico()
        return self.daemon.json(*arguments)

    def mapping(self, inside, proto="udp"):
        """The mapping of an inside socket ("address:port"), or None."""
        found = [m for m in self.portico("mappings")["mappings"]
                 if m["inside"] == inside and m["proto"] == proto]
        assert len(found) <= 1, f"{inside} has several mappings: {found}"
        return found[0] if found else None

    def drops(self, reason):
        return self.portico("status")["drops"].get(reason, 0)

    # --- watching ---------------------------------------------------------

    def allow(self, network):
        """Inside sources may go to this destination (exempt networks)."""
        self.allowed.append(ipaddress.ip_network(network))

    def check(self, alive=True):
        """No inside address was seen outside, and the daemon lives."""
        bad = [p for p in self.leaks.read() if not any(
            ipaddress.ip_address(p[16:20]) in net for net in self.allowed)]
        assert not bad or self.nat == "forward", (
            f"{len(bad)} packets with an inside address were seen outside, "
            f"the first: {bad[0].hex()}")
        if alive and self.daemon:
            assert self.daemon.alive(), (
                "porticod is dead: " + self.daemon.log()[-600:])
        if self.daemon:
            log = self.daemon.log()
            for sign in ("AddressSanitizer", "runtime error:"):
                assert sign not in log, log[-3000:]

    def close(self):
        if self not in _open_labs:
            return
        _open_labs.remove(self)
        if hasattr(self, "leaks"):
            self.leaks.close()
        for space in self.spaces.values():
            space.close()
        remove_namespaces(self.prefix)
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            if kind is None:
                self.check(alive=False)
        finally:
            self.close()


def close_all():
    for lab in list(_open_labs):
        lab.close()


def clean_up_on_signals():
    def leave(number, _frame):
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, leave)
    atexit.register(close_all)


def cannot_run():
    """Why no network test can run on this machine, or None."""
    if os.geteuid() != 0:
        return "not root"
    for program in ("ip", "nsenter", "setpriv", "tcpdump"):
        if not shutil.which(program):
            return f"{program} is not installed"
    prefix = f"portico-{os.getpid()}-probe"
    try:
        ip_batch([f"netns add {prefix}"])
        space = Namespace(prefix)
        try:
            return nfqueue_missing(space)
        finally:
            space.close()
    except Exception as error:  # any failure here is the reason
        return f"no network namespaces: {error}"
    finally:
        remove_namespaces(prefix)


def quote(packet):
    """An ICMP error: (type, code, outer source, outer destination, quoted
    packet, second word)."""
    start = (packet[0] & 15) * 4
    return (packet[start], packet[start + 1], address(packet, 12),
            address(packet, 16), packet[start + 8:],
            struct.unpack_from("!I", packet, start + 4)[0])


def address(packet, offset):
    return str(ipaddress.ip_address(packet[offset:offset + 4]))


def port(packet, offset):
    """A port of the transport header: 0 source, 2 destination."""
    start = (packet[0] & 15) * 4
    return struct.unpack_from("!H", packet, start + offset)[0]
